//! Registry lines to paste for series that were sent and that nobody registered.
//!
//! Quantity, kind and unit are guessed, in this order, from the `[[metric]]` of a mapping, the unit that came along, words of
//! the name, and the course of the readings; a comment says from what. What cannot be guessed is a comment that says what
//! to fill in: then the whole block is one.
//!
//! Invariants:
//! - what is printed is a part of a registry file, and passes its check as it stands;
//! - of a series the last day is read, and a bounded number of readings spread over the time before it.

mod words;

use std::collections::{BTreeMap, BTreeSet};

use bumpalo::Bump;
use model::quantity::QUANTITIES;
use model::{Kind, PilotId, Quantity, Reading, Reason, SeriesId, Unit, UnixMillis};
use store::{Registration, RejectionRow, Store, Which};

use crate::decode::shown;
use crate::index::{Index, PilotIndex};
use crate::mapping::{Mappings, Proposal};
use crate::normalize::{Passage, open};
use crate::replay::{observed, replayed_sender};

/// The last time of a series that is read whole: a day of 1 Hz is 86,400 readings, some 5 MB.
const RECENT_MS: i64 = 86_400_000;
/// Readings looked at before that, spread evenly: each reads a chunk, so that a series with enough recent ones has few.
const LOOKS: i64 = 8;
const LOOKS_IF_SPARSE: i64 = 50;
/// Fewer readings than this say nothing about the kind.
const READINGS_MIN: usize = 10;
/// Kept messages that are looked at for series without a time, and those read at once: their bytes may be a mebibyte each.
const TIMELESS_MAX: usize = 2_000;
const TIMELESS_PAGE: usize = 100;
/// Other units that a comment names.
const UNITS_SHOWN: usize = 5;

/// How the readings of a series run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Course {
    n: usize,
    n_rises: usize,
    n_falls: usize,
}

impl Course {
    /// Of usable readings of its whole time; what does not read says nothing.
    fn of(series: SeriesId, store: &Store) -> Course {
        let Ok(Some((first, last))) = store.span(series) else { return Course::default() };
        let from = first.max(last.plus(-RECENT_MS));
        let recent = store.readings(series, from, last.plus(1)).unwrap_or_default();
        let n_looks = if recent.len() >= READINGS_MIN { LOOKS } else { LOOKS_IF_SPARSE };
        let look = |look: i64| {
            // In i128, because a span times 50 may leave i64.
            let part = i128::from(from.0 - first.0) * i128::from(look) / i128::from(n_looks);
            let before = first.plus(i64::try_from(part).unwrap_or(i64::MAX));
            store.last_before(series, before, Which::Usable).ok().flatten()
        };
        Course::of_readings((1..=n_looks).filter_map(look).chain(recent.into_iter().filter(Reading::is_usable)))
    }

    /// Of readings in order of time; one that came already is passed over.
    fn of_readings(readings: impl Iterator<Item = Reading>) -> Course {
        let (mut course, mut before) = (Course::default(), None);
        for reading in readings {
            let Some(value) = reading.value.filter(|_| before.is_none_or(|(at, _)| at < reading.at)) else { continue };
            let value = value.as_f64();
            if let Some((_, last)) = before {
                course.n_rises += usize::from(value > last);
                course.n_falls += usize::from(value < last);
            }
            course.n += 1;
            before = Some((reading.at, value));
        }
        course
    }

    fn add(&mut self, other: Course) {
        self.n += other.n;
        self.n_rises += other.n_rises;
        self.n_falls += other.n_falls;
    }
}

/// Series that nobody registered, by asset and name.
#[derive(Default)]
pub(crate) struct Missing {
    series: BTreeMap<(String, String), Sent>,
}

#[derive(Default)]
struct Sent {
    units: Vec<String>,
    n_products: usize,
    course: Course,
}

impl Missing {
    /// One more reading or series of this asset and name.
    pub(crate) fn add(
        &mut self,
        (asset, name): (&str, &str),
        product: Option<&str>,
        unit: Option<&str>,
        course: Course,
    ) {
        let sent = self.series.entry((asset.to_owned(), name.to_owned())).or_default();
        sent.n_products += usize::from(product.is_some());
        sent.course.add(course);
        if let Some(unit) = unit
            && !sent.units.iter().any(|seen| seen == unit)
        {
            sent.units.push(unit.to_owned());
        }
    }

    /// A `[[series]]` for each; empty if there are none.
    pub(crate) fn lines(&self, pilot: &PilotIndex, mappings: &Mappings) -> String {
        let series = self.series.iter();
        let all: Vec<(&String, &String, &Sent, Guessed)> = series
            .map(|((asset, name), sent)| (asset, name, sent, Guessed::new(name, sent, mappings.proposal(name))))
            .collect();
        let twice = counted_twice(pilot, all.iter().map(|(asset, _, _, guessed)| (asset.as_str(), guessed)).collect());
        let mut lines = String::new();
        for (place, (asset, name, sent, guessed)) in all.iter().enumerate() {
            let why = twice.contains(&place).then_some(TWICE);
            lines.push_str(&block(&guessed.lines((asset, name), sent), why.or_else(|| guessed.lacks())));
            lines.push('\n');
        }
        lines
    }
}

/// Those that would count what another series of their asset counts, by their place. The likeliest one counts.
fn counted_twice(pilot: &PilotIndex, all: Vec<(&str, &Guessed)>) -> BTreeSet<usize> {
    let declared = pilot.pilot().series.iter().filter(|series| {
        series.product.is_none() && series.stage.is_none() && series.band.is_none() && counts(&series.quantity)
    });
    let mut counted: BTreeSet<(&str, &Quantity)> = declared.map(|series| (&*series.asset, &series.quantity)).collect();
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|&place| all[place].1.rank());
    let is_twice = |place: &usize| {
        let (asset, guessed) = all[*place];
        let quantity = guessed.quantity.as_ref().ok().map(|(quantity, _)| quantity);
        quantity.is_some_and(|quantity| counts(quantity) && !counted.insert((asset, quantity)))
    };
    order.into_iter().filter(is_twice).collect()
}

/// Whether the registry's check lets only one series of an asset count it.
fn counts(quantity: &Quantity) -> bool {
    !matches!(quantity, Quantity::TimeCycle | Quantity::Variable(_) | Quantity::Power(_))
}

/// The lines, or all of them as comments below the reason why they cannot be used as they stand.
fn block(lines: &[String], why_not: Option<&str>) -> String {
    match why_not {
        None => lines.iter().map(|line| format!("{line}\n")).collect(),
        Some(why) => {
            let as_comment = |line: &String| format!("# {}\n", line.strip_prefix("# ").unwrap_or(line));
            format!("# not yet: {why}\n{}", lines.iter().map(as_comment).collect::<String>())
        }
    }
}

/// A value and what it was guessed from.
type Guess<T> = (T, String);

const TWICE: &str = "another series of this asset counts the same; say `part_of` of a sub-meter, or leave this one out";
const METRIC: &str = "the `[[metric]]` of a mapping";

struct Guessed {
    /// Or why there is none.
    quantity: Result<Guess<Quantity>, &'static str>,
    kind: Option<Guess<Kind>>,
    /// With what is to be said of it; none if none was sent, or one that does not fit.
    unit: Option<Guess<Unit>>,
    rollover: Option<f64>,
}

impl Guessed {
    fn new(name: &str, sent: &Sent, proposal: Option<Proposal>) -> Guessed {
        // A mapping that gives a unit gives it to the readings: without it they came another way, under the same name.
        let is_of_mapping =
            |proposal: &Proposal| proposal.unit.as_ref().is_none_or(|unit| sent.units.iter().any(|sent| sent == unit));
        let proposal = proposal.filter(is_of_mapping).unwrap_or_default();
        let as_sent = sent.units.first().and_then(|unit| Unit::parse_or_own(unit)).filter(is_writable);
        let of_name = || words::unit(name).map(|unit| (unit, "guessed from the name".to_owned()));
        let unit = match sent.units.is_empty() {
            true => of_name(),
            false => as_sent.map(|unit| (unit, format!("as sent{}", sent.other_units()))),
        };
        let proposed = proposal.quantity.as_deref().and_then(Quantity::parse).map(|found| (found, METRIC.to_owned()));
        let of_words = || words::quantity(name, unit.as_ref().map(|(unit, _)| unit));
        let quantity = proposed.map_or_else(of_words, Ok);
        let kind = match &quantity {
            Ok((quantity, _)) => Some(kind(name, quantity, sent.course, &proposal)),
            Err(_) => of_course(Kind::Gauge, sent.course),
        };
        let fits = |unit: &Unit| match (&quantity, &kind) {
            (Ok((quantity, _)), Some((kind, _))) => quantity.takes(unit.dimension(), *kind),
            (Ok(_) | Err(_), Some(_) | None) => true,
        };
        // `_ms` or `_t` are units only of what takes them.
        let of_end = || {
            let unit = words::last_unit(name).filter(|unit| sent.units.is_empty() && quantity.is_ok() && fits(unit))?;
            Some((unit, "guessed from the end of the name".to_owned()))
        };
        let unit = unit.filter(|(unit, _)| fits(unit)).or_else(of_end);
        let is_counter = matches!(kind, Some((Kind::Counter, _)));
        Guessed { quantity, kind, unit, rollover: proposal.rollover.filter(|_| is_counter) }
    }

    /// Of several that count the same the one of the lowest rank is the likeliest.
    fn rank(&self) -> u8 {
        match (&self.quantity, &self.kind) {
            (Ok((_, from)), _) if from == METRIC => 0,
            (_, Some((Kind::Counter, _))) => 1,
            _ => 2,
        }
    }

    /// Why the block cannot be used as it stands.
    fn lacks(&self) -> Option<&'static str> {
        match &self.quantity {
            Err(why) => Some(why),
            Ok((quantity, _)) if quantity.canonical_unit().is_none() && self.unit.is_none() => {
                Some("its unit is not known")
            }
            Ok(_) => None,
        }
    }

    fn lines(&self, (asset, name): (&str, &str), sent: &Sent) -> Vec<String> {
        let mut lines = vec!["[[series]]".to_owned()];
        lines.extend([format!("asset = {}", quoted(asset)), format!("name = {}", quoted(name))]);
        if sent.n_products > 0 {
            lines.push("# each reading names its product".to_owned());
        }
        lines.push(match &self.quantity {
            Ok((quantity, from)) => format!("quantity = {}  # guessed from {from}", quoted(&quantity.to_string())),
            Err(_) => format!("# quantity = \"\"  # fill in: {QUANTITIES}"),
        });
        lines.push(match &self.kind {
            Some((kind, from)) => format!("kind = \"{}\"  # guessed from {from}", kind.as_str()),
            None => "# kind = \"\"  # fill in: counter, delta, gauge or duration".to_owned(),
        });
        lines.push(self.unit_line(sent));
        lines.extend(self.rollover.map(|rollover| format!("rollover = {rollover:?}  # guessed from {METRIC}")));
        lines
    }

    fn unit_line(&self, sent: &Sent) -> String {
        if let Some((unit, from)) = &self.unit {
            return format!("unit = {}  # {from}", quoted(unit.symbol()));
        }
        let came = match sent.units.first() {
            None => "none was sent".to_owned(),
            Some(unit) => format!("{} was sent, which does not fit{}", shown(unit), sent.other_units()),
        };
        match self.quantity.as_ref().ok().and_then(|(quantity, _)| quantity.canonical_unit()) {
            Some(unit) => {
                format!("# unit = {}  # {came}; this one holds unless you say another", quoted(unit.symbol()))
            }
            None => format!("# unit = \"\"  # fill in: {came}; \"1\" for a plain number"),
        }
    }
}

impl Sent {
    fn other_units(&self) -> String {
        let others: Vec<String> = self.units.iter().skip(1).take(UNITS_SHOWN).map(|unit| shown(unit)).collect();
        if others.is_empty() { String::new() } else { format!(", also {}", others.join(", ")) }
    }
}

fn is_writable(unit: &Unit) -> bool {
    !unit.symbol().chars().any(char::is_control)
}

/// The kind of a series of this quantity.
fn kind(name: &str, quantity: &Quantity, course: Course, proposal: &Proposal) -> Guess<Kind> {
    let fixed = match quantity {
        Quantity::TimeCycle => Some(Kind::Duration),
        Quantity::Power(_) => Some(Kind::Gauge),
        Quantity::Energy(_)
        | Quantity::Output(_)
        | Quantity::Cost(_)
        | Quantity::Emission(_)
        | Quantity::Variable(_)
        | Quantity::ValueAdded => None,
    };
    if let Some(kind) = fixed {
        return (kind, "the quantity".to_owned());
    }
    let kinds = [Kind::Counter, Kind::Delta, Kind::Gauge];
    let proposed = kinds.into_iter().find(|kind| proposal.kind.as_deref() == Some(kind.as_str()));
    let counted = words::of_counter(name).map(|word| (Kind::Counter, format!("the word `{word}` of the name")));
    let (kind, from) = proposed
        .map(|kind| (kind, METRIC.to_owned()))
        .or(counted)
        .or_else(|| of_course(if counts(quantity) { Kind::Delta } else { Kind::Gauge }, course))
        .unwrap_or_else(|| (usual(quantity), format!("the quantity; {} readings say nothing yet", course.n)));
    let doubt = if kind == Kind::Counter && course.n_falls > 0 { ", but its readings fall: check it" } else { "" };
    (kind, format!("{from}{doubt}"))
}

/// `swinging` is the kind of readings that rise and fall.
fn of_course(swinging: Kind, course: Course) -> Option<Guess<Kind>> {
    let Course { n, n_rises, n_falls } = course;
    match (n_rises, n_falls) {
        _ if n < READINGS_MIN => None,
        (0, 0) => None,
        (_, 0) => Some((Kind::Counter, format!("{n} of its readings, which never fall"))),
        (_, _) => Some((swinging, format!("{n} of its readings, which rise and fall"))),
    }
}

/// What a series of this quantity mostly is.
fn usual(quantity: &Quantity) -> Kind {
    match quantity {
        Quantity::Energy(_) => Kind::Counter,
        Quantity::Output(_) | Quantity::Cost(_) | Quantity::Emission(_) | Quantity::ValueAdded => Kind::Delta,
        Quantity::Variable(_) | Quantity::Power(_) => Kind::Gauge,
        Quantity::TimeCycle => Kind::Duration,
    }
}

/// Text as a TOML basic string.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `[[series]]` lines for the unregistered series of a pilot, under a comment that names its file; empty if there are none.
pub fn suggest(pilot: &PilotId, index: &Index) -> String {
    let Some(known) = index.pilot(pilot.as_str()) else { return String::new() };
    let mut missing = Missing::default();
    for entry in index.store().catalogue_of(pilot) {
        let Registration::Unregistered { unit } = &entry.registration else { continue };
        let key = &entry.key;
        let slot = known.slot(&key.asset, &key.name);
        let is_declared = slot.is_some_and(|slot| known.resolve(slot, key.product.as_deref()).is_some());
        if !is_declared && known.ignored_by(&key.asset, &key.name).is_none() {
            let course = Course::of(entry.id, index.store());
            missing.add((&key.asset, &key.name), key.product.as_deref(), unit.as_deref(), course);
        }
    }
    add_timeless(pilot, index, known, &mut missing);
    match missing.lines(known, &index.foreign().mappings).as_str() {
        "" => String::new(),
        lines => format!("# {pilot}.toml: series that were sent and that nobody registered\n\n{lines}"),
    }
}

/// What was refused only because a series that nobody registered needs a time: registered as counter or gauge it does not.
/// Of many such messages a bounded number is looked at.
fn add_timeless(pilot: &PilotId, index: &Index, known: &PilotIndex, missing: &mut Missing) {
    let (mut after, mut looked_at) = (0, 0);
    while looked_at < TIMELESS_MAX {
        // What does not read says nothing.
        let page = index.store().rejections(UnixMillis(0), after, TIMELESS_PAGE).unwrap_or_default();
        let Some(last) = page.last() else { return };
        after = last.id;
        looked_at += page.len();
        let has_reason = |row: &&RejectionRow| {
            let mut reasons = row.message.refusals.iter().map(|refusal| refusal.reason);
            // Before there was a rule nobody could know that a time is missing too.
            row.has_bytes && !row.replayed && reasons.any(|reason| [Reason::NoTime, Reason::NoRule].contains(&reason))
        };
        for row in page.iter().filter(|row| row.message.pilot.as_ref() == Some(pilot)).filter(has_reason) {
            let (observation, sender, arena) = (observed(row), replayed_sender(row), Bump::new());
            let Ok(opened) = open(&observation, &sender, index, &arena, Passage::Again) else { continue };
            for decoded in opened.message.readings.iter().flatten().filter(|decoded| decoded.at.is_none()) {
                let slot = known.slot(&decoded.asset, &decoded.name);
                let is_declared = slot.is_some_and(|slot| known.resolve(slot, decoded.product.as_deref()).is_some());
                let is_ignored = known.ignored_by(&decoded.asset, &decoded.name).is_some();
                if opened.message.at.is_none() && !is_declared && !is_ignored {
                    let unit = decoded.unit.as_deref().or(decoded.unit_hint.as_deref());
                    missing.add((&decoded.asset, &decoded.name), None, unit, Course::default());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
