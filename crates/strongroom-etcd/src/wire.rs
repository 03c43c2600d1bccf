//! The messages of etcd's JSON gateway: bytes in base64, 64-bit numbers as text, and zeros omitted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use strongroom_store::{Expect, Key, Op, RowRevision, Scan, StoreError, StoreErrorKind, Versioned};
use zeroize::Zeroizing;

/// The answer to a transaction.
#[derive(Deserialize)]
pub(crate) struct Done {
    pub(crate) header: Header,
    #[serde(default)]
    pub(crate) succeeded: bool,
    #[serde(default)]
    pub(crate) responses: Vec<Response>,
}

/// The revision of the answer.
#[derive(Deserialize)]
pub(crate) struct Header {
    #[serde(deserialize_with = "number")]
    pub(crate) revision: u64,
}

/// The answer to one operation.
#[derive(Deserialize)]
pub(crate) struct Response {
    #[serde(default)]
    pub(crate) response_range: Found,
}

/// Rows of a range.
#[derive(Default, Deserialize)]
pub(crate) struct Found {
    #[serde(default)]
    pub(crate) kvs: Vec<Row>,
    #[serde(default)]
    pub(crate) more: bool,
}

/// One row.
#[derive(Deserialize)]
pub(crate) struct Row {
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default, deserialize_with = "number")]
    mod_revision: u64,
}

#[derive(Serialize)]
struct LogIn<'l> {
    name: &'l str,
    password: &'l str,
}

/// The answer to a login.
#[derive(Deserialize)]
pub(crate) struct LoggedIn {
    pub(crate) token: Zeroizing<String>,
}

/// Why a node refused.
#[derive(Deserialize)]
pub(crate) struct Refusal {
    #[serde(default)]
    pub(crate) code: u32,
    #[serde(default)]
    pub(crate) message: String,
}

impl Row {
    /// The key without the prefix of the store.
    pub(crate) fn key(&self, prefix: &str) -> Result<Key, StoreError> {
        let key = decode(&self.key)?;
        key.strip_prefix(prefix.as_bytes()).map(Key::from).ok_or_else(malformed)
    }

    pub(crate) fn revision(&self) -> RowRevision {
        RowRevision(self.mod_revision)
    }

    pub(crate) fn versioned(&self) -> Result<Versioned, StoreError> {
        Ok(Versioned { value: decode(&self.value)?, revision: self.revision() })
    }
}

/// A login, wiped once it is sent.
pub(crate) fn log_in(name: &str, password: &str) -> Result<Zeroizing<String>, StoreError> {
    let text = serde_json::to_string(&LogIn { name, password });
    text.map(Zeroizing::new).map_err(|_| malformed())
}

pub(crate) fn transaction(compare: &[Value], success: &[Value], failure: &[Value]) -> Value {
    json!({ "compare": compare, "success": success, "failure": failure })
}

pub(crate) fn compare(prefix: &str, key: &Key, expect: Expect) -> Value {
    let key = full(prefix, key.as_bytes());
    match expect {
        Expect::Absent => json!({ "key": key, "target": "VERSION", "result": "EQUAL", "version": "0" }),
        Expect::Exists => json!({ "key": key, "target": "VERSION", "result": "GREATER", "version": "0" }),
        Expect::Revision(RowRevision(revision)) => {
            // etcd compares an absent row as 0. No row has the revision -1.
            let revision = i64::try_from(revision).ok().filter(|revision| *revision > 0).unwrap_or(-1);
            json!({ "key": key, "target": "MOD", "result": "EQUAL", "mod_revision": revision.to_string() })
        }
    }
}

pub(crate) fn operation(prefix: &str, op: &Op) -> Value {
    let key = full(prefix, op.key().as_bytes());
    match op {
        Op::Put(_, value) => json!({ "request_put": { "key": key, "value": STANDARD.encode(value) } }),
        Op::Delete(_) => json!({ "request_delete_range": { "key": key } }),
    }
}

pub(crate) fn get(prefix: &str, key: &Key) -> Value {
    json!({ "request_range": { "key": full(prefix, key.as_bytes()) } })
}

/// Only the revision.
pub(crate) fn look(prefix: &str, key: &Key) -> Value {
    json!({ "request_range": { "key": full(prefix, key.as_bytes()), "keys_only": true } })
}

/// Up to `limit` rows of a scan, of this revision if there is one.
pub(crate) fn range(prefix: &str, scan: &Scan, limit: usize, revision: Option<u64>) -> Value {
    let end = scan.range.end.as_ref().map_or_else(
        || strongroom_store::KeyRange::prefix(prefix.as_bytes()).end.unwrap_or_else(|| vec![0]),
        |end| [prefix.as_bytes(), end].concat(),
    );
    json!({
        "key": full(prefix, &scan.range.start),
        "range_end": STANDARD.encode(end),
        "limit": limit.to_string(),
        "keys_only": scan.keys_only,
        "revision": revision.unwrap_or(0).to_string(),
        // Without an order, rows come in key order, and the node need not sort.
        "sort_order": if scan.reverse { "DESCEND" } else { "NONE" },
        "sort_target": "KEY",
    })
}

fn full(prefix: &str, key: &[u8]) -> String {
    STANDARD.encode([prefix.as_bytes(), key].concat())
}

fn decode(text: &str) -> Result<Vec<u8>, StoreError> {
    STANDARD.decode(text).map_err(|_| malformed())
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

pub(crate) fn malformed() -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, MALFORMED)
}

pub(crate) const MALFORMED: &str = "the node's answer does not fit the request";
