//! Whether another user could have prepared what is about to be read.

use std::fs;
use std::path::Path;

use super::new_file::directory_of;
use crate::failure::{Exit, Failure};

/// Fails if a file or directory belongs to another user or can be changed by one, or if one could replace it. Root is
/// not another user: it could read and change everything anyway. What does not exist yet only needs a safe directory.
pub(crate) fn refuse_foreign(path: &Path, exit: Exit) -> Result<(), Failure> {
    let directory = directory_of(path);
    let (real, real_directory) = (fs::canonicalize(path).ok(), fs::canonicalize(directory).ok());
    // A link is judged where it is and where it leads to: each end can be another user's.
    let beside_real = real.as_deref().map(directory_of);
    let all = [Some(directory), real_directory.as_deref(), beside_real, Some(path), real.as_deref()];
    for path in all.into_iter().flatten() {
        judge(path, exit)?;
    }
    // A store in a directory: its files were safe from others only since the directory is.
    if let Ok(entries) = fs::read_dir(path) {
        for entry in entries.flatten() {
            judge(&entry.path(), exit)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn judge(path: &Path, exit: Exit) -> Result<(), Failure> {
    use std::os::unix::fs::MetadataExt;

    let Ok(metadata) = path.symlink_metadata() else { return Ok(()) };
    let (owner, shown) = (metadata.uid(), path.display());
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        let message = format!("{shown} belongs to another user, with the id {owner}");
        return Err(Failure::new(exit, message).next("run this as that user, or use only files of your own"));
    }
    // In a directory with the sticky bit, others can add files but not replace one.
    let is_guarded = metadata.is_symlink() || metadata.is_dir() && metadata.mode() & STICKY != 0;
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 && !is_guarded {
        return Err(Failure::new(exit, format!("other users can change {shown}"))
            .next(format!("check that nobody did, then run `chmod go-w {shown}`")));
    }
    Ok(())
}

#[cfg(not(unix))]
fn judge(_: &Path, _: Exit) -> Result<(), Failure> {
    Ok(())
}

#[cfg(unix)]
const STICKY: u32 = 0o1000;
#[cfg(unix)]
const WRITABLE_BY_OTHERS: u32 = 0o022;
