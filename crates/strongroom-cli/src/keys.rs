//! What opens a vault: root key files, passphrase files and a prompt.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use strongroom::{Error, RawKey, Secret, Unlock};
use zeroize::Zeroizing;

use crate::config::{Config, KeySource};
use crate::failure::{Exit, Failure};
use crate::input;
use crate::output::Output;

/// A key that can be presented more than once: to open the vault, and to keep its slot under a new root key.
#[derive(Debug)]
pub(crate) struct Key {
    kind: Kind,
    text: Secret,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    RawKey,
    Passphrase,
}

impl Key {
    /// The key in a file.
    pub(crate) fn read(source: &KeySource, output: &Output) -> Result<Self, Failure> {
        match source {
            KeySource::RootKeyFile(file) => {
                let text = read_text(file, output)?;
                let key = without_newline(text.expose());
                let key = key.strip_suffix('\r').unwrap_or(key).parse::<RawKey>();
                let text = key.map_err(|error| of_file(file, &error))?.dangerously_export();
                Ok(Self { kind: Kind::RawKey, text })
            }
            KeySource::PassphraseFile(file) => {
                let text = read_text(file, output)?;
                let passphrase = without_newline(text.expose());
                if passphrase.is_empty() {
                    return Err(Failure::usage(format!("{} holds no passphrase", file.display())));
                }
                Ok(Self { kind: Kind::Passphrase, text: Secret::from(passphrase) })
            }
        }
    }

    pub(crate) fn unlock(&self) -> Result<Unlock, Failure> {
        Ok(match self.kind {
            Kind::RawKey => Unlock::raw_key(self.text.expose().parse()?),
            Kind::Passphrase => Unlock::passphrase(self.text.expose()),
        })
    }

    /// Whether both are the same key, however their files write it.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind && self.text.expose() == other.text.expose()
    }
}

/// What opens the vault that is there.
pub(crate) fn existing(config: &Config, output: &Output) -> Result<Unlock, Failure> {
    existing_key(config, output)?.unlock()
}

/// The same, to be presented again.
pub(crate) fn existing_key(config: &Config, output: &Output) -> Result<Key, Failure> {
    if let Some(source) = &config.key {
        return Key::read(source, output);
    }
    if let Some(file) = config.default_key_file().filter(|file| file.exists()) {
        return Key::read(&KeySource::RootKeyFile(file), output);
    }
    if input::can_prompt() {
        return Ok(Key { kind: Kind::Passphrase, text: input::prompt("Passphrase: ")? });
    }
    Err(Failure::usage("nothing was given that opens the vault")
        .next("give --root-key-file or --passphrase-file"))
}

/// What a new vault is made with: what was named, else a root key file, which is made if it is not there.
pub(crate) fn for_new_vault(config: &Config, output: &Output) -> Result<Unlock, Failure> {
    let file = match &config.key {
        Some(KeySource::RootKeyFile(file)) => Some(file.clone()),
        Some(source) => return read(source, output),
        None => config.default_key_file(),
    };
    let Some(file) = file else {
        if config.store.is_kept() {
            return Err(Failure::usage("nothing was named that the new vault is to be opened with")
                .next("give --root-key-file, which is made if it is not there, or --passphrase-file"));
        }
        // A store that is gone with the process needs a key for no longer.
        return Ok(Unlock::raw_key(RawKey::generate()?));
    };
    read_or_make(file, output)
}

/// What opens a new slot: a root key file, which is made if it is not there, a passphrase file, or a prompt.
pub(crate) fn for_slot(source: Option<KeySource>, output: &Output) -> Result<Unlock, Failure> {
    match source {
        Some(KeySource::RootKeyFile(file)) => read_or_make(file, output),
        Some(source) => read(&source, output),
        None => asked_twice().map(Unlock::passphrase),
    }
}

/// A new passphrase, typed twice.
pub(crate) fn asked_twice() -> Result<Secret, Failure> {
    if !input::can_prompt() {
        return Err(
            Failure::usage("a passphrase can be asked for on a terminal only").next("give a file with it")
        );
    }
    let passphrase = input::prompt("New passphrase: ")?;
    if passphrase.is_empty() {
        return Err(Failure::usage("an empty passphrase protects nothing"));
    }
    if input::prompt("Once more: ")?.expose() != passphrase.expose() {
        return Err(Failure::usage("the two passphrases differ"));
    }
    Ok(passphrase)
}

fn read_or_make(file: PathBuf, output: &Output) -> Result<Unlock, Failure> {
    if !file.exists() {
        make_key_file(&file)?;
        output.note(&format!(
            "made the root key file {}: keep a copy, without it nothing can be read",
            file.display()
        ));
    }
    read(&KeySource::RootKeyFile(file), output)
}

/// The key of a backup of one org, which is made if it is not there.
pub(crate) fn of_backup(file: &Path, output: &Output) -> Result<Unlock, Failure> {
    if !file.exists() {
        make_key_file(file)?;
        output.note(&format!(
            "made the key file {}: the backup opens with it and nothing else, keep it apart from it",
            file.display()
        ));
    }
    root_key(file, output)
}

/// The key in a file.
pub(crate) fn root_key(file: &Path, output: &Output) -> Result<Unlock, Failure> {
    read(&KeySource::RootKeyFile(file.to_owned()), output)
}

/// The passphrase in a file.
pub(crate) fn passphrase(file: &Path, output: &Output) -> Result<Unlock, Failure> {
    read(&KeySource::PassphraseFile(file.to_owned()), output)
}

/// The API key in a file, with one newline at its end or none.
pub(crate) fn api_key(file: &Path, output: &Output) -> Result<Secret, Failure> {
    let text = read_text(file, output)?;
    let key = without_newline(text.expose());
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::new(Exit::Key, format!("{} holds no API key", file.display())));
    }
    Ok(Secret::from(key))
}

fn read(source: &KeySource, output: &Output) -> Result<Unlock, Failure> {
    Key::read(source, output)?.unlock()
}

fn read_text(file: &Path, output: &Output) -> Result<Secret, Failure> {
    let unreadable = |error: io::Error| {
        Failure::usage(format!("{} could not be read: {error}", file.display()))
            .next("check the path; `strongroom init` makes a vault, `strongroom api-key create` a key")
    };
    let handle = File::open(file).map_err(unreadable)?;
    if others_can_read(&handle).map_err(unreadable)? {
        output.warn(&format!("{0} can be read by other users: `chmod 600 {0}` ends that", file.display()));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES_MAX + 1));
    let limit = KEY_FILE_BYTES_MAX as u64 + 1;
    handle.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > KEY_FILE_BYTES_MAX {
        return Err(Failure::new(Exit::Key, format!("{} is too long to hold a key", file.display())));
    }
    input::text(bytes).ok_or_else(|| Failure::new(Exit::Key, format!("{} is not UTF-8", file.display())))
}

/// Makes a key file that only its owner can read, and sees to it that it is on the disk before it is used.
fn make_key_file(file: &Path) -> Result<(), Failure> {
    let key = RawKey::generate()?.dangerously_export();
    let write = || {
        let mut handle = private(OpenOptions::new().write(true).create_new(true)).open(file)?;
        handle.write_all(key.expose().as_bytes())?;
        handle.write_all(b"\n")?;
        handle.sync_all()?;
        sync_directory_of(file)
    };
    write().map_err(|error: io::Error| {
        Failure::usage(format!("the root key file {} could not be made: {error}", file.display()))
            .next("name another one with --root-key-file")
    })
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn others_can_read(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata()?;
    Ok(metadata.is_file() && metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn others_can_read(_: &File) -> io::Result<bool> {
    Ok(false)
}

/// Sees to it that the name of a new file is on the disk.
pub(crate) fn sync_directory_of(file: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return fs::File::open(parent)?.sync_all();
    }
    Ok(())
}

fn without_newline(text: &str) -> &str {
    text.strip_suffix('\n').unwrap_or(text)
}

fn of_file(file: &Path, error: &Error) -> Failure {
    Failure::new(Exit::Key, format!("{} holds no root key: {error}", file.display()))
}

const KEY_FILE_BYTES_MAX: usize = 64 << 10;
