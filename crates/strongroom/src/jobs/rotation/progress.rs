//! A job as a host sees it: its kind, its state, its progress, and which rows cannot be opened.

use crate::clock::Timestamp;
use crate::envelope::DekId;
use crate::error::{Damage, Error};
use crate::id::{DocumentId, Environment, LinkedAccountId, OrgId};
use crate::row::body::{FindingBody, JobCounts};

/// A job in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobInfo {
    /// The id of the job.
    pub id: DocumentId,
    /// What it does.
    pub kind: JobKind,
    /// Its state.
    pub state: JobState,
    /// The org and environment that it works on; `None` for a job on the whole vault.
    pub tenant: Option<(OrgId, Environment)>,
    /// The linked account, if it works on only one.
    pub account: Option<LinkedAccountId>,
    /// Its progress, for a job on keys.
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
    /// Allows removed scopes of a definition again if a value was set there meanwhile.
    Narrow,
    /// Gives key scopes a new data key and seals their rows again.
    DataKeys,
    /// Seals keyrings and jobs again under a new root key.
    Root,
}

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobState {
    /// No runner holds it: the next run of jobs continues it.
    Ready,
    /// A runner holds it.
    Running {
        /// When another runner may take it over, unless the lease is renewed.
        until: Timestamp,
    },
    /// It is paused until [`KeyJob::resume`](crate::KeyJob::resume) is called.
    Paused,
    /// Done, except that old keys were kept because some rows cannot be opened: see
    /// [`KeyJob::retry`](crate::KeyJob::retry).
    Blocked,
}

/// The progress of a job on keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct JobProgress {
    /// Rows processed, each counted once.
    pub done: u64,
    /// Rows that cannot be opened. They are left as they are.
    pub failed: u64,
    /// How many rows there were when the job counted them. Rows may be added and deleted meanwhile.
    pub total: Option<u64>,
    /// How long the job has run, in milliseconds.
    pub worked_ms: u64,
    /// How many new keys were made.
    pub keys_made: u64,
    /// How many old keys were destroyed.
    pub keys_destroyed: u64,
    /// How many old keys were kept because rows that cannot be opened may need them.
    pub keys_kept: u64,
    /// The first rows that cannot be opened.
    pub unreadable: Vec<Unreadable>,
}

impl JobProgress {
    /// Rows per second; `None` until any time was measured.
    #[must_use]
    pub fn rows_per_second(&self) -> Option<u64> {
        self.done.saturating_mul(1_000).checked_div(self.worked_ms)
    }

    pub(crate) fn of(counts: &JobCounts) -> Self {
        Self {
            done: counts.done,
            failed: counts.failed,
            // Rows may be added after they were counted.
            total: counts.total.map(|total| total.max(counts.done)),
            worked_ms: counts.worked_ms,
            keys_made: counts.keys_made,
            keys_destroyed: counts.keys_destroyed,
            keys_kept: counts.keys_kept,
            unreadable: counts.findings.iter().map(Unreadable::of).collect(),
        }
    }
}

/// A row that cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unreadable {
    /// The row: its kind and the ids of its address, as in an error.
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

/// The finding for an error about a row; the error itself if it is about something else.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_row_cannot_be_opened_is_what_its_error_said() {
        let (row, dek_id) = (|| "a row".to_owned(), DekId::from_bytes([7; 16]));
        let mut all = vec![
            (Error::UnknownKey { row: row(), dek_id }, UnreadableCause::UnknownKey(dek_id)),
            (Error::UnknownVersion { row: row(), version: 9 }, UnreadableCause::UnknownVersion(9)),
        ];
        for cause in [Damage::Missing, Damage::Malformed, Damage::Rejected, Damage::Inconsistent] {
            all.push((Error::Damaged { row: row(), cause }, UnreadableCause::Damaged(cause)));
        }
        for (error, cause) in all {
            let unreadable = Unreadable::of(&finding(error).unwrap());
            assert_eq!(unreadable, Unreadable { row: row(), cause });
        }
    }

    #[test]
    fn a_rate_is_of_rows_in_a_second_and_needs_a_time() {
        let progress = |worked_ms| JobProgress { done: 30, worked_ms, ..JobProgress::default() };
        assert_eq!([0, 1_000, 2_000].map(|ms| progress(ms).rows_per_second()), [None, Some(30), Some(15)]);
    }
}
