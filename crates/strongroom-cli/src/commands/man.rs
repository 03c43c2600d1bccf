//! `man`: the manual pages, from the same description as `--help`.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::failure::{Exit, Failure};

/// `man` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Man {
    /// The directory for the pages, one per command, such as /usr/local/share/man/man1
    directory: PathBuf,
}

impl Man {
    pub(crate) fn run(self, grammar: clap::Command) -> Result<(), Failure> {
        let is_new = !self.directory.exists();
        let written = fs::create_dir_all(&self.directory)
            .and_then(|()| clap_mangen::generate_to(grammar, &self.directory))
            .and_then(|()| publish(&self.directory, is_new));
        written.map_err(|error| {
            let shown = self.directory.display();
            Failure::new(Exit::Other, format!("no manual page could be written to {shown}: {error}"))
                .next("name a directory that you may write to")
        })
    }
}

/// Everybody may read the pages, unlike all other files of this program.
#[cfg(unix)]
fn publish(directory: &Path, is_new: bool) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if is_new {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    }
    for page in fs::read_dir(directory)? {
        let page = page?;
        let is_page = |name: &str| name.starts_with("strongroom") && name.ends_with(".1");
        let is_ours = page.file_name().to_str().is_some_and(is_page);
        if is_ours && page.file_type()?.is_file() {
            fs::set_permissions(page.path(), fs::Permissions::from_mode(0o644))?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn publish(_: &Path, _: bool) -> io::Result<()> {
    Ok(())
}
