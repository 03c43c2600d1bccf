//! Credentials of a linked account's integrations.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::extract::Path;
use axum::http::request::Parts;
use strongroom::{
    AppCredentials, AuditNote, ConnectionId, CredentialKey, IntegrationId, LinkedAccountId, PageRequest,
    Revision, Secret, WriteOptions,
};

use super::BASE;
use super::accounts::account_id;
use super::bodies::{
    Changed, CredentialInfo, CredentialShown, CredentialUndone, Deleted, NewCredential, Page,
    RestoreCredential, UndoCredential, Version,
};
use super::definitions::walk;
use super::operator::{Operator, as_listed, full, nothing_to_undo, overtaken, unless_purged};
use super::queries::{ConnectionPageQuery, CredentialQuery, DeleteCredentialQuery};
use super::visible::visible;
use crate::auth::Right;
use crate::error::Failure;
use crate::openapi::Refusals;
use crate::reason::Reason;
use crate::request::{Body, Query};

/// Lists the credentials of a connection of an integration, without their values
///
/// One that cannot be read is left out, and `unreadable` says why.
#[utoipa::path(
    get, context_path = BASE, path = "/accounts/{id}/credentials/{integration}", tag = "control: accounts",
    params(("id" = String, Path), ("integration" = String, Path), ConnectionPageQuery),
    responses((status = 200, body = Page<CredentialInfo>), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn list(
    operator: Operator,
    place: Integrated,
    Query(query): Query<ConnectionPageQuery>,
) -> Result<Json<Page<CredentialInfo>>, Failure> {
    operator.may_account(Right::Read, Some(&place.account))?;
    let (credentials, grant) = (place.credentials(&operator, query.connection()?), operator.grant());
    let takes = |(key_name, _): &(CredentialKey, _)| grant.takes_name(key_name.as_str());
    let (found, next) = visible!(grant, query.place()?, |page| credentials.each(page), takes);
    let mut page = Page::new(Vec::new(), next);
    for (_, credential) in found {
        match credential {
            Ok(info) => page.items.push(CredentialInfo::of(&info)),
            Err(error) => {
                tracing::error!(%error, "a credential is left out of a list");
                page.unreadable.push(error.to_string());
            }
        }
    }
    Ok(Json(page))
}

/// A credential, or a former version of it, in plain text
#[utoipa::path(
    get, context_path = BASE, path = "/accounts/{id}/credentials/{integration}/{key}", tag = "control: accounts",
    params(("id" = String, Path), ("integration" = String, Path), ("key" = String, Path), CredentialQuery),
    responses((status = 200, body = CredentialShown), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn get(
    operator: Operator,
    place: Keyed,
    Query(query): Query<CredentialQuery>,
) -> Result<Json<CredentialShown>, Failure> {
    let Keyed { key, place } = place;
    operator.may_account(Right::Reveal, Some(&place.account))?;
    operator.may_name(Right::Reveal, &key)?;
    let credentials = place.credentials(&operator, query.connection()?);
    let found = match query.version()? {
        Some(version) => credentials.version(&key, version).await.map(Some),
        None => credentials.get(&key).await,
    };
    let found = found.map_err(full)?.ok_or_else(not_found)?;
    operator.note_shown(&[AuditNote::credential_read(&place.account, &found.info)]).await?;
    let value = found.value.expose().to_owned().into();
    Ok(Json(CredentialShown { key, value, updated_at: crate::time::iso(found.info.updated_at) }))
}

/// Adds or updates a credential
#[utoipa::path(
    put, context_path = BASE, path = "/accounts/{id}/credentials/{integration}/{key}", tag = "control: accounts",
    params(("id" = String, Path), ("integration" = String, Path), ("key" = String, Path)),
    request_body = NewCredential,
    responses((status = 200, body = Changed), Refusals), security(("api_key" = [])),
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

/// Deletes a credential; `undo` brings it back if versions of it are kept
#[utoipa::path(
    delete, context_path = BASE, path = "/accounts/{id}/credentials/{integration}/{key}", tag = "control: accounts",
    params(("id" = String, Path), ("integration" = String, Path), ("key" = String, Path), DeleteCredentialQuery),
    responses((status = 200, body = Deleted), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn delete(
    operator: Operator,
    place: Keyed,
    Query(query): Query<DeleteCredentialQuery>,
) -> Result<Json<Deleted>, Failure> {
    let Keyed { key, place } = place;
    operator.may_account(Right::Write, Some(&place.account))?;
    operator.may_name(Right::Write, &key)?;
    let credentials = place.credentials(&operator, query.connection()?);
    let options = match query.purges()? {
        true => WriteOptions::default(),
        false => WriteOptions::default().keep_history(),
    };
    // If the credential was deleted before, former versions may be left.
    let had_history = query.purges()? && {
        let newest = credentials.history(&key, PageRequest::first(1)).await.map_err(full)?;
        !newest.items.is_empty()
    };
    let deleted = credentials.delete_with(&key, options).await;
    if !deleted.map_err(unless_purged)? && !had_history {
        return Err(not_found());
    }
    Ok(Json(Deleted { name: key, deleted: true }))
}

/// Lists the versions of a credential, the newest first, without their values
#[utoipa::path(
    get, context_path = BASE, path = "/accounts/{id}/credentials/{integration}/{key}/history",
    tag = "control: accounts",
    params(("id" = String, Path), ("integration" = String, Path), ("key" = String, Path), ConnectionPageQuery),
    responses((status = 200, body = Page<Version>), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn history(
    operator: Operator,
    place: Keyed,
    Query(query): Query<ConnectionPageQuery>,
) -> Result<Json<Page<Version>>, Failure> {
    let Keyed { key, place } = place;
    operator.may_account(Right::Read, Some(&place.account))?;
    operator.may_name(Right::Read, &key)?;
    let credentials = place.credentials(&operator, query.connection()?);
    let found = credentials.history(&key, query.request()?).await.map_err(full)?;
    // The newest one is on the first page only.
    let mut is_newest = !query.is_continued();
    Ok(Json(Page::of(found, |version| Version::of(&version, std::mem::take(&mut is_newest)))))
}

/// Undoes the last change of a credential, or its deletion
#[utoipa::path(
    post, context_path = BASE, path = "/accounts/{id}/credentials/{integration}/{key}/undo",
    tag = "control: accounts", request_body = UndoCredential,
    params(("id" = String, Path), ("integration" = String, Path), ("key" = String, Path)),
    responses((status = 200, body = CredentialUndone), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn undo(
    operator: Operator,
    place: Keyed,
    Body(body): Body<UndoCredential>,
) -> Result<Json<CredentialUndone>, Failure> {
    let (credentials, versions) = place.versions(&operator, body.connection.as_deref()).await?;
    let newest = versions.first().ok_or_else(not_found)?;
    let last =
        strongroom::Version::to_undo(&versions).ok_or_else(|| nothing_to_undo(newest, "credential"))?;
    bring_back(&credentials, &place.key, (&versions, last), (body.replace_damaged, "undo")).await.map(Json)
}

/// Restores a former version of a credential
#[utoipa::path(
    post, context_path = BASE, path = "/accounts/{id}/credentials/{integration}/{key}/restore",
    tag = "control: accounts", request_body = RestoreCredential,
    params(("id" = String, Path), ("integration" = String, Path), ("key" = String, Path)),
    responses((status = 200, body = CredentialUndone), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn restore(
    operator: Operator,
    place: Keyed,
    Body(body): Body<RestoreCredential>,
) -> Result<Json<CredentialUndone>, Failure> {
    let (credentials, versions) = place.versions(&operator, body.connection.as_deref()).await?;
    let version = body.version.parse().map(Revision::from_u64).ok();
    let wanted = version.and_then(|version| strongroom::Version::to_restore(&versions, version));
    let wanted = wanted.ok_or_else(|| {
        Failure::absent(Reason::VersionNotFound, "this version of the credential is not kept")
    })?;
    bring_back(&credentials, &place.key, (&versions, wanted), (body.replace_damaged, "restore"))
        .await
        .map(Json)
}

/// The integration named by a path.
pub(crate) struct Integrated {
    pub(super) account: LinkedAccountId,
    pub(super) integration: IntegrationId,
}

/// A credential named by a path.
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

impl Keyed {
    /// The credentials, if the key may set them, and the versions of this one, the newest first.
    async fn versions(
        &self,
        operator: &Operator,
        named: Option<&str>,
    ) -> Result<(AppCredentials, Vec<strongroom::Version>), Failure> {
        operator.may_account(Right::Write, Some(&self.place.account))?;
        operator.may_name(Right::Write, &self.key)?;
        let credentials = self.place.credentials(operator, connection(named)?);
        let versions = walk!(|page| credentials.history(&self.key, page));
        if versions.is_empty() { Err(not_found()) } else { Ok((credentials, versions)) }
    }
}

/// Only if nobody has changed the credential since its versions were read.
async fn bring_back(
    credentials: &AppCredentials,
    key: &str,
    (versions, wanted): (&[strongroom::Version], &strongroom::Version),
    (replaces, note): (bool, &str),
) -> Result<CredentialUndone, Failure> {
    let done = match versions {
        // It then expires when it did before.
        [deletion, last, ..] if deletion.deleted && deletion.unreadable.is_none() && last == wanted => {
            credentials.undelete_with(key, WriteOptions::default().note(note)).await
        }
        [newest, ..] => {
            let options = WriteOptions::expecting(as_listed(newest, replaces)?).note(note);
            credentials.restore_with(key, wanted.revision, options).await.map(Some)
        }
        [] => Ok(None),
    };
    let done = done.map_err(overtaken)?.ok_or_else(not_found)?;
    Ok(CredentialUndone::of(&done.info, wanted))
}

/// A connection named by a path, other than the default one.
pub(crate) struct Connected {
    pub(super) place: Integrated,
    pub(super) connection: ConnectionId,
}

impl<S: Send + Sync> FromRequestParts<S> for Connected {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        // It has the same three parts.
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
    Failure::absent(Reason::CredentialNotFound, "Auth credential key not found")
}
