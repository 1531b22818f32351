//! `pilotline explain`: what becomes of one message, or why it is refused.
//!
//! A running server explains it with what its dictionaries and edge nodes have said and the files as they are now; without
//! one, or with other files named, this command does, with what the store remembers. Either way nothing changes.

use std::io::Read;
use std::sync::Arc;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ingest::foreign::Foreign;
use ingest::index::Index;
use ingest::mapping::Mappings;
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

/// A message, and who is to have sent it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Question {
    topic: String,
    /// In base64.
    payload: String,
    client: String,
    sender: Sender,
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
    };
    let names_files = arguments.place.pilots.is_some() || arguments.place.mappings.is_some();
    let asked = if names_files { None } else { ask(&config.data, &Request::Explain(question.clone()))? };
    let answer = match asked {
        Some(answer) => answer.into_result()?,
        None => from_files(&config, &question)?,
    };
    if arguments.json {
        println!("{}", answer["explanation"]);
    } else {
        println!("{}", answer["text"].as_str().unwrap_or_default());
    }
    if answer["explanation"]["outcome"] == "rejected" { Err(Failure::Told) } else { Ok(()) }
}

fn sender(arguments: &ExplainArgs) -> Result<Sender, Failure> {
    match (&arguments.login, &arguments.pilot) {
        (Some(login), _) => Ok(Sender::Login(login.clone())),
        (None, Some(pilot)) => Ok(Sender::Pilot(PilotId::parse(pilot).context("--pilot")?)),
        (None, None) => Ok(Sender::Anonymous),
    }
}

fn payload(arguments: &ExplainArgs) -> anyhow::Result<Vec<u8>> {
    let mut payload = Vec::new();
    if arguments.file.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut payload).context("failed to read standard input")?;
    } else {
        let file = arguments.file.display();
        payload = std::fs::read(&arguments.file).with_context(|| format!("failed to read `{file}`"))?;
    }
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

/// For the server: by its files as they are now, and what it has heard.
pub(crate) fn heard(
    question: &Question,
    (registry, mappings): (Registry, Mappings),
    foreign: &Foreign,
    store: &Arc<Store>,
) -> Result<Value, Failure> {
    answer(question, registry, Arc::new(foreign.with_mappings(mappings)), store)
}

fn answer(
    question: &Question,
    registry: Registry,
    foreign: Arc<Foreign>,
    store: &Arc<Store>,
) -> Result<Value, Failure> {
    let identity = identity(&question.sender, store)?;
    let index = Index::with(registry.into(), Arc::clone(store), foreign);
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
    let explanation = ingest::explain::explain(&observation, &identity, &index);
    Ok(json!({ "text": explanation.to_string(), "explanation": explanation }))
}

fn identity(sender: &Sender, store: &Store) -> anyhow::Result<Identity> {
    match sender {
        Sender::Anonymous => Ok(Identity::Anonymous),
        Sender::Pilot(pilot) => {
            Ok(Identity::Login { name: pilot.as_str().to_owned(), pilot: pilot.clone(), gateway: None })
        }
        Sender::Login(name) => {
            let logins = store.logins().context("failed to read the logins")?;
            let login = logins.into_iter().find(|login| login.name == *name);
            let login = login.with_context(|| {
                format!("--login: the data directory has no login `{name}`; `pilotline login list` shows them; or say --pilot")
            })?;
            Ok(Identity::Login { name: login.name, pilot: login.pilot, gateway: login.gateway })
        }
    }
}
