//! The file of an import: names and their exact values.

mod json;

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use strongroom::Secret;
use zeroize::Zeroizing;

use self::json::{Document, Refusal};
use crate::commands::file_format::FileFormat;
use crate::failure::Failure;
use crate::input;
use crate::output::Output;

/// A name of the file, with its value or why it has none.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) value: Result<Secret, &'static str>,
    /// Of a `.env` file.
    pub(super) line: Option<usize>,
}

impl Entry {
    fn new(name: &str, value: Result<Secret, &'static str>) -> Self {
        Self { name: name.to_owned(), value, line: None }
    }
}

/// Reads `-` from standard input. A file whose name ends in `.json` is JSON unless another format is named.
pub(super) fn read(path: &Path, format: Option<FileFormat>, output: &Output) -> Result<Vec<Entry>, Failure> {
    let has_extension =
        |wanted: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(wanted));
    if format.is_none() && (has_extension("yaml") || has_extension("yml")) {
        return Err(Failure::usage(format!("{} is YAML, which import does not read", path.display())).next(
            "convert it to JSON, for instance with `yq -o json`; of a compose file, take .services.NAME.environment",
        ));
    }
    let detected = if has_extension("json") { FileFormat::Json } else { FileFormat::Env };
    let bytes = read_bytes(path)
        .map_err(|error| Failure::usage(format!("{} could not be read: {error}", path.display())))?;
    let text =
        input::text(bytes).ok_or_else(|| Failure::invalid(format!("{} is not UTF-8", path.display())))?;
    match format.unwrap_or(detected) {
        FileFormat::Env => of_env(path, &text, output),
        FileFormat::Json => of_json(path, &text, output),
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
    let mut entries = Vec::with_capacity(file.entries.len());
    for entry in file.entries {
        let line = entry.line();
        if entry.expose().contains("${") {
            output.note(&format!("{}, line {line}: `${{` is kept as it is, not replaced", path.display()));
        }
        let (name, value) = entry.into_parts();
        entries.push(Entry { name, value: Ok(Secret::from(value)), line: Some(line) });
    }
    Ok(entries)
}

fn of_json(path: &Path, text: &Secret, output: &Output) -> Result<Vec<Entry>, Failure> {
    // Some editors write a byte order mark in front of UTF-8; the `.env` parser skips it as well.
    let text = text.expose().trim_start_matches('\u{feff}');
    let document = Document::parse(text).map_err(|refusal| match refusal {
        Refusal::Syntax(line, column) => {
            let place = format!("{}, line {line}, column {column}", path.display());
            Failure::invalid(format!("{place}: this is not one JSON object with each name only once"))
        }
        Refusal::Shape(what) => Failure::invalid(format!("{} is {what}", path.display()))
            .next("import takes one JSON object of names and values"),
    })?;
    if let Some(kind) = document.kind {
        output.note(&format!("{} is read as {kind}", path.display()));
    }
    Ok(document.entries)
}
