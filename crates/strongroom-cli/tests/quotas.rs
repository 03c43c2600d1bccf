//! Quotas, as an operator sets them and a client meets them.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod shell;

use serde_json::Value;
use shell::Shell;
use shell::server::Server;

const BASE: &str = "/api/v2/public";

/// The session token of the first linked account, as the value of its header.
fn token(server: &Server) -> String {
    let body = format!(r#"{{"linked_account_id":"{}"}}"#, server.text("linked_account_id"));
    let key = [("x-api-key", server.api_key())];
    let (status, answer) = server.send("POST", &format!("{BASE}/session-token"), &key, &body);
    assert_eq!(status, 200, "{answer}");
    format!("Bearer {}", answer["token"].as_str().unwrap())
}

fn credential(name: &str) -> String {
    format!("{BASE}/linked-account/default-app/auth-credentials/{name}")
}

#[test]
fn a_token_in_a_loop_fills_no_store() {
    let shell = Shell::new();
    let server = Server::start(&shell, &["--store", "redb:vault.redb", "--token-rate-limit", "none"]);
    let (token, body) = (token(&server), format!(r#"{{"value":"{}"}}"#, "x".repeat(65_000)));
    let path = shell.path("vault.redb");
    let put = |worker: usize| {
        let (mut connection, mut stored, mut refused) = (server.connect(), Vec::new(), Vec::new());
        // 1,500 in all; who was refused a few times would be refused to the end.
        for name in (0..190).map(|number| format!("{worker}-{number}")) {
            let headers = [("authorization", token.as_str())];
            let (status, answer) = connection.send("PUT", &credential(&name), &headers, &body).unwrap();
            match status {
                200 => stored.push(name),
                400 => refused.push(answer),
                // Other writers of the account were faster every time.
                503 => {}
                _ => unreachable!("{status} {answer}"),
            }
            if refused.len() == 5 {
                break;
            }
        }
        (stored, refused)
    };
    let answers: Vec<(Vec<String>, Vec<Value>)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8).map(|worker| scope.spawn(move || put(worker))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|(_, refused)| refused.len() == 5), "every writer meets the quota");
    let message = answers[0].1[0]["message"].as_str().unwrap();
    assert!(message.contains("at most 4194304 bytes of the linked account"), "{message}");
    assert!(message.contains("account_bytes_max"), "{message}");
    let bytes = path.metadata().unwrap().len();
    assert!(bytes < 32 << 20, "{bytes}");
    // What exists can be updated and deleted, and then there is room again.
    let send = |method: &str, name: &str, body: &str| {
        server.send(method, &credential(name), &[("authorization", &token)], body).0
    };
    let stored: Vec<&String> = answers.iter().flat_map(|(stored, _)| stored).collect();
    assert!((32..=64).contains(&stored.len()), "{} of 65,000 bytes each", stored.len());
    assert_eq!(send("PUT", stored[0], r#"{"value":"short"}"#), 200);
    assert_eq!(send("DELETE", stored[1], ""), 200);
    assert_eq!(send("PUT", "late", &body), 200);
    assert_eq!(server.stop(), 0);
}

#[test]
fn quotas_are_options_or_variables_or_stand_in_the_file_and_hold_for_every_command() {
    let shell = Shell::new().variable("STRONGROOM_ACCOUNT_INTEGRATIONS_MAX", "1");
    shell.write("c.toml", "[quotas]\naccount_credentials_max = 1\naccount_integrations_max = 9\n");
    shell.ok(&["--config", "c.toml", "init"]);
    shell.ok(&["--config", "c.toml", "account", "create", "a", "--default-app"]);
    let add = |name| {
        let arguments = ["--config", "c.toml", "credential", "set", name, "--account", "a"];
        shell.pipe("k1", &arguments)
    };
    assert_eq!(add("one").code, 0);
    let refused = add("two");
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(refused.stderr.contains("account_credentials_max"), "{}", refused.stderr);
    let server = Server::start(&shell, &["--config", "c.toml", "--account-credentials-max", "2"]);
    assert_eq!(server.stop(), 0);
    let bad = shell.run(&["serve", "--account-credentials-max", "many"]);
    assert_eq!(bad.code, 2);
}
