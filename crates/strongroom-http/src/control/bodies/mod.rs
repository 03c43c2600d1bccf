//! The bodies of the control calls. A client in Rust uses the same types, so each can be read and written.

mod accounts;
mod definitions;
mod keys;
mod matrix;
mod operations;
mod values;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::UNREADABLE;

pub use accounts::{
    AccountSession, AccountView, AuditChange, AuditEvent, Connection, ConnectionDeletion, CredentialInfo,
    CredentialShown, CredentialUndone, IntegrationDeletion, NewAccount, NewCredential, RestoreCredential,
    RevokeSessions, Revoked, UndoCredential, Usage,
};
pub use definitions::{
    Definition, DefinitionChange, Deletion, NewDefinition, Plan, RefusedValue, UndeleteDefinition,
};
pub use keys::{ApiKey, ApiKeyRequest, KeyRevoked, RotateKey};
pub use matrix::{Cell, Column, EntryState, Matrix, MatrixRow};
pub use operations::{
    Job, JobAction, Progress, Rotate, SettingsChange, Slot, Status, UnreadableRow, VaultSettings,
};
pub use values::{
    Applied, Batch, BatchDone, BatchValue, MissingValue, NewValue, Resolution, ResolvedValue, Restore, Step,
    Trace, Undo, Undone, Value, ValueWritten, Version,
};

pub(super) use values::scope_of;

/// A `Debug` that shows only the name of the type: its fields may be secrets, or come from a request.
macro_rules! opaque {
    ($($name:ident),* $(,)?) => {
        $(impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        })*
    };
}
pub(super) use opaque;

/// A page of a list.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// The `after` of the next page; `null` at the end of the list. No item is skipped or shown twice, even if others
    /// are deleted meanwhile.
    pub next: Option<String>,
    /// In a list of definitions, values, linked accounts, sessions or API keys: why those of this page that cannot be
    /// read are not among the items. Absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

/// Something that was changed.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// Its id.
    pub id: String,
    /// What was done.
    pub done: String,
}

/// Something that was deleted.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Deleted {
    /// Its name or id.
    pub name: String,
    /// Always `true`.
    pub deleted: bool,
}

/// The body of a call that needs none: nothing, or an empty object. Any field would be ignored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoFields {}

impl<T> std::fmt::Debug for Page<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Page").field("items", &self.items.len()).finish_non_exhaustive()
    }
}

impl<T> Page<T> {
    /// A page of the engine, each item as `show` converts it.
    pub(super) fn of<I>(listing: strongroom::Listing<I>, show: impl FnMut(I) -> T) -> Self {
        let next = listing.next.map(|cursor| cursor.to_string());
        Self::new(listing.items.into_iter().map(show).collect(), next)
    }

    pub(super) fn new(items: Vec<T>, next: Option<String>) -> Self {
        Self { items, next, unreadable: Vec::new() }
    }

    /// The same for a narrowed key, which is not told what a list is short of.
    pub(super) fn short_of_unnamed(mut self, is_short: bool) -> Self {
        self.unreadable.extend(is_short.then(|| UNREADABLE.to_owned()));
        self
    }
}

opaque!(Changed, Deleted);
