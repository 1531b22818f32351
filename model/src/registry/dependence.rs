//! What figures are computed from, of a registry file: texts that are equal where no figure can tell two files apart.
//!
//! Every field of a pilot is either part of it or left out by name here, so that a new one has to be decided about.

use super::plan::Plans;
use super::{FactorOverride, Pilot, Product, Series, Stop, Workshop};

/// The parts of a pilot's file that its figures, or those of its groups, depend on. Compared within one program only: the
/// texts are no format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependence {
    /// The baseline period, the plan of its models, and what plans ask for.
    pub baseline: String,
    /// The pilot's own conversion factors.
    pub factors: String,
    /// Everything else: series and events, products, prices, tariffs, days, groups.
    pub rest: String,
}

/// What figures depend on in a pilot's file. Names, sources, reasons, topics, what a door refuses, comments and the order of
/// lines are no part of it; of an adjustment, which is a person's statement, every word is.
pub fn dependence(pilot: &Pilot) -> Dependence {
    let Pilot {
        id: _,
        name: _,
        enterprise: _,
        region,
        sector,
        class,
        zone_name,
        zone: _,
        programme,
        earliest: _,
        pieces,
        topics: _,
        baseline,
        products,
        tariffs,
        restdays,
        prices,
        indexes,
        charges: _,
        factors,
        workshops,
        stops,
        ignores: _,
        series,
        adjustments,
        plans: Plans { energy, cost_scope, defects, terms },
        changes: _,
        source: _,
        content_hash: _,
    } = pilot;
    let products: Vec<_> = products.iter().map(|Product { id, name: _, weight }| (id, weight)).collect();
    let workshops: Vec<_> = workshops.iter().map(|Workshop { id, name: _ }| id).collect();
    let stops: Vec<_> = stops.iter().map(|Stop { from, to, reason: _ }| (from, to)).collect();
    let own = |FactorOverride { carrier, value, source: _, line: _ }: &FactorOverride| (carrier.clone(), *value);
    let factors: Vec<_> = factors.iter().map(own).collect();
    let series: Vec<Series> =
        series.iter().map(|series| Series { line: 0, plausible: None, ..series.clone() }).collect();
    let places = (region, sector, class, zone_name, programme, pieces);
    let money = (tariffs, restdays, prices, indexes, cost_scope);
    Dependence {
        baseline: format!("{baseline:?} {energy:?} {terms:?}"),
        factors: format!("{factors:?}"),
        rest: format!(
            "{places:?} {money:?} {products:?} {workshops:?} {stops:?} {series:?} {defects:?} {adjustments:?}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_pilot;
    use super::*;

    const FILE: &str = "[pilot]\nid = \"p\"\nname = \"P\"\nregion = \"hami\"\nsector = \"electronics\"\nclass = \"pilot\"\n\
                        zone = \"Asia/Shanghai\"\n[baseline]\nfrom = 2015-01-01\nto = 2015-12-31\n\
                        [[factor]]\ncarrier = \"natural_gas\"\nvalue = 0.7\nsource = \"lab\"\n\
                        [[series]]\nasset = \"m\"\nname = \"e\"\nquantity = \"energy.electricity\"\nkind = \"counter\"\n";

    fn of(text: &str) -> Dependence {
        dependence(&parse_pilot("p.toml", text).unwrap_or_else(|mistakes| panic!("{mistakes:?}")))
    }

    #[test]
    fn names_comments_and_explanations_are_nothing_a_figure_depends_on() {
        for (from, to) in [
            ("name = \"P\"", "name = \"Q\"\nenterprise = \"E\"\ntopics = [\"/a/#\"]"),
            ("[[series]]", "# a comment\n\n[[series]]"),
            ("source = \"lab\"", "source = \"the other lab\""),
            ("kind = \"counter\"", "kind = \"counter\"\nplausible = [0.0, 1.0]"),
            ("[[series]]", "[plan.defect_rate]\nconfidence = 0.9\ncoverage_min = 0.8\n[[series]]"),
            ("[[series]]", "[plan.cycle_time]\nbaseline = { from = 2015-01-01, to = 2015-12-31 }\n[[series]]"),
            ("[[series]]", "[[change]]\nat = 2026-01-01\nauthor = \"A\"\nreason = \"R\"\n[[series]]"),
        ] {
            assert_eq!(of(&FILE.replace(from, to)), of(FILE), "{to}");
        }
    }

    #[test]
    fn what_a_figure_depends_on_is_told_by_its_part() {
        let parts = |to: &Dependence| {
            let from = of(FILE);
            [from.baseline != to.baseline, from.factors != to.factors, from.rest != to.rest]
        };
        for (from, to, differs) in [
            ("to = 2015-12-31", "to = 2015-11-30", [true, false, false]),
            ("[[series]]", "[plan.energy_intensity]\nbase_load_negligible = \"R\"\n[[series]]", [true, false, false]),
            ("[[series]]", "[plan.defect_rate]\nconfidence = 0.95\n[[series]]", [true, false, false]),
            ("[[series]]", "[plan.operating_cost]\nmonth_coverage_min = 0.95\n[[series]]", [true, false, false]),
            ("value = 0.7", "value = 0.71", [false, true, false]),
            ("region = \"hami\"", "region = \"kashi\"", [false, false, true]),
            ("kind = \"counter\"", "kind = \"counter\"\nmultiplier = 2", [false, false, true]),
            (
                "[[series]]",
                "[[adjustment]]\nindicator = \"energy_intensity\"\ncarrier = \"electricity\"\nfrom = 2016-01-01\n\
                 to = 2016-12-31\namount = 1\nreason = \"R\"\nauthor = \"A\"\nevidence = \"E\"\n[[series]]",
                [false, false, true],
            ),
            (
                "[[series]]",
                "[[stop]]\nfrom = 2016-01-01\nto = 2016-01-02\nreason = \"R\"\n[[series]]",
                [false, false, true],
            ),
        ] {
            assert_eq!(parts(&of(&FILE.replace(from, to))), differs, "{to}");
        }
    }
}
