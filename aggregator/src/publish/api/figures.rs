//! `/api/v1/figures`: stored figures, whole and with full precision.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use model::{Figure, Indicator, Period, Registry, Scope, UnixMillis, clock};
use sha2::{Digest, Sha256};
use store::StoreError;

use super::{NO_SCOPE, is_known, read_scope, wait_figured};
use crate::FigureQuery;
use crate::ledger::Then;
use crate::publish::Site;
use crate::publish::access::Viewer;
use crate::publish::problem::Problem;
use crate::publish::query::Params;
use crate::publish::router::{Served, blocking};
use crate::publish::stream::{self, Form};

const KNOWN: [&str; 7] = ["scope", "indicator", "period", "as_of", "version", "limit", "cursor"];

/// `GET /api/v1/figures`.
pub(crate) async fn figures(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &KNOWN)?;
    let then = then_of(&params, clock::now())?;
    let (indicator, period) = (indicator_of(&params)?, period_of(&params)?);
    let (limit, offset) = (params.limit()?, params.offset()?);
    let scope = params.get("scope").map(read_scope).transpose()?;
    let registry = served.site.registry.get();
    let Some(scope) = scope else {
        wait_for(then, &served.site).await?;
        let scopes = visible_scopes(&served.site, &viewer, &registry);
        return all_scopes(&served.site, scopes, Wanted { indicator, period, then, limit, offset }, &params).await;
    };
    if !is_known(&scope, &served.site, &registry) || !viewer.sees_scope(&scope, &registry) {
        return Err(Problem::not_found("scope", NO_SCOPE));
    }
    wait_for(then, &served.site).await?;
    let wanted = Wanted { indicator, period, then, limit, offset };
    let figures = blocking(&served.site, move |site| wanted.figures(site, scope, clock::now())).await?;
    let end = limit.map_or(figures.len(), |limit| figures.len().min(offset.saturating_add(limit)));
    let on_page = figures.get(offset..end).unwrap_or_default();
    let next = (end < figures.len()).then(|| format!("/api/v1/figures{}", params.with("cursor", &end.to_string())));
    tagged(on_page, next, &headers)
}

/// What was published waits for nothing; figures as they are now hold what was acknowledged before the request.
async fn wait_for(then: Option<Then>, site: &Arc<Site>) -> Result<(), Problem> {
    if then.is_none() { wait_figured(site).await } else { Ok(()) }
}

/// `as_of` or `version`: figures as they were published.
fn then_of(params: &Params, now: UnixMillis) -> Result<Option<Then>, Problem> {
    let as_of = params.instant("as_of")?;
    let wrong = || Problem::parameter("version", "`version` must be a number from 1; /api/v1/versions lists them");
    let read = |text: &str| text.parse::<u32>().ok().filter(|&version| version > 0).ok_or_else(wrong);
    let version = params.get("version").map(read).transpose()?;
    match (as_of, version) {
        (Some(_), Some(_)) => {
            Err(Problem::parameter("version", "`version` and `as_of` both name a published version; give one of them"))
        }
        (Some(at), None) if at > now => {
            Err(Problem::parameter("as_of", "`as_of` lies in the future; what will be published by then is not known"))
        }
        (as_of, version) => Ok(as_of.map(Then::AsOf).or(version.map(Then::Version))),
    }
}

pub(crate) fn indicator_of(params: &Params) -> Result<Option<Indicator>, Problem> {
    let Some(text) = params.get("indicator") else { return Ok(None) };
    let detail = "`indicator` must be operating_cost, production_cycle, defect_rate, energy_intensity, \
                  energy_intensity.equivalent, cycle_time or pollutant_intensity.POLLUTANT";
    Indicator::parse(text).map(Some).ok_or_else(|| Problem::parameter("indicator", detail))
}

pub(crate) fn period_of(params: &Params) -> Result<Option<Period>, Problem> {
    let read = |text| Period::parse(text).map_err(|error| Problem::parameter("period", error.to_string()));
    params.get("period").map(read).transpose()
}

/// Every scope the viewer sees, in the order of the answer.
fn visible_scopes(site: &Site, viewer: &Viewer, registry: &Registry) -> Vec<Scope> {
    let programme = &site.programme;
    let mut scopes = vec![Scope::Programme];
    scopes.extend(programme.regions.iter().map(|entry| Scope::Region(entry.id.clone())));
    scopes.extend(programme.sectors.iter().map(|entry| Scope::Sector(entry.id.clone())));
    scopes.extend(programme.classes.iter().map(|entry| Scope::Class(entry.id.clone())));
    for pilot in registry.pilots.values() {
        scopes.push(Scope::Pilot(pilot.id.clone()));
        scopes.extend(pilot.workshops.iter().map(|shop| Scope::Workshop(pilot.id.clone(), shop.id.clone())));
    }
    scopes.retain(|scope| viewer.sees_scope(scope, registry));
    scopes
}

/// Which figures of each scope, and which part of the list.
struct Wanted {
    indicator: Option<Indicator>,
    period: Option<Period>,
    /// None = as they are now.
    then: Option<Then>,
    limit: Option<usize>,
    offset: usize,
}

impl Wanted {
    fn figures(&self, site: &Site, scope: Scope, now: UnixMillis) -> Result<Vec<Figure>, StoreError> {
        let query = FigureQuery { scope: Some(scope), indicator: self.indicator.clone(), period: self.period };
        match self.then {
            None => site.aggregator.figures(&query, now),
            Some(then) => site.aggregator.figures_then(&query, then, now),
        }
    }
}

/// Figures of many scopes, read and sent one scope at a time. They carry no ETag: it would mean to make them twice.
async fn all_scopes(
    site: &Arc<Site>,
    scopes: Vec<Scope>,
    wanted: Wanted,
    params: &Params,
) -> Result<Response, Problem> {
    let (now, offset) = (clock::now(), wanted.offset);
    let Some(limit) = wanted.limit else {
        let site = Arc::clone(site);
        return Ok(stream::answer(Form::Json, move |rows| {
            for scope in scopes {
                for figure in wanted.figures(&site, scope, now)? {
                    rows.json(&figure)?;
                }
            }
            Ok(())
        }));
    };
    let page = blocking(site, move |site| {
        let (mut skip, mut page) = (offset, Vec::new());
        for scope in scopes {
            let figures = wanted.figures(site, scope, now)?;
            let skipped = skip.min(figures.len());
            skip -= skipped;
            page.extend(figures.into_iter().skip(skipped));
            if page.len() > limit {
                break;
            }
        }
        Ok(page)
    });
    let mut page = page.await?;
    let end = offset.saturating_add(limit).to_string();
    let next = (page.len() > limit).then(|| format!("/api/v1/figures{}", params.with("cursor", &end)));
    page.truncate(limit);
    stream::page(&page, next)
}

/// An answer with a tag over everything but `as_of`, which only says when it was asked.
fn tagged(figures: &[Figure], next: Option<String>, headers: &HeaderMap) -> Result<Response, Problem> {
    let mut hash = Sha256::new();
    for figure in figures {
        let timeless = Figure { as_of: UnixMillis(0), ..figure.clone() };
        // Safe because a figure is made of text and finite numbers.
        hash.update(serde_json::to_vec(&timeless).expect("a figure serializes"));
    }
    let digits: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{digits}\"");
    // Safe because it is quoted hexadecimal.
    let value = HeaderValue::from_str(&tag).expect("a quoted hash");
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|value| value.split(',')).any(|one| matches_tag(one, &tag));
    let mut response = if is_known {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        *response.body_mut() = Body::empty();
        response
    } else {
        stream::page(figures, next)?
    };
    response.headers_mut().insert(header::ETAG, value);
    Ok(response)
}

/// RFC 9110: `If-None-Match` compares weakly.
fn matches_tag(one: &str, tag: &str) -> bool {
    let one = one.trim();
    one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag
}
