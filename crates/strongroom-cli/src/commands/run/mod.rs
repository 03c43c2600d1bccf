//! `run`: a command with the resolved variables as its environment.

#[cfg(unix)]
mod watch;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};

use clap::builder::RangedI64ValueParser;
use futures_executor::block_on;
use strongroom::Generation;

use super::dangerous_names;
use crate::client::Client;
use crate::config::{Config, Project};
use crate::failure::{Exit, Failure, repeatable};
use crate::files;
use crate::keys::{self, Key};
use crate::output::Output;
use crate::scope_args::RunArgs;
use crate::seen::{AllSeen, Seen, resolve_on_server};
use crate::session::Session;

/// `run` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Run {
    #[command(flatten)]
    args: RunArgs,
    /// Start from an empty environment instead of this one
    #[arg(long)]
    clear_env: bool,
    /// Also give the command this variable, although it can change which code runs, or holds a key of strongroom;
    /// repeat it for several
    #[arg(long, value_name = "NAME")]
    allow: Vec<String>,
    /// Restart the command when one of its variables changes; it has 10 seconds to end
    #[arg(long)]
    watch: bool,
    /// With --watch: send this signal instead
    #[cfg(unix)]
    #[arg(long, value_name = "SIGNAL", value_enum, requires = "watch")]
    signal: Option<watch::Notice>,
    /// With --watch: seconds between two checks
    #[arg(long, value_name = "SECONDS", requires = "watch", default_value_t = 2, value_parser = at_least_1())]
    every: u32,
    /// The command and its arguments, executed without a shell
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Run {
    /// Fills in from the project what was not typed.
    pub(crate) fn fill_in(&mut self, project: &Project) {
        self.args.fill_in(project);
    }

    pub(crate) fn run(self, config: Config, output: &Output) -> Result<ExitCode, Failure> {
        if self.watch {
            config.store.refuse_unkept("run --watch")?;
            Session::refuse_absent(&config)?;
            let key = keys::existing_key(&config, output)?;
            let look =
                StoreLook { config, key, args: self.args.clone(), output: output.clone(), generation: None };
            return self.watched(look, output);
        }
        let seen = block_on(async {
            let session = Session::open(&config, output).await?;
            let seen = AllSeen::of(&session.org, &self.args).await;
            // Closed first: the command may run for a long time, and may use the store itself.
            session.finish(Ok(()), output).await?;
            seen?.refuse_missing()
        });
        self.start(seen?)
    }

    pub(crate) fn on_server(self, client: Client, output: &Output) -> Result<ExitCode, Failure> {
        if self.watch {
            let look = ServerLook { client, args: self.args.clone(), versions: None };
            return self.watched(look, output);
        }
        let seen = AllSeen::on_server(&client, &self.args, &[])?;
        self.start(seen.refuse_missing()?)
    }

    #[cfg(unix)]
    fn watched(&self, look: impl watch::Look, output: &Output) -> Result<ExitCode, Failure> {
        watch::run(self, look, output)
    }

    fn start(&self, seen: Vec<Seen>) -> Result<ExitCode, Failure> {
        execute(self.command(seen)?, self.program())
    }

    fn program(&self) -> &OsStr {
        self.command.first().map(OsString::as_os_str).unwrap_or_default()
    }

    /// The command with its environment.
    fn command(&self, seen: Vec<Seen>) -> Result<Command, Failure> {
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(Failure::usage("there is no command to run"));
        };
        self.refuse_dangerous(&seen)?;
        let mut child = Command::new(program);
        child.args(arguments);
        self.clean(&mut child);
        for one in &seen {
            refuse_unfit(one)?;
            child.env(&one.name, one.value.expose());
        }
        // exec runs no destructors, so the values are wiped here.
        drop(seen);
        Ok(child)
    }

    fn refuse_dangerous(&self, resolved: &[Seen]) -> Result<(), Failure> {
        let names = resolved.iter().map(|one| one.name.as_str());
        dangerous_names::refuse(names, &self.allow, "nothing was run")
    }

    /// Removes every variable that could open the vault: the command gets its resolved variables, not the means to read
    /// the rest.
    fn clean(&self, child: &mut Command) {
        if self.clear_env {
            child.env_clear();
        }
        for name in dangerous_names::own().filter(|name| !self.is_allowed(name)) {
            child.env_remove(name);
        }
    }

    fn is_allowed(&self, name: &str) -> bool {
        self.allow.iter().any(|allowed| allowed == name)
    }
}

fn at_least_1() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

/// A store, which is free between two reads.
#[cfg_attr(not(unix), allow(dead_code, reason = "nothing is watched there"))]
struct StoreLook {
    config: Config,
    key: Key,
    args: RunArgs,
    output: Output,
    /// The org's generation at the last read, if the vault keeps generations.
    generation: Option<Generation>,
}

/// A server, which is asked for values only if their versions have changed.
#[cfg_attr(not(unix), allow(dead_code, reason = "nothing is watched there"))]
struct ServerLook {
    client: Client,
    args: RunArgs,
    /// The digest of the versions, and the names, from the last read.
    versions: Option<(String, Vec<String>)>,
}

#[cfg(unix)]
impl watch::Look for StoreLook {
    fn look(&mut self) -> Result<Option<Vec<Seen>>, Failure> {
        block_on(async {
            Session::refuse_absent(&self.config)?;
            let store = self.config.store.open_existing(self.config.access())?;
            let session = Session::open_with(&self.config, store, self.key.unlock()?, &self.output).await?;
            let looked = async {
                let now = session.org.generation().await?;
                if now.is_some() && now == self.generation {
                    return Ok(None);
                }
                let seen = AllSeen::of(&session.org, &self.args).await?;
                Ok::<_, Failure>(Some((now, seen)))
            };
            let looked = looked.await;
            let Some((generation, seen)) = session.finish(looked, &self.output).await? else {
                return Ok(None);
            };
            let seen = seen.refuse_missing()?;
            self.generation = generation;
            Ok(Some(seen))
        })
    }
}

#[cfg(unix)]
impl watch::Look for ServerLook {
    fn look(&mut self) -> Result<Option<Vec<Seen>>, Failure> {
        let found = resolve_on_server(&self.client, &self.args.path, None, "false")?;
        let names = found.values.iter().map(|one| one.name.clone()).collect();
        let versions = Some((found.versions.clone(), names));
        if versions == self.versions {
            return Ok(None);
        }
        // First, since each value that is shown is noted.
        AllSeen::of_resolution(found, &self.args).refuse_missing()?;
        let seen = AllSeen::on_server(&self.client, &self.args, &[])?.refuse_missing()?;
        self.versions = versions;
        Ok(Some(seen))
    }
}

const LEFT_OUT: &str = "nothing was run; --prefix TEXT gives the command a part of the variables, and `strongroom get \
                        NAME --reveal` one when it needs it";

/// An environment cannot hold `=` in a name, or NUL.
fn refuse_unfit(resolved: &Seen) -> Result<(), Failure> {
    if resolved.name.contains('=') {
        return Err(
            Failure::invalid(format!("{} cannot name an environment variable", resolved.name)).next(LEFT_OUT)
        );
    }
    if resolved.value.expose().contains('\0') {
        let message = format!("the value of {} holds a NUL, which an environment cannot", resolved.name);
        return Err(Failure::invalid(message).next(LEFT_OUT));
    }
    Ok(())
}

/// Becomes the command, which then receives every signal itself.
#[cfg(unix)]
fn execute(mut child: Command, program: &OsStr) -> Result<ExitCode, Failure> {
    files::restore_mask();
    let error = std::os::unix::process::CommandExt::exec(&mut child);
    match error.kind() {
        io::ErrorKind::ArgumentListTooLong => Err(too_large(&child)),
        _ => Err(unstartable(program, &error)),
    }
}

/// The variables for the command are more than the system accepts, by themselves or with the rest.
#[cfg(unix)]
fn too_large(child: &Command) -> Failure {
    let given = child.get_envs().filter_map(|(name, value)| Some((name, value?.len())));
    let mut given: Vec<_> = given.collect();
    given.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let all: usize = given.iter().map(|(name, bytes)| name.len() + bytes + 2).sum();
    let largest =
        given.iter().take(LARGEST_SHOWN).map(|(name, bytes)| format!("{} ({bytes})", name.display()));
    let largest = largest.collect::<Vec<_>>().join(", ");
    Failure::new(
        Exit::NotExecutable,
        format!(
            "the command's arguments and environment are more than the system takes: its variables have {all} bytes, \
             the largest are {largest}"
        ),
    )
    .next(LEFT_OUT)
}

#[cfg(unix)]
const LARGEST_SHOWN: usize = 3;

#[cfg(not(unix))]
impl Run {
    fn watched<T>(&self, _: T, _: &Output) -> Result<ExitCode, Failure> {
        Err(Failure::usage("--watch needs signals, which this system does not have"))
    }
}

#[cfg(not(unix))]
fn execute(mut child: Command, program: &OsStr) -> Result<ExitCode, Failure> {
    let status = child.status().map_err(|error| unstartable(program, &error))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn unstartable(program: &OsStr, error: &io::Error) -> Failure {
    let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NoCommand } else { Exit::NotExecutable };
    Failure::new(exit, format!("{} could not be run: {error}", repeatable::file(Path::new(program))))
        .next("check its name, that it is in PATH, and that it may be executed")
}
