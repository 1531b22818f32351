//! Tests of the listener: bytes written by hand over a pipe, random bytes, and a real client over TCP.

mod subscribe;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use model::registry::parse_pilot;
use model::{GatewayId, PilotId, Reason, Registry};
use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use store::{Access, Counters, Login, Secret, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{Anonymous, Context, Limits, Listener, ListenerConfig, ListenerError, Peer, TlsDoor, connection, start};
use crate::auth::{Logins, hash_generated};
use crate::commit::Committer;
use crate::index::{CurrentIndex, Index};

const TOPIC: &str = "pilotline/v1/p-1/gw";

const PILOT: &str = r#"
[pilot]
id = "p-1"
name = "P"
region = "hami"
sector = "electronics"
class = "pilot"
zone = "Asia/Shanghai"
[baseline]
from = 2015-01-01
to = 2015-12-31
[[series]]
asset = "press-01"
name = "electricity"
quantity = "energy.electricity"
kind = "counter"
unit = "kWh"
"#;

/// A directory that goes with its owner.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("pilotline-listener-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Dir(std::env::temp_dir().join(name))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A store, a committer and what connections share.
struct Rig {
    committer: Option<Committer>,
    anonymous: Anonymous,
    context: Arc<Context>,
    store: Arc<Store>,
    dir: Arc<Dir>,
}

impl Rig {
    fn new() -> Rig {
        Rig::with(Anonymous::Allowed, Vec::new())
    }

    fn with(anonymous: Anonymous, logins: Vec<Login>) -> Rig {
        Rig::over(Arc::new(Dir::new()), anonymous, logins)
    }

    fn over(dir: Arc<Dir>, anonymous: Anonymous, logins: Vec<Login>) -> Rig {
        let store = Store::open(&dir.0, Access::Owner).unwrap();
        let committer = Committer::start(&store).unwrap();
        let index = Index::new(registry(), Arc::clone(&store));
        let context = Arc::new(Context {
            hub: Arc::clone(&index.foreign().hub),
            index: Arc::new(CurrentIndex::new(index)),
            logins: Arc::new(Logins::new(logins)),
            committer: committer.handle(),
            shutdown: watch::Sender::new(false),
        });
        Rig { committer: Some(committer), anonymous, context, store, dir }
    }

    /// Stops everything and opens the same directory again, as after a crash: only what is committed is known.
    async fn restarted(self) -> Rig {
        let (dir, store) = (Arc::clone(&self.dir), Arc::downgrade(&self.store));
        drop(self);
        while store.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
        Rig::over(dir, Anonymous::Allowed, Vec::new())
    }

    fn counters(&self) -> Counters {
        self.store.counters()
    }

    /// A client whose connection the rig serves.
    fn connect(&self) -> Client {
        let (ours, theirs) = tokio::io::duplex(256 * 1024);
        let peer = Peer { anonymous: self.anonymous, certificate: None };
        tokio::spawn(connection::serve(theirs, peer, Arc::clone(&self.context)));
        Client { pipe: ours }
    }

    async fn connected(&self, connect: &[u8]) -> Client {
        let mut client = self.connect();
        client.send(connect).await;
        let (first, body) = client.packet().await.unwrap();
        assert_eq!((first, body[1]), (0x20, 0), "CONNACK {body:?}");
        client
    }

    /// A listener on these addresses.
    async fn listen(&self, mqtt: &str, tls: Option<TlsDoor>) -> Result<Listener, ListenerError> {
        let mqtt = TcpListener::bind(mqtt).await.unwrap();
        let config = ListenerConfig { mqtt, tls, limits: Limits::default() };
        let (index, logins) = (Arc::clone(&self.context.index), Arc::clone(&self.context.logins));
        start(config, index, logins, self.context.committer.clone()).await
    }

    /// Waits until a session change or message that needs no answer has passed the committer.
    async fn settle(&self) {
        self.context.committer.submit(store::Batch::default()).await.unwrap();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(committer) = self.committer.take() {
            committer.stop();
        }
    }
}

fn registry() -> Arc<Registry> {
    let pilot = parse_pilot("p-1.toml", PILOT).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let mut registry = Registry::default();
    registry.pilots.insert(pilot.id.clone(), Arc::new(pilot));
    Arc::new(registry)
}

fn pilot_id() -> PilotId {
    PilotId::parse("p-1").unwrap()
}

struct Client {
    pipe: DuplexStream,
}

impl Client {
    async fn send(&mut self, bytes: &[u8]) {
        self.pipe.write_all(bytes).await.unwrap();
    }

    /// The next packet; none once the connection is closed.
    async fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let reading = async {
            let first = self.pipe.read_u8().await.ok()?;
            let mut length = 0;
            for shift in 0..4 {
                let byte = self.pipe.read_u8().await.ok()?;
                length |= usize::from(byte & 0x7f) << (7 * shift);
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let mut body = vec![0; length];
            self.pipe.read_exact(&mut body).await.ok()?;
            Some((first, body))
        };
        tokio::time::timeout(Duration::from_secs(20), reading).await.expect("an answer within 20 s")
    }

    async fn expect(&mut self, bytes: &[u8]) {
        let (first, body) = self.packet().await.expect("a packet, not the end");
        let mut packet = vec![first];
        packet.extend(length(body.len()));
        packet.extend(body);
        assert_eq!(packet, bytes);
    }

    async fn expect_end(&mut self) {
        assert_eq!(self.packet().await, None);
    }
}

fn length(mut n: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = u8::try_from(n % 128).unwrap();
        n /= 128;
        bytes.push(if n > 0 { byte | 0x80 } else { byte });
        if n == 0 {
            return bytes;
        }
    }
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

fn packet(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut bytes = vec![first];
    bytes.extend(length(body.len()));
    bytes.extend(body);
    bytes
}

/// CONNECT of 3.1.1; `flags` 0x02 is a clean session.
fn connect_v3(id: &str, flags: u8, rest: &[&[u8]]) -> Vec<u8> {
    packet(0x10, &[b"\0\x04MQTT\x04", &[flags, 0, 0], &text(id), &rest.concat()])
}

/// CONNECT of 5 with these properties.
fn connect_v5(id: &str, flags: u8, properties: &[u8], rest: &[&[u8]]) -> Vec<u8> {
    let n = [u8::try_from(properties.len()).unwrap()];
    packet(0x10, &[b"\0\x04MQTT\x05", &[flags, 0, 0], &n, properties, &text(id), &rest.concat()])
}

fn publish_v3(topic: &str, qos: u8, id: u16, payload: &str) -> Vec<u8> {
    let id = if qos == 0 { Vec::new() } else { id.to_be_bytes().to_vec() };
    packet(0x30 | (qos << 1), &[&text(topic), &id, payload.as_bytes()])
}

fn publish_v5(topic: &str, qos: u8, id: u16, payload: &str) -> Vec<u8> {
    let id = if qos == 0 { Vec::new() } else { id.to_be_bytes().to_vec() };
    packet(0x30 | (qos << 1), &[&text(topic), &id, &[0], payload.as_bytes()])
}

fn with_dup(mut publish: Vec<u8>) -> Vec<u8> {
    publish[0] |= 8;
    publish
}

fn puback(id: u8) -> [u8; 4] {
    [0x40, 2, 0, id]
}

/// A message with one reading at a minute of 2025-03-01.
fn message(minute: u32) -> String {
    let at = 1_740_787_200_000 + i64::from(minute) * 60_000;
    format!(r#"{{"at":{at},"readings":[{{"asset":"press-01","name":"electricity","value":{minute}}}]}}"#)
}

/// received = committed + duplicate + rejected, and these four.
#[track_caller]
fn check(counters: &Counters, received: u64, committed: u64, duplicate: u64, rejected: u64) {
    let n_rejected = counters.rejected.iter().sum::<u64>();
    let found = (counters.received, counters.committed, counters.duplicate, n_rejected);
    assert_eq!(found, (received, committed, duplicate, rejected));
}

#[tokio::test]
async fn acknowledgements_leave_in_the_order_of_receipt_and_after_the_commit() {
    for version in [3, 5] {
        let rig = Rig::new();
        let mut client = match version {
            3 => rig.connected(&connect_v3("gw", 2, &[])).await,
            _ => rig.connected(&connect_v5("gw", 2, &[], &[])).await,
        };
        let publish = if version == 3 { publish_v3 } else { publish_v5 };
        let mut bytes = Vec::new();
        for id in [7, 3, 9, 1] {
            bytes.extend(publish(TOPIC, 1, id, &message(u32::from(id))));
        }
        bytes.extend(publish(TOPIC, 0, 0, &message(50)));
        bytes.extend(publish(TOPIC, 2, 4, &message(4)));
        client.send(&bytes).await;
        for id in [7, 3, 9, 1] {
            client.expect(&puback(id)).await;
        }
        client.expect(&[0x50, 2, 0, 4]).await;
        let counters = rig.counters();
        check(&counters, 6, 6, 0, 0);
        assert_eq!((counters.readings, counters.qos0), (6, 1));
        client.send(&[0x62, 2, 0, 4]).await;
        client.expect(&[0x70, 2, 0, 4]).await;
    }
}

#[tokio::test]
async fn packets_may_come_in_any_pieces() {
    let rig = Rig::new();
    let mut client = rig.connect();
    let mut bytes = connect_v3("gw", 2, &[]);
    bytes.extend(publish_v3(TOPIC, 1, 1, &message(1)));
    bytes.extend([0xc0, 0]);
    for byte in bytes {
        client.send(&[byte]).await;
        tokio::task::yield_now().await;
    }
    client.expect(&[0x20, 2, 0, 0]).await;
    let (a, b) = (client.packet().await.unwrap(), client.packet().await.unwrap());
    let mut answers = [a.0, b.0];
    answers.sort_unstable();
    assert_eq!(answers, [0x40, 0xd0]);
}

#[tokio::test]
async fn a_redelivered_message_is_a_duplicate_and_still_acknowledged() {
    let rig = Rig::new();
    let mut client = rig.connected(&connect_v3("gw", 2, &[])).await;
    client.send(&[publish_v3(TOPIC, 1, 1, &message(1)), with_dup(publish_v3(TOPIC, 1, 1, &message(1)))].concat()).await;
    client.expect(&puback(1)).await;
    client.expect(&puback(1)).await;
    check(&rig.counters(), 2, 1, 1, 0);
}

#[tokio::test]
async fn content_that_is_refused_is_acknowledged_and_on_mqtt_5_explained() {
    let rig = Rig::new();
    let mut old = rig.connected(&connect_v3("a", 2, &[])).await;
    old.send(&publish_v3(TOPIC, 1, 1, "{")).await;
    old.expect(&puback(1)).await;
    let mut new = rig.connected(&connect_v5("b", 2, &[], &[])).await;
    new.send(&publish_v5(TOPIC, 1, 1, "{")).await;
    let (first, body) = new.packet().await.unwrap();
    assert_eq!((first, &body[..3]), (0x40, &[0, 1, 0][..]));
    assert!(String::from_utf8_lossy(&body).contains("bad_json: "), "{body:?}");
    // Request Problem Information = 0.
    let mut terse = rig.connected(&connect_v5("c", 2, &[0x17, 0], &[])).await;
    terse.send(&publish_v5(TOPIC, 1, 1, "{")).await;
    let (_, body) = terse.packet().await.unwrap();
    assert!(body.len() <= 4, "{body:?}");
    check(&rig.counters(), 3, 0, 0, 3);
    assert_eq!(rig.counters().rejected[Reason::BadJson.index()], 3);
}

#[tokio::test]
async fn a_topic_of_another_pilot_is_refused_after_the_commit() {
    let login = |name: &str| Login {
        name: name.to_owned(),
        pilot: PilotId::parse("p-2").unwrap(),
        gateway: None,
        secret: hash_generated("s3cret"),
    };
    let rig = Rig::with(Anonymous::Refused, vec![login("l")]);
    let credentials = [text("l"), text("s3cret")].concat();
    let mut new = rig.connected(&connect_v5("b", 0xc2, &[], &[&credentials])).await;
    new.send(&publish_v5(TOPIC, 1, 1, &message(1))).await;
    let (first, body) = new.packet().await.unwrap();
    assert_eq!((first, &body[..3]), (0x40, &[0, 1, 0x87][..]));
    new.send(&publish_v5(TOPIC, 2, 2, &message(2))).await;
    let (first, body) = new.packet().await.unwrap();
    assert_eq!((first, &body[..3]), (0x50, &[0, 2, 0x87][..]));
    let mut old = rig.connected(&connect_v3("a", 0xc2, &[&credentials])).await;
    old.send(&publish_v3(TOPIC, 1, 1, &message(3))).await;
    old.expect_end().await;
    check(&rig.counters(), 3, 0, 0, 3);
    assert_eq!(rig.counters().rejected[Reason::NotAuthorized.index()], 3);
}

#[tokio::test]
async fn credentials_must_be_right_even_where_none_are_needed() {
    let login = Login { name: "l".to_owned(), pilot: pilot_id(), gateway: None, secret: hash_generated("s3cret") };
    let rig = Rig::with(Anonymous::Allowed, vec![login.clone()]);
    let wrong = [text("l"), text("guess")].concat();
    let mut client = rig.connect();
    client.send(&connect_v3("a", 0xc2, &[&wrong])).await;
    client.expect(&[0x20, 2, 0, 4]).await;
    client.expect_end().await;
    let mut client = rig.connect();
    client.send(&connect_v5("a", 0xc2, &[], &[&wrong])).await;
    assert_eq!(client.packet().await.unwrap().1[1], 0x86);
    let rig = Rig::with(Anonymous::Refused, vec![login, certified()]);
    let mut client = rig.connect();
    client.send(&connect_v3("a", 2, &[])).await;
    client.expect(&[0x20, 2, 0, 5]).await;
    let mut client = rig.connect();
    client.send(&connect_v5("a", 2, &[], &[])).await;
    assert_eq!(client.packet().await.unwrap().1[1], 0x87);
}

fn certified() -> Login {
    let secret = Secret::Certificate("gw-1".to_owned());
    Login { name: "c".to_owned(), pilot: pilot_id(), gateway: None, secret }
}

#[tokio::test]
async fn qos_2_commits_once_over_redelivery_reconnect_and_restart() {
    let rig = Rig::new();
    let connect = connect_v3("gw", 0, &[]);
    let mut client = rig.connect();
    client.send(&connect).await;
    client.expect(&[0x20, 2, 0, 0]).await;
    client.send(&publish_v3(TOPIC, 2, 5, &message(1))).await;
    client.expect(&[0x50, 2, 0, 5]).await;
    client.send(&with_dup(publish_v3(TOPIC, 2, 5, &message(1)))).await;
    client.expect(&[0x50, 2, 0, 5]).await;
    check(&rig.counters(), 2, 1, 1, 0);
    drop(client);
    let rig = rig.restarted().await;
    let mut client = rig.connect();
    client.send(&connect).await;
    client.expect(&[0x20, 2, 1, 0]).await;
    client.send(&with_dup(publish_v3(TOPIC, 2, 5, &message(1)))).await;
    client.expect(&[0x50, 2, 0, 5]).await;
    client.send(&[0x62, 2, 0, 5, 0x62, 2, 0, 5]).await;
    client.expect(&[0x70, 2, 0, 5]).await;
    client.expect(&[0x70, 2, 0, 5]).await;
    check(&rig.counters(), 3, 1, 2, 0);
    // The id is free: the same id with other bytes, or without DUP, is a message of its own.
    client.send(&publish_v3(TOPIC, 2, 5, &message(2))).await;
    client.expect(&[0x50, 2, 0, 5]).await;
    client.send(&with_dup(publish_v3(TOPIC, 2, 5, &message(3)))).await;
    client.expect(&[0x50, 2, 0, 5]).await;
    check(&rig.counters(), 5, 3, 2, 0);
}

#[tokio::test]
async fn a_pubrel_that_nobody_waits_for_is_answered() {
    let rig = Rig::new();
    let mut old = rig.connected(&connect_v3("a", 2, &[])).await;
    old.send(&[0x62, 2, 0, 9]).await;
    old.expect(&[0x70, 2, 0, 9]).await;
    let mut new = rig.connected(&connect_v5("b", 2, &[], &[])).await;
    new.send(&[0x62, 2, 0, 9]).await;
    let (first, body) = new.packet().await.unwrap();
    assert_eq!((first, &body[..3]), (0x70, &[0, 9, 0x92][..]));
}

#[tokio::test]
async fn a_session_outlasts_a_restart_and_a_clean_start_ends_it() {
    let rig = Rig::new();
    // Session Expiry Interval = 100.
    let resume = connect_v5("gw", 0, &[0x11, 0, 0, 0, 100], &[]);
    let mut client = rig.connected(&resume).await;
    client.send(&[0xe0, 0]).await;
    client.expect_end().await;
    let rig = rig.restarted().await;
    let mut client = rig.connect();
    client.send(&resume).await;
    assert_eq!(client.packet().await.unwrap().1[..2], [1, 0]);
    drop(client);
    let mut client = rig.connect();
    client.send(&connect_v5("gw", 2, &[0x11, 0, 0, 0, 100], &[])).await;
    assert_eq!(client.packet().await.unwrap().1[..2], [0, 0]);
    // A DISCONNECT that sets the expiry to 0 ends it as well.
    client.send(&[0xe0, 7, 0, 5, 0x11, 0, 0, 0, 0]).await;
    client.expect_end().await;
    rig.settle().await;
    let mut client = rig.connect();
    client.send(&resume).await;
    assert_eq!(client.packet().await.unwrap().1[..2], [0, 0]);
}

#[tokio::test]
async fn a_second_connection_takes_the_session_over_and_another_login_does_not() {
    let login = |name: &str| Login {
        name: name.to_owned(),
        pilot: pilot_id(),
        gateway: None,
        secret: hash_generated("s3cret"),
    };
    let rig = Rig::with(Anonymous::Refused, vec![login("l"), login("m")]);
    let (mine, other) = ([text("l"), text("s3cret")].concat(), [text("m"), text("s3cret")].concat());
    let mut first = rig.connected(&connect_v5("gw", 0xc0, &[0x11, 0, 0, 0, 9], &[&mine])).await;
    let mut stranger = rig.connect();
    stranger.send(&connect_v5("gw", 0xc0, &[], &[&other])).await;
    assert_eq!(stranger.packet().await.unwrap().1[1], 0x87);
    let mut second = rig.connect();
    second.send(&connect_v5("gw", 0xc0, &[0x11, 0, 0, 0, 9], &[&mine])).await;
    assert_eq!(second.packet().await.unwrap().1[..2], [1, 0]);
    first.expect(&[0xe0, 1, 0x8e]).await;
    first.expect_end().await;
    second.send(&publish_v5(TOPIC, 1, 1, &message(1))).await;
    second.expect(&puback(1)).await;
}

#[tokio::test]
async fn a_client_without_an_id_is_given_one_or_refused() {
    let rig = Rig::new();
    let mut client = rig.connect();
    client.send(&connect_v5("", 2, &[], &[])).await;
    let (_, body) = client.packet().await.unwrap();
    assert!(String::from_utf8_lossy(&body).contains("pilotline-"), "{body:?}");
    rig.connected(&connect_v3("", 2, &[])).await;
    let mut client = rig.connect();
    client.send(&connect_v3("", 0, &[])).await;
    client.expect(&[0x20, 2, 0, 2]).await;
}

#[tokio::test]
async fn what_is_lowered_is_said() {
    let rig = Rig::new();
    let mut client = rig.connect();
    client.send(&connect_v5("gw", 2, &[0x11, 0xff, 0xff, 0xff, 0xff], &[])).await;
    let (_, body) = client.packet().await.unwrap();
    let has = |property: &[u8]| body.windows(property.len()).any(|window| window == property);
    assert!(has(&[0x21, 3, 0xe8]), "receive maximum 1,000 in {body:?}");
    assert!(has(&[0x27, 0, 0x20, 0, 0]), "packet limit 2 MiB in {body:?}");
    assert!(has(&[0x11, 0, 9, 0x3a, 0x80]), "expiry of 7 days in {body:?}");
    assert!(has(&[0x13, 4, 0xb0]), "keep-alive of 1,200 s in {body:?}");
}

#[tokio::test]
async fn subscriptions_are_refused_with_a_code() {
    let rig = Rig::new();
    let subscribe = packet(0x82, &[&[0, 1], &text("a/#"), &[1], &text("b"), &[0]]);
    let mut old = rig.connected(&connect_v3("a", 2, &[])).await;
    old.send(&subscribe).await;
    old.expect(&[0x90, 4, 0, 1, 0x80, 0x80]).await;
    old.send(&packet(0xa2, &[&[0, 2], &text("a/#")])).await;
    old.expect(&[0xb0, 2, 0, 2]).await;
    let mut new = rig.connected(&connect_v5("b", 2, &[], &[])).await;
    new.send(&packet(0x82, &[&[0, 1, 0], &text("a/#"), &[1]])).await;
    new.expect(&[0x90, 4, 0, 1, 0, 0x83]).await;
    new.send(&[0xc0, 0]).await;
    new.expect(&[0xd0, 0]).await;
}

#[tokio::test]
async fn too_much_unacknowledged_ends_an_mqtt_5_connection() {
    let rig = Rig::new();
    let client = rig.connected(&connect_v5("gw", 2, &[], &[])).await;
    // QoS 2 counts until PUBCOMP, so that a client which never releases runs out.
    let mut bytes = Vec::new();
    for id in 1..=1001 {
        bytes.extend(publish_v5(TOPIC, 2, id, &message(u32::from(id))));
    }
    let (mut reading, mut writing) = tokio::io::split(client.pipe);
    let sent = tokio::spawn(async move { writing.write_all(&bytes).await });
    let mut answers = Vec::new();
    reading.read_to_end(&mut answers).await.unwrap();
    drop(sent.await);
    assert_eq!(answers[answers.len() - 3..], [0xe0, 1, 0x93]);
}

#[tokio::test]
async fn a_packet_beyond_the_limit_is_counted_and_ends_the_connection() {
    let rig = Rig::new();
    let mut client = rig.connected(&connect_v5("gw", 2, &[], &[])).await;
    let mut head = vec![0x32];
    head.extend(length(3 * 1024 * 1024));
    head.extend(text(TOPIC));
    client.send(&head).await;
    client.expect(&[0xe0, 1, 0x95]).await;
    client.expect_end().await;
    rig.settle().await;
    check(&rig.counters(), 1, 0, 0, 1);
    assert_eq!(rig.counters().rejected[Reason::TooLarge.index()], 1);
    let mut other = rig.connected(&connect_v3("other", 2, &[])).await;
    let payload = " ".repeat(1024 * 1024 + 1);
    let publish = publish_v3(TOPIC, 1, 1, &payload);
    tokio::join!(other.send(&publish));
    other.expect(&puback(1)).await;
    assert_eq!(rig.counters().rejected[Reason::TooLarge.index()], 2);
}

#[tokio::test]
async fn a_will_is_published_unless_the_client_says_goodbye() {
    let rig = Rig::new();
    let will = [text(TOPIC), text(&message(7))].concat();
    let connect = connect_v3("gw", 0x06, &[&will]);
    let mut client = rig.connected(&connect).await;
    client.send(&[0xe0, 0]).await;
    client.expect_end().await;
    rig.settle().await;
    check(&rig.counters(), 0, 0, 0, 0);
    drop(rig.connected(&connect).await);
    while rig.counters().received == 0 {
        tokio::task::yield_now().await;
    }
    check(&rig.counters(), 1, 1, 0, 0);
}

#[tokio::test]
async fn a_silent_client_is_closed_after_one_and_a_half_keep_alives() {
    let rig = Rig::new();
    let mut connect = connect_v5("gw", 2, &[], &[]);
    connect[11] = 1; // Keep-alive of 1 s.
    let mut client = rig.connected(&connect).await;
    let began = tokio::time::Instant::now();
    client.expect(&[0xe0, 1, 0x8d]).await;
    assert!(began.elapsed() >= Duration::from_millis(1400), "closed after {:?}", began.elapsed());
}

#[tokio::test]
async fn malformed_packets_end_their_connection_and_no_other() {
    let rig = Rig::new();
    let mut good = rig.connected(&connect_v3("good", 2, &[])).await;
    let bad: [&[u8]; 9] = [
        &[0x36, 4, 0, 0, 0, 1],          // QoS 3
        &[0x32, 5, 0, 1, 0xff, 0, 1],    // topic that is no UTF-8
        &[0x32, 5, 0, 1, b't', 0, 0],    // packet id 0
        &[0x32, 5, 0, 9, b't', 0, 0],    // topic longer than the packet
        &[0x60, 2, 0, 1],                // PUBREL with wrong flags
        &[0xff, 0xff, 0xff, 0xff, 0xff], // length of five bytes
        &[0xc0, 1, 0],                   // PINGREQ with a body
        &[0x10, 0],                      // a second CONNECT
        &[0x20, 2, 0, 0],                // CONNACK from a client
    ];
    for (index, bytes) in bad.into_iter().enumerate() {
        let mut client = rig.connected(&connect_v5(&format!("bad-{index}"), 2, &[], &[])).await;
        client.send(bytes).await;
        let (first, body) = client.packet().await.unwrap();
        assert_eq!(first, 0xe0, "{bytes:?}");
        assert!(matches!(body[0], 0x81 | 0x82), "{bytes:?}: {body:?}");
        client.expect_end().await;
    }
    // A topic alias, which was never announced.
    let mut client = rig.connected(&connect_v5("alias", 2, &[], &[])).await;
    client.send(&packet(0x32, &[&text(""), &[0, 1], &[3, 0x23, 0, 1]])).await;
    client.expect(&[0xe0, 1, 0x94]).await;
    good.send(&publish_v3(TOPIC, 1, 1, &message(1))).await;
    good.expect(&puback(1)).await;
}

#[tokio::test]
async fn versions_that_are_not_served_are_told_so() {
    let rig = Rig::new();
    for connect in
        [packet(0x10, &[b"\0\x06MQIsdp\x03\x02\0\0\0\x01a"]), packet(0x10, &[b"\0\x04MQTT\x06\x02\0\0\0\x01a"])]
    {
        let mut client = rig.connect();
        client.send(&connect).await;
        client.expect(&[0x20, 2, 0, 1]).await;
        client.expect_end().await;
    }
}

#[tokio::test]
async fn a_stop_acknowledges_what_was_taken() {
    let rig = Rig::new();
    let mut client = rig.connected(&connect_v5("gw", 2, &[], &[])).await;
    client.send(&publish_v5(TOPIC, 1, 1, &message(1))).await;
    client.expect(&puback(1)).await;
    rig.context.shutdown.send_replace(true);
    client.expect(&[0xe0, 1, 0x8b]).await;
    client.expect_end().await;
}

/// What a real client sees: everything acknowledged, in this version.
fn drive(mut events: impl FnMut() -> Option<u16>, ids: &mut Vec<u16>, n: usize) {
    while ids.len() < n {
        ids.extend(events());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_client_of_either_version_gets_every_acknowledgement_in_order() {
    const N: u32 = 500;
    let rig = Rig::new();
    let listener = rig.listen("127.0.0.1:0", None).await.unwrap();
    let port = listener.local_addr().port();
    let old = std::thread::spawn(move || {
        let mut options = rumqttc::MqttOptions::new("old", "127.0.0.1", port);
        options.set_inflight(200);
        let (client, mut connection) = rumqttc::Client::new(options, 1000);
        for minute in 0..N {
            client.publish(TOPIC, rumqttc::QoS::AtLeastOnce, false, message(minute)).unwrap();
        }
        let mut ids = Vec::new();
        let mut events = connection.iter();
        let next = || {
            if let rumqttc::Event::Incoming(rumqttc::Packet::PubAck(ack)) = events.next().unwrap().unwrap() {
                Some(ack.pkid)
            } else {
                None
            }
        };
        drive(next, &mut ids, N as usize);
        ids
    });
    let new = std::thread::spawn(move || {
        let options = rumqttc::v5::MqttOptions::new("new", "127.0.0.1", port);
        let (client, mut connection) = rumqttc::v5::Client::new(options, 1000);
        for minute in N..2 * N {
            client.publish(TOPIC, rumqttc::v5::mqttbytes::QoS::ExactlyOnce, false, message(minute)).unwrap();
        }
        let mut ids = Vec::new();
        let mut events = connection.iter();
        let next = || {
            if let rumqttc::v5::Event::Incoming(rumqttc::v5::mqttbytes::v5::Packet::PubRec(ack)) =
                events.next().unwrap().unwrap()
            {
                Some(ack.pkid)
            } else {
                None
            }
        };
        drive(next, &mut ids, N as usize);
        ids
    });
    for client in [old, new] {
        let ids = client.join().unwrap();
        assert!(
            ids.windows(2).all(|pair| pair[1] == pair[0] % 200 + 1 || pair[1] == pair[0] + 1 || pair[1] == 1),
            "{ids:?}"
        );
    }
    listener.stop().await;
    check(&rig.counters(), u64::from(2 * N), u64::from(2 * N), 0, 0);
    assert_eq!(rig.counters().readings, u64::from(2 * N));
}

#[tokio::test]
async fn an_address_that_others_can_reach_needs_a_login() {
    let rig = Rig::new();
    let error = rig.listen("0.0.0.0:0", None).await.map(drop).unwrap_err().to_string();
    let port = error.find(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']).unwrap() + "0.0.0.0:".len();
    let end = port + error[port..].find('`').unwrap();
    let error = format!("{}PORT{}", &error[..port], &error[end..]);
    insta::assert_snapshot!(error, @"`0.0.0.0:PORT` can be reached from other machines and no gateway has a login; make one with `pilotline login add NAME --pilot PILOT`, or listen on 127.0.0.1");
}

/// Files for TLS: an authority, a certificate for this machine, and one for gateway `gw-1`.
struct Papers {
    authority: CertificateDer<'static>,
    gateway: (CertificateDer<'static>, PrivateKeyDer<'static>),
    door: TlsDoor,
}

async fn papers(dir: &Dir) -> Papers {
    let (authority_key, server_key, gateway_key) =
        (KeyPair::generate().unwrap(), KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(params, authority_key);
    let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&server_key, &issuer).unwrap();
    let mut params = CertificateParams::new(vec!["gw-1".to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "gw-1");
    let gateway = params.signed_by(&gateway_key, &issuer).unwrap();
    let file = |name: &str, text: String| {
        let path = dir.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let door = TlsDoor {
        listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        certificate: file("server.pem", server.pem()),
        key: file("server.key", server_key.serialize_pem()),
        client_ca: Some(file("ca.pem", authority.pem())),
    };
    let key = PrivateKeyDer::try_from(gateway_key.serialize_der()).unwrap();
    Papers { authority: authority.der().clone(), gateway: (gateway.der().clone(), key), door }
}

#[tokio::test]
async fn a_client_certificate_stands_for_its_login() {
    let gateway = GatewayId::parse("gw-1").unwrap();
    let rig = Rig::with(Anonymous::Allowed, vec![Login { gateway: Some(gateway), ..certified() }]);
    let papers = papers(&rig.dir).await;
    let listener = rig.listen("127.0.0.1:0", Some(papers.door)).await.unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(papers.authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![papers.gateway.0], papers.gateway.1)
        .unwrap();
    let stream = tokio::net::TcpStream::connect(listener.tls_addr().unwrap()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let bytes = [
        connect_v5("gw", 2, &[], &[]),
        publish_v5("pilotline/v1/p-1/gw-1", 1, 1, &message(1)),
        publish_v5("pilotline/v1/p-1/gw-2", 1, 2, &message(2)),
    ];
    stream.write_all(&bytes.concat()).await.unwrap();
    let mut answers = vec![0; 2];
    stream.read_exact(&mut answers).await.unwrap();
    let mut connack = vec![0; usize::from(answers[1])];
    stream.read_exact(&mut connack).await.unwrap();
    let mut answers = vec![0; 9];
    stream.read_exact(&mut answers).await.unwrap();
    assert_eq!((answers[..4].to_vec(), answers[4], answers[8]), (puback(1).to_vec(), 0x40, 0x87));
    drop(stream);
    listener.stop().await;
    check(&rig.counters(), 2, 1, 0, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), version in 0..3) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let rig = Rig::new();
            let connect = match version {
                0 => Vec::new(),
                1 => connect_v3("gw", 2, &[]),
                _ => connect_v5("gw", 2, &[], &[]),
            };
            let (mut ours, theirs) = tokio::io::duplex(4096);
            let peer = Peer { anonymous: Anonymous::Allowed, certificate: None };
            let serving = tokio::spawn(connection::serve(theirs, peer, Arc::clone(&rig.context)));
            ours.write_all(&connect).await.unwrap();
            drop(ours.write_all(&bytes).await); // It may be closed already.
            drop(ours);
            serving.await.unwrap();
        });
    }
}
