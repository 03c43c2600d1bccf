//! Secrets that are not text.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde::Deserialize;
use strongroom::format::{LengthBounds, VALUE_BYTES_MAX};
use strongroom::{
    Error, FormatChange, Invalid, PageRequest, ReadError, Scope, ScopePath, Secret, SecretBytes, VarFormat,
    Variable, VariableDefinition,
};

use crate::common::{id, text, with_org};

const KEYTAB: &[u8] = b"\x05\x02\0\xff\xfe not text";

#[derive(Debug, Deserialize)]
struct Env {
    #[serde(rename = "KEYTAB")]
    keytab: SecretBytes,
    #[serde(rename = "ABSENT")]
    absent: Option<SecretBytes>,
}

fn keytab() -> VariableDefinition {
    VariableDefinition::new("KEYTAB", VarFormat::Bytes).encrypted()
}

#[test]
fn bytes_come_back_from_a_value_a_credential_and_a_run() {
    with_org(async |org| {
        org.define(keytab()).await?;
        org.set_value("KEYTAB", Scope::Org, SecretBytes::from(KEYTAB.to_vec())).await?;
        let value = org.value("KEYTAB", Scope::Org).await?.unwrap().value;
        assert_eq!(value.to_bytes().unwrap().expose(), KEYTAB);
        let account = org.create_account(id("a")).with_default_app().await?;
        account.upsert_credential("p12", Secret::from_bytes(KEYTAB)).await?;
        let credential = account.credential("p12").await?.unwrap().value;
        assert_eq!(credential.to_bytes().unwrap().expose(), KEYTAB);
        let run = org.resolve_all(&ScopePath::org()).await?;
        assert_eq!(run.parse::<SecretBytes>("KEYTAB").unwrap().unwrap().expose(), KEYTAB);
        let env: Env = run.deserialize().unwrap();
        assert!(env.keytab.expose() == KEYTAB && env.absent.is_none());
        Ok(())
    });
}

#[test]
fn what_is_not_base64_is_no_value_of_bytes_and_an_error_shows_none_of_it() {
    with_org(async |org| {
        org.define(keytab()).await?;
        for refused in ["", "hunter2", "Zg", "Zh==", "Zg==\n"] {
            let error = org.set_value("KEYTAB", Scope::Org, refused).await.unwrap_err();
            assert!(matches!(error, Error::InvalidValue { .. }), "{error}");
        }
        let empty = org.set_value("KEYTAB", Scope::Org, SecretBytes::from(Vec::new())).await;
        assert!(matches!(empty, Err(Error::InvalidValue { .. })));
        org.define(text("TEXT")).await?;
        org.set_value("TEXT", Scope::Org, "hunter2").await?;
        let run = org.resolve_all(&ScopePath::org()).await?;
        let error = run.parse::<SecretBytes>("TEXT").unwrap_err();
        assert_eq!(error, ReadError::Unfit("TEXT".into()));
        let secret = run.get("TEXT").unwrap().value.to_bytes().unwrap_err();
        assert!(!format!("{error} {error:?} {secret} {secret:?}").contains("hunter2"));
        Ok(())
    });
}

#[test]
fn bounds_on_the_length_of_bytes_count_the_bytes() {
    with_org(async |org| {
        org.define(keytab().length(LengthBounds::new(31..=32).unwrap())).await?;
        for (len, fits) in [(30, false), (31, true), (32, true), (33, false)] {
            let set = org.set_value("KEYTAB", Scope::Org, SecretBytes::from(vec![0; len])).await;
            assert_eq!(set.is_ok(), fits, "{len}");
        }
        Ok(())
    });
}

#[test]
fn bounds_that_no_bytes_can_keep_are_refused_where_the_definition_is_made() {
    with_org(async |org| {
        let of = |bounds| keytab().length(bounds);
        for bounds in [LengthBounds::new(0..=0), LengthBounds::new(49_153..)] {
            let bounds = bounds.unwrap();
            assert!(matches!(of(bounds).check(), Err(Error::Invalid(Invalid::Definition { .. }))));
            let refused = org.define(of(bounds)).await.unwrap_err();
            assert!(refused.to_string().contains("1 to 49152 bytes"), "{refused}");
            let change = FormatChange::to(VarFormat::Bytes).length(bounds);
            org.define(text(&format!("T{}", bounds.min()))).await?;
            let name = format!("T{}", bounds.min());
            let planned = org.plan_format_change(&*name, &change, PageRequest::default()).await;
            assert!(matches!(planned, Err(Error::Invalid(Invalid::Definition { .. }))));
        }
        for bounds in [LengthBounds::new(0..=1), LengthBounds::new(49_152..)] {
            of(bounds.unwrap()).check()?;
        }
        // Of a text they are.
        VariableDefinition::new("TEXT", VarFormat::String).length(LengthBounds::new(0..=0).unwrap()).check()
    });
}

#[test]
fn that_bytes_are_empty_is_said_as_it_is() {
    with_org(async |org| {
        org.define(keytab()).await?;
        let empty = org.set_value("KEYTAB", Scope::Org, SecretBytes::from(Vec::new())).await;
        assert!(empty.unwrap_err().to_string().contains("at least one byte is required"));
        Ok(())
    });
}

#[test]
fn the_limit_of_a_value_counts_the_text_of_bytes() {
    with_org(async |org| {
        org.define(keytab()).await?;
        let most = VALUE_BYTES_MAX / 4 * 3;
        org.set_value("KEYTAB", Scope::Org, SecretBytes::from(vec![0xff; most])).await?;
        let longer = org.set_value("KEYTAB", Scope::Org, SecretBytes::from(vec![0xff; most + 1])).await;
        assert!(matches!(longer, Err(Error::TooLong { .. })));
        Ok(())
    });
}

#[test]
fn a_field_of_bytes_is_encrypted_and_takes_no_text() {
    let definition = VariableDefinition::read_as::<SecretBytes>("KEYTAB", SecretBytes::format()).unwrap();
    assert_eq!((definition.var_format, definition.encrypted), (VarFormat::Bytes, true));
    assert!(VariableDefinition::read_as::<Option<SecretBytes>>("KEYTAB", VarFormat::Base64).is_ok());
    assert!(VariableDefinition::read_as::<SecretBytes>("KEYTAB", VarFormat::String).is_err());
}

#[test]
fn debug_shows_no_bytes() {
    assert_eq!(format!("{:?}", SecretBytes::from(KEYTAB.to_vec())), "[REDACTED]");
}
