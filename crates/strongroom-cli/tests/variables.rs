//! `define`, `set`, `get`, `resolve`, `explain`, `list` and `delete`.

mod shell;

use serde_json::json;
use shell::Shell;

#[test]
fn a_value_keeps_its_exact_bytes() {
    let shell = Shell::with_vault();
    shell.define("TEXT", "string");
    for value in ["", "two\r\nlines\n", " é \u{1f511} ", "$HOME `id`"] {
        shell.ok_with(value, &["set", "TEXT", "--empty"]);
        assert_eq!(shell.ok(&["get", "TEXT", "--reveal"]), value);
    }
}

#[test]
fn bytes_go_in_and_come_out_as_they_are_and_are_base64_where_text_is_shown() {
    let shell = Shell::with_vault();
    shell.ok(&["define", "KEYTAB", "--format", "bytes", "--encrypted"]);
    shell.ok_with(b"\x05\x02\0\xff", &["set", "KEYTAB", "--bytes"]);
    let raw = shell.command(&["get", "KEYTAB", "--reveal", "--bytes"]).output().unwrap();
    assert_eq!((raw.status.code(), raw.stdout.as_slice()), (Some(0), b"\x05\x02\0\xff".as_slice()));
    assert_eq!(shell.ok(&["get", "KEYTAB", "--reveal"]), "BQIA/w==");
    assert_eq!(shell.json(&["get", "KEYTAB", "--reveal"])["value"], "BQIA/w==");
    let exported = shell.ok(&["export", "--reveal"]);
    shell.ok_with("BQIA/w==", &["set", "KEYTAB"]);
    assert_eq!(shell.ok(&["export", "--reveal"]), exported);
    assert!(exported.contains("BQIA/w=="));
}

#[test]
fn bytes_are_refused_where_they_cannot_be_what_was_meant() {
    let shell = Shell::with_vault();
    shell.define("TEXT", "string");
    shell.define("KEYTAB", "bytes");
    let unmarked = shell.pipe(b"\xff\xfe", &["set", "KEYTAB"]);
    assert!(unmarked.code == 4 && unmarked.stderr.contains("--bytes"), "{}", unmarked.stderr);
    assert_eq!(shell.pipe("a text", &["set", "KEYTAB"]).code, 4, "a text that is no base64");
    assert_eq!(shell.pipe("", &["set", "KEYTAB", "--bytes"]).code, 2);
    assert_eq!(shell.pipe([0; 49_153], &["set", "KEYTAB", "--bytes"]).code, 4);
    shell.ok_with([0; 49_152], &["set", "KEYTAB", "--bytes"]);
    shell.ok_with("hunter2!", &["set", "TEXT"]);
    let text = shell.run(&["get", "TEXT", "--reveal", "--bytes"]);
    assert!(text.code == 4 && !text.stderr.contains("hunter2"), "{}", text.stderr);
    assert_eq!(shell.run(&["--json", "get", "KEYTAB", "--reveal", "--bytes"]).code, 2);
    assert_eq!(shell.run(&["get", "KEYTAB", "--bytes"]).code, 2);
}

#[test]
fn resolve_answers_value_scope_and_what_is_shadowed() {
    let shell = Shell::with_vault();
    shell.ok(&["define", "REGION", "--format", "string", "--default", "eu"]);
    shell.ok(&["define", "TOKEN", "--format", "string", "--encrypted"]);
    shell.ok_with("us", &["set", "REGION"]);
    shell.ok_with("t1", &["set", "TOKEN", "--account", "user_1"]);
    shell.ok_with("t2", &["set", "TOKEN", "--workflow", "wf_1"]);
    let all = shell.json(&["resolve", "--account", "user_1", "--workflow", "wf_1", "--reveal"]);
    let expected = json!({
        "REGION": { "value": "us", "scope": "org", "encrypted": false, "shadowed": ["default"] },
        "TOKEN": { "value": "t2", "scope": "workflow", "encrypted": true, "shadowed": ["linked_account"] },
    });
    assert_eq!(all, expected);
    let one = shell.json(&["resolve", "REGION", "--reveal"]);
    assert_eq!(one, json!({ "REGION": expected["REGION"] }));
}

#[test]
fn values_are_masked_unless_revealed() {
    let shell = Shell::with_vault();
    shell.define("NAME", "string");
    shell.ok_with("hunter2", &["set", "NAME"]);
    for arguments in [&["get", "NAME"][..], &["resolve"], &["resolve", "NAME"], &["list", "--values"]] {
        let shown = [shell.ok(arguments), shell.ok(&[&["--json"], arguments].concat())].concat();
        assert!(shown.contains("[REDACTED]") && !shown.contains("hunter2"), "{arguments:?}: {shown}");
    }
    assert!(shell.ok(&["resolve", "--reveal"]).contains("hunter2"));
}

#[test]
fn explain_shows_each_place_and_no_value() {
    let shell = Shell::with_vault();
    shell.ok(&["define", "REGION", "--format", "string", "--default", "eu"]);
    shell.ok_with("us", &["set", "REGION", "--account", "user_1"]);
    let trace = shell.json(&["explain", "REGION", "--account", "user_1", "--workflow", "wf_1"]);
    let steps: Vec<_> = trace["steps"].as_array().unwrap().iter().map(|step| &step["outcome"]).collect();
    assert_eq!(steps, ["no value", "found", "no value", "shadowed"]);
    assert_eq!(trace["scope"], "linked_account");
}

#[test]
fn list_shows_definitions_or_the_values_of_a_scope() {
    let shell = Shell::with_vault();
    shell.ok(&[
        "define",
        "PORT",
        "--format",
        "integer",
        "--scope",
        "org",
        "--scope",
        "workflow",
        "--required",
    ]);
    shell.ok_with("8080", &["set", "PORT", "--workflow", "wf_1"]);
    let definitions = shell.json(&["list"]);
    assert_eq!(definitions[0]["scopes"], json!(["org", "workflow"]));
    assert_eq!(definitions[0]["var_format"], "integer");
    assert_eq!(shell.json(&["list", "--values"]), json!([]));
    assert_eq!(shell.json(&["list", "--workflow", "wf_1"])[0]["name"], "PORT");
    assert!(shell.ok(&["list"]).starts_with("NAME  FORMAT   SCOPES         ENCRYPTED  REQUIRED"));
}

#[test]
fn delete_takes_a_value_or_the_whole_definition() {
    let shell = Shell::with_vault();
    shell.define("PORT", "integer");
    shell.ok_with("8080", &["set", "PORT"]);
    shell.ok(&["delete", "PORT", "--yes"]);
    assert_eq!(shell.run(&["delete", "PORT", "--yes"]).code, 3);
    shell.ok(&["delete", "PORT", "--definition", "--yes"]);
    assert_eq!(shell.json(&["list"]), json!([]));
}

#[test]
fn what_is_not_there_is_3_and_says_the_next_step() {
    let shell = Shell::with_vault();
    shell.define("PORT", "integer");
    for arguments in [
        &["get", "NONE"][..],
        &["get", "PORT"],
        &["set", "NONE"],
        &["resolve", "NONE"],
        &["resolve", "PORT"],
        &["explain", "NONE"],
        &["delete", "NONE", "--yes"],
        &["delete", "NONE", "--definition", "--yes"],
    ] {
        let ran = shell.pipe("x", arguments);
        assert_eq!(ran.code, 3, "{arguments:?}");
        assert!(ran.stdout.is_empty() && ran.stderr.contains("\nnext: "), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn what_the_definition_refuses_is_4_and_is_not_shown() {
    let shell = Shell::with_vault();
    shell.ok(&["define", "PORT", "--format", "integer", "--scope", "org"]);
    shell.define("TEXT", "string");
    let cases: [(&[u8], &[&str]); 4] = [
        (b"hunter2", &["set", "PORT"]),
        (b"80", &["set", "PORT", "--account", "user_1"]),
        (b"hunter2\xff", &["set", "TEXT"]),
        (&[b'h'; 65_537], &["set", "TEXT"]),
    ];
    for (value, arguments) in cases {
        let ran = shell.pipe(value, arguments);
        assert_eq!(ran.code, 4, "{arguments:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("hunter2") && !ran.stderr.contains("hhh"), "{}", ran.stderr);
    }
    assert_eq!(shell.json(&["list", "--values"]), json!([]));
}

#[test]
fn each_format_takes_its_own_parameters() {
    let shell = Shell::with_vault();
    shell.ok(&["define", "REGION", "--format", "enum", "--one-of", "eu", "--one-of", "us"]);
    shell.ok(&["define", "LINK", "--format", "url_with_scheme", "--scheme", "https"]);
    shell.ok(&["define", "TAG", "--format", "pattern", "--pattern", r"v\d+", "--must-match", "v1"]);
    shell.ok(&["define", "CODE", "--format", "string", "--bytes-min", "2", "--bytes-max", "4"]);
    let cases = [
        ("REGION", "eu", "fr"),
        ("LINK", "https://a.b", "http://a.b"),
        ("TAG", "v2", "2"),
        ("CODE", "abc", "a"),
    ];
    for (name, good, bad) in cases {
        assert_eq!(shell.pipe(good, &["set", name]).code, 0, "{name}");
        assert_eq!(shell.pipe(bad, &["set", name]).code, 4, "{name}");
    }
    let refused: [(&[&str], i32); 6] = [
        (&["--format", "enum"], 2),
        (&["--format", "string", "--one-of", "a"], 2),
        (&["--format", "nonsense"], 2),
        (&["--format", "string", "--encrypted", "--default", "a"], 2),
        (&["--format", "pattern", "--pattern", "["], 4),
        (&["--format", "number", "--default", "a"], 4),
    ];
    for (arguments, code) in refused {
        assert_eq!(shell.run(&[&["define", "X"], arguments].concat()).code, code, "{arguments:?}");
    }
}

#[test]
fn a_name_is_defined_once() {
    let shell = Shell::with_vault();
    shell.define("PORT", "integer");
    let again = shell.run(&["--json", "define", "PORT", "--format", "string"]);
    assert_eq!((again.code, &again.error()["error"]), (4, &json!("invalid")));
}

#[test]
fn a_required_variable_without_a_value_is_warned_of() {
    let shell = Shell::with_vault();
    shell.ok(&["define", "TOKEN", "--format", "string", "--required"]);
    let ran = shell.run(&["resolve"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("TOKEN"));
}

#[test]
fn orgs_and_environments_do_not_see_each_other() {
    let shell = Shell::with_vault();
    shell.define("PORT", "integer");
    assert_eq!(shell.json(&["--environment", "production", "list"]), json!([]));
    shell.ok(&["--org", "6500a1b2c3d4e5f6a7b8c9d0", "account", "create", "user_1"]);
    assert_eq!(shell.json(&["--org", "6500a1b2c3d4e5f6a7b8c9d0", "list"]), json!([]));
    assert_eq!(
        shell.json(&["--org", "000000000000000000000001", "--environment", "test", "list"])[0]["name"],
        "PORT"
    );
}
