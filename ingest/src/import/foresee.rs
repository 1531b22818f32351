//! What would become of a message of rows, against the registry and against what the store holds; changes nothing.
//!
//! Invariant: the verdict on each part is that of the commit, because both come from the same checks.

use std::collections::{BTreeMap, BTreeSet};

use bumpalo::Bump;
use model::period::MonthNo;
use model::reason::{Refusal, RefusedPart};
use model::{Flags, OrderEvent, Pilot, Reading, SeriesId, SeriesKey, UnixMillis, Value};
use serde::{Deserialize, Serialize};
use store::{Registration, Store, StoreError};

use super::reader::Surroundings;
use super::{SeriesName, observed};
use crate::Identity;
use crate::decode::Decoded;
use crate::index::{Index, SentUnit};
use crate::normalize::check::{Checker, Taken};
use crate::normalize::{Opened, Passage, open};

/// How much of a series is read at once to compare with: a day of 1 Hz is some 5 MB.
const SPAN_MS: i64 = 86_400_000;

/// What would become of one message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Foreseen {
    pub series: Vec<Tally>,
    pub orders: OrderTally,
    /// Parts that are refused, or that are there already with another value.
    pub problems: Vec<Problem>,
    /// Dropped by an `[[ignore]]`.
    pub n_ignored: u64,
}

/// Readings of one series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// `asset/name` or `asset/name@product`.
    pub series: String,
    /// `energy.electricity (delta)`; none if it is not registered.
    pub declared: Option<String>,
    pub unit: String,
    /// The unit they were written in, if another.
    pub converted_from: Option<String>,
    pub counts: Counts,
    pub sum: f64,
    pub first: (UnixMillis, Option<f64>),
    pub last: (UnixMillis, Option<f64>),
    /// Calendar months of the pilot that hold one; a stamp is an end, so that midnight belongs to the day before.
    pub months: BTreeSet<i32>,
}

/// Against what the store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub new: u64,
    pub standing: u64,
    pub conflicting: u64,
}

impl Counts {
    /// All of them.
    pub fn all(self) -> u64 {
        self.new + self.standing + self.conflicting
    }

    /// Adds others.
    pub fn add(&mut self, other: Counts) {
        self.new += other.new;
        self.standing += other.standing;
        self.conflicting += other.conflicting;
    }
}

/// Order events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct OrderTally {
    pub counts: Counts,
    pub first: Option<UnixMillis>,
    pub last: Option<UnixMillis>,
    /// Of completions.
    pub good: f64,
    pub defective: f64,
}

/// A part that does not simply become what it says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Problem {
    Refused(Refusal),
    /// What stands now, what was sent, and whether that will stand.
    Conflict {
        part: RefusedPart,
        what: String,
        stands: String,
        sent: String,
        wins: bool,
    },
}

/// What has to be known of a pilot to read its tables; none if it is not in the registry.
pub fn surroundings(pilot: &str, index: &Index) -> Option<Surroundings> {
    let pilot = index.pilot(pilot)?.pilot();
    let series = pilot.series.iter().map(|series| {
        let (asset, name) = (series.asset.to_string(), series.name.to_string());
        let product = series.product.as_deref().map(str::to_owned);
        (SeriesName { asset, name, product }, series.kind)
    });
    Some(Surroundings { pilot: pilot.id.clone(), zone: pilot.zone_name.clone(), series: series.collect() })
}

/// Foresees a message of rows of this pilot, received now.
///
/// # Errors
/// On reading the store.
pub fn foresee(pilot: &str, payload: Vec<u8>, now: UnixMillis, index: &Index) -> Result<Foreseen, StoreError> {
    let observation = observed(pilot, payload, now);
    let arena = Bump::new();
    match open(&observation, &Identity::Anonymous, index, &arena, Passage::Again) {
        Err(rejected) => {
            let problems = rejected.refusals.into_iter().map(Problem::Refused).collect();
            Ok(Foreseen { problems, ..Foreseen::default() })
        }
        Ok(opened) => of_opened(opened),
    }
}

fn of_opened(opened: Opened<'_>) -> Result<Foreseen, StoreError> {
    let Opened { address, message, checker, index } = opened;
    let (pilot, store) = (address.pilot.pilot(), &**index.store());
    let mut foreseen = Foreseen::default();
    let mut by_series: BTreeMap<String, Group> = BTreeMap::new();
    for (place, decoded) in message.origin.places().zip(&message.readings) {
        let part = RefusedPart::Reading(place);
        let judged = decoded.as_ref().map_err(Clone::clone).and_then(|decoded| group(decoded, &checker, pilot, store));
        match judged {
            Ok(Some((name, group, reading))) => {
                by_series.entry(name).or_insert(group).readings.push((part, reading));
            }
            Ok(None) => foreseen.n_ignored += 1,
            Err(refused) => foreseen.problems.push(Problem::Refused(refused.at(part))),
        }
    }
    for (name, group) in by_series {
        let tally = group.tally(name, pilot, store, &mut foreseen.problems)?;
        foreseen.series.extend(tally);
    }
    for (place, decoded) in (0u32..).zip(&message.orders) {
        let part = RefusedPart::Order(place);
        match decoded.as_ref().map_err(Clone::clone).and_then(|decoded| checker.order(decoded)) {
            Ok(event) => {
                let conflict = foreseen.orders.take(&event, pilot, store)?;
                foreseen.problems.extend(conflict.map(|(stands, sent, wins)| {
                    let what = format!("order {}, {}", event.order, event.event.as_str());
                    Problem::Conflict { part, what, stands, sent, wins }
                }));
            }
            Err(refused) => foreseen.problems.push(Problem::Refused(refused.at(part))),
        }
    }
    Ok(foreseen)
}

/// Readings of one series in one message.
struct Group {
    /// None if the store has no number for it: then nothing is there.
    id: Option<SeriesId>,
    declared: Option<String>,
    unit: String,
    converted_from: Option<String>,
    readings: Vec<(RefusedPart, Reading)>,
}

type Grouped = Option<(String, Group, Reading)>;

fn group(
    decoded: &Decoded<'_>,
    checker: &Checker<'_>,
    pilot: &Pilot,
    store: &Store,
) -> Result<Grouped, crate::decode::Refused> {
    let key = |product: Option<&str>| SeriesKey {
        pilot: pilot.id.clone(),
        asset: (&*decoded.asset).into(),
        name: (&*decoded.name).into(),
        product: product.map(Into::into),
    };
    let sent_unit = decoded.unit.as_deref();
    let (product, reading, group) = match checker.reading(decoded)? {
        Taken::Ignored(_) => return Ok(None),
        Taken::Registered { target, reading, sent } => {
            let series = target.series;
            let product = series.product.as_deref().or(decoded.product.as_deref());
            let converted_from = match sent {
                SentUnit::Converts(from) => Some(from.symbol().to_owned()),
                SentUnit::Declared | SentUnit::OtherDimension(_) | SentUnit::Unknown => None,
            };
            let id = store.lookup(&key(product), &Registration::Registered);
            let declared = Some(format!("{} ({})", series.quantity, series.kind.as_str()));
            let unit = series.unit.symbol().to_owned();
            (product, reading, Group { id, declared, unit, converted_from, readings: Vec::new() })
        }
        Taken::Unregistered(reading) => {
            let product = decoded.product.as_deref();
            let registration = Registration::Unregistered { unit: sent_unit.map(Into::into) };
            let id = store.lookup(&key(product), &registration);
            let unit = sent_unit.unwrap_or_default().to_owned();
            (product, reading, Group { id, declared: None, unit, converted_from: None, readings: Vec::new() })
        }
    };
    let product = product.map(|product| format!("@{product}")).unwrap_or_default();
    Ok(Some((format!("{}/{}{product}", decoded.asset, decoded.name), group, reading)))
}

impl Group {
    /// None if it is empty.
    fn tally(
        mut self,
        series: String,
        pilot: &Pilot,
        store: &Store,
        problems: &mut Vec<Problem>,
    ) -> Result<Option<Tally>, StoreError> {
        self.readings.sort_by(|(_, a), (_, b)| a.cmp_identity(b));
        let (Some((_, first)), Some((_, last))) = (self.readings.first(), self.readings.last()) else {
            return Ok(None);
        };
        let mut tally = Tally {
            series,
            declared: self.declared,
            unit: self.unit,
            converted_from: self.converted_from,
            counts: Counts::default(),
            sum: 0.0,
            first: (first.at, first.value.map(Value::as_f64)),
            last: (last.at, last.value.map(Value::as_f64)),
            months: BTreeSet::new(),
        };
        let mut known = Known { store, id: self.id, through: UnixMillis(i64::MIN), readings: Vec::new() };
        for (part, reading) in &self.readings {
            tally.sum += reading.value.map_or(0.0, Value::as_f64);
            tally.months.insert(MonthNo::containing(reading.at.plus(-1), &pilot.zone).0);
            match known.find(reading, last.at)? {
                None => tally.counts.new += 1,
                Some(standing) if standing.is_same(reading) => tally.counts.standing += 1,
                // Where an import had marked a beginning there was nothing yet.
                Some(standing) if is_opening(standing) && reading.value.is_some() => tally.counts.new += 1,
                Some(standing) => {
                    tally.counts.conflicting += 1;
                    let told = |reading: &Reading| match reading.value {
                        Some(value) => format!("{value} {}, {}", tally.unit, reading.quality.as_str()),
                        None => reading.quality.as_str().to_owned(),
                    };
                    problems.push(Problem::Conflict {
                        part: *part,
                        what: format!("{} at {}", tally.series, reading.at),
                        stands: told(standing),
                        sent: told(reading),
                        wins: reading.cmp_standing(standing).is_gt(),
                    });
                }
            }
        }
        Ok(Some(tally))
    }
}

fn is_opening(reading: &Reading) -> bool {
    reading.value.is_none() && reading.flags.has(Flags::IMPORTED)
}

/// Readings that the store holds of a series, a span at a time, in order.
struct Known<'s> {
    store: &'s Store,
    id: Option<SeriesId>,
    /// All before this was read.
    through: UnixMillis,
    readings: Vec<Reading>,
}

impl Known<'_> {
    /// The one of the same identity. Asked for in order of time, the last at `last`.
    fn find(&mut self, reading: &Reading, last: UnixMillis) -> Result<Option<&Reading>, StoreError> {
        let Some(id) = self.id else { return Ok(None) };
        if reading.at >= self.through {
            let to = reading.at.plus(SPAN_MS).min(last.plus(1));
            self.readings = self.store.readings(id, reading.at, to)?;
            self.through = to;
        }
        Ok(self
            .readings
            .binary_search_by(|one| one.cmp_identity(reading))
            .ok()
            .and_then(|place| self.readings.get(place)))
    }
}

/// What stands, what was sent, and whether that will stand.
type OrderConflict = (String, String, bool);

impl OrderTally {
    fn take(&mut self, event: &OrderEvent, pilot: &Pilot, store: &Store) -> Result<Option<OrderConflict>, StoreError> {
        self.first = Some(self.first.map_or(event.at, |first| first.min(event.at)));
        self.last = self.last.max(Some(event.at));
        self.good += event.good.unwrap_or(0.0);
        self.defective += event.defective.unwrap_or(0.0);
        let Some((standing, then)) = store.standing_with(&pilot.id, event)? else {
            self.counts.new += 1;
            return Ok(None);
        };
        if standing == *event {
            self.counts.standing += 1;
            return Ok(None);
        }
        self.counts.conflicting += 1;
        let told = |event: &OrderEvent| {
            let mut text = event.at.to_string();
            for (word, pieces) in [("of", event.quantity), ("good", event.good), ("defective", event.defective)] {
                text.extend(pieces.map(|pieces| format!(", {word} {pieces}")));
            }
            text.extend(event.product.as_ref().map(|product| format!(", product {product}")));
            text
        };
        Ok(Some((told(&standing), told(event), then != standing)))
    }

    /// Adds what another message holds.
    pub fn add(&mut self, other: OrderTally) {
        self.counts.add(other.counts);
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = self.last.max(other.last);
        self.good += other.good;
        self.defective += other.defective;
    }
}

impl Tally {
    /// Adds what another message holds of the same series.
    pub fn add(&mut self, other: Tally) {
        self.counts.add(other.counts);
        self.sum += other.sum;
        if other.first.0 < self.first.0 {
            self.first = other.first;
        }
        if other.last.0 >= self.last.0 {
            self.last = other.last;
        }
        self.months.extend(other.months);
        self.converted_from = self.converted_from.take().or(other.converted_from);
    }

    /// Calendar months between the first and the last that hold no reading, as `2015-03`.
    pub fn months_without(&self) -> Vec<String> {
        let (Some(first), Some(last)) = (self.months.first(), self.months.last()) else { return Vec::new() };
        let missing = (*first..=*last).filter(|month| !self.months.contains(month)).map(MonthNo);
        missing.map(|month| format!("{}-{:02}", month.year(), month.month())).collect()
    }
}
