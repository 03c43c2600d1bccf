//! The response to a request that failed: one envelope, whatever the cause, which never echoes a submitted value.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use strongroom::{Error, ErrorKind, IntegrationId, Invalid};
use utoipa::ToSchema;

use crate::reason::Reason;
use crate::remedy::{next_of_damage, next_of_whole};
use crate::status::{ErrorCode, ErrorStatus, HttpErrorType};

/// A request that failed.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    status: StatusCode,
    code: ErrorCode,
    field: CodeField,
    message: Cow<'static, str>,
    /// In the body of the response to a control call, and in a header of each refusal.
    reason: Reason,
    retry_after: Option<Duration>,
    /// Whether it names a row, which may be one that was not requested.
    names_row: bool,
    /// The error behind a refusal that later passes, for the log line of the request: one line of its own for each
    /// would flood the log in an outage.
    cause: Option<Arc<str>>,
}

/// Which field of the envelope names the code: `error`, or `error_code` in the 404s of three calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CodeField {
    Error,
    ErrorCode,
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorBody<'a> {
    /// The HTTP status.
    status_code: u16,
    http_error_type: HttpErrorType,
    /// The code of the error; in the 404s of a definition, of `get value` and of `delete value` it is `error_code`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<ErrorCode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error_code: Option<ErrorCode>,
    /// For people. It never holds a submitted value.
    #[schema(value_type = String)]
    message: &'a str,
}

/// The body of every error of a control call.
#[derive(Serialize, ToSchema)]
pub(crate) struct ControlErrorBody<'a> {
    #[serde(flatten)]
    body: ErrorBody<'a>,
    /// Why, for programs.
    reason: Reason,
}

impl Failure {
    /// Without a reason of its own, it has the most common one for its status.
    fn new(status: StatusCode, code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            field: CodeField::Error,
            message: message.into(),
            reason: usual(status),
            retry_after: None,
            names_row: false,
            cause: None,
        }
    }

    pub(crate) fn because(self, reason: Reason) -> Self {
        Self { reason, ..self }
    }

    /// 400: the request breaks a rule.
    pub(crate) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::ServerError, message)
    }

    /// 400: a required field is missing.
    pub(crate) fn required(field: &'static str) -> Self {
        Self::bad_request(format!("{field} is required"))
    }

    /// 400: the linked account is missing or unknown, or its id is not valid.
    pub(crate) fn linked_account(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidLinkedAccountId, message)
    }

    /// 400: a session token reaches for something that is not its account's own.
    pub(crate) fn not_own_scope() -> Self {
        Self::bad_request("linked account auth must match the target scope")
    }

    /// 401: no key, or one that is not valid here.
    pub(crate) fn bad_key() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::ServerError, "Invalid Credentials")
    }

    /// 401: no token, or one that is not valid.
    pub(crate) fn bad_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::InvalidToken, "Invalid token")
    }

    /// 403: the API key lacks a right.
    pub(crate) fn lacks(right: &str) -> Self {
        let message = format!("this API key lacks the right {right}");
        Self::new(StatusCode::FORBIDDEN, ErrorCode::ServerError, message)
    }

    /// 403: the API key has the right only for other names or accounts.
    pub(crate) fn elsewhere(right: &str) -> Self {
        let message = format!("this API key has the right {right} only for other names or accounts");
        Self::new(StatusCode::FORBIDDEN, ErrorCode::ServerError, message).because(Reason::RightElsewhere)
    }

    /// 403: the API key to be created or replaced may do more than the one that requests it.
    pub(crate) fn outranked() -> Self {
        let message = "this API key makes and replaces only keys that may do no more than itself";
        Self::new(StatusCode::FORBIDDEN, ErrorCode::ServerError, message).because(Reason::Outranked)
    }

    /// An error of the engine in its own words, for callers who may read them: those of the control calls. It never
    /// holds a value, a key or a credential.
    pub(crate) fn in_full(error: &Error) -> Self {
        if matches!(error, Error::RootRotated) {
            return Self::root_rotated();
        }
        if matches!(error, Error::Retired) {
            return Self::moved().caused_by(error);
        }
        if matches!(error, Error::RotationUnderway | Error::Slot(_)) && error.kind() != ErrorKind::NotFound {
            // The operator who reads it is the one to act.
            return Self::bad_request(error.to_string()).because(Reason::of(error));
        }
        let found = ErrorStatus::of(error);
        let status = StatusCode::from_u16(found.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status == StatusCode::INSUFFICIENT_STORAGE {
            return Self::disk_full().caused_by(error);
        }
        let failure = Self::new(status, found.code, error.to_string());
        let failure = match status {
            StatusCode::SERVICE_UNAVAILABLE => failure.caused_by(error),
            status if status.is_server_error() => {
                log_failed(error);
                failure
            }
            _ => failure,
        };
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then(|| Duration::from_secs(1));
        let names_row = matches!(
            error,
            Error::Damaged { .. }
                | Error::UnknownKey { .. }
                | Error::UnknownVersion { .. }
                | Error::RolledBack { .. }
        );
        Self { reason: Reason::of(error), retry_after, names_row, ..failure }
    }

    /// Adds something to know, or to do.
    pub(crate) fn adding(self, step: &str) -> Self {
        Self { message: format!("{}; {step}", self.message).into(), ..self }
    }

    /// 404: nothing has this name. The reason says what kind of thing is missing.
    pub(crate) fn absent(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::ResourceNotFound, message).because(reason)
    }

    /// 404 of a variable definition.
    pub(crate) fn definition_not_found() -> Self {
        Self::absent(Reason::DefinitionNotFound, DEFINITION_NOT_FOUND)
    }

    /// 404 of a scoped value.
    pub(crate) fn value_not_found() -> Self {
        Self::absent(Reason::ValueNotFound, "Variable value not found")
    }

    /// 429, with the time after which the next request is allowed.
    pub(crate) fn too_many_requests(retry_after: Duration) -> Self {
        let failure = Self::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::ServerError, "Too many requests");
        Self { retry_after: Some(retry_after), ..failure }
    }

    /// 429: the caller has too many concurrent requests. It is unknown when the next one of them ends.
    pub(crate) fn too_many_at_once() -> Self {
        Self::too_many_requests(Duration::from_secs(1))
    }

    /// 503: the same request may succeed later. Nothing was done, unless it took too long: then its write may have been
    /// made.
    pub(crate) fn overloaded() -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let failure =
            Self::new(status, ErrorCode::InternalServerError, "Service unavailable, try again later");
        Self { retry_after: Some(Duration::from_secs(1)), ..failure }
    }

    /// 503: the vault is being opened with the root key that another process gave it.
    fn root_rotated() -> Self {
        Self { message: ROOT_ROTATED.into(), ..Self::overloaded().because(Reason::RootRotated) }
    }

    /// 503: the vault was moved to another store, and only another service takes writes.
    fn moved() -> Self {
        Self { message: MOVED.into(), ..Self::overloaded().because(Reason::Moved) }
    }

    /// A refusal by the HTTP layer: an unknown method, a body that is too large or of another type, and so on.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let message = match status {
            StatusCode::NOT_FOUND => return Self::absent(Reason::NoSuchCall, "Route not found"),
            StatusCode::SERVICE_UNAVAILABLE => return Self::overloaded(),
            StatusCode::REQUEST_TIMEOUT => "Request body did not arrive in time",
            StatusCode::METHOD_NOT_ALLOWED => "Method not allowed",
            StatusCode::PAYLOAD_TOO_LARGE => "Request body too large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "Content-Type must be application/json",
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "Request headers too large",
            StatusCode::URI_TOO_LONG => "Request target too long",
            status if status.is_server_error() => return Self::internal(),
            _ => "Bad request",
        };
        Self::new(status, ErrorCode::ServerError, message)
    }

    /// 507: nothing was written, except if the store had to be opened again during the write and could not be. Reads
    /// continue.
    pub(crate) fn disk_full() -> Self {
        let message = "The disk of the store is full: free some space, and writes resume by themselves";
        let code = ErrorCode::InternalServerError;
        let failure = Self::new(StatusCode::INSUFFICIENT_STORAGE, code, message);
        Self { retry_after: Some(Duration::from_secs(1)), ..failure }
    }

    fn caused_by(self, error: &Error) -> Self {
        Self { cause: Some(error.to_string().into()), ..self }
    }

    /// The error of the vault or its store behind a refusal.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Whether it is of an outage, which ends.
    pub(crate) fn is_of_outage(&self) -> bool {
        self.cause.is_some() && self.reason != Reason::Moved
    }

    /// Whether the root key was rotated elsewhere, and this process does not have it yet.
    pub(crate) fn is_root_rotated(&self) -> bool {
        self.reason == Reason::RootRotated
    }

    /// Whether it names a row that cannot be read.
    pub(crate) fn names_row(&self) -> bool {
        self.names_row
    }

    /// The message for the client.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// 500: the log has the details.
    pub(crate) fn internal() -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(status, ErrorCode::InternalServerError, "Internal server error")
    }

    /// 500: a row that cannot be read is in the way. `why` names it, and `step` says what to do.
    pub(crate) fn damaged(why: &str, step: &str) -> Self {
        tracing::error!(error = why, next = next_of_row(why), "a request failed");
        let (status, code) = (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::InternalServerError);
        let step = next_of_whole(why).unwrap_or(step);
        let failure = Self::new(status, code, format!("{why}; {step}")).because(Reason::Damaged);
        Self { names_row: true, ..failure }
    }

    /// 500, for a key that may not see the row that cannot be read.
    pub(crate) fn unreadable() -> Self {
        Self { message: UNREADABLE.into(), ..Self::internal().because(Reason::Damaged) }
    }

    /// Puts the code of a 404 into `error_code`, as three calls do.
    pub(crate) fn with_error_code(mut self) -> Self {
        if self.status == StatusCode::NOT_FOUND {
            self.field = CodeField::ErrorCode;
        }
        self
    }
}

impl Failure {
    fn body(&self) -> ErrorBody<'_> {
        let (error, error_code) = match self.field {
            CodeField::Error => (Some(self.code), None),
            CodeField::ErrorCode => (None, Some(self.code)),
        };
        let http_error_type = HttpErrorType::of(self.status);
        let status_code = self.status.as_u16();
        ErrorBody { status_code, http_error_type, error, error_code, message: &self.message }
    }
}

/// The response to a control call: if it is a refusal, its body also has a reason.
pub(crate) fn with_reason(response: Response) -> Response {
    let Some(failure) = response.extensions().get::<Failure>() else { return response };
    let body = ControlErrorBody { body: failure.body(), reason: failure.reason };
    let body = Json(body).into_response().into_body();
    let (mut head, _) = response.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, body)
}

/// The most common reason for refusals with this status.
fn usual(status: StatusCode) -> Reason {
    match status {
        StatusCode::BAD_REQUEST => Reason::Invalid,
        StatusCode::UNAUTHORIZED => Reason::BadKey,
        StatusCode::FORBIDDEN => Reason::LacksRight,
        StatusCode::NOT_FOUND => Reason::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Reason::NoSuchCall,
        StatusCode::TOO_MANY_REQUESTS => Reason::TooManyRequests,
        StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        | StatusCode::URI_TOO_LONG => Reason::TooLarge,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT => Reason::Busy,
        StatusCode::INSUFFICIENT_STORAGE => Reason::DiskFull,
        status if status.is_client_error() => Reason::Invalid,
        _ => Reason::Internal,
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(wait) = self.retry_after {
            // Rounded up: a client that comes a moment too early is refused again.
            let whole_secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(whole_secs.max(1)));
        }
        // Why a service fails is for its operator.
        if let (true, Ok(reason)) =
            (self.status.is_client_error(), HeaderValue::try_from(format!("{:?}", self.reason)))
        {
            response.headers_mut().insert(REASON_HEADER, reason);
        }
        // For the layers around the call.
        response.extensions_mut().insert(self);
        response
    }
}

/// Every error of the engine has one status, which [`ErrorStatus`] knows.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if matches!(error, Error::RootRotated) {
            return Self::root_rotated();
        }
        if matches!(error, Error::Retired) {
            return Self::moved().caused_by(&error);
        }
        let found = ErrorStatus::of(&error);
        match found.status {
            // Only an operator can act on it, so it goes to the log and not to the caller.
            500 => {
                log_failed(&error);
                Self::internal().because(Reason::of(&error))
            }
            503 => Self::overloaded().caused_by(&error),
            507 => Self::disk_full().caused_by(&error),
            404 => Self::absent(Reason::of(&error), message(&error)),
            _ => Self::bad_request(message(&error)).because(Reason::of(&error)),
        }
    }
}

/// Tells the operator what the caller of a documented call is not told: which row cannot be read, and what to do.
fn log_failed(error: &Error) {
    match error.kind() == ErrorKind::Damaged {
        true => tracing::error!(%error, next = next_of_row(&error.to_string()), "a request failed"),
        false => tracing::error!(%error, "a request failed"),
    }
}

fn next_of_row(why: &str) -> &'static str {
    next_of_damage(why).unwrap_or(NEXT_OF_DAMAGE)
}

/// Why a call is refused, in a word of [`Reason`]. The contract has no field for it.
pub(crate) const REASON_HEADER: &str = "x-strongroom-reason";
const NEXT_OF_DAMAGE: &str = "`strongroom verify` names all damaged rows; `undo --replace-damaged` puts a version in \
                              the place of a value or credential, and a backup has all of them";

/// The message for a client: the engine's own words only if they can contain neither a submitted value nor an id of
/// another scope.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the last message fits every error; the status is the one that must be complete"
)]
fn message(error: &Error) -> Cow<'static, str> {
    let fixed = match error {
        Error::IntegrationNotFound { account, integration, connection } => {
            let which = match connection {
                Some(_) => "Connection",
                None if *integration == IntegrationId::default_app() => "Default app integration",
                None => "Integration",
            };
            return format!("{which} not found for linked account {account}").into();
        }
        // Without the name, which was submitted: it may be a secret in the wrong field.
        Error::Invalid(Invalid::Definition { rule, .. }) => {
            return format!("the variable definition is invalid: {rule}").into();
        }
        Error::Invalid(Invalid::Default { rule, .. }) => {
            return format!("the default of the variable definition is invalid: {rule}").into();
        }
        Error::Invalid(Invalid::Id(_) | Invalid::Scope(_))
        | Error::TooLong { .. }
        | Error::Invalid(Invalid::NamePattern)
        | Error::TooManyDefinitions(_)
        | Error::OverQuota { .. } => return error.to_string().into(),
        Error::DefinitionNotFound(_) => DEFINITION_NOT_FOUND,
        Error::AccountNotFound(_) => "Linked account not found",
        Error::InvalidValue { .. } => "value does not match the variable format",
        Error::ScopeNotAllowed { .. } => "the variable definition allows no value at this scope",
        Error::ScopeInUse { .. } => "a value is set at a scope that would be removed: delete it first",
        Error::DefinitionExists(_) => "a variable definition with this name exists",
        Error::Invalid(Invalid::DuplicateCredentialKey) => "Duplicate Auth key_name not allowed",
        Error::AccountExists(_) => "Linked account exists already",
        Error::Store(_) => "the request holds more than one write can take",
        _ => "the request breaks a rule",
    };
    fixed.into()
}

/// The refusal for a narrowed key if a row cannot be read.
pub(crate) const UNREADABLE: &str =
    "A row that this call needs cannot be read; a key that is not narrowed is shown which one";
const ROOT_ROTATED: &str = "The root key of the vault was rotated: the service continues once its own key opens \
                            the new one";
const MOVED: &str = "The vault was moved to another store: its writes go to the service of that store";
const DEFINITION_NOT_FOUND: &str = "Variable definition not found";
