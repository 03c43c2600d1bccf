//! What cannot be repaired is replaced or deleted by a command that `verify` names, and then a rotation goes on.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod shell;

use std::sync::Arc;

use futures_executor::block_on;
use serde_json::{Value, json};
use shell::Shell;
use shell::server::Server;
use strongroom::store::{Op, Store as _, WriteBatch};
use strongroom::{Environment, IntegrationId, Org, RawKey, Unlock, Vault};
use strongroom_redb::RedbStore;

/// A vault with an account that has a value and a credential.
fn filled() -> Shell {
    let shell = Shell::with_vault();
    shell.define("URL", "url");
    shell.ok_with("https://example.com", &["set", "URL"]);
    shell.ok(&["account", "create", "user_1", "--default-app"]);
    shell.ok_with("https://user.example.com", &["set", "URL", "--account", "user_1"]);
    shell.ok_with("hunter2", &["credential", "set", "password", "--account", "user_1"]);
    shell
}

/// What `verify` says to do about its one finding.
fn step_of_verify(shell: &Shell) -> String {
    let ran = shell.run(&["--json", "verify"]);
    assert_eq!(ran.code, 5);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["findings"].as_array().unwrap().len(), 1, "{report}");
    report["findings"][0]["next"].as_str().unwrap().to_owned()
}

/// A rotation that a damaged row stops; answers its id.
fn blocked(shell: &Shell, rotate: &[&str]) -> String {
    let ran = shell.run(&[&["--json"], rotate].concat());
    assert_eq!(ran.code, 5, "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let job = if report["job"].is_null() { &report } else { &report["job"] };
    assert_eq!(job["outcome"], "blocked", "{report}");
    job["id"].as_str().unwrap().to_owned()
}

fn goes_on(shell: &Shell, job: &str) {
    shell.ok(&["job", "retry", job]);
    assert_eq!(shell.json(&["job", "run", job])["outcome"], "finished");
    assert_eq!(shell.json(&["verify"])["clean"], true);
}

#[test]
fn an_account_whose_keyring_is_damaged_is_deleted_and_rotations_go_on() {
    for rotate in [&["rotate", "data"][..], &["rotate", "root"]] {
        let shell = filled();
        shell.damage(b"\x01user_1\0");
        let step = step_of_verify(&shell);
        assert!(step.contains("are lost") && step.contains("`strongroom account delete ID`"), "{step}");
        let job = blocked(&shell, rotate);
        shell.ok(&["account", "delete", "user_1", "--yes"]);
        goes_on(&shell, &job);
    }
}

#[test]
fn an_account_whose_keyring_is_damaged_is_deleted_behind_a_server_and_at_its_store() {
    for is_remote in [false, true] {
        let shell = filled();
        shell.damage(b"\x01user_1\0");
        let server = Server::start(&shell, &[]);
        let job = blocked(&shell, &["rotate", "data"]);
        let key = shell.json(&["api-key", "create", "k", "--right", "admin"])["api_key"].clone();
        shell.write("k", key.as_str().unwrap());
        let remote = ["--url", server.text("url"), "--api-key-file", "k"];
        let at = if is_remote { &remote[..] } else { &[] };
        let run = |words: &[&str]| shell.run(&[at, words].concat());
        let deleted = run(&["account", "delete", "user_1", "--yes"]);
        assert_eq!(deleted.code, 0, "{deleted:?}");
        goes_on(&shell, &job);
    }
}

#[test]
fn an_account_whose_keyring_is_damaged_is_shredded() {
    let shell = filled();
    shell.damage(b"\x01user_1\0");
    assert_eq!(shell.json(&["shred", "account", "user_1", "--yes"])["keys"], json!([]));
    assert_eq!(shell.json(&["verify"])["clean"], true);
}

/// Begins to remove the default app of `user_1`, as if the store had lost the job of it.
fn begin_to_remove_an_app(shell: &Shell) {
    let store = Arc::new(RedbStore::open(shell.store()).unwrap());
    let unlock = Unlock::raw_key(RawKey::from_file(shell.key()).unwrap());
    block_on(async {
        let vault = Vault::open(Arc::clone(&store), unlock).await.unwrap();
        let org = vault.org("000000000000000000000001".parse().unwrap(), Environment::test());
        let remove = async |org: Org| {
            org.account("user_1".parse()?).delete_integration(&IntegrationId::default_app()).await
        };
        let (plan, ()) = org.plan(remove).await.unwrap();
        store.commit(Arc::clone(plan.batch())).await.unwrap();
        let mut lost = WriteBatch::default();
        for op in &plan.batch().ops {
            if let Op::Put(key, _) = op
                && key.as_bytes().starts_with(&[0, 4])
            {
                lost.delete(key.clone());
            }
        }
        store.commit(Arc::new(lost)).await.unwrap();
        vault.close().await.unwrap();
    });
}

#[test]
fn what_is_left_of_an_app_is_removed_behind_a_server_and_at_its_store() {
    let lost: [fn(&Shell); 2] = [begin_to_remove_an_app, |shell| shell.take_away(&[0x31])];
    for (lose, is_remote) in lost.into_iter().flat_map(|lose| [(lose, false), (lose, true)]) {
        let shell = filled();
        lose(&shell);
        let step = step_of_verify(&shell);
        assert!(step.contains("`strongroom account remove-app ID --purge`"), "{step}");
        let server = is_remote.then(|| Server::start(&shell, &[]));
        if let Some(server) = &server {
            let key = shell.json(&["api-key", "create", "k", "--right", "read", "--right", "write"]);
            shell.write("k", key["api_key"].as_str().unwrap());
            assert!(server.text("url").starts_with("http"));
        }
        let url = server.as_ref().map(|server| server.text("url").to_owned()).unwrap_or_default();
        let remote = ["--url", &url, "--api-key-file", "k"];
        let at = if is_remote { &remote[..] } else { &[] };
        let remove = [at, &["account", "remove-app", "user_1"]].concat();
        let refused = shell.run(&[&remove[..], &["--yes"]].concat());
        assert!(refused.code == 3 && refused.stderr.contains("--purge"), "{refused:?}");
        let purge = [&remove[..], &["--purge"]].concat();
        let asked = shell.run(&purge);
        assert!(asked.code == 2 && asked.stderr.contains("--yes"), "{asked:?}");
        shell.ok(&[&purge[..], &["--yes"]].concat());
        drop(server);
        assert_eq!(shell.json(&["verify"])["clean"], true);
        assert_eq!(
            shell.run(&[&["account", "remove-app", "user_1", "--purge", "--yes"][..]].concat()).code,
            3
        );
        shell.ok(&["account", "add-app", "user_1"]);
    }
}

#[test]
fn commands_on_a_damaged_account_name_the_one_that_deletes_it() {
    let of_row = [["account", "sessions", "user_1"], ["account", "apps", "user_1"]].map(Vec::from);
    let of_keyring =
        [vec!["get", "URL", "--account", "user_1"], vec!["resolve", "URL", "--account", "user_1"]];
    for (kind, commands) in [(&b"\x30user_1\0"[..], of_row), (b"\x01user_1\0", of_keyring)] {
        let shell = filled();
        shell.damage(kind);
        let server = Server::start(&shell, &[]);
        let key = shell.json(&["api-key", "create", "k", "--right", "read", "--right", "admin"]);
        shell.write("k", key["api_key"].as_str().unwrap());
        let remote = vec!["--url", server.text("url"), "--api-key-file", "k"];
        for words in commands {
            for ran in [shell.run(&words), shell.run(&[remote.clone(), words.clone()].concat())] {
                let step = ran.code == 5 && ran.stderr.contains("`strongroom account delete ID");
                assert!(step && !ran.stderr.contains("undo"), "{words:?}: {ran:?}");
            }
        }
    }
}

#[test]
fn a_damaged_version_of_a_value_or_credential_is_purged_and_rotations_go_on() {
    let credential = ["credential", "delete", "password", "--account", "user_1", "--purge", "--yes"];
    for (kind, delete) in
        [(&[0x50, 0x20, 0x00][..], &["delete", "URL", "--purge", "--yes"][..]), (&[0x50, 0x32], &credential)]
    {
        let shell = filled();
        shell.ok_with("https://example.com/2", &["set", "URL"]);
        shell.ok_with("hunter3", &["credential", "set", "password", "--account", "user_1"]);
        shell.damage(kind);
        let step = step_of_verify(&shell);
        assert!(step.contains("`delete --purge`"), "{step}");
        let job = blocked(&shell, &["rotate", "data"]);
        shell.ok(delete);
        goes_on(&shell, &job);
    }
}

/// A vault with a token of an account, whose signing key is damaged.
fn with_damaged_signing_key() -> Shell {
    let shell = filled();
    shell.ok(&["audit", "--on"]);
    let server = Server::start(&shell, &[]);
    let key = shell.json(&["api-key", "create", "documented"])["api_key"].as_str().unwrap().to_owned();
    let account = r#"{"linked_account_id":"user_1"}"#;
    let (status, _) = server.send("POST", "/api/v2/public/session-token", &[("x-api-key", &key)], account);
    assert_eq!(status, 200);
    assert_eq!(server.stop(), 0);
    shell.damage(b"\x40signing-key\0hs256\0");
    shell
}

const REPLACE: [&str; 4] = ["account", "end-sessions", "--all", "--new-signing-key"];

#[test]
fn a_damaged_signing_key_is_replaced_by_a_command_that_asks_and_is_audited() {
    let shell = with_damaged_signing_key();
    let step = step_of_verify(&shell);
    assert!(step.contains("account end-sessions --all --new-signing-key"), "{step}");
    let job = blocked(&shell, &["rotate", "data"]);
    let asked = shell.run(&REPLACE);
    assert!(asked.code == 2 && asked.stderr.contains("--yes"), "{asked:?}");
    let done = shell.json(&[&REPLACE[..], &["--yes"]].concat());
    assert_eq!((&done["ended"], &done["new_signing_key"]), (&json!(1), &json!(true)));
    assert_eq!(shell.json(&["account", "sessions", "user_1"]), json!([]));
    let audit = shell.ok(&["audit"]);
    assert!(audit.contains("signing-key"), "{audit}");
    goes_on(&shell, &job);
}

#[test]
fn a_signing_key_is_replaced_behind_a_server_and_at_its_store() {
    for is_remote in [false, true] {
        let shell = with_damaged_signing_key();
        let server = Server::start(&shell, &[]);
        let key = shell.json(&["api-key", "create", "k", "--right", "admin", "--right", "documented"]);
        let key = key["api_key"].as_str().unwrap();
        shell.write("k", key);
        let account = r#"{"linked_account_id":"user_1"}"#;
        let issue = || server.send("POST", "/api/v2/public/session-token", &[("x-api-key", key)], account).0;
        assert_eq!(issue(), 500);
        let remote = ["--url", server.text("url"), "--api-key-file", "k"];
        let at = if is_remote { &remote[..] } else { &[] };
        let asked = shell.run(&[at, &REPLACE].concat());
        assert!(asked.code == 2 && asked.stderr.contains("--yes"), "{asked:?}");
        let done = shell.run(&[at, &REPLACE, &["--yes"]].concat());
        assert_eq!(done.code, 0, "{done:?}");
        assert_eq!(issue(), 200);
    }
}

#[test]
fn an_explanation_says_that_an_inherited_value_cannot_be_read_and_what_to_do() {
    let shell = Shell::with_vault();
    shell.define("URL", "url");
    shell.ok(&["account", "create", "user_1"]);
    shell.ok_with("https://example.com", &["set", "URL"]);
    shell.damage(&[0x20]);
    let server = Server::start(&shell, &[]);
    let key = shell.json(&["api-key", "create", "k", "--right", "read"])["api_key"].clone();
    shell.write("k", key.as_str().unwrap());
    let remote = ["--url", server.text("url"), "--api-key-file", "k"];
    for at in [&[][..], &remote] {
        let ran = shell.run(&[at, &["explain", "URL", "--account", "user_1"]].concat());
        assert_eq!(ran.code, 5, "{ran:?}");
        let org = ran.stdout.lines().find(|line| line.starts_with("org")).unwrap();
        assert!(org.ends_with("unreadable"), "{ran:?}");
        assert!(ran.stderr.contains("`strongroom undo URL --replace-damaged`"), "{ran:?}");
    }
}

#[test]
fn a_damaged_list_of_the_sessions_of_an_account_that_is_gone_is_cleared_and_that_is_said() {
    for is_remote in [false, true] {
        let shell = filled();
        shell.plant(b"\x40account-session\0gone\0");
        let server = is_remote.then(|| Server::start(&shell, &[]));
        if server.is_some() {
            let key = shell.json(&["api-key", "create", "k", "--right", "admin"]);
            shell.write("k", key["api_key"].as_str().unwrap());
        }
        let url = server.as_ref().map(|server| server.text("url").to_owned()).unwrap_or_default();
        let remote = ["--json", "--url", &url, "--api-key-file", "k"];
        let at = if is_remote { &remote[..] } else { &remote[..1] };
        let end = [at, &["account", "end-sessions", "gone"]].concat();
        let done: Value = serde_json::from_str(&shell.ok(&end)).unwrap();
        assert_eq!((&done["ended"], &done["list_cleared"]), (&0.into(), &true.into()), "{done}");
        assert_eq!(shell.run(&end).code, 3, "now there is nothing to end");
        drop(server);
        shell.ok(&["verify"]);
    }
}
