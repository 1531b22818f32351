//! `/api/v1/conflicts`: two values for one instant, which one stands and which one lost.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use model::{PilotId, Quality, Reading, Registry, UnixMillis, Value};
use serde::Serialize;
use store::{ConflictRow, Store};

use super::{pilot_if_named, wait_settled};
use crate::publish::access::Viewer;
use crate::publish::problem::Problem;
use crate::publish::query::Params;
use crate::publish::router::Served;
use crate::publish::stream::{self, Form, Stop};

#[derive(Serialize)]
struct Row {
    pilot: PilotId,
    asset: Arc<str>,
    name: Arc<str>,
    product: Option<Arc<str>>,
    at: UnixMillis,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Arc<str>>,
    stands: Side,
    lost: Side,
}

#[derive(Serialize)]
struct Side {
    value: Option<Value>,
    quality: Quality,
}

impl Side {
    fn of(reading: &Reading) -> Side {
        Side { value: reading.value, quality: reading.quality }
    }
}

/// `GET /api/v1/conflicts`.
pub(crate) async fn conflicts(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["pilot"])?;
    let registry = served.site.registry.get();
    let pilot = pilot_if_named(&params, &viewer, &registry)?;
    wait_settled(&served.site).await?;
    let site = Arc::clone(&served.site);
    Ok(stream::answer(Form::Json, move |rows| {
        for conflict in of_pilots(&site.store, pilot.as_ref(), &viewer, &registry)? {
            rows.json(&conflict)?;
        }
        Ok(())
    }))
}

fn of_pilots(store: &Store, pilot: Option<&PilotId>, viewer: &Viewer, registry: &Registry) -> Result<Vec<Row>, Stop> {
    let named = |row: ConflictRow| {
        let key = store.entry(row.series)?.key;
        let wanted = pilot.is_none_or(|pilot| key.pilot == *pilot) && viewer.sees_id(&key.pilot, registry);
        wanted.then(|| Row {
            pilot: key.pilot,
            asset: key.asset,
            name: key.name,
            product: key.product,
            at: row.stands.at,
            id: row.stands.id.clone(),
            stands: Side::of(&row.stands),
            lost: Side::of(&row.lost),
        })
    };
    Ok(store.conflicts(None)?.into_iter().filter_map(named).collect())
}
