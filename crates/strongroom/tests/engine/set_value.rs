//! `Org::set_value`, `set_values` and `validate`: what is written, and what is refused.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use crate::common::{
    SmallStore, account, exposed, id, org_of, run, text, vault, with_clock, with_org, with_small_store,
    workflow,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_executor::block_on;
use strongroom::{
    Error, Expected, Invalid, NewValue, Revision, Scope, Settings, Upsert, VarFormat, VariableDefinition,
    VaultOptions, WriteOptions,
};
use strongroom_memory::MemoryStore;

#[test]
fn a_value_is_its_exact_text() {
    with_org(async |org| {
        org.define(text("A")).await?;
        for value in
            ["", " x ", "x\r\n", "\0", "\u{e9}", "e\u{301}", "\u{feff}x", "UPPER lower", "\u{10ffff}"]
        {
            org.set_value("A", Scope::Org, value).await?;
            assert_eq!(exposed(org.value("A", Scope::Org).await?.as_ref()), Some(value));
        }
        Ok(())
    });
}

#[test]
fn the_first_set_adds_and_a_later_one_updates() {
    with_org(async |org| {
        org.define(text("A")).await?;
        assert_eq!(org.set_value("A", Scope::Org, "x").await?.action, Upsert::Added);
        assert_eq!(org.set_value("A", Scope::Org, "x").await?.action, Upsert::Updated);
        org.delete_value("A", Scope::Org).await?;
        assert_eq!(org.set_value("A", Scope::Org, "x").await?.action, Upsert::Added);
        Ok(())
    });
}

#[test]
fn an_update_keeps_id_and_creation_time_and_changes_the_revision() {
    with_clock(async |org, clock| {
        org.define(text("A")).await?;
        let added = org.set_value("A", Scope::Org, "x").await?;
        clock.set(5_000);
        let updated = org.set_value("A", Scope::Org, "y").await?;
        assert_eq!((updated.id, updated.created_at), (added.id, added.created_at));
        assert_ne!(updated.revision, added.revision);
        assert_eq!((updated.created_at.as_ms(), updated.updated_at.as_ms()), (1_000, 5_000));
        let read = org.value("A", Scope::Org).await?.unwrap();
        assert_eq!((read.id, read.revision), (updated.id, updated.revision));
        assert_eq!((read.created_at, read.updated_at), (updated.created_at, updated.updated_at));
        Ok(())
    });
}

#[test]
fn values_of_one_definition_at_different_scopes_are_different_documents() {
    with_org(async |org| {
        org.define(text("A")).await?;
        for (scope, value) in
            [(Scope::Org, "o"), (account("a"), "a"), (account("b"), "b"), (workflow("a"), "w")]
        {
            assert_eq!(org.set_value("A", scope, value).await?.action, Upsert::Added);
        }
        assert_eq!(exposed(org.value("A", &account("a")).await?.as_ref()), Some("a"));
        assert_eq!(exposed(org.value("A", &workflow("a")).await?.as_ref()), Some("w"));
        Ok(())
    });
}

#[test]
fn a_value_is_found_by_its_document_id() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let written = org.set_value("A", account("a"), "x").await?;
        let found = org.value_by_id(&written.id).await?.unwrap();
        assert_eq!(
            (found.id, found.definition_id, found.scope),
            (written.id, written.definition_id, account("a"))
        );
        Ok(())
    });
}

#[test]
fn a_value_of_another_format_is_refused() {
    with_org(async |org| {
        let id = org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
        for bad in ["", "http", "8080 ", "1.5"] {
            let refused = org.set_value("PORT", Scope::Org, bad).await;
            assert!(matches!(refused, Err(Error::InvalidValue { definition, .. }) if definition == id));
        }
        assert!(org.value("PORT", Scope::Org).await?.is_none());
        Ok(())
    });
}

#[test]
fn a_value_for_an_unknown_definition_is_refused() {
    with_org(async |org| {
        let refused = org.set_value("NONE", Scope::Org, "x").await;
        assert!(matches!(refused, Err(Error::DefinitionNotFound(_))));
        Ok(())
    });
}

#[test]
fn expected_absent_holds_only_where_no_value_stands() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let absent = || WriteOptions::expecting(Expected::Absent);
        let added = org.set_value_with("A", Scope::Org, "x", absent()).await?;
        let refused = org.set_value_with("A", Scope::Org, "y", absent()).await;
        assert!(matches!(refused, Err(Error::Unexpected { found }) if found == Some(added.revision)));
        assert_eq!(exposed(org.value("A", Scope::Org).await?.as_ref()), Some("x"));
        Ok(())
    });
}

#[test]
fn an_expected_revision_holds_until_the_next_write() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let first = org.set_value("A", Scope::Org, "1").await?.revision;
        let expecting = || WriteOptions::expecting(Expected::Revision(first));
        let second = org.set_value_with("A", Scope::Org, "2", expecting()).await?.revision;
        let late = org.set_value_with("A", Scope::Org, "3", expecting()).await;
        assert!(matches!(late, Err(Error::Unexpected { found }) if found == Some(second)));
        Ok(())
    });
}

#[test]
fn an_expected_revision_does_not_hold_where_no_value_stands() {
    with_org(async |org| {
        org.define(text("A")).await?;
        for number in [0, 1, u64::MAX] {
            let expecting = WriteOptions::expecting(Expected::Revision(Revision::from_u64(number)));
            let refused = org.set_value_with("A", Scope::Org, "x", expecting).await;
            assert!(matches!(refused, Err(Error::Unexpected { found: None })));
        }
        Ok(())
    });
}

#[test]
fn a_revision_from_before_a_delete_never_fits_a_value_made_after_it() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let mut gone = Vec::new();
        for _ in 0..20 {
            gone.push(org.set_value("A", Scope::Org, "x").await?.revision);
            org.delete_value("A", Scope::Org).await?;
        }
        org.set_value("A", Scope::Org, "x").await?;
        for revision in gone {
            let stale = WriteOptions::expecting(Expected::Revision(revision));
            let refused = org.set_value_with("A", Scope::Org, "y", stale).await;
            assert!(matches!(refused, Err(Error::Unexpected { found: Some(_) })));
        }
        Ok(())
    });
}

#[test]
fn many_values_are_set_all_or_none() {
    with_org(async |org| {
        org.define(text("A")).await?;
        org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
        let failing = [
            (NewValue::new("PORT", Scope::Org, "http"), "InvalidValue"),
            (NewValue::new("NONE", Scope::Org, "x"), "DefinitionNotFound"),
            (NewValue::new("A", Scope::Org, "x".repeat(65_537)), "TooLong"),
            (
                NewValue::new("PORT", account("b"), "1").expecting(Expected::Revision(Revision::from_u64(1))),
                "Unex",
            ),
        ];
        for (last, error) in failing {
            let values =
                [NewValue::new("A", account("a"), "x"), NewValue::new("A", workflow("w"), "x"), last];
            let refused = org.set_values(&values).await.unwrap_err();
            assert!(format!("{refused:?}").starts_with(error));
            assert!(org.value("A", &account("a")).await?.is_none());
            assert!(org.value("A", &workflow("w")).await?.is_none());
        }
        Ok(())
    });
}

#[test]
fn each_of_many_values_has_its_own_expectation() {
    with_org(async |org| {
        org.define(text("A")).await?;
        let standing = org.set_value("A", Scope::Org, "1").await?;
        let written = org
            .set_values(&[
                NewValue::new("A", Scope::Org, "2").expecting(Expected::Revision(standing.revision)),
                NewValue::new("A", account("a"), "2").expecting(Expected::Absent),
            ])
            .await?;
        let actions: Vec<_> = written.iter().map(|written| written.action).collect();
        assert_eq!(actions, [Upsert::Updated, Upsert::Added]);
        Ok(())
    });
}

#[test]
fn one_call_sets_a_definition_at_a_scope_once() {
    with_org(async |org| {
        let id = org.define(text("A")).await?;
        let twice = [NewValue::new("A", Scope::Org, "x"), NewValue::new(id, Scope::Org, "y")];
        assert!(
            matches!(org.set_values(&twice).await, Err(Error::Invalid(Invalid::DuplicateValue(double))) if double == id)
        );
        assert!(org.value("A", Scope::Org).await?.is_none());
        Ok(())
    });
}

#[test]
fn no_values_are_no_write() {
    with_org(async |org| {
        assert!(org.set_values(&[]).await?.is_empty());
        Ok(())
    });
}

#[test]
fn more_values_and_accounts_than_one_read_holds_go_in_one_batch() {
    with_org(async |org| {
        let names: Vec<_> = (0..12).map(|number| format!("V{number}")).collect();
        for name in &names {
            org.define(text(name)).await?;
        }
        let accounts: Vec<_> = (0..25).map(|number| account(&format!("user_{number}"))).collect();
        let places = || names.iter().flat_map(|name| accounts.iter().map(move |scope| (name, scope)));
        let values: Vec<_> =
            places().map(|(name, scope)| NewValue::new(name, scope, format!("{name} {scope}"))).collect();
        assert_eq!(org.set_values(&values).await?.len(), 300);
        for (name, scope) in places() {
            let found = org.value(name, scope).await?;
            assert_eq!(exposed(found.as_ref()), Some(format!("{name} {scope}").as_str()));
        }
        let again = org.set_values(&values).await?;
        assert!(again.iter().all(|written| written.action == Upsert::Updated));
        Ok(())
    });
}

#[test]
fn a_batch_over_the_store_s_limit_is_refused_before_anything_is_written_and_says_how_many_fit() {
    with_small_store(async |org| {
        org.define(text("A")).await?;
        let scopes = |count: usize| (0..count).map(|number| workflow(&format!("wf_{number}")));
        let values = |count| scopes(count).map(|scope| NewValue::new("A", scope, "x")).collect::<Vec<_>>();
        let refused = org.set_values(&values(60)).await;
        let Err(Error::TooManyValues { fit }) = refused else { panic!("{refused:?}") };
        for scope in scopes(60) {
            assert!(org.value("A", &scope).await?.is_none());
        }
        assert!(org.set_values(&values(fit + 1)).await.is_err());
        assert_eq!(org.set_values(&values(fit)).await?.len(), fit);
        Ok(())
    });
}

#[test]
fn values_that_do_not_fit_into_one_batch_are_set_in_parts_that_do() {
    with_small_store(async |org| {
        org.define(text("A")).await?;
        let scopes: Vec<_> = (0..150).map(|number| workflow(&format!("wf_{number}"))).collect();
        let values: Vec<_> = scopes.iter().map(|scope| NewValue::new("A", scope.clone(), "x")).collect();
        let Err(Error::TooManyValues { fit }) = org.set_values(&values).await else { panic!() };
        let mut set = vec![0];
        let written = org.set_values_in_parts(&values, |so_far| set.push(so_far)).await?;
        assert_eq!(written.len(), values.len());
        assert!(set.is_sorted() && set.last() == Some(&values.len()), "{set:?}");
        let parts: Vec<_> = set.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(parts.iter().all(|part| *part <= fit), "{parts:?}");
        assert!(
            parts[..parts.len() - 1].iter().all(|part| *part * 2 >= fit),
            "not smaller than need be: {parts:?}"
        );
        for (scope, written) in scopes.iter().zip(written) {
            assert_eq!(org.value("A", scope).await?.unwrap().revision, written.revision);
        }
        Ok(())
    });
}

#[test]
fn a_value_that_comes_twice_is_refused_before_any_part_is_set() {
    with_org(async |org| {
        let id = org.define(text("A")).await?;
        // The second time is in another part.
        let scopes: Vec<_> = (0..1_000).chain([0]).map(|number| workflow(&format!("wf_{number}"))).collect();
        let values: Vec<_> = scopes.iter().map(|scope| NewValue::new("A", scope, "x")).collect();
        let refused = org.set_values_in_parts(&values, |_| ()).await;
        assert!(matches!(refused, Err(Error::Invalid(Invalid::DuplicateValue(double))) if double == id));
        assert!(org.value("A", &scopes[0]).await?.is_none());
        Ok(())
    });
}

#[test]
fn what_joins_a_batch_takes_its_room_and_its_events_take_none() {
    let fits = |audit: bool, records: usize| {
        let mut settings = Settings::default();
        settings.audit = audit;
        let options = VaultOptions::default().settings(settings);
        let org = org_of(&block_on(vault(SmallStore::default(), options)).unwrap());
        block_on(org.define(text("A"))).unwrap();
        let joined = || {
            let notes = org.records(id("notes"));
            (0..records).fold(WriteOptions::default(), |options, number| {
                options.with_record(notes.write(id(&number.to_string()), "r"))
            })
        };
        let scopes: Vec<_> = (0..60).map(|number| workflow(&format!("wf_{number}"))).collect();
        let values =
            |len| scopes.iter().take(len).map(|scope| NewValue::new("A", scope, "x")).collect::<Vec<_>>();
        let refused = block_on(org.set_values_with(&values(60), joined()));
        let Err(Error::TooManyValues { fit }) = refused else { panic!("{refused:?}") };
        block_on(org.set_values_with(&values(fit), joined())).unwrap();
        fit
    };
    let (alone, with_records) = (fits(false, 0), fits(false, 12));
    assert!(alone - 12 <= with_records && with_records < alone, "{with_records} of {alone}");
    assert_eq!(fits(true, 0), alone);
}

#[test]
fn a_batch_of_many_events_is_one_batch() {
    run(async {
        let mut settings = Settings::default();
        settings.audit = true;
        let org = org_of(&vault(MemoryStore::new(), VaultOptions::default().settings(settings)).await?);
        org.define(text("A")).await?;
        let scopes: Vec<_> = (0..600).map(|number| workflow(&number.to_string())).collect();
        let values: Vec<_> = scopes.iter().map(|scope| NewValue::new("A", scope, "x")).collect();
        assert_eq!(org.set_values(&values).await?.len(), 600);
        Ok(())
    });
}

#[test]
fn the_ciphertext_is_answered_for_an_encrypted_definition_when_asked_for() {
    with_org(async |org| {
        org.define(text("OPEN")).await?;
        org.define(text("SECRET").encrypted()).await?;
        let asked = || WriteOptions::default().with_ciphertext();
        assert_eq!(org.set_value("SECRET", Scope::Org, "x").await?.ciphertext, None);
        assert_eq!(org.set_value_with("OPEN", Scope::Org, "x", asked()).await?.ciphertext, None);
        let shown = org.set_value_with("SECRET", Scope::Org, "canary", asked()).await?.ciphertext.unwrap();
        let record = STANDARD.decode(shown).unwrap();
        assert_eq!(record[..2], [1, 1]);
        assert!(!record.windows(6).any(|part| part == b"canary"));
        Ok(())
    });
}

#[test]
fn a_condition_of_a_batch_holds_for_each_of_its_values_and_definitions() {
    with_org(async |org| {
        org.define(text("A")).await?;
        org.define(text("B")).await?;
        let found = org.set_value("B", Scope::Org, "old").await?.revision;
        let values = [NewValue::new("A", Scope::Org, "new"), NewValue::new("B", Scope::Org, "new")];
        let absent = || WriteOptions::expecting(Expected::Absent);
        let refused = [
            org.set_values_with(&values, absent()).await.map(drop),
            org.define_and_set_with(&[text("C")], &values, absent()).await.map(drop),
        ];
        for answer in refused {
            assert!(matches!(answer, Err(Error::Unexpected { found: Some(known) }) if known == found));
        }
        assert!(org.value("A", Scope::Org).await?.is_none() && org.definition("C").await?.is_none());
        let stale = org.define_with(text("C"), WriteOptions::expecting(Expected::Revision(found))).await;
        assert!(matches!(stale, Err(Error::Unexpected { found: None })), "{stale:?}");
        org.define_with(text("C"), absent()).await?;
        Ok(())
    });
}

#[test]
fn a_dry_run_refuses_what_a_set_refuses_and_writes_nothing() {
    with_org(async |org| {
        let org_only = strongroom::Scopes::only(strongroom::ScopeKind::Org);
        org.define(VariableDefinition::new("PORT", VarFormat::Integer).scopes(org_only)).await?;
        org.validate("PORT", Scope::Org, "8080").await?;
        let http = org.validate("PORT", Scope::Org, "http").await;
        assert!(matches!(http, Err(Error::InvalidValue { .. })));
        let elsewhere = org.validate("PORT", &account("a"), "8080").await;
        assert!(matches!(elsewhere, Err(Error::ScopeNotAllowed { .. })));
        let long = org.validate("PORT", Scope::Org, "1".repeat(65_537)).await;
        assert!(matches!(long, Err(Error::TooLong { .. })));
        let unknown = org.validate("NONE", Scope::Org, "8080").await;
        assert!(matches!(unknown, Err(Error::DefinitionNotFound(_))));
        assert!(org.value("PORT", Scope::Org).await?.is_none());
        Ok(())
    });
}
