//! `define`, and `delete --definition`.

use clap::ValueEnum;
use serde_json::json;
use strongroom::format::{BadFormat, EnumFormat, PatternDraft, PatternFormat, UrlSchemes};
use strongroom::{
    DefinitionName, Error, LengthBounds, Org, ScopeKind, Scopes, VarFormat, VariableDefinition,
};

use crate::args::scope_kind;
use crate::failure::Failure;
use crate::output::Output;

/// A definition as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Define {
    name: DefinitionName,
    /// The form that every value must have
    #[arg(long, value_enum)]
    format: FormatName,
    /// Show values to clients as ciphertext only
    #[arg(long)]
    encrypted: bool,
    /// Allow values at this scope: org, linked_account or workflow; may stand several times [default: all three]
    #[arg(long = "scope", value_name = "S", value_parser = scope_kind)]
    scopes: Vec<ScopeKind>,
    /// For people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// What resolves when no scope holds a value; never a secret
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
    /// For --format enum: a value of the list; may stand several times
    #[arg(long = "one-of", value_name = "TEXT")]
    one_of: Vec<String>,
    /// For --format url_with_scheme: a scheme in lower case; may stand several times
    #[arg(long = "scheme", value_name = "SCHEME")]
    schemes: Vec<String>,
    /// For --format pattern: the regular expression that a value must match as a whole
    #[arg(long, value_name = "REGEX")]
    pattern: Option<String>,
    /// For --format pattern: an example that must match; may stand several times
    #[arg(long, value_name = "TEXT", requires = "pattern")]
    must_match: Vec<String>,
    /// For --format pattern: an example that must not match; may stand several times
    #[arg(long, value_name = "TEXT", requires = "pattern")]
    must_not_match: Vec<String>,
    /// For --format pattern: classes and case folding of Unicode instead of ASCII
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

pub(crate) async fn run(org: &Org, define: Define, output: &Output) -> Result<(), Failure> {
    let name = define.name.clone();
    let id = org.define(define.into_definition()?).await.map_err(|error| match error {
        Error::DefinitionExists(id) => Failure::invalid(format!("{name} is defined already, as {id}")).next(
            "`strongroom list` shows it; `strongroom delete NAME --definition` deletes it with its values",
        ),
        error => error.into(),
    })?;
    output.done(&format!("defined {name} as {id}"), &json!({ "id": id.to_string(), "name": name.as_str() }))
}

pub(crate) async fn delete(org: &Org, name: &DefinitionName, output: &Output) -> Result<(), Failure> {
    org.delete_definition(name).await?;
    let json = json!({ "name": name.as_str(), "deleted": true });
    output.done(&format!("deleted the definition {name} and all its values"), &json)
}

impl Define {
    pub(crate) fn into_definition(self) -> Result<VariableDefinition, Failure> {
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

impl FormatName {
    fn wire_name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

fn refused(error: impl Into<BadFormat>) -> Failure {
    Failure::invalid(error.into().to_string())
}
