//! Which token to use, and how.

use std::fmt;
use std::path::PathBuf;

use strongroom::Secret;

/// Which token of which library.
pub struct TokenOptions {
    pub(crate) module: PathBuf,
    pub(crate) token_label: String,
    pub(crate) pin: Secret,
    pub(crate) wrapping: Option<Wrapping>,
}

/// How a token wraps the key of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wrapping {
    /// `CKM_AES_GCM`: the slot and the vault are bound in.
    Gcm,
    /// `CKM_AES_KEY_WRAP_PAD` (RFC 5649): for tokens that have no GCM. It takes no associated data; a slot's own record
    /// still binds it.
    KeyWrapPad,
}

impl TokenOptions {
    /// The token called `token_label` of the PKCS #11 library at `module`, logged in to as the user with `pin`.
    pub fn new(module: impl Into<PathBuf>, token_label: impl Into<String>, pin: impl Into<Secret>) -> Self {
        Self { module: module.into(), token_label: token_label.into(), pin: pin.into(), wrapping: None }
    }

    /// Makes keys for this mechanism and no other. Unless set it is GCM where the token has it. What was wrapped before
    /// is unwrapped with the mechanism that wrapped it.
    #[must_use]
    pub fn wrapping(mut self, wrapping: Wrapping) -> Self {
        self.wrapping = Some(wrapping);
        self
    }
}

/// Shows all but the PIN.
impl fmt::Debug for TokenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenOptions")
            .field("module", &self.module)
            .field("token_label", &self.token_label)
            .field("wrapping", &self.wrapping)
            .finish_non_exhaustive()
    }
}
