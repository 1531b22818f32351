//! `/api/v1/projections`: how each projection is, and the latest lines that its server refused.

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use store::{Quarantined, StoreError};

use crate::projection::Report;
use crate::publish::Site;
use crate::publish::access::Viewer;
use crate::publish::problem::Problem;
use crate::publish::query::Params;
use crate::publish::router::{Served, blocking};

/// Refused lines shown at most.
const REFUSED_SHOWN: u32 = 100;

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    report: Report,
    refused: Vec<Quarantined>,
}

/// `GET /api/v1/projections`: for who sees all pilots, because refused lines may be anybody's; nobody else sees any.
pub(crate) async fn projections(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    let rows = blocking(&served.site, move |site| if viewer.sees_all() { rows(site) } else { Ok(Vec::new()) }).await?;
    Ok(Json(rows).into_response())
}

fn rows(site: &Site) -> Result<Vec<Row>, StoreError> {
    let of = |report: Report| Ok(Row { report, refused: site.store.quarantined(REFUSED_SHOWN)? });
    (site.health)().projections.into_iter().map(of).collect()
}
