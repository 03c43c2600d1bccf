//! Sealing with a key and a nonce that the caller chooses, and an engine with random bytes that the caller chooses.
//! Only for test vectors, interoperability, fuzzing and simulation.
//!
//! Nothing here prevents a host from repeating a nonce or from binding a record to the wrong address. A program that
//! stores values does not need it: the vault chooses keys, nonces and addresses.

pub mod fuzz;

use std::fmt;

use zeroize::Zeroizing;

pub use crate::envelope::OpenError;
use crate::envelope::{self, DekId, SealingKey};
use crate::random::chosen;

/// A key that seals records, derived from 32 bytes that the caller chooses.
///
/// ```
/// use strongroom::hazmat::{Context, Key};
///
/// let key = Key::derive(&[7; 32]);
/// let context = Context { kind: 1, org: "acme", name: "API_SECRET", revision: 1, ..Context::default() };
/// let record = key.seal(&context, &[9; 12], b"s3cret")?;
/// assert_eq!(key.open(&context, &record)?.expose(), b"s3cret");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Key(SealingKey);

impl Key {
    /// The key that is derived from `dek`.
    #[must_use]
    pub fn derive(dek: &[u8; 32]) -> Self {
        Self(SealingKey::derive(dek))
    }

    /// The id at the start of every record that this key seals.
    #[must_use]
    pub fn id(&self) -> DekId {
        *self.0.id()
    }

    /// Seals `plaintext` and binds it to `context`. Repeating a nonce shows which records hold the same value.
    ///
    /// # Errors
    /// [`TooLong`] when the record would be over 67,662 bytes, or a field of the context over 4 GiB.
    pub fn seal(
        &self,
        context: &Context<'_>,
        nonce: &[u8; 12],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, TooLong> {
        if !context.fits() {
            return Err(TooLong);
        }
        self.0.seal_with_nonce(context, nonce, plaintext).map_err(|_| TooLong)
    }

    /// Opens a record that was bound to `context`.
    ///
    /// # Errors
    /// [`OpenError`]: the first of its variants that applies, in the order of their declaration.
    pub fn open(&self, context: &Context<'_>, record: &[u8]) -> Result<Opened, OpenError> {
        if !context.fits() {
            return Err(OpenError::Rejected);
        }
        self.0.open(context, record).map(Opened)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The address that a record is bound to. Its fields are not checked against any rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Context<'a> {
    /// The kind of content: a store uses 1, 2, 4 to 7 and 9 to 12; 8 is that of a ciphertext shown to a client.
    pub kind: u8,
    /// The id of the store.
    pub store_id: [u8; 16],
    /// The org's id.
    pub org: &'a str,
    /// The environment's name.
    pub environment: &'a str,
    /// The linked account's id, if the record belongs to one.
    pub linked_account: Option<&'a str>,
    /// The workflow's id, if the record belongs to one.
    pub workflow: Option<&'a str>,
    /// The definition's id, the integration's id, or a fixed word.
    pub name: &'a str,
    /// The name of a credential's key or of a row.
    pub key_name: &'a str,
    /// The document's id.
    pub doc_id: &'a str,
    /// The revision.
    pub revision: u64,
}

impl Context<'_> {
    /// Lengths are written as 32 bits: a longer text would be truncated.
    fn fits(&self) -> bool {
        let optional = [self.linked_account, self.workflow].map(Option::unwrap_or_default);
        let texts = [self.org, self.environment, self.name, self.key_name, self.doc_id];
        texts.iter().chain(&optional).all(|text| u32::try_from(text.len()).is_ok())
    }
}

impl envelope::Address for Context<'_> {
    fn encode_into(&self, out: &mut Vec<u8>) {
        let put = |out: &mut Vec<u8>, text: &str| {
            out.extend_from_slice(&(text.len() as u32).to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        };
        let put_optional = |out: &mut Vec<u8>, text: Option<&str>| {
            out.push(u8::from(text.is_some()));
            text.into_iter().for_each(|text| put(out, text));
        };
        out.extend_from_slice(&self.store_id);
        put(out, self.org);
        put(out, self.environment);
        put_optional(out, self.linked_account);
        out.push(self.kind);
        put_optional(out, self.workflow);
        put(out, self.name);
        put(out, self.key_name);
        put(out, self.doc_id);
        out.extend_from_slice(&self.revision.to_be_bytes());
    }
}

/// The plaintext of a record, wiped on drop.
pub struct Opened(Zeroizing<Vec<u8>>);

impl Opened {
    /// The plaintext.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened([REDACTED])")
    }
}

/// The plaintext or its address is too long to be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value or its address is too long to be sealed")]
pub struct TooLong;

/// Runs `body` on this thread with random bytes from `source`: keys, nonces and ids are then only as random as
/// `source`.
///
/// ```
/// use strongroom::RawKey;
/// use strongroom::hazmat::with_random_bytes;
/// let made = || with_random_bytes(|bytes| bytes.fill(7), RawKey::generate).map(|key| *key.expose());
/// assert_eq!(made()?, made()?);
/// # Ok::<(), strongroom::Error>(())
/// ```
pub fn with_random_bytes<T>(source: impl FnMut(&mut [u8]) + 'static, body: impl FnOnce() -> T) -> T {
    let _before = Before(chosen::replace(Some(Box::new(source))));
    body()
}

/// Restores the previous source, even if the body panics.
struct Before(Option<chosen::Source>);

impl Drop for Before {
    fn drop(&mut self) {
        chosen::replace(self.0.take());
    }
}

/// HKDF-SHA256, the expand step only, with an output of 32 bytes (RFC 5869 section 2.3).
#[must_use]
pub fn expand(prk: &[u8; 32], info: &[u8]) -> [u8; 32] {
    *envelope::expand(prk, &[info])
}

/// The length of a plaintext of `value_len` bytes once it is padded.
#[must_use]
pub fn padded_len(value_len: usize) -> usize {
    envelope::padded_len(value_len)
}
