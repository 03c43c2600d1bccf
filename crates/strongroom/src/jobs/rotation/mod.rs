//! Rotation of data keys and of the root key, as jobs that continue after a crash.
//!
//! A rotation is a job row in the store. Its first batch gives key scopes a new active key; every later write of such a
//! scope uses it, since each expects the keyring. Then the rows under an older key are sealed again, page by page, each
//! as it was read. The older keys are destroyed once a complete pass, begun after the last change of the keyring, has
//! found nothing under them. Every batch expects the job's row, so a runner whose lease was taken over cannot continue.

pub(crate) mod data;
pub(crate) mod group;
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
