//! What `docs/OPERATIONS.md` tells an operator to do works as it is written there, and the files beside it are whole.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod shell;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;

use shell::Shell;
use shell::server::Server;

fn page() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join("docs/OPERATIONS.md")).unwrap()
}

/// The commands of the page's block that has this line, in the places of a test.
fn block(shell: &Shell, line: &str) -> String {
    let page = page();
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let block = blocks.into_iter().find(|block| block.contains(line)).unwrap().to_owned();
    let place = |name: &str| shell.path(name).display().to_string();
    block
        .replace("/tmp/drill", &place("drill"))
        .replace("/media/safe", &place("safe"))
        .replace("/backups/vault-2026-01-31.backup", &place("backups/a.backup"))
        .replace("NAME", "PORT")
}

#[test]
fn the_drill_of_a_restore_reads_what_the_running_server_has() {
    let shell = Shell::new();
    let server = Server::start(&shell, &[]);
    shell.define("PORT", "integer");
    shell.ok_with("8080", &["set", "PORT"]);
    for directory in ["safe", "backups", "bin"] {
        fs::create_dir(shell.path(directory)).unwrap();
    }
    symlink(env!("CARGO_BIN_EXE_strongroom"), shell.path("bin/strongroom")).unwrap();
    shell.ok(&["slot", "add", "--new-root-key-file", "safe/second.key"]);
    shell.ok(&["backup", "backups/a.backup"]);
    shell.ok_with("8081", &["set", "PORT"]);

    let drill = block(&shell, "restore --as-new");
    let path = format!("{}:{}", shell.path("bin").display(), std::env::var("PATH").unwrap());
    let mut sh = std::process::Command::new("sh");
    sh.args(["-eu", "-c", &drill]).env_clear().env("PATH", path).env("HOME", shell.path(""));
    let ran = sh.output().unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}{wrong}");
    // SHA-256 of 8080, as `sha256sum` prints it.
    assert!(said.contains("6c237681e70921603a306be9a1a5d9833fce5c1e268f52b1650970eaad0dce21"), "{said}");
    assert!(!shell.path("drill").exists());
    assert_eq!(shell.ok(&["get", "PORT", "--reveal"]), "8081", "the server is as it was");
    assert_eq!(server.stop(), 0);
}

#[test]
fn every_command_of_the_page_is_one_of_the_grammar() {
    let shell = Shell::new();
    let page = page();
    let commands = page.lines().filter_map(|line| line.strip_prefix("strongroom "));
    let mut seen = 0;
    for command in commands {
        let command = command.split('#').next().unwrap();
        let words: Vec<&str> = command.split_whitespace().filter(|word| !word.starts_with('-')).collect();
        // A command, and what of a group.
        let named = ["slot", "rotate", "api-key", "account"].contains(&words[0]);
        let words = &words[..if named { 2 } else { 1 }];
        let help = shell.run(&[words, &["--help"]].concat());
        assert_eq!(help.code, 0, "{command}");
        seen += 1;
    }
    assert!(seen >= 15, "{seen}");
}

#[test]
fn each_command_has_a_manual_page() {
    let shell = Shell::new();
    shell.ok(&["man", "man1"]);
    let pages = pages_of(&shell, &[]);
    assert!(pages.len() > 60, "{pages:?}");
    for page in &pages {
        let page = format!("{page}.1");
        assert!(fs::read_to_string(shell.path("man1").join(&page)).unwrap().contains(".SH NAME"), "{page}");
    }
    assert_eq!(fs::read_dir(shell.path("man1")).unwrap().count(), pages.len(), "and nothing else has");
}

/// The page of a command and of those below it, by what `--help` lists.
fn pages_of(shell: &Shell, words: &[&str]) -> Vec<String> {
    let help = shell.ok(&[words, &["--help"]].concat());
    let mut pages = vec![[&["strongroom"], words].concat().join("-")];
    let below = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in below.take_while(|line| !line.is_empty()) {
        let name = line.strip_prefix("  ").and_then(|line| line.split(' ').next()).unwrap_or_default();
        if !name.is_empty() && name != "help" {
            pages.extend(pages_of(shell, &[words, &[name]].concat()));
        }
    }
    pages
}

#[cfg(unix)]
#[test]
fn everybody_may_read_the_manual_pages() {
    use std::os::unix::fs::PermissionsExt as _;
    let shell = Shell::new();
    shell.ok(&["man", "man1"]);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(shell.path("man1")), 0o755);
    assert_eq!(mode(shell.path("man1").join("strongroom.1")), 0o644);
}

#[test]
fn a_server_is_asked_whether_it_is_well() {
    let shell = Shell::new();
    let server = Server::start(&shell, &[]);
    let url = server.text("url").to_owned();
    shell.ok(&["health", &url]);
    shell.ok(&["health", "--ready", &url]);
    assert_eq!(server.stop(), 0);
    assert_eq!(shell.run(&["health", &url]).code, 6);
}

#[test]
fn a_server_that_is_well_but_not_ready_is_6_if_it_is_asked_whether_it_is_ready() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        ["200 OK", "503 Service Unavailable"].map(|status| {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let lines = stream.by_ref().lines().map(Result::unwrap);
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.into_inner().write_all(answer.as_bytes()).unwrap();
            head.into_iter().next().unwrap()
        })
    });
    let shell = Shell::new();
    assert_eq!(shell.run(&["health", &url]).code, 0);
    assert_eq!(shell.run(&["health", "--ready", &url]).code, 6);
    assert_eq!(server.join().unwrap(), ["GET /healthz HTTP/1.1", "GET /readyz HTTP/1.1"]);
}

#[test]
fn alerts_and_dashboard_name_metrics_that_a_server_has() {
    let shell = Shell::new();
    let server = Server::start(&shell, &[]);
    // One request, so that those of routes are there.
    server.send("GET", "/api/v2/public/env/definitions", &[("x-api-key", server.api_key())], "");
    let url = format!("{}/metrics", server.text("url"));
    let asked = std::process::Command::new("curl").args(["-s", &url]).output().unwrap();
    let metrics = String::from_utf8(asked.stdout).unwrap();
    for file in ["alerts.yaml", "dashboard.json"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(file);
        let text = fs::read_to_string(path).unwrap();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let is_metric = |word: &&str| {
            ["strongroom_", "process_"].iter().any(|prefix| word.starts_with(prefix)) && word.len() > 12
        };
        // Only a server with a certificate has that one: the tests of TLS look for it.
        let is_of_tls = |word: &&str| word.starts_with("strongroom_tls_");
        let named: std::collections::BTreeSet<_> =
            words.filter(is_metric).filter(|word| !is_of_tls(word)).collect();
        assert!(named.len() >= 4, "{file} {named:?}");
        for name in named {
            let has = metrics.contains(&format!("\n{name}{{")) || metrics.contains(&format!("\n{name} "));
            assert!(has, "{file} names {name}");
        }
    }
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_json_log_says_who_called_and_what_was_answered() {
    let shell = Shell::new();
    let log = fs::File::create(shell.path("log")).unwrap();
    let server = Server::start_with_log(&shell, &["--log", "info", "--log-format", "json"], log.into());
    let key = [("x-api-key", server.api_key()), ("x-request-id", "req-1")];
    server.send("GET", "/api/v2/public/env/definitions", &key, "");
    assert_eq!(server.stop(), 0);
    let log = fs::read_to_string(shell.path("log")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let line = lines.into_iter().find(|line| line["span"]["id"] == "req-1").unwrap();
    assert_eq!((line["status"].as_u64(), line["message"].as_str()), (Some(200), Some("answered")));
    assert!(line["micros"].is_u64(), "{line}");
    assert_eq!(line["span"]["route"], "/api/v2/public/env/definitions");
    assert!(line["span"]["caller"].as_str().unwrap().starts_with("api-key:"), "{line}");
}

/// The contract says nothing of a damaged row but 500: the log and the metrics say the rest.
#[test]
fn a_damaged_row_that_a_documented_call_meets_is_in_the_log_with_the_next_step_and_in_the_metrics() {
    let shell = Shell::with_vault();
    let id = shell.json(&["define", "X", "--format", "string"])["id"].as_str().unwrap().to_owned();
    shell.ok_with("one", &["set", "X"]);
    shell.damage(&[0x20]);
    let log = std::fs::File::create(shell.path("log")).unwrap();
    let server = Server::start_with_log(&shell, &[], log.into());
    let key = shell.json(&["api-key", "create", "documented"])["api_key"].as_str().unwrap().to_owned();
    let headers = [("x-api-key", key.as_str())];
    let (status, body) = server.send("GET", &format!("/api/v2/public/env/value/{id}"), &headers, "");
    assert_eq!((status, &body["message"]), (500, &"Internal server error".into()));
    let curl = |path: &str| {
        let url = format!("{}{path}", server.text("url"));
        String::from_utf8(std::process::Command::new("curl").args(["-s", &url]).output().unwrap().stdout)
            .unwrap()
    };
    let metrics = curl("/metrics");
    assert!(
        metrics.contains("outcome=\"damaged\"} 1") && metrics.contains("\nstrongroom_damage_met_total 1")
    );
    assert_eq!(curl("/readyz"), "ready", "everything else is served");
    let log = std::fs::read_to_string(shell.path("log")).unwrap();
    let line = log.lines().find(|line| line.contains("a request failed")).unwrap();
    for part in ["the scoped value of definition", &id, "strongroom verify"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert_eq!(server.stop(), 0);
}

#[test]
fn health_asks_the_server_at_the_configured_address() {
    let shell = Shell::new();
    let server = Server::start(&shell, &[]);
    let address = server.text("url").strip_prefix("http://").unwrap().to_owned();
    shell.write("c.toml", format!("listen = \"{address}\"\n"));
    shell.ok(&["--config", "c.toml", "health"]);
    shell.write("c.toml", "listen = \"127.0.0.1:1\"\n");
    let ran = shell.run(&["--config", "c.toml", "health"]);
    assert!(ran.code == 6 && ran.stderr.contains("http://127.0.0.1:1/healthz"), "{}", ran.stderr);
    let shell = shell.variable("STRONGROOM_LISTEN", &address);
    shell.ok(&["--config", "c.toml", "health"]);
    assert_eq!(server.stop(), 0);
}
