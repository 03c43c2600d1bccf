//! JSON bodies.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use axum::body::{Body as AnyBody, Bytes, HttpBody as _};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use strongroom::{Secret, VarFormat};

use crate::auth::Standing;
use crate::error::Failure;
use crate::load::RequestPermit;
use crate::service::Service;

/// A JSON body. Unknown fields are skipped; a known one may occur only once. An absent body counts as `{}`.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Service> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, service: &Service) -> Result<Self, Failure> {
        let declared = is_json(request.headers());
        // Refused by its declared length, so that a client that waits for `100 Continue` never sends it.
        let waits = request.headers().contains_key(header::EXPECT);
        if waits && request.body().size_hint().lower() > service.inner.limits.body_bytes_max as u64 {
            return Err(Failure::of_status(StatusCode::PAYLOAD_TOO_LARGE));
        }
        // A request without a body need not take its permit again, nor any time.
        let bytes = match request.body().is_end_stream() {
            true => Bytes::new(),
            false => receive(request, service).await?,
        };
        if !bytes.is_empty() && !declared {
            return Err(Failure::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        // If all fields can come in another way, a client may send no body.
        let bytes = if bytes.is_empty() { b"{}" } else { bytes.as_ref() };
        let text = std::str::from_utf8(bytes).map_err(|_| not_json())?;
        // A list would be read as the fields in the order in which the code declares them.
        if text.trim_ascii_start().starts_with('[') {
            return Err(not_an_object());
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let parsed = serde_path_to_error::deserialize(&mut reader).map_err(|error| wrong_field(&error))?;
        reader.end().map_err(|_| not_json())?;
        Ok(Self(parsed))
    }
}

/// Receives the body. Meanwhile the request holds no permit, and has its own time limit: a body that never ends costs
/// the service only a connection.
async fn receive(request: Request, service: &Service) -> Result<Bytes, Failure> {
    let permit = RequestPermit::of(request.extensions())?;
    let (standing, begun) = (request.extensions().get::<Standing>().cloned(), Instant::now());
    permit.pause();
    let body = read(request.into_body(), service.inner.limits.body_bytes_max);
    let received = tokio::time::timeout(service.inner.limits.body_timeout, body).await;
    let received = received.map_err(|_| Failure::of_status(StatusCode::REQUEST_TIMEOUT))??;
    permit.resume()?;
    // A body that arrives with its headers was admitted a moment ago.
    if begun.elapsed() >= RECHECK_AFTER
        && let Some(standing) = standing
        && !standing.holds(&*service.inner.clock).await?
    {
        return Err(match standing {
            Standing::Key(_) => Failure::bad_key(),
            Standing::Session(..) => Failure::bad_token(),
        });
    }
    Ok(received)
}

/// The bytes of a body, counted as they arrive. If it is too large, some more are read and dropped: most clients read
/// no response before they have sent everything, and would only see the connection end.
async fn read(mut body: AnyBody, bytes_max: usize) -> Result<Bytes, Failure> {
    let (mut first, mut rest, mut len) = (Bytes::new(), Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::of_status(StatusCode::BAD_REQUEST))?;
        let Ok(data) = frame.into_data() else { continue };
        len = len.saturating_add(data.len());
        if len > bytes_max {
            (first, rest) = (Bytes::new(), Vec::new());
            if len > bytes_max.saturating_add(DROPPED_BYTES_MAX) {
                break;
            }
        } else if first.is_empty() {
            // Most bodies come in one piece, which is not copied.
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    match len <= bytes_max {
        true if rest.is_empty() => Ok(first),
        true => Ok([&first[..], &rest].concat().into()),
        false => Err(Failure::of_status(StatusCode::PAYLOAD_TOO_LARGE)),
    }
}

/// A JSON string that is put into a [`Secret`] at once.
pub(crate) struct SecretText(pub(crate) Secret);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::from(text)))
    }
}

/// A JSON value as text: a string as it is, anything else as its exact source.
pub(crate) fn json_text(value: &RawValue) -> Result<Secret, Failure> {
    if !value.get().starts_with('"') {
        return Ok(Secret::from(value.get()));
    }
    serde_json::from_str::<String>(value.get()).map(Secret::from).map_err(|_| not_json())
}

/// A field that was given, including `null`.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// An object. A list would be read as the fields in the order in which the code declares them.
struct AsObject<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for AsObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = AsObject<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AsObject<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(AsObject)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// A field that is an object, or nothing.
pub(crate) fn some_object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let found = Option::<AsObject<T>>::deserialize(deserializer)?;
    Ok(found.map(|AsObject(found)| found))
}

/// A field that is a list of objects.
pub(crate) fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let found = Vec::<AsObject<T>>::deserialize(deserializer)?;
    Ok(found.into_iter().map(|AsObject(found)| found).collect())
}

/// A format: the name of one without parameters, including `custom:NAME`, or an object for any other.
pub(crate) fn var_format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<VarFormat, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum NameOrFormat {
        Name(String),
        Whole(VarFormat),
    }
    match NameOrFormat::deserialize(deserializer)? {
        NameOrFormat::Name(name) => name.parse().map_err(serde::de::Error::custom),
        NameOrFormat::Whole(format) => Ok(format),
    }
}

/// The same, or nothing.
pub(crate) fn some_var_format<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<VarFormat>, D::Error> {
    var_format(deserializer).map(Some)
}

fn is_json(headers: &HeaderMap) -> bool {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Names the field if it is one of the call's own. An unknown one may be a secret in the wrong place: it is never
/// echoed.
fn wrong_field(error: &serde_path_to_error::Error<serde_json::Error>) -> Failure {
    if !error.inner().is_data() {
        return not_json();
    }
    let said = error.inner().to_string();
    if said.starts_with("unknown field") {
        return Failure::bad_request("the request body has a field that this call does not take");
    }
    // The name in this serde message is that of the type's own field.
    let own = |beginning| said.strip_prefix(beginning).and_then(|rest| rest.split('`').next());
    if let Some(missing) = own("missing field `") {
        return Failure::bad_request(format!("{missing} is required"));
    }
    if let Some(twice) = own("duplicate field `") {
        return Failure::bad_request(format!("{twice} must stand in the request body once"));
    }
    match error.path().iter().next() {
        Some(serde_path_to_error::Segment::Map { key }) => {
            Failure::bad_request(format!("{key} has the wrong type"))
        }
        _ => not_an_object(),
    }
}

fn not_an_object() -> Failure {
    Failure::bad_request("the request body must be a JSON object")
}

/// How much of a body that is too large is read, so that its client gets to read the response.
const DROPPED_BYTES_MAX: usize = 16 << 20;
/// How long a body may take to arrive without the caller being checked again.
const RECHECK_AFTER: Duration = Duration::from_millis(20);

fn not_json() -> Failure {
    Failure::bad_request("the request body is not valid JSON")
}
