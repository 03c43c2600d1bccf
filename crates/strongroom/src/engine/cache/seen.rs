//! The newest revision of each control row that this engine saw, so that an older one is refused.
//!
//! A keyring, a definition and the `store` row open at the revision that they state, and so does an older copy of one.
//! Only what the engine saw before tells them apart. It sees a row whenever it opens or writes one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Tag;
use super::table::Table;
use crate::error::Error;
use crate::model::Revision;
use crate::row::Row;
use crate::store::Key;

/// The newest revisions of control rows: of the `store` row always, and of as many keyrings and definitions as there is
/// room for. Those least recently used are forgotten first.
pub(crate) struct Seen {
    /// Apart from the others, so that they can never displace it.
    store_row: Mutex<Table<Newest>>,
    rows: Mutex<Table<Newest>>,
    /// The newest revisions of API keys and sessions, which may be many more.
    records: Mutex<Table<Newest>>,
    /// How often something newer was seen.
    clock: AtomicU64,
    /// What the engine that this one runs beside had seen when this one began.
    others: Option<(Arc<Seen>, Began)>,
}

#[derive(Clone, Copy)]
struct Newest {
    revision: u64,
    /// When it was seen, by the clock.
    at: u64,
}

/// When a reader began, by the clock of [`Seen`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Began(u64);

impl Seen {
    pub(super) fn new(rows_max: usize) -> Self {
        Self {
            store_row: Mutex::new(Table::new(1)),
            rows: Mutex::new(Table::new(rows_max)),
            records: Mutex::new(Table::new(rows_max)),
            clock: AtomicU64::new(0),
            others: None,
        }
    }

    /// For an engine beside another one: what it sees beyond what that one has seen.
    pub(super) fn beside(others: &Arc<Self>, rows_max: usize) -> Self {
        Self { others: Some((Arc::clone(others), others.began())), ..Self::new(rows_max) }
    }

    pub(super) fn began(&self) -> Began {
        // Acquire, before the store is read: a reader that sees a note here reads the store after the noted row was in
        // it.
        Began(self.clock.load(Ordering::Acquire))
    }

    /// Notes the revision of a row that opened, and refuses it if a newer one was seen before its reader began. Two
    /// readers may note their rows in another order than they read them; neither is refused for that.
    pub(super) fn check(&self, row: &Row<'_>, revision: Revision, began: Began) -> Result<(), Error> {
        let (key, revision) = (row.key(), revision.as_u64());
        if let Some((others, before)) = &self.others {
            refuse_older(&others.table_of(&key), row, revision, *before)?;
        }
        let mut rows = self.table_of(&key);
        refuse_older(&rows, row, revision, began)?;
        if rows.get(key.as_bytes()).is_none_or(|(newest, _)| newest.revision < revision) {
            self.note(&mut rows, key, revision);
        }
        Ok(())
    }

    /// Refuses that the row of a keyring is missing, if it was seen before its reader began: keyrings are never
    /// deleted.
    pub(super) fn check_absent(&self, row: &Row<'_>, began: Began) -> Result<(), Error> {
        let key = row.key();
        if let Some((others, before)) = &self.others {
            refuse_older(&others.table_of(&key), row, UNWRITTEN, *before)?;
        }
        refuse_older(&self.table_of(&key), row, UNWRITTEN, began)
    }

    /// The newest revision that was seen of a row.
    pub(super) fn newest(&self, key: &Key) -> Option<Revision> {
        let newest = |seen: &Self| seen.table_of(key).get(key.as_bytes()).map(|(newest, _)| newest.revision);
        let elsewhere = self.others.as_ref().and_then(|(others, _)| newest(others));
        newest(self).max(elsewhere).map(Revision::from_u64)
    }

    /// Notes the revision of a row that this engine wrote.
    pub(super) fn wrote(&self, key: &Key, revision: Revision) {
        let (revision, mut rows) = (revision.as_u64(), self.table_of(key));
        if rows.get(key.as_bytes()).is_none_or(|(newest, _)| newest.revision < revision) {
            self.note(&mut rows, key.clone(), revision);
        }
    }

    /// Whether the record of an API key or a session is the newest that was seen of it. Notes its revision, or that it
    /// is gone for good.
    pub(super) fn is_newest_record(&self, key: &Key, found: Option<Revision>, began: Began) -> bool {
        if let Some((others, before)) = &self.others
            && others.has_newer_record(key, found, *before)
        {
            return false;
        }
        let mut records = lock(&self.records);
        let newest = records.get(key.as_bytes()).map(|(newest, _)| *newest);
        match (newest, found.map(Revision::as_u64)) {
            (None, Some(found)) => self.note(&mut records, key.clone(), found),
            (Some(newest), Some(found)) if found > newest.revision => {
                self.note(&mut records, key.clone(), found);
            }
            // This one was being read when the newer one was seen or made.
            (Some(newest), _) if newest.at > began.0 => {}
            (Some(_), None) => self.note(&mut records, key.clone(), DELETED.as_u64()),
            (Some(newest), Some(found)) => return found == newest.revision,
            (None, None) => {}
        }
        true
    }

    /// Whether a newer record than the one found was seen, or that there is none any more. Notes nothing, since what is
    /// found in a plan may never be stored.
    fn has_newer_record(&self, key: &Key, found: Option<Revision>, began: Began) -> bool {
        let records = lock(&self.records);
        let newest = records.get(key.as_bytes()).filter(|(newest, _)| newest.at <= began.0);
        newest.zip(found).is_some_and(|((newest, _), found)| found.as_u64() < newest.revision)
    }

    /// Notes the revision of such a record that this engine wrote, or that it deleted it.
    pub(super) fn wrote_record(&self, key: &Key, revision: Revision) {
        let mut records = lock(&self.records);
        if records.get(key.as_bytes()).is_none_or(|(newest, _)| newest.revision < revision.as_u64()) {
            self.note(&mut records, key.clone(), revision.as_u64());
        }
    }

    /// Forgets rows: new ones will be made at their keys.
    pub(super) fn forget(&self, is_gone: impl Fn(&Key) -> bool) {
        for rows in [&self.rows, &self.records] {
            lock(rows).retain(|key, _| !is_gone(key));
        }
    }

    fn note(&self, rows: &mut Table<Newest>, key: Key, revision: u64) {
        // Release: see `began`. The row was read or committed before.
        let at = self.clock.fetch_add(1, Ordering::Release) + 1;
        rows.insert(key, Newest { revision, at }, Tag::Sole);
    }

    fn table_of(&self, key: &Key) -> MutexGuard<'_, Table<Newest>> {
        lock(if *key == crate::row::VaultRow::Store.key() { &self.store_row } else { &self.rows })
    }
}

fn lock(rows: &Mutex<Table<Newest>>) -> MutexGuard<'_, Table<Newest>> {
    rows.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refuse_older(rows: &Table<Newest>, row: &Row<'_>, revision: u64, began: Began) -> Result<(), Error> {
    match rows.get(row.key().as_bytes()) {
        Some((newest, _)) if revision < newest.revision && newest.at <= began.0 => {
            Err(Error::RolledBack { row: row.name(), seen: newest.revision, found: revision })
        }
        _ => Ok(()),
    }
}

/// The revision of an absent row.
const UNWRITTEN: u64 = Revision::UNWRITTEN.as_u64();
/// The revision that a row which was deleted for good would have to exceed.
pub(crate) const DELETED: Revision = Revision::from_u64(u64::MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Environment;
    use crate::row::{TenantId, VaultRow};

    fn tenant() -> TenantId {
        TenantId::new("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test())
    }

    fn at(revision: u64) -> Revision {
        Revision::from_u64(revision)
    }

    #[test]
    fn a_row_that_was_read_after_a_newer_one_was_seen_is_refused_and_one_that_was_read_before_is_not() {
        let (seen, tenant) = (Seen::new(8), tenant());
        let row = tenant.keyring(None);
        let early = seen.began();
        seen.check(&row, at(5), seen.began()).unwrap();
        assert!(seen.check(&row, at(4), early).is_ok(), "it was on its way when the newer one came in");
        let refused = seen.check(&row, at(4), seen.began()).unwrap_err();
        assert!(matches!(refused, Error::RolledBack { seen: 5, found: 4, .. }));
        for revision in [5, 6] {
            seen.check(&row, at(revision), seen.began()).unwrap();
        }
        assert!(seen.check(&row, at(5), seen.began()).is_err());
        assert!(seen.check_absent(&row, early).is_ok() && seen.check_absent(&row, seen.began()).is_err());
        assert_eq!(seen.newest(&row.key()), Some(at(6)));
    }

    #[test]
    fn what_was_written_counts_as_seen_and_what_was_forgotten_does_not() {
        let (seen, tenant) = (Seen::new(8), tenant());
        let row = tenant.keyring(None);
        seen.wrote(&row.key(), at(3));
        seen.wrote(&row.key(), at(2));
        assert!(seen.check(&row, at(2), seen.began()).is_err());
        seen.forget(|key| tenant.owns(key.as_bytes()));
        seen.check(&row, at(1), seen.began()).unwrap();
    }

    #[test]
    fn a_row_that_is_seen_or_written_again_counts_as_seen_from_the_first_time_on() {
        let (seen, tenant) = (Seen::new(8), tenant());
        let row = tenant.keyring(None);
        seen.check(&row, at(5), seen.began()).unwrap();
        let began = seen.began();
        seen.check(&row, at(5), seen.began()).unwrap();
        seen.wrote(&row.key(), at(5));
        assert!(seen.check(&row, at(4), began).is_err());

        seen.wrote_record(&row.key(), at(5));
        let began = seen.began();
        seen.wrote_record(&row.key(), at(5));
        assert!(!seen.is_newest_record(&row.key(), Some(at(4)), began));

        let read = Key::from(b"r".as_slice());
        assert!(seen.is_newest_record(&read, Some(at(5)), seen.began()));
        let began = seen.began();
        assert!(seen.is_newest_record(&read, Some(at(5)), began));
        assert!(!seen.is_newest_record(&read, Some(at(4)), began));
    }

    #[test]
    fn a_record_that_was_older_or_gone_before_its_reader_began_does_not_come_back() {
        let (seen, key) = (Seen::new(8), Key::from(b"r".as_slice()));
        let is_newest = |found, began| seen.is_newest_record(&key, found, began);
        let early = seen.began();
        assert!(is_newest(Some(at(5)), early) && is_newest(Some(at(6)), seen.began()));
        assert!(is_newest(Some(at(5)), early), "it was on its way when the newer one came in");
        assert!(!is_newest(Some(at(5)), seen.began()) && is_newest(Some(at(6)), seen.began()));
        assert!(is_newest(None, early), "it was read before the record was made");
        assert!(is_newest(Some(at(6)), seen.began()));
        assert!(is_newest(None, seen.began()) && !is_newest(Some(at(6)), seen.began()));

        let written = Key::from(b"w".as_slice());
        seen.wrote_record(&written, at(3));
        seen.wrote_record(&written, DELETED);
        assert!(!seen.is_newest_record(&written, Some(at(3)), seen.began()));
        seen.forget(|_| true);
        assert!(seen.is_newest_record(&written, Some(at(3)), seen.began()));
    }

    #[test]
    fn the_memory_is_bounded_and_the_store_row_is_never_forgotten() {
        let (seen, tenant) = (Seen::new(8), tenant());
        let store_row = Row::Vault(VaultRow::Store);
        seen.check(&store_row, at(2), seen.began()).unwrap();
        for number in 0..100_u32 {
            let account = format!("user-{number}").parse().unwrap();
            seen.wrote(&tenant.keyring(Some(&account)).key(), at(1));
            seen.wrote_record(&tenant.keyring(Some(&account)).key(), at(1));
        }
        assert!(seen.rows.lock().unwrap().len() <= 8 && seen.records.lock().unwrap().len() <= 8);
        assert!(seen.check(&store_row, at(1), seen.began()).is_err());
    }
}
