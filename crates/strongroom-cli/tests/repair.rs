//! What cannot be repaired is replaced or deleted by a command that `verify` names, and then a rotation goes on.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod shell;

use std::sync::Arc;

use futures_executor::block_on;
use serde_json::{Value, json};
use shell::Shell;
use shell::server::Server;
use strongroom::store::{Op, Store as _, WriteBatch};
use strongroom::{Environment, IntegrationId, Org, RawKey, Unlock, Vault};
use strongroom_redb::RedbStore;

/// A vault with an account that has a value and a credential.
fn filled() -> Shell {
    let shell = Shell::with_vault();
    shell.define("URL", "url");
    shell.ok_with("https://example.com", &["set", "URL"]);
    shell.ok(&["account", "create", "user_1", "--default-app"]);
    shell.ok_with("https://user.example.com", &["set", "URL", "--account", "user_1"]);
    shell.ok_with("hunter2", &["credential", "set", "password", "--account", "user_1"]);
    shell
}

/// What `verify` says to do about its one finding.
fn step_of_verify(shell: &Shell) -> String {
    let ran = shell.run(&["--json", "verify"]);
    assert_eq!(ran.code, 5);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["findings"].as_array().unwrap().len(), 1, "{report}");
    report["findings"][0]["next"].as_str().unwrap().to_owned()
}

/// A rotation that a damaged row stops; answers its id.
fn blocked(shell: &Shell, rotate: &[&str]) -> String {
    let ran = shell.run(&[&["--json"], rotate].concat());
    assert_eq!(ran.code, 5, "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let job = if report["job"].is_null() { &report } else { &report["job"] };
    assert_eq!(job["outcome"], "blocked", "{report}");
    job["id"].as_str().unwrap().to_owned()
}

fn goes_on(shell: &Shell, job: &str) {
    shell.ok(&["job", "retry", job]);
    assert_eq!(shell.json(&["job", "run", job])["outcome"], "finished");
    assert_eq!(shell.json(&["verify"])["clean"], true);
}

#[test]
fn an_account_whose_keyring_is_damaged_is_deleted_and_rotations_go_on() {
    for rotate in [&["rotate", "data"][..], &["rotate", "root"]] {
        let shell = filled();
        shell.damage(b"\x01user_1\0");
        let step = step_of_verify(&shell);
        assert!(step.contains("are lost") && step.contains("`strongroom account delete user_1`"), "{step}");
        let rotate_there = "do not stop it, and `strongroom rotate data --account user_1 --url URL`";
        assert!(step.contains(rotate_there), "{step}");
        let job = blocked(&shell, rotate);
        shell.ok(&["account", "delete", "user_1", "--yes"]);
        goes_on(&shell, &job);
    }
}

#[test]
fn an_account_whose_keyring_is_damaged_is_deleted_behind_a_server_and_at_its_store() {
    for is_remote in [false, true] {
        let shell = filled();
        shell.damage(b"\x01user_1\0");
        let server = Server::start(&shell, &[]);
        let job = blocked(&shell, &["rotate", "data"]);
        let key = shell.json(&["api-key", "create", "k", "--right", "admin"])["api_key"].clone();
        shell.write("k", key.as_str().unwrap());
        let remote = ["--url", server.text("url"), "--api-key-file", "k"];
        let at = if is_remote { &remote[..] } else { &[] };
        let run = |words: &[&str]| shell.run(&[at, words].concat());
        let deleted = run(&["account", "delete", "user_1", "--yes"]);
        assert_eq!(deleted.code, 0, "{deleted:?}");
        goes_on(&shell, &job);
    }
}

#[test]
fn an_account_whose_keyring_is_damaged_is_shredded() {
    let shell = filled();
    shell.damage(b"\x01user_1\0");
    assert_eq!(shell.json(&["shred", "account", "user_1", "--yes"])["keys"], json!([]));
    assert_eq!(shell.json(&["verify"])["clean"], true);
}

/// Begins to remove the default app of `user_1`, as if the store had lost the job of it.
fn begin_to_remove_an_app(shell: &Shell) {
    let store = Arc::new(RedbStore::open(shell.store()).unwrap());
    let unlock = Unlock::raw_key(RawKey::from_file(shell.key()).unwrap());
    block_on(async {
        let vault = Vault::open(Arc::clone(&store), unlock).await.unwrap();
        let org = vault.org("000000000000000000000001".parse().unwrap(), Environment::test());
        let remove = async |org: Org| {
            org.account("user_1".parse()?).delete_integration(&IntegrationId::default_app()).await
        };
        let (plan, ()) = org.plan(remove).await.unwrap();
        store.commit(Arc::clone(plan.batch())).await.unwrap();
        let mut lost = WriteBatch::default();
        for op in &plan.batch().ops {
            if let Op::Put(key, _) = op
                && key.as_bytes().starts_with(&[0, 4])
            {
                lost.delete(key.clone());
            }
        }
        store.commit(Arc::new(lost)).await.unwrap();
        vault.close().await.unwrap();
    });
}

#[test]
fn what_is_left_of_an_app_is_removed_behind_a_server_and_at_its_store() {
    let lost: [fn(&Shell); 2] = [begin_to_remove_an_app, |shell| shell.take_away(&[0x31])];
    for (lose, is_remote) in lost.into_iter().flat_map(|lose| [(lose, false), (lose, true)]) {
        let shell = filled();
        lose(&shell);
        let step = step_of_verify(&shell);
        assert!(step.contains("`strongroom account remove-app user_1 --purge`"), "{step}");
        let server = is_remote.then(|| Server::start(&shell, &[]));
        if let Some(server) = &server {
            let key = shell.json(&["api-key", "create", "k", "--right", "read", "--right", "write"]);
            shell.write("k", key["api_key"].as_str().unwrap());
            assert!(server.text("url").starts_with("http"));
        }
        let url = server.as_ref().map(|server| server.text("url").to_owned()).unwrap_or_default();
        let remote = ["--url", &url, "--api-key-file", "k"];
        let at = if is_remote { &remote[..] } else { &[] };
        let remove = [at, &["account", "remove-app", "user_1"]].concat();
        let refused = shell.run(&[&remove[..], &["--yes"]].concat());
        assert!(refused.code == 3 && refused.stderr.contains("--purge"), "{refused:?}");
        let purge = [&remove[..], &["--purge"]].concat();
        let asked = shell.run(&purge);
        assert!(asked.code == 2 && asked.stderr.contains("--yes"), "{asked:?}");
        shell.ok(&[&purge[..], &["--yes"]].concat());
        drop(server);
        assert_eq!(shell.json(&["verify"])["clean"], true);
        assert_eq!(
            shell.run(&[&["account", "remove-app", "user_1", "--purge", "--yes"][..]].concat()).code,
            3
        );
        shell.ok(&["account", "add-app", "user_1"]);
    }
}

#[test]
fn what_a_later_release_wrote_is_for_that_release_and_no_command_says_to_delete_it() {
    let of_keyring = [vec!["list"], vec!["get", "URL"], vec!["doctor"], vec!["verify"]];
    let of_account = [vec!["account", "list"], vec!["account", "delete", "user_1", "--yes"]];
    let of_definition = [vec!["list"], vec!["delete", "URL", "--definition", "--yes"], vec!["undo", "URL"]];
    let of_value = [vec!["get", "URL"], vec!["delete", "URL", "--yes"], vec!["undo", "URL"]];
    let cases: [(&[u8], &[Vec<&str>]); 4] =
        [(&[0x01], &of_keyring), (&[0x30], &of_account), (&[0x10], &of_definition), (&[0x20], &of_value)];
    for (kind, commands) in cases {
        let shell = filled();
        shell.write_later(kind);
        for words in commands {
            let ran = shell.run(words);
            let said = ran.stdout + &ran.stderr;
            assert!(ran.code == 5 && said.contains("use that one, and delete nothing"), "{words:?}: {said}");
            let destroys = ["--purge", "shred", "--replace-damaged", "account delete ID"];
            assert!(destroys.iter().all(|step| !said.contains(step)), "{words:?}: {said}");
        }
    }
}

#[test]
fn rows_whose_keyring_is_gone_lead_to_verify_and_not_to_their_own_repair() {
    let shell = filled();
    shell.take_away(&[0x01]);
    for words in [&["list"][..], &["get", "URL"], &["undo", "URL", "--replace-damaged"], &["doctor"]] {
        let ran = shell.run(words);
        let said = ran.stdout + &ran.stderr;
        assert!(
            ran.code == 5 && said.contains("`strongroom verify` looks for its keyring"),
            "{words:?}: {said}"
        );
        assert!(!said.contains("undo ID"), "{words:?}: {said}");
    }
    let step = step_of_verify(&shell);
    assert!(step.contains("shred environment test") && !step.contains("--url"), "{step}");
}

#[cfg(feature = "sqlite")]
#[test]
fn the_keys_of_a_damaged_keyring_are_written_again_through_a_server_that_has_them() {
    let shell = Shell::new();
    let path = shell.path("vault.db");
    let shell = shell.variable("STRONGROOM_STORE", &format!("sqlite:{}", path.display()));
    shell.ok(&["init"]);
    shell.define("A", "string");
    shell.ok_with("a", &["set", "A"]);
    let server = Server::start(&shell, &[]);
    let key =
        shell.json(&["api-key", "create", "k", "--right", "read", "--right", "operate"])["api_key"].clone();
    shell.write("k", key.as_str().unwrap());
    let remote = ["--url", server.text("url"), "--api-key-file", "k"];
    shell.ok(&[&remote[..], &["get", "A"]].concat());
    let rows = rusqlite::Connection::open(&path).unwrap();
    let keyring = "FROM strongroom_rows WHERE hex(k) LIKE '%746573740001'";
    let row = rows.query_row(&format!("SELECT k, v {keyring}"), (), |row| Ok((row.get(0)?, row.get(1)?)));
    let (key, mut row): (Vec<u8>, Vec<u8>) = row.unwrap();
    *row.last_mut().unwrap() ^= 1;
    rows.execute("UPDATE strongroom_rows SET v = ?1 WHERE k = ?2", (row, key)).unwrap();
    let ran = shell.run(&["list"]);
    assert!(ran.code == 5 && ran.stderr.contains("do not stop it"), "{ran:?}");
    assert!(ran.stderr.contains("`strongroom rotate data --url URL`"), "{ran:?}");
    shell.ok(&[&remote[..], &["rotate", "data"]].concat());
    drop(server);
    shell.ok(&["verify"]);
}

#[test]
fn commands_on_a_damaged_account_name_the_one_that_deletes_it() {
    let of_row = [["account", "sessions", "user_1"], ["account", "apps", "user_1"]].map(Vec::from);
    let of_keyring =
        [vec!["get", "URL", "--account", "user_1"], vec!["resolve", "URL", "--account", "user_1"]];
    for (kind, commands) in [(&b"\x30user_1\0"[..], of_row), (b"\x01user_1\0", of_keyring)] {
        let shell = filled();
        shell.damage(kind);
        let server = Server::start(&shell, &[]);
        let key = shell.json(&["api-key", "create", "k", "--right", "read", "--right", "admin"]);
        shell.write("k", key["api_key"].as_str().unwrap());
        let remote = vec!["--url", server.text("url"), "--api-key-file", "k"];
        for words in commands {
            for ran in [shell.run(&words), shell.run(&[remote.clone(), words.clone()].concat())] {
                let step = ran.code == 5 && ran.stderr.contains("`strongroom account delete ID");
                assert!(step && !ran.stderr.contains("undo"), "{words:?}: {ran:?}");
            }
        }
    }
}

#[test]
fn a_damaged_credential_hides_no_other_of_its_account() {
    let shell = filled();
    shell.ok_with("s3cret", &["credential", "set", "token", "--account", "user_1"]);
    shell.damage(&[0x32]);
    let list = ["--json", "credential", "list", "--account", "user_1"];
    let is_short = |ran: shell::Ran| {
        let listed: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((listed.as_array().unwrap().len(), &listed[0]["key"]), (1, &json!("token")), "{ran:?}");
        let named = ran.stderr.contains("password") && ran.stderr.contains("`strongroom credential undo KEY");
        assert!(ran.code == 5 && named, "{ran:?}");
    };
    is_short(shell.run(&list));
    let server = Server::start(&shell, &[]);
    is_short(shell.run(&list));
    let key = shell.json(&["api-key", "create", "k", "--right", "read"])["api_key"].clone();
    shell.write("k", key.as_str().unwrap());
    is_short(shell.run(&[&["--url", server.text("url"), "--api-key-file", "k"], &list[..]].concat()));
}

#[test]
fn a_damaged_definition_without_versions_is_defined_again_and_keeps_its_values() {
    let shell = filled();
    shell.damage(&[0x10]);
    let undo = shell.run(&["undo", "URL", "--definition", "--replace-damaged"]);
    assert!(undo.code == 5 && undo.stderr.contains("`strongroom define NAME --replace-damaged`"), "{undo:?}");
    let define = ["define", "URL", "--format", "url"];
    let refused = shell.run(&define);
    assert!(
        refused.code == 4 && refused.stderr.contains("--replace-damaged defines it again"),
        "{refused:?}"
    );
    let again = [&define[..], &["--replace-damaged"]].concat();
    let asked = shell.run(&again);
    assert!(asked.code == 2 && asked.stderr.contains("in plain text, even if"), "{asked:?}");
    let again = [&again[..], &["--yes"]].concat();
    shell.ok(&again);
    assert_eq!(shell.ok(&["get", "URL", "--account", "user_1", "--reveal"]), "https://user.example.com");
    assert_eq!(shell.json(&["verify"])["clean"], true);
    let whole = shell.run(&again);
    assert!(whole.code == 4 && whole.stderr.contains("is not damaged"), "{whole:?}");
}

#[test]
fn only_a_damaged_version_of_a_value_or_credential_is_deleted_and_rotations_go_on() {
    for kind in [&[0x50, 0x20, 0x00][..], &[0x50, 0x32]] {
        let shell = filled();
        shell.ok_with("https://example.com/2", &["set", "URL"]);
        shell.ok_with("hunter3", &["credential", "set", "password", "--account", "user_1"]);
        shell.damage(kind);
        let step = step_of_verify(&shell);
        let names = step.contains("`strongroom verify --sweep --unreadable` deletes only this version");
        assert!(names && !step.contains("--purge"), "{step}");
        let job = blocked(&shell, &["rotate", "data"]);
        shell.ok(&["verify", "--sweep", "--unreadable", "--yes"]);
        goes_on(&shell, &job);
        assert_eq!(shell.ok(&["get", "URL", "--reveal"]), "https://example.com/2");
        assert!(shell.ok(&["credential", "list", "--account", "user_1"]).contains("password"));
    }
}

/// A vault with a token of an account, whose signing key is damaged.
fn with_damaged_signing_key() -> Shell {
    let shell = filled();
    shell.ok(&["audit", "--on"]);
    let server = Server::start(&shell, &[]);
    let key = shell.json(&["api-key", "create", "documented"])["api_key"].as_str().unwrap().to_owned();
    let account = r#"{"linked_account_id":"user_1"}"#;
    let (status, _) = server.send("POST", "/api/v2/public/session-token", &[("x-api-key", &key)], account);
    assert_eq!(status, 200);
    assert_eq!(server.stop(), 0);
    shell.damage(b"\x40signing-key\0hs256\0");
    shell
}

const REPLACE: [&str; 4] = ["account", "end-sessions", "--all", "--new-signing-key"];

#[test]
fn a_damaged_signing_key_is_replaced_by_a_command_that_asks_and_is_audited() {
    let shell = with_damaged_signing_key();
    let step = step_of_verify(&shell);
    assert!(step.contains("account end-sessions --all --new-signing-key"), "{step}");
    let job = blocked(&shell, &["rotate", "data"]);
    let asked = shell.run(&REPLACE);
    assert!(asked.code == 2 && asked.stderr.contains("--yes"), "{asked:?}");
    let done = shell.json(&[&REPLACE[..], &["--yes"]].concat());
    assert_eq!((&done["ended"], &done["new_signing_key"]), (&json!(1), &json!(true)));
    assert_eq!(shell.json(&["account", "sessions", "user_1"]), json!([]));
    let audit = shell.ok(&["audit"]);
    assert!(audit.contains("signing-key"), "{audit}");
    goes_on(&shell, &job);
}

#[test]
fn a_signing_key_is_replaced_behind_a_server_and_at_its_store() {
    for is_remote in [false, true] {
        let shell = with_damaged_signing_key();
        let server = Server::start(&shell, &[]);
        let key = shell.json(&["api-key", "create", "k", "--right", "admin", "--right", "documented"]);
        let key = key["api_key"].as_str().unwrap();
        shell.write("k", key);
        let account = r#"{"linked_account_id":"user_1"}"#;
        let issue = || server.send("POST", "/api/v2/public/session-token", &[("x-api-key", key)], account).0;
        assert_eq!(issue(), 500);
        let remote = ["--url", server.text("url"), "--api-key-file", "k"];
        let at = if is_remote { &remote[..] } else { &[] };
        let asked = shell.run(&[at, &REPLACE].concat());
        assert!(asked.code == 2 && asked.stderr.contains("--yes"), "{asked:?}");
        let done = shell.run(&[at, &REPLACE, &["--yes"]].concat());
        assert_eq!(done.code, 0, "{done:?}");
        assert_eq!(issue(), 200);
    }
}

#[test]
fn an_explanation_says_that_an_inherited_value_cannot_be_read_and_what_to_do() {
    let shell = Shell::with_vault();
    shell.define("URL", "url");
    shell.ok(&["account", "create", "user_1"]);
    shell.ok_with("https://example.com", &["set", "URL"]);
    shell.damage(&[0x20]);
    let server = Server::start(&shell, &[]);
    let key = shell.json(&["api-key", "create", "k", "--right", "read"])["api_key"].clone();
    shell.write("k", key.as_str().unwrap());
    let remote = ["--url", server.text("url"), "--api-key-file", "k"];
    for at in [&[][..], &remote] {
        let ran = shell.run(&[at, &["explain", "URL", "--account", "user_1"]].concat());
        assert_eq!(ran.code, 5, "{ran:?}");
        let org = ran.stdout.lines().find(|line| line.starts_with("org")).unwrap();
        assert!(org.ends_with("unreadable"), "{ran:?}");
        assert!(ran.stderr.contains("`strongroom undo URL --replace-damaged`"), "{ran:?}");
    }
}

#[test]
fn a_damaged_list_of_the_sessions_of_an_account_that_is_gone_is_cleared_and_that_is_said() {
    for is_remote in [false, true] {
        let shell = filled();
        shell.plant(b"\x40account-session\0gone\0");
        let server = is_remote.then(|| Server::start(&shell, &[]));
        if server.is_some() {
            let key = shell.json(&["api-key", "create", "k", "--right", "admin"]);
            shell.write("k", key["api_key"].as_str().unwrap());
        }
        let url = server.as_ref().map(|server| server.text("url").to_owned()).unwrap_or_default();
        let remote = ["--json", "--url", &url, "--api-key-file", "k"];
        let at = if is_remote { &remote[..] } else { &remote[..1] };
        let end = [at, &["account", "end-sessions", "gone"]].concat();
        let done: Value = serde_json::from_str(&shell.ok(&end)).unwrap();
        assert_eq!((&done["ended"], &done["list_cleared"]), (&0.into(), &true.into()), "{done}");
        assert_eq!(shell.run(&end).code, 3, "now there is nothing to end");
        drop(server);
        shell.ok(&["verify"]);
    }
}

#[test]
fn a_step_names_the_org_and_environment_of_its_row_unless_the_command_worked_there() {
    let shell = filled();
    let prod = ["--environment", "prod"];
    shell.ok(&[&prod[..], &["define", "URL", "--format", "url"]].concat());
    shell.ok_with("https://example.com/prod", &[&prod[..], &["set", "URL"]].concat());
    // Its key comes before that of `test`.
    shell.damage(&[0x20]);
    let place = "--org 000000000000000000000001 --environment prod ";
    let elsewhere = format!("`strongroom {place}undo URL --replace-damaged`");
    let step = step_of_verify(&shell);
    assert!(step.contains(&elsewhere), "{step}");
    let there = shell.run(&[&prod[..], &["verify"]].concat());
    assert!(there.stderr.contains("`strongroom undo URL --replace-damaged`"), "{there:?}");

    let server = Server::start(&shell, &[]);
    let key = shell.json(&["api-key", "create", "k", "--right", "operate"]);
    shell.write("k", key["api_key"].as_str().unwrap());
    let remote = shell.run(&["--url", server.text("url"), "--api-key-file", "k", "verify"]);
    assert!(remote.stderr.contains("where the store is") && remote.stderr.contains(&elsewhere), "{remote:?}");
}

#[test]
fn each_finding_has_a_line_with_the_whole_command_for_its_row() {
    let shell = with_connection();
    shell.damage(b"\x20\x01user_1\0");
    shell.damage(b"\x32user_1\0crm\x01work\0");
    let ran = shell.run(&["verify"]);
    let steps: Vec<_> = ran.stderr.lines().filter(|line| line.starts_with("next: `strongroom ")).collect();
    let [value, credential] = steps.as_slice() else { panic!("{ran:?}") };
    assert!(value.contains("`strongroom undo URL --replace-damaged --account user_1`"), "{value}");
    assert!(value.contains("`strongroom delete URL --purge --account user_1`"), "{value}");
    let place = "--account user_1 --app crm --connection work` ";
    assert!(credential.contains(&format!("`strongroom credential undo token --replace-damaged {place}sets")));
    assert!(credential.contains(&format!("`strongroom credential delete token --purge {place}deletes")));
}

#[test]
fn a_step_of_a_job_or_a_shred_names_only_what_it_works_on() {
    let shell = filled();
    shell.ok(&["--environment", "prod", "define", "URL", "--format", "url"]);
    // The keyring of `prod`.
    shell.damage(&[0x01]);
    let step = step_of_verify(&shell);
    let shred = "`strongroom --org 000000000000000000000001 shred environment prod`";
    assert!(step.contains(shred) && step.contains("`strongroom job retry ID`"), "{step}");
}

#[test]
fn a_question_names_the_environment_behind_a_server_and_at_its_store() {
    let shell = filled();
    shell.ok(&["--environment", "prod", "account", "create", "user_1"]);
    let server = Server::start(&shell, &[]);
    let create = ["--environment", "prod", "api-key", "create", "k", "--right", "read", "--right", "admin"];
    let key = shell.json(&create);
    shell.write("k", key["api_key"].as_str().unwrap());
    let remote = ["--url", server.text("url"), "--api-key-file", "k"];
    for at in [&["--environment", "prod"][..], &remote] {
        let asked = shell.run(&[at, &["account", "delete", "user_1"]].concat());
        assert!(asked.code == 2 && asked.stderr.contains(", in environment prod"), "{asked:?}");
    }
}

#[test]
fn what_is_not_damaged_is_not_replaced_as_damaged() {
    for is_remote in [false, true] {
        let shell = filled();
        shell.ok_with("https://example.com/2", &["set", "URL"]);
        shell.ok_with("hunter3", &["credential", "set", "password", "--account", "user_1"]);
        let server = Server::start(&shell, &[]);
        let key = shell.json(&["api-key", "create", "k", "--right", "read", "--right", "write"]);
        shell.write("k", key["api_key"].as_str().unwrap());
        let remote = ["--url", server.text("url"), "--api-key-file", "k"];
        let at = if is_remote { &remote[..] } else { &[] };
        let newest = |words: &[&str]| shell.json(words)[0]["version"].as_str().unwrap().to_owned();
        for (noun, of) in [(&[][..], &["URL"][..]), (&["credential"], &["password", "--account", "user_1"])] {
            let history = [noun, &["history"], of].concat();
            let before = newest(&history);
            let first = shell.json(&history)[1]["version"].as_str().unwrap().to_owned();
            let undo = [noun, &["undo"], of].concat();
            let revert = [noun, &["revert"], of, &["--version", &first]].concat();
            for words in [undo, revert] {
                let refused = shell.run(&[at, &words, &["--replace-damaged", "--yes"]].concat());
                assert!(refused.code == 4 && refused.stderr.contains("is not damaged"), "{refused:?}");
            }
            assert_eq!(newest(&history), before);
        }
    }
}

const CONNECTION: [&str; 4] = ["--app", "crm", "--connection", "work"];

/// The same with a connection that has a credential.
fn with_connection() -> Shell {
    let shell = filled();
    shell.ok(&[&["account", "add-app", "user_1"], &CONNECTION[..]].concat());
    shell.ok_with("t", &[&["credential", "set", "token", "--account", "user_1"], &CONNECTION[..]].concat());
    shell
}

#[test]
fn only_a_damaged_connection_is_removed() {
    let shell = with_connection();
    shell.ok(&["account", "add-app", "user_1", "--app", "crm"]);
    shell.damage(b"\x31user_1\0crm\x01work\0");
    let step = step_of_verify(&shell);
    let removes = "`strongroom account remove-app user_1 --app crm --connection work` deletes";
    assert!(step.contains(removes), "{step}");
    shell.ok(&[&["account", "remove-app", "user_1", "--yes"], &CONNECTION[..]].concat());
    assert_eq!(shell.json(&["verify"])["clean"], true);
    assert!(shell.ok(&["account", "apps", "user_1"]).contains("crm"));
}

#[test]
fn a_lost_row_of_an_account_app_or_connection_is_made_again_with_all_that_is_kept_of_it() {
    let add = ["account", "add-app", "user_1"];
    let of_app = [&add[..], &CONNECTION].concat();
    let cases = [
        (&b"\x30user_1\0"[..], &["account", "create", "user_1"][..]),
        (b"\x31user_1\0default-app\0", &add),
        (b"\x31user_1\0crm\x01work\0", &of_app),
    ];
    for (row, words) in cases {
        let shell = with_connection();
        shell.take_away(row);
        let ran = shell.run(&["verify"]);
        let offers = ran.stderr.find(&format!("`strongroom {}` makes", words.join(" ")));
        assert!(offers.is_some() && offers < ran.stderr.find("--purge"), "{ran:?}");
        shell.ok(words);
        assert_eq!(shell.json(&["verify"])["clean"], true);
        let list = ["credential", "list", "--account", "user_1"];
        assert!(shell.ok(&list).contains("password"));
        assert!(shell.ok(&[&list[..], &CONNECTION].concat()).contains("token"));
        assert!(shell.ok(&["get", "URL", "--account", "user_1", "--reveal"]).contains("user.example"));
    }
}

#[test]
fn a_deleted_definition_whose_deletion_is_lost_comes_back_by_its_id() {
    let shell = filled();
    shell.define("OLD", "string");
    shell.ok(&["define", "OLD", "--change", "--description", "second"]);
    let id = shell.json(&["show", "OLD"])["id"].as_str().unwrap().to_owned();
    shell.ok(&["delete", "OLD", "--definition", "--yes"]);
    shell.take_away(&[0x50, 0x10]);
    let ran = shell.run(&["verify"]);
    let offers = ran.stderr.find(&format!("`strongroom undo {id} --definition --replace-damaged`"));
    assert!(offers.is_some() && offers < ran.stderr.find("--purge"), "{ran:?}");
    shell.ok(&["undo", &id, "--definition", "--replace-damaged"]);
    assert_eq!(shell.json(&["verify"])["clean"], true);
}

#[test]
fn a_name_of_which_nothing_else_is_left_is_freed_by_the_command_that_define_names() {
    let shell = Shell::with_vault();
    shell.define("A", "string");
    let id = shell.json(&["show", "A"])["id"].as_str().unwrap().to_owned();
    shell.take_away(&[0x10]);
    let refused = shell.run(&["define", "A", "--format", "string"]);
    let step = format!("`strongroom delete {id} --definition --purge`");
    assert!(refused.code == 4 && refused.stderr.contains(&step), "{refused:?}");
    shell.ok(&["delete", &id, "--definition", "--purge", "--yes"]);
    shell.define("A", "string");
    assert_eq!(shell.json(&["verify"])["clean"], true);
}

#[test]
fn what_is_left_of_a_deleted_value_whose_deletion_is_lost_is_purged() {
    let shell = filled();
    shell.ok(&["delete", "URL", "--yes"]);
    shell.take_away(&[0x50, 0x20, 0x00]);
    let swept = shell.run(&["verify", "--sweep", "--yes"]);
    assert!(swept.code == 5 && swept.stderr.contains("`strongroom delete URL --purge`"), "{swept:?}");
    shell.ok(&["delete", "URL", "--purge", "--yes"]);
    assert_eq!(shell.json(&["verify"])["clean"], true);
}

#[test]
fn a_vault_that_does_not_open_leads_to_another_key_or_to_a_backup() {
    let (header, slot, store) = ([0, 1], [0, 2], [0, 3]);
    for (row, says) in
        [(header, "`strongroom restore"), (slot, "the key of another slot"), (store, "`strongroom restore")]
    {
        let shell = filled();
        let key = shell.keys_with(&row).into_iter().find(|key| key.starts_with(&row)).unwrap();
        shell.plant_at(&key);
        for command in ["verify", "doctor"] {
            let ran = shell.run(&[command]);
            let said = ran.stdout + &ran.stderr;
            let leads = said.contains(says) && said.contains("restore --replaces-original");
            assert!(ran.code == 5 && leads && !said.contains("`strongroom verify`"), "{said}");
        }
    }
}

#[test]
fn a_store_without_its_header_is_not_said_to_hold_a_vault() {
    let shell = filled();
    shell.take_away_at(&[0, 1]);
    for command in ["verify", "init"] {
        let ran = shell.run(&[command]);
        let leads =
            ran.stderr.contains("holds no vault") && ran.stderr.contains("restore --replaces-original");
        assert!(ran.code == 6 && leads, "{ran:?}");
    }
}

#[test]
fn where_the_keys_of_the_environment_are_damaged_a_backup_is_made_and_another_environment_takes_notes() {
    let shell = Shell::with_vault();
    shell.ok(&["audit", "--on"]);
    for environment in ["prod", "test"] {
        shell.ok(&["--environment", environment, "define", "URL", "--format", "url"]);
    }
    // The keyring of `prod`.
    shell.damage(&[0x01]);
    let prod = ["--environment", "prod"];
    let run = |words: &[&str]| shell.run(&[&prod[..], words].concat());
    let made = run(&["backup", "vault.backup"]);
    assert!(made.code == 0 && made.stderr.contains("not noted in the audit"), "{made:?}");
    for words in
        [&["slot", "add", "--new-root-key-file", "k2"][..], &["rotate", "data", "--all"], &["audit", "--off"]]
    {
        let refused = run(words);
        assert!(refused.code == 5 && refused.stderr.contains("--environment test"), "{refused:?}");
    }
    assert!(!shell.path("k2").exists());
    shell.ok(&["slot", "add", "--new-root-key-file", "k2"]);
}

#[test]
fn a_job_that_nobody_can_read_is_named_with_the_command_that_deletes_it() {
    let shell = filled();
    shell.plant_beside(&[0, 4], &[b"test\0", &[9; 12][..]].concat());
    let ran = shell.run(&["job", "list"]);
    assert!(ran.code == 5 && ran.stderr.contains("`strongroom verify --sweep --unreadable`"), "{ran:?}");
    shell.ok(&["verify", "--sweep", "--unreadable", "--yes"]);
    shell.ok(&["job", "list"]);
}

#[test]
fn a_shred_that_was_planted_where_nothing_is_is_finished_by_the_command_that_verify_names() {
    let shell = filled();
    shell.plant_beside(&[0, 4], &[b"ghost\0", &[0; 12][..]].concat());
    let step = step_of_verify(&shell);
    assert!(step.contains(" shred environment ghost`"), "{step}");
    shell.ok(&["shred", "environment", "ghost", "--yes"]);
    assert_eq!(shell.json(&["verify"])["clean"], true);
    assert_eq!(shell.run(&["shred", "environment", "ghost", "--yes"]).code, 3);
}

#[test]
fn a_definition_that_is_purged_by_its_id_is_not_warned_about() {
    let shell = filled();
    let id = shell.json(&["show", "URL"])["id"].as_str().unwrap().to_owned();
    shell.ok(&["define", "URL", "--change", "--description", "second"]);
    shell.ok(&["delete", "URL", "--definition", "--yes"]);
    shell.damage(&[0x50, 0x10]);
    let purged = shell.run(&["delete", &id, "--definition", "--purge", "--yes"]);
    assert!(purged.code == 0 && !purged.stderr.contains("warning"), "{purged:?}");
}

#[test]
fn what_is_left_of_each_connection_of_an_app_is_listed_and_removed_without_its_name() {
    for is_remote in [false, true] {
        let shell = filled();
        for connection in ["work", "home"] {
            let place = ["--app", "crm", "--connection", connection];
            shell.ok(&[&["account", "add-app", "user_1"], &place[..]].concat());
            let set = ["credential", "set", "token", "--account", "user_1"];
            shell.ok_with("t", &[&set, &place[..]].concat());
        }
        shell.take_away(b"\x31user_1\0crm\x01work\0");
        let server = is_remote.then(|| Server::start(&shell, &[]));
        if server.is_some() {
            let key = shell.json(&["api-key", "create", "k", "--right", "read", "--right", "write"]);
            shell.write("k", key["api_key"].as_str().unwrap());
        }
        let url = server.as_ref().map(|server| server.text("url").to_owned()).unwrap_or_default();
        let remote = ["--json", "--url", &url, "--api-key-file", "k"];
        let at = if is_remote { &remote[..] } else { &remote[..1] };
        let remove = |more: &[&str]| {
            let remove = ["account", "remove-app", "user_1", "--app", "crm", "--purge"];
            shell.run(&[at, &remove, more].concat())
        };
        let listed = |ran: &str| -> Vec<String> {
            let view: Value = serde_json::from_str(ran).unwrap();
            let shown = |one: &Value| format!("{} {}", one["connection"].as_str().unwrap(), one["left"]);
            view["connections"].as_array().unwrap().iter().map(shown).collect()
        };
        let asked = remove(&[]);
        assert!(asked.code == 2 && asked.stderr.contains("what is left of connection work"), "{asked:?}");
        let dry = remove(&["--dry-run"]);
        assert_eq!(
            (dry.code, listed(&dry.stdout)),
            (0, vec!["home false".to_owned(), "work true".to_owned()])
        );
        let only = remove(&["--connection", "work", "--dry-run"]);
        assert_eq!(listed(&only.stdout), ["work true"]);
        let done = remove(&["--yes"]);
        assert_eq!(
            (done.code, listed(&done.stdout)),
            (0, vec!["home false".to_owned(), "work true".to_owned()])
        );
        assert_eq!(remove(&["--yes"]).code, 3);
        drop(server);
        assert_eq!(shell.json(&["verify"])["clean"], true);
    }
}
