//! A keyed hash over what leaves a store: the frames of a backup, the rows of a copy.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use super::primitives::{self, Mac, expand};

/// A key that tells what its holder wrote from what anyone else wrote.
pub(crate) struct MacKey(Mac);

/// The keyed hash of some bytes.
pub(crate) type MacTag = [u8; 32];

/// A keyed hash that is being computed.
pub(crate) struct RunningMac(primitives::RunningMac);

impl MacKey {
    /// The key that is derived from `root` for the concatenation of `info`.
    pub(crate) fn derive(root: &[u8; 32], info: &[&[u8]]) -> Self {
        Self(Mac::new(&expand(root, info)))
    }

    pub(crate) fn start(&self) -> RunningMac {
        RunningMac(self.0.start())
    }
}

impl RunningMac {
    /// Adds `bytes` as they are: the caller must make sure that they can be parsed in only one way.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> MacTag {
        self.0.finish()
    }

    /// Whether `tag` is the hash of these bytes; compares in constant time.
    pub(crate) fn is(self, tag: &MacTag) -> bool {
        self.finish().ct_eq(tag).into()
    }
}

/// A checksum that tells decay from a wrong key. Anyone can compute it.
pub(crate) fn checksum(parts: &[&[u8]]) -> [u8; 8] {
    let hash = parts.iter().fold(Sha256::new(), Digest::chain_update).finalize();
    let mut sum = [0; 8];
    sum.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    sum
}
