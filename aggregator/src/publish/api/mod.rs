//! The API: `/api/v1`, which reads, but for corrections; and the two health probes.
//!
//! Each endpoint is a file that checks its parameters first, then waits for what was acknowledged before the request, then
//! reads. What a viewer may not see answers exactly like what does not exist.

mod conflicts;
mod corrections;
mod evidence;
mod figures;
mod gateways;
mod imports;
mod orders;
mod pilots;
mod projections;
mod readings;
mod rejections;
mod rollups;
mod series;
mod status;
mod versions;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use model::{PilotId, Registry, Scope};

use super::access::Viewer;
use super::problem::Problem;
use super::query::Params;
use super::router::{Served, blocking};
use super::{FRESH_WAIT, Site};

pub(crate) use evidence::named;
pub(crate) use series::unit_of;
pub(crate) use status::{gaps, healthz, readyz};

/// 404 of a scope; names nothing that was asked for.
pub(crate) const NO_SCOPE: &str = "there is no such scope; /api/v1/pilots lists the pilots with their region, sector and \
                                   class: pilot:ID, region:R, sector:S, class:C, programme, workshop:PILOT/W";
/// 404 of a pilot.
pub(crate) const NO_PILOT: &str = "there is no such pilot; /api/v1/pilots lists them";

pub(crate) fn routes() -> Router<Served> {
    Router::new()
        .route("/api/v1/status", get(status::status))
        .route("/api/v1/pilots", get(pilots::pilots))
        .route("/api/v1/pilots/{pilot}/series", get(pilots::series))
        .route("/api/v1/readings", get(readings::readings))
        .route("/api/v1/rollups", get(rollups::rollups))
        .route("/api/v1/figures", get(figures::figures))
        .route("/api/v1/evidence", get(evidence::evidence))
        .route("/api/v1/versions", get(versions::versions))
        .route("/api/v1/gateways", get(gateways::gateways))
        .route("/api/v1/rejections", get(rejections::rejections))
        .route("/api/v1/orders", get(orders::orders))
        .route("/api/v1/conflicts", get(conflicts::conflicts))
        .route("/api/v1/projections", get(projections::projections))
        .route("/api/v1/imports", get(imports::imports))
        .route("/api/v1/corrections", get(corrections::list).post(corrections::make))
}

/// Reads a scope; 400 if it is none.
pub(crate) fn read_scope(text: &str) -> Result<Scope, Problem> {
    let detail = "`scope` must be programme, region:R, sector:S, class:C, pilot:ID or workshop:PILOT/W";
    Scope::parse(text).ok_or_else(|| Problem::parameter("scope", detail))
}

/// Whether a scope exists: its group is of the programme's taxonomy or has a pilot, its pilot is registered.
pub(crate) fn is_known(scope: &Scope, site: &Site, registry: &Registry) -> bool {
    let pilots = || registry.pilots.values();
    match scope {
        Scope::Programme => true,
        Scope::Region(id) => {
            site.programme.regions.iter().any(|entry| entry.id == *id) || pilots().any(|pilot| pilot.region == *id)
        }
        Scope::Sector(id) => {
            site.programme.sectors.iter().any(|entry| entry.id == *id) || pilots().any(|pilot| pilot.sector == *id)
        }
        Scope::Class(id) => {
            site.programme.classes.iter().any(|entry| entry.id == *id) || pilots().any(|pilot| pilot.class == *id)
        }
        Scope::Pilot(id) => registry.pilots.contains_key(id),
        Scope::Workshop(id, workshop) => {
            registry.pilots.get(id).is_some_and(|pilot| pilot.workshops.iter().any(|known| known.id == *workshop))
        }
    }
}

/// The pilot of a request, if the viewer sees it; else the 404 that a missing one answers.
fn visible_pilot(params: &Params, viewer: &Viewer, registry: &Registry) -> Result<PilotId, Problem> {
    params.required("pilot")?;
    pilot_if_named(params, viewer, registry)?.ok_or_else(|| Problem::not_found("pilot", NO_PILOT))
}

/// The same of a request that needs to name none.
fn pilot_if_named(params: &Params, viewer: &Viewer, registry: &Registry) -> Result<Option<PilotId>, Problem> {
    let pilot = params.pilot()?;
    match pilot.as_ref().is_none_or(|id| registry.pilots.contains_key(id) && viewer.sees_id(id, registry)) {
        true => Ok(pilot),
        false => Err(Problem::not_found("pilot", NO_PILOT)),
    }
}

/// Waits until figures and rollups hold everything acknowledged by now.
async fn wait_figured(site: &Arc<Site>) -> Result<(), Problem> {
    let in_time = blocking(site, |site| {
        let last = site.store.last_commit();
        Ok(site.aggregator.figured_through() >= last || site.aggregator.wait_figured(last, FRESH_WAIT))
    });
    if in_time.await? { Ok(()) } else { Err(Problem::not_yet()) }
}

/// Waits until readings and rejections hold everything acknowledged by now.
async fn wait_settled(site: &Arc<Site>) -> Result<(), Problem> {
    let in_time = blocking(site, |site| {
        let last = site.store.last_commit();
        Ok(site.store.settled_through() >= last || site.store.wait_settled(last, FRESH_WAIT))
    });
    if in_time.await? { Ok(()) } else { Err(Problem::not_yet()) }
}
