//! The options that name a format.

use clap::ValueEnum;
use strongroom::format::{BadFormat, EnumFormat, PatternDraft, PatternFormat, UrlSchemes};
use strongroom::{LengthBounds, VarFormat};

use crate::failure::Failure;

/// A format, its parameters and its bounds.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct FormatArgs {
    /// The format that every value must match
    #[arg(long, value_enum, required_unless_present = "change")]
    format: Option<FormatName>,
    /// The minimum length of a value in bytes
    #[arg(long, value_name = "N")]
    bytes_min: Option<usize>,
    /// The maximum length of a value in bytes
    #[arg(long, value_name = "N")]
    bytes_max: Option<usize>,
    /// For --format enum: an allowed value; repeat it for several
    #[arg(long = "one-of", value_name = "TEXT")]
    one_of: Vec<String>,
    /// For --format url_with_scheme: a scheme in lower case; repeat it for several
    #[arg(long = "scheme", value_name = "SCHEME")]
    schemes: Vec<String>,
    /// For --format pattern: the regular expression that a whole value must match
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
    Uri,
    ConnectionString,
    Json,
    Uuid,
    Email,
    Hostname,
    HostnameWithUnderscore,
    Ip,
    Duration,
    DateTime,
    Semver,
    Base64,
    Bytes,
    Pem,
    PemStrict,
    Enum,
    Pattern,
}

impl FormatArgs {
    /// The format that was named.
    pub(super) fn var_format(&self) -> Result<VarFormat, Failure> {
        self.named(None)?.ok_or_else(|| Failure::usage("a new definition needs --format"))
    }

    /// The same, or `None` if none was named. Parameters without a format change those of the present format.
    pub(super) fn named(&self, present: Option<&VarFormat>) -> Result<Option<VarFormat>, Failure> {
        let format = self.format.or_else(|| self.of_parameters(present));
        self.refuse_stray_parameters(format)?;
        let Some(format) = format else { return Ok(None) };
        Ok(Some(match format {
            FormatName::Enum => VarFormat::Enum(EnumFormat::new(&self.one_of).map_err(refused)?),
            FormatName::UrlWithScheme => {
                VarFormat::UrlWithScheme(UrlSchemes::new(&self.schemes).map_err(refused)?)
            }
            FormatName::Pattern => VarFormat::Pattern(self.pattern_format()?),
            simple => simple.wire_name().parse().map_err(refused)?,
        }))
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

    /// The present format, if parameters of it were given.
    fn of_parameters(&self, present: Option<&VarFormat>) -> Option<FormatName> {
        let mut given = self.given().into_iter().filter(|(.., is_given)| *is_given);
        given.find_map(|(format, ..)| (present?.name() == format.wire_name()).then_some(format))
    }

    /// The parameters of formats, and whether each was given.
    fn given(&self) -> [(FormatName, &'static str, bool); 3] {
        [
            (FormatName::Enum, "--one-of", !self.one_of.is_empty()),
            (FormatName::UrlWithScheme, "--scheme", !self.schemes.is_empty()),
            (FormatName::Pattern, "--pattern", self.pattern.is_some()),
        ]
    }

    /// A parameter of another format is a mistake, not something to ignore.
    fn refuse_stray_parameters(&self, named: Option<FormatName>) -> Result<(), Failure> {
        for (format, option, is_given) in self.given() {
            let is_meant = named == Some(format);
            if is_given && !is_meant {
                return Err(Failure::usage(format!("{option} goes with --format {}", format.wire_name())));
            }
            if is_meant && !is_given {
                return Err(Failure::usage(format!("--format {} needs {option}", format.wire_name())));
            }
        }
        Ok(())
    }

    /// The bounds that were named, if any.
    pub(super) fn length(&self) -> Result<Option<LengthBounds>, Failure> {
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
