//! `pilotline explain`: what becomes of one message, or why it is refused.

use std::io::Read;
use std::sync::Arc;

use anyhow::Context;
use ingest::foreign::Foreign;
use ingest::index::Index;
use ingest::observation::LISTENER;
use ingest::sparkplug::Settings;
use ingest::{Identity, Observation};
use store::{Access, Store};

use crate::Failure;
use crate::args::ExplainArgs;
use crate::config::Config;
use crate::files;
use crate::office::TempStore;

pub(crate) fn explain(arguments: &ExplainArgs) -> Result<(), Failure> {
    let config = Config::load(&arguments.place)?;
    let loaded = files::load(&config)?;
    let payload = payload(arguments)?;
    // Explaining must not touch anybody's data: series get their numbers in a store that is thrown away.
    let scratch = TempStore::make().context("failed to make a scratch store")?;
    let store = Store::open(scratch.path(), Access::Owner).context("failed to open a scratch store")?;
    let foreign = Arc::new(Foreign::new(loaded.mappings, Settings::default()));
    let index = Index::with(loaded.registry.into(), store, foreign);
    let observation = Observation {
        door: LISTENER.into(),
        client: Arc::default(),
        topic: arguments.topic.clone(),
        payload: payload.into(),
        received_at: model::clock::now(),
        qos: 1,
        dup: false,
        retained: false,
    };
    let explanation = ingest::explain::explain(&observation, &Identity::Anonymous, &index);
    if arguments.json {
        println!("{}", serde_json::to_string(&explanation).context("failed to print JSON")?);
    } else {
        println!("{explanation}");
    }
    Ok(())
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
