//! `/api/v1/imports`: the files that were brought in, with author, source and SHA-256, in the order in which they came.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;
use store::Import;

use super::pilot_if_named;
use crate::publish::access::Viewer;
use crate::publish::problem::Problem;
use crate::publish::query::Params;
use crate::publish::router::Served;
use crate::publish::stream::{self, Form};

/// An import with its number.
#[derive(Serialize)]
struct Row {
    number: i64,
    #[serde(flatten)]
    import: Import,
}

/// `GET /api/v1/imports`.
pub(crate) async fn imports(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["pilot"])?;
    let registry = served.site.registry.get();
    let pilot = pilot_if_named(&params, &viewer, &registry)?;
    let site = Arc::clone(&served.site);
    Ok(stream::answer(Form::Json, move |rows| {
        let imports = site.store.imports(pilot.as_ref())?;
        for (number, import) in imports.into_iter().filter(|(_, import)| viewer.sees_id(&import.pilot, &registry)) {
            rows.json(&Row { number, import })?;
        }
        Ok(())
    }))
}
