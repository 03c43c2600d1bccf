//! `history` and `undo`: what was written can be seen, and brought back.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod shell;

use serde_json::json;
use shell::Shell;

#[test]
fn an_empty_value_set_by_mistake_is_undone_on_every_store() {
    for store in ["redb:a.redb", "sled:a.sled", "sqlite:a.sqlite"] {
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
    assert!(ran.code == 3 && ran.stderr.contains("before this one is not kept"), "{}", ran.stderr);
    assert_eq!(shell.ok(&["get", "X", "--reveal"]), "one");
}

#[test]
fn a_value_is_reverted_to_any_version_that_is_kept() {
    let shell = Shell::with_vault();
    shell.define("X", "string");
    for value in ["one", "two", "three"] {
        shell.ok_with(value, &["set", "X"]);
    }
    let versions = shell.json(&["history", "X"]);
    let first = versions[2]["version"].as_str().unwrap();
    let reverted = shell.json(&["revert", "X", "--version", first]);
    assert_eq!(reverted["restored"], first);
    assert_eq!(shell.ok(&["get", "X", "--reveal"]), "one");
    assert_eq!(shell.json(&["history", "X"])[0]["note"], "revert");
    assert_eq!(shell.run(&["revert", "X", "--version", "1"]).code, 3);
    assert_eq!(shell.run(&["revert", "X"]).code, 2);
    // A delete is no version to go back to, and is no obstacle.
    shell.ok(&["delete", "X", "--yes"]);
    let deleted = shell.json(&["history", "X"])[0]["version"].as_str().unwrap().to_owned();
    assert_eq!(shell.run(&["revert", "X", "--version", &deleted]).code, 3);
    shell.ok(&["revert", "X", "--version", first, "--yes"]);
    assert_eq!(shell.ok(&["get", "X", "--reveal"]), "one");
}

#[test]
fn a_place_is_compared_with_what_it_was_at_a_time() {
    let shell = Shell::with_vault();
    for name in ["A", "B", "C"] {
        shell.define(name, "string");
    }
    shell.ok_with("a", &["set", "A"]);
    shell.ok_with("b", &["set", "B"]);
    let at = shell.json(&["history", "B"])[0]["written_at"].as_str().unwrap().to_owned();
    assert_eq!(shell.json(&["diff", "--at", &at])["differences"], json!([]));
    shell.ok_with("changed", &["set", "A"]);
    shell.ok(&["delete", "B", "--yes"]);
    shell.ok(&["define", "C", "--change", "--description", "changed"]);
    shell.define("D", "string");
    let found = shell.json(&["diff", "--at", &at])["differences"].clone();
    let row = |name, definition, value| json!({"name": name, "definition": definition, "value": value});
    assert_eq!(
        found,
        json!([
            row("A", "same", "differs"),
            row("B", "same", "only_b"),
            row("C", "differs", "nowhere"),
            row("D", "only_a", "nowhere"),
        ])
    );
    assert_eq!(shell.json(&["diff", "test", "--at", &at])["differences"], found);
    assert_eq!(shell.run(&["diff", "test", "prod", "--at", &at]).code, 2);
}

#[test]
fn a_deleted_definition_is_brought_back_by_its_name_without_its_values() {
    for store in ["redb:a", "sled:a", "sqlite:a"] {
        let shell = Shell::new().variable("STRONGROOM_STORE", store);
        shell.ok(&["init"]);
        shell.ok(&["define", "X", "--format", "integer", "--description", "first"]);
        shell.ok(&["delete", "X", "--definition", "--yes"]);
        shell.ok(&["define", "X", "--format", "integer", "--description", "second"]);
        shell.ok_with("1", &["set", "X"]);
        assert_eq!(shell.run(&["undo", "X", "--definition"]).code, 4, "there is one");
        shell.ok(&["delete", "X", "--definition", "--yes"]);
        shell.ok(&["undo", "X", "--definition"]);
        assert_eq!(shell.json(&["show", "X"])["description"], "second", "the last one");
        assert_eq!(shell.run(&["get", "X"]).code, 3);
        shell.ok(&["delete", "X", "--definition", "--purge", "--yes"]);
        shell.ok(&["undo", "X", "--definition"]);
        assert_eq!(shell.json(&["show", "X"])["description"], "first", "of what was purged nothing is kept");
        let none = shell.run(&["undo", "Y", "--definition"]);
        assert!(none.code == 3 && none.stderr.contains("no deleted definition Y"), "{}", none.stderr);
    }
}

#[test]
fn one_scope_is_compared_with_what_it_was_in_the_chosen_environment() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    shell.ok_with("one", &["set", "A", "--workflow", "w"]);
    let at = shell.json(&["history", "A", "--workflow", "w"])[0]["written_at"].as_str().unwrap().to_owned();
    shell.ok_with("two", &["set", "A", "--workflow", "w"]);
    let found = shell.json(&["diff", "@workflow:w", "--at", &at]);
    assert_eq!(found["differences"][0]["value"], "differs");
    let ran = shell.run(&["diff", "@workflow", "--at", &at]);
    assert!(ran.code == 2 && ran.stderr.contains("@workflow:ID"), "{}", ran.stderr);
}
