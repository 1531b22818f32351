//! Values that files are written in: civil days, instants with an offset, names in two languages.

use std::fmt;

use jiff::civil::Date;
use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};
use toml::value::Datetime;

use crate::UnixMillis;
use crate::programme::Label;

/// A civil day.
#[derive(Debug, Clone, Copy)]
pub struct Day(pub Date);

/// An instant with an offset.
#[derive(Debug, Clone, Copy)]
pub struct At(pub UnixMillis);

/// A civil day or an instant.
#[derive(Debug, Clone, Copy)]
pub enum DayOrAt {
    Day(Date),
    At(UnixMillis),
}

/// A name in both languages, or one text that is the same in both.
#[derive(Debug, Clone)]
pub struct Name(pub Label);

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
        match day_or_at(&Datetime::deserialize(deserializer)?) {
            Some(DayOrAt::Day(day)) => Ok(Day(day)),
            Some(DayOrAt::At(_)) | None => Err(D::Error::custom("needs a day without a time, such as 2015-01-31")),
        }
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<At, D::Error> {
        match day_or_at(&Datetime::deserialize(deserializer)?) {
            Some(DayOrAt::At(at)) => Ok(At(at)),
            Some(DayOrAt::Day(_)) | None => {
                Err(D::Error::custom("needs a time with an offset, such as 2019-05-03T10:20:00+08:00"))
            }
        }
    }
}

impl<'de> Deserialize<'de> for DayOrAt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DayOrAt, D::Error> {
        day_or_at(&Datetime::deserialize(deserializer)?).ok_or_else(|| {
            D::Error::custom(
                "needs a day such as 2015-01-31, or a time with an offset such as 2019-05-03T10:20:00+08:00",
            )
        })
    }
}

fn day_or_at(datetime: &Datetime) -> Option<DayOrAt> {
    let day = datetime.date?;
    let date = Date::new(i16::try_from(day.year).ok()?, i8::try_from(day.month).ok()?, i8::try_from(day.day).ok()?);
    if datetime.time.is_none() {
        return date.ok().map(DayOrAt::Day);
    }
    // TOML allows to leave the seconds out, RFC 3339 does not.
    let mut whole = *datetime;
    if let Some(time) = whole.time.as_mut() {
        time.second = time.second.or(Some(0));
    }
    whole.offset?;
    UnixMillis::parse(&whole.to_string()).ok().map(DayOrAt::At)
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_any(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or `{ zh = \"…\", en = \"…\" }`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
        Ok(Name(Label { zh: text.to_owned(), en: text.to_owned() }))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Name, A::Error> {
        Label::deserialize(MapAccessDeserializer::new(map)).map(Name)
    }
}
