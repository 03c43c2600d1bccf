//! URLs: RFC 3986 URIs with a scheme and a host.

use iri_string::types::UriStr;

/// A URI with a scheme and a host that is not empty. RFC 3986 calls it absolute only without a fragment, but people
/// store links with one, so it is allowed. Nothing is normalised: the value is the text that was given.
pub(super) fn is_url(value: &str) -> bool {
    host(value).is_some_and(|host| !host.is_empty())
}

fn host(value: &str) -> Option<&str> {
    let authority = UriStr::new(value).ok()?.authority_components()?;
    Some(authority.host())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_scheme_and_a_host() {
        for text in ["https://h", "http://[::1]:80/", "postgres://u:p@h:5432/db?x=1", "h2+x://h#part"] {
            assert!(is_url(text));
        }
        for text in
            ["https://", "http:///x", "http://:80/", "http://u@/", "mailto:a@b", "a:b", "//h/x", "h/x", ""]
        {
            assert!(!is_url(text));
        }
    }
}
