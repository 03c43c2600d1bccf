//! Whether another user could have prepared a file that is about to be read.

use std::fs::{self, File, Metadata};
use std::path::Path;

use super::new_file::directory_of;
use crate::failure::{Exit, Failure, word};

/// Fails if a file or directory belongs to another user or can be changed by one, or if another user could replace it
/// or a directory above it. Root does not count: it could read and change everything anyway. A file that does not exist
/// yet only needs safe directories.
pub(crate) fn refuse_foreign(path: &Path, exit: Exit) -> Result<(), Failure> {
    let directory = directory_of(path);
    let (real, real_directory) = (fs::canonicalize(path).ok(), fs::canonicalize(directory).ok());
    // A link is checked where it is and where it leads: each end can be another user's.
    let beside_real = real.as_deref().map(directory_of);
    let all = [Some(directory), real_directory.as_deref(), beside_real, Some(path), real.as_deref()];
    for path in all.into_iter().flatten() {
        judge(path, exit)?;
    }
    // Whoever can rename a directory further up can put another one in its place. A group may do so: groups belong to
    // the system.
    let whole = std::path::absolute(path).unwrap_or_default();
    let nearest = whole.ancestors().skip(1).find_map(|above| fs::canonicalize(above).ok());
    for above in nearest.iter().flat_map(|nearest| nearest.ancestors()) {
        above.symlink_metadata().map_or(Ok(()), |found| judge_metadata(&found, above, BY_ALL, exit))?;
    }
    // For a store in a directory, check its files too: they were safe from others only since the directory is.
    if let Ok(entries) = fs::read_dir(path) {
        for entry in entries.flatten() {
            judge(&entry.path(), exit)?;
        }
    }
    Ok(())
}

/// The same for an open file: the file at the path may have been replaced between the check and the opening, if a
/// directory further up is another user's. Devices and files that a shell passes on, below `/dev` and `/proc`, belong
/// to the system.
pub(crate) fn refuse_foreign_file(file: &File, path: &Path, exit: Exit) -> Result<(), Failure> {
    match file.metadata() {
        Ok(metadata) if !["/dev", "/proc"].iter().any(|system| path.starts_with(system)) => {
            judge_metadata(&metadata, path, BY_OTHERS, exit)
        }
        _ => Ok(()),
    }
}

fn judge(path: &Path, exit: Exit) -> Result<(), Failure> {
    path.symlink_metadata().map_or(Ok(()), |metadata| judge_metadata(&metadata, path, BY_OTHERS, exit))
}

#[cfg(unix)]
fn judge_metadata(metadata: &Metadata, path: &Path, writable: u32, exit: Exit) -> Result<(), Failure> {
    use std::os::unix::fs::MetadataExt;

    let (owner, shown) = (metadata.uid(), path.display());
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        let message = format!("{shown} belongs to another user, with the id {owner}");
        return Err(Failure::new(exit, message).next("run this as that user, or use only files of your own"));
    }
    // In a directory with the sticky bit, others can add files but not replace one.
    let is_guarded = metadata.is_symlink() || metadata.is_dir() && metadata.mode() & STICKY != 0;
    if metadata.mode() & writable != 0 && !is_guarded {
        return Err(Failure::new(exit, format!("other users can change {shown}")).next(
            match metadata.is_file() || metadata.is_dir() {
                true => format!("check that nobody did, then run `chmod go-w {}`", word(&shown.to_string())),
                false => "name a file of your own".to_owned(),
            },
        ));
    }
    Ok(())
}

#[cfg(not(unix))]
fn judge_metadata(_: &Metadata, _: &Path, _: u32, _: Exit) -> Result<(), Failure> {
    Ok(())
}

#[cfg(unix)]
const STICKY: u32 = 0o1000;
/// Writable by the group or by all.
const BY_OTHERS: u32 = 0o022;
/// Writable by all.
const BY_ALL: u32 = 0o002;

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::os::unix::fs::{PermissionsExt as _, chown};

    use super::*;

    #[test]
    fn an_open_file_is_judged_itself_whatever_has_its_path_by_then() {
        let directory = tempfile::tempdir().unwrap();
        let (place, foreign) = (directory.path().join("key"), directory.path().join("foreign"));
        let make = |path: &Path| {
            fs::write(path, "x").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
            File::open(path).unwrap()
        };
        let own = make(&place);
        refuse_foreign_file(&own, &place, Exit::Key).unwrap();
        own.set_permissions(fs::Permissions::from_mode(0o666)).unwrap();
        refuse_foreign_file(&own, &place, Exit::Key).unwrap_err();
        // Only root can give a file away; without root, the rest of the test has nothing to check.
        let opened = make(&foreign);
        if chown(&foreign, Some(65_534), None).is_ok() {
            fs::rename(&foreign, directory.path().join("gone")).unwrap();
            make(&foreign);
            refuse_foreign(&foreign, Exit::Key).unwrap();
            refuse_foreign_file(&opened, &foreign, Exit::Key).unwrap_err();
        }
    }
}
