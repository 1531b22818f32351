//! Operating cost at the baseline's prices per unit of standardised output.
//!
//! Electricity is priced by band: p0 of a band = Σ q·p / Σ q over the whole baseline period; a band that the baseline's
//! tariff does not have takes the price of the band that its tariff gives that time of day. Other carriers take the same
//! quantity-weighted price; cost categories are deflated by their index, scaled so that the baseline keeps its yuan.
//! Charges (demand, power factor, surcharges) are not part of this figure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::registry::adjustment::Adjusted;
use model::{Effects, Finding, Period, Pilot, Quantity};

use super::by_hand;
use super::data::{Declared, Part as Scope, PilotData};
use super::effects::{Factors, effects};
use super::output::Pieces;
use super::ratio::{Amounts, Months, fill, over_months};
use super::{Outcome, finding};
use crate::rollup::months::{MonthSum, Part};
use crate::standing::Cap;
use crate::sum::{Sum, sum};
use crate::tariff::{Calendar, NO_BAND, dated};

/// The cost of a part of a pilot at baseline prices.
#[derive(Debug, Clone, Default)]
pub struct Cost {
    pub amounts: Amounts,
    /// Ids of the items in scope, sorted: `cost.labour`, `energy.electricity`.
    pub items: Vec<String>,
    /// Months of the axis in which an item has data, by item.
    has_data: Vec<BTreeSet<usize>>,
    /// Quantity and nominal cost by month of the axis, by item and band.
    pub bought: Vec<BTreeMap<u16, Vec<Bought>>>,
    cap: Cap,
    findings: Vec<Finding>,
}

/// What was bought in a month: kWh, m³ and so on, of a category yuan at the baseline's level; and what it cost then.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bought {
    pub quantity: Sum,
    pub nominal: Sum,
}

/// Quantity and nominal cost over some months.
pub fn bought_over(by_month: &[Bought], months: &[usize]) -> (f64, f64) {
    let over = |of: fn(&Bought) -> Sum| sum(months.iter().map(|&month| of(&by_month[month]).total()));
    (over(|bought| bought.quantity), over(|bought| bought.nominal))
}

/// What one unit of an item costs at baseline prices.
enum BasePrice<'a> {
    /// Electricity by band.
    Bands { calendar: &'a Calendar, by_band: BTreeMap<u16, f64> },
    /// A carrier: one price for all.
    Flat(f64),
    /// A category: deflated yuan are scaled by this.
    Deflated(f64),
}

/// Costs by month.
///
/// # Errors
/// The finding that says why there are none: nothing in scope, an item without a series or a price.
pub fn cost(data: &PilotData<'_>, part: Scope<'_>) -> Result<Cost, Finding> {
    let items = data.pilot.plans.cost_scope.clone().unwrap_or_else(|| default_items(data, part));
    let items: BTreeSet<String> = items.into_iter().collect();
    if items.is_empty() {
        return Err(finding("no_series", "no `cost.*` series and no priced `energy.*` series is registered here"));
    }
    let mut cost = Cost { items: items.iter().cloned().collect(), ..Cost::default() };
    let of_cost = |adjusted: &Adjusted| (*adjusted == Adjusted::OperatingCost).then_some(1.0);
    cost.amounts.by_hand = by_hand::stated(data, part, &of_cost);
    for item in &items {
        add_item(data, part, item, &mut cost)?;
    }
    if items.iter().all(|item| item.starts_with("energy.")) {
        cost.cap = Cap::OnTrack;
        cost.findings
            .push(finding("energy_cost_only", "energy cost: labour, material and maintenance are not in scope"));
    }
    Ok(cost)
}

/// The outcome of a period.
pub fn outcome(data: &PilotData<'_>, pieces: &Pieces, cost: &Cost, period: Period) -> Outcome {
    let (baseline, reporting) = (data.baseline_months(), data.months_of(period));
    let missing = |months: &[usize]| {
        let without = |has: &BTreeSet<usize>| !months.iter().any(|month| has.contains(month));
        cost.has_data.iter().position(without).map(|item| cost.items[item].as_str())
    };
    let open = data.n_months_of(period) == 0;
    let without =
        missing(baseline).map(|item| (item, "baseline")).or_else(|| missing(&reporting).map(|item| (item, "period")));
    let mut outcome = match without {
        Some((item, when)) if !open => {
            let text = format!("`{item}` is in scope and has no data in the {when}");
            Outcome { coverage: Some(0.0), ..Outcome::insufficient(finding("missing_item", text)) }
        }
        Some(_) | None => {
            let entering = [cost.amounts.series.as_slice(), pieces.good_series.as_slice()].concat();
            over_months(data, &entering, period, |months, outcome| {
                fill(data, pieces, &cost.amounts, months, outcome);
                outcome.effects = cost.split(data, pieces, months);
            })
        }
    };
    if cost.cap == Cap::OnTrack {
        outcome.cap = Cap::OnTrack;
    }
    outcome.findings.extend(cost.findings.iter().cloned());
    outcome.cost_scope = Some(cost.items.clone());
    outcome
}

impl Cost {
    /// Why the nominal cost changed: output, mix, quantity per piece, hours of the day, prices.
    fn split(&self, data: &PilotData<'_>, pieces: &Pieces, months: &Months) -> Option<Effects> {
        let output = |months: &[usize], scale: f64| {
            (pieces.total(months) * scale, pieces.weighted(data.pilot, months) * scale, scale)
        };
        let (then, now) = (output(&months.baseline, months.baseline_scale()), output(&months.reporting, 1.0));
        let side = |(pieces, output, scale): (f64, f64, f64), all: f64, (quantity, nominal): (f64, f64)| {
            let price = if quantity == 0.0 { None } else { Some(nominal / quantity) };
            let of_item = Factors::of(pieces, output, all * scale);
            (Factors { share: quantity / all, ..of_item }, price)
        };
        let mut rows = Vec::new();
        for item in &self.bought {
            let over = |months: &[usize]| -> Vec<(f64, f64)> {
                item.values().map(|by_month| bought_over(by_month, months)).collect()
            };
            let (baseline, reporting) = (over(&months.baseline), over(&months.reporting));
            let all = |bands: &[(f64, f64)]| sum(bands.iter().map(|band| band.0));
            let (all_then, all_now) = (all(&baseline), all(&reporting));
            for (band_then, band_now) in baseline.into_iter().zip(reporting) {
                let (before, p0) = side(then, all_then, band_then);
                let (after, p1) = side(now, all_now, band_now);
                // A band that one side did not use has the other's price: it appeared by its share, not by its price.
                let Some((p0, p1)) = p0.or(p1).zip(p1.or(p0)) else { continue };
                rows.push((Factors { price: p0, ..before }, Factors { price: p1, ..after }));
            }
        }
        effects(&rows)
    }
}

/// Every item the registry declares: carriers with a price, and cost categories.
fn default_items(data: &PilotData<'_>, part: Scope<'_>) -> Vec<String> {
    let series = data.entering(part, |series| is_item(data.pilot, &series.quantity));
    series.into_iter().map(|index| data.declared[index].series.quantity.to_string()).collect()
}

/// Whether a quantity is an item of cost where no plan says which are.
pub fn is_item(pilot: &Pilot, quantity: &Quantity) -> bool {
    match quantity {
        Quantity::Energy(carrier) => is_priced(pilot, carrier),
        Quantity::Cost(_) => true,
        Quantity::Output(_)
        | Quantity::TimeCycle
        | Quantity::Emission(_)
        | Quantity::Variable(_)
        | Quantity::ValueAdded
        | Quantity::Power(_) => false,
    }
}

/// Whether the file says what a carrier costs.
fn is_priced(pilot: &Pilot, carrier: &str) -> bool {
    has_bands(pilot, carrier) || pilot.prices.iter().any(|price| &*price.carrier == carrier)
}

fn has_bands(pilot: &Pilot, carrier: &str) -> bool {
    carrier == "electricity" && !pilot.tariffs.is_empty()
}

fn add_item(data: &PilotData<'_>, part: Scope<'_>, item: &str, cost: &mut Cost) -> Result<(), Finding> {
    let series = data.entering(part, |series| series.quantity.to_string() == item);
    let Some(&first) = series.first() else {
        return Err(finding("missing_item", format!("`{item}` is in scope and no series of it is registered here")));
    };
    let declared: Vec<&Declared<'_>> = series.iter().map(|&index| &data.declared[index]).collect();
    let price = base_price(data, &data.declared[first].series.quantity, &declared)?;
    cost.findings.extend(price_findings(data.pilot, &price, &data.declared[first].series.quantity, &declared));
    let mut has_data = BTreeSet::new();
    let mut bought: BTreeMap<u16, Vec<Bought>> = BTreeMap::new();
    for declared in declared {
        for (product, sum) in declared.months() {
            let index = data.axis.index(sum.month);
            let value = price.of(sum).ok_or_else(|| no_price(item))?;
            cost.amounts.add(data, product, index, value);
            has_data.extend(index.filter(|_| !sum.parts.is_empty()));
            for (part, index) in sum.parts.iter().filter_map(|part| Some((part, index?))) {
                let of_band = bought.entry(part.band).or_insert_with(|| vec![Bought::default(); data.axis.n]);
                let (quantity, nominal) = price.bought(part);
                of_band[index].quantity.add(quantity);
                of_band[index].nominal.add(nominal);
            }
        }
    }
    cost.has_data.push(has_data);
    cost.bought.push(bought);
    cost.amounts.series.extend(series);
    Ok(())
}

fn no_price(item: &str) -> Finding {
    finding("no_price", format!("`{item}` has no price; add [[tariff]] or [[price]] from the baseline's first day on"))
}

/// The baseline's price of an item, from all its series over the whole baseline period.
fn base_price<'a>(
    data: &PilotData<'a>,
    quantity: &Quantity,
    series: &[&Declared<'_>],
) -> Result<BasePrice<'a>, Finding> {
    let totals = baseline_totals(data, series);
    let quotient = |(value, cost): &(Sum, Sum)| Some(cost.total() / value.total()).filter(|price| price.is_finite());
    match quantity {
        Quantity::Energy(carrier) if has_bands(data.pilot, carrier) => {
            let calendar = data.calendar;
            let known = (0..=u16::MAX).take(calendar.bands.len()).filter(|&band| calendar.baseline_has(band));
            let price = |band| totals.get(&band).and_then(quotient).or_else(|| calendar.price_at_baseline_end(band));
            let by_band = known.filter_map(|band| Some((band, price(band)?))).collect();
            Ok(BasePrice::Bands { calendar, by_band })
        }
        Quantity::Energy(carrier) => {
            let prices: Vec<_> = data.pilot.prices.iter().filter(|price| price.carrier == *carrier).collect();
            let at_end = || dated(&prices, |price| price.from, data.terms.baseline.to).map(|price| price.value);
            let price = totals.get(&NO_BAND).and_then(quotient).or_else(at_end);
            price.map(BasePrice::Flat).ok_or_else(|| no_price(&quantity.to_string()))
        }
        Quantity::Cost(_)
        | Quantity::Output(_)
        | Quantity::TimeCycle
        | Quantity::Emission(_)
        | Quantity::Variable(_)
        | Quantity::ValueAdded
        | Quantity::Power(_) => {
            let level = totals.get(&NO_BAND).map(|(value, deflated)| value.total() / deflated.total());
            Ok(BasePrice::Deflated(level.filter(|level| level.is_finite()).unwrap_or(1.0)))
        }
    }
}

/// Σ value and Σ cost by band over the baseline's months.
fn baseline_totals(data: &PilotData<'_>, series: &[&Declared<'_>]) -> BTreeMap<u16, (Sum, Sum)> {
    let baseline = data.baseline_months();
    let mut totals: BTreeMap<u16, (Sum, Sum)> = BTreeMap::new();
    for (_, sum) in series.iter().flat_map(|declared| declared.months()) {
        if data.axis.index(sum.month).is_some_and(|index| baseline.contains(&index)) {
            for part in &sum.parts {
                let (value, cost) = totals.entry(part.band).or_default();
                value.add(part.value);
                cost.add(part.cost);
            }
        }
    }
    totals
}

impl BasePrice<'_> {
    /// A month at baseline prices; none if a part of it has no price.
    fn of(&self, sum: &MonthSum) -> Option<f64> {
        let mut total = Sum::default();
        for part in &sum.parts {
            total.add(self.of_part(part)?);
        }
        Some(total.total())
    }

    /// Quantity and nominal cost of a part.
    fn bought(&self, part: &Part) -> (f64, f64) {
        match self {
            BasePrice::Bands { .. } | BasePrice::Flat(_) => (part.value, part.cost),
            BasePrice::Deflated(level) => (part.cost * level, part.value),
        }
    }

    fn of_part(&self, part: &Part) -> Option<f64> {
        match self {
            BasePrice::Bands { by_band, .. } => {
                let price = by_band.get(&part.band).or_else(|| by_band.get(&part.base))?;
                Some(part.value * price)
            }
            BasePrice::Flat(price) => Some(part.value * price),
            BasePrice::Deflated(level) => Some(part.cost * level),
        }
    }
}

fn price_findings(
    pilot: &Pilot,
    price: &BasePrice<'_>,
    quantity: &Quantity,
    series: &[&Declared<'_>],
) -> Option<Finding> {
    match (price, quantity) {
        (BasePrice::Bands { calendar, by_band }, _) => {
            let parts = series.iter().flat_map(|declared| declared.months()).flat_map(|(_, sum)| &sum.parts);
            let unknown: BTreeSet<u16> =
                parts.map(|part| part.band).filter(|band| !by_band.contains_key(band)).collect();
            let names: Vec<Arc<str>> =
                unknown.iter().filter_map(|&band| calendar.bands.get(usize::from(band)).cloned()).collect();
            let text = || {
                format!(
                    "bands that the baseline's tariff does not have ({}) are priced by its hours",
                    super::listed(&names)
                )
            };
            (!names.is_empty()).then(|| finding("band_substituted", text()))
        }
        (BasePrice::Deflated(_), Quantity::Cost(category)) => {
            let has_index = pilot.indexes.iter().any(|index| index.category == *category);
            let text = || format!("`cost.{category}` has no [[index]]: its yuan are nominal");
            (!has_index).then(|| finding("nominal_cost", text()))
        }
        (BasePrice::Flat(_) | BasePrice::Deflated(_), _) => None,
    }
}
