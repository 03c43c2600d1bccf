//! A store that returns fewer rows or pages than it was asked for, or an empty page where rows remain.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use strongroom::store::{
    Capabilities, Committed, ReadBatch, ReadSet, Store, StoreError, StoreErrorKind, WriteBatch,
};
use strongroom::{
    DefinitionFilter, Error, PageRequest, Scope, ScopePath, VarFormat, VariableDefinition, VaultOptions,
};
use strongroom_memory::MemoryStore;

use crate::common::{org_of, run, vault};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Cut {
    Nothing,
    LastRow,
    AllRows,
    LastPage,
    /// A page says that rows remain, which is true.
    RowsOfPages,
}

/// A store whose answers lose what the test says.
#[derive(Debug, Clone)]
struct ShortStore {
    inner: Arc<MemoryStore>,
    cut: Arc<AtomicU8>,
}

impl ShortStore {
    fn cut(&self, cut: Cut) {
        self.cut.store(cut as u8, Ordering::SeqCst);
    }
}

#[async_trait]
impl Store for ShortStore {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        let mut set = (*self.inner).read(request).await?;
        match self.cut.load(Ordering::SeqCst) {
            cut if cut == Cut::LastRow as u8 => drop(set.gets.pop()),
            cut if cut == Cut::AllRows as u8 => set.gets.clear(),
            cut if cut == Cut::LastPage as u8 => drop(set.scans.pop()),
            cut if cut == Cut::RowsOfPages as u8 => {
                for page in &mut set.scans {
                    page.more |= !page.rows.is_empty();
                    page.rows.clear();
                }
            }
            _ => {}
        }
        Ok(set)
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        (*self.inner).commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        (*self.inner).capabilities()
    }

    async fn close(&self) -> Result<(), StoreError> {
        (*self.inner).close().await
    }
}

#[test]
fn an_answer_with_fewer_rows_or_pages_than_were_asked_for_is_corrupt_and_never_an_absent_row() {
    run(async {
        let store = ShortStore { inner: Arc::new(MemoryStore::new()), cut: Arc::new(AtomicU8::new(0)) };
        let org = org_of(&vault(store.clone(), VaultOptions::default()).await?);
        org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
        org.set_value("PORT", Scope::Org, "80").await?;
        let is_corrupt = |error: Option<Error>| match error {
            Some(Error::Store(error)) => error.kind() == StoreErrorKind::Corrupt,
            _ => false,
        };
        for cut in [Cut::LastRow, Cut::AllRows] {
            store.cut(cut);
            assert!(is_corrupt(org.value("PORT", Scope::Org).await.err()), "value, {cut:?}");
            assert!(is_corrupt(org.resolve("PORT", &ScopePath::org()).await.err()), "resolve, {cut:?}");
            assert!(is_corrupt(org.set_value("PORT", Scope::Org, "81").await.err()), "set, {cut:?}");
            let deleted = org.delete_value("PORT", Scope::Org).await.err();
            assert!(is_corrupt(deleted), "delete, {cut:?}");
        }
        store.cut(Cut::LastPage);
        assert!(is_corrupt(org.resolve_all(&ScopePath::org()).await.err()), "resolve_all");
        store.cut(Cut::Nothing);
        assert_eq!(org.value("PORT", Scope::Org).await?.unwrap().value.expose(), "80");
        Ok(())
    });
}

#[test]
fn an_empty_page_where_rows_remain_is_corrupt_and_never_the_end_of_a_range() {
    run(async {
        let store = ShortStore { inner: Arc::new(MemoryStore::new()), cut: Arc::new(AtomicU8::new(0)) };
        let vault = vault(store.clone(), VaultOptions::default()).await?;
        let org = org_of(&vault);
        org.define(VariableDefinition::new("PORT", VarFormat::Integer)).await?;
        org.set_value("PORT", Scope::Org, "80").await?;
        store.cut(Cut::RowsOfPages);
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
        store.cut(Cut::Nothing);
        assert!(vault.run_jobs().await? > 0, "the job of the shred is still there");
        Ok(())
    });
}
