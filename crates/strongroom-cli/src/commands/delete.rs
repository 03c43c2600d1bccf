//! `delete`: one value, or a definition with all its values.

use serde::Serialize;
use strongroom::{
    DefinitionId, DefinitionName, Error, Org, PageRequest, Scope, ScopeKind, Scopes, WriteOptions,
};
use strongroom_http::control;

use crate::client::docs::ListedValue;
use crate::client::{Call, Client, is_damage, lacks_right};
use crate::consent::Consent;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::pages;
use crate::scope_args::{ScopeArgs, scope_field};
use crate::suggest;

/// `delete` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    pub(crate) name: DefinitionName,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Delete the definition and its values at all scopes
    #[arg(long, conflicts_with_all = ["account", "workflow"])]
    definition: bool,
    /// Keep no former version either: nothing brings it back. Needed for one that cannot be read and has versions
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Serialize)]
struct ValueDeleted<'a> {
    id: Option<String>,
    name: &'a str,
    scope: ScopeKind,
}

#[derive(Serialize)]
struct DefinitionDeleted<'a> {
    name: &'a str,
    deleted: bool,
}

impl Delete {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let name = &self.name;
        let Some(definition) = org.definition(name).await? else {
            return Err(suggest::undefined(org, name).await);
        };
        if self.definition {
            let values = count_values(org, name, definition.id).await?;
            self.consent.to(&format!("delete the definition {name} and its values: {values}"))?;
            org.delete_definition_with(name, self.options()).await?;
            return self.definition_deleted(output);
        }
        let scope = self.scope.scope();
        // A value that cannot be read can still be deleted.
        let is_absent = matches!(org.value(definition.id, &scope).await, Ok(None));
        if is_absent && !(self.purge && has_history(org, &definition.id, &scope).await?) {
            return Err(Failure::no_value(name, &scope));
        }
        self.consent.to(&self.deed(&scope))?;
        let deleted = org.delete_value_with(&self.name, &scope, self.options()).await;
        let deleted = deleted.map_err(|error| unless_purged(self.purge, error))?;
        if is_absent {
            return self.value_deleted(None, output);
        }
        let deleted = deleted.ok_or_else(|| Failure::no_value(name, &scope))?;
        if deleted.damaged {
            output.warn("the value was damaged and could not be read");
        }
        self.value_deleted(deleted.id.map(|id| id.to_string()), output)
    }

    fn options(&self) -> WriteOptions {
        match self.purge {
            true => WriteOptions::default(),
            false => WriteOptions::default().keep_history(),
        }
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let (name, scope) = (&self.name, self.scope.scope());
        if self.definition {
            if self.purge {
                return Err(Failure::not_on_server("a server keeps what brings a definition back"));
            }
            let path = ["definitions", name.as_str()];
            let known = |client: &Client| {
                let query = [("dry_run", "true")];
                let found: control::Deletion = client.control_delete(Call { path: &path, query: &query })?;
                Ok((None, format!("its values: {}", found.values)))
            };
            let by_document = |client: &Client| {
                Ok((Some(client.definition_id(name)?), format!("all its values {FOR_GOOD}")))
            };
            let (id, values) = client.either(known, by_document)?;
            self.consent.to(&format!("delete the definition {name} and {values}"))?;
            match id {
                Some(id) => {
                    client.delete(Call { path: &["env", "definitions", &id], query: &[] })?;
                    output.note(&format!("the definition is deleted {FOR_GOOD}"));
                }
                None => {
                    let _: control::Deletion = client.control_delete(Call { path: &path, query: &[] })?;
                }
            }
            return self.definition_deleted(output);
        }
        let query: Vec<_> = scope_field(&scope).into_iter().collect();
        let path = ["values", name.as_str()];
        let known = |client: &Client| {
            match client.control_get::<control::Value>(Call { path: &path, query: &query }) {
                Ok(found) => Ok((Some(found.id), true)),
                // Of a value that was deleted, the former versions may be there.
                Err(failure) if self.purge && failure.exit == Exit::NotFound => Ok((None, true)),
                // What cannot be read can be deleted.
                Err(failure) if is_damage(&failure.message) => Ok((None, true)),
                Err(failure) => Err(failure),
            }
        };
        let by_document = |client: &Client| Ok((Some(self.id_by_document(client, &scope)?), false));
        let (id, by_control) = match client.either(known, by_document) {
            Ok(found) => found,
            // A key that may write need not read: the deletion says what is missing.
            Err(refused) if lacks_right(&refused) => (None, true),
            Err(failure) => return Err(failure),
        };
        let deed = self.deed(&scope);
        self.consent.to(&if by_control { deed } else { format!("{deed} {FOR_GOOD}") })?;
        if by_control {
            let purge = if self.purge { "true" } else { "false" };
            let query = [query.as_slice(), &[("purge", purge)]].concat();
            let _: control::Deleted = client.control_delete(Call { path: &path, query: &query })?;
        } else if let Some(id) = &id {
            client.delete(Call { path: &["env", "values", id], query: &[] })?;
            output.note(&format!("the value is deleted {FOR_GOOD}"));
        }
        self.value_deleted(id, output)
    }

    fn deed(&self, scope: &Scope) -> String {
        let deed = format!("delete the value of {} at {scope}", self.name);
        if self.purge { format!("{deed} and its former versions, for good") } else { deed }
    }

    fn id_by_document(&self, client: &Client, scope: &Scope) -> Result<String, Failure> {
        let definition = client.definition_id(&self.name)?;
        let mut query: Vec<_> = scope_field(scope).into_iter().collect();
        query.push(("variable_definition_id", &definition));
        let path = ["env", "values", scope.kind().as_str()];
        let found: Vec<ListedValue> = client.pages(Call { path: &path, query: &query })?;
        let first = found.into_iter().next().ok_or_else(|| Failure::no_value(&self.name, scope))?;
        Ok(first.id)
    }

    fn definition_deleted(&self, output: &Output) -> Result<(), Failure> {
        let name = self.name.as_str();
        let view = DefinitionDeleted { name, deleted: true };
        output.done(&format!("deleted the definition {name} and all its values"), &view)
    }

    fn value_deleted(&self, id: Option<String>, output: &Output) -> Result<(), Failure> {
        let (name, scope) = (self.name.as_str(), self.scope.scope());
        let view = ValueDeleted { id, name, scope: scope.kind() };
        output.done(&format!("deleted the value of {name} at {scope}"), &view)
    }
}

/// What a documented call does, which is all that a key without other rights may make.
pub(super) const FOR_GOOD: &str =
    "for good: no version is kept with this API key, as one with the right write keeps them";

/// What cannot be opened can only be deleted with its former versions, if it has any.
pub(super) fn unless_purged(purges: bool, error: Error) -> Failure {
    let is_unreadable = matches!(error, Error::Damaged { .. } | Error::UnknownKey { .. });
    let failure = Failure::from(error);
    match is_unreadable && !purges {
        true => failure.next(
            "nothing was deleted: its former versions may be whole; --purge deletes it together with them",
        ),
        false => failure,
    }
}

async fn has_history(org: &Org, id: &DefinitionId, scope: &Scope) -> Result<bool, Failure> {
    let newest = org.value_history(*id, scope, PageRequest::first(1)).await?;
    Ok(!newest.items.is_empty())
}

/// How many values a definition has. One whose only scope is the org would lose those at all others.
async fn count_values(org: &Org, name: &DefinitionName, id: DefinitionId) -> Result<usize, Failure> {
    let only_org = Scopes::only(ScopeKind::Org);
    let elsewhere = pages::all(async |page| org.plan_scope_change(name, only_org, page).await).await?;
    let at_org = !matches!(org.value(id, &Scope::Org).await, Ok(None));
    Ok(elsewhere.len() + usize::from(at_org))
}
