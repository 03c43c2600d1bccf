//! A key that a provider holds.

/// The name and version of a key at its provider. The store holds it in the clear.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ProviderKey {
    /// The provider's name of the key: at most 512 bytes without control characters.
    pub id: String,
    /// The version of that key; 0 if the provider has no versions.
    pub version: u64,
}

impl ProviderKey {
    /// The key that the provider calls `id`, in this version.
    pub fn new(id: impl Into<String>, version: u64) -> Self {
        Self { id: id.into(), version }
    }

    /// The most bytes of an id.
    pub const ID_BYTES_MAX: usize = 512;

    pub(crate) fn is_valid(&self) -> bool {
        !self.id.is_empty() && self.id.len() <= Self::ID_BYTES_MAX && !self.id.contains(char::is_control)
    }
}
