//! Accounts and environments that are not there: each command names them, on a store and on a server.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod shell;

use shell::Shell;
use shell::server::Server;

const RIGHTS: [&str; 6] = ["documented", "read", "write", "reveal", "admin", "operate"];

/// A vault with a variable and an account, the server of it, and a shell that calls the server.
fn served() -> (Shell, Server, Shell) {
    let here = Shell::with_vault().variable("EDITOR", "true");
    here.define("X", "string");
    here.ok_with("one", &["set", "X"]);
    here.ok(&["account", "create", "alice", "--default-app"]);
    let server = Server::start(&here, &[]);
    let mut create = vec!["api-key", "create", "all"];
    RIGHTS.iter().for_each(|right| create.extend(["--right", right]));
    let key = here.json(&create)["api_key"].as_str().unwrap().to_owned();
    let there = Shell::new().variable("STRONGROOM_URL", server.text("url")).variable("EDITOR", "true");
    let there = there.variable("STRONGROOM_API_KEY", &key);
    for shell in [&here, &there] {
        shell.write("x.env", "X=two\n");
        shell.write("template", "{{ X }}\n");
    }
    (here, server, there)
}

#[test]
fn a_mistyped_account_is_named_by_every_command() {
    let (here, server, there) = served();
    for command in [
        &["resolve", "X", "--account", "nobody"][..],
        &["explain", "X", "--account", "nobody"],
        &["list", "--values", "--account", "nobody"],
        &["export", "--reveal", "--account", "nobody"],
        &["inject", "template", "--reveal", "--account", "nobody"],
        &["run", "--account", "nobody", "--", "true"],
        &["diff", "@account:nobody", "test"],
        &["diff", "test", "@account:nobody"],
        &["copy", "@account:nobody", "@account:alice", "--dry-run"],
        &["credential", "list", "--account", "nobody"],
        &["credential", "reveal", "k", "--account", "nobody"],
        &["credential", "delete", "k", "--account", "nobody", "--yes"],
        &["account", "apps", "nobody"],
        &["account", "add-app", "nobody"],
        &["account", "remove-app", "nobody", "--yes"],
        &["account", "delete", "nobody", "--yes"],
        &["account", "sessions", "nobody"],
        &["account", "end-sessions", "nobody"],
        &["rotate", "data", "--account", "nobody"],
    ] {
        for shell in [&here, &there] {
            let ran = shell.run(command);
            assert_eq!(ran.code, 3, "{command:?}: {ran:?}");
            assert!(ran.stderr.contains("account"), "{command:?}: {ran:?}");
        }
    }
    // What may make something for an account that is registered later says so.
    for command in [
        &["edit", "--account", "nobody"][..],
        &["import", "x.env", "--account", "nobody", "--dry-run"],
        &["copy", "test", "@account:nobody", "--dry-run"],
        &["api-key", "create", "k", "--right", "read", "--account", "nobody"],
    ] {
        for shell in [&here, &there] {
            let ran = shell.run(command);
            assert!(ran.code == 0, "{command:?}: {ran:?}");
            assert!(ran.stderr.contains("nobody is no registered linked account"), "{command:?}: {ran:?}");
        }
    }
    for (shell, account) in [(&here, "nobody_1"), (&there, "nobody_2")] {
        let ran = shell.pipe("two", &["set", "X", "--account", account]);
        assert!(ran.code == 0 && ran.stderr.contains("is no registered linked account"), "{ran:?}");
        // From now on it is known.
        assert!(shell.pipe("two", &["set", "X", "--account", account]).stderr.is_empty());
        shell.ok(&["explain", "X", "--account", account]);
    }
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_key_for_the_documented_calls_names_a_mistyped_account_too() {
    let (here, server, _) = served();
    let key = here.json(&["api-key", "create", "documented"])["api_key"].as_str().unwrap().to_owned();
    let there = Shell::new().variable("STRONGROOM_URL", server.text("url"));
    let there = there.variable("STRONGROOM_API_KEY", &key);
    let ran = there.run(&["resolve", "X", "--account", "nobody"]);
    assert!(ran.code == 3 && ran.stderr.contains("nobody"), "{ran:?}");
    there.ok(&["resolve", "X", "--account", "alice"]);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_mistyped_environment_is_named_by_every_command_and_made_by_none_that_only_acts_there() {
    let here = Shell::with_vault().variable("EDITOR", "true");
    here.define("X", "string");
    here.ok_with("one", &["set", "X"]);
    here.write("template", "{{ X }}\n");
    for (command, code) in [
        (&["get", "X"][..], 3),
        (&["resolve", "X"], 3),
        (&["explain", "X"], 3),
        (&["history", "X"], 3),
        (&["show", "X"], 3),
        (&["delete", "X", "--yes"], 3),
        (&["export", "--reveal"], 3),
        (&["inject", "template", "--reveal"], 3),
        (&["run", "--", "true"], 3),
        (&["account", "end-sessions", "--all"], 3),
        (&["verify", "--org-only"], 3),
        (&["rotate", "data"], 3),
        (&["edit"], 3),
        (&["audit", "--export", "events"], 3),
        (&["list"], 0),
        (&["search", "X"], 0),
        (&["environments"], 0),
        (&["account", "list"], 0),
        (&["api-key", "list"], 0),
        (&["audit"], 3),
    ] {
        let ran = here.run(&[&["--environment", "tset"], command].concat());
        assert_eq!(ran.code, code, "{command:?}: {ran:?}");
        assert!(ran.stderr.contains("tset"), "{command:?}: {ran:?}");
    }
    assert_eq!(here.json(&["environments"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_key_that_replaces_itself_is_still_taken_if_the_new_one_is_lost() {
    let (_here, server, there) = served();
    let own = |shell: &Shell| {
        shell.json(&["api-key", "list"]).as_array().unwrap().iter().find(|key| key["name"] == "all").unwrap()
            ["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let id = own(&there);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let lost = there.command(&["api-key", "rotate", &id]).stdout(full).output().unwrap();
    assert!(!lost.status.success());
    there.ok(&["list"]);
    let refused = there.run(&["api-key", "rotate", &id, "--grace", "0s"]);
    assert!(refused.code == 2 && refused.stderr.contains("--grace 60s at least"), "{refused:?}");
    there.ok(&["list"]);
    assert_eq!(server.stop(), 0);
}
