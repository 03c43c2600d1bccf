//! The calls of a service, and who may make them.

use std::sync::LazyLock;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use strongroom::{Environment, Org, Scope, VarFormat, VariableDefinition, Vault, VaultOptions};
use strongroom_http::{ApiKeys, Grant, Limits, NewApiKey, Rate, Right, ServiceOptions, router};
use strongroom_memory::MemoryStore;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use crate::bytes::{Bytes, edited};
use crate::common::{TestClock, is_sound, org_id, vault};

/// Whatever is called, the server has an answer of its contract, tells nobody what he may not read, does nothing for
/// whom it does not know, and leaves every row whole.
pub fn http(data: &[u8]) {
    let calls = &*CALLS;
    runtime().block_on(async {
        let fixture = Fixture::new().await;
        let mut bytes = Bytes::of(data);
        for _ in 0..CALLS_MAX {
            if bytes.is_empty() {
                break;
            }
            fixture.call(bytes.one_of(calls), &mut bytes).await;
        }
        is_sound(&fixture.vault).await.expect("the vault can be verified");
    });
}

/// A text that is not the key or the token itself opens nothing, whatever it has in common with it.
pub fn callers(data: &[u8]) {
    static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| runtime().block_on(Fixture::new()));
    let mut bytes = Bytes::of(data);
    let is_token = bytes.byte() & 1 == 0;
    let original = if is_token { format!("Bearer {}", FIXTURE.token) } else { FIXTURE.keys[0].clone() };
    let sent = edited(original.as_bytes(), &mut bytes);
    let name = if is_token { "authorization" } else { "x-api-key" };
    let path = "/api/v2/public/env/definitions?scope=linked_account";
    let Ok(request) = Request::get(path).header(name, sent.as_slice()).body(Body::empty()) else { return };
    let answer = runtime().block_on(FIXTURE.answer(request));
    // A scheme has no case, and white space may follow it: RFC 9110, 11.4.
    let is_same = match is_token {
        true => {
            sent.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "))
                && sent[7..].trim_ascii() == FIXTURE.token.as_bytes()
        }
        false => sent == original.as_bytes(),
    };
    assert!(
        answer.status.is_success() == is_same,
        "{} for a text that is the same: {is_same}",
        answer.status
    );
    assert!(!answer.status.is_server_error(), "{}", answer.status);
}

/// A service over a vault with secrets in it.
struct Fixture {
    vault: Vault,
    app: Router,
    /// Of the documented calls; and of every other right but to reveal.
    keys: [String; 2],
    token: String,
    definitions: [String; 2],
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Fixture {
    async fn new() -> Self {
        let clock = TestClock::default();
        clock.set(1_700_000_000_000);
        let options = VaultOptions::default().clock(clock.clone()).history_versions(10);
        let vault = vault(MemoryStore::new(), options).await.expect("a vault can be made");
        let org = vault.org(org_id(), Environment::test());
        let definitions = furnish(&org).await.expect("what is valid is taken");
        let any = Rate { per_sec: u32::MAX.try_into().unwrap(), burst: u32::MAX.try_into().unwrap() };
        let limits =
            Limits::default().failure_rate(any).any_token_rate().refusal_pause(std::time::Duration::ZERO);
        let app = router(ServiceOptions::default().clock(clock).limits(limits).serve(vault.clone()));
        let all = [Right::Read, Right::Write, Right::Admin, Right::Operate, Right::Documented];
        let keys = [key(&org, Grant::default()).await, key(&org, Grant::of(all)).await];
        let mut fixture = Self { vault, app, keys, token: String::new(), definitions };
        let request = Request::post("/api/v2/public/session-token")
            .header("x-api-key", &fixture.keys[0])
            .header("content-type", "application/json")
            .body(Body::from(r#"{"linked_account_id":"user_1"}"#));
        let answer = fixture.answer(request.unwrap()).await;
        let body: Value = serde_json::from_slice(&answer.body).expect("a token is answered");
        fixture.token = body["token"].as_str().expect("a token is answered").to_owned();
        fixture
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.expect("a router has an answer");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("an answer comes whole");
        Answer { status: parts.status, headers: parts.headers, body: body.to_vec() }
    }

    async fn call(&self, call: &Call, bytes: &mut Bytes<'_>) {
        let mut path = String::new();
        for part in call.path.split_inclusive(['{', '}']) {
            match part.strip_suffix('}') {
                Some(_) => path += &encoded(&self.word(bytes)),
                None => path += part.trim_end_matches('{'),
            }
        }
        for (place, name) in call.query.iter().enumerate() {
            if bytes.seldom(4) {
                path.push(if path.contains('?') { '&' } else { '?' });
                path += &format!("{name}={}", encoded(&self.word(bytes)));
            } else if place > 8 {
                break;
            }
        }
        let mut request = Request::builder().method(call.method.clone()).uri(&path);
        let known = match bytes.byte() % 8 {
            0 => None,
            1..=3 => Some(("x-api-key", self.keys[0].clone())),
            4 | 5 => Some(("x-api-key", self.keys[1].clone())),
            _ => Some(("authorization", format!("Bearer {}", self.token))),
        };
        if let Some((name, value)) = &known {
            request = request.header(*name, value);
        }
        if bytes.seldom(8) {
            request = request.header("linked_account_id", bytes.piece());
        }
        let body = self.body(call, bytes);
        let Ok(request) = request.header("content-type", "application/json").body(Body::from(body)) else {
            return;
        };
        let what = format!("{} {path}", call.method);
        let answer = self.answer(request).await;
        answer.keeps_the_contract(&what);
        assert!(known.is_some() || !answer.status.is_success(), "{what}: nobody may call");
    }

    /// An object with some of the fields of the call, or anything.
    fn body(&self, call: &Call, bytes: &mut Bytes<'_>) -> Vec<u8> {
        if bytes.seldom(16) {
            return bytes.piece().to_vec();
        }
        let mut body = Map::new();
        for field in &call.fields {
            if !bytes.seldom(3) {
                let value = if field == "value" { json!(SENT) } else { self.json(bytes, 2) };
                body.insert(field.clone(), value);
            }
        }
        let body = Value::Object(body).to_string().into_bytes();
        if bytes.seldom(16) { edited(&body, &mut Bytes::of(bytes.piece())) } else { body }
    }

    fn json(&self, bytes: &mut Bytes<'_>, depth: u8) -> Value {
        match bytes.byte() % 12 {
            0 => Value::Null,
            1 => json!(bytes.seldom(2)),
            2 => json!(bytes.number()),
            3 => json!(-1.5e300),
            4 if depth > 0 => json!([self.json(bytes, depth - 1)]),
            5 if depth > 0 => json!({ self.word(bytes): self.json(bytes, depth - 1) }),
            6 if depth > 0 => json!([]),
            7 if depth > 0 => json!({}),
            _ => json!(self.word(bytes)),
        }
    }

    /// Mostly a name, an id or a text that means something in this vault.
    fn word(&self, bytes: &mut Bytes<'_>) -> String {
        let [plain, secret] = &self.definitions;
        let words = [
            "PLAIN",
            "SECRET",
            "NEW",
            plain,
            secret,
            "user_1",
            "user_2",
            "wf_1",
            "default-app",
            "api_key",
            "org",
            "linked_account",
            "workflow",
            "string",
            "integer",
            "true",
            "false",
            "0",
            "1",
            "2",
            "100",
            "18446744073709551615",
            "2023-11-14T22:13:20.000Z",
            "active",
            "encrypted",
            "json",
            "",
        ];
        match usize::from(bytes.byte()) {
            choice if choice < 200 => words[choice % words.len()].to_owned(),
            _ => bytes.text(),
        }
    }
}

impl Answer {
    fn keeps_the_contract(&self, what: &str) {
        let Self { status, headers, body } = self;
        let text = String::from_utf8_lossy(body);
        assert!(!status.is_server_error(), "{what}: {status} {text}");
        assert!(headers["cache-control"] == "no-store", "{what}: may be cached");
        assert!(headers["x-content-type-options"] == "nosniff", "{what}: may be taken for something else");
        for secret in [SECRET, CREDENTIAL] {
            assert!(!text.contains(secret), "{what}: tells a secret");
        }
        if !status.is_success() {
            let refused: Value = serde_json::from_slice(body).expect("a refusal is JSON");
            assert!(refused["status_code"] == status.as_u16(), "{what}: {text}");
            assert!(
                refused["http_error_type"].is_string() && refused["message"].is_string(),
                "{what}: {text}"
            );
            assert!(!text.contains(SENT), "{what}: a refusal repeats a value");
        }
    }
}

async fn furnish(org: &Org) -> Result<[String; 2], strongroom::Error> {
    let plain = org.define(VariableDefinition::new("PLAIN", VarFormat::String)).await?;
    let secret = org.define(VariableDefinition::new("SECRET", VarFormat::String).encrypted()).await?;
    org.set_value("PLAIN", Scope::Org, "plain").await?;
    org.set_value("SECRET", Scope::Org, SECRET).await?;
    let account = "user_1".parse()?;
    org.create_account(account).with_default_app().await?;
    org.account("user_1".parse()?).upsert_credential("api_key", CREDENTIAL).await?;
    Ok([plain.to_string(), secret.to_string()])
}

async fn key(org: &Org, grant: Grant) -> String {
    let keys = ApiKeys::of(org).expect("keys have a place");
    let made = keys.create(NewApiKey::named("fuzz").with(grant)).await;
    made.expect("a key can be made").key.expose().to_owned()
}

/// A call as the description of the service has it.
struct Call {
    method: Method,
    path: String,
    query: Vec<String>,
    fields: Vec<String>,
}

static CALLS: LazyLock<Vec<Call>> = LazyLock::new(|| {
    let described = runtime().block_on(async {
        let fixture = Fixture::new().await;
        fixture.answer(Request::get("/openapi.json").body(Body::empty()).unwrap()).await
    });
    let described: Value = serde_json::from_slice(&described.body).expect("the description is JSON");
    let mut calls = Vec::new();
    for (path, methods) in described["paths"].as_object().expect("there are paths") {
        for (method, call) in methods.as_object().expect("there are methods") {
            let Ok(method) = method.to_uppercase().parse() else { continue };
            let parameters = call["parameters"].as_array().map_or(&[][..], Vec::as_slice);
            let query = parameters.iter().filter(|one| one["in"] == "query");
            let query = query.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect();
            let schema = &call["requestBody"]["content"]["application/json"]["schema"];
            calls.push(Call { method, path: path.clone(), query, fields: fields(&described, schema) });
        }
    }
    assert!(calls.len() > 60, "the description names every call");
    calls
});

/// The names of the properties of a schema, wherever it has them.
fn fields(described: &Value, schema: &Value) -> Vec<String> {
    if let Some(place) = schema["$ref"].as_str().and_then(|place| place.strip_prefix('#')) {
        return described.pointer(place).map_or_else(Vec::new, |schema| fields(described, schema));
    }
    let own = schema["properties"].as_object().into_iter().flat_map(|all| all.keys().cloned());
    let parts = ["allOf", "oneOf", "anyOf"].into_iter().filter_map(|of| schema[of].as_array()).flatten();
    own.chain(parts.flat_map(|part| fields(described, part))).collect()
}

fn encoded(word: &str) -> String {
    utf8_percent_encode(word, NON_ALPHANUMERIC).to_string()
}

fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        let built = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        built.expect("a runtime can be built")
    });
    &RUNTIME
}

const CALLS_MAX: usize = 6;
const SECRET: &str = "s3cret-of-the-org";
const CREDENTIAL: &str = "cr3dential-of-the-account";
/// What is sent as a value.
const SENT: &str = "v4lue-that-was-sent";
