//! `export`: what a run sees, as a file.

use serde::{Serialize, Serializer};
use strongroom::{Org, Resolved, ScopePath};
use zeroize::Zeroizing;

use crate::args::FileFormat;
use crate::failure::Failure;
use crate::output::Output;

/// Names and values, as one object.
struct Pairs<'a>(&'a [Resolved]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|one| (&one.name, one.value.expose())))
    }
}

pub(crate) async fn run(
    org: &Org,
    path: &ScopePath,
    format: FileFormat,
    output: &Output,
) -> Result<(), Failure> {
    let mut values = org.resolve_all(path).await?.values;
    // The ids of what was made at one moment are in no order that would be the same in another vault.
    values.sort_by(|one, other| one.name.cmp(&other.name));
    if output.is_json() || format == FileFormat::Json {
        return output.json(&Pairs(&values));
    }
    let pairs = values.iter().map(|one| (one.name.as_str(), one.value.expose()));
    let text = strongroom_dotenv::write(pairs).map_err(|error| {
        let name = values.get(error.index).map_or("", |one| one.name.as_str());
        Failure::invalid(format!("{name} cannot stand in a .env file"))
            .next("`--format json` takes every name")
    })?;
    output.verbatim(&Zeroizing::new(text))
}
