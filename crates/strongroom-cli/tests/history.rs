//! `history` and `undo`: what was written can be seen, and brought back.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod shell;

use serde_json::json;
use shell::Shell;

#[test]
fn an_empty_value_set_by_mistake_is_undone_on_every_store() {
    for store in ["redb:a.redb", "sled:a.sled"] {
        let shell = Shell::new();
        let run = |args: &[&str]| shell.ok(&[&["--store", store], args].concat());
        run(&["init"]);
        run(&["define", "X", "--format", "string"]);
        shell.ok_with("the bytes\n\0", &["--store", store, "set", "X"]);
        shell.ok_with("", &["--store", store, "set", "X", "--empty"]);
        run(&["undo", "X"]);
        assert_eq!(run(&["get", "X", "--reveal"]), "the bytes\n\0");
        // That can be undone in turn.
        run(&["undo", "X", "--yes"]);
        assert_eq!(run(&["get", "X", "--reveal"]), "");
    }
}

#[test]
fn history_lists_the_versions_of_one_scope_newest_first_without_their_values() {
    let shell = Shell::with_vault();
    shell.define("X", "string");
    for value in ["one", "two"] {
        shell.ok_with(value, &["set", "X", "--account", "a"]);
    }
    let listed = shell.json(&["history", "X", "--account", "a"]);
    let states: Vec<_> = listed.as_array().unwrap().iter().map(|v| v["state"].clone()).collect();
    assert_eq!(states, [json!("current"), json!("former")]);
    assert!(listed[0]["author"].as_str().unwrap().starts_with("os:"));
    assert!(
        !listed.to_string().contains("one") && !shell.ok(&["history", "X", "--account", "a"]).contains("two")
    );
    assert_eq!(shell.run(&["history", "X"]).code, 3);
    assert_eq!(shell.run(&["undo", "X", "--workflow", "w"]).code, 3);
    assert_eq!(shell.run(&["history", "Y"]).code, 3);
}

#[test]
fn a_deleted_value_comes_back_unless_it_was_purged() {
    let shell = Shell::with_vault();
    shell.define("X", "string");
    shell.ok_with("one", &["set", "X"]);
    shell.ok(&["delete", "X", "--yes"]);
    assert_eq!(shell.json(&["history", "X"])[0]["state"], "deleted");
    shell.ok(&["undo", "X"]);
    assert_eq!(shell.ok(&["get", "X", "--reveal"]), "one");
    shell.ok(&["delete", "X", "--yes", "--purge"]);
    assert_eq!(shell.run(&["undo", "X"]).code, 3);
    assert_eq!(shell.run(&["history", "X"]).code, 3);
}

#[test]
fn without_an_earlier_version_nothing_is_undone() {
    let shell = Shell::with_vault();
    shell.define("X", "string");
    shell.ok_with("one", &["set", "X"]);
    let ran = shell.run(&["undo", "X"]);
    assert!(ran.code == 3 && ran.stderr.contains("no earlier version"), "{}", ran.stderr);
    assert_eq!(shell.ok(&["get", "X", "--reveal"]), "one");
}
