//! URIs as in RFC 3986, with any scheme, with a host or without one.

use iri_string::types::UriStr;

use crate::format::url::has_possible_port;

/// Nothing is normalised: the value is the text that was given.
pub(super) fn is_uri(value: &str) -> bool {
    UriStr::new(value).is_ok_and(has_possible_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_has_a_scheme_and_may_have_no_host() {
        for text in [
            "https://h/a?b#c",
            "sqlite:///x.db",
            "file:///etc/hosts",
            "unix:///run/s",
            "jdbc:postgresql://h/db",
            "data:text/plain,x",
            "mailto:a@b.example",
            "urn:isbn:0451450523",
        ] {
            assert!(is_uri(text));
        }
        for text in ["", "h/x", "//h/x", "1a:b", "a b:c", "a:b c", "a:%zz", "https://h:99999/", "a:\n"] {
            assert!(!is_uri(text));
        }
    }
}
