//! The formats of variable definitions: what each accepts, and its validator.
//!
//! All formats are pure, with no I/O, no clock and nothing global, except `custom:NAME`, whose check the host provides.
//! Every validator runs in time linear in the value and keeps no copy of it. Its error names the rule that was broken
//! and never contains any part of the value.
//!
//! | format | a value is | rule |
//! |---|---|---|
//! | `string` | any text, even empty | |
//! | `number` | a JSON number, the whole text | RFC 8259, section 6 |
//! | `integer` | a JSON number without fraction and exponent, of any size | RFC 8259, section 6 |
//! | `boolean` | `true` or `false` | RFC 8259, section 3 |
//! | `url` | an absolute URL with a host and a port of at most 65,535; a fragment is allowed | RFC 3986 |
//! | `url_with_scheme` | the same, with one of the given schemes | RFC 3986 |
//! | `uri` | a URI with any scheme, with or without a host | RFC 3986 |
//! | `connection_string` | a URL with one host or several, each with its port | RFC 3986 except for the hosts |
//! | `json` | a JSON text, at most 128 levels deep; a name may repeat | RFC 8259 |
//! | `uuid` | 8-4-4-4-12 hex digits of either case | RFC 9562, section 4 |
//! | `email` | `dot-atom@hostname` in ASCII | RFC 5321, section 4.1.2 |
//! | `hostname` | labels of letters, digits and inner hyphens | RFC 1123, section 2.1 |
//! | `hostname_with_underscore` | the same, with `_` as a letter | |
//! | `ip` | an IPv4 or IPv6 address | RFC 6943, section 3.1.1; RFC 4291, section 2.2 |
//! | `duration` | `P1DT2H`, or numbers with units such as `1h30m` | RFC 3339, appendix A |
//! | `date_time` | a moment with its offset from UTC | RFC 3339, section 5.6 |
//! | `semver` | a version of three numbers | Semantic Versioning 2.0.0 |
//! | `base64` | padded, canonical, on one line | RFC 4648, section 4 |
//! | `bytes` | the same, for bytes, such as [`SecretBytes`](crate::SecretBytes) | RFC 4648, section 4 |
//! | `pem` | one or more blocks, with any text around them | as OpenSSL reads |
//! | `pem_strict` | the same with nothing around them | RFC 7468, section 3 (strict) |
//! | `enum` | one of the given values | |
//! | `pattern` | a text that the pattern matches as a whole | |
//! | `custom:NAME` | whatever the host's own check allows | |
//!
//! - `email`: at most 64 bytes before the `@` and 254 in all; no quotes, comments or address literals.
//! - `hostname`: at most 63 bytes a label and 253 in all; no final dot, and the last label is not all digits.
//! - `ip`: no port, no prefix length, no zone and no brackets; numbers without leading zeros.
//! - `duration`: units `w`, `d`, `h`, `m`, `s`, `ms`, `us` and `ns`, the largest first, with fractions; no sign, no
//!   fractions in the form of ISO 8601.
//! - `bytes`: bounds on the length of a value count the bytes; the limit of every value counts the text, so at most
//!   49,152 bytes fit.
//! - `pem`: lines of any length, headers, and white space at the end of lines; every block that begins is whole, and
//!   has no `-` in it, where OpenSSL would stop reading.
//! - `pem_strict`: lines of 64 that end with LF or CRLF, the last with or without; no headers.
//!
//! The empty value is valid only for `string`, and for a custom format if its check says so. No format trims: white
//! space is part of a value. A URL or host name with non-ASCII letters must be written with `%` (RFC 3986) or as
//! `xn--` (IDNA).

mod base64;
mod connection_string;
mod custom;
mod date_time;
mod duration;
mod email;
mod enum_format;
mod error;
mod hostname;
mod ip;
mod json;
mod length;
mod number;
mod pattern_cache;
mod pem;
mod semver;
mod uri;
mod url;
mod uuid;

use std::fmt;
use std::str::FromStr;

pub use custom::CustomFormat;
pub(crate) use custom::{CustomFormats, Formats};
pub use enum_format::EnumFormat;
pub use error::{BadFormat, FormatError};
pub use length::{LengthBounds, VALUE_BYTES_MAX};
pub use pattern_cache::PatternCache;
pub use strongroom_pattern::{Pattern as PatternFormat, PatternDraft, PatternError};
pub use url::UrlSchemes;

/// The format that every value of a variable definition has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum VarFormat {
    /// Any text, even empty.
    String,
    /// A number as in RFC 8259, for example `-1.5e3`.
    Number,
    /// A number as in RFC 8259 without fraction and exponent, of any size.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// An absolute URL as in RFC 3986 with a host.
    Url,
    /// An absolute URL as in RFC 3986 with a host and one of these schemes.
    UrlWithScheme(UrlSchemes),
    /// A URI as in RFC 3986 with any scheme, with or without a host.
    Uri,
    /// A URL with one host or several, such as `postgresql://u:p@a:5432,b:5433/db`.
    ConnectionString,
    /// A JSON text as in RFC 8259.
    Json,
    /// A UUID as in RFC 9562.
    Uuid,
    /// A mailbox as in RFC 5321: a dot-atom, `@` and a host name.
    Email,
    /// A host name as in RFC 1123.
    Hostname,
    /// A host name as in RFC 1123 in which `_` is a letter.
    HostnameWithUnderscore,
    /// An IPv4 or IPv6 address.
    Ip,
    /// A duration, `P1DT2H` as in RFC 3339, appendix A, or `1h30m`.
    Duration,
    /// A moment as in RFC 3339.
    DateTime,
    /// A version as in Semantic Versioning 2.0.0.
    Semver,
    /// Base64 with padding as in RFC 4648.
    Base64,
    /// Bytes that need not be text, like [`SecretBytes`](crate::SecretBytes): stored in base64, with at least one byte.
    Bytes,
    /// PEM blocks as OpenSSL reads them, with any text around them.
    Pem,
    /// PEM blocks in the strict form of RFC 7468.
    PemStrict,
    /// One of a list of values.
    Enum(EnumFormat),
    /// A text that the pattern matches as a whole.
    Pattern(PatternFormat),
    /// Whatever the host's own check allows, in a vault opened with
    /// [`VaultOptions::custom_format`](crate::VaultOptions::custom_format); elsewhere, nothing.
    Custom(CustomFormat),
}

impl VarFormat {
    /// Checks that `value` has this format.
    ///
    /// ```
    /// use strongroom::format::VarFormat;
    ///
    /// assert!(VarFormat::Number.validate("-1.5e3").is_ok());
    /// let refused = VarFormat::Number.validate("01").unwrap_err();
    /// assert_eq!(refused.to_string(), "a number as in RFC 8259, for example -1.5e3, is required");
    /// ```
    ///
    /// Each call compiles a [`Pattern`](Self::Pattern) again; [`validate_with`](Self::validate_with) caches it.
    ///
    /// # Errors
    /// The rule that `value` breaks, as a sentence that contains no part of it.
    pub fn validate(&self, value: &str) -> Result<(), FormatError> {
        self.check(value, None)
    }

    /// Checks that `value` has this format, and keeps compiled patterns in `cache`.
    ///
    /// # Errors
    /// Those of [`validate`](Self::validate).
    pub fn validate_with(&self, value: &str, cache: &PatternCache) -> Result<(), FormatError> {
        self.check(value, Some(cache))
    }

    fn check(&self, value: &str, cache: Option<&PatternCache>) -> Result<(), FormatError> {
        let holds = match self {
            Self::String => true,
            Self::Number => number::is_number(value),
            Self::Integer => number::is_integer(value),
            Self::Boolean => matches!(value, "true" | "false"),
            Self::Url => url::is_url(value),
            Self::UrlWithScheme(schemes) => schemes.allow(value),
            Self::Uri => uri::is_uri(value),
            Self::ConnectionString => connection_string::is_connection_string(value),
            Self::Json => json::is_json(value),
            Self::Uuid => uuid::is_uuid(value),
            Self::Email => email::is_email(value),
            Self::Hostname => hostname::is_hostname(value),
            Self::HostnameWithUnderscore => hostname::is_hostname_with_underscore(value),
            Self::Ip => ip::is_ip(value),
            Self::Duration => duration::is_duration(value),
            Self::DateTime => date_time::is_date_time(value),
            Self::Semver => semver::is_semver(value),
            Self::Base64 | Self::Bytes => base64::is_base64(value),
            Self::Pem => pem::is_pem(value),
            Self::PemStrict => pem::is_strict_pem(value),
            Self::Enum(values) => values.contains(value),
            Self::Pattern(pattern) => matches(pattern, value, cache)?,
            Self::Custom(_) => false,
        };
        if holds { Ok(()) } else { Err(FormatError::new(self.rule())) }
    }

    /// The name of the format in stored and wire forms.
    ///
    /// ```
    /// assert_eq!(strongroom::format::VarFormat::Url.name(), "url");
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Url => "url",
            Self::UrlWithScheme(_) => "url_with_scheme",
            Self::Uri => "uri",
            Self::ConnectionString => "connection_string",
            Self::Json => "json",
            Self::Uuid => "uuid",
            Self::Email => "email",
            Self::Hostname => "hostname",
            Self::HostnameWithUnderscore => "hostname_with_underscore",
            Self::Ip => "ip",
            Self::Duration => "duration",
            Self::DateTime => "date_time",
            Self::Semver => "semver",
            Self::Base64 => "base64",
            Self::Bytes => "bytes",
            Self::Pem => "pem",
            Self::PemStrict => "pem_strict",
            Self::Enum(_) => "enum",
            Self::Pattern(_) => "pattern",
            Self::Custom(format) => format.full_name(),
        }
    }

    /// How many bytes `value` counts as for the bounds of a definition: those that it represents.
    pub(crate) fn counted_bytes(&self, value: &str) -> usize {
        match self {
            Self::Bytes => base64::decoded_len(value),
            _ => value.len(),
        }
    }

    /// The fewest and the most bytes that a value can count as.
    pub(crate) fn counted_bytes_range(&self) -> (usize, usize) {
        match self {
            Self::Bytes => (1, VALUE_BYTES_MAX / 4 * 3),
            _ => (0, VALUE_BYTES_MAX),
        }
    }

    /// The rule of the format. It omits parameters, since one of them may resemble the refused value.
    fn rule(&self) -> &'static str {
        match self {
            Self::String => "a text is required",
            Self::Number => "a number as in RFC 8259, for example -1.5e3, is required",
            Self::Integer => "an integer as in RFC 8259, for example -15, is required",
            Self::Boolean => "true or false is required",
            Self::Url => {
                "an absolute URL with a host, and a port of at most 65535, as in RFC 3986 is required"
            }
            Self::UrlWithScheme(_) => {
                "an absolute URL with a host as in RFC 3986 and an allowed scheme is required"
            }
            Self::Uri => "a URI with a scheme as in RFC 3986, for example file:///x, is required",
            Self::ConnectionString => {
                "a URL with one host or several and ports of at most 65535, for example db://a:1,b:2/x, is required"
            }
            Self::Json => "a JSON text as in RFC 8259, at most 128 levels deep, is required",
            Self::Uuid => "a UUID of 8-4-4-4-12 hex digits as in RFC 9562 is required",
            Self::Email => "an e-mail address of a dot-atom, @ and a host name as in RFC 5321 is required",
            Self::Hostname => "a host name as in RFC 1123 is required",
            Self::HostnameWithUnderscore => "a host name as in RFC 1123, underscores allowed, is required",
            Self::Ip => "an IPv4 or IPv6 address without port or prefix length is required",
            Self::Duration => "a duration such as 1h30m, or PT1H30M as in RFC 3339, is required",
            Self::DateTime => "a moment as in RFC 3339, for example 2026-01-31T09:30:00Z, is required",
            Self::Semver => "a version as in Semantic Versioning 2.0.0, for example 1.2.3-rc.1, is required",
            Self::Base64 => "base64 with padding as in RFC 4648, section 4, is required",
            Self::Bytes => "at least one byte is required, in base64 with padding as in RFC 4648, section 4",
            Self::Pem => "one PEM block or more, each whole, is required",
            Self::PemStrict => {
                "PEM blocks with lines of 64 as in RFC 7468 and nothing around them are required"
            }
            Self::Enum(_) => "one of the values of the definition's list is required",
            Self::Pattern(_) => "a value that the definition's pattern matches from start to end is required",
            Self::Custom(_) => custom::UNKNOWN,
        }
    }
}

/// Whether `pattern`, compiled by `cache` if there is one, matches `value`.
fn matches(pattern: &PatternFormat, value: &str, cache: Option<&PatternCache>) -> Result<bool, FormatError> {
    let matches = match cache {
        Some(cache) => cache.compiled(pattern).map(|matcher| matcher.matches(value)),
        None => pattern.compile().map(|matcher| matcher.matches(value)),
    };
    // The reason would help only the author of the pattern. A stored pattern fails to compile only in another version.
    matches
        .map_err(|_| FormatError::new("the definition's pattern must be vetted again before it can be used"))
}

// The compiler counts what the longest value costs, so no value may be longer than it knows.
const _: () = assert!(VALUE_BYTES_MAX <= strongroom_pattern::VALUE_BYTES_MAX);

impl fmt::Display for VarFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads the name of a format that takes no parameters, or `custom:NAME`. Names are case-sensitive.
///
/// ```
/// use strongroom::format::{BadFormat, VarFormat};
///
/// assert_eq!("uuid".parse(), Ok(VarFormat::Uuid));
/// assert_eq!("UUID".parse::<VarFormat>(), Err(BadFormat::UnknownName));
/// ```
impl FromStr for VarFormat {
    type Err = BadFormat;

    fn from_str(name: &str) -> Result<Self, BadFormat> {
        if let Some(custom) = CustomFormat::of_full_name(name) {
            return custom.map(Self::Custom);
        }
        let found = SIMPLE.iter().find(|format| format.name() == name);
        found.cloned().ok_or(BadFormat::UnknownName)
    }
}

/// The formats that take no parameters.
const SIMPLE: [VarFormat; 20] = [
    VarFormat::String,
    VarFormat::Number,
    VarFormat::Integer,
    VarFormat::Boolean,
    VarFormat::Url,
    VarFormat::Json,
    VarFormat::Uuid,
    VarFormat::Email,
    VarFormat::Hostname,
    VarFormat::Base64,
    VarFormat::Pem,
    VarFormat::PemStrict,
    VarFormat::Uri,
    VarFormat::ConnectionString,
    VarFormat::HostnameWithUnderscore,
    VarFormat::Ip,
    VarFormat::Duration,
    VarFormat::DateTime,
    VarFormat::Semver,
    VarFormat::Bytes,
];
