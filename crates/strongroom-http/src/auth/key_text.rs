//! The text form of an API key: a prefix for people, then base62 of org, environment, key id and secret.

use strongroom::{DocumentId, Environment, OrgId, Secret};
use zeroize::Zeroizing;

use super::base62;

/// A parsed API key.
pub(crate) struct KeyText {
    pub(crate) org: OrgId,
    pub(crate) environment: Environment,
    pub(crate) id: DocumentId,
    pub(crate) secret: Zeroizing<[u8; SECRET_LEN]>,
}

impl KeyText {
    /// The text of the key, which its owner sees once.
    pub(crate) fn format(&self) -> Secret {
        let environment = self.environment.as_str().as_bytes();
        let mut bytes = Zeroizing::new(Vec::with_capacity(2 * ID_LEN + 1 + environment.len() + SECRET_LEN));
        bytes.extend_from_slice(self.org.as_bytes());
        // An environment has at most 32 bytes.
        bytes.push(u8::try_from(environment.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(environment);
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(&*self.secret);
        let digits = base62::encode(&bytes);
        Secret::from([prefix(&self.environment), digits.as_str()].concat())
    }

    /// `None` for any text that [`format`](Self::format) does not produce.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.get(PREFIX_LEN..)?;
        let bytes = base62::decode(digits)?;
        let (org, rest) = bytes.split_first_chunk::<ID_LEN>()?;
        let (environment_len, rest) = rest.split_first()?;
        let (environment, rest) = rest.split_at_checked(usize::from(*environment_len))?;
        let (id, secret) = rest.split_first_chunk::<ID_LEN>()?;
        let environment: Environment = std::str::from_utf8(environment).ok()?.parse().ok()?;
        // A key has one spelling: with a wrong prefix it is refused, even if the rest is right.
        text.starts_with(prefix(&environment)).then_some(())?;
        Some(Self {
            org: OrgId::from(*org),
            environment,
            id: DocumentId::from(*id),
            secret: Zeroizing::new(secret.try_into().ok()?),
        })
    }
}

fn prefix(environment: &Environment) -> &'static str {
    match environment.as_str() {
        "production" => "pk_",
        "test" => "tk_",
        _ => "ek_",
    }
}

pub(crate) const SECRET_LEN: usize = 32;
const ID_LEN: usize = 12;
const PREFIX_LEN: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(environment: &str) -> KeyText {
        KeyText {
            org: "0000a1b2c3d4e5f6a7b8c9d0".parse().unwrap(),
            environment: environment.parse().unwrap(),
            id: "7500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(),
            secret: Zeroizing::new([9; SECRET_LEN]),
        }
    }

    #[test]
    fn a_key_reads_back_and_its_prefix_tells_the_environment() {
        let longest = "é".repeat(16);
        for (environment, prefix) in
            [("production", "pk_"), ("test", "tk_"), ("staging", "ek_"), (&longest, "ek_")]
        {
            let text = key(environment).format();
            assert!(text.expose().starts_with(prefix), "{environment}");
            let read = KeyText::parse(text.expose()).unwrap();
            assert_eq!((read.org, read.environment.as_str()), (key("test").org, environment));
            assert_eq!((read.id, *read.secret), (key("test").id, [9; SECRET_LEN]));
        }
    }

    #[test]
    fn a_text_that_is_not_a_key_is_refused() {
        let good = key("test").format();
        let good = good.expose();
        let other_prefix = good.replacen("tk_", "pk_", 1);
        let (longer, shorter) = (format!("{good}0"), &good[..good.len() - 1]);
        let huge = format!("tk_{}", "z".repeat(100_000));
        for bad in ["", "tk_", "tk", "é", "tk_é", "tk_-", &other_prefix, &longer, shorter, &huge] {
            assert!(KeyText::parse(bad).is_none(), "{bad:.20}");
        }
    }
}
