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
        let mut connection = server.connect();
        let mut refused = None;
        for number in 0..190 {
            let path = credential(&format!("{worker}-{number}"));
            let (status, answer) =
                connection.send("PUT", &path, &[("authorization", &token)], &body).unwrap();
            assert!(status == 200 || status == 400 || status == 503, "{status} {answer}");
            refused = (status == 400).then_some(answer).or(refused);
        }
        refused.unwrap()
    };
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8).map(|worker| scope.spawn(move || put(worker))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let message = answers[0]["message"].as_str().unwrap();
    assert!(message.contains("at most 4194304 bytes of the linked account"), "{message}");
    assert!(message.contains("account_bytes_max"), "{message}");
    let bytes = path.metadata().unwrap().len();
    assert!(bytes < 32 << 20, "{bytes}");
    // What exists can be updated and deleted, and then there is room again.
    let send = |method: &str, name: &str, body: &str| {
        server.send(method, &credential(name), &[("authorization", &token)], body).0
    };
    let own = (0..8).find(|worker| send("GET", &format!("{worker}-0"), "") == 200).unwrap();
    assert_eq!(send("PUT", &format!("{own}-0"), r#"{"value":"short"}"#), 200);
    assert_eq!(send("DELETE", &format!("{own}-0"), ""), 200);
    assert_eq!(send("PUT", "late", r#"{"value":"v"}"#), 200);
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
