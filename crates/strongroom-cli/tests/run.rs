//! `run`.
#![cfg(unix)]

mod shell;

use shell::Shell;

#[test]
fn the_code_of_the_command_is_passed_on() {
    let shell = Shell::with_vault();
    for code in [0, 7, 255] {
        assert_eq!(shell.run(&["run", "--", "sh", "-c", &format!("exit {code}")]).code, code);
    }
}

#[test]
fn the_environment_holds_what_resolves_exactly() {
    let shell = Shell::with_vault().variable("KEPT", "yes");
    shell.define("A", "string");
    shell.define("B", "string");
    shell.ok_with("org", &["set", "A"]);
    shell.ok_with("two\nlines = $x ", &["set", "A", "--workflow", "wf_1"]);
    shell.ok_with("é", &["set", "B", "--account", "user_1"]);
    let path = ["--account", "user_1", "--workflow", "wf_1"];
    let kept = shell.ok(&[&["run"], &path[..], &["--", "printenv", "A", "B", "KEPT"]].concat());
    assert_eq!(kept, "two\nlines = $x \né\nyes\n");
    let cleared = shell.ok(&[&["run", "--clear-env"], &path[..], &["--", "env", "-0"]].concat());
    assert_eq!(cleared, "A=two\nlines = $x \0B=é\0");
}

#[test]
fn no_shell_reads_the_arguments() {
    let shell = Shell::with_vault();
    assert_eq!(shell.ok(&["run", "--", "printf", "%s|", "$HOME", "a b", "--reveal"]), "$HOME|a b|--reveal|");
}

#[test]
fn the_store_is_free_while_the_command_runs() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    let strongroom = env!("CARGO_BIN_EXE_strongroom");
    assert!(shell.ok(&["run", "--", strongroom, "list"]).contains('A'));
}

#[test]
fn a_command_that_is_not_there_is_127_and_one_that_cannot_run_126() {
    let shell = Shell::with_vault();
    shell.write("text", "x");
    assert_eq!(shell.run(&["run", "--", "no-such-command"]).code, 127);
    assert_eq!(shell.run(&["run", "--", "./text"]).code, 126);
}

#[test]
fn nothing_runs_without_what_is_required() {
    let shell = Shell::with_vault();
    shell.ok(&["define", "TOKEN", "--format", "string", "--required"]);
    let ran = shell.run(&["run", "--", "touch", "ran"]);
    assert_eq!(ran.code, 3);
    assert!(!shell.path("ran").exists());
}

#[test]
fn what_an_environment_cannot_hold_is_refused() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    shell.ok_with("a\0b", &["set", "A"]);
    assert_eq!(shell.run(&["run", "--", "true"]).code, 4);
}
