//! Begins a rotation of the root key: which slots are kept, and the batch that makes the new root active.

use std::sync::Arc;

use subtle::ConstantTimeEq as _;

use crate::clock::Clock;
use crate::engine::head::{Head, SlotRow};
use crate::engine::{Engine, Touches};
use crate::envelope::{DekId, KeyMaterial, StoreId};
use crate::error::{Damage, Error, SlotError};
use crate::id::DocumentId;
use crate::jobs::rotation::job::seal_job;
use crate::jobs::rotation::{KeyJob, OnUnreadable};
use crate::keys::provider::ProviderErrorKind;
use crate::keys::{Root, Roots, Slot, StoreRow, Unlock};
use crate::model::{Revision, SlotId};
use crate::random;
use crate::row::VaultRow;
use crate::row::body::{KeyJobBody, RootBody, TaskBody};
use crate::store::{Expect, Key, RowRevision, WriteBatch};

/// What happens to each key slot when the vault gets a new root key.
#[derive(Debug, Default)]
pub struct RootRotation {
    keys: Vec<Unlock>,
    dropped: Vec<SlotId>,
    on_unreadable: OnUnreadable,
}

/// The new root key of a vault.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "its job has to be run to the end"]
pub struct NewRoot {
    /// The slots that lead to the new root, in the order of their ids.
    pub kept: Vec<SlotId>,
    /// The slots that were deleted, in the order of their ids.
    pub dropped: Vec<SlotId>,
    /// The public id of the new root.
    pub root_id: DekId,
    /// Seals keyrings and jobs again. Until it has finished, the former root is kept, sealed under the new one.
    pub job: KeyJob,
}

impl RootRotation {
    /// A rotation with no slots yet: each slot of the vault has to be kept or dropped.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Presents the key of a slot to keep, or of several slots that the same key opens.
    #[must_use]
    pub fn keep(mut self, key: Unlock) -> Self {
        self.keys.push(key);
        self
    }

    /// Drops a slot, also one whose row is missing: its key no longer opens the vault.
    #[must_use]
    pub fn drop_slot(mut self, id: SlotId) -> Self {
        self.dropped.push(id);
        self
    }

    /// What to do with the former root if keyrings that cannot be opened may need it.
    #[must_use]
    pub fn on_unreadable(mut self, then: OnUnreadable) -> Self {
        self.on_unreadable = then;
        self
    }
}

/// The slots as they were read, and what happens to each.
struct Plan<'r> {
    head: &'r Head,
    kept: Vec<(&'r SlotRow, &'r Slot, &'r Unlock)>,
    /// With the revision of the slot's row, unless that is missing.
    dropped: Vec<(SlotId, Option<RowRevision>)>,
}

impl KeyJob {
    /// The row of a new job that finishes a rotation of the root whose own job is missing; `None` if no rotation is in
    /// progress.
    pub(crate) fn to_finish_root(
        roots: &Roots,
        store_id: &StoreId,
        clock: &dyn Clock,
    ) -> Result<Option<(Key, Vec<u8>)>, Error> {
        if roots.retiring.is_none() {
            return Ok(None);
        }
        let id = DocumentId::generate(clock)?;
        let body =
            KeyJobBody::new(TaskBody::Root(RootBody::first(OnUnreadable::default().body())), clock.now());
        let bytes = seal_job(&roots.active.key, store_id, id, &body, Revision::from_u64(1))?;
        Ok(Some((VaultRow::KeyJob(id).key(), bytes)))
    }
}

pub(crate) async fn try_rotate_root(
    engine: &Arc<Engine>,
    rotation: &RootRotation,
) -> Result<Option<NewRoot>, Error> {
    let (head, mut store_row, old) = engine.open_head().await?;
    // There is room for one former root: a second rotation would drop it while keyrings are left under it.
    if store_row.body.retiring.is_some() {
        return Err(Error::RotationUnderway);
    }
    let plan = Plan::make(engine, &head, &store_row, &old, rotation).await?;

    let mut bytes = KeyMaterial::default();
    random::fill(&mut **bytes)?;
    let root = Root::new(bytes);
    let now = engine.now();
    // In the `store` row from the first batch on, so that no crash leaves keyrings whose root nobody has.
    store_row.body.turn(&old.bytes, root.key.id(), now);
    let mut batch = WriteBatch::default();
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    for (row, slot, key) in &plan.kept {
        let params = key.argon2_params(&engine.argon2)?;
        let slot = key.seal_slot(slot.place.next(), &root.bytes, params).await?;
        store_row.body.hold(&slot, now)?;
        kept.push(SlotId::from_bytes(slot.place.id));
        let key = VaultRow::Slot(slot.place.id).key();
        batch.expect(key.clone(), Expect::Revision(row.row_revision));
        batch.put(key, slot.encode());
    }
    for (id, row) in &plan.dropped {
        dropped.push(*id);
        let key = VaultRow::Slot(*id.as_bytes()).key();
        // A missing row could open only the former root.
        if let Some(row) = row {
            batch.expect(key.clone(), Expect::Revision(*row));
            batch.delete(key);
        }
    }
    store_row.put_in(&mut batch, &plan.head.store_id, &root.key)?;
    let job = KeyJob { engine: Arc::clone(engine), id: engine.next_id()? };
    let key = VaultRow::KeyJob(job.id).key();
    batch.expect(key.clone(), Expect::Absent);
    batch
        .put(key, job.seal_first(&root.key, TaskBody::Root(RootBody::first(rotation.on_unreadable.body())))?);

    // Before the batch is sent: rows under the new root may be met before the commit is answered.
    engine.roots.announce(&root);
    if engine.commit(batch, Touches::Data).await?.is_none() {
        return Ok(None);
    }
    // The root has landed, whatever happens to this read: whoever meets a row under it finds it announced.
    let _ = engine.refresh_roots().await;
    Ok(Some(NewRoot { kept, dropped, root_id: *root.key.id(), job }))
}

impl<'r> Plan<'r> {
    /// Decides what happens to each slot, and leaves none out. Writes nothing.
    async fn make(
        engine: &Engine,
        head: &'r Head,
        store_row: &StoreRow,
        root: &Root,
        rotation: &'r RootRotation,
    ) -> Result<Self, Error> {
        let mut plan = Plan { head, kept: Vec::new(), dropped: Vec::new() };
        let mut used = vec![false; rotation.keys.len()];
        let mut refusal = None;
        for row in &head.slots {
            let id = row.id.ok_or_else(|| Error::damaged("the key slot", Damage::Malformed))?;
            if rotation.dropped.contains(&id) {
                plan.dropped.push((id, Some(row.row_revision)));
                continue;
            }
            let slot = row.slot()?;
            let opened = opened_by(engine, slot, root, &rotation.keys).await?;
            if opened.is_some() && store_row.body.held(slot).is_none() {
                return Err(Error::damaged(slot.row_name(), Damage::Inconsistent));
            }
            match opened.and_then(|index| Some((index, rotation.keys.get(index)?))) {
                Some((index, key)) => {
                    used.iter_mut().skip(index).take(1).for_each(|used| *used = true);
                    plan.kept.push((row, slot, key));
                }
                // Not returned at once: a key that opens nothing, or a slot that is not there, explains it better.
                None => refusal = refusal.or(Some(Error::Slot(SlotError::NotPresented(id)))),
            }
        }
        for id in head.missing_slots(&store_row.body).map(|held| SlotId::from_bytes(held.slot_id)) {
            // Before any other refusal: the key that opens no slot may be that of this one.
            if !rotation.dropped.contains(&id) {
                return Err(Error::Slot(SlotError::RowMissing(id)));
            }
            plan.dropped.push((id, None));
        }
        plan.dropped.sort_unstable_by_key(|(id, _)| *id);
        let absent = rotation.dropped.iter().find(|id| !plan.dropped.iter().any(|(known, _)| known == *id));
        if let Some(id) = absent {
            return Err(Error::Slot(SlotError::NotFound(*id)));
        }
        // A key that opens no slot is a mistake: the caller believes that it kept a slot.
        if used.contains(&false) {
            return Err(Error::WrongKey);
        }
        match refusal {
            Some(refusal) => Err(refusal),
            None if plan.kept.is_empty() => Err(Error::Slot(SlotError::Last)),
            None => Ok(plan),
        }
    }
}

/// The index of the key that opens the slot.
async fn opened_by(
    engine: &Engine,
    slot: &Slot,
    root: &Root,
    keys: &[Unlock],
) -> Result<Option<usize>, Error> {
    for (index, key) in keys.iter().enumerate() {
        match key.open_slot(slot, &engine.argon2).await {
            // A slot that opens but holds another root was put back.
            Ok(found) if found.as_slice().ct_eq(root.bytes.as_slice()).into() => return Ok(Some(index)),
            Ok(_) => return Err(Error::damaged(slot.row_name(), Damage::Inconsistent)),
            Err(Error::WrongKey | Error::Slot(SlotError::NoneOfThisKind(_))) => {}
            Err(Error::Provider(error)) if error.kind() == ProviderErrorKind::NotThisKey => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
