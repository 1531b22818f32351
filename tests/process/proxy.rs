//! A TCP proxy between a client and a broker that loses what it is told to lose: acknowledgements, or the connection.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// First byte of PUBACK.
const PUBACK: u8 = 0x40;

#[derive(Default)]
struct State {
    drops: AtomicBool,
    n_dropped: AtomicU64,
    streams: Mutex<Vec<TcpStream>>,
}

/// Runs until the test's process ends.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

impl Proxy {
    pub(crate) fn start(broker: SocketAddr) -> Proxy {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, state) = (socket.local_addr().unwrap(), Arc::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in socket.incoming().map_while(Result::ok) {
                if let Ok(broker) = TcpStream::connect(broker) {
                    carry(client, broker, &shared);
                }
            }
        });
        Proxy { address, state }
    }

    /// Whether PUBACKs to the broker vanish from now on.
    pub(crate) fn drop_acknowledgements(&self, drops: bool) {
        self.state.drops.store(drops, Ordering::SeqCst);
    }

    pub(crate) fn n_dropped(&self) -> u64 {
        self.state.n_dropped.load(Ordering::SeqCst)
    }

    /// Cuts every connection, wherever it is.
    pub(crate) fn cut(&self) {
        for stream in self.state.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn carry(client: TcpStream, broker: TcpStream, state: &Arc<State>) {
    let copies = [client.try_clone().unwrap(), broker.try_clone().unwrap()];
    state.streams.lock().unwrap().extend(copies);
    let (mut from_broker, mut to_client) = (broker.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_broker, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let state = Arc::clone(state);
    std::thread::spawn(move || {
        let (mut client, mut broker) = (client, broker);
        while let Ok(packet) = read_packet(&mut client) {
            if packet[0] == PUBACK && state.drops.load(Ordering::SeqCst) {
                state.n_dropped.fetch_add(1, Ordering::SeqCst);
            } else if broker.write_all(&packet).is_err() {
                break;
            }
        }
        let _ = broker.shutdown(Shutdown::Both);
    });
}

/// A whole packet of MQTT, with its head.
fn read_packet(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut packet = vec![0];
    stream.read_exact(&mut packet)?;
    let (mut length, mut shift) = (0, 0);
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        packet.push(byte[0]);
        length |= usize::from(byte[0] & 127) << shift;
        shift += 7;
        if byte[0] < 128 {
            break;
        }
    }
    let head = packet.len();
    packet.resize(head + length, 0);
    stream.read_exact(&mut packet[head..])?;
    Ok(packet)
}
