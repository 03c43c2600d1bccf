//! What a mistyped name was meant to be.

use strongroom::{DefinitionFilter, DefinitionName, Environment, Error, LinkedAccountId, Org, PageRequest};

use crate::failure::Failure;
use crate::output::Output;
use crate::pages;
use crate::scope_args::PathArgs;
use crate::session::Session;
use crate::typo::closest;

/// The failure of a verb on a definition, with the name that was meant if there is no such definition.
pub(crate) async fn of_definition(org: &Org, name: &DefinitionName, error: Error) -> Failure {
    if !matches!(error, Error::DefinitionNotFound(_)) {
        return error.into();
    }
    undefined(org, name).await
}

/// No definition has this name.
pub(crate) async fn undefined(org: &Org, name: &DefinitionName) -> Failure {
    let known = pages::definitions(org).await.unwrap_or_default();
    let known = known.iter().map(|stored| stored.definition.name.as_str());
    Failure::undefined(name).meant(closest(name.as_str(), known))
}

/// Fails if the path names an account that has nothing: a run for it would see only what all accounts see, which a
/// mistyped id must not do in silence.
pub(crate) async fn refuse_unknown_account(org: &Org, path: &PathArgs) -> Result<(), Failure> {
    let Some(account) = path.account() else { return Ok(()) };
    let has_values = async || {
        let values = org.account(account.clone()).values(PageRequest::first(1)).await?;
        Ok::<_, Error>(!values.items.is_empty())
    };
    if org.linked_account(account).await?.is_some() || has_values().await? {
        return Ok(());
    }
    Err(no_account(org, account).await)
}

/// The failure of a verb on an account, with the id that was meant if there is no such account.
pub(crate) async fn of_account(org: &Org, account: &LinkedAccountId, error: Error) -> Failure {
    match error {
        Error::AccountNotFound(_) => no_account(org, account).await,
        // The default app of an account that is not registered is not found either.
        Error::IntegrationNotFound { .. } if matches!(org.linked_account(account).await, Ok(None)) => {
            no_account(org, account).await
        }
        error => error.into(),
    }
}

/// There is no account with this id.
pub(crate) async fn no_account(org: &Org, account: &LinkedAccountId) -> Failure {
    // One page is enough for a suggestion, however many accounts there are.
    let page = org.linked_accounts(PageRequest::first(PageRequest::LIMIT_MAX)).await;
    let known = page.map(|page| page.items).unwrap_or_default();
    let known = known.iter().map(|found| found.account_id.as_str());
    Failure::from(Error::AccountNotFound(account.clone())).meant(closest(account.as_str(), known))
}

/// An environment of the org that has variables, asked for where the chosen one has none: the closest one in name,
/// otherwise the first.
pub(crate) async fn other_environment(session: &Session) -> Option<String> {
    let chosen = session.org.environment();
    let mut others = Vec::new();
    for environment in session.org.environments().await.unwrap_or_default() {
        let org = session.vault.org(*session.org.id(), environment.clone());
        let count = org.count_definitions(&DefinitionFilter::all()).await;
        if environment != *chosen && count.is_ok_and(|count| count > 0) {
            others.push(environment.to_string());
        }
    }
    let meant = closest(chosen.as_str(), others.iter().map(String::as_str)).map(str::to_owned);
    meant.or_else(|| others.into_iter().next())
}

/// Says that the chosen environment has nothing yet where others have: a mistyped one would be made in silence.
pub(crate) async fn note_new_environment(session: &Session, output: &Output) {
    let chosen = session.org.environment();
    let known = session.org.environments().await.unwrap_or_default();
    if known.is_empty() || known.contains(chosen) {
        return;
    }
    let meant = closest(chosen.as_str(), known.iter().map(Environment::as_str));
    let meant = meant.map_or(String::new(), |meant| format!("; did you mean --environment {meant}?"));
    let known: Vec<_> = known.iter().map(Environment::as_str).collect();
    output.note(&format!("{chosen} is a new environment; there are {}{meant}", known.join(", ")));
}
