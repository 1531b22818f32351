//! The demo fleet as a whole: determinism, limits, counters, registries, and that what is sent adds up to the truth.

use std::collections::{BTreeMap, BTreeSet};

use model::registry::parse_pilot;
use serde_json::Value;

use super::*;

/// A moment in the middle of a quarter-hour, a day and a month.
const UNTIL: UnixMillis = UnixMillis(1_546_400_000_000); // 2019-01-02T11:33:20+08:00
const SEED: u64 = 20_150_101;

fn pilot(id: &str) -> SimulatedPilot {
    demo(SEED).into_iter().find(|pilot| pilot.id.as_str() == id).unwrap()
}

fn json(message: &Message) -> Value {
    serde_json::from_slice(&message.payload).unwrap()
}

fn list<'a>(message: &'a Value, key: &str) -> &'a [Value] {
    message.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[test]
fn the_fleet_covers_every_region_class_and_eight_sectors() {
    let fleet = FleetStory::builtin();
    let distinct = |of: fn(&story::PilotStory) -> &String| fleet.pilot.iter().map(of).collect::<BTreeSet<_>>().len();
    assert_eq!(fleet.pilot.len(), 12);
    assert_eq!(distinct(|pilot| &pilot.region), 6);
    assert_eq!(distinct(|pilot| &pilot.class), 3);
    assert!(distinct(|pilot| &pilot.sector) >= 8);
}

#[test]
fn one_price_holds_during_every_baseline() {
    let fleet = FleetStory::builtin();
    for pilot in &fleet.pilot {
        assert!(pilot.product.len() <= physics::PRODUCTS && pilot.workshop.len() <= 2, "{}", pilot.id);
        let second = [fleet.tariffs[&pilot.tariffs][1].from, fleet.gas_price[1].from];
        assert!(second.iter().all(|from| i32::from(from.year()) > pilot.baseline[1]), "{}", pilot.id);
        for incident in pilot.incidents.late.iter().chain(&pilot.incidents.twice) {
            assert_eq!(incident.day(), 1, "{}: {incident}", pilot.id);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let hash = |seed| -> Vec<u64> {
        let one = |pilot: &SimulatedPilot| {
            let mut hash = 0u64;
            for message in pilot.history(UNTIL) {
                hash = message.payload.iter().fold(hash, |hash, &b| hash.wrapping_mul(31).wrapping_add(u64::from(b)));
            }
            hash
        };
        demo(seed).iter().take(2).map(one).collect()
    };
    assert_eq!(hash(SEED), hash(SEED));
    assert_ne!(hash(SEED), hash(SEED + 1));
}

#[test]
fn every_registry_is_valid_and_every_reading_resolves() {
    for pilot in demo(SEED) {
        let file = format!("{}.toml", pilot.id);
        let parsed = parse_pilot(&file, &pilot.registry).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        let mut seen = BTreeSet::new();
        for message in pilot.history(UnixMillis(physics::ZERO + 100 * physics::DAY_MS)) {
            let message = json(&message);
            for reading in list(&message, "readings") {
                let text = |key: &str| reading.get(key).and_then(Value::as_str).map(str::to_owned);
                seen.insert((text("asset").unwrap(), text("name").unwrap(), text("product")));
            }
            for event in list(&message, "orders") {
                let product = event["product"].as_str().unwrap();
                assert!(parsed.products.iter().any(|known| &*known.id == product), "{product}");
            }
        }
        for (asset, name, product) in &seen {
            assert!(parsed.resolve(asset, name, product.as_deref()).is_some(), "{asset} {name} {product:?}");
            let known = |product: &String| parsed.products.iter().any(|known| *known.id == **product);
            assert!(product.as_ref().is_none_or(known), "{product:?}");
        }
        assert!(seen.len() >= 6, "{seen:?}");
    }
}

#[test]
fn a_load_registry_is_valid() {
    let text = load::registry_text(7, 3);
    parse_pilot("load-0007.toml", &text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
}

#[test]
fn no_message_passes_the_limits_of_the_door() {
    for pilot in demo(SEED) {
        let (mut next, mut n_all, mut n_messages) = (BTreeMap::new(), 0, 0);
        let mut seen = BTreeSet::new();
        for message in pilot.history(UNTIL) {
            assert!(message.payload.len() <= 1 << 20, "{}: {} bytes", message.topic, message.payload.len());
            let parsed = json(&message);
            let n = list(&parsed, "readings").len() + list(&parsed, "orders").len();
            assert!((1..=10_000).contains(&n), "{}: {n} values", message.topic);
            n_messages += 1;
            if !seen.insert(message.payload) {
                continue;
            }
            n_all += n;
            let seq = next.entry(message.topic).or_insert(0);
            *seq += 1;
            assert_eq!((parsed["boot"].as_i64(), parsed["seq"].as_i64()), (Some(1), Some(*seq)));
        }
        let counted = (pilot.n_values(UNTIL), pilot.n_messages(UNTIL));
        assert_eq!((n_all as u64, n_messages), counted, "{}", pilot.id);
    }
}

#[test]
fn a_register_falls_only_where_the_registry_says_so() {
    for pilot in demo(SEED) {
        let story = &pilot.plant.story;
        let span = Span { after: telemetry::BEFORE_HISTORY, to: UnixMillis(1_700_000_000_000).0 };
        let register = telemetry::meters(&pilot.plant, span).filter_map(|item| match item {
            Item::Reading(reading) if reading.asset == METER => Some((reading.at, reading.value)),
            Item::Reading(_) | Item::Order(_) => None,
        });
        let register: Vec<(i64, u64)> = register.collect();
        let swaps: Vec<i64> = story.incidents.meter_swap.iter().map(|swap| swap.at.as_millisecond()).collect();
        let falls = register.windows(2).filter(|pair| pair[1].1 < pair[0].1);
        let (explained, rolled): (Vec<_>, Vec<_>) =
            falls.partition(|pair| swaps.iter().any(|swap| (pair[0].0..pair[1].0).contains(swap)));
        assert_eq!(explained.len(), swaps.len(), "{}", pilot.id);
        assert_eq!(rolled.len(), usize::from(story.meter.rollover.is_some()), "{}", pilot.id);
    }
}

/// What the last quarter-hour before a swap used is in `final`, what the first one after it used begins at `initial`.
#[test]
fn a_swap_loses_nothing() {
    for pilot in demo(SEED) {
        for (n, swap) in pilot.plant.story.incidents.meter_swap.iter().enumerate() {
            let at = swap.at.as_millisecond();
            let (before, after) = (at - physics::QUARTER_MS, at + physics::QUARTER_MS);
            let shown = |at| pilot.plant.shown(at, pilot.plant.used(at));
            let used = pilot.plant.used(after) - pilot.plant.used(before);
            let (last, first) = (pilot.plant.final_of_swap(n), physics::hundredths(swap.initial));
            assert_eq!(last - shown(before) + shown(after) - first, used, "{}", pilot.id);
            assert!(pilot.registry.contains(&format!("final = {}.{:02}\n", last / 100, last % 100)), "{}", pilot.id);
        }
    }
}

#[test]
fn history_and_live_meet_without_gap_or_overlap() {
    let pilot = pilot("dushanzi-additive");
    let later = UnixMillis(UNTIL.0 + 3 * physics::DAY_MS);
    let key = |reading: &Value| {
        let at =
            reading["at"].as_i64().unwrap_or_else(|| UnixMillis::parse(reading["at"].as_str().unwrap()).unwrap().0);
        let text = |key: &str| reading.get(key).map_or(String::new(), Value::to_string);
        let identity = [text("asset"), text("name"), text("product"), text("order"), text("event")].join(" ");
        ((at, identity), reading.get("value").cloned())
    };
    let all = |messages: Vec<Message>| {
        let mut values = Vec::new();
        for message in &messages {
            let message = json(message);
            values.extend(list(&message, "readings").iter().chain(list(&message, "orders")).map(key));
        }
        values
    };
    let early = all(pilot.history(UNTIL).collect());
    let middle = UnixMillis(UNTIL.0 + physics::DAY_MS);
    let mut live = all(pilot.live(UNTIL, middle));
    live.extend(all(pilot.live(middle, later)));
    let joined: BTreeMap<_, _> = early.iter().chain(&live).cloned().collect();
    assert_eq!(joined.len(), early.len() + live.len(), "a reading came twice");
    for (identity, value) in all(pilot.history(later).collect()) {
        assert_eq!(joined.get(&identity), Some(&value), "{identity:?}");
    }
}

#[test]
fn a_live_gateway_counts_its_messages() {
    let pilot = pilot("hami-wind-blade");
    let mut seqs = Vec::new();
    for step in 0..3 {
        let from = UNTIL.plus(step * LIVE_STEP_MS);
        for message in
            pilot.live(from, from.plus(LIVE_STEP_MS)).iter().filter(|message| message.topic.ends_with("meters"))
        {
            let message = json(message);
            seqs.push((message["boot"].as_i64().unwrap(), message["seq"].as_i64().unwrap()));
        }
    }
    let boot = UNTIL.0 / 1000;
    assert_eq!(seqs, [(boot, 1), (boot, 2), (boot, 3)]);
}

/// Energy, pieces and rejects of a year as they were sent, against what the story expects.
#[test]
fn a_year_adds_up_to_its_expectation() {
    for pilot in demo(SEED) {
        let (from, end) =
            (physics::day_index(jiff::civil::date(2018, 1, 1)), physics::day_index(jiff::civil::date(2019, 1, 1)));
        let plant = &pilot.plant;
        let (mut expected, mut made, mut defective) = ([0.0; 3], 0, 0);
        for index in from..end {
            let day = physics::expected(&plant.story, index);
            let row = plant.row(index).unwrap();
            expected[0] += day.kwh();
            expected[1] += day.made.iter().sum::<f64>();
            expected[2] += day.defective.iter().sum::<f64>();
            made += row.made.iter().sum::<u32>();
            defective += row.defective.iter().sum::<u32>();
        }
        let steps = plant.row(end).unwrap().register - plant.row(from).unwrap().register;
        let sent = [steps as f64 / 100.0 * plant.story.meter.multiplier, f64::from(made), f64::from(defective)];
        for (what, (sent, expected)) in ["kWh", "pieces", "rejects"].iter().zip(sent.iter().zip(expected)) {
            let off = sent / expected - 1.0;
            assert!(off.abs() < 0.005, "{} {what}: {sent} for {expected}, {:.2} %", pilot.id, off * 100.0);
        }
    }
}
