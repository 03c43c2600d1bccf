//! The grammars of the simple formats a second time, as regular expressions and by another crate's parser.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::value::RawValue;
use strongroom::FormatError;

/// Asserts that the answer of the format of that name is the grammar's.
pub(crate) fn agrees(format: &str, answer: &Result<(), FormatError>, value: &str) {
    let accepted = answer.is_ok();
    let agrees = match format {
        "string" => accepted,
        "number" => accepted == is_number(value),
        "integer" => accepted == (is_number(value) && !value.contains(['.', 'e', 'E'])),
        "boolean" => accepted == (value == "true" || value == "false"),
        "url" if value.contains('[') => !accepted || URL_WITH_ADDRESS.is_match(value),
        "url" => accepted == URL.is_match(value),
        "json" => accepted || serde_json::from_str::<serde_json::Value>(value).is_err(),
        "uuid" => accepted == UUID.is_match(value),
        "email" => accepted == is_email(value),
        "hostname" => accepted == is_hostname(value),
        "base64" => accepted == BASE64.is_match(value),
        "pem" => !accepted || PEM.is_match(value),
        _ => false,
    };
    assert!(agrees, "the format {format} and its grammar differ");
}

fn is_number(value: &str) -> bool {
    let bare = value.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
        && !value.ends_with([' ', '\t', '\r', '\n']);
    bare && serde_json::from_str::<&RawValue>(value).is_ok()
}

fn is_email(value: &str) -> bool {
    let Some((_, host)) = value.split_once('@') else { return false };
    value.len() <= 254 && value.len() - host.len() <= 65 && LOCAL.is_match(value) && is_hostname(host)
}

fn is_hostname(value: &str) -> bool {
    value.len() <= 253 && HOSTNAME.is_match(value) && !ALL_DIGITS_LAST.is_match(value)
}

fn whole(text: &str) -> Regex {
    Regex::new(&format!(r"\A(?:{text})\z")).expect("the expression is one")
}

const UNRESERVED: &str = r"[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2}";
const ADDRESS: &str = r"\[[0-9A-Za-z:._~!$&'()*+,;=-]+\]";

fn url(host: &str) -> Regex {
    let (user, rest) = (format!("(?:{UNRESERVED}|:)*@"), format!("(?:{UNRESERVED}|[:@/?])*"));
    let path = format!("(?:/(?:{UNRESERVED}|[:@/])*)?");
    whole(&format!(
        "[A-Za-z][A-Za-z0-9+.-]*://(?:{user})?(?:{host})(?::[0-9]*)?{path}(?:\\?{rest})?(?:#{rest})?"
    ))
}

static URL: LazyLock<Regex> = LazyLock::new(|| url(&format!("(?:{UNRESERVED})+")));
static URL_WITH_ADDRESS: LazyLock<Regex> = LazyLock::new(|| url(ADDRESS));
static UUID: LazyLock<Regex> =
    LazyLock::new(|| whole("[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"));
static LOCAL: LazyLock<Regex> = LazyLock::new(|| {
    let atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
    whole(&format!(r"{atom}(?:\.{atom})*@[^@]*"))
});
static HOSTNAME: LazyLock<Regex> = LazyLock::new(|| {
    let label = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
    whole(&format!(r"{label}(?:\.{label})*"))
});
static ALL_DIGITS_LAST: LazyLock<Regex> = LazyLock::new(|| whole(r"(?:.*\.)?[0-9]+"));
static BASE64: LazyLock<Regex> = LazyLock::new(|| {
    let tail = "[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=";
    whole(&format!("(?:[A-Za-z0-9+/]{{4}})*(?:[A-Za-z0-9+/]{{4}}|{tail})"))
});
static PEM: LazyLock<Regex> = LazyLock::new(|| {
    let lines = r"(?:[A-Za-z0-9+/]{64}\r?\n)*[A-Za-z0-9+/=]{4,64}\r?\n";
    let block = format!(r"-----BEGIN [ -~]*-----\r?\n{lines}-----END [ -~]*-----");
    whole(&format!(r"{block}(?:\r?\n{block})*(?:\r?\n|\r)?"))
});
