//! URLs: RFC 3986 URIs with a scheme and a host.

use iri_string::types::UriStr;

use crate::format::BadFormat;

/// The schemes that a URL may have, in lower case.
///
/// ```
/// use strongroom::format::{UrlSchemes, VarFormat};
///
/// let link = VarFormat::UrlWithScheme(UrlSchemes::new(["https"])?);
/// assert!(link.validate("https://example.com/a?b#c").is_ok());
/// assert!(link.validate("http://example.com/a?b#c").is_err());
/// # Ok::<(), strongroom::format::BadFormat>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "Vec<String>", try_from = "Vec<String>"))]
pub struct UrlSchemes {
    schemes: Vec<String>,
}

impl UrlSchemes {
    /// A list of 1 to 16 schemes. The scheme of a URL may be in either case, as RFC 3986 says.
    ///
    /// # Errors
    /// [`BadFormat::UrlSchemes`] for a list of another length, an invalid scheme, or one that is not in lower case.
    pub fn new<S: Into<String>>(schemes: impl IntoIterator<Item = S>) -> Result<Self, BadFormat> {
        let schemes: Vec<String> = schemes.into_iter().take(SCHEMES_MAX + 1).map(Into::into).collect();
        if schemes.is_empty()
            || schemes.len() > SCHEMES_MAX
            || !schemes.iter().all(|scheme| is_scheme(scheme))
        {
            return Err(BadFormat::UrlSchemes { count_max: SCHEMES_MAX });
        }
        Ok(Self { schemes })
    }

    /// The schemes, in the order they were given.
    pub fn schemes(&self) -> impl ExactSizeIterator<Item = &str> {
        self.schemes.iter().map(String::as_str)
    }

    pub(super) fn allow(&self, value: &str) -> bool {
        let scheme = value.split(':').next().unwrap_or_default();
        self.schemes().any(|allowed| allowed.eq_ignore_ascii_case(scheme)) && is_url(value)
    }
}

impl TryFrom<Vec<String>> for UrlSchemes {
    type Error = BadFormat;

    fn try_from(schemes: Vec<String>) -> Result<Self, BadFormat> {
        Self::new(schemes)
    }
}

impl From<UrlSchemes> for Vec<String> {
    fn from(schemes: UrlSchemes) -> Self {
        schemes.schemes
    }
}

/// A URI with a scheme and a non-empty host. RFC 3986 calls a URI absolute only without a fragment, but people store
/// links that have one. Nothing is normalised: the value is the text that was given.
pub(super) fn is_url(value: &str) -> bool {
    let Ok(uri) = UriStr::new(value) else { return false };
    uri.authority_components().is_some_and(|authority| !authority.host().is_empty()) && has_possible_port(uri)
}

/// RFC 3986 lets a port have any number of digits, or none; TCP and UDP have 65,535.
pub(super) fn has_possible_port(uri: &UriStr) -> bool {
    let port = uri.authority_components().and_then(|authority| authority.port());
    port.is_none_or(|port| port.is_empty() || port.parse::<u16>().is_ok())
}

pub(super) fn is_scheme_of_any_case(text: &str) -> bool {
    let rest = text.strip_prefix(|c: char| c.is_ascii_alphabetic());
    rest.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)))
}

/// RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    let rest = text.strip_prefix(|c: char| c.is_ascii_lowercase());
    rest.is_some_and(|rest| rest.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.')))
}

const SCHEMES_MAX: usize = 16;

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

    #[test]
    fn a_port_is_at_most_65535() {
        for text in ["https://h:65535/", "https://h:0", "https://h:/", "https://h:00080", "https://[::1]:1"] {
            assert!(is_url(text));
        }
        for text in ["https://h:65536/", "https://h:99999/", "https://u@h:100000", "https://[::1]:65536"] {
            assert!(!is_url(text));
        }
    }

    #[test]
    fn an_allowed_scheme_is_matched_in_either_case() {
        let https = UrlSchemes::new(["https", "wss"]).unwrap();
        assert!(https.allow("HTTPS://h") && https.allow("wss://h"));
        assert!(
            !https.allow("http://h")
                && !https.allow("httpss://h")
                && !https.allow("https")
                && !https.allow("")
        );
    }

    #[test]
    fn schemes_are_lower_case_and_few() {
        for scheme in ["", "HTTP", "1a", "a:", "a_b", "é"] {
            assert!(UrlSchemes::new([scheme]).is_err());
        }
        assert!(UrlSchemes::new(["a"; 0]).is_err() && UrlSchemes::new(["a"; 17]).is_err());
    }
}
