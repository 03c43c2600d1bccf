//! What every handler shares: the vault and how the service was set up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use strongroom::{Clock, Environment, Error, Org, OrgId, SystemClock, Timestamp, Vault};

use crate::auth::{AdmittedKeys, Sessions, SigningKeys};
use crate::limits::Limits;
use crate::load::Load;
use crate::metrics::Metrics;
use crate::tasks::Tasks;

/// A vault that is served. Cheap to clone; every clone is the same service.
#[derive(Debug, Clone)]
pub struct Service {
    pub(crate) inner: Arc<Inner>,
}

/// What all clones of a service share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) vault: Vault,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) load: Arc<Load>,
    pub(crate) metrics: Metrics,
    pub(crate) session_secs: u64,
    pub(crate) admitted: AdmittedKeys,
    pub(crate) tasks: Tasks,
    signing_keys: Arc<SigningKeys>,
    draining: AtomicBool,
}

/// How to set up a [`Service`], where the defaults do not fit.
#[derive(Debug)]
pub struct ServiceOptions {
    clock: Box<dyn Clock>,
    limits: Limits,
    metrics: Metrics,
    session_secs: u64,
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
        // Relaxed: nothing else is read because of this flag.
        self.inner.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.inner.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn org(&self, org: OrgId, environment: Environment) -> Org {
        self.inner.vault.org(org, environment)
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

    /// Other limits.
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

    /// Serves `vault`.
    #[must_use]
    pub fn serve(self, vault: Vault) -> Service {
        let Self { clock, limits, metrics, session_secs } = self;
        let load = Arc::new(Load::new(limits));
        let inner = Inner {
            vault,
            clock,
            limits,
            load,
            metrics,
            session_secs,
            admitted: AdmittedKeys::default(),
            tasks: Tasks::default(),
            signing_keys: Arc::default(),
            draining: AtomicBool::new(false),
        };
        Service { inner: Arc::new(inner) }
    }
}

const SESSION_SECS: u64 = 24 * 60 * 60;
