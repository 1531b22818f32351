//! Gathers what a page needs from the aggregator, the store and the registry, in one place.
//!
//! The programme page reads four figures of every pilot. What it read is kept until rollups and figures have moved on, and
//! a little longer where reading it was dear, so that a page costs its rendering only.
//!
//! Invariant: a view holds nothing that its viewer may not see.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use model::period::MonthNo;
use model::programme::{Entry, Label};
use model::{Figure, Indicator, Period, PeriodKind, Pilot, PilotId, Registry, Scope, Slug, State, UnixMillis};
use seeds::fleet::Truth;
use store::{CommitNo, StoreError};

use super::access::Viewer;
use super::corrections::Row;
use super::pages::FigureView;
use super::pages::view::{
    Choice, Corrections, DataQuality, Panel, PilotHead, PilotRow, PilotView, ProgrammeView, PublishedAs, RegionBlock,
    Rejections, SHOWN, Shown, reduction_of,
};
use super::{Site, api};
use crate::FigureQuery;
use crate::ledger::Then;

/// Figures of the programme page that are kept: by viewer, scope and period. Beyond it the oldest goes; 1,350 pilots × 4
/// figures are some 4 MB.
const VIEWS_KEPT: usize = 16;
/// A kept view may be behind by this many times what it cost to read, so that reading takes at most a twentieth of a core.
const STALE_FACTOR: u32 = 20;
/// Rejections looked at for a pilot's page; beyond it the count says "at least".
const REJECTIONS_LOOKED_AT: usize = 256;
/// Rejections read at once: each may carry a payload of 1 MiB.
const REJECTIONS_AT_ONCE: usize = 32;

/// Restatements on a pilot's page; the API lists them all.
const RESTATEMENTS_SHOWN: usize = 20;
/// Corrections on a pilot's page; the API has all of them.
const CORRECTIONS_SHOWN: u32 = 20;

/// What a kept view was read for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    viewer: String,
    scope: Scope,
    asked: Option<Period>,
}

struct Kept {
    key: Key,
    registry: Arc<Registry>,
    figured: CommitNo,
    read_at: Instant,
    cost: Duration,
    view: Arc<ProgrammeView>,
}

/// The programme views read last.
#[derive(Default)]
pub(crate) struct Cache(Mutex<Vec<Kept>>);

impl Cache {
    fn get(&self, key: &Key, registry: &Arc<Registry>, figured: CommitNo) -> Option<Arc<ProgrammeView>> {
        // A poisoned lock holds whole views only: they are put in by one push.
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|kept| kept.key == *key && Arc::ptr_eq(&kept.registry, registry))?;
        let fresh = found.figured == figured || found.read_at.elapsed() < found.cost * STALE_FACTOR;
        fresh.then(|| Arc::clone(&found.view))
    }

    fn put(&self, new: Kept) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|old| old.key != new.key);
        if kept.len() >= VIEWS_KEPT {
            kept.remove(0);
        }
        kept.push(new);
    }
}

/// The programme page of a scope; none if the scope is unknown or foreign.
pub(crate) fn programme(
    site: &Site,
    viewer: &Viewer,
    scope: &Scope,
    asked: Option<Period>,
    now: UnixMillis,
) -> Result<Option<Arc<ProgrammeView>>, StoreError> {
    let registry = site.registry.get();
    let is_group = matches!(scope, Scope::Programme | Scope::Region(_) | Scope::Sector(_) | Scope::Class(_));
    if !is_group || !api::is_known(scope, site, &registry) || !viewer.sees_scope(scope, &registry) {
        return Ok(None);
    }
    let key = Key { viewer: viewer.key(), scope: scope.clone(), asked };
    let figured = site.aggregator.figured_through();
    // While history loads the page also says how far each pilot's data are, which moves without any figure.
    let kept = site.state.programme_views.get(&key, &registry, figured);
    if let Some(view) = kept.filter(|_| !site.is_loading_history()) {
        return Ok(Some(view));
    }
    let read_at = Instant::now();
    let view = Arc::new(read_programme(site, viewer, scope, asked, &registry, now)?);
    let cost = read_at.elapsed();
    site.state.programme_views.put(Kept { key, registry, figured, read_at, cost, view: Arc::clone(&view) });
    Ok(Some(view))
}

fn read_programme(
    site: &Site,
    viewer: &Viewer,
    scope: &Scope,
    asked: Option<Period>,
    registry: &Registry,
    now: UnixMillis,
) -> Result<ProgrammeView, StoreError> {
    let of_scope = histories(site, scope, now)?;
    let is_loading = site.is_loading_history();
    let visible: Vec<&Arc<Pilot>> = registry.pilots.values().filter(|pilot| viewer.sees(pilot)).collect();
    let in_scope: Vec<&Arc<Pilot>> = visible.iter().copied().filter(|pilot| holds(scope, pilot)).collect();
    let zone = in_scope.first().map_or(TimeZone::UTC, |pilot| pilot.zone.clone());
    let years = years_of(of_scope.iter().flatten(), now, &zone);
    let period = asked.unwrap_or_else(|| current(of_scope.iter().flatten(), now, &zone));
    let mut regions: BTreeMap<&Slug, Vec<PilotRow>> = BTreeMap::new();
    for pilot in in_scope {
        let figures = period_figures(site, &Scope::Pilot(pilot.id.clone()), period, now)?;
        let data_to = if is_loading { site.store.data_cutoff(&pilot.id)? } else { None };
        regions.entry(&pilot.region).or_default().push(PilotRow { head: head(pilot, site), data_to, figures });
    }
    let mut blocks = Vec::with_capacity(regions.len());
    for (id, pilots) in regions {
        let scope = Scope::Region(id.clone());
        let sees = viewer.sees_scope(&scope, registry);
        let figures = if sees { period_figures(site, &scope, period, now)? } else { vec![] };
        blocks.push(RegionBlock { id: id.clone(), name: label_of(&site.programme.regions, id), figures, pilots });
    }
    let place = |id: &Slug| site.programme.regions.iter().position(|entry| entry.id == *id).unwrap_or(usize::MAX);
    blocks.sort_by_key(|block| place(&block.id));
    Ok(ProgrammeView {
        programme: Arc::clone(&site.programme),
        scope: scope.clone(),
        scope_name: scope_name(scope, site),
        shown: Shown { period, is_closed: period.window(&zone).end <= now },
        years,
        figures: period_figures(site, scope, period, now)?,
        regions: blocks,
        choices: choices(site, &visible, viewer),
        as_of: now,
    })
}

fn holds(scope: &Scope, pilot: &Pilot) -> bool {
    match scope {
        Scope::Programme => true,
        Scope::Region(id) => pilot.region == *id,
        Scope::Sector(id) => pilot.sector == *id,
        Scope::Class(id) => pilot.class == *id,
        Scope::Pilot(id) | Scope::Workshop(id, _) => pilot.id == *id,
    }
}

/// The page of one figure; none if the scope is unknown or foreign.
pub(crate) fn figure(
    site: &Site,
    viewer: &Viewer,
    (scope, indicator, period): (&Scope, &Indicator, Period),
    now: UnixMillis,
) -> Result<Option<FigureView>, StoreError> {
    let registry = site.registry.get();
    if !api::is_known(scope, site, &registry) || !viewer.sees_scope(scope, &registry) {
        return Ok(None);
    }
    let name = |id: &PilotId| registry.pilots.get(id).map(|pilot| pilot.name.clone());
    let scope_name = match scope {
        Scope::Pilot(id) => name(id),
        Scope::Workshop(id, shop) => name(id).map(|pilot| {
            let known = registry.pilots.get(id).and_then(|p| p.workshops.iter().find(|known| known.id == *shop));
            let with = |of: fn(&Label) -> &String| {
                known.map_or_else(|| of(&pilot).clone(), |known| format!("{} / {}", of(&pilot), of(&known.name)))
            };
            Label { zh: with(|label| &label.zh), en: with(|label| &label.en) }
        }),
        Scope::Programme | Scope::Region(_) | Scope::Sector(_) | Scope::Class(_) => Some(scope_name(scope, site)),
    };
    let evidence = site.aggregator.evidence((scope, indicator, period), now)?;
    let view = |(evidence, scope_name)| FigureView { evidence, scope_name, as_of: now };
    Ok(evidence.zip(scope_name).map(view))
}

/// All figures of a scope, by indicator of [`SHOWN`].
fn histories(site: &Site, scope: &Scope, now: UnixMillis) -> Result<Vec<Vec<Figure>>, StoreError> {
    let of = |indicator: &Indicator| {
        let query = FigureQuery { scope: Some(scope.clone()), indicator: Some(indicator.clone()), period: None };
        site.aggregator.figures(&query, now)
    };
    SHOWN.iter().map(of).collect()
}

/// The figures of a scope in one period, one per indicator of [`SHOWN`].
fn period_figures(site: &Site, scope: &Scope, period: Period, now: UnixMillis) -> Result<Vec<Figure>, StoreError> {
    let of = |indicator: &Indicator| {
        let query =
            FigureQuery { scope: Some(scope.clone()), indicator: Some(indicator.clone()), period: Some(period) };
        let found = site.aggregator.figures(&query, now)?.into_iter().next();
        Ok(found.unwrap_or_else(|| missing(scope, indicator, period, now)))
    };
    SHOWN.iter().map(of).collect()
}

/// What stands where there is no figure: no data is not zero.
fn missing(scope: &Scope, indicator: &Indicator, period: Period, now: UnixMillis) -> Figure {
    Figure {
        scope: scope.clone(),
        indicator: indicator.clone(),
        period,
        actual: None,
        adjusted_baseline: None,
        reduction: None,
        ci: None,
        confidence: 0.9,
        variance: None,
        annual_rate: None,
        output: None,
        per_unit: None,
        per_unit_baseline: None,
        unit: indicator.unit().to_owned(),
        coverage: None,
        state: State::Insufficient,
        validity: model::Validity::Invalid,
        standing: Some(model::Standing::Insufficient),
        target: None,
        stages: vec![],
        version: None,
        as_of: now,
        findings: vec![],
        method: None,
        baseline: None,
        plan: None,
        adjustments: None,
        effects: None,
        cost_scope: None,
        pilots_included: None,
        pilots_total: None,
        mean_of_reductions: None,
        leave_one_out: None,
        output_share: None,
    }
}

/// Years with a figure, and the running one.
fn years_of<'a>(figures: impl Iterator<Item = &'a Figure>, now: UnixMillis, zone: &TimeZone) -> Vec<Period> {
    let with_figure =
        figures.filter(|figure| figure.period.kind() == PeriodKind::Year && reduction_of(figure).is_some());
    let mut years: Vec<Period> = with_figure.map(|figure| figure.period).collect();
    years.push(running_year(now, zone));
    years.sort_unstable();
    years.dedup();
    years
}

fn running_year(now: UnixMillis, zone: &TimeZone) -> Period {
    Period::containing(MonthNo::containing(now, zone), PeriodKind::Year)
}

/// The latest year that is over and has a figure; without one the running year.
fn current<'a>(figures: impl Iterator<Item = &'a Figure>, now: UnixMillis, zone: &TimeZone) -> Period {
    let years = figures.filter(|figure| figure.period.kind() == PeriodKind::Year && reduction_of(figure).is_some());
    let closed = years.map(|figure| figure.period).filter(|period| period.window(zone).end <= now);
    closed.max().unwrap_or_else(|| running_year(now, zone))
}

fn label_of(entries: &[Entry], id: &Slug) -> Label {
    let found = entries.iter().find(|entry| entry.id == *id).map(|entry| entry.name.clone());
    found.unwrap_or_else(|| Label { zh: id.to_string(), en: id.to_string() })
}

fn scope_name(scope: &Scope, site: &Site) -> Label {
    let programme = &site.programme;
    match scope {
        Scope::Programme => programme.name.clone(),
        Scope::Region(id) => label_of(&programme.regions, id),
        Scope::Sector(id) => label_of(&programme.sectors, id),
        Scope::Class(id) => label_of(&programme.classes, id),
        Scope::Pilot(_) | Scope::Workshop(..) => Label { zh: scope.to_string(), en: scope.to_string() },
    }
}

fn head(pilot: &Pilot, site: &Site) -> PilotHead {
    let named = |entries: &[Entry], id: &Slug| (id.clone(), label_of(entries, id));
    PilotHead {
        id: pilot.id.clone(),
        name: pilot.name.clone(),
        enterprise: pilot.enterprise.clone(),
        region: named(&site.programme.regions, &pilot.region),
        sector: named(&site.programme.sectors, &pilot.sector),
        class: named(&site.programme.classes, &pilot.class),
        zone: pilot.zone_name.clone(),
        baseline: pilot.baseline,
    }
}

/// Groups with at least one visible pilot; only for who may see group figures.
fn choices(site: &Site, visible: &[&Arc<Pilot>], viewer: &Viewer) -> [Vec<Choice>; 3] {
    if !viewer.sees_all() {
        return [vec![], vec![], vec![]];
    }
    let of = |entries: &[Entry], scope: fn(Slug) -> Scope| -> Vec<Choice> {
        let choice = |entry: &Entry| {
            let scope = scope(entry.id.clone());
            let n_pilots = visible.iter().filter(|pilot| holds(&scope, pilot)).count();
            Choice { scope, name: entry.name.clone(), n_pilots }
        };
        entries.iter().map(choice).filter(|choice| choice.n_pilots > 0).collect()
    };
    let programme = &site.programme;
    [of(&programme.regions, Scope::Region), of(&programme.sectors, Scope::Sector), of(&programme.classes, Scope::Class)]
}

/// The page of a pilot; none if it is unknown or foreign.
pub(crate) fn pilot(
    site: &Site,
    viewer: &Viewer,
    id: &PilotId,
    asked: Option<Period>,
    now: UnixMillis,
) -> Result<Option<PilotView>, StoreError> {
    let registry = site.registry.get();
    let Some(pilot) = registry.pilots.get(id).filter(|pilot| viewer.sees(pilot)) else { return Ok(None) };
    let scope = Scope::Pilot(id.clone());
    let histories = histories(site, &scope, now)?;
    let years = years_of(histories.iter().flatten(), now, &pilot.zone);
    let period = asked.unwrap_or_else(|| current(histories.iter().flatten(), now, &pilot.zone));
    let shown = Shown { period, is_closed: period.window(&pilot.zone).end <= now };
    let mut panels = Vec::with_capacity(SHOWN.len());
    for (indicator, figures) in SHOWN.iter().zip(histories) {
        let of_kind = |kind| figures.iter().filter(|figure| figure.period.kind() == kind).cloned().collect();
        let found = figures.iter().find(|figure| figure.period == period).cloned();
        panels.push(Panel {
            indicator: indicator.clone(),
            published: published_as(site, (&scope, indicator, period), found.as_ref())?,
            figure: found.unwrap_or_else(|| missing(&scope, indicator, period, now)),
            stages: site.programme.stages(indicator),
            baseline: pilot.terms(indicator).baseline,
            yearly: of_kind(PeriodKind::Year),
            quarterly: of_kind(PeriodKind::Quarter),
            monthly: of_kind(PeriodKind::Month),
        });
    }
    Ok(Some(PilotView {
        head: head(pilot, site),
        programme: Arc::clone(&site.programme),
        shown,
        panels,
        restatements: site.aggregator.restatements(&scope, RESTATEMENTS_SHOWN)?,
        truth: truth_until(site, id, years.last().copied()),
        years,
        stops: pilot.stops.clone(),
        quality: quality(site, id)?,
        corrections: corrections(site, &registry, id)?,
        as_of: now,
    }))
}

/// The last version of a figure, and what it said; `head` is the figure as it is now.
fn published_as(
    site: &Site,
    (scope, indicator, period): (&Scope, &model::Indicator, Period),
    head: Option<&Figure>,
) -> Result<Option<PublishedAs>, StoreError> {
    let Some((version, cut_at)) = site.aggregator.last_version(scope, indicator, period)? else { return Ok(None) };
    let reduction = match head.filter(|head| head.version == Some(version)) {
        Some(head) => reduction_of(head),
        None => {
            let query =
                FigureQuery { scope: Some(scope.clone()), indicator: Some(indicator.clone()), period: Some(period) };
            let found = site.aggregator.figures_then(&query, Then::Version(version), cut_at)?;
            found.first().and_then(reduction_of)
        }
    };
    Ok(Some(PublishedAs { version, cut_at, reduction }))
}

/// The simulator's truth up to the last year on the page: it was told of years to come, too.
fn truth_until(site: &Site, id: &PilotId, last: Option<Period>) -> Option<Truth> {
    let mut truth = site.truth.as_ref()?.get(id)?.clone();
    let last = last.map_or(i32::MAX, |period| period.first_month().year());
    truth.reductions.retain(|told| told.year <= last);
    Some(truth)
}

fn quality(site: &Site, id: &PilotId) -> Result<DataQuality, StoreError> {
    let sequences = site.store.sequences()?;
    let own: Vec<_> = sequences.into_iter().filter(|ranges| ranges.pilot == *id).collect();
    Ok(DataQuality {
        last_reading: site.store.data_cutoff(id)?,
        gateways: api::gaps(&own),
        rejections: rejections(site, id)?,
        n_imports: site.store.imports(Some(id))?.len(),
    })
}

fn corrections(site: &Site, registry: &Registry, id: &PilotId) -> Result<Corrections, StoreError> {
    let (n, latest) = site.store.latest_corrections(id, CORRECTIONS_SHOWN)?;
    let latest = latest.into_iter().filter_map(|correction| Row::of(correction, &site.store, registry)).collect();
    Ok(Corrections { n, latest })
}

fn rejections(site: &Site, id: &PilotId) -> Result<Rejections, StoreError> {
    let (mut found, mut after, mut looked_at) = (Rejections { n: 0, is_complete: true }, 0, 0);
    loop {
        let rows = site.store.rejections(UnixMillis(i64::MIN), after, REJECTIONS_AT_ONCE)?;
        let Some(last) = rows.last() else { return Ok(found) };
        after = last.id;
        looked_at += rows.len();
        let own = rows.iter().filter(|row| row.message.pilot.as_ref() == Some(id));
        found.n += own.map(|row| row.times).sum::<u64>();
        if looked_at >= REJECTIONS_LOOKED_AT {
            found.is_complete = false;
            return Ok(found);
        }
    }
}
