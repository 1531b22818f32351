//! Production orders: lead times by cohort of their start, and pieces by completion.
//!
//! Lead time = completed − started (`released` if there is no `started`), calendar time, in hours. Cancelled orders and
//! leads that are not positive are left out and counted; orders still open stay in their cohort, censored.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{UnixMillis, Window};
use store::Order;

/// The product of orders and pieces that name none.
pub const NO_PRODUCT: &str = "-";

/// Values of single orders or pieces by product, each with the instant that puts it in a cohort, in time order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cohorts {
    by_product: BTreeMap<Arc<str>, Vec<(UnixMillis, f64)>>,
}

impl Cohorts {
    /// Adds one value of a product; call [`Cohorts::sort`] when all are in.
    pub fn add(&mut self, product: &Arc<str>, at: UnixMillis, hours: f64) {
        self.by_product.entry(product.clone()).or_default().push((at, hours));
    }

    /// Puts the values in time order.
    pub fn sort(&mut self) {
        for values in self.by_product.values_mut() {
            values.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        }
    }

    /// Whether there is no value at all.
    pub fn is_empty(&self) -> bool {
        self.by_product.is_empty()
    }

    /// The values of each product within a window, in time order.
    pub fn within(&self, window: Window) -> impl Iterator<Item = (&Arc<str>, &[(UnixMillis, f64)])> {
        self.by_product.iter().filter_map(move |(product, values)| {
            let from = values.partition_point(|&(at, _)| at < window.start);
            let to = values.partition_point(|&(at, _)| at < window.end);
            (from < to).then(|| (product, &values[from..to]))
        })
    }
}

/// One order that was started and not cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    pub start: UnixMillis,
    /// None while it is open.
    pub end: Option<UnixMillis>,
}

/// Pieces of one completed order.
#[derive(Debug, Clone, PartialEq)]
pub struct Pieces {
    pub product: Arc<str>,
    /// The last millisecond before the order was completed.
    pub at: UnixMillis,
    pub good: f64,
    pub defective: f64,
}

/// What the orders of a pilot say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Orders {
    /// By product, by start.
    runs: BTreeMap<Arc<str>, Vec<Run>>,
    /// Starts of the cancelled ones.
    pub cancelled: Vec<UnixMillis>,
    /// Starts of those completed at or before their start.
    pub not_positive: Vec<UnixMillis>,
    pub pieces: Vec<Pieces>,
    /// The latest event of any order.
    pub last_event: Option<UnixMillis>,
}

impl Orders {
    /// Reads the standing events of each order.
    pub fn of(orders: &[Order]) -> Orders {
        let mut read = Orders::default();
        orders.iter().for_each(|order| read.add(order));
        read.runs.values_mut().for_each(|runs| runs.sort_unstable());
        for starts in [&mut read.cancelled, &mut read.not_positive] {
            starts.sort_unstable();
        }
        read.pieces.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.product.cmp(&b.product)));
        read
    }

    /// Whether no order was ever started.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.cancelled.is_empty() && self.not_positive.is_empty()
    }

    /// How many orders there are.
    pub fn n(&self) -> usize {
        self.runs.values().map(Vec::len).sum::<usize>()
            + self.cancelled.len()
            + self.not_positive.len()
            + self.pieces.len()
    }

    /// The cohort of a window, by product and start: orders count by when they started, whatever became of them.
    pub fn cohort(&self, window: Window) -> impl Iterator<Item = (&Arc<str>, &[Run])> {
        self.runs.iter().filter_map(move |(product, runs)| {
            let from = runs.partition_point(|run| run.start < window.start);
            let to = runs.partition_point(|run| run.start < window.end);
            (from < to).then(|| (product, &runs[from..to]))
        })
    }

    fn add(&mut self, order: &Order) {
        let events = [order.released, order.started, order.completed, order.cancelled];
        self.last_event = self.last_event.max(events.into_iter().flatten().max());
        if let (Some(completed), None) = (order.completed, order.cancelled) {
            self.add_pieces(order, completed);
        }
        let Some(start) = order.started.or(order.released) else { return };
        match (order.cancelled, order.completed) {
            (Some(_), _) => self.cancelled.push(start),
            (None, Some(completed)) if completed <= start => self.not_positive.push(start),
            (None, end) => self.runs.entry(order.product.clone()).or_default().push(Run { start, end }),
        }
    }

    fn add_pieces(&mut self, order: &Order, completed: UnixMillis) {
        if order.good.is_none() && order.defective.is_none() {
            return;
        }
        let (good, defective) = (order.good.unwrap_or(0.0), order.defective.unwrap_or(0.0));
        self.pieces.push(Pieces { product: order.product.clone(), at: completed.plus(-1), good, defective });
    }
}

/// How many of some sorted instants lie in a window.
pub fn n_within(instants: &[UnixMillis], window: Window) -> usize {
    instants.partition_point(|&at| at < window.end) - instants.partition_point(|&at| at < window.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(started: Option<i64>, completed: Option<i64>, cancelled: Option<i64>) -> Order {
        let at = |ms: Option<i64>| ms.map(UnixMillis);
        Order {
            order: "o".into(),
            product: "A".into(),
            released: Some(UnixMillis(0)),
            started: at(started),
            completed: at(completed),
            cancelled: at(cancelled),
            quantity: None,
            good: Some(3.0),
            defective: None,
        }
    }

    #[test]
    fn a_cohort_has_what_was_started_in_it_and_the_rest_is_counted() {
        const HOUR: i64 = 3_600_000;
        let orders = Orders::of(&[
            order(Some(HOUR), Some(3 * HOUR), None),
            order(None, Some(5 * HOUR), None),
            order(Some(HOUR), None, None),
            order(Some(HOUR), Some(HOUR), None),
            order(Some(HOUR), Some(2 * HOUR), Some(2 * HOUR)),
        ]);
        let all = Window { start: UnixMillis(0), end: UnixMillis(HOUR + 1) };
        let runs: Vec<(i64, Option<i64>)> = orders
            .cohort(all)
            .flat_map(|(_, runs)| runs)
            .map(|run| (run.start.0 / HOUR, run.end.map(|end| end.0 / HOUR)))
            .collect();
        assert_eq!(runs, [(0, Some(5)), (1, None), (1, Some(3))]);
        assert_eq!((orders.cancelled.len(), orders.not_positive.len()), (1, 1));
        assert_eq!(orders.pieces.len(), 3);
        assert_eq!(orders.pieces[2].at, UnixMillis(5 * HOUR - 1));
        assert_eq!(n_within(&orders.cancelled, Window { start: UnixMillis(HOUR), end: UnixMillis(HOUR) }), 0);
    }
}
