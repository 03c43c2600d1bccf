//! The keyrings that a batch under construction makes, turns and drops.

use std::sync::Arc;

use crate::error::Error;
use crate::id::LinkedAccountId;
use crate::keys::{Document, Keyring, ScopeKeys, revision_at, seal};
use crate::model::Revision;
use crate::store::{Key, RowRevision, Versioned};
use crate::tenant::Draft;

impl Draft<'_> {
    /// Expects an account to be neither deleted nor shredded when the batch lands, whatever else is written to it. The
    /// batch expects its keyring as it was read: a delete or shred replaces that, and no write of a credential does.
    /// Returns `false` if it has no key.
    pub(crate) fn expect_keys(&mut self, account: &LinkedAccountId) -> bool {
        let Some(keys) = self.keys(Some(account)).filter(|keys| keys.keyring.active().is_some()) else {
            return false;
        };
        self.expect_once(self.tenant().id.keyring(Some(account)).key(), Some(keys.row_revision));
        self.keyrings.push((Some(account.clone()), Arc::clone(keys)));
        true
    }

    /// Drops every key of a scope, so that nothing can open what they sealed. No key can be added between the read and
    /// then. The keyring gets a revision above every earlier one, including one that the store withholds. Returns that
    /// revision.
    pub(crate) fn leave_no_keys(&mut self, account: Option<&LinkedAccountId>) -> Result<Revision, Error> {
        // A store cannot be asked to expect that there is none, so put an empty one.
        let read = self.keys(account).map(|keys| &**keys);
        let keyring = read.map_or_else(Keyring::empty, |keys| keys.keyring.drop_keys());
        self.put_last_keyring(account, keyring, read.map(|keys| (keys.revision, keys.row_revision)))
    }

    /// Drops every key of a scope whose keyring was read, in the same way.
    pub(crate) fn drop_keys(
        &mut self,
        account: Option<&LinkedAccountId>,
        keys: &ScopeKeys,
    ) -> Result<(), Error> {
        let read = Some((keys.revision, keys.row_revision));
        self.put_last_keyring(account, keys.keyring.drop_keys(), read).map(drop)
    }

    /// Puts an empty keyring in place of one that nobody can open. The revision that the old row states need not be
    /// true. Deletes a row whose key is not that of a keyring.
    pub(crate) fn replace_unreadable_keyring(&mut self, key: &Key, read: &Versioned) -> Result<(), Error> {
        let Some(owner) = self.tenant().id.parse_keyring(key) else {
            self.delete_as_read(key.clone(), read.revision);
            return Ok(());
        };
        self.leave_no_lost_keys(owner.as_ref(), read).map(drop)
    }

    /// Puts an empty keyring in place of that of a scope, which nobody can open. Returns its revision.
    pub(crate) fn leave_no_lost_keys(
        &mut self,
        account: Option<&LinkedAccountId>,
        read: &Versioned,
    ) -> Result<Revision, Error> {
        let key = self.tenant().id.keyring(account).key();
        let seen = self.tenant().engine.caches.newest(&key).unwrap_or(Revision::UNWRITTEN);
        self.put_last_keyring(account, Keyring::empty(), Some((seen, read.revision)))
    }

    fn put_last_keyring(
        &mut self,
        account: Option<&LinkedAccountId>,
        keyring: Keyring,
        read: Option<(Revision, RowRevision)>,
    ) -> Result<Revision, Error> {
        let now = revision_at(self.tenant().engine.now());
        let next = self.next_of_keyring(account, read.map(|(revision, _)| revision))?.as_u64();
        let revision = Revision::from_u64(next.max(now));
        self.put_keyring(account, keyring, revision, read.map(|(_, row)| row))?;
        self.bump_epoch();
        Ok(revision)
    }

    /// The next revision of a keyring, above those that a shred of its scope made void.
    fn next_of_keyring(
        &mut self,
        account: Option<&LinkedAccountId>,
        read: Option<Revision>,
    ) -> Result<Revision, Error> {
        let floor = self.roots()?.floor_of(&self.tenant().id.keyring(account));
        let known = read.map_or(0, Revision::as_u64);
        Ok(Revision::from_u64(floor.max(known)).next())
    }

    /// Gives a scope a new active key. The former ones still open what they sealed. Returns the keyring's revision.
    pub(crate) fn turn_keys(
        &mut self,
        account: Option<&LinkedAccountId>,
        keys: &ScopeKeys,
    ) -> Result<Revision, Error> {
        let engine = &self.tenant().engine;
        let place = self.tenant().id.keyring(account);
        let address = place.address(&engine.store_id, None, Revision::UNWRITTEN);
        let turned = keys.keyring.renew(&self.roots()?.active.bytes, &address, engine.now())?;
        let revision = keys.revision.next();
        self.put_keyring(account, turned, revision, Some(keys.row_revision))?;
        Ok(revision)
    }

    /// Destroys the retired keys of a scope, which no longer seal any row.
    pub(crate) fn destroy_retired_keys(
        &mut self,
        account: Option<&LinkedAccountId>,
        keys: &ScopeKeys,
    ) -> Result<(), Error> {
        let alone = keys.keyring.destroy_retired();
        self.put_keyring(account, alone, keys.revision.next(), Some(keys.row_revision)).map(|_| ())
    }

    pub(super) fn first_key(
        &mut self,
        account: Option<&LinkedAccountId>,
        read: Option<&Arc<ScopeKeys>>,
    ) -> Result<Arc<ScopeKeys>, Error> {
        let engine = &self.tenant().engine;
        self.expect_no_shred(account);
        let place = self.tenant().id.keyring(account);
        let address = place.address(&engine.store_id, None, Revision::UNWRITTEN);
        let root = Arc::clone(&self.roots()?.active);
        let keyring = match read {
            Some(keys) => keys.keyring.renew(&root.bytes, &address, engine.now())?,
            None => Keyring::generate(&root.bytes, &address, engine.now())?,
        };
        let next = self.next_of_keyring(account, read.map(|keys| keys.revision))?.as_u64();
        // After a shred of the org, no keyring of an account has a lower revision than that of the org.
        let org = account.and_then(|_| self.keys(None)).map_or(0, |keys| keys.revision.as_u64());
        let revision = Revision::from_u64(next.max(org));
        self.put_keyring(account, keyring, revision, read.map(|keys| keys.row_revision))
    }

    /// A scope must not get its first key in the middle of a shred of its org. For an account, the batch expects the
    /// org's keyring as it was read. For the org, the commit checks that no shred is unfinished.
    fn expect_no_shred(&mut self, account: Option<&LinkedAccountId>) {
        let Some(org) = self.keys(None).map(|keys| keys.row_revision) else { return };
        match account {
            Some(_) => self.expect_once(self.tenant().id.keyring(None).key(), Some(org)),
            None => self.follows_shred = true,
        }
    }

    fn put_keyring(
        &mut self,
        account: Option<&LinkedAccountId>,
        keyring: Keyring,
        revision: Revision,
        read: Option<RowRevision>,
    ) -> Result<Arc<ScopeKeys>, Error> {
        let place = self.tenant().id.keyring(account);
        let root = Arc::clone(&self.roots()?.active);
        let document = Document { id: None, revision, body: &keyring.encode() };
        let bytes = seal(&root.key, &self.tenant().engine.store_id, &place, &document)?;
        // Only once: rows that are sealed under the keys of the scope expect its keyring too.
        self.expect_once(place.key(), read);
        self.put(place.key(), bytes);
        self.wrote(place.key(), revision);
        // A first keyring is in no cache, so no other engine has to forget one.
        if read.is_some() {
            self.bump_epoch();
        }
        Ok(Arc::new(ScopeKeys::new(keyring, revision, read.unwrap_or(RowRevision(0)))))
    }
}
