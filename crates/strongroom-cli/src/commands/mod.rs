//! The commands, one noun a file.

mod account;
mod api_key;
pub(crate) mod backup;
mod completions;
mod credential;
pub(crate) mod define;
mod export;
pub(crate) mod import;
mod init;
pub(crate) mod job;
mod list;
mod migrate;
pub(crate) mod rotate;
mod run;
mod serve;
pub(crate) mod shred;
mod slot;
pub(crate) mod value;
mod verify;
mod view;

use std::path::Path;
use std::process::ExitCode;

use futures_executor::block_on;
use strongroom::OrgId;

use crate::args::{Args, Command};
use crate::commands::rotate::Rotate;
use crate::commands::shred::Shred;
use crate::config::Config;
use crate::failure::Failure;
use crate::output::{Output, Values};
use crate::remote;
use crate::session::Session;

/// Runs what was typed.
pub(crate) fn run(args: Args, output: &Output) -> Result<ExitCode, Failure> {
    if let Command::Completions { shell } = args.command {
        completions::print(shell)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut config = Config::load(&args.globals)?;
    if let Some(server) = &config.server {
        remote::run(server, args.command, output)?;
        return Ok(ExitCode::SUCCESS);
    }
    match args.command {
        Command::Init { ask_passphrase } => block_on(init::run(&config, ask_passphrase, output))?,
        Command::Serve { listen, log, no_core_dumps, limits } => {
            config.listen = listen.unwrap_or(config.listen);
            config.limits = limits.or(&config.limits);
            if no_core_dumps {
                serve::no_core_dumps()?;
            }
            serve::run(&config, log, output)?;
        }
        Command::Run { path, clear_env, command } => {
            return block_on(run::run(&config, &path.path(), clear_env, &command, output));
        }
        Command::Backup { file, backup_key_file } => {
            block_on(back_up(&config, &file, args.globals.org, backup_key_file.as_deref(), output))?;
        }
        Command::Restore(restore) => {
            block_on(backup::restore(&config, &restore, args.globals.org, output))?;
        }
        Command::Rotate(Rotate::Root(slots)) => block_on(rotate::root(&config, &slots, output))?,
        Command::Shred(shred) => {
            shred.ask(&config)?;
            block_on(in_session(&config, Command::Shred(shred), output))?;
        }
        command => block_on(in_session(&config, command, output))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens the vault, does one thing and closes it, whatever became of that.
async fn in_session(config: &Config, command: Command, output: &Output) -> Result<(), Failure> {
    let session = Session::open(config, output).await?;
    let done = on_vault(&session, command, output).await;
    let closed = session.close().await;
    done.and(closed)
}

async fn back_up(
    config: &Config,
    file: &Path,
    org: Option<OrgId>,
    key_file: Option<&Path>,
    output: &Output,
) -> Result<(), Failure> {
    let session = Session::open(config, output).await?;
    let done = backup::write(&session, file, org, key_file, output).await;
    let closed = session.close().await;
    done.and(closed)
}

async fn on_vault(session: &Session, command: Command, output: &Output) -> Result<(), Failure> {
    let org = &session.org;
    match command {
        Command::Define(define) => define::run(org, *define, output).await,
        Command::Set { name, scope, misplaced } => {
            value::set(org, &name, scope.scope(), &misplaced, output).await
        }
        Command::Get { name, scope, reveal } => {
            value::get(org, &name, &scope.scope(), Values::revealed_if(reveal), output).await
        }
        Command::Resolve { name: Some(name), path, reveal } => {
            view::resolve(org, &name, &path.path(), Values::revealed_if(reveal), output).await
        }
        Command::Resolve { name: None, path, reveal } => {
            view::resolve_all(org, &path.path(), Values::revealed_if(reveal), output).await
        }
        Command::Explain { name, path } => view::explain(org, &name, &path.path(), output).await,
        Command::List { values, scope } if values || scope.names_one() => {
            list::values(org, &scope.scope(), output).await
        }
        Command::List { .. } => list::definitions(org, output).await,
        Command::Delete { name, definition: true, .. } => define::delete(org, &name, output).await,
        Command::Delete { name, scope, .. } => value::delete(org, &name, &scope.scope(), output).await,
        Command::Credential(command) => credential::run(org, command, output).await,
        Command::Account(command) => account::run(org, command, output).await,
        Command::ApiKey(command) => api_key::run(org, command, output).await,
        Command::Slot(command) => slot::run(&session.vault, command, output).await,
        Command::Rotate(Rotate::Data(which)) => rotate::data(session, which, output).await,
        Command::Shred(Shred::Account { id, .. }) => shred::account(session, &id, output).await,
        Command::Job(command) => job::run(&session.vault, command, output).await,
        Command::Verify { org_only } => {
            let extent = if org_only { verify::Extent::Org } else { verify::Extent::Store };
            verify::run(session, extent, output).await
        }
        Command::Migrate { to } => migrate::run(session, &to, output).await,
        Command::Import(import) => import::run(session, &import, output).await,
        Command::Export { path, format, .. } => export::run(org, &path.path(), format, output).await,
        // They open no vault, or do so themselves.
        Command::Init { .. }
        | Command::Rotate(Rotate::Root(_))
        | Command::Run { .. }
        | Command::Serve { .. }
        | Command::Backup { .. }
        | Command::Restore(_)
        | Command::Completions { .. } => Ok(()),
    }
}
