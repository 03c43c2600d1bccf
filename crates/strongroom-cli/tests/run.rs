//! `run`.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

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
fn what_cannot_name_an_environment_variable_is_refused() {
    let shell = Shell::new();
    let server = shell::server::Server::start(&shell, &[]);
    let key = [("x-api-key", server.api_key())];
    let definition = r#"{"name": "A=B", "var_format": "string", "default_value": "x"}"#;
    assert_eq!(server.send("POST", "/api/v2/public/env/definitions", &key, definition).0, 200);
    let ran = shell.run(&["run", "--", "true"]);
    assert!(ran.code == 4 && ran.stderr.contains("A=B"), "{}", ran.stderr);
    server.stop();
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

mod watched {
    use std::fs;
    use std::path::PathBuf;
    use std::process::{Child, Command, Stdio};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use super::shell::Shell;
    use super::shell::server::Server;

    /// Writes what it sees to a file, and then waits for a signal.
    const SCRIPT: &str = "trap 'echo hup >>seen' HUP; trap 'exit 7' TERM; echo \"$A\" >>seen; \
                          while :; do sleep 0.05; done";

    fn start(shell: &Shell, options: &[&str]) -> Child {
        start_script(shell, options, SCRIPT)
    }

    fn start_script(shell: &Shell, options: &[&str], script: &str) -> Child {
        let arguments = [&["run", "--watch", "--every", "1"], options, &["--", "sh", "-c", script]].concat();
        shell.command(&arguments).stdin(Stdio::null()).spawn().unwrap()
    }

    /// Until the file says so.
    fn until(file: &PathBuf, text: &str) {
        let end = Instant::now() + Duration::from_secs(60);
        while fs::read_to_string(file).unwrap_or_default() != text {
            assert!(Instant::now() < end, "{:?} and not {text:?}", fs::read_to_string(file));
            sleep(Duration::from_millis(50));
        }
    }

    fn stop(mut child: Child) -> Option<i32> {
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "it is still running");
            sleep(Duration::from_millis(50));
        }
    }

    #[test]
    fn a_watched_command_starts_again_when_what_it_sees_changes_and_not_otherwise() {
        for store in ["redb:v", "sled:v", "sqlite:v"] {
            let shell = Shell::new().variable("STRONGROOM_STORE", store);
            shell.ok(&["init"]);
            shell.define("A", "string");
            shell.define("B", "string");
            shell.ok_with("one", &["set", "A"]);
            let (child, seen) = (start(&shell, &[]), shell.path("seen"));
            until(&seen, "one\n");
            shell.ok_with("elsewhere", &["set", "B", "--account", "user_1"]);
            shell.ok_with("two", &["set", "A"]);
            until(&seen, "one\ntwo\n");
            // What cannot be run takes nothing's place.
            shell.define("PATH", "string");
            shell.ok_with("planted", &["set", "PATH"]);
            shell.ok_with("three", &["set", "A"]);
            sleep(Duration::from_secs(3));
            until(&seen, "one\ntwo\n");
            shell.ok(&["delete", "PATH", "--yes"]);
            until(&seen, "one\ntwo\nthree\n");
            assert_eq!(stop(child), Some(7), "the code of the command");
        }
    }

    #[test]
    fn a_watched_command_gets_a_signal_instead_if_it_is_named() {
        let shell = Shell::with_vault();
        shell.define("A", "string");
        shell.ok_with("one", &["set", "A"]);
        let (child, seen) = (start(&shell, &["--signal", "hup"]), shell.path("seen"));
        until(&seen, "one\n");
        shell.ok_with("two", &["set", "A"]);
        until(&seen, "one\nhup\n");
        assert_eq!(stop(child), Some(7));
    }

    #[test]
    fn a_watch_accepts_an_older_store_only_when_it_begins() {
        let shell = Shell::with_vault();
        shell.define("A", "string");
        shell.ok_with("one", &["set", "A"]);
        let (child, seen) = (start(&shell, &["--accept-rollback"]), shell.path("seen"));
        until(&seen, "one\n");
        shell.ok_with("two", &["set", "A"]);
        until(&seen, "one\ntwo\n");
        assert_eq!(stop(child), Some(7));
        let mark = fs::read_to_string(shell.key().with_extension("mark")).unwrap();
        assert_eq!(mark.matches(" accepted ").count(), 1, "{mark}");
    }

    #[test]
    fn a_watch_that_is_told_to_end_while_its_command_ends_starts_it_no_more() {
        let shell = Shell::with_vault();
        shell.define("A", "string");
        shell.ok_with("one", &["set", "A"]);
        // It ends only at the second TERM: the first is for the change, the second for the end of the watch.
        let script = "told=0; trap 'told=$((told + 1)); echo told >>seen' TERM; echo \"$A\" >>seen; \
                      while [ $told -lt 2 ]; do sleep 0.05; done; exit 7";
        let (child, seen) = (start_script(&shell, &[], script), shell.path("seen"));
        until(&seen, "one\n");
        shell.ok_with("two", &["set", "A"]);
        until(&seen, "one\ntold\n");
        assert_eq!(stop(child), Some(7));
        until(&seen, "one\ntold\ntold\n");
    }

    /// A shell whose commands go to the server, with a key that reveals values.
    fn client_of(served: &Shell, server: &Server) -> Shell {
        let made = served.json(&["api-key", "create", "watch", "--right", "read", "--right", "reveal"]);
        Shell::new()
            .variable("STRONGROOM_URL", server.text("url"))
            .variable("STRONGROOM_API_KEY", made.get("api_key").unwrap().as_str().unwrap())
    }

    #[test]
    fn a_server_is_asked_for_values_only_when_they_have_changed() {
        let served = Shell::new();
        let server = Server::start(&served, &[]);
        served.define("A", "string");
        served.ok(&["define", "A", "--change", "--encrypted"]);
        served.ok_with("one", &["set", "A"]);
        served.ok(&["audit", "--on"]);
        let shell = client_of(&served, &server);
        let (child, seen) = (start(&shell, &[]), shell.path("seen"));
        until(&seen, "one\n");
        sleep(Duration::from_secs(3));
        served.ok_with("two", &["set", "A"]);
        until(&seen, "one\ntwo\n");
        assert_eq!(stop(child), Some(7));
        let reads = served.ok(&["audit"]).matches("Variable Value Read").count();
        assert_eq!(reads, 2, "one for each value");
        server.stop();
    }

    #[test]
    fn a_server_is_asked_for_no_value_while_a_required_one_is_missing() {
        let served = Shell::new();
        let server = Server::start(&served, &[]);
        served.ok(&["define", "A", "--format", "string", "--encrypted"]);
        served.ok(&["define", "TOKEN", "--format", "string", "--required"]);
        served.ok_with("one", &["set", "A"]);
        served.ok(&["audit", "--on"]);
        let shell = client_of(&served, &server);
        let ran = shell.run(&["run", "--watch", "--", "true"]);
        assert!(ran.code == 3 && ran.stderr.contains("without a value: TOKEN"), "{ran:?}");
        assert!(!served.ok(&["audit"]).contains("Variable Value Read"));
        server.stop();
    }

    /// As another user where the tests are root, who may read everything.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_watched_command_does_not_read_what_this_process_was_started_with() {
        use std::os::unix::process::CommandExt as _;
        const NOBODY: u32 = 65_534;
        let shell = Shell::with_vault();
        let binary = shell.path("strongroom");
        fs::copy(env!("CARGO_BIN_EXE_strongroom"), &binary).unwrap();
        let mut command = Command::new(&binary);
        let script = "echo began; cat /proc/$PPID/environ";
        command.args(["run", "--watch", "--", "sh", "-c", script]).current_dir(shell.path(".")).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", shell.path("."));
        command.env("STRONGROOM_API_KEY", "a key of the parent");
        if rustix::process::geteuid().is_root() {
            let owner = format!("{NOBODY}:{NOBODY}");
            let given = Command::new("chown").args(["-R", &owner]).arg(shell.path(".")).status().unwrap();
            assert!(given.success());
            command.uid(NOBODY).gid(NOBODY);
        }
        let ran = command.stdin(Stdio::null()).output().unwrap();
        let shown = String::from_utf8_lossy(&ran.stdout);
        assert!(shown.starts_with("began"), "{ran:?}");
        assert!(!shown.contains("a key of the parent") && !ran.status.success(), "{ran:?}");
    }

    #[test]
    fn a_command_that_ends_by_itself_ends_the_watch_with_its_code() {
        let shell = Shell::with_vault();
        assert_eq!(shell.run(&["run", "--watch", "--", "sh", "-c", "exit 5"]).code, 5);
        assert_eq!(shell.run(&["run", "--watch", "--", "sh", "-c", "kill -9 $$"]).code, 137);
        assert_eq!(shell.run(&["run", "--watch", "--", "no-such"]).code, 127);
        assert_eq!(shell.run(&["run", "--signal", "hup", "--", "true"]).code, 2);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_prefix_with_which_no_variable_begins_is_refused() {
    let shell = Shell::with_vault();
    shell.ok(&["run", "--prefix", "SMPT_", "--", "true"]);
    shell.define("SMTP_HOST", "string");
    shell.ok_with("x", &["set", "SMTP_HOST"]);
    for command in
        [&["run", "--prefix", "SMPT_", "--", "true"][..], &["export", "--reveal", "--prefix", "SMPT_"]]
    {
        let ran = shell.run(command);
        assert_eq!(ran.code, 3, "{command:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("SMPT_"), "{}", ran.stderr);
    }
}

#[test]
fn an_environment_that_is_too_large_is_named_with_its_largest_variables() {
    let shell = Shell::with_vault();
    let lines = (0..40).map(|n| format!("V{n}={}\n", "x".repeat(60_000 + n))).collect::<String>();
    shell.write("a.env", lines);
    shell.ok(&["import", "a.env", "--in-parts"]);
    let ran = shell.run(&["run", "--", "true"]);
    assert_eq!(ran.code, 126, "{}", ran.stderr);
    assert!(ran.stderr.contains("V39 (60039)") && ran.stderr.contains("--prefix"), "{}", ran.stderr);
}

#[test]
fn what_is_made_of_what_a_run_sees_says_what_is_missing() {
    let shell = Shell::with_vault();
    shell.ok(&["define", "TOKEN", "--format", "string", "--required"]);
    shell.write("a.tpl", "x");
    for command in [&["export", "--reveal"][..], &["inject", "a.tpl", "--reveal"], &["resolve"]] {
        let ran = shell.run(command);
        let says = ran.stderr.contains("required variables without a value: TOKEN");
        assert_eq!((ran.code, says), (0, true), "{command:?}: {}", ran.stderr);
    }
}
