//! Judges one reading or one order event against its pilot's registry: names, product, series, unit, value, time.
//!
//! The checks stand in one fixed order and the first that fails is the reason. Nothing here changes the catalogue but
//! [`Checker::judge`], which gives an accepted reading the number of its series.

use std::cell::Cell;
use std::sync::Arc;

use model::id::NameError;
use model::registry::Ignore;
use model::time::{EARLIEST, FUTURE_MS_MAX};
use model::{
    Flags, Kind, OrderEvent, Quantity, Reading, Reason, Series, SeriesKey, Unit, UnixMillis, Value, check_name,
};
use store::Store;

use super::Judged;
use crate::Observation;
use crate::decode::{Decoded, DecodedOrder, Refused, shown, shown_number};
use crate::index::{Full, Names, PilotIndex, SentUnit, Slot, Target};

/// What all parts of one message have in common.
pub(crate) struct Checker<'a> {
    pilot: &'a PilotIndex,
    received_at: UnixMillis,
    message_at: Option<UnixMillis>,
    /// What the reading flags say because of how the message came.
    flags: Flags,
    receipt: Receipt,
    /// The asset looked up last: most messages speak of one.
    last_asset: Cell<Option<(&'a str, &'a Names)>>,
}

/// Whether the time of receipt may stand in for a missing time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Receipt {
    StandsIn,
    /// A retained message may be any age.
    SaysNothing,
}

/// A reading that passed, with the series that it goes to.
pub(crate) enum Taken<'a> {
    Registered {
        target: Target<'a>,
        reading: Reading,
        sent: SentUnit,
    },
    /// Stored as sent.
    Unregistered(Reading),
    Ignored(&'a Ignore),
}

/// A reason and what would be right, before the place is put in front.
type Verdict = (Reason, String);

impl<'a> Checker<'a> {
    pub(crate) fn new(pilot: &'a PilotIndex, observation: &Observation, message_at: Option<UnixMillis>) -> Checker<'a> {
        let flags = if observation.qos == 0 { Flags::QOS0 } else { Flags::default() };
        let receipt = if observation.retained { Receipt::SaysNothing } else { Receipt::StandsIn };
        let (received_at, last_asset) = (observation.received_at, Cell::default());
        Checker { pilot, received_at, message_at, flags, receipt, last_asset }
    }

    /// With these flags on every reading besides.
    pub(crate) fn remarking(mut self, flags: Flags) -> Checker<'a> {
        self.flags = self.flags.with(flags);
        self
    }

    /// For a reading that was stored as sent: its time was checked against its receipt when it came.
    pub(crate) fn again(pilot: &'a PilotIndex, reading: &Reading) -> Checker<'a> {
        let (received_at, flags) = (reading.at, reading.flags);
        let last_asset = Cell::default();
        Checker { pilot, received_at, message_at: None, flags, receipt: Receipt::SaysNothing, last_asset }
    }

    /// For a reading that a person states at `now`.
    pub(crate) fn by_hand(pilot: &'a PilotIndex, now: UnixMillis) -> Checker<'a> {
        let (flags, last_asset) = (Flags::default(), Cell::default());
        Checker { pilot, received_at: now, message_at: None, flags, receipt: Receipt::SaysNothing, last_asset }
    }

    /// What is declared under this asset and name, whatever the product; if anything is, both are good names.
    fn slot(&self, asset: &str, name: &str) -> Option<&'a Slot> {
        let last = self.last_asset.get().filter(|(last, _)| *last == asset);
        let (_, names) = last.or_else(|| {
            self.last_asset.set(self.pilot.names(asset));
            self.last_asset.get()
        })?;
        names.get(name)
    }

    /// Whether the registry declares the series of this reading.
    pub(crate) fn is_registered(&self, decoded: &Decoded<'_>) -> bool {
        let slot = self.slot(&decoded.asset, &decoded.name);
        slot.is_some_and(|slot| self.pilot.resolve(slot, decoded.product.as_deref()).is_some())
    }

    /// Checks a reading of a series that is registered; changes nothing.
    pub(crate) fn registered_reading(&self, decoded: &Decoded<'_>) -> Result<Reading, Refused> {
        match self.reading(decoded)? {
            Taken::Registered { reading, .. } => Ok(reading),
            Taken::Unregistered(_) => Err(self.unknown_series(decoded)),
            Taken::Ignored(_) => Err(refused_reading(
                decoded,
                Reason::UnknownSeries,
                "an `[[ignore]]` drops it; take one of the two out",
            )),
        }
    }

    /// Checks a reading and gives it the number of its series.
    pub(crate) fn judge(&self, decoded: &Decoded<'_>, store: &Store) -> Judged {
        match self.reading(decoded) {
            Ok(Taken::Ignored(_)) => Judged::Ignored,
            Ok(Taken::Registered { target, reading, .. }) => {
                match self.pilot.number(&target, decoded.product.as_deref(), store) {
                    Ok(series) => Judged::Reading(series, reading),
                    Err(full) => Judged::Refused(too_many(decoded, full, "registered")),
                }
            }
            Ok(Taken::Unregistered(reading)) => {
                let key = self.unregistered_key(decoded);
                let unit = decoded.unit.as_deref().or(decoded.unit_hint.as_deref());
                match self.pilot.number_unregistered(&key, unit, store) {
                    Ok(series) => Judged::Unregistered(series, reading, self.unknown_series(decoded)),
                    Err(full) => Judged::Refused(too_many(decoded, full, "unregistered")),
                }
            }
            Err(refused) => Judged::Refused(refused),
        }
    }

    /// Checks a reading; changes nothing.
    pub(crate) fn reading(&self, decoded: &Decoded<'_>) -> Result<Taken<'a>, Refused> {
        self.reading_verdict(decoded).map_err(|(reason, detail)| refused_reading(decoded, reason, &detail))
    }

    fn reading_verdict(&self, decoded: &Decoded<'_>) -> Result<Taken<'a>, Verdict> {
        let (asset, name) = (&*decoded.asset, &*decoded.name);
        let slot = self.slot(asset, name);
        if slot.is_none() {
            good_name("asset", asset)?;
            good_name("name", name)?;
        }
        if let Some(ignore) = self.pilot.ignored_by(asset, name) {
            return Ok(Taken::Ignored(ignore));
        }
        self.product(decoded.product.as_deref())?;
        if let Some(id) = &decoded.id {
            good_name("id", id)?;
        }
        match slot.and_then(|slot| self.pilot.resolve(slot, decoded.product.as_deref())) {
            Some(target) => self.registered(decoded, target),
            None => Ok(Taken::Unregistered(self.finish(decoded, None, decoded.value)?)),
        }
    }

    fn product(&self, product: Option<&str>) -> Result<(), Verdict> {
        let Some(product) = product else { return Ok(()) };
        if !self.pilot.takes_product(product) {
            let known: Vec<&str> = self.pilot.pilot().products.iter().map(|product| &*product.id).take(10).collect();
            let detail = format!("product {} is not in the registry; it lists {}", shown(product), known.join(", "));
            return Err((Reason::UnknownProduct, detail));
        }
        good_name("product", product)
    }

    fn registered(&self, decoded: &Decoded<'_>, target: Target<'a>) -> Result<Taken<'a>, Verdict> {
        let series = target.series;
        let (value, sent) = in_declared_unit(decoded, series)?;
        let reading = self.finish(decoded, Some(series.kind), value)?;
        Ok(Taken::Registered { target, reading, sent })
    }

    /// The time, the id and the flags.
    fn finish(&self, decoded: &Decoded<'_>, kind: Option<Kind>, value: Option<Value>) -> Result<Reading, Verdict> {
        let (at, flags) = self.time(decoded.at, kind)?;
        let id = decoded.id.as_deref().map(Arc::from);
        Ok(Reading { at, value, quality: decoded.quality, flags, id })
    }

    fn time(&self, own: Option<UnixMillis>, kind: Option<Kind>) -> Result<(UnixMillis, Flags), Verdict> {
        if let Some(at) = own.or(self.message_at) {
            return Ok((self.in_window(at)?, self.flags));
        }
        match (kind, self.receipt) {
            (Some(Kind::Counter | Kind::Gauge), Receipt::StandsIn) => {
                Ok((self.in_window(self.received_at)?, self.flags.with(Flags::RECEIVED_TIME)))
            }
            (_, Receipt::SaysNothing) => {
                Err(no_time("no `at`, and a retained message may be of any age; send `at`".to_owned()))
            }
            (Some(kind), Receipt::StandsIn) => {
                let detail = format!("no `at`; a {} needs one, here or on the message", kind.as_str());
                Err(no_time(detail))
            }
            (None, Receipt::StandsIn) => {
                Err(no_time(
                    "no `at`, which a series that is not registered needs; send one, or register the series as counter or gauge, \
                     for which the time of receipt stands in, and run `pilotline rejected --replay`"
                        .to_owned(),
                ))
            }
        }
    }

    fn in_window(&self, at: UnixMillis) -> Result<UnixMillis, Verdict> {
        let from = self.pilot.pilot().earliest.max(EARLIEST);
        let to = self.received_at.plus(FUTURE_MS_MAX);
        if at >= from && at <= to {
            return Ok(at);
        }
        let mut detail = format!("`at` is {}; instants from {from} to {to} (receipt + 10 min) are taken", instant(at));
        if at < from && at >= EARLIEST {
            detail.push_str("; [pilot] earliest in the pilot's file is where they begin");
        }
        Err((Reason::TimeOutOfWindow, detail))
    }

    /// Checks an order event.
    pub(crate) fn order(&self, decoded: &DecodedOrder<'_>) -> Result<OrderEvent, Refused> {
        self.order_verdict(decoded).map_err(|(reason, detail)| {
            let detail = format!("order {}: {detail}", shown(&decoded.order));
            Refused { reason, detail, is_timed: decoded.at.is_some() }
        })
    }

    fn order_verdict(&self, decoded: &DecodedOrder<'_>) -> Result<OrderEvent, Verdict> {
        good_name("order", &decoded.order)?;
        self.product(decoded.product.as_deref())?;
        let DecodedOrder { quantity, good, defective, .. } = *decoded;
        for (field, pieces) in [("quantity", quantity), ("good", good), ("defective", defective)] {
            if let Some(pieces) = pieces.filter(|pieces| *pieces < 0.0) {
                return Err((Reason::Implausible, format!("`{field}` is {pieces:?}; pieces are never negative")));
            }
        }
        let at = decoded
            .at
            .or(self.message_at)
            .ok_or_else(|| no_time("no `at`; an order event needs one, here or on the message".to_owned()))?;
        Ok(OrderEvent {
            order: Arc::from(&*decoded.order),
            product: decoded.product.as_deref().map(Arc::from),
            event: decoded.event,
            at: self.in_window(at)?,
            quantity,
            good,
            defective,
        })
    }

    fn unregistered_key(&self, decoded: &Decoded<'_>) -> SeriesKey {
        SeriesKey {
            pilot: self.pilot.pilot().id.clone(),
            asset: Arc::from(&*decoded.asset),
            name: Arc::from(&*decoded.name),
            product: decoded.product.as_deref().map(Arc::from),
        }
    }

    pub(crate) fn unknown_series(&self, decoded: &Decoded<'_>) -> Refused {
        let pilot = self.pilot.pilot();
        let detail = format!(
            "no such series in `{}.toml`; kept as sent until it is registered (`pilotline rejected --suggest` prints the lines)",
            pilot.id
        );
        refused_reading(decoded, Reason::UnknownSeries, &detail)
    }
}

fn refused_reading(decoded: &Decoded<'_>, reason: Reason, detail: &str) -> Refused {
    let detail = format!("asset {}, name {}: {detail}", shown(&decoded.asset), shown(&decoded.name));
    Refused { reason, detail, is_timed: decoded.at.is_some() }
}

fn too_many(decoded: &Decoded<'_>, Full(max): Full, what: &str) -> Refused {
    let detail = format!("the pilot has {max} {what} series already; register, ignore or rename them");
    refused_reading(decoded, Reason::TooManySeries, &detail)
}

fn no_time(detail: String) -> Verdict {
    (Reason::NoTime, detail)
}

fn good_name(field: &str, name: &str) -> Result<(), Verdict> {
    check_name(name).map_err(|error: NameError| (Reason::BadField, format!("`{field}` {error}")))
}

/// An instant as text; numbers beyond the calendar of RFC 3339 as they are.
fn instant(at: UnixMillis) -> String {
    const YEAR_0: i64 = -62_167_219_200_000;
    const YEAR_10000: i64 = 253_402_300_800_000;
    if (YEAR_0..YEAR_10000).contains(&at.0) { at.to_string() } else { format!("{} ms", at.0) }
}

/// The value of a registered reading, in the declared unit, once its id, unit and size are right.
pub(crate) fn in_declared_unit(
    decoded: &Decoded<'_>,
    series: &Series,
) -> Result<(Option<Value>, SentUnit), (Reason, String)> {
    allowed_id(decoded.id.as_deref(), series.kind)?;
    let hint = decoded.unit_hint.as_deref().filter(|hint| Unit::parse(hint).is_some());
    let unit = decoded.unit.as_deref().or(hint);
    let sent = SentUnit::of(unit, &series.unit);
    let value = converted(decoded.value, unit.unwrap_or_default(), sent, &series.unit)?;
    if let Some(value) = value {
        plausible(value, series)?;
    }
    Ok((value, sent))
}

fn allowed_id(id: Option<&str>, kind: Kind) -> Result<(), Verdict> {
    match (id, kind) {
        (Some(id), Kind::Counter | Kind::Gauge) => {
            let detail = format!("`id` is {}; a {} has none, only deltas and durations do", shown(id), kind.as_str());
            Err((Reason::BadField, detail))
        }
        (Some(_), Kind::Delta | Kind::Duration) | (None, _) => Ok(()),
    }
}

fn converted(value: Option<Value>, sent: &str, unit: SentUnit, declared: &Unit) -> Result<Option<Value>, Verdict> {
    let dimension = declared.dimension().as_str();
    match unit {
        SentUnit::Declared => Ok(value),
        SentUnit::Unknown => {
            let detail = format!("unit {} is not known; the series is declared in {declared}", shown(sent));
            Err((Reason::WrongUnit, detail))
        }
        SentUnit::OtherDimension(other) => {
            let other = other.dimension().as_str();
            let detail = format!(
                "unit {} measures {other}, but the series is declared in {declared} ({dimension})",
                shown(sent)
            );
            Err((Reason::WrongUnit, detail))
        }
        SentUnit::Converts(from) => {
            let Some(value) = value else { return Ok(None) };
            let into = from.convert(value.as_f64(), declared).and_then(Value::from_f64);
            into.map(Some).ok_or_else(|| {
                let value = shown_number(value);
                (Reason::NotFinite, format!("{value} {from} is no finite number of {declared}; send it in {declared}"))
            })
        }
    }
}

fn plausible(value: Value, series: &Series) -> Result<(), Verdict> {
    let (number, unit) = (value.as_f64(), &series.unit);
    let implausible =
        |wanted: String| Err((Reason::Implausible, format!("{} {unit} is implausible; {wanted}", shown_number(value))));
    if let Some([lo, hi]) = series.plausible
        && !(lo..=hi).contains(&number)
    {
        return implausible(format!("the registry says {lo:?} to {hi:?} {unit}"));
    }
    if matches!(series.quantity, Quantity::Output(_)) && number < 0.0 {
        return implausible("pieces are never negative".to_owned());
    }
    if series.kind == Kind::Duration && number <= 0.0 {
        return implausible("a duration is greater than 0".to_owned());
    }
    Ok(())
}
