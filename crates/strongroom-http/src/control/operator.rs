//! Who makes a control call: the holder of an API key, with its grant.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::HttpBody as _;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use strongroom::{
    AuditNote, DocumentId, Error, Expected, LinkedAccount, LinkedAccountId, Org, PageRequest, Scope,
    ScopePath, Timestamp, Vault, Version,
};
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};

use super::bodies::AccountView;
use crate::auth::{Grant, Right, Standing};
use crate::caller::note;
use crate::console::admit;
use crate::error::Failure;
use crate::load::RequestPermit;
use crate::reason::Reason;
use crate::service::Service;
use crate::time;

/// The holder of an API key. Every call checks the right that it needs before it does anything.
pub(crate) struct Operator {
    pub(super) org: Org,
    pub(super) key_id: DocumentId,
    /// The makers recorded for keys that it makes.
    pub(super) makers: Vec<DocumentId>,
    /// When its key expires.
    expires_at: Option<Timestamp>,
    grant: Arc<Grant>,
    vault: Vault,
    pub(super) service: Service,
}

impl FromRequestParts<Service> for Operator {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Failure> {
        refuse_stray_scope(parts)?;
        let permit = RequestPermit::of(&parts.extensions)?;
        let admitted = admit(service, &permit, parts).await?;
        note(admitted.caller());
        let org = admitted.acting(parts.extensions.get());
        let (key_id, grant) = (admitted.id, Arc::clone(&admitted.grant));
        let (makers, expires_at) = (admitted.makers_of_next(), admitted.expires_at);
        if let Some(Narrowed(narrowed)) = parts.extensions.get() {
            narrowed.store(grant.is_narrowed(), Ordering::Relaxed);
        }
        parts.extensions.insert(Standing::Key(admitted));
        let (vault, service) = (service.vault(), service.clone());
        Ok(Self { org, key_id, makers, expires_at, grant, vault, service })
    }
}

impl Operator {
    pub(super) fn vault(&self) -> &Vault {
        &self.vault
    }

    pub(super) fn grant(&self) -> &Grant {
        &self.grant
    }

    /// When a key that this one makes expires: at the requested time, but no later than this one.
    pub(super) fn bounded_expiry(&self, asked: Option<Timestamp>) -> Result<Option<Timestamp>, Failure> {
        bounded(self.expires_at, asked)
    }

    /// Fails if the key has this right nowhere.
    pub(super) fn may(&self, right: Right) -> Result<(), Failure> {
        if self.grant.has(right) { Ok(()) } else { Err(Failure::lacks(right.as_str())) }
    }

    /// Fails unless the key has this right for the whole org.
    pub(super) fn may_all(&self, right: Right) -> Result<(), Failure> {
        self.may(right)?;
        if self.grant.is_narrowed() { Err(Failure::elsewhere(right.as_str())) } else { Ok(()) }
    }

    /// Fails unless the key has this right for variables of this name.
    pub(super) fn may_name(&self, right: Right, name: &str) -> Result<(), Failure> {
        self.may(right)?;
        if self.grant.takes_name(name) { Ok(()) } else { Err(Failure::elsewhere(right.as_str())) }
    }

    /// Fails unless the key has this right for this linked account; `None` is for what belongs to no account.
    pub(super) fn may_account(&self, right: Right, account: Option<&LinkedAccountId>) -> Result<(), Failure> {
        self.may(right)?;
        if self.grant.takes_account(account) { Ok(()) } else { Err(Failure::elsewhere(right.as_str())) }
    }

    /// Fails unless the key has this right for the linked account itself and everything in it. A key narrowed to some
    /// names reads and writes only values of those names.
    pub(super) fn may_whole_account(&self, right: Right, account: &LinkedAccountId) -> Result<(), Failure> {
        self.may_account(right, Some(account))?;
        if self.grant.names().is_empty() { Ok(()) } else { Err(Failure::elsewhere(right.as_str())) }
    }

    /// Fails for a linked account that has nothing: it is not registered and has no values.
    pub(super) async fn refuse_unknown(&self, account: &LinkedAccountId) -> Result<(), Failure> {
        let (org, first) = (&self.org, PageRequest::first(1));
        let is_known = org.linked_account(account).await.map_err(full)?.is_some()
            || !org.account(account.clone()).values(first).await.map_err(full)?.items.is_empty();
        if is_known { Ok(()) } else { Err(super::accounts::not_found()) }
    }

    /// An account as the key may see it. A key narrowed to some names does not see when it was last changed, since that
    /// also depends on what the key may not see.
    pub(super) fn shown(&self, account: LinkedAccount) -> AccountView {
        let mut view = AccountView::of(account);
        if !self.grant.names().is_empty() {
            view.updated_at.clone_from(&view.created_at);
        }
        view
    }

    /// Fails unless the key has this right for values at this scope.
    pub(super) fn may_at(&self, right: Right, scope: &Scope) -> Result<(), Failure> {
        let account = match scope {
            Scope::LinkedAccount(account) => Some(account),
            Scope::Org | Scope::Workflow(_) => None,
        };
        self.may_account(right, account)
    }

    /// Notes in the audit what is shown in plain text, before it is shown: what cannot be noted is not shown. A vault
    /// without an audit notes nothing.
    pub(super) async fn note_shown(&self, shown: &[AuditNote]) -> Result<(), Failure> {
        self.org.note(shown).await.map(drop).map_err(full)
    }

    /// Runs an operation on the vault as a whole, if the key may, and notes in the audit that it begins, and if it
    /// fails.
    pub(super) async fn operate<T>(
        &self,
        what: &str,
        deed: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.may(Right::Operate)?;
        self.note_operation(what).await?;
        let done = deed.await;
        if done.is_err() {
            // The failure itself matters more than that it could not be noted.
            let _ = self.note_operation(&format!("{what}: failed")).await;
        }
        done
    }

    /// Notes in the audit that an operation on the vault as a whole begins, or how it ended.
    pub(super) async fn note_operation(&self, what: &str) -> Result<(), Failure> {
        self.note_shown(&[AuditNote::vault_operated(what)]).await
    }

    /// Notes what is shown: before it is shown if it is revealed, otherwise if reads are noted.
    pub(super) async fn note(&self, reveal: bool, shown: Vec<AuditNote>) -> Result<(), Failure> {
        if reveal { self.note_shown(&shown).await } else { self.service.note_reads(&self.org, || shown) }
    }
}

/// The expiry of a key that is created by a key expiring at `own`: never later.
pub(super) fn bounded(
    own: Option<Timestamp>,
    asked: Option<Timestamp>,
) -> Result<Option<Timestamp>, Failure> {
    match (own, asked) {
        (Some(own), Some(asked)) if asked > own => {
            let own = time::iso(own);
            Err(Failure::bad_request(format!(
                "this API key expires at {own}; keys that it creates cannot expire later"
            )))
        }
        (own, asked) => Ok(asked.or(own)),
    }
}

/// The control calls that take a query, by method and route.
#[derive(Clone)]
pub(super) struct WithQuery(Arc<HashSet<(Method, String)>>);

impl WithQuery {
    /// Those whose description names a parameter of the query. What a call writes is in its body, so there are none
    /// that do.
    pub(super) fn of(description: &OpenApi) -> Self {
        let takes = |call: &Operation| {
            let mut parameters = call.parameters.iter().flatten();
            parameters.any(|one| matches!(one, RefOr::T(one) if one.parameter_in == ParameterIn::Query))
        };
        let with_query = description.paths.paths.iter().flat_map(|(path, calls)| {
            let calls = [(Method::GET, &calls.get), (Method::DELETE, &calls.delete)];
            let with_query = calls.into_iter().filter(move |(_, call)| call.as_ref().is_some_and(takes));
            with_query.map(|(method, _)| (method, path.clone()))
        });
        Self(Arc::new(with_query.collect()))
    }

    fn has(&self, request: &Request) -> bool {
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        // A `HEAD` is answered as a `GET` is.
        let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
        let path = route.and_then(super::path_in);
        path.is_some_and(|path| self.0.contains(&(method, path.to_owned())))
    }
}

/// Wraps every control call. It refuses a query or body that the call would ignore, without reading it, and hides from
/// a narrowed key which row is damaged: the key may not be allowed to see its name.
pub(super) async fn around(
    State(with_query): State<WithQuery>,
    mut request: Request,
    next: Next,
) -> Response {
    if request.uri().query().is_some_and(|query| !query.is_empty()) && !with_query.has(&request) {
        let message = "this call takes no query: what it needs is in its path and body";
        return Failure::bad_request(message).into_response();
    }
    let takes_body = [Method::POST, Method::PUT, Method::PATCH].contains(request.method());
    if !takes_body && !request.body().is_end_stream() {
        let message = "this call takes no body: what it needs is in its path and query";
        return Failure::bad_request(message).into_response();
    }
    let narrowed = Narrowed::default();
    request.extensions_mut().insert(narrowed.clone());
    let response = next.run(request).await;
    // Relaxed: the request runs in this task.
    if narrowed.0.load(Ordering::Relaxed) && response.extensions().get().is_some_and(Failure::names_row) {
        return Failure::unreadable().into_response();
    }
    response
}

/// Whether the key of the request is narrowed, once it is known.
#[derive(Debug, Clone, Default)]
struct Narrowed(Arc<AtomicBool>);

/// Refuses a scope where the call would ignore it, and use that of the org instead.
fn refuse_stray_scope(parts: &Parts) -> Result<(), Failure> {
    if ["linked_account_id", "linked-account-id"].iter().any(|name| parts.headers.contains_key(*name)) {
        return Err(Failure::bad_request(
            "a control call takes no header linked_account_id: name it in the call",
        ));
    }
    Ok(())
}

/// The scopes that a run sees, from these.
pub(super) fn path_of(
    account: Option<LinkedAccountId>,
    workflow: Option<strongroom::WorkflowId>,
) -> ScopePath {
    let path = account.into_iter().fold(ScopePath::org(), ScopePath::linked_account);
    workflow.into_iter().fold(path, ScopePath::workflow)
}

/// The response to an error of a verb, in the engine's words.
#[allow(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
pub(super) fn full(error: Error) -> Failure {
    Failure::in_full(&error)
}

/// What a write that restores a version expects: the newest one as it was listed. A version that cannot be opened is
/// replaced only on request, and no other one then: it may be one of the same name elsewhere.
pub(super) fn as_listed(newest: &Version, replaces: bool) -> Result<Expected, Failure> {
    match &newest.unreadable {
        Some(why) if !replaces => Err(Failure::damaged(why, REPLACES)),
        None if replaces => Err(Failure::bad_request(WHOLE)),
        Some(_) | None => Ok(newest.as_expected()),
    }
}

/// The refusal to replace what is not damaged as if it were.
const WHOLE: &str = "the present one is not damaged, so replace_damaged does not replace it";

pub(super) const REPLACES: &str =
    "nothing was changed: replace_damaged puts this version in its place; the damaged content is lost";

/// The failure of a write of a version if somebody else was faster, so that the list is out of date.
pub(super) fn overtaken(error: Error) -> Failure {
    if let Error::InvalidValue { rule, .. } = &error {
        return Failure::bad_request(format!("that version was refused: {rule}"))
            .because(Reason::InvalidValue);
    }
    if !matches!(error, Error::Unexpected { .. } | Error::VersionNotFound(_)) {
        return full(error);
    }
    full(Error::Unexpected { found: None })
        .adding("somebody else changed it at the same time, and nothing was written")
}

/// Why no version undoes the last change of a value or credential.
pub(super) fn nothing_to_undo(newest: &Version, what: &str) -> Failure {
    match &newest.unreadable {
        Some(why) => Failure::damaged(why, "none of its former versions can be read; purge=true deletes it"),
        None => Failure::absent(
            Reason::VersionNotFound,
            format!("the version of the {what} before this one is not kept, or cannot be read"),
        ),
    }
}

/// The same for a delete: a document that cannot be opened is deleted only together with its former versions, if it has
/// any.
pub(super) fn unless_purged(error: Error) -> Failure {
    let is_unreadable = matches!(error, Error::Damaged { .. } | Error::UnknownKey { .. });
    let failure = full(error);
    match is_unreadable {
        true => failure
            .adding("nothing was deleted: its former versions may be whole; purge=true deletes it with them"),
        false => failure,
    }
}
