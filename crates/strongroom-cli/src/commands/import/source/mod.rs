//! The file of an import: names and their exact values.

mod entry;
mod json;
mod yaml;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use strongroom::Secret;
use strongroom_dotenv::NoteKind;
use zeroize::Zeroizing;

pub(crate) use self::entry::Entry;
use self::json::{DECRYPT_SOPS, Document, Refusal};
use crate::commands::file_format::FileFormat;
use crate::failure::{Failure, repeatable};
use crate::input::text;
use crate::output::Output;

/// Reads `-` from standard input. The extension of a file determines its format, unless one is named.
pub(super) fn read(path: &Path, format: Option<FileFormat>, output: &Output) -> Result<Vec<Entry>, Failure> {
    let has_extension =
        |wanted: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(wanted));
    let detected = match has_extension("yaml") || has_extension("yml") {
        true => FileFormat::Yaml,
        false if has_extension("json") => FileFormat::Json,
        false => FileFormat::Env,
    };
    let bytes = read_bytes(path).map_err(|error| {
        Failure::usage(format!("{} could not be read: {error}", repeatable::file(path)))
            .next("check the path; `-` is standard input")
    })?;
    let text = text(bytes).ok_or_else(|| Failure::invalid(format!("{} is not UTF-8", path.display())))?;
    let entries = match format.unwrap_or(detected) {
        FileFormat::Env => of_env(path, &text, output),
        FileFormat::Json => of_json(path, &text, output),
        FileFormat::Yaml => of_yaml(path, &text, output),
    }?;
    refuse_encrypted(path, &entries)?;
    Ok(entries)
}

/// Fails for the ciphertext of another tool, which nobody could use as it is.
fn refuse_encrypted(path: &Path, entries: &[Entry]) -> Result<(), Failure> {
    let has = |is_one: fn(&str) -> bool| {
        entries.iter().any(|entry| entry.value.as_ref().is_ok_and(|value| is_one(value.expose())))
    };
    let (by, step) = if has(|value| value.starts_with("ENC[AES256_GCM,") && value.ends_with(']')) {
        ("SOPS", DECRYPT_SOPS)
    } else if has(|value| value.starts_with("encrypted:") && value.len() >= DOTENVX_BYTES_MIN)
        || entries.iter().any(|entry| entry.name.starts_with("DOTENV_PUBLIC_KEY"))
            && has(|value| value.starts_with("encrypted:"))
    {
        ("dotenvx", "import what `dotenvx get --format shell` or `dotenvx decrypt --stdout` prints")
    } else {
        return Ok(());
    };
    Err(Failure::invalid(format!("{} has values that {by} encrypted", path.display())).next(step))
}

fn read_bytes(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    match path == Path::new("-") {
        true => read_all(io::stdin().lock()),
        false => read_all(File::open(path)?),
    }
}

/// Reads with a limit, since an input such as a device may have no end.
fn read_all(from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut from = from.take(BYTES_MAX + 1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES_AT_FIRST));
    loop {
        let room = bytes.capacity() - bytes.len();
        if from.by_ref().take(room as u64).read_to_end(&mut bytes)? < room {
            break;
        }
        // A vector that grows by itself leaves a copy behind, which nobody wipes.
        let mut larger = Zeroizing::new(Vec::with_capacity(2 * bytes.capacity()));
        larger.extend_from_slice(&bytes);
        bytes = larger;
    }
    match bytes.len() as u64 > BYTES_MAX {
        true => Err(io::Error::other("it has more than 64 MiB")),
        false => Ok(bytes),
    }
}

fn of_env(path: &Path, text: &Secret, output: &Output) -> Result<Vec<Entry>, Failure> {
    let file = strongroom_dotenv::parse(text.expose())
        .map_err(|error| Failure::invalid(format!("{}, {error}", path.display())).next(CHANGE_THE_FILE))?;
    for note in &file.notes {
        output.note(&format!("{}, {note}", path.display()));
    }
    let mut entries = Vec::with_capacity(file.entries.len());
    for entry in file.entries {
        let line = entry.line();
        // Also in single quotes, where python-dotenv replaces it.
        let is_noted = file.notes.iter().any(|note| (note.line, note.kind) == (line, NoteKind::Reference));
        if entry.expose().contains("${") && !is_noted {
            output.note(&format!("{}, line {line}: `${{` is kept as it is, not replaced", path.display()));
        }
        let (name, value) = entry.into_parts();
        entries.push(Entry { line: Some(line), ..Entry::new(&name, Ok(Secret::from(value))) });
    }
    Ok(entries)
}

/// Uses the rules of JSON, since YAML is another notation for it.
fn of_yaml(path: &Path, text: &Secret, output: &Output) -> Result<Vec<Entry>, Failure> {
    let json = yaml::to_json(text.expose()).map_err(|refusal| {
        Failure::invalid(format!("{}, line {}: {}", path.display(), refusal.line, refusal.what))
            .next("change the file, or convert it to JSON, for instance with `yq -o json`")
    })?;
    let entries = of_json(path, &Secret::from(json.as_str()), output)?;
    for entry in &entries {
        if entry.value.as_ref().is_ok_and(|value| value.expose().contains("${")) {
            output.note(&format!(
                "{}: the `${{` of {} is kept as it is, not replaced",
                path.display(),
                entry.name
            ));
        }
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
                .next(CHANGE_THE_FILE)
        }
        Refusal::Shape(what) => Failure::invalid(format!("{} is {what}", path.display()))
            .next("import takes one JSON object of names and values"),
        Refusal::Other(what, step) => Failure::invalid(format!("{} is {what}", path.display())).next(step),
    })?;
    if let Some(kind) = document.kind {
        output.note(&format!("{} is read as {kind}", path.display()));
    }
    for entry in document.entries.iter().filter(|entry| entry.is_nested) {
        output.note(&format!("{}: {} is kept as JSON text", path.display(), entry.name));
    }
    for name in &document.without_value {
        output.note(&format!("{}: {name} has no value, and nothing is set for it", path.display()));
    }
    Ok(document.entries)
}

/// A thousand definitions with the longest values fit in this.
const BYTES_MAX: u64 = 64 << 20;
/// Most files fit in this.
const BYTES_AT_FIRST: usize = 64 << 10;
/// The shortest dotenvx ciphertext: a point, a nonce and a tag in base64.
const DOTENVX_BYTES_MIN: usize = 100;
const CHANGE_THE_FILE: &str = "nothing was written; change that line, or name the format with --format";

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    /// A file of secrets that knows where in memory it was read to.
    struct Source {
        left: usize,
        read_to: Vec<u64>,
        beside: Vec<Vec<u8>>,
    }

    impl Read for Source {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            // What is taken beside the buffer keeps it from growing in its place.
            self.beside.push(Vec::with_capacity(64 << 10));
            let count = buffer.len().min(self.left);
            let read = buffer.get_mut(..count).unwrap_or_default();
            read.iter_mut().zip(SECRET.iter().cycle()).for_each(|(to, byte)| *to = *byte);
            self.read_to.extend(read.chunks_exact(SECRET.len()).map(|one| one.as_ptr().addr() as u64));
            self.left -= count;
            Ok(count)
        }
    }

    #[test]
    fn a_file_of_secrets_leaves_nothing_in_memory_however_long_it_is() {
        let mut source = Source { left: LEN, read_to: Vec::new(), beside: Vec::new() };
        let memory = File::open("/proc/self/mem").unwrap();
        let holds_secret = |at: u64| {
            let mut found = [0_u8; SECRET.len()];
            memory.read_exact_at(&mut found, at).is_ok() && found == SECRET
        };
        let bytes = read_all(&mut source).unwrap();
        assert_eq!(bytes.len(), LEN);
        assert!(holds_secret(*source.read_to.last().unwrap()), "the search does not find what is there");
        drop(bytes);
        let left = source.read_to.iter().filter(|at| holds_secret(**at)).count();
        assert_eq!(left, 0, "of {}", source.read_to.len());
    }

    /// Not all of a buffer, so that the last one is not given up for a larger one.
    const LEN: usize = (1 << 20) - SECRET.len();
    const SECRET: [u8; 16] = *b"hunter2 hunter2 ";
}
