//! Why an amount changed: the LMDI-I split into activity, structure, intensity and price (METHOD 9).
//!
//! Each row is a product of five factors: pieces, standardised output (or a product's pieces) per piece, amount per unit of
//! output, share of the band, price. The share of products and that of bands are both structure. The baseline's side is
//! scaled to as many months as the period counts, so that two baseline years do not look like twice the plant.

use model::Effects;

use crate::statistics::lmdi::{Row, decompose};

/// The factors of one row on one side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factors {
    pub pieces: f64,
    pub mix: f64,
    pub intensity: f64,
    pub share: f64,
    pub price: f64,
}

impl Factors {
    /// Of an amount that goes with some output: `pieces` of all products, `output` of what the amount goes with.
    pub fn of(pieces: f64, output: f64, amount: f64) -> Factors {
        Factors { pieces, mix: output / pieces, intensity: amount / output, share: 1.0, price: 1.0 }
    }

    fn array(self) -> [f64; 5] {
        [self.pieces, self.mix, self.intensity, self.share, self.price]
    }
}

/// The effects of rows `(before, after)`; none where a factor is not defined, such as an amount per piece of no piece.
pub fn effects(rows: &[(Factors, Factors)]) -> Option<Effects> {
    let arrays: Vec<([f64; 5], [f64; 5])> =
        rows.iter().map(|(before, after)| (before.array(), after.array())).collect();
    let rows: Vec<Row<'_>> = arrays.iter().map(|(before, after)| Row { before, after }).collect();
    let split = decompose(&rows).ok()?;
    let [activity, mix, intensity, share, price] = split.additive[..] else { return None };
    Some(Effects { from: split.before, to: split.after, activity, structure: mix + share, intensity, price })
}

/// Effects of several scopes added up; none if one of them has none.
pub fn add_up<'e>(all: impl Iterator<Item = Option<&'e Effects>>) -> Option<Effects> {
    let all: Vec<&Effects> = all.collect::<Option<_>>()?;
    let of = |part: fn(&Effects) -> f64| crate::sum::sum(all.iter().map(|effects| part(effects)));
    (!all.is_empty()).then(|| Effects {
        from: of(|effects| effects.from),
        to: of(|effects| effects.to),
        activity: of(|effects| effects.activity),
        structure: of(|effects| effects.structure),
        intensity: of(|effects| effects.intensity),
        price: of(|effects| effects.price),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_cost_add_up_to_its_change_in_yuan() {
        // The method's bands: quantity and price before and after, output 1000 and 1080.
        let (q0, p0) = ([2_000.0, 9_000.0, 12_000.0, 7_000.0], [1.2, 1.0, 0.65, 0.35]);
        let (q1, p1) = ([800.0, 7_000.0, 11_500.0, 9_200.0], [1.44, 1.2, 0.72, 0.3]);
        let side = |q: [f64; 4], p: [f64; 4], output: f64, band: usize| Factors {
            share: q[band] / q.iter().sum::<f64>(),
            price: p[band],
            ..Factors::of(output, output, q.iter().sum())
        };
        let rows: Vec<_> = (0..4).map(|band| (side(q0, p0, 1_000.0, band), side(q1, p1, 1_080.0, band))).collect();
        let effects = effects(&rows).unwrap();
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        near(effects.activity, 1_618.985_459_580_620_3);
        near(effects.intensity, -2_698.013_193_113_306);
        near(effects.structure, -2_295.539_721_290_811);
        near(effects.price, 2_316.567_454_823_492);
        near(effects.to - effects.from, -1_058.0);
    }

    #[test]
    fn what_is_not_defined_has_no_effects() {
        assert_eq!(effects(&[(Factors::of(0.0, 0.0, 5.0), Factors::of(1.0, 1.0, 5.0))]), None);
        assert_eq!(add_up([None].into_iter()), None);
        assert_eq!(add_up(std::iter::empty()), None);
    }
}
