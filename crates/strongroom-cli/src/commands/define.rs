//! `define`: a new variable.

use clap::ValueEnum;
use serde::Serialize;
use strongroom::format::{BadFormat, EnumFormat, PatternDraft, PatternFormat, UrlSchemes};
use strongroom::{
    DefinitionName, Error, LengthBounds, Org, ScopeKind, Scopes, UnknownScope, VarFormat, VariableDefinition,
};

use crate::client::Client;
use crate::client::docs::OneDefinition;
use crate::failure::Failure;
use crate::input;
use crate::output::Output;

/// `define` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Define {
    name: DefinitionName,
    /// The form that every value must have
    #[arg(long, value_enum)]
    format: FormatName,
    /// Show values to clients as ciphertext only
    #[arg(long)]
    encrypted: bool,
    /// Allow values at this scope: org, linked_account or workflow; repeat it for several [default: all three]
    #[arg(long = "scope", value_name = "S", value_parser = scope_kind)]
    scopes: Vec<ScopeKind>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The value that resolves when no scope holds one; never a secret
    #[arg(long, value_name = "TEXT", conflicts_with = "encrypted")]
    default: Option<String>,
    /// Report it as missing when it resolves to nothing
    #[arg(long)]
    required: bool,
    /// The fewest bytes of a value
    #[arg(long, value_name = "N")]
    bytes_min: Option<usize>,
    /// The most bytes of a value
    #[arg(long, value_name = "N")]
    bytes_max: Option<usize>,
    /// For --format enum: an allowed value; repeat it for several
    #[arg(long = "one-of", value_name = "TEXT")]
    one_of: Vec<String>,
    /// For --format url_with_scheme: a scheme in lower case; repeat it for several
    #[arg(long = "scheme", value_name = "SCHEME")]
    schemes: Vec<String>,
    /// For --format pattern: the regular expression that a value must match as a whole
    #[arg(long, value_name = "REGEX")]
    pattern: Option<String>,
    /// For --format pattern: an example that must match; repeat it for several
    #[arg(long, value_name = "TEXT", requires = "pattern")]
    must_match: Vec<String>,
    /// For --format pattern: an example that must not match; repeat it for several
    #[arg(long, value_name = "TEXT", requires = "pattern")]
    must_not_match: Vec<String>,
    /// For --format pattern: Unicode classes and case folding instead of ASCII
    #[arg(long, requires = "pattern")]
    unicode: bool,
}

/// The names of the formats, as they are stored and sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum FormatName {
    String,
    Number,
    Integer,
    Boolean,
    Url,
    UrlWithScheme,
    Json,
    Uuid,
    Email,
    Hostname,
    Base64,
    Pem,
    Enum,
    Pattern,
}

#[derive(Serialize)]
struct Defined<'a> {
    id: String,
    name: &'a str,
}

/// A definition in the form of the wire contract.
#[derive(Serialize)]
struct NewDefinition<'a> {
    name: &'a str,
    var_format: &'a VarFormat,
    encrypted: bool,
    required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<ScopeKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_value: Option<&'a str>,
}

impl Define {
    pub(crate) async fn run(self, org: &Org, output: &Output) -> Result<(), Failure> {
        if self.name.as_str().contains('=') {
            return Err(input::misplaced());
        }
        let name = self.name.clone();
        let id = org.define(self.into_definition()?).await.map_err(|error| match error {
            Error::DefinitionExists(id) => Failure::invalid(format!("{name} is defined already, as {id}"))
                .next("`strongroom list` lists it; `strongroom delete NAME --definition` deletes it with its values"),
            error => error.into(),
        })?;
        defined(name.as_str(), id.to_string(), output)
    }

    pub(crate) fn on_server(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let definition = self.into_definition()?;
        let answer: OneDefinition = client.post(&["env", "definitions"], &NewDefinition::of(&definition)?)?;
        defined(&definition.name, answer.definition.id, output)
    }

    fn into_definition(self) -> Result<VariableDefinition, Failure> {
        let mut definition = VariableDefinition::new(self.name.as_str(), self.var_format()?);
        definition.length = self.length()?;
        definition.encrypted = self.encrypted;
        definition.required = self.required;
        definition.description = self.description;
        definition.default = self.default;
        if let [first, rest @ ..] = self.scopes.as_slice() {
            definition.scopes = rest.iter().fold(Scopes::only(*first), |scopes, kind| scopes.and(*kind));
        }
        Ok(definition)
    }

    fn var_format(&self) -> Result<VarFormat, Failure> {
        self.refuse_stray_parameters()?;
        Ok(match self.format {
            FormatName::Enum => VarFormat::Enum(EnumFormat::new(&self.one_of).map_err(refused)?),
            FormatName::UrlWithScheme => {
                VarFormat::UrlWithScheme(UrlSchemes::new(&self.schemes).map_err(refused)?)
            }
            FormatName::Pattern => VarFormat::Pattern(self.pattern_format()?),
            simple => simple.wire_name().parse().map_err(refused)?,
        })
    }

    fn pattern_format(&self) -> Result<PatternFormat, Failure> {
        let Some(pattern) = &self.pattern else {
            return Err(Failure::usage("--format pattern needs --pattern"));
        };
        let mut draft = PatternFormat::draft(pattern);
        draft = self.must_match.iter().fold(draft, PatternDraft::must_match);
        draft = self.must_not_match.iter().fold(draft, PatternDraft::must_not_match);
        if self.unicode {
            draft = draft.unicode();
        }
        draft.vet().map_err(refused)
    }

    /// A parameter of another format is a mistake, not something to ignore.
    fn refuse_stray_parameters(&self) -> Result<(), Failure> {
        let given = [
            (FormatName::Enum, "--one-of", !self.one_of.is_empty()),
            (FormatName::UrlWithScheme, "--scheme", !self.schemes.is_empty()),
            (FormatName::Pattern, "--pattern", self.pattern.is_some()),
        ];
        for (format, option, is_given) in given {
            let is_meant = self.format == format;
            if is_given && !is_meant {
                return Err(Failure::usage(format!("{option} goes with --format {}", format.wire_name())));
            }
            if is_meant && !is_given {
                return Err(Failure::usage(format!("--format {} needs {option}", format.wire_name())));
            }
        }
        Ok(())
    }

    fn length(&self) -> Result<Option<LengthBounds>, Failure> {
        let bounds = match (self.bytes_min, self.bytes_max) {
            (None, None) => return Ok(None),
            (min, Some(max)) => LengthBounds::new(min.unwrap_or(0)..=max),
            (Some(min), None) => LengthBounds::new(min..),
        };
        bounds.map(Some).map_err(refused)
    }
}

impl<'a> NewDefinition<'a> {
    /// Refuses what the contract has no field for.
    fn of(definition: &'a VariableDefinition) -> Result<Self, Failure> {
        if definition.length.is_some() {
            return Err(Failure::not_on_server("a server takes no --bytes-min or --bytes-max"));
        }
        let kinds: Vec<_> = definition.scopes.iter().collect();
        let scope = match kinds.as_slice() {
            [only] => Some(*only),
            _ if definition.scopes == Scopes::ALL => None,
            _ => return Err(Failure::not_on_server("a server allows one scope or all three")),
        };
        Ok(Self {
            name: &definition.name,
            var_format: &definition.var_format,
            encrypted: definition.encrypted,
            required: definition.required,
            scope,
            description: definition.description.as_deref(),
            default_value: definition.default.as_deref(),
        })
    }
}

fn defined(name: &str, id: String, output: &Output) -> Result<(), Failure> {
    let sentence = format!("defined {name} as {id}");
    output.done(&sentence, &Defined { id, name })
}

/// Parses one of the three wire names of a scope.
fn scope_kind(text: &str) -> Result<ScopeKind, UnknownScope> {
    text.parse()
}

impl FormatName {
    fn wire_name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

fn refused(error: impl Into<BadFormat>) -> Failure {
    Failure::invalid(error.into().to_string())
}
