//! `/metrics`: operations, without any pilot label; `/metrics/pilots`: the current figures, by the viewer's pilots.
//!
//! Families are built from one snapshot per scrape and written as text 0.0.4 by the `prometheus` encoder, or as
//! OpenMetrics by [`open`] where the scraper prefers it. Names come from [`Name`] alone.
//!
//! Invariants:
//! - labels come from the registry or a closed list, never from a payload; every reason is there from the start, at 0;
//! - the number of series of `/metrics` does not depend on the number of gateways or pilots; a pilot has at most
//!   [`PILOT_SERIES_MAX`];
//! - received = committed + duplicate + rejected on every scrape, the numbers of `/api/v1/status`, and none of them falls;
//! - what is not known has no sample: there is no 0 that stands for "nobody counted".

mod energy;
mod open;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use model::period::MonthNo;
use model::{Figure, Indicator, Period, PeriodKind, Pilot, PilotId, Scope, State as FigureState, UnixMillis, clock};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};
use store::{SequenceRanges, StoreError, by_reason};

use super::access::Viewer;
use super::pages::view::judged_by;
use super::problem::Problem;
use super::query::Params;
use super::router::{Served, blocking};
use super::{CommitTimes, OpsSnapshot, Site, api, gateways};
use crate::FigureQuery;

/// A page of 1,350 pilots then has at most 54,000 series, which a Prometheus on a small machine takes every minute.
#[cfg(test)]
pub(crate) const PILOT_SERIES_MAX: usize = 40;

/// Every metric that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    BuildInfo,
    Received,
    Messages,
    InFlight,
    AtMostOnce,
    Rejected,
    RefusedReadings,
    Readings,
    OrderEvents,
    SequenceGaps,
    SequenceReused,
    MissingMessages,
    Gateways,
    RejectionBytes,
    RejectionBytesLimit,
    CommitDuration,
    FsyncErrors,
    JournalBytes,
    StoreBytes,
    DiskFree,
    DiskFull,
    OldestUnacked,
    SessionLost,
    BrokerConnected,
    BrokerReconnects,
    BrokerUnacknowledged,
    BrokerWatchdog,
    EdgeNodes,
    Deviations,
    LostMessages,
    RebirthsAsked,
    RebirthsAnswered,
    AggregatorLastSuccess,
    AggregatorLag,
    OutboxPoints,
    OutboxOldest,
    StoreRequests,
    VerifyMissing,
    Quarantined,
    AggregatorWaiting,
    Pilots,
    PilotInfo,
    Energy,
    PilotMissing,
    Unregistered,
    Corrections,
    Required,
    Achieved,
    Completeness,
    LastReading,
    PeriodEnd,
}

impl Name {
    fn text(self) -> &'static str {
        match self {
            Name::BuildInfo => "pilotline_build_info",
            Name::Received => "pilotline_ingest_received_total",
            Name::Messages => "pilotline_ingest_messages_total",
            Name::InFlight => "pilotline_ingest_in_flight_messages",
            Name::AtMostOnce => "pilotline_ingest_at_most_once_messages_total",
            Name::Rejected => "pilotline_ingest_rejected_total",
            Name::RefusedReadings => "pilotline_ingest_refused_readings_total",
            Name::Readings => "pilotline_ingest_readings_total",
            Name::OrderEvents => "pilotline_ingest_order_events_total",
            Name::SequenceGaps => "pilotline_ingest_sequence_gaps_total",
            Name::SequenceReused => "pilotline_ingest_sequence_reused_total",
            Name::MissingMessages => "pilotline_ingest_missing_messages",
            Name::Gateways => "pilotline_gateways",
            Name::RejectionBytes => "pilotline_rejections_kept_bytes",
            Name::RejectionBytesLimit => "pilotline_rejections_limit_bytes",
            Name::CommitDuration => "pilotline_journal_commit_duration_seconds",
            Name::FsyncErrors => "pilotline_journal_fsync_errors_total",
            Name::JournalBytes => "pilotline_journal_bytes",
            Name::StoreBytes => "pilotline_store_bytes",
            Name::DiskFree => "pilotline_disk_free_bytes",
            Name::DiskFull => "pilotline_disk_full",
            Name::OldestUnacked => "pilotline_ingest_oldest_unacked_age_seconds",
            Name::SessionLost => "pilotline_ingest_session_lost_total",
            Name::BrokerConnected => "pilotline_broker_connected",
            Name::BrokerReconnects => "pilotline_broker_reconnects_total",
            Name::BrokerUnacknowledged => "pilotline_broker_unacknowledged_messages",
            Name::BrokerWatchdog => "pilotline_broker_watchdog_total",
            Name::EdgeNodes => "pilotline_sparkplug_edge_nodes",
            Name::Deviations => "pilotline_sparkplug_deviations_total",
            Name::LostMessages => "pilotline_sparkplug_lost_messages_total",
            Name::RebirthsAsked => "pilotline_sparkplug_rebirths_asked_total",
            Name::RebirthsAnswered => "pilotline_sparkplug_rebirths_answered_total",
            Name::AggregatorLastSuccess => "pilotline_aggregator_last_success_timestamp_seconds",
            Name::AggregatorLag => "pilotline_aggregator_lag_seconds",
            Name::OutboxPoints => "pilotline_outbox_points",
            Name::OutboxOldest => "pilotline_outbox_oldest_timestamp_seconds",
            Name::StoreRequests => "pilotline_store_requests_total",
            Name::VerifyMissing => "pilotline_store_verify_missing_points",
            Name::Quarantined => "pilotline_store_quarantined_points",
            Name::AggregatorWaiting => "pilotline_aggregator_waiting_commits",
            Name::Pilots => "pilotline_pilots",
            Name::PilotInfo => "pilotline_pilot_info",
            Name::Energy => "pilotline_energy_joules_total",
            Name::PilotMissing => "pilotline_pilot_missing_messages",
            Name::Unregistered => "pilotline_unregistered_series",
            Name::Corrections => "pilotline_corrections_total",
            Name::Required => "pilotline_reduction_required_ratio",
            Name::Achieved => "pilotline_reduction_achieved_ratio",
            Name::Completeness => "pilotline_data_completeness_ratio",
            Name::LastReading => "pilotline_last_reading_timestamp_seconds",
            Name::PeriodEnd => "pilotline_figure_period_end_timestamp_seconds",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Name::BuildInfo => "Version, commit and hash of the configuration in force; always 1.",
            Name::Received => {
                "Messages of all time that are on disk or were judged: committed, duplicate and rejected."
            }
            Name::Messages => "Messages by what became of them.",
            Name::InFlight => "Messages taken off the wire and not yet in a commit; not among the received ones yet.",
            Name::AtMostOnce => "Messages among the received ones that came with QoS 0, which no gateway sends again.",
            Name::Rejected => "Messages rejected whole, by first reason.",
            Name::RefusedReadings => "Readings and order events refused inside committed messages, by reason.",
            Name::Readings => "Readings accepted, of unregistered series too.",
            Name::OrderEvents => "Order events accepted.",
            Name::SequenceGaps => {
                "Holes in the gateways' own numbering; it starts again lower when late messages fill some."
            }
            Name::SequenceReused => "Messages under a number that their gateway had used for another message.",
            Name::MissingMessages => "Messages missing in the gateways' own numbering, now.",
            Name::Gateways => "Gateways, edge nodes and topics by what needs a person first; see the page /gateways.",
            Name::RejectionBytes => "Bytes of refused messages that are kept.",
            Name::RejectionBytesLimit => "Above it a refused message keeps its hash, size and reason only.",
            Name::CommitDuration => "Time of one journal commit, fsync included.",
            Name::FsyncErrors => "Commits that failed.",
            Name::JournalBytes => "Size of the journal.",
            Name::StoreBytes => "Size of the data directory's databases.",
            Name::DiskFree => "Free space where the data directory lies.",
            Name::DiskFull => "1 while nothing new is acknowledged because the disk is full.",
            Name::OldestUnacked => "Age of the oldest message that is received and not committed.",
            Name::SessionLost => "How often a broker had forgotten our session, with what it held for us.",
            Name::BrokerConnected => "1 while the broker delivers and every subscription stands.",
            Name::BrokerReconnects => "Connections to the broker after the first.",
            Name::BrokerUnacknowledged => "Messages of the broker that wait for their acknowledgement.",
            Name::BrokerWatchdog => "Connections given up because an acknowledgement did not leave.",
            Name::EdgeNodes => "Edge nodes by state.",
            Name::Deviations => "Where edge nodes stray from the standard.",
            Name::LostMessages => "Messages that edge nodes lost by their own numbering.",
            Name::RebirthsAsked => "Births asked for.",
            Name::RebirthsAnswered => "Births that came after they were asked for.",
            Name::AggregatorLastSuccess => "When rollups and figures last held everything acknowledged.",
            Name::AggregatorLag => "Age of the oldest acknowledged commit that figures do not hold yet.",
            Name::OutboxPoints => "Points that wait to be projected, estimated.",
            Name::OutboxOldest => "When the oldest of them was noted; now if nothing waits.",
            Name::StoreRequests => {
                "Requests to the projection's server, by the status of the answer; none = no answer."
            }
            Name::VerifyMissing => "Points that the last count found missing at the projection's server.",
            Name::Quarantined => "Lines that the projection's server refused and that are set aside.",
            Name::AggregatorWaiting => "Acknowledged commits that figures do not hold yet.",
            Name::Pilots => "Pilots in the registry in force.",
            Name::PilotInfo => "What the registry says of a pilot; always 1.",
            Name::Energy => {
                "Energy used since the first reading, by carrier; fuels by their calorific value. Falls where readings are corrected."
            }
            Name::PilotMissing => "Messages missing in the numbering of the pilot's gateways, now.",
            Name::Unregistered => "Series that send and are in no registry file: kept, and in no figure.",
            Name::Corrections => "Corrections made, withdrawn ones included.",
            Name::Required => "Reduction that the glide path asks for at the end of the period.",
            Name::Achieved => {
                "Reduction against the adjusted baseline; 0.2 is 20 % less. Absent where too little is known."
            }
            Name::Completeness => "Lowest coverage of the figures of the period.",
            Name::LastReading => "Latest instant of any accepted reading or order event.",
            Name::PeriodEnd => "End of the period that the figures of the slot speak of.",
        }
    }

    fn kind(self) -> MetricType {
        match self {
            Name::Received
            | Name::Messages
            | Name::Rejected
            | Name::RefusedReadings
            | Name::SequenceGaps
            | Name::AtMostOnce
            | Name::Readings
            | Name::OrderEvents
            | Name::SequenceReused
            | Name::Energy
            | Name::Corrections
            | Name::SessionLost
            | Name::BrokerReconnects
            | Name::BrokerWatchdog
            | Name::Deviations
            | Name::LostMessages
            | Name::RebirthsAsked
            | Name::RebirthsAnswered
            | Name::StoreRequests
            | Name::FsyncErrors => MetricType::COUNTER,
            Name::CommitDuration => MetricType::HISTOGRAM,
            Name::BuildInfo
            | Name::InFlight
            | Name::MissingMessages
            | Name::Gateways
            | Name::RejectionBytes
            | Name::RejectionBytesLimit
            | Name::JournalBytes
            | Name::StoreBytes
            | Name::DiskFree
            | Name::OldestUnacked
            | Name::BrokerConnected
            | Name::BrokerUnacknowledged
            | Name::EdgeNodes
            | Name::DiskFull
            | Name::AggregatorLastSuccess
            | Name::AggregatorLag
            | Name::OutboxPoints
            | Name::OutboxOldest
            | Name::VerifyMissing
            | Name::Quarantined
            | Name::AggregatorWaiting
            | Name::Pilots
            | Name::PilotInfo
            | Name::PilotMissing
            | Name::Unregistered
            | Name::Required
            | Name::Achieved
            | Name::Completeness
            | Name::LastReading
            | Name::PeriodEnd => MetricType::GAUGE,
        }
    }
}

/// Label names and values of one sample.
type Labels<'a> = &'a [(&'static str, &'a str)];

fn labelled(labels: Labels<'_>) -> Metric {
    let pair = |(name, value): &(&'static str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    Metric::from_label(labels.iter().map(pair).collect())
}

/// The families of one scrape, in the order in which they were first named.
#[derive(Default)]
struct Page(Vec<(Name, Vec<Metric>)>);

impl Page {
    fn push(&mut self, name: Name, metric: Metric) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, metrics)) => metrics.push(metric),
            None => self.0.push((name, vec![metric])),
        }
    }

    fn add(&mut self, name: Name, labels: Labels<'_>, value: f64) {
        let mut metric = labelled(labels);
        if name.kind() == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.push(name, metric);
    }

    fn histogram(&mut self, name: Name, times: &CommitTimes) {
        let bucket = |&(upper, n): &(f64, u64)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(upper);
            bucket.set_cumulative_count(n);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(times.buckets.iter().map(bucket).collect());
        histogram.set_sample_count(times.count);
        histogram.set_sample_sum(times.sum_seconds);
        let mut metric = Metric::default();
        metric.set_histogram(histogram);
        self.push(name, metric);
    }

    fn into_families(self) -> Vec<MetricFamily> {
        let family = |(name, metrics): (Name, Vec<Metric>)| {
            let mut family = MetricFamily::default();
            family.set_name(name.text().to_owned());
            family.set_help(name.help().to_owned());
            family.set_field_type(name.kind());
            family.set_metric(metrics);
            family
        };
        self.0.into_iter().map(family).collect()
    }

    fn into_text(self) -> String {
        let mut text = Vec::new();
        // Safe because no family is empty and a Vec takes every byte; the encoder refuses nothing else.
        TextEncoder::new().encode(&self.into_families(), &mut text).expect("families with samples encode");
        String::from_utf8(text).expect("the encoder writes UTF-8")
    }
}

fn respond(page: Page, asked: &HeaderMap) -> Response {
    let accept = asked.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let (text, kind) = match open::is_preferred(accept) {
        true => (open::text(&page.into_families()), open::CONTENT_TYPE),
        false => (page.into_text(), "text/plain; version=0.0.4; charset=utf-8"),
    };
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// `GET /metrics`.
pub(crate) async fn operations(
    State(served): State<Served>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let page = blocking(&served.site, |site| operations_page(site, clock::now())).await?;
    Ok(respond(page, &headers))
}

fn operations_page(site: &Site, now: UnixMillis) -> Result<Page, StoreError> {
    let ops = (site.ops)();
    let mut page = Page::default();
    let version = env!("CARGO_PKG_VERSION");
    let build = [("version", version), ("commit", site.commit), ("config_hash", &ops.config_hash)];
    page.add(Name::BuildInfo, &build, 1.0);
    counts(&mut page, &ops);
    sources(&mut page, site, now)?;
    page.histogram(Name::CommitDuration, &ops.commit_times);
    page.add(Name::FsyncErrors, &[], ops.fsync_errors as f64);
    page.add(Name::JournalBytes, &[], ops.journal_bytes as f64);
    page.add(Name::StoreBytes, &[], site.store.disk_bytes() as f64);
    page.add(Name::DiskFree, &[], ops.disk_free_bytes as f64);
    page.add(Name::DiskFull, &[], f64::from(u8::from(ops.disk_full)));
    doors(&mut page, &ops);
    outbox(&mut page, &ops, now);
    let figured = site.aggregator.figured_through();
    // Figures hold everything acknowledged before the oldest commit they do not hold.
    let success = site.store.oldest_commit_after(figured).unwrap_or(now);
    page.add(Name::AggregatorLastSuccess, &[("job", "figures")], seconds(success));
    page.add(Name::AggregatorLag, &[], (now.0 - success.0).max(0) as f64 / 1_000.0);
    page.add(Name::AggregatorWaiting, &[], site.store.last_commit().0.saturating_sub(figured.0) as f64);
    page.add(Name::Pilots, &[], site.registry.get().pilots.len() as f64);
    Ok(page)
}

/// Who sends, and what is missing in their numbering; summed, because a gateway is no label.
fn sources(page: &mut Page, site: &Site, now: UnixMillis) -> Result<(), StoreError> {
    let gaps = api::gaps(&site.store.sequences()?);
    let sum = |of: fn(&super::pages::view::GatewayGaps) -> u64| gaps.iter().map(of).sum::<u64>() as f64;
    page.add(Name::SequenceGaps, &[], sum(|gateway| gateway.gaps));
    page.add(Name::MissingMessages, &[], sum(|gateway| gateway.missing));
    for (state, n) in gateways::in_states(site, gaps, now) {
        page.add(Name::Gateways, &[("state", state.as_str())], n as f64);
    }
    let (kept, limit) = site.store.rejection_bytes();
    page.add(Name::RejectionBytes, &[], kept as f64);
    page.add(Name::RejectionBytesLimit, &[], limit as f64);
    Ok(())
}

fn counts(page: &mut Page, ops: &OpsSnapshot) {
    let counters = &ops.counters;
    let rejected: u64 = counters.rejected.iter().sum();
    page.add(Name::Received, &[], counters.received as f64);
    for (result, n) in [("committed", counters.committed), ("duplicate", counters.duplicate), ("rejected", rejected)] {
        page.add(Name::Messages, &[("result", result)], n as f64);
    }
    page.add(Name::InFlight, &[], ops.in_flight as f64);
    page.add(Name::AtMostOnce, &[], counters.qos0 as f64);
    page.add(Name::Readings, &[], counters.readings as f64);
    page.add(Name::OrderEvents, &[], counters.orders as f64);
    page.add(Name::SequenceReused, &[], counters.sequence_reused as f64);
    for (reason, n) in by_reason(&counters.rejected) {
        page.add(Name::Rejected, &[("reason", reason.as_str())], n as f64);
    }
    for (reason, n) in by_reason(&counters.refused) {
        page.add(Name::RefusedReadings, &[("reason", reason.as_str())], n as f64);
    }
}

/// What waits, by broker what its client counted, and what is known of edge nodes.
fn doors(page: &mut Page, ops: &OpsSnapshot) {
    page.add(Name::OldestUnacked, &[], ops.oldest_unacked_seconds);
    for broker in &ops.brokers {
        let labels = [("broker", &*broker.name)];
        page.add(Name::BrokerConnected, &labels, f64::from(u8::from(broker.is_connected)));
        page.add(Name::SessionLost, &labels, broker.session_lost as f64);
        page.add(Name::BrokerReconnects, &labels, broker.reconnects as f64);
        page.add(Name::BrokerUnacknowledged, &labels, broker.unacknowledged as f64);
        page.add(Name::BrokerWatchdog, &labels, broker.watchdog as f64);
    }
    let nodes = &ops.edge_nodes;
    for &(state, n) in &nodes.by_state {
        page.add(Name::EdgeNodes, &[("state", state)], n as f64);
    }
    for &(deviation, n) in &nodes.deviations {
        page.add(Name::Deviations, &[("deviation", deviation)], n as f64);
    }
    page.add(Name::LostMessages, &[], nodes.lost_messages as f64);
    page.add(Name::RebirthsAsked, &[], nodes.rebirths_asked as f64);
    page.add(Name::RebirthsAnswered, &[], nodes.rebirths_answered as f64);
}

/// There is at most one; without any the families are left out.
fn outbox(page: &mut Page, ops: &OpsSnapshot, now: UnixMillis) {
    for projection in &ops.projections {
        page.add(Name::OutboxPoints, &[], projection.points_waiting as f64);
        page.add(Name::OutboxOldest, &[], seconds(projection.oldest.unwrap_or(now)));
        for (code, n) in &projection.requests {
            page.add(Name::StoreRequests, &[("code", code)], *n as f64);
        }
        page.add(Name::VerifyMissing, &[], projection.missing as f64);
        page.add(Name::Quarantined, &[], projection.quarantined as f64);
    }
}

fn seconds(at: UnixMillis) -> f64 {
    at.0 as f64 / 1_000.0
}

/// `GET /metrics/pilots[?pilot=ID]`.
pub(crate) async fn pilots(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["pilot"])?;
    let wanted = params.pilot()?;
    let registry = served.site.registry.get();
    let is_wanted = |pilot: &&Arc<Pilot>| viewer.sees(pilot) && wanted.as_ref().is_none_or(|id| *id == pilot.id);
    let pilots: Vec<Arc<Pilot>> = registry.pilots.values().filter(is_wanted).cloned().collect();
    if pilots.is_empty() && wanted.is_some() {
        return Err(Problem::not_found("pilot", api::NO_PILOT));
    }
    let page = blocking(&served.site, move |site| pilots_page(site, &pilots, clock::now())).await?;
    Ok(respond(page, &headers))
}

/// The indicators with a slot of their own: two slots × four indicators × two ratios keep a pilot below 40 series.
const CURRENT: [Indicator; 4] = super::pages::view::SHOWN;

fn pilots_page(site: &Site, pilots: &[Arc<Pilot>], now: UnixMillis) -> Result<Page, StoreError> {
    let mut page = Page::default();
    let mut missing: BTreeMap<PilotId, u64> = BTreeMap::new();
    let sequences: Vec<SequenceRanges> = site.store.sequences()?;
    for gaps in api::gaps(&sequences) {
        *missing.entry(gaps.pilot).or_default() += gaps.missing;
    }
    for pilot in pilots {
        let missing = missing.get(&pilot.id).copied();
        arrivals(&mut page, site, pilot, missing)?;
        energy::add(&mut page, &site.aggregator, pilot)?;
        for (slot, figures) in current(site, pilot, now)? {
            slot_metrics(&mut page, &pilot.id, slot, &figures, &pilot.zone);
        }
    }
    Ok(page)
}

/// What a pilot is, and how its data arrive. `missing` is none where no gateway numbers its messages.
fn arrivals(page: &mut Page, site: &Site, pilot: &Pilot, missing: Option<u64>) -> Result<(), StoreError> {
    let id = [("pilot", pilot.id.as_str())];
    let groups =
        [("region", pilot.region.as_str()), ("sector", pilot.sector.as_str()), ("class", pilot.class.as_str())];
    page.add(Name::PilotInfo, &[id.as_slice(), groups.as_slice()].concat(), 1.0);
    if let Some(at) = site.store.data_cutoff(&pilot.id)? {
        page.add(Name::LastReading, &id, seconds(at));
    }
    if let Some(missing) = missing {
        page.add(Name::PilotMissing, &id, missing as f64);
    }
    page.add(Name::Unregistered, &id, site.store.n_unregistered(&pilot.id) as f64);
    let (n_corrections, _) = site.store.latest_corrections(&pilot.id, 0)?;
    page.add(Name::Corrections, &id, f64::from(n_corrections));
    Ok(())
}

/// The figures of both slots, by [`CURRENT`].
fn current(site: &Site, pilot: &Pilot, now: UnixMillis) -> Result<BTreeMap<&'static str, Vec<Figure>>, StoreError> {
    let mut by_slot: BTreeMap<&str, Vec<Figure>> = BTreeMap::new();
    for indicator in CURRENT {
        let query =
            FigureQuery { scope: Some(Scope::Pilot(pilot.id.clone())), indicator: Some(indicator), period: None };
        let figures = site.aggregator.figures(&query, now)?;
        for (slot, period) in slots(now, &pilot.zone) {
            by_slot.entry(slot).or_default().extend(figures.iter().filter(|f| f.period == period).cloned());
        }
    }
    Ok(by_slot)
}

/// The last month that is over in a zone, and its year. A running month has no figure, so that January shows the year before.
fn slots(now: UnixMillis, zone: &TimeZone) -> [(&'static str, Period); 2] {
    let closed = MonthNo(MonthNo::containing(now, zone).0 - 1);
    [
        ("current_year", Period::containing(closed, PeriodKind::Year)),
        ("current_month", Period::containing(closed, PeriodKind::Month)),
    ]
}

fn slot_metrics(page: &mut Page, pilot: &PilotId, slot: &str, figures: &[Figure], zone: &TimeZone) {
    let id = pilot.as_str();
    for figure in figures {
        let indicator = figure.indicator.to_string();
        let labels = [("pilot", id), ("indicator", &*indicator), ("period", slot)];
        if let Some(stage) = judged_by(figure) {
            page.add(Name::Required, &labels, stage.path);
        }
        if let Some(reduction) = figure.reduction.filter(|_| figure.state != FigureState::Insufficient) {
            page.add(Name::Achieved, &labels, reduction);
        }
    }
    let labels = [("pilot", id), ("period", slot)];
    if let Some(lowest) = figures.iter().filter_map(|figure| figure.coverage).reduce(f64::min) {
        page.add(Name::Completeness, &labels, lowest);
    }
    if let Some(figure) = figures.first() {
        page.add(Name::PeriodEnd, &labels, seconds(figure.period.window(zone).end));
    }
}

/// Names and meanings of what only a site with figures has.
#[cfg(test)]
pub(crate) fn of_figures() -> [(&'static str, &'static str); 4] {
    [Name::Required, Name::Achieved, Name::Completeness, Name::PeriodEnd].map(|name| (name.text(), name.help()))
}

/// Has the metrics linter of Prometheus read a page.
#[cfg(test)]
pub(crate) fn check_with_promtool(page: &str) {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let piped = Stdio::piped;
    let spawned =
        Command::new("promtool").args(["check", "metrics"]).stdin(piped()).stdout(piped()).stderr(piped()).spawn();
    // The process tier installs it and scrapes the real binary; on a bare machine there is nothing to ask.
    let Ok(mut child) = spawned else { return };
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[cfg(test)]
mod tests {
    use model::Reason;
    use store::Counters;

    use super::*;
    use crate::projection::Report;
    use crate::publish::{BrokerCounts, EdgeNodeCounts};

    fn page() -> String {
        let mut counters = Counters { received: 10, committed: 7, duplicate: 1, ..Counters::default() };
        counters.rejected[Reason::BadJson.index()] = 2;
        let commit_times = CommitTimes { buckets: vec![(0.001, 3), (0.01, 4)], count: 5, sum_seconds: 0.5 };
        let broker = BrokerCounts { name: "plant".to_owned(), session_lost: 2, ..BrokerCounts::default() };
        let by_state = vec![("online", 3), ("offline", 0)];
        let edge_nodes = EdgeNodeCounts { by_state, deviations: vec![("no_seq", 5)], ..EdgeNodeCounts::default() };
        let brokers = vec![broker];
        let requests = [("204".to_owned(), 9), ("none".to_owned(), 1)].into_iter().collect();
        let projections = vec![Report { points_waiting: 7, requests, ..Report::default() }];
        let ops = OpsSnapshot {
            counters,
            in_flight: 3,
            commit_times,
            brokers,
            edge_nodes,
            projections,
            ..OpsSnapshot::default()
        };
        let mut page = Page::default();
        counts(&mut page, &ops);
        page.histogram(Name::CommitDuration, &ops.commit_times);
        doors(&mut page, &ops);
        outbox(&mut page, &ops, UnixMillis(5_000));
        page.into_text()
    }

    #[test]
    fn received_is_the_sum_of_what_became_of_the_messages_whatever_is_in_flight() {
        let text = page();
        let value = |line: &str| -> f64 {
            let found = text.lines().find_map(|found| found.strip_prefix(line));
            found.unwrap_or_else(|| panic!("{line} in {text}")).trim().parse().unwrap()
        };
        let sum: f64 = ["committed", "duplicate", "rejected"]
            .map(|result| value(&format!("pilotline_ingest_messages_total{{result=\"{result}\"}}")))
            .iter()
            .sum();
        assert_eq!(value("pilotline_ingest_received_total "), sum);
        assert_eq!(value("pilotline_ingest_in_flight_messages "), 3.0);
    }

    #[test]
    fn every_reason_is_there_from_the_start() {
        let text = page();
        for reason in Reason::ALL {
            for family in ["pilotline_ingest_rejected_total", "pilotline_ingest_refused_readings_total"] {
                assert!(text.contains(&format!("{family}{{reason=\"{}\"}}", reason.as_str())), "{}", reason.as_str());
            }
        }
        assert!(text.contains("pilotline_journal_commit_duration_seconds_bucket{le=\"+Inf\"} 5"), "{text}");
    }

    #[test]
    fn a_forgotten_session_and_the_states_of_edge_nodes_are_counted() {
        let text = page();
        for line in [
            "pilotline_ingest_session_lost_total{broker=\"plant\"} 2",
            "pilotline_broker_connected{broker=\"plant\"} 0",
            "pilotline_outbox_points 7",
            "pilotline_outbox_oldest_timestamp_seconds 5",
            "pilotline_store_requests_total{code=\"none\"} 1",
            "pilotline_sparkplug_edge_nodes{state=\"online\"} 3",
            "pilotline_sparkplug_deviations_total{deviation=\"no_seq\"} 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }

    #[test]
    fn promtool_finds_nothing_to_say_where_it_is_installed() {
        check_with_promtool(&page());
    }
}
