//! `audit`: what was written is noted, and listed without its values.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod shell;

use std::thread;

use serde_json::Value;
use shell::Shell;
use shell::server::Server;

fn lines(shell: &Shell, arguments: &[&str]) -> Vec<Value> {
    let text = shell.ok(&[&["audit", "--json"], arguments].concat());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn writes_are_noted_from_on_to_off_one_object_a_line_and_without_values() {
    let shell = Shell::with_vault();
    shell.define("BEFORE", "string");
    assert!(shell.run(&["audit"]).stderr.contains("audit --on"));
    shell.ok(&["audit", "--on"]);
    shell.define("X", "string");
    shell.ok_with("the bytes", &["set", "X", "--account", "a"]);
    shell.ok(&["delete", "X", "--account", "a", "--yes"]);
    shell.ok(&["audit", "--off"]);
    shell.define("AFTER", "string");

    let noted = lines(&shell, &[]);
    let kinds: Vec<_> = noted.iter().map(|event| event["changes"][0]["kind"].clone()).collect();
    let (defined, set) = ("Variable Definition Created", "Variable Value Set");
    let (operated, deleted) = ("Vault Operated", "Variable Value Deleted");
    assert_eq!(kinds, [operated, defined, set, deleted, operated]);
    assert_eq!(noted[0]["changes"][0]["name"], "settings: audit on");
    assert_eq!(noted[4]["changes"][0]["name"], "settings: audit off");
    assert_eq!(noted[2]["changes"][0]["name"], "X");
    assert_eq!(noted[2]["changes"][0]["linked_account_id"], "a");
    let table = shell.ok(&["audit"]);
    assert!(table.contains(set) && table.contains("account a"), "{table}");
    assert!(!format!("{noted:?}{table}").contains("the bytes"));
}

#[test]
fn what_is_done_to_the_vault_is_noted_with_its_slots_and_its_outcome() {
    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    let added = shell.json(&["slot", "add", "--new-root-key-file", "other.key"])["id"].clone();
    let added = added.as_str().unwrap();
    shell.run(&["rotate", "root"]); // neither drops the other slot nor has its key
    shell.ok(&["slot", "remove", added]);
    shell.ok(&["rotate", "data", "--older-than", "90d"]);
    shell.run(&["slot", "remove", added]); // gone
    let noted = lines(&shell, &[]);
    let noted: Vec<_> = noted.iter().map(|event| event["changes"][0]["name"].as_str().unwrap()).collect();
    let removed = format!("slot remove {added}");
    let expected = [
        "settings: audit on",
        "slot add",
        &format!("slot add: {added}"),
        "rotate root",
        "rotate root: failed",
        &removed,
        "rotate data",
        "rotate data: no key was due",
        &removed,
        &format!("{removed}: failed"),
    ];
    assert_eq!(noted, expected);
}

#[test]
fn the_list_is_narrowed_by_time_and_actor() {
    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    shell.define("X", "string");
    let at = lines(&shell, &[])[1]["at"].as_str().unwrap().to_owned();
    assert_eq!(lines(&shell, &["--since", &at]).len(), 1);
    assert_eq!(lines(&shell, &["--since", "2999-01-01T00:00:00Z"]).len(), 0);
    assert_eq!(lines(&shell, &["--actor", "nobody"]).len(), 0);
    assert_eq!(lines(&shell, &["--since", "5m"]).len(), 2);
    let wrong = shell.run(&["audit", "--since", "yesterday"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("such as 5m"), "{}", wrong.stderr);
    assert_eq!(shell.run(&["audit", "--on", "--off"]).code, 2);
}

#[test]
fn what_is_copied_to_another_environment_has_an_author_there() {
    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    shell.define("X", "string");
    shell.ok_with("x", &["set", "X"]);
    shell.ok(&["copy", "test", "production", "--yes"]);
    let noted = lines(&shell, &["--environment", "production"]);
    assert!(!noted.is_empty());
    for event in noted {
        assert!(event["actor"].as_str().unwrap().starts_with("os:"), "{event}");
    }
}

#[test]
#[cfg(unix)]
fn a_new_vault_that_is_served_notes_what_two_processes_write_once_and_in_order() {
    let shell = Shell::new();
    let server = Server::start(&shell, &[]);
    shell.define("X", "string");
    let id = shell.json(&["show", "X"])["id"].as_str().unwrap().to_owned();
    let key = server.api_key().to_owned();
    let over_http = |connection: &mut shell::server::Connection, value: &str| {
        let body = format!(r#"{{"variable_definition_id":"{id}","value":"{value}"}}"#);
        let (status, set) =
            connection.send("POST", "/api/v2/public/env/values", &[("x-api-key", &key)], &body).unwrap();
        assert_eq!(status, 200, "{set}");
    };
    thread::scope(|threads| {
        threads.spawn(|| {
            let mut connection = server.connect();
            (0..40).for_each(|number| over_http(&mut connection, &format!("h{number}")));
        });
        // One that loses to the other process again and again writes nothing and says so.
        let has_set = |number| (0..20).any(|_| shell.pipe(format!("c{number}"), &["set", "X"]).code == 0);
        assert!((0..8).all(has_set));
    });
    let events = lines(&shell, &[]);
    let mut writes: Vec<_> = events
        .iter()
        .filter(|event| event["changes"][0]["kind"] == "Variable Value Set")
        .map(|event| {
            let (change, actor) = (&event["changes"][0], event["actor"].as_str().unwrap());
            let is_http = actor.starts_with("api-key:");
            // As text, since a revision may be greater than the numbers that a reader of JSON keeps exactly.
            let version = |of: &str| change[of].as_str().map(|text| text.parse::<u64>().unwrap());
            (version("version_before").unwrap_or(0), version("version").unwrap(), is_http)
        })
        .collect();
    writes.sort_unstable();
    assert_eq!(writes.iter().filter(|(.., is_http)| *is_http).count(), 40);
    assert_eq!(writes.len(), 48, "each write once");
    // Each follows the one before, and the last is what is there.
    assert!(writes.windows(2).all(|pair| pair[0].1 == pair[1].0), "{writes:?}");
    let newest = shell.json(&["history", "X"])[0]["version"].to_string();
    assert_eq!(newest.trim_matches('"'), writes.last().unwrap().1.to_string());
    assert_eq!(server.stop(), 0);
}

#[test]
#[cfg(unix)]
fn a_script_reads_the_same_from_a_server_as_from_the_store() {
    let shell = Shell::new();
    let server = Server::start(&shell, &[]);
    shell.define("X", "string");
    shell.ok(&["account", "create", "a", "--default-app"]);
    shell.ok(&["account", "add-app", "a", "--app", "crm", "--connection", "work"]);
    for value in ["one", "two"] {
        shell.ok_with(value, &["set", "X", "--account", "a"]);
        let place = ["--account", "a", "--app", "crm", "--connection", "work"];
        shell.ok_with(value, &[&["credential", "set", "k"], &place[..]].concat());
    }
    shell.ok_with("w", &["set", "X", "--workflow", "w"]);
    shell.ok(&["delete", "X", "--account", "a", "--yes"]);
    let create = ["api-key", "create", "remote", "--right", "read", "--right", "admin"];
    let key = shell.json(&create)["api_key"].as_str().unwrap().to_owned();
    let remote = Shell::new().variable("STRONGROOM_URL", server.text("url"));
    let remote = remote.variable("STRONGROOM_API_KEY", &key);

    let there = lines(&remote, &[]);
    let here = lines(&shell, &[]);
    assert!(there.len() >= 9, "{there:?}");
    assert_eq!(there[..], here[..there.len()]);
    let named: Vec<&Value> = here.iter().flat_map(|event| event["changes"].as_array().unwrap()).collect();
    for field in [
        "variable_definition_id",
        "linked_account_id",
        "workflow_id",
        "integration",
        "connection",
        "document_id",
    ] {
        assert!(named.iter().any(|change| change[field].is_string()), "{field}");
    }
    for command in [
        &["history", "X", "--account", "a"][..],
        &["credential", "history", "k", "--account", "a", "--app", "crm", "--connection", "work"],
        &["audit", "--since", "2999-01-01T00:00:00Z"],
    ] {
        let command = [&["--json"], command].concat();
        assert_eq!(remote.ok(&command), shell.ok(&command));
    }
    assert_eq!(server.stop(), 0);
}

#[test]
fn an_export_whose_digest_cannot_be_written_leaves_no_events_behind() {
    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    // A file system takes names of 255 bytes: this one, and not the one of its digest.
    let name = "a".repeat(250);
    let ran = shell.run(&["audit", "--export", &name]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(!shell.path(&name).exists());
}

#[test]
fn an_export_is_checked_without_a_vault_and_a_change_to_it_is_told() {
    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    shell.define("X", "string");
    shell.ok_with("the bytes", &["set", "X"]);
    shell.ok(&["audit", "--export", "a.audit"]);
    assert_eq!(shell.run(&["audit", "--export", "a.audit"]).code, 2, "nothing is overwritten");
    let listed = lines(&shell, &[]);
    shell.define("LATER", "string");
    shell.ok(&["audit", "--export", "b.audit"]);

    let elsewhere = Shell::new();
    let read = |name: &str| std::fs::read_to_string(shell.path(name)).unwrap();
    for name in ["a.audit", "a.audit.digest", "b.audit"] {
        elsewhere.write(name, read(name));
    }
    assert_eq!(lines(&elsewhere, &["--check", "a.audit"]), listed);
    assert!(elsewhere.ok(&["audit", "--check", "a.audit"]).contains("Variable Value Set"));
    // A later export still holds what the digest says, and more, which it does not tell of.
    let later = ["--check", "b.audit", "--digest", "a.audit.digest"];
    let checked = lines(&elsewhere, &later);
    assert_eq!(checked[..listed.len()], listed);
    assert_eq!((checked.len(), &checked[3]["unchecked"]), (4, &serde_json::json!(true)));
    let ran = elsewhere.run(&[&["audit"], &later[..]].concat());
    assert!(ran.code == 0 && ran.stderr.contains("1 event came after"), "{}", ran.stderr);
    assert!(ran.stdout.lines().last().unwrap().starts_with("no "), "{}", ran.stdout);
    let dropped = [&later[..], &["--dropped-before", "2020-01-01T00:00:00Z"]].concat();
    assert_eq!(lines(&elsewhere, &dropped).len(), 4);

    let text = read("a.audit");
    let (first, rest) = text.split_once('\n').unwrap();
    elsewhere.write("cut", first);
    elsewhere.write("late", rest);
    elsewhere.write("altered", text.replacen('A', "B", 1));
    for name in ["cut", "late", "altered", "a.audit.digest"] {
        let ran = elsewhere.run(&["audit", "--check", name, "--digest", "a.audit.digest"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (5, ""), "{name}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("the event ") || ran.stderr.contains("line 1 "),
            "{name}: {}",
            ran.stderr
        );
    }
    assert_eq!(elsewhere.run(&["audit", "--check", "none"]).code, 2);
}

#[test]
fn a_digest_that_was_cut_and_files_that_have_decayed_are_refused_as_damaged() {
    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    shell.define("X", "string");
    shell.ok(&["audit", "--export", "a"]);
    let [export, digest] = ["a", "a.digest"].map(|name| std::fs::read(shell.path(name)).unwrap());
    let decayed = |bytes: &[u8]| bytes.iter().map(|_| 0xff).collect::<Vec<_>>();
    shell.write("cut.digest", &digest[..digest.len() - 4]);
    shell.write("empty.digest", b"");
    shell.write("decayed.digest", decayed(&digest));
    for name in ["cut.digest", "empty.digest", "decayed.digest"] {
        let ran = shell.run(&["audit", "--check", "a", "--digest", name]);
        assert!(ran.code == 5 && ran.stderr.contains(&format!("{name} is not whole")), "{name}: {ran:?}");
    }
    shell.write("decayed", decayed(&export));
    let ran = shell.run(&["audit", "--check", "decayed", "--digest", "a.digest"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (5, ""), "{ran:?}");
}

#[test]
fn the_audit_of_a_place_that_is_not_there_says_so() {
    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    shell.define("X", "string");
    for (place, meant) in [
        (["--environment", "tset"], "--environment test"),
        (["--org", "000000000000000000000002"], "--org 000000000000000000000001"),
    ] {
        for command in
            [&["audit"][..], &["audit", "--export", "a"], &["audit", "--drop-before", "90d", "--yes"]]
        {
            let ran = shell.run(&[&place[..], command].concat());
            assert!(ran.code == 3 && ran.stderr.contains(meant), "{command:?}: {ran:?}");
        }
    }
    assert!(!shell.path("a").exists());
    assert_eq!(Shell::with_vault().run(&["audit"]).code, 0, "a new vault has nothing anywhere");
}

#[test]
fn an_export_writes_nothing_where_one_of_its_files_is_there_already() {
    let shell = Shell::with_vault();
    shell.write("a.digest", b"mine");
    let ran = shell.run(&["audit", "--export", "a"]);
    assert!(ran.code == 2 && ran.stderr.contains("a.digest is there already"), "{ran:?}");
    assert!(!shell.path("a").exists());
    assert_eq!(std::fs::read(shell.path("a.digest")).unwrap(), b"mine");
}

#[test]
fn a_vault_is_written_on_and_verified_where_the_head_of_its_audit_is_damaged_or_gone() {
    for is_gone in [false, true] {
        let shell = Shell::with_vault();
        shell.ok(&["audit", "--on"]);
        shell.define("X", "string");
        if is_gone {
            shell.take_away(&[0x61]);
        } else {
            shell.damage(&[0x61]);
        }
        shell.ok_with("one", &["set", "X"]);
        shell.ok_with("two", &["set", "X"]);
        let found = shell.run(&["verify"]);
        assert!(found.code == 5 && found.stdout.contains("are missing or were replaced"), "{found:?}");
        let exported = shell.run(&["audit", "--export", "a"]);
        assert!(
            exported.code == 5 && exported.stderr.contains("found in the audit: the event"),
            "{exported:?}"
        );
    }
}

#[test]
fn old_events_are_dropped_with_consent_and_those_of_the_last_two_hours_stay() {
    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    shell.define("X", "string");
    let refused = shell.run(&["audit", "--drop-before", "1s"]);
    assert!(refused.code == 2 && refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert_eq!(shell.json(&["audit", "--drop-before", "1s", "--yes"])["dropped"], 0);
    assert_eq!(shell.json(&["audit", "--drop-before", "2020-01-01T00:00:00Z", "--yes"])["dropped"], 0);
    assert_eq!(lines(&shell, &[])[1]["changes"][0]["name"], "X");
    assert_eq!(shell.run(&["audit", "--drop-before", "soon", "--yes"]).code, 2);
    shell.ok(&["verify"]);
}

#[test]
#[cfg(unix)]
fn a_server_narrows_the_list_by_time_and_actor_together() {
    let shell = Shell::new();
    let server = Server::start(&shell, &[]);
    shell.define("X", "string");
    let key = shell.json(&["api-key", "create", "remote", "--right", "admin"]);
    let remote = Shell::new().variable("STRONGROOM_URL", server.text("url"));
    let remote = remote.variable("STRONGROOM_API_KEY", key["api_key"].as_str().unwrap());
    assert!(!lines(&remote, &["--since", "1h", "--actor", "os:"]).is_empty());
    assert_eq!(lines(&remote, &["--since", "1h", "--actor", "nobody"]).len(), 0);
    assert_eq!(lines(&remote, &["--since", "2999-01-01T00:00:00Z", "--actor", "os:"]).len(), 0);
    assert_eq!(server.stop(), 0);
}
