//! `edit`.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod shell;

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;
use shell::Shell;

/// Three variables, and an editor that does this to their file.
fn vault(store: &str, editor: &str) -> Shell {
    let shell = Shell::new().variable("STRONGROOM_STORE", store).variable("XDG_RUNTIME_DIR", "run");
    std::fs::create_dir(shell.path("run")).unwrap();
    shell.ok(&["init"]);
    shell.define("PORT", "integer");
    shell.define("NAME", "string");
    shell.define("TOKEN", "string");
    shell.ok_with("80", &["set", "PORT"]);
    shell.ok_with("two\nlines $x 'y'", &["set", "NAME"]);
    shell.ok_with("hunter2", &["set", "TOKEN"]);
    shell.variable("EDITOR", editor)
}

#[test]
fn only_what_was_changed_is_written() {
    for store in ["redb:v", "sled:v", "sqlite:v"] {
        let shell = vault(store, "sed -i s/hunter2/hunter3/");
        let ran = shell.run(&["edit"]);
        assert_eq!(ran.code, 2, "nothing is written without consent: {}", ran.stderr);
        assert!(
            ran.stderr.contains("set 1 value at org") && !format!("{ran:?}").contains("hunter"),
            "{ran:?}"
        );
        assert_eq!(shell.ok(&["get", "TOKEN", "--reveal"]), "hunter2");
        let done = shell.json(&["edit", "--yes"]);
        assert_eq!((&done["update"], &done["variables"][0]["name"]), (&json!(1), &json!("TOKEN")), "{store}");
        assert_eq!(shell.ok(&["get", "TOKEN", "--reveal"]), "hunter3");
        assert_eq!(shell.ok(&["get", "NAME", "--reveal"]), "two\nlines $x 'y'");
        assert_eq!(std::fs::read_dir(shell.path("run")).unwrap().count(), 0, "the file is gone");
    }
}

#[test]
fn that_the_vault_was_moved_is_said_once_however_often_it_is_opened() {
    let shell = vault("redb:v", "sed -i s/hunter2/hunter3/");
    shell.ok(&["migrate", "--to", "redb:moved", "--yes"]);
    let ran = shell.run(&["edit", "--yes"]);
    assert_eq!((ran.code, ran.stderr.matches("no write is taken").count()), (6, 1), "{}", ran.stderr);
}

#[test]
fn a_program_is_told_which_value_was_refused_and_why() {
    let shell = vault("redb:v", "sed -i s/80/eighty/");
    let ran = shell.run(&["--json", "edit", "--yes"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("PORT: ") && ran.stderr.contains("an integer"), "{}", ran.stderr);
}

#[test]
fn the_file_is_its_owners_and_the_store_is_free_meanwhile() {
    let shell = vault("redb:v", "");
    shell.write(
        "editor",
        "#!/bin/sh\nstat -c %a \"$1\" >mode\n\"$STRONGROOM\" --store redb:v --wait 0 list >list\n",
    );
    let shell =
        shell.variable("VISUAL", "sh editor").variable("STRONGROOM", env!("CARGO_BIN_EXE_strongroom"));
    assert_eq!(shell.ok(&["edit"]), "nothing was changed\n");
    assert_eq!(std::fs::read_to_string(shell.path("mode")).unwrap(), "600\n");
    assert!(std::fs::read_to_string(shell.path("list")).unwrap().contains("TOKEN"));
}

#[test]
fn the_editor_gets_nothing_that_opens_the_vault() {
    let shell = vault("redb:v", "sh editor").variable("PGPASSWORD", "hunter4");
    let shell = shell.variable("STRONGROOM_API_KEY", "hunter5").variable("OTHER", "kept");
    shell.write("editor", "env >seen");
    assert_eq!(shell.ok(&["edit"]), "nothing was changed\n");
    let seen = std::fs::read_to_string(shell.path("seen")).unwrap();
    assert!(!seen.contains("STRONGROOM_") && !seen.contains("hunter"), "{seen}");
    assert!(seen.contains("OTHER=kept"));
}

#[test]
fn no_file_is_left_behind_when_the_command_is_told_to_end() {
    for signal in ["-TERM", "-HUP", "-ABRT", "-ALRM"] {
        let shell = vault("redb:v", "sh editor");
        shell.write("editor", "trap - HUP TERM ABRT ALRM; echo open >opened; exec sleep 60");
        let mut command = shell.command(&["edit"]);
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while !shell.path("opened").exists() {
            assert!(Instant::now() < end, "the editor opened nothing");
            sleep(Duration::from_millis(20));
        }
        assert_eq!(std::fs::read_dir(shell.path("run")).unwrap().count(), 1, "what is edited");
        let owner = std::fs::metadata(format!("/proc/{}/environ", child.id())).unwrap();
        let is_hidden = rustix::process::geteuid().is_root()
            || std::os::unix::fs::MetadataExt::uid(&owner) != rustix::process::geteuid().as_raw();
        assert!(is_hidden, "the editor could read the memory of this process");
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.code() == Some(1) && said.contains("the editor ended"), "{said}");
        assert_eq!(std::fs::read_dir(shell.path("run")).unwrap().count(), 0, "{signal}");
    }
}

#[test]
fn a_directory_in_which_others_could_change_the_file_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let shell = vault("redb:v", "sh editor").variable("TMPDIR", "private");
    std::fs::create_dir(shell.path("private")).unwrap();
    std::fs::set_permissions(shell.path("run"), std::fs::Permissions::from_mode(0o777)).unwrap();
    shell.write("editor", "echo \"$1\" >opened");
    shell.ok(&["edit"]);
    let opened = std::fs::read_to_string(shell.path("opened")).unwrap();
    assert!(opened.contains("/private/"), "{opened}");
}

#[test]
fn what_cannot_be_set_keeps_all_out() {
    for (editor, code, said) in [
        ("sed -i s/80/http/;s/hunter2/x/", 4, "1 cannot be set"),
        ("sed -i s/TOKEN=hunter2/\\x27/", 4, "cannot be read"),
        ("sed -i s/hunter2/x/;s/TOKEN/TOKNE/", 4, "1 cannot be set"),
        ("false", 1, "the editor ended"),
        ("no-such-editor", 1, "the editor ended"),
        ("", 2, "no editor is chosen"),
    ] {
        let shell = vault("redb:v", editor);
        let ran = shell.run(&["edit", "--yes"]);
        assert_eq!(ran.code, code, "{editor}: {}", ran.stderr);
        assert!(ran.stderr.contains(said) && !format!("{ran:?}").contains("hunter2"), "{editor}: {ran:?}");
        assert_eq!(shell.ok(&["get", "TOKEN", "--reveal"]), "hunter2");
    }
}

#[test]
fn a_line_that_is_gone_deletes_nothing_and_a_value_set_meanwhile_is_not_overwritten() {
    let shell = vault("redb:v", "sed -i /TOKEN/d");
    let ran = shell.run(&["edit", "--yes"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "nothing was changed\n"));
    assert!(ran.stderr.contains("TOKEN stay as they are"), "{}", ran.stderr);
    shell.write(
        "editor",
        "printf other | \"$STRONGROOM\" --store redb:v set TOKEN\nsed -i s/hunter2/mine/ \"$1\"\n",
    );
    let shell =
        shell.variable("VISUAL", "sh editor").variable("STRONGROOM", env!("CARGO_BIN_EXE_strongroom"));
    let ran = shell.run(&["edit", "--yes"]);
    assert_eq!(ran.code, 4);
    assert!(ran.stderr.contains("changed by somebody else"), "{}", ran.stderr);
    assert_eq!(shell.ok(&["get", "TOKEN", "--reveal"]), "other");
}

#[test]
fn a_value_that_was_deleted_meanwhile_is_not_brought_back() {
    let shell = vault("redb:v", "sh editor").variable("STRONGROOM", env!("CARGO_BIN_EXE_strongroom"));
    shell.write(
        "editor",
        "\"$STRONGROOM\" --store redb:v delete TOKEN --yes\nsed -i s/hunter2/mine/ \"$1\"\n",
    );
    let ran = shell.run(&["edit", "--yes"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("changed by somebody else"), "{}", ran.stderr);
    assert_eq!(shell.run(&["get", "TOKEN"]).code, 3);
}

#[test]
fn an_older_store_that_takes_the_place_of_the_one_that_was_accepted_is_refused() {
    let shell = vault("redb:v", "sh ./editor");
    std::fs::copy(shell.path("v"), shell.path("copy")).unwrap();
    shell.ok_with("81", &["set", "PORT"]);
    shell.write("editor", "cp copy v; sed -i s/hunter2/mine/ \"$1\"");
    let ran = shell.run(&["edit", "--yes", "--accept-rollback"]);
    assert!(ran.code == 6 && ran.stderr.contains("older"), "{ran:?}");
    assert_eq!(shell.ok(&["get", "TOKEN", "--reveal", "--accept-rollback"]), "hunter2");
}

#[test]
fn what_an_editor_leaves_beside_the_draft_goes_with_it() {
    let shell = vault("redb:v", "sh ./editor");
    shell.write(
        "editor",
        "cp \"$1\" \"$1~\"; cp \"$1\" \"$(dirname \"$1\")/.values.env.un~\"; sed -i s/80/90/ \"$1\"",
    );
    shell.ok(&["edit", "--yes"]);
    assert_eq!(shell.ok(&["get", "PORT", "--reveal"]), "90");
    assert_eq!(std::fs::read_dir(shell.path("run")).unwrap().count(), 0, "nothing is left");
}

#[test]
fn a_draft_that_is_not_utf_8_is_named_and_a_name_that_stands_twice_is_noted() {
    let shell = vault("redb:v", "sh ./editor");
    shell.write("editor", r#"printf 'PORT=90\nNAME=\374\n' > "$1""#);
    let ran = shell.run(&["edit", "--yes"]);
    assert!(ran.code == 4 && ran.stderr.contains("not UTF-8"), "{}", ran.stderr);
    shell.write("editor", r#"printf 'PORT=90\nPORT=91\n' >> "$1""#);
    let ran = shell.run(&["edit", "--yes"]);
    assert!(ran.code == 0 && ran.stderr.contains("note: what was edited, line"), "{}", ran.stderr);
}
