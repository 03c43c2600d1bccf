//! Limits of `serve`, and quotas of the vault: from options, otherwise from the environment, otherwise from the tables
//! `[limits]` and `[quotas]` of the file.

use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use strongroom::Quotas;
use strongroom_http::{Limits, Rate};

use super::environment;
use crate::failure::Failure;

/// Settings that one source may leave to the next: each field is an option, a variable and an entry of the file.
macro_rules! settings {
    ($(#[$attribute:meta])* $name:ident { $($(#[$of_field:meta])* $field:ident: $type:ty = $variable:literal,)* }) => {
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::Args, Deserialize)]
        $(#[$attribute])*
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct $name { $($(#[$of_field])* $field: Option<$type>,)* }

        impl $name {
            pub(crate) fn of_environment() -> Result<Self, Failure> {
                Ok(Self { $($field: environment::parsed($variable)?,)* })
            }

            /// These settings, completed by those of `behind`.
            pub(crate) fn or(self, behind: &Self) -> Self {
                Self { $($field: self.$field.or(behind.$field),)* }
            }
        }
    };
}

settings! {
/// The limits from one source.
#[command(next_help_heading = "Limits")]
LimitSettings {
    /// Requests per second from one API key; more are refused with 429 [default: no limit]
    #[arg(long, value_name = "COUNT")]
    rate_limit: NonZeroU32 = "RATE_LIMIT",
    /// Requests at once from one API key under --rate-limit [default: 5]
    #[arg(long, value_name = "COUNT")]
    rate_burst: NonZeroU32 = "RATE_BURST",
    /// Requests per second from one account with its session tokens, or `none` for no limit; more are refused with 429
    /// [default: that of --rate-limit if given, otherwise 20]
    #[arg(long, value_name = "COUNT")]
    token_rate_limit: PerSec = "TOKEN_RATE_LIMIT",
    /// Requests at once from one account with its session tokens
    /// [default: that of --rate-burst if given, otherwise 100]
    #[arg(long, value_name = "COUNT")]
    token_rate_burst: NonZeroU32 = "TOKEN_RATE_BURST",
    /// Bad keys and tokens per second from one address; more are refused with 429, unchecked [default: 10]
    #[arg(long, value_name = "COUNT")]
    failure_rate_limit: NonZeroU32 = "FAILURE_RATE_LIMIT",
    /// Bad keys and tokens at once from one address [default: 100]
    #[arg(long, value_name = "COUNT")]
    failure_rate_burst: NonZeroU32 = "FAILURE_RATE_BURST",
    /// The number of your proxies in front of the server: the client's address is the one that the outermost of them
    /// appended to X-Forwarded-For [default: 0, the address of the connection]
    #[arg(long, value_name = "COUNT")]
    proxies: usize = "PROXIES",
    /// Requests in progress; one more is refused with 503 [default: 1024]
    #[arg(long, value_name = "COUNT")]
    requests_max: NonZeroUsize = "REQUESTS_MAX",
    /// Requests of one org in progress or arriving; one more is refused with 429 [default: half of --requests-max]
    #[arg(long, value_name = "COUNT")]
    org_requests_max: NonZeroUsize = "ORG_REQUESTS_MAX",
    /// Requests of one account with its session tokens in progress or arriving; one more is refused with 429
    /// [default: 32]
    #[arg(long, value_name = "COUNT")]
    token_requests_max: NonZeroUsize = "TOKEN_REQUESTS_MAX",
    /// Open connections; one more waits [default: 4096]
    #[arg(long, value_name = "COUNT")]
    connections_max: NonZeroUsize = "CONNECTIONS_MAX",
    /// Open connections of one address; one more is closed
    /// [default: half of --connections-max, or with --proxies no limit]
    #[arg(long, value_name = "COUNT")]
    address_connections_max: NonZeroUsize = "ADDRESS_CONNECTIONS_MAX",
    /// Bytes of large responses that clients have not read yet; half as many for one org; one more gets 503 [default:
    /// 268435456]
    #[arg(long, value_name = "BYTES")]
    answer_bytes_max: NonZeroUsize = "ANSWER_BYTES_MAX",
    /// Bytes in a body; a larger one is refused with 413 [default: 1048576]
    #[arg(long, value_name = "BYTES")]
    body_bytes_max: NonZeroUsize = "BODY_BYTES_MAX",
    /// Bytes in all headers of a request; more are refused with 431 [default: 16384]
    #[arg(long, value_name = "BYTES")]
    header_bytes_max: NonZeroUsize = "HEADER_BYTES_MAX",
    /// Time to answer a request, such as 5s or 500ms; a slower one gets 503 [default: 30s]
    #[arg(long, value_name = "TIME")]
    request_timeout: Time = "REQUEST_TIMEOUT",
    /// Time for the headers of a request to arrive; then the connection is closed [default: 10s]
    #[arg(long, value_name = "TIME")]
    header_timeout: Time = "HEADER_TIMEOUT",
    /// Time for the body of a request to arrive; a slower one gets 408 [default: 5s]
    #[arg(long, value_name = "TIME")]
    body_timeout: Time = "BODY_TIMEOUT",
    /// Time for a client to read some of its response; then the connection is closed [default: 30s]
    #[arg(long, value_name = "TIME")]
    send_timeout: Time = "SEND_TIMEOUT",
    /// Time by which a refusal with 429 is delayed [default: 1s]
    #[arg(long, value_name = "TIME")]
    refusal_pause: Time = "REFUSAL_PAUSE",
    /// Time to finish accepted requests when the server stops [default: 30s]
    #[arg(long, value_name = "TIME")]
    drain_timeout: Time = "DRAIN_TIMEOUT",
}
}

settings! {
/// The quotas from one source.
#[command(next_help_heading = "Quotas: a write that would store more is refused with 400")]
QuotaSettings {
    /// Values of one linked account [default: 1000]
    #[arg(long, value_name = "COUNT")]
    account_values_max: u64 = "ACCOUNT_VALUES_MAX",
    /// Credentials of one linked account, of all its integrations [default: 1000]
    #[arg(long, value_name = "COUNT")]
    account_credentials_max: u64 = "ACCOUNT_CREDENTIALS_MAX",
    /// Integrations of one linked account [default: 100]
    #[arg(long, value_name = "COUNT")]
    account_integrations_max: u64 = "ACCOUNT_INTEGRATIONS_MAX",
    /// Bytes that one linked account stores [default: 4194304]
    #[arg(long, value_name = "BYTES")]
    account_bytes_max: u64 = "ACCOUNT_BYTES_MAX",
    /// Linked accounts of one org in one environment [default: 1000000]
    #[arg(long, value_name = "COUNT")]
    org_accounts_max: u64 = "ORG_ACCOUNTS_MAX",
    /// Values of all workflows of one org in one environment [default: 1000000]
    #[arg(long, value_name = "COUNT")]
    org_workflow_values_max: u64 = "ORG_WORKFLOW_VALUES_MAX",
    /// Bytes that one org stores in one environment [default: 4294967296]
    #[arg(long, value_name = "BYTES")]
    org_bytes_max: u64 = "ORG_BYTES_MAX",
}
}

impl LimitSettings {
    /// The server's defaults, overridden by these limits.
    pub(crate) fn limits(&self) -> Result<Limits, Failure> {
        let limits = Limits::default();
        let limits = with(limits, self.body_bytes_max, |limits, bytes| limits.body_bytes_max(bytes.get()));
        let limits =
            with(limits, self.header_bytes_max, |limits, bytes| limits.header_bytes_max(bytes.get()));
        let limits = with(limits, self.requests_max, |limits, count| limits.requests_max(count.get()));
        let limits =
            with(limits, self.org_requests_max, |limits, count| limits.org_requests_max(count.get()));
        let limits =
            with(limits, self.token_requests_max, |limits, count| limits.token_requests_max(count.get()));
        let limits = with(limits, self.connections_max, |limits, count| limits.connections_max(count.get()));
        let limits = with(limits, self.request_timeout, |limits, Time(time)| limits.request_timeout(time));
        let limits = with(limits, self.header_timeout, |limits, Time(time)| limits.header_timeout(time));
        let limits = with(limits, self.body_timeout, |limits, Time(time)| limits.body_timeout(time));
        let limits = with(limits, self.address_connections_max, |limits, count| {
            limits.address_connections_max(count.get())
        });
        let limits =
            with(limits, self.answer_bytes_max, |limits, bytes| limits.answer_bytes_max(bytes.get()));
        let limits = with(limits, self.send_timeout, |limits, Time(time)| limits.send_timeout(time));
        let limits = with(limits, self.refusal_pause, |limits, Time(time)| limits.refusal_pause(time));
        let limits = with(limits, self.drain_timeout, |limits, Time(time)| limits.drain_timeout(time));
        let limits = with(limits, self.proxies, Limits::proxies);
        self.rates(limits)
    }

    fn rates(&self, limits: Limits) -> Result<Limits, Failure> {
        if self.rate_limit.is_none() && self.rate_burst.is_some() {
            return Err(Failure::usage("a burst is set without a rate").next("set --rate-limit too"));
        }
        let limits = with(limits, self.rate_limit, |limits, per_sec| {
            limits.rate(Rate { per_sec, burst: self.rate_burst.unwrap_or(Rate::default().burst) })
        });
        let usual = limits.rate_of_failures();
        let failures = Rate {
            per_sec: self.failure_rate_limit.unwrap_or(usual.per_sec),
            burst: self.failure_rate_burst.unwrap_or(usual.burst),
        };
        let limits = limits.failure_rate(failures);
        let usual = limits.rate_of_tokens();
        match (self.token_rate_limit, self.token_rate_burst) {
            (None, None) => Ok(limits),
            (Some(PerSec::Any), None) => Ok(limits.any_token_rate()),
            (Some(PerSec::Any), Some(_)) => {
                Err(Failure::usage("a burst of session tokens is set without a rate")
                    .next("set --token-rate-limit to a number"))
            }
            (per_sec, burst) => {
                let usual = usual.unwrap_or_default();
                let per_sec = match per_sec {
                    Some(PerSec::Of(per_sec)) => per_sec,
                    Some(PerSec::Any) | None => usual.per_sec,
                };
                Ok(limits.token_rate(Rate { per_sec, burst: burst.unwrap_or(usual.burst) }))
            }
        }
    }
}

impl QuotaSettings {
    /// The engine's defaults, overridden by these quotas.
    pub(crate) fn quotas(&self) -> Quotas {
        let quotas = Quotas::default();
        let quotas = with(quotas, self.account_values_max, Quotas::account_values_max);
        let quotas = with(quotas, self.account_credentials_max, Quotas::account_credentials_max);
        let quotas = with(quotas, self.account_integrations_max, Quotas::account_integrations_max);
        let quotas = with(quotas, self.account_bytes_max, Quotas::account_bytes_max);
        let quotas = with(quotas, self.org_accounts_max, Quotas::org_accounts_max);
        let quotas = with(quotas, self.org_workflow_values_max, Quotas::org_workflow_values_max);
        with(quotas, self.org_bytes_max, Quotas::org_bytes_max)
    }
}

fn with<L, T>(limits: L, value: Option<T>, set: impl FnOnce(L, T) -> L) -> L {
    match value {
        Some(value) => set(limits, value),
        None => limits,
    }
}

/// A number per second, or `none` for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PerSec {
    Of(NonZeroU32),
    Any,
}

impl FromStr for PerSec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self::Any);
        }
        text.parse().map(Self::Of).map_err(|_| "it is a number above 0, or `none`".to_owned())
    }
}

impl<'de> Deserialize<'de> for PerSec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a number above 0, or \"none\"")]
        enum Form {
            Number(NonZeroU32),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(per_sec) => Ok(Self::Of(per_sec)),
            Form::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

/// A time such as `30s` or `500ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Time(Duration);

impl FromStr for Time {
    type Err = humantime::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text).map(Self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).unwrap()
    }

    fn file(text: &str) -> LimitSettings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn an_unset_limit_is_the_servers_default() {
        assert_eq!(LimitSettings::default().limits().unwrap(), Limits::default());
        assert_eq!(QuotaSettings::default().quotas(), Quotas::default());
    }

    #[test]
    fn the_nearer_limit_counts() {
        let file = file("rate_limit = 20\nrequests_max = 7\nrequest_timeout = \"2s\"");
        let near = LimitSettings { requests_max: NonZeroUsize::new(3), ..LimitSettings::default() };
        let expected = Limits::default().requests_max(3).request_timeout(Duration::from_secs(2));
        let expected = expected.rate(Rate { per_sec: of(20), burst: of(5) });
        assert_eq!(near.or(&file).limits().unwrap(), expected);
    }

    #[test]
    fn every_limit_of_the_server_can_be_set() {
        let set = file(
            "rate_limit = 1\nrate_burst = 2\ntoken_rate_limit = 3\ntoken_rate_burst = 4\n\
             failure_rate_limit = 5\nfailure_rate_burst = 6\nproxies = 7\nrequests_max = 8\n\
             org_requests_max = 9\ntoken_requests_max = 10\nconnections_max = 11\n\
             address_connections_max = 12\nanswer_bytes_max = 13\nbody_bytes_max = 14\n\
             header_bytes_max = 15\nrequest_timeout = \"16s\"\nheader_timeout = \"17s\"\n\
             body_timeout = \"18s\"\nsend_timeout = \"19s\"\nrefusal_pause = \"0s\"\n\
             drain_timeout = \"20s\"",
        );
        assert!(!format!("{set:?}").contains("None"), "each is in this test: {set:?}");
        let expected = Limits::default()
            .rate(Rate { per_sec: of(1), burst: of(2) })
            .token_rate(Rate { per_sec: of(3), burst: of(4) })
            .failure_rate(Rate { per_sec: of(5), burst: of(6) })
            .proxies(7)
            .requests_max(8)
            .org_requests_max(9)
            .token_requests_max(10)
            .connections_max(11)
            .address_connections_max(12)
            .answer_bytes_max(13)
            .body_bytes_max(14)
            .header_bytes_max(15)
            .request_timeout(Duration::from_secs(16))
            .header_timeout(Duration::from_secs(17))
            .body_timeout(Duration::from_secs(18))
            .send_timeout(Duration::from_secs(19))
            .refusal_pause(Duration::ZERO)
            .drain_timeout(Duration::from_secs(20));
        assert_eq!(set.limits().unwrap(), expected);
    }

    #[test]
    fn tokens_are_limited_as_keys_unless_told_otherwise_and_not_at_all_if_told() {
        let usual = file("rate_limit = 7\nrate_burst = 9").limits().unwrap();
        assert_eq!(usual.rate_of_tokens(), Some(Rate { per_sec: of(7), burst: of(9) }));
        let burst = file("rate_limit = 7\ntoken_rate_burst = 8").limits().unwrap();
        assert_eq!(burst.rate_of_tokens(), Some(Rate { per_sec: of(7), burst: of(8) }));
        assert_eq!(file("token_rate_limit = \"none\"").limits().unwrap().rate_of_tokens(), None);
        assert!(file("token_rate_limit = \"none\"\ntoken_rate_burst = 8").limits().is_err());
        assert!(toml::from_str::<LimitSettings>("token_rate_limit = 0").is_err());
    }

    #[test]
    fn every_quota_of_the_engine_can_be_set_by_its_name() {
        for quota in strongroom::Quota::ALL {
            let set: QuotaSettings = toml::from_str(&format!("{} = 7", quota.as_str())).unwrap();
            assert_eq!(set.quotas().max(quota), 7);
            assert_ne!(Quotas::default().max(quota), 7);
        }
    }

    #[test]
    fn a_burst_alone_is_refused() {
        let burst = LimitSettings { rate_burst: NonZeroU32::new(1), ..LimitSettings::default() };
        assert!(burst.limits().is_err());
    }
}
