//! Keyrings and definitions that no cache held: opened once they were read, and cached.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::engine::cache::{Definition, HeldKeys, Moment, Striped, Tag};
use crate::error::Error;
use crate::id::LinkedAccountId;
use crate::keys::ScopeKeys;
use crate::model::Revision;
use crate::store::Versioned;
use crate::tenant::Tenant;
use crate::tenant::view::{Entries, Needs, SharedKeys};

impl Tenant {
    /// Opens and caches the keyrings that were missing.
    pub(super) fn take_in_keyrings(
        &self,
        needs: &Needs<'_, '_>,
        keyrings: &mut Entries<SharedKeys, 2>,
        fetched: &mut impl Iterator<Item = Option<Versioned>>,
        reading: Reading,
    ) -> Result<(), Error> {
        for (entry, owner) in keyrings.iter_mut().zip(needs.owners()) {
            if entry.is_some() {
                continue;
            }
            match fetched.next().flatten() {
                Some(row) => *entry = Some((self.keep_keyring(owner, &row, reading)?, reading.tag)),
                None => self.engine.caches.refuse_absent(&self.id.keyring(owner), reading.moment)?,
            }
        }
        Ok(())
    }

    /// Opens and caches the definitions that were missing.
    pub(super) fn take_in_definitions(
        &self,
        needs: &Needs<'_, '_>,
        org_keys: Option<&Arc<ScopeKeys>>,
        definitions: &mut Entries<Arc<Definition>, 1>,
        fetched: &mut impl Iterator<Item = Option<Versioned>>,
        Reading { moment, tag, .. }: Reading,
    ) -> Result<(), Error> {
        for (entry, id) in definitions.iter_mut().zip(needs.definitions) {
            // Cached, or no such definition: the verb reports a missing one.
            let Some(row) = next_missing(entry, fetched) else { continue };
            let Some(definition) = self.open_definition(org_keys, *id, &row, moment)? else { continue };
            let definition = Arc::new(definition);
            let (key, kept) = (self.id.definition(id).key(), Arc::clone(&definition));
            self.engine.caches.insert(moment, |tables| tables.definitions.insert(key, kept, tag));
            *entry = Some((definition, tag));
        }
        Ok(())
    }

    /// Opens a keyring and caches it. If several readers miss the same one, the first opens it and the others take its
    /// result. There is no `.await` in between, so a dropped future cannot block them.
    fn keep_keyring(
        &self,
        owner: Option<&LinkedAccountId>,
        row: &Versioned,
        reading: Reading,
    ) -> Result<SharedKeys, Error> {
        let caches = &self.engine.caches;
        let key = self.id.keyring(owner).key();
        // Held during the lookup and the opening, so that the next in line finds what this one opened.
        let _turn = caches.turn(&key);
        let (keys, since) = match caches.opened(&key, row.revision) {
            Some(opened) => opened,
            None => {
                caches.counts.add_unwrap();
                (Arc::new(self.open_keyring(owner, row, reading.moment)?), reading.since)
            }
        };
        let held = HeldKeys { keys: Striped::new(keys), since };
        let keys = held.keys.share();
        caches.insert_keyring(reading.moment, key, held, reading.tag);
        Ok(keys)
    }

    /// Opens the keyring of the org, or of one account, which was read at or after `moment`.
    ///
    /// # Errors
    /// Among others, [`Error::RolledBack`] if a newer one was seen before.
    pub(crate) fn open_keyring(
        &self,
        account: Option<&LinkedAccountId>,
        found: &Versioned,
        moment: Moment,
    ) -> Result<ScopeKeys, Error> {
        let (roots, place) = (self.engine.roots.get()?, self.id.keyring(account));
        let keys = ScopeKeys::open(&roots, &self.engine.store_id, &place, found)?;
        // A keyring from before a shred opens nothing, like the one that the shred wrote, unless another followed that.
        let newest = self.engine.caches.newest(&place.key()).map_or(0, Revision::as_u64);
        let has_no_keys = keys.keyring.ids().next().is_none();
        if !(has_no_keys && keys.revision.as_u64() < newest && newest <= roots.floor_of(&place)) {
            self.engine.caches.refuse_older(&place, keys.revision, moment)?;
        }
        Ok(keys)
    }
}

/// How a row was read: the caches' moment before the read, the epoch, and the time.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    pub(super) moment: Moment,
    pub(super) tag: Tag,
    pub(super) since: Timestamp,
}

/// The fetched row of an entry that was missing from the cache.
fn next_missing<V>(
    entry: &Option<V>,
    fetched: &mut impl Iterator<Item = Option<Versioned>>,
) -> Option<Versioned> {
    if entry.is_some() { None } else { fetched.next().flatten() }
}
