//! `slot`: which keys open the vault.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod shell;

use shell::Shell;

#[test]
fn a_passphrase_is_added_beside_the_root_key_and_takes_its_place() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    shell.write("p", "six words from a generator\n");
    let added = shell.json(&["slot", "add", "--new-passphrase-file", "p"]);
    assert_eq!((&added["kind"], &added["usable"]), (&"passphrase".into(), &true.into()));
    assert!(shell.ok(&["--passphrase-file", "p", "list"]).contains('A'));

    let slots = shell.json(&["slot", "list"]);
    let first = slots.as_array().unwrap().iter().find(|slot| slot["kind"] == "raw_key").unwrap();
    let first = first["id"].as_str().unwrap();
    shell.ok(&["--passphrase-file", "p", "slot", "remove", first]);
    assert_eq!(shell.run(&["list"]).code, 5);
    assert_eq!(shell.run(&["--passphrase-file", "p", "slot", "remove", first]).code, 3);
    assert!(shell.ok(&["--passphrase-file", "p", "slot", "list"]).contains("a passphrase, 64 MiB"));
}

#[test]
fn a_changed_slot_opens_with_a_new_root_key_file_that_is_made() {
    let shell = Shell::with_vault();
    let slots = shell.json(&["slot", "list"]);
    let id = slots[0]["id"].as_str().unwrap();
    let change = ["slot", "change", id, "--new-root-key-file", "new.key"];
    let ran = shell.run(&change);
    assert!(ran.code == 2 && ran.stderr.contains("opened the vault for this command"), "{}", ran.stderr);
    shell.ok(&["list"]);
    shell.ok(&[&change[..], &["--yes"]].concat());
    let ran = shell.run(&["list"]);
    assert!(ran.code == 5 && ran.stderr.contains("the key of that time"), "{}", ran.stderr);
    shell.ok(&["--root-key-file", "new.key", "list"]);
}

#[test]
fn the_last_slot_stays_and_says_what_to_do() {
    let shell = Shell::with_vault();
    let slots = shell.json(&["slot", "list"]);
    let ran = shell.run(&["slot", "remove", slots[0]["id"].as_str().unwrap()]);
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("slot add"), "{}", ran.stderr);
    assert_eq!(shell.run(&["slot", "remove", "no id"]).code, 2);
    shell.ok(&["list"]);
}

#[test]
fn the_slot_of_the_key_in_use_is_marked_and_goes_only_with_consent() {
    let shell = Shell::with_vault();
    shell.ok(&["slot", "add", "--new-root-key-file", "other.key"]);
    let own = |slots: &serde_json::Value| {
        let own = slots.as_array().unwrap().iter().filter(|slot| slot["own"] == true);
        own.map(|slot| slot["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = own(&shell.json(&["slot", "list"]));
    let second = own(&shell.json(&["--root-key-file", "other.key", "slot", "list"]));
    assert!(first.len() == 1 && second.len() == 1 && first != second, "{first:?} {second:?}");
    assert!(shell.ok(&["slot", "list"]).contains("this command"));

    let ran = shell.run(&["slot", "remove", &first[0]]);
    assert!(
        ran.code == 2 && ran.stderr.contains("--yes") && ran.stderr.contains("opened the vault"),
        "{}",
        ran.stderr
    );
    shell.ok(&["list"]);
    shell.ok(&["slot", "remove", &first[0], "--yes"]);
    assert_eq!(shell.run(&["list"]).code, 5);
    shell.ok(&["--root-key-file", "other.key", "list"]);
}

#[cfg(feature = "sqlite")]
#[test]
fn a_slot_whose_row_is_missing_is_listed_and_warned_of_and_goes_by_its_id_alone() {
    let shell = Shell::new();
    let path = shell.path("vault.db");
    let shell = shell.variable("STRONGROOM_STORE", &format!("sqlite:{}", path.display()));
    shell.ok(&["init"]);
    let added = shell.json(&["slot", "add", "--new-root-key-file", "other.key"]);
    let id = added["id"].as_str().unwrap();
    let hide = format!("DELETE FROM strongroom_rows WHERE k = x'0002{id}'");
    assert_eq!(rusqlite::Connection::open(&path).unwrap().execute(&hide, ()).unwrap(), 1);

    assert!(shell.ok(&["slot", "list"]).contains("its row is missing"));
    assert!(shell.ok(&["doctor"]).contains("1 key slot that cannot be used"));
    let ran = shell.run(&["verify"]);
    assert!(ran.code == 5 && ran.stdout.contains(id), "{}", ran.stdout);
    let ran = shell.run(&["rotate", "root"]);
    assert!(
        ran.code == 6 && ran.stderr.contains("put it back") && ran.stderr.contains("--drop"),
        "{}",
        ran.stderr
    );
    shell.ok(&["rotate", "root", "--drop", id]);
    shell.ok(&["verify"]);
    assert_eq!(shell.json(&["slot", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_damaged_slot_is_named_with_the_id_that_its_removal_takes() {
    let shell = Shell::with_vault();
    let id = shell.json(&["slot", "list"])[0]["id"].as_str().unwrap().to_owned();
    shell.ok(&["slot", "add", "--new-root-key-file", "spare.key"]);
    let slot = [&[0, 2][..], &(0..16).map(|at| byte(&id, at)).collect::<Vec<_>>()].concat();
    shell.change_at(&slot, |row| *row.last_mut().unwrap() ^= 1);
    let ran = shell.run(&["list"]);
    assert!(ran.code == 5 && ran.stderr.contains(&format!("the key slot {id} is damaged")), "{ran:?}");
    shell.ok(&["--root-key-file", "spare.key", "slot", "remove", &id]);
}

#[test]
fn a_slot_of_a_later_release_is_not_removed() {
    let shell = Shell::with_vault();
    let id = shell.json(&["slot", "list"])[0]["id"].as_str().unwrap().to_owned();
    shell.ok(&["slot", "add", "--new-root-key-file", "spare.key"]);
    let slot = [&[0, 2][..], &(0..16).map(|at| byte(&id, at)).collect::<Vec<_>>()].concat();
    shell.change_at(&slot, |row| row[1] += 1);
    let ran = shell.run(&["--root-key-file", "spare.key", "slot", "remove", &id, "--yes"]);
    assert!(ran.code == 5 && ran.stderr.contains("use that one, and delete nothing"), "{ran:?}");
    assert!(shell.ok(&["--root-key-file", "spare.key", "slot", "list"]).contains(&id));
}

/// A byte of an id in hexadecimal.
fn byte(id: &str, at: usize) -> u8 {
    u8::from_str_radix(&id[2 * at..2 * at + 2], 16).unwrap()
}

#[cfg(unix)]
#[test]
fn no_slot_of_a_served_vault_goes_without_consent() {
    let shell = Shell::with_vault();
    let server = shell::server::Server::start(&shell, &[]);
    let added = shell.json(&["slot", "add", "--new-root-key-file", "other.key"]);
    let id = added["id"].as_str().unwrap();
    let ran = shell.run(&["slot", "remove", id]);
    assert!(ran.code == 2 && ran.stderr.contains("a server has the vault open"), "{}", ran.stderr);

    let key = shell.json(&["api-key", "create", "desk", "--right", "operate"])["api_key"].clone();
    let remote = ["--url", server.text("url")];
    let shell_of_key = Shell::new().variable("STRONGROOM_API_KEY", key.as_str().unwrap());
    let slots = shell_of_key.json(&[&remote[..], &["slot", "list"]].concat());
    let own = slots.as_array().unwrap().iter().find(|slot| slot["own"] == true).unwrap()["id"].clone();
    let own = own.as_str().unwrap();
    let ran = shell_of_key.run(&[&remote[..], &["slot", "remove", own]].concat());
    assert!(ran.code == 2 && ran.stderr.contains("for the server"), "{}", ran.stderr);
    shell_of_key.ok(&[&remote[..], &["slot", "remove", id]].concat());
    server.stop();
}
