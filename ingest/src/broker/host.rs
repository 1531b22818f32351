//! The connection of the Sparkplug host application: a clean session whose Will says that we are offline, STATE as its first
//! publish, and rebirth requests on their way out.
//!
//! Invariants (Sparkplug 3.0, ids of its conformance kit in the tests):
//! - the Will of a connection and its birth carry the same timestamp, made for that connection;
//! - nothing is published before the birth, and no birth before both subscriptions stand;
//! - a broker that drops the link makes everything stale that was known through it.

use std::sync::Arc;

use model::UnixMillis;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::client::{self, Connection, Delivered, Opening, Retained, Session, Signal};
use super::filters::{self, SPARKPLUG};
use super::intake::{Intake, session_number};
use super::{BrokerConfig, End, Shared, Sparkplug, backoff};
use crate::index::{CurrentIndex, Index};
use crate::sparkplug::Command;

/// Name of this connection in the status.
pub(super) const HOST: &str = "sparkplug";

/// Below it every host application says whether it is there.
const STATE: &str = "spBv1.0/STATE/";

/// Whether a broker with this configuration sees us as a host application, by the registry in force.
pub(super) fn is_wanted(config: &BrokerConfig, index: &CurrentIndex) -> bool {
    match config.sparkplug {
        Sparkplug::On => true,
        Sparkplug::Off => false,
        Sparkplug::IfBound => filters::has_sparkplug(index.get().registry()),
    }
}

/// What outlives a connection.
struct Host {
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    client_id: String,
    topic: String,
}

/// How far a connection is.
struct Link {
    /// Timestamp of its Will and its birth.
    at: UnixMillis,
    n_subscribed: usize,
    stage: Stage,
    /// STATE messages without PUBACK.
    n_unconfirmed: usize,
}

/// What was said of us on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Subscribing,
    /// STATE is published.
    Born,
    /// The broker has taken it.
    Confirmed,
}

/// Keeps a connection until told to stop, from the moment that a pilot has Sparkplug topics.
pub(super) async fn serve(shared: Arc<Shared>) {
    let commands = shared.index.get().foreign().hub.broker_queue(&shared.door);
    let client_id = format!("{}-host", shared.config.client_id);
    let topic = format!("{STATE}{}", shared.config.host_id);
    let mut host = Host { shared, commands, client_id, topic };
    let mut attempt = 0;
    loop {
        if host.wait_until_wanted().await {
            return;
        }
        let mut was_connected = false;
        match host.connect(&mut was_connected).await {
            End::Stopped => return,
            End::Lost(reason) => host.say_lost(&reason),
        }
        attempt = if was_connected { 0 } else { attempt };
        let pause = backoff::pause(&host.client_id, attempt, &host.shared.config.pace);
        attempt += 1;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = host.shared.stopping() => return,
        }
    }
}

impl Link {
    fn is_born(&self) -> bool {
        self.stage >= Stage::Born
    }
}

impl Host {
    /// True if told to stop.
    async fn wait_until_wanted(&self) -> bool {
        let shared = &self.shared;
        loop {
            if shared.is_stopping() {
                return true;
            }
            if is_wanted(&shared.config, &shared.index) {
                return false;
            }
            // Nobody misses a connection that no pilot needs: a trouble left here would close the door for ever.
            shared.status.well(HOST);
            tokio::select! {
                () = tokio::time::sleep(shared.config.pace.tick) => {}
                () = shared.stopping() => {}
            }
        }
    }

    async fn connect(&mut self, was_connected: &mut bool) -> End {
        let shared = Arc::clone(&self.shared);
        let at = model::clock::now();
        let death = shared.index.get().foreign().sparkplug.death_payload(at);
        let opening = Opening {
            client_id: self.client_id.clone(),
            session: Session::Clean,
            will: Some((self.topic.clone(), death)),
            releases: Vec::new(),
        };
        let mut connection = client::open(&shared.config, &shared.place, &opening);
        let mut link = Link { at, n_subscribed: 0, stage: Stage::Subscribing, n_unconfirmed: 0 };
        let mut intake = Intake::new(&shared, &self.client_id, session_number(&self.client_id, at));
        let end = self.run(&mut connection, &mut link, &mut intake, was_connected).await;
        match end {
            End::Stopped if link.is_born() => self.goodbye(&mut connection, &mut link, &mut intake).await,
            End::Lost(_) => intake.hand_in_rest(&shared).await,
            End::Stopped => {}
        }
        if *was_connected {
            shared.index.get().foreign().sparkplug.link_lost(&shared.door, model::clock::now());
        }
        end
    }

    async fn run(
        &mut self,
        connection: &mut Connection,
        link: &mut Link,
        intake: &mut Intake,
        was_connected: &mut bool,
    ) -> End {
        let shared = Arc::clone(&self.shared);
        let mut ticks = interval(shared.config.pace.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (has_room, has_pending) = (intake.has_room(), intake.has_pending());
            tokio::select! {
                () = intake.mailbox.rung() => intake.acknowledge(&connection.client),
                () = shared.committer.room(), if has_pending => {}
                signal = connection.signals.recv(), if has_room => match signal {
                    Some(Signal::Lost(lost)) => return End::Lost(lost.reason),
                    None => return End::Lost("the connection's task has ended".to_owned()),
                    Some(signal) => {
                        *was_connected |= matches!(signal, Signal::Connected(_));
                        self.signal(signal, connection, link, intake);
                        while intake.has_room() && let Ok(signal) = connection.signals.try_recv() {
                            if let Signal::Lost(lost) = signal {
                                return End::Lost(lost.reason);
                            }
                            self.signal(signal, connection, link, intake);
                        }
                    }
                },
                command = self.commands.recv(), if link.is_born() => {
                    if let Some(command) = command {
                        connection.client.publish_command(&command.topic, command.payload);
                    }
                }
                _ = ticks.tick() => {
                    if shared.is_overdue(intake) {
                        return End::Lost("a message stayed unacknowledged; asking for it again".to_owned());
                    }
                }
                () = shared.stopping() => return End::Stopped,
            }
            if !intake.hand_in(&shared) {
                return End::Stopped;
            }
        }
    }

    fn signal(&self, signal: Signal, connection: &Connection, link: &mut Link, intake: &mut Intake) {
        let client = &connection.client;
        match signal {
            Signal::Connected(_) => {
                // The two filters as the standard spells them: conformance tools compare them as strings.
                client.subscribe(std::slice::from_ref(&self.topic), Retained::Wanted);
                client.subscribe(&[format!("{SPARKPLUG}#")], Retained::Wanted);
            }
            Signal::Subscribed { n_refused } => self.subscribed(n_refused, client, link),
            Signal::Message(delivered) => {
                let index = self.shared.index.get();
                self.message(delivered, client, link, intake, &index);
            }
            Signal::Acknowledged => self.confirmed(link),
            Signal::Refused(reason) => {
                link.n_unconfirmed = link.n_unconfirmed.saturating_sub(1);
                self.say_refused(&format!("publishing on `{}` ({reason})", self.topic));
            }
            Signal::Closed | Signal::Lost(_) => {}
        }
    }

    fn subscribed(&self, n_refused: usize, client: &client::Client, link: &mut Link) {
        if n_refused > 0 {
            self.say_refused("subscribing to `spBv1.0/#`");
            return;
        }
        link.n_subscribed += 1;
        if link.n_subscribed < 2 || link.is_born() {
            return;
        }
        link.stage = Stage::Born;
        self.say_online(client, link);
    }

    /// The broker has our STATE.
    fn confirmed(&self, link: &mut Link) {
        link.n_unconfirmed = link.n_unconfirmed.saturating_sub(1);
        if link.stage == Stage::Born {
            link.stage = Stage::Confirmed;
            self.shared.status.well(HOST);
            tracing::info!(broker = %self.shared.config.name, topic = self.topic, "online as sparkplug host");
        }
    }

    fn say_refused(&self, what: &str) {
        let text = format!("the broker refuses {what}; its access list has to allow it");
        tracing::error!(broker = %self.shared.config.name, error = text, "no sparkplug host here");
        self.shared.status.ill(HOST, model::clock::now(), &text);
    }

    fn say_online(&self, client: &client::Client, link: &mut Link) {
        let birth = self.shared.index.get().foreign().sparkplug.birth_payload(link.at);
        client.publish_state(&self.topic, birth);
        link.n_unconfirmed += 1;
    }

    fn message(
        &self,
        delivered: Delivered,
        client: &client::Client,
        link: &mut Link,
        intake: &mut Intake,
        index: &Index,
    ) {
        if delivered.topic.starts_with(STATE) {
            if delivered.topic == self.topic && link.is_born() && says_offline(&delivered.payload) {
                self.say_online(client, link);
            }
            intake.ignore(&delivered, client);
        } else if is_of_an_edge(&delivered.topic) && index.bound(&delivered.topic).is_some() {
            intake.take(delivered, index);
        } else {
            intake.ignore(&delivered, client);
        }
    }

    /// Says offline with the time of the stop, waits for the broker's word, and disconnects.
    async fn goodbye(&self, connection: &mut Connection, link: &mut Link, intake: &mut Intake) {
        let death = self.shared.index.get().foreign().sparkplug.death_payload(model::clock::now());
        connection.client.publish_state(&self.topic, death);
        link.n_unconfirmed += 1;
        let waiting = async {
            intake.hand_in(&self.shared);
            while intake.has_pending() || intake.n_waiting() > 0 || link.n_unconfirmed > 0 {
                tokio::select! {
                    () = intake.mailbox.rung() => intake.acknowledge(&connection.client),
                    () = self.shared.committer.room(), if intake.has_pending() => {
                        intake.hand_in(&self.shared);
                    }
                    signal = connection.signals.recv() => match signal {
                        Some(Signal::Acknowledged | Signal::Refused(_)) => link.n_unconfirmed = link.n_unconfirmed.saturating_sub(1),
                        Some(Signal::Lost(_)) | None => return,
                        Some(_) => {}
                    }
                }
            }
            connection.client.disconnect();
            while !matches!(connection.signals.recv().await, Some(Signal::Closed | Signal::Lost(_)) | None) {}
        };
        if tokio::time::timeout(self.shared.config.pace.stop_within, waiting).await.is_err() {
            tracing::warn!(broker = %self.shared.config.name, "stopped before the broker confirmed that we are offline");
        }
    }

    fn say_lost(&self, reason: &str) {
        let reason = &*self.shared.why_lost(reason);
        tracing::warn!(broker = %self.shared.config.name, error = reason, "sparkplug connection lost; trying again");
        self.shared.status.ill(HOST, model::clock::now(), &format!("lost: {reason}"));
    }
}

/// Commands come back to us with `spBv1.0/#`, our own and those of other hosts: they say nothing of an edge node.
fn is_of_an_edge(topic: &str) -> bool {
    !matches!(topic.split('/').nth(2), Some("NCMD" | "DCMD"))
}

fn says_offline(payload: &[u8]) -> bool {
    let state: Option<serde_json::Value> = serde_json::from_slice(payload).ok();
    state.is_some_and(|state| state["online"] == false)
}
