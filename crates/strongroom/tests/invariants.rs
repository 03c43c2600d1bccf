//! Rules of `docs/ARCHITECTURE.md` that no type can hold: what may stand in which module of the engine.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

#[test]
fn no_backend_is_named() {
    for backend in ["strongroom_memory", "strongroom_redb", "strongroom_sled", "sled::", "redb::", "postgres"]
    {
        assert_eq!(modules_with(backend), [""; 0], "{backend}");
    }
}

#[test]
fn plaintext_is_exposed_in_three_modules() {
    // `hazmat` is off where values are stored.
    let mut with = modules_with(".expose()");
    with.retain(|module| !module.starts_with("hazmat"));
    let mut rooms: Vec<_> = with.iter().map(|module| module.split(['/', '.']).next().unwrap()).collect();
    rooms.dedup();
    assert_eq!(rooms, ["keys", "row", "tenant"]);
}

#[test]
fn pure_modules_do_no_io() {
    let pure = ["envelope/", "format/", "id.rs", "limits.rs", "model/", "row/", "scope.rs", "secret.rs"];
    for io in
        ["async ", ".await", "std::fs", "std::io", "std::net", "std::env", "std::process", "std::thread"]
    {
        let mut with = modules_with(io);
        with.retain(|module| pure.iter().any(|pure| module.starts_with(pure)));
        assert_eq!(with, [""; 0], "{io}");
    }
}

#[test]
fn time_and_randomness_enter_in_one_place() {
    assert_eq!(modules_with("SystemTime::now"), ["clock.rs"]);
    assert_eq!(modules_with("Instant::now"), ["clock.rs"]);
    assert_eq!(modules_with("rand::"), ["random.rs"]);
}

#[test]
fn no_function_asks_for_a_feature() {
    assert_eq!(modules_with("cfg!(feature"), [""; 0]);
    // Indented it stands within a body, but for the items that the macros of `id` make.
    assert_eq!(modules_with(" #[cfg(feature"), ["id.rs"]);
}

#[test]
fn every_verb_has_an_example() {
    let mut without = Vec::new();
    for (module, text) in sources() {
        let mut has_example = false;
        for line in text.lines().map(str::trim_start) {
            match line {
                doc if doc.starts_with("///") => has_example |= doc.contains("```"),
                attribute if attribute.starts_with("#[") => {}
                verb if verb.starts_with("pub async fn ") && !has_example => {
                    without.push(format!("{module}: {verb}"));
                }
                _ => has_example = false,
            }
        }
    }
    assert_eq!(without, [""; 0]);
}

#[test]
fn examples_hide_little() {
    let mut too_long = Vec::new();
    for (place, line) in workspace_lines() {
        let doc = line.trim_start();
        let hidden = doc.strip_prefix("/// # ").or_else(|| doc.strip_prefix("//! # "));
        if hidden.is_some() && doc.chars().count() > 60 {
            too_long.push(format!("{place}: {line}"));
        }
    }
    assert_eq!(
        too_long, [""; 0],
        "start the example from `strongroom_conformance::with_org` or one of its kin"
    );
}

#[test]
fn lines_have_at_most_120_columns() {
    let mut too_long = Vec::new();
    for (place, line) in workspace_lines() {
        // A raw string literal has no line continuation.
        let has_raw_string = line.contains("r\"") || line.contains("r#\"");
        if line.chars().count() > 120 && !has_raw_string {
            too_long.push(format!("{place}: {line}"));
        }
    }
    assert_eq!(too_long, [""; 0]);
}

#[test]
fn no_type_that_holds_a_secret_as_it_is_derives_debug() {
    const NAMES: [&str; 12] = [
        "value",
        "secret",
        "token",
        "password",
        "passphrase",
        "credential",
        "credentials",
        "auth_credentials",
        "api_key",
        "plaintext",
        "key",
        "material",
    ];
    const PLAIN: [&str; 6] = ["String", "str", "u8", "RawValue", "Value", "Zeroizing"];
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (mut derived, mut shown) = (0, Vec::new());
    for (file, text) in rust_files(crates).into_iter().filter(|(file, _)| file.contains("/src/")) {
        for item in text.split("#[cfg(test)]").next().unwrap().split("#[derive(").skip(1) {
            let (derives, item) = item.split_once(")]").unwrap();
            if !derives.contains("Debug") {
                continue;
            }
            derived += 1;
            for field in
                item.split("\n}").next().unwrap().lines().take_while(|line| !line.starts_with("impl"))
            {
                let Some((name, kind)) = field.split_once(": ") else { continue };
                let name = name.split_whitespace().next_back().unwrap_or_default();
                let mut words = kind.split(|c: char| !c.is_alphanumeric() && c != '_');
                let is_plain = !kind.contains("Secret") && words.any(|word| PLAIN.contains(&word));
                let is_field = !field.contains("fn ") && kind.trim_end().ends_with(',');
                if is_field && NAMES.contains(&name) && is_plain {
                    shown.push(format!("{file}: {}", field.trim()));
                }
            }
        }
    }
    assert!(derived > 200, "only {derived} types found");
    assert_eq!(shown, [""; 0], "keep it in a `Secret`, or write `Debug` by hand");
}

#[test]
fn links_of_the_pages_lead_to_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().parent().unwrap();
    let (mut links, mut dead) = (0, Vec::new());
    for (page, text) in &files(root, "md") {
        // `[text](target)` and `[text]: target`.
        for after in text.split("](").skip(1).chain(text.split("]: ").skip(1)) {
            let target = after.split([')', '#', '\n', ' ']).next().unwrap();
            if target.is_empty() || target.contains("://") || !target.contains('.') {
                continue;
            }
            links += 1;
            if !root.join(page).parent().unwrap().join(target).exists() {
                dead.push(format!("{page}: {target}"));
            }
        }
    }
    assert!(links > 20, "only {links} links found");
    assert_eq!(dead, [""; 0]);
}

#[test]
fn every_promise_names_tests_that_exist() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(crates.join("strongroom/docs/PROMISES.md")).unwrap();
    let (mut ids, mut wrong) = (Vec::new(), Vec::new());
    for promise in page.split("\n### ").skip(1) {
        let promise = promise.split("\n## ").next().unwrap();
        let id = promise.split(' ').next().unwrap();
        let before = wrong.len();
        let mut named = 0;
        // A line or more for each file: its name, then those of its tests, all in backticks.
        for item in promise.split("\n- ").skip(1) {
            let mut words = item.split('`').skip(1).step_by(2);
            let file = words.next().unwrap().replacen("engine/", "strongroom/tests/engine/", 1);
            let text = fs::read_to_string(crates.join(format!("{file}.rs"))).unwrap_or_default();
            for test in words {
                named += 1;
                if !text.contains(&format!("fn {test}(")) {
                    wrong.push(format!("{id}: {file} has no {test}"));
                }
            }
        }
        if ids.contains(&id) || (named == 0 && wrong.len() == before) {
            wrong.push(format!("{id} names no test, or is not the only one of this id"));
        }
        ids.push(id);
    }
    assert!(ids.len() > 50, "only {} promises found", ids.len());
    assert_eq!(wrong, [""; 0]);
}

/// Every line of Rust in the crates of the workspace, with its file and number.
fn workspace_lines() -> Vec<(String, String)> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut lines = Vec::new();
    for (file, text) in rust_files(crates) {
        for (index, line) in text.lines().enumerate() {
            lines.push((format!("crates/{file}:{}", index + 1), line.to_owned()));
        }
    }
    assert!(lines.len() > 10_000, "the crates of the workspace are in {}", crates.display());
    lines
}

/// The rooms of the engine, lowest first. A room knows those before it and none after.
const ROOMS: [&str; 22] = [
    "random", "clock", "id", "scope", "secret", "limits", "envelope", "format", "model", "row", "error",
    "keys", "engine", "tenant", "jobs", "verbs", "transfer", "verify", "hazmat", "harden", "docs", "lib",
];

#[test]
fn rooms_depend_in_one_direction() {
    let floor = |room: &str| ROOMS.iter().position(|known| *known == room);
    let mut upwards = Vec::new();
    for (module, code) in engine() {
        let room = room_of(&module);
        let own = floor(room).unwrap_or_else(|| panic!("{room} is no room: give it a place in ROOMS"));
        for used in names_after(&code, "crate::") {
            // `crate::store` is another crate; what starts with a capital is re-exported for docs.
            if floor(used).is_some_and(|used| used > own) || (room, used) == ("verify", "transfer") {
                upwards.push(format!("{module} knows {used}"));
            }
        }
    }
    assert_eq!(upwards, [""; 0]);
}

/// The order above, for the crates that need no list: whatever the order is, there is one.
#[test]
fn rooms_of_no_crate_reach_each_other_in_a_circle() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut circles = Vec::new();
    for name in fs::read_dir(crates).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (module, code) in code(rust_files(&crates.join(&name).join("src"))) {
            let used = names_after(&code, "crate::").map(str::to_owned);
            uses.entry(room_of(&module).to_owned()).or_default().extend(used);
        }
        // What uses nothing that is left is below all of it.
        let is_low = |(room, used): &(&String, &BTreeSet<String>), left: &BTreeMap<String, _>| {
            used.iter().all(|used| used == *room || !left.contains_key(used))
        };
        while let Some((lowest, _)) = uses.iter().find(|room| is_low(room, &uses)) {
            uses.remove(&lowest.clone());
        }
        circles.extend(uses.keys().map(|room| format!("{name}: {room}")));
    }
    assert_eq!(circles, [""; 0]);
}

#[test]
fn the_engine_its_tenants_and_drafts_have_methods_in_their_own_rooms_only() {
    for (name, home) in [("Engine", "engine"), ("Tenant", "tenant"), ("Draft", "tenant"), ("View", "tenant")]
    {
        let mut away = modules_with(&format!("impl {name} {{"));
        away.extend(modules_with(&format!("impl {name}<'_> {{")));
        away.retain(|module| room_of(module) != home);
        assert_eq!(away, [""; 0], "{name}");
    }
}

fn names_after<'c>(code: &'c str, start: &'c str) -> impl Iterator<Item = &'c str> {
    code.split(start)
        .skip(1)
        .map(|text| text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
}

fn room_of(module: &str) -> &str {
    module.split(['/', '.']).next().unwrap()
}

/// The modules whose code, without comments and unit tests, holds `text`.
fn modules_with(text: &str) -> Vec<String> {
    engine().into_iter().filter(|(_, code)| code.contains(text)).map(|(module, _)| module).collect()
}

/// Every module of the engine by its path, without comments and unit tests, in order.
fn engine() -> Vec<(String, String)> {
    code(sources())
}

/// The same files without their comments and unit tests.
fn code(files: Vec<(String, String)>) -> Vec<(String, String)> {
    let code = |text: &str| {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        without_tests(&code.collect::<Vec<_>>().join("\n"))
    };
    files.into_iter().map(|(module, text)| (module, code(&text))).collect()
}

/// Every module of the engine by its path, without unit tests, in order.
fn sources() -> Vec<(String, String)> {
    let files = rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    files.into_iter().map(|(file, text)| (file, without_tests(&text))).collect()
}

fn without_tests(text: &str) -> String {
    text.split("#[cfg(test)]").next().unwrap().to_owned()
}

/// The text of every Rust file below `root`, by its path from there, in order.
fn rust_files(root: &Path) -> Vec<(String, String)> {
    files(root, "rs")
}

fn files(root: &Path, extension: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                let name = path.file_name().unwrap().to_str().unwrap();
                let is_source = !name.starts_with('.') && name != "target" && name != "node_modules";
                if is_source {
                    folders.push(path);
                }
                continue;
            }
            if path.extension().is_some_and(|of_path| of_path == extension) {
                let file = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                files.push((file, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}
