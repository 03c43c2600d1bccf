//! The one place where randomness enters: nonces, salts, ids and new keys.

use rand::TryRng as _;
use rand::rngs::SysError;
use rand::rngs::SysRng;

#[cfg(feature = "hazmat")]
use self::chosen::fill as source;
#[cfg(not(feature = "hazmat"))]
use self::system as source;

/// Fills `bytes` from the operating system's generator.
///
/// # Errors
/// [`RandomError`] when it has none to give. Then the content of `bytes` must not be used.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), RandomError> {
    source(bytes)
}

fn system(bytes: &mut [u8]) -> Result<(), RandomError> {
    SysRng.try_fill_bytes(bytes).map_err(RandomError)
}

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes: {0}")]
pub(crate) struct RandomError(SysError);

/// Bytes of a test's choice, on the thread that chose them.
#[cfg(feature = "hazmat")]
pub(crate) mod chosen {
    use std::cell::RefCell;

    use super::{RandomError, system};

    /// Fills bytes as a test likes.
    pub(crate) type Source = Box<dyn FnMut(&mut [u8])>;

    thread_local! {
        static CHOSEN: RefCell<Option<Source>> = const { RefCell::new(None) };
    }

    pub(super) fn fill(bytes: &mut [u8]) -> Result<(), RandomError> {
        CHOSEN.with_borrow_mut(|chosen| match chosen {
            Some(source) => {
                source(bytes);
                Ok(())
            }
            None => system(bytes),
        })
    }

    /// Installs another source, and returns the previous one.
    pub(crate) fn replace(source: Option<Source>) -> Option<Source> {
        CHOSEN.replace(source)
    }
}
