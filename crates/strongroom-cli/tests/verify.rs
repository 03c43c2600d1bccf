//! `verify`: a clean store, and one that is not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod shell;

use std::sync::Arc;

use futures_executor::block_on;
use shell::Shell;
use strongroom::store::{KeyRange, ReadBatch, Scan, Store, WriteBatch};
use strongroom_redb::RedbStore;

fn filled() -> Shell {
    let shell = Shell::with_vault();
    shell.define("PORT", "integer");
    shell.ok_with("8080", &["set", "PORT"]);
    shell
}

/// Takes the index row away that leads from the value's id to the value.
fn lose_an_index_row(shell: &Shell) {
    let store = RedbStore::open(shell.store()).unwrap();
    let read = ReadBatch { gets: Vec::new(), scans: vec![Scan::new(KeyRange::all(), 100)] };
    let rows = block_on(store.read(&read)).unwrap().scans.remove(0).rows;
    let tenant_len = 1 + 24 + 1 + "test".len() + 1;
    let key = rows.into_iter().map(|(key, _)| key).find(|key| key.as_bytes().get(tenant_len) == Some(&0x21));
    let mut batch = WriteBatch::default();
    batch.delete(key.unwrap());
    block_on(store.commit(Arc::new(batch))).unwrap();
    block_on(store.close()).unwrap();
}

#[test]
fn a_stray_row_ends_a_checkpoint_until_it_is_swept() {
    let shell = filled();
    shell.ok(&["audit", "--on"]);
    shell.plant(b"\x64junk");
    let ran = shell.run(&["checkpoint", "file"]);
    assert!(ran.code == 5 && ran.stderr.contains("verify --sweep"), "{ran:?}");
    let ran = shell.run(&["verify", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(report["findings"][0]["next"].as_str().unwrap().contains("verify --sweep"), "{report}");

    let asked = shell.run(&["verify", "--sweep"]);
    assert!(asked.code == 2 && asked.stderr.contains("--yes"), "{asked:?}");
    assert_eq!(shell.run(&["verify"]).code, 5, "nothing was deleted");
    let report = shell.json(&["verify", "--sweep", "--yes"]);
    assert_eq!((&report["clean"], &report["swept"]), (&true.into(), &1.into()));
    shell.ok(&["checkpoint", "file"]);
    assert!(shell.ok(&["audit"]).contains("deleted as stray"));
}

#[test]
fn each_finding_says_what_to_do_about_it() {
    let shell = filled();
    shell.take_away(&[0x11]);
    assert!(shell.run(&["verify"]).stderr.contains("strongroom define NAME"));
    assert_eq!(shell.run(&["define", "PORT", "--format", "integer"]).code, 4);
    shell.ok(&["verify"]);
    shell.damage(&[0x20]);
    assert!(shell.run(&["verify"]).stderr.contains("`strongroom undo PORT --replace-damaged`"));
}

/// Takes the step that `verify` says, and a checkpoint is made then.
fn is_mended(shell: &Shell, step: &str, words: &[&str]) {
    let ran = shell.run(&["checkpoint", "file"]);
    assert!(ran.code == 5 && ran.stderr.contains(step), "{step}: {ran:?}");
    let asked = shell.run(words);
    assert!(asked.code == 2 && asked.stderr.contains("--yes"), "{asked:?}");
    shell.ok(&[words, &["--yes"]].concat());
    shell.ok(&["checkpoint", "file"]);
    shell.ok_with("8081", &["set", "PORT"]);
}

#[test]
fn rows_that_nobody_can_read_are_deleted_by_the_command_that_verify_names() {
    let sweep = ["verify", "--sweep", "--unreadable"];
    let version = [&[0x50, 0x10][..], &[9; 12], &[0xff; 8]].concat();
    for end in [b"\x40notes\0key\0".to_vec(), version] {
        let shell = filled();
        shell.plant(&end);
        is_mended(&shell, "verify --sweep --unreadable", &sweep);
    }
    let job = |environment: &[u8]| [environment, b"\0", &[9; 12]].concat();
    for (kind, end) in [(0x04, job(b"test")), (0x04, job(b"elsewhere")), (0x12, Vec::new())] {
        let shell = filled();
        shell.plant_beside(&[0, kind], &end);
        is_mended(&shell, "verify --sweep --unreadable", &sweep);
    }
}

/// What a sweep leaves, and what `verify` says to do about it.
fn told_after_a_sweep(shell: &Shell) -> String {
    let ran = shell.run(&["verify", "--sweep", "--unreadable", "--yes"]);
    assert_eq!(ran.code, 5, "{ran:?}");
    ran.stderr
}

#[test]
fn a_note_that_the_vault_moved_which_nobody_can_read_stays_and_the_vault_goes_on_from_a_backup() {
    let shell = filled();
    shell.plant_at(&[0, 0x10]);
    let told = told_after_a_sweep(&shell);
    assert!(
        told.contains("if the vault was moved") && told.contains("restore --replaces-original"),
        "{told}"
    );
    let refused = shell.pipe("8081", &["set", "PORT"]);
    assert!(refused.code != 0 && refused.stderr.contains("moved"), "{refused:?}");
    shell.ok(&["backup", "vault.backup"]);
    std::fs::rename(shell.store(), shell.path("moved")).unwrap();
    shell.ok(&["restore", "--replaces-original", "vault.backup"]);
    shell.ok_with("8081", &["set", "PORT"]);
    shell.ok(&["checkpoint", "file"]);
}

#[test]
fn a_damaged_note_that_sessions_were_ended_stays_until_they_are_ended_again() {
    let ended = ["account", "end-sessions", "--all", "--new-signing-key", "--yes"];
    let of_one = ["account", "end-sessions", "user_1"];
    for (end, words) in
        [(&b"\x40signing-key\0sessions-ended\0"[..], &ended[..]), (b"\x40account-session\0user_1\0", &of_one)]
    {
        let shell = filled();
        shell.ok(&["account", "create", "user_1"]);
        shell.plant(end);
        let told = told_after_a_sweep(&shell);
        assert!(told.contains("`strongroom account end-sessions"), "{told}");
        shell.ok(words);
        shell.ok(&["verify"]);
    }
}

#[test]
fn a_damaged_note_of_an_api_key_names_the_key_and_what_writes_it_again() {
    let shell = filled();
    let id = shell.json(&["api-key", "create", "k"])["id"].as_str().unwrap().to_owned();
    shell.plant(format!("\x40api-key-use\0{id}\0").as_bytes());
    let ran = shell.run(&["--json", "verify"]);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let finding = &report["findings"][0];
    assert_eq!((&finding["name"], &finding["key"]), (&"api-key-use".into(), &id.as_str().into()), "{report}");
    assert!(shell.run(&["verify"]).stdout.contains(&id));
    shell.ok(&["verify", "--sweep", "--unreadable", "--yes"]);

    shell.plant(format!("\x40api-key-line\0{id}\0").as_bytes());
    let told = told_after_a_sweep(&shell);
    assert!(told.contains(&format!("`strongroom api-key revoke {id} --with-children`")), "{told}");
    for _ in ["the key", "what is left"] {
        shell.ok(&["api-key", "revoke", &id, "--with-children"]);
        shell.ok(&["verify"]);
        shell.plant(format!("\x40api-key-line\0{id}\0").as_bytes());
    }
}

#[test]
fn what_is_left_of_what_is_gone_is_deleted_by_the_command_that_verify_names() {
    let id = "09".repeat(12);
    let shell = filled();
    shell.plant(&[&[0x20, 0][..], &[9; 12]].concat());
    let purge = ["delete", &id, "--definition", "--purge"];
    is_mended(&shell, &purge.join(" "), &purge);
    let shell = filled();
    shell.plant(b"\x32user\0default-app\0key\0");
    let purge = ["account", "delete", "user", "--purge"];
    is_mended(&shell, &purge.join(" "), &purge);
}

#[test]
fn lost_index_rows_are_written_again_without_asking() {
    for kind in [0x11, 0x12, 0x21] {
        let shell = filled();
        shell.take_away(&[kind]);
        let ran = shell.run(&["checkpoint", "file"]);
        assert!(ran.code == 5 && ran.stderr.contains("verify --sweep"), "{ran:?}");
        let report = shell.json(&["verify", "--sweep"]);
        assert_eq!((&report["clean"], &report["mended"]), (&true.into(), &1.into()), "{report}");
        assert!(shell.ok(&["get", "PORT", "--reveal"]).contains("8080"));
        shell.ok(&["checkpoint", "file"]);
    }
}

#[test]
fn a_damaged_note_of_a_backup_under_another_key_is_written_again() {
    let shell = filled();
    shell.plant_beside(&[0, 0x13], &[9; 16]);
    assert!(shell.run(&["verify"]).stderr.contains("`strongroom verify --sweep`"));
    let report = shell.json(&["verify", "--sweep"]);
    assert_eq!((&report["clean"], &report["mended"]), (&true.into(), &1.into()), "{report}");
    assert_eq!(shell.keys_with(&[9; 16]).len(), 1);
}

#[test]
fn a_damaged_count_is_counted_again_by_the_command_that_verify_names() {
    let shell = filled();
    shell.damage(&[0x03]);
    let ran = shell.run(&["checkpoint", "file"]);
    assert!(ran.code == 5 && ran.stderr.contains("counts the definitions again"), "{ran:?}");
    assert!(ran.stderr.contains("`strongroom define` of a new variable"), "{ran:?}");
    assert_eq!(shell.run(&["define", "PORT", "--format", "integer"]).code, 4);
    assert_eq!(shell.run(&["checkpoint", "file"]).code, 5, "it was not a new one");
    shell.define("HOST", "string");
    shell.ok(&["checkpoint", "file"]);
}

#[test]
fn a_name_whose_row_is_lost_is_not_said_to_be_another() {
    let shell = filled();
    shell.take_away(&[0x11]);
    let ran = shell.run(&["get", "PORT"]);
    assert!(ran.code == 5 && !ran.stderr.contains("did you mean"), "{ran:?}");
    assert!(ran.stderr.contains("verify --sweep"), "{ran:?}");
}

#[test]
fn a_clean_store_is_said_to_be_one() {
    let shell = filled();
    assert!(shell.ok(&["verify"]).contains(": 0 findings"));
    let report = shell.json(&["verify", "--org-only"]);
    assert_eq!((&report["clean"], &report["findings"]), (&true.into(), &serde_json::json!([])));
    // Definition, count and value.
    assert_eq!((&report["keys"][0]["state"], &report["keys"][0]["rows"]), (&"active".into(), &3.into()));
}

#[test]
fn findings_are_shown_with_their_place_and_exit_with_5() {
    let shell = filled();
    lose_an_index_row(&shell);
    let ran = shell.run(&["verify"]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(ran.stdout.contains("the scoped value of definition PORT ("), "{}", ran.stdout);
    let ran = shell.run(&["verify", "--json"]);
    assert_eq!(ran.code, 5);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let finding = &report["findings"][0];
    assert_eq!((&finding["row"], &finding["cause"]), (&"value".into(), &"not_indexed".into()));
    assert_eq!(finding["name"], "PORT");
    assert_eq!((&report["clean"], &report["findings_total"]), (&false.into(), &1.into()));
    assert_eq!(ran.error()["error"], "key");
    assert!(!ran.stdout.contains("8080") && !ran.stderr.contains("8080"));
}

#[test]
fn what_went_back_since_a_checkpoint_is_damage_and_what_is_gone_is_shown() {
    let shell = Shell::with_vault();
    shell.define("PORT", "integer");
    shell.ok_with("80", &["set", "PORT"]);
    std::fs::copy(shell.store(), shell.path("older")).unwrap();
    shell.ok_with("81", &["set", "PORT"]);
    shell.ok(&["checkpoint", "file"]);
    assert_eq!(shell.run(&["checkpoint", "file"]).code, 2, "it exists");
    let compare = ["verify", "--checkpoint", "file"];
    shell.ok(&compare);

    shell.ok(&["delete", "PORT", "--yes"]);
    let ran = shell.run(&compare);
    assert!(ran.code == 0 && ran.stdout.contains("is gone") && ran.stderr.contains("gone"), "{ran:?}");
    let report = shell.json(&compare);
    assert_eq!((&report["clean"], &report["questions"][0]["cause"]), (&true.into(), &"gone".into()));

    std::fs::copy(shell.path("older"), shell.store()).unwrap();
    let ran = shell.run(&["verify", "--checkpoint", "file", "--accept-rollback"]);
    assert!(ran.code == 5 && ran.stdout.contains("went back"), "{ran:?}");
    shell.ok(&["verify"]);

    shell.ok(&["rotate", "root"]);
    let ran = shell.run(&compare);
    assert!(ran.code == 5 && ran.stderr.contains("make a new one"), "{ran:?}");
    let other = shell.run(&["verify", "--checkpoint", "older"]);
    assert!(other.code == 5 && other.stderr.contains("not a checkpoint"), "{other:?}");
}

#[test]
fn the_keys_of_accounts_are_counted_in_the_text_too() {
    let shell = filled();
    shell.ok(&["account", "create", "a", "--default-app"]);
    shell.ok_with("k", &["credential", "set", "api_key", "--account", "a"]);
    let ran = shell.run(&["verify"]);
    assert!(ran.code == 0 && ran.stderr.contains("1 data key of accounts: 1 row"), "{ran:?}");
    let json = shell.json(&["verify"]);
    let keys = json["keys"].as_array().unwrap();
    assert_eq!(keys.iter().filter(|key| key["linked_account_id"] == "a").count(), 1);
}
