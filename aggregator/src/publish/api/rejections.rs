//! `/api/v1/rejections`: refused messages with reason, topic, time and bytes, oldest first.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use model::reason::RefusedPart;
use model::{PilotId, Reason, Registry, UnixMillis};
use serde::Serialize;
use store::{RejectionRow, Store, StoreError, WholeOrParts};

use super::{pilot_if_named, wait_settled};
use crate::publish::access::Viewer;
use crate::publish::problem::Problem;
use crate::publish::query::Params;
use crate::publish::router::{Served, blocking};
use crate::publish::stream::{self, Form, Stop};

const KNOWN: [&str; 5] = ["since", "pilot", "limit", "cursor", "reason"];
/// Rows read at once: each may carry a payload of 1 MiB.
const ROWS_AT_ONCE: usize = 32;

#[derive(Serialize)]
struct Row {
    id: i64,
    at: UnixMillis,
    last_at: UnixMillis,
    /// How often the very same message was refused.
    times: u64,
    topic: String,
    pilot: Option<PilotId>,
    login: Option<String>,
    /// The first reason, under which the message counts.
    reason: Option<Reason>,
    /// `message` if it was refused whole, `parts` if the rest of it was committed.
    refused: &'static str,
    reasons: Vec<Part>,
    size: u64,
    /// Base64; null once the bound of kept bytes was reached.
    bytes: Option<String>,
    replayed: bool,
}

#[derive(Serialize)]
struct Part {
    reason: Reason,
    /// `message`, `reading` or `order`.
    part: &'static str,
    /// Its place in `readings` or `orders`.
    index: Option<u32>,
    detail: String,
}

impl Row {
    fn of(row: RejectionRow) -> Row {
        let message = row.message;
        let part = |refusal: model::Refusal| {
            let (part, index) = match refusal.part {
                RefusedPart::Message => ("message", None),
                RefusedPart::Reading(index) => ("reading", Some(index)),
                RefusedPart::Order(index) => ("order", Some(index)),
            };
            Part { reason: refusal.reason, part, index, detail: refusal.detail }
        };
        Row {
            id: row.id,
            at: message.at,
            last_at: row.last_at,
            times: row.times,
            topic: message.topic,
            pilot: message.pilot,
            login: message.login,
            reason: message.refusals.first().map(|refusal| refusal.reason),
            refused: if message.whole == WholeOrParts::Whole { "message" } else { "parts" },
            reasons: message.refusals.into_iter().map(part).collect(),
            size: message.size,
            bytes: row.has_bytes.then(|| BASE64_STANDARD.encode(&message.bytes)),
            replayed: row.replayed,
        }
    }
}

/// Which rejections are asked for.
#[derive(Clone)]
struct Wanted {
    since: UnixMillis,
    after: i64,
    pilot: Option<PilotId>,
    reason: Option<Reason>,
    viewer: Viewer,
    registry: Arc<Registry>,
}

impl Wanted {
    /// A message without a known pilot is seen only by who sees all.
    fn takes(&self, row: &RejectionRow) -> bool {
        let visible = match &row.message.pilot {
            Some(id) => self.viewer.sees_id(id, &self.registry),
            None => self.viewer.sees_all(),
        };
        let of_pilot = self.pilot.as_ref().is_none_or(|pilot| row.message.pilot.as_ref() == Some(pilot));
        let has = |reason: &Reason| row.message.refusals.iter().any(|refusal| refusal.reason == *reason);
        visible && of_pilot && self.reason.as_ref().is_none_or(has)
    }

    /// Hands every row to `take`, oldest first.
    fn each(&self, store: &Store, mut take: impl FnMut(RejectionRow) -> Result<(), Stop>) -> Result<(), Stop> {
        let mut after = self.after;
        loop {
            let rows = store.rejections(self.since, after, ROWS_AT_ONCE)?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.id;
            rows.into_iter().filter(|row| self.takes(row)).try_for_each(&mut take)?;
        }
    }
}

/// `GET /api/v1/rejections`.
pub(crate) async fn rejections(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &KNOWN)?;
    let registry = served.site.registry.get();
    let pilot = pilot_if_named(&params, &viewer, &registry)?;
    let since = params.instant("since")?.unwrap_or(UnixMillis(i64::MIN));
    let (limit, after, reason) = (params.limit()?, after_of(&params)?, reason_of(&params)?);
    wait_settled(&served.site).await?;
    let wanted = Wanted { since, after, pilot, reason, viewer, registry };
    let Some(limit) = limit else {
        let site = Arc::clone(&served.site);
        return Ok(stream::answer(Form::Json, move |rows| {
            wanted.each(&site.store, |row| Ok(rows.json(&Row::of(row))?))
        }));
    };
    let (page, next) = blocking(&served.site, move |site| one_page(&site.store, &wanted, limit)).await?;
    stream::page(&page, next.map(|next| format!("/api/v1/rejections{}", params.with("cursor", &next.to_string()))))
}

fn after_of(params: &Params) -> Result<i64, Problem> {
    let Some(text) = params.get("cursor") else { return Ok(0) };
    let wrong = || Problem::parameter("cursor", "`cursor` must come from the `Link` of the page before");
    text.parse().ok().ok_or_else(wrong)
}

fn reason_of(params: &Params) -> Result<Option<Reason>, Problem> {
    let Some(text) = params.get("reason") else { return Ok(None) };
    let found = Reason::ALL.into_iter().find(|reason| reason.as_str() == text);
    let all = || Reason::ALL.map(Reason::as_str).join(", ");
    found.map(Some).ok_or_else(|| Problem::parameter("reason", format!("`reason` must be one of {}", all())))
}

/// At most `limit` rows, and the id after which the next page begins.
fn one_page(store: &Store, wanted: &Wanted, limit: usize) -> Result<(Vec<Row>, Option<i64>), StoreError> {
    let mut page: Vec<Row> = Vec::new();
    let mut next = None;
    let read = wanted.each(store, |row| {
        if page.len() < limit {
            page.push(Row::of(row));
            return Ok(());
        }
        next = page.last().map(|last| last.id);
        // The page is full; this is how the walk is told.
        Err(Stop::Gone)
    });
    match read {
        Ok(()) | Err(Stop::Gone) => Ok((page, next)),
        Err(Stop::Failed(error)) => Err(error),
    }
}
