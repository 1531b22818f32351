//! Answers from the ledger: a figure as it was published, its versions, and which version the head is.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use jiff::civil::Date;
use model::period::MonthNo;
use model::{Figure, Finding, Indicator, Period, PeriodKind, Registry, Scope, State, UnixMillis};
use store::StoreError;

use super::content::content_hash;
use super::entry::{Heading, Line, read, text_of};
use super::rows::Head;
use super::{Values, Version};
use crate::figure::without_data;
use crate::figured::{indicators_of, inside};
use crate::indicator::plan::Asked;
use crate::indicator::{Outcome, finding};
use crate::{Aggregator, FigureQuery};

/// Which published figures are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The last version cut at or before this instant.
    AsOf(UnixMillis),
    /// The version of this number.
    Version(u32),
}

/// Which versions are asked for; none = all.
#[derive(Debug, Clone, Copy, Default)]
pub struct VersionQuery<'a> {
    pub indicator: Option<&'a Indicator>,
    pub period: Option<Period>,
}

/// By indicator, then period.
type Found = BTreeMap<Indicator, BTreeMap<Period, Figure>>;

impl Aggregator {
    /// Figures as they were published, by scope, indicator, period. Where a known scope had none, one insufficient figure per
    /// indicator says so; `now` names the period of one that was asked for without.
    ///
    /// # Errors
    /// On reading the store, or if an entry was changed after it was published.
    pub fn figures_then(&self, query: &FigureQuery, then: Then, now: UnixMillis) -> Result<Vec<Figure>, StoreError> {
        let registry = self.registry.get();
        let scopes = query.scope.as_ref().map_or_else(|| self.scopes(), |scope| vec![scope.clone()]);
        let mut answer = Vec::new();
        for scope in scopes {
            let mut found = self.published_then(&scope, query, then)?;
            let indicators = match &query.indicator {
                Some(indicator) => vec![indicator.clone()],
                None => indicators_of(&registry, &scope),
            };
            for indicator in indicators {
                match found.remove(&indicator) {
                    Some(figures) => answer.extend(figures.into_values()),
                    None => answer.push(self.never_published((&registry, &scope), &indicator, query.period, then, now)),
                }
            }
        }
        Ok(answer)
    }

    fn published_then(&self, scope: &Scope, query: &FigureQuery, then: Then) -> Result<Found, StoreError> {
        let mut found = Found::new();
        let wanted = VersionQuery { indicator: query.indicator.as_ref(), period: query.period };
        self.each_version(scope, wanted, |heading, line, place| {
            let is_wanted = match then {
                Then::AsOf(at) if heading.cut_at > at => return Ok(ControlFlow::Break(())),
                Then::AsOf(_) => true,
                Then::Version(version) => line.version == version,
            };
            if is_wanted {
                found.entry(line.indicator.clone()).or_default().insert(line.period, line.figure(place)?);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    fn never_published(
        &self,
        (registry, scope): (&Registry, &Scope),
        indicator: &Indicator,
        period: Option<Period>,
        then: Then,
        now: UnixMillis,
    ) -> Figure {
        let (at, text) = match then {
            Then::AsOf(at) => (at, format!("no version of it was published at or before {at}")),
            Then::Version(version) => (now, format!("version {version} of it was never published")),
        };
        let year = || Period::containing(MonthNo::containing(at, &jiff::tz::TimeZone::UTC), PeriodKind::Year);
        let ends = baselines_end(registry, scope, indicator);
        let period = period.unwrap_or_else(year);
        let outcome = Outcome::insufficient(finding("not_published", text));
        let figure = without_data(&self.programme, (scope, ends), indicator, period, outcome);
        Figure { as_of: at, ..figure }
    }

    /// The versions of a scope in the order in which they were cut.
    ///
    /// # Errors
    /// On reading the store, or if an entry was changed after it was published.
    pub fn versions(&self, scope: &Scope, query: VersionQuery<'_>) -> Result<Vec<Version>, StoreError> {
        let mut versions = Vec::new();
        let mut last: BTreeMap<(Indicator, Period), (u32, Values)> = BTreeMap::new();
        self.each_version(scope, query, |heading, line, place| {
            let figure = line.figure(place)?;
            let cut = (heading.entry, heading.cut_at, heading.cause);
            let mut version = Version::of(&figure, line.version, cut, line.reasons);
            let values = (line.version, version.values);
            version.set_before(last.insert((line.indicator.clone(), line.period), values).as_ref());
            versions.push(version);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(versions)
    }

    /// The versions that restate something, latest first, at most `n_max`. Reads no entry while nothing was restated.
    ///
    /// # Errors
    /// As [`Aggregator::versions`].
    pub fn restatements(&self, scope: &Scope, n_max: usize) -> Result<Vec<Version>, StoreError> {
        let name = scope.to_string();
        let mut is_restated = false;
        for indicator in self.store.ledger_indicators(&name)? {
            is_restated |= self.heads(&name, &indicator)?.values().any(|head| head.version > 1);
        }
        if !is_restated {
            return Ok(Vec::new());
        }
        let mut versions = self.versions(scope, VersionQuery::default())?;
        versions.retain(|version| version.version > 1);
        versions.reverse();
        versions.truncate(n_max);
        Ok(versions)
    }

    /// The number and the time of the last version of a figure; none if it was never published.
    ///
    /// # Errors
    /// On reading the store.
    pub fn last_version(
        &self,
        scope: &Scope,
        indicator: &Indicator,
        period: Period,
    ) -> Result<Option<(u32, UnixMillis)>, StoreError> {
        let heads = self.heads(&scope.to_string(), &indicator.to_string())?;
        Ok(heads.get(&period).map(|head| (head.version, head.cut_at)))
    }

    /// Whether any figure of a scope was ever published.
    ///
    /// # Errors
    /// On reading the store.
    pub fn is_published(&self, scope: &Scope) -> Result<bool, StoreError> {
        Ok(!self.store.ledger_indicators(&scope.to_string())?.is_empty())
    }

    /// Says of figures of one scope and indicator which version they are: a head that says what its last version says is that
    /// version, and final if it is sufficient.
    pub(crate) fn say_versions(
        &self,
        (scope, indicator): (&Scope, &Indicator),
        figures: &mut [Figure],
    ) -> Result<(), StoreError> {
        let heads = self.heads(&scope.to_string(), &indicator.to_string())?;
        if heads.is_empty() {
            return Ok(());
        }
        for figure in figures {
            let Some(head) = heads.get(&figure.period) else { continue };
            if is_version(figure, head)? {
                figure.version = Some(head.version);
                if figure.state == State::Provisional {
                    figure.state = State::Final;
                }
            }
        }
        Ok(())
    }

    /// What the answers say of a figure that is not stored: why there is none.
    pub(crate) fn stand_in(
        &self,
        (scope, indicator): (&Scope, &Indicator),
        period: Period,
        stored: &[Figure],
    ) -> Figure {
        // One stored figure stands for every period: it says why there is no other.
        let findings: Vec<Finding> = match stored {
            [only] => only.findings.clone(),
            [] => vec![finding("no_data", "no reading and no order of this scope is in yet")],
            [..] => vec![finding("no_data", "nothing of this period is in yet")],
        };
        let registry = self.registry.get();
        let asked = match scope {
            Scope::Pilot(id) | Scope::Workshop(id, _) => registry.pilots.get(id),
            Scope::Programme | Scope::Region(_) | Scope::Sector(_) | Scope::Class(_) => None,
        };
        let asked = asked.map(|pilot| Asked::of((pilot, &self.factors), &self.programme, indicator));
        let outcome = Outcome { findings, asked: asked.unwrap_or_default(), ..Outcome::default() };
        let ends = baselines_end(&registry, scope, indicator);
        without_data(&self.programme, (scope, ends), indicator, period, outcome)
    }

    /// Goes through the versions of a scope in the order of their cuts, until `each` breaks off.
    fn each_version(
        &self,
        scope: &Scope,
        query: VersionQuery<'_>,
        mut each: impl FnMut(&Heading, &Line<'_>, &str) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let name = scope.to_string();
        for (number, _) in self.store.ledger_numbers(&name)? {
            let place = format!("ledger/{name}/{number}");
            let Some(entry) = self.store.ledger_entry(&name, number)? else { continue };
            let text = text_of(&place, &entry.bytes)?;
            let (heading, lines) = read(&place, &text)?;
            for line in lines {
                let line = line?;
                let is_wanted = query.indicator.is_none_or(|indicator| *indicator == line.indicator)
                    && query.period.is_none_or(|period| period == line.period);
                if is_wanted && each(&heading, &line, &place)? == ControlFlow::Break(()) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Whether a figure says what its last version says.
fn is_version(figure: &Figure, head: &Head) -> Result<bool, StoreError> {
    Ok(content_hash(figure)? == head.content)
}

/// The last day of the latest baseline period that an indicator has in a scope; none where there is no pilot.
fn baselines_end(registry: &Registry, scope: &Scope, indicator: &Indicator) -> Option<Date> {
    inside(registry, scope).map(|pilot| pilot.terms(indicator).baseline.to).max()
}
