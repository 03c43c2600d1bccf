//! `rotate` and `job`: new keys, and everything reads as before.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod shell;

use futures_executor::block_on;
use serde_json::Value;
use shell::Shell;
#[cfg(unix)]
use shell::server::Server;
use strongroom::store::{KeyRange, ReadBatch, Scan, Store as _};
use strongroom::{DataKeys, KeyJob, Unlock, Vault};
use strongroom_redb::RedbStore;

const OTHER_ORG: &str = "000000000000000000000002";

/// A vault with a value of the org, one of an account and a credential.
fn filled() -> Shell {
    let shell = Shell::with_vault();
    shell.ok(&["define", "URL", "--format", "url", "--encrypted"]);
    shell.ok_with("https://example.com", &["set", "URL"]);
    shell.ok(&["account", "create", "user_1", "--default-app"]);
    shell.ok_with("https://user.example.com", &["set", "URL", "--account", "user_1"]);
    shell.ok_with("hunter2", &["credential", "set", "password", "--account", "user_1"]);
    shell
}

/// Everything is there, and the store is whole.
fn assert_reads(shell: &Shell, options: &[&str]) {
    let run = |arguments: &[&str]| shell.json(&[options, arguments].concat());
    assert_eq!(run(&["resolve", "--reveal"])["URL"]["value"], "https://example.com");
    let seen = run(&["resolve", "--account", "user_1", "--reveal"]);
    assert_eq!(seen["URL"]["value"], "https://user.example.com");
    assert_eq!(run(&["credential", "list", "--account", "user_1"]).as_array().unwrap().len(), 1);
    assert_eq!(run(&["verify"])["clean"], true);
}

/// The data keys that seal something or may, each with its org and account.
fn data_keys(shell: &Shell) -> Vec<(String, String, bool)> {
    let report = shell.json(&["verify"]);
    let live = report["keys"].as_array().unwrap().iter().filter(|key| key["state"] == "active");
    let text = |key: &Value, field: &str| key[field].as_str().unwrap_or_default().to_owned();
    live.map(|key| (text(key, "dek_id"), text(key, "org_id"), !key["linked_account_id"].is_null())).collect()
}

fn slot_of_kind(shell: &Shell, kind: &str) -> String {
    let slots = shell.json(&["slot", "list"]);
    let slot = slots.as_array().unwrap().iter().find(|slot| slot["kind"] == kind).unwrap();
    slot["id"].as_str().unwrap().to_owned()
}

/// With a second slot, which the passphrase in `p` opens; answers its id.
fn with_passphrase(shell: &Shell) -> String {
    shell.write("p", "six words from a generator\n");
    let added = shell.json(&["slot", "add", "--new-passphrase-file", "p"]);
    added["id"].as_str().unwrap().to_owned()
}

/// Every row with its revision.
fn rows(shell: &Shell) -> Vec<String> {
    let store = RedbStore::open(shell.store()).unwrap();
    let read = ReadBatch { gets: Vec::new(), scans: vec![Scan::new(KeyRange::all(), 1_000)] };
    let rows = block_on(store.read(&read)).unwrap().scans.remove(0).rows;
    block_on(store.close()).unwrap();
    rows.iter().map(|row| format!("{row:?}")).collect()
}

fn vault(shell: &Shell) -> Vault {
    let key = std::fs::read_to_string(shell.key()).unwrap();
    let store = RedbStore::open(shell.store()).unwrap();
    block_on(Vault::open(store, Unlock::raw_key(key.trim_end().parse().unwrap()))).unwrap()
}

/// A rotation of data keys that was begun and came no further.
fn begun(shell: &Shell) -> String {
    let vault = vault(shell);
    let job: KeyJob = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    let id = job.id().to_string();
    block_on(vault.close()).unwrap();
    id
}

#[test]
fn rotate_data_gives_the_org_and_its_accounts_new_keys_and_no_other_org() {
    let shell = filled();
    shell.ok(&["--org", OTHER_ORG, "define", "A", "--format", "string"]);
    let before = data_keys(&shell);
    assert_eq!(before.len(), 3);
    let done = shell.json(&["rotate", "data"]);
    assert_eq!((&done["outcome"], &done["progress"]["keys_destroyed"]), (&"finished".into(), &2.into()));
    assert_eq!(done["progress"]["failed"], 0);
    let after = data_keys(&shell);
    for key in &before {
        assert_eq!(after.contains(key), key.1 == OTHER_ORG, "{key:?}");
    }
    assert_reads(&shell, &[]);
    assert!(shell.ok(&["rotate", "data", "--all"]).contains("3 new data keys"));
    assert_reads(&shell, &[]);
}

#[test]
fn rotate_data_of_an_account_leaves_the_orgs_key() {
    let shell = filled();
    let before = data_keys(&shell);
    shell.ok(&["rotate", "data", "--account", "user_1"]);
    let after = data_keys(&shell);
    for key in &before {
        assert_eq!(after.contains(key), !key.2, "{key:?}");
    }
    assert_reads(&shell, &[]);
    assert_eq!(shell.run(&["rotate", "data", "--account", "nobody"]).code, 3);
    assert_eq!(shell.run(&["rotate", "data", "--account", "user_1", "--all"]).code, 2);
}

#[test]
fn rotate_data_leaves_keys_that_are_not_due() {
    let shell = filled();
    let before = data_keys(&shell);
    let done = shell.ok(&["rotate", "data", "--older-than", "90d"]);
    assert!(done.contains("no data key was due"), "{done}");
    shell.ok(&["rotate", "data", "--rows-at-least", "1000"]);
    assert_eq!(data_keys(&shell), before);
}

#[test]
fn rotate_root_keeps_the_only_slot_with_the_key_that_opened_the_vault() {
    let shell = filled();
    let before = data_keys(&shell);
    let first = shell.json(&["rotate", "root"]);
    assert_eq!((first["kept"].as_array().unwrap().len(), &first["dropped"]), (1, &Value::Array(Vec::new())));
    assert_eq!(first["job"]["outcome"], "finished");
    assert_reads(&shell, &[]);
    let key = shell.key().display().to_string();
    let key = ["--root-key-file", &key];
    let second = shell.json(&[&key[..], &["rotate", "root"]].concat());
    assert_ne!(first["root_id"], second["root_id"]);
    assert_eq!(data_keys(&shell), before, "data is not touched");
    assert!(shell.ok(&["rotate", "root"]).contains("1 key slots kept, 0 dropped"));
    assert_eq!(shell.json(&["job", "list"]), Value::Array(Vec::new()));
}

#[test]
fn rotate_root_of_a_passphrase_keeps_it() {
    let shell = Shell::new();
    shell.write("p", "six words from a generator");
    shell.ok(&["--passphrase-file", "p", "init"]);
    shell.ok(&["--passphrase-file", "p", "rotate", "root"]);
    shell.ok(&["--passphrase-file", "p", "verify"]);
}

#[test]
fn a_slot_that_is_neither_presented_nor_dropped_stops_a_new_root_key() {
    let shell = filled();
    let second = with_passphrase(&shell);
    let before = rows(&shell);
    let ran = shell.run(&["rotate", "root"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains(&second) && ran.stderr.contains("--slot-passphrase-file"), "{}", ran.stderr);
    assert_eq!(rows(&shell), before);
}

#[test]
fn presented_slots_open_the_vault_with_its_new_root_key() {
    let shell = filled();
    let second = with_passphrase(&shell);
    shell.ok(&["rotate", "root", "--slot-passphrase-file", &format!("{second}=p")]);
    assert_reads(&shell, &[]);
    assert_reads(&shell, &["--passphrase-file", "p"]);
    let first = slot_of_kind(&shell, "raw_key");
    let presented = format!("{first}={}", shell.key().display());
    shell.ok(&["--passphrase-file", "p", "rotate", "root", "--slot-key-file", &presented]);
    assert_reads(&shell, &[]);
}

#[test]
fn the_key_that_opened_the_vault_may_be_presented_by_name_as_well() {
    let shell = filled();
    let first = slot_of_kind(&shell, "raw_key");
    shell.ok(&["rotate", "root", "--slot-key-file", &format!("{first}={}", shell.key().display())]);
    assert_reads(&shell, &[]);
}

#[test]
fn a_key_is_refused_for_another_slot_than_the_one_it_opens() {
    let shell = Shell::with_vault();
    let (first, second) = (slot_of_kind(&shell, "raw_key"), with_passphrase(&shell));
    let before = rows(&shell);
    let crossed = format!("{first}=p");
    let ran = shell.run(&["rotate", "root", "--slot-passphrase-file", &crossed, "--drop", &second]);
    assert!(
        ran.code == 5 && ran.stderr.contains(&first) && ran.stderr.contains("does not open"),
        "{}",
        ran.stderr
    );
    assert_eq!(rows(&shell), before);
}

#[test]
fn a_dropped_slot_opens_the_vault_no_more() {
    let shell = filled();
    let second = with_passphrase(&shell);
    let done = shell.json(&["rotate", "root", "--drop", &second]);
    assert_eq!(done["dropped"][0], second.as_str());
    assert_eq!(shell.run(&["--passphrase-file", "p", "list"]).code, 5);
    assert_reads(&shell, &[]);
}

#[test]
fn the_slot_of_the_key_that_opened_the_vault_can_be_dropped_where_another_is_kept() {
    let shell = filled();
    let (first, second) = (slot_of_kind(&shell, "raw_key"), with_passphrase(&shell));
    let before = rows(&shell);
    assert_ne!(shell.run(&["rotate", "root", "--drop", &first, "--drop", &second]).code, 0);
    assert_eq!(shell.run(&["rotate", "root", "--drop", &first]).code, 2);
    assert_eq!(rows(&shell), before);
    let presented = format!("{second}=p");
    shell.ok(&["rotate", "root", "--drop", &first, "--slot-passphrase-file", &presented]);
    assert_eq!(shell.run(&["list"]).code, 5);
    assert_reads(&shell, &["--passphrase-file", "p"]);
}

#[test]
fn a_wrong_key_is_5_and_writes_nothing() {
    let shell = filled();
    let second = with_passphrase(&shell);
    shell.write("other", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
    let before = rows(&shell);
    let wrong = format!("{second}=other");
    let attempts: [&[&str]; 6] = [
        &["--root-key-file", "other", "rotate", "root"],
        &["--root-key-file", "other", "rotate", "data"],
        &["--root-key-file", "other", "shred", "account", "user_1", "--yes"],
        &["rotate", "root", "--slot-passphrase-file", &wrong],
        &["rotate", "root", "--slot-key-file", &wrong],
        &["rotate", "root", "--slot-key-file", &wrong, "--drop", &slot_of_kind(&shell, "raw_key")],
    ];
    for attempt in attempts {
        let ran = shell.run(attempt);
        assert_eq!(ran.code, 5, "{attempt:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("0011"));
    }
    assert_eq!(rows(&shell), before);
    assert_reads(&shell, &[]);
}

#[test]
fn a_slot_that_is_not_there_is_3_and_one_that_is_named_twice_is_2() {
    let shell = filled();
    let (slot, nowhere) = (slot_of_kind(&shell, "raw_key"), "00".repeat(16));
    let before = rows(&shell);
    assert_eq!(shell.run(&["rotate", "root", "--drop", &nowhere]).code, 3);
    let presented = format!("{nowhere}={}", shell.key().display());
    assert_eq!(shell.run(&["rotate", "root", "--slot-key-file", &presented]).code, 3);
    let presented = format!("{slot}={}", shell.key().display());
    assert_eq!(shell.run(&["rotate", "root", "--slot-key-file", &presented, "--drop", &slot]).code, 2);
    assert_eq!(shell.run(&["rotate", "root", "--slot-key-file", "no-id.key"]).code, 2);
    assert_eq!(rows(&shell), before);
}

#[test]
fn a_job_that_was_cut_short_is_listed_paused_resumed_and_run() {
    let shell = filled();
    let before = data_keys(&shell);
    let id = begun(&shell);
    let listed = shell.json(&["job", "list"]);
    assert_eq!((&listed[0]["id"], &listed[0]["kind"]), (&id.as_str().into(), &"data_keys".into()));
    shell.ok(&["job", "pause", &id]);
    assert!(shell.ok(&["job", "list"]).contains("paused"));
    assert_eq!(shell.run(&["job", "run", &id]).code, 6);
    assert_eq!(shell.json(&["job", "run"])["left"], 1);
    shell.ok(&["job", "resume", &id]);
    assert_eq!(shell.json(&["job", "run"])["finished"], 1);
    assert!(before.iter().all(|key| !data_keys(&shell).contains(key)));
    assert_reads(&shell, &[]);
    for verb in ["run", "pause", "resume", "retry", "abandon"] {
        assert_eq!(shell.run(&["job", verb, &id]).code, 3, "{verb}");
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn a_job_that_another_process_runs_is_followed_to_its_end() {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::process::Stdio;

    let shell = Shell::new().variable("STRONGROOM_STORE", "sqlite:v");
    shell.ok(&["init"]);
    shell.define("URL", "url");
    shell.ok_with("https://example.com", &["set", "URL"]);
    let key = std::fs::read_to_string(shell.key_of("v")).unwrap();
    let store = strongroom_sqlite::SqliteStore::open(shell.path("v")).unwrap();
    let vault = block_on(Vault::open(store, Unlock::raw_key(key.trim_end().parse().unwrap()))).unwrap();
    let job = block_on(vault.rotate_data_keys(&DataKeys::all())).unwrap();
    block_on(job.step()).unwrap();

    let mut command = shell.command(&["job", "run", &job.id().to_string()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut note = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut note).unwrap();
    assert!(note.contains("another process is running job"), "{note}");
    block_on(job.run()).unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success() && said.contains("another process finished"), "{said}");
}

#[test]
fn a_row_that_cannot_be_opened_keeps_its_old_key_until_it_is_given_up() {
    let shell = filled();
    shell.damage(&[CREDENTIAL]);
    let ran = shell.run(&["--json", "rotate", "data"]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&report["outcome"], &report["progress"]["failed"]), (&"blocked".into(), &1.into()));
    assert!(!report["progress"]["unreadable"][0]["row"].as_str().unwrap().is_empty());
    let id = report["id"].as_str().unwrap();
    assert!(ran.error()["next"].as_str().unwrap().contains(id));
    assert!(shell.ok(&["job", "list"]).contains("blocked"));
    let ran = shell.run(&["job", "run"]);
    assert!(ran.stderr.contains("held by another process") && ran.stderr.contains("again"), "{ran:?}");

    shell.ok(&["job", "retry", id]);
    assert_eq!(shell.run(&["job", "run", id]).code, 5);
    shell.ok(&["job", "retry", id, "--destroy-keys"]);
    assert_eq!(shell.json(&["job", "run", id])["outcome"], "finished");
    shell.ok(&["credential", "delete", "password", "--account", "user_1", "--yes"]);
    shell.ok_with("hunter2", &["credential", "set", "password", "--account", "user_1"]);
    assert_reads(&shell, &[]);
}

#[test]
fn a_second_new_root_key_waits_for_the_first_ones_job() {
    let shell = filled();
    let vault = vault(&shell);
    let key = std::fs::read_to_string(shell.key()).unwrap();
    let key = Unlock::raw_key(key.trim_end().parse().unwrap());
    let new = block_on(vault.rotate_root(strongroom::RootRotation::new().keep(key))).unwrap();
    let id = new.job.id().to_string();
    block_on(vault.close()).unwrap();
    drop((new, vault));
    let ran = shell.run(&["rotate", "root"]);
    assert_eq!(ran.code, 6);
    assert!(ran.stderr.contains("strongroom job run"), "{}", ran.stderr);
    assert_eq!(shell.json(&["job", "run", &id])["outcome"], "finished");
    shell.ok(&["rotate", "root"]);
    assert_reads(&shell, &[]);
}

#[cfg(unix)]
#[test]
fn a_server_whose_key_slot_was_dropped_says_so_until_its_key_file_is_replaced() {
    let shell = Shell::new();
    let log = std::fs::File::create(shell.path("log")).unwrap();
    let server = Server::start_with_log(&shell, &[], log.into());
    let own = shell.json(&["slot", "list"])[0]["id"].as_str().unwrap().to_owned();
    shell.ok(&["slot", "add", "--new-root-key-file", "new.key"]);
    let ran = shell.run(&["rotate", "root", "--root-key-file", "new.key", "--drop", &own]);
    assert!(ran.code == 0 && ran.stderr.contains("until its key file is replaced"), "{}", ran.stderr);
    let ready = || server.send("GET", "/readyz", &[], "");
    let (status, body) = ready();
    assert!(status == 503 && body["message"].as_str().unwrap().contains("root key"), "{body}");
    let said = || std::fs::read_to_string(shell.path("log")).unwrap();
    let lines = |part: &str| said().lines().filter(|line| line.contains(part)).count();
    let pause = || std::thread::sleep(std::time::Duration::from_millis(50));
    // By then the server has tried its own key.
    while lines("replace the key") == 0 {
        pause();
    }
    std::fs::copy(shell.path("new.key"), shell.key()).unwrap();
    while ready().0 == 503 {
        pause();
    }
    assert_eq!(server.stop(), 0);
    assert_eq!((lines("replace the key"), lines("was opened with the new one")), (1, 1), "{}", said());
}

#[cfg(unix)]
#[test]
fn a_server_with_a_new_root_takes_the_api_keys_that_it_knew_with_the_old_one() {
    let shell = Shell::new();
    let server = Server::start(&shell, &[]);
    let key = [("x-api-key", server.api_key())];
    let known = || server.send("GET", "/api/v2/public/env/definitions", &key, "").0;
    assert_eq!(known(), 200);
    let own = shell.json(&["slot", "list"])[0]["id"].as_str().unwrap().to_owned();
    shell.ok(&["slot", "add", "--new-root-key-file", "new.key"]);
    shell.ok(&["rotate", "root", "--root-key-file", "new.key", "--drop", &own]);
    std::fs::copy(shell.path("new.key"), shell.key()).unwrap();
    while server.send("GET", "/readyz", &[], "").0 == 503 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(known(), 200);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_server_and_a_store_in_memory_are_refused() {
    let shell = Shell::with_vault();
    shell.write("k", "tk_1");
    for command in [
        &["rotate", "root"][..],
        &["shred", "account", "a", "--yes"],
        &["job", "run", "6500a1b2c3d4e5f6a7b8c9d0"],
    ] {
        let server = ["--url", "http://127.0.0.1:1", "--api-key-file", "k"];
        let ran = shell.run(&[&server[..], command].concat());
        assert_eq!(ran.code, 2, "{command:?}");
        assert!(ran.stderr.contains("--url"), "{}", ran.stderr);
    }
    assert_eq!(shell.run(&["--store", "memory", "rotate", "root"]).code, 2);
}

/// The kind of row, as FORMAT.md has it.
const CREDENTIAL: u8 = 0x32;
