//! `export`: what a run sees, as a file.

use serde::{Serialize, Serializer};
use strongroom::{Org, Resolved};
use zeroize::Zeroizing;

use super::file_format::FileFormat;
use crate::failure::Failure;
use crate::output::Output;
use crate::scope_args::PathArgs;
use crate::suggest;

/// `export` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    #[command(flatten)]
    path: PathArgs,
    /// The format of the file
    #[arg(long, value_enum, default_value_t)]
    format: FileFormat,
    /// Agree that the values are shown; nothing is exported without it
    #[arg(long, required = true)]
    reveal: bool,
}

/// One object of names and values.
struct Pairs<'a>(&'a [Resolved]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|one| (&one.name, one.value.expose())))
    }
}

impl Export {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        suggest::refuse_unknown_account(org, &self.path).await?;
        let mut values = org.resolve_all(&self.path.path()).await?.values;
        // The order of ids differs from vault to vault; names can be compared.
        values.sort_by(|one, other| one.name.cmp(&other.name));
        if output.is_json() || self.format == FileFormat::Json {
            return output.json(&Pairs(&values));
        }
        let pairs = values.iter().map(|one| (one.name.as_str(), one.value.expose()));
        let text = strongroom_dotenv::write(pairs).map_err(|error| {
            let name = values.get(error.index).map_or("", |one| one.name.as_str());
            Failure::invalid(format!("a .env file cannot hold the name {name}"))
                .next("`--format json` takes every name")
        })?;
        output.file(&Zeroizing::new(text))
    }
}
