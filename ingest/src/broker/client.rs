//! One connection of `rumqttc` to a broker, of either protocol version, reduced to the signals that the doors need.
//!
//! Every connection is a fresh client and event loop: an acknowledgement that comes too late goes into a channel that nobody
//! reads any more, a Will is never used twice, and nothing that was queued for one connection leaks into the next. The
//! session lives at the broker, under the client id.
//!
//! Invariants:
//! - `poll` is called by a task that does nothing else, and is never dropped half-way;
//! - what is given to the connection never waits: its channel has room for every packet id there is.

use std::time::Duration;

use bytes::Bytes;
use rumqttc::{Incoming, Outgoing, QoS, Transport, v5};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::BrokerConfig;
use crate::publisher::MqttVersion;

/// How often a silent connection is asked whether it is there: a dead broker is found within twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Requests that fit: an acknowledgement for each of the 65,535 packet ids, and the subscriptions of 10,000 pilots.
/// Entries are made as they are needed.
const REQUESTS_MAX: usize = 2 * 65_536;

/// Our own publishes of QoS 1 in flight: STATE, one or two at a time.
const OUTGOING_IN_FLIGHT: u16 = 16;

/// Signals between the poller and the door. Beyond it the poller waits, and with it the broker: nothing is lost, for
/// nothing of it is acknowledged.
const HAND_OVER: usize = 256;

/// A message as the broker delivered it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "the two flags of a PUBLISH packet, as they came")]
pub(super) struct Delivered {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) packet_id: u16,
    pub(super) qos: u8,
    pub(super) dup: bool,
    pub(super) retained: bool,
}

/// What the broker granted; on MQTT 3.1.1 it says nothing but whether the session was there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) session_present: bool,
    pub(super) session_expiry_s: Option<u32>,
    /// Most bytes that the broker takes from publishers.
    pub(super) packet_bytes_max: Option<u32>,
}

/// What a door needs to know of its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Signal {
    Connected(Granted),
    Message(Delivered),
    /// How many filters of the oldest unanswered SUBSCRIBE were refused.
    Subscribed {
        n_refused: usize,
    },
    /// PUBACK for a publish of ours.
    Acknowledged,
    /// The same with a reason why it was not taken; on MQTT 3.1.1 nobody is told.
    Refused(String),
    /// Our DISCONNECT has gone out.
    Closed,
    Lost(Loss),
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) reason: String,
    /// A PUBREL for an exactly-once message of an earlier connection: the next one has to know its id.
    pub(super) unknown_release: Option<u16>,
}

/// Whether a session outlives its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session {
    /// Kept by the broker while we are away.
    Kept,
    /// None before and none after: Sparkplug host applications.
    Clean,
}

/// What a connection is opened with, besides the broker's configuration.
#[derive(Debug, Clone)]
pub(super) struct Opening {
    pub(super) client_id: String,
    pub(super) session: Session,
    /// Topic and payload; QoS 1, retained.
    pub(super) will: Option<(String, Vec<u8>)>,
    /// Ids of exactly-once messages whose PUBREL may come.
    pub(super) releases: Vec<u16>,
}

/// Gives packets to the connection.
pub(super) enum Client {
    V311(rumqttc::AsyncClient),
    V5(v5::AsyncClient),
}

enum Events {
    V311(Box<rumqttc::EventLoop>),
    V5(Box<v5::EventLoop>),
}

/// An open connection: dropping it closes it without DISCONNECT.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) signals: mpsc::Receiver<Signal>,
    poller: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.poller.abort();
    }
}

/// Opens a connection: `place` is host and port, or the path of a Unix socket.
pub(super) fn open(config: &BrokerConfig, place: &Place, opening: &Opening) -> Connection {
    let (client, events) = match config.protocol {
        MqttVersion::V311 => open_v311(config, place, opening),
        MqttVersion::V5 => open_v5(config, place, opening),
    };
    let (sender, signals) = mpsc::channel(HAND_OVER);
    let poller = tokio::spawn(poll(events, sender));
    Connection { client, signals, poller }
}

/// Where the connection goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Tcp(String, u16),
    Unix(String),
}

impl Place {
    fn address(&self) -> (&str, u16) {
        match self {
            Place::Tcp(host, port) => (host, *port),
            Place::Unix(path) => (path, 0),
        }
    }

    fn transport(&self) -> Transport {
        match self {
            Place::Tcp(..) => Transport::Tcp,
            Place::Unix(_) => Transport::Unix,
        }
    }
}

fn open_v311(config: &BrokerConfig, place: &Place, opening: &Opening) -> (Client, Events) {
    let (host, port) = place.address();
    let mut options = rumqttc::MqttOptions::new(&opening.client_id, host, port);
    options.set_transport(place.transport()).set_keep_alive(KEEP_ALIVE).set_manual_acks(true);
    options.set_clean_session(opening.session == Session::Clean).set_inflight(OUTGOING_IN_FLIGHT);
    let bytes_max = usize::try_from(config.packet_bytes_max).unwrap_or(usize::MAX);
    options.set_max_packet_size(bytes_max, bytes_max);
    if let Some((user, password)) = &config.login {
        options.set_credentials(user, password);
    }
    if let Some((topic, payload)) = &opening.will {
        options.set_last_will(rumqttc::LastWill::new(topic, payload.clone(), QoS::AtLeastOnce, true));
    }
    let (client, mut events) = rumqttc::AsyncClient::new(options, REQUESTS_MAX);
    events.network_options.set_tcp_nodelay(true);
    for packet_id in &opening.releases {
        let mut publish = rumqttc::Publish::new("", QoS::ExactlyOnce, "");
        publish.pkid = *packet_id;
        // It only notes the id: nothing can fail, and what it would tell is dropped.
        let _ = events.state.handle_incoming_packet(Incoming::Publish(publish));
        events.state.events.clear();
    }
    (Client::V311(client), Events::V311(Box::new(events)))
}

fn open_v5(config: &BrokerConfig, place: &Place, opening: &Opening) -> (Client, Events) {
    use v5::mqttbytes::v5::{ConnectProperties, LastWill, Packet, Publish};

    let (host, port) = place.address();
    let mut options = v5::MqttOptions::new(&opening.client_id, host, port);
    options.set_transport(place.transport()).set_keep_alive(KEEP_ALIVE).set_manual_acks(true);
    options.set_clean_start(opening.session == Session::Clean);
    options.set_outgoing_inflight_upper_limit(OUTGOING_IN_FLIGHT);
    let mut properties = ConnectProperties::new();
    properties.session_expiry_interval = Some(match opening.session {
        Session::Kept => config.session_expiry_s,
        Session::Clean => 0,
    });
    properties.receive_maximum = Some(config.receive_maximum.max(1));
    // What is set here is announced as well, and a broker drops in silence what is larger.
    properties.max_packet_size = Some(config.packet_bytes_max);
    options.set_connect_properties(properties);
    if let Some((user, password)) = &config.login {
        options.set_credentials(user, password);
    }
    let qos = v5::mqttbytes::QoS::AtLeastOnce;
    if let Some((topic, payload)) = &opening.will {
        options.set_last_will(LastWill::new(topic, payload.clone(), qos, true, None));
    }
    let (client, mut events) = v5::AsyncClient::new(options, REQUESTS_MAX);
    for packet_id in &opening.releases {
        let mut publish = Publish::new("-", v5::mqttbytes::QoS::ExactlyOnce, Bytes::new(), None);
        publish.pkid = *packet_id;
        // As above.
        let _ = events.state.handle_incoming_packet(Packet::Publish(publish));
        events.state.events.clear();
    }
    (Client::V5(client), Events::V5(Box::new(events)))
}

/// Nothing but polling: an acknowledgement that waited for room here would wait for ever.
async fn poll(mut events: Events, signals: mpsc::Sender<Signal>) {
    loop {
        let (heard, lost) = events.next().await;
        for signal in heard.into_iter().chain(lost.clone().map(Signal::Lost)) {
            if signals.send(signal).await.is_err() {
                return;
            }
        }
        if lost.is_some() {
            return;
        }
    }
}

impl Events {
    /// What comes next. With an error comes all that was read before it: at QoS 0 it would not come again.
    async fn next(&mut self) -> (Vec<Signal>, Option<Loss>) {
        match self {
            Events::V311(events) => match events.poll().await {
                Ok(event) => (of_v311(event).into_iter().collect(), None),
                Err(error) => {
                    let rest = std::mem::take(&mut events.state.events).into_iter().filter_map(of_v311).collect();
                    (rest, Some(lost_v311(&error)))
                }
            },
            Events::V5(events) => match events.poll().await {
                Ok(event) => (of_v5(event).into_iter().collect(), None),
                Err(error) => {
                    let rest = std::mem::take(&mut events.state.events).into_iter().filter_map(of_v5).collect();
                    (rest, Some(lost_v5(&error)))
                }
            },
        }
    }
}

fn of_v311(event: rumqttc::Event) -> Option<Signal> {
    let packet = match event {
        rumqttc::Event::Incoming(packet) => packet,
        rumqttc::Event::Outgoing(outgoing) => return (outgoing == Outgoing::Disconnect).then_some(Signal::Closed),
    };
    if let Incoming::ConnAck(connack) = packet {
        let session_present = connack.session_present;
        Some(Signal::Connected(Granted { session_present, ..Granted::default() }))
    } else if let Incoming::Publish(publish) = packet {
        Some(Signal::Message(Delivered {
            topic: publish.topic,
            payload: publish.payload,
            packet_id: publish.pkid,
            qos: publish.qos as u8,
            dup: publish.dup,
            retained: publish.retain,
        }))
    } else if let Incoming::SubAck(suback) = packet {
        let refused = |code: &&rumqttc::SubscribeReasonCode| **code == rumqttc::SubscribeReasonCode::Failure;
        Some(Signal::Subscribed { n_refused: suback.return_codes.iter().filter(refused).count() })
    } else if let Incoming::PubAck(_) = packet {
        Some(Signal::Acknowledged)
    } else {
        None
    }
}

fn of_v5(event: v5::Event) -> Option<Signal> {
    use v5::mqttbytes::v5::{Packet, PubAckReason, SubscribeReasonCode};

    let packet = match event {
        v5::Event::Incoming(packet) => packet,
        v5::Event::Outgoing(outgoing) => return (outgoing == Outgoing::Disconnect).then_some(Signal::Closed),
    };
    if let Packet::ConnAck(connack) = packet {
        let properties = connack.properties;
        Some(Signal::Connected(Granted {
            session_present: connack.session_present,
            session_expiry_s: properties.as_ref().and_then(|properties| properties.session_expiry_interval),
            packet_bytes_max: properties.as_ref().and_then(|properties| properties.max_packet_size),
        }))
    } else if let Packet::Publish(publish) = packet {
        // A topic that is no UTF-8 is refused further on, by name as far as it has one.
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        Some(Signal::Message(Delivered {
            topic,
            payload: publish.payload,
            packet_id: publish.pkid,
            qos: publish.qos as u8,
            dup: publish.dup,
            retained: publish.retain,
        }))
    } else if let Packet::SubAck(suback) = packet {
        let granted = |code: &&SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
        let n_granted = suback.return_codes.iter().filter(granted).count();
        Some(Signal::Subscribed { n_refused: suback.return_codes.len() - n_granted })
    } else if let Packet::PubAck(puback) = packet {
        let is_taken = matches!(puback.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers);
        Some(if is_taken { Signal::Acknowledged } else { Signal::Refused(format!("{:?}", puback.reason)) })
    } else {
        None
    }
}

fn lost_v311(error: &rumqttc::ConnectionError) -> Loss {
    let unknown_release =
        if let rumqttc::ConnectionError::MqttState(rumqttc::StateError::Unsolicited(packet_id)) = error {
            Some(*packet_id)
        } else {
            None
        };
    Loss { reason: error.to_string(), unknown_release }
}

fn lost_v5(error: &v5::ConnectionError) -> Loss {
    let unknown_release = if let v5::ConnectionError::MqttState(v5::StateError::Unsolicited(packet_id)) = error {
        Some(*packet_id)
    } else {
        None
    };
    let is_taken_over = matches!(
        error,
        v5::ConnectionError::MqttState(v5::StateError::ServerDisconnect {
            reason_code: v5::mqttbytes::v5::DisconnectReasonCode::SessionTakenOver,
            ..
        })
    );
    let reason = if is_taken_over {
        "another process uses our client id; each needs one of its own".to_owned()
    } else {
        error.to_string()
    };
    Loss { reason, unknown_release }
}

/// Whether retained messages come with a subscription that is there already; MQTT 3.1.1 always sends them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retained {
    Wanted,
    OnlyIfNew,
}

impl Client {
    /// One SUBSCRIBE with these filters, QoS 1. An error says that the connection is gone, which its signals say as well.
    pub(super) fn subscribe(&self, filters: &[String], retained: Retained) {
        let given = match self {
            Client::V311(client) => {
                let filter = |path: &String| rumqttc::SubscribeFilter::new(path.clone(), QoS::AtLeastOnce);
                client.try_subscribe_many(filters.iter().map(filter)).map_err(|error| error.to_string())
            }
            Client::V5(client) => {
                use v5::mqttbytes::v5::{Filter, RetainForwardRule};

                let filter = |path: &String| {
                    let mut filter = Filter::new(path, v5::mqttbytes::QoS::AtLeastOnce);
                    if retained == Retained::OnlyIfNew {
                        filter.retain_forward_rule = RetainForwardRule::OnNewSubscribe;
                    }
                    filter
                };
                client.try_subscribe_many(filters.iter().map(filter)).map_err(|error| error.to_string())
            }
        };
        say("SUBSCRIBE", given);
    }

    pub(super) fn unsubscribe(&self, filter: &str) {
        let given = match self {
            Client::V311(client) => client.try_unsubscribe(filter).map_err(|error| error.to_string()),
            Client::V5(client) => client.try_unsubscribe(filter).map_err(|error| error.to_string()),
        };
        say("UNSUBSCRIBE", given);
    }

    /// PUBACK, or PUBREC for QoS 2.
    pub(super) fn acknowledge(&self, packet_id: u16, qos: u8) {
        let given = match self {
            Client::V311(client) => {
                let qos = if qos == 2 { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
                let mut publish = rumqttc::Publish::new("", qos, "");
                publish.pkid = packet_id;
                client.try_ack(&publish).map_err(|error| error.to_string())
            }
            Client::V5(client) => {
                use v5::mqttbytes::QoS;

                let qos = if qos == 2 { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
                let mut publish = v5::mqttbytes::v5::Publish::new("", qos, Bytes::new(), None);
                publish.pkid = packet_id;
                client.try_ack(&publish).map_err(|error| error.to_string())
            }
        };
        say("acknowledgement", given);
    }

    /// A STATE: QoS 1, retained.
    pub(super) fn publish_state(&self, topic: &str, payload: Vec<u8>) {
        let given = match self {
            Client::V311(client) => {
                client.try_publish(topic, QoS::AtLeastOnce, true, payload).map_err(|error| error.to_string())
            }
            Client::V5(client) => {
                let qos = v5::mqttbytes::QoS::AtLeastOnce;
                client.try_publish(topic, qos, true, payload).map_err(|error| error.to_string())
            }
        };
        say("STATE", given);
    }

    /// A command: QoS 0, not retained.
    pub(super) fn publish_command(&self, topic: &str, payload: Vec<u8>) {
        let given = match self {
            Client::V311(client) => {
                client.try_publish(topic, QoS::AtMostOnce, false, payload).map_err(|error| error.to_string())
            }
            Client::V5(client) => {
                let qos = v5::mqttbytes::QoS::AtMostOnce;
                client.try_publish(topic, qos, false, payload).map_err(|error| error.to_string())
            }
        };
        say("command", given);
    }

    pub(super) fn disconnect(&self) {
        let given = match self {
            Client::V311(client) => client.try_disconnect().map_err(|error| error.to_string()),
            Client::V5(client) => client.try_disconnect().map_err(|error| error.to_string()),
        };
        say("DISCONNECT", given);
    }
}

fn say(packet: &'static str, given: Result<(), String>) {
    if let Err(error) = given {
        tracing::debug!(packet, error, "connection to the broker is gone; not sent");
    }
}
