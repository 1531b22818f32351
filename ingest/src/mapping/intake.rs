//! From the bytes of a payload to a tape: decompressed, read by its codec, and what was packed in texts unwrapped.
//!
//! Invariant: all that is inflated of one message is bounded by [`PAYLOAD_BYTES_MAX`], however it is nested.

use std::borrow::Cow;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bumpalo::Bump;
use encoding_rs::Encoding;
use flate2::read::{GzDecoder, ZlibDecoder};
use model::Reason;

use super::file::{RawCodec, RawDecompress};
use super::path::{Path, Root, Step};
use super::plan::{Form, Intake, Unwrap};
use super::tape::{Node, Place, Tape, read_json};
use super::{csv, influx};
use crate::decode::{PAYLOAD_BYTES_MAX, Undecodable};

/// Texts that one `unwrap` opens in a message: one per value of the largest message.
const UNWRAPPED_MAX: usize = crate::decode::VALUES_MAX;

fn undecodable(reason: Reason, detail: String) -> Undecodable {
    Undecodable { reason, detail, sequence: None }
}

/// Reads a payload.
///
/// # Errors
/// `too_large` when inflated, `bad_payload`, `bad_utf8`, `bad_json`, `empty`.
pub(super) fn read<'a>(intake: &Intake, payload: &'a [u8], arena: &'a Bump) -> Result<Tape<'a>, Undecodable> {
    let mut budget = PAYLOAD_BYTES_MAX;
    let bytes: &'a [u8] = match inflated(intake.decompress, payload, &mut budget)? {
        Cow::Borrowed(bytes) => bytes,
        Cow::Owned(bytes) => arena.alloc_slice_copy(&bytes),
    };
    if bytes.is_empty() {
        return Err(undecodable(Reason::Empty, "the payload has no bytes".to_owned()));
    }
    let text = match intake.charset {
        None => utf8(bytes)?,
        Some(charset) => decoded(charset, bytes, arena)?,
    };
    let mut tape = Tape::for_bytes(text.len());
    match intake.codec {
        RawCodec::Json => read_json(text, &mut tape, arena)
            .map_err(|error| undecodable(Reason::BadJson, format!("the payload is not JSON: {error}")))?,
        RawCodec::Scalar => scalar(text, &mut tape, arena),
        RawCodec::Influx => {
            influx::read(text, &mut tape, arena).map_err(|detail| undecodable(Reason::BadPayload, detail))?;
        }
        RawCodec::Csv => {
            let separator = intake.csv.separator.unwrap_or(',');
            let columns = intake.csv.columns.as_deref();
            csv::read(text, separator, columns, &mut tape, arena)
                .map_err(|detail| undecodable(Reason::BadPayload, detail))?;
        }
    }
    for unwrap in &intake.unwrap {
        opened(unwrap, &mut tape, arena, &mut budget)?;
    }
    Ok(tape)
}

fn utf8(bytes: &[u8]) -> Result<&str, Undecodable> {
    std::str::from_utf8(bytes).map(|text| text.strip_prefix('\u{feff}').unwrap_or(text)).map_err(|error| {
        let at = error.valid_up_to();
        let how = "a compressed one needs `decompress`, one in GBK `charset = \"gbk\"`";
        undecodable(Reason::BadUtf8, format!("the payload is not UTF-8 from byte {at}; {how}"))
    })
}

/// The text of bytes in another charset: at most three bytes for each of them.
fn decoded<'a>(charset: &'static Encoding, bytes: &'a [u8], arena: &'a Bump) -> Result<&'a str, Undecodable> {
    match charset.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(Cow::Borrowed(text)) => Ok(text),
        Some(Cow::Owned(text)) => Ok(arena.alloc_str(&text)),
        None => Err(undecodable(Reason::BadUtf8, format!("the payload is not {}", charset.name()))),
    }
}

/// One bare value: a JSON scalar, or any text.
fn scalar<'a>(text: &'a str, tape: &mut Tape<'a>, arena: &'a Bump) {
    let text = text.trim();
    let mut read = Tape::default();
    let is_json = read_json(text, &mut read, arena).is_ok();
    match read.at(0) {
        node @ (Node::Null | Node::Bool(_) | Node::Int(_) | Node::UInt(_) | Node::Float(_) | Node::Text(_))
            if is_json =>
        {
            tape.push(node);
        }
        Node::Null
        | Node::Bool(_)
        | Node::Int(_)
        | Node::UInt(_)
        | Node::Float(_)
        | Node::Text(_)
        | Node::Array { .. }
        | Node::Object { .. }
        | Node::Link(_) => tape.text(text),
    }
}

fn inflated<'a>(how: RawDecompress, bytes: &'a [u8], budget: &mut usize) -> Result<Cow<'a, [u8]>, Undecodable> {
    match how {
        RawDecompress::None => Ok(Cow::Borrowed(bytes)),
        RawDecompress::Gzip => inflate(GzDecoder::new(bytes), "gzip", budget).map(Cow::Owned),
        RawDecompress::Zlib => inflate(ZlibDecoder::new(bytes), "zlib", budget).map(Cow::Owned),
        RawDecompress::Auto => match bytes {
            [0x1f, 0x8b, ..] => inflate(GzDecoder::new(bytes), "gzip", budget).map(Cow::Owned),
            // The two bytes of a zlib header are a multiple of 31, which no JSON text begins with.
            [first @ 0x78, second, ..] if (u16::from(*first) * 256 + u16::from(*second)) % 31 == 0 => {
                inflate(ZlibDecoder::new(bytes), "zlib", budget).map(Cow::Owned)
            }
            _ => Ok(Cow::Borrowed(bytes)),
        },
    }
}

fn inflate(reader: impl Read, what: &str, budget: &mut usize) -> Result<Vec<u8>, Undecodable> {
    let mut out = Vec::new();
    // One byte more than is left tells too much from just enough.
    let limit = u64::try_from(*budget).unwrap_or(u64::MAX).saturating_add(1);
    reader
        .take(limit)
        .read_to_end(&mut out)
        .map_err(|error| undecodable(Reason::BadPayload, format!("the payload is no whole {what}: {error}")))?;
    match budget.checked_sub(out.len()) {
        Some(left) => *budget = left,
        None => {
            let detail = format!("the payload inflates to more than {PAYLOAD_BYTES_MAX} bytes");
            return Err(undecodable(Reason::TooLarge, detail));
        }
    }
    Ok(out)
}

/// Opens the texts at a path. What is no text, or no text of this form, stays as it is: the rule judges it.
fn opened<'a>(unwrap: &Unwrap, tape: &mut Tape<'a>, arena: &'a Bump, budget: &mut usize) -> Result<(), Undecodable> {
    for place in places(&unwrap.path, tape) {
        let Node::Text(text) = tape.at(place) else { continue };
        let Some(bytes) = unpacked(&unwrap.forms, text, budget)? else { continue };
        if unwrap.forms.last() == Some(&Form::Bytes) {
            let to = tape.next_place();
            let array = tape.open_array();
            bytes.iter().for_each(|byte| tape.int(i64::from(*byte)));
            tape.close(array);
            tape.link(place, to);
            continue;
        }
        let text: &'a str = match bytes {
            Cow::Borrowed(_) => text,
            Cow::Owned(bytes) => match std::str::from_utf8(&bytes) {
                Ok(text) => arena.alloc_str(text),
                Err(_) => continue,
            },
        };
        let to = tape.next_place();
        if read_json(text, tape, arena).is_err() {
            tape.truncate(to);
            tape.text(text);
        }
        tape.link(place, to);
    }
    Ok(())
}

/// The bytes in a text; none if they are not of this form.
fn unpacked<'t>(forms: &[Form], text: &'t str, budget: &mut usize) -> Result<Option<Cow<'t, [u8]>>, Undecodable> {
    let mut bytes = Cow::Borrowed(text.as_bytes());
    for form in forms {
        let next = match form {
            Form::Json | Form::Bytes => continue,
            Form::Base64 => {
                let Ok(decoded) = STANDARD.decode(bytes.trim_ascii()) else { return Ok(None) };
                Ok(decoded)
            }
            Form::Zlib => inflate(ZlibDecoder::new(&*bytes), "zlib", budget),
            Form::Gzip => inflate(GzDecoder::new(&*bytes), "gzip", budget),
        };
        bytes = match next {
            Ok(next) => Cow::Owned(next),
            Err(error) if error.reason == Reason::TooLarge => return Err(error),
            Err(_) => return Ok(None),
        };
    }
    Ok(Some(bytes))
}

fn places(path: &Path, tape: &Tape<'_>) -> Vec<Place> {
    if path.root != Root::Message {
        return Vec::new();
    }
    let mut places = vec![0];
    for step in &path.steps {
        places = places
            .into_iter()
            .flat_map(|place| -> Vec<Place> {
                match step {
                    Step::Key(key) => tape.get(place, key).into_iter().collect(),
                    Step::Index(index) => tape.element(place, *index).into_iter().collect(),
                    Step::Every => tape.elements(place).chain(tape.entries(place).map(|(_, value)| value)).collect(),
                }
            })
            .take(UNWRAPPED_MAX)
            .collect();
    }
    places
}
