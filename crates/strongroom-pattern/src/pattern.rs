//! A pattern as it is written and kept: its text, its options and its examples.

use crate::budget::Budget;
use crate::error::PatternError;
use crate::matcher::Matcher;
use crate::syntax;

/// A pattern that was vetted. It matches the whole of a value, with or without `^` and `$`, and never the empty one.
///
/// # Syntax
/// That of the [`regex`] crate, read by its parser, and with look-around; without back-references. `\w`, `\d`, `\s`,
/// `\b` and `(?i)` are about ASCII unless [`PatternDraft::unicode`] was asked for; `.` and `[^a]` are about all
/// characters. A line ends at `\n`, `\r` or both, so `.` takes neither of them, unless `(?s)` was asked for.
///
/// Look-around may ask for one character anywhere, as in `((?!-)[a-z-]+\.)+` or `\w+(?=\s|$)`. Where it asks for
/// more, it must be a fixed number of characters after the start of the value, as in `(?=.{8,64}$)` or
/// `[a-z](?!.*--)`, or look back from a fixed number of characters before its end, as in `(?<!\.git)$`.
///
/// What other dialects write is read as it is meant there, where ECMA-262, Java, Go and Python agree or only one of
/// them has it:
///
/// | written | read as |
/// |---|---|
/// | `/^…$/`, `/^…$/i` | what is between the slashes, with `(?i)` |
/// | `[\w-.]`, `[^[]`, `[\<]` | the hyphen, the bracket, the angle bracket |
/// | `{{`, `{name}` | braces, where no count follows |
/// | `\Z` | `\z` |
/// | `\p{Alnum}` and what else is only Java's, unless Unicode was asked for | `[[:alnum:]]` |
/// | `\uD800\uDC00` | `\u{10000}` |
///
/// What they disagree on is refused with what to write instead: `\<`, `a++`, `a{,3}`, `a{ 2}`, `[a[b]]`, `[a&&b]`,
/// `(?U)`, `(?x)[a b]`, and `\p{Alpha}`, `\p{Word}` or `\p{ALNUM}` unless Unicode was asked for.
///
/// [`regex`]: https://docs.rs/regex/latest/regex/#syntax
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "PatternDraft", try_from = "PatternDraft"))]
pub struct Pattern {
    draft: PatternDraft,
}

/// A pattern with its examples, before it is vetted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct PatternDraft {
    pattern: String,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_false"))]
    unicode: bool,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    must_match: Vec<String>,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    must_not_match: Vec<String>,
}

impl Pattern {
    /// Starts a pattern of this text, which [`PatternDraft::vet`] completes.
    ///
    /// ```
    /// use strongroom_pattern::Pattern;
    ///
    /// let key = Pattern::draft("sk_(live|test)_[A-Za-z0-9]{24,64}").must_not_match("pk_live_1").vet()?;
    /// let key = key.compile()?;
    /// assert!(key.matches("sk_live_0123456789abcdefghijklmn"));
    /// assert!(!key.matches("sk_live_0123456789abcdefghijklmn "));
    /// # Ok::<(), strongroom_pattern::PatternError>(())
    /// ```
    pub fn draft(pattern: impl Into<String>) -> PatternDraft {
        let (must_match, must_not_match) = (Vec::new(), Vec::new());
        PatternDraft { pattern: pattern.into(), unicode: false, must_match, must_not_match }
    }

    /// The text of the pattern.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.draft.pattern
    }

    /// Whether classes and case folding are Unicode's.
    #[must_use]
    pub fn is_unicode(&self) -> bool {
        self.draft.unicode
    }

    /// The examples that match.
    pub fn must_match(&self) -> impl ExactSizeIterator<Item = &str> {
        self.draft.must_match.iter().map(String::as_str)
    }

    /// The examples that do not match.
    pub fn must_not_match(&self) -> impl ExactSizeIterator<Item = &str> {
        self.draft.must_not_match.iter().map(String::as_str)
    }

    /// Compiles the pattern, ready to match values. Costs what vetting it cost: keep the result.
    ///
    /// # Errors
    /// None if it was vetted by this version of the crate, otherwise those of [`PatternDraft::vet`], except for the
    /// examples, which are not tried again.
    pub fn compile(&self) -> Result<Matcher, PatternError> {
        self.draft.compile()
    }
}

impl PatternDraft {
    /// Adds an example that the pattern must match.
    #[must_use]
    pub fn must_match(mut self, example: impl Into<String>) -> Self {
        self.must_match.push(example.into());
        self
    }

    /// Adds an example that the pattern must not match.
    #[must_use]
    pub fn must_not_match(mut self, example: impl Into<String>) -> Self {
        self.must_not_match.push(example.into());
        self
    }

    /// Makes `\w`, `\d`, `\s`, `\b` and `(?i)` those of Unicode.
    #[must_use]
    pub fn unicode(mut self) -> Self {
        self.unicode = true;
        self
    }

    /// Compiles the pattern within its bounds and tries the examples. Takes a few milliseconds at most on a server of
    /// 2023, 16 if it is refused.
    ///
    /// ```
    /// use strongroom_pattern::{Pattern, PatternError};
    ///
    /// let refused = Pattern::draft(r"v\d+").must_match("v1").must_match("1.0").vet().unwrap_err();
    /// assert_eq!(refused, PatternError::ExampleDoesNotMatch { index: 1 });
    /// let refused = Pattern::draft("(a{1000}){1000}").vet().unwrap_err();
    /// assert!(matches!(refused, PatternError::TooComplex { .. }));
    /// ```
    ///
    /// # Errors
    /// Each variant of [`PatternError`] names its cause.
    pub fn vet(self) -> Result<Pattern, PatternError> {
        let examples = self.must_match.iter().chain(&self.must_not_match);
        let (count, bytes) =
            examples.fold((0, 0), |(count, bytes), example| (count + 1, bytes + example.len()));
        // Before anything is compiled: each example is matched, which costs as much as a value.
        if count > EXAMPLES_MAX || bytes > EXAMPLE_BYTES_MAX {
            return Err(PatternError::TooManyExamples {
                count_max: EXAMPLES_MAX,
                bytes_max: EXAMPLE_BYTES_MAX,
            });
        }
        let matcher = self.compile()?;
        let matches = |example: &String| matcher.matches(example);
        if let Some(index) = self.must_match.iter().position(|example| !matches(example)) {
            return Err(PatternError::ExampleDoesNotMatch { index });
        }
        if let Some(index) = self.must_not_match.iter().position(matches) {
            return Err(PatternError::ExampleMatches { index });
        }
        Ok(self.assume_vetted())
    }

    /// The pattern without compiling it, for one that was vetted before it was stored.
    ///
    /// The bounds hold all the same: one that would not pass [`vet`](Self::vet) is refused by [`Pattern::compile`].
    #[must_use]
    pub fn assume_vetted(self) -> Pattern {
        Pattern { draft: self }
    }

    fn compile(&self) -> Result<Matcher, PatternError> {
        if self.pattern.len() > PATTERN_BYTES_MAX {
            return Err(PatternError::TooLong { bytes_max: PATTERN_BYTES_MAX });
        }
        // One budget for all of it: what parsing takes is not there for compiling.
        let mut budget = Budget::full();
        let parsed = syntax::parse(&self.pattern, self.unicode, &mut budget)?;
        let matcher = Matcher::of(&parsed, self.unicode, &mut budget)?;
        if matcher.matches_something() { Ok(matcher) } else { Err(PatternError::MatchesNothing) }
    }
}

impl TryFrom<PatternDraft> for Pattern {
    type Error = PatternError;

    fn try_from(draft: PatternDraft) -> Result<Self, PatternError> {
        draft.vet()
    }
}

impl From<Pattern> for PatternDraft {
    fn from(pattern: Pattern) -> Self {
        pattern.draft
    }
}

#[cfg(feature = "serde")]
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(unicode: &bool) -> bool {
    !unicode
}

// Much of parsing is not counted in steps; its cost is bounded by the length of the text.
const PATTERN_BYTES_MAX: usize = 1024;
const EXAMPLES_MAX: usize = 32;
const EXAMPLE_BYTES_MAX: usize = 4 * 1024;
