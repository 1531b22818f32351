//! `/api/v1/pilots` and `/api/v1/pilots/{pilot}/series`: the registry as loaded.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use model::programme::Label;
use model::registry::{DayRange, PiecesFrom};
use model::{Pilot, PilotId, Series, UnixMillis};
use seeds::fleet::Truth;
use serde::Serialize;

use super::NO_PILOT;
use crate::publish::Site;
use crate::publish::access::Viewer;
use crate::publish::problem::Problem;
use crate::publish::query::Params;
use crate::publish::router::Served;
use crate::publish::stream;

#[derive(Serialize)]
struct PilotRow<'a> {
    id: &'a PilotId,
    name: &'a Label,
    enterprise: &'a str,
    region: &'a str,
    sector: &'a str,
    class: &'a str,
    zone: &'a str,
    programme: &'a str,
    baseline: DayRange,
    pieces: PiecesFrom,
    products: Vec<ProductRow<'a>>,
    workshops: Vec<WorkshopRow<'a>>,
    n_series: usize,
    /// Edits of the file that its author explained, by time.
    changes: Vec<ChangeRow<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    demo: Option<Demo<'a>>,
}

#[derive(Serialize)]
struct ProductRow<'a> {
    id: &'a str,
    name: Option<&'a Label>,
    weight: Option<f64>,
}

#[derive(Serialize)]
struct WorkshopRow<'a> {
    id: &'a str,
    name: &'a Label,
}

#[derive(Serialize)]
struct ChangeRow<'a> {
    at: UnixMillis,
    author: &'a str,
    reason: &'a str,
}

/// A simulated pilot says so.
#[derive(Serialize)]
struct Demo<'a> {
    truth: &'a Truth,
}

impl<'a> PilotRow<'a> {
    fn of(pilot: &'a Pilot, site: &'a Site) -> PilotRow<'a> {
        let product = |product: &'a model::registry::Product| ProductRow {
            id: &product.id,
            name: product.name.as_ref(),
            weight: product.weight,
        };
        let workshop =
            |workshop: &'a model::registry::Workshop| WorkshopRow { id: workshop.id.as_str(), name: &workshop.name };
        let change = |change: &'a model::registry::Change| ChangeRow {
            at: change.at,
            author: &change.author,
            reason: &change.reason,
        };
        PilotRow {
            id: &pilot.id,
            name: &pilot.name,
            enterprise: &pilot.enterprise,
            region: pilot.region.as_str(),
            sector: pilot.sector.as_str(),
            class: pilot.class.as_str(),
            zone: &pilot.zone_name,
            programme: pilot.programme.as_str(),
            baseline: pilot.baseline,
            pieces: pilot.pieces,
            products: pilot.products.iter().map(product).collect(),
            workshops: pilot.workshops.iter().map(workshop).collect(),
            n_series: pilot.series.len(),
            changes: pilot.changes.iter().map(change).collect(),
            demo: site.truth.as_ref().and_then(|truths| truths.get(&pilot.id)).map(|truth| Demo { truth }),
        }
    }
}

/// `GET /api/v1/pilots`.
pub(crate) async fn pilots(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["limit", "cursor"])?;
    let (limit, offset) = (params.limit()?, params.offset()?);
    let registry = served.site.registry.get();
    let visible: Vec<&Pilot> =
        registry.pilots.values().map(|pilot| &**pilot).filter(|pilot| viewer.sees(pilot)).collect();
    let end = limit.map_or(visible.len(), |limit| visible.len().min(offset.saturating_add(limit)));
    let on_page = visible.get(offset..end).unwrap_or_default();
    let rows: Vec<PilotRow<'_>> = on_page.iter().map(|pilot| PilotRow::of(pilot, &served.site)).collect();
    let next = (end < visible.len()).then(|| format!("/api/v1/pilots{}", params.with("cursor", &end.to_string())));
    stream::page(&rows, next)
}

#[derive(Serialize)]
struct SeriesRow<'a> {
    asset: &'a str,
    name: &'a str,
    product: Option<&'a str>,
    quantity: String,
    kind: model::Kind,
    unit: &'a model::Unit,
    multiplier: f64,
    rollover: Option<f64>,
    max_gap_seconds: Option<f64>,
    plausible: Option<[f64; 2]>,
    stage: Option<&'a str>,
    band: Option<&'a str>,
    part_of: Option<&'a str>,
    workshop: Option<&'a str>,
    until: Option<jiff::civil::Date>,
    n_events: usize,
}

impl<'a> SeriesRow<'a> {
    fn of(series: &'a Series) -> SeriesRow<'a> {
        SeriesRow {
            asset: &series.asset,
            name: &series.name,
            product: series.product.as_deref(),
            quantity: series.quantity.to_string(),
            kind: series.kind,
            unit: &series.unit,
            multiplier: series.multiplier,
            rollover: series.rollover,
            max_gap_seconds: series.max_gap_ms.map(|ms| ms as f64 / 1_000.0),
            plausible: series.plausible,
            stage: series.stage.as_deref(),
            band: series.band.as_deref(),
            part_of: series.part_of.as_deref(),
            workshop: series.workshop.as_ref().map(model::Slug::as_str),
            until: series.until,
            n_events: series.events.len(),
        }
    }
}

/// `GET /api/v1/pilots/{pilot}/series`.
pub(crate) async fn series(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    Path(pilot): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let registry = served.site.registry.get();
    // What is no id is no pilot.
    let id = PilotId::parse(&pilot).ok();
    let pilot = id.and_then(|id| registry.pilots.get(&id)).filter(|pilot| viewer.sees(pilot));
    let pilot = pilot.ok_or_else(|| Problem::not_found("pilot", NO_PILOT))?;
    let rows: Vec<SeriesRow<'_>> = pilot.series.iter().map(SeriesRow::of).collect();
    stream::page(&rows, None)
}
