//! The protobuf of Sparkplug B: from bytes to the metrics of one message.
//!
//! ```text
//! Payload   1 timestamp  2 metrics*  3 seq  4 uuid  5 body
//! Metric    1 name  2 alias  3 timestamp  4 datatype  6 is_transient  7 is_null  8 metadata  9 properties
//!           one of 10 int  11 long  12 float  13 double  14 boolean  15 string  16 bytes  17 dataset  18 template
//! ```
//!
//! Text is taken as bytes, so that one name in another encoding refuses its own reading and not the message. Of data sets and
//! templates only the outline is read: their rows and nested metrics are stepped over, whatever their depth, because none of
//! them becomes a reading.
//!
//! Invariants:
//! - the metrics are counted before any is built: above `VALUES_MAX` nothing is;
//! - a compressed body never inflates beyond `PAYLOAD_BYTES_MAX`, and is not looked into a second time.

use std::io::Read;

use flate2::read::{GzDecoder, ZlibDecoder};
use model::Reason;
use prost::Message as _;
use prost::encoding::{WireType, decode_key, decode_varint};

use crate::decode::{PAYLOAD_BYTES_MAX, Undecodable, VALUES_MAX};

/// `uuid` of a payload whose `body` is the compressed payload.
const COMPRESSED: &[u8] = b"SPBV1.0_COMPRESSED";

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Payload {
    #[prost(uint64, optional, tag = "1")]
    pub(super) timestamp: Option<u64>,
    #[prost(message, repeated, tag = "2")]
    pub(super) metrics: Vec<Metric>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) seq: Option<u64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) uuid: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "5")]
    pub(super) body: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[allow(clippy::struct_excessive_bools, reason = "the flags of the wire format")]
pub(super) struct Metric {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(super) name: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) alias: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "4")]
    pub(super) datatype: Option<u32>,
    #[prost(bool, optional, tag = "6")]
    pub(super) is_transient: Option<bool>,
    #[prost(bool, optional, tag = "7")]
    pub(super) is_null: Option<bool>,
    #[prost(message, optional, tag = "8")]
    pub(super) metadata: Option<MetaData>,
    #[prost(message, optional, boxed, tag = "9")]
    pub(super) properties: Option<Box<PropertySet>>,
    #[prost(oneof = "Wire", tags = "10, 11, 12, 13, 14, 15, 16, 17, 18")]
    pub(super) wire: Option<Wire>,
}

/// A value as it rides on the wire.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Wire {
    #[prost(uint32, tag = "10")]
    Int(u32),
    #[prost(uint64, tag = "11")]
    Long(u64),
    #[prost(float, tag = "12")]
    Float(f32),
    #[prost(double, tag = "13")]
    Double(f64),
    #[prost(bool, tag = "14")]
    Bool(bool),
    #[prost(bytes, tag = "15")]
    Text(Vec<u8>),
    #[prost(bytes, tag = "16")]
    Bytes(Vec<u8>),
    #[prost(message, tag = "17")]
    DataSet(DataSet),
    #[prost(message, tag = "18")]
    Template(Template),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MetaData {
    #[prost(bool, optional, tag = "1")]
    pub(super) is_multi_part: Option<bool>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PropertySet {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(super) keys: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "2")]
    pub(super) values: Vec<PropertyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PropertyValue {
    #[prost(bool, optional, tag = "2")]
    pub(super) is_null: Option<bool>,
    #[prost(oneof = "Property", tags = "3, 4, 5, 6, 8")]
    pub(super) value: Option<Property>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Property {
    #[prost(uint32, tag = "3")]
    Int(u32),
    #[prost(uint64, tag = "4")]
    Long(u64),
    #[prost(float, tag = "5")]
    Float(f32),
    #[prost(double, tag = "6")]
    Double(f64),
    #[prost(bytes, tag = "8")]
    Text(Vec<u8>),
}

/// The outline of a data set.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DataSet {
    #[prost(uint64, optional, tag = "1")]
    pub(super) num_of_columns: Option<u64>,
}

/// The outline of a template.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Template {
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) template_ref: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "5")]
    pub(super) is_definition: Option<bool>,
}

/// A payload, and whether it came compressed.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) payload: Payload,
    pub(super) compressed: bool,
}

/// Reads a payload, the compressed one inside it if there is one.
pub(super) fn open(bytes: &[u8]) -> Result<Opened, Undecodable> {
    let outer = read(bytes)?;
    match &outer {
        Payload { uuid: Some(uuid), body: Some(body), .. } if uuid == COMPRESSED => {
            Ok(Opened { payload: read(&inflated(body)?)?, compressed: true })
        }
        Payload { .. } => Ok(Opened { payload: outer, compressed: false }),
    }
}

fn read(bytes: &[u8]) -> Result<Payload, Undecodable> {
    let n_metrics = n_metrics(bytes);
    if n_metrics > VALUES_MAX {
        let detail = format!("the payload holds {n_metrics} metrics; at most {VALUES_MAX} are taken");
        return Err(undecodable(Reason::TooManyValues, detail));
    }
    let mut payload = Payload { metrics: Vec::with_capacity(n_metrics), ..Payload::default() };
    payload.merge(bytes).map_err(|error| {
        undecodable(Reason::BadPayload, format!("the payload is no protobuf of Sparkplug B: {error}"))
    })?;
    Ok(payload)
}

/// How many metrics there are, as far as the bytes can be read; what cannot be read is for the decoder to refuse.
fn n_metrics(mut bytes: &[u8]) -> usize {
    const METRICS: u32 = 2;
    let mut n_metrics = 0;
    while !bytes.is_empty() {
        let Ok((tag, wire)) = decode_key(&mut bytes) else { return n_metrics };
        let width = match wire {
            WireType::Varint => decode_varint(&mut bytes).map(|_| 0).ok(),
            WireType::SixtyFourBit => Some(8),
            WireType::ThirtyTwoBit => Some(4),
            WireType::LengthDelimited => decode_varint(&mut bytes).ok(),
            WireType::StartGroup | WireType::EndGroup => None,
        };
        let rest = width.and_then(|width| bytes.get(usize::try_from(width).ok()?..));
        let Some(rest) = rest else { return n_metrics };
        bytes = rest;
        n_metrics += usize::from(tag == METRICS);
    }
    n_metrics
}

/// Inflates gzip or zlib, told apart by the first bytes: the field that names the algorithm is optional and may be wrong.
fn inflated(body: &[u8]) -> Result<Vec<u8>, Undecodable> {
    let mut out = Vec::new();
    let bound = PAYLOAD_BYTES_MAX as u64 + 1;
    let (form, read) = match body {
        [0x1f, 0x8b, ..] => ("gzip", GzDecoder::new(body).take(bound).read_to_end(&mut out)),
        [0x08 | 0x18 | 0x28 | 0x38 | 0x48 | 0x58 | 0x68 | 0x78, ..] => {
            ("zlib", ZlibDecoder::new(body).take(bound).read_to_end(&mut out))
        }
        _ => {
            let detail = "the body of a compressed payload begins like neither gzip nor zlib".to_owned();
            return Err(undecodable(Reason::BadPayload, detail));
        }
    };
    if out.len() > PAYLOAD_BYTES_MAX {
        let detail = format!("the compressed payload inflates to more than {PAYLOAD_BYTES_MAX} bytes");
        return Err(undecodable(Reason::TooLarge, detail));
    }
    match read {
        Ok(_) => Ok(out),
        Err(error) => {
            Err(undecodable(Reason::BadPayload, format!("the body of the compressed payload is no {form}: {error}")))
        }
    }
}

fn undecodable(reason: Reason, detail: String) -> Undecodable {
    Undecodable { reason, detail, sequence: None }
}

#[cfg(test)]
mod tests;
