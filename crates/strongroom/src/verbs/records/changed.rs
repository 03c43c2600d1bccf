//! Reading a record again, without opening it if it has not changed.

use std::fmt;

use crate::engine::observer::Call;
use crate::error::Error;
use crate::id::RecordKey;
use crate::keys::{KeyLookup, sealing_key_id};
use crate::row::{Row, SealedRow};
use crate::store::Key;
use crate::tenant::record::Record;
use crate::tenant::{Freshness, View, fresh_if_stale};
use crate::verbs::records::Records;

/// The sealed bytes of a record that was read, for [`Records::get_if_changed`]. It contains no plaintext.
pub struct Stamp {
    key: Key,
    row: Vec<u8>,
}

/// What [`Records::get_if_changed`] returns.
#[derive(Debug)]
pub enum IfChanged {
    /// The record is the one that the stamp belongs to.
    Unchanged,
    /// The record is new or has changed. Here are the record and its stamp.
    Changed(Record, Stamp),
    /// There is no record, or it is gone.
    Absent,
}

impl Records {
    /// The record with this key, unless it is still the one that `stamp` belongs to. An unchanged record is read but
    /// not opened, which saves most of the cost of a [`get`](Self::get). For a host that caches what it derives from a
    /// record.
    ///
    /// A record is unchanged if its key has the same sealed bytes, and the data key that sealed them was not dropped.
    /// So a record that was put again, moved, rotated, deleted or shredded is never taken for unchanged.
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::IfChanged;
    /// let (notes, key) = (org.records("notes".parse()?), "a".parse()?);
    /// notes.put(&key, "1").await?;
    /// let IfChanged::Changed(first, stamp) = notes.get_if_changed(&key, None).await? else { unreachable!() };
    /// assert_eq!(first.value.expose(), "1");
    /// assert!(matches!(notes.get_if_changed(&key, Some(&stamp)).await?, IfChanged::Unchanged));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`get`](Self::get).
    pub async fn get_if_changed(&self, key: &RecordKey, stamp: Option<&Stamp>) -> Result<IfChanged, Error> {
        let get = fresh_if_stale(|freshness| self.try_get_if_changed(key, stamp, freshness));
        self.org.tenant.observed(Call::of("record").named(key.as_str()), get).await
    }

    async fn try_get_if_changed(
        &self,
        key: &RecordKey,
        stamp: Option<&Stamp>,
        freshness: Freshness,
    ) -> Result<IfChanged, Error> {
        let (view, row) = self.read(key, freshness).await?;
        let Some(row) = row else {
            self.note_absent(&view, key);
            return Ok(IfChanged::Absent);
        };
        let place = self.org.tenant.id.record(&self.namespace, key);
        let at = place.key();
        let is_same = |stamp: &Stamp| stamp.key == at && stamp.row == row.value;
        // Equal bytes are not enough: after a shred they may still be there, under a dropped key.
        if stamp.is_some_and(is_same) && lists_key_of(&view, &place, &row.value) {
            // The same bytes as those that were opened, so the revision is true.
            let revision = SealedRow::decode(place.kind(), &row.value).map(|sealed| sealed.revision).ok();
            let is_newest = self.org.tenant.is_newest_record(&view, &self.namespace, &at, revision);
            // It was deleted or changed since, and put back.
            return Ok(if is_newest { IfChanged::Unchanged } else { IfChanged::Absent });
        }
        let record = self.org.tenant.open_record(&view, &self.namespace, key, &row)?;
        let stamp = Stamp { key: at, row: row.value };
        Ok(record.map_or(IfChanged::Absent, |record| IfChanged::Changed(record, stamp)))
    }
}

/// Whether the org's keyring still has the key that sealed a record.
fn lists_key_of(view: &View<'_>, row: &Row<'_>, bytes: &[u8]) -> bool {
    let (Some(keys), Some(id)) = (view.keys(None), sealing_key_id(row, bytes)) else { return false };
    matches!(keys.keyring.key(&id), KeyLookup::Listed(_))
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stamp")
    }
}
