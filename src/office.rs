//! The parts of a server that commands act on: store, registry in force, committer, aggregator. The running server has one;
//! a command that finds no server opens one for itself, so that there is one way to do each thing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aggregator::ledger::{Cause, Published};
use aggregator::projection::{Projection, Settings, Status};
use aggregator::{Aggregator, AggregatorGuard, Reach};
use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ingest::auth::Logins;
use ingest::commit::{Committer, CommitterHandle};
use ingest::foreign::Foreign;
use ingest::healing::{self, Healer};
use ingest::index::{CurrentIndex, Index};
use ingest::mapping::Mappings;
use ingest::replayer::{Replayer, Tally};
use model::registry::{InForce, Mistake, Registry};
use model::{Programme, Scope, UnixMillis};
use seeds::factors::Factors;
use serde_json::{Value, json};
use store::{Access, RejectionRow, SettleGuard, Store, StoreError};

use crate::config::Config;
use crate::control::{Request, ask};
use crate::files::{self, Loaded, Texts};
use crate::publish::Keeper;
use crate::{Failure, accepted, access, explain, import, progress, publish};

/// How long a command waits until the store holds what it asks about.
const PATIENCE: Duration = Duration::from_secs(600);
/// Rejections read at a time: their bytes may be a mebibyte each.
const REJECTIONS_PAGE: usize = 100;

/// See the module's comment.
pub(crate) struct Office {
    pub(crate) store: Arc<Store>,
    pub(crate) registry: Arc<InForce>,
    pub(crate) index: Arc<CurrentIndex>,
    pub(crate) logins: Arc<Logins>,
    pub(crate) committer: CommitterHandle,
    pub(crate) aggregator: Arc<Aggregator>,
    pub(crate) programme: Arc<Programme>,
    /// Of a server that projects.
    pub(crate) projecting: OnceLock<Arc<Status>>,
    replayer: Arc<Replayer>,
    factors: Arc<Factors>,
    /// Where the files are that a reload reads.
    config: Config,
}

/// The threads behind an office.
pub(crate) struct Threads {
    /// Of a server only: a command does what it was asked for.
    healer: Option<Healer>,
    keeper: Option<Keeper>,
    projection: Option<Projection>,
    committer: Committer,
    settling: SettleGuard,
    following: AggregatorGuard,
}

impl Threads {
    /// Replays by itself what gateways make readable, until they stop.
    ///
    /// # Errors
    /// If no thread can be had.
    pub(crate) fn heal(&mut self, office: &Office) -> anyhow::Result<()> {
        let healer = healing::start(Arc::clone(&office.replayer)).context("failed to start the healer thread")?;
        self.healer = Some(healer);
        Ok(())
    }

    /// Publishes by itself what is due, until they stop.
    ///
    /// # Errors
    /// If no thread can be had.
    pub(crate) fn publish(&mut self, office: &Office) -> anyhow::Result<()> {
        let keeper = Keeper::start(office, office.config.ledger).context("failed to start the ledger's thread")?;
        self.keeper = Some(keeper);
        Ok(())
    }

    /// Projects what is committed and figured, if the config file says where to, until they stop.
    ///
    /// # Errors
    /// If the settings are of no use, or on writing the store.
    pub(crate) fn project(&mut self, office: &Office) -> anyhow::Result<()> {
        let Some(settings) = &office.config.projection else {
            return office.aggregator.end_projection().context("failed to end the projection");
        };
        let projection = Projection::start(&office.aggregator, settings.clone());
        let projection = projection.context("failed to start the projection `[projection.influx]`")?;
        // There is one start of one server, so that nobody set it before.
        let _ = office.projecting.set(projection.status());
        self.projection = Some(projection);
        Ok(())
    }

    /// Stops them in the order in which data flows: committer, settling, aggregator.
    pub(crate) fn stop(mut self) {
        self.healer.iter_mut().for_each(Healer::tell_to_stop);
        self.committer.stop();
        drop(self.healer);
        drop(self.keeper);
        drop(self.projection);
        drop(self.settling);
        drop(self.following);
    }
}

impl Office {
    /// Opens the data directory as its owner and starts the threads; what is not yet settled or figured does not hold it up.
    ///
    /// # Errors
    /// If the directory is in use or cannot be opened.
    pub(crate) fn open(config: &Config, loaded: Loaded) -> anyhow::Result<(Arc<Office>, Threads)> {
        let store = Store::open(&config.data, Access::Owner).context("failed to open the store")?;
        let accepted = accepted::without_unexplained(&store, loaded.registry)?;
        accepted::keep(&store, &accepted, &loaded.texts)?;
        let registry = Arc::new(InForce::new(accepted));
        let foreign = Arc::new(Foreign::new(loaded.mappings, config.sparkplug.clone()));
        recall(&store, &foreign)?;
        let index = Arc::new(CurrentIndex::new(Index::with(registry.get(), Arc::clone(&store), foreign)));
        let logins = Arc::new(Logins::load(&store).context("failed to read the logins")?);
        let committer = Committer::start(&store).context("failed to start the committer")?;
        let settling = store.start_settling();
        let (programme, factors) = (loaded.programme, loaded.factors);
        let reach = if config.shard.is_some() { Reach::SomePilots } else { Reach::AllPilots };
        let (whose, by) = (Arc::clone(&registry), Arc::clone(&programme));
        let aggregator = Aggregator::reaching(reach, Arc::clone(&store), whose, by, Arc::clone(&factors));
        let following = aggregator.start();
        let handle = committer.handle();
        let replayer = Arc::new(Replayer::new(Arc::clone(&index), handle.clone()));
        let office = Office {
            store,
            registry,
            index,
            logins,
            committer: handle,
            aggregator,
            programme,
            projecting: OnceLock::new(),
            replayer,
            factors,
            config: config.clone(),
        };
        Ok((Arc::new(office), Threads { healer: None, keeper: None, projection: None, committer, settling, following }))
    }

    /// Does what a command asks; `progress` gets the share done of what takes long.
    pub(crate) fn execute(&self, request: Request, progress: &dyn Fn(f64)) -> Result<Value, Failure> {
        if let Some(done) = access::apply(&self.store, &request) {
            let done = done.context("failed to change the store")?;
            self.logins.reload(&self.store).context("failed to read the logins")?;
            return Ok(done);
        }
        match request {
            Request::Reload => self.reload(),
            Request::Rejected { since } => self.rejected(since.as_deref()),
            Request::Suggest => Ok(Value::String(self.suggest()?)),
            Request::Replay => Ok(self.replay()?),
            Request::Explain(question) => explain::heard(&question, &self.config, &self.index.get()),
            Request::Import(step) => import::take(step, self),
            Request::Recompute => {
                self.settled()?;
                self.aggregator.recompute().context("failed to recompute")?;
                Ok(json!({}))
            }
            Request::Publish { scope } => {
                let scope = publish::scope_of(self, scope.as_deref())?;
                self.figured()?;
                let published = self.publish(scope.as_ref()).context("failed to publish")?;
                Ok(serde_json::to_value(published).context("failed to print JSON")?)
            }
            Request::Verify => {
                self.figured()?;
                let differences = self.aggregator.verify(progress).context("failed to verify")?;
                Ok(serde_json::to_value(differences).context("failed to print JSON")?)
            }
            Request::Projection => Ok(self.projected()?),
            Request::Rebuild => self.rebuild_projection(),
            Request::CountProjection => {
                self.figured()?;
                self.count_projection(progress)
            }
            Request::Correct(rows) => self.make_corrections(&rows, model::clock::now()),
            Request::WouldCorrect(rows) => self.would_correct(&rows, model::clock::now()),
            Request::Corrections { pilot, since } => self.corrections(pilot.as_deref(), since.as_deref()),
            Request::PutLogin(_)
            | Request::RemoveLogin(_)
            | Request::Logins
            | Request::PutToken(_)
            | Request::RemoveToken(_)
            | Request::Tokens => Err(anyhow::anyhow!("a request about access came past its handler").into()),
        }
    }

    /// Where the config file says that everything is projected to.
    pub(crate) fn projection_settings(&self) -> Option<&Settings> {
        self.config.projection.as_ref()
    }

    /// Takes up changed registry files; a bad one leaves the old registry in force.
    pub(crate) fn reload(&self) -> Result<Value, Failure> {
        let ((registry, texts), mappings) = self.read_again().map_err(refused)?;
        let unexplained = accepted::unexplained(&self.store, &registry)?;
        if !unexplained.is_empty() {
            return Err(refused(unexplained));
        }
        accepted::keep(&self.store, &registry, &texts)?;
        let n_pilots = registry.pilots.len();
        self.registry.replace(registry);
        let foreign = Arc::new(self.index.get().foreign().with_mappings(mappings));
        self.index.replace(Index::with(self.registry.get(), Arc::clone(&self.store), foreign));
        self.adopt()?;
        self.aggregator.registry_changed().context("failed to take up the registry")?;
        tracing::info!(n_pilots, "registry taken up");
        Ok(json!({ "pilots": n_pilots }))
    }

    /// Registry and mapping files as they are now, all mistakes at once.
    fn read_again(&self) -> Result<((Registry, Texts), Mappings), Vec<Mistake>> {
        let registry = files::registry(&self.config, &self.programme, &self.factors);
        let mappings = files::mappings(&self.config.mappings);
        match (registry, mappings) {
            (Ok(registry), Ok(mappings)) => Ok((registry, mappings)),
            (registry, mappings) => Err(registry.err().into_iter().chain(mappings.err()).flatten().collect()),
        }
    }

    /// Commits the readings of series that were unregistered and now are not. Waits for settling, so a server does it when its
    /// doors are open.
    pub(crate) fn adopt(&self) -> anyhow::Result<()> {
        self.settled()?;
        let index = self.index.get();
        for pilot in self.registry.get().pilots.keys() {
            for batch in
                ingest::replay::adopt(pilot, &index, &self.store).context("failed to read unregistered series")?
            {
                let batch = batch.context("failed to read unregistered series")?;
                self.committer
                    .submit_blocking(batch)
                    .context("failed to commit readings of newly registered series")?;
            }
        }
        Ok(())
    }

    fn rejected(&self, since: Option<&str>) -> Result<Value, Failure> {
        let since = since.map_or(Ok(UnixMillis(0)), UnixMillis::parse).context("--since")?;
        self.settled()?;
        let (mut rows, mut after) = (Vec::new(), 0);
        loop {
            let page = self.store.rejections(since, after, REJECTIONS_PAGE).context("failed to read rejections")?;
            let Some(last) = page.last() else { return Ok(Value::Array(rows)) };
            after = last.id;
            rows.extend(page.into_iter().map(shown_rejection));
        }
    }

    fn suggest(&self) -> anyhow::Result<String> {
        self.settled()?;
        let index = self.index.get();
        Ok(index.registry().pilots.keys().map(|pilot| ingest::suggest::suggest(pilot, &index)).collect())
    }

    /// Replays every kept rejection; what is acceptable now is committed where it belongs.
    fn replay(&self) -> anyhow::Result<Value> {
        let Tally { looked_at, taken } = self.replayer.all()?;
        Ok(json!({ "looked_at": looked_at, "taken": taken }))
    }

    /// Publishes now what differs from what was published, of one scope or of all.
    ///
    /// # Errors
    /// On reading or writing the store.
    pub(crate) fn publish(&self, scope: Option<&Scope>) -> Result<Published, StoreError> {
        self.aggregator.publish_at(model::clock::now(), self.config.ledger, Cause::Publish, scope)
    }

    /// Waits until everything acknowledged is settled.
    pub(crate) fn settled(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.store.wait_settled(self.store.last_commit(), PATIENCE),
            "settling did not come to its end within {} s",
            PATIENCE.as_secs()
        );
        Ok(())
    }

    /// Waits until everything acknowledged is in rollups and figures.
    fn figured(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.aggregator.wait_figured(self.store.last_commit(), PATIENCE),
            "figures did not catch up within {} s",
            PATIENCE.as_secs()
        );
        Ok(())
    }
}

/// Says in the log that registry files are not taken up.
fn refused(mistakes: Vec<Mistake>) -> Failure {
    if let Some(first) = mistakes.first() {
        tracing::error!(n_mistakes = mistakes.len(), %first, "registry not taken up");
    }
    mistakes.into()
}

/// A rejection as `rejected` prints it, its bytes in base64.
fn shown_rejection(row: RejectionRow) -> Value {
    let message = row.message;
    json!({
        "id": row.id,
        "at": message.at,
        "last_at": row.last_at,
        "times": row.times,
        "topic": message.topic,
        "pilot": message.pilot,
        "login": message.login,
        "refusals": message.refusals,
        "size": message.size,
        "bytes": row.has_bytes.then(|| BASE64_STANDARD.encode(&message.bytes)),
        "replayed": row.replayed,
    })
}

/// Teaches dictionaries again what they had learned when the store was last open.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn recall(store: &Store, foreign: &Foreign) -> anyhow::Result<()> {
    for message in store.learned().context("failed to read what dictionaries have learned")? {
        foreign.mappings.learn(&message.pilot, &message.topic, &message.payload, &foreign.dictionaries);
    }
    Ok(())
}

/// Asks the server that owns the data directory; if none runs, opens the directory for this one request.
///
/// # Errors
/// What the request came to, or why nobody could take it.
pub(crate) fn ask_or_open(config: &Config, request: Request) -> Result<Value, Failure> {
    if let Some(answer) = ask(&config.data, &request)? {
        return answer.into_result();
    }
    if !Store::exists(&config.data) {
        let dir = config.data.display();
        return Err(Failure::Arguments(format!("`{dir}` holds no data; name the data directory with --data")));
    }
    let (office, threads) = Office::open(config, files::load(config)?)?;
    let bar = progress::bar(progress::STEPS, "verifying");
    let progress = |share| progress::move_to(&bar, share);
    let done = office.adopt().map_err(Failure::from).and_then(|()| office.execute(request, &progress));
    bar.finish_and_clear();
    drop(office);
    threads.stop();
    done
}

/// A directory for a store that is thrown away.
pub(crate) struct TempStore(PathBuf);

impl TempStore {
    /// A fresh directory under the system's temporary one, for this user only.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn make() -> std::io::Result<TempStore> {
        use std::os::unix::fs::DirBuilderExt;
        let unique = format!("pilotline-{}-{}", std::process::id(), model::clock::now().0);
        let path = std::env::temp_dir().join(unique);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(TempStore(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempStore {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(dir = %self.0.display(), %error, "temporary data not removed");
        }
    }
}
