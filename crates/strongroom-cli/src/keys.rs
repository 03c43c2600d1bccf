//! The keys of a vault, from root key files, passphrase files and a prompt.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use strongroom::{Error, RawKey, Secret, Unlock};
use zeroize::Zeroizing;

use crate::config::{ApiKeySource, Config, KeySource};
use crate::failure::{Exit, Failure, repeatable, word};
use crate::files::{NewFile, places, refuse_foreign, refuse_foreign_file};
use crate::input;
use crate::output::Output;
use crate::passphrase::NewPassphrase;

/// A key that can be used more than once: to open the vault, and to keep its slot under a new root key.
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
                let text = read_text(file, OTHER_SLOT, output)?;
                let key = without_line_end(text.expose()).parse::<RawKey>();
                let text = key.map_err(|error| of_file(file, &error))?.dangerously_export();
                Ok(Self { kind: Kind::RawKey, text })
            }
            KeySource::PassphraseFile(file) => {
                let text = read_text(file, OTHER_SLOT, output)?;
                let passphrase = without_line_end(text.expose());
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

/// The key of an existing vault.
pub(crate) fn existing(config: &Config, output: &Output) -> Result<Unlock, Failure> {
    existing_key(config, output)?.unlock()
}

/// The key of an existing vault from its file, without asking.
pub(crate) fn existing_unattended(config: &Config) -> Result<Unlock, Failure> {
    let source = match &config.key {
        Some(source) => source.clone(),
        None => {
            let file = config.default_key_file()?;
            KeySource::RootKeyFile(file.ok_or_else(|| Failure::usage("no key was given for the vault"))?)
        }
    };
    Key::read(&source, &Output::new(true))?.unlock()
}

/// The same, as a key that can be used more than once.
pub(crate) fn existing_key(config: &Config, output: &Output) -> Result<Key, Failure> {
    if let Some(source) = &config.key {
        return Key::read(source, output);
    }
    let default = config.default_key_file()?;
    if let Some(file) = default.as_ref().filter(|file| file.exists()) {
        return Key::read(&KeySource::RootKeyFile(file.clone()), output);
    }
    if input::can_prompt() {
        // Typed once, however often a command opens the vault.
        let typed = match config.typed_passphrase.get() {
            Some(typed) => typed,
            None => {
                let typed = input::prompt("Passphrase: ")?;
                config.typed_passphrase.get_or_init(|| typed)
            }
        };
        return Ok(Key { kind: Kind::Passphrase, text: Secret::from(typed.expose()) });
    }
    let failure = Failure::usage("no key was given for the vault");
    Err(match default {
        Some(file) => failure.next(format!(
            "give the key of any slot with --root-key-file or --passphrase-file; there is no key file {}",
            file.display()
        )),
        None => failure.next("give --root-key-file or --passphrase-file"),
    })
}

/// The key of a new vault: the named one, otherwise a root key file, created if there is none.
pub(crate) fn for_new_vault(config: &Config, new: NewPassphrase, output: &Output) -> Result<Unlock, Failure> {
    let file = match &config.key {
        Some(KeySource::RootKeyFile(file)) => Some(file.clone()),
        Some(source) => return read_new(source, new, output),
        None => config.default_key_file()?,
    };
    match file {
        Some(file) => read_or_make(file, output),
        None if !config.store.is_kept() => for_vault_in_memory(config, output),
        None => Err(Failure::usage("no key was given for the new vault")
            .next("give --root-key-file, which is created if there is none, or --passphrase-file")),
    }
}

/// The key of a vault in memory, which ends with the process; so the key may end with it too.
pub(crate) fn for_vault_in_memory(config: &Config, output: &Output) -> Result<Unlock, Failure> {
    match &config.key {
        Some(source) => read(source, output),
        None => Ok(Unlock::raw_key(RawKey::generate()?)),
    }
}

/// The key of a new slot in a file: a root key, created if there is none, or a passphrase.
pub(crate) fn for_slot(source: KeySource, new: NewPassphrase, output: &Output) -> Result<Unlock, Failure> {
    match source {
        KeySource::RootKeyFile(file) => read_or_make(file, output),
        source => read_new(&source, new, output),
    }
}

/// A new passphrase, typed twice.
pub(crate) fn asked_twice(new: NewPassphrase) -> Result<Secret, Failure> {
    if !input::can_prompt() {
        return Err(
            Failure::usage("a passphrase can only be typed on a terminal").next("name a file that holds it")
        );
    }
    let passphrase = input::prompt("New passphrase: ")?;
    if passphrase.is_empty() {
        return Err(Failure::usage("an empty passphrase protects nothing"));
    }
    new.check(&passphrase)?;
    if input::prompt("Once more: ")?.expose() != passphrase.expose() {
        return Err(
            Failure::usage("the two passphrases differ").next("nothing was changed; run the command again")
        );
    }
    Ok(passphrase)
}

fn read_or_make(file: PathBuf, output: &Output) -> Result<Unlock, Failure> {
    if !file.exists() {
        make_key_file(&file)?;
        output.note(&format!(
            "created the root key file {}: keep a copy, nothing can be read without it",
            file.display()
        ));
    }
    read(&KeySource::RootKeyFile(file), output)
}

/// The key for a backup of one org, created if there is none. Returns whether it was created.
pub(crate) fn of_backup(file: &Path, output: &Output) -> Result<(Unlock, bool), Failure> {
    let is_new = !file.exists();
    if is_new {
        make_key_file(file)?;
    }
    Ok((root_key(file, output)?, is_new))
}

/// The key in a file.
pub(crate) fn root_key(file: &Path, output: &Output) -> Result<Unlock, Failure> {
    read(&KeySource::RootKeyFile(file.to_owned()), output)
}

/// The passphrase in a file.
pub(crate) fn passphrase(file: &Path, output: &Output) -> Result<Unlock, Failure> {
    read(&KeySource::PassphraseFile(file.to_owned()), output)
}

/// The API key of a server; one line end at the end of its file is ignored.
pub(crate) fn api_key(source: &ApiKeySource, output: &Output) -> Result<Secret, Failure> {
    let (text, place) = match source {
        ApiKeySource::File(file) => (&read_text(file, API_KEY, output)?, file.display().to_string()),
        ApiKeySource::Given(key) => (key, "STRONGROOM_API_KEY".to_owned()),
    };
    let key = without_line_end(text.expose());
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::new(Exit::Key, format!("{place} holds no API key"))
            .next("`strongroom api-key create` makes one, and shows it once"));
    }
    Ok(Secret::from(key))
}

/// A key that has not opened anything yet.
fn read_new(source: &KeySource, new: NewPassphrase, output: &Output) -> Result<Unlock, Failure> {
    let key = Key::read(source, output)?;
    if key.kind == Kind::Passphrase {
        new.check(&key.text)?;
    }
    key.unlock()
}

fn read(source: &KeySource, output: &Output) -> Result<Unlock, Failure> {
    Key::read(source, output)?.unlock()
}

/// `if_lost` is the next step if there is no such file.
fn read_text(file: &Path, if_lost: &str, output: &Output) -> Result<Secret, Failure> {
    let unreadable = |error: io::Error| {
        let shown = repeatable::file(file);
        Failure::usage(format!("{shown} could not be read: {error}")).next(match error.kind() {
            io::ErrorKind::PermissionDenied => "run this as its owner, or name a file of your own",
            _ => if_lost,
        })
    };
    refuse_foreign(file, Exit::Key)?;
    let handle = File::open(file).map_err(unreadable)?;
    refuse_foreign_file(&handle, file, Exit::Key)?;
    if others_can_read(&handle).map_err(unreadable)? {
        let (shown, named) = (file.display(), word(&file.display().to_string()));
        output.warn(&format!("{shown} can be read by other users: run `chmod 600 {named}`"));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES_MAX + 1));
    let limit = KEY_FILE_BYTES_MAX as u64 + 1;
    handle.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > KEY_FILE_BYTES_MAX {
        return Err(Failure::new(Exit::Key, format!("{} is too long to hold a key", file.display())));
    }
    input::text(bytes).ok_or_else(|| Failure::new(Exit::Key, format!("{} is not UTF-8", file.display())))
}

/// Creates a key file that only its owner can read, durable before it is used.
fn make_key_file(file: &Path) -> Result<(), Failure> {
    let key = RawKey::generate()?.dangerously_export();
    let write = || {
        places::make_own_dirs(file)?;
        let new = NewFile::beside(file)?;
        new.file().write_all(key.expose().as_bytes())?;
        new.file().write_all(b"\n")?;
        new.publish(file)
    };
    write().map_err(|error: io::Error| {
        Failure::usage(format!("the root key file {} could not be created: {error}", repeatable::file(file)))
            .next("name a file in a directory that you may write to")
    })
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

fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

fn of_file(file: &Path, error: &Error) -> Failure {
    Failure::new(Exit::Key, format!("{} holds no root key: {error}", file.display()))
        .next("name the file of the root key with --root-key-file, or a passphrase with --passphrase-file")
}

const OTHER_SLOT: &str = "check the path; if the file is lost, open the vault with the key of another slot: \
                          --root-key-file or --passphrase-file";
const API_KEY: &str = "check the path; `strongroom api-key create` makes an API key, and shows it once";

const KEY_FILE_BYTES_MAX: usize = 64 << 10;
