//! Limits: what is just within is kept, one byte more is refused.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use crate::common::{account, id, run, text, with_limits, with_org, with_small_store};
use strongroom::format::{BadFormat, EnumFormat, LengthBounds, PatternFormat};
use strongroom::{
    CredentialKey, DefinitionChange, DefinitionName, DekId, Environment, Error, IdError, IntegrationId,
    Invalid, Limits, LinkedAccountId, Namespace, OrgId, RecordKey, Scope, SlotId, WorkflowId, WriteOptions,
};

#[test]
fn a_value_has_at_most_64_kib() {
    with_small_store(async |org| {
        org.define(text("A")).await?;
        let most = "x".repeat(65_536);
        for scope in [Scope::Org, account(&"\u{ff}".repeat(127))] {
            org.set_value("A", &scope, most.as_str()).await?;
            assert_eq!(org.value("A", &scope).await?.unwrap().value.expose(), most);
        }
        let refused = org.set_value("A", Scope::Org, [&most, "x"].concat()).await;
        assert!(matches!(refused, Err(Error::TooLong { max: 65_536, .. })));
        Ok(())
    });
}

#[test]
fn a_value_is_measured_in_bytes() {
    with_org(async |org| {
        org.define(text("A")).await?;
        org.set_value("A", Scope::Org, "\u{e9}".repeat(32_768)).await?;
        let refused = org.set_value("A", Scope::Org, "\u{e9}".repeat(32_769)).await;
        assert!(matches!(refused, Err(Error::TooLong { .. })));
        Ok(())
    });
}

#[test]
fn a_credential_has_at_most_64_kib() {
    with_small_store(async |org| {
        let most = "x".repeat(65_536);
        let account = org.create_account(id("a")).with_credential("k", most.as_str()).await?;
        account.upsert_credential("k", most.as_str()).await?;
        let long = || [&most, "x"].concat();
        assert!(matches!(account.upsert_credential("k", long()).await, Err(Error::TooLong { .. })));
        let refused = org.create_account(id("b")).with_credential("k", long()).await;
        assert!(matches!(refused, Err(Error::TooLong { .. })));
        Ok(())
    });
}

#[test]
fn a_record_has_at_most_64_kib() {
    with_small_store(async |org| {
        let (sessions, most) = (org.records(id("visitor")), "x".repeat(65_536));
        sessions.put(&id("k"), most.as_str()).await?;
        let refused = sessions.put(&id("k"), [&most, "x"].concat()).await;
        assert!(matches!(refused, Err(Error::TooLong { what: "a record", max: 65_536 })));
        Ok(())
    });
}

#[test]
fn a_host_may_lower_the_limit_of_a_value_and_never_raise_it() {
    with_limits(Limits::default().value_bytes_max(8), async |org| {
        org.define(text("A")).await?;
        org.set_value("A", Scope::Org, "12345678").await?;
        let refused = org.set_value("A", Scope::Org, "123456789").await;
        assert!(matches!(refused, Err(Error::TooLong { max: 8, .. })));
        Ok(())
    });
    assert_eq!(Limits::default().value_bytes_max(usize::MAX), Limits::default());
    assert_eq!(Limits::default().definitions_max(usize::MAX), Limits::default());
}

#[test]
fn a_record_is_held_to_the_limit_of_a_value_that_the_host_lowers() {
    with_limits(Limits::default().value_bytes_max(8), async |org| {
        let records = org.records(id("visitor"));
        records.put(&id("k"), "12345678").await?;
        let refused = records.put(&id("k"), "123456789").await;
        assert!(matches!(refused, Err(Error::TooLong { what: "a record", max: 8 })));
        Ok(())
    });
}

#[test]
fn an_org_and_environment_holds_at_most_so_many_definitions() {
    with_limits(Limits::default().definitions_max(2), async |org| {
        org.define(text("A")).await?;
        org.define(text("B")).await?;
        assert!(matches!(org.define(text("C")).await, Err(Error::TooManyDefinitions(2))));
        assert!(matches!(org.define(text("A")).await, Err(Error::DefinitionExists(_))));
        org.update_definition("B", DefinitionChange::new().name("D")).await?;
        assert!(matches!(org.define(text("C")).await, Err(Error::TooManyDefinitions(2))));
        org.delete_definition("A").await?;
        org.define(text("C")).await?;
        assert!(matches!(org.define(text("E")).await, Err(Error::TooManyDefinitions(2))));
        Ok(())
    });
}

#[test]
fn undeleting_a_definition_counts_against_its_limit() {
    with_limits(Limits::default().definitions_max(1), async |org| {
        let first = org.define(text("A").history_versions(1)).await?;
        org.delete_definition_with("A", WriteOptions::default().keep_history()).await?;
        org.define(text("B")).await?;
        let refused = org.undelete_definition(first).await;
        assert!(matches!(refused, Err(Error::TooManyDefinitions(1))), "{refused:?}");
        org.delete_definition("B").await?;
        assert!(org.undelete_definition(first).await?.is_some());
        Ok(())
    });
}

#[test]
fn each_environment_has_its_own_count_of_definitions() {
    run(async {
        let options = strongroom::VaultOptions::default().limits(Limits::default().definitions_max(1));
        let vault = crate::common::vault(strongroom_memory::MemoryStore::new(), options).await?;
        crate::common::org_of(&vault).define(text("A")).await?;
        vault.org(crate::common::org_id(), Environment::production()).define(text("A")).await?;
        Ok(())
    });
}

#[test]
fn a_description_has_at_most_1_kib() {
    with_org(async |org| {
        org.define(text("A").description("x".repeat(1_024))).await?;
        let long = "x".repeat(1_025);
        let defined = org.define(text("B").description(long.as_str())).await;
        assert!(matches!(defined, Err(Error::TooLong { max: 1_024, .. })));
        let changed = org.update_definition("A", DefinitionChange::new().description(long)).await;
        assert!(matches!(changed, Err(Error::TooLong { max: 1_024, .. })));
        Ok(())
    });
}

#[test]
fn a_default_has_at_most_4_kib() {
    with_org(async |org| {
        org.define(text("A").default_value("x".repeat(4_096))).await?;
        let long = "x".repeat(4_097);
        let defined = org.define(text("B").default_value(long.as_str())).await;
        assert!(matches!(defined, Err(Error::TooLong { max: 4_096, .. })));
        let changed = org.update_definition("A", DefinitionChange::new().default_value(long)).await;
        assert!(matches!(changed, Err(Error::TooLong { max: 4_096, .. })));
        Ok(())
    });
}

#[test]
fn the_largest_definition_fits_in_a_row() {
    with_small_store(async |org| {
        let pattern = PatternFormat::draft("x*").vet().unwrap();
        let largest =
            strongroom::VariableDefinition::new("n".repeat(256), strongroom::VarFormat::Pattern(pattern));
        let largest = largest.description("d".repeat(1_024)).default_value("x".repeat(4_096));
        let id = org.define(largest.author("a".repeat(300))).await?;
        assert!(org.definition(id).await?.is_some());
        Ok(())
    });
}

#[test]
fn an_account_s_own_fields_have_at_most_16_kib() {
    with_small_store(async |org| {
        let create = |bytes: usize| org.create_account(id("a")).udf("x".repeat(bytes));
        assert!(matches!(create(16_385).await, Err(Error::TooLong { max: 16_384, .. })));
        assert_eq!(create(16_384).await?.info().await?.unwrap().udf.unwrap().len(), 16_384);
        let update = org.upsert_account(id("a")).udf("x".repeat(16_385)).await;
        assert!(matches!(update, Err(Error::TooLong { .. })));
        Ok(())
    });
}

#[test]
fn a_name_of_an_account_has_at_most_256_bytes() {
    with_org(async |org| {
        let create = |bytes: usize| org.create_account(id("a")).name("x".repeat(bytes));
        assert!(matches!(create(257).await, Err(Error::TooLong { max: 256, .. })));
        create(256).await?;
        Ok(())
    });
}

#[test]
fn the_values_of_an_enum_have_at_most_4_kib_together() {
    let values = |last: usize| EnumFormat::new(["x".repeat(4_000), "y".repeat(last)]);
    assert!(values(96).is_ok());
    assert!(matches!(values(97), Err(BadFormat::EnumTooLarge { bytes_max: 4_096 })));
}

#[test]
fn a_pattern_has_at_most_1_kib() {
    assert!(PatternFormat::draft("x".repeat(1_024)).vet().is_ok());
    assert!(PatternFormat::draft("x".repeat(1_025)).vet().is_err());
}

#[test]
fn length_bounds_hold_beside_the_format() {
    with_org(async |org| {
        let bounds = LengthBounds::new(2..=3).unwrap();
        org.define(text("A").length(bounds)).await?;
        for (value, fits) in [("1", false), ("12", true), ("123", true), ("1234", false)] {
            assert_eq!(org.set_value("A", Scope::Org, value).await.is_ok(), fits, "{value}");
        }
        let refused = org.define(text("B").length(bounds).default_value("1")).await;
        assert!(matches!(refused, Err(Error::Invalid(Invalid::Default { .. }))));
        Ok(())
    });
}

#[test]
fn an_id_has_at_most_its_bytes() {
    fn holds<T: std::str::FromStr<Err = IdError>>(bytes_max: usize) {
        assert!("x".repeat(bytes_max).parse::<T>().is_ok());
        let refused = "x".repeat(bytes_max + 1).parse::<T>().err();
        assert!(matches!(refused, Some(IdError::TooLong { max, .. }) if max == bytes_max));
        // Two bytes each: characters do not count.
        assert!("\u{ff}".repeat(bytes_max / 2).parse::<T>().is_ok());
        assert!("\u{ff}".repeat(bytes_max / 2 + 1).parse::<T>().is_err());
    }
    holds::<Environment>(32);
    holds::<LinkedAccountId>(254);
    holds::<WorkflowId>(254);
    holds::<IntegrationId>(64);
    holds::<DefinitionName>(256);
    holds::<CredentialKey>(256);
    holds::<Namespace>(64);
    holds::<RecordKey>(256);
}

#[test]
fn an_id_out_of_its_rule_is_refused_and_not_fixed() {
    for text in ["", "a\0", "\t", "a\r", "\u{1b}[31m", "\u{7f}", "\u{9f}"] {
        assert!(text.parse::<Environment>().is_err(), "{text:?}");
        assert!(text.parse::<LinkedAccountId>().is_err(), "{text:?}");
        assert!(text.parse::<WorkflowId>().is_err(), "{text:?}");
        assert!(text.parse::<IntegrationId>().is_err(), "{text:?}");
        assert!(text.parse::<RecordKey>().is_err(), "{text:?}");
    }
    for text in [".", ".."] {
        assert!(matches!(text.parse::<Environment>(), Err(IdError::Dots(_))));
        assert!(matches!(text.parse::<LinkedAccountId>(), Err(IdError::Dots(_))));
        assert!(matches!(text.parse::<WorkflowId>(), Err(IdError::Dots(_))));
        assert!(matches!(text.parse::<IntegrationId>(), Err(IdError::Dots(_))));
    }
    for text in ["6500A1B2C3D4E5F6A7B8C9D0", "6500a1b2c3d4e5f6a7b8c9d", " 6500a1b2c3d4e5f6a7b8c9d0"] {
        assert!(matches!(text.parse::<OrgId>(), Err(IdError::NotHex { digits: 24, .. })));
        assert!(matches!(text.parse::<SlotId>(), Err(IdError::NotHex { digits: 32, .. })));
        assert!(matches!(text.parse::<DekId>(), Err(IdError::NotHex { digits: 32, .. })));
    }
    let key_id = "00112233445566778899aabbccddeeff";
    assert_eq!(key_id.parse::<SlotId>().map(|id| id.to_string()).as_deref(), Ok(key_id));
    assert_eq!(key_id.parse::<DekId>().map(|id| id.to_string()).as_deref(), Ok(key_id));
}

#[test]
fn the_longest_ids_together_still_make_a_row() {
    run(async {
        let vault = crate::common::vault(crate::common::SmallStore::default(), Default::default()).await?;
        let org = vault.org(crate::common::org_id(), id(&"e".repeat(32)));
        let (account, app) = (id::<LinkedAccountId>(&"a".repeat(254)), id::<IntegrationId>(&"i".repeat(64)));
        let handle = org.create_account(account.clone()).await?;
        handle.add_integration(&app).await?;
        let key = "k".repeat(256);
        handle.app(app.clone()).upsert(&key, "x").await?;
        assert!(handle.app(app).get(&key).await?.is_some());
        org.records(id(&"n".repeat(64))).put(&id(&key), "x").await?;
        org.define(text(&"d".repeat(256))).await?;
        org.set_value(&"d".repeat(256), Scope::LinkedAccount(account), "x").await?;
        Ok(())
    });
}
