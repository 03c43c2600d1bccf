//! The vault as a whole: its state, slots, jobs and checks.

use serde::{Deserialize, Serialize};
use strongroom::{JobInfo, JobKind, JobProgress, JobState, SlotInfo, SlotKind, UnreadableCause};
use utoipa::ToSchema;

use super::opaque;
use crate::request::present;
use crate::time;

/// The state of the service and of its vault, and what the key of the call may do.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The version of the service.
    pub version: String,
    /// The id of the store.
    pub store_id: String,
    /// The org that the key belongs to.
    pub org_id: String,
    /// The environment that the key belongs to.
    pub environment: String,
    /// The id of the key.
    pub api_key_id: String,
    /// What the key may do.
    pub rights: Vec<String>,
    /// The names of variables to which the key is narrowed; empty for all.
    #[serde(default)]
    pub names: Vec<String>,
    /// The linked accounts to which it is narrowed; empty for the whole org.
    #[serde(default)]
    pub accounts: Vec<String>,
    /// Whether requests are served, as `/readyz` reports.
    pub ready: bool,
    /// The settings of the vault.
    pub settings: VaultSettings,
}

/// The settings of a vault.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct VaultSettings {
    /// Whether every write is recorded in the audit.
    pub audit: bool,
    /// Whether every org has a counter that changes with what its runs see.
    pub generations: bool,
}

/// The changes to the settings; absent fields stay as they are, and `null` is refused.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SettingsChange {
    /// Whether every write is to be recorded in the audit.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub audit: Option<bool>,
    /// Whether every org is to have a counter that changes with what its runs see.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub generations: Option<bool>,
}

/// A key slot, without its key.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Slot {
    /// Its id.
    pub id: String,
    /// `raw_key`, `passphrase`, `provider`, `unreadable`, or `missing` if its row is gone.
    pub kind: String,
    /// A description of what opens it.
    pub opened_by: String,
    /// When it was added.
    pub since: Option<String>,
    /// Whether it can be used.
    pub usable: bool,
    /// Whether the service opened the vault with it.
    #[serde(default)]
    pub own: bool,
}

/// A job in the store.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// `sweep`, `recheck`, `narrow`, `data_keys` or `root`.
    pub kind: String,
    /// `ready`, `running`, `paused` or `blocked`.
    pub state: String,
    /// The org that it works on.
    pub org_id: Option<String>,
    /// The environment that it works on.
    pub environment: Option<String>,
    /// The linked account that it works on.
    pub linked_account_id: Option<String>,
    /// Its progress.
    pub progress: Option<Progress>,
}

/// The progress of a job on keys.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Rows processed.
    pub rows: u64,
    /// How many rows there were when the job counted them.
    pub rows_total: Option<u64>,
    /// Rows that cannot be opened.
    pub failed: u64,
    /// How many new keys were made.
    pub keys_made: u64,
    /// How many old keys were destroyed.
    pub keys_destroyed: u64,
    /// How many old keys were kept for rows that cannot be opened.
    pub keys_kept: u64,
    /// How long it has run, in milliseconds.
    pub worked_ms: u64,
    /// The first rows that cannot be opened.
    pub unreadable: Vec<UnreadableRow>,
}

/// A row that cannot be opened.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct UnreadableRow {
    /// The row: its kind and the ids in its address.
    pub row: String,
    /// Why.
    pub message: String,
}

/// What to do with a job.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobAction {
    /// `pause`, `resume`, `retry`, `abandon`, or `retry_destroying_keys`, which gives up rows that cannot be opened.
    pub action: String,
}

/// Which data keys to rotate.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rotate {
    /// Only the key of this linked account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linked_account_id: Option<String>,
    /// The keys of every org and environment, not only those of the key of the call.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Only keys that have been in use for at least this long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older_than_secs: Option<u64>,
    /// Only keys that seal at least this many rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_at_least: Option<u64>,
}

opaque!(Status, VaultSettings, SettingsChange, Slot, Job, Progress, UnreadableRow, JobAction, Rotate);

impl SettingsChange {
    /// A description of the request; `None` if it asks for nothing.
    pub(crate) fn deed(&self) -> Option<String> {
        let asked = [("audit", self.audit), ("generations", self.generations)];
        let asked = asked.into_iter().filter_map(|(setting, value)| Some((setting, value?)));
        let asked = asked.map(|(setting, value)| format!("{setting} {}", if value { "on" } else { "off" }));
        let asked = asked.collect::<Vec<_>>().join(", ");
        (!asked.is_empty()).then(|| format!("settings: {asked}"))
    }
}

impl VaultSettings {
    pub(crate) fn of(settings: strongroom::Settings) -> Self {
        Self { audit: settings.audit, generations: settings.generations }
    }
}

impl Slot {
    pub(crate) fn of(slot: &SlotInfo) -> Self {
        let (kind, opened_by) = match &slot.kind {
            SlotKind::RawKey => ("raw_key", "a root key".to_owned()),
            SlotKind::Passphrase(params) => {
                ("passphrase", format!("a passphrase ({} KiB)", params.memory_kib()))
            }
            SlotKind::Provider { kind, key } => ("provider", format!("{kind} key {}", key.id)),
            SlotKind::Unreadable => ("unreadable", "nothing".to_owned()),
            SlotKind::Missing => ("missing", "nothing".to_owned()),
            // A kind from a later engine.
            #[allow(clippy::wildcard_enum_match_arm, reason = "the enum is not exhaustive")]
            _ => ("other", "another kind of key".to_owned()),
        };
        Self {
            id: slot.id.to_string(),
            kind: kind.to_owned(),
            opened_by,
            since: slot.since.map(time::iso),
            usable: slot.is_usable,
            own: slot.is_own,
        }
    }
}

impl Job {
    /// A job as the control calls show it.
    #[must_use]
    pub fn of(job: &JobInfo) -> Self {
        Self {
            id: job.id.to_string(),
            kind: kind(job.kind).to_owned(),
            state: state(job.state).to_owned(),
            org_id: job.tenant.as_ref().map(|(org, _)| org.to_string()),
            environment: job.tenant.as_ref().map(|(_, environment)| environment.to_string()),
            linked_account_id: job.account.as_ref().map(ToString::to_string),
            progress: job.progress.as_ref().map(Progress::of),
        }
    }
}

impl Progress {
    /// The progress of a job as the control calls show it.
    #[must_use]
    pub fn of(progress: &JobProgress) -> Self {
        let unreadable = progress.unreadable.iter();
        Self {
            rows: progress.done,
            rows_total: progress.total,
            failed: progress.failed,
            keys_made: progress.keys_made,
            keys_destroyed: progress.keys_destroyed,
            keys_kept: progress.keys_kept,
            worked_ms: progress.worked_ms,
            unreadable: unreadable
                .map(|row| UnreadableRow { row: row.row.clone(), message: cause(&row.cause) })
                .collect(),
        }
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the enums are not exhaustive")]
fn cause(cause: &UnreadableCause) -> String {
    match cause {
        UnreadableCause::Damaged(damage) => damage.to_string(),
        UnreadableCause::UnknownKey(id) => format!("it was sealed under data key {id}, which is missing"),
        UnreadableCause::UnknownVersion(version) => format!("it has version {version}, from a newer release"),
        _ => "it cannot be opened".to_owned(),
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the enum is not exhaustive")]
fn kind(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Sweep => "sweep",
        JobKind::Recheck => "recheck",
        JobKind::Narrow => "narrow",
        JobKind::DataKeys => "data_keys",
        JobKind::Root => "root",
        _ => "other",
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the enum is not exhaustive")]
fn state(state: JobState) -> &'static str {
    match state {
        JobState::Ready => "ready",
        JobState::Running { .. } => "running",
        JobState::Paused => "paused",
        JobState::Blocked => "blocked",
        _ => "other",
    }
}
