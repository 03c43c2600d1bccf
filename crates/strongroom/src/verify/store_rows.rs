//! Judging the rows that belong to no tenant: header, slots and the `store` row.

use std::sync::Arc;

use super::report::Cause;
use super::verdict::{Judged, Subject, Verdict};
use crate::engine::Engine;
use crate::error::{Damage, Error};
use crate::jobs::rotation::KeyJob;
use crate::keys::{Slot, StoreRow};
use crate::row::{VaultKeys, VaultRow, decode_header, decode_note};
use crate::store::{Key, Scan, Versioned};

/// Which of the rows that every vault has are not there.
pub(super) async fn missing(engine: &Engine) -> Result<Vec<Judged>, Error> {
    let gets = [VaultRow::Header.key(), VaultRow::Store.key()];
    let scans = [Scan::new(VaultKeys::slots(), 1).keys_only()];
    let (rows, [slots]) = engine.read((gets, scans)).await?;
    let mut places = Vec::new();
    for (row, place) in rows.iter().zip([VaultRow::Header, VaultRow::Store]) {
        places.extend(row.is_none().then_some(place));
    }
    if slots.rows.is_empty() {
        places.push(VaultRow::Slot([0; 16]));
    }
    let absent = |row| Judged::absent(Subject::Vault(row), Verdict::bad(Cause::Damaged(Damage::Missing)));
    Ok(places.into_iter().map(absent).collect())
}

/// Judges a row by itself. What looks wrong is read again before it counts: there may be a new root since.
pub(super) async fn judge(engine: &Arc<Engine>, key: &Key, row: &Versioned) -> Result<Judged, Error> {
    let judged = judge_as_read(engine, key, row);
    if !matches!(judged.verdict, Verdict::Bad(_)) {
        return Ok(judged);
    }
    // What keeps it from knowing a root is found in the row itself.
    let _ = engine.refresh_roots().await;
    match engine.get(key.clone()).await {
        Ok(Some(row)) => Ok(judge_as_read(engine, key, &row)),
        Ok(None) | Err(Error::Locked) => Ok(judged),
        Err(error) => Err(error),
    }
}

/// What a slot seals is seen only by whoever opens the vault through it.
fn judge_as_read(engine: &Arc<Engine>, key: &Key, row: &Versioned) -> Judged {
    let place = VaultRow::parse(key);
    let verdict = match &place {
        Some(VaultRow::Header) => judge_header(engine, row),
        Some(VaultRow::Store) => {
            let opened =
                engine.roots.get().and_then(|roots| StoreRow::open(&engine.store_id, &roots.active.key, row));
            match opened {
                Ok(_) => Verdict::Fine,
                Err(error) => Verdict::bad(Cause::of(error)),
            }
        }
        Some(VaultRow::Slot(id)) => judge_slot(engine, id, row),
        Some(VaultRow::Retired | VaultRow::OrgArrival(_) | VaultRow::Export(..)) => {
            match decode_note(&row.value) {
                Ok(_) => Verdict::Fine,
                Err(error) => Verdict::bad(Cause::of(Error::row("", error))),
            }
        }
        Some(VaultRow::KeyJob(id)) => match KeyJob::new(engine, *id).check(row) {
            Ok(()) => Verdict::Fine,
            Err(error) => Verdict::bad(Cause::of(error)),
        },
        None => Verdict::bad(Cause::Foreign),
    };
    Judged::of_store(place, verdict)
}

fn judge_header(engine: &Engine, row: &Versioned) -> Verdict {
    match decode_header(&row.value) {
        Ok(id) if id == engine.store_id => Verdict::Fine,
        Ok(_) => Verdict::bad(Cause::Damaged(Damage::Inconsistent)),
        Err(error) => Verdict::bad(Cause::of(Error::row("", error))),
    }
}

fn judge_slot(engine: &Engine, id: &[u8; 16], row: &Versioned) -> Verdict {
    match Slot::decode(&row.value) {
        Ok(slot) if slot.place.id == *id && slot.place.store_id == engine.store_id => Verdict::Fine,
        Ok(_) => Verdict::bad(Cause::Damaged(Damage::Inconsistent)),
        Err(error) => Verdict::bad(Cause::of(Error::row("", error))),
    }
}
