//! The grammars of the simple formats a second time, as regular expressions and by another crate's parser.

use std::net::Ipv6Addr;
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
        "url" => accepted == is_url(value),
        "json" => accepted == is_json(value),
        "uuid" => accepted == UUID.is_match(value),
        "email" => accepted == is_email(value),
        "hostname" => accepted == is_hostname(value),
        "base64" => accepted == BASE64.is_match(value),
        "pem" => accepted == is_pem(value),
        _ => false,
    };
    assert!(agrees, "the format {format} and its grammar differ");
}

fn is_number(value: &str) -> bool {
    let bare = value.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
        && !value.ends_with([' ', '\t', '\r', '\n']);
    bare && serde_json::from_str::<&RawValue>(value).is_ok()
}

fn is_url(value: &str) -> bool {
    let address = URL_WITH_ADDRESS.captures(value).and_then(|found| found.get(1));
    let is_address = |text: &str| text.parse::<Ipv6Addr>().is_ok() || FUTURE_ADDRESS.is_match(text);
    URL.is_match(value) || address.is_some_and(|address| is_address(address.as_str()))
}

fn is_json(value: &str) -> bool {
    serde_json::from_str::<&RawValue>(value).is_ok() && levels(&JSON_STRING.replace_all(value, "")) <= 128
}

/// How deep the brackets of a JSON text without its strings are nested.
fn levels(text: &str) -> i32 {
    let steps = text.bytes().map(|byte| match byte {
        b'[' | b'{' => 1,
        b']' | b'}' => -1,
        _ => 0,
    });
    let depths = steps.scan(0, |depth, step| {
        *depth += step;
        Some(*depth)
    });
    depths.max().unwrap_or_default()
}

fn is_pem(value: &str) -> bool {
    PEM.is_match(value) && BLOCK.captures_iter(value).all(|block| block[1] == block[2])
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
const ADDRESS: &str = r"\[([0-9A-Za-z:._~!$&'()*+,;=-]+)\]";

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
static FUTURE_ADDRESS: LazyLock<Regex> =
    LazyLock::new(|| whole(r"[vV][0-9A-Fa-f]+\.[0-9A-Za-z:._~!$&'()*+,;=-]+"));
static JSON_STRING: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#""(?:[^"\\]|\\.)*""#).expect("the expression is one"));
static BLOCK: LazyLock<Regex> = LazyLock::new(|| Regex::new(&block()).expect("the expression is one"));
static PEM: LazyLock<Regex> = LazyLock::new(|| whole(&format!(r"{0}(?:\r?\n{0})*(?:\r?\n|\r)?", block())));

/// A block of RFC 7468 in its strict form, with both of its labels.
fn block() -> String {
    let label = "((?:[!-,.-~](?:[ -]?[!-,.-~])*)?)";
    let digit = "[A-Za-z0-9+/]";
    let tail = format!("{digit}{{4}}|{digit}[AQgw]==|{digit}{{2}}[AEIMQUYcgkosw048]=");
    let lines = format!(r"(?:{digit}{{64}}\r?\n)*(?:{digit}{{4}}){{0,15}}(?:{tail})\r?\n");
    format!(r"-----BEGIN {label}-----\r?\n{lines}-----END {label}-----")
}
