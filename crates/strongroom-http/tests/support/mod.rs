//! A service over a store in memory, called through its router.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail anywhere")]

pub(crate) mod damage;
pub(crate) mod gate;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use strongroom::{
    Clock, Environment, Org, RawKey, Scopes, Unlock, VarFormat, VariableDefinition, Vault, VaultOptions,
};
use strongroom_http::{ApiKeys, NewApiKey, Service, ServiceOptions, router};
use strongroom_memory::MemoryStore;
use tower::ServiceExt as _;

use self::gate::{Gate, Gated, gated};

/// The org of every fixture.
pub(crate) const ORG: &str = "6500a1b2c3d4e5f6a7b8c9d0";
/// What the clock shows, until a test moves it: 2023-11-14T22:13:20.000Z.
pub(crate) const NOW_MS: u64 = 1_700_000_000_000;
pub(crate) const NOW: &str = "2023-11-14T22:13:20.000Z";
pub(crate) const BASE: &str = "/api/v2/public";

/// A clock that stands still until it is moved.
#[derive(Debug, Clone)]
pub(crate) struct Hand(Arc<AtomicU64>);

impl Hand {
    pub(crate) fn forward(&self, secs: u64) {
        self.0.fetch_add(secs * 1_000, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A service with one org and one key.
pub(crate) struct Fixture {
    pub(crate) org: Org,
    pub(crate) vault: Vault,
    pub(crate) key: String,
    pub(crate) clock: Hand,
    pub(crate) service: Service,
    pub(crate) app: Router,
}

/// What a call was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// Why a control call was refused, which is taken out of its body: the rest is the envelope of every call.
    pub(crate) reason: Option<String>,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(|options| options).await
    }

    pub(crate) async fn with(set_up: impl FnOnce(ServiceOptions) -> ServiceOptions) -> Self {
        let clock = Hand(Arc::new(AtomicU64::new(NOW_MS)));
        let unlock = Unlock::raw_key(RawKey::from_bytes([7; 32]));
        let vault =
            VaultOptions::default().clock(clock.clone()).create(MemoryStore::new(), unlock).await.unwrap();
        Self::assemble(vault, clock.clone(), set_up(ServiceOptions::default().clock(clock))).await
    }

    /// A service over a vault of the test's own.
    pub(crate) async fn over(vault: Vault, options: ServiceOptions) -> Self {
        Self::assemble(vault, Hand(Arc::new(AtomicU64::new(NOW_MS))), options).await
    }

    /// A service over a store whose commits can be made to fail.
    pub(crate) async fn gated() -> (Self, Arc<Gated>, Arc<Gate>) {
        let (store, gate) = gated();
        let store = Arc::new(store);
        let unlock = Unlock::raw_key(RawKey::from_bytes([7; 32]));
        let vault = Vault::create(Arc::clone(&store), unlock).await.unwrap();
        (Self::over(vault, ServiceOptions::default()).await, store, gate)
    }

    /// Another server of the same vault, with a clock of its own that shows the same time.
    pub(crate) async fn beside(&self) -> Self {
        let clock = Hand(Arc::new(AtomicU64::new(self.clock.now_ms())));
        Self::assemble(self.vault.clone(), clock.clone(), ServiceOptions::default().clock(clock)).await
    }

    async fn assemble(vault: Vault, clock: Hand, options: ServiceOptions) -> Self {
        let org = vault.org(ORG.parse().unwrap(), Environment::test());
        let key = api_key(&org).await;
        let service = options.serve(vault.clone());
        Self { org, vault, key, clock, app: router(service.clone()), service }
    }

    /// Defines a variable; answers its id.
    pub(crate) async fn define(&self, definition: VariableDefinition) -> String {
        self.org.define(definition).await.unwrap().to_string()
    }

    pub(crate) async fn define_string(&self, name: &str) -> String {
        self.define(VariableDefinition::new(name, VarFormat::String)).await
    }

    pub(crate) async fn define_at(&self, name: &str, scopes: Scopes) -> String {
        self.define(VariableDefinition::new(name, VarFormat::String).scopes(scopes)).await
    }

    /// Registers a linked account with a default app.
    pub(crate) async fn register(&self, account: &str) {
        self.org.create_account(account.parse().unwrap()).with_default_app().await.unwrap();
    }

    /// Calls with the API key.
    pub(crate) fn call(&self, method: &str, path: &str) -> Call<'_> {
        self.call_anonymously(method, path).header("x-api-key", &self.key)
    }

    /// Calls with a session token.
    pub(crate) fn call_with_token(&self, token: &str, method: &str, path: &str) -> Call<'_> {
        self.call_anonymously(method, path).header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn call_anonymously(&self, method: &str, path: &str) -> Call<'_> {
        self.call_at_root(method, &format!("{BASE}{path}"))
    }

    pub(crate) fn call_at_root(&self, method: &str, path: &str) -> Call<'_> {
        Call { app: &self.app, request: Request::builder().method(method).uri(path), body: Body::empty() }
    }

    /// A session token for a registered account.
    pub(crate) async fn token(&self, account: &str) -> String {
        let body = format!(r#"{{"linked_account_id":"{account}"}}"#);
        let answer = self.call("POST", "/session-token").json(&body).await;
        answer.field("token")
    }
}

/// A new API key of `org`.
pub(crate) async fn api_key(org: &Org) -> String {
    let created = ApiKeys::of(org).unwrap().create(NewApiKey::named("test")).await.unwrap();
    created.key.expose().to_owned()
}

const REASON: &str = ",\"reason\":\"";

/// A call that is being put together.
pub(crate) struct Call<'f> {
    app: &'f Router,
    request: axum::http::request::Builder,
    body: Body,
}

impl Call<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value.as_bytes());
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let request = self.request.body(self.body).unwrap();
        let is_control = request.uri().path().starts_with("/api/admin/v1/");
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut body = String::from_utf8_lossy(&body).into_owned();
        let is_refused = is_control && !parts.status.is_success();
        let reason = is_refused.then(|| body.rfind(REASON)).flatten().map(|at| {
            let rest = body.split_off(at);
            body.push('}');
            rest[REASON.len()..].trim_end_matches("\"}").to_owned()
        });
        Answer { status: parts.status, headers: parts.headers, body, reason }
    }

    pub(crate) async fn json(self, body: &str) -> Answer {
        self.header("content-type", "application/json").body(body.to_owned()).send().await
    }
}

impl Answer {
    /// A text field of the body.
    pub(crate) fn field(&self, name: &str) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body[name].as_str().unwrap_or_else(|| panic!("{name} in {}", self.body)).to_owned()
    }

    /// A header that must be there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// A text field of every document of a page, in its order.
    pub(crate) fn column(&self, name: &str) -> Vec<String> {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        let docs = body["docs"].as_array().unwrap();
        docs.iter().map(|doc| doc[name].as_str().unwrap().to_owned()).collect()
    }

    /// The status is `status` and the body, to the byte, `body`.
    #[track_caller]
    pub(crate) fn is(&self, status: u16, body: &str) {
        assert_eq!((self.status.as_u16(), self.body.as_str()), (status, body));
    }

    /// An error with this status, type, code and message, to the byte.
    #[track_caller]
    pub(crate) fn is_error(&self, status: u16, kind: &str, code: &str, message: &str) {
        self.is(status, &envelope(status, kind, "error", code, message));
    }

    /// A 404 that names its code `error_code`.
    #[track_caller]
    pub(crate) fn is_coded_not_found(&self, message: &str) {
        self.is(404, &envelope(404, "NOT_FOUND", "error_code", "RESOURCE_NOT_FOUND", message));
    }

    /// A 404.
    #[track_caller]
    pub(crate) fn is_not_found(&self, message: &str) {
        self.is_error(404, "NOT_FOUND", "RESOURCE_NOT_FOUND", message);
    }

    /// A 400.
    #[track_caller]
    pub(crate) fn is_bad_request(&self, message: &str) {
        self.is_error(400, "BAD_REQUEST", "SERVER_ERROR", message);
    }
}

fn envelope(status: u16, kind: &str, field: &str, code: &str, message: &str) -> String {
    let message = serde_json::to_string(message).unwrap();
    format!(r#"{{"status_code":{status},"http_error_type":"{kind}","{field}":"{code}","message":{message}}}"#)
}
