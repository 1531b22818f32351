//! The catalogue: every series the store has a number for, in memory.
//!
//! Numbers are given by any thread and travel in the next commit; settling writes them to `store.sqlite`.
//!
//! Invariants:
//! - (key, registration) is unique, and a number is never given twice, not even if the row that named it was damaged;
//! - an entry is pending until a commit that holds it succeeded.

use std::collections::{BTreeMap, HashMap};

use model::{PilotId, SeriesId, SeriesKey};

use crate::api::{CatalogueEntry, Registration};

/// All series of the store.
#[derive(Default)]
pub(crate) struct Catalogue {
    numbers: HashMap<SeriesKey, Vec<(Registration, SeriesId)>>,
    entries: BTreeMap<SeriesId, CatalogueEntry>,
    by_pilot: BTreeMap<PilotId, OfPilot>,
    pending: Vec<CatalogueEntry>,
    next: u32,
}

#[derive(Default)]
struct OfPilot {
    ids: Vec<SeriesId>,
    n_unregistered: usize,
}

impl Catalogue {
    /// Takes up an entry that is on disk.
    pub(crate) fn load(&mut self, entry: CatalogueEntry) {
        self.reserve(entry.id.0.saturating_add(1));
        if !self.entries.contains_key(&entry.id) {
            self.insert(entry);
        }
    }

    /// Numbers below `next` are taken, whether or not their entries are known.
    pub(crate) fn reserve(&mut self, next: u32) {
        self.next = self.next.max(next);
    }

    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    pub(crate) fn lookup(&self, key: &SeriesKey, registration: &Registration) -> Option<SeriesId> {
        self.numbers.get(key)?.iter().find(|(found, _)| found == registration).map(|(_, id)| *id)
    }

    /// The number of a series; a new one is pending.
    pub(crate) fn intern(&mut self, key: &SeriesKey, registration: &Registration) -> SeriesId {
        if let Some(id) = self.lookup(key, registration) {
            return id;
        }
        let id = SeriesId(self.next);
        // Safe because four thousand million series do not fit any machine's memory.
        self.next = self.next.checked_add(1).expect("fewer than 2^32 series");
        let entry = CatalogueEntry { id, key: key.clone(), registration: registration.clone() };
        self.pending.push(entry.clone());
        self.insert(entry);
        id
    }

    fn insert(&mut self, entry: CatalogueEntry) {
        self.numbers.entry(entry.key.clone()).or_default().push((entry.registration.clone(), entry.id));
        let of_pilot = self.by_pilot.entry(entry.key.pilot.clone()).or_default();
        of_pilot.ids.push(entry.id);
        match entry.registration {
            Registration::Registered => {}
            Registration::Unregistered { .. } => of_pilot.n_unregistered += 1,
        }
        self.entries.insert(entry.id, entry);
    }

    pub(crate) fn entry(&self, id: SeriesId) -> Option<&CatalogueEntry> {
        self.entries.get(&id)
    }

    /// The series of a pilot by number.
    pub(crate) fn of_pilot(&self, pilot: &PilotId) -> Vec<CatalogueEntry> {
        let mut ids = self.by_pilot.get(pilot).map(|of_pilot| of_pilot.ids.clone()).unwrap_or_default();
        ids.sort_unstable();
        ids.iter().filter_map(|id| self.entries.get(id)).cloned().collect()
    }

    pub(crate) fn n_unregistered(&self, pilot: &PilotId) -> usize {
        self.by_pilot.get(pilot).map_or(0, |of_pilot| of_pilot.n_unregistered)
    }

    /// What the next commit carries.
    pub(crate) fn take_pending(&mut self) -> Vec<CatalogueEntry> {
        std::mem::take(&mut self.pending)
    }

    /// The commit failed: its entries go with the next one.
    pub(crate) fn put_back(&mut self, mut entries: Vec<CatalogueEntry>) {
        entries.append(&mut self.pending);
        self.pending = entries;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> SeriesKey {
        SeriesKey { pilot: PilotId::parse("p-1").unwrap(), asset: "press".into(), name: name.into(), product: None }
    }

    #[test]
    fn a_series_keeps_its_number_and_its_registration_is_part_of_it() {
        let mut catalogue = Catalogue::default();
        let unregistered = Registration::Unregistered { unit: Some("kWh".into()) };
        let a = catalogue.intern(&key("a"), &Registration::Registered);
        let b = catalogue.intern(&key("a"), &unregistered);
        assert_ne!(a, b);
        assert_eq!(catalogue.intern(&key("a"), &Registration::Registered), a);
        assert_eq!(catalogue.n_unregistered(&PilotId::parse("p-1").unwrap()), 1);
        assert_eq!(catalogue.of_pilot(&PilotId::parse("p-1").unwrap()).len(), 2);
        assert_eq!(catalogue.lookup(&key("b"), &unregistered), None);
    }

    #[test]
    fn entries_of_a_failed_commit_go_with_the_next_one_and_in_order() {
        let mut catalogue = Catalogue::default();
        catalogue.intern(&key("a"), &Registration::Registered);
        let taken = catalogue.take_pending();
        catalogue.intern(&key("b"), &Registration::Registered);
        catalogue.put_back(taken);
        let ids: Vec<u32> = catalogue.take_pending().into_iter().map(|entry| entry.id.0).collect();
        assert_eq!(ids, [0, 1]);
    }

    #[test]
    fn a_number_that_a_damaged_row_gave_is_never_given_again() {
        let mut catalogue = Catalogue::default();
        catalogue.reserve(5);
        assert_eq!(catalogue.intern(&key("a"), &Registration::Registered), SeriesId(5));
    }
}
