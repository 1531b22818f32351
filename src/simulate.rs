//! `pilotline simulate`: a fleet of gateways with known totals against any broker, for load and fault tests.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use ingest::publisher::{self, MqttVersion, PublisherConfig};
use seeds::fleet::load::{LoadGateway, pilot_id, registry_text};

use crate::Failure;
use crate::args::SimulateArgs;
use crate::progress;

/// The first message of every gateway is stamped one step after this: 2025-03-01T00:00:00Z.
const START_MS: i64 = 1_740_787_200_000;
/// Time between two messages of a gateway, in the fleet's own time.
const STEP_MS: i64 = 1_000;

/// Where acknowledgements are written down, one line each.
type Receipts = Arc<Mutex<BufWriter<File>>>;

pub(crate) fn simulate(arguments: &SimulateArgs) -> Result<(), Failure> {
    if let Some(dir) = &arguments.registry {
        return Ok(write_registry(dir, arguments.pilots)?);
    }
    Ok(crate::run::runtime()?.block_on(publish(arguments))?)
}

/// One registry file per pilot.
fn write_registry(dir: &Path, n_pilots: u32) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("failed to make `{}`", dir.display()))?;
    for pilot in 0..n_pilots as usize {
        let file = dir.join(format!("{}.toml", pilot_id(pilot)));
        std::fs::write(&file, registry_text(pilot, 1))
            .with_context(|| format!("failed to write `{}`", file.display()))?;
    }
    println!("{n_pilots} registry files in {}", dir.display());
    Ok(())
}

async fn publish(arguments: &SimulateArgs) -> anyhow::Result<()> {
    let login = login(arguments)?;
    let (host, port) = host_and_port(&arguments.to)?;
    let receipts = arguments.receipts.as_deref().map(open_receipts).transpose()?;
    let bar = progress::bar(u64::from(arguments.pilots) * arguments.messages, "publishing");
    let started = std::time::Instant::now();
    let mut gateways = tokio::task::JoinSet::new();
    for pilot in 0..arguments.pilots as usize {
        let client_id = format!("simulate-{}", pilot_id(pilot));
        let config = PublisherConfig {
            login: login.clone(),
            version: if arguments.protocol == 5 { MqttVersion::V5 } else { MqttVersion::V311 },
            in_flight_max: arguments.in_flight,
            ..PublisherConfig::new(host, port, &client_id)
        };
        let n_messages = usize::try_from(arguments.messages).context("--messages")?;
        let (bar, receipts) = (bar.clone(), receipts.clone());
        gateways.spawn(publish_gateway(config, pilot, n_messages, move |seq| {
            bar.inc(1);
            receipts.as_ref().map_or(Ok(()), |receipts| write_receipt(receipts, pilot, seq))
        }));
    }
    let mut acknowledged = 0;
    while let Some(done) = gateways.join_next().await {
        acknowledged += done.context("a gateway's task panicked")??;
    }
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    println!("{acknowledged} messages acknowledged in {seconds:.1} s, {:.0} a second", acknowledged as f64 / seconds);
    Ok(())
}

/// Publishes one gateway's messages; `at_ack` is told the number of each acknowledged message.
async fn publish_gateway(
    config: PublisherConfig,
    pilot: usize,
    n_messages: usize,
    mut at_ack: impl FnMut(u64) -> std::io::Result<()> + Send,
) -> anyhow::Result<u64> {
    let mut gateway = LoadGateway::new(pilot, 0, START_MS, STEP_MS);
    let topic = gateway.topic.clone();
    let messages = std::iter::from_fn(move || Some((topic.clone(), gateway.next_payload().into()))).take(n_messages);
    let mut trouble = Ok(());
    let published = publisher::publish(&config, messages, |published| {
        // Acknowledgements come in the order of the messages, whose `seq` counts from 1.
        if let Err(error) = at_ack(published.acknowledged) {
            trouble = Err(error);
        }
    });
    let published = published.await.with_context(|| format!("failed to publish to {}:{}", config.host, config.port))?;
    trouble.context("failed to write a receipt")?;
    Ok(published.acknowledged)
}

fn host_and_port(to: &str) -> anyhow::Result<(&str, u16)> {
    let split = to.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    split.with_context(|| format!("--to `{to}` is not HOST:PORT, such as 127.0.0.1:1883"))
}

fn login(arguments: &SimulateArgs) -> anyhow::Result<Option<(String, String)>> {
    let (Some(name), Some(file)) = (&arguments.login, &arguments.secret_file) else { return Ok(None) };
    let secret =
        std::fs::read_to_string(file).with_context(|| format!("failed to read the secret in `{}`", file.display()))?;
    Ok(Some((name.clone(), secret.trim().to_owned())))
}

fn open_receipts(path: &Path) -> anyhow::Result<Receipts> {
    let file = File::create(path).with_context(|| format!("failed to write `{}`", path.display()))?;
    Ok(Arc::new(Mutex::new(BufWriter::with_capacity(0, file))))
}

/// `PILOT GATEWAY BOOT SEQ`, written at once: the reader may be told of it the next moment.
fn write_receipt(receipts: &Receipts, pilot: usize, seq: u64) -> std::io::Result<()> {
    let mut file = receipts.lock().unwrap_or_else(PoisonError::into_inner);
    writeln!(file, "{} gw-0 1 {seq}", pilot_id(pilot))
}
