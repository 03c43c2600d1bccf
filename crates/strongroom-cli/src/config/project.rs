//! `.strongroom.toml`: a project's settings for the commands that are run in it.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use strongroom::{Environment, LinkedAccountId};

use super::layer::setting;
use crate::failure::{Exit, Failure};
use crate::files::{places, refuse_foreign, write_new};

/// The choices of a project. Never a store or a key: anyone who can write to its directory could choose them, and
/// values would be sealed under a key that is not the user's.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Project {
    #[serde(default, deserialize_with = "setting")]
    pub(crate) environment: Option<Environment>,
    /// The account of a run.
    #[serde(default, deserialize_with = "setting")]
    pub(crate) account: Option<LinkedAccountId>,
    /// The prefix of the names of the project's variables in the vault, which its commands do not see.
    pub(crate) prefix: Option<String>,
}

/// The file of a project.
pub(crate) struct ProjectFile {
    pub(crate) path: PathBuf,
    pub(crate) project: Project,
    /// The file that records that this user allows it; `None` for a user without a home directory.
    allowance: Option<PathBuf>,
}

impl Project {
    /// The choices of the nearest file; none if there is no such file.
    ///
    /// A file from somebody else's project belongs to this user once it is cloned or unpacked, so its choices count
    /// only after this user allowed it, at this place and with these bytes.
    pub(super) fn find() -> Result<Self, Failure> {
        let Some(file) = ProjectFile::find()? else { return Ok(Self::default()) };
        if file.project.chosen().is_empty() || file.is_allowed()? {
            return Ok(file.project);
        }
        let chosen = file.project.chosen().join(", ");
        Err(Failure::usage(format!("{} chooses {chosen}, and you have not allowed it", file.path.display()))
            .next("`strongroom allow` allows it as it is; --no-project leaves it out"))
    }

    /// Its settings, for people.
    pub(crate) fn chosen(&self) -> Vec<String> {
        let environment = self.environment.as_ref().map(|name| format!("the environment {name}"));
        let account = self.account.as_ref().map(|id| format!("the account {id}"));
        let prefix = self.prefix.as_ref().map(|prefix| format!("the prefix {prefix}"));
        [environment, account, prefix].into_iter().flatten().collect()
    }
}

impl ProjectFile {
    /// The nearest one, in the working directory or above it.
    pub(crate) fn find() -> Result<Option<Self>, Failure> {
        let Ok(directory) = env::current_dir() else { return Ok(None) };
        let mut files = directory.ancestors().map(|above| above.join(FILE_NAME));
        files.find(|file| file.symlink_metadata().is_ok()).map(Self::read).transpose()
    }

    fn read(path: PathBuf) -> Result<Self, Failure> {
        let next = "a project names an environment, an account and a prefix; --no-project leaves it out";
        refuse_foreign(&path, Exit::Usage).map_err(|refused| {
            let step = format!("{}; --no-project leaves the file out", refused.next.unwrap_or_default());
            Failure { next: Some(step), ..refused }
        })?;
        let text = read_small(&path).map_err(|error| {
            Failure::usage(format!("{} could not be read: {error}", path.display())).next(next)
        })?;
        let project = toml::from_str(&text)
            .map_err(|error| Failure::usage(super::layer::at_line(&path, &text, &error)).next(next))?;
        // However the working directory was reached.
        let place = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        let allowance = places::project_allowance(&place, &text);
        Ok(Self { path, project, allowance })
    }

    fn is_allowed(&self) -> Result<bool, Failure> {
        let Some(file) = self.allowance.as_ref().filter(|file| file.symlink_metadata().is_ok()) else {
            return Ok(false);
        };
        refuse_foreign(file, Exit::Usage).map(|()| true)
    }

    /// Records that this user allows its choices, as long as it has these bytes and is at this place.
    pub(crate) fn allow(&self) -> Result<(), Failure> {
        if self.is_allowed()? {
            return Ok(());
        }
        let file = self.allowance.as_ref().ok_or_else(|| {
            Failure::usage("this user has no home directory to note it in").next("use --environment instead")
        })?;
        places::make_own_dirs(file)
            .map_err(|error| Failure::usage(format!("{} could not be written: {error}", file.display())))?;
        write_new(file, &format!("{}\n", self.path.display()))
    }
}

/// Reads a short text. An input that is not a file, such as a pipe, could block a command forever, and a link could
/// lead to what a command was given as its input.
fn read_small(path: &Path) -> io::Result<String> {
    if !path.symlink_metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut text = String::new();
    File::open(path)?.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {BYTES_MAX} bytes")));
    }
    Ok(text)
}

const FILE_NAME: &str = ".strongroom.toml";
const BYTES_MAX: u64 = 16 << 10;
