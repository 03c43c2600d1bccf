//! Query strings.

use std::borrow::Cow;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::Failure;

/// A query string, whose values are all texts. Each must be UTF-8 and occur at most once. Unknown parameters
/// are skipped, unless `T` denies them.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parse(parts.uri.query().unwrap_or_default()).map(Self).ok_or_else(refused)
    }
}

fn parse<T: DeserializeOwned>(query: &str) -> Option<T> {
    let mut params = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if params.insert(decode(name)?, Value::String(decode(value)?)).is_some() {
            return None;
        }
    }
    T::deserialize(Value::Object(params)).ok()
}

fn decode(text: &str) -> Option<String> {
    // Forms and URL libraries write a space this way.
    let text: Cow<'_, str> = if text.contains('+') { text.replace('+', " ").into() } else { text.into() };
    percent_decode_str(&text).decode_utf8().ok().map(Cow::into_owned)
}

fn refused() -> Failure {
    Failure::bad_request(
        "each parameter of the query must be UTF-8, occur at most once and, in a control call, be one of its own",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug, PartialEq)]
    struct Params {
        a: Option<String>,
        b: Option<String>,
    }

    #[test]
    fn a_query_is_decoded_once_and_strictly() {
        let read = |text| parse::<Params>(text).map(|params| (params.a, params.b));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read("a=x%2By+z&b=%2541&c=1"), Some((some("x+y z"), some("%41"))));
        assert_eq!(read("b&&a="), Some((some(""), some(""))));
        assert_eq!(read(""), Some((None, None)));
        assert_eq!(read("a=1&a=1"), None);
        assert_eq!(read("a=%ff"), None);
        assert_eq!(read("a=%zz"), Some((some("%zz"), None)));
    }
}
