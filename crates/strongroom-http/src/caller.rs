//! The caller of a request, from its headers.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use strongroom::{Account, Actor, Error, LinkedAccountId, Org, RequestId, WorkflowId};

use crate::auth::{Admitted, Claims, KeyDigest, Right, Signature, Standing, in_request};
use crate::error::Failure;
use crate::load::{Party, RequestPermit};
use crate::request::{AccountHeader, AccountQuery, Query, Stated, single_header};
use crate::service::Service;

/// Who is calling: the holder of an API key, or of a session token. A token names its own account and replaces the key,
/// so it takes precedence if both are sent.
pub(crate) enum Caller {
    Key(KeyCaller),
    Token(TokenCaller),
}

/// The holder of an API key: the whole org, in one environment.
pub(crate) struct KeyCaller {
    pub(crate) org: Org,
}

/// The holder of a session token: one linked account.
pub(crate) struct TokenCaller {
    pub(crate) org: Org,
    pub(crate) account: Account,
    /// The id of the session.
    pub(crate) jti: String,
}

impl Caller {
    /// The org and environment of the caller.
    pub(crate) fn org(&self) -> &Org {
        match self {
            Self::Key(caller) => &caller.org,
            Self::Token(caller) => &caller.org,
        }
    }

    /// The linked account that a request is about. A token is only for its own account; any other is refused.
    pub(crate) fn linked_account(&self, stated: &Stated<'_>) -> Result<Option<LinkedAccountId>, Failure> {
        match self {
            Self::Key(_) => stated.linked_account(),
            Self::Token(caller) if stated.names_other_than(caller.account.id()) => {
                Err(Failure::not_own_scope())
            }
            Self::Token(caller) => Ok(Some(caller.account.id().clone())),
        }
    }

    /// The same, for a call that needs one.
    pub(crate) fn require_linked_account(&self, stated: &Stated<'_>) -> Result<Account, Failure> {
        let account = self.linked_account(stated)?.ok_or(Failure::required("linked_account_id"))?;
        Ok(self.account(account))
    }

    /// The handle of an account that the caller may reach. A token's handle is bound to the account that the token was
    /// issued for.
    pub(crate) fn account(&self, account: LinkedAccountId) -> Account {
        match self {
            Self::Key(caller) => caller.org.account(account),
            Self::Token(caller) => caller.account.clone(),
        }
    }

    /// The response to an error of a verb. If a token's account was deleted since the token was admitted, the token is
    /// refused as it will be from then on.
    pub(crate) fn failure(&self, error: Error) -> Failure {
        match (self, error) {
            (Self::Token(_), Error::AccountNotFound(_)) => Failure::bad_token(),
            (Self::Token(_) | Self::Key(_), error) => error.into(),
        }
    }

    /// The workflow that a request names. A token reaches none.
    pub(crate) fn workflow(&self, stated: Option<&str>) -> Result<Option<WorkflowId>, Failure> {
        match (self, stated) {
            (Self::Token(_), Some(_)) => Err(Failure::not_own_scope()),
            (Self::Token(_) | Self::Key(_), stated) => {
                Ok(stated.map(str::parse).transpose().map_err(Error::from)?)
            }
        }
    }
}

impl FromRequestParts<Service> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Failure> {
        let caller = Self::admit(parts, service).await?;
        if let Self::Token(_) = &caller {
            // Checked here, also for calls that take no account: a token sent with another account is in the wrong
            // place.
            let header = AccountHeader::from_request_parts(parts, service).await?;
            let Query(AccountQuery { linked_account_id }) = Query::from_request_parts(parts, service).await?;
            caller.linked_account(&Stated::in_header(&header).or_query(linked_account_id.as_deref()))?;
        }
        Ok(caller)
    }
}

impl Caller {
    /// Admits a caller with a valid key or token.
    async fn admit(parts: &mut Parts, service: &Service) -> Result<Self, Failure> {
        let permit = RequestPermit::of(&parts.extensions)?;
        let request = parts.extensions.get();
        if let Some(token) = bearer(&parts.headers)? {
            let (caller, standing) = admit_token(service, &permit, token, request).await?;
            parts.extensions.insert(standing);
            return Ok(Self::Token(caller));
        }
        let admitted = admit_key(service, &permit, &parts.headers).await?;
        if !admitted.grant.has(Right::Documented) {
            return Err(Failure::lacks(Right::Documented.as_str()));
        }
        note(admitted.caller());
        let caller = KeyCaller { org: admitted.acting(request) };
        parts.extensions.insert(Standing::Key(admitted));
        Ok(Self::Key(caller))
    }
}

/// A call that no session token may make.
impl FromRequestParts<Service> for KeyCaller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Failure> {
        match Caller::admit(parts, service).await? {
            Caller::Key(caller) => Ok(caller),
            Caller::Token(_) => Err(Failure::bad_key()),
        }
    }
}

/// A call that only a session token can make.
impl FromRequestParts<Service> for TokenCaller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Failure> {
        match Caller::from_request_parts(parts, service).await? {
            Caller::Token(caller) => Ok(caller),
            Caller::Key(_) => Err(Failure::bad_token()),
        }
    }
}

/// The API key of a request, whatever it may do.
pub(crate) async fn admit_key(
    service: &Service,
    permit: &RequestPermit,
    headers: &HeaderMap,
) -> Result<Arc<Admitted>, Failure> {
    let text = single_header(headers, "x-api-key").map_err(|_| Failure::bad_key())?;
    let text = text.ok_or_else(Failure::bad_key)?;
    let inner = &service.inner;
    let known = inner.admitted.known(&KeyDigest::of(text));
    if let Some(known) = &known {
        // Counted before its record is read, so that an excess request costs no read.
        count_key(permit, known)?;
        if known.is_current(&*inner.clock).await? {
            known.note_use(&*inner.clock);
            return Ok(Arc::clone(known));
        }
    }
    // Whoever has shown the secret before is not kept out by bad keys of the same address.
    let check = if known.is_none() { permit.begin_check()? } else { None };
    let admitted = inner.admitted.open(&service.vault(), &*inner.clock, text).await?;
    let admitted = admitted.ok_or_else(|| permit.failed(Failure::bad_key()))?;
    drop(check);
    if known.is_none() {
        count_key(permit, &admitted)?;
    }
    admitted.note_use(&*inner.clock);
    Ok(admitted)
}

/// Counts a request for its API key and its org.
pub(crate) fn count_key(permit: &RequestPermit, key: &Admitted) -> Result<(), Failure> {
    permit.count_for(&Party::Org(*key.org().id()))?;
    permit.count_for(&Party::Key(key.id))
}

async fn admit_token(
    service: &Service,
    permit: &RequestPermit,
    token: &str,
    request: Option<&RequestId>,
) -> Result<(TokenCaller, Standing), Failure> {
    let failed = || permit.failed(Failure::bad_token());
    let Some(claims) = Claims::read_unverified(token) else {
        permit.begin_check()?;
        return Err(failed());
    };
    let org = service.org(claims.org_id, claims.environment.clone());
    let sessions = service.sessions(&org)?;
    let known = sessions.known_signature(token);
    if known != Signature::Good {
        // Nor is the holder of a good token by bad ones.
        let _check = if known == Signature::Due { None } else { permit.begin_check()? };
        if known == Signature::Bad || !sessions.has_signed(token, service.now()).await? {
            return Err(failed());
        }
    }
    permit.count_for(&Party::Session(claims.org_id, claims.jti.clone()))?;
    let account = sessions.admit(&claims, service.now()).await?.ok_or_else(failed)?;
    permit.count_for(&Party::Org(claims.org_id))?;
    let (environment, id) = (claims.environment.clone(), claims.linked_account_id.clone());
    permit.count_for(&Party::Account(claims.org_id, environment, id))?;
    let session = format!("session:{}", claims.jti);
    note(&session);
    // The session alone would identify nobody once it has ended, since no list has it then. The log needs no id of a
    // customer.
    let actor: Actor = format!("{session}@{}", claims.linked_account_id).parse().map_err(Error::from)?;
    let actor = in_request(actor, request);
    let (org, account) = (org.acting_as(actor.clone()), account.acting_as(actor));
    let caller = TokenCaller { org, account, jti: claims.jti.clone() };
    Ok((caller, Standing::Session(Arc::new(sessions), claims)))
}

/// Names the caller in the log of the request, and in its trace.
pub(crate) fn note(caller: &str) {
    tracing::Span::current().record("caller", caller);
    #[cfg(feature = "otel")]
    crate::traces::note_caller(caller);
}

/// The token of `Authorization: Bearer`. Another scheme, such as a proxy's `Basic`, is not meant for this service: it
/// is ignored if there is a key to judge the request by.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    let sent = headers.get_all(header::AUTHORIZATION);
    if !sent.iter().any(is_bearer) {
        let judged_by_key = sent.iter().next().is_none() || headers.contains_key("x-api-key");
        return if judged_by_key { Ok(None) } else { Err(Failure::bad_token()) };
    }
    // With two headers, this service and a proxy could each read a different one.
    let header = single_header(headers, header::AUTHORIZATION.as_str()).map_err(|_| Failure::bad_token())?;
    let token = header.and_then(|text| text.split_once(' ')).map(|(_, token)| token.trim());
    token.map(Some).ok_or_else(Failure::bad_token)
}

fn is_bearer(header: &HeaderValue) -> bool {
    let scheme = header.as_bytes().split(|byte| *byte == b' ').next();
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
}
