//! `strongroom`: variables and credentials from a shell.

mod args;
mod commands;
mod config;
mod failure;
mod input;
mod keys;
mod limits;
mod output;
mod progress;
mod remote;
mod scope_args;
mod session;
mod store;

use std::env;
use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;
use crate::failure::Failure;
use crate::output::Output;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if error.use_stderr() && asks_for_json() => {
            return Output::new(true).failure(&Failure::from(error));
        }
        Err(error) => error.exit(),
    };
    let output = Output::new(args.globals.json);
    match commands::run(args, &output) {
        Ok(code) => code,
        Err(failure) => output.failure(&failure),
    }
}

/// Whether `--json` stands among arguments that could not be read; what follows `--` is a command's own.
fn asks_for_json() -> bool {
    env::args_os().skip(1).take_while(|argument| argument != "--").any(|argument| argument == "--json")
}
