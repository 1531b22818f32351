//! Laws of the rollups.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use model::period::{MonthNo, midnight};
use model::registry::{OnDecrease, SeriesEvent, SeriesEventKind};
use model::window::QUARTER_MS;
use model::{Kind, Reading, UnixMillis, Value};
use proptest::prelude::*;

use super::months::{Adder, MonthSum};
use super::*;
use crate::fixture::{HOUR, at, bad, day, pilot, reading, series, tariff};
use crate::sum::sum;
use crate::tariff::Calendar;

/// Rolls up everything from the first to the last stamp.
fn roll(spec: &Spec, readings: &[Reading]) -> Rolled {
    let (first, last) = (readings[0].at.0, readings[readings.len() - 1].at.0);
    part(spec, readings, quarter_of(first - 1), quarter_of(last) + 1)
}

fn part(spec: &Spec, readings: &[Reading], from: i64, to: i64) -> Rolled {
    let mut roller = Roller::new(spec, from, usize::try_from(to - from).unwrap());
    readings.iter().for_each(|reading| roller.push(reading));
    roller.finish()
}

fn total(rolled: &Rolled) -> f64 {
    sum(rolled.quarters.iter().map(|quarter| quarter.value))
}

fn covered_ms(rolled: &Rolled) -> i64 {
    rolled.quarters.iter().map(|quarter| i64::from(quarter.covered_ms)).sum()
}

fn electricity() -> model::Series {
    series("energy.electricity", Kind::Counter, "kWh")
}

fn start() -> i64 {
    at("2016-02-28T00:00:00Z")
}

#[test]
fn a_fall_without_an_event_is_neither_negative_nor_invented() {
    check(&[100.0, 130.0, 150.0], 50.0, 0);
    check(&[100.0, 130.0, 5.0, 20.0], 45.0, 1);
    check(&[100.0], 0.0, 0);

    #[track_caller]
    fn check(register: &[f64], used: f64, n_decreases: usize) {
        let readings: Vec<Reading> = (0i64..).zip(register).map(|(i, &v)| reading(start() + i * HOUR, v)).collect();
        let rolled = roll(&Spec::of(&electricity()), &readings);
        assert_eq!(total(&rolled), used, "register {register:?}");
        assert_eq!(rolled.decreases.len(), n_decreases, "register {register:?}");
        let n_pairs = i64::try_from(register.len() - 1 - n_decreases).unwrap();
        assert_eq!(covered_ms(&rolled), n_pairs * HOUR);
    }
}

#[test]
fn an_increment_is_spread_over_the_time_between_its_readings() {
    let readings = [reading(start() + 10 * 60_000, 0.0), reading(start() + 40 * 60_000, 30.0)];
    let rolled = roll(&Spec::of(&electricity()), &readings);
    let values: Vec<f64> = rolled.quarters.iter().map(|quarter| quarter.value).collect();
    assert_eq!(values, [5.0, 15.0, 10.0]);
    assert_eq!(covered_ms(&rolled), 30 * 60_000);
}

#[test]
fn a_gap_longer_than_max_gap_conserves_energy_but_covers_nothing() {
    let mut declared = electricity();
    declared.max_gap_ms = Some(2 * HOUR);
    let readings = [reading(start(), 0.0), reading(start() + HOUR, 1.0), reading(start() + 6 * HOUR, 51.0)];
    let rolled = roll(&Spec::of(&declared), &readings);
    assert_eq!((total(&rolled), covered_ms(&rolled)), (51.0, HOUR));
    let estimated = rolled.quarters.iter().filter(|quarter| quarter.marks & mark::ESTIMATED != 0).count();
    assert_eq!(estimated, 20);
}

#[test]
fn a_rollover_below_half_the_register_is_taken_and_above_needs_an_event() {
    let mut declared = electricity();
    declared.rollover = Some(1_000.0);
    check(&declared, &[990.0, 10.0], 20.0);
    check(&declared, &[400.0, 10.0], 0.0);
    let event = SeriesEvent { at: UnixMillis(start() + 1), what: SeriesEventKind::Rollover };
    declared.events.push(event);
    check(&declared, &[400.0, 10.0], 610.0);

    #[track_caller]
    fn check(declared: &model::Series, register: &[f64], used: f64) {
        let readings: Vec<Reading> = (0i64..).zip(register).map(|(i, &v)| reading(start() + i * HOUR, v)).collect();
        assert_eq!(total(&roll(&Spec::of(declared), &readings)), used, "register {register:?}");
    }
}

#[test]
fn a_meter_swap_counts_both_meters_and_nothing_between() {
    let mut declared = electricity();
    let swap = SeriesEventKind::MeterSwap { last: 130.0, first: 7.0 };
    declared.events.push(SeriesEvent { at: UnixMillis(start() + HOUR / 2), what: swap });
    let readings = [reading(start(), 100.0), reading(start() + HOUR, 12.0)];
    let rolled = roll(&Spec::of(&declared), &readings);
    let values: Vec<f64> = rolled.quarters.iter().map(|quarter| quarter.value).collect();
    assert_eq!(values, [0.0, 15.0, 15.0, 2.5, 2.5, 0.0]);
    assert_eq!(covered_ms(&rolled), HOUR);
    // A reading at the very instant of the swap is the old meter's, unless it shows the new meter's first value.
    for value in [130.0, 7.0] {
        let readings = [reading(start(), 100.0), reading(start() + HOUR / 2, value), reading(start() + HOUR, 12.0)];
        assert_eq!(total(&roll(&Spec::of(&declared), &readings)), 35.0, "{value}");
    }
}

#[test]
fn a_change_of_the_multiplier_splits_the_interval() {
    let mut declared = electricity();
    declared.multiplier = 80.0;
    let change = SeriesEvent { at: UnixMillis(start() + HOUR / 2), what: SeriesEventKind::Multiplier(100.0) };
    declared.events.push(change);
    let readings = [reading(start(), 0.0), reading(start() + HOUR, 10.0)];
    assert_eq!(total(&roll(&Spec::of(&declared), &readings)), 5.0 * 80.0 + 5.0 * 100.0);
}

#[test]
fn a_reset_counts_from_zero_where_the_registry_says_so() {
    let mut declared = electricity();
    declared.on_decrease = OnDecrease::Reset;
    let readings = [reading(start(), 100.0), reading(start() + HOUR, 4.0)];
    assert_eq!(total(&roll(&Spec::of(&declared), &readings)), 4.0);
}

#[test]
fn integers_are_exact_beyond_the_floats() {
    let readings = [u64::MAX - 3, u64::MAX].map(Value::from_u64);
    let of = |i: i64, value| Reading { value: Some(value), ..reading(start() + i * HOUR, 0.0) };
    assert_eq!(total(&roll(&Spec::of(&electricity()), &[of(0, readings[0]), of(1, readings[1])])), 3.0);
}

#[test]
fn a_bad_reading_is_passed_over_and_ends_a_deltas_span() {
    let readings = [reading(start(), 0.0), bad(start() + HOUR), reading(start() + 2 * HOUR, 8.0)];
    let counted = roll(&Spec::of(&electricity()), &readings);
    assert_eq!((total(&counted), covered_ms(&counted)), (8.0, 2 * HOUR));
    let delta = roll(&Spec::of(&series("energy.electricity", Kind::Delta, "kWh")), &readings);
    assert_eq!((total(&delta), covered_ms(&delta)), (8.0, HOUR));
    assert_eq!(delta.quarters[1].value, 0.0);
}

#[test]
fn a_delta_without_a_span_belongs_to_its_last_millisecond() {
    let spec = Spec::of(&series("energy.electricity", Kind::Delta, "MWh"));
    let rolled = roll(&spec, &[reading(start(), 0.5), reading(start() + 48 * HOUR, 1.0)]);
    assert_eq!((total(&rolled), covered_ms(&rolled)), (1_500.0, 0));
    assert_eq!(rolled.quarters[0].value, 500.0);
    assert_eq!(rolled.first, quarter_of(start()) - 1);
}

#[test]
fn pieces_are_never_split_and_share_their_instant_by_id() {
    let mut declared = series("output.good", Kind::Delta, "piece");
    let with_id = |at, value, id: &str| Reading { id: Some(id.into()), ..reading(at, value) };
    let readings = [with_id(start(), 1.0, "a"), with_id(start() + HOUR, 1.0, "b"), with_id(start() + HOUR, 2.0, "c")];
    let rolled = roll(&Spec::of(&declared), &readings);
    let values: Vec<f64> = rolled.quarters.iter().map(|quarter| quarter.value).collect();
    assert_eq!(values, [1.0, 0.0, 0.0, 0.0, 3.0, 0.0]);
    assert_eq!(covered_ms(&rolled), 0);
    declared.declares_max_gap = true;
    declared.max_gap_ms = Some(HOUR);
    assert_eq!(covered_ms(&roll(&Spec::of(&declared), &readings)), HOUR);
}

#[test]
fn a_gauge_is_a_step_that_holds_at_most_max_gap() {
    let mut declared = series("energy.electricity", Kind::Gauge, "W");
    declared.max_gap_ms = Some(HOUR);
    let readings =
        [reading(start(), 2_000.0), reading(start() + HOUR / 2, 4_000.0), reading(start() + 3 * HOUR, 9_000.0)];
    let spec = Spec::of(&declared);
    let rolled = roll(&spec, &readings);
    assert_eq!(spec.amount(total(&rolled)), Some(5.0));
    assert_eq!(covered_ms(&rolled), HOUR + HOUR / 2);
    let shown = Spec::of(&series("power.total", Kind::Gauge, "kW"));
    assert_eq!(shown.amount(1.0), None);
}

#[test]
fn a_duration_has_a_sum_and_a_sketch_but_no_coverage() {
    let spec = Spec::of(&series("time.cycle", Kind::Duration, "min"));
    let rolled = roll(&spec, &[reading(start(), 1.0), reading(start() + 1, 2.0), reading(start() + 2, 3.0)]);
    assert_eq!((total(&rolled), covered_ms(&rolled)), (360.0, 0));
    let n: u64 = rolled.sketches.values().map(Sketch::n).sum();
    assert_eq!(n, 3);
}

fn month_sum(pilot: &model::Pilot, readings: &[Reading], month: &str) -> MonthSum {
    let spec = Spec::of(&pilot.series[0]);
    let calendar = Calendar::of(pilot);
    let rolled = roll(&spec, readings);
    let mut blobs = BTreeMap::new();
    let n = i64::try_from(rolled.quarters.len()).unwrap();
    for number in rolled.first..rolled.first + n {
        let month = utc_month_of(number);
        blobs.entry(month).or_insert_with(|| {
            let mut blob = MonthBlob::empty(month);
            blob.replace(&rolled);
            blob
        });
    }
    let month = MonthNo::of(day(&format!("{month}-01")));
    Adder::new(pilot, &calendar, &pilot.series[0], &spec).add(month, &blobs)
}

#[test]
fn a_month_is_the_zones_and_splits_by_band() {
    let mut pilot = pilot("Asia/Shanghai", vec![electricity()]);
    pilot.tariffs = vec![
        tariff("2015-01-01", &[("peak", 1.0), ("flat", 0.5)], &[("peak", 8, 12)]),
        tariff(
            "2016-02-15",
            &[("sharp", 2.0), ("flat", 0.5), ("valley", 0.2)],
            &[("sharp", 10, 11), ("valley", 22, 6)],
        ),
    ];
    let (from, to) = (at("2016-01-31T16:00:00Z"), at("2016-02-29T16:00:00Z"));
    let hours = i32::try_from((to - from) / HOUR).unwrap();
    let readings: Vec<Reading> =
        (-1..=hours + 1).map(|i| reading(from + i64::from(i) * HOUR, f64::from(i + 1))).collect();
    let sum = month_sum(&pilot, &readings, "2016-02");
    assert_eq!((sum.value, sum.covered_ms), (29.0 * 24.0, 29 * 24 * HOUR), "a leap February");
    let calendar = Calendar::of(&pilot);
    let part = |band: &str, base: &str| {
        let found = sum.parts.iter().find(|part| part.band == calendar.band(band) && part.base == calendar.band(base));
        found.map_or((0.0, 0.0), |part| (part.value, part.cost))
    };
    // 14 days of the first tariff, 15 of the second; its sharp hour is a peak hour of the baseline.
    assert_eq!(part("peak", "peak"), (14.0 * 4.0, 14.0 * 4.0));
    assert_eq!(part("sharp", "peak"), (15.0, 30.0));
    assert_eq!(part("flat", "peak").0, 15.0 * 3.0);
    assert_eq!(part("valley", "flat").0, 15.0 * 8.0);
}

#[test]
fn a_day_of_a_clock_change_has_23_or_25_hours_of_bands() {
    let mut pilot = pilot("Europe/Berlin", vec![electricity()]);
    pilot.tariffs = vec![tariff("2015-01-01", &[("night", 1.0), ("flat", 0.5)], &[("night", 0, 6)])];
    let calendar = Calendar::of(&pilot);
    for (date, n_quarters, n_night) in [("2016-03-27", 92, 20), ("2016-10-30", 100, 28), ("2016-10-31", 96, 24)] {
        let day = calendar.day(day(date));
        let night = day.quarters().filter(|&quarter| day.bands_at(quarter).0 == calendar.band("night")).count();
        assert_eq!((day.quarters().count(), night), (n_quarters, n_night), "{date}");
    }
}

#[test]
fn a_stop_takes_its_covered_time_out() {
    let mut pilot = pilot("Asia/Shanghai", vec![electricity()]);
    pilot.stops.push(model::registry::Stop { from: day("2016-02-02"), to: day("2016-02-03"), reason: "x".into() });
    let from = at("2016-01-31T16:00:00Z");
    let readings: Vec<Reading> = (0..29 * 24).map(|i| reading(from + i64::from(i) * HOUR, f64::from(i))).collect();
    assert_eq!(month_sum(&pilot, &readings, "2016-02").covered_ms, (29 * 24 - 1 - 48) * HOUR);
}

/// Readings of a counter with gaps, a rollover and a swap, and what it really counted.
fn counter_story() -> impl Strategy<Value = (Vec<Reading>, f64)> {
    let step = (1i64..40 * HOUR, 0f64..300.0);
    proptest::collection::vec(step, 2..120).prop_map(|steps| {
        let (mut at, mut register, mut used) = (start() + 17, 500.0, 0.0);
        let mut readings = vec![reading(at, register)];
        for (gap_ms, grown) in steps {
            at += gap_ms;
            used += grown;
            register = (register + grown) % 1_000.0;
            readings.push(reading(at, register));
        }
        (readings, used)
    })
}

proptest! {
    #[test]
    fn energy_is_conserved_and_hours_add_up((readings, used) in counter_story()) {
        let mut declared = electricity();
        declared.rollover = Some(1_000.0);
        declared.max_gap_ms = Some(3 * HOUR);
        let rolled = roll(&Spec::of(&declared), &readings);
        prop_assert!((total(&rolled) - used).abs() <= 1e-9 * used.max(1.0));
        let mut days: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
        for (number, quarters) in (rolled.first.div_euclid(4)..).zip(rolled.quarters.chunks(4)) {
            let hour = sum(quarters.iter().map(|quarter| quarter.value));
            days.entry(number.div_euclid(24)).or_default().0 += hour;
        }
        let hours = sum(days.values().map(|day| day.0));
        prop_assert!((hours - used).abs() <= 1e-9 * used.max(1.0));
    }

    #[test]
    fn rolling_up_a_part_again_gives_the_bits_of_the_whole(
        (readings, _) in counter_story(), kind in 0usize..4, cut in 0.0f64..1.0, width in 1i64..400,
    ) {
        let declared = match kind {
            0 => electricity(),
            1 => series("energy.electricity", Kind::Delta, "kWh"),
            2 => series("energy.electricity", Kind::Gauge, "kW"),
            _ => series("time.cycle", Kind::Duration, "s"),
        };
        let spec = Spec::of(&declared);
        let whole = roll(&spec, &readings);
        let n = whole.quarters.len();
        #[allow(clippy::cast_possible_truncation, reason = "a share of a small count")]
        let from = whole.first + (cut * n as f64) as i64;
        let to = (from + width).min(whole.first + i64::try_from(n).unwrap());
        // Only the readings a part needs: from the last before it to the first at or after its end.
        let (start_ms, end_ms) = (from * QUARTER_MS, to * QUARTER_MS);
        let first = readings.iter().rposition(|reading| reading.at.0 < start_ms).unwrap_or(0);
        let last = readings.iter().position(|reading| reading.at.0 >= end_ms).unwrap_or(readings.len() - 1);
        let again = part(&spec, &readings[first..=last], from, to);
        let offset = usize::try_from(from - whole.first).unwrap();
        let same = again.quarters.iter().zip(&whole.quarters[offset..])
            .all(|(a, b)| a == b && a.value.to_bits() == b.value.to_bits());
        prop_assert!(same);
        prop_assert!(again.sketches.iter().all(|(at, sketch)| whole.sketches.get(at) == Some(sketch)));
        prop_assert!(again.decreases.iter().all(|(at, decrease)| whole.decreases.get(at) == Some(decrease)));
    }

    #[test]
    fn a_blob_reads_back_to_the_bit((readings, _) in counter_story(), kind in 0usize..2) {
        let declared = if kind == 0 { electricity() } else { series("time.cycle", Kind::Duration, "s") };
        let rolled = roll(&Spec::of(&declared), &readings);
        let mut blob = MonthBlob::empty(utc_month_of(rolled.first));
        blob.replace(&rolled);
        let bytes = blob.encode().unwrap();
        prop_assert_eq!(&MonthBlob::decode(blob.month, &bytes).unwrap(), &blob);
        prop_assert!(MonthBlob::decode(blob.month, &bytes[..bytes.len() / 2]).is_err());
    }
}

#[test]
fn a_wrong_version_is_named() {
    insta::assert_snapshot!(MonthBlob::decode(MonthNo(24_180), &[9, 0]).unwrap_err(),
        @"rollup blob has version 9; this program reads version 1");
}

#[test]
fn an_empty_month_is_a_few_bytes() {
    let blob = MonthBlob::empty(MonthNo::containing(UnixMillis(start()), &TimeZone::UTC));
    let bytes = blob.encode().unwrap();
    assert!(bytes.len() < 64, "{}", bytes.len());
    assert!(MonthBlob::decode(blob.month, &bytes).unwrap().is_empty());
    assert_eq!(midnight(day("2016-03-01"), &TimeZone::UTC).0, (first_quarter(blob.month) + 29 * 96) * QUARTER_MS);
}
