//! What a plant's two gateways have to send of a span of time, and the history in the order in which they sent it.
//!
//! `meters` reads the electricity register at every quarter-hour and the gas meter at midnight; `works` sends pieces at
//! midnight, order events, timed pieces, and the postings of a month when it ends. A span is open at its start and closed
//! at its end, because stamps are ends: spans that follow each other neither lose nor repeat a reading.
//!
//! Invariant: incidents leave out, delay, repeat or mark readings; none of them changes a value.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::ToSpan;
use jiff::civil::Date;

use super::message::{Form, Gateway, Item, OrderEvent, Reading, Trust, VALUES_MAX, What};
use super::physics::{
    DAY_MS, Order, Plant, QUARTER_MS, QUARTERS, ZERO, date_of, day_index, day_start, month_costs, silences,
};
use super::story::FleetStory;
use super::{COSTS, Line, METER, Message};

/// A span of time, open at its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) after: i64,
    pub(crate) to: i64,
}

impl Span {
    fn holds(&self, at: i64) -> bool {
        self.after < at && at <= self.to
    }

    /// The days that touch it, by their place; a reading at midnight belongs to the day that begins.
    fn days(&self) -> std::ops::RangeInclusive<i64> {
        (self.after - ZERO).div_euclid(DAY_MS).max(0)..=(self.to - ZERO).div_euclid(DAY_MS)
    }

    /// As much of it as is over at an instant.
    fn until(self, until: i64) -> Span {
        Span { after: self.after, to: self.to.min(until) }
    }

    /// The month that begins on a day, by the ends of its readings.
    fn month(first: Date) -> Span {
        Span { after: day_start(first), to: day_start(first.saturating_add(1.month())) }
    }
}

/// The first span of the history also holds the instant at which it begins: the register's first reading.
pub(crate) const BEFORE_HISTORY: i64 = ZERO - 1;

/// What the `meters` gateway reads in a span.
pub(crate) fn meters(plant: &Plant, span: Span) -> impl Iterator<Item = Item<'_>> {
    let days = span.days();
    let electricity = days.clone().filter_map(|index| Some((index, plant.quarters(index)?)));
    let electricity = electricity.flat_map(move |(index, reached)| {
        instants(plant, index, span).map(move |(quarter, at, trust)| register(plant, at, reached[quarter], trust))
    });
    let gas = plant.story.gas.iter().flat_map(move |_| days.clone()).filter_map(move |index| {
        let at = ZERO + index * DAY_MS;
        let day = plant.row((index - 1).max(0))?;
        let value = u64::from(day.gas);
        let (asset, name, unit, trust) = ("gas-1", "gas", "m3", Trust::Good);
        span.holds(at).then_some(Item::Reading(Reading { asset, name, product: None, at, value, unit, trust }))
    });
    electricity.chain(gas)
}

/// How many readings [`meters`] has for a span, without making them.
pub(crate) fn n_meters(plant: &Plant, span: Span) -> usize {
    let electricity: usize = span.days().map(|index| instants(plant, index, span).count()).sum();
    let midnights = span.days().filter(|index| span.holds(ZERO + index * DAY_MS)).count();
    electricity + if plant.story.gas.is_some() { midnights } else { 0 }
}

/// The quarter-hours of a day at which the register is read, and how far the reading is to be trusted.
fn instants(plant: &Plant, index: i64, span: Span) -> impl Iterator<Item = (usize, i64, Trust)> + use<> {
    let date = date_of(index);
    let uncertain = plant.story.incidents.uncertain.iter().any(|days| days.from <= date && date <= days.to);
    let bad: Vec<usize> = hours_without_value(plant, date);
    let (from, to) = (ZERO + index * DAY_MS, ZERO + (index + 1) * DAY_MS);
    let silences: Vec<(i64, i64)> = silences(&plant.story).into_iter().filter(|(a, b)| *a < to && from < *b).collect();
    (0..QUARTERS).filter_map(move |quarter| {
        let at = from + i64::try_from(quarter).unwrap_or(0) * QUARTER_MS;
        let silent = silences.iter().any(|(from, to)| *from < at && at < *to);
        let trust = match (bad.contains(&(quarter / 4)), uncertain) {
            (true, _) => Trust::Bad,
            (false, true) => Trust::Uncertain,
            (false, false) => Trust::Good,
        };
        (span.holds(at) && !silent).then_some((quarter, at, trust))
    })
}

fn hours_without_value(plant: &Plant, date: Date) -> Vec<usize> {
    let hours = plant.story.incidents.bad.iter().filter(|bad| bad.day == date);
    hours.filter_map(|bad| usize::try_from(bad.hour).ok()).collect()
}

/// A reading of the electricity register.
pub(crate) fn register(plant: &Plant, at: i64, used: u64, trust: Trust) -> Item<'_> {
    let value = plant.shown(at, used);
    Item::Reading(Reading { asset: METER, name: "electricity", product: None, at, value, unit: "kWh", trust })
}

/// What the `works` gateway has in a span: pieces, postings, orders, timed pieces.
pub(crate) fn works<'a>(fleet: &FleetStory, plant: &'a Plant, span: Span) -> Vec<Item<'a>> {
    let mut items = Vec::new();
    for index in span.days() {
        let midnight = ZERO + index * DAY_MS;
        if span.holds(midnight) {
            pieces(plant, index - 1, midnight, &mut items);
            postings(fleet, plant, midnight, &mut items);
        }
        timed(plant, index, span, &mut items);
    }
    let days = span.days();
    for index in (*days.start() - plant.longest_order_days()).max(0)..=*days.end() {
        for order in plant.orders(index) {
            order_events(plant, index, &order, span, &mut items);
        }
    }
    items
}

/// A good piece, a month's CNY: a reading of the `works` gateway.
fn work<'a>(asset: &'a str, name: &'a str, product: Option<&'a str>, at: i64, value: u64, unit: &'a str) -> Item<'a> {
    Item::Reading(Reading { asset, name, product, at, value, unit, trust: Trust::Good })
}

/// The pieces of a day, reported when it ends; a line that made nothing is silent.
fn pieces<'a>(plant: &'a Plant, index: i64, at: i64, items: &mut Vec<Item<'a>>) {
    let Some(row) = plant.row(index) else { return };
    for (k, product) in plant.story.product.iter().enumerate().filter(|(k, _)| row.made[*k] > 0) {
        let (line, of) = (Line(product.workshop).asset(), Some(product.id.as_str()));
        let (good, defective) = (row.made[k] - row.defective[k], row.defective[k]);
        items.push(work(line, "good", of, at, u64::from(good) * 100, "piece"));
        items.push(work(line, "defective", of, at, u64::from(defective) * 100, "piece"));
    }
}

/// What the month that ends at this midnight cost, at the prices of its year. The one before the history is posted too,
/// so that the first month has a beginning.
fn postings<'a>(fleet: &FleetStory, plant: &'a Plant, midnight: i64, items: &mut Vec<Item<'a>>) {
    let next = date_of((midnight - ZERO) / DAY_MS);
    if next.day() != 1 {
        return;
    }
    let first = next.saturating_sub(1.month());
    let (from, end) = (day_index(first), day_index(next));
    let costs = if from < 0 { month_costs(plant, 0, 31) } else { month_costs(plant, from, end) };
    for (category, cost) in COSTS.into_iter().zip(costs) {
        let nominal = cost * fleet.index(category, i32::from(first.year())) / 100.0;
        items.push(work("plant", category, None, midnight, super::physics::hundredths(nominal), "CNY"));
    }
}

fn timed<'a>(plant: &'a Plant, index: i64, span: Span, items: &mut Vec<Item<'a>>) {
    for (at, k, value) in plant.timed(index).into_iter().filter(|(at, ..)| span.holds(*at)) {
        let product = &plant.story.product[k];
        items.push(work(Line(product.workshop).asset(), "cycle", Some(&product.id), at, value, "s"));
    }
}

fn order_events<'a>(plant: &'a Plant, index: i64, order: &Order, span: Span, items: &mut Vec<Item<'a>>) {
    let product = plant.story.product[order.product].id.as_str();
    let mut push = |at, what| {
        if span.holds(at) {
            items.push(Item::Order(OrderEvent { number: order.number, product, at, what }));
        }
    };
    let (quantity, defective) = quantities(plant, index, order);
    push(order.started, What::Started { quantity });
    let counted = (order.number % 8 != 7).then_some((quantity - defective, defective));
    push(order.ended, if order.cancelled { What::Cancelled } else { What::Completed { counted } });
}

/// Pieces of an order: its part of the day's, and as many of them defective as of the day's.
fn quantities(plant: &Plant, index: i64, order: &Order) -> (u32, u32) {
    let (Some(row), Some(next)) = (plant.row(index), plant.row(index + 1)) else { return (1, 0) };
    let orders = next.first_order - row.first_order;
    let made: u32 = row.made.iter().sum();
    let (of_product, defective) = (row.made[order.product], row.defective[order.product]);
    let quantity = (made / orders.max(1)).max(1);
    (quantity, (quantity * defective / of_product.max(1)).min(quantity))
}

/// The history of a plant in the order in which its gateways sent it, a calendar quarter at a time.
pub(crate) struct History {
    fleet: Arc<FleetStory>,
    plant: Arc<Plant>,
    until: i64,
    /// First day of the next quarter.
    next: Date,
    meters: Gateway,
    works: Gateway,
    ready: VecDeque<Message>,
    /// Months that were held back, sent after the next quarter.
    held: Vec<Span>,
}

impl History {
    pub(crate) fn new(fleet: Arc<FleetStory>, plant: Arc<Plant>, until: i64) -> History {
        let id = &plant.story.id;
        let (meters, works) = (Gateway::new(id, "meters", 1), Gateway::new(id, "works", 1));
        let (ready, held) = (VecDeque::new(), Vec::new());
        History { until, next: date_of(0), meters, works, ready, held, fleet, plant }
    }

    /// The next quarter, if it began before the end.
    fn plan(&mut self) -> Option<Quarter> {
        let (first, end) = (self.next, self.next.saturating_add(3.months()));
        if day_start(first) >= self.until {
            return None;
        }
        self.next = end;
        let after = if day_index(first) == 0 { BEFORE_HISTORY } else { day_start(first) };
        let incidents = &self.plant.story.incidents;
        let late = incidents.late.iter().filter(|month| first <= **month && **month < end);
        let late = late.map(|month| Span::month(*month)).collect();
        let due = std::mem::replace(&mut self.held, late);
        let times = if incidents.twice.contains(&first) { 2 } else { 1 };
        Some(Quarter { span: Span { after, to: day_start(end).min(self.until) }, due, times })
    }

    fn send(&mut self, quarter: Quarter) {
        let punctual = meters(&self.plant, quarter.span).filter(|item| !holds_any(&self.held, at_of(item)));
        let mut sent = self.meters.messages(Form::Short, punctual);
        let items = works(&self.fleet, &self.plant, quarter.span);
        sent.extend(self.works.messages(Form::Short, items.into_iter()));
        for _ in 1..quarter.times {
            self.ready.extend(sent.iter().cloned());
        }
        self.ready.extend(sent);
        self.send_late(&quarter.due);
    }

    fn send_late(&mut self, months: &[Span]) {
        for month in months {
            let items = meters(&self.plant, month.until(self.until));
            self.ready.extend(self.meters.messages(Form::Short, items));
        }
    }

    /// Readings and order events of the whole history, each once, and messages, each as often as it is sent.
    pub(crate) fn count(mut self) -> Counts {
        let mut counts = Counts::default();
        let messages = |n_values: usize| n_values.div_ceil(VALUES_MAX);
        let mut late = Vec::new();
        while let Some(quarter) = self.plan() {
            let held: usize = self.held.iter().map(|month| n_meters(&self.plant, month.until(self.until))).sum();
            let n_meters = n_meters(&self.plant, quarter.span) - held;
            let n_works = works(&self.fleet, &self.plant, quarter.span).len();
            counts.n_values += n_meters + n_works;
            counts.n_messages += quarter.times * (messages(n_meters) + messages(n_works));
            late.append(&mut self.held.clone());
        }
        for month in late {
            let n = n_meters(&self.plant, month.until(self.until));
            counts.n_values += n;
            counts.n_messages += messages(n);
        }
        counts
    }
}

/// A calendar quarter of the history: what is read in it, what was held back before it, and how often it is sent.
struct Quarter {
    span: Span,
    due: Vec<Span>,
    times: usize,
}

/// How much a history is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) n_values: usize,
    pub(crate) n_messages: usize,
}

fn holds_any(spans: &[Span], at: i64) -> bool {
    spans.iter().any(|span| span.holds(at))
}

impl Iterator for History {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            if let Some(quarter) = self.plan() {
                self.send(quarter);
            } else if self.held.is_empty() {
                return None;
            } else {
                let due = std::mem::take(&mut self.held);
                self.send_late(&due);
            }
        }
    }
}

fn at_of(item: &Item<'_>) -> i64 {
    match item {
        Item::Reading(reading) => reading.at,
        Item::Order(event) => event.at,
    }
}
