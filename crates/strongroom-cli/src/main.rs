//! `strongroom`: variables and credentials from a shell.

mod cli;
mod client;
mod commands;
mod config;
mod consent;
mod failure;
mod files;
mod holdings;
mod input;
mod keys;
mod marks;
mod output;
mod pages;
mod panics;
mod passphrase;
mod progress;
mod scope_args;
mod seen;
mod session;
#[cfg(unix)]
mod signals;
mod store;
mod suggest;
#[cfg(unix)]
mod terminal;
mod typo;

use std::env;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::Args;
use crate::failure::Failure;
use crate::output::Output;

fn main() -> ExitCode {
    files::write_for_owner_only();
    panics::quiet_backends();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if is_help(&error) => error.exit(),
        Err(error) => return Output::new(asks_for_json()).failure(&Failure::from(error)),
    };
    // A misplaced value swallows the options after it, `--json` too.
    let output = Output::new(args.globals.json || asks_for_json());
    let done = args.run(&output);
    // For a command that ended before it released the output.
    let released = output.release();
    match done.and_then(|code| released.map(|()| code)) {
        Ok(code) => code,
        Err(failure) => output.failure(&failure),
    }
}

/// Whether help was requested, or is the best answer to an incomplete command.
fn is_help(error: &clap::Error) -> bool {
    let is_incomplete = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    !error.use_stderr() || is_incomplete && !asks_for_json()
}

/// Whether `--json` is among the arguments, however they parse; arguments after `--` belong to another command.
fn asks_for_json() -> bool {
    env::args_os().skip(1).take_while(|argument| argument != "--").any(|argument| argument == "--json")
}
