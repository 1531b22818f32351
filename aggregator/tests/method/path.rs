//! METHOD 10.1 and 10.2: glide paths and paces.

use aggregator::standing::path;
use aggregator::statistics::pace::{achieved_rate, annual_rate, index_after, linear, required_rate};
use model::programme::Stage;
use proptest::prelude::*;

use crate::vector::{list, near, number, numbers, vector};

/// A target due at the start of `year`.
fn stage(year: f64, reduction: f64) -> Stage {
    let due = format!("{:04}-12-31", year - 1.0);
    Stage { due: due.parse().unwrap_or_else(|error| panic!("{due}: {error}")), reduction }
}

#[test]
fn every_value_of_the_glide_paths() {
    let vector = vector("glide_path");
    let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
    let relative = number(&vector["tolerance"]["relative"]);
    let years = number(&inputs["single_leg"]["years"]);
    for target in numbers(&inputs["single_leg"]["target_reductions"]) {
        let expected = &expected["single_leg"][format!("{target:.2}")];
        let stages = [stage(2015.0 + years, target)];
        for (year, (straight, geometric)) in
            (1..=5).zip(numbers(&expected["linear"]).into_iter().zip(numbers(&expected["geometric"])))
        {
            near(linear(target, f64::from(year) / years), straight, relative);
            near(path(&stages, 2015.0, 2015.0 + f64::from(year)), geometric, relative);
        }
        near(annual_rate(target, years).unwrap(), number(&expected["annual_rate"]), relative);
    }
    let legs = list(&inputs["two_legs"]);
    for (leg, expected) in legs.iter().zip(list(&expected["two_legs_second_leg_geometric"])) {
        let milestones: Vec<Vec<f64>> = list(&leg["milestones"]).iter().map(numbers).collect();
        let stages: Vec<Stage> = milestones[1..].iter().map(|milestone| stage(milestone[0], milestone[1])).collect();
        for (year, index) in numbers(&expected["years"]).into_iter().zip(numbers(&expected["index"])) {
            near(path(&stages, milestones[0][0], year), index, relative);
        }
        let rate = annual_rate(1.0 - (1.0 - milestones[2][1]) / (1.0 - milestones[1][1]), 5.0).unwrap();
        near(rate, number(&expected["annual_rate"]), relative);
        near(required_rate(1.0 - milestones[1][1], milestones[2][1], 5.0).unwrap(), rate, relative);
    }
    let pace = &inputs["annual_pace"];
    let index = index_after(number(&pace["rate"]), number(&pace["years"]));
    near(index, number(&expected["annual_pace"]["index_after"]), relative);
    near(1.0 - index, number(&expected["annual_pace"]["cumulative_reduction"]), relative);
    let cumulative = annual_rate(number(&inputs["cumulative"]["reduction"]), number(&inputs["cumulative"]["years"]));
    near(cumulative.unwrap(), number(&expected["cumulative"]["annual_rate"]), relative);
    // 5 % a year for five years is stricter than 20 % by then, and is not 25 %.
    assert!(index < 0.8 && index > 0.75);
}

#[test]
fn a_required_pace_ends_with_the_target_and_with_time() {
    assert_eq!(required_rate(0.79, 0.2, 3.0), Some(0.0));
    assert_eq!(required_rate(0.9, 0.2, 0.0), None);
    near(required_rate(0.9, 0.2, 2.0).unwrap(), 1.0 - (0.8f64 / 0.9).sqrt(), 1e-14);
    near(achieved_rate(0.81, 2.0).unwrap(), 0.1, 1e-14);
    assert_eq!(achieved_rate(0.9, 0.0), None);
}

proptest! {
    #[test]
    fn paces_compound_back(index in 0.2f64..1.5, years in 0.1f64..20.0) {
        prop_assert!((index_after(achieved_rate(index, years).unwrap(), years) / index - 1.0).abs() < 1e-10);
    }
}
