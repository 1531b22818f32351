//! Packets on the wire: framing, the PUBLISH, and the answers. The only file that names `mqtt_protocol_core`, with
//! `handshake.rs`.
//!
//! ```text
//! byte 0        packet type and flags        a PUBLISH body: topic length (2), topic, packet id (2, QoS > 0),
//! bytes 1..=4   remaining length, 7 bits     MQTT 5: property length and properties, payload
//!               each, the lowest first
//! ```
//!
//! Its packets are parsed and built by `mqtt_protocol_core`; its connection type is not used, because it swallows a
//! QoS 2 redelivery by packet id alone, where CONTRACT asks for DUP and the same bytes. A PUBLISH is read here, in place:
//! it is the hot path, and its payload stays a slice of the read buffer. The plain PUBACK is four bytes.

use std::ops::Range;
use std::sync::Arc;

use mqtt_protocol_core::mqtt::packet::{
    MqttString, Properties, PropertiesParse, Property, Qos, ReasonString, RetainHandling, SubEntry, v3_1_1, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::{
    DisconnectReasonCode, MqttError, PubackReasonCode, PubcompReasonCode, PubrecReasonCode, SubackReasonCode,
    SubackReturnCode, UnsubackReasonCode,
};

use crate::commit::{Ack, Packet, Step, Verdict};

/// MQTT version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V3,
    V5,
}

/// Why a connection is closed; on MQTT 5 it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Malformed,
    Protocol,
    TopicAlias,
    ReceiveMaximum,
    PacketTooLarge,
    KeepAlive,
    TakenOver,
    ShuttingDown,
    /// The committer has stopped.
    Unavailable,
}

impl Fault {
    fn reason(self) -> DisconnectReasonCode {
        match self {
            Fault::Malformed => DisconnectReasonCode::MalformedPacket,
            Fault::Protocol => DisconnectReasonCode::ProtocolError,
            Fault::TopicAlias => DisconnectReasonCode::TopicAliasInvalid,
            Fault::ReceiveMaximum => DisconnectReasonCode::ReceiveMaximumExceeded,
            Fault::PacketTooLarge => DisconnectReasonCode::PacketTooLarge,
            Fault::KeepAlive => DisconnectReasonCode::KeepAliveTimeout,
            Fault::TakenOver => DisconnectReasonCode::SessionTakenOver,
            Fault::ShuttingDown => DisconnectReasonCode::ServerShuttingDown,
            Fault::Unavailable => DisconnectReasonCode::UnspecifiedError,
        }
    }
}

/// Types of the packets that a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Connect,
    Publish,
    Pubrel,
    Subscribe,
    Unsubscribe,
    Pingreq,
    Disconnect,
    /// Answers to a PUBLISH of ours, which there is none.
    Unasked,
    /// What no client may send.
    Never,
}

impl Kind {
    /// Of the first byte; flags that MQTT fixes must be as it fixes them.
    pub(super) fn of(first: u8) -> Result<Kind, Fault> {
        let (kind, flags) = match first >> 4 {
            1 => (Kind::Connect, 0),
            3 => return Ok(Kind::Publish),
            4 | 5 | 7 => (Kind::Unasked, 0),
            6 => (Kind::Pubrel, 2),
            8 => (Kind::Subscribe, 2),
            10 => (Kind::Unsubscribe, 2),
            12 => (Kind::Pingreq, 0),
            14 => (Kind::Disconnect, 0),
            _ => return Ok(Kind::Never),
        };
        if first & 0x0f == flags { Ok(kind) } else { Err(Fault::Malformed) }
    }
}

/// What a buffer begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// Not a whole packet yet; `needs` bytes are, if that is known.
    Incomplete {
        needs: Option<usize>,
    },
    /// A whole packet: its body lies at `body`.
    Whole {
        body: Range<usize>,
    },
    /// Longer than allowed.
    TooLarge {
        total: usize,
    },
    Malformed,
}

/// Looks for a packet at the start of a buffer.
pub(super) fn frame(buffer: &[u8], limit: usize) -> Frame {
    let mut remaining = 0usize;
    for (index, byte) in buffer.iter().skip(1).take(4).enumerate() {
        remaining |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 != 0 {
            continue;
        }
        let start = index + 2;
        let total = start + remaining;
        return match total {
            _ if total > limit => Frame::TooLarge { total },
            _ if buffer.len() < total => Frame::Incomplete { needs: Some(total) },
            _ => Frame::Whole { body: start..total },
        };
    }
    if buffer.len() >= 5 { Frame::Malformed } else { Frame::Incomplete { needs: None } }
}

/// A PUBLISH, its payload as a place in the body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Publish<'a> {
    pub(super) topic: &'a str,
    /// 0 for QoS 0.
    pub(super) packet_id: u16,
    pub(super) qos: u8,
    pub(super) dup: bool,
    pub(super) payload: Range<usize>,
}

/// Reads a PUBLISH.
pub(super) fn publish(first: u8, body: &[u8], version: Version) -> Result<Publish<'_>, Fault> {
    let (qos, dup) = ((first >> 1) & 3, first & 8 != 0);
    if qos == 3 || (qos == 0 && dup) {
        return Err(Fault::Malformed);
    }
    let (topic, mut at) = text(body)?;
    let packet_id = if qos == 0 {
        0
    } else {
        let id = body.get(at..at + 2).ok_or(Fault::Malformed)?;
        at += 2;
        u16::from_be_bytes([id[0], id[1]])
    };
    if qos > 0 && packet_id == 0 {
        return Err(Fault::Malformed);
    }
    if version == Version::V5 {
        at += publish_properties(body.get(at..).unwrap_or_default())?;
        // No alias is ever announced, so that an empty topic means nothing.
        if topic.is_empty() {
            return Err(Fault::Protocol);
        }
    }
    Ok(Publish { topic, packet_id, qos, dup, payload: at..body.len() })
}

fn text(body: &[u8]) -> Result<(&str, usize), Fault> {
    let [high, low, rest @ ..] = body else { return Err(Fault::Malformed) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let bytes = rest.get(..length).ok_or(Fault::Malformed)?;
    let text = std::str::from_utf8(bytes).map_err(malformed)?;
    if text.contains('\0') {
        return Err(Fault::Malformed);
    }
    Ok((text, 2 + length))
}

/// The topic of a PUBLISH of which only the beginning is there.
pub(super) fn topic(body: &[u8]) -> Option<&str> {
    text(body).ok().map(|(topic, _)| topic)
}

fn malformed<E>(_: E) -> Fault {
    Fault::Malformed
}

/// Checks the properties of a PUBLISH and returns their length; none of them means anything here.
fn publish_properties(bytes: &[u8]) -> Result<usize, Fault> {
    if bytes.first() == Some(&0) {
        return Ok(1);
    }
    let (properties, length) = Properties::parse(bytes).map_err(|error| fault(&error))?;
    if properties.iter().any(|property| matches!(property, Property::TopicAlias(_))) {
        return Err(Fault::TopicAlias);
    }
    let belongs = |property: &Property| {
        matches!(
            property,
            Property::PayloadFormatIndicator(_)
                | Property::MessageExpiryInterval(_)
                | Property::ContentType(_)
                | Property::ResponseTopic(_)
                | Property::CorrelationData(_)
                | Property::UserProperty(_)
        )
    };
    if !properties.iter().all(belongs) {
        return Err(Fault::Protocol);
    }
    Ok(length)
}

/// How the crate's word for a bad packet is told.
pub(super) fn fault(error: &MqttError) -> Fault {
    if *error == MqttError::MalformedPacket { Fault::Malformed } else { Fault::Protocol }
}

/// The packet id of a PUBREL.
pub(super) fn pubrel(body: &[u8], version: Version) -> Result<u16, Fault> {
    let parsed = match version {
        Version::V3 => v3_1_1::Pubrel::parse(body).map(|(packet, n)| (packet.packet_id(), n)),
        Version::V5 => v5_0::Pubrel::parse(body).map(|(packet, n)| (packet.packet_id(), n)),
    };
    whole(parsed, body)
}

/// Whether a new subscription wants the message that is kept for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retained {
    Always,
    IfNew,
    Never,
}

/// One filter of a SUBSCRIBE. The QoS asked for is left out: everything goes out at QoS 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) filter: Arc<str>,
    pub(super) retained: Retained,
}

/// The packet id of a SUBSCRIBE and its filters.
pub(super) fn subscribe(body: &[u8], version: Version) -> Result<(u16, Vec<Wanted>), Fault> {
    let wanted = |entries: &[SubEntry]| entries.iter().map(wanted).collect();
    let parsed = match version {
        Version::V3 => v3_1_1::Subscribe::parse(body).map(|(p, n)| ((p.packet_id(), wanted(p.entries())), n)),
        Version::V5 => v5_0::Subscribe::parse(body).map(|(p, n)| ((p.packet_id(), wanted(p.entries())), n)),
    };
    whole(parsed, body)
}

fn wanted(entry: &SubEntry) -> Wanted {
    let retained = match entry.sub_opts().rh() {
        RetainHandling::SendRetained => Retained::Always,
        RetainHandling::SendRetainedIfNotExists => Retained::IfNew,
        RetainHandling::DoNotSendRetained => Retained::Never,
    };
    Wanted { filter: entry.topic_filter().into(), retained }
}

/// The packet id of an UNSUBSCRIBE and its filters.
pub(super) fn unsubscribe(body: &[u8], version: Version) -> Result<(u16, Vec<Arc<str>>), Fault> {
    let filters = |entries: &[MqttString]| entries.iter().map(|entry| entry.as_str().into()).collect();
    let parsed = match version {
        Version::V3 => v3_1_1::Unsubscribe::parse(body).map(|(p, n)| ((p.packet_id(), filters(p.entries())), n)),
        Version::V5 => v5_0::Unsubscribe::parse(body).map(|(p, n)| ((p.packet_id(), filters(p.entries())), n)),
    };
    whole(parsed, body)
}

/// How a client says goodbye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Goodbye {
    /// MQTT 5 may ask for its Will all the same.
    pub(super) wants_will: bool,
    pub(super) expiry_s: Option<u32>,
}

/// Reads a DISCONNECT.
pub(super) fn disconnect(body: &[u8], version: Version) -> Result<Goodbye, Fault> {
    if version == Version::V3 {
        let goodbye = Goodbye { wants_will: false, expiry_s: None };
        return if body.is_empty() { Ok(goodbye) } else { Err(Fault::Malformed) };
    }
    let packet = whole(v5_0::Disconnect::parse(body), body)?;
    let expiry = |property: &Property| {
        if let Property::SessionExpiryInterval(expiry) = property { Some(expiry.val()) } else { None }
    };
    let expiry_s = packet.props().iter().flatten().find_map(expiry);
    let wants_will = packet.reason_code() == Some(DisconnectReasonCode::DisconnectWithWillMessage);
    Ok(Goodbye { wants_will, expiry_s })
}

/// A packet that was parsed must have used up its body.
pub(super) fn whole<T>(parsed: Result<(T, usize), MqttError>, body: &[u8]) -> Result<T, Fault> {
    let (value, used) = parsed.map_err(|error| fault(&error))?;
    if used == body.len() { Ok(value) } else { Err(Fault::Malformed) }
}

/// What a client said of the answers it takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    pub(super) version: Version,
    /// Longest packet that the client takes.
    pub(super) packet_bytes_max: usize,
    /// Whether it wants to be told why.
    pub(super) reasons: Reasons,
}

/// Whether a client wants reason strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reasons {
    Wanted,
    Unwanted,
}

/// Whether the connection goes on after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    GoOn,
    Close,
}

impl Dialect {
    /// Writes an acknowledgement.
    pub(super) fn ack(&self, ack: &Ack, out: &mut Vec<u8>) -> Then {
        match (self.version, &ack.verdict) {
            // MQTT 3.1.1 cannot say it, and a plain PUBACK would be a lie.
            (Version::V3, Verdict::NotAuthorized(_)) => return Then::Close,
            (Version::V3, Verdict::Taken | Verdict::Refused(_)) => plain(ack, out),
            (Version::V5, Verdict::Taken) if ack.step != Step::PubcompNotFound => plain(ack, out),
            (Version::V5, verdict) => self.explained(ack, verdict, out),
        }
        Then::GoOn
    }

    fn explained(&self, ack: &Ack, verdict: &Verdict, out: &mut Vec<u8>) {
        let (refused, text) = match verdict {
            Verdict::Taken => (false, None),
            Verdict::Refused(text) => (false, Some(text)),
            Verdict::NotAuthorized(text) => (true, Some(text)),
        };
        let text = text.filter(|_| self.reasons == Reasons::Wanted);
        let packet = answer(ack, refused, text.map(|text| &**text));
        if packet.len() <= self.packet_bytes_max {
            out.extend_from_slice(&packet);
        } else {
            // A reason string must not make a packet too large: MQTT 5, 3.4.2.2.2.
            out.extend_from_slice(&answer(ack, refused, None));
        }
    }

    /// Answers a SUBSCRIBE, filter by filter.
    pub(super) fn suback(&self, packet_id: u16, answers: &[Suback], out: &mut Vec<u8>) {
        let packet = match self.version {
            Version::V3 => v3_1_1::Suback::builder()
                .packet_id(packet_id)
                .return_codes(answers.iter().map(|answer| answer.v3()).collect::<Vec<_>>())
                .build()
                .map(|packet| packet.to_continuous_buffer()),
            Version::V5 => v5_0::Suback::builder()
                .packet_id(packet_id)
                .reason_codes(answers.iter().map(|answer| answer.v5()).collect::<Vec<_>>())
                .build()
                .map(|packet| packet.to_continuous_buffer()),
        };
        out.extend(packet.unwrap_or_default());
    }

    /// Answers an UNSUBSCRIBE: whether each filter was subscribed to.
    pub(super) fn unsuback(&self, packet_id: u16, existed: &[bool], out: &mut Vec<u8>) {
        let code = |existed: &bool| match existed {
            true => UnsubackReasonCode::Success,
            false => UnsubackReasonCode::NoSubscriptionExisted,
        };
        let packet = match self.version {
            Version::V3 => v3_1_1::Unsuback::builder().packet_id(packet_id).build().map(|p| p.to_continuous_buffer()),
            Version::V5 => v5_0::Unsuback::builder()
                .packet_id(packet_id)
                .reason_codes(existed.iter().map(code).collect::<Vec<_>>())
                .build()
                .map(|packet| packet.to_continuous_buffer()),
        };
        out.extend(packet.unwrap_or_default());
    }

    /// Writes a PUBLISH of ours at QoS 0; leaves out what the client could not take.
    pub(super) fn publish(&self, packet: &Packet, out: &mut Vec<u8>) {
        let (topic, retain) = (packet.topic.as_str(), packet.is_retained);
        let payload = packet.payload.clone();
        let built = match self.version {
            Version::V3 => v3_1_1::Publish::builder()
                .topic_name(topic)
                .and_then(|builder| builder.qos(Qos::AtMostOnce).retain(retain).payload(payload).build())
                .map(|packet| packet.to_continuous_buffer()),
            Version::V5 => v5_0::Publish::builder()
                .topic_name(topic)
                .and_then(|builder| builder.qos(Qos::AtMostOnce).retain(retain).payload(payload).build())
                .map(|packet| packet.to_continuous_buffer()),
        };
        out.extend(built.ok().filter(|bytes| bytes.len() <= self.packet_bytes_max).unwrap_or_default());
    }

    /// Says why the connection is closed, if the version can.
    pub(super) fn disconnect(&self, fault: Fault, out: &mut Vec<u8>) {
        if self.version == Version::V5 {
            out.extend_from_slice(&[0xe0, 1, fault.reason() as u8]);
        }
    }
}

/// What becomes of one filter of a SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suback {
    /// At QoS 0.
    Granted,
    /// Nothing is published from here that it would take.
    Refused,
    /// The client has too many.
    Quota,
}

impl Suback {
    fn v3(self) -> SubackReturnCode {
        match self {
            Suback::Granted => SubackReturnCode::SuccessMaximumQos0,
            Suback::Refused | Suback::Quota => SubackReturnCode::Failure,
        }
    }

    fn v5(self) -> SubackReasonCode {
        match self {
            Suback::Granted => SubackReasonCode::GrantedQos0,
            Suback::Refused => SubackReasonCode::ImplementationSpecificError,
            Suback::Quota => SubackReasonCode::QuotaExceeded,
        }
    }
}

/// A PINGRESP.
pub(super) const PINGRESP: [u8; 2] = [0xd0, 0];

fn plain(ack: &Ack, out: &mut Vec<u8>) {
    let first = match ack.step {
        Step::Nothing | Step::Subscribed => return,
        Step::Puback => 0x40,
        Step::Pubrec => 0x50,
        Step::Pubcomp | Step::PubcompNotFound => 0x70,
    };
    let [high, low] = ack.packet_id.to_be_bytes();
    out.extend_from_slice(&[first, 2, high, low]);
}

/// An answer of MQTT 5 with a reason code and, if there is one, a sentence.
fn answer(ack: &Ack, refused: bool, text: Option<&str>) -> Vec<u8> {
    // A text that MQTT cannot carry is left out: the reason code says what matters.
    let reason = text.and_then(|text| ReasonString::new(text).ok());
    let properties: Properties = reason.into_iter().map(Property::ReasonString).collect();
    let id = ack.packet_id;
    let packet = match ack.step {
        Step::Nothing | Step::Subscribed => return Vec::new(),
        Step::Puback => {
            let code = if refused { PubackReasonCode::NotAuthorized } else { PubackReasonCode::Success };
            let builder = v5_0::Puback::builder().packet_id(id).reason_code(code).props(properties);
            builder.build().map(|packet| packet.to_continuous_buffer())
        }
        Step::Pubrec => {
            let code = if refused { PubrecReasonCode::NotAuthorized } else { PubrecReasonCode::Success };
            let builder = v5_0::Pubrec::builder().packet_id(id).reason_code(code).props(properties);
            builder.build().map(|packet| packet.to_continuous_buffer())
        }
        Step::Pubcomp | Step::PubcompNotFound => {
            let builder =
                v5_0::Pubcomp::builder().packet_id(id).reason_code(PubcompReasonCode::PacketIdentifierNotFound);
            builder.build().map(|packet| packet.to_continuous_buffer())
        }
    };
    packet.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_is_whole_when_its_last_byte_is_there() {
        assert_eq!(frame(&[], 100), Frame::Incomplete { needs: None });
        assert_eq!(frame(&[0x30, 0x80], 1000), Frame::Incomplete { needs: None });
        assert_eq!(frame(&[0x30, 3, 0], 100), Frame::Incomplete { needs: Some(5) });
        assert_eq!(frame(&[0x30, 3, 0, 0, 0, 9], 100), Frame::Whole { body: 2..5 });
        assert_eq!(frame(&[0x30, 0xe4, 0], 100), Frame::TooLarge { total: 103 });
        assert_eq!(frame(&[0x30, 0xff, 0xff, 0xff, 0xff, 1], 100), Frame::Malformed);
    }

    #[test]
    fn a_reason_that_would_make_the_packet_too_large_is_left_out() {
        let ack = |text: &str| Ack { packet_id: 258, step: Step::Puback, verdict: Verdict::Refused(text.into()) };
        let mut dialect = Dialect { version: Version::V5, packet_bytes_max: 20, reasons: Reasons::Wanted };
        let mut out = Vec::new();
        dialect.ack(&ack("why"), &mut out);
        assert_eq!(out, [&[0x40, 10, 1, 2, 0, 6, 0x1f, 0, 3][..], b"why"].concat());
        out.clear();
        dialect.ack(&ack("a longer sentence"), &mut out);
        assert_eq!(out[..5], [0x40, out[1], 1, 2, 0]);
        assert!(out.len() <= 6);
        dialect.version = Version::V3;
        out.clear();
        assert_eq!(dialect.ack(&ack("why"), &mut out), Then::GoOn);
        assert_eq!(out, [0x40, 2, 1, 2]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_parser_panic(first: u8, body in proptest::collection::vec(any::<u8>(), 0..64)) {
            for version in [Version::V3, Version::V5] {
                let _ = publish(first, &body, version);
                let _ = pubrel(&body, version);
                let _ = subscribe(&body, version);
                let _ = unsubscribe(&body, version);
                let _ = disconnect(&body, version);
            }
            let _ = topic(&body);
            let _ = frame(&body, 100);
        }

        #[test]
        fn no_connect_makes_a_parser_panic(level in 3u8..7, rest in proptest::collection::vec(any::<u8>(), 0..80)) {
            let body = [&b"\0\x04MQTT"[..], &[level], &rest].concat();
            drop(super::super::handshake::connect(&body));
        }
    }
}
