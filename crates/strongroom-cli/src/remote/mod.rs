//! The commands against a server instead of a store: those that the wire contract has calls for.

mod accounts;
mod client;
mod variables;

use self::client::Client;
use crate::args::Command;
use crate::config::Server;
use crate::failure::Failure;
use crate::output::{Output, Values};

pub(crate) fn run(server: &Server, command: Command, output: &Output) -> Result<(), Failure> {
    if let Some(reason) = unsupported(&command) {
        return Err(Failure::usage(format!("{reason}, so this does not work with --url"))
            .next("run it where the store is, with --store"));
    }
    let client = Client::open(server, output)?;
    match command {
        Command::Define(define) => variables::define(&client, *define, output),
        Command::Set { name, scope, misplaced } => {
            variables::set(&client, &name, &scope.scope(), &misplaced, output)
        }
        Command::Resolve { name: Some(name), path, reveal } => {
            variables::resolve(&client, &name, &path, Values::revealed_if(reveal), output)
        }
        Command::List { values, scope } if values || scope.names_one() => {
            variables::values(&client, &scope.scope(), output)
        }
        Command::List { .. } => variables::definitions(&client, output),
        Command::Delete { name, definition: true, .. } => variables::undefine(&client, &name, output),
        Command::Delete { name, scope, .. } => variables::delete(&client, &name, &scope.scope(), output),
        Command::Credential(command) => accounts::credential(&client, command, output),
        Command::Account(command) => accounts::account(&client, command, output),
        // Refused above.
        _ => Ok(()),
    }
}

/// Why a server is not asked for this.
fn unsupported(command: &Command) -> Option<&'static str> {
    match command {
        Command::Resolve { name: None, .. } => Some("a server resolves one variable at a time"),
        Command::Get { .. } | Command::Explain { .. } => Some("a server answers only what resolves"),
        Command::Export { .. } | Command::Run { .. } => Some("a server shows no encrypted value"),
        Command::Import(_) => Some("a server takes one value at a time"),
        Command::Init { .. }
        | Command::Serve { .. }
        | Command::ApiKey(_)
        | Command::Slot(_)
        | Command::Rotate(_)
        | Command::Shred(_)
        | Command::Job(_)
        | Command::Verify { .. }
        | Command::Backup { .. }
        | Command::Restore(_)
        | Command::Migrate { .. } => Some("this needs the root key, which a server does not give away"),
        _ => None,
    }
}
