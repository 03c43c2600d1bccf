//! `completions`: what a shell needs to complete commands and options.

use std::io;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Args;
use crate::failure::Failure;

pub(crate) fn print(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "strongroom", &mut script);
    Ok(io::Write::write_all(&mut io::stdout(), &script)?)
}
