//! `shred account`: it is gone, the rest stays, and the receipt promises no more than is so.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod shell;

use serde_json::Value;
use shell::Shell;
use shell::server::Server;

fn filled() -> Shell {
    let shell = Shell::with_vault();
    shell.define("URL", "url");
    for account in ["user_1", "user_2"] {
        shell.ok(&["account", "create", account, "--default-app"]);
        shell.ok_with("https://user.example.com", &["set", "URL", "--account", account]);
        shell.ok_with("hunter2", &["credential", "set", "password", "--account", account]);
    }
    shell
}

fn reasons(receipt: &Value) -> Vec<&str> {
    let because = receipt["because"].as_array().unwrap();
    because.iter().map(|reason| reason["reason"].as_str().unwrap()).collect()
}

#[test]
fn a_shredded_account_is_gone_and_the_others_stay() {
    let shell = filled();
    let receipt = shell.json(&["shred", "account", "user_1", "--yes"]);
    assert_eq!((&receipt["linked_account_id"], &receipt["effect"]), (&"user_1".into(), &"logical".into()));
    let key = receipt["keys"][0].as_str().unwrap();
    assert_eq!(shell.run(&["credential", "list", "--account", "user_1"]).code, 3);
    let report = shell.json(&["verify"]);
    assert_eq!(report["clean"], true);
    let of_key = report["keys"].as_array().unwrap().iter().find(|known| known["dek_id"] == key);
    assert_eq!(of_key.map_or(0, |key| key["rows"].as_u64().unwrap()), 0);
    let seen = shell.json(&["resolve", "--account", "user_2", "--reveal"]);
    assert_eq!(seen["URL"]["value"], "https://user.example.com");
    let again = shell.json(&["shred", "account", "user_1", "--yes"]);
    assert_eq!(again["keys"], receipt["keys"], "it is repeated, as after one that was cut off");
    assert_eq!(shell.run(&["shred", "account", "nobody", "--yes"]).code, 3);
}

#[test]
fn the_sessions_of_a_shredded_account_go_with_it_behind_a_server_and_at_its_store() {
    for is_served in [false, true] {
        let shell = filled();
        let mut server = Some(Server::start(&shell, &[]));
        let key = shell.json(&["api-key", "create", "documented"])["api_key"].as_str().unwrap().to_owned();
        for account in ["user_1", "user_2"] {
            let body = format!(r#"{{"linked_account_id":"{account}"}}"#);
            let issued = server.as_ref().unwrap().send(
                "POST",
                "/api/v2/public/session-token",
                &[("x-api-key", &key)],
                &body,
            );
            assert_eq!(issued.0, 200);
        }
        let stop = |server: Option<Server>| server.map_or(0, Server::stop);
        if !is_served {
            assert_eq!(stop(server.take()), 0);
        }
        shell.ok(&["shred", "account", "user_1", "--yes"]);
        assert_eq!(stop(server), 0);
        let lists = shell.keys_with(b"\x40account-session\0");
        assert!(lists.len() == 1 && lists[0].ends_with(b"user_2\0"), "{is_served}");
        assert_eq!(shell.keys_with(b"\x40session\0").len(), 1, "{is_served}");
    }
}

#[test]
fn the_receipt_says_what_still_opens_a_copy_from_before() {
    let shell = filled();
    let receipt = shell.json(&["shred", "account", "user_1", "--yes"]);
    assert_eq!(reasons(&receipt), ["root_in_use", "known_secret", "backups"]);
    shell.ok(&["rotate", "root"]);
    let receipt = shell.json(&["shred", "account", "user_2", "--yes"]);
    assert_eq!(reasons(&receipt), ["root_in_use", "known_secret", "backups"], "the same of the next root");
    assert_eq!((&receipt["until"], &receipt["evidence"]), (&Value::Null, &Value::Array(Vec::new())));
}

#[test]
fn people_are_told_in_sentences() {
    let shell = filled();
    let ran = shell.run(&["shred", "account", "user_1", "--yes"]);
    assert_eq!(ran.code, 0);
    assert!(
        ran.stdout.contains("logical: ") && ran.stdout.contains("`strongroom rotate root`"),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("key provider"), "{}", ran.stderr);
    assert!(!ran.stdout.contains("destroyed"), "{}", ran.stdout);
}

#[test]
fn an_environment_that_a_typo_made_is_shredded_and_no_longer_listed() {
    let shell = filled();
    shell.ok(&["audit", "--on"]);
    let typo = ["--environment", "tset"];
    shell.ok(&[&typo[..], &["define", "URL", "--format", "url"]].concat());
    shell.ok_with("https://example.com", &[&typo[..], &["set", "URL"]].concat());
    let listed = || {
        let environments = shell.json(&["environments"]);
        let names = environments.as_array().unwrap().iter().map(|one| one["environment"].clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(listed(), ["test", "tset"]);
    let asked = shell.run(&["shred", "environment", "tset"]);
    assert!(asked.code == 2 && asked.stderr.contains("definitions (1), values (1)"), "{asked:?}");
    let receipt = shell.json(&["shred", "environment", "tset", "--yes"]);
    assert_eq!((&receipt["environment"], &receipt["effect"]), (&"tset".into(), &"logical".into()));
    assert_eq!(listed(), ["test"]);
    assert!(shell.ok(&["audit"]).contains("shred environment tset"));
    let seen = shell.json(&["resolve", "--account", "user_2", "--reveal"]);
    assert_eq!(seen["URL"]["value"], "https://user.example.com");
    assert_eq!(shell.run(&["shred", "environment", "tset", "--yes"]).code, 3);
    assert_eq!(shell.json(&["verify"])["clean"], true);
}

#[test]
fn an_environment_whose_keyring_is_damaged_is_shredded_and_rotations_go_on() {
    let shell = filled();
    shell.damage(&[0x01]);
    let refused = shell.run(&["list"]);
    assert!(refused.code == 5 && refused.stderr.contains("shred environment NAME"), "{refused:?}");
    shell.ok(&["shred", "environment", "test", "--yes"]);
    assert_eq!(shell.json(&["verify"])["clean"], true);
    shell.ok(&["rotate", "root"]);
}
