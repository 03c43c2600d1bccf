//! Credentials of a linked account's integrations.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::extract::Path;
use axum::http::request::Parts;
use strongroom::{AppCredentials, AuditNote, ConnectionId, IntegrationId, LinkedAccountId, Secret};

use super::BASE;
use super::accounts::account_id;
use super::bodies::{Changed, CredentialInfo, CredentialShown, Deleted, NewCredential, Page};
use super::operator::{Operator, full};
use super::queries::{ConnectionPageQuery, ConnectionQuery};
use super::visible::visible;
use crate::auth::Right;
use crate::error::Failure;
use crate::openapi::Failures;
use crate::request::{Body, Query};

/// Lists the credentials of a connection of an integration, without them
#[utoipa::path(
    get, context_path = BASE, path = "/accounts/{id}/credentials/{integration}", tag = "control: accounts",
    params(("id" = String, Path), ("integration" = String, Path), ConnectionPageQuery),
    responses((status = 200, body = Page<CredentialInfo>), Failures), security(("api_key" = [])),
)]
pub(crate) async fn list(
    operator: Operator,
    place: Integrated,
    Query(query): Query<ConnectionPageQuery>,
) -> Result<Json<Page<CredentialInfo>>, Failure> {
    operator.may_account(Right::Read, Some(&place.account))?;
    let (credentials, grant) = (place.credentials(&operator, query.connection()?), operator.grant());
    let (found, next) = visible!(
        grant,
        query.place()?,
        |page| credentials.list(page),
        |info: &strongroom::CredentialInfo| grant.takes_name(info.key_name.as_str())
    );
    Ok(Json(Page { items: found.iter().map(CredentialInfo::of).collect(), next }))
}

/// A credential in plain text
#[utoipa::path(
    get, context_path = BASE, path = "/accounts/{id}/credentials/{integration}/{key}", tag = "control: accounts",
    params(("id" = String, Path), ("integration" = String, Path), ("key" = String, Path), ConnectionQuery),
    responses((status = 200, body = CredentialShown), Failures), security(("api_key" = [])),
)]
pub(crate) async fn get(
    operator: Operator,
    place: Keyed,
    Query(query): Query<ConnectionQuery>,
) -> Result<Json<CredentialShown>, Failure> {
    let Keyed { key, place } = place;
    operator.may_account(Right::Reveal, Some(&place.account))?;
    operator.may_name(Right::Reveal, &key)?;
    let found = place.credentials(&operator, query.connection()?).get(&key).await.map_err(full)?;
    let found = found.ok_or_else(not_found)?;
    operator.note_shown(&[AuditNote::credential_read(&place.account, &found.info)]).await?;
    let value = found.value.expose().to_owned().into();
    Ok(Json(CredentialShown { key, value, updated_at: crate::time::iso(found.info.updated_at) }))
}

/// Adds or updates a credential
#[utoipa::path(
    put, context_path = BASE, path = "/accounts/{id}/credentials/{integration}/{key}", tag = "control: accounts",
    params(("id" = String, Path), ("integration" = String, Path), ("key" = String, Path)),
    request_body = NewCredential,
    responses((status = 200, body = Changed), Failures), security(("api_key" = [])),
)]
pub(crate) async fn set(
    operator: Operator,
    place: Keyed,
    Body(body): Body<NewCredential>,
) -> Result<Json<Changed>, Failure> {
    let Keyed { key, place } = place;
    operator.may_account(Right::Write, Some(&place.account))?;
    operator.may_name(Right::Write, &key)?;
    let value = Secret::from(body.value.as_str());
    let connection = connection(body.connection.as_deref())?;
    let written = place.credentials(&operator, connection).upsert(&key, value).await.map_err(full)?;
    Ok(Json(Changed { id: written.info.id.to_string(), done: written.action.as_str().to_owned() }))
}

/// Deletes a credential
#[utoipa::path(
    delete, context_path = BASE, path = "/accounts/{id}/credentials/{integration}/{key}", tag = "control: accounts",
    params(("id" = String, Path), ("integration" = String, Path), ("key" = String, Path), ConnectionQuery),
    responses((status = 200, body = Deleted), Failures), security(("api_key" = [])),
)]
pub(crate) async fn delete(
    operator: Operator,
    place: Keyed,
    Query(query): Query<ConnectionQuery>,
) -> Result<Json<Deleted>, Failure> {
    let Keyed { key, place } = place;
    operator.may_account(Right::Write, Some(&place.account))?;
    operator.may_name(Right::Write, &key)?;
    if !place.credentials(&operator, query.connection()?).delete(&key).await.map_err(full)? {
        return Err(not_found());
    }
    Ok(Json(Deleted { name: key, deleted: true }))
}

/// The integration of a path.
pub(crate) struct Integrated {
    pub(super) account: LinkedAccountId,
    pub(super) integration: IntegrationId,
}

/// A credential of a path.
pub(crate) struct Keyed {
    place: Integrated,
    key: String,
}

impl Integrated {
    fn of(account: &str, integration: &str) -> Result<Self, Failure> {
        let integration = integration.parse().map_err(strongroom::Error::from)?;
        Ok(Self { account: account_id(account)?, integration })
    }

    /// The credentials of a connection; of the default one if none is named.
    fn credentials(&self, operator: &Operator, connection: Option<ConnectionId>) -> AppCredentials {
        let app = operator.org.account(self.account.clone()).app(self.integration.clone());
        match connection {
            Some(connection) => app.connection(connection),
            None => app,
        }
    }
}

/// A connection beside the default one.
pub(crate) struct Connected {
    pub(super) place: Integrated,
    pub(super) connection: ConnectionId,
}

impl<S: Send + Sync> FromRequestParts<S> for Connected {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        // The same three parts.
        let Keyed { place, key } = Keyed::from_request_parts(parts, state).await?;
        Ok(Self { place, connection: key.parse().map_err(strongroom::Error::from)? })
    }
}

pub(super) fn connection(text: Option<&str>) -> Result<Option<ConnectionId>, Failure> {
    text.map(str::parse)
        .transpose()
        .map_err(|error: strongroom::IdError| strongroom::Error::from(error).into())
}

impl<S: Send + Sync> FromRequestParts<S> for Integrated {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((account, integration)) =
            path.map_err(|_| Failure::bad_request("the path must be UTF-8"))?;
        Self::of(&account, &integration)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Keyed {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = Path::<(String, String, String)>::from_request_parts(parts, state).await;
        let path = path.map_err(|_| Failure::bad_request("the path must be UTF-8"))?;
        let Path((account, integration, key)) = path;
        Ok(Self { place: Integrated::of(&account, &integration)?, key })
    }
}

fn not_found() -> Failure {
    Failure::not_found("Auth credential key not found")
}
