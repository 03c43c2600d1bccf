//! `get`: the value at exactly one scope, or a former version of it.

use std::io::{self, IsTerminal as _};

use serde::Serialize;
use strongroom::{DefinitionName, Error, Org, Revision, Scope, ScopeKind, Secret};
use strongroom_http::control::{self, Reason};

use super::not_back::Wanted;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::output::{MASK, Output, Values, time};
use crate::scope_args::{ScopeArgs, scope_field};
use crate::suggest;

/// `get` as it is typed.
#[derive(Debug, Clone, clap::Args)]
#[command(disable_version_flag = true)]
pub(crate) struct Get {
    /// The name of the variable
    pub(crate) name: DefinitionName,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Show the value: a server notes that in the audit, the store itself does not
    #[arg(long)]
    reveal: bool,
    /// With --reveal, for a value in base64: the bytes that it encodes
    #[arg(long, requires = "reveal")]
    bytes: bool,
    /// With --reveal: what it was in this version, as `history` lists it
    #[arg(long, value_name = "N", requires = "reveal")]
    version: Option<u64>,
}

#[derive(Serialize)]
struct ValueView<'a> {
    id: String,
    variable_definition_id: String,
    name: &'a str,
    value: &'a str,
    scope: ScopeKind,
    encrypted: bool,
    created_at: String,
    updated_at: String,
}

impl Get {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        refuse_shown_bytes(self.bytes, output)?;
        let (name, scope, values) = (&self.name, self.scope.scope(), Values::revealed_if(self.reveal));
        let Some(definition) = org.definition(name).await? else {
            return Err(suggest::undefined(org, name).await);
        };
        let found = match self.version {
            Some(version) => {
                let found = org.value_version(definition.id, &scope, Revision::from_u64(version)).await;
                Some(found.map_err(|error| match error {
                    Error::VersionNotFound(_) => self.not_kept(&scope),
                    error => error.into(),
                })?)
            }
            None => org.value(definition.id, &scope).await?,
        };
        let found = found.ok_or_else(|| Failure::no_value(name, &scope))?;
        if values == Values::Revealed && (self.bytes || !output.is_json()) {
            return show_alone(name.as_str(), &found.value, self.bytes, output);
        }
        let view = ValueView {
            id: found.id.to_string(),
            variable_definition_id: found.definition_id.to_string(),
            name: name.as_str(),
            value: values.of(&found.value),
            scope: scope.kind(),
            encrypted: definition.definition.encrypted,
            created_at: time(found.created_at),
            updated_at: time(found.updated_at),
        };
        view.show(&scope, output)
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        refuse_shown_bytes(self.bytes, output)?;
        let (name, scope) = (&self.name, self.scope.scope());
        let fetch = |reveal: &str| -> Result<control::Value, Failure> {
            let version = self.version.map(|version| version.to_string());
            let version = version.iter().map(|version| ("version", version.as_str()));
            let query: Vec<_> =
                scope_field(&scope).into_iter().chain([("reveal", reveal)]).chain(version).collect();
            client.control_get(Call { path: &["values", name.as_str()], query: &query })
        };
        let found = match (self.version, self.reveal) {
            // A server shows no former version without revealing it.
            (Some(_), _) => fetch("true").map_err(|refused| match refused.is(Reason::VersionNotFound) {
                true => self.not_kept(&scope),
                false => refused,
            })?,
            (None, true) => Client::revealed(fetch, |found| found.value.is_some())?,
            (None, false) => fetch("false")?,
        };
        let value = found.value.as_ref().filter(|_| self.reveal).map(|value| value.as_str());
        if let Some(value) = value.filter(|_| self.bytes || !output.is_json()) {
            return show_alone(name.as_str(), &Secret::from(value), self.bytes, output);
        }
        let view = ValueView {
            id: found.id,
            variable_definition_id: found.variable_definition_id,
            name: name.as_str(),
            value: value.unwrap_or(MASK),
            scope: found.scope,
            encrypted: found.encrypted,
            created_at: found.created_at,
            updated_at: found.updated_at,
        };
        view.show(&scope, output)
    }
}

impl Get {
    fn not_kept(&self, scope: &Scope) -> Failure {
        Wanted::of_value(&self.name, scope, self.version).not_kept()
    }
}

/// Before anything is revealed, since the audit would note it.
pub(super) fn refuse_shown_bytes(bytes: bool, output: &Output) -> Result<(), Failure> {
    if bytes && (output.is_json() || io::stdout().is_terminal()) {
        return Err(Failure::usage("--bytes writes bytes, which are for a pipe or a file")
            .next("without it, base64 is shown"));
    }
    Ok(())
}

/// A value and nothing else: its text, or the bytes that it encodes.
pub(super) fn show_alone(what: &str, value: &Secret, bytes: bool, output: &Output) -> Result<(), Failure> {
    if !bytes {
        return output.exact(value.expose());
    }
    let bytes = value.to_bytes().map_err(|_| {
        Failure::invalid(format!("the value of {what} is not base64"))
            .next("leave out --bytes to see the text")
    })?;
    output.bytes(bytes.expose())
}

impl ValueView<'_> {
    fn show(&self, scope: &Scope, output: &Output) -> Result<(), Failure> {
        let view = self;
        let row = [view.name.to_owned(), view.value.to_owned(), scope.to_string(), view.updated_at.clone()];
        output.list(["NAME", "VALUE", "SCOPE", "UPDATED"], [row], view)
    }
}
