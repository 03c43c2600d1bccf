//! `serve` killed with SIGKILL under load.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod shell;

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use serde_json::Value;
use shell::Shell;
use shell::server::{Connection, Server};

/// A write that was answered.
struct Answered {
    account: String,
    value: String,
}

#[test]
fn no_answered_write_is_lost_to_kill_9_and_each_that_is_there_has_its_event() {
    let shell = Shell::new();
    let mut server = Server::start(&shell, &[]);
    let key = server.api_key().to_owned();
    let id = define(&server, &key);
    let (answered, answers) = channel();
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (connection, answered) = (server.connect(), answered.clone());
                let (key, id) = (key.clone(), id.clone());
                let accounts = move |number| format!("user_{round}_{writer}_{number}");
                thread::spawn(move || write_until_cut_off(connection, &key, &id, accounts, &answered))
            })
            .collect();
        all.extend(answers.iter().take(WRITES_A_ROUND));
        server.kill();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        all.extend(answers.try_iter());
        server = Server::start(&shell, &[]);
    }
    assert!(all.len() >= ROUNDS * WRITES_A_ROUND);
    let mut connection = server.connect();
    let noted = noted(&shell);
    for Answered { account, value } in all {
        assert_eq!(noted.get(&account), Some(&1), "{account} has one event");
        let path = format!("/api/v2/public/env/value/{id}?linked_account_id={account}");
        let (status, found) = connection.send("GET", &path, &[("x-api-key", &key)], "").unwrap();
        assert_eq!((status, found["value"].as_str()), (200, Some(value.as_str())), "{account}: {found}");
    }
    // What was written and not answered has its event too, and there is no event without its write.
    let listed = format!("/api/v2/public/env/values/linked_account?variable_definition_id={id}");
    for account in noted.keys() {
        let (status, found) = connection
            .send("GET", &format!("{listed}&linked_account_id={account}"), &[("x-api-key", &key)], "")
            .unwrap();
        assert_eq!((status, &found["totalDocs"]), (200, &Value::from(1)), "{account}: {found}");
    }
    assert_eq!(server.stop(), 0);
    shell.ok(&["verify"]);
}

/// How many events set a value of each account.
fn noted(shell: &Shell) -> BTreeMap<String, usize> {
    let mut noted = BTreeMap::new();
    for line in shell.ok(&["audit", "--json"]).lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        for change in event["changes"].as_array().unwrap() {
            if change["kind"] == "Variable Value Set" {
                *noted.entry(change["linked_account_id"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
    }
    noted
}

/// A variable whose values are shown.
fn define(server: &Server, key: &str) -> String {
    let body = r#"{"name":"LOAD","var_format":"string"}"#;
    let (status, made) = server.send("POST", "/api/v2/public/env/definitions", &[("x-api-key", key)], body);
    assert_eq!(status, 200, "{made}");
    made["definition"]["_id"].as_str().unwrap().to_owned()
}

/// Sets one value of each account until the server is gone, and tells of each that was answered.
fn write_until_cut_off(
    mut connection: Connection,
    key: &str,
    id: &str,
    account: impl Fn(usize) -> String,
    answered: &Sender<Answered>,
) {
    for number in 0.. {
        let (account, value) = (account(number), format!("value {number}"));
        let body = format!(
            r#"{{"variable_definition_id":"{id}","linked_account_id":"{account}","value":"{value}"}}"#
        );
        let Ok((status, set)) =
            connection.send("POST", "/api/v2/public/env/values", &[("x-api-key", key)], &body)
        else {
            return;
        };
        assert_eq!((status, &set["value"]), (200, &Value::from(value.clone())), "{set}");
        answered.send(Answered { account, value }).unwrap();
    }
}

const ROUNDS: usize = 3;
const WRITERS: usize = 8;
const WRITES_A_ROUND: usize = 200;
