//! Replaying kept messages under a mended registry, and adopting what came before its series was registered.

use model::reason::RefusedPart;
use model::{Flags, Quality, Value};
use store::{Counters, RejectedMessage};

use super::*;
use crate::normalize::fixture::{PLANT, Plant, RECEIVED_AT, observed, pilot_id, timed};
use crate::normalize::{Outcome, normalize};

const OVEN: &str = r#"
[[series]]
asset = "oven"
name = "gas"
quantity = "energy.natural_gas"
kind = "delta"
unit = "m3"
plausible = [0, 1000]
"#;

/// The row that the store would keep of this message under this index.
fn row(observation: &Observation, index: &Index) -> RejectionRow {
    let (whole, refusals) = match normalize(observation, &Identity::Anonymous, index) {
        Outcome::Accepted(accepted) => (WholeOrParts::Parts, accepted.refusals),
        Outcome::Rejected(rejected) => (WholeOrParts::Whole, rejected.refusals),
    };
    let message = RejectedMessage {
        at: observation.received_at,
        topic: observation.topic.clone(),
        pilot: Some(pilot_id()),
        login: None,
        bytes: observation.payload.to_vec(),
        size: observation.payload.len() as u64,
        hash: 7,
        whole,
        refusals,
        retained: observation.retained,
    };
    RejectionRow { id: 3, message, times: 2, last_at: observation.received_at, has_bytes: true, replayed: false }
}

fn places(refusals: &[Refusal]) -> Vec<(Reason, RefusedPart)> {
    refusals.iter().map(|refusal| (refusal.reason, refusal.part)).collect()
}

#[test]
fn a_message_rejected_whole_is_taken_once_the_registry_knows_its_product() {
    let plant = Plant::new();
    let message = timed(
        r#"{"asset":"line-a","name":"good","product":"C1","value":3},{"asset":"line-a","name":"good","product":"D1","value":4}"#,
    );
    let row = row(&message, &plant.index);
    assert_eq!(replay(&row, &plant.index), None);

    let batch = replay(&row, &plant.under(&format!("{PLANT}[[product]]\nid = \"C1\"\n"))).unwrap();
    assert_eq!(batch.readings.len(), 1);
    let mut refused = Counters::default();
    refused.refused[Reason::UnknownProduct.index()] = 2;
    refused.readings = 1;
    assert_eq!(batch.counters, refused);
    assert_eq!(places(&batch.replayed[0].mended), [(Reason::UnknownProduct, RefusedPart::Reading(0))]);
    assert_eq!(places(&batch.replayed[0].remaining), [(Reason::UnknownProduct, RefusedPart::Reading(1))]);
    assert_eq!((batch.replayed[0].rejection, batch.hashes), (3, vec![7]));
}

#[test]
fn only_the_refused_parts_of_a_committed_message_are_taken_again() {
    let plant = Plant::new();
    let message = timed(
        r#"{"asset":"press-01","name":"power","value":1},{"asset":"line-a","name":"good","product":"C1","value":3},7"#,
    );
    let row = row(&message, &plant.index);
    assert_eq!(replay(&row, &plant.index), None);
    let batch = replay(&row, &plant.under(&format!("{PLANT}[[product]]\nid = \"C1\"\n"))).unwrap();
    let values: Vec<Option<Value>> = batch.readings.iter().map(|(_, reading)| reading.value).collect();
    assert_eq!(values, [Some(Value::Int(3))]);
    assert_eq!(places(&batch.replayed[0].mended), [(Reason::UnknownProduct, RefusedPart::Reading(1))]);
    assert_eq!(places(&batch.replayed[0].remaining), [(Reason::BadField, RefusedPart::Reading(2))]);
    assert_eq!(batch.counters, Counters { readings: 1, ..Counters::default() });
}

#[test]
fn a_reading_kept_unregistered_was_counted_when_it_came() {
    let plant = Plant::new();
    let row = row(&timed(r#"{"asset":"oven","name":"gas","value":5}"#), &plant.index);
    assert_eq!(replay(&row, &plant.index), None);
    let batch = replay(&row, &plant.under(&format!("{PLANT}{OVEN}"))).unwrap();
    assert_eq!(batch.readings.len(), 1);
    assert_eq!(batch.counters, Counters::default());
    assert_eq!(places(&batch.replayed[0].mended), [(Reason::UnknownSeries, RefusedPart::Reading(0))]);
}

#[test]
fn a_part_that_fails_otherwise_now_is_counted_under_its_new_reason() {
    let plant = Plant::new();
    let row = row(&timed(r#"{"asset":"oven","name":"gas","value":5000}"#), &plant.index);
    let batch = replay(&row, &plant.under(&format!("{PLANT}{OVEN}"))).unwrap();
    assert_eq!((batch.readings.len(), batch.counters.refused[Reason::Implausible.index()]), (0, 2));
    assert_eq!(places(&batch.replayed[0].remaining), [(Reason::Implausible, RefusedPart::Reading(0))]);
}

#[test]
fn what_cannot_be_replayed_is_left_alone() {
    let plant = Plant::new();
    let next = plant.under(&format!("{PLANT}{OVEN}"));
    let row = row(&timed(r#"{"asset":"oven","name":"gas","value":5}"#), &plant.index);
    let check = |change: &dyn Fn(&mut RejectionRow)| {
        let mut changed = row.clone();
        change(&mut changed);
        assert_eq!(replay(&changed, &next), None);
    };
    check(&|row| row.has_bytes = false);
    check(&|row| row.replayed = true);
    check(&|row| row.message.size += 1);
    check(&|row| row.message.refusals[0].reason = Reason::NotAuthorized);
    check(&|row| row.message.bytes[0] = b'[');
}

#[test]
fn a_replayed_message_keeps_its_own_time_of_receipt() {
    let plant = Plant::new();
    let message = observed(
        r#"{"readings":[{"asset":"press-01","name":"heat","value":5},{"asset":"press-01","name":"power","value":1}]}"#,
    );
    let row = row(&message, &plant.index);
    let heat = "[[series]]\nasset = \"press-01\"\nname = \"heat\"\nquantity = \"energy.heat\"\nkind = \"counter\"\nunit = \"MJ\"\n";
    let batch = replay(&row, &plant.under(&format!("{PLANT}{heat}"))).unwrap();
    assert_eq!((batch.readings[0].1.at, batch.readings[0].1.flags), (RECEIVED_AT, Flags::RECEIVED_TIME));
    assert!(batch.hashes.is_empty());
}

/// Commits what a message of unregistered readings gives, and settles it.
fn commit(plant: &Plant, journal: &mut store::Journal, readings: &str) {
    let Outcome::Accepted(accepted) = normalize(&timed(readings), &Identity::Anonymous, &plant.index) else {
        panic!("rejected: {readings}");
    };
    let batch = Batch { readings: accepted.readings, ..Batch::default() };
    journal.commit(RECEIVED_AT, &batch).unwrap();
    plant.store().settle_now().unwrap();
}

#[test]
fn readings_of_a_series_registered_later_are_checked_and_converted_as_on_arrival() {
    let plant = Plant::new();
    let mut journal = plant.store().journal().unwrap();
    let at = |day: i64| 1_700_000_000_000 + day * 86_400_000;
    let reading = |day: i64, value: &str| {
        format!(r#"{{"asset":"oven","name":"gas","at":{},"unit":"L","value":{value},"id":"i{day}"}}"#, at(day))
    };
    commit(&plant, &mut journal, &[reading(0, "2500"), reading(1, "-1"), reading(300, "7")].join(","));
    commit(
        &plant,
        &mut journal,
        r#"{"asset":"oven","name":"gas","unit":"kWh","value":7},{"asset":"oven","name":"gas","quality":"bad"}"#,
    );

    let adopted = |index: &Index| -> Vec<Batch> {
        adopt(&pilot_id(), index, plant.store()).unwrap().collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(adopted(&plant.index), []);
    let next = plant.under(&format!("{PLANT}{OVEN}"));
    let batches = adopted(&next);
    let mut readings: Vec<Reading> =
        batches.iter().flat_map(|batch| &batch.readings).map(|(_, one)| one.clone()).collect();
    readings.sort_by(Reading::cmp_identity);
    let values: Vec<Option<Value>> = readings.iter().map(|reading| reading.value).collect();
    assert_eq!(values, [Some(Value::Float(2.5)), Some(Value::Float(0.007)), None]);
    assert_eq!(readings[2].quality, Quality::Bad);
    let refused = |reason: Reason| batches.iter().map(|batch| batch.counters.refused[reason.index()]).sum::<u64>();
    assert_eq!((refused(Reason::Implausible), refused(Reason::WrongUnit)), (1, 1));
    assert!(batches.iter().all(|batch| batch.counters.readings == 0));

    for batch in &batches {
        journal.commit(RECEIVED_AT, batch).unwrap();
    }
    plant.store().settle_now().unwrap();
    assert_eq!(adopted(&next), []);

    // Unregistered again for a while: what came meanwhile is taken at the next registration, the rest stands already.
    assert_eq!(adopted(&plant.index), []);
    commit(&plant, &mut journal, &reading(5, "1000"));
    let values: Vec<Option<Value>> =
        adopted(&next).iter().flat_map(|batch| &batch.readings).map(|(_, one)| one.value).collect();
    assert_eq!(values, [Some(Value::Int(1))]);
}

#[test]
fn adopting_gives_batches_of_bounded_size() {
    let plant = Plant::new();
    let mut journal = plant.store().journal().unwrap();
    let readings: Vec<String> = (0..9_000)
        .map(|n: i64| format!(r#"{{"asset":"oven","name":"gas","at":{},"value":1}}"#, 1_700_000_000_000 + n * 1_000))
        .collect();
    commit(&plant, &mut journal, &readings.join(","));
    let later = readings.iter().map(|reading| reading.replacen("1700", "1701", 1));
    commit(&plant, &mut journal, &later.collect::<Vec<_>>().join(","));
    let next = plant.under(&format!("{PLANT}{OVEN}"));
    let sizes: Vec<usize> =
        adopt(&pilot_id(), &next, plant.store()).unwrap().map(|batch| batch.unwrap().readings.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 18_000);
    assert!(sizes.iter().all(|&size| size <= ADOPT_BATCH));
}

const ROWS: &str = r#"
[[rule]]
name = "rows"
topics = ["plant/rows"]
each = [{ rows = "$.vals" }]
time = [{ path = "$.ts", format = "unix_ms" }]
asset = "press-01"
metric = "{row.n}"
value = "row.v"
"#;
const IGNORES: &str =
    "[[metric]]\nmatch = \"Status\"\nignore = true\n[[metric]]\nmatch = \"power\"\nenum = { high = 5 }\n";

fn login() -> Identity {
    Identity::Login { name: "gw".to_owned(), pilot: pilot_id(), gateway: None }
}

/// A message of [`ROWS`] as the store keeps it, sent by a login, whose pilot the topic is then.
fn row_of(payload: &str, index: &Index) -> RejectionRow {
    let observation = Observation { topic: "plant/rows".to_owned(), ..observed(payload) };
    let Outcome::Accepted(accepted) = normalize(&observation, &login(), index) else { panic!("rejected") };
    let mut row = row(&observation, index);
    (row.message.whole, row.message.refusals) = (WholeOrParts::Parts, accepted.refusals);
    row.message.login = Some("gw".to_owned());
    row
}

#[test]
fn what_is_ignored_keeps_its_place_so_that_the_refused_part_is_found_again() {
    let plant = Plant::new();
    let payload =
        r#"{"ts":1740787200000,"vals":[{"n":"Status","v":"ON"},{"n":"power","v":1.5},{"n":"power","v":"high"}]}"#;
    let row = row_of(payload, &plant.mapped(ROWS));
    assert_eq!(
        places(&row.message.refusals),
        [(Reason::BadField, RefusedPart::Reading(0)), (Reason::BadField, RefusedPart::Reading(2))]
    );
    let batch = replay(&row, &plant.mapped(&format!("{ROWS}{IGNORES}"))).unwrap();
    let values: Vec<Option<Value>> = batch.readings.iter().map(|(_, reading)| reading.value).collect();
    assert_eq!(values, [Value::from_f64(5.0)], "the one that was refused, not its neighbour once more");
    assert_eq!(batch.replayed[0].remaining, []);
}

#[test]
fn a_part_that_other_rules_no_longer_give_stays_refused_with_its_bytes() {
    let plant = Plant::new();
    let payload = r#"{"ts":1740787200000,"vals":[{"n":"power","v":"off"},{"n":"power","v":1.5},{"n":"power","v":"high"}],
        "few":[{"n":"power","v":"high"}]}"#;
    let row = row_of(payload, &plant.mapped(ROWS));
    let fewer = format!("{}{IGNORES}", ROWS.replace("$.vals", "$.few"));
    let batch = replay(&row, &plant.mapped(&fewer)).unwrap();
    assert_eq!(places(&batch.replayed[0].remaining), [(Reason::BadField, RefusedPart::Reading(2))]);
}
