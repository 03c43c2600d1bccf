//! `orgs`, `environments` and `search`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod shell;

use serde_json::{Value, json};
use shell::Shell;

const OTHER_ORG: &str = "00000000000000000000000a";

/// A vault with two environments of one org and one of another.
fn vault(store: &str) -> Shell {
    let shell = Shell::new().variable("STRONGROOM_STORE", store);
    shell.ok(&["init"]);
    shell.ok(&["define", "PORT", "--format", "integer", "--description", "where to Listen"]);
    shell.define("HOST", "string");
    shell.ok(&["account", "create", "port-of-call"]);
    shell.ok(&["--environment", "production", "define", "PORT", "--format", "integer"]);
    shell.ok(&["--org", OTHER_ORG, "--environment", "dev", "define", "PORTAL", "--format", "url"]);
    shell
}

#[test]
fn orgs_and_environments_are_listed_on_every_store() {
    for store in ["redb:a.redb", "sled:a.sled", "sqlite:a.sqlite"] {
        let shell = vault(store);
        let orgs = shell.json(&["orgs"]);
        let own = "000000000000000000000001";
        assert_eq!(
            orgs,
            json!([
                {"org_id": own, "environments": ["production", "test"], "chosen": true},
                {"org_id": OTHER_ORG, "environments": ["dev"], "chosen": false},
            ])
        );
        let environments = shell.json(&["environments"]);
        assert_eq!(
            environments,
            json!([
                {"environment": "production", "variables": 1, "chosen": false},
                {"environment": "test", "variables": 2, "chosen": true},
            ])
        );
        assert!(shell.ok(&["orgs"]).contains("production, test"));
        assert!(shell.ok(&["environments"]).contains("production"));
    }
}

#[test]
fn a_mistyped_environment_is_told_from_those_that_there_are() {
    let shell = vault("redb:a");
    let ran = shell.run(&["--environment", "prodution", "list"]);
    assert!(ran.stderr.contains("did you mean --environment production?"), "{}", ran.stderr);
    let ran = shell.run(&["--environment", "x", "list"]);
    assert!(ran.stderr.contains("--environment production"), "{}", ran.stderr);
}

#[test]
fn a_new_environment_is_named_where_it_is_made() {
    let shell = vault("redb:a");
    let define = |environment: &str, name: &str| {
        let ran = shell.run(&["--environment", environment, "define", name, "--format", "string"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stderr
    };
    let said = define("prodution", "A");
    assert!(said.contains("prodution is a new environment; there are production, test"), "{said}");
    assert!(said.contains("did you mean --environment production?"), "{said}");
    assert_eq!(define("prodution", "B"), "");
    assert!(!define("staging", "A").contains("did you mean"));
    shell.write("a.env", "A=1\n");
    assert!(
        shell.run(&["--environment", "qa", "import", "a.env"]).stderr.contains("qa is a new environment")
    );
    assert_eq!(
        Shell::with_vault().run(&["define", "A", "--format", "string"]).stderr,
        "",
        "the first of all"
    );
}

#[test]
fn a_mistyped_environment_is_not_read_as_an_empty_one() {
    let shell = vault("redb:a");
    shell.write("t", "{{ PORT }}");
    for command in [
        &["run", "--", "true"][..],
        &["export", "--reveal"],
        &["resolve"],
        &["inject", "t", "--reveal"],
        &["copy", "prodution", "test"],
        &["get", "PORT"],
    ] {
        let ran = shell.run(&[&["--environment", "prodution"], command].concat());
        assert_eq!(ran.code, 3, "{command:?}");
        assert!(ran.stderr.contains("did you mean --environment production?"), "{}", ran.stderr);
    }
    let made = shell.run(&["copy", "production", "tset"]);
    assert!(made.stderr.contains("tset is a new environment"), "{}", made.stderr);
    let wrong = shell.run(&["copy", "test", "production@acount:a"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("@account:ID"), "{}", wrong.stderr);
}

#[test]
fn search_finds_parts_of_names_and_descriptions_and_never_a_value() {
    let shell = vault("redb:a");
    shell.ok_with("listen", &["set", "HOST"]);
    let names = |arguments: &[&str]| -> Vec<(Value, Value)> {
        let found = shell.json(arguments);
        found.as_array().unwrap().iter().map(|one| (one["kind"].clone(), one["name"].clone())).collect()
    };
    let one = |kind: &str, name: &str| (json!(kind), json!(name));
    assert_eq!(names(&["search", "listen"]), [one("variable", "PORT")]);
    assert_eq!(names(&["search", "port"]), [one("account", "port-of-call"), one("variable", "PORT")]);
    let everywhere = shell.json(&["search", "PORT", "--everywhere"]);
    let places = everywhere.as_array().unwrap().iter().map(|one| json!([one["environment"], one["name"]]));
    let expected =
        json!([["production", "PORT"], ["test", "port-of-call"], ["test", "PORT"], ["dev", "PORTAL"]]);
    assert_eq!(places.collect::<Value>(), expected);
    assert_eq!(names(&["search", "nothing"]), []);
}

#[cfg(unix)]
#[test]
fn a_server_shows_the_place_of_the_key() {
    let served = Shell::new();
    let server = shell::server::Server::start(&served, &[]);
    served.define("PORT", "integer");
    let made = served.json(&["api-key", "create", "reader", "--right", "read"]);
    let shell = Shell::new()
        .variable("STRONGROOM_URL", server.text("url"))
        .variable("STRONGROOM_API_KEY", made["api_key"].as_str().unwrap());
    assert_eq!(shell.json(&["orgs"])[0]["environments"], json!(["test"]));
    assert_eq!(shell.json(&["environments"])[0]["environment"], "test");
    assert_eq!(shell.json(&["search", "por"])[0]["name"], "PORT");
    assert_eq!(shell.run(&["search", "por", "--everywhere"]).code, 2);
    server.stop();
}

#[test]
fn an_org_that_the_vault_does_not_hold_is_read_by_nothing() {
    let shell = Shell::with_vault();
    shell.ok(&["--org", "000000000000000000000002", "define", "PORT", "--format", "integer"]);
    shell.write("a.tpl", "x");
    let org = "000000000000000000000003";
    for command in [
        &["run", "--", "true"][..],
        &["export", "--reveal"],
        &["inject", "a.tpl", "--reveal"],
        &["copy", "test", "prod"],
        &["diff", "test", "test"],
        &["doctor"],
        &["list"],
        &["search", "x"],
        &["get", "PORT"],
        &["show", "PORT"],
        &["resolve"],
        &["environments"],
        &["account", "list"],
        &["api-key", "list"],
        &["audit"],
    ] {
        let ran = shell.run(&[&["--org", org], command].concat());
        assert_eq!((ran.code, ran.stdout.contains("PORT")), (3, false), "{command:?}: {}", ran.stderr);
        let said = if command == ["doctor"] { &ran.stdout } else { &ran.stderr };
        assert!(said.contains(&format!("there is no org {org}")), "{command:?}: {said}");
        assert!(said.contains("000000000000000000000002"), "{command:?}: {said}");
    }
    for command in [&["orgs"][..], &["slot", "list"], &["job", "list"]] {
        shell.ok(&[&["--org", org], command].concat());
    }
    let ran = shell.run(&["--org", org, "define", "HOST", "--format", "string"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("is a new org; there are 000000000000000000000002"), "{}", ran.stderr);
}

#[test]
fn a_comparison_says_which_side_is_which() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    shell.ok(&["--environment", "prod", "define", "B", "--format", "string"]);
    assert!(shell.ok(&["diff", "test", "prod"]).ends_with("A is test, B is prod\n"));
}

#[cfg(unix)]
#[test]
fn an_account_is_found_by_its_display_name_behind_a_server_too() {
    let shell = Shell::new();
    let server = shell::server::Server::start(&shell, &[]);
    shell.ok(&["account", "create", "user_1", "--name", "Acme Ltd"]);
    let made = shell.json(&["api-key", "create", "reader", "--right", "read"]);
    let remote = Shell::new()
        .variable("STRONGROOM_URL", server.text("url"))
        .variable("STRONGROOM_API_KEY", made["api_key"].as_str().unwrap());
    for at in [&shell, &remote] {
        let found = at.json(&["search", "acme"]);
        assert_eq!((&found[0]["name"], &found[0]["description"]), (&json!("user_1"), &json!("Acme Ltd")));
    }
    server.stop();
}
