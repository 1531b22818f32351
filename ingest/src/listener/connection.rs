//! One connection: CONNECT, then packets in and acknowledgements out until either side ends it.
//!
//! A single task reads, normalizes and writes. What one socket read brought is handed to the committer as one entry; while
//! it waits for its commit the connection goes on reading, up to a bound. Acknowledgements come back through the mailbox,
//! in the order of receipt, and leave in one write.
//!
//! Invariants:
//! - nothing is acknowledged that the committer has not released;
//! - what a client can make this task hold is bounded before and after CONNECT;
//! - malformed bytes end this connection and no other.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use model::UnixMillis;
use model::reason::{Reason, Refusal, RefusedPart};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};

use super::handshake::{self, BadConnect, Granted, Hello, Will};
use super::subscriber::Subscriber;
use super::wire::{self, Dialect, Fault, Frame, Goodbye, Kind, Then, Version};
use super::{Anonymous, Context, PACKET_BYTES_MAX, Peer, RECEIVE_MAXIMUM};
use crate::commit::{
    Client, Delivery, DoorState, Item, Mail, Mailbox, Open, Opened, Prepared, Step, Subscriptions, Verdict, Work,
};
use crate::index::Index;
use crate::normalize::{Outcome, Rejected, normalize, usurped};
use crate::observation::LISTENER;
use crate::sources::Connected;
use crate::{Identity, Observation};

/// How long a client has for its CONNECT.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Longest CONNECT: names, a secret and a Will fit many times over, and 10,000 strangers cost at most 160 MB.
pub(super) const CONNECT_BYTES_MAX: usize = 16 * 1024;

/// Bytes read at once; a busy gateway's packets of some milliseconds.
const READ_BYTES: usize = 64 * 1024;

/// Room kept for a connection that is idle.
const IDLE_BYTES: usize = 2 * 1024;

/// Messages that wait for their commit before reading stops: what MQTT 5 is told as receive maximum, and as much again
/// for its QoS 0, which no receive maximum bounds.
const WAITING_MAX_V3: usize = RECEIVE_MAXIMUM as usize;
const WAITING_MAX_V5: usize = 2 * RECEIVE_MAXIMUM as usize;

/// Bytes that wait for room in the committer's queue before reading stops: the largest packet, and a read beside it.
const PENDING_BYTES_MAX: usize = PACKET_BYTES_MAX;

/// Said of who connects and is no MQTT client.
const NO_CONNECT: &str = "its first bytes are no MQTT CONNECT: TLS on the port without TLS, or another protocol";

/// How long a client may take to read its acknowledgements; then it is as good as gone.
const WRITE_WITHIN: Duration = Duration::from_secs(30);

/// How long a stop waits for what is under way.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client said goodbye.
    Goodbye(Goodbye),
    /// The client is gone, or cannot be written to.
    Gone,
    /// Refused a topic on MQTT 3.1.1, which can only be told by closing.
    NotAuthorized,
    Fault(Fault),
}

/// Serves one connection until it ends.
pub(super) async fn serve<S>(mut stream: S, peer: Peer, context: Arc<Context>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = BytesMut::with_capacity(IDLE_BYTES);
    let opening = open(&mut stream, &mut buffer, peer, &context);
    // Neither a client that says nothing nor one that is turned away is worth a log line.
    let Ok(Some(admitted)) = timeout(CONNECT_WITHIN, opening).await else { return };
    let will = admitted.hello.will.clone();
    let mut connection = Connection::new(stream, buffer, admitted, Arc::clone(&context));
    let (sources, number) = (context.sources(), connection.mailbox.connection);
    sources.connected(number, connection.connected());
    let end = connection.run().await;
    sources.disconnected(number);
    connection.end(end, will).await;
}

/// A client that was let in.
struct Admitted {
    hello: Hello,
    granted: Granted,
    identity: Identity,
    mailbox: Arc<Mailbox>,
    /// What its session had subscribed to.
    subscriptions: Subscriptions,
}

/// Reads CONNECT, lets the client in or turns it away.
async fn open<S>(stream: &mut S, buffer: &mut BytesMut, peer: Peer, context: &Context) -> Option<Admitted>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let hello = match read_connect(stream, buffer).await? {
        Ok(hello) => hello,
        Err(bad) => {
            let (answer, why) = match bad {
                BadConnect::Version => (handshake::WRONG_VERSION.to_vec(), "it speaks neither MQTT 3.1.1 nor MQTT 5"),
                BadConnect::Refused(version, refusal) => (handshake::turn_away(version, refusal), refusal.remedy()),
                BadConnect::Fault(_) => (Vec::new(), NO_CONNECT),
            };
            context.sources().turned_away("", None, why, model::clock::now());
            last_words(stream, &answer).await;
            return None;
        }
    };
    match admit(&hello, peer, context).await {
        Ok((granted, identity, mailbox, opened)) => {
            let (session_present, subscriptions) = match opened {
                Opened::Resumed(subscriptions) => (true, subscriptions),
                Opened::New | Opened::NotYours | Opened::Full => (false, Vec::new()),
            };
            let answer = handshake::welcome(&hello, &granted, session_present);
            if stream.write_all(&answer).await.is_err() {
                close(context, &client(&granted, &identity, &mailbox), None).await;
                return None;
            }
            Some(Admitted { hello, granted, identity, mailbox, subscriptions })
        }
        Err(refusal) => {
            let login = hello.credentials.as_ref().map(|(name, _)| name.as_str());
            context.sources().turned_away(&hello.client_id, login, refusal.remedy(), model::clock::now());
            last_words(stream, &handshake::turn_away(hello.dialect.version, refusal)).await;
            None
        }
    }
}

async fn read_connect<S>(stream: &mut S, buffer: &mut BytesMut) -> Option<Result<Hello, BadConnect>>
where
    S: AsyncRead + Unpin,
{
    loop {
        // A stranger whose first byte is no CONNECT is not read any further.
        if buffer.first().is_some_and(|first| Kind::of(*first) != Ok(Kind::Connect)) {
            return Some(Err(BadConnect::Fault(Fault::Malformed)));
        }
        match wire::frame(buffer, CONNECT_BYTES_MAX) {
            Frame::Whole { body } => {
                let hello = handshake::connect(&buffer[body.clone()]);
                drop(buffer.split_to(body.end));
                return Some(hello);
            }
            Frame::Incomplete { .. } => {}
            Frame::TooLarge { .. } | Frame::Malformed => return None,
        }
        match stream.read_buf(buffer).await {
            Ok(0) | Err(_) => return None, // Gone before it said anything.
            Ok(_) => {}
        }
    }
}

async fn admit(
    hello: &Hello,
    peer: Peer,
    context: &Context,
) -> Result<(Granted, Identity, Arc<Mailbox>, Opened), handshake::Refusal> {
    match context.committer.state() {
        DoorState::Open => {}
        DoorState::DiskFull => return Err(handshake::Refusal::Quota),
        DoorState::Poisoned => return Err(handshake::Refusal::Unavailable),
    }
    let identity = authenticate(hello, peer, context).await?;
    let granted = handshake::grant(hello, || context.assigned_client_id())?;
    let mailbox = Arc::new(Mailbox::new(context.next_connection()));
    let open = Open {
        client_id: Arc::clone(&granted.client_id),
        login: identity.login().map(str::to_owned),
        start: hello.start,
        expiry_s: granted.expiry_s,
        mailbox: Arc::clone(&mailbox),
    };
    let (reply, opened) = oneshot::channel();
    let pushed = context.committer.push_async(Work::Open { open, reply }).await;
    pushed.map_err(|_stopped| handshake::Refusal::Unavailable)?;
    match opened.await.map_err(|_stopped| handshake::Refusal::Unavailable)? {
        opened @ (Opened::New | Opened::Resumed(_)) => Ok((granted, identity, mailbox, opened)),
        Opened::NotYours => Err(handshake::Refusal::NotAuthorized),
        Opened::Full => Err(handshake::Refusal::Quota),
    }
}

async fn authenticate(hello: &Hello, peer: Peer, context: &Context) -> Result<Identity, handshake::Refusal> {
    let Some((name, secret)) = &hello.credentials else {
        return match (peer.certificate, peer.anonymous) {
            (Some(identity), _) => Ok(identity),
            (None, Anonymous::Allowed) => Ok(Identity::Anonymous),
            (None, Anonymous::Refused) => Err(handshake::Refusal::NotAuthorized),
        };
    };
    context.logins.verify(name, secret).await.ok_or(handshake::Refusal::BadCredentials)
}

/// Says something to a client that is then closed; whether it listens is its own affair.
async fn last_words<S: AsyncWrite + Unpin>(stream: &mut S, words: &[u8]) {
    if stream.write_all(words).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}

fn client(granted: &Granted, identity: &Identity, mailbox: &Mailbox) -> Client {
    let login = identity.login().unwrap_or_default();
    let key = xxhash_rust::xxh3::xxh3_64_with_seed(
        granted.client_id.as_bytes(),
        xxhash_rust::xxh3::xxh3_64(login.as_bytes()),
    );
    Client { id: Arc::clone(&granted.client_id), connection: mailbox.connection, key }
}

async fn close(context: &Context, client: &Client, expiry_s: Option<u32>) {
    let work = Work::Close { client: client.clone(), expiry_s };
    if context.committer.push_async(work).await.is_err() {
        tracing::debug!(client = %client.id, "committer has stopped; session not closed");
    }
}

/// What was read and not yet handed to the committer.
#[derive(Default)]
struct Pending {
    items: Vec<Item>,
    bytes: usize,
    received_at: Option<UnixMillis>,
}

/// A connection that was let in.
struct Connection<S> {
    stream: S,
    buffer: BytesMut,
    out: Vec<u8>,
    dialect: Dialect,
    client: Client,
    identity: Identity,
    mailbox: Arc<Mailbox>,
    context: Arc<Context>,
    shutdown: watch::Receiver<bool>,
    keep_alive: Option<Duration>,
    heard: Instant,
    pending: Pending,
    /// Messages that wait for their commit.
    n_waiting: usize,
    /// What counts against the receive maximum: QoS 1 until PUBACK, QoS 2 until PUBCOMP.
    n_unacknowledged: usize,
    /// QoS 2 ids of this connection between PUBLISH and PUBCOMP.
    open_ids: HashSet<u16>,
    subscriber: Subscriber,
    /// Whether it published anything.
    has_sent: bool,
    /// Kept from message to message, so that the topic is copied only when it changes.
    observation: Observation,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn new(stream: S, buffer: BytesMut, admitted: Admitted, context: Arc<Context>) -> Connection<S> {
        let Admitted { hello, granted, identity, mailbox, subscriptions } = admitted;
        let keep_alive = match granted.keep_alive_s {
            0 => None,
            seconds => Some(Duration::from_millis(u64::from(seconds) * 1500)),
        };
        let client = client(&granted, &identity, &mailbox);
        let subscriber = Subscriber::new(Arc::clone(&context.hub), Arc::clone(&mailbox), &identity, subscriptions);
        let shutdown = context.shutdown.subscribe();
        let (topic, payload, received_at) = (String::new(), Bytes::new(), UnixMillis(0));
        let (door, sender) = (LISTENER.into(), Arc::clone(&client.id));
        let observation =
            Observation { door, client: sender, topic, payload, received_at, qos: 0, dup: false, retained: false };
        Connection {
            stream,
            buffer,
            out: Vec::new(),
            dialect: hello.dialect,
            client,
            identity,
            mailbox,
            context,
            shutdown,
            keep_alive,
            heard: Instant::now(),
            pending: Pending::default(),
            n_waiting: 0,
            n_unacknowledged: 0,
            open_ids: HashSet::new(),
            subscriber,
            has_sent: false,
            observation,
        }
    }

    async fn run(&mut self) -> End {
        // What came in the same segment as CONNECT is there already.
        if let Err(end) = self.packets().await {
            return end;
        }
        loop {
            if let Err(end) = self.turn().await {
                return end;
            }
        }
    }

    /// Waits for whatever comes first, and does it.
    async fn turn(&mut self) -> Result<(), End> {
        let may_read = self.may_read();
        let has_pending = !self.pending.items.is_empty();
        let deadline = self.keep_alive.map(|limit| self.heard + limit);
        let next = tokio::select! {
            () = self.mailbox.rung() => Next::Mail,
            () = self.context.committer.room(), if has_pending => Next::Room,
            read = self.stream.read_buf(&mut self.buffer), if may_read => match read {
                Ok(0) | Err(_) => Next::Gone,
                Ok(_) => Next::Bytes,
            },
            () = sleep_until(deadline) => Next::Silence,
            () = stopping(&mut self.shutdown) => Next::Stop,
        };
        match next {
            Next::Mail => self.deliver().await,
            Next::Room => self.hand_in(),
            Next::Bytes => self.packets().await,
            Next::Silence => self.silence(may_read),
            Next::Gone => Err(End::Gone),
            Next::Stop => Err(End::Fault(Fault::ShuttingDown)),
        }
    }

    fn may_read(&self) -> bool {
        let waiting_max = match self.dialect.version {
            Version::V3 => WAITING_MAX_V3,
            Version::V5 => WAITING_MAX_V5,
        };
        self.n_waiting < waiting_max && self.pending.bytes < PENDING_BYTES_MAX
    }

    /// A client that is not being read cannot be heard.
    fn silence(&mut self, may_read: bool) -> Result<(), End> {
        if may_read {
            return Err(End::Fault(Fault::KeepAlive));
        }
        self.heard = Instant::now();
        Ok(())
    }

    /// Takes every whole packet of the buffer, hands them in, and answers what needs no commit.
    async fn packets(&mut self) -> Result<(), End> {
        self.heard = Instant::now();
        self.observation.received_at = model::clock::now();
        let index = self.context.index.get();
        let taken = loop {
            match wire::frame(&self.buffer, PACKET_BYTES_MAX) {
                Frame::Whole { body } => {
                    let packet = self.buffer.split_to(body.end).freeze();
                    if let Err(end) = self.packet(&packet, body.start, &index) {
                        break Err(end);
                    }
                }
                Frame::Incomplete { needs } => {
                    // The last payload is a part of the buffer, which is used again only when nothing refers to it.
                    self.observation.payload = Bytes::new();
                    self.make_room(needs);
                    break Ok(());
                }
                Frame::TooLarge { total } => break Err(self.too_large(total)),
                Frame::Malformed => break Err(End::Fault(Fault::Malformed)),
            }
        };
        self.hand_in()?;
        self.deliver().await?;
        taken
    }

    /// Room for the rest of a packet that has begun, or for the next read.
    fn make_room(&mut self, needs: Option<usize>) {
        let missing = needs.map_or(0, |total| total.saturating_sub(self.buffer.len()));
        let was_full = self.buffer.capacity() == self.buffer.len();
        self.buffer.reserve(if was_full { READ_BYTES } else { missing.clamp(IDLE_BYTES, READ_BYTES) });
    }

    fn packet(&mut self, packet: &Bytes, start: usize, index: &crate::index::Index) -> Result<(), End> {
        let first = packet[0];
        let body = &packet[start..];
        let version = self.dialect.version;
        match Kind::of(first).map_err(End::Fault)? {
            Kind::Publish => {
                let publish = wire::publish(first, body, version).map_err(End::Fault)?;
                let payload = packet.slice(start + publish.payload.start..start + publish.payload.end);
                self.publish(&publish, payload, packet.len(), index)?;
            }
            Kind::Pubrel => {
                let packet_id = wire::pubrel(body, version).map_err(End::Fault)?;
                self.add(Item::Release { packet_id }, packet.len());
            }
            Kind::Subscribe => {
                let (packet_id, wanted) = wire::subscribe(body, version).map_err(End::Fault)?;
                let item = self.subscriber.subscribe(packet_id, wanted);
                self.add(item, packet.len());
            }
            Kind::Unsubscribe => {
                let (packet_id, filters) = wire::unsubscribe(body, version).map_err(End::Fault)?;
                let item = self.subscriber.unsubscribe(packet_id, filters);
                self.add(item, packet.len());
            }
            Kind::Pingreq if body.is_empty() => self.out.extend_from_slice(&wire::PINGRESP),
            Kind::Pingreq => return Err(End::Fault(Fault::Malformed)),
            Kind::Disconnect => {
                let goodbye = wire::disconnect(body, version).map_err(End::Fault)?;
                return Err(End::Goodbye(goodbye));
            }
            Kind::Connect | Kind::Unasked | Kind::Never => return Err(End::Fault(Fault::Protocol)),
        }
        Ok(())
    }

    fn publish(
        &mut self,
        publish: &wire::Publish<'_>,
        payload: Bytes,
        bytes: usize,
        index: &crate::index::Index,
    ) -> Result<(), End> {
        let (packet_id, dup) = (publish.packet_id, publish.dup);
        let delivery = match publish.qos {
            0 => Delivery::AtMostOnce,
            1 => Delivery::AtLeastOnce { packet_id, dup },
            _ => Delivery::ExactlyOnce { packet_id, dup },
        };
        let is_new = match delivery {
            Delivery::AtMostOnce => false,
            Delivery::AtLeastOnce { .. } => true,
            Delivery::ExactlyOnce { .. } => self.open_ids.insert(packet_id),
        };
        self.n_unacknowledged += usize::from(is_new);
        if self.dialect.version == Version::V5 && self.n_unacknowledged > usize::from(RECEIVE_MAXIMUM) {
            return Err(End::Fault(Fault::ReceiveMaximum));
        }
        if self.observation.topic != publish.topic {
            self.observation.topic.clear();
            self.observation.topic.push_str(publish.topic);
        }
        self.observation.payload = payload;
        self.observation.qos = publish.qos;
        self.observation.dup = dup;
        let outcome = self.outcome(index);
        self.prepared(delivery, outcome, bytes, index);
        Ok(())
    }

    /// As the page of sources shows it.
    fn connected(&self) -> Connected {
        let (login, pilot) = match &self.identity {
            Identity::Anonymous => (None, None),
            Identity::Login { name, pilot, .. } => (Some(name.clone()), Some(pilot.clone())),
        };
        Connected { client: Arc::clone(&self.client.id), login, pilot, since: model::clock::now(), has_sent: false }
    }

    /// What the message in hand comes to. Who says what only a host may say is not authorized, whoever it is.
    fn outcome(&self, index: &Index) -> Outcome {
        match usurped(&self.observation, &self.identity, index) {
            Some(rejected) => Outcome::Rejected(rejected),
            None => normalize(&self.observation, &self.identity, index),
        }
    }

    fn prepared(&mut self, delivery: Delivery, outcome: Outcome, bytes: usize, index: &Index) {
        let sources = &index.foreign().sources;
        sources.heard(&self.observation, &self.identity, &outcome);
        if !std::mem::replace(&mut self.has_sent, true) {
            sources.has_sent(self.mailbox.connection);
        }
        let prepared = Prepared::new(&self.observation, &self.identity, delivery, outcome);
        self.add(Item::Publish(Box::new(prepared)), bytes);
    }

    fn add(&mut self, item: Item, bytes: usize) {
        self.n_waiting += 1;
        self.pending.items.push(item);
        self.pending.bytes += bytes;
        self.pending.received_at.get_or_insert(self.observation.received_at);
    }

    /// A packet beyond the limit is not read: what can be said of it is counted, and the connection ends.
    fn too_large(&mut self, total: usize) -> End {
        if Kind::of(self.buffer[0]) == Ok(Kind::Publish) {
            let detail = format!("packet of {total} bytes; at most {PACKET_BYTES_MAX} are taken");
            let refusal = Refusal { reason: Reason::TooLarge, part: RefusedPart::Message, detail };
            let rejected = Rejected { pilot: None, refusals: vec![refusal], sequence: None };
            let start = self.buffer.iter().skip(1).position(|byte| byte & 0x80 == 0).map_or(2, |at| at + 2);
            let topic = wire::topic(&self.buffer[start.min(self.buffer.len())..]).unwrap_or_default().to_owned();
            self.observation.topic = topic;
            self.observation.payload = Bytes::new();
            let index = self.context.index.get();
            self.prepared(Delivery::AtMostOnce, Outcome::Rejected(rejected), 0, &index);
        }
        End::Fault(Fault::PacketTooLarge)
    }

    /// Hands what was read to the committer, if it has room.
    fn hand_in(&mut self) -> Result<(), End> {
        let Some(received_at) = self.pending.received_at else { return Ok(()) };
        let Pending { items, bytes, .. } = std::mem::take(&mut self.pending);
        let (client, mailbox) = (self.client.clone(), Arc::clone(&self.mailbox));
        let work = Work::Messages { client, mailbox, items, bytes, received_at };
        match self.context.committer.push(work) {
            Ok(()) => Ok(()),
            Err(crate::commit::Push::Closed) => Err(End::Fault(Fault::Unavailable)),
            Err(crate::commit::Push::Full(work)) => {
                if let Work::Messages { items, bytes, .. } = work {
                    self.pending = Pending { items, bytes, received_at: Some(received_at) };
                }
                Ok(())
            }
        }
    }

    /// Writes what the committer released, and whatever else is to be said.
    async fn deliver(&mut self) -> Result<(), End> {
        let Mail { acks, n_done, is_taken_over, packets } = self.mailbox.take();
        self.n_waiting = self.n_waiting.saturating_sub(n_done);
        let mut then = Then::GoOn;
        for ack in &acks {
            let ends = match ack.step {
                Step::Nothing => false,
                Step::Subscribed => {
                    self.subscriber.committed(&self.dialect, &mut self.out);
                    false
                }
                Step::Puback => true,
                // Refused, the id is free again at once.
                Step::Pubrec => {
                    matches!(ack.verdict, Verdict::NotAuthorized(_)) && self.open_ids.remove(&ack.packet_id)
                }
                Step::Pubcomp | Step::PubcompNotFound => self.open_ids.remove(&ack.packet_id),
            };
            self.n_unacknowledged = self.n_unacknowledged.saturating_sub(usize::from(ends));
            then = self.dialect.ack(ack, &mut self.out);
            if then == Then::Close {
                break;
            }
        }
        for packet in &packets {
            self.dialect.publish(packet, &mut self.out);
        }
        self.flush().await?;
        match then {
            Then::Close => Err(End::NotAuthorized),
            Then::GoOn if is_taken_over => Err(End::Fault(Fault::TakenOver)),
            Then::GoOn => Ok(()),
        }
    }

    async fn flush(&mut self) -> Result<(), End> {
        if self.out.is_empty() {
            return Ok(());
        }
        let written = timeout(WRITE_WITHIN, self.stream.write_all(&self.out)).await;
        self.out.clear();
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone), // A client that is gone, or that does not read.
        }
    }

    /// Ends the connection: says why, hands in what was read, and gives up the session.
    async fn end(mut self, end: End, will: Option<Will>) {
        tracing::debug!(client = %self.client.id, ?end, "connection ended");
        if let End::Fault(Fault::ShuttingDown) = end {
            let draining = self.drain();
            if timeout(DRAIN_WITHIN, draining).await.is_err() {
                tracing::warn!("stopped with messages unacknowledged; their senders will send them again");
            }
        }
        if let End::Fault(fault) = end {
            self.dialect.disconnect(fault, &mut self.out);
        }
        let _ = self.flush().await;
        let _ = self.stream.shutdown().await;
        let wants_will = match end {
            End::Goodbye(goodbye) => goodbye.wants_will,
            End::Fault(Fault::ShuttingDown | Fault::Unavailable) => false,
            End::Gone | End::NotAuthorized | End::Fault(_) => true,
        };
        if let Some(will) = will.filter(|_| wants_will) {
            self.publish_will(will);
        }
        self.hand_in_all().await;
        let expiry_s = match end {
            End::Goodbye(goodbye) => goodbye.expiry_s,
            End::Gone | End::NotAuthorized | End::Fault(_) => None,
        };
        close(&self.context, &self.client, expiry_s).await;
    }

    /// A Will is a message of its client like any other, at QoS 0: nobody is left to acknowledge to.
    fn publish_will(&mut self, will: Will) {
        let (topic, payload, received_at) = (will.topic, will.payload, model::clock::now());
        let (door, sender) = (Arc::clone(&self.observation.door), Arc::clone(&self.client.id));
        self.observation =
            Observation { door, client: sender, topic, payload, received_at, qos: 0, dup: false, retained: false };
        let index = self.context.index.get();
        let outcome = self.outcome(&index);
        let bytes = self.observation.payload.len();
        self.prepared(Delivery::AtMostOnce, outcome, bytes, &index);
    }

    async fn hand_in_all(&mut self) {
        let Some(received_at) = self.pending.received_at else { return };
        let Pending { items, bytes, .. } = std::mem::take(&mut self.pending);
        let (client, mailbox) = (self.client.clone(), Arc::clone(&self.mailbox));
        let work = Work::Messages { client, mailbox, items, bytes, received_at };
        if self.context.committer.push_async(work).await.is_err() {
            tracing::debug!(client = %self.client.id, "committer has stopped; messages not taken");
        }
    }

    /// Acknowledges what was taken before a stop.
    async fn drain(&mut self) -> Result<(), End> {
        self.hand_in_all().await;
        // What was said to it before the stop, such as that we are going offline.
        self.deliver().await?;
        while self.n_waiting > 0 {
            self.mailbox.rung().await;
            self.deliver().await?;
        }
        Ok(())
    }
}

/// What a connection waits for.
enum Next {
    Mail,
    Room,
    Bytes,
    Silence,
    Gone,
    Stop,
}

pub(super) async fn stopping(shutdown: &mut watch::Receiver<bool>) {
    // A sender that is gone has stopped as well.
    let _ = shutdown.wait_for(|is_stopping| *is_stopping).await;
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
