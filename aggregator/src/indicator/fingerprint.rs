//! What a baseline was made from, as a fingerprint: two figures with the same one were held against the same baseline.
//!
//! It goes over the bits of every number of the baseline period that the indicator uses, whether a single figure uses all of
//! them or not, and over the pilot's plan. It does not go over the reporting period, but for what a person stated of it.

use model::{Fingerprint, Pilot};
use sha2::{Digest, Sha256};

use super::data::PilotData;
use super::defects::lots_of;
use super::output::{ByProduct, Pieces, weight};
use super::ratio::Amounts;
use crate::orders::{Cohorts, Orders};
use crate::sum::Sum;

/// Collects what a baseline is made from.
struct Print(Sha256);

impl Print {
    fn new(data: &PilotData<'_>, what: &str) -> Print {
        let mut print = Print(Sha256::new());
        print.text(what);
        print.text(&format!("{:?}", data.terms.baseline));
        print
    }

    fn text(&mut self, text: &str) {
        self.0.update(text.len().to_le_bytes());
        self.0.update(text.as_bytes());
    }

    fn number(&mut self, number: f64) {
        self.0.update(number.to_bits().to_le_bytes());
    }

    fn sums(&mut self, by_month: &[Sum], months: &[usize]) {
        months.iter().filter_map(|&month| by_month.get(month)).for_each(|sum| self.number(sum.total()));
    }

    fn by_product(&mut self, by_product: &ByProduct, months: &[usize], pilot: &Pilot) {
        for (product, by_month) in by_product {
            self.text(product);
            self.number(weight(pilot, product).unwrap_or(1.0));
            self.sums(by_month, months);
        }
    }

    fn finish(self) -> Fingerprint {
        let hash = self.0.finalize();
        Fingerprint(std::array::from_fn(|index| hash[index]))
    }
}

/// Of amounts against output: the covered months of the baseline, what they hold, and the plan.
pub fn of_amounts(data: &PilotData<'_>, pieces: &Pieces, amounts: &Amounts, plan: &dyn std::fmt::Debug) -> Fingerprint {
    let mut print = Print::new(data, "amounts");
    let entering = [amounts.series.as_slice(), pieces.good_series.as_slice()].concat();
    let covered = |month: &&usize| data.is_covered(&entering, **month);
    let months: Vec<usize> = data.baseline_months().iter().filter(covered).copied().collect();
    print.text(&format!("{plan:?}"));
    months.iter().for_each(|&month| print.0.update(data.axis.month(month).0.to_le_bytes()));
    print.sums(&amounts.general, &months);
    print.by_product(&amounts.by_product, &months, data.pilot);
    print.by_product(&pieces.good, &months, data.pilot);
    print.finish()
}

/// Of a baseline to which a person stated something for the period: another one than that of periods without.
pub fn with(baseline: Fingerprint, by_hand: f64) -> Fingerprint {
    let mut print = Print(Sha256::new());
    print.text("by hand");
    print.0.update(baseline.0);
    print.number(by_hand);
    print.finish()
}

/// Of defective pieces: what was inspected in the baseline's months, by product.
pub fn of_defects(data: &PilotData<'_>, pieces: &Pieces) -> Fingerprint {
    let mut print = Print::new(data, "defects");
    for product in pieces.good.keys().chain(pieces.defective.keys()) {
        print.text(product);
        for lot in lots_of(pieces, product, data.baseline_months()) {
            print.number(lot.count);
            print.number(lot.size);
        }
    }
    print.finish()
}

/// Of orders: starts and ends of the baseline's cohort.
pub fn of_orders(data: &PilotData<'_>, orders: &Orders) -> Fingerprint {
    let mut print = Print::new(data, "orders");
    for (product, runs) in orders.cohort(data.baseline_window()) {
        print.text(product);
        for run in runs {
            print.0.update(run.start.0.to_le_bytes());
            print.0.update(run.end.map_or(i64::MIN, |end| end.0).to_le_bytes());
        }
    }
    print.finish()
}

/// Of cycle times: the values of the baseline.
pub fn of_cycles(data: &PilotData<'_>, cycles: &Cohorts) -> Fingerprint {
    let mut print = Print::new(data, "cycles");
    for (product, values) in cycles.within(data.baseline_window()) {
        print.text(product);
        values.iter().for_each(|value| print.number(value.1));
    }
    print.finish()
}
