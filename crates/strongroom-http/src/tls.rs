//! TLS, with a certificate that is replaced while the server runs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

/// The certificate of a server and its key, from files in PEM. Cheap to clone; every clone is the same.
#[derive(Debug, Clone)]
pub struct Tls {
    acceptor_config: Arc<ServerConfig>,
    current: Arc<Current>,
    certificates: PathBuf,
    key: PathBuf,
}

/// The certificate that new connections get.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl Tls {
    /// Reads a certificate with those that lead to its root, and its key. TLS 1.2 and 1.3, without client
    /// certificates.
    ///
    /// # Errors
    /// The system's for a file that cannot be read; `InvalidData` for one that holds no certificate or key, and for a
    /// key of another certificate.
    pub fn from_files(certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> io::Result<Self> {
        let (certificates, key) = (certificates.as_ref().to_owned(), key.as_ref().to_owned());
        let provider = Arc::new(ring::default_provider());
        let current = Arc::new(Current(RwLock::new(Arc::new(read(&certificates, &key, &provider)?))));
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(invalid)?.with_no_client_auth();
        let mut config = config.with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor_config: Arc::new(config), current, certificates, key })
    }

    /// Reads the files again, and notes in the log how that went. New connections get what they hold now; if they
    /// cannot be used, what they held before.
    ///
    /// # Errors
    /// Those of [`from_files`](Self::from_files).
    pub fn reload(&self) -> io::Result<()> {
        let read = read(&self.certificates, &self.key, self.acceptor_config.crypto_provider());
        let read =
            read.inspect_err(|error| tracing::error!(%error, "the certificate could not be read again"))?;
        tracing::info!("the certificate was read again");
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.acceptor_config).into()
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn read(certificates: &Path, key: &Path, provider: &CryptoProvider) -> io::Result<CertifiedKey> {
    let chain = CertificateDer::pem_slice_iter(&std::fs::read(certificates)?).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(invalid)?;
    if chain.is_empty() {
        return Err(invalid("the file holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(&std::fs::read(key)?).map_err(invalid)?;
    CertifiedKey::from_der(chain, key, provider).map_err(invalid)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
