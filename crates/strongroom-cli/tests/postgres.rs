//! A store in a PostgreSQL database, from the shell.
#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[path = "../../strongroom-postgres/tests/cluster/mod.rs"]
mod cluster;
mod shell;

use self::shell::Shell;

fn spec(database: &str) -> String {
    let dir = cluster::shared().socket_dir().display().to_string().replace('/', "%2F");
    format!("postgres://strongroom@{dir}/{database}")
}

#[test]
fn a_vault_moves_through_a_database_and_resolves_the_same() {
    let shell = Shell::with_vault();
    shell.ok(&["define", "TOKEN", "--format", "string", "--encrypted"]);
    assert_eq!(shell.pipe("s3cret", &["set", "TOKEN"]).code, 0);
    let before = shell.ok(&["--json", "resolve", "--reveal"]);

    let spec = spec(&cluster::shared().database());
    shell.ok(&["migrate", "--to", &spec, "--yes"]);
    let key = shell.key();
    let key = key.to_str().unwrap();
    let in_database = |rest: &[&str]| shell.ok(&[&["--store", &spec, "--root-key-file", key], rest].concat());
    assert_eq!(in_database(&["--json", "resolve", "--reveal"]), before);
    in_database(&["verify"]);
    in_database(&["migrate", "--to", "redb:back", "--yes"]);
    let back = shell.ok(&["--store", "redb:back", "--root-key-file", key, "--json", "resolve", "--reveal"]);
    assert_eq!(back, before);
}

#[test]
fn a_new_vault_in_a_database_needs_a_key_that_is_kept() {
    let shell = Shell::new();
    let spec = spec(&cluster::shared().database());
    assert_eq!(shell.run(&["--store", &spec, "init"]).code, 2);
    shell.ok(&["--store", &spec, "--root-key-file", "root.key", "init"]);
    assert_eq!(shell.run(&["--store", &spec, "--root-key-file", "other.key", "list"]).code, 2);
}

#[test]
fn every_command_on_keys_works_in_a_database() {
    let shell = Shell::new();
    let spec = spec(&cluster::shared().database());
    let run = |arguments: &[&str]| {
        shell.ok(&[&["--store", &spec, "--root-key-file", "root.key"], arguments].concat())
    };
    run(&["init"]);
    run(&["define", "A", "--format", "string"]);
    run(&["account", "create", "user_1", "--default-app"]);
    run(&["rotate", "root"]);
    run(&["rotate", "data"]);
    run(&["shred", "account", "user_1", "--yes"]);
    run(&["slot", "list"]);
    run(&["job", "run"]);
    run(&["api-key", "create", "ci"]);
    run(&["backup", "vault.backup"]);
    run(&["verify"]);
    assert!(run(&["list"]).contains('A'));
}

#[test]
fn a_password_in_the_address_and_a_server_that_is_not_there_are_told_apart() {
    let shell = Shell::new();
    shell.write("root.key", "07".repeat(32));
    let password = shell.run(&["--store", "postgres://u:hunter2@h/d", "--root-key-file", "root.key", "list"]);
    assert_eq!(password.code, 6);
    assert!(
        password.stderr.contains("PGPASSWORD") && !password.stderr.contains("hunter2"),
        "{}",
        password.stderr
    );
    let absent = shell.run(&["--store", "postgres://u@%2Fnowhere/d", "--root-key-file", "root.key", "list"]);
    assert_eq!(absent.code, 6);
}
