//! The standing events of orders, by CONTRACT section 7.
//!
//! Of several events of one kind the earliest `started` or `released` and the latest `completed` or `cancelled` stands; at
//! equal time the greater (good, defective, quantity). The product is the greatest by bytes of all that any event of the
//! order named; the others are conflicts.
//!
//! Invariant: what stands depends on the set of events only, so that a round may run twice.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{OrderEvent, OrderEventKind, PilotId, UnixMillis};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::api::Order;
use crate::error::{StoreError, reading, writing};
use crate::open::Store;
use crate::seal::{seal_value, unseal_value};

/// A product that an event of the order named and that does not stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderConflict {
    pub order: Arc<str>,
    pub stands: Arc<str>,
    pub lost: Arc<str>,
}

/// What stands of one (pilot, order, event).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Standing {
    at: UnixMillis,
    quantity: Option<f64>,
    good: Option<f64>,
    defective: Option<f64>,
    product: Option<Arc<str>>,
}

const KINDS: [OrderEventKind; 4] =
    [OrderEventKind::Released, OrderEventKind::Started, OrderEventKind::Completed, OrderEventKind::Cancelled];

fn number(kind: OrderEventKind) -> i64 {
    match kind {
        OrderEventKind::Released => 0,
        OrderEventKind::Started => 1,
        OrderEventKind::Completed => 2,
        OrderEventKind::Cancelled => 3,
    }
}

fn place(pilot: &str, order: &str, event: i64) -> String {
    format!("order_event/{pilot}/{order}/{event}")
}

fn cmp_amount(a: Option<f64>, b: Option<f64>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

impl Standing {
    fn of(event: &OrderEvent) -> Standing {
        Standing {
            at: event.at,
            quantity: event.quantity,
            good: event.good,
            defective: event.defective,
            product: event.product.clone(),
        }
    }

    /// As an event of the same identity as `identity`.
    fn into_event(self, identity: &OrderEvent) -> OrderEvent {
        let Standing { at, quantity, good, defective, product } = self;
        OrderEvent { order: Arc::clone(&identity.order), product, event: identity.event, at, quantity, good, defective }
    }

    fn cmp_standing(&self, other: &Standing, kind: OrderEventKind) -> Ordering {
        let by_time = match kind {
            OrderEventKind::Released | OrderEventKind::Started => other.at.cmp(&self.at),
            OrderEventKind::Completed | OrderEventKind::Cancelled => self.at.cmp(&other.at),
        };
        by_time
            .then_with(|| cmp_amount(self.good, other.good))
            .then_with(|| cmp_amount(self.defective, other.defective))
            .then_with(|| cmp_amount(self.quantity, other.quantity))
    }

    /// The greater of both, with the greater product of both.
    fn with(self, other: Standing, kind: OrderEventKind) -> Standing {
        let product = self.product.clone().max(other.product.clone());
        let greater = if self.cmp_standing(&other, kind).is_lt() { other } else { self };
        Standing { product, ..greater }
    }
}

type Events = BTreeMap<i64, Standing>;

fn read_events(conn: &Connection, pilot: &str, order: &str) -> Result<Events, StoreError> {
    let failed = reading("the events of an order");
    let mut statement = conn
        .prepare_cached("SELECT event, blob FROM order_event WHERE pilot = ?1 AND order_id = ?2")
        .map_err(&failed)?;
    let mut rows = statement.query(params![pilot, order]).map_err(&failed)?;
    let mut events = Events::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        let (event, blob): (i64, Vec<u8>) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
        events.insert(event, unseal_value(&place(pilot, order, event), &blob)?);
    }
    Ok(events)
}

/// Writes the events of a slice, and which pilots they changed.
pub(crate) fn write(tx: &Transaction<'_>, events: &[(PilotId, OrderEvent)]) -> Result<(), StoreError> {
    let mut changed = BTreeSet::new();
    let mut latest: BTreeMap<&PilotId, UnixMillis> = BTreeMap::new();
    for (pilot, event) in events {
        if write_event(tx, pilot, event)? {
            changed.insert(pilot);
        }
        let at = latest.entry(pilot).or_insert(event.at);
        *at = event.at.max(*at);
    }
    for pilot in changed {
        tx.prepare_cached("INSERT INTO touched_order(pilot) VALUES (?1)")
            .and_then(|mut statement| statement.execute([pilot.as_str()]))
            .map_err(writing("touched orders"))?;
    }
    latest.into_iter().try_for_each(|(pilot, at)| raise_cutoff(tx, pilot, at))
}

/// The latest instant of anything accepted of a pilot.
pub(crate) fn raise_cutoff(tx: &Transaction<'_>, pilot: &PilotId, at: UnixMillis) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO cutoff(pilot, at) VALUES (?1, ?2) ON CONFLICT(pilot) DO UPDATE SET at = max(at, excluded.at)",
    )
    .and_then(|mut statement| statement.execute(params![pilot.as_str(), at.0]))
    .map_err(writing("the data cut-off"))?;
    Ok(())
}

fn write_event(tx: &Transaction<'_>, pilot: &PilotId, event: &OrderEvent) -> Result<bool, StoreError> {
    let mut events = read_events(tx, pilot.as_str(), &event.order)?;
    let product = events.values().filter_map(|standing| standing.product.clone()).max();
    if let (Some(a), Some(b)) = (&product, &event.product)
        && a != b
    {
        tx.prepare_cached("INSERT OR IGNORE INTO order_conflict(pilot, order_id, product) VALUES (?1, ?2, ?3)")
            .and_then(|mut statement| statement.execute(params![pilot.as_str(), event.order, a.min(b)]))
            .map_err(writing("an order's conflict"))?;
    }
    let number = number(event.event);
    let old = events.remove(&number);
    let fresh = Standing::of(event);
    let new = match old.clone() {
        Some(old) => old.with(fresh, event.event),
        None => fresh,
    };
    if old.as_ref() == Some(&new) {
        return Ok(false);
    }
    let blob = seal_value(&place(pilot.as_str(), &event.order, number), &new)?;
    tx.prepare_cached("INSERT OR REPLACE INTO order_event(pilot, order_id, event, blob) VALUES (?1, ?2, ?3, ?4)")
        .and_then(|mut statement| statement.execute(params![pilot.as_str(), event.order, number, blob]))
        .map_err(writing("an order event"))?;
    Ok(true)
}

fn order_of(order: Arc<str>, mut events: Events) -> Order {
    let product = events.values().filter_map(|standing| standing.product.clone()).max();
    let [released, started, completed, cancelled] = KINDS.map(|kind| events.remove(&number(kind)));
    let at = |standing: &Option<Standing>| standing.as_ref().map(|standing| standing.at);
    let quantity = [&started, &released, &completed].into_iter().flatten().find_map(|standing| standing.quantity);
    Order {
        order,
        product: product.unwrap_or_else(|| Arc::from("-")),
        released: at(&released),
        started: at(&started),
        completed: at(&completed),
        cancelled: at(&cancelled),
        quantity,
        good: completed.as_ref().and_then(|standing| standing.good),
        defective: completed.as_ref().and_then(|standing| standing.defective),
    }
}

impl Store {
    /// Orders of a pilot, by order id.
    ///
    /// # Errors
    /// On reading.
    pub fn orders(&self, pilot: &PilotId) -> Result<Vec<Order>, StoreError> {
        let failed = reading("orders");
        self.read(|conn| {
            let mut statement = conn
                .prepare_cached(
                    "SELECT order_id, event, blob FROM order_event WHERE pilot = ?1 ORDER BY order_id, event",
                )
                .map_err(&failed)?;
            let mut rows = statement.query([pilot.as_str()]).map_err(&failed)?;
            let mut orders: BTreeMap<Arc<str>, Events> = BTreeMap::new();
            while let Some(row) = rows.next().map_err(&failed)? {
                let order: Arc<str> = row.get(0).map_err(&failed)?;
                let (event, blob): (i64, Vec<u8>) = (row.get(1).map_err(&failed)?, row.get(2).map_err(&failed)?);
                let standing = unseal_value(&place(pilot.as_str(), &order, event), &blob)?;
                orders.entry(order).or_default().insert(event, standing);
            }
            Ok(orders.into_iter().map(|(order, events)| order_of(order, events)).collect())
        })
    }

    /// What stands of the identity of an order event, and what would stand once this event came; none if nothing stands.
    ///
    /// # Errors
    /// On reading.
    pub fn standing_with(
        &self,
        pilot: &PilotId,
        event: &OrderEvent,
    ) -> Result<Option<(OrderEvent, OrderEvent)>, StoreError> {
        let mut events = self.read(|conn| read_events(conn, pilot.as_str(), &event.order))?;
        let Some(standing) = events.remove(&number(event.event)) else { return Ok(None) };
        let then = standing.clone().with(Standing::of(event), event.event);
        Ok(Some((standing.into_event(event), then.into_event(event))))
    }

    /// Products of a pilot's orders that other events of the same order outdid, by order id.
    ///
    /// # Errors
    /// On reading.
    pub fn order_conflicts(&self, pilot: &PilotId) -> Result<Vec<OrderConflict>, StoreError> {
        let failed = reading("order conflicts");
        self.read(|conn| {
            let mut statement = conn
                .prepare_cached(
                    "SELECT order_id, product FROM order_conflict WHERE pilot = ?1 ORDER BY order_id, product",
                )
                .map_err(&failed)?;
            let mut rows = statement.query([pilot.as_str()]).map_err(&failed)?;
            let mut conflicts = Vec::new();
            while let Some(row) = rows.next().map_err(&failed)? {
                let (order, lost): (Arc<str>, Arc<str>) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
                let stands = order_of(Arc::clone(&order), read_events(conn, pilot.as_str(), &order)?).product;
                conflicts.push(OrderConflict { order, stands, lost });
            }
            Ok(conflicts)
        })
    }

    /// The latest `at` of any accepted reading or order event of a pilot: the data cut-off.
    ///
    /// # Errors
    /// On reading.
    pub fn data_cutoff(&self, pilot: &PilotId) -> Result<Option<UnixMillis>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached("SELECT at FROM cutoff WHERE pilot = ?1")
                .and_then(|mut statement| statement.query_row([pilot.as_str()], |row| row.get(0)).optional())
                .map(|at| at.map(UnixMillis))
                .map_err(reading("the data cut-off"))
        })
    }

    /// The data cut-off of every pilot that has one.
    ///
    /// # Errors
    /// On reading.
    pub fn data_cutoffs(&self) -> Result<BTreeMap<PilotId, UnixMillis>, StoreError> {
        let failed = reading("the data cut-offs");
        self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT pilot, at FROM cutoff").map_err(&failed)?;
            let mut rows = statement.query([]).map_err(&failed)?;
            let mut cutoffs = BTreeMap::new();
            while let Some(row) = rows.next().map_err(&failed)? {
                let (pilot, at): (String, i64) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
                let format = |error: model::id::IdError| StoreError::Format {
                    place: format!("cutoff/{pilot}"),
                    text: error.to_string(),
                };
                cutoffs.insert(PilotId::parse(&pilot).map_err(format)?, UnixMillis(at));
            }
            Ok(cutoffs)
        })
    }

    /// Pilots whose orders settling changed, with the row to delete once they are figured.
    ///
    /// # Errors
    /// On reading.
    pub fn touched_orders(&self) -> Result<Vec<(i64, PilotId)>, StoreError> {
        let failed = reading("touched orders");
        self.read(|conn| {
            let mut statement =
                conn.prepare_cached("SELECT id, pilot FROM touched_order ORDER BY id").map_err(&failed)?;
            let mut rows = statement.query([]).map_err(&failed)?;
            let mut touched = Vec::new();
            while let Some(row) = rows.next().map_err(&failed)? {
                let (id, pilot): (i64, String) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
                let format = |error: model::id::IdError| StoreError::Format {
                    place: format!("touched_order/{id}"),
                    text: error.to_string(),
                };
                touched.push((id, PilotId::parse(&pilot).map_err(format)?));
            }
            Ok(touched)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::schema::store_writer;
    use crate::tests::TempDir;

    fn event(kind: OrderEventKind, at: i64, good: Option<f64>, product: Option<&str>) -> (PilotId, OrderEvent) {
        let (product, at) = (product.map(Arc::from), UnixMillis(at));
        let event =
            OrderEvent { order: "WO-1".into(), product, event: kind, at, quantity: None, good, defective: None };
        (PilotId::parse("p-1").unwrap(), event)
    }

    fn stored(slices: &[&[(PilotId, OrderEvent)]]) -> (Vec<Standing>, Vec<String>, i64) {
        let dir = TempDir::new();
        let mut conn = store_writer(dir.path()).unwrap();
        for events in slices {
            let tx = conn.transaction().unwrap();
            write(&tx, events).unwrap();
            tx.commit().unwrap();
        }
        let lost = "SELECT group_concat(product, ' ' ORDER BY product) FROM order_conflict";
        let lost: Option<String> = conn.query_row(lost, [], |row| row.get(0)).unwrap();
        let touched = conn.query_row("SELECT count(*) FROM touched_order", [], |row| row.get(0)).unwrap();
        let events = read_events(&conn, "p-1", "WO-1").unwrap();
        (events.into_values().collect(), lost.into_iter().collect(), touched)
    }

    #[test]
    fn the_earliest_start_and_the_latest_completion_stand() {
        use OrderEventKind::{Completed, Started};
        let events = [
            event(Started, 20, None, Some("A")),
            event(Started, 10, None, Some("B")),
            event(Completed, 90, Some(5.0), None),
            event(Completed, 90, Some(6.0), Some("C")),
            event(Completed, 80, Some(9.0), None),
        ];
        let (standing, lost, touched) = stored(&[&events]);
        assert_eq!((standing[0].at, standing[0].product.as_deref()), (UnixMillis(10), Some("B")));
        assert_eq!((standing[1].at, standing[1].good), (UnixMillis(90), Some(6.0)));
        assert_eq!((lost, touched), (vec!["A B".to_owned()], 1));
        let (again, _, touched) = stored(&[&events, &events]);
        assert_eq!((again, touched), (standing, 1), "the same events again change nothing");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_order_of_arrival_does_not_matter(
            drawn in proptest::collection::vec((0usize..4, 0i64..3, 0u8..3, "[A-C]?"), 1..10),
            half in 0usize..10,
        ) {
            let events: Vec<_> = drawn.iter().map(|(kind, at, good, product)| {
                event(KINDS[*kind], *at, Some(f64::from(*good)), Some(product.as_str()).filter(|p| !p.is_empty()))
            }).collect();
            let reversed: Vec<_> = events.iter().rev().cloned().collect();
            let (a, b) = reversed.split_at(half.min(reversed.len()));
            let (standing, lost, _) = stored(&[&events]);
            let (other, other_lost, _) = stored(&[a, b]);
            prop_assert_eq!((standing, lost), (other, other_lost));
        }
    }
}
