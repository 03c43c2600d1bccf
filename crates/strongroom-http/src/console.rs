//! The console: its files, and the sessions of those who log in with an API key.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};

use crate::auth::{Admitted, Right};
use crate::caller::{admit_key, count_key};
use crate::error::Failure;
use crate::load::RequestPermit;
use crate::logins::{AGE_MS_MAX, Logins};
use crate::service::Service;

/// The routes of the console. Its data come from the control calls.
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

/// Of what is bundled.
async fn licences() -> &'static str {
    include_str!("../console/dist/console/licences.txt")
}

/// Begins a session of the holder of the key in `x-api-key`. Whatever that may do, it cannot use the console without
/// the right to read.
async fn log_in(State(service): State<Service>, parts: Parts) -> Result<impl IntoResponse, Failure> {
    let headers = &parts.headers;
    from_own_page(headers)?;
    let permit = RequestPermit::of(&parts.extensions)?;
    let admitted = admit_key(&service, &permit, headers).await?;
    if !admitted.grant.has(Right::Read) {
        return Err(Failure::lacks(Right::Read.as_str()));
    }
    let logins = logins(&service)?;
    let token = logins.begin(admitted, service.now())?;
    // The session that the browser had is of no use any more.
    if let Some(former) = self::token(headers) {
        logins.end(former);
    }
    let secure = if is_over_tls(headers) { "; Secure" } else { "" };
    let age_secs = AGE_MS_MAX / 1_000;
    let cookie =
        format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age_secs}{secure}", *token);
    let mut cookie = HeaderValue::try_from(cookie).map_err(|_| Failure::internal())?;
    cookie.set_sensitive(true);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]))
}

async fn log_out(State(service): State<Service>, headers: HeaderMap) -> Result<impl IntoResponse, Failure> {
    from_own_page(&headers)?;
    if let Some(token) = token(&headers) {
        logins(&service)?.end(token);
    }
    let cookie = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]))
}

/// The API key of a control call: the one that it sends, or else the one of its session.
pub(crate) async fn admit(
    service: &Service,
    permit: &RequestPermit,
    headers: &HeaderMap,
) -> Result<Arc<Admitted>, Failure> {
    match (&service.inner.logins, token(headers)) {
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
    // Its record changed, as when the key is replaced and is taken for a while yet.
    let Some(key) = known.again(clock).await?.map(Arc::new) else {
        logins.end_of(&known.id);
        return Err(Failure::bad_key());
    };
    logins.renew(token, Arc::clone(&key));
    Ok(key)
}

/// Fails unless the request comes from the console's own page. A cookie is sent whatever page makes the request; this
/// header is not, since no other origin is allowed to add it.
fn from_own_page(headers: &HeaderMap) -> Result<(), Failure> {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if headers.contains_key(OWN_PAGE) && matches!(site, None | Some(b"same-origin")) {
        return Ok(());
    }
    Err(Failure::bad_request(
        "a session of the console needs the header x-strongroom-console, of its own page",
    ))
}

/// A browser names the origin of whatever is posted, so that this also holds behind a proxy that adds TLS.
fn is_over_tls(headers: &HeaderMap) -> bool {
    headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

/// The text of the session. Of two, one may come from another server of the same host: neither counts.
fn token(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(name, _)| *name == COOKIE).map(|(_, token)| token);
    match (found.next(), found.next()) {
        (Some(token), None) => Some(token),
        _ => None,
    }
}

fn logins(service: &Service) -> Result<&Logins, Failure> {
    service.inner.logins.as_ref().ok_or_else(|| Failure::of_status(StatusCode::NOT_FOUND))
}

/// Only the console's own files and the service's own answers; no text becomes a script, not even by mistake.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";
const COOKIE: &str = "strongroom_console";
const OWN_PAGE: &str = "x-strongroom-console";
