//! A simulated fleet with known truth, figured by the same functions as real pilots: how often intervals hold the truth, and
//! how often a reduction of exactly the target is called achieved.
//!
//! Twelve kinds of plants, large and small, calm and wild; 170 seeds each. Months scatter independently, defects are counted
//! piece by piece, orders take log-normally long. Seeds are fixed, so that the shares are facts of the arithmetic and not of the day.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as loudly as the test itself")]
#![allow(clippy::cast_possible_truncation, reason = "milliseconds of hours are far inside an i64")]

use std::collections::BTreeMap;
use std::sync::Arc;

use aggregator::figure::figures;
use aggregator::indicator::data::{Measured, Part, Stored};
use aggregator::orders::{Cohorts, Orders};
use aggregator::rollup::mark;
use aggregator::rollup::months::{CoverRun, MonthSum, MonthSums, Part as Band};
use aggregator::statistics::distribution::normal_quantile;
use aggregator::tariff::{Calendar, NO_BAND};
use model::period::MonthNo;
use model::registry::{Pilot, parse_pilot};
use model::window::QUARTER_MS;
use model::{Figure, Indicator, Period, Standing, UnixMillis};
use seeds::factors::Factors;
use store::Order;

const SEEDS: u64 = 170;
/// The stage's year and its targets of cost, cycle and defects are 20 %.
const YEAR: i16 = 2020;
const TARGET: f64 = 0.2;
const HOUR: f64 = 3_600_000.0;

/// One kind of plant.
struct Kind {
    /// Of a month's amounts, as a share.
    scatter: f64,
    /// How much output moves from month to month.
    swing: f64,
    products: usize,
    /// Pieces of a product a month.
    pieces: f64,
    defects: f64,
    /// Orders of a product a year.
    orders: usize,
    lead: f64,
    spread: f64,
    /// Share of a month's energy that does not go with output.
    base_load: f64,
}

fn kinds() -> Vec<Kind> {
    let kind = |scatter, swing, products, pieces, defects, orders, lead, spread, base_load| Kind {
        scatter,
        swing,
        products,
        pieces,
        defects,
        orders,
        lead,
        spread,
        base_load,
    };
    vec![
        kind(0.03, 0.1, 1, 20_000.0, 0.02, 40, 48.0, 0.3, 0.3),
        kind(0.05, 0.2, 2, 4_000.0, 0.03, 25, 120.0, 0.4, 0.2),
        kind(0.08, 0.3, 3, 1_000.0, 0.02, 12, 400.0, 0.5, 0.4),
        kind(0.12, 0.2, 1, 500.0, 0.05, 60, 20.0, 0.25, 0.1),
        kind(0.02, 0.05, 2, 50_000.0, 0.004, 100, 30.0, 0.2, 0.5),
        kind(0.06, 0.4, 1, 2_000.0, 0.01, 8, 700.0, 0.6, 0.3),
        kind(0.04, 0.1, 3, 300.0, 0.08, 30, 60.0, 0.35, 0.2),
        kind(0.10, 0.3, 2, 10_000.0, 0.001, 20, 90.0, 0.45, 0.6),
        kind(0.03, 0.2, 1, 800.0, 0.015, 15, 250.0, 0.4, 0.3),
        kind(0.07, 0.15, 2, 6_000.0, 0.02, 50, 36.0, 0.3, 0.25),
        kind(0.15, 0.25, 1, 1_500.0, 0.03, 80, 72.0, 0.5, 0.15),
        kind(0.05, 0.1, 3, 2_500.0, 0.025, 10, 500.0, 0.5, 0.35),
    ]
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 + f64::EPSILON / 4.0
    }

    fn normal(&mut self) -> f64 {
        normal_quantile(self.uniform())
    }

    /// How many of n pieces are defective: from one defective piece to the next by the geometric distribution.
    fn binomial(&mut self, n: f64, rate: f64) -> f64 {
        let (mut at, mut count) = (0.0, 0.0);
        loop {
            at += (libm::log(self.uniform()) / libm::log1p(-rate)).floor() + 1.0;
            if at > n {
                return count;
            }
            count += 1.0;
        }
    }
}

/// Whether a part of the energy does not go with output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    None,
    Base,
}

const REGRESSION: &str = "[plan.energy_intensity]\nmodel = \"regression\"\nvariables = [\"output\"]\n";

const SERIES: &str = r#"
[[price]]
carrier = "natural_gas"
from = 2015-01-01
value = 2.5
[[series]]
asset = "m"
name = "electricity"
quantity = "energy.electricity"
kind = "counter"
unit = "kWh"
[[series]]
asset = "p"
name = "labour"
quantity = "cost.labour"
kind = "delta"
[[series]]
asset = "l"
name = "good"
quantity = "output.good"
kind = "delta"
[[series]]
asset = "l"
name = "defective"
quantity = "output.defective"
kind = "delta"
"#;

fn pilot(kind: &Kind, plan: &str) -> Pilot {
    let products: String =
        (0..kind.products).map(|k| format!("[[product]]\nid = \"P{k}\"\nweight = {}\n", k + 1)).collect();
    let text = format!(
        "[pilot]\nid = \"p\"\nname = \"P\"\nregion = \"hami\"\nsector = \"electronics\"\nclass = \"pilot\"\n\
         zone = \"Asia/Shanghai\"\n[baseline]\nfrom = 2015-01-01\nto = 2015-12-31\n{products}{SERIES}{plan}"
    );
    parse_pilot("p.toml", &text).unwrap()
}

/// What a plant's two years hold.
#[derive(Default)]
struct Years {
    energy: Vec<MonthSum>,
    labour: Vec<MonthSum>,
    good: BTreeMap<usize, Vec<MonthSum>>,
    defective: BTreeMap<usize, Vec<MonthSum>>,
    orders: Vec<Order>,
}

fn month_sum(month: MonthNo, value: f64) -> MonthSum {
    let zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
    let window = month.window(&zone);
    let covered_ms = window.length_ms();
    let n = u16::try_from(covered_ms / QUARTER_MS).unwrap();
    let cover = vec![CoverRun { first: window.start.0 / QUARTER_MS, n, covered_ms: 900_000 }];
    let parts = vec![Band { band: NO_BAND, base: NO_BAND, value, cost: value }];
    let marks = mark::CONTRIBUTED;
    MonthSum { month, value, covered_ms, n: 30, marks, parts, cover, decrease: None, n_decreases: 0 }
}

/// A year of a plant at a share of what the baseline takes.
fn year(kind: &Kind, load: Load, (of, ratio): (i16, f64), random: &mut Random, years: &mut Years) {
    for n in 0..12 {
        let month = MonthNo(i32::from(of) * 12 + n);
        let mut output = 0.0;
        for product in 0..kind.products {
            let made = (kind.pieces * (1.0 + kind.swing * (2.0 * random.uniform() - 1.0))).round();
            let rate = kind.defects * (1.0 + product as f64) / 2.0 * ratio;
            let defective = random.binomial(made, rate);
            years.good.entry(product).or_default().push(month_sum(month, made - defective));
            years.defective.entry(product).or_default().push(month_sum(month, defective));
            output += (product + 1) as f64 * (made - defective);
        }
        let usual = kind.pieces * (1..=kind.products).sum::<usize>() as f64;
        let base_load = if load == Load::Base { kind.base_load * usual } else { 0.0 };
        // A model needs months that tell output from base load: a wild plant's explains too little, and has no figure.
        let scatter = if load == Load::Base { kind.scatter / 5.0 } else { kind.scatter };
        let mut scattered = |expected: f64, size: f64| ratio * (expected + size * scatter * random.normal());
        // About a line with a base load all months scatter alike, as least squares takes for granted.
        let size = if load == Load::Base { usual } else { output };
        years.energy.push(month_sum(month, scattered(3.0 * (output + base_load), 3.0 * size)));
        years.labour.push(month_sum(month, scattered(8.0 * output, 8.0 * output)));
    }
    orders(kind, of, ratio, random, years);
}

fn orders(kind: &Kind, of: i16, ratio: f64, random: &mut Random, years: &mut Years) {
    let zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
    let start = MonthNo(i32::from(of) * 12).window(&zone).start.0;
    for product in 0..kind.products {
        let median = kind.lead * (1.0 + product as f64) * ratio;
        for n in 0..kind.orders {
            let started = start + ((n as f64 + random.uniform()) / kind.orders as f64 * 365.0 * 24.0 * HOUR) as i64;
            let hours = median * libm::exp(kind.spread * random.normal());
            years.orders.push(Order {
                order: format!("{of}-{product}-{n}").into(),
                product: format!("P{product}").into(),
                released: None,
                started: Some(UnixMillis(started)),
                completed: Some(UnixMillis(started + (hours * HOUR) as i64)),
                cancelled: None,
                quantity: None,
                good: None,
                defective: None,
            });
        }
    }
}

/// The figures of the reporting year of one plant whose every ratio is `ratio`.
fn figured(kind: &Kind, plan: &str, years: Years) -> BTreeMap<Indicator, Figure> {
    let pilot = pilot(kind, plan);
    let (calendar, factors) = (Calendar::of(&pilot), Factors::builtin());
    let stored = |product: Option<String>, months: Vec<MonthSum>| Stored {
        product: product.map(Arc::from),
        sums: Arc::new(MonthSums { months }),
    };
    let by_product = |all: BTreeMap<usize, Vec<MonthSum>>| -> Vec<Stored> {
        all.into_iter().map(|(product, months)| stored(Some(format!("P{product}")), months)).collect()
    };
    let sums = vec![
        vec![stored(None, years.energy)],
        vec![stored(None, years.labour)],
        by_product(years.good),
        by_product(years.defective),
    ];
    let orders = Arc::new(Orders::of(&years.orders));
    let open = MonthNo(i32::from(YEAR + 2) * 12);
    let cut_off = UnixMillis(open.window(&calendar.zone).start.0);
    let data = Measured::new((&pilot, &calendar, &factors), sums, (orders, Cohorts::default(), cut_off), open);
    let programme = seeds::programme::builtin();
    let period = Period::parse(&YEAR.to_string()).unwrap();
    let all = figures(&data, &programme, Part::Whole, &|_| true);
    let of_year = |figures: Vec<Figure>| figures.into_iter().find(|figure| figure.period == period);
    all.into_iter().filter_map(|(indicator, figures)| Some((indicator, of_year(figures)?))).collect()
}

/// Counts over the fleet.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    pairs: u32,
    with_interval: u32,
    held: u32,
    achieved: u32,
}

fn fleet(ratio: f64, load: Load) -> BTreeMap<Indicator, Count> {
    let plan = if load == Load::Base { REGRESSION } else { "" };
    let mut counts: BTreeMap<Indicator, Count> = BTreeMap::new();
    for (n, kind) in kinds().iter().enumerate() {
        for seed in 0..SEEDS {
            let mut random = Random(seed * 1_000 + n as u64);
            let mut years = Years::default();
            year(kind, load, (2015, 1.0), &mut random, &mut years);
            year(kind, load, (YEAR, ratio), &mut random, &mut years);
            // The log goes on, so that what is late of the year's last orders is known.
            orders(kind, YEAR + 1, ratio, &mut random, &mut years);
            for (indicator, figure) in figured(kind, plan, years) {
                let count = counts.entry(indicator).or_default();
                count.pairs += 1;
                if let Some([Some(low), Some(high)]) = figure.ci {
                    count.with_interval += 1;
                    count.held += u32::from(low <= 1.0 - ratio && 1.0 - ratio <= high);
                }
                // Energy has no target of its own: the same bound decides.
                let proven = figure.ci.and_then(|[low, _]| low).is_some_and(|low| low >= TARGET);
                let first = figure.stages.first().map(|stage| stage.standing == Standing::Achieved);
                count.achieved += u32::from(first.unwrap_or(proven));
            }
        }
    }
    counts
}

#[track_caller]
fn check(what: &str, count: Count) {
    let Count { pairs, with_interval, held, achieved } = count;
    println!("{what}: {pairs} pairs, {with_interval} intervals, {held} hold the truth, {achieved} achieved");
    assert!(pairs >= 2_000 && with_interval >= pairs / 10 * 9, "{what}: {with_interval} intervals of {pairs} pairs");
    let share = f64::from(held) / f64::from(with_interval);
    assert!((0.87..=0.93).contains(&share), "{what}: {share} of the intervals hold the truth");
    let achieved = f64::from(achieved) / f64::from(pairs);
    assert!((0.01..=0.065).contains(&achieved), "{what}: {achieved} of a target just reached are called achieved");
}

#[test]
fn intervals_hold_the_truth_as_often_as_they_say_and_a_target_just_reached_is_not_achieved() {
    let counts = fleet(1.0 - TARGET, Load::None);
    let judged =
        [Indicator::OperatingCost, Indicator::ProductionCycle, Indicator::DefectRate, Indicator::EnergyIntensity];
    for indicator in judged {
        check(&indicator.to_string(), counts[&indicator]);
    }
}

#[test]
fn so_does_the_model_of_a_plant_with_a_base_load() {
    let counts = fleet(1.0 - TARGET, Load::Base);
    check("energy by regression", counts[&Indicator::EnergyIntensity]);
}
