//! `--store`: what is there, what is held by another process, what is damaged.

mod shell;

use std::sync::Arc;

use futures_executor::block_on;
use shell::Shell;
use strongroom::store::{KeyRange, ReadBatch, Scan, Store, WriteBatch};
use strongroom_redb::{RedbReader, RedbStore};

#[test]
fn a_store_that_is_not_there_is_6_and_is_not_made() {
    let shell = Shell::new();
    let ran = shell.run(&["--store", "none", "list"]);
    assert_eq!(ran.code, 6);
    assert!(ran.stderr.contains("strongroom init"), "{}", ran.stderr);
    assert!(!shell.path("none").exists());
}

#[test]
fn the_kind_of_store_that_is_there_is_opened() {
    let shell = Shell::new();
    for kind in ["redb", "sled", "sqlite"] {
        shell.ok(&["--store", &format!("{kind}:a.{kind}"), "init"]);
        shell.ok(&["--store", &format!("a.{kind}"), "list"]);
    }
}

#[test]
fn a_new_store_whose_kind_is_not_named_is_one_file() {
    let shell = Shell::new();
    shell.ok(&["--store", "a", "init"]);
    assert!(shell.path("a").is_file());
    assert_eq!(shell.run(&["--store", "sled:a", "list"]).code, 6);
}

#[test]
fn a_file_that_is_no_store_is_6_and_stays_as_it_is() {
    let shell = Shell::new();
    std::fs::write(shell.path("letter"), "dear").unwrap();
    for command in ["init", "list"] {
        let ran = shell.run(&["--store", "letter", command]);
        assert_eq!(ran.code, 6);
        assert!(ran.stderr.contains("is not a strongroom store"), "{}", ran.stderr);
    }
    assert_eq!(std::fs::read(shell.path("letter")).unwrap(), b"dear");
}

#[test]
fn a_kind_that_is_not_known_is_2() {
    let shell = Shell::new();
    for spec in ["redis:x", "sled", "sled:"] {
        let ran = shell.run(&["--store", spec, "list"]);
        assert_eq!(ran.code, 2, "{spec}");
        assert!(ran.stderr.contains("sled:PATH"), "{}", ran.stderr);
    }
}

#[test]
fn a_store_in_memory_is_new_each_time() {
    let shell = Shell::new();
    shell.ok(&["--store", "memory", "define", "A", "--format", "string"]);
    assert_eq!(shell.ok(&["--store", "memory", "--json", "list"]), "[]\n");
    assert_eq!(shell.run(&["--store", "memory", "init"]).code, 2);
}

#[test]
fn a_store_that_another_process_holds_is_6_with_the_reason() {
    let shell = Shell::with_vault();
    let held = RedbStore::open(shell.store()).unwrap();
    let ran = shell.run(&["--json", "--wait", "0", "list"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (6, ""));
    assert!(ran.error()["next"].as_str().unwrap().contains("--wait SECONDS"), "{}", ran.stderr);
    assert!(ran.error()["message"].as_str().unwrap().contains("already open"), "{}", ran.stderr);
    block_on(held.close()).unwrap();
    shell.ok(&["list"]);
}

#[test]
fn a_command_waits_for_the_one_that_has_the_store_open() {
    for kind in ["redb", "sled", "sqlite"] {
        let shell = Shell::new();
        shell.ok(&["--store", &format!("{kind}:v"), "init"]);
        shell.ok(&["--store", "v", "define", "A", "--format", "string"]);
        let set = |n: u32| {
            shell.ok_with(n.to_string(), &["--store", "v", "set", "A", "--workflow", &format!("w{n}")])
        };
        std::thread::scope(|threads| (0..10).for_each(|n| drop(threads.spawn(move || set(n)))));
        assert_eq!(shell.ok(&["--store", "v", "get", "A", "--workflow", "w9", "--reveal"]), "9", "{kind}");
    }
}

#[test]
fn a_damaged_row_is_5_and_is_named() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    shell.ok_with("hunter2", &["set", "A"]);
    let store = RedbStore::open(shell.store()).unwrap();
    let scans = vec![Scan::new(KeyRange::all(), 100)];
    let rows = block_on(store.read(&ReadBatch { gets: Vec::new(), scans })).unwrap();
    let mut batch = WriteBatch::default();
    for (key, row) in &rows.scans[0].rows {
        let mut bytes = row.value.to_vec();
        // The last byte is of the tag of whatever is sealed in the row.
        *bytes.last_mut().unwrap() ^= 1;
        batch.put(key.clone(), bytes);
    }
    block_on(store.commit(Arc::new(batch))).unwrap();
    block_on(store.close()).unwrap();
    let ran = shell.run(&["get", "A", "--reveal"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (5, ""), "{}", ran.stderr);
}

#[test]
fn a_data_file_with_damaged_pages_is_5_and_shows_no_panic() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    let mut file = std::fs::read(shell.store()).unwrap();
    // The pages after the first one, which is the header of redb.
    file[4_096..].iter_mut().for_each(|byte| *byte ^= 0xff);
    std::fs::write(shell.store(), file).unwrap();
    for command in [&["verify"][..], &["define", "B", "--format", "string"]] {
        let ran = shell.run(command);
        assert!(ran.code == 5 && ran.stderr.contains("data file"), "{ran:?}");
        assert!(!ran.stderr.contains("panicked at"), "{ran:?}");
    }
}

#[test]
fn a_damaged_data_file_leads_to_a_restore_and_not_to_verify() {
    let shell = Shell::with_vault();
    let mut file = std::fs::read(shell.store()).unwrap();
    file[4_096..].iter_mut().for_each(|byte| *byte ^= 0xff);
    std::fs::write(shell.store(), file).unwrap();
    let ran = shell.run(&["verify"]);
    assert!(ran.code == 5 && ran.stderr.contains("restore --replaces-original"), "{ran:?}");
    assert!(!ran.stderr.contains("`strongroom verify`"), "{ran:?}");
}

#[test]
fn a_file_of_no_kind_leads_to_no_other_kind() {
    let shell = Shell::new();
    shell.write("letter", "dear");
    let ran = shell.run(&["--store", "sqlite:letter", "list"]);
    assert!(ran.code == 6 && ran.stderr.contains("letter is not a strongroom store"), "{ran:?}");
    assert!(!ran.stderr.contains("redb:"), "{ran:?}");
}

#[test]
fn commands_that_only_read_share_the_file_and_leave_it_as_it_is() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    shell.ok_with("a", &["set", "A"]);
    let before = std::fs::read(shell.store()).unwrap();
    let reader = RedbReader::open(shell.store()).unwrap();
    for command in [
        &["list"][..],
        &["get", "A", "--reveal"],
        &["resolve"],
        &["export", "--reveal"],
        &["run", "--", "true"],
        &["verify"],
        &["doctor"],
        &["orgs"],
    ] {
        shell.ok(&[&["--wait", "0"], command].concat());
    }
    assert_eq!(shell.pipe("b", &["--wait", "0", "set", "A"]).code, 6, "a writer waits for readers");
    drop(reader);
    assert!(std::fs::read(shell.store()).unwrap() == before);
    shell.ok_with("b", &["set", "A"]);
}

#[test]
fn a_dry_run_shares_the_file_and_leaves_it_as_it_is() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    shell.ok_with("a", &["set", "A"]);
    shell.ok(&["account", "create", "user_1", "--default-app"]);
    shell.write("a.env", "A=b\nB=c\n");
    let before = std::fs::read(shell.store()).unwrap();
    let reader = RedbReader::open(shell.store()).unwrap();
    for command in [
        &["import", "a.env", "--dry-run"][..],
        &["copy", "test", "@account:user_1", "--dry-run"],
        &["define", "A", "--change", "--required", "--dry-run"],
        &["account", "remove-app", "user_1", "--dry-run"],
    ] {
        shell.ok(&[&["--wait", "0"], command].concat());
    }
    drop(reader);
    assert!(std::fs::read(shell.store()).unwrap() == before);
}
