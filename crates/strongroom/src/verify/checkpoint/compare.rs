//! Compares the rows of a store with those of a checkpoint, both in key order, in one pass that keeps no row of either.

use std::io::Read;
use std::sync::{Mutex, PoisonError};

use super::file::CheckpointReader;
use crate::clock::Timestamp;
use crate::envelope::StoreId;
use crate::error::{CheckpointFault, Error};
use crate::keys::Roots;
use crate::model::Revision;
use crate::row::TenantId;
use crate::store::Key;
use crate::verify::report::Cause;

/// A checkpoint that is being compared.
pub(in crate::verify) struct Comparison<'c> {
    /// Behind a lock that is never contended: it lets the comparison be shared, although the file cannot be.
    reader: Mutex<CheckpointReader<Box<dyn Read + Send + 'c>>>,
    started_at: Timestamp,
    /// The first row of the file that the store has not reached yet.
    next: Option<(Key, Revision)>,
    /// Set permanently if the file could not be read further.
    is_broken: bool,
}

/// How a row of the store compares with the checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::verify) enum Met {
    /// It was not there.
    Added,
    /// It is as it was, or newer.
    Fine,
    WentBack(Cause),
    /// It is not the row that was there.
    Replaced,
}

impl<'c> Comparison<'c> {
    pub(super) fn begin(
        input: Box<dyn Read + Send + 'c>,
        roots: &Roots,
        store_id: &StoreId,
    ) -> Result<Self, Error> {
        let mut reader = CheckpointReader::begin(input, roots, store_id)?;
        let next = reader.next()?;
        let started_at = reader.started_at;
        Ok(Self { reader: Mutex::new(reader), started_at, next, is_broken: false })
    }

    /// The next row of the file before `key`, which the store has already passed: that row is gone.
    pub(in crate::verify) fn gone_before(&mut self, key: Option<&Key>) -> Result<Option<Key>, Error> {
        match &self.next {
            Some((next, _)) if key.is_none_or(|key| next < key) => Ok(self.advance()?.map(|(key, _)| key)),
            _ => Ok(None),
        }
    }

    /// Compares a row of the store, after [`gone_before`](Self::gone_before) found no more.
    pub(in crate::verify) fn meet(&mut self, key: &Key, revision: Option<Revision>) -> Result<Met, Error> {
        if self.next.as_ref().is_none_or(|(next, _)| next != key) {
            return Ok(Met::Added);
        }
        let Some((_, then)) = self.advance()? else { return Ok(Met::Added) };
        let Some(now) = revision else { return Ok(Met::Fine) };
        Ok(match (now.as_u64().checked_sub(then.as_u64()), then.as_u64().wrapping_sub(now.as_u64())) {
            // A keyring is never created again at its address. Whoever drops all of its keys writes it at the revision
            // of that time (`revision_at`), so it may leap by more than any count of writes.
            (Some(_), _) if is_keyring(key) => Met::Fine,
            (None, _) if is_keyring(key) => {
                Met::WentBack(Cause::RolledBack { seen: then.as_u64(), found: now.as_u64() })
            }
            (Some(forward), _) if forward < LIFE_LEN => Met::Fine,
            (None, back) if back < LIFE_LEN => {
                Met::WentBack(Cause::RolledBack { seen: then.as_u64(), found: now.as_u64() })
            }
            _ => Met::Replaced,
        })
    }

    /// Whether the checkpoint was begun well after `time`, whatever two clocks show.
    pub(in crate::verify) fn was_made_after(&self, time: Timestamp) -> bool {
        time.as_ms().saturating_add(CLOCKS_DIFFER_MS) < self.started_at.as_ms()
    }

    fn advance(&mut self) -> Result<Option<(Key, Revision)>, Error> {
        if self.is_broken {
            return Err(Error::BadCheckpoint(CheckpointFault::Truncated));
        }
        self.is_broken = true;
        let next = self.reader.get_mut().unwrap_or_else(PoisonError::into_inner).next()?;
        self.is_broken = false;
        Ok(std::mem::replace(&mut self.next, next))
    }
}

fn is_keyring(key: &Key) -> bool {
    TenantId::of_key(key).is_some_and(|tenant| tenant.keyrings().contains(key.as_bytes()))
}

/// No row is rewritten this often. A row that can be created again at its address starts at a random revision of 63
/// bits, so a greater distance means another row; one in 2^31 such rows is missed.
const LIFE_LEN: u64 = 1 << 32;

/// The most that the clocks of two engines are assumed to differ.
const CLOCKS_DIFFER_MS: u64 = 60_000;
