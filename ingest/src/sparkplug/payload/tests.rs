//! Payloads as they should not be: broken, nested without end, blown up.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

/// A length-delimited field.
fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

fn compressed(body: &[u8]) -> Vec<u8> {
    [field(4, COMPRESSED), field(5, body)].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_compressed_body_is_told_by_its_bytes() {
    let inner = Payload { timestamp: Some(5), seq: Some(3), metrics: vec![Metric::default()], ..Payload::default() };
    let bytes = inner.encode_to_vec();
    for body in [gzip(&bytes), zlib(&bytes)] {
        let opened = open(&compressed(&body)).unwrap();
        assert!(opened.compressed);
        assert_eq!(opened.payload, inner);
    }
    assert!(!open(&bytes).unwrap().compressed);
}

#[test]
fn absent_and_zero_are_different_things() {
    let opened = open(&[0x08, 0x00, 0x18, 0x00]).unwrap();
    assert_eq!((opened.payload.timestamp, opened.payload.seq), (Some(0), Some(0)));
    let opened = open(&[]).unwrap();
    assert_eq!((opened.payload.timestamp, opened.payload.seq), (None, None));
}

#[test]
fn broken_and_hostile_payloads_are_refused_with_a_reason() {
    let bomb = gzip(&vec![0; 64 << 20]);
    let too_many = [0x12, 0x00].repeat(VALUES_MAX + 1);
    let unending_varint = [0xff; 64];
    let groups = [0x33u8; 10_000];
    for (name, bytes, reason) in [
        ("a varint without end", unending_varint.to_vec(), Reason::BadPayload),
        ("a field beyond the end", vec![0x12, 0x7f, 0x00], Reason::BadPayload),
        ("a length of 2^63", vec![0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], Reason::BadPayload),
        ("a wrong wire type", vec![0x0a, 0x00], Reason::BadPayload),
        ("groups in groups", groups.to_vec(), Reason::BadPayload),
        ("JSON", b"{\"metrics\":[]}".to_vec(), Reason::BadPayload),
        ("a bomb", compressed(&bomb), Reason::TooLarge),
        ("a body of neither form", compressed(b"hello"), Reason::BadPayload),
        ("a body cut short", compressed(&gzip(b"hello")[..12]), Reason::BadPayload),
        ("a body that is no payload", compressed(&zlib(&[0xff; 20])), Reason::BadPayload),
        ("too many metrics", too_many.clone(), Reason::TooManyValues),
        ("too many metrics inside", compressed(&zlib(&too_many)), Reason::TooManyValues),
    ] {
        assert_eq!(open(&bytes).map(|_| ()).unwrap_err().reason, reason, "{name}");
    }
}

#[test]
fn a_compressed_payload_inside_a_compressed_one_is_not_looked_into() {
    let inner = compressed(&gzip(&[0x12, 0x00]));
    let opened = open(&compressed(&gzip(&inner))).unwrap();
    assert_eq!(opened.payload.metrics, []);
}

#[test]
fn ten_thousand_nested_templates_are_one_metric_that_is_a_template() {
    let mut metric = Vec::new();
    for _ in 0..10_000 {
        let template = field(2, &metric);
        metric = [vec![0x92, 0x01], field(0, &template)[1..].to_vec()].concat();
    }
    let bytes = field(2, &metric);
    let opened = open(&bytes).unwrap();
    assert!(matches!(opened.payload.metrics[0].wire, Some(Wire::Template(_))));
}

#[test]
fn text_that_is_no_utf8_does_not_break_the_message() {
    let metric = [field(1, b"\xb5\xe7"), field(15, b"\xff")].concat();
    let opened = open(&field(2, &metric)).unwrap();
    assert_eq!(opened.payload.metrics[0].name.as_deref(), Some(&b"\xb5\xe7"[..]));
}

proptest! {
    #[test]
    fn bytes_of_any_kind_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = open(&bytes);
        let _ = open(&compressed(&bytes));
    }

    #[test]
    fn what_is_counted_is_what_is_built(n in 0usize..50, tail in proptest::collection::vec(any::<u8>(), 0..20)) {
        let bytes = [[0x12, 0x02, 0x10, 0x05].repeat(n), tail].concat();
        if let Ok(opened) = read(&bytes) {
            prop_assert_eq!(opened.metrics.len(), n_metrics(&bytes));
        }
    }
}
