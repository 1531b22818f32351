//! `/api/v1/evidence`: what one figure is made from, down to the series and spans whose readings `/api/v1/readings` lists.

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use model::{Indicator, Period, Scope, clock};

use super::figures::{indicator_of, period_of};
use super::{NO_SCOPE, is_known, read_scope, wait_figured};
use crate::publish::access::Viewer;
use crate::publish::problem::Problem;
use crate::publish::query::Params;
use crate::publish::router::{Served, blocking};

/// `GET /api/v1/evidence?scope=&indicator=&period=`.
pub(crate) async fn evidence(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["scope", "indicator", "period"])?;
    let (scope, indicator, period) = named(&params)?;
    let registry = served.site.registry.get();
    if !is_known(&scope, &served.site, &registry) || !viewer.sees_scope(&scope, &registry) {
        return Err(Problem::not_found("scope", NO_SCOPE));
    }
    wait_figured(&served.site).await?;
    let read = move |site: &crate::publish::Site| site.aggregator.evidence((&scope, &indicator, period), clock::now());
    let found = blocking(&served.site, read).await?;
    found.map(|evidence| Json(evidence).into_response()).ok_or_else(|| Problem::not_found("scope", NO_SCOPE))
}

/// The figure that a request names; all three are needed.
pub(crate) fn named(params: &Params) -> Result<(Scope, Indicator, Period), Problem> {
    let scope = read_scope(params.required("scope")?)?;
    params.required("indicator")?;
    params.required("period")?;
    let missing = |name: &str| Problem::parameter(name, format!("`{name}` is needed"));
    let indicator = indicator_of(params)?.ok_or_else(|| missing("indicator"))?;
    let period = period_of(params)?.ok_or_else(|| missing("period"))?;
    Ok((scope, indicator, period))
}
