//! `/api/v1/readings`: stored readings in time order, as JSON or CSV, whole or by pages.
//!
//! Readings are read a stretch of time at a time; the stretch adapts to how dense they are, so that neither eleven years
//! of a meter nor one day of a 100 Hz sensor is ever in memory at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use model::{Flags, Pilot, Quality, Reading, SeriesId, UnixMillis, Value};
use serde::Serialize;
use store::{CatalogueEntry, Corrected, Correction, Registration, Store, StoreError};

use super::series::{Asked, Name, unit_of};
use super::{visible_pilot, wait_settled};
use crate::publish::Site;
use crate::publish::access::Viewer;
use crate::publish::corrections::Side;
use crate::publish::problem::Problem;
use crate::publish::query::{Cursor, Params};
use crate::publish::router::{Served, blocking};
use crate::publish::stream::{self, Form, Stop};

const KNOWN: [&str; 8] = ["pilot", "asset", "name", "product", "from", "to", "limit", "cursor"];
const COLUMNS: [&str; 10] =
    ["at", "value", "quality", "unit", "id", "flags", "conflict", "product", "original", "original_quality"];
/// The first stretch of time that is read at once.
const STRETCH_MS: i64 = 31 * 86_400_000;
/// Stretches grow while they hold fewer readings than a quarter of this, and shrink beyond it (about 5 MB).
const STRETCH_READINGS: usize = 50_000;

#[derive(Debug, Clone, Serialize)]
struct Row {
    at: UnixMillis,
    value: Option<Value>,
    quality: Quality,
    unit: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flags: Vec<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    conflict: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<Arc<str>>,
    /// Of a corrected reading: what was sent, null if nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<Option<Side>>,
}

/// Serde hands a reference.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that skip_serializing_if asks for")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// One series of the request, with what its rows carry.
struct Source {
    id: SeriesId,
    unit: Arc<str>,
    product: Option<Arc<str>>,
    registration: Registration,
    /// For readings kept as sent: the registered series of the request that has taken them up, if one is declared now.
    taken_up_by: Option<SeriesId>,
    /// Identities of which a losing value is kept.
    conflicts: BTreeSet<(UnixMillis, Option<Arc<str>>)>,
}

impl Source {
    fn row(&self, reading: Reading) -> Row {
        let mut flags = reading.flags.words();
        if self.registration != Registration::Registered {
            flags.push("unregistered");
        }
        let conflict = !self.conflicts.is_empty() && self.conflicts.contains(&(reading.at, reading.id.clone()));
        let (at, value, quality, id) = (reading.at, reading.value, reading.quality, reading.id);
        Row {
            at,
            value,
            quality,
            unit: Arc::clone(&self.unit),
            id,
            flags,
            conflict,
            product: self.product.clone(),
            original: None,
        }
    }

    /// The rows of what stands, each corrected one with what was sent; what is void is a row without value.
    fn rows(&self, store: &Store, from: UnixMillis, to: UnixMillis) -> Result<Vec<Row>, StoreError> {
        let (stands, corrected) = store.readings_with_corrections(self.id, from, to)?;
        let mut rows: Vec<Row> = stands.into_iter().map(|reading| self.row(reading)).collect();
        for Corrected { correction, sent } in corrected {
            let original = Some(sent.as_ref().map(Side::of));
            let place = rows.binary_search_by(|row| (row.at, &row.id).cmp(&(correction.at, &correction.id)));
            match place {
                Ok(place) => rows[place].original = original,
                Err(place) => rows.insert(place, Row { original, ..self.void(correction) }),
            }
        }
        Ok(rows)
    }

    fn void(&self, correction: Correction) -> Row {
        let (at, id, flags) = (correction.at, correction.id, Flags::CORRECTED);
        let mut row = self.row(Reading { at, value: None, quality: Quality::Bad, flags, id });
        row.flags.push("void");
        row
    }
}

/// What a request asks for, checked.
struct Request {
    sources: Vec<Source>,
    from: UnixMillis,
    to: UnixMillis,
    skip: usize,
}

/// `GET /api/v1/readings`.
pub(crate) async fn readings(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &KNOWN)?;
    let registry = served.site.registry.get();
    let pilot = visible_pilot(&params, &viewer, &registry)?;
    let pilot = Arc::clone(&registry.pilots[&pilot]);
    let name = super::rollups::name_of(&params)?;
    let (span, cursor, limit) = (params.span()?, params.cursor()?, params.limit()?);
    wait_settled(&served.site).await?;
    let request = blocking(&served.site, move |site| Ok(prepare(site, &pilot, &name, span, cursor))).await?;
    let request = request.map_err(|failed| failed.into_problem())?;
    let form = form(&headers);
    let Some(limit) = limit else {
        let site = Arc::clone(&served.site);
        return Ok(stream::answer(form, move |rows| each_row(&site.store, request, |row| write(rows, form, row))));
    };
    let (page, next) = blocking(&served.site, move |site| one_page(&site.store, request, limit)).await?;
    let mut response = stream::answer(form, move |rows| page.into_iter().try_for_each(|row| write(rows, form, row)));
    stream::link(&mut response, next.map(|next| format!("/api/v1/readings{}", params.with("cursor", &next.text()))));
    Ok(response)
}

/// CSV if the client asks for it by name.
fn form(headers: &HeaderMap) -> Form {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = accepts.flat_map(|value| value.split(',')).filter_map(|item| item.split(';').next());
    if kinds.any(|kind| kind.trim().eq_ignore_ascii_case("text/csv")) { Form::Csv(&COLUMNS) } else { Form::Json }
}

/// Why a request could not be prepared.
pub(super) enum Failed {
    Asked(Problem),
    Store(StoreError),
}

impl Failed {
    pub(super) fn into_problem(self) -> Problem {
        match self {
            Failed::Asked(problem) => problem,
            Failed::Store(error) => Problem::store(&error),
        }
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Failed {
        Failed::Store(error)
    }
}

fn prepare(
    site: &Site,
    pilot: &Pilot,
    name: &Name,
    (from, to): (UnixMillis, UnixMillis),
    cursor: Cursor,
) -> Result<Request, Failed> {
    let asked = Asked::find(&site.store, pilot, name).map_err(Failed::Asked)?;
    let names_products = asked.names_products();
    let mut sources = Vec::with_capacity(asked.series.len());
    let taken_up_by = |entry: &CatalogueEntry| {
        let (key, registered) = (&entry.key, Registration::Registered);
        let declared = pilot.resolve(&key.asset, &key.name, key.product.as_deref())?;
        let product = declared.product.as_ref().or(key.product.as_ref());
        let takes = |other: &&CatalogueEntry| other.registration == registered && other.key.product.as_ref() == product;
        asked.series.iter().find(takes).map(|other| other.id).filter(|_| entry.registration != registered)
    };
    for entry in &asked.series {
        let lost = site.store.conflicts(Some(entry.id))?;
        sources.push(Source {
            id: entry.id,
            unit: unit_of(pilot, entry),
            product: entry.key.product.clone().filter(|_| names_products),
            registration: entry.registration.clone(),
            taken_up_by: taken_up_by(entry),
            conflicts: lost.into_iter().map(|row| (row.lost.at, row.lost.id)).collect(),
        });
    }
    let Some((first, last)) = asked.span_of_all(&site.store)? else {
        return Ok(Request { sources: vec![], from, to: from, skip: 0 });
    };
    let from = cursor.at.unwrap_or(from).max(from).max(first);
    Ok(Request { sources, from, to: to.min(last.plus(1)), skip: cursor.skip })
}

/// Hands every row of a request to `take`, in order of time, then product, then id.
fn each_row(store: &Store, request: Request, mut take: impl FnMut(Row) -> Result<(), Stop>) -> Result<(), Stop> {
    let Request { sources, mut from, to, mut skip } = request;
    let mut stretch = STRETCH_MS;
    while from < to {
        let until = from.plus(stretch).min(to);
        let mut rows = Vec::new();
        for source in &sources {
            let mut of_source = source.rows(store, from, until)?;
            if let Some(registered) = source.taken_up_by {
                // What the registered series has taken up is its own row; what it refused is shown as it came.
                let taken = store.sent_readings(registered, from, until)?;
                let is_it = |one: &Reading, row: &Row| (one.at, &one.id).cmp(&(row.at, &row.id));
                of_source.retain(|row| taken.binary_search_by(|one| is_it(one, row)).is_err());
            }
            rows.append(&mut of_source);
        }
        if sources.len() > 1 {
            rows.sort_by(|a, b| (a.at, &a.product, &a.id).cmp(&(b.at, &b.product, &b.id)));
        }
        let n = rows.len();
        // What a page before has shown all lies at the first instant of this one.
        for row in rows.into_iter().skip(std::mem::take(&mut skip)) {
            take(row)?;
        }
        if n > STRETCH_READINGS {
            stretch = (stretch / 2).max(1);
        } else if n < STRETCH_READINGS / 4 {
            stretch = stretch.saturating_mul(2);
        }
        from = until;
    }
    Ok(())
}

/// At most `limit` rows, and where the next page begins.
fn one_page(store: &Store, request: Request, limit: usize) -> Result<(Vec<Row>, Option<Cursor>), StoreError> {
    let (start, mut skip) = (request.from, request.skip);
    let mut page: Vec<Row> = Vec::new();
    let mut next = None;
    let read = each_row(store, request, |row| {
        if page.len() < limit {
            page.push(row);
            return Ok(());
        }
        let shown = page.iter().rev().take_while(|earlier| earlier.at == row.at).count();
        if row.at != start {
            skip = 0;
        }
        next = Some(Cursor { at: Some(row.at), skip: skip + shown });
        // The page is full; this is how the walk is told.
        Err(Stop::Gone)
    });
    match read {
        Ok(()) | Err(Stop::Gone) => Ok((page, next)),
        Err(Stop::Failed(error)) => Err(error),
    }
}

fn write(rows: &mut stream::Rows, form: Form, row: Row) -> Result<(), Stop> {
    if form == Form::Json {
        return Ok(rows.json(&row)?);
    }
    let value = row.value.map(|value| value.to_string()).unwrap_or_default();
    let conflict = if row.conflict { "true" } else { "" };
    let (at, flags) = (row.at.to_string(), row.flags.join(" "));
    let (id, product) = (row.id.as_deref().unwrap_or_default(), row.product.as_deref().unwrap_or_default());
    let original = row.original.flatten();
    let original_quality = original.as_ref().map_or("", |side| side.quality.as_str());
    let original = original.and_then(|side| side.value).map(|value| value.to_string()).unwrap_or_default();
    let quality = row.quality.as_str();
    let cells = [&*at, &value, quality, &row.unit, id, &flags, conflict, product, &original, original_quality];
    Ok(rows.csv(&cells)?)
}
