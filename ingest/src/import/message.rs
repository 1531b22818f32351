//! Messages of Pilotline v1 made from rows, and which row each of their parts came from.
//!
//! Invariants:
//! - the same rows give the same bytes, so that a file that is brought in again is a file of duplicates;
//! - a cell that cannot be read goes into its message as it stands, so that it is refused, counted and kept like any other.

use std::collections::HashMap;

use model::reason::RefusedPart;
use model::{OrderEventKind, UnixMillis, Value};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::header::SeriesName;

/// Readings and order events of one message: a commit of some 0.25 MB, so that gateways wait no longer than usual.
const PARTS_MAX: usize = 5_000;
/// Bytes of one message; far below what is taken.
const BYTES_MAX: usize = 512 << 10;
/// Longest text of a cell that is passed on; a name or a number of this length is refused.
const TEXT_MAX: usize = 300;
/// Identities remembered, to find the same one twice in a file: some 150 MB.
const SEEN_MAX: usize = 4 << 20;

/// A message of rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Message {
    /// Pilotline v1 JSON.
    pub payload: Vec<u8>,
    pub readings: Vec<Origin>,
    pub orders: Vec<Origin>,
}

/// Where a part of a message came from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// The line of a text, the row of a sheet; from 1.
    pub row: u64,
    /// The title of its column in a meter book.
    pub column: Option<std::sync::Arc<str>>,
    /// Why its cell cannot be read, better than its refusal can say it.
    pub problem: Option<String>,
    /// An earlier row of the file with the same identity and another value.
    pub rival: Option<u64>,
}

impl Message {
    /// Where a part came from.
    pub fn origin(&self, part: RefusedPart) -> Option<&Origin> {
        match part {
            RefusedPart::Message => None,
            RefusedPart::Reading(index) => self.readings.get(index as usize),
            RefusedPart::Order(index) => self.orders.get(index as usize),
        }
    }
}

/// A time or a value: read, or as it stands in its cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Sent<T> {
    Read(T),
    Text(String),
}

impl<T> Sent<T> {
    /// What cannot be read, cut to what is worth keeping.
    pub(super) fn raw(text: &str) -> Sent<T> {
        Sent::Text(cut(text))
    }
}

pub(super) fn cut(text: &str) -> String {
    let mut end = text.len().min(TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// A reading of Pilotline v1; what is none is left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Reading<'r> {
    pub(super) asset: &'r str,
    pub(super) name: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) product: Option<&'r str>,
    pub(super) value: Option<Sent<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<&'r str>,
    pub(super) at: Sent<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quality: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'r str>,
}

/// An order event of Pilotline v1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct OrderEvent<'r> {
    pub(super) order: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) product: Option<&'r str>,
    pub(super) event: &'static str,
    pub(super) at: Sent<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quantity: Option<Sent<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) good: Option<Sent<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) defective: Option<Sent<Value>>,
}

/// An instant as Pilotline v1 sends it.
pub(super) fn sent_at(at: UnixMillis) -> Sent<i64> {
    Sent::Read(at.0)
}

pub(super) fn event_word(event: OrderEventKind) -> &'static str {
    event.as_str()
}

/// Where the first of a row of monthly amounts begins: a bill for January stands for all of January, and a delta covers what
/// lies between it and the reading before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    pub series: SeriesName,
    pub at: UnixMillis,
}

/// A message of readings without a value, of quality bad, one where each opening is: they end the span before and are in no
/// sum. `openings` are at most [`OPENINGS_AT_ONCE`].
///
/// # Errors
/// Never in practice: texts and integers can be written as JSON.
pub fn opened(openings: &[Opening]) -> serde_json::Result<Message> {
    let mut builder = Builder::default();
    for Opening { series: SeriesName { asset, name, product }, at } in openings {
        let reading = Reading {
            asset,
            name,
            product: product.as_deref(),
            value: None,
            unit: None,
            at: sent_at(*at),
            quality: Some("bad"),
            id: None,
        };
        builder.reading(&reading, Origin::default())?;
    }
    Ok(builder.take().unwrap_or_default())
}

/// Openings of one message.
pub const OPENINGS_AT_ONCE: usize = PARTS_MAX;

/// Gathers parts until they are a message.
#[derive(Default)]
pub(super) struct Builder {
    readings: Vec<u8>,
    orders: Vec<u8>,
    message: Message,
    seen: Seen,
}

impl Builder {
    pub(super) fn reading(&mut self, reading: &Reading<'_>, mut origin: Origin) -> serde_json::Result<()> {
        let identity = (reading.asset, reading.name, reading.product, &reading.at, reading.id);
        origin.rival = self.seen.rival(&identity, &(&reading.value, reading.unit, reading.quality), origin.row)?;
        append(&mut self.readings, reading)?;
        self.message.readings.push(origin);
        Ok(())
    }

    pub(super) fn order(&mut self, event: &OrderEvent<'_>, mut origin: Origin) -> serde_json::Result<()> {
        let value = (&event.at, event.product, &event.quantity, &event.good, &event.defective);
        origin.rival = self.seen.rival(&(event.order, event.event), &value, origin.row)?;
        append(&mut self.orders, event)?;
        self.message.orders.push(origin);
        Ok(())
    }

    /// Whether what has gathered is enough for a message.
    pub(super) fn is_full(&self) -> bool {
        self.message.readings.len() + self.message.orders.len() >= PARTS_MAX
            || self.readings.len() + self.orders.len() >= BYTES_MAX
    }

    /// What has gathered; none if nothing has.
    pub(super) fn take(&mut self) -> Option<Message> {
        if self.message.readings.is_empty() && self.message.orders.is_empty() {
            return None;
        }
        let (readings, orders) = (std::mem::take(&mut self.readings), std::mem::take(&mut self.orders));
        let mut payload = b"{".to_vec();
        for (name, list) in [("readings", readings), ("orders", orders)] {
            if !list.is_empty() {
                let comma = if payload.len() > 1 { "," } else { "" };
                payload.extend_from_slice(format!("{comma}\"{name}\":[").as_bytes());
                payload.extend_from_slice(&list);
                payload.push(b']');
            }
        }
        payload.push(b'}');
        Some(Message { payload, ..std::mem::take(&mut self.message) })
    }
}

fn append(list: &mut Vec<u8>, part: &impl Serialize) -> serde_json::Result<()> {
    if !list.is_empty() {
        list.push(b',');
    }
    serde_json::to_writer(list, part)
}

/// The identities of a file, as hashes: what they were worth, and in which row.
#[derive(Default)]
struct Seen {
    rows: HashMap<u64, (u64, u64)>,
    scratch: Vec<u8>,
}

impl Seen {
    fn rival(
        &mut self,
        identity: &impl Serialize,
        value: &impl Serialize,
        row: u64,
    ) -> serde_json::Result<Option<u64>> {
        let identity = self.hash(identity)?;
        let value = self.hash(value)?;
        if let Some((known, at)) = self.rows.get(&identity) {
            return Ok(Some(*at).filter(|_| *known != value));
        }
        if self.rows.len() < SEEN_MAX {
            self.rows.insert(identity, (value, row));
        }
        Ok(None)
    }

    fn hash(&mut self, part: &impl Serialize) -> serde_json::Result<u64> {
        self.scratch.clear();
        serde_json::to_writer(&mut self.scratch, part)?;
        Ok(xxh3_64(&self.scratch))
    }
}
