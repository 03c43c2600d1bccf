//! The options that name a format.

use clap::ValueEnum;
use strongroom::format::{BadFormat, EnumFormat, PatternDraft, PatternFormat, UrlSchemes, VALUE_BYTES_MAX};
use strongroom::{LengthBounds, VarFormat, VariableDefinition};

use crate::failure::{Failure, word};

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
    /// For --format enum: an allowed value; repeat it for several. With --change, these replace all present ones
    #[arg(long = "one-of", value_name = "TEXT")]
    one_of: Vec<String>,
    /// For --format url_with_scheme: a scheme in lower case; repeat it for several. With --change, these replace all
    /// present ones
    #[arg(long = "scheme", value_name = "SCHEME")]
    schemes: Vec<String>,
    /// For --format pattern: the regular expression that a whole value must match. With --change and without --format,
    /// examples that are not named stay
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
        self.named(None)?.ok_or_else(|| Failure::usage("a new definition needs --format").next(FORMATS))
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
            FormatName::Pattern => VarFormat::Pattern(self.pattern_format(present)?),
            simple => simple.wire_name().parse().map_err(refused)?,
        }))
    }

    fn pattern_format(&self, present: Option<&VarFormat>) -> Result<PatternFormat, Failure> {
        let Some(pattern) = &self.pattern else {
            return Err(Failure::usage("--format pattern needs --pattern").next(FORMATS));
        };
        let kept = match present {
            Some(VarFormat::Pattern(present)) if self.format.is_none() => Some(present),
            _ => None,
        };
        let (mut matching, mut others) = (self.must_match.clone(), self.must_not_match.clone());
        if let Some(kept) = kept {
            if matching.is_empty() {
                matching.extend(kept.must_match().map(str::to_owned));
            }
            if others.is_empty() {
                others.extend(kept.must_not_match().map(str::to_owned));
            }
        }
        let mut draft = PatternFormat::draft(pattern);
        draft = matching.into_iter().fold(draft, PatternDraft::must_match);
        draft = others.into_iter().fold(draft, PatternDraft::must_not_match);
        if self.unicode || kept.is_some_and(PatternFormat::is_unicode) {
            draft = draft.unicode();
        }
        let failed = |error| match kept {
            Some(_) => refused(error).next(
                "the present examples apply too: name others with --must-match and --must-not-match, or add \
                 --format pattern to drop them",
            ),
            None => refused(error),
        };
        draft.vet().map_err(failed)
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
                let why = format!("{option} goes with --format {}", format.wire_name());
                return Err(Failure::usage(why).next(FORMATS));
            }
            if is_meant && !is_given {
                let why = format!("--format {} needs {option}", format.wire_name());
                return Err(Failure::usage(why).next(FORMATS));
            }
        }
        Ok(())
    }

    /// The bounds if one was named; the other stays as it is.
    pub(super) fn length(&self, present: Option<LengthBounds>) -> Result<Option<LengthBounds>, Failure> {
        if self.bytes_min.is_none() && self.bytes_max.is_none() {
            return Ok(None);
        }
        let min = self.bytes_min.or(present.map(|bounds| bounds.min()));
        let max = self.bytes_max.or(present.map(|bounds| bounds.max()));
        let bounds = match (min, max) {
            (None, None) => return Ok(None),
            (min, Some(max)) => LengthBounds::new(min.unwrap_or(0)..=max),
            (Some(min), None) => LengthBounds::new(min..),
        };
        bounds.map(Some).map_err(refused)
    }
}

impl FormatArgs {
    /// The options that take this change of a definition's format and bounds back.
    pub(super) fn back(&self, old: &VariableDefinition) -> Result<Option<String>, Failure> {
        let format = self.named(Some(&old.var_format))?.filter(|format| *format != old.var_format);
        let length = self.length(old.length)?.filter(|bounds| Some(*bounds) != old.length);
        let format = format.map_or(Some(String::new()), |_| options(&old.var_format));
        let length = length.map_or_else(String::new, |_| {
            let (min, max) = old.length.map_or((0, VALUE_BYTES_MAX), |old| (old.min(), old.max()));
            format!(" --bytes-min {min} --bytes-max {max}")
        });
        Ok(format.map(|format| format + &length).filter(|back| !back.is_empty()))
    }
}

impl FormatName {
    fn wire_name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// A format with its parameters, for people to read.
pub(super) fn described(format: &VarFormat) -> String {
    let list = |texts: Vec<&str>| texts.join(", ");
    match format {
        VarFormat::Enum(one_of) => format!("enum ({})", list(one_of.values().collect())),
        VarFormat::UrlWithScheme(schemes) => {
            format!("url_with_scheme ({})", list(schemes.schemes().collect()))
        }
        VarFormat::Pattern(pattern) => {
            let examples = [
                ("; matches ", pattern.must_match().collect::<Vec<_>>()),
                ("; does not match ", pattern.must_not_match().collect()),
            ];
            let examples = examples.into_iter().filter(|(_, texts)| !texts.is_empty());
            let examples: String = examples.map(|(what, texts)| format!("{what}{}", list(texts))).collect();
            let unicode = if pattern.is_unicode() { "; unicode" } else { "" };
            format!("pattern ({}{unicode}{examples})", pattern.pattern())
        }
        other => other.name().to_owned(),
    }
}

/// The options that name this format again; `None` if there are none.
fn options(format: &VarFormat) -> Option<String> {
    FormatName::from_str(format.name(), false).ok()?;
    let each = |option: &str, texts: Vec<&str>| {
        texts.into_iter().map(|text| format!(" {option} {}", word(text))).collect::<String>()
    };
    let parameters = match format {
        VarFormat::Enum(list) => each("--one-of", list.values().collect()),
        VarFormat::UrlWithScheme(schemes) => each("--scheme", schemes.schemes().collect()),
        VarFormat::Pattern(pattern) => [
            each("--pattern", vec![pattern.pattern()]),
            if pattern.is_unicode() { " --unicode".to_owned() } else { String::new() },
            each("--must-match", pattern.must_match().collect()),
            each("--must-not-match", pattern.must_not_match().collect()),
        ]
        .concat(),
        _ => String::new(),
    };
    Some(format!(" --format {}{parameters}", format.name()))
}

fn refused(error: impl Into<BadFormat>) -> Failure {
    Failure::invalid(error.into().to_string()).next(FORMATS)
}

const FORMATS: &str = "nothing was written; `strongroom define --help` lists the formats with their options";
