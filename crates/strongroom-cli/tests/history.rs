//! `history` and `undo`: what was written can be seen, and brought back.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod shell;

use serde_json::{Value, json};
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

#[cfg(unix)]
#[test]
fn a_former_version_is_shown_by_get_where_the_store_is_and_over_a_url() {
    let shell = Shell::new();
    let server = shell::server::Server::start(&shell, &[]);
    shell.define("X", "string");
    for value in ["one", "two"] {
        shell.ok_with(value, &["set", "X"]);
    }
    let number = shell.json(&["history", "X"])[1]["version"].as_str().unwrap().to_owned();
    let made = shell.json(&["api-key", "create", "reveals", "--right", "read", "--right", "reveal"]);
    shell.write("api.key", made["api_key"].as_str().unwrap());
    let url = ["--url", server.text("url"), "--api-key-file", "api.key"];
    for place in [&[][..], &url] {
        let get = |more: &[&str]| shell.run(&[place, &["get", "X"], more].concat());
        assert_eq!(get(&["--version", &number, "--reveal"]).stdout, "one");
        assert_eq!(get(&["--reveal"]).stdout, "two");
        assert_eq!(get(&["--version", &number]).code, 2, "it is not shown unasked");
        let absent = get(&["--version", "99", "--reveal"]);
        assert!(absent.code == 3 && absent.stderr.contains("strongroom history"), "{}", absent.stderr);
    }
    assert!(shell.ok(&["audit"]).contains("Value Read"));
    assert_eq!(server.stop(), 0);
}

#[cfg(unix)]
#[test]
fn a_credential_is_revealed_as_it_is_and_was_where_the_store_is_and_over_a_url() {
    let shell = Shell::new();
    let server = shell::server::Server::start(&shell, &[]);
    shell.ok(&["account", "create", "a", "--default-app"]);
    shell.ok(&["account", "add-app", "a", "--app", "crm", "--connection", "work"]);
    let made = shell.json(&["api-key", "create", "reveals", "--right", "read", "--right", "reveal"]);
    shell.write("api.key", made["api_key"].as_str().unwrap());
    let url = ["--url", server.text("url"), "--api-key-file", "api.key"];
    for app in [&["--account", "a"][..], &["--account", "a", "--app", "crm", "--connection", "work"]] {
        for value in ["one", "two"] {
            shell.ok_with(value, &[&["credential", "set", "k"], app].concat());
        }
        let history = shell.json(&[&["credential", "history", "k"], app].concat());
        let first = history[1]["version"].as_str().unwrap();
        let views = [&[][..], &url].map(|place| {
            let reveal =
                |key, more: &[&str]| shell.run(&[place, &["credential", "reveal", key], app, more].concat());
            assert_eq!(reveal("k", &[]).stdout, "two");
            assert_eq!(reveal("k", &["--version", first]).stdout, "one");
            for (key, more, step) in [("k", &["--version", "99"][..], "history"), ("no", &[], "list")] {
                let absent = reveal(key, more);
                assert!(absent.code == 3 && absent.stderr.contains(step), "{}", absent.stderr);
            }
            shell.json(&[place, &["credential", "reveal", "k"], app].concat())
        });
        assert_eq!(views[0], views[1]);
        assert_eq!((&views[0]["value"], &views[0]["linked_account_id"]), (&json!("two"), &json!("a")));
    }
    assert!(shell.ok(&["audit"]).contains("Credential Read"));
    assert_eq!(server.stop(), 0);
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
fn a_credential_comes_back_from_a_mistake_a_delete_and_any_version() {
    let shell = Shell::with_vault();
    shell.ok(&["account", "create", "a", "--default-app"]);
    let history = || shell.json(&["credential", "history", "k", "--account", "a"]);
    let run = |words: &[&str]| shell.run(&[&["credential"], words, &["--account", "a"]].concat());
    for value in ["one", "two", ""] {
        let empty: &[&str] = if value.is_empty() { &["--empty"] } else { &[] };
        let set = [&["credential", "set", "k", "--account", "a"][..], empty].concat();
        shell.ok_with(value, &set);
    }
    let listed = history();
    let states: Vec<_> = listed.as_array().unwrap().iter().map(|v| v["state"].clone()).collect();
    assert_eq!(states, [json!("current"), json!("former"), json!("former")]);
    assert!(listed[0]["author"].as_str().unwrap().starts_with("os:"));
    let version = |at: usize| listed[at]["version"].as_str().unwrap().to_owned();
    let json_of = |words: &[&str]| shell.json(&[&["credential"], words, &["--account", "a"]].concat());
    let undone = json_of(&["undo", "k"]);
    assert_eq!((&undone["restored"], &undone["key"]), (&json!(version(1)), &json!("k")));
    assert_eq!(undone["linked_account_id"], "a");
    assert_eq!(json_of(&["revert", "k", "--version", &version(2)])["restored"], version(2).as_str());
    assert_eq!(history()[0]["note"], "revert");
    let last = history()[0]["version"].clone();

    shell.ok(&["credential", "delete", "k", "--account", "a", "--yes"]);
    assert_eq!(shell.json(&["credential", "list", "--account", "a"]), json!([]));
    assert_eq!(history()[0]["state"], "deleted");
    assert_eq!(json_of(&["undo", "k"])["restored"], last);
    assert_eq!(history()[0]["note"], "undo");
    assert_eq!(run(&["revert", "k", "--version", "1"]).code, 3);
    assert_eq!(run(&["delete", "k", "--purge"]).code, 2, "without a terminal nothing is purged unasked");
    assert_eq!(run(&["delete", "k", "--purge", "--yes"]).code, 0);
    for words in [&["undo", "k"][..], &["history", "k"], &["delete", "k", "--purge", "--yes"]] {
        let ran = run(words);
        assert!(ran.code == 3 && ran.stderr.contains("a has no credential k"), "{}", ran.stderr);
    }
    // What was deleted before is purged too.
    shell.ok_with("again", &["credential", "set", "k", "--account", "a"]);
    shell.ok(&["credential", "delete", "k", "--account", "a", "--yes"]);
    assert_eq!(run(&["delete", "k", "--purge", "--yes"]).code, 0);
    assert_eq!(run(&["undo", "k"]).code, 3);
    assert_eq!(shell.run(&["credential", "history", "k", "--account", "nobody"]).code, 3);
}

#[test]
fn what_cannot_be_read_is_in_the_list_with_the_rest_and_the_command_fails() {
    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    shell.define("X", "string");
    shell.ok(&["account", "create", "a", "--default-app"]);
    for value in ["one", "two", "three"] {
        shell.ok_with(value, &["set", "X"]);
        shell.ok_with(value, &["credential", "set", "k", "--account", "a"]);
    }
    let lists: [(&[&str], &[u8]); 3] = [
        (&["history", "X"], &[0x50, 0x20]),
        (&["credential", "history", "k", "--account", "a"], &[0x50, 0x32]),
        (&["audit"], &[0x60]),
    ];
    for (command, kind) in lists {
        let before = shell.run(&[command, &["--json"]].concat());
        assert_eq!(before.code, 0, "{}", before.stderr);
        shell.damage(kind);
        let named = shell.run(&["verify"]).stdout;
        let paths: Vec<_> = named
            .lines()
            .filter(|line| line.contains("altered"))
            .filter_map(|line| line.split("  ").next())
            // `verify` names the definition, and an error has its id alone.
            .map(|path| path.replace("X (", "").replace(')', ""))
            .collect();
        for json in [false, true] {
            let ran = shell.run(&[command, if json { &["--json"] } else { &[] }].concat());
            assert_eq!(ran.code, 5, "{}", ran.stderr);
            assert!(paths.iter().any(|path| ran.stderr.contains(path.as_str())), "{paths:?}: {ran:?}");
            assert!(ran.stdout.contains("altered"), "{ran:?}");
            if json {
                assert_eq!(ran.stdout.matches("\"unreadable\":").count(), 1, "{}", ran.stdout);
                let lines = |ran: &shell::Ran| ran.stdout.matches("\"written_at\":").count();
                assert_eq!(lines(&ran), lines(&before), "{}", ran.stdout);
            }
        }
    }
}

#[test]
fn what_cannot_be_read_is_deleted_with_its_versions_or_not_at_all() {
    let shell = Shell::with_vault();
    shell.define("X", "string");
    shell.ok(&["account", "create", "a", "--default-app"]);
    for value in ["one", "two"] {
        shell.ok_with(value, &["set", "X"]);
        shell.ok_with(value, &["credential", "set", "k", "--account", "a"]);
    }
    let deletes: [(&[&str], &[&str], &[u8]); 2] = [
        (&["delete", "X"], &["history", "X"], &[0x20]),
        (
            &["credential", "delete", "k", "--account", "a"],
            &["credential", "history", "k", "--account", "a"],
            &[0x32],
        ),
    ];
    for (delete, history, kind) in deletes {
        shell.damage(kind);
        let before = shell.run(history).stdout;
        let refused = shell.run(&[delete, &["--yes"]].concat());
        assert!(refused.code == 5 && refused.stderr.contains("--purge"), "{refused:?}");
        assert_eq!(shell.run(history).stdout, before);
        shell.ok(&[delete, &["--purge", "--yes"]].concat());
        assert!(!shell.run(history).stdout.contains("altered"));
    }
}

#[test]
fn a_version_takes_the_place_of_what_cannot_be_read_where_that_is_asked_for() {
    let shell = Shell::with_vault();
    shell.define("X", "string");
    shell.ok(&["account", "create", "a", "--default-app"]);
    for value in ["one", "two", "three"] {
        shell.ok_with(value, &["set", "X"]);
        shell.ok_with(value, &["credential", "set", "k", "--account", "a"]);
    }
    let of_credential = |words: &[&'static str]| [&["credential"], words, &["--account", "a"]].concat();
    let cases = [
        (vec!["undo", "X"], vec!["history", "X"], vec!["revert", "X", "--version"], 0x20),
        (
            of_credential(&["undo", "k"]),
            of_credential(&["history", "k"]),
            of_credential(&["revert", "k"]),
            0x32,
        ),
    ];
    for (undo, history, revert, kind) in &cases {
        shell.damage(&[*kind]);
        let before = shell.run(history).stdout;
        let refused = shell.run(undo);
        assert!(refused.code == 5 && refused.stderr.contains("--replace-damaged"), "{refused:?}");
        assert_eq!(shell.run(history).stdout, before);
        shell.ok(&[&undo[..], &["--replace-damaged"]].concat());
        let versions = shell.json(history);
        let first = versions[2]["version"].as_str().unwrap();
        let version: &[&str] =
            if revert.ends_with(&["--version"]) { &[first] } else { &["--version", first] };
        shell.damage(&[*kind]);
        let refused = shell.run(&[&revert[..], version].concat());
        assert!(refused.code == 5 && refused.stderr.contains("--replace-damaged"), "{refused:?}");
        shell.ok(&[&revert[..], version, &["--replace-damaged"]].concat());
        shell.ok(history);
    }
    assert_eq!(shell.ok(&["get", "X", "--reveal"]), "one");
    shell.ok(&["verify"]);
}

#[test]
#[cfg(unix)]
fn an_account_that_cannot_be_read_is_named_beside_the_others_and_deleted_by_who_says_purge() {
    for is_remote in [false, true] {
        let shell = Shell::with_vault();
        for id in ["user_1", "user_2"] {
            shell.ok(&["account", "create", id, "--default-app"]);
        }
        shell.ok_with("c", &["credential", "set", "token", "--account", "user_1"]);
        let key = shell.json(&["api-key", "create", "desk", "--right", "admin", "--right", "read"]);
        shell.damage(&[&[0x30], &b"user_1"[..]].concat());
        let server = shell::server::Server::start(&shell, &[]);
        let remote = Shell::new().variable("STRONGROOM_URL", server.text("url"));
        let remote = remote.variable("STRONGROOM_API_KEY", key["api_key"].as_str().unwrap());
        let run = |command: &[&str]| if is_remote { remote.run(command) } else { shell.run(command) };

        for command in [&["account", "list"][..], &["search", "user"]] {
            let listed = run(command);
            assert!(listed.code == 5 && listed.stdout.contains("user_2"), "{listed:?}");
            assert!(listed.stderr.contains("linked account user_1"), "{listed:?}");
        }
        let refused = run(&["account", "delete", "user_1", "--yes"]);
        assert!(refused.code == 5 && refused.stderr.contains("--purge"), "{refused:?}");
        assert_eq!(run(&["account", "delete", "user_1", "--purge"]).code, 2);
        let deleted = run(&["account", "delete", "user_1", "--purge", "--yes"]);
        assert_eq!(deleted.code, 0, "{deleted:?}");
        assert_eq!(run(&["account", "list"]).code, 0);
        assert_eq!(shell.run(&["account", "delete", "user_1", "--purge", "--yes"]).code, 3);
        shell.ok(&["verify"]);
        server.stop();
    }
}

#[test]
#[cfg(unix)]
fn what_is_damaged_has_the_same_exit_code_behind_a_server() {
    let shell = Shell::with_vault();
    shell.define("X", "string");
    for value in ["one", "two"] {
        shell.ok_with(value, &["set", "X"]);
    }
    shell.damage(&[0x20]);
    let server = shell::server::Server::start(&shell, &[]);
    let create = [
        "api-key", "create", "remote", "--right", "read", "--right", "write", "--right", "reveal", "--right",
        "operate",
    ];
    let key = shell.json(&create)["api_key"].as_str().unwrap().to_owned();
    let remote = Shell::new().variable("STRONGROOM_URL", server.text("url"));
    let remote = remote.variable("STRONGROOM_API_KEY", &key);
    for command in [
        &["get", "X", "--reveal"][..],
        &["history", "X"],
        &["delete", "X", "--yes"],
        &["undo", "X"],
        &["list", "--values"],
    ] {
        let (here, there) = (shell.run(command), remote.run(command));
        assert_eq!((here.code, there.code), (5, 5), "{command:?}: {}{}", here.stderr, there.stderr);
    }
    let (here, there) = (shell.run(&["undo", "X"]), remote.run(&["undo", "X"]));
    assert!(
        here.stderr == there.stderr && here.stderr.contains("--replace-damaged puts"),
        "{here:?}{there:?}"
    );
    assert!(remote.run(&["delete", "X", "--yes"]).stderr.contains("--purge does that"));
    let blocked = remote.run(&["rotate", "data"]);
    assert!(blocked.code == 5 && blocked.stderr.contains("job retry"), "{}", blocked.stderr);
    remote.ok(&["undo", "X", "--replace-damaged"]);
    assert_eq!(remote.ok(&["get", "X", "--reveal"]), "one");
    assert_eq!(server.stop(), 0);
}

#[test]
#[cfg(unix)]
fn an_audit_with_an_event_that_cannot_be_read_fails_behind_a_server_too() {
    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    shell.define("X", "string");
    let create = ["api-key", "create", "remote", "--right", "read", "--right", "admin"];
    let key = shell.json(&create)["api_key"].as_str().unwrap().to_owned();
    shell.damage(&[0x60]);
    let server = shell::server::Server::start(&shell, &[]);
    let remote = Shell::new().variable("STRONGROOM_URL", server.text("url"));
    let remote = remote.variable("STRONGROOM_API_KEY", &key);
    for command in [&["audit"][..], &["audit", "--json"]] {
        let ran = remote.run(command);
        assert!(ran.code == 5 && ran.stdout.contains("altered"), "{ran:?}");
    }
    assert_eq!(server.stop(), 0);
}

#[test]
#[cfg(unix)]
fn a_damaged_definition_is_listed_and_replaced_behind_a_server_too() {
    let shell = Shell::with_vault();
    shell.define("X", "string");
    shell.ok(&["define", "X", "--change", "--description", "second"]);
    let id = shell.json(&["show", "X"])["id"].as_str().unwrap().to_owned();
    shell.define("Y", "string");
    shell.ok_with("one", &["set", "Y"]);
    shell.damage(&[0x10]);
    let server = shell::server::Server::start(&shell, &[]);
    let create = ["api-key", "create", "remote", "--right", "read", "--right", "write"];
    let key = shell.json(&create)["api_key"].as_str().unwrap().to_owned();
    let remote = Shell::new().variable("STRONGROOM_URL", server.text("url"));
    let remote = remote.variable("STRONGROOM_API_KEY", &key);
    let list = remote.run(&["list", "--names"]);
    assert!(list.code == 5 && list.stdout == "Y\n" && list.stderr.contains(&id), "{list:?}");
    for command in [&["search", "Y"][..], &["list", "--values"]] {
        let (here, there) = (shell.run(command), remote.run(command));
        assert!(here.code == 5 && there.code == 5, "{command:?}: {here:?}{there:?}");
        for ran in [here, there] {
            assert!(ran.stdout.contains('Y') && ran.stderr.contains(&id), "{command:?}: {ran:?}");
        }
    }
    let create = [&create[..], &["--only", "Y*"]].concat();
    let create = [&["api-key", "create", "narrow"], &create[3..]].concat();
    let narrow = shell.json(&create)["api_key"].as_str().unwrap().to_owned();
    let narrow =
        Shell::new().variable("STRONGROOM_URL", server.text("url")).variable("STRONGROOM_API_KEY", &narrow);
    let list = narrow.run(&["list", "--names"]);
    assert!(list.code == 5 && list.stdout == "Y\n", "{list:?}");
    assert!(!list.stderr.contains(&id), "a narrowed key is not told which: {list:?}");
    let undo = ["undo", &id, "--definition"];
    let refused = remote.run(&undo);
    assert_eq!((refused.code, &refused.stderr), (5, &shell.run(&undo).stderr), "{refused:?}");
    remote.ok(&[&undo[..], &["--replace-damaged"]].concat());
    assert_eq!(remote.ok(&["list", "--names"]), "X\nY\n");
    assert_eq!(server.stop(), 0);
}

#[test]
fn an_export_of_a_damaged_audit_has_the_rest_and_fails_with_what_it_lacks() {
    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    shell.define("X", "string");
    shell.ok(&["audit", "--export", "whole.audit"]);
    shell.damage(&[0x60]);
    shell.ok_with("one", &["set", "X"]);
    let named = shell.run(&["verify"]).stdout;
    let path = named.lines().find(|line| line.contains("altered")).unwrap().split("  ").next().unwrap();
    let ran = shell.run(&["audit", "--export", "rest.audit"]);
    assert!(ran.code == 5 && ran.stderr.contains(path), "{ran:?}");
    let ran = shell.run(&["audit", "--check", "rest.audit", "--json"]);
    assert!(ran.code == 5 && ran.stderr.contains(path), "{ran:?}");
    assert!(ran.stdout.contains("Variable Value Set") && !ran.stdout.contains("unchecked"), "{}", ran.stdout);
    let ran = shell.run(&["audit", "--check", "rest.audit", "--digest", "whole.audit.digest"]);
    assert!(
        ran.code == 5 && ran.stdout.is_empty() && ran.stderr.contains("the digest of that export"),
        "{ran:?}"
    );
}

#[test]
fn a_deletion_that_cannot_be_read_does_not_keep_another_definition_from_coming_back() {
    let shell = Shell::with_vault();
    for name in ["X", "Y"] {
        shell.define(name, "string");
        shell.ok(&["delete", name, "--definition", "--yes"]);
    }
    shell.damage(&[0x50, 0x10]);
    let mut ran = ["X", "Y"].map(|name| shell.run(&["undo", name, "--definition"]));
    assert!(ran.iter().all(|ran| ran.stderr.contains("left out: ")), "{ran:?}");
    ran.sort_by_key(|ran| ran.code);
    assert_eq!(ran.each_ref().map(|ran| ran.code), [0, 5], "{ran:?}");
    assert_eq!(shell.json(&["list"]).as_array().unwrap().len(), 1);
}

#[test]
fn what_is_not_known_of_a_time_is_listed_beside_what_differs() {
    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    for name in ["KEPT", "FEW", "PURGED", "GONE", "WIPED", "NEVER"] {
        shell.define(name, "string");
    }
    for name in ["KEPT", "FEW", "PURGED", "GONE", "WIPED"] {
        shell.ok_with("before", &["set", name]);
    }
    let at = shell.json(&["history", "WIPED"])[0]["written_at"].as_str().unwrap().to_owned();
    shell.ok_with("after", &["set", "KEPT"]);
    shell.ok(&["define", "FEW", "--change", "--keep-versions", "1"]);
    for value in ["after", "later"] {
        shell.ok_with(value, &["set", "FEW"]);
    }
    shell.ok(&["delete", "PURGED", "--purge", "--yes"]);
    shell.ok(&["delete", "GONE", "--definition", "--yes"]);
    shell.ok(&["delete", "WIPED", "--definition", "--purge", "--yes"]);
    shell.ok_with("new", &["set", "NEVER"]);
    let row = |name, definition, value| json!({"name": name, "definition": definition, "value": value});
    let listed = json!([
        row("FEW", "differs", "not_known"),
        row("GONE", "only_b", "not_known"),
        row("KEPT", "same", "differs"),
        row("NEVER", "same", "only_a"),
        row("PURGED", "same", "not_known"),
        row("WIPED", "not_known", "not_known"),
    ]);
    assert_eq!(shell.json(&["diff", "--at", &at])["differences"], listed);
    assert!(shell.ok(&["diff", "--at", &at]).contains("not known at that time"));
    assert_eq!(shell.json(&["diff", "--at", "0s"])["differences"], json!([]));
    shell.ok(&["audit", "--off"]);
    assert!(shell.run(&["diff", "--at", &at]).stderr.contains("without a whole audit"));
}

#[test]
fn values_that_went_with_their_account_or_definition_are_not_known_of_the_time_before() {
    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    for name in ["X", "Y"] {
        shell.define(name, "string");
    }
    for account in ["gone", "shredded", "back"] {
        shell.ok(&["account", "create", account, "--default-app"]);
        shell.ok_with("before", &["set", "X", "--account", account]);
    }
    shell.ok_with("before", &["set", "Y"]);
    let at = shell.json(&["history", "Y"])[0]["written_at"].as_str().unwrap().to_owned();
    shell.ok(&["account", "delete", "gone", "--yes"]);
    shell.ok(&["shred", "account", "shredded", "--yes"]);
    shell.ok(&["account", "delete", "back", "--yes"]);
    shell.ok(&["account", "create", "back", "--default-app"]);
    shell.ok_with("after", &["set", "X", "--account", "back"]);
    shell.ok(&["delete", "Y", "--definition", "--yes"]);
    shell.ok(&["undo", "Y", "--definition"]);
    let value_of = |place: &str, name: &str| {
        let found = shell.json(&["diff", place, "--at", &at])["differences"].clone();
        found.as_array().unwrap().iter().find(|one| one["name"] == name).map(|one| one["value"].clone())
    };
    for place in ["@account:gone", "@account:shredded", "@account:back"] {
        assert_eq!(value_of(place, "X"), Some(json!("not_known")), "{place}");
    }
    assert_eq!(value_of("test", "X"), None, "of another place nothing went");
    assert_eq!(value_of("test", "Y"), Some(json!("not_known")));
}

#[test]
fn an_audit_that_begins_after_the_time_is_said_to_lack_what_was_before() {
    let shell = Shell::with_vault();
    shell.define("X", "string");
    shell.ok_with("before", &["set", "X"]);
    let at = shell.json(&["history", "X"])[0]["written_at"].as_str().unwrap().to_owned();
    shell.ok(&["audit", "--on"]);
    assert!(shell.run(&["diff", "--at", &at]).stderr.contains("without a whole audit"));
    assert!(!shell.run(&["diff", "--at", "0s"]).stderr.contains("without a whole audit"));
}

#[test]
fn a_version_takes_the_place_of_a_damaged_definition_by_its_name_or_id() {
    let shell = Shell::with_vault();
    shell.define("X", "string");
    shell.ok_with("one", &["set", "X"]);
    let id = shell.json(&["show", "X"])["id"].as_str().unwrap().to_owned();
    for named in ["X", &id] {
        shell.ok(&["define", "X", "--change", "--description", named]);
        shell.damage(&[0x10]);
        let undo = ["undo", named, "--definition", "--yes"];
        let refused = shell.run(&undo);
        assert!(refused.code == 5 && refused.stderr.contains("--replace-damaged"), "{refused:?}");
        shell.ok(&[&undo[..], &["--replace-damaged"]].concat());
        assert_eq!(shell.ok(&["get", "X", "--reveal"]), "one");
        shell.ok(&["verify"]);
    }
}

#[test]
fn a_damaged_definition_is_named_beside_the_others_and_deleted_by_its_id() {
    let shell = Shell::with_vault();
    shell.define("X", "string");
    shell.ok_with("one", &["set", "X"]);
    let id = shell.json(&["show", "X"])["id"].as_str().unwrap().to_owned();
    shell.define("Y", "string");
    shell.damage(&[0x10]);
    for list in [&["list"][..], &["list", "--names"], &["list", "--json"]] {
        let ran = shell.run(list);
        assert!(ran.code == 5 && ran.stdout.contains('Y') && !ran.stdout.contains('X'), "{ran:?}");
        assert!(ran.stderr.contains(&id) && ran.stderr.contains("--purge"), "{ran:?}");
    }
    for (name, step) in [("X", "--purge"), (&id, "--purge")] {
        let refused = shell.run(&["delete", name, "--definition", "--yes"]);
        assert!(refused.code == 5 && refused.stderr.contains(step), "{refused:?}");
    }
    let whole = shell.json(&["show", "Y"])["id"].as_str().unwrap().to_owned();
    let refused = shell.run(&["delete", &whole, "--definition", "--purge", "--yes"]);
    assert!(refused.code == 4 && refused.stderr.contains("delete Y --definition"), "{refused:?}");
    let unasked = shell.run(&["delete", &id, "--definition", "--purge"]);
    assert!(unasked.code == 2, "{unasked:?}");
    shell.ok(&["delete", &id, "--definition", "--purge", "--yes"]);
    assert_eq!(shell.ok(&["list", "--names"]), "Y\n");
    shell.ok(&["verify"]);
    shell.define("X", "string");
}

#[test]
fn a_present_row_that_is_gone_is_told_and_comes_back_or_goes_with_its_versions() {
    for (command, set, kind) in [
        (&[][..], &["set", "X"][..], 0x20),
        (&["credential"], &["credential", "set", "X", "--account", "a"], 0x32),
    ] {
        let shell = Shell::with_vault();
        shell.define("X", "string");
        shell.ok(&["account", "create", "a", "--default-app"]);
        let run = |words: &[&str]| {
            let account: &[&str] = if command.is_empty() { &[] } else { &["--account", "a"] };
            shell.run(&[command, words, account].concat())
        };
        for value in ["one", "two", "three"] {
            shell.ok_with(value, set);
        }
        shell.take_away(&[kind]);
        let history = run(&["history", "X"]);
        assert!(history.code == 5 && history.stderr.contains("it is missing"), "{history:?}");
        assert!(history.stdout.contains("unreadable") && !history.stdout.contains("current"), "{history:?}");
        assert!(history.stderr.contains("--replace-damaged"), "it names what brings it back: {history:?}");
        let account: &[&str] = if command.is_empty() { &[] } else { &["--account", "a"] };
        let listed = shell.run(&[command, &["history", "X", "--json"], account].concat()).stdout;
        assert!(listed.contains("\"version\":null") && !listed.contains("\"version\":\"0\""), "{listed}");
        let refused = run(&["undo", "X"]);
        assert!(refused.code == 5 && refused.stderr.contains("--replace-damaged"), "{refused:?}");
        assert_eq!(run(&["undo", "X", "--replace-damaged"]).code, 0);
        assert_eq!(run(&["history", "X"]).code, 0);
        shell.ok(&["verify"]);
        shell.take_away(&[kind]);
        assert_eq!(run(&["delete", "X", "--purge", "--yes"]).code, 0);
        assert_eq!(run(&["history", "X"]).code, 3);
        shell.ok(&["verify"]);
    }
}

#[test]
fn a_damaged_definition_without_a_readable_version_stays_as_it_is() {
    let shell = Shell::with_vault();
    shell.define("X", "string");
    shell.damage(&[0x10]);
    let refused = shell.run(&["undo", "X", "--definition", "--replace-damaged", "--yes"]);
    assert!(refused.code == 5 && refused.stderr.contains("backup"), "{refused:?}");
}

#[test]
fn what_keeps_no_version_is_overwritten_with_a_word_and_undone_with_consent() {
    let shell = Shell::with_vault();
    shell.define("X", "string");
    for value in ["one", "two"] {
        let ran = shell.pipe(value, &["set", "X"]);
        assert!(ran.code == 0 && !ran.stderr.contains("lost"), "{}", ran.stderr);
    }
    shell.ok(&["define", "X", "--change", "--keep-versions", "0"]);
    let first = shell.json(&["history", "X"])[1]["version"].as_str().unwrap().to_owned();
    for words in [&["undo", "X"][..], &["revert", "X", "--version", &first]] {
        let refused = shell.run(words);
        assert!(refused.code == 2 && refused.stderr.contains("for good"), "{}", refused.stderr);
        assert_eq!(shell.ok(&["get", "X", "--reveal"]), "two");
    }
    shell.ok(&["undo", "X", "--yes"]);
    assert_eq!(shell.ok(&["get", "X", "--reveal"]), "one");
    // A script goes on.
    let ran = shell.pipe("three", &["set", "X"]);
    assert!(ran.code == 0 && ran.stderr.contains("the value from before is lost"), "{}", ran.stderr);
    let ran = shell.pipe("four", &["--json", "set", "X"]);
    assert!(ran.code == 0 && ran.stderr.starts_with(r#"{"note":"#), "{}", ran.stderr);
    assert_eq!(shell.json(&["history", "X"]).as_array().unwrap().len(), 1);
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
        let none = shell.run(&["undo", "X", "--definition"]);
        assert_eq!(none.code, 3, "nothing of that name comes back: {}", none.stderr);
        // What was deleted before is purged too.
        shell.define("X", "integer");
        shell.ok(&["delete", "X", "--definition", "--yes"]);
        shell.ok(&["delete", "X", "--definition", "--purge", "--yes"]);
        assert_eq!(shell.run(&["undo", "X", "--definition"]).code, 3);
        assert_eq!(shell.run(&["delete", "X", "--definition", "--purge", "--yes"]).code, 3);
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

#[test]
fn a_value_that_cannot_be_read_hides_no_other_difference() {
    let shell = Shell::with_vault();
    for name in ["A", "B"] {
        shell.define(name, "string");
        shell.ok_with("one", &["set", name]);
    }
    let at = shell.json(&["history", "B"])[0]["written_at"].as_str().unwrap().to_owned();
    for name in ["A", "B"] {
        shell.ok_with("two", &["set", name]);
    }
    // The first one made.
    shell.damage(&[0x20]);
    shell.ok(&["--environment", "prod", "define", "A", "--format", "string"]);
    for words in [&["diff", "--at", &at][..], &["diff", "test", "prod"]] {
        let ran = shell.run(&[&["--json"], words].concat());
        assert!(
            ran.code == 5 && ran.error()["message"].as_str().unwrap().contains("the value of A"),
            "{ran:?}"
        );
        let found: Value = serde_json::from_str(&ran.stdout).unwrap();
        let of = |name: &str| {
            let all = found["differences"].as_array().unwrap();
            all.iter().find(|one| one["name"] == name).map(|one| one["value"].clone()).unwrap()
        };
        assert_eq!(of("A"), "unreadable");
        assert!(["differs", "only_a"].contains(&of("B").as_str().unwrap()), "{found}");
    }
}

#[test]
fn a_place_that_is_not_there_and_a_time_to_come_are_refused() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    for words in [&["diff", "--at", "1h"][..], &["undo", "B", "--definition"]] {
        let ran = shell.run(&[&["--environment", "tset"], words].concat());
        assert!(ran.code == 3 && ran.stderr.contains("no environment tset"), "{ran:?}");
    }
    let ran = shell.run(&["diff", "--at", "2999-01-31T12:00:00Z"]);
    assert!(ran.code == 2 && ran.stderr.contains("not past"), "{ran:?}");
}

#[test]
fn what_is_kept_for_no_time_is_as_if_no_version_were_kept() {
    let shell = Shell::with_vault();
    shell.define("X", "string");
    shell.ok(&["define", "X", "--change", "--keep-for", "0s"]);
    shell.ok_with("one", &["set", "X"]);
    let ran = shell.pipe("two", &["set", "X"]);
    assert!(ran.code == 0 && ran.stderr.contains("the value from before is lost"), "{}", ran.stderr);
    let shown = shell.ok(&["show", "X"]);
    assert!(shown.contains("0s") && !shown.contains("0 days"), "{shown}");
}

#[test]
fn an_audit_that_cannot_be_read_or_was_off_is_said_to_lack_what_was_then() {
    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    shell.define("X", "string");
    shell.ok_with("before", &["set", "X"]);
    let at = shell.json(&["history", "X"])[0]["written_at"].as_str().unwrap().to_owned();
    assert!(!shell.run(&["diff", "--at", &at]).stderr.contains("without a whole audit"));
    shell.ok(&["audit", "--off"]);
    shell.ok(&["delete", "X", "--purge", "--yes"]);
    shell.ok(&["audit", "--on"]);
    let ran = shell.run(&["diff", "--at", &at]);
    assert!(ran.code == 0 && ran.stderr.contains("without a whole audit"), "{ran:?}");

    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    shell.damage(&[0x60]);
    let ran = shell.run(&["diff", "--at", "1h"]);
    assert!(ran.code == 5 && ran.stderr.contains("without a whole audit"), "{ran:?}");
    assert!(ran.stdout.contains("are the same"), "{ran:?}");
}

#[test]
fn a_definition_is_purged_by_its_id_also_if_only_its_name_or_only_itself_is_left() {
    for lost in [0x10, 0x11] {
        let shell = Shell::with_vault();
        shell.define("X", "string");
        shell.ok_with("one", &["set", "X"]);
        let id = shell.json(&["show", "X"])["id"].as_str().unwrap().to_owned();
        shell.take_away(&[lost]);
        shell.ok(&["delete", &id, "--definition", "--purge", "--yes"]);
        shell.ok(&["verify"]);
        let again = shell.run(&["delete", &id, "--definition", "--purge", "--yes"]);
        assert_eq!(again.code, 3, "{lost}: {again:?}");
        shell.define("X", "string");
        assert_eq!(shell.run(&["get", "X"]).code, 3);
    }
}

#[test]
fn a_definition_whose_deletion_cannot_be_read_comes_back_by_its_id() {
    let shell = Shell::with_vault();
    shell.define("X", "string");
    let id = shell.json(&["show", "X"])["id"].as_str().unwrap().to_owned();
    shell.ok(&["delete", "X", "--definition", "--yes"]);
    shell.damage(&[0x50, 0x10]);
    let by_name = shell.run(&["undo", "X", "--definition", "--replace-damaged"]);
    assert!(by_name.code == 5 && by_name.stderr.contains("undo ID --definition"), "{by_name:?}");
    let refused = shell.run(&["undo", &id, "--definition"]);
    assert!(refused.code == 5 && refused.stderr.contains("--replace-damaged"), "{refused:?}");
    shell.ok(&["undo", &id, "--definition", "--replace-damaged"]);
    shell.ok(&["verify"]);
    assert_eq!(shell.ok(&["list", "--names"]), "X\n");
    shell.ok_with("one", &["set", "X"]);
}

#[test]
fn what_is_not_brought_back_is_refused_with_the_next_step() {
    let shell = Shell::with_vault();
    shell.define("N", "string");
    for value in ["one", "2"] {
        shell.ok_with(value, &["set", "N"]);
    }
    shell.ok(&["define", "N", "--change", "--format", "integer"]);
    let first = shell.json(&["history", "N"])[1]["version"].as_str().unwrap().to_owned();
    for words in [&["undo", "N"][..], &["revert", "N", "--version", &first]] {
        let refused = shell.run(words);
        assert!(refused.code == 4 && refused.stderr.contains("nothing was changed"), "{refused:?}");
    }
    shell.ok(&["delete", "N", "--definition", "--yes"]);
    let refused = shell.run(&["undo", "N"]);
    assert!(refused.code == 3 && refused.stderr.contains("undo N --definition"), "{refused:?}");
}

#[test]
#[cfg(unix)]
fn an_undo_is_refused_in_the_same_words_behind_a_server() {
    let shell = Shell::with_vault();
    shell.define("ONE", "string");
    shell.define("NONE", "string");
    shell.define("NUMBER", "string");
    shell.ok(&["account", "create", "a", "--default-app"]);
    for value in ["one", "2"] {
        shell.ok_with(value, &["set", "NUMBER"]);
    }
    shell.ok(&["define", "NUMBER", "--change", "--format", "integer"]);
    shell.ok_with("one", &["set", "ONE"]);
    shell.ok_with("one", &["credential", "set", "one", "--account", "a"]);
    for value in ["one", "two"] {
        shell.ok_with(value, &["credential", "set", "lost", "--account", "a"]);
    }
    shell.take_away(&[0x32]);
    let server = shell::server::Server::start(&shell, &[]);
    let create = ["api-key", "create", "remote", "--right", "read", "--right", "write", "--right", "reveal"];
    let key = shell.json(&create)["api_key"].as_str().unwrap().to_owned();
    let remote = Shell::new().variable("STRONGROOM_URL", server.text("url"));
    let remote = remote.variable("STRONGROOM_API_KEY", &key);
    for command in [
        &["undo", "ONE"][..],
        &["undo", "NONE"],
        &["undo", "NUMBER"],
        &["undo", "ONE", "--definition"],
        &["undo", "NEVER", "--definition"],
        &["revert", "ONE", "--version", "7"],
        &["credential", "undo", "one", "--account", "a"],
        &["credential", "undo", "none", "--account", "a"],
        &["credential", "undo", "lost", "--account", "a"],
        &["credential", "revert", "one", "--version", "7", "--account", "a"],
    ] {
        let (here, there) = (shell.run(command), remote.run(command));
        assert_eq!((here.code, &here.stderr), (there.code, &there.stderr), "{command:?}");
        assert!(here.code != 0 && here.stderr.contains("next:"), "{command:?}: {here:?}");
    }
    assert!(remote.run(&["undo", "NEVER", "--definition"]).stderr.contains("undo ID --definition"));
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_diff_with_a_time_says_where_the_audit_has_a_gap_since_then() {
    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    shell.define("X", "string");
    let at = shell.json(&["show", "X"])["created_at"].as_str().unwrap().to_owned();
    shell.ok(&["audit", "--off", "--environment", "other"]);
    shell.ok(&["audit", "--on", "--environment", "other"]);
    shell.ok_with("one", &["set", "X"]);
    let ran = shell.run(&["diff", "--at", &at]);
    assert!(ran.code == 0 && ran.stderr.contains("without a whole audit"), "switched elsewhere: {ran:?}");

    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    for name in ["X", "Y"] {
        shell.define(name, "string");
    }
    shell.ok(&["diff", "--at", "1h"]);
    shell.take_away(&[0x60]);
    let ran = shell.run(&["diff", "--at", "1h"]);
    assert!(ran.code == 5 && ran.stderr.contains("has a gap"), "{ran:?}");
}
