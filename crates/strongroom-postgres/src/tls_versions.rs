//! The versions of TLS that an address allows.

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use strongroom_store::StoreError;

use crate::failure::unsupported;

/// The TLS versions that may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) least: Version,
    pub(crate) greatest: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

impl Default for Versions {
    fn default() -> Self {
        Self { least: Version::Tls12, greatest: Version::Tls13 }
    }
}

impl Versions {
    pub(crate) fn supported(self) -> Result<Vec<&'static SupportedProtocolVersion>, StoreError> {
        let all = [(Version::Tls13, &TLS13), (Version::Tls12, &TLS12)];
        let within = all.into_iter().filter(|(version, _)| (self.least..=self.greatest).contains(version));
        let supported: Vec<_> = within.map(|(_, supported)| supported).collect();
        if supported.is_empty() {
            return Err(unsupported("ssl_min_protocol_version is above ssl_max_protocol_version: swap them"));
        }
        Ok(supported)
    }
}
