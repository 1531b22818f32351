//! Conversion factors to standard coal (kgce), versioned data with validity and source.
//!
//! The built-in set is `factors/gb-t-2589-2020.toml`. Baseline and reporting period use one set, so nothing here is asked
//! for a date: the dates in the file are for the reader.
//!
//! Invariants:
//! - a factor is per canonical unit of its carrier;
//! - where the standard gives a range there is no value: the pilot's registry says it;
//! - a value outside its plausible range does not load.

use std::collections::BTreeMap;

use model::document::{Day, Document, Item, Name, Section};
use model::programme::Label;
use model::quantity::PerUnit;
use model::registry::Mistake;
use model::{Pilot, Quantity};
use serde::Deserialize;

const BUILTIN: &str = include_str!("../factors/gb-t-2589-2020.toml");
/// One kgce in kJ: 7000 kcal of 4.1868 kJ.
const KJ_PER_KGCE: f64 = 29_307.6;
/// How far a printed coefficient may lie from its heating value: half a digit of the fourth place, and rounding of both.
const ROUNDING: f64 = 1e-4;

/// How electricity is converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// 0.1229 kgce/kWh.
    Calorific,
    /// The previous year's average coal rate of thermal generation.
    Equivalent,
}

/// One carrier's factor, per canonical unit of the carrier.
#[derive(Debug, Clone, PartialEq)]
pub enum Factor {
    Value(f64),
    /// The standard gives a range: the registry must say the value.
    Range {
        lower: f64,
        upper: f64,
    },
}

/// How well a coefficient is attested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// As commonly quoted from the standard.
    Quoted,
    /// Also found in published calculation code.
    Seen,
}

/// A row of the table, for pages and exports.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub carrier: String,
    /// None: the carrier has one factor whatever the basis of electricity.
    pub basis: Option<Basis>,
    pub name: Label,
    pub factor: Factor,
    /// What a pilot's own value must lie in, per canonical unit.
    pub plausible: [f64; 2],
    pub evidence: Evidence,
    pub source: String,
    pub note: Option<String>,
}

/// The factor set in force; one set for both periods.
#[derive(Debug, Clone)]
pub struct Factors {
    pub edition: String,
    rows: BTreeMap<(String, Option<Basis>), Row>,
}

impl Factors {
    /// The built-in set.
    ///
    /// # Panics
    /// Never: a test loads it.
    pub fn builtin() -> Factors {
        // Safe because a test loads this very text.
        Factors::parse("factors/gb-t-2589-2020.toml", BUILTIN).expect("the built-in factors have no mistakes")
    }

    /// Reads a factor file.
    ///
    /// # Errors
    /// All mistakes, with file and line.
    pub fn parse(file: &str, text: &str) -> Result<Factors, Vec<Mistake>> {
        let mut doc = Document::parse(file, text)?;
        let set = doc.needed::<RawSet>("set");
        let source = set.as_ref().map_or("", |set| set.value.source.as_str());
        let mut rows = BTreeMap::new();
        for item in doc.many::<RawFactor>("factor").items {
            let Some(row) = row(&mut doc, &item, source) else { continue };
            let key = (row.carrier.clone(), row.basis);
            if rows.insert(key, row).is_some() {
                doc.mistake(item.line, format!("carrier `{}` stands twice on this basis", item.value.carrier));
            }
        }
        let mistakes = doc.into_mistakes();
        match set {
            Some(set) if mistakes.is_empty() => Ok(Factors { edition: set.value.edition, rows }),
            Some(_) | None => Err(mistakes),
        }
    }

    /// kgce per canonical unit of the carrier; none if the carrier is unknown.
    pub fn of(&self, carrier: &str, basis: Basis) -> Option<Factor> {
        self.row(carrier, basis).map(|row| row.factor.clone())
    }

    /// kgce per canonical unit of the carrier at this pilot: its own `[[factor]]`, else the table's value. None if the
    /// carrier is unknown or has a range and the pilot says nothing.
    ///
    /// The calorific factor of electricity is a constant of the method; a pilot's own one is its equivalent factor.
    pub fn at(&self, pilot: &Pilot, carrier: &str, basis: Basis) -> Option<f64> {
        let fixed = carrier == "electricity" && basis == Basis::Calorific;
        let own = pilot.factors.iter().find(|factor| !fixed && &*factor.carrier == carrier);
        match (own, self.of(carrier, basis)) {
            (Some(own), _) => Some(own.value),
            (None, Some(Factor::Value(value))) => Some(value),
            (None, Some(Factor::Range { .. }) | None) => None,
        }
    }

    /// All carriers, in order of their ids.
    pub fn carriers(&self) -> impl Iterator<Item = &str> {
        let mut last = "";
        self.rows.keys().map(|(carrier, _)| carrier.as_str()).filter(move |carrier| {
            let new = *carrier != last;
            last = carrier;
            new
        })
    }

    /// All rows, in order of their carriers.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// Mistakes of a pilot's file that need the table: a carrier without a factor, or a factor that cannot be.
    pub fn check(&self, pilot: &Pilot) -> Vec<Mistake> {
        let mistake = |line: usize, text: String| Mistake { file: pilot.source.file.clone(), line, text };
        let own = self.check_own(pilot).into_iter();
        let mut mistakes: Vec<Mistake> = own.map(|(line, text)| mistake(line, text)).collect();
        let mut seen: Vec<&str> = Vec::new();
        for series in &pilot.series {
            let Quantity::Energy(carrier) = &series.quantity else { continue };
            if seen.contains(&&**carrier) || pilot.factors.iter().any(|own| own.carrier == *carrier) {
                continue;
            }
            seen.push(carrier);
            let text = match self.of(carrier, Basis::Calorific) {
                Some(Factor::Value(_)) => continue,
                Some(Factor::Range { lower, upper }) => format!(
                    "carrier `{carrier}` has a range of factors in {}, {lower} to {upper} kgce/{unit}: \
                     say the plant's in `[[factor]] carrier, value, source`",
                    self.edition,
                    unit = model::quantity::carrier_unit(carrier)
                ),
                None => format!(
                    "carrier `{carrier}` has no factor in {}: say it in `[[factor]] carrier, value, source`, or use one of {}",
                    self.edition,
                    self.carriers().collect::<Vec<_>>().join(", ")
                ),
            };
            mistakes.push(mistake(series.line, text));
        }
        mistakes
    }

    fn check_own(&self, pilot: &Pilot) -> Vec<(usize, String)> {
        let mut texts = Vec::new();
        for own in &pilot.factors {
            let Some(row) = self.row(&own.carrier, Basis::Equivalent) else { continue };
            let [lower, upper] = row.plausible;
            if own.value < lower || own.value > upper {
                let unit = model::quantity::carrier_unit(&own.carrier);
                let text = format!(
                    "factor {} kgce/{unit} of `{}` is not plausible: {lower} to {upper}; check its unit",
                    own.value, own.carrier
                );
                texts.push((own.line, text));
            }
        }
        texts
    }

    fn row(&self, carrier: &str, basis: Basis) -> Option<&Row> {
        let key = (carrier.to_owned(), Some(basis));
        self.rows.get(&key).or_else(|| self.rows.get(&(key.0, None)))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSet {
    #[serde(rename = "id")]
    _id: String,
    edition: String,
    #[serde(rename = "name")]
    _name: Name,
    #[serde(rename = "from")]
    _from: Day,
    source: String,
}

impl Section for RawSet {
    const REQUIRED: &'static [&'static str] = &["id", "edition", "name", "from", "source"];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFactor {
    carrier: String,
    basis: Option<Basis>,
    name: Name,
    /// kJ per unit of the row.
    heating_value: Option<f64>,
    heating_value_range: Option<[f64; 2]>,
    value: Option<f64>,
    range: Option<[f64; 2]>,
    unit: String,
    #[serde(rename = "from")]
    _from: Option<Day>,
    plausible: Option<[f64; 2]>,
    evidence: Evidence,
    source: Option<String>,
    note: Option<String>,
}

impl Section for RawFactor {
    const REQUIRED: &'static [&'static str] = &["carrier", "name", "unit", "evidence"];
}

fn row(doc: &mut Document<'_>, item: &Item<RawFactor>, source: &str) -> Option<Row> {
    let raw = &item.value;
    let per = match PerUnit::parse(&raw.carrier, Some(&raw.unit), &["kgce"]) {
        Ok(per) => per,
        Err(mistake) => {
            doc.mistake(item.line_of("unit"), mistake);
            return None;
        }
    };
    let [lower, upper] = match (raw.value, raw.range) {
        (Some(value), None) => [value, value],
        (None, Some(range)) if range[0] < range[1] => range,
        (None, Some(_)) => {
            doc.mistake(item.line_of("range"), "`range` needs two numbers, the lower one first");
            return None;
        }
        (Some(_), Some(_)) | (None, None) => {
            doc.mistake(item.line, format!("carrier `{}` needs either `value` or `range`", raw.carrier));
            return None;
        }
    };
    // Without a range of its own a carrier's value may be half or twice the table's: a wrong unit is far outside.
    let plausible = raw.plausible.unwrap_or([lower / 2.0, upper * 2.0]);
    if !(lower > 0.0 && lower >= plausible[0] && upper <= plausible[1]) {
        let text =
            format!("factor of `{}` is outside of {} to {} {}", raw.carrier, plausible[0], plausible[1], raw.unit);
        doc.mistake(item.line, text);
        return None;
    }
    check_heating_value(doc, item, [lower, upper]);
    let (lower, upper) = (per.canonical(lower), per.canonical(upper));
    Some(Row {
        carrier: raw.carrier.clone(),
        basis: raw.basis,
        name: raw.name.0.clone(),
        factor: if raw.range.is_some() { Factor::Range { lower, upper } } else { Factor::Value(lower) },
        plausible: plausible.map(|bound| per.canonical(bound)),
        evidence: raw.evidence,
        source: raw.source.clone().unwrap_or_else(|| source.to_owned()),
        note: raw.note.clone(),
    })
}

/// A coefficient is its heating value over that of one kgce: two numbers that check each other.
fn check_heating_value(doc: &mut Document<'_>, item: &Item<RawFactor>, coefficients: [f64; 2]) {
    let declared = item.value.heating_value.map(|value| [value, value]).or(item.value.heating_value_range);
    let Some(heating_values) = declared else { return };
    for (heating_value, coefficient) in heating_values.into_iter().zip(coefficients) {
        let expected = heating_value / KJ_PER_KGCE;
        if (expected - coefficient).abs() > ROUNDING {
            let text =
                format!("factor {coefficient} is not {heating_value} kJ over {KJ_PER_KGCE} kJ/kgce = {expected:.4}");
            doc.mistake(item.line, text);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use model::registry::parse_pilot;

    use super::*;

    fn pilot(more: &str) -> Pilot {
        let text = format!(
            "[pilot]\nid = \"p\"\nname = \"P\"\nregion = \"hami\"\nsector = \"electronics\"\nclass = \"pilot\"\n\
             zone = \"Asia/Shanghai\"\n[baseline]\nfrom = 2015-01-01\nto = 2015-12-31\n{more}"
        );
        parse_pilot("p.toml", &text).unwrap()
    }

    fn series(carrier: &str) -> String {
        format!(
            "[[series]]\nasset = \"{carrier}\"\nname = \"e\"\nquantity = \"energy.{carrier}\"\nkind = \"counter\"\n"
        )
    }

    fn checked(pilot: &Pilot) -> String {
        let mistakes = Factors::builtin().check(pilot);
        mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_table_is_that_of_the_standard() {
        let factors = Factors::builtin();
        let value = |carrier: &str| factors.of(carrier, Basis::Calorific);
        assert_eq!(value("electricity"), Some(Factor::Value(0.1229)));
        assert_eq!(factors.of("electricity", Basis::Equivalent), Some(Factor::Value(0.3)));
        assert_eq!(value("raw_coal"), Some(Factor::Value(0.7143)));
        assert_eq!(value("diesel"), factors.of("diesel", Basis::Equivalent));
        assert_eq!(value("heat"), Some(Factor::Value(0.03412)));
        assert_eq!(value("steam"), Some(Factor::Value(0.1286)));
        assert_eq!(value("fresh_water"), Some(Factor::Value(0.000_257_1)));
        assert_eq!(value("natural_gas"), Some(Factor::Range { lower: 1.1, upper: 1.33 }));
        assert_eq!(value("phlogiston"), None);
        assert_eq!(factors.carriers().count(), 41);
    }

    #[test]
    fn every_carrier_of_the_table_has_the_unit_of_its_factor() {
        let factors = Factors::builtin();
        for carrier in factors.carriers() {
            let quantity = Quantity::parse(&format!("energy.{carrier}")).unwrap();
            assert!(quantity.canonical_unit().is_some(), "{carrier}");
        }
        // The file's own unit is of the carrier's dimension, or it would not have loaded; these pin the choice itself.
        for (carrier, unit) in
            [("oxygen", "m3"), ("lng", "kg"), ("refinery_gas", "kg"), ("heat", "MJ"), ("acetylene", "m3")]
        {
            assert_eq!(model::quantity::carrier_unit(carrier), unit, "{carrier}");
        }
    }

    #[test]
    fn a_carrier_with_a_range_needs_the_plants_own_factor() {
        insta::assert_snapshot!(checked(&pilot(&(series("natural_gas") + &series("phlogiston")))), @"
        p.toml:11: carrier `natural_gas` has a range of factors in GB/T 2589-2020, 1.1 to 1.33 kgce/m3: say the plant's in `[[factor]] carrier, value, source`
        p.toml:16: carrier `phlogiston` has no factor in GB/T 2589-2020: say it in `[[factor]] carrier, value, source`, or use one of acetylene, biogas, blast_furnace_gas, calcium_carbide, carbon_dioxide, catalytic_cracking_gas, cleaned_coal, coal_gangue, coal_slurry, coal_tar, coke, coke_gas, coke_oven_gas, compressed_air, crude_oil, deaerated_water, diesel, electricity, ethanol, fresh_water, fuel_oil, heat, hydrogen, kerosene, lng, lpg, methanol, natural_gas, nitrogen, oxygen, petrol, pressure_gas, producer_gas, raw_coal, refinery_gas, residual_oil, softened_water, steam, thermal_cracking_gas, washed_middlings, water_gas
        ");
        let own = "[[factor]]\ncarrier = \"natural_gas\"\nvalue = 1.2143\nsource = \"measured\"\n";
        let pilot = pilot(&(series("natural_gas") + own));
        assert_eq!(checked(&pilot), "");
        assert_eq!(Factors::builtin().at(&pilot, "natural_gas", Basis::Calorific), Some(1.2143));
    }

    #[test]
    fn a_factor_of_the_wrong_unit_is_not_plausible() {
        let own = "[[factor]]\ncarrier = \"natural_gas\"\nvalue = 1.2143\nunit = \"kgce/L\"\nsource = \"measured\"\n";
        insta::assert_snapshot!(checked(&pilot(&(series("natural_gas") + own))), @"p.toml:16: factor 1214.3 kgce/m3 of `natural_gas` is not plausible: 0.9 to 1.5; check its unit");
    }

    #[test]
    fn a_pilot_cannot_move_the_calorific_factor_of_electricity() {
        let pilot = pilot("[[factor]]\ncarrier = \"electricity\"\nvalue = 0.31\nsource = \"grid report\"\n");
        assert_eq!(Factors::builtin().at(&pilot, "electricity", Basis::Calorific), Some(0.1229));
        assert_eq!(Factors::builtin().at(&pilot, "electricity", Basis::Equivalent), Some(0.31));
    }

    #[test]
    fn the_example_fits_the_programme_and_the_table() {
        let example = parse_pilot("example/pilot.toml", include_str!("../example/pilot.toml")).unwrap();
        assert_eq!(checked(&example), "");
        assert_eq!(model::registry::check_against(&example, &crate::programme::builtin()), []);
    }

    #[test]
    fn a_table_with_mistakes_names_all_of_them() {
        let text = include_str!("../../tests/config/factors.bad.toml");
        let mistakes = Factors::parse("factors.bad.toml", text).unwrap_err();
        let mistakes: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
        insta::assert_snapshot!(mistakes.join("\n"), @"
        factors.bad.toml:9: factor 0.7413 is not 20934 kJ over 29307.6 kJ/kgce = 0.7143
        factors.bad.toml:20: `range` needs two numbers, the lower one first
        factors.bad.toml:28: unit `kgce/m3` does not fit `coke`, which is counted in kg: such as `kgce/kg`
        factors.bad.toml:31: factor of `electricity` is outside of 0.1 to 0.45 kgce/kWh
        factors.bad.toml:44: `[[factor]]` key `evidence`: unknown variant `heard`, expected `quoted` or `seen`
        ");
    }
}
