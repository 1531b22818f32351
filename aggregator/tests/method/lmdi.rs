//! METHOD 9: LMDI-I, and the cost decomposition of section 8.

use aggregator::statistics::lmdi::{Decomposition, LmdiError, Row, add_up, decompose, logarithmic_mean};
use proptest::prelude::*;

use crate::vector::{list, near, number, numbers, vector};

/// Categories: factors before, factors after.
fn of(rows: &[(Vec<f64>, Vec<f64>)]) -> Result<Decomposition, LmdiError> {
    let rows: Vec<Row<'_>> = rows.iter().map(|(before, after)| Row { before, after }).collect();
    decompose(&rows)
}

#[test]
fn every_value_of_the_vector() {
    let vector = vector("lmdi_1971_1972");
    let (expected, relative) = (&vector["expected"], number(&vector["tolerance"]["relative"]));
    let absolute = number(&vector["tolerance"]["published_absolute"]);
    let side = |name: &str| list(&vector["inputs"][name]).iter().map(numbers).collect::<Vec<_>>();
    let rows: Vec<(Vec<f64>, Vec<f64>)> = side("x0").into_iter().zip(side("xT")).collect();
    let found = of(&rows).unwrap();
    near(found.before, number(&expected["V0"]), relative);
    near(found.after, number(&expected["VT"]), relative);
    assert!(found.shared.is_empty());
    let published = |found: f64, name: &str, k: usize| {
        let published = number(&expected[name][k]);
        assert!((found - published).abs() <= absolute, "{name} {k}: {found}, published {published}");
    };
    let multiplicative = found.multiplicative.unwrap();
    for k in 0..3 {
        near(found.additive[k], number(&expected["dV"][k]), relative);
        near(multiplicative[k], number(&expected["D"][k]), relative);
        published(found.additive[k], "published_dV", k);
        published(multiplicative[k], "published_D", k);
        for (i, row) in found.rows.iter().enumerate() {
            near(row[k], number(&expected["rows"][i][k]), relative);
            // Published to 8 decimals.
            let published = number(&expected["published_rows"][i][k]);
            assert!((row[k] - published).abs() <= 1e-8, "{i} {k}: {} {published}", row[k]);
        }
    }
}

#[test]
fn the_change_of_cost_splits_into_output_intensity_bands_and_price() {
    let vector = vector("operating_cost");
    let (inputs, expected) = (&vector["inputs"], &vector["expected"]["lmdi_additive"]);
    let side = |when: &str| {
        let (kwh, price) = (numbers(&inputs[format!("kwh_{when}")]), numbers(&inputs[format!("price_{when}")]));
        let (output, all) = (number(&inputs[format!("output_{when}")]), kwh.iter().sum::<f64>());
        let rows = kwh.into_iter().zip(price).map(move |(kwh, price)| vec![output, all / output, kwh / all, price]);
        rows.collect::<Vec<_>>()
    };
    let rows: Vec<(Vec<f64>, Vec<f64>)> = side("baseline").into_iter().zip(side("reporting")).collect();
    let found = of(&rows).unwrap();
    let relative = number(&vector["tolerance"]["relative"]);
    for (k, name) in ["output", "kwh_per_unit", "band_shift", "price"].into_iter().enumerate() {
        near(found.additive[k], number(&expected[name]), relative);
    }
    let total: f64 = found.additive.iter().sum();
    assert!((total - number(&expected["sum"])).abs() <= number(&vector["tolerance"]["lmdi_sum_absolute"]));
    near(found.after - found.before, number(&expected["sum"]), 1e-12);
}

#[test]
fn zeros_take_their_limits() {
    #[track_caller]
    fn check(before: [f64; 3], after: [f64; 3], terms: [f64; 3], n_shared: usize) {
        let found = of(&[(before.to_vec(), after.to_vec())]).unwrap();
        assert_eq!((found.rows[0].as_slice(), found.shared.len()), (terms.as_slice(), n_shared));
    }
    check([0.0, 2.0, 3.0], [4.0, 5.0, 6.0], [120.0, 0.0, 0.0], 0);
    check([4.0, 5.0, 6.0], [4.0, 0.0, 6.0], [0.0, -120.0, 0.0], 0);
    check([0.0, 2.0, 3.0], [4.0, 0.0, 6.0], [0.0, 0.0, 0.0], 0);
    // Counted twice it would be 240: the change is shared, and said so.
    check([0.0, 0.0, 3.0], [4.0, 5.0, 6.0], [60.0, 60.0, 0.0], 1);
    check([4.0, 5.0, 6.0], [0.0, 0.0, 0.0], [-40.0, -40.0, -40.0], 1);
    let gone = of(&[(vec![4.0, 5.0], vec![0.0, 5.0])]).unwrap();
    assert_eq!((gone.multiplicative, gone.before, gone.after), (None, 20.0, 0.0));
}

/// METHOD 13: clipping a negative term, or rescaling, makes a decomposition worthless.
#[test]
fn negative_terms_stand_and_negative_factors_are_an_error() {
    let found = of(&[(vec![1.0, 10.0, 2.0], vec![4.0, 5.0, 3.0])]).unwrap();
    assert!(found.additive[1] < 0.0);
    let error = of(&[(vec![1.0, 2.0], vec![1.0, -2.0])]).unwrap_err();
    assert_eq!(error.to_string(), "category 0 factor 1 is -2; a factor is a finite number, not negative");
    assert_eq!(of(&[(vec![1.0, 2.0], vec![1.0])]), Err(LmdiError::Ragged { row: 0, found: 1, expected: 2 }));
    assert!(matches!(of(&[(vec![f64::NAN], vec![1.0])]), Err(LmdiError::Factor { .. })));
    assert_eq!(of(&[(vec![1e200, 1e200], vec![1.0, 1.0])]), Err(LmdiError::Product { row: 0 }));
    assert_eq!(of(&[]).unwrap().additive, Vec::<f64>::new());
}

#[test]
fn the_logarithmic_mean_is_stable_where_both_are_near() {
    assert_eq!(logarithmic_mean(5.0, 5.0), 5.0);
    // L(b(1 + e), b) = b (1 + e/2 − e²/12 + …).
    for e in [1e-15, 1e-12, 1e-9, 1e-6, -1e-9] {
        let b = 3.0;
        let a = b * (1.0 + e);
        let e = (a - b) / b;
        near(logarithmic_mean(a, b), b * (1.0 + e / 2.0 - e * e / 12.0), 1e-15);
    }
    near(logarithmic_mean(10.0, 1.0), 9.0 / std::f64::consts::LN_10, 1e-15);
    near(logarithmic_mean(1.0, 10.0), 9.0 / std::f64::consts::LN_10, 1e-15);
}

proptest! {
    /// METHOD 12.14, 12.2 and 12.7.
    #[test]
    fn terms_sum_to_the_change_and_parts_to_the_whole(rows in rows(), cut in 0usize..6) {
        let whole = of(&rows).unwrap();
        let size = whole.before + whole.after;
        prop_assert!((whole.additive.iter().sum::<f64>() - (whole.after - whole.before)).abs() <= 1e-12 * size);
        if let Some(factors) = &whole.multiplicative {
            let product: f64 = factors.iter().product();
            prop_assert!((product / (whole.after / whole.before) - 1.0).abs() < 1e-10);
        }
        let (left, right) = rows.split_at(1 + cut % (rows.len() - 1));
        let parts = [of(left).unwrap(), of(right).unwrap()];
        for (added, term) in add_up(&parts).unwrap().into_iter().zip(&whole.additive) {
            prop_assert!((added - term).abs() <= 1e-12 * size);
        }
        let turned: Vec<_> = rows.iter().rev().cloned().collect();
        for (term, other) in whole.additive.iter().zip(of(&turned).unwrap().additive) {
            prop_assert!((term - other).abs() <= 1e-12 * size);
        }
    }
}

/// Three factors; some zero.
fn rows() -> impl Strategy<Value = Vec<(Vec<f64>, Vec<f64>)>> {
    let factor = || prop_oneof![8 => 1e-3f64..1e3, 1 => Just(0.0)];
    let side = move || proptest::collection::vec(factor(), 3);
    proptest::collection::vec((side(), side()), 2..7)
}
