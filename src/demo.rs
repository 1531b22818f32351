//! `pilotline demo`: everything on this machine, with a simulated fleet that publishes through the real door.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use aggregator::publish::Progress;
use anyhow::Context;
use indicatif::ProgressBar;
use ingest::publisher::{self, MqttVersion, Published, PublisherConfig};
use model::UnixMillis;
use seeds::fleet::{self, SimulatedPilot};
use tokio::sync::mpsc;

use crate::Failure;
use crate::args::DemoArgs;
use crate::config::{Config, Origin};
use crate::office::{Office, TempStore};
use crate::run::{Server, runtime};
use crate::{files, progress};

/// Unacknowledged messages of one gateway while the history goes in. A message of history has up to a mebibyte.
const IN_FLIGHT: u16 = 4;
/// How often the fleet publishes once its history is in.
const LIVE_EVERY: Duration = Duration::from_secs(2);
/// Live messages of one gateway that wait for the door; beyond it the fleet waits.
const LIVE_QUEUE: usize = 64;
/// One part of so many on top of the bar is for settling and figuring what was published.
const FIGURING_SHARE: u64 = 9;
/// How long figures may take to catch up with the history.
const FIGURED_WITHIN: Duration = Duration::from_secs(300);

pub(crate) fn demo(arguments: &DemoArgs) -> Result<(), Failure> {
    let mut config = Config::load(&arguments.place)?;
    let scratch = if arguments.place.data.is_some() { None } else { Some(make_scratch()?) };
    if let Some(scratch) = &scratch {
        config.data = scratch.path().to_owned();
    }
    config.pilots = config.data.join("pilots");
    for origin in [&mut config.chosen.mqtt, &mut config.chosen.http] {
        if *origin == Origin::Default {
            *origin = Origin::MayMove;
        }
    }
    let fleet = fleet::demo(arguments.seed);
    write_registry(&config.pilots, &fleet)?;
    let loaded = files::load(&config)?;
    let (office, threads) = Office::open(&config, loaded)?;
    Ok(runtime()?.block_on(async {
        let history = Arc::new(Progress::default());
        let until = model::clock::now();
        let total: u64 = fleet.iter().map(|pilot| pilot.n_values(until)).sum();
        history.total.store(total + total / FIGURING_SHARE, Ordering::Relaxed);
        let truth = fleet.iter().map(|pilot| (pilot.id.clone(), pilot.truth.clone())).collect();
        let server = Server::start(&config, office, threads, |site| {
            site.truth = Some(Arc::new(truth));
            site.progress = Some(Arc::clone(&history));
        })
        .await?;
        server.say_where();
        let mqtt = server.mqtt.context("the demo has no MQTT door")?;
        let publishing = tokio::spawn(publish(fleet, until, mqtt, history, Arc::clone(&server.office)));
        let ended = server.until_told_to_stop().await;
        publishing.abort();
        ended
    })?)
}

fn make_scratch() -> anyhow::Result<TempStore> {
    TempStore::make().context("failed to make a temporary data directory; name one with --data")
}

fn write_registry(dir: &Path, fleet: &[SimulatedPilot]) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("failed to make `{}`", dir.display()))?;
    for pilot in fleet {
        let file = dir.join(format!("{}.toml", pilot.id));
        std::fs::write(&file, &pilot.registry).with_context(|| format!("failed to write `{}`", file.display()))?;
    }
    Ok(())
}

/// Publishes the history, says when it is in, and goes on live.
async fn publish(
    fleet: Vec<SimulatedPilot>,
    until: UnixMillis,
    mqtt: SocketAddr,
    history: Arc<Progress>,
    office: Arc<Office>,
) {
    let fleet: Vec<Arc<SimulatedPilot>> = fleet.into_iter().map(Arc::new).collect();
    let started = Instant::now();
    let bar = progress::bar(history.total.load(Ordering::Relaxed), "history");
    match publish_history(&fleet, until, mqtt, &history, &bar).await {
        Ok(n_messages) => {
            bar.set_message("figures");
            wait_until_figured(&office).await;
            history.done.store(history.total.load(Ordering::Relaxed), Ordering::Relaxed);
            bar.finish_and_clear();
            say_history_is_in(&office, n_messages, started);
            publish_figures(&office).await;
        }
        Err(error) => tracing::error!(error = format!("{error:#}"), "history not published"),
    }
    if let Err(error) = publish_live(&fleet, until, mqtt).await {
        tracing::error!(error = format!("{error:#}"), "live data stopped");
    }
}

async fn publish_history(
    fleet: &[Arc<SimulatedPilot>],
    until: UnixMillis,
    mqtt: SocketAddr,
    history: &Arc<Progress>,
    bar: &ProgressBar,
) -> anyhow::Result<u64> {
    let mut gateways = tokio::task::JoinSet::new();
    for pilot in fleet {
        gateways.spawn(publish_pilot(Arc::clone(pilot), until, mqtt, Arc::clone(history), bar.clone()));
    }
    let mut n_messages = 0;
    while let Some(done) = gateways.join_next().await {
        n_messages += done.context("a gateway's task panicked")??;
    }
    Ok(n_messages)
}

/// One pilot's history, through a connection of its own.
async fn publish_pilot(
    pilot: Arc<SimulatedPilot>,
    until: UnixMillis,
    mqtt: SocketAddr,
    history: Arc<Progress>,
    bar: ProgressBar,
) -> anyhow::Result<u64> {
    let config = gateway(mqtt, &pilot);
    let mut share = Share::new(pilot.n_values(until), pilot.n_messages(until));
    let messages = pilot.history(until).map(|message| (message.topic, message.payload.into()));
    let at_ack = |_published: &Published| {
        let n_values = share.next();
        history.done.fetch_add(n_values, Ordering::Relaxed);
        bar.inc(n_values);
    };
    let published = publisher::publish(&config, messages, at_ack).await;
    Ok(published.context("failed to publish a pilot's history")?.acknowledged)
}

/// Deals a number of values out over a number of messages, so that a bar moves evenly and ends exactly.
struct Share {
    n_values: u64,
    n_messages: u64,
}

impl Share {
    fn new(n_values: u64, n_messages: u64) -> Share {
        Share { n_values, n_messages }
    }

    fn next(&mut self) -> u64 {
        let share = self.n_values / self.n_messages.max(1);
        self.n_values -= share;
        self.n_messages = self.n_messages.saturating_sub(1);
        share
    }
}

async fn wait_until_figured(office: &Arc<Office>) {
    let figuring = Arc::clone(office);
    let caught_up = tokio::task::spawn_blocking(move || {
        let last = figuring.store.last_commit();
        figuring.aggregator.wait_figured(last, FIGURED_WITHIN)
    });
    if !caught_up.await.unwrap_or(false) {
        tracing::error!(within_s = FIGURED_WITHIN.as_secs(), "figures did not catch up with the history");
    }
}

/// Publishes what the history gives, as an office does that has checked it.
async fn publish_figures(office: &Arc<Office>) {
    let publishing = Arc::clone(office);
    let started = Instant::now();
    match tokio::task::spawn_blocking(move || publishing.publish(None)).await {
        Ok(Ok(published)) => {
            let seconds = started.elapsed().as_secs_f64();
            println!("published: {} figures of {} scopes in {seconds:.1} s", published.n_first, published.n_entries);
        }
        Ok(Err(error)) => tracing::error!(error = &error as &dyn std::error::Error, "figures not published"),
        Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "figures not published"),
    }
}

fn say_history_is_in(office: &Office, n_messages: u64, started: Instant) {
    let counters = office.store.counters();
    println!(
        "history is in: {} readings and {} order events in {n_messages} messages, published and figured in {:.1} s",
        counters.readings,
        counters.orders,
        started.elapsed().as_secs_f64()
    );
}

/// Goes on from where the history ended, in real time, each gateway through a connection that stays.
async fn publish_live(fleet: &[Arc<SimulatedPilot>], until: UnixMillis, mqtt: SocketAddr) -> anyhow::Result<()> {
    let mut gateways = Vec::new();
    for pilot in fleet {
        let (sender, receiver) = mpsc::channel(LIVE_QUEUE);
        let config = gateway(mqtt, pilot);
        tokio::spawn(async move {
            if let Err(error) = publisher::publish_from(&config, receiver, |_| {}).await {
                tracing::error!(client_id = config.client_id, %error, "gateway of the demo stopped");
            }
        });
        gateways.push((Arc::clone(pilot), sender));
    }
    let mut from = until;
    loop {
        tokio::time::sleep(LIVE_EVERY).await;
        let to = model::clock::now();
        for (pilot, sender) in &gateways {
            for message in pilot.live(from, to) {
                let sent = sender.send((message.topic, message.payload.into())).await;
                sent.context("a gateway of the demo stopped")?;
            }
        }
        from = to;
    }
}

/// How a pilot of the demo reaches the door.
fn gateway(mqtt: SocketAddr, pilot: &SimulatedPilot) -> PublisherConfig {
    PublisherConfig {
        version: MqttVersion::V5,
        in_flight_max: IN_FLIGHT,
        ..PublisherConfig::new(&mqtt.ip().to_string(), mqtt.port(), &format!("demo-{}", pilot.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_a_bar_add_up_exactly() {
        for (n_values, n_messages) in [(10, 3), (0, 5), (7, 7), (5, 9), (1_000_001, 17)] {
            let mut share = Share::new(n_values, n_messages);
            let total: u64 = (0..n_messages).map(|_| share.next()).sum();
            assert_eq!(total, n_values, "{n_values} over {n_messages}");
        }
    }
}
