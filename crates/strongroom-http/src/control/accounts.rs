//! Linked accounts, and how much is stored.

use axum::Json;
use strongroom::{Error, ErrorKind, LinkedAccount, PageRequest};

use super::BASE;
use super::bodies::{
    AccountView, Connection, ConnectionDeletion, Deleted, Deletion, IntegrationDeletion, NewAccount,
    NoFields, Page, Usage,
};
use super::credentials::{Connected, Integrated};
use super::definitions::walk;
use super::operator::{Operator, full};
use super::queries::{DeleteAccountQuery, DryRunQuery, PageQuery};
use crate::auth::Right;
use crate::error::Failure;
use crate::openapi::Refusals;
use crate::reason::Reason;
pub(super) use crate::request::account_id;
use crate::request::{Body, Query, Segment};

/// Lists linked accounts
#[utoipa::path(
    get, context_path = BASE, path = "/accounts", tag = "control: accounts", params(PageQuery),
    responses((status = 200, body = Page<AccountView>), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn list(
    operator: Operator,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<AccountView>>, Failure> {
    operator.may(Right::Read)?;
    let Page { items, next, unreadable } = readable(&operator, query.request()?).await?;
    let items = items.into_iter().map(|account| operator.shown(account)).collect();
    Ok(Json(Page { items, next, unreadable }))
}

/// A page of the accounts that the key reaches. One that cannot be read is left out,
/// and `unreadable` says why.
pub(super) async fn readable(operator: &Operator, page: PageRequest) -> Result<Page<LinkedAccount>, Failure> {
    let (org, granted) = (&operator.org, operator.grant().accounts());
    let mut page = match granted {
        [] => {
            let found = org.each_linked_account(page).await.map_err(full)?;
            Page::of(found, |(_, account)| account.map(Some))
        }
        // One by one: the cursor of a page of all accounts would name one that the key does not reach.
        granted => {
            let mut found = Vec::with_capacity(granted.len());
            for id in granted {
                found.push(org.linked_account(id).await);
            }
            Page::new(found, None)
        }
    };
    let mut readable = Page::new(Vec::new(), page.next.take());
    for found in page.items {
        readable.take(found)?;
    }
    Ok(readable)
}

impl Page<LinkedAccount> {
    /// Adds an account, if there is one, or why it cannot be read.
    pub(super) fn take(&mut self, found: Result<Option<LinkedAccount>, Error>) -> Result<(), Failure> {
        match found {
            Ok(found) => self.items.extend(found),
            Err(error) if error.kind() == ErrorKind::Damaged => {
                tracing::error!(%error, "a linked account is left out of a list");
                self.unreadable.push(error.to_string());
            }
            Err(error) => return Err(full(error)),
        }
        Ok(())
    }
}

/// One linked account with the default connections of its integrations; a key narrowed to some names does not see them
#[utoipa::path(
    get, context_path = BASE, path = "/accounts/{id}", tag = "control: accounts", params(("id" = String, Path)),
    responses((status = 200, body = AccountView), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn show(operator: Operator, Segment(text): Segment) -> Result<Json<AccountView>, Failure> {
    let id = account_id(&text)?;
    operator.may_account(Right::Read, Some(&id))?;
    let found = operator.org.linked_account(&id).await.map_err(full)?.ok_or_else(not_found)?;
    let shown = operator.shown(found);
    if !operator.grant().names().is_empty() {
        return Ok(Json(shown));
    }
    let account = operator.org.account(id);
    let connections = walk!(|page| account.integrations(page));
    Ok(Json(shown.with_connections(&connections)))
}

/// Registers a linked account
#[utoipa::path(
    post, context_path = BASE, path = "/accounts", tag = "control: accounts", request_body = NewAccount,
    responses((status = 200, body = AccountView), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn create(
    operator: Operator,
    Body(body): Body<NewAccount>,
) -> Result<Json<AccountView>, Failure> {
    let id = account_id(&body.linked_account_id)?;
    operator.may_whole_account(Right::Write, &id)?;
    let mut new = operator.org.create_account(id);
    if let Some(name) = body.name {
        new = new.name(name);
    }
    if body.default_app {
        new = new.with_default_app();
    }
    Ok(Json(AccountView::of(new.written().await.map_err(full)?.info)))
}

/// Adds an integration to a linked account, unless it is already there
#[utoipa::path(
    put, context_path = BASE, path = "/accounts/{id}/connections/{integration}", tag = "control: accounts",
    params(("id" = String, Path), ("integration" = String, Path)),
    responses((status = 200, body = Connection), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn connect(
    operator: Operator,
    place: Integrated,
    Body(NoFields {}): Body<NoFields>,
) -> Result<Json<Connection>, Failure> {
    operator.may_whole_account(Right::Write, &place.account)?;
    let account = operator.org.account(place.account);
    Ok(Json(Connection::of(&account.add_integration(&place.integration).await.map_err(full)?)))
}

/// Deletes an integration of a linked account with all of its connections and their credentials
///
/// Also what is left of connections that are gone. On a dry run, no connections mean that there is nothing to delete.
#[utoipa::path(
    delete, context_path = BASE, path = "/accounts/{id}/connections/{integration}", tag = "control: accounts",
    params(("id" = String, Path), ("integration" = String, Path), DryRunQuery),
    responses((status = 200, body = IntegrationDeletion), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn disconnect(
    operator: Operator,
    place: Integrated,
    Query(query): Query<DryRunQuery>,
) -> Result<Json<IntegrationDeletion>, Failure> {
    let Integrated { account: id, integration } = place;
    operator.may_whole_account(Right::Write, &id)?;
    operator.org.linked_account(&id).await.map_err(full)?.ok_or_else(not_found)?;
    let account = operator.org.account(id.clone());
    let connections = match operator.may_whole_account(Right::Read, &id) {
        Ok(()) => {
            let found = walk!(|page| account.each_integration(page));
            let left = account.connections_left(&integration).await.map_err(full)?;
            Some(ConnectionDeletion::all(&integration, found, left))
        }
        Err(_) => None,
    };
    let deleted = !query.is_dry()?;
    if deleted {
        account.delete_integration(&integration).await.map_err(full)?;
    }
    Ok(Json(IntegrationDeletion { name: integration.to_string(), deleted, connections }))
}

/// Lists the connections of a linked account: for each integration the default one first
///
/// One that cannot be read is left out, and `unreadable` says why.
#[utoipa::path(
    get, context_path = BASE, path = "/accounts/{id}/connections", tag = "control: accounts",
    params(("id" = String, Path), PageQuery),
    responses((status = 200, body = Page<Connection>), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn connections(
    operator: Operator,
    Segment(text): Segment,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Connection>>, Failure> {
    let id = account_id(&text)?;
    operator.may_whole_account(Right::Read, &id)?;
    operator.org.linked_account(&id).await.map_err(full)?.ok_or_else(not_found)?;
    let found = operator.org.account(id).each_integration(query.request()?).await.map_err(full)?;
    let mut page = Page::new(Vec::new(), found.next.map(|cursor| cursor.to_string()));
    for (.., connection) in found.items {
        match connection {
            Ok(connection) => page.items.push(Connection::of(&connection)),
            Err(error) => {
                tracing::error!(%error, "a connection is left out of a list");
                page.unreadable.push(error.to_string());
            }
        }
    }
    Ok(Json(page))
}

/// Adds a connection of an integration beside the default one, unless it is already there
#[utoipa::path(
    put, context_path = BASE, path = "/accounts/{id}/connections/{integration}/{connection}",
    tag = "control: accounts",
    params(("id" = String, Path), ("integration" = String, Path), ("connection" = String, Path)),
    responses((status = 200, body = Connection), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn add_connection(
    operator: Operator,
    to: Connected,
    Body(NoFields {}): Body<NoFields>,
) -> Result<Json<Connection>, Failure> {
    let Connected { place, connection } = to;
    operator.may_whole_account(Right::Write, &place.account)?;
    let account = operator.org.account(place.account);
    let added = account.add_connection(&place.integration, &connection).await.map_err(full)?;
    Ok(Json(Connection::of(&added)))
}

/// Deletes a connection of an integration, other than the default one, and its credentials
#[utoipa::path(
    delete, context_path = BASE, path = "/accounts/{id}/connections/{integration}/{connection}",
    tag = "control: accounts",
    params(("id" = String, Path), ("integration" = String, Path), ("connection" = String, Path)),
    responses((status = 200, body = Deleted), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn delete_connection(operator: Operator, of: Connected) -> Result<Json<Deleted>, Failure> {
    let Connected { place, connection } = of;
    operator.may_whole_account(Right::Write, &place.account)?;
    let account = operator.org.account(place.account);
    account.delete_connection(&place.integration, &connection).await.map_err(full)?;
    Ok(Json(Deleted { name: connection.to_string(), deleted: true }))
}

/// Deletes a linked account with its values, credentials, sessions and keys
///
/// One whose own row cannot be read is deleted only with `purge`: nobody sees whose account it is.
#[utoipa::path(
    delete, context_path = BASE, path = "/accounts/{id}", tag = "control: accounts",
    params(("id" = String, Path), DeleteAccountQuery),
    responses((status = 200, body = Deletion), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn delete(
    operator: Operator,
    Segment(text): Segment,
    Query(query): Query<DeleteAccountQuery>,
) -> Result<Json<Deletion>, Failure> {
    operator.may_all(Right::Admin)?;
    let (id, org) = (account_id(&text)?, &operator.org);
    let usage = org.account(id.clone()).usage().await.map_err(full)?;
    let (values, credentials) = (count(usage.values), count(usage.credentials));
    match org.linked_account(&id).await {
        // With `purge`, what is left of one that is gone goes too.
        Ok(None) if values == 0 && !query.purges()? => return Err(not_found()),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::Damaged => {
            if !query.purges()? {
                return Err(
                    full(error).adding("nothing was deleted; purge=true deletes it with all that it has")
                );
            }
        }
        Err(error) => return Err(full(error)),
    }
    let deleted = !query.is_dry()?;
    if deleted {
        operator.service.sessions(org)?.delete_account(&id).await.map_err(full)?;
    }
    Ok(Json(Deletion { name: text, deleted, values, credentials }))
}

/// How much a linked account stores
#[utoipa::path(
    get, context_path = BASE, path = "/accounts/{id}/usage", tag = "control: accounts",
    params(("id" = String, Path)),
    responses((status = 200, body = Usage), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn usage(operator: Operator, Segment(text): Segment) -> Result<Json<Usage>, Failure> {
    let id = account_id(&text)?;
    operator.may_whole_account(Right::Read, &id)?;
    Ok(Json(operator.org.account(id).usage().await.map_err(full)?.into()))
}

/// How much the org stores in this environment
#[utoipa::path(
    get, context_path = BASE, path = "/usage", tag = "control: accounts",
    responses((status = 200, body = Usage), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn usage_of_org(operator: Operator) -> Result<Json<Usage>, Failure> {
    operator.may_all(Right::Read)?;
    Ok(Json(operator.org.usage().await.map_err(full)?.into()))
}

pub(super) fn not_found() -> Failure {
    Failure::absent(Reason::AccountNotFound, "Linked account not found")
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
