//! Judges the corrections that a person asks for, row by row, with the checks that a reading meets when it arrives.
//!
//! A row is an object of named fields, whether it comes from the command line, a CSV file or the API: [`judge`] reads and checks
//! all of them and changes nothing; [`Wanted::take_up`] gives a series that nothing was sent of its number.
//!
//! Invariants:
//! - if one row is wrong none is made, and every wrong row is named with its field and what would be right;
//! - only a series that the registry declares can be corrected: what is not registered counts nowhere;
//! - no clock: the time at which it is asked is an argument.

use std::collections::BTreeMap;
use std::sync::Arc;

use bumpalo::Bump;
use model::{PilotId, Quality, Reading, Reason, SeriesKey, UnixMillis, Value};
use serde_json::{Map, Value as Json};
use store::{CatalogueEntry, Change, NewCorrection, Registration, Store, StoreError, Which};

use crate::decode::{Decoded, Refused, shown};
use crate::index::{Index, PilotIndex};
use crate::mapping::csv::Rows;
use crate::normalize::check::Checker;

/// Most rows of one request: one transaction holds them all, at some 0.1 ms each. A longer list is several files.
pub const ROWS_MAX: usize = 1_000;
/// Longest author; it stands in lists beside every correction.
const AUTHOR_BYTES_MAX: usize = 256;
/// Longest reason: a paragraph.
const REASON_BYTES_MAX: usize = 2_000;

/// The fields of a row, in the order in which a table has them.
pub const FIELDS: [&str; 13] = [
    "pilot", "asset", "name", "product", "id", "at", "value", "unit", "quality", "void", "withdraw", "author", "reason",
];

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// From 0.
    pub row: usize,
    pub field: String,
    pub text: String,
}

/// A correction that may be made, with what it would change.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub key: SeriesKey,
    /// None if nothing was ever sent of the series.
    pub entry: Option<CatalogueEntry>,
    pub at: UnixMillis,
    pub id: Option<Arc<str>>,
    pub change: Change,
    pub author: Arc<str>,
    pub reason: Arc<str>,
    /// The series' declared unit.
    pub unit: Arc<str>,
    pub stands: Option<Reading>,
    pub sent: Option<Reading>,
}

/// A field and what is wrong with it.
type Wrong = (&'static str, String);

/// Judges rows as of `now`; changes nothing.
///
/// # Errors
/// On reading the store. Mistakes in the rows are returned, all of them.
pub fn judge(rows: &[Json], index: &Index, now: UnixMillis) -> Result<Result<Vec<Wanted>, Vec<Mistake>>, StoreError> {
    let mistake = |row, (field, text): Wrong| Mistake { row, field: field.to_owned(), text };
    if rows.is_empty() || rows.len() > ROWS_MAX {
        let text = format!("{} corrections at once; 1 to {ROWS_MAX} are taken", rows.len());
        return Ok(Err(vec![Mistake { row: 0, field: "body".to_owned(), text }]));
    }
    let (mut wanted, mut mistakes): (Vec<Wanted>, Vec<Mistake>) = (Vec::new(), Vec::new());
    let mut earlier = BTreeMap::new();
    for (row, json) in rows.iter().enumerate() {
        let asked = match Asked::read(json) {
            Ok(asked) => asked,
            Err(wrong) => {
                mistakes.extend(wrong.into_iter().map(|(field, text)| Mistake { row, field, text }));
                continue;
            }
        };
        match asked.judge(index, now)? {
            Err(wrong) => mistakes.push(mistake(row, wrong)),
            Ok(one) => {
                if let Some(other) = earlier.insert((one.key.clone(), one.at, one.id.clone()), row) {
                    let text = format!("the same reading as in correction {} of this request; keep one", other + 1);
                    mistakes.push(mistake(row, ("at", text)));
                }
                wanted.push(one);
            }
        }
    }
    Ok(if mistakes.is_empty() { Ok(wanted) } else { Err(mistakes) })
}

/// The rows of a CSV table whose header names [`FIELDS`], each with its line; an empty field is one that is not there.
///
/// # Errors
/// The line that is none of the table, and what is wrong with it.
pub fn rows_of_csv(text: &str) -> Result<Vec<(usize, Json)>, (usize, String)> {
    let arena = Bump::new();
    let mut rows = Rows::new(text, ',', &arena);
    let unread = |text: String| (0, text);
    let header = rows.next().map_err(unread)?.map(|(_, row)| row).unwrap_or_default();
    let header: Vec<&str> = header.into_iter().map(str::trim).collect();
    if let Some(unknown) = header.iter().find(|name| !FIELDS.contains(name)) {
        return Err((1, format!("there is no column {}; there are: {}", shown(unknown), FIELDS.join(", "))));
    }
    let mut read = Vec::new();
    while let Some((line, row)) = rows.next().map_err(unread)? {
        if row.len() != header.len() {
            return Err((line, format!("{} fields; the header names {}", row.len(), header.len())));
        }
        let fields = header.iter().zip(row).filter(|(_, field)| !field.trim().is_empty());
        let object: Map<String, Json> = fields.map(|(name, field)| ((*name).to_owned(), field.trim().into())).collect();
        read.push((line, Json::Object(object)));
    }
    Ok(read)
}

impl Wanted {
    /// The correction to be made; a series that nothing was sent of gets its number.
    ///
    /// # Errors
    /// If the pilot has too many series.
    pub fn take_up(&self, index: &Index, now: UnixMillis) -> Result<NewCorrection, String> {
        let (store, product) = (index.store(), self.key.product.as_deref());
        let entry = match &self.entry {
            Some(entry) => Some(entry.clone()),
            None => {
                let pilot = index.pilot(self.key.pilot.as_str());
                let target = pilot.and_then(|pilot| Some((pilot, pilot.slot(&self.key.asset, &self.key.name)?)));
                let target = target.and_then(|(pilot, slot)| Some((pilot, pilot.resolve(slot, product)?)));
                let number = target.map(|(pilot, target)| pilot.number(&target, product, store));
                number.and_then(Result::ok).and_then(|id| store.entry(id))
            }
        };
        let none = || format!("the pilot {} has too many series for another one", self.key.pilot);
        Ok(NewCorrection {
            entry: entry.ok_or_else(none)?,
            at: self.at,
            id: self.id.clone(),
            change: self.change.clone(),
            author: Arc::clone(&self.author),
            reason: Arc::clone(&self.reason),
            made_at: now,
        })
    }
}

/// A row as it was asked, each field of its type.
struct Asked {
    pilot: String,
    asset: String,
    name: String,
    product: Option<String>,
    id: Option<String>,
    at: UnixMillis,
    unit: Option<String>,
    change: Change,
    author: String,
    reason: String,
}

/// Reads fields and collects what is wrong with them.
struct Fields<'a> {
    object: &'a Map<String, Json>,
    wrong: Vec<(String, String)>,
}

impl Fields<'_> {
    fn mistake<T>(&mut self, field: &str, text: impl Into<String>) -> Option<T> {
        self.wrong.push((field.to_owned(), text.into()));
        None
    }

    /// A text that may be missing; an empty one is missing.
    fn text(&mut self, field: &str) -> Option<String> {
        match self.object.get(field) {
            None | Some(Json::Null) => None,
            Some(Json::String(text)) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Some(Json::Number(number)) if field == "at" => Some(number.to_string()),
            Some(Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_)) => {
                self.mistake(field, format!("`{field}` must be a text"))
            }
        }
    }

    fn required(&mut self, field: &str, why: &str) -> Option<String> {
        let n_wrong = self.wrong.len();
        let text = self.text(field);
        if text.is_none() && self.wrong.len() == n_wrong {
            return self.mistake(field, format!("`{field}` is missing; {why}"));
        }
        text
    }

    /// A text of a person: no control characters, not too long.
    fn said(&mut self, field: &str, bytes_max: usize, why: &str) -> Option<String> {
        let text = self.required(field, why)?;
        if text.len() > bytes_max || text.chars().any(char::is_control) {
            return self.mistake(field, format!("`{field}` must be one line of at most {bytes_max} bytes"));
        }
        Some(text)
    }

    fn flag(&mut self, field: &str) -> bool {
        match self.object.get(field) {
            None | Some(Json::Null) => false,
            Some(Json::Bool(flag)) => *flag,
            Some(Json::String(text)) if ["true", "yes", "1"].contains(&text.as_str()) => true,
            Some(Json::String(text)) if ["false", "no", "0", ""].contains(&text.as_str()) => false,
            Some(Json::String(_) | Json::Number(_) | Json::Array(_) | Json::Object(_)) => {
                self.mistake::<()>(field, format!("`{field}` must be true or false"));
                false
            }
        }
    }

    fn at(&mut self) -> Option<UnixMillis> {
        let text = self.required("at", "the instant of the reading, such as 2025-03-01T08:00:00+08:00")?;
        if let Ok(ms) = text.parse::<i64>() {
            return Some(UnixMillis(ms));
        }
        UnixMillis::parse(&text).map_err(|error| self.mistake::<()>("at", error.to_string())).ok()
    }

    fn value(&mut self) -> Option<Value> {
        let text = match self.object.get("value")? {
            Json::Null => return None,
            Json::Number(number) => number.to_string(),
            Json::String(text) if text.trim().is_empty() => return None,
            Json::String(text) => text.trim().to_owned(),
            Json::Bool(_) | Json::Array(_) | Json::Object(_) => {
                return self.mistake("value", "`value` must be a number");
            }
        };
        Value::parse(&text).or_else(|| self.mistake("value", format!("`value` is {}, no finite number", shown(&text))))
    }

    fn quality(&mut self) -> Quality {
        let Some(word) = self.text("quality") else { return Quality::Good };
        let wrong = || format!("`quality` is {}; it is good, uncertain or bad", shown(&word));
        Quality::parse(&word).or_else(|| self.mistake("quality", wrong())).unwrap_or_default()
    }

    /// Exactly one of value (or quality bad), void and withdraw.
    fn change(&mut self) -> Option<Change> {
        let n_wrong = self.wrong.len();
        let (value, quality) = (self.value(), self.quality());
        let (void, withdraw) = (self.flag("void"), self.flag("withdraw"));
        if self.wrong.len() > n_wrong {
            return None;
        }
        match (value, quality, void, withdraw) {
            (None, Quality::Good, true, false) => Some(Change::Void),
            (None, Quality::Good, false, true) => Some(Change::Withdraw),
            (None, Quality::Bad, false, false) => Some(Change::Set { value: None, quality }),
            (Some(_), Quality::Bad, false, false) => {
                self.mistake("quality", "a bad reading has no value; leave out one of `value` and `quality`")
            }
            (Some(value), _, false, false) => Some(Change::Set { value: Some(value), quality }),
            (None, _, false, false) => {
                self.mistake("value", "`value` is missing; say what the reading is, or `void`, or `withdraw`")
            }
            (_, _, true, _) => self.mistake("void", "`void` stands alone: no `value`, `quality` or `withdraw` with it"),
            (_, _, false, true) => self.mistake("withdraw", "`withdraw` stands alone: no `value` or `quality` with it"),
        }
    }
}

impl Asked {
    fn read(json: &Json) -> Result<Asked, Vec<(String, String)>> {
        let Json::Object(object) = json else {
            return Err(vec![("body".to_owned(), "a correction is an object of named fields".to_owned())]);
        };
        let mut fields = Fields { object, wrong: Vec::new() };
        for name in object.keys().filter(|name| !FIELDS.contains(&name.as_str())).take(9) {
            fields
                .wrong
                .push((name.clone(), format!("there is no field {}; there are: {}", shown(name), FIELDS.join(", "))));
        }
        let pilot = fields.required("pilot", "whose reading it is");
        let asset = fields.required("asset", "as the registry names it");
        let name = fields.required("name", "as the registry names it");
        let (product, id, at) = (fields.text("product"), fields.text("id"), fields.at());
        let (change, unit) = (fields.change(), fields.text("unit"));
        let author = fields.said("author", AUTHOR_BYTES_MAX, "who corrects");
        let reason = fields.said("reason", REASON_BYTES_MAX, "why it is corrected, for who reads the figure");
        match (pilot, asset, name, at, change, author, reason) {
            (Some(pilot), Some(asset), Some(name), Some(at), Some(change), Some(author), Some(reason))
                if fields.wrong.is_empty() =>
            {
                Ok(Asked { pilot, asset, name, product, id, at, unit, change, author, reason })
            }
            _ => Err(fields.wrong),
        }
    }

    fn judge(self, index: &Index, now: UnixMillis) -> Result<Result<Wanted, Wrong>, StoreError> {
        match self.checked(index, now) {
            Err(wrong) => Ok(Err(wrong)),
            Ok((wanted, entry)) => wanted.with_what_stands(index.store(), entry),
        }
    }

    /// Without a look at readings.
    fn checked(self, index: &Index, now: UnixMillis) -> Result<(Wanted, Option<CatalogueEntry>), Wrong> {
        let pilot = pilot_of(&self.pilot, index)?;
        let (value, quality) = match &self.change {
            Change::Set { value, quality } => (*value, *quality),
            Change::Void | Change::Withdraw => (None, Quality::Bad),
        };
        let decoded = Decoded {
            asset: self.asset.as_str().into(),
            name: self.name.as_str().into(),
            product: self.product.as_deref().map(Into::into),
            id: self.id.as_deref().map(Into::into),
            unit: self.unit.as_deref().map(Into::into),
            unit_hint: None,
            at: Some(self.at),
            quality,
            value,
        };
        let unknown = || ("name", unknown_series(&self, pilot));
        let slot = pilot.slot(&self.asset, &self.name).ok_or_else(unknown)?;
        let reading =
            Checker::by_hand(pilot, now).registered_reading(&decoded).map_err(|refused| wrong_field(&refused))?;
        let target = pilot.resolve(slot, self.product.as_deref()).ok_or_else(unknown)?;
        let key = pilot.key_of(&target, self.product.as_deref());
        let store = index.store();
        let entry = store.lookup(&key, &Registration::Registered).and_then(|id| store.entry(id));
        let change = match self.change {
            Change::Set { .. } => Change::Set { value: reading.value, quality },
            Change::Void => Change::Void,
            Change::Withdraw => Change::Withdraw,
        };
        let wanted = Wanted {
            key,
            entry: entry.clone(),
            at: reading.at,
            id: reading.id,
            change,
            author: self.author.into(),
            reason: self.reason.into(),
            unit: target.series.unit.symbol().into(),
            stands: None,
            sent: None,
        };
        Ok((wanted, entry))
    }
}

impl Wanted {
    /// Looks up what it would change; what would change nothing is a mistake.
    fn with_what_stands(
        mut self,
        store: &Store,
        entry: Option<CatalogueEntry>,
    ) -> Result<Result<Wanted, Wrong>, StoreError> {
        let mut was_corrected = false;
        if let Some(entry) = entry {
            let (stands, corrected) =
                store.readings_with_corrections(entry.id, self.at, UnixMillis(self.at.0.saturating_add(1)))?;
            self.stands = stands.into_iter().find(|reading| reading.id == self.id);
            let standing = corrected.into_iter().find(|one| one.correction.id == self.id);
            self.sent = match standing {
                Some(corrected) => corrected.sent,
                None => self.stands.clone(),
            };
            was_corrected = store.latest_correction(entry.id, self.at, self.id.as_deref())?.is_some();
            if self.change == Change::Void && self.sent.is_none() && !was_corrected {
                return Ok(Err((
                    "at",
                    format!("nothing stands at {}; {}", self.at, neighbours(store, &entry, self.at)?),
                )));
            }
        }
        match self.change {
            Change::Void if self.entry.is_none() => {
                Ok(Err(("name", "nothing was ever sent of this series".to_owned())))
            }
            Change::Withdraw if !was_corrected => Ok(Err((
                "withdraw",
                format!("no correction was ever made at {}; there is nothing to withdraw", self.at),
            ))),
            Change::Set { .. } | Change::Void | Change::Withdraw => Ok(Ok(self)),
        }
    }
}

/// The instants before and after, for who mistyped one.
fn neighbours(store: &Store, entry: &CatalogueEntry, at: UnixMillis) -> Result<String, StoreError> {
    let before = store.last_before(entry.id, at, Which::Any)?.map(|reading| reading.at.to_string());
    let after = store.first_after(entry.id, at, Which::Any)?.map(|reading| reading.at.to_string());
    let nearest: Vec<String> = before.into_iter().chain(after).collect();
    Ok(if nearest.is_empty() {
        "the series has no readings".to_owned()
    } else {
        format!("the nearest: {}", nearest.join(" and "))
    })
}

fn pilot_of<'i>(id: &str, index: &'i Index) -> Result<&'i PilotIndex, Wrong> {
    let parsed = PilotId::parse(id).map_err(|error| ("pilot", error.to_string()))?;
    let unknown = || ("pilot", format!("there is no pilot {} in the registry", shown(id)));
    index.pilot(parsed.as_str()).ok_or_else(unknown)
}

fn unknown_series(asked: &Asked, pilot: &PilotIndex) -> String {
    format!(
        "no such series in `{}.toml`: asset {}, name {}; what is not registered counts nowhere, register it first",
        pilot.pilot().id,
        shown(&asked.asset),
        shown(&asked.name)
    )
}

/// The field that a refusal is about; those that only messages meet are about the row as a whole.
#[allow(clippy::wildcard_enum_match_arm, reason = "of the closed list only these are about a field of a correction")]
fn wrong_field(refused: &Refused) -> Wrong {
    let field = match refused.reason {
        Reason::UnknownSeries => "name",
        Reason::UnknownProduct | Reason::TooManySeries => "product",
        Reason::WrongUnit => "unit",
        Reason::NotFinite | Reason::Implausible => "value",
        Reason::TimeOutOfWindow | Reason::NoTime => "at",
        Reason::BadField => "id",
        _ => "body",
    };
    (field, refused.detail.clone())
}

#[cfg(test)]
mod tests;
