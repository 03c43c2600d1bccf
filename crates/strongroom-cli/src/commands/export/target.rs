//! The readers of an export, and the text that each reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use strongroom::VarFormat;
use strongroom_dotenv::{Reader, write_for};
use zeroize::Zeroizing;

use super::yaml;
use crate::failure::Failure;
use crate::output::compact_json;
use crate::seen::Seen;

/// What reads the exported file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// The npm package `dotenv`, from 16 on
    DotenvNode,
    /// `node --env-file`
    Node,
    /// The Python package `python-dotenv`
    Python,
    /// `docker run --env-file`
    Docker,
    /// `env_file` and `.env` of Docker Compose
    Compose,
    /// A shell that sources the file: sh, dash, bash or zsh
    Shell,
    /// `EnvironmentFile=` of a systemd unit
    Systemd,
    /// One JSON object
    Json,
    /// One YAML mapping
    Yaml,
    /// The manifest of a Kubernetes Secret. A variable of format `bytes` is its bytes there; all others get base64
    #[value(name = "k8s")]
    K8s,
    /// What a step of GitHub Actions appends to $GITHUB_ENV. Its log shows the values unless they are masked
    GithubActions,
}

impl Target {
    /// The text, as secret as the values. `secret` is the name of a Kubernetes Secret, and `bytes` are the variables
    /// that it holds as bytes.
    pub(super) fn write(
        self,
        values: &[Seen],
        bytes: &BTreeSet<String>,
        secret: Option<&str>,
    ) -> Result<Zeroizing<String>, Failure> {
        if secret.is_some() && self != Self::K8s {
            return Err(Failure::usage(format!(
                "--secret-name names a Secret, and {} has none",
                self.name()
            ))
            .next("leave it out, or export --for k8s"));
        }
        self.refuse(values)?;
        match self.rules() {
            Rules::Lines(reader) => of_reader(reader, values),
            // There is room for the line end.
            Rules::Json => Ok(Zeroizing::new(compact_json(&pairs(values))? + "\n")),
            Rules::Yaml => Ok(yaml::mapping(pairs(values), "")),
            Rules::Secret => Ok(k8s_secret(values, bytes, secret.unwrap_or("strongroom"))),
        }
    }

    /// Fails if one of the values cannot be written, and names the targets that accept them all.
    fn refuse(self, values: &[Seen]) -> Result<(), Failure> {
        match self.rules() {
            Rules::Lines(reader) => refuse(reader, Some(&self.name()), values),
            rules => match refused(values, |value| rules.hold(value)) {
                names if names.is_empty() => Ok(()),
                names => Err(Failure::invalid(format!(
                    "a Secret cannot hold the name {}: its names have letters, digits, -, _ and .",
                    list(&names)
                ))
                .next("export the others with --only, or all of them with --for json")),
            },
        }
    }

    fn rules(self) -> Rules {
        Rules::Lines(match self {
            Self::DotenvNode => Reader::DotenvNode,
            Self::Node => Reader::Node,
            Self::Python => Reader::Python,
            Self::Docker => Reader::Docker,
            Self::Compose => Reader::Compose,
            Self::Shell => Reader::Shell,
            Self::Systemd => Reader::Systemd,
            Self::GithubActions => Reader::GithubActions,
            Self::Json => return Rules::Json,
            Self::Yaml => return Rules::Yaml,
            Self::K8s => return Rules::Secret,
        })
    }

    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Lines that every reader reads alike, if no target was named.
pub(super) fn for_every_reader(values: &[Seen]) -> Result<Zeroizing<String>, Failure> {
    refuse(Reader::Every, None, values)?;
    of_reader(Reader::Every, values)
}

/// Lines that `import` reads back exactly, and that other readers mostly do.
pub(super) fn for_import(values: &[Seen]) -> Result<Zeroizing<String>, Failure> {
    let text = strongroom_dotenv::write(pairs(values)).map_err(|error| {
        let name = values.get(error.index).map_or("", |one| one.name.as_str());
        Failure::invalid(format!("a .env file cannot hold the name {name}"))
            .next("`--format json` takes every name")
    });
    text.map(Zeroizing::new)
}

/// The rules that a name and a value must obey.
#[derive(Debug, Clone, Copy)]
enum Rules {
    Lines(Reader),
    Json,
    Yaml,
    Secret,
}

impl Rules {
    fn hold(self, one: &Seen) -> bool {
        match self {
            Self::Lines(reader) => reader.holds(&one.name, one.value.expose()),
            Self::Json | Self::Yaml => true,
            Self::Secret => is_secret_key(&one.name),
        }
    }
}

fn of_reader(reader: Reader, values: &[Seen]) -> Result<Zeroizing<String>, Failure> {
    let text = write_for(reader, pairs(values));
    text.map(Zeroizing::new).map_err(|error| Failure::invalid(error.to_string()))
}

/// `None` for all readers.
fn refuse(reader: Reader, who: Option<&str>, values: &[Seen]) -> Result<(), Failure> {
    let names = refused(values, |one| Rules::Lines(reader).hold(one));
    if names.is_empty() {
        return Ok(());
    }
    let able =
        Target::value_variants().iter().filter(|other| values.iter().all(|one| other.rules().hold(one)));
    let able: Vec<String> = able.map(|target| target.name()).collect();
    let misnamed: Vec<_> = names.iter().copied().filter(|name| !reader.holds(name, "")).collect();
    let limits = match misnamed.is_empty() {
        true => reader.limits(),
        false => "these names",
    };
    let names = list(if misnamed.is_empty() { &names } else { &misnamed });
    let message = match who {
        Some(who) => format!("{names} cannot be written for {who}, which cannot hold {limits}"),
        None => format!(
            "{names} cannot be written so that every reader reads the same: they disagree on {limits}"
        ),
    };
    Err(Failure::invalid(message)
        .next(format!("`--for` with one of {} holds all of them; --only NAME exports some", able.join(", "))))
}

fn refused(values: &[Seen], holds: impl Fn(&Seen) -> bool) -> Vec<&str> {
    values.iter().filter(|one| !holds(one)).map(|one| one.name.as_str()).collect()
}

/// The first names, and how many more there are.
fn list(names: &[&str]) -> String {
    let (shown, more) = names.split_at(names.len().min(NAMES_SHOWN));
    match more.len() {
        0 => shown.join(", "),
        count => format!("{} and {count} more", shown.join(", ")),
    }
}

fn pairs(values: &[Seen]) -> BTreeMap<&str, &str> {
    values.iter().map(|one| (one.name.as_str(), one.value.expose())).collect()
}

/// Base64 accepts every byte, including those that YAML cannot hold.
fn k8s_secret(values: &[Seen], bytes: &BTreeSet<String>, name: &str) -> Zeroizing<String> {
    let encoded = values.iter().map(|one| {
        let text = one.value.expose();
        // A value from before a change of the format may be text.
        let is_encoded = bytes.contains(&one.name) && VarFormat::Bytes.validate(text).is_ok();
        let encoded = if is_encoded { text.to_owned() } else { STANDARD.encode(text) };
        (one.name.as_str(), Zeroizing::new(encoded))
    });
    let encoded: Vec<_> = encoded.collect();
    let data = yaml::mapping(encoded.iter().map(|(name, value)| (*name, value.as_str())), "  ");
    let mut text = Zeroizing::new(String::with_capacity(data.len() + name.len() + MANIFEST_BYTES));
    // Infallible: a `String` takes everything.
    let _ = write!(text, "apiVersion: v1\nkind: Secret\nmetadata:\n  name: \"{name}\"\ntype: Opaque\n");
    match values.is_empty() {
        true => text.push_str("data: {}\n"),
        false => {
            text.push_str("data:\n");
            text.push_str(&data);
        }
    }
    text
}

/// Whether Kubernetes accepts the name as a key of `data`.
fn is_secret_key(name: &str) -> bool {
    name.len() <= 253 && strongroom_dotenv::is_name(name) && name != "." && !name.starts_with("..")
}

const NAMES_SHOWN: usize = 10;
const MANIFEST_BYTES: usize = 128;
