//! `pilotline check`: config, registry and programme files, and with `--data` every checksum of a store.

use anyhow::{Context, bail};
use serde_json::json;
use store::{Damage, Store};

use crate::Failure;
use crate::args::CheckArgs;
use crate::config::Config;
use crate::files;

pub(crate) fn check(arguments: &CheckArgs) -> Result<(), Failure> {
    let config = Config::load(&arguments.place)?;
    let loaded = files::load(&config).and_then(|loaded| match loaded.mappings.test() {
        mistakes if mistakes.is_empty() => Ok(loaded),
        mistakes => Err(mistakes),
    });
    let damage = match &arguments.place.data {
        Some(data) => Store::check(data).context("failed to open the store")?,
        None => Vec::new(),
    };
    if arguments.json {
        let mistakes = loaded.as_ref().err().into_iter().flatten();
        let mistakes: Vec<_> = mistakes.map(|m| json!({ "file": m.file, "line": m.line, "text": m.text })).collect();
        println!("{}", json!({ "mistakes": mistakes, "damage": damage }));
    }
    let loaded = loaded?;
    report_damage(&damage)?;
    if !arguments.json {
        let checked = if arguments.place.data.is_some() { ", every checksum of the store is right" } else { "" };
        let n_pilots = loaded.registry.pilots.len();
        let pilots = if n_pilots == 1 { "pilot" } else { "pilots" };
        println!("{n_pilots} {pilots}, programme {}{checked}", loaded.programme.id);
    }
    Ok(())
}

fn report_damage(damage: &[Damage]) -> anyhow::Result<()> {
    for found in damage {
        eprintln!("{}: {}", found.place, found.text);
    }
    if !damage.is_empty() {
        bail!("the store is damaged in {} places", damage.len());
    }
    Ok(())
}
