//! Standardised output: good pieces of each product by month, and what they weigh.
//!
//! Pieces come from `output.*` series at final inspection, or from completed orders (`[pilot] pieces`). Defective pieces
//! are those of `output.defective`; without such a series, rework and scrap together; scrap alone if the plan says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::period::MonthNo;
use model::quantity::OutputKind;
use model::registry::plan::Defects;
use model::registry::{PiecesFrom, Series};
use model::{Pilot, Quantity};

use super::data::{Measured, Part};
use crate::orders::NO_PRODUCT;
use crate::sum::{Sum, sum};

/// Pieces by product and month of the axis.
pub type ByProduct = BTreeMap<Arc<str>, Vec<Sum>>;

/// The pieces of a part of a pilot.
#[derive(Debug, Clone, Default)]
pub struct Pieces {
    pub good: ByProduct,
    pub defective: ByProduct,
    /// Registered series of good pieces, for the coverage of months.
    pub good_series: Vec<usize>,
    pub defective_series: Vec<usize>,
    /// Whether anything counts defective pieces.
    pub inspection: Inspection,
}

/// Whether defective pieces are counted at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Inspection {
    #[default]
    NotCounted,
    Counted,
}

impl Pieces {
    /// The pieces of a part of the pilot.
    pub fn of(data: &Measured<'_>, part: Part<'_>) -> Pieces {
        match (data.pilot.pieces, part) {
            (PiecesFrom::Orders, Part::Whole) => from_orders(data),
            (PiecesFrom::Series | PiecesFrom::Orders, Part::Whole | Part::Workshop(_)) => from_series(data, part),
        }
    }

    /// Standardised output of some months: Σ weight × good pieces.
    pub fn weighted(&self, pilot: &Pilot, months: &[usize]) -> f64 {
        sum(self.good.iter().map(|(product, pieces)| weight(pilot, product).unwrap_or(1.0) * over(pieces, months)))
    }

    /// Good pieces of one product.
    pub fn good_of(&self, product: &Arc<str>, months: &[usize]) -> f64 {
        self.good.get(product).map_or(0.0, |pieces| over(pieces, months))
    }

    /// Good pieces of all products, each counting 1.
    pub fn total(&self, months: &[usize]) -> f64 {
        sum(self.good.values().map(|pieces| over(pieces, months)))
    }

    /// The products of which good pieces were made in some months.
    pub fn made(&self, months: &[usize]) -> BTreeSet<Arc<str>> {
        let made = self.good.iter().filter(|(_, pieces)| over(pieces, months) > 0.0);
        made.map(|(product, _)| product.clone()).collect()
    }
}

/// The declared weight of a product.
pub fn weight(pilot: &Pilot, product: &str) -> Option<f64> {
    pilot.products.iter().find(|declared| &*declared.id == product).and_then(|declared| declared.weight)
}

/// The sum over some months of the axis.
pub fn over(by_month: &[Sum], months: &[usize]) -> f64 {
    sum(months.iter().filter_map(|&month| by_month.get(month)).map(|sum| sum.total()))
}

fn from_series(data: &Measured<'_>, part: Part<'_>) -> Pieces {
    let of = |kind: OutputKind| {
        let wanted = |series: &Series| series.quantity == Quantity::Output(kind) && series.stage.is_none();
        data.entering(part, wanted)
    };
    let good = of(OutputKind::Good);
    let defective = match (data.pilot.plans.defects, of(OutputKind::Defective)) {
        (Defects::Scrap, _) => of(OutputKind::Scrap),
        (Defects::Defective, none) if none.is_empty() => [of(OutputKind::Rework), of(OutputKind::Scrap)].concat(),
        (Defects::Defective, counted) => counted,
    };
    // A plant that never sent a defective piece counts none; one that once did is silent when there are none.
    let counted = defective.iter().any(|&series| data.declared[series].months().any(|(_, sum)| sum.n > 0));
    Pieces {
        good: add_up(data, &good),
        defective: add_up(data, &defective),
        good_series: good,
        defective_series: defective,
        inspection: if counted { Inspection::Counted } else { Inspection::NotCounted },
    }
}

fn add_up(data: &Measured<'_>, series: &[usize]) -> ByProduct {
    let mut by_product = ByProduct::new();
    for &index in series {
        let declared = &data.declared[index];
        for (product, sum) in declared.months() {
            let amount = declared.spec.amount(sum.value).unwrap_or(0.0);
            add(&mut by_product, data, (product, sum.month), amount);
        }
    }
    by_product
}

fn add(to: &mut ByProduct, data: &Measured<'_>, (product, month): (Option<&Arc<str>>, MonthNo), pieces: f64) {
    let Some(index) = data.axis.index(month) else { return };
    let product = product.cloned().unwrap_or_else(|| NO_PRODUCT.into());
    to.entry(product).or_insert_with(|| vec![Sum::default(); data.axis.n])[index].add(pieces);
}

fn from_orders(data: &Measured<'_>) -> Pieces {
    let mut pieces = Pieces { inspection: Inspection::Counted, ..Pieces::default() };
    for of_order in &data.orders.pieces {
        let at = (Some(&of_order.product), MonthNo::containing(of_order.at, &data.calendar.zone));
        add(&mut pieces.good, data, at, of_order.good);
        add(&mut pieces.defective, data, at, of_order.defective);
    }
    pieces
}
