//! Conversion factors to standard coal (kgce), versioned data with validity and source.

/// How electricity is converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    Range { lower: f64, upper: f64 },
}

/// The factor set in force; one set for both periods.
#[derive(Debug, Clone)]
pub struct Factors {
    pub edition: String,
}

impl Factors {
    /// The built-in set.
    pub fn builtin() -> Factors {
        Factors { edition: String::new() }
    }

    /// kgce per canonical unit of the carrier; none if the carrier is unknown.
    pub fn of(&self, carrier: &str, basis: Basis) -> Option<Factor> {
        let _ = (carrier, basis);
        None
    }
}
