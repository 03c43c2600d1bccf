//! `.strongroom.toml`: what a project asks of the commands that are run in it.

use std::env;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use strongroom::LinkedAccountId;

use crate::failure::{Exit, Failure};
use crate::files::refuse_foreign;

/// What a project chooses. Never a store or a key: whoever can write to its directory could choose them, and values
/// would be sealed under a key that is not the user's.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Project {
    pub(crate) environment: Option<String>,
    /// Of what a run sees.
    #[serde(default, deserialize_with = "account")]
    pub(crate) account: Option<LinkedAccountId>,
    /// The beginning of the names of the project's variables, which its commands do not have.
    pub(crate) prefix: Option<String>,
}

impl Project {
    /// The nearest file of a project, in the working directory or above it; none set anything if there is no such file.
    pub(super) fn find() -> Result<Self, Failure> {
        let Ok(directory) = env::current_dir() else { return Ok(Self::default()) };
        let mut files = directory.ancestors().map(|above| above.join(FILE_NAME));
        match files.find(|file| file.symlink_metadata().is_ok()) {
            Some(file) => Self::read(&file),
            None => Ok(Self::default()),
        }
    }

    fn read(file: &Path) -> Result<Self, Failure> {
        let next = "a project names an environment, an account and a prefix; --no-project leaves it out";
        refuse_foreign(file, Exit::Usage).map_err(|refused| {
            let step = format!("{}; --no-project leaves the file out", refused.next.unwrap_or_default());
            Failure { next: Some(step), ..refused }
        })?;
        let text = fs::read_to_string(file).map_err(|error| {
            Failure::usage(format!("{} could not be read: {error}", file.display())).next(next)
        })?;
        toml::from_str(&text)
            .map_err(|error| Failure::usage(super::layer::at_line(file, &text, &error)).next(next))
    }
}

fn account<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<LinkedAccountId>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

const FILE_NAME: &str = ".strongroom.toml";
