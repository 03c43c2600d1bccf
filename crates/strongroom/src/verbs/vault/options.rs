//! How a vault is created and opened.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::engine::cache::Caches;
use crate::engine::chains::Chains;
use crate::engine::gate::{Gate, Pass};
use crate::engine::head::{Head, read_head, refuse_unasked, refuse_used};
use crate::engine::observer::Observer;
use crate::engine::open_slot::OpenedSlot;
use crate::engine::tally::Tallies;
use crate::engine::turns::Turns;
use crate::engine::watch::Watchers;
use crate::engine::{Engine, Kept, Runs};
use crate::envelope::{Argon2Bounds, Argon2Params, DekId, KeyMaterial, StoreId};
use crate::error::{Damage, Error, WrongStore};
use crate::format::{CustomFormat, CustomFormats, Formats};
use crate::keys::{FIRST, Root, RootCell, Roots, SlotPlace, StoreBody, Unlock};
use crate::limits::{HISTORY_VERSIONS_MAX, Limits, Quotas};
use crate::model::{Mark, Settings, SlotId};
use crate::random;
use crate::row::{Row, VaultRow, encode_header};
use crate::store::{Durability, Expect, Key, Store, StoreErrorKind, WriteBatch};
use crate::verbs::vault::Vault;

/// Options to create or open a vault.
#[derive(Debug)]
pub struct VaultOptions {
    limits: Limits,
    quotas: Quotas,
    history_versions: u8,
    clock: Box<dyn Clock>,
    observer: Option<Arc<dyn Observer>>,
    custom_formats: CustomFormats,
    cache_entries_max: usize,
    cached_key_age_max: Duration,
    cached_runs_bytes_max: usize,
    argon2: Argon2Params,
    argon2_ceiling: Argon2Params,
    pub(crate) upgrades_slots: bool,
    store_id: Option<String>,
    root_id: Option<DekId>,
    mark: Option<Mark>,
    durability: Option<Durability>,
    follows_roots: bool,
    kept: Option<Unlock>,
    /// The slot that opened the vault.
    slot: Option<SlotId>,
    /// The settings of a vault that is created or restored.
    pub(crate) settings: Settings,
}

impl Default for VaultOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            quotas: Quotas::default(),
            history_versions: 0,
            clock: Box::new(SystemClock),
            observer: None,
            custom_formats: CustomFormats::default(),
            cache_entries_max: 16_384,
            cached_key_age_max: Duration::from_secs(60 * 60),
            cached_runs_bytes_max: 16 << 20,
            argon2: Argon2Params::default(),
            argon2_ceiling: Argon2Params::CEILING,
            upgrades_slots: true,
            store_id: None,
            root_id: None,
            mark: None,
            durability: None,
            follows_roots: false,
            kept: None,
            slot: None,
            settings: Settings::default(),
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

    /// How much each account and each org may store, instead of the defaults of [`Quotas`].
    #[must_use]
    pub fn quotas(mut self, quotas: Quotas) -> Self {
        self.quotas = quotas;
        self
    }

    /// Keeps the last `count` former versions of each value, credential and definition, at most 100, unless a
    /// definition sets another number for itself and its values. The default is 0: none. Versions kept earlier stay
    /// until the document is deleted.
    ///
    /// An update then writes one row more, and deletes one.
    #[must_use]
    pub fn history_versions(mut self, count: u8) -> Self {
        self.history_versions = count.min(HISTORY_VERSIONS_MAX);
        self
    }

    /// The source of time.
    pub(crate) fn time(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Uses `clock` as the source of time.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Calls `observer` for every verb on an org's data. Without one, nothing is measured.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Registers the check of a [`VarFormat::Custom`](crate::VarFormat::Custom), which returns the rule that a value
    /// breaks, as a sentence. It runs in every write of such a value, so it should be quick, and must not panic.
    ///
    /// Definitions store only the name. A vault opened without the check reads, resolves, rotates, copies and verifies
    /// such values, but refuses to define or change a variable of the format and to set a value of it.
    ///
    /// ```
    /// use strongroom::{VarFormat, VariableDefinition, VaultOptions};
    /// let is_even = |value: &str| match value.parse::<u64>() {
    ///     Ok(number) if number % 2 == 0 => Ok(()),
    ///     _ => Err("an even number is required"),
    /// };
    /// let options = VaultOptions::default().custom_format("even".parse()?, is_even);
    /// let workers = VariableDefinition::new("WORKERS", VarFormat::Custom("even".parse()?));
    /// # Ok::<(), strongroom::format::BadFormat>(())
    /// ```
    #[must_use]
    pub fn custom_format(
        mut self,
        format: CustomFormat,
        check: impl Fn(&str) -> Result<(), &'static str> + Send + Sync + 'static,
    ) -> Self {
        self.custom_formats.insert(format, check);
        self
    }

    /// Keeps at most this many opened keyrings, and as many definitions, in memory: 16,384 unless set. The least used
    /// are dropped first, and their keys are wiped.
    #[must_use]
    pub fn cache_entries_max(mut self, entries: usize) -> Self {
        self.cache_entries_max = entries;
        self
    }

    /// Keeps an opened keyring in memory for at most this long after its row was read: an hour unless set. Then the
    /// next verb or [`Vault::wipe_old_keys`] wipes its keys. They are read and opened again when needed.
    #[must_use]
    pub fn cached_key_age_max(mut self, age: Duration) -> Self {
        self.cached_key_age_max = age;
        self
    }

    /// Keeps what runs see in at most this many bytes: 16 MiB unless set, which is about 2,500 runs of 50 values. 0
    /// turns it off. From the second [`resolve_all`](crate::Org::resolve_all) of a path on, its values stay in memory,
    /// sealed under keys that are written nowhere. They are served from there until a definition, a value or a key of
    /// the org, or of any of its accounts, is written. They are dropped and their keys wiped by such a write, by a
    /// lock, after [`cached_key_age_max`](Self::cached_key_age_max), and when others need the space. On a
    /// [shared](crate::store::Capabilities::shared) store nothing is kept.
    #[must_use]
    pub fn cached_runs_bytes_max(mut self, bytes: usize) -> Self {
        self.cached_runs_bytes_max = bytes;
        self
    }

    /// The cost of deriving a key from a passphrase: for new slots, and for cheaper slots once they were opened.
    #[must_use]
    pub fn argon2(mut self, params: Argon2Params) -> Self {
        self.argon2 = params;
        self
    }

    /// The highest cost of a stored slot that is still opened; [`Argon2Params::CEILING`] unless set.
    #[must_use]
    pub fn argon2_ceiling(mut self, params: Argon2Params) -> Self {
        self.argon2_ceiling = params;
        self
    }

    /// Does not raise the cost of a passphrase's slot to [`argon2`](Self::argon2) when it opens the vault, so that
    /// opening never writes.
    #[must_use]
    pub fn without_slot_upgrade(mut self) -> Self {
        self.upgrades_slots = false;
        self
    }

    /// Refuses to open a store with another id than this [`Vault::store_id`].
    #[must_use]
    pub fn expect_store_id(mut self, store_id: impl Into<String>) -> Self {
        self.store_id = Some(store_id.into());
        self
    }

    /// Refuses to open a vault with another root key than that of this [`Vault::root_id`].
    #[must_use]
    pub fn expect_root_id(mut self, root_id: DekId) -> Self {
        self.root_id = Some(root_id);
        self
    }

    /// Refuses to open a store older than `mark`, which [`Vault::mark`] returned: an older copy of it.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use std::sync::Arc;
    /// use strongroom::{Error, RawKey, Unlock, Vault, VaultOptions};
    /// let (key, store) = (|| Unlock::raw_key(RawKey::from_bytes([7; 32])), strongroom_memory::MemoryStore::new);
    /// let mark = Vault::create(store(), key()).await?.mark().await?;
    /// let other = Arc::new(store());
    /// Vault::create(Arc::clone(&other), key()).await?;
    /// let opened = VaultOptions::default().expect_at_least(mark).open(other, key()).await;
    /// assert!(matches!(opened.err(), Some(Error::WrongStore(_)))); // it is another store's
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn expect_at_least(mut self, mark: Mark) -> Self {
        self.mark = Some(mark);
        self
    }

    /// Takes up a root key that another process makes active, if the key that opened this vault opens it too, so that
    /// every handle keeps working. Otherwise, and always without this option, verbs fail with [`Error::RootRotated`]
    /// until the host opens the vault again. For vaults that several processes have open.
    ///
    /// The passphrase, raw key or key provider stays in memory until the vault is dropped or
    /// [locked](Vault::lock). The first verb that finds the root rotated opens the slot, which costs a key derivation
    /// for a passphrase; the others wait for it. With [`expect_root_id`](Self::expect_root_id) nothing is taken up.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use strongroom::{Environment, RawKey, RootRotation, Unlock, VaultOptions};
    /// let (store, key) = (std::sync::Arc::new(strongroom_memory::MemoryStore::new()), RawKey::generate()?);
    /// let key = Unlock::raw_key(key);
    /// let here = VaultOptions::default().follow_root_rotations().create(store.clone(), key.clone()).await?;
    /// let elsewhere = VaultOptions::default().open(store, key.clone()).await?;
    /// elsewhere.rotate_root(RootRotation::new().keep(key)).await?.job.run().await?;
    /// let org = here.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    /// assert!(org.create_account("user_12345".parse()?).await.is_ok());
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn follow_root_rotations(mut self) -> Self {
        self.follows_roots = true;
        self
    }

    /// Accepts a store whose acknowledged writes survive only this: the store that the vault is created in, opened
    /// from, restored into, or copied to. Without it, a store with [`Durability::ProcessCrash`] is refused.
    #[must_use]
    pub fn accept_durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// The settings of a new vault. A vault that is opened or restored keeps its settings: [`Vault::change_settings`]
    /// changes them.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Creates a vault in an empty store.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use strongroom::{Argon2Params, Limits, Unlock, VaultOptions};
    /// let options = VaultOptions::default()
    ///     .limits(Limits::default().value_bytes_max(4 << 10))
    ///     .argon2(Argon2Params::FLOOR); // the cheapest allowed setting, for tests
    /// let store = strongroom_memory::MemoryStore::new();
    /// let vault = options.create(store, Unlock::passphrase("six words from a generator")).await?;
    /// assert_eq!(vault.slots().list().await?.len(), 1);
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`Vault::create`], [`WrongStore::OtherVault`](crate::WrongStore::OtherVault) if an id, root or mark is
    /// expected, [`Error::KeyDerivation`] for parameters out of bounds, and [`Error::Provider`] if the key provider
    /// fails.
    pub async fn create(mut self, store: impl Store, unlock: Unlock) -> Result<Vault, Error> {
        self.refuse_unasked(&store)?;
        refuse_used(&store).await?;
        let (store_id, roots, pass, slot) = self.write_new_vault(&store, &unlock).await?;
        self.keep(unlock, slot);
        Ok(self.assemble(store, store_id, roots, Some(pass)))
    }

    /// Opens the vault of a store, or creates one if the store is empty.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use strongroom::{Argon2Params, Unlock, VaultOptions};
    /// let options = VaultOptions::default().argon2(Argon2Params::FLOOR); // the cheapest allowed setting, for tests
    /// let store = strongroom_memory::MemoryStore::new();
    /// let vault = options.open_or_create(store, Unlock::passphrase("six words from a generator")).await?;
    /// # vault.close().await?;
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`Vault::open_or_create`]; [`WrongStore::OtherVault`] for an empty store if a vault was expected.
    pub async fn open_or_create(mut self, store: impl Store, unlock: Unlock) -> Result<Vault, Error> {
        self.refuse_unasked(&store)?;
        if let Err(Error::WrongStore(WrongStore::NoVault)) = read_head(&store).await {
            match self.write_new_vault(&store, &unlock).await {
                Ok((store_id, roots, pass, slot)) => {
                    self.keep(unlock, slot);
                    return Ok(self.assemble(store, store_id, roots, Some(pass)));
                }
                // Another caller was faster: open what it created.
                Err(Error::WrongStore(WrongStore::HoldsVault)) => {}
                Err(error) => return Err(error),
            }
        }
        self.open(store, unlock).await
    }

    async fn write_new_vault(
        &self,
        store: &dyn Store,
        unlock: &Unlock,
    ) -> Result<(StoreId, Roots, Pass, SlotId), Error> {
        // A new vault has new ids, so nothing expected can match it.
        if self.store_id.is_some() || self.root_id.is_some() || self.mark.is_some() {
            return Err(Error::WrongStore(WrongStore::OtherVault));
        }
        let NewVault { store_id, root, slot, rows } = self.new_vault(unlock).await?;
        let mut batch = WriteBatch::default();
        let header = (VaultRow::Header.key(), encode_header(&store_id));
        for (key, row) in [header].into_iter().chain(rows) {
            // If two callers create at once, one of them fails.
            batch.expect(key.clone(), Expect::Absent);
            batch.put(key, row);
        }
        match store.commit(Arc::new(batch)).await {
            Ok(committed) => {
                let pass = Pass { header: committed.revision, settings: self.settings };
                Ok((store_id, Roots::first(root, committed.revision), pass, slot))
            }
            Err(error) => Err(match error.kind() {
                StoreErrorKind::Conflict { .. } => Error::WrongStore(WrongStore::HoldsVault),
                StoreErrorKind::Indeterminate => Error::Indeterminate(error),
                _ => error.into(),
            }),
        }
    }

    /// Opens the vault of a store.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use std::sync::Arc;
    /// use strongroom::{Error, RawKey, Unlock, Vault, VaultOptions, WrongStore};
    /// let key = || Unlock::raw_key(RawKey::from_bytes([7; 32])); // of a key file, say
    /// let store = Arc::new(strongroom_memory::MemoryStore::new());
    /// let id = Vault::create(Arc::clone(&store), key()).await?.store_id();
    /// VaultOptions::default().expect_store_id(&id).open(Arc::clone(&store), key()).await?;
    /// let other = VaultOptions::default().expect_store_id("another").open(store, key()).await;
    /// assert!(matches!(other.err(), Some(Error::WrongStore(WrongStore::OtherVault))));
    /// # Ok::<(), strongroom::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of [`Vault::open`]; [`WrongStore::OtherVault`](crate::WrongStore::OtherVault) if an expected id differs,
    /// or the mark is another store's, and [`Error::Damaged`] if then the slots name the expected one;
    /// [`Error::RolledBack`] if the store is older than the mark.
    pub async fn open(mut self, store: impl Store, unlock: Unlock) -> Result<Vault, Error> {
        self.refuse_unasked(&store)?;
        let head = read_head(&store).await?;
        // Before a key is used: a wrong store should not cost a key derivation or a call to a provider.
        self.refuse_other(&head)?;
        let OpenedSlot { slot, row_revision: row, root } =
            head.open_slots(&unlock, &self.argon2_bounds()).await?;
        let root = Root::new(root);
        if self.root_id.is_some_and(|expected| expected != *root.key.id()) {
            return Err(Error::WrongStore(WrongStore::OtherVault));
        }
        let store_row = head.open_store_row(&root.key)?;
        // The sealed list of slots decides: a slot that was removed may be put back by a hostile store.
        if store_row.body.held(slot).is_none() {
            return Err(Error::damaged(slot.row_name(), Damage::Inconsistent));
        }
        if let Some(mark) = self.mark {
            store_row.body.refuse_before(mark.count)?;
        }
        let (roots, pass) = (Roots::new(Arc::clone(&root), &store_row), head.pass(&store_row)?);
        let moved = match pass {
            Some(pass) => self.upgrade_slot(&store, &unlock, (slot, row, pass), (store_row, &root)).await,
            None => None,
        };
        let read = roots.store_revision;
        let (roots, revision) = match moved {
            Some(row) => (roots.at(row), read.next()),
            None => (roots, read),
        };
        self.keep(unlock, SlotId::from_bytes(slot.place.id));
        let vault = self.assemble(store, head.store_id, roots, pass);
        vault.engine.caches.wrote(&VaultRow::Store.key(), revision);
        Ok(vault)
    }

    /// Notes which slot opens the vault, and keeps the key if rotations of the root are to be followed.
    pub(crate) fn keep(&mut self, unlock: Unlock, slot: SlotId) {
        self.slot = Some(slot);
        self.kept = Some(unlock).filter(|_| self.follows_roots && self.root_id.is_none());
    }

    /// Refuses a store whose durability was not asked for.
    pub(crate) fn refuse_unasked(&self, store: &dyn Store) -> Result<(), Error> {
        refuse_unasked(store, self.durability)
    }

    /// Refuses the head of a vault other than the expected one. If the slots are of the expected one, its header was
    /// altered.
    fn refuse_other(&self, head: &Head) -> Result<(), Error> {
        let is_expected = |id: &StoreId| {
            self.store_id.as_ref().is_none_or(|expected| *expected == hex::encode(id))
                && self.mark.is_none_or(|mark| mark.store_id == *id)
        };
        if is_expected(&head.store_id) {
            return Ok(());
        }
        Err(match head.has_only_slots_of(is_expected) {
            true => Error::damaged(Row::Vault(VaultRow::Header).name(), Damage::Inconsistent),
            false => Error::WrongStore(WrongStore::OtherVault),
        })
    }

    /// The root key of a backup of one org. Such a file has no `store` row to check against, and only one slot, which
    /// was made with the file.
    pub(crate) async fn open_file_root(&self, head: &Head, unlock: &Unlock) -> Result<Roots, Error> {
        let OpenedSlot { root, row_revision: row, .. } =
            head.open_slots(unlock, &self.argon2_bounds()).await?;
        Ok(Roots::first(Root::new(root), row))
    }

    /// Refuses a file whose vault is not the expected one, as far as its root is known.
    pub(crate) fn refuse_file_of_other(&self, store_id: &StoreId, root: Option<&DekId>) -> Result<(), Error> {
        let is_other = self.store_id.as_ref().is_some_and(|expected| *expected != hex::encode(store_id))
            || self.mark.is_some_and(|mark| mark.store_id != *store_id)
            || root.is_some_and(|root| self.root_id.is_some_and(|expected| expected != *root));
        if is_other { Err(Error::WrongStore(WrongStore::OtherVault)) } else { Ok(()) }
    }

    /// The rows of a new vault, except its header.
    pub(crate) async fn new_vault(&self, unlock: &Unlock) -> Result<NewVault, Error> {
        let mut store_id = StoreId::default();
        random::fill(&mut store_id)?;
        let mut root = KeyMaterial::default();
        random::fill(&mut **root)?;
        let root = Root::new(root);
        let params = unlock.argon2_params(&self.argon2_bounds())?;
        let slot = unlock.seal_slot(SlotPlace::generate(store_id)?, &root.bytes, params).await?;
        let mut body = StoreBody::new(root.key.id());
        body.set_settings(self.settings);
        body.hold(&slot, Timestamp::from_ms(self.clock.now_ms()))?;
        let store_row = body.seal(&store_id, &root.key, FIRST)?;
        let rows =
            vec![(VaultRow::Slot(slot.place.id).key(), slot.encode()), (VaultRow::Store.key(), store_row)];
        Ok(NewVault { store_id, root, slot: SlotId::from_bytes(slot.place.id), rows })
    }

    pub(crate) fn argon2_bounds(&self) -> Argon2Bounds {
        Argon2Bounds { today: self.argon2, ceiling: self.argon2_ceiling }
    }

    pub(crate) fn assemble(
        self,
        store: impl Store,
        store_id: StoreId,
        roots: Roots,
        pass: Option<Pass>,
    ) -> Vault {
        // Check for other writers before the first read too: their batches may land after they are gone.
        let runs_bytes_max = if store.capabilities().shared { 0 } else { self.cached_runs_bytes_max };
        let gate = Gate::new(pass, roots.store_revision);
        let engine = Engine {
            store: Box::new(store),
            store_id,
            roots: Arc::new(RootCell::new(roots)),
            caches: Caches::new(self.cache_entries_max, runs_bytes_max, self.cached_key_age_max),
            argon2: self.argon2_bounds(),
            formats: Arc::new(Formats::new(PATTERN_CACHE_BYTES, self.custom_formats)),
            limits: self.limits,
            durability: self.durability,
            tallies: Arc::new(Tallies::new(self.quotas, self.cache_entries_max)),
            history_versions: self.history_versions,
            kept: Arc::new(Kept::of(self.kept, self.slot)),
            clock: self.clock.into(),
            latest_id: Arc::default(),
            observer: self.observer,
            abandoned: AtomicBool::new(false),
            gate,
            locks: Arc::default(),
            runs: Runs::default(),
            chains: Chains::default(),
            turns: Turns::default(),
            lookouts: Turns::default(),
            watchers: Watchers::default(),
            plan: None,
        };
        Vault { engine: Arc::new(engine) }
    }
}

/// A vault whose rows are not yet written.
pub(crate) struct NewVault {
    pub(crate) store_id: StoreId,
    pub(crate) root: Arc<Root>,
    pub(crate) slot: SlotId,
    pub(crate) rows: Vec<(Key, Vec<u8>)>,
}

const PATTERN_CACHE_BYTES: usize = 8 << 20;
