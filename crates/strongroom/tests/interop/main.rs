//! A whole vault, read a second time by a decoder that was written from `docs/FORMAT.md` and shares no code with the
//! crate.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod decoder;
mod pem;
mod rich;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use argon2::{Algorithm, Argon2, Params, Version};
use async_trait::async_trait;
use futures_executor::block_on;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use strongroom::provider::{Destruction, KeyProvider, ProviderError, ProviderKey, WrapContext, Wrapped};
use strongroom::{
    Argon2Params, AuditFilter, Backup, DefinitionFilter, DefinitionId, DocumentId, Environment, Expected,
    PageRequest, RawKey, Scope, Unlock, Vault, VaultOptions, WriteOptions,
};

use decoder::{decode, definition, dump, number, rows, said, said_in, scope_of, text, without_nulls};
use rich::{ACCOUNTS, RAW_KEY, Rich, Stopping};

#[test]
fn values_are_decoded_as_they_were_written() {
    let rich = block_on(Rich::build());
    let decoded = rich.decoded();
    for (org, written) in rich.orgs.iter().zip(&rich.values) {
        let names: BTreeMap<&str, &str> = rows(&decoded, "definition", org)
            .map(|row| (text(row, "definition_id"), text(row, "name")))
            .collect();
        let mut found: Vec<_> = rows(&decoded, "value", org)
            .map(|row| {
                (names[text(row, "definition_id")].to_owned(), scope_of(row), text(row, "value").to_owned())
            })
            .collect();
        let mut written = written.clone();
        found.sort();
        written.sort();
        assert_eq!(found, written);

        for row in rows(&decoded, "value", org) {
            let value = block_on(org.value_by_id(&text(row, "doc_id").parse().unwrap())).unwrap().unwrap();
            let metadata = (value.revision.as_u64(), value.created_at.as_ms(), value.updated_at.as_ms());
            assert_eq!(
                metadata,
                (number(row, "revision"), number(row, "created_ms"), number(row, "updated_ms"))
            );
            assert_eq!(said_in(row), said(&value.metadata));
            let hint = rows(&decoded, "value id", org).find(|hint| hint["doc_id"] == row["doc_id"]);
            assert!(hint.is_some());
        }
    }
}

#[test]
fn definitions_are_decoded_as_they_were_written() {
    let rich = block_on(Rich::build());
    let decoded = rich.decoded();
    for org in &rich.orgs {
        let stored = block_on(org.definitions(&DefinitionFilter::all(), PageRequest::first(100))).unwrap();
        let written: Vec<Value> = stored.items.iter().map(|stored| definition(org, stored)).collect();
        let found: Vec<Value> = rows(&decoded, "definition", org).cloned().collect();
        assert_eq!(found, written);
        assert_eq!(number(rows(&decoded, "count", org).next().unwrap(), "definitions"), written.len() as u64);
        let mut names: Vec<_> =
            rows(&decoded, "definition name", org).map(|row| (&row["definition_id"], &row["name"])).collect();
        names.sort_by_key(|(id, _)| id.as_str());
        assert!(names.into_iter().eq(written.iter().map(|row| (&row["definition_id"], &row["name"]))));
    }
}

#[test]
fn former_versions_are_decoded_as_the_engine_shows_them() {
    let rich = block_on(Rich::build());
    let decoded = rich.decoded();
    for org in &rich.orgs {
        let (former, deleted) = (rows(&decoded, "former value", org), rows(&decoded, "deleted value", org));
        let past: Vec<_> = former.chain(deleted).collect();
        assert_eq!(past.len(), 3, "of INTEGER; of what was deleted, and that it was");
        for row in past {
            let (definition, scope) =
                (text(row, "definition_id").parse::<DefinitionId>().unwrap(), scope_of(row));
            let shown = block_on(org.value_history(definition, &scope, PageRequest::first(9))).unwrap().items;
            let shown =
                shown.iter().find(|version| version.revision.as_u64() == number(row, "revision")).unwrap();
            assert_eq!(shown.id.to_string(), text(row, "doc_id"));
            assert_eq!(
                (shown.created_at.as_ms(), shown.written_at.as_ms()),
                (number(row, "created_ms"), number(row, "updated_ms"))
            );
            assert_eq!(said_in(row), said(&shown.metadata));
            assert_eq!(shown.deleted, row["deleted"] == true);
            if !shown.deleted {
                let version = block_on(org.value_version(definition, &scope, shown.revision)).unwrap();
                assert_eq!(version.value.expose(), text(row, "value"));
            }
        }
    }
}

#[test]
fn former_credentials_are_decoded_as_the_engine_shows_them() {
    let rich = block_on(Rich::build());
    let (decoded, org) = (rich.decoded(), &rich.orgs[0]);
    let (former, deleted) =
        (rows(&decoded, "former credential", org), rows(&decoded, "deleted credential", org));
    let past: Vec<_> = former.chain(deleted).collect();
    let of_connection = 1;
    let expected = ACCOUNTS.len() + of_connection + 2;
    assert_eq!(
        past.len(),
        expected,
        "of each account; of a connection; of what was deleted, and that it was"
    );
    for row in past {
        let app = org.account(text(row, "linked_account").parse().unwrap());
        let app = match text(row, "integration").split_once('\u{1}') {
            Some((slug, name)) => app.app(slug.parse().unwrap()).connection(name.parse().unwrap()),
            None => app.app(text(row, "integration").parse().unwrap()),
        };
        let name = text(row, "key_name");
        let shown = block_on(app.history(name, PageRequest::first(9))).unwrap().items;
        let version =
            shown.iter().find(|version| version.revision.as_u64() == number(row, "revision")).unwrap();
        assert_eq!(version.id.to_string(), text(row, "doc_id"));
        assert_eq!(said_in(row), said(&version.metadata));
        assert_eq!(version.deleted, row["deleted"] == true);
        if !version.deleted {
            let version = block_on(app.version(name, version.revision)).unwrap();
            assert_eq!(version.value.expose(), text(row, "value"));
        }
    }
}

#[test]
fn former_definitions_are_decoded_as_the_engine_shows_them() {
    let rich = block_on(Rich::build());
    let decoded = rich.decoded();
    for org in &rich.orgs {
        let (former, deleted) =
            (rows(&decoded, "former definition", org), rows(&decoded, "deleted definition", org));
        let past: Vec<_> = former.chain(deleted).collect();
        assert_eq!(past.len(), 3, "of INTEGER; of what was deleted, and that it was");
        for row in past {
            let id: DefinitionId = text(row, "definition_id").parse().unwrap();
            let shown = block_on(org.definition_history(id, PageRequest::first(9))).unwrap().items;
            let shown =
                shown.iter().find(|version| version.revision.as_u64() == number(row, "revision")).unwrap();
            assert_eq!(shown.deleted, row["deleted"] == true);
            if !shown.deleted {
                let version = block_on(org.definition_version(id, shown.revision)).unwrap();
                let mut written = definition(org, &version);
                written["row"] = json!("former definition");
                assert_eq!(*row, written);
            }
        }
    }
}

#[test]
fn accounts_credentials_and_records_are_decoded_as_they_were_written() {
    let rich = block_on(Rich::build());
    let decoded = rich.decoded();
    let org = &rich.orgs[0];

    let mut credentials: Vec<_> = rows(&decoded, "credential", org)
        .map(|row| {
            ["linked_account", "integration", "key_name", "value"].map(|field| text(row, field).to_owned())
        })
        .collect();
    credentials.sort();
    let mut written: Vec<_> = ACCOUNTS
        .iter()
        .map(|account| [*account, "default-app", "api key/1", "second"])
        .chain([["a", "crm", "..", "crm token"], ["a", "crm\u{1}work", "token", "work token"]])
        .map(|row| row.map(str::to_owned))
        .collect();
    written.sort();
    assert_eq!(credentials, written);

    let crm = org.account("a".parse().unwrap()).app("crm".parse().unwrap());
    let info = block_on(crm.get("..")).unwrap().unwrap().info;
    let row = rows(&decoded, "credential", org).find(|row| row["integration"] == "crm").unwrap();
    assert_eq!(said_in(row), said(&info.metadata));
    assert!(said_in(row).iter().all(|entry| !entry.is_null()));

    for account in ACCOUNTS {
        let known = block_on(org.linked_account(&account.parse().unwrap())).unwrap().unwrap();
        let row = rows(&decoded, "account", org).find(|row| row["linked_account"] == account).unwrap();
        let wanted = json!({
            "row": "account", "org": org.id().to_string(), "environment": org.environment().as_str(),
            "linked_account": account, "revision": known.revision.as_u64(), "id": known.id.to_string(),
            "name": known.name, "udf": known.udf, "credential_generation": known.credential_generation,
            "created_ms": known.created_at, "updated_ms": known.updated_at,
        });
        assert_eq!(*row, without_nulls(wanted));
        let app = rows(&decoded, "integration", org).find(|row| row["linked_account"] == account).unwrap();
        assert!(
            text(app, "id").parse::<DocumentId>().is_ok() && app["integration"] == "default-app"
                || account == "a"
        );
    }

    let records: Vec<_> = rows(&decoded, "record", org)
        .map(|row| ["namespace", "key_name", "value"].map(|field| text(row, field).to_owned()))
        .collect();
    assert_eq!(
        records,
        [["visitor", "jti-1", "user_12345"], ["visitor", "jti-1/", ""]].map(|row| row.map(str::to_owned))
    );
}

#[test]
fn a_checkpoint_is_decoded_as_it_was_written() {
    let rich = block_on(Rich::build());
    let mut file = tempfile::NamedTempFile::new().unwrap();
    assert!(block_on(rich.vault.checkpoint(&mut file)).unwrap().is_clean());
    let dump = block_on(dump(&*rich.store));
    let (key, file) = (hex::encode(RAW_KEY), file.path().to_str().unwrap().to_owned());
    let decoded = decode(&dump, &["--raw-key", &key, &file]).unwrap();
    assert_eq!(decoded[0]["row"], "checkpoint");
    assert!(number(&decoded[0], "rows") > 50 && number(&decoded[0], "started_ms") > 1_700_000_000_000);
    let fewer: Vec<_> = dump.into_iter().filter(|(key, _)| *key != [0, 3]).collect();
    assert!(decode(&fewer, &["--raw-key", &key, &file]).is_err());
}

#[test]
fn what_a_delete_left_behind_is_told_from_what_is_there() {
    let rich = block_on(Rich::build());
    block_on(rich.cut_deletes_short());
    let decoded = rich.decoded();
    let sweeps: Vec<_> =
        decoded.iter().filter(|row| row["row"] == "job").map(|row| text(row, "sweeps")).collect();
    assert_eq!(sweeps, ["definition", "account", "integration"]);
    let absent =
        |kind: &str| decoded.iter().filter(|row| row["row"] == kind && row["absent"].is_string()).count();
    // One value of the deleted definition at org scope; one of the deleted account.
    assert_eq!(absent("value"), 2);
    // Those of the deleted account, and those of the deleted integration.
    assert_eq!(absent("credential"), 2);
    let deleting =
        |kind: &str| decoded.iter().filter(|row| row["row"] == kind && row["deleting"].is_string()).count();
    assert_eq!((deleting("account"), deleting("integration")), (1, 1));

    rich.store.commits_left.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(block_on(rich.vault.run_jobs()).unwrap(), 3);
    let decoded = rich.decoded();
    assert!(decoded.iter().all(|row| row["absent"].is_null() && row["row"] != "job"));
    let keyring = rows(&decoded, "keyring", &rich.orgs[0]).find(|row| row["linked_account"] == "aa").unwrap();
    assert_eq!(
        (keyring["deks"].as_array().unwrap().len(), keyring["tombstones"].as_array().unwrap().len()),
        (0, 1)
    );
}

#[test]
fn a_vacant_record_and_an_empty_keyring_are_decoded() {
    let rich = block_on(Rich::build());
    let org = &rich.orgs[0];
    let absent = org.records("note".parse().unwrap()).condition("k".parse().unwrap(), Expected::Absent);
    let options = WriteOptions::default().with_record(absent);
    let account = block_on(org.create_account("new".parse().unwrap()).into_future()).unwrap();
    rich.store.commits_left.store(1, Ordering::SeqCst);
    block_on(org.set_value_with("INTEGER", Scope::Org, "13", options)).unwrap();
    let decoded = rich.decoded();
    let vacant = rows(&decoded, "record", org).find(|row| row["namespace"] == "note").unwrap();
    assert_eq!(text(vacant, "absent"), "it is vacant");
    assert!(block_on(org.records("note".parse().unwrap()).get(&"k".parse().unwrap())).unwrap().is_none());

    // The delete puts a keyring without keys.
    rich.store.commits_left.store(usize::MAX, Ordering::SeqCst);
    rich.store.conflicts_left.store(1, Ordering::SeqCst);
    block_on(org.delete_account(account.id())).unwrap();
    let decoded = rich.decoded();
    let keyring = rows(&decoded, "keyring", org).find(|row| row["linked_account"] == "new").unwrap();
    assert_eq!((&keyring["deks"], &keyring["tombstones"]), (&json!([]), &json!([])));
}

#[test]
fn no_row_shows_what_is_sealed() {
    let rich = block_on(Rich::build());
    let dump = block_on(dump(&*rich.store));
    let values = rich.values.iter().flatten().map(|(_, _, value)| value.as_str());
    let others =
        ["first", "second", "crm token", "user_12345", "text \u{1f511}", "v[0-9]+", "An \u{e0}ccount"];
    for sealed in values.filter(|value| value.len() > 3).chain(others) {
        let shows = |bytes: &[u8]| bytes.windows(sealed.len()).any(|window| window == sealed.as_bytes());
        assert!(!dump.iter().any(|(key, row)| shows(key) || shows(row)), "{sealed}");
    }
}

#[test]
fn a_passphrase_slot_is_decoded() {
    let store = Arc::new(Stopping::default());
    let (unlock, params) = (Unlock::passphrase("correct horse"), Argon2Params::FLOOR);
    let vault = block_on(VaultOptions::default().argon2(params).create(Arc::clone(&store), unlock)).unwrap();

    let dump = block_on(dump(&*store));
    let slot = dump.iter().find(|(key, _)| key.starts_with(&[0, 2])).map(|(_, row)| row).unwrap();
    // Seven bytes lead to the clear fields; in them 41 to the salt: two ids of 16 bytes, a number, and the heads.
    let salt = &slot[7 + 41..7 + 41 + 16];
    let mut base = [0; 32];
    let params = Params::new(params.memory_kib(), params.iterations(), params.lanes(), Some(32)).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let mut memory = vec![argon2::Block::new(); params.block_count()];
    argon2.hash_password_into_with_memory(b"correct horse", salt, &mut base, &mut memory).unwrap();

    let decoded = decode(&dump, &["--base", &hex::encode(base)]).unwrap();
    let row = |kind: &str| decoded.iter().find(|row| row["row"] == kind).unwrap();
    assert_eq!(text(row("header"), "store_id"), vault.store_id());
    assert_eq!(text(row("store"), "root_id"), vault.root_id().to_string());
    assert_eq!(
        [number(row("slot"), "memory_kib"), number(row("slot"), "passes"), number(row("slot"), "lanes")],
        [19 * 1024, 2, 1]
    );
    assert_eq!(row("store")["slots"][0]["slot_id"], row("slot")["slot_id"]);
}

#[test]
fn a_provider_s_slot_and_the_history_of_slots_are_decoded() {
    let store = Arc::new(Stopping::default());
    let raw_key = || Unlock::raw_key(RawKey::from_bytes(RAW_KEY));
    let vault = block_on(Vault::create(Arc::clone(&store), raw_key())).unwrap();
    let added = block_on(vault.slots().add(Unlock::provider(Arc::new(XorProvider)))).unwrap();
    let removed = block_on(vault.slots().add(Unlock::raw_key(RawKey::from_bytes([8; 32])))).unwrap();
    block_on(vault.slots().remove(&removed.id)).unwrap();

    let dump = block_on(dump(&*store));
    let decoded = decode(&dump, &["--raw-key", &hex::encode(RAW_KEY)]).unwrap();
    let slot = decoded.iter().find(|row| row["provider"] == 2).unwrap();
    let key = json!({ "kind": "xor", "key_id": "the key", "key_version": 7 });
    for (name, value) in key.as_object().unwrap() {
        assert_eq!(slot[name], *value);
    }
    let history = &decoded.iter().find(|row| row["row"] == "store").unwrap()["slots"];
    assert_eq!(history.as_array().unwrap().len(), 3);
    assert_eq!((text(&history[1], "slot_id"), &history[1]["key"]), (added.id.to_string().as_str(), &key));
    assert!(history[1]["until_ms"].is_null() && history[2]["until_ms"].is_number());

    // The wrapped key leads to the root as well.
    let context = [
        &b"strongroom/v1/slot-aad"[..],
        &hex::decode(vault.store_id()).unwrap(),
        &16_u32.to_be_bytes(),
        added.id.as_bytes(),
    ];
    let aad = Sha256::digest(context.concat());
    let base: Vec<u8> =
        hex::decode(text(slot, "blob")).unwrap().iter().zip(aad).map(|(byte, aad)| byte ^ aad).collect();
    assert_eq!(decode(&dump, &["--base", &hex::encode(base)]).unwrap(), decoded);
}

/// A provider whose one key is the context itself.
#[derive(Debug)]
struct XorProvider;

impl XorProvider {
    fn mask(bytes: &[u8], context: &WrapContext) -> Vec<u8> {
        bytes.iter().zip(context.as_bytes()).map(|(byte, mask)| byte ^ mask).collect()
    }
}

#[async_trait]
impl KeyProvider for XorProvider {
    fn kind(&self) -> &str {
        "xor"
    }

    async fn wrap(&self, key: &RawKey, context: &WrapContext) -> Result<Wrapped, ProviderError> {
        Ok(Wrapped::new(ProviderKey::new("the key", 7), Self::mask(key.expose(), context)))
    }

    async fn unwrap(&self, wrapped: &Wrapped, context: &WrapContext) -> Result<RawKey, ProviderError> {
        Ok(RawKey::from_slice(&Self::mask(&wrapped.blob, context)).unwrap())
    }

    async fn destroy(&self, _: &ProviderKey) -> Result<Destruction, ProviderError> {
        Ok(Destruction::NotSupported)
    }
}

#[test]
fn the_decoder_refuses_a_row_that_was_moved() {
    let rich = block_on(Rich::build());
    let mut dump = block_on(dump(&*rich.store));
    let is_value = |key: &[u8]| key.starts_with(&[1]) && key.get(31) == Some(&0x20);
    let mut values = dump.iter().enumerate().filter(|(_, (key, _))| is_value(key)).map(|(index, _)| index);
    let (one, other) = (values.next().unwrap(), values.next().unwrap());
    let moved = dump[one].1.clone();
    dump[other].1 = moved;
    let refusal = decode(&dump, &["--raw-key", &hex::encode(RAW_KEY)]).unwrap_err();
    assert!(refusal.contains("Rejected"), "{refusal}");
}

#[test]
fn events_are_decoded_as_they_were_written_and_their_hashes_link_them() {
    let rich = block_on(Rich::build());
    let decoded = rich.decoded();
    for org in &rich.orgs {
        let written = block_on(org.audit(&AuditFilter::all(), PageRequest::first(1_000))).unwrap().items;
        let found: Vec<&Value> = rows(&decoded, "event", org).collect();
        assert!(written.len() > 5 && written.len() == found.len());
        for (written, found) in written.iter().zip(&found) {
            assert_eq!(written.id.to_string(), text(found, "id"));
            assert_eq!(written.at.as_ms(), number(found, "at_ms"));
            let kinds: Vec<u64> =
                found["changes"].as_array().unwrap().iter().map(|change| number(change, "kind")).collect();
            let written: Vec<u64> = written.changes.iter().map(|change| change.kind as u64).collect();
            assert_eq!(kinds, written);
        }
        // One writer: one chain.
        assert!(found.windows(2).all(|two| two[0]["hash"] == two[1]["previous"]));
        let head = rows(&decoded, "audit head", org).next().unwrap();
        assert_eq!((number(head, "chains"), &head["last"]), (1, &found[0]["hash"]));
    }
}

/// A backup of a vault as `rich` builds it, which an earlier build wrote. It is never regenerated.
const HISTORY: &[u8] = include_bytes!("../fixtures/v1/history.backup");

#[test]
fn a_history_and_an_audit_that_an_earlier_build_wrote_are_read_by_both() {
    let unlock = || Unlock::raw_key(RawKey::from_bytes(RAW_KEY));
    let backup = block_on(Backup::open(Cursor::new(HISTORY), unlock())).unwrap();
    let store = Arc::new(Stopping::default());
    let options = VaultOptions::default().history_versions(10);
    block_on(backup.replace_original(Arc::clone(&store), |_| ())).unwrap();
    let vault = block_on(options.open(Arc::clone(&store), unlock())).unwrap();
    assert!(block_on(vault.verify()).unwrap().is_clean());
    let dump = block_on(dump(&*store));
    let decoded = decode(&dump, &["--raw-key", &hex::encode(RAW_KEY)]).unwrap();
    let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test());
    let count = |kind: &str| rows(&decoded, kind, &org).count();
    let kinds = ["value", "credential", "definition"]
        .map(|kind| (count(&format!("former {kind}")), count(&format!("deleted {kind}"))));
    assert_eq!(kinds, [(2, 1), (5, 1), (2, 1)]);
    for row in rows(&decoded, "former value", &org) {
        let (id, scope) = (text(row, "definition_id").parse::<DefinitionId>().unwrap(), scope_of(row));
        let shown = block_on(org.value_history(id, &scope, PageRequest::first(9))).unwrap().items;
        let version =
            shown.iter().find(|version| version.revision.as_u64() == number(row, "revision")).unwrap();
        let version = block_on(org.value_version(id, &scope, version.revision)).unwrap();
        assert_eq!(version.value.expose(), text(row, "value"));
        assert_eq!(said_in(row), said(&version.metadata));
    }
    let audit = block_on(org.audit(&AuditFilter::all(), PageRequest::first(1_000))).unwrap().items;
    let events: Vec<_> = rows(&decoded, "event", &org).collect();
    assert!(audit.len() == events.len() && events.len() > 32, "{}", events.len());
    assert!(events.iter().zip(&audit).all(|(row, event)| text(row, "id") == event.id.to_string()));
    let heads = rows(&decoded, "chain head", &org).map(|head| number(head, "number"));
    assert!(heads.sum::<u64>() >= 32);
    for row in rows(&decoded, "deleted definition", &org) {
        let id: DefinitionId = text(row, "definition_id").parse().unwrap();
        assert_eq!(
            block_on(org.undelete_definition(id)).unwrap().unwrap().definition.name,
            text(row, "name")
        );
    }
}
