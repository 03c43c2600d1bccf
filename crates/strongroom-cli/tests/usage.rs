//! Arguments, the environment, the configuration file and the form of the output.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod shell;

use shell::Shell;

#[test]
fn what_cannot_be_understood_is_2() {
    let shell = Shell::new();
    for arguments in [
        &["nonsense"][..],
        &[],
        &["set"],
        &["set", ""],
        &["get", "A", "--account", "a", "--workflow", "w"],
        &["--org", "x", "list"],
        &["--environment", "..", "list"],
        &["resolve", "--account", "a\nb"],
        &["define", "A", "--format", "string", "--scope", "planet"],
        &["run"],
        &["completions", "cmd.exe"],
    ] {
        assert_eq!(shell.run(arguments).code, 2, "{arguments:?}");
    }
}

#[test]
fn what_cannot_be_understood_is_json_where_that_is_asked_for() {
    let shell = Shell::with_vault();
    for arguments in [
        &["--json", "nonsense"][..],
        &["define", "A", "--format", "planet", "--json"],
        &["--json", "define", "A"],
        &["--json"],
        &["--json", "credential"],
        &["--json", "--org", "x", "list"],
        &["set", "A", "x", "--json"],
    ] {
        let ran = shell.run(arguments);
        assert_eq!((ran.code, ran.stderr.lines().count()), (2, 1), "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.error()["error"], "usage", "{arguments:?}");
        assert!(!ran.error()["message"].as_str().unwrap_or_default().is_empty(), "{arguments:?}");
    }
    assert!(shell.run(&["run", "--nonsense", "--", "x", "--json"]).stderr.starts_with("error:"));
}

#[cfg(unix)]
#[test]
fn who_stops_reading_is_told_nothing() {
    let shell = Shell::with_vault();
    for arguments in [&["list"][..], &["--json", "list"], &["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = shell.command(arguments).stdout(writer).output().unwrap();
        assert_eq!((ran.status.code(), ran.stderr.as_slice()), (Some(141), &b""[..]), "{arguments:?}");
    }
}

#[test]
fn a_value_among_the_arguments_is_refused_and_not_repeated() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    shell.ok(&["account", "create", "user_1", "--default-app"]);
    for arguments in [
        &["set", "A", "hunter2"][..],
        &["set", "A", "--hunter2"],
        &["set", "A", "-hunter2"],
        &["set", "A", "-----BEGIN hunter2-----"],
        &["set", "A", "--value=hunter2"],
        &["set", "A", "--value", "hunter2"],
        &["set", "A", "x", "--account", "hunter2"],
        &["credential", "set", "k", "--account", "user_1", "hunter2"],
        &["credential", "set", "k", "--account", "user_1", "-----BEGIN hunter2-----"],
    ] {
        let ran = shell.run(arguments);
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains("standard input") && !ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
    assert!(shell.run(&["set", "A", "--acount", "user_1"]).stderr.contains("no option --acount here"));
}

#[test]
fn options_come_before_the_environment_and_that_before_the_file() {
    let shell = Shell::new().variable("STRONGROOM_ENVIRONMENT", "staging");
    shell.write(".config/strongroom/config.toml", "store = \"from-file\"\nenvironment = \"production\"\n");
    shell.ok(&["init"]);
    assert!(shell.path("from-file").exists());
    shell.define("A", "string");
    shell.ok(&["--environment", "production", "define", "B", "--format", "string"]);
    assert!(shell.ok(&["--environment", "staging", "list"]).contains("A "));
    let shell = shell.variable("STRONGROOM_STORE", "from-variable");
    shell.ok(&["init"]);
    assert!(shell.path("from-variable").exists());
}

#[cfg(unix)]
#[test]
fn a_variable_that_cannot_be_read_is_2_and_not_passed_over() {
    use std::os::unix::ffi::OsStrExt;
    let shell = Shell::with_vault();
    for name in ["STRONGROOM_STORE", "STRONGROOM_ORG", "STRONGROOM_CONFIG", "STRONGROOM_RATE_LIMIT"] {
        let ran = shell.command(&["list"]).env(name, std::ffi::OsStr::from_bytes(b"\xff")).output().unwrap();
        let stderr = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(name), "{stderr}");
    }
}

#[test]
fn a_setting_that_is_not_known_is_2_by_its_line() {
    let shell = Shell::new();
    shell.write("c.toml", "store = \"a\"\nstroe = \"b\"\n");
    let ran = shell.run(&["--config", "c.toml", "list"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("c.toml, line 2"), "{}", ran.stderr);
    assert_eq!(shell.run(&["--config", "none.toml", "list"]).code, 2);
}

#[test]
fn a_file_in_the_working_directory_sets_nothing() {
    let shell = Shell::new();
    for name in ["strongroom.toml", "config.toml"] {
        shell.write(name, "store = \"planted\"\n");
    }
    shell.ok(&["init"]);
    assert!(shell.store().exists() && !shell.path("planted").exists());
}

#[test]
fn there_is_no_colour_where_no_terminal_shows_it() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    let failed = shell.run(&["get", "A"]);
    assert!(!format!("{}{}", shell.ok(&["list"]), failed.stderr).contains('\x1b'));
}

#[test]
fn a_text_cannot_steer_the_terminal() {
    let shell = Shell::with_vault();
    shell.ok(&["define", "A", "--format", "string", "--description", "\x1b[2J\u{202e}x"]);
    let created = shell.ok(&["account", "create", "a\u{202e}b"]);
    for shown in [created, shell.ok(&["list"]), shell.ok(&["account", "list"])] {
        assert!(!shown.contains(['\x1b', '\u{202e}']), "{shown}");
    }
}

#[test]
fn the_help_of_a_reveal_says_that_the_store_itself_notes_none() {
    let shell = Shell::new();
    for command in [&["get"][..], &["resolve"], &["export"], &["inject"], &["credential", "reveal"]] {
        let help = shell.ok(&[command, &["--help"]].concat());
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains("notes that in the audit, the store itself does not"), "{help}");
    }
}

#[test]
fn every_shell_has_completions() {
    let shell = Shell::new();
    for name in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(shell.ok(&["completions", name]).contains("resolve"), "{name}");
    }
}

/// A vault whose names would run something if a shell expanded them.
#[cfg(unix)]
fn vault_with_names() -> Shell {
    let shell = Shell::with_vault();
    for name in ["PORT", "PORTAL", "HOST", "PO$(touch ran)", "PO`touch ran`", "X$(touch ran)"] {
        shell.define(name, "string");
    }
    shell.ok(&["--environment", "prod", "define", "PRODUCTION_ONLY", "--format", "string"]);
    let names = "HOST\nPO$(touch ran)\nPORT\nPORTAL\nPO`touch ran`\nX$(touch ran)\n";
    assert_eq!(shell.ok(&["list", "--names"]), names);
    shell
}

/// What a shell prints that has the binary as `strongroom`.
#[cfg(unix)]
fn in_shell(vault: &Shell, program: &str, arguments: &[&str]) -> String {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_strongroom"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = std::process::Command::new(program);
    command.args(arguments).current_dir(vault.path(".")).env("HOME", vault.path(".")).env("PATH", path);
    let ran = command.output().unwrap_or_else(|error| panic!("{program} is needed: install it ({error})"));
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

#[cfg(unix)]
#[test]
fn bash_completes_the_names_of_variables_and_runs_nothing_that_is_in_one() {
    let shell = vault_with_names();
    shell.write("script", shell.ok(&["completions", "bash"]));
    let complete = |words: &str, word: &str| {
        let asked = format!(
            "source ./script; COMP_WORDS=(strongroom {words} '{word}'); \
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_LINE='strongroom {words} {word}'; \
             COMP_POINT=${{#COMP_LINE}}; \
             _strongroom_names strongroom '{word}' get; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        in_shell(&shell, "bash", &["--norc", "-c", &asked])
    };
    let found = complete("get", "POR");
    assert_eq!(found.lines().filter(|line| line.starts_with("POR")).collect::<Vec<_>>(), ["PORT", "PORTAL"]);
    // What is put on the line is what the shell gives to the command once the line is run.
    let names = complete("get", "");
    let names: Vec<_> = names.lines().filter(|line| line.contains("touch")).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    let given = in_shell(&shell, "bash", &["--norc", "-c", &format!("printf '<%s>' {}", names.join(" "))]);
    assert_eq!(given, "<PO$(touch ran)><PO`touch ran`><X$(touch ran)>");
    assert!(complete("", "li").contains("list"));
    assert!(!complete("list", "PO").contains("PORT"));
    assert!(!complete("define PORT --format", "PO").contains("PORT"));
    assert_eq!(complete("--environment prod get", "PR").lines().next(), Some("PRODUCTION_ONLY"));
    assert!(complete("export --only", "POR").contains("PORTAL"));
    assert!(!shell.path("ran").exists());
}

#[cfg(unix)]
#[test]
fn fish_completes_the_names_of_variables_and_runs_nothing_that_is_in_one() {
    let shell = vault_with_names();
    shell.write("script", shell.ok(&["completions", "fish"]));
    let complete = |line: &str| {
        let asked = format!("source ./script; complete --do-complete '{line}'");
        in_shell(&shell, "fish", &["--no-config", "-c", &asked])
    };
    assert_eq!(complete("strongroom get POR"), "PORT\nPORTAL\n");
    assert!(complete("strongroom get PO").contains("touch ran"));
    assert!(complete("strongroom li").contains("list"));
    assert!(!complete("strongroom list PO").contains("PORT"));
    assert_eq!(complete("strongroom --environment prod get PR"), "PRODUCTION_ONLY\n");
    assert_eq!(complete("strongroom --environment=prod get PR"), "PRODUCTION_ONLY\n");
    assert_eq!(complete("strongroom export --only POR"), "PORT\nPORTAL\n");
    assert!(!shell.path("ran").exists());
}

#[cfg(unix)]
#[test]
fn zsh_completes_the_names_of_variables_and_runs_nothing_that_is_in_one() {
    let shell = vault_with_names();
    shell.write("functions/_strongroom", shell.ok(&["completions", "zsh"]));
    // A terminal of its own, in which a line is completed with a tab and then run: what is run says what it was given.
    let complete = |line: &str| {
        let asked = format!(
            "zmodload zsh/zpty; zpty z zsh -f -i; \
             zpty -w z 'PS1=; fpath=(./functions $fpath); autoload -Uz compinit; compinit -D -u; \
                        strongroom() {{ print -r -- \"<got $*>\"; exit }}; print ready-''now'; \
             until [[ $out == *ready-now* ]]; do zpty -r z part && out+=$part || break; done; \
             zpty -w -n z '{line}'$'\\t\\n'; \
             while zpty -r z part; do out+=$part; done; print -r -- $out"
        );
        in_shell(&shell, "zsh", &["-f", "-c", &asked])
    };
    let completed = complete("strongroom get HO");
    assert!(completed.contains("<got get HOST>"), "{completed}");
    let completed = complete("strongroom get X");
    assert!(completed.contains("<got get X$(touch ran)>"), "{completed}");
    let completed = complete("strongroom --environment prod get PR");
    assert!(completed.contains("<got --environment prod get PRODUCTION_ONLY>"), "{completed}");
    let completed = complete("strongroom list HO");
    assert!(completed.contains("<got list HO>"), "{completed}");
    assert!(!shell.path("ran").exists());
}

#[test]
fn an_environment_or_org_for_a_server_that_the_environment_names_is_refused() {
    let shell =
        Shell::new().variable("STRONGROOM_URL", "http://127.0.0.1:1").variable("STRONGROOM_API_KEY", "tk_x");
    for named in [["--environment", "production"], ["--org", "6500a1b2c3d4e5f6a7b8c9d0"]] {
        let refused = shell.run(&[&named[..], &["list"]].concat());
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(refused.stderr.contains("the API key decides"), "{}", refused.stderr);
    }
}

#[test]
fn two_settings_that_exclude_each_other_are_named_with_their_source() {
    let shell = Shell::new();
    shell.write("c.toml", "store = \"a\"\nurl = \"http://127.0.0.1:1\"\n");
    let ran = shell.run(&["--config", "c.toml", "list"]);
    assert!(
        ran.code == 2 && ran.stderr.contains("`store` and `url` are both set in c.toml"),
        "{}",
        ran.stderr
    );
    let shell = shell.variable("STRONGROOM_STORE", "a").variable("STRONGROOM_URL", "http://127.0.0.1:1");
    let ran = shell.run(&["list"]);
    assert!(ran.stderr.contains("STRONGROOM_STORE and STRONGROOM_URL are both set"), "{}", ran.stderr);
}

#[test]
fn what_is_missing_and_what_excludes_each_other_is_said_in_plain_words() {
    let shell = Shell::new();
    for (arguments, sentence) in [
        (&["get"][..], "what is missing: <NAME>"),
        (&["audit", "--on", "--off"], "--on cannot be given together with --off"),
        (&["--json"], "no command was given"),
    ] {
        let ran = shell.run(arguments);
        assert!(ran.code == 2 && ran.stderr.contains(sentence), "{arguments:?}: {}", ran.stderr);
    }
}
