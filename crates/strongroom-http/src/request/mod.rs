//! The parts of a request, read strictly: nothing is repaired, and no refusal echoes the input.

mod body;
mod query;
mod segment;
mod stated;

use axum::http::HeaderMap;

pub(crate) use body::{
    Body, SecretText, json_text, objects, present, some_object, some_var_format, var_format,
};
pub(crate) use query::Query;
pub(crate) use segment::Segment;
pub(crate) use stated::{AccountHeader, AccountQuery, Stated, StatedBody, account_id};

/// The value of a header that may occur once, as UTF-8.
pub(crate) fn single_header<'h>(
    headers: &'h HeaderMap,
    name: &'static str,
) -> Result<Option<&'h str>, Unreadable> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Unreadable);
    }
    std::str::from_utf8(value.as_bytes()).map(Some).map_err(|_| Unreadable)
}

/// A header that occurs twice, or is not UTF-8.
#[derive(Debug)]
pub(crate) struct Unreadable;
