//! `doctor`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod shell;

use serde_json::{Value, json};
use shell::Shell;
#[cfg(unix)]
use shell::server::Server;

fn finding<'a>(report: &'a Value, check: &str) -> &'a Value {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().find(|one| one["check"] == check).unwrap()
}

#[test]
fn what_is_well_and_what_is_not_each_has_its_step() {
    for store in ["redb:v", "sled:v", "sqlite:v"] {
        let shell = Shell::new().variable("STRONGROOM_STORE", store);
        shell.ok(&["init"]);
        shell.ok(&["define", "TOKEN", "--format", "string", "--required"]);
        let report = shell.json(&["doctor"]);
        assert_eq!(finding(&report, "vault")["state"], "ok", "{store}");
        assert_eq!(finding(&report, "permissions")["state"], "ok", "{store}");
        let keys = finding(&report, "keys");
        assert_eq!(
            (&keys["state"], keys["next"].as_str().unwrap().contains("slot add")),
            (&json!("warning"), true)
        );
        assert!(finding(&report, "required")["message"].as_str().unwrap().starts_with("1 required"));
        shell.write("p", "correct horse battery staple 9");
        shell.ok(&["slot", "add", "--new-passphrase-file", "p"]);
        shell.ok_with("x", &["set", "TOKEN"]);
        let report = shell.json(&["doctor"]);
        assert_eq!(finding(&report, "keys")["state"], "ok");
        assert!(report["findings"].as_array().unwrap().iter().all(|one| one["state"] == "ok"), "{report}");
    }
}

#[test]
fn a_vault_that_does_not_open_is_a_finding_with_its_exit_code() {
    let shell = Shell::new();
    let ran = shell.run(&["doctor"]);
    assert_eq!(ran.code, 6);
    assert!(ran.stdout.contains("strongroom init"), "{}", ran.stdout);
    shell.ok(&["init"]);
    shell.write("k", "07".repeat(32));
    let ran = shell.run(&["--root-key-file", "k", "--json", "doctor"]);
    assert_eq!(ran.code, 5);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(finding(&report, "vault")["state"], "failed");
}

#[test]
fn a_vault_that_was_moved_elsewhere_is_not_well() {
    let shell = Shell::new();
    shell.ok(&["--store", "redb:a", "init"]);
    shell.ok(&["--store", "redb:a", "migrate", "--to", "sled:b", "--yes"]);
    let ran = shell.run(&["--store", "redb:a", "--json", "doctor"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(ran.code, 6);
    let failed = report["findings"].as_array().unwrap().iter().find(|one| one["state"] == "failed").unwrap();
    assert!(failed["message"].as_str().unwrap().contains("moved"), "{report}");
}

#[test]
fn what_killed_commands_left_is_named_once_nobody_writes_to_it() {
    let drafts = tempfile::tempdir().unwrap();
    let shell = Shell::with_vault().variable("XDG_RUNTIME_DIR", drafts.path().to_str().unwrap());
    let places = [shell.store(), shell.key(), drafts.path().join("draft")];
    let left: Vec<_> = places.iter().map(|place| place.with_file_name(".strongroom-killed")).collect();
    for file in &left {
        std::fs::write(file, "x").unwrap();
    }
    let named = |shell: &Shell| {
        let report = shell.json(&["doctor"]);
        let findings = report["findings"].as_array().unwrap();
        findings.iter().find(|one| one["check"] == "leftovers").map(|one| one["message"].to_string())
    };
    assert_eq!(named(&shell), None, "they may be of commands that are at work");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(60 * 60);
    for file in &left {
        std::fs::File::options().write(true).open(file).unwrap().set_modified(long_ago).unwrap();
    }
    let message = named(&shell).unwrap();
    for file in &left {
        assert!(message.contains(file.canonicalize().unwrap().to_str().unwrap()), "{message}");
    }
}

#[cfg(unix)]
#[test]
fn a_store_that_others_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let shell = Shell::with_vault();
    std::fs::set_permissions(shell.store(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let report = shell.json(&["doctor"]);
    assert!(
        finding(&report, "permissions")["next"].as_str().unwrap().starts_with("`chmod go-rwx"),
        "{report}"
    );
}

#[cfg(unix)]
#[test]
fn a_served_vault_is_looked_at_as_far_as_the_key_may_see() {
    let shell = Shell::with_vault();
    shell.ok(&["define", "TOKEN", "--format", "string", "--required"]);
    let server = Server::start(&shell, &[]);
    let report = |grant: &[&str]| {
        let create = [&["api-key", "create", "k"], grant].concat();
        shell.write("k", shell.json(&create)["api_key"].as_str().unwrap());
        shell.json(&["--url", server.text("url"), "--api-key-file", "k", "doctor"])
    };
    let full = report(&["--right", "read", "--right", "operate"]);
    for (check, state) in
        [("vault", "ok"), ("keys", "warning"), ("jobs", "ok"), ("variables", "ok"), ("required", "warning")]
    {
        assert_eq!(finding(&full, check)["state"], state, "{check}");
    }
    let read = report(&["--right", "read"]);
    assert!(finding(&read, "keys")["message"].as_str().unwrap().contains("lacks the right operate"));
    assert_eq!(finding(&read, "variables")["state"], "ok");
    shell.ok(&["account", "create", "user_1"]);
    let narrowed = report(&["--right", "read", "--account", "user_1"]);
    let required = finding(&narrowed, "required")["message"].as_str().unwrap();
    assert!(required.contains("lacks the right read for the org"), "{required}");
}

#[cfg(unix)]
#[test]
fn damage_behind_a_server_is_not_taken_for_a_right_that_the_key_lacks() {
    let shell = Shell::with_vault();
    shell.ok(&["define", "X", "--format", "string"]);
    shell.ok_with("one", &["set", "X"]);
    shell.damage(&[0x20]);
    let server = Server::start(&shell, &[]);
    shell.write("k", shell.json(&["api-key", "create", "k", "--right", "read"])["api_key"].as_str().unwrap());
    let ran = shell.run(&["--url", server.text("url"), "--api-key-file", "k", "doctor"]);
    assert!(ran.code == 5 && !ran.stdout.contains("lacks the right read"), "{ran:?}");
}

#[test]
fn a_damaged_value_fails_its_own_check_and_not_that_of_the_vault() {
    let shell = Shell::with_vault();
    shell.ok(&["define", "X", "--format", "string"]);
    shell.ok_with("one", &["set", "X"]);
    shell.damage(&[0x20]);
    let ran = shell.run(&["--json", "doctor"]);
    assert!(ran.code == 5 && ran.stderr.contains("1 check failed"), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(finding(&report, "vault")["state"], "ok");
    assert_eq!(finding(&report, "required")["state"], "failed");
}

#[test]
fn a_slot_that_was_not_tried_is_not_said_to_open() {
    let shell = Shell::with_vault();
    shell.ok(&["slot", "add", "--new-root-key-file", "spare.key"]);
    let report = shell.json(&["doctor"]);
    let keys = finding(&report, "keys")["message"].as_str().unwrap();
    assert!(keys.starts_with("2 key slots; try the key of each: "), "{keys}");
}

#[test]
fn what_doctor_does_not_look_at_is_said_with_the_command_that_does() {
    let shell = Shell::with_vault();
    let ran = shell.run(&["doctor"]);
    assert!(ran.code == 0 && ran.stderr.contains("`strongroom verify` looks"), "{}", ran.stderr);
}

#[test]
fn a_vault_that_passphrases_alone_open_is_a_warning() {
    let shell = Shell::new();
    shell.write("p", "correct horse battery staple 9");
    shell.ok(&["--passphrase-file", "p", "init"]);
    let report = shell.json(&["--passphrase-file", "p", "doctor"]);
    let passphrase = finding(&report, "passphrase");
    assert_eq!(passphrase["state"], "warning");
    assert!(passphrase["next"].as_str().unwrap().contains("slot add --new-root-key-file"), "{passphrase}");
}
