//! A vault: one store, opened with a key.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use crate::cache::Caches;
use crate::clock::{Clock, SystemClock};
use crate::engine::{Engine, Root};
use crate::envelope::{
    Argon2Params, Context, DekId, Kind, Provider, SealingKey, Slot, SlotError, StoreId, random,
};
use crate::error::{Damage, Error};
use crate::format::PatternCache;
use crate::id::{Environment, OrgId};
use crate::keyspace::StoreKeys;
use crate::limits::Limits;
use crate::model::Revision;
use crate::org::Org;
use crate::record::{RowError, RowKind, SealedRow, decode_header, encode_header};
use crate::store::{
    Expect, Key, KeyRange, Page, ReadBatch, Scan, Store, StoreErrorKind, Versioned, WriteBatch,
};
use crate::tenant::seal_row;
use crate::unlock::Unlock;

/// An opened vault. Cheap to clone; every clone is the same vault.
///
/// One vault belongs to one store: open it once and clone the handle. A store that several engines open at the
/// same time says so in its [`Capabilities`](crate::store::Capabilities).
#[derive(Debug, Clone)]
pub struct Vault {
    pub(crate) engine: Arc<Engine>,
}

impl Vault {
    /// Makes a new vault in an empty store, with the default options.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use strongroom_memory::MemoryStore;
    /// use strongroom::{Environment, RawKey, Unlock, Vault};
    ///
    /// let key = RawKey::generate()?;
    /// let vault = Vault::create(MemoryStore::new(), Unlock::raw_key(key)).await?;
    /// let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// # let _ = org;
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::AlreadyInitialised`] when the store holds a vault, [`Error::ForeignStore`] when it holds anything
    /// else, [`Error::Store`] when it fails.
    pub async fn create(store: impl Store, unlock: Unlock) -> Result<Self, Error> {
        VaultOptions::default().create(store, unlock).await
    }

    /// Opens the vault of a store, with the default options.
    ///
    /// # Errors
    /// [`Error::NotInitialised`] on an empty store, [`Error::ForeignStore`] on one that holds no vault,
    /// [`Error::WrongKey`] and [`Error::NoSuchSlot`] for a key that is not this vault's, [`Error::Damaged`] and
    /// [`Error::UnknownVersion`] for rows that cannot be read. Nothing is ever written.
    pub async fn open(store: impl Store, unlock: Unlock) -> Result<Self, Error> {
        VaultOptions::default().open(store, unlock).await
    }

    /// The handle of one org in one environment. No I/O: an org comes to be with its first write.
    #[must_use]
    pub fn org(&self, org: OrgId, environment: Environment) -> Org {
        Org::new(Arc::clone(&self.engine), org, environment)
    }

    /// The id of the store, as 32 hexadecimal digits: what [`VaultOptions::expect_store_id`] takes.
    #[must_use]
    pub fn store_id(&self) -> String {
        hex::encode(self.engine.store_id)
    }

    /// The public id of the root key: what [`VaultOptions::expect_root_id`] takes.
    #[must_use]
    pub fn root_id(&self) -> DekId {
        *self.engine.root.key.id()
    }

    /// Waits for what was accepted, makes it durable and closes the store. Every later call fails.
    ///
    /// # Errors
    /// [`Error::Store`] with whatever kept the last write from being durable.
    pub async fn close(&self) -> Result<(), Error> {
        Ok(self.engine.store.close().await?)
    }
}

/// How to create or open a vault, where the defaults do not fit.
#[derive(Debug)]
pub struct VaultOptions {
    limits: Limits,
    clock: Box<dyn Clock>,
    cache_entries_max: usize,
    argon2: Argon2Params,
    argon2_ceiling: Argon2Params,
    store_id: Option<String>,
    root_id: Option<DekId>,
}

impl Default for VaultOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            clock: Box::new(SystemClock),
            cache_entries_max: 16_384,
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

    /// Keeps at most this many opened keyrings, and as many definitions, in memory: 16,384 unless set.
    #[must_use]
    pub fn cache_entries_max(mut self, entries: usize) -> Self {
        self.cache_entries_max = entries;
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

    async fn new_slot(&self, store_id: StoreId, unlock: &Unlock, root: &Root) -> Result<Slot, Error> {
        let provider = unlock.new_provider(self.argon2)?;
        let base = unlock.base(&provider).await?.ok_or(Error::WrongKey)?;
        let mut id = [0; 16];
        random::fill(&mut id)?;
        Ok(Slot::seal(id, store_id, provider, &base, &root.bytes)?)
    }

    /// The root key from the first slot that `unlock` opens.
    pub(crate) async fn open_slots(
        &self,
        store_id: &StoreId,
        slots: &Page,
        unlock: &Unlock,
    ) -> Result<Zeroizing<[u8; 32]>, Error> {
        if slots.more {
            return Err(Error::damaged("the list of key slots", Damage::Inconsistent));
        }
        let mut refusal = None;
        for (key, row) in &slots.rows {
            match self.open_slot(store_id, key, row, unlock).await {
                Ok(root) => return Ok(root),
                Err(error) => refusal = Some(worse(refusal, error)),
            }
        }
        Err(refusal.unwrap_or_else(|| Error::damaged("the key slot", Damage::Missing)))
    }

    async fn open_slot(
        &self,
        store_id: &StoreId,
        key: &Key,
        row: &Versioned,
        unlock: &Unlock,
    ) -> Result<Zeroizing<[u8; 32]>, Error> {
        let slot = Slot::decode(&row.value).map_err(|error| Error::row("the key slot", error))?;
        if slot.store_id != *store_id || StoreKeys::slot(&slot.id) != *key {
            return Err(Error::damaged("the key slot", Damage::Inconsistent));
        }
        if let Provider::Passphrase { params, .. } = &slot.provider {
            params.check_ceiling(&self.argon2_ceiling)?;
        }
        let Some(base) = unlock.base(&slot.provider).await? else {
            return Err(Error::NoSuchSlot(slot.provider.name()));
        };
        slot.open(&base).map_err(|error| match error {
            SlotError::WrongKey => Error::WrongKey,
            SlotError::Damaged => Error::damaged("the key slot", Damage::Rejected),
            SlotError::UnknownVersion(version) => {
                Error::UnknownVersion { row: "the key slot".to_owned(), version }
            }
        })
    }

    pub(crate) fn assemble(self, store: impl Store, store_id: StoreId, root: Root) -> Vault {
        let engine = Engine {
            store: Box::new(store),
            store_id,
            root,
            caches: Caches::new(self.cache_entries_max),
            patterns: PatternCache::new(PATTERN_CACHE_BYTES),
            limits: self.limits,
            clock: self.clock,
            abandoned: AtomicBool::new(false),
        };
        Vault { engine: Arc::new(engine) }
    }
}

/// What must not be downgraded, sealed under the root key.
#[derive(Encode, Decode)]
#[cbor(map)]
struct StoreSheet {
    #[cbor(n(0), with = "minicbor::bytes")]
    root_id: [u8; 16],
    /// Whether a digest of all rows is kept, and over how many shards: not in this version.
    #[n(1)]
    digest: bool,
    #[n(2)]
    digest_shards: u16,
    /// Records of a lower suite are not accepted.
    #[n(3)]
    min_suite: u8,
    /// Which slots ever held which root.
    #[n(4)]
    slots: Vec<SlotHistory>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct SlotHistory {
    #[cbor(n(0), with = "minicbor::bytes")]
    slot_id: [u8; 16],
    #[n(1)]
    provider: u8,
    #[cbor(n(2), with = "minicbor::bytes")]
    root_id: [u8; 16],
}

impl StoreSheet {
    fn new(root: &SealingKey, slot: &Slot) -> Self {
        let root_id = *root.id().as_bytes();
        let history = SlotHistory { slot_id: slot.id, provider: slot.provider.tag(), root_id };
        Self { root_id, digest: false, digest_shards: 0, min_suite: SUITE, slots: vec![history] }
    }

    fn encode(&self) -> Vec<u8> {
        let mut plaintext = Vec::new();
        crate::record::infallible(minicbor::encode(self, &mut plaintext));
        plaintext
    }
}

/// The header, the `store` row and the slots; an error where there is no vault.
async fn read_head(store: &impl Store) -> Result<(StoreId, Option<Versioned>, Page), Error> {
    let request = ReadBatch {
        gets: vec![StoreKeys::header(), StoreKeys::store_row(), StoreKeys::arrival()],
        scans: vec![Scan::new(StoreKeys::slots(), SLOTS_MAX), Scan::new(KeyRange::all(), 1).keys_only()],
    };
    let mut set = store.read(&request).await?;
    let any_row = set.scans.pop().is_some_and(|page| !page.rows.is_empty());
    let slots = set.scans.pop().unwrap_or_default();
    let arrival = set.gets.pop().flatten();
    let store_row = set.gets.pop().flatten();
    let Some(header) = set.gets.pop().flatten() else {
        return Err(match (arrival, any_row) {
            (Some(_), _) => Error::Unfinished,
            (None, true) => Error::ForeignStore,
            (None, false) => Error::NotInitialised,
        });
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

fn check_store_row(store_id: &StoreId, root: &SealingKey, row: Option<&Versioned>) -> Result<(), Error> {
    let name = "the sealed `store` row";
    let row = row.ok_or_else(|| Error::damaged(name, Damage::Missing))?;
    let sealed = SealedRow::decode(RowKind::Sealed, &row.value).map_err(|error| Error::row(name, error))?;
    let context = Context { revision: sealed.revision.as_u64(), ..store_context(store_id) };
    let plaintext = root.open(&context, sealed.record).map_err(|error| Error::open(name, error))?;
    let decoded = minicbor::decode(&plaintext).map_err(RowError::from);
    let sheet: StoreSheet = decoded.map_err(|error| Error::row(name, error))?;
    if sheet.root_id != *root.id().as_bytes() {
        return Err(Error::damaged(name, Damage::Inconsistent));
    }
    if sheet.min_suite > SUITE {
        return Err(Error::UnknownVersion { row: name.to_owned(), version: sheet.min_suite });
    }
    Ok(())
}

fn store_context(store_id: &StoreId) -> Context<'_> {
    Context {
        kind: Kind::Row,
        store_id,
        org: "",
        environment: "",
        linked_account: None,
        workflow: None,
        name: "store",
        key_name: "",
        doc_id: "",
        revision: FIRST.as_u64(),
    }
}

/// Of two slots that did not open, the one whose reason tells more: damage, then a wrong key, then another kind.
fn worse(known: Option<Error>, new: Error) -> Error {
    let rank = |error: &Error| match error {
        Error::NoSuchSlot(_) => 0,
        Error::WrongKey => 1,
        _ => 2,
    };
    match known {
        Some(known) if rank(&known) >= rank(&new) => known,
        _ => new,
    }
}

const FIRST: Revision = Revision::from_u64(1);
const SUITE: u8 = 1;
const PATTERN_CACHE_BYTES: usize = 8 << 20;
/// Eight of each provider. A store with more was tampered with, and each could cost a key derivation.
const SLOTS_MAX: usize = 16;
