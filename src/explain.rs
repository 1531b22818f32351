//! `pilotline explain`: what becomes of one message, or why it is refused.
//!
//! A running server explains it with what its dictionaries and edge nodes have said, by the files as they are now; without
//! one this command does, with what the store remembers. Either way nothing changes.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ingest::explain::Explanation;
use ingest::foreign::Foreign;
use ingest::index::Index;
use ingest::observation::LISTENER;
use ingest::{Identity, Observation};
use model::{PilotId, Registry};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Access, Store};

use crate::Failure;
use crate::args::ExplainArgs;
use crate::config::Config;
use crate::control::{Request, ask};
use crate::files;
use crate::office::{TempStore, recall};
use crate::say::say;

/// Bytes of a payload that are read: the listener takes no larger packet.
const PAYLOAD_MAX: u64 = 2 << 20;

/// A message, and who is to have sent it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Question {
    topic: String,
    /// In base64.
    payload: String,
    client: String,
    sender: Sender,
    /// Other files than those of the server.
    pilots: Option<PathBuf>,
    mappings: Option<PathBuf>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Sender {
    Anonymous,
    /// This login of the store.
    Login(String),
    /// Any login of this pilot.
    Pilot(PilotId),
}

pub(crate) fn explain(arguments: &ExplainArgs) -> Result<(), Failure> {
    let config = Config::load(&arguments.place)?;
    let question = Question {
        topic: arguments.topic.clone(),
        payload: BASE64_STANDARD.encode(payload(arguments)?),
        client: arguments.client.clone().unwrap_or_default(),
        sender: sender(arguments)?,
        pilots: absolute(arguments.place.pilots.as_deref())?,
        mappings: absolute(arguments.place.mappings.as_deref())?,
    };
    let answer = match ask(&config.data, &Request::Explain(question.clone()))? {
        Some(answer) => answer.into_result()?,
        None => from_files(&config, &question)?,
    };
    if arguments.json {
        say!("{}", answer["explanation"]);
    } else {
        say!("{}", answer["text"].as_str().unwrap_or_default());
    }
    if let Some(note) = answer["note"].as_str() {
        eprintln!("{note}");
    }
    if answer["explanation"]["outcome"] == "rejected" { Err(Failure::Told) } else { Ok(()) }
}

/// As the server finds it, wherever it was started.
fn absolute(dir: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
    let absolute = |dir: &Path| std::path::absolute(dir).with_context(|| format!("no path: `{}`", dir.display()));
    dir.map(absolute).transpose()
}

fn sender(arguments: &ExplainArgs) -> Result<Sender, Failure> {
    match (&arguments.login, &arguments.pilot) {
        (Some(login), _) => Ok(Sender::Login(login.clone())),
        (None, Some(pilot)) => {
            let pilot = PilotId::parse(pilot).map_err(|error| Failure::Arguments(format!("--pilot: {error}")))?;
            Ok(Sender::Pilot(pilot))
        }
        (None, None) => Ok(Sender::Anonymous),
    }
}

/// The payload; one byte more than a message may have is enough to say so.
fn payload(arguments: &ExplainArgs) -> Result<Vec<u8>, Failure> {
    let mut payload = Vec::new();
    let mut read = |source: &mut dyn Read| source.take(PAYLOAD_MAX + 1).read_to_end(&mut payload).map(drop);
    let done = match arguments.file.as_os_str() == "-" {
        true => read(&mut std::io::stdin()),
        false => std::fs::File::open(&arguments.file).and_then(|mut file| read(&mut file)),
    };
    let place = arguments.file.display();
    done.map_err(|error| Failure::Arguments(format!("`{place}` does not read: {error}")))?;
    Ok(payload)
}

/// Without a server: by the files, and what the store remembers if there is one.
fn from_files(config: &Config, question: &Question) -> Result<Value, Failure> {
    let loaded = files::load(config)?;
    let foreign = Foreign::new(loaded.mappings, config.sparkplug.clone());
    // Where no store is yet, series are looked up in one that is thrown away.
    let (_scratch, store) = match Store::exists(&config.data) {
        true => (None, Store::open(&config.data, Access::Reader).context("failed to read the store")?),
        false => {
            let scratch = TempStore::make().context("failed to make a scratch store")?;
            let store = Store::open(scratch.path(), Access::Owner).context("failed to open a scratch store")?;
            (Some(scratch), store)
        }
    };
    recall(&store, &foreign)?;
    answer(question, loaded.registry, Arc::new(foreign), &store)
}

/// For the server: by its files as they are now (or those named), and what it has heard. Says so where it does not yet do
/// what its files say.
pub(crate) fn heard(question: &Question, config: &Config, in_force: &Index) -> Result<Value, Failure> {
    let mut config = config.clone();
    config.pilots = question.pilots.clone().unwrap_or(config.pilots);
    config.mappings = question.mappings.clone().map_or(config.mappings, crate::config::Mappings::Named);
    let loaded = files::load(&config)?;
    let foreign = Arc::new(in_force.foreign().with_mappings(loaded.mappings));
    let mut by_files = answer(question, loaded.registry, foreign, in_force.store())?;
    let now = explanation(question, in_force)?;
    if question.pilots.is_none() && question.mappings.is_none() && by_files["explanation"] != json!(now) {
        by_files["note"] = json!(
            "this is what the files say; the running server has older ones and would answer otherwise: `pilotline reload`"
        );
    }
    Ok(by_files)
}

fn answer(
    question: &Question,
    registry: Registry,
    foreign: Arc<Foreign>,
    store: &Arc<Store>,
) -> Result<Value, Failure> {
    if let Sender::Pilot(pilot) = &question.sender
        && !registry.pilots.contains_key(pilot)
    {
        let text = format!("--pilot: `{pilot}` is not in the registry; `{pilot}.toml` is not among its files");
        return Err(Failure::Arguments(text));
    }
    let explanation = explanation(question, &Index::with(registry.into(), Arc::clone(store), foreign))?;
    Ok(json!({ "text": explanation.to_string(), "explanation": explanation }))
}

fn explanation(question: &Question, index: &Index) -> Result<Explanation, Failure> {
    let identity = identity(&question.sender, index.store())?;
    let observation = Observation {
        door: LISTENER.into(),
        client: question.client.as_str().into(),
        topic: question.topic.clone(),
        payload: BASE64_STANDARD.decode(&question.payload).context("the payload is no base64")?.into(),
        received_at: model::clock::now(),
        qos: 1,
        dup: false,
        retained: false,
    };
    Ok(ingest::explain::explain(&observation, &identity, index))
}

fn identity(sender: &Sender, store: &Store) -> Result<Identity, Failure> {
    match sender {
        Sender::Anonymous => Ok(Identity::Anonymous),
        Sender::Pilot(pilot) => {
            Ok(Identity::Login { name: pilot.as_str().to_owned(), pilot: pilot.clone(), gateway: None })
        }
        Sender::Login(name) => {
            let logins = store.logins().context("failed to read the logins")?;
            let login = logins.into_iter().find(|login| login.name == *name);
            let login = login.ok_or_else(|| {
                Failure::Arguments(format!(
                    "--login: the data directory has no login `{name}`; `pilotline login list` shows them; or say --pilot"
                ))
            })?;
            Ok(Identity::Login { name: login.name, pilot: login.pilot, gateway: login.gateway })
        }
    }
}
