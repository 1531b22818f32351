//! CONNECT and CONNACK: what a client asks for, and what it is granted.

use std::sync::Arc;

use bytes::Bytes;
use mqtt_protocol_core::mqtt::packet::{
    AssignedClientIdentifier, MaximumPacketSize, Properties, Property, ReasonString, ReceiveMaximum, ServerKeepAlive,
    SessionExpiryInterval, SharedSubscriptionAvailable, SubscriptionIdentifierAvailable, v3_1_1, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::{ConnectReasonCode, ConnectReturnCode};

use super::wire::{Dialect, Fault, Reasons, Version, whole};
use super::{PACKET_BYTES_MAX, RECEIVE_MAXIMUM};
use crate::commit::Start;

/// Longest keep-alive granted on MQTT 5, and what 0 comes to: a gateway that is gone frees its place within 30 minutes.
pub(super) const KEEP_ALIVE_S_MAX: u16 = 1_200;

/// Longest session granted: a plant's shutdown week. Also what 3.1.1 gets, which cannot ask.
pub(super) const SESSION_EXPIRY_S_MAX: u32 = 7 * 24 * 3600;

/// A Will, published when the connection ends without a goodbye.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Will {
    pub(super) topic: String,
    pub(super) payload: Bytes,
}

/// A CONNECT. Not `Debug`: it holds a secret.
pub(super) struct Hello {
    pub(super) dialect: Dialect,
    /// As sent; empty asks for one to be assigned.
    pub(super) client_id: String,
    pub(super) start: Start,
    /// As asked for, 3.1.1 already in the words of 5.
    pub(super) expiry_s: u32,
    pub(super) keep_alive_s: u16,
    pub(super) credentials: Option<(String, Vec<u8>)>,
    pub(super) will: Option<Will>,
}

/// Why a CONNECT is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    BadCredentials,
    /// No credentials where they are needed, or another login's session.
    NotAuthorized,
    ClientId,
    AuthenticationMethod,
    /// The disk is full, or there are too many sessions.
    Quota,
    Unavailable,
}

impl Refusal {
    /// What would let the client in, for who looks why nothing arrives.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Refusal::BadCredentials => "login or secret is wrong: `pilotline login add` makes a new secret",
            Refusal::NotAuthorized => {
                "no login where one is needed, or its session belongs to another login: give the gateway a login \
                 (`pilotline login add`), or another client id"
            }
            Refusal::ClientId => "an empty client id with a session to keep: give the gateway a client id",
            Refusal::AuthenticationMethod => "enhanced authentication is not offered: use login and secret, or TLS",
            Refusal::Quota => "the disk is full, or there are too many sessions",
            Refusal::Unavailable => "the journal takes nothing more: the log says why",
        }
    }
}

/// Why a CONNECT is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadConnect {
    /// Neither 3.1.1 nor 5.
    Version,
    Refused(Version, Refusal),
    Fault(Fault),
}

/// Reads the body of a CONNECT.
pub(super) fn connect(body: &[u8]) -> Result<Hello, BadConnect> {
    match body {
        [0, 4, b'M', b'Q', b'T', b'T', 4, flags, ..] => {
            check_flags(*flags)?;
            Ok(v3(&whole(v3_1_1::Connect::parse(body), body).map_err(BadConnect::Fault)?))
        }
        [0, 4, b'M', b'Q', b'T', b'T', 5, flags, ..] => {
            check_flags(*flags)?;
            v5(&whole(v5_0::Connect::parse(body), body).map_err(BadConnect::Fault)?)
        }
        [0, 4, b'M', b'Q', b'T', b'T', _, ..] | [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', ..] => {
            Err(BadConnect::Version)
        }
        _ => Err(BadConnect::Fault(Fault::Malformed)),
    }
}

/// The reserved bit is 0, and a Will has QoS 0 to 2, and none without a Will.
fn check_flags(flags: u8) -> Result<(), BadConnect> {
    let (reserved, will, will_qos, will_retain) = (flags & 1, flags & 4, (flags >> 3) & 3, flags & 0x20);
    let is_good = reserved == 0 && will_qos != 3 && (will != 0 || (will_qos == 0 && will_retain == 0));
    if is_good { Ok(()) } else { Err(BadConnect::Fault(Fault::Malformed)) }
}

fn v3(connect: &v3_1_1::Connect) -> Hello {
    let start = if connect.clean_session() { Start::Clean } else { Start::Resume };
    Hello {
        dialect: Dialect { version: Version::V3, packet_bytes_max: PACKET_BYTES_MAX, reasons: Reasons::Unwanted },
        client_id: connect.client_id().to_owned(),
        start,
        expiry_s: if start == Start::Clean { 0 } else { SESSION_EXPIRY_S_MAX },
        keep_alive_s: connect.keep_alive(),
        credentials: credentials(connect.user_name(), connect.password()),
        will: will(connect.will_topic(), connect.will_payload()),
    }
}

fn v5(connect: &v5_0::Connect) -> Result<Hello, BadConnect> {
    let mut dialect = Dialect { version: Version::V5, packet_bytes_max: PACKET_BYTES_MAX, reasons: Reasons::Wanted };
    let mut expiry_s = 0;
    // What is left out concerns what a broker would send.
    for property in connect.props() {
        if let Property::SessionExpiryInterval(expiry) = property {
            expiry_s = expiry.val();
        } else if let Property::MaximumPacketSize(size) = property {
            dialect.packet_bytes_max = usize::try_from(size.val()).unwrap_or(usize::MAX);
        } else if let Property::RequestProblemInformation(wanted) = property {
            dialect.reasons = if wanted.val() == 0 { Reasons::Unwanted } else { Reasons::Wanted };
        } else if let Property::AuthenticationMethod(_) = property {
            return Err(BadConnect::Refused(Version::V5, Refusal::AuthenticationMethod));
        }
    }
    Ok(Hello {
        dialect,
        client_id: connect.client_id().to_owned(),
        start: if connect.clean_start() { Start::Clean } else { Start::Resume },
        expiry_s,
        keep_alive_s: connect.keep_alive(),
        credentials: credentials(connect.user_name(), connect.password()),
        will: will(connect.will_topic(), connect.will_payload()),
    })
}

fn credentials(name: Option<&str>, password: Option<&[u8]>) -> Option<(String, Vec<u8>)> {
    name.map(|name| (name.to_owned(), password.unwrap_or_default().to_vec()))
}

fn will(topic: Option<&str>, payload: Option<&[u8]>) -> Option<Will> {
    let (topic, payload) = (topic?.to_owned(), Bytes::copy_from_slice(payload.unwrap_or_default()));
    Some(Will { topic, payload })
}

/// What a client gets instead of what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) client_id: Arc<str>,
    pub(super) expiry_s: u32,
    /// Seconds; 0 = none.
    pub(super) keep_alive_s: u16,
}

/// Lowers what is too much; `assigned` is the client id for one that sent none.
pub(super) fn grant(hello: &Hello, assigned: impl FnOnce() -> String) -> Result<Granted, Refusal> {
    let client_id: Arc<str> = match hello.client_id.as_str() {
        // MQTT-3.1.3-8: without an id there is no session to come back to.
        "" if hello.dialect.version == Version::V3 && hello.start == Start::Resume => return Err(Refusal::ClientId),
        "" => assigned().into(),
        id if id.contains('\0') => return Err(Refusal::ClientId),
        id => id.into(),
    };
    let keep_alive_s = match (hello.dialect.version, hello.keep_alive_s) {
        (Version::V3, asked) => asked,
        (Version::V5, 0) => KEEP_ALIVE_S_MAX,
        (Version::V5, asked) => asked.min(KEEP_ALIVE_S_MAX),
    };
    Ok(Granted { client_id, expiry_s: hello.expiry_s.min(SESSION_EXPIRY_S_MAX), keep_alive_s })
}

/// Writes the CONNACK that lets a client in.
pub(super) fn welcome(hello: &Hello, granted: &Granted, session_present: bool) -> Vec<u8> {
    if hello.dialect.version == Version::V3 {
        return vec![0x20, 2, u8::from(session_present), 0];
    }
    let properties = welcome_properties(hello, granted);
    let builder = v5_0::Connack::builder().session_present(session_present).reason_code(ConnectReasonCode::Success);
    builder.props(properties).build().map(|packet| packet.to_continuous_buffer()).unwrap_or_default()
}

fn welcome_properties(hello: &Hello, granted: &Granted) -> Properties {
    // What is granted without being said would be believed as asked.
    let packet_bytes_max = u32::try_from(PACKET_BYTES_MAX).unwrap_or(u32::MAX);
    let mut properties: Properties = Vec::new();
    properties.extend(ReceiveMaximum::new(RECEIVE_MAXIMUM).ok().map(Property::ReceiveMaximum));
    properties.extend(MaximumPacketSize::new(packet_bytes_max).ok().map(Property::MaximumPacketSize));
    properties.extend(SharedSubscriptionAvailable::new(0).ok().map(Property::SharedSubscriptionAvailable));
    properties.extend(SubscriptionIdentifierAvailable::new(0).ok().map(Property::SubscriptionIdentifierAvailable));
    if granted.expiry_s != hello.expiry_s {
        properties.extend(SessionExpiryInterval::new(granted.expiry_s).ok().map(Property::SessionExpiryInterval));
    }
    if granted.keep_alive_s != hello.keep_alive_s {
        properties.extend(ServerKeepAlive::new(granted.keep_alive_s).ok().map(Property::ServerKeepAlive));
    }
    if hello.client_id.is_empty() {
        let id = AssignedClientIdentifier::new(&*granted.client_id).ok();
        properties.extend(id.map(Property::AssignedClientIdentifier));
    }
    properties
}

/// Writes the CONNACK that turns a client away.
pub(super) fn turn_away(version: Version, refusal: Refusal) -> Vec<u8> {
    let (old, new, text) = match refusal {
        Refusal::BadCredentials => (
            ConnectReturnCode::BadUserNameOrPassword,
            ConnectReasonCode::BadUserNameOrPassword,
            "user name (the login) or password (its secret) is wrong",
        ),
        Refusal::NotAuthorized => (
            ConnectReturnCode::NotAuthorized,
            ConnectReasonCode::NotAuthorized,
            "no login given, or the client id belongs to another login",
        ),
        Refusal::ClientId => (
            ConnectReturnCode::IdentifierRejected,
            ConnectReasonCode::ClientIdentifierNotValid,
            "the client id is not valid",
        ),
        Refusal::AuthenticationMethod => (
            ConnectReturnCode::NotAuthorized,
            ConnectReasonCode::BadAuthenticationMethod,
            "no authentication method is served; use user name and password",
        ),
        Refusal::Quota => (
            ConnectReturnCode::ServerUnavailable,
            ConnectReasonCode::QuotaExceeded,
            "no room: the disk is full, or there are too many sessions",
        ),
        Refusal::Unavailable => {
            (ConnectReturnCode::ServerUnavailable, ConnectReasonCode::ServerUnavailable, "shutting down")
        }
    };
    if version == Version::V3 {
        return vec![0x20, 2, 0, old as u8];
    }
    let properties: Properties = ReasonString::new(text).ok().into_iter().map(Property::ReasonString).collect();
    let builder = v5_0::Connack::builder().session_present(false).reason_code(new).props(properties);
    builder.build().map(|packet| packet.to_continuous_buffer()).unwrap_or_default()
}

/// The CONNACK of 3.1.1 for a protocol level that is not served.
pub(super) const WRONG_VERSION: [u8; 4] = [0x20, 2, 0, 1];
