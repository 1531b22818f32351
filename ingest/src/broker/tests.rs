//! The traps of the client library and the statements of Sparkplug about a host's connection, against a broker that a test
//! writes packet by packet.

mod conformance;
mod fake;
mod traps;

use std::sync::Arc;
use std::time::Duration;

use self::fake::{Fake, Filter, Flags, Got, Link, Message};
use super::{Broker, BrokerConfig, Pace, Sparkplug, start};
use crate::commit::{Committer, CommitterHandle};
use crate::index::{CurrentIndex, Index};
use crate::normalize::fixture::Plant;
use crate::publisher::MqttVersion;

const BOTH: [MqttVersion; 2] = [MqttVersion::V311, MqttVersion::V5];
const TOPIC: &str = "pilotline/v1/p-1/gw1";
const STATE: &str = "spBv1.0/STATE/pilotline";

/// A plant with a committer, and a broker for its client.
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
        let committer = Committer::start(plant.store()).unwrap();
        let index = Arc::new(CurrentIndex::new(binding(&plant, topics)));
        let handle = committer.handle();
        World { fake: Fake::new().await, index, committer: Some(committer), handle, plant }
    }

    async fn start(&self, protocol: MqttVersion, change: impl FnOnce(&mut BrokerConfig)) -> Broker {
        self.start_at(&self.fake, protocol, change).await
    }

    /// A client of this broker, in a hurry.
    async fn start_at(&self, fake: &Fake, protocol: MqttVersion, change: impl FnOnce(&mut BrokerConfig)) -> Broker {
        let port = fake.socket.local_addr().unwrap().port();
        let mut config = BrokerConfig::new("plant", "127.0.0.1", port);
        (config.protocol, config.sparkplug) = (protocol, Sparkplug::Off);
        config.pace = Pace {
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_millis(50),
            tick: Duration::from_millis(20),
            ..Pace::default()
        };
        change(&mut config);
        start(config, Arc::clone(&self.index), self.handle.clone()).await.unwrap()
    }

    /// Received, committed, duplicate.
    fn counts(&self) -> (u64, u64, u64) {
        let counters = self.plant.store().counters();
        (counters.received, counters.committed, counters.duplicate)
    }
}

/// The plant's index with these topics bound to its pilot.
fn binding(plant: &Plant, topics: &[&str]) -> Index {
    let mut registry = plant.index.registry().clone();
    for pilot in registry.pilots.values_mut() {
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        *pilot = Arc::new(model::Pilot { topics, ..(**pilot).clone() });
    }
    Index::new(Arc::new(registry), Arc::clone(plant.store()))
}

/// A message of our gateway, at least once.
fn message(packet_id: u16, n: u64) -> Message {
    let at = 1_740_787_200_000 + n;
    let text = format!(r#"{{"at":{at},"readings":[{{"asset":"line-a","name":"speed","value":{n}}}]}}"#);
    Message { topic: TOPIC.to_owned(), payload: text.into_bytes(), packet_id, qos: 1, flags: Flags::default() }
}

/// The same, said to have been sent before.
fn again(packet_id: u16, n: u64) -> Message {
    Message { flags: Flags { dup: true, retain: false }, ..message(packet_id, n) }
}

/// Accepts connections until the host's comes; the data connection's is welcomed and kept.
async fn host_link(fake: &Fake, others: &mut Vec<Link>) -> Link {
    loop {
        let mut link = fake.accept().await;
        if link.connect.client_id.ends_with("-host") {
            return link;
        }
        link.connack(true).await;
        others.push(link);
    }
}

async fn subscribe(link: &mut Link) -> (u16, Vec<Filter>) {
    let got = link.read().await;
    let Got::Subscribe { packet_id, filters } = got else { panic!("no SUBSCRIBE but {got:?}") };
    (packet_id, filters)
}
