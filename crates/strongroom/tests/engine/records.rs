//! `Org::records`: the host's own sealed rows, alone and joined to another verb's batch.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom::store::StoreErrorKind;
use strongroom_conformance::{Fault, Faulty};

use crate::common::{exposed, id, org_id, org_of, run, text, vault, with_clock, with_org};
use crate::rig::{Hooked, Kind, Point, RowKey, Rows, altered, audit, base, load, open, org, rows, sound};
use strongroom::{
    AuditFilter, DefinitionChange, Environment, Error, EventKind, Expected, IntegrationId, Invalid, NewValue,
    Org, PageRequest, Records, Revision, Scope, Upsert, VaultOptions, WriteOptions,
};
use strongroom_memory::MemoryStore;

#[test]
fn a_record_reads_back_as_it_was_put() {
    with_clock(async |org, clock| {
        let sessions = sessions(&org);
        assert_eq!(sessions.put(&id("k"), " x\r\n").await?.action, Upsert::Added);
        let added = sessions.get(&id("k")).await?.unwrap();
        clock.set(2_000);
        assert_eq!(sessions.put(&id("k"), "y").await?.action, Upsert::Updated);
        let updated = sessions.get(&id("k")).await?.unwrap();
        assert_eq!((added.value.expose(), updated.value.expose()), (" x\r\n", "y"));
        assert_eq!((updated.created_at.as_ms(), updated.updated_at.as_ms()), (1_000, 2_000));
        assert_ne!(updated.revision, added.revision);
        Ok(())
    });
}

#[test]
fn a_deleted_record_is_gone() {
    with_org(async |org| {
        let sessions = sessions(&org);
        sessions.put(&id("k"), "x").await?;
        assert!(sessions.delete(&id("k")).await?);
        assert!(!sessions.delete(&id("k")).await?);
        assert!(sessions.get(&id("k")).await?.is_none());
        Ok(())
    });
}

#[test]
fn namespaces_and_keys_that_extend_one_another_are_different() {
    with_org(async |org| {
        let names = ["a", "a/", "aa", "a\u{ff}"];
        for namespace in names {
            for key in names {
                org.records(id(namespace)).put(&id(key), format!("{namespace} {key}")).await?;
            }
        }
        for namespace in names {
            let listed = org.records(id(namespace)).list(PageRequest::default()).await?.items;
            let listed: Vec<_> = listed.iter().map(|record| record.value.expose().to_owned()).collect();
            assert_eq!(listed, names.map(|key| format!("{namespace} {key}")));
        }
        Ok(())
    });
}

#[test]
fn records_belong_to_one_org_and_environment() {
    run(async {
        let vault = vault(MemoryStore::new(), VaultOptions::default()).await?;
        sessions(&org_of(&vault)).put(&id("k"), "x").await?;
        for org in [
            vault.org(org_id(), Environment::production()),
            vault.org(id("6500a1b2c3d4e5f6a7b8c9d1"), Environment::test()),
        ] {
            assert!(sessions(&org).get(&id("k")).await?.is_none());
            assert!(sessions(&org).list(PageRequest::default()).await?.items.is_empty());
        }
        Ok(())
    });
}

#[test]
fn a_put_that_expects_another_state_changes_nothing() {
    with_org(async |org| {
        let sessions = sessions(&org);
        sessions.put_with(&id("k"), "1", WriteOptions::expecting(Expected::Absent)).await?;
        let standing = sessions.get(&id("k")).await?.unwrap().revision;
        for expected in [Expected::Absent, Expected::Revision(Revision::from_u64(u64::MAX))] {
            let refused = sessions.put_with(&id("k"), "2", WriteOptions::expecting(expected)).await;
            assert!(matches!(refused, Err(Error::Unexpected { found }) if found == Some(standing)));
        }
        assert_eq!(sessions.get(&id("k")).await?.unwrap().value.expose(), "1");
        sessions.put_with(&id("k"), "2", WriteOptions::expecting(Expected::Revision(standing))).await?;
        Ok(())
    });
}

#[test]
fn a_revision_from_before_a_delete_never_fits_a_record_made_after_it() {
    with_org(async |org| {
        let sessions = sessions(&org);
        sessions.put(&id("k"), "1").await?;
        let gone = sessions.get(&id("k")).await?.unwrap().revision;
        sessions.delete(&id("k")).await?;
        sessions.put(&id("k"), "1").await?;
        let refused =
            sessions.put_with(&id("k"), "2", WriteOptions::expecting(Expected::Revision(gone))).await;
        assert!(matches!(refused, Err(Error::Unexpected { found: Some(_) })));
        Ok(())
    });
}

#[test]
fn a_record_joins_the_batch_of_every_verb_that_writes() {
    with_org(async |org| {
        let app = IntegrationId::default_app();
        org.define_with(text("A"), taking(&org, "define")).await?;
        org.update_definition_with("A", DefinitionChange::new(), taking(&org, "update")).await?;
        org.set_value_with("A", Scope::Org, "x", taking(&org, "set")).await?;
        let many = [NewValue::new("A", crate::common::account("a"), "x")];
        org.set_values_with(&many, taking(&org, "set many")).await?;
        org.delete_value_with("A", Scope::Org, taking(&org, "delete value")).await?;
        let record = |key| sessions(&org).write(id(key), "x");
        let account = org.create_account(id("a")).with_default_app().with_record(record("create")).await?;
        org.upsert_account(id("a")).with_record(record("upsert account")).await?;
        account.app(app.clone()).upsert_with("k", "1", taking(&org, "upsert")).await?;
        account.app(app).delete_with("k", taking(&org, "delete credential")).await?;
        org.delete_account_with(&id("a"), taking(&org, "delete account")).await?;
        org.delete_definition_with("A", taking(&org, "delete definition")).await?;
        assert_eq!(sessions(&org).list(PageRequest::default()).await?.items.len(), 11);
        Ok(())
    });
}

#[test]
fn a_verb_that_is_refused_leaves_its_record_unwritten() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let missing = org.set_value_with("NONE", Scope::Org, "x", taking(&org, "k")).await;
        assert!(matches!(missing, Err(Error::DefinitionNotFound(_))));
        let clash = org.define_with(text("A"), taking(&org, "k")).await;
        assert!(matches!(clash, Err(Error::DefinitionExists(_))));
        assert!(sessions(&org).get(&id("k")).await?.is_none());
        Ok(())
    });
}

#[test]
fn a_record_whose_expectation_fails_leaves_the_verb_undone() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let account = org.create_account(id("a")).with_default_app().await?;
        sessions(&org).put(&id("k"), "1").await?;
        let absent = || sessions(&org).write(id("k"), "2").expecting(Expected::Absent);
        let with_absent = || WriteOptions::default().with_record(absent());
        let refused = [
            org.define_with(text("B"), with_absent()).await.err(),
            org.set_value_with("A", Scope::Org, "x", with_absent()).await.err(),
            org.create_account(id("b")).with_record(absent()).await.err(),
            account.app(IntegrationId::default_app()).upsert_with("k", "1", with_absent()).await.err(),
            org.delete_account_with(&id("a"), with_absent()).await.err(),
            org.delete_definition_with("A", with_absent()).await.err(),
        ];
        assert!(refused.iter().all(|error| matches!(error, Some(Error::Unexpected { .. }))), "{refused:?}");
        assert!(org.definition("A").await?.is_some() && org.definition("B").await?.is_none());
        assert!(org.value("A", Scope::Org).await?.is_none());
        assert!(account.info().await?.is_some() && org.account(id("b")).info().await?.is_none());
        assert!(account.credential("k").await?.is_none());
        assert_eq!(sessions(&org).get(&id("k")).await?.unwrap().value.expose(), "1");
        Ok(())
    });
}

#[test]
fn a_record_joins_the_put_and_the_delete_of_another_record() {
    with_org(async |org| {
        let sessions = sessions(&org);
        sessions.put_with(&id("a"), "1", taking(&org, "put")).await?;
        assert!(!sessions.delete_with(&id("none"), taking(&org, "absent")).await?);
        assert!(sessions.delete_with(&id("a"), taking(&org, "delete")).await?);
        let left = sessions.list(PageRequest::default()).await?.items;
        assert_eq!(left.iter().map(|record| record.key.as_str()).collect::<Vec<_>>(), ["delete", "put"]);
        Ok(())
    });
}

#[test]
fn a_delete_of_a_record_that_is_absent_takes_no_other_along() {
    with_org(async |org| {
        assert!(!sessions(&org).delete_with(&id("none"), taking(&org, "k")).await?);
        assert!(sessions(&org).get(&id("k")).await?.is_none());
        Ok(())
    });
}

#[test]
fn a_record_does_not_take_itself_along() {
    with_org(async |org| {
        let put = sessions(&org).put_with(&id("k"), "1", taking(&org, "k")).await;
        assert!(matches!(put, Err(Error::Invalid(Invalid::DuplicateRecord))), "{put:?}");
        let delete = sessions(&org).delete_with(&id("k"), taking(&org, "k")).await;
        assert!(matches!(delete, Err(Error::Invalid(Invalid::DuplicateRecord))), "{delete:?}");
        assert!(sessions(&org).get(&id("k")).await?.is_none());
        Ok(())
    });
}

#[test]
fn a_removal_joins_a_batch_too() {
    with_org(async |org| {
        org.define(text("A")).await?;
        sessions(&org).put(&id("k"), "1").await?;
        let options = || WriteOptions::default().with_record(sessions(&org).removal(id("k")));
        org.set_value_with("A", Scope::Org, "x", options()).await?;
        assert!(sessions(&org).get(&id("k")).await?.is_none());
        org.set_value_with("A", Scope::Org, "y", options()).await?;
        assert_eq!(exposed(org.value("A", Scope::Org).await?.as_ref()), Some("y"));
        Ok(())
    });
}

#[test]
fn a_verb_takes_several_records_along() {
    with_org(async |org| {
        let write = |key| sessions(&org).write(id(key), "x");
        let options = WriteOptions::default().with_record(write("k")).with_record(write("l"));
        org.define_with(text("A"), options).await?;
        assert_eq!(sessions(&org).list(PageRequest::default()).await?.items.len(), 2);
        Ok(())
    });
}

#[test]
fn a_record_that_is_taken_along_twice_is_refused_by_name() {
    with_org(async |org| {
        let write = || sessions(&org).write(id("k"), "x");
        for second in [write(), sessions(&org).removal(id("k"))] {
            let options = WriteOptions::default().with_record(write()).with_record(second);
            let refused = org.define_with(text("A"), options).await;
            assert!(matches!(refused, Err(Error::Invalid(Invalid::DuplicateRecord))), "{refused:?}");
        }
        assert!(org.definition("A").await?.is_none());
        // The same key of another namespace is another record.
        let other = org.records(id("other")).write(id("k"), "x");
        org.define_with(text("A"), WriteOptions::default().with_record(write()).with_record(other)).await?;
        Ok(())
    });
}

fn sessions(org: &Org) -> Records {
    org.records(id("visitor"))
}

/// Options that take a record of this key along.
fn taking(org: &Org, key: &str) -> WriteOptions {
    WriteOptions::default().with_record(sessions(org).write(id(key), "x"))
}

#[test]
fn a_record_of_another_tenant_is_not_taken_along() {
    run(async {
        let vault = vault(MemoryStore::new(), VaultOptions::default()).await?;
        let org = org_of(&vault);
        org.create_account(id("user")).await?;
        let elsewhere = vault.org(org_id(), Environment::production());
        let record = elsewhere.records(id("visitor")).write(id("k"), "x");
        let refused = org.upsert_account(id("user")).with_record(record).await;
        assert!(matches!(refused, Err(Error::Invalid(Invalid::ForeignRecord))));
        assert!(elsewhere.records(id("visitor")).get(&id("k")).await?.is_none());
        Ok(())
    });
}

/// Sets a value with a companion, while another engine puts the record of the companion before the batch lands.
fn overtaken(
    companion: impl Fn(&Records) -> strongroom::RecordWrite,
    meanwhile: impl FnOnce(Records) + Send + 'static,
) -> (Result<(), Error>, Arc<MemoryStore>) {
    let store = base(async |org| org.define(text("V")).await.map(drop));
    let hooked = Hooked::new(Arc::clone(&store)).shared();
    let vault = open(hooked.clone());
    let other = sessions(&org(&open(Arc::clone(&store))));
    hooked.once(Point::BeforeCommit, move || meanwhile(other));
    let options = WriteOptions::default().with_record(companion(&sessions(&org(&vault))));
    let set = block_on(org(&vault).set_value_with("V", Scope::Org, "v", options)).map(drop);
    assert_eq!(hooked.hooks_left(), 0);
    (set, store)
}

#[test]
fn that_a_record_is_absent_holds_when_the_batch_lands() {
    let conditions: [fn(&Records) -> strongroom::RecordWrite; 3] = [
        |records| records.condition(id("k"), Expected::Absent),
        |records| records.removal(id("k")).expecting(Expected::Absent),
        |records| records.write(id("k"), "ours").expecting(Expected::Absent),
    ];
    for (index, condition) in conditions.into_iter().enumerate() {
        let (set, store) = overtaken(condition, |records| {
            block_on(records.put(&id("k"), "theirs")).unwrap();
        });
        assert!(matches!(set, Err(Error::Unexpected { found: Some(_) })), "{index}: {set:?}");
        let org = org(&open(store));
        assert!(block_on(org.value("V", Scope::Org)).unwrap().is_none(), "{index}");
        let found = block_on(sessions(&org).get(&id("k"))).unwrap().unwrap();
        assert_eq!(found.value.expose(), "theirs", "{index}");
    }
}

#[test]
fn a_condition_on_a_record_leaves_it_as_it_is() {
    with_org(async |org| {
        org.define(text("V")).await?;
        let sessions = sessions(&org);
        sessions.put(&id("k"), "x").await?;
        let read = sessions.get(&id("k")).await?.unwrap();
        let set = async |expected| {
            let options = WriteOptions::default().with_record(sessions.condition(id("k"), expected));
            org.set_value_with("V", Scope::Org, "v", options).await
        };
        set(Expected::Any).await?;
        set(Expected::Revision(read.revision)).await?;
        assert!(matches!(set(Expected::Absent).await, Err(Error::Unexpected { .. })));
        assert_eq!(sessions.get(&id("k")).await?.unwrap().revision, read.revision);
        sessions.put(&id("k"), "y").await?;
        assert!(matches!(set(Expected::Revision(read.revision)).await, Err(Error::Unexpected { .. })));
        Ok(())
    });
}

#[test]
fn an_expected_absence_leaves_no_row() {
    let (set, store) = overtaken(|records| records.condition(id("k"), Expected::Absent), |_| ());
    set.unwrap();
    audit(&store);
    let org = org(&open(Arc::clone(&store)));
    block_on(org.delete_value("V", Scope::Org)).unwrap();
    block_on(org.delete_definition("V")).unwrap();
    assert_eq!(records_in(&rows(&store)), 0);
}

#[test]
fn the_row_of_an_expected_absence_that_was_cut_short_is_no_record() {
    let store = base(async |org| org.define(text("V")).await.map(drop));
    // The batch lands, and the one that deletes the row again does not.
    let cut = Faulty::new(Arc::clone(&store)).on_commits(1..=1, Fault::Before(StoreErrorKind::Unavailable));
    let org_of_cut = org(&open(cut));
    let absent = sessions(&org_of_cut).condition(id("k"), Expected::Absent);
    let options = WriteOptions::default().with_record(absent);
    block_on(org_of_cut.set_value_with("V", Scope::Org, "v", options)).unwrap();
    let cut_short = rows(&store);
    assert_eq!(records_in(&cut_short), 1);
    type Use = fn(&Org) -> Result<(), Error>;
    let uses: [Use; 5] = [
        |org| block_on(sessions(org).put(&id("k"), "x")).map(|put| assert_eq!(put.action, Upsert::Added)),
        |org| block_on(sessions(org).delete(&id("k"))).map(|found| assert!(!found)),
        |org| {
            let absent = sessions(org).removal(id("k")).expecting(Expected::Absent);
            let options = WriteOptions::default().with_record(absent);
            block_on(org.set_value_with("V", Scope::Org, "w", options)).map(drop)
        },
        |org| block_on(org.rotate_keys()).map(drop),
        |org| block_on(org.verify()).map(|report| assert!(report.is_clean(), "{report}")),
    ];
    for one in uses {
        let store = load(&cut_short);
        let org = org(&open(Arc::clone(&store)));
        assert!(block_on(sessions(&org).get(&id("k"))).unwrap().is_none());
        assert!(block_on(sessions(&org).list(PageRequest::default())).unwrap().items.is_empty());
        one(&org).unwrap();
        sound(&store);
    }
}

#[test]
fn to_delete_the_row_of_an_expected_absence_that_was_cut_short_is_no_event_of_a_record() {
    let store = base(async |org| org.define(text("V")).await.map(drop));
    let cut = Faulty::new(Arc::clone(&store)).on_commits(1..=1, Fault::Before(StoreErrorKind::Unavailable));
    let set = |org: &Org, companion| {
        let options = WriteOptions::default().with_record(companion);
        block_on(org.set_value_with("V", Scope::Org, "v", options)).unwrap();
    };
    let org_of_cut = org(&open(cut));
    set(&org_of_cut, sessions(&org_of_cut).condition(id("k"), Expected::Absent));
    assert_eq!(records_in(&rows(&store)), 1);
    let vault = open(Arc::clone(&store));
    block_on(vault.change_settings(|settings| settings.audit = true)).unwrap();
    let org = org(&vault);
    set(&org, sessions(&org).removal(id("k")));
    assert_eq!(records_in(&rows(&store)), 0);
    let events = block_on(org.audit(&AuditFilter::all(), PageRequest::default())).unwrap().items;
    let kinds: Vec<_> = events.iter().flat_map(|event| &event.changes).map(|change| change.kind).collect();
    assert_eq!(kinds, [EventKind::ValueSet]);
}

#[test]
fn a_record_that_cannot_be_read_is_listed_beside_the_others_and_deleted() {
    let store = base(async |org| {
        sessions(org).put(&id("a"), "x").await?;
        sessions(org).put(&id("b"), "x").await.map(drop)
    });
    let mut altered = rows(&store);
    let row = altered.iter_mut().find(|(key, _)| RowKey::parse(key).kind == Kind::Record).unwrap().1;
    *row.last_mut().unwrap() ^= 1;
    let records = sessions(&org(&open(load(&altered))));
    assert!(matches!(block_on(records.list(PageRequest::default())), Err(Error::Damaged { .. })));
    let each = block_on(records.each(PageRequest::default())).unwrap().items;
    assert_eq!(
        each.iter().map(|(key, one)| (key.as_str(), one.is_ok())).collect::<Vec<_>>(),
        [("a", false), ("b", true)]
    );
    let as_read = WriteOptions::expecting(Expected::Absent);
    assert!(matches!(block_on(records.delete_with(&id("a"), as_read)), Err(Error::Damaged { .. })));
    assert!(block_on(records.delete(&id("a"))).unwrap());
    assert!(!block_on(records.delete(&id("a"))).unwrap());
    assert_eq!(block_on(records.list(PageRequest::default())).unwrap().items.len(), 1);
}

#[test]
fn a_record_that_cannot_be_read_is_replaced_in_one_batch_if_that_is_expected() {
    let whole = base(async |org| sessions(org).put(&id("k"), "x").await.map(drop));
    for store in altered(&rows(&whole), Kind::Record, b"") {
        let hooked = Faulty::new(Arc::clone(&store));
        let records = sessions(&org(&open(hooked.clone())));
        let put = |expected| block_on(records.put_with(&id("k"), "y", WriteOptions::expecting(expected)));
        assert!(matches!(put(Expected::Any), Err(Error::Damaged { .. } | Error::UnknownVersion { .. })));
        let before = hooked.commits_len();
        assert_eq!(put(Expected::Unreadable).unwrap().action, Upsert::Updated);
        assert_eq!(hooked.commits_len(), before + 1);
        assert_eq!(block_on(records.get(&id("k"))).unwrap().unwrap().value.expose(), "y");
        // Now it can be read.
        assert!(matches!(put(Expected::Unreadable), Err(Error::Unexpected { found: Some(_) })));
        audit(&store);
    }
}

#[test]
fn a_record_that_is_absent_is_not_replaced_as_one_that_cannot_be_read() {
    with_org(async |org| {
        let unreadable = WriteOptions::expecting(Expected::Unreadable);
        let put = sessions(&org).put_with(&id("k"), "x", unreadable).await;
        assert!(matches!(put, Err(Error::Unexpected { found: None })), "{put:?}");
        Ok(())
    });
}

#[test]
fn a_record_that_is_written_meanwhile_is_not_replaced_as_one_that_cannot_be_read() {
    let whole = base(async |org| sessions(org).put(&id("k"), "x").await.map(drop));
    let store = altered(&rows(&whole), Kind::Record, b"").remove(0);
    let hooked = Hooked::new(Arc::clone(&store)).shared();
    let ours = sessions(&org(&open(hooked.clone())));
    let theirs = sessions(&org(&open(Arc::clone(&store))));
    let unreadable = || WriteOptions::expecting(Expected::Unreadable);
    hooked.once(Point::BeforeCommit, move || {
        block_on(theirs.put_with(&id("k"), "theirs", unreadable())).unwrap();
    });
    let put = block_on(ours.put_with(&id("k"), "ours", unreadable()));
    assert!(matches!(put, Err(Error::Unexpected { found: Some(_) })), "{put:?}");
    assert_eq!(block_on(ours.get(&id("k"))).unwrap().unwrap().value.expose(), "theirs");
}

#[test]
fn a_record_under_a_new_key_is_not_replaced_as_one_that_cannot_be_read_by_who_knows_only_the_old_key() {
    let store = base(async |org| sessions(org).put(&id("k"), "x").await.map(drop));
    let org_before = org(&open(Faulty::new(Arc::clone(&store))));
    let records = sessions(&org_before);
    block_on(records.get(&id("k"))).unwrap();
    block_on(org(&open(Arc::clone(&store))).rotate_keys()).unwrap();
    let put = block_on(records.put_with(&id("k"), "y", WriteOptions::expecting(Expected::Unreadable)));
    assert!(matches!(put, Err(Error::Unexpected { found: Some(_) })), "{put:?}");
    assert_eq!(block_on(records.get(&id("k"))).unwrap().unwrap().value.expose(), "x");
}

#[test]
fn an_event_of_a_record_that_replaces_one_that_cannot_be_read_has_a_deletion_first() {
    let whole = base(async |org| sessions(org).put(&id("k"), "x").await.map(drop));
    let store = altered(&rows(&whole), Kind::Record, b"").remove(0);
    let vault = open(store);
    block_on(vault.change_settings(|settings| settings.audit = true)).unwrap();
    let org = org(&vault);
    let unreadable = WriteOptions::expecting(Expected::Unreadable);
    let put = block_on(sessions(&org).put_with(&id("k"), "y", unreadable)).unwrap();
    let events = block_on(org.audit(&AuditFilter::all(), PageRequest::default())).unwrap().items;
    let changes: Vec<_> =
        events[0].changes.iter().map(|change| (change.kind, change.before, change.after)).collect();
    let expected = [(EventKind::RecordDeleted, None, None), (EventKind::RecordPut, None, Some(put.revision))];
    assert_eq!(changes, expected);
}

fn records_in(rows: &Rows) -> usize {
    rows.keys().filter(|key| RowKey::parse(key).kind == Kind::Record).count()
}

#[test]
fn a_reserved_namespace_is_written_by_its_door_only_and_read_by_all() {
    with_org(async |org| {
        org.define(text("V")).await?;
        let door_only =
            ["api-key", "api-key-use", "api-key-line", "signing-key", "session", "account-session"];
        for name in door_only {
            let (host, door) = (org.records(id(name)), org.reserved_records(id(name)));
            door.put(&id("k"), "kept").await?;
            let in_a_batch = async |companion| {
                let options = WriteOptions::default().with_record(companion);
                org.set_value_with("V", Scope::Org, "v", options).await.map(drop)
            };
            let refused = [
                host.put(&id("k"), "x").await.map(drop),
                host.put(&id("new"), "x").await.map(drop),
                host.delete(&id("k")).await.map(drop),
                in_a_batch(host.write(id("k"), "x")).await,
                in_a_batch(host.removal(id("k"))).await,
            ];
            for refused in refused {
                assert!(
                    matches!(
                        &refused,
                        Err(Error::Invalid(Invalid::ReservedNamespace(named))) if *named == id(name)
                    ),
                    "{refused:?}"
                );
            }
            assert!(org.value("V", Scope::Org).await?.is_none());
            in_a_batch(host.condition(id("k"), Expected::Any)).await?;
            org.delete_value("V", Scope::Org).await?;
            assert_eq!(host.get(&id("k")).await?.unwrap().value.expose(), "kept");
            assert_eq!(host.list(PageRequest::default()).await?.items.len(), 1);
            assert!(door.delete(&id("k")).await?);
        }
        Ok(())
    });
}
