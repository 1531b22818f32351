//! `/api/v1/orders`: the standing events of each production order of a pilot, with its lead time.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use model::UnixMillis;
use serde::Serialize;
use store::Order;

use super::{visible_pilot, wait_settled};
use crate::publish::access::Viewer;
use crate::publish::problem::Problem;
use crate::publish::query::Params;
use crate::publish::router::Served;
use crate::publish::stream::{self, Form};

const MS_PER_HOUR: f64 = 3_600_000.0;

#[derive(Serialize)]
struct Row {
    order: Arc<str>,
    product: Arc<str>,
    released: Option<UnixMillis>,
    started: Option<UnixMillis>,
    completed: Option<UnixMillis>,
    cancelled: Option<UnixMillis>,
    /// Completed minus started (released if it was never started), calendar time.
    lead_hours: Option<f64>,
    quantity: Option<f64>,
    good: Option<f64>,
    defective: Option<f64>,
}

impl Row {
    fn of(order: Order) -> Row {
        let lead = |(from, to): (UnixMillis, UnixMillis)| (to.0 - from.0) as f64 / MS_PER_HOUR;
        Row {
            lead_hours: order.started.or(order.released).zip(order.completed).map(lead),
            order: order.order,
            product: order.product,
            released: order.released,
            started: order.started,
            completed: order.completed,
            cancelled: order.cancelled,
            quantity: order.quantity,
            good: order.good,
            defective: order.defective,
        }
    }
}

/// `GET /api/v1/orders?pilot=`.
pub(crate) async fn orders(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["pilot"])?;
    let pilot = visible_pilot(&params, &viewer, &served.site.registry.get())?;
    wait_settled(&served.site).await?;
    let site = Arc::clone(&served.site);
    Ok(stream::answer(Form::Json, move |rows| {
        for order in site.store.orders(&pilot)? {
            rows.json(&Row::of(order))?;
        }
        Ok(())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_time_runs_from_the_start_else_from_the_release() {
        check(Some(0), Some(3_600_000), Some(9_000_000), Some(1.5));
        check(Some(0), None, Some(9_000_000), Some(2.5));
        check(None, None, Some(9_000_000), None);
        check(Some(0), Some(1), None, None);

        #[track_caller]
        fn check(released: Option<i64>, started: Option<i64>, completed: Option<i64>, lead_hours: Option<f64>) {
            let at = |ms: Option<i64>| ms.map(UnixMillis);
            let (released, started, completed) = (at(released), at(started), at(completed));
            let (quantity, good, defective, cancelled) = (None, None, None, None);
            let (order, product) = ("WO-1".into(), "-".into());
            let order = Order { order, product, released, started, completed, cancelled, quantity, good, defective };
            assert_eq!(Row::of(order).lead_hours, lead_hours);
        }
    }
}
