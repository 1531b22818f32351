//! The state machine of one edge node: births, sequence, deaths, and when it is asked for a rebirth.
//!
//! Values never wait: what can be named and typed is given at once. The order of `seq` governs only what the node and its
//! devices are, whose births hold, and what is lost.
//!
//! ```text
//! Unknown ──NBIRTH──▶ Online ──NDEATH of its bdSeq──▶ Offline       every state ──NBIRTH──▶ Online
//!                       ├─ missing seq, timeout ────▶ AwaitingBirth
//!                       ├─ NDEATH of another bdSeq, then silence ─▶ Silent
//!                       └─ link to the broker lost ─▶ LinkLost
//! ```
//!
//! Invariants:
//! - edge time is compared with edge time only, and ours with ours;
//! - no deviation of a sender costs a value that can be named and typed;
//! - a message that arrives late never undoes what a later one said.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bumpalo::Bump;
use model::UnixMillis;

use super::births::{Births, DEVICES_MAX, Defined};
use super::payload::{Opened, Payload};
use super::readings::{self, Aliases, BD_SEQ, Notes, Reader, aside};
use super::rebirth::{Asking, RebirthReason};
use super::sequence::{Lost, Placed, Sequence};
use super::status::{Clock, Deviation, Deviations, DeviceState, DeviceStatus, NodeState};
use super::topic::{From, Kind};
use super::{Settings, time, value};
use crate::decode::Message;

/// Most messages that are remembered as having come before their birth: a whole turn of `seq`. Older ones are forgotten, which
/// can only make a gap of what was none.
const EARLY_MAX: usize = 256;
/// How long after an NBIRTH a message with an older payload time counts as one of the run before it, if it is out of order.
/// Longer, and an edge whose clock stepped back would go deaf.
const PREVIOUS_RUN_MS: i64 = 10_000;

/// One message of the node or of one of its devices, as it was opened.
#[derive(Clone, Copy)]
pub(super) struct Heard<'h> {
    pub(super) from: From<'h>,
    pub(super) opened: &'h Opened,
    pub(super) received_at: UnixMillis,
    pub(super) settings: &'h Settings,
    /// Where this node waits within the jitter of rebirth requests.
    pub(super) jitter: i64,
}

/// What follows from a message or from the passing of time.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Effects {
    pub(super) lost: Vec<Lost>,
    /// The node is to be asked for a rebirth then.
    pub(super) ask_at: Option<UnixMillis>,
    /// Time has to be looked at then.
    pub(super) wake_at: Option<UnixMillis>,
    /// Births define something that messages may have needed before.
    pub(super) defines: bool,
}

struct Born {
    /// Edge clock.
    at: Option<UnixMillis>,
    /// Our clock.
    heard_at: UnixMillis,
    bd_seq: Option<u64>,
}

struct Device {
    state: DeviceState,
    since: UnixMillis,
    clock: Clock,
    /// Of the birth or death that says so.
    position: u64,
    /// A birth that came out of order: it may belong to a run whose NBIRTH is still under way. Edge clock, our clock.
    early: Option<(UnixMillis, UnixMillis)>,
}

/// Whether something was refused for want of a birth: births that say the same again then help what came before them, and not
/// every later one.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "one fact of two runs")]
struct Refused {
    /// Between the last NBIRTH and the one before it.
    before: bool,
    /// Since the last NBIRTH.
    now: bool,
}

/// A message that came before something it follows.
struct Early {
    seq: u8,
    at: UnixMillis,
    heard_at: UnixMillis,
}

/// See the module's comment.
pub(super) struct Node {
    pub(super) state: NodeState,
    pub(super) since: Option<UnixMillis>,
    born: Option<Born>,
    sequence: Option<Sequence>,
    early: VecDeque<Early>,
    births: Births,
    devices: BTreeMap<Arc<str>, Device>,
    /// Until when a node that may be dead is waited for.
    probe: Option<UnixMillis>,
    /// When time is looked at next.
    wake_at: Option<UnixMillis>,
    refused: Refused,
    pub(super) asking: Asking,
    pub(super) deviations: Deviations,
    pub(super) n_messages: u64,
    pub(super) n_gaps: u64,
    pub(super) n_lost: u64,
    pub(super) last_at: Option<UnixMillis>,
}

impl Node {
    pub(super) fn new() -> Node {
        Node {
            state: NodeState::Unknown,
            since: None,
            born: None,
            sequence: None,
            early: VecDeque::new(),
            births: Births::default(),
            devices: BTreeMap::new(),
            probe: None,
            wake_at: None,
            refused: Refused::default(),
            asking: Asking::default(),
            deviations: Deviations::default(),
            n_messages: 0,
            n_gaps: 0,
            n_lost: 0,
            last_at: None,
        }
    }

    pub(super) fn bd_seq(&self) -> Option<u64> {
        self.born.as_ref().and_then(|born| born.bd_seq)
    }

    pub(super) fn n_metrics(&self) -> usize {
        self.births.n_metrics()
    }

    pub(super) fn devices(&self) -> Vec<DeviceStatus> {
        let status = |(name, device): (&Arc<str>, &Device)| DeviceStatus {
            device: Arc::clone(name),
            state: device.state,
            since: device.since,
            clock: device.clock,
        };
        self.devices.iter().map(status).collect()
    }

    /// A live message.
    pub(super) fn hear<'a>(&mut self, heard: Heard<'_>, arena: &'a Bump) -> (Message<'a>, Effects) {
        let mut effects = Effects::default();
        self.n_messages += 1;
        self.last_at = Some(heard.received_at);
        if heard.opened.compressed {
            self.deviations.count(Deviation::Compressed);
        }
        let message = match heard.from.kind {
            Kind::NodeDeath => self.node_death(heard, arena, &mut effects),
            Kind::NodeBirth => {
                self.node_birth(heard, &mut effects);
                self.values(heard, Aliases::Known, arena, &mut effects)
            }
            Kind::DeviceBirth | Kind::NodeData | Kind::DeviceData | Kind::DeviceDeath => {
                self.member(heard, arena, &mut effects)
            }
        };
        self.plan_wake(&mut effects);
        (message, effects)
    }

    /// A message that the broker kept: a birth teaches names, and says neither that the node lives nor what it measures now.
    pub(super) fn hear_retained<'a>(&mut self, heard: Heard<'_>, arena: &'a Bump) -> Message<'a> {
        let From { kind, device, .. } = heard.from;
        let payload = &heard.opened.payload;
        if kind.is_data() {
            return self.again(heard, arena);
        }
        if kind.is_birth() {
            self.deviations.count(Deviation::RetainedBirth);
            if self.births.scope(device).is_none() {
                let at = time(payload.timestamp);
                self.births.define(device, &readings::stated(payload), (at, at, 0));
            }
        }
        let n_ignored = u32::try_from(payload.metrics.len()).unwrap_or(u32::MAX);
        aside(kind.as_str(), Some(readings::source(&heard.from, arena)), time(payload.timestamp), n_ignored)
    }

    /// A message that was kept, once more: by what the births in force define, if it is not older than they are.
    pub(super) fn again<'a>(&self, heard: Heard<'_>, arena: &'a Bump) -> Message<'a> {
        let Heard { from, opened, .. } = heard;
        if matches!(from.kind, Kind::NodeDeath | Kind::DeviceDeath) {
            let at = time(opened.payload.timestamp);
            return aside(from.kind.as_str(), Some(readings::source(&from, arena)), at, 0);
        }
        let aliases = if self.births_since(&heard).is_some() { Aliases::Known } else { Aliases::InDoubt };
        let reader = Reader { from, payload: &opened.payload, births: &self.births, aliases, arena };
        reader.read(&mut Notes::default())
    }

    /// Since when the births in force hold that this message can be read by; none if it is older, or there are none.
    pub(super) fn births_since(&self, heard: &Heard<'_>) -> Option<UnixMillis> {
        let since = self.births.scope(heard.from.device).and_then(|scope| scope.since);
        let at = time(heard.opened.payload.timestamp);
        since.filter(|since| at.is_some_and(|at| at >= *since))
    }

    /// A payload that cannot be read.
    pub(super) fn malformed(&mut self, now: UnixMillis, jitter: i64, settings: &Settings) -> Effects {
        let mut effects = Effects::default();
        self.n_messages += 1;
        self.last_at = Some(now);
        self.deviations.count(Deviation::BadPayload);
        self.want(RebirthReason::BadPayload, (now, jitter, settings), &mut effects);
        effects
    }

    /// The values of a message, with what they need of a rebirth.
    fn values<'a>(
        &mut self,
        heard: Heard<'_>,
        aliases: Aliases,
        arena: &'a Bump,
        effects: &mut Effects,
    ) -> Message<'a> {
        let Heard { from, opened, settings, .. } = heard;
        let mut notes = Notes::default();
        let reader = Reader { from, payload: &opened.payload, births: &self.births, aliases, arena };
        let message = reader.read(&mut notes);
        self.deviations.add(&notes.deviations);
        let unknown_alias = notes.deviations.has(Deviation::UnknownAlias);
        let undescribed = notes.deviations.has(Deviation::Undescribed);
        self.refused.now |= unknown_alias || undescribed;
        // While a message is missing it may be the birth that defines them; if it is lost, that is a reason of its own.
        if self.gap_deadline().is_none() && aliases == Aliases::Known {
            let clock = (heard.received_at, heard.jitter, settings);
            if unknown_alias {
                self.want(RebirthReason::UnknownAlias, clock, effects);
            }
            if undescribed {
                self.want(RebirthReason::Undescribed, clock, effects);
            }
        }
        message
    }

    fn gap_deadline(&self) -> Option<UnixMillis> {
        self.sequence.as_ref().and_then(Sequence::deadline)
    }

    fn want(
        &mut self,
        reason: RebirthReason,
        (now, jitter, settings): (UnixMillis, i64, &Settings),
        effects: &mut Effects,
    ) {
        if settings.no_rebirth_for.contains(&reason) {
            return;
        }
        if let Some(due) = self.asking.want(reason, now, jitter) {
            effects.ask_at = Some(due);
        }
    }

    fn node_birth(&mut self, heard: Heard<'_>, effects: &mut Effects) {
        let Heard { opened: Opened { payload, .. }, received_at, settings, jitter, .. } = heard;
        let at = time(payload.timestamp);
        let bd_seq = self.read_bd_seq(payload);
        self.check_node_birth(payload, at, bd_seq);
        let since = received_at.plus(-settings.reorder_timeout_ms);
        let is_of_this_run =
            |when: UnixMillis, heard_at: UnixMillis| at.is_some_and(|at| when >= at) && heard_at >= since;
        self.restart_sequence(payload.seq, at.unwrap_or(received_at), (settings, &is_of_this_run), effects);
        let position = self.position();
        let devices = &mut self.devices;
        self.births.lapse(|name| {
            let early = devices.get(name).and_then(|device| device.early);
            early.is_some_and(|(at, heard_at)| is_of_this_run(at, heard_at))
        });
        for device in devices.values_mut() {
            device.position = 0;
            if device.early.is_none_or(|(at, heard_at)| !is_of_this_run(at, heard_at)) {
                (device.since, device.clock) = (received_at, Clock::Ours);
                device.state = DeviceState::Stale;
            }
            device.early = None;
        }
        let defined = self.births.define(None, &readings::stated(payload), (at, at, position));
        self.born = Some(Born { at, heard_at: received_at, bd_seq });
        (self.state, self.since, self.probe) = (NodeState::Online, Some(received_at), None);
        self.asking.answered();
        self.refused = Refused { before: std::mem::take(&mut self.refused.now), now: false };
        self.defined(defined, (received_at, jitter, settings), effects);
    }

    fn position(&self) -> u64 {
        self.sequence.as_ref().map_or(0, Sequence::position)
    }

    fn check_node_birth(&mut self, payload: &Payload, at: Option<UnixMillis>, bd_seq: Option<u64>) {
        let last_at = self.born.as_ref().and_then(|born| born.at);
        if at.zip(last_at).is_some_and(|(at, last_at)| at < last_at) {
            self.deviations.count(Deviation::ClockBack);
        }
        if at.is_none() {
            self.deviations.count(Deviation::BirthWithoutTime);
        }
        if bd_seq.is_none() {
            self.deviations.count(Deviation::BirthWithoutBdSeq);
        }
        if payload.seq.is_none() {
            self.deviations.count(Deviation::NoSeq);
        }
        let controls = payload.metrics.iter().filter(|metric| metric.name.as_deref() == Some(b"Node Control/Rebirth"));
        if controls.count() == 0 {
            self.deviations.count(Deviation::NoRebirthControl);
        }
    }

    /// The bdSeq of a birth or death, of whatever integer type.
    fn read_bd_seq(&mut self, payload: &Payload) -> Option<u64> {
        const INT64: u32 = 4;
        let metric = payload.metrics.iter().find(|metric| metric.name.as_deref() == Some(BD_SEQ.as_bytes()))?;
        if metric.datatype != Some(INT64) {
            self.deviations.count(Deviation::BdSeqType);
        }
        value::any_unsigned(metric)
    }

    /// Begins the count anew with an NBIRTH, and counts in what came before it but belongs to its run. What the run before it
    /// still missed is lost.
    fn restart_sequence(
        &mut self,
        seq: Option<u64>,
        at: UnixMillis,
        (settings, is_of_this_run): (&Settings, &dyn Fn(UnixMillis, UnixMillis) -> bool),
        effects: &mut Effects,
    ) {
        let early = std::mem::take(&mut self.early);
        let n_early = early.len();
        let moved: Vec<Early> = early.into_iter().filter(|early| is_of_this_run(early.at, early.heard_at)).collect();
        let mut last = self.sequence.take();
        if moved.is_empty() || moved.len() < n_early {
            self.lose(last.as_mut().and_then(Sequence::give_up), effects);
        }
        let Some(seq) = seq else { return };
        let seq = number(seq);
        let mut sequence = last.map_or_else(|| Sequence::starting(seq, at), |last| last.restarted(seq, at));
        for early in moved {
            let deadline = early.heard_at.plus(settings.reorder_timeout_ms);
            let (_, placed) = sequence.take(early.seq, early.at, deadline);
            if matches!(placed, Placed::Ahead(_)) || sequence.deadline().is_some() {
                self.early.push_back(early);
            }
        }
        self.sequence = Some(sequence);
    }

    fn defined(&mut self, defined: Defined, clock: (UnixMillis, i64, &Settings), effects: &mut Effects) {
        match defined {
            Defined::Same => effects.defines |= self.refused.before,
            Defined::Anew => effects.defines = true,
            Defined::Twice => {
                effects.defines = true;
                self.deviations.count(Deviation::AliasTwice);
                self.want(RebirthReason::AliasTwice, clock, effects);
            }
            Defined::TooManyMetrics => self.deviations.count(Deviation::TooManyMetrics),
            Defined::TooManyDevices => self.deviations.count(Deviation::TooManyDevices),
        }
    }

    fn lose(&mut self, lost: Option<Lost>, effects: &mut Effects) {
        if let Some(lost) = lost {
            self.n_lost += u64::from(lost.n_lost);
            effects.lost.push(lost);
        }
    }

    /// A DBIRTH, DDEATH, NDATA or DDATA: counts in `seq`, then does what it says.
    fn member<'a>(&mut self, heard: Heard<'_>, arena: &'a Bump, effects: &mut Effects) -> Message<'a> {
        let Heard { from, opened: Opened { payload, .. }, received_at, .. } = heard;
        self.probe = None;
        if self.is_previous_run(payload, received_at) {
            self.deviations.count(Deviation::PreviousRun);
            return self.values(heard, Aliases::InDoubt, arena, effects);
        }
        let position = self.count_in(payload.seq, heard);
        self.check_alive(heard, effects);
        match from.kind {
            Kind::DeviceBirth => self.device_birth(heard, position, effects),
            Kind::DeviceDeath => return self.device_death(heard, position, arena),
            Kind::NodeBirth | Kind::NodeDeath | Kind::NodeData | Kind::DeviceData => {}
        }
        let births_position = self.births.scope(from.device).map_or(0, |scope| scope.position);
        // Older than the births that changed its aliases: those it meant are gone.
        let is_late = from.kind.is_data() && position < births_position;
        if is_late {
            self.refused.now = true;
        }
        self.values(heard, if is_late { Aliases::InDoubt } else { Aliases::Known }, arena, effects)
    }

    /// Whether a message was sent before the NBIRTH that has overtaken it.
    fn is_previous_run(&self, payload: &Payload, received_at: UnixMillis) -> bool {
        let (Some(born), Some(sequence)) = (&self.born, &self.sequence) else { return false };
        let is_older = time(payload.timestamp).zip(born.at).is_some_and(|(at, born_at)| at < born_at);
        let is_next = payload.seq.is_some_and(|seq| sequence.place(number(seq)).1 == Placed::Next);
        self.state == NodeState::Online
            && is_older
            && payload.seq.is_some()
            && !is_next
            && received_at <= born.heard_at.plus(PREVIOUS_RUN_MS)
    }

    /// Gives the message its place in the sequence.
    fn count_in(&mut self, seq: Option<u64>, heard: Heard<'_>) -> u64 {
        let Heard { opened, received_at, settings, .. } = heard;
        let Some(seq) = seq.map(number) else {
            self.deviations.count(Deviation::NoSeq);
            return self.position();
        };
        let at = time(opened.payload.timestamp).unwrap_or(received_at);
        let Some(sequence) = &mut self.sequence else {
            let sequence = Sequence::starting(seq, at);
            let position = sequence.position();
            self.sequence = Some(sequence);
            self.come_early(Early { seq, at, heard_at: received_at });
            return position;
        };
        let (position, placed) = sequence.take(seq, at, received_at.plus(settings.reorder_timeout_ms));
        let is_gapped = sequence.deadline().is_some();
        match placed {
            Placed::Repeated => self.deviations.count(Deviation::SeqRepeated),
            Placed::Ahead(_) => self.n_gaps += 1,
            Placed::Next | Placed::Late => {}
        }
        if matches!(placed, Placed::Ahead(_)) && self.may_be_reborn() {
            // A dead or unreachable node that leaps has most likely come back with births that were not heard.
            self.births.lapse_all();
        }
        if is_gapped || self.state != NodeState::Online {
            self.come_early(Early { seq, at, heard_at: received_at });
        } else {
            self.early.clear();
        }
        position
    }

    fn come_early(&mut self, early: Early) {
        if self.early.len() == EARLY_MAX {
            self.early.pop_front();
        }
        self.early.push_back(early);
    }

    fn may_be_reborn(&self) -> bool {
        match self.state {
            NodeState::Offline | NodeState::Silent | NodeState::LinkLost => true,
            NodeState::Unknown | NodeState::Online | NodeState::AwaitingBirth => false,
        }
    }

    /// Asks for births where the state says that they are missing.
    fn check_alive(&mut self, heard: Heard<'_>, effects: &mut Effects) {
        let clock = (heard.received_at, heard.jitter, heard.settings);
        let (deviation, reason) = match self.state {
            NodeState::Online => return,
            NodeState::AwaitingBirth => return self.want(RebirthReason::ReorderTimeout, clock, effects),
            NodeState::Offline | NodeState::Silent => (Deviation::DataAfterDeath, RebirthReason::DataAfterDeath),
            NodeState::Unknown | NodeState::LinkLost => (Deviation::BeforeBirth, RebirthReason::BeforeBirth),
        };
        self.deviations.count(deviation);
        self.want(reason, clock, effects);
    }

    fn device_birth(&mut self, heard: Heard<'_>, position: u64, effects: &mut Effects) {
        let Heard { from, opened: Opened { payload, .. }, received_at, settings, jitter, .. } = heard;
        let Some(name) = from.device else { return };
        let at = time(payload.timestamp);
        if at.is_none() {
            self.deviations.count(Deviation::BirthWithoutTime);
        }
        if self.devices.get(name).is_some_and(|device| position < device.position) {
            return;
        }
        let is_early = self.state != NodeState::Online || self.gap_deadline().is_some();
        let early = at.filter(|_| is_early).map(|at| (at, received_at));
        let state = DeviceState::Online;
        let device = Device { state, since: received_at, clock: Clock::Ours, position, early };
        if !self.devices.contains_key(name) && self.devices.len() >= DEVICES_MAX {
            self.deviations.count(Deviation::TooManyDevices);
            return;
        }
        self.devices.insert(Arc::from(name), device);
        let run = self.born.as_ref().and_then(|born| born.at).filter(|_| self.state == NodeState::Online);
        let defined = self.births.define(Some(name), &readings::stated(payload), (at, run, position));
        self.defined(defined, (received_at, jitter, settings), effects);
    }

    fn device_death<'a>(&mut self, heard: Heard<'_>, position: u64, arena: &'a Bump) -> Message<'a> {
        let Heard { from, opened: Opened { payload, .. }, received_at, .. } = heard;
        let at = time(payload.timestamp);
        if at.is_none() {
            self.deviations.count(Deviation::DeathWithoutTime);
        }
        if !payload.metrics.is_empty() {
            self.deviations.count(Deviation::ExtraInDeath);
        }
        let known = from.device.and_then(|name| self.devices.get_mut(name));
        if let Some(device) = known.filter(|device| position >= device.position) {
            let (since, clock) = at.map_or((received_at, Clock::Ours), |at| (at, Clock::Edge));
            *device = Device { state: DeviceState::Offline, since, clock, position, early: None };
        }
        aside(from.kind.as_str(), Some(readings::source(&from, arena)), at, 0)
    }

    fn node_death<'a>(&mut self, heard: Heard<'_>, arena: &'a Bump, effects: &mut Effects) -> Message<'a> {
        let Heard { from, opened: Opened { payload, .. }, received_at, settings, jitter } = heard;
        let at = time(payload.timestamp);
        if at.is_none() {
            self.deviations.count(Deviation::DeathWithoutTime);
        }
        if payload.metrics.iter().any(|metric| metric.name.as_deref() != Some(BD_SEQ.as_bytes())) {
            self.deviations.count(Deviation::ExtraInDeath);
        }
        let bd_seq = self.read_bd_seq(payload);
        if bd_seq.is_none() {
            self.deviations.count(Deviation::DeathWithoutBdSeq);
        }
        let is_alive = matches!(self.state, NodeState::Online | NodeState::AwaitingBirth);
        if is_alive && bd_seq.is_some() && bd_seq == self.bd_seq() {
            self.end(NodeState::Offline, received_at);
        } else if is_alive {
            self.deviations.count(Deviation::BdSeqMismatch);
            self.probe.get_or_insert(received_at.plus(settings.probe_timeout_ms));
            self.want(RebirthReason::DeathMismatch, (received_at, jitter, settings), effects);
        }
        aside(from.kind.as_str(), Some(readings::source(&from, arena)), at, 0)
    }

    /// The node and its devices are no longer known to live, as of our clock.
    fn end(&mut self, state: NodeState, now: UnixMillis) {
        (self.state, self.since, self.probe) = (state, Some(now), None);
        for device in self.devices.values_mut() {
            if device.state != DeviceState::Offline {
                (device.state, device.since, device.clock) = (DeviceState::Offline, now, Clock::Ours);
            }
        }
    }

    /// The link to the node's broker is lost: it may be born again before the link is back.
    pub(super) fn link_lost(&mut self, now: UnixMillis) {
        self.asking.forget();
        self.births.lapse_all();
        if self.state == NodeState::Online || self.state == NodeState::AwaitingBirth {
            (self.state, self.since, self.probe) = (NodeState::LinkLost, Some(now), None);
            for device in self.devices.values_mut().filter(|device| device.state == DeviceState::Online) {
                (device.state, device.since, device.clock) = (DeviceState::Stale, now, Clock::Ours);
            }
        }
    }

    /// Time has come to `now`: gaps that stay and probes without answer.
    pub(super) fn wake(&mut self, woken: UnixMillis, (now, jitter, settings): (UnixMillis, i64, &Settings)) -> Effects {
        let mut effects = Effects::default();
        if self.wake_at == Some(woken) {
            self.wake_at = None;
        }
        let lost = self.sequence.as_mut().and_then(|sequence| sequence.expire(now));
        if lost.is_some() {
            self.early.clear();
            self.lose(lost, &mut effects);
            if self.state == NodeState::Online {
                (self.state, self.since) = (NodeState::AwaitingBirth, Some(now));
            }
            if self.state == NodeState::AwaitingBirth {
                self.want(RebirthReason::ReorderTimeout, (now, jitter, settings), &mut effects);
            }
        }
        if self.probe.is_some_and(|probe| probe <= now) {
            self.end(NodeState::Silent, now);
        }
        self.plan_wake(&mut effects);
        effects
    }

    /// Sees to it that time is looked at when something runs out.
    fn plan_wake(&mut self, effects: &mut Effects) {
        let Some(next) = self.gap_deadline().into_iter().chain(self.probe).min() else { return };
        if self.wake_at.is_none_or(|planned| next < planned) {
            self.wake_at = Some(next);
            effects.wake_at = Some(next);
        }
    }
}

/// `seq` modulo 256: some clients count on.
fn number(seq: u64) -> u8 {
    seq.to_le_bytes()[0]
}
