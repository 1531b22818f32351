//! The topics below `spBv1.0/`.
//!
//! An id is any text without `+`, `/` and `#`. The old forms of STATE are told apart from an edge node's topics before those
//! are read, so that a client of Sparkplug 2.2 is never called malformed.

use crate::decode::shown;

/// What an edge node says, or the certificate of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    NodeBirth,
    NodeDeath,
    NodeData,
    DeviceBirth,
    DeviceDeath,
    DeviceData,
}

impl Kind {
    /// The level of the topic.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::NodeBirth => "NBIRTH",
            Kind::NodeDeath => "NDEATH",
            Kind::NodeData => "NDATA",
            Kind::DeviceBirth => "DBIRTH",
            Kind::DeviceDeath => "DDEATH",
            Kind::DeviceData => "DDATA",
        }
    }

    pub(super) fn is_birth(self) -> bool {
        matches!(self, Kind::NodeBirth | Kind::DeviceBirth)
    }

    pub(super) fn is_data(self) -> bool {
        matches!(self, Kind::NodeData | Kind::DeviceData)
    }
}

/// Where a message of an edge node or of one of its devices came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct From<'a> {
    pub(super) kind: Kind,
    pub(super) group: &'a str,
    pub(super) edge: &'a str,
    /// Of the kinds of a device, and only of these.
    pub(super) device: Option<&'a str>,
}

/// One topic below `spBv1.0/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic<'a> {
    Edge(From<'a>),
    /// STATE of a host, in the form of today or an old one.
    State,
    /// NCMD or DCMD: of another host, or our own come back.
    Command,
}

/// Reads a topic; the error says what would be right.
pub(super) fn parse(topic: &str) -> Result<Topic<'_>, String> {
    let mut levels = topic.split('/');
    let (first, group, kind, edge, device) =
        (levels.next(), levels.next(), levels.next(), levels.next(), levels.next());
    if group == Some("STATE") || kind == Some("STATE") {
        return Ok(Topic::State);
    }
    let bad = |why: &str| Err(format!("topic {}: {why}", shown(topic)));
    let (Some("spBv1.0"), Some(group), Some(kind), Some(edge), None) = (first, group, kind, edge, levels.next()) else {
        return bad(
            "`spBv1.0/<group>/<type>/<edge node>` or, of a device, `spBv1.0/<group>/<type>/<edge node>/<device>` is expected",
        );
    };
    let (kind, of_device) = match kind {
        "NBIRTH" => (Kind::NodeBirth, false),
        "NDEATH" => (Kind::NodeDeath, false),
        "NDATA" => (Kind::NodeData, false),
        "DBIRTH" => (Kind::DeviceBirth, true),
        "DDEATH" => (Kind::DeviceDeath, true),
        "DDATA" => (Kind::DeviceData, true),
        "NCMD" | "DCMD" => return Ok(Topic::Command),
        _ => return bad("the type is none of NBIRTH, NDEATH, NDATA, DBIRTH, DDEATH, DDATA, NCMD, DCMD"),
    };
    if of_device != device.is_some() {
        return bad("the types that begin with D name a device as fifth level, and only these do");
    }
    for id in [Some(group), Some(edge), device].into_iter().flatten() {
        if id.is_empty() || id.contains(['+', '#']) {
            return bad("an id is text without `+`, `/` and `#`, and not empty");
        }
    }
    Ok(Topic::Edge(From { kind, group, edge, device }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_nodes_and_devices_are_read() {
        for (topic, kind, group, edge, device) in [
            ("spBv1.0/Plant1/NBIRTH/GW", Kind::NodeBirth, "Plant1", "GW", None),
            (
                "spBv1.0/Sparkplug B Devices/NBIRTH/Raspberry Pi",
                Kind::NodeBirth,
                "Sparkplug B Devices",
                "Raspberry Pi",
                None,
            ),
            ("spBv1.0/一车间/DDATA/网关/冲床", Kind::DeviceData, "一车间", "网关", Some("冲床")),
            ("spBv1.0/g/DDEATH/e/d", Kind::DeviceDeath, "g", "e", Some("d")),
        ] {
            assert_eq!(parse(topic), Ok(Topic::Edge(From { kind, group, edge, device })), "{topic}");
            assert_eq!(topic.split('/').nth(2), Some(kind.as_str()));
        }
    }

    #[test]
    fn every_form_of_state_and_the_commands_of_others_are_known() {
        for topic in ["spBv1.0/STATE/scada", "spBv1.0/g/STATE/scada", "STATE/scada", "spBv1.0/STATE"] {
            let expected = if topic == "STATE/scada" { None } else { Some(Topic::State) };
            assert_eq!(parse(topic).ok(), expected, "{topic}");
        }
        for topic in ["spBv1.0/g/NCMD/e", "spBv1.0/g/DCMD/e/d"] {
            assert_eq!(parse(topic), Ok(Topic::Command), "{topic}");
        }
    }

    #[test]
    fn what_is_no_topic_of_sparkplug_is_refused_with_what_would_be_right() {
        for (topic, hint) in [
            ("spBv1.0/g/NBIRTH", "is expected"),
            ("spBv1.0/g/NBIRTH/e/d", "fifth level"),
            ("spBv1.0/g/DDATA/e", "fifth level"),
            ("spBv1.0/g/DDATA/e/d/x", "is expected"),
            ("spBv1.0/g/XDATA/e", "none of"),
            ("spBv1.0//NDATA/e", "not empty"),
            ("spBv1.0/g/NDATA/e#", "without"),
            ("spBv1.0/", "is expected"),
        ] {
            let error = parse(topic).unwrap_err();
            assert!(error.contains(hint), "{topic}: {error}");
        }
    }
}
