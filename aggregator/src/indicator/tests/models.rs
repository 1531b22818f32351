//! Energy by a plan's model: the method's regression vector through the whole indicator, and what carries no baseline.

use std::collections::BTreeMap;

use jiff::ToSpan;
use model::registry::plan::EnergyPlan;

use super::*;
use crate::fixture::registered;

const SERIES: &str = r#"
[[series]]
asset = "m"
name = "electricity"
quantity = "energy.electricity"
kind = "counter"
unit = "kWh"
[[series]]
asset = "l"
name = "good"
quantity = "output.good"
kind = "delta"
[[series]]
asset = "w"
name = "cooling"
quantity = "variable.cooling"
kind = "delta"
unit = "K·d"
[[series]]
asset = "w"
name = "outdoor"
quantity = "variable.outdoor"
kind = "gauge"
unit = "degC"
"#;

const PRODUCTION: [[f64; 12]; 2] = [
    [820., 790., 905., 930., 960., 985., 1010., 995., 940., 915., 870., 840.],
    [860., 845., 950., 990., 1020., 1040., 1075., 1050., 1000., 965., 930., 905.],
];
const COOLING: [[f64; 12]; 2] = [
    [0., 0., 5., 22., 60., 115., 160., 150., 80., 25., 3., 0.],
    [0., 0., 8., 30., 55., 120., 175., 158., 90., 20., 2., 0.],
];
const ENERGY: [[f64; 12]; 2] = [
    [151200., 147900., 163500., 168900., 178100., 189700., 200300., 196800., 179900., 167200., 158300., 153600.],
    [141800., 140100., 153900., 160700., 166900., 176800., 189100., 183600., 169900., 157600., 149900., 147300.],
];

fn months(values: [[f64; 12]; 2]) -> Vec<Stored> {
    let of_year = |year: i16, values: [f64; 12]| {
        (1..=12).zip(values).map(move |(n, value)| month(&format!("{year}-{n:02}"), value, Vec::new()))
    };
    vec![stored(None, of_year(2015, values[0]).chain(of_year(2016, values[1])).collect())]
}

fn planned(plan: &str) -> Pilot {
    registered("Asia/Shanghai", &format!("{SERIES}\n{plan}"))
}

fn outcome_of(plan: &str, stored: Vec<Vec<Stored>>) -> Outcome {
    energy_of(&planned(plan), stored, "2016")
}

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 1e-9, "{found} is not {expected}");
}

const REGRESSION: &str =
    "[plan.energy_intensity]\nmodel = \"regression\"\nvariables = [\"output\", \"variable.cooling\"]\n";

#[test]
fn a_regression_gives_the_methods_adjusted_baseline_and_its_interval() {
    let outcome = outcome_of(REGRESSION, vec![months(ENERGY), months(PRODUCTION), months(COOLING), Vec::new()]);
    near(outcome.actual.unwrap(), 1_937_600.0 * 0.1229);
    near(outcome.adjusted.unwrap(), 2_146_257.077_577_745_5 * 0.1229);
    let certainty = outcome.certainty.unwrap();
    near(certainty.ratio.lower, 0.900_315_831_339_263_5);
    near(certainty.ratio.upper, 0.905_256_014_631_511_5);
    near(certainty.variance.adjusted_baseline.sqrt() / 0.1229, 2_748.392_112_675_937_4);
    assert_eq!((certainty.variance.df, outcome.invalid), (Some(9.0), false));
    assert_eq!(rules(&outcome), [""; 0]);
}

#[test]
fn the_ratio_of_the_same_months_says_that_it_leaves_a_base_load_out() {
    let data = || vec![months(ENERGY), months(PRODUCTION), months(COOLING), Vec::new()];
    let outcome = outcome_of("", data());
    assert_eq!(rules(&outcome), ["base_load"]);
    insta::assert_snapshot!(
        outcome.findings[0].text,
        @r#"electricity: a ratio takes the base load for zero; a line through the baseline's months has -29 % of the use at no output (p = 0.0279). Fit it with [plan.energy_intensity] model = "regression", variables = ["output"], or state base_load_negligible = "why""#
    );
    let declared = "[plan.energy_intensity]\nbase_load_negligible = \"everything is metered at the press\"";
    assert_eq!(rules(&outcome_of(declared, data())), [""; 0]);
}

#[test]
fn what_carries_no_model_is_named_and_gives_no_figure() {
    let without = |energy: Vec<Stored>, output, cooling| outcome_of(REGRESSION, vec![energy, output, cooling, vec![]]);
    let mut short = months(ENERGY);
    Arc::make_mut(&mut short[0].sums).months.drain(..2);
    let outcome = without(short, months(PRODUCTION), months(COOLING));
    assert_eq!((outcome.actual, rules(&outcome)), (None, vec!["coverage", "baseline_insufficient"]));
    insta::assert_snapshot!(outcome.findings[1].text, @"electricity: 59 days of the baseline are missing; at most 37 may be");

    // A year in which the meter says zero in two months: missing, not zero.
    let mut zero = ENERGY;
    (zero[0][3], zero[0][4]) = (0.0, 0.0);
    let outcome = without(months(zero), months(PRODUCTION), months(COOLING));
    assert_eq!(rules(&outcome), ["baseline_insufficient"]);

    let outcome = without(months(ENERGY), months(PRODUCTION), months(PRODUCTION.map(|year| year.map(|x| 2.0 * x))));
    assert_eq!((outcome.actual, rules(&outcome)), (None, vec!["collinear_variables"]));
    let constant = without(months(ENERGY), months([[900.0; 12]; 2]), months(COOLING));
    assert_eq!((constant.actual, rules(&constant)), (None, vec!["collinear_variables"]));
    assert!(constant.findings[0].text.contains("output"), "{}", constant.findings[0].text);
}

#[test]
fn a_model_that_explains_nothing_is_shown_and_sets_no_standing() {
    // The use jumps about whatever is made.
    let mut wild = ENERGY;
    for (n, value) in wild[0].iter_mut().enumerate() {
        *value = if n % 2 == 0 { 100_000.0 } else { 250_000.0 };
    }
    let outcome = outcome_of(REGRESSION, vec![months(wild), months(PRODUCTION), months(COOLING), vec![]]);
    assert!(outcome.invalid && outcome.actual.is_some() && outcome.ratio().is_none());
    assert!(rules(&outcome).contains(&"model_invalid"), "{:?}", outcome.findings);
}

#[test]
fn a_variable_without_data_takes_the_month_out_of_both_sides() {
    let mut cooling = months(COOLING);
    Arc::make_mut(&mut cooling[0].sums).months.remove(17);
    let outcome = outcome_of(REGRESSION, vec![months(ENERGY), months(PRODUCTION), cooling, vec![]]);
    assert_eq!(outcome.coverage, Some(11.0 / 12.0));
    assert_eq!(rules(&outcome), ["coverage"]);
}

#[test]
fn a_degree_day_model_finds_the_balance_point_it_was_made_with() {
    let plan = "[plan.energy_intensity.carriers.electricity]\nmodel = \"degree_days\"\ntemperature = \"w/outdoor\"\n\
                cooling = false\nvariables = [\"output\"]\n";
    let pilot = planned(plan);
    // 60 °F is a balance point: 280/18 °C.
    let balance = 280.0 / 18.0;
    let days = |from: &str| day(from).series(1.day()).take(366);
    let mean = |date: jiff::civil::Date| 12.0 - 16.0 * libm::cos(f64::from(date.day_of_year()) / 58.1);
    let temperatures: BTreeMap<_, f64> = days("2015-01-01").chain(days("2016-01-01")).map(|d| (d, mean(d))).collect();
    let used = |year: usize, n: usize| {
        let first = day(&format!("{}-{:02}-01", 2015 + year, n + 1));
        let of_month = first.series(1.day()).take_while(|d| d.month() == first.month());
        let share = if year == 0 { 1.0 } else { 0.8 };
        share * of_month.map(|d| 500.0 + 20.0 * (balance - mean(d)).max(0.0)).sum::<f64>()
            + share * 3.0 * PRODUCTION[year][n]
    };
    let energy = [0, 1].map(|year| std::array::from_fn(|n| used(year, n)));
    let data = vec![months(energy), months(PRODUCTION), Vec::new(), months([[12.0 * 2.592e9; 12]; 2])];
    let (calendar, factors) = (Calendar::of(&pilot), Factors::builtin());
    let open = MonthNo::of(day("2017-01-01"));
    let (orders, none) = (Arc::default(), Cohorts::default());
    let mut data = Measured::new((&pilot, &calendar, &factors), data, (orders, none, UnixMillis(0)), open);
    data.temperatures.insert(3, temperatures);
    let data = data.under(pilot.terms(&Indicator::EnergyIntensity));
    let pieces = Pieces::of(&data, Part::Whole);
    let energy = energy::Energy::of(&data, &pieces, Part::Whole, Basis::Calorific).unwrap();
    let baseline = energy.carriers[0].baseline.as_ref().unwrap().as_ref().unwrap();
    let names: Vec<String> = baseline.columns.iter().map(|column| column.name()).collect();
    assert_eq!(names, ["heating degree days below 15.6 °C", "output"]);
    let coefficients: Vec<f64> = baseline.fit.coefficients().iter().map(|coefficient| coefficient.value).collect();
    for (found, made) in coefficients.iter().zip([500.0, 20.0, 3.0]) {
        near(*found, made);
    }
    let outcome = energy::outcome(&data, &pieces, &energy, period("2016"));
    near(outcome.ratio().unwrap(), 0.8);
    let workless = EnergyPlan::default();
    assert!(!workless.has_models());
}
