//! Prints how the HTTP service compares with a bare handler, and what another org notices of an attack. Name stores to
//! see only those, `-- memory`, or `-- attack`.

#![allow(clippy::print_stdout, reason = "the table is what the bench is for")]

use strongroom_benches::http::{self, Attacked, Line, Rate};

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if asked.is_empty() || asked.iter().any(|name| name == "attack") {
        attacks();
    }
    if asked == ["attack"] {
        return;
    }
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

/// Another org's p99 under each attack, beside its quiet one.
fn attacks() {
    println!("| attack | quiet p99 | p99 under attack | ratio | bar | | failed |");
    println!("|---|---|---|---|---|---|---|");
    let lines = http::attacks();
    for line in &lines {
        let (quiet, attacked) = (line.quiet.as_secs_f64() * 1e3, line.attacked.as_secs_f64() * 1e3);
        let ratio = attacked / quiet;
        let verdict = if ratio <= ATTACK_BAR && line.failed == 0 { "holds" } else { "**misses**" };
        let (name, failed) = (line.name, line.failed);
        println!(
            "| {name} | {quiet:.2} ms | {attacked:.2} ms | {ratio:.2} | {ATTACK_BAR:.0} | {verdict} | {failed} |"
        );
    }
    println!();
    lines.iter().for_each(processor);
    println!();
}

/// Who had the processor under an attack.
fn processor(line: &Attacked) {
    let shares = line.shares.iter().map(|share| {
        format!("{} {:.0} % (ready for {:.0} % more)", share.thread, share.ran * 100.0, share.waited * 100.0)
    });
    println!(
        "{}: {:.0} requests/s; of a core had {}",
        line.name,
        line.sent_per_sec,
        shares.collect::<Vec<_>>().join(", ")
    );
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

/// How much longer another org may wait under an attack.
const ATTACK_BAR: f64 = 3.0;

type Store = (&'static str, fn() -> Vec<Line>);

const STORES: [Store; 3] = [("memory", http::on_memory), ("redb", http::on_redb), ("sled", http::on_sled)];
