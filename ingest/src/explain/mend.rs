//! The line of the registry that would let a refused reading in, if the gateway is right and the registry is not.

use model::time::EARLIEST;
use model::{Reason, Series, Unit};

use crate::decode::Decoded;
use crate::index::PilotIndex;

/// One line of TOML with where it goes; none where no line of the registry helps.
pub(super) fn mend(reason: Reason, decoded: &Decoded<'_>, pilot: &PilotIndex) -> Option<String> {
    if reason == Reason::UnknownProduct {
        return Some(format!("[[product]] id = {}", quoted(decoded.product.as_deref()?)));
    }
    if reason == Reason::TimeOutOfWindow {
        let (at, earliest) = (decoded.at?, pilot.pilot().earliest);
        return (at < earliest && at >= EARLIEST).then(|| format!("[pilot] earliest = {at}"));
    }
    let slot = pilot.slot(&decoded.asset, &decoded.name)?;
    let series = pilot.resolve(slot, decoded.product.as_deref())?.series;
    if reason == Reason::WrongUnit {
        let unit = Unit::parse(decoded.unit.as_deref().or(decoded.unit_hint.as_deref())?)?;
        return Some(format!(
            "unit = {}, with a quantity that is measured in it, in {}",
            quoted(unit.symbol()),
            of(series)
        ));
    }
    if reason == Reason::Implausible {
        let ([lo, hi], sent) = (series.plausible?, decoded.value?.as_f64());
        let sent = decoded
            .unit
            .as_deref()
            .and_then(Unit::parse)
            .map_or(Some(sent), |unit| unit.convert(sent, &series.unit))?;
        return Some(format!("plausible = [{:?}, {:?}], in {}", lo.min(sent), hi.max(sent), of(series)));
    }
    None
}

fn of(series: &Series) -> String {
    format!("the [[series]] of asset = {}, name = {}", quoted(&series.asset), quoted(&series.name))
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
