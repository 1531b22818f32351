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
pub(super) const DATA: &str = "data";

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
    /// SUBSCRIBEs of this connection without an answer.
    n_unanswered: usize,
    /// Filters that the broker refused on this connection.
    n_refused: usize,
}

/// Keeps a connection until told to stop.
pub(super) async fn serve(shared: Arc<Shared>) {
    let session = session_number(&shared.config.client_id, model::clock::now());
    let mut data = Data {
        shared,
        subscribed: BTreeSet::new(),
        session,
        releases: Vec::new(),
        retained: Retained::Wanted,
        n_connections: 0,
        n_unanswered: 0,
        n_refused: 0,
    };
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
        match end {
            End::Stopped => goodbye(&shared, &mut connection, &mut intake).await,
            End::Lost(_) => intake.hand_in_rest(&shared).await,
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
        if self.n_refused > 0 || self.n_unanswered > 0 {
            self.subscribed.clear(); // Which of them stand is not known; those that do are none the worse for it.
        }
        (self.n_unanswered, self.n_refused) = (0, 0);
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
        let warnings = less_than_asked(&shared.config, granted);
        for warning in &warnings {
            tracing::warn!(broker, warning, "the broker grants less than was asked");
        }
        shared.status.set_warnings(warnings);
    }

    /// Subscribes to what is missing, and takes back what is not ours any more.
    fn subscribe(&mut self, client: &client::Client) {
        let index = self.shared.index.get();
        let wanted = filters::data(index.registry(), self.shared.config.share.as_deref());
        // After a refusal all are asked for again, because the registry or the broker's access list may have been mended.
        let asks_again = std::mem::take(&mut self.n_refused) > 0;
        let missing: Vec<String> =
            wanted.iter().filter(|filter| asks_again || !self.subscribed.contains(*filter)).cloned().collect();
        for filters in missing.chunks(FILTERS_AT_ONCE) {
            client.subscribe(filters, self.retained);
            self.n_unanswered += 1;
        }
        for filter in self.subscribed.difference(&wanted) {
            client.unsubscribe(filter);
        }
        self.retained = Retained::OnlyIfNew;
        self.subscribed = wanted;
        self.say_whether_well();
    }

    /// A broker that took our connection but not our subscriptions would bring nothing, and look fine.
    fn say_whether_well(&self) {
        let status = &self.shared.status;
        if self.n_refused > 0 {
            let n_refused = self.n_refused;
            let text =
                format!("the broker refuses {n_refused} of our subscriptions; its access list has to allow them");
            status.ill(DATA, model::clock::now(), &text);
        } else if self.n_unanswered == 0 {
            status.well(DATA);
        }
    }

    fn answered(&mut self, n_refused: usize) {
        self.n_unanswered = self.n_unanswered.saturating_sub(1);
        self.n_refused += n_refused;
        if n_refused > 0 {
            tracing::error!(broker = %self.shared.config.name, n_refused, "subscriptions refused");
        }
        self.say_whether_well();
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
                Some(Signal::Subscribed { n_refused }) => self.answered(n_refused),
                Some(Signal::Lost(lost)) => {
                    if let Some(packet_id) = lost.unknown_release.filter(|_| self.releases.len() < RELEASES_MAX) {
                        self.releases.push(packet_id);
                    }
                    return Some(End::Lost(lost.reason));
                }
                // The data connection publishes nothing.
                Some(Signal::Connected(_) | Signal::Acknowledged | Signal::Refused(_) | Signal::Closed) => {}
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
        let reason = &*self.shared.why_lost(reason);
        tracing::warn!(broker = %self.shared.config.name, error = reason, "not connected; trying again");
        self.shared.status.ill(DATA, model::clock::now(), &format!("lost: {reason}"));
    }
}

/// Commits and acknowledges what was taken, then says goodbye; the broker keeps the session.
async fn goodbye(shared: &Shared, connection: &mut Connection, intake: &mut Intake) {
    let draining = async {
        intake.hand_in(shared);
        while intake.has_pending() || intake.n_waiting() > 0 {
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

/// What the broker keeps or takes less of than it should. MQTT 3.1.1 says nothing of it, and the length of its queue no
/// version does.
fn less_than_asked(config: &super::BrokerConfig, granted: Granted) -> Vec<String> {
    let asked_s = config.session_expiry_s;
    let shorter = granted.session_expiry_s.filter(|granted_s| *granted_s < asked_s).map(|granted_s| {
        format!("it keeps our session for {granted_s} s, not for {asked_s} s; what comes in a longer outage is lost")
    });
    let ours = config.packet_bytes_max;
    let larger = granted.packet_bytes_max.filter(|theirs| *theirs > ours).map(|theirs| {
        format!("it takes packets of {theirs} bytes, and drops those over our max_packet = {ours} in silence; raise it")
    });
    shorter.into_iter().chain(larger).collect()
}
