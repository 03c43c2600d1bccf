//! The certificates that a client trusts.

use std::fs;
use std::path::Path;

use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::failure::Failure;

/// Trusts only servers whose certificate leads to one in this file.
pub(crate) fn only(file: &Path) -> Result<TlsConfig, Failure> {
    let unusable = |why: &str| {
        Failure::usage(format!("{} {why}", file.display())).next("name certificates in PEM with --ca-file")
    };
    let pem = fs::read(file).map_err(|error| unusable(&format!("could not be read: {error}")))?;
    let items: Result<Vec<_>, _> = parse_pem(&pem).collect();
    let items = items.map_err(|_| unusable("is not PEM"))?;
    let certificates = items.into_iter().filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    if certificates.is_empty() {
        return Err(unusable("holds no certificate"));
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::new_with_certs(&certificates)).build())
}
