//! The verbs on stores in files, beside the store's own reads and durable commits.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use futures_executor::block_on;
use strongroom::Store;
use strongroom::store::{Capabilities, Committed, Key, ReadBatch, ReadSet, StoreError, WriteBatch};
use strongroom_redb::RedbStore;
use strongroom_sled::SledStore;
use strongroom_sqlite::SqliteStore;

use tempfile::TempDir;

use crate::memory::{asked, resolves, resolves_all};
use crate::population::{Population, Request, VALUE};
use crate::raw::Cipher;
use crate::vault::{Asked, Filled};
use crate::{Run, Work, writes};

/// Every verb on redb.
#[must_use]
pub fn on_redb() -> Vec<Work> {
    let mut works = works("redb", RedbStore::temporary().expect("there is room for temporary files"));
    works.push(open_redb());
    works
}

/// Every verb on sled.
#[must_use]
pub fn on_sled() -> Vec<Work> {
    works("sled", SledStore::temporary().expect("there is room for temporary files"))
}

/// Every verb on SQLite.
#[must_use]
pub fn on_sqlite() -> Vec<Work> {
    works("sqlite", Kept::sqlite())
}

/// A store in a directory that goes with it.
#[derive(Debug)]
pub(crate) struct Kept<S> {
    store: S,
    _directory: TempDir,
}

impl Kept<SqliteStore> {
    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().expect("there is room for temporary files");
        let store = SqliteStore::open(directory.path().join("store.db")).expect("the place is empty");
        Self { store, _directory: directory }
    }
}

#[async_trait]
impl<S: Store> Store for Kept<S> {
    async fn read(&self, request: &ReadBatch) -> Result<ReadSet, StoreError> {
        self.store.read(request).await
    }

    async fn commit(&self, batch: Arc<WriteBatch>) -> Result<Committed, StoreError> {
        self.store.commit(batch).await
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.store.close().await
    }
}

/// Every verb on a vault of about 10⁵ values.
fn works<S: Store>(label: &str, store: S) -> Vec<Work> {
    let filled = Filled::new(store, Population::of_values(100_000));
    let request = Request { org: 0, account: 3, workflow: 4, definition: 40 };
    vec![
        resolve(label, &filled, request),
        resolve_all(label, &filled, request),
        writes::set_value(label, &filled).bar(1.25),
        writes::upsert_credential(label, &filled).bar(1.25),
        writes::many_writers(label, &filled),
    ]
}

/// Writes of a vault with an audit, beside those of one without.
#[must_use]
pub fn audit() -> Vec<Work> {
    let mut works = audited("redb", || RedbStore::temporary().expect("there is room for temporary files"));
    works.extend(audited("sled", || SledStore::temporary().expect("there is room for temporary files")));
    works.extend(audited("sqlite", Kept::sqlite));
    works
}

fn audited<S: Store>(label: &str, open: impl Fn() -> S) -> Vec<Work> {
    let [plain, audited] = [(); 2].map(|()| Filled::new(open(), Population::of_values(1_000)));
    block_on(audited.vault.change_settings(|settings| settings.audit = true)).expect("it takes writes");
    writes::audited(label, &plain, &audited)
}

/// Resolves one definition.
pub(crate) fn resolve<S: Store>(label: &str, filled: &Filled<S>, request: Request) -> Work {
    let Asked { path, name, .. } = filled.ask(&request);
    let (read, _) = filled.overhear(async |org| org.resolve(&name, &path).await.map(drop));
    let floor = store_read(Arc::clone(&filled.store), read, 1);
    let work = resolves(asked(filled, &[request]));
    Work::new(format!("{label}: resolve one"), work, "the store's read + raw open", floor)
}

/// Resolves all that one run sees.
pub(crate) fn resolve_all<S: Store>(label: &str, filled: &Filled<S>, request: Request) -> Work {
    let Asked { path, .. } = filled.ask(&request);
    let (read, _) = filled.overhear(async |org| org.resolve_all(&path).await.map(drop));
    let floor = store_read(Arc::clone(&filled.store), read, 50);
    let work = resolves_all(asked(filled, &[request]));
    Work::new(format!("{label}: resolve all of 50"), work, "the store's read + 50 raw opens", floor)
}

/// A store of 10⁶ rows, closed and opened, beside an empty one.
fn open_redb() -> Work {
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let (full, empty) = (directory.path().join("full"), directory.path().join("empty"));
    let store = RedbStore::open(&full).expect("the place is empty");
    for batch in 0..100_u64 {
        let mut rows = WriteBatch::default();
        for row in 0..10_000_u64 {
            let number = batch * 10_000 + row;
            // Not in the order of the keys, as the rows of many orgs are not.
            let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().repeat(6);
            rows.put(Key::from(key), vec![7; 200]);
        }
        block_on(store.commit(Arc::new(rows))).expect("the rows are small");
    }
    drop(store);
    let opening = |path: PathBuf, directory: Arc<TempDir>| {
        Run::wall(move |n| {
            for _ in 0..n {
                drop(RedbStore::open(&path).expect("the store is there"));
            }
            black_box(directory.path());
        })
    };
    let directory = Arc::new(directory);
    let work = opening(full, Arc::clone(&directory));
    Work::new("redb: open and close 10⁶ rows", work, "an empty store", opening(empty, directory))
}

fn store_read(store: Arc<impl Store>, read: ReadBatch, opens: usize) -> Run {
    let cipher = Cipher::new();
    let sealed = cipher.seal(&[1; 180], VALUE.as_bytes());
    Run::cpu(move |n| {
        block_on(async {
            for _ in 0..n {
                black_box(store.read(&read).await.is_ok());
                for _ in 0..opens {
                    black_box(cipher.open(&[1; 180], black_box(&sealed)).is_some());
                }
            }
        });
    })
}
