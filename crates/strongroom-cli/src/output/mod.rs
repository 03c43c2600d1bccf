//! Output: tables for people, JSON for programs, and notes on standard error.

mod json;
mod printable;

use std::fmt::{self, Display, Write as _};
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use strongroom::{Secret, Timestamp};
use zeroize::Zeroizing;

pub(crate) use self::json::compact as compact_json;
pub(crate) use self::printable::printable;
use self::printable::printable_lines;
use crate::failure::{Exit, Failure};

/// Where a command writes, and in which form.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    form: Form,
    /// The output held back for later.
    held: Arc<Mutex<Option<Held>>>,
}

#[derive(Debug)]
struct Held {
    pieces: Vec<Piece>,
    bytes: usize,
    bytes_max: usize,
}

enum Piece {
    Styled(Zeroizing<String>),
    Exact(Zeroizing<Vec<u8>>),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Styled(text) => text.len(),
            Self::Exact(bytes) => bytes.len(),
        }
    }
}

/// Omits the text, which may hold an API key.
impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Piece([REDACTED])")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    People,
    Json,
}

#[derive(Serialize)]
struct WarningView<'a> {
    warning: &'a str,
}

#[derive(Serialize)]
struct NoteView<'a> {
    note: &'a str,
}

#[derive(Serialize)]
struct FailureView<'a> {
    error: &'static str,
    message: &'a str,
    next: Option<String>,
}

/// Whether values may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    Masked,
    Revealed,
}

impl Values {
    pub(crate) fn revealed_if(reveal: bool) -> Self {
        if reveal { Self::Revealed } else { Self::Masked }
    }

    pub(crate) fn of(self, value: &Secret) -> &str {
        match self {
            Self::Masked => MASK,
            Self::Revealed => value.expose(),
        }
    }
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { form: if json { Form::Json } else { Form::People }, held: Arc::default() }
    }

    /// Holds back everything for standard output from now on, up to `bytes_max`.
    pub(crate) fn hold(&self, bytes_max: usize) {
        self.held().get_or_insert(Held { pieces: Vec::new(), bytes: 0, bytes_max });
    }

    /// Writes what was held back, and stops holding back.
    pub(crate) fn release(&self) -> Result<(), Failure> {
        let held = self.held().take();
        held.iter().flat_map(|held| &held.pieces).try_for_each(|piece| match piece {
            Piece::Styled(text) => self.text(text),
            Piece::Exact(bytes) => self.bytes(bytes),
        })
    }

    /// Whether the piece was held back, or released with what was held before.
    fn holds_back(&self, piece: impl FnOnce() -> Piece) -> Result<bool, Failure> {
        let mut kept = self.held();
        let Some(held) = kept.as_mut() else { return Ok(false) };
        let piece = piece();
        held.bytes = held.bytes.saturating_add(piece.len());
        held.pieces.push(piece);
        let is_full = held.bytes > held.bytes_max;
        drop(kept);
        if is_full {
            self.release()?;
        }
        Ok(true)
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// The result of a command: a sentence, or JSON.
    pub(crate) fn done(&self, sentence: &str, json: &impl Serialize) -> Result<(), Failure> {
        match self.form {
            Form::Json => self.json(json),
            Form::People => self.text(&format!("{}\n", printable(sentence))),
        }
    }

    /// The same on several lines.
    pub(crate) fn done_lines(&self, text: &str, json: &impl Serialize) -> Result<(), Failure> {
        match self.form {
            Form::Json => self.json(json),
            Form::People => self.text(&format!("{}\n", printable_lines(text))),
        }
    }

    /// A list: a table, or JSON.
    pub(crate) fn list<const N: usize>(
        &self,
        headers: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
        json: &impl Serialize,
    ) -> Result<(), Failure> {
        match self.form {
            Form::Json => self.json(json),
            Form::People => self.text(&table(headers, rows)),
        }
    }

    /// One JSON value on standard output.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        if !io::stdout().is_terminal() {
            return self.json_line(value);
        }
        let mut text = Zeroizing::new(Vec::new());
        json::write_pretty(&mut *text, value)?;
        text.push(b'\n');
        self.bytes(&text)
    }

    /// One JSON value on one line, for programs that read line by line.
    pub(crate) fn json_line(&self, value: &impl Serialize) -> Result<(), Failure> {
        let mut line = Zeroizing::new(json::compact(value)?);
        line.push('\n');
        self.verbatim(&line)
    }

    /// The exact bytes of a value. On a terminal, characters that would control it are escaped, and a line end is
    /// added.
    pub(crate) fn exact(&self, value: &str) -> Result<(), Failure> {
        if !io::stdout().is_terminal() {
            return self.verbatim(value);
        }
        self.shown(value)?;
        self.verbatim("\n")
    }

    /// The exact text of a file. On a terminal, characters that would control it are escaped.
    pub(crate) fn file(&self, text: &str) -> Result<(), Failure> {
        if io::stdout().is_terminal() { self.shown(text) } else { self.verbatim(text) }
    }

    fn shown(&self, text: &str) -> Result<(), Failure> {
        let shown = Zeroizing::new(printable_lines(text));
        if *shown != text {
            self.note("control characters are shown escaped; a pipe or a file gets the exact text");
        }
        self.verbatim(&shown)
    }

    /// Exactly these bytes.
    pub(crate) fn verbatim(&self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())
    }

    /// The same for bytes that need not be text.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        if self.holds_back(|| Piece::Exact(bytes.to_vec().into()))? {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        Ok(stdout.flush()?)
    }

    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        if self.holds_back(|| Piece::Styled(text.to_owned().into()))? {
            return Ok(());
        }
        let mut stdout = anstream::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        Ok(stdout.flush()?)
    }

    /// Something worth knowing, for people and programs, such as what a command lost or left unchanged: it is shown
    /// nowhere else.
    pub(crate) fn note(&self, text: &str) {
        match self.form {
            Form::Json => json_on_stderr(&NoteView { note: text }),
            Form::People => self.on_stderr("note", AnsiColor::Cyan, text),
        }
    }

    /// Something that should be changed, for people and programs.
    pub(crate) fn warn(&self, text: &str) {
        match self.form {
            Form::Json => json_on_stderr(&WarningView { warning: text }),
            Form::People => self.on_stderr("warning", AnsiColor::Yellow, text),
        }
    }

    /// Reports a failure on standard error and returns its exit code.
    pub(crate) fn failure(&self, failure: &Failure) -> ExitCode {
        // A reader that stops, such as `head`, has what it wanted.
        if failure.exit == Exit::ReaderGone {
            return ExitCode::from(failure.exit.code());
        }
        if self.form == Form::Json {
            let steps: Vec<_> = failure.all_steps().collect();
            json_on_stderr(&FailureView {
                error: failure.exit.name(),
                message: &failure.message,
                next: (!steps.is_empty()).then(|| steps.join("; ")),
            });
        } else {
            self.on_stderr("error", AnsiColor::Red, &failure.message);
            failure.all_steps().for_each(|step| self.on_stderr("next", AnsiColor::Cyan, step));
        }
        ExitCode::from(failure.exit.code())
    }

    fn on_stderr(&self, word: &str, color: AnsiColor, text: &str) {
        let style = Style::new().bold().fg_color(Some(color.into()));
        let _ = writeln!(anstream::stderr(), "{style}{word}:{style:#} {}", printable(text));
    }
}

fn json_on_stderr(view: &impl Serialize) {
    let mut line = Vec::new();
    // There is nowhere left to report that standard error is closed.
    let _ = json::write_compact(&mut line, view).and_then(|()| {
        line.push(b'\n');
        io::stderr().write_all(&line)
    });
}

/// Columns that line up, under bold headers.
fn table<const N: usize>(headers: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headers);
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell)));
    }
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
    });
    let bold = Style::new().bold();
    let mut text = String::new();
    for (index, line) in table.lines().enumerate() {
        let line = line.trim_end();
        // Infallible: a `String` takes everything.
        let _ = if index == 0 { writeln!(text, "{bold}{line}{bold:#}") } else { writeln!(text, "{line}") };
    }
    text
}

/// A moment as ISO 8601 with milliseconds.
pub(crate) fn time(moment: Timestamp) -> String {
    let mut text = String::new();
    let moment = UNIX_EPOCH.checked_add(Duration::from_millis(moment.as_ms()));
    match moment.map(|moment| write!(text, "{}", humantime::format_rfc3339_millis(moment))) {
        Some(Ok(())) => text,
        _ => "-".to_owned(),
    }
}

/// A cell, or a dash for a field that a server does not return.
pub(crate) fn unless_unknown(cell: Option<String>) -> String {
    cell.unwrap_or_else(|| "-".to_owned())
}

/// How long something is kept: in days if that is exact, otherwise as it was typed.
pub(crate) fn age(secs: u64) -> String {
    match (secs / DAY_SECS, secs % DAY_SECS) {
        (days @ 1.., 0) => counted(days, "day"),
        _ => humantime::format_duration(Duration::from_secs(secs)).to_string(),
    }
}

/// A count with its noun, whose plural ends in `s`.
pub(crate) fn counted<N: Copy + Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

pub(crate) fn yes(flag: bool) -> String {
    if flag { "yes" } else { "" }.to_owned()
}

/// Shown instead of a value.
pub(crate) const MASK: &str = "[REDACTED]";

const DAY_SECS: u64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_milliseconds_or_is_none() {
        assert_eq!(time(Timestamp::from_ms(1_700_000_000_000)), "2023-11-14T22:13:20.000Z");
        assert_eq!(time(Timestamp::from_ms(u64::MAX)), "-");
    }
}
