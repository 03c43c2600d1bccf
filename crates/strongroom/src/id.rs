//! Every id: the engine's own document ids and the customer's strings. They are parsed at the edge, so that a value
//! proves that it is valid.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use crate::clock::Clock;
use crate::random;
use crate::random::RandomError;

/// Why a text is not an id or a name. The error shows the rule and never the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The wrong number of digits, or a character that is not a lowercase hexadecimal digit.
    #[error("{what} must be {digits} lowercase hexadecimal digits")]
    NotHex {
        /// What was parsed.
        what: &'static str,
        /// How many digits it must have.
        digits: usize,
    },
    /// No characters at all.
    #[error("{0} must not be empty")]
    Empty(&'static str),
    /// More bytes of UTF-8 than the limit.
    #[error("{what} must be at most {max} bytes of UTF-8")]
    TooLong {
        /// What was parsed.
        what: &'static str,
        /// The limit in bytes.
        max: usize,
    },
    /// NUL, a line break or another control character (Unicode category Cc).
    #[error("{0} must not contain control characters")]
    Control(&'static str),
    /// `.` or `..`, which paths and URLs would drop.
    #[error("{0} must not be `.` or `..`")]
    Dots(&'static str),
}

/// Defines a newtype over [`DocumentId`].
macro_rules! document_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 12]);

        impl $name {
            /// The 12 bytes of the id.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 12] {
                &self.0
            }

            pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The 24 digits without an allocation.
            pub(crate) fn to_text(self) -> DocumentText {
                DocumentText::of(&self.0)
            }

            /// Makes a new id from the clock and the generator.
            #[allow(dead_code, reason = "org ids come from the host")]
            pub(crate) fn generate(clock: &dyn Clock) -> Result<Self, RandomError> {
                generate(clock).map(Self)
            }
        }

        /// The id of these bytes.
        impl From<[u8; 12]> for $name {
            fn from(bytes: [u8; 12]) -> Self {
                Self(bytes)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_hex($what, text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.to_text().as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.to_text().as_str())
            }
        }

        #[cfg(feature = "serde")]
        text_serde!($name);
    };
}

/// Defines a validated string of the customer.
macro_rules! customer_string {
    ($(#[$doc:meta])* $name:ident, $what:literal, max $max:literal, dots $dots:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The most bytes of UTF-8.
            pub const BYTES_MAX: usize = $max;

            /// The exact text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                check($what, text, $max, Dots::$dots)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;

            fn try_from(text: &str) -> Result<Self, IdError> {
                text.parse()
            }
        }

        /// Parses without a copy.
        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                check($what, &text, $max, Dots::$dots)?;
                Ok(Self(text))
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        /// Lets a map of ids be searched with plain text: both compare and hash alike.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.0)
            }
        }

        #[cfg(feature = "serde")]
        text_serde!($name);
    };
}

/// Serialises a type as its text, and parses it back by its own rule.
#[cfg(feature = "serde")]
macro_rules! text_serde {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

document_id!(
    /// The id of an organisation, the tenant: 24 lowercase hexadecimal digits.
    OrgId, "an org id"
);
document_id!(
    /// The id of a variable definition: 24 lowercase hexadecimal digits, made by the engine. The ids of one open vault
    /// increase; between processes they follow the order of their clocks.
    DefinitionId, "a variable definition id"
);
document_id!(
    /// The id of a scoped value, credential, linked account or integration, made by the engine. The ids of one open
    /// vault increase; between processes they follow the order of their clocks.
    DocumentId, "a document id"
);

impl DocumentId {
    /// An id that is never generated: that of a job of which an org has at most one.
    pub(crate) const NIL: Self = Self([0; 12]);
}

customer_string!(
    /// The name of an environment, such as `test` or `production`. Nothing is shared between environments.
    Environment, "an environment", max 32, dots Refused
);
customer_string!(
    /// The customer's own id of one of its accounts, such as `user_12345` or an e-mail address.
    LinkedAccountId, "a linked account id", max 254, dots Refused
);
customer_string!(
    /// The customer's own id of a workflow.
    WorkflowId, "a workflow id", max 254, dots Refused
);
customer_string!(
    /// The slug of an integration (app) of a linked account.
    IntegrationId, "an integration id", max 64, dots Refused
);
customer_string!(
    /// One of several connections of an integration, such as a workspace or mailbox of the customer.
    ConnectionId, "a connection id", max 64, dots Refused
);
customer_string!(
    /// The unique, case-sensitive name of a variable definition within an org and environment.
    DefinitionName, "a variable definition name", max 256, dots Refused
);
customer_string!(
    /// The case-sensitive key name of a credential.
    CredentialKey, "a credential key", max 256, dots Allowed
);
customer_string!(
    /// A group of the host's own records, such as `api-key`. Each has its own keys.
    Namespace, "a namespace", max 64, dots Refused
);
customer_string!(
    /// The key of a host's own record within its namespace.
    RecordKey, "a record key", max 256, dots Allowed
);

customer_string!(
    /// The name of an actor, in the host's own words, such as `user:alice` or the id of an API key.
    ActorName, "an actor's name", max 300, dots Allowed
);
customer_string!(
    /// The host's own id of a request.
    RequestId, "a request id", max 128, dots Allowed
);

impl Environment {
    /// The environment named `test`.
    #[must_use]
    pub fn test() -> Self {
        Self("test".to_owned())
    }

    /// The environment named `production`.
    #[must_use]
    pub fn production() -> Self {
        Self("production".to_owned())
    }
}

impl Namespace {
    /// Whether it is reserved: for API keys and their metadata, the keys that sign session tokens, sessions, and the
    /// lists of those. Only [`Org::reserved_records`](crate::Org::reserved_records) writes there.
    ///
    /// ```
    /// assert!("api-key".parse::<strongroom::Namespace>()?.is_reserved());
    /// assert!(!"notes".parse::<strongroom::Namespace>()?.is_reserved());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        RESERVED_NAMESPACES.contains(&self.as_str())
    }

    /// Whether its record at this key refuses something: keys of a line that was ended, and sessions that were. Nothing
    /// looks up a line by what is no id of a key, nor other records beside the key that signs.
    pub(crate) fn keeps_out(&self, key: &RecordKey) -> bool {
        match self.as_str() {
            "api-key-line" => key.as_str().parse::<DocumentId>().is_ok(),
            "signing-key" => matches!(key.as_str(), "hs256" | "sessions-ended"),
            "account-session" => true,
            _ => false,
        }
    }

    /// Whether no key in it is used again once its record is gone: API keys and sessions have random ids.
    pub(crate) fn is_used_once(&self) -> bool {
        matches!(self.as_str(), "api-key" | "session")
    }
}

const RESERVED_NAMESPACES: [&str; 6] =
    ["api-key", "api-key-use", "api-key-line", "signing-key", "session", "account-session"];

impl IntegrationId {
    /// The default app, under the slug `default-app`.
    #[must_use]
    pub fn default_app() -> Self {
        Self("default-app".to_owned())
    }
}

/// One connection of an integration: what a credential belongs to. Its text is that of the integration for the default
/// connection, and otherwise both ids with a byte `01` between them, which neither can contain. So the connections of
/// an integration are next to each other, the default one first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AppId(String);

impl AppId {
    pub(crate) const SEPARATOR: u8 = 1;

    /// The default connection if `connection` is `None`.
    pub(crate) fn of(integration: &IntegrationId, connection: Option<&ConnectionId>) -> Self {
        match connection {
            Some(connection) => Self(format!("{integration}{}{connection}", char::from(Self::SEPARATOR))),
            None => Self(integration.0.clone()),
        }
    }

    /// The form in keys, addresses and jobs.
    pub(crate) fn as_stored(&self) -> &str {
        &self.0
    }

    pub(crate) fn integration(&self) -> IntegrationId {
        IntegrationId(self.parts().0.to_owned())
    }

    /// `None` for the default connection.
    pub(crate) fn connection(&self) -> Option<ConnectionId> {
        self.parts().1.map(|name| ConnectionId(name.to_owned()))
    }

    pub(crate) fn parts(&self) -> (&str, Option<&str>) {
        match self.0.split_once(char::from(Self::SEPARATOR)) {
            Some((integration, connection)) => (integration, Some(connection)),
            None => (&self.0, None),
        }
    }
}

impl FromStr for AppId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let app = Self(text.to_owned());
        let (integration, connection) = app.parts();
        integration.parse::<IntegrationId>()?;
        connection.map(str::parse::<ConnectionId>).transpose()?;
        Ok(app)
    }
}

/// The 24 digits of a document id, on the stack.
pub(crate) struct DocumentText([u8; 24]);

impl DocumentText {
    fn of(bytes: &[u8; 12]) -> Self {
        let mut digits = [b'0'; 24];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
            *pair = [byte >> 4, byte & 15].map(|digit| digit + if digit < 10 { b'0' } else { b'a' - 10 });
        }
        Self(digits)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dots {
    Allowed,
    Refused,
}

fn check(what: &'static str, text: &str, max: usize, dots: Dots) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty(what));
    }
    if text.len() > max {
        return Err(IdError::TooLong { what, max });
    }
    // Ids appear in logs and terminals, which must not obey them.
    if text.chars().any(char::is_control) {
        return Err(IdError::Control(what));
    }
    if dots == Dots::Refused && matches!(text, "." | "..") {
        return Err(IdError::Dots(what));
    }
    Ok(())
}

/// The bytes of an id that is written in hexadecimal digits.
pub(crate) fn parse_hex<const LEN: usize>(what: &'static str, text: &str) -> Result<[u8; LEN], IdError> {
    let mut bytes = [0; LEN];
    let lowercase = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match hex::decode_to_slice(text, &mut bytes) {
        Ok(()) if lowercase => Ok(bytes),
        _ => Err(IdError::NotHex { what, digits: 2 * LEN }),
    }
}

/// Four bytes of seconds, as in an ObjectId, two of the second's fraction, six random: ids sort by age.
fn generate(clock: &dyn Clock) -> Result<[u8; 12], RandomError> {
    let now_ms = clock.now_ms();
    let fraction = (now_ms % 1_000) << 16;
    let stamp = ((now_ms / 1_000) << 16) | (fraction / 1_000);
    let mut bytes = [0; 12];
    let (time, noise) = bytes.split_at_mut(6);
    time.copy_from_slice(stamp.to_be_bytes().get(2..).unwrap_or(&[0; 6]));
    random::fill(noise)?;
    Ok(bytes)
}

/// The latest id that an engine made. The next one is greater, even within a millisecond or after the clock was set
/// back, so that the documents of one process are listed in the order of their creation.
#[derive(Debug, Default)]
pub(crate) struct LatestId(Mutex<[u8; 12]>);

impl LatestId {
    pub(crate) fn next<T: From<[u8; 12]>>(&self, clock: &dyn Clock) -> Result<T, RandomError> {
        let made = generate(clock)?;
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = following(&latest, made);
        Ok(T::from(*latest))
    }
}

/// `made`, or an id greater than `latest` that is no easier to guess.
fn following(latest: &[u8; 12], made: [u8; 12]) -> [u8; 12] {
    if made > *latest {
        return made;
    }
    let number = |id: &[u8; 12]| id.iter().fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
    // The step is so small a part of the six random bytes that tens of thousands fit before it carries into the time.
    let step = 1 + (number(&made) & u128::from(u32::MAX));
    let mut id = [0; 12];
    id.copy_from_slice(number(latest).saturating_add(step).to_be_bytes().get(4..).unwrap_or(&made));
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn a_document_id_is_24_lowercase_hex_digits() {
        let id: OrgId = "6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap();
        assert_eq!(id.to_string(), "6500a1b2c3d4e5f6a7b8c9d0");
        for bad in
            ["", "6500A1B2C3D4E5F6A7B8C9D0", "6500a1b2c3d4e5f6a7b8c9d", "6500a1b2c3d4e5f6a7b8c9d00", "zz"]
        {
            assert_eq!(bad.parse::<OrgId>(), Err(IdError::NotHex { what: "an org id", digits: 24 }));
        }
    }

    #[test]
    fn generated_ids_sort_by_age() {
        #[derive(Debug)]
        struct At(u64);
        impl Clock for At {
            fn now_ms(&self) -> u64 {
                self.0
            }
        }
        let at = |now_ms| DocumentId::generate(&At(now_ms)).unwrap();
        let (earlier, later) = (at(1_700_000_000_123), at(1_700_000_000_124));
        assert!(earlier < later);
        assert_eq!(earlier.as_bytes()[..4], 1_700_000_000_u32.to_be_bytes());
        assert_ne!(DocumentId::generate(&SystemClock).unwrap(), DocumentId::generate(&SystemClock).unwrap());
        // The ids of one engine increase, whatever the clock does.
        let latest = LatestId::default();
        let ids: Vec<DocumentId> =
            (0..10_000).map(|nth| latest.next(&At(1_700_000_000_123 - nth % 2)).unwrap()).collect();
        assert!(ids.is_sorted_by(|id, next| id < next));
        assert!(ids.last() < Some(&at(1_700_000_000_125)), "10,000 fit into a millisecond");
        assert!(latest.next::<DocumentId>(&At(1_700_000_001_000)).unwrap() > at(1_700_000_000_999));
    }

    #[test]
    fn a_customer_string_keeps_its_exact_bytes() {
        for text in ["a/", "A\u{ff}", " a ", "user@example.com", "account:12345", "..."] {
            assert_eq!(text.parse::<LinkedAccountId>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_map_of_ids_is_searched_with_plain_text_in_order_and_by_hash() {
        let ids: Vec<LinkedAccountId> = ["b", "a"].map(|id| id.to_owned().try_into().unwrap()).into();
        let ordered: std::collections::BTreeSet<_> = ids.iter().cloned().collect();
        let hashed: std::collections::HashSet<_> = ids.into_iter().collect();
        assert!(ordered.contains("a") && hashed.contains("b") && !hashed.contains("c"));
        assert_eq!(LinkedAccountId::try_from(String::from(".")), Err(IdError::Dots("a linked account id")));
    }

    #[test]
    fn a_connection_reads_back_and_sorts_behind_the_default_one() {
        let (crm, work) = ("crm".parse().unwrap(), "work".parse().unwrap());
        let (default, named) = (AppId::of(&crm, None), AppId::of(&crm, Some(&work)));
        for app in [&default, &named] {
            assert_eq!(app.as_stored().parse::<AppId>().as_ref(), Ok(app));
        }
        assert_eq!((named.integration(), named.connection()), (crm, Some(work)));
        assert_eq!(default.connection(), None);
        assert!(default < named && named < "crm-x".parse().unwrap() && named < "crm ".parse().unwrap());
        for bad in ["", "\u{1}", "crm\u{1}", "\u{1}work", "crm\u{1}a\u{1}b", "crm\u{2}a", "crm\u{1}.."] {
            assert!(bad.parse::<AppId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_customer_string_out_of_its_rule_is_refused() {
        let long = "x".repeat(255);
        for bad in ["", ".", "..", "a\0", "a\n", "\u{7f}", "\u{85}", long.as_str()] {
            assert!(bad.parse::<WorkflowId>().is_err(), "{bad:?}");
        }
        assert!("x".repeat(254).parse::<WorkflowId>().is_ok());
        assert!("..".parse::<CredentialKey>().is_ok());
    }
}
