//! How a vault is made and opened.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use zeroize::Zeroizing;

use super::Vault;
use super::store_row::{FIRST, StoreSheet, check_store_row, store_context};
use crate::cache::Caches;
use crate::clock::{Clock, SystemClock};
use crate::engine::{Engine, Root};
use crate::envelope::{Argon2Params, DekId, StoreId, random};
use crate::error::Error;
use crate::format::PatternCache;
use crate::keyspace::StoreKeys;
use crate::limits::Limits;
use crate::record::{decode_header, encode_header};
use crate::store::{Expect, KeyRange, Page, ReadBatch, Scan, Store, StoreErrorKind, Versioned, WriteBatch};
use crate::tenant::seal_row;
use crate::unlock::Unlock;

/// How to create or open a vault, where the defaults do not fit.
#[derive(Debug)]
pub struct VaultOptions {
    limits: Limits,
    clock: Box<dyn Clock>,
    cache_entries_max: usize,
    cached_key_age_max: Duration,
    pub(super) argon2: Argon2Params,
    pub(super) argon2_ceiling: Argon2Params,
    store_id: Option<String>,
    root_id: Option<DekId>,
}

impl Default for VaultOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            clock: Box::new(SystemClock),
            cache_entries_max: 16_384,
            cached_key_age_max: Duration::from_secs(60 * 60),
            argon2: Argon2Params::default(),
            argon2_ceiling: Argon2Params::CEILING,
            store_id: None,
            root_id: None,
        }
    }
}

impl VaultOptions {
    /// Lowers the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Takes time from `clock`.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Keeps at most this many opened keyrings, and as many definitions, in memory: 16,384 unless set. What was not used
    /// lately goes first, and its keys are wiped.
    #[must_use]
    pub fn cache_entries_max(mut self, entries: usize) -> Self {
        self.cache_entries_max = entries;
        self
    }

    /// Keeps an opened keyring in memory for at most this long after its row was read: an hour unless set. Then its keys
    /// are wiped, at the next verb or at [`Vault::wipe_old_keys`], and unwrapped again where they are needed.
    #[must_use]
    pub fn cached_key_age_max(mut self, age: Duration) -> Self {
        self.cached_key_age_max = age;
        self
    }

    /// What the key derivation of a new passphrase costs.
    #[must_use]
    pub fn argon2(mut self, params: Argon2Params) -> Self {
        self.argon2 = params;
        self
    }

    /// The most that the key derivation of a stored slot may cost; [`Argon2Params::CEILING`] unless set.
    #[must_use]
    pub fn argon2_ceiling(mut self, params: Argon2Params) -> Self {
        self.argon2_ceiling = params;
        self
    }

    /// Refuses to open any store but the one with this [`Vault::store_id`].
    #[must_use]
    pub fn expect_store_id(mut self, store_id: impl Into<String>) -> Self {
        self.store_id = Some(store_id.into());
        self
    }

    /// Refuses to open a vault whose root key is not the one with this [`Vault::root_id`].
    #[must_use]
    pub fn expect_root_id(mut self, root_id: DekId) -> Self {
        self.root_id = Some(root_id);
        self
    }

    /// Makes a new vault in an empty store.
    ///
    /// # Errors
    /// Those of [`Vault::create`], and [`Error::KeyDerivation`] for parameters below the floor.
    pub async fn create(self, store: impl Store, unlock: Unlock) -> Result<Vault, Error> {
        refuse_used(&store).await?;
        let mut store_id = StoreId::default();
        random::fill(&mut store_id)?;
        let mut root = Zeroizing::new([0; 32]);
        random::fill(&mut *root)?;
        let root = Root::new(root);
        let slot = self.new_slot(store_id, &unlock, &root).await?;

        let mut batch = WriteBatch::default();
        let sheet = StoreSheet::new(&root.key, &slot).encode();
        let store_row = seal_row(&root.key, &store_context(&store_id), None, FIRST, &sheet)?;
        for (key, row) in [
            (StoreKeys::header(), encode_header(&store_id)),
            (StoreKeys::slot(&slot.id), slot.encode()),
            (StoreKeys::store_row(), store_row),
        ] {
            batch.expect(key.clone(), Expect::Absent);
            batch.put(key, row);
        }
        match store.commit(Arc::new(batch)).await {
            Ok(_) => Ok(self.assemble(store, store_id, root)),
            Err(error) => Err(match error.kind() {
                StoreErrorKind::Conflict { .. } => Error::AlreadyInitialised,
                StoreErrorKind::Indeterminate => Error::Indeterminate(error),
                _ => error.into(),
            }),
        }
    }

    /// Opens the vault of a store.
    ///
    /// # Errors
    /// Those of [`Vault::open`], [`Error::UnexpectedVault`] when an expected id differs, and
    /// [`Error::KeyDerivation`] when a slot asks for more than the ceiling.
    pub async fn open(self, store: impl Store, unlock: Unlock) -> Result<Vault, Error> {
        let (store_id, store_row, slots) = read_head(&store).await?;
        if self.store_id.as_ref().is_some_and(|expected| *expected != hex::encode(store_id)) {
            return Err(Error::UnexpectedVault);
        }
        let root = Root::new(self.open_slots(&store_id, &slots, &unlock).await?);
        if self.root_id.is_some_and(|expected| expected != *root.key.id()) {
            return Err(Error::UnexpectedVault);
        }
        check_store_row(&store_id, &root.key, store_row.as_ref())?;
        Ok(self.assemble(store, store_id, root))
    }

    fn assemble(self, store: impl Store, store_id: StoreId, root: Root) -> Vault {
        let engine = Engine {
            store: Box::new(store),
            store_id,
            root,
            caches: Caches::new(self.cache_entries_max, self.cached_key_age_max),
            patterns: PatternCache::new(PATTERN_CACHE_BYTES),
            limits: self.limits,
            clock: self.clock,
            abandoned: AtomicBool::new(false),
        };
        Vault { engine: Arc::new(engine) }
    }
}

/// The header, the `store` row and the slots; an error where there is no vault.
async fn read_head(store: &impl Store) -> Result<(StoreId, Option<Versioned>, Page), Error> {
    let request = ReadBatch {
        gets: vec![StoreKeys::header(), StoreKeys::store_row()],
        scans: vec![Scan::new(StoreKeys::slots(), SLOTS_MAX), Scan::new(KeyRange::all(), 1).keys_only()],
    };
    let mut set = store.read(&request).await?;
    let any_row = set.scans.pop().is_some_and(|page| !page.rows.is_empty());
    let slots = set.scans.pop().unwrap_or_default();
    let store_row = set.gets.pop().flatten();
    let Some(header) = set.gets.pop().flatten() else {
        return Err(if any_row { Error::ForeignStore } else { Error::NotInitialised });
    };
    let store_id = decode_header(&header.value).map_err(|error| Error::row("the store's header", error))?;
    Ok((store_id, store_row, slots))
}

async fn refuse_used(store: &impl Store) -> Result<(), Error> {
    match read_head(store).await {
        Err(Error::NotInitialised) => Ok(()),
        Ok(_) => Err(Error::AlreadyInitialised),
        Err(error) => Err(error),
    }
}

const PATTERN_CACHE_BYTES: usize = 8 << 20;
/// Eight of each provider. A store with more was tampered with, and each could cost a key derivation.
const SLOTS_MAX: usize = 16;
