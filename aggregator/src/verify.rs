//! Computes everything again from readings and compares it, bit for bit, with what is stored.
//!
//! Verifying looks at nothing derived but the month as of which each pilot was figured. Rebuilding clears what is derived,
//! marks every series as touched and runs a round.

use std::collections::{BTreeMap, BTreeSet};

use model::period::MonthNo;
use model::{Figure, Indicator, Pilot, Scope, SeriesId, UnixMillis};
use store::StoreError;

use crate::derive::{Derived, Source, broken, decode, outages_of, stored_sums};
use crate::figured::{AsOf, Inputs, ScopeFigures, encode, figure_pilot, registered, sums_of};
use crate::follow::{Forget, MEMBERS_KEY, Mark, lock, mark_key};
use crate::group::{belongs, roll_up};
use crate::rollup::MonthBlob;
use crate::tariff::Calendar;
use crate::{Aggregator, Difference};

/// Marks looked at for one series: a round takes 20,000 at once, so more than this are never waiting for long.
const TOUCHED_LOOKED_AT: usize = 100_000;

/// Figures of pilots by scope and indicator, for the groups.
type ByScope = BTreeMap<(Scope, Indicator), Vec<Figure>>;

impl Aggregator {
    pub(crate) fn recompute_at(&self, now: UnixMillis) -> Result<(), StoreError> {
        let registry = self.registry.get();
        self.between_rounds(Forget::Marks, || {
            let mut marks = Vec::new();
            for id in registry.pilots.keys() {
                // An empty mark is none: the next round computes everything of the pilot.
                let bytes = match self.stored_mark(id)?.map(Mark::of_nothing) {
                    None => Vec::new(),
                    Some(mark) => postcard::to_stdvec(&mark).map_err(|error| broken(mark_key(id), &error))?,
                };
                marks.push((mark_key(id), bytes));
            }
            self.store.write(|tx| {
                tx.clear_derived()?;
                tx.put_meta(MEMBERS_KEY, &[])?;
                marks.iter().try_for_each(|(key, bytes)| tx.put_meta(key, bytes))
            })?;
            lock(&self.shared.cache).clear();
            Ok(())
        })?;
        self.round(now).map(drop)
    }

    pub(crate) fn differences(&self, now: UnixMillis, progress: &dyn Fn(f64)) -> Result<Vec<Difference>, StoreError> {
        match self.round(now) {
            // A reader beside the owner compares what the owner has derived so far.
            Ok(_) | Err(StoreError::ReadOnly) => self.between_rounds(Forget::Nothing, || self.compare(progress)),
            Err(error) => Err(error),
        }
    }

    fn compare(&self, progress: &dyn Fn(f64)) -> Result<Vec<Difference>, StoreError> {
        let registry = self.registry.get();
        let (mut found, mut figures) = (Vec::new(), ByScope::new());
        let n = registry.pilots.len().max(1) as f64;
        for (done, pilot) in registry.pilots.values().enumerate() {
            progress(done as f64 / n);
            self.verify_pilot(pilot, &mut found, &mut figures)?;
        }
        for scope in self.groups(&registry) {
            let members = registry.pilots.values().filter(|pilot| belongs(pilot, &scope));
            let members: Vec<Scope> = members.map(|pilot| Scope::Pilot(pilot.id.clone())).collect();
            self.verify_group(&scope, &members, &figures, &mut found)?;
        }
        found.extend(self.ledger_differences()?);
        progress(1.0);
        Ok(found)
    }

    fn verify_group(
        &self,
        scope: &Scope,
        members: &[Scope],
        figures: &ByScope,
        found: &mut Vec<Difference>,
    ) -> Result<(), StoreError> {
        let of_members = figures.keys().filter(|(member, _)| members.contains(member));
        let indicators: BTreeSet<Indicator> = of_members.map(|(_, indicator)| indicator.clone()).collect();
        for indicator in indicators {
            let of = |member: &Scope| figures.get(&(member.clone(), indicator.clone())).map_or(&[][..], Vec::as_slice);
            let members: Vec<&[Figure]> = members.iter().map(of).collect();
            let figures = roll_up(&self.programme, scope, &indicator, &members);
            self.compare_figures(&ScopeFigures { scope: scope.clone(), indicator, figures }, found)?;
        }
        Ok(())
    }

    fn verify_pilot(
        &self,
        pilot: &Pilot,
        found: &mut Vec<Difference>,
        figures: &mut ByScope,
    ) -> Result<(), StoreError> {
        let calendar = Calendar::of(pilot);
        let mut sums = BTreeMap::new();
        let outages = outages_of(&self.store, pilot)?;
        for (index, _, id) in registered(self, pilot) {
            let series = &pilot.series[index];
            let source = Source::new(id, (pilot, &calendar), series, &outages);
            let derived = source.scratch(&self.store)?;
            // Settling goes on meanwhile: what it touched is not rolled up yet, and no difference.
            if self.is_touched(id)? {
                sums.insert(id, stored_sums(&self.store, id)?);
            } else {
                self.compare_series(&source, &derived, found)?;
                sums.insert(id, derived.sums);
            }
        }
        let sums = sums_of(self, pilot, &|id| Ok(sums.get(&id).cloned().unwrap_or_default()))?;
        let Some(mark) = self.stored_mark(&pilot.id)? else {
            if sums.first().is_some() {
                let text = "has readings and was never figured".to_owned();
                found.push(Difference { place: format!("pilot {}", pilot.id), text });
            }
            return Ok(());
        };
        lock(&self.shared.orders).remove(&pilot.id);
        let cut_off = self.store.data_cutoff(&pilot.id)?.unwrap_or(UnixMillis(0));
        let as_of = AsOf { open: mark.open, cut_off };
        let of_scopes = figure_pilot(self, (pilot, &calendar), &sums, as_of, Inputs::ALL)?;
        let orders_moved = self.store.touched_orders()?.iter().any(|(_, touched)| *touched == pilot.id);
        for of_scope in of_scopes {
            if !orders_moved {
                self.compare_figures(&of_scope, found)?;
            }
            if matches!(of_scope.scope, Scope::Pilot(_)) {
                figures.insert((of_scope.scope, of_scope.indicator), of_scope.figures);
            }
        }
        Ok(())
    }

    fn is_touched(&self, id: SeriesId) -> Result<bool, StoreError> {
        Ok(self.store.touched(TOUCHED_LOOKED_AT)?.iter().any(|touched| touched.series == id))
    }

    fn compare_series(
        &self,
        source: &Source<'_>,
        derived: &Derived,
        found: &mut Vec<Difference>,
    ) -> Result<(), StoreError> {
        let name = || format!("{}/{}/{}", source.pilot.id, source.series.asset, source.series.name);
        let mut stored: BTreeMap<MonthNo, MonthBlob> = BTreeMap::new();
        for (month, bytes) in self.store.rollups(source.id, i32::MIN, i32::MAX)? {
            stored.insert(MonthNo(month), decode(source.id, MonthNo(month), &bytes)?);
        }
        let months: BTreeSet<MonthNo> = stored.keys().chain(derived.blobs.keys()).copied().collect();
        for month in months {
            let empty = MonthBlob::empty(month);
            let (ours, theirs) = (derived.blobs.get(&month).unwrap_or(&empty), stored.get(&month).unwrap_or(&empty));
            if let Some(text) = difference(ours, theirs) {
                let place = format!("rollup {} {:04}-{:02}", name(), month.year(), month.month());
                found.push(Difference { place, text });
            }
        }
        let sums = stored_sums(&self.store, source.id)?;
        if sums.encode().ok() != derived.sums.encode().ok() {
            found.push(Difference {
                place: format!("month sums {}", name()),
                text: "are not those of the readings".to_owned(),
            });
        }
        Ok(())
    }

    fn compare_figures(&self, ours: &ScopeFigures, found: &mut Vec<Difference>) -> Result<(), StoreError> {
        let stored = self.store.figures(&ours.scope.to_string(), &ours.indicator.to_string())?.unwrap_or_default();
        let bytes = encode(&ours.figures)?;
        // No figures at all are the same as none stored.
        if bytes != stored && !(ours.figures.is_empty() && stored.is_empty()) {
            let place = format!("figures {} {}", ours.scope, ours.indicator);
            found.push(Difference { place, text: "are not those of the readings".to_owned() });
        }
        Ok(())
    }
}

/// The first quarter-hour in which two months differ, to the bit.
fn difference(ours: &MonthBlob, theirs: &MonthBlob) -> Option<String> {
    let differs = |(ours, theirs): (&crate::rollup::Quarter, &crate::rollup::Quarter)| {
        ours != theirs || ours.value.to_bits() != theirs.value.to_bits()
    };
    let place = ours.quarters.iter().zip(&theirs.quarters).position(differs);
    match place {
        Some(place) => Some(format!(
            "quarter {place} of the month is {:?}; the readings give {:?}",
            theirs.quarters[place], ours.quarters[place]
        )),
        None if ours.sketches != theirs.sketches => Some("sketches differ".to_owned()),
        None if ours.decreases != theirs.decreases => Some("decreases differ".to_owned()),
        None => None,
    }
}
