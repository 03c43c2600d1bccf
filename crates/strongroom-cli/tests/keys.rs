//! `init`, root key files, passphrase files, and what happens with a wrong one.

mod shell;

use shell::Shell;

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

#[test]
fn init_makes_a_key_file_for_its_owner_alone() {
    let shell = Shell::with_vault();
    let key = std::fs::read_to_string(shell.key()).unwrap();
    assert_eq!(key.trim_end().len(), 64);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = shell.key().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn init_takes_no_place_that_is_taken() {
    let shell = Shell::with_vault();
    let key = std::fs::read(shell.key()).unwrap();
    shell.define("A", "string");
    assert_eq!(shell.run(&["init"]).code, 6);
    assert_eq!(std::fs::read(shell.key()).unwrap(), key);
    assert!(shell.ok(&["list"]).contains('A'));
    shell.write("foreign/file", "x");
    assert_eq!(shell.run(&["--store", "foreign", "init"]).code, 6);
    assert!(!shell.key_of("foreign").exists());
}

#[test]
fn a_key_file_is_hex_or_base64_with_one_newline_or_none() {
    let shell = Shell::new();
    let base64 = "ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=";
    for (index, text) in [KEY, &format!("{KEY}\n"), base64, &format!("{base64}\n")].into_iter().enumerate() {
        shell.write("key", text);
        let command = if index == 0 { "init" } else { "list" };
        shell.ok(&["--root-key-file", "key", command]);
    }
    for bad in ["", &KEY[1..], &format!("{KEY}\n\n"), &format!(" {KEY}"), "not a key"] {
        shell.write("key", bad);
        let ran = shell.run(&["--root-key-file", "key", "list"]);
        assert_eq!(ran.code, 5, "{bad:?}");
        assert!(!ran.stderr.contains(&KEY[8..]), "{}", ran.stderr);
    }
}

#[test]
fn init_makes_the_named_key_file_and_every_command_takes_it() {
    let shell = Shell::new();
    shell.ok(&["--root-key-file", "my.key", "init"]);
    assert!(!shell.key().exists());
    shell.ok(&["list", "--root-key-file", "my.key"]);
}

#[test]
fn a_passphrase_file_loses_exactly_one_line_end() {
    let shell = Shell::new();
    shell.write("p", "correct horse\n");
    shell.ok(&["--passphrase-file", "p", "init", "--allow-weak"]);
    for (text, code) in [
        ("correct horse", 0),
        ("correct horse\r\n", 0),
        ("correct horse\n\n", 5),
        ("correct horse ", 5),
        ("\n", 2),
    ] {
        shell.write("p", text);
        assert_eq!(shell.run(&["--passphrase-file", "p", "list"]).code, code, "{text:?}");
    }
}

#[test]
fn a_wrong_key_is_5_and_one_of_the_wrong_kind_too() {
    let shell = Shell::with_vault();
    shell.write("other", KEY);
    for option in ["--root-key-file", "--passphrase-file"] {
        let ran = shell.run(&[option, "other", "--json", "list"]);
        assert_eq!(ran.code, 5);
        assert_eq!(ran.error()["error"], "key");
        assert!(!ran.stderr.contains(KEY));
    }
}

#[test]
fn a_vault_without_any_key_is_2() {
    let shell = Shell::with_vault();
    std::fs::remove_file(shell.key()).unwrap();
    assert_eq!(shell.run(&["list"]).code, 2);
    assert_eq!(shell.run(&["--root-key-file", "none", "list"]).code, 2);
    assert_eq!(shell.run(&["--root-key-file", "a", "--passphrase-file", "b", "list"]).code, 2);
}

#[test]
fn a_lost_key_file_leads_to_the_key_of_another_slot() {
    let shell = Shell::with_vault();
    let ran = shell.run(&["--root-key-file", "lost", "list"]);
    assert!(ran.code == 2 && ran.stderr.contains("the key of another slot"), "{ran:?}");
    assert!(!ran.stderr.contains("init"), "{ran:?}");
    std::fs::remove_file(shell.key()).unwrap();
    let ran = shell.run(&["list"]);
    assert!(ran.code == 2 && ran.stderr.contains("the key of any slot"), "{ran:?}");
}

#[test]
fn a_key_that_is_typed_where_its_file_belongs_is_not_repeated() {
    let shell = Shell::with_vault();
    let hex = "0123456789abcdef".repeat(4);
    for arguments in [
        &["--root-key-file", &hex, "list"][..],
        &["--url", "http://127.0.0.1:1", "--api-key-file", "tk_hunter2", "list"],
    ] {
        let ran = shell.run(arguments);
        assert!(ran.code != 0 && !ran.stderr.contains(arguments[arguments.len() - 2]), "{}", ran.stderr);
        assert!(ran.stderr.contains("may be a secret"), "{}", ran.stderr);
    }
}

#[test]
#[cfg(unix)]
fn a_key_file_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let shell = Shell::with_vault();
    let key = shell.key();
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = shell.run(&["list"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("chmod 600 "), "{}", ran.stderr);
}

#[test]
fn a_weak_passphrase_is_accepted_only_by_name() {
    let shell = Shell::with_vault();
    shell.write("p", "x\n");
    let id = shell.json(&["slot", "list"])[0]["id"].as_str().unwrap().to_owned();
    for arguments in [
        &["--store", "new", "--passphrase-file", "p", "init"][..],
        &["--store", "new", "--passphrase-file", "p", "serve", "--listen", "127.0.0.1:0"],
        &["slot", "add", "--new-passphrase-file", "p"],
        &["slot", "change", &id, "--new-passphrase-file", "p", "--yes"],
    ] {
        let ran = shell.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("--allow-weak"), "{}", ran.stderr);
    }
    shell.ok(&["slot", "add", "--new-passphrase-file", "p", "--allow-weak"]);
    shell.ok(&["--passphrase-file", "p", "list"]);
}
