//! Bodies: the plaintexts of sealed rows, except for those that hold keys.

mod account;
mod definition;
mod event;
mod job;
mod key_job;
mod metadata;
mod value;

pub(crate) use account::{AccountBody, IntegrationBody, RefreshEnd, RefreshNote};
pub(crate) use definition::{decode_definition, encode_definition};
pub(crate) use event::{
    AuditFloorBody, AuditHeadBody, ChainCut, ChainHeadBody, ChainStart, EventBody, EventHash,
};
pub(crate) use job::Sweep;
pub(crate) use key_job::{
    CursorBody, DataKeysBody, DataPhase, FindingBody, JobCounts, KeyJobBody, Lease, OnUnreadableBody,
    PassBody, PassScope, Reach, RootBody, Status, TaskBody,
};
pub(crate) use value::{Times, VACANT, ValueBody};
