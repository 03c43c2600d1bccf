//! Sizes that the engine refuses to exceed.

/// The engine's limits, in bytes unless named otherwise. A host may lower them but not raise them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    value_bytes_max: usize,
    definitions_max: usize,
}

impl Limits {
    /// Values and credentials of at most `bytes`; never more than 64 KiB.
    #[must_use]
    pub fn value_bytes_max(mut self, bytes: usize) -> Self {
        self.value_bytes_max = bytes.min(VALUE_BYTES_MAX);
        self
    }

    /// At most `count` definitions in one org and environment; never more than 1,000.
    #[must_use]
    pub fn definitions_max(mut self, count: usize) -> Self {
        self.definitions_max = count.min(DEFINITIONS_MAX);
        self
    }

    pub(crate) fn value_bytes(&self) -> usize {
        self.value_bytes_max
    }

    pub(crate) fn definitions(&self) -> usize {
        self.definitions_max
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { value_bytes_max: VALUE_BYTES_MAX, definitions_max: DEFINITIONS_MAX }
    }
}

const VALUE_BYTES_MAX: usize = 64 << 10;
const DEFINITIONS_MAX: usize = 1_000;

pub(crate) const DESCRIPTION_BYTES_MAX: usize = 1 << 10;
pub(crate) const DEFAULT_BYTES_MAX: usize = 4 << 10;
pub(crate) const AUTHOR_BYTES_MAX: usize = 256;
/// The longest value leaves 2,020 bytes of its record for all that is said about a version.
pub(crate) const NOTE_BYTES_MAX: usize = 512;
pub(crate) const LABELS_MAX: usize = 16;
/// Of all labels of a version.
pub(crate) const LABELS_BYTES_MAX: usize = 512;
pub(crate) const ACCOUNT_NAME_BYTES_MAX: usize = 256;
pub(crate) const UDF_BYTES_MAX: usize = 16 << 10;
pub(crate) const NAME_PATTERN_BYTES_MAX: usize = 1 << 10;
