//! Limits of `serve`: from options, otherwise from the environment, otherwise from the table `[limits]` of the file.

use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use strongroom_http::{Limits, Rate};

use super::environment;
use crate::failure::Failure;

/// The limits that one place sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[command(next_help_heading = "Limits")]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitSettings {
    /// Requests per second from one API key or one account with a token; more are refused with 429 [default: no limit]
    #[arg(long, value_name = "COUNT")]
    rate_limit: Option<NonZeroU32>,
    /// Requests that one of them may make at once under --rate-limit [default: 5]
    #[arg(long, value_name = "COUNT")]
    rate_burst: Option<NonZeroU32>,
    /// Bytes in a body; a larger one is refused with 413 [default: 1048576]
    #[arg(long, value_name = "BYTES")]
    body_bytes_max: Option<NonZeroUsize>,
    /// Bytes in all headers of a request; more are refused with 431 [default: 16384]
    #[arg(long, value_name = "BYTES")]
    header_bytes_max: Option<NonZeroUsize>,
    /// Requests in progress; one more is refused with 503 [default: 1024]
    #[arg(long, value_name = "COUNT")]
    requests_max: Option<NonZeroUsize>,
    /// Open connections; one more waits [default: 4096]
    #[arg(long, value_name = "COUNT")]
    connections_max: Option<NonZeroUsize>,
    /// Time to answer a request, such as 5s or 500ms; a slower one gets 503 [default: 30s]
    #[arg(long, value_name = "TIME")]
    request_timeout: Option<Time>,
    /// Time for the headers of a request to arrive; then the connection is closed [default: 10s]
    #[arg(long, value_name = "TIME")]
    header_timeout: Option<Time>,
    /// Time to finish accepted requests when the server stops [default: 30s]
    #[arg(long, value_name = "TIME")]
    drain_timeout: Option<Time>,
}

impl LimitSettings {
    pub(crate) fn of_environment() -> Result<Self, Failure> {
        Ok(Self {
            rate_limit: environment::parsed("RATE_LIMIT")?,
            rate_burst: environment::parsed("RATE_BURST")?,
            body_bytes_max: environment::parsed("BODY_BYTES_MAX")?,
            header_bytes_max: environment::parsed("HEADER_BYTES_MAX")?,
            requests_max: environment::parsed("REQUESTS_MAX")?,
            connections_max: environment::parsed("CONNECTIONS_MAX")?,
            request_timeout: environment::parsed("REQUEST_TIMEOUT")?,
            header_timeout: environment::parsed("HEADER_TIMEOUT")?,
            drain_timeout: environment::parsed("DRAIN_TIMEOUT")?,
        })
    }

    /// These limits, and those of `behind` where none is set here.
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

    /// The server's defaults with these limits in their place.
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
    fn an_unset_limit_is_the_servers_default() {
        assert_eq!(LimitSettings::default().limits().unwrap(), Limits::default());
    }

    #[test]
    fn the_nearer_limit_counts() {
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
