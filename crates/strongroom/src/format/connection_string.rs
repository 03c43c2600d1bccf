//! Connection strings: `scheme://user@host:port,host:port/path?query`, a URI of RFC 3986 except for its several hosts,
//! as MongoDB, PostgreSQL, Kafka and Redis accept them.

use core::net::Ipv6Addr;

use iri_string::types::UriReferenceStr;

use crate::format::url::is_scheme_of_any_case;

pub(super) fn is_connection_string(value: &str) -> bool {
    let Some((scheme, rest)) = value.split_once("://") else { return false };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // A password may hold a colon or a comma, but an `@` must be written with `%`.
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    is_scheme_of_any_case(scheme)
        && is_text_of(user, b":,")
        && hosts.split(',').all(is_host)
        && !path.starts_with("//")
        && UriReferenceStr::new(path).is_ok()
}

/// A name or address and, unless it is left out, a port of at most 65,535.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((address, port))) if address.parse::<Ipv6Addr>().is_ok() => ("a", port),
        Some(_) => return false,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    !name.is_empty()
        && is_text_of(name, b"")
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// Unreserved characters, sub-delimiters except the comma, `%` with two hex digits, and `others`.
fn is_text_of(text: &str, others: &[u8]) -> bool {
    let mut escapes = text.split('%');
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&b) || others.contains(&b);
    let is_escape = |part: &str| {
        let (digits, rest) = part.split_at_checked(2).unwrap_or(("", ""));
        digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit()) && rest.bytes().all(is_plain)
    };
    escapes.next().is_some_and(|part| part.bytes().all(is_plain)) && escapes.all(is_escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_or_several_with_ports() {
        for text in [
            "postgres://localhost/db",
            "postgresql://u:p@h1:5432,h2:5433/db?target_session_attrs=any",
            "mongodb://a:1,b:2/db",
            "mongodb+srv://u:p%40x@cluster.example/",
            "redis://:secret,too@[::1]:6379/0",
            "amqps://u@h_1",
            "KAFKA://a:9092,b,c:65535",
        ] {
            assert!(is_connection_string(text));
        }
    }

    #[test]
    fn what_names_no_host_or_no_possible_port_is_refused() {
        for text in [
            "",
            "localhost",
            "postgres://",
            "sqlite:///x.db",
            "a://h1,,h2",
            "a://h:65536",
            "a://h:",
            "a://h:+1",
            "a://h:1x",
            "a://[::1",
            "a://[h]",
            "a://u@v@h",
            "a://u:%zz@h",
            "a://h h",
            "a://h//i:99999",
            "1://h",
            "a://h/ x",
        ] {
            assert!(!is_connection_string(text), "{}", text.len());
        }
    }
}
