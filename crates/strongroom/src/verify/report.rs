//! What a verification found.

use std::fmt;

use super::RowPath;
use crate::envelope::DekId;
use crate::error::{Damage, Error, Invalid};
use crate::format::FormatError;
use crate::id::{Environment, LinkedAccountId, OrgId};
use crate::scope::ScopeKind;
use crate::store::{Key, RowRevision};

/// What a verification found: counts, and what is wrong. It holds no value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// How many rows were checked.
    pub rows: u64,
    /// The first 1,000 findings.
    pub findings: Vec<Finding>,
    /// The total number of findings.
    pub findings_total: u64,
    /// Rows that could not be checked because a keyring or definition that they need could not be read. That keyring or
    /// definition is one finding, however many rows need it.
    pub unverifiable: u64,
    /// Values that were set before their definition's format changed and do not match the new one. Nothing is wrong
    /// with them.
    pub grandfathered: u64,
    /// Rows that a delete has yet to sweep: no verb returns them, and [`Vault::run_jobs`](crate::Vault::run_jobs)
    /// removes them.
    pub leftover: u64,
    /// Unfinished jobs.
    pub jobs: u64,
    /// Rows of the checkpoint that are gone or were replaced, the first 1,000: correct if somebody deleted them. Only
    /// [`Vault::verify_against`](crate::Vault::verify_against) asks these.
    pub questions: Vec<Finding>,
    /// The total number of questions.
    pub questions_total: u64,
    /// Sealed rows that were not there at the checkpoint.
    pub added: u64,
    /// How many rows each data key sealed, for the first 4,096 keys.
    pub keys: Vec<KeyUse>,
    /// How many keys there are beyond those.
    pub keys_left_off: u64,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings_total == 0
    }

    pub(super) fn ask(&mut self, path: RowPath, cause: Cause) {
        self.questions_total += 1;
        if self.questions.len() < FINDINGS_MAX {
            self.questions.push(Finding { path, cause, swept: None });
        }
    }

    pub(super) fn find(&mut self, path: RowPath, cause: Cause, swept: Option<(Swept, Key, RowRevision)>) {
        self.findings_total += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { path, cause, swept });
        }
    }
}

/// For people: one line per finding, then the counts.
impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        let more = self.findings_total.saturating_sub(self.findings.len() as u64);
        if more > 0 {
            writeln!(f, "and {more} more")?;
        }
        for question in &self.questions {
            writeln!(f, "{question}")?;
        }
        let more = self.questions_total.saturating_sub(self.questions.len() as u64);
        if more > 0 {
            writeln!(f, "and {more} more that are gone or were replaced")?;
        }
        write!(
            f,
            "{} rows, {} findings, {} unverifiable, ",
            self.rows, self.findings_total, self.unverifiable
        )?;
        write!(f, "{} grandfathered, {} left over, {} jobs", self.grandfathered, self.leftover, self.jobs)
    }
}

/// One thing that is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The row.
    pub path: RowPath,
    /// What is wrong with it.
    pub cause: Cause,
    /// The row as it was read, if a sweep takes it.
    pub(super) swept: Option<(Swept, Key, RowRevision)>,
}

/// What a sweep does with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Swept {
    /// Deletes it: it means nothing to anybody.
    Stray,
    /// Deletes it: nobody can read it, and no other verb deletes it.
    Unreadable,
    /// Writes it, or the index rows that lead to it, again.
    Mended,
}

impl Finding {
    /// Whether nothing uses the row: it was planted or left behind, and no lookup of what is kept needs it.
    /// [`Vault::sweep_stray`](crate::Vault::sweep_stray) deletes it.
    #[must_use]
    pub fn is_stray(&self) -> bool {
        self.is_swept_as(Swept::Stray)
    }

    /// Whether nobody can read the row, no other verb deletes its kind, and no check becomes weaker without it. Such
    /// rows are records, jobs, former versions, index rows of document ids, notes of a restore, and deletions of
    /// documents that are there.
    /// [`Vault::sweep_unreadable`](crate::Vault::sweep_unreadable) deletes it.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.is_swept_as(Swept::Unreadable)
    }

    /// Whether what is missing follows from rows that can be read, or from the key of the row: the index rows of a
    /// value or definition, a mark, or the note of a backup under another key.
    /// [`Vault::mend`](crate::Vault::mend) writes it again.
    #[must_use]
    pub fn is_mendable(&self) -> bool {
        self.is_swept_as(Swept::Mended)
    }

    fn is_swept_as(&self, as_what: Swept) -> bool {
        self.swept.as_ref().is_some_and(|(swept, ..)| *swept == as_what)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.cause)
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// Its key is not in the format.
    #[error("no row of a vault has such a key")]
    Foreign,
    /// It is missing, malformed, does not open at its own address, or contradicts itself.
    #[error("{0}")]
    Damaged(Damage),
    /// It was written by a later release.
    #[error("it has version {0}, which this release cannot read")]
    UnknownVersion(u8),
    /// It was sealed under a key that its keyring does not list.
    #[error("it was sealed under data key {0}, which its keyring does not list")]
    UnknownKey(DekId),
    /// The value does not match its definition's format, or the definition's own default does not.
    #[error("it does not match its format: {0}")]
    Invalid(FormatError),
    /// Its definition allows no value at this scope.
    #[error("its definition allows no value at {0} scope")]
    ScopeNotAllowed(ScopeKind),
    /// Its index row is marked as not matching the format, but the value matches.
    #[error("it is marked as not matching its format, but it matches")]
    WronglyMarked,
    /// An index row that should lead to it is missing, or leads to another row.
    #[error("the index row {0} does not lead to it")]
    NotIndexed(Index),
    /// The row that the index row leads to is missing.
    #[error("it leads to a row that does not exist")]
    Dangling,
    /// The index row leads to the wrong row.
    #[error("it leads to the wrong row")]
    LeadsElsewhere,
    /// The definition, account or integration that it belongs to is missing.
    #[error("the {0} that it belongs to does not exist")]
    Orphan(Parent),
    /// It is marked as being deleted, but the job that deletes it is missing.
    #[error("it is being deleted, but the job that deletes it is missing")]
    NoJob,
    /// It does not state the actual number of definitions.
    #[error("it states {stated} variable definitions, but there are {found}")]
    WrongCount {
        /// The number that the row states.
        stated: u64,
        /// The actual number.
        found: u64,
    },
    /// Its revision is lower than the one that was seen before.
    #[error("it went back: it is at revision {found}, and was at {seen} before")]
    RolledBack {
        /// The revision that was seen before; `u64::MAX` for a row that was deleted.
        seen: u64,
        /// The revision that the store shows now.
        found: u64,
    },
    /// It was there at the checkpoint.
    #[error("it was there at the checkpoint and is gone")]
    Gone,
    /// At the checkpoint there was another row: it was deleted and this one made, or an older row was put back.
    #[error("it is not the row that was there at the checkpoint")]
    Replaced,
    /// It was not there at the checkpoint, but is older: it was restored, or put back after it was deleted.
    #[error("it was written before the checkpoint, and was not there")]
    PutBack,
    /// The document that it says was deleted is there, and was written after it, or it cannot be read itself: it was
    /// put back, or left behind.
    #[error("the document that it says was deleted is there")]
    Superseded,
    /// The document that it says was deleted is there, as it was before: that was put back.
    #[error("the document that it says was deleted was put back")]
    CameBack,
    /// An event before it is missing or is not the one that it names; for a head, an event that it states.
    #[error("events before it are missing or were replaced")]
    BrokenChain,
    /// It notes that the org is being restored: what is there of the org was not checked.
    #[error("the restore of this org is unfinished")]
    RestoreUnfinished,
    /// It changed every time it was read, so it could not be checked.
    #[error("it changed every time it was read")]
    Changing,
}

impl Cause {
    /// One word in `snake_case`, for programs.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Damaged(Damage::Missing) => "missing",
            Self::Damaged(Damage::Malformed) => "malformed",
            Self::Damaged(Damage::Rejected) => "rejected",
            Self::Damaged(Damage::Inconsistent) => "inconsistent",
            Self::UnknownVersion(_) => "unknown_version",
            Self::UnknownKey(_) => "unknown_key",
            Self::Invalid(_) => "invalid",
            Self::ScopeNotAllowed(_) => "scope_not_allowed",
            Self::WronglyMarked => "wrongly_marked",
            Self::NotIndexed(_) => "not_indexed",
            Self::Dangling => "dangling",
            Self::LeadsElsewhere => "leads_elsewhere",
            Self::Orphan(_) => "orphan",
            Self::NoJob => "no_job",
            Self::WrongCount { .. } => "wrong_count",
            Self::RolledBack { .. } => "rolled_back",
            Self::Gone => "gone",
            Self::Replaced => "replaced",
            Self::PutBack => "put_back",
            Self::Superseded => "superseded",
            Self::CameBack => "came_back",
            Self::BrokenChain => "broken_chain",
            Self::RestoreUnfinished => "restore_unfinished",
            Self::Changing => "changing",
        }
    }

    /// The cause for an error about a row.
    pub(super) fn of(error: Error) -> Self {
        match error {
            Error::Damaged { cause, .. } => Self::Damaged(cause),
            Error::UnknownVersion { version, .. } => Self::UnknownVersion(version),
            Error::UnknownKey { dek_id, .. } => Self::UnknownKey(dek_id),
            Error::Invalid(Invalid::Default { rule, .. }) => Self::Invalid(rule),
            Error::RolledBack { seen, found, .. } => Self::RolledBack { seen, found },
            _ => Self::Damaged(Damage::Inconsistent),
        }
    }
}

/// An index of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Index {
    /// From a name to its definition.
    DefinitionName,
    /// From a definition to its values.
    DefinitionValue,
    /// From a value's document id to the value.
    ValueId,
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DefinitionName => "of its name",
            Self::DefinitionValue => "of its definition",
            Self::ValueId => "of its document id",
        })
    }
}

/// The kind of row that another row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Parent {
    /// A value belongs to a definition.
    Definition,
    /// An integration belongs to a linked account.
    LinkedAccount,
    /// A credential belongs to an integration.
    Integration,
}

impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Definition => "variable definition",
            Self::LinkedAccount => "linked account",
            Self::Integration => "integration",
        })
    }
}

/// A data key, and how many rows it sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyUse {
    /// The org.
    pub org: OrgId,
    /// The environment.
    pub environment: Environment,
    /// The linked account; `None` for the org's own.
    pub linked_account: Option<LinkedAccountId>,
    /// The id of the key.
    pub dek_id: DekId,
    /// Its state in the keyring.
    pub state: KeyState,
    /// How many rows it sealed: a key without rows is no longer needed.
    pub rows: u64,
}

/// The state of a data key in its keyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum KeyState {
    /// New rows are sealed under it.
    Active,
    /// It only opens what it sealed before.
    DecryptOnly,
    /// It was dropped on purpose: what it sealed counts as deleted.
    Dropped,
    /// The keyring does not list it, or cannot be read.
    Unlisted,
}

impl KeyState {
    /// `active`, `decrypt_only`, `dropped` or `unlisted`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::DecryptOnly => "decrypt_only",
            Self::Dropped => "dropped",
            Self::Unlisted => "unlisted",
        }
    }
}

/// How many findings are kept, so that a report about a ruined store stays small.
const FINDINGS_MAX: usize = 1_000;
