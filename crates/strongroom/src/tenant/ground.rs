//! What a verb stands on: the definitions and keyrings it needs, cached or read together with its own rows.

use std::iter;
use std::sync::Arc;

use super::{ScopeKeys, Tenant};
use crate::cache::{Cache, Moment, Tag};
use crate::definitions::Definition;
use crate::engine::ATTEMPTS_MAX;
use crate::error::Error;
use crate::id::{DefinitionId, LinkedAccountId};
use crate::store::{Key, ReadBatch, ReadSet, Versioned};

/// What a verb needs beside the rows it is about.
pub(crate) struct Needs<'a> {
    pub(crate) definitions: &'a [DefinitionId],
    /// Accounts whose keys are needed; the org's always are.
    pub(crate) accounts: &'a [&'a LinkedAccountId],
    pub(crate) freshness: Freshness,
}

impl<'a> Needs<'a> {
    /// The org's keys alone.
    pub(crate) fn org_keys() -> Self {
        Self { definitions: &[], accounts: &[], freshness: Freshness::Cached }
    }

    /// The keys of these accounts too.
    pub(crate) fn accounts(mut self, accounts: &'a [&'a LinkedAccountId]) -> Self {
        self.accounts = accounts;
        self
    }

    /// These definitions too.
    pub(crate) fn definitions(mut self, definitions: &'a [DefinitionId]) -> Self {
        self.definitions = definitions;
        self
    }

    /// Read anew where `freshness` says so.
    pub(crate) fn freshness(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }
}

/// Whether cached rows will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    Cached,
    Fresh,
}

impl Freshness {
    /// How a write tries: once with what is cached, then without.
    pub(crate) fn attempts() -> impl Iterator<Item = Self> {
        iter::once(Self::Cached).chain(iter::repeat_n(Self::Fresh, ATTEMPTS_MAX as usize - 1))
    }
}

/// Definitions and keyrings as they stand in the snapshot of the verb's own rows.
pub(crate) struct Ground<'a> {
    /// In the order of [`Needs::definitions`]; `None` where there is none.
    pub(crate) definitions: Vec<Option<Arc<Definition>>>,
    org_keys: Option<Arc<ScopeKeys>>,
    accounts: &'a [&'a LinkedAccountId],
    account_keys: Vec<Option<Arc<ScopeKeys>>>,
    /// Under which view of the store this was read, and when reading began.
    pub(super) tag: Tag,
    pub(super) moment: Moment,
}

impl Ground<'_> {
    /// The keys of the org, or of one of the accounts that were asked for; `None` before their first write.
    pub(crate) fn keys(&self, account: Option<&LinkedAccountId>) -> Option<&Arc<ScopeKeys>> {
        let Some(account) = account else { return self.org_keys.as_ref() };
        let index = self.accounts.iter().position(|known| *known == account)?;
        self.account_keys.get(index)?.as_ref()
    }
}

impl Tenant {
    /// Reads `request` together with what the verb needs and no cache holds: one read of the store.
    pub(crate) async fn read<'a>(
        &self,
        needs: &Needs<'a>,
        mut request: ReadBatch,
    ) -> Result<(Ground<'a>, ReadSet), Error> {
        let caches = &self.engine.caches;
        let asked = request.gets.len();
        let keyring_keys = self.keyring_keys(needs.accounts);
        let definition_keys: Vec<Key> = needs.definitions.iter().map(|id| self.keys.definition(id)).collect();
        let mut freshness = needs.freshness;
        loop {
            let moment = caches.moment();
            let shared = self.engine.is_shared();
            let mut keyrings = look_up(&caches.keyrings, &keyring_keys, freshness, shared);
            let mut definitions = look_up(&caches.definitions, &definition_keys, freshness, shared);
            request.gets.truncate(asked);
            request.gets.extend(missing(&keyrings, &keyring_keys));
            request.gets.extend(missing(&definitions, &definition_keys));
            if shared {
                request.gets.push(self.keys.epoch());
            }

            // The epoch of a request that takes several reads may be younger than what was read before it.
            let cacheable = !shared || request.fits_one_read();
            let mut set = self.engine.read(&request).await?;
            let mut fetched = set.gets.split_off(asked);
            let tag =
                if shared { Tag::Epoch(fetched.pop().flatten().map(|row| row.revision)) } else { Tag::Sole };
            if is_stale(&keyrings, tag) || is_stale(&definitions, tag) {
                freshness = Freshness::Fresh;
                continue;
            }

            let mut fetched = fetched.into_iter();
            let owners = std::iter::once(None).chain(needs.accounts.iter().copied().map(Some));
            for ((entry, key), owner) in keyrings.iter_mut().zip(&keyring_keys).zip(owners) {
                if let Some(row) = next_missing(entry, &mut fetched) {
                    let keys = Arc::new(self.open_keyring(owner, &row)?);
                    if cacheable {
                        caches.keyrings.insert(caches, moment, key.clone(), Arc::clone(&keys), tag);
                    }
                    *entry = Some((keys, tag));
                }
            }
            let mut keyrings = keyrings.into_iter().map(|entry| entry.map(|(keys, _)| keys));
            let org_keys = keyrings.next().flatten();
            for ((entry, key), id) in definitions.iter_mut().zip(&definition_keys).zip(needs.definitions) {
                if let Some(row) = next_missing(entry, &mut fetched) {
                    let opened = self.open_definition(org_keys.as_ref(), *id, &row)?;
                    let Some(definition) = opened.map(Arc::new) else { continue };
                    if cacheable {
                        caches.definitions.insert(caches, moment, key.clone(), Arc::clone(&definition), tag);
                    }
                    *entry = Some((definition, tag));
                }
            }
            let definitions =
                definitions.into_iter().map(|entry| entry.map(|(definition, _)| definition)).collect();
            let account_keys = keyrings.collect();
            let accounts = needs.accounts;
            return Ok((Ground { definitions, org_keys, accounts, account_keys, tag, moment }, set));
        }
    }

    fn keyring_keys(&self, accounts: &[&LinkedAccountId]) -> Vec<Key> {
        let mut keys = Vec::with_capacity(1 + accounts.len());
        keys.push(self.keys.keyring(None));
        keys.extend(accounts.iter().map(|account| self.keys.keyring(Some(account))));
        keys
    }
}

/// Cached rows with their tags. In a store that is not shared, an entry from a time when it was does not count.
fn look_up<V: Clone>(
    cache: &Cache<V>,
    keys: &[Key],
    freshness: Freshness,
    shared: bool,
) -> Vec<Option<(V, Tag)>> {
    let cached = |key| cache.get(key).filter(|(_, tag)| shared || *tag == Tag::Sole);
    let usable = |key| if freshness == Freshness::Cached { cached(key) } else { None };
    keys.iter().map(usable).collect()
}

fn missing<V>(entries: &[Option<V>], keys: &[Key]) -> impl Iterator<Item = Key> {
    entries.iter().zip(keys).filter(|(entry, _)| entry.is_none()).map(|(_, key)| key.clone())
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
