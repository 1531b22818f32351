//! The plants themselves: what a day was expected to use and make, and what it did use and make.
//!
//! [`Amounts`] of a day follow from its pieces by the story alone. Expected days have the story's pieces and no scatter;
//! actual days have whole pieces, scatter and whole register steps. Truth is computed from the first, messages are
//! made from the second.
//!
//! Invariants:
//! - any day comes out alike whatever was asked before: what adds up over days is added up once, when the plant is made;
//! - scatter comes in pairs: what one working day has above expectation the next has below, and what rounding left over
//!   goes into the next day, so that years come out to the expectation within a few tenths of a per cent;
//! - the register is a function of time: live readings between the quarter-hours fit those of the history.

use jiff::ToSpan;
use jiff::civil::{Date, Weekday, date};

use super::noise::{Stream, hash, normal_quantile, signed, spread, spread_beside, whole};
use super::story::{Measure, PilotStory};

/// 2015-01-01T00:00 in Asia/Shanghai, which has kept +08:00 since 1991.
pub(crate) const ZERO: i64 = 1_420_041_600_000;
pub(crate) const DAY_MS: i64 = 86_400_000;
pub(crate) const QUARTER_MS: i64 = 900_000;
/// Quarter-hours of a day.
pub(crate) const QUARTERS: usize = 96;
/// Days from 2015 to 2035. After them the plants stand still: the dates of the Spring Festival end there.
pub(crate) const N_DAYS: usize = 7_670;
/// Most products of a plant.
pub(crate) const PRODUCTS: usize = 3;
/// Spread of ln(cycle time) of pieces.
pub(crate) const CYCLE_SPREAD: f64 = 0.12;
/// Every so many orders one is cancelled.
const CANCELLED_EVERY: u32 = 97;

const FIRST_DAY: Date = date(2015, 1, 1);

/// Lunar New Year from 2015 to 2035. The plants stand still from the day before for a week.
const NEW_YEARS: [(i8, i8); 21] = [
    (2, 19),
    (2, 8),
    (1, 28),
    (2, 16),
    (2, 5),
    (1, 25),
    (2, 12),
    (2, 1),
    (1, 22),
    (2, 10),
    (1, 29),
    (2, 17),
    (2, 6),
    (1, 26),
    (2, 13),
    (2, 3),
    (1, 23),
    (2, 11),
    (1, 31),
    (2, 19),
    (2, 8),
];

/// The Spring Festival stops: first and last day.
pub(crate) fn stops() -> impl Iterator<Item = (Date, Date)> {
    (2015i16..).map_while(stop_of)
}

fn stop_of(year: i16) -> Option<(Date, Date)> {
    let (month, day) = *NEW_YEARS.get(usize::try_from(year - 2015).ok()?)?;
    let new_year = date(year, month, day);
    Some((new_year.saturating_sub(1.day()), new_year.saturating_add(5.days())))
}

/// The place of a civil day, 2015-01-01 being 0.
pub(crate) fn day_index(day: Date) -> i64 {
    i64::from((day - FIRST_DAY).get_days())
}

/// The local midnight at which a civil day begins.
pub(crate) fn day_start(day: Date) -> i64 {
    ZERO + day_index(day) * DAY_MS
}

/// The civil day of a place.
pub(crate) fn date_of(index: i64) -> Date {
    FIRST_DAY.saturating_add(index.days())
}

/// What a day uses and makes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Amounts {
    /// Pieces by product, as they reach final inspection.
    pub(crate) made: [f64; PRODUCTS],
    pub(crate) defective: [f64; PRODUCTS],
    /// kWh that do not depend on the hour.
    pub(crate) base: f64,
    /// kWh of the lines in their hours.
    pub(crate) day: f64,
    /// kWh of the lines that were moved to the night.
    pub(crate) night: f64,
    pub(crate) m3: f64,
    /// CNY of 2015.
    pub(crate) labour: f64,
    pub(crate) material: f64,
    pub(crate) maintenance: f64,
    /// Orders started, by product.
    pub(crate) orders: [f64; PRODUCTS],
}

impl Amounts {
    pub(crate) fn kwh(&self) -> f64 {
        self.base + self.day + self.night
    }
}

/// One civil day, as far as the calendar goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Day {
    pub(crate) date: Date,
    /// Years since 2015 began, by days.
    pub(crate) years: f64,
    /// 1 in midwinter, −1 in midsummer.
    cold: f64,
    stopped: bool,
}

impl Day {
    pub(crate) fn new(index: i64) -> Day {
        let date = date_of(index);
        let phase = (f64::from(date.day_of_year()) - 15.0) / 365.25 * std::f64::consts::TAU;
        let stopped = stop_of(date.year()).is_some_and(|(from, to)| from <= date && date <= to);
        Day { date, years: index as f64 / 365.25, cold: libm::cos(phase), stopped }
    }
}

/// The share of a working day of 2015 that a day makes.
fn activity(story: &PilotStory, day: &Day) -> f64 {
    let works = &story.works;
    if day.stopped {
        return 0.0;
    }
    let weekday = match day.date.weekday() {
        Weekday::Saturday => works.saturday,
        Weekday::Sunday => works.sunday,
        Weekday::Monday | Weekday::Tuesday | Weekday::Wednesday | Weekday::Thursday | Weekday::Friday => 1.0,
    };
    weekday * (1.0 + works.growth * day.years) * (1.0 - works.season / 2.0 * day.cold)
}

/// The mix of a day, adding up to 1 over the products made by then.
fn shares(story: &PilotStory, day: &Day) -> [f64; PRODUCTS] {
    let mut shares = [0.0; PRODUCTS];
    for (share, product) in shares.iter_mut().zip(&story.product) {
        let launched = product.launched.is_none_or(|launched| launched <= day.date);
        let along = (day.years / 11.0).min(1.0);
        *share = if launched { product.share[0] + (product.share[1] - product.share[0]) * along } else { 0.0 };
    }
    let sum: f64 = shares.iter().sum();
    shares.map(|share| share / sum)
}

/// What a day uses if it makes these pieces.
fn amounts(story: &PilotStory, day: &Day, made: [f64; PRODUCTS]) -> Amounts {
    let left = |what| story.left(what, day.date);
    let per_piece = |of: fn(&super::story::ProductStory) -> f64| {
        story.product.iter().zip(made).map(|(product, pieces)| of(product) * pieces).sum::<f64>()
    };
    let electricity = left(Measure::Electricity);
    let lines = per_piece(|product| product.kwh) * electricity;
    let daytime = left(Measure::Daytime);
    let heating = story.gas.as_ref().map_or(0.0, |gas| gas.heating * day.cold.max(0.0));
    let defects = left(Measure::Defects);
    let mut defective = made;
    for (pieces, product) in defective.iter_mut().zip(&story.product) {
        *pieces *= product.defective * defects;
    }
    // A month of costs has 365.25 / 12 days.
    let daily = 12.0 / 365.25;
    Amounts {
        made,
        defective,
        base: story.meter.base * (1.0 + story.meter.winter * day.cold) * electricity,
        day: lines * daytime,
        night: lines * (1.0 - daytime),
        m3: (heating + per_piece(|product| product.m3)) * left(Measure::Gas),
        labour: story.cost.labour * daily * left(Measure::Labour),
        material: per_piece(|product| product.material) * left(Measure::Material),
        maintenance: story.cost.maintenance * daily * left(Measure::Maintenance),
        orders: [0.0; PRODUCTS],
    }
}

/// A day without scatter.
pub(crate) fn expected(story: &PilotStory, index: i64) -> Amounts {
    let day = Day::new(index);
    let (activity, shares) = (activity(story, &day), shares(story, &day));
    let mut expected = amounts(story, &day, shares.map(|share| share * activity * story.works.per_day));
    expected.orders = shares.map(|share| share * orders_of(story, activity));
    expected
}

fn orders_of(story: &PilotStory, activity: f64) -> f64 {
    story.works.orders * activity
}

/// Scatter in pairs, and what rounding left over.
#[derive(Debug, Clone, Copy)]
struct Scatter {
    owed: Option<f64>,
    rest: f64,
}

impl Default for Scatter {
    /// Owes nothing; half a piece to begin with, so that sums are rounded and not cut off.
    fn default() -> Scatter {
        Scatter { owed: None, rest: 0.5 }
    }
}

impl Scatter {
    /// The next of a chain of numbers in [−1, 1) of which each second one cancels the one before.
    fn next(&mut self, seed: u64, stream: Stream, index: u64) -> f64 {
        if let Some(owed) = self.owed.take() {
            return owed;
        }
        let drawn = signed(hash(seed, stream, index));
        self.owed = Some(-drawn);
        drawn
    }

    /// A whole number near `value`, what is left over goes into the next one.
    fn whole(&mut self, value: f64) -> u32 {
        let whole = whole(value + self.rest).max(0);
        self.rest += value - whole as f64;
        u32::try_from(whole).unwrap_or(u32::MAX)
    }
}

/// What a day did make and use, whole, and what its counters had reached when it began.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Row {
    pub(crate) made: [u32; PRODUCTS],
    pub(crate) defective: [u32; PRODUCTS],
    /// Hundredths of a cubic metre.
    pub(crate) gas: u32,
    /// Hundredths of the register's unit used before this day, by an ideal register that never wraps or changes.
    pub(crate) register: u64,
    /// Orders started before this day, all and by product.
    pub(crate) first_order: u32,
    first_of_product: [u32; PRODUCTS],
    /// Pieces timed before this day.
    pub(crate) first_timed: u32,
}

/// One plant, ready to be asked for any day.
#[derive(Debug)]
pub(crate) struct Plant {
    pub(crate) story: PilotStory,
    pub(crate) seed: u64,
    /// One a day, and one more: what the counters have reached in the end.
    pub(crate) rows: Vec<Row>,
    /// Share of a working day's electricity by quarter-hour, in its three parts.
    shapes: [[f64; QUARTERS]; 3],
    /// Old register's last value by swap, in hundredths of an ideal register.
    swaps: Vec<(i64, u64, u64)>,
}

/// An order and what becomes of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    pub(crate) number: u32,
    pub(crate) product: usize,
    pub(crate) started: i64,
    /// When it was completed, or cancelled.
    pub(crate) ended: i64,
    pub(crate) cancelled: bool,
}

impl Plant {
    pub(crate) fn new(story: PilotStory, seed: u64) -> Plant {
        let shapes = shapes(story.works.hours);
        let mut plant = Plant { seed, rows: rows(&story, seed), shapes, swaps: Vec::new(), story };
        plant.swaps = plant
            .story
            .incidents
            .meter_swap
            .iter()
            .map(|swap| {
                let at = swap.at.as_millisecond();
                (at, plant.used(at), hundredths(swap.initial))
            })
            .collect();
        plant
    }

    pub(crate) fn row(&self, index: i64) -> Option<&Row> {
        usize::try_from(index).ok().and_then(|index| self.rows.get(index))
    }

    /// What an ideal register had reached at the quarter-hours of a day, from its beginning to its end.
    pub(crate) fn quarters(&self, index: i64) -> Option<[u64; QUARTERS + 1]> {
        let (row, next) = (self.row(index)?, self.row(index + 1)?);
        let day = Day::new(index);
        let amounts = amounts(&self.story, &day, row.made.map(f64::from));
        let mut shares = [0.0; QUARTERS + 1];
        let [base, lines, night] = &self.shapes;
        let first = u64::try_from(index).unwrap_or(0) * QUARTERS as u64;
        for quarter in 0..QUARTERS {
            let smooth = amounts.base * base[quarter] + amounts.day * lines[quarter] + amounts.night * night[quarter];
            let rough = 1.0 + 0.15 * signed(hash(self.seed, Stream::Quarter, first + quarter as u64));
            shares[quarter + 1] = shares[quarter] + smooth * rough;
        }
        let scale = (next.register - row.register) as f64 / shares[QUARTERS];
        let mut reached = shares.map(|share| row.register + whole(share * scale).unsigned_abs());
        reached[QUARTERS] = next.register;
        Some(reached)
    }

    /// What an ideal register had reached at any instant.
    pub(crate) fn used(&self, at: i64) -> u64 {
        let Some(quarters) = self.quarters((at - ZERO).div_euclid(DAY_MS)) else { return 0 };
        let into = (at - ZERO).rem_euclid(DAY_MS);
        let quarter = usize::try_from(into / QUARTER_MS).unwrap_or(0);
        let (a, b) = (quarters[quarter], quarters[quarter + 1]);
        a + (b - a) * (into % QUARTER_MS).unsigned_abs() / QUARTER_MS.unsigned_abs()
    }

    /// What the meter of the day shows, in hundredths of its unit.
    pub(crate) fn shown(&self, at: i64, used: u64) -> u64 {
        let swap = self.swaps.iter().rev().find(|(swapped, ..)| *swapped <= at);
        let shown = match swap {
            Some((_, old, initial)) => used - old + initial,
            None => used + hundredths(self.story.meter.start),
        };
        self.story.meter.rollover.map_or(shown, |end| shown % hundredths(end))
    }

    /// What the old meter showed last at the `n`-th swap, in hundredths of its unit.
    pub(crate) fn final_of_swap(&self, n: usize) -> u64 {
        let (at, used, _) = self.swaps[n];
        self.shown(at - 1, used)
    }

    /// The orders started on a day.
    pub(crate) fn orders(&self, index: i64) -> Vec<Order> {
        let (Some(row), Some(next)) = (self.row(index), self.row(index + 1)) else { return Vec::new() };
        let day = Day::new(index);
        let (shares, left) = (shares(&self.story, &day), self.story.left(Measure::Lead, day.date));
        let mut of_product = row.first_of_product;
        let one = |number: u32| {
            let product = product_of(&shares, spread(self.seed, u64::from(number)));
            let place = of_product[product];
            of_product[product] += 1;
            self.order(number, product, place, index, left)
        };
        (row.first_order..next.first_order).map(one).collect()
    }

    fn order(&self, number: u32, product: usize, place: u32, day: i64, left: f64) -> Order {
        // Starts between 8 and 18 o'clock, to the second.
        let second = hash(self.seed, Stream::OrderStart, u64::from(number)) % 36_000;
        let started = ZERO + day * DAY_MS + (8 * 3_600 + i64::try_from(second).unwrap_or(0)) * 1_000;
        let quantile = spread(self.seed ^ (product as u64 + 1), u64::from(place));
        let spread = libm::exp(self.story.works.lead_spread * normal_quantile(quantile));
        let lead = whole(self.story.product[product].lead * left * spread * 3_600.0) * 1_000;
        let cancelled = number % CANCELLED_EVERY == CANCELLED_EVERY - 1;
        Order { number, product, started, ended: started + if cancelled { lead / 2 } else { lead }, cancelled }
    }

    /// The days that the longest order of the plant can take.
    pub(crate) fn longest_order_days(&self) -> i64 {
        let longest = self.story.product.iter().map(|product| product.lead).fold(0.0, f64::max);
        // Half as much again: a step may have made orders slower.
        whole(longest * 1.5 * libm::exp(3.0 * self.story.works.lead_spread) / 24.0) + 2
    }

    /// The pieces timed on a day: when, of which product, and hundredths of a second.
    pub(crate) fn timed(&self, index: i64) -> Vec<(i64, usize, u64)> {
        let (Some(row), Some(next)) = (self.row(index), self.row(index + 1)) else { return Vec::new() };
        let day = Day::new(index);
        let (shares, left) = (shares(&self.story, &day), self.story.left(Measure::Cycle, day.date));
        let one = |number: u32| {
            let product = product_of(&shares, spread(self.seed, u64::from(number)));
            let stray = libm::exp(CYCLE_SPREAD * normal_quantile(spread_beside(self.seed, u64::from(number))));
            let at = ZERO + index * DAY_MS + (9 * 3_600 + i64::from(number - row.first_timed) * 3_607) * 1_000;
            (at, product, hundredths(self.story.product[product].cycle * left * stray))
        };
        (row.first_timed..next.first_timed).map(one).collect()
    }
}

/// Pieces timed on a day of this activity.
fn timed_of(story: &PilotStory, activity: f64) -> f64 {
    story.works.timed * activity
}

fn product_of(shares: &[f64; PRODUCTS], place: f64) -> usize {
    let mut sum = 0.0;
    let below = shares.iter().take_while(|&&share| {
        sum += share;
        sum <= place
    });
    below.count().min(PRODUCTS - 1)
}

/// A decimal amount in hundredths.
pub(crate) fn hundredths(value: f64) -> u64 {
    whole(value * 100.0 + 0.5).unsigned_abs()
}

/// Shares of a day by quarter-hour: even; in the lines' hours, with a dip at noon; and from 23 to 7 o'clock.
fn shapes(hours: [u32; 2]) -> [[f64; QUARTERS]; 3] {
    let weight = |quarter: usize| {
        let hour = quarter / 4;
        let running = (hours[0] as usize..hours[1] as usize).contains(&hour);
        let night = !(7..23).contains(&hour);
        let lines = match (running, hour) {
            (false, _) => 0.0,
            (true, 12 | 13) => 0.7,
            (true, _) => 1.0,
        };
        [1.0, lines, if night { 1.0 } else { 0.0 }]
    };
    let mut shapes = [[0.0; QUARTERS]; 3];
    for (kind, shape) in shapes.iter_mut().enumerate() {
        let sum: f64 = (0..QUARTERS).map(|quarter| weight(quarter)[kind]).sum();
        for (quarter, share) in shape.iter_mut().enumerate() {
            *share = weight(quarter)[kind] / sum;
        }
    }
    shapes
}

/// The shares of a day by quarter-hour of a plant, in its three parts: see [`Plant`].
pub(crate) fn shapes_of(story: &PilotStory) -> [[f64; QUARTERS]; 3] {
    shapes(story.works.hours)
}

/// The scatter of everything that scatters.
#[derive(Debug, Default)]
struct Scatters {
    made: [Scatter; PRODUCTS],
    defective: [Scatter; PRODUCTS],
    energy: Scatter,
    gas: Scatter,
    orders: Scatter,
    timed: Scatter,
}

fn rows(story: &PilotStory, seed: u64) -> Vec<Row> {
    let mut scatters = Scatters::default();
    let mut rows = Vec::with_capacity(N_DAYS + 1);
    let mut reached = Row::default();
    for index in 0..N_DAYS {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        let (today, next) = day_row(story, seed, index, reached, &mut scatters);
        rows.push(today);
        reached = next;
    }
    rows.push(reached);
    rows
}

/// The row of a day, and what the next one starts from.
fn day_row(story: &PilotStory, seed: u64, index: i64, reached: Row, scatters: &mut Scatters) -> (Row, Row) {
    let (day, at) = (Day::new(index), index.unsigned_abs());
    let (activity, shares) = (activity(story, &day), shares(story, &day));
    let mut today = Row { made: [0; PRODUCTS], defective: [0; PRODUCTS], ..reached };
    let busy = if activity > 0.0 { 1.0 + 0.12 * scatters.made[0].next(seed, Stream::Output, at) } else { 0.0 };
    for (k, share) in shares.iter().enumerate().take(story.product.len()) {
        today.made[k] = scatters.made[k].whole(share * activity * story.works.per_day * busy);
    }
    let used = amounts(story, &day, today.made.map(f64::from));
    // A day without pieces draws nothing: pairs are of days that count.
    for k in (0..story.product.len()).filter(|&k| used.made[k] > 0.0) {
        let stray = 1.0 + 0.12 * scatters.defective[k].next(seed, Stream::Defects, at * PRODUCTS as u64 + k as u64);
        today.defective[k] = scatters.defective[k].whole(used.defective[k] * stray).min(today.made[k]);
    }
    let stray = 1.0 + 0.03 * scatters.energy.next(seed, Stream::Energy, at);
    let steps = scatters.energy.whole(used.kwh() * stray * 100.0 / story.meter.multiplier);
    let stray = 1.0 + 0.05 * scatters.gas.next(seed, Stream::Gas, at);
    today.gas = scatters.gas.whole(used.m3 * stray * 100.0);

    let mut next = reached;
    next.register += u64::from(steps);
    next.first_timed += scatters.timed.whole(timed_of(story, activity));
    next.first_order += scatters.orders.whole(orders_of(story, activity));
    for number in reached.first_order..next.first_order {
        next.first_of_product[product_of(&shares, spread(seed, u64::from(number)))] += 1;
    }
    (today, next)
}

/// The CNY of 2015 that a month from `first` to before `end` cost in fact: labour, material, maintenance.
pub(crate) fn month_costs(plant: &Plant, first: i64, end: i64) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for index in first..end {
        let Some(row) = plant.row(index) else { continue };
        let day = amounts(&plant.story, &Day::new(index), row.made.map(f64::from));
        for (sum, part) in sums.iter_mut().zip([day.labour, day.material, day.maintenance]) {
            *sum += part;
        }
    }
    // Months scatter in pairs too: what one has above the next has below.
    let month = date_of(first);
    let number = i64::from(month.year()) * 12 + i64::from(month.month()) - 1;
    for (k, sum) in sums.iter_mut().enumerate() {
        let drawn = signed(hash(plant.seed, Stream::Costs, (number / 2 * 3).unsigned_abs() + k as u64));
        *sum *= 1.0 + 0.02 * if number % 2 == 0 { drawn } else { -drawn };
    }
    sums
}

/// The spans without meter readings: before telemetry began, and outages, from midnight to midnight.
pub(crate) fn silences(story: &PilotStory) -> Vec<(i64, i64)> {
    let before = story.meter.from.map(|from| (ZERO - 1, day_start(from)));
    let outages = story.incidents.outage.iter().map(|days| (day_start(days.from), day_start(days.to) + DAY_MS));
    before.into_iter().chain(outages).collect()
}

/// What a day did use and make, as its meters and counters saw it.
#[cfg(test)]
pub(crate) fn amounts_of_row(plant: &Plant, index: i64) -> Option<Amounts> {
    let (row, next) = (plant.row(index)?, plant.row(index + 1)?);
    let mut day = amounts(&plant.story, &Day::new(index), row.made.map(f64::from));
    let scale = (next.register - row.register) as f64 / 100.0 * plant.story.meter.multiplier / day.kwh();
    (day.base, day.day, day.night) = (day.base * scale, day.day * scale, day.night * scale);
    day.m3 = f64::from(row.gas) / 100.0;
    day.defective = row.defective.map(f64::from);
    Some(day)
}
