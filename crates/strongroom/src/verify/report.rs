//! What a verification found.

use std::fmt;

use super::RowPath;
use crate::envelope::DekId;
use crate::error::{Damage, Error};
use crate::format::FormatError;
use crate::id::{Environment, LinkedAccountId, OrgId};
use crate::scope::ScopeKind;

/// What a verification saw, in numbers, and what is wrong. It holds no value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// How many rows were looked at.
    pub rows: u64,
    /// What is wrong: the first 1,000 findings.
    pub findings: Vec<Finding>,
    /// How many findings there are in all.
    pub findings_total: u64,
    /// Rows that could not be checked, since a keyring or definition that they need could not be read. That is one
    /// finding, however many rows there are.
    pub unverifiable: u64,
    /// Values from before a change of their definition's format that do not match it. They are as they should be.
    pub grandfathered: u64,
    /// Rows that a delete left behind: nobody sees them, and [`Vault::run_jobs`](crate::Vault::run_jobs) sweeps them.
    pub leftover: u64,
    /// Jobs that are not finished.
    pub jobs: u64,
    /// How often each data key is referred to: the first 4,096 keys.
    pub keys: Vec<KeyUse>,
    /// How many keys are not listed, beyond those.
    pub keys_left_off: u64,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings_total == 0
    }

    pub(super) fn find(&mut self, path: RowPath, cause: Cause) {
        self.findings_total += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { path, cause });
        }
    }
}

/// For people: one line a finding, then the numbers.
impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        let more = self.findings_total.saturating_sub(self.findings.len() as u64);
        if more > 0 {
            writeln!(f, "and {more} more")?;
        }
        write!(
            f,
            "{} rows, {} findings, {} unverifiable, ",
            self.rows, self.findings_total, self.unverifiable
        )?;
        write!(f, "{} grandfathered, {} left over, {} jobs", self.grandfathered, self.leftover, self.jobs)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// With which row.
    pub path: RowPath,
    /// What is wrong with it.
    pub cause: Cause,
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
    /// Its key is none of a vault's.
    #[error("no row of a vault has such a key")]
    Foreign,
    /// It is missing, is not of its form, does not open at its own address, or contradicts itself.
    #[error("{0}")]
    Damaged(Damage),
    /// It is of a later version.
    #[error("it is of version {0}, which this release cannot read")]
    UnknownVersion(u8),
    /// It was sealed under a key that its keyring does not list.
    #[error("it was sealed under data key {0}, which its keyring does not list")]
    UnknownKey(DekId),
    /// It does not match its definition's format, or a definition's default does not.
    #[error("it does not match its format: {0}")]
    Invalid(FormatError),
    /// Its definition allows no value there.
    #[error("its definition allows no value at {0} scope")]
    ScopeNotAllowed(ScopeKind),
    /// Its index row says that it does not match its format, and it does.
    #[error("it is marked as not matching its format, and it matches")]
    WronglyMarked,
    /// An index row that should lead to it is missing, or leads elsewhere.
    #[error("the index row {0} does not lead to it")]
    NotIndexed(Index),
    /// What the index row leads to is missing.
    #[error("it leads to a row that is not there")]
    Dangling,
    /// What the index row leads to is another row.
    #[error("it leads to another row than it says")]
    LeadsElsewhere,
    /// What it belongs to is missing.
    #[error("there is no {0} that it belongs to")]
    Orphan(Parent),
    /// It is being deleted, and the job that does so is missing.
    #[error("it is being deleted, and the job that does so is missing")]
    NoJob,
    /// The number of definitions is not the one that it states.
    #[error("it states {stated} variable definitions, and there are {found}")]
    WrongCount {
        /// What the row says.
        stated: u64,
        /// How many there are.
        found: u64,
    },
    /// It changed each time that it was read, so that it could not be checked.
    #[error("it changed each time that it was read")]
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
            Self::Changing => "changing",
        }
    }

    /// What an error says about the row that it is about.
    pub(super) fn of(error: Error) -> Self {
        match error {
            Error::Damaged { cause, .. } => Self::Damaged(cause),
            Error::UnknownVersion { version, .. } => Self::UnknownVersion(version),
            Error::UnknownKey { dek_id, .. } => Self::UnknownKey(dek_id),
            Error::InvalidDefault(rule) => Self::Invalid(rule),
            _ => Self::Damaged(Damage::Inconsistent),
        }
    }
}

/// An index.
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

/// What a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Parent {
    /// A value's.
    Definition,
    /// An integration's.
    LinkedAccount,
    /// A credential's.
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

/// A data key, and how many rows were sealed under it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyUse {
    /// Whose key.
    pub org: OrgId,
    /// In which environment.
    pub environment: Environment,
    /// The linked account; `None` for the org's own.
    pub linked_account: Option<LinkedAccountId>,
    /// Which key.
    pub dek_id: DekId,
    /// What its keyring says of it.
    pub state: KeyState,
    /// How many rows were sealed under it: a key without rows is no longer needed.
    pub rows: u64,
}

/// What a keyring says of a data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum KeyState {
    /// New rows are sealed under it.
    Active,
    /// It opens what it sealed before.
    DecryptOnly,
    /// It was dropped on purpose: what it sealed is as good as gone.
    Dropped,
    /// The keyring does not list it, or could not be read.
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

/// How many findings are kept.
const FINDINGS_MAX: usize = 1_000;
