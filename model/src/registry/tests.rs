//! The registry read from text: the example, every mistake's message, and the helpers that others ask.

use std::fmt::Write as _;

use jiff::civil::{Time, date};

use super::*;
use crate::time::EARLIEST;

const EXAMPLE: &str = include_str!("../../../seeds/example/changji-transformer.toml");

/// The smallest file there is; `more` follows it.
fn small(more: &str) -> String {
    format!(
        "[pilot]\nid = \"p\"\nname = \"P\"\nregion = \"hami\"\nsector = \"electronics\"\nclass = \"pilot\"\n\
         zone = \"Asia/Shanghai\"\n[baseline]\nfrom = 2015-01-01\nto = 2015-12-31\n{more}"
    )
}

#[track_caller]
fn pilot(more: &str) -> Pilot {
    parse_pilot("pilots/p.toml", &small(more)).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
}

fn mistakes(more: &str) -> String {
    match parse_pilot("p.toml", &small(more)) {
        Ok(_) => String::new(),
        Err(mistakes) => listed(&mistakes),
    }
}

fn listed(mistakes: &[Mistake]) -> String {
    let mut text = String::new();
    for mistake in mistakes {
        writeln!(text, "{mistake}").unwrap();
    }
    text
}

#[test]
fn the_example_reads() {
    let pilot =
        parse_pilot("seeds/example/changji-transformer.toml", EXAMPLE).unwrap_or_else(|m| panic!("{}", listed(&m)));
    assert_eq!(pilot.series.len(), 7);
    assert_eq!(pilot.earliest.to_string(), "2014-12-30T16:00:00.000Z");
    assert_eq!(pilot.pieces, PiecesFrom::Series);
    let press = &pilot.series[0];
    assert_eq!((press.multiplier, press.rollover, press.max_gap_ms), (80.0, Some(1e6), Some(7_200_000)));
    assert!(press.declares_max_gap);
    assert_eq!(press.events[0].what, SeriesEventKind::MeterSwap { last: 812_345.6, first: 0.0 });
    assert_eq!(press.events[0].at.to_string(), "2019-05-03T02:20:00.000Z");
    let gaps: Vec<Option<i64>> = pilot.series.iter().map(|series| series.max_gap_ms.map(|ms| ms / 3_600_000)).collect();
    assert_eq!(gaps, [Some(2), Some(24), Some(24), None, None, None, Some(32 * 24)]);
    assert_eq!(pilot.series[2].unit.symbol(), "m3");
    let prices: Vec<f64> = pilot.prices.iter().map(|price| price.value).collect();
    assert_eq!(prices, [2.05, 0.23]);
    assert_eq!(pilot.changes[0].at.to_string(), "2019-05-05T16:00:00.000Z");
}

#[test]
fn a_small_file_takes_the_defaults() {
    let pilot = pilot("");
    assert_eq!(pilot.programme.as_str(), "xinjiang-2025");
    assert_eq!(pilot.earliest, EARLIEST);
    assert_eq!(pilot.pieces, PiecesFrom::Orders);
    assert_eq!(pilot.cost_scope, None);
    assert_eq!(pilot.source.line_of("region"), 4);
    assert_eq!(pilot.source.line_of("topics.0"), 1);
}

#[test]
fn what_is_missing_is_said_all_at_once() {
    insta::assert_snapshot!(listed(&parse_pilot("p.toml", "").unwrap_err()), @"
    p.toml:1: table `[pilot]` is missing; it needs the keys id, name, region, sector, class, zone
    p.toml:1: table `[baseline]` is missing; it needs the keys from, to
    ");
    insta::assert_snapshot!(listed(&parse_pilot("q.toml", "[pilot]\nid = \"p\"\nregoin = \"hami\"\n[[serie]]\n").unwrap_err()), @"
    q.toml:1: `[pilot]` needs the key `name`
    q.toml:1: `[pilot]` needs the key `region`
    q.toml:1: `[pilot]` needs the key `sector`
    q.toml:1: `[pilot]` needs the key `class`
    q.toml:1: `[pilot]` needs the key `zone`
    q.toml:1: table `[baseline]` is missing; it needs the keys from, to
    q.toml:3: `[pilot]`: unknown key `regoin`, expected one of `id`, `name`, `enterprise`, `region`, `sector`, `class`, `zone`, `programme`, `earliest`, `pieces`, `topics`
    q.toml:4: unknown table `serie`; there are baseline, change, charge, event, factor, ignore, index, pilot, plan, price, product, restday, series, stop, tariff, workshop
    ");
}

#[test]
fn a_series_that_cannot_be_read_does_not_accuse_what_refers_to_it() {
    let series = "[[series]]\nasset = \"a\"\nname = \"e\"\nquantity = \"energy.electricity\"\nkind = \"countr\"\n";
    let event = "[[event]]\nasset = \"a\"\nname = \"e\"\nat = 2019-05-03T10:20:00+08:00\nkind = \"rollover\"\n";
    insta::assert_snapshot!(mistakes(&format!("{series}{event}")), @"p.toml:15: `[[series]]` key `kind`: unknown variant `countr`, expected one of `counter`, `delta`, `gauge`, `duration`");
}

#[test]
fn a_tariff_row_for_some_days_wins_over_the_general_one() {
    let pilot = parse_pilot("changji-transformer.toml", EXAMPLE).unwrap();
    check(&pilot, date(2015, 6, 30), 10, Some(("peak", 0.78)));
    check(&pilot, date(2015, 7, 1), 8, Some(("flat", 0.52)));
    check(&pilot, date(2015, 7, 1), 11, Some(("peak", 0.85)));
    // A Saturday in July: the general row.
    check(&pilot, date(2015, 7, 4), 10, Some(("peak", 0.78)));
    check(&pilot, date(2016, 8, 1), 11, Some(("peak", 0.85)));
    check(&pilot, date(2016, 8, 1), 23, Some(("valley", 0.26)));
    check(&pilot, date(2016, 8, 1), 6, Some(("valley", 0.26)));
    check(&pilot, date(2016, 8, 1), 7, Some(("flat", 0.52)));
    check(&pilot, date(2014, 12, 31), 10, None);

    #[track_caller]
    fn check(pilot: &Pilot, day: Date, hour: i8, expected: Option<(&str, f64)>) {
        let row = pilot.tariff_in_force(day);
        let band = row.map(|row| (row, row.band_at(Time::constant(hour, 45, 0, 0))));
        assert_eq!(band.map(|(row, band)| (&**band, row.bands[band])), expected, "{day} at {hour}:45");
    }
}

#[test]
fn rest_days_and_stops_are_whole_days() {
    let pilot = parse_pilot("changji-transformer.toml", EXAMPLE).unwrap();
    assert!(pilot.is_restday(date(2015, 10, 1)) && !pilot.is_restday(date(2015, 10, 8)));
    assert!(pilot.is_restday(date(2015, 10, 3)) && pilot.is_restday(date(2015, 10, 4)));
    assert!(pilot.is_stopped(date(2015, 2, 18)) && pilot.is_stopped(date(2015, 2, 24)));
    assert!(!pilot.is_stopped(date(2015, 2, 17)) && !pilot.is_stopped(date(2015, 2, 25)));
}
