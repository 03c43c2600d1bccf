//! A directory of its own in which the binary is run as a user would run it.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[cfg(unix)]
pub(crate) mod server;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use futures_executor::block_on;
use serde_json::Value;
use strongroom::store::{Key, KeyRange, ReadBatch, Scan, Store as _, WriteBatch};
use strongroom_redb::RedbStore;
use tempfile::TempDir;

/// A working directory, also the home of its user.
pub(crate) struct Shell {
    directory: TempDir,
    variables: Vec<(String, String)>,
    /// The words of each command that was run.
    typed: Mutex<Vec<Vec<String>>>,
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Shell {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), variables: Vec::new(), typed: Mutex::default() }
    }

    /// With a vault at the default place.
    pub(crate) fn with_vault() -> Self {
        let shell = Self::new();
        shell.ok(&["init"]);
        shell
    }

    /// The same with a variable in the environment.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The default store.
    pub(crate) fn store(&self) -> PathBuf {
        self.path(".local/share/strongroom/vault")
    }

    /// The default key file of the default store.
    pub(crate) fn key(&self) -> PathBuf {
        self.key_of(".local/share/strongroom/vault")
    }

    /// The default key file of a store or backup in this directory.
    pub(crate) fn key_of(&self, name: &str) -> PathBuf {
        let directory = self.directory.path().canonicalize().unwrap();
        let below = directory.strip_prefix("/").unwrap().join(name);
        self.path(&format!(".config/strongroom/keys/{}.key", below.display()))
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The binary, in this directory and with nothing of the environment of the tests but `PATH`.
    pub(crate) fn command(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let words = arguments.iter().map(|word| word.as_ref().to_string_lossy().into_owned());
        self.typed.lock().unwrap().push(words.collect());
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command.args(arguments).current_dir(self.directory.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.directory.path());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Whether a command was run whose words begin like this, as the name of its manual page has them.
    pub(crate) fn has_run(&self, page: &str) -> bool {
        let is_value = |word: &str| ["--org", "--store", "--environment", "--wait"].contains(&word);
        self.typed.lock().unwrap().iter().any(|words| {
            let mut words = words.iter().map(String::as_str).peekable();
            while let Some(option) = words.next_if(|word| word.starts_with("--")) {
                let _ = is_value(option).then(|| words.next());
            }
            let line = words.collect::<Vec<_>>().join("-");
            line.strip_prefix(page).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        })
    }

    pub(crate) fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Ran {
        self.pipe("", arguments)
    }

    /// Runs it with these bytes on standard input.
    pub(crate) fn pipe(&self, input: impl AsRef<[u8]>, arguments: &[impl AsRef<OsStr>]) -> Ran {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that does not read its input closes it, and that is no failure of the test.
        let _ = child.stdin.take().unwrap().write_all(input.as_ref());
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs what must succeed and answers its standard output.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        self.ok_with("", arguments)
    }

    pub(crate) fn ok_with(&self, input: impl AsRef<[u8]>, arguments: &[&str]) -> String {
        let ran = self.pipe(input, arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran.stdout
    }

    /// Runs what must succeed with `--json` and reads its answer.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[&["--json"], arguments].concat())).unwrap()
    }

    /// Flips a bit of the first row of its org whose kind is this, as FORMAT.md has it.
    pub(crate) fn damage(&self, kind: &[u8]) {
        self.change_row(kind, |mut row| {
            *row.last_mut().unwrap() ^= 1;
            Some(row)
        });
    }

    /// Gives the version of a later release to the first row of its org whose kind is this.
    pub(crate) fn write_later(&self, kind: &[u8]) {
        self.change_row(kind, |mut row| {
            row[1] += 1;
            Some(row)
        });
    }

    /// Takes the first row of its org away whose kind is this.
    pub(crate) fn take_away(&self, kind: &[u8]) {
        self.change_row(kind, |_| None);
    }

    fn change_row(&self, kind: &[u8], change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
        self.change_rows(kind, |key, row| (key, change(row)));
    }

    /// Puts junk at a key of its org that ends so.
    pub(crate) fn plant(&self, end: &[u8]) {
        // Of the keyring, the kind is all that its key ends with.
        self.change_rows(&[0x01], |key, _| {
            let (_, tenant) = key.as_bytes().split_last().unwrap();
            (Key::from([tenant, end].concat()), Some(b"junk".to_vec()))
        });
    }

    /// The same at this very key.
    pub(crate) fn plant_at(&self, key: &[u8]) {
        self.change_rows(&[0x01], |_, _| (Key::from(key), Some(b"junk".to_vec())));
    }

    /// Changes the first row of the store whose key starts so.
    pub(crate) fn change_at(&self, start: &[u8], change: impl FnOnce(&mut Vec<u8>)) {
        let store = RedbStore::open(self.store()).unwrap();
        let read = ReadBatch { gets: Vec::new(), scans: vec![Scan::new(KeyRange::all(), 1_000)] };
        let rows = block_on(store.read(&read)).unwrap().scans.remove(0).rows;
        let (key, mut row) = rows.into_iter().find(|(key, _)| key.as_bytes().starts_with(start)).unwrap();
        change(&mut row.value);
        let mut batch = WriteBatch::default();
        batch.put(key, row.value);
        block_on(store.commit(Arc::new(batch))).unwrap();
        block_on(store.close()).unwrap();
    }

    /// Takes the first row of the store away whose key starts so.
    pub(crate) fn take_away_at(&self, start: &[u8]) {
        let key = self.keys_with(start).into_iter().find(|key| key.starts_with(start)).unwrap();
        self.change_rows(&[0x01], |_, _| (Key::from(key.as_slice()), None));
    }

    /// The same at a key that has the org, with its final byte, between these.
    pub(crate) fn plant_beside(&self, start: &[u8], end: &[u8]) {
        self.change_rows(&[0x01], |key, _| {
            let org = key.as_bytes().get(1..26).unwrap();
            (Key::from([start, org, end].concat()), Some(b"junk".to_vec()))
        });
    }

    /// Notes that its org is being restored, as a restore that was cut short leaves it.
    pub(crate) fn note_restore(&self) {
        self.change_rows(&[0x01], |key, _| {
            let org = key.as_bytes().get(1..26).unwrap();
            let note = [b"\xd7\x01\x13\xa1\x00\x50".as_slice(), &[7; 16]].concat();
            (Key::from([&[0x00, 0x12], org].concat()), Some(note))
        });
    }

    /// The keys of all rows whose key holds this.
    pub(crate) fn keys_with(&self, part: &[u8]) -> Vec<Vec<u8>> {
        let store = RedbStore::open(self.store()).unwrap();
        let read = ReadBatch { gets: Vec::new(), scans: vec![Scan::new(KeyRange::all(), 1_000)] };
        let rows = block_on(store.read(&read)).unwrap().scans.remove(0).rows;
        block_on(store.close()).unwrap();
        let keys = rows.into_iter().map(|(key, _)| key.as_bytes().to_vec());
        keys.filter(|key| key.windows(part.len()).any(|found| found == part)).collect()
    }

    fn change_rows(&self, kind: &[u8], change: impl FnOnce(Key, Vec<u8>) -> (Key, Option<Vec<u8>>)) {
        let store = RedbStore::open(self.store()).unwrap();
        let read = ReadBatch { gets: Vec::new(), scans: vec![Scan::new(KeyRange::all(), 1_000)] };
        let rows = block_on(store.read(&read)).unwrap().scans.remove(0).rows;
        let tenant_len = 1 + 24 + 1 + "test".len() + 1;
        let is_one = |key: &[u8]| key.get(tenant_len..).is_some_and(|rest| rest.starts_with(kind));
        let (key, row) = rows.into_iter().find(|(key, _)| is_one(key.as_bytes())).unwrap();
        let mut batch = WriteBatch::default();
        match change(key, row.value) {
            (key, Some(row)) => batch.put(key, row),
            (key, None) => batch.delete(key),
        }
        block_on(store.commit(Arc::new(batch))).unwrap();
        block_on(store.close()).unwrap();
    }

    pub(crate) fn define(&self, name: &str, format: &str) {
        self.ok(&["define", name, "--format", format]);
    }
}

impl Ran {
    /// The error that is printed with `--json`, on the last line.
    pub(crate) fn error(&self) -> Value {
        serde_json::from_str(self.stderr.lines().last().unwrap()).unwrap()
    }
}
