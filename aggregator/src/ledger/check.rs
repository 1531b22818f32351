//! Verifies the ledger: that nothing published was changed, left out or put in, and that figures say what was published unless a
//! change of them is noted.

use std::collections::BTreeMap;

use model::{Indicator, Period, Scope, UnixMillis};
use store::StoreError;

use super::content::content_hash;
use super::entry::{EntryHash, FIRST, hash_in, read, text_of};
use super::rows::{Head, Heads};
use crate::{Aggregator, Difference};

/// What the entries of a scope come to.
#[derive(Default)]
struct Told {
    heads: BTreeMap<Indicator, Heads>,
    found: Vec<Difference>,
}

impl Told {
    fn add(&mut self, place: &str, text: impl Into<String>) {
        self.found.push(Difference { place: place.to_owned(), text: text.into() });
    }
}

impl Aggregator {
    /// Every difference between the ledger and what it has to be. Damage is collected, not raised.
    pub(crate) fn ledger_differences(&self) -> Result<Vec<Difference>, StoreError> {
        let mut found = Vec::new();
        for name in self.store.ledger_scopes()? {
            let mut told = self.read_chain(&name)?;
            let is_whole = told.found.is_empty();
            found.append(&mut told.found);
            // Of entries that do not read, what they published is not known.
            if is_whole {
                self.compare_heads(&name, &told.heads, &mut found)?;
            }
        }
        Ok(found)
    }

    /// Follows the chain of a scope from its first entry to its last.
    fn read_chain(&self, name: &str) -> Result<Told, StoreError> {
        let mut told = Told::default();
        let (mut previous, mut cut_before) = (FIRST, UnixMillis(i64::MIN));
        for (index, (number, cut_at)) in self.store.ledger_numbers(name)?.into_iter().enumerate() {
            let place = format!("ledger/{name}/{number}");
            if usize::try_from(number).ok() != Some(index + 1) {
                told.add(&place, format!("entry {} of the scope is missing before it", index + 1));
                return Ok(told);
            }
            if cut_at < cut_before {
                told.add(&place, "it is dated before the entry that it follows");
            }
            match self.read_entry(name, (number, cut_at), previous, &mut told) {
                Ok(hash) => previous = hash,
                Err(error @ (StoreError::Checksum { .. } | StoreError::Format { .. })) => {
                    told.add(&place, error.to_string());
                    return Ok(told);
                }
                Err(error) => return Err(error),
            }
            cut_before = cut_at;
        }
        Ok(told)
    }

    /// Checks one entry against what goes before it, and takes up its versions; gives its hash.
    fn read_entry(
        &self,
        name: &str,
        (number, cut_at): (u32, UnixMillis),
        previous: EntryHash,
        told: &mut Told,
    ) -> Result<EntryHash, StoreError> {
        let place = format!("ledger/{name}/{number}");
        let bytes = self.store.ledger_entry(name, number)?.map(|entry| entry.bytes).unwrap_or_default();
        let text = text_of(&place, &bytes)?;
        let (heading, lines) = read(&place, &text)?;
        if heading.previous != previous.to_string() {
            told.add(&place, "it does not follow the entry before it");
        }
        if (heading.scope.as_str(), heading.entry, heading.cut_at) != (name, number, cut_at) {
            told.add(&place, "it stands under another scope, number or time than it was published with");
        }
        for line in lines {
            let line = line?;
            let figure = line.figure(&place)?;
            let heads = told.heads.entry(line.indicator.clone()).or_default();
            let last = heads.get(&line.period).map_or(0, |head| head.version);
            let head = Head { version: line.version, entry: number, cut_at, content: content_hash(&figure)? };
            heads.insert(line.period, head);
            let what = format!("{} {}", line.indicator, line.period);
            if line.version != last + 1 {
                told.add(&place, format!("{what}: version {} follows version {last}", line.version));
            }
            let is_of = (figure.scope.to_string(), &figure.indicator, figure.period, figure.version);
            if is_of != (name.to_owned(), &line.indicator, line.period, Some(line.version)) {
                told.add(&place, format!("{what}: its figure is another one"));
            }
        }
        hash_in(&place, &bytes)
    }

    /// What stands beside the entries, and the figures as they are now, against what the entries say.
    fn compare_heads(
        &self,
        name: &str,
        told: &BTreeMap<Indicator, Heads>,
        found: &mut Vec<Difference>,
    ) -> Result<(), StoreError> {
        let mut add = |place: String, text: String| found.push(Difference { place, text });
        for id in self.store.ledger_indicators(name)? {
            if !Indicator::parse(&id).is_some_and(|indicator| told.contains_key(&indicator)) {
                add(format!("ledger_head/{name}/{id}"), "no entry of the scope holds it".to_owned());
            }
        }
        for (indicator, heads) in told {
            let id = indicator.to_string();
            let place = format!("ledger_head/{name}/{id}");
            let stored = match self.heads(name, &id) {
                Ok(stored) => stored,
                Err(error @ (StoreError::Checksum { .. } | StoreError::Format { .. })) => {
                    add(place, error.to_string());
                    continue;
                }
                Err(error) => return Err(error),
            };
            if stored != *heads {
                add(place, "it is not what the entries of the scope say".to_owned());
            }
            let Some(scope) = Scope::parse(name).filter(|scope| self.knows(scope)) else { continue };
            for period in self.strayed((&scope, indicator), heads)? {
                let version = heads.get(&period).map_or(0, |head| head.version);
                let text = format!("is not what its version {version} says, and no change of it is noted");
                add(format!("figure {name} {id} {period}"), text);
            }
        }
        Ok(())
    }

    /// The periods whose figure differs from its last version although nothing is noted that is to be published.
    fn strayed(&self, (scope, indicator): (&Scope, &Indicator), heads: &Heads) -> Result<Vec<Period>, StoreError> {
        let unpublished = self.unpublished(&scope.to_string(), &indicator.to_string())?;
        let stored = self.stored_figures(scope, indicator)?;
        let mut strayed = Vec::new();
        for (period, head) in heads.iter().filter(|(period, _)| !unpublished.contains_key(period)) {
            // Of a figure that is there no more only the reason could differ: what stands for it says the one of today.
            if let Some(figure) = stored.iter().find(|figure| figure.period == *period)
                && content_hash(figure)? != head.content
            {
                strayed.push(*period);
            }
        }
        Ok(strayed)
    }
}
