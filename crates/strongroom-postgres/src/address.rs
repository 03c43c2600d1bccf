//! The address of a database, as libpq writes it: a URL, or keywords and values.
//!
//! The driver reads most of it. Some parameters are for this crate, and are taken out first.

use std::iter::Peekable;
use std::str::Chars;

use percent_encoding::percent_decode_str;
use strongroom_store::StoreError;
use tokio_postgres::Config;

use crate::failure::unsupported;
use crate::layout::Layout;

/// An address, taken apart.
#[derive(Default)]
pub(crate) struct Address {
    pub(crate) server: Config,
    /// The value of `sslmode`.
    pub(crate) ssl_mode: Option<String>,
    /// The value of `sslrootcert`.
    pub(crate) root_certificates: Option<String>,
    /// The value of `row_locks`.
    pub(crate) row_locks: Option<String>,
    /// The value of `mode`.
    pub(crate) mode: Option<String>,
    schema: Option<String>,
    prefix: Option<String>,
    owner: Option<String>,
}

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        let mut address = Self::default();
        let rest = if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            address.take_from_url(text)
        } else {
            address.take_from_pairs(text)
        };
        address.server = rest.and_then(|rest| rest.parse().ok()).ok_or_else(unreadable)?;
        Ok(address)
    }

    /// Where the tables are to be.
    pub(crate) fn layout(&mut self) -> Result<Layout, StoreError> {
        let mut layout = Layout::default();
        self.schema.take().map_or(Ok(()), |schema| layout.set_schema(schema))?;
        self.prefix.take().map_or(Ok(()), |prefix| layout.set_prefix(prefix))?;
        self.owner.take().map_or(Ok(()), |owner| layout.set_owner(owner))?;
        Ok(layout)
    }

    /// What is left of a URL for the driver.
    fn take_from_url(&mut self, url: &str) -> Option<String> {
        // A password may have a question mark.
        let credentials_len = url.find('@').unwrap_or_default();
        let Some(at) = url.get(credentials_len..)?.find('?') else { return Some(url.to_owned()) };
        let (base, query) = url.split_at_checked(credentials_len + at)?;
        let mut rest = String::from(base);
        for pair in query.get(1..)?.split('&').filter(|pair| !pair.is_empty()) {
            let (keyword, value) = pair.split_once('=')?;
            match self.own(&percent_decode_str(keyword).decode_utf8().ok()?) {
                Some(own) => *own = Some(percent_decode_str(value).decode_utf8().ok()?.into_owned()),
                None => {
                    rest.push(if rest.len() == base.len() { '?' } else { '&' });
                    rest.push_str(pair);
                }
            }
        }
        Some(rest)
    }

    /// What is left of keywords and values for the driver.
    fn take_from_pairs(&mut self, text: &str) -> Option<String> {
        let mut rest = String::new();
        let mut chars = text.chars().peekable();
        while let Some((keyword, value)) = next_pair(&mut chars)? {
            match self.own(&keyword) {
                Some(own) => *own = Some(value),
                None => {
                    let quoted = value.replace('\\', r"\\").replace('\'', r"\'");
                    rest.push_str(&format!("{keyword}='{quoted}' "));
                }
            }
        }
        Some(rest)
    }

    /// Where the value of a parameter of this crate goes; `None` for one of the driver's.
    fn own(&mut self, keyword: &str) -> Option<&mut Option<String>> {
        match keyword {
            "sslmode" => Some(&mut self.ssl_mode),
            "row_locks" => Some(&mut self.row_locks),
            "sslrootcert" => Some(&mut self.root_certificates),
            "schema" => Some(&mut self.schema),
            "prefix" => Some(&mut self.prefix),
            "owner" => Some(&mut self.owner),
            "mode" => Some(&mut self.mode),
            _ => None,
        }
    }
}

/// The next `keyword = value` or `keyword = 'value'`, `Some(None)` at the end, and `None` where neither stands.
#[allow(clippy::option_option, reason = "the three of the line above")]
fn next_pair(chars: &mut Peekable<Chars<'_>>) -> Option<Option<(String, String)>> {
    skip_space(chars);
    let mut keyword = String::new();
    while let Some(char) = chars.next_if(|char| *char != '=' && !char.is_whitespace()) {
        keyword.push(char);
    }
    if keyword.is_empty() {
        return chars.peek().is_none().then_some(None);
    }
    skip_space(chars);
    chars.next_if_eq(&'=')?;
    skip_space(chars);
    let is_quoted = chars.next_if_eq(&'\'').is_some();
    let mut value = String::new();
    while let Some(char) = chars.next_if(|char| if is_quoted { *char != '\'' } else { !char.is_whitespace() })
    {
        value.push(if char == '\\' { chars.next()? } else { char });
    }
    if is_quoted {
        chars.next_if_eq(&'\'')?;
    }
    Some(Some((keyword, value)))
}

fn skip_space(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|char| char.is_whitespace()).is_some() {}
}

fn unreadable() -> StoreError {
    unsupported("the address of the database cannot be read")
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::Host;

    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        for text in [
            "postgres://u:p%3F@h:1/d?sslmode=require&application_name=a%20b&sslrootcert=%2Fr%20s",
            r"host=h port = 1 user=u password='p?' dbname=d sslmode= 'require' application_name=a\ b sslrootcert='/r s'",
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.ssl_mode.as_deref(), Some("require"));
            assert_eq!(address.root_certificates.as_deref(), Some("/r s"));
            assert_eq!(address.server.get_hosts(), [Host::Tcp("h".to_owned())]);
            assert_eq!(address.server.get_ports(), [1]);
            assert_eq!(address.server.get_user(), Some("u"));
            assert_eq!(address.server.get_password(), Some(b"p?".as_slice()));
            assert_eq!(address.server.get_dbname(), Some("d"));
            assert_eq!(address.server.get_application_name(), Some("a b"));
        }
    }

    #[test]
    fn a_parameter_is_told_from_a_value_that_looks_like_it() {
        for text in [
            "postgres://u:?sslmode=disable@h/sslmode=disable",
            "host=h user=u password=sslmode=disable dbname='sslmode=disable'",
            r"host=h dbname='it\'s \\ sslmode=disable'",
        ] {
            assert_eq!(Address::parse(text).unwrap().ssl_mode, None, "{text}");
        }
        let address = Address::parse(r"host=h dbname='it\'s \\ sslmode=disable'").unwrap();
        assert_eq!(address.server.get_dbname(), Some(r"it's \ sslmode=disable"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in
            ["postgres://h:port/d", "postgres://h/d?sslmode", "host", "host='h", "=h", r"host=h\", "x=1"]
        {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
