//! The vault as a whole: its state, settings and key slots.

use axum::Json;
use strongroom::SlotId;

use super::BASE;
use super::bodies::{Deleted, SettingsChange, Slot, Status, VaultSettings};
use super::operator::{Operator, full};
use super::queries::RemoveSlotQuery;
use crate::auth::Right;
use crate::error::Failure;
use crate::openapi::Refusals;
use crate::reason::Reason;
use crate::request::{Body, Query, Segment};

/// The state of the service and of its vault, and the rights of the key of the call
#[utoipa::path(
    get, context_path = BASE, path = "/status", tag = "control: vault",
    responses((status = 200, body = Status), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn status(operator: Operator) -> Result<Json<Status>, Failure> {
    let settings = operator.vault().settings().await.map_err(full)?;
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        store_id: operator.vault().store_id(),
        org_id: operator.org.id().to_string(),
        environment: operator.org.environment().to_string(),
        api_key_id: operator.key_id.to_string(),
        rights: operator.grant().rights().map(|right| right.as_str().to_owned()).collect(),
        names: operator.grant().names().to_vec(),
        accounts: operator.grant().accounts().iter().map(ToString::to_string).collect(),
        ready: !operator.service.is_draining() && operator.service.check_ready().await.is_ok(),
        settings: VaultSettings::of(settings),
    }))
}

/// The settings of the vault
#[utoipa::path(
    get, context_path = BASE, path = "/settings", tag = "control: vault",
    responses((status = 200, body = VaultSettings), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn settings(operator: Operator) -> Result<Json<VaultSettings>, Failure> {
    operator.may(Right::Operate)?;
    Ok(Json(VaultSettings::of(operator.vault().settings().await.map_err(full)?)))
}

/// Changes settings of the vault
#[utoipa::path(
    patch, context_path = BASE, path = "/settings", tag = "control: vault", request_body = SettingsChange,
    responses((status = 200, body = VaultSettings), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn change_settings(
    operator: Operator,
    Body(body): Body<SettingsChange>,
) -> Result<Json<VaultSettings>, Failure> {
    operator.may(Right::Operate)?;
    if body.audit == Some(false) {
        // Until it is on again, nothing would record what is done, nor that it was off.
        return Err(Failure::bad_request(
            "the audit is turned off where the vault is: `strongroom audit --off`",
        ));
    }
    let change = |settings: &mut strongroom::Settings| {
        settings.audit = body.audit.unwrap_or(settings.audit);
        settings.generations = body.generations.unwrap_or(settings.generations);
    };
    let before = operator.vault().settings().await.map_err(full)?;
    let Some(deed) = body.deed() else { return Ok(Json(VaultSettings::of(before))) };
    let change = async { operator.vault().change_settings(change).await.map_err(full) };
    operator.operate(&deed, change).await?;
    let settings = operator.vault().settings().await.map_err(full)?;
    if settings.audit && !before.audit {
        // Before, there was no audit to note it in.
        operator.note_operation(&deed).await?;
    }
    Ok(Json(VaultSettings::of(settings)))
}

/// Lists the key slots of the vault, without their keys
///
/// Slots are added and changed with the command line, where their keys are: no key is sent.
#[utoipa::path(
    get, context_path = BASE, path = "/slots", tag = "control: vault",
    responses((status = 200, body = Vec<Slot>), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn slots(operator: Operator) -> Result<Json<Vec<Slot>>, Failure> {
    operator.may(Right::Operate)?;
    let slots = operator.vault().slots().list().await.map_err(full)?;
    Ok(Json(slots.iter().map(Slot::of).collect()))
}

/// Removes a key slot, except the last one that opens the vault
///
/// The slot that the service opened the vault with is removed only with `own`.
#[utoipa::path(
    delete, context_path = BASE, path = "/slots/{id}", tag = "control: vault",
    params(("id" = String, Path), RemoveSlotQuery),
    responses((status = 200, body = Deleted), Refusals), security(("api_key" = [])),
)]
pub(crate) async fn remove_slot(
    operator: Operator,
    Segment(id): Segment,
    Query(query): Query<RemoveSlotQuery>,
) -> Result<Json<Deleted>, Failure> {
    operator.may(Right::Operate)?;
    let slot: SlotId = id.parse().map_err(|_| Failure::absent(Reason::SlotNotFound, "Key slot not found"))?;
    let slots = operator.vault().slots();
    if !query.takes_own()? {
        let all = slots.list().await.map_err(full)?;
        let is_last = !all.iter().any(|other| other.id != slot && other.is_usable);
        // The last one is refused anyway, for a better reason.
        if !is_last && all.iter().any(|other| other.id == slot && other.is_own) {
            return Err(Failure::bad_request(
                "the service opened the vault with this key slot, and would not start again: own=true removes it",
            ));
        }
    }
    let remove = async { slots.remove(&slot).await.map_err(full) };
    operator.operate(&format!("slot remove {slot}"), remove).await?;
    Ok(Json(Deleted { name: id, deleted: true }))
}
