//! `pilotline run`: everything on one machine for real gateways.

use std::net::SocketAddr;
use std::sync::Arc;

use aggregator::publish::{self, Site, access::check_start};
use anyhow::Context;
use ingest::broker::Broker;
use ingest::commit::CommitterHandle;
use ingest::hub::{self, Driver};
use ingest::listener::{self, Listener, ListenerConfig};
use ingest::sparkplug::Loss;
use store::{Batch, Outage};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Failure;
use crate::args::PlaceArgs;
use crate::config::{Config, Origin};
use crate::control::{self, Control};
use crate::files;
use crate::health;
use crate::office::{Office, Threads};

pub(crate) fn run(place: &PlaceArgs) -> Result<(), Failure> {
    serve(&Config::load(place)?)
}

/// Serves until told to stop.
pub(crate) fn serve(config: &Config) -> Result<(), Failure> {
    let loaded = files::load(config)?;
    let (office, threads) = Office::open(config, loaded)?;
    Ok(runtime()?.block_on(async {
        let server = Server::start(config, office, threads, |_| {}).await?;
        server.say_where();
        server.until_told_to_stop().await
    })?)
}

/// The runtime of the doors and pages; store and aggregator have threads of their own.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("failed to start the runtime")
}

/// Everything that runs.
pub(crate) struct Server {
    pub(crate) office: Arc<Office>,
    /// The listener's address; none if messages come from brokers alone.
    pub(crate) mqtt: Option<SocketAddr>,
    pub(crate) http: SocketAddr,
    listener: Option<Listener>,
    brokers: Vec<Broker>,
    threads: Threads,
    stop_http: tokio::sync::oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
    _control: Control,
    /// Sends rebirth requests, and reports what edge nodes lost.
    _driver: Driver,
}

impl Server {
    /// Opens the doors, then the pages. `furnish` fills in what the site shows besides.
    pub(crate) async fn start(
        config: &Config,
        office: Arc<Office>,
        mut threads: Threads,
        furnish: impl FnOnce(&mut Site),
    ) -> anyhow::Result<Server> {
        let http = bind_http(config, &office).await?;
        let listener = if config.wants_listener { Some(open_doors(config, &office).await?) } else { None };
        let brokers = crate::ingest::connect(config, &office).await?;
        threads.project(&office)?;
        let mut site = Site::new(Arc::clone(&office.aggregator));
        let doors = health::Doors {
            listening: listener.as_ref().map_or_else(Vec::new, doors),
            brokers: brokers
                .iter()
                .map(|broker| (broker.name().to_owned(), broker.address(), broker.status()))
                .collect(),
        };
        health::watch(&mut site, &office, doors, &config.data);
        let index = Arc::clone(&office.index);
        site.heard = Arc::new(move |wants| crate::gateways::heard(&index, wants));
        let correcting = Arc::clone(&office);
        site.correct = Arc::new(move |rows| crate::correct::for_site(&correcting, rows));
        furnish(&mut site);
        let control = control::listen(&config.data, Arc::clone(&office))?;
        let adopting = Arc::clone(&office);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = adopting.adopt() {
                tracing::error!(error = format!("{error:#}"), "readings of newly registered series not taken up");
            }
        });
        threads.heal(&office)?;
        threads.publish(&office)?;
        let mqtt = listener.as_ref().map(Listener::local_addr);
        let (mqtt, address) = (mqtt, http.local_addr().context("the HTTP listener has no address")?);
        let (stop_http, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(publish::serve(http, Arc::new(site), async {
            // A dropped sender stops the pages as well.
            let _ = stopped.await;
        }));
        let committer = office.committer.clone();
        let driver = hub::drive(Arc::clone(&office.index), move |losses| {
            tokio::spawn(keep_losses(committer.clone(), losses));
        });
        let (_control, _driver) = (control, driver);
        Ok(Server { office, mqtt, http: address, listener, brokers, threads, stop_http, serving, _control, _driver })
    }

    /// The start-up lines on standard output; the last one is the page's address.
    pub(crate) fn say_where(&self) {
        if let Some(mqtt) = self.mqtt {
            println!("mqtt {mqtt}");
        }
        for broker in &self.brokers {
            println!("broker {} {}", broker.name(), broker.address());
        }
        println!("open http://{}/", self.http);
    }

    /// Serves until SIGTERM or SIGINT, or until the journal can take nothing more; SIGHUP takes up the registry.
    pub(crate) async fn until_told_to_stop(self) -> anyhow::Result<()> {
        let mut signals = Signals::new()?;
        let committer = self.office.committer.clone();
        let fatal = committer.poisoned();
        tokio::pin!(fatal);
        let ended = loop {
            tokio::select! {
                _ = signals.terminate.recv() => break Ok(()),
                _ = signals.interrupt.recv() => break Ok(()),
                _ = signals.hangup.recv() => {
                    let office = Arc::clone(&self.office);
                    // The outcome is in the log; the old registry stays in force on a mistake.
                    let _ = tokio::task::spawn_blocking(move || office.reload().map(drop)).await;
                }
                () = &mut fatal => break Err(anyhow::anyhow!("a commit failed, and the journal takes nothing more")),
            }
        };
        self.stop().await;
        ended
    }

    /// Commits and acknowledges what was taken, then stops everything.
    pub(crate) async fn stop(self) {
        tracing::info!("stopping");
        for broker in self.brokers {
            broker.stop().await;
        }
        if let Some(listener) = self.listener {
            listener.stop().await;
        }
        // The pages may be gone already if serving failed.
        let _ = self.stop_http.send(());
        match self.serving.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "pages stopped badly"),
            Err(error) => tracing::error!(%error, "pages stopped badly"),
        }
        let threads = self.threads;
        let joined = tokio::task::spawn_blocking(move || threads.stop()).await;
        if let Err(error) = joined {
            tracing::error!(%error, "store stopped badly");
        }
    }
}

/// Commits what edge nodes lost, so that no coverage is claimed there.
async fn keep_losses(committer: CommitterHandle, losses: Vec<Loss>) {
    let outage = |Loss { pilot, asset, from, to, n_lost }| {
        tracing::warn!(%pilot, asset, from = from.0, to = to.0, n_lost, "messages of an edge node are lost");
        Outage { pilot, asset, from, to, n_lost }
    };
    let outages = losses.into_iter().map(outage).collect();
    if let Err(error) = committer.submit(Batch { outages, ..Batch::default() }).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "lost messages not recorded");
    }
}

/// The signals that a server listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Signals> {
        let listen = |kind| signal(kind).context("failed to listen for signals");
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }
}

/// The doors as the health report names them.
fn doors(listener: &Listener) -> Vec<(&'static str, SocketAddr)> {
    let tls = listener.tls_addr().map(|address| ("mqtts", address));
    std::iter::once(("mqtt", listener.local_addr())).chain(tls).collect()
}

async fn bind_http(config: &Config, office: &Office) -> anyhow::Result<TcpListener> {
    let tokens = office.store.tokens().context("failed to read the tokens")?;
    check_start(config.http, &tokens).map_err(anyhow::Error::msg)?;
    bind(config.http, config.chosen.http, "--http").await
}

/// Binds an address; a default that is taken moves to the next free port, a chosen one does not.
pub(crate) async fn bind(address: SocketAddr, origin: Origin, flag: &str) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(_taken) if origin == Origin::MayMove => {
            TcpListener::bind((address.ip(), 0)).await.with_context(|| format!("failed to listen on {}", address.ip()))
        }
        Err(error) => Err(error).with_context(|| format!("failed to listen on {address}; choose another with {flag}")),
    }
}

async fn open_doors(config: &Config, office: &Office) -> anyhow::Result<Listener> {
    let mqtt = bind(config.mqtt, config.chosen.mqtt, "--mqtt").await?;
    let tls = match &config.tls {
        None => None,
        Some((address, files)) => Some(ingest::listener::TlsDoor {
            listener: bind(*address, Origin::Person, "--mqtts").await?,
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            client_ca: files.client_ca.clone(),
        }),
    };
    let listener_config = ListenerConfig { mqtt, tls, limits: listener::Limits::default() };
    let (index, logins) = (Arc::clone(&office.index), Arc::clone(&office.logins));
    let started = listener::start(listener_config, index, logins, office.committer.clone()).await;
    started.context("failed to open the MQTT door")
}
