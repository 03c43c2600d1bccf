//! Arguments that could not be parsed. Typed text is repeated only if it cannot be a secret.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Failure;
use super::repeatable::{NEVER_AN_ARGUMENT, word};
use crate::typo::closest;

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        let meant = suggestion(&error);
        let failure = Self::usage(sentence(&error));
        match error.kind() {
            ErrorKind::UnknownArgument if is_of_run() => {
                failure.next("write `--` before the command: strongroom run -- COMMAND")
            }
            ErrorKind::UnknownArgument | ErrorKind::TooManyValues => {
                failure.next(format!("--help lists the options; {NEVER_AN_ARGUMENT}"))
            }
            ErrorKind::ArgumentConflict => failure.next("leave one of them out"),
            _ => failure.next("--help lists the commands and options"),
        }
        .meant(meant.as_deref())
    }
}

/// Whether `run` was typed without the `--` before its command.
fn is_of_run() -> bool {
    let mut typed = std::env::args_os().skip(1);
    typed.any(|word| word == "run") && !typed.any(|word| word == "--")
}

fn sentence(error: &clap::Error) -> String {
    let argument = text(error, ContextKind::InvalidArg).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument => match word(&argument) {
            Some(option) if option.starts_with('-') => format!("there is no option {option} here"),
            Some(word) => format!("the argument {word} is one too many"),
            None => {
                "there is an argument too many, which is not repeated here: it may be a secret".to_owned()
            }
        },
        ErrorKind::InvalidSubcommand => {
            let typed = text(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            match word(&typed) {
                Some(word) => format!("there is no command {word}"),
                None => "there is no such command".to_owned(),
            }
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::TooManyValues => {
            let typed = text(error, ContextKind::InvalidValue).unwrap_or_default();
            if typed.is_empty() && error.source().is_none() {
                return format!("{argument} needs a value");
            }
            let value = word(&typed).map(|word| format!("{word} is not a value for {argument}"));
            let refusal = value.unwrap_or_else(|| format!("the value for {argument} is not valid"));
            match (error.source(), possible_values(error)) {
                (Some(source), _) => format!("{refusal}: {source}"),
                (None, Some(values)) => format!("{refusal}, which takes {values}"),
                (None, None) => refusal,
            }
        }
        ErrorKind::MissingRequiredArgument if !argument.is_empty() => format!("what is missing: {argument}"),
        ErrorKind::ArgumentConflict => match text(error, ContextKind::PriorArg) {
            Some(prior) => format!("{argument} cannot be given together with {prior}"),
            None => format!("{argument} cannot be given here"),
        },
        ErrorKind::MissingSubcommand => "no command was given".to_owned(),
        // The others name only options and commands of the grammar.
        _ => {
            let text = error.to_string();
            let lines: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
            lines.join(" ").trim_start_matches("error: ").to_owned()
        }
    }
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        _ => None,
    }
}

fn possible_values(error: &clap::Error) -> Option<String> {
    text(error, ContextKind::ValidValue).filter(|values| !values.is_empty())
}

/// What was meant, if it is close: what clap suggests may be another word.
fn suggestion(error: &clap::Error) -> Option<String> {
    use ContextKind as Kind;
    let (typed, meant) = match error.kind() {
        ErrorKind::InvalidSubcommand => (Kind::InvalidSubcommand, Kind::SuggestedSubcommand),
        ErrorKind::InvalidValue => (Kind::InvalidValue, Kind::SuggestedValue),
        _ => (Kind::InvalidArg, Kind::SuggestedArg),
    };
    let typed = text(error, typed)?;
    let known: Vec<&str> = match error.get(meant)? {
        ContextValue::String(text) => vec![text.as_str()],
        ContextValue::Strings(texts) => texts.iter().map(String::as_str).collect(),
        _ => return None,
    };
    closest(&typed, known).map(str::to_owned)
}
