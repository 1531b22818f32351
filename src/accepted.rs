//! The registry file of each pilot as it was last accepted, kept in the store: once a figure of a pilot was published, an edit of
//! what figures are computed from needs a `[[change]]` that says who made it, when and why.
//!
//! Invariants:
//! - an edit that no figure depends on (names, topics, comments) needs none;
//! - an edit that nobody explained is never in force: a reload refuses it, and a start keeps to the accepted file.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use model::Pilot;
use model::registry::{Dependence, Mistake, Registry, dependence, parse_pilot};
use store::Store;

/// Texts written in one transaction, some 5 kB each.
const TEXTS_PER_TX: usize = 48;

fn key(pilot: &Pilot) -> String {
    format!("registry/accepted/{}", pilot.id)
}

/// The file that was accepted last; none if there is none, or none that this program reads.
fn accepted(store: &Store, pilot: &Pilot) -> anyhow::Result<Option<Pilot>> {
    let bytes = store.meta(&key(pilot)).context("failed to read the accepted registry")?;
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    // No path of a file: it came from the store.
    let file = format!("(accepted)/{}.toml", pilot.id);
    Ok(text.and_then(|text| parse_pilot(&file, &text).ok()))
}

/// The accepted file of a pilot whose published figures an edit changes without saying why, and what to say of it.
fn unexplained_edit(store: &Store, pilot: &Pilot) -> anyhow::Result<Option<(Pilot, Mistake)>> {
    let scope = format!("pilot:{}", pilot.id);
    let is_published = || -> Result<bool, store::StoreError> {
        Ok(store.has_ledger()? && !store.ledger_indicators(&scope)?.is_empty())
    };
    if !is_published().context("failed to read the ledger")? {
        return Ok(None);
    }
    let Some(before) = accepted(store, pilot)? else { return Ok(None) };
    let is_explained = pilot.changes.iter().any(|change| !before.changes.contains(change));
    let parts = differing(&dependence(&before), &dependence(pilot));
    if parts.is_empty() || is_explained {
        return Ok(None);
    }
    let text = format!(
        "figures of `{}` are published, and this edit changes what they were computed from ({}); say why with a new \
         `[[change]]` of `at`, `author` and `reason`, or take the edit back",
        pilot.id,
        parts.join(", ")
    );
    let mistake = Mistake { file: pilot.source.file.clone(), line: pilot.source.line_of(""), text };
    Ok(Some((before, mistake)))
}

fn differing(before: &Dependence, after: &Dependence) -> Vec<&'static str> {
    let parts = [
        (before.baseline != after.baseline, "a baseline period, or what a plan asks for"),
        (before.factors != after.factors, "conversion factors"),
        (before.rest != after.rest, "series, products, prices, calendar, groups or adjustments"),
    ];
    parts.into_iter().filter(|(differs, _)| *differs).map(|(_, part)| part).collect()
}

/// Every edit that nobody explained.
///
/// # Errors
/// On reading the store.
pub(crate) fn unexplained(store: &Store, registry: &Registry) -> anyhow::Result<Vec<Mistake>> {
    let mut mistakes = Vec::new();
    for pilot in registry.pilots.values() {
        mistakes.extend(unexplained_edit(store, pilot)?.map(|(_, mistake)| mistake));
    }
    Ok(mistakes)
}

/// The registry with the accepted file of each pilot whose edit nobody explained; each is told.
///
/// # Errors
/// On reading the store.
pub(crate) fn without_unexplained(store: &Store, mut registry: Registry) -> anyhow::Result<Registry> {
    for pilot in registry.pilots.values_mut() {
        if let Some((before, mistake)) = unexplained_edit(store, pilot)? {
            tracing::error!(%mistake, "registry file not taken up; the last accepted one stays in force");
            *pilot = Arc::new(before);
        }
    }
    Ok(registry)
}

/// Keeps the texts (by path) of the files that are in force; a pilot in force by its accepted file keeps that one.
///
/// # Errors
/// On reading or writing the store.
pub(crate) fn keep(store: &Store, registry: &Registry, texts: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let mut new = Vec::new();
    for pilot in registry.pilots.values() {
        let Some(text) = texts.get(&pilot.source.file) else { continue };
        let known = store.meta(&key(pilot)).context("failed to read the accepted registry")?;
        if known.as_deref() != Some(text.as_bytes()) {
            new.push((key(pilot), text));
        }
    }
    for texts in new.chunks(TEXTS_PER_TX) {
        let put = store.write(|tx| texts.iter().try_for_each(|(key, text)| tx.put_meta(key, text.as_bytes())));
        put.context("failed to keep the accepted registry")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use store::{Access, LedgerEntry};

    use super::*;
    use crate::office::TempStore;

    const FILE: &str = "[pilot]\nid = \"p\"\nname = \"P\"\nregion = \"hami\"\nsector = \"electronics\"\nclass = \"pilot\"\n\
                        zone = \"Asia/Shanghai\"\n[baseline]\nfrom = 2015-01-01\nto = 2015-12-31\n";
    const WHY: &str =
        "[[change]]\nat = 2026-02-01T00:00:00+08:00\nauthor = \"A\"\nreason = \"the meter was misread\"\n";

    fn registry(text: &str) -> (Registry, BTreeMap<String, String>) {
        let pilot = parse_pilot("pilots/p.toml", text).unwrap();
        let texts = [("pilots/p.toml".to_owned(), text.to_owned())].into();
        (Registry { pilots: [(pilot.id.clone(), Arc::new(pilot))].into() }, texts)
    }

    #[test]
    fn an_edit_of_what_published_figures_are_computed_from_has_to_be_explained() {
        let dir = TempStore::make().unwrap();
        let store = Store::open(dir.path(), Access::Owner).unwrap();
        let (first, texts) = registry(FILE);
        keep(&store, &first, &texts).unwrap();
        let edited = FILE.replace("2015-12-31", "2015-11-30");
        let n_mistakes = |text: &str| unexplained(&store, &registry(text).0).unwrap().len();
        assert_eq!(n_mistakes(&edited), 0, "nothing is published yet");

        let entry = LedgerEntry { entry: 1, cut_at: model::UnixMillis(0), bytes: Vec::new() };
        let publish = |tx: &store::WriteTx<'_>| {
            tx.add_ledger_entry("pilot:p", &entry)?;
            tx.put_ledger_head("pilot:p", "defect_rate", b"")
        };
        store.write(publish).unwrap();
        assert_eq!(n_mistakes(FILE), 0);
        assert_eq!(n_mistakes(&FILE.replace("\"P\"", "\"Q\"")), 0, "no figure depends on a name");
        assert_eq!(n_mistakes(&format!("{edited}{WHY}")), 0);
        let mistakes = unexplained(&store, &registry(&edited).0).unwrap();
        let told = mistakes[0].to_string();
        assert!(told.starts_with("pilots/p.toml:1: figures of `p` are published"), "{told}");
        assert!(
            told.contains("(a baseline period, or what a plan asks for)") && told.contains("`[[change]]`"),
            "{told}"
        );

        let (in_force, texts) = (without_unexplained(&store, registry(&edited).0).unwrap(), registry(&edited).1);
        let baseline = |registry: &Registry| registry.pilots.values().next().unwrap().baseline.to.to_string();
        assert_eq!(baseline(&in_force), "2015-12-31", "a start keeps to the accepted file");
        keep(&store, &in_force, &texts).unwrap();
        assert_eq!(n_mistakes(&edited), 1, "and does not accept the other one by the way");

        let (explained, texts) = registry(&format!("{edited}{WHY}"));
        assert_eq!(baseline(&without_unexplained(&store, explained.clone()).unwrap()), "2015-11-30");
        keep(&store, &explained, &texts).unwrap();
        assert_eq!(n_mistakes(&format!("{FILE}{WHY}")), 1, "the same words do not explain the next edit");
    }
}
