//! TLS: which nodes are trusted, and which certificate they are shown.

use strongroom_store::StoreError;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::failure::unsupported;
use crate::options::EtcdOptions;

pub(crate) fn tls(options: &EtcdOptions) -> Result<TlsConfig, StoreError> {
    let mut config = TlsConfig::builder().root_certs(RootCerts::WebPki);
    if let Some(pem) = &options.authorities {
        config = config.root_certs(RootCerts::new_with_certs(&certificates(pem)?));
    }
    if let Some(shown) = &options.certificate {
        let key = PrivateKey::from_pem(&shown.key)
            .map_err(|_| unsupported("the key of the certificate is not one in PEM"))?;
        config = config.client_cert(Some(ClientCert::new_with_certs(&certificates(&shown.chain)?, key)));
    }
    Ok(config.build())
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, StoreError> {
    let items: Result<Vec<_>, _> = parse_pem(pem).collect();
    let items = items.map_err(|_| unsupported("the certificates are not PEM"))?;
    let certificates = items.into_iter().filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    if certificates.is_empty() {
        Err(unsupported("there is no certificate in the PEM"))
    } else {
        Ok(certificates)
    }
}
