//! Numbers as people see them: rounded half to even, on the decimal that machines get.
//!
//! Rounding starts from the shortest decimal that reads back to the stored number, the one that the API prints. So a reader
//! who rounds the API's number by hand gets the page's number, also where the binary fraction lies just beside a tie.

/// Rounds half to even to `places` decimals. `exponent` moves the decimal point first (2 = per cent), exactly.
fn round(value: f64, exponent: usize, places: usize) -> String {
    let shortest = format!("{}", value.abs());
    let (whole, fraction) = shortest.split_once('.').unwrap_or((&shortest, ""));
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').collect();
    // Digits before the point, after it moved.
    let point = whole.len() + exponent;
    let keep = point + places;
    if digits.len() <= keep {
        digits.resize(keep, 0);
    } else {
        let rest = digits.split_off(keep);
        if rounds_up(&digits, &rest) {
            increment(&mut digits);
        }
    }
    let split = digits.len() - places;
    let text = |digits: &[u8]| digits.iter().map(|d| char::from(d + b'0')).collect::<String>();
    let whole = text(&digits[..split]);
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = text(&digits[split..]);
    let is_zero = digits.iter().all(|&d| d == 0);
    let sign = if value < 0.0 && !is_zero { "\u{2212}" } else { "" };
    let dot = if places > 0 { "." } else { "" };
    format!("{sign}{}{dot}{fraction}", grouped(whole))
}

fn rounds_up(kept: &[u8], rest: &[u8]) -> bool {
    let odd = kept.last().is_some_and(|d| d % 2 == 1);
    match rest[0].cmp(&5) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => odd || rest[1..].iter().any(|&d| d > 0),
    }
}

fn increment(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < 9 {
            *digit += 1;
            return;
        }
        *digit = 0;
    }
    digits.insert(0, 1);
}

/// Groups of three with a narrow no-break space, as ISO 80000 writes them, from five digits on.
fn grouped(whole: &str) -> String {
    if whole.len() < 5 {
        return whole.to_owned();
    }
    let mut out = String::with_capacity(whole.len() + whole.len());
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A ratio as per cent with one decimal, without the sign `%`: 0.2134 is `21.3`.
pub(crate) fn percent(ratio: f64) -> String {
    if ratio.is_finite() { round(ratio, 2, 1) } else { "–".to_owned() }
}

/// An amount with four significant digits or more: large ones whole, small ones with decimals.
pub(crate) fn amount(value: f64) -> String {
    let places = match value.abs() {
        size if size >= 1_000.0 || size == 0.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 10.0 => 2,
        size if size >= 1.0 => 3,
        size if size >= 0.01 => 4,
        _ => 6,
    };
    if value.is_finite() { round(value, 0, places) } else { "–".to_owned() }
}

/// A number to follow arithmetic with: whole ones as they are, others with six significant digits or more.
pub(crate) fn precise(value: f64) -> String {
    if value.is_finite() && value.fract() == 0.0 && value.abs() < 1e15 {
        return round(value, 0, 0);
    }
    let places = match value.abs() {
        size if size >= 1_000.0 => 2,
        size if size >= 1.0 => 5,
        size if size >= 1e-3 => 8,
        _ => 12,
    };
    if value.is_finite() { round(value, 0, places) } else { "–".to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn people_see_half_even_rounding_of_the_printed_decimal() {
        for (ratio, text) in [
            (0.2134, "21.3"),
            (0.2005, "20.0"),
            (0.2015, "20.2"),
            (0.20051, "20.1"),
            (0.9995, "100.0"),
            (0.0, "0.0"),
            (-0.0004, "0.0"),
            (-0.0321, "\u{2212}3.2"),
            (1.0, "100.0"),
            (12.345, "1234.5"),
            (0.3, "30.0"),
            (1e-9, "0.0"),
        ] {
            assert_eq!(percent(ratio), text, "{ratio}");
        }
    }

    #[test]
    fn amounts_keep_four_digits_and_group_from_five() {
        for (value, text) in [
            (959_636.71, "959\u{202f}637"),
            (1_234.5, "1234"),
            (12_345.6, "12\u{202f}346"),
            (0.4123, "0.4123"),
            (0.00412, "0.004120"),
            (2.34567, "2.346"),
            (0.0, "0"),
        ] {
            assert_eq!(amount(value), text, "{value}");
        }
    }

    proptest! {
        #[test]
        fn rounding_moves_a_number_by_at_most_half_a_unit(ratio in -10.0f64..10.0) {
            let text = percent(ratio).replace('\u{2212}', "-").replace('\u{202f}', "");
            let back: f64 = text.parse().unwrap();
            prop_assert!((back - ratio * 100.0).abs() <= 0.05 + 1e-9);
        }
    }
}
