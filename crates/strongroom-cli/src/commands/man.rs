//! `man`: the manual pages, from the same description as `--help`.

use std::fs;
use std::path::PathBuf;

use crate::failure::{Exit, Failure};

/// `man` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// The directory for one page for each command, such as /usr/local/share/man/man1
    directory: PathBuf,
}

impl Man {
    pub(crate) fn run(self, grammar: clap::Command) -> Result<(), Failure> {
        let written = fs::create_dir_all(&self.directory)
            .and_then(|()| clap_mangen::generate_to(grammar, &self.directory));
        written.map_err(|error| {
            let shown = self.directory.display();
            Failure::new(Exit::Other, format!("no manual page could be written to {shown}: {error}"))
                .next("name a directory that you may write to")
        })
    }
}
