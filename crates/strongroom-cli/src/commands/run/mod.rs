//! `run`: a command with the resolved variables as its environment.

mod names;

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{Command, ExitCode};

use strongroom::{Org, Resolved};

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::output::Output;
use crate::scope_args::PathArgs;
use crate::session::Session;
use crate::suggest;

/// `run` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    #[command(flatten)]
    path: PathArgs,
    /// Start from an empty environment instead of this one
    #[arg(long)]
    clear_env: bool,
    /// Give the command this variable too, although it can change which code runs, or holds a key of strongroom;
    /// repeat it for several
    #[arg(long, value_name = "NAME")]
    allow: Vec<String>,
    /// The command and its arguments, executed without a shell
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Run {
    pub(crate) async fn run(self, config: &Config, output: &Output) -> Result<ExitCode, Failure> {
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(Failure::usage("there is no command to run"));
        };
        let session = Session::open(config, output).await?;
        let resolved = all_of(&session.org, &self.path).await;
        // Closed first: the command may run for long, and may use the store itself.
        session.finish(Ok(()), output).await?;
        let resolved = resolved?;
        self.refuse_dangerous(&resolved)?;
        let mut child = Command::new(program);
        child.args(arguments);
        self.clean(&mut child);
        for one in &resolved {
            refuse_unfit(one)?;
            child.env(one.name.as_str(), one.value.expose());
        }
        execute(child, program)
    }

    /// A tenant may have set these variables, and whoever runs the command is not that tenant.
    fn refuse_dangerous(&self, resolved: &[Resolved]) -> Result<(), Failure> {
        let refused = |name: &&str| names::is_dangerous(name) && !self.is_allowed(name);
        let refused: Vec<_> = resolved.iter().map(|one| one.name.as_str()).filter(refused).collect();
        if refused.is_empty() {
            return Ok(());
        }
        let options: Vec<_> = refused.iter().map(|name| format!("--allow {name}")).collect();
        let message = format!("variables that can change which code runs: {}", refused.join(", "));
        Err(Failure::invalid(message)
            .next(format!("nothing was run; if that is what they are for, add {}", options.join(" "))))
    }

    /// Leaves no variable that opens the vault: the command gets what it resolves to, not the means to read the rest.
    fn clean(&self, child: &mut Command) {
        if self.clear_env {
            child.env_clear();
        }
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(|name| names::is_own(name) && !self.is_allowed(name)) {
                child.env_remove(name);
            }
        }
    }

    fn is_allowed(&self, name: &str) -> bool {
        self.allow.iter().any(|allowed| allowed == name)
    }
}

async fn all_of(org: &Org, path: &PathArgs) -> Result<Vec<Resolved>, Failure> {
    suggest::refuse_unknown_account(org, path).await?;
    let resolution = org.resolve_all(&path.path()).await?;
    if resolution.missing_required.is_empty() {
        return Ok(resolution.values);
    }
    let names = resolution.missing_required.join(", ");
    Err(Failure::not_found(format!("required variables without a value: {names}"))
        .next("set them with `strongroom set NAME`; nothing was run"))
}

/// An environment cannot hold `=` in a name, or NUL.
fn refuse_unfit(resolved: &Resolved) -> Result<(), Failure> {
    if resolved.name.as_str().contains('=') {
        return Err(Failure::invalid(format!("{} cannot name an environment variable", resolved.name)));
    }
    if resolved.value.expose().contains('\0') {
        let message = format!("the value of {} holds a NUL, which an environment cannot", resolved.name);
        return Err(Failure::invalid(message));
    }
    Ok(())
}

/// Becomes the command, which then receives every signal itself.
#[cfg(unix)]
fn execute(mut child: Command, program: &OsStr) -> Result<ExitCode, Failure> {
    files::restore_mask();
    let error = std::os::unix::process::CommandExt::exec(&mut child);
    Err(unstartable(program, &error))
}

#[cfg(not(unix))]
fn execute(mut child: Command, program: &OsStr) -> Result<ExitCode, Failure> {
    let status = child.status().map_err(|error| unstartable(program, &error))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn unstartable(program: &OsStr, error: &io::Error) -> Failure {
    let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NoCommand } else { Exit::NotExecutable };
    Failure::new(exit, format!("{} could not be run: {error}", program.display()))
        .next("check its name, that it is in PATH, and that it may be executed")
}
