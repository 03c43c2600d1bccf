//! Prints what the HTTP service stands beside a bare handler. Name stores to see only those: `-- memory`.

#![allow(clippy::print_stdout, reason = "the table is what the bench is for")]

use strongroom_benches::http::{self, Line, Rate};

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    println!(
        "| call | requests/s | p99 | server time | bare requests/s | p99 | server time | ratio | bar | |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (store, lines) in STORES {
        if asked.is_empty() || asked.iter().any(|name| name == store) {
            lines().iter().for_each(print);
        }
    }
}

fn print(line: &Line) {
    let ratio = line.ours.per_sec / line.bare.per_sec;
    let bar = line.bar.map_or(String::new(), |bar| format!("{bar:.2}"));
    let verdict = match line.bar {
        Some(bar) if ratio >= bar => "holds",
        Some(_) => "**misses**",
        None => "",
    };
    println!(
        "| {} | {} | {} | {ratio:.2} | {bar} | {verdict} |",
        line.name,
        show(line.ours),
        show(line.bare)
    );
}

fn show(rate: Rate) -> String {
    let (p99, server) = (rate.p99.as_secs_f64() * 1e3, rate.server_time.as_secs_f64() * 1e6);
    format!("{:.0} | {p99:.2} ms | {server:.1} µs", rate.per_sec)
}

type Store = (&'static str, fn() -> Vec<Line>);

const STORES: [Store; 3] = [("memory", http::on_memory), ("redb", http::on_redb), ("sled", http::on_sled)];
