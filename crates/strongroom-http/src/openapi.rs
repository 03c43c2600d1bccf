//! The description of the service, generated from its handlers, and a page to read and try it.

use std::collections::BTreeMap;

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Description, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};

use crate::error::{ControlErrorBody, ErrorBody};
use crate::reason::Reason;
use crate::status::{ErrorCode, HttpErrorType};

/// The description without its calls.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "strongroom",
        description = "Scoped variables and credentials of an org, in one environment.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/")),
    tags(
        (name = "variables", description = "Variable definitions and their values"),
        (name = "credentials", description = "Credentials of the default app"),
        (name = "linked accounts", description = "The org's own customers"),
        (name = "sessions", description = "Tokens of one linked account"),
        (name = "control: variables", description = "Everything about variables, for a key with the rights to it"),
        (name = "control: accounts", description = "Linked accounts and their credentials"),
        (name = "control: sessions", description = "The sessions of linked accounts"),
        (name = "control: keys", description = "API keys and their rights"),
        (name = "control: audit", description = "Who changed what"),
        (name = "control: vault", description = "The vault as a whole: jobs, rotation, slots, checks and backups"),
    ),
    components(schemas(ErrorBody<'static>, ControlErrorBody<'static>, HttpErrorType, ErrorCode, Reason)),
    modifiers(&SecuritySchemes),
)]
pub(crate) struct Outline;

struct SecuritySchemes;

impl Modify for SecuritySchemes {
    fn modify(&self, description: &mut Description) {
        let components = description.components.get_or_insert_default();
        let key =
            ApiKey::Header(ApiKeyValue::with_description("x-api-key", "The whole org, in one environment"));
        components.add_security_scheme("api_key", SecurityScheme::ApiKey(key));
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
        let token = token.description(Some("One linked account; replaces key and `linked_account_id`"));
        components.add_security_scheme("session_token", SecurityScheme::Http(token.build()));
    }
}

/// The errors of every documented call, in one envelope.
pub(crate) struct Failures;

/// The errors of every control call, which also have a reason.
pub(crate) struct Refusals;

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        failures(&ErrorBody::name())
    }
}

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        failures(&ControlErrorBody::name())
    }
}

fn failures(schema: &str) -> BTreeMap<String, RefOr<Response>> {
    let of = |(status, description): (&str, &str)| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
        let response = ResponseBuilder::new().description(description);
        (status.to_owned(), RefOr::T(response.content("application/json", content).build()))
    };
    FAILURES.into_iter().map(of).collect()
}

/// The page, which is Swagger UI. It loads its files and the description only from this service.
pub(crate) async fn page() -> impl IntoResponse {
    // Keys are typed into this page: only its own script may run there, and it may send them nowhere else.
    let policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                  img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                  frame-ancestors 'none'";
    let headers =
        [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy)];
    (headers, include_str!("../console/dist/docs/index.html"))
}

/// The code that starts the page.
pub(crate) async fn start() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, SCRIPT)], include_str!("../console/dist/docs/start.js"))
}

/// The script of the page. It is stored compressed, which every browser accepts.
pub(crate) async fn script() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, SCRIPT), (header::CONTENT_ENCODING, "gzip")];
    (headers, include_bytes!("../console/dist/docs/swagger-ui.js.gz").as_slice())
}

/// The style of the page.
pub(crate) async fn style() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CONTENT_ENCODING, "gzip")];
    (headers, include_bytes!("../console/dist/docs/swagger-ui.css.gz").as_slice())
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
/// The prefix of the path of every call. It is part of each route, since a nested router would take apart the path of
/// every request and build another.
pub(crate) const BASE: &str = "/api/v2/public";
/// Every status of an error, with its meaning.
const FAILURES: [(&str, &str); 13] = [
    ("400", "The request breaks a rule"),
    ("401", "The key or token is missing or not valid"),
    ("403", "The key lacks a right, which the message names"),
    ("404", "Nothing has this name"),
    ("405", "The path takes other methods"),
    ("408", "The body did not arrive in time"),
    ("413", "The body is too large"),
    ("415", "The body is not declared to be JSON"),
    ("429", "Too many requests; `Retry-After` says when the next one is allowed"),
    ("431", "The headers are too large"),
    ("500", "The service failed; its log says why"),
    ("503", "The service is too busy; try again"),
    ("507", "The disk of the store is full; reads continue"),
];
