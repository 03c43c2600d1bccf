//! A server on a disk that becomes full, and then has room again. Needs root, loop devices and mkfs.ext4.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod shell;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use shell::Shell;
use shell::server::Server;

/// A small file system of its own, which goes with the test.
struct Disk(PathBuf);

impl Disk {
    fn mounted_at(path: &Path, image: &Path) -> Self {
        fs::create_dir(path).unwrap();
        File::create(image).unwrap().set_len(24 << 20).unwrap();
        run(Command::new("mkfs.ext4").arg("-q").arg(image));
        run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(path));
        Self(path.to_owned())
    }

    /// Leaves no room at all.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
        let _ = file.sync_all();
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} needs root, loop devices and mkfs.ext4: {said}");
}

/// Whether the store can be opened again, and read, while its disk is full.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    GoOn,
    ComeBack,
}

fn all_comes_back(kind: &str, reads: Reads) {
    let shell = Shell::new();
    let disk = Disk::mounted_at(&shell.path("disk"), &shell.path("image"));
    let shell = shell.variable("STRONGROOM_STORE", &format!("{kind}:disk/vault"));
    let server = Server::start(&shell, &[]);
    shell.define("NOTE", "string");
    let id = shell.json(&["show", "NOTE"])["id"].as_str().unwrap().to_owned();
    let key = [("x-api-key", server.api_key())];
    let set = |account: usize, length: usize| {
        let value = "x".repeat(length);
        let account = format!("user_{account}");
        let body = format!(
            r#"{{"variable_definition_id":"{id}","linked_account_id":"{account}","value":"{value}"}}"#
        );
        server.send("POST", "/api/v2/public/env/values", &key, &body)
    };
    let get = |account: usize| {
        let path = format!("/api/v2/public/env/value/{id}?linked_account_id=user_{account}");
        server.send("GET", &path, &key, "").0
    };
    assert_eq!(set(0, 10).0, 200);
    let operate = shell.json(&["api-key", "create", "desk", "--right", "operate"])["api_key"].clone();
    let operate = operate.as_str().unwrap().to_owned();
    disk.fill();
    // The file of the store has some room of its own.
    let mut acknowledged = 0;
    let refused = loop {
        match set(acknowledged + 1, 60_000) {
            (200, _) => acknowledged += 1,
            refused => break refused,
        }
    };
    assert_eq!(refused.0, 507, "{}", refused.1);
    assert!(refused.1["message"].as_str().unwrap().contains("free some space"), "{}", refused.1);
    let health = |path: &str| server.send("GET", path, &[], "").0;
    if reads == Reads::GoOn {
        for account in 0..=acknowledged {
            assert_eq!(get(account), 200, "reads go on");
        }
        assert_eq!(set(0, 60_000).0, 507);
        let backup = shell.run(&["backup", "elsewhere.backup"]);
        assert_eq!(backup.code, 0, "{}", backup.stderr);
        assert!(backup.stderr.contains("not noted in the audit"), "{}", backup.stderr);
        let operate = [("x-api-key", operate.as_str())];
        assert_eq!(server.send("GET", "/api/admin/v1/backup", &operate, "").0, 200);
    }
    assert_eq!(health("/healthz"), 200, "it comes back without a restart");

    disk.free();
    while set(acknowledged + 1, 60_000).0 != 200 {}
    while health("/readyz") != 200 {}
    for account in 0..=acknowledged + 1 {
        assert_eq!(get(account), 200);
    }
    assert_eq!(server.stop(), 0);
    shell.ok(&["verify"]);
    let values = shell.json(&["list", "--account", &format!("user_{}", acknowledged + 1)]);
    assert_eq!(values.as_array().unwrap().len(), 1);
}

#[test]
fn a_full_disk_under_redb_stops_writes_alone_and_only_while_it_is_full() {
    all_comes_back("redb", Reads::GoOn);
}

#[test]
fn a_full_disk_under_sled_stops_it_only_while_it_is_full() {
    all_comes_back("sled", Reads::ComeBack);
}

#[test]
fn a_command_that_reads_ends_well_on_a_full_disk_after_a_write_that_failed() {
    let shell = Shell::new();
    let disk = Disk::mounted_at(&shell.path("disk"), &shell.path("image"));
    let shell = shell.variable("STRONGROOM_STORE", "redb:disk/vault");
    shell.ok(&["init"]);
    shell.define("NOTE", "string");
    shell.ok_with("x", &["set", "NOTE"]);
    disk.fill();
    // The file of the store has some room of its own.
    let long = "y".repeat(60_000);
    let failed = (0..1_000).map(|n| shell.pipe(&long, &["set", "NOTE", "--account", &format!("user_{n}")]));
    let failed = failed.into_iter().find(|ran| ran.code != 0).unwrap();
    assert_eq!(failed.code, 6, "{}", failed.stderr);
    let ran = shell.run(&["get", "NOTE", "--reveal"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "x"), "{}", ran.stderr);
}

#[test]
fn a_backup_to_another_disk_is_done_although_its_mark_finds_no_room() {
    let shell = Shell::new();
    let disk = Disk::mounted_at(&shell.path("disk"), &shell.path("image"));
    let shell = shell.variable("STRONGROOM_STORE", "redb:disk/vault");
    shell.ok(&["init"]);
    shell.define("NOTE", "string");
    disk.fill();
    // The file of the store has some room of its own, first for long values and then for short ones.
    for length in [60_000, 4_000, 10] {
        let value = "y".repeat(length);
        let set = |n: u32| shell.pipe(&value, &["set", "NOTE", "--account", &format!("user_{length}_{n}")]);
        assert!((0..1_000).any(|n| set(n).code == 6));
    }
    let ran = shell.run(&["backup", "elsewhere.backup"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn doctor_says_that_a_medium_takes_no_writes() {
    let shell = Shell::new();
    let disk = Disk::mounted_at(&shell.path("disk"), &shell.path("image"));
    let shell = shell.variable("STRONGROOM_STORE", "redb:disk/vault");
    shell.ok(&["init"]);
    assert!(shell.ok(&["doctor"]).contains("can be written"));
    run(Command::new("mount").args(["-o", "remount,ro"]).arg(&disk.0));
    let ran = shell.run(&["--json", "doctor"]);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let writes = findings.iter().find(|one| one["check"] == "writes").unwrap();
    assert_eq!((ran.code, &writes["state"]), (6, &"failed".into()), "{report}");
    assert!(writes["next"].as_str().unwrap().contains("can be written"), "{report}");
}

#[test]
fn a_backup_of_a_server_onto_a_full_disk_says_whose_disk_it_is() {
    let served = Shell::new();
    let server = Server::start(&served, &[]);
    let key = served.json(&["api-key", "create", "desk", "--right", "operate"])["api_key"].clone();
    let shell = Shell::new().variable("STRONGROOM_URL", server.text("url"));
    let shell = shell.variable("STRONGROOM_API_KEY", key.as_str().unwrap());
    let disk = Disk::mounted_at(&shell.path("disk"), &shell.path("image"));
    disk.fill();
    let ran = shell.run(&["backup", "disk/vault.backup"]);
    assert!(ran.code == 1 && ran.stderr.contains("free some space on its disk"), "{}", ran.stderr);
}

#[test]
fn a_backup_onto_a_full_disk_says_so_and_leaves_no_part_of_it_behind() {
    let shell = Shell::with_vault();
    shell.define("NOTE", "string");
    let disk = Disk::mounted_at(&shell.path("disk"), &shell.path("image"));
    disk.fill();
    let org = "000000000000000000000001";
    let ran = shell.run(&["--org", org, "backup", "disk/org.backup", "--backup-key-file", "new.key"]);
    assert!(ran.code == 1 && ran.stderr.contains("free some space on its disk"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("mark"), "{}", ran.stderr);
    assert!(!shell.path("disk/org.backup").exists());
}
