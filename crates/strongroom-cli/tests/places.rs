//! `diff`, `copy` and `inject`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod shell;

use serde_json::{Value, json};
use shell::Shell;
#[cfg(unix)]
use shell::server::Server;

/// Two variables in `test`, one of them with another value for an account.
fn vault(store: &str) -> Shell {
    let shell = Shell::new().variable("STRONGROOM_STORE", store);
    shell.ok(&["init"]);
    shell.ok(&["define", "PORT", "--format", "integer"]);
    shell.ok(&["define", "TOKEN", "--format", "string", "--encrypted", "--description", "of the bank"]);
    shell.ok_with("80", &["set", "PORT"]);
    shell.ok_with("hunter2", &["set", "TOKEN"]);
    shell.ok_with("other2", &["set", "TOKEN", "--account", "a@b.example"]);
    shell
}

#[test]
fn what_precedes_a_slash_is_an_org_and_never_part_of_a_new_environment() {
    let shell = vault("redb:v");
    for place in ["00000000000000000000000A/prod", "0000000000000000000001/prod", "prod/eu"] {
        let ran = shell.run(&["copy", "test", place]);
        assert_eq!(ran.code, 2, "{place}");
        assert!(ran.stderr.contains("24"), "{}", ran.stderr);
    }
    assert_eq!(shell.json(&["environments"]).as_array().unwrap().len(), 1);
}

#[test]
fn what_was_copied_does_not_differ_on_any_kind_of_store() {
    for store in ["redb:v", "sled:v", "sqlite:v"] {
        let shell = vault(store);
        shell.ok(&["--environment", "prod", "account", "create", "user_1"]);
        let before = shell.json(&["diff", "test", "prod"]);
        let only_a = |name: &str| json!({"name": name, "definition": "only_a", "value": "only_a"});
        assert_eq!(before["differences"], json!([only_a("PORT"), only_a("TOKEN")]), "{store}");
        let dry = shell.json(&["copy", "test", "prod", "--dry-run"]);
        assert_eq!((&dry["create"], &dry["dry_run"]), (&json!(2), &json!(true)));
        assert_eq!(shell.json(&["diff", "test", "prod"]), before);
        let done = shell.ok(&["copy", "test", "prod"]);
        assert!(done.contains("2 create") && !done.contains("hunter2"), "{done}");
        assert_eq!(shell.json(&["diff", "test", "prod"])["differences"], json!([]));
        assert!(shell.ok(&["diff", "test", "prod"]).contains("are the same"));
        assert_eq!(shell.ok(&["--environment", "prod", "get", "TOKEN", "--reveal"]), "hunter2");
        let shown = shell.json(&["--environment", "prod", "show", "TOKEN"]);
        assert_eq!((&shown["encrypted"], &shown["description"]), (&json!(true), &json!("of the bank")));
    }
}

#[test]
fn scopes_and_orgs_are_places_too() {
    let shell = vault("redb:v");
    let (account, org) = ("test@account:a@b.example", "00000000000000000000000a/live@workflow:wf_1");
    let differs = json!([{"name": "TOKEN", "definition": "same", "value": "differs"}]);
    let found = shell.json(&["diff", "test", account])["differences"].clone();
    assert_eq!(found, json!([{"name": "PORT", "definition": "same", "value": "only_a"}, differs[0].clone()]));
    shell.ok(&["copy", account, org]);
    let other = ["--org", "00000000000000000000000a", "--environment", "live"];
    let get = [&other[..], &["get", "TOKEN", "--workflow", "wf_1", "--reveal"]].concat();
    assert_eq!(shell.ok(&get), "other2");
    assert_eq!(shell.run(&["diff", "test@account:", "prod"]).code, 2);
}

#[test]
fn a_place_that_does_not_exist_is_neither_compared_nor_copied_from() {
    let shell = vault("redb:v");
    shell.ok(&["copy", "test", "prod"]);
    let org = "000000000000000000000001";
    for (command, meant) in [
        (&["diff", "test", "prdo"][..], "--environment prod"),
        (&["diff", "prdo", "test"], "--environment prod"),
        (&["diff", "prdo", "--at", "1d"], "--environment prod"),
        (&["diff", "test", "000000000000000000000002/test"], org),
        (&["diff", "test", "prod@account:a@b.exmaple"], "a@b.exmaple"),
        (&["diff", "test@workflow:wf_1", "prod"], "wf_1"),
        (&["copy", "prdo", "test"], "--environment prod"),
        (&["copy", "000000000000000000000002/test", "test"], org),
        (&["copy", "test@account:nobody", "prod"], "nobody"),
        (&["copy", "test@workflow:wf_1", "prod"], "wf_1"),
    ] {
        let ran = shell.run(command);
        assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{command:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(meant), "{command:?}: {}", ran.stderr);
    }
    // One that has values on one side only differs from the other.
    shell.ok(&["diff", "prod@account:a@b.example", "test@account:a@b.example"]);
}

#[test]
fn a_value_is_replaced_only_with_consent_and_only_what_is_named() {
    let shell = vault("redb:v");
    shell.ok(&["copy", "test", "prod"]);
    shell.ok_with("8080", &["--environment", "prod", "set", "PORT"]);
    shell.ok_with("mine", &["--environment", "prod", "set", "TOKEN"]);
    let ran = shell.run(&["copy", "test", "prod", "--only", "PORT"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("replace 1 value at prod") && ran.stderr.contains("--yes"), "{}", ran.stderr);
    let done: Value = shell.json(&["copy", "test", "prod", "--only", "PORT", "--yes"]);
    assert_eq!((&done["update"], &done["variables"][0]["name"]), (&json!(1), &json!("PORT")));
    assert_eq!(shell.ok(&["--environment", "prod", "get", "TOKEN", "--reveal"]), "mine");
    let ran = shell.run(&["copy", "test", "prod", "--only", "PROT"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("did you mean PORT?"), "{}", ran.stderr);
}

#[test]
fn who_copies_a_definition_is_the_author_of_the_copy() {
    let shell = vault("redb:v");
    let copied = shell.command(&["copy", "test", "prod"]).env("USER", "bob").output().unwrap();
    assert!(copied.status.success(), "{copied:?}");
    assert_eq!(shell.json(&["--environment", "prod", "show", "PORT"])["author"], "os:bob");
}

#[test]
fn a_value_that_the_other_definition_refuses_keeps_all_out() {
    let shell = vault("redb:v");
    shell.ok(&["--environment", "prod", "define", "TOKEN", "--format", "integer"]);
    let ran = shell.run(&["copy", "test", "prod"]);
    assert_eq!(ran.code, 4);
    assert!(ran.stdout.contains("an integer") && !format!("{ran:?}").contains("hunter2"), "{}", ran.stdout);
    assert_eq!(shell.json(&["--environment", "prod", "resolve"]), json!({}));
}

#[cfg(unix)]
#[test]
fn a_template_is_filled_with_what_a_run_sees() {
    use std::os::unix::fs::PermissionsExt;
    let shell = vault("redb:v");
    shell.write("t.conf", "port = {{ PORT }}\ntoken = \"{{TOKEN}}\"\n");
    assert_eq!(shell.ok(&["inject", "t.conf", "--reveal"]), "port = 80\ntoken = \"hunter2\"\n");
    let path = ["inject", "t.conf", "--account", "a@b.example", "--reveal", "--output", "out.conf"];
    assert_eq!(shell.ok(&path), "2 values in out.conf\n");
    assert_eq!(std::fs::read_to_string(shell.path("out.conf")).unwrap(), "port = 80\ntoken = \"other2\"\n");
    assert_eq!(std::fs::metadata(shell.path("out.conf")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(shell.run(&path).code, 2, "it is there already");
    let ran = shell.pipe("a\n{{ TOKNE }}", &["inject", "-", "--reveal"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (3, ""));
    assert!(ran.stderr.contains("line 2") && ran.stderr.contains("did you mean TOKEN?"), "{}", ran.stderr);
    assert_eq!(shell.run(&["inject", "t.conf"]).code, 2, "nothing without --reveal");
}

#[cfg(unix)]
#[test]
fn a_server_compares_and_copies_its_environments_with_a_key_of_each() {
    let shell = vault("redb:v");
    shell.ok(&["define", "TOKEN", "--change", "--bytes-max", "40"]);
    let server = Server::start(&shell, &[]);
    let key = |file: &str, environment: &str, rights: &[&str]| {
        let mut create = vec!["--environment", environment, "api-key", "create", file];
        rights.iter().for_each(|right| create.extend(["--right", right]));
        shell.write(file, shell.json(&create)["api_key"].as_str().unwrap());
    };
    key("a.key", "test", &["read", "reveal"]);
    key("b.key", "prod", &["read", "write"]);
    key("b.reader", "prod", &["read", "reveal"]);
    let from_a = ["--url", server.text("url"), "--api-key-file", "a.key"];
    let typed = |arguments: &[&'static str]| [&from_a[..], arguments].concat();
    let differences = || {
        shell.json(&typed(&["diff", "test", "prod", "--b-api-key-file", "b.reader"]))["differences"].clone()
    };
    let only_a = |name: &str| json!({"name": name, "definition": "only_a", "value": "only_a"});
    assert_eq!(differences(), json!([only_a("PORT"), only_a("TOKEN")]));

    let copy = ["copy", "test", "prod", "--b-api-key-file", "b.key"];
    let dry = shell.json(&typed(&[&copy[..], &["--dry-run"]].concat()));
    assert_eq!((&dry["create"], differences()[1].clone()), (&json!(2), only_a("TOKEN")));
    let done = shell.ok(&typed(&copy));
    assert!(done.contains("2 create") && !done.contains("hunter2"), "{done}");
    assert_eq!(differences(), json!([]), "with descriptions and bounds");

    shell.ok_with("8080", &["--environment", "prod", "set", "PORT"]);
    let ran = shell.run(&typed(&[&copy[..], &["--only", "PORT"]].concat()));
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("replace 1 value at prod"), "{}", ran.stderr);
    shell.ok(&typed(&[&copy[..], &["--only", "PORT", "--yes"]].concat()));
    assert_eq!(differences(), json!([]));
    let of_account = shell.json(&typed(&["diff", "test", "@account:a@b.example"]))["differences"].clone();
    assert_eq!(of_account[1], json!({"name": "TOKEN", "definition": "same", "value": "differs"}));

    // A key that sees a part would have the rest taken for absent.
    let narrowed = ["api-key", "create", "n", "--right", "read", "--right", "reveal", "--only", "PORT"];
    shell.write("narrowed", shell.json(&narrowed)["api_key"].as_str().unwrap());
    let diff = ["--url", server.text("url"), "--api-key-file", "narrowed", "diff", "test", "@workflow:w"];
    let ran = shell.run(&diff);
    assert!(ran.code == 2 && ran.stderr.contains("sees only PORT"), "{}", ran.stderr);
    let copy = ["--url", server.text("url"), "--api-key-file", "narrowed", "copy", "test", "@workflow:w"];
    let ran = shell.run(&copy);
    assert!(ran.code == 2 && ran.stderr.contains("copy --only NAME"), "{}", ran.stderr);

    // What cannot be set is told with its own reason, and nothing is sent in its place.
    shell.ok_with("a\0b", &["set", "TOKEN", "--workflow", "w"]);
    let ran = shell.run(&typed(&["copy", "@workflow:w", "@workflow:v"]));
    assert!(ran.code == 4 && ran.stdout.contains("NUL"), "{ran:?}");

    // The key decides what is reached, so a place elsewhere is a mistake, and never another place.
    for (arguments, message) in [
        (&["copy", "test", "prod"][..], "not for prod"),
        (&["diff", "prod", "test"], "not for prod"),
        (&["diff", "00000000000000000000000a/test", "test"], "not for 00000000000000000000000a/test"),
        (&["diff", "test", "prod", "--b-api-key-file", "b.key"], "reveal"),
        (&["diff", "--at", "2026-01-31T12:00:00Z"], "--url"),
    ] {
        let ran = shell.run(&typed(arguments));
        assert!(ran.code != 0 && ran.stderr.contains(message), "{arguments:?}: {}", ran.stderr);
    }
    let ran = shell.run(&["diff", "test", "prod", "--b-api-key-file", "b.key"]);
    assert!(ran.code == 2 && ran.stderr.contains("needs --url"), "{}", ran.stderr);
}
