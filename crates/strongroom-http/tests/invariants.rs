//! Rules of this crate's source that no type can hold.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every room of the crate, lowest first: a room uses only those before it.
const ROOMS: [&str; 36] = [
    "time",
    "tls",
    "traces",
    "connection",
    "disk",
    "reason",
    "remedy",
    "status",
    "error",
    "page",
    "limits",
    "load",
    "metrics",
    "resuming",
    "caches",
    "process",
    "auth",
    "tasks",
    "logins",
    "read_notes",
    "service",
    "openapi",
    "request",
    "caller",
    "console",
    "definitions",
    "values",
    "credentials",
    "accounts",
    "sessions",
    "control",
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

/// `Debug` that is derived prints every field. So a type that is read from a request or from a sealed row, or that
/// holds bytes of a key, has none, or one that is written by hand.
#[test]
fn no_type_that_may_hold_a_secret_derives_debug() {
    let sources = sources("src");
    let types: Vec<Type> = sources.iter().flat_map(|(_, text)| types(text)).collect();
    let by_hand: BTreeSet<&str> =
        sources.iter().flat_map(|(_, text)| text.split("Debug for ").skip(1)).map(word).collect();
    let mut secret: BTreeSet<&str> = ["RawValue", "Zeroizing"].into();
    let read = types.iter().filter(|found| found.derives("Deserialize")).map(|found| found.name.as_str());
    secret.extend(read.filter(|name| !by_hand.contains(name)));
    // A type that holds one of them is one of them, unless it says by hand what it shows.
    loop {
        let holds = |found: &&Type| secret.iter().any(|name| found.words().any(|word| word == *name));
        let names = types.iter().filter(holds).map(|found| found.name.as_str());
        let more: Vec<&str> = names.filter(|name| !by_hand.contains(name)).collect();
        let before = secret.len();
        secret.extend(more);
        if secret.len() == before {
            break;
        }
    }
    for known in ["AccountFields", "KeyValues", "SigningKey", "Token"] {
        assert!(secret.contains(known), "{known} is not among {secret:?}");
    }
    assert!(by_hand.contains("SigningKeys"), "{by_hand:?}");
    let shows = |found: &&Type| found.derives("Debug") && secret.contains(found.name.as_str());
    let shown: Vec<_> = types.iter().filter(shows).map(|found| &found.name).collect();
    assert_eq!(shown, [""; 0]);
    // What a generic type holds is not known here. A store has a `Debug` of its own, which its contract asks for.
    let generic = types.iter().filter(|found| found.derives("Debug") && found.is_generic());
    assert_eq!(generic.map(|found| &found.name).collect::<Vec<_>>(), [""; 0]);
}

/// A struct or enum, with its attributes.
struct Type {
    attributes: String,
    name: String,
    body: String,
}

impl Type {
    fn derives(&self, name: &str) -> bool {
        let derived = self.attributes.split("derive(").skip(1).filter_map(|list| list.split(')').next());
        derived.flat_map(|list| list.split(',')).any(|derived| derived.trim() == name)
    }

    fn is_generic(&self) -> bool {
        self.body.starts_with('<') && !self.body.starts_with("<'")
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.body.split(|c: char| !c.is_alphanumeric() && c != '_')
    }
}

/// The types that `text` defines, as `rustfmt` writes them.
fn types(text: &str) -> Vec<Type> {
    let (mut found, mut attributes) = (Vec::new(), String::new());
    let code = without_comments(text);
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        let item = line.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
        let item = item.trim_start_matches("pub ");
        let Some(rest) = item.strip_prefix("struct ").or_else(|| item.strip_prefix("enum ")) else {
            let attribute = line.trim_start().starts_with("#[") || line.trim().is_empty();
            if attribute {
                attributes += line;
            } else {
                attributes.clear();
            }
            continue;
        };
        let name = word(rest).to_owned();
        let mut body = rest[name.len()..].to_owned();
        let end = format!("{}}}", " ".repeat(indent));
        if line.ends_with('{') {
            body.extend(lines.by_ref().take_while(|line| *line != end).flat_map(|line| ["\n", line]));
        }
        found.push(Type { attributes: std::mem::take(&mut attributes), name, body });
    }
    found
}

/// The rooms that `text` names, as `crate::room` or in `crate::{room, ..}`.
fn rooms_used(text: &str) -> BTreeSet<String> {
    let code = without_comments(text);
    let mut used = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            Some(list) => {
                used.extend(
                    list.split('}').next().unwrap().split(',').map(|name| word(name.trim()).to_owned()),
                );
            }
            None => drop(used.insert(word(after).to_owned())),
        }
    }
    used
}

/// The word at the beginning of `text`.
fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap()
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
