//! Keys that the host does not hold: in an HSM, a key management service, or anything else that wraps 32 bytes.
//!
//! A slot that a provider opens holds 32 random bytes of its own, wrapped under the provider's key and bound to that
//! slot of that vault. The root key never leaves the process, and the provider's key never enters it.

use std::fmt;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::envelope::StoreId;
use crate::keys::RawKey;

pub use crate::error::{ProviderError, ProviderErrorKind};
pub use crate::model::ProviderKey;

/// Wraps and unwraps the key of a slot.
///
/// What is wrapped is bound to its [`WrapContext`]: it must not unwrap under another context, if the provider can bind
/// at all. A call may be slow, and its future may be dropped before it completes. The engine calls a provider once
/// when a slot is created and once when a vault is opened, never for a value. An implementation that blocks must do so
/// on a thread of its own.
///
/// The [`ProviderErrorKind`] of an error decides what the caller does. Above all, an outage must be [`Unavailable`] and
/// nothing else: a caller takes [`Corrupt`] and [`NotThisKey`] as the end of a key.
///
/// [`Unavailable`]: ProviderErrorKind::Unavailable
/// [`Corrupt`]: ProviderErrorKind::Corrupt
/// [`NotThisKey`]: ProviderErrorKind::NotThisKey
#[async_trait]
pub trait KeyProvider: fmt::Debug + Send + Sync + 'static {
    /// The kind of provider, such as `pkcs11`: 1 to 32 lowercase letters, digits and `-`. It is stored in the clear,
    /// and only a provider of the same kind is asked to open the slot.
    fn kind(&self) -> &str;

    /// Wraps `key` under the provider's own current key.
    async fn wrap(&self, key: &RawKey, context: &WrapContext) -> Result<Wrapped, ProviderError>;

    /// Unwraps what [`wrap`](Self::wrap) returned, under the key that `wrapped` names and no other. The result must be
    /// exactly 32 bytes.
    async fn unwrap(&self, wrapped: &Wrapped, context: &WrapContext) -> Result<RawKey, ProviderError>;

    /// Destroys one of the provider's keys for good: what it wrapped can never be unwrapped again. Returns `Ok` only
    /// for what the provider knows to be true; a missing key is [`ProviderErrorKind::NotThisKey`].
    async fn destroy(&self, key: &ProviderKey) -> Result<Destruction, ProviderError>;
}

/// A wrapped key, as it is stored in a slot.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wrapped {
    /// The key that wrapped it.
    pub key: ProviderKey,
    /// What the provider needs to unwrap it: at most 4,096 bytes.
    pub blob: Vec<u8>,
}

/// What a wrapped key is bound to: one slot of one vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrapContext([u8; 32]);

/// The result of destroying a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Destruction {
    /// The key is destroyed.
    Destroyed {
        /// How the provider knows, as a sentence for people.
        evidence: String,
    },
    /// The key will be destroyed; until then, the deletion can be cancelled.
    Scheduled {
        /// When.
        until: Timestamp,
    },
    /// This provider cannot destroy keys.
    NotSupported,
}

impl Wrapped {
    /// A slot's key, wrapped by `key`.
    #[must_use]
    pub fn new(key: ProviderKey, blob: Vec<u8>) -> Self {
        Self { key, blob }
    }

    /// The most bytes of a blob.
    pub const BLOB_BYTES_MAX: usize = 4_096;

    pub(crate) fn is_valid(&self) -> bool {
        self.key.is_valid() && !self.blob.is_empty() && self.blob.len() <= Self::BLOB_BYTES_MAX
    }
}

/// Shows the length of the blob, and no byte of it.
impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wrapped").field("key", &self.key).field("blob_len", &self.blob.len()).finish()
    }
}

impl WrapContext {
    /// A context of the caller's choice, for testing a provider. The engine makes its own.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The associated data for authenticated encryption; a service that wants text can use its hex form.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn of_slot(store_id: &StoreId, slot_id: &[u8; 16]) -> Self {
        let hash = Sha256::new()
            .chain_update(b"strongroom/v1/slot-aad")
            .chain_update(store_id)
            .chain_update(16_u32.to_be_bytes())
            .chain_update(slot_id);
        Self(hash.finalize().into())
    }
}

/// Whether `kind` is a valid name of a provider kind.
pub(crate) fn is_kind(kind: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&kind.len()) && kind.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_of_a_slot_is_that_of_the_format() {
        let context = WrapContext::of_slot(&[1; 16], &[2; 16]);
        let plain = [&b"strongroom/v1/slot-aad"[..], &[1; 16], &[0, 0, 0, 16], &[2; 16]].concat();
        assert_eq!(context.as_bytes()[..], Sha256::digest(&plain)[..]);
        assert_ne!(context, WrapContext::of_slot(&[2; 16], &[1; 16]));
    }

    #[test]
    fn what_stands_in_a_slot_is_bounded() {
        assert!(is_kind("pkcs11") && !is_kind("") && !is_kind("PKCS11") && !is_kind(&"a".repeat(33)));
        assert!(ProviderKey::new("k", 0).is_valid());
        for id in ["", "a\nb", &"a".repeat(513)] {
            assert!(!ProviderKey::new(id, 0).is_valid());
        }
        for len in [0, 4_097] {
            assert!(!Wrapped::new(ProviderKey::new("k", 0), vec![0; len]).is_valid());
        }
    }
}
