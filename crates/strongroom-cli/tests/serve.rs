//! `serve`.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod shell;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use futures_executor::block_on;
use serde_json::Value;
use shell::Shell;
use shell::server::Server;
use strongroom::store::{Key, Store as _, WriteBatch};
use strongroom_redb::RedbStore;

#[test]
fn the_first_run_makes_all_that_the_first_requests_need() {
    let shell = Shell::new();
    let server = Server::start(&shell, &[]);
    let key = ("x-api-key", server.api_key());
    let account = server.text("linked_account_id");
    let definition = server.text("variable_definition_id");
    let body =
        format!(r#"{{"variable_definition_id":"{definition}","linked_account_id":"{account}","value":"v"}}"#);
    let (status, set) = server.send("POST", "/api/v2/public/env/values", &[key], &body);
    assert_eq!((status, set["linked_account_id"].as_str()), (200, Some(account)), "{set}");
    let path = "/api/v2/public/linked-account/default-app/auth-credentials/api_key";
    let headers = [key, ("linked_account_id", account)];
    let (status, put) = server.send("PUT", path, &headers, r#"{"value":"k1"}"#);
    assert_eq!((status, put["action"].as_str()), (200, Some("added")), "{put}");
    assert!(shell.key().is_file());
    assert_eq!(server.stop(), 0);
}

#[test]
fn the_first_key_goes_to_no_file_but_a_private_one() {
    use std::os::unix::fs::PermissionsExt;
    let shell = Shell::new();
    let mut child =
        shell.command(&["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let text: Vec<_> = lines.by_ref().take_while(|line| !line.starts_with("Add or update")).collect();
    let (text, keys) = (text.join("\n"), shell.path(".config/strongroom/api-keys"));
    let file = std::fs::read_dir(keys).unwrap().next().unwrap().unwrap().path();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let key = std::fs::read_to_string(&file).unwrap();
    assert!(key.starts_with("tk_") && !text.contains(key.trim_end()), "{text}");
    // Each request can be pasted as it is printed.
    let request = text.split_once("curl").unwrap().1;
    let pasted =
        Command::new("sh").args(["-c", &format!("curl --silent --fail {request}")]).output().unwrap();
    assert!(pasted.status.success(), "{request}: {pasted:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_first_key_is_not_in_json_that_goes_to_a_pipe() {
    let shell = Shell::new();
    let server = Server::start(&shell, &[]);
    assert!(server.api_key().starts_with("tk_"));
    assert!(!server.ready.to_string().contains(server.api_key()), "{}", server.ready);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_later_run_serves_what_is_there_and_makes_no_key() {
    let shell = Shell::new();
    let first = Server::start(&shell, &[]);
    let (ready, key) = (first.ready.clone(), first.api_key().to_owned());
    assert_eq!(first.stop(), 0);
    let second = Server::start(&shell, &[]);
    assert_eq!(
        (second.ready.get("api_key"), second.api_key()),
        (None, key.as_str()),
        "the file of the first run"
    );
    assert_eq!(second.ready["variable_definition_id"], ready["variable_definition_id"]);
    let (status, _) = second.send("GET", "/api/v2/public/env/definitions", &[("x-api-key", &key)], "");
    assert_eq!(status, 200);
    assert_eq!(shell.run(&["list"]).code, 0, "the server lets its user in");
    assert_eq!(second.stop(), 0);
    shell.ok(&["list"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_job_that_cannot_be_read_keeps_nobody_from_being_served() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    shell.ok_with("v", &["set", "A"]);
    let store = RedbStore::open(shell.store()).unwrap();
    let mut batch = WriteBatch::default();
    // Where jobs are, as FORMAT.md has it.
    batch.put(Key::from([&[0x00, 0x04][..], b"damaged"].concat()), vec![0xff]);
    block_on(store.commit(Arc::new(batch))).unwrap();
    block_on(store.close()).unwrap();
    assert_eq!(shell.run(&["job", "run"]).code, 5);
    let server = Server::start(&shell, &[]);
    assert_eq!(shell.ok(&["get", "A", "--reveal"]), "v");
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_server_dumps_no_core() {
    let shell = Shell::new();
    let server = Server::start(&shell, &[]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).collect::<Vec<_>>(), ["0", "0", "bytes"]);
    assert_eq!(server.stop(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_locks_its_memory_or_says_that_it_cannot() {
    let locked_kib = |server: &Server| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmLck:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let (shell, file) = (Shell::new(), tempfile::NamedTempFile::new().unwrap());
    let server = Server::start_with_log(&shell, &[], file.reopen().unwrap().into());
    let says_so = std::fs::read_to_string(file.path()).unwrap().contains("swapped to disk");
    assert_ne!(locked_kib(&server) > 0, says_so);
    assert_eq!(server.stop(), 0);
    let server = Server::start(&shell, &["--allow-swap"]);
    assert_eq!(locked_kib(&server), 0);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_vault_made_by_init_is_served_as_it_is() {
    let shell = Shell::with_vault();
    let server = Server::start(&shell, &[]);
    assert!(server.ready["variable_definition_id"].is_null() && server.ready.get("api_key_file").is_none());
    assert_eq!(server.stop(), 0);
    assert_eq!(shell.json(&["list"]), Value::Array(Vec::new()));
}

#[test]
fn a_first_key_that_was_revoked_is_printed_no_more() {
    let shell = Shell::new();
    assert_eq!(Server::start(&shell, &[]).stop(), 0);
    let server = Server::start(&shell, &[]);
    assert!(server.ready["api_key_file"].is_string(), "it is valid, and still in its file");
    let id = shell.json(&["api-key", "list"])[0]["id"].as_str().unwrap().to_owned();
    shell.ok(&["api-key", "revoke", &id]);
    assert_eq!(server.stop(), 0);
    let server = Server::start(&shell, &[]);
    assert!(server.ready.get("api_key_file").is_none(), "{}", server.ready);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_vault_in_memory_can_be_served() {
    let shell = Shell::new();
    let server = Server::start(&shell, &["--store", "memory"]);
    let (status, _) = server.send("GET", "/api/v2/public/env/definitions", &[("x-api-key", "tk_wrong")], "");
    assert_eq!(status, 401);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_vault_in_memory_takes_the_file_of_its_key_along() {
    let shell = Shell::new();
    let log = std::fs::File::create(shell.path("log")).unwrap();
    let server = Server::start_with_log(&shell, &["--store", "memory"], log.into());
    let file = std::path::PathBuf::from(server.text("api_key_file"));
    assert!(file.is_file());
    assert_eq!(server.stop(), 0);
    assert!(!file.exists());
    let said = std::fs::read_to_string(shell.path("log")).unwrap();
    assert!(said.contains("the vault is in memory"), "{said}");
}

#[test]
fn the_log_says_what_to_do_about_the_row_that_is_in_the_way() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    shell.ok(&["account", "create", "user_1"]);
    shell.ok_with("a", &["set", "A", "--account", "user_1"]);
    let key = shell.json(&["api-key", "create", "k"])["api_key"].clone();
    let id = shell.json(&["show", "A"])["id"].as_str().unwrap().to_owned();
    shell.damage(b"\x01user_1\0");
    let log = std::fs::File::create(shell.path("log")).unwrap();
    let server = Server::start_with_log(&shell, &[], log.into());
    let headers = [("x-api-key", key.as_str().unwrap())];
    let path = format!("/api/v2/public/env/value/{id}?linked_account_id=user_1");
    assert_eq!(server.send("GET", &path, &headers, "").0, 500);
    assert_eq!(server.stop(), 0);
    let log = std::fs::read_to_string(shell.path("log")).unwrap();
    assert!(
        log.contains("`strongroom rotate data --account ID --url URL`") && !log.contains("undo"),
        "{log}"
    );
}

#[test]
fn the_log_names_requests_and_no_secret() {
    let shell = Shell::new();
    let log = std::fs::File::create(shell.path("log")).unwrap();
    let server = Server::start_with_log(&shell, &["--log", "trace"], log.into());
    let key = server.api_key().to_owned();
    let account = ("linked_account_id", server.text("linked_account_id"));
    let path = "/api/v2/public/linked-account/default-app/auth-credentials/api_key";
    let (status, _) = server.send("PUT", path, &[("x-api-key", &key), account], r#"{"value":"hunter2"}"#);
    assert_eq!(status, 200);
    assert_eq!(server.stop(), 0);
    let log = std::fs::read_to_string(shell.path("log")).unwrap();
    assert!(log.contains("/linked-account/default-app/auth-credentials/{key}"), "{log}");
    assert!(!log.contains("hunter2") && !log.contains(&key));
}

#[test]
fn limits_are_options_or_variables_or_stand_in_the_file() {
    let shell = Shell::new().variable("STRONGROOM_HEADER_BYTES_MAX", "2000");
    shell.write("c.toml", "[limits]\nbody_bytes_max = 10\nheader_bytes_max = 1000\nrate_limit = 1\n");
    let arguments = ["--config", "c.toml", "--store", "memory", "--rate-limit", "2", "--rate-burst", "1"];
    let server = Server::start(&shell, &arguments);
    let (key, long) = (("x-api-key", server.api_key()), "x".repeat(1_900));
    let path = "/api/v2/public/env/definitions";
    assert_eq!(server.send("GET", path, &[("x-a", &long)], "").0, 401, "of the environment, not of the file");
    assert_eq!(server.send("GET", path, &[("x-a", &long), ("x-b", &long)], "").0, 431);
    assert_eq!(server.send("POST", path, &[key], r#"{"name":"ABCDEF"}"#).0, 413);
    let mut connection = server.connect();
    let refused = (0..1_000).any(|_| connection.send("GET", path, &[key], "").unwrap().0 == 429);
    assert!(refused);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_limit_that_is_no_number_is_2_by_its_name() {
    let shell = Shell::new().variable("STRONGROOM_REQUESTS_MAX", "many");
    let ran = shell.run(&["serve"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("STRONGROOM_REQUESTS_MAX"), "{}", ran.stderr);
    assert_eq!(shell.run(&["serve", "--request-timeout", "soon"]).code, 2);
}

#[test]
fn an_address_that_is_none_is_2_with_one_that_is() {
    let shell = Shell::new();
    for bad in ["localhost:7077", "127.0.0.1", ":80", "127.0.0.1:99999"] {
        let ran = shell.run(&["serve", "--listen", bad]);
        assert!(ran.code == 2 && ran.stderr.contains("such as 127.0.0.1:7077"), "{ran:?}");
    }
}

#[test]
fn an_address_that_is_taken_is_told_before_a_vault_is_made() {
    let shell = Shell::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = shell.run(&["serve", "--listen", &address]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("--listen"), "{}", ran.stderr);
    assert!(!shell.store().exists());
}

#[cfg(feature = "postgres")]
#[test]
fn a_server_that_still_waits_for_its_database_holds_its_address_and_is_not_connected_to() {
    let shell = Shell::new();
    shell.write("root.key", "07".repeat(32));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut waits = shell
        .command(&["--store", "postgres://u@%2Fnowhere/d", "--root-key-file", "root.key"])
        .args(["serve", "--listen", &free])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(waits.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    let connected = std::net::TcpStream::connect(&free).map_err(|error| error.kind());
    // With the option to use an address again, as each listener of the standard library.
    let taken = std::net::TcpListener::bind(&free).map_err(|error| error.kind());
    waits.kill().unwrap();
    waits.wait().unwrap();
    assert!(said.contains("waiting up to"), "{said}");
    assert_eq!(connected.unwrap_err(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(taken.unwrap_err(), std::io::ErrorKind::AddrInUse);
}

#[test]
fn a_served_store_that_shows_no_socket_is_6_and_the_server_can_be_asked() {
    let shell = Shell::new();
    let _server = Server::start(&shell, &[]);
    std::fs::remove_file(shell.store().with_extension("sock")).unwrap();
    for arguments in [&["list"][..], &["api-key", "create", "ci"]] {
        let ran = shell.run(&[&["--wait", "0"], arguments].concat());
        assert_eq!(ran.code, 6, "{}", ran.stderr);
        assert!(ran.stderr.contains("--url"), "{}", ran.stderr);
    }
}

#[test]
fn a_server_that_is_to_note_reads_says_where_the_vault_has_no_audit_to_note_them_in() {
    let shell = Shell::with_vault();
    for (audit, is_warned) in [("--off", true), ("--on", false)] {
        shell.ok(&["audit", audit]);
        let log = std::fs::File::create(shell.path("log")).unwrap();
        let server = Server::start_with_log(&shell, &["--note-reads", "lose"], log.into());
        assert_eq!(server.stop(), 0);
        let said = std::fs::read_to_string(shell.path("log")).unwrap();
        assert_eq!(said.contains("`strongroom audit --on`"), is_warned, "{said}");
    }
}

#[test]
fn a_server_that_makes_a_vault_with_an_audit_does_not_say_that_it_has_none() {
    let shell = Shell::new();
    let log = std::fs::File::create(shell.path("log")).unwrap();
    let server = Server::start_with_log(&shell, &["--note-reads", "lose"], log.into());
    assert_eq!(server.stop(), 0);
    let said = std::fs::read_to_string(shell.path("log")).unwrap();
    assert!(!said.contains("notes nothing"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_server_without_a_certificate_goes_on_after_a_hangup_and_says_so() {
    let shell = Shell::new();
    let log = std::fs::File::create(shell.path("log")).unwrap();
    let server = Server::start_with_log(&shell, &[], log.into());
    server.signal("-HUP");
    let said = || std::fs::read_to_string(shell.path("log")).unwrap();
    while !said().contains("SIGHUP is ignored") {
        assert_eq!(server.send("GET", "/healthz", &[], "").0, 200);
    }
    assert_eq!(server.send("GET", "/healthz", &[], "").0, 200);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_session_token_is_valid_for_as_long_as_the_server_was_told() {
    let shell = Shell::new();
    let server = Server::start(&shell, &["--session-lifetime", "1h"]);
    let body = format!(r#"{{"linked_account_id":"{}"}}"#, server.text("linked_account_id"));
    let key = ("x-api-key", server.api_key());
    let (status, token) = server.send("POST", "/api/v2/public/session-token", &[key], &body);
    assert_eq!(status, 200);
    // The second may have ended meanwhile.
    assert!((3_500..=3_600).contains(&token["expires_in"].as_u64().unwrap()), "{}", token["expires_in"]);
    assert_eq!(server.stop(), 0);
}
