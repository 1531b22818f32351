//! The plan of an indicator, term by term: everything that is fixed before the reporting period has data.
//!
//! Terms come from the pilot's registry file with its defaults, from the factor set and from the programme. Their text is
//! what a plan is told by: [`id`] is a hash of it, which every figure carries, and the evidence of a figure lists it.
//!
//! Invariants:
//! - a term that a file leaves out is listed with its default: two files that mean the same have the same plan;
//! - nothing that was measured is a term.

use std::collections::BTreeSet;
use std::fmt::Display;

use model::quantity::{OutputKind, carrier_unit};
use model::registry::plan::{CarrierPlan, Defects, Form, Sign, Term as Relevant};
use model::registry::terms::COVERAGE_MIN;
use model::registry::{PiecesFrom, Series};
use model::{Fingerprint, Indicator, Pilot, Programme, Quantity};
use seeds::factors::{Basis, Factors};
use sha2::{Digest, Sha256};

use super::cost::is_item;
use crate::statistics::Confidence;

/// What is fixed of what, and as what: codes that the pages have words for, ids, and sentences of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    pub what: &'static str,
    pub of: String,
    pub is: String,
}

/// What a figure is held to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asked {
    /// Two-sided, of the interval that the standing follows.
    pub confidence: Confidence,
    /// Less is insufficient: of the period's months, or of the output or the orders that it speaks for.
    pub coverage_min: f64,
    /// Of pilots and workshops.
    pub plan: Option<Fingerprint>,
}

/// What groups are held to: they have no plan of their own.
impl Default for Asked {
    fn default() -> Asked {
        Asked { confidence: Confidence::NINETY, coverage_min: COVERAGE_MIN, plan: None }
    }
}

impl Asked {
    /// By the plan of a pilot.
    pub fn of(place: (&Pilot, &Factors), programme: &Programme, indicator: &Indicator) -> Asked {
        let terms = place.0.terms(indicator);
        Asked {
            confidence: Confidence::new(terms.confidence).unwrap_or(Confidence::NINETY),
            coverage_min: terms.coverage_min,
            plan: Some(id(&terms_of(place, programme, indicator))),
        }
    }
}

/// The first bytes of the SHA-256 over the lines `what`, tab, `of`, tab, `is`, line feed.
pub fn id(terms: &[Term]) -> Fingerprint {
    let mut hash = Sha256::new();
    terms.iter().for_each(|term| hash.update(format!("{}\t{}\t{}\n", term.what, term.of, term.is)));
    let hash = hash.finalize();
    Fingerprint(std::array::from_fn(|index| hash[index]))
}

/// The plan of an indicator of a pilot; its workshops are under the same.
pub fn terms_of((pilot, factors): (&Pilot, &Factors), programme: &Programme, indicator: &Indicator) -> Vec<Term> {
    let mut list = List::default();
    let terms = pilot.terms(indicator);
    list.add("indicator", "", indicator);
    list.add("baseline_period", "", format!("{} – {}", terms.baseline.from, terms.baseline.to));
    list.add("zone", "", &pilot.zone_name);
    list.add("confidence", "", terms.confidence);
    list.add("coverage_min", "", terms.coverage_min);
    match indicator {
        Indicator::EnergyIntensity => list.energy((pilot, factors), Basis::Calorific),
        Indicator::EnergyIntensityEquivalent => list.energy((pilot, factors), Basis::Equivalent),
        Indicator::OperatingCost => list.cost(pilot),
        Indicator::PollutantIntensity(_) => list.add("estimator", "", "ratio_to_output"),
        Indicator::DefectRate => list.defects(pilot),
        Indicator::ProductionCycle => {
            list.add("cohort", "", "by_start");
            list.by_product("hodges_lehmann_or_restricted_means");
        }
        Indicator::CycleTime => list.by_product("hodges_lehmann"),
    }
    match indicator {
        Indicator::EnergyIntensity
        | Indicator::EnergyIntensityEquivalent
        | Indicator::OperatingCost
        | Indicator::PollutantIntensity(_) => {
            list.add("month_coverage_min", "", terms.month_coverage_min);
            list.output(pilot);
        }
        Indicator::DefectRate | Indicator::ProductionCycle | Indicator::CycleTime => {}
    }
    list.targets(programme, indicator);
    list.0
}

#[derive(Default)]
struct List(Vec<Term>);

impl List {
    fn add(&mut self, what: &'static str, of: impl Display, is: impl Display) {
        self.0.push(Term { what, of: of.to_string(), is: is.to_string() });
    }

    fn energy(&mut self, (pilot, factors): (&Pilot, &Factors), basis: Basis) {
        self.add("basis", "", if basis == Basis::Calorific { "calorific" } else { "equivalent" });
        self.add("factors", "", &factors.edition);
        let carrier_of = |series: &Series| {
            if let Quantity::Energy(carrier) = &series.quantity { Some(carrier.clone()) } else { None }
        };
        let carriers: BTreeSet<_> = pilot.series.iter().filter_map(carrier_of).collect();
        for carrier in &carriers {
            if let Some(factor) = factors.at(pilot, carrier, basis) {
                self.add("factor", carrier, format!("{factor} kgce/{}", carrier_unit(carrier)));
            }
            self.carrier(pilot, carrier, pilot.plans.energy.of(carrier));
        }
    }

    fn carrier(&mut self, pilot: &Pilot, carrier: &str, plan: &CarrierPlan) {
        match &plan.form {
            Form::Ratio => {
                self.add("model", carrier, "ratio_to_output");
                if let Some(reason) = &plan.base_load_negligible {
                    self.add("base_load_negligible", carrier, reason);
                }
            }
            Form::Regression(variables) => {
                self.add("model", carrier, "regression");
                self.variables(carrier, variables);
            }
            Form::DegreeDays(plan) => {
                self.add("model", carrier, "degree_days");
                if let Some(series) = pilot.series.get(plan.temperature) {
                    self.add("temperature_series", carrier, format!("{}/{}", series.asset, series.name));
                }
                self.add("may_cool", carrier, if plan.cooling { "yes" } else { "no" });
                self.variables(carrier, &plan.terms);
            }
        }
    }

    fn variables(&mut self, carrier: &str, variables: &[Relevant]) {
        for Relevant { variable, sign } in variables {
            let sign = match sign {
                Sign::Positive => "positive",
                Sign::Negative => "negative",
                Sign::NotStated => "not_stated",
            };
            self.add("sign_of_coefficient", format!("{carrier}: {variable}"), sign);
        }
    }

    fn cost(&mut self, pilot: &Pilot) {
        self.add("estimator", "", "ratio_to_output");
        self.add("price_base", "", "baseline_prices");
        let items: BTreeSet<String> = match &pilot.plans.cost_scope {
            Some(scope) => scope.iter().cloned().collect(),
            None => {
                self.add("scope", "", "every_item");
                let items = pilot.series.iter().map(|series| &series.quantity);
                items.filter(|quantity| is_item(pilot, quantity)).map(Quantity::to_string).collect()
            }
        };
        for item in &items {
            let deflated = |category: &str| pilot.indexes.iter().any(|index| &*index.category == category);
            let how = match item.strip_prefix("cost.") {
                None => "at_baseline_price",
                Some(category) if deflated(category) => "deflated",
                Some(_) => "nominal",
            };
            self.add("item", item, how);
        }
    }

    fn defects(&mut self, pilot: &Pilot) {
        let counted = |series: &Series| {
            series.quantity == Quantity::Output(OutputKind::Defective)
                && series.stage.is_none()
                && series.part_of.is_none()
        };
        let defects = match pilot.plans.defects {
            Defects::Scrap => "scrap_alone",
            Defects::Defective if pilot.pieces == PiecesFrom::Orders || pilot.series.iter().any(counted) => {
                "as_counted"
            }
            Defects::Defective => "rework_and_scrap",
        };
        self.add("defects", "", defects);
        self.add("pieces_from", "", pieces_from(pilot));
        self.by_product("standardised_rates");
    }

    fn by_product(&mut self, estimator: &'static str) {
        self.add("strata", "", "by_product");
        self.add("estimator", "", estimator);
    }

    fn output(&mut self, pilot: &Pilot) {
        self.add("unit_of_output", "", "weighted_good_pieces");
        self.add("pieces_from", "", pieces_from(pilot));
        for product in &pilot.products {
            match product.weight {
                Some(weight) => self.add("weight", &product.id, weight),
                None => self.add("weight", &product.id, "assumed_one"),
            }
        }
    }

    fn targets(&mut self, programme: &Programme, indicator: &Indicator) {
        let reading = |reading| match reading {
            model::programme::TargetReading::Cumulative => "cumulative",
            model::programme::TargetReading::AnnualPace => "annual_pace",
        };
        for target in programme.targets.iter().filter(|target| target.indicator == *indicator) {
            self.add("target", target.due, target.reduction);
            self.add("target_reading", target.due, reading(target.reading));
            self.add("target_clause", target.due, &target.clause);
        }
    }
}

fn pieces_from(pilot: &Pilot) -> &'static str {
    match pilot.pieces {
        PiecesFrom::Series => "from_series",
        PiecesFrom::Orders => "from_orders",
    }
}
