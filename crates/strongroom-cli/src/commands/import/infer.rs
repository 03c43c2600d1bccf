//! What `--infer` proposes for a name that is not defined, and why.

use strongroom::{VarFormat, VariableDefinition};

/// A proposed definition, and the reason for it.
#[derive(Debug)]
pub(super) struct Proposal {
    pub(super) definition: VariableDefinition,
    pub(super) why: &'static str,
}

impl Proposal {
    /// An encrypted string.
    pub(super) fn of_secret(name: &str, why: &'static str) -> Self {
        Self { definition: VariableDefinition::new(name, VarFormat::String).encrypted(), why }
    }

    /// Encrypted bytes, for what is not text.
    pub(super) fn of_bytes(name: &str) -> Self {
        let definition = VariableDefinition::new(name, VarFormat::Bytes).encrypted();
        Self { definition, why: "bytes, since it is not text" }
    }

    /// Errs on the side of secret: a value is plain only if it has a format of its own and no sign of a secret in its
    /// name or value.
    pub(super) fn of(name: &str, value: &str) -> Self {
        let secret = |why| Self::of_secret(name, why);
        let plain = |format, why| Self { definition: VariableDefinition::new(name, format), why };
        if segments(name).any(|segment| SECRET_SEGMENTS.contains(&segment.as_str())) {
            return secret("encrypted: its name speaks of a secret");
        }
        if VarFormat::Boolean.validate(value).is_ok() {
            return plain(VarFormat::Boolean, "plain: a boolean");
        }
        // A long number may as well be an account, a code or a key.
        if value.len() <= 6 && VarFormat::Number.validate(value).is_ok() {
            return plain(VarFormat::Number, "plain: a short number");
        }
        // The user of a URL, its query or a long path may be a secret.
        if VarFormat::Url.validate(value).is_ok() && is_bare(value) {
            return plain(VarFormat::Url, "plain: a URL without user, path or query");
        }
        secret("encrypted: nothing shows that it is not a secret")
    }
}

fn is_bare(url: &str) -> bool {
    let rest = url.split_once("://").map(|(_, rest)| rest.trim_end_matches('/'));
    rest.is_some_and(|rest| !rest.contains(['@', '/', '?', '#']))
}

/// The words of a name, in capitals: `dbPassword` and `DB_PASSWORD` have the same.
fn segments(name: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for c in name.chars() {
        let starts_word = was_small && c.is_ascii_uppercase();
        if !c.is_alphanumeric() || starts_word {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.push(c.to_ascii_uppercase());
        }
        was_small = c.is_ascii_lowercase();
    }
    words.into_iter().filter(|word| !word.is_empty())
}

#[rustfmt::skip]
const SECRET_SEGMENTS: &[&str] = &[
    "ACCESSKEY", "APIKEY", "AUTH", "BEARER", "CERT", "CERTIFICATE", "CODE", "CONNECTION", "COOKIE", "CREDENTIAL",
    "CREDENTIALS", "CREDS", "DSN", "ENCRYPTION", "HASH", "HMAC", "HOOK", "JWT", "KEY", "KEYS", "LICENSE", "MNEMONIC",
    "OAUTH", "OTP", "PASS", "PASSCODE", "PASSPHRASE", "PASSWD", "PASSWORD", "PASSWORDS", "PAT", "PEM", "PEPPER", "PIN",
    "PRIVATE", "PSK", "PWD", "SALT", "SECRET", "SECRETS", "SEED", "SESSION", "SIGNATURE", "SIGNING", "SSN", "TOKEN",
    "TOTP", "WEBHOOK",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_encrypted() {
        for (name, value) in [
            ("SMTP_PASS", "x"),
            ("MYSQL_PWD", "123456"),
            ("PASSPHRASE", "true"),
            ("SLACK_WEBHOOK_URL", "https://hooks.example"),
            ("AZURE_STORAGE_CONNECTION_STRING", "AccountName=x"),
            ("GOOGLE_CREDENTIALS", "{}"),
            ("JWT", "x"),
            ("OTP_SEED", "1"),
            ("dbPassword", "1"),
            ("CALLBACK_URL", "https://example.com/t/4f9a"),
            ("DATABASE_URL", "postgres://u:p@host/db"),
            ("ACCOUNT", "4929112233"),
            ("GREETING", "hello"),
        ] {
            let Proposal { definition, why } = Proposal::of(name, value);
            assert!(definition.encrypted && definition.var_format == VarFormat::String, "{name}: {why}");
        }
    }

    #[test]
    fn a_name_that_only_sounds_like_a_secret_is_plain() {
        for (name, value, format) in [
            ("MONKEY_COUNT", "3", "number"),
            ("MAX_TOKENS", "4096", "number"),
            ("FEATURE", "true", "boolean"),
            ("KEYCLOAK_HOST", "https://id.example.com", "url"),
        ] {
            let Proposal { definition, why } = Proposal::of(name, value);
            assert!(!definition.encrypted && definition.var_format.name() == format, "{name}: {why}");
        }
    }
}
