//! Lists that come in pages.

use strongroom::{
    Account, AppCredentials, CredentialInfo, Cursor, DefinitionFilter, Environment, Error, Integration,
    LinkedAccount, Listing, Org, OrgId, PageRequest, Scope, ScopedValue, StoredDefinition, Vault,
};

/// The items of all pages of a list.
pub(crate) async fn all<T>(
    list: impl AsyncFn(PageRequest) -> Result<Listing<T>, Error>,
) -> Result<Vec<T>, Error> {
    let mut items = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = PageRequest::first(PageRequest::LIMIT_MAX);
        let page = list(after.map_or(page.clone(), |cursor| page.after(cursor))).await?;
        items.extend(page.items);
        match page.next {
            Some(cursor) => after = Some(cursor),
            None => return Ok(items),
        }
    }
}

/// All definitions of an org, oldest first.
pub(crate) async fn definitions(org: &Org) -> Result<Vec<StoredDefinition>, Error> {
    let filter = DefinitionFilter::all();
    all(async |page| org.definitions(&filter, page).await).await
}

/// The definitions that can be read, and why the others cannot.
pub(crate) async fn readable_definitions(org: &Org) -> Result<(Vec<StoredDefinition>, Vec<String>), Error> {
    let filter = DefinitionFilter::all();
    Ok(apart(all(async |page| org.each_definition(&filter, page).await).await?))
}

/// The linked accounts of an org that can be read, and why the others cannot.
pub(crate) async fn readable_accounts(org: &Org) -> Result<(Vec<LinkedAccount>, Vec<String>), Error> {
    let found = all(async |page| org.each_linked_account(page).await).await?;
    Ok(apart(found.into_iter().map(|(_, account)| account)))
}

/// The apps of an account, and their connections, that can be read, and why the others cannot.
pub(crate) async fn readable_apps(account: &Account) -> Result<(Vec<Integration>, Vec<String>), Error> {
    let found = all(async |page| account.each_integration(page).await).await?;
    Ok(apart(found.into_iter().map(|(_, _, app)| app)))
}

/// The credentials of a connection that can be read, and why the others cannot.
pub(crate) async fn readable_credentials(
    credentials: &AppCredentials,
) -> Result<(Vec<CredentialInfo>, Vec<String>), Error> {
    let found = all(async |page| credentials.each(page).await).await?;
    Ok(apart(found.into_iter().map(|(_, credential)| credential)))
}

fn apart<T>(found: impl IntoIterator<Item = Result<T, Error>>) -> (Vec<T>, Vec<String>) {
    let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
    for one in found {
        match one {
            Ok(one) => readable.push(one),
            Err(error) => unreadable.push(error.to_string()),
        }
    }
    (readable, unreadable)
}

/// The values at one scope that can be read, and why the others cannot.
pub(crate) async fn readable_values(
    org: &Org,
    scope: &Scope,
) -> Result<(Vec<ScopedValue>, Vec<String>), Error> {
    let found = all(async |page| org.each_value(scope, page).await).await?;
    let (readable, unreadable): (Vec<_>, Vec<_>) = found.into_iter().partition(Result::is_ok);
    let why = unreadable.into_iter().filter_map(Result::err).map(|error| error.to_string());
    Ok((readable.into_iter().flatten().collect(), why.collect()))
}

/// All values at one scope.
pub(crate) async fn values(org: &Org, scope: &Scope) -> Result<Vec<ScopedValue>, Error> {
    all(async |page| org.values(scope, page).await).await
}

/// All orgs of a vault, each with its environments.
pub(crate) async fn environments(vault: &Vault) -> Result<Vec<(OrgId, Environment)>, Error> {
    let mut found = Vec::new();
    for org in all(async |page| vault.orgs(page).await).await? {
        // A handle in any environment will do: it lists those of the org.
        let environments = vault.org(org, Environment::test()).environments().await?;
        found.extend(environments.into_iter().map(|environment| (org, environment)));
    }
    Ok(found)
}
