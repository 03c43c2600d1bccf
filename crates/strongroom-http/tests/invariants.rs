//! Rules of this crate's source that no type can hold.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every room of the crate, lowest first: a room uses only those before it.
const ROOMS: [&str; 23] = [
    "time",
    "status",
    "error",
    "page",
    "limits",
    "metrics",
    "measured",
    "caches",
    "auth",
    "service",
    "openapi",
    "request",
    "caller",
    "definitions",
    "values",
    "credentials",
    "accounts",
    "sessions",
    "operate",
    "observe",
    "router",
    "server",
    "lib",
];

#[test]
fn rooms_use_only_lower_rooms() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src").into_iter().filter(|(path, _)| path.ends_with(".rs")) {
        let room = room(&path);
        let height = |name: &str| ROOMS.iter().position(|room| *room == name);
        let own = height(&room).unwrap_or_else(|| panic!("{room} has no place in ROOMS"));
        let higher = |used: &String| height(used).is_some_and(|used| used > own);
        wrong.extend(rooms_used(&text).into_iter().filter(higher).map(|used| format!("{path} uses {used}")));
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn no_line_has_more_than_120_columns() {
    let mut wide = Vec::new();
    for folder in ["src", "tests", "docs", "examples"] {
        for (path, text) in sources(folder) {
            let lines = text.lines().enumerate().filter(|(_, line)| line.chars().count() > 120);
            // A row of a table cannot be broken.
            let lines = lines.filter(|(_, line)| !line.starts_with('|'));
            wide.extend(lines.map(|(number, _)| format!("{folder}/{path}:{}", number + 1)));
        }
    }
    assert_eq!(wide, [""; 0]);
}

/// The rooms that `text` names, as `crate::room` or in `crate::{room, ..}`.
fn rooms_used(text: &str) -> BTreeSet<String> {
    let code = without_comments(text);
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut used = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            Some(list) => {
                used.extend(list.split('}').next().unwrap().split(',').map(|name| word(name.trim())));
            }
            None => drop(used.insert(word(after))),
        }
    }
    used
}

fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn room(path: &str) -> String {
    path.split(['/', '.']).next().unwrap().to_owned()
}

/// Every text file below a folder of the crate, by its path there, in order.
fn sources(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let (mut files, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|extension| extension.to_str()) {
                None => folders.push(path),
                Some("rs" | "md" | "js" | "html") => files.push(read(&root, path)),
                Some(_) => {}
            }
        }
    }
    files.sort();
    files
}

fn read(root: &Path, path: PathBuf) -> (String, String) {
    let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
    (name, fs::read_to_string(path).unwrap())
}
