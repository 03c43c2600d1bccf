//! Every command works on a store that a server has open, and the server sees at once what it did.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod shell;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use shell::Shell;
use shell::server::Server;

/// A vault on this kind of store, served.
fn served(kind: &str) -> (Shell, Server) {
    let shell = Shell::new();
    let store = format!("{kind}:{}", shell.path("vault").display());
    let shell = shell.variable("STRONGROOM_STORE", &store);
    let server = Server::start(&shell, &[]);
    (shell, server)
}

/// What a run of the server's own account sees of a variable that is not encrypted.
fn seen(server: &Server, shell: &Shell, name: &str) -> Option<String> {
    let id = shell.json(&["show", name])["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v2/public/env/value/{id}");
    let (status, body) = server.send("GET", &path, &[("x-api-key", server.api_key())], "");
    (status == 200).then(|| body["value"].as_str().unwrap().to_owned())
}

fn every_command_works_on_a_served_store(kind: &str) {
    let (shell, server) = served(kind);
    let mode = fs::symlink_metadata(shell.path("vault.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    shell.define("PORT", "integer");
    shell.ok_with("80", &["set", "PORT"]);
    assert_eq!(seen(&server, &shell, "PORT").as_deref(), Some("80"));
    shell.ok_with("81", &["set", "PORT"]);
    assert_eq!(seen(&server, &shell, "PORT").as_deref(), Some("81"), "the server keeps nothing of before");
    shell.ok(&["undo", "PORT", "--yes"]);
    assert_eq!(seen(&server, &shell, "PORT").as_deref(), Some("80"));
    shell.ok(&["define", "PORT", "--change", "--format", "number", "--description", "where to listen"]);

    shell.ok(&["account", "create", "user_1", "--default-app"]);
    shell.ok_with("k1", &["credential", "set", "api_key", "--account", "user_1"]);
    shell.ok_with("82", &["set", "PORT", "--account", "user_1"]);
    shell.write("a.env", "HOST=h\n");
    shell.write("a.tpl", "{{ PORT }}");
    shell.ok(&["import", "a.env", "--plain", "HOST"]);
    assert_eq!(seen(&server, &shell, "HOST").as_deref(), Some("h"));
    for command in [
        &["show", "PORT"][..],
        &["get", "PORT", "--reveal"],
        &["resolve", "--account", "user_1"],
        &["explain", "PORT", "--account", "user_1"],
        &["list"],
        &["list", "--values"],
        &["search", "PORT"],
        &["orgs"],
        &["environments"],
        &["history", "PORT"],
        &["credential", "list", "--account", "user_1"],
        &["credential", "reveal", "api_key", "--account", "user_1"],
        &["credential", "history", "api_key", "--account", "user_1"],
        &["account", "list"],
        &["account", "add-app", "user_1", "--app", "mail"],
        &["account", "apps", "user_1"],
        &["account", "remove-app", "user_1", "--app", "mail", "--yes"],
        &["account", "sessions", "user_1"],
        &["account", "end-sessions", "user_1"],
        &["account", "create", "user_2"],
        &["account", "delete", "user_2", "--yes"],
        &["export", "--reveal"],
        &["diff", "test", "test@account:user_1"],
        &["copy", "test", "production", "--yes"],
        &["inject", "a.tpl", "--reveal"],
        &["run", "--", "true"],
        &["doctor"],
        &["verify"],
        &["checkpoint", "a.checkpoint"],
        &["verify", "--checkpoint", "a.checkpoint"],
        &["backup", "a.backup"],
        &["--org", "000000000000000000000001", "backup", "org.backup"],
        &["audit", "--on"],
        &["audit"],
        &["audit", "--off"],
        &["slot", "list"],
        &["slot", "add", "--new-root-key-file", "other.key"],
        &["rotate", "data"],
        &["shred", "environment", "production", "--yes"],
        &["job", "list"],
        &["job", "run"],
        &["api-key", "list"],
        &["credential", "delete", "api_key", "--account", "user_1", "--yes"],
        &["credential", "undo", "api_key", "--account", "user_1", "--yes"],
        &["delete", "HOST", "--yes"],
        &["undo", "HOST", "--yes"],
        &["delete", "HOST", "--definition", "--yes"],
    ] {
        shell.ok(command);
    }
    assert_eq!(shell.ok(&["run", "--account", "user_1", "--", "printenv", "PORT"]), "82\n");
    let versions = shell.json(&["history", "PORT"]);
    let version = versions[1]["version"].as_str().unwrap();
    shell.ok(&["revert", "PORT", "--version", version, "--yes"]);
    shell.ok(&["undo", "PORT", "--yes"]);
    let edited = shell.command(&["edit", "--yes"]).env("EDITOR", "sed -i s/80/90/").output().unwrap();
    assert!(edited.status.success(), "{edited:?}");
    assert_eq!(seen(&server, &shell, "PORT").as_deref(), Some("90"));

    let key = shell.json(&["api-key", "create", "deploy", "--right", "read", "--only", "PORT"]);
    let id = key["id"].as_str().unwrap();
    let control =
        |key: &str| server.send("GET", "/api/admin/v1/definitions/PORT", &[("x-api-key", key)], "").0;
    assert_eq!(control(key["api_key"].as_str().unwrap()), 200);
    let next = shell.json(&["api-key", "rotate", id, "--grace", "1h"]);
    assert_eq!(control(next["api_key"].as_str().unwrap()), 200);
    shell.ok(&["api-key", "revoke", id]);
    assert_eq!(control(key["api_key"].as_str().unwrap()), 401);

    shell.ok(&["shred", "account", "user_1", "--yes"]);
    let (status, _) =
        server.send("GET", "/api/v2/public/linked-account/user_1", &[("x-api-key", server.api_key())], "");
    assert_eq!(status, 404);
    for page in pages() {
        let is_elsewhere = ELSEWHERE.iter().any(|one| page.starts_with(one));
        assert!(is_elsewhere || shell.has_run(&page), "{page}: run it here, or say why it is elsewhere");
    }
    assert_eq!(server.stop(), 0);
    assert!(!shell.path("vault.sock").exists());
    shell.ok(&["verify"]);
}

/// The commands, each with its words as the name of its manual page has them.
fn pages() -> Vec<String> {
    let shell = Shell::new();
    shell.ok(&["man", "man1"]);
    let names = fs::read_dir(shell.path("man1")).unwrap().map(|page| page.unwrap().file_name());
    let words = |name: std::ffi::OsString| {
        let name = name.into_string().unwrap();
        name.strip_prefix("strongroom-").and_then(|name| name.strip_suffix(".1")).map(str::to_owned)
    };
    names.filter_map(words).collect()
}

/// What does not work on the store of a server, or is in a test of its own.
#[rustfmt::skip]
const ELSEWHERE: &[&str] = &[
    // They make a vault or leave one, or need none.
    "init", "restore", "migrate", "serve", "completions", "man", "health", "allow",
    // They take the key of the server away, or a job or restore that was interrupted, or a version that is known.
    "rotate-root", "slot-change", "slot-remove", "job-abandon", "job-pause", "job-resume", "job-retry",
    "shred-restore", "credential-revert",
];

#[test]
fn every_command_works_on_a_served_redb_store() {
    every_command_works_on_a_served_store("redb");
}

#[test]
fn every_command_works_on_a_served_sled_store() {
    every_command_works_on_a_served_store("sled");
}

#[test]
fn an_org_is_restored_into_a_served_store() {
    let (shell, server) = served("redb");
    let org = "6500a1b2c3d4e5f6a7b8c9d0";
    shell.ok(&["--store", "other", "init"]);
    shell.ok(&["--store", "other", "--org", org, "define", "PORT", "--format", "integer"]);
    shell.ok_with("80", &["--store", "other", "--org", org, "set", "PORT"]);
    shell.ok(&["--store", "other", "--org", org, "backup", "org.backup"]);
    shell.ok(&["--org", org, "restore", "org.backup"]);
    assert_eq!(shell.ok(&["--org", org, "get", "PORT", "--reveal"]), "80");
    server.stop();
}

#[test]
fn a_server_that_was_killed_leaves_nothing_in_the_way() {
    let (shell, server) = served("redb");
    server.kill();
    assert!(shell.path("vault.sock").exists());
    shell.ok(&["list"]);
    let server = Server::start(&shell, &[]);
    shell.ok(&["list"]);
    server.stop();
}

#[test]
fn what_lies_in_the_place_of_the_socket_is_left_there_and_said() {
    let shell = Shell::new();
    let shell = shell.variable("STRONGROOM_STORE", "redb:vault");
    shell.write("vault.sock", "mine");
    fs::set_permissions(shell.path("vault.sock"), fs::Permissions::from_mode(0o600)).unwrap();
    let server = Server::start(&shell, &[]);
    let refused = shell.run(&["--wait", "0", "list"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert_eq!(fs::read_to_string(shell.path("vault.sock")).unwrap(), "mine");
    server.stop();
}

#[test]
fn two_servers_do_not_share_one_embedded_store() {
    let (shell, server) = served("redb");
    let second = shell.run(&["--wait", "0", "serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, 6, "{}", second.stderr);
    shell.ok(&["list"]);
    server.stop();
}

#[test]
fn a_root_key_that_was_rotated_beside_a_server_costs_no_call() {
    let (shell, server) = served("redb");
    shell.define("PORT", "integer");
    let id = shell.json(&["show", "PORT"])["id"].as_str().unwrap().to_owned();
    let own = [("x-api-key", server.api_key())];
    for value in ["80", "81"] {
        shell.ok(&["rotate", "root"]);
        let body = format!(r#"{{"variable_definition_id":"{id}","value":"{value}"}}"#);
        assert_eq!(server.send("POST", "/api/v2/public/env/values", &own, &body).0, 200);
        shell.ok(&["rotate", "root"]);
        assert_eq!(seen(&server, &shell, "PORT").as_deref(), Some(value));
        shell.ok(&["rotate", "root"]);
        // It makes keys, which the root seals.
        let account =
            format!(r#"{{"account_id":"user_{value}","your_app":{{"auth_credentials":{{"k":"c"}}}}}}"#);
        assert_eq!(server.send("POST", "/api/v2/public/linked-account", &own, &account).0, 200);
        shell.ok(&["rotate", "root"]);
        assert_eq!(server.send("GET", "/readyz", &[], "").0, 200);
    }
    shell.ok(&["verify"]);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_root_key_that_only_another_key_opens_is_taken_up_once_the_server_has_that() {
    let (shell, server) = served("redb");
    shell.define("PORT", "integer");
    shell.ok_with("80", &["set", "PORT"]);
    assert_eq!(seen(&server, &shell, "PORT").as_deref(), Some("80"));
    let slots = shell.json(&["slot", "list"]);
    let leaked = slots[0]["id"].as_str().unwrap();
    shell.ok(&["slot", "add", "--new-root-key-file", "new.key"]);
    shell.ok(&["--root-key-file", "new.key", "rotate", "root", "--drop", leaked]);
    fs::copy(shell.path("new.key"), shell.key_of("vault")).unwrap();
    let id = shell.json(&["show", "PORT"])["id"].as_str().unwrap().to_owned();
    let body = format!(r#"{{"variable_definition_id":"{id}","value":"81"}}"#);
    let set = || server.send("POST", "/api/v2/public/env/values", &[("x-api-key", server.api_key())], &body);
    loop {
        match set().0 {
            200 => break,
            // Until it has the new one: to be sent again.
            status => assert_eq!(status, 503),
        }
    }
    assert_eq!(server.send("GET", "/readyz", &[], "").0, 200);
    assert_eq!(shell.ok(&["get", "PORT", "--reveal"]), "81");
    shell.ok(&["verify"]);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_served_vault_moves_with_consent_and_its_server_says_where_it_went() {
    let (shell, server) = served("redb");
    let ran = shell.run(&["migrate", "--to", "redb:moved"]);
    assert!(ran.code == 2 && ran.stderr.contains("a server that has it open"), "{}", ran.stderr);
    assert_eq!(server.send("GET", "/readyz", &[], "").0, 200);
    shell.ok(&["migrate", "--to", "redb:moved", "--yes"]);
    // A probe of a moment ago still counts.
    let moved = loop {
        let (status, said) = server.send("GET", "/readyz", &[], "");
        if status != 200 {
            break said;
        }
    };
    assert!(moved["message"].as_str().unwrap().contains("moved to another store"), "{moved}");
    let key = shell.key_of("vault").display().to_string();
    shell.ok(&["--store", "redb:moved", "--root-key-file", &key, "verify"]);
    server.stop();
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for_without_end() {
    let (shell, server) = served("redb");
    server.signal("-STOP");
    let began = std::time::Instant::now();
    let ran = shell.run(&["--wait", "0", "list"]);
    server.signal("-CONT");
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(began.elapsed() < std::time::Duration::from_secs(20));
    server.stop();
}

#[test]
fn forty_commands_at_once_all_succeed_and_none_complains() {
    let (shell, server) = served("redb");
    let names: Vec<_> = (0..40).map(|n| format!("V{n}")).collect();
    shell.write("a.env", names.iter().map(|name| format!("{name}=x\n")).collect::<String>());
    shell.ok(&["import", "a.env"]);
    let set = |name: &String| shell.pipe("y", &["set", name]);
    std::thread::scope(|scope| {
        let all: Vec<_> = names.iter().map(|name| scope.spawn(move || set(name))).collect();
        for ran in all {
            let ran = ran.join().unwrap();
            assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        }
    });
    server.stop();
}

#[test]
fn a_command_outlasts_the_server_through_which_it_reached_the_store() {
    let (shell, mut server) = served("redb");
    let names: Vec<String> = (0..20).map(|n| format!("N{n}")).collect();
    shell.write("a.env", names.iter().map(|name| format!("{name}=x\n")).collect::<String>());
    shell.ok(&["import", "a.env"]);
    for round in ["1", "2", "3"] {
        let (ended, first) = std::sync::mpsc::channel();
        let set = |name: &str, ended: std::sync::mpsc::Sender<()>| {
            let ran = shell.pipe(round, &["set", name]);
            let _ = ended.send(());
            ran
        };
        std::thread::scope(|scope| {
            let all: Vec<_> = names
                .iter()
                .map(|name| (ended.clone(), name))
                .map(|(ended, name)| scope.spawn(move || set(name, ended)))
                .collect();
            // The others are on their way.
            first.recv().unwrap();
            server.stop();
            for ran in all {
                let ran = ran.join().unwrap();
                assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
            }
        });
        for name in &names {
            assert_eq!(shell.ok(&["get", name, "--reveal"]), round);
        }
        server = Server::start(&shell, &[]);
    }
    server.stop();
}

#[test]
fn a_revoked_key_leaves_no_session_if_that_is_asked() {
    let (shell, server) = served("redb");
    shell.ok(&["account", "create", "user_1"]);
    let key = shell.json(&["api-key", "create", "app"]);
    let (id, key) = (key["id"].as_str().unwrap(), key["api_key"].as_str().unwrap());
    let session = || {
        let call = "/api/v2/public/session-token";
        let (status, said) =
            server.send("POST", call, &[("x-api-key", key)], r#"{"linked_account_id":"user_1"}"#);
        assert_eq!(status, 200, "{said}");
    };
    session();
    assert_eq!(shell.json(&["account", "sessions", "user_1"]).as_array().unwrap().len(), 1);
    assert_eq!(shell.json(&["account", "end-sessions", "user_1"])["ended"], 1);
    assert_eq!(shell.run(&["account", "end-sessions", "nobody"]).code, 3);
    assert_eq!(shell.json(&["account", "sessions", "user_1"]).as_array().unwrap().len(), 0);
    session();
    let other = shell.json(&["api-key", "create", "other"]);
    let ran = shell.run(&["api-key", "revoke", other["id"].as_str().unwrap()]);
    assert!(ran.stderr.contains("account end-sessions --all"), "{}", ran.stderr);
    assert_eq!(shell.json(&["account", "sessions", "user_1"]).as_array().unwrap().len(), 1);
    assert_eq!(shell.json(&["api-key", "revoke", id, "--with-sessions"])["sessions"], 1);
    assert_eq!(shell.json(&["account", "sessions", "user_1"]).as_array().unwrap().len(), 0);
    assert_eq!(shell.json(&["account", "end-sessions", "--all"])["ended"], 0);
    server.stop();
}
