//! `/api/v1/rollups`: windows of a series in order of start, then product.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use model::UnixMillis;
use store::StoreError;

use super::readings::Failed;
use super::series::{Asked, Name};
use super::{visible_pilot, wait_figured};
use crate::publish::Site;
use crate::publish::access::Viewer;
use crate::publish::problem::Problem;
use crate::publish::query::{Cursor, Params};
use crate::publish::router::{Served, blocking};
use crate::publish::stream::{self, Form, Stop};
use crate::{RollupQuery, RollupRow, Width};

const KNOWN: [&str; 10] = ["pilot", "asset", "name", "product", "from", "to", "window", "by", "limit", "cursor"];
const DAY_MS: i64 = 86_400_000;
/// A year holds the window of any width that begins before a span and reaches into it.
const YEAR_MS: i64 = 366 * DAY_MS;

/// The series a request names.
pub(super) fn name_of(params: &Params) -> Result<Name, Problem> {
    let product = params.get("product").filter(|product| !product.is_empty()).map(str::to_owned);
    Ok(Name { asset: params.required("asset")?.to_owned(), name: params.required("name")?.to_owned(), product })
}

fn width_of(params: &Params) -> Result<Width, Problem> {
    match params.get("window").unwrap_or("hour") {
        "quarter" => Ok(Width::Quarter),
        "hour" => Ok(Width::Hour),
        "day" => Ok(Width::Day),
        "month" => Ok(Width::Month),
        "year" => Ok(Width::Year),
        _ => Err(Problem::parameter("window", "`window` must be quarter, hour, day, month or year")),
    }
}

fn by_band(params: &Params) -> Result<bool, Problem> {
    match params.get("by") {
        None => Ok(false),
        Some("band") => Ok(true),
        Some(_) => Err(Problem::parameter("by", "`by` must be band, or left out")),
    }
}

/// How much time is rolled up at once, so that a page of rows stays some 10,000.
fn stretch_ms(width: Width) -> i64 {
    match width {
        Width::Quarter => 92 * DAY_MS,
        Width::Hour => YEAR_MS,
        Width::Day | Width::Month | Width::Year => i64::MAX,
    }
}

/// `GET /api/v1/rollups`.
pub(crate) async fn rollups(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &KNOWN)?;
    let registry = served.site.registry.get();
    let pilot = visible_pilot(&params, &viewer, &registry)?;
    let name = name_of(&params)?;
    let (width, by_band) = (width_of(&params)?, by_band(&params)?);
    let ((from, to), cursor, limit) = (params.span()?, params.cursor()?, params.limit()?);
    wait_figured(&served.site).await?;
    let declared = Arc::clone(&registry.pilots[&pilot]);
    let Name { asset, name: series, product } = name.clone();
    let query = RollupQuery { pilot, asset, name: series, product, from, to, width, by_band };
    let clipped = blocking(&served.site, move |site| Ok(clip(site, &declared, &name, query, cursor))).await?;
    let query = clipped.map_err(Failed::into_problem)?;
    let Some(limit) = limit else {
        let site = Arc::clone(&served.site);
        return Ok(stream::answer(Form::Json, move |rows| {
            each_row(&site, &query, cursor.skip, |row| Ok(rows.json(&row)?))
        }));
    };
    let (page, next) = blocking(&served.site, move |site| one_page(site, &query, cursor, limit)).await?;
    stream::page(&page, next.map(|next| format!("/api/v1/rollups{}", params.with("cursor", &next.text()))))
}

/// Holds the query to where the series has data, so that no empty stretches are asked for.
fn clip(
    site: &Site,
    pilot: &model::Pilot,
    name: &Name,
    mut query: RollupQuery,
    cursor: Cursor,
) -> Result<RollupQuery, Failed> {
    let asked = Asked::find(&site.store, pilot, name).map_err(Failed::Asked)?;
    let Some((first, last)) = asked.span(&site.store)? else {
        // Declared, but nothing came: no rows.
        query.to = query.from;
        return Ok(query);
    };
    query.from = cursor.at.unwrap_or(query.from).max(query.from).max(first.plus(-YEAR_MS));
    query.to = query.to.min(last.plus(YEAR_MS));
    Ok(query)
}

/// Hands every row of the query to `take`, stretch by stretch.
fn each_row(
    site: &Site,
    query: &RollupQuery,
    mut skip: usize,
    mut take: impl FnMut(RollupRow) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut from = query.from;
    while from < query.to {
        let to = from.plus(stretch_ms(query.width)).min(query.to);
        let rows = site.aggregator.rollups(&RollupQuery { from, to, ..query.clone() })?;
        for row in rows.into_iter().skip(std::mem::take(&mut skip)) {
            take(row)?;
        }
        from = to;
    }
    Ok(())
}

/// At most `limit` rows, and where the next page begins.
fn one_page(
    site: &Site,
    query: &RollupQuery,
    cursor: Cursor,
    limit: usize,
) -> Result<(Vec<RollupRow>, Option<Cursor>), StoreError> {
    let start: UnixMillis = query.from;
    let mut page: Vec<RollupRow> = Vec::new();
    let mut next = None;
    let read = each_row(site, query, cursor.skip, |row| {
        if page.len() < limit {
            page.push(row);
            return Ok(());
        }
        let shown = page.iter().rev().take_while(|earlier| earlier.start == row.start).count();
        let skipped = if row.start == start { cursor.skip } else { 0 };
        next = Some(Cursor { at: Some(row.start), skip: skipped + shown });
        // The page is full; this is how the walk is told.
        Err(Stop::Gone)
    });
    match read {
        Ok(()) | Err(Stop::Gone) => Ok((page, next)),
        Err(Stop::Failed(error)) => Err(error),
    }
}
