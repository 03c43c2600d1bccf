//! Patterns: any text as a pattern, and any value against it.

use regex::{Regex, RegexBuilder};
use strongroom::format::{PatternCache, PatternDraft, PatternFormat, VarFormat};

use crate::format::says_nothing_of;

/// A pattern is refused for good, or matches what the `regex` crate matches.
pub(crate) fn pattern(text: &str, unicode: bool, value: &str) {
    let draft = PatternFormat::draft(text);
    let draft = if unicode { draft.unicode() } else { draft };
    let vetted = match draft.clone().vet() {
        Ok(vetted) => VarFormat::Pattern(vetted),
        Err(refused) => {
            let quotes = is_telling(text) && refused.to_string().contains(text);
            assert!(!quotes, "a refusal quotes the pattern");
            return never_matches(draft, value);
        }
    };
    let accepted = says_nothing_of(&vetted, value).is_ok();
    if let Some(regex) = comparable(text, unicode, value) {
        assert!(
            accepted == (regex.is_match(value) && !value.is_empty()),
            "a pattern and its expression differ"
        );
    }
    holds_its_bounds(&vetted, accepted, value);
}

/// Whether a text cannot be a piece of a refusal's own wording.
fn is_telling(text: &str) -> bool {
    text.len() >= QUOTE_BYTES && text.chars().any(|char| !char.is_ascii_graphic() && char != ' ')
}

/// The cached answer is the same one, the cache stays small, and the longest value is answered too.
fn holds_its_bounds(vetted: &VarFormat, accepted: bool, value: &str) {
    let cache = PatternCache::new(1 << 20);
    for _ in 0..2 {
        assert!(vetted.validate_with(value, &cache).is_ok() == accepted, "the cache changes an answer");
    }
    assert!(cache.bytes() <= PATTERN_BYTES_MAX, "a compiled pattern takes too much");
    if let Some(times) = VALUE_BYTES_MAX.checked_div(value.len()) {
        let _ = vetted.validate_with(&value.repeat(times), &cache);
    }
}

fn never_matches(draft: PatternDraft, value: &str) {
    let pattern = VarFormat::Pattern(draft.assume_vetted());
    assert!(says_nothing_of(&pattern, value).is_err(), "a pattern that was refused matches");
}

/// The pattern in the `regex` crate, where the two must agree: with ASCII classes, wherever nothing but ASCII is
/// written, and short enough for both. What stands between slashes is another pattern there.
fn comparable(text: &str, unicode: bool, value: &str) -> Option<Regex> {
    let other_letters = [r"\x", r"\u", r"\U", r"\p", r"\P"];
    let ascii =
        text.is_ascii() && value.is_ascii() && !other_letters.iter().any(|escape| text.contains(escape));
    let between_slashes = text.starts_with("/^");
    if between_slashes || (!unicode && !ascii) {
        return None;
    }
    RegexBuilder::new(&format!(r"\A(?:{text})\z")).crlf(true).size_limit(SIZE_MAX).build().ok()
}

/// A text of this length does not stand in the sentence of a refusal by chance.
const QUOTE_BYTES: usize = 16;
const PATTERN_BYTES_MAX: usize = 512 * 1024;
const VALUE_BYTES_MAX: usize = 64 * 1024;
const SIZE_MAX: usize = 1 << 18;
