//! The connection for readings: a session that the broker keeps, subscriptions of our pilots, acknowledgements after commit.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};

use super::client::{self, Connection, Delivered, Granted, Opening, Retained, Session, Signal};
use super::filters::{self, SPARKPLUG};
use super::intake::{Intake, session_number};
use super::{End, Shared, Sparkplug, backoff};
use crate::index::Index;

/// Name of this connection in the status.
const DATA: &str = "data";

/// Filters in one SUBSCRIBE: brokers refuse packets that are too long.
const FILTERS_AT_ONCE: usize = 50;

/// Ids of exactly-once messages whose PUBREL comes over a later connection. One is learned per connection, and a broker that
/// is told QoS 1 sends none.
const RELEASES_MAX: usize = 1_000;

/// What outlives a connection.
struct Data {
    shared: Arc<Shared>,
    /// What the broker's session is subscribed to, as far as we know.
    subscribed: BTreeSet<String>,
    session: u64,
    releases: Vec<u16>,
    retained: Retained,
    n_connections: u64,
}

/// Keeps a connection until told to stop.
pub(super) async fn serve(shared: Arc<Shared>) {
    let session = session_number(&shared.config.client_id, model::clock::now());
    let (subscribed, releases) = (BTreeSet::new(), Vec::new());
    let mut data = Data { shared, subscribed, session, releases, retained: Retained::Wanted, n_connections: 0 };
    let mut attempt = 0;
    while !data.shared.is_stopping() {
        let connected_before = data.n_connections;
        match data.connect().await {
            End::Stopped => return,
            End::Lost(reason) => data.say_lost(&reason),
        }
        if data.n_connections > connected_before {
            attempt = 0;
        }
        let pause = backoff::pause(&data.shared.config.client_id, attempt, &data.shared.config.pace);
        attempt += 1;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = data.shared.stopping() => return,
        }
    }
}

impl Data {
    async fn connect(&mut self) -> End {
        let shared = Arc::clone(&self.shared);
        let opening = Opening {
            client_id: shared.config.client_id.clone(),
            session: Session::Kept,
            will: None,
            releases: self.releases.clone(),
        };
        let mut connection = client::open(&shared.config, &shared.place, &opening);
        let granted = tokio::select! {
            signal = connection.signals.recv() => match signal {
                Some(Signal::Connected(granted)) => granted,
                Some(Signal::Lost(lost)) => return End::Lost(lost.reason),
                Some(_) | None => return End::Lost("the broker began without CONNACK".to_owned()),
            },
            () = shared.stopping() => return End::Stopped,
        };
        self.connected(granted);
        self.subscribe(&connection.client);
        let mut intake = Intake::new(&shared, &shared.config.client_id, self.session);
        let end = self.run(&mut connection, &mut intake).await;
        if let End::Stopped = end {
            goodbye(&shared, &mut connection, &mut intake).await;
        }
        shared.status.set_unacknowledged(0);
        end
    }

    fn connected(&mut self, granted: Granted) {
        let shared = &self.shared;
        let broker = &*shared.config.name;
        self.n_connections += 1;
        if self.n_connections > 1 {
            shared.status.count_reconnect();
        }
        if !granted.session_present {
            self.subscribed.clear();
            self.session = session_number(&shared.config.client_id, model::clock::now());
            if self.n_connections > 1 {
                shared.status.count_session_lost();
                tracing::error!(broker, "the broker had forgotten our session; what it held for us is lost");
            }
        }
        tracing::info!(
            broker,
            address = shared.config.address(),
            session_present = granted.session_present,
            "connected"
        );
        shared.status.well(DATA);
        warn_of_less(&shared.config, granted);
    }

    /// Subscribes to what is missing, and takes back what is not ours any more.
    fn subscribe(&mut self, client: &client::Client) {
        let index = self.shared.index.get();
        let wanted = filters::data(index.registry(), self.shared.config.share.as_deref());
        let missing: Vec<String> = wanted.difference(&self.subscribed).cloned().collect();
        for filters in missing.chunks(FILTERS_AT_ONCE) {
            client.subscribe(filters, self.retained);
        }
        for filter in self.subscribed.difference(&wanted) {
            client.unsubscribe(filter);
        }
        self.retained = Retained::OnlyIfNew;
        self.subscribed = wanted;
    }

    async fn run(&mut self, connection: &mut Connection, intake: &mut Intake) -> End {
        let shared = Arc::clone(&self.shared);
        let mut index = shared.index.get();
        let mut ticks = interval(shared.config.pace.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (has_room, has_pending) = (intake.has_room(), intake.has_pending());
            tokio::select! {
                () = intake.mailbox.rung() => intake.acknowledge(&connection.client),
                () = shared.committer.room(), if has_pending => {}
                signal = connection.signals.recv(), if has_room => {
                    if let Some(end) = self.signals(signal, connection, intake, &index) {
                        return end;
                    }
                }
                _ = ticks.tick() => {
                    let now = shared.index.get();
                    if !Arc::ptr_eq(&now, &index) {
                        index = now;
                        self.subscribe(&connection.client);
                    }
                    if shared.is_overdue(intake) {
                        return End::Lost("a message stayed unacknowledged; asking for it again".to_owned());
                    }
                }
                () = shared.stopping() => return End::Stopped,
            }
            if !intake.hand_in(&shared) {
                return End::Stopped;
            }
            shared.status.set_unacknowledged(intake.n_waiting());
        }
    }

    /// Takes a signal, and all that are there behind it.
    fn signals(
        &mut self,
        first: Option<Signal>,
        connection: &mut Connection,
        intake: &mut Intake,
        index: &Index,
    ) -> Option<End> {
        let mut next = first;
        loop {
            match next {
                None => return Some(End::Lost("the connection's task has ended".to_owned())),
                Some(Signal::Message(delivered)) => self.message(delivered, connection, intake, index),
                Some(Signal::Subscribed { n_refused: 0 }) => {}
                Some(Signal::Subscribed { n_refused }) => {
                    let text = format!(
                        "the broker refuses {n_refused} of our subscriptions; its access list has to allow them"
                    );
                    tracing::error!(broker = %self.shared.config.name, n_refused, "subscriptions refused");
                    self.shared.status.ill(DATA, model::clock::now(), &text);
                }
                Some(Signal::Lost(lost)) => {
                    if let Some(packet_id) = lost.unknown_release.filter(|_| self.releases.len() < RELEASES_MAX) {
                        self.releases.push(packet_id);
                    }
                    return Some(End::Lost(lost.reason));
                }
                Some(Signal::Connected(_) | Signal::Acknowledged | Signal::Closed) => {}
            }
            if !intake.has_room() {
                return None;
            }
            match connection.signals.try_recv() {
                Ok(signal) => next = Some(signal),
                Err(_) => return None, // Empty; that it is closed is heard on the next turn.
            }
        }
    }

    /// A filter wide enough to take Sparkplug topics brings them twice: they belong to the other connection.
    fn message(&self, delivered: Delivered, connection: &Connection, intake: &mut Intake, index: &Index) {
        let is_sparkplug = delivered.topic.starts_with(SPARKPLUG);
        if is_sparkplug && self.shared.config.sparkplug != Sparkplug::Off {
            intake.ignore(&delivered, &connection.client);
        } else {
            intake.take(delivered, index);
        }
    }

    fn say_lost(&self, reason: &str) {
        let relay = self.shared.relay.as_ref().and_then(super::relay::Relay::trouble);
        let reason = relay.as_deref().unwrap_or(reason);
        tracing::warn!(broker = %self.shared.config.name, error = reason, "not connected; trying again");
        self.shared.status.ill(DATA, model::clock::now(), &format!("lost: {reason}"));
    }
}

/// Commits and acknowledges what was taken, then says goodbye; the broker keeps the session.
async fn goodbye(shared: &Shared, connection: &mut Connection, intake: &mut Intake) {
    let draining = async {
        intake.hand_in(shared);
        while intake.n_waiting() > 0 {
            tokio::select! {
                () = intake.mailbox.rung() => intake.acknowledge(&connection.client),
                () = shared.committer.room(), if intake.has_pending() => {
                    intake.hand_in(shared);
                }
            }
        }
        connection.client.disconnect();
        // Messages that still come are not taken: the broker has them for the next process.
        while !matches!(connection.signals.recv().await, Some(Signal::Closed | Signal::Lost(_)) | None) {}
    };
    if tokio::time::timeout(shared.config.pace.stop_within, draining).await.is_err() {
        tracing::warn!(broker = %shared.config.name, "stopped with messages unacknowledged; the broker will send them again");
    }
}

/// Whether the broker keeps less than it was asked for.
fn warn_of_less(config: &super::BrokerConfig, granted: Granted) {
    let broker = &*config.name;
    if let Some(granted_s) = granted.session_expiry_s.filter(|granted| *granted < config.session_expiry_s) {
        let asked_s = config.session_expiry_s;
        tracing::warn!(broker, asked_s, granted_s, "the broker keeps our session for less than was asked");
    }
    if let Some(bytes) = granted.packet_bytes_max.filter(|bytes| *bytes > config.packet_bytes_max) {
        let ours = config.packet_bytes_max;
        tracing::error!(
            broker,
            bytes,
            ours,
            "the broker takes larger messages than max_packet; raise it, or they are lost"
        );
    }
}
