//! `.strongroom.toml`: what a project chooses, and what it may not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod shell;

use serde_json::json;
use shell::Shell;

/// A vault with variables of two services in `production`, and one that is an account's.
fn vault(store: &str) -> Shell {
    let shell = Shell::new().variable("STRONGROOM_STORE", store);
    shell.ok(&["init"]);
    let at = ["--environment", "production"];
    for name in ["WEB_PORT", "WEB_HOST", "MAIL_PORT"] {
        shell.ok(&[&at[..], &["define", name, "--format", "string"]].concat());
        shell.ok_with(name.to_lowercase(), &[&at[..], &["set", name]].concat());
    }
    shell.ok_with("of user_1", &[&at[..], &["set", "WEB_PORT", "--account", "user_1"]].concat());
    shell
}

fn absolute(shell: &Shell, kind: &str) -> String {
    format!("{kind}:{}", shell.path("vault").display())
}

#[test]
fn a_project_names_the_environment_the_account_and_the_prefix_of_what_runs_in_it() {
    for kind in ["redb", "sled"] {
        let place = Shell::new();
        let shell = vault(&absolute(&place, kind));
        shell.write("project/.strongroom.toml", "environment = \"production\"\nprefix = \"WEB_\"\n");
        shell.write("project/src/a.tpl", "{{ PORT }}");
        let within = |arguments: &[&str]| {
            let ran = shell.command(arguments).current_dir(shell.path("project/src")).output().unwrap();
            assert_eq!(ran.status.code(), Some(0), "{arguments:?}: {ran:?}");
            String::from_utf8(ran.stdout).unwrap()
        };
        within(&["allow"]);
        assert_eq!(within(&["export", "--reveal"]), "HOST=web_host\nPORT=web_port\n");
        assert_eq!(within(&["export", "--reveal", "--only", "PORT"]), "PORT=web_port\n");
        assert_eq!(within(&["run", "--", "printenv", "PORT"]), "web_port\n");
        assert_eq!(within(&["inject", "a.tpl", "--reveal"]), "web_port");
        assert!(within(&["list"]).contains("MAIL_PORT"), "what is defined has its whole name");
        assert_eq!(within(&["export", "--reveal", "--prefix", "MAIL_"]), "PORT=mail_port\n");
        assert_eq!(within(&["--environment", "test", "--json", "list"]), "[]\n", "an option comes first");
        assert_eq!(within(&["--no-project", "--json", "list"]), "[]\n");

        shell.write("project/.strongroom.toml", "environment = \"production\"\naccount = \"user_1\"\n");
        within(&["allow"]);
        assert_eq!(within(&["run", "--", "printenv", "WEB_PORT"]), "of user_1\n");
        let json: serde_json::Value = serde_json::from_str(&within(&["--json", "resolve"])).unwrap();
        assert_eq!(json["WEB_PORT"]["scope"], json!("linked_account"));
        within(&["get", "WEB_PORT"]);
    }
}

#[test]
fn a_variable_of_the_environment_comes_before_the_project() {
    let shell = Shell::with_vault();
    shell.write(".strongroom.toml", "environment = \"production\"\n");
    shell.ok(&["allow"]);
    shell.define("IN_PRODUCTION", "string");
    let shell = shell.variable("STRONGROOM_ENVIRONMENT", "test");
    assert_eq!(shell.json(&["list"]), json!([]));
}

#[test]
fn a_project_chooses_neither_a_store_nor_a_key() {
    let shell = Shell::with_vault();
    for (text, line) in [
        ("store = \"planted\"\n", "line 1"),
        ("environment = \"test\"\nroot_key_file = \"planted\"\n", "line 2"),
        ("url = \"http://127.0.0.1:1\"\n", "line 1"),
        ("account = \"a\\u0000b\"\n", "line 1"),
        ("environment = 1\n", "line 1"),
    ] {
        shell.write(".strongroom.toml", text);
        let ran = shell.run(&["list"]);
        assert_eq!(ran.code, 2, "{text}: {}", ran.stderr);
        assert!(ran.stderr.contains(line) && ran.stderr.contains("--no-project"), "{}", ran.stderr);
        shell.ok(&["--no-project", "list"]);
    }
}

#[test]
fn a_project_chooses_nothing_until_this_user_allows_it_at_its_place_and_with_its_text() {
    let shell = Shell::with_vault();
    let production = "environment = \"production\"\n";
    shell.write("cloned/.strongroom.toml", production);
    shell.write("cloned/src/a", "");
    let within = |directory: &str, arguments: &[&str]| {
        let ran = shell.command(arguments).current_dir(shell.path(directory)).output().unwrap();
        (ran.status.code().unwrap(), String::from_utf8(ran.stderr).unwrap())
    };
    let is_refused = |directory: &str| {
        for arguments in
            [&["list"][..], &["run", "--", "true"], &["export", "--reveal"], &["set", "A"], &["serve"]]
        {
            let (code, said) = within(directory, arguments);
            assert_eq!(code, 2, "{arguments:?}: {said}");
            assert!(said.contains("production") && said.contains("`strongroom allow`"), "{said}");
        }
    };
    is_refused("cloned/src");
    assert_eq!(within("cloned/src", &["--no-project", "list"]).0, 0);
    assert_eq!(within("cloned/src", &["allow"]).0, 0);
    for directory in ["cloned", "cloned/src"] {
        assert_eq!(within(directory, &["list"]), (0, String::new()));
    }

    shell.write("elsewhere/.strongroom.toml", production);
    is_refused("elsewhere");
    shell.write("cloned/.strongroom.toml", format!("{production}account = \"user_1\"\n"));
    is_refused("cloned");
    shell.write("cloned/.strongroom.toml", production);
    assert_eq!(within("cloned", &["list"]).0, 0, "it is as it was allowed");
    shell.write("elsewhere/.strongroom.toml", "# nothing\n");
    assert_eq!(within("elsewhere", &["list"]).0, 0, "it chooses nothing");
    assert_eq!(shell.run(&["allow"]).code, 3, "there is no project");
}

#[cfg(unix)]
#[test]
fn what_is_no_file_or_is_long_is_refused_and_holds_nothing_up() {
    let shell = Shell::with_vault();
    let is_refused = |why: &str| {
        for arguments in [&["list"][..], &["allow"]] {
            let ran = shell.run(arguments);
            assert_eq!(ran.code, 2, "{}", ran.stderr);
            assert!(ran.stderr.contains(why) && ran.stderr.contains("--no-project"), "{}", ran.stderr);
        }
        shell.ok(&["--no-project", "list"]);
    };
    let file = shell.path(".strongroom.toml");
    // For its owner only, as a file must be.
    let made = std::process::Command::new("mkfifo").arg("-m").arg("600").arg(&file).status().unwrap();
    assert!(made.success());
    is_refused("it is not a file");
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
    let ran = shell.run(&["list"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    // A link to what is given to a command as its input would take that away, and errors would show some of it.
    std::fs::remove_file(&file).unwrap();
    shell.write("input", "hunter2 = 1");
    std::os::unix::fs::symlink("input", &file).unwrap();
    is_refused("it is not a file");
    assert!(!shell.run(&["list"]).stderr.contains("hunter2"));
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    is_refused("it is not a file");
    std::fs::remove_dir(&file).unwrap();
    shell.write(".strongroom.toml", "#".repeat(16 << 10));
    shell.ok(&["list"]);
    shell.write(".strongroom.toml", "#".repeat((16 << 10) + 1));
    is_refused("more than 16384 bytes");
}

#[cfg(unix)]
#[test]
fn what_another_user_could_have_prepared_is_refused_and_can_be_left_out() {
    use std::os::unix::fs::PermissionsExt;
    let shell = Shell::with_vault();
    shell.write("project/.strongroom.toml", "environment = \"production\"\n");
    let set_mode = |name: &str, mode: u32| {
        std::fs::set_permissions(shell.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let within = |arguments: &[&str]| {
        let ran = shell.command(arguments).current_dir(shell.path("project")).output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
    };
    within(&["allow"]);
    for (name, mode, safe) in [("project/.strongroom.toml", 0o666, 0o600), ("project", 0o777, 0o700)] {
        set_mode(name, mode);
        let (code, said) = within(&["list"]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("other users can change") && said.contains("--no-project"), "{said}");
        assert_eq!(within(&["--no-project", "list"]).0, Some(0));
        set_mode(name, safe);
        assert_eq!(within(&["list"]).0, Some(0));
    }
}

#[cfg(unix)]
#[test]
fn a_key_of_another_environment_than_the_project_names_is_refused() {
    let served = Shell::new();
    let server = shell::server::Server::start(&served, &[]);
    let made = served.json(&["api-key", "create", "reader", "--right", "read"]);
    let shell = Shell::new()
        .variable("STRONGROOM_URL", server.text("url"))
        .variable("STRONGROOM_API_KEY", made["api_key"].as_str().unwrap());
    shell.write(".strongroom.toml", "environment = \"production\"\n");
    shell.ok(&["allow"]);
    let ran = shell.run(&["list"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("the API key is of test") && ran.stderr.contains("--no-project"),
        "{}",
        ran.stderr
    );
    shell.ok(&["--no-project", "list"]);
    shell.write(".strongroom.toml", "environment = \"test\"\n");
    shell.ok(&["allow"]);
    shell.ok(&["list"]);
    server.stop();
}

#[test]
fn a_setting_that_cannot_be_read_is_named() {
    for (name, value) in [("LISTEN", "foo"), ("ORG", "x"), ("ENVIRONMENT", ".."), ("RATE_LIMIT", "0")] {
        let shell = Shell::with_vault().variable(&format!("STRONGROOM_{name}"), value);
        let ran = shell.run(&["list"]);
        assert_eq!(ran.code, 2, "{name}");
        assert!(ran.stderr.contains(&format!("STRONGROOM_{name}: ")), "{}", ran.stderr);
    }
    for setting in ["listen = \"foo\"", "org = \"x\"", "environment = \"..\""] {
        let shell = Shell::with_vault();
        shell.write("c.toml", format!("# mine\n{setting}\n"));
        let ran = shell.run(&["--config", "c.toml", "list"]);
        let name = setting.split(' ').next().unwrap();
        assert_eq!(ran.code, 2, "{name}");
        assert!(ran.stderr.contains(&format!("c.toml, line 2: {name}: ")), "{}", ran.stderr);
    }
    let shell = Shell::with_vault();
    shell.write(".strongroom.toml", "environment = \"..\"\n");
    let ran = shell.run(&["list"]);
    assert!(ran.code == 2 && ran.stderr.contains("line 1: environment: "), "{}", ran.stderr);
}
