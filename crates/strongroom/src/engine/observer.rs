//! Observers of verb calls.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::id::{ConnectionId, Environment, IntegrationId, LinkedAccountId, OrgId};
use crate::model::{Actor, DefinitionRef};
use crate::row::TenantId;
use crate::scope::{Scope, ScopePath};

/// Called once for every verb that reads or writes what an org holds, when it ends: for logs, metrics and traces of the
/// host. It never gets a value. It runs on the task of the verb, so it should be quick. It is not called for a call
/// that is refused before it begins, such as for arguments that cannot be parsed or a name that a narrowed handle does
/// not know; nor for operations on a whole vault: checks, jobs, backups and copies.
///
/// ```
/// use strongroom::{Observation, Observer, VaultOptions};
/// #[derive(Debug)]
/// struct Print;
/// impl Observer for Print {
///     fn observe(&self, seen: &Observation<'_>) {
///         eprintln!("{} of {:?}: {:?} after {:?}", seen.verb, seen.name(), seen.outcome, seen.duration);
///     }
/// }
/// let options = VaultOptions::default().observer(Print);
/// ```
pub trait Observer: Debug + Send + Sync + 'static {
    /// A verb has ended.
    fn observe(&self, seen: &Observation<'_>);
}

/// Both, one after the other.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn observe(&self, seen: &Observation<'_>) {
        self.0.observe(seen);
        self.1.observe(seen);
    }
}

impl<O: Observer> Observer for Arc<O> {
    fn observe(&self, seen: &Observation<'_>) {
        (**self).observe(seen);
    }
}

/// A call of a verb that has ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Observation<'o> {
    /// The verb, such as `resolve` or `set_values`: the one that does the work, so `set_value` is `set_values` of one,
    /// `replace_all` is `set_credentials`, `get_all` is `credentials`, `refresh` is `refresh_credentials`, and to
    /// create, upsert or update an account is `write_account`.
    pub verb: &'static str,
    /// On whose behalf.
    pub actor: Option<&'o Actor>,
    /// The org.
    pub org: &'o OrgId,
    /// Its environment.
    pub environment: &'o Environment,
    /// The scope of a value, or the most specific scope of a path.
    pub scope: Option<&'o Scope>,
    /// The linked account that the call is about, if it is not in `scope`.
    pub linked_account: Option<&'o LinkedAccountId>,
    /// The integration of that account.
    pub integration: Option<&'o IntegrationId>,
    /// Which connection of it; `None` for the default one, and for a call about all of them.
    pub connection: Option<&'o ConnectionId>,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub duration: Duration,
    pub(crate) name: Named<'o>,
}

impl Observation<'_> {
    /// What the call named: a definition by name or id, the key name of a credential, a slug or the key of a record.
    /// `None` for a call about several, or about nothing with a name.
    #[must_use]
    pub fn name(&self) -> Option<Cow<'_, str>> {
        match self.name {
            Named::Nothing => None,
            Named::Text(text) => Some(Cow::Borrowed(text)),
            Named::Definition(DefinitionRef::Name(name)) => Some(Cow::Borrowed(name)),
            Named::Definition(DefinitionRef::Id(id)) => Some(Cow::Owned(id.to_string())),
        }
    }
}

/// How a call of a verb ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It succeeded.
    Ok,
    /// It failed with an error of this kind.
    Failed(ErrorKind),
    /// The host's own exchange of a refresh gave no new credentials.
    Unrefreshed,
    /// Its future was dropped: what it had begun may still happen.
    Cancelled,
}

impl Outcome {
    /// `ok`, `unrefreshed`, `cancelled`, or the kind of the error in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed(kind) => kind.as_str(),
            Self::Unrefreshed => "unrefreshed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a call is about, as it begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'c> {
    verb: &'static str,
    name: Named<'c>,
    scope: Option<&'c Scope>,
    linked_account: Option<&'c LinkedAccountId>,
    integration: Option<&'c IntegrationId>,
    connection: Option<&'c ConnectionId>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Named<'c> {
    Nothing,
    Text(&'c str),
    Definition(&'c DefinitionRef<'c>),
}

impl<'c> Call<'c> {
    pub(crate) fn of(verb: &'static str) -> Self {
        Self {
            verb,
            name: Named::Nothing,
            scope: None,
            linked_account: None,
            integration: None,
            connection: None,
        }
    }

    pub(crate) fn named(self, text: &'c str) -> Self {
        Self { name: Named::Text(text), ..self }
    }

    pub(crate) fn definition(self, definition: &'c DefinitionRef<'c>) -> Self {
        Self { name: Named::Definition(definition), ..self }
    }

    pub(crate) fn at(self, scope: &'c Scope) -> Self {
        Self { scope: Some(scope), ..self }
    }

    pub(crate) fn along(self, path: &'c ScopePath) -> Self {
        Self { scope: path.scopes().next(), linked_account: path.account_id(), ..self }
    }

    /// About an integration, whose slug names the call unless it is about one credential.
    pub(crate) fn of_app(self, integration: &'c IntegrationId, connection: Option<&'c ConnectionId>) -> Self {
        Self { integration: Some(integration), connection, ..self }.named(integration.as_str())
    }

    pub(crate) fn account(self, account: &'c LinkedAccountId) -> Self {
        Self { linked_account: Some(account), ..self }
    }
}

/// A call under way. If it is dropped before it ends, it is reported as cancelled.
pub(crate) struct Watched<'w> {
    observer: &'w dyn Observer,
    clock: &'w dyn Clock,
    began: Duration,
    seen: Observation<'w>,
}

impl<'w> Watched<'w> {
    /// `None` if nobody observes.
    pub(crate) fn begin(
        engine: &'w Engine,
        tenant: &'w TenantId,
        actor: Option<&'w Actor>,
        call: Call<'w>,
    ) -> Option<Self> {
        let observer = engine.observer.as_deref()?;
        let clock = &*engine.clock;
        let Call { verb, name, scope, linked_account, integration, connection } = call;
        let seen = Observation {
            verb,
            actor,
            org: &tenant.org,
            environment: &tenant.environment,
            scope,
            linked_account,
            integration,
            connection,
            outcome: Outcome::Cancelled,
            duration: Duration::ZERO,
            name,
        };
        Some(Self { observer, clock, began: clock.monotonic(), seen })
    }

    pub(crate) fn end<T>(&mut self, ended: &Result<T, Error>) {
        self.seen.outcome = match ended {
            Ok(_) => Outcome::Ok,
            Err(error) => Outcome::Failed(error.kind()),
        };
    }
}

/// A call that somebody may observe.
pub(crate) struct Observed<'w>(pub(crate) Option<Watched<'w>>);

impl Observed<'_> {
    pub(crate) fn end<T>(&mut self, ended: &Result<T, Error>) {
        if let Some(watched) = &mut self.0 {
            watched.end(ended);
        }
    }

    /// A refresh ended; the inner error is that of the host's exchange.
    pub(crate) fn end_refresh<T, E>(&mut self, ended: &Result<Result<T, E>, Error>) {
        self.end(ended);
        if let (Some(watched), Ok(Err(_))) = (&mut self.0, ended) {
            watched.seen.outcome = Outcome::Unrefreshed;
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.seen.duration = self.clock.monotonic().saturating_sub(self.began);
        self.observer.observe(&self.seen);
    }
}
