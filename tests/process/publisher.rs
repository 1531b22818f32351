//! A `rumqttc` publisher for the tests: publishes with QoS 1 or 2, resumes its session, counts what was acknowledged.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};

use crate::harness::PATIENCE;

/// Publishes all messages over MQTT 3.1.1 and waits until every one is acknowledged.
pub(crate) fn publish_all(mqtt: SocketAddr, client_id: &str, qos: QoS, messages: Vec<(String, Vec<u8>)>) {
    publish_through_restarts(mqtt, client_id, qos, messages, |_| {});
}

/// The same with a persistent session: `at_ack` is told after each acknowledgement how many there are, and may kill and
/// restart the server; the client reconnects and resumes.
pub(crate) fn publish_through_restarts(
    mqtt: SocketAddr,
    client_id: &str,
    qos: QoS,
    messages: Vec<(String, Vec<u8>)>,
    mut at_ack: impl FnMut(usize),
) {
    let mut options = MqttOptions::new(client_id, mqtt.ip().to_string(), mqtt.port());
    options.set_clean_session(false).set_keep_alive(Duration::from_secs(5)).set_inflight(50);
    options.set_max_packet_size(2 << 20, 2 << 20);
    let n = messages.len();
    let (client, mut connection) = Client::new(options, 10);
    let sender = std::thread::spawn(move || {
        for (topic, payload) in messages {
            client.publish(topic, qos, false, payload).unwrap();
        }
        client
    });
    let (mut acknowledged, mut last) = (0, Instant::now());
    for event in connection.iter() {
        match event {
            Ok(Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_))) => {
                acknowledged += 1;
                last = Instant::now();
                at_ack(acknowledged);
                if acknowledged == n {
                    break;
                }
            }
            Ok(_) => {}
            Err(error) => {
                assert!(last.elapsed() < PATIENCE, "no progress for {PATIENCE:?}: {error}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
    drop(sender.join().unwrap());
}
