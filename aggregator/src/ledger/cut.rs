//! Cuts versions: figures of closed periods that are due, or that a person wants published now, become an entry of their scope.
//!
//! One scope at a time, between two rounds, in one transaction with what it makes published: a killed cut leaves the scope as
//! it was or as it is to be, and cutting again cuts nothing twice. Memory is that of one scope.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use model::{Figure, Indicator, Period, Registry, Scope, State, UnixMillis};
use store::{Fill, LedgerEntry, StoreError};

use super::content::{ContentHash, content_hash};
use super::entry::{Cause, Draft, FIRST, hash_in, read, text_of};
use super::rows::{Head, Heads, Touch, Unpublished, encode};
use super::{Published, Reason, Reasons, Rules, Values, Version};
use crate::Aggregator;
use crate::figured::inside;
use crate::follow::Forget;

/// Restatements of one figure are at least this far apart, unless a person wants them.
const DAY_MS: i64 = 86_400_000;
/// Restatements that an answer lists; it counts them all.
const LISTED_MAX: usize = 1_000;

/// How one cut is made.
#[derive(Clone, Copy)]
struct How {
    now: UnixMillis,
    cause: Cause,
    rules: Rules,
}

/// What one indicator of a scope has for an entry.
struct Due {
    indicator: Indicator,
    heads: Heads,
    unpublished: Unpublished,
    figures: Vec<Differing>,
}

/// A figure that gets a version.
struct Differing {
    figure: Figure,
    content: ContentHash,
    touch: Touch,
    before: Option<Head>,
}

impl Aggregator {
    /// Cuts what is due by the rules at `now`, or everything closed that differs (`Cause::Publish`), of one scope or of all.
    ///
    /// # Errors
    /// On reading or writing the store; scopes before the failing one are published.
    pub fn publish_at(
        &self,
        now: UnixMillis,
        rules: Rules,
        cause: Cause,
        only: Option<&Scope>,
    ) -> Result<Published, StoreError> {
        self.catch_up_at(now)?;
        let mut published = Published::default();
        for scope in self.scopes_to_publish()?.iter().filter(|scope| only.is_none_or(|only| only == *scope)) {
            published.add(self.publish_scope(scope, now, rules, cause)?);
        }
        Ok(published)
    }

    /// The scopes with something that is not published, be it due or not.
    ///
    /// # Errors
    /// On reading the store.
    pub fn scopes_to_publish(&self) -> Result<Vec<Scope>, StoreError> {
        let scopes = self.store.unpublished_scopes()?;
        // Of a pilot that is registered no more nothing changes.
        Ok(scopes.iter().filter_map(|text| Scope::parse(text)).filter(|scope| self.knows(scope)).collect())
    }

    /// [`Aggregator::publish_at`] of one scope, as far as it is figured.
    ///
    /// # Errors
    /// On reading or writing the store.
    pub fn publish_scope(
        &self,
        scope: &Scope,
        now: UnixMillis,
        rules: Rules,
        cause: Cause,
    ) -> Result<Published, StoreError> {
        let cut = self.between_rounds(Forget::Nothing, || self.cut(scope, How { now, cause, rules }))?;
        Ok(cut.map_or_else(Published::default, Published::of))
    }

    /// Cuts one scope; none if nothing of it is due.
    fn cut(&self, scope: &Scope, how: How) -> Result<Option<Vec<Version>>, StoreError> {
        let registry = self.registry.get();
        let zones = zones_of(&registry, scope);
        let name = scope.to_string();
        let mut all = Vec::new();
        for indicator in self.store.unpublished_indicators(&name)? {
            let Some(indicator) = Indicator::parse(&indicator) else { continue };
            all.extend(self.due(scope, indicator, &zones, how)?);
        }
        if all.is_empty() {
            return Ok(None);
        }
        all.sort_by(|a, b| a.indicator.cmp(&b.indicator));
        let cut = self.entry(scope, &mut all, how)?;
        self.store.write(|tx| {
            if let Some((entry, _)) = &cut {
                tx.add_ledger_entry(&name, entry)?;
            }
            for due in &all {
                let indicator = due.indicator.to_string();
                if !due.figures.is_empty() {
                    tx.put_ledger_head(&name, &indicator, &encode(&due.heads)?)?;
                    tx.note_figures(&name, &indicator, Fill::Over, how.now)?;
                }
                let rest = if due.unpublished.is_empty() { None } else { Some(encode(&due.unpublished)?) };
                tx.put_unpublished(&name, &indicator, rest.as_deref())?;
            }
            Ok(())
        })?;
        Ok(cut.map(|(_, versions)| versions))
    }

    /// What of an indicator is due, and takes it out of what waits; none if there is nothing to write.
    fn due(
        &self,
        scope: &Scope,
        indicator: Indicator,
        zones: &[TimeZone],
        how: How,
    ) -> Result<Option<Due>, StoreError> {
        let (name, id) = (scope.to_string(), indicator.to_string());
        let (unpublished, heads) = (self.unpublished(&name, &id)?, self.heads(&name, &id)?);
        let is_due =
            |(period, touch): &(&Period, &Touch)| how.allows(closes(**period, zones), touch, heads.get(period));
        let wanted: Vec<(Period, Touch)> = unpublished.iter().filter(is_due).map(|(&p, &touch)| (p, touch)).collect();
        if wanted.is_empty() {
            return Ok(None);
        }
        let stored = self.stored_figures(scope, &indicator)?;
        let mut due = Due { indicator, heads, unpublished, figures: Vec::new() };
        for (period, touch) in wanted {
            let before = due.heads.get(&period).copied();
            let figure = match stored.iter().find(|figure| figure.period == period) {
                Some(figure) => Some(figure.clone()),
                // What was published and is there no more is published as what the answers say of it.
                None => before.map(|_| self.stand_in((scope, &due.indicator), period, &stored)),
            };
            // Also where it says again what is published: then there is nothing to publish.
            due.unpublished.remove(&period);
            let Some(figure) = figure else { continue };
            let content = content_hash(&figure)?;
            if before.map(|head| head.content) != Some(content) {
                due.figures.push(Differing { figure, content, touch, before });
            }
        }
        Ok(Some(due))
    }

    /// The entry of what is due; none if no figure differs from what was published.
    fn entry(
        &self,
        scope: &Scope,
        all: &mut [Due],
        how: How,
    ) -> Result<Option<(LedgerEntry, Vec<Version>)>, StoreError> {
        if all.iter().all(|due| due.figures.is_empty()) {
            return Ok(None);
        }
        let name = scope.to_string();
        let last = self.store.ledger_numbers(&name)?.last().copied();
        let (entry, not_before) = last.map_or((1, how.now), |(entry, cut_at)| (entry + 1, cut_at));
        // A clock that was set back does not turn the order of cuts around.
        let cut_at = how.now.max(not_before);
        let previous = match last {
            None => FIRST,
            Some((last, _)) => {
                let place = format!("ledger/{name}/{last}");
                let found = self.store.ledger_entry(&name, last)?;
                hash_in(&place, &found.map(|entry| entry.bytes).unwrap_or_default())?
            }
        };
        let mut draft = Draft::new(&name, entry, (cut_at, how.cause), previous);
        let mut versions = Vec::new();
        for due in &mut *all {
            for Differing { figure, content, touch, before } in &mut due.figures {
                let (version, content) = (before.map_or(1, |head| head.version + 1), *content);
                finish(figure, version, cut_at);
                // A first version restates nothing.
                let reasons = if before.is_some() { touch.reasons_told() } else { Reasons::NONE };
                draft.push(figure, version, reasons)?;
                due.heads.insert(figure.period, Head { version, entry, cut_at, content });
                versions.push((Version::of(figure, version, (entry, cut_at, how.cause), reasons), *before));
            }
        }
        let versions = self.with_values_before(&name, versions)?;
        Ok(Some((draft.finish(), versions)))
    }

    /// Puts beside each restated figure what the version before said.
    fn with_values_before(
        &self,
        scope: &str,
        mut versions: Vec<(Version, Option<Head>)>,
    ) -> Result<Vec<Version>, StoreError> {
        let entries: BTreeSet<u32> = versions.iter().filter_map(|(_, before)| Some((*before)?.entry)).collect();
        let mut values: BTreeMap<(Indicator, Period), (u32, Values)> = BTreeMap::new();
        for entry in entries {
            let place = format!("ledger/{scope}/{entry}");
            let Some(found) = self.store.ledger_entry(scope, entry)? else { continue };
            let text = text_of(&place, &found.bytes)?;
            for line in read(&place, &text)?.1 {
                let line = line?;
                values.insert((line.indicator.clone(), line.period), (line.version, Values::of(&line.figure(&place)?)));
            }
        }
        for (version, _) in &mut versions {
            let before = values.get(&(version.indicator.clone(), version.period));
            version.set_before(before.filter(|(number, _)| *number < version.version));
        }
        Ok(versions.into_iter().map(|(version, _)| version).collect())
    }
}

impl How {
    /// Whether a figure may be cut: closed and beyond grace, unless it was published before; then quiet and no more than once
    /// a day, unless a person wants it now.
    fn allows(self, closes: Option<UnixMillis>, touch: &Touch, head: Option<&Head>) -> bool {
        let is_beyond_grace = closes.is_some_and(|closes| closes.plus(self.rules.grace_ms) <= self.now);
        let is_quiet = touch.at.plus(self.rules.quiet_ms) <= self.now;
        let is_rare = head.is_none_or(|head| head.cut_at.plus(DAY_MS) <= self.now);
        (head.is_some() || is_beyond_grace) && (self.cause == Cause::Publish || (is_quiet && is_rare))
    }
}

impl Touch {
    /// Why a figure is published again. With nothing told it was neither data nor registry: the program gives another figure.
    fn reasons_told(&self) -> Reasons {
        if self.reasons.is_empty() { Reason::MethodChange.into() } else { self.reasons }
    }
}

impl Published {
    fn of(versions: Vec<Version>) -> Published {
        let (first, restated): (Vec<Version>, Vec<Version>) =
            versions.into_iter().partition(|version| version.version == 1);
        Published { n_entries: 1, n_first: first.len(), n_restated: restated.len(), restated }
    }

    /// Adds what was published beside it; lists a thousand restatements and counts them all.
    pub fn add(&mut self, other: Published) {
        self.n_entries += other.n_entries;
        self.n_first += other.n_first;
        self.n_restated += other.n_restated;
        let left = LISTED_MAX.saturating_sub(self.restated.len());
        self.restated.extend(other.restated.into_iter().take(left));
    }
}

/// A figure as a version of it.
fn finish(figure: &mut Figure, version: u32, cut_at: UnixMillis) {
    figure.version = Some(version);
    figure.as_of = cut_at;
    if figure.state == State::Provisional {
        figure.state = State::Final;
    }
}

/// The zones of a scope's pilots, each once.
fn zones_of(registry: &Registry, scope: &Scope) -> Vec<TimeZone> {
    let by_name: BTreeMap<&str, &TimeZone> =
        inside(registry, scope).map(|pilot| (pilot.zone_name.as_str(), &pilot.zone)).collect();
    by_name.into_values().cloned().collect()
}

/// When a period is over in the last of some zones; none without a zone.
fn closes(period: Period, zones: &[TimeZone]) -> Option<UnixMillis> {
    zones.iter().map(|zone| period.window(zone).end).max()
}
