//! Which topics we subscribe to: those of the pilots in the registry in force, and no other.

use std::collections::BTreeSet;

use model::Registry;

/// First level of everything Sparkplug.
pub(super) const SPARKPLUG: &str = "spBv1.0/";

/// Filters of the data connection: Pilotline's own topics and the foreign ones that are not Sparkplug's.
pub(super) fn data(registry: &Registry, share: Option<&str>) -> BTreeSet<String> {
    let shared = |filter: String| match share {
        None => filter,
        Some(group) => format!("$share/{group}/{filter}"),
    };
    let of_pilot = |pilot: &std::sync::Arc<model::Pilot>| {
        let own = format!("pilotline/v1/{}/+", pilot.id.as_str());
        let foreign = pilot.topics.iter().map(|topic| topic.to_string()).filter(|topic| !topic.starts_with(SPARKPLUG));
        std::iter::once(own).chain(foreign).map(shared).collect::<Vec<_>>()
    };
    registry.pilots.values().flat_map(of_pilot).collect()
}

/// Whether a pilot has Sparkplug topics.
pub(super) fn has_sparkplug(registry: &Registry) -> bool {
    registry.pilots.values().any(|pilot| pilot.topics.iter().any(|topic| topic.starts_with(SPARKPLUG)))
}
