//! Keys from passphrases: Argon2id (RFC 9106), version 0x13.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

/// What one derivation of a key from a passphrase costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argon2Params {
    memory_kib: u32,
    iterations: u32,
    lanes: u32,
}

impl Argon2Params {
    /// The least that a new slot may have: 19 MiB, two passes, one lane.
    pub const FLOOR: Self = Self::new(19 * 1024, 2, 1);
    /// The most that a slot read from a store may ask for: 1 GiB, ten passes, 16 lanes.
    pub const CEILING: Self = Self::new(1024 * 1024, 10, 16);

    /// Parameters as they are; whether they are acceptable shows where they are used.
    #[must_use]
    pub const fn new(memory_kib: u32, iterations: u32, lanes: u32) -> Self {
        Self { memory_kib, iterations, lanes }
    }

    /// The memory to fill, in KiB.
    #[must_use]
    pub const fn memory_kib(&self) -> u32 {
        self.memory_kib
    }

    /// How many passes over the memory.
    #[must_use]
    pub const fn iterations(&self) -> u32 {
        self.iterations
    }

    /// How many lanes the memory is split into.
    #[must_use]
    pub const fn lanes(&self) -> u32 {
        self.lanes
    }

    /// Refuses parameters too weak for a new slot.
    pub(crate) fn check_floor(&self) -> Result<(), Argon2Error> {
        if Self::FLOOR.within(self) { Ok(()) } else { Err(Argon2Error::TooWeak) }
    }

    /// Refuses parameters that cost more than `ceiling` allows. To be asked before any memory is taken.
    pub(crate) fn check_ceiling(&self, ceiling: &Self) -> Result<(), Argon2Error> {
        if self.within(ceiling) { Ok(()) } else { Err(Argon2Error::TooCostly) }
    }

    fn within(&self, other: &Self) -> bool {
        self.memory_kib <= other.memory_kib
            && self.iterations <= other.iterations
            && self.lanes <= other.lanes
    }
}

impl Default for Argon2Params {
    /// 64 MiB, three passes, four lanes: the second choice of RFC 9106 section 4.
    fn default() -> Self {
        Self::new(64 * 1024, 3, 4)
    }
}

/// Why no key was derived from a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Argon2Error {
    /// Parameters of a new slot are below [`Argon2Params::FLOOR`].
    #[error("the argon2 parameters are too weak: take at least 19 MiB, two passes and one lane")]
    TooWeak,
    /// Parameters read from a store are above the ceiling; no memory was taken.
    #[error("the argon2 parameters cost more than the ceiling allows: raise it only if the store is yours")]
    TooCostly,
    /// The parameters contradict RFC 9106, or the passphrase is longer than it allows.
    #[error("the argon2 parameters or the passphrase's length are outside of RFC 9106")]
    Invalid,
    /// The memory could not be had.
    #[error("there is not enough memory for the argon2 parameters")]
    NoMemory,
}

/// The key that the exact bytes of `passphrase` give. Takes [`Argon2Params::memory_kib`] of memory, and wipes
/// it.
///
/// # Errors
/// [`Argon2Error::Invalid`] and [`Argon2Error::NoMemory`]; floor and ceiling are the caller's to check
/// before.
pub(crate) fn argon2id(
    passphrase: &[u8],
    salt: &[u8; 16],
    params: &Argon2Params,
) -> Result<Zeroizing<[u8; 32]>, Argon2Error> {
    let params = Params::new(params.memory_kib, params.iterations, params.lanes, Some(32))
        .map_err(|_| Argon2Error::Invalid)?;
    let mut memory = Zeroizing::new(Vec::new());
    memory.try_reserve_exact(params.block_count()).map_err(|_| Argon2Error::NoMemory)?;
    memory.resize(params.block_count(), Block::new());

    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase, salt, &mut *key, memory.as_mut_slice())
        .map_err(|_| Argon2Error::Invalid)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_bytes_of_a_passphrase_give_the_key_that_openssl_gives() {
        let key = argon2id(b"correct horse \xff", &[2; 16], &Argon2Params::FLOOR).unwrap();
        assert_eq!(hex::encode(*key), "a8984e51394d3d201cd0cf71bfdda53be70c64c9bd0716e9a75b40fb89eefb2f");
    }

    #[test]
    fn each_number_has_a_floor_for_a_new_slot() {
        assert_eq!(Argon2Params::default().check_floor(), Ok(()));
        assert_eq!(Argon2Params::FLOOR.check_floor(), Ok(()));
        for weak in [(19 * 1024 - 1, 2, 1), (19 * 1024, 1, 1), (19 * 1024, 2, 0)] {
            assert_eq!(params(weak).check_floor(), Err(Argon2Error::TooWeak));
        }
    }

    #[test]
    fn each_number_has_a_ceiling_for_a_slot_that_is_read() {
        assert_eq!(Argon2Params::CEILING.check_ceiling(&Argon2Params::CEILING), Ok(()));
        for costly in [(1024 * 1024 + 1, 10, 16), (1024 * 1024, 11, 16), (1024 * 1024, 10, 17)] {
            assert_eq!(params(costly).check_ceiling(&Argon2Params::CEILING), Err(Argon2Error::TooCostly));
        }
    }

    #[test]
    fn numbers_that_argon2_does_not_know_are_invalid() {
        for invalid in [(0, 1, 1), (31, 1, 4), (32, 0, 4), (32, 1, 0)] {
            assert_eq!(argon2id(b"", &[0; 16], &params(invalid)).unwrap_err(), Argon2Error::Invalid);
        }
    }

    fn params((memory_kib, iterations, lanes): (u32, u32, u32)) -> Argon2Params {
        Argon2Params::new(memory_kib, iterations, lanes)
    }
}
