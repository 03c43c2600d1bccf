//! `api-key`.

mod shell;

use serde_json::json;
use shell::Shell;

#[test]
fn a_key_is_shown_once_and_listed_by_name() {
    let shell = Shell::with_vault();
    let ran = shell.run(&["api-key", "create", "ci"]);
    assert_eq!(ran.code, 0);
    let key = ran.stdout.trim_end();
    assert!(key.starts_with("tk_") && !key.contains(char::is_whitespace) && !ran.stderr.contains(key));
    let listed = shell.json(&["api-key", "list"]);
    assert_eq!(listed[0]["name"], "ci");
    assert!(!listed.to_string().contains(key));
}

#[test]
fn the_environment_decides_the_prefix() {
    let shell = Shell::with_vault();
    for (environment, prefix) in [("production", "pk_"), ("test", "tk_"), ("staging", "ek_")] {
        assert!(shell.ok(&["--environment", environment, "api-key", "create", "a"]).starts_with(prefix));
        assert_eq!(shell.json(&["--environment", environment, "api-key", "list"])[0]["name"], "a");
    }
}

#[test]
fn a_key_can_expire_and_be_revoked() {
    let shell = Shell::with_vault();
    let made = shell.json(&["api-key", "create", "a", "--expires-in", "30d"]);
    assert!(made["expires_at"].is_string());
    let id = made["id"].as_str().map(str::to_owned);
    let revoke = ["api-key", "revoke", id.as_deref().unwrap_or_default()];
    shell.ok(&revoke);
    assert_eq!(shell.run(&revoke).code, 3);
    assert_eq!(shell.json(&["api-key", "list"]), json!([]));
    assert_eq!(shell.run(&["api-key", "create", "a", "--expires-in", "soon"]).code, 2);
}

#[test]
fn a_key_that_is_gone_is_not_said_to_be_revoked() {
    let shell = Shell::with_vault();
    let made = shell.json(&["api-key", "create", "a"]);
    let revoke = ["api-key", "revoke", made["id"].as_str().unwrap_or_default(), "--with-sessions"];
    assert!(shell.ok(&revoke).starts_with("revoked API key "));
    let again = shell.ok(&revoke);
    assert!(again.contains("is not there; ended 0 sessions") && !again.contains("revoked"), "{again}");
}

#[test]
fn a_key_that_is_replaced_expires_when_it_would_have_and_not_once_it_has() {
    let shell = Shell::with_vault();
    let id = |made: &serde_json::Value| made["id"].as_str().unwrap_or_default().to_owned();
    let made = shell.json(&["api-key", "create", "a", "--expires-in", "30d"]);
    let next = shell.json(&["api-key", "rotate", &id(&made), "--grace", "1h"]);
    assert_eq!(next["expires_at"], made["expires_at"]);
    let late = shell.json(&["api-key", "rotate", &id(&next), "--grace", "1h", "--expires-in", "60d"]);
    assert_ne!(late["expires_at"], made["expires_at"]);

    let expired = shell.json(&["api-key", "create", "b", "--expires-in", "1ms"]);
    std::thread::sleep(std::time::Duration::from_millis(5));
    let refused = shell.run(&["api-key", "rotate", &id(&expired)]);
    assert!(refused.code != 0 && refused.stderr.contains("has expired"), "{}", refused.stderr);
}

#[cfg(unix)]
#[test]
fn the_key_with_which_a_command_calls_goes_only_with_consent() {
    let shell = Shell::with_vault();
    let server = shell::server::Server::start(&shell, &[]);
    let text = |made: &serde_json::Value, name: &str| made[name].as_str().unwrap_or_default().to_owned();
    let of = |key: &serde_json::Value| {
        let shell = Shell::new().variable("STRONGROOM_URL", server.text("url"));
        shell.variable("STRONGROOM_API_KEY", &text(key, "api_key"))
    };
    let create = ["api-key", "create", "desk", "--right", "admin"];
    let first = shell.json(&create);
    let second = of(&first).json(&create);
    let own = of(&second).json(&create);
    let with_children = &["--with-children"][..];
    for (revoked, more) in [(&own, &[][..]), (&second, with_children), (&first, with_children)] {
        let ran = of(&own).run(&[&["api-key", "revoke", &text(revoked, "id")][..], more].concat());
        assert!(ran.code == 2 && ran.stderr.contains("this command calls"), "{}", ran.stderr);
    }
    of(&own).ok(&["api-key", "revoke", &text(&second, "id")]);
    let command = ["api-key", "revoke", &text(&first, "id"), "--with-children"];
    let ran = of(&own).run(&command);
    assert!(ran.code == 2, "one in between is gone: {}", ran.stderr);
    of(&own).ok(&[&command[..], &["--yes"]].concat());
    assert_ne!(of(&own).run(&["api-key", "list"]).code, 0);
    server.stop();
}

#[cfg(unix)]
#[test]
fn revoking_a_key_names_those_that_it_made_and_refuses_them_too_if_that_is_asked() {
    for is_remote in [false, true] {
        let shell = Shell::with_vault();
        let server = shell::server::Server::start(&shell, &[]);
        let text = |made: &serde_json::Value, name: &str| made[name].as_str().unwrap_or_default().to_owned();
        let at = ["--url", server.text("url")];
        let of = |key: &serde_json::Value| Shell::new().variable("STRONGROOM_API_KEY", &text(key, "api_key"));
        let admin = shell.json(&["api-key", "create", "admin", "--right", "admin"]);
        let leaked = shell.json(&["api-key", "create", "leaked", "--right", "admin"]);
        let create = ["api-key", "create", "child", "--right", "admin"];
        let child = of(&leaked).json(&[&at[..], &create].concat());
        let revoke = ["api-key", "revoke", &text(&leaked, "id")];
        let revoke = |more: &[&str]| match is_remote {
            true => of(&admin).run(&[&at[..], &revoke, more].concat()),
            false => shell.run(&[&revoke, more].concat()),
        };
        let ran = revoke(&[]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(
            ran.stderr.contains(&text(&child, "id")) && ran.stderr.contains("--with-children"),
            "{}",
            ran.stderr
        );
        let list = [&at[..], &["api-key", "list"]].concat();
        of(&child).ok(&list);
        let ran = revoke(&["--with-children"]);
        assert!(ran.code == 0 && ran.stdout.contains(&text(&child, "id")), "{}{}", ran.stdout, ran.stderr);
        assert_ne!(of(&child).run(&list).code, 0);
        assert_eq!(revoke(&["--with-children"]).code, 3);
        server.stop();
    }
}

#[cfg(unix)]
#[test]
fn a_key_that_cannot_be_read_is_named_and_keeps_no_other_from_being_listed_or_revoked() {
    for is_remote in [false, true] {
        let shell = Shell::with_vault();
        let text = |made: &serde_json::Value, name: &str| made[name].as_str().unwrap_or_default().to_owned();
        let create = |name: &str| ["api-key", "create", name, "--right", "admin"].map(str::to_owned);
        let made = |name: &str| shell.json(&create(name).each_ref().map(String::as_str));
        let (admin, leaked, broken) = (made("admin"), made("leaked"), made("broken"));
        let of = |server: &shell::server::Server, key: &serde_json::Value| {
            let shell = Shell::new().variable("STRONGROOM_URL", server.text("url"));
            shell.variable("STRONGROOM_API_KEY", &text(key, "api_key"))
        };
        let server = shell::server::Server::start(&shell, &[]);
        let child = of(&server, &leaked).json(&create("child").each_ref().map(String::as_str));
        assert_eq!(server.stop(), 0);
        let broken = text(&broken, "id");
        shell.damage(&[&[0x40], &b"api-key\0"[..], broken.as_bytes()].concat());

        let server = shell::server::Server::start(&shell, &[]);
        let run = |command: &[&str]| match is_remote {
            true => of(&server, &admin).run(command),
            false => shell.run(command),
        };
        let listed = run(&["api-key", "list"]);
        assert!(listed.code == 5 && listed.stdout.contains("leaked"), "{listed:?}");
        assert!(listed.stderr.contains(&broken), "{listed:?}");
        let revoke = ["api-key", "revoke", &text(&leaked, "id"), "--with-children", "--with-sessions"];
        let revoked = run(&revoke);
        assert!(revoked.code == 5 && revoked.stderr.contains(&broken), "{revoked:?}");
        assert!(
            revoked.stdout.contains(&text(&child, "id")) && revoked.stdout.contains("ended 0 sessions"),
            "{revoked:?}"
        );
        assert_ne!(of(&server, &child).run(&["api-key", "list"]).code, 0);
        let revoked = run(&["api-key", "revoke", &broken]);
        assert_eq!(revoked.code, 0, "{revoked:?}");
        assert_eq!(run(&["api-key", "list"]).code, 0);
        assert_eq!(server.stop(), 0);
    }
}

#[cfg(unix)]
#[test]
fn replacing_the_own_key_says_the_least_grace_and_when_it_ends_also_the_second_time() {
    let shell = Shell::with_vault();
    let server = shell::server::Server::start(&shell, &[]);
    let made = shell.json(&["api-key", "create", "desk", "--right", "admin"]);
    let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
    let desk = Shell::new().variable("STRONGROOM_URL", server.text("url"));
    let desk = desk.variable("STRONGROOM_API_KEY", &text("api_key"));
    let refused = desk.run(&["api-key", "rotate", &text("id"), "--grace", "0s"]);
    assert!(refused.code == 2 && refused.stderr.contains("--grace 60s"), "{refused:?}");
    let until = || {
        let ran = desk.run(&["api-key", "rotate", &text("id")]);
        let (_, until) = ran.stderr.split_once("is accepted until ").unwrap_or_default();
        until.split(';').next().unwrap_or_default().to_owned()
    };
    let first = until();
    assert!(!first.is_empty());
    assert_eq!(until(), first);
    assert_eq!(server.stop(), 0);
}

#[cfg(unix)]
#[test]
fn another_key_than_its_own_that_a_command_replaces_is_refused_at_once() {
    let shell = Shell::with_vault();
    let server = shell::server::Server::start(&shell, &[]);
    let text = |made: &serde_json::Value, name: &str| made[name].as_str().unwrap_or_default().to_owned();
    let [desk, other] =
        ["desk", "other"].map(|name| shell.json(&["api-key", "create", name, "--right", "admin"]));
    let of = |key: &serde_json::Value| {
        let shell = Shell::new().variable("STRONGROOM_URL", server.text("url"));
        shell.variable("STRONGROOM_API_KEY", &text(key, "api_key"))
    };
    let next = of(&desk).json(&["api-key", "rotate", &text(&other, "id")]);
    assert_eq!(of(&other).run(&["api-key", "list"]).code, 5);
    of(&next).ok(&["api-key", "list"]);
    assert_eq!(server.stop(), 0);
}
