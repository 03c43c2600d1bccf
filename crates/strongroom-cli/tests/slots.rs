//! `slot`: which keys open the vault.

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
    shell.ok(&["slot", "change", id, "--new-root-key-file", "new.key"]);
    assert_eq!(shell.run(&["list"]).code, 5);
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
