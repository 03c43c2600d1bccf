//! `export`: what a run sees, as a file for a certain reader.

mod target;
mod yaml;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;
use strongroom::{DefinitionName, Org, VarFormat, VariableDefinition};

use self::target::Target;
use super::dangerous_names;
use super::file_format::FileFormat;
use crate::client::Client;
use crate::config::Project;
use crate::failure::{Failure, word};
use crate::files;
use crate::output::{Output, counted};
use crate::pages;
use crate::scope_args::RunArgs;
use crate::seen::{AllSeen, Seen, warn_missing};
use crate::suggest;
use crate::typo::closest;

/// `export` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Export {
    #[command(flatten)]
    args: RunArgs,
    /// The reader of the file: it gets the values byte for byte, or the export is refused. Without it, lines that all
    /// readers of `.env` files read alike
    #[arg(long = "for", value_name = "TARGET", value_enum, conflicts_with = "format")]
    target: Option<Target>,
    /// The format that `import` reads: `env`, or json or yaml, which are the same as with --for
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// Export only this variable; repeat it for several
    #[arg(long, value_name = "NAME")]
    only: Vec<DefinitionName>,
    /// Write to this new file, which only its owner can read, instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The name of the Secret of --for k8s [default: strongroom]
    #[arg(long, value_name = "NAME", value_parser = secret_name, requires = "target")]
    secret_name: Option<String>,
    /// Also write this variable, although it can change which code runs, or holds a key of strongroom; repeat it for
    /// several
    #[arg(long, value_name = "NAME")]
    allow: Vec<String>,
    /// Agree that the values are shown; required for an export. A server notes that in the audit, the store itself does
    /// not
    #[arg(long, required = true)]
    reveal: bool,
}

#[derive(Serialize)]
struct Written {
    file: String,
    variables: usize,
}

#[derive(Serialize)]
struct FileView<'a> {
    #[serde(rename = "for")]
    target: String,
    text: &'a str,
}

/// What will read the file.
enum Reads {
    Target(Target),
    Import,
    Any,
}

impl Reads {
    /// Whether the variables end up as those of a program that the reader starts. JSON and YAML are data that a program
    /// has to read explicitly.
    fn sets_an_environment(&self) -> bool {
        match self {
            Self::Target(target) => !matches!(target, Target::Json | Target::Yaml),
            Self::Import => false,
            Self::Any => true,
        }
    }
}

impl Export {
    /// Fills in from the project what was not typed.
    pub(crate) fn fill_in(&mut self, project: &Project) {
        self.args.fill_in(project);
    }

    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        let AllSeen { mut values, missing_required } = AllSeen::of(org, &self.args).await?;
        if self.only.is_empty() {
            warn_missing(&missing_required, output);
        }
        if let Some(name) = self.keep_only(&mut values) {
            // With a prefix, the vault has it under a longer name.
            if self.args.prefix.is_none() && org.definition(name).await?.is_none() {
                return Err(suggest::undefined(org, name).await);
            }
            return Err(unseen(name, &values));
        }
        let bytes = match self.target {
            Some(Target::K8s) => {
                self.bytes_among(pages::definitions(org).await?.into_iter().map(|one| one.definition))
            }
            _ => BTreeSet::new(),
        };
        self.write(values, &bytes, output)
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        files::refuse_taken(self.output.as_deref())?;
        let AllSeen { mut values, missing_required } = AllSeen::on_server(client, &self.args, &self.only)?;
        warn_missing(&missing_required, output);
        match self.keep_only(&mut values) {
            Some(name) => Err(unseen(name, &values)),
            None => {
                let bytes = match self.target {
                    Some(Target::K8s) => self.bytes_among(client.definitions()?),
                    _ => BTreeSet::new(),
                };
                self.write(values, &bytes, output)
            }
        }
    }

    /// The names of those of format `bytes`, as the run has them.
    fn bytes_among(&self, all: impl IntoIterator<Item = VariableDefinition>) -> BTreeSet<String> {
        let all = all.into_iter().filter(|definition| definition.var_format == VarFormat::Bytes);
        all.filter_map(|definition| self.args.name_in_run(&definition.name).map(str::to_owned)).collect()
    }

    fn write(&self, mut values: Vec<Seen>, bytes: &BTreeSet<String>, output: &Output) -> Result<(), Failure> {
        // The order of ids differs between vaults; names can be compared.
        values.sort_by(|one, other| one.name.cmp(&other.name));
        let reader = self.reader(output);
        if reader.sets_an_environment() {
            let names = values.iter().map(|one| one.name.as_str());
            dangerous_names::refuse(names, &self.allow, "nothing was exported")?;
        }
        let text = match reader {
            Reads::Target(target) => target.write(&values, bytes, self.secret_name.as_deref())?,
            Reads::Import => target::for_import(&values)?,
            Reads::Any => target::for_every_reader(&values)?,
        };
        match &self.output {
            None => self.print(&text, output),
            Some(file) => {
                files::write_new(file, &text)?;
                let (count, file) = (values.len(), file.display().to_string());
                output.done(
                    &format!("{} in {file}", counted(count, "variable")),
                    &Written { file, variables: count },
                )
            }
        }
    }

    fn reader(&self, output: &Output) -> Reads {
        match (self.target, self.format) {
            (Some(target), _) => Reads::Target(target),
            (None, Some(FileFormat::Json)) => Reads::Target(Target::Json),
            (None, Some(FileFormat::Yaml)) => Reads::Target(Target::Yaml),
            (None, Some(FileFormat::Env)) => Reads::Import,
            (None, None) if output.is_json() && self.output.is_none() => Reads::Target(Target::Json),
            (None, None) => Reads::Any,
        }
    }

    /// With `--json`, text in another format is a field of a JSON document.
    fn print(&self, text: &str, output: &Output) -> Result<(), Failure> {
        let target = match self.reader(output) {
            Reads::Target(target) if target != Target::Json => target.name(),
            Reads::Import => "env".to_owned(),
            Reads::Target(_) | Reads::Any => return output.file(text),
        };
        match output.is_json() {
            true => output.json(&FileView { target, text }),
            false => output.file(text),
        }
    }

    /// The requested variables, under their names in the vault.
    pub(crate) fn only_of_vault(&self) -> Vec<DefinitionName> {
        self.only.iter().filter_map(|name| self.args.name_in_vault(name.as_str()).parse().ok()).collect()
    }

    /// Drops what was not requested, unless a requested name has no value here: then returns that name.
    fn keep_only(&self, values: &mut Vec<Seen>) -> Option<&DefinitionName> {
        if self.only.is_empty() {
            return None;
        }
        let absent = |name: &&DefinitionName| !values.iter().any(|one| one.name == name.as_str());
        if let Some(name) = self.only.iter().find(absent) {
            return Some(name);
        }
        values.retain(|one| self.only.iter().any(|name| name.as_str() == one.name));
        None
    }
}

fn unseen(name: &DefinitionName, values: &[Seen]) -> Failure {
    let meant = closest(name.as_str(), values.iter().map(|one| one.name.as_str()));
    Failure::not_found(format!("{name} has no value that a run would see here"))
        .next(format!("`strongroom explain {}` shows where it is looked for", word(name.as_str())))
        .meant(meant)
}

/// A name that Kubernetes accepts: lower case letters, digits, `-` and `.`, at most 253 (RFC 1123).
fn secret_name(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        label.starts_with(ends) && label.ends_with(ends) && label.chars().all(|c| ends(c) || c == '-')
    };
    if text.len() <= 253 && text.split('.').all(is_label) {
        return Ok(text.to_owned());
    }
    Err("a name of a Secret has lower case letters, digits, - and .".to_owned())
}
