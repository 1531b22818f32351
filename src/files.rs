//! Reads registry and programme files from disk; the crates that parse them do no I/O.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ingest::mapping::Mappings;
use model::registry::{Mistake, Registry, assemble, check_against};
use model::{Pilot, Programme};
use seeds::factors::Factors;

use crate::config::{Config, Mappings as Place};

/// What the files say, checked as a whole.
pub(crate) struct Loaded {
    pub(crate) registry: Registry,
    /// The registry's files by path.
    pub(crate) texts: Texts,
    pub(crate) programme: Arc<Programme>,
    pub(crate) factors: Arc<Factors>,
    pub(crate) mappings: Mappings,
}

/// Texts by path.
pub(crate) type Texts = BTreeMap<String, String>;

/// Reads programme and registry.
///
/// # Errors
/// Every mistake of every file.
pub(crate) fn load(config: &Config) -> Result<Loaded, Vec<Mistake>> {
    let programme = programme(config.programme.as_deref())?;
    let factors = Factors::builtin();
    let (registry, texts) = registry(config, &programme, &factors)?;
    let mappings = mappings(&config.mappings)?;
    Ok(Loaded { registry, texts, programme: Arc::new(programme), factors: Arc::new(factors), mappings })
}

/// Reads every `*.toml` of a directory as one pilot's file, and gives the texts as well; of several processes each keeps its own
/// pilots.
///
/// # Errors
/// Every mistake of every file, in order of file name and line.
pub(crate) fn registry(
    config: &Config,
    programme: &Programme,
    factors: &Factors,
) -> Result<(Registry, Texts), Vec<Mistake>> {
    let (mut registry, texts) = whole_registry(&config.pilots, programme, factors)?;
    if let Some(shard) = config.shard {
        registry.pilots.retain(|pilot, _| shard.takes(pilot));
    }
    Ok((registry, texts))
}

fn whole_registry(dir: &Path, programme: &Programme, factors: &Factors) -> Result<(Registry, Texts), Vec<Mistake>> {
    let advice = "name the directory that holds one PILOT.toml per pilot with --pilots";
    let texts = texts(dir, advice).map_err(|mistake| vec![mistake])?;
    let by_path = texts.iter().cloned().collect();
    let (registry, mut mistakes) = assemble(texts);
    let of_pilot = |pilot: &Arc<Pilot>| {
        let mut mistakes = check_against(pilot, programme);
        mistakes.extend(factors.check(pilot));
        mistakes
    };
    mistakes.extend(registry.pilots.values().flat_map(of_pilot));
    if mistakes.is_empty() { Ok((registry, by_path)) } else { Err(mistakes) }
}

/// Reads every `*.toml` of the mappings' directory, and compiles them before the built-in profiles.
///
/// # Errors
/// Every mistake of every file.
pub(crate) fn mappings(place: &Place) -> Result<Mappings, Vec<Mistake>> {
    let dir = match place {
        Place::Named(dir) => dir,
        Place::Beside(dir) if dir.is_dir() => dir,
        Place::Beside(_) => return Ok(Mappings::builtin()),
    };
    let texts =
        texts(dir, "name the directory that holds mapping files with --mappings").map_err(|mistake| vec![mistake])?;
    Mappings::load(texts)
}

/// The built-in programme, or the one of a file.
fn programme(file: Option<&Path>) -> Result<Programme, Vec<Mistake>> {
    let Some(path) = file else { return Ok(seeds::programme::builtin()) };
    let text = read(path).map_err(|mistake| vec![mistake])?;
    seeds::programme::parse(&path.display().to_string(), &text)
}

fn texts(dir: &Path, advice: &str) -> Result<Vec<(String, String)>, Mistake> {
    let unreadable = |error: std::io::Error| {
        let text = format!("cannot be read: {error}; {advice}");
        Mistake { file: dir.display().to_string(), line: 0, text }
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| Ok((path.display().to_string(), read(path)?))).collect()
}

fn read(path: &Path) -> Result<String, Mistake> {
    let file = path.display().to_string();
    std::fs::read_to_string(path).map_err(|error| Mistake { file, line: 0, text: format!("cannot be read: {error}") })
}
