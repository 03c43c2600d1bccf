//! The meaning of each parameter of an address: those of libpq, and those of this crate.
//!
//! A parameter that is accepted is obeyed. One that is not is refused by its name, since silently ignoring a rule of
//! the connection would be worse than no connection.

use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, Host, LoadBalanceHosts, SslNegotiation};

use crate::address::{Address, Wanted};
use crate::choices::{Access, Prepare, RowLocks};
use crate::tls_versions::Version;

/// Why a parameter was not accepted.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The value is invalid; this names the valid ones.
    Value(String),
    /// This parameter does not exist here; do this instead.
    Keyword(&'static str),
    /// The parameter is unknown.
    Unknown,
}

impl Address {
    /// Takes one parameter. A later one replaces an earlier one of the same name.
    pub(crate) fn take(&mut self, keyword: &str, value: String) -> Result<(), Refusal> {
        match keyword {
            "host" => self.hosts = value.split(',').map(host).collect(),
            "hostaddr" => self.host_addresses = each(&value, "an IP address for each host", str::parse)?,
            "port" => self.ports = each(&value, "a port for each host", port)?,
            "target_session_attrs" => self.wanted = one_of(&value, &WANTED)?,
            "sslmode" => self.ssl_mode = Some(value),
            "sslrootcert" => self.root_certificates = Some(value),
            "ssl_min_protocol_version" => self.tls_versions.least = one_of(&value, &TLS_LEAST)?,
            "ssl_max_protocol_version" => self.tls_versions.greatest = one_of(&value, &TLS_GREATEST)?,
            "schema" => self.layout.set_schema(value).map_err(|error| Refusal::Value(error.to_string()))?,
            "prefix" => self.layout.set_prefix(value).map_err(|error| Refusal::Value(error.to_string()))?,
            "owner" => self.layout.set_owner(value).map_err(|error| Refusal::Value(error.to_string()))?,
            "mode" => self.access = one_of(&value, &ACCESS)?,
            "prepare" => self.prepare = Some(one_of(&value, &PREPARE)?),
            // As in addresses of Prisma.
            "pgbouncer" => self.prepare = one_of(&value, &PGBOUNCER)?,
            "row_locks" => self.row_locks = one_of(&value, &ROW_LOCKS)?,
            _ => return take_of_driver(&mut self.common, keyword, value),
        }
        Ok(())
    }
}

/// The parameters that the driver implements.
fn take_of_driver(config: &mut Config, keyword: &str, value: String) -> Result<(), Refusal> {
    match keyword {
        "user" => config.user(value),
        "password" => config.password(value),
        "dbname" => config.dbname(value),
        "options" => config.options(value),
        "application_name" => config.application_name(value),
        "fallback_application_name" if config.get_application_name().is_some() => config,
        "fallback_application_name" => config.application_name(value),
        "connect_timeout" => match number::<i64>(&value)? {
            // Waiting forever is not an option here.
            ..=0 => config,
            seconds => config.connect_timeout(Duration::from_secs(seconds.unsigned_abs())),
        },
        "tcp_user_timeout" => config.tcp_user_timeout(Duration::from_millis(number(&value)?)),
        "keepalives" => config.keepalives(number::<u8>(&value)? != 0),
        "keepalives_idle" => config.keepalives_idle(Duration::from_secs(number(&value)?)),
        "keepalives_interval" => config.keepalives_interval(Duration::from_secs(number(&value)?)),
        "keepalives_count" => config.keepalives_retries(number(&value)?),
        "channel_binding" => config.channel_binding(one_of(&value, &CHANNEL_BINDING)?),
        "load_balance_hosts" => config.load_balance_hosts(one_of(&value, &LOAD_BALANCE)?),
        "sslnegotiation" => config.ssl_negotiation(one_of(&value, &SSL_NEGOTIATION)?),
        _ => return check_other(keyword, &value),
    };
    Ok(())
}

/// Accepts a parameter that asks for what is done anyway, and refuses everything else.
fn check_other(keyword: &str, value: &str) -> Result<(), Refusal> {
    if let Some((_, kept)) = KEPT.iter().find(|(name, _)| *name == keyword) {
        let is_kept = kept.iter().any(|kept| kept.eq_ignore_ascii_case(value));
        return if is_kept {
            Ok(())
        } else {
            Err(Refusal::Value(format!("here it is {}", kept.join(" or "))))
        };
    }
    let hint = REFUSED.iter().find(|(name, _)| *name == keyword);
    Err(hint.map_or(Refusal::Unknown, |(_, hint)| Refusal::Keyword(hint)))
}

fn host(name: &str) -> Host {
    if name.starts_with('/') { Host::Unix(name.into()) } else { Host::Tcp(name.to_owned()) }
}

fn port(text: &str) -> Result<u16, std::num::ParseIntError> {
    if text.is_empty() { Ok(5432) } else { text.parse() }
}

/// A list separated by commas.
fn each<T, E>(value: &str, rule: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<Vec<T>, Refusal> {
    value.split(',').map(|part| parse(part).map_err(|_| Refusal::Value(rule.to_owned()))).collect()
}

fn number<T: FromStr>(value: &str) -> Result<T, Refusal> {
    value.trim().parse().map_err(|_| Refusal::Value("it is a whole number".to_owned()))
}

fn one_of<T: Copy>(value: &str, choices: &[(&str, T)]) -> Result<T, Refusal> {
    let found = choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice);
    found.ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        Refusal::Value(format!("it is {}", names.join(", ")))
    })
}

/// A primary that takes no writes is of no use, so `primary` means a server that takes writes.
const WANTED: [(&str, Wanted); 6] = [
    ("any", Wanted::Any),
    ("read-write", Wanted::ReadWrite),
    ("read-only", Wanted::ReadOnly),
    ("primary", Wanted::ReadWrite),
    ("standby", Wanted::ReadOnly),
    ("prefer-standby", Wanted::PreferReadOnly),
];
/// Anything older than 1.2 is never spoken.
const TLS_LEAST: [(&str, Version); 4] = [
    ("TLSv1", Version::Tls12),
    ("TLSv1.1", Version::Tls12),
    ("TLSv1.2", Version::Tls12),
    ("TLSv1.3", Version::Tls13),
];
const TLS_GREATEST: [(&str, Version); 2] = [("TLSv1.2", Version::Tls12), ("TLSv1.3", Version::Tls13)];
const ACCESS: [(&str, Access); 2] = [("read-write", Access::ReadWrite), ("read-only", Access::ReadOnly)];
const ROW_LOCKS: [(&str, RowLocks); 2] = [("shared", RowLocks::Shared), ("exclusive", RowLocks::Exclusive)];
const PREPARE: [(&str, Prepare); 2] = [("named", Prepare::Named), ("unnamed", Prepare::Unnamed)];
const PGBOUNCER: [(&str, Option<Prepare>); 2] = [("true", Some(Prepare::Unnamed)), ("false", None)];
const CHANNEL_BINDING: [(&str, ChannelBinding); 3] = [
    ("disable", ChannelBinding::Disable),
    ("prefer", ChannelBinding::Prefer),
    ("require", ChannelBinding::Require),
];
const LOAD_BALANCE: [(&str, LoadBalanceHosts); 2] =
    [("disable", LoadBalanceHosts::Disable), ("random", LoadBalanceHosts::Random)];
const SSL_NEGOTIATION: [(&str, SslNegotiation); 2] =
    [("postgres", SslNegotiation::Postgres), ("direct", SslNegotiation::Direct)];

/// Parameters whose value must be one of these, which is how it works anyway.
const KEPT: [(&str, &[&str]); 9] = [
    ("client_encoding", &["UTF8", "UTF-8", "auto"]),
    ("gssencmode", &["disable", "prefer"]),
    ("sslcompression", &["0"]),
    ("sslsni", &["1"]),
    ("sslcertmode", &["disable", "allow"]),
    ("requiressl", &["0"]),
    ("gssdelegation", &["0"]),
    ("min_protocol_version", &["3.0"]),
    ("max_protocol_version", &["3.0", "3.2", "latest"]),
];

const NO_CLIENT_CERTIFICATE: &str = "a certificate of the client's own cannot be used, a password can";
const NO_GSS: &str = "there is no GSSAPI here, use a password";
const NO_REVOCATION: &str = "lists of revoked certificates are not read, name the authorities in sslrootcert";
const IN_THE_ADDRESS: &str = "write what it says into the address";
const BY_THE_HOST: &str = "give the password in PGPASSWORD, or in a program by PostgresOptions::password";
const POOL_SIZE: &str = "in a program, PostgresOptions::connections_max has it";
const WAIT: &str = "write connect_timeout=SECONDS";
const REFUSED: [(&str, &str); 29] = [
    ("passfile", BY_THE_HOST),
    ("service", IN_THE_ADDRESS),
    ("servicefile", IN_THE_ADDRESS),
    ("sslcert", NO_CLIENT_CERTIFICATE),
    ("sslkey", NO_CLIENT_CERTIFICATE),
    ("sslpassword", NO_CLIENT_CERTIFICATE),
    ("sslcrl", NO_REVOCATION),
    ("sslcrldir", NO_REVOCATION),
    ("sslkeylogfile", "the keys of a connection are written nowhere, leave it out"),
    (
        "requirepeer",
        "the owner of a socket is not looked at, use TLS, or a socket in a directory of the server's own",
    ),
    (
        "require_auth",
        "how a server asks for the password is not limited, use TLS and channel_binding=require",
    ),
    ("krbsrvname", NO_GSS),
    ("gsslib", NO_GSS),
    ("replication", "this is no connection for replication, leave it out"),
    ("scram_client_key", BY_THE_HOST),
    ("scram_server_key", BY_THE_HOST),
    ("oauth_issuer", "there is no OAuth here, use a password"),
    ("oauth_client_id", "there is no OAuth here, use a password"),
    ("oauth_client_secret", "there is no OAuth here, use a password"),
    ("oauth_scope", "there is no OAuth here, use a password"),
    // From other drivers.
    ("search_path", "the tables do not depend on it, write schema=NAME"),
    ("currentSchema", "write schema=NAME"),
    ("ssl", "write sslmode=MODE"),
    ("sslaccept", "certificates are always verified, write sslmode=MODE"),
    ("connection_limit", POOL_SIZE),
    ("pool_max_conns", POOL_SIZE),
    ("pool_timeout", WAIT),
    ("timeout", WAIT),
    ("statement_cache_size", "leave it out"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Address {
        Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// The keywords of PostgreSQL 18's libpq, as `PQconndefaults` lists them.
    #[test]
    fn every_parameter_of_libpq_is_taken_or_refused_by_its_name() {
        for keyword in LIBPQ {
            match Address::parse(&format!("host=h {keyword}=''")) {
                Ok(_) => {}
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains(keyword) && !text.contains("not known"), "{keyword}: {text}");
                }
            }
        }
    }

    #[test]
    fn a_value_that_asks_for_what_is_done_anyway_is_taken() {
        for text in [
            "gssencmode=disable",
            "gssencmode=prefer",
            "client_encoding=utf8",
            "sslsni=1",
            "sslcompression=0",
            "target_session_attrs=primary",
            "target_session_attrs=standby",
            "keepalives_count=3",
        ] {
            taken(&format!("host=h {text}"));
        }
        for text in ["gssencmode=require", "client_encoding=LATIN1", "sslsni=0", "sslcertmode=require"] {
            assert!(Address::parse(&format!("host=h {text}")).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_have_the_units_of_libpq() {
        let config =
            taken("host=h connect_timeout=3 tcp_user_timeout=1500 keepalives_idle=7 keepalives=0").common;
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(3)));
        assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_millis(1500)));
        assert_eq!(config.get_keepalives_idle(), Duration::from_secs(7));
        assert!(!config.get_keepalives());
    }

    #[test]
    fn the_fallback_name_gives_way_to_the_name() {
        for text in [
            "application_name=a fallback_application_name=b",
            "fallback_application_name=b application_name=a",
        ] {
            assert_eq!(taken(&format!("host=h {text}")).common.get_application_name(), Some("a"));
        }
        assert_eq!(taken("host=h fallback_application_name=b").common.get_application_name(), Some("b"));
    }

    const LIBPQ: [&str; 50] = [
        "service",
        "user",
        "password",
        "passfile",
        "channel_binding",
        "connect_timeout",
        "dbname",
        "host",
        "hostaddr",
        "port",
        "client_encoding",
        "options",
        "application_name",
        "fallback_application_name",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
        "sslmode",
        "sslnegotiation",
        "sslcompression",
        "sslcert",
        "sslkey",
        "sslcertmode",
        "sslpassword",
        "sslrootcert",
        "sslcrl",
        "sslcrldir",
        "sslsni",
        "requirepeer",
        "require_auth",
        "min_protocol_version",
        "max_protocol_version",
        "ssl_min_protocol_version",
        "ssl_max_protocol_version",
        "gssencmode",
        "krbsrvname",
        "gsslib",
        "gssdelegation",
        "replication",
        "target_session_attrs",
        "load_balance_hosts",
        "scram_client_key",
        "scram_server_key",
        "oauth_issuer",
        "oauth_client_id",
        "oauth_client_secret",
        "oauth_scope",
        "sslkeylogfile",
    ];
}
