//! When a connection uses TLS, and which certificates it trusts.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use strongroom_store::StoreError;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::Server;
use crate::failure::unsupported;
use crate::tls_versions::Versions;

/// The TLS mode that `sslmode` says, or the default if it is not set.
pub(crate) fn mode(said: Option<&str>, servers: &[Server]) -> Result<SslMode, StoreError> {
    match said {
        Some("disable") => Ok(SslMode::Disable),
        Some("prefer") => Ok(SslMode::Prefer),
        // A certificate is always verified, always with its name.
        Some("require" | "verify-full") => Ok(SslMode::Require),
        Some(_) => Err(unsupported("sslmode is disable, prefer, require or verify-full")),
        None if servers.iter().all(is_on_this_machine) => Ok(SslMode::Prefer),
        None => Ok(SslMode::Require),
    }
}

/// Adds the certificates of a PEM file.
pub(crate) fn add_roots(roots: &mut RootCertStore, pem: &Path) -> Result<(), StoreError> {
    let unreadable = |_| unsupported("the file of root certificates cannot be read");
    let before = roots.len();
    for certificate in CertificateDer::pem_file_iter(pem).map_err(unreadable)? {
        let added = roots.add(certificate.map_err(unreadable)?);
        added.map_err(|_| unsupported("a root certificate is none"))?;
    }
    if roots.len() == before {
        return Err(unsupported("the file of root certificates holds none"));
    }
    Ok(())
}

/// Connections that trust `roots`, or the platform's roots if there are none.
pub(crate) fn connector(
    mut roots: RootCertStore,
    versions: Versions,
) -> Result<MakeRustlsConnect, StoreError> {
    if roots.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_protocol_versions(&versions.supported()?);
    let builder = builder.map_err(|error| unsupported("TLS cannot be set up").with_source(error))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    // As libpq does. With `sslnegotiation=direct` a server refuses who does not name it.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(MakeRustlsConnect::new(config))
}

fn is_on_this_machine(server: &Server) -> bool {
    let is_local = match &server.host {
        Some(Host::Tcp(name)) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
        Some(Host::Unix(_)) | None => true,
    };
    is_local && server.address.is_none_or(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;

    #[test]
    fn a_server_elsewhere_needs_tls_unless_the_address_says_otherwise() {
        let mode = |text: &str| {
            let address = Address::parse(text).unwrap();
            mode(address.ssl_mode.as_deref(), &address.servers().unwrap()).unwrap()
        };
        assert_eq!(mode("postgres://u@db.example.com/d"), SslMode::Require);
        assert_eq!(mode("postgres://u@db.example.com/d?sslmode=verify-full"), SslMode::Require);
        assert_eq!(mode("postgres://u@db.example.com/d?sslmode=prefer"), SslMode::Prefer);
        assert_eq!(mode("postgres://u@localhost/d"), SslMode::Prefer);
        assert_eq!(mode("postgres://u@localhost/d?sslmode=disable"), SslMode::Disable);
        assert_eq!(mode("host=/run/postgresql dbname=d"), SslMode::Prefer);
        assert_eq!(mode("postgres://u@localhost,db.example.com/d"), SslMode::Require);
        assert_eq!(mode("hostaddr=10.0.0.1 dbname=d"), SslMode::Require);
        assert_eq!(mode("postgres://u:sslmode=disable@db.example.com/d"), SslMode::Require);
    }

    #[test]
    fn versions_are_those_between_the_least_and_the_greatest() {
        let count =
            |text: &str| Address::parse(text).unwrap().tls_versions.supported().map(|all| all.len()).ok();
        assert_eq!(count("host=h"), Some(2));
        assert_eq!(count("host=h ssl_min_protocol_version=TLSv1.3"), Some(1));
        assert_eq!(count("host=h ssl_min_protocol_version=TLSv1 ssl_max_protocol_version=TLSv1.2"), Some(1));
        assert_eq!(count("host=h ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2"), None);
        assert!(Address::parse("host=h ssl_max_protocol_version=TLSv1.1").is_err());
    }

    #[test]
    fn a_mode_that_would_not_be_kept_to_is_refused() {
        for said in ["allow", "verify-ca", "Require", ""] {
            assert!(mode(Some(said), &[]).is_err(), "{said}");
        }
    }
}
