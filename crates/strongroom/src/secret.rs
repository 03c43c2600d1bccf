//! The only types that may hold plaintext.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize, Zeroizing};

/// Plaintext of a value, credential or passphrase: exact UTF-8, wiped on drop.
///
/// It cannot be printed, cloned, compared or serialised; [`expose`](Self::expose) is the only way out.
///
/// ```
/// let secret = strongroom::Secret::from("k1");
/// assert_eq!(format!("{secret:?}"), "[REDACTED]");
/// assert_eq!(secret.expose(), "k1");
/// ```
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The plaintext. The engine does not wipe copies made of it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The length of the plaintext in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the plaintext is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes as the text that is stored for them: base64 with padding (RFC 4648, section 4). It is a value of the
    /// format [`bytes`](crate::VarFormat::Bytes), and may be any credential; [`to_bytes`](Self::to_bytes) is the way
    /// back. The caller must wipe `bytes`, or make [`SecretBytes`] of them.
    ///
    /// ```
    /// use strongroom::Secret;
    /// let keytab = Secret::from_bytes(b"\x05\x02\xff");
    /// assert_eq!(keytab.expose(), "BQL/");
    /// assert_eq!(keytab.to_bytes()?.expose(), b"\x05\x02\xff");
    /// # Ok::<(), strongroom::NotBytes>(())
    /// ```
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        // Encoded directly into its final place: `encode_string` uses a buffer of its own, which nobody wipes.
        let mut text = Zeroizing::new(vec![0; bytes.len().div_ceil(3) * 4]);
        let written = STANDARD.encode_slice(bytes, &mut text).unwrap_or_default();
        Self::from_part(text, 0..written).unwrap_or_else(|| Self::from(String::new()))
    }

    /// The bytes that the text represents, if it is base64.
    ///
    /// # Errors
    /// [`NotBytes`], which shows no part of the text.
    pub fn to_bytes(&self) -> Result<SecretBytes, NotBytes> {
        self.0.parse()
    }

    /// Takes `range` of a decrypted buffer as the plaintext, in the same allocation, and wipes the rest. `None` if
    /// that part is not UTF-8.
    pub(crate) fn from_part(mut buffer: Zeroizing<Vec<u8>>, range: std::ops::Range<usize>) -> Option<Self> {
        let len = range.len();
        if range.end > buffer.len() {
            return None;
        }
        // Moved within the buffer: a new allocation would be a second copy to wipe.
        buffer.copy_within(range, 0);
        buffer.get_mut(len..)?.zeroize();
        buffer.truncate(len);
        match String::from_utf8(std::mem::take(&mut *buffer)) {
            Ok(text) => Some(Self(Zeroizing::new(text))),
            Err(not_utf8) => {
                // The error holds the bytes and would not wipe them.
                not_utf8.into_bytes().zeroize();
                None
            }
        }
    }
}

/// Copies the text. The caller must wipe the original.
impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

/// Takes ownership of the text, so that no copy is left behind.
impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

/// The text of the bytes, as [`Secret::from_bytes`] makes it. The bytes are wiped.
impl From<SecretBytes> for Secret {
    fn from(bytes: SecretBytes) -> Self {
        Self::from_bytes(&bytes.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// Plaintext that is not text, such as a keytab or a PKCS #12 file: bytes that are wiped on drop. It can be set as a
/// value or credential, and is stored as base64 ([`Secret::from_bytes`]).
///
/// It cannot be printed, cloned, compared or serialised; [`expose`](Self::expose) is the only way out.
///
/// ```
/// # strongroom_conformance::with_org(async |org| {
/// use strongroom::{Scope, ScopePath, SecretBytes, VarFormat, VariableDefinition};
/// org.define(VariableDefinition::new("KEYTAB", VarFormat::Bytes).encrypted()).await?;
/// org.set_value("KEYTAB", Scope::Org, SecretBytes::from(vec![5, 2, 0])).await?;
/// let run = org.resolve_all(&ScopePath::org()).await?;
/// let keytab: Option<SecretBytes> = run.parse("KEYTAB").unwrap();
/// assert_eq!(keytab.unwrap().expose(), [5, 2, 0]);
/// # Ok(()) });
/// ```
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// The bytes. The engine does not wipe copies made of them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Takes ownership of the bytes, so that no copy is left behind.
impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

/// Reads base64 with padding, in its one valid form. The caller must wipe the text.
impl FromStr for SecretBytes {
    type Err = NotBytes;

    fn from_str(text: &str) -> Result<Self, NotBytes> {
        // All the room at once; the buffer is wiped whatever was decoded before an error.
        let mut bytes = Zeroizing::new(vec![0; text.len().div_ceil(4) * 3]);
        let len = STANDARD.decode_slice(text, &mut bytes).map_err(|_| NotBytes)?;
        bytes.truncate(len);
        Ok(Self(bytes))
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// The text does not represent bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "bytes are read from base64 with padding (RFC 4648, section 4): give the variable the format `bytes`"
)]
pub struct NotBytes;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_buffer_is_taken_in_place() {
        let secret = Secret::from_part(Zeroizing::new(b"\xa3value\x01\x02".to_vec()), 1..6).unwrap();
        assert_eq!(secret.expose(), "value");
        assert!(Secret::from_part(Zeroizing::new(b"\xa3value".to_vec()), 0..6).is_none());
        assert!(Secret::from_part(Zeroizing::new(b"value".to_vec()), 0..6).is_none());
    }

    #[test]
    fn bytes_of_every_length_come_back() {
        for len in 0..260 {
            let bytes: Vec<u8> = (0..len).map(|at| at as u8 ^ 0xa5).collect();
            let secret = Secret::from_bytes(&bytes);
            assert_eq!(secret.0.capacity(), secret.len());
            assert_eq!(secret.to_bytes().unwrap().expose(), bytes);
        }
    }

    #[test]
    fn one_text_stands_for_the_same_bytes() {
        for text in ["Zh==", "Zg", "Zg=", "Zg==\n", "-_-_", "\u{e9}AA="] {
            assert_eq!(Secret::from(text).to_bytes().unwrap_err(), NotBytes);
        }
    }
}
