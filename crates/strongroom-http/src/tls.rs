//! TLS, with a certificate that is replaced while the server runs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

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
struct Current(RwLock<Certified>);

/// A certificate with its key.
#[derive(Debug, Clone)]
struct Certified {
    key: Arc<CertifiedKey>,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Certified {
    fn is_valid_at(&self, now: SystemTime) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

impl Tls {
    /// Reads a certificate with its chain, and its key. TLS 1.2 and 1.3, without client certificates.
    ///
    /// # Errors
    /// The system's error for a file that cannot be read; `InvalidData` for one that holds no certificate or key, and
    /// for a key of another certificate.
    pub fn from_files(certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> io::Result<Self> {
        let (certificates, key) = (certificates.as_ref().to_owned(), key.as_ref().to_owned());
        let provider = Arc::new(ring::default_provider());
        let current = Arc::new(Current(RwLock::new(read(&certificates, &key, &provider)?)));
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(invalid)?.with_no_client_auth();
        let mut config = config.with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor_config: Arc::new(config), current, certificates, key })
    }

    /// Reads the files again, and logs the result. New connections get the new content. If that cannot be used, they
    /// get the previous content, also while that is valid and the new certificate is not.
    ///
    /// # Errors
    /// Those of [`from_files`](Self::from_files); `InvalidData` for an invalid certificate in place of a valid one.
    pub fn reload(&self) -> io::Result<()> {
        let read = read(&self.certificates, &self.key, self.acceptor_config.crypto_provider());
        let now = SystemTime::now();
        let read =
            read.and_then(|read| match read.is_valid_at(now) || !self.current.get().is_valid_at(now) {
                true => Ok(read),
                false => {
                    Err(in_file(&self.certificates, "a certificate in it has expired, or is not valid yet"))
                }
            });
        let read =
            read.inspect_err(|error| tracing::error!(%error, "the certificate could not be read again"))?;
        let not_after = humantime::format_rfc3339_seconds(read.not_after);
        tracing::info!(%not_after, "the certificate was read again");
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = read;
        self.warn_of_expiry();
        Ok(())
    }

    /// When the certificate, or the first of its chain, expires.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.current.get().not_after
    }

    /// Warns in the log once a day of a certificate that expires soon. Never ends.
    pub(crate) async fn watch_expiry(&self) {
        loop {
            self.warn_of_expiry();
            tokio::time::sleep(DAY).await;
        }
    }

    fn warn_of_expiry(&self) {
        let (Certified { not_before, not_after, .. }, now) = (self.current.get(), SystemTime::now());
        let file = self.certificates.display();
        if not_before > now {
            let not_before = humantime::format_rfc3339_seconds(not_before);
            tracing::error!(%file, %not_before, "the certificate is not valid yet");
        }
        let left = not_after.duration_since(now);
        let not_after = humantime::format_rfc3339_seconds(not_after);
        match left {
            Ok(left) if left > EXPIRES_SOON => {}
            Ok(_) => {
                tracing::warn!(%file, %not_after, "the certificate expires soon: {RENEW}");
            }
            Err(_) => {
                tracing::error!(%file, %not_after, "the certificate has expired, and is served: {RENEW}");
            }
        }
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.acceptor_config).into()
    }
}

impl Current {
    fn get(&self) -> Certified {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get().key)
    }
}

fn read(certificates: &Path, key: &Path, provider: &CryptoProvider) -> io::Result<Certified> {
    let chain = CertificateDer::pem_slice_iter(&read_file(certificates)?).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| in_file(certificates, error))?;
    let validity = chain.iter().map(validity).collect::<Result<Vec<_>, _>>();
    let validity = validity.map_err(|error| in_file(certificates, error))?;
    let not_before = validity.iter().map(|(not_before, _)| *not_before).max();
    let not_after = validity.iter().map(|(_, not_after)| *not_after).min();
    let (Some(not_before), Some(not_after)) = (not_before, not_after) else {
        return Err(in_file(certificates, "the file holds no certificate"));
    };
    let private = PrivateKeyDer::from_pem_slice(&read_file(key)?).map_err(|error| in_file(key, error))?;
    let pair = CertifiedKey::from_der(chain, private, provider).map_err(|error| in_file(key, error))?;
    Ok(Certified { key: Arc::new(pair), not_before, not_after })
}

/// Says which of the two files cannot be read.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn validity(certificate: &CertificateDer<'_>) -> x509_cert::der::Result<(SystemTime, SystemTime)> {
    let validity = Certificate::from_der(certificate)?.tbs_certificate.validity;
    Ok((validity.not_before.to_system_time(), validity.not_after.to_system_time()))
}

/// Says which of the two files cannot be used.
fn in_file(path: &Path, error: impl std::fmt::Display) -> io::Error {
    invalid(format!("{}: {error}", path.display()))
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

const RENEW: &str = "renew it, and have it read again";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// As long before its end as an authority that certifies for 90 days recommends renewal.
const EXPIRES_SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);
