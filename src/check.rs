//! `pilotline check`: config, registry and programme files, and with `--data` every checksum of a store.

use std::path::Path;

use anyhow::{Context, bail};
use model::registry::Mistake;
use serde_json::json;
use store::{Access, Damage, Store};

use crate::Failure;
use crate::accepted;
use crate::args::CheckArgs;
use crate::config::Config;
use crate::files::{self, Loaded};
use crate::say::say;

pub(crate) fn check(arguments: &CheckArgs) -> Result<(), Failure> {
    let config = Config::load(&arguments.place)?;
    let loaded = files::load(&config).and_then(|loaded| match loaded.mappings.test() {
        mistakes if mistakes.is_empty() => Ok(loaded),
        mistakes => Err(mistakes),
    });
    let loaded = match (loaded, &arguments.place.data) {
        (Ok(loaded), Some(data)) => explained(loaded, data)?,
        (loaded, Some(_) | None) => loaded,
    };
    let damage = match &arguments.place.data {
        Some(data) => Store::check(data).context("failed to open the store"),
        None => Ok(Vec::new()),
    };
    // What is wrong with the files is said also where the store cannot be opened.
    let damage = match (damage, &loaded) {
        (Err(error), Err(_)) => {
            eprintln!("pilotline: {error:#}");
            Vec::new()
        }
        (damage, _) => damage?,
    };
    if arguments.json {
        let mistakes = loaded.as_ref().err().into_iter().flatten();
        let mistakes: Vec<_> = mistakes.map(|m| json!({ "file": m.file, "line": m.line, "text": m.text })).collect();
        say!("{}", json!({ "mistakes": mistakes, "damage": damage }));
    }
    let loaded = loaded?;
    report_damage(&damage)?;
    if !arguments.json {
        let checked = if arguments.place.data.is_some() { ", every checksum of the store is right" } else { "" };
        let n_pilots = loaded.registry.pilots.len();
        let count = |n: usize, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
        let (pilots, programme) = (count(n_pilots, "pilot"), &loaded.programme.id);
        let (n_rules, n_tests) = loaded.mappings.n_own();
        let mappings = match n_rules {
            0 => "built-in mappings only".to_owned(),
            _ => format!("{} of own mapping files, {} passed", count(n_rules, "rule"), count(n_tests, "test")),
        };
        say!("{pilots}, programme {programme}, {mappings}{checked}");
    }
    Ok(())
}

/// The files, unless an edit of them changes published figures and says nothing of why.
fn explained(loaded: Loaded, data: &Path) -> anyhow::Result<Result<Loaded, Vec<Mistake>>> {
    if !Store::exists(data) {
        return Ok(Ok(loaded));
    }
    let store = Store::open(data, Access::Reader).context("failed to open the store")?;
    let mistakes = accepted::unexplained(&store, &loaded.registry)?;
    Ok(if mistakes.is_empty() { Ok(loaded) } else { Err(mistakes) })
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
