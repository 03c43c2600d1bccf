//! What a slip of the hand does not do, and what it is told.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod shell;

use futures_executor::block_on;
use serde_json::json;
use shell::Shell;
use strongroom::{Environment, PageRequest, RawKey, Unlock, Vault};
use strongroom_redb::RedbStore;

/// With a value at two scopes, a credential, and a second account without anything.
fn filled() -> Shell {
    let shell = Shell::with_vault();
    for name in ["PORT", "API_URL"] {
        shell.define(name, "string");
    }
    shell.ok(&["account", "create", "user_1", "--default-app"]);
    shell.ok(&["account", "create", "bare_1"]);
    shell.ok_with("org", &["set", "PORT"]);
    shell.ok_with("own", &["set", "PORT", "--account", "user_1"]);
    shell.ok_with("hunter2", &["credential", "set", "token", "--account", "user_1"]);
    shell
}

#[test]
fn an_empty_input_overwrites_nothing() {
    let shell = filled();
    for arguments in [&["set", "PORT"][..], &["credential", "set", "token", "--account", "user_1"]] {
        let ran = shell.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}");
        assert!(ran.stderr.contains("--empty"), "{}", ran.stderr);
    }
    assert_eq!(shell.ok(&["get", "PORT", "--reveal"]), "org");
    shell.ok(&["set", "PORT", "--empty"]);
    assert_eq!(shell.ok(&["get", "PORT", "--reveal"]), "");
}

#[test]
fn nothing_is_destroyed_without_a_terminal_or_yes() {
    let shell = filled();
    let before = [shell.ok(&["--json", "list"]), shell.ok(&["--json", "account", "list"])];
    let cases: [(&[&str], &str); 5] = [
        (&["delete", "PORT"], "delete the value of PORT at org"),
        (&["delete", "PORT", "--definition"], "the definition PORT and its values: 2"),
        (&["credential", "delete", "token", "--account", "user_1"], "delete credential token of user_1"),
        (&["account", "delete", "user_1"], "its values (1), credentials of all its apps (1)"),
        (&["shred", "account", "user_1"], "its values (1), credentials of all its apps (1)"),
    ];
    for (arguments, says) in cases {
        let ran = shell.run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.stderr.contains(says) && ran.stderr.contains("--yes"), "{}", ran.stderr);
    }
    assert_eq!([shell.ok(&["--json", "list"]), shell.ok(&["--json", "account", "list"])], before);
    assert_eq!(shell.ok(&["get", "PORT", "--reveal"]), "org");
    for (arguments, _) in cases.into_iter().rev().filter(|(arguments, _)| !arguments.contains(&"delete")) {
        shell.ok(&[arguments, &["--yes"]].concat());
    }
    shell.ok(&["delete", "PORT", "--yes"]);
    shell.ok(&["delete", "PORT", "--definition", "--yes"]);
    shell.ok(&["account", "delete", "bare_1", "--yes"]);
}

#[test]
fn an_account_whose_id_is_no_longer_taken_can_be_deleted() {
    let shell = filled();
    let store = RedbStore::open(shell.store()).unwrap();
    block_on(async {
        let unlock = Unlock::raw_key(RawKey::from_file(shell.key()).unwrap());
        let vault = Vault::open(store, unlock).await.unwrap();
        let org = vault.orgs(PageRequest::default()).await.unwrap().items.remove(0);
        let org = vault.org(org, Environment::test());
        org.create_account(" y".parse().unwrap()).await.unwrap();
        vault.close().await.unwrap();
    });
    shell.ok(&["account", "apps", " y"]);
    shell.ok(&["account", "delete", " y", "--yes"]);
    assert_eq!(shell.run(&["account", "delete", " y", "--yes"]).code, 3);
}

#[test]
fn a_receipt_is_printed_as_lines() {
    let shell = filled();
    let receipt = shell.ok(&["shred", "account", "user_1", "--yes"]);
    assert!(!receipt.contains("\\n") && receipt.lines().count() > 3, "{receipt}");
    assert!(receipt.contains("\n- the root key"), "{receipt}");
}

#[test]
fn an_argument_that_looks_like_a_value_is_not_repeated() {
    let shell = filled();
    let long = "s".repeat(80);
    for arguments in [
        &["set", "API_KEY=hunter2"][..],
        &["define", "API_KEY=hunter2", "--format", "string"],
        &["get", "API_KEY=hunter2"],
        &["delete", "sk_live_hunter2"],
        &["resolve", "hunter2 is it"],
        &["explain", &long],
        &["credential", "set", "token=hunter2", "--account", "user_1"],
        &["API_KEY=hunter2"],
        &["list", "hunter2"],
        &["--org", "hunter2", "list"],
        &["--environment", "hunter2\n", "list"],
        &["slot", "remove", "hunter2"],
        &["serve", "--listen", "hunter2"],
        &["rotate", "data", "--older-than", "hunter2"],
        &["completions", "hunter2"],
        &["list", "-hunter2"],
        &["import", "APP_KEY=hunter2"],
        &["import", "sk_live_hunter2"],
        &["inject", "--reveal", "APP_KEY=hunter2"],
        &["copy", "APP_KEY=hunter2", "test"],
        &["copy", "test", "APP_KEY=hunter2", "--dry-run"],
        &["diff", "APP_KEY=hunter2", "test"],
        &["diff", "test@account:APP_KEY=hunter2", "test"],
        &["diff", "test@workflow:APP_KEY=hunter2", "test"],
        &["verify", "--checkpoint", "APP_KEY=hunter2"],
        &["restore", "APP_KEY=hunter2"],
        &["--config", "APP_KEY=hunter2", "list"],
        &["--store", "APP_KEY=hunter2", "list"],
        &["--environment", "APP_KEY=hunter2", "run", "--", "true"],
        &["resolve", "--account", "APP_KEY=hunter2"],
        &["run", "--", "APP_KEY=hunter2"],
    ] {
        for arguments in [arguments.to_vec(), [&["--json"], arguments].concat()] {
            let ran = shell.run(&arguments);
            assert!(
                !ran.stderr.contains("hunter2") && !ran.stderr.contains(&long),
                "{arguments:?}: {}",
                ran.stderr
            );
            let is_taken = arguments.contains(&"-hunter2") || arguments.contains(&"--dry-run");
            assert!(ran.code != 0 || is_taken, "{arguments:?}");
        }
    }
    assert_eq!(shell.json(&["list"]).as_array().unwrap().len(), 2);
}

#[test]
fn a_password_in_an_address_is_not_repeated() {
    let shell = filled();
    let commands: [&[&str]; 4] = [
        &["migrate", "--to", "postgres://u:hunter2@127.0.0.1:1/db"],
        &["migrate", "--to", "postgres://u:hunter2@127.0.0.1:1/db", "--yes"],
        &["health", "http://u:hunter2@127.0.0.1:1"],
        &["health", "http://u:hunter2/x y@127.0.0.1:1"],
    ];
    for command in commands {
        let ran = shell.run(command);
        assert_ne!(ran.code, 0);
        assert!(!ran.stdout.contains("hunter2") && !ran.stderr.contains("hunter2"), "{ran:?}");
    }
}

#[test]
fn a_typo_is_told_what_was_meant() {
    let shell = filled();
    for (arguments, meant) in [
        (&["get", "API_ULR"][..], "API_URL"),
        (&["resolve", "PROT"], "PORT"),
        (&["explain", "api_url"], "API_URL"),
        (&["delete", "PORTS", "--yes"], "PORT"),
        (&["resolve", "--account", "user_2"], "user_1"),
        (&["run", "--account", "user1", "--", "true"], "user_1"),
        (&["export", "--account", "usr_1", "--reveal"], "user_1"),
        (&["credential", "list", "--account", "uesr_1"], "user_1"),
        (&["credential", "delete", "tokn", "--account", "user_1"], "token"),
        (&["account", "delete", "user_11", "--yes"], "user_1"),
        (&["shred", "account", "user_11", "--yes"], "user_1"),
        (&["lsit"], "list"),
        (&["list", "--valeus"], "--values"),
        (&["set", "PORT", "--acount", "user_1"], "--account"),
        (&["define", "A", "--format", "nubmer"], "number"),
    ] {
        let ran = shell.run(arguments);
        assert!(ran.code == 2 || ran.code == 3, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("did you mean {meant}?")), "{arguments:?}: {}", ran.stderr);
    }
    assert!(shell.pipe("x", &["set", "API_ULR"]).stderr.contains("did you mean API_URL?"));
    let other = shell.run(&["--environment", "tset", "list"]);
    assert!(other.stderr.contains("--environment test"), "{}", other.stderr);
}

#[test]
fn an_account_with_nothing_of_its_own_is_still_known() {
    let shell = filled();
    assert_eq!(shell.json(&["resolve", "--account", "bare_1", "--reveal"])["PORT"]["value"], "org");
    shell.ok_with("x", &["set", "API_URL", "--account", "implied_1"]);
    shell.ok(&["resolve", "--account", "implied_1"]);
}

#[test]
fn lists_are_sorted_by_name() {
    let shell = Shell::with_vault();
    let names = ["C", "A", "D", "B"];
    shell.write("a.env", names.map(|name| format!("{name}=v\n")).concat());
    shell.ok(&["import", "a.env"]);
    for name in names {
        shell.ok(&["account", "create", &format!("user_{name}"), "--default-app"]);
        shell.ok_with("v", &["credential", "set", name, "--account", "user_C"]);
        shell.ok(&["api-key", "create", name]);
    }
    for (arguments, field) in [
        (&["list"][..], "name"),
        (&["list", "--values"], "name"),
        (&["account", "list"], "linked_account_id"),
        (&["credential", "list", "--account", "user_C"], "key"),
        (&["api-key", "list"], "name"),
    ] {
        let listed = shell.json(arguments);
        let found: Vec<_> =
            listed.as_array().unwrap().iter().map(|one| one[field].as_str().unwrap()).collect();
        assert!(found.len() == 4 && found.is_sorted(), "{arguments:?}: {found:?}");
    }
    assert!(shell.ok(&["resolve"]).lines().skip(1).map(|line| &line[..1]).is_sorted());
}

#[test]
fn each_failure_of_a_store_has_its_own_step() {
    let shell = Shell::with_vault();
    shell.ok(&["--store", "sled:s", "init"]);
    let mismatch = shell.run(&["--store", &format!("sled:{}", shell.store().display()), "list"]);
    assert_eq!(mismatch.code, 6);
    assert!(mismatch.stderr.contains("--store redb:"), "{}", mismatch.stderr);
    assert!(shell.run(&["--store", "redb:s", "list"]).stderr.contains("--store sled:s"));
    shell.write("k", "07".repeat(32));
    let refused = shell.run(&["--store", "postgres://u@127.0.0.1:1/d", "--root-key-file", "k", "list"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("database server is running"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("another process"), "{}", refused.stderr);
}

#[test]
fn help_is_short_and_wrapped() {
    let shell = Shell::new();
    for arguments in [&["-h"][..], &["list", "-h"], &["define", "-h"], &["--help"], &["serve", "--help"]] {
        let help = shell.ok(arguments);
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{arguments:?}: {help}");
    }
    let short = shell.ok(&["list", "-h"]);
    assert!(!short.contains("--root-key-file") && short.lines().count() < 20, "{short}");
    assert!(shell.ok(&["list", "--help"]).contains("--root-key-file"));
}

#[cfg(unix)]
#[test]
fn an_api_key_in_the_environment_is_read() {
    let served = Shell::new();
    let server = shell::server::Server::start(&served, &["--store", "memory"]);
    let shell = Shell::new().variable("STRONGROOM_URL", server.text("url"));
    let shell = shell.variable("STRONGROOM_API_KEY", server.api_key());
    assert_eq!(shell.json(&["list"])[0]["name"], json!("API_SECRET"));
    let ran = shell.variable("STRONGROOM_API_KEY_FILE", "api.key").run(&["list"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
}
