//! Patterns: any text as a pattern, and any value against it.

use regex::{Regex, RegexBuilder};
use strongroom::format::{PatternCache, VarFormat};
use strongroom_pattern::{MATCHER_BYTES_MAX, Matcher, Pattern, VALUE_BYTES_MAX};

use crate::format::says_nothing_of;

/// A pattern is refused for good, or matches what the `regex` crate matches, and its format says the same.
pub(crate) fn pattern(text: &str, unicode: bool, value: &str) {
    let draft = Pattern::draft(text);
    let draft = if unicode { draft.unicode() } else { draft };
    let vetted = draft.clone().vet();
    let format = VarFormat::Pattern(draft.assume_vetted());
    let accepted = says_nothing_of(&format, value).is_ok();
    match vetted {
        Ok(vetted) => {
            let matcher = vetted.compile().expect("what was vetted compiles");
            assert!(matcher.matches(value) == accepted, "a format and its pattern differ");
            if let Some(regex) = comparable(text, unicode, value) {
                assert!(
                    accepted == (regex.is_match(value) && !value.is_empty()),
                    "a pattern and its expression differ"
                );
            }
            holds_its_bounds(&matcher, value);
            caches(&format, value, accepted);
        }
        Err(refused) => {
            assert!(!accepted, "a pattern that was refused matches");
            let quotes = is_telling(text) && refused.to_string().contains(text);
            assert!(!quotes, "a refusal quotes the pattern");
        }
    }
}

/// Whether a text cannot be a piece of a refusal's own wording.
fn is_telling(text: &str) -> bool {
    text.len() >= QUOTE_BYTES && text.chars().any(|char| !char.is_ascii_graphic() && char != ' ')
}

/// A compiled pattern stays small, and the longest value is matched too.
fn holds_its_bounds(matcher: &Matcher, value: &str) {
    assert!(matcher.bytes() <= MATCHER_BYTES_MAX, "a compiled pattern takes too much");
    if let Some(times) = VALUE_BYTES_MAX.checked_div(value.len()) {
        let _ = matcher.matches(&value.repeat(times));
    }
}

/// The cache changes no answer, whether it compiles the pattern or has it.
fn caches(format: &VarFormat, value: &str, accepted: bool) {
    let cache = PatternCache::new(1 << 20);
    for _ in 0..2 {
        assert!(format.validate_with(value, &cache).is_ok() == accepted, "the cache changes an answer");
    }
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

/// A text of this length is not in the message of a refusal by chance.
const QUOTE_BYTES: usize = 16;
const SIZE_MAX: usize = 1 << 18;
