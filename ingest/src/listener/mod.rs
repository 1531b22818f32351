//! The listener: Pilotline's own MQTT server for gateways, 3.1.1 and 5 on one port.
//!
//! It owns PUBACK, which is why it exists: an acknowledgement leaves when the committer says so and never before. It takes
//! publishes; it is no broker, and a subscription is refused with a reason code.
//!
//! Invariants:
//! - without a login a client is let in only where the address is loopback;
//! - every connection is a task of its own, and nothing that one sends can end another;
//! - connections, packets, sessions and what waits are bounded, each by a constant that says why.

mod connection;
mod handshake;
#[cfg(test)]
mod tests;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::auth::{Logins, generate_secret};
use crate::commit::CommitterHandle;
use crate::index::CurrentIndex;

/// Longest packet taken, announced on MQTT 5.
pub(crate) const PACKET_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Messages of QoS 1 and 2 that a client may have unacknowledged, announced on MQTT 5.
pub(crate) const RECEIVE_MAXIMUM: u16 = 1_000;

/// Connections at once: the 10,000 gateways of the design and some that are reconnecting. One more is closed unheard.
pub const CONNECTIONS_MAX: usize = 10_500;

/// Connections that wait in the kernel for `accept`.
const BACKLOG: u32 = 4_096;

/// Pause after `accept` failed (no file descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a stop waits for the connections.
const STOP_WITHIN: Duration = Duration::from_secs(6);

/// Where to listen, and for how many.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    pub mqtt: SocketAddr,
    pub connections_max: usize,
}

impl ListenerConfig {
    /// On this address, with the usual bounds.
    pub fn new(mqtt: SocketAddr) -> ListenerConfig {
        ListenerConfig { mqtt, connections_max: CONNECTIONS_MAX }
    }
}

/// Why the listener cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    #[error("failed to listen on `{address}`")]
    Bind {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "`{address}` can be reached from other machines and no gateway has a login; \
         make one with `pilotline login add NAME --pilot PILOT`, or listen on 127.0.0.1"
    )]
    NoLogin { address: SocketAddr },
}

/// Whether a client without credentials is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anonymous {
    Allowed,
    Refused,
}

/// What all connections share.
pub(crate) struct Context {
    pub(crate) index: Arc<CurrentIndex>,
    pub(crate) logins: Arc<Logins>,
    pub(crate) committer: CommitterHandle,
    pub(crate) anonymous: Anonymous,
    pub(crate) shutdown: watch::Sender<bool>,
}

/// Numbers connections over all listeners of the process, so that no two share a session by chance.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

impl Context {
    pub(crate) fn next_connection(&self) -> u64 {
        CONNECTIONS.fetch_add(1, Ordering::Relaxed)
    }

    /// A client id for one that sent none: nobody else can guess it.
    pub(crate) fn assigned_client_id(&self) -> String {
        format!("pilotline-{}", generate_secret())
    }
}

/// A running listener.
pub struct Listener {
    address: SocketAddr,
    context: Arc<Context>,
    connections: Arc<Semaphore>,
    connections_max: usize,
    /// Closed when the last connection has ended.
    ended: mpsc::Receiver<()>,
}

/// Starts to listen.
///
/// # Errors
/// If the address cannot be had, or can be reached from other machines and there is no login.
pub async fn start(
    config: ListenerConfig,
    index: Arc<CurrentIndex>,
    logins: Arc<Logins>,
    committer: CommitterHandle,
) -> Result<Listener, ListenerError> {
    let address = config.mqtt;
    let anonymous = if address.ip().to_canonical().is_loopback() { Anonymous::Allowed } else { Anonymous::Refused };
    if anonymous == Anonymous::Refused && logins.is_empty() {
        return Err(ListenerError::NoLogin { address });
    }
    let socket = bind(address).map_err(|source| ListenerError::Bind { address, source })?;
    let address = socket.local_addr().map_err(|source| ListenerError::Bind { address, source })?;
    match anonymous {
        Anonymous::Allowed => tracing::warn!(%address, "listening for MQTT; clients on this machine need no login"),
        Anonymous::Refused => tracing::info!(%address, "listening for MQTT"),
    }
    let shutdown = watch::Sender::new(false);
    let context = Arc::new(Context { index, logins, committer, anonymous, shutdown });
    let connections = Arc::new(Semaphore::new(config.connections_max));
    let (alive, ended) = mpsc::channel(1);
    tokio::spawn(accept(socket, Arc::clone(&context), Arc::clone(&connections), alive));
    Ok(Listener { address, context, connections, connections_max: config.connections_max, ended })
}

impl Listener {
    /// The address in use (of a port 0, the one that was given).
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Connections that are open.
    pub fn n_connections(&self) -> usize {
        self.connections_max - self.connections.available_permits()
    }

    /// Takes nothing more, acknowledges what was taken, and closes every connection. Stop the committer after it.
    pub async fn stop(mut self) {
        self.context.shutdown.send_replace(true);
        // `recv` returns nothing once the last sender is dropped: the accept loop and all connections have ended.
        if tokio::time::timeout(STOP_WITHIN, self.ended.recv()).await.is_err() {
            tracing::warn!(n_connections = self.n_connections(), "stopped with connections still open");
        }
    }
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // Inherited by each connection: a 3.1.1 client may ask for no keep-alive, and would else keep its place for ever.
    socket.set_keepalive(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(socket: TcpListener, context: Arc<Context>, connections: Arc<Semaphore>, alive: mpsc::Sender<()>) {
    let mut shutdown = context.shutdown.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = connection::stopping(&mut shutdown) => return,
        };
        match accepted {
            Ok((stream, peer)) => match Arc::clone(&connections).try_acquire_owned() {
                Ok(place) => drop(tokio::spawn(serve(stream, place, Arc::clone(&context), alive.clone()))),
                Err(_) => tracing::debug!(%peer, "connection closed: there are too many"), // Full, never closed.
            },
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, place: OwnedSemaphorePermit, context: Arc<Context>, alive: mpsc::Sender<()>) {
    // An acknowledgement is small and must not wait for more; without it they only come later.
    let _ = stream.set_nodelay(true);
    connection::serve(stream, None, context).await;
    drop(place);
    drop(alive);
}
