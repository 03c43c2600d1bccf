//! `completions`: commands and options for the completion of a shell.

use std::io::{self, Write};

use clap_complete::Shell;

use crate::failure::Failure;

/// `completions` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, mut grammar: clap::Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut grammar, "strongroom", &mut script);
        Ok(io::stdout().write_all(&script)?)
    }
}
