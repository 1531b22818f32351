//! What `[[sparkplug]]` of a mapping file says of some edge nodes, done to a payload before anything reads it: names lose a
//! folder that stands in births only, quality codes of the sender's own become the standard's.

use model::Quality;

use super::payload::{Payload, Property};
use super::topic::From;
use crate::mapping::Mappings;

/// Adjusts the metrics of one message of this edge node.
pub(super) fn adjust(payload: &mut Payload, from: &From<'_>, mappings: &Mappings) {
    if !mappings.has_sparkplug() {
        return;
    }
    let node = format!("{}/{}", from.group, from.edge);
    for metric in &mut payload.metrics {
        if let Some(name) = metric.name.as_mut()
            && let Ok(text) = std::str::from_utf8(name)
        {
            let n_stripped = text.len() - mappings.sparkplug_rename(&node, text).len();
            name.drain(..n_stripped);
        }
        let properties = metric.properties.iter_mut().flat_map(|set| set.keys.iter().zip(&mut set.values));
        for (_, value) in properties.filter(|(key, _)| key.eq_ignore_ascii_case(b"Quality")) {
            let code = match &value.value {
                Some(Property::Int(code)) => i64::from(*code),
                Some(Property::Long(code)) => i64::try_from(*code).unwrap_or(i64::MAX),
                Some(Property::Float(_) | Property::Double(_) | Property::Text(_)) | None => continue,
            };
            if let Some(quality) = mappings.sparkplug_quality(&node, code) {
                value.value = Some(Property::Int(code_of(quality)));
            }
        }
    }
}

/// The code by which `value::quality` reads this quality: GOOD and BAD of the standard, UNCERTAIN of OPC.
fn code_of(quality: Quality) -> u32 {
    match quality {
        Quality::Good => 192,
        Quality::Uncertain => 64,
        Quality::Bad => 0,
    }
}
