//! Settings: from options, else from the environment, else from one file.

use std::env;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use strongroom::{Environment, IdError, OrgId};

use crate::args::Globals;
use crate::failure::Failure;
use crate::limits::LimitSettings;
use crate::store::Spec;

/// What a command works with.
#[derive(Debug)]
pub(crate) struct Config {
    /// `Some`: a server is asked, and no store is opened.
    pub(crate) server: Option<Server>,
    pub(crate) store: Spec,
    /// `None`: the key file of the store, if there is one.
    pub(crate) key: Option<KeySource>,
    pub(crate) org: OrgId,
    pub(crate) environment: Environment,
    /// Where `serve` listens.
    pub(crate) listen: SocketAddr,
    /// What `serve` takes at most.
    pub(crate) limits: LimitSettings,
}

/// A server and where the key to it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) api_key_file: PathBuf,
}

/// Which file opens the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    RootKeyFile(PathBuf),
    PassphraseFile(PathBuf),
}

impl Config {
    pub(crate) fn load(globals: &Globals) -> Result<Self, Failure> {
        let environment = Layer::of_environment()?;
        let file = match globals.config.clone().or(variable("CONFIG")?.map(PathBuf::from)) {
            Some(path) => Layer::of_file(&path)?.ok_or_else(|| missing(&path))?,
            None => default_path().map_or(Ok(None), |path| Layer::of_file(&path))?.unwrap_or_default(),
        };
        Self::of_layers([Layer::of_options(globals), environment, file])
    }

    fn of_layers(layers: [Layer; 3]) -> Result<Self, Failure> {
        let mut key = None;
        let mut works_on = None;
        let mut merged = Layer::default();
        for layer in layers {
            let of_layer = layer.key()?;
            key = key.or(of_layer);
            works_on = works_on.or(layer.works_on()?);
            merged.url = merged.url.or(layer.url);
            merged.api_key_file = merged.api_key_file.or(layer.api_key_file);
            merged.store = merged.store.or(layer.store);
            merged.org = merged.org.or(layer.org);
            merged.environment = merged.environment.or(layer.environment);
            merged.listen = merged.listen.or(layer.listen);
            merged.limits = merged.limits.or(&layer.limits);
        }
        let org = merged.org.as_deref().unwrap_or(DEFAULT_ORG);
        let environment = merged.environment.as_deref().unwrap_or(DEFAULT_ENVIRONMENT);
        let server = match works_on {
            Some(WorksOn::Server) => Some(Server::of(merged.url, merged.api_key_file)?),
            _ => None,
        };
        Ok(Self {
            server,
            store: merged.store.as_deref().unwrap_or(DEFAULT_STORE).parse()?,
            key,
            org: org.parse().map_err(as_usage)?,
            environment: environment.parse().map_err(as_usage)?,
            listen: match merged.listen {
                Some(text) => socket_address(&text).map_err(Failure::usage)?,
                None => DEFAULT_LISTEN,
            },
            limits: merged.limits,
        })
    }

    /// Where the root key of this store is kept unless another file is named; `None` for one that is not kept in a file.
    pub(crate) fn default_key_file(&self) -> Option<PathBuf> {
        let mut name = self.store.path()?.as_os_str().to_owned();
        name.push(".key");
        Some(PathBuf::from(name))
    }
}

impl Server {
    fn of(url: Option<String>, api_key_file: Option<PathBuf>) -> Result<Self, Failure> {
        let url = url.filter(|url| url.starts_with("http://") || url.starts_with("https://"));
        let url = url.ok_or_else(|| Failure::usage("a URL starts with http:// or https://"))?;
        let Some(api_key_file) = api_key_file else {
            return Err(Failure::usage("a server needs a key").next("name its file with --api-key-file"));
        };
        Ok(Self { url, api_key_file })
    }
}

enum WorksOn {
    Store,
    Server,
}

/// The settings of one place.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layer {
    store: Option<String>,
    root_key_file: Option<PathBuf>,
    passphrase_file: Option<PathBuf>,
    url: Option<String>,
    api_key_file: Option<PathBuf>,
    org: Option<String>,
    environment: Option<String>,
    listen: Option<String>,
    #[serde(default)]
    limits: LimitSettings,
}

impl Layer {
    fn of_options(globals: &Globals) -> Self {
        Self {
            store: globals.store.clone(),
            root_key_file: globals.root_key_file.clone(),
            passphrase_file: globals.passphrase_file.clone(),
            url: globals.url.clone(),
            api_key_file: globals.api_key_file.clone(),
            org: globals.org.map(|org| org.to_string()),
            environment: globals.environment.as_ref().map(ToString::to_string),
            listen: None,
            limits: LimitSettings::default(),
        }
    }

    fn of_environment() -> Result<Self, Failure> {
        Ok(Self {
            store: variable("STORE")?,
            root_key_file: variable("ROOT_KEY_FILE")?.map(PathBuf::from),
            passphrase_file: variable("PASSPHRASE_FILE")?.map(PathBuf::from),
            url: variable("URL")?,
            api_key_file: variable("API_KEY_FILE")?.map(PathBuf::from),
            org: variable("ORG")?,
            environment: variable("ENVIRONMENT")?,
            listen: variable("LISTEN")?,
            limits: LimitSettings::of_environment()?,
        })
    }

    /// `None` where there is no such file.
    fn of_file(path: &Path) -> Result<Option<Self>, Failure> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|error| Failure::usage(unreadable(path, &error)))?,
        };
        let layer = toml::from_str(&text);
        layer.map(Some).map_err(|error| {
            let at = error
                .span()
                .map_or(1, |span| 1 + text.bytes().take(span.start).filter(|b| *b == b'\n').count());
            Failure::usage(format!("{}, line {at}: {}", path.display(), error.message()))
        })
    }

    /// The nearest layer that names a store or a server decides which of them it is.
    fn works_on(&self) -> Result<Option<WorksOn>, Failure> {
        match (&self.store, &self.url) {
            (Some(_), Some(_)) => Err(Failure::usage("a store and a server are both set: keep one")),
            (Some(_), None) => Ok(Some(WorksOn::Store)),
            (None, Some(_)) => Ok(Some(WorksOn::Server)),
            (None, None) => Ok(None),
        }
    }

    fn key(&self) -> Result<Option<KeySource>, Failure> {
        match (&self.root_key_file, &self.passphrase_file) {
            (Some(_), Some(_)) => {
                Err(Failure::usage("a root key file and a passphrase file are both set: keep one"))
            }
            (Some(file), None) => Ok(Some(KeySource::RootKeyFile(file.clone()))),
            (None, Some(file)) => Ok(Some(KeySource::PassphraseFile(file.clone()))),
            (None, None) => Ok(None),
        }
    }
}

/// A variable of the environment; an empty one counts as not set.
pub(crate) fn variable(name: &str) -> Result<Option<String>, Failure> {
    let name = ["STRONGROOM_", name].concat();
    let value = env::var_os(&name).filter(|value| !value.is_empty());
    value
        .map(|value| value.into_string().map_err(|_| Failure::usage(format!("{name} is not UTF-8"))))
        .transpose()
}

/// Never in the working directory: whoever can write there would choose the store and the key.
fn default_path() -> Option<PathBuf> {
    let base = if cfg!(windows) {
        env::var_os("APPDATA").map(PathBuf::from)
    } else {
        let named = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        named.or_else(|| env::home_dir().map(|home| home.join(".config")))
    };
    base.map(|base| base.join("strongroom").join("config.toml"))
}

fn missing(path: &Path) -> Failure {
    Failure::usage(format!("there is no configuration file {}", path.display()))
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("{} could not be read: {error}", path.display())
}

/// Reads where to listen; a name is not looked up, since it could be another address tomorrow.
pub(crate) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text} is not an address and port, such as 127.0.0.1:7077"))
}

fn as_usage(error: IdError) -> Failure {
    Failure::usage(error.to_string())
}

const DEFAULT_STORE: &str = "strongroom-data";
/// The org of someone who needs only one.
const DEFAULT_ORG: &str = "000000000000000000000001";
/// Of this machine alone.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7077);
const DEFAULT_ENVIRONMENT: &str = "test";

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(store: &str, key: Option<&str>, passphrase: Option<&str>) -> Layer {
        Layer {
            store: Some(store.to_owned()),
            root_key_file: key.map(PathBuf::from),
            passphrase_file: passphrase.map(PathBuf::from),
            ..Layer::default()
        }
    }

    #[test]
    fn the_first_layer_that_says_something_counts() {
        let layers = [Layer::default(), layer("a", None, Some("p")), layer("b", Some("k"), None)];
        let config = Config::of_layers(layers).unwrap();
        assert_eq!(config.store.path(), Some(Path::new("a")));
        assert_eq!(config.key, Some(KeySource::PassphraseFile("p".into())));
        assert_eq!(config.environment.as_str(), "test");
    }

    #[test]
    fn two_keys_in_one_layer_are_refused() {
        assert!(
            Config::of_layers([layer("a", Some("k"), Some("p")), Layer::default(), Layer::default()])
                .is_err()
        );
    }

    #[test]
    fn a_key_file_stands_beside_its_store() {
        let config =
            Config::of_layers([layer("x/data", None, None), Layer::default(), Layer::default()]).unwrap();
        assert_eq!(config.default_key_file(), Some(PathBuf::from("x/data.key")));
    }
}
