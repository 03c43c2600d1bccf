//! `account` and `credential`.

mod shell;

use serde_json::json;
use shell::Shell;

#[test]
fn a_credential_needs_an_account_with_a_default_app() {
    let shell = Shell::with_vault();
    let set = ["credential", "set", "api_key", "--account", "user_1"];
    assert_eq!(shell.pipe("k1", &set).code, 3);
    shell.ok(&["account", "create", "user_1"]);
    assert_eq!(shell.pipe("k1", &set).code, 3);
    shell.ok(&["account", "create", "user_2", "--default-app", "--name", "Second"]);
    shell.ok_with("k1", &["credential", "set", "api_key", "--account", "user_2"]);
}

#[test]
fn setting_listing_and_deleting_a_credential_does_not_show_it() {
    let shell = Shell::with_vault();
    shell.ok(&["account", "create", "user_1", "--default-app"]);
    let set = ["--json", "credential", "set", "api_key", "--account", "user_1"];
    for (value, action) in [("hunter2", "added"), ("hunter3", "updated")] {
        let ran = shell.pipe(value, &set);
        let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(answer["action"], action);
    }
    let listed = shell.json(&["credential", "list", "--account", "user_1"]);
    assert_eq!(listed[0]["key"], "api_key");
    assert!(!listed.to_string().contains("hunter"));
    shell.ok(&["credential", "delete", "api_key", "--account", "user_1", "--yes"]);
    assert_eq!(shell.run(&["credential", "delete", "api_key", "--account", "user_1", "--yes"]).code, 3);
}

#[test]
fn an_account_goes_with_everything_of_its_own() {
    let shell = Shell::with_vault();
    shell.define("PORT", "integer");
    shell.ok(&["account", "create", "user_1", "--default-app"]);
    shell.ok_with("80", &["set", "PORT", "--account", "user_1"]);
    assert_eq!(shell.run(&["account", "create", "user_1"]).code, 4);
    assert_eq!(shell.json(&["account", "list"])[0]["linked_account_id"], "user_1");
    shell.ok(&["account", "delete", "user_1", "--yes"]);
    assert_eq!(shell.json(&["account", "list"]), json!([]));
    assert_eq!(shell.run(&["get", "PORT", "--account", "user_1"]).code, 3);
    assert_eq!(shell.run(&["account", "delete", "user_1", "--yes"]).code, 3);
}

#[test]
fn a_credential_in_base64_is_revealed_as_bytes() {
    let shell = Shell::with_vault();
    shell.ok(&["account", "create", "user_1", "--default-app"]);
    shell.ok_with([0xff, 0, b'\n'], &["credential", "set", "key", "--bytes", "--account", "user_1"]);
    let reveal = ["credential", "reveal", "key", "--account", "user_1", "--bytes"];
    assert_eq!(shell.command(&reveal).output().unwrap().stdout, [0xff, 0, b'\n']);
    shell.ok_with("no base64", &["credential", "set", "key", "--account", "user_1"]);
    let refused = shell.run(&reveal);
    assert!(refused.code == 4 && refused.stderr.contains("leave out --bytes"), "{refused:?}");
    assert_eq!(shell.run(&[&["--json"], &reveal[..]].concat()).code, 2);
}

#[test]
fn what_is_said_of_a_missing_credential_names_its_connection_and_brings_back_a_deleted_one() {
    let shell = Shell::with_vault();
    let place = ["--account", "user_1", "--app", "crm", "--connection", "work"];
    shell.ok(&["account", "create", "user_1"]);
    shell.ok(&["account", "add-app", "user_1", "--app", "crm", "--connection", "work"]);
    shell.ok_with("k1", &[&["credential", "set", "token"], &place[..]].concat());
    shell.ok(&[&["credential", "delete", "token", "--yes"], &place[..]].concat());
    let reveal = [&["credential", "reveal", "token"], &place[..]].concat();
    let absent = shell.run(&reveal);
    assert_eq!(absent.code, 3);
    for said in ["credential list", "credential undo token"] {
        let whole = format!("`strongroom {said} {}`", place.join(" "));
        assert!(absent.stderr.contains(&whole), "{whole}: {absent:?}");
    }
    shell.ok(&[&["credential", "undo", "token"], &place[..]].concat());
    assert_eq!(shell.ok(&reveal), "k1");
}
