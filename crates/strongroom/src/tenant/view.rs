//! The definitions and keyrings that a verb needs, from the caches or read together with its own rows.

use std::iter;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::clock::Timestamp;
use crate::engine::cache::{Cached, Counts, Definition, HeldKeys, Moment, Share, Striped, Tag};
use crate::engine::{Request, answer};
use crate::error::Error;
use crate::id::{DefinitionId, LinkedAccountId};
use crate::keys::{KeyLookup, ScopeKeys, sealing_key_id};
use crate::row::Row;
use crate::store::{ReadBatch, ReadSet, Versioned};
use crate::tenant::Tenant;

/// What a verb needs besides its own rows.
pub(crate) struct Needs<'d, 'a> {
    pub(crate) definitions: &'d [DefinitionId],
    /// Accounts whose keys are needed. Those of the org always are.
    pub(crate) accounts: &'a [&'a LinkedAccountId],
    pub(crate) freshness: Freshness,
}

impl<'d, 'a> Needs<'d, 'a> {
    /// Only the org's keys.
    pub(crate) fn org_keys() -> Self {
        Self { definitions: &[], accounts: &[], freshness: Freshness::Cached }
    }

    /// Adds the keys of these accounts.
    pub(crate) fn accounts(mut self, accounts: &'a [&'a LinkedAccountId]) -> Self {
        self.accounts = accounts;
        self
    }

    /// Adds these definitions.
    pub(crate) fn definitions(mut self, definitions: &'d [DefinitionId]) -> Self {
        self.definitions = definitions;
        self
    }

    /// Says whether cached rows may be used.
    pub(crate) fn freshness(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    /// The owners of the keys that are needed: the org, then each account.
    fn owners(&self) -> impl Iterator<Item = Option<&'a LinkedAccountId>> {
        iter::once(None).chain(self.accounts.iter().copied().map(Some))
    }
}

/// Whether cached rows may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    Cached,
    Fresh,
    /// Like `Fresh`, for a write that has the turn at the rows that it lost.
    InTurn,
}

impl Freshness {
    /// Whether a row that does not open is lost. It is not if the keys may be out of date, or if a later release can
    /// open it.
    pub(crate) fn is_lost(self, error: &Error) -> bool {
        match error {
            Error::UnknownKey { .. } => self != Self::Cached,
            error => matches!(error, Error::Damaged { .. }),
        }
    }
}

/// Definitions and keyrings, from the same snapshot as the verb's own rows.
pub(crate) struct View<'a> {
    /// In the order of [`Needs::definitions`]; `None` for an id without a definition.
    pub(crate) definitions: SmallVec<[Option<Arc<Definition>>; 1]>,
    accounts: &'a [&'a LinkedAccountId],
    /// The org's first, then those of `accounts`.
    keys: SmallVec<[Option<SharedKeys>; 2]>,
    /// The epoch under which this was read, and the caches' moment before the read.
    pub(crate) tag: Tag,
    pub(crate) moment: Moment,
    /// Whether a batch planned on it waits for verbs that have a turn.
    pub(crate) waits: bool,
}

/// Keys that many verbs use at once.
type SharedKeys = Share<Arc<ScopeKeys>>;

/// The cached entry of each row that a verb needs. Most verbs need one definition and the keys of the org and one
/// account.
type Entries<V, const N: usize> = SmallVec<[Option<(V, Tag)>; N]>;

impl View<'_> {
    /// Whether the org was shredded and not written to since. If so, it is empty, even if rows are left to be swept.
    pub(crate) fn is_shredded(&self) -> bool {
        self.keys(None).is_some_and(|keys| keys.keyring.active().is_none())
    }

    /// After a shred, hides definitions and drops the keys of accounts, swept or not.
    fn without_shredded(mut self) -> Self {
        if self.is_shredded() {
            self.definitions.iter_mut().for_each(|definition| *definition = None);
            for keys in self.keys.iter_mut().skip(1).flatten() {
                *keys = Share::new(Arc::new(keys.dropped()));
            }
        }
        self
    }

    /// The keys of the org, or of one of the accounts in [`Needs`]; `None` before their first write.
    pub(crate) fn keys(&self, account: Option<&LinkedAccountId>) -> Option<&Arc<ScopeKeys>> {
        let index = match account {
            Some(account) => 1 + self.accounts.iter().position(|known| *known == account)?,
            None => 0,
        };
        self.keys.get(index)?.as_deref()
    }
}

impl Tenant {
    /// A view of keys that the caller has read: the org's, and those of `account`.
    pub(crate) fn view_of<'a>(
        &self,
        org: Option<Arc<ScopeKeys>>,
        accounts: &'a [&'a LinkedAccountId],
        account: Option<Arc<ScopeKeys>>,
    ) -> View<'a> {
        let keys = SmallVec::from_buf([org, account].map(|keys| keys.map(Share::new)));
        let moment = self.engine.caches.moment();
        View { definitions: SmallVec::new(), accounts, keys, tag: Tag::Sole, moment, waits: false }
    }

    /// Reads `request`, and whatever the verb needs that no cache holds, in one read of the store.
    pub(crate) async fn read<'a, R: Request>(
        &self,
        needs: &Needs<'_, 'a>,
        request: R,
    ) -> Result<(View<'a>, R::Answer), Error> {
        let (view, set) = self.read_batch(needs, request.into_batch()).await?;
        Ok((view, answer::<R>(set)?))
    }

    /// The org's keys and those of `accounts`, for a batch planned from rows that were read earlier. Cached keys are
    /// used however old, since the batch expects the keyrings that it seals under to be as they are here. Reads the
    /// store only for what is not cached.
    pub(crate) async fn view_to_seal<'a>(
        &self,
        accounts: &'a [&'a LinkedAccountId],
    ) -> Result<View<'a>, Error> {
        self.engine.refuse_locked_tenant(&self.id)?;
        self.engine.drop_old_keys();
        let needs = Needs::org_keys().accounts(accounts);
        let moment = self.engine.caches.moment();
        let (keyrings, _) = self.recall(&needs, |_| true);
        if keyrings.iter().any(Option::is_none) {
            return Ok(self.read(&needs, ()).await?.0);
        }
        let keys = keyrings.into_iter().map(without_tag).collect();
        let view =
            View { definitions: SmallVec::new(), accounts, keys, tag: Tag::Sole, moment, waits: false };
        Ok(view.without_shredded())
    }

    async fn read_batch<'a>(
        &self,
        needs: &Needs<'_, 'a>,
        mut request: ReadBatch,
    ) -> Result<(View<'a>, ReadSet), Error> {
        let caches = &self.engine.caches;
        self.engine.refuse_locked_tenant(&self.id)?;
        // Before the first read: the age of a key counts from when its row may have been read.
        let since = self.engine.drop_old_keys();
        let asked = request.gets.len();
        let mut freshness = needs.freshness;
        let (mut may_move, mut may_follow, mut may_learn) = (true, self.engine.kept.follows(), true);
        loop {
            // Before the caches are used and the store is read: a write in between raises the moment, and what was read
            // then is neither trusted nor cached.
            let moment = caches.moment();
            let shared = self.engine.is_shared();
            // A commit is under way, so a cached row may be older than the store.
            if caches.are_changing() {
                freshness = Freshness::Fresh;
            }
            let usable = |tag| freshness == Freshness::Cached && (shared || tag == Tag::Sole);
            let (mut keyrings, mut definitions) = self.recall(needs, usable);
            let any_cached = keyrings.iter().any(Option::is_some) || definitions.iter().any(Option::is_some);
            request.gets.truncate(asked);
            // Before the cached rows: if the store splits the read, no row is kept under an epoch that is newer than
            // the row.
            if shared {
                request.gets.push(self.id.epoch().key());
            }
            request.gets.extend(missing(&keyrings, needs.owners()).map(|owner| self.id.keyring(owner).key()));
            request
                .gets
                .extend(missing(&definitions, needs.definitions).map(|id| self.id.definition(id).key()));

            let mut set = self.engine.read_batch(&request).await?;
            let mut fetched = set.gets.drain(asked..);
            let tag =
                if shared { Tag::Epoch(fetched.next().flatten().map(|row| row.revision)) } else { Tag::Sole };
            let changed = any_cached && !caches.still(moment);
            // The cached rows are older than the verb's own rows. Together they would not be a snapshot.
            if changed || is_stale(&keyrings, tag) || is_stale(&definitions, tag) {
                freshness = Freshness::Fresh;
                continue;
            }

            count(&caches.counts, Cached::Keyrings, &keyrings);
            count(&caches.counts, Cached::Definitions, &definitions);
            let reading = Reading { moment, tag, since };
            match self.take_in_keyrings(needs, &mut keyrings, &mut fetched, reading) {
                Ok(()) => {}
                // The root may have been retired since the row was read. The next read then finds the row under the new
                // root.
                Err(Error::UnknownKey { .. }) if std::mem::take(&mut may_move) => continue,
                // The keyring may be from before a shred that another engine noted. Then it is one without keys.
                Err(Error::RolledBack { .. }) if std::mem::take(&mut may_learn) => {
                    self.engine.refresh_roots().await?;
                    freshness = Freshness::Fresh;
                    continue;
                }
                Err(error) => match self.engine.if_rotated(error).await {
                    Error::UnknownKey { .. } if std::mem::take(&mut may_follow) => continue,
                    error => return Err(error),
                },
            }
            let keys: SmallVec<_> = keyrings.into_iter().map(without_tag).collect();
            let org_keys = keys.first().and_then(Option::as_deref);
            self.take_in_definitions(needs, org_keys, &mut definitions, &mut fetched, reading)?;
            drop(fetched);
            let definitions = definitions.into_iter().map(without_tag).collect();
            let waits = needs.freshness != Freshness::InTurn;
            let view = View { definitions, accounts: needs.accounts, keys, tag, moment, waits };
            return Ok((view.without_shredded(), set));
        }
    }

    /// The cached keyrings and definitions of `needs` that are `usable`.
    fn recall(
        &self,
        needs: &Needs<'_, '_>,
        usable: impl Fn(Tag) -> bool,
    ) -> (Entries<SharedKeys, 2>, Entries<Arc<Definition>, 1>) {
        let tables = self.engine.caches.tables();
        let keyrings = needs.owners().map(|owner| {
            let key = self.id.keyring(owner).key();
            let (held, tag) = tables.keyrings.get(key.as_bytes()).filter(|(_, tag)| usable(*tag))?;
            Some((held.keys.share(), tag))
        });
        let keyrings = keyrings.collect();
        let definitions = needs.definitions.iter().map(|id| {
            let key = self.id.definition(id).key();
            let (definition, tag) = tables.definitions.get(key.as_bytes()).filter(|(_, tag)| usable(*tag))?;
            Some((Arc::clone(definition), tag))
        });
        (keyrings, definitions.collect())
    }

    /// Opens and caches the keyrings that were missing.
    fn take_in_keyrings(
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
    fn take_in_definitions(
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
}

/// How a row was read: the caches' moment before the read, the epoch, and the time.
#[derive(Clone, Copy)]
struct Reading {
    moment: Moment,
    tag: Tag,
    since: Timestamp,
}

/// Counts the hits and misses of what a verb needs.
fn count<V>(counts: &Counts, cached: Cached, entries: &[Option<V>]) {
    let hits = entries.iter().flatten().count();
    counts.add(cached, hits, entries.len() - hits);
}

fn missing<V, T>(entries: &[Option<V>], needed: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
    entries.iter().zip(needed).filter(|(entry, _)| entry.is_none()).map(|(_, needed)| needed)
}

fn is_stale<V>(entries: &[Option<(V, Tag)>], tag: Tag) -> bool {
    entries.iter().flatten().any(|(_, cached)| *cached != tag)
}

/// The fetched row of an entry that was missing from the cache.
fn next_missing<V>(
    entry: &Option<V>,
    fetched: &mut impl Iterator<Item = Option<Versioned>>,
) -> Option<Versioned> {
    if entry.is_some() { None } else { fetched.next().flatten() }
}

fn without_tag<V>(entry: Option<(V, Tag)>) -> Option<V> {
    entry.map(|(value, _)| value)
}

impl View<'_> {
    /// Whether the org's keyring still has the key that sealed a record.
    pub(crate) fn lists_key_of(&self, row: &Row<'_>, bytes: &[u8]) -> bool {
        let dek_id = sealing_key_id(row, bytes);
        let is_listed = |keys: &Arc<ScopeKeys>| {
            dek_id.is_some_and(|id| matches!(keys.keyring.key(&id), KeyLookup::Listed(_)))
        };
        self.keys(None).is_some_and(is_listed)
    }
}
