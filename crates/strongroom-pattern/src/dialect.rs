//! What other dialects write and the parser reads differently or not at all, put into its terms.
//!
//! Each repair answers an error of the parser, so that a pattern it can read is read as it stands, and only where the
//! other dialects agree on one meaning. What they disagree on stays refused, with what to write instead.

use std::borrow::Cow;
use std::ops::Range;

use regex_syntax::ast::parse::{Parser, ParserBuilder};
use regex_syntax::ast::{self, Ast, ErrorKind};

use super::PatternError;
use super::look::Look;

/// The text of a pattern, and what was changed in it.
pub(super) struct Text {
    text: String,
    edits: Vec<Edit>,
    /// The look-arounds, as groups, by where they stand in the changed text.
    looks: Vec<(usize, Look)>,
    /// Whether it stood between slashes with the flag `i`.
    pub(super) folds: bool,
}

/// So many bytes took the place of so many.
struct Edit {
    at: usize,
    removed: usize,
    added: usize,
}

impl Text {
    /// Takes the slashes off `/^…$/` and `/^…$/i`, before and after which no value has a slash.
    pub(super) fn of(pattern: &str) -> Self {
        let mut text = Self { text: pattern.to_owned(), edits: Vec::new(), looks: Vec::new(), folds: false };
        if let Some((inner, flags)) = pattern.rsplit_once("$/")
            && inner.starts_with("/^")
            && matches!(flags, "" | "i" | "u" | "iu" | "ui")
        {
            text.folds = flags.contains('i');
            text.replace(inner.len() + 1..pattern.len(), "");
            text.replace(0..1, "");
        }
        text
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn parse(&mut self) -> Result<Ast, PatternError> {
        loop {
            let failed = match parser().parse(&self.text) {
                Ok(ast) => return Ok(ast),
                Err(failed) => failed,
            };
            if let Some((place, behind, negated)) = self.look_around(&failed) {
                let at = self.origin(place.start);
                self.looks.push((place.start, Look { behind, negated, at, neighbour: None }));
                self.replace(place, "(");
                continue;
            }
            match self.repair(&failed) {
                Some((place, with)) if self.edits.len() < REPAIRS_MAX + LOOKS_MAX => {
                    self.replace(place, &with);
                }
                _ => return Err(self.error(reason(failed.kind()), failed.span())),
            }
        }
    }

    /// The place is that in the text as it was given.
    pub(super) fn error(&self, reason: impl Into<Cow<'static, str>>, span: &ast::Span) -> PatternError {
        PatternError::syntax(reason, self.origin(span.start.offset))
    }

    /// The look-around that the group of this span is.
    pub(super) fn look(&self, group: &ast::Span) -> Option<Look> {
        let found = self.looks.iter().find(|&&(at, _)| at == group.start.offset);
        found.map(|(_, look)| look.clone())
    }

    /// Where in the text as it was given `at` is.
    fn origin(&self, at: usize) -> usize {
        self.edits.iter().rev().fold(at, |at, edit| match at.checked_sub(edit.at) {
            None => at,
            Some(past) => edit.at + past.checked_sub(edit.added).map_or(0, |past| past + edit.removed),
        })
    }

    fn replace(&mut self, place: Range<usize>, with: &str) {
        for (at, _) in &mut self.looks {
            if *at > place.start {
                *at = *at + with.len() - place.len();
            }
        }
        self.edits.push(Edit { at: place.start, removed: place.len(), added: with.len() });
        self.text.replace_range(place, with);
    }

    /// What opens a look-around, which is a group to the parser, and whether it looks behind and is negated.
    fn look_around(&self, failed: &ast::Error) -> Option<(Range<usize>, bool, bool)> {
        let start = failed.span().start.offset;
        if *failed.kind() != ErrorKind::UnsupportedLookAround || self.looks.len() >= LOOKS_MAX {
            return None;
        }
        let text = self.text.get(start..)?;
        let openings =
            [("(?=", false, false), ("(?!", false, true), ("(?<=", true, false), ("(?<!", true, true)];
        let found = openings.iter().find(|(opening, ..)| text.starts_with(opening));
        found.map(|&(opening, behind, negated)| (start..start + opening.len(), behind, negated))
    }

    /// What to put where, if what failed means one thing elsewhere.
    fn repair(&self, failed: &ast::Error) -> Option<(Range<usize>, Cow<'static, str>)> {
        let (start, end) = (failed.span().start.offset, failed.span().end.offset);
        let found = self.text.get(start..end)?;
        match failed.kind() {
            ErrorKind::ClassRangeLiteral => self.hyphen(start, end).map(|at| (at..at, "\\".into())),
            ErrorKind::ClassUnclosed => self.nested_bracket().map(|at| (at..at, "\\".into())),
            ErrorKind::EscapeUnrecognized if found == r"\Z" => Some((start..end, r"\z".into())),
            ErrorKind::ClassEscapeInvalid if matches!(found, r"\<" | r"\>") => {
                Some((start..start + 1, "".into()))
            }
            ErrorKind::EscapeHexInvalid => self.surrogates(start),
            ErrorKind::RepetitionMissing
            | ErrorKind::RepetitionCountUnclosed
            | ErrorKind::RepetitionCountDecimalEmpty => self.brace(start).map(|at| (at..at, "\\".into())),
            _ => None,
        }
    }

    /// The hyphen that would make a range of a class, as in `[\w-.]`.
    fn hyphen(&self, start: usize, end: usize) -> Option<usize> {
        if self.text.get(end..)?.starts_with('-') {
            return Some(end);
        }
        self.text.get(..start)?.strip_suffix('-').map(str::len)
    }

    /// The first bracket that is a member of a class, as in `[^[]`, where classes do not nest.
    fn nested_bracket(&self) -> Option<usize> {
        let (mut in_class, mut rest) = (false, self.text.as_str());
        while let Some(c) = rest.chars().next() {
            let at = self.text.len() - rest.len();
            let first = |prefix: &str| rest.starts_with(prefix).then_some(prefix.len());
            let len = match c {
                '\\' => 1 + rest.get(1..)?.chars().next().map_or(0, char::len_utf8),
                '[' if !in_class => {
                    in_class = true;
                    first("[^]").or_else(|| first("[]")).or_else(|| first("[^")).unwrap_or(1)
                }
                '[' if rest.starts_with("[:") => rest.find(":]").map_or(2, |end| end + 2),
                '[' => return Some(at),
                _ => {
                    in_class &= c != ']';
                    c.len_utf8()
                }
            };
            rest = rest.get(len..)?;
        }
        None
    }

    /// The brace at `at` or right before it, if no count follows.
    fn brace(&self, at: usize) -> Option<usize> {
        let brace = if self.text.get(at..)?.starts_with('{') { at } else { at.checked_sub(1)? };
        let after = self.text.get(brace..)?.strip_prefix('{')?;
        (!after.starts_with(|c: char| c.is_ascii_digit() || c == ',')).then_some(brace)
    }

    /// A character that is written as the two halves that UTF-16 makes of it; `digits` are those of the first.
    fn surrogates(&self, digits: usize) -> Option<(Range<usize>, Cow<'static, str>)> {
        let start = digits.checked_sub(2)?;
        let place = start..start + r"\uD800\uDC00".len();
        let (first, second) = self.text.get(place.clone())?.strip_prefix(r"\u")?.split_once(r"\u")?;
        let halves = [first, second].map(|half| u16::from_str_radix(half, 16).ok());
        let whole = char::decode_utf16([halves[0]?, halves[1]?]).next()?.ok()?;
        Some((place, format!(r"\u{{{:X}}}", u32::from(whole)).into()))
    }
}

fn parser() -> Parser {
    ParserBuilder::new().nest_limit(NEST_MAX).build()
}

fn reason(kind: &ErrorKind) -> Cow<'static, str> {
    match kind {
        ErrorKind::UnsupportedLookAround => "use fewer look-arounds".into(),
        ErrorKind::UnsupportedBackreference => {
            "back-references are not supported: write an alternative for each text that may repeat".into()
        }
        ErrorKind::RepetitionCountUnclosed | ErrorKind::RepetitionCountDecimalEmpty => {
            r"write a count as {2}, {2,} or {2,9}, and \{ for the character".into()
        }
        ErrorKind::EscapeHexInvalid => {
            r"write a character past U+FFFF as \u{1F600}, not as half of a surrogate pair".into()
        }
        other => other.to_string().into(),
    }
}

const NEST_MAX: u32 = 64;
/// Each one reads the text anew.
const REPAIRS_MAX: usize = 32;
const LOOKS_MAX: usize = 16;
