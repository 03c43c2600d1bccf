//! What strongroom costs beside what is used instead of it: the same population and the same operations in one run.
//!
//! All that is compared with each other takes turns of a millisecond, so that a busy moment of the machine meets
//! everything alike; the medians are compared. Reads in process are timed by the processor time of their thread, what
//! waits for a disk or for another process by the wall clock. It writes `benches/PERFORMANCE.md` and its charts.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml             # everything, 10 to 15 minutes
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- reads    # parts of it, shown and not written:
//!                                                                          # reads writes writers sizes stages
//!                                                                          # postgres python
//! ```

mod by_hand;
mod charts;
mod page;
mod postgres;
mod python;
mod reads;
mod sizes;
mod sql;
mod stages;
mod table;
mod writes;

use std::path::Path;

use table::Table;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let mut tables = Vec::new();
    for (name, measure) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|part| part == name) {
            for table in measure() {
                println!("{}", table.to_markdown());
                tables.push(table);
            }
        }
    }
    if wanted.is_empty() {
        let benches = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        page::write(&benches, &tables).expect("the directory of the benchmarks can be written to");
    }
}

type Measure = fn() -> Vec<Table>;

const PARTS: [(&str, Measure); 7] = [
    ("reads", reads::tables),
    ("sizes", sizes::tables),
    ("stages", stages::tables),
    ("writes", writes::one_writer),
    ("writers", writes::many_writers),
    ("postgres", postgres::tables),
    ("python", python::tables),
];
