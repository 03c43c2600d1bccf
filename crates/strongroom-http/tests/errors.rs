//! The HTTP status of every error of the engine is the one in HTTP.md.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use strongroom::provider::{ProviderError, ProviderErrorKind, ProviderKey};
use strongroom::store::{StoreError, StoreErrorKind};
use strongroom::{
    Argon2Error, BackupFault, CheckpointFault, Damage, DefinitionRef, Error, ErrorKind, Invalid,
    KeyFileError, Quota, RefreshError, Revision, Scope, ScopeKind, SlotError, SystemError, Timestamp,
    VarFormat, WrongStore,
};
use strongroom_http::ErrorStatus;

#[test]
fn every_error_has_the_status_that_is_documented() {
    let mut by_status: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
    for (name, error) in errors() {
        by_status.entry(ErrorStatus::of(&error).status).or_default().insert(format!("`{name}`"));
    }
    let mut table = String::from("| status | [`strongroom::Error`] |\n|---|---|\n");
    for (status, names) in by_status {
        table += &format!("| {status} | {} |\n", names.into_iter().collect::<Vec<_>>().join(", "));
    }
    assert!(include_str!("../docs/HTTP.md").contains(&table), "docs/HTTP.md must contain:\n\n{table}");
}

#[test]
fn every_kind_of_error_has_the_status_that_is_documented() {
    use ErrorKind::{Busy, Conflict, Damaged, Indeterminate, Invalid, Key, Locked, NotFound, Refused};
    let mut table = String::from("| [`strongroom::ErrorKind`] | status |\n|---|---|\n");
    for kind in [Invalid, NotFound, Conflict, Busy, Locked, Indeterminate, Key, Damaged, Refused] {
        let mut by_status: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
        for (name, error) in errors().into_iter().filter(|(_, error)| error.kind() == kind) {
            by_status.entry(ErrorStatus::of(&error).status).or_default().insert(format!("`{name}`"));
        }
        let usual = *by_status.iter().max_by_key(|(_, names)| names.len()).unwrap().0;
        table += &format!("| `{kind:?}` | {usual}");
        for (status, names) in by_status.into_iter().filter(|(status, _)| *status != usual) {
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            table += &format!("; {status} for {names}");
        }
        table += " |\n";
    }
    assert!(include_str!("../docs/HTTP.md").contains(&table), "docs/HTTP.md must contain:\n\n{table}");
}

#[test]
fn no_error_of_the_engine_is_left_out() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let named: BTreeSet<String> = errors().into_iter().map(|(name, _)| name.to_owned()).collect();
    let mut expected = BTreeSet::new();
    let within = [
        ("Slot", "strongroom/src/error/slot.rs", "SlotError"),
        ("WrongStore", "strongroom/src/error/wrong_store.rs", "WrongStore"),
        ("Refresh", "strongroom/src/error/refresh.rs", "RefreshError"),
        ("Provider", "strongroom/src/error/provider.rs", "ProviderErrorKind"),
        ("Store", "strongroom-store/src/error.rs", "StoreErrorKind"),
    ];
    for variant in variants(&crates.join("strongroom/src/error/mod.rs"), "Error") {
        match within.iter().find(|(name, ..)| *name == variant) {
            Some((_, file, of)) => {
                let each = variants(&crates.join(file), of);
                expected.extend(each.into_iter().map(|inner| format!("{variant}({inner})")));
            }
            None => drop(expected.insert(variant)),
        }
    }
    expected.insert("Store(disk full)".to_owned());
    assert!(expected.len() > 60, "only {} found", expected.len());
    assert_eq!(named, expected);
}

/// The names of an enum's variants.
fn variants(file: &Path, name: &str) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let body = text.split(&format!("pub enum {name} {{\n")).nth(1).unwrap().split("\n}").next().unwrap();
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    let starts = lines.filter(|line| line.starts_with(char::is_uppercase));
    starts.map(|line| line.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned()).collect()
}

/// One error of each kind, by its name.
fn errors() -> Vec<(&'static str, Error)> {
    [plain(), with_causes()].into_iter().flatten().collect()
}

fn plain() -> Vec<(&'static str, Error)> {
    let rule = || VarFormat::Integer.validate("x").unwrap_err();
    let (definition, scope, name) = ("0".repeat(24).parse().unwrap(), Scope::Org, String::new);
    let row = || "a row".to_owned();
    vec![
        ("Invalid", Error::Invalid(Invalid::DuplicateRecord)),
        ("InvalidValue", Error::InvalidValue { definition, name: name(), rule: rule() }),
        ("ValueMismatch", Error::ValueMismatch { scope: scope.clone(), rule: rule() }),
        ("InvalidMetadata", Error::InvalidMetadata("")),
        ("TooLong", Error::TooLong { what: "", max: 1 }),
        ("DefinitionNotFound", Error::DefinitionNotFound(DefinitionRef::Name("A".to_owned().into()))),
        ("VersionNotFound", Error::VersionNotFound(Revision::from_u64(1))),
        ("NotAsPinned", Error::NotAsPinned(Vec::new())),
        ("DefinitionExists", Error::DefinitionExists(definition)),
        ("TooManyDefinitions", Error::TooManyDefinitions(1)),
        ("OverQuota", Error::OverQuota { quota: Quota::AccountValues, max: 1 }),
        ("ScopeNotAllowed", Error::ScopeNotAllowed { definition, name: name(), scope: ScopeKind::Org }),
        ("ScopeInUse", Error::ScopeInUse { definition, scope }),
        ("AccountNotFound", Error::AccountNotFound("a".parse().unwrap())),
        ("AccountExists", Error::AccountExists("a".parse().unwrap())),
        (
            "IntegrationNotFound",
            Error::IntegrationNotFound {
                account: "a".parse().unwrap(),
                integration: "b".parse().unwrap(),
                connection: None,
            },
        ),
        ("Unexpected", Error::Unexpected { found: None }),
        ("Contended", Error::Contended(16)),
        ("Locked", Error::Locked),
        ("WrongKey", Error::WrongKey),
        ("InvalidKey", Error::InvalidKey),
        ("RootRotated", Error::RootRotated),
        ("RotationUnderway", Error::RotationUnderway),
        ("UnknownVersion", Error::UnknownVersion { row: row(), version: 9 }),
        ("UnknownKey", Error::UnknownKey { row: row(), dek_id: "0".repeat(32).parse().unwrap() }),
        ("Damaged", Error::Damaged { row: row(), cause: Damage::Missing }),
        ("RolledBack", Error::RolledBack { row: row(), seen: 2, found: 1 }),
        ("BadBackup", Error::BadBackup(BackupFault::Truncated)),
        ("BadCheckpoint", Error::BadCheckpoint(CheckpointFault::Truncated)),
        ("Retired", Error::Retired),
        ("OrgNotEmpty", Error::OrgNotEmpty("0".repeat(24).parse().unwrap())),
        ("RestoreUnfinished", Error::RestoreUnfinished("0".repeat(24).parse().unwrap())),
        ("OrgNotFound", Error::OrgNotFound("0".repeat(24).parse().unwrap())),
        ("CopyDiffers", Error::CopyDiffers),
        ("TooManyValues", Error::TooManyValues { fit: 1 }),
        ("WorkflowUnknown", Error::WorkflowUnknown("w".parse().unwrap())),
    ]
}

fn with_causes() -> Vec<(&'static str, Error)> {
    let (slot, since) = ("0".repeat(32).parse().unwrap(), Timestamp::from_ms(0));
    let io = || io::Error::other("");
    let provider = |kind| ProviderError::new(kind, "").into();
    let store = |kind| Error::from(StoreError::new(kind, ""));
    let full = StoreError::new(StoreErrorKind::Unavailable, "")
        .with_source(io::Error::from(io::ErrorKind::StorageFull));
    vec![
        ("WrongStore(NoVault)", WrongStore::NoVault.into()),
        ("WrongStore(HoldsVault)", WrongStore::HoldsVault.into()),
        ("WrongStore(Foreign)", WrongStore::Foreign.into()),
        ("WrongStore(OtherVault)", WrongStore::OtherVault.into()),
        ("WrongStore(Unfinished)", WrongStore::Unfinished.into()),
        ("Slot(NoneOfThisKind)", SlotError::NoneOfThisKind("").into()),
        ("Slot(NotFound)", SlotError::NotFound(slot).into()),
        ("Slot(RowMissing)", SlotError::RowMissing(slot).into()),
        ("Slot(Last)", SlotError::Last.into()),
        ("Slot(KeyTaken)", SlotError::KeyTaken(slot).into()),
        ("Slot(KeyShredded)", SlotError::KeyShredded(ProviderKey::new("k", 1)).into()),
        ("Slot(TooMany)", SlotError::TooMany(24).into()),
        ("Slot(NotPresented)", SlotError::NotPresented(slot).into()),
        ("System", SystemError::Random.into()),
        ("Indeterminate", Error::Indeterminate(StoreError::new(StoreErrorKind::Indeterminate, ""))),
        ("KeyFile", KeyFileError::Failed(io()).into()),
        ("KeyDerivation", Argon2Error::TooWeak.into()),
        ("BackupFile", Error::BackupFile(io())),
        ("Provider(Denied)", provider(ProviderErrorKind::Denied)),
        ("Provider(NotThisKey)", provider(ProviderErrorKind::NotThisKey)),
        ("Provider(Corrupt)", provider(ProviderErrorKind::Corrupt)),
        ("Provider(Unavailable)", provider(ProviderErrorKind::Unavailable)),
        ("Provider(Unsupported)", provider(ProviderErrorKind::Unsupported)),
        ("Refresh(LeaseOutOfBounds)", RefreshError::LeaseOutOfBounds.into()),
        ("Refresh(LeaseOutlivesToken)", RefreshError::LeaseOutlivesToken.into()),
        ("Refresh(Uncertain)", RefreshError::Uncertain { since }.into()),
        ("Refresh(Rejected)", RefreshError::Rejected { since }.into()),
        ("Refresh(Gone)", RefreshError::Gone { since }.into()),
        ("Refresh(OfAnother)", RefreshError::OfAnother.into()),
        ("Refresh(NothingIssued)", RefreshError::NothingIssued { since }.into()),
        (
            "Refresh(AnswerRefused)",
            RefreshError::AnswerRefused { since, first: 0, refused: 1, stored: 1 }.into(),
        ),
        ("Refresh(StillStale)", RefreshError::StillStale.into()),
        ("Store(Conflict)", store(StoreErrorKind::Conflict { index: 0 })),
        ("Store(Contention)", store(StoreErrorKind::Contention)),
        ("Store(Unavailable)", store(StoreErrorKind::Unavailable)),
        ("Store(InUse)", store(StoreErrorKind::InUse)),
        ("Store(Indeterminate)", store(StoreErrorKind::Indeterminate)),
        ("Store(TooLarge)", store(StoreErrorKind::TooLarge)),
        ("Store(Corrupt)", store(StoreErrorKind::Corrupt)),
        ("Store(Poisoned)", store(StoreErrorKind::Poisoned)),
        ("Store(Closed)", store(StoreErrorKind::Closed)),
        ("Store(Unsupported)", store(StoreErrorKind::Unsupported)),
        ("Store(disk full)", full.into()),
    ]
}
