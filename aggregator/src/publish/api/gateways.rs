//! `/api/v1/gateways`: every source with what it sent, what was refused of it, and who was not heard.

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use model::clock;

use super::NO_PILOT;
use crate::publish::access::Viewer;
use crate::publish::gateways;
use crate::publish::problem::Problem;
use crate::publish::query::Params;
use crate::publish::router::{Served, blocking};

/// `GET /api/v1/gateways[?pilot=ID]`.
pub(crate) async fn gateways(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
) -> Result<Response, Problem> {
    let pilot = Params::read(&uri, &["pilot"])?.pilot()?;
    let read = move |site: &crate::publish::Site| gateways::read(site, &viewer, pilot.as_ref(), clock::now());
    let view = blocking(&served.site, read).await?;
    let view = view.ok_or_else(|| Problem::not_found("pilot", NO_PILOT))?;
    Ok(Json(view).into_response())
}
