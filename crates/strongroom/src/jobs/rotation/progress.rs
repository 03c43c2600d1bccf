//! What a host sees of a job: its kind, whether it goes on, how far it came, and what cannot be opened.

use crate::clock::Timestamp;
use crate::envelope::DekId;
use crate::error::{Damage, Error};
use crate::id::{DocumentId, Environment, LinkedAccountId, OrgId};
use crate::row::body::{FindingBody, Tally};

/// A job as it stands in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobInfo {
    /// Names the job.
    pub id: DocumentId,
    /// What it does.
    pub kind: JobKind,
    /// Whether it goes on.
    pub state: JobState,
    /// The org and environment that it is about; `None` for a job on the whole vault.
    pub tenant: Option<(OrgId, Environment)>,
    /// The linked account that it is about, if it is about one alone.
    pub account: Option<LinkedAccountId>,
    /// How far it came, of a job on keys.
    pub progress: Option<JobProgress>,
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobKind {
    /// Sweeps the rows of a definition, linked account or integration that was deleted.
    Sweep,
    /// Marks the values that do not match the changed format of their definition.
    Recheck,
    /// Gives scopes that were removed from a definition back where a value was set meanwhile.
    Narrow,
    /// Gives key scopes a new data key and seals their rows anew.
    DataKeys,
    /// Seals keyrings and jobs anew under a new root key.
    Root,
}

/// Whether a job goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobState {
    /// Whoever runs jobs next goes on with it.
    Ready,
    /// Somebody is at it, and nobody else until then.
    Running {
        /// When others may take it over, unless the lease is renewed.
        until: Timestamp,
    },
    /// Nobody goes on with it until [`KeyJob::resume`](crate::KeyJob::resume).
    Paused,
    /// Done, but for old keys that were kept since some rows cannot be opened: see
    /// [`KeyJob::retry`](crate::KeyJob::retry).
    Blocked,
}

/// How far a job on keys came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct JobProgress {
    /// Rows gone through, each counted once.
    pub done: u64,
    /// Rows that cannot be opened. They stay as they are.
    pub failed: u64,
    /// How many rows there were when the job counted them; rows come and go meanwhile.
    pub total: Option<u64>,
    /// For how long the job was being run, in milliseconds.
    pub worked_ms: u64,
    /// New keys.
    pub keys_made: u64,
    /// Old keys that are gone for good.
    pub keys_destroyed: u64,
    /// Old keys that were kept, since rows that cannot be opened may need them.
    pub keys_kept: u64,
    /// The first of the rows that cannot be opened.
    pub unreadable: Vec<Unreadable>,
}

impl JobProgress {
    /// Rows a second, once there is a time to divide by.
    #[must_use]
    pub fn rows_per_second(&self) -> Option<u64> {
        self.done.saturating_mul(1_000).checked_div(self.worked_ms)
    }

    pub(crate) fn of(tally: &Tally) -> Self {
        Self {
            done: tally.done,
            failed: tally.failed,
            total: tally.total,
            worked_ms: tally.worked_ms,
            keys_made: tally.keys_made,
            keys_destroyed: tally.keys_destroyed,
            keys_kept: tally.keys_kept,
            unreadable: tally.findings.iter().map(Unreadable::of).collect(),
        }
    }
}

/// A row that cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unreadable {
    /// Which row: its kind and the ids of its address, as in an error.
    pub row: String,
    /// Why it cannot be opened.
    pub cause: UnreadableCause,
}

/// Why a row cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnreadableCause {
    /// As [`Error::Damaged`].
    Damaged(Damage),
    /// As [`Error::UnknownKey`].
    UnknownKey(DekId),
    /// As [`Error::UnknownVersion`].
    UnknownVersion(u8),
}

impl Unreadable {
    fn of(finding: &FindingBody) -> Self {
        let cause = match (finding.cause, finding.version, finding.dek_id) {
            (UNKNOWN_VERSION, Some(version), _) => UnreadableCause::UnknownVersion(version),
            (UNKNOWN_KEY, _, Some(id)) => UnreadableCause::UnknownKey(DekId::from_bytes(id)),
            (MISSING, ..) => UnreadableCause::Damaged(Damage::Missing),
            (REJECTED, ..) => UnreadableCause::Damaged(Damage::Rejected),
            (INCONSISTENT, ..) => UnreadableCause::Damaged(Damage::Inconsistent),
            _ => UnreadableCause::Damaged(Damage::Malformed),
        };
        Self { row: finding.row.clone(), cause }
    }
}

/// The row that an error is about; the error itself where it is about something else.
pub(crate) fn finding(error: Error) -> Result<FindingBody, Error> {
    let found = |row, cause| FindingBody { row, cause, version: None, dek_id: None };
    match error {
        Error::Damaged { row, cause } => Ok(found(
            row,
            match cause {
                Damage::Missing => MISSING,
                Damage::Malformed => MALFORMED,
                Damage::Rejected => REJECTED,
                Damage::Inconsistent => INCONSISTENT,
            },
        )),
        Error::UnknownKey { row, dek_id } => {
            Ok(FindingBody { dek_id: Some(*dek_id.as_bytes()), ..found(row, UNKNOWN_KEY) })
        }
        Error::UnknownVersion { row, version } => {
            Ok(FindingBody { version: Some(version), ..found(row, UNKNOWN_VERSION) })
        }
        error => Err(error),
    }
}

const MISSING: u8 = 1;
const MALFORMED: u8 = 2;
const REJECTED: u8 = 3;
const INCONSISTENT: u8 = 4;
const UNKNOWN_KEY: u8 = 5;
const UNKNOWN_VERSION: u8 = 6;
