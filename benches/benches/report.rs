//! Prints every ratio with its bar. Name parts of the work to see only those: `-- memory threads`.

use strongroom_benches::{
    Work, embedded, envelope, formats, growth, keys, memory, postgres, report, threads,
};

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    report::head();
    for (part, works) in PARTS {
        if asked.is_empty() || asked.iter().any(|name| name == part) {
            for work in works() {
                report::line(work);
            }
        }
    }
}

type Part = (&'static str, fn() -> Vec<Work>);

const PARTS: [Part; 11] = [
    ("envelope", envelope::works),
    ("formats", formats::works),
    ("keys", keys::works),
    ("memory", memory::works),
    ("threads", threads::works),
    ("redb", embedded::on_redb),
    ("sled", embedded::on_sled),
    ("growth-memory", growth::on_memory),
    ("growth-redb", growth::on_redb),
    ("growth-sled", growth::on_sled),
    ("postgres", postgres::works),
];
