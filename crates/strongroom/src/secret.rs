//! The only type that may hold plaintext.

use std::fmt;

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
    /// The plaintext. The engine does not wipe copies that are made of it.
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

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

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
}
