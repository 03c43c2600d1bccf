//! What is written is for its owner only, and what another user could have prepared is refused.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod shell;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use shell::Shell;

const ORG: &str = "000000000000000000000001";
const NOBODY: u32 = 65_534;

/// Runs it as a shell with the most careless mask would.
fn run_careless(shell: &Shell, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new("sh");
    command.args(["-c", r#"umask 000; exec "$0" "$@""#, env!("CARGO_BIN_EXE_strongroom")]).args(arguments);
    command.current_dir(shell.path("")).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let output = command.env("HOME", shell.path("")).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// Everything below a directory, with the bits that other users have.
fn open_to_others(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        if metadata.mode() & 0o077 != 0 {
            found.push(path.clone());
        }
        if metadata.is_dir() {
            found.extend(open_to_others(&path));
        }
    }
    found
}

fn give_to_nobody(path: &Path) {
    chown(path, Some(NOBODY), None).expect("this test gives a file to another user, which needs root");
}

#[test]
fn manual_pages_are_for_everybody_and_a_key_beside_them_is_not() {
    let shell = Shell::new();
    shell.write("strongroom.key", "");
    fs::set_permissions(shell.path("strongroom.key"), Permissions::from_mode(0o600)).unwrap();
    shell.ok(&["man", "."]);
    let mode = |name: &str| shell.path(name).metadata().unwrap().mode() & 0o777;
    assert_eq!((mode("strongroom.1"), mode("strongroom.key")), (0o644, 0o600));
}

#[test]
fn all_that_is_written_is_for_its_owner_only() {
    let shell = Shell::new();
    for arguments in [
        &["init"][..],
        &["define", "A", "--format", "string"],
        &["--store", "sled:s", "init"],
        &["--root-key-file", "named.key", "--store", "redb:r", "init"],
        &["backup", "vault.backup"],
        &["--org", ORG, "backup", "org.backup"],
        &["slot", "add", "--new-root-key-file", "second.key"],
    ] {
        let (code, stderr) = run_careless(&shell, arguments);
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
    }
    assert_eq!(open_to_others(&shell.path("")), Vec::<PathBuf>::new());
}

/// The calls of a command that make files or directories, or set the mask.
#[cfg(target_os = "linux")]
fn calls(shell: &Shell, arguments: &[&str]) -> Vec<String> {
    let calls = "trace=openat,open,creat,mkdir,mkdirat,mknod,mknodat,symlink,symlinkat,bind,umask";
    traced(shell, &["-e", calls], arguments)
}

/// These calls of a command, as `strace` shows them.
#[cfg(target_os = "linux")]
fn traced(shell: &Shell, options: &[&str], arguments: &[&str]) -> Vec<String> {
    let trace = shell.path("trace");
    let mut command = Command::new("strace");
    command.args(["--follow-forks", "--quiet=all"]).args(options).arg("--output").arg(&trace);
    command.arg(env!("CARGO_BIN_EXE_strongroom")).args(arguments).current_dir(shell.path(""));
    command.env_clear().env("HOME", shell.path(""));
    let output = command.output().expect("this test needs strace");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    let calls = fs::read_to_string(&trace).unwrap();
    fs::remove_file(trace).unwrap();
    // Without the number of the thread.
    calls
        .lines()
        .filter_map(|line| line.split_once(char::is_whitespace))
        .map(|(_, call)| call.trim().into())
        .collect()
}

#[cfg(target_os = "linux")]
#[test]
fn every_file_is_made_new_and_under_a_mask_for_its_owner_only() {
    let shell = Shell::new();
    shell.write("in.env", "IMPORTED=v\n");
    let (key, mut made) = (shell.key(), 0);
    let key = key.to_str().unwrap();
    for arguments in [
        &["init"][..],
        &["define", "A", "--format", "string"],
        &["import", "in.env"],
        &["--store", "sled:s", "init"],
        &["--store", "redb:r", "--root-key-file", "named.key", "init"],
        &["backup", "vault.backup"],
        &["--org", ORG, "backup", "org.backup"],
        &["--store", "redb:restored", "restore", "vault.backup", "--as-new", "--backup-key-file", key],
        &["migrate", "--to", "sled:moved", "--yes"],
    ] {
        let mut masked = false;
        for call in calls(&shell, arguments) {
            masked |= call.starts_with("umask(077)");
            let is_kept = |name: &str| call.contains(&format!("/{name}\""));
            // Not a file, or one of sled's, in a directory that was made for the owner only and holds no link.
            let is_exempt =
                call.contains("/dev/") || ["db", "conf", "strongroom.lock"].iter().any(|name| is_kept(name));
            if call.contains("O_CREAT") || call.starts_with("mk") || call.contains("O_TMPFILE") {
                made += 1;
                assert!(masked, "{arguments:?} before the mask: {call}");
                let is_new = !call.contains("O_CREAT") || call.contains("O_EXCL") || is_exempt;
                assert!(is_new, "{arguments:?} may write through a link: {call}");
            }
            assert!(!call.contains("O_TRUNC"), "{arguments:?} cuts a file: {call}");
            assert!(!call.starts_with("symlink") && !call.starts_with("creat("), "{arguments:?}: {call}");
        }
    }
    assert!(made > 10, "{made}");
}

/// Otherwise a power cut could leave an empty file where the only key should be.
#[cfg(target_os = "linux")]
#[test]
fn a_file_gets_its_name_only_once_it_is_durable_and_then_the_name_is() {
    let shell = Shell::new();
    let mut named = 0;
    for arguments in [
        &["--root-key-file", "named.key", "init"][..],
        &["--root-key-file", "named.key", "slot", "add", "--new-root-key-file", "second.key"],
        &["--root-key-file", "named.key", "backup", "vault.backup"],
    ] {
        let calls = traced(&shell, &["-y", "-e", "trace=fsync,fdatasync,/^link,/^rename"], arguments);
        for (place, call) in calls.iter().enumerate() {
            let moved = call.split('"').nth(1).filter(|name| name.contains("/.strongroom-"));
            let Some(passing) = moved else { continue };
            named += 1;
            let passing = passing.replace("/./", "/");
            let directory = Path::new(&passing).parent().unwrap().to_str().unwrap();
            assert!(is_synced(&calls[..place], &passing), "{arguments:?} before {call}: {calls:#?}");
            assert!(is_synced(&calls[place..], directory), "{arguments:?} after {call}: {calls:#?}");
        }
    }
    assert!(named >= 3, "{named}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_new_key_is_durable_before_the_vault_that_it_opens() {
    let shell = Shell::new();
    let arguments = ["--root-key-file", "named.key", "--store", "redb:v", "init"];
    let calls = traced(&shell, &["-y", "-e", "trace=fsync,fdatasync,/^rename"], &arguments);
    let place = |part: &str| calls.iter().position(|call| call.contains(part)).unwrap();
    let (named, vault) = (place("\"named.key\""), place("/v>"));
    let directory = shell.path("").canonicalize().unwrap();
    assert!(named < vault && is_synced(&calls[named..vault], directory.to_str().unwrap()), "{calls:#?}");
}

#[cfg(target_os = "linux")]
fn is_synced(calls: &[String], path: &str) -> bool {
    calls.iter().any(|call| call.starts_with('f') && call.contains(&format!("<{path}>")))
}

#[cfg(target_os = "linux")]
#[test]
fn each_directory_that_is_made_for_a_store_or_its_key_is_durable_in_the_one_above() {
    for store in ["redb", "sled", "sqlite"] {
        let shell = Shell::new();
        let (store, mut made) = (format!("{store}:{}", shell.path("one/two/v").display()), 0);
        let calls = traced(
            &shell,
            &["-y", "-e", "trace=fsync,fdatasync,mkdir,mkdirat"],
            &["--store", &store, "init"],
        );
        for (place, call) in calls.iter().enumerate().filter(|(_, call)| call.ends_with("= 0")) {
            let Some(directory) = call.strip_prefix("mkdir(").and_then(|call| call.split('"').nth(1)) else {
                continue;
            };
            made += 1;
            let above = Path::new(directory).parent().unwrap().to_str().unwrap();
            assert!(is_synced(&calls[place..], above), "{store} after {call}: {calls:#?}");
        }
        assert!(made > 5, "{store}: {calls:#?}");
    }
}

#[test]
fn a_command_that_is_run_keeps_the_mask_of_its_user() {
    let shell = Shell::with_vault();
    for (run, touched) in [(&["run"][..], "once"), (&["run", "--watch"], "watched")] {
        let (code, stderr) = run_careless(&shell, &[run, &["--", "touch", touched]].concat());
        assert_eq!(code, 0, "{stderr}");
        assert_eq!(shell.path(touched).metadata().unwrap().mode() & 0o777, 0o666, "{touched}");
    }
}

#[test]
fn a_backup_is_not_written_through_a_planted_name() {
    let shell = Shell::with_vault();
    shell.write("precious", "kept");
    for planted in ["vault.backup.part", "vault.backup"] {
        symlink(shell.path("precious"), shell.path(planted)).unwrap();
    }
    assert_eq!(shell.run(&["backup", "vault.backup"]).code, 2);
    fs::remove_file(shell.path("vault.backup")).unwrap();
    shell.ok(&["backup", "vault.backup"]);
    symlink(shell.path("nowhere"), shell.path("dangling.backup")).unwrap();
    assert_eq!(shell.run(&["backup", "dangling.backup"]).code, 2);
    assert_eq!(fs::read(shell.path("precious")).unwrap(), b"kept");
    assert!(!shell.path("nowhere").exists());
}

#[test]
fn a_failed_backup_leaves_no_file() {
    let shell = Shell::with_vault();
    let before = fs::read_dir(shell.path("")).unwrap().count();
    assert_eq!(shell.run(&["backup", "none/vault.backup"]).code, 2);
    assert_eq!(fs::read_dir(shell.path("")).unwrap().count(), before);
}

#[test]
fn a_store_or_key_in_the_working_directory_is_not_taken() {
    let victim = Shell::new();
    victim.ok(&["--store", "strongroom-data", "--root-key-file", "strongroom-data.key", "init"]);
    let ran = victim.run(&["list"]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stderr.contains(".local/share/strongroom/vault"), "{}", ran.stderr);
    assert_eq!(victim.run(&["--store", "strongroom-data", "list"]).code, 2, "nor the key beside it");
}

#[test]
fn a_key_is_kept_apart_from_its_data() {
    let shell = Shell::with_vault();
    assert!(shell.key().is_file() && shell.key().starts_with(shell.path(".config/strongroom")));
    shell.define("A", "string");
    shell.ok(&["--org", ORG, "backup", "org.backup"]);
    let beside: Vec<_> =
        fs::read_dir(shell.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(beside.iter().all(|name| !name.to_str().unwrap().ends_with(".key")), "{beside:?}");
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    let shell = Shell::with_vault();
    shell.write("c.toml", "environment = \"test\"\n");
    shell.ok(&["--store", "sled:s", "init"]);
    let (config, store) = (["--config", "c.toml", "list"], ["--store", "sled:s", "list"]);
    let cases: [(PathBuf, &[&str], i32); 6] = [
        (shell.store(), &["list"], 6),
        (shell.store().parent().unwrap().to_owned(), &["list"], 6),
        (shell.key(), &["list"], 5),
        (shell.path("c.toml"), &config, 2),
        (shell.path("s"), &store, 6),
        (shell.path("s/conf"), &store, 6),
    ];
    for (path, arguments, code) in cases {
        let owner = path.metadata().unwrap().uid();
        give_to_nobody(&path);
        let ran = shell.run(arguments);
        assert_eq!(ran.code, code, "{}: {}", path.display(), ran.stderr);
        assert!(ran.stderr.contains("belongs to another user"), "{}", ran.stderr);
        chown(&path, Some(owner), None).unwrap();
        shell.ok(arguments);
    }
}

#[test]
fn what_other_users_can_change_is_refused() {
    let shell = Shell::with_vault();
    shell.write("c.toml", "environment = \"test\"\n");
    shell.ok(&["--store", "sled:s", "init"]);
    let (config, store) = (["--config", "c.toml", "list"], ["--store", "sled:s", "list"]);
    let cases: [(PathBuf, &[&str], i32); 6] = [
        (shell.store(), &["list"], 6),
        (shell.store().parent().unwrap().to_owned(), &["list"], 6),
        (shell.key(), &["list"], 5),
        (shell.path("c.toml"), &config, 2),
        (shell.path("s"), &store, 6),
        (shell.path("s/conf"), &store, 6),
    ];
    for (path, arguments, code) in cases {
        let mode = path.metadata().unwrap().mode();
        for bit in [0o020, 0o002] {
            fs::set_permissions(&path, Permissions::from_mode(mode | bit)).unwrap();
            let ran = shell.run(arguments);
            assert_eq!(ran.code, code, "{}: {}", path.display(), ran.stderr);
            assert!(ran.stderr.contains("chmod go-w"), "{}", ran.stderr);
        }
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        shell.ok(arguments);
    }
}

#[test]
fn a_link_of_another_user_is_refused_wherever_it_leads() {
    let shell = Shell::with_vault();
    symlink(shell.store(), shell.path("link")).unwrap();
    let key = shell.key().display().to_string();
    let arguments = ["--store", "link", "--root-key-file", &key, "list"];
    shell.ok(&arguments);
    std::os::unix::fs::lchown(shell.path("link"), Some(NOBODY), None)
        .expect("this test gives a link to another user, which needs root");
    assert_eq!(shell.run(&arguments).code, 6);
}

#[test]
fn a_new_vault_does_not_take_the_key_of_another_user() {
    let shell = Shell::new();
    shell.write("planted.key", "00".repeat(32));
    give_to_nobody(&shell.path("planted.key"));
    let ran = shell.run(&["--root-key-file", "planted.key", "init"]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    shell.ok(&["init"]);
}

#[test]
fn a_directory_further_up_that_another_user_could_rename_is_refused() {
    let shell = Shell::with_vault();
    let above = |path: PathBuf| path.parent().unwrap().parent().unwrap().to_owned();
    for (path, code) in [(above(shell.store()), 6), (above(shell.key()), 5)] {
        let metadata = path.metadata().unwrap();
        give_to_nobody(&path);
        let ran = shell.run(&["list"]);
        assert_eq!(ran.code, code, "{}: {}", path.display(), ran.stderr);
        assert!(ran.stderr.contains("belongs to another user"), "{}", ran.stderr);
        chown(&path, Some(metadata.uid()), None).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        assert_eq!(shell.run(&["list"]).code, code, "{}", path.display());
        fs::set_permissions(&path, Permissions::from_mode(metadata.mode())).unwrap();
        shell.ok(&["list"]);
    }
    // Nor is a new vault made there in silence, as if there had been none.
    let new = Shell::new();
    fs::create_dir_all(new.path("prepared/below")).unwrap();
    give_to_nobody(&new.path("prepared"));
    let ran = new.run(&["--store", "redb:prepared/below/new/vault", "--root-key-file", "k", "init"]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
}
