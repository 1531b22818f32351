//! Who sends and who does not: what the page "gateways" and `/api/v1/gateways` answer "why does nothing arrive?" with.
//!
//! What was heard comes from the doors through [`super::Site::heard`], since the start of the process; what was missed in a
//! gateway's own numbering, and when a series last had a reading, come from the store and outlive a restart.
//!
//! Invariant: a view holds nothing that its viewer may not see.

use std::collections::{BTreeMap, BTreeSet};

use model::programme::Label;
use model::{Pilot, PilotId, Registry, UnixMillis};
use serde::Serialize;
use store::{CatalogueEntry, Registration, StoreError};

use super::access::Viewer;
use super::pages::view::GatewayGaps;
use super::{Door, Site, api};

/// Silence shorter than this is never remarked.
const SILENCE_MS_MIN: i64 = 5 * 60_000;
/// A source is silent after this many of its usual intervals.
const SILENT_INTERVALS: i64 = 10;
/// A source that sent once only has no usual interval: it is silent after a day.
const SILENCE_MS_UNKNOWN: i64 = 86_400_000;
/// Unregistered series listed for a pilot; beyond it the count says how many there are.
const UNREGISTERED_SHOWN: usize = 100;

/// What a source is called, by its dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// The gateway of a Pilotline v1 topic.
    Gateway,
    /// An edge node of Sparkplug B, as `group/edge node`.
    EdgeNode,
    /// Anything else, by its topic.
    Topic,
    /// All that came once the doors told no more sources apart.
    Others,
}

/// Whether a source does what it should; those that need a person come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// Its last message was refused whole.
    Refused,
    /// Parts of its last message were refused, or are of a series that nobody registered.
    Partly,
    /// It said itself, or its edge node's death said, that it is gone.
    Offline,
    /// No message for ten of its usual intervals.
    Silent,
    /// Known from earlier, and not heard since the start of the process.
    Unheard,
    Sending,
}

impl SourceState {
    /// Every state, in the order of the enum.
    pub const ALL: [SourceState; 6] = [
        SourceState::Refused,
        SourceState::Partly,
        SourceState::Offline,
        SourceState::Silent,
        SourceState::Unheard,
        SourceState::Sending,
    ];

    /// The word that API and metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            SourceState::Refused => "refused",
            SourceState::Partly => "partly",
            SourceState::Offline => "offline",
            SourceState::Silent => "silent",
            SourceState::Unheard => "unheard",
            SourceState::Sending => "sending",
        }
    }
}

/// What became of a source's last message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LastMessage {
    Taken,
    Partly,
    Refused,
}

/// What a source last had refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastRefusal {
    pub at: UnixMillis,
    pub topic: String,
    pub reason: &'static str,
    pub detail: String,
}

/// What a liveness message said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Liveness {
    pub online: bool,
    pub at: UnixMillis,
}

/// One device of an edge node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EdgeDevice {
    pub name: String,
    /// `online`, `offline` or `stale`.
    pub state: &'static str,
    pub since: UnixMillis,
}

/// What is known of an edge node beside its messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EdgeNode {
    /// `unknown`, `online`, `awaiting_birth`, `offline`, `silent` or `link_lost`.
    pub state: &'static str,
    pub since: Option<UnixMillis>,
    /// Whose clock dates `since`: `host` or `edge`.
    pub clock: &'static str,
    pub bd_seq: Option<u64>,
    /// Metrics that its births defined.
    pub metrics: usize,
    pub devices: Vec<EdgeDevice>,
    /// Where it strays from the standard, and how often.
    pub deviations: BTreeMap<&'static str, u64>,
    pub rebirths_asked: u64,
    pub rebirths_answered: u64,
}

impl EdgeNode {
    fn is_gone(&self) -> bool {
        matches!(self.state, "offline" | "silent" | "link_lost")
    }
}

/// One source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Source {
    pub pilot: Option<PilotId>,
    /// `listener`, or the name of a broker.
    pub door: String,
    pub kind: SourceKind,
    pub name: String,
    /// The MQTT client that sent last; none behind a broker.
    pub client: Option<String>,
    pub login: Option<String>,
    /// Whether that client is connected now; none behind a broker.
    pub connected: Option<bool>,
    pub first_at: Option<UnixMillis>,
    pub last_at: Option<UnixMillis>,
    /// Messages a minute, over about the last five.
    pub per_minute: f64,
    pub messages: u64,
    /// Messages refused whole.
    pub rejected: u64,
    pub readings: u64,
    pub orders: u64,
    pub ignored: u64,
    /// Holes in its own numbering, and messages in them.
    pub gaps: u64,
    pub missing: u64,
    /// Refused messages and parts of messages, by reason.
    pub refusals: BTreeMap<&'static str, u64>,
    pub last_refusal: Option<LastRefusal>,
    pub last_message: LastMessage,
    pub liveness: Option<Liveness>,
    pub edge_node: Option<EdgeNode>,
}

impl Source {
    /// A gateway that is known by its numbering only.
    fn unheard(gaps: &GatewayGaps) -> Source {
        Source {
            pilot: Some(gaps.pilot.clone()),
            door: String::new(),
            kind: SourceKind::Gateway,
            name: gaps.gateway.to_string(),
            client: None,
            login: None,
            connected: None,
            first_at: None,
            last_at: None,
            per_minute: 0.0,
            messages: 0,
            rejected: 0,
            readings: 0,
            orders: 0,
            ignored: 0,
            gaps: gaps.gaps,
            missing: gaps.missing,
            refusals: BTreeMap::new(),
            last_refusal: None,
            last_message: LastMessage::Taken,
            liveness: None,
            edge_node: None,
        }
    }

    fn state_sending(&self) -> SourceState {
        if self.last_message == LastMessage::Partly { SourceState::Partly } else { SourceState::Sending }
    }

    /// What it is in now. An edge node that lives reports changes only: its silence is no gap.
    fn state_at(&self, now: UnixMillis) -> SourceState {
        let (Some(first), Some(last)) = (self.first_at, self.last_at) else { return SourceState::Unheard };
        if self.last_message == LastMessage::Refused {
            return SourceState::Refused;
        }
        let says_offline = self.liveness.is_some_and(|liveness| !liveness.online);
        // What only says that it lives, or teaches names, has no interval to keep.
        let says_online = self.liveness.is_some_and(|liveness| liveness.online);
        let is_aside = self.readings + self.orders == 0 && self.refusals.is_empty();
        match &self.edge_node {
            Some(edge) if edge.is_gone() => return SourceState::Offline,
            Some(edge) if edge.state == "online" => return self.state_sending(),
            Some(_) | None if says_offline => return SourceState::Offline,
            None if says_online || is_aside => return self.state_sending(),
            Some(_) | None => {}
        }
        let n_intervals = i64::try_from(self.messages.saturating_sub(1)).unwrap_or(i64::MAX);
        let usual = (last.0 - first.0).checked_div(n_intervals);
        let patience =
            usual.map_or(SILENCE_MS_UNKNOWN, |usual| SILENCE_MS_MIN.max(usual.saturating_mul(SILENT_INTERVALS)));
        if now.0.saturating_sub(last.0) > patience { SourceState::Silent } else { self.state_sending() }
    }
}

/// A source as it stands at the instant of a view.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceRow {
    pub state: SourceState,
    #[serde(flatten)]
    pub source: Source,
}

/// A client that is connected to the listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Connection {
    pub client: String,
    pub login: Option<String>,
    pub pilot: Option<PilotId>,
    pub since: UnixMillis,
    #[serde(skip)]
    pub has_sent: bool,
}

/// Connections of one client that were turned away for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedConnection {
    pub client: String,
    pub login: Option<String>,
    /// What was wrong, and what would let it in.
    pub why: &'static str,
    pub times: u64,
    pub last_at: UnixMillis,
}

/// Whether a pilot's sources, or with none those of no pilot, are wanted.
pub type Wants<'a> = &'a dyn Fn(Option<&PilotId>) -> bool;

/// What the doors heard.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heard {
    /// None where no door is open.
    pub since: Option<UnixMillis>,
    pub sources: Vec<Source>,
    pub connections: Vec<Connection>,
    pub refused_connections: Vec<RefusedConnection>,
}

/// A pilot from which nothing was heard.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnheardPilot {
    pub pilot: PilotId,
    pub name: Label,
    /// Topics that it is listened to on.
    pub topics: Vec<String>,
    /// Latest instant of any accepted reading or order event, of all time.
    pub last_reading: Option<UnixMillis>,
}

/// One series and its latest reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeriesHeard {
    pub asset: String,
    pub name: String,
    pub product: Option<String>,
    /// None if nobody registered it: its readings are kept and count nowhere.
    pub quantity: Option<String>,
    pub last_at: Option<UnixMillis>,
}

/// The series of one pilot: those registered, then those that nobody registered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SeriesOfPilot {
    pub registered: Vec<SeriesHeard>,
    pub unregistered: Vec<SeriesHeard>,
    pub n_unregistered: usize,
}

/// The page "gateways", of all visible pilots or of one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GatewaysView {
    pub since: Option<UnixMillis>,
    pub as_of: UnixMillis,
    pub pilot: Option<PilotId>,
    /// Names of the pilots in sight.
    #[serde(skip)]
    pub names: BTreeMap<PilotId, Label>,
    pub doors: Vec<Door>,
    /// Those that need a person first.
    pub sources: Vec<SourceRow>,
    pub unheard: Vec<UnheardPilot>,
    /// Clients that are connected and have sent nothing.
    pub idle_connections: Vec<Connection>,
    pub refused_connections: Vec<RefusedConnection>,
    /// Only with one pilot.
    pub series: Option<SeriesOfPilot>,
}

impl GatewaysView {
    /// How many sources are in a state.
    pub fn n_in(&self, state: SourceState) -> usize {
        self.sources.iter().filter(|source| source.state == state).count()
    }
}

/// What a viewer may see; none if `asked` names a pilot that is unknown or foreign.
pub(crate) fn read(
    site: &Site,
    viewer: &Viewer,
    asked: Option<&PilotId>,
    now: UnixMillis,
) -> Result<Option<GatewaysView>, StoreError> {
    let registry = site.registry.get();
    let one = asked.map(|id| registry.pilots.get(id).filter(|pilot| viewer.sees(pilot)));
    if matches!(one, Some(None)) {
        return Ok(None);
    }
    let wants = |pilot: Option<&PilotId>| match (asked, pilot) {
        (Some(asked), pilot) => pilot == Some(asked),
        (None, Some(pilot)) => viewer.sees_id(pilot, &registry),
        (None, None) => viewer.sees_all(),
    };
    let heard = (site.heard)(&wants);
    let mut sources = heard.sources;
    // The doors may hand in more than was wanted.
    sources.retain(|source| wants(source.pilot.as_ref()));
    let mut sequences = site.store.sequences()?;
    sequences.retain(|ranges| wants(Some(&ranges.pilot)));
    with_gaps(&mut sources, api::gaps(&sequences));
    let unheard = unheard(site, &registry, &sources, &wants)?;
    let judged = sources.into_iter().map(|source| SourceRow { state: source.state_at(now), source });
    let mut sources: Vec<SourceRow> = judged.collect();
    sources.sort_by(|a, b| (a.state, &a.source.pilot, &a.source.name).cmp(&(b.state, &b.source.pilot, &b.source.name)));
    let is_idle = |connection: &Connection| !connection.has_sent && wants(connection.pilot.as_ref());
    let idle_connections = heard.connections.into_iter().filter(is_idle).collect();
    let refused_connections = if viewer.sees_all() && asked.is_none() { heard.refused_connections } else { vec![] };
    let visible = registry.pilots.values().filter(|pilot| wants(Some(&pilot.id)));
    Ok(Some(GatewaysView {
        since: heard.since,
        as_of: now,
        pilot: asked.cloned(),
        names: visible.map(|pilot| (pilot.id.clone(), pilot.name.clone())).collect(),
        doors: (site.health)().doors,
        unheard,
        sources,
        idle_connections,
        refused_connections,
        series: one.flatten().map(|pilot| series(site, pilot)).transpose()?,
    }))
}

/// How many sources of all pilots are in each state; empty where no door is open, because then nobody listens.
pub(crate) fn in_states(site: &Site, gaps: Vec<GatewayGaps>, now: UnixMillis) -> Vec<(SourceState, usize)> {
    let heard = (site.heard)(&|_anybody| true);
    if heard.since.is_none() {
        return Vec::new();
    }
    let mut sources = heard.sources;
    with_gaps(&mut sources, gaps);
    let mut counts: BTreeMap<SourceState, usize> = SourceState::ALL.map(|state| (state, 0)).into();
    for source in &sources {
        *counts.entry(source.state_at(now)).or_default() += 1;
    }
    counts.into_iter().collect()
}

/// Adds what is missing in the gateways' numbering, and the gateways that are known by it alone.
fn with_gaps(sources: &mut Vec<Source>, gaps: Vec<GatewayGaps>) {
    let mut gaps: BTreeMap<(PilotId, String), GatewayGaps> =
        gaps.into_iter().map(|gaps| ((gaps.pilot.clone(), gaps.gateway.to_string()), gaps)).collect();
    for source in sources.iter_mut().filter(|source| source.kind == SourceKind::Gateway) {
        let found = source.pilot.clone().and_then(|pilot| gaps.remove(&(pilot, source.name.clone())));
        if let Some(found) = found {
            (source.gaps, source.missing) = (found.gaps, found.missing);
        }
    }
    sources.extend(gaps.values().map(Source::unheard));
}

/// Pilots of which no source has anything accepted or refused since the start.
fn unheard(
    site: &Site,
    registry: &Registry,
    sources: &[Source],
    wants: &impl Fn(Option<&PilotId>) -> bool,
) -> Result<Vec<UnheardPilot>, StoreError> {
    let heard: BTreeSet<&PilotId> =
        sources.iter().filter(|source| source.last_at.is_some()).filter_map(|source| source.pilot.as_ref()).collect();
    let silent = registry.pilots.values().filter(|pilot| wants(Some(&pilot.id)) && !heard.contains(&pilot.id));
    let row = |pilot: &std::sync::Arc<Pilot>| {
        let own = format!("pilotline/v1/{}/<gateway>", pilot.id);
        Ok(UnheardPilot {
            pilot: pilot.id.clone(),
            name: pilot.name.clone(),
            topics: std::iter::once(own).chain(pilot.topics.iter().cloned()).collect(),
            last_reading: site.store.data_cutoff(&pilot.id)?,
        })
    };
    silent.map(row).collect()
}

fn series(site: &Site, pilot: &Pilot) -> Result<SeriesOfPilot, StoreError> {
    let catalogue = site.store.catalogue_of(&pilot.id);
    let mut of_pilot = SeriesOfPilot::default();
    for declared in &pilot.series {
        let is_same = |entry: &&CatalogueEntry| {
            entry.registration == Registration::Registered
                && entry.key.asset == declared.asset
                && entry.key.name == declared.name
                && (declared.product.is_none() || entry.key.product == declared.product)
        };
        let ends = catalogue.iter().filter(is_same).map(|entry| last_reading(site, entry));
        of_pilot.registered.push(SeriesHeard {
            asset: declared.asset.to_string(),
            name: declared.name.to_string(),
            product: declared.product.as_deref().map(str::to_owned),
            quantity: Some(declared.quantity.to_string()),
            last_at: ends.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().max(),
        });
    }
    let is_unregistered = |entry: &&CatalogueEntry| {
        let key = &entry.key;
        entry.registration != Registration::Registered
            && pilot.resolve(&key.asset, &key.name, key.product.as_deref()).is_none()
    };
    let unregistered: Vec<&CatalogueEntry> = catalogue.iter().filter(is_unregistered).collect();
    of_pilot.n_unregistered = unregistered.len();
    for entry in unregistered.into_iter().take(UNREGISTERED_SHOWN) {
        of_pilot.unregistered.push(SeriesHeard {
            asset: entry.key.asset.to_string(),
            name: entry.key.name.to_string(),
            product: entry.key.product.as_deref().map(str::to_owned),
            quantity: None,
            last_at: last_reading(site, entry)?,
        });
    }
    Ok(of_pilot)
}

fn last_reading(site: &Site, entry: &CatalogueEntry) -> Result<Option<UnixMillis>, StoreError> {
    Ok(site.store.span(entry.id)?.map(|(_, last)| last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(first: i64, last: i64, messages: u64) -> Source {
        let gaps = GatewayGaps {
            pilot: PilotId::parse("p").unwrap(),
            gateway: model::GatewayId::parse("g").unwrap(),
            gaps: 0,
            missing: 0,
        };
        let (first_at, last_at) = (Some(UnixMillis(first * 60_000)), Some(UnixMillis(last * 60_000)));
        Source { first_at, last_at, messages, readings: messages, ..Source::unheard(&gaps) }
    }

    fn edge(state: &'static str) -> EdgeNode {
        EdgeNode {
            state,
            since: None,
            clock: "host",
            bd_seq: None,
            metrics: 0,
            devices: vec![],
            deviations: BTreeMap::new(),
            rebirths_asked: 0,
            rebirths_answered: 0,
        }
    }

    #[track_caller]
    fn check(source: &Source, minute: i64, expected: SourceState) {
        assert_eq!(source.state_at(UnixMillis(minute * 60_000)), expected);
    }

    #[test]
    fn silence_is_measured_in_a_sources_own_intervals() {
        let minutely = source(0, 100, 101);
        check(&minutely, 109, SourceState::Sending);
        check(&minutely, 111, SourceState::Silent);
        let hourly = source(0, 600, 11);
        check(&hourly, 1_199, SourceState::Sending);
        check(&hourly, 1_201, SourceState::Silent);
        // Ten times a second is no reason to shout after a second.
        let fast = source(0, 1, 601);
        check(&fast, 5, SourceState::Sending);
        check(&fast, 7, SourceState::Silent);
        check(&source(0, 0, 1), 24 * 60, SourceState::Sending);
        check(&source(0, 0, 1), 24 * 60 + 1, SourceState::Silent);
    }

    #[test]
    fn a_living_edge_node_may_be_silent_and_a_dead_one_is_offline() {
        let with = |state| Source { edge_node: Some(edge(state)), ..source(0, 1, 100) };
        check(&with("online"), 10_000, SourceState::Sending);
        for state in ["offline", "silent", "link_lost"] {
            check(&with(state), 1, SourceState::Offline);
        }
        check(&with("awaiting_birth"), 1, SourceState::Sending);
        check(&with("unknown"), 10_000, SourceState::Silent);
    }

    #[test]
    fn what_was_refused_last_comes_before_everything() {
        let last = |last_message| Source { last_message, ..source(0, 1, 2) };
        check(&last(LastMessage::Partly), 1, SourceState::Partly);
        check(&last(LastMessage::Partly), 100, SourceState::Silent);
        let refused = Source { last_message: LastMessage::Refused, edge_node: Some(edge("online")), ..source(0, 1, 2) };
        check(&refused, 1, SourceState::Refused);
        let said = |online| Source { liveness: Some(Liveness { online, at: UnixMillis(0) }), ..source(0, 1, 2) };
        check(&said(false), 1, SourceState::Offline);
        check(&said(true), 1, SourceState::Sending);
        check(&said(true), 1_000_000, SourceState::Sending);
        // A topic that only teaches names is sent once.
        check(&Source { readings: 0, ..source(0, 1, 2) }, 1_000_000, SourceState::Sending);
        check(&Source { first_at: None, last_at: None, ..source(0, 0, 0) }, 1, SourceState::Unheard);
        assert!(SourceState::ALL.is_sorted());
    }
}
