//! The body of a job on keys: its task, who is running it, and its progress.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::clock::Timestamp;
use crate::row::{RowError, encode_body};
use crate::store::Page;

/// A job on keys as it is stored.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(crate) struct KeyJobBody {
    #[n(0)]
    pub(crate) task: TaskBody,
    #[n(1)]
    pub(crate) status: Status,
    #[n(2)]
    pub(crate) lease: Option<Lease>,
    #[n(3)]
    pub(crate) counts: JobCounts,
    #[n(4)]
    pub(crate) created_ms: u64,
}

/// The task of a job, and how far it is.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
pub(crate) enum TaskBody {
    #[n(0)]
    DataKeys(#[n(0)] DataKeysBody),
    #[n(1)]
    Root(#[n(0)] RootBody),
}

/// Whether the job may be run.
#[derive(Encode, Decode, Debug, Clone, Copy, PartialEq, Eq)]
#[cbor(index_only)]
pub(crate) enum Status {
    #[n(0)]
    Ready,
    #[n(1)]
    Paused,
    /// Done, except that old keys are kept for rows that cannot be opened.
    #[n(2)]
    Blocked,
}

/// Who is running the job, and until when nobody else may.
#[derive(Encode, Decode, Debug, Clone, Copy, PartialEq, Eq)]
#[cbor(map)]
pub(crate) struct Lease {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) runner: [u8; 16],
    #[n(1)]
    pub(crate) until_ms: u64,
}

/// The progress of a job.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq, Default)]
#[cbor(map)]
pub(crate) struct JobCounts {
    /// Rows processed, each counted once.
    #[n(0)]
    pub(crate) done: u64,
    #[n(1)]
    pub(crate) failed: u64,
    /// Known once the rows have been counted.
    #[n(2)]
    pub(crate) total: Option<u64>,
    /// How long the job has run.
    #[n(3)]
    pub(crate) worked_ms: u64,
    #[n(4)]
    pub(crate) updated_ms: u64,
    #[n(5)]
    pub(crate) keys_made: u64,
    #[n(6)]
    pub(crate) keys_destroyed: u64,
    #[n(7)]
    pub(crate) keys_kept: u64,
    /// The first rows that cannot be opened.
    #[n(8)]
    pub(crate) findings: Vec<FindingBody>,
}

/// A row that cannot be opened.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(crate) struct FindingBody {
    #[n(0)]
    pub(crate) row: String,
    #[n(1)]
    pub(crate) cause: u8,
    /// The later version.
    #[n(2)]
    pub(crate) version: Option<u8>,
    /// The missing key.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub(crate) dek_id: Option<[u8; 16]>,
}

/// Rotates data keys.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(crate) struct DataKeysBody {
    /// `None` means every org; then environment and account are `None` too.
    #[n(0)]
    pub(crate) org: Option<String>,
    #[n(1)]
    pub(crate) environment: Option<String>,
    #[n(2)]
    pub(crate) account: Option<String>,
    #[n(3)]
    pub(crate) reach: Reach,
    /// Only keys that are at least this old.
    #[n(4)]
    pub(crate) older_than_ms: Option<u64>,
    /// Only keys whose scope has at least this many rows.
    #[n(5)]
    pub(crate) rows_at_least: Option<u64>,
    #[n(6)]
    pub(crate) on_unreadable: OnUnreadableBody,
    /// Makes no new keys: only finishes what an earlier run left.
    #[n(7)]
    pub(crate) finish_only: bool,
    #[n(8)]
    pub(crate) phase: DataPhase,
    /// The document id of the account, if only that registration is meant.
    #[cbor(n(9), with = "minicbor::bytes")]
    pub(crate) registration: Option<[u8; 12]>,
}

/// Seals again what is under the former root key.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(crate) struct RootBody {
    #[n(0)]
    pub(crate) on_unreadable: OnUnreadableBody,
    /// Range 0 holds the jobs, range 1 all tenants, of which only keyrings matter.
    #[n(1)]
    pub(crate) at: CursorBody,
    /// Rows sealed again in this pass.
    #[n(2)]
    pub(crate) resealed: u64,
    #[n(3)]
    pub(crate) failed: u64,
    /// Whether this is the first pass: only its rows are counted.
    #[n(4)]
    pub(crate) first: bool,
    #[n(5)]
    pub(crate) findings: Vec<FindingBody>,
}

/// Which keys of an org or account.
#[derive(Encode, Decode, Debug, Clone, Copy, PartialEq, Eq)]
#[cbor(index_only)]
pub(crate) enum Reach {
    /// The org's and those of all its linked accounts.
    #[n(0)]
    All,
    /// Only the org's own, or only the one account's.
    #[n(1)]
    Own,
}

#[derive(Encode, Decode, Debug, Clone, Copy, PartialEq, Eq)]
#[cbor(index_only)]
pub(crate) enum OnUnreadableBody {
    #[n(0)]
    Keep,
    #[n(1)]
    Destroy,
}

/// How far a rotation of data keys is. `after` is the last key that was processed.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
pub(crate) enum DataPhase {
    #[n(0)]
    Count {
        #[n(0)]
        at: CursorBody,
        #[n(1)]
        rows: u64,
    },
    /// Looks for the next keyring.
    #[n(1)]
    Seek {
        #[n(0)]
        after: Option<ByteVec>,
    },
    #[n(3)]
    Pass(#[n(0)] PassBody),
}

/// A position in a scan of several ranges.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq, Default)]
#[cbor(map)]
pub(crate) struct CursorBody {
    /// Which of the ranges.
    #[n(0)]
    pub(crate) range: u8,
    #[n(1)]
    pub(crate) after: Option<ByteVec>,
}

/// One pass over all rows of some key scopes of one org, so that a batch serves many of them.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(crate) struct PassBody {
    #[n(0)]
    pub(crate) scopes: Vec<PassScope>,
    /// How many of the scopes are done, and where the pass is in the next one.
    #[n(1)]
    pub(crate) scopes_done: u8,
    #[n(2)]
    pub(crate) at: CursorBody,
    /// Rows sealed again in this pass.
    #[n(3)]
    pub(crate) resealed: u64,
    /// Whether this is the first pass over the scopes: only its rows are counted.
    #[n(4)]
    pub(crate) first: bool,
    #[n(5)]
    pub(crate) findings: Vec<FindingBody>,
}

/// A key scope in a pass.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(crate) struct PassScope {
    /// The key of its keyring.
    #[n(0)]
    pub(crate) keyring: ByteVec,
    /// The keyring's revision when the pass began.
    #[n(1)]
    pub(crate) revision: u64,
    /// Rows that could not be opened.
    #[n(2)]
    pub(crate) failed: u64,
}

impl KeyJobBody {
    /// A new job that nobody runs yet.
    pub(crate) fn new(task: TaskBody, now: Timestamp) -> Self {
        let counts = JobCounts { updated_ms: now.as_ms(), ..JobCounts::default() };
        Self { task, status: Status::Ready, lease: None, counts, created_ms: now.as_ms() }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        encode_body(self)
    }

    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, RowError> {
        Ok(minicbor::decode(plaintext)?)
    }
}

impl CursorBody {
    /// The position after a page of the present range.
    pub(crate) fn past(self, page: &Page) -> Self {
        match page.rows.last() {
            Some((last, _)) if page.more => {
                Self { range: self.range, after: Some(last.as_bytes().to_vec().into()) }
            }
            _ => Self { range: self.range.saturating_add(1), after: None },
        }
    }
}

impl PassBody {
    /// A pass that is about to begin.
    pub(crate) fn over(scopes: Vec<PassScope>, first: bool) -> Self {
        Self { scopes, scopes_done: 0, at: CursorBody::default(), resealed: 0, first, findings: Vec::new() }
    }

    /// The scope that the pass is in.
    pub(crate) fn scope(&mut self) -> Option<&mut PassScope> {
        self.scopes.get_mut(usize::from(self.scopes_done))
    }

    /// Keeps the scopes for which `revision_of`, called in their order, returns the present revision of their
    /// keyring. One whose keys changed once the pass was in it comes last, to be looked through again: only a pass that
    /// starts now can show which of its rows are under an old key. Returns whether anything changed.
    pub(crate) fn follow(&mut self, mut revision_of: impl FnMut(&PassScope) -> Option<u64>) -> bool {
        let (begun, at) = (usize::from(self.scopes_done), std::mem::take(&mut self.at));
        let (mut kept, mut again, mut changed) = (Vec::new(), Vec::new(), false);
        self.scopes_done = 0;
        for (index, scope) in std::mem::take(&mut self.scopes).into_iter().enumerate() {
            let revision = revision_of(&scope);
            changed |= revision != Some(scope.revision);
            match revision {
                None => {}
                Some(revision) if revision == scope.revision => {
                    self.scopes_done += u8::from(index < begun);
                    if index == begun {
                        self.at = at.clone();
                    }
                    kept.push(scope);
                }
                Some(revision) if index > begun => kept.push(PassScope { revision, ..scope }),
                Some(revision) => again.push(PassScope { revision, failed: 0, ..scope }),
            }
        }
        kept.append(&mut again);
        self.scopes = kept;
        changed
    }
}

impl RootBody {
    /// The first pass, at its start.
    pub(crate) fn first(on_unreadable: OnUnreadableBody) -> Self {
        Self {
            on_unreadable,
            at: CursorBody::default(),
            resealed: 0,
            failed: 0,
            first: true,
            findings: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pass that is in the third of five scopes.
    fn pass() -> PassBody {
        let scope = |name: u8| PassScope { keyring: vec![name].into(), revision: 1, failed: 1 };
        let at = CursorBody { range: 1, after: Some(vec![9].into()) };
        PassBody { scopes_done: 2, at, ..PassBody::over((0..5).map(scope).collect(), true) }
    }

    /// The names of the scopes after one of them has this revision, how many are done, and whether the pass is in the
    /// middle of the next one.
    fn names_after(one: u8, revision: Option<u64>) -> (Vec<u8>, u8, bool) {
        let mut pass = pass();
        assert!(pass.follow(|scope| if *scope.keyring == [one] { revision } else { Some(1) }));
        let is_new = |scope: &PassScope| scope.revision == 2 && *scope.keyring == [one];
        assert!(pass.scopes.iter().all(|scope| scope.revision == 1 || is_new(scope)));
        let names = pass.scopes.iter().map(|scope| scope.keyring[0]).collect();
        (names, pass.scopes_done, pass.at != CursorBody::default())
    }

    #[test]
    fn a_pass_whose_keys_are_the_same_continues_where_it_was() {
        let mut followed = pass();
        assert!(!followed.follow(|scope| Some(scope.revision)));
        assert_eq!(followed, pass());
    }

    #[test]
    fn a_scope_whose_keys_changed_once_the_pass_was_in_it_comes_last_and_no_other_begins_again() {
        assert_eq!(names_after(0, Some(2)), (vec![1, 2, 3, 4, 0], 1, true));
        assert_eq!(names_after(1, Some(2)), (vec![0, 2, 3, 4, 1], 1, true));
        assert_eq!(names_after(2, Some(2)), (vec![0, 1, 3, 4, 2], 2, false));
        let mut pass = pass();
        pass.follow(|scope| Some(if *scope.keyring == [2] { 2 } else { 1 }));
        let failed = pass.scopes.iter().map(|scope| scope.failed);
        assert!(failed.eq([1, 1, 1, 1, 0]), "only what it found there is counted again");
    }

    #[test]
    fn a_scope_whose_keys_changed_before_the_pass_was_in_it_keeps_its_place() {
        for ahead in [3, 4] {
            assert_eq!(names_after(ahead, Some(2)), (vec![0, 1, 2, 3, 4], 2, true));
        }
    }

    #[test]
    fn a_scope_that_is_gone_is_left_out() {
        assert_eq!(names_after(0, None), (vec![1, 2, 3, 4], 1, true));
        assert_eq!(names_after(2, None), (vec![0, 1, 3, 4], 2, false));
        assert_eq!(names_after(4, None), (vec![0, 1, 2, 3], 2, true));
    }
}
