//! Seals and opens single records over JSON lines, so that another implementation of the format can be
//! compared.
//!
//! `seal` reads `{"dek", "nonce", "context": {..}, "plaintext"}` and answers the same object with `"record"`.
//! `open` reads `{"dek", "context": {..}, "record"}` and answers `{"plaintext"}`. Bytes are hex. A refusal is
//! `{"error": ".."}`, and the next line is read.

use std::io::{self, BufRead as _, Write as _};
use std::process::ExitCode;

use serde_json::{Value, json};
use strongroom::hazmat::{Context, Key, OpenError};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let answer: fn(&Value) -> Result<Value, &'static str> = match arguments.as_slice() {
        [mode] if mode == "seal" => seal,
        [mode] if mode == "open" => open,
        _ => {
            eprintln!("usage: envelope seal|open < requests.jsonl > answers.jsonl");
            return ExitCode::from(2);
        }
    };
    match answer_lines(answer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("envelope: {error}");
            ExitCode::FAILURE
        }
    }
}

fn answer_lines(answer: fn(&Value) -> Result<Value, &'static str>) -> io::Result<()> {
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().split(b'\n') {
        let request = serde_json::from_slice(&line?).map_err(|_| MALFORMED);
        let answered =
            request.and_then(|request| answer(&request)).unwrap_or_else(|error| json!({ "error": error }));
        writeln!(output, "{answered}")?;
        output.flush()?;
    }
    Ok(())
}

fn seal(request: &Value) -> Result<Value, &'static str> {
    let nonce = array(request, "nonce")?;
    let plaintext = bytes(request, "plaintext")?;
    let record = key(request)?.seal(&context(request)?, &nonce, &plaintext).map_err(|_| MALFORMED)?;
    let mut answer = request.clone();
    answer.as_object_mut().ok_or(MALFORMED)?.insert("record".into(), hex::encode(record).into());
    Ok(answer)
}

fn open(request: &Value) -> Result<Value, &'static str> {
    let record = bytes(request, "record")?;
    let opened = key(request)?.open(&context(request)?, &record).map_err(name)?;
    Ok(json!({ "plaintext": hex::encode(opened.expose()) }))
}

fn name(error: OpenError) -> &'static str {
    match error {
        OpenError::UnknownVersion(_) => "UnknownVersion",
        OpenError::UnknownSuite(_) => "UnknownSuite",
        OpenError::UnknownKey(_) => "UnknownKey",
        OpenError::Rejected => "Rejected",
        _ => MALFORMED,
    }
}

fn key(request: &Value) -> Result<Key, &'static str> {
    Ok(Key::derive(&array(request, "dek")?))
}

fn context(request: &Value) -> Result<Context<'_>, &'static str> {
    let context = request.get("context").ok_or(MALFORMED)?;
    let kind = context.get("kind").and_then(Value::as_u64).ok_or(MALFORMED)?;
    Ok(Context {
        kind: kind.try_into().map_err(|_| MALFORMED)?,
        store_id: array(context, "store_id")?,
        org: text(context, "org")?.unwrap_or_default(),
        environment: text(context, "environment")?.unwrap_or_default(),
        linked_account: text(context, "linked_account")?,
        workflow: text(context, "workflow")?,
        name: text(context, "name")?.unwrap_or_default(),
        key_name: text(context, "key_name")?.unwrap_or_default(),
        doc_id: text(context, "doc_id")?.unwrap_or_default(),
        revision: context.get("revision").and_then(Value::as_u64).ok_or(MALFORMED)?,
    })
}

fn text<'a>(object: &'a Value, field: &str) -> Result<Option<&'a str>, &'static str> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(MALFORMED),
    }
}

fn array<const N: usize>(object: &Value, field: &str) -> Result<[u8; N], &'static str> {
    bytes(object, field)?.try_into().map_err(|_| MALFORMED)
}

fn bytes(object: &Value, field: &str) -> Result<Vec<u8>, &'static str> {
    let text = object.get(field).and_then(Value::as_str).ok_or(MALFORMED)?;
    hex::decode(text).map_err(|_| MALFORMED)
}

const MALFORMED: &str = "Malformed";
