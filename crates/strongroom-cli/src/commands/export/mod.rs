//! `export`: what a run sees, as a file for who reads it.

mod target;
mod yaml;

use std::path::PathBuf;

use serde::Serialize;
use strongroom::{DefinitionName, Org, Resolved};

use self::target::Target;
use super::file_format::FileFormat;
use crate::failure::Failure;
use crate::files;
use crate::output::Output;
use crate::scope_args::PathArgs;
use crate::suggest;
use crate::typo::closest;

/// `export` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    #[command(flatten)]
    path: PathArgs,
    /// What reads the file: it gets the values byte for byte, or the export is refused. Without it, lines that all
    /// readers of `.env` files read alike
    #[arg(long = "for", value_name = "TARGET", value_enum, conflicts_with = "format")]
    target: Option<Target>,
    /// What `import` reads: `env`, or json or yaml, which are the same as with --for
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// Export only this variable; repeat it for several
    #[arg(long, value_name = "NAME")]
    only: Vec<DefinitionName>,
    /// Write to this new file, which only its owner can read, instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The name of the Secret of --for k8s
    #[arg(long, value_name = "NAME", default_value = "strongroom", value_parser = secret_name)]
    secret_name: String,
    /// Agree that the values are shown; nothing is exported without it
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

impl Export {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        suggest::refuse_unknown_account(org, &self.path).await?;
        let mut values = org.resolve_all(&self.path.path()).await?.values;
        self.keep_only(org, &mut values).await?;
        // The order of ids differs from vault to vault; names can be compared.
        values.sort_by(|one, other| one.name.cmp(&other.name));
        let text = match self.reader(output) {
            Reads::Target(target) => target.write(&values, &self.secret_name)?,
            Reads::Import => target::for_import(&values)?,
            Reads::Any => target::for_every_reader(&values)?,
        };
        match &self.output {
            None => self.print(&text, output),
            Some(file) => {
                files::write_new(file, &text)?;
                let (count, file) = (values.len(), file.display().to_string());
                output.done(&format!("{count} variables in {file}"), &Written { file, variables: count })
            }
        }
    }

    fn reader(&self, output: &Output) -> Reads {
        match (self.target, self.format) {
            (Some(target), _) => Reads::Target(target),
            (None, Some(FileFormat::Json)) => Reads::Target(Target::Json),
            (None, Some(FileFormat::Yaml)) => Reads::Target(Target::Yaml),
            (None, _) if output.is_json() && self.output.is_none() => Reads::Target(Target::Json),
            (None, Some(FileFormat::Env)) => Reads::Import,
            (None, None) => Reads::Any,
        }
    }

    /// With `--json`, a text of another form is a field of a document.
    fn print(&self, text: &str, output: &Output) -> Result<(), Failure> {
        match self.target {
            Some(target) if output.is_json() && target != Target::Json => {
                output.json(&FileView { target: target.name(), text })
            }
            _ => output.file(text),
        }
    }

    /// Drops what was not asked for; fails for a name that has no value here.
    async fn keep_only(&self, org: &Org, values: &mut Vec<Resolved>) -> Result<(), Failure> {
        if self.only.is_empty() {
            return Ok(());
        }
        for name in &self.only {
            if values.iter().any(|one| one.name == *name) {
                continue;
            }
            if org.definition(name).await?.is_none() {
                return Err(suggest::undefined(org, name).await);
            }
            let meant = closest(name.as_str(), values.iter().map(|one| one.name.as_str()));
            return Err(Failure::not_found(format!("{name} has no value that a run would see here"))
                .next(format!("`strongroom explain {name}` shows where it is looked for"))
                .meant(meant));
        }
        values.retain(|one| self.only.iter().any(|name| *name == one.name));
        Ok(())
    }
}

/// A name as Kubernetes takes it: lower case letters, digits, `-` and `.`, at most 253 (RFC 1123).
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
