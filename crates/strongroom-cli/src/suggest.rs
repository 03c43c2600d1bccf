//! What a mistyped name was meant to be.

use strongroom::{
    DefinitionFilter, DefinitionName, Environment, Error, LinkedAccountId, Org, PageRequest, Scope,
};

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

/// No definition has this name, perhaps because there is no such environment.
pub(crate) async fn undefined(org: &Org, name: &DefinitionName) -> Failure {
    if let Err(failure) = refuse_unknown_environment(org).await {
        return failure;
    }
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

/// Says that an environment has nothing yet where others have: a mistyped one would be made in silence.
pub(crate) async fn note_new_environment(org: &Org, output: &Output) {
    if let Ok(Some((known, meant))) = others_than(org).await {
        let meant = meant.map_or(String::new(), |meant| format!("; did you mean {meant}?"));
        output.note(&format!("{} is a new environment; there are {known}{meant}", org.environment()));
    }
}

/// Fails if an environment has nothing where others have: a mistyped one would be read as an empty one.
pub(crate) async fn refuse_unknown_environment(org: &Org) -> Result<(), Failure> {
    let Some((known, meant)) = others_than(org).await? else { return Ok(()) };
    Err(Failure::not_found(format!("there is no environment {}", org.environment()))
        .next(format!("the org has {known}"))
        .meant(meant.as_deref()))
}

/// The environments of the org, and the one that was meant, if its own is none of them.
async fn others_than(org: &Org) -> Result<Option<(String, Option<String>)>, Failure> {
    let (chosen, known) = (org.environment(), org.environments().await?);
    if known.is_empty() || known.contains(chosen) {
        return Ok(None);
    }
    let meant = closest(chosen.as_str(), known.iter().map(Environment::as_str));
    let meant = meant.map(|meant| format!("--environment {meant}"));
    let known: Vec<_> = known.iter().map(Environment::as_str).collect();
    Ok(Some((known.join(", "), meant)))
}

/// Says that a linked account is none that is known: a mistyped one would get values in silence.
pub(crate) async fn note_new_account(org: &Org, scope: &Scope, output: &Output) {
    let Scope::LinkedAccount(account) = scope else { return };
    let has_values = org.account(account.clone()).values(PageRequest::first(1)).await;
    let is_known = !matches!(org.linked_account(account).await, Ok(None));
    if is_known || !has_values.is_ok_and(|values| values.items.is_empty()) {
        return;
    }
    let page = org.linked_accounts(PageRequest::first(PageRequest::LIMIT_MAX)).await;
    let known = page.map(|page| page.items).unwrap_or_default();
    let meant = closest(account.as_str(), known.iter().map(|found| found.account_id.as_str()));
    let meant = meant.map_or(String::new(), |meant| format!("; did you mean {meant}?"));
    output.note(&format!("{account} is no registered linked account{meant}"));
}
