//! The messages' own figures against the truth: the contract's formulas on what the plants did make and use.

use std::sync::Arc;

use super::super::physics::{Plant, amounts_of_row, month_costs};
use super::super::{SimulatedPilot, demo};
use super::*;

const SEED: u64 = 20_150_101;

/// What was sent of a pilot's days: whole pieces, register steps, posted costs.
fn sent(plant: &Plant) -> Vec<Amounts> {
    let end = day_index(date(YEARS.end() + 1, 1, 1));
    let mut days: Vec<Amounts> = (0..end).filter_map(|index| amounts_of_row(plant, index)).collect();
    for (index, day) in (0i64..).zip(&mut days) {
        let (first, next) = (date_of(index), index + i64::from(date_of(index).days_in_month()));
        let posted = if first.day() == 1 { month_costs(plant, index, next) } else { [0.0; 3] };
        [day.labour, day.material, day.maintenance] = posted;
    }
    days
}

#[track_caller]
fn check(pilot: &SimulatedPilot, indicator: Indicator, year: i16, reduction: f64) {
    let truth = pilot.truth.of(&indicator, i32::from(year)).unwrap().reduction;
    let off = (reduction - truth).abs();
    assert!(off < TOLERANCE, "{} {indicator} {year}: {reduction:.4} for {truth:.4}", pilot.id);
}

#[test]
fn what_was_sent_comes_out_as_the_truth() {
    for pilot in demo(SEED) {
        let fleet = Arc::clone(&pilot.fleet);
        let days = Days::new(&fleet, &pilot.plant.story, sent(&pilot.plant));
        for year in YEARS {
            let reporting = days.months(year..=year);
            check(&pilot, Indicator::OperatingCost, year, days.intensity(&reporting, |sums| sums.cost).0);
            check(&pilot, Indicator::EnergyIntensity, year, days.intensity(&reporting, |sums| sums.kgce).0);
            check(&pilot, Indicator::DefectRate, year, days.defects(&reporting).0);
        }
    }
}

/// ln of the hours of the orders of a product that were started in the years and completed.
fn leads(plant: &Plant, from: i16, to: i16, product: usize) -> Vec<f64> {
    let days = day_index(date(from, 1, 1))..day_index(date(to + 1, 1, 1));
    let orders = days.flat_map(|index| plant.orders(index));
    let orders = orders.filter(|order| order.product == product && !order.cancelled);
    orders.map(|order| libm::log((order.ended - order.started) as f64 / 3_600_000.0)).collect()
}

fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

#[test]
fn the_orders_come_out_as_the_truth() {
    for pilot in demo(SEED) {
        let plant = &pilot.plant;
        let [first, last] = plant.story.baseline.map(|year| i16::try_from(year).unwrap());
        for year in [2020, 2025] {
            let (mut logs, mut weights) = (0.0, 0.0);
            for k in 0..plant.story.product.len() {
                let (mut base, reported) = (leads(plant, first, last, k), leads(plant, year, year, k));
                if base.is_empty() {
                    continue;
                }
                let mut differences: Vec<f64> = reported.iter().flat_map(|r| base.iter().map(move |b| r - b)).collect();
                let weight = reported.len() as f64 * libm::exp(median(&mut base));
                logs += weight * median(&mut differences);
                weights += weight;
            }
            check(&pilot, Indicator::ProductionCycle, year, 1.0 - libm::exp(logs / weights));
        }
    }
}

/// The stages that the fleet shows: achieved, near the line, behind, worse than the baseline, insufficient.
#[test]
fn the_fleet_shows_every_outcome() {
    let fleet = demo(SEED);
    let of = |id: &str, year| {
        let pilot = fleet.iter().find(|pilot| pilot.id.as_str() == id).unwrap();
        (pilot.truth.of(&Indicator::OperatingCost, year).unwrap().reduction, pilot)
    };
    let (achieved, _) = of("changji-transformer", 2025);
    assert!(achieved > 0.3 + TOLERANCE);
    let (near, _) = of("korla-towels", 2025);
    assert!((0.28..0.3 - TOLERANCE).contains(&near));
    let (behind, _) = of("kuitun-dairy", 2020);
    assert!(behind < 0.15);
    let (worse, _) = of("hami-mining-truck", 2025);
    assert!(worse < -TOLERANCE);
    let (_, late) = of("kashi-ceramics", 2020);
    assert!(!late.is_sufficient(&Indicator::OperatingCost, 2020) && late.is_sufficient(&Indicator::DefectRate, 2020));
    let (_, silent) = of("karamay-drilling", 2025);
    assert!(!silent.is_sufficient(&Indicator::EnergyIntensity, 2025));
    assert!(silent.is_sufficient(&Indicator::EnergyIntensity, 2020));
    let n: usize = fleet.iter().map(|pilot| pilot.insufficient.len()).sum();
    assert_eq!(n, 2 * 11 + 2, "energy and cost of one pilot in all years, of another in 2025");
}
