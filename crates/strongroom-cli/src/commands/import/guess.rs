//! How a variable is defined that an import meets for the first time.

use strongroom::{VarFormat, VariableDefinition};

/// A definition that takes `value` with the tightest format that fits, encrypted where the name or the value says
/// that it holds a secret.
pub(super) fn definition(name: &str, value: &str) -> VariableDefinition {
    let definition = VariableDefinition::new(name, tightest_format(value));
    if looks_secret(name, value) { definition.encrypted() } else { definition }
}

fn tightest_format(value: &str) -> VarFormat {
    let formats = [VarFormat::Boolean, VarFormat::Number, VarFormat::Url];
    formats.into_iter().find(|format| format.validate(value).is_ok()).unwrap_or(VarFormat::String)
}

fn looks_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["KEY", "SECRET", "TOKEN", "PASSWORD"].iter().any(|word| name.contains(word))
        || has_user_information(value)
}

/// Whether the value is a URL such as `https://user:password@host`. What is not quite a URL may have it anywhere.
fn has_user_information(value: &str) -> bool {
    let ends: &[char] = if VarFormat::Url.validate(value).is_ok() { &['/', '?', '#'] } else { &[] };
    let authority = value.split_once("://").and_then(|(_, rest)| rest.split(ends).next());
    authority.is_some_and(|authority| authority.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_format_that_fits_is_taken() {
        let formats =
            ["true", "8080", "https://example.com/a@b", "", "a b"].map(|value| tightest_format(value).name());
        assert_eq!(formats, ["boolean", "number", "url", "string", "string"]);
    }

    #[test]
    fn names_and_urls_with_secrets_are_encrypted() {
        let cases = [
            ("api_key", "x", true),
            ("DATABASE_URL", "postgres://u:p@host/db", true),
            ("DATABASE_URL", "postgres://u:p/w d@host/db", true),
            ("DATABASE_URL", "postgres://host/db?a=b@c", false),
            ("PORT", "8080", false),
        ];
        for (name, value, encrypted) in cases {
            assert_eq!(definition(name, value).encrypted, encrypted, "{name}");
        }
    }
}
