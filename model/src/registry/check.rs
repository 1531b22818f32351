//! Rules across the tables of a file, across the files of a registry, and between a pilot and its programme.

use std::collections::{BTreeMap, BTreeSet};

use super::tariff::QUARTERS;
use super::{DayRange, Mistake, Pilot, Price, Product, Registry, Series, Tariff, Workshop, parse_pilot, topics};
use crate::document::{Document, Item, Items};
use crate::programme::Entry;
use crate::{Programme, Quantity, Slug};

// A tariff's hours are checked on the same quarter-hours that rollups have.
const _: () = assert!(QUARTERS * 15 == 24 * 60);

/// What a series may name.
pub(super) struct Around<'a> {
    pub(super) products: &'a Items<Product>,
    pub(super) workshops: &'a Items<Workshop>,
    pub(super) tariffs: &'a Items<Tariff>,
}

/// Notes tables of one name that declare the same thing twice.
pub(super) fn no_twin<T>(doc: &mut Document<'_>, what: &str, items: &[Item<T>], key: impl Fn(&T) -> String) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for item in items {
        let key = key(&item.value);
        if let Some(line) = seen.get(&key) {
            doc.mistake(item.line, format!("{what} `{key}` stands twice; the other one is on line {line}"));
        } else {
            seen.insert(key, item.line);
        }
    }
}

/// Electricity is priced in one way.
pub(super) fn one_electricity_price(doc: &mut Document<'_>, prices: &[Item<Price>], tariffs: &Items<Tariff>) {
    let Some(tariff) = tariffs.items.first() else { return };
    for item in prices.iter().filter(|item| &*item.value.carrier == "electricity") {
        let text = format!("electricity has a `[[tariff]]` on line {}; drop this price, or the tariffs", tariff.line);
        doc.mistake(item.line, text);
    }
}

/// Some row is in force from the first day of the baseline on, and never two that are equally narrow.
pub(super) fn tariffs(doc: &mut Document<'_>, tariffs: &Items<Tariff>, baseline: Option<DayRange>) {
    starts_with_the_baseline(doc, tariffs, baseline);
    let mut noted: BTreeSet<(usize, usize)> = BTreeSet::new();
    for (month, restday) in (1..=12).flat_map(|month| [(month, false), (month, true)]) {
        let rows: Vec<&Item<Tariff>> = tariffs.items.iter().filter(|item| item.value.is_for(month, restday)).collect();
        if rows.is_empty() && tariffs.whole && !tariffs.items.is_empty() {
            let day = if restday { "restday" } else { "workday" };
            let text = format!("no tariff is for a {day} in month {month}; add a row without `months` and `days`");
            doc.mistake(tariffs.items[0].line, text);
            return;
        }
        if let Some((one, other)) = rivals(&rows).filter(|pair| noted.insert((pair.0.line, pair.1.line))) {
            let text = format!(
                "this tariff and the one on line {} both hold on the same days from {}; say other `months` or `days`",
                one.line, one.value.from
            );
            doc.mistake(other.line, text);
        }
    }
}

fn starts_with_the_baseline(doc: &mut Document<'_>, tariffs: &Items<Tariff>, baseline: Option<DayRange>) {
    let first = tariffs.items.iter().min_by_key(|item| item.value.from).filter(|_| tariffs.whole);
    let (Some(first), Some(baseline)) = (first, baseline) else { return };
    if first.value.from > baseline.from {
        let text = format!(
            "the first tariff starts on {}, after the baseline on {}; its days before that have no price",
            first.value.from, baseline.from
        );
        doc.mistake(first.line_of("from"), text);
    }
}

/// Two rows of one date that are equally narrow, where none is narrower.
fn rivals<'a>(rows: &[&'a Item<Tariff>]) -> Option<(&'a Item<Tariff>, &'a Item<Tariff>)> {
    let rank = |item: &Item<Tariff>| (item.value.from, item.value.specificity());
    let beaten =
        |item: &Item<Tariff>| rows.iter().any(|other| other.value.from == item.value.from && rank(other) > rank(item));
    let mut best: BTreeMap<_, &'a Item<Tariff>> = BTreeMap::new();
    for item in rows.iter().filter(|item| !beaten(item)) {
        if let Some(other) = best.insert(item.value.from, item) {
            return Some((other, item));
        }
    }
    None
}

/// What a series names exists, no series stands twice, and nothing is counted twice.
pub(super) fn series(doc: &mut Document<'_>, series: &Items<Series>, around: &Around<'_>) {
    no_twin(doc, "series", &series.items, identity);
    let mut by_path: BTreeMap<String, Vec<&Item<Series>>> = BTreeMap::new();
    for item in &series.items {
        by_path.entry(path(&item.value)).or_default().push(item);
    }
    for item in &series.items {
        names_exist(doc, item, around);
        part_of(doc, item, &by_path, series.whole);
    }
    let mut alike: BTreeMap<_, Vec<&Item<Series>>> = BTreeMap::new();
    for item in series.items.iter().filter(|item| counts(&item.value.quantity)) {
        let Series { asset, quantity, product, stage, band, .. } = &item.value;
        let others = alike.entry((asset, quantity, product, stage, band)).or_default();
        if let Some(other) = others.iter().find(|other| counted_twice(&item.value, &other.value)) {
            let (this, that) = (path(&item.value), path(&other.value));
            let text = format!(
                "`{this}` and `{that}` (line {}) count the same {quantity}; say `part_of = \"{that}\"` if this is a sub-meter",
                other.line
            );
            doc.mistake(item.line, text);
        }
        others.push(item);
    }
}

fn path(series: &Series) -> String {
    format!("{}/{}", series.asset, series.name)
}

fn identity(series: &Series) -> String {
    match &series.product {
        None => path(series),
        Some(product) => format!("{} of product {product}", path(series)),
    }
}

fn names_exist(doc: &mut Document<'_>, item: &Item<Series>, around: &Around<'_>) {
    let series = &item.value;
    if let Some(product) = &series.product {
        let known = around.products.items.iter().any(|item| item.value.id == *product);
        if !known && around.products.whole && !around.products.items.is_empty() {
            let text = format!("product `{product}` is no `[[product]]` of this file");
            doc.mistake(item.line_of("product"), text);
        }
    }
    if let Some(workshop) = &series.workshop {
        let known = around.workshops.items.iter().any(|item| item.value.id == *workshop);
        if !known && around.workshops.whole {
            let text = format!("workshop `{workshop}` is no `[[workshop]]` of this file");
            doc.mistake(item.line_of("workshop"), text);
        }
    }
    if let Some(band) = &series.band {
        let tariffs = &around.tariffs.items;
        let known = tariffs.iter().any(|item| item.value.bands.contains_key(band));
        if !known && around.tariffs.whole && !tariffs.is_empty() {
            let bands: BTreeSet<&str> =
                tariffs.iter().flat_map(|item| item.value.bands.keys()).map(|band| &**band).collect();
            let bands: Vec<&str> = bands.into_iter().collect();
            let text = format!("band `{band}` is in no `[[tariff]]`; there are {}", bands.join(", "));
            doc.mistake(item.line_of("band"), text);
        }
    }
}

/// Sub-meters of sub-meters: a plant has three or four levels, so a chain that is longer goes round in a circle.
const LEVELS_MAX: usize = 32;

/// `part_of` names exactly one other series, and following it comes to an end.
fn part_of(
    doc: &mut Document<'_>,
    item: &Item<Series>,
    by_path: &BTreeMap<String, Vec<&Item<Series>>>,
    all_known: bool,
) {
    let Some(whole) = &item.value.part_of else { return };
    let n_matching = by_path.get(whole).map_or(0, Vec::len);
    let text = match n_matching {
        1 if endless(&item.value, by_path) => {
            format!("`part_of = \"{whole}\"` leads back to a series it came from, or through more than {LEVELS_MAX}")
        }
        1 => return,
        0 if !all_known => return,
        0 => format!("`part_of = \"{whole}\"` names no series; it is the asset, `/` and the name of one"),
        n => format!("`part_of = \"{whole}\"` names {n} series; it must name one"),
    };
    doc.mistake(item.line_of("part_of"), text);
}

fn endless(start: &Series, by_path: &BTreeMap<String, Vec<&Item<Series>>>) -> bool {
    let mut at = start;
    for _ in 0..LEVELS_MAX {
        let next = at.part_of.as_ref().and_then(|whole| by_path.get(whole)).and_then(|found| found.first());
        match next {
            Some(next) => at = &next.value,
            None => return false,
        }
    }
    true
}

/// Whether the amounts of two series that are alike would both enter one total.
///
/// Two sub-meters are left alone, whatever they are part of: neither enters the pilot's total.
fn counted_twice(one: &Series, other: &Series) -> bool {
    let nested =
        one.part_of.as_deref() == Some(path(other).as_str()) || other.part_of.as_deref() == Some(path(one).as_str());
    let sub_meters = one.part_of.is_some() && other.part_of.is_some();
    // The same series twice has a mistake of its own.
    one.name != other.name && !nested && !sub_meters
}

/// Whether amounts of the quantity are added up over series.
fn counts(quantity: &Quantity) -> bool {
    match quantity {
        Quantity::Energy(_)
        | Quantity::Output(_)
        | Quantity::Cost(_)
        | Quantity::Emission(_)
        | Quantity::ValueAdded => true,
        Quantity::TimeCycle | Quantity::Variable(_) | Quantity::Power(_) => false,
    }
}

/// Checks what a pilot says about its place in the programme: programme, region, sector and class.
pub fn check_against(pilot: &Pilot, programme: &Programme) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut note = |key: &str, text: String| {
        mistakes.push(Mistake { file: pilot.source.file.clone(), line: pilot.source.line_of(key), text });
    };
    if pilot.programme != programme.id {
        note("programme", format!("programme `{}` is not the one in force, `{}`", pilot.programme, programme.id));
        return mistakes;
    }
    let places: [(&str, &Slug, &[Entry]); 3] = [
        ("region", &pilot.region, &programme.regions),
        ("sector", &pilot.sector, &programme.sectors),
        ("class", &pilot.class, &programme.classes),
    ];
    for (key, id, entries) in places {
        if entries.iter().all(|entry| entry.id != *id) {
            let known: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
            note(key, format!("{key} `{id}` is not in programme `{}`; it has {}", programme.id, known.join(", ")));
        }
    }
    mistakes
}

/// Makes a registry of the files of a directory (path and text). Pilots with mistakes are left out.
pub fn assemble(mut files: Vec<(String, String)>) -> (Registry, Vec<Mistake>) {
    files.sort();
    let mut registry = Registry::default();
    let mut mistakes = Vec::new();
    for (path, text) in &files {
        match parse_pilot(path, text) {
            Ok(pilot) => {
                if let Some(other) = registry.pilots.get(&pilot.id) {
                    let text = format!("pilot `{}` is already declared in {}", pilot.id, other.source.file);
                    mistakes.push(Mistake { file: path.clone(), line: pilot.source.line_of("id"), text });
                } else {
                    registry.pilots.insert(pilot.id.clone(), pilot.into());
                }
            }
            Err(found) => mistakes.extend(found),
        }
    }
    mistakes.extend(registry.check());
    (registry, mistakes)
}

impl Registry {
    /// Rules across pilots: no topic may be taken by two of them.
    pub fn check(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let mut owners: Vec<(&Pilot, &str)> = Vec::new();
        let mut taken = topics::Taken::default();
        for pilot in self.pilots.values() {
            // All of a pilot's filters are asked for before any is taken: its own overlaps are its file's mistakes.
            for (i, filter) in pilot.topics.iter().enumerate() {
                let Some((other, theirs)) = taken.rival(filter).and_then(|owner| owners.get(owner)) else { continue };
                mistakes.push(Mistake {
                    file: pilot.source.file.clone(),
                    line: pilot.source.line_of(&format!("topics.{i}")),
                    text: format!(
                        "topic filter `{filter}` overlaps `{theirs}` of pilot `{}`; a topic belongs to one",
                        other.id
                    ),
                });
            }
            for filter in &pilot.topics {
                taken.take(filter, owners.len());
                owners.push((pilot, filter));
            }
        }
        mistakes
    }
}
