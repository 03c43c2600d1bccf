//! What is inside the record of a job on keys: what it is to do, who is at it, and how far it came.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::clock::Timestamp;
use crate::row::{RowError, infallible};
use crate::store::Page;

/// A job on keys as it stands in the store.
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
    pub(crate) tally: Tally,
    #[n(4)]
    pub(crate) created_ms: u64,
}

/// What the job is to do, and where it stands.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
pub(crate) enum TaskBody {
    #[n(0)]
    DataKeys(#[n(0)] DataKeysBody),
    #[n(1)]
    Root(#[n(0)] RootBody),
}

/// Whether the job may go on.
#[derive(Encode, Decode, Debug, Clone, Copy, PartialEq, Eq)]
#[cbor(index_only)]
pub(crate) enum Status {
    #[n(0)]
    Ready,
    #[n(1)]
    Paused,
    /// Done but for keys that rows which cannot be opened may need.
    #[n(2)]
    Blocked,
}

/// Who runs the job, and until when nobody else does.
#[derive(Encode, Decode, Debug, Clone, Copy, PartialEq, Eq)]
#[cbor(map)]
pub(crate) struct Lease {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) runner: [u8; 16],
    #[n(1)]
    pub(crate) until_ms: u64,
}

/// How far the job came.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq, Default)]
#[cbor(map)]
pub(crate) struct Tally {
    /// Rows gone through, each once.
    #[n(0)]
    pub(crate) done: u64,
    #[n(1)]
    pub(crate) failed: u64,
    /// Known once the rows were counted.
    #[n(2)]
    pub(crate) total: Option<u64>,
    /// How long a runner was at it.
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
    /// None means every org; then there is neither environment nor account.
    #[n(0)]
    pub(crate) org: Option<String>,
    #[n(1)]
    pub(crate) environment: Option<String>,
    #[n(2)]
    pub(crate) account: Option<String>,
    #[n(3)]
    pub(crate) reach: Reach,
    /// Only keys that are older.
    #[n(4)]
    pub(crate) older_than_ms: Option<u64>,
    /// Only keys of at least so many rows.
    #[n(5)]
    pub(crate) rows_at_least: Option<u64>,
    #[n(6)]
    pub(crate) on_unreadable: OnUnreadableBody,
    /// Makes no key: only finishes what an earlier round left.
    #[n(7)]
    pub(crate) finish_only: bool,
    #[n(8)]
    pub(crate) phase: DataPhase,
}

/// Seals what is under the former root key anew.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(crate) struct RootBody {
    #[n(0)]
    pub(crate) on_unreadable: OnUnreadableBody,
    /// Range 0 is that of the jobs, range 1 that of all tenants, of which only keyrings count.
    #[n(1)]
    pub(crate) at: CursorBody,
    /// Rows sealed anew in this walk.
    #[n(2)]
    pub(crate) resealed: u64,
    #[n(3)]
    pub(crate) failed: u64,
    /// Whether this is the first walk, whose rows are counted.
    #[n(4)]
    pub(crate) first: bool,
    #[n(5)]
    pub(crate) findings: Vec<FindingBody>,
}

/// Which keys of what is named.
#[derive(Encode, Decode, Debug, Clone, Copy, PartialEq, Eq)]
#[cbor(index_only)]
pub(crate) enum Reach {
    /// Those of the org and of every linked account.
    #[n(0)]
    All,
    /// Those of the org itself, or of the one account.
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

/// Where the rotation of data keys stands. An `after` is the last key that was gone through.
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
    #[n(2)]
    Pass(#[n(0)] PassBody),
}

/// How far a walk through several ranges came.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq, Default)]
#[cbor(map)]
pub(crate) struct CursorBody {
    /// Which of the ranges.
    #[n(0)]
    pub(crate) range: u8,
    #[n(1)]
    pub(crate) after: Option<ByteVec>,
}

/// One walk through all rows of a key scope.
#[derive(Encode, Decode, Debug, Clone, PartialEq, Eq)]
#[cbor(map)]
pub(crate) struct PassBody {
    /// The key of the scope's keyring.
    #[n(0)]
    pub(crate) keyring: ByteVec,
    /// The keyring's revision when the walk began.
    #[n(1)]
    pub(crate) revision: u64,
    #[n(2)]
    pub(crate) at: CursorBody,
    /// Rows sealed anew in this walk.
    #[n(3)]
    pub(crate) resealed: u64,
    #[n(4)]
    pub(crate) failed: u64,
    /// Whether this is the first walk through the scope, whose rows are counted.
    #[n(5)]
    pub(crate) first: bool,
    #[n(6)]
    pub(crate) findings: Vec<FindingBody>,
}

impl KeyJobBody {
    /// A new job, which nobody runs yet.
    pub(crate) fn new(task: TaskBody, now: Timestamp) -> Self {
        let tally = Tally { updated_ms: now.as_ms(), ..Tally::default() };
        Self { task, status: Status::Ready, lease: None, tally, created_ms: now.as_ms() }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut plaintext = Vec::new();
        infallible(minicbor::encode(self, &mut plaintext));
        plaintext
    }

    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, RowError> {
        Ok(minicbor::decode(plaintext)?)
    }
}

impl CursorBody {
    /// After a page of the range that it stands in.
    pub(crate) fn past(self, page: &Page) -> Self {
        match page.rows.last() {
            Some((last, _)) if page.more => {
                Self { range: self.range, after: Some(last.as_bytes().to_vec().into()) }
            }
            _ => Self { range: self.range.saturating_add(1), after: None },
        }
    }
}

impl RootBody {
    /// The first walk from the start.
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
