//! Writes messages in Pilotline v1 JSON, digit by digit into one buffer: five million readings take seconds, not minutes.
//!
//! A message of the history is short: epoch milliseconds, no units. A live one shows the long form: RFC 3339 with the
//! plant's offset, and units.
//!
//! Invariants:
//! - no message passes the limits of the door ([`VALUES_MAX`], 1 MiB): a test makes the largest one;
//! - a value is a whole number of hundredths, so that what is sent is what was meant, to the last digit.

use super::Message;

/// Readings and order events in one message: below the 10,000 of the contract, so that a calendar quarter of
/// quarter-hours (8,833) fits. Full at that number, a message is closed and the next one begun.
pub(crate) const VALUES_MAX: usize = 9_500;

/// How much a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Epoch milliseconds, no units.
    Short,
    /// RFC 3339 with +08:00, and units.
    Long,
}

/// How far a reading is to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    Good,
    Uncertain,
    /// Its value is not sent.
    Bad,
}

/// Something a gateway sends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Item<'a> {
    Reading(Reading<'a>),
    Order(OrderEvent<'a>),
}

/// One reading.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) asset: &'a str,
    pub(crate) name: &'a str,
    pub(crate) product: Option<&'a str>,
    pub(crate) at: i64,
    /// In hundredths.
    pub(crate) value: u64,
    pub(crate) unit: &'a str,
    pub(crate) trust: Trust,
}

/// One event of an order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OrderEvent<'a> {
    pub(crate) number: u32,
    pub(crate) product: &'a str,
    pub(crate) at: i64,
    pub(crate) what: What,
}

/// What happened to it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    Started {
        quantity: u32,
    },
    /// With good and defective pieces, where the plant counts them by order.
    Completed {
        counted: Option<(u32, u32)>,
    },
    Cancelled,
}

/// One gateway: it numbers its messages.
#[derive(Debug)]
pub(crate) struct Gateway {
    topic: String,
    boot: u64,
    seq: u64,
}

impl Gateway {
    pub(crate) fn new(pilot: &str, gateway: &str, boot: u64) -> Gateway {
        Gateway { topic: format!("pilotline/v1/{pilot}/{gateway}"), boot, seq: 0 }
    }

    /// As many messages as the items need, in their order; none if there are none.
    pub(crate) fn messages<'a>(&mut self, form: Form, items: impl Iterator<Item = Item<'a>>) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut body = Body::default();
        for item in items {
            body.push(form, item);
            if body.n_values == VALUES_MAX {
                messages.push(self.close(&mut body));
            }
        }
        if body.n_values > 0 {
            messages.push(self.close(&mut body));
        }
        messages
    }

    fn close(&mut self, body: &mut Body) -> Message {
        let body = std::mem::take(body);
        self.seq += 1;
        let mut payload = Vec::with_capacity(body.readings.len() + body.orders.len() + 80);
        payload.extend_from_slice(b"{\"boot\":");
        push_number(&mut payload, self.boot);
        payload.extend_from_slice(b",\"seq\":");
        push_number(&mut payload, self.seq);
        for (key, list) in [("readings", &body.readings), ("orders", &body.orders)] {
            if !list.is_empty() {
                payload.extend_from_slice(b",\"");
                payload.extend_from_slice(key.as_bytes());
                payload.extend_from_slice(b"\":[");
                payload.extend_from_slice(list);
                payload.push(b']');
            }
        }
        payload.push(b'}');
        Message { topic: self.topic.clone(), payload }
    }
}

/// The two lists of a message being written.
#[derive(Debug, Default)]
struct Body {
    readings: Vec<u8>,
    orders: Vec<u8>,
    n_values: usize,
}

impl Body {
    fn push(&mut self, form: Form, item: Item<'_>) {
        self.n_values += 1;
        match item {
            Item::Reading(reading) => push_reading(separated(&mut self.readings), form, &reading),
            Item::Order(event) => push_order(separated(&mut self.orders), form, &event),
        }
    }
}

fn separated(list: &mut Vec<u8>) -> &mut Vec<u8> {
    if !list.is_empty() {
        list.push(b',');
    }
    list
}

fn push_reading(list: &mut Vec<u8>, form: Form, reading: &Reading<'_>) {
    push_text(list, b"{\"asset\":", reading.asset);
    push_text(list, b",\"name\":", reading.name);
    if let Some(product) = reading.product {
        push_text(list, b",\"product\":", product);
    }
    push_at(list, form, reading.at);
    list.extend_from_slice(b",\"value\":");
    match reading.trust {
        Trust::Good | Trust::Uncertain => push_hundredths(list, reading.value),
        Trust::Bad => list.extend_from_slice(b"null"),
    }
    if form == Form::Long {
        push_text(list, b",\"unit\":", reading.unit);
    }
    match reading.trust {
        Trust::Good => {}
        Trust::Uncertain => list.extend_from_slice(b",\"quality\":\"uncertain\""),
        Trust::Bad => list.extend_from_slice(b",\"quality\":\"bad\""),
    }
    list.push(b'}');
}

fn push_order(list: &mut Vec<u8>, form: Form, event: &OrderEvent<'_>) {
    list.extend_from_slice(b"{\"order\":\"WO-");
    push_number(list, 100_000 + u64::from(event.number));
    list.push(b'"');
    push_text(list, b",\"product\":", event.product);
    let what = match event.what {
        What::Started { .. } => "started",
        What::Completed { .. } => "completed",
        What::Cancelled => "cancelled",
    };
    push_text(list, b",\"event\":", what);
    push_at(list, form, event.at);
    let mut push_pieces = |key: &[u8], pieces: u32| {
        list.extend_from_slice(key);
        push_number(list, u64::from(pieces));
    };
    match event.what {
        What::Started { quantity } => push_pieces(b",\"quantity\":", quantity),
        What::Completed { counted: Some((good, defective)) } => {
            push_pieces(b",\"good\":", good);
            push_pieces(b",\"defective\":", defective);
        }
        What::Completed { counted: None } | What::Cancelled => {}
    }
    list.push(b'}');
}

/// A key and a text of ours: none has a character that JSON escapes (a test reads every message as JSON).
fn push_text(list: &mut Vec<u8>, key: &[u8], text: &str) {
    list.extend_from_slice(key);
    list.push(b'"');
    list.extend_from_slice(text.as_bytes());
    list.push(b'"');
}

fn push_at(list: &mut Vec<u8>, form: Form, at: i64) {
    list.extend_from_slice(b",\"at\":");
    match form {
        Form::Short => push_number(list, at.unsigned_abs()),
        Form::Long => {
            let local = model::UnixMillis(at).timestamp().display_with_offset(jiff::tz::offset(8)).to_string();
            list.push(b'"');
            list.extend_from_slice(local.as_bytes());
            list.push(b'"');
        }
    }
}

pub(crate) fn push_hundredths(list: &mut Vec<u8>, value: u64) {
    push_number(list, value / 100);
    let rest = value % 100;
    if rest > 0 {
        list.push(b'.');
        list.push(digit(rest / 10));
        if !rest.is_multiple_of(10) {
            list.push(digit(rest % 10));
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "one decimal digit")]
fn digit(value: u64) -> u8 {
    b'0' + (value % 10) as u8
}

pub(crate) fn push_number(list: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = digit(value);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    list.extend_from_slice(&digits[first..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_shows_every_field() {
        let reading = Reading {
            asset: "em-1",
            name: "electricity",
            product: None,
            at: 1_740_787_200_000,
            value: 18_273_640,
            unit: "kWh",
            trust: Trust::Uncertain,
        };
        let event = |what| Item::Order(OrderEvent { number: 7, product: "A12", at: 1_740_787_200_000, what });
        let items = [
            Item::Reading(reading),
            event(What::Started { quantity: 200 }),
            event(What::Completed { counted: Some((197, 3)) }),
        ];
        let mut gateway = Gateway::new("p-1", "meters", 7);
        let messages = gateway.messages(Form::Long, items.into_iter());
        assert_eq!(messages[0].topic, "pilotline/v1/p-1/meters");
        insta::assert_snapshot!(String::from_utf8(messages[0].payload.clone()).unwrap(), @r#"{"boot":7,"seq":1,"readings":[{"asset":"em-1","name":"electricity","at":"2025-03-01T08:00:00+08:00","value":182736.4,"unit":"kWh","quality":"uncertain"}],"orders":[{"order":"WO-100007","product":"A12","event":"started","at":"2025-03-01T08:00:00+08:00","quantity":200},{"order":"WO-100007","product":"A12","event":"completed","at":"2025-03-01T08:00:00+08:00","good":197,"defective":3}]}"#);
    }

    #[test]
    fn hundredths_lose_their_empty_digits() {
        check(0, "0");
        check(5, "0.05");
        check(50, "0.5");
        check(18_273_640, "182736.4");
        check(18_273_600, "182736");
        check(u64::MAX, "184467440737095516.15");

        #[track_caller]
        fn check(value: u64, text: &str) {
            let mut list = Vec::new();
            push_hundredths(&mut list, value);
            assert_eq!(String::from_utf8(list).unwrap(), text);
        }
    }
}
