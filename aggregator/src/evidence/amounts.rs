//! Evidence of energy, cost and pollutants: months, inputs, and the ratio, the model or the prices between them.

use model::Period;

use super::charges::{Charged, charges};
use super::{Beside, Cell, Steps, Table, counted, inputs_table, month_label, months_table, output_table};
use crate::indicator::baseline::{Baseline, Compared, Use, asked};
use crate::indicator::by_hand::ByHand;
use crate::indicator::cost::{Cost, bought_over};
use crate::indicator::data::{Part, PilotData};
use crate::indicator::energy::{self, Carrier, Energy};
use crate::indicator::output::Pieces;
use crate::indicator::ratio::{self, Amounts, Months};
use crate::statistics::guideline14::{self, K, fractional_savings_uncertainty};
use crate::statistics::price;
use crate::statistics::validity::Effect;
use crate::sum::sum;

/// A ratio to output.
pub(super) fn of_ratio(
    data: &PilotData<'_>,
    pieces: &Pieces,
    amounts: &Amounts,
    unit: &str,
    period: Period,
) -> Vec<Table> {
    let (entering, months) = counted(data, &amounts.series, pieces, period);
    let mut steps = Steps::new();
    ratio_steps(data, pieces, amounts, &months, unit, &mut steps);
    vec![
        steps.0,
        months_table(data, &entering, &months, period),
        output_table(data, pieces, &months),
        inputs_table(data, &entering, &months),
    ]
}

fn ratio_steps(
    data: &PilotData<'_>,
    pieces: &Pieces,
    amounts: &Amounts,
    months: &Months,
    unit: &str,
    steps: &mut Steps,
) {
    let Ok(parts) = ratio::parts(data, pieces, amounts, months) else { return };
    for part in &parts {
        let of = part.product.as_deref().unwrap_or("all products");
        steps.add("baseline_amount", of, part.baseline, unit, "E_b: Σ over the baseline's counted months");
        steps.add("baseline_output", of, part.output, "", "Q_b: Σ weight × good pieces of these months");
        steps.add("output", of, part.output_now(), "", "Q_r: the same of the period's counted months");
        steps.add("adjusted", of, part.adjusted(), unit, "E_b × (Q_r / Q_b)");
        steps.add("amount", of, part.actual, unit, "E_r: Σ over the period's counted months");
    }
    let actual = sum(parts.iter().map(|part| part.actual));
    by_hand_steps(data, &amounts.by_hand, months, unit, steps);
    steps.close(Some(actual), Some(ratio::adjusted(&parts, &amounts.by_hand, months)), unit);
}

/// What a person stated for the period.
fn by_hand_steps(data: &PilotData<'_>, all: &[ByHand], months: &Months, unit: &str, steps: &mut Steps) {
    for stated in all {
        let (adjustment, amount) = (data.pilot.adjustments.get(stated.index), stated.over(&months.reporting));
        if let Some((adjustment, amount)) = adjustment.zip(amount) {
            steps.add("by_hand", &adjustment.reason, amount, unit, "Σ over its days in the period's counted months");
        }
    }
}

/// Energy, by ratio or by models.
pub(super) fn of_energy(data: &PilotData<'_>, pieces: &Pieces, energy: &Energy, period: Period) -> Vec<Table> {
    let entering = energy.entering(data, pieces);
    let months = ratio::months_rule(data, &entering, period);
    let mut steps = Steps::new();
    let mut beside = Beside::new();
    let mut models = Models::new();
    if energy.is_modelled() {
        let mut sides = Vec::new();
        for carrier in &energy.carriers {
            sides.push(carrier_steps(data, pieces, carrier, &months, (&mut steps, &mut beside, &mut models)));
        }
        let total = |of: fn(&(f64, f64)) -> f64| sides.iter().flatten().map(of).collect::<Vec<f64>>();
        let whole = sides.iter().all(Option::is_some) && !sides.is_empty();
        let of = |side: fn(&(f64, f64)) -> f64| whole.then(|| sum(total(side)));
        by_hand_steps(data, &energy.amounts.by_hand, &months, "kgce", &mut steps);
        steps.close(of(|side| side.0), of(|side| side.1).map(|routine| energy.adjusted(routine, &months)), "kgce");
    } else {
        ratio_steps(data, pieces, &energy.amounts, &months, "kgce", &mut steps);
    }
    let factors = factors(energy, &months);
    let mut tables = vec![steps.0, beside.0, factors, models.coefficients, models.fits, models.criteria, models.months];
    tables.extend([
        months_table(data, &entering, &months, period),
        output_table(data, pieces, &months),
        inputs_table(data, &entering, &months),
    ]);
    tables
}

fn factors(energy: &Energy, months: &Months) -> Table {
    let mut table = Table::new("carriers", &["carrier", "factor", "factor_unit", "baseline", "reporting"]);
    for carrier in &energy.carriers {
        let over = |months: &[usize]| crate::indicator::output::over(&carrier.used, months);
        let unit = model::quantity::carrier_unit(&carrier.name);
        table.row([
            (&*carrier.name).into(),
            carrier.factor.into(),
            format!("kgce/{unit}").into(),
            over(&months.baseline).into(),
            over(&months.reporting).into(),
        ]);
    }
    table
}

/// What is known of the fitted models.
struct Models {
    coefficients: Table,
    fits: Table,
    criteria: Table,
    months: Table,
}

impl Models {
    fn new() -> Models {
        const COEFFICIENTS: [&str; 8] =
            ["carrier", "variable", "coefficient", "standard_error", "t", "p", "baseline_min", "baseline_max"];
        Models {
            coefficients: Table::new("coefficients", &COEFFICIENTS),
            fits: Table::new("fit", &["carrier", "statistic", "value"]),
            criteria: Table::new("validity", &["carrier", "asked", "found", "passed", "effect"]),
            months: Table::new("model_months", &["carrier", "month", "side", "actual", "model", "leverage", "beyond"]),
        }
    }

    fn add(&mut self, data: &PilotData<'_>, carrier: &Carrier, baseline: &Baseline, compared: &Compared) {
        let name = || Cell::from(&*carrier.name);
        let skipped = baseline.fit.coefficients().len() - baseline.fit.spreads().len();
        for (index, coefficient) in baseline.fit.coefficients().iter().enumerate() {
            let spread = index.checked_sub(skipped).and_then(|index| baseline.fit.spreads().get(index));
            self.coefficients.row([
                name(),
                coefficient.name.as_str().into(),
                coefficient.value.into(),
                coefficient.standard_error.into(),
                coefficient.t.into(),
                coefficient.p.into(),
                spread.map(|spread| spread.min).into(),
                spread.map(|spread| spread.max).into(),
            ]);
        }
        let statistics = baseline.fit.statistics();
        let lines = [
            ("months", Some(statistics.n as f64)),
            ("residual_sd", Some(statistics.residual_sd)),
            ("r_squared", statistics.r_squared),
            ("r_squared_adjusted", statistics.r_squared_adjusted),
            ("cv_rmse", statistics.cv_rmse),
            ("f", statistics.f.map(|f| f.f)),
            ("autocorrelation", statistics.rho),
            ("durbin_watson", statistics.durbin_watson),
            ("variance_model", Some(compared.adjusted.variance_model)),
            ("variance_noise", Some(compared.adjusted.variance_noise)),
            ("degrees_of_freedom", Some(compared.adjusted.df)),
        ];
        lines.into_iter().for_each(|(what, value)| self.fits.row([name(), what.into(), value.into()]));
        for finding in &compared.validity.findings {
            let effect = match finding.effect {
                Effect::Invalidates => "invalidates",
                Effect::Flags => "flags",
                Effect::Nothing => "shown only",
            };
            let passed = if finding.passed { "yes" } else { "no" };
            self.criteria.row([
                name(),
                asked(finding.criterion).into(),
                finding.value.into(),
                passed.into(),
                effect.into(),
            ]);
        }
        for (&month, residual) in baseline.months.iter().zip(baseline.fit.residuals()) {
            let actual = carrier.used[month].total();
            let label = month_label(data, month);
            let model = if baseline.is_per_day() { Cell::Nothing } else { (actual - residual).into() };
            self.months.row([name(), label.into(), "baseline".into(), actual.into(), model, Cell::Nothing, "".into()]);
        }
    }

    fn add_months(&mut self, data: &PilotData<'_>, carrier: &Carrier, months: &Months, compared: &Compared) {
        let rows = compared.adjusted.rows.iter().zip(&compared.adjusted.guard.rows);
        for (&month, (model, guard)) in months.reporting.iter().zip(rows) {
            let beyond = if guard.outside.is_empty() && guard.unusual {
                "an unusual combination".to_owned()
            } else {
                guard.outside.join(", ")
            };
            self.months.row([
                (&*carrier.name).into(),
                month_label(data, month).into(),
                "reporting".into(),
                carrier.used[month].total().into(),
                (*model).into(),
                guard.leverage.into(),
                beyond.into(),
            ]);
        }
    }
}

/// Actual and adjusted baseline of one carrier in kgce, with the steps that lead there.
fn carrier_steps(
    data: &PilotData<'_>,
    pieces: &Pieces,
    carrier: &Carrier,
    months: &Months,
    (steps, beside, models): (&mut Steps, &mut Beside, &mut Models),
) -> Option<(f64, f64)> {
    let used = Use { carrier: &carrier.name, by_month: &carrier.used };
    let of = &*carrier.name;
    let unit = model::quantity::carrier_unit(of);
    let comparison = match &carrier.baseline {
        Err(_) => return None,
        Ok(None) => {
            let comparison = energy::compare(data, pieces, carrier, months).ok()?.0;
            steps.add("amount", of, comparison.actual, "kgce", "E_r in kgce");
            steps.add("adjusted", of, comparison.adjusted_baseline, "kgce", "E_b × (Q_r / Q_b) in kgce");
            comparison
        }
        Ok(Some(baseline)) => {
            let compared = baseline.compare((data, pieces), used, &months.reporting).ok()?;
            models.add(data, carrier, baseline, &compared);
            models.add_months(data, carrier, months, &compared);
            steps.add("amount", of, compared.comparison.actual, unit, "Σ over the period's counted months");
            steps.add("modelled", of, compared.comparison.adjusted_baseline, unit, "Σ of the model over these months");
            steps.add("factor", of, carrier.factor, "", "kgce per unit");
            let rho = baseline.fit.statistics().rho.unwrap_or(0.0);
            let fraction = compared.comparison.saving_fraction().unwrap_or(0.0);
            let input =
                guideline14::Input::of(baseline.fit.statistics(), rho, K, months.reporting.len() as f64, fraction);
            let fsu = input.and_then(|input| fractional_savings_uncertainty(data.confidence(), input));
            beside.add("guideline14_fsu", of, fsu.map(|fsu| fsu.fsu), "");
            beside.add(
                "exact_relative_uncertainty",
                of,
                compared.comparison.relative_uncertainty(data.confidence()),
                "",
            );
            energy::compare(data, pieces, carrier, months).ok()?.0
        }
    };
    Some((comparison.actual, comparison.adjusted_baseline))
}

/// Cost at the baseline's prices, and what it was in the yuan of the day.
pub(super) fn of_cost(
    (data, part): (&PilotData<'_>, Part<'_>),
    pieces: &Pieces,
    cost: &Cost,
    period: Period,
) -> Vec<Table> {
    let (entering, months) = counted(data, &cost.amounts.series, pieces, period);
    let mut steps = Steps::new();
    ratio_steps(data, pieces, &cost.amounts, &months, "CNY", &mut steps);
    let mut prices =
        Table::new("prices", &["item", "band", "baseline_quantity", "baseline_price", "quantity", "price"]);
    let mut items = Vec::new();
    let mut nominal = (0.0, 0.0);
    for (item, by_band) in cost.items.iter().zip(&cost.bought) {
        for (&band, by_month) in by_band {
            let ((q0, c0), (q1, c1)) =
                (bought_over(by_month, &months.baseline), bought_over(by_month, &months.reporting));
            let price = |cost: f64, quantity: f64| Some(cost / quantity).filter(|_| quantity > 0.0);
            let name = data.calendar.bands.get(usize::from(band)).map_or("", |name| &**name);
            let cells = [q0.into(), price(c0, q0).into(), q1.into(), price(c1, q1).into()];
            let [a, b, c, d] = cells;
            prices.row([item.as_str().into(), name.into(), a, b, c, d]);
            nominal = (nominal.0 + c0, nominal.1 + c1);
            // An index takes what both periods bought: the rest has no price on one side.
            if let Some((p0, p1)) = price(c0, q0).zip(price(c1, q1)) {
                items.push(price::Item {
                    quantity_baseline: q0,
                    price_baseline: p0,
                    quantity_reporting: q1,
                    price_reporting: p1,
                });
            }
        }
    }
    let charges = charges((data, part), cost, &months);
    let beside = cost_beside(data, pieces, &months, (nominal, &charges), &price::Cost::of(&items));
    vec![
        steps.0,
        beside,
        prices,
        months_table(data, &entering, &months, period),
        output_table(data, pieces, &months),
        inputs_table(data, &entering, &months),
    ]
}

fn cost_beside(
    data: &PilotData<'_>,
    pieces: &Pieces,
    months: &Months,
    (nominal, charges): ((f64, f64), &[Charged]),
    indexes: &price::Cost,
) -> Table {
    let mut beside = Beside::new();
    let (q0, q1) = (pieces.weighted(data.pilot, &months.baseline), pieces.weighted(data.pilot, &months.reporting));
    // A charge that cannot be told leaves the cost of its period untold, too.
    let with = |nominal: f64, side: fn(&Charged) -> Option<f64>| {
        let all: Option<Vec<f64>> = charges.iter().map(side).collect();
        all.map(|all| nominal + sum(all))
    };
    let per = |cost: Option<f64>, output: f64| cost.map(|cost| cost / output).filter(|_| output > 0.0);
    let then = per(with(nominal.0, |charged| charged.baseline), q0);
    let now = per(with(nominal.1, |charged| charged.reporting), q1);
    beside.add("nominal_unit_cost", "", now, "CNY");
    beside.add("nominal_unit_cost_baseline", "", then, "CNY");
    beside.add(
        "nominal_unit_cost_change",
        "",
        then.zip(now).filter(|(then, _)| *then > 0.0).map(|(a, b)| b / a - 1.0),
        "",
    );
    for charged in charges {
        beside.add("charges_baseline", charged.kind, charged.baseline, "CNY");
        beside.add("charges", charged.kind, charged.reporting, "CNY");
    }
    beside.add("price_index_laspeyres", "", indexes.laspeyres(), "");
    beside.add("price_index_paasche", "", indexes.paasche(), "");
    beside.add("price_index_fisher", "", indexes.fisher(), "");
    beside.0
}
