//! Rows that nothing uses, planted or left behind: `verify` finds each, and a sweep deletes it, with a note
//! in the audit. What may still be needed stays.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::{Store as _, WriteBatch};
use strongroom::{
    AuditFilter, Cause, DefinitionChange, EventKind, PageRequest, Scope, Timestamp, Vault, VaultOptions,
    VerifyReport,
};

use crate::audit_kept::{HOUR, Kept};
use crate::rig::{Kind, RowKey, dek_id, rows, text, unlock};

/// An audited vault with a variable that has a value.
struct Planted(Kept);

impl Planted {
    fn new() -> Self {
        let kept = Kept::new();
        kept.set_at(&kept.other_engine(), HOUR);
        let mut other = text("OTHER");
        other.history_versions = Some(3);
        block_on(kept.org.define(other)).unwrap();
        Self(kept)
    }

    fn put(&self, key: &[u8], row: &[u8]) {
        let mut batch = WriteBatch::default();
        batch.put(key.into(), row.to_vec());
        block_on(self.0.store.commit(Arc::new(batch))).unwrap();
    }

    /// The key of some row of a kind, and the row.
    fn row(&self, kind: Kind) -> (Vec<u8>, Vec<u8>) {
        let all = rows(&*self.0.store);
        all.into_iter().find(|(key, _)| RowKey::parse(key).kind == kind).unwrap()
    }

    /// A key of the tenant that ends as given.
    fn key(&self, end: &[u8]) -> Vec<u8> {
        let (key, _) = self.row(Kind::AuditHead);
        [&key[..key.len() - 1], end].concat()
    }

    /// The key of a row of no kind, in an environment of the org.
    fn key_of_environment(&self, environment: &str) -> Vec<u8> {
        [&[1], crate::rig::ORG.as_bytes(), &[0], environment.as_bytes(), &[0, 0x64]].concat()
    }

    fn vault(&self) -> Vault {
        let options = VaultOptions::default().clock(self.0.clock.clone());
        block_on(options.open(Arc::clone(&self.0.store), unlock())).unwrap()
    }

    fn verify(&self) -> VerifyReport {
        block_on(self.vault().verify()).unwrap()
    }

    /// Whether a row is stray, and gone with a sweep that the audit has a note of; then the vault is whole.
    fn is_swept(&self, key: &[u8], row: &[u8], noted_as: EventKind) {
        assert!(self.verify().is_clean());
        let before = self.0.events().len();
        self.put(key, row);
        let report = self.verify();
        assert!(!report.is_clean() && report.findings.iter().any(strongroom::Finding::is_stray), "{report}");
        let is_else = |found: &strongroom::Finding| found.is_unreadable() || found.is_mendable();
        assert!(!report.findings.iter().any(is_else), "{report}");
        assert_eq!(block_on(self.vault().sweep_stray(&report)).unwrap(), 1, "{report}");
        assert!(!rows(&*self.0.store).contains_key(key));
        assert!(self.verify().is_clean(), "{}", self.verify());
        let events = block_on(self.0.org.audit(&AuditFilter::all(), PageRequest::default())).unwrap().items;
        assert_eq!(events.len(), before + 1);
        let changes: Vec<_> = events.iter().flat_map(|event| &event.changes).collect();
        let is_note = |name: &str| name.starts_with("deleted as stray: ");
        assert!(
            changes
                .iter()
                .any(|change| change.kind == noted_as && change.name.as_deref().is_some_and(is_note))
        );
    }
}

#[test]
fn a_key_that_no_vault_has_is_swept() {
    let planted = Planted::new();
    planted.is_swept(&planted.key(&[0x64, 1, 2]), b"junk", EventKind::VaultOperated);
}

#[test]
fn an_event_of_the_future_that_cannot_be_read_is_swept() {
    let planted = Planted::new();
    let future = [&[0x60][..], &(1_000 * HOUR).to_be_bytes(), &[7; 8], &1_u64.to_be_bytes()].concat();
    planted.is_swept(&planted.key(&future), b"junk", EventKind::AuditTrimmed);
}

/// The keyring that has its key may come back.
#[test]
fn rows_of_the_audit_whose_key_is_unknown_stay() {
    let planted = Planted::new();
    let (_, mut row) = planted.row(Kind::Event);
    let id = dek_id(&row);
    let at = row.windows(id.len()).position(|part| part == id).unwrap();
    row[at] ^= 1;
    let future = [&[0x60][..], &(1_000 * HOUR).to_be_bytes(), &[7; 8], &1_u64.to_be_bytes()].concat();
    for key in [&future[..], &[0x62, 7, 7, 7, 7, 7, 7, 7, 7]] {
        planted.put(&planted.key(key), &row);
    }
    let report = planted.verify();
    assert!(report.findings.iter().any(|found| matches!(found.cause, Cause::UnknownKey(_))), "{report}");
    assert_eq!(block_on(planted.vault().sweep_stray(&report)).unwrap(), 0, "{report}");
}

#[test]
fn the_head_of_a_chain_that_cannot_be_read_is_swept() {
    let planted = Planted::new();
    planted.is_swept(&planted.key(&[0x62, 7, 7, 7, 7, 7, 7, 7, 7]), b"junk", EventKind::AuditTrimmed);
}

#[test]
fn a_name_that_leads_to_a_definition_of_another_is_swept() {
    let planted = Planted::new();
    let (_, leads) = planted.row(Kind::DefinitionName);
    planted.is_swept(&planted.key(b"\x11SECOND"), &leads, EventKind::VaultOperated);
}

#[test]
fn an_index_row_of_a_value_that_was_never_there_is_swept() {
    let planted = Planted::new();
    let (mut key, index) = planted.row(Kind::DefinitionValue);
    let len = key.len();
    key[len - 2] ^= 1;
    let gone = planted.key(&[&[0x12][..], &[9; 12], &[0]].concat());
    planted.is_swept(&gone, &index, EventKind::VaultOperated);
    let (_, target) = planted.row(Kind::ValueId);
    planted.is_swept(&planted.key(&[&[0x21][..], &[9; 12]].concat()), &target, EventKind::VaultOperated);
}

/// Whoever damages a row of the audit and has it swept leaves a note, so he hides nothing by it.
#[test]
fn rows_of_the_audit_stay_where_nothing_would_be_noted() {
    let planted = Planted::new();
    block_on(planted.vault().change_settings(|settings| settings.audit = false)).unwrap();
    planted.put(&planted.key(&[0x62, 7, 7, 7, 7, 7, 7, 7, 7]), b"junk");
    let report = planted.verify();
    assert_eq!(block_on(planted.vault().sweep_stray(&report)).unwrap(), 0);
    assert_eq!(planted.verify().findings_total, 1);
}

#[test]
fn an_event_that_age_reaches_is_not_stray() {
    let planted = Planted::new();
    let (key, _) = planted.row(Kind::Event);
    planted.put(&key, b"junk");
    let report = planted.verify();
    assert!(!report.is_clean() && !report.findings.iter().any(strongroom::Finding::is_stray), "{report}");
}

#[test]
fn the_index_of_a_value_that_can_be_brought_back_stays() {
    let planted = Planted::new();
    let org = &planted.0.org;
    block_on(org.set_value("OTHER", Scope::Org, "one")).unwrap();
    block_on(org.set_value("OTHER", Scope::Org, "two")).unwrap();
    let id = block_on(org.value("OTHER", Scope::Org)).unwrap().unwrap().definition_id;
    let all = rows(&*planted.0.store);
    let of_value = |key: &Vec<u8>| RowKey::parse(key).kind == Kind::Value && key.ends_with(id.as_bytes());
    let (key, _) = all.iter().find(|(key, _)| of_value(key)).unwrap();
    planted.put(key, b"junk");
    assert_eq!(block_on(planted.vault().sweep_stray(&planted.verify())).unwrap(), 0);
    let mut batch = WriteBatch::default();
    batch.delete(key.as_slice().into());
    block_on(planted.0.store.commit(Arc::new(batch))).unwrap();
    assert_eq!(block_on(planted.vault().sweep_stray(&planted.verify())).unwrap(), 0);
}

#[test]
fn a_row_that_changed_since_the_report_stays() {
    let planted = Planted::new();
    let key = planted.key(&[0x64, 1]);
    planted.put(&key, b"junk");
    let report = planted.verify();
    planted.put(&key, b"other");
    assert_eq!(block_on(planted.vault().sweep_stray(&report)).unwrap(), 0);
}

#[test]
fn a_name_that_is_right_again_since_the_report_stays() {
    let planted = Planted::new();
    let before = rows(&*planted.0.store);
    let renamed = block_on(planted.0.org.update_definition("V", DefinitionChange::new().name("W"))).unwrap();
    let is_it =
        |key: &&Vec<u8>| RowKey::parse(key).kind == Kind::Definition && key.ends_with(renamed.id.as_bytes());
    let key = before.keys().find(is_it).unwrap();
    let now = rows(&*planted.0.store)[key].clone();
    // The store shows the definition as it was, so its new name is that of no definition.
    planted.put(key, &before[key]);
    let report = planted.verify();
    assert!(report.findings.iter().any(strongroom::Finding::is_stray), "{report}");
    planted.put(key, &now);
    assert_eq!(block_on(planted.vault().sweep_stray(&report)).unwrap(), 0);
    assert!(planted.verify().is_clean(), "{}", planted.verify());
}

#[test]
fn a_sweep_makes_no_keys_where_there_are_none() {
    let planted = Planted::new();
    let _receipt = block_on(planted.0.org.shred()).unwrap();
    let shredded = planted.key_of_environment("test");
    for key in [shredded, planted.key_of_environment("elsewhere")] {
        let before = rows(&*planted.0.store);
        planted.put(&key, b"junk");
        assert_eq!(block_on(planted.vault().sweep_stray(&planted.verify())).unwrap(), 1);
        assert_eq!(rows(&*planted.0.store), before);
    }
}

#[test]
fn an_event_counts_as_of_the_future_from_an_hour_ahead() {
    for (ahead, is_stray) in [(HOUR, false), (HOUR + 1, true)] {
        let planted = Planted::new();
        let at = strongroom::Clock::now_ms(&planted.0.clock) + ahead;
        let event = [&[0x60][..], &at.to_be_bytes(), &[7; 8], &1_u64.to_be_bytes()].concat();
        planted.put(&planted.key(&event), b"junk");
        let report = planted.verify();
        assert_eq!(report.findings.iter().any(strongroom::Finding::is_stray), is_stray, "{report}");
    }
}

#[test]
fn a_damaged_note_of_dropped_events_is_written_again_also_where_there_is_nothing_to_drop() {
    let planted = Planted::new();
    planted.put(&planted.key(&[0x63]), b"junk");
    assert!(!planted.verify().is_clean());
    assert_eq!(block_on(planted.0.org.drop_audit_before(Timestamp::from_ms(1))).unwrap(), 0);
    assert!(planted.verify().is_clean(), "{}", planted.verify());
}
