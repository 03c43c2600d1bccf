//! Formats of values.

use strongroom::format::{EnumFormat, FormatError, LengthBounds, UrlSchemes, VarFormat};

use crate::grammar::agrees;
use crate::pattern::pattern;

/// A format accepts what an independent reading of its grammar accepts, and what it says of a value that it refuses
/// does not depend on the value.
///
/// The first byte chooses the format; its parameter, if it has one, ends at the first NUL.
pub fn format(data: &[u8]) {
    let Some((&choice, text)) = data.split_first() else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    let (parameter, value) = text.split_once('\0').unwrap_or(("", text));
    match usize::from(choice) % 16 {
        // The inputs of the corpus choose below 240.
        newer @ 0..=8 if choice >= 240 => {
            agrees(NEWER[newer], &says_nothing_of(&format_of(NEWER[newer]), text), text)
        }
        simple @ 0..=10 => agrees(SIMPLE[simple], &says_nothing_of(&format_of(SIMPLE[simple]), text), text),
        11 => schemes(parameter, value),
        12 => list(parameter, value),
        13 => length(parameter.len(), usize::from(choice / 16), value),
        14 => pattern(parameter, false, value),
        _ => pattern(parameter, true, value),
    }
}

/// The answer for `value`, once it is sure that a refusal is the one that the empty value gets.
pub(crate) fn says_nothing_of(format: &VarFormat, value: &str) -> Result<(), FormatError> {
    let answer = format.validate(value);
    if let Err(error) = &answer {
        let known = format.validate("").expect_err("a format that refuses anything refuses the empty value");
        assert!(*error == known, "what is said depends on the value");
        assert!(error.to_string() == known.rule() && format!("{error:?}") == format!("{known:?}"));
    }
    answer
}

fn format_of(name: &str) -> VarFormat {
    name.parse().expect("a format of that name exists")
}

fn schemes(parameter: &str, value: &str) {
    let Ok(schemes) = UrlSchemes::new(parameter.split(' ')) else { return };
    let scheme = value.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let allowed = schemes.schemes().any(|allowed| allowed == scheme);
    let answer = says_nothing_of(&VarFormat::UrlWithScheme(schemes), value);
    assert!(
        answer.is_ok() == (allowed && format_of("url").validate(value).is_ok()),
        "a scheme is allowed or not"
    );
}

fn list(parameter: &str, value: &str) {
    let Ok(list) = EnumFormat::new(parameter.split('\n')) else { return };
    let known = list.values().any(|known| known == value);
    assert!(says_nothing_of(&VarFormat::Enum(list), value).is_ok() == known, "a value is on the list or not");
}

fn length(min: usize, more: usize, value: &str) {
    let Ok(bounds) = LengthBounds::new(min..=min + more) else { return };
    let answer = bounds.check(value);
    assert!(
        answer.is_ok() == (min..=min + more).contains(&value.len()),
        "a length is within the bounds or not"
    );
    if let Err(error) = answer {
        assert!(error.to_string() == format!("{min} to {} bytes are required", min + more));
    }
}

const SIMPLE: [&str; 11] =
    ["string", "number", "integer", "boolean", "url", "json", "uuid", "email", "hostname", "base64", "pem"];

const NEWER: [&str; 9] = [
    "uri",
    "connection_string",
    "hostname_with_underscore",
    "ip",
    "duration",
    "date_time",
    "semver",
    "pem_strict",
    "bytes",
];
