//! From an observation to readings, order events and refusals. Stateless: a message means the same whatever came before it.
//!
//! The topic and the identity decide the pilot, `decode` takes the payload apart, and `check` judges each reading and
//! order event against the registry. A refusal never stops its neighbours: the message is accepted if anything of it is.
//!
//! Invariants:
//! - every reading and order event ends as exactly one of accepted, ignored or refused; one of an unregistered series is
//!   accepted and also named in `refusals` as `unknown_series`;
//! - no clock: the time of receipt is an argument.

pub(crate) mod check;
#[cfg(test)]
pub(crate) mod fixture;

use bumpalo::Bump;
use model::reason::{Refusal, RefusedPart};
use model::{Flags, GatewayId, OrderEvent, Pilot, PilotId, Reading, Reason, SeriesId, UnixMillis};
use store::SequenceSeen;

use self::check::Checker;
use crate::decode::{self, Message, Refused, Undecodable, shown};
use crate::hub;
use crate::import;
use crate::index::{Index, PilotIndex};
use crate::mapping;
use crate::sparkplug;
use crate::{Identity, Observation};

/// What every topic of Pilotline v1 begins with.
pub(crate) const TOPIC_PREFIX: &str = "pilotline/v1/";
/// What every topic of Pilotline, of any version, begins with.
const OWN_PREFIX: &str = "pilotline/";
/// What every topic of Sparkplug B 3.0 begins with.
pub(crate) const SPARKPLUG_PREFIX: &str = "spBv1.0/";

/// Whether a message comes for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It moves what remembers: edge nodes, dictionaries.
    Live,
    /// It was kept, or is only explained: it moves nothing.
    Again,
}

/// What became of one message.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// At least one reading or event was accepted; what was refused inside is in `refusals`.
    Accepted(Accepted),
    /// Nothing of it was accepted.
    Rejected(Rejected),
}

/// An accepted message. It may hold nothing, if everything in it is to be ignored.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "two facts of one message that do not exclude each other")]
pub struct Accepted {
    /// Whose message it is; none only in a default.
    pub pilot: Option<PilotId>,
    pub readings: Vec<(SeriesId, Reading)>,
    pub orders: Vec<(PilotId, OrderEvent)>,
    /// In order of readings, then orders. One of `unknown_series` names a reading that is also among `readings`.
    pub refusals: Vec<Refusal>,
    pub sequence: Option<SequenceSeen>,
    /// Whether every reading and event has a time of its own or of its message, so that the hash may mark duplicates.
    pub is_timed: bool,
    /// Readings that an `[[ignore]]` dropped, and values that the sender marked as not to be kept.
    pub ignored: u32,
    /// Its bytes teach a dictionary and have to outlive a restart.
    pub teaches: bool,
    /// What a liveness message says of its sender.
    pub alive: Option<bool>,
}

/// A rejected message; the first refusal is the reason it is counted under.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    pub pilot: Option<PilotId>,
    pub refusals: Vec<Refusal>,
    pub sequence: Option<SequenceSeen>,
}

/// Decodes and normalizes one message.
pub fn normalize(observation: &Observation, identity: &Identity, index: &Index) -> Outcome {
    let arena = Bump::new();
    let opened = match open(observation, identity, index, &arena, Passage::Live) {
        Ok(opened) => opened,
        Err(rejected) => return Outcome::Rejected(rejected),
    };
    let decode::Origin { teaches, carries_state, alive, n_ignored: ignored, .. } = opened.message.origin;
    let mut accepted = Accepted { is_timed: opened.is_timed(), teaches, ignored, alive, ..Accepted::default() };
    accepted.readings.reserve_exact(opened.message.readings.len());
    let (pilot, sequence) = (opened.address.pilot.pilot().id.clone(), opened.sequence());
    opened.judge_each(|part, judged| accepted.take(&pilot, part, judged));
    let is_empty = accepted.readings.is_empty() && accepted.orders.is_empty() && !carries_state;
    if is_empty && !accepted.refusals.is_empty() {
        return Outcome::Rejected(Rejected { pilot: Some(pilot), refusals: accepted.refusals, sequence });
    }
    Outcome::Accepted(Accepted { pilot: Some(pilot), sequence, ..accepted })
}

impl Accepted {
    fn take(&mut self, pilot: &PilotId, part: RefusedPart, judged: Judged) {
        match judged {
            Judged::Reading(series, reading) => self.readings.push((series, reading)),
            Judged::Unregistered(series, reading, refused) => {
                self.readings.push((series, reading));
                self.refusals.push(refused.at(part));
            }
            Judged::Order(event) => self.orders.push((pilot.clone(), event)),
            Judged::Ignored => self.ignored += 1,
            Judged::Refused(refused) => self.refusals.push(refused.at(part)),
        }
    }
}

/// What became of one reading or order event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Judged {
    Reading(SeriesId, Reading),
    /// Kept as sent, and counted as refused `unknown_series`.
    Unregistered(SeriesId, Reading, Refused),
    Order(OrderEvent),
    Ignored,
    Refused(Refused),
}

impl Refused {
    /// As a refusal of this part of its message.
    pub(crate) fn at(self, part: RefusedPart) -> Refusal {
        Refusal { reason: self.reason, part, detail: self.detail }
    }
}

/// A message whose pilot is known and whose payload is decoded; its parts are not judged yet.
pub(crate) struct Opened<'a> {
    pub(crate) address: Address<'a>,
    pub(crate) message: Message<'a>,
    pub(crate) checker: Checker<'a>,
    pub(crate) index: &'a Index,
}

/// The pilot of a message, and the gateway that a Pilotline v1 topic names.
#[derive(Clone, Copy)]
pub(crate) struct Address<'a> {
    pub(crate) pilot: &'a PilotIndex,
    pub(crate) gateway: Option<&'a str>,
}

/// Finds the pilot and decodes the payload; all that refuses a message as a whole happens here.
pub(crate) fn open<'a>(
    observation: &'a Observation,
    identity: &Identity,
    index: &'a Index,
    arena: &'a Bump,
    passage: Passage,
) -> Result<Opened<'a>, Rejected> {
    let address = match observation.topic.starts_with(OWN_PREFIX) {
        true => address(&observation.topic, identity, index)?,
        false => foreign_address(&observation.topic, identity, index)?,
    };
    let pilot = address.pilot.pilot();
    let decoded = match address.gateway {
        Some(_) => decode::decode(&observation.payload),
        None => foreign(observation, identity, (index, address.pilot), arena, passage),
    };
    let message = decoded.map_err(|undecodable| Rejected {
        pilot: Some(pilot.id.clone()),
        refusals: vec![whole(undecodable.reason, undecodable.detail)],
        sequence: undecodable.sequence.and_then(|(boot, seq)| address.sequence(boot, seq)),
    })?;
    let is_of_file = address.gateway == Some(import::GATEWAY);
    let remarks = if is_of_file { Flags::IMPORTED } else { Flags::default() };
    let checker = Checker::new(address.pilot, observation, message.at).remarking(remarks);
    Ok(Opened { address, message, checker, index })
}

/// Decodes what is not Pilotline v1.
fn foreign<'a>(
    observation: &'a Observation,
    identity: &Identity,
    (index, pilot): (&'a Index, &'a PilotIndex),
    arena: &'a Bump,
    passage: Passage,
) -> Result<Message<'a>, Undecodable> {
    let (foreign, pilot) = (index.foreign(), pilot.pilot());
    let Observation { door, topic, payload, received_at, retained, .. } = observation;
    decode::check_size(payload)?;
    if topic.starts_with(SPARKPLUG_PREFIX) {
        let (received_at, retained) = (*received_at, *retained);
        let (pilot, mappings) = (&pilot.id, &*foreign.mappings);
        let received = sparkplug::Received { door, pilot, topic, payload, received_at, retained, mappings };
        return match passage {
            Passage::Live => foreign.sparkplug.receive(received, arena),
            Passage::Again => foreign.sparkplug.again(received, arena),
        };
    }
    let received = received(observation, identity, pilot, arena);
    foreign.mappings.decode(received, &foreign.dictionaries, arena, passage)
}

/// A message as mapping rules see it.
fn received<'a>(
    observation: &'a Observation,
    identity: &Identity,
    pilot: &'a Pilot,
    arena: &'a Bump,
) -> mapping::Received<'a> {
    let Observation { client, topic, payload, received_at, .. } = observation;
    let login = identity.login().map_or("", |login| arena.alloc_str(login));
    let (zone, received_at, pilot) = (&pilot.zone, *received_at, &pilot.id);
    mapping::Received { pilot, zone, topic, payload, received_at, client, login }
}

/// Why a message is refused, whoever sends it: only a host may say it, and that is us.
pub(crate) fn usurped(observation: &Observation, identity: &Identity, index: &Index) -> Option<Rejected> {
    let topic = &observation.topic;
    if !hub::is_ours(topic) {
        return None;
    }
    let pilot = match identity {
        Identity::Anonymous => index.bound(topic).cloned(),
        Identity::Login { pilot, .. } => Some(pilot.clone()),
    };
    let detail =
        format!("only this host may publish on {topic:?}: it commands edge nodes and says whether it is online");
    Some(rejected(pilot, Reason::NotAuthorized, detail))
}

/// Lines for a mapping file that would take a message for whose topic there is no rule; none if there is one, or nothing in
/// the message looks like a measured value.
pub(crate) fn draft(observation: &Observation, identity: &Identity, index: &Index) -> Option<String> {
    let topic = &observation.topic;
    let is_ours = topic.starts_with(OWN_PREFIX) || topic.starts_with(SPARKPLUG_PREFIX);
    // A rule that knows the topic says itself why it declines; a draft beside it would take its place.
    if is_ours || index.foreign().mappings.takes(topic) || decode::check_size(&observation.payload).is_err() {
        return None;
    }
    let pilot = match identity {
        Identity::Login { pilot, .. } => Some(pilot),
        Identity::Anonymous => index.bound(topic),
    };
    // Whose topic it will be is not known yet: any zone serves for reading a message once.
    let pilot = pilot.and_then(|pilot| index.registry().pilots.get(pilot));
    let pilot = pilot.or_else(|| index.registry().pilots.values().next())?;
    let arena = Bump::new();
    mapping::draft(received(observation, identity, pilot, &arena))
}

/// The pilot of a foreign topic: the one whose `topics` take it, else the login's. Both have to agree.
fn foreign_address<'a>(topic: &str, identity: &Identity, index: &'a Index) -> Result<Address<'a>, Rejected> {
    let (bound, foreign) = (index.bound(topic), index.foreign());
    let pilot = match (identity, bound) {
        (Identity::Login { name, pilot, .. }, Some(bound)) if bound != pilot => {
            let detail = format!(
                "login {} speaks for pilot `{pilot}`, not for the pilot of topic {}",
                shown(name),
                shown(topic)
            );
            return Err(rejected(Some(pilot.clone()), Reason::NotAuthorized, detail));
        }
        (Identity::Login { name, pilot, .. }, None)
            if !topic.starts_with(SPARKPLUG_PREFIX) && !foreign.mappings.takes(topic) =>
        {
            let detail = format!(
                "login {} may publish on `{TOPIC_PREFIX}{pilot}/<gateway>` and on what a mapping takes, not on {}",
                shown(name),
                shown(topic)
            );
            return Err(rejected(Some(pilot.clone()), Reason::NotAuthorized, detail));
        }
        (Identity::Login { pilot, .. }, _) => pilot,
        (Identity::Anonymous, Some(pilot)) => pilot,
        (Identity::Anonymous, None) => {
            let detail = format!(
                "topic {} is neither `{TOPIC_PREFIX}<pilot>/<gateway>` nor bound to a pilot; bind it in a pilot's file: \
                 [pilot] topics = [{topic:?}]",
                shown(topic)
            );
            return Err(rejected(None, Reason::BadTopic, detail));
        }
    };
    match index.pilot(pilot.as_str()) {
        Some(pilot) => Ok(Address { pilot, gateway: None }),
        None => {
            let detail = format!("pilot `{pilot}` is not in the registry; add `{pilot}.toml` to the pilots' directory");
            Err(rejected(Some(pilot.clone()), Reason::UnknownPilot, detail))
        }
    }
}

fn whole(reason: Reason, detail: String) -> Refusal {
    Refusal { reason, part: RefusedPart::Message, detail }
}

/// Reads `pilotline/v1/<pilot>/<gateway>`. Who has a login may not even try other topics: that is `not_authorized`.
fn address<'a>(topic: &'a str, identity: &Identity, index: &'a Index) -> Result<Address<'a>, Rejected> {
    let levels = topic.strip_prefix(TOPIC_PREFIX).and_then(|rest| rest.split_once('/'));
    let levels = levels.filter(|(_, gateway)| !gateway.contains('/'));
    if let Identity::Login { name, pilot, gateway } = identity
        && !levels.is_some_and(|(to, from)| identity.speaks_for(to, from))
    {
        let own = gateway.as_ref().map_or("<gateway>", GatewayId::as_str);
        let detail =
            format!("login {} may publish on `{TOPIC_PREFIX}{pilot}/{own}` only, not on {}", shown(name), shown(topic));
        return Err(rejected(Some(pilot.clone()), Reason::NotAuthorized, detail));
    }
    let Some((pilot, gateway)) = levels else {
        let detail = format!("topic {} is not `{TOPIC_PREFIX}<pilot>/<gateway>`", shown(topic));
        return Err(rejected(None, Reason::BadTopic, detail));
    };
    let bad_topic = |error: String| rejected(None, Reason::BadTopic, format!("topic {}: {error}", shown(topic)));
    // Checked before the pilot is looked up, so that a gateway of an unknown pilot is told of a bad id first.
    if let Err(error) = GatewayId::parse(gateway) {
        return Err(bad_topic(error.to_string()));
    }
    match index.pilot(pilot) {
        Some(pilot) => Ok(Address { pilot, gateway: Some(gateway) }),
        None => {
            let id = PilotId::parse(pilot).map_err(|error| bad_topic(error.to_string()))?;
            let detail = format!("pilot `{id}` is not in the registry; add `{id}.toml` to the pilots' directory");
            Err(rejected(Some(id), Reason::UnknownPilot, detail))
        }
    }
}

fn rejected(pilot: Option<PilotId>, reason: Reason, detail: String) -> Rejected {
    Rejected { pilot, refusals: vec![whole(reason, detail)], sequence: None }
}

impl Address<'_> {
    fn sequence(&self, boot: u64, seq: u64) -> Option<SequenceSeen> {
        let gateway = GatewayId::parse(self.gateway?).ok()?;
        Some(SequenceSeen { pilot: self.pilot.pilot().id.clone(), gateway, boot, seq })
    }
}

impl<'a> Opened<'a> {
    pub(crate) fn sequence(&self) -> Option<SequenceSeen> {
        let (boot, seq) = self.message.sequence?;
        self.address.sequence(boot, seq)
    }

    /// How many places of readings and of orders there are.
    pub(crate) fn n_places(&self) -> (usize, usize) {
        let Message { readings, orders, origin, .. } = &self.message;
        (readings.len() + origin.empty_places.len(), orders.len())
    }

    /// Whether every part has a time of its own or of the message.
    pub(crate) fn is_timed(&self) -> bool {
        let Message { at, readings, orders, .. } = &self.message;
        at.is_some()
            || (readings.iter().all(|part| is_timed(part, |reading| reading.at))
                && orders.iter().all(|part| is_timed(part, |order| order.at)))
    }

    /// Judges every reading, then every order event, and gives the accepted ones their series' number.
    pub(crate) fn judge_each(self, mut sink: impl FnMut(RefusedPart, Judged)) {
        let Opened { message: Message { readings, orders, origin, .. }, checker, index, .. } = self;
        // They are lent, not moved: they are large.
        for (place, decoded) in origin.places().zip(&readings) {
            let judged = match decoded {
                Ok(decoded) => checker.judge(decoded, index.store()),
                Err(refused) => Judged::Refused(refused.clone()),
            };
            sink(RefusedPart::Reading(place), judged);
        }
        for (place, decoded) in (0u32..).zip(&orders) {
            let judged = match decoded {
                Ok(decoded) => checker.order(decoded).map_or_else(Judged::Refused, Judged::Order),
                Err(refused) => Judged::Refused(refused.clone()),
            };
            sink(RefusedPart::Order(place), judged);
        }
    }
}

fn is_timed<T>(part: &Result<T, Refused>, at: impl Fn(&T) -> Option<UnixMillis>) -> bool {
    match part {
        Ok(part) => at(part).is_some(),
        Err(refused) => refused.is_timed,
    }
}

#[cfg(test)]
mod tests;
