//! Reads one pilot's file into a [`Pilot`]: section by section, then the rules across sections.

use std::path::Path;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::adjustment::{self, Adjustment};
use super::plan::Plans;
use super::raw::{
    RawAdjustment, RawBaseline, RawChange, RawCharge, RawEvent, RawFactor, RawIgnore, RawIndex, RawPilot, RawPlan,
    RawPrice, RawProduct, RawRestday, RawSeries, RawStop, RawTariff, RawWorkshop,
};
use super::{
    Change, Charge, DayRange, FactorOverride, Ignore, Mistake, PiecesFrom, Pilot, Price, PriceIndex, Product, Series,
    Source, Stop, Tariff, Workshop, check, money, plan, series, tariff, topics,
};
use crate::document::{Day, DayOrAt, Document, Item, Items};
use crate::id::IdError;
use crate::period::midnight;
use crate::time::EARLIEST;
use crate::{Indicator, PilotId, Quantity, Slug, UnixMillis, check_name};

/// Reads the text of `file` (its name is used in messages, and its stem must be the pilot's id).
///
/// # Errors
/// All mistakes found, in file order.
pub fn parse_pilot(file: &str, text: &str) -> Result<Pilot, Vec<Mistake>> {
    let mut doc = Document::parse(file, text)?;
    let head = doc.needed::<RawPilot>("pilot");
    let baseline = doc.needed::<RawBaseline>("baseline");
    let head = head.and_then(|item| pilot(&mut doc, item));
    let baseline = baseline.and_then(|item| day_range(&mut doc, &item));
    let zone = head.as_ref().map_or(TimeZone::UTC, |head| head.zone.clone());
    let pieces = head.as_ref().and_then(|head| head.pieces);
    let body = body(&mut doc, &zone, (baseline, pieces));
    match (head, baseline, doc.is_clean()) {
        (Some(head), Some(baseline), true) => {
            let mistakes = doc.into_mistakes();
            if mistakes.is_empty() { Ok(assemble(head, baseline, body, text)) } else { Err(mistakes) }
        }
        (Some(_) | None, Some(_) | None, true | false) => Err(doc.into_mistakes()),
    }
}

/// `[pilot]`, checked.
struct Head {
    id: PilotId,
    name: crate::programme::Label,
    enterprise: String,
    region: Slug,
    sector: Slug,
    class: Slug,
    zone_name: String,
    zone: TimeZone,
    programme: Slug,
    earliest: UnixMillis,
    pieces: Option<PiecesFrom>,
    topics: Vec<String>,
    source: Source,
}

/// Every other section, checked as far as it goes without `[pilot]`.
struct Body {
    products: Vec<Product>,
    tariffs: Vec<Tariff>,
    restdays: Vec<Date>,
    prices: Vec<Price>,
    indexes: Vec<PriceIndex>,
    charges: Vec<Charge>,
    factors: Vec<FactorOverride>,
    workshops: Vec<Workshop>,
    stops: Vec<Stop>,
    ignores: Vec<Ignore>,
    series: Vec<Series>,
    plans: Plans,
    adjustments: Vec<Adjustment>,
    changes: Vec<Change>,
}

fn body(doc: &mut Document<'_>, zone: &TimeZone, (baseline, pieces): (Option<DayRange>, Option<PiecesFrom>)) -> Body {
    let products = doc.many::<RawProduct>("product");
    let products = each(doc, products, product);
    check::no_twin(doc, "product", &products.items, |product| product.id.to_string());
    let workshops = doc.many::<RawWorkshop>("workshop");
    let workshops = each(doc, workshops, workshop);
    check::no_twin(doc, "workshop", &workshops.items, |workshop| workshop.id.to_string());
    let tariffs = doc.many::<RawTariff>("tariff");
    let tariffs = each(doc, tariffs, tariff::tariff);
    let restdays = doc.many::<RawRestday>("restday");
    let restdays = restdays_of(doc, restdays);
    let (prices, indexes, charges, factors) = (
        doc.many::<RawPrice>("price"),
        doc.many::<RawIndex>("index"),
        doc.many::<RawCharge>("charge"),
        doc.many::<RawFactor>("factor"),
    );
    let prices = each(doc, prices, money::price);
    check::no_twin(doc, "price", &prices.items, |price| format!("{} from {}", price.carrier, price.from));
    check::one_electricity_price(doc, &prices.items, &tariffs);
    let indexes = each(doc, indexes, money::index);
    check::no_twin(doc, "index", &indexes.items, |index| format!("{} from {}", index.category, index.from));
    let charges = each(doc, charges, money::charge);
    let factors = each(doc, factors, money::factor);
    check::no_twin(doc, "factor", &factors.items, |factor| factor.carrier.to_string());
    let stops = doc.many::<RawStop>("stop");
    let stops = each(doc, stops, stop);
    let ignores = doc.many::<RawIgnore>("ignore");
    let ignores =
        each(doc, ignores, |_, item| Some(Ignore { asset: item.value.asset.clone(), name: item.value.name.clone() }));
    let declared = doc.many::<RawSeries>("series");
    let mut declared = each(doc, declared, series::series);
    let events = doc.many::<RawEvent>("event");
    series::attach_events(doc, &mut declared, events);
    check::series(doc, &declared, &check::Around { products: &products, workshops: &workshops, tariffs: &tariffs });
    let changes = doc.many::<RawChange>("change");
    let changes = each(doc, changes, |_, item| Some(change(item, zone)));
    let products = values(products);
    let plans = doc.one::<RawPlan>("plan");
    let around = plan::Around { products: &products, series: &declared, pieces, baseline };
    let plans = plans.map_or_else(Plans::default, |item| plan::plans(doc, &item, &around));
    let adjustments = doc.many::<RawAdjustment>("adjustment");
    let around = adjustment::Around { series: &declared, workshops: &workshops, terms: &plans.terms, baseline };
    let adjustments = each(doc, adjustments, |doc, item| adjustment::adjustment(doc, item, &around));
    check::no_twin(doc, "adjustment", &adjustments.items, Adjustment::to_string);
    let of_cost = baseline.map(|of_pilot| plans.terms.baseline(&Indicator::OperatingCost, of_pilot));
    check::tariffs(doc, &tariffs, of_cost);
    let mut changes = values(changes);
    changes.sort_by_key(|change| change.at);
    Body {
        products,
        tariffs: by_date(values(tariffs)),
        restdays,
        prices: values(prices),
        indexes: values(indexes),
        charges: values(charges),
        factors: values(factors),
        workshops: values(workshops),
        stops: values(stops),
        ignores: values(ignores),
        series: values(declared),
        plans,
        adjustments: values(adjustments),
        changes,
    }
}

fn assemble(head: Head, baseline: DayRange, body: Body, text: &str) -> Pilot {
    let counts_pieces = body.series.iter().any(|series| matches!(series.quantity, Quantity::Output(_)));
    let pieces = if counts_pieces { PiecesFrom::Series } else { PiecesFrom::Orders };
    Pilot {
        id: head.id,
        name: head.name,
        enterprise: head.enterprise,
        region: head.region,
        sector: head.sector,
        class: head.class,
        zone_name: head.zone_name,
        zone: head.zone,
        programme: head.programme,
        earliest: head.earliest,
        pieces: head.pieces.unwrap_or(pieces),
        topics: head.topics,
        baseline,
        products: body.products,
        tariffs: body.tariffs,
        restdays: body.restdays,
        prices: body.prices,
        indexes: body.indexes,
        charges: body.charges,
        factors: body.factors,
        workshops: body.workshops,
        stops: body.stops,
        ignores: body.ignores,
        series: body.series,
        plans: body.plans,
        adjustments: body.adjustments,
        changes: body.changes,
        source: head.source,
        content_hash: xxhash_rust::xxh3::xxh3_64(text.as_bytes()),
    }
}

/// Turns each table into its final type; those that cannot be are noted and left out.
fn each<T, U>(
    doc: &mut Document<'_>,
    items: Items<T>,
    convert: impl Fn(&mut Document<'_>, &Item<T>) -> Option<U>,
) -> Items<U> {
    let n_items = items.items.len();
    let mut made = Vec::with_capacity(n_items);
    for item in items.items {
        if let Some(value) = convert(doc, &item) {
            made.push(item.with(value).0);
        }
    }
    Items { whole: items.whole && made.len() == n_items, items: made }
}

fn values<T>(items: Items<T>) -> Vec<T> {
    items.items.into_iter().map(|item| item.value).collect()
}

fn by_date(mut tariffs: Vec<Tariff>) -> Vec<Tariff> {
    tariffs.sort_by_key(|tariff| tariff.from);
    tariffs
}

/// Notes a mistake if there is one; the value otherwise.
pub(super) fn noted<T, E: std::fmt::Display>(doc: &mut Document<'_>, line: usize, result: Result<T, E>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(mistake) => {
            doc.mistake(line, mistake.to_string());
            None
        }
    }
}

/// Checks a name that readings and events carry.
pub(super) fn name_of<T>(doc: &mut Document<'_>, item: &Item<T>, key: &str, name: &str) -> Option<Arc<str>> {
    let checked = check_name(name).map_err(|error| format!("`{key}` {error}"));
    noted(doc, item.line_of(key), checked).map(|()| Arc::from(name))
}

/// Reads an id of `[pilot]` or of a workshop; its key stands for what the id is of.
fn slug<T>(doc: &mut Document<'_>, item: &Item<T>, key: &str, text: &str) -> Option<Slug> {
    let parsed = Slug::parse(text).map_err(|error| match error {
        IdError::Empty { allowed, .. } => format!("`{key}` is empty; it needs 1 to 64 of {allowed}"),
        IdError::Long { len, .. } => format!("`{key}` has {len} bytes; at most 64 are allowed"),
        IdError::Character { id, found, at, allowed, .. } => {
            format!("`{key}` is `{id}`, with `{}` at byte {at}; allowed: {allowed}", found.escape_debug())
        }
    });
    noted(doc, item.line_of(key), parsed)
}

pub(super) fn workshop_id<T>(doc: &mut Document<'_>, item: &Item<T>, text: &str) -> Option<Slug> {
    slug(doc, item, "workshop", text)
}

fn pilot(doc: &mut Document<'_>, item: Item<RawPilot>) -> Option<Head> {
    let raw = &item.value;
    let id = noted(doc, item.line_of("id"), PilotId::parse(&raw.id));
    let stem = Path::new(doc.file()).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if id.is_some() && stem != raw.id {
        let text = format!("pilot id `{id}` is not the name of its file: call the file `{id}.toml`", id = raw.id);
        doc.mistake(item.line_of("id"), text);
    }
    let region = slug(doc, &item, "region", &raw.region);
    let sector = slug(doc, &item, "sector", &raw.sector);
    let class = slug(doc, &item, "class", &raw.class);
    let programme = slug(doc, &item, "programme", &raw.programme);
    let zone = TimeZone::get(&raw.zone)
        .map_err(|_unknown| format!("zone `{}` is not in the time-zone database; such as `Asia/Shanghai`", raw.zone));
    let zone = noted(doc, item.line_of("zone"), zone);
    check_topics(doc, &item);
    let earliest = earliest(doc, &item, zone.as_ref());
    let source = Source { file: doc.file().to_owned(), lines: item.lines() };
    let (_, raw) = item.with(());
    Some(Head {
        id: id?,
        name: raw.name.0,
        enterprise: raw.enterprise,
        region: region?,
        sector: sector?,
        class: class?,
        zone_name: raw.zone,
        zone: zone?,
        programme: programme?,
        earliest,
        pieces: raw.pieces.map(PiecesFrom::from),
        topics: raw.topics,
        source,
    })
}

fn check_topics(doc: &mut Document<'_>, item: &Item<RawPilot>) {
    let filters = &item.value.topics;
    for (i, filter) in filters.iter().enumerate() {
        let line = item.line_of(&format!("topics.{i}"));
        if let Some(why) = topics::refuse(filter) {
            doc.mistake(line, format!("topic filter `{}` {why}", filter.escape_debug()));
        } else if let Some(other) = filters[..i].iter().find(|other| topics::overlap(other, filter)) {
            doc.mistake(line, format!("topic filters `{other}` and `{filter}` overlap; keep one of them"));
        }
    }
}

fn earliest(doc: &mut Document<'_>, item: &Item<RawPilot>, zone: Option<&TimeZone>) -> UnixMillis {
    let Some(declared) = item.value.earliest else { return EARLIEST };
    let at = instant(declared, zone.unwrap_or(&TimeZone::UTC));
    if at < EARLIEST {
        doc.mistake(item.line_of("earliest"), format!("`earliest` {at} is before {EARLIEST}, which it may only raise"));
    }
    at
}

fn instant(declared: DayOrAt, zone: &TimeZone) -> UnixMillis {
    match declared {
        DayOrAt::Day(day) => midnight(day, zone),
        DayOrAt::At(at) => at,
    }
}

fn day_range(doc: &mut Document<'_>, item: &Item<RawBaseline>) -> Option<DayRange> {
    days(doc, item.line_of("to"), "baseline", (item.value.from, item.value.to))
}

/// Both days of `what`, if they are in order; the mistake is on `line`.
pub(super) fn days(doc: &mut Document<'_>, line: usize, what: &str, (from, to): (Day, Day)) -> Option<DayRange> {
    let (from, to) = (from.0, to.0);
    if from > to {
        let text = format!("the {what} ends on {to}, before it begins on {from}; both days are included");
        doc.mistake(line, text);
        return None;
    }
    Some(DayRange { from, to })
}

fn product(doc: &mut Document<'_>, item: &Item<RawProduct>) -> Option<Product> {
    let raw = &item.value;
    let id = name_of(doc, item, "id", &raw.id);
    if let Some(weight) = raw.weight.filter(|weight| !(weight.is_finite() && *weight > 0.0)) {
        doc.mistake(item.line_of("weight"), format!("weight {weight} of product `{}` must be above 0", raw.id));
        return None;
    }
    Some(Product { id: id?, name: raw.name.clone().map(|name| name.0), weight: raw.weight })
}

fn workshop(doc: &mut Document<'_>, item: &Item<RawWorkshop>) -> Option<Workshop> {
    let id = slug(doc, item, "id", &item.value.id)?;
    Some(Workshop { id, name: item.value.name.0.clone() })
}

fn stop(doc: &mut Document<'_>, item: &Item<RawStop>) -> Option<Stop> {
    let DayRange { from, to } = days(doc, item.line_of("to"), "stop", (item.value.from, item.value.to))?;
    Some(Stop { from, to, reason: item.value.reason.clone() })
}

fn restdays_of(doc: &mut Document<'_>, items: Items<RawRestday>) -> Vec<Date> {
    let mut days = Vec::new();
    for item in items.items {
        if item.value.date.is_none() && item.value.dates.is_empty() {
            doc.mistake(item.line, "`[[restday]]` needs `dates = [2015-10-01, …]` or `date = 2015-10-01`");
        }
        days.extend(item.value.date.iter().chain(&item.value.dates).map(|day| day.0));
    }
    days.sort_unstable();
    days.dedup();
    days
}

fn change(item: &Item<RawChange>, zone: &TimeZone) -> Change {
    let raw = &item.value;
    Change { at: instant(raw.at, zone), author: raw.author.clone(), reason: raw.reason.clone() }
}
