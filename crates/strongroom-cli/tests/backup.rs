//! `backup`, `restore` and `migrate` as a user types them.

mod shell;

use std::fs;

use shell::Shell;

/// A shell whose vault holds one value.
fn furnished() -> Shell {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    shell.ok_with("hunter2", &["set", "A"]);
    shell
}

fn key_of(shell: &Shell) -> String {
    shell.key().display().to_string()
}

#[test]
fn a_backup_comes_back_with_the_key_of_the_vault() {
    let shell = furnished();
    let json = shell.json(&["backup", "vault.backup"]);
    assert!(json["rows"].as_u64().unwrap() > 3 && json["unsettled"].as_array().unwrap().is_empty());
    assert!(!fs::read(shell.path("vault.backup")).unwrap().windows(7).any(|part| part == b"hunter2"));
    let key = key_of(&shell);
    shell.ok(&["--store", "back", "--root-key-file", &key, "restore", "vault.backup", "--replaces-original"]);
    let value = shell.ok(&["--store", "back", "--root-key-file", &key, "get", "A", "--reveal"]);
    assert_eq!(value, "hunter2");
    let ran = shell.run(&["restore", "vault.backup", "--replaces-original"]);
    assert!(ran.code == 6 && ran.stderr.contains("move that store away first"), "{}", ran.stderr);
    assert_eq!(shell.run(&["backup", "vault.backup"]).code, 2, "no file is overwritten");
}

#[test]
fn a_restore_says_what_it_is_to_be() {
    let shell = furnished();
    shell.ok(&["backup", "vault.backup"]);
    assert_eq!(shell.run(&["--store", "back", "restore", "vault.backup"]).code, 2);
    assert!(!shell.path("back").exists());
}

#[cfg(feature = "sqlite")]
#[test]
fn a_restore_deletes_no_writes_that_an_sqlite_store_left_behind_when_it_was_moved_away() {
    let shell = furnished();
    shell.ok(&["backup", "vault.backup"]);
    fs::write(shell.path("gone-wal"), "the latest writes").unwrap();
    let key = key_of(&shell);
    let to = ["--store", "sqlite:gone", "--root-key-file", &key];
    let ran = shell.run(&[&to[..], &["restore", "vault.backup", "--replaces-original"]].concat());
    assert!(ran.code == 6 && ran.stderr.contains("-wal and -shm"), "{ran:?}");
    assert_eq!(fs::read(shell.path("gone-wal")).unwrap(), b"the latest writes");
}

#[test]
fn a_new_vault_has_a_key_of_its_own() {
    let shell = furnished();
    shell.ok(&["backup", "vault.backup"]);
    let key = key_of(&shell);
    let new = ["--store", "new", "restore", "vault.backup", "--as-new", "--backup-key-file", &key];
    shell.ok(&new);
    assert_eq!(shell.ok(&["--store", "new", "get", "A", "--reveal"]), "hunter2");
    assert_eq!(shell.run(&["--store", "new", "--root-key-file", &key, "get", "A"]).code, 5);
    assert_eq!(shell.run(&new).code, 6, "it is not empty any more");
}

#[test]
fn one_org_goes_to_another_vault() {
    let shell = furnished();
    let org = "000000000000000000000001";
    shell.ok(&["--org", org, "backup", "org.backup"]);
    assert!(shell.key_of("org.backup").exists());
    shell.ok(&["--store", "other", "init"]);
    shell.ok(&["--store", "other", "--org", org, "restore", "org.backup"]);
    assert_eq!(shell.ok(&["--store", "other", "get", "A", "--reveal"]), "hunter2");
    assert_eq!(shell.run(&["--store", "other", "--org", org, "restore", "org.backup"]).code, 6);
    let nobody = "0000000000000000000000ff";
    let ran = shell.run(&["--store", "other", "--org", nobody, "restore", "org.backup"]);
    assert!(ran.code == 3 && ran.stderr.contains(&format!("org {org}, environment test")), "{}", ran.stderr);
    assert_eq!(shell.run(&["--org", nobody, "backup", "none.backup"]).code, 3);
}

#[test]
fn every_command_refuses_or_names_an_org_whose_restore_is_unfinished() {
    let shell = furnished();
    let org = "000000000000000000000001";
    shell.ok(&["--org", org, "backup", "org.backup"]);
    shell.note_restore();
    let refused: [&[&str]; 6] = [
        &["get", "A"],
        &["list"],
        &["environments"],
        &["define", "NEW", "--format", "string"],
        &["shred", "environment", "test", "--yes"],
        // Of another file.
        &["--org", org, "restore", "org.backup"],
    ];
    for command in refused {
        let ran = shell.run(command);
        assert!(ran.code == 6 && ran.stderr.contains("is unfinished"), "{command:?} {ran:?}");
        assert!(ran.stderr.contains("`strongroom shred restore`"), "{command:?} {ran:?}");
    }
    let named = format!("the restore of org {org} is unfinished");
    assert!(shell.run(&["doctor"]).stdout.contains(&named));
    let verified = shell.run(&["verify"]);
    assert!(
        verified.code == 5 && verified.stdout.contains("restore of this org is unfinished"),
        "{verified:?}"
    );
    assert!(verified.stderr.contains("`strongroom shred restore`"), "{verified:?}");
    let backup = shell.run(&["backup", "vault.backup"]);
    assert!(backup.code == 0 && backup.stderr.contains(&format!("org {org} was left out")), "{backup:?}");
}

#[test]
fn what_an_unfinished_restore_wrote_is_shredded_and_the_org_restored_again() {
    let shell = furnished();
    let org = "000000000000000000000001";
    shell.ok(&["--org", org, "backup", "org.backup"]);
    shell.note_restore();
    let shred = ["--org", org, "shred", "restore"];
    let asked = shell.run(&shred);
    assert!(asked.code == 2 && asked.stderr.contains("all that the unfinished restore"), "{asked:?}");
    shell.ok(&[&shred[..], &["--yes"]].concat());
    shell.ok(&["--org", org, "restore", "org.backup"]);
    assert_eq!(shell.ok(&["get", "A", "--reveal"]), "hunter2");
    assert_eq!(shell.json(&["verify"])["clean"], true);
    assert_eq!(shell.run(&[&shred[..], &["--yes"]].concat()).code, 3);
}

#[test]
fn a_damaged_file_is_5_and_nothing_is_written() {
    let shell = furnished();
    shell.ok(&["backup", "vault.backup"]);
    let mut file = fs::read(shell.path("vault.backup")).unwrap();
    let middle = file.len() / 2;
    file[middle] ^= 1;
    shell.write("damaged.backup", &file);
    shell.write("cut.backup", &file[..middle]);
    shell.write("text.backup", "hello");
    let key = key_of(&shell);
    for name in ["damaged.backup", "cut.backup", "text.backup"] {
        let ran = shell.run(&[
            "--json",
            "--store",
            "back",
            "--root-key-file",
            &key,
            "restore",
            name,
            "--replaces-original",
        ]);
        assert_eq!((ran.code, ran.stdout.as_str()), (5, ""), "{name}: {}", ran.stderr);
        assert!(!shell.path("back").exists(), "{name}");
    }
}

#[test]
fn a_vault_moves_to_another_store_and_the_old_one_takes_no_more_writes() {
    let shell = furnished();
    let key = key_of(&shell);
    let asked = shell.run(&["migrate", "--to", "sled:moved"]);
    assert_eq!(asked.code, 2, "{}", asked.stderr);
    assert!(asked.stderr.contains("takes no writes from then on"), "{}", asked.stderr);
    assert!(!shell.path("moved").exists());
    let json = shell.json(&["migrate", "--to", "sled:moved", "--yes"]);
    assert_eq!(json["digest"].as_str().unwrap().len(), 64);
    let there = ["--store", "moved", "--root-key-file", &key];
    assert_eq!(shell.ok(&[&there[..], &["get", "A", "--reveal"]].concat()), "hunter2");
    shell.ok_with("next", &[&there[..], &["set", "A"]].concat());
    let old = shell.run(&["get", "A", "--reveal"]);
    assert!(old.stdout == "hunter2" && old.stderr.contains("is from before"), "{old:?}");
    let ran = shell.pipe("late", &["set", "A"]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stderr.contains("moved"), "{}", ran.stderr);
    assert_eq!(shell.ok(&["get", "A", "--reveal"]), "hunter2", "it still reads");
    assert_eq!(shell.run(&["migrate", "--to", "memory"]).code, 2);
}

#[test]
fn a_backup_with_a_damaged_row_becomes_a_vault_again_as_a_failed_restore_says() {
    let shell = furnished();
    shell.damage(&[0x20]);
    shell.ok(&["backup", "vault.backup"]);
    let key = key_of(&shell);
    let restore = |store: &str, key: &str, how: &str| {
        shell.run(&[
            "--store",
            store,
            "--root-key-file",
            key,
            "restore",
            "vault.backup",
            how,
            "--backup-key-file",
            &key_of(&shell),
        ])
    };
    let refused = restore("new", "new.key", "--as-new");
    assert!(refused.code == 5 && refused.stderr.contains("restore --replaces-original"), "{refused:?}");
    let restored = restore("back", &key, "--replaces-original");
    assert_eq!(restored.code, 0, "{restored:?}");
    let ran = shell.run(&["--store", "back", "--root-key-file", &key, "verify"]);
    assert!(ran.code == 5 && ran.stderr.contains("1 finding"), "{ran:?}");
}

#[test]
fn a_backup_that_fails_keeps_its_key_since_another_may_have_used_it() {
    let shell = furnished();
    let of_nobody = ["--org", "00000000000000000000000a", "backup"];
    let named = [&of_nobody[..], &["org.backup", "--backup-key-file", "new.key"]].concat();
    let ran = shell.run(&named);
    assert!(ran.code == 3 && ran.stderr.contains("new.key: it stays there"), "{}", ran.stderr);
    let key = std::fs::read(shell.path("new.key")).unwrap();
    let ran =
        shell.run(&["--org", "000000000000000000000001", "backup", "b", "--backup-key-file", "new.key"]);
    assert!(ran.code == 0 && !ran.stderr.contains("created"), "{}", ran.stderr);
    assert_eq!(std::fs::read(shell.path("new.key")).unwrap(), key);
}
