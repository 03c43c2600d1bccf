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

#[test]
fn a_stored_variable_does_not_change_which_code_runs() {
    let shell = Shell::with_vault();
    let dangerous = [
        "PATH",
        "LD_PRELOAD",
        "LD_AUDIT",
        "DYLD_INSERT_LIBRARIES",
        "IFS",
        "NODE_OPTIONS",
        "PYTHONPATH",
        "ENV",
    ];
    let more = [
        "BASH_ENV",
        "PERL5LIB",
        "RUBYOPT",
        "JAVA_TOOL_OPTIONS",
        "GIT_SSH_COMMAND",
        "STRONGROOM_STORE",
        "PGPASSWORD",
    ];
    for name in dangerous.into_iter().chain(more) {
        shell.define(name, "string");
        shell.ok_with("planted", &["set", name]);
        let ran = shell.run(&["run", "--", "touch", "ran"]);
        assert_eq!(ran.code, 4, "{name}: {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("--allow {name}")), "{}", ran.stderr);
        assert!(!shell.path("ran").exists(), "{name}");
        shell.ok(&["delete", name, "--yes"]);
    }
}

#[test]
fn a_dangerous_variable_is_allowed_by_its_name() {
    let shell = Shell::with_vault();
    for name in ["ENV", "GIT_AUTHOR_NAME"] {
        shell.define(name, "string");
        shell.ok_with("mine", &["set", name]);
    }
    assert_eq!(shell.run(&["run", "--allow", "ENV", "--", "true"]).code, 4);
    let both =
        ["run", "--allow", "ENV", "--allow", "GIT_AUTHOR_NAME", "--", "printenv", "ENV", "GIT_AUTHOR_NAME"];
    assert_eq!(shell.ok(&both), "mine\nmine\n");
}

#[test]
fn the_command_gets_nothing_that_opens_the_vault() {
    let shell = Shell::with_vault();
    let key = shell.key().display().to_string();
    let shell = shell.variable("STRONGROOM_ROOT_KEY_FILE", &key).variable("PGPASSWORD", "hunter2");
    let seen = shell.ok(&["run", "--", "env"]);
    assert!(!seen.contains("STRONGROOM_") && !seen.contains("PGPASSWORD"), "{seen}");
    assert_eq!(shell.ok(&["run", "--allow", "PGPASSWORD", "--", "printenv", "PGPASSWORD"]), "hunter2\n");
}
