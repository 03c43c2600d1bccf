//! The control calls under `/api/admin/v1`: everything that an operator or a console does with a served vault, for API
//! keys with the [rights](crate::Right) to it. They are separate from the documented calls, which they never change.
//!
//! The bodies are the public types of this module, for Rust clients as well.

mod accounts;
mod audit;
mod backup;
mod bodies;
mod credentials;
mod definitions;
mod jobs;
mod keys;
mod matrix;
mod open_sessions;
mod operator;
mod queries;
mod resolve;
mod sessions;
mod values;
mod vault;
mod visible;

use axum::middleware::from_fn_with_state;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use self::bodies::{
    AccountSession, AccountView, ApiKey, ApiKeyRequest, Applied, AuditChange, AuditEvent, Batch, BatchDone,
    BatchValue, Cell, Changed, Column, Connection, ConnectionDeletion, CredentialInfo, CredentialShown,
    CredentialUndone, Definition, DefinitionChange, Deleted, Deletion, EntryState, IntegrationDeletion, Job,
    JobAction, KeyRevoked, Matrix, MatrixRow, MissingValue, NewAccount, NewCredential, NewDefinition,
    NewValue, Page, Plan, Progress, RefusedValue, Resolution, ResolvedValue, Restore, RestoreCredential,
    RevokeSessions, Revoked, Rotate, RotateKey, SettingsChange, Slot, Status, Step, Trace,
    UndeleteDefinition, Undo, UndoCredential, Undone, UnreadableRow, Usage, Value, ValueWritten,
    VaultSettings, Version,
};
pub use self::open_sessions::OpenSessions;
use self::operator::WithQuery;
pub use crate::auth::EndedSessions;
pub use crate::reason::Reason;
pub use crate::remedy::{next_of, next_of_damage, next_of_whole, word};
use crate::service::Service;
pub use crate::tasks::{Task, TaskFinding};
pub use crate::time::moment;

/// The control calls.
pub(crate) fn calls() -> OpenApiRouter<Service> {
    let calls = OpenApiRouter::new()
        .routes(routes!(vault::status))
        .routes(routes!(definitions::list, definitions::create))
        .routes(routes!(definitions::show, definitions::change, definitions::delete))
        .routes(routes!(definitions::undelete))
        .routes(routes!(matrix::matrix))
        .routes(routes!(values::list, values::batch))
        .routes(routes!(values::get, values::set, values::delete))
        .routes(routes!(values::history))
        .routes(routes!(values::undo))
        .routes(routes!(values::restore))
        .routes(routes!(resolve::all))
        .routes(routes!(resolve::explain))
        .routes(routes!(accounts::list, accounts::create))
        .routes(routes!(accounts::show, accounts::delete))
        .routes(routes!(accounts::usage))
        .routes(routes!(accounts::connections))
        .routes(routes!(accounts::connect, accounts::disconnect))
        .routes(routes!(accounts::add_connection, accounts::delete_connection))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::revoke))
        .routes(routes!(sessions::revoke_of_account))
        .routes(routes!(sessions::revoke_all))
        .routes(routes!(credentials::list))
        .routes(routes!(credentials::get, credentials::set, credentials::delete))
        .routes(routes!(credentials::history))
        .routes(routes!(credentials::undo))
        .routes(routes!(credentials::restore))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(keys::rotate))
        .routes(routes!(audit::list))
        .routes(routes!(accounts::usage_of_org))
        .routes(routes!(vault::settings, vault::change_settings))
        .routes(routes!(vault::slots))
        .routes(routes!(vault::remove_slot))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::run))
        .routes(routes!(jobs::act))
        .routes(routes!(jobs::rotate))
        .routes(routes!(jobs::verify))
        .routes(routes!(jobs::tasks))
        .routes(routes!(jobs::task))
        .routes(routes!(backup::backup));
    let with_query = WithQuery::of(calls.get_openapi());
    calls.layer(from_fn_with_state(with_query, operator::around))
}

/// The path of a control call in that of its route, which begins with the place where a host mounts the router.
pub(crate) fn path_in(route: &str) -> Option<&str> {
    route.find(BASE).and_then(|at| route.get(at..))
}

/// The prefix of the path of every control call.
pub const BASE: &str = "/api/admin/v1";
