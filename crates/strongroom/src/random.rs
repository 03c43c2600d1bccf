//! The one place where randomness enters: nonces, salts, ids and new keys.

use rand::TryRng as _;
use rand::rngs::SysError;
use rand::rngs::SysRng;

/// Fills `bytes` from the operating system's generator.
///
/// # Errors
/// [`RandomError`] when it has none to give. What is in `bytes` then must not be used.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), RandomError> {
    SysRng.try_fill_bytes(bytes).map_err(RandomError)
}

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes: {0}")]
pub(crate) struct RandomError(SysError);
