//! The settings from one source: the options, the environment or the file.

use std::fmt::Display;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use strongroom::{Environment, OrgId, Secret};

use super::environment;
use super::globals::Globals;
use super::limits::{LimitSettings, QuotaSettings};
use super::project::Project;
use super::socket_address;
use crate::failure::{Exit, Failure, repeatable};
use crate::files::{places, refuse_foreign};

/// The file that opens the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    RootKeyFile(PathBuf),
    PassphraseFile(PathBuf),
}

/// Where the API key for a server comes from.
#[derive(Debug)]
pub(crate) enum ApiKeySource {
    File(PathBuf),
    /// From the environment.
    Given(Secret),
}

/// What a layer chooses to work on.
pub(super) enum WorksOn {
    Store,
    Server,
}

/// Where the settings of a layer were written.
#[derive(Debug, Default)]
pub(super) enum Source {
    #[default]
    Options,
    Environment,
    File(PathBuf),
}

/// The settings from one source.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Layer {
    #[serde(skip)]
    pub(super) source: Source,
    pub(super) store: Option<String>,
    pub(super) root_key_file: Option<PathBuf>,
    pub(super) passphrase_file: Option<PathBuf>,
    pub(super) url: Option<String>,
    pub(super) api_key_file: Option<PathBuf>,
    #[cfg(feature = "tls")]
    pub(super) ca_file: Option<PathBuf>,
    /// Only from the environment.
    #[serde(skip)]
    pub(super) api_key: Option<Secret>,
    #[serde(default, deserialize_with = "setting")]
    pub(super) org: Option<OrgId>,
    #[serde(default, deserialize_with = "setting")]
    pub(super) environment: Option<Environment>,
    #[serde(default, deserialize_with = "listen")]
    pub(super) listen: Option<SocketAddr>,
    #[serde(default)]
    pub(super) limits: LimitSettings,
    #[serde(default)]
    pub(super) quotas: QuotaSettings,
}

impl Layer {
    pub(super) fn of_options(globals: &Globals) -> Self {
        Self {
            source: Source::Options,
            store: globals.store.clone(),
            root_key_file: globals.root_key_file.clone(),
            passphrase_file: globals.passphrase_file.clone(),
            url: globals.url.clone(),
            api_key_file: globals.api_key_file.clone(),
            #[cfg(feature = "tls")]
            ca_file: globals.ca_file.clone(),
            api_key: None,
            org: globals.org,
            environment: globals.environment.clone(),
            listen: None,
            limits: LimitSettings::default(),
            quotas: QuotaSettings::default(),
        }
    }

    /// The project's choices among these settings.
    pub(super) fn of_project(project: &Project) -> Self {
        Self { environment: project.environment.clone(), ..Self::default() }
    }

    pub(super) fn of_environment() -> Result<Self, Failure> {
        Ok(Self {
            source: Source::Environment,
            store: environment::text("STORE")?,
            root_key_file: environment::text("ROOT_KEY_FILE")?.map(PathBuf::from),
            passphrase_file: environment::text("PASSPHRASE_FILE")?.map(PathBuf::from),
            url: environment::text("URL")?,
            api_key_file: environment::text("API_KEY_FILE")?.map(PathBuf::from),
            #[cfg(feature = "tls")]
            ca_file: environment::text("CA_FILE")?.map(PathBuf::from),
            api_key: environment::text("API_KEY")?.map(Secret::from),
            org: environment::parsed("ORG")?,
            environment: environment::parsed("ENVIRONMENT")?,
            listen: environment::text("LISTEN")?
                .map(|text| socket_address(&text))
                .transpose()
                .map_err(|error| Failure::usage(format!("STRONGROOM_LISTEN: {error}")))?,
            limits: LimitSettings::of_environment()?,
            quotas: QuotaSettings::of_environment()?,
        })
    }

    /// The configuration file; that of the user's directory may be missing.
    pub(super) fn of_config(globals: &Globals) -> Result<Self, Failure> {
        match globals.config.clone().or(environment::text("CONFIG")?.map(PathBuf::from)) {
            Some(path) => Self::of_file(&path)?.ok_or_else(|| missing(&path)),
            None => {
                Ok(places::config_file().map_or(Ok(None), |path| Self::of_file(&path))?.unwrap_or_default())
            }
        }
    }

    /// `None` if there is no such file.
    fn of_file(path: &Path) -> Result<Option<Self>, Failure> {
        refuse_foreign(path, Exit::Usage)?;
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|error| Failure::usage(unreadable(path, &error)))?,
        };
        let layer = toml::from_str(&text);
        let with_source = |layer| Some(Self { source: Source::File(path.to_owned()), ..layer });
        layer.map(with_source).map_err(|error| {
            Failure::usage(at_line(path, &text, &error))
                .next("correct that line, or name another file with --config")
        })
    }

    /// Store or server: the nearest layer that names one of them decides.
    pub(super) fn works_on(&self) -> Result<Option<WorksOn>, Failure> {
        match (&self.store, &self.url) {
            (Some(_), Some(_)) => Err(self.both("store", "url")),
            (Some(_), None) => Ok(Some(WorksOn::Store)),
            (None, Some(_)) => Ok(Some(WorksOn::Server)),
            (None, None) => Ok(None),
        }
    }

    pub(super) fn take_api_key(&mut self) -> Result<Option<ApiKeySource>, Failure> {
        match (self.api_key_file.take(), self.api_key.take()) {
            (Some(_), Some(_)) => Err(self.both("api_key_file", "api_key")),
            (Some(file), None) => Ok(Some(ApiKeySource::File(file))),
            (None, Some(key)) => Ok(Some(ApiKeySource::Given(key))),
            (None, None) => Ok(None),
        }
    }

    pub(super) fn key(&self) -> Result<Option<KeySource>, Failure> {
        match (&self.root_key_file, &self.passphrase_file) {
            (Some(_), Some(_)) => Err(self.both("root_key_file", "passphrase_file")),
            (Some(file), None) => Ok(Some(KeySource::RootKeyFile(file.clone()))),
            (None, Some(file)) => Ok(Some(KeySource::PassphraseFile(file.clone()))),
            (None, None) => Ok(None),
        }
    }
}

impl Layer {
    /// The failure for two settings that exclude each other, named as they are written in this layer.
    fn both(&self, one: &str, other: &str) -> Failure {
        let (one, other, place) = match &self.source {
            Source::Options => (option(one), option(other), String::new()),
            Source::Environment => (variable(one), variable(other), String::new()),
            Source::File(path) => {
                (format!("`{one}`"), format!("`{other}`"), format!(" in {}", repeatable::file(path)))
            }
        };
        Failure::usage(format!("{one} and {other} are both set{place}: keep one")).next(match self.source {
            Source::Options => "leave one of them out",
            Source::Environment => "unset one of them",
            Source::File(_) => "delete one of the two lines",
        })
    }
}

fn option(setting: &str) -> String {
    format!("--{}", setting.replace('_', "-"))
}

fn variable(setting: &str) -> String {
    format!("STRONGROOM_{}", setting.to_uppercase())
}

/// Parses a setting of a file where it is read, so that the refusal has its line.
pub(super) fn setting<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(D::Error::custom)
}

fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    socket_address(&text).map(Some).map_err(D::Error::custom)
}

/// What is wrong with a file, and where.
pub(super) fn at_line(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let lines_before = |end: usize| text.bytes().take(end).filter(|byte| *byte == b'\n').count();
    let line = error.span().map_or(1, |span| 1 + lines_before(span.start));
    // The name of the setting is before its `=`; the rest may be a secret.
    let setting =
        text.lines().nth(line - 1).and_then(|text| text.split_once('=')).map(|(name, _)| name.trim());
    let setting = setting
        .filter(|name| repeatable::word(name).is_some() && !error.message().contains(&format!("`{name}`")));
    let setting = setting.map_or(String::new(), |name| format!("{name}: "));
    format!("{}, line {line}: {setting}{}", path.display(), error.message())
}

fn missing(path: &Path) -> Failure {
    Failure::usage(format!("there is no configuration file {}", repeatable::file(path)))
        .next("name another one with --config, or leave it out")
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("{} could not be read: {error}", path.display())
}
