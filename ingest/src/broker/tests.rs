//! The traps of the client and of the standard, against a broker that a test writes packet by packet (MQTT 3.1.1).

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use model::UnixMillis;
use rumqttc::{ConnAck, Connect, ConnectReturnCode, Packet, PubAck, Publish, QoS, SubAck, SubscribeReasonCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{Broker, BrokerConfig, Pace, Sparkplug, start};
use crate::commit::{Committer, CommitterHandle};
use crate::index::{CurrentIndex, Index};
use crate::normalize::fixture::Plant;
use crate::publisher::MqttVersion;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);
const TOPIC: &str = "pilotline/v1/p-1/gw1";
const STATE: &str = "spBv1.0/STATE/pilotline";

/// A broker that does what the test says.
struct Fake {
    socket: TcpListener,
}

/// One connection that the fake has accepted.
struct Link {
    stream: TcpStream,
    buffer: BytesMut,
    connect: Connect,
}

impl Fake {
    async fn new() -> Fake {
        Fake { socket: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    /// Accepts the next connection and reads its CONNECT.
    async fn accept(&self) -> Link {
        let (stream, _) = timeout(PATIENCE, self.socket.accept()).await.expect("a connection").unwrap();
        let connect = Connect::new("");
        let mut link = Link { stream, buffer: BytesMut::new(), connect };
        let Packet::Connect(connect) = link.read().await else { panic!("no CONNECT") };
        link.connect = connect;
        link
    }

    /// Accepts, answers CONNECT and every SUBSCRIBE until none comes at once; gives the filters.
    async fn welcome(&self, session_present: bool) -> (Link, Vec<String>) {
        let mut link = self.accept().await;
        link.connack(session_present).await;
        let mut filters = Vec::new();
        while let Some(packet) = link.read_within(Duration::from_millis(300)).await {
            let Packet::Subscribe(subscribe) = packet else { panic!("unexpected {packet:?}") };
            link.suback(subscribe.pkid, subscribe.filters.len()).await;
            filters.extend(subscribe.filters.into_iter().map(|filter| filter.path));
        }
        (link, filters)
    }
}

impl Link {
    async fn write(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, usize::MAX).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn connack(&mut self, session_present: bool) {
        self.write(Packet::ConnAck(ConnAck { session_present, code: ConnectReturnCode::Success })).await;
    }

    async fn suback(&mut self, pkid: u16, n: usize) {
        let code = SubscribeReasonCode::Success(QoS::AtLeastOnce);
        self.write(Packet::SubAck(SubAck::new(pkid, vec![code; n]))).await;
    }

    async fn publish(&mut self, pkid: u16, dup: bool, payload: Vec<u8>) {
        let mut publish = Publish::new(TOPIC, QoS::AtLeastOnce, payload);
        (publish.pkid, publish.dup) = (pkid, dup);
        self.write(Packet::Publish(publish)).await;
    }

    async fn read(&mut self) -> Packet {
        self.read_within(PATIENCE).await.expect("a packet")
    }

    /// The next packet that is no ping; none if none comes.
    async fn read_within(&mut self, within: Duration) -> Option<Packet> {
        let reading = async {
            loop {
                match Packet::read(&mut self.buffer, usize::MAX) {
                    Ok(Packet::PingReq) => continue,
                    Ok(packet) => return Some(packet),
                    Err(_) => {} // Not whole yet.
                }
                if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                    return None;
                }
            }
        };
        timeout(within, reading).await.unwrap_or(None)
    }

    async fn puback(&mut self) -> u16 {
        let Packet::PubAck(PubAck { pkid }) = self.read().await else { panic!("no PUBACK") };
        pkid
    }
}

struct World {
    fake: Fake,
    index: Arc<CurrentIndex>,
    committer: Option<Committer>,
    handle: CommitterHandle,
    plant: Plant,
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(committer) = self.committer.take() {
            committer.stop();
        }
    }
}

impl World {
    async fn new(topics: &[&str]) -> World {
        let plant = Plant::new();
        let store = Arc::clone(plant.store());
        let committer = Committer::start(&store).unwrap();
        let mut registry = plant.index.registry().clone();
        for pilot in registry.pilots.values_mut() {
            let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
            *pilot = Arc::new(model::Pilot { topics, ..(**pilot).clone() });
        }
        let index = Arc::new(CurrentIndex::new(Index::new(Arc::new(registry), store)));
        let handle = committer.handle();
        World { fake: Fake::new().await, index, committer: Some(committer), handle, plant }
    }

    async fn start(&self, change: impl FnOnce(&mut BrokerConfig)) -> Broker {
        let port = self.fake.socket.local_addr().unwrap().port();
        let mut config = BrokerConfig::new("plant", "127.0.0.1", port);
        (config.protocol, config.sparkplug) = (MqttVersion::V311, Sparkplug::Off);
        config.pace = Pace {
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_millis(50),
            tick: Duration::from_millis(20),
            ..Pace::default()
        };
        change(&mut config);
        start(config, Arc::clone(&self.index), self.handle.clone()).await.unwrap()
    }

    fn received(&self) -> u64 {
        self.plant.store().counters().received
    }
}

fn message(n: u64) -> Vec<u8> {
    let at = 1_740_787_200_000 + n;
    format!(r#"{{"at":{at},"readings":[{{"asset":"line-a","name":"speed","value":{n}}}]}}"#).into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_message_over_our_limit_is_counted_and_what_follows_comes() {
    let world = World::new(&[]).await;
    let broker = world.start(|_| {}).await;
    let (mut link, _) = world.fake.welcome(false).await;
    link.publish(1, false, vec![b' '; 3 << 20]).await;
    link.publish(2, false, message(2)).await;
    assert_eq!((link.puback().await, link.puback().await), (1, 2));
    let counters = world.plant.store().counters();
    assert_eq!(counters.rejected[model::reason::Reason::TooLarge.index()], 1);
    assert_eq!(counters.received, 2);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_acknowledgements_than_any_channel_holds_leave_in_order_and_nothing_locks_up() {
    let world = World::new(&[]).await;
    let broker = world.start(|_| {}).await;
    let (mut link, _) = world.fake.welcome(false).await;
    let n = 5_000u16;
    for pkid in 1..=n {
        link.publish(pkid, false, message(u64::from(pkid))).await;
    }
    for pkid in 1..=n {
        assert_eq!(link.puback().await, pkid);
    }
    assert_eq!(world.received(), u64::from(n));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_the_broker_forgot_is_subscribed_again_and_counted() {
    let world = World::new(&["neuron/gw1/#"]).await;
    let broker = world.start(|_| {}).await;
    let (link, first) = world.fake.welcome(false).await;
    assert!(!link.connect.clean_session);
    assert!(
        first.contains(&"neuron/gw1/#".to_owned()) && first.iter().any(|f| f.starts_with("pilotline/v1/")),
        "{first:?}"
    );
    drop(link);
    let (link, with_session) = world.fake.welcome(true).await;
    assert_eq!((with_session.len(), broker.status().session_lost()), (0, 0));
    drop(link);
    let (_link, again) = world.fake.welcome(false).await;
    assert_eq!(again, first);
    assert_eq!((broker.status().session_lost(), broker.status().reconnects()), (1, 2));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledgements_that_a_broker_lost_are_given_again_and_nothing_counts_twice() {
    let world = World::new(&["neuron/gw1/#"]).await;
    let broker = world.start(|_| {}).await;
    let (mut link, _) = world.fake.welcome(false).await;
    for pkid in 1..=10 {
        link.publish(pkid, false, message(u64::from(pkid))).await;
    }
    for pkid in 1..=10 {
        assert_eq!(link.puback().await, pkid);
    }
    drop(link); // It has forgotten the acknowledgements.
    let (mut link, _) = world.fake.welcome(true).await;
    for pkid in 1..=10 {
        link.publish(pkid, true, message(u64::from(pkid))).await;
    }
    for pkid in 1..=10 {
        assert_eq!(link.puback().await, pkid);
    }
    let counters = world.plant.store().counters();
    assert_eq!((counters.received, counters.committed, counters.duplicate), (20, 10, 10));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_acknowledgement_stays_with_the_connection_that_brought_the_message() {
    let world = World::new(&[]).await;
    let broker = world.start(|_| {}).await;
    let (mut link, _) = world.fake.welcome(false).await;
    link.publish(7, false, message(1)).await;
    drop(link); // Gone before the commit could be acknowledged.
    let (mut link, _) = world.fake.welcome(true).await;
    assert_eq!(link.read_within(Duration::from_millis(300)).await, None, "an acknowledgement nobody asked for");
    link.publish(7, true, message(1)).await;
    assert_eq!(link.puback().await, 7);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_stays_unacknowledged_is_asked_for_again_by_a_new_connection() {
    let world = World::new(&[]).await;
    let broker = world.start(|config| config.pace.watchdog = Duration::ZERO).await;
    let (mut link, _) = world.fake.welcome(false).await;
    // With no patience at all, one of many messages is overdue at some tick.
    let mut pkid = 1;
    while broker.status().watchdog() == 0 && pkid < 60_000 {
        let mut bytes = BytesMut::new();
        let mut publish = Publish::new(TOPIC, QoS::AtLeastOnce, message(u64::from(pkid)));
        publish.pkid = pkid;
        Packet::Publish(publish).write(&mut bytes, usize::MAX).unwrap();
        if link.stream.write_all(&bytes).await.is_err() {
            break;
        }
        pkid += 1;
    }
    let (_link, _) = world.fake.welcome(true).await;
    assert!(broker.status().watchdog() >= 1);
    broker.stop().await;
}

/// A host connection from CONNECT to its birth: the Will, the filters, and the birth.
async fn birth(world: &World) -> (Link, rumqttc::LastWill, Vec<String>, Publish) {
    let mut link = world.fake.accept().await;
    while !link.connect.client_id.ends_with("-host") {
        link.connack(true).await; // The data connection is none of our business here; it may stay.
        std::mem::forget(std::mem::replace(&mut link, world.fake.accept().await));
    }
    let will = link.connect.last_will.clone().expect("a Will");
    link.connack(false).await;
    let mut filters = Vec::new();
    for _ in 0..2 {
        let Packet::Subscribe(subscribe) = link.read().await else { panic!("publishes before it has subscribed") };
        filters.extend(subscribe.filters.iter().map(|filter| filter.path.clone()));
        assert!(subscribe.filters.iter().all(|filter| filter.qos == QoS::AtLeastOnce));
        link.suback(subscribe.pkid, subscribe.filters.len()).await;
    }
    let Packet::Publish(birth) = link.read().await else { panic!("no birth after the subscriptions") };
    link.write(Packet::PubAck(PubAck::new(birth.pkid))).await;
    (link, will, filters, birth)
}

fn state(payload: &[u8]) -> (bool, i64) {
    let state: serde_json::Value = serde_json::from_slice(payload).unwrap();
    (state["online"].as_bool().unwrap(), state["timestamp"].as_i64().unwrap())
}

async fn host(world: &World) -> Broker {
    world.start(|config| config.sparkplug = Sparkplug::On).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tck_id_host_topic_phid_birth_sub_required_and_the_will_and_birth_of_a_connection() {
    let world = World::new(&[]).await;
    let before = model::clock::now();
    let broker = host(&world).await;
    let (link, will, filters, birth) = birth(&world).await;
    // tck-id-message-flow-phid-sparkplug-clean-session-311
    assert!(link.connect.clean_session);
    // tck-id-host-topic-phid-death-topic, -death-qos, -death-retain, -death-payload, -death-payload-timestamp-connect
    assert_eq!((&*will.topic, will.qos, will.retain), (STATE, QoS::AtLeastOnce, true));
    let (is_online, at) = state(&will.message);
    assert!(!is_online && at >= before.0 && at <= model::clock::now().0);
    // tck-id-host-topic-phid-birth-sub-required, tck-id-payloads-state-subscribe
    assert_eq!(filters, [STATE, "spBv1.0/#"]);
    // tck-id-host-topic-phid-birth-topic, -birth-qos, -birth-retain, -birth-payload, -birth-payload-timestamp
    assert_eq!((&*birth.topic, birth.qos, birth.retain), (STATE, QoS::AtLeastOnce, true));
    assert_eq!(state(&birth.payload), (true, at));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tck_id_operational_behavior_host_application_multi_server_timestamp_a_fresh_one_for_each_connection() {
    let world = World::new(&[]).await;
    let broker = host(&world).await;
    let (link, first, _, _) = birth(&world).await;
    drop(link);
    let (_link, second, _, birth) = birth(&world).await;
    assert!(state(&second.message).1 > state(&first.message).1);
    // tck-id-operational-behavior-primary-application-state-with-multiple-servers-state
    assert_eq!(state(&birth.payload), (true, state(&second.message).1));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tck_id_message_flow_hid_sparkplug_state_message_delivered() {
    let world = World::new(&[]).await;
    let broker = host(&world).await;
    let (mut link, _, _, birth) = birth(&world).await;
    for (online, answers) in [("true", false), ("false", true)] {
        let body = format!(r#"{{"online":{online},"timestamp":{}}}"#, UnixMillis(1).0);
        link.write(Packet::Publish(Publish::new(STATE, QoS::AtMostOnce, body))).await;
        let wait = if answers { PATIENCE } else { Duration::from_millis(300) };
        match link.read_within(wait).await {
            Some(Packet::Publish(echo)) => {
                assert!(answers, "answered its own birth");
                assert_eq!((echo.payload, echo.topic), (birth.payload.clone(), birth.topic.clone()));
                link.write(Packet::PubAck(PubAck::new(echo.pkid))).await;
            }
            None => assert!(!answers),
            Some(other) => panic!("unexpected {other:?}"),
        }
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tck_id_operational_behavior_host_application_termination() {
    let world = World::new(&[]).await;
    let broker = host(&world).await;
    let (mut link, will, _, _) = birth(&world).await;
    let stopping = tokio::spawn(broker.stop());
    let Packet::Publish(death) = link.read().await else { panic!("no death") };
    // tck-id-operational-behavior-host-application-death-topic, -payload, -qos, -retained
    assert_eq!((&*death.topic, death.qos, death.retain), (STATE, QoS::AtLeastOnce, true));
    let (is_online, at) = state(&death.payload);
    assert!(!is_online && at >= state(&will.message).1);
    assert_eq!(link.read_within(Duration::from_millis(200)).await, None, "DISCONNECT before the broker's word");
    link.write(Packet::PubAck(PubAck::new(death.pkid))).await;
    // tck-id-operational-behavior-host-application-disconnect-intentional
    assert_eq!(link.read().await, Packet::Disconnect);
    stopping.await.unwrap();
}
