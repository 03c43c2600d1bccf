//! Keys from passphrases: Argon2id (RFC 9106), version 0x13.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

use crate::envelope::KeyMaterial;

/// The cost of deriving a key from a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argon2Params {
    memory_kib: u32,
    iterations: u32,
    lanes: u32,
}

impl Argon2Params {
    /// The minimum for a new slot: 19 MiB, two passes, one lane.
    pub const FLOOR: Self = Self::new(19 * 1024, 2, 1);
    /// The maximum for a slot read from a store: 1 GiB, ten passes, 16 lanes.
    pub const CEILING: Self = Self::new(1024 * 1024, 10, 16);

    /// The parameters, unchecked: bounds are checked where the parameters are used.
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

    /// The larger of each number.
    fn raised_to(self, other: &Self) -> Self {
        Self {
            memory_kib: self.memory_kib.max(other.memory_kib),
            iterations: self.iterations.max(other.iterations),
            lanes: self.lanes.max(other.lanes),
        }
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

/// The bounds of key derivations: at least the floor, at most the ceiling, and the cost of a new slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Argon2Bounds {
    /// The parameters of a new slot.
    pub(crate) today: Argon2Params,
    /// The maximum that a slot may ask for.
    pub(crate) ceiling: Argon2Params,
}

impl Argon2Bounds {
    /// The parameters of a new slot; an error if such a slot could not be opened again.
    pub(crate) fn check_new(&self) -> Result<Argon2Params, Argon2Error> {
        if !Argon2Params::FLOOR.within(&self.today) {
            return Err(Argon2Error::TooWeak);
        }
        self.check_ceiling(&self.today).map(|()| self.today)
    }

    /// Refuses parameters from a store that are out of bounds. Call it before any memory is allocated.
    pub(crate) fn check_stored(&self, params: &Argon2Params) -> Result<(), Argon2Error> {
        if !Argon2Params::FLOOR.within(params) {
            return Err(Argon2Error::Weakened);
        }
        self.check_ceiling(params)
    }

    /// The parameters that a slot with `params` should be raised to: today's, with no number lowered. `None` if its
    /// passes and memory are already as high.
    pub(crate) fn raise(&self, params: &Argon2Params) -> Option<Argon2Params> {
        let below = params.memory_kib < self.today.memory_kib || params.iterations < self.today.iterations;
        below.then(|| params.raised_to(&self.today)).filter(|raised| self.check_stored(raised).is_ok())
    }

    fn check_ceiling(&self, params: &Argon2Params) -> Result<(), Argon2Error> {
        if params.within(&self.ceiling) { Ok(()) } else { Err(Argon2Error::TooCostly) }
    }
}

/// Why no key could be derived from a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Argon2Error {
    /// Parameters of a new slot are below [`Argon2Params::FLOOR`].
    #[error("the argon2 parameters are too weak: use at least 19 MiB, two passes and one lane")]
    TooWeak,
    /// Parameters read from a store are below [`Argon2Params::FLOOR`], which no slot ever is when it is created. No
    /// memory was allocated.
    #[error("the key slot's argon2 parameters are below the floor: the slot was altered")]
    Weakened,
    /// Parameters are above the ceiling. No memory was allocated.
    #[error("the argon2 parameters cost more than the ceiling allows: raise it only if you trust the store")]
    TooCostly,
    /// The parameters violate RFC 9106, or the passphrase is longer than it allows.
    #[error("the argon2 parameters or the passphrase's length are outside of RFC 9106")]
    Invalid,
    /// There is not enough memory.
    #[error(
        "there is not enough memory for the argon2 parameters: free some, or use smaller ones for a new slot"
    )]
    NoMemory,
}

/// Derives a key from the exact bytes of `passphrase`. Allocates [`Argon2Params::memory_kib`] of memory, and wipes it.
///
/// # Errors
/// [`Argon2Error::Invalid`] and [`Argon2Error::NoMemory`]; the caller must check floor and ceiling first.
pub(crate) fn argon2id(
    passphrase: &[u8],
    salt: &[u8; 16],
    params: &Argon2Params,
) -> Result<KeyMaterial, Argon2Error> {
    let params = Params::new(params.memory_kib, params.iterations, params.lanes, Some(32))
        .map_err(|_| Argon2Error::Invalid)?;
    let mut memory = Zeroizing::new(Vec::new());
    memory.try_reserve_exact(params.block_count()).map_err(|_| Argon2Error::NoMemory)?;
    memory.resize(params.block_count(), Block::new());

    let mut key = KeyMaterial::default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase, salt, &mut **key, memory.as_mut_slice())
        .map_err(|_| Argon2Error::Invalid)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_bytes_of_a_passphrase_give_the_key_that_openssl_gives() {
        let key = argon2id(b"correct horse \xff", &[2; 16], &Argon2Params::FLOOR).unwrap();
        assert_eq!(hex::encode(**key), "a8984e51394d3d201cd0cf71bfdda53be70c64c9bd0716e9a75b40fb89eefb2f");
    }

    #[test]
    fn each_number_has_a_floor() {
        for known in [Argon2Params::default(), Argon2Params::FLOOR] {
            assert_eq!(bounds(known).check_new(), Ok(known));
            assert_eq!(bounds(known).check_stored(&known), Ok(()));
        }
        for weak in [(19 * 1024 - 1, 2, 1), (19 * 1024, 1, 1), (19 * 1024, 2, 0)].map(params) {
            assert_eq!(bounds(weak).check_new(), Err(Argon2Error::TooWeak));
            assert_eq!(bounds(Argon2Params::FLOOR).check_stored(&weak), Err(Argon2Error::Weakened));
        }
    }

    #[test]
    fn each_number_has_a_ceiling() {
        assert_eq!(bounds(Argon2Params::FLOOR).check_stored(&Argon2Params::CEILING), Ok(()));
        for costly in [(1024 * 1024 + 1, 10, 16), (1024 * 1024, 11, 16), (1024 * 1024, 10, 17)].map(params) {
            assert_eq!(bounds(Argon2Params::FLOOR).check_stored(&costly), Err(Argon2Error::TooCostly));
            assert_eq!(bounds(costly).check_new(), Err(Argon2Error::TooCostly));
        }
    }

    #[test]
    fn what_is_below_today_s_is_raised_and_nothing_is_lowered() {
        let bounds = bounds(params((64 * 1024, 3, 4)));
        for (stored, raised) in [
            ((64 * 1024, 3, 1), None),
            ((128 * 1024, 4, 8), None),
            ((32 * 1024, 3, 4), Some((64 * 1024, 3, 4))),
            ((32 * 1024, 9, 8), Some((64 * 1024, 9, 8))),
            ((128 * 1024, 2, 1), Some((128 * 1024, 3, 4))),
        ] {
            assert_eq!(bounds.raise(&params(stored)), raised.map(params));
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

    fn bounds(today: Argon2Params) -> Argon2Bounds {
        Argon2Bounds { today, ceiling: Argon2Params::CEILING }
    }
}
