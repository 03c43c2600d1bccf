//! `resolve`: what a run sees.

use std::collections::BTreeMap;

use serde::Serialize;
use strongroom::{DefinitionName, Org, Origin, Resolved, ScopeKind, ScopePath};
use strongroom_http::control::ResolvedValue;

use crate::client::docs::ValueFound;
use crate::client::{Call, Client};
use crate::config::Project;
use crate::failure::Failure;
use crate::output::{MASK, Output, Values, yes};
use crate::scope_args::PathArgs;
use crate::seen::{resolve_on_server, warn_missing};
use crate::suggest;

/// `resolve` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Resolve {
    /// One variable; all of them by default
    pub(crate) name: Option<DefinitionName>,
    #[command(flatten)]
    path: PathArgs,
    /// Show the values: a server notes that in the audit, the store itself does not
    #[arg(long)]
    reveal: bool,
}

/// A variable as a run sees it.
#[derive(Serialize)]
struct ResolvedView<'a> {
    value: &'a str,
    scope: &'a str,
    encrypted: bool,
    /// `None` in the response to a documented call.
    shadowed: Option<Vec<&'a str>>,
}

impl<'a> ResolvedView<'a> {
    fn of(resolved: &'a Resolved, values: Values) -> Self {
        Self {
            value: values.of(&resolved.value),
            scope: resolved.scope.as_str(),
            encrypted: resolved.encrypted,
            shadowed: Some(resolved.shadowed.iter().map(Origin::as_str).collect()),
        }
    }

    fn of_server(resolved: &'a ResolvedValue, reveal: bool) -> Self {
        let value = resolved.value.as_ref().filter(|_| reveal);
        Self {
            value: value.map_or(MASK, |value| value.as_str()),
            scope: &resolved.scope,
            encrypted: resolved.encrypted,
            shadowed: Some(resolved.shadowed.iter().map(String::as_str).collect()),
        }
    }
}

impl Resolve {
    /// Fills in from the project what was not typed.
    pub(crate) fn fill_in(&mut self, project: &Project) {
        self.path.fill_in(project);
    }

    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        suggest::refuse_unknown_account(org, self.path.account()).await?;
        let (path, values) = (self.path.path(), Values::revealed_if(self.reveal));
        let resolved = match &self.name {
            Some(name) => vec![resolve_one(org, name, &path).await?],
            None => {
                let all = org.resolve_all(&path).await?;
                if all.values.is_empty() {
                    suggest::refuse_unknown_environment(org).await?;
                }
                warn_missing(&all.missing_required, output);
                all.values
            }
        };
        let by_name = resolved.iter().map(|one| (one.name.as_str(), ResolvedView::of(one, values))).collect();
        show(&by_name, output)
    }

    /// All variables, or the named one, by a control call.
    fn by_control(&self, client: &Client, output: &Output) -> Result<(), Failure> {
        let name = self.name.as_ref().map(DefinitionName::as_str);
        let fetch = |reveal: &str| resolve_on_server(client, &self.path, name, reveal);
        let mut found = match self.reveal {
            true => Client::revealed(fetch, |found| found.values.iter().all(|one| one.value.is_some()))?,
            false => fetch("false")?,
        };
        if let Some(name) = &self.name {
            found.missing_required.clear();
            if found.values.is_empty() {
                return Err(nothing(name));
            }
        }
        warn_missing(&found.missing_required, output);
        let view = |one| ResolvedView::of_server(one, self.reveal);
        let by_name = found.values.iter().map(|one| (one.name.as_str(), view(one))).collect();
        show(&by_name, output)
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let Some(name) = &self.name else { return self.by_control(client, output) };
        // A key for only the documented calls: they show what is not encrypted.
        client
            .either(|client| self.by_control(client, output), |client| self.by_document(name, client, output))
    }

    /// Encrypted values stay masked with `--reveal` too: a documented call does not show them.
    fn by_document(&self, name: &DefinitionName, client: &Client, output: &Output) -> Result<(), Failure> {
        let definition = client.definition_id(name)?;
        let query = self.path.query();
        let found: ValueFound = client.get(Call { path: &["env", "value", &definition], query: &query })?;
        // What all accounts see is not an answer for an account that does not exist.
        if let Some(account) = self.path.account()
            && found.scope != ScopeKind::LinkedAccount.as_str()
        {
            client.refuse_unknown_account(account)?;
        }
        if found.encrypted && self.reveal {
            output.note("a server does not show encrypted values");
        }
        let value = if self.reveal && !found.encrypted { found.value.expose() } else { MASK };
        let view = ResolvedView { value, scope: &found.scope, encrypted: found.encrypted, shadowed: None };
        show(&BTreeMap::from([(name.as_str(), view)]), output)
    }
}

async fn resolve_one(org: &Org, name: &DefinitionName, path: &ScopePath) -> Result<Resolved, Failure> {
    match org.resolve(name, path).await {
        Ok(Some(resolved)) => Ok(resolved),
        Ok(None) => Err(nothing(name)),
        Err(error) => Err(suggest::of_definition(org, name, error).await),
    }
}

fn nothing(name: &DefinitionName) -> Failure {
    Failure::not_found(format!("{name} resolves to nothing"))
        .next("`strongroom explain NAME` shows where it was looked for")
}

fn show(by_name: &BTreeMap<&str, ResolvedView<'_>>, output: &Output) -> Result<(), Failure> {
    let rows = by_name.iter().map(|(name, one)| {
        let shadowed = one.shadowed.as_ref().map_or_else(|| "-".to_owned(), |scopes| scopes.join(", "));
        [(*name).to_owned(), one.value.to_owned(), one.scope.to_owned(), yes(one.encrypted), shadowed]
    });
    output.list(["NAME", "VALUE", "SCOPE", "ENCRYPTED", "SHADOWED"], rows, by_name)
}
