//! What a verb reads first: the definitions and keyrings that it needs, from the caches or together with its own rows.

use std::future::Future;
use std::sync::Arc;
use std::{iter, mem};

use smallvec::SmallVec;

use crate::engine::cache::{Cached, Counts, Definition, Moment, Share, Tag};
use crate::engine::gate::Pass;
use crate::engine::restoring::note_of;
use crate::engine::{Engine, Request, answer};
use crate::error::Error;
use crate::id::{DefinitionId, DefinitionName, LinkedAccountId};
use crate::keys::{Keyring, OpenedRow, ScopeKeys, open, peek};
use crate::model::DefinitionRef;
use crate::row::{Row, SealedRow};
use crate::store::{Key, ReadBatch, ReadSet, Versioned};
use crate::tenant::Tenant;
use crate::tenant::fetched::Reading;
use crate::tenant::names::read_hint;

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
    pub(super) fn owners(&self) -> impl Iterator<Item = Option<&'a LinkedAccountId>> {
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

/// Runs a read with cached rows, and once more without them if its error may be due to a stale one.
pub(crate) async fn fresh_if_stale<T, F>(read: impl Fn(Freshness) -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    match read(Freshness::Cached).await {
        Err(error) if error.may_be_stale() => read(Freshness::Fresh).await,
        answer => answer,
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
    /// As the verb asked for it. A batch planned on the view waits for verbs that have a turn, unless this is
    /// [`Freshness::InTurn`].
    pub(crate) freshness: Freshness,
    /// What let batches pass before the org's keys were read, if they were not cached. It no longer does once a restore
    /// of the org begins, which is where the org has no keys.
    pub(super) pass_before_keys: Option<Pass>,
}

/// Keys that many verbs use at once.
pub(super) type SharedKeys = Share<Arc<ScopeKeys>>;

/// The cached entry of each row that a verb needs. Most verbs need one definition and the keys of the org and one
/// account.
pub(super) type Entries<V, const N: usize> = SmallVec<[Option<(V, Tag)>; N]>;

impl<'a> View<'a> {
    /// Only keys, for a batch that waits for no other.
    fn of_keys(
        keys: SmallVec<[Option<SharedKeys>; 2]>,
        accounts: &'a [&'a LinkedAccountId],
        moment: Moment,
    ) -> Self {
        let (definitions, tag, freshness) = (SmallVec::new(), Tag::Sole, Freshness::InTurn);
        Self { definitions, accounts, keys, tag, moment, freshness, pass_before_keys: None }
    }

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

    /// The definition at `index` of [`Needs::definitions`], which must be the one that `reference` names.
    pub(crate) fn definition(
        &self,
        index: usize,
        reference: &DefinitionRef<'_>,
    ) -> Result<&Arc<Definition>, Error> {
        let found = self.definitions.get(index).and_then(Option::as_ref);
        found
            .filter(|definition| reference.is(&definition.stored))
            .ok_or_else(|| Error::DefinitionNotFound(reference.clone().into_owned()))
    }
}

impl Tenant {
    /// The id of a definition. For a name it is a hint, from a cache or an index row: the definition must still have
    /// the name, which [`View::definition`] checks.
    pub(crate) async fn definition_id(
        &self,
        reference: &DefinitionRef<'_>,
        freshness: Freshness,
    ) -> Result<DefinitionId, Error> {
        let name = match reference {
            DefinitionRef::Id(id) => return Ok(*id),
            DefinitionRef::Name(name) => name,
        };
        let caches = &self.engine.caches;
        // Before the name is read: a rename in between keeps the old id out of the cache.
        let moment = caches.moment();
        if let (Some(id), Freshness::Cached) = (self.known_name(name), freshness) {
            caches.counts.add(Cached::Names, 1, 0);
            return Ok(id);
        }
        caches.counts.add(Cached::Names, 0, 1);
        let key = self.id.definition_name(&name.parse::<DefinitionName>()?).key();
        let row = self.read_hints(vec![key.clone()]).await?.pop().flatten();
        let row = row.ok_or_else(|| Error::DefinitionNotFound(reference.clone().into_owned()))?;
        let id = read_hint(&row)?;
        caches.insert(moment, |tables| tables.names.insert(key, id, Tag::Sole));
        Ok(id)
    }

    /// Reads index rows. One that a restore has not written yet is not absent.
    pub(super) async fn read_hints(&self, mut keys: Vec<Key>) -> Result<Vec<Option<Versioned>>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        keys.push(note_of(&self.id.org));
        let mut rows = self.engine.read(keys).await?;
        match rows.pop().flatten() {
            Some(_) if rows.iter().any(Option::is_none) => Err(Error::RestoreUnfinished(self.id.org)),
            _ => Ok(rows),
        }
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
        let mut read_as = needs.freshness;
        let mut retries = Retries { may_move: true, may_follow: self.engine.kept.follows(), may_learn: true };
        loop {
            // Before the caches are used and the store is read: a write in between raises the moment, and what was read
            // then is neither trusted nor cached.
            let moment = caches.moment();
            let shared = self.engine.is_shared();
            // A commit is under way, so a cached row may be older than the store.
            if caches.are_changing() {
                read_as = Freshness::Fresh;
            }
            let usable = |tag| read_as == Freshness::Cached && (shared || tag == Tag::Sole);
            let (mut keyrings, mut definitions) = self.recall(needs, usable);
            let any_cached = keyrings.iter().any(Option::is_some) || definitions.iter().any(Option::is_some);
            request.gets.truncate(asked);
            // Before the cached rows: if the store splits the read, no row is kept under an epoch that is newer than
            // the row.
            if shared {
                request.gets.push(self.id.epoch().key());
            }
            // Cached keys of the org were read when no restore of it was unfinished, and none begins where it has rows.
            let may_be_restoring = keyrings.first().is_some_and(Option::is_none);
            let pass_before_keys = if may_be_restoring { self.engine.gate.pass() } else { None };
            request.gets.extend(missing(&keyrings, needs.owners()).map(|owner| self.id.keyring(owner).key()));
            request
                .gets
                .extend(missing(&definitions, needs.definitions).map(|id| self.id.definition(id).key()));
            // Behind the keyring, if the store splits the read: one that a restore wrote comes with its note.
            if may_be_restoring {
                request.gets.push(note_of(&self.id.org));
            }

            let mut set = self.engine.read_batch(&request).await?;
            let mut fetched = set.gets.drain(asked..);
            let tag =
                if shared { Tag::Epoch(fetched.next().flatten().map(|row| row.revision)) } else { Tag::Sole };
            if may_be_restoring && fetched.next_back().flatten().is_some() {
                return Err(Error::RestoreUnfinished(self.id.org));
            }
            let changed = any_cached && !caches.still(moment);
            // The cached rows are older than the verb's own rows. Together they would not be a snapshot.
            if changed || is_stale(&keyrings, tag) || is_stale(&definitions, tag) {
                read_as = Freshness::Fresh;
                continue;
            }

            count(&caches.counts, Cached::Keyrings, &keyrings);
            count(&caches.counts, Cached::Definitions, &definitions);
            let reading = Reading { moment, tag, since };
            if let Err(error) = self.take_in_keyrings(needs, &mut keyrings, &mut fetched, reading) {
                read_as = retries.after(error, read_as, &self.engine).await?;
                continue;
            }
            let keys: SmallVec<_> = keyrings.into_iter().map(without_tag).collect();
            let org_keys = keys.first().and_then(Option::as_deref);
            self.take_in_definitions(needs, org_keys, &mut definitions, &mut fetched, reading)?;
            drop(fetched);
            let definitions = definitions.into_iter().map(without_tag).collect();
            // As asked for, not as read: it decides whether a batch waits for turns.
            let (accounts, freshness) = (needs.accounts, needs.freshness);
            let view = View { definitions, accounts, keys, tag, moment, freshness, pass_before_keys };
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

    /// The cached id of a name. Only names that were checked are cached, so `name` need not be.
    pub(crate) fn known_name(&self, name: &str) -> Option<DefinitionId> {
        let tables = self.engine.caches.tables();
        tables.names.get(self.id.name_key(name).as_bytes()).map(|(id, _)| *id)
    }

    /// Opens the bytes of a row under the keys of its scope. `None` if the key that sealed it was dropped.
    pub(crate) fn open(
        &self,
        keys: Option<&Arc<ScopeKeys>>,
        place: &Row<'_>,
        bytes: &[u8],
    ) -> Result<Option<OpenedRow>, Error> {
        open(keyring(keys), &self.engine.store_id, place, bytes)
    }

    /// The clear part of a row, without opening it. `None` if the key that sealed it was dropped.
    pub(crate) fn peek<'b>(
        keys: Option<&Arc<ScopeKeys>>,
        place: &Row<'_>,
        bytes: &'b [u8],
    ) -> Result<Option<SealedRow<'b>>, Error> {
        peek(keyring(keys), place, bytes)
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
        Ok(View::of_keys(keys, accounts, moment).without_shredded())
    }

    /// A view of keys that the caller has read: the org's, and those of `account`.
    pub(crate) fn view_of<'a>(
        &self,
        org: Option<Arc<ScopeKeys>>,
        accounts: &'a [&'a LinkedAccountId],
        account: Option<Arc<ScopeKeys>>,
    ) -> View<'a> {
        let keys = SmallVec::from_buf([org, account].map(|keys| keys.map(Share::new)));
        View::of_keys(keys, accounts, self.engine.caches.moment())
    }
}

/// The reasons to read again after a keyring that does not open, each good for once.
struct Retries {
    may_move: bool,
    may_follow: bool,
    may_learn: bool,
}

impl Retries {
    /// The freshness of the next read, or `error` if another read would not help.
    async fn after(
        &mut self,
        error: Error,
        freshness: Freshness,
        engine: &Engine,
    ) -> Result<Freshness, Error> {
        match error {
            // The root may have been retired since the row was read. The next read then finds the row under the new
            // root.
            Error::UnknownKey { .. } if mem::take(&mut self.may_move) => Ok(freshness),
            // The keyring may be from before a shred that another engine noted. Then it is one without keys.
            Error::RolledBack { .. } if mem::take(&mut self.may_learn) => {
                engine.refresh_roots().await?;
                Ok(Freshness::Fresh)
            }
            error => match engine.if_rotated(error).await {
                Error::UnknownKey { .. } if mem::take(&mut self.may_follow) => Ok(freshness),
                error => Err(error),
            },
        }
    }
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

fn without_tag<V>(entry: Option<(V, Tag)>) -> Option<V> {
    entry.map(|(value, _)| value)
}

fn keyring(keys: Option<&Arc<ScopeKeys>>) -> Option<&Keyring> {
    keys.map(|keys| &keys.keyring)
}
