//! The state that every handler shares: the vault and the options of the service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
#[cfg(feature = "tls")]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use strongroom::{AuditNote, Clock, Environment, Error, IdError, Org, OrgId, SystemClock, Timestamp, Vault};
use tokio::sync::Semaphore;

use crate::auth::{AdmittedKeys, SESSION_SECS, Sessions, SigningKeys};
use crate::error::Failure;
use crate::limits::Limits;
use crate::load::Load;
use crate::logins::Logins;
use crate::metrics::Metrics;
use crate::read_notes::{ReadNotes, WhenFull};
use crate::resuming::StoreHealth;
use crate::tasks::Tasks;
#[cfg(feature = "tls")]
use crate::tls::Tls;

/// A vault that is served. Cheap to clone; every clone is the same service.
#[derive(Debug, Clone)]
pub struct Service {
    pub(crate) inner: Arc<Inner>,
}

/// What all clones of a service share.
#[derive(Debug)]
pub(crate) struct Inner {
    /// Replaced by the same vault with another root key, if that was rotated elsewhere.
    vault: RwLock<Vault>,
    reopening: Reopening,
    probed: tokio::sync::Mutex<Option<Probe>>,
    /// The result of the last probe, for the log.
    unready: AtomicBool,
    /// Whether a task probes until the service is ready.
    watched: AtomicBool,
    pub(crate) health: StoreHealth,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) load: Arc<Load>,
    pub(crate) metrics: Metrics,
    pub(crate) session_secs: u64,
    pub(crate) origins: Vec<HeaderValue>,
    pub(crate) admitted: AdmittedKeys,
    pub(crate) tasks: Tasks,
    /// Each backup that a client reads takes a thread and some megabytes.
    pub(crate) backups: Arc<Semaphore>,
    /// The sessions of the console; `None` for a service without one.
    pub(crate) logins: Option<Logins>,
    /// `None` if reads are not noted in the audit.
    pub(crate) read_notes: Option<ReadNotes>,
    signing_keys: Arc<SigningKeys>,
    draining: AtomicBool,
    /// Set if the server has its own TLS.
    #[cfg(feature = "tls")]
    pub(crate) tls: OnceLock<Tls>,
}

/// A write that was made to find out whether the store takes one.
#[derive(Debug)]
struct Probe {
    ended: Instant,
    result: Result<(), Failure>,
}

/// Options of a [`Service`] for which the defaults do not fit.
pub struct ServiceOptions {
    clock: Box<dyn Clock>,
    limits: Limits,
    metrics: Metrics,
    session_secs: u64,
    reopen: Option<Box<Reopen>>,
    health: StoreHealth,
    origins: Vec<HeaderValue>,
    logins: Option<Logins>,
    read_notes: Option<ReadNotes>,
}

/// Opens the served vault once more, on the same store.
type Reopen = dyn Fn() -> Pin<Box<dyn Future<Output = Result<Vault, Error>> + Send>> + Send + Sync;

/// How the vault is opened with a new root key.
struct Reopening {
    open: Option<Box<Reopen>>,
    under_way: AtomicBool,
    /// Why it last failed, as the log has it: it is tried again and again.
    said: Mutex<Option<String>>,
}

impl fmt::Debug for Reopening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reopening").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}

impl fmt::Debug for ServiceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceOptions").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Service {
    /// Serves `vault` with the default options.
    #[must_use]
    pub fn new(vault: Vault) -> Self {
        ServiceOptions::default().serve(vault)
    }

    /// From now on `/readyz` says that the service is not ready, so that no new requests are sent to it.
    /// [`serve`](crate::serve) calls this by itself.
    pub fn drain(&self) {
        // Relaxed: no other read depends on this flag.
        self.inner.draining.store(true, Ordering::Relaxed);
    }

    /// Whether it was set up [with the console](ServiceOptions::with_console).
    #[must_use]
    pub fn has_console(&self) -> bool {
        self.inner.logins.is_some()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.inner.draining.load(Ordering::Relaxed)
    }

    /// The vault as it is now open.
    #[must_use]
    pub fn vault(&self) -> Vault {
        self.inner.vault.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn org(&self, org: OrgId, environment: Environment) -> Org {
        self.vault().org(org, environment)
    }

    /// Fails if the store cannot be read or written, or does not answer in time. The log says when that begins and when
    /// it ends.
    pub(crate) async fn check_ready(&self) -> Result<(), Failure> {
        let checked = async {
            self.check_reads().await?;
            self.check_writes().await
        };
        let checked = tokio::time::timeout(PROBE_PATIENCE, checked).await;
        let was_ready = !self.inner.unready.swap(!matches!(checked, Ok(Ok(()))), Ordering::Relaxed);
        match checked {
            Ok(Ok(())) => {
                if !was_ready {
                    tracing::warn!("the vault can be read and written again: the service is ready");
                }
                Ok(())
            }
            Ok(Err(failure)) => {
                if was_ready {
                    let why = failure.cause().unwrap_or(failure.message());
                    tracing::warn!(%why, "the vault cannot be read or written: the service is not ready");
                }
                Err(failure)
            }
            Err(_) => {
                if was_ready {
                    let secs = PROBE_PATIENCE.as_secs();
                    tracing::warn!("the store has not answered for {secs} s: the service is not ready");
                }
                Err(Failure::overloaded())
            }
        }
    }

    /// After a request that the vault or its store refused: probes until the service is ready, so that the log says
    /// once when an outage begins and once when it ends, even if nothing asks `/readyz`.
    pub(crate) fn watch_outage(&self) {
        // Relaxed: it only prevents a second task at the same time.
        if self.inner.watched.swap(true, Ordering::Relaxed) {
            return;
        }
        // It keeps no service alive that its host has dropped.
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            while let Some(service) = inner.upgrade().map(|inner| Self { inner }) {
                if service.is_draining() || service.check_ready().await.is_ok() {
                    service.inner.watched.store(false, Ordering::Relaxed);
                    return;
                }
                drop(service);
                tokio::time::sleep(PROBE_EVERY).await;
            }
        });
    }

    /// Reads a record that nobody writes, of an org that does not exist, so that the read goes to the store, past every
    /// cache.
    async fn check_reads(&self) -> Result<(), Failure> {
        let nobody: OrgId = "000000000000000000000000".parse().map_err(Error::from)?;
        let org = self.org(nobody, Environment::test());
        let records = org.records("ready".parse().map_err(Error::from)?);
        records.get(&"ready".parse().map_err(Error::from)?).await?;
        Ok(())
    }

    /// Fails if the next write would fail, as far as that can be known: the last write succeeded a moment ago, or one
    /// is made now that leaves its row unchanged.
    async fn check_writes(&self) -> Result<(), Failure> {
        if self.inner.reopening.under_way.load(Ordering::Relaxed) {
            return Err(Error::RootRotated.into());
        }
        let asked = Instant::now();
        // One at a time: a caller that waits for a probe takes its result, so that a store that fails slowly is asked
        // only once for all of them.
        let mut last = self.inner.probed.lock().await;
        match &*last {
            Some(Probe { ended, result: Err(failure) }) if *ended >= asked => return Err(failure.clone()),
            Some(Probe { ended, result: Ok(()) }) if ended.elapsed() < PROBE_EVERY => return Ok(()),
            _ => {}
        }
        let written = self.vault().check_writes().await;
        if let Err(Error::RootRotated) = written {
            self.take_up_root();
        }
        let result = written.map_err(Failure::from);
        *last = Some(Probe { ended: Instant::now(), result: result.clone() });
        result
    }

    /// The root key was rotated elsewhere: opens the vault with the new one, while requests continue.
    pub(crate) fn take_up_root(&self) {
        let reopening = &self.inner.reopening;
        // Relaxed: it only prevents a second attempt at the same time.
        if reopening.open.is_none() || reopening.under_way.swap(true, Ordering::Relaxed) {
            return;
        }
        let service = self.clone();
        tokio::spawn(async move {
            let inner = &service.inner;
            let Some(open) = &inner.reopening.open else { return };
            let opened = open().await;
            let failed = opened.as_ref().err().map(ToString::to_string);
            let said = &inner.reopening.said;
            let said =
                std::mem::replace(&mut *said.lock().unwrap_or_else(PoisonError::into_inner), failed.clone());
            match opened {
                Ok(vault) => {
                    *inner.vault.write().unwrap_or_else(PoisonError::into_inner) = vault;
                    // They hold the vault opened with the old root key.
                    inner.admitted.clear();
                    inner.logins.iter().for_each(Logins::end_all);
                    tracing::warn!(
                        "the root key was rotated elsewhere; the vault was opened with the new one"
                    );
                }
                Err(error) => {
                    if said != failed {
                        tracing::error!(
                            %error,
                            "the root key was rotated elsewhere, and the vault could not be opened with the new \
                             one: if the slot of this service's key was dropped, replace the key"
                        );
                    }
                    tokio::time::sleep(REOPEN_PAUSE).await;
                }
            }
            inner.reopening.under_way.store(false, Ordering::Relaxed);
        });
    }

    /// Notes in the audit what is about to be shown, if reads are noted. The notes are written within a second or so.
    pub(crate) fn note_reads(
        &self,
        org: &Org,
        notes: impl FnOnce() -> Vec<AuditNote>,
    ) -> Result<(), Failure> {
        let Some(reads) = &self.inner.read_notes else { return Ok(()) };
        let notes = notes();
        let count = notes.len();
        if count == 0 {
            return Ok(());
        }
        match (reads.take(org, notes), reads.when_full) {
            (Some(false), _) => {}
            (Some(true), _) => drop(tokio::spawn(self.clone().write_until_none_is_left())),
            (None, WhenFull::Lose) => self.inner.metrics.lost_notes(count),
            (None, WhenFull::Refuse) => return Err(Failure::overloaded()),
        }
        Ok(())
    }

    async fn write_until_none_is_left(self) {
        let mut said = false;
        loop {
            tokio::time::sleep(WRITE_NOTES_EVERY).await;
            if let Err(error) = self.write_read_notes().await {
                if matches!(error, Error::RootRotated) {
                    self.take_up_root();
                }
                // Once: they are tried again each second.
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!(%error, "reads were not noted in the audit yet");
                }
            }
            if !self.inner.read_notes.as_ref().is_some_and(ReadNotes::is_any_left) {
                return;
            }
        }
    }

    /// Writes the waiting notes of reads, which otherwise happens within a second or so. [`serve`](crate::serve) does
    /// so before it returns; a host with its own server calls it before it closes the vault.
    ///
    /// # Errors
    /// Those of [`Org::note`]: unwritten notes wait again, for at most an hour.
    pub async fn write_read_notes(&self) -> Result<(), Error> {
        let Some(reads) = &self.inner.read_notes else { return Ok(()) };
        // With the vault as it is open then: its root key may have been rotated.
        let open = |org, environment| self.org(org, environment);
        let written = reads.write(self.inner.clock.now_ms(), open).await;
        if written.lost > 0 {
            tracing::error!(
                notes = written.lost,
                "notes of reads are lost: for an hour they could not be written"
            );
            self.inner.metrics.lost_notes(written.lost);
        }
        written.result
    }

    /// The sessions of `org`.
    pub(crate) fn sessions(&self, org: &Org) -> Result<Sessions, Error> {
        Sessions::new(org.clone(), Arc::clone(&self.inner.signing_keys))
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.inner.clock.now_ms())
    }
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            clock: Box::new(SystemClock),
            limits: Limits::default(),
            metrics: Metrics::new(),
            session_secs: SESSION_SECS,
            reopen: None,
            health: StoreHealth::default(),
            origins: Vec::new(),
            logins: None,
            read_notes: None,
        }
    }
}

impl ServiceOptions {
    /// Takes the time from `clock`, for the expiry of keys and tokens.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Sets other limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Counts into these metrics, which a [`MeasuredStore`](crate::MeasuredStore) may share.
    #[must_use]
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// How long a session token is valid: 24 hours unless set.
    #[must_use]
    pub fn session_secs(mut self, secs: u64) -> Self {
        self.session_secs = secs;
        self
    }

    /// Opens the vault once more with `open` when another process rotated its root key, and serves that vault. It must
    /// be on the same store, which then counts as shared.
    #[must_use]
    pub fn reopen_with<F>(mut self, open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Vault, Error>> + Send + 'static,
    {
        self.reopen = Some(Box::new(move || Box::pin(open())));
        self
    }

    /// Lets pages of these origins, such as `https://console.example`, call from a browser (CORS); none unless set.
    /// Each call still needs its key or token, which a browser never adds by itself.
    ///
    /// # Errors
    /// [`Invalid::Id`](strongroom::Invalid::Id) for an origin that is not `scheme://host` or `scheme://host:port`.
    pub fn origins<'o>(mut self, origins: impl IntoIterator<Item = &'o str>) -> Result<Self, Error> {
        let parsed = origins.into_iter().map(|origin| {
            let host = origin.split_once("://").map(|(_, host)| host);
            let is_one =
                host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', '@', '?', '#', ' ']));
            let value = HeaderValue::from_str(origin).ok().filter(|_| is_one);
            value.ok_or_else(|| Error::from(IdError::Empty("the host of an origin")))
        });
        self.origins = parsed.collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Makes `/healthz` fail when the store of this health cannot be opened again.
    #[must_use]
    pub fn store_health(mut self, health: StoreHealth) -> Self {
        self.health = health;
        self
    }

    /// With the console: its page at `/`, its files and sessions below `/console`. A user who logs in there with an API
    /// key may do what the key may, until they log out, the key is revoked, 30 minutes after the last request, or after
    /// 12 hours.
    #[must_use]
    pub fn with_console(mut self) -> Self {
        self.logins = Some(Logins::default());
        self
    }

    /// Notes in the audit of a vault that has one which values were shown to whom, including values that are not
    /// encrypted: in the responses to documented calls and to control calls. Values shown by the right to reveal are
    /// always noted, before they are shown. Other reads are not held up: at most `notes_max` notes, of some 300 bytes,
    /// wait to be written together within a second or so, and a killed process loses those. One org never has more
    /// waiting notes than it leaves room for: half of the room by itself, a third if two orgs read as much as they can.
    /// `when_full` says what happens to a read for whose notes there is no room. Notes that cannot be written for an
    /// hour, for example in an org whose quota is full, are dropped and counted as lost. Off unless set.
    #[must_use]
    pub fn note_reads(mut self, when_full: WhenFull, notes_max: usize) -> Self {
        self.read_notes = Some(ReadNotes::new(when_full, notes_max));
        self
    }

    /// Serves `vault`.
    #[must_use]
    pub fn serve(self, vault: Vault) -> Service {
        let Self { clock, limits, metrics, session_secs, reopen, health, origins, logins, read_notes } = self;
        let load = Arc::new(Load::new(limits));
        let inner = Inner {
            vault: RwLock::new(vault),
            reopening: Reopening { open: reopen, under_way: AtomicBool::new(false), said: Mutex::default() },
            probed: tokio::sync::Mutex::default(),
            unready: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            health,
            clock,
            limits,
            load,
            metrics,
            session_secs,
            origins,
            admitted: AdmittedKeys::default(),
            tasks: Tasks::default(),
            backups: Arc::new(Semaphore::new(BACKUPS_MAX)),
            logins,
            read_notes,
            signing_keys: Arc::default(),
            draining: AtomicBool::new(false),
            #[cfg(feature = "tls")]
            tls: OnceLock::new(),
        };
        Service { inner: Arc::new(inner) }
    }
}

/// How many backups may run at a time.
const BACKUPS_MAX: usize = 4;
/// Long enough that many reads share an event, and that a killed process loses little.
const WRITE_NOTES_EVERY: Duration = Duration::from_secs(1);
/// A probe of writes is itself a write, if a small one. Together with the patience this gives the 5 s after which
/// `/readyz` fails.
const PROBE_EVERY: Duration = Duration::from_secs(2);
/// The time for the store to answer a probe.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);
/// The pause after a failed attempt.
const REOPEN_PAUSE: Duration = Duration::from_secs(5);
