//! Registry values for tests: a pilot in Shanghai with a baseline of 2015, and series to hang on it.

use model::registry::{BandSpan, Pilot, Series, Tariff, TariffDays};
use model::{Flags, Kind, Quality, Reading, UnixMillis, Value};

pub(crate) const HOUR: i64 = 3_600_000;

pub(crate) fn at(text: &str) -> i64 {
    UnixMillis::parse(text).unwrap().0
}

pub(crate) fn day(text: &str) -> jiff::civil::Date {
    text.parse().unwrap()
}

pub(crate) fn reading(at: i64, value: f64) -> Reading {
    let value = Value::from_f64(value);
    Reading { at: UnixMillis(at), value, quality: Quality::Good, flags: Flags::default(), id: None }
}

pub(crate) fn bad(at: i64) -> Reading {
    Reading { at: UnixMillis(at), value: None, quality: Quality::Bad, flags: Flags::default(), id: None }
}

/// A pilot from the text that follows `[pilot]` and `[baseline]`.
pub(crate) fn registered(zone: &str, more: &str) -> Pilot {
    let text = format!(
        "[pilot]\nid = \"p-1\"\nname = \"P\"\nregion = \"hami\"\nsector = \"electronics\"\nclass = \"pilot\"\n\
         zone = \"{zone}\"\n[baseline]\nfrom = 2015-01-01\nto = 2015-12-31\n{more}"
    );
    model::registry::parse_pilot("p-1.toml", &text).unwrap()
}

pub(crate) fn series(quantity: &str, kind: Kind, unit: &str) -> Series {
    let text = format!(
        "[[series]]\nasset = \"a\"\nname = \"{quantity}\"\nquantity = \"{quantity}\"\nkind = \"{}\"\nunit = \"{unit}\"\n",
        kind.as_str()
    );
    registered("Asia/Shanghai", &text).series.remove(0)
}

pub(crate) fn pilot(zone: &str, series: Vec<Series>) -> Pilot {
    let mut pilot = registered(zone, "");
    pilot.series = series;
    pilot.pieces = model::registry::PiecesFrom::Series;
    pilot
}

/// Bands by hours `(band, from hour, to hour)`; the rest is `flat`.
pub(crate) fn tariff(from: &str, prices: &[(&str, f64)], hours: &[(&str, i8, i8)]) -> Tariff {
    let time = |hour| jiff::civil::Time::new(hour, 0, 0, 0).unwrap();
    let span = |&(band, from, to): &(&str, i8, i8)| BandSpan { band: band.into(), from: time(from), to: time(to) };
    Tariff {
        from: day(from),
        months: Vec::new(),
        days: TariffDays::Every,
        bands: prices.iter().map(|&(band, price)| (band.into(), price)).collect(),
        hours: hours.iter().map(span).collect(),
        rest: "flat".into(),
    }
}
