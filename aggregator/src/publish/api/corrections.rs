//! `/api/v1/corrections`: what was corrected, by whom and why, in the order in which it was; and the way to correct.
//!
//! A browser cannot POST here: it names the page that asks in `Origin`, and no page corrects. On loopback, where nobody needs a
//! token, any page that a person has open could otherwise do so.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use model::{PilotId, Registry, UnixMillis};
use serde_json::Value as Json;
use store::{Made, Store, StoreError};

use super::{pilot_if_named, wait_settled};
use crate::publish::access::Viewer;
use crate::publish::corrections::{NotCorrected, Row};
use crate::publish::problem::Problem;
use crate::publish::query::Params;
use crate::publish::router::{Served, blocking};
use crate::publish::stream::{self, Form, Stop};

const KNOWN: [&str; 4] = ["pilot", "since", "limit", "cursor"];
/// Rows read at once.
const ROWS_AT_ONCE: usize = 1_000;

/// Which corrections are asked for.
#[derive(Clone)]
struct Wanted {
    after: i64,
    since: UnixMillis,
    pilot: Option<PilotId>,
    viewer: Viewer,
    registry: Arc<Registry>,
}

impl Wanted {
    /// Hands every row to `take`, in order of number.
    fn each(&self, store: &Store, mut take: impl FnMut(Row) -> Result<(), Stop>) -> Result<(), Stop> {
        let mut after = self.after;
        loop {
            let found = store.corrections(after, self.pilot.as_ref(), ROWS_AT_ONCE)?;
            let Some(last) = found.last() else { return Ok(()) };
            after = last.number;
            let since = found.into_iter().filter(|correction| correction.made_at >= self.since);
            let rows = since.filter_map(|correction| Row::of(correction, store, &self.registry));
            rows.filter(|row| self.viewer.sees_id(&row.pilot, &self.registry)).try_for_each(&mut take)?;
        }
    }
}

/// `GET /api/v1/corrections`.
pub(crate) async fn list(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &KNOWN)?;
    let registry = served.site.registry.get();
    let pilot = pilot_if_named(&params, &viewer, &registry)?;
    let since = params.instant("since")?.unwrap_or(UnixMillis(i64::MIN));
    let (limit, after) = (params.limit()?, params.offset()?);
    let wanted = Wanted { after: i64::try_from(after).unwrap_or(i64::MAX), since, pilot, viewer, registry };
    let Some(limit) = limit else {
        let site = Arc::clone(&served.site);
        return Ok(stream::answer(Form::Json, move |rows| wanted.each(&site.store, |row| Ok(rows.json(&row)?))));
    };
    let (page, next) = blocking(&served.site, move |site| one_page(&site.store, &wanted, limit)).await?;
    stream::page(&page, next.map(|next| format!("/api/v1/corrections{}", params.with("cursor", &next.to_string()))))
}

/// At most `limit` rows, and the number after which the next page begins.
fn one_page(store: &Store, wanted: &Wanted, limit: usize) -> Result<(Vec<Row>, Option<i64>), StoreError> {
    let mut page: Vec<Row> = Vec::new();
    let mut next = None;
    let read = wanted.each(store, |row| {
        if page.len() < limit {
            page.push(row);
            return Ok(());
        }
        next = page.last().map(|last| last.number);
        // The page is full; this is how the walk is told.
        Err(Stop::Gone)
    });
    match read {
        Ok(()) | Err(Stop::Gone) => Ok((page, next)),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// `POST /api/v1/corrections`: one correction or a list, all of them or none. 201 if any is new, 200 if all stood already.
pub(crate) async fn make(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    headers: HeaderMap,
    uri: Uri,
    body: Bytes,
) -> Result<Response, Problem> {
    Params::read(&uri, &[])?;
    may_correct(&viewer, &headers)?;
    let wrong = |error: serde_json::Error| Problem::parameter("body", format!("the body is no JSON: {error}"));
    let (rows, form) = match serde_json::from_slice(&body).map_err(wrong)? {
        Json::Array(rows) => (rows, Shape::List),
        one @ (Json::Object(_) | Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_)) => {
            (vec![one], Shape::One)
        }
    };
    wait_settled(&served.site).await?;
    let made =
        blocking(&served.site, move |site| Ok((site.correct)(&rows))).await?.map_err(|error| problem(error, form))?;
    let status =
        if made.iter().any(|made| matches!(made, Made::New(_))) { StatusCode::CREATED } else { StatusCode::OK };
    let registry = served.site.registry.get();
    let rows = made.into_iter().filter_map(|made| {
        let (Made::New(correction) | Made::Already(correction)) = made;
        Row::of(correction, &served.site.store, &registry)
    });
    let rows: Vec<Row> = rows.collect();
    let body = match (form, rows.first()) {
        (Shape::One, Some(one)) => serde_json::to_string(one),
        (Shape::One, None) | (Shape::List, _) => serde_json::to_string(&rows),
    };
    // Safe because rows are structs with text keys and finite numbers.
    let body = body.expect("rows serialize");
    Ok((status, [(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// Whether the body was one correction or a list; the answer is the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    One,
    List,
}

fn may_correct(viewer: &Viewer, headers: &HeaderMap) -> Result<(), Problem> {
    if !viewer.may_correct() {
        let detail =
            "a correction needs a token of scope `operator`; `pilotline token add NAME --scope operator` makes one";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    if headers.contains_key(header::ORIGIN) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "a page in a browser cannot correct; use a program that sends no `Origin`",
        ));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let detail = "the body must be JSON, sent with `Content-Type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    Ok(())
}

fn problem(error: NotCorrected, form: Shape) -> Problem {
    match error {
        NotCorrected::Failed(text) => {
            tracing::error!(error = text, "correction not made");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "nothing was corrected; the log of the server says why")
        }
        NotCorrected::Mistakes(mistakes) => {
            let (name, mut detail) = match mistakes.first() {
                Some(first) => (first.field.clone(), first.detail.clone()),
                None => ("body".to_owned(), "nothing was corrected".to_owned()),
            };
            if let (Shape::List, Some(first)) = (form, mistakes.first()) {
                detail = format!("correction {}: {detail}; none was made", first.index + 1);
            }
            Problem::parameter(&name, detail).with_errors(mistakes)
        }
    }
}
