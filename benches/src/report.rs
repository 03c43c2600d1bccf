//! The table of ratios: work and floor in turn, round by round, medians of all rounds.

#![allow(clippy::print_stdout, reason = "the table is what the report is for")]

use std::time::Duration;

use crate::{Run, Work};

/// Prints the head of the table.
pub fn head() {
    println!("| work | median | floor | median | ratio | bar | |");
    println!("|---|---|---|---|---|---|---|");
}

/// Measures `work` beside its floor, prints its line and answers the ratio.
pub fn line(mut work: Work) -> f64 {
    let medians = medians(&mut [&mut work.work, &mut work.floor]);
    let [ours, floor] = medians.as_slice().try_into().expect("two runs have two medians");
    let ratio = ours / floor;
    let bar = work.bar.map_or(String::new(), |bar| format!("{bar:.2}"));
    let verdict = match work.bar {
        Some(bar) if ratio <= bar => "holds",
        Some(_) => "**misses**",
        None => "",
    };
    let Work { name, floor_name, .. } = work;
    println!("| {name} | {} | {floor_name} | {} | {ratio:.2} | {bar} | {verdict} |", show(ours), show(floor));
    ratio
}

/// The median time of one run of each, in nanoseconds. All take turns, so that a busy moment of the machine meets
/// each alike.
pub fn medians(runs: &mut [&mut Run]) -> Vec<f64> {
    medians_of(runs, ROUNDS)
}

/// The same over so many rounds of about a millisecond, or of one run where that takes longer.
pub fn medians_of(runs: &mut [&mut Run], rounds: usize) -> Vec<f64> {
    let counts: Vec<u64> = runs.iter_mut().map(|run| runs_a_round(run)).collect();
    let mut samples = vec![Vec::with_capacity(rounds); runs.len()];
    for _ in 0..rounds {
        for ((run, count), samples) in runs.iter_mut().zip(&counts).zip(&mut samples) {
            samples.push(run.time(*count).as_nanos() as f64 / *count as f64);
        }
    }
    let median = |mut samples: Vec<f64>| {
        samples.sort_by(f64::total_cmp);
        samples.get(rounds / 2).copied().unwrap_or_default()
    };
    samples.into_iter().map(median).collect()
}

/// How many runs fill a round. What is run to find out warms the caches too.
fn runs_a_round(run: &mut Run) -> u64 {
    let mut count = 1;
    loop {
        let time = run.time(count);
        if time >= ROUND / 2 || count >= RUNS_A_ROUND_MAX {
            return count;
        }
        count *= 2;
    }
}

fn show(nanos: f64) -> String {
    match nanos {
        ..1e4 => format!("{nanos:.0} ns"),
        1e4..1e7 => format!("{:.1} µs", nanos / 1e3),
        _ => format!("{:.1} ms", nanos / 1e6),
    }
}

const ROUNDS: usize = 151;
const ROUND: Duration = Duration::from_millis(1);
const RUNS_A_ROUND_MAX: u64 = 1 << 20;
