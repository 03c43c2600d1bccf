//! The address of a database, as libpq writes it: a URL, or keywords and values.

mod keyword;

use std::iter::Peekable;
use std::net::IpAddr;
use std::str::Chars;

use keyword::Refusal;
use percent_encoding::percent_decode_str;
use strongroom_store::{StoreError, StoreErrorKind};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::choices::{Access, Prepare, RowLocks};
use crate::failure::unsupported;
use crate::layout::Layout;
use crate::tls_versions::Versions;

/// A parsed address.
#[derive(Default)]
pub(crate) struct Address {
    /// The part that is the same for every server.
    pub(crate) common: Config,
    pub(crate) hosts: Vec<Host>,
    pub(crate) host_addresses: Vec<IpAddr>,
    pub(crate) ports: Vec<u16>,
    pub(crate) wanted: Wanted,
    /// The value of `sslmode`.
    pub(crate) ssl_mode: Option<String>,
    /// The value of `sslrootcert`.
    pub(crate) root_certificates: Option<String>,
    pub(crate) tls_versions: Versions,
    pub(crate) layout: Layout,
    pub(crate) access: Access,
    pub(crate) row_locks: RowLocks,
    pub(crate) prepare: Option<Prepare>,
}

/// Which of several servers to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Wanted {
    #[default]
    Any,
    ReadWrite,
    ReadOnly,
    /// One that is read-only, or any if there is none.
    PreferReadOnly,
}

/// One of the servers of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// The name that a certificate is for; also the location of the server, unless there is an address.
    pub(crate) host: Option<Host>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: u16,
}

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        let mut address = Self::default();
        let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
        let pairs = if is_url { address.take_base(text) } else { pairs_of_text(text) };
        // The text after a password may be a part of it that was not quoted, so it is not shown. Nor is what stands
        // before a further @: a password with a slash or an @ may go on until there.
        let mut may_be_secret = is_url && after_credentials(text).is_some_and(|rest| rest.contains('@'));
        for (keyword, value) in pairs.ok_or_else(unreadable)? {
            let taken = address.take(&keyword, value);
            taken.map_err(|refusal| refused(&keyword, &refusal, may_be_secret))?;
            may_be_secret |= keyword == "password";
        }
        Ok(address)
    }

    /// Takes the part of a URL before its parameters, and returns the parameters.
    fn take_base(&mut self, url: &str) -> Option<Vec<(String, String)>> {
        let rest = after_credentials(url)?;
        let query = rest.find('?').and_then(|at| rest.get(at + 1..));
        let base_len = url.len() - query.map_or(0, |query| query.len() + 1);
        let base: Config = url.get(..base_len)?.parse().ok()?;
        self.hosts = base.get_hosts().to_vec();
        self.ports = base.get_ports().to_vec();
        self.common = without_servers(&base);
        pairs_of_query(query.unwrap_or_default())
    }

    /// The servers, in the order in which they are tried; none if the address names none.
    pub(crate) fn servers(&self) -> Result<Vec<Server>, StoreError> {
        let Self { hosts, host_addresses, ports, .. } = self;
        let count = hosts.len().max(host_addresses.len());
        let fits = |len: usize| len == 0 || len == count;
        if !fits(hosts.len()) || !fits(host_addresses.len()) || !(fits(ports.len()) || ports.len() == 1) {
            return Err(unsupported(
                "the address has not as many of host, hostaddr and port: give one for each server",
            ));
        }
        let server = |index: usize| Server {
            host: hosts.get(index).cloned(),
            address: host_addresses.get(index).copied(),
            port: ports.get(index).or(ports.first()).copied().unwrap_or(PORT),
        };
        Ok((0..count).map(server).collect())
    }
}

/// A URL without its scheme, user and password. As libpq reads it: a password may have a question mark, but no slash.
fn after_credentials(url: &str) -> Option<&str> {
    let (_, after_scheme) = url.split_once("://")?;
    let end = after_scheme.find(['@', '/']).filter(|at| after_scheme[*at..].starts_with('@'));
    after_scheme.get(end.map_or(0, |end| end + 1)..)
}

/// Everything in a URL except where its servers are.
fn without_servers(base: &Config) -> Config {
    let mut common = Config::new();
    base.get_user().map(|user| common.user(user));
    base.get_password().map(|password| common.password(password));
    base.get_dbname().map(|name| common.dbname(name));
    common
}

fn pairs_of_query(query: &str) -> Option<Vec<(String, String)>> {
    let decoded = |text: &str| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    let pair = |pair: &str| {
        let (keyword, value) = pair.split_once('=')?;
        Some((decoded(keyword)?, decoded(value)?))
    };
    query.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

fn pairs_of_text(text: &str) -> Option<Vec<(String, String)>> {
    let mut chars = text.chars().peekable();
    let mut pairs = Vec::new();
    loop {
        skip_space(&mut chars);
        if chars.peek().is_none() {
            return Some(pairs);
        }
        pairs.push(next_pair(&mut chars)?);
    }
}

/// The next `keyword = value` or `keyword = 'value'`; `None` if there is neither.
fn next_pair(chars: &mut Peekable<Chars<'_>>) -> Option<(String, String)> {
    let mut keyword = String::new();
    while let Some(char) = chars.next_if(|char| *char != '=' && !char.is_whitespace()) {
        keyword.push(char);
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
    (!keyword.is_empty()).then_some((keyword, value))
}

fn skip_space(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|char| char.is_whitespace()).is_some() {}
}

/// Names the parameter, never its value.
fn refused(keyword: &str, refusal: &Refusal, may_be_secret: bool) -> StoreError {
    let is_name = keyword.len() <= KEYWORD_SHOWN_MAX
        && keyword.chars().all(|char| char.is_ascii_alphanumeric() || char == '_' || char == '-');
    let message = match refusal {
        Refusal::Value(rule) => format!("the address gives {keyword} a value that it does not take: {rule}"),
        Refusal::Keyword(hint) => {
            format!("the address has the parameter {keyword}, which is not supported: {hint}")
        }
        Refusal::Unknown if is_name && !may_be_secret => format!(
            "the address has the parameter {keyword}, which is not known: leave it out, or write a setting of the \
             server as options='-c {keyword}=VALUE'"
        ),
        Refusal::Unknown => {
            "the address has a parameter that is not known: quote or percent-encode a value that \
             holds a space, & or ?"
                .to_owned()
        }
    };
    StoreError::new(StoreErrorKind::Unsupported, message)
}

fn unreadable() -> StoreError {
    unsupported(
        "the address of the database cannot be read: write postgres://USER@HOST:PORT/DATABASE?KEY=VALUE, or KEY=VALUE \
         pairs",
    )
}

const PORT: u16 = 5432;
/// Longer than every keyword of libpq.
const KEYWORD_SHOWN_MAX: usize = 40;

#[cfg(test)]
mod tests {
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
            assert_eq!(address.hosts, [Host::Tcp("h".to_owned())]);
            assert_eq!(address.ports, [1]);
            assert_eq!(address.common.get_user(), Some("u"));
            assert_eq!(address.common.get_password(), Some(b"p?".as_slice()));
            assert_eq!(address.common.get_dbname(), Some("d"));
            assert_eq!(address.common.get_application_name(), Some("a b"));
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
        assert_eq!(address.common.get_dbname(), Some(r"it's \ sslmode=disable"));
        // An `@` in a parameter does not end the credentials.
        let address = Address::parse("postgres:///d?host=/run&user=a@b&sslmode=disable").unwrap();
        assert_eq!((address.common.get_user(), address.ssl_mode.as_deref()), (Some("a@b"), Some("disable")));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in
            ["postgres://h:port/d", "postgres://h/d?sslmode", "host", "host='h", "=h", r"host=h\", "x=1"]
        {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_server_has_its_host_its_address_and_its_port() {
        let servers = |text: &str| Address::parse(text).unwrap().servers();
        let ports = |text: &str| servers(text).unwrap().iter().map(|server| server.port).collect::<Vec<_>>();
        assert_eq!(ports("host=a,b port=1,2"), [1, 2]);
        assert_eq!(ports("host=a,b,/run port=1"), [1, 1, 1]);
        assert_eq!(ports("postgres://a,b:2/d"), [5432, 2]);
        let both = servers("host=a,b hostaddr=127.0.0.1,::1").unwrap();
        assert_eq!(both[1].host, Some(Host::Tcp("b".to_owned())));
        assert_eq!(both[1].address, Some("::1".parse().unwrap()));
        assert_eq!(servers("dbname=d").unwrap(), []);
        for text in ["host=a,b port=1,2,3", "host=a,b hostaddr=127.0.0.1", "host=a port=1,2"] {
            assert!(servers(text).is_err(), "{text}");
        }
        // A parameter replaces the part before the parameters.
        let moved = servers("postgres://a:1/d?host=/run").unwrap();
        assert_eq!(moved, [Server { host: Some(Host::Unix("/run".into())), address: None, port: 1 }]);
    }

    #[test]
    fn a_refused_parameter_is_named_and_its_value_is_not() {
        for (text, words) in [
            ("postgres://h/d?pgbuncer=true", "parameter pgbuncer, which is not known"),
            ("postgres://h/d?statement_timeout=hunter2", "options='-c statement_timeout=VALUE'"),
            ("host=h port=hunter2", "port a value"),
            ("host=h sslcert=hunter2", "parameter sslcert"),
            ("host=h target_session_attrs=hunter2", "target_session_attrs a value"),
        ] {
            let error = Address::parse(text).err().unwrap().to_string();
            assert!(error.contains(words) && !error.contains("hunter2"), "{text}: {error}");
        }
        // Here the rest of a password is taken for a parameter.
        for text in [
            "postgres://h/d?password=hunter&hunter2=x",
            "host=h password=hunter hunter2=x",
            "postgres://u:/hunter?hunter2=x@h/d",
            "postgres://u:hunter@h?hunter2=x@h/d",
        ] {
            let error = Address::parse(text).err().unwrap().to_string();
            assert!(!error.contains("hunter2") && error.contains("quote"), "{text}: {error}");
        }
    }
}
