//! A host's own notes in the audit: who read what, and what it learned about a connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::id::{ConnectionId, IntegrationId, LinkedAccountId};
use crate::jobs::until_landed;
use crate::model::{AuditChange, CredentialInfo, EventKind, Origin, Resolved, ScopedValue, StoredDefinition};
use crate::tenant::event::CHANGES_AN_EVENT;
use crate::tenant::{Attempt, Draft, Freshness, Needs};
use crate::verbs::org::Org;

/// Something that a host notes in the audit. It never holds a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditNote(AuditChange);

impl AuditNote {
    /// Somebody was shown a value that a run resolves to.
    #[must_use]
    pub fn resolved(resolved: &Resolved) -> Self {
        let mut change = AuditChange::new(EventKind::ValueRead);
        (change.definition_id, change.name) = (Some(resolved.definition_id), Some(resolved.name.clone()));
        if let Origin::Scope(scope) = &resolved.scope {
            change.linked_account = scope.linked_account().cloned();
            change.workflow = scope.workflow().cloned();
        }
        change.document_id = resolved.found.map(|found| found.id);
        change.before = resolved.found.map(|found| found.revision);
        Self(change)
    }

    /// Somebody was shown a value.
    #[must_use]
    pub fn value_read(value: &ScopedValue) -> Self {
        Self(AuditChange {
            definition_id: Some(value.definition_id),
            linked_account: value.scope.linked_account().cloned(),
            workflow: value.scope.workflow().cloned(),
            document_id: Some(value.id),
            before: Some(value.revision),
            ..AuditChange::new(EventKind::ValueRead)
        })
    }

    /// Adds the name of the variable, which a value does not have.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.0.name = Some(name.into());
        self
    }

    /// Somebody was shown, or could infer, the values of a definition at any scopes.
    #[must_use]
    pub fn values_read(definition: &StoredDefinition) -> Self {
        Self(AuditChange {
            definition_id: Some(definition.id),
            name: Some(definition.definition.name.to_string()),
            ..AuditChange::new(EventKind::ValueRead)
        })
    }

    /// Somebody was shown a credential of an account.
    #[must_use]
    pub fn credential_read(account: &LinkedAccountId, credential: &CredentialInfo) -> Self {
        Self(AuditChange {
            name: Some(credential.key_name.to_string()),
            linked_account: Some(account.clone()),
            integration: Some(credential.integration.clone()),
            connection: credential.connection.clone(),
            before: Some(credential.revision),
            ..AuditChange::new(EventKind::CredentialRead)
        })
    }

    /// Somebody begins an operation on the vault as a whole, such as `backup` or `slot remove`.
    #[must_use]
    pub fn vault_operated(what: impl Into<String>) -> Self {
        Self(AuditChange { name: Some(what.into()), ..AuditChange::new(EventKind::VaultOperated) })
    }

    /// A connection of an account no longer works: the other side refuses its credentials.
    #[must_use]
    pub fn connection_expired(account: &LinkedAccountId, integration: &IntegrationId) -> Self {
        Self(AuditChange {
            linked_account: Some(account.clone()),
            integration: Some(integration.clone()),
            ..AuditChange::new(EventKind::ConnectionExpired)
        })
    }

    /// Makes it about a connection other than the default one.
    #[must_use]
    pub fn of_connection(mut self, connection: &ConnectionId) -> Self {
        self.0.connection = Some(connection.clone());
        self
    }
}

impl Org {
    /// Notes in the audit what a host did on behalf of the actor of this handle, such as showing a value: 50 notes per
    /// event. Returns how many were noted: none in a vault without an audit.
    ///
    /// A noted read thus costs a write, and waits for the store. If that is too slow, collect notes in an
    /// [`AuditBuffer`].
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{AuditNote, Scope};
    /// org.set_value("PORT", Scope::Org, "80").await?;
    /// let shown = org.value("PORT", Scope::Org).await?.unwrap();
    /// let alice = org.acting_as("user:alice".parse()?);
    /// assert_eq!(alice.note(&[AuditNote::value_read(&shown)]).await?, 0); // this vault has no audit
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Contended`] and [`Error::Store`]: the notes were not written, or may not have been.
    pub async fn note(&self, notes: &[AuditNote]) -> Result<usize, Error> {
        // According to the last write of this engine, if any, there is no audit. What is shown next must not rely on
        // that: the audit may have been turned on, or the store retired, elsewhere.
        if !notes.is_empty() && !self.tenant.engine.has_audit() {
            self.tenant.engine.look_at_gate().await?;
            if !self.tenant.engine.has_audit() {
                return Ok(0);
            }
        }
        let mut noted = 0;
        for notes in notes.chunks(CHANGES_AN_EVENT) {
            noted += until_landed(&self.tenant, |freshness| self.try_note(notes, freshness)).await?;
        }
        Ok(noted)
    }

    async fn try_note(&self, notes: &[AuditNote], freshness: Freshness) -> Result<Attempt<usize>, Error> {
        let (view, ()) = self.tenant.read(&Needs::org_keys().freshness(freshness), ()).await?;
        let mut draft = Draft::new(&self.tenant, &view);
        let mut noted = 0;
        for note in notes {
            draft.note(|| {
                noted += 1;
                note.0.clone()
            });
        }
        if noted == 0 {
            return Ok(Attempt::Landed(0));
        }
        Ok(draft.commit().await?.map(|_| noted))
    }
}

/// Notes that wait to be written together, up to a maximum. The host decides what to do with notes that do not fit.
///
/// ```
/// # strongroom_conformance::with_port(async |org| {
/// use strongroom::{AuditBuffer, AuditNote, Scope};
/// org.set_value("PORT", Scope::Org, "80").await?;
/// let shown = org.value("PORT", Scope::Org).await?.unwrap();
/// let reads = AuditBuffer::new(1);
/// assert!(reads.push(AuditNote::value_read(&shown)).is_ok());
/// assert!(reads.push(AuditNote::value_read(&shown)).is_err()); // refuse the read, or:
/// reads.push_or_lose(AuditNote::value_read(&shown));
/// assert_eq!((reads.len(), reads.lost()), (1, 1));
/// # Ok(()) });
/// ```
#[derive(Debug)]
pub struct AuditBuffer {
    notes: Mutex<Vec<AuditNote>>,
    notes_max: usize,
    lost: AtomicU64,
}

impl AuditBuffer {
    /// A buffer of at most `notes_max` notes: some 300 bytes each.
    #[must_use]
    pub fn new(notes_max: usize) -> Self {
        Self { notes: Mutex::default(), notes_max, lost: AtomicU64::new(0) }
    }

    /// Adds a note.
    ///
    /// # Errors
    /// Returns the note if the buffer is full: [`flush`](Self::flush) it first, or refuse the action to be noted.
    #[expect(clippy::result_large_err, reason = "the note goes back to whoever decides about it")]
    pub fn push(&self, note: AuditNote) -> Result<(), AuditNote> {
        let mut notes = self.lock();
        if notes.len() >= self.notes_max {
            return Err(note);
        }
        notes.push(note);
        Ok(())
    }

    /// Adds a note, or counts it as lost if the buffer is full.
    pub fn push_or_lose(&self, note: AuditNote) {
        if self.push(note).is_err() {
            // Relaxed: nothing depends on this count.
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many notes are waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none is waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many notes were lost since the buffer was made.
    #[must_use]
    pub fn lost(&self) -> u64 {
        // Relaxed: a statistic.
        self.lost.load(Ordering::Relaxed)
    }

    /// Writes the waiting notes to the audit of `org`, on behalf of its actor. Notes added meanwhile wait for the next
    /// flush. Returns how many were written.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{AuditBuffer, AuditNote, Scope};
    /// let reads = AuditBuffer::new(1_000);
    /// org.set_value("PORT", Scope::Org, "80").await?;
    /// reads.push_or_lose(AuditNote::value_read(&org.value("PORT", Scope::Org).await?.unwrap()));
    /// reads.flush(&org).await?;
    /// assert!(reads.is_empty());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Org::note`]. Then the notes that were not written wait again, as far as they fit. The same happens if
    /// the future is dropped; up to 50 may then be noted twice.
    pub async fn flush(&self, org: &Org) -> Result<usize, Error> {
        let mut taken = Taken { notes: std::mem::take(&mut *self.lock()), buffer: self };
        let mut written = 0;
        while let Some(notes) = taken.notes.chunks(CHANGES_AN_EVENT).next() {
            let notes_len = notes.len();
            written += org.note(notes).await?;
            taken.notes.drain(..notes_len);
        }
        Ok(written)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<AuditNote>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes being written to the audit. If dropped before they are written, they wait again.
struct Taken<'b> {
    notes: Vec<AuditNote>,
    buffer: &'b AuditBuffer,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.notes.drain(..).for_each(|note| self.buffer.push_or_lose(note));
    }
}
