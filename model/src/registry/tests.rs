//! The registry read from text: the example, every mistake's message, and the helpers that others ask.

use std::fmt::Write as _;

use jiff::civil::{Time, date};
use proptest::prelude::*;

use super::*;
use crate::programme::Entry;
use crate::time::EARLIEST;
use crate::{Indicator, Programme};

const EXAMPLE: &str = include_str!("../../../seeds/example/pilot.toml");

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
    let pilot = parse_pilot("seeds/example/pilot.toml", EXAMPLE).unwrap_or_else(|m| panic!("{}", listed(&m)));
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
    assert_eq!(pilot.plans, plan::Plans::default());
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
    q.toml:4: unknown table `serie`; there are adjustment, baseline, change, charge, event, factor, ignore, index, pilot, plan, price, product, restday, series, stop, tariff, workshop
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
    let pilot = parse_pilot("pilot.toml", EXAMPLE).unwrap();
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
    let pilot = parse_pilot("pilot.toml", EXAMPLE).unwrap();
    assert!(pilot.is_restday(date(2015, 10, 1)) && !pilot.is_restday(date(2015, 10, 8)));
    assert!(pilot.is_restday(date(2015, 10, 3)) && pilot.is_restday(date(2015, 10, 4)));
    assert!(pilot.is_stopped(date(2015, 2, 18)) && pilot.is_stopped(date(2015, 2, 24)));
    assert!(!pilot.is_stopped(date(2015, 2, 17)) && !pilot.is_stopped(date(2015, 2, 25)));
}

/// Every `pilot-*.bad.toml` with its exact messages.
#[test]
#[allow(clippy::too_many_lines, reason = "one snapshot of all messages, to be read side by side")]
fn every_bad_file_says_what_would_be_right() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/config");
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        names.filter(|name| name.starts_with("pilot-") && name.ends_with(".bad.toml")).collect();
    names.sort_unstable();
    let mut messages = String::new();
    for name in names {
        let text = std::fs::read_to_string(format!("{directory}/{name}")).unwrap();
        let file = name.replace(".bad.toml", ".toml");
        let found = parse_pilot(&file, &text).expect_err(&name);
        writeln!(messages, "{}", listed(&found)).unwrap();
    }
    insta::assert_snapshot!(messages, @r#"
    pilot-adjustment.toml:28: an adjustment of `energy_intensity` needs `carrier`, such as `electricity`: its amount is of one carrier
    pilot-adjustment.toml:37: `defect_rate` takes no adjustment; it is for energy_intensity, operating_cost and pollutant_intensity.POLLUTANT
    pilot-adjustment.toml:41: `reason` is empty; an adjustment is a statement that has to be defended
    pilot-adjustment.toml:43: `evidence` is empty; an adjustment is a statement that has to be defended
    pilot-adjustment.toml:47: `carrier` is for `energy_intensity` only
    pilot-adjustment.toml:49: the adjustment ends on 2016-12-31, before it begins on 2017-01-01; both days are included
    pilot-adjustment.toml:57: the adjustment begins on 2016-12-31, in or before the baseline period, which ends on 2016-12-31: the baseline is never adjusted
    pilot-adjustment.toml:59: `amount` is 0; it is a number other than 0, above 0 where the baseline process would have used more
    pilot-adjustment.toml:60: workshop `v` is no `[[workshop]]` of this file
    pilot-adjustment.toml:67: no series of this file is measured for `energy.natural_gas`; there is nothing to adjust
    pilot-adjustment.toml:71: unit `kWh` does not fit `energy.natural_gas`, which is counted in m3
    pilot-adjustment.toml:86: adjustment `energy.electricity by 5 from 2016-01-01 to 2016-12-31: R` stands twice; the other one is on line 76
    pilot-adjustment.toml:96: `[[adjustment]]` needs the key `to`

    pilot-counted-twice.toml:20: `main/line` and `main/total` (line 14) count the same energy.electricity; say `part_of = "main/total"` if this is a sub-meter
    pilot-counted-twice.toml:26: `main/oven` and `main/line` (line 20) count the same energy.electricity; say `part_of = "main/line"` if this is a sub-meter
    pilot-counted-twice.toml:46: `x/ok` and `x/good` (line 33) count the same output.good; say `part_of = "x/good"` if this is a sub-meter

    pilot-days.toml:16: the stop ends on 2015-02-18, before it begins on 2015-02-24; both days are included
    pilot-days.toml:20: `[[change]]` key `at`: needs a day such as 2015-01-31, or a time with an offset such as 2019-05-03T10:20:00+08:00

    pilot-event.toml:41: event of `a/x`, which is no `[[series]]` of this file
    pilot-event.toml:51: a `rollover` event needs `rollover = …` on its series: the value at which the register begins again
    pilot-event.toml:57: a `meter_swap` needs `final` and `initial` and nothing else; it has final
    pilot-event.toml:64: a `meter_swap` is for series of kind `counter` only
    pilot-event.toml:72: a `multiplier` event needs `value`, not 0, and nothing else; it has value
    pilot-event.toml:85: `a/e` has two events of this kind at 2019-05-03T02:20:00.000Z; keep one
    pilot-event.toml:89: event of `g/good`, of which there are several; say `product`
    pilot-event.toml:100: the numbers of an event must be finite

    pilot-head.toml:3: pilot id `another-pilot` is not the name of its file: call the file `another-pilot.toml`
    pilot-head.toml:5: `region` is `Hami`, with `H` at byte 0; allowed: a-z, 0-9 and `-`, the first not `-`
    pilot-head.toml:6: `sector` is empty; it needs 1 to 64 of a-z, 0-9 and `-`, the first not `-`
    pilot-head.toml:8: zone `Xinjiang` is not in the time-zone database; such as `Asia/Shanghai`
    pilot-head.toml:9: `earliest` 1970-01-01T00:00:00.000Z is before 2000-01-01T00:00:00.000Z, which it may only raise
    pilot-head.toml:13: the baseline ends on 2015-01-01, before it begins on 2015-12-31; both days are included

    pilot-missing-keys.toml:1: table `[baseline]` is missing; it needs the keys from, to
    pilot-missing-keys.toml:2: `[pilot]` needs the key `region`
    pilot-missing-keys.toml:2: `[pilot]` needs the key `sector`
    pilot-missing-keys.toml:2: `[pilot]` needs the key `class`
    pilot-missing-keys.toml:2: `[pilot]` needs the key `zone`
    pilot-missing-keys.toml:6: `[[series]]` needs the key `name`
    pilot-missing-keys.toml:6: `[[series]]` needs the key `quantity`
    pilot-missing-keys.toml:6: `[[series]]` needs the key `kind`
    pilot-missing-keys.toml:9: `[[event]]` needs the key `name`
    pilot-missing-keys.toml:9: `[[event]]` needs the key `at`
    pilot-missing-keys.toml:9: `[[event]]` needs the key `kind`
    pilot-missing-keys.toml:12: `[[tariff]]` needs the key `bands`

    pilot-money.toml:18: electricity has a `[[tariff]]` on line 14; drop this price, or the tariffs
    pilot-money.toml:26: price -1 of `raw_coal` must be 0 or more
    pilot-money.toml:27: unit `CNY/m3` does not fit `raw_coal`, which is counted in kg: such as `CNY/kg`
    pilot-money.toml:30: carrier `natural gas` is no single word such as `natural_gas`; series name it `energy.<carrier>`
    pilot-money.toml:39: price `diesel from 2015-01-01` stands twice; the other one is on line 34
    pilot-money.toml:47: index 0 of `labour` must be above 0
    pilot-money.toml:50: charge `fine` is none of demand, power_factor, differential, punitive, surcharge
    pilot-money.toml:52: charge `fine` needs a number, not NaN
    pilot-money.toml:56: factor 0 of `natural_gas` must be above 0
    pilot-money.toml:57: unit `tce/m3` does not fit `natural_gas`, which is counted in m3: such as `kgce/m3`

    pilot-not-toml.toml:5: this is no TOML: missing comma between key-value pairs, expected `,`
    pilot-not-toml.toml:5: this is no TOML: unclosed inline table, expected `}`
    pilot-not-toml.toml:5: this is no TOML: string values must be quoted, expected literal string

    pilot-part-of.toml:19: `part_of = "b/f"` names no series; it is the asset, `/` and the name of one
    pilot-part-of.toml:26: `part_of = "b/e"` leads back to a series it came from, or through more than 32
    pilot-part-of.toml:33: `part_of = "d/e"` leads back to a series it came from, or through more than 32
    pilot-part-of.toml:40: `part_of = "c/e"` leads back to a series it came from, or through more than 32
    pilot-part-of.toml:61: `part_of = "g/good"` names 2 series; it must name one

    pilot-plan-terms.toml:15: the first tariff starts on 2015-01-01, after the baseline on 2014-01-01; its days before that have no price
    pilot-plan-terms.toml:25: the baseline ends on 2015-12-31, before it begins on 2016-01-01; both days are included
    pilot-plan-terms.toml:26: `confidence` is 1; a plan may ask for 0.8 to 0.99, two-sided
    pilot-plan-terms.toml:27: `coverage_min` is 0.5; a plan may ask for more than 0.8, up to 1, never for less
    pilot-plan-terms.toml:28: `month_coverage_min` is 0.89; a plan may ask for more than 0.9, up to 1, never for less
    pilot-plan-terms.toml:32: `coverage_min` is 1.1; a plan may ask for more than 0.8, up to 1, never for less
    pilot-plan-terms.toml:35: `confidence` is 0.79; a plan may ask for 0.8 to 0.99, two-sided
    pilot-plan-terms.toml:38: `defects = "scrap"`: no series of this file has quantity `output.scrap`
    pilot-plan-terms.toml:41: `baseline` needs its first and its last day, `{ from = 2015-01-01, to = 2015-12-31 }`

    pilot-plan.toml:32: `outputt` is no variable; write `output`, `output:PRODUCT`, `variable.NAME` or `value.added`
    pilot-plan.toml:32: product `B7` is no `[[product]]` of this file
    pilot-plan.toml:32: 0 series have quantity `variable.rain`; a variable is one series
    pilot-plan.toml:32: `output` stands twice in the variables
    pilot-plan.toml:33: `signs` names `variable.wind`, which is none of the `variables`
    pilot-plan.toml:34: `temperature` is for `model = "degree_days"` only
    pilot-plan.toml:35: `base_load_negligible` is the reason why there is next to no base load, in a sentence
    pilot-plan.toml:35: `base_load_negligible` is for `model = "ratio"`: the other models fit the base load
    pilot-plan.toml:37: no series of this file has quantity `energy.natural_gas`; drop its plan or add the series
    pilot-plan.toml:38: `model = "degree_days"` needs `temperature = "asset/name"`, the outdoor temperature's series
    pilot-plan.toml:42: `w/sun` is no temperature: it needs kind `gauge` and unit `°C`

    pilot-product-unknown.toml:22: product `A13` is no `[[product]]` of this file

    pilot-product.toml:16: weight 0 of product `A12` must be above 0
    pilot-product.toml:19: `id` has `+` at byte 1; control characters, `+` and `#` are not allowed
    pilot-product.toml:26: weight inf of product `C` must be above 0

    pilot-scope-empty.toml:15: the scope of operating cost is empty; leave `scope` out to take every declared item

    pilot-scope.toml:15: `energy.electricity` stands twice in the scope of operating cost
    pilot-scope.toml:15: `output.good` is no item of operating cost; write `energy.<carrier>` or `cost.<category>`
    pilot-scope.toml:15: `labour` is no item of operating cost; write `energy.<carrier>` or `cost.<category>`

    pilot-series-band.toml:24: band `peek` is in no `[[tariff]]`; there are flat, peak

    pilot-series-kinds.toml:18: kind `duration` is for quantity `time.cycle` only, not for `energy.electricity`
    pilot-series-kinds.toml:25: `rollover` is for kind `counter` only, not for `delta`
    pilot-series-kinds.toml:26: `on_decrease` is for kind `counter` only, not for `delta`
    pilot-series-kinds.toml:33: `band` is for quantity `energy.electricity` only, not for `energy.natural_gas`
    pilot-series-kinds.toml:40: `[[series]]` key `on_decrease`: unknown variant `ignore`, expected `reset`

    pilot-series-names.toml:18: workshop `w` stands twice; the other one is on line 14
    pilot-series-names.toml:23: `asset` is empty; it needs 1 to 256 bytes
    pilot-series-names.toml:29: `asset` has `+` at byte 1; control characters, `+` and `#` are not allowed
    pilot-series-names.toml:39: workshop `v` is no `[[workshop]]` of this file
    pilot-series-names.toml:47: series `c/e` stands twice; the other one is on line 41
    pilot-series-names.toml:56: quantity `electricity` is none of energy.<carrier>, output.good, output.defective, output.rework, output.scrap, time.cycle, cost.<category>, emission.<pollutant>, variable.<name>, value.added, power.<name>

    pilot-series-numbers.toml:19: multiplier 0 must be a number other than 0
    pilot-series-numbers.toml:20: rollover -1 must be above 0: the first value that the register cannot show
    pilot-series-numbers.toml:21: duration `2 h` is none such as `90s`, `15m`, `2h` or `32d`, above 0
    pilot-series-numbers.toml:22: `plausible` needs two numbers `[lowest, highest]`, the lower one first
    pilot-series-numbers.toml:29: multiplier NaN must be a number other than 0
    pilot-series-numbers.toml:30: duration `0s` is none such as `90s`, `15m`, `2h` or `32d`, above 0
    pilot-series-numbers.toml:37: duration `999999999999999999d` is none such as `90s`, `15m`, `2h` or `32d`, above 0

    pilot-series-units.toml:19: unit `m3` is a unit of volume; `energy.electricity` is counted in kWh
    pilot-series-units.toml:26: unit `kW` is a unit of power; `energy.electricity` is counted in kWh; power is integrated only with kind `gauge`
    pilot-series-units.toml:33: unit `Nm3` is not known; `energy.natural_gas` is counted in m3 and what converts to it
    pilot-series-units.toml:35: `variable.temperature` has no unit of its own: say `unit`, for a plain number `unit = "1"`
    pilot-series-units.toml:46: unit `a very long unit` is longer than 15 bytes

    pilot-tariff-hours.toml:17: span `10:00-12:00` of band `peak` overlaps band `peak` at 10:00
    pilot-tariff-hours.toml:17: span `23:00-08:15` of band `valley` overlaps band `peak` at 08:00
    pilot-tariff-hours.toml:22: span `8:00-11:00` is none such as `08:00-11:00`, on quarter-hours, 24:00 only as its end
    pilot-tariff-hours.toml:22: span `08:10-11:00` is none such as `08:00-11:00`, on quarter-hours, 24:00 only as its end
    pilot-tariff-hours.toml:22: span `12:00-12:00` is empty; a whole day is `00:00-24:00`
    pilot-tariff-hours.toml:22: span `22:00-25:00` is none such as `08:00-11:00`, on quarter-hours, 24:00 only as its end
    pilot-tariff-hours.toml:22: band `peek` has hours and no price; `bands` has flat, peak

    pilot-tariff-late.toml:15: the first tariff starts on 2016-01-01, after the baseline on 2015-01-01; its days before that have no price

    pilot-tariff-months.toml:14: no tariff is for a workday in month 12; add a row without `months` and `days`
    pilot-tariff-months.toml:19: `[[restday]]` needs `dates = [2015-10-01, …]` or `date = 2015-10-01`

    pilot-tariff-rest.toml:16: bands flat, valley have no hours; only one may take what is left of the day
    pilot-tariff-rest.toml:22: no band is in force at 07:00; fill the day, or leave out the hours of the band that takes what is left
    pilot-tariff-rest.toml:26: `bands` is empty; it needs a price, as in `{ flat = 0.52 }` (CNY per kWh)

    pilot-tariff-rows.toml:23: this tariff and the one on line 18 both hold on the same days from 2016-01-01; say other `months` or `days`
    pilot-tariff-rows.toml:30: month 0 is none of 1 to 12
    pilot-tariff-rows.toml:30: month 13 is none of 1 to 12
    pilot-tariff-rows.toml:30: month 5 stands twice in `months`
    pilot-tariff-rows.toml:31: the price of band `flat` is NaN; it needs a number of CNY per kWh

    pilot-topics.toml:11: topic filters `spBv1.0/Plant/#` and `spBv1.0/Plant/DDATA/+` overlap; keep one of them
    pilot-topics.toml:12: topic filter `pilotline/v1/other/+` takes topics below `pilotline/`, which belong to the pilots they name
    pilot-topics.toml:13: topic filter `neuron/#/tags` is no MQTT filter: `#` is the whole last level and `+` a whole level, as in `spBv1.0/Plant/#`
    pilot-topics.toml:14: topic filter `$share/g/neuron` is a shared subscription; name the topics themselves

    pilot-unknown-keys.toml:9: `[pilot]`: unknown key `colour`, expected one of `id`, `name`, `enterprise`, `region`, `sector`, `class`, `zone`, `programme`, `earliest`, `pieces`, `topics`
    pilot-unknown-keys.toml:20: `[[series]]`: unknown key `multiplyer`, expected one of `asset`, `name`, `product`, `quantity`, `kind`, `unit`, `multiplier`, `rollover`, `max_gap`, `plausible`, `stage`, `band`, `part_of`, `workshop`, `on_decrease`, `until`
    pilot-unknown-keys.toml:22: unknown table `mapping`; there are adjustment, baseline, change, charge, event, factor, ignore, index, pilot, plan, price, product, restday, series, stop, tariff, workshop
    pilot-unknown-keys.toml:25: `[plan]`: unknown key `energy`, expected one of `operating_cost`, `production_cycle`, `defect_rate`, `energy_intensity`, `cycle_time`, `pollutant_intensity`
    pilot-unknown-keys.toml:30: `[[product]]` key `name`: unknown key `de`, expected `zh` or `en`

    pilot-wrong-types.toml:9: `[pilot]` key `pieces`: unknown variant `both`, expected `series` or `orders`
    pilot-wrong-types.toml:20: `[[series]]` key `multiplier`: invalid type: string "80", expected a number
    pilot-wrong-types.toml:21: `[[series]]` key `until`: invalid type: string "2019-01-01", expected a date, without quotes
    pilot-wrong-types.toml:27: `[[event]]` key `at`: needs a time with an offset, such as 2019-05-03T10:20:00+08:00
    pilot-wrong-types.toml:28: `[[event]]` key `kind`: unknown variant `swap`, expected one of `meter_swap`, `rollover`, `multiplier`
    pilot-wrong-types.toml:31: `[[stop]]` key `from`: needs a day without a time, such as 2015-01-31
    pilot-wrong-types.toml:33: `[[stop]]` key `reason`: invalid type: integer `3`, expected a text `"…"`
    pilot-wrong-types.toml:37: `[[workshop]]` key `name`: invalid type: integer `1`, expected a text or `{ zh = "…", en = "…" }`
    "#);
}

#[test]
fn the_programme_decides_which_places_there_are() {
    let entry = |id: &str| Entry {
        id: Slug::parse(id).unwrap(),
        name: Label { zh: id.to_owned(), en: id.to_owned() },
        clause: String::new(),
        count: None,
    };
    let programme = |id: &str| Programme {
        id: Slug::parse(id).unwrap(),
        name: Label { zh: String::new(), en: String::new() },
        source: String::new(),
        targets: vec![],
        regions: vec![entry("kashi"), entry("yili")],
        sectors: vec![entry("electronics")],
        classes: vec![entry("demonstration")],
        centres: vec![],
        centres_in_annex: vec![],
        statements: vec![],
    };
    insta::assert_snapshot!(listed(&check_against(&pilot(""), &programme("xinjiang-2025"))), @"
    pilots/p.toml:4: region `hami` is not in programme `xinjiang-2025`; it has kashi, yili
    pilots/p.toml:6: class `pilot` is not in programme `xinjiang-2025`; it has demonstration
    ");
    insta::assert_snapshot!(listed(&check_against(&pilot(""), &programme("next-plan"))), @"pilots/p.toml:1: programme `xinjiang-2025` is not the one in force, `next-plan`");
}

#[test]
fn a_topic_belongs_to_one_pilot() {
    let file = |id: &str, topics: &str| {
        let text = small("").replace("id = \"p\"", &format!("id = \"{id}\"\ntopics = {topics}"));
        (format!("pilots/{id}.toml"), text)
    };
    let files = vec![
        file("b", r#"["neuron/b/#", "spBv1.0/A/DDATA/+/x"]"#),
        file("a", r#"["neuron/a/#", "spBv1.0/A/#"]"#),
        ("pilots/c.toml".to_owned(), "[pilot".to_owned()),
        ("pilots/more/a.toml".to_owned(), file("a", "[]").1),
    ];
    let (registry, mistakes) = assemble(files);
    let ids: Vec<&str> = registry.pilots.keys().map(PilotId::as_str).collect();
    assert_eq!(ids, ["a", "b"]);
    insta::assert_snapshot!(listed(&mistakes), @"
    pilots/c.toml:1: this is no TOML: unclosed table, expected `]`
    pilots/more/a.toml:2: pilot `a` is already declared in pilots/a.toml
    pilots/b.toml:3: topic filter `spBv1.0/A/DDATA/+/x` overlaps `spBv1.0/A/#` of pilot `a`; a topic belongs to one
    ");
}

#[test]
fn a_mistake_stands_on_the_line_of_its_key() {
    let series =
        "[[series]]\nasset = \"a\"\nname = \"e\"\n# a comment\nquantity = \"energy.electricity\"\nkind = \"counter\"\n";
    for above in 0..3 {
        let text = format!("{}{series}max_gap = \"soon\"\n", "\n".repeat(above));
        let found = parse_pilot("p.toml", &small(&text)).unwrap_err();
        let line = small(&text).lines().position(|line| line.starts_with("max_gap")).unwrap() + 1;
        assert_eq!((found.len(), found[0].line), (1, line), "{found:?}");
    }
}

#[test]
fn a_duration_is_a_number_and_a_unit() {
    check("90s", 90_000);
    check("15m", 900_000);
    check("1h30m", 5_400_000);
    check("32d", 32 * 86_400_000);
    check("500ms", 500);

    #[track_caller]
    fn check(text: &str, ms: i64) {
        let series = format!(
            "[[series]]\nasset = \"a\"\nname = \"g\"\nquantity = \"output.good\"\nkind = \"delta\"\nmax_gap = \"{text}\""
        );
        let pilot = pilot(&series);
        assert_eq!((pilot.series[0].max_gap_ms, pilot.series[0].declares_max_gap), (Some(ms), true), "{text}");
    }
}

#[test]
fn spans_may_pass_midnight_and_fill_the_day() {
    let tariff =
        |hours: &str| format!("[[tariff]]\nfrom = 2015-01-01\nbands = {{ a = 1.0, b = 2.0 }}\nhours = {hours}\n");
    let band = |hours: &str, hour: i8, minute: i8| {
        let pilot = pilot(&tariff(hours));
        pilot.tariffs[0].band_at(Time::constant(hour, minute, 0, 0)).to_string()
    };
    let full = r#"{ a = ["22:00-06:00"], b = ["06:00-22:00"] }"#;
    assert_eq!((band(full, 23, 59), band(full, 5, 59), band(full, 6, 0), band(full, 21, 59)), four("a", "a", "b", "b"));
    let late = r#"{ a = ["22:00-24:00"] }"#;
    assert_eq!((band(late, 21, 59), band(late, 22, 0), band(late, 23, 45), band(late, 0, 0)), four("b", "a", "a", "b"));

    fn four(a: &str, b: &str, c: &str, d: &str) -> (String, String, String, String) {
        (a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned())
    }
}

proptest! {
    /// Pieces of valid files in any order, and plain noise: mistakes, never a panic.
    #[test]
    fn no_text_makes_the_registry_panic(lines in proptest::collection::vec(line(), 0..40), noise in ".{0,40}") {
        let text = format!("{}\n{noise}", lines.join("\n"));
        for text in [text.as_str(), &lines.join("\n"), &noise] {
            if let Err(mistakes) = parse_pilot("p.toml", text) {
                prop_assert!(!mistakes.is_empty());
                let n_lines = text.lines().count().max(1) + 1;
                prop_assert!(mistakes.iter().all(|mistake| mistake.line <= n_lines), "{mistakes:?}");
            }
        }
    }

    /// Every quarter-hour of a day has exactly the band that its span says, whatever the span.
    #[test]
    fn a_span_holds_exactly_its_quarter_hours(from in 0usize..96, length in 1usize..96, asked in 0usize..96) {
        let clock = |quarter: usize| format!("{:02}:{:02}", quarter / 4, quarter % 4 * 15);
        let hours = format!("{{ a = [\"{}-{}\"] }}", clock(from), clock((from + length) % 96));
        let pilot = pilot(&format!("[[tariff]]\nfrom = 2015-01-01\nbands = {{ a = 1.0, b = 2.0 }}\nhours = {hours}\n"));
        let inside = (asked + 96 - from) % 96 < length;
        let time = Time::constant(i8::try_from(asked / 4).unwrap(), i8::try_from(asked % 4 * 15).unwrap(), 14, 0);
        prop_assert_eq!(&**pilot.tariffs[0].band_at(time), if inside { "a" } else { "b" });
    }
}

/// A line of the example, sometimes cut or with its value changed.
fn line() -> impl Strategy<Value = String> {
    let lines: Vec<&'static str> = EXAMPLE.lines().collect();
    let values =
        ["0", "-1", "nan", "\"\"", "[]", "{}", "2015-13-01", "\"24:00-25:00\"", "[\"a\", 1]", "1e999", "{ a.b = 1 }"];
    (proptest::sample::select(lines), proptest::sample::select(values.to_vec()), 0u8..4).prop_map(
        |(line, value, how)| match (how, line.split_once('=')) {
            (0, Some((key, _))) => format!("{key}= {value}"),
            (1, _) => line.chars().take(line.chars().count() / 2).collect(),
            _ => line.to_owned(),
        },
    )
}

#[test]
fn a_plan_states_terms_of_its_own_and_the_others_keep_the_pilots() {
    let own = "[plan.defect_rate]\nbaseline = { from = 2016-01-01, to = 2016-12-31 }\nconfidence = 0.95\ncoverage_min = 1\n\
               [plan.energy_intensity]\nmonth_coverage_min = 0.95\n";
    let pilot = pilot(own);
    let year = |n: i16| DayRange { from: date(n, 1, 1), to: date(n, 12, 31) };
    let default = terms::Terms { baseline: year(2015), confidence: 0.9, coverage_min: 0.8, month_coverage_min: 0.9 };
    let defects = pilot.terms(&Indicator::DefectRate);
    assert_eq!(defects, terms::Terms { baseline: year(2016), confidence: 0.95, coverage_min: 1.0, ..default });
    for basis in [Indicator::EnergyIntensity, Indicator::EnergyIntensityEquivalent] {
        assert_eq!(pilot.terms(&basis), terms::Terms { month_coverage_min: 0.95, ..default });
    }
    let others = [Indicator::OperatingCost, Indicator::CycleTime, Indicator::PollutantIntensity("so2".into())];
    assert!(others.iter().all(|indicator| pilot.terms(indicator) == default));
}

#[test]
fn an_adjustment_is_spread_evenly_over_its_days() {
    let pilot = pilot(
        "[[series]]\nasset = \"m\"\nname = \"e\"\nquantity = \"energy.electricity\"\nkind = \"counter\"\n\
         [[adjustment]]\nindicator = \"energy_intensity\"\ncarrier = \"electricity\"\nfrom = 2016-02-15\nto = 2016-03-14\n\
         amount = 2.9\nunit = \"MWh\"\nreason = \"R\"\nauthor = \"A\"\nevidence = \"E\"\n",
    );
    let adjustment = &pilot.adjustments[0];
    assert_eq!((adjustment.amount, adjustment.of.unit()), (2_900.0, "kWh"));
    let within = |from, to| adjustment.within(from, to);
    // 29 days: fifteen of a leap year's February, fourteen of March.
    let february = within(date(2016, 2, 1), date(2016, 3, 1)).unwrap();
    assert!((february - 1_500.0).abs() < 1e-9, "{february}");
    assert_eq!(within(date(2016, 1, 1), date(2017, 1, 1)), Some(2_900.0));
    assert_eq!(within(date(2016, 1, 1), date(2016, 2, 15)), None);
    assert_eq!(within(date(2016, 3, 15), date(2016, 4, 1)), None);
}
