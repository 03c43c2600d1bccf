//! Finds the name that a mistyped one was meant to be.

use strongroom::{
    DefinitionFilter, DefinitionName, Environment, Error, LinkedAccountId, Org, PageRequest, Scope, Vault,
};

use crate::failure::{Exit, Failure, repeatable};
use crate::output::Output;
use crate::pages;
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
    let (known, _) = pages::readable_definitions(org).await.unwrap_or_default();
    let known = known.iter().map(|stored| stored.definition.name.as_str());
    if known.clone().any(|known| known == name.as_str()) {
        return Failure::new(
            Exit::Key,
            format!("there is a definition {name}, but no row leads from its name to it"),
        )
        .next("`strongroom verify --sweep` writes that row again");
    }
    Failure::undefined(name).meant(closest(name.as_str(), known))
}

/// Fails if the path names an account that has nothing: a run for it would see only what all accounts see, and a
/// mistyped id must not cause that silently.
pub(crate) async fn refuse_unknown_account(
    org: &Org,
    account: Option<&LinkedAccountId>,
) -> Result<(), Failure> {
    let Some(account) = account else { return Ok(()) };
    if is_known_account(org, account).await? {
        return Ok(());
    }
    Err(no_account(org, account).await)
}

/// Whether an account is registered or has a value.
pub(crate) async fn is_known_account(org: &Org, account: &LinkedAccountId) -> Result<bool, Failure> {
    let is_registered = org.linked_account(account).await?.is_some();
    Ok(is_registered || has_values(org, &Scope::LinkedAccount(account.clone())).await?)
}

/// Whether there is a value at this scope.
pub(crate) async fn has_values(org: &Org, scope: &Scope) -> Result<bool, Failure> {
    Ok(!org.values(scope, PageRequest::first(1)).await?.items.is_empty())
}

/// The failure of a verb on an account, with the id that was meant if there is no such account.
pub(crate) async fn of_account(org: &Org, account: &LinkedAccountId, error: Error) -> Failure {
    match error {
        Error::AccountNotFound(_) => no_account(org, account).await,
        // If the account is not registered, its default app is not found either.
        Error::IntegrationNotFound { .. } if matches!(org.linked_account(account).await, Ok(None)) => {
            no_account(org, account).await
        }
        error => error.into(),
    }
}

/// There is no account with this id.
pub(crate) async fn no_account(org: &Org, account: &LinkedAccountId) -> Failure {
    // One page is enough for a suggestion, however many accounts there are.
    let page = org.each_linked_account(PageRequest::first(PageRequest::LIMIT_MAX)).await;
    let known = page.map(|page| page.items).unwrap_or_default();
    let known = known.iter().map(|(id, _)| id.as_str());
    Failure::from(Error::AccountNotFound(account.clone())).meant(closest(account.as_str(), known))
}

/// An environment of the org that has variables, for when the chosen one has none: the closest one in name, otherwise
/// the first.
pub(crate) async fn other_environment(vault: &Vault, org: &Org) -> Option<String> {
    let chosen = org.environment();
    let mut others = Vec::new();
    for environment in org.environments().await.unwrap_or_default() {
        let other = vault.org(*org.id(), environment.clone());
        let count = other.count_definitions(&DefinitionFilter::all()).await;
        if environment != *chosen && count.is_ok_and(|count| count > 0) {
            others.push(environment.to_string());
        }
    }
    let meant = closest(chosen.as_str(), others.iter().map(String::as_str)).map(str::to_owned);
    meant.or_else(|| others.into_iter().next())
}

/// What a command requires of the environment that it works on, since a mistyped one has nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Nothing, or the command checks it itself.
    Nothing,
    /// The command creates a new one, and says so.
    MayBeNew,
    /// The command lists what exists, and says if it does not.
    SaysIfNot,
    /// It must exist.
    IsThere,
}

impl Asks {
    pub(crate) async fn of(self, vault: &Vault, org: &Org, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Nothing => Ok(()),
            Self::IsThere => refuse_unknown_environment(org).await,
            Self::MayBeNew => {
                note_new_environment(vault, org, output).await;
                Ok(())
            }
            Self::SaysIfNot => {
                if let Err(Failure { message, next, .. }) = refuse_unknown_environment(org).await {
                    output.note(&format!("{message}; {}", next.unwrap_or_default()));
                }
                Ok(())
            }
        }
    }
}

/// Notes that an environment or an org has nothing yet while others have: a mistyped one would be created silently.
pub(crate) async fn note_new_environment(vault: &Vault, org: &Org, output: &Output) {
    let environment = repeatable::name(org.environment().as_str()).unwrap_or("what was named");
    let new = match (others_than(org).await, other_orgs(vault, org).await) {
        (Ok(Some(others)), _) => Some((environment.to_owned(), "environment", others)),
        (Ok(None), Ok(Some(others))) => Some((org.id().to_string(), "org", others)),
        // If it cannot be listed, the command fails where it needs that.
        _ => None,
    };
    if let Some((new, what, Others { known, meant })) = new {
        let meant = meant.map_or(String::new(), |meant| format!("; did you mean {meant}?"));
        output.note(&format!("{new} is a new {what}; there are {known}{meant}"));
    }
}

/// Fails if an environment has nothing while others have: a mistyped one would seem to be empty.
pub(crate) async fn refuse_unknown_environment(org: &Org) -> Result<(), Failure> {
    let Some(Others { known, meant }) = others_than(org).await? else { return Ok(()) };
    let named = repeatable::name(org.environment().as_str());
    let named = named.unwrap_or("of that name, which is not repeated here: it may be a secret");
    Err(Failure::not_found(format!("there is no environment {named}"))
        .next(format!("the org has {known}"))
        .meant(meant.as_deref()))
}

/// Fails if an org has nothing while others have: a mistyped one would seem to be empty.
pub(crate) async fn refuse_unknown_org(vault: &Vault, org: &Org) -> Result<(), Failure> {
    let Some(Others { known, meant }) = other_orgs(vault, org).await? else { return Ok(()) };
    Err(Failure::not_found(format!("there is no org {}", org.id()))
        .next(format!("the vault has {known}"))
        .meant(meant.as_deref()))
}

/// What exists besides the named one, and the one among them that was meant.
struct Others {
    known: String,
    meant: Option<String>,
}

/// The environments of the org, if this one is not among them.
async fn others_than(org: &Org) -> Result<Option<Others>, Failure> {
    let (chosen, known) = (org.environment(), org.environments().await?);
    if known.is_empty() || known.contains(chosen) {
        return Ok(None);
    }
    let meant = closest(chosen.as_str(), known.iter().map(Environment::as_str));
    let meant = meant.map(|meant| format!("--environment {meant}"));
    let known: Vec<_> = known.iter().map(Environment::as_str).collect();
    Ok(Some(Others { known: known.join(", "), meant }))
}

/// The orgs of the vault, if this one is not among them.
async fn other_orgs(vault: &Vault, org: &Org) -> Result<Option<Others>, Failure> {
    if !org.environments().await?.is_empty() {
        return Ok(None);
    }
    let page = vault.orgs(PageRequest::first(ORGS_SHOWN)).await?;
    let mut known: Vec<_> = page.items.iter().map(ToString::to_string).collect();
    if known.is_empty() {
        return Ok(None);
    }
    let meant = closest(&org.id().to_string(), known.iter().map(String::as_str));
    let meant = meant.map(|meant| format!("--org {meant}"));
    if page.next.is_some() {
        known.push("and more, which `strongroom orgs` lists".to_owned());
    }
    Ok(Some(Others { known: known.join(", "), meant }))
}

/// Notes that a linked account is unknown: a mistyped one would otherwise silently get values.
pub(crate) async fn note_new_account(org: &Org, account: &LinkedAccountId, output: &Output) {
    let has_values = org.account(account.clone()).values(PageRequest::first(1)).await;
    let is_known = !matches!(org.linked_account(account).await, Ok(None));
    if is_known || !has_values.is_ok_and(|values| values.items.is_empty()) {
        return;
    }
    let page = org.each_linked_account(PageRequest::first(PageRequest::LIMIT_MAX)).await;
    let known = page.map(|page| page.items).unwrap_or_default();
    let known = known.iter().map(|(id, _)| id.as_str());
    output.note(&new_account(account, closest(account.as_str(), known)));
}

/// The note about an unknown linked account.
pub(crate) fn new_account(account: &LinkedAccountId, meant: Option<&str>) -> String {
    let meant = meant.map_or(String::new(), |meant| format!("; did you mean {meant}?"));
    let account = repeatable::id(account.as_str()).unwrap_or("what was given as its id");
    format!("{account} is no registered linked account{meant}")
}

/// As many as a person can choose from.
const ORGS_SHOWN: usize = 20;
