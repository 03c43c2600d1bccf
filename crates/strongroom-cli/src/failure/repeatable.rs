//! Which typed text may be repeated. A secret typed in the wrong place must appear neither on the screen nor in a log,
//! so an argument is repeated only if it cannot be one: as a word of the grammar, a name, an id or a file.

use std::path::Path;

use super::Failure;

/// A short word of lower case letters, perhaps after dashes, and without the part after a `=`.
pub(crate) fn word(typed: &str) -> Option<&str> {
    let typed = typed.split('=').next().unwrap_or_default();
    let is_small = |c: char| c.is_ascii_lowercase() || matches!(c, '-' | '_');
    let is_word = typed.trim_start_matches('-').starts_with(|c: char| c.is_ascii_lowercase());
    (typed.len() <= 24 && is_word && typed.chars().all(is_small)).then_some(typed)
}

/// The name of a variable or an environment.
pub(crate) fn name(typed: &str) -> Option<&str> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (typed.chars().all(is_of_name) && !looks_random(typed)).then_some(typed)
}

/// The id of an account or a workflow, or a place, which may have more kinds of characters.
pub(crate) fn id(typed: &str) -> Option<&str> {
    let is_of_id = |c: char| c.is_alphanumeric() || "_-.@:/+|~".contains(c);
    (typed.chars().all(is_of_id) && !looks_random(typed)).then_some(typed)
}

/// A file, for a sentence about it. A file with a usual extension, or in a directory, must look more like a secret to
/// be hidden.
pub(crate) fn file(path: &Path) -> String {
    if may_be_file(&path.to_string_lossy()) {
        return path.display().to_string();
    }
    "what was given as a file, which is not repeated here since it may be a secret,".to_owned()
}

/// A value was typed in place of something else.
pub(crate) fn misplaced() -> Failure {
    Failure::usage(NEVER_AN_ARGUMENT)
        .next("other users can see arguments and shells record them: replace the secret if it is a real one")
}

fn may_be_file(text: &str) -> bool {
    let name = text.rsplit(['/', '\\']).next().unwrap_or_default();
    if text.contains("://") || name.contains('=') || has_secret_prefix(name) {
        return false;
    }
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'_' | b'-' | b'/');
    let is_key = text.len() >= 40 && !text.starts_with('/') && text.bytes().all(is_digit);
    let ends_as_file = name.rsplit_once('.').is_some_and(|(_, end)| {
        (1..=8).contains(&end.len()) && end.bytes().all(|byte| byte.is_ascii_lowercase())
    });
    let is_path = name.len() < text.len();
    !is_key && (ends_as_file || is_path || self::name(text).is_some())
}

/// Too long for a name, or mixed like generated text, or marked as a key of a service.
fn looks_random(text: &str) -> bool {
    let has = |is_kind: fn(&char) -> bool| text.chars().any(|c| is_kind(&c));
    let is_mixed =
        has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase) && has(char::is_ascii_digit);
    text.len() > 64 || has_secret_prefix(text) || text.len() >= 16 && is_mixed
}

fn has_secret_prefix(text: &str) -> bool {
    SECRET_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
}

pub(crate) const NEVER_AN_ARGUMENT: &str = "a value is read from standard input, never from an argument";

/// Prefixes of keys and tokens from well-known services.
const SECRET_PREFIXES: &[&str] =
    &["sk_", "sk-", "pk_", "rk_", "ghp_", "github_", "glpat-", "xox", "AKIA", "eyJ", "tk_"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_small_word_is_repeated() {
        for shown in ["--acount", "lsit", "--value=hunter2", "-x"] {
            assert!(word(shown).is_some(), "{shown}");
        }
        for hidden in ["hunter2", "API_KEY=secret", "-----BEGIN", "sk_live_4eC39", "", "--"] {
            assert_eq!(word(hidden), None, "{hidden}");
        }
        assert_eq!(word("--value=hunter2"), Some("--value"));
    }

    #[test]
    fn what_looks_like_a_value_is_no_name() {
        for hidden in ["API_KEY=secret", &"s".repeat(65), "two words", "sk_live_x", "aB3dE5fG7hI9kL1m"] {
            assert_eq!((name(hidden), id(hidden)), (None, None), "{hidden}");
        }
        assert!(name("DATABASE_URL").is_some() && id("a+b@example.com").is_some());
    }

    #[test]
    fn a_file_is_repeated_and_a_value_in_its_place_is_not() {
        let key = "0123456789abcdef0123456789abcdef0123456789abcdef";
        for hidden in
            ["A=hunter2", "sk_live_x", "tk_x", "two words", key, "postgres://u:p@h/d", "dir/A=hunter2"]
        {
            assert!(!file(Path::new(hidden)).contains(hidden), "{hidden}");
        }
        for shown in
            ["-", "a.env", ".env", "My Keys/Prod2026Final.env", "/tmp/.tmpAb3dE5fG7hI9/vault", "backup"]
        {
            assert_eq!(file(Path::new(shown)), shown);
        }
    }
}
