//! `slot`: the keys that open the vault.

use serde_json::{Value, json};
use strongroom::{SlotId, SlotInfo, SlotKind, Vault};

use crate::args::SlotCommand;
use crate::failure::Failure;
use crate::keys;
use crate::output::{Output, time, yes};

pub(crate) async fn run(vault: &Vault, command: SlotCommand, output: &Output) -> Result<(), Failure> {
    match command {
        SlotCommand::List => list(vault, output).await,
        SlotCommand::Add { key } => {
            let slot = vault.slots().add(keys::for_slot(key.source(), output)?).await?;
            output
                .done(&format!("added key slot {}, opened by {}", slot.id, kind(&slot.kind)), &json_of(&slot))
        }
        SlotCommand::Change { id, key } => {
            let slot = vault.slots().change(&id, keys::for_slot(key.source(), output)?).await?;
            output.done(&format!("key slot {id} is now opened by {}", kind(&slot.kind)), &json_of(&slot))
        }
        SlotCommand::Remove { id } => remove(vault, &id, output).await,
    }
}

async fn list(vault: &Vault, output: &Output) -> Result<(), Failure> {
    let slots = vault.slots().list().await?;
    let rows = slots.iter().map(|slot| {
        let since = slot.since.map_or_else(String::new, time);
        [slot.id.to_string(), kind(&slot.kind), since, yes(slot.is_usable)]
    });
    let json: Vec<_> = slots.iter().map(json_of).collect();
    output.list(["ID", "OPENED BY", "SINCE", "USABLE"], rows, &json)
}

async fn remove(vault: &Vault, id: &SlotId, output: &Output) -> Result<(), Failure> {
    vault.slots().remove(id).await?;
    output.done(&format!("removed key slot {id}"), &json!({ "id": id.to_string(), "removed": true }))
}

fn kind(kind: &SlotKind) -> String {
    match kind {
        SlotKind::RawKey => "a root key file".to_owned(),
        SlotKind::Passphrase(params) => {
            let (mib, passes) = (params.memory_kib() / 1024, params.iterations());
            format!("a passphrase, {mib} MiB, {passes} passes, {} lanes", params.lanes())
        }
        SlotKind::Provider { kind, key } => format!("{kind} key {}", key.id),
        _ => "nothing: its row cannot be read".to_owned(),
    }
}

fn json_of(slot: &SlotInfo) -> Value {
    let (kind, more) = match &slot.kind {
        SlotKind::RawKey => ("raw_key", Value::Null),
        SlotKind::Passphrase(params) => {
            let (memory_kib, passes) = (params.memory_kib(), params.iterations());
            ("passphrase", json!({ "memory_kib": memory_kib, "passes": passes, "lanes": params.lanes() }))
        }
        SlotKind::Provider { kind, key } => {
            ("provider", json!({ "provider": kind, "key_id": key.id, "key_version": key.version }))
        }
        _ => ("unreadable", Value::Null),
    };
    json!({
        "id": slot.id.to_string(),
        "kind": kind,
        "parameters": more,
        "revision": slot.revision.as_u64(),
        "since": slot.since.map(time),
        "usable": slot.is_usable,
    })
}
