//! `Org::define_and_set`: definitions and values in one batch.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use crate::common::{
    account, exposed, is_sound, org_of, text, vault, with_limits, with_org, with_small_store,
};
use strongroom::{
    DefinitionFilter, Error, Expected, Invalid, Limits, NewValue, Org, PageRequest, Scope, Upsert, VarFormat,
    VariableDefinition, VaultOptions,
};
use strongroom_memory::MemoryStore;

fn at_org<'a>(name: &'a str, value: &'a str) -> NewValue<'a> {
    NewValue::new(name, Scope::Org, value)
}

async fn is_empty(org: &Org) -> Result<bool, Error> {
    let definitions = org.definitions(&DefinitionFilter::all(), PageRequest::first(1)).await?;
    Ok(definitions.items.is_empty() && org.values(Scope::Org, PageRequest::first(1)).await?.items.is_empty())
}

#[test]
fn new_and_known_definitions_take_values_in_one_batch() {
    with_org(async |org| {
        let known = org.define(text("KNOWN")).await?;
        let user = account("user_1");
        let new = [text("B").description("second"), VariableDefinition::new("A", VarFormat::Integer)];
        let values = [
            at_org("A", "1"),
            NewValue::new("B", user.clone(), "b"),
            at_org("B", ""),
            NewValue::new(known, Scope::Org, "k"),
        ];
        let written = org.define_and_set(&new, &values).await?;
        let stored = org.definition(written.definitions[0]).await?.unwrap();
        assert_eq!((stored.definition, stored.revision.as_u64()), (new[0].clone(), 1));
        let of: Vec<_> = written.values.iter().map(|value| (value.definition_id, value.action)).collect();
        let [b, a] = written.definitions[..] else { unreachable!("two were made") };
        assert_eq!(of, [a, b, b, known].map(|id| (id, Upsert::Added)));
        assert_eq!(exposed(org.value("B", &user).await?.as_ref()), Some("b"));
        assert_eq!(exposed(org.value("A", Scope::Org).await?.as_ref()), Some("1"));
        assert!(matches!(org.define(text("A")).await, Err(Error::DefinitionExists(id)) if id == a));
        Ok(())
    });
}

#[test]
fn whatever_fails_leaves_no_definition_and_no_value() {
    with_org(async |org| {
        let new = [text("A"), VariableDefinition::new("N", VarFormat::Number)];
        let absent = || at_org("A", "a").expecting(Expected::Absent);
        for (values, failed) in [
            (vec![absent(), at_org("N", "x")], "InvalidValue"),
            (vec![absent(), at_org("MISSING", "x")], "DefinitionNotFound"),
            (vec![absent(), at_org("A", "b")], "DuplicateValue"),
            (
                vec![at_org("A", "a").expecting(Expected::Revision(strongroom::Revision::from_u64(1)))],
                "Unexpected",
            ),
        ] {
            let answer = org.define_and_set(&new, &values).await;
            assert!(format!("{:?}", answer.unwrap_err()).contains(failed), "{failed}");
            assert!(is_empty(&org).await?, "{failed}");
        }
        Ok(())
    });
}

#[test]
fn a_name_that_is_taken_or_stands_twice_refuses_all() {
    with_org(async |org| {
        let taken = org.define(text("A")).await?;
        let clash = org.define_and_set(&[text("B"), text("A")], &[at_org("B", "b")]).await;
        assert!(matches!(clash, Err(Error::DefinitionExists(id)) if id == taken));
        let twice = org.define_and_set(&[text("B"), text("B")], &[]).await;
        assert!(matches!(twice, Err(Error::Invalid(Invalid::Definition { .. }))));
        assert_eq!(org.definition("B").await?, None);
        Ok(())
    });
}

#[test]
fn the_limit_on_definitions_counts_all_of_a_batch() {
    with_limits(Limits::default().definitions_max(2), async |org| {
        let three = ["A", "B", "C"].map(text);
        assert!(matches!(org.define_and_set(&three, &[]).await, Err(Error::TooManyDefinitions(2))));
        assert!(is_empty(&org).await?);
        org.define_and_set(&three[..2], &[]).await?;
        assert!(matches!(org.define(text("C")).await, Err(Error::TooManyDefinitions(2))));
        org.delete_definition("A").await?;
        org.define_and_set(&three[2..], &[]).await?;
        Ok(())
    });
}

#[test]
fn what_does_not_fit_one_batch_is_refused_before_anything_is_written() {
    with_small_store(async |org| {
        let names: Vec<String> = (0..200).map(|number| format!("V{number}")).collect();
        let new: Vec<_> = names.iter().map(|name| text(name)).collect();
        let values: Vec<_> = names.iter().map(|name| at_org(name, "x")).collect();
        let answer = org.define_and_set(&new, &values).await;
        assert!(
            matches!(answer, Err(Error::TooManyValues { fit: 0 })),
            "the definitions alone fill it: {answer:?}"
        );
        assert!(is_empty(&org).await?);
        org.define_and_set(&new[..10], &values[..10]).await?;
        Ok(())
    });
}

#[test]
fn what_was_written_is_sound_and_is_there_for_a_new_engine() {
    crate::common::run(async {
        let store = std::sync::Arc::new(MemoryStore::new());
        let first = vault(std::sync::Arc::clone(&store), VaultOptions::default()).await?;
        org_of(&first).define_and_set(&[text("A")], &[at_org("A", "a")]).await?;
        is_sound(&first).await?;
        first.close().await?;
        Ok(())
    });
}

#[test]
fn many_cold_names_are_read_together() {
    crate::common::run(async {
        let store = strongroom_conformance::Faulty::new(MemoryStore::new());
        let names: Vec<String> = (0..20).map(|number| format!("V{number}")).collect();
        let new: Vec<_> = names.iter().map(|name| text(name)).collect();
        let values: Vec<_> = names.iter().map(|name| at_org(name, "x")).collect();
        org_of(&vault(store.clone(), VaultOptions::default()).await?).define_and_set(&new, &[]).await?;
        let cold = strongroom::Vault::open(store.clone(), crate::common::unlock()).await?;
        let before = store.reads_len();
        org_of(&cold).set_values(&values).await?;
        assert_eq!(
            store.reads_len() - before,
            3,
            "their names; definitions, keys and values; and once an engine, how much the org stores"
        );
        Ok(())
    });
}
