//! Readings, hourly rollups and figures as points: the schema that dashboards are written against (`deploy/influx-schema.md`).
//!
//! A point's identity is measurement, tags and time. Readings of one series and instant that differ by id lie in sub-slots of
//! their millisecond: the time in ns is the instant in ms × 1,000,000 plus [`slots`].
//!
//! Invariants:
//! - the same data give the same lines, whatever was sent before: sending again changes nothing;
//! - a value comes back bit for bit: as the float `value`, and where a float cannot say it also as the text `exact`;
//! - tags are nothing finer than the series.

use std::sync::Arc;

use jiff::tz::TimeZone;
use model::{Figure, PeriodKind, Reading, SeriesKey, Standing, State, UnixMillis, Value};
use sha2::{Digest, Sha256};
use store::{Change, Correction};

use super::line::{Field, NotALine, Point};
use crate::RollupRow;

pub(crate) const READING: &str = "reading";
pub(crate) const ROLLUP_HOUR: &str = "rollup_hour";
pub(crate) const FIGURE: &str = "figure";

/// Nanoseconds in a millisecond, and so sub-slots of an instant.
const SLOTS: i64 = 1_000_000;

/// What a server can keep beside numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    Everything,
    /// Text fields would become 0: they are left out.
    NumbersOnly,
}

/// Whether readings that were made void are marked, because the server cannot take a point away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Void {
    IsGone,
    IsMarked,
}

/// A line, or why there is none.
pub(crate) type Made = Result<String, NotALine>;

/// The tags of a series.
fn tags<'a>(key: &'a SeriesKey, unit: Option<&'a str>) -> Vec<(&'static str, &'a str)> {
    let mut tags = vec![("asset", &*key.asset), ("name", &*key.name), ("pilot", key.pilot.as_str())];
    tags.extend(key.product.as_deref().map(|product| ("product", product)));
    tags.extend(unit.filter(|unit| !unit.is_empty()).map(|unit| ("unit", unit)));
    tags
}

/// The sub-slot of each id of one instant, in the order given: 0 without id, else 1 + (the first eight bytes of its SHA-256,
/// big-endian) modulo 999,999. Where two ids meet, the one later in order takes the next free slot.
pub(crate) fn slots(ids: &[Option<Arc<str>>]) -> Vec<i64> {
    let mut taken = Vec::with_capacity(ids.len());
    for id in ids {
        let mut slot = id.as_deref().map_or(0, slot_of);
        while taken.contains(&slot) {
            slot = 1 + slot % (SLOTS - 1);
        }
        taken.push(slot);
    }
    taken
}

fn slot_of(id: &str) -> i64 {
    let digest = Sha256::digest(id.as_bytes());
    let first = digest.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let slot = first % SLOTS.unsigned_abs().saturating_sub(1);
    1 + i64::try_from(slot).unwrap_or(0)
}

/// What stands or was made void at one identity.
enum Known<'a> {
    Stands(&'a Reading, Option<&'a Correction>),
    Void(&'a Correction),
}

impl Known<'_> {
    fn identity(&self) -> (UnixMillis, Option<Arc<str>>) {
        match self {
            Known::Stands(reading, _) => (reading.at, reading.id.clone()),
            Known::Void(correction) => (correction.at, correction.id.clone()),
        }
    }
}

/// The lines of the readings of a span; `readings` and `corrections` (the latest of each identity) in order of identity,
/// each instant whole.
pub(crate) fn reading_lines(
    key: &SeriesKey,
    readings: &[Reading],
    corrections: &[Correction],
    (keeps, void): (Keeps, Void),
    lines: &mut Vec<Made>,
) {
    let correction_of = |reading: &Reading| {
        let start = corrections.partition_point(|correction| correction.at < reading.at);
        let mut of_instant = corrections.iter().skip(start).take_while(|correction| correction.at == reading.at);
        of_instant.find(|correction| correction.id == reading.id)
    };
    let stands = readings.iter().map(|reading| Known::Stands(reading, correction_of(reading)));
    let is_void = |correction: &&Correction| correction.change == Change::Void;
    // Its slot is taken by a void reading too, so that its neighbours keep theirs.
    let mut known: Vec<Known<'_>> = stands.chain(corrections.iter().filter(is_void).map(Known::Void)).collect();
    known.sort_by_key(Known::identity);
    let at = |known: &Known<'_>| known.identity().0;
    for instant in known.chunk_by(|a, b| at(a) == at(b)) {
        let ids: Vec<_> = instant.iter().map(|known| known.identity().1).collect();
        for (known, slot) in instant.iter().zip(slots(&ids)) {
            lines.extend(reading_line(key, known, slot, (keeps, void)));
        }
    }
}

fn reading_line(key: &SeriesKey, known: &Known<'_>, slot: i64, (keeps, void): (Keeps, Void)) -> Option<Made> {
    let at = known.identity().0;
    let exact;
    let mut fields = Vec::new();
    match known {
        Known::Void(_) if void == Void::IsGone => return None,
        Known::Void(correction) => {
            fields.push(("void", Field::Bool(true)));
            fields.extend(correction.id.as_deref().map(|id| ("id", Field::Text(id))));
        }
        Known::Stands(reading, correction) => {
            fields.extend(reading.value.map(|value| ("value", Field::Float(value.as_f64()))));
            exact = reading.value.and_then(exact_text);
            fields.extend(exact.as_deref().map(|exact| ("exact", Field::Text(exact))));
            fields.push(("quality", Field::Text(reading.quality.as_str())));
            fields.push(("flags", Field::Int(i64::from(reading.flags.0))));
            fields.extend(reading.id.as_deref().map(|id| ("id", Field::Text(id))));
            if correction.is_some() && void == Void::IsMarked {
                fields.push(("void", Field::Bool(false)));
            }
        }
    }
    let at_ns = at.0.saturating_mul(SLOTS).saturating_add(slot);
    line((READING, tags(key, None)), fields, at_ns, keeps)
}

/// The digits of a value that its nearest float does not say; [`Value::parse`] reads it back.
fn exact_text(value: Value) -> Option<String> {
    /// Integers of a float are exact below this.
    const FLOAT_EXACT: f64 = 9_007_199_254_740_992.0;
    let float = value.as_f64();
    let says = float.abs() < FLOAT_EXACT && Value::from_f64(float) == Some(value);
    if says {
        return None;
    }
    Some(match value {
        Value::Int(int) => int.to_string(),
        Value::UInt(int) => int.to_string(),
        Value::Float(float) => format!("{float:?}"),
    })
}

fn line(
    (measurement, tags): (&'static str, Vec<(&'static str, &str)>),
    mut fields: Vec<(&'static str, Field<'_>)>,
    at_ns: i64,
    keeps: Keeps,
) -> Option<Made> {
    if keeps == Keeps::NumbersOnly {
        fields.retain(|(_, field)| !matches!(field, Field::Text(_)));
        if fields.is_empty() {
            return None;
        }
    }
    Some(Point { measurement, tags, fields, at_ns }.line())
}

/// The lines of hourly rollups.
pub(crate) fn hour_lines(key: &SeriesKey, rows: &[RollupRow], keeps: Keeps, lines: &mut Vec<Made>) {
    for row in rows {
        let floats = [
            ("value", row.value),
            ("coverage", row.coverage),
            ("integral", row.integral),
            ("sum", row.sum),
            ("p50", row.p50),
            ("p90", row.p90),
        ];
        let mut fields = floats_of(&floats);
        fields.push(("n", Field::Int(i64::try_from(row.n).unwrap_or(i64::MAX))));
        let at_ns = row.start.0.saturating_mul(SLOTS);
        lines.extend(line((ROLLUP_HOUR, tags(key, Some(&row.unit))), fields, at_ns, keeps));
    }
}

fn floats_of<'a>(floats: &[(&'static str, Option<f64>)]) -> Vec<(&'static str, Field<'a>)> {
    floats.iter().filter_map(|&(name, value)| Some((name, Field::Float(value?)))).collect()
}

/// The lines of the figures of a scope and indicator.
pub(crate) fn figure_lines(figures: &[Figure], keeps: Keeps, lines: &mut Vec<Made>) {
    for figure in figures {
        let (scope, indicator) = (figure.scope.to_string(), figure.indicator.to_string());
        let kind = match figure.period.kind() {
            PeriodKind::Month => "month",
            PeriodKind::Quarter => "quarter",
            PeriodKind::Year => "year",
        };
        let tags = vec![("indicator", &*indicator), ("period_kind", kind), ("scope", &*scope)];
        let [lower, upper] = figure.ci.unwrap_or_default();
        let mut fields = floats_of(&[
            ("reduction", figure.reduction),
            ("ci_lower", lower),
            ("ci_upper", upper),
            ("actual", figure.actual),
            ("adjusted_baseline", figure.adjusted_baseline),
            ("output", figure.output),
            ("coverage", figure.coverage),
            ("target", figure.target),
        ]);
        let period = serde_json::to_value(figure.period).unwrap_or_default();
        fields.push(("state", Field::Text(state_word(figure.state))));
        fields.extend(figure.standing.map(|standing| ("standing", Field::Text(standing_word(standing)))));
        fields.extend(period.as_str().map(|period| ("period", Field::Text(period))));
        fields.extend(figure.version.map(|version| ("version", Field::Int(i64::from(version)))));
        let at_ns = start_of(figure).0.saturating_mul(SLOTS);
        lines.extend(line((FIGURE, tags), fields, at_ns, keeps));
    }
}

/// The time of a figure's point: the start of its period in UTC, the same for every zone.
pub(crate) fn start_of(figure: &Figure) -> UnixMillis {
    figure.period.window(&TimeZone::UTC).start
}

/// Whether what is sent of `new` leaves something of `old` standing that is no longer true: a period that is gone, or a
/// field that has no value any more.
pub(crate) fn leaves_remains(old: &[Figure], new: &[Figure]) -> bool {
    let held = |figure: &Figure| {
        let [lower, upper] = figure.ci.unwrap_or_default();
        [
            figure.reduction.is_some(),
            lower.is_some(),
            upper.is_some(),
            figure.actual.is_some(),
            figure.adjusted_baseline.is_some(),
            figure.output.is_some(),
            figure.coverage.is_some(),
            figure.target.is_some(),
            figure.standing.is_some(),
        ]
    };
    old.iter().any(|before| match new.iter().find(|after| after.period == before.period) {
        None => true,
        Some(after) => held(before).into_iter().zip(held(after)).any(|(before, after)| before && !after),
    })
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Final => "final",
        State::Provisional => "provisional",
        State::Insufficient => "insufficient",
    }
}

fn standing_word(standing: Standing) -> &'static str {
    match standing {
        Standing::Achieved => "achieved",
        Standing::Ahead => "ahead",
        Standing::OnTrack => "on_track",
        Standing::AtRisk => "at_risk",
        Standing::Behind => "behind",
        Standing::Insufficient => "insufficient",
    }
}

#[cfg(test)]
mod tests {
    use model::{Flags, PilotId, Quality};
    use proptest::prelude::*;

    use super::*;
    use crate::projection::fake::{Typed, parse_line};

    fn key() -> SeriesKey {
        let pilot = PilotId::parse("p-1").unwrap();
        SeriesKey { pilot, asset: "press 1".into(), name: "good".into(), product: Some("A".into()) }
    }

    fn reading(at: i64, value: Value, id: Option<&str>) -> Reading {
        let (quality, flags) = (Quality::Good, Flags::QOS0);
        Reading { at: UnixMillis(at), value: Some(value), quality, flags, id: id.map(Into::into) }
    }

    fn correction(at: i64, id: Option<&str>, change: Change) -> Correction {
        Correction {
            number: 1,
            series: model::SeriesId(0),
            at: UnixMillis(at),
            id: id.map(Into::into),
            change,
            author: "Li".into(),
            reason: "r".into(),
            made_at: UnixMillis(0),
            was: None,
            superseded_by: None,
        }
    }

    fn lines(readings: &[Reading], corrections: &[Correction], how: (Keeps, Void)) -> Vec<String> {
        let mut lines = Vec::new();
        reading_lines(&key(), readings, corrections, how, &mut lines);
        lines.into_iter().map(Result::unwrap).collect()
    }

    #[test]
    fn a_reading_is_a_point_with_its_quality_and_id_as_fields() {
        insta::assert_snapshot!(lines(&[reading(1_000, Value::Int(5), Some("x"))], &[], (Keeps::Everything, Void::IsGone))[0],
            @r#"reading,asset=press\ 1,name=good,pilot=p-1,product=A value=5.0,quality="good",flags=2i,id="x" 1000634174"#);
    }

    #[test]
    fn readings_of_one_instant_are_kept_apart_and_keep_their_slot() {
        let id = |id: &str| Some(Arc::<str>::from(id));
        assert_eq!(slots(&[None, id("a"), id("b")]), [slots(&[None])[0], slots(&[id("a")])[0], slots(&[id("b")])[0]]);
        assert_eq!(slots(&[None]), [0]);
        let many: Vec<_> = (0..3_000).map(|n| id(&n.to_string())).collect();
        let distinct: std::collections::BTreeSet<i64> = slots(&many).into_iter().collect();
        assert_eq!(distinct.len(), many.len(), "3,000 ids meet in a million slots, and are kept apart");
        assert!(distinct.iter().all(|slot| (1..SLOTS).contains(slot)));
    }

    #[test]
    fn a_void_reading_is_gone_where_points_can_be_taken_away_and_marked_elsewhere() {
        let void = [correction(1_000, Some("x"), Change::Void)];
        assert_eq!(lines(&[], &void, (Keeps::Everything, Void::IsGone)), Vec::<String>::new());
        let marked = lines(&[], &void, (Keeps::Everything, Void::IsMarked));
        insta::assert_snapshot!(marked[0], @r#"reading,asset=press\ 1,name=good,pilot=p-1,product=A void=true,id="x" 1000634174"#);
        let back = [correction(1_000, Some("x"), Change::Withdraw)];
        let stands = lines(&[reading(1_000, Value::Int(5), Some("x"))], &back, (Keeps::NumbersOnly, Void::IsMarked));
        insta::assert_snapshot!(stands[0], @r#"reading,asset=press\ 1,name=good,pilot=p-1,product=A value=5.0,flags=2i,void=false 1000634174"#);
    }

    proptest! {
        #[test]
        fn a_value_comes_back_bit_for_bit(int in any::<i64>(), unsigned in any::<u64>(), bits in any::<u64>()) {
            let values = [Some(Value::Int(int)), Some(Value::from_u64(unsigned)), Value::from_f64(f64::from_bits(bits))];
            for value in values.into_iter().flatten() {
                let line = &lines(&[reading(1, value, None)], &[], (Keeps::Everything, Void::IsGone))[0];
                let point = parse_line(line).unwrap();
                let back = match (&point.fields.get("exact"), &point.fields["value"]) {
                    (Some(Typed::Text(exact)), _) => Value::parse(exact),
                    (_, Typed::Float(float)) => Value::from_f64(*float),
                    other => panic!("{other:?}"),
                };
                prop_assert_eq!(back, Some(value), "{}", line);
            }
        }
    }
}
