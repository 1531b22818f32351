//! `/api/v1/versions`: what was published of a scope, when, why it was published again, and what the version before said.

use axum::Extension;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;

use super::figures::{indicator_of, period_of};
use super::{NO_SCOPE, is_known, read_scope};
use crate::ledger::VersionQuery;
use crate::publish::access::Viewer;
use crate::publish::problem::Problem;
use crate::publish::query::Params;
use crate::publish::router::{Served, blocking};
use crate::publish::stream;

/// `GET /api/v1/versions`.
pub(crate) async fn versions(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["scope", "indicator", "period", "limit", "cursor"])?;
    let scope = read_scope(params.required("scope")?)?;
    let (indicator, period) = (indicator_of(&params)?, period_of(&params)?);
    let (limit, offset) = (params.limit()?, params.offset()?);
    let registry = served.site.registry.get();
    if !is_known(&scope, &served.site, &registry) || !viewer.sees_scope(&scope, &registry) {
        return Err(Problem::not_found("scope", NO_SCOPE));
    }
    let read = move |site: &crate::publish::Site| {
        site.aggregator.versions(&scope, VersionQuery { indicator: indicator.as_ref(), period })
    };
    let versions = blocking(&served.site, read).await?;
    let end = limit.map_or(versions.len(), |limit| versions.len().min(offset.saturating_add(limit)));
    let next = (end < versions.len()).then(|| format!("/api/v1/versions{}", params.with("cursor", &end.to_string())));
    stream::page(versions.get(offset..end).unwrap_or_default(), next)
}
