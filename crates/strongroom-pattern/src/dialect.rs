//! Rewrites what other dialects write into what the parser reads.
//!
//! Each repair responds to an error of the parser, so a pattern that it can read is never changed, and is made only
//! where the other dialects agree on one meaning. What they disagree on is refused, with what to write instead.
//!
//! The others are ECMA-262 with its Annex B, Java's `Pattern`, Go's and Rust's `regex` and Python's `re`.

use std::borrow::Cow;
use std::ops::Range;

use regex_syntax::ast::parse::{Parser, ParserBuilder};
use regex_syntax::ast::{self, Ast, ErrorKind};

use crate::error::PatternError;
use crate::look::Look;

/// The text of a pattern, and what was changed in it.
pub(crate) struct Text {
    text: String,
    edits: Vec<Edit>,
    /// The look-arounds, which are groups in the changed text, by where they start in it.
    looks: Vec<(usize, Look)>,
    /// Whether it was between slashes with the flag `i`.
    pub(crate) folds: bool,
}

/// A number of bytes that replaced another number of bytes.
struct Edit {
    at: usize,
    removed: usize,
    added: usize,
}

impl Text {
    /// Takes the slashes off `/^…$/` and `/^…$/i`.
    pub(crate) fn of(pattern: &str) -> Self {
        let mut text = Self { text: pattern.to_owned(), edits: Vec::new(), looks: Vec::new(), folds: false };
        // Only with both anchors, where they cannot mean slashes of the value: nothing comes before ^ or after $.
        if let Some((inner, flags)) = pattern.rsplit_once("$/")
            && inner.starts_with("/^")
            && matches!(flags, "" | "i" | "u" | "iu" | "ui")
        {
            text.folds = flags.contains('i');
            // From the back, so that the first place is still where it was.
            text.replace(inner.len() + 1..pattern.len(), "");
            text.replace(0..1, "");
        }
        text
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn parse(&mut self) -> Result<Ast, PatternError> {
        loop {
            let failed = match parser().parse(&self.text) {
                Ok(ast) => return Ok(ast),
                Err(failed) => failed,
            };
            // From here on it is a group, which is found again by where it starts.
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

    /// An error that points into the text as it was given.
    pub(crate) fn error(&self, reason: impl Into<Cow<'static, str>>, span: &ast::Span) -> PatternError {
        PatternError::syntax(reason, self.origin(span.start.offset))
    }

    /// The part of the changed text that `span` covers.
    pub(crate) fn written(&self, span: &ast::Span) -> &str {
        self.text.get(span.start.offset..span.end.offset).unwrap_or_default()
    }

    /// The look-around that became the group of this span.
    pub(crate) fn look(&self, group: &ast::Span) -> Option<Look> {
        let found = self.looks.iter().find(|&&(at, _)| at == group.start.offset);
        found.map(|(_, look)| look.clone())
    }

    /// Where `at`, a place in the changed text, is in the text as it was given.
    fn origin(&self, at: usize) -> usize {
        // The last edit is undone first: the place of each is in the text that it found.
        self.edits.iter().rev().fold(at, |at, edit| match at.checked_sub(edit.at) {
            None => at,
            Some(past) => edit.at + past.checked_sub(edit.added).map_or(0, |past| past + edit.removed),
        })
    }

    fn replace(&mut self, place: Range<usize>, with: &str) {
        for (at, _) in &mut self.looks {
            // Not one at its start: that is the look-around that is being replaced.
            if *at > place.start {
                *at = *at + with.len() - place.len();
            }
        }
        self.edits.push(Edit { at: place.start, removed: place.len(), added: with.len() });
        self.text.replace_range(place, with);
    }

    /// What opens the look-around that the parser refused, and whether it looks behind and is negated.
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

    /// The edit that makes readable what failed, if it has one meaning in the other dialects.
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

    /// A character that is written as its two UTF-16 surrogates; `digits` is where the digits of the first start.
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

// The tree is visited by recursion: this bounds the stack.
const NEST_MAX: u32 = 64;
// Each repair and each look-around parses the text again, so their number bounds what a hostile text costs.
const REPAIRS_MAX: usize = 32;
const LOOKS_MAX: usize = 16;
