//! `copy_to`: a vault moves to another store while it serves.

use std::cmp::Ordering;

use super::arrival::{Arrival, Batches, Marker, Purpose};
use super::retire::{Retirement, reinstate, retire, retired_for};
use super::section::{Rows, Section, Walk, changed, read_range};
use super::{Phase, Progress, Report};
use crate::engine::Engine;
use crate::engine::gate::read_gate;
use crate::envelope::{MacKey, MacTag};
use crate::error::Error;
use crate::random;
use crate::row::{VaultKeys, VaultRow};
use crate::store::{Expect, Key, KeyRange, Op, Store, Versioned};
use crate::verbs::vault::Vault;

/// What a copy moved.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopySummary {
    /// How many rows, but for the header.
    pub rows: u64,
    /// A keyed hash of all of them, key and value, as 64 hexadecimal digits; the same on both sides.
    pub digest: String,
}

impl Vault {
    /// Moves the vault to an empty store, with its id and its keys, while others read and write. First all rows are
    /// copied, then what changed meanwhile, again and again; then the source is *retired*, the last changes are copied,
    /// and the target opens with what opens this vault. From then on the source refuses every write with
    /// [`Error::Retired`], in every process that has it open, and still reads.
    ///
    /// A copy that was cut short goes on when it is run again with the same target. An error before the end lets the
    /// source take writes again; a process that dies between leaves it retired until the copy is run to its end or
    /// [given up](Self::abandon_copy). At no time do both stores take writes.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use std::sync::Arc;
    /// use strongroom::{RawKey, Unlock, Vault};
    /// let target = Arc::new(strongroom_memory::MemoryStore::new());
    /// vault.copy_to(&target, |_| ()).await?;
    /// let key = Unlock::raw_key(RawKey::from_bytes([7; 32])); // any key of the vault
    /// assert_eq!(Vault::open(target, key).await?.store_id(), vault.store_id());
    /// assert!(vault.is_retired().await?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::AlreadyInitialised`] and [`Error::ForeignStore`] for a target that is not empty, [`Error::Unfinished`]
    /// for one that another copy or restore was cut short in; [`Error::Retired`] when the vault was moved already, or
    /// is being moved elsewhere; [`Error::CopyDiffers`] when the target does not hold what was written;
    /// [`Error::Contended`] when another run of this copy took over; [`Error::Indeterminate`] when the last answer of
    /// the target was lost: run it again; [`Error::Store`].
    pub async fn copy_to(
        &self,
        target: &impl Store,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<CopySummary, Error> {
        let engine = &*self.engine;
        let mut copy = Copy::begin(engine, target, Report::new(&mut progress, None)).await?;
        copy.all_rows().await?;
        copy.catch_up().await?;
        copy.check_all().await?;
        let retirement = retire(engine, copy.arrival.transfer_id()).await?;
        match copy.last_changes().await {
            Ok(summary) => {
                // Whatever becomes of this, it must not be undone: it may have landed.
                copy.arrival.finish(Vec::new()).await?;
                Ok(summary)
            }
            Err(error) => Err(undo(engine, retirement, error).await),
        }
    }

    /// Whether the vault was moved to another store, or a copy that was cut short left it so.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// let elsewhere = strongroom_memory::MemoryStore::new();
    /// vault.copy_to(&elsewhere, |_| ()).await?;
    /// assert!(vault.is_retired().await?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn is_retired(&self) -> Result<bool, Error> {
        Ok(read_gate(&*self.engine.store).await?.1.is_some())
    }

    /// Gives up a copy that was cut short after it had retired this vault: the target can never become a vault any
    /// more, and this one takes writes again. What the target holds is of no use then.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::Error;
    /// let elsewhere = strongroom_memory::MemoryStore::new();
    /// vault.abandon_copy(&elsewhere).await?; // no copy retired this vault: there is nothing to give up
    /// vault.copy_to(&elsewhere, |_| ()).await?;
    /// let late = vault.abandon_copy(&elsewhere).await; // the other store is the vault now
    /// assert!(matches!(late, Err(Error::AlreadyInitialised)));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::AlreadyInitialised`] when the copy is complete, so that the target is the vault now;
    /// [`Error::Unfinished`] when the target is not that of this copy; [`Error::Contended`] when the copy is being run;
    /// [`Error::Store`].
    pub async fn abandon_copy(&self, target: &impl Store) -> Result<(), Error> {
        let engine = &*self.engine;
        let (_, retired) = read_gate(&*engine.store).await?;
        let Some(copy_id) = retired.as_ref().map(retired_for).transpose()? else { return Ok(()) };
        let marker = Marker { purpose: Purpose::Copy, store_id: engine.store_id, transfer_id: copy_id };
        let given_up = Marker { purpose: Purpose::GivenUp, ..marker };
        if Marker::of(target).await? != Some(given_up) {
            Arrival::take_over(target, marker).await?.give_up().await?;
        }
        // Noted anew, so that a run that is about to reinstate the source itself is left behind.
        reinstate(engine, retire(engine, &copy_id).await?).await
    }
}

/// One run of a copy.
struct Copy<'c> {
    source: &'c dyn Store,
    arrival: Arrival<'c>,
    mac: MacKey,
    sections: Vec<Section>,
    /// Of each section how many rows it has, and their hash.
    copied: Vec<(u64, MacTag)>,
    report: Report<'c>,
}

impl<'c> Copy<'c> {
    async fn begin(engine: &'c Engine, target: &'c dyn Store, report: Report<'c>) -> Result<Self, Error> {
        let (_, retired) = read_gate(&*engine.store).await?;
        let retired = retired.as_ref().map(retired_for).transpose()?;
        let mut transfer_id = [0; 16];
        random::fill(&mut transfer_id)?;
        let marker = Marker {
            purpose: Purpose::Copy,
            store_id: engine.store_id,
            transfer_id: retired.unwrap_or(transfer_id),
        };
        let arrival = match retired {
            None => Arrival::begin(target, marker).await?,
            // Only the copy that retired the vault can go on.
            Some(_) => Arrival::take_over(target, marker).await.map_err(|error| match error {
                Error::AlreadyInitialised | Error::Unfinished => Error::Retired,
                error => error,
            })?,
        };
        let mac =
            MacKey::derive(&engine.roots.get()?.active.bytes, &[b"strongroom/v1/copy", &engine.store_id]);
        let (sections, copied) = (Vec::new(), Vec::new());
        Ok(Self { source: &*engine.store, arrival, mac, sections, copied, report })
    }

    async fn all_rows(&mut self) -> Result<(), Error> {
        self.report.enter(Phase::Rows);
        let mut walk = Walk::new(self.source, KeyRange::all());
        while let Some((section, rows)) = walk.next().await? {
            let copied = self.bring(&section.range, rows).await?;
            self.sections.push(section);
            self.copied.push(copied);
        }
        Ok(())
    }

    /// Copies what changed, until little does.
    async fn catch_up(&mut self) -> Result<(), Error> {
        self.report.enter(Phase::Changes);
        let mut before = usize::MAX;
        for _ in 0..CATCH_UPS_MAX {
            let changed = self.bring_changes().await?.len();
            if changed == 0 || changed >= before {
                break;
            }
            before = changed;
        }
        Ok(())
    }

    /// Copies what changed before the fence and was not seen yet; no batch lands after it.
    async fn last_changes(&mut self) -> Result<CopySummary, Error> {
        self.report.enter(Phase::Changes);
        loop {
            let changed = self.bring_changes().await?;
            if changed.is_empty() {
                return Ok(self.summary());
            }
            for index in changed {
                self.check(index).await?;
            }
        }
    }

    async fn bring_changes(&mut self) -> Result<Vec<usize>, Error> {
        let changed = changed(self.source, &self.sections).await?;
        for index in &changed {
            let Some(section) = self.sections.get_mut(*index) else { continue };
            let rows = section.read(self.source).await?;
            let range = section.range.clone();
            let copied = self.bring(&range, rows).await?;
            if let Some(known) = self.copied.get_mut(*index) {
                *known = copied;
            }
        }
        Ok(changed)
    }

    /// Makes a range of the target hold `rows`, and nothing else of a vault. Reads what is there, so that it does not
    /// matter what an earlier run did, and expects it, so that no late batch of one applies.
    async fn bring(&mut self, range: &KeyRange, rows: Rows) -> Result<(u64, MacTag), Error> {
        let rows = moving(rows);
        let there = moving(read_range(self.arrival.store, range).await?);
        let copied = (rows.len() as u64, self.hash(&rows));
        let rows_len = rows.len();
        let mut batches = Batches::new(&self.arrival);
        let (mut rows, mut there) = (rows.into_iter().peekable(), there.into_iter().peekable());
        loop {
            let order = match (rows.peek(), there.peek()) {
                (Some((key, _)), Some((other, _))) => key.cmp(other),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            let new = if order.is_le() { rows.next() } else { None };
            let old = if order.is_ge() { there.next() } else { None };
            match (new, old) {
                (Some((_, new)), Some((_, old))) if new.value == old.value => {}
                (Some((key, new)), old) => {
                    let expect = old.map_or(Expect::Absent, |(_, old)| Expect::Revision(old.revision));
                    batches.push(expect, Op::Put(key, new.value)).await?;
                }
                (None, Some((key, old))) => {
                    batches.push(Expect::Revision(old.revision), Op::Delete(key)).await?;
                }
                (None, None) => {}
            }
        }
        batches.flush().await?;
        self.report.advance(rows_len);
        Ok(copied)
    }

    async fn check_all(&mut self) -> Result<(), Error> {
        self.report.enter(Phase::Check);
        for index in 0..self.sections.len() {
            self.check(index).await?;
        }
        Ok(())
    }

    /// Compares a section of the target with what was read from the source.
    async fn check(&mut self, index: usize) -> Result<(), Error> {
        let Some((section, copied)) = self.sections.get(index).zip(self.copied.get(index)) else {
            return Ok(());
        };
        let there = moving(read_range(self.arrival.store, &section.range).await?);
        if (there.len() as u64, self.hash(&there)) != *copied {
            return Err(Error::CopyDiffers);
        }
        self.report.advance(there.len());
        Ok(())
    }

    fn hash(&self, rows: &[(Key, Versioned)]) -> MacTag {
        let mut hash = self.mac.start();
        for (key, row) in rows {
            for part in [key.as_bytes(), &row.value] {
                hash.update(&(part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        hash.finish()
    }

    fn summary(&self) -> CopySummary {
        let mut hash = self.mac.start();
        self.copied.iter().for_each(|(_, tag)| hash.update(tag));
        let rows = self.copied.iter().map(|(rows, _)| rows).sum();
        CopySummary { rows, digest: hex::encode(hash.finish()) }
    }
}

/// The rows that a copy brings: all but those that say what a store is.
fn moving(mut rows: Rows) -> Rows {
    let stays = [VaultRow::Header.key(), VaultRow::Retired.key(), VaultKeys::arrival()];
    rows.retain(|(key, _)| !stays.contains(key));
    rows
}

/// Lets the source take writes again. If not even that is possible it stays retired, until the copy is run again.
async fn undo(engine: &Engine, retirement: Retirement, error: Error) -> Error {
    match reinstate(engine, retirement).await {
        Ok(()) | Err(Error::Contended(_)) => error,
        Err(cause) => cause,
    }
}

/// How often changes are copied before the fence: each time there are fewer, or it is no use.
const CATCH_UPS_MAX: usize = 16;
