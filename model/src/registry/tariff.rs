//! `[[tariff]]`: band prices, and the spans of the day as quarter-hours.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Time;

use super::parse::name_of;
use super::raw::RawTariff;
use super::{BandSpan, Tariff, TariffDays};
use crate::document::{Document, Item};

/// Quarter-hours of a day: band boundaries fall on them.
pub(super) const QUARTERS: usize = 96;

pub(super) fn tariff(doc: &mut Document<'_>, item: &Item<RawTariff>) -> Option<Tariff> {
    let bands = bands(doc, item);
    let months = months(doc, item);
    let hours = hours(doc, item);
    let (bands, months, hours) = (bands?, months?, hours?);
    let rest = rest_band(doc, item, &bands, &hours)?;
    Some(Tariff { from: item.value.from.0, months, days: TariffDays::from(item.value.days), bands, hours, rest })
}

fn bands(doc: &mut Document<'_>, item: &Item<RawTariff>) -> Option<BTreeMap<Arc<str>, f64>> {
    let raw = &item.value.bands;
    if raw.is_empty() {
        doc.mistake(item.line_of("bands"), "`bands` is empty; it needs a price, as in `{ flat = 0.52 }` (CNY per kWh)");
        return None;
    }
    let mut bands = BTreeMap::new();
    for (band, price) in raw {
        let name = name_of(doc, item, "bands", band);
        if !price.is_finite() {
            let line = item.line_of(&format!("bands.{band}"));
            doc.mistake(line, format!("the price of band `{band}` is {price}; it needs a number of CNY per kWh"));
        } else if let Some(name) = name {
            bands.insert(name, *price);
        }
    }
    (bands.len() == raw.len()).then_some(bands)
}

fn months(doc: &mut Document<'_>, item: &Item<RawTariff>) -> Option<Vec<i8>> {
    let Some(raw) = &item.value.months else { return Some(Vec::new()) };
    let mut months = Vec::new();
    for month in raw {
        match i8::try_from(*month) {
            Ok(number @ 1..=12) if !months.contains(&number) => months.push(number),
            Ok(1..=12) => doc.mistake(item.line_of("months"), format!("month {month} stands twice in `months`")),
            Ok(_) | Err(_) => doc.mistake(item.line_of("months"), format!("month {month} is none of 1 to 12")),
        }
    }
    if raw.is_empty() {
        doc.mistake(item.line_of("months"), "`months` is empty; leave it out for every month");
    }
    (!raw.is_empty() && months.len() == raw.len()).then_some(months)
}

/// The spans in order of the day, if none overlaps another and every band has a price.
fn hours(doc: &mut Document<'_>, item: &Item<RawTariff>) -> Option<Vec<BandSpan>> {
    let mut taken: [Option<&str>; QUARTERS] = [None; QUARTERS];
    let mut spans = Vec::new();
    let mut fine = true;
    for (band, texts) in &item.value.hours {
        if !item.value.bands.contains_key(band) {
            let priced: Vec<&str> = item.value.bands.keys().map(String::as_str).collect();
            let text = format!("band `{band}` has hours and no price; `bands` has {}", priced.join(", "));
            doc.mistake(item.line_of(&format!("hours.{band}")), text);
            fine = false;
        }
        for (i, text) in texts.iter().enumerate() {
            let line = item.line_of(&format!("hours.{band}.{i}"));
            match span(text).and_then(|span| claim(&mut taken, band, text, span)) {
                Ok((from, to)) => {
                    spans.push(BandSpan { band: Arc::from(band.as_str()), from: time(from), to: time(to) })
                }
                Err(mistake) => {
                    doc.mistake(line, mistake);
                    fine = false;
                }
            }
        }
    }
    spans.sort_by_key(|span| span.from);
    fine.then_some(spans)
}

/// Reads `08:00-11:00` as quarter-hours `[from, to)`; `to` is below `from` where the span passes midnight.
fn span(text: &str) -> Result<(usize, usize), String> {
    let bad = || format!("span `{text}` is none such as `08:00-11:00`, on quarter-hours, 24:00 only as its end");
    let (from, to) = text.split_once('-').ok_or_else(bad)?;
    let from = quarter(from).filter(|&quarter| quarter < QUARTERS).ok_or_else(bad)?;
    let to = quarter(to).ok_or_else(bad)?;
    if from == to {
        return Err(format!("span `{text}` is empty; a whole day is `00:00-24:00`"));
    }
    Ok((from, to))
}

/// `HH:MM` as a number of quarter-hours, 96 for `24:00`.
fn quarter(text: &str) -> Option<usize> {
    let (hour, minute) = text.trim().split_once(':')?;
    let two = |digits: &str| digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let minutes = hour.parse::<usize>().ok()? * 60 + minute.parse::<usize>().ok().filter(|&minute| minute < 60)?;
    let fits = two(hour) && two(minute) && minutes % 15 == 0 && minutes <= 24 * 60;
    fits.then_some(minutes / 15)
}

fn time(quarter: usize) -> Time {
    let quarter = i8::try_from(quarter % QUARTERS).unwrap_or(0);
    Time::constant(quarter / 4, quarter % 4 * 15, 0, 0)
}

fn claim<'b>(
    taken: &mut [Option<&'b str>; QUARTERS],
    band: &'b str,
    text: &str,
    (from, to): (usize, usize),
) -> Result<(usize, usize), String> {
    let length = (to + QUARTERS - from) % QUARTERS;
    let length = if length == 0 { QUARTERS } else { length };
    for quarter in (from..from + length).map(|quarter| quarter % QUARTERS) {
        if let Some(other) = taken[quarter].replace(band) {
            let at = time(quarter).strftime("%H:%M");
            return Err(format!("span `{text}` of band `{band}` overlaps band `{other}` at {at}"));
        }
    }
    Ok((from, to))
}

/// The band of the hours that no span names: the one band without hours.
fn rest_band(
    doc: &mut Document<'_>,
    item: &Item<RawTariff>,
    bands: &BTreeMap<Arc<str>, f64>,
    hours: &[BandSpan],
) -> Option<Arc<str>> {
    let without: Vec<&Arc<str>> = bands.keys().filter(|band| hours.iter().all(|span| span.band != **band)).collect();
    let free = (0..QUARTERS).map(time).find(|&quarter| hours.iter().all(|span| !span.contains(quarter)));
    match (without.as_slice(), free) {
        ([rest], _) => Some(Arc::clone(rest)),
        // No hour is left: the rest band is never asked for.
        ([], None) => hours.first().map(|span| Arc::clone(&span.band)),
        ([], Some(free)) => {
            let text = format!(
                "no band is in force at {}; fill the day, or leave out the hours of the band that takes what is left",
                free.strftime("%H:%M")
            );
            doc.mistake(item.line_of("hours"), text);
            None
        }
        (several, _) => {
            let names: Vec<&str> = several.iter().map(|band| &***band).collect();
            let text = format!("bands {} have no hours; only one may take what is left of the day", names.join(", "));
            doc.mistake(item.line_of("bands"), text);
            None
        }
    }
}
