//! `list`: definitions, or the values of one scope.

use std::collections::HashMap;

use serde::Serialize;
use strongroom::{DefinitionId, Scope, ScopeKind, ScopedValue, Scopes, StoredDefinition};
use strongroom_http::control;

use super::audit::refuse_left_out;
use crate::client::docs::{Definition, ListedValue};
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::output::{MASK, Output, printable, time, unless_unknown, yes};
use crate::pages;
use crate::scope_args::{ScopeArgs, scope_field};
use crate::session::Session;
use crate::suggest;

/// `list` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct List {
    /// List values: the org's, unless an account or workflow is named
    #[arg(long)]
    values: bool,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Print only the names of the definitions, one per line
    #[arg(long, conflicts_with_all = ["values", "account", "workflow"])]
    names: bool,
}

/// A definition in a list.
#[derive(Serialize)]
struct DefinitionView {
    id: String,
    name: String,
    description: Option<String>,
    scopes: Vec<ScopeKind>,
    var_format: String,
    encrypted: bool,
    /// A server returns neither this nor the default.
    required: Option<bool>,
    default: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

/// A value in a list, which does not show it.
#[derive(Serialize)]
struct ValueView {
    id: String,
    variable_definition_id: String,
    name: String,
    value: &'static str,
    scope: ScopeKind,
    encrypted: bool,
    /// A server does not return it.
    created_at: Option<String>,
    updated_at: Option<String>,
}

impl List {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> Result<(), Failure> {
        let org = &session.org;
        let (definitions, mut unreadable) = pages::readable_definitions(org).await?;
        if definitions.is_empty()
            && unreadable.is_empty()
            && let Some(other) = suggest::other_environment(&session.vault, &session.org).await
        {
            let chosen = org.environment();
            output
                .note(&format!("environment {chosen} has no variables; did you mean --environment {other}?"));
        }
        let Some(scope) = self.scope_of_values() else {
            let views = definitions.into_iter().map(DefinitionView::of).collect();
            return self.show_definitions((views, unreadable), output);
        };
        let by_id: HashMap<DefinitionId, StoredDefinition> =
            definitions.into_iter().map(|stored| (stored.id, stored)).collect();
        let (values, damaged) = pages::readable_values(org, &scope).await?;
        unreadable.extend(damaged);
        if let (Scope::LinkedAccount(account), true) = (&scope, values.is_empty() && unreadable.is_empty())
            && org.linked_account(account).await?.is_none()
        {
            return Err(suggest::no_account(org, account).await);
        }
        // A definition created since the list was read is missing, and so is its value.
        let views = values.iter().filter_map(|value| {
            by_id.get(&value.definition_id).map(|stored| ValueView::of(value, stored, scope.kind()))
        });
        show_values(views.collect(), output)?;
        refuse_short(&unreadable, output)
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let Some(scope) = self.scope_of_values() else {
            let all = |client: &Client| {
                let (all, unreadable): (Vec<control::Definition>, _) =
                    client.control_list(Call { path: &["definitions"], query: &[] })?;
                Ok((all.into_iter().map(DefinitionView::of_control).collect::<Vec<_>>(), unreadable))
            };
            let by_document = |client: &Client| Ok((definitions_of(client)?, Vec::new()));
            return self.show_definitions(client.either(all, by_document)?, output);
        };
        let query: Vec<_> = scope_field(&scope).into_iter().collect();
        let by_control = |client: &Client| {
            let (all, unreadable): (Vec<control::Value>, _) =
                client.control_list(Call { path: &["values"], query: &query })?;
            Ok((all.into_iter().map(ValueView::of_control).collect(), unreadable))
        };
        let by_document = |client: &Client| {
            let path = ["env", "values", scope.kind().as_str()];
            let docs: Vec<ListedValue> = client.pages(Call { path: &path, query: &query })?;
            Ok((docs.into_iter().map(|doc| ValueView::of_doc(doc, scope.kind())).collect(), Vec::new()))
        };
        let (views, unreadable): (Vec<ValueView>, Vec<String>) = client.either(by_control, by_document)?;
        if let (Scope::LinkedAccount(account), true) = (&scope, views.is_empty() && unreadable.is_empty()) {
            client.refuse_unknown_account(account)?;
        }
        show_values(views, output)?;
        refuse_short(&unreadable, output)
    }

    /// Shows the definitions that can be read; then the command fails if there are others.
    fn show_definitions(
        &self,
        (views, unreadable): (Vec<DefinitionView>, Vec<String>),
        output: &Output,
    ) -> Result<(), Failure> {
        match self.names {
            true => show_names(views.into_iter().map(|view| view.name), output)?,
            false => show_definitions(views, output)?,
        }
        refuse_short(&unreadable, output)
    }

    /// `None` to list definitions.
    fn scope_of_values(&self) -> Option<Scope> {
        (self.values || self.scope.names_one()).then(|| self.scope.scope())
    }
}

/// A definition document names one scope, `org` for several; the filter finds it by each scope that it allows.
fn definitions_of(client: &Client) -> Result<Vec<DefinitionView>, Failure> {
    let path = &["env", "definitions"];
    let mut scopes: HashMap<String, Vec<ScopeKind>> = HashMap::new();
    for kind in Scopes::ALL.iter() {
        for doc in client.pages::<Definition>(Call { path, query: &[("scope", kind.as_str())] })? {
            scopes.entry(doc.id).or_default().push(kind);
        }
    }
    let docs: Vec<Definition> = client.pages(Call { path, query: &[] })?;
    let views = docs.into_iter().map(|doc| {
        let scopes = scopes.remove(&doc.id).unwrap_or_default();
        DefinitionView::of_doc(doc, scopes)
    });
    Ok(views.collect())
}

impl DefinitionView {
    fn of(stored: StoredDefinition) -> Self {
        let definition = stored.definition;
        Self {
            id: stored.id.to_string(),
            name: definition.name,
            description: definition.description,
            scopes: definition.scopes.iter().collect(),
            var_format: definition.var_format.name().to_owned(),
            encrypted: definition.encrypted,
            required: Some(definition.required),
            default: definition.default,
            created_at: Some(time(stored.created_at)),
            updated_at: Some(time(stored.updated_at)),
        }
    }

    fn of_control(definition: control::Definition) -> Self {
        Self {
            id: definition.id,
            name: definition.name,
            description: definition.description,
            scopes: definition.scopes,
            var_format: definition.var_format,
            encrypted: definition.encrypted,
            required: Some(definition.required),
            default: definition.default,
            created_at: Some(definition.created_at),
            updated_at: Some(definition.updated_at),
        }
    }

    fn of_doc(doc: Definition, scopes: Vec<ScopeKind>) -> Self {
        Self {
            id: doc.id,
            name: doc.name,
            description: Some(doc.description).filter(|text| !text.is_empty()),
            scopes,
            var_format: doc.var_format,
            encrypted: doc.encrypted,
            required: None,
            default: None,
            created_at: doc.created_at,
            updated_at: doc.updated_at,
        }
    }
}

impl ValueView {
    fn of(value: &ScopedValue, stored: &StoredDefinition, scope: ScopeKind) -> Self {
        Self {
            id: value.id.to_string(),
            variable_definition_id: value.definition_id.to_string(),
            name: stored.definition.name.clone(),
            value: MASK,
            scope,
            encrypted: stored.definition.encrypted,
            created_at: Some(time(value.created_at)),
            updated_at: Some(time(value.updated_at)),
        }
    }

    fn of_control(value: control::Value) -> Self {
        Self {
            id: value.id,
            variable_definition_id: value.variable_definition_id,
            name: value.name,
            value: MASK,
            scope: value.scope,
            encrypted: value.encrypted,
            created_at: Some(value.created_at),
            updated_at: Some(value.updated_at),
        }
    }

    fn of_doc(doc: ListedValue, scope: ScopeKind) -> Self {
        Self {
            id: doc.id,
            variable_definition_id: doc.definition.id,
            name: doc.definition.name,
            value: MASK,
            scope,
            encrypted: doc.definition.encrypted,
            created_at: None,
            updated_at: doc.updated_at,
        }
    }
}

/// Fails after a list that is short of what cannot be read, and names that.
pub(super) fn refuse_short(unreadable: &[String], output: &Output) -> Result<(), Failure> {
    refuse_left_out(unreadable, "row", REPAIR, output)
}

fn show_names(names: impl Iterator<Item = String>, output: &Output) -> Result<(), Failure> {
    let mut names: Vec<_> = names.collect();
    names.sort();
    if output.is_json() {
        return output.json(&names);
    }
    let lines: String = names.iter().map(|name| printable(name) + "\n").collect();
    output.text(&lines)
}

fn show_definitions(mut views: Vec<DefinitionView>, output: &Output) -> Result<(), Failure> {
    views.sort_by(|one, other| one.name.cmp(&other.name));
    let rows = views.iter().map(|view| {
        let scopes: Vec<_> = view.scopes.iter().map(|scope| scope.as_str()).collect();
        [
            view.name.clone(),
            view.var_format.clone(),
            scopes.join(", "),
            yes(view.encrypted),
            unless_unknown(view.required.map(yes)),
            view.description.clone().unwrap_or_default(),
        ]
    });
    output.list(["NAME", "FORMAT", "SCOPES", "ENCRYPTED", "REQUIRED", "DESCRIPTION"], rows, &views)
}

fn show_values(mut views: Vec<ValueView>, output: &Output) -> Result<(), Failure> {
    views.sort_by(|one, other| one.name.cmp(&other.name));
    let rows = views.iter().map(|view| {
        let updated = unless_unknown(view.updated_at.clone());
        [view.name.clone(), view.value.to_owned(), yes(view.encrypted), updated]
    });
    output.list(["NAME", "VALUE", "ENCRYPTED", "UPDATED"], rows, &views)
}

const REPAIR: &str = "`strongroom undo ID --definition --replace-damaged` puts the newest version of a definition in \
                      its place, `strongroom define NAME --replace-damaged` defines it again if none is kept, \
                      `strongroom delete ID --definition --purge` deletes it with its values; `undo NAME \
                      --replace-damaged` puts the version before a value in its place, and `delete NAME --purge` \
                      deletes it";
