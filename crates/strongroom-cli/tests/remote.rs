//! `--url`: the same commands against a server.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod shell;

use std::io::{Read, Write};

use serde_json::{Value, json};
use shell::server::Server;
use shell::{Ran, Shell};

/// A server, and a directory whose commands go to it.
struct Remote {
    shell: Shell,
    server: Server,
}

impl Remote {
    fn start() -> Self {
        let served = Shell::new();
        let server = Server::start(&served, &["--store", "memory"]);
        let shell = Shell::new().variable("STRONGROOM_URL", server.text("url"));
        shell.write("api.key", format!("{}\n", server.api_key()));
        Self { shell: shell.variable("STRONGROOM_API_KEY_FILE", "api.key"), server }
    }

    /// With a key that has these rights, and no others.
    fn with_rights(rights: &[&str]) -> Self {
        let served = Shell::new();
        let server = Server::start(&served, &[]);
        let mut create = vec!["api-key", "create", "remote"];
        rights.iter().for_each(|right| create.extend(["--right", right]));
        let key = served.json(&create)["api_key"].as_str().unwrap().to_owned();
        let shell = Shell::new().variable("STRONGROOM_URL", server.text("url"));
        let shell = shell.variable("STRONGROOM_API_KEY", &key);
        Self { shell, server: server.with_home(served) }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.shell.run(arguments)
    }
}

#[test]
fn several_definitions_are_changed_together_or_none_is() {
    let Remote { shell, server: _server } = Remote::with_rights(&OPERATOR);
    for at in [&shell, &Shell::with_vault()] {
        for (name, value) in [("A", "1"), ("B", "two")] {
            at.define(name, "string");
            at.ok_with(value, &["set", name]);
        }
        let ran = at.run(&["define", "A", "--change", "--format", "integer", "--also", "B"]);
        assert_eq!(ran.code, 4, "{}", ran.stderr);
        assert_eq!(at.json(&["show", "A"])["var_format"], "string");
        let made = at.json(&["define", "A", "--change", "--required", "--also", "B"]);
        assert_eq!(made.as_array().unwrap().len(), 2);
        assert_eq!(at.json(&["show", "B"])["required"], true);
    }
}

#[test]
fn bytes_cross_the_wire_in_base64() {
    let Remote { shell, server: _server } = Remote::with_rights(&OPERATOR);
    shell.define("KEYTAB", "bytes");
    shell.ok_with(b"\x05\x02\0\xff", &["set", "KEYTAB", "--bytes"]);
    assert_eq!(shell.ok(&["get", "KEYTAB", "--reveal"]), "BQIA/w==");
    let raw = shell.command(&["get", "KEYTAB", "--reveal", "--bytes"]).output().unwrap();
    assert_eq!(raw.stdout, b"\x05\x02\0\xff");
}

#[test]
fn bytes_pass_through_a_kubernetes_secret_on_a_server_too() {
    let Remote { shell, server: _server } = Remote::with_rights(&OPERATOR);
    shell.define("JKS", "bytes");
    shell.write("a.yaml", "apiVersion: v1\nkind: Secret\ndata:\n  JKS: YWJjZA==\n  KEYTAB: /wAB\n");
    shell.ok(&["import", "a.yaml"]);
    let exported = shell.ok(&["export", "--for", "k8s", "--reveal"]);
    assert!(
        exported.contains("\"JKS\": \"YWJjZA==\"") && exported.contains("\"KEYTAB\": \"/wAB\""),
        "{exported}"
    );
}

#[test]
fn a_variable_is_defined_set_resolved_listed_and_deleted() {
    let Remote { shell, server: _server } = Remote::start();
    for name in ["A,b c?&#%/é", "PORT"] {
        shell.ok(&["define", name, "--format", "enum", "--one-of", "x y", "--one-of", "z"]);
        shell.ok_with("x y", &["set", name]);
        shell.ok_with("z", &["set", name, "--workflow", "wf 1"]);
        let resolved = shell.json(&["resolve", name, "--workflow", "wf 1", "--reveal"]);
        assert_eq!((&resolved[name]["value"], &resolved[name]["scope"]), (&json!("z"), &json!("workflow")));
        shell.ok(&["delete", name, "--workflow", "wf 1", "--yes"]);
        assert_eq!(shell.run(&["delete", name, "--workflow", "wf 1", "--yes"]).code, 3);
        assert_eq!(shell.json(&["resolve", name, "--reveal"])[name]["value"], "x y");
        assert!(shell.ok(&["list"]).contains(name) && shell.ok(&["list", "--values"]).contains(name));
        shell.ok(&["delete", name, "--definition", "--yes"]);
        assert_eq!(shell.run(&["resolve", name]).code, 3);
    }
}

#[test]
fn an_account_and_its_credentials_are_kept() {
    let Remote { shell, server: _server } = Remote::start();
    shell.ok(&["account", "create", "a@b.example/1", "--default-app", "--name", "First"]);
    let at = ["--account", "a@b.example/1"];
    shell.ok_with("hunter2", &[&["credential", "set", ".."], &at[..]].concat());
    shell.ok(&[&["credential", "delete", "..", "--yes"], &at[..]].concat());
    shell.ok_with("hunter2", &[&["credential", "set", "k/1"], &at[..]].concat());
    let listed = shell.ok(&[&["credential", "list"], &at[..]].concat());
    assert!(listed.contains("k/1") && !listed.contains("hunter2"));
    shell.ok(&[&["credential", "delete", "k/1", "--yes"], &at[..]].concat());
    assert_eq!(shell.run(&[&["credential", "delete", "k/1", "--yes"], &at[..]].concat()).code, 3);
    assert!(shell.ok(&["account", "list"]).contains("a@b.example/1"));
    shell.ok(&["account", "delete", "a@b.example/1", "--yes"]);
    assert_eq!(shell.run(&["account", "delete", "a@b.example/1", "--yes"]).code, 3);
}

#[test]
fn what_a_run_sees_comes_from_a_server_however_long_it_is() {
    let served = Shell::with_vault();
    // In JSON, each of these characters takes six bytes: together almost 11 MB.
    let values: serde_json::Map<String, Value> =
        (0..30).map(|n| (format!("V{n:02}"), json!("\u{1}".repeat(60_000)))).collect();
    served.write("long.json", serde_json::to_vec(&values).unwrap());
    served.ok(&["import", "long.json", "--in-parts"]);
    let server = Server::start(&served, &[]);
    let made = served.json(&["api-key", "create", "remote", "--right", "reveal"]);
    let shell = Shell::new()
        .variable("STRONGROOM_URL", server.text("url"))
        .variable("STRONGROOM_API_KEY", made["api_key"].as_str().unwrap());
    let export = ["export", "--for", "json", "--reveal"];
    assert!(shell.ok(&export) == served.ok(&export));
}

#[test]
fn who_calls_a_server_needs_no_home_directory() {
    let Remote { shell, server: _server } = Remote::with_rights(&OPERATOR);
    // What is not absolute is no home.
    let ran = shell.command(&["list"]).env("HOME", "nowhere").output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn a_server_that_never_answers_is_waited_for_as_long_as_wait_says() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let shell = Shell::new().variable("STRONGROOM_URL", &url).variable("STRONGROOM_API_KEY", "tk_1");
    for command in [&["list"][..], &["backup", "all.backup"]] {
        let began = std::time::Instant::now();
        let ran = shell.run(&[&["--wait", "1"], command].concat());
        assert!(ran.code == 6 && ran.stderr.contains("did not answer in time"), "{ran:?}");
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{command:?}");
    }
}

#[test]
fn an_answer_that_stops_after_its_head_says_that_a_change_may_have_been_made() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n{").unwrap();
        stream
    });
    let shell = Shell::new().variable("STRONGROOM_URL", &url).variable("STRONGROOM_API_KEY", "tk_1");
    let ran = shell.run(&["--wait", "1", "rotate", "data"]);
    drop(server.join().unwrap());
    assert!(ran.code == 6 && ran.stderr.contains("may have been made"), "{ran:?}");
}

#[test]
fn a_backup_that_stops_in_the_middle_is_waited_for_as_long_as_wait_says() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\nthe first part").unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        // Until the client hangs up.
        stream.read(&mut request).map_err(|error| error.kind())
    });
    let shell = Shell::new().variable("STRONGROOM_URL", &url).variable("STRONGROOM_API_KEY", "tk_1");
    let ran = shell.run(&["--wait", "1", "backup", "all.backup"]);
    assert_eq!(ran.code, 6, "{ran:?}");
    assert_ne!(server.join().unwrap(), Err(std::io::ErrorKind::WouldBlock), "it waits on");
    assert!(!shell.path("all.backup").exists());
}

#[test]
fn a_key_does_not_go_where_a_redirect_says() {
    let [server, other] = [0, 1].map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("http://{}", server.local_addr().unwrap());
    let head = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n",
        other.local_addr().unwrap()
    );
    let server = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
    });
    let shell = Shell::new().variable("STRONGROOM_URL", &url).variable("STRONGROOM_API_KEY", "tk_1");
    let ran = shell.run(&["--wait", "5", "list"]);
    server.join().unwrap();
    assert_ne!(ran.code, 0, "{ran:?}");
    other.set_nonblocking(true).unwrap();
    assert_eq!(other.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn jobs_that_a_server_has_left_are_counted() {
    let shell = Shell::with_vault();
    shell.define("X", "string");
    shell.ok_with("x", &["set", "X"]);
    shell.damage(&[0x20]);
    assert_eq!(shell.run(&["rotate", "data"]).code, 5);
    let server = Server::start(&shell, &[]);
    let key = shell.json(&["api-key", "create", "desk", "--right", "operate"]);
    let remote = Shell::new().variable("STRONGROOM_URL", server.text("url"));
    let remote = remote.variable("STRONGROOM_API_KEY", key["api_key"].as_str().unwrap());
    let ran = remote.ok(&["job", "run"]);
    assert!(ran.contains("0 jobs were finished, and 1 are left"), "{ran}");
    server.stop();
}

#[test]
fn a_credential_has_a_history_and_comes_back() {
    let Remote { shell, server: _server } = Remote::with_rights(&OPERATOR);
    shell.ok(&["account", "create", "a", "--default-app"]);
    shell.ok(&["account", "add-app", "a", "--app", "crm", "--connection", "work"]);
    for place in [&["--account", "a"][..], &["--account", "a", "--app", "crm", "--connection", "work"]] {
        fn of<'w>(words: &[&'w str], place: &[&'w str]) -> Vec<&'w str> {
            [&["credential"], words, place].concat()
        }
        let history = || shell.json(&of(&["history", "k"], place));
        for value in ["one", "two", "three"] {
            shell.ok_with(value, &of(&["set", "k"], place));
        }
        let version = |at: usize| history()[at]["version"].as_str().unwrap().to_owned();
        let (first, second) = (version(2), version(1));
        assert_eq!(shell.json(&of(&["undo", "k"], place))["restored"], second.as_str());
        let reverted = shell.json(&of(&["revert", "k", "--version", &first], place));
        assert_eq!((&reverted["restored"], &reverted["linked_account_id"]), (&json!(first), &json!("a")));
        shell.ok(&of(&["delete", "k", "--yes"], place));
        assert_eq!(history()[0]["state"], "deleted");
        shell.ok(&of(&["undo", "k"], place));
        assert_eq!(history()[0]["state"], "current");
        shell.ok(&of(&["delete", "k", "--purge", "--yes"], place));
        for gone in [&["history", "k"][..], &["undo", "k"], &["delete", "k", "--yes"]] {
            let ran = shell.run(&of(gone, place));
            assert_eq!(ran.code, 3, "{}", ran.stderr);
        }
    }
}

#[test]
fn what_keeps_no_version_is_undone_with_consent_and_overwritten_with_a_word() {
    let Remote { shell, server: _server } = Remote::with_rights(&OPERATOR);
    shell.define("X", "string");
    for value in ["one", "two"] {
        shell.ok_with(value, &["set", "X"]);
    }
    shell.ok(&["define", "X", "--change", "--keep-versions", "0"]);
    let refused = shell.run(&["undo", "X"]);
    assert!(refused.code == 2 && refused.stderr.contains("for good"), "{}", refused.stderr);
    shell.ok(&["undo", "X", "--yes"]);
    assert_eq!(shell.ok(&["get", "X", "--reveal"]), "one");
    let ran = shell.pipe("three", &["set", "X"]);
    assert!(ran.code == 0 && ran.stderr.contains("the value from before is lost"), "{}", ran.stderr);
}

#[test]
fn every_page_of_a_list_is_read() {
    let Remote { shell, server: _server } = Remote::start();
    for number in 0..101 {
        shell.ok(&["define", &format!("V{number}"), "--format", "string"]);
    }
    assert_eq!(shell.json(&["list"]).as_array().map(Vec::len), Some(102), "and the one of the first run");
}

#[test]
fn json_has_the_same_fields_from_a_server_as_from_a_store() {
    let (remote, local) = (Remote::start(), Shell::with_vault());
    for shell in [&remote.shell, &local] {
        shell.run(&["delete", "API_SECRET", "--definition", "--yes"]);
        shell.run(&["account", "delete", "user_12345", "--yes"]);
        shell.ok(&["define", "A", "--format", "string", "--scope", "workflow"]);
        shell.ok(&["define", "B", "--format", "string"]);
        shell.ok(&["account", "create", "user_1", "--default-app"]);
        shell.ok_with("hunter2", &["credential", "set", "k", "--account", "user_1"]);
    }
    let same = |input: &str, arguments: &[&str]| {
        let arguments = [&["--json"], arguments].concat();
        let read = |shell: &Shell| serde_json::from_str(&shell.ok_with(input, &arguments)).unwrap();
        let (mut from_server, from_store): (Value, Value) = (read(&remote.shell), read(&local));
        assert_eq!(shape(&from_server), shape(&from_store), "{arguments:?}");
        from_server.take()
    };
    same("x", &["set", "B"]);
    same("x", &["set", "A", "--workflow", "wf_1"]);
    let listed = same("", &["list"]);
    assert_eq!(listed[0]["scopes"], json!(["workflow"]));
    assert_eq!(listed[1]["scopes"], json!(["org", "linked_account", "workflow"]));
    same("", &["list", "--values"]);
    same("", &["list", "--workflow", "wf_1"]);
    same("", &["account", "list"]);
    same("", &["credential", "list", "--account", "user_1"]);
    same("", &["resolve", "B", "--reveal"]);
    same("", &["delete", "B", "--yes"]);
    same("", &["define", "C", "--format", "string"]);
    same("", &["delete", "C", "--definition", "--yes"]);
    same("", &["credential", "delete", "k", "--account", "user_1", "--yes"]);
    same("", &["account", "delete", "user_1", "--yes"]);
}

/// The same with a null in the place of whatever is not a list or an object.
fn shape(value: &Value) -> Value {
    match value {
        Value::Array(items) if items.iter().any(Value::is_object) => items.iter().map(shape).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
        _ => Value::Null,
    }
}

#[test]
fn an_encrypted_value_stays_with_the_server() {
    let Remote { shell, server: _server } = Remote::start();
    shell.ok_with("hunter2", &["set", "API_SECRET"]);
    let resolved = shell.json(&["resolve", "API_SECRET", "--reveal"]);
    assert_eq!(resolved["API_SECRET"]["value"], "[REDACTED]");
}

#[test]
fn what_the_server_refuses_has_the_same_code_and_shows_no_value() {
    let remote = Remote::start();
    remote.shell.define("PORT", "integer");
    let invalid = remote.shell.pipe("hunter2", &["set", "PORT"]);
    assert_eq!(invalid.code, 4);
    assert!(!invalid.stderr.contains("hunter2"), "{}", invalid.stderr);
    assert_eq!(remote.run(&["resolve", "NONE"]).code, 3);
    remote.shell.write("api.key", "tk_wrong");
    assert_eq!(remote.run(&["list"]).code, 5);
    let gone = remote.shell.run(&["--url", "http://127.0.0.1:1", "--api-key-file", "api.key", "list"]);
    assert_eq!(gone.code, 6);
}

#[test]
fn a_url_that_is_not_that_of_a_server_is_6_and_not_3() {
    let remote = Remote::start();
    let url = remote.server.text("url");
    for path in ["/elsewhere", "/api/v2/public"] {
        let ran = remote.run(&["--url", &format!("{url}{path}"), "resolve", "API_SECRET"]);
        assert_eq!(ran.code, 6, "{}", ran.stderr);
        assert!(ran.stderr.contains("--url"), "{}", ran.stderr);
    }
}

#[test]
fn a_key_with_the_rights_does_what_a_user_of_the_store_does() {
    let rights = ["documented", "read", "write", "reveal", "admin", "operate"];
    let Remote { shell, server } = Remote::with_rights(&rights);
    shell.write("a.env", "HOST=h\nPASSWORD=hunter2\n");
    let ran = shell.run(&["import", "a.env", "--plain", "HOTS"]);
    assert_eq!((ran.code, ran.stderr.contains("did you mean HOST?")), (2, true), "{}", ran.stderr);
    assert!(shell.ok(&["import", "a.env", "--plain", "HOST", "--dry-run"]).contains("nothing was written"));
    shell.ok(&["import", "a.env", "--plain", "HOST"]);
    assert_eq!(shell.ok(&["run", "--", "printenv", "PASSWORD"]), "hunter2\n");
    assert_eq!(shell.ok(&["get", "PASSWORD", "--reveal"]), "hunter2");
    assert_eq!(shell.json(&["resolve", "--reveal"])["PASSWORD"]["value"], "hunter2");
    assert_eq!(shell.json(&["resolve", "PASSWORD", "--reveal"])["PASSWORD"]["value"], "hunter2");
    assert_eq!(shell.json(&["resolve"])["PASSWORD"]["value"], "[REDACTED]");
    assert_eq!(shell.ok(&["export", "--reveal", "--only", "HOST"]), "HOST=h\n");
    shell.write("a.tpl", "{{ PASSWORD }}");
    assert_eq!(shell.ok(&["inject", "a.tpl", "--reveal"]), "hunter2");
    assert!(shell.ok(&["explain", "HOST"]).contains("found"));

    shell.ok_with("i", &["set", "HOST"]);
    assert_eq!(shell.json(&["history", "HOST"]).as_array().unwrap().len(), 2);
    shell.ok(&["undo", "HOST", "--yes"]);
    assert_eq!(shell.ok(&["get", "HOST", "--reveal"]), "h");

    shell.ok(&["define", "HOST", "--change", "--description", "where"]);
    let refused = shell.run(&["define", "HOST", "--change", "--format", "integer"]);
    assert!(refused.code == 4 && refused.stderr.contains("1 value of HOST would be refused"), "{refused:?}");

    let made = shell.json(&["api-key", "create", "ci", "--right", "read", "--only", "HOST"]);
    let id = made["id"].as_str().unwrap();
    assert_eq!(shell.json(&["api-key", "rotate", id, "--grace", "1h"])["names"], json!(["HOST"]));
    assert!(shell.ok(&["api-key", "list"]).contains("HOST"));
    shell.ok(&["api-key", "revoke", id]);
    assert_eq!(shell.run(&["api-key", "revoke", id]).code, 3);

    shell.ok(&["audit", "--on"]);
    shell.ok_with("j", &["set", "HOST"]);
    shell.ok(&["get", "PASSWORD", "--reveal"]);
    let audit = shell.ok(&["audit"]);
    assert!(audit.contains("Variable Value Set") && audit.contains("Variable Value Read"), "{audit}");
    assert!(audit.contains("api-key:"), "{audit}");
    let version = shell.json(&["history", "HOST"])[1]["version"].as_str().unwrap().to_owned();
    shell.ok(&["revert", "HOST", "--version", &version, "--yes"]);
    assert_eq!(shell.ok(&["get", "HOST", "--reveal"]), "h");

    for command in
        [&["job", "list"][..], &["job", "run"], &["slot", "list"], &["rotate", "data"], &["verify"]]
    {
        shell.ok(command);
    }
    shell.ok(&["backup", "a.backup"]);
    assert!(shell.path("a.backup").metadata().unwrap().len() > 0);
    assert_eq!(shell.run(&["run", "--account", "nobody", "--", "true"]).code, 3, "a mistyped account");
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_right_that_a_key_lacks_is_5_and_named() {
    let remote = Remote::with_rights(&["read"]);
    for (command, right) in [
        (&["run", "--", "true"][..], "reveal"),
        (&["get", "A", "--reveal"], "reveal"),
        (&["backup", "a"], "operate"),
        (&["api-key", "list"], "admin"),
        (&["account", "create", "a"], "write"),
    ] {
        let ran = remote.run(&[&["--json"], command].concat());
        assert_eq!(ran.code, 5, "{command:?}: {}", ran.stderr);
        let error = ran.error();
        assert!(error["message"].as_str().unwrap().contains(&format!("the right {right}")), "{error}");
    }
    assert!(!remote.shell.path("a").exists());
}

#[test]
fn what_a_server_cannot_do_is_2_with_the_reason() {
    let remote = Remote::start();
    for arguments in [
        &["init"][..],
        &["rotate", "root"],
        &["slot", "add", "--new-root-key-file", "k"],
        &["shred", "account", "a", "--yes"],
        &["audit", "--export", "a"],
        &["audit", "--drop-before", "90d", "--yes"],
        &["define", "A", "--format", "string", "--scope", "org", "--scope", "workflow"],
    ] {
        let ran = remote.run(&[&["--json"], arguments].concat());
        assert_eq!((ran.code, ran.error()["error"].as_str()), (2, Some("usage")), "{arguments:?}");
    }
}

#[test]
fn a_server_on_this_machine_is_reached_without_a_proxy() {
    let remote = Remote::start();
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let ran = remote.shell.command(&["list"]).env(name, "http://127.0.0.1:1").output().unwrap();
        assert_eq!(ran.status.code(), Some(0), "{name}: {ran:?}");
    }
}

#[cfg(not(feature = "tls"))]
#[test]
fn a_build_without_tls_says_so_before_it_sends_anything() {
    let remote = Remote::start();
    let url = remote.server.text("url").replace("http://", "https://");
    let ran = remote.run(&["--url", &url, "list"]);
    assert!(ran.code == 2 && ran.stderr.contains("--features tls"), "{ran:?}");
}

#[test]
fn a_store_or_a_server_but_not_both() {
    let shell = Shell::with_vault();
    let url = ["--url", "http://127.0.0.1:1"];
    assert_eq!(shell.run(&[&url[..], &["--store", "memory", "list"]].concat()).code, 2);
    assert_eq!(shell.run(&[&url[..], &["list"]].concat()).code, 2, "a key is missing");
    assert_eq!(shell.run(&["--url", "ftp://x", "--api-key-file", "k", "list"]).code, 2);
    let shell = shell.variable("STRONGROOM_URL", "http://127.0.0.1:1");
    assert_eq!(shell.json(&["--store", shell.store().to_str().unwrap(), "list"]), Value::Array(Vec::new()));
}

#[test]
fn a_key_of_another_org_or_environment_than_the_settings_name_is_refused() {
    let Remote { shell, server } = Remote::with_rights(&["read", "write"]);
    let list = |name: &str, named: &str| shell.command(&["list"]).env(name, named).output().unwrap();
    for (name, named) in [("STRONGROOM_ENVIRONMENT", "prod"), ("STRONGROOM_ORG", "00000000000000000000000a")]
    {
        let refused = list(name, named);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains(named) && said.contains(name), "{said}");
    }
    for (name, named) in [("STRONGROOM_ENVIRONMENT", "test"), ("STRONGROOM_ORG", "000000000000000000000001")]
    {
        assert!(list(name, named).status.success(), "{name}");
    }
    drop(server);
}

#[test]
fn a_key_that_may_read_shows_what_is_not_encrypted_and_names_the_right_for_the_rest() {
    let Remote { shell, server } = Remote::with_rights(&["read", "write"]);
    let with = [("x-api-key", server.api_key())];
    for body in [json!({"name": "OPEN"}), json!({"name": "SECRET", "encrypted": true})] {
        let (status, said) = server.send("POST", "/api/v2/public/env/definitions", &with, &body.to_string());
        assert_eq!(status, 200, "{said}");
    }
    shell.ok_with("plain", &["set", "OPEN"]);
    shell.ok_with("hidden", &["set", "SECRET"]);
    assert_eq!(shell.ok(&["get", "OPEN", "--reveal"]).trim(), "plain");
    assert_eq!(shell.json(&["resolve", "OPEN", "--reveal"])["OPEN"]["value"], "plain");
    for command in ["get", "resolve"] {
        let refused = shell.run(&[command, "SECRET", "--reveal"]);
        assert!(refused.code != 0 && refused.stderr.contains("reveal"), "{}", refused.stderr);
        assert!(!refused.stdout.contains("hidden"));
    }
    let off = shell.run(&["audit", "--off"]);
    assert!(off.code != 0, "{}", off.stdout);
}

const OPERATOR: [&str; 5] = ["read", "write", "reveal", "admin", "operate"];

/// The same server with another key.
fn with_key(remote: &Remote, options: &[&str]) -> Shell {
    let made = remote.shell.json(&[&["api-key", "create", "other"], options].concat());
    let key = made["api_key"].as_str().unwrap();
    Shell::new().variable("STRONGROOM_URL", remote.server.text("url")).variable("STRONGROOM_API_KEY", key)
}

#[test]
fn an_import_writes_no_value_that_is_there_already_as_far_as_the_key_may_compare() {
    let remote = Remote::with_rights(&OPERATOR);
    let Remote { shell, .. } = &remote;
    let writer = with_key(&remote, &["--right", "read", "--right", "write"]);
    for shell in [shell, &writer] {
        shell.write("a.env", "HOST=h\nPASSWORD=hunter2\n");
    }
    shell.ok(&["import", "a.env", "--plain", "HOST"]);
    let plan = shell.json(&["import", "a.env", "--dry-run"]);
    assert_eq!((&plan["unchanged"], &plan["update"]), (&json!(2), &json!(0)));
    shell.ok(&["import", "a.env"]);
    let versions = |name: &str| shell.json(&["history", name]).as_array().unwrap().len();
    assert_eq!((versions("HOST"), versions("PASSWORD")), (1, 1));

    let ran = writer.run(&["import", "a.env"]);
    assert!(ran.stdout.contains("0 create, 1 update, 1 unchanged"), "{ran:?}");
    assert!(ran.stderr.contains("without the right reveal"), "{}", ran.stderr);
    assert_eq!((versions("HOST"), versions("PASSWORD")), (1, 2), "a key that may not see it cannot guess it");
    let ran = writer.run(&["import", "a.env"]);
    assert!(ran.stdout.contains("0 create, 1 update, 1 unchanged"), "the answer is the same: {ran:?}");
    assert_eq!(versions("PASSWORD"), 2, "what the key set itself is not pushed out by the same import");
    shell.ok_with("other", &["set", "PASSWORD"]);
    writer.ok(&["undo", "PASSWORD"]);
    writer.ok(&["import", "a.env"]);
    assert_eq!(versions("PASSWORD"), 5, "nor is what it brought back compared");
}

#[test]
fn a_change_over_a_server_says_the_same_as_at_the_store() {
    let Remote { shell: remote, server: _server } = Remote::with_rights(&OPERATOR);
    let local = Shell::with_vault();
    for shell in [&remote, &local] {
        shell.ok(&["define", "MODE", "--format", "enum", "--one-of", "a", "--one-of", "b"]);
        shell.ok_with("a", &["set", "MODE"]);
    }
    for (arguments, code) in [
        (&["define", "MODE", "--change"][..], 2),
        (&["define", "MODE", "--change", "--optional"], 2),
        (&["define", "MODE", "--change", "--one-of", "b", "--dry-run"], 4),
        (&["define", "MODE", "--change", "--one-of", "b"], 4),
        (&["define", "MODE", "--change", "--scheme", "https"], 2),
        (&["define", "MODE", "--change", "--one-of", "a", "--one-of", "c", "--dry-run"], 0),
        (&["define", "MODE", "--change", "--one-of", "a", "--one-of", "c", "--required"], 0),
        (&["define", "MODE", "--change", "--scope", "workflow"], 4),
    ] {
        let (there, here) = (remote.run(arguments), local.run(arguments));
        assert_eq!(there.code, code, "{arguments:?}: {}", there.stderr);
        assert_eq!((there.code, there.stdout, there.stderr), (here.code, here.stdout, here.stderr));
    }
    let Remote { shell: writer, server: _server } = Remote::with_rights(&["write"]);
    assert_eq!(writer.run(&["define", "X", "--format", "string", "--bytes-max", "9"]).code, 0);
    // The answer shows what is there.
    let refused = writer.run(&["define", "X", "--change", "--required"]);
    assert!(refused.code == 5 && refused.stderr.contains("right read"), "{}", refused.stderr);
}

#[test]
fn what_is_asked_for_alone_is_noted_alone_and_by_its_name() {
    let Remote { shell, server: _server } = Remote::with_rights(&OPERATOR);
    shell.write("a.env", "A=1\nB=2\nC=3\n");
    shell.ok(&["import", "a.env"]);
    shell.ok(&["audit", "--on"]);
    shell.ok(&["get", "A", "--reveal"]);
    assert_eq!(shell.ok(&["export", "--reveal", "--only", "B"]), "B=2\n");
    shell.ok(&["resolve", "C", "--reveal"]);
    let text = shell.ok(&["--json", "audit"]);
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let read: Vec<_> = events.flat_map(|event| event["changes"].as_array().unwrap().clone()).collect();
    let named = read.iter().filter(|one| one["kind"] == "Variable Value Read").map(|one| one["name"].clone());
    assert_eq!(named.collect::<Vec<_>>(), [json!("A"), json!("B"), json!("C")]);
    let made = shell.json(&["api-key", "create", "ci", "--right", "read"]);
    let listed = shell.ok(&["audit"]);
    assert!(listed.contains(made["id"].as_str().unwrap()) && !listed.contains("Record Put"), "{listed}");
    let absent = shell.run(&["export", "--reveal", "--only", "D"]);
    assert!(absent.code == 3 && absent.stderr.contains("strongroom list"), "{absent:?}");
}

#[test]
fn a_default_app_is_added_to_an_account_that_is_there() {
    let (remote, local) = (Remote::with_rights(&OPERATOR), Shell::with_vault());
    for shell in [&remote.shell, &local] {
        shell.ok(&["account", "create", "user_1"]);
        let refused = shell.pipe("k", &["credential", "set", "api_key", "--account", "user_1"]);
        assert!(refused.code == 3 && refused.stderr.contains("account add-app"), "{refused:?}");
        shell.ok(&["account", "add-app", "user_1"]);
        shell.ok(&["account", "add-app", "user_1"]);
        shell.ok_with("k", &["credential", "set", "api_key", "--account", "user_1"]);
        shell.ok(&["account", "add-app", "user_1", "--app", "crm"]);
        assert_eq!(shell.run(&["account", "add-app", "user_2"]).code, 3);
    }
}

#[test]
fn credentials_of_another_app_and_of_a_connection_beside_the_default_one_are_their_own() {
    let (remote, local) = (Remote::with_rights(&OPERATOR), Shell::with_vault());
    for shell in [&remote.shell, &local] {
        shell.ok(&["account", "create", "user_1", "--default-app"]);
        shell.ok(&["account", "add-app", "user_1", "--app", "crm", "--connection", "work"]);
        let place = ["--account", "user_1", "--app", "crm", "--connection", "work"];
        let default = ["--account", "user_1", "--app", "crm"];
        let set = [&["credential", "set", "token"], &place[..]].concat();
        assert!(shell.ok_with("t1", &set).contains("connection work of app crm"));
        let refused = shell.pipe("t2", &[&["credential", "set", "token"], &default[..]].concat());
        assert_eq!(refused.code, 3, "there is no default connection: {refused:?}");
        shell.ok(&["account", "add-app", "user_1", "--app", "crm"]);
        shell.ok_with("t2", &[&["credential", "set", "other"], &default[..]].concat());
        let keys = |place: &[&str]| {
            let listed = shell.json(&[&["credential", "list"], place].concat());
            listed.as_array().unwrap().iter().map(|one| one["key"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(keys(&place), [json!("token")]);
        assert_eq!(keys(&default), [json!("other")]);
        assert!(keys(&["--account", "user_1"]).is_empty());
        shell.ok(&[&["credential", "delete", "token", "--yes"], &place[..]].concat());
        assert!(keys(&place).is_empty());
    }
}

#[test]
fn an_app_or_one_connection_of_it_is_removed_with_its_credentials_and_only_if_agreed() {
    let (remote, local) = (Remote::with_rights(&OPERATOR), Shell::with_vault());
    for shell in [&remote.shell, &local] {
        shell.ok(&["account", "create", "user_1", "--default-app"]);
        shell.ok(&["account", "add-app", "user_1", "--app", "crm"]);
        shell.ok(&["account", "add-app", "user_1", "--app", "crm", "--connection", "work"]);
        shell.ok(&["account", "add-app", "user_1", "--app", "crm", "--connection", "home"]);
        let place = ["--account", "user_1", "--app", "crm", "--connection", "work"];
        shell.ok_with("t1", &[&["credential", "set", "token"], &place[..]].concat());
        let apps = || {
            let listed = shell.json(&["account", "apps", "user_1"]);
            let shown = |one: &Value| {
                format!("{} {}", one["app"].as_str().unwrap(), one["connection"].as_str().unwrap_or("-"))
            };
            listed.as_array().unwrap().iter().map(shown).collect::<Vec<_>>()
        };
        assert_eq!(apps(), ["crm -", "crm home", "crm work", "default-app -"]);
        let remove = ["account", "remove-app", "user_1", "--app", "crm"];
        let asked = shell.run(&remove);
        assert!(asked.code == 2 && asked.stderr.contains("--yes"), "{asked:?}");
        shell.ok(&[&remove[..], &["--connection", "work", "--yes"]].concat());
        assert_eq!(apps(), ["crm -", "crm home", "default-app -"]);
        shell.ok(&["account", "add-app", "user_1", "--app", "crm", "--connection", "work"]);
        let again = shell.json(&[&["credential", "list"], &place[..]].concat());
        assert_eq!(again, json!([]), "a connection that is added again begins empty");
        shell.ok(&[&remove[..], &["--yes"]].concat());
        assert_eq!(apps(), ["default-app -"]);
        assert_eq!(shell.run(&[&remove[..], &["--yes"]].concat()).code, 3);
        assert_eq!(shell.run(&["account", "apps", "user_2"]).code, 3);
    }
}

#[test]
fn the_next_step_for_a_missing_app_is_the_whole_command_and_a_missing_account_is_named() {
    let (remote, local) = (Remote::with_rights(&OPERATOR), Shell::with_vault());
    let documented = Remote::with_rights(&["documented"]);
    for shell in [&remote.shell, &local, &documented.shell] {
        shell.ok(&["account", "create", "alice"]);
        let default = shell.pipe("k", &["credential", "set", "token", "--account", "alice"]);
        assert!(
            default.code == 3 && default.stderr.contains("`strongroom account add-app alice`"),
            "{default:?}"
        );
        let nobody = ["--account", "nobody"];
        let set = shell.pipe("k", &[&["credential", "set", "token"], &nobody[..]].concat());
        let list = shell.run(&[&["credential", "list"], &nobody[..]].concat());
        let delete = shell.run(&[&["credential", "delete", "token"], &nobody[..]].concat());
        for ran in [set, list, delete] {
            assert_eq!(ran.code, 3, "{ran:?}");
            assert!(ran.stderr.to_lowercase().contains("linked account"), "{ran:?}");
            assert!(ran.stderr.contains("account list") && !ran.stderr.contains("ntegration"), "{ran:?}");
        }
    }
    for shell in [&remote.shell, &local] {
        let place = ["--account", "alice", "--app", "slack", "--connection", "nope"];
        let command = "`strongroom account add-app alice --app slack --connection nope`";
        let set = shell.pipe("k", &[&["credential", "set", "token"], &place[..]].concat());
        let list = shell.run(&[&["credential", "list"], &place[..]].concat());
        for ran in [set, list] {
            assert!(ran.code == 3 && ran.stderr.contains(command), "{ran:?}");
        }
        shell.ok(&["account", "add-app", "alice", "--app", "slack", "--connection", "nope"]);
        shell.ok_with("k", &[&["credential", "set", "token"], &place[..]].concat());
        let remove = shell.run(&["account", "remove-app", "alice", "--app", "crm"]);
        assert!(remove.code == 3 && remove.stderr.contains("`strongroom account apps alice`"), "{remove:?}");
    }
}

#[test]
fn what_an_account_holds_is_said_before_it_is_deleted_and_an_unknown_one_is_3() {
    let (remote, local) = (Remote::with_rights(&OPERATOR), Shell::with_vault());
    for shell in [&remote.shell, &local] {
        shell.define("A", "string");
        shell.ok(&["account", "create", "alice", "--default-app"]);
        shell.ok(&["account", "add-app", "alice", "--app", "slack", "--connection", "two"]);
        shell.ok_with("v", &["set", "A", "--account", "alice"]);
        shell.ok_with("k", &["credential", "set", "token", "--account", "alice"]);
        let place = ["--account", "alice", "--app", "slack", "--connection", "two"];
        shell.ok_with("k", &[&["credential", "set", "token"], &place[..]].concat());
        let asked = shell.run(&["account", "delete", "alice"]);
        assert_eq!(asked.code, 2, "{asked:?}");
        assert!(asked.stderr.contains("values (1), credentials of all its apps (2)"), "{asked:?}");
        for command in ["delete", "sessions", "apps", "remove-app"] {
            let absent = shell.run(&["account", command, "nobody"]);
            assert!(absent.code == 3 && absent.stderr.contains("account list"), "{command}: {absent:?}");
        }
        shell.ok(&["account", "delete", "alice", "--yes"]);
    }
    let documented = Remote::with_rights(&["documented"]);
    assert_eq!(documented.run(&["account", "delete", "nobody"]).code, 3);
}

#[test]
fn an_account_id_that_a_header_would_cut_is_not_written_to() {
    let (remote, local) = (Remote::with_rights(&OPERATOR), Shell::with_vault());
    for shell in [&remote.shell, &local] {
        shell.define("A", "string");
        shell.write("a.env", "A=1\n");
        for command in [
            &["account", "create", " y"][..],
            &["account", "add-app", "y "],
            &["set", "A", "--account", " y"],
            &["import", "a.env", "--account", " y"],
            &["credential", "set", "token", "--account", " y"],
            &["api-key", "create", "k", "--right", "read", "--account", " y"],
        ] {
            let refused = shell.pipe("v", command);
            assert!(refused.code == 4 && refused.stderr.contains("blank"), "{command:?}: {refused:?}");
        }
    }
}

#[test]
fn a_new_api_key_shows_the_same_fields_wherever_it_is_made() {
    let (remote, local) = (Remote::with_rights(&OPERATOR), Shell::with_vault());
    let fields = |shell: &Shell| {
        let made =
            shell.json(&["api-key", "create", "k", "--right", "read", "--only", "A", "--account", "a"]);
        assert_eq!((&made["names"], &made["linked_account_ids"]), (&json!(["A"]), &json!(["a"])));
        made.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(fields(&remote.shell), fields(&local));
}

#[test]
fn values_of_a_server_are_edited_and_one_that_changed_meanwhile_is_not_overwritten() {
    let remote = Remote::with_rights(&OPERATOR);
    let key = remote
        .shell
        .json(&["api-key", "create", "e", "--right", "read", "--right", "write", "--right", "reveal"]);
    let Remote { shell, server } = remote;
    shell.write("a.env", "PORT=80\nTOKEN=hunter2\n");
    shell.ok(&["import", "a.env"]);
    shell.define("NEW", "integer");
    let shell = shell.variable("EDITOR", "sed -i s/hunter2/hunter3/;$aNEW=1");
    let asked = shell.run(&["edit"]);
    assert!(asked.code == 2 && asked.stderr.contains("set 2 values at org"), "{asked:?}");
    assert!(!asked.stdout.contains("nothing was written"), "{}", asked.stdout);
    shell.ok(&["edit", "--yes"]);
    assert_eq!(shell.ok(&["get", "TOKEN", "--reveal"]), "hunter3");
    assert_eq!(shell.ok(&["get", "NEW", "--reveal"]), "1");
    let shell = shell.variable("VISUAL", "sed -i s/NEW=1/NEW=x/");
    let refused = shell.run(&["edit", "--yes"]);
    assert!(refused.code == 4 && refused.stdout.contains("an integer"), "{refused:?}");

    shell.write("editor", "export STRONGROOM_URL=$OTHER_URL STRONGROOM_API_KEY=$OTHER_KEY\nprintf other | \"$PROGRAM\" set TOKEN\nsed -i s/hunter3/mine/ \"$1\"\n");
    let other = Shell::new()
        .variable("STRONGROOM_URL", server.text("url"))
        .variable("STRONGROOM_API_KEY", key["api_key"].as_str().unwrap())
        // What is for this program alone does not reach the editor.
        .variable("OTHER_URL", server.text("url"))
        .variable("OTHER_KEY", key["api_key"].as_str().unwrap())
        .variable("PROGRAM", env!("CARGO_BIN_EXE_strongroom"))
        .variable("VISUAL", &format!("sh {}", shell.path("editor").display()));
    let ran = other.run(&["edit", "--yes"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert_eq!(shell.ok(&["get", "TOKEN", "--reveal"]), "other");
}

#[test]
fn each_refusal_of_a_server_has_a_step() {
    let Remote { shell, server } = Remote::with_rights(&OPERATOR);
    shell.define("PORT", "integer");
    shell.write("bad.env", "PORT=x\n");
    for (arguments, code, step) in [
        (&["get", "NONE"][..], 3, "strongroom list"),
        (&["show", "NONE"], 3, "strongroom list"),
        (&["get", "PORT"], 3, "strongroom explain"),
        (&["undo", "PORT", "--yes"], 3, ""),
        (&["revert", "PORT", "--version", "1", "--yes"], 3, ""),
        (&["define", "PORT", "--format", "integer"], 4, "another name"),
        (&["account", "delete", "nobody", "--yes"], 3, "strongroom account list"),
        (&["credential", "list", "--account", "nobody"], 3, "strongroom account list"),
        (&["list", "--values", "--account", "nobody"], 3, "strongroom account list"),
        (&["resolve", "--account", "nobody"], 3, "strongroom account list"),
        (&["api-key", "revoke", "6500a1b2c3d4e5f6a7b8c9d0"], 3, "strongroom api-key list"),
        (&["job", "pause", "6500a1b2c3d4e5f6a7b8c9d0"], 3, "strongroom job list"),
        (&["import", "bad.env"], 4, ""),
        (&["undo", "NONE", "--definition", "--yes"], 3, "strongroom list"),
    ] {
        let ran = shell.run(&[&["--json"], arguments].concat());
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        assert!(
            ran.error()["next"].as_str().is_some_and(|next| next.contains(step)),
            "{arguments:?}: {}",
            ran.stderr
        );
    }
    let bad = shell.pipe("x", &["set", "PORT"]);
    assert!(bad.code == 4 && bad.stderr.contains("strongroom show NAME"), "{bad:?}");
    shell.ok(&["health"]);
    assert_eq!(server.stop(), 0);
    assert_eq!(shell.run(&["health"]).code, 6);
}

#[test]
fn a_definition_that_was_deleted_is_brought_back() {
    let Remote { shell, server: _server } = Remote::with_rights(&OPERATOR);
    shell.ok(&["define", "PORT", "--format", "integer", "--required"]);
    let id = shell.json(&["show", "PORT"])["id"].clone();
    shell.ok(&["delete", "PORT", "--definition", "--yes"]);
    shell.ok(&["undo", "PORT", "--definition", "--yes"]);
    let shown = shell.json(&["show", "PORT"]);
    assert_eq!((&shown["id"], &shown["required"]), (&id, &json!(true)));
}

#[test]
fn what_a_key_for_documented_calls_deletes_is_said_to_be_gone_for_good() {
    let Remote { shell, server: _server } = Remote::start();
    shell.define("A", "string");
    shell.ok_with("x", &["set", "A"]);
    let asked = shell.run(&["delete", "A"]);
    assert!(asked.code == 2 && asked.stderr.contains("for good"), "{}", asked.stderr);
    let done = shell.run(&["delete", "A", "--yes"]);
    assert!(done.code == 0 && done.stderr.contains("for good"), "{}", done.stderr);
}

#[test]
fn an_account_that_is_not_registered_is_named_where_it_gets_a_value() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    shell.ok(&["account", "create", "cust_a"]);
    let said = |account: &str| shell.pipe("x", &["set", "A", "--account", account]).stderr;
    assert!(said("cust_b").contains("no registered linked account; did you mean cust_a?"));
    assert_eq!((said("cust_b").as_str(), said("cust_a").as_str()), ("", ""), "it has values by now");
}

#[test]
fn a_mistyped_name_is_told_from_those_that_the_key_may_list() {
    let Remote { shell, server: _server } = Remote::with_rights(&OPERATOR);
    shell.define("PORT", "integer");
    for command in
        [&["get", "PROT"][..], &["explain", "PROT"], &["history", "PROT"], &["delete", "PROT", "--yes"]]
    {
        let ran = shell.run(command);
        assert_eq!(ran.code, 3, "{command:?}");
        assert!(ran.stderr.contains("PROT") && ran.stderr.contains("did you mean PORT?"), "{}", ran.stderr);
    }
}

#[test]
fn only_what_is_used_is_revealed_and_noted() {
    let rights = ["read", "write", "reveal", "admin", "operate"];
    let Remote { shell, server: _server } = Remote::with_rights(&rights);
    shell.write("a.env", "USED=u\nUNUSED=n\n");
    shell.ok(&["import", "a.env"]);
    shell.write("a.tpl", "{{ USED }}{{ USED }}");
    assert_eq!(shell.ok(&["inject", "a.tpl", "--reveal"]), "uu");
    shell.write("b.tpl", "{{ USDE }}");
    let ran = shell.run(&["inject", "b.tpl", "--reveal"]);
    assert!(ran.code == 3 && ran.stderr.contains("line 1") && ran.stderr.contains("USED"), "{}", ran.stderr);
    shell.ok(&["account", "create", "user_1"]);
    shell.ok(&["copy", "test", "@account:user_1", "--only", "USED"]);
    let noted = shell.ok(&["audit"]);
    let read: Vec<_> = noted.lines().filter(|line| line.contains("Variable Value Read")).collect();
    assert!(read.len() == 2 && read.iter().all(|line| line.contains("USED")), "{noted}");
    assert!(!read.iter().any(|line| line.contains("UNUSED")), "{noted}");
}

#[test]
fn what_looks_like_a_value_is_not_repeated_as_a_place() {
    let Remote { shell, server: _server } = Remote::with_rights(&["read", "reveal"]);
    for place in ["APP_KEY=hunter2", "sk_live_hunter2"] {
        for command in ["diff", "copy"] {
            let ran = shell.run(&[command, place, "test"]);
            assert!(ran.code == 2 && !ran.stderr.contains("hunter2"), "{command} {place}: {}", ran.stderr);
        }
    }
}

#[test]
fn names_are_completed_from_a_server_although_nothing_is_waited_for() {
    let Remote { shell, server: _server } = Remote::with_rights(&OPERATOR);
    shell.define("PORT", "integer");
    // As the completions of a shell ask.
    assert!(shell.ok(&["--wait", "0", "list", "--names"]).contains("PORT\n"));
}

#[test]
fn nothing_is_revealed_for_a_file_that_is_there_already() {
    let Remote { shell, server: _server } = Remote::with_rights(&["read", "write", "reveal", "admin"]);
    shell.define("TOKEN", "string");
    shell.ok_with("x", &["set", "TOKEN"]);
    shell.write("a.tpl", "{{ TOKEN }}");
    for command in [&["export"][..], &["inject", "a.tpl"]] {
        let ran = shell.run(&[command, &["--reveal", "--output", "a.tpl"]].concat());
        assert!(ran.code == 2 && ran.stderr.contains("name a new file"), "{command:?}: {}", ran.stderr);
    }
    let noted = shell.ok(&["audit"]);
    assert!(!noted.contains("Variable Value Read"), "{noted}");
}

#[test]
fn a_template_that_a_server_fills_in_says_what_is_missing() {
    let Remote { shell, server: _server } = Remote::with_rights(&["read", "write", "reveal"]);
    shell.ok(&["define", "TOKEN", "--format", "string", "--required"]);
    shell.ok(&["define", "LEVEL", "--format", "string", "--required", "--default", "info"]);
    shell.write("a.tpl", "{{ LEVEL }}");
    let ran = shell.run(&["inject", "a.tpl", "--reveal"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "info"), "{}", ran.stderr);
    assert!(ran.stderr.contains("required variables without a value: TOKEN\n"), "{}", ran.stderr);
}

#[test]
fn a_key_that_writes_some_names_alone_is_told_what_it_lacks_and_deletes_without_reading() {
    let served = Shell::new();
    let server = Server::start(&served, &[]);
    for name in ["MINE", "YOURS"] {
        served.define(name, "string");
        served.ok_with("x", &["set", name]);
    }
    let shell_with = |rights: &[&str]| {
        let mut create = vec!["api-key", "create", "ci", "--only", "MINE"];
        rights.iter().for_each(|right| create.extend(["--right", right]));
        let key = served.json(&create)["api_key"].as_str().unwrap().to_owned();
        let shell = Shell::new().variable("STRONGROOM_URL", server.text("url"));
        shell.variable("STRONGROOM_API_KEY", &key)
    };
    for rights in [&["write"][..], &["read", "write"]] {
        let shell = shell_with(rights);
        shell.ok_with("y", &["set", "MINE"]);
        let set = shell.pipe("y", &["set", "YOURS"]);
        assert!(set.code == 5 && set.stderr.contains("the right write only for"), "{}", set.stderr);
        let deleted = shell.run(&["delete", "YOURS", "--yes"]);
        assert!(
            deleted.code == 5 && deleted.stderr.contains("the right write only for"),
            "{}",
            deleted.stderr
        );
        shell.ok(&["delete", "MINE", "--yes"]);
    }
}

#[test]
fn a_doctor_shows_its_table_when_the_server_is_out_of_reach() {
    let shell = Shell::new().variable("STRONGROOM_URL", "http://127.0.0.1:1");
    let shell = shell.variable("STRONGROOM_API_KEY", "tk_test");
    let ran = shell.run(&["doctor"]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stdout.contains("vault") && ran.stdout.contains("failed"), "{}", ran.stdout);
}

#[test]
fn a_mistyped_name_is_told_what_was_meant_by_every_command_that_takes_one() {
    let rights = ["read", "write", "reveal", "admin"];
    let Remote { shell, server: _server } = Remote::with_rights(&rights);
    shell.define("PORT", "integer");
    shell.ok_with("80", &["set", "PORT"]);
    for command in [
        &["show", "PROT"][..],
        &["get", "PROT"],
        &["resolve", "PROT"],
        &["explain", "PROT"],
        &["history", "PROT"],
        &["export", "--only", "PROT", "--reveal"],
        &["define", "PROT", "--change", "--required"],
        &["delete", "PROT", "--yes"],
    ] {
        let ran = shell.run(command);
        assert_eq!(ran.code, 3, "{command:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("did you mean PORT?"), "{command:?}: {}", ran.stderr);
    }
}

#[test]
fn what_no_server_does_is_refused_with_its_own_reason() {
    let shell =
        Shell::new().variable("STRONGROOM_URL", "http://127.0.0.1:1").variable("STRONGROOM_API_KEY", "k");
    for (arguments, reason) in [
        (&["init"][..], "created in a store"),
        (&["serve"], "opens a store itself"),
        (&["shred", "account", "a", "--yes"], "strongroom account delete ID"),
        (&["restore", "f", "--as-new"], "restored into a store"),
        (&["rotate", "root"], "never travels"),
    ] {
        let ran = shell.run(arguments);
        assert!(ran.code == 2 && ran.stderr.contains(reason), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("--store"), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn a_value_that_a_server_refuses_is_named_with_its_line() {
    let Remote { shell, server: _server } = Remote::with_rights(&OPERATOR);
    shell.define("PORT", "integer");
    shell.write("a.env", "\nPORT=http\n");
    let ran = shell.run(&["import", "a.env"]);
    assert!(ran.code == 4 && ran.stdout.contains("line 2: "), "{ran:?}");
}

#[test]
fn a_server_of_a_vault_without_an_audit_says_that_nothing_is_noted() {
    let shell = Shell::with_vault();
    let server = Server::start(&shell, &[]);
    let rights = OPERATOR.into_iter().flat_map(|right| ["--right", right]);
    let create: Vec<_> = ["api-key", "create", "desk"].into_iter().chain(rights).collect();
    let key = shell.json(&create);
    let remote = Shell::new().variable("STRONGROOM_URL", server.text("url"));
    let remote = remote.variable("STRONGROOM_API_KEY", key["api_key"].as_str().unwrap());
    assert!(remote.run(&["audit"]).stderr.contains("this vault notes no writes"));
    remote.ok(&["audit", "--on"]);
    assert!(!remote.run(&["audit"]).stderr.contains("notes no writes"));
    server.stop();
}

#[test]
fn the_api_key_of_an_option_comes_before_the_environment_and_that_before_the_file() {
    let Remote { shell, server: _server } = Remote::with_rights(&["read"]);
    shell.write("bad.key", "tk_none");
    shell.write("c.toml", "api_key_file = \"bad.key\"\n");
    shell.ok(&["--config", "c.toml", "list"]);
    assert_ne!(shell.run(&["--api-key-file", "bad.key", "list"]).code, 0);
}

#[test]
fn a_file_without_one_api_key_is_refused_before_anything_is_sent() {
    let shell = Shell::new().variable("STRONGROOM_URL", "http://127.0.0.1:1");
    let shell = shell.variable("STRONGROOM_API_KEY_FILE", "api.key");
    for text in ["", "\n", "tk_a\ntk_b\n", "tk_a # of the bank\n"] {
        shell.write("api.key", text);
        let ran = shell.run(&["list"]);
        assert!(ran.code == 5 && ran.stderr.contains("api.key holds no API key"), "{text:?}: {}", ran.stderr);
    }
}

#[test]
fn nothing_runs_without_what_a_server_says_is_required() {
    let Remote { shell, server: _server } = Remote::with_rights(&OPERATOR);
    shell.ok(&["define", "TOKEN", "--format", "string", "--required"]);
    let ran = shell.run(&["run", "--", "touch", "ran"]);
    assert!(ran.code == 3 && ran.stderr.contains("without a value: TOKEN"), "{}", ran.stderr);
    assert!(!shell.path("ran").exists());
    shell.ok_with("x", &["set", "TOKEN"]);
    shell.ok(&["run", "--", "touch", "ran"]);
    assert!(shell.path("ran").exists());
}
