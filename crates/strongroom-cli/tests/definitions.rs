//! `show` and `define --change`.

mod shell;

use serde_json::{Value, json};
use shell::Shell;
#[cfg(unix)]
use shell::server::Server;

#[test]
fn everything_that_a_definition_asks_for_is_shown() {
    let shell = Shell::with_vault();
    shell.ok(&[
        "define",
        "LEVEL",
        "--format",
        "enum",
        "--one-of",
        "low",
        "--one-of",
        "high",
        "--default",
        "low",
        "--required",
    ]);
    shell.ok(&[
        "define",
        "KEY",
        "--format",
        "pattern",
        "--pattern",
        "k_[0-9]+",
        "--must-match",
        "k_1",
        "--bytes-max",
        "9",
        "--scope",
        "org",
    ]);
    let shown = shell.json(&["show", "LEVEL"]);
    assert_eq!(shown["parameters"], json!({"enum": ["low", "high"]}));
    assert_eq!((&shown["default"], &shown["required"]), (&json!("low"), &json!(true)));
    let table = shell.ok(&["show", "LEVEL"]);
    assert!(table.contains("low") && table.contains("high") && table.contains("required"), "{table}");
    let shown = shell.json(&["show", "KEY"]);
    assert_eq!(
        (&shown["bytes_min"], &shown["bytes_max"], &shown["scopes"]),
        (&json!(0), &json!(9), &json!(["org"]))
    );
    let table = shell.ok(&["show", "KEY"]);
    assert!(table.contains("k_[0-9]+") && table.contains("k_1") && table.contains("0 to 9 bytes"), "{table}");
    let ran = shell.run(&["show", "LEVLE"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("did you mean LEVEL?"), "{}", ran.stderr);
}

#[test]
fn a_format_is_changed_only_if_every_value_has_it() {
    let shell = Shell::with_vault();
    shell.define("PORT", "string");
    shell.ok_with("hunter2", &["set", "PORT"]);
    shell.ok_with("8080", &["set", "PORT", "--workflow", "wf_1"]);
    for more in [&["--dry-run"][..], &[]] {
        let ran = shell.run(&[&["define", "PORT", "--change", "--format", "integer"], more].concat());
        assert_eq!(ran.code, 4, "{}", ran.stderr);
        assert!(
            ran.stdout.contains("format string to integer") && ran.stdout.contains("an integer"),
            "{}",
            ran.stdout
        );
        assert!(
            ran.stderr.contains("1 value of PORT") && ran.stderr.contains("--keep-mismatched"),
            "{}",
            ran.stderr
        );
        assert!(!format!("{ran:?}").contains("hunter2"));
    }
    assert_eq!(shell.json(&["show", "PORT"])["var_format"], "string");
    shell.ok_with("80", &["set", "PORT"]);
    let dry = shell.json(&["define", "PORT", "--change", "--format", "integer", "--dry-run"]);
    assert_eq!((&dry["refused"], &dry["dry_run"]), (&json!([]), &json!(true)));
    assert_eq!(shell.json(&["show", "PORT"])["var_format"], "string");
    let done = shell.ok(&["define", "PORT", "--change", "--format", "integer"]);
    assert_eq!(done, "changed PORT: format string to integer\n");
    assert_eq!(shell.pipe("http", &["set", "PORT"]).code, 4);
}

#[test]
fn a_value_of_another_format_can_be_kept_until_it_is_set_again() {
    let shell = Shell::with_vault();
    shell.define("PORT", "string");
    shell.ok_with("http", &["set", "PORT"]);
    shell.ok(&["define", "PORT", "--change", "--format", "integer", "--keep-mismatched"]);
    assert_eq!(shell.ok(&["get", "PORT", "--reveal"]), "http");
    assert_eq!(shell.json(&["show", "PORT"])["format_changes"], 1);
}

#[test]
fn what_is_not_named_stays_as_it_is() {
    let shell = Shell::with_vault();
    shell.ok(&[
        "define",
        "A",
        "--format",
        "integer",
        "--description",
        "one",
        "--default",
        "1",
        "--bytes-max",
        "9",
    ]);
    shell.ok(&["define", "A", "--change", "--required", "--description", "two"]);
    shell.ok(&["define", "A", "--change", "--format", "number"]);
    let shown = shell.json(&["show", "A"]);
    let fields =
        ["var_format", "description", "default", "required", "bytes_max"].map(|field| shown[field].clone());
    assert_eq!(fields, [json!("number"), json!("two"), json!("1"), json!(true), json!(9)]);
    shell.ok(&[
        "define",
        "A",
        "--change",
        "--no-default",
        "--no-description",
        "--optional",
        "--rename",
        "B",
        "--encrypted",
    ]);
    let shown = shell.json(&["show", "B"]);
    let fields = ["description", "default", "required", "encrypted"].map(|field| shown[field].clone());
    assert_eq!(fields, [Value::Null, Value::Null, json!(false), json!(true)]);
}

#[test]
fn a_change_of_format_is_not_made_if_what_comes_with_it_is_refused() {
    let shell = Shell::with_vault();
    shell.define("TAKEN", "string");
    shell.ok(&["define", "PORT", "--format", "string", "--default", "http"]);
    let long = "x".repeat(2_000);
    for other in [
        &["--rename", "TAKEN"][..],
        &["--description", &long],
        &["--encrypted"],
        &["--required", "--encrypted"],
    ] {
        let change = ["define", "PORT", "--change", "--format", "integer", "--default", "80"];
        assert_ne!(shell.run(&[&change[..], other].concat()).code, 0, "{other:?}");
        let shown = shell.json(&["show", "PORT"]);
        let kept = ["var_format", "default", "required"].map(|field| shown[field].clone());
        assert_eq!(kept, [json!("string"), json!("http"), json!(false)], "{other:?}");
    }
    shell.ok(&["define", "PORT", "--change", "--format", "integer", "--default", "80", "--rename", "NUMBER"]);
    let shown = shell.json(&["show", "NUMBER"]);
    assert_eq!((&shown["var_format"], &shown["default"]), (&json!("integer"), &json!("80")));
}

#[test]
fn the_other_bound_and_the_examples_stay_and_a_list_is_replaced() {
    let shell = Shell::with_vault();
    shell.ok(&["define", "N", "--format", "string", "--bytes-max", "5"]);
    let ran = shell.run(&["define", "N", "--change", "--bytes-min", "2"]);
    assert!(ran.stdout.contains("0-5 bytes to 2-5 bytes"), "{ran:?}");
    let bounds = || {
        let shown = shell.json(&["show", "N"]);
        (shown["bytes_min"].clone(), shown["bytes_max"].clone())
    };
    assert_eq!(bounds(), (json!(2), json!(5)));
    assert!(
        ran.stderr.contains("`strongroom define N --change --bytes-min 0 --bytes-max 5` takes"),
        "{ran:?}"
    );
    shell.ok(&["define", "N", "--change", "--bytes-max", "9"]);
    assert_eq!(bounds(), (json!(2), json!(9)));

    shell.ok(&["define", "L", "--format", "enum", "--one-of", "a", "--one-of", "b c"]);
    let change = ["define", "L", "--change", "--one-of", "d"];
    let dry = shell.json(&[&change[..], &["--dry-run"]].concat());
    assert_eq!(dry["changes"], json!(["format enum (a, b c) to enum (d)"]));
    let ran = shell.run(&change);
    let back = "define L --change --format enum --one-of a --one-of 'b c'";
    assert!(ran.stderr.contains(back), "{ran:?}");

    let example = ["--must-match", "k_1", "--must-not-match", "x"];
    shell.ok(&[&["define", "P", "--format", "pattern", "--pattern", "k_[0-9]"], &example[..]].concat());
    let examples = || {
        let shown = shell.json(&["show", "P"])["parameters"].to_string();
        (shown.contains("k_1"), shown.contains("\"x\""))
    };
    shell.ok(&["define", "P", "--change", "--pattern", "k_[0-9]+"]);
    assert_eq!(examples(), (true, true));
    let ran = shell.run(&["define", "P", "--change", "--pattern", "j_[0-9]+"]);
    assert!(ran.code == 4 && ran.stderr.contains("--format pattern to drop them"), "{ran:?}");
    shell.ok(&["define", "P", "--change", "--pattern", "j_[0-9]+", "--must-match", "j_1"]);
    assert_eq!(examples(), (false, true));
}

#[test]
fn a_scope_with_a_value_stays_allowed() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    shell.ok_with("hunter2", &["set", "A", "--workflow", "wf_1"]);
    let ran = shell.run(&["define", "A", "--change", "--scope", "org", "--keep-mismatched"]);
    assert_eq!(ran.code, 4);
    assert!(ran.stdout.contains("wf_1") && !ran.stdout.contains("hunter2"), "{}", ran.stdout);
    shell.ok(&["define", "A", "--change", "--scope", "org", "--scope", "workflow"]);
    assert_eq!(shell.json(&["show", "A"])["scopes"], json!(["org", "workflow"]));
}

#[test]
fn a_change_of_nothing_and_options_of_a_change_without_it_are_2() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    for arguments in [
        &["define", "A", "--change"][..],
        &["define", "A", "--change", "--format", "string"],
        &["define", "B", "--format", "string", "--dry-run"],
        &["define", "B"],
    ] {
        let ran = shell.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.stderr);
    }
    assert_eq!(shell.run(&["define", "B", "--change", "--required"]).code, 3);
}

#[cfg(unix)]
#[test]
fn how_many_versions_are_kept_is_set_and_shown_on_a_store_and_on_a_server() {
    let local = Shell::with_vault();
    let served = Shell::with_vault();
    let server = Server::start(&served, &[]);
    let mut create = vec!["api-key", "create", "k"];
    ["read", "write", "reveal"].iter().for_each(|right| create.extend(["--right", *right]));
    let key = served.json(&create);
    let key = key["api_key"].as_str().unwrap_or_default();
    let remote = Shell::new().variable("STRONGROOM_URL", server.text("url"));
    let remote = remote.variable("STRONGROOM_API_KEY", key);
    for (shell, store) in [(&local, &local), (&remote, &served)] {
        let kept = || {
            let shown = shell.json(&["show", "A"]);
            (shown["history_versions"].clone(), shown["history_age_secs"].clone())
        };
        shell.ok(&["define", "A", "--format", "string", "--keep-versions", "2", "--keep-for", "90d"]);
        assert_eq!(kept(), (json!(2), json!(7_776_000)));
        for value in ["1", "2", "3", "4"] {
            shell.ok_with(value, &["set", "A"]);
        }
        let versions = |shell: &Shell| shell.json(&["history", "A"]).as_array().map(Vec::len);
        assert_eq!((versions(shell), versions(store)), (Some(3), Some(3)), "two former ones");
        let dry = shell.json(&["define", "A", "--change", "--keep-versions", "1", "--dry-run"]);
        assert_eq!(dry["changes"], json!(["1 former version kept"]));
        shell.ok(&["define", "A", "--change", "--keep-versions", "1"]);
        assert_eq!(kept(), (json!(1), json!(7_776_000)));
        assert!(shell.ok(&["show", "A"]).contains("90 days"));
        assert_eq!(shell.run(&["define", "B", "--format", "string", "--keep-versions", "101"]).code, 2);
    }
}
