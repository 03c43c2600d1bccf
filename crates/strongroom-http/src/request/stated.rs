//! Which linked account a request names, and where.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;
use strongroom::LinkedAccountId;
use utoipa::IntoParams;

use super::single_header;
use crate::error::Failure;

/// The header `linked_account_id`, if it is there.
#[derive(Debug)]
pub(crate) struct AccountHeader(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for AccountHeader {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        // If it were ignored, a value meant for one account would be set for the whole org.
        if parts.headers.contains_key("linked-account-id") {
            return Err(Failure::linked_account("the header is linked_account_id, with underscores"));
        }
        let header = single_header(&parts.headers, "linked_account_id").map_err(|_| {
            Failure::linked_account("the header linked_account_id must be UTF-8 and occur once")
        })?;
        Ok(Self(header.map(str::to_owned)))
    }
}

/// The linked account in a query.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AccountQuery {
    #[param(required = false, value_type = String)]
    pub(crate) linked_account_id: Option<String>,
}

/// The body of a call without fields of its own, which may name the account as its header and query may. Clients send
/// one with `DELETE` too, and an account named there must not be ignored.
#[derive(Deserialize)]
pub(crate) struct StatedBody {
    pub(crate) linked_account_id: Option<String>,
    pub(crate) workflow_id: Option<String>,
}

/// The linked account that a request names: in its path, as header, in its query or in its body.
#[derive(Default)]
pub(crate) struct Stated<'r> {
    path: Option<&'r str>,
    header: Option<&'r str>,
    query: Option<&'r str>,
    body: Option<&'r str>,
}

impl<'r> Stated<'r> {
    /// The one in the header, if there is one.
    pub(crate) fn in_header(AccountHeader(header): &'r AccountHeader) -> Self {
        Self { header: header.as_deref(), ..Self::default() }
    }

    /// Or the one in the query.
    pub(crate) fn or_query(mut self, query: Option<&'r str>) -> Self {
        self.query = query;
        self
    }

    /// Or the one in the body.
    pub(crate) fn or_body(mut self, body: Option<&'r str>) -> Self {
        self.body = body;
        self
    }

    /// The one in the path, with which all others must agree.
    pub(crate) fn and_path(mut self, path: &'r str) -> Self {
        self.path = Some(path);
        self
    }

    /// The account: the header takes precedence over the query, and all other places must agree.
    pub(crate) fn linked_account(&self) -> Result<Option<LinkedAccountId>, Failure> {
        let first = self.path.or(self.header).or(self.query).or(self.body);
        let beside_path = [self.header, self.query].map(|named| self.path.and(named));
        let mut others = beside_path.into_iter().chain([self.body]).flatten();
        if others.any(|other| Some(other) != first) {
            return Err(Failure::linked_account(
                "linked_account_id differs between two places of the request",
            ));
        }
        first.map(account_id).transpose()
    }

    /// Whether any place names another account than `own`.
    pub(crate) fn names_other_than(&self, own: &LinkedAccountId) -> bool {
        [self.path, self.header, self.query, self.body].into_iter().flatten().any(|text| text != own.as_str())
    }
}

/// The id of a linked account. HTTP trims blanks at both ends of a header, so an id with such blanks would be a
/// different one there.
pub(crate) fn account_id(text: &str) -> Result<LinkedAccountId, Failure> {
    let id = text.parse().map_err(|error: strongroom::IdError| Failure::linked_account(error.to_string()))?;
    match text.trim() == text {
        true => Ok(id),
        false => Err(Failure::linked_account("a linked account id neither begins nor ends with a blank")),
    }
}
