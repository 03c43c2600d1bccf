//! Running a command: on a store that this process opens, or on a server.

use std::process::ExitCode;

use futures_executor::block_on;
use strongroom_http::control::Reason;

use super::Work;
use crate::client::Client;
use crate::commands::credential::CredentialCommand;
use crate::commands::rotate::Rotate;
use crate::commands::shred::Shred;
use crate::config::{Config, Server};
use crate::consent;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;

impl Work {
    /// Commands that read standard input or a prompt do so before a store is opened: the process at the other end of
    /// the pipe may need the same store, and a person needs time.
    pub(super) fn on_store(self, config: &Config, output: &Output) -> Result<ExitCode, Failure> {
        match self {
            Self::Set(set) => {
                let value = set.read(output)?;
                let run = async |session: &Session| set.run(value, &session.org, output).await;
                block_on(Session::with(config, output, run))
            }
            Self::Credential(CredentialCommand::Set(set)) => {
                let value = set.read(output)?;
                let run = async |session: &Session| set.run(value, &session.org, output).await;
                block_on(Session::with(config, output, run))
            }
            Self::Import(import) => {
                let entries = import.read(output)?;
                let run = async |session: &Session| import.run(entries, session, output).await;
                block_on(Session::with(config, output, run))
            }
            Self::Inject(inject) => {
                let template = inject.read()?;
                let run = async |session: &Session| inject.run(&template, &session.org, output).await;
                block_on(Session::with(config, output, run))
            }
            Self::Slot(slot) => {
                let typed = slot.typed_key()?;
                loop {
                    let slot = slot.clone();
                    let run =
                        async |session: &Session| slot.run(typed.as_ref(), config, session, output).await;
                    match block_on(Session::with(config, output, run)) {
                        // Here, since the key was already typed.
                        Err(failure) => consent::ask(failure, String::new)?,
                        done => break done,
                    }
                }
            }
            Self::Init(init) => block_on(init.run(config, output)),
            Self::Restore(restore) => block_on(restore.run(config, output)),
            Self::Edit(edit) => block_on(edit.run(config, output)),
            Self::Doctor(doctor) => block_on(doctor.run(config, output)),
            Self::Rotate(Rotate::Root(root)) => block_on(root.run(config, output)),
            in_session => {
                let run = async |session: &Session| in_session.in_session(session, config, output).await;
                block_on(Session::with(config, output, run))
            }
        }?;
        Ok(ExitCode::SUCCESS)
    }

    /// Works on an open vault, which is closed afterwards even if the command failed.
    async fn in_session(self, session: &Session, config: &Config, output: &Output) -> Result<(), Failure> {
        let (org, vault) = (&session.org, &session.vault);
        self.asks().of(vault, org, output).await?;
        match self {
            Self::Define(command) => command.run(org, output).await,
            Self::Show(command) => command.run(org, output).await,
            Self::Get(command) => command.run(org, output).await,
            Self::Resolve(command) => command.run(org, output).await,
            Self::Explain(command) => command.run(org, output).await,
            Self::Delete(command) => command.run(org, output).await,
            Self::History(command) => command.run(org, output).await,
            Self::Undo(command) => command.run(org, output).await,
            Self::Revert(command) => command.run(org, output).await,
            Self::Credential(command) => command.run(org, output).await,
            Self::Account(command) => command.run(org, output).await,
            Self::Export(command) => command.run(org, output).await,
            Self::ApiKey(command) => command.run(org, output).await,
            Self::List(command) => command.run(session, output).await,
            Self::Search(command) => command.run(session, output).await,
            Self::Orgs(command) => command.run(session, output).await,
            Self::Environments(command) => command.run(session, output).await,
            Self::Diff(command) => command.run(session, output).await,
            Self::Copy(command) => command.run(session, output).await,
            Self::Verify(command) => command.run(session, output).await,
            Self::Checkpoint(command) => command.run(session, output).await,
            Self::Audit(command) => command.run(session, output).await,
            Self::Migrate(command) => command.run(config, session, output).await,
            Self::Job(command) => match command.deed() {
                Some(deed) => session.operate(&deed, command.run(vault, output)).await,
                None => command.run(vault, output).await,
            },
            Self::Backup(backup) => backup.run(config, session, output).await,
            Self::Rotate(Rotate::Data(data)) => {
                session.operate("rotate data", data.run(session, output)).await
            }
            Self::Shred(Shred::Account(account)) => account.run(session, output).await,
            Self::Shred(Shred::Environment(environment)) => environment.run(session, output).await,
            Self::Shred(Shred::Restore(restore)) => restore.run(session, output).await,
            Self::Run(_)
            | Self::Serve(_)
            | Self::Init(_)
            | Self::Restore(_)
            | Self::Edit(_)
            | Self::Doctor(_)
            | Self::Rotate(Rotate::Root(_))
            | Self::Set(_)
            | Self::Import(_)
            | Self::Inject(_)
            | Self::Slot(_) => Err(Failure::usage("this command opens the vault itself")),
        }
    }

    pub(super) fn on_server(self, server: &Server, output: &Output) -> Result<ExitCode, Failure> {
        let client = || {
            let client = Client::open(server, output)?;
            client.refuse_elsewhere(server).map(|()| client)
        };
        let named = self.variables();
        let done = match self {
            Self::Run(run) => return run.on_server(client()?, output),
            Self::Define(define) => define.on_server(&client()?, output),
            Self::Show(show) => show.on_server(&client()?, output),
            Self::Set(set) => set.on_server(&client()?, output),
            Self::Resolve(resolve) => resolve.on_server(&client()?, output),
            Self::List(list) => list.on_server(&client()?, output),
            Self::Search(search) => search.on_server(&client()?, output),
            Self::Orgs(orgs) => orgs.on_server(&client()?, output),
            Self::Environments(environments) => environments.on_server(&client()?, output),
            Self::Delete(delete) => delete.on_server(&client()?, output),
            Self::Credential(command) => command.on_server(&client()?, output),
            Self::Account(command) => command.on_server(&client()?, output),
            Self::Get(get) => get.on_server(&client()?, output),
            Self::Explain(explain) => explain.on_server(&client()?, output),
            Self::Export(export) => export.on_server(&client()?, output),
            Self::Inject(inject) => inject.on_server(&client()?, output),
            Self::History(history) => history.on_server(&client()?, output),
            Self::Undo(undo) => undo.on_server(&client()?, output),
            Self::Import(import) => import.on_server(&client()?, output),
            Self::ApiKey(command) => command.on_server(&client()?, output),
            Self::Slot(command) => command.on_server(&client()?, output),
            Self::Rotate(Rotate::Data(data)) => data.on_server(&client()?, output),
            Self::Job(command) => command.on_server(&client()?, output),
            Self::Audit(audit) => audit.on_server(&client()?, output),
            Self::Verify(verify) => verify.on_server(&client()?, output),
            Self::Backup(backup) => backup.on_server(&client()?, output),
            Self::Revert(revert) => revert.on_server(&client()?, output),
            Self::Edit(edit) => edit.on_server(&client()?, output),
            Self::Diff(diff) => diff.on_server(&client()?, output),
            Self::Copy(copy) => copy.on_server(&client()?, output),
            Self::Doctor(doctor) => doctor.on_server(&client()?, output),
            Self::Init(_) => Err(Failure::not_on_server("a vault is created in a store")),
            Self::Serve(_) => Err(Failure::not_on_server("`serve` opens a store itself")),
            Self::Rotate(Rotate::Root(_)) => Err(Failure::not_on_server(
                "a new root key is made from a key of the vault, which never travels",
            )),
            Self::Shred(Shred::Account(_)) => {
                let refused = Failure::not_on_server("a server shreds nothing and gives no receipt");
                Err(refused.next(SHRED_ELSEWHERE))
            }
            Self::Shred(Shred::Environment(_) | Shred::Restore(_)) => {
                Err(Failure::not_on_server("a server shreds nothing and gives no receipt"))
            }
            Self::Checkpoint(_) => Err(Failure::not_on_server("a checkpoint reads every row of a store")),
            Self::Restore(_) => Err(Failure::not_on_server("a backup is restored into a store")),
            Self::Migrate(_) => Err(Failure::not_on_server("a vault moves from one store to another")),
        };
        match done {
            // The server does not say which name it was, nor which one was probably meant.
            Err(failure) if failure.is(Reason::DefinitionNotFound) && !named.is_empty() => {
                let client = client()?;
                named.iter().try_for_each(|name| client.refuse_unknown(name)).and(Err(failure))
            }
            done => done.map(|()| ExitCode::SUCCESS),
        }
    }
}

const SHRED_ELSEWHERE: &str = "run it where the store is, with --store; `strongroom account delete ID` also \
                               deletes the account through the server, without a receipt";
