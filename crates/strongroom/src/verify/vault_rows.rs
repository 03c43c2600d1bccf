//! Checks the rows that belong to no tenant: header, key slots, the `store` row, notes and jobs on keys.

use std::sync::Arc;

use super::report::Cause;
use super::state::{CheckedRow, RowId, RowState};
use crate::engine::Engine;
use crate::engine::cache::Moment;
use crate::error::{Damage, Error};
use crate::jobs::rotation::KeyJob;
use crate::keys::{Slot, StoreRow};
use crate::row::{Row, RowKind, SealedRow, VaultKeys, VaultRow, decode_header, decode_note};
use crate::store::{Key, Scan, Versioned};

/// The rows that every vault must have but this one lacks, and the slots that do not match the `store` row.
pub(super) async fn faults_of_head(engine: &Engine) -> Result<Vec<CheckedRow>, Error> {
    let gets = [VaultRow::Header.key(), VaultRow::Store.key()];
    let scans = [Scan::new(VaultKeys::slots(), 1).keys_only()];
    let (rows, [slots]) = engine.read((gets, scans)).await?;
    let mut places = Vec::new();
    for (row, place) in rows.iter().zip([VaultRow::Header, VaultRow::Store]) {
        places.extend(row.is_none().then_some(place));
    }
    let bad = |row, damage| CheckedRow::absent(RowId::Vault(row), RowState::bad(Cause::Damaged(damage)));
    let (mut missing, mut unlisted) = (Vec::new(), Vec::new());
    // If it does not open, the check of its own rows says why.
    if let Ok((head, store_row, _)) = engine.open_head().await {
        missing.extend(head.missing_slots(&store_row.body).map(|held| held.slot_id));
        let slots = head.slots.iter().filter_map(|row| row.slot.as_ref().ok());
        // It was removed or changed, and put back.
        unlisted.extend(slots.filter(|slot| store_row.body.held(slot).is_none()).map(|slot| slot.place.id));
    }
    if slots.rows.is_empty() && missing.is_empty() {
        missing.push([0; 16]);
    }
    places.extend(missing.into_iter().map(VaultRow::Slot));
    let missing = places.into_iter().map(|row| bad(row, Damage::Missing));
    Ok(missing.chain(unlisted.into_iter().map(|id| bad(VaultRow::Slot(id), Damage::Inconsistent))).collect())
}

/// Checks a row by itself. A row that looks wrong is read again before it counts: the root may have been rotated since.
/// `None` if it was deleted meanwhile, as slots, notes and jobs are.
pub(super) async fn check(
    engine: &Arc<Engine>,
    key: &Key,
    row: &Versioned,
    moment: Moment,
) -> Result<Option<CheckedRow>, Error> {
    let checked = check_as_read(engine, key, row, moment);
    if !matches!(checked.state, RowState::Bad(_)) {
        return Ok(Some(checked));
    }
    // If the roots cannot be read, the second check of this very row reports why.
    let _ = engine.refresh_roots().await;
    match engine.get(key.clone()).await {
        Ok(Some(row)) => Ok(Some(check_as_read(engine, key, &row, moment))),
        Ok(None) => Ok(checked.row_id.is_of_every_vault().then_some(checked)),
        Err(Error::Locked) => Ok(Some(checked)),
        Err(error) => Err(error),
    }
}

/// Checks a row as it was read. What a slot seals is not checked: only the slot's own key opens it.
fn check_as_read(engine: &Arc<Engine>, key: &Key, row: &Versioned, moment: Moment) -> CheckedRow {
    let place = VaultRow::parse(key);
    let state = match &place {
        Some(VaultRow::Header) => check_header(engine, row),
        Some(VaultRow::Store) => match check_store_row(engine, row, moment) {
            Ok(()) => RowState::Fine,
            Err(error) => RowState::bad(Cause::of(error)),
        },
        Some(VaultRow::Slot(id)) => check_slot(engine, id, row),
        Some(VaultRow::Retired | VaultRow::OrgRestore(_) | VaultRow::Export(..)) => {
            match decode_note(&row.value) {
                Ok(_) if matches!(place, Some(VaultRow::OrgRestore(_))) => {
                    RowState::bad(Cause::RestoreUnfinished)
                }
                Ok(_) => RowState::Fine,
                Err(error) => RowState::bad(Cause::of(Error::row("", error))),
            }
        }
        Some(VaultRow::KeyJob(id)) => match KeyJob::new(engine, *id).check(row) {
            Ok(()) => RowState::Fine,
            Err(error) => RowState::bad(Cause::of(error)),
        },
        None => RowState::bad(Cause::Foreign),
    };
    // Slots are added and removed, and their revisions are in the `store` row.
    let sealed = (place == Some(VaultRow::Store)).then(|| SealedRow::decode(RowKind::Sealed, &row.value));
    let revision = sealed.and_then(Result::ok).map(|sealed| sealed.revision);
    CheckedRow::of_store(place, state).at(revision)
}

fn check_header(engine: &Engine, row: &Versioned) -> RowState {
    match decode_header(&row.value) {
        Ok(id) if id == engine.store_id => RowState::Fine,
        Ok(_) => RowState::bad(Cause::Damaged(Damage::Inconsistent)),
        Err(error) => RowState::bad(Cause::of(Error::row("", error))),
    }
}

fn check_store_row(engine: &Engine, row: &Versioned, moment: Moment) -> Result<(), Error> {
    let store_row = StoreRow::open(&engine.store_id, &engine.roots.get()?.active.key, row)?;
    engine.caches.refuse_older(&Row::Vault(VaultRow::Store), store_row.revision, moment)?;
    engine.learn_shreds(&store_row);
    Ok(())
}

fn check_slot(engine: &Engine, id: &[u8; 16], row: &Versioned) -> RowState {
    match Slot::decode(&row.value) {
        Ok(slot) if slot.place.id == *id && slot.place.store_id == engine.store_id => RowState::Fine,
        Ok(_) => RowState::bad(Cause::Damaged(Damage::Inconsistent)),
        Err(error) => RowState::bad(Cause::of(Error::row("", error))),
    }
}
