//! What a metric's bits mean: the value by its datatype, the quality, the unit.
//!
//! Invariants:
//! - integers stay exact up to 2^64;
//! - the datatype decides, not the field it rides in: senders mask or sign-extend, and use wider fields than they should;
//! - a datatype that is no number is named, never guessed at.

use model::{Quality, Value};

use super::payload::{Metric, Property, PropertySet, Wire};

pub(super) const BOOLEAN: u32 = 11;

/// What came of the bits of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Typed {
    Number(Value),
    /// Infinite or not a number.
    NotFinite,
    /// No value field at all.
    Missing,
    /// The datatype is no number.
    NoNumber,
    /// A number by its datatype, but what came is text, bytes or a structure.
    WrongField,
    /// No datatype, and the field alone does not say how to read the bits.
    Untyped,
}

/// The name of a datatype by its code.
pub(super) fn datatype_name(code: u32) -> &'static str {
    const NAMES: [&str; 35] = [
        "Unknown",
        "Int8",
        "Int16",
        "Int32",
        "Int64",
        "UInt8",
        "UInt16",
        "UInt32",
        "UInt64",
        "Float",
        "Double",
        "Boolean",
        "String",
        "DateTime",
        "Text",
        "UUID",
        "DataSet",
        "Bytes",
        "File",
        "Template",
        "PropertySet",
        "PropertySetList",
        "Int8Array",
        "Int16Array",
        "Int32Array",
        "Int64Array",
        "UInt8Array",
        "UInt16Array",
        "UInt32Array",
        "UInt64Array",
        "FloatArray",
        "DoubleArray",
        "BooleanArray",
        "StringArray",
        "DateTimeArray",
    ];
    usize::try_from(code).ok().and_then(|code| NAMES.get(code)).unwrap_or(&"of an unknown code")
}

/// The datatype that speaks for itself by the field it rides in, for a metric that has none.
fn implied(wire: &Wire) -> u32 {
    match wire {
        Wire::Float(_) => 9,
        Wire::Double(_) => 10,
        Wire::Bool(_) => BOOLEAN,
        Wire::Text(_) => 12,
        Wire::Bytes(_) => 17,
        Wire::DataSet(_) => 16,
        Wire::Template(_) => 19,
        Wire::Int(_) | Wire::Long(_) => 0,
    }
}

/// Reads the bits of a metric as this datatype; 0 where nobody says.
pub(super) fn typed(datatype: u32, wire: Option<&Wire>) -> Typed {
    let Some(wire) = wire else { return Typed::Missing };
    let datatype = if datatype == 0 { implied(wire) } else { datatype };
    match datatype {
        0 => Typed::Untyped,
        1..=8 | 13 => integer(datatype, wire),
        9 | 10 => float(wire),
        BOOLEAN => boolean(wire),
        _ => Typed::NoNumber,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the width of the datatype is what is wanted of the bits")]
#[allow(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "two's complement")]
fn integer(datatype: u32, wire: &Wire) -> Typed {
    let bits = match wire {
        Wire::Int(int) if datatype == 4 => i64::from(*int as i32) as u64,
        Wire::Int(int) => u64::from(*int),
        Wire::Long(long) => *long,
        Wire::Bool(boolean) => u64::from(*boolean),
        Wire::Float(float) => return float_of(f64::from(*float)),
        Wire::Double(double) => return float_of(*double),
        Wire::Text(_) | Wire::Bytes(_) | Wire::DataSet(_) | Wire::Template(_) => return Typed::WrongField,
    };
    Typed::Number(match datatype {
        1 => Value::from_i64(i64::from(bits as i8)),
        2 => Value::from_i64(i64::from(bits as i16)),
        3 => Value::from_i64(i64::from(bits as i32)),
        4 => Value::from_i64(bits as i64),
        5 => Value::from_u64(u64::from(bits as u8)),
        6 => Value::from_u64(u64::from(bits as u16)),
        7 => Value::from_u64(u64::from(bits as u32)),
        _ => Value::from_u64(bits),
    })
}

#[allow(clippy::cast_precision_loss, reason = "the sender calls an integer a float")]
fn float(wire: &Wire) -> Typed {
    match wire {
        Wire::Float(float) => float_of(f64::from(*float)),
        Wire::Double(double) => float_of(*double),
        Wire::Int(int) => Typed::Number(Value::from_u64(u64::from(*int))),
        Wire::Long(long) => Typed::Number(Value::from_u64(*long)),
        Wire::Bool(boolean) => Typed::Number(Value::from_u64(u64::from(*boolean))),
        Wire::Text(_) | Wire::Bytes(_) | Wire::DataSet(_) | Wire::Template(_) => Typed::WrongField,
    }
}

fn float_of(float: f64) -> Typed {
    Value::from_f64(float).map_or(Typed::NotFinite, Typed::Number)
}

fn boolean(wire: &Wire) -> Typed {
    let is_true = match wire {
        Wire::Bool(boolean) => *boolean,
        Wire::Int(int) => *int != 0,
        Wire::Long(long) => *long != 0,
        Wire::Float(float) => *float != 0.0,
        Wire::Double(double) => *double != 0.0,
        Wire::Text(_) | Wire::Bytes(_) | Wire::DataSet(_) | Wire::Template(_) => return Typed::WrongField,
    };
    Typed::Number(Value::from_u64(u64::from(is_true)))
}

/// An integer of whatever field, as bdSeq comes: the text of the standard, its examples and its clients differ.
pub(super) fn any_unsigned(metric: &Metric) -> Option<u64> {
    match metric.wire.as_ref()? {
        Wire::Int(int) => Some(u64::from(*int)),
        Wire::Long(long) => Some(*long),
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and in range")]
        Wire::Double(double) if double.fract() == 0.0 && (0.0..1e15).contains(double) => Some(*double as u64),
        Wire::Double(_)
        | Wire::Float(_)
        | Wire::Bool(_)
        | Wire::Text(_)
        | Wire::Bytes(_)
        | Wire::DataSet(_)
        | Wire::Template(_) => None,
    }
}

/// The property of this key, in any case of letters.
fn property<'p>(properties: &'p PropertySet, key: &str) -> Option<&'p Property> {
    let place = properties.keys.iter().position(|found| found.eq_ignore_ascii_case(key.as_bytes()))?;
    let value = properties.values.get(place)?;
    if value.is_null == Some(true) { None } else { value.value.as_ref() }
}

/// The quality that the properties state; a metric that states none is good.
pub(super) fn quality(properties: Option<&PropertySet>) -> Quality {
    match properties.and_then(|properties| property(properties, "Quality")) {
        Some(Property::Int(code)) => quality_of(u64::from(*code)),
        Some(Property::Long(code)) => quality_of(*code),
        // A quality that is no code says nothing that could be trusted.
        Some(Property::Float(_) | Property::Double(_) | Property::Text(_)) => Quality::Uncertain,
        None => Quality::Good,
    }
}

/// 0, 192 and 500 are the standard's; the rest is read as OPC quality, which is what senders of other codes mean.
fn quality_of(code: u64) -> Quality {
    const STALE: u64 = 500;
    match code {
        STALE | 0..64 => Quality::Bad,
        192..256 => Quality::Good,
        _ => Quality::Uncertain,
    }
}

/// The unit that the properties state, in the sender's words.
pub(super) fn unit(properties: Option<&PropertySet>) -> Option<&str> {
    match property(properties?, "engUnit")? {
        Property::Text(text) => std::str::from_utf8(text).ok().filter(|text| !text.is_empty()),
        Property::Int(_) | Property::Long(_) | Property::Float(_) | Property::Double(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::payload::PropertyValue;
    use super::*;

    #[test]
    fn every_integer_is_read_at_the_width_of_its_datatype() {
        for (datatype, wire, number) in [
            (1, Wire::Int(0xE9), "-23"),
            (1, Wire::Int(0xFFFF_FFE9), "-23"),
            (2, Wire::Int(65_529), "-7"),
            (2, Wire::Int(4_294_967_289), "-7"),
            (3, Wire::Int(4_294_967_291), "-5"),
            (3, Wire::Long(u64::MAX - 4), "-5"),
            (4, Wire::Long(u64::MAX), "-1"),
            (4, Wire::Int(u32::MAX), "-1"),
            (4, Wire::Long(9_007_199_254_740_993), "9007199254740993"),
            (5, Wire::Int(255), "255"),
            (6, Wire::Int(65_535), "65535"),
            (7, Wire::Int(u32::MAX), "4294967295"),
            (7, Wire::Long(u64::from(u32::MAX)), "4294967295"),
            (8, Wire::Long(u64::MAX), "18446744073709551615"),
            (8, Wire::Int(7), "7"),
            (8, Wire::Double(7.0), "7"),
            (13, Wire::Long(1_767_323_045_000), "1767323045000"),
        ] {
            assert_eq!(
                typed(datatype, Some(&wire)),
                Typed::Number(Value::parse(number).unwrap()),
                "{datatype} {wire:?}"
            );
        }
    }

    #[test]
    fn floats_and_booleans_are_read_from_whatever_field() {
        for (datatype, wire, number) in [
            (9, Wire::Float(17.25), 17.25),
            (9, Wire::Double(0.1), 0.1),
            (10, Wire::Double(1234.5), 1234.5),
            (10, Wire::Float(0.5), 0.5),
            (10, Wire::Int(3), 3.0),
            (11, Wire::Bool(true), 1.0),
            (11, Wire::Bool(false), 0.0),
            (11, Wire::Int(1), 1.0),
            (11, Wire::Long(0), 0.0),
            (0, Wire::Double(2.5), 2.5),
            (0, Wire::Bool(true), 1.0),
        ] {
            assert_eq!(
                typed(datatype, Some(&wire)),
                Typed::Number(Value::from_f64(number).unwrap()),
                "{datatype} {wire:?}"
            );
        }
    }

    #[test]
    fn what_is_no_number_is_told_apart() {
        let text = Wire::Text(b"RUN".to_vec());
        for (datatype, wire, expected) in [
            (10, Some(Wire::Double(f64::NAN)), Typed::NotFinite),
            (9, Some(Wire::Float(f32::INFINITY)), Typed::NotFinite),
            (10, None, Typed::Missing),
            (12, Some(text.clone()), Typed::NoNumber),
            (0, Some(text.clone()), Typed::NoNumber),
            (10, Some(text), Typed::WrongField),
            (0, Some(Wire::Int(5)), Typed::Untyped),
            (0, Some(Wire::Long(5)), Typed::Untyped),
            (99, Some(Wire::Int(5)), Typed::NoNumber),
        ] {
            assert_eq!(typed(datatype, wire.as_ref()), expected, "{datatype} {wire:?}");
        }
        for code in (12..=34).filter(|code| *code != 13) {
            assert_eq!(typed(code, Some(&Wire::Bytes(vec![1, 2]))), Typed::NoNumber, "{}", datatype_name(code));
        }
    }

    #[test]
    fn quality_codes_are_the_standards_and_opc() {
        let stated = |value| {
            let value = PropertyValue { is_null: None, value: Some(value) };
            quality(Some(&PropertySet { keys: vec![b"Quality".to_vec()], values: vec![value] }))
        };
        for (code, expected) in [
            (0, Quality::Bad),
            (24, Quality::Bad),
            (64, Quality::Uncertain),
            (191, Quality::Uncertain),
            (192, Quality::Good),
            (216, Quality::Good),
            (256, Quality::Uncertain),
            (500, Quality::Bad),
            (512, Quality::Uncertain),
        ] {
            assert_eq!(stated(Property::Int(code)), expected, "{code}");
            assert_eq!(stated(Property::Long(u64::from(code))), expected, "{code}");
        }
        assert_eq!(quality(None), Quality::Good);
        assert_eq!(stated(Property::Text(b"good".to_vec())), Quality::Uncertain);
    }

    #[test]
    fn keys_without_values_state_nothing() {
        let properties = PropertySet { keys: vec![b"Quality".to_vec(), b"engUnit".to_vec()], values: Vec::new() };
        assert_eq!(quality(Some(&properties)), Quality::Good);
        assert_eq!(unit(Some(&properties)), None);
    }
}
