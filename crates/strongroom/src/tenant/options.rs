//! Conditions on a write, what is said about the version, and records that are written with it.

use std::collections::BTreeSet;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::limits::{LABELS_BYTES_MAX, LABELS_MAX, NOTE_BYTES_MAX};
use crate::model::{Actor, Entries, Expected, LinkedAccount, Metadata, Standing};
use crate::tenant::{Draft, RecordWrite, Registration, Tenant, at_most};

/// A condition on a write, what is said about the version, and records that are written in the same batch. The
/// default has none of them.
///
/// ```
/// # strongroom_conformance::with_port(async |org| {
/// use strongroom::{Error, Expected, Scope, WriteOptions};
/// let if_absent = || WriteOptions::expecting(Expected::Absent);
/// let noted = if_absent().with_record(org.records("audit".parse()?).write("1".parse()?, "PORT was set"));
/// org.set_value_with("PORT", Scope::Org, "80", noted).await?;
/// let late = org.set_value_with("PORT", Scope::Org, "81", if_absent()).await;
/// assert!(matches!(late, Err(Error::Unexpected { .. })));
/// # Ok(()) });
/// ```
#[derive(Debug, Default)]
pub struct WriteOptions {
    pub(crate) expected: Expected,
    pub(crate) records: Vec<RecordWrite>,
    pub(crate) registered: Vec<Registration>,
    pub(crate) ciphertext: bool,
    actor: Option<Actor>,
    note: Option<String>,
    labels: BTreeSet<String>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) keeps_history: bool,
}

/// Whether what is written may expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    Allowed,
    Refused,
    /// At this time, whatever the options say, and even if it has passed.
    At(Timestamp),
}

impl WriteOptions {
    /// Refuses a write if the document is not as expected.
    pub(crate) fn check(&self, found: impl Into<Standing>) -> Result<(), Error> {
        let found = found.into();
        if self.expected.holds(found) { Ok(()) } else { Err(Error::Unexpected { found: found.revision() }) }
    }

    /// Writes only if the document is as expected. Otherwise the error is
    /// [`Error::Unexpected`](crate::Error::Unexpected).
    #[must_use]
    pub fn expecting(expected: Expected) -> Self {
        Self { expected, ..Self::default() }
    }

    /// Writes a record of the host's own in the same batch: either both are written, or neither.
    #[must_use]
    pub fn with_record(mut self, record: RecordWrite) -> Self {
        self.records.push(record);
        self
    }

    /// Writes only while this linked account is registered: not once it was deleted, and not once it was registered
    /// again. Otherwise the error is [`Error::AccountNotFound`](crate::Error::AccountNotFound).
    ///
    /// ```
    /// # strongroom_conformance::with_org(async |org| {
    /// use strongroom::{Error, WriteOptions};
    /// let account = org.create_account("user_12345".parse()?).await?;
    /// let known = account.info().await?.unwrap();
    /// let (notes, key) = (org.records("notes".parse()?), "a".parse()?);
    /// let registered = || WriteOptions::default().while_registered(&known);
    /// notes.put_with(&key, "met", registered()).await?;
    /// org.delete_account(account.id()).await?;
    /// let late = notes.put_with(&key, "gone", registered()).await;
    /// assert!(matches!(late, Err(Error::AccountNotFound(_))));
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn while_registered(self, account: &LinkedAccount) -> Self {
        self.with_registration(Registration { account: account.account_id.clone(), id: Some(account.id) })
    }

    pub(crate) fn with_registration(mut self, registration: Registration) -> Self {
        self.registered.push(registration);
        self
    }

    /// Returns the ciphertext of the value too, if the definition is encrypted. Only verbs that set values use it.
    #[must_use]
    pub fn with_ciphertext(mut self) -> Self {
        self.ciphertext = true;
        self
    }
    /// Names who writes this version, instead of the actor of the handle ([`Org::acting_as`](crate::Org::acting_as)).
    #[must_use]
    pub fn by(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    /// Says why this version is written, in at most 512 bytes. It is sealed with the version, and [`Metadata`] has it.
    /// A delete that keeps no history and a host's record have no note.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.note = Some(text.into());
        self
    }

    /// Puts a label on this version: at most 16, none of them empty, and 512 bytes in all. They are sealed with the
    /// version. A delete that keeps no history and a host's record have no labels.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.labels.insert(label.into());
        self
    }

    /// Says when the credential expires, which must be in the future. Only verbs that write credentials accept it.
    ///
    /// ```
    /// # strongroom_conformance::with_account(async |account| {
    /// use strongroom::{Clock, IntegrationId, SystemClock, Timestamp, WriteOptions};
    /// let in_an_hour = Timestamp::from_ms(SystemClock.now_ms() + 3_600_000);
    /// let app = account.app(IntegrationId::default_app());
    /// app.upsert_with("token", "t1", WriteOptions::default().expires_at(in_an_hour)).await?;
    /// assert_eq!(app.get("token").await?.unwrap().info.metadata.expires_at(), Some(in_an_hour));
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn expires_at(mut self, at: Timestamp) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// Keeps the history of the value, credential or definition that is deleted, and notes the delete in it, with its
    /// author and note. Without this, a delete leaves no version behind. Deletes of accounts and integrations keep no
    /// history. A delete of a definition keeps the history of the definition, but not of its values.
    ///
    /// ```
    /// # strongroom_conformance::with_port(async |org| {
    /// use strongroom::{Scope, WriteOptions};
    /// org.set_value("PORT", Scope::Org, "80").await?;
    /// org.delete_value_with("PORT", Scope::Org, WriteOptions::default().keep_history()).await?;
    /// org.undelete_value("PORT", Scope::Org).await?;
    /// assert_eq!(org.value("PORT", Scope::Org).await?.unwrap().value.expose(), "80");
    /// # Ok(()) });
    /// ```
    #[must_use]
    pub fn keep_history(mut self) -> Self {
        self.keeps_history = true;
        self
    }

    /// Refuses an expiry, for a verb whose documents have none.
    pub(crate) fn refuse_expiry(&self) -> Result<(), Error> {
        match self.expires_at {
            Some(_) => Err(Error::InvalidMetadata("only a credential expires: leave the expiry out")),
            None => Ok(()),
        }
    }
}

impl Tenant {
    /// The metadata of a version that is written at `now`.
    pub(crate) fn metadata(
        &self,
        options: &WriteOptions,
        now: Timestamp,
        expiry: Expiry,
    ) -> Result<Metadata, Error> {
        at_most("a note", NOTE_BYTES_MAX, options.note.as_deref())?;
        let labels = &options.labels;
        if labels.len() > LABELS_MAX || labels.contains("") {
            return Err(Error::InvalidMetadata("it takes at most 16 labels, none of them empty"));
        }
        if labels.iter().map(String::len).sum::<usize>() > LABELS_BYTES_MAX {
            return Err(Error::TooLong { what: "all labels together", max: LABELS_BYTES_MAX });
        }
        if expiry == Expiry::Refused {
            options.refuse_expiry()?;
        }
        if options.expires_at.is_some_and(|at| at <= now) {
            return Err(Error::InvalidMetadata(IN_THE_PAST));
        }
        let expires_at = match expiry {
            Expiry::At(at) => Some(at),
            Expiry::Allowed | Expiry::Refused => options.expires_at,
        };
        let actor = options.actor.as_ref().or(self.actor.as_ref());
        Ok(Metadata::of(Entries {
            author: actor.map(|actor| actor.name().to_string()),
            request_id: actor.and_then(Actor::request_id).map(ToString::to_string),
            note: options.note.clone(),
            labels: labels.clone(),
            expires_at,
            deletion: false,
        }))
    }
}

impl Draft<'_> {
    /// Adds what the options ask for besides the condition on the verb's own document: accounts that must stay
    /// registered, and records.
    pub(crate) async fn put_companions(&mut self, options: &WriteOptions) -> Result<(), Error> {
        for registration in &options.registered {
            self.expect_registered(registration).await?;
        }
        self.put_records(&options.records).await
    }
}

pub(super) const IN_THE_PAST: &str = "the expiry is in the past";
