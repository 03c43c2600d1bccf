//! The second implementation, and what its answers say.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use strongroom::store::{KeyRange, ReadBatch, Scan, Store};
use strongroom::{Metadata, Org, Scope, ScopeKind, StoredDefinition, VarFormat};

/// Every row, as the store answers them.
pub(crate) async fn dump(store: &dyn Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut dump = Vec::new();
    let mut rest = KeyRange::all();
    loop {
        let request = ReadBatch { gets: Vec::new(), scans: vec![Scan::new(rest.clone(), 1_000)] };
        let page = store.read(&request).await.unwrap().scans.pop().unwrap();
        let rows = page.rows.into_iter().map(|(key, row)| (Vec::from(key), row.value));
        dump.extend(rows);
        match dump.last() {
            Some((last, _)) if page.more => rest = rest.after(last),
            _ => return dump,
        }
    }
}

/// What the decoder makes of the rows, or what it has to say against them.
pub(crate) fn decode(dump: &[(Vec<u8>, Vec<u8>)], arguments: &[&str]) -> Result<Vec<Value>, String> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/store.py");
    let mut decoder = Command::new("python3")
        .arg(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("this test runs tests/interop/store.py, and python3 cannot be run: {error}")
        });
    let mut input = decoder.stdin.take().unwrap();
    // It reads all of them before it answers.
    for (key, value) in dump {
        writeln!(input, "{}", json!({ "key": hex::encode(key), "value": hex::encode(value) })).unwrap();
    }
    drop(input);
    let output = decoder.wait_with_output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let answer = String::from_utf8(output.stdout).unwrap();
    Ok(answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The decoded rows of one kind in one org.
pub(crate) fn rows<'a>(decoded: &'a [Value], kind: &'a str, org: &'a Org) -> impl Iterator<Item = &'a Value> {
    let (id, environment) = (org.id().to_string(), org.environment().as_str());
    decoded
        .iter()
        .filter(move |row| row["row"] == kind && row["org"] == id && row["environment"] == environment)
}

pub(crate) fn scope_of(row: &Value) -> Scope {
    match (row["linked_account"].as_str(), row["workflow"].as_str()) {
        (Some(account), None) => Scope::LinkedAccount(account.parse().unwrap()),
        (None, Some(workflow)) => Scope::Workflow(workflow.parse().unwrap()),
        _ => Scope::Org,
    }
}

/// A definition in the words of the decoder.
pub(crate) fn definition(org: &Org, stored: &StoredDefinition) -> Value {
    let written = &stored.definition;
    let mut format = json!({ "name": written.var_format.name() });
    match &written.var_format {
        VarFormat::Enum(list) => format["list"] = list.values().collect(),
        VarFormat::UrlWithScheme(list) => format["list"] = list.schemes().collect(),
        VarFormat::Pattern(pattern) => {
            format["pattern"] = pattern.pattern().into();
            format["unicode"] = pattern.is_unicode().into();
            format["must_match"] = pattern.must_match().collect();
            format["must_not_match"] = pattern.must_not_match().collect();
        }
        _ => {}
    }
    without_nulls(json!({
        "row": "definition",
        "org": org.id().to_string(),
        "environment": org.environment().as_str(),
        "definition_id": stored.id.to_string(),
        "revision": stored.revision.as_u64(),
        "name": written.name,
        "format": format,
        "length": written.length.map(|bounds| [bounds.min(), bounds.max()]),
        "encrypted": written.encrypted,
        "description": written.description,
        "default": written.default,
        "required": written.required,
        "scopes": written.scopes.iter().map(ScopeKind::as_str).collect::<Vec<_>>(),
        "author": written.author,
        "created_by": stored.created_by,
        "created_ms": stored.created_at,
        "updated_ms": stored.updated_at,
        "format_changes": serde_json::to_value(stored).unwrap()["format_changes"],
        "request_id": stored.metadata.request_id(),
        "note": stored.metadata.note(),
        "labels": labels(&stored.metadata),
    }))
}

/// What is said about a version, in the words of the decoder.
pub(crate) fn said(metadata: &Metadata) -> [Value; 5] {
    [
        json!(metadata.author()),
        json!(metadata.request_id()),
        json!(metadata.note()),
        json!(labels(metadata)),
        json!(metadata.expires_at()),
    ]
}

/// The same of a decoded row.
pub(crate) fn said_in(row: &Value) -> [Value; 5] {
    ["author", "request_id", "note", "labels", "expires_ms"].map(|field| row[field].clone())
}

fn labels(metadata: &Metadata) -> Option<Vec<&str>> {
    let labels: Vec<_> = metadata.labels().collect();
    (!labels.is_empty()).then_some(labels)
}

pub(crate) fn without_nulls(mut object: Value) -> Value {
    object.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    object
}

pub(crate) fn text<'v>(row: &'v Value, field: &str) -> &'v str {
    row[field].as_str().unwrap_or_else(|| panic!("{} has no {field}", row["row"]))
}

pub(crate) fn number(row: &Value, field: &str) -> u64 {
    row[field].as_u64().unwrap_or_else(|| panic!("{} has no {field}", row["row"]))
}
