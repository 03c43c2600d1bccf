//! The one error of every backend: a kind to act on, a sentence for people, and the cause.

use std::borrow::Cow;
use std::fmt;

/// Why a store could not do what was requested. Carries no byte of a key or value.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a caller can do about a [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// An expectation did not hold; `index` is its place in [`expect`](super::WriteBatch::expect). Nothing was
    /// written: read again and decide again.
    Conflict {
        /// The first failed expectation.
        index: usize,
    },
    /// The backend gave way to another writer. Nothing was written: try the same batch again.
    Contention,
    /// The backend could not be reached. Nothing was written: try later.
    Unavailable,
    /// The store takes one process at a time, and is open in another process or by another handle of this one. Nothing
    /// was done: try again when it is closed, or go through the process or handle that has it open.
    InUse,
    /// The batch was sent and the answer was lost: it may or may not have been applied.
    Indeterminate,
    /// A key, value, batch or read exceeds a limit. Nothing was written.
    TooLarge,
    /// The backend's own data is damaged.
    Corrupt,
    /// An earlier write could not be made durable: the store refuses everything until it is opened again.
    Poisoned,
    /// The store was closed.
    Closed,
    /// The request breaks a rule of the contract, or the backend cannot do it.
    Unsupported,
}

impl StoreError {
    /// An error of `kind` with a sentence for people. The sentence must hold no byte of a key or value.
    pub fn new(kind: StoreErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// A failed expectation at `index`.
    #[must_use]
    pub fn conflict(index: usize) -> Self {
        Self::new(StoreErrorKind::Conflict { index }, "an expectation did not hold")
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}
