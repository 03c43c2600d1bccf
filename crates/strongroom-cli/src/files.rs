//! Files that the command line writes.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file's path with a suffix.
pub(crate) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes the name of a new file durable.
pub(crate) fn sync_directory_of(file: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return fs::File::open(parent)?.sync_all();
    }
    Ok(())
}
