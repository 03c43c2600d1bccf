//! The file of an import: names and their exact values.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use strongroom::Secret;
use zeroize::Zeroizing;

use crate::commands::file_format::FileFormat;
use crate::failure::Failure;
use crate::input;
use crate::output::Output;

/// A name and its value; `None` for a JSON null.
pub(super) type Entry = (String, Option<Secret>);

/// Reads `-` from standard input. A file whose name ends in `.json` is JSON unless another format is named.
pub(super) fn read(path: &Path, format: Option<FileFormat>, output: &Output) -> Result<Vec<Entry>, Failure> {
    let from_name = || match path.extension() {
        Some(extension) if extension.eq_ignore_ascii_case("json") => FileFormat::Json,
        _ => FileFormat::Env,
    };
    let format = format.unwrap_or_else(from_name);
    let bytes = read_bytes(path)
        .map_err(|error| Failure::usage(format!("{} could not be read: {error}", path.display())))?;
    let text =
        input::text(bytes).ok_or_else(|| Failure::invalid(format!("{} is not UTF-8", path.display())))?;
    match format {
        FileFormat::Env => of_env(path, &text, output),
        FileFormat::Json => of_json(path, &text),
    }
}

fn read_bytes(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    if path != Path::new("-") {
        return fs::read(path).map(Zeroizing::new);
    }
    let mut bytes = Zeroizing::new(Vec::new());
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn of_env(path: &Path, text: &Secret, output: &Output) -> Result<Vec<Entry>, Failure> {
    let file = strongroom_dotenv::parse(text.expose())
        .map_err(|error| Failure::invalid(format!("{}, {error}", path.display())))?;
    for note in &file.notes {
        output.note(&format!("{}, {note}", path.display()));
    }
    let pairs = file.entries.into_iter().map(strongroom_dotenv::Entry::into_parts);
    Ok(pairs.map(|(name, value)| (name, Some(Secret::from(value)))).collect())
}

/// One object. A string is its text, anything else its exact source: `1.50` stays `1.50`.
fn of_json(path: &Path, text: &Secret) -> Result<Vec<Entry>, Failure> {
    // Some editors write a byte order mark in front of UTF-8; the `.env` parser skips it as well.
    let text = text.expose().trim_start_matches('\u{feff}');
    let mut json = serde_json::Deserializer::from_str(text);
    let entries = json.deserialize_map(Entries).and_then(|entries| json.end().map(|()| entries));
    // The text of such an error may quote the file, and with it a value.
    entries.map_err(|error| {
        let place = format!("{}, line {}, column {}", path.display(), error.line(), error.column());
        Failure::invalid(format!("{place}: this is not one JSON object with each name only once"))
    })
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<Entry>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut names = std::collections::HashSet::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            if !names.insert(name.clone()) {
                return Err(serde::de::Error::custom("a repeated name"));
            }
            entries.push((name, text_of(value).map_err(serde::de::Error::custom)?));
        }
        Ok(entries)
    }
}

fn text_of(value: &RawValue) -> serde_json::Result<Option<Secret>> {
    let source = value.get();
    match source.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(source).map(Secret::from).map(Some),
        Some(b'n') => Ok(None),
        _ => Ok(Some(Secret::from(source))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<Vec<(String, Option<String>)>, String> {
        let entries = of_json(Path::new("f"), &Secret::from(text)).map_err(|failure| failure.message)?;
        Ok(entries.into_iter().map(|(name, value)| (name, value.map(|v| v.expose().to_owned()))).collect())
    }

    #[test]
    fn what_is_not_a_string_keeps_its_source() {
        let read = json(r#"{"A": "x\ny", "B": 1.50, "C": {"k": [1, 2]}, "D": null}"#).unwrap();
        let values: Vec<_> = read.iter().map(|(_, value)| value.as_deref()).collect();
        assert_eq!(values, [Some("x\ny"), Some("1.50"), Some(r#"{"k": [1, 2]}"#), None]);
    }

    #[test]
    fn a_refusal_shows_nothing_of_the_file() {
        for bad in [
            r#""hunter2""#,
            r#"{"A": "hunter2", "A": "hunter2"}"#,
            r#"{"A": hunter2}"#,
            r#"{"A": "hunter2"} x"#,
        ] {
            assert!(!json(bad).unwrap_err().contains("hunter"), "{bad}");
        }
    }
}
