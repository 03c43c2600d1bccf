//! Tink and SQLite in Python, by a script that times itself.

use std::path::Path;
use std::process::Command;

use crate::table::{Chart, Line, Table};

/// Nothing where there is no Python with Tink: `PYTHON` names it.
pub fn tables() -> Vec<Table> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tink_sqlite.py");
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = match Command::new(&python).arg(script).output() {
        Ok(output) if output.status.success() => output,
        _ => {
            eprintln!(
                "{python} has no `tink`: pip install tink cryptography, and name that python in PYTHON"
            );
            return Vec::new();
        }
    };
    let lines = String::from_utf8_lossy(&output.stdout).lines().filter_map(parse).collect();
    vec![Table {
        title: "Python",
        note: "The same rows in SQLite by Python's own module, with a column sealed by Tink (AES-256-GCM) and by Fernet; \
               medians, processor time for reads and the wall clock for a set. In a process of its own, so that it does \
               not take turns with the others.",
        file: "python",
        chart: Chart::Nanoseconds,
        columns: ["resolve one", "resolve 50", "set"].map(str::to_owned).into(),
        lines,
    }]
}

/// `name,one,all,set` in nanoseconds.
fn parse(line: &str) -> Option<Line> {
    let mut fields = line.split(',');
    let name = fields.next()?.to_owned();
    Some(Line { name, values: fields.map(|field| field.parse().ok()).collect() })
}
