//! The mark of a store: an older copy of it is refused until it is accepted, and nothing ordinary looks like one.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod shell;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shell::Shell;
use shell::server::Server;

fn mark_of(shell: &Shell) -> PathBuf {
    shell.key().with_extension("mark")
}

/// A vault with a value, a copy of its store, and a second value since.
fn with_older_copy() -> (Shell, PathBuf) {
    let shell = Shell::with_vault();
    shell.define("PORT", "integer");
    shell.ok_with("80", &["set", "PORT"]);
    let copy = shell.path("copy");
    copy_all(&shell.store(), &copy);
    shell.ok_with("81", &["set", "PORT"]);
    (shell, copy)
}

/// Copies a store of one file, or of one directory.
fn copy_all(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy_all(&entry.path(), &to.join(entry.file_name()));
    }
}

fn remove_all(path: &Path) {
    if path.is_file() { fs::remove_file(path).unwrap() } else { fs::remove_dir_all(path).unwrap() }
}

fn put_back(shell: &Shell, copy: &Path) {
    remove_all(&shell.store());
    copy_all(copy, &shell.store());
}

#[test]
fn an_older_copy_of_the_store_is_refused_until_it_is_accepted_and_then_that_is_written_down() {
    let (shell, copy) = with_older_copy();
    put_back(&shell, &copy);
    for command in [&["get", "PORT", "--reveal"][..], &["list"], &["serve", "--listen", "127.0.0.1:0"]] {
        let ran = shell.run(command);
        assert_eq!(ran.code, 6, "{}", ran.stderr);
        assert!(ran.stderr.contains("older") && ran.stderr.contains("--accept-rollback"), "{}", ran.stderr);
    }
    assert_eq!(shell.ok(&["get", "PORT", "--reveal", "--accept-rollback"]), "80");
    let kept = fs::read_to_string(mark_of(&shell)).unwrap();
    assert!(kept.lines().nth(1).is_some_and(|line| line.contains("accepted")), "{kept}");
    assert_eq!(shell.ok(&["get", "PORT", "--reveal"]), "80");
    assert_eq!(fs::metadata(mark_of(&shell)).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!mark_of(&shell).starts_with(shell.store().parent().unwrap()), "never beside the store");

    shell.ok_with("82", &["set", "PORT"]);
    assert!(fs::read_to_string(mark_of(&shell)).unwrap().contains("accepted"), "it stays written down");
    put_back(&shell, &copy);
    assert_eq!(shell.run(&["get", "PORT"]).code, 6);
}

#[cfg(unix)]
#[test]
fn a_link_to_the_store_has_its_mark_and_its_key() {
    let (shell, copy) = with_older_copy();
    std::os::unix::fs::symlink(shell.store(), shell.path("link")).unwrap();
    shell.ok(&["--store", "link", "list"]);
    put_back(&shell, &copy);
    let ran = shell.run(&["--store", "link", "list"]);
    assert!(ran.code == 6 && ran.stderr.contains("older"), "{}", ran.stderr);
}

#[cfg(unix)]
#[test]
fn a_link_in_the_place_of_the_store_or_of_its_directory_leads_away_from_no_mark() {
    let (shell, copy) = with_older_copy();
    let (store, key) = (shell.store(), shell.key());
    let named = |shell: &Shell| shell.run(&["list", "--root-key-file", key.to_str().unwrap()]);
    std::fs::rename(&store, shell.path("aside")).unwrap();
    std::os::unix::fs::symlink(&copy, &store).unwrap();
    let ran = named(&shell);
    assert!(ran.code == 6 && ran.stderr.contains("older"), "{}", ran.stderr);

    fs::remove_file(&store).unwrap();
    std::os::unix::fs::symlink(shell.path("aside"), &store).unwrap();
    assert_eq!(named(&shell).code, 0, "the store was moved, and a link is where it was");

    let shell = Shell::new();
    fs::create_dir(shell.path("d")).unwrap();
    shell.ok(&["init", "--store", "d/vault"]);
    copy_all(&shell.path("d"), &shell.path("older"));
    let key = shell.key_of("d/vault");
    let list = ["list", "--store", "d/vault", "--root-key-file", key.to_str().unwrap()];
    shell.ok(&["define", "PORT", "--format", "integer", "--store", "d/vault"]);
    fs::rename(shell.path("d"), shell.path("newer")).unwrap();
    std::os::unix::fs::symlink(shell.path("older"), shell.path("d")).unwrap();
    let ran = shell.run(&list);
    assert!(ran.code == 6 && ran.stderr.contains("older"), "{}", ran.stderr);
}

#[test]
fn a_store_that_was_emptied_or_changed_for_another_vault_is_refused_too() {
    let shell = Shell::with_vault();
    remove_all(&shell.store());
    for command in [&["list"][..], &["verify"], &["rotate", "root"], &["doctor"]] {
        let ran = shell.run(command);
        let said = ran.stdout + &ran.stderr;
        assert!(ran.code == 6 && said.contains("is gone, and by its mark"), "{command:?}: {said}");
    }
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["init"]] {
        let ran = shell.run(command);
        assert_eq!(ran.code, 6, "{}", ran.stderr);
        assert!(ran.stderr.contains("empty") && ran.stderr.contains("--accept-rollback"), "{}", ran.stderr);
    }

    let key = shell.key();
    let key = key.to_str().unwrap();
    shell.ok(&["init", "--store", "other", "--root-key-file", key]);
    copy_all(&shell.path("other"), &shell.store());
    let ran = shell.run(&["list", "--root-key-file", key]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(ran.stderr.contains("--accept-rollback"), "{}", ran.stderr);
    shell.ok(&["list", "--root-key-file", key, "--accept-rollback"]);
    shell.ok(&["list", "--root-key-file", key]);
}

#[test]
fn a_store_whose_first_bytes_are_damaged_is_restored_in_its_place_whatever_kind_it_was() {
    for kind in ["redb", "sqlite"] {
        let shell = Shell::new().variable("STRONGROOM_STORE", &format!("{kind}:v"));
        shell.ok(&["init"]);
        shell.define("PORT", "integer");
        shell.ok(&["backup", "file"]);
        let whole = fs::read(shell.path("v")).unwrap();
        let damaged = [&[!whole[0]], &whole[1..]].concat();
        for bytes in [damaged, Vec::new()] {
            fs::write(shell.path("v"), bytes).unwrap();
            let serve = ["serve", "--listen", "127.0.0.1:0"];
            for command in
                [&["list"][..], &["verify"], &["doctor"], &["init"], &serve, &["list", "--store", "v"]]
            {
                let ran = shell.run(command);
                let said = ran.stdout + &ran.stderr;
                assert!(
                    ran.code == 5 && said.contains("is damaged or empty, and by its mark"),
                    "{kind}: {said}"
                );
                assert!(said.contains("restore --replaces-original"), "{kind}: {said}");
            }
            fs::rename(shell.path("v"), shell.path("away")).unwrap();
            shell.ok(&["restore", "--replaces-original", "file"]);
            assert!(shell.ok(&["list"]).contains("PORT"));
        }
    }
}

#[test]
fn an_altered_header_is_damage_and_no_other_vault() {
    let shell = Shell::with_vault();
    shell.change_at(&[0, 1], |row| *row.last_mut().unwrap() ^= 1);
    for command in [&["list"][..], &["verify"], &["doctor"], &["serve", "--listen", "127.0.0.1:0"]] {
        let ran = shell.run(command);
        let said = ran.stdout + &ran.stderr;
        assert!(ran.code == 5 && said.contains("the store's header is damaged"), "{command:?}: {said}");
        let leads_out = said.contains("restore --replaces-original") && !said.contains("--accept-rollback");
        assert!(leads_out, "{command:?}: {said}");
    }
}

#[test]
fn a_new_vault_a_restore_a_rotation_and_a_move_are_no_alarm() {
    let (shell, _) = with_older_copy();
    shell.ok(&["rotate", "root"]);
    shell.ok(&["rotate", "data", "--all"]);
    shell.ok(&["list"]);
    shell.ok(&["backup", "file"]);
    shell.ok_with("82", &["set", "PORT"]);
    remove_all(&shell.store());
    shell.ok(&["restore", "file", "--replaces-original"]);
    assert_eq!(shell.ok(&["get", "PORT", "--reveal"]), "81");
    remove_all(&shell.store());
    shell.ok(&["restore", "file", "--as-new", "--backup-key-file", shell.key().to_str().unwrap()]);
    assert_eq!(shell.ok(&["get", "PORT", "--reveal"]), "81");
    shell.ok(&["migrate", "--to", "moved", "--yes"]);
    let moved = ["--store", "moved", "--root-key-file", shell.key().to_str().unwrap()].map(str::to_owned);
    let moved: Vec<&str> = moved.iter().map(String::as_str).collect();
    assert_eq!(shell.ok(&[&moved[..], &["get", "PORT", "--reveal"]].concat()), "81");
    assert!(shell.key_of("moved").with_extension("mark").exists(), "the mark moved too");
    shell.ok(&["list"]);
    remove_all(&shell.store());
    shell.ok(&["init", "--accept-rollback"]);
    shell.ok(&["list"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_command_that_did_its_work_and_could_not_say_so_moves_the_mark_too() {
    let shell = Shell::with_vault();
    shell.define("PORT", "integer");
    let copy = shell.path("copy");
    copy_all(&shell.store(), &copy);
    let mut define = shell.command(&["define", "HOST", "--format", "string"]);
    define.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    assert!(!define.status().unwrap().success());
    put_back(&shell, &copy);
    assert_eq!(shell.run(&["list"]).code, 6);
}

#[cfg(target_os = "linux")]
#[test]
fn the_mark_moves_before_a_command_says_what_it_did() {
    use std::io::Write as _;

    let shell = Shell::with_vault();
    let copy = shell.path("copy");
    copy_all(&shell.store(), &copy);
    let mark = || fs::read(mark_of(&shell)).unwrap();
    let (before, (reader, mut full)) = (mark(), std::io::pipe().unwrap());
    full.write_all(&[0; PIPE_BYTES]).unwrap();
    let mut define = shell.command(&["define", "HOST", "--format", "string"]);
    let mut waiting = define.stdout(full).spawn().unwrap();
    // As long as it takes to open a vault several times.
    let is_moved = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        mark() != before
    });
    assert!(is_moved && waiting.try_wait().unwrap().is_none(), "it waits for its reader");
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    drop(reader);
    put_back(&shell, &copy);
    assert_eq!(shell.run(&["list"]).code, 6);
}

#[test]
fn a_command_that_fails_after_it_wrote_moves_the_mark_and_one_that_wrote_nothing_does_not() {
    let shell = Shell::with_vault();
    shell.define("PORT", "integer");
    shell.ok_with("80", &["set", "PORT"]);
    let mark = || fs::read(mark_of(&shell)).unwrap();
    let before = mark();
    assert_eq!(shell.pipe("x", &["set", "NONE"]).code, 3);
    assert_eq!(mark(), before);
    shell.damage(&[0x20]);
    let copy = shell.path("copy");
    copy_all(&shell.store(), &copy);
    assert_eq!(shell.run(&["rotate", "data"]).code, 5, "the value keeps its old key");
    put_back(&shell, &copy);
    assert_eq!(shell.run(&["list"]).code, 6);
}

#[test]
fn kill_9_is_no_alarm_and_a_copy_from_before_a_server_ran_is_one() {
    let shell = Shell::with_vault();
    let copy = shell.path("copy");
    copy_all(&shell.store(), &copy);
    for _ in 0..3 {
        Server::start(&shell, &[]).kill();
        shell.ok(&["list"]);
    }
    for millis in [1, 3, 10, 20, 30] {
        let mut child = shell.command(&["define", "PORT", "--format", "string"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(millis));
        let _ = child.kill();
        child.wait().unwrap();
        shell.ok(&["list"]);
    }
    put_back(&shell, &copy);
    assert_eq!(shell.run(&["list"]).code, 6);
}

#[test]
fn a_mark_that_cannot_be_read_is_refused_and_one_that_cannot_be_kept_is_a_warning() {
    let shell = Shell::with_vault();
    fs::write(mark_of(&shell), "no mark\n").unwrap();
    let ran = shell.run(&["list"]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    shell.ok(&["list", "--accept-rollback"]);
    shell.ok(&["list"]);

    fs::remove_file(mark_of(&shell)).unwrap();
    fs::create_dir(mark_of(&shell)).unwrap();
    let ran = shell.run(&["define", "PORT", "--format", "string", "--accept-rollback"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("could not be saved"), "{}", ran.stderr);
}

/// What a pipe of Linux holds (pipe(7)).
#[cfg(target_os = "linux")]
const PIPE_BYTES: usize = 65_536;

/// What a hostile store shows to a server that runs: rows of a table of SQLite.
#[cfg(feature = "sqlite")]
mod rows {
    use rusqlite::Connection;

    use super::*;

    fn served() -> (Shell, PathBuf) {
        let shell = Shell::new();
        let path = shell.path("vault.db");
        let shell = shell.variable("STRONGROOM_STORE", &format!("sqlite:{}", path.display()));
        (shell, path)
    }

    /// Keeps the rows of now beside the others.
    fn keep(store: &Path) {
        let rows = "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT * FROM strongroom_rows";
        Connection::open(store).unwrap().execute_batch(rows).unwrap();
    }

    /// Puts the kept rows back.
    fn put_back(store: &Path) {
        let rows = "BEGIN; DELETE FROM strongroom_rows;
             INSERT INTO strongroom_rows SELECT * FROM kept; COMMIT";
        Connection::open(store).unwrap().execute_batch(rows).unwrap();
    }

    #[test]
    fn a_server_does_not_follow_a_root_key_backwards() {
        let (shell, store) = served();
        let server = Server::start(&shell, &[]);
        shell.define("PORT", "integer");
        assert_eq!(server.stop(), 0);
        keep(&store);
        shell.ok(&["rotate", "root"]);
        let server = Server::start(&shell, &[]);
        let id = shell.json(&["show", "PORT"])["id"].as_str().unwrap().to_owned();
        let body = format!(r#"{{"variable_definition_id":"{id}","value":"80"}}"#);
        let set =
            || server.send("POST", "/api/v2/public/env/values", &[("x-api-key", server.api_key())], &body).0;
        assert_eq!(set(), 200);

        put_back(&store);
        // As long as it takes to open a vault several times.
        for _ in 0..30 {
            assert_ne!(set(), 200);
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_ne!(server.send("GET", "/readyz", &[], "").0, 200);
    }

    #[test]
    fn a_store_whose_rows_are_gone_is_told_from_one_that_never_had_a_vault() {
        for (gone, says) in [("k < x'0002'", "holds no vault"), ("true", "is empty")] {
            let (shell, store) = served();
            shell.ok(&["init"]);
            let delete = format!("DELETE FROM strongroom_rows WHERE {gone}");
            Connection::open(&store).unwrap().execute(&delete, ()).unwrap();
            for command in [&["list"][..], &["verify"], &["doctor"], &["serve", "--listen", "127.0.0.1:0"]] {
                let ran = shell.run(command);
                let said = ran.stdout + &ran.stderr;
                assert!(ran.code == 6 && said.contains(&format!("{says}, and by its mark")), "{said}");
            }
        }
    }

    #[test]
    fn neither_a_probe_nor_a_server_that_stops_takes_an_older_store_for_the_newest() {
        let (shell, store) = served();
        let server = Server::start(&shell, &[]);
        shell.define("PORT", "integer");
        shell.ok_with("80", &["set", "PORT"]);
        keep(&store);
        shell.ok_with("81", &["set", "PORT"]);
        put_back(&store);
        let is_refused = || shell.run(&["get", "PORT", "--reveal"]).code == 6;
        assert!(is_refused());
        server.send("GET", "/readyz", &[], "");
        assert!(is_refused(), "after a probe");
        server.stop();
        assert!(is_refused(), "after a stop");
    }
}
