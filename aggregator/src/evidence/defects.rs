//! Evidence of the defective rate: each product's pieces in both periods, and the rates at other mixes.

use model::Period;

use super::{Beside, Steps, Table, inputs_table, months_table};
use crate::indicator::data::PilotData;
use crate::indicator::defects::{products, strata_of};
use crate::indicator::output::Pieces;
use crate::indicator::ratio::Months;
use crate::statistics::dispersion::dispersion;
use crate::statistics::proportion::Score;
use crate::statistics::standardised::{Mix, Standardised};
use crate::statistics::{Confidence, Counted, Measure};
use crate::sum::sum;

/// Everything behind a period's rate.
pub(super) fn tables(data: &PilotData<'_>, pieces: &Pieces, period: Period) -> Vec<Table> {
    let months = Months {
        reporting: data.months_of(period),
        baseline: data.baseline_months().to_vec(),
        n_period: data.n_months_of(period),
    };
    const COLUMNS: [&str; 8] = [
        "product",
        "baseline_inspected",
        "baseline_defective",
        "baseline_rate",
        "inspected",
        "defective",
        "expected",
        "counts",
    ];
    let mut table = Table::new("products", &COLUMNS);
    let (strata, lots) = strata_of(pieces, &months.reporting, &months.baseline);
    for (product, stratum) in products(pieces).iter().zip(&strata) {
        let (now, then) = (stratum.reporting, stratum.baseline);
        let both = now.size > 0.0 && then.size > 0.0;
        let expected = both.then(|| then.count * (now.size / then.size));
        table.row([
            (&**product).into(),
            then.size.into(),
            then.count.into(),
            then.rate().into(),
            now.size.into(),
            now.count.into(),
            expected.into(),
            if both { "yes" } else { "made in one period only" }.into(),
        ]);
    }
    let mut steps = Steps::new();
    let lots: Vec<&[Counted]> = lots.iter().map(Vec::as_slice).collect();
    let dispersion = dispersion(Measure::Proportion, &lots);
    let mut beside = Beside::new();
    if let Ok(found) = Standardised::of(Measure::Proportion, &strata, Mix::Reporting, dispersion.phi) {
        steps.close(Some(found.observed), Some(found.expected), "piece");
        beside.add("overdispersion", "", dispersion.phi, "");
        other_mixes(&strata, (dispersion.phi, data.confidence()), &mut beside);
    }
    let mut inputs = inputs_table(data, &pieces.good_series, &months);
    inputs.rows.extend(inputs_table(data, &pieces.defective_series, &months).rows);
    vec![steps.0, table, beside.0, months_table(data, &pieces.good_series, &months, period), inputs]
}

/// What other conventions say of the same pieces.
fn other_mixes(
    strata: &[crate::statistics::standardised::Stratum],
    (phi, confidence): (f64, Confidence),
    beside: &mut Beside,
) {
    for (what, mix) in [("ratio_at_baseline_mix", Mix::Baseline), ("ratio_at_pooled_mix", Mix::Pooled)] {
        if let Ok(found) = Standardised::of(Measure::Proportion, strata, mix, phi) {
            let interval = found.interval(confidence);
            beside.interval(what, "", found.ratio(), Some(interval.lower), Some(interval.upper));
        }
    }
    let crude = |side: fn(&crate::statistics::standardised::Stratum) -> Counted| Counted {
        count: sum(strata.iter().map(|stratum| side(stratum).count)),
        size: sum(strata.iter().map(|stratum| side(stratum).size)),
    };
    let (now, then) = (crude(|stratum| stratum.reporting), crude(|stratum| stratum.baseline));
    let interval = Score::MiettinenNurminen.interval(now, then, confidence, phi);
    let ends = interval.map(|interval| (interval.lower, interval.upper)).unzip();
    beside.interval("crude_ratio_unadjusted", "", crate::statistics::ratio(now, then), ends.0, ends.1);
}
