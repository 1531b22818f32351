//! Plans: each indicator under its own baseline period, confidence and coverage, and every figure with the plan it is under.

use model::{Figure, Fingerprint, State, Validity};

use super::*;
use crate::figure::figures;
use crate::fixture::registered;
use crate::indicator::plan::{Asked, id, terms_of};

const SERIES: &str = r#"
[[series]]
asset = "m"
name = "electricity"
quantity = "energy.electricity"
kind = "counter"
[[series]]
asset = "l"
name = "good"
quantity = "output.good"
kind = "delta"
[[series]]
asset = "l"
name = "rework"
quantity = "output.rework"
kind = "delta"
[[series]]
asset = "l"
name = "scrap"
quantity = "output.scrap"
kind = "delta"
"#;

fn planned(plan: &str) -> Pilot {
    registered("Asia/Shanghai", &format!("{SERIES}\n{plan}"))
}

/// Months that scatter by a third around a twelfth of the year's value.
fn uneven(year: &str, value: f64) -> Vec<MonthSum> {
    let share = |n: u32| (1.0 + f64::from(n % 3) / 3.0) / 16.0;
    (1..=12).map(|n| month(&format!("{year}-{n:02}"), value * share(n), Vec::new())).collect()
}

fn plant() -> Vec<Vec<Stored>> {
    let two = |baseline: Vec<MonthSum>, reporting: Vec<MonthSum>| vec![stored(None, [baseline, reporting].concat())];
    vec![
        two(uneven("2015", 12_000.0), year("2016", 9_000.0)),
        two(year("2015", 1_200.0), year("2016", 1_200.0)),
        two(uneven("2015", 60.0), year("2016", 90.0)),
        two(year("2015", 120.0), uneven("2016", 60.0)),
    ]
}

fn all_figures(pilot: &Pilot) -> Vec<Figure> {
    let programme = seeds::programme::builtin();
    measured(pilot, plant(), |data| figures(data, &programme, Part::Whole, &|_| true).into_values().flatten().collect())
}

#[track_caller]
fn figure_of(plan: &str, indicator: &str, text: &str) -> Figure {
    let figures = all_figures(&planned(plan));
    let wanted = |figure: &&Figure| figure.indicator.to_string() == indicator && figure.period == period(text);
    figures.iter().find(wanted).unwrap_or_else(|| panic!("no {indicator} of {text}")).clone()
}

fn width(figure: &Figure) -> f64 {
    let [low, high] = figure.ci.unwrap();
    high.unwrap() - low.unwrap()
}

#[test]
fn each_indicator_is_held_against_its_own_baseline_period() {
    let own = "[plan.defect_rate]\nbaseline = { from = 2016-01-01, to = 2016-12-31 }";
    // 180 defective pieces in 2015, 150 in 2016, of as many good ones.
    let rate = |figure: &Figure| figure.actual.unwrap() / figure.adjusted_baseline.unwrap();
    let of_pilots = rate(&figure_of("", "defect_rate", "2016"));
    assert!((of_pilots - (150.0 / 1_350.0) / (180.0 / 1_380.0)).abs() < 1e-12, "{of_pilots}");
    assert!((rate(&figure_of(own, "defect_rate", "2016")) - 1.0).abs() < 1e-12);
    // What has no plan of its own stays with the pilot's.
    let [with, without] = [own, ""].map(|plan| figure_of(plan, "energy_intensity", "2016"));
    assert_eq!(with, without);
    assert!((rate(&with) - 0.75).abs() < 1e-12);
}

#[test]
fn a_baseline_before_the_pilots_opens_the_axis() {
    let own = "[plan.defect_rate]\nbaseline = { from = 2014-01-01, to = 2014-12-31 }";
    let figure = figure_of(own, "defect_rate", "2014");
    assert_eq!((figure.state, figure.actual), (State::Insufficient, None));
    let none = all_figures(&planned("")).iter().all(|figure| figure.period != period("2014"));
    assert!(none, "without such a plan nothing is said of 2014");
}

#[test]
fn more_confidence_is_a_wider_interval_of_the_same_figure() {
    for indicator in ["energy_intensity", "defect_rate"] {
        let [usual, sure] =
            ["", "confidence = 0.95"].map(|key| figure_of(&format!("[plan.{indicator}]\n{key}"), indicator, "2016"));
        assert_eq!((usual.confidence, sure.confidence), (0.9, 0.95));
        assert_eq!((usual.actual, usual.adjusted_baseline), (sure.actual, sure.adjusted_baseline));
        assert_eq!(usual.variance, sure.variance, "{indicator}");
        assert!(width(&sure) > 1.1 * width(&usual), "{indicator}: {:?} {:?}", sure.ci, usual.ci);
    }
    // And of cycles.
    let samples = |shift: f64| -> cycle::Samples {
        let values = (0..12).map(|n| shift * (10.0 + f64::from(n * 7 % 12)));
        [(Arc::from("A"), cycle::Sample::of(values))].into()
    };
    let of = |confidence| cycle::cycle(&samples(1.0), &samples(0.8), "piece", confidence).certainty.unwrap().ratio;
    let (usual, sure) = (of(Confidence::NINETY), of(Confidence::new(0.99).unwrap()));
    assert!(sure.lower < usual.lower && usual.upper < sure.upper, "{usual:?} {sure:?}");
    assert_eq!(of(Confidence::NINETY), usual, "what is remembered of one confidence is not taken for another");
}

#[test]
fn a_plan_may_ask_for_more_coverage_of_months_and_of_the_figure() {
    let mut stored = plant();
    Arc::make_mut(&mut stored[0][0].sums).months[20].covered_ms *= 92;
    Arc::make_mut(&mut stored[0][0].sums).months[20].covered_ms /= 100;
    let programme = seeds::programme::builtin();
    let look = |plan: &str| {
        let pilot = planned(&format!("[plan.energy_intensity]\n{plan}"));
        let wanted = |indicator: &Indicator| *indicator == Indicator::EnergyIntensity;
        let all = measured(&pilot, stored.clone(), |data| figures(data, &programme, Part::Whole, &wanted));
        let all: Vec<Figure> = all.into_values().flatten().collect();
        all.into_iter().find(|figure| figure.period == period("2016")).unwrap()
    };
    assert_eq!(look("").coverage, Some(1.0));
    let stricter = look("month_coverage_min = 0.95");
    assert_eq!((stricter.coverage, stricter.state), (Some(11.0 / 12.0), State::Provisional));
    assert!(stricter.findings[0].text.contains("at least 0.95"), "{:?}", stricter.findings);
    let strictest = look("month_coverage_min = 0.95\ncoverage_min = 0.95");
    assert_eq!((strictest.state, strictest.validity), (State::Insufficient, Validity::Invalid));
    assert_eq!(strictest.actual, stricter.actual, "the number is shown all the same");
}

#[test]
fn a_plan_may_count_scrap_alone_as_defective() {
    let both = figure_of("", "defect_rate", "2016");
    let scrap = figure_of("[plan.defect_rate]\ndefects = \"scrap\"", "defect_rate", "2016");
    assert!((both.actual.unwrap() - 150.0).abs() < 1e-9 && (scrap.actual.unwrap() - 60.0).abs() < 1e-9);
    assert!((scrap.output.unwrap() - 1_260.0).abs() < 1e-9, "what was mended is not inspected twice");
}

#[test]
fn the_prices_are_those_of_the_baseline_that_operating_cost_has() {
    let prices = "[[price]]\ncarrier = \"natural_gas\"\nfrom = 2014-01-01\nvalue = 2\n\
                  [[price]]\ncarrier = \"natural_gas\"\nfrom = 2016-01-01\nvalue = 3\n";
    let series = SERIES.replace("energy.electricity", "energy.natural_gas");
    let own = "[plan.operating_cost]\nbaseline = { from = 2016-01-01, to = 2016-12-31 }\n";
    let of = |plan: &str| {
        let pilot = registered("Asia/Shanghai", &format!("{series}{prices}{plan}"));
        let mut stored = plant();
        for sum in &mut Arc::make_mut(&mut stored[0][0].sums).months {
            let price = if sum.month.year() < 2016 { 2.0 } else { 3.0 };
            let band = crate::tariff::NO_BAND;
            sum.parts = vec![Band { band, base: band, value: sum.value, cost: sum.value * price }];
        }
        seen_by(&Indicator::OperatingCost, &pilot, stored, |data, pieces| {
            cost::outcome(data, pieces, &cost::cost(data, Part::Whole).unwrap(), period("2016"))
        })
    };
    assert!((of("").actual.unwrap() - 9_000.0 * 2.0).abs() < 1e-6);
    assert!((of(own).actual.unwrap() - 9_000.0 * 3.0).abs() < 1e-6);
}

fn plan_of(plan: &str, indicator: &Indicator) -> Fingerprint {
    let pilot = planned(plan);
    Asked::of((&pilot, &Factors::builtin()), &seeds::programme::builtin(), indicator).plan.unwrap()
}

#[test]
fn a_plan_is_told_by_what_it_says_with_its_defaults_in_it() {
    let (defects, energy) = (Indicator::DefectRate, Indicator::EnergyIntensity);
    let silent = plan_of("", &defects);
    let spoken = "[plan.defect_rate]\nbaseline = { from = 2015-01-01, to = 2015-12-31 }\nconfidence = 0.9\n\
                  coverage_min = 0.8\ndefects = \"defective\"";
    assert_eq!(plan_of(spoken, &defects), silent);
    let others = [
        "confidence = 0.95",
        "coverage_min = 0.9",
        "defects = \"scrap\"",
        "baseline = { from = 2015-01-01, to = 2015-11-30 }",
    ];
    for other in others {
        let plan = format!("[plan.defect_rate]\n{other}");
        assert_ne!(plan_of(&plan, &defects), silent, "{other}");
        assert_eq!(plan_of(&plan, &energy), plan_of("", &energy), "{other}: another indicator's plan");
    }
    for other in ["month_coverage_min = 0.95", "model = \"regression\"\nvariables = [\"output\"]"] {
        assert_ne!(plan_of(&format!("[plan.energy_intensity]\n{other}"), &energy), plan_of("", &energy), "{other}");
    }
    assert_ne!(
        plan_of("", &energy),
        plan_of("", &Indicator::EnergyIntensityEquivalent),
        "another basis of electricity"
    );
}

#[test]
fn the_terms_of_a_plan_are_these_and_give_its_number_again() {
    let pilot = planned("[[product]]\nid = \"A\"\nweight = 0.4\n[[product]]\nid = \"B\"\n");
    let (factors, programme) = (Factors::builtin(), seeds::programme::builtin());
    let terms = terms_of((&pilot, &factors), &programme, &Indicator::EnergyIntensity);
    let lines: Vec<String> = terms.iter().map(|term| format!("{}\t{}\t{}\n", term.what, term.of, term.is)).collect();
    insta::assert_snapshot!(lines.concat().replace('\t', " | "), @"
    indicator |  | energy_intensity
    baseline_period |  | 2015-01-01 – 2015-12-31
    zone |  | Asia/Shanghai
    confidence |  | 0.9
    coverage_min |  | 0.8
    basis |  | calorific
    factors |  | GB/T 2589-2020
    factor | electricity | 0.1229 kgce/kWh
    model | electricity | ratio_to_output
    month_coverage_min |  | 0.9
    unit_of_output |  | weighted_good_pieces
    pieces_from |  | from_series
    weight | A | 0.4
    weight | B | assumed_one
    ");
    let figures = all_figures(&pilot);
    let of_energy = |figure: &&Figure| figure.indicator == Indicator::EnergyIntensity;
    assert!(figures.iter().filter(of_energy).all(|figure| figure.plan == Some(id(&terms))));
    assert!(figures.iter().all(|figure| figure.plan.is_some()));
    // The evidence of a figure lists the same lines.
    let tables = measured(&pilot, plant(), |data| {
        crate::evidence::of(data, &programme, Part::Whole, &Indicator::EnergyIntensity, period("2016"))
    });
    let table = tables.iter().find(|table| table.id == "plan").unwrap();
    let line = |row: &Vec<crate::evidence::Cell>| {
        let text = |n: usize| {
            let crate::evidence::Cell::Text(text) = &row[n] else { panic!("{row:?}") };
            text.clone()
        };
        format!("{}\t{}\t{}\n", text(0), text(1), text(2))
    };
    assert_eq!(table.rows.iter().map(line).collect::<Vec<_>>(), lines);
}

#[test]
fn a_period_of_the_baseline_has_no_standing_and_the_next_one_has() {
    let look = |plan: &str, text: &str| {
        let figure = figure_of(plan, "defect_rate", text);
        let is_said = figure.findings.iter().any(|finding| finding.rule == crate::figure::BASELINE_PERIOD);
        assert_eq!(figure.stages.is_empty(), is_said, "{text}");
        assert_eq!((figure.standing.is_none(), figure.target.is_none()), (is_said, is_said), "{text}");
        assert!(figure.actual.is_some() && figure.state == State::Provisional);
        is_said
    };
    for text in ["2015", "2015-Q4", "2015-12"] {
        assert!(look("", text), "{text}");
    }
    for text in ["2016", "2016-Q1", "2016-01"] {
        assert!(!look("", text), "{text}");
    }
    // Before its baseline period an indicator stands no better than inside.
    let own = "[plan.defect_rate]\nbaseline = { from = 2016-01-01, to = 2016-06-30 }";
    assert!(look(own, "2015") && look(own, "2016-Q2") && !look(own, "2016-Q3") && !look(own, "2016"));
}
