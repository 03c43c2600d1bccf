//! Why a key provider failed.

use std::borrow::Cow;
use std::fmt;

/// Why a key provider failed. It carries no byte of a key.
#[derive(Debug)]
pub struct ProviderError {
    kind: ProviderErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a caller can do about a [`ProviderError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProviderErrorKind {
    /// The provider has the key, but this caller may not use it: a wrong PIN, a missing permission, a disabled key.
    Denied,
    /// The provider does not have the key that wrapped this: it holds another key, or the key was destroyed.
    NotThisKey,
    /// The key is right, but the data to unwrap, or the result, is not what was wrapped.
    Corrupt,
    /// The provider could not be reached or did not respond. This says nothing about the key: try again later.
    Unavailable,
    /// The provider lacks something that the call needs, such as a mechanism.
    Unsupported,
}

impl ProviderErrorKind {
    /// What to do about it, as half a sentence for people: the text of a [`ProviderError`] ends with it.
    ///
    /// ```
    /// use strongroom::Error;
    /// use strongroom::provider::{ProviderError, ProviderErrorKind};
    /// let outage = ProviderError::new(ProviderErrorKind::Unavailable, "the token does not answer");
    /// let told = Error::from(outage).to_string();
    /// assert_eq!(told, "the key provider: the token does not answer; try again later, or use another slot's key");
    /// ```
    #[must_use]
    pub const fn next_step(self) -> &'static str {
        match self {
            Self::Denied => "correct the PIN or permission, nothing is lost",
            Self::NotThisKey => "look for the provider that has the key, or use another slot's key",
            Self::Corrupt => "use another slot's key, then remove this slot and add it again",
            Self::Unavailable => "try again later, or use another slot's key",
            Self::Unsupported => "change how the provider is set up, or use another one",
        }
    }
}

impl ProviderError {
    /// An error of `kind` with a sentence for people. The sentence must hold no byte of a key and no PIN.
    pub fn new(kind: ProviderErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ProviderErrorKind {
        self.kind
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key provider: {}; {}", self.message, self.kind.next_step())
    }
}

impl std::error::Error for ProviderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}
