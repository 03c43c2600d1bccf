//! Limits of `serve`: from options, else from the environment, else from the table `[limits]` of the file.

use std::fmt::Display;
use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use strongroom_http::{Limits, Rate};

use crate::config::variable;
use crate::failure::Failure;

/// What one place says of the limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[command(next_help_heading = "Limits")]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitSettings {
    /// Requests a second of each API key, and of each account with a token; more are answered 429 [default: any]
    #[arg(long, value_name = "COUNT")]
    rate_limit: Option<NonZeroU32>,
    /// Requests that each of them may make at once under --rate-limit [default: 5]
    #[arg(long, value_name = "COUNT")]
    rate_burst: Option<NonZeroU32>,
    /// Bytes of a body; a larger one is answered 413 [default: 1048576]
    #[arg(long, value_name = "BYTES")]
    body_bytes_max: Option<NonZeroUsize>,
    /// Bytes of all headers of a request; more are answered 431 [default: 16384]
    #[arg(long, value_name = "BYTES")]
    header_bytes_max: Option<NonZeroUsize>,
    /// Requests at work at a time; one more is answered 503 at once [default: 1024]
    #[arg(long, value_name = "COUNT")]
    requests_max: Option<NonZeroUsize>,
    /// Connections at a time; one more waits [default: 4096]
    #[arg(long, value_name = "COUNT")]
    connections_max: Option<NonZeroUsize>,
    /// For a request to be answered, else it is 503, such as 5s or 500ms [default: 30s]
    #[arg(long, value_name = "TIME")]
    request_timeout: Option<Time>,
    /// For the headers of a request to arrive, else the connection ends [default: 10s]
    #[arg(long, value_name = "TIME")]
    header_timeout: Option<Time>,
    /// For what was accepted to be finished when the server stops [default: 30s]
    #[arg(long, value_name = "TIME")]
    drain_timeout: Option<Time>,
}

impl LimitSettings {
    pub(crate) fn of_environment() -> Result<Self, Failure> {
        Ok(Self {
            rate_limit: of_variable("RATE_LIMIT")?,
            rate_burst: of_variable("RATE_BURST")?,
            body_bytes_max: of_variable("BODY_BYTES_MAX")?,
            header_bytes_max: of_variable("HEADER_BYTES_MAX")?,
            requests_max: of_variable("REQUESTS_MAX")?,
            connections_max: of_variable("CONNECTIONS_MAX")?,
            request_timeout: of_variable("REQUEST_TIMEOUT")?,
            header_timeout: of_variable("HEADER_TIMEOUT")?,
            drain_timeout: of_variable("DRAIN_TIMEOUT")?,
        })
    }

    /// What is said here, and else what `behind` says.
    pub(crate) fn or(self, behind: &Self) -> Self {
        Self {
            rate_limit: self.rate_limit.or(behind.rate_limit),
            rate_burst: self.rate_burst.or(behind.rate_burst),
            body_bytes_max: self.body_bytes_max.or(behind.body_bytes_max),
            header_bytes_max: self.header_bytes_max.or(behind.header_bytes_max),
            requests_max: self.requests_max.or(behind.requests_max),
            connections_max: self.connections_max.or(behind.connections_max),
            request_timeout: self.request_timeout.or(behind.request_timeout),
            header_timeout: self.header_timeout.or(behind.header_timeout),
            drain_timeout: self.drain_timeout.or(behind.drain_timeout),
        }
    }

    /// The server's defaults, with what is said here.
    pub(crate) fn limits(&self) -> Result<Limits, Failure> {
        let limits = Limits::default();
        let limits = with(limits, self.body_bytes_max, |limits, bytes| limits.body_bytes_max(bytes.get()));
        let limits =
            with(limits, self.header_bytes_max, |limits, bytes| limits.header_bytes_max(bytes.get()));
        let limits = with(limits, self.requests_max, |limits, count| limits.requests_max(count.get()));
        let limits = with(limits, self.connections_max, |limits, count| limits.connections_max(count.get()));
        let limits = with(limits, self.request_timeout, |limits, Time(time)| limits.request_timeout(time));
        let limits = with(limits, self.header_timeout, |limits, Time(time)| limits.header_timeout(time));
        let limits = with(limits, self.drain_timeout, |limits, Time(time)| limits.drain_timeout(time));
        if self.rate_limit.is_none() && self.rate_burst.is_some() {
            return Err(Failure::usage("a burst is set without a rate").next("set --rate-limit too"));
        }
        Ok(with(limits, self.rate_limit, |limits, per_sec| {
            let burst = self.rate_burst.unwrap_or(Rate::default().burst);
            limits.rate(Rate { per_sec, burst })
        }))
    }
}

fn with<T>(limits: Limits, value: Option<T>, set: impl FnOnce(Limits, T) -> Limits) -> Limits {
    match value {
        Some(value) => set(limits, value),
        None => limits,
    }
}

fn of_variable<T: FromStr<Err: Display>>(name: &str) -> Result<Option<T>, Failure> {
    let parsed = variable(name)?.map(|text| text.parse()).transpose();
    parsed.map_err(|error| Failure::usage(format!("STRONGROOM_{name}: {error}")))
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

    #[test]
    fn what_is_not_said_is_the_servers_default() {
        assert_eq!(LimitSettings::default().limits().unwrap(), Limits::default());
    }

    #[test]
    fn what_is_nearer_counts() {
        let file: LimitSettings =
            toml::from_str("rate_limit = 20\nrequests_max = 7\nrequest_timeout = \"2s\"").unwrap();
        let near = LimitSettings { requests_max: NonZeroUsize::new(3), ..LimitSettings::default() };
        let of = |count| NonZeroU32::new(count).unwrap();
        let expected = Limits::default().requests_max(3).request_timeout(Duration::from_secs(2));
        let expected = expected.rate(Rate { per_sec: of(20), burst: of(5) });
        assert_eq!(near.or(&file).limits().unwrap(), expected);
    }

    #[test]
    fn a_burst_alone_is_refused() {
        let burst = LimitSettings { rate_burst: NonZeroU32::new(1), ..LimitSettings::default() };
        assert!(burst.limits().is_err());
    }
}
