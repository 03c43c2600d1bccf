//! Settings: from options, otherwise from the environment, otherwise from a project's file for some of them, otherwise
//! from one file.

mod environment;
mod globals;
mod layer;
mod limits;
mod project;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use strongroom::{Environment, IdError, OrgId, Secret};

pub(crate) use self::globals::Globals;
pub(crate) use self::layer::{ApiKeySource, KeySource};
use self::layer::{Layer, WorksOn};
pub(crate) use self::limits::{LimitSettings, QuotaSettings};
pub(crate) use self::project::{Project, ProjectFile};
use crate::failure::{Failure, repeatable};
use crate::files::places;
use crate::store::{Access, Spec};

/// The configuration of a command.
#[derive(Debug)]
pub(crate) struct Config {
    /// `Some` if the command works on a server; then no store is opened.
    pub(crate) server: Option<Server>,
    pub(crate) store: Spec,
    /// `None` for the default key file of the store, if there is one.
    pub(crate) key: Option<KeySource>,
    pub(crate) org: OrgId,
    /// The org if it was named as an option: some commands then work only on that org.
    pub(crate) named_org: Option<OrgId>,
    pub(crate) environment: Environment,
    /// Where `serve` listens.
    pub(crate) listen: SocketAddr,
    /// The limits of `serve`.
    pub(crate) limits: LimitSettings,
    /// The typed passphrase of the vault.
    pub(crate) typed_passphrase: OnceLock<Secret>,
    /// Whether to open an older copy of the store, or another vault in its place. Only the first one is accepted:
    /// another copy may take its place before the command opens the store again, after an editor or a question.
    pub(crate) accepts_rollback: AtomicBool,
    /// Whether the command may write, so that it advances the mark of the store.
    pub(crate) writes: bool,
    /// Whether the command reads an org, which then must exist.
    pub(crate) expects_org: bool,
    /// How much accounts and orgs may store, whichever command writes.
    pub(crate) quotas: QuotaSettings,
    /// The settings of the project in the working directory.
    pub(crate) project: Project,
}

/// A server and where the API key for it is.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) api_key: ApiKeySource,
    /// For each answer.
    pub(crate) wait: Duration,
    /// What the settings name; the API key must belong to them.
    pub(crate) org: Option<OrgId>,
    pub(crate) environment: Option<Environment>,
    #[cfg(feature = "tls")]
    pub(crate) ca_file: Option<PathBuf>,
}

impl Config {
    pub(crate) fn load(globals: &Globals) -> Result<Self, Failure> {
        let environment = Layer::of_environment()?;
        let file = Layer::of_config(globals)?;
        let project = if globals.no_project { Project::default() } else { Project::find()? };
        let layers = [Layer::of_options(globals), environment, Layer::of_project(&project), file];
        let config = Self::of_layers(layers)?;
        let wait = globals.wait.map(Duration::from_secs);
        let store = config.store.waiting(wait.unwrap_or(STORE_WAIT));
        let of_server = |server: Server| match wait {
            Some(wait) => Server { wait: wait.max(ANSWER_WAIT_MIN), ..server },
            None => server,
        };
        let server = config.server.map(of_server);
        if server.is_some() && (globals.org.is_some() || globals.environment.is_some()) {
            let refused = Failure::usage(
                "--org and --environment choose within a store, and the API key decides on a server",
            );
            return Err(
                refused.next("leave them out, or take STRONGROOM_URL and `url` away to work on a store")
            );
        }
        let (named_org, accepts_rollback) = (globals.org, globals.accept_rollback.into());
        Ok(Self { named_org, accepts_rollback, store, server, project, ..config })
    }

    fn of_layers(layers: impl IntoIterator<Item = Layer>) -> Result<Self, Failure> {
        let (mut key, mut api_key) = (None, None);
        let mut works_on = None;
        let mut merged = Layer::default();
        for mut layer in layers {
            let of_layer = layer.take_api_key()?;
            api_key = api_key.or(of_layer);
            let of_layer = layer.key()?;
            key = key.or(of_layer);
            works_on = works_on.or(layer.works_on()?);
            merged.url = merged.url.or(layer.url);
            #[cfg(feature = "tls")]
            {
                merged.ca_file = merged.ca_file.or(layer.ca_file);
            }
            merged.store = merged.store.or(layer.store);
            merged.org = merged.org.or(layer.org);
            merged.environment = merged.environment.or(layer.environment);
            merged.listen = merged.listen.or(layer.listen);
            merged.limits = merged.limits.or(&layer.limits);
            merged.quotas = merged.quotas.or(&layer.quotas);
        }
        let server = match works_on {
            Some(WorksOn::Server) => Some(Server {
                org: merged.org,
                environment: merged.environment.clone(),
                #[cfg(feature = "tls")]
                ca_file: merged.ca_file,
                ..Server::of(merged.url, api_key)?
            }),
            _ => None,
        };
        let store = match (merged.store.as_deref(), &server) {
            (Some(spec), _) => spec.parse::<Spec>()?,
            (None, None) => default_store()?,
            // It is not opened, and whoever only calls a server needs no home directory.
            (None, Some(_)) => Spec::at(PathBuf::new()),
        };
        Ok(Self {
            server,
            store,
            key,
            org: merged.org.map_or_else(|| DEFAULT_ORG.parse().map_err(as_usage), Ok)?,
            named_org: None,
            environment: merged.environment.unwrap_or_else(Environment::test),
            listen: merged.listen.unwrap_or(DEFAULT_LISTEN),
            limits: merged.limits,
            typed_passphrase: OnceLock::new(),
            accepts_rollback: AtomicBool::new(false),
            writes: true,
            expects_org: false,
            quotas: merged.quotas,
            project: Project::default(),
        })
    }

    /// The access with which the command opens the store. One that accepts an older store records that it did.
    pub(crate) fn access(&self) -> Access {
        if self.writes || self.accepts_rollback() { Access::Write } else { Access::Read }
    }

    pub(crate) fn accepts_rollback(&self) -> bool {
        self.accepts_rollback.load(Ordering::Relaxed)
    }

    /// The rollback was accepted for the store that is open; any other is refused.
    pub(crate) fn accept_no_other(&self) {
        self.accepts_rollback.store(false, Ordering::Relaxed);
    }

    /// Whether the org is the default org.
    pub(crate) fn has_default_org(&self) -> bool {
        is_default_org(&self.org.to_string())
    }

    /// The default root key file of this store; `None` for a store without a path.
    pub(crate) fn default_key_file(&self) -> Result<Option<PathBuf>, Failure> {
        self.store.path().map_or(Ok(None), default_key_file_of)
    }
}

impl Server {
    fn of(url: Option<String>, api_key: Option<ApiKeySource>) -> Result<Self, Failure> {
        let url = url.filter(|url| url.starts_with("http://") || url.starts_with("https://"));
        let url = url.ok_or_else(|| {
            Failure::usage("a URL starts with http:// or https://").next("write it as http://127.0.0.1:7077")
        })?;
        let Some(api_key) = api_key else {
            return Err(Failure::usage("a server needs an API key")
                .next("name its file with --api-key-file, or set STRONGROOM_API_KEY"));
        };
        Ok(Self {
            url,
            api_key,
            wait: ANSWER_WAIT,
            org: None,
            environment: None,
            #[cfg(feature = "tls")]
            ca_file: None,
        })
    }
}

pub(crate) fn is_default_org(org: &str) -> bool {
    org == DEFAULT_ORG
}

/// Where a server is asked for its health, which needs no key.
#[derive(Debug)]
pub(crate) struct Reach {
    /// The named server, otherwise one on this machine that listens as configured.
    pub(crate) url: String,
    #[cfg(feature = "tls")]
    pub(crate) ca_file: Option<PathBuf>,
}

impl Reach {
    /// A server that is named as an argument or in the environment is found without the configuration file.
    pub(crate) fn find(named: Option<String>, globals: &Globals) -> Result<Self, Failure> {
        let environment = Layer::of_environment()?;
        let url = named.or_else(|| globals.url.clone()).or(environment.url);
        let file = if url.is_some() { Layer::default() } else { Layer::of_config(globals)? };
        let listen = environment.listen.or(file.listen).unwrap_or(DEFAULT_LISTEN);
        let url = url.or(file.url).unwrap_or_else(|| format!("http://{}", reachable(listen)));
        #[cfg(feature = "tls")]
        let ca_file = globals.ca_file.clone().or(environment.ca_file).or(file.ca_file);
        Ok(Self {
            url,
            #[cfg(feature = "tls")]
            ca_file,
        })
    }
}

/// Where a server on this machine is reached that listens there: one that listens at every address, at the loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The default key file of a store or backup at this path.
pub(crate) fn default_key_file_of(path: &Path) -> Result<Option<PathBuf>, Failure> {
    let unusable = |error| Failure::usage(format!("{} cannot be used: {error}", repeatable::file(path)));
    places::key_file(path).map_err(unusable)
}

fn default_store() -> Result<Spec, Failure> {
    let path = places::default_store().ok_or_else(|| {
        Failure::usage("this user has no home directory for a store").next("name one with --store")
    })?;
    Ok(Spec::at(path))
}

/// Reads where to listen; a name is not looked up, since it could be another address tomorrow.
pub(crate) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "it is an address and port, such as 127.0.0.1:7077".to_owned())
}

fn as_usage(error: IdError) -> Failure {
    Failure::usage(error.to_string())
}

const STORE_WAIT: Duration = Duration::from_secs(5);
const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// Without any, no server would ever answer in time.
const ANSWER_WAIT_MIN: Duration = Duration::from_secs(1);
/// The org of a user who needs only one.
const DEFAULT_ORG: &str = "000000000000000000000001";
/// Only reachable from this machine.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7077);

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
    fn the_first_layer_with_a_setting_counts() {
        let layers = [Layer::default(), layer("a", None, Some("p")), layer("b", Some("k"), None)];
        let config = Config::of_layers(layers).unwrap();
        assert_eq!(config.store.path(), Some(Path::new("a")));
        assert_eq!(config.key, Some(KeySource::PassphraseFile("p".into())));
        assert_eq!(config.environment.as_str(), "test");
    }

    #[test]
    fn a_server_that_listens_at_every_address_is_reached_at_the_loopback() {
        let at = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(at("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(at("[::]:80"), "[::1]:80");
        assert_eq!(at("10.0.0.1:80"), "10.0.0.1:80");
    }

    #[test]
    fn two_keys_in_one_layer_are_refused() {
        assert!(
            Config::of_layers([layer("a", Some("k"), Some("p")), Layer::default(), Layer::default()])
                .is_err()
        );
    }

    #[test]
    fn a_key_file_is_not_beside_its_store() {
        let config =
            Config::of_layers([layer("/x/data", None, None), Layer::default(), Layer::default()]).unwrap();
        let file = config.default_key_file().unwrap().unwrap();
        assert!(
            file.ends_with("strongroom/keys/x/data.key") && !file.starts_with("/x"),
            "{}",
            file.display()
        );
    }
}
