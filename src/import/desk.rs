//! Who judges and commits the messages of a file: the server that owns the data directory, or this process.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use ingest::foreign::Foreign;
use ingest::import::{commit, foresee, surroundings};
use ingest::index::Index;
use model::PilotId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Access, Import, Store};

use crate::Failure;
use crate::args::ImportArgs;
use crate::config::Config;
use crate::control::{Request, ask};
use crate::files;
use crate::office::{Office, TempStore, Threads, recall};

/// What an import asks for, one step at a time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Step {
    /// What has to be known of a pilot to read its tables. Waits until all that was committed before can be compared with.
    Surroundings {
        pilot: PilotId,
    },
    /// What would become of a message.
    Foresee {
        pilot: PilotId,
        payload: String,
    },
    /// Writes a record before the first message is committed.
    Begin(Import),
    Commit {
        pilot: PilotId,
        payload: String,
    },
    /// Completes the record after the last message.
    Complete {
        number: i64,
        import: Import,
    },
    List {
        pilot: Option<PilotId>,
    },
}

/// Takes a step in an open data directory.
pub(crate) fn take(step: Step, office: &Office) -> Result<Value, Failure> {
    let put = |number, import: &Import| {
        let number = office.store.write(|tx| tx.put_import(number, import)).context("failed to write the import")?;
        Ok(json!(number))
    };
    match step {
        Step::Surroundings { .. } | Step::List { .. } => {
            office.settled()?;
            look(step, &office.index.get())
        }
        Step::Foresee { .. } => look(step, &office.index.get()),
        Step::Begin(import) => put(None, &import),
        Step::Complete { number, import } => put(Some(number), &import),
        Step::Commit { pilot, payload } => {
            let (index, now) = (office.index.get(), model::clock::now());
            let became = commit(pilot.as_str(), payload.into_bytes(), now, (&index, &office.committer));
            Ok(json!(became.context("failed to commit rows of the file")?))
        }
    }
}

/// Takes a step that changes nothing.
fn look(step: Step, index: &Index) -> Result<Value, Failure> {
    match step {
        Step::Surroundings { pilot } => match surroundings(pilot.as_str(), index) {
            Some(around) => Ok(json!(around)),
            None => Err(Failure::Arguments(format!(
                "--pilot: `{pilot}` is not in the registry; `{pilot}.toml` is not among its files"
            ))),
        },
        Step::Foresee { pilot, payload } => {
            let foreseen = foresee(pilot.as_str(), payload.into_bytes(), model::clock::now(), index);
            Ok(json!(foreseen.context("failed to read the store")?))
        }
        Step::List { pilot } => {
            let imports = index.store().imports(pilot.as_ref()).context("failed to read the imports")?;
            Ok(json!(imports))
        }
        Step::Begin(_) | Step::Commit { .. } | Step::Complete { .. } => {
            Err(anyhow::anyhow!("a dry run was asked to write").into())
        }
    }
}

/// See the module's comment.
pub(super) enum Desk {
    /// Its data directory.
    Server(PathBuf),
    Own(Arc<Office>, Box<Threads>),
    /// Of a dry run without a server.
    Looking {
        index: Box<Index>,
        _scratch: Option<TempStore>,
    },
}

impl Desk {
    /// Finds out who owns the data directory.
    ///
    /// # Errors
    /// If the directory cannot be opened, or there is none.
    pub(super) fn open(config: &Config, arguments: &ImportArgs, pilot: &PilotId) -> Result<Desk, Failure> {
        if let Some(answer) = ask(&config.data, &Request::Import(Step::Surroundings { pilot: pilot.clone() }))? {
            answer.into_result()?;
            return Ok(Desk::Server(config.data.clone()));
        }
        let exists = Store::exists(&config.data);
        if arguments.dry_run {
            return Desk::looking(config, exists);
        }
        if !exists && arguments.place.data.is_none() {
            let dir = config.data.display();
            return Err(Failure::Arguments(format!("`{dir}` holds no data; name the data directory with --data")));
        }
        let (office, threads) = Office::open(config, files::load(config)?)?;
        office.adopt()?;
        Ok(Desk::Own(office, Box::new(threads)))
    }

    fn looking(config: &Config, exists: bool) -> Result<Desk, Failure> {
        let loaded = files::load(config)?;
        let foreign = Arc::new(Foreign::new(loaded.mappings, config.sparkplug.clone()));
        let (store, scratch) = if exists {
            (Store::open(&config.data, Access::Reader).context("failed to read the store")?, None)
        } else {
            let scratch = TempStore::make().context("failed to make a scratch store")?;
            (Store::open(scratch.path(), Access::Owner).context("failed to open a scratch store")?, Some(scratch))
        };
        recall(&store, &foreign)?;
        let index = Box::new(Index::with(Arc::new(loaded.registry), store, foreign));
        Ok(Desk::Looking { index, _scratch: scratch })
    }

    /// Has a step taken.
    ///
    /// # Errors
    /// What it came to.
    pub(super) fn ask<T: DeserializeOwned>(&self, step: Step) -> Result<T, Failure> {
        let answer = match self {
            Desk::Own(office, _) => take(step, office)?,
            Desk::Looking { index, .. } => look(step, index)?,
            Desk::Server(data) => match ask(data, &Request::Import(step))? {
                Some(answer) => answer.into_result()?,
                None => {
                    let text =
                        "the server stopped in between; what was committed stands, the same command again completes it";
                    return Err(anyhow::anyhow!(text).into());
                }
            },
        };
        super::read(answer)
    }

    /// Stops what it started, once all of it is settled.
    pub(super) fn close(self) {
        match self {
            Desk::Server(_) | Desk::Looking { .. } => {}
            Desk::Own(office, threads) => {
                if let Err(error) = office.settled() {
                    tracing::warn!(error = format!("{error:#}"), "not settled yet; the next start does it");
                }
                drop(office);
                threads.stop();
            }
        }
    }
}
