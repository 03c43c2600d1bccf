//! What was measured: lines of numbers under the names of columns.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use strongroom_benches::Run;
use strongroom_benches::population::VALUE;
use strongroom_benches::report::medians_of;

/// One table, and the chart that is drawn of it.
pub struct Table {
    pub title: &'static str,
    /// What is measured and how, for the reader.
    pub note: &'static str,
    /// The name of the chart's file.
    pub file: &'static str,
    pub chart: Chart,
    pub columns: Vec<String>,
    pub lines: Vec<Line>,
}

/// One line: what was measured, and its numbers. `None` where there is none.
pub struct Line {
    pub name: String,
    pub values: Vec<Option<f64>>,
}

/// How a table is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Chart {
    /// Bars of the columns' nanoseconds, shorter is better.
    Nanoseconds,
    /// A line for each line of the table over the columns, higher is better.
    PerSecond,
    /// A line for each line of the table over the columns, in nanoseconds.
    Growth,
}

impl Table {
    /// The table in Markdown. Where there is a line of SQLCipher, each number of nanoseconds is followed by its
    /// ratio to that.
    pub fn to_markdown(&self) -> String {
        let mut text =
            format!("| | {} |\n|---|{}\n", self.columns.join(" | "), "---|".repeat(self.columns.len()));
        let base = self.lines.iter().find(|line| line.name == "SQLCipher");
        for line in &self.lines {
            let _ = write!(text, "| {} |", line.name);
            for (column, value) in line.values.iter().enumerate() {
                let base = base.and_then(|base| base.values.get(column).copied().flatten());
                let _ = match (self.chart, value) {
                    (_, None) => write!(text, " |"),
                    (Chart::PerSecond, Some(value)) => write!(text, " {} |", thousands(*value)),
                    (_, Some(value)) => match base {
                        Some(base) => write!(text, " {} ({:.2}) |", nanos(*value), value / base),
                        None => write!(text, " {} |", nanos(*value)),
                    },
                };
            }
            text.push('\n');
        }
        text
    }
}

/// Measures the runs of each line in turns: one column each.
pub fn measure(mut lines: Vec<(String, Vec<Option<Run>>)>, rounds: usize) -> Vec<Line> {
    let mut runs: Vec<&mut Run> = lines.iter_mut().flat_map(|(_, runs)| runs.iter_mut().flatten()).collect();
    let mut medians = medians_of(&mut runs, rounds).into_iter();
    let mut line = |(name, runs): (String, Vec<Option<Run>>)| {
        let values = runs.into_iter().map(|run| run.and_then(|_| medians.next())).collect();
        Line { name, values }
    };
    lines.into_iter().map(&mut line).collect()
}

pub fn nanos(nanos: f64) -> String {
    match nanos {
        ..1e4 => format!("{nanos:.0} ns"),
        1e4..1e7 => format!("{:.1} µs", nanos / 1e3),
        _ => format!("{:.1} ms", nanos / 1e6),
    }
}

fn thousands(value: f64) -> String {
    if value < 1e4 { format!("{value:.0}") } else { format!("{:.1}k", value / 1e3) }
}

/// A value of the same length as the others that no turn had before: an update that changes nothing costs SQLite nothing.
pub fn fresh_value() -> String {
    static TURNS: AtomicUsize = AtomicUsize::new(0);
    let turn = TURNS.fetch_add(1, Ordering::Relaxed);
    let kept = VALUE.len() - 12;
    format!("{}{turn:012}", VALUE.get(..kept).unwrap_or_default())
}
