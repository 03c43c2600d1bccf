//! `import` and `export`.

mod shell;

use serde_json::{Value, json};
use shell::Shell;

#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
fn actions(plan: &Value) -> Vec<(&str, &str)> {
    let rows = plan["variables"].as_array().unwrap().iter();
    rows.map(|row| (row["name"].as_str().unwrap(), row["action"].as_str().unwrap())).collect()
}

/// Which of the names a plan would define as encrypted.
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
fn encrypted(plan: &Value) -> Vec<(&str, bool)> {
    let rows = plan["variables"].as_array().unwrap().iter();
    rows.map(|row| (row["name"].as_str().unwrap(), row["encrypted"].as_bool().unwrap())).collect()
}

#[test]
fn a_dry_run_shows_what_would_be_done_and_writes_nothing() {
    let shell = Shell::with_vault();
    shell.define("PORT", "integer");
    shell.define("SAME", "string");
    shell.define("BAD", "boolean");
    shell.ok_with("1", &["set", "PORT"]);
    shell.ok_with("same", &["set", "SAME"]);
    shell.write("a.env", "PORT=2\nSAME=same\nBAD=hunter2\nAPI_KEY=hunter2\n");
    let before = shell.json(&["resolve", "--reveal"]);
    let ran = shell.run(&["--json", "import", "a.env", "--dry-run"]);
    assert_eq!(ran.code, 4, "one of them is invalid");
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    let expected = [("PORT", "update"), ("SAME", "unchanged"), ("BAD", "invalid"), ("API_KEY", "create")];
    assert_eq!(actions(&plan), expected);
    assert_eq!(plan["variables"][3]["encrypted"], true);
    let table = shell.run(&["import", "a.env", "--dry-run"]);
    assert!(!format!("{ran:?}{table:?}").contains("hunter2"));
    assert_eq!(shell.json(&["resolve", "--reveal"]), before);
    assert_eq!(shell.json(&["list"]).as_array().unwrap().len(), 3);
}

#[test]
fn one_invalid_value_keeps_all_the_others_out() {
    let shell = Shell::with_vault();
    shell.define("PORT", "integer");
    shell.write("a.env", "NEW=1\nPORT=abc\n");
    for arguments in [&["import", "a.env"][..], &["import", "a.env", "--in-parts"]] {
        assert_eq!(shell.run(arguments).code, 4);
    }
    assert_eq!(shell.json(&["list"]).as_array().unwrap().len(), 1);
    assert_eq!(shell.json(&["resolve"]), json!({}));
}

#[test]
fn names_that_a_later_version_of_the_file_lacks_are_named() {
    let shell = Shell::with_vault();
    shell.write("a.env", "PORT=1\nOLD_TOKEN=2\n");
    let first = shell.run(&["import", "a.env"]);
    assert!(!first.stderr.contains("not in the file"), "{}", first.stderr);
    shell.write("a.env", "PORT=1\nNEW_TOKEN=3\n");
    for words in [&["import", "a.env", "--dry-run"][..], &["import", "a.env"]] {
        let again = shell.run(words);
        assert!(again.stderr.contains("with a value at org, which stays: OLD_TOKEN;"), "{}", again.stderr);
    }
    shell.write("b.env", "OTHER=1\n");
    let other = shell.run(&["import", "b.env"]);
    assert!(!other.stderr.contains("not in the file"), "it is another file: {}", other.stderr);
}

#[test]
fn a_first_import_guesses_nothing() {
    let shell = Shell::with_vault();
    shell.write("a.env", "PASSWORD=123456\nVERSION=1\nFEATURE=true\nDATABASE_URL=postgres://localhost/db\n");
    shell.ok(&["import", "a.env"]);
    for definition in shell.json(&["list"]).as_array().unwrap() {
        assert_eq!((&definition["var_format"], &definition["encrypted"]), (&json!("string"), &json!(true)));
    }
    shell.write("a.env", "PASSWORD=hunter2\nVERSION=1.2.3\nFEATURE=on\nDATABASE_URL=postgres://a:1,b:2/db\n");
    assert_eq!(shell.json(&["import", "a.env"])["update"], 4, "the next version of the file is taken too");
}

#[test]
fn a_name_is_plain_only_if_it_is_named_or_inferred() {
    let shell = Shell::with_vault();
    shell.write("a.env", "PORT=8080\nSMTP_PASS=1\nGREETING=hello\n");
    let ran = shell.run(&["import", "a.env", "--plain", "GREETNG"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("did you mean GREETING?"), "{}", ran.stderr);
    let plan = shell.json(&["import", "a.env", "--infer", "--dry-run"]);
    let proposed: Vec<_> = plan["variables"].as_array().unwrap().iter().collect();
    let plain =
        |name: &str| proposed.iter().find(|one| one["name"] == name).unwrap()["encrypted"] == json!(false);
    assert!(plain("PORT") && !plain("SMTP_PASS") && !plain("GREETING"));
    assert!(proposed.iter().all(|one| one["why"].is_string() && one["reason"].is_null()), "{proposed:?}");
    shell.ok(&["import", "a.env", "--plain", "GREETING"]);
    let listed = shell.json(&["list"]);
    let plain: Vec<_> = listed.as_array().unwrap().iter().filter(|one| one["encrypted"] == false).collect();
    assert_eq!(plain.iter().map(|one| &one["name"]).collect::<Vec<_>>(), ["GREETING"]);
}

#[test]
fn a_url_with_a_query_is_encrypted_even_if_its_format_is_inferred() {
    let shell = Shell::with_vault();
    shell.write("a.env", "API=https://api.example?token=hunter2\nSITE=https://api.example\n");
    let plan = shell.json(&["import", "a.env", "--infer", "--dry-run"]);
    assert_eq!(encrypted(&plan), [("API", true), ("SITE", false)]);
}

#[test]
fn a_number_that_may_be_a_code_is_encrypted_even_if_its_format_is_inferred() {
    let shell = Shell::with_vault();
    shell.write("a.env", "MEMBER=1234567\nPAGES=123456\n");
    let plan = shell.json(&["import", "a.env", "--infer", "--dry-run"]);
    assert_eq!(encrypted(&plan), [("MEMBER", true), ("PAGES", false)]);
}

#[test]
fn everything_is_encrypted_if_asked_for_whatever_is_inferred() {
    let shell = Shell::with_vault();
    shell.write("a.env", "PORT=8080\nDEBUG=true\n");
    let plan = shell.json(&["import", "a.env", "--infer", "--encrypted", "--dry-run"]);
    assert_eq!(encrypted(&plan), [("PORT", true), ("DEBUG", true)]);
}

#[test]
fn what_was_inferred_is_taken_back_by_one_command() {
    let shell = Shell::with_vault();
    shell.write("a.env", "PORT=8080\nDEBUG=true\nVERSION=1.10\nSMTP_PASS=hunter2\n");
    let ran = shell.run(&["import", "a.env", "--infer"]);
    let said = ran.stderr.split('`').find(|part| part.starts_with("strongroom define")).unwrap();
    shell.write("b.env", "PORT=\nDEBUG=yes\nVERSION=1.11.2\nSMTP_PASS=hunter2\n");
    let refused = shell.run(&["import", "b.env"]);
    assert_eq!(refused.code, 4);
    assert!(refused.stderr.contains("--change --format string"), "{}", refused.stderr);
    let arguments: Vec<_> = said.split(' ').skip(1).collect();
    shell.ok(&arguments);
    let listed = shell.json(&["list"]);
    let is_whole = |one: &Value| one["var_format"] == "string" && one["encrypted"] == true;
    assert!(listed.as_array().unwrap().iter().all(is_whole), "{listed}");
    shell.ok(&["import", "b.env"]);
}

#[test]
fn what_no_environment_can_hold_is_refused_with_its_line() {
    let shell = Shell::with_vault();
    shell.write("a.json", r#"{"A=B": "x", "C": "x\u0000y", "D": "x"}"#);
    shell.write("b.env", "D=x\nE=x\0y\n");
    assert_eq!(shell.run(&["import", "a.json"]).code, 4);
    let ran = shell.run(&["import", "b.env"]);
    assert!(ran.code == 4 && ran.stdout.contains("line 2: no environment"), "{}", ran.stdout);
    assert_eq!(shell.json(&["list"]), json!([]));
    shell.ok(&["run", "--", "true"]);
}

#[test]
fn another_tools_output_is_read_as_what_it_is() {
    let shell = Shell::with_vault();
    shell.write("k8s.json", r#"{"apiVersion": "v1", "kind": "Secret", "data": {"A": "aHVudGVyMg=="}}"#);
    let ran = shell.run(&["import", "k8s.json"]);
    assert!(ran.code == 0 && ran.stderr.contains("a Kubernetes Secret"), "{}", ran.stderr);
    assert_eq!(shell.ok(&["get", "A", "--reveal"]), "hunter2");
}

#[test]
fn bytes_pass_through_a_kubernetes_secret_in_both_directions() {
    let manifest = |data: &str| format!("apiVersion: v1\nkind: Secret\ndata:\n{data}");
    let raw = |shell: &Shell, name: &str| {
        shell
            .command(&["get", name, "--reveal", "--bytes"])
            .output()
            .map(|ran| ran.stdout)
            .unwrap_or_default()
    };
    let shell = Shell::with_vault();
    shell.define("JKS", "bytes");
    shell.define("PLAIN", "bytes");
    let data =
        "  JKS: YWJjZA==\n  KEYTAB: |\n    /wAB\n  NUL: YQBi\n  TEXT: YWJjZA==\nstringData:\n  PLAIN: abcd\n";
    shell.write("a.yaml", manifest(data));
    let ran = shell.run(&["import", "a.yaml"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("KEYTAB, NUL: not text, so defined as `bytes`"), "{}", ran.stderr);
    for (name, bytes) in
        [("JKS", &b"abcd"[..]), ("KEYTAB", b"\xff\0\x01"), ("NUL", b"a\0b"), ("PLAIN", b"abcd")]
    {
        assert_eq!(raw(&shell, name), bytes, "{name}");
    }
    assert_eq!(shell.ok(&["get", "TEXT", "--reveal"]), "abcd", "a name that is not defined holds text");
    let exported = shell.ok(&["export", "--for", "k8s", "--reveal"]);
    for line in ["\"JKS\": \"YWJjZA==\"", "\"KEYTAB\": \"/wAB\"", "\"TEXT\": \"YWJjZA==\""] {
        assert!(exported.contains(line), "{line} in {exported}");
    }
    shell.write("b.yaml", exported);
    assert_eq!(shell.json(&["import", "b.yaml"])["unchanged"], 5);
}

#[test]
fn what_is_not_text_is_refused_for_a_variable_that_holds_text() {
    let shell = Shell::with_vault();
    shell.define("KEYTAB", "string");
    shell.write("a.yaml", "apiVersion: v1\nkind: ConfigMap\nbinaryData:\n  KEYTAB: /wAB\n");
    let ran = shell.run(&["import", "a.yaml"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stdout.contains("not text") && ran.stderr.contains("--format bytes"), "{ran:?}");
    shell.write("b.json", r#"{"ARN": "arn:x", "Name": "n", "VersionId": "v", "SecretBinary": "/wAB"}"#);
    let ran = shell.run(&["import", "b.json"]);
    assert!(ran.code == 4 && ran.stderr.contains("SecretBinary"), "{ran:?}");
}

#[test]
fn a_reference_is_kept_with_a_note() {
    let shell = Shell::with_vault();
    shell.write("a.env", "HOST=h\nURL=\"http://${HOST}/\"\n");
    let ran = shell.run(&["import", "a.env"]);
    assert!(ran.stderr.contains("line 2: `$` and backticks are kept"), "{}", ran.stderr);
    assert_eq!(shell.ok(&["get", "URL", "--reveal"]), "http://${HOST}/");
}

#[test]
fn what_is_exported_comes_back_exactly() {
    let from = Shell::with_vault();
    let values = [("A", "two\nlines"), ("B", "it's \"$x\" `y`"), ("C", ""), ("D", " é "), ("E", "x\r\n\t")];
    for (name, value) in values {
        from.define(name, "string");
        from.ok_with(value, &["set", name, "--account", "user_1", "--empty"]);
    }
    for (file, format) in [("out.env", "env"), ("out.json", "json")] {
        let text = from.ok(&["export", "--account", "user_1", "--format", format, "--reveal"]);
        let to = Shell::with_vault();
        to.write(file, text);
        to.ok(&["import", file, "--workflow", "wf_1"]);
        for (name, value) in values {
            assert_eq!(to.ok(&["get", name, "--workflow", "wf_1", "--reveal"]), value, "{name} in {format}");
        }
        let again = to.json(&["import", file, "--workflow", "wf_1"]);
        assert_eq!((&again["unchanged"], &again["create"]), (&json!(5), &json!(0)));
    }
}

#[test]
fn nothing_is_exported_without_reveal() {
    let shell = Shell::with_vault();
    let ran = shell.run(&["export"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
}

#[test]
fn a_name_that_no_env_file_can_hold_is_exported_as_json() {
    let shell = Shell::with_vault();
    shell.define("a b", "string");
    shell.ok_with("1", &["set", "a b"]);
    let ran = shell.run(&["export", "--reveal"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""));
    assert_eq!(shell.ok(&["export", "--reveal", "--format", "json"]), "{\"a b\":\"1\"}\n");
}

#[test]
fn json_values_that_are_no_strings_keep_their_source() {
    let shell = Shell::with_vault();
    shell.write("a.json", r#"{"N": 1.50, "O": {"k": [1]}}"#);
    shell.ok(&["import", "a.json"]);
    assert_eq!(shell.ok(&["get", "N", "--reveal"]), "1.50");
    assert_eq!(shell.ok(&["get", "O", "--reveal"]), r#"{"k": [1]}"#);
}

#[test]
fn only_the_name_of_an_aws_parameter_is_the_end_of_its_path() {
    let shell = Shell::with_vault();
    let secrets = r#"{"key": "db/password", "value": "1"}, {"key": "mail/password", "value": "2"}"#;
    shell.write("a.json", format!(r#"[{secrets}, {{"Name": "/app/HOST", "Value": "h"}}]"#));
    shell.ok(&["import", "a.json"]);
    let exported = shell.ok(&["export", "--reveal", "--format", "json"]);
    assert_eq!(exported, "{\"HOST\":\"h\",\"db/password\":\"1\",\"mail/password\":\"2\"}\n");
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_file() {
    let shell = Shell::with_vault();
    shell.write("a.env", "\u{feff}A=1\n");
    shell.write("b.json", "\u{feff}{\"B\": \"\u{feff}\"}");
    shell.ok(&["import", "a.env"]);
    shell.ok(&["import", "b.json"]);
    assert_eq!(shell.ok(&["get", "A", "--reveal"]), "1");
    assert_eq!(shell.ok(&["get", "B", "--reveal"]), "\u{feff}");
}

#[test]
fn an_export_is_sorted_by_name_so_that_two_can_be_compared() {
    let shell = Shell::with_vault();
    let names = ["Z", "M", "A", "B", "Y", "C", "X"];
    shell.write("a.env", names.map(|name| format!("{name}=v\n")).concat());
    shell.ok(&["import", "a.env"]);
    assert_eq!(shell.ok(&["export", "--reveal"]), "A=v\nB=v\nC=v\nM=v\nX=v\nY=v\nZ=v\n");
    let json = shell.ok(&["export", "--reveal", "--format", "json"]);
    assert!(json.starts_with(r#"{"A":"v","B":"v","C":"v","M""#), "{json}");
}

#[test]
fn standard_input_can_be_imported() {
    let shell = Shell::with_vault();
    shell.ok_with("A=1\n", &["import", "-"]);
    shell.ok_with("{\"A\": 2}", &["import", "-", "--format", "json"]);
    assert_eq!(shell.ok(&["get", "A", "--reveal"]), "2");
}

#[test]
fn an_undefined_name_is_refused_where_that_is_asked_for() {
    let shell = Shell::with_vault();
    shell.write("a.env", "NEW=1\n");
    assert_eq!(shell.run(&["import", "a.env", "--no-define"]).code, 4);
    assert_eq!(shell.json(&["list"]), json!([]));
}

#[test]
fn a_file_that_cannot_be_read_without_a_guess_is_4_by_its_line() {
    let shell = Shell::with_vault();
    shell.write("a.env", "A=1\nB=\"hunter2\n");
    shell.write("a.json", "{\"A\": \"hunter2\", \"A\": 1}");
    for (file, place) in [("a.env", "line 2"), ("a.json", "line 1")] {
        let ran = shell.run(&["import", file]);
        assert_eq!(ran.code, 4);
        assert!(ran.stderr.contains(place) && !ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
    assert_eq!(shell.run(&["import", "none.env"]).code, 2);
}

#[test]
fn what_does_not_fit_in_one_batch_is_refused_before_anything_is_defined() {
    let shell = Shell::with_vault();
    let value = "v".repeat(60_000);
    shell.write("large.env", (0..300).map(|n| format!("V{n}={value}\n")).collect::<String>());
    #[cfg(unix)]
    assert!(shell.run(&["import", "/dev/zero"]).stderr.contains("more than 64 MiB"));
    let ran = shell.run(&["import", "large.env"]);
    assert_eq!(ran.code, 6);
    assert!(ran.stderr.contains("--in-parts"), "{}", ran.stderr);
    assert_eq!(shell.json(&["list"]), json!([]));
}

#[test]
fn parts_hold_everything_together() {
    let shell = Shell::with_vault();
    shell.write("a.env", (0..230).map(|n| format!("V{n}={n}\n")).collect::<String>());
    assert_eq!(shell.json(&["import", "a.env", "--in-parts"])["create"], 230);
    assert_eq!(shell.ok(&["get", "V229", "--reveal"]), "229");
    assert_eq!(shell.json(&["import", "a.env"])["unchanged"], 230);
}

#[test]
fn yaml_is_read_as_what_it_is() {
    let shell = Shell::with_vault();
    let compose = "services:\n  db: {image: postgres}\n  web:\n    environment:\n      PORT: 8080\n      RATE: 1.50\n\
        \x20     ON: yes\n      PRICE: $$5 ${CUR}\n";
    shell.write("compose.yaml", compose);
    let ran = shell.run(&["import", "compose.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("compose service") && ran.stderr.contains("`${` of PRICE is kept"),
        "{}",
        ran.stderr
    );
    let export = shell.json(&["export", "--reveal"]);
    assert_eq!(export, json!({"ON": "yes", "PORT": "8080", "PRICE": "$5 ${CUR}", "RATE": "1.50"}));
    let other = Shell::with_vault();
    for target in ["k8s", "yaml"] {
        other.write("a.yml", shell.ok(&["export", "--reveal", "--for", target]));
        other.ok(&["import", "a.yml"]);
        assert_eq!(other.json(&["export", "--reveal"]), export, "{target}");
    }
    for (text, said) in [
        ("A: &x hunter2\nB: *x\n", "line 2: an alias"),
        ("- hunter2", "is a list"),
        ("A: 1\nA: 2\n", "line 2: a name is repeated"),
    ] {
        let ran = shell.pipe(text, &["import", "-", "--format", "yaml"]);
        assert_eq!(ran.code, 4, "{text}");
        assert!(ran.stderr.contains(said) && !ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
}

#[test]
fn more_names_than_an_environment_has_room_for_are_counted_before_anything_is_written() {
    let shell = Shell::with_vault();
    shell.define("PORT", "integer");
    let lines = |count: usize| (0..count).map(|n| format!("V{n}=x\n")).collect::<String>();
    shell.write("many.env", lines(1_000));
    for arguments in [
        &["import", "many.env"][..],
        &["import", "many.env", "--dry-run"],
        &["import", "many.env", "--in-parts"],
    ] {
        let ran = shell.run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{arguments:?}");
        assert!(ran.stderr.contains("1001 names, 1000 are allowed"), "{}", ran.stderr);
        assert_eq!(shell.json(&["list"]).as_array().map(Vec::len), Some(1), "nothing was written");
    }
    shell.write("many.env", lines(999));
    assert_eq!(shell.json(&["import", "many.env", "--in-parts"])["create"], 999);
}

#[test]
fn what_another_tool_encrypted_is_refused_by_its_name() {
    let shell = Shell::with_vault();
    let long = "B".repeat(132);
    shell.write("sops.env", "A=ENC[AES256_GCM,data:hunter2,iv:x,tag:y,type:str]\nsops_version=3.9.0\n");
    shell.write("sops.yaml", "A: ENC[AES256_GCM,data:hunter2,iv:x,tag:y,type:str]\nsops:\n  mac: hunter2\n");
    shell.write("x.env", format!("DOTENV_PUBLIC_KEY=\"02\"\nA=\"encrypted:{long}\"\n"));
    shell.write("short.env", "DOTENV_PUBLIC_KEY_PRODUCTION=\"02\"\nA=\"encrypted:hunter2\"\n");
    for (file, tool) in [
        ("sops.env", "sops decrypt"),
        ("sops.yaml", "sops decrypt"),
        ("x.env", "dotenvx"),
        ("short.env", "dotenvx"),
    ] {
        let ran = shell.run(&["import", file]);
        assert_eq!(ran.code, 4, "{file}: {}", ran.stderr);
        assert!(ran.stderr.contains(tool) && !ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
    assert_eq!(shell.json(&["list"]), json!([]));
}

#[test]
fn a_value_of_several_parts_and_one_that_is_elsewhere_are_noted() {
    let shell = Shell::with_vault();
    shell.write("a.json", r#"{"A": {"b": "hunter2"}, "C": ["x"], "D": "{}"}"#);
    let ran = shell.run(&["import", "a.json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("is kept as JSON text").count(), 2, "{}", ran.stderr);
    shell.write("compose.yaml", "services:\n  web:\n    environment:\n      - E=1\n      - SESSION_SECRET\n");
    let ran = shell.run(&["import", "compose.yaml"]);
    assert!(ran.code == 0 && ran.stderr.contains("SESSION_SECRET has no value"), "{}", ran.stderr);
    assert_eq!(shell.ok(&["get", "E", "--reveal"]), "1");
}
