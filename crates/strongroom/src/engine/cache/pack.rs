//! What a run at one path sees, sealed in memory.

use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::engine::cache::Catalog;
use crate::engine::cache::packs::Stamp;
use crate::envelope::{LocalKey, PartTag};
use crate::model::Found;
use crate::random::RandomError;

/// The result of resolving everything at one path. The values are sealed under a key of their own, in parts of about 1
/// KiB, so that one value can be opened without all the others. Anything that is not secret is kept in the clear.
pub(crate) struct Pack {
    /// The moment of the store that the pack reflects.
    pub(super) stamp: Stamp,
    /// When its rows were read.
    pub(super) since: Timestamp,
    pub(crate) catalog: Catalog,
    /// One for each definition of the catalog, in the same order.
    outcomes: Box<[Outcome]>,
    key: LocalKey,
    parts: Box<[Part]>,
    sealed: Box<[u8]>,
}

/// What one definition resolves to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) winner: Winner,
    /// Bit `n` is set if the scope of number `n` in the path holds a value that is shadowed.
    pub(crate) shadowed: u8,
    /// Where the value is in the plaintext.
    place: Place,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Winner {
    Nothing,
    /// The definition has a default, which is no secret and not in the pack.
    Default,
    /// The scope of this number in the path.
    Scope(u8, Found),
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    part: u32,
    start: u32,
    len: u32,
}

struct Part {
    start: usize,
    end: usize,
    tag: PartTag,
}

/// A pack under construction: the plaintexts are gathered, then sealed in place.
pub(crate) struct Packing {
    outcomes: Vec<Outcome>,
    /// Where each part ends.
    ends: Vec<usize>,
    plaintext: Zeroizing<Vec<u8>>,
}

impl Packing {
    /// Has room for `values_len` bytes of values: a buffer that grows would leave plaintext behind.
    pub(crate) fn new(definitions_len: usize, values_len: usize) -> Self {
        let plaintext = Zeroizing::new(Vec::with_capacity(values_len));
        Self { outcomes: Vec::with_capacity(definitions_len), ends: Vec::new(), plaintext }
    }

    /// Adds what the next definition of the catalog resolves to. A default has no value here.
    pub(crate) fn add(&mut self, winner: Winner, shadowed: u8, value: &str) {
        let part_start = self.ends.last().copied().unwrap_or_default();
        let start = self.plaintext.len();
        let (number, within) = (self.ends.len() as u32, (start - part_start) as u32);
        // Values are at most 64 KiB and definitions at most thousands.
        self.outcomes.push(Outcome {
            winner,
            shadowed,
            place: Place { part: number, start: within, len: value.len() as u32 },
        });
        self.plaintext.extend_from_slice(value.as_bytes());
        if self.plaintext.len() - part_start >= PART_LEN {
            self.ends.push(self.plaintext.len());
        }
    }

    /// Seals what was gathered, bound to `context`.
    pub(crate) fn seal(
        self,
        context: &[u8],
        catalog: Catalog,
        stamp: Stamp,
        since: Timestamp,
    ) -> Result<Option<Pack>, RandomError> {
        let Self { outcomes, mut ends, mut plaintext } = self;
        if ends.last().copied().unwrap_or_default() < plaintext.len() {
            ends.push(plaintext.len());
        }
        let key = LocalKey::generate()?;
        let mut parts = Vec::with_capacity(ends.len());
        let mut start = 0;
        for (number, end) in (0..).zip(ends) {
            let Some(part) = plaintext.get_mut(start..end) else { return Ok(None) };
            let Some(tag) = key.seal(number, context, part) else { return Ok(None) };
            parts.push(Part { start, end, tag });
            start = end;
        }
        // All of it is sealed by now.
        let sealed = std::mem::take(&mut *plaintext).into_boxed_slice();
        Ok(Some(Pack { stamp, since, catalog, outcomes: outcomes.into(), key, parts: parts.into(), sealed }))
    }
}

impl Pack {
    /// What each definition of the catalog resolves to.
    pub(crate) fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// The approximate memory of the pack.
    pub(super) fn bytes_len(&self) -> usize {
        self.sealed.len() + size_of_val(&*self.outcomes) + size_of_val(&*self.parts) + PACK_LEN
    }

    /// Opens all values; `None` if memory was damaged.
    pub(crate) fn open(&self, context: &[u8]) -> Option<OpenPack<'_>> {
        let mut plaintext = Zeroizing::new(Vec::with_capacity(self.sealed.len()));
        for (number, part) in (0..).zip(&self.parts) {
            let sealed = self.sealed.get(part.start..part.end)?;
            self.key.open(number, context, sealed, &part.tag, &mut plaintext)?;
        }
        Some(OpenPack { parts: &self.parts, offset: 0, plaintext })
    }

    /// Opens only the part with the value of `outcome`.
    pub(crate) fn open_part(&self, context: &[u8], outcome: &Outcome) -> Option<OpenPack<'_>> {
        let number = outcome.place.part;
        // A pack without values has no part.
        let Some(part) = self.parts.get(number as usize) else {
            return Some(OpenPack { parts: &self.parts, offset: 0, plaintext: Zeroizing::default() });
        };
        let sealed = self.sealed.get(part.start..part.end)?;
        let mut plaintext = Zeroizing::new(Vec::with_capacity(sealed.len()));
        self.key.open(number, context, sealed, &part.tag, &mut plaintext)?;
        Some(OpenPack { parts: &self.parts, offset: part.start, plaintext })
    }
}

/// Opened values of a pack, kept only while values are cut out of them.
pub(crate) struct OpenPack<'p> {
    parts: &'p [Part],
    /// Where the plaintext begins in that of the whole pack.
    offset: usize,
    plaintext: Zeroizing<Vec<u8>>,
}

impl OpenPack<'_> {
    /// The value of an outcome.
    pub(crate) fn value(&self, outcome: &Outcome) -> Option<&str> {
        let Place { part, start, len } = outcome.place;
        let part_start = self.parts.get(part as usize).map_or(self.offset, |part| part.start);
        let start = part_start.checked_sub(self.offset)? + start as usize;
        std::str::from_utf8(self.plaintext.get(start..start + len as usize)?).ok()
    }
}

/// The approximate size of a pack without values, with its key, wherever the cipher keeps that.
const PACK_LEN: usize = 640;
/// A part ends with the value that reaches this length. With longer parts all values open faster; with shorter ones,
/// one.
const PART_LEN: usize = 1 << 10;
