//! Where the time of a resolve goes.

use std::hint::black_box;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom::Store;
use strongroom::store::ReadBatch;
use strongroom_benches::Run;
use strongroom_benches::envelope::{CONTEXT, NONCE, key};
use strongroom_benches::memory::{asked, resolves, resolves_all};
use strongroom_benches::population::{Population, Request, VALUE};
use strongroom_benches::raw::Cipher;
use strongroom_benches::vault::{Asked, Filled};
use strongroom_memory::MemoryStore;
use strongroom_redb::RedbStore;

use crate::reads::kept;
use crate::table::{Chart, Line, Table, measure};

pub fn tables() -> Vec<Table> {
    let population = Population::of_values(100_000);
    let memory = Filled::new(MemoryStore::new(), population);
    let redb = Filled::new(RedbStore::temporary().expect("there is room for temporary files"), population);
    let mut lines = stages("memory", &memory);
    lines.extend(stages("redb", &redb));
    vec![Table {
        title: "Where the time of a resolve goes",
        note: "A run of one hot org, by stages that are measured by themselves: the store's own read of the same rows; the \
               cipher over the same values, wiped, without commitment, context and padding; what those add to it; and the \
               rest, which is the caches, futures, keys and the answer. *Kept* is the whole resolve of a run that is kept.",
        file: "stages",
        chart: Chart::Nanoseconds,
        columns: ["the store's read", "the cipher", "commitment and context", "the rest", "all", "kept"]
            .map(str::to_owned)
            .into(),
        lines,
    }]
}

fn stages<S: Store>(name: &str, filled: &Filled<S>) -> Vec<Line> {
    let request = Request { org: 0, account: 3, workflow: 4, definition: 40 };
    let Asked { path, name: definition, .. } = filled.ask(&request);
    let (one, _) = filled.overhear(async |org| org.resolve(&definition, &path).await.map(drop));
    let (all, _) = filled.overhear(async |org| org.resolve_all(&path).await.map(drop));
    let whole = [resolves(asked(filled, &[request])), resolves_all(asked(filled, &[request]))];
    let labels = ["resolve one", "resolve 50"];
    let parts = labels.into_iter().zip([(one, 1), (all, 50)]).zip(whole).zip(kept(filled, &[request]));
    let measured = parts.map(|(((label, (read, opens)), whole), kept)| {
        let runs = vec![
            Some(store_read(Arc::clone(&filled.store), read)),
            Some(raw_opens(opens)),
            Some(record_opens(opens)),
            Some(whole),
            Some(kept),
        ];
        (format!("{label}, {name}"), runs)
    });
    let subtracted = |line: Line| {
        let [read, raw, record, whole, kept] = *line.values.as_slice() else { return line };
        let less = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a - b);
        let rest = less(less(whole, read), record);
        Line { name: line.name, values: vec![read, raw, less(record, raw), rest, whole, kept] }
    };
    measure(measured.collect(), 151).into_iter().map(subtracted).collect()
}

fn store_read(store: Arc<impl Store>, read: ReadBatch) -> Run {
    Run::cpu(move |n| {
        block_on(async {
            for _ in 0..n {
                black_box(store.read(&read).await.is_ok());
            }
        });
    })
}

fn raw_opens(opens: usize) -> Run {
    let cipher = Cipher::new();
    let sealed = cipher.seal(&[1; 180], VALUE.as_bytes());
    Run::cpu(move |n| {
        for _ in 0..n as usize * opens {
            black_box(cipher.open(&[1; 180], black_box(&sealed)).is_some());
        }
    })
}

fn record_opens(opens: usize) -> Run {
    let key = key();
    let sealed = key.seal(&CONTEXT, &NONCE, VALUE.as_bytes()).expect("the value is short");
    Run::cpu(move |n| {
        for _ in 0..n as usize * opens {
            black_box(key.open(&CONTEXT, black_box(&sealed)).is_ok());
        }
    })
}
