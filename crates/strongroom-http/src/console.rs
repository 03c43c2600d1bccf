//! The console: its files, and the sessions of users who log in with an API key.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::{get, post};

use crate::auth::{Admitted, Right};
use crate::caller::{admit_key, count_key, note};
use crate::connection::OwnTls;
use crate::error::Failure;
use crate::load::RequestPermit;
use crate::logins::{AGE_MS_MAX, Logins};
use crate::service::Service;

/// The routes of the console. Its data comes from the control calls.
pub(crate) fn routes() -> Router<Service> {
    Router::new()
        .route("/", get(page))
        .route("/console/app.js", get(script))
        .route("/console/app.css", get(style))
        .route("/console/icon.svg", get(icon))
        .route("/console/licences.txt", get(licences))
        .route("/console/session", post(log_in).delete(log_out))
}

async fn page() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    (headers, include_str!("../console/dist/index.html"))
}

async fn script() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (kind, include_str!("../console/dist/console/app.js"))
}

async fn style() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    (kind, include_str!("../console/dist/console/app.css"))
}

async fn icon() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "image/svg+xml")], include_str!("../console/dist/console/icon.svg"))
}

/// The licences of the bundled code.
async fn licences() -> &'static str {
    include_str!("../console/dist/console/licences.txt")
}

/// Begins a session for the holder of the key in `x-api-key`. Whatever else the key may do, it cannot use the console
/// without the right to read.
async fn log_in(State(service): State<Service>, parts: Parts) -> Result<impl IntoResponse, Failure> {
    let headers = &parts.headers;
    from_own_page(headers)?;
    let permit = RequestPermit::of(&parts.extensions)?;
    let admitted = admit_key(&service, &permit, headers).await?;
    note(admitted.caller());
    if !admitted.grant.has(Right::Read) {
        return Err(Failure::lacks(Right::Read.as_str()));
    }
    let logins = logins(&service)?;
    // The session that the browser had is no longer needed. First, so that no other one of the key makes room.
    if let Some(former) = self::token(&parts) {
        logins.end(former);
    }
    let token = logins.begin(admitted, service.now())?;
    let name = if is_over_tls(&parts) { HOST_COOKIE } else { COOKIE };
    let cookie = set_cookie(name, &token, AGE_MS_MAX / 1_000);
    let mut cookie = HeaderValue::try_from(cookie).map_err(|_| Failure::internal())?;
    cookie.set_sensitive(true);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]))
}

async fn log_out(State(service): State<Service>, parts: Parts) -> Result<impl IntoResponse, Failure> {
    from_own_page(&parts.headers)?;
    if let Some(token) = token(&parts) {
        logins(&service)?.end(token);
    }
    let gone = [COOKIE, HOST_COOKIE].map(|name| (header::SET_COOKIE, set_cookie(name, "", 0)));
    Ok((StatusCode::NO_CONTENT, AppendHeaders(gone)))
}

/// A browser accepts the cookie of this name only over TLS, and only from this very host: no other host of the domain
/// can plant it.
fn set_cookie(name: &str, token: &str, age_secs: u64) -> String {
    let secure = if name == HOST_COOKIE { "; Secure" } else { "" };
    format!("{name}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age_secs}{secure}")
}

/// The API key of a control call: the one that it sends, or otherwise the one of its session.
pub(crate) async fn admit(
    service: &Service,
    permit: &RequestPermit,
    parts: &Parts,
) -> Result<Arc<Admitted>, Failure> {
    let headers = &parts.headers;
    match (&service.inner.logins, token(parts)) {
        (Some(logins), Some(token)) if !headers.contains_key("x-api-key") => {
            from_own_page(headers)?;
            admit_session(service, permit, logins, token).await
        }
        _ => admit_key(service, permit, headers).await,
    }
}

async fn admit_session(
    service: &Service,
    permit: &RequestPermit,
    logins: &Logins,
    token: &str,
) -> Result<Arc<Admitted>, Failure> {
    let clock = &*service.inner.clock;
    let known = logins.find(token, service.now()).ok_or_else(Failure::bad_key)?;
    count_key(permit, &known)?;
    if known.is_current(clock).await? {
        known.note_use(clock);
        return Ok(known);
    }
    // Its record changed, for example because the key was replaced and is still accepted for a while.
    let Some(key) = known.again(clock).await?.map(Arc::new) else {
        logins.end_of(&known.id);
        return Err(Failure::bad_key());
    };
    logins.renew(token, Arc::clone(&key));
    Ok(key)
}

/// Fails unless the request comes from the console's own page. A cookie is sent whatever page makes the request; this
/// header is not, since no other origin may add it.
fn from_own_page(headers: &HeaderMap) -> Result<(), Failure> {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if headers.contains_key(OWN_PAGE) && matches!(site, None | Some(b"same-origin")) {
        return Ok(());
    }
    Err(Failure::bad_request(
        "a session of the console needs the header x-strongroom-console, of its own page",
    ))
}

/// Whether the server, or a proxy, speaks TLS: a browser names the origin of every post.
fn is_over_tls(parts: &Parts) -> bool {
    let origin = parts.headers.get(header::ORIGIN);
    has_own_tls(parts) || origin.is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

fn has_own_tls(parts: &Parts) -> bool {
    parts.extensions.get::<OwnTls>().is_some()
}

/// The text of the session. The cookie that only this host can set takes precedence over the other one, and is the only
/// valid one if the server knows that it was to be set. If there are two, one may come from another server on the same
/// host: neither counts.
fn token(parts: &Parts) -> Option<&str> {
    let headers = &parts.headers;
    let of = |wanted: &str| {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(name, _)| *name == wanted).map(|(_, token)| token).collect::<Vec<_>>()
    };
    let mut found = of(HOST_COOKIE);
    if found.is_empty() && !has_own_tls(parts) {
        found = of(COOKIE);
    }
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(token), None) => Some(token),
        _ => None,
    }
}

fn logins(service: &Service) -> Result<&Logins, Failure> {
    service.inner.logins.as_ref().ok_or_else(|| Failure::of_status(StatusCode::NOT_FOUND))
}

/// Only the console's own files and the service's own responses; no text can become a script, not even by mistake.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";
const COOKIE: &str = "strongroom_console";
const HOST_COOKIE: &str = "__Host-strongroom_console";
const OWN_PAGE: &str = "x-strongroom-console";
