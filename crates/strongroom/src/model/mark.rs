//! A mark of how recent a store is, to be kept elsewhere.

use std::fmt;
use std::str::FromStr;

use crate::envelope::{StoreId, checksum};
use crate::id::{IdError, parse_hex};

/// How recent a store was when [`Vault::mark`](crate::Vault::mark) was called: its id and a number that only grows.
/// Kept away from the store, it tells the store from an older copy of it
/// ([`VaultOptions::expect_at_least`](crate::VaultOptions::expect_at_least)).
///
/// It is not secret. As text it is 64 lowercase hexadecimal digits, 16 of which are a checksum.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark {
    pub(crate) store_id: StoreId,
    pub(crate) count: u64,
}

impl Mark {
    /// The bytes of the mark.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let count = self.count.to_be_bytes();
        let sum = checksum(&[LABEL, &self.store_id, &count]);
        let parts = self.store_id.into_iter().chain(count).chain(sum);
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        bytes
    }

    /// The mark that [`to_bytes`](Self::to_bytes) returned; `None` for any other bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let (store_id, rest) = bytes.split_first_chunk::<16>()?;
        let mark = Self { store_id: *store_id, count: u64::from_be_bytes(*rest.first_chunk()?) };
        (mark.to_bytes() == *bytes).then_some(mark)
    }

    /// The id of the store, as [`Vault::store_id`](crate::Vault::store_id) gives it.
    #[must_use]
    pub fn store_id(&self) -> String {
        hex::encode(self.store_id)
    }

    /// Whether it belongs to the same store as `other` and was made later.
    #[must_use]
    pub fn is_after(&self, other: &Self) -> bool {
        self.store_id == other.store_id && self.count > other.count
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_bytes()))
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mark({self})")
    }
}

impl FromStr for Mark {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::from_bytes(&parse_hex(WHAT, text)?).ok_or(IdError::NotHex { what: WHAT, digits: 64 })
    }
}

const WHAT: &str = "the mark of a store";
const LABEL: &[u8] = b"strongroom/v1/mark";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_and_a_wrong_digit_is_refused() {
        let mark = Mark { store_id: [7; 16], count: 1_700_000_000_000 };
        let text = mark.to_string();
        assert_eq!(text.parse::<Mark>().unwrap(), mark);
        for at in 0..text.len() {
            let mut wrong = text.clone();
            wrong.replace_range(at..=at, if &text[at..=at] == "0" { "1" } else { "0" });
            assert!(wrong.parse::<Mark>().is_err(), "digit {at}");
        }
        assert!(text.to_uppercase().parse::<Mark>().is_err());
    }

    #[test]
    fn a_mark_is_that_of_the_format() {
        let mark = Mark { store_id: [7; 16], count: 1_700_000_000_000 };
        assert_eq!(mark.to_string(), "070707070707070707070707070707070000018bcfe568002768c70326483753");
    }

    #[test]
    fn only_a_mark_of_the_same_store_is_after_another() {
        let mark = |store, count| Mark { store_id: [store; 16], count };
        assert!(mark(1, 2).is_after(&mark(1, 1)));
        assert!(!mark(1, 1).is_after(&mark(1, 1)) && !mark(2, 2).is_after(&mark(1, 1)));
    }
}
