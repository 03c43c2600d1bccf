//! The vault of a command: opened, used, closed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};

use strongroom::store::{KeyRange, ReadBatch, Scan};
use strongroom::{
    AuditNote, Environment, Error, ErrorKind, Org, OrgId, RawKey, Store, Unlock, Vault, VaultOptions,
    WrongStore,
};
use strongroom_http::{MeasuredStore, Metrics};
use strongroom_socket::{Door, DoorStore};

use crate::config::Config;
use crate::failure::Failure;
use crate::keys;
use crate::marks::KeptMark;
use crate::output::Output;
#[cfg(unix)]
use crate::store::door;
use crate::store::noticed::NoticedStore;
use crate::suggest;

/// An open vault and the org that the command works on.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) vault: Vault,
    pub(crate) org: Org,
    pub(crate) mark: KeptMark,
    writes: bool,
    /// Whether anything was written, even if the command failed since.
    wrote: Arc<AtomicBool>,
    /// Through it, commands reach a store that `serve` has open.
    door: Option<Door>,
}

impl Session {
    /// Opens the existing vault. A store in memory gets a new one each time.
    pub(crate) async fn open(config: &Config, output: &Output) -> Result<Self, Failure> {
        if !config.store.is_kept() {
            output.warn("a store in memory is gone when this command ends");
            return Self::create(config, || keys::for_vault_in_memory(config, output)).await;
        }
        Self::refuse_absent(config)?;
        // A passphrase is typed before the store is opened, so that no other process waits for the typing. But a
        // problem with the store is reported first, since no key helps then.
        let unlock = keys::existing(config, output);
        let store = config.store.open_existing(config.access())?;
        Self::open_with(config, store, unlock?, output).await
    }

    /// Works on the existing vault, which is closed afterwards even if the work failed.
    pub(crate) async fn with<T>(
        config: &Config,
        output: &Output,
        work: impl AsyncFnOnce(&Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let session = Self::open(config, output).await?;
        let done = work(&session).await;
        session.finish(done, output).await
    }

    /// Fails if there is no store.
    pub(crate) fn refuse_absent(config: &Config) -> Result<(), Failure> {
        if config.store.is_missing() {
            KeptMark::of(config)?.refuse_gone(&config.store, "is gone")?;
        }
        config.store.refuse_absent()
    }

    /// Opens the vault of this store with `unlock`.
    pub(crate) async fn open_with(
        config: &Config,
        store: impl Store,
        unlock: Unlock,
        output: &Output,
    ) -> Result<Self, Failure> {
        let mut mark = KeptMark::of(config)?;
        let wrote = Arc::new(AtomicBool::new(false));
        let store = NoticedStore::new(store, &wrote);
        let opened = mark.guard(options(config)).open(store, unlock).await;
        let vault = opened_here(opened, config, &mark)?;
        mark.accept(config, &vault, output).await;
        warn_if_moved(&vault, output).await?;
        // Until the store is closed, so that nobody waits for it while somebody reads in `less`. The result of a write
        // waits for the mark too: whoever sees it may rely on it.
        output.hold(if config.writes { usize::MAX } else { READ_BYTES_HELD_MAX });
        // Accepting the mark does not count as a write of the command.
        wrote.store(false, Ordering::Relaxed);
        let session = Self { wrote, ..Self::of(vault, config, mark) };
        // The default org may have nothing at first.
        if config.expects_org && !config.has_default_org() {
            let known = suggest::refuse_unknown_org(&session.vault, &session.org).await;
            if let Err(unknown) = known {
                session.vault.close().await?;
                return Err(unknown);
            }
        }
        Ok(session)
    }

    /// Creates a new vault with `unlock`, which is only called if the store is empty.
    pub(crate) async fn create(
        config: &Config,
        unlock: impl FnOnce() -> Result<Unlock, Failure>,
    ) -> Result<Self, Failure> {
        let store = config.store.open()?;
        if !is_empty(&*store).await? {
            // Whichever vault it is, no new key opens it.
            let opened = options(config).open(store, Unlock::raw_key(RawKey::generate()?)).await;
            return Err(match opened {
                Err(found @ Error::WrongStore(_)) => found,
                _ => Error::WrongStore(WrongStore::HoldsVault),
            }
            .into());
        }
        KeptMark::of(config)?.refuse_gone(&config.store, "is empty")?;
        let vault = options(config).create(store, unlock()?).await?;
        Ok(Self::of(vault, config, KeptMark::unset(&config.store)?))
    }

    /// Opens the existing vault once more, on a store that this process serves.
    pub(crate) async fn reopen(config: &Config, store: DoorStore, metrics: &Metrics) -> Result<Vault, Error> {
        // There may be nobody at the terminal.
        let unlock = keys::existing_unattended(config).map_err(|failure| {
            Output::new(true).warn(&format!("the vault cannot be opened with its new root key: {failure}"));
            Error::WrongKey
        })?;
        // A root key that was used earlier is not taken up again: its store is older than the mark.
        let mark = KeptMark::of_store(&config.store).map_err(|failure| {
            Output::new(true).warn(&failure.to_string());
            Error::WrongKey
        })?;
        store.share();
        let store = MeasuredStore::new(store, metrics.vault());
        mark.guard(observed(config, metrics)).open(store, unlock).await
    }

    /// Opens the existing vault, or creates one if the store is empty; counts its verbs and the calls of the store.
    /// `start` returns the key of a new vault and further data, which is returned only if the vault was created.
    pub(crate) async fn open_or_create<T>(
        config: &Config,
        shown: &DoorStore,
        metrics: &Metrics,
        output: &Output,
        start: impl FnOnce() -> Result<(Unlock, T), Failure>,
    ) -> Result<(Self, Option<T>), Failure> {
        let store = MeasuredStore::new(shown.clone(), metrics.vault());
        if is_empty(&store).await? {
            KeptMark::of(config)?.refuse_gone(&config.store, "is empty")?;
            let (unlock, started) = start()?;
            let vault = observed(config, metrics).create(store, unlock).await?;
            let session = Self::of(vault, config, KeptMark::unset(&config.store)?);
            return Ok((session.with_door(shown, config, output), Some(started)));
        }
        let mut mark = KeptMark::of(config)?;
        let unlock = keys::existing(config, output)?;
        let opened = mark.guard(observed(config, metrics)).open(store, unlock).await;
        let vault = opened_here(opened, config, &mark)?;
        mark.accept(config, &vault, output).await;
        warn_if_moved(&vault, output).await?;
        Ok((Self::of(vault, config, mark).with_door(shown, config, output), None))
    }

    fn of(vault: Vault, config: &Config, mark: KeptMark) -> Self {
        let org = acting(vault.org(config.org, config.environment.clone()));
        Self { vault, org, mark, writes: config.writes, wrote: Arc::new(AtomicBool::new(true)), door: None }
    }

    /// Advances the mark of the store in the middle of a command that has written something which an older copy of the
    /// store would undo, and that may still fail or be killed.
    pub(crate) async fn keep_mark(&self, output: &Output) {
        self.mark.clone().advance(&self.vault, output).await;
    }

    /// Another org or environment of the vault, on behalf of the same user.
    pub(crate) fn org_at(&self, org: OrgId, environment: Environment) -> Org {
        acting(self.vault.org(org, environment))
    }

    #[cfg(not(unix))]
    fn with_door(self, _: &DoorStore, _: &Config, _: &Output) -> Self {
        self
    }

    /// The same with a door to its store. If the door cannot be opened it still works, and warns.
    #[cfg(unix)]
    fn with_door(self, store: &DoorStore, config: &Config, output: &Output) -> Self {
        let opened = config.store.path().map(|path| door::open(store, path));
        let door = opened.and_then(|door| door.inspect_err(|failure| output.warn(&failure.to_string())).ok());
        Self { door, ..self }
    }

    /// Runs an operation on the vault as a whole, and notes in the audit that it begins, and if it fails.
    pub(crate) async fn operate<T>(
        &self,
        what: &str,
        deed: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.note_operation(what).await?;
        let done = deed.await;
        if done.is_err() {
            // The failure says more than that it could not be noted.
            let _ = self.note_operation(&format!("{what}: failed")).await;
        }
        done
    }

    /// Notes in the audit the start or the result of an operation on the vault as a whole.
    pub(crate) async fn note_operation(&self, what: &str) -> Result<(), Failure> {
        let error = match self.try_note(what).await {
            Err(error) if error.kind() == ErrorKind::Damaged => error,
            noted => return Ok(noted?),
        };
        let other = suggest::other_environment(&self.vault, &self.org).await;
        let other = other.as_deref().unwrap_or("OTHER");
        Err(Failure::from(error).next(format!(
            "the audit of this environment cannot note the command: with --environment {other}, that of another one \
             does; `strongroom verify` says what to do about the damage"
        )))
    }

    pub(crate) async fn try_note(&self, what: &str) -> Result<(), Error> {
        self.org.note(&[AuditNote::vault_operated(what)]).await.map(drop)
    }

    /// Advances the mark of the store if the command may have written, makes everything durable, releases the store,
    /// and then prints the result. Fails as the command did: a failed command may have written before.
    pub(crate) async fn finish<T>(mut self, done: Result<T, Failure>, output: &Output) -> Result<T, Failure> {
        if self.writes && (done.is_ok() || self.wrote.load(Ordering::Relaxed)) {
            self.mark.advance(&self.vault, output).await;
        }
        // First, so that no command uses the store while it closes.
        drop(self.door.take());
        let closed = self.vault.close().await;
        let shown = output.release();
        let done = done?;
        shown?;
        // If nothing was written, nothing has to become durable: a full disk must not keep a value from its reader.
        if self.writes && self.wrote.load(Ordering::Relaxed) {
            closed?;
        }
        Ok(done)
    }
}

/// The old store can be read, and shows the state from when the vault left it. Said once, although `run --watch` opens
/// the store again and again.
async fn warn_if_moved(vault: &Vault, output: &Output) -> Result<(), Error> {
    static SAID: Once = Once::new();
    if vault.is_retired().await? {
        SAID.call_once(|| {
            output.warn(
                "the vault was moved to another store: what is read here is from before, and no write is taken",
            );
        });
    }
    Ok(())
}

/// The opened vault. If there is none now, but the mark shows that this user had one, the failure says so.
fn opened_here(opened: Result<Vault, Error>, config: &Config, mark: &KeptMark) -> Result<Vault, Failure> {
    if let Err(Error::WrongStore(found @ (WrongStore::NoVault | WrongStore::Foreign))) = &opened {
        let is_empty = matches!(found, WrongStore::NoVault);
        mark.refuse_gone(&config.store, if is_empty { "is empty" } else { "holds no vault" })?;
    }
    Ok(opened?)
}

/// How every command opens a vault: `undo` needs the former versions.
fn options(config: &Config) -> VaultOptions {
    VaultOptions::default().history_versions(HISTORY_VERSIONS).quotas(config.quotas.quotas())
}

/// The same for a server: each verb is counted, and included in the trace of its request. If another process rotates
/// the root key, no request fails, as long as the key of the server opens the new root too.
fn observed(config: &Config, metrics: &Metrics) -> VaultOptions {
    let counts = metrics.vault().clone();
    #[cfg(feature = "otlp")]
    let counts = (counts, strongroom_http::VerbSpans);
    options(config).observer(counts).follow_root_rotations()
}

/// Writes of the handle have the user who runs the command as their author, or no author if the user name is not a
/// valid actor name.
fn acting(org: Org) -> Org {
    match format!("os:{}", os_user()).parse() {
        Ok(actor) => org.acting_as(actor),
        Err(_) => org,
    }
}

const HISTORY_VERSIONS: u8 = 10;

/// Bounds the memory for the export of a long audit.
const READ_BYTES_HELD_MAX: usize = 16 << 20;

/// The user who runs the command, according to the operating system.
fn os_user() -> String {
    let named = ["USER", "LOGNAME", "USERNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    named.into_iter().find(|name| !name.is_empty()).unwrap_or_else(user_id)
}

#[cfg(unix)]
fn user_id() -> String {
    rustix::process::getuid().as_raw().to_string()
}

#[cfg(not(unix))]
fn user_id() -> String {
    "unknown".to_owned()
}

async fn is_empty(store: &dyn Store) -> Result<bool, Failure> {
    let scans = vec![Scan::new(KeyRange::all(), 1).keys_only()];
    let set = store.read(&ReadBatch { gets: Vec::new(), scans }).await?;
    Ok(set.scans.iter().all(|page| page.rows.is_empty()))
}
