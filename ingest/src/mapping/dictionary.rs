//! What metadata messages have taught: names by pilot, dictionary and key.
//!
//! Invariants:
//! - a pilot's entries are seen by its own messages only;
//! - the number of entries is bounded per pilot; what is beyond is not learned, and readings that need it are refused and
//!   kept like those of any unknown id.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bumpalo::Bump;
use model::PilotId;

/// Stands between the parts of a key; no gateway sends this control character in an id.
pub(super) const SEPARATOR: char = '\u{1f}';
/// Entries of one pilot, over all dictionaries: ten of the largest connectors' 10,000 points. Beyond: not learned.
pub(super) const ENTRIES_MAX: usize = 100_000;
/// Bytes of a key and of a name; longer ones are not learned.
pub(super) const ENTRY_BYTES_MAX: usize = 1024;

type Entries = HashMap<Box<str>, Arc<str>>;

#[derive(Debug, Default)]
struct OfPilot {
    by_name: HashMap<Box<str>, Entries>,
    n_entries: usize,
    /// An entry came or changed since [`Dictionaries::taught`] was asked.
    is_news: bool,
}

/// What metadata messages have taught, by pilot, dictionary and key.
#[derive(Debug, Default)]
pub struct Dictionaries {
    pilots: RwLock<HashMap<PilotId, OfPilot>>,
    generation: AtomicU64,
}

impl Dictionaries {
    /// Rises when an entry comes or changes: what was refused as unknown may be taken now.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Learns one entry.
    pub(super) fn teach(&self, pilot: &PilotId, dictionary: &str, key: &str, value: &str) {
        if key.len() > ENTRY_BYTES_MAX || value.len() > ENTRY_BYTES_MAX {
            return;
        }
        let mut pilots = self.pilots.write().unwrap_or_else(PoisonError::into_inner);
        let of_pilot = pilots.entry(pilot.clone()).or_default();
        let entries = of_pilot.by_name.entry(dictionary.into()).or_default();
        match entries.get_mut(key) {
            Some(known) if **known == *value => return,
            Some(known) => *known = value.into(),
            None if of_pilot.n_entries >= ENTRIES_MAX => return,
            None => {
                entries.insert(key.into(), value.into());
                of_pilot.n_entries += 1;
            }
        }
        of_pilot.is_news = true;
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// The pilots of which entries came or changed since the last call, sorted: what was refused as `unknown_id` may be
    /// readable now.
    pub fn taught(&self) -> Vec<PilotId> {
        let mut pilots = self.pilots.write().unwrap_or_else(PoisonError::into_inner);
        let news =
            |(pilot, of_pilot): (&PilotId, &mut OfPilot)| std::mem::take(&mut of_pilot.is_news).then(|| pilot.clone());
        let mut taught: Vec<PilotId> = pilots.iter_mut().filter_map(news).collect();
        taught.sort();
        taught
    }

    /// The name of a key, as text of the message.
    pub(super) fn look_up<'a>(&self, pilot: &PilotId, dictionary: &str, key: &str, arena: &'a Bump) -> Option<&'a str> {
        let pilots = self.pilots.read().unwrap_or_else(PoisonError::into_inner);
        let name = pilots.get(pilot)?.by_name.get(dictionary)?.get(key)?;
        Some(arena.alloc_str(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_is_bounded_and_its_generation_rises_with_changes_only() {
        let (dictionaries, pilot) = (Dictionaries::default(), PilotId::parse("p-1").unwrap());
        let other = PilotId::parse("p-2").unwrap();
        dictionaries.teach(&pilot, "d", "k", "one");
        dictionaries.teach(&pilot, "d", "k", "one");
        assert_eq!(dictionaries.generation(), 1);
        assert_eq!((dictionaries.taught(), dictionaries.taught()), (vec![pilot.clone()], vec![]));
        dictionaries.teach(&pilot, "d", "k", "one");
        assert_eq!(dictionaries.taught(), []);
        dictionaries.teach(&pilot, "d", "k", "two");
        assert_eq!(dictionaries.generation(), 2);
        let arena = Bump::new();
        assert_eq!(dictionaries.look_up(&pilot, "d", "k", &arena), Some("two"));
        assert_eq!(dictionaries.look_up(&other, "d", "k", &arena), None);
        for n in 0..=ENTRIES_MAX {
            dictionaries.teach(&pilot, "d", &n.to_string(), "x");
        }
        assert_eq!(dictionaries.look_up(&pilot, "d", &ENTRIES_MAX.to_string(), &arena), None);
        dictionaries.teach(&pilot, "d", "long", &"x".repeat(ENTRY_BYTES_MAX + 1));
        assert_eq!(dictionaries.look_up(&pilot, "d", "long", &arena), None);
    }
}
