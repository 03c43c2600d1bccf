//! The description of the service, generated from its handlers.

use std::collections::BTreeMap;

use utoipa::openapi::{Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::error::ErrorBody;

/// The errors that every call may answer, in one envelope.
pub(crate) struct Failures;

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let of = |(status, description): (&str, &str)| {
            let schema = Ref::from_schema_name(ErrorBody::name());
            let content = utoipa::openapi::ContentBuilder::new().schema(Some(schema)).build();
            let response =
                ResponseBuilder::new().description(description).content("application/json", content).build();
            (status.to_owned(), RefOr::T(response))
        };
        FAILURES.into_iter().map(of).collect()
    }
}

/// Every status of an error, with what it means.
const FAILURES: [(&str, &str); 10] = [
    ("400", "The request breaks a rule"),
    ("401", "The key or token is missing or not valid"),
    ("404", "There is nothing of this name"),
    ("405", "The path takes other methods"),
    ("413", "The body is too large"),
    ("415", "The body is not declared to be JSON"),
    ("429", "Too many requests; `Retry-After` says when the next one will do"),
    ("431", "The headers are too large"),
    ("500", "The service failed; its log tells why"),
    ("503", "The service is too busy; try again"),
];
