//! A definition for a variable of which only the name and a value are known.

use crate::format::VarFormat;
use crate::model::VariableDefinition;

impl VariableDefinition {
    /// A definition with the tightest format that fits `value` (`boolean`, `number`, `url`, otherwise `string`),
    /// encrypted if the name or the value looks like a secret. For an import that finds no definition of the
    /// variable.
    ///
    /// ```
    /// use strongroom::{VarFormat, VariableDefinition};
    /// let port = VariableDefinition::for_value("PORT", "8080");
    /// assert_eq!((port.var_format, port.encrypted), (VarFormat::Number, false));
    /// assert!(VariableDefinition::for_value("DATABASE_URL", "postgres://user:password@host/db").encrypted);
    /// ```
    #[must_use]
    pub fn for_value(name: &str, value: &str) -> Self {
        let definition = Self::new(name, tightest_format(value));
        if looks_secret(name, value) { definition.encrypted() } else { definition }
    }
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

/// Whether the value looks like a URL with a password, such as `https://user:password@host`. It need not be a valid
/// URL: `@` may be anywhere in it.
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
        let formats = ["true", "8080", "https://example.com/a@b", "", "a b"].map(tightest_format);
        assert_eq!(formats.each_ref().map(VarFormat::name), ["boolean", "number", "url", "string", "string"]);
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
            assert_eq!(VariableDefinition::for_value(name, value).encrypted, encrypted, "{name}");
        }
    }
}
