//! The grammars of the simple formats a second time, as regular expressions and by another crate's parser.

use std::net::{Ipv4Addr, Ipv6Addr};
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
        "uri" => accepted == (is_uri(value) && is_port_possible(value)),
        "connection_string" => accepted == is_connection_string(value),
        "hostname_with_underscore" => accepted == is_hostname_with_underscore(value),
        "ip" => accepted == (value.parse::<Ipv4Addr>().is_ok() || value.parse::<Ipv6Addr>().is_ok()),
        "duration" => accepted == is_duration(value),
        "date_time" => accepted == is_date_time(value),
        "semver" => accepted == SEMVER.is_match(value),
        "base64" | "bytes" => accepted == BASE64.is_match(value),
        "pem" => accepted == is_pem(value),
        "pem_strict" => accepted == is_strict_pem(value),
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
    let is_url = URL.is_match(value) || address.is_some_and(|address| is_address(address.as_str()));
    is_url && is_port_possible(value)
}

/// Of what is a URI: the digits behind the last colon of the authority, if it ends with such, are a port.
fn is_port_possible(value: &str) -> bool {
    let Some(authority) = AUTHORITY.captures(value).and_then(|found| found.get(1)) else { return true };
    let digits =
        PORT.captures(authority.as_str()).and_then(|found| found.get(1)).map_or("", |port| port.as_str());
    let digits = digits.trim_start_matches('0');
    digits.len() < 5 || digits.len() == 5 && digits <= "65535"
}

fn is_uri(value: &str) -> bool {
    let address = URI_WITH_ADDRESS.captures(value).and_then(|found| found.get(1));
    URI.is_match(value) || address.is_some_and(|address| is_address(address.as_str()))
}

fn is_address(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok() || FUTURE_ADDRESS.is_match(text)
}

fn is_duration(value: &str) -> bool {
    !value.is_empty() && DURATION.is_match(value) && !value.ends_with(['P', 'T'])
}

fn is_connection_string(value: &str) -> bool {
    let Some(found) = CONNECTION.captures(value) else { return false };
    let hosts = HOST.captures_iter(&found[1]);
    hosts.into_iter().all(|host| {
        let address = host.get(1).is_none_or(|address| address.as_str().parse::<Ipv6Addr>().is_ok());
        let port = host.get(2).map_or("", |port| port.as_str().trim_start_matches('0'));
        address && (port.len() < 5 || port.len() == 5 && port <= "65535")
    })
}

fn is_hostname_with_underscore(value: &str) -> bool {
    // A letter stands for each underscore, but not where it would make digits of the last label letters.
    let letters = value.replace('_', "a");
    letters.len() <= 253 && HOSTNAME.is_match(&letters) && !ALL_DIGITS_LAST.is_match(&letters)
}

fn is_date_time(value: &str) -> bool {
    let Some(found) = DATE_TIME.captures(value) else { return false };
    let number = |at: usize| found[at].parse::<u32>().unwrap_or(u32::MAX);
    let (year, month, day) = (number(1), number(2), number(3));
    let leap = year % 400 == 0 || year % 4 == 0 && year % 100 != 0;
    let days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    days.get((month as usize).wrapping_sub(1)).is_some_and(|days| day >= 1 && day <= *days)
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

/// By expressions over the whole text, where the engine goes line by line.
fn is_pem(value: &str) -> bool {
    let text = value.split('\n').map(|line| line.trim_end_matches(|c| c <= ' '));
    let text = text.collect::<Vec<_>>().join("\n") + "\n";
    let is_block = |block: &regex::Captures<'_>| {
        let body = block.name("wrapped").or(block.name("free")).map_or("", |body| body.as_str());
        let digits: String = body.chars().filter(|c| !" \t\r\n".contains(*c)).collect();
        block["begin"] == block["end"] && digits.len().is_multiple_of(4) && DIGITS.is_match(&digits)
    };
    let (mut rest, mut blocks) = (text.as_str(), 0);
    while let Some(begin) = BEGIN.find_iter(rest).find(|begin| begin.as_str().len() <= 254) {
        let Some(block) = LENIENT_BLOCK.captures(&rest[begin.start()..]).filter(is_block) else {
            return false;
        };
        rest = &rest[begin.start() + block[0].len()..];
        blocks += 1;
    }
    blocks > 0
}

fn is_strict_pem(value: &str) -> bool {
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
static URI: LazyLock<Regex> = LazyLock::new(|| uri(&format!("(?:{UNRESERVED})*")));
static URI_WITH_ADDRESS: LazyLock<Regex> = LazyLock::new(|| uri(ADDRESS));

/// With an authority, or with a path that cannot be taken for one.
fn uri(host: &str) -> Regex {
    let (user, rest) = (format!("(?:{UNRESERVED}|:)*@"), format!("(?:{UNRESERVED}|[:@/?])*"));
    let piece = format!("(?:{UNRESERVED}|[:@])");
    let rootless = format!("{piece}+(?:/{piece}*)*");
    let hierarchy = format!("//(?:{user})?(?:{host})(?::[0-9]*)?(?:/{piece}*)*|/(?:{rootless})?|{rootless}");
    whole(&format!("[A-Za-z][A-Za-z0-9+.-]*:(?:{hierarchy})?(?:\\?{rest})?(?:#{rest})?"))
}

static AUTHORITY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\A[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)").expect("the expression is one"));
static PORT: LazyLock<Regex> = LazyLock::new(|| whole(r"(?:[^@]*@)?(?:[^:\[\]]*|\[[^\]]*\]):([0-9]*)"));
const HOSTS: &str = r"(?:\[([0-9A-Fa-f:.]+)\]|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})+)(?::([0-9]+))?";
static HOST: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!("(?:^|,){HOSTS}")).expect("the expression is one"));
static CONNECTION: LazyLock<Regex> = LazyLock::new(|| {
    let (user, rest) = (format!("(?:{UNRESERVED}|:)*@"), format!("(?:{UNRESERVED}|[:@/?])*"));
    let path = format!("(?:/(?:(?:{UNRESERVED}|[:@])(?:{UNRESERVED}|[:@/])*)?)?");
    let hosts = HOSTS.replace("([0-9A-Fa-f:.]+)", "[0-9A-Fa-f:.]+").replace("(?::([0-9]+))", "(?::[0-9]+)");
    whole(&format!(
        "[A-Za-z][A-Za-z0-9+.-]*://(?:{user})?({hosts}(?:,{hosts})*){path}(?:\\?{rest})?(?:#{rest})?"
    ))
});
static DURATION: LazyLock<Regex> = LazyLock::new(|| {
    let part = |unit: &str| format!(r"(?:[0-9]+(?:\.[0-9]+)?{unit})?");
    let units: String = ["w", "d", "h", "m", "s", "ms", "us", "ns"].iter().map(|unit| part(unit)).collect();
    let date = "(?:[0-9]+Y)?(?:[0-9]+M)?(?:[0-9]+D)?";
    let iso = format!("P[0-9]+W|P{date}(?:T(?:[0-9]+H)?(?:[0-9]+M)?(?:[0-9]+S)?)?");
    whole(&format!("{units}|{iso}"))
});
static DATE_TIME: LazyLock<Regex> = LazyLock::new(|| {
    let (hour, minute) = ("(?:[01][0-9]|2[0-3])", "[0-5][0-9]");
    whole(&format!(
        r"([0-9]{{4}})-([0-9]{{2}})-([0-9]{{2}})[Tt]{hour}:{minute}:(?:{minute}|60)(?:\.[0-9]+)?(?:[Zz]|[+-]{hour}:{minute})"
    ))
});
static SEMVER: LazyLock<Regex> = LazyLock::new(|| {
    let (number, word) = ("(?:0|[1-9][0-9]*)", "[0-9A-Za-z-]+");
    let pre = format!("(?:{number}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)");
    whole(&format!(r"{number}\.{number}\.{number}(?:-{pre}(?:\.{pre})*)?(?:\+{word}(?:\.{word})*)?"))
});
static FUTURE_ADDRESS: LazyLock<Regex> =
    LazyLock::new(|| whole(r"[vV][0-9A-Fa-f]+\.[0-9A-Za-z:._~!$&'()*+,;=-]+"));
static JSON_STRING: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#""(?:[^"\\]|\\.)*""#).expect("the expression is one"));
static BEGIN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^-----BEGIN [^\n]*-----$").expect("the expression is one"));
static DIGITS: LazyLock<Regex> = LazyLock::new(|| whole("[A-Za-z0-9+/]+={0,2}"));
static LENIENT_BLOCK: LazyLock<Regex> = LazyLock::new(|| {
    // A line that ends a block is none of its lines: the expression has no look-ahead, so it lists the ways out.
    let line = line_that_ends_nothing();
    let headers = format!(r"(?:{line})*\n");
    let wrapped = r"(?P<wrapped>(?:[^-\n][^\n]{63}\n)*[^-\n][^\n]{0,63}\n)";
    let free = r"(?P<free>(?:[^-\n][^\n]*\n)+)";
    let block = format!(
        r"\A-----BEGIN (?P<begin>[^\n]*)-----\n(?:{headers}{wrapped}|{free})-----END (?P<end>[^\n]*)-----\n"
    );
    Regex::new(&block).expect("the expression is one")
});
/// A line that does not begin with `-----END `.
fn line_that_ends_nothing() -> String {
    let end = "-----END ";
    let other = end.char_indices().map(|(at, c)| format!(r"{}(?:[^{c}\n][^\n]*)?\n", &end[..at]));
    // The first of them would be the empty line.
    format!(r"[^-\n][^\n]*\n|{}", other.skip(1).collect::<Vec<_>>().join("|"))
}

static BLOCK: LazyLock<Regex> = LazyLock::new(|| Regex::new(&block()).expect("the expression is one"));
static PEM: LazyLock<Regex> = LazyLock::new(|| whole(&format!(r"{0}(?:\r?\n{0})*(?:\r?\n)?", block())));

/// A block of RFC 7468 in its strict form, with both of its labels.
fn block() -> String {
    let label = "((?:[!-,.-~](?:[ -]?[!-,.-~])*)?)";
    let digit = "[A-Za-z0-9+/]";
    let tail = format!("{digit}{{4}}|{digit}[AQgw]==|{digit}{{2}}[AEIMQUYcgkosw048]=");
    let lines = format!(r"(?:{digit}{{64}}\r?\n)*(?:{digit}{{4}}){{0,15}}(?:{tail})\r?\n");
    format!(r"-----BEGIN {label}-----\r?\n{lines}-----END {label}-----")
}
