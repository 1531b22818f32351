//! The indicators on hand-made months, with the method's vectors.

use std::sync::Arc;

use model::period::MonthNo;
use model::registry::Stop;
use model::window::QUARTER_MS;
use model::{Indicator, Kind, Period, Pilot, Series, UnixMillis};
use proptest::prelude::*;
use seeds::factors::{Basis, Factors};

mod by_hand;
mod models;
mod plans;

use super::data::{Measured, Part, PilotData, Stored};
use super::output::Pieces;
use super::*;
use crate::fixture::{day, pilot, series, tariff};
use crate::orders::Cohorts;
use crate::rollup::mark;
use crate::rollup::months::{CoverRun, MonthSum, MonthSums, Part as Band};
use crate::tariff::Calendar;

/// A month of one series: `(month, value)`, wholly covered.
fn month(month: &str, value: f64, parts: Vec<Band>) -> MonthSum {
    let month = MonthNo::of(day(&format!("{month}-01")));
    let zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
    let window = month.window(&zone);
    let covered_ms = window.length_ms();
    let n = u16::try_from(covered_ms / QUARTER_MS).unwrap();
    let cover = vec![CoverRun { first: window.start.0 / QUARTER_MS, n, covered_ms: 900_000 }];
    let marks = mark::CONTRIBUTED;
    MonthSum { month, value, covered_ms, n: 1, marks, parts, cover, decrease: None, n_decreases: 0 }
}

fn stored(product: Option<&str>, months: Vec<MonthSum>) -> Stored {
    Stored { product: product.map(Arc::from), sums: Arc::new(MonthSums { months }) }
}

fn year(year: &str, value: f64) -> Vec<MonthSum> {
    (1..=12).map(|n| month(&format!("{year}-{n:02}"), value / 12.0, Vec::new())).collect()
}

fn two_years(baseline: f64, reporting: f64) -> Vec<MonthSum> {
    [year("2015", baseline), year("2016", reporting)].concat()
}

/// Runs `look` over the data of a pilot with these stored months, as of 2017.
fn measured<T>(pilot: &Pilot, stored: Vec<Vec<Stored>>, look: impl FnOnce(&Measured<'_>) -> T) -> T {
    let (calendar, factors) = (Calendar::of(pilot), Factors::builtin());
    let open = MonthNo::of(day("2017-01-01"));
    let orders = (Arc::default(), Cohorts::default(), UnixMillis(0));
    look(&Measured::new((pilot, &calendar, &factors), stored, orders, open))
}

/// The same as one indicator sees them.
fn seen_by<T>(
    indicator: &Indicator,
    pilot: &Pilot,
    stored: Vec<Vec<Stored>>,
    look: impl FnOnce(&PilotData<'_>, &Pieces) -> T,
) -> T {
    measured(pilot, stored, |data| look(&data.under(pilot.terms(indicator)), &Pieces::of(data, Part::Whole)))
}

/// The same as energy sees them.
fn with<T>(pilot: &Pilot, stored: Vec<Vec<Stored>>, look: impl FnOnce(&PilotData<'_>, &Pieces) -> T) -> T {
    seen_by(&Indicator::EnergyIntensity, pilot, stored, look)
}

fn period(text: &str) -> Period {
    Period::parse(text).unwrap()
}

fn energy_of(pilot: &Pilot, stored: Vec<Vec<Stored>>, text: &str) -> Outcome {
    with(pilot, stored, |data, pieces| {
        let energy = energy::Energy::of(data, pieces, Part::Whole, Basis::Calorific).unwrap();
        energy::outcome(data, pieces, &energy, period(text))
    })
}

fn rules(outcome: &Outcome) -> Vec<&str> {
    outcome.findings.iter().map(|finding| finding.rule.as_str()).collect()
}

fn meter_and_pieces() -> Vec<Series> {
    vec![series("energy.electricity", Kind::Counter, "kWh"), series("output.good", Kind::Delta, "piece")]
}

#[test]
fn energy_is_kgce_against_the_baselines_per_unit_of_output() {
    let pilot = pilot("Asia/Shanghai", meter_and_pieces());
    let data = vec![vec![stored(None, two_years(12_000.0, 9_000.0))], vec![stored(None, two_years(1_200.0, 1_000.0))]];
    let outcome = energy_of(&pilot, data, "2016");
    assert!((outcome.actual.unwrap() - 9_000.0 * 0.1229).abs() < 1e-9);
    assert!((outcome.adjusted.unwrap() - 10_000.0 * 0.1229).abs() < 1e-9);
    assert_eq!((outcome.coverage, outcome.output), (Some(1.0), Some(1_000.0)));
    assert_eq!(rules(&outcome), ["base_load"]);
    let effects = outcome.effects.unwrap();
    assert!((effects.to - outcome.actual.unwrap()).abs() < 1e-9);
    let change = effects.activity + effects.structure + effects.intensity + effects.price;
    assert!((change - (effects.to - effects.from)).abs() < 1e-9);
    assert!(effects.activity < 0.0 && effects.intensity < 0.0 && effects.structure.abs() < 1e-9, "{effects:?}");
}

#[test]
fn the_baseline_year_itself_gives_a_ratio_of_exactly_one() {
    let pilot = pilot("Asia/Shanghai", meter_and_pieces());
    for text in ["2015", "2015-Q2", "2015-07"] {
        let data = vec![vec![stored(None, year("2015", 777.7))], vec![stored(None, year("2015", 333.3))]];
        assert_eq!(energy_of(&pilot, data, text).ratio(), Some(1.0), "{text}");
    }
}

#[test]
fn a_month_without_coverage_leaves_both_periods() {
    let pilot = pilot("Asia/Shanghai", meter_and_pieces());
    let mut energy = two_years(1_200.0, 1_200.0);
    // June is half covered in the reporting year, and its energy would spoil the sum.
    energy[17].covered_ms /= 2;
    energy[17].value = 1e6;
    // Output in June was ten times as high in the baseline: it must leave Q_b with the month.
    let mut output = two_years(1_200.0, 1_200.0);
    output[5].value = 1_000.0;
    let outcome =
        energy_of(&pilot, vec![vec![stored(None, energy.clone())], vec![stored(None, output.clone())]], "2016");
    assert!((outcome.ratio().unwrap() - 1.0).abs() < 1e-12);
    assert_eq!(outcome.coverage, Some(11.0 / 12.0));
    assert_eq!(rules(&outcome), ["coverage", "base_load"]);
    let quarter = energy_of(&pilot, vec![vec![stored(None, energy)], vec![stored(None, output)]], "2016-Q2");
    assert_eq!((quarter.coverage, quarter.ratio()), (Some(2.0 / 3.0), None), "below 0.8 is insufficient");
    assert!(quarter.actual.is_some(), "the number is shown all the same");
}

#[test]
fn a_month_wholly_in_a_stop_counts_neither_way() {
    let mut pilot = pilot("Asia/Shanghai", meter_and_pieces());
    pilot.stops.push(Stop { from: day("2016-02-01"), to: day("2016-02-29"), reason: "overhaul".into() });
    let mut energy = two_years(1_200.0, 1_200.0);
    energy.remove(13);
    let outcome =
        energy_of(&pilot, vec![vec![stored(None, energy)], vec![stored(None, two_years(12.0, 12.0))]], "2016");
    assert_eq!(outcome.coverage, Some(1.0));
}

#[test]
fn a_registered_series_without_readings_is_not_zero() {
    let mut declared = meter_and_pieces();
    declared.push(series("energy.diesel", Kind::Delta, "kg"));
    let pilot = pilot("Asia/Shanghai", declared);
    let data = vec![vec![stored(None, two_years(12.0, 9.0))], vec![stored(None, two_years(12.0, 12.0))], Vec::new()];
    let outcome = energy_of(&pilot, data, "2016");
    assert_eq!((outcome.coverage, outcome.actual, outcome.ratio()), (Some(0.0), None, None));
    assert!(outcome.findings[0].text.contains("energy.diesel"), "{:?}", outcome.findings);
}

#[test]
fn a_sub_meter_counts_for_its_workshop_and_never_for_the_pilot() {
    let workshop = model::Slug::parse("w").unwrap();
    let mut declared = meter_and_pieces();
    let mut sub = series("energy.electricity", Kind::Counter, "kWh");
    (sub.asset, sub.part_of, sub.workshop) =
        ("sub".into(), Some("a/energy.electricity".into()), Some(workshop.clone()));
    declared.push(sub);
    let pilot = pilot("Asia/Shanghai", declared);
    with(&pilot, vec![Vec::new(), Vec::new(), Vec::new()], |data, _| {
        let energy = |part| data.entering(part, |series| matches!(series.quantity, model::Quantity::Energy(_)));
        assert_eq!(energy(Part::Whole), [0]);
        assert_eq!(energy(Part::Workshop(&workshop)), [2]);
    });
}

#[test]
fn products_without_weights_are_assumed_and_cap_the_standing() {
    let mut declared = pilot("Asia/Shanghai", meter_and_pieces());
    let two = |a, b| vec![stored(Some("A"), a), stored(Some("B"), b)];
    let energy = || vec![stored(None, two_years(120.0, 90.0))];
    let run =
        |pilot: &Pilot| energy_of(pilot, vec![energy(), two(two_years(12.0, 24.0), two_years(12.0, 0.0))], "2016");
    let assumed = run(&declared);
    assert_eq!(rules(&assumed), ["product_weights_assumed", "base_load"]);
    assert_eq!(assumed.cap, crate::standing::Cap::OnTrack);
    for (id, weight) in [("A", 1.0), ("B", 4.0)] {
        declared.products.push(model::registry::Product { id: id.into(), name: None, weight: Some(weight) });
    }
    let weighted = run(&declared);
    assert_eq!(rules(&weighted), ["base_load"]);
    // Q_b = 12 + 48, Q_r = 24.
    assert!((weighted.adjusted.unwrap() - 120.0 * 0.1229 * 24.0 / 60.0).abs() < 1e-9);
}

#[test]
fn energy_that_carries_a_product_enters_product_by_product() {
    let pilot = pilot("Asia/Shanghai", meter_and_pieces());
    let energy = vec![stored(Some("A"), two_years(120.0, 240.0)), stored(Some("B"), two_years(1_200.0, 600.0))];
    let good = vec![stored(Some("A"), two_years(12.0, 24.0)), stored(Some("B"), two_years(12.0, 6.0))];
    let outcome = energy_of(&pilot, vec![energy, good], "2016");
    assert!((outcome.ratio().unwrap() - 1.0).abs() < 1e-12, "the same per piece of each product");
}

/// The method's vector of operating cost: R = 0.797835942…
fn electricity_by_band() -> (Pilot, Vec<Vec<Stored>>) {
    let mut pilot = pilot("Asia/Shanghai", meter_and_pieces());
    let prices = |values: [f64; 4]| ["sharp", "peak", "flat", "valley"].into_iter().zip(values).collect::<Vec<_>>();
    let hours = [("sharp", 10, 11), ("peak", 8, 10), ("valley", 0, 6)];
    pilot.tariffs = vec![
        tariff("2015-01-01", &prices([1.2, 1.0, 0.65, 0.35]), &hours),
        tariff("2016-01-01", &prices([1.44, 1.2, 0.72, 0.3]), &hours),
    ];
    let calendar = Calendar::of(&pilot);
    let parts = |kwh: [f64; 4], price: [f64; 4]| -> Vec<Band> {
        let mut parts: Vec<Band> = ["sharp", "peak", "flat", "valley"]
            .into_iter()
            .zip(kwh)
            .zip(price)
            .map(|((band, kwh), price)| {
                let band = calendar.band(band);
                Band { band, base: band, value: kwh / 12.0, cost: kwh / 12.0 * price }
            })
            .collect();
        parts.sort_by_key(|part| part.band);
        parts
    };
    let months = |year: &str, kwh, price| -> Vec<MonthSum> {
        (1..=12).map(|n| month(&format!("{year}-{n:02}"), 1.0, parts(kwh, price))).collect()
    };
    let energy = [
        months("2015", [2_000.0, 9_000.0, 12_000.0, 7_000.0], [1.2, 1.0, 0.65, 0.35]),
        months("2016", [800.0, 7_000.0, 11_500.0, 9_200.0], [1.44, 1.2, 0.72, 0.3]),
    ];
    (pilot, vec![vec![stored(None, energy.concat())], vec![stored(None, two_years(1_000.0, 1_080.0))]])
}

#[test]
fn operating_cost_is_at_the_baselines_band_prices() {
    let (pilot, data) = electricity_by_band();
    let outcome = with(&pilot, data, |data, pieces| {
        cost::outcome(data, pieces, &cost::cost(data, Part::Whole).unwrap(), period("2016"))
    });
    assert!((outcome.actual.unwrap() - 18_655.0).abs() < 1e-8);
    assert!((outcome.adjusted.unwrap() - 21_650.0 * 1.08).abs() < 1e-8);
    assert!((1.0 - outcome.ratio().unwrap() - 0.20216405782225633).abs() < 1e-10);
    assert_eq!(rules(&outcome), ["energy_cost_only"]);
    assert_eq!(outcome.cost_scope, Some(vec!["energy.electricity".to_owned()]));
}

/// What stands beside the operating cost of 2016: `(what, of)` and its value.
fn beside_cost(pilot: &Pilot, data: Vec<Vec<Stored>>, part: Part<'_>) -> impl Fn(&str, &str) -> Option<f64> {
    use crate::evidence::Cell;
    let programme = seeds::programme::builtin();
    let tables = measured(pilot, data, |data| {
        crate::evidence::of(data, &programme, part, &Indicator::OperatingCost, period("2016"))
    });
    let beside = tables.into_iter().find(|table| table.id == "beside").unwrap();
    move |what, of| {
        let row = beside.rows.iter().find(|row| row[..2] == [Cell::from(what), Cell::from(of)])?;
        if let Cell::Number(number) = row[2] { Some(number) } else { None }
    }
}

#[test]
fn charges_stand_in_nominal_cost_each_for_itself() {
    let (pilot, data) = electricity_by_band();
    let bare = beside_cost(&pilot, data.clone(), Part::Whole);
    let near = |value: Option<f64>, expected: f64| assert!((value.unwrap() - expected).abs() < 1e-9, "{value:?}");
    near(bare("nominal_unit_cost_change", ""), -0.11932255581216311);
    near(bare("price_index_fisher", ""), 1.1158235355699782);
    assert_eq!(bare("charges", "demand"), None);

    let charges = r#"
[[charge]]
kind = "demand"
from = 2015-01-01
value = 100.0
[[charge]]
kind = "demand"
from = 2016-07-01
value = 50.0
[[charge]]
kind = "differential"
from = 2016-01-01
value = 0.1
unit = "CNY/kWh"
[[charge]]
kind = "power_factor"
from = 2015-01-01
value = -0.02
unit = "1"
"#;
    let mut charged = pilot.clone();
    charged.charges = crate::fixture::registered("Asia/Shanghai", charges).charges;
    let with_charges = beside_cost(&charged, data.clone(), Part::Whole);
    near(with_charges("charges_baseline", "demand"), 1_200.0);
    near(with_charges("charges", "demand"), 900.0);
    near(with_charges("charges_baseline", "differential"), 0.0);
    near(with_charges("charges", "differential"), 2_850.0);
    near(with_charges("charges", "power_factor"), -0.02 * 20_592.0);
    near(with_charges("nominal_unit_cost", ""), (20_592.0 * 0.98 + 900.0 + 2_850.0) / 1_080.0);
    near(with_charges("nominal_unit_cost_baseline", ""), (21_650.0 * 0.98 + 1_200.0) / 1_000.0);

    // A workshop has its part of what goes with kWh, and none that anybody knows of the plant's demand.
    let workshop = model::Slug::parse("w").unwrap();
    let mut parted = charged.clone();
    parted.series.iter_mut().for_each(|series| series.workshop = Some(workshop.clone()));
    let of_workshop = beside_cost(&parted, data.clone(), Part::Workshop(&workshop));
    near(of_workshop("charges", "differential"), 2_850.0);
    assert_eq!((of_workshop("charges", "demand"), of_workshop("nominal_unit_cost", "")), (None, None));

    // The efficiency figure knows nothing of penalties.
    let of = |pilot: &Pilot| {
        with(pilot, data.clone(), |data, pieces| {
            cost::outcome(data, pieces, &cost::cost(data, Part::Whole).unwrap(), period("2016")).ratio()
        })
    };
    assert_eq!(of(&charged), of(&pilot));
}

#[test]
fn a_charge_for_electricity_that_is_not_in_scope_is_not_told() {
    let (mut pilot, mut data) = electricity_by_band();
    pilot.series.push(series("cost.labour", Kind::Delta, "CNY"));
    let part = Band { band: crate::tariff::NO_BAND, base: crate::tariff::NO_BAND, value: 10.0, cost: 10.0 };
    let of = |year: &str| (1..=12).map(|n| month(&format!("{year}-{n:02}"), 10.0, vec![part])).collect::<Vec<_>>();
    data.push(vec![stored(None, [of("2015"), of("2016")].concat())]);
    pilot.plans.cost_scope = Some(vec!["cost.labour".to_owned()]);
    pilot.charges = crate::fixture::registered(
        "Asia/Shanghai",
        "[[charge]]\nkind = \"punitive\"\nfrom = 2016-01-01\nvalue = 0.3\nunit = \"CNY/kWh\"\n",
    )
    .charges;
    let beside = beside_cost(&pilot, data, Part::Whole);
    assert_eq!(beside("charges_baseline", "punitive"), Some(0.0));
    assert_eq!((beside("charges", "punitive"), beside("nominal_unit_cost", "")), (None, None));
    assert!(beside("nominal_unit_cost_baseline", "").is_some());
}

#[test]
fn an_item_in_scope_without_data_is_insufficient_and_never_zero() {
    let mut declared = meter_and_pieces();
    declared.push(series("cost.labour", Kind::Delta, "CNY"));
    let pilot = pilot("Asia/Shanghai", declared);
    let labour: Vec<MonthSum> = (1..=12)
        .map(|n| {
            let part = Band { band: crate::tariff::NO_BAND, base: crate::tariff::NO_BAND, value: 10.0, cost: 10.0 };
            month(&format!("2015-{n:02}"), 10.0, vec![part])
        })
        .collect();
    let data = vec![Vec::new(), vec![stored(None, two_years(12.0, 12.0))], vec![stored(None, labour)]];
    let outcome = with(&pilot, data, |data, pieces| {
        cost::outcome(data, pieces, &cost::cost(data, Part::Whole).unwrap(), period("2016"))
    });
    assert_eq!((outcome.actual, outcome.ratio()), (None, None));
    assert_eq!(rules(&outcome), ["missing_item", "nominal_cost"]);
}

#[test]
fn a_mix_that_shifts_does_not_move_a_standardised_defect_rate() {
    // The method's vector: baseline A 80/8000, B 100/2000; reporting A 24/3000, B 280/7000.
    let declared = vec![series("output.good", Kind::Delta, "piece"), series("output.defective", Kind::Delta, "piece")];
    let pilot = pilot("Asia/Shanghai", declared);
    let good = vec![stored(Some("A"), two_years(7_920.0, 2_976.0)), stored(Some("B"), two_years(1_900.0, 6_720.0))];
    let defective = vec![stored(Some("A"), two_years(80.0, 24.0)), stored(Some("B"), two_years(100.0, 280.0))];
    let outcome = with(&pilot, vec![good, defective], |data, pieces| defects::outcome(data, pieces, period("2016")));
    assert!((outcome.actual.unwrap() - 304.0).abs() < 1e-9);
    assert!((outcome.adjusted.unwrap() - 380.0).abs() < 1e-9);
    assert!((outcome.output.unwrap() - 10_000.0).abs() < 1e-9);
}

#[test]
fn an_open_period_stands_on_its_closed_months() {
    let pilot = pilot("Asia/Shanghai", meter_and_pieces());
    let data = || vec![vec![stored(None, two_years(12.0, 12.0))], vec![stored(None, two_years(12.0, 12.0))]];
    let open = energy_of(&pilot, data(), "2017-01");
    assert_eq!(rules(&open), ["open_period"]);
    let (calendar, factors) = (Calendar::of(&pilot), Factors::builtin());
    let open = MonthNo::of(day("2016-07-01"));
    let orders = (Arc::default(), Cohorts::default(), UnixMillis(0));
    let data = Measured::new((&pilot, &calendar, &factors), data(), orders, open);
    let data = data.under(pilot.terms(&Indicator::EnergyIntensity));
    let pieces = Pieces::of(&data, Part::Whole);
    let energy = energy::Energy::of(&data, &pieces, Part::Whole, Basis::Calorific).unwrap();
    let half = energy::outcome(&data, &pieces, &energy, period("2016"));
    assert_eq!((half.coverage, half.ratio()), (Some(1.0), Some(1.0)));
    assert!((half.actual.unwrap() - 6.0 * 0.1229).abs() < 1e-12);
}

#[test]
fn orders_stand_behind_the_pilots_figure_and_no_workshops() {
    let pilot = pilot("Asia/Shanghai", meter_and_pieces());
    let data = vec![vec![stored(None, two_years(12.0, 12.0))], vec![stored(None, two_years(12.0, 12.0))]];
    let workshop = model::Slug::parse("w").unwrap();
    let programme = seeds::programme::builtin();
    measured(&pilot, data, |data| {
        let has_steps = |part| {
            let tables = crate::evidence::of(data, &programme, part, &Indicator::ProductionCycle, period("2016"));
            tables.iter().any(|table| table.id == "steps")
        };
        assert!(has_steps(Part::Whole) && !has_steps(Part::Workshop(&workshop)));
    });
}

proptest! {
    #[test]
    fn scaling_every_quantity_of_a_unit_changes_no_ratio(
        energy in proptest::collection::vec(1f64..1e4, 24), output in proptest::collection::vec(1f64..1e3, 24),
    ) {
        let months = |values: &[f64], scale: f64| -> Vec<MonthSum> {
            let of = |(n, value): (usize, &f64)| {
                month(&format!("{}-{:02}", 2015 + n / 12, n % 12 + 1), value * scale, Vec::new())
            };
            values.iter().enumerate().map(of).collect()
        };
        let pilot = pilot("Asia/Shanghai", meter_and_pieces());
        let run = |by_energy, by_output| {
            let data = vec![vec![stored(None, months(&energy, by_energy))], vec![stored(None, months(&output, by_output))]];
            energy_of(&pilot, data, "2016").ratio().unwrap()
        };
        prop_assert!((run(10.0, 1.0) / run(1.0, 1.0) - 1.0).abs() < 1e-12);
        prop_assert!((run(1.0, 10.0) / run(1.0, 1.0) - 1.0).abs() < 1e-12);
    }
}
