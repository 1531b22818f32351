//! Adjustments by hand: they enter the adjusted baseline of the periods that they touch, and nothing else.

use model::{Figure, Scope};

use super::*;
use crate::figure::figures;
use crate::fixture::registered;

const SERIES: &str = r#"
[[workshop]]
id = "w"
name = "W"
[[workshop]]
id = "v"
name = "V"
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
asset = "s"
name = "electricity"
quantity = "energy.electricity"
kind = "counter"
workshop = "w"
part_of = "m/electricity"
[[series]]
asset = "s"
name = "good"
quantity = "output.good"
kind = "delta"
workshop = "w"
part_of = "l/good"
[[series]]
asset = "c"
name = "so2"
quantity = "emission.so2"
kind = "delta"
[[series]]
asset = "c"
name = "wages"
quantity = "cost.labour"
kind = "delta"
"#;

const NEW_HALL: &str = "[[adjustment]]\nindicator = \"energy_intensity\"\ncarrier = \"electricity\"\nfrom = 2016-07-01\n\
                        to = 2016-12-31\namount = 1840\nreason = \"a hall more is heated\"\nauthor = \"li.na\"\n\
                        evidence = \"drawing 17, meter of the hall\"\n";

fn adjusted(text: &str) -> Pilot {
    registered("Asia/Shanghai", &format!("{SERIES}\n{text}"))
}

fn plant() -> Vec<Vec<Stored>> {
    let mut wages = two_years(120.0, 120.0);
    let band = crate::tariff::NO_BAND;
    wages.iter_mut().for_each(|sum| sum.parts = vec![Band { band, base: band, value: sum.value, cost: sum.value }]);
    let series = [two_years(12_000.0, 12_000.0), two_years(1_200.0, 1_200.0), two_years(1_200.0, 1_200.0)];
    let [meter, good, sub] = series.map(|months| vec![stored(None, months)]);
    vec![meter, good.clone(), sub, good, vec![stored(None, two_years(60.0, 60.0))], vec![stored(None, wages)]]
}

fn all_figures(pilot: &Pilot, part: Part<'_>) -> Vec<Figure> {
    let programme = seeds::programme::builtin();
    measured(pilot, plant(), |data| figures(data, &programme, part, &|_| true).into_values().flatten().collect())
}

#[track_caller]
fn of(figures: &[Figure], indicator: &str, text: &str) -> Figure {
    let wanted = |figure: &&Figure| figure.indicator.to_string() == indicator && figure.period == period(text);
    figures.iter().find(wanted).unwrap_or_else(|| panic!("no {indicator} of {text}")).clone()
}

#[test]
fn an_adjustment_enters_the_periods_that_it_touches_and_no_others() {
    let (with, without) = (all_figures(&adjusted(NEW_HALL), Part::Whole), all_figures(&adjusted(""), Part::Whole));
    let both = |indicator: &str, text: &str| (of(&with, indicator, text), of(&without, indicator, text));
    // 184 days, of which 31 are July's; the equivalent basis has the carrier's other factor.
    for (indicator, text, stated) in [
        ("energy_intensity", "2016", 1_840.0 * 0.1229),
        ("energy_intensity", "2016-Q3", 920.0 * 0.1229),
        ("energy_intensity", "2016-07", 310.0 * 0.1229),
        ("energy_intensity.equivalent", "2016", 1_840.0 * 0.3),
    ] {
        let (with, without) = both(indicator, text);
        assert!((with.adjustments.unwrap() - stated).abs() < 1e-9, "{indicator} {text} {:?}", with.adjustments);
        let more = with.adjusted_baseline.unwrap() - without.adjusted_baseline.unwrap();
        assert!((more - stated).abs() < 1e-9, "{indicator} {text} {more}");
        assert_eq!((with.actual, with.effects), (without.actual, without.effects), "effects are of the two amounts");
        let sides = |figure: &Figure| figure.variance.map(|variance| variance.adjusted_baseline);
        assert_eq!(sides(&with), sides(&without), "an amount that is stated is exact");
        assert!(with.baseline != without.baseline && with.findings.iter().any(|f| f.rule == "adjusted_by_hand"));
        assert_eq!(with.plan, without.plan, "what happens later is no part of the plan");
    }
    for (indicator, text) in [
        ("energy_intensity", "2016-Q2"),
        ("energy_intensity", "2015"),
        ("operating_cost", "2016"),
        ("pollutant_intensity.so2", "2016"),
    ] {
        let (with, without) = both(indicator, text);
        assert_eq!(with, without, "{indicator} {text}");
        assert_eq!(with.adjustments, None);
    }
}

#[test]
fn what_an_adjustment_explains_is_no_scatter() {
    // The meter rises by exactly what was stated, month by month: nothing is left to explain.
    let pilot = adjusted(NEW_HALL);
    let mut stored = plant();
    for sum in &mut Arc::make_mut(&mut stored[0][0].sums).months {
        let days = f64::from(sum.month.first_day().days_in_month());
        sum.value += if sum.month >= MonthNo::of(day("2016-07-01")) { 10.0 * days } else { 0.0 };
    }
    let outcome = energy_of(&pilot, stored.clone(), "2016");
    assert!((outcome.ratio().unwrap() - 1.0).abs() < 1e-12);
    let interval = outcome.certainty.unwrap().ratio;
    assert!(interval.upper - interval.lower < 1e-9, "{interval:?}");
    let without = energy_of(&adjusted(""), stored, "2016");
    let interval = without.certainty.unwrap().ratio;
    assert!(without.ratio().unwrap() > 1.1 && interval.upper - interval.lower > 0.05, "{interval:?}");
}

#[test]
fn a_month_that_does_not_count_takes_its_part_along() {
    let mut stored = plant();
    Arc::make_mut(&mut stored[0][0].sums).months[18].covered_ms /= 2;
    let outcome = energy_of(&adjusted(NEW_HALL), stored, "2016");
    assert_eq!(outcome.coverage, Some(11.0 / 12.0));
    assert!((outcome.by_hand.unwrap() - 1_530.0 * 0.1229).abs() < 1e-9, "July has 31 of the 184 days");
}

#[test]
fn an_adjustment_of_a_workshop_is_the_pilots_too_and_one_without_is_no_workshops() {
    let workshop = |id: &str| model::Slug::parse(id).unwrap();
    let of_shop = adjusted(&format!("{NEW_HALL}workshop = \"w\"\n"));
    let of_whole = adjusted(NEW_HALL);
    let (w, v) = (workshop("w"), workshop("v"));
    let look = |pilot: &Pilot, part| of(&all_figures(pilot, part), "energy_intensity", "2016").adjustments.is_some();
    assert!(look(&of_shop, Part::Whole) && look(&of_shop, Part::Workshop(&w)));
    assert!(look(&of_whole, Part::Whole) && !look(&of_whole, Part::Workshop(&w)));
    let figures = all_figures(&of_shop, Part::Workshop(&v));
    assert!(figures.iter().all(|figure| matches!(figure.scope, Scope::Workshop(..)) && figure.adjustments.is_none()));
}

#[test]
fn a_model_a_cost_and_a_pollutant_take_theirs() {
    let plan = "[plan.energy_intensity]\nmodel = \"regression\"\nvariables = [\"output\"]\n";
    let mut stored = plant();
    // A line needs an output that varies.
    for (n, sum) in Arc::make_mut(&mut stored[1][0].sums).months.iter_mut().enumerate() {
        sum.value = 100.0 + (n % 12) as f64;
    }
    for (n, sum) in Arc::make_mut(&mut stored[0][0].sums).months.iter_mut().enumerate() {
        sum.value = 500.0 + 5.0 * (100.0 + (n % 12) as f64) + (n % 5) as f64;
    }
    let [with, without] =
        [NEW_HALL, ""].map(|text| energy_of(&adjusted(&format!("{plan}{text}")), stored.clone(), "2016"));
    assert_eq!(with.method, Some(model::Method::Model));
    let more = with.adjusted.unwrap() - without.adjusted.unwrap();
    assert!((more - 1_840.0 * 0.1229).abs() < 1e-9, "{more}");
    assert_eq!(with.certainty.unwrap().variance, without.certainty.unwrap().variance);
    let other = |indicator: &str| {
        let text = NEW_HALL.replace("energy_intensity", indicator).replace("carrier = \"electricity\"\n", "");
        let figure = of(&all_figures(&adjusted(&text), Part::Whole), indicator, "2016");
        (figure.adjustments.unwrap(), figure.adjusted_baseline.unwrap())
    };
    assert_eq!(other("operating_cost").0, 1_840.0);
    assert!((other("operating_cost").1 - 1_960.0).abs() < 1e-9);
    assert!((other("pollutant_intensity.so2").1 - 1_900.0).abs() < 1e-9);
}

#[test]
fn nothing_is_compared_with_a_baseline_that_is_adjusted_away() {
    let outcome = energy_of(&adjusted(&NEW_HALL.replace("1840", "-13000")), plant(), "2016");
    assert_eq!((outcome.adjusted, outcome.ratio(), outcome.by_hand), (None, None, None));
    assert!(rules(&outcome).contains(&"no_baseline"), "{:?}", outcome.findings);
}

#[test]
fn the_evidence_lists_what_was_stated_and_gives_the_figure_again() {
    let programme = seeds::programme::builtin();
    let regression = "[plan.energy_intensity]\nmodel = \"regression\"\nvariables = [\"output\"]\n";
    for text in [NEW_HALL.to_owned(), format!("{regression}{NEW_HALL}")] {
        let pilot = adjusted(&text);
        let mut stored = plant();
        for (n, sum) in Arc::make_mut(&mut stored[1][0].sums).months.iter_mut().enumerate() {
            sum.value += (n % 12) as f64;
        }
        measured(&pilot, stored, |data| {
            let all = figures(data, &programme, Part::Whole, &|_| true).into_values().flatten().collect::<Vec<_>>();
            let figure = of(&all, "energy_intensity", "2016");
            let tables =
                crate::evidence::of(data, &programme, Part::Whole, &Indicator::EnergyIntensity, period("2016"));
            assert_eq!(crate::evidence::comes_out_again(&figure, &tables), Some(true));
            let table = |id: &str| tables.iter().find(|table| table.id == id).unwrap();
            let stated = &table("adjustments").rows;
            let shown = format!("{stated:?}");
            assert!(
                stated.len() == 1 && ["a hall more", "li.na", "drawing 17"].iter().all(|word| shown.contains(word))
            );
            let steps = format!("{:?}", table("steps").rows);
            assert!(steps.contains("by_hand"), "{steps}");
        });
    }
}
