//! METHOD 1, 2, 5 and 8: pooling, signs, equipment effectiveness, unit cost.

use aggregator::statistics::Confidence;
use aggregator::statistics::equipment::{Effectiveness, Run};
use aggregator::statistics::price::{Cost, Item, Month, UnitCost};
use aggregator::statistics::reduction::{Compared, reduction_of_gain, utilisation_gain};
use proptest::prelude::*;

use crate::vector::{list, near, number, numbers, vector};

#[test]
fn every_value_of_the_roll_up() {
    let vector = vector("rollup");
    let (expected, relative) = (&vector["expected"], number(&vector["tolerance"]["relative"]));
    let pilots = list(&vector["inputs"]["pilots"]);
    let of = |pilot: &serde_json::Value, name: &str| number(&pilot[name]);
    let compared: Vec<Compared> = pilots
        .iter()
        .map(|p| Compared { actual: of(p, "e1"), adjusted: of(p, "e0") / of(p, "q0") * of(p, "q1") })
        .collect();
    let pooled = Compared::pooled(&compared);
    near(pooled.actual, number(&expected["actual"]), relative);
    near(pooled.adjusted, number(&expected["adjusted_baseline"]), relative);
    near(pooled.ratio().unwrap(), number(&expected["R"]), relative);
    let reduction = pooled.reduction().unwrap();
    near(reduction, number(&expected["reduction"]), relative);

    // Negative tests: none of these is the roll-up.
    let total = |name: &str| pilots.iter().map(|p| of(p, name)).sum::<f64>();
    let mean = compared.iter().map(|c| c.reduction().unwrap()).sum::<f64>() / compared.len() as f64;
    let crude = total("e1") / total("e0") - 1.0;
    let intensity = 1.0 - (total("e1") / total("q1")) / (total("e0") / total("q0"));
    let wrong =
        [(mean, "mean_of_percentages"), (crude, "crude_total_change"), (intensity, "pooled_intensity_reduction")];
    for (found, name) in wrong {
        near(found, number(&expected["wrong"][name]), relative);
        assert!((reduction - found).abs() > 0.01, "{name}");
    }
}

#[test]
fn every_value_of_the_sign_rules() {
    let vector = vector("sign_rules");
    let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
    let relative = number(&vector["tolerance"]["relative"]);
    let compared = Compared { actual: number(&inputs["actual"]), adjusted: number(&inputs["adjusted_baseline"]) };
    near(compared.ratio().unwrap(), number(&expected["R"]), relative);
    near(compared.reduction().unwrap(), number(&expected["reduction"]), relative);
    near(compared.saving_gbt_28750(), number(&expected["gbt_28750_saving_Es"]), relative);
    near(compared.saving_rate_gbt_13234().unwrap(), number(&expected["gbt_13234_saving_rate_pct"]), relative);
    let per_unit = &inputs["energy_per_unit"];
    let unit = Compared { actual: number(&per_unit["reporting"]), adjusted: number(&per_unit["baseline"]) };
    let reduction = unit.reduction().unwrap();
    near(reduction, number(&expected["energy_per_unit_reduction"]), relative);
    near(utilisation_gain(reduction).unwrap(), number(&expected["utilisation_gain"]), relative);
    assert_eq!([utilisation_gain(1.0), reduction_of_gain(-1.0)], [None; 2]);
    assert_eq!(Compared { actual: 1.0, adjusted: 0.0 }.ratio(), None);
}

#[test]
fn every_value_of_equipment_effectiveness() {
    let vector = vector("oee");
    let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
    let relative = number(&vector["tolerance"]["relative"]);
    let of = |name: &str| number(&inputs[name]);
    let run = Run {
        planned: of("planned"),
        produced: of("planned") - of("downtime"),
        ideal_cycle: of("ideal_cycle"),
        total: of("total_count"),
        good: of("total_count") - of("reject_count"),
    };
    let found = Effectiveness::of(&[run]);
    near(found.availability.unwrap(), number(&expected["availability"]), relative);
    near(found.performance.unwrap(), number(&expected["performance"]), relative);
    near(found.quality.unwrap(), number(&expected["quality"]), relative);
    near(found.oee().unwrap(), number(&expected["oee"]), relative);
    assert_eq!(found.quality, found.quality_by_count);
    // METHOD 13: over the planned time, downtime would count twice.
    let twice = found.availability.unwrap() * (run.ideal_cycle * run.total / run.planned) * found.quality.unwrap();
    assert!((twice - 0.5903).abs() < 1e-4 && found.oee().unwrap() - twice > 0.06);

    // Two runs: the product stays good ideal time over planned time, though the qualities differ.
    let other = Run { planned: 100.0, produced: 50.0, ideal_cycle: 0.5, total: 80.0, good: 20.0 };
    let both = Effectiveness::of(&[run, other]);
    let good = run.ideal_cycle * run.good + other.ideal_cycle * other.good;
    near(both.oee().unwrap(), good / (run.planned + other.planned), 1e-14);
    assert!(both.quality != both.quality_by_count);
    let idle = Effectiveness::of(&[Run { planned: 10.0, produced: 0.0, ideal_cycle: 1.0, total: 0.0, good: 0.0 }]);
    assert_eq!((idle.availability, idle.performance, idle.quality, idle.oee()), (Some(0.0), None, None, None));
}

#[test]
fn every_value_of_the_operating_cost() {
    let vector = vector("operating_cost");
    let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
    let relative = number(&vector["tolerance"]["relative"]);
    let of = |name: &str| numbers(&inputs[name]);
    let (q0, p0, q1, p1) = (of("kwh_baseline"), of("price_baseline"), of("kwh_reporting"), of("price_reporting"));
    let items: Vec<Item> = (0..q0.len())
        .map(|n| Item {
            quantity_baseline: q0[n],
            price_baseline: p0[n],
            quantity_reporting: q1[n],
            price_reporting: p1[n],
        })
        .collect();
    let cost = Cost::of(&items);
    let output = number(&inputs["output_reporting"]) / number(&inputs["output_baseline"]);
    for (found, name) in [(cost.q0p0, "q0p0"), (cost.q1p1, "q1p1"), (cost.q1p0, "q1p0"), (cost.q0p1, "q0p1")] {
        near(found, number(&expected[name]), relative);
    }
    let changes = [
        (cost.nominal(output), "unit_cost_change_nominal"),
        (cost.at_baseline_prices(output), "unit_cost_change_constant_base_price"),
        (cost.at_reporting_prices(output), "unit_cost_change_constant_current_price"),
        (cost.fisher_quantity(output), "unit_cost_change_fisher"),
    ];
    for (found, name) in changes {
        near(found.unwrap() - 1.0, number(&expected[name]), relative);
    }
    let indices = &expected["price_index"];
    near(cost.laspeyres().unwrap(), number(&indices["laspeyres"]), relative);
    near(cost.paasche().unwrap(), number(&indices["paasche"]), relative);
    near(cost.fisher().unwrap(), number(&indices["fisher"]), relative);
    // Met at constant prices, missed in nominal terms.
    assert!(cost.at_baseline_prices(output).unwrap() < 0.8 && cost.nominal(output).unwrap() > 0.8);
}

#[test]
fn a_unit_cost_has_the_interval_of_the_ratio_estimator() {
    let months =
        |rows: &[(f64, f64)]| -> Vec<Month> { rows.iter().map(|&(cost, output)| Month { cost, output }).collect() };
    let baseline = UnitCost::of(&months(&[(100.0, 10.0), (210.0, 20.0), (290.0, 30.0)])).unwrap();
    // c = 600/60; distances 0, 10, −10.
    assert_eq!((baseline.cost, baseline.variance), (10.0, 1.5 * 200.0 / 3600.0));
    let reporting = UnitCost::of(&months(&[(90.0, 10.0), (70.0, 10.0)])).unwrap();
    let (ratio, df) = reporting.ratio(&baseline);
    near(ratio.ratio(), 0.8, 1e-14);
    assert_eq!(df, 1.0);
    near(ratio.se, (2.0 * 200.0 / 400.0 / 64.0 + 1.5 * 200.0 / 3600.0 / 100.0f64).sqrt(), 1e-14);
    let interval = ratio.interval_t(Confidence::NINETY, df);
    assert!(ratio.p_below_t(interval.upper * 1.0001, df) < 0.05);
    assert!(ratio.p_below_t(interval.upper * 0.9999, df) > 0.05);
    assert_eq!([UnitCost::of(&months(&[(1.0, 1.0)])), UnitCost::of(&months(&[(1.0, 0.0), (2.0, 0.0)]))], [None; 2]);
}

proptest! {
    /// METHOD 12.13 and 12.12.
    #[test]
    fn utilisation_and_reduction_are_inverse_and_the_sign_flips(c in -3f64..0.99, actual in 1f64..1e6, adjusted in 1f64..1e6) {
        let back = reduction_of_gain(utilisation_gain(c).unwrap()).unwrap();
        prop_assert!((back - c).abs() < 1e-12);
        let compared = Compared { actual, adjusted };
        let restored = -compared.saving_rate_gbt_13234().unwrap() / 100.0;
        prop_assert!((restored - compared.reduction().unwrap()).abs() <= 1e-12 * (1.0 + actual / adjusted));
    }
}
