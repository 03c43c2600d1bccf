//! `strongroom`: variables and credentials from a shell.

mod cli;
mod client;
mod commands;
mod config;
mod failure;
mod files;
mod input;
mod keys;
mod output;
mod pages;
mod passphrase;
mod progress;
mod scope_args;
mod session;
mod store;

use std::env;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::Args;
use crate::failure::Failure;
use crate::output::Output;

fn main() -> ExitCode {
    files::write_for_owner_only();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if error.use_stderr() && asks_for_json() => {
            return Output::new(true).failure(&Failure::from(error));
        }
        Err(error) => error.exit(),
    };
    // A misplaced value swallows the options after it, `--json` too.
    let output = Output::new(args.globals.json || asks_for_json());
    match args.run(&output) {
        Ok(code) => code,
        Err(failure) => output.failure(&failure),
    }
}

/// Whether `--json` is among the arguments, however they parse; what follows `--` belongs to another command.
fn asks_for_json() -> bool {
    env::args_os().skip(1).take_while(|argument| argument != "--").any(|argument| argument == "--json")
}
