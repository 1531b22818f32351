//! One connection of `rumqttc`, of either protocol version, reduced to the signals that the outbox needs.

use std::time::Duration;

use bytes::Bytes;
use rumqttc::{ConnectReturnCode, Incoming, Outgoing, QoS, v5};

use super::{MqttVersion, PublisherConfig};

/// A publisher always has something to say; a dead server is found by its silence.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Gives messages to the connection. Its queue holds a whole window, so that giving never waits.
pub(super) enum Client {
    V311(rumqttc::AsyncClient),
    V5(v5::AsyncClient),
}

/// What happens on the connection. Polling it is what makes it move.
pub(super) enum Events {
    V311(Box<rumqttc::EventLoop>),
    V5(Box<v5::EventLoop>),
}

/// What the outbox needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Signal {
    Connected,
    /// The oldest message given has gone out under this packet id.
    Sent(u16),
    Acknowledged(u16, Answer),
    Other,
    /// Our own DISCONNECT has gone out.
    Closed,
    Refused(String),
    Lost(String),
}

/// What a PUBACK says. MQTT 3.1.1 has no way to say anything but success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Success,
    Failure,
}

/// A connection that is not open yet; the first polls open it.
pub(super) fn open(config: &PublisherConfig, packet_bytes_max: usize) -> (Client, Events) {
    // One more than the window for the DISCONNECT at the end.
    let queue = usize::from(config.in_flight_max) + 1;
    match config.version {
        MqttVersion::V311 => {
            let mut options = rumqttc::MqttOptions::new(&config.client_id, &config.host, config.port);
            options.set_max_packet_size(packet_bytes_max, packet_bytes_max);
            options.set_inflight(config.in_flight_max.max(1)).set_keep_alive(KEEP_ALIVE);
            if let Some((user, password)) = &config.login {
                options.set_credentials(user, password);
            }
            let (client, mut events) = rumqttc::AsyncClient::new(options, queue);
            events.network_options.set_tcp_nodelay(true);
            (Client::V311(client), Events::V311(Box::new(events)))
        }
        MqttVersion::V5 => {
            let mut options = v5::MqttOptions::new(&config.client_id, &config.host, config.port);
            options.set_outgoing_inflight_upper_limit(config.in_flight_max.max(1)).set_keep_alive(KEEP_ALIVE);
            if let Some((user, password)) = &config.login {
                options.set_credentials(user, password);
            }
            let (client, events) = v5::AsyncClient::new(options, queue);
            (Client::V5(client), Events::V5(Box::new(events)))
        }
    }
}

impl Client {
    /// Gives a message to the connection. If that is gone the message stays in the outbox, and the next poll says so.
    pub(super) async fn publish(&self, topic: String, payload: Bytes) {
        let given = match self {
            Client::V311(client) => {
                client.publish_bytes(topic, QoS::AtLeastOnce, false, payload).await.map_err(|error| error.to_string())
            }
            Client::V5(client) => {
                let qos = v5::mqttbytes::QoS::AtLeastOnce;
                client.publish_bytes(topic, qos, false, payload).await.map_err(|error| error.to_string())
            }
        };
        if let Err(error) = given {
            tracing::debug!(error, "message not given to the connection");
        }
    }

    pub(super) async fn disconnect(&self) {
        let given = match self {
            Client::V311(client) => client.disconnect().await.map_err(|error| error.to_string()),
            Client::V5(client) => client.disconnect().await.map_err(|error| error.to_string()),
        };
        if let Err(error) = given {
            tracing::debug!(error, "connection was gone before the disconnect");
        }
    }
}

impl Events {
    /// The next signal. Not to be dropped half-way: a message that is being written would be lost without a trace.
    pub(super) async fn poll(&mut self) -> Signal {
        match self {
            Events::V311(events) => match events.poll().await {
                Ok(event) => of_v311(&event),
                Err(rumqttc::ConnectionError::ConnectionRefused(code)) => refused(code),
                Err(error) => Signal::Lost(error.to_string()),
            },
            Events::V5(events) => match events.poll().await {
                Ok(event) => of_v5(&event),
                Err(v5::ConnectionError::ConnectionRefused(code)) => refused_v5(code),
                Err(error) => Signal::Lost(error.to_string()),
            },
        }
    }
}

fn of_v311(event: &rumqttc::Event) -> Signal {
    if let rumqttc::Event::Incoming(Incoming::ConnAck(_)) = event {
        Signal::Connected
    } else if let rumqttc::Event::Incoming(Incoming::PubAck(ack)) = event {
        Signal::Acknowledged(ack.pkid, Answer::Success)
    } else if let rumqttc::Event::Outgoing(outgoing) = event {
        of_outgoing(outgoing)
    } else {
        Signal::Other
    }
}

fn of_v5(event: &v5::Event) -> Signal {
    use v5::mqttbytes::v5::{Packet, PubAckReason};

    if let v5::Event::Incoming(Packet::ConnAck(_)) = event {
        Signal::Connected
    } else if let v5::Event::Incoming(Packet::PubAck(ack)) = event {
        let is_taken = matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers);
        Signal::Acknowledged(ack.pkid, if is_taken { Answer::Success } else { Answer::Failure })
    } else if let v5::Event::Outgoing(outgoing) = event {
        of_outgoing(outgoing)
    } else {
        Signal::Other
    }
}

fn of_outgoing(outgoing: &Outgoing) -> Signal {
    if let Outgoing::Publish(packet_id) = outgoing {
        Signal::Sent(*packet_id)
    } else if let Outgoing::Disconnect = outgoing {
        Signal::Closed
    } else {
        Signal::Other
    }
}

/// A wrong login stays wrong; a server that is busy or full may take us later.
fn refused(code: ConnectReturnCode) -> Signal {
    let is_final = matches!(
        code,
        ConnectReturnCode::BadUserNamePassword
            | ConnectReturnCode::NotAuthorized
            | ConnectReturnCode::BadClientId
            | ConnectReturnCode::RefusedProtocolVersion
    );
    if is_final { Signal::Refused(format!("{code:?}")) } else { Signal::Lost(format!("{code:?}")) }
}

fn refused_v5(code: v5::mqttbytes::v5::ConnectReturnCode) -> Signal {
    use v5::mqttbytes::v5::ConnectReturnCode as Code;

    let is_final =
        matches!(code, Code::BadUserNamePassword | Code::NotAuthorized | Code::ClientIdentifierNotValid | Code::Banned);
    if is_final { Signal::Refused(format!("{code:?}")) } else { Signal::Lost(format!("{code:?}")) }
}
