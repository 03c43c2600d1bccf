//! `delete`: one value, or a definition with all its values.

use std::fmt;

use serde::Serialize;
use strongroom::{
    DefinitionId, DefinitionName, Error, Org, PageRequest, Scope, ScopeKind, Scopes, WriteOptions,
};
use strongroom_http::control::{self, Reason};

use super::undo::Deleted;
use crate::client::docs::ListedValue;
use crate::client::{Call, Client};
use crate::consent::{Consent, Deed};
use crate::failure::{Exit, Failure, word};
use crate::output::Output;
use crate::pages;
use crate::scope_args::{ScopeArgs, scope_field};
use crate::suggest;

/// `delete` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Delete {
    /// The name of the variable; the id of a damaged definition with --definition --purge
    pub(crate) name: DefinitionName,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Delete the definition and its values at all scopes
    #[arg(long, conflicts_with_all = ["account", "workflow"])]
    definition: bool,
    /// Also delete all former versions: nothing brings it back, nor an older definition of the same name. Required if
    /// it cannot be read and has versions
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
        if self.definition {
            return self.delete_definition(org, output).await;
        }
        let name = &self.name;
        let Some(definition) = org.definition(name).await? else {
            return Err(suggest::undefined(org, name).await);
        };
        let scope = self.scope.scope();
        // A value that cannot be read can still be deleted.
        let value = org.value(definition.id, &scope).await;
        let is_absent = matches!(value, Ok(None));
        if is_absent && !(self.purge && has_history(org, &definition.id, &scope).await?) {
            return Err(Failure::no_value(name, &scope));
        }
        let seen = value.ok().flatten().map(|value| seen(value.id, value.revision));
        self.consent.to(Deed::to(self.deed(&scope), seen.unwrap_or_default()))?;
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

    async fn delete_definition(&self, org: &Org, output: &Output) -> Result<(), Failure> {
        let name = &self.name;
        let Some(definition) = org.definition(name).await.map_err(|error| unless_by_id(name, error))? else {
            if self.purge {
                return self.purge_definition(org, output).await;
            }
            if let Ok(id) = name.as_str().parse::<DefinitionId>()
                && let Err(error) = org.definition(id).await
            {
                return Err(unless_by_id(name, error));
            }
            return Err(suggest::undefined(org, name).await);
        };
        let (values, found) = find_values(org, name, definition.id).await?;
        let seen = format!("{} {found}", seen(definition.id, definition.revision));
        let deed = format!("delete the definition {name} and its values: {values}");
        if !self.purge {
            self.consent.to(Deed::to(deed, seen))?;
            org.delete_definition_with(name, self.options()).await?;
            return self.definition_deleted(output);
        }
        let others = Deleted::find(org, name, output).await?.of_name;
        let deed = match others.len() {
            0 => deed,
            _ => format!("{deed}, and what is kept of deleted definitions of this name"),
        };
        self.consent.to(Deed::to(format!("{deed}, for good"), seen))?;
        org.purge_definition(definition.id).await?;
        for other in others {
            org.purge_definition(other.id).await?;
        }
        self.definition_deleted(output)
    }

    /// For a definition that cannot be read, or was already deleted.
    async fn purge_definition(&self, org: &Org, output: &Output) -> Result<(), Failure> {
        let name = &self.name;
        let mut what = format!("all that there is of the definition {name}");
        let mut left: Vec<_> =
            Deleted::find(org, name, output).await?.of_name.into_iter().map(|stored| stored.id).collect();
        if let Ok(id) = name.as_str().parse::<DefinitionId>() {
            match org.definition_history(id, PageRequest::first(1)).await {
                Ok(_) => left.push(id),
                // A name may still lead to it, which only the purge finds.
                Err(Error::DefinitionNotFound(_)) if left.is_empty() => left.push(id),
                Err(Error::DefinitionNotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
            if let Ok(Some(stored)) = org.definition(id).await {
                let known = stored.definition.name;
                if matches!(org.definition(known.as_str()).await, Ok(Some(named)) if named.id == id) {
                    return Err(Failure::invalid(format!("{id} is the id of the definition {known}")).next(
                        format!(
                            "nothing was deleted; `strongroom delete {} --definition` deletes it",
                            word(&known)
                        ),
                    ));
                }
                what = format!("the definition {known}, which can be read but is not found by its name");
            }
        }
        if left.is_empty() {
            return Err(suggest::undefined(org, name).await);
        }
        self.consent.to(&format!("delete {what}, with its values, for good"))?;
        for id in left {
            match org.purge_definition(id).await {
                Err(Error::DefinitionNotFound(_)) => return Err(suggest::undefined(org, name).await),
                purged => purged?,
            }
        }
        self.definition_deleted(output)
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
                // A key that may delete need not be allowed to read.
                let definition = client.control_get::<control::Definition>(Call { path: &path, query: &[] });
                let seen = definition.map(|one| seen(one.id, one.updated_at)).unwrap_or_default();
                Ok((None, format!("its values: {}", found.values), seen))
            };
            let by_document = |client: &Client| {
                let id = client.definition_id(name)?;
                Ok((Some(id.clone()), format!("all its values {FOR_GOOD}"), id))
            };
            let (id, values, seen) = client.either(known, by_document)?;
            self.consent.to(Deed::to(format!("delete the definition {name} and {values}"), seen))?;
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
                Ok(found) => Ok((Some(found.id.clone()), true, seen(found.id, found.version))),
                // A value that was deleted may still have former versions.
                Err(failure) if self.purge && failure.exit == Exit::NotFound => {
                    Ok((None, true, String::new()))
                }
                // A value that cannot be read can still be deleted.
                Err(failure) if failure.is(Reason::Damaged) => Ok((None, true, String::new())),
                Err(failure) => Err(failure),
            }
        };
        let by_document = |client: &Client| {
            let (id, updated_at) = self.listed_by_document(client, &scope)?;
            Ok((Some(id.clone()), false, seen(id, updated_at)))
        };
        let (id, by_control, seen) = match client.either(known, by_document) {
            Ok(found) => found,
            // A key that may write need not be allowed to read: the deletion reports what is missing.
            Err(refused) if refused.is_of_right() => (None, true, String::new()),
            Err(failure) => return Err(failure),
        };
        let deed = self.deed(&scope);
        let deed = if by_control { deed } else { format!("{deed} {FOR_GOOD}") };
        self.consent.to(Deed::to(deed, seen))?;
        if by_control {
            let purge = if self.purge { "true" } else { "false" };
            let query = [query.as_slice(), &[("purge", purge)]].concat();
            let deleted = client.control_delete(Call { path: &path, query: &query });
            let _: control::Deleted = deleted.map_err(|refused| offer_purge(self.purge, refused))?;
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

    fn listed_by_document(&self, client: &Client, scope: &Scope) -> Result<(String, String), Failure> {
        let definition = client.definition_id(&self.name)?;
        let mut query: Vec<_> = scope_field(scope).into_iter().collect();
        query.push(("variable_definition_id", &definition));
        let path = ["env", "values", scope.kind().as_str()];
        let found: Vec<ListedValue> = client.pages(Call { path: &path, query: &query })?;
        let first = found.into_iter().next().ok_or_else(|| Failure::no_value(&self.name, scope))?;
        Ok((first.id, first.updated_at.unwrap_or_default()))
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

/// The effect of a documented call, which is all that a key without other rights may make.
pub(super) const FOR_GOOD: &str =
    "for good: no version is kept with this API key, as one with the right write keeps them";

/// If it cannot be opened and has former versions, it can only be deleted with them.
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

/// The same for a server's refusal, which says why.
pub(super) fn offer_purge(purges: bool, refused: Failure) -> Failure {
    if purges { refused } else { refused.if_damaged("--purge does that") }
}

/// The name of a definition that cannot be opened is uncertain.
fn unless_by_id(name: &DefinitionName, error: Error) -> Failure {
    let is_unreadable = matches!(error, Error::Damaged { .. } | Error::UnknownKey { .. });
    let failure = Failure::from(error);
    match is_unreadable {
        true => failure.next(format!(
            "nothing was deleted; `strongroom undo {} --definition --replace-damaged` puts its newest version in \
             its place, `strongroom delete ID --definition --purge` deletes the one with this id and all its values",
            word(name.as_str())
        )),
        false => failure,
    }
}

async fn has_history(org: &Org, id: &DefinitionId, scope: &Scope) -> Result<bool, Failure> {
    let newest = org.value_history(*id, scope, PageRequest::first(1)).await?;
    Ok(!newest.items.is_empty())
}

/// How many values a definition has, and an identification of them. A definition whose only scope is the org would lose
/// those at all other scopes.
async fn find_values(org: &Org, name: &DefinitionName, id: DefinitionId) -> Result<(usize, String), Failure> {
    let only_org = Scopes::only(ScopeKind::Org);
    let elsewhere = pages::all(async |page| org.plan_scope_change(name, only_org, page).await).await?;
    let at_org = org.value(id, &Scope::Org).await;
    let count = elsewhere.len() + usize::from(!matches!(at_org, Ok(None)));
    let of_org = at_org.ok().flatten().map(|value| seen(value.id, value.revision));
    Ok((count, format!("{of_org:?} {elsewhere:?}")))
}

/// Identifies a document, as opposed to another one of its name or a changed one.
pub(super) fn seen(id: impl fmt::Display, revision: impl fmt::Display) -> String {
    format!("{id} {revision}")
}
