//! `copy_to`: moves a vault to another store while it is in use.

use std::cmp::Ordering;

use super::retire::{Retirement, reinstate, retire, retired_for};
use super::section::{Rows, Section, SectionReader, changed, read_range};
use super::staged::{Batches, Marker, Purpose, StagedVault};
use super::{Phase, Progress, Reporter};
use crate::engine::Engine;
use crate::engine::gate::read_gate;
use crate::engine::head::refuse_unasked;
use crate::envelope::{MacKey, MacTag};
use crate::error::{Error, WrongStore};
use crate::random;
use crate::row::{VaultKeys, VaultRow};
use crate::store::{Expect, Key, KeyRange, Op, Store, Versioned};
use crate::verbs::vault::Vault;

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopySummary {
    /// How many rows, not counting the header.
    pub rows: u64,
    /// A keyed hash of all their keys and values, as 64 hexadecimal digits; the same for both stores.
    pub digest: String,
}

impl Vault {
    /// Moves the vault to an empty store, with its id and its keys, while others read and write. First it copies all
    /// rows, then repeatedly whatever changed meanwhile. Then it *retires* the source, copies the last changes, and
    /// makes the target the vault, opened by whatever opens this one. From then on the source refuses every write with
    /// [`Error::Retired`], in every process that has it open, but can still be read.
    ///
    /// To resume an interrupted copy, run it again with the same target. After an error, the source takes
    /// writes again; a process that dies in between leaves the source retired until the copy is completed or
    /// [abandoned](Self::abandon_copy). At no time do both stores take writes.
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
    /// [`WrongStore::HoldsVault`](crate::WrongStore::HoldsVault) and
    /// [`WrongStore::Foreign`](crate::WrongStore::Foreign) if the target is not empty,
    /// [`WrongStore::Unfinished`](crate::WrongStore::Unfinished) if another copy or restore into it was
    /// interrupted; [`Error::Retired`] if the vault was moved already, or is being moved elsewhere;
    /// [`Error::CopyDiffers`] if the target does not hold what was written; [`Error::Contended`] if another run of
    /// this copy took over; [`Error::Indeterminate`] if the target's last answer was lost: run the copy again;
    /// [`Error::Store`], with `Unsupported` for a target whose durability the vault's own options did not
    /// [accept](crate::VaultOptions::accept_durability).
    ///
    /// # Cancellation
    /// If dropped, this vault either takes writes as before or is retired, as after a crash: the same copy again
    /// completes it, and [`abandon_copy`](Self::abandon_copy) gives it up.
    pub async fn copy_to(
        &self,
        target: &impl Store,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<CopySummary, Error> {
        let engine = &*self.engine;
        refuse_unasked(target, engine.durability)?;
        let mut copy = Copy::begin(engine, target, Reporter::new(&mut progress, None)).await?;
        copy.all_rows().await?;
        copy.catch_up().await?;
        copy.check_all().await?;
        let retirement = retire(engine, copy.staged.transfer_id()).await?;
        match copy.last_changes().await {
            Ok(summary) => {
                // If this fails, the source must stay retired: the batch may have landed, and the target may be the
                // vault now.
                copy.staged.finish(Vec::new()).await?;
                Ok(summary)
            }
            Err(error) => Err(undo(engine, retirement, error).await),
        }
    }

    /// Whether the vault was moved to another store, or an interrupted copy left it retired.
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

    /// Abandons a copy that was interrupted after it had retired this vault: the target can no longer become a vault,
    /// and this one takes writes again. The contents of the target are then useless.
    ///
    /// ```
    /// # strongroom_conformance::with_vault(async |vault| {
    /// use strongroom::{Error, WrongStore};
    /// let elsewhere = strongroom_memory::MemoryStore::new();
    /// vault.abandon_copy(&elsewhere).await?; // no copy retired this vault: there is nothing to give up
    /// vault.copy_to(&elsewhere, |_| ()).await?;
    /// let late = vault.abandon_copy(&elsewhere).await; // the other store is the vault now
    /// assert!(matches!(late, Err(Error::WrongStore(WrongStore::HoldsVault))));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`WrongStore::HoldsVault`](crate::WrongStore::HoldsVault) if the copy is complete, so that the target is the
    /// vault now; [`WrongStore::Unfinished`](crate::WrongStore::Unfinished) if the target is not this copy's;
    /// [`Error::Contended`] if the copy is running; [`Error::Store`].
    pub async fn abandon_copy(&self, target: &impl Store) -> Result<(), Error> {
        let engine = &*self.engine;
        let (_, retired) = read_gate(&*engine.store).await?;
        let Some(copy_id) = retired.as_ref().map(retired_for).transpose()? else { return Ok(()) };
        let marker = Marker { purpose: Purpose::Copy, store_id: engine.store_id, transfer_id: copy_id };
        let given_up = Marker { purpose: Purpose::GivenUp, ..marker };
        if Marker::of(target).await? != Some(given_up) {
            StagedVault::take_over(target, marker).await?.give_up().await?;
        }
        // Retire it again first: another run that is about to reinstate the source expects the old note, and must fail.
        reinstate(engine, retire(engine, &copy_id).await?).await
    }
}

/// One run of a copy.
struct Copy<'c> {
    source: &'c dyn Store,
    staged: StagedVault<'c>,
    mac: MacKey,
    sections: Vec<Section>,
    /// For each section, the number of its rows and their hash.
    copied: Vec<(u64, MacTag)>,
    report: Reporter<'c>,
}

impl<'c> Copy<'c> {
    async fn begin(engine: &'c Engine, target: &'c dyn Store, report: Reporter<'c>) -> Result<Self, Error> {
        let (_, retired) = read_gate(&*engine.store).await?;
        let retired = retired.as_ref().map(retired_for).transpose()?;
        let mut transfer_id = [0; 16];
        random::fill(&mut transfer_id)?;
        let marker = Marker {
            purpose: Purpose::Copy,
            store_id: engine.store_id,
            transfer_id: retired.unwrap_or(transfer_id),
        };
        let staged = match retired {
            None => StagedVault::begin(target, marker).await?,
            // Only the copy that retired the vault can continue.
            Some(_) => StagedVault::take_over(target, marker).await.map_err(|error| match error {
                Error::WrongStore(WrongStore::HoldsVault | WrongStore::Unfinished) => Error::Retired,
                error => error,
            })?,
        };
        let mac =
            MacKey::derive(&engine.roots.get()?.active.bytes, &[b"strongroom/v1/copy", &engine.store_id]);
        let (sections, copied) = (Vec::new(), Vec::new());
        Ok(Self { source: &*engine.store, staged, mac, sections, copied, report })
    }

    async fn all_rows(&mut self) -> Result<(), Error> {
        self.report.enter(Phase::Rows);
        let mut reader = SectionReader::new(self.source, KeyRange::all());
        while let Some((section, rows)) = reader.next().await? {
            let copied = self.copy_range(&section.range, rows).await?;
            self.sections.push(section);
            self.copied.push(copied);
        }
        Ok(())
    }

    /// Copies the changed rows, until there are no longer fewer each time.
    async fn catch_up(&mut self) -> Result<(), Error> {
        self.report.enter(Phase::Changes);
        let mut before = usize::MAX;
        for _ in 0..CATCH_UPS_MAX {
            let changed = self.copy_changes().await?.len();
            if changed == 0 || changed >= before {
                break;
            }
            before = changed;
        }
        Ok(())
    }

    /// Copies what changed before the source was retired. No batch lands after that, so the loop ends.
    async fn last_changes(&mut self) -> Result<CopySummary, Error> {
        self.report.enter(Phase::Changes);
        loop {
            let changed = self.copy_changes().await?;
            if changed.is_empty() {
                return Ok(self.summary());
            }
            for index in changed {
                self.check(index).await?;
            }
        }
    }

    async fn copy_changes(&mut self) -> Result<Vec<usize>, Error> {
        let changed = changed(self.source, &self.sections).await?;
        for index in &changed {
            let Some(section) = self.sections.get_mut(*index) else { continue };
            let rows = section.read(self.source).await?;
            let range = section.range.clone();
            let copied = self.copy_range(&range, rows).await?;
            if let Some(known) = self.copied.get_mut(*index) {
                *known = copied;
            }
        }
        Ok(changed)
    }

    /// Makes a range of the target hold exactly `rows`. It reads what is there, so it does not matter what an earlier
    /// run did, and expects it, so no late batch of that run can apply.
    async fn copy_range(&mut self, range: &KeyRange, rows: Rows) -> Result<(u64, MacTag), Error> {
        let rows = rows_to_copy(rows);
        let there = rows_to_copy(read_range(self.staged.store, range).await?);
        let copied = (rows.len() as u64, self.hash(&rows));
        let rows_len = rows.len();
        let mut batches = Batches::new(&self.staged);
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
        let there = rows_to_copy(read_range(self.staged.store, &section.range).await?);
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

/// The rows to copy: all but those that say what a store is.
fn rows_to_copy(mut rows: Rows) -> Rows {
    let stays = [VaultRow::Header.key(), VaultRow::Retired.key(), VaultKeys::staging_marker()];
    rows.retain(|(key, _)| !stays.contains(key));
    rows
}

/// Lets the source take writes again. If that fails too, it stays retired until the copy is run again.
async fn undo(engine: &Engine, retirement: Retirement, error: Error) -> Error {
    match reinstate(engine, retirement).await {
        Ok(()) | Err(Error::Contended(_)) => error,
        Err(cause) => cause,
    }
}

/// How often changes are copied before the source is retired. More rounds do not help once they stop getting smaller.
const CATCH_UPS_MAX: usize = 16;
