//! A broker that a test writes packet by packet, MQTT 3.1.1 and 5. It reads and writes bytes by itself: what the client
//! library gets wrong in both directions would not show against its own codec.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Longest wait for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// What the client sent, whatever the version.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Got {
    Connect(Connect),
    Subscribe { packet_id: u16, filters: Vec<Filter> },
    Unsubscribe,
    Publish(Message),
    PubAck(u16),
    PubRec(u16),
    PubComp(u16),
    Disconnect,
    Ping,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Connect {
    /// 4 for MQTT 3.1.1, or 5.
    pub(super) level: u8,
    pub(super) client_id: String,
    pub(super) is_clean: bool,
    pub(super) will: Option<Message>,
    pub(super) session_expiry_s: Option<u32>,
    pub(super) receive_maximum: Option<u16>,
    pub(super) packet_bytes_max: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filter {
    pub(super) path: String,
    /// QoS, and on MQTT 5 whether retained messages come and how.
    pub(super) options: u8,
}

impl Filter {
    pub(super) fn qos(&self) -> u8 {
        self.options & 3
    }

    /// Retained messages only if the subscription is new.
    pub(super) fn wants_only_new(&self) -> bool {
        self.options >> 4 == 1
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) packet_id: u16,
    pub(super) qos: u8,
    pub(super) flags: Flags,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "the two flags of a PUBLISH packet")]
pub(super) struct Flags {
    pub(super) dup: bool,
    pub(super) retain: bool,
}

/// A broker that does what the test says.
pub(super) struct Fake {
    pub(super) socket: TcpListener,
}

/// One connection that the fake has accepted.
pub(super) struct Link {
    pub(super) stream: TcpStream,
    buffer: BytesMut,
    pub(super) connect: Connect,
}

impl Fake {
    pub(super) async fn new() -> Fake {
        Fake { socket: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    /// Accepts the next connection and reads its CONNECT.
    pub(super) async fn accept(&self) -> Link {
        let (mut stream, _) = timeout(PATIENCE, self.socket.accept()).await.expect("a connection").unwrap();
        let mut buffer = BytesMut::new();
        let first = timeout(PATIENCE, read(&mut stream, &mut buffer, 4)).await.expect("a CONNECT");
        let Some(Got::Connect(connect)) = first else { panic!("no CONNECT but {first:?}") };
        Link { stream, buffer, connect }
    }

    /// Accepts, answers CONNECT and every SUBSCRIBE until none comes at once; gives the filters.
    pub(super) async fn welcome(&self, session_present: bool) -> (Link, Vec<Filter>) {
        let mut link = self.accept().await;
        link.connack(session_present).await;
        let mut all = Vec::new();
        while let Some(got) = link.read_within(Duration::from_millis(300)).await {
            let Got::Subscribe { packet_id, filters } = got else { panic!("unexpected {got:?}") };
            link.suback(packet_id, &vec![1; filters.len()]).await;
            all.extend(filters);
        }
        (link, all)
    }
}

impl Link {
    fn is_v5(&self) -> bool {
        self.connect.level == 5
    }

    /// A packet: its first byte, and what is behind its length.
    pub(super) async fn write(&mut self, first: u8, body: &[u8]) {
        self.stream.write_all(&packet(first, body)).await.unwrap();
    }

    pub(super) async fn connack(&mut self, session_present: bool) {
        self.connack_with(session_present, 0, &[]).await;
    }

    /// `properties` for MQTT 5 alone.
    pub(super) async fn connack_with(&mut self, session_present: bool, code: u8, properties: &[u8]) {
        let mut body = vec![u8::from(session_present), code];
        if self.is_v5() {
            body.push(u8::try_from(properties.len()).unwrap());
            body.extend(properties);
        }
        self.write(0x20, &body).await;
    }

    pub(super) async fn suback(&mut self, packet_id: u16, codes: &[u8]) {
        let properties: &[u8] = if self.is_v5() { &[0] } else { &[] };
        self.write(0x90, &[&packet_id.to_be_bytes()[..], properties, codes].concat()).await;
    }

    pub(super) async fn publish(&mut self, message: &Message) {
        let bytes = self.published(message);
        self.stream.write_all(&bytes).await.unwrap();
    }

    pub(super) fn published(&self, message: &Message) -> Vec<u8> {
        let Message { topic, payload, packet_id, qos, flags } = message;
        let mut body = u16::try_from(topic.len()).unwrap().to_be_bytes().to_vec();
        body.extend(topic.as_bytes());
        if *qos > 0 {
            body.extend(packet_id.to_be_bytes());
        }
        if self.is_v5() {
            body.push(0);
        }
        body.extend(payload);
        packet(0x30 | u8::from(flags.dup) << 3 | qos << 1 | u8::from(flags.retain), &body)
    }

    pub(super) async fn puback(&mut self, packet_id: u16) {
        self.write(0x40, &packet_id.to_be_bytes()).await;
    }

    pub(super) async fn pubrel(&mut self, packet_id: u16) {
        self.write(0x62, &packet_id.to_be_bytes()).await;
    }

    pub(super) async fn read(&mut self) -> Got {
        self.read_within(PATIENCE).await.expect("a packet")
    }

    /// The next packet that is no ping; none if none comes, or the connection is closed.
    pub(super) async fn read_within(&mut self, within: Duration) -> Option<Got> {
        let reading = async {
            loop {
                match read(&mut self.stream, &mut self.buffer, self.connect.level).await {
                    Some(Got::Ping) => {}
                    other => return other,
                }
            }
        };
        timeout(within, reading).await.unwrap_or(None)
    }

    /// The packet id of the PUBACK that comes next.
    pub(super) async fn acknowledged(&mut self) -> u16 {
        let got = self.read().await;
        let Got::PubAck(packet_id) = got else { panic!("no PUBACK but {got:?}") };
        packet_id
    }

    /// The PUBLISH that comes next, with its PUBACK if it wants one.
    pub(super) async fn took(&mut self) -> Message {
        let got = self.read().await;
        let Got::Publish(message) = got else { panic!("no PUBLISH but {got:?}") };
        if message.qos > 0 {
            self.puback(message.packet_id).await;
        }
        message
    }
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut rest = body.len();
    loop {
        let low = u8::try_from(rest % 128).unwrap();
        rest /= 128;
        bytes.push(if rest > 0 { low | 128 } else { low });
        if rest == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

/// The next packet; none if the connection is closed.
async fn read(stream: &mut TcpStream, buffer: &mut BytesMut, level: u8) -> Option<Got> {
    loop {
        if let Some((first, body)) = split(buffer) {
            return Some(got(first, &body, level));
        }
        if stream.read_buf(buffer).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

/// Takes a whole packet off the front.
fn split(buffer: &mut BytesMut) -> Option<(u8, BytesMut)> {
    let (mut length, mut shift, mut at) = (0, 0, 1);
    loop {
        let byte = *buffer.get(at)?;
        length |= usize::from(byte & 127) << shift;
        (shift, at) = (shift + 7, at + 1);
        if byte < 128 {
            break;
        }
    }
    if buffer.len() < at + length {
        return None;
    }
    let first = buffer[0];
    buffer.advance(at);
    Some((first, buffer.split_to(length)))
}

fn got(first: u8, body: &[u8], level: u8) -> Got {
    let mut rest = Rest(body);
    match first >> 4 {
        1 => Got::Connect(connect(&mut rest)),
        3 => Got::Publish(publish(&mut rest, first, level)),
        4 => Got::PubAck(rest.u16()),
        5 => Got::PubRec(rest.u16()),
        7 => Got::PubComp(rest.u16()),
        8 => {
            let packet_id = rest.u16();
            if level == 5 {
                rest.properties();
            }
            let mut filters = Vec::new();
            while !rest.0.is_empty() {
                filters.push(Filter { path: rest.text(), options: rest.u8() });
            }
            Got::Subscribe { packet_id, filters }
        }
        10 => Got::Unsubscribe,
        12 => Got::Ping,
        14 => Got::Disconnect,
        other => panic!("a client sends no packet of type {other}"),
    }
}

fn connect(rest: &mut Rest<'_>) -> Connect {
    assert_eq!(rest.text(), "MQTT");
    let (level, flags, _keep_alive) = (rest.u8(), rest.u8(), rest.u16());
    let properties = if level == 5 { rest.properties() } else { Vec::new() };
    let property = |id: u8| properties.iter().find(|(found, _)| *found == id).map(|(_, value)| *value);
    let client_id = rest.text();
    let will = (flags & 4 != 0).then(|| {
        if level == 5 {
            rest.properties();
        }
        let (topic, payload) = (rest.text(), rest.block().to_vec());
        let flags_of_will = Flags { dup: false, retain: flags & 32 != 0 };
        Message { topic, payload, packet_id: 0, qos: flags >> 3 & 3, flags: flags_of_will }
    });
    Connect {
        level,
        client_id,
        is_clean: flags & 2 != 0,
        will,
        session_expiry_s: property(0x11),
        receive_maximum: property(0x21).map(|value| u16::try_from(value).unwrap()),
        packet_bytes_max: property(0x27),
    }
}

fn publish(rest: &mut Rest<'_>, first: u8, level: u8) -> Message {
    let qos = first >> 1 & 3;
    let topic = rest.text();
    let packet_id = if qos > 0 { rest.u16() } else { 0 };
    if level == 5 {
        rest.properties();
    }
    let flags = Flags { dup: first & 8 != 0, retain: first & 1 != 0 };
    Message { topic, payload: rest.0.to_vec(), packet_id, qos, flags }
}

/// What is left of a packet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n);
        self.0 = rest;
        taken
    }

    fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    fn block(&mut self) -> &'a [u8] {
        let length = self.u16();
        self.take(usize::from(length))
    }

    fn text(&mut self) -> String {
        String::from_utf8(self.block().to_vec()).unwrap()
    }

    /// Those with a number: all that our client sends.
    fn properties(&mut self) -> Vec<(u8, u32)> {
        let length = self.u8();
        assert!(length < 128, "more properties than this reader knows");
        let mut inner = Rest(self.take(usize::from(length)));
        let mut all = Vec::new();
        while !inner.0.is_empty() {
            let id = inner.u8();
            let value = match id {
                0x11 | 0x27 => u32::from_be_bytes(inner.take(4).try_into().unwrap()),
                0x21 | 0x22 => u32::from(inner.u16()),
                0x17 | 0x19 => u32::from(inner.u8()),
                other => panic!("property {other:#x} is none that our client sends"),
            };
            all.push((id, value));
        }
        all
    }
}
