//! TLS for gateways: our certificate, and theirs if an authority for them is named.
//!
//! A client certificate that the authority signed stands for a login by its subject's common name, as a name and secret
//! would. A client without one may still log in by name and secret.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

use super::TlsDoor;

/// Why the files for TLS are of no use.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("failed to read certificates from `{path}`; it has to be a PEM file")]
    Certificates {
        path: PathBuf,
        #[source]
        source: pem::Error,
    },
    #[error("`{path}` holds no certificate; it has to be a PEM file with `BEGIN CERTIFICATE`")]
    NoCertificate { path: PathBuf },
    #[error("failed to read the private key from `{path}`; it has to be a PEM file")]
    Key {
        path: PathBuf,
        #[source]
        source: pem::Error,
    },
    #[error("certificate `{certificate}` and key `{key}` cannot be used together")]
    Pair {
        certificate: PathBuf,
        key: PathBuf,
        #[source]
        source: rustls::Error,
    },
    #[error("`{path}` holds a certificate that is no authority")]
    Authority {
        path: PathBuf,
        #[source]
        source: rustls::Error,
    },
    #[error("failed to set up the check of client certificates by `{path}`")]
    Verifier {
        path: PathBuf,
        #[source]
        source: rustls::server::VerifierBuilderError,
    },
    #[error("failed to set up TLS")]
    Protocol(#[source] rustls::Error),
}

/// Reads the files of a door with TLS.
pub(super) fn acceptor(door: &TlsDoor) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = certificates(&door.certificate)?;
    let key =
        PrivateKeyDer::from_pem_file(&door.key).map_err(|source| TlsError::Key { path: door.key.clone(), source })?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Protocol)?;
    let builder = match &door.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(authorities(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .allow_unauthenticated()
                .build()
                .map_err(|source| TlsError::Verifier { path: path.clone(), source })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let pair = |source| TlsError::Pair { certificate: door.certificate.clone(), key: door.key.clone(), source };
    Ok(TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).map_err(pair)?)))
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|source| TlsError::Authority { path: path.to_owned(), source })?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Certificates { path: path.to_owned(), source };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(failed)?.collect();
    let chain = chain.map_err(failed)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(chain)
}

/// The common name in the subject of a verified client certificate; none if it has no single one.
pub(super) fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let mut names = parsed.subject().iter_common_name();
    let name = names.next()?.as_str().ok()?.to_owned();
    names.next().is_none().then_some(name)
}
