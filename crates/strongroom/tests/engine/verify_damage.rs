//! `verify` over a small and full store in which each row in turn is altered, taken away, swapped or replaced.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::{Arc, LazyLock};

use futures_executor::block_on;
use strongroom::store::{Key, Store, WriteBatch};
use strongroom::{RowName, RowPath, Vault, VerifyReport};
use strongroom_memory::MemoryStore;

use crate::rig::{Kind, RowKey, Rows, Seen, World, load, open, rows, stop_after_first_commit, verbs};

static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// A vault that was opened before its rows are damaged.
struct Damaged {
    store: Arc<MemoryStore>,
    vault: Vault,
    whole: Rows,
}

impl Damaged {
    fn new(whole: &Rows) -> Self {
        let store = load(whole);
        let vault = open(Arc::clone(&store));
        Self { store, vault, whole: whole.clone() }
    }

    /// What is found with these rows in the place of their own; `None` takes a row away.
    fn verify(&self, altered: &[(&Vec<u8>, Option<&Vec<u8>>)]) -> VerifyReport {
        self.write(altered);
        let report = block_on(self.vault.verify()).unwrap();
        let before: Vec<_> = altered.iter().map(|(key, _)| (*key, self.whole.get(*key))).collect();
        self.write(&before);
        assert_shows_no_value(&report);
        report
    }

    fn write(&self, rows: &[(&Vec<u8>, Option<&Vec<u8>>)]) {
        let mut batch = WriteBatch::default();
        for (key, row) in rows {
            match row {
                Some(row) => batch.put(Key::from(key.as_slice()), (*row).clone()),
                None => batch.delete(Key::from(key.as_slice())),
            }
        }
        block_on(self.store.commit(Arc::new(batch))).unwrap();
    }
}

fn assert_shows_no_value(report: &VerifyReport) {
    let shown = format!("{report} {report:?}");
    let values = WORLD.sight.values().filter_map(|seen| match seen {
        Seen::Values(values) => Some(values),
        _ => None,
    });
    for value in values.flatten().filter(|value| value.contains(" in ")) {
        assert!(!shown.contains(value), "a report shows a value");
    }
}

/// Whether a path is that of the row with this key.
fn is_of(path: &RowPath, key: &[u8]) -> bool {
    let key = RowKey::parse(key);
    let (name, parts) = name_of(&key);
    let tenant = (!key.tenant.is_empty()).then(|| key.tenant_ids());
    let owner = (path.org.map(|id| id.to_string()), path.environment.as_ref().map(ToString::to_string));
    let shown: Vec<String> = [
        path.linked_account.as_ref().map(ToString::to_string),
        path.workflow.as_ref().map(ToString::to_string),
        path.definition_id.map(|id| id.to_string()),
        path.name.clone(),
        path.connection.as_ref().map(ToString::to_string),
        path.key_name.clone(),
    ]
    .into_iter()
    .flatten()
    .collect();
    path.row == name && (tenant.is_none() || owner == tenant.unzip()) && shown == parts
}

/// What a row is called, and the ids of its path in the order of its fields.
fn name_of(key: &RowKey) -> (RowName, Vec<String>) {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let texts = |bytes: &[u8]| -> Vec<String> {
        let ids = bytes.split(|byte| *byte == 0).filter(|id| !id.is_empty());
        ids.map(|id| String::from_utf8(id.to_vec()).unwrap()).collect()
    };
    let scoped = |scope: &[u8], id: &[u8]| [texts(&scope[1..]), vec![hex(id)]].concat();
    match key.kind {
        Kind::Header => (RowName::Header, vec![]),
        Kind::Slot => (RowName::Slot, vec![hex(&key.rest)]),
        Kind::StoreRow => (RowName::StoreRow, vec![]),
        Kind::Job | Kind::KeyJob => (RowName::Job, vec![hex(&key.rest[key.rest.len() - 12..])]),
        Kind::Keyring => (RowName::Keyring, texts(&key.rest)),
        Kind::Retired | Kind::Marker | Kind::OrgRestore | Kind::Export => (RowName::Note, vec![]),
        Kind::Epoch => (RowName::Epoch, vec![]),
        Kind::Generation => (RowName::Generation, vec![]),
        Kind::Count => (RowName::Count, vec![]),
        Kind::Definition => (RowName::Definition, vec![hex(&key.rest)]),
        Kind::DefinitionName => (RowName::DefinitionName, texts(&key.rest)),
        Kind::DefinitionValue => {
            let (id, scope) = key.rest.split_at(12);
            (RowName::DefinitionValue, scoped(scope, id))
        }
        Kind::Value => {
            let (scope, id) = key.rest.split_at(key.rest.len() - 12);
            (RowName::Value, scoped(scope, id))
        }
        Kind::FormerValue | Kind::DeletedValue => {
            let (scope, id) = key.document().0.split_last_chunk::<12>().unwrap();
            let is_former = key.kind == Kind::FormerValue;
            (if is_former { RowName::FormerValue } else { RowName::DeletedValue }, scoped(scope, id))
        }
        Kind::FormerCredential => (RowName::FormerCredential, texts(key.document().0)),
        Kind::DeletedCredential => (RowName::DeletedCredential, texts(key.document().0)),
        Kind::FormerDefinition => (RowName::FormerDefinition, vec![hex(key.document().0)]),
        Kind::DeletedDefinition => (RowName::DeletedDefinition, vec![hex(key.document().0)]),
        Kind::ValueId => (RowName::ValueId, vec![hex(&key.rest)]),
        Kind::Account => (RowName::LinkedAccount, texts(&key.rest)),
        Kind::Integration => (RowName::Integration, texts(&key.rest)),
        Kind::Credential => (RowName::Credential, texts(&key.rest)),
        Kind::Event => (RowName::Event, vec![hex(&key.rest)]),
        Kind::AuditHead => (RowName::AuditHead, vec![]),
        Kind::ChainHead => (RowName::ChainHead, vec![hex(&key.rest)]),
        Kind::AuditFloor => (RowName::AuditFloor, vec![]),
        Kind::Record => (RowName::Record, texts(&key.rest)[..1].to_vec()),
    }
}

fn finds(report: &VerifyReport, key: &[u8]) -> bool {
    report.findings.iter().any(|found| is_of(&found.path, key))
}

/// The same, or the row that the index row leads to says that it does not.
fn finds_or_misses(report: &VerifyReport, key: &[u8]) -> bool {
    let kind = RowKey::parse(key).kind;
    let counterpart = match kind {
        Kind::DefinitionName => RowName::Definition,
        Kind::DefinitionValue | Kind::ValueId => RowName::Value,
        _ => return finds(report, key),
    };
    finds(report, key) || report.findings.iter().any(|found| found.path.row == counterpart)
}

#[test]
fn a_flipped_bit_is_found_at_its_row() {
    let damaged = Damaged::new(&WORLD.rows);
    for (key, row) in &WORLD.rows {
        let step = (row.len() / 8).max(1);
        for byte in (0..row.len()).step_by(step).chain([row.len() - 1]) {
            let mut altered = row.clone();
            altered[byte] ^= 1 << (byte % 8);
            let report = damaged.verify(&[(key, Some(&altered))]);
            let kind = RowKey::parse(key).kind;
            let found = finds_or_misses(&report, key);
            if kind == Kind::Slot && !found {
                // What a slot seals is seen by whoever opens the vault through it.
                let mut rows = WORLD.rows.clone();
                rows.insert(key.clone(), altered);
                assert!(
                    block_on(Vault::open(load(&rows), crate::rig::unlock())).is_err(),
                    "byte {byte} of the slot"
                );
                continue;
            }
            assert!(found, "{kind:?} byte {byte}: {report}");
        }
    }
}

#[test]
fn a_row_that_is_cut_short_is_found_at_its_row() {
    let damaged = Damaged::new(&WORLD.rows);
    for (key, row) in &WORLD.rows {
        for len in [0, 3, row.len() - 1] {
            let report = damaged.verify(&[(key, Some(&row[..len].to_vec()))]);
            assert!(finds(&report, key), "{:?} cut to {len}: {report}", RowKey::parse(key).kind);
        }
    }
}

#[test]
fn a_row_that_is_missing_is_found_by_what_leads_to_it() {
    let damaged = Damaged::new(&WORLD.rows);
    for key in WORLD.rows.keys() {
        let report = damaged.verify(&[(key, None)]);
        let kind = RowKey::parse(key).kind;
        let named = |row: RowName| report.findings.iter().any(|found| found.path.row == row);
        let found = match kind {
            Kind::Header | Kind::StoreRow | Kind::Keyring | Kind::Count => finds(&report, key),
            Kind::Slot => named(RowName::Slot),
            Kind::Definition => {
                named(RowName::DefinitionName) && named(RowName::Count) && named(RowName::Value)
            }
            Kind::DefinitionName => named(RowName::Definition),
            Kind::Value => named(RowName::DefinitionValue) && named(RowName::ValueId),
            Kind::DefinitionValue | Kind::ValueId => named(RowName::Value),
            Kind::Account => named(RowName::Integration),
            Kind::Integration => named(RowName::Credential),
            // Nothing leads to them: their absence cannot be told from their never having been.
            Kind::Epoch | Kind::Generation | Kind::Credential | Kind::Record => report.is_clean(),
            Kind::FormerValue | Kind::FormerCredential | Kind::FormerDefinition => report.is_clean(),
            Kind::DeletedCredential => report.is_clean(),
            Kind::DeletedValue => named(RowName::DefinitionValue),
            Kind::DeletedDefinition => named(RowName::FormerDefinition),
            Kind::Event | Kind::AuditHead | Kind::ChainHead | Kind::AuditFloor => panic!("there is none"),
            Kind::Job | Kind::KeyJob | Kind::Retired | Kind::Marker | Kind::OrgRestore | Kind::Export => {
                panic!("there is none")
            }
        };
        assert!(found, "{kind:?}: {report}");
    }
}

#[test]
fn two_rows_of_a_kind_that_are_swapped_are_found_at_both() {
    let damaged = Damaged::new(&WORLD.rows);
    let rows: Vec<_> = WORLD.rows.iter().collect();
    for (index, (one, one_row)) in rows.iter().enumerate() {
        let kind = RowKey::parse(one).kind;
        let rest = rows[index + 1..].iter().filter(|(key, _)| RowKey::parse(key).kind == kind);
        // The next of its kind, and the last, which is of another tenant.
        let rest: Vec<_> = rest.collect();
        for (other, other_row) in rest.first().into_iter().chain(rest.last()).copied() {
            if one_row == other_row {
                continue;
            }
            let report = damaged.verify(&[(one, Some(other_row)), (other, Some(one_row))]);
            for key in [one, other] {
                assert!(finds_or_misses(&report, key), "{kind:?}: {report}");
            }
        }
    }
}

#[test]
fn a_keyring_that_was_copied_to_another_scope_is_found_there() {
    let damaged = Damaged::new(&WORLD.rows);
    let keyrings: Vec<_> =
        WORLD.rows.iter().filter(|(key, _)| RowKey::parse(key).kind == Kind::Keyring).collect();
    for (_, from) in &keyrings {
        for (to, row) in &keyrings {
            if from == row {
                continue;
            }
            let report = damaged.verify(&[(to, Some(from))]);
            assert!(finds(&report, to), "{report}");
            assert_eq!(report.findings_total, 1, "{report}");
            assert!(report.unverifiable > 0, "{report}");
        }
    }
}

#[test]
fn a_job_that_is_altered_is_found_at_its_row() {
    let store = load(&crate::rig::furnished());
    let verb = verbs().into_iter().find(|verb| verb.name == "delete_account").unwrap();
    stop_after_first_commit(&store, async |org| drop(verb.run(org).await));
    let rows = rows(&store);
    let damaged = Damaged::new(&rows);
    let (key, row) = rows.iter().find(|(key, _)| RowKey::parse(key).kind == Kind::Job).unwrap();
    for byte in 0..row.len() {
        let mut altered = row.clone();
        altered[byte] ^= 1;
        let report = damaged.verify(&[(key, Some(&altered))]);
        assert!(finds(&report, key), "byte {byte}: {report}");
    }
}

#[test]
fn a_store_of_junk_is_gone_through_to_its_end() {
    let damaged = Damaged::new(&WORLD.rows);
    let junk: Vec<_> = WORLD.rows.iter().map(|(key, row)| (key, vec![0x5a; row.len()])).collect();
    let junk: Vec<_> = junk.iter().map(|(key, row)| (*key, Some(row))).collect();
    let report = damaged.verify(&junk);
    assert_eq!(report.rows, WORLD.rows.len() as u64);
    assert!(report.findings_total > 0 && report.unverifiable > 0, "{report}");
}
