//! `define`: a new variable, or with `--change` another definition of one.

mod change;
mod format;
mod plan;

use std::time::Duration;

use serde::Serialize;
use strongroom::{
    DefinitionId, DefinitionName, Error, ErrorKind, Org, ScopeKind, Scopes, UnknownScope, VarFormat,
    VariableDefinition,
};

use strongroom_http::control;

use self::change::ChangeArgs;
use self::format::FormatArgs;

use super::not_back::is_whole;
use super::whole_secs::whole_secs;
use crate::client::Client;
use crate::client::docs::{OneDefinition, new_definition};
use crate::consent::Consent;
use crate::failure::{Failure, repeatable, word};
use crate::output::Output;
use crate::suggest;

/// `define` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Define {
    /// The name of the variable
    pub(crate) name: DefinitionName,
    #[command(flatten)]
    format: FormatArgs,
    /// Show values to clients as ciphertext only; this cannot be undone
    #[arg(long)]
    encrypted: bool,
    /// Allow values at this scope: org, linked_account or workflow; repeat it for several [default: all three]
    #[arg(long = "scope", value_name = "S", value_parser = scope_kind)]
    scopes: Vec<ScopeKind>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The value that it resolves to if no scope holds one; never a secret
    #[arg(long, value_name = "TEXT", conflicts_with = "encrypted")]
    default: Option<String>,
    /// Report it as missing if it resolves to nothing
    #[arg(long)]
    required: bool,
    /// Keep this many former versions of it and of each of its values, at most 100 [default: 10]; surplus ones are
    /// deleted with the next write; with 0, overwritten values are lost
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(..=100))]
    keep_versions: Option<u8>,
    /// Show no former version of a value that was replaced longer ago than this, such as 90d; it is deleted with the
    /// next write; with 0s, overwritten values are lost
    #[arg(long, value_name = "AGE", value_parser = whole_secs, allow_hyphen_values = true)]
    keep_for: Option<Duration>,
    /// Replace the definition if it is damaged and has no version that `undo` can put back: its values stay. Nobody can
    /// check what else it was, above all --encrypted
    #[arg(long, conflicts_with = "change")]
    replace_damaged: bool,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Serialize)]
struct Defined<'a> {
    id: String,
    name: &'a str,
}

/// A definition in the form of the wire contract.
#[derive(Serialize)]
struct NewDefinition<'a> {
    name: &'a str,
    var_format: &'a VarFormat,
    encrypted: bool,
    required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<ScopeKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_value: Option<&'a str>,
}

impl Define {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        if self.name.as_str().contains('=') {
            return Err(repeatable::misplaced());
        }
        if self.change.is_change() {
            return self.change(org, output).await;
        }
        if self.replace_damaged {
            return self.redefine_damaged(org, output).await;
        }
        let name = self.name.clone();
        match org.define(self.into_definition()?).await {
            Ok(id) => defined(name.as_str(), id.to_string(), output),
            Err(Error::DefinitionExists(id)) => Err(exists(org, &name, id).await),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        if self.change.is_change() {
            return self.change_on_server(client, output);
        }
        if self.name.as_str().contains('=') {
            return Err(repeatable::misplaced());
        }
        if self.replace_damaged {
            return Err(Failure::not_on_server("a server does not define a damaged variable again"));
        }
        let definition = self.into_definition()?;
        let by_control = |client: &Client| {
            let made: control::Definition =
                client.control_post(&["definitions"], &new_definition(&definition))?;
            Ok(made.id)
        };
        let by_document = |client: &Client| {
            let body = NewDefinition::of(&definition)?;
            let answer: OneDefinition = client.post(&["env", "definitions"], &body)?;
            Ok(answer.definition.id)
        };
        defined(&definition.name, client.either(by_control, by_document)?, output)
    }

    /// Whether it only says what it would change.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.change.dry_run
    }

    /// In the place of a definition that cannot be read.
    async fn redefine_damaged(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let (name, consent) = (self.name.clone(), self.consent);
        let definition = self.into_definition()?;
        if matches!(org.definition(&name).await, Ok(Some(_))) {
            return Err(is_whole());
        }
        let shown = match definition.encrypted {
            true => "show its values to clients as ciphertext only",
            false => "show its values to clients in plain text, even if it was --encrypted",
        };
        let format = definition.var_format.name();
        consent
            .to(&format!("define {name} as {format} in the place of a damaged definition, and {shown}"))?;
        match org.redefine_damaged(definition).await {
            Ok(stored) => defined(name.as_str(), stored.id.to_string(), output),
            Err(Error::DefinitionNotFound(_)) => Err(suggest::undefined(org, &name).await),
            Err(Error::Unexpected { .. }) => Err(Failure::invalid(format!(
                "a version of the definition {name} can be read"
            ))
            .next(format!(
                "nothing was changed; `strongroom undo {} --definition --replace-damaged` puts it back",
                word(name.as_str())
            ))),
            Err(error) => Err(error.into()),
        }
    }

    fn into_definition(self) -> Result<VariableDefinition, Failure> {
        let mut definition = VariableDefinition::new(self.name.as_str(), self.format.var_format()?);
        definition.length = self.format.length(None)?;
        definition.encrypted = self.encrypted;
        definition.required = self.required;
        definition.description = self.description;
        definition.default = self.default;
        definition.history_versions = self.keep_versions;
        definition.history_age_secs = self.keep_for.map(|age| age.as_secs());
        if let Some(scopes) = scopes_of(&self.scopes) {
            definition.scopes = scopes;
        }
        Ok(definition)
    }
}

impl<'a> NewDefinition<'a> {
    /// Refuses anything that the contract has no field for.
    fn of(definition: &'a VariableDefinition) -> Result<Self, Failure> {
        if definition.length.is_some() {
            return Err(Failure::not_on_server("a server takes no --bytes-min or --bytes-max"));
        }
        if definition.history_versions.is_some() || definition.history_age_secs.is_some() {
            return Err(Failure::not_on_server(
                "a server takes --keep-versions and --keep-for from a key with rights",
            ));
        }
        let kinds: Vec<_> = definition.scopes.iter().collect();
        let scope = match kinds.as_slice() {
            [only] => Some(*only),
            _ if definition.scopes == Scopes::ALL => None,
            _ => return Err(Failure::not_on_server("a server allows one scope or all three")),
        };
        Ok(Self {
            name: &definition.name,
            var_format: &definition.var_format,
            encrypted: definition.encrypted,
            required: definition.required,
            scope,
            description: definition.description.as_deref(),
            default_value: definition.default.as_deref(),
        })
    }
}

/// There is a definition of this name, or what is left of one.
async fn exists(org: &Org, name: &DefinitionName, id: DefinitionId) -> Failure {
    let failure = Failure::invalid(format!("{name} is defined already, as {id}"));
    let lost = match org.definition(id).await {
        Ok(None) => "its row is gone",
        Err(error) if error.kind() == ErrorKind::Damaged => "it is damaged",
        _ => {
            return failure.next(format!(
                "`strongroom define {0} --change` changes it, `strongroom show {0}` shows it",
                word(name.as_str())
            ));
        }
    };
    failure.next(format!(
        "{lost}: `strongroom undo {id} --definition --replace-damaged` brings it back if versions of it are kept, \
         --replace-damaged defines it again otherwise and keeps its values, and `strongroom delete {id} --definition \
         --purge` deletes what is left of it"
    ))
}

fn defined(name: &str, id: String, output: &Output) -> Result<(), Failure> {
    let sentence = format!("defined {name} as {id}");
    output.done(&sentence, &Defined { id, name })
}

/// `None` if there are none.
fn scopes_of(kinds: &[ScopeKind]) -> Option<Scopes> {
    let (first, rest) = kinds.split_first()?;
    Some(rest.iter().fold(Scopes::only(*first), |scopes, kind| scopes.and(*kind)))
}

/// Parses one of the three wire names of a scope.
fn scope_kind(text: &str) -> Result<ScopeKind, UnknownScope> {
    text.parse()
}
