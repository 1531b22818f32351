//! `pilotline check`: config, registry and programme files, and with `--data` every checksum of a store.

use anyhow::{Context, bail};
use serde_json::json;
use store::{Damage, Store};

use crate::Failure;
use crate::args::CheckArgs;
use crate::config::Config;
use crate::files;
use crate::say::say;

pub(crate) fn check(arguments: &CheckArgs) -> Result<(), Failure> {
    let config = Config::load(&arguments.place)?;
    let loaded = files::load(&config).and_then(|loaded| match loaded.mappings.test() {
        mistakes if mistakes.is_empty() => Ok(loaded),
        mistakes => Err(mistakes),
    });
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

fn report_damage(damage: &[Damage]) -> anyhow::Result<()> {
    for found in damage {
        eprintln!("{}: {}", found.place, found.text);
    }
    if !damage.is_empty() {
        bail!("the store is damaged in {} places", damage.len());
    }
    Ok(())
}
