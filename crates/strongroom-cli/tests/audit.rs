//! `audit`: what was written is noted, and listed without its values.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod shell;

use serde_json::{Value, json};
use shell::Shell;

fn lines(shell: &Shell, arguments: &[&str]) -> Vec<Value> {
    let text = shell.ok(&[&["audit", "--json"], arguments].concat());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn writes_are_noted_from_on_to_off_one_object_a_line_and_without_values() {
    let shell = Shell::with_vault();
    shell.define("BEFORE", "string");
    assert!(shell.run(&["audit"]).stderr.contains("audit --on"));
    shell.ok(&["audit", "--on"]);
    shell.define("X", "string");
    shell.ok_with("the bytes", &["set", "X", "--account", "a"]);
    shell.ok(&["delete", "X", "--account", "a", "--yes"]);
    shell.ok(&["audit", "--off"]);
    shell.define("AFTER", "string");

    let noted = lines(&shell, &[]);
    let kinds: Vec<_> = noted.iter().map(|event| event["changes"][0]["kind"].clone()).collect();
    let (defined, set) = ("Variable Definition Created", "Variable Value Set");
    assert_eq!(kinds, [json!(defined), json!(set), json!("Variable Value Deleted")]);
    assert_eq!(noted[1]["changes"][0]["name"], "X");
    assert_eq!(noted[1]["changes"][0]["linked_account"], "a");
    let table = shell.ok(&["audit"]);
    assert!(table.contains(set) && table.contains("account a"), "{table}");
    assert!(!format!("{noted:?}{table}").contains("the bytes"));
}

#[test]
fn the_list_is_narrowed_by_time_and_actor() {
    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    shell.define("X", "string");
    let at = lines(&shell, &[])[0]["at"].as_str().unwrap().to_owned();
    assert_eq!(lines(&shell, &["--since", &at]).len(), 1);
    assert_eq!(lines(&shell, &["--since", "2999-01-01T00:00:00Z"]).len(), 0);
    assert_eq!(lines(&shell, &["--actor", "nobody"]).len(), 0);
    assert_eq!(shell.run(&["audit", "--since", "yesterday"]).code, 2);
    assert_eq!(shell.run(&["audit", "--on", "--off"]).code, 2);
}

#[test]
fn what_is_copied_to_another_environment_has_an_author_there() {
    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    shell.define("X", "string");
    shell.ok_with("x", &["set", "X"]);
    shell.ok(&["copy", "test", "production", "--yes"]);
    let noted = lines(&shell, &["--environment", "production"]);
    assert!(!noted.is_empty());
    for event in noted {
        assert!(event["actor"].as_str().unwrap().starts_with("os:"), "{event}");
    }
}
