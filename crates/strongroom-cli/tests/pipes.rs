//! Commands that read their input while others use the store.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod shell;

use std::io::Read;
use std::process::Stdio;

use shell::{Ran, Shell};

/// What the second command did with what the first one printed, both run at once.
fn piped(shell: &Shell, from: &[&str], to: &[&str]) -> Ran {
    let mut first = shell.command(from).stdout(Stdio::piped()).spawn().unwrap();
    let mut second = shell.command(to);
    second.stdin(first.stdout.take().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = second.spawn().unwrap().wait_with_output().unwrap();
    assert!(first.wait().unwrap().success(), "{from:?}");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn two_commands_of_a_pipe_use_one_store() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    shell.define("B", "string");
    shell.ok_with("x", &["set", "A"]);
    shell.ok(&["account", "create", "user_1", "--default-app"]);
    let export = ["--wait", "1", "export", "--reveal"];
    let get = ["--wait", "1", "get", "A", "--reveal"];
    shell.write("a.tpl", "{{ A }} {{ A }}");
    for (from, to) in [
        (&export[..], &["--wait", "1", "import", "-", "--account", "user_1"][..]),
        (&get, &["--wait", "1", "set", "B"]),
        (&get, &["--wait", "1", "credential", "set", "token", "--account", "user_1"]),
        (&["--wait", "1", "inject", "a.tpl", "--reveal"], &["--wait", "1", "inject", "-", "--reveal"]),
    ] {
        let ran = piped(&shell, from, to);
        assert_eq!(ran.code, 0, "{to:?}: {}", ran.stderr);
    }
    assert_eq!(shell.ok(&["get", "B", "--reveal"]), "x");
    assert_eq!(shell.ok(&["get", "A", "--account", "user_1", "--reveal"]), "x");
}

#[test]
fn a_reader_that_takes_its_time_holds_no_store() {
    let shell = Shell::with_vault();
    // More than a pipe takes at once.
    let values: String = (0..2).map(|n| format!("A{n}={}\n", "x".repeat(60_000))).collect();
    shell.pipe(values, &["import", "-"]);
    let mut export = shell.command(&["export", "--reveal"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = export.stdout.take().unwrap();
    let mut first = [0];
    stdout.read_exact(&mut first).unwrap();
    shell.ok_with("y", &["--wait", "0", "set", "A0"]);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert!(export.wait().unwrap().success());
    assert!(rest.len() > 120_000, "{}", rest.len());
}

#[test]
fn an_import_of_an_empty_input_is_refused() {
    let shell = Shell::with_vault();
    for input in ["", "\n", "# nothing\n"] {
        let ran = shell.pipe(input, &["import", "-"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{input:?}");
        assert!(ran.stderr.contains("--empty"), "{}", ran.stderr);
    }
    shell.ok(&["import", "-", "--empty"]);
    shell.write("empty.env", "");
    shell.ok(&["import", "empty.env"]);
}

#[test]
fn a_note_is_on_standard_error_with_json_too() {
    let shell = Shell::with_vault();
    shell.write("a.env", "A=lost\nA=x\nB=${A}\n");
    let ran = shell.run(&["--json", "import", "a.env"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let notes: Vec<serde_json::Value> =
        ran.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let notes: Vec<_> = notes.iter().map(|note| note["note"].as_str().unwrap()).collect();
    assert!(notes.iter().any(|note| note.contains("line 3") && note.contains('$')), "{notes:?}");
    assert!(notes.len() > 1, "the value that was lost is noted: {notes:?}");
}
