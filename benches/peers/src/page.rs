//! The page of all tables, and its charts.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::charts;
use crate::table::Table;

/// Writes `PERFORMANCE.md` and `charts/` into the directory.
pub fn write(directory: &Path, tables: &[Table]) -> io::Result<()> {
    let charts_directory = directory.join("charts");
    fs::create_dir_all(&charts_directory)?;
    let mut page = HEAD.to_owned();
    let _ = writeln!(page, "Measured on {}.\n", machine());
    for table in tables {
        let Table { title, note, file, .. } = table;
        let chart = charts_directory.join(format!("{file}.svg"));
        charts::draw(table, &chart).map_err(|error| io::Error::other(error.to_string()))?;
        let _ = write!(page, "## {title}\n\n{}\n\n", wrapped(note));
        let _ = write!(page, "![{title}](charts/{file}.svg)\n\n{}\n", table.to_markdown());
    }
    fs::write(directory.join("PERFORMANCE.md"), page.trim_end().to_owned() + "\n")
}

/// Lines of at most 120 columns.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, String::len);
        if line > 0 && line + 1 + word.len() > 120 {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

/// The processor, how many of them, and how busy they were.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model =
        info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(" an unknown processor");
    let model = model.trim_start_matches(['\t', ' ', ':']);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = read("/proc/loadavg").split(' ').next().unwrap_or("?").to_owned();
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc =
        rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    format!("{model}, {cores} cores, at a load of {load} at the end; {rustc}, fat LTO, one codegen unit")
}

const HEAD: &str = "# Performance, beside others

Made by `cargo run --release --manifest-path benches/peers/Cargo.toml`, in one run: everything that is compared takes
turns, and comparisons that strongroom loses are shown too. Trust the ratios; [README.md](README.md) has the floors and
bars.

";
