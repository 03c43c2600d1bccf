//! Directories whose entries are on the disk.

use std::fs::{DirBuilder, File};
use std::io;
use std::path::Path;

/// Makes a directory with its parents, each durable in the one above and for its owner only. One that is there stays as
/// it is.
///
/// # Errors
/// What the file system says.
pub fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = parent(path);
    create_directory(parent)?;
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_entries(parent),
    }
}

/// Makes the names in a directory durable.
///
/// # Errors
/// What the file system says.
pub fn sync_entries(path: &Path) -> io::Result<()> {
    // Elsewhere a directory cannot be opened as a file.
    if cfg!(unix) {
        return File::open(path)?.sync_all();
    }
    Ok(())
}

/// The directory that holds `path`.
#[must_use]
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
