//! `[plan.<indicator>]`: how an indicator is made from readings, fixed before the reporting period has any.
//!
//! A plan says in which form energy depends on what (`[plan.energy_intensity]`, and by carrier in
//! `[plan.energy_intensity.carriers]`), which items operating cost is made of (`[plan.operating_cost]`), and which pieces
//! are defective (`[plan.defect_rate]`). Without one, energy is a ratio to standardised output, cost takes every item the
//! file declares, and defective is what is counted as such. What all plans may state is in [`super::terms`].
//!
//! Invariants:
//! - every variable of a plan that was read exists: as output, as a product, or as a series of the file;
//! - a base load is declared negligible with a reason, never by silence.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::raw::{RawCarrierPlan, RawDefects, RawEnergyPlan, RawModel, RawPlan, RawSign};
use super::terms::{StatedTerms, stated};
use super::{DayRange, PiecesFrom, Product, Series};
use crate::document::{Document, Item, Items};
use crate::quantity::OutputKind;
use crate::{Dimension, Kind, Quantity};

/// `[plan]`: what is fixed beforehand, by indicator.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plans {
    pub energy: EnergyPlan,
    /// `[plan.operating_cost] scope`; none = every item the registry declares.
    pub cost_scope: Option<Vec<String>>,
    pub defects: Defects,
    pub(super) terms: StatedTerms,
}

/// `[plan.defect_rate] defects`: which pieces are defective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Defects {
    /// Those of `output.defective`; where no series counts them, rework and scrap together.
    #[default]
    Defective,
    /// Those of `output.scrap` alone: what was mended is good.
    Scrap,
}

/// `[plan.energy_intensity]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EnergyPlan {
    /// For carriers without an entry of their own.
    pub default: CarrierPlan,
    pub carriers: BTreeMap<Arc<str>, CarrierPlan>,
}

impl EnergyPlan {
    /// The plan of a carrier.
    pub fn of(&self, carrier: &str) -> &CarrierPlan {
        self.carriers.get(carrier).unwrap_or(&self.default)
    }

    /// Whether any carrier is modelled by more than a ratio.
    pub fn has_models(&self) -> bool {
        std::iter::once(&self.default).chain(self.carriers.values()).any(|plan| plan.form != Form::Ratio)
    }
}

/// The plan of one carrier.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CarrierPlan {
    pub form: Form,
    /// Why the part of the use that does not depend on output is close to zero; none = not declared.
    pub base_load_negligible: Option<String>,
}

/// How the use of a carrier depends on what varies.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Form {
    /// In proportion to standardised output.
    #[default]
    Ratio,
    /// A constant a month and so much per unit of each variable.
    Regression(Vec<Term>),
    /// Degree days at the balance points that fit best, and so much per unit of each further variable.
    DegreeDays(DegreeDays),
}

/// `model = "degree_days"`.
#[derive(Debug, Clone, PartialEq)]
pub struct DegreeDays {
    /// Index in the pilot's series of the outdoor temperature.
    pub temperature: usize,
    /// Whether the carrier may serve cooling; heating fuels may not.
    pub cooling: bool,
    pub terms: Vec<Term>,
}

/// A relevant variable, and the sign that its coefficient must have.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    pub variable: Relevant,
    pub sign: Sign,
}

/// What varies routinely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relevant {
    /// Standardised output.
    Output,
    /// Good pieces of one product.
    OutputOf(Arc<str>),
    /// Index in the pilot's series: the amount of a month, of a gauge its mean.
    Series { index: usize, name: String },
}

impl fmt::Display for Relevant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Relevant::Output => f.write_str(OUTPUT),
            Relevant::OutputOf(product) => write!(f, "{OUTPUT}:{product}"),
            Relevant::Series { name, .. } => f.write_str(name),
        }
    }
}

/// The sign that a plan states for a coefficient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    Positive,
    Negative,
    NotStated,
}

const OUTPUT: &str = "output";
/// More variables than a dozen months can carry.
const VARIABLES_MAX: usize = 8;

/// What a plan may name, and what it departs from.
pub(super) struct Around<'a> {
    pub(super) products: &'a [Product],
    pub(super) series: &'a Items<Series>,
    /// What `[pilot]` says; none where it says nothing.
    pub(super) pieces: Option<PiecesFrom>,
    pub(super) baseline: Option<DayRange>,
}

pub(super) fn plans(doc: &mut Document<'_>, item: &Item<RawPlan>, around: &Around<'_>) -> Plans {
    let energy = item.value.energy_intensity.as_ref();
    Plans {
        energy: energy.map_or_else(EnergyPlan::default, |raw| energy_plan(doc, item, raw, around)),
        cost_scope: cost_scope(doc, item),
        defects: defects(doc, item, around),
        terms: stated(doc, item, around.baseline),
    }
}

fn defects(doc: &mut Document<'_>, item: &Item<RawPlan>, around: &Around<'_>) -> Defects {
    let line = item.line_of("defect_rate.defects");
    match item.value.defect_rate.as_ref().and_then(|plan| plan.defects) {
        None | Some(RawDefects::Defective) => Defects::Defective,
        Some(RawDefects::Scrap) => {
            let scrap = Quantity::Output(OutputKind::Scrap);
            let counted = around.series.items.iter().any(|item| item.value.quantity == scrap);
            if around.pieces == Some(PiecesFrom::Orders) {
                doc.mistake(
                    line,
                    "`defects = \"scrap\"` needs `pieces = \"series\"`: orders do not tell scrap from rework",
                );
            } else if !counted && around.series.whole {
                doc.mistake(line, "`defects = \"scrap\"`: no series of this file has quantity `output.scrap`");
            }
            Defects::Scrap
        }
    }
}

fn cost_scope(doc: &mut Document<'_>, item: &Item<RawPlan>) -> Option<Vec<String>> {
    let line = |i: usize| item.line_of(&format!("operating_cost.scope.{i}"));
    let scope = item.value.operating_cost.as_ref()?.scope.as_ref()?;
    for (i, entry) in scope.iter().enumerate() {
        let cost = matches!(Quantity::parse(entry), Some(Quantity::Energy(_) | Quantity::Cost(_)));
        if !cost {
            let text = format!("`{entry}` is no item of operating cost; write `energy.<carrier>` or `cost.<category>`");
            doc.mistake(line(i), text);
        } else if scope[..i].contains(entry) {
            doc.mistake(line(i), format!("`{entry}` stands twice in the scope of operating cost"));
        }
    }
    if scope.is_empty() {
        let text = "the scope of operating cost is empty; leave `scope` out to take every declared item";
        doc.mistake(item.line_of("operating_cost.scope"), text);
    }
    Some(scope.clone())
}

fn energy_plan(doc: &mut Document<'_>, item: &Item<RawPlan>, raw: &RawEnergyPlan, around: &Around<'_>) -> EnergyPlan {
    let place = "energy_intensity".to_owned();
    let default = Reader { item, around, place, carrier: None }.plan(doc, &raw.of_all());
    let mut carriers = BTreeMap::new();
    for (carrier, raw) in &raw.carriers {
        let place = format!("energy_intensity.carriers.{carrier}");
        let quantity = Quantity::parse(&format!("energy.{carrier}"));
        let declared = around.series.items.iter().any(|item| Some(&item.value.quantity) == quantity.as_ref());
        if !declared && around.series.whole {
            let text =
                format!("no series of this file has quantity `energy.{carrier}`; drop its plan or add the series");
            doc.mistake(item.line_of(&place), text);
        }
        let reader = Reader { item, around, place, carrier: Some(carrier) };
        carriers.insert(Arc::from(carrier.as_str()), reader.plan(doc, raw));
    }
    EnergyPlan { default, carriers }
}

/// One table of a plan being read.
struct Reader<'a> {
    item: &'a Item<RawPlan>,
    around: &'a Around<'a>,
    place: String,
    carrier: Option<&'a String>,
}

impl Reader<'_> {
    fn line_of(&self, key: &str) -> usize {
        let lines = [format!("{}.{key}", self.place), self.place.clone()].map(|key| self.item.line_of(&key));
        if lines[0] == self.item.line { lines[1] } else { lines[0] }
    }

    fn plan(&self, doc: &mut Document<'_>, raw: &RawCarrierPlan) -> CarrierPlan {
        let form = self.form(doc, raw);
        if raw.base_load_negligible.as_deref().is_some_and(|reason| reason.trim().is_empty()) {
            let text = "`base_load_negligible` is the reason why there is next to no base load, in a sentence";
            doc.mistake(self.line_of("base_load_negligible"), text);
        }
        if raw.base_load_negligible.is_some() && form != Form::Ratio {
            let text = "`base_load_negligible` is for `model = \"ratio\"`: the other models fit the base load";
            doc.mistake(self.line_of("base_load_negligible"), text);
        }
        CarrierPlan { form, base_load_negligible: raw.base_load_negligible.clone() }
    }

    fn form(&self, doc: &mut Document<'_>, raw: &RawCarrierPlan) -> Form {
        let terms = self.terms(doc, raw);
        let model = raw.model.unwrap_or(RawModel::Ratio);
        if model != RawModel::DegreeDays {
            for key in [("temperature", raw.temperature.is_some()), ("cooling", raw.cooling.is_some())] {
                if key.1 {
                    doc.mistake(self.line_of(key.0), format!("`{}` is for `model = \"degree_days\"` only", key.0));
                }
            }
        }
        match model {
            RawModel::Ratio => {
                if !raw.variables.is_empty() {
                    let text =
                        "`variables` are for `model = \"regression\"` and `\"degree_days\"`; a ratio is to output";
                    doc.mistake(self.line_of("variables"), text);
                }
                Form::Ratio
            }
            RawModel::Regression => {
                if raw.variables.is_empty() {
                    let text = "`model = \"regression\"` needs `variables`, such as `variables = [\"output\"]`";
                    doc.mistake(self.line_of("model"), text);
                }
                Form::Regression(terms)
            }
            RawModel::DegreeDays => self.degree_days(doc, raw, terms).map_or(Form::Ratio, Form::DegreeDays),
        }
    }

    fn degree_days(&self, doc: &mut Document<'_>, raw: &RawCarrierPlan, terms: Vec<Term>) -> Option<DegreeDays> {
        let Some(path) = &raw.temperature else {
            let text =
                "`model = \"degree_days\"` needs `temperature = \"asset/name\"`, the outdoor temperature's series";
            doc.mistake(self.line_of("model"), text);
            return None;
        };
        let Some(cooling) = raw.cooling else {
            let carrier = self.carrier.map_or("the carrier", String::as_str);
            let text = format!(
                "`model = \"degree_days\"` needs `cooling = true | false`: whether {carrier} may serve cooling"
            );
            doc.mistake(self.line_of("model"), text);
            return None;
        };
        let is_it = |series: &Series| format!("{}/{}", series.asset, series.name) == *path;
        let found = self.around.series.items.iter().position(|item| is_it(&item.value));
        let Some(index) = found else {
            if self.around.series.whole {
                let text =
                    format!("`temperature = \"{path}\"` names no series; it is the asset, `/` and the name of one");
                doc.mistake(self.line_of("temperature"), text);
            }
            return None;
        };
        let series = &self.around.series.items[index].value;
        if series.kind != Kind::Gauge || series.unit.dimension() != Dimension::Temperature {
            let text = format!("`{path}` is no temperature: it needs kind `gauge` and unit `°C`");
            doc.mistake(self.line_of("temperature"), text);
            return None;
        }
        Some(DegreeDays { temperature: index, cooling, terms })
    }

    fn terms(&self, doc: &mut Document<'_>, raw: &RawCarrierPlan) -> Vec<Term> {
        let mut terms: Vec<Term> = Vec::new();
        for (i, name) in raw.variables.iter().enumerate() {
            let line = self.line_of(&format!("variables.{i}"));
            let Some(variable) = self.relevant(doc, line, name) else { continue };
            if terms.iter().any(|term| term.variable == variable) {
                doc.mistake(line, format!("`{name}` stands twice in the variables"));
            }
            let of_output = matches!(variable, Relevant::Output | Relevant::OutputOf(_));
            let sign = match raw.signs.get(name) {
                Some(RawSign::Positive) => Sign::Positive,
                Some(RawSign::Negative) => Sign::Negative,
                None if of_output => Sign::Positive,
                None => Sign::NotStated,
            };
            terms.push(Term { variable, sign });
        }
        if raw.variables.len() > VARIABLES_MAX {
            let text = format!("{} variables; a year of months carries at most {VARIABLES_MAX}", raw.variables.len());
            doc.mistake(self.line_of("variables"), text);
        }
        for name in raw.signs.keys().filter(|name| !raw.variables.contains(name)) {
            doc.mistake(self.line_of("signs"), format!("`signs` names `{name}`, which is none of the `variables`"));
        }
        terms
    }

    /// `output`, `output:PRODUCT`, or the quantity `variable.NAME` or `value.added` of one series.
    fn relevant(&self, doc: &mut Document<'_>, line: usize, name: &str) -> Option<Relevant> {
        if name == OUTPUT {
            return Some(Relevant::Output);
        }
        if let Some(product) = name.strip_prefix("output:") {
            let known = self.around.products.is_empty() || self.around.products.iter().any(|p| &*p.id == product);
            if !known {
                doc.mistake(line, format!("product `{product}` is no `[[product]]` of this file"));
            }
            return Some(Relevant::OutputOf(product.into()));
        }
        let quantity = Quantity::parse(name).filter(|q| matches!(q, Quantity::Variable(_) | Quantity::ValueAdded));
        let Some(quantity) = quantity else {
            let text =
                format!("`{name}` is no variable; write `output`, `output:PRODUCT`, `variable.NAME` or `value.added`");
            doc.mistake(line, text);
            return None;
        };
        let of_it = |(index, item): (usize, &Item<Series>)| (item.value.quantity == quantity).then_some(index);
        let found: Vec<usize> = self.around.series.items.iter().enumerate().filter_map(of_it).collect();
        match found[..] {
            [index] => Some(Relevant::Series { index, name: name.to_owned() }),
            [] if !self.around.series.whole => None,
            _ => {
                let text = format!("{} series have quantity `{name}`; a variable is one series", found.len());
                doc.mistake(line, text);
                None
            }
        }
    }
}
