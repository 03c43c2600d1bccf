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

use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;
use crate::output::Output;

fn main() -> ExitCode {
    let args = Args::parse();
    let output = Output::new(args.globals.json);
    match commands::run(args, &output) {
        Ok(code) => code,
        Err(failure) => output.failure(&failure),
    }
}
