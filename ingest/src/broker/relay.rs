//! TLS to a broker, by a relay in this process: a Unix socket that only we may open on one side, `tokio-rustls` on the other.
//!
//! The client library's own TLS brings a certificate verifier with known holes; so it speaks plain MQTT to the socket, and
//! what leaves the machine is encrypted here. The directory has mode 0700 and the socket 0600; both go with the relay.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::client::Place;
use super::{BrokerConfig, TlsFiles};

/// Why there can be no TLS to a broker.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error("failed to read certificates from `{path}`; it has to be a PEM file")]
    Certificates {
        path: PathBuf,
        #[source]
        source: pem::Error,
    },
    #[error("`{path}` holds a certificate that is no authority")]
    Authority {
        path: PathBuf,
        #[source]
        source: rustls::Error,
    },
    #[error("failed to read the private key from `{path}`; it has to be a PEM file")]
    Key {
        path: PathBuf,
        #[source]
        source: pem::Error,
    },
    #[error("certificate `{certificate}` cannot be used with its key")]
    Pair {
        certificate: PathBuf,
        #[source]
        source: rustls::Error,
    },
    #[error("`{host}` is no name that a certificate can have")]
    Name {
        host: String,
        #[source]
        source: InvalidDnsNameError,
    },
    #[error("failed to set up TLS")]
    Protocol(#[source] rustls::Error),
    #[error("failed to make the relay's socket in `{dir}`")]
    Socket {
        dir: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// A running relay; it ends when dropped.
pub(super) struct Relay {
    dir: PathBuf,
    task: JoinHandle<()>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
        // A directory in the system's temporary one that stays behind is empty of secrets.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Relay {
    /// Reads the files and opens the socket.
    pub(super) async fn start(config: &BrokerConfig, files: &TlsFiles) -> Result<Relay, RelayError> {
        let connector = connector(files)?;
        let ca = Arc::new(files.ca.clone());
        let named = |source| RelayError::Name { host: config.host.clone(), source };
        // An IPv6 address has brackets before a port, and none in a certificate.
        let host = config.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(named)?;
        let unique = format!("pilotline-relay-{}-{}", std::process::id(), crate::auth::generate_secret());
        let dir = std::env::temp_dir().join(unique);
        let failed = |source| RelayError::Socket { dir: dir.clone(), source };
        std::fs::DirBuilder::new().mode(0o700).create(&dir).map_err(failed)?;
        let path = dir.join("mqtt");
        let socket = UnixListener::bind(&path).map_err(failed)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let trouble = Arc::new(Mutex::new(None));
        let (address, told) = (config.address(), Arc::clone(&trouble));
        let task = tokio::spawn(async move {
            // One connection at a time per door and purpose: the client opens the next when it has closed the last.
            while let Ok((stream, _)) = socket.accept().await {
                let (connector, name) = (connector.clone(), name.clone());
                let (address, told, ca) = (address.clone(), Arc::clone(&told), Arc::clone(&ca));
                tokio::spawn(async move {
                    let mut stream = stream;
                    *told.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    let failed = carry(&mut stream, &address, connector, name).await.err();
                    let why = failed.map(|error| why(&error, &address, &ca));
                    // Before the stream is dropped: the client asks why as soon as it sees it closed.
                    *told.lock().unwrap_or_else(PoisonError::into_inner) = why;
                    drop(stream);
                });
            }
        });
        Ok(Relay { dir, task, trouble })
    }

    /// Where the client connects to.
    pub(super) fn place(&self) -> Place {
        Place::Unix(self.dir.join("mqtt").display().to_string())
    }

    /// Why the last connection failed beyond the socket.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn carry(
    client: &mut UnixStream,
    address: &str,
    connector: TlsConnector,
    name: ServerName<'static>,
) -> std::io::Result<()> {
    let broker = TcpStream::connect(address).await?;
    broker.set_nodelay(true)?;
    let mut broker = connector.connect(name, broker).await?;
    tokio::io::copy_bidirectional(client, &mut broker).await?;
    Ok(())
}

/// What failed, and for a certificate what would be right.
fn why(error: &std::io::Error, address: &str, ca: &Path) -> String {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match of_tls {
        Some(rustls::Error::InvalidCertificate(_)) => format!(
            "{address}: {error}; the certificate has to name this host and be signed by what `{}` holds",
            ca.display()
        ),
        Some(_) => format!("TLS with {address}: {error}"),
        None => format!("{address}: {error}"),
    }
}

fn connector(files: &TlsFiles) -> Result<TlsConnector, RelayError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&files.ca)? {
        roots.add(certificate).map_err(|source| RelayError::Authority { path: files.ca.clone(), source })?;
    }
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(RelayError::Protocol)?
        .with_root_certificates(roots);
    let config = match &files.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let key =
                PrivateKeyDer::from_pem_file(key).map_err(|source| RelayError::Key { path: key.clone(), source })?;
            let pair = |source| RelayError::Pair { certificate: certificate.clone(), source };
            builder.with_client_auth_cert(chain, key).map_err(pair)?
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, RelayError> {
    let failed = |source| RelayError::Certificates { path: path.to_owned(), source };
    CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)
}
