//! Takes again what was refused: kept messages after the mapping or registry was mended, and readings of series that were
//! unregistered and now are not.
//!
//! Both give batches for the committer. A replayed message is judged by its own time of receipt, so that it falls into the
//! past window where it belongs, and its identity was checked when it came.
//!
//! Invariants:
//! - replaying or adopting twice changes nothing: readings are settled by (series, at, id), and what stands already is
//!   left out;
//! - of a message that was committed in part, only the refused parts are taken again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bumpalo::Bump;
use model::reason::{Refusal, RefusedPart};
use model::{PilotId, Reading, Reason, SeriesId, SeriesKey, UnixMillis};
use store::{Batch, CatalogueEntry, Registration, RejectionRow, Replayed, Store, StoreError, Which, WholeOrParts};

use crate::decode::{Decoded, Refused};
use crate::index::{Index, PilotIndex};
use crate::normalize::check::Checker;
use crate::normalize::{Judged, Opened, Passage, open};
use crate::observation::LISTENER;
use crate::{Identity, Observation};

/// Most readings of one batch of [`adopt`]: a commit of some 0.5 MB, so that gateways wait no longer than usual.
const ADOPT_BATCH: usize = 10_000;
/// How much of an unregistered series is read at once: a day of 1 Hz is 86,400 readings, some 5 MB.
const ADOPT_SPAN_MS: i64 = 86_400_000;

/// What a kept rejection gives under this registry; none if nothing of it is taken now.
pub fn replay(row: &RejectionRow, index: &Index) -> Option<Batch> {
    let is_whole_payload = row.message.bytes.len() as u64 == row.message.size;
    let was_authorized = row.message.refusals.iter().all(|refusal| refusal.reason != Reason::NotAuthorized);
    if row.replayed || !row.has_bytes || !is_whole_payload || !was_authorized {
        return None;
    }
    let observation = observed(row);
    let arena = Bump::new();
    let sender = replayed_sender(row);
    let opened = open(&observation, &sender, index, &arena, Passage::Again).ok()?;
    match row.message.whole {
        WholeOrParts::Whole => whole_message(row, opened),
        WholeOrParts::Parts => refused_parts(row, opened),
    }
}

/// Who sent it: its login, whose gateway was checked when it came.
pub(crate) fn replayed_sender(row: &RejectionRow) -> Identity {
    match (&row.message.login, &row.message.pilot) {
        (Some(name), Some(pilot)) => Identity::Login { name: name.clone(), pilot: pilot.clone(), gateway: None },
        _ => Identity::Anonymous,
    }
}

pub(crate) fn observed(row: &RejectionRow) -> Observation {
    let message = &row.message;
    Observation {
        door: LISTENER.into(),
        client: Arc::default(),
        topic: message.topic.clone(),
        payload: bytes::Bytes::copy_from_slice(&message.bytes),
        received_at: message.at,
        // The row does not say; a refused QoS 0 message is taken again without its flag.
        qos: 1,
        dup: false,
        retained: message.retained,
    }
}

/// A batch that grows by what is accepted, and the refusals that remain.
#[derive(Default)]
struct Taken {
    batch: Batch,
    remaining: Vec<Refusal>,
}

impl Taken {
    /// `is_counted`: the reading is among the accepted ones already, as one of an unregistered series.
    fn take(&mut self, pilot: &PilotId, part: RefusedPart, judged: Judged, is_counted: bool) {
        let counters = &mut self.batch.counters;
        match judged {
            Judged::Reading(series, reading) => {
                self.batch.readings.push((series, reading));
                counters.readings += u64::from(!is_counted);
            }
            Judged::Unregistered(series, reading, refused) => {
                self.batch.readings.push((series, reading));
                counters.readings += u64::from(!is_counted);
                self.remaining.push(refused.at(part));
            }
            Judged::Order(event) => {
                self.batch.orders.push((pilot.clone(), event));
                counters.orders += 1;
            }
            Judged::Ignored => {}
            Judged::Refused(refused) => self.remaining.push(refused.at(part)),
        }
    }

    fn is_empty(&self) -> bool {
        self.batch.readings.is_empty() && self.batch.orders.is_empty()
    }
}

/// Of a message that was rejected whole, all parts are taken.
fn whole_message(row: &RejectionRow, opened: Opened<'_>) -> Option<Batch> {
    let (pilot, sequence, is_timed) = (opened.address.pilot.pilot().id.clone(), opened.sequence(), opened.is_timed());
    let mut taken = Taken::default();
    opened.judge_each(|part, judged| taken.take(&pilot, part, judged, false));
    // A message of which all is to be ignored now is committed with nothing.
    if taken.is_empty() && !taken.remaining.is_empty() {
        return None;
    }
    let Taken { mut batch, remaining } = taken;
    count(&remaining, row, &mut batch);
    batch.sequences.extend(sequence);
    if is_timed {
        batch.hashes.push(row.message.hash);
    }
    let mended = without(&row.message.refusals, &remaining);
    batch.replayed.push(Replayed { rejection: row.id, mended, remaining });
    Some(batch)
}

/// Of a message that was committed in part, the refused parts are taken.
fn refused_parts(row: &RejectionRow, opened: Opened<'_>) -> Option<Batch> {
    let pilot = opened.address.pilot.pilot().id.clone();
    let mut taken = Taken::default();
    // Under other rules a message may have fewer parts: what cannot be found again stays as it is, with its bytes.
    let (n_readings, n_orders) = opened.n_places();
    let is_gone = |refusal: &&Refusal| match refusal.part {
        RefusedPart::Message => false,
        RefusedPart::Reading(place) => place as usize >= n_readings,
        RefusedPart::Order(place) => place as usize >= n_orders,
    };
    taken.remaining.extend(row.message.refusals.iter().filter(is_gone).cloned());
    let by_part: BTreeMap<RefusedPart, &Refusal> =
        row.message.refusals.iter().map(|refusal| (refusal.part, refusal)).collect();
    opened.judge_each(|part, judged| {
        if let Some(&before) = by_part.get(&part) {
            if is_as_before(before, &judged) {
                taken.remaining.push(before.clone());
            } else {
                taken.take(&pilot, part, judged, before.reason == Reason::UnknownSeries);
            }
        }
    });
    let Taken { mut batch, remaining } = taken;
    let mended = without(&row.message.refusals, &remaining);
    if mended.is_empty() {
        return None;
    }
    let new = without(&remaining, &row.message.refusals);
    count(&new, row, &mut batch);
    batch.replayed.push(Replayed { rejection: row.id, mended, remaining });
    Some(batch)
}

/// Whether a part of an unregistered series, which is stored as sent, is no nearer to a registered one. That it cannot be named
/// any more says that the row does not tell who sent it (an anonymous client's id), not that it was wrong.
fn is_as_before(before: &Refusal, judged: &Judged) -> bool {
    let is_unnamed = |refused: &Refused| refused.reason == Reason::BadField;
    before.reason == Reason::UnknownSeries
        && match judged {
            Judged::Unregistered(..) => true,
            Judged::Refused(refused) => is_unnamed(refused),
            Judged::Reading(..) | Judged::Order(_) | Judged::Ignored => false,
        }
}

/// Those of `refusals` that are not among `others`, by reason and part.
fn without(refusals: &[Refusal], others: &[Refusal]) -> Vec<Refusal> {
    let others: BTreeSet<(Reason, RefusedPart)> = others.iter().map(|other| (other.reason, other.part)).collect();
    refusals.iter().filter(|refusal| !others.contains(&(refusal.reason, refusal.part))).cloned().collect()
}

/// Refusals that are new inside a committed message, as often as the message came: mending lowers them by the same number.
fn count(refusals: &[Refusal], row: &RejectionRow, batch: &mut Batch) {
    for refusal in refusals {
        batch.counters.refused[refusal.reason.index()] += row.times;
    }
}

/// Readings that came while their series was unregistered, checked and converted as on arrival, for the series that the
/// registry declares now. They were counted when they came; what fails is counted as refused. What stands already in the
/// registered series is left out, and a series that was taken whole is marked in the store, so that this may run at every
/// start and reload: nothing is read or counted twice unless the declaration has changed.
///
/// Each batch has to be committed before the next one is asked for: the mark is written when a series has no more.
///
/// # Errors
/// On reading the marks; each batch may fail on reading too.
pub fn adopt<'a>(
    pilot: &PilotId,
    index: &'a Index,
    store: &'a Store,
) -> Result<impl Iterator<Item = Result<Batch, StoreError>> + use<'a>, StoreError> {
    let mut adoptions = Vec::new();
    if let Some(known) = index.pilot(pilot.as_str()) {
        for entry in store.catalogue_of(pilot) {
            adoptions.extend(Adoption::of(entry, known, store)?);
        }
    }
    Ok(adoptions.into_iter().flatten())
}

/// One unregistered series on its way into a registered one.
struct Adoption<'a> {
    from: SeriesId,
    key: SeriesKey,
    unit: Option<String>,
    into: SeriesId,
    pilot: &'a PilotIndex,
    store: &'a Store,
    /// The next instant to read, and the last one; none when done.
    rest: Option<(UnixMillis, UnixMillis)>,
    /// Read and not yet given out, latest first.
    waiting: Vec<Reading>,
    /// What is written once all is taken: the declaration and the span. None when it is, or after an error.
    mark: Option<String>,
}

/// The place of an unregistered series' mark in the store.
fn mark_place(series: SeriesId) -> String {
    format!("adopted/{}", series.0)
}

fn set_mark(store: &Store, series: SeriesId, mark: &str) -> Result<(), StoreError> {
    store.write(|tx| tx.put_meta(&mark_place(series), mark.as_bytes()))
}

impl<'a> Adoption<'a> {
    /// None if there is nothing to take.
    fn of(entry: CatalogueEntry, pilot: &'a PilotIndex, store: &'a Store) -> Result<Option<Adoption<'a>>, StoreError> {
        let Registration::Unregistered { unit } = entry.registration else { return Ok(None) };
        let (key, marked) = (entry.key, store.meta(&mark_place(entry.id))?.unwrap_or_default());
        let slot = pilot.slot(&key.asset, &key.name);
        let Some(target) = slot.and_then(|slot| pilot.resolve(slot, key.product.as_deref())) else {
            // From now on readings come here again, so that what was taken is not all.
            if !marked.is_empty() {
                set_mark(store, entry.id, "")?;
            }
            return Ok(None);
        };
        // A pilot at the bound of its series keeps the readings where they are.
        let Ok(into) = pilot.number(&target, key.product.as_deref(), store) else { return Ok(None) };
        let Some((first, last)) = store.span(entry.id)? else { return Ok(None) };
        let (series, earliest) = (target.series, pilot.pilot().earliest);
        let declared =
            format!("{} {:?} {} {:?} {}", series.quantity, series.kind, series.unit, series.plausible, earliest.0);
        let mark = format!("{} {declared} {}-{}", into.0, first.0, last.0);
        if marked == mark.as_bytes() {
            return Ok(None);
        }
        let (unit, rest) = (unit.map(|unit| unit.to_string()), Some((first, last)));
        let from = entry.id;
        Ok(Some(Adoption { from, key, unit, into, pilot, store, rest, waiting: Vec::new(), mark: Some(mark) }))
    }

    /// Reads the next span that holds anything; what the registered series holds already is left out.
    fn fill(&mut self) -> Result<(), StoreError> {
        while let (true, Some((from, last))) = (self.waiting.is_empty(), self.rest) {
            let to = from.plus(ADOPT_SPAN_MS).min(last.plus(1));
            let mut readings = self.store.readings(self.from, from, to)?;
            // Nothing is settled for a series that is new.
            // What was sent: a correction of it is nothing that was taken.
            let standing = self.store.sent_readings(self.into, from, to)?;
            let stands = |reading: &Reading| {
                standing.binary_search_by(|one| one.cmp_identity(reading)).is_ok_and(|place| {
                    let converted = self.judge(reading);
                    converted.is_ok_and(|converted| converted.is_same(&standing[place]))
                })
            };
            readings.retain(|reading| !stands(reading));
            readings.reverse();
            self.waiting = readings;
            let next = self.store.first_after(self.from, to.plus(-1), Which::Any)?;
            self.rest = next.map(|reading| (reading.at, last)).filter(|(at, last)| at <= last);
        }
        Ok(())
    }

    fn judge(&self, reading: &Reading) -> Result<Reading, Refused> {
        let decoded = Decoded {
            asset: (&*self.key.asset).into(),
            name: (&*self.key.name).into(),
            product: self.key.product.as_deref().map(Into::into),
            id: reading.id.as_deref().map(Into::into),
            unit: None,
            // A word that is no unit of the table was the sender's own.
            unit_hint: self.unit.as_deref().map(Into::into),
            at: Some(reading.at),
            quality: reading.quality,
            value: reading.value,
        };
        Checker::again(self.pilot, reading).registered_reading(&decoded)
    }

    fn batch(&mut self) -> Result<Option<Batch>, StoreError> {
        self.fill()?;
        if self.waiting.is_empty() {
            if let Some(mark) = self.mark.take() {
                set_mark(self.store, self.from, &mark)?;
            }
            return Ok(None);
        }
        let mut batch = Batch::default();
        let n = self.waiting.len().min(ADOPT_BATCH);
        for reading in self.waiting.split_off(self.waiting.len() - n).into_iter().rev() {
            match self.judge(&reading) {
                Ok(reading) => batch.readings.push((self.into, reading)),
                Err(refused) => batch.counters.refused[refused.reason.index()] += 1,
            }
        }
        Ok(Some(batch))
    }
}

impl Iterator for Adoption<'_> {
    type Item = Result<Batch, StoreError>;

    fn next(&mut self) -> Option<Result<Batch, StoreError>> {
        let batch = self.batch();
        if batch.is_err() {
            // Ends here: a series that cannot be read is told once.
            (self.rest, self.mark) = (None, None);
            self.waiting.clear();
        }
        batch.transpose()
    }
}

#[cfg(test)]
mod tests;
