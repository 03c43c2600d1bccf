//! Prints every ratio with its bar. Name parts of the work to see only those: `-- memory threads`.

use strongroom_benches::{
    Work, embedded, envelope, formats, growth, history, host, keys, memory, postgres, report, slots, threads,
    token,
};

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if is_asked(&asked, "slots")
        && let Some(status) = token::run_again()
    {
        std::process::exit(status.code().unwrap_or(1));
    }
    report::head();
    for (part, works) in PARTS {
        if is_asked(&asked, part) {
            for work in works() {
                report::line(work);
            }
        }
    }
}

fn is_asked(asked: &[String], part: &str) -> bool {
    asked.is_empty() || asked.iter().any(|name| name == part)
}

type Part = (&'static str, fn() -> Vec<Work>);

const PARTS: [Part; 16] = [
    ("envelope", envelope::works),
    ("formats", formats::works),
    ("keys", keys::works),
    ("slots", slots::works),
    ("memory", memory::works),
    ("threads", threads::works),
    ("history", history::works),
    ("host", host::works),
    ("redb", embedded::on_redb),
    ("audit", embedded::audit),
    ("sled", embedded::on_sled),
    ("sqlite", embedded::on_sqlite),
    ("growth-memory", growth::on_memory),
    ("growth-redb", growth::on_redb),
    ("growth-sled", growth::on_sled),
    ("postgres", postgres::works),
];
