//! A store that returns fewer rows or pages than it was asked for, an empty page where rows remain, or rows from
//! elsewhere.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use strongroom::store::{Key, StoreErrorKind};
use strongroom::{
    DefinitionFilter, Error, PageRequest, Scope, ScopePath, VarFormat, VariableDefinition, VaultOptions,
};
use strongroom_memory::MemoryStore;

use crate::common::{org_of, run, vault};
use crate::rig::Altered;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Cut {
    Nothing,
    LastRow,
    AllRows,
    LastPage,
    /// A page says that rows remain, which is true.
    RowsOfPages,
    /// Each page begins and ends with a row from before its range.
    OtherRows,
}

/// A store whose answers lose what the test says, and the switch for that.
fn short() -> (Altered, impl Fn(Cut)) {
    let cut = Arc::new(AtomicU8::new(Cut::Nothing as u8));
    let now = Arc::clone(&cut);
    let store = Altered::of(MemoryStore::new()).on_read(move |_, set| match cut.load(Ordering::SeqCst) {
        cut if cut == Cut::LastRow as u8 => drop(set.gets.pop()),
        cut if cut == Cut::AllRows as u8 => set.gets.clear(),
        cut if cut == Cut::LastPage as u8 => drop(set.scans.pop()),
        cut if cut == Cut::RowsOfPages as u8 => {
            for page in &mut set.scans {
                page.more |= !page.rows.is_empty();
                page.rows.clear();
            }
        }
        cut if cut == Cut::OtherRows as u8 => {
            for page in &mut set.scans {
                page.rows.truncate(1);
                page.rows.iter_mut().for_each(|(key, _)| *key = Key::from([0].as_slice()));
            }
        }
        _ => {}
    });
    (store, move |cut| now.store(cut as u8, Ordering::SeqCst))
}

#[test]
fn an_answer_with_fewer_rows_or_pages_than_were_asked_for_is_corrupt_and_never_an_absent_row() {
    run(async {
        let (store, cut_to) = short();
        let org = org_of(&vault(store, VaultOptions::default()).await?);
        org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
        org.set_value("PORT", Scope::Org, "80").await?;
        let is_corrupt = |error: Option<Error>| match error {
            Some(Error::Store(error)) => error.kind() == StoreErrorKind::Corrupt,
            _ => false,
        };
        for cut in [Cut::LastRow, Cut::AllRows] {
            cut_to(cut);
            assert!(is_corrupt(org.value("PORT", Scope::Org).await.err()), "value, {cut:?}");
            assert!(is_corrupt(org.resolve("PORT", &ScopePath::org()).await.err()), "resolve, {cut:?}");
            assert!(is_corrupt(org.set_value("PORT", Scope::Org, "81").await.err()), "set, {cut:?}");
            let deleted = org.delete_value("PORT", Scope::Org).await.err();
            assert!(is_corrupt(deleted), "delete, {cut:?}");
        }
        cut_to(Cut::LastPage);
        assert!(is_corrupt(org.resolve_all(&ScopePath::org()).await.err()), "resolve_all");
        cut_to(Cut::Nothing);
        assert_eq!(org.value("PORT", Scope::Org).await?.unwrap().value.expose(), "80");
        Ok(())
    });
}

#[test]
fn an_empty_page_where_rows_remain_is_corrupt_and_never_the_end_of_a_range() {
    run(async {
        let (store, cut_to) = short();
        let vault = vault(store, VaultOptions::default()).await?;
        let org = org_of(&vault);
        org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
        org.set_value("PORT", Scope::Org, "80").await?;
        cut_to(Cut::RowsOfPages);
        let answers = [
            org.resolve_all(&ScopePath::org()).await.map(drop),
            org.definitions(&DefinitionFilter::default(), PageRequest::first(10)).await.map(drop),
            org.delete_definition("PORT").await.map(drop),
            org.shred().await.map(drop),
            vault.run_jobs().await.map(drop),
        ];
        for (number, answer) in answers.into_iter().enumerate() {
            let Err(Error::Store(error)) = answer else { panic!("{number}: {answer:?}") };
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{number}");
        }
        cut_to(Cut::Nothing);
        assert!(vault.run_jobs().await? > 0, "the job of the shred is still there");
        Ok(())
    });
}

/// As a damaged index of a file leads to it.
#[test]
fn a_row_from_outside_of_its_range_is_corrupt_and_is_not_asked_for_for_ever() {
    run(async {
        let (store, cut_to) = short();
        let vault = vault(store, VaultOptions::default()).await?;
        let org = org_of(&vault);
        org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
        cut_to(Cut::OtherRows);
        let answers = [
            org.environments().await.map(drop),
            vault.orgs(PageRequest::first(10)).await.map(drop),
            org.definitions(&DefinitionFilter::default(), PageRequest::first(10)).await.map(drop),
        ];
        for (number, answer) in answers.into_iter().enumerate() {
            let Err(Error::Store(error)) = answer else { panic!("{number}: {answer:?}") };
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{number}");
        }
        Ok(())
    });
}
