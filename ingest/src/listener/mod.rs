//! The listener: Pilotline's own MQTT server for gateways, 3.1.1 and 5 on one port.
//!
//! It owns PUBACK, which is why it exists: an acknowledgement leaves when the committer says so and never before. It takes
//! publishes. It is the broker of Sparkplug edge nodes as far as they hear us: subscriptions to what this process says itself
//! (commands to edge nodes, STATE) are served, all others are refused with a reason code.
//!
//! Invariants:
//! - without a login a client is let in only where the address is loopback;
//! - every connection is a task of its own, and nothing that one sends can end another;
//! - connections, packets, sessions and what waits are bounded, each by a constant that says why.

mod connection;
mod handshake;
mod subscriber;
#[cfg(test)]
mod tests;
mod tls;
mod wire;

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;

pub use self::tls::TlsError;
use crate::Identity;
use crate::auth::{Logins, generate_secret};
use crate::commit::CommitterHandle;
use crate::hub::Hub;
use crate::index::CurrentIndex;
use crate::sources::Sources;

/// Longest packet taken, announced on MQTT 5.
pub(crate) const PACKET_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Messages of QoS 1 and 2 that a client may have unacknowledged, announced on MQTT 5.
pub(crate) const RECEIVE_MAXIMUM: u16 = 1_000;

/// Connections at once: the 10,000 gateways of the design and some that are reconnecting. One more is closed unheard.
pub const CONNECTIONS_MAX: usize = 10_500;

/// Pause after `accept` failed (no file descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a stop waits for the connections.
const STOP_WITHIN: Duration = Duration::from_secs(6);

/// The doors, already bound, and how many may come in.
#[derive(Debug)]
pub struct ListenerConfig {
    pub mqtt: TcpListener,
    pub tls: Option<TlsDoor>,
    pub limits: Limits,
}

/// A door with TLS.
#[derive(Debug)]
pub struct TlsDoor {
    pub listener: TcpListener,
    /// PEM files.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Who signs the certificates of gateways; without it they log in by name and secret.
    pub client_ca: Option<PathBuf>,
}

/// Bounds that an operator may want to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, over both doors.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { connections: CONNECTIONS_MAX }
    }
}

/// Why the listener cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    #[error("failed to prepare the socket that listens for MQTT")]
    Socket(#[source] std::io::Error),
    #[error(
        "`{address}` can be reached from other machines and no gateway has a login; \
         make one with `pilotline login add NAME --pilot PILOT`, or listen on 127.0.0.1"
    )]
    NoLogin { address: SocketAddr },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Whether a client without credentials is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anonymous {
    Allowed,
    Refused,
}

/// What a door knows of a client before it has said anything.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Peer {
    pub(crate) anonymous: Anonymous,
    /// Whom the TLS handshake proved it to be.
    pub(crate) certificate: Option<Identity>,
}

/// What all connections share.
pub(crate) struct Context {
    pub(crate) index: Arc<CurrentIndex>,
    pub(crate) logins: Arc<Logins>,
    pub(crate) committer: CommitterHandle,
    /// What clients may subscribe to.
    pub(crate) hub: Arc<Hub>,
    pub(crate) shutdown: watch::Sender<bool>,
}

/// Numbers connections over all listeners of the process, so that no two share a session by chance.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

impl Context {
    pub(crate) fn next_connection(&self) -> u64 {
        CONNECTIONS.fetch_add(1, Ordering::Relaxed)
    }

    /// Who was heard.
    pub(crate) fn sources(&self) -> Arc<Sources> {
        Arc::clone(&self.index.get().foreign().sources)
    }

    /// Keeps our STATE birth, from the moment of serving.
    fn say_online(&self) {
        let index = self.index.get();
        let host = &index.foreign().sparkplug;
        self.hub.set_state(&host.state_topic(), host.birth_payload(model::clock::now()));
    }

    /// Tells whoever listens that we go, before any connection closes.
    fn say_offline(&self) {
        let index = self.index.get();
        let host = &index.foreign().sparkplug;
        self.hub.set_state(&host.state_topic(), host.death_payload(model::clock::now()));
    }

    /// A client id for one that sent none: nobody else can guess it.
    pub(crate) fn assigned_client_id(&self) -> String {
        format!("pilotline-{}", generate_secret())
    }
}

/// A running listener.
pub struct Listener {
    mqtt: SocketAddr,
    tls: Option<SocketAddr>,
    context: Arc<Context>,
    places: Arc<Semaphore>,
    limits: Limits,
    /// Closed when the last connection has ended.
    ended: mpsc::Receiver<()>,
}

/// Starts to listen.
///
/// # Errors
/// If an address can be reached from other machines and there is no login, or the files for TLS are of no use.
pub async fn start(
    config: ListenerConfig,
    index: Arc<CurrentIndex>,
    logins: Arc<Logins>,
    committer: CommitterHandle,
) -> Result<Listener, ListenerError> {
    let (mqtt, anonymous) = check_address(&config.mqtt, &logins)?;
    let hub = Arc::clone(&index.get().foreign().hub);
    let context = Arc::new(Context { index, logins, committer, hub, shutdown: watch::Sender::new(false) });
    let places = Arc::new(Semaphore::new(config.limits.connections));
    let (alive, ended) = mpsc::channel(1);
    let door = |socket, anonymous, acceptor| {
        let (context, places, alive) = (Arc::clone(&context), Arc::clone(&places), alive.clone());
        Door { socket, anonymous, acceptor, context, places, alive }
    };
    let plain = door(config.mqtt, anonymous, None);
    let mut tls = None;
    let mut secure = None;
    if let Some(files) = config.tls {
        let (address, anonymous) = check_address(&files.listener, &context.logins)?;
        let acceptor = tls::acceptor(&files)?;
        tls = Some(address);
        secure = Some(door(files.listener, anonymous, Some(acceptor)));
    }
    context.say_online();
    for door in std::iter::once(plain).chain(secure) {
        tokio::spawn(door.accept());
    }
    Ok(Listener { mqtt, tls, context, places, limits: config.limits, ended })
}

impl Listener {
    /// The address of the plain door (of a port 0, the one that was given).
    pub fn local_addr(&self) -> SocketAddr {
        self.mqtt
    }

    /// The address of the door with TLS.
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.tls
    }

    /// Connections that are open.
    pub fn n_connections(&self) -> usize {
        self.limits.connections - self.places.available_permits()
    }

    /// Takes nothing more, acknowledges what was taken, and closes every connection. Stop the committer after it.
    pub async fn stop(mut self) {
        self.context.say_offline();
        self.context.shutdown.send_replace(true);
        // `recv` returns nothing once the last sender is dropped: the accept loops and all connections have ended.
        if tokio::time::timeout(STOP_WITHIN, self.ended.recv()).await.is_err() {
            tracing::warn!(n_connections = self.n_connections(), "stopped with connections still open");
        }
    }
}

/// Whether anybody may come in by this address, and who needs no login.
fn check_address(socket: &TcpListener, logins: &Logins) -> Result<(SocketAddr, Anonymous), ListenerError> {
    let address = socket.local_addr().map_err(ListenerError::Socket)?;
    keep_alive(socket).map_err(ListenerError::Socket)?;
    if address.ip().to_canonical().is_loopback() {
        tracing::warn!(%address, "listening for MQTT; clients on this machine need no login");
        return Ok((address, Anonymous::Allowed));
    }
    if logins.is_empty() {
        return Err(ListenerError::NoLogin { address });
    }
    tracing::info!(%address, "listening for MQTT");
    Ok((address, Anonymous::Refused))
}

/// Has the kernel ask silent peers whether they are there: a 3.1.1 client may ask for no keep-alive, and would else keep
/// its place for ever. Set on a second handle of the listening socket, from which every connection inherits it.
fn keep_alive(socket: &TcpListener) -> std::io::Result<()> {
    let handle = std::net::TcpStream::from(socket.as_fd().try_clone_to_owned()?);
    TcpSocket::from_std_stream(handle).set_keepalive(true)
}

/// One address that gateways connect to.
struct Door {
    socket: TcpListener,
    anonymous: Anonymous,
    acceptor: Option<TlsAcceptor>,
    context: Arc<Context>,
    places: Arc<Semaphore>,
    alive: mpsc::Sender<()>,
}

impl Door {
    async fn accept(self) {
        let mut shutdown = self.context.shutdown.subscribe();
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = connection::stopping(&mut shutdown) => return,
            };
            match accepted {
                Ok((stream, peer)) => match Arc::clone(&self.places).try_acquire_owned() {
                    Ok(place) => self.welcome(stream, place),
                    Err(_) => tracing::debug!(%peer, "connection closed: there are too many"), // Full, never closed.
                },
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn welcome(&self, stream: TcpStream, place: OwnedSemaphorePermit) {
        // An acknowledgement is small and must not wait for more; without it they only come later.
        let _ = stream.set_nodelay(true);
        let (context, alive, acceptor) = (Arc::clone(&self.context), self.alive.clone(), self.acceptor.clone());
        let peer = Peer { anonymous: self.anonymous, certificate: None };
        tokio::spawn(async move {
            match acceptor {
                None => connection::serve(stream, peer, context).await,
                Some(acceptor) => serve_tls(stream, acceptor, peer, context).await,
            }
            drop((place, alive));
        });
    }
}

async fn serve_tls(stream: TcpStream, acceptor: TlsAcceptor, peer: Peer, context: Arc<Context>) {
    let stream = match tokio::time::timeout(connection::CONNECT_WITHIN, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            // Only for who asks (`RUST_LOG=debug`): a stranger could write any number of these lines.
            tracing::debug!(%error, "TLS handshake refused");
            return;
        }
        Err(_silent) => return,
    };
    let subject = stream.get_ref().1.peer_certificates().and_then(|chain| tls::common_name(chain.first()?));
    let certificate = subject.and_then(|subject| context.logins.by_certificate(&subject));
    connection::serve(stream, Peer { certificate, ..peer }, context).await;
}
