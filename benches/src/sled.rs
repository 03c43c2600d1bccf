//! The verbs on sled, beside the store's own reads and durable commits.

use std::hint::black_box;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::Store;
use strongroom_sled::SledStore;

use crate::memory::{asked, resolves, resolves_all};
use crate::population::{Population, Request, VALUE};
use crate::raw::Cipher;
use crate::vault::{Asked, Filled};
use crate::{Run, Work, writes};

/// Every verb on a vault of about 10⁵ values.
#[must_use]
pub fn works() -> Vec<Work> {
    let store = SledStore::temporary().expect("there is room for temporary files");
    let filled = Filled::new(store, Population::of_values(100_000));
    let request = Request { org: 0, account: 3, workflow: 4, definition: 40 };
    vec![
        resolve(&filled, request),
        resolve_all(&filled, request),
        writes::set_value("sled", &filled).bar(1.25),
        writes::upsert_credential("sled", &filled).bar(1.25),
        writes::many_writers("sled", &filled),
    ]
}

fn resolve(filled: &Filled<SledStore>, request: Request) -> Work {
    let Asked { path, name, .. } = filled.ask(&request);
    let (read, _) = filled.overhear(async |org| org.resolve(&name, &path).await.map(drop));
    let floor = store_read(Arc::clone(&filled.store), read, 1);
    Work::new("sled: resolve one", resolves(asked(filled, &[request])), "the store's read + raw open", floor)
}

fn resolve_all(filled: &Filled<SledStore>, request: Request) -> Work {
    let Asked { path, .. } = filled.ask(&request);
    let (read, _) = filled.overhear(async |org| org.resolve_all(&path).await.map(drop));
    let floor = store_read(Arc::clone(&filled.store), read, 50);
    let work = resolves_all(asked(filled, &[request]));
    Work::new("sled: resolve all of 50", work, "the store's read + 50 raw opens", floor)
}

fn store_read(store: Arc<impl Store>, read: strongroom::store::ReadBatch, opens: usize) -> Run {
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
