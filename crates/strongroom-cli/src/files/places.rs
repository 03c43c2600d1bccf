//! Where this user's configuration, keys and stores are. Never the working directory: anyone who can write there could
//! choose the store and its key.

use std::env;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};
use strongroom_committer::create_directory;

use super::new_file::directory_of;

/// The configuration file.
pub(crate) fn config_file() -> Option<PathBuf> {
    Some(config_dir()?.join("config.toml"))
}

/// The store that a command works on unless it names another.
pub(crate) fn default_store() -> Option<PathBuf> {
    Some(data_dir()?.join("vault"))
}

/// The key file of a store or backup: in the configuration directory, in a directory path that repeats the path of the
/// store or backup, so that each place has its own.
///
/// # Errors
/// If the directory of `place` does not exist, or there is no working directory.
pub(crate) fn key_file(place: &Path) -> io::Result<Option<PathBuf>> {
    file_for(place, ".key")
}

/// The files for the mark of a store: beside its key file, whichever key opens it, and where that would be if no link
/// were followed. A link put in the place of the store leads to another key file, but not away from the mark.
///
/// # Errors
/// Those of [`key_file`].
pub(crate) fn mark_files(place: &Path) -> io::Result<Vec<PathBuf>> {
    let whole = std::path::absolute(place)?;
    let as_typed =
        config_dir().map(|dir| file_below(dir.join("keys"), directory_of(&whole), &whole, ".mark"));
    let mut files: Vec<PathBuf> = file_for(place, ".mark")?.into_iter().collect();
    files.extend(as_typed.filter(|file| !files.contains(file)));
    Ok(files)
}

/// The file for the mark of a store on a server, named by a hash of its address, which can be longer than a file name.
pub(crate) fn mark_file_of_address(address: &str) -> Option<PathBuf> {
    let hash = Sha256::digest(address.as_bytes());
    let hash: String = hash.iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let place = address.split_once("://").map_or(address, |(_, place)| place);
    let shown = |char: char| if char.is_ascii_alphanumeric() || char == '.' { char } else { '-' };
    let place: String = place.chars().take(SHOWN_CHARS).map(shown).collect();
    Some(config_dir()?.join("keys").join("served").join(format!("{place}-{hash}.mark")))
}

fn file_for(place: &Path, extension: &str) -> io::Result<Option<PathBuf>> {
    let Some(keys) = config_dir().map(|dir| dir.join("keys")) else { return Ok(None) };
    // Links are resolved, also in the directory, so that they lead to the same key.
    let place = std::path::absolute(place)?;
    let place = if place.is_symlink() { fs::canonicalize(&place).unwrap_or(place) } else { place };
    let directory =
        fs::canonicalize(directory_of(&place)).or_else(|_| std::path::absolute(directory_of(&place)))?;
    Ok(Some(file_below(keys, &directory, &place, extension)))
}

/// The file for a place, below the names of its directories.
fn file_below(mut file: PathBuf, directory: &Path, place: &Path, extension: &str) -> PathBuf {
    for component in directory.components() {
        match component {
            Component::Normal(name) => file.push(name),
            Component::Prefix(prefix) => {
                file.push(prefix.as_os_str().to_string_lossy().replace([':', '\\', '?'], "_"));
            }
            Component::RootDir | Component::CurDir | Component::ParentDir => {}
        }
    }
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(extension);
    file.join(name)
}

/// The file for the first API key of a vault.
pub(crate) fn first_api_key(store_id: &str) -> Option<PathBuf> {
    Some(config_dir()?.join("api-keys").join(store_id))
}

/// The file in which this user allows the file of a project, at this place and with this text.
pub(crate) fn project_allowance(place: &Path, text: &str) -> Option<PathBuf> {
    let hash = Sha256::new().chain_update(place.as_os_str().as_encoded_bytes()).chain_update([0]);
    let hash = hash.chain_update(text).finalize();
    let name: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(config_dir()?.join("projects").join(name))
}

/// Creates the missing directories of a file, durably and for their owner only, if they are below this program's own
/// directories: the only key of a vault may be in them.
pub(crate) fn make_own_dirs(file: &Path) -> io::Result<()> {
    let directory = directory_of(file);
    let is_own = [config_dir(), data_dir()].into_iter().flatten().any(|own| directory.starts_with(own));
    if is_own { create_directory(directory) } else { Ok(()) }
}

fn config_dir() -> Option<PathBuf> {
    Some(user_dir("XDG_CONFIG_HOME", "APPDATA", ".config")?.join("strongroom"))
}

fn data_dir() -> Option<PathBuf> {
    Some(user_dir("XDG_DATA_HOME", "LOCALAPPDATA", ".local/share")?.join("strongroom"))
}

fn user_dir(variable: &str, windows_variable: &str, in_home: &str) -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if cfg!(windows) {
        return absolute(windows_variable);
    }
    absolute(variable).or_else(|| Some(env::home_dir().filter(|home| home.is_absolute())?.join(in_home)))
}

/// How much of the hash of an address, and of the address, is in the name of its mark.
const HASH_BYTES: usize = 16;
const SHOWN_CHARS: usize = 40;
