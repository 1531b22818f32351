//! Stored figures: made from the month sums and orders in the store, written when they differ, read back for answers.
//!
//! One blob per scope and indicator. Decoded ones are kept in memory within a bound.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use model::period::MonthNo;
use model::registry::plan::Form;
use model::registry::{PiecesFrom, Pilot};
use model::{
    Figure, Finding, Indicator, Period, PeriodKind, PilotId, Quantity, Registry, Scope, SeriesId, SeriesKey, UnixMillis,
};
use store::{Correction, Registration, StoreError};

use crate::derive::{broken, each_reading, stored_sums};
use crate::evidence::corrections::{self, Entered};
use crate::evidence::{self, Evidence};
use crate::figure::{figures, is_moving, moved_figures};
use crate::follow::{Changed, GROUPS_DUE_KEY, lock};
use crate::group::{belongs, groups, groups_of, roll_up};
use crate::indicator::data::{Measured, Part, Stored};
use crate::indicator::pollutant::pollutants;
use crate::indicator::ratio::decrease_finding;
use crate::ledger::{Reasons, Touch};
use crate::orders::{Cohorts, NO_PRODUCT, Orders};
use crate::projection;
use crate::rollup::Spec;
use crate::rollup::months::MonthSums;
use crate::tariff::Calendar;
use crate::{Aggregator, FigureQuery, Reach, RollupQuery, RollupRow, Width};

/// Decoded figures kept in memory, some 400 bytes each: all of a dozen pilots with their groups. Beyond it the cache is
/// emptied and fills again from the store.
const CACHED_MAX: usize = 100_000;
/// Orders kept in memory, some 40 bytes each: those of a dozen pilots with a decade of them. Beyond it all are forgotten.
const ORDERS_MAX: usize = 1_000_000;

/// A day's mean temperature needs this much of the day (CalTRACK 2).
const DAY_COVERAGE_MIN: f64 = 0.9;

/// Decoded figures by (scope, indicator).
#[derive(Debug, Default)]
pub(crate) struct Cache {
    blobs: BTreeMap<(String, String), Arc<Vec<Figure>>>,
    n_figures: usize,
}

impl Cache {
    fn put(&mut self, key: (String, String), figures: Arc<Vec<Figure>>) {
        if self.n_figures + figures.len() > CACHED_MAX {
            self.clear();
        }
        self.n_figures += figures.len();
        if let Some(old) = self.blobs.insert(key, figures) {
            self.n_figures = self.n_figures.saturating_sub(old.len());
        }
    }

    pub(crate) fn clear(&mut self) {
        self.blobs.clear();
        self.n_figures = 0;
    }
}

/// Which inputs of a pilot's figures changed, as bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Inputs(pub(crate) u8);

impl Inputs {
    pub(crate) const SUMS: u8 = 1;
    pub(crate) const ORDERS: u8 = 2;
    pub(crate) const CYCLES: u8 = 4;
    /// How long orders have been followed: only figures that go with it.
    pub(crate) const CUT_OFF: u8 = 8;
    pub(crate) const ALL: Inputs = Inputs(7);

    pub(crate) fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// Whether an indicator depends on what changed.
    pub(crate) fn touch(self, indicator: &Indicator) -> bool {
        self.has(Inputs::of(indicator).0)
    }

    /// What an indicator depends on.
    fn of(indicator: &Indicator) -> Inputs {
        Inputs(match indicator {
            Indicator::ProductionCycle => Inputs::ORDERS,
            Indicator::CycleTime => Inputs::CYCLES,
            Indicator::OperatingCost
            | Indicator::DefectRate
            | Indicator::EnergyIntensity
            | Indicator::EnergyIntensityEquivalent
            | Indicator::PollutantIntensity(_) => Inputs::SUMS,
        })
    }
}

/// The month sums of a pilot, by its registered series in the registry's order.
pub(crate) struct Sums {
    pub(crate) by_series: Vec<Vec<Stored>>,
}

impl Sums {
    /// The first month that holds anything.
    pub(crate) fn first(&self) -> Option<MonthNo> {
        let firsts = self.by_series.iter().flatten().filter_map(|stored| stored.sums.months.first());
        firsts.map(|sum| sum.month).min()
    }
}

/// The figures of one scope and indicator.
pub(crate) struct ScopeFigures {
    pub(crate) scope: Scope,
    pub(crate) indicator: Indicator,
    pub(crate) figures: Vec<Figure>,
}

/// The registered series of a pilot as the store numbers them: `(index in the registry, product, number)`.
pub(crate) fn registered(aggregator: &Aggregator, pilot: &Pilot) -> Vec<(usize, Option<Arc<str>>, SeriesId)> {
    let mut found = Vec::new();
    for entry in aggregator.store.catalogue_of(&pilot.id) {
        let key = &entry.key;
        if entry.registration == Registration::Registered
            && let Some(series) = pilot.resolve(&key.asset, &key.name, key.product.as_deref())
            && let Some(index) = pilot.series.iter().position(|other| std::ptr::eq(other, series))
        {
            found.push((index, key.product.clone(), entry.id));
        }
    }
    // By product, not by number: numbers are given in order of arrival.
    found.sort();
    found
}

/// The month sums of a pilot, each from `of`.
pub(crate) fn sums_of(
    aggregator: &Aggregator,
    pilot: &Pilot,
    of: &dyn Fn(SeriesId) -> Result<MonthSums, StoreError>,
) -> Result<Sums, StoreError> {
    let mut by_series: Vec<Vec<Stored>> = pilot.series.iter().map(|_| Vec::new()).collect();
    for (index, product, id) in registered(aggregator, pilot) {
        by_series[index].push(Stored { product, sums: Arc::new(of(id)?) });
    }
    Ok(Sums { by_series })
}

/// The month sums that are stored.
pub(crate) fn stored_sums_of(aggregator: &Aggregator, pilot: &Pilot) -> Result<Sums, StoreError> {
    sums_of(aggregator, pilot, &|id| stored_sums(&aggregator.store, id))
}

/// As of when a pilot is figured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsOf {
    /// The month in which now lies.
    pub(crate) open: MonthNo,
    /// The latest instant of anything accepted.
    pub(crate) cut_off: UnixMillis,
}

/// What the figures of a pilot that depend on `inputs` are made from.
fn pilot_data<'a>(
    aggregator: &'a Aggregator,
    (pilot, calendar): (&'a Pilot, &'a Calendar),
    sums: &Sums,
    AsOf { open, cut_off }: AsOf,
    inputs: Inputs,
) -> Result<Measured<'a>, StoreError> {
    let with_orders = inputs.has(Inputs::ORDERS) || inputs.has(Inputs::CUT_OFF) || pilot.pieces == PiecesFrom::Orders;
    let orders = if with_orders { aggregator.orders_of(&pilot.id)? } else { Arc::default() };
    let cycles = if inputs.has(Inputs::CYCLES) { cycles_of(aggregator, pilot)? } else { Cohorts::default() };
    let stored = sums.by_series.clone();
    let mut data = Measured::new((pilot, calendar, &aggregator.factors), stored, (orders, cycles, cut_off), open);
    if inputs.has(Inputs::SUMS) {
        data.temperatures = temperatures_of(aggregator, pilot)?;
    }
    Ok(data)
}

/// The figures of a pilot and its workshops that depend on `inputs`.
pub(crate) fn figure_pilot(
    aggregator: &Aggregator,
    (pilot, calendar): (&Pilot, &Calendar),
    sums: &Sums,
    AsOf { open, cut_off }: AsOf,
    inputs: Inputs,
) -> Result<Vec<ScopeFigures>, StoreError> {
    let mut inputs = inputs;
    if pilot.pieces == PiecesFrom::Orders && inputs.has(Inputs::ORDERS) {
        inputs.0 |= Inputs::SUMS;
    }
    let moves = inputs.has(Inputs::CUT_OFF) && !inputs.has(Inputs::ORDERS);
    let data = pilot_data(aggregator, (pilot, calendar), sums, AsOf { open, cut_off }, inputs)?;
    let wanted = |indicator: &Indicator| inputs.touch(indicator);
    let parts = std::iter::once(Part::Whole).chain(pilot.workshops.iter().map(|workshop| Part::Workshop(&workshop.id)));
    let mut all = Vec::new();
    for part in parts {
        let scope = match part {
            Part::Whole => Scope::Pilot(pilot.id.clone()),
            Part::Workshop(workshop) => Scope::Workshop(pilot.id.clone(), workshop.clone()),
        };
        let figures = figures(&data, &aggregator.programme, part, &wanted);
        let of = |(indicator, figures)| ScopeFigures { scope: scope.clone(), indicator, figures };
        all.extend(figures.into_iter().map(of));
    }
    if moves {
        let (scope, indicator) = (Scope::Pilot(pilot.id.clone()), Indicator::ProductionCycle);
        let stored = aggregator.stored_figures(&scope, &indicator)?;
        let figures = moved_figures(&data, &aggregator.programme, &stored);
        all.push(ScopeFigures { scope, indicator, figures });
    }
    Ok(all)
}

/// The daily means of the outdoor temperatures that the pilot's plans name; days below [`DAY_COVERAGE_MIN`] have none.
fn temperatures_of(aggregator: &Aggregator, pilot: &Pilot) -> Result<BTreeMap<usize, BTreeMap<Date, f64>>, StoreError> {
    let plan = &pilot.plans.energy;
    let forms = std::iter::once(&plan.default).chain(plan.carriers.values()).map(|plan| &plan.form);
    let mut temperatures = BTreeMap::new();
    for form in forms {
        let Form::DegreeDays(degree_days) = form else { continue };
        let Some(series) = pilot.series.get(degree_days.temperature) else { continue };
        let query = RollupQuery {
            pilot: pilot.id.clone(),
            asset: series.asset.to_string(),
            name: series.name.to_string(),
            product: None,
            from: UnixMillis(i64::MIN),
            to: UnixMillis(i64::MAX),
            width: Width::Day,
            by_band: false,
        };
        let day = |row: RollupRow| {
            let covered = row.coverage.is_none_or(|coverage| coverage >= DAY_COVERAGE_MIN);
            Some((pilot.zone.to_datetime(row.start.timestamp()).date(), row.value.filter(|_| covered)?))
        };
        let days = aggregator.rows(&query)?.into_iter().filter_map(day).collect();
        temperatures.insert(degree_days.temperature, days);
    }
    Ok(temperatures)
}

/// Every cycle time of the pilot in hours, by the last millisecond before its stamp.
fn cycles_of(aggregator: &Aggregator, pilot: &Pilot) -> Result<Cohorts, StoreError> {
    let mut cycles = Cohorts::default();
    for (index, product, id) in registered(aggregator, pilot) {
        let series = &pilot.series[index];
        let Some((from, to)) = aggregator.store.span(id)? else { continue };
        if series.quantity != Quantity::TimeCycle || series.part_of.is_some() {
            continue;
        }
        let (spec, product) = (Spec::of(series), product.unwrap_or_else(|| NO_PRODUCT.into()));
        each_reading(&aggregator.store, id, (from.0, to.0 + 1), |reading| {
            let value = reading.value.filter(|_| reading.is_usable()).map(|value| spec.scale(value.as_f64()));
            let at = reading.at.plus(-1);
            let hours = value.map(|seconds| seconds * spec.multiplier_at(at.0) / 3_600.0);
            if let Some(hours) = hours.filter(|hours| *hours > 0.0) {
                cycles.add(&product, at, hours);
            }
        })?;
    }
    cycles.sort();
    Ok(cycles)
}

/// What stored figures begin with: their format. No blob of the first format, which began with the number of figures,
/// begins so. 4: what of them is to be published is noted beside them. 5: `plan`, `adjustments`.
const FORMAT: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 5];

/// A scope's figures as bytes.
pub(crate) fn encode(figures: &[Figure]) -> Result<Vec<u8>, StoreError> {
    postcard::to_extend(figures, FORMAT.to_vec()).map_err(|error| broken("figures".to_owned(), &error))
}

/// The figures in stored bytes; none of another format, for they are about to be made again.
fn decode(place: &str, bytes: &[u8]) -> Result<Vec<Figure>, StoreError> {
    let Some(figures) = bytes.strip_prefix(&FORMAT) else { return Ok(Vec::new()) };
    postcard::from_bytes(figures).map_err(|error| broken(place.to_owned(), &error))
}

impl Aggregator {
    /// A pilot's orders, remembered until one of them changes.
    pub(crate) fn orders_of(&self, pilot: &PilotId) -> Result<Arc<Orders>, StoreError> {
        if let Some(orders) = lock(&self.shared.orders).get(pilot) {
            return Ok(Arc::clone(orders));
        }
        let orders = Arc::new(Orders::of(&self.store.orders(pilot)?));
        let mut known = lock(&self.shared.orders);
        if known.values().map(|orders| orders.n()).sum::<usize>() + orders.n() > ORDERS_MAX {
            known.clear();
        }
        known.insert(pilot.clone(), Arc::clone(&orders));
        Ok(orders)
    }

    /// Whether figures of a pilot go with how long its orders have been followed.
    pub(crate) fn goes_with_cut_off(&self, pilot: &PilotId) -> Result<bool, StoreError> {
        let figures = self.stored_figures(&Scope::Pilot(pilot.clone()), &Indicator::ProductionCycle)?;
        Ok(figures.iter().any(is_moving))
    }

    /// Writes the figures that differ from what is stored, what of them is to be published, and `mark`, in one transaction;
    /// gives whose figures differed.
    pub(crate) fn put_figures(
        &self,
        new: Vec<ScopeFigures>,
        touch: &dyn Fn(&Scope, &Indicator) -> Touch,
        mark: Option<(&str, &[u8])>,
    ) -> Result<Vec<(Scope, Indicator)>, StoreError> {
        let mut changed = Vec::new();
        for new in new {
            let (scope, indicator) = (new.scope.to_string(), new.indicator.to_string());
            let bytes = encode(&new.figures)?;
            if self.store.figures(&scope, &indicator)?.as_deref() != Some(bytes.as_slice()) {
                let old = self.stored_figures(&new.scope, &new.indicator)?;
                let touch = touch(&new.scope, &new.indicator);
                let touched = self.touched_by((&new.scope, &new.indicator), (&old, &new.figures), touch)?;
                // What was published is so no more: its version goes, too.
                let was_published = self.store.ledger_head(&scope, &indicator)?.is_some();
                let fill = projection::fill_of_figures(&old, &new.figures, was_published);
                changed.push(((scope, indicator), (bytes, touched, fill, touch.at), new));
            }
        }
        if changed.is_empty() && mark.is_none() {
            return Ok(Vec::new());
        }
        self.store.write(|tx| {
            for ((scope, indicator), (bytes, touched, fill, at), _) in &changed {
                tx.put_figures(scope, indicator, bytes)?;
                tx.note_figures(scope, indicator, *fill, *at)?;
                tx.put_unpublished(scope, indicator, Some(touched))?;
            }
            if changed.iter().any(|(_, _, new)| matches!(new.scope, Scope::Pilot(_))) {
                tx.put_meta(GROUPS_DUE_KEY, &[1])?;
            }
            mark.map_or(Ok(()), |(key, bytes)| tx.put_meta(key, bytes))
        })?;
        let mut cache = lock(&self.shared.cache);
        let remember = |(key, _, new): (_, _, ScopeFigures)| {
            cache.put(key, Arc::new(new.figures));
            (new.scope, new.indicator)
        };
        Ok(changed.into_iter().map(remember).collect())
    }

    /// The stored figures of a scope and indicator, by period; empty if there are none.
    pub(crate) fn stored_figures(&self, scope: &Scope, indicator: &Indicator) -> Result<Arc<Vec<Figure>>, StoreError> {
        let key = (scope.to_string(), indicator.to_string());
        if let Some(figures) = lock(&self.shared.cache).blobs.get(&key) {
            return Ok(Arc::clone(figures));
        }
        let figures: Vec<Figure> = match self.store.figures(&key.0, &key.1)? {
            None => return Ok(Arc::default()),
            Some(bytes) => decode(&format!("figure/{}/{}", key.0, key.1), &bytes)?,
        };
        let figures = Arc::new(figures);
        lock(&self.shared.cache).put(key, Arc::clone(&figures));
        Ok(figures)
    }

    /// Figures the groups again that a changed pilot belongs to.
    pub(crate) fn figure_groups(
        &self,
        registry: &Registry,
        changed: &Changed,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut wanted: BTreeMap<(Scope, Indicator), Reasons> = BTreeMap::new();
        for ((pilot, indicator), reasons) in changed {
            let scopes = registry.pilots.get(pilot).into_iter().flat_map(|pilot| groups_of(pilot));
            for scope in scopes.filter(|_| self.reach == Reach::AllPilots) {
                let of_pilots = wanted.entry((scope, indicator.clone())).or_default();
                *of_pilots = of_pilots.and(*reasons);
            }
        }
        let figure =
            |(scope, indicator): &(Scope, Indicator)| self.figure_group(registry, scope.clone(), indicator.clone());
        let figures = wanted.keys().map(figure).collect::<Result<_, _>>()?;
        let touch = |scope: &Scope, indicator: &Indicator| {
            let reasons = wanted.get(&(scope.clone(), indicator.clone())).copied().unwrap_or_default();
            Touch { at: now, reasons }
        };
        self.put_figures(figures, &touch, None).map(drop)
    }

    /// Every group that has figures here: none if other processes have some of its pilots.
    pub(crate) fn groups(&self, registry: &Registry) -> BTreeSet<Scope> {
        match self.reach {
            Reach::AllPilots => groups(&self.programme, registry),
            Reach::SomePilots => BTreeSet::new(),
        }
    }

    /// Figures every group again; without a reason they have those for which the figures of their pilots wait to be published.
    pub(crate) fn figure_all_groups(
        &self,
        registry: &Registry,
        now: UnixMillis,
        reasons: Option<Reasons>,
    ) -> Result<(), StoreError> {
        for scope in self.groups(registry) {
            for indicator in indicators_of(registry, &scope) {
                let reasons = match reasons {
                    Some(reasons) => reasons,
                    None => self.reasons_of_members(registry, &scope, &indicator)?,
                };
                let figures = self.figure_group(registry, scope.clone(), indicator)?;
                self.put_figures(vec![figures], &|_, _| Touch { at: now, reasons }, None)?;
            }
        }
        Ok(())
    }

    fn reasons_of_members(
        &self,
        registry: &Registry,
        scope: &Scope,
        indicator: &Indicator,
    ) -> Result<Reasons, StoreError> {
        let mut reasons = Reasons::NONE;
        for pilot in registry.pilots.values().filter(|pilot| belongs(pilot, scope)) {
            let waiting = self.unpublished(&Scope::Pilot(pilot.id.clone()).to_string(), &indicator.to_string())?;
            reasons = waiting.values().fold(reasons, |all, touch| all.and(touch.reasons));
        }
        Ok(reasons)
    }

    fn figure_group(
        &self,
        registry: &Registry,
        scope: Scope,
        indicator: Indicator,
    ) -> Result<ScopeFigures, StoreError> {
        let mut members = Vec::new();
        for pilot in registry.pilots.values().filter(|pilot| belongs(pilot, &scope)) {
            members.push(self.stored_figures(&Scope::Pilot(pilot.id.clone()), &indicator)?);
        }
        let members: Vec<&[Figure]> = members.iter().map(|figures| figures.as_slice()).collect();
        let figures = roll_up(&self.programme, &scope, &indicator, &members);
        Ok(ScopeFigures { scope, indicator, figures })
    }

    /// Whether a scope exists: a pilot or workshop of the registry, or a group of the programme.
    pub fn knows(&self, scope: &Scope) -> bool {
        let registry = self.registry.get();
        match scope {
            Scope::Pilot(pilot) => registry.pilots.contains_key(pilot),
            Scope::Workshop(pilot, workshop) => {
                let declared = |pilot: &Arc<Pilot>| pilot.workshops.iter().any(|declared| declared.id == *workshop);
                registry.pilots.get(pilot).is_some_and(declared)
            }
            Scope::Programme | Scope::Region(_) | Scope::Sector(_) | Scope::Class(_) => {
                self.groups(&registry).contains(scope)
            }
        }
    }

    /// Every scope there is, in order.
    pub fn scopes(&self) -> Vec<Scope> {
        let registry = self.registry.get();
        let mut scopes: Vec<Scope> = self.groups(&registry).into_iter().collect();
        for (id, pilot) in &registry.pilots {
            scopes.push(Scope::Pilot(id.clone()));
            scopes.extend(pilot.workshops.iter().map(|workshop| Scope::Workshop(id.clone(), workshop.id.clone())));
        }
        scopes.sort();
        scopes
    }

    /// What series-level rules found in a pilot's data: decreases of counters that no event explains.
    ///
    /// # Errors
    /// On reading the store.
    pub fn findings(&self, pilot: &PilotId) -> Result<Vec<Finding>, StoreError> {
        let registry = self.registry.get();
        let Some(pilot) = registry.pilots.get(pilot) else { return Ok(Vec::new()) };
        let sums = stored_sums_of(self, pilot)?;
        let mut findings = Vec::new();
        for (series, stored) in pilot.series.iter().zip(&sums.by_series) {
            let months = stored.iter().flat_map(|stored| &stored.sums.months);
            findings.extend(months.filter_map(|sum| sum.decrease).map(|decrease| decrease_finding(series, &decrease)));
        }
        Ok(findings)
    }

    /// The latest instant of any accepted reading or order event of a pilot.
    ///
    /// # Errors
    /// On reading the store.
    pub fn data_cutoff(&self, pilot: &PilotId) -> Result<Option<UnixMillis>, StoreError> {
        self.store.data_cutoff(pilot)
    }

    /// What is behind the figure of a scope, indicator and period; none where the scope or the figure does not exist.
    ///
    /// # Errors
    /// On reading the store.
    pub fn evidence(
        &self,
        (scope, indicator, period): (&Scope, &Indicator, Period),
        now: UnixMillis,
    ) -> Result<Option<Evidence>, StoreError> {
        let query =
            FigureQuery { scope: Some(scope.clone()), indicator: Some(indicator.clone()), period: Some(period) };
        let Some(figure) = self.answer(&query, now)?.into_iter().next().filter(|_| self.knows(scope)) else {
            return Ok(None);
        };
        let registry = self.registry.get();
        let tables = match scope {
            Scope::Pilot(id) => self.evidence_of(&registry, (id, Part::Whole), indicator, period)?,
            Scope::Workshop(id, workshop) => {
                self.evidence_of(&registry, (id, Part::Workshop(workshop)), indicator, period)?
            }
            Scope::Programme | Scope::Region(_) | Scope::Sector(_) | Scope::Class(_) => {
                let mut members = Vec::new();
                for pilot in inside(&registry, scope) {
                    let scope = Some(Scope::Pilot(pilot.id.clone()));
                    members.extend(self.answer(&FigureQuery { scope, ..query.clone() }, now)?);
                }
                evidence::of_group(&figure, &members)
            }
        };
        let comes_out_again = evidence::comes_out_again(&figure, &tables);
        Ok(Some(Evidence { figure, comes_out_again, tables }))
    }

    fn evidence_of(
        &self,
        registry: &Registry,
        (id, part): (&PilotId, Part<'_>),
        indicator: &Indicator,
        period: Period,
    ) -> Result<Vec<evidence::Table>, StoreError> {
        let (Some(pilot), Some(mark)) = (registry.pilots.get(id), self.stored_mark(id)?) else { return Ok(Vec::new()) };
        let calendar = Calendar::of(pilot);
        let sums = stored_sums_of(self, pilot)?;
        let cut_off = self.store.data_cutoff(id)?.unwrap_or(UnixMillis(0));
        let as_of = AsOf { open: mark.open, cut_off };
        let data = pilot_data(self, (pilot, &calendar), &sums, as_of, Inputs::of(indicator))?;
        let mut tables = evidence::of(&data, &self.programme, part, indicator, period);
        let entered = Entered::of(pilot, &tables, *indicator == Indicator::CycleTime);
        let corrections = corrections::table(&entered, &self.corrections_of(id)?);
        tables.extend(Some(corrections).filter(|table| !table.rows.is_empty()));
        Ok(tables)
    }

    /// Every correction of a pilot's readings, with the series that it is of.
    fn corrections_of(&self, pilot: &PilotId) -> Result<Vec<(Correction, SeriesKey)>, StoreError> {
        let named = |correction: Correction| Some((self.store.entry(correction.series)?.key, correction));
        let all = self.store.corrections(0, Some(pilot), usize::MAX)?;
        Ok(all.into_iter().filter_map(named).map(|(key, correction)| (correction, key)).collect())
    }

    pub(crate) fn answer(&self, query: &FigureQuery, now: UnixMillis) -> Result<Vec<Figure>, StoreError> {
        let registry = self.registry.get();
        let scopes = query.scope.as_ref().map_or_else(|| self.scopes(), |scope| vec![scope.clone()]);
        let mut answer = Vec::new();
        for scope in scopes {
            let indicators = match &query.indicator {
                Some(indicator) => vec![indicator.clone()],
                None => indicators_of(&registry, &scope),
            };
            for indicator in indicators {
                self.answer_one((&scope, &indicator), query.period, now, &mut answer)?;
            }
        }
        answer.iter_mut().for_each(|figure| figure.as_of = now);
        Ok(answer)
    }

    fn answer_one(
        &self,
        (scope, indicator): (&Scope, &Indicator),
        period: Option<Period>,
        now: UnixMillis,
        answer: &mut Vec<Figure>,
    ) -> Result<(), StoreError> {
        let stored = self.stored_figures(scope, indicator)?;
        let before = answer.len();
        answer.extend(stored.iter().filter(|figure| period.is_none_or(|period| figure.period == period)).cloned());
        if answer.len() == before {
            let year = || Period::containing(MonthNo::containing(now, &jiff::tz::TimeZone::UTC), PeriodKind::Year);
            let period = period.unwrap_or_else(year);
            answer.push(self.stand_in((scope, indicator), period, &stored));
        }
        self.say_versions((scope, indicator), answer.get_mut(before..).unwrap_or_default())
    }
}

/// The pilots that a scope speaks of.
pub(crate) fn inside<'a>(registry: &'a Registry, scope: &'a Scope) -> impl Iterator<Item = &'a Arc<Pilot>> {
    registry.pilots.values().filter(move |pilot| match scope {
        Scope::Pilot(id) | Scope::Workshop(id, _) => pilot.id == *id,
        Scope::Programme | Scope::Region(_) | Scope::Sector(_) | Scope::Class(_) => belongs(pilot, scope),
    })
}

/// The indicators of a scope: the fixed ones and the pollutants of its pilots.
pub(crate) fn indicators_of(registry: &Registry, scope: &Scope) -> Vec<Indicator> {
    let names: BTreeSet<Arc<str>> = inside(registry, scope).flat_map(|pilot| pollutants(pilot)).collect();
    Indicator::FIXED.into_iter().chain(names.into_iter().map(Indicator::PollutantIntensity)).collect()
}
