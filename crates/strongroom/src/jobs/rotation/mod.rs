//! Keys for life: rotation of data keys, as jobs that go on after a crash.
//!
//! A rotation is a job row in the store. Its first batch gives a key scope a new active key; from then on every write
//! of the scope uses it, since each expects the keyring. Then the rows that are under an older key are sealed anew,
//! page by page, each as it was read. Once a whole walk that began after the last change of the keyring has found
//! nothing under an older key, the older keys are destroyed. Every batch expects the job's row, so that a runner whose
//! lease was taken over cannot go on.

pub(crate) mod data;
pub(crate) mod job;
pub(crate) mod lease;
pub(crate) mod list;
pub(crate) mod progress;
pub(crate) mod reseal;
pub(crate) mod root;
pub(crate) mod root_begin;
pub(crate) mod run;
pub(crate) mod select;

pub use job::{JobOutcome, JobReport, KeyJob};

pub use progress::{JobInfo, JobKind, JobProgress, JobState, Unreadable, UnreadableCause};
pub use root_begin::{NewRoot, RootRotation};
pub use select::{DataKeys, OnUnreadable};
