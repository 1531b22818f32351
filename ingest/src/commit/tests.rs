//! Tests of the committer: the judge and the sessions as pure state, the thread against a real store.

use model::reason::{Reason, Refusal, RefusedPart};
use model::{GatewayId, PilotId, Quality, Reading, SeriesId, Value};
use proptest::prelude::*;
use store::{HeldChange, RejectedMessage, SequenceSeen, Session, SessionChange, WholeOrParts};

use super::judge::Judge;
use super::message::Fate;
use super::sessions::{EXPIRY_NEVER, SESSIONS_MAX, Sessions};
use super::*;
use crate::normalize::fixture::Plant;

const NOW: UnixMillis = UnixMillis(1_740_787_800_000);

fn judge() -> Judge {
    Judge::new(Sessions::default(), Vec::new())
}

fn client(id: &str, connection: u64) -> Client {
    Client { id: id.into(), connection, key: id.len() as u64 }
}

fn open(client: &Client, expiry_s: u32) -> Open {
    let mailbox = Arc::new(Mailbox::new(client.connection));
    Open { client_id: Arc::clone(&client.id), login: None, start: Start::Resume, expiry_s, mailbox }
}

fn reading() -> (SeriesId, Reading) {
    let value = Some(Value::from_i64(1));
    (SeriesId(0), Reading { at: NOW, value, quality: Quality::Good, flags: Default::default(), id: None })
}

fn refused(reason: Reason, whole: WholeOrParts) -> Box<RejectedMessage> {
    let refusals = vec![Refusal { reason, part: RefusedPart::Message, detail: "d".to_owned() }];
    let topic = "t".to_owned();
    let (pilot, login, bytes) = (None, None, Vec::new());
    Box::new(RejectedMessage {
        at: NOW,
        topic,
        pilot,
        login,
        bytes,
        size: 0,
        hash: 0,
        whole,
        refusals,
        retained: false,
    })
}

fn accepted(delivery: Delivery, hash: u128, is_timed: bool) -> Prepared {
    let fate = Fate::Accepted { readings: vec![reading()], orders: Vec::new(), is_timed };
    Prepared { delivery, hash, fate, sequence: None, kept: None, learned: None }
}

fn rejected(delivery: Delivery, reason: Reason) -> Prepared {
    let kept = Some(refused(reason, WholeOrParts::Whole));
    Prepared { delivery, hash: 0, fate: Fate::Rejected, sequence: None, kept, learned: None }
}

fn qos1(packet_id: u16, dup: bool) -> Delivery {
    Delivery::AtLeastOnce { packet_id, dup }
}

/// Judges these messages of one client as one batch.
fn batch(judge: &mut Judge, messages: Vec<Prepared>) -> (Batch, Vec<Ack>) {
    let mut batch = Batch::default();
    let items = messages.into_iter().map(|message| Item::Publish(Box::new(message))).collect();
    let acks = judge.messages(&client("gw", 1), items, &mut batch);
    (batch, acks)
}

#[track_caller]
fn check(batch: &Batch, committed: u64, duplicate: u64, rejected: u64) {
    let counters = &batch.counters;
    let n_rejected = counters.rejected.iter().sum::<u64>();
    assert_eq!((counters.committed, counters.duplicate, n_rejected), (committed, duplicate, rejected));
    assert_eq!(counters.received, committed + duplicate + rejected);
    assert_eq!(counters.readings, batch.readings.len() as u64);
}

#[test]
fn a_timed_message_is_a_duplicate_in_its_own_batch_and_in_later_ones() {
    let mut judge = judge();
    let (first, acks) = batch(&mut judge, vec![accepted(qos1(1, false), 7, true), accepted(qos1(2, false), 7, true)]);
    check(&first, 1, 1, 0);
    assert_eq!(first.hashes, [7]);
    assert_eq!(acks.iter().map(|ack| ack.packet_id).collect::<Vec<_>>(), [1, 2]);
    let (second, _) = batch(&mut judge, vec![accepted(Delivery::AtMostOnce, 7, true)]);
    check(&second, 0, 1, 0);
    let mut restarted = Judge::new(Sessions::default(), first.hashes);
    check(&batch(&mut restarted, vec![accepted(qos1(9, true), 7, true)]).0, 0, 1, 0);
}

#[test]
fn a_timeless_message_is_a_redelivery_only_of_the_last_one_under_its_packet_id() {
    let mut judge = judge();
    check(&batch(&mut judge, vec![accepted(qos1(1, false), 7, false)]).0, 1, 0, 0);
    check(&batch(&mut judge, vec![accepted(qos1(1, true), 7, false)]).0, 0, 1, 0);
    // Without DUP it is the same value again, at another time.
    check(&batch(&mut judge, vec![accepted(qos1(1, false), 7, false)]).0, 1, 0, 0);
    // Under another id, or after another message under this id, DUP says nothing.
    check(&batch(&mut judge, vec![accepted(qos1(2, true), 7, false)]).0, 1, 0, 0);
    check(&batch(&mut judge, vec![accepted(qos1(1, false), 8, false)]).0, 1, 0, 0);
    check(&batch(&mut judge, vec![accepted(qos1(1, true), 7, false)]).0, 1, 0, 0);
    check(&batch(&mut judge, vec![accepted(qos1(1, false), 9, true)]).0, 1, 0, 0);
    check(&batch(&mut judge, vec![accepted(qos1(1, true), 7, false)]).0, 1, 0, 0);
    // Nor does it for a message without an id.
    check(&batch(&mut judge, vec![accepted(Delivery::AtMostOnce, 7, false)]).0, 1, 0, 0);
}

#[test]
fn a_rejected_message_is_never_a_duplicate() {
    let mut judge = judge();
    let again = || rejected(qos1(1, true), Reason::BadJson);
    let (batch, acks) = batch(&mut judge, vec![again(), again()]);
    check(&batch, 0, 0, 2);
    assert_eq!(batch.rejections.len(), 2);
    assert!(batch.hashes.is_empty());
    assert_eq!(acks[0].verdict, Verdict::Refused("bad_json: d".into()));
}

#[test]
fn refused_parts_count_in_readings_and_keep_the_message() {
    let mut judge = judge();
    let mut message = accepted(qos1(1, false), 7, true);
    message.kept = Some(refused(Reason::WrongUnit, WholeOrParts::Parts));
    let (batch, acks) = batch(&mut judge, vec![message]);
    check(&batch, 1, 0, 0);
    assert_eq!(batch.counters.refused[Reason::WrongUnit.index()], 1);
    assert_eq!(batch.rejections.len(), 1);
    assert!(matches!(acks[0].verdict, Verdict::Refused(_)));
}

#[test]
fn a_sequence_number_with_other_bytes_is_processed_and_counted() {
    let mut judge = judge();
    let sequence = SequenceSeen {
        pilot: PilotId::parse("p-1").unwrap(),
        gateway: GatewayId::parse("gw").unwrap(),
        boot: 7,
        seq: 1,
    };
    let with = |hash, sequence: &SequenceSeen| Prepared {
        sequence: Some(sequence.clone()),
        ..accepted(qos1(1, false), hash, true)
    };
    let (first, _) = batch(&mut judge, vec![with(1, &sequence), with(1, &sequence), with(2, &sequence)]);
    check(&first, 2, 1, 0);
    assert_eq!((first.counters.sequence_reused, first.sequences.len()), (1, 1));
    let (second, _) = batch(&mut judge, vec![with(3, &SequenceSeen { boot: 8, ..sequence })]);
    assert_eq!((second.counters.sequence_reused, second.sequences.len()), (0, 1));
}

#[test]
fn a_qos_2_message_that_is_not_authorized_holds_no_id() {
    let mut judge = judge();
    let gw = client("gw", 1);
    judge.sessions.open(open(&gw, 60), NOW, &mut Batch::default());
    let twice = |reason| rejected(Delivery::ExactlyOnce { packet_id: 3, dup: false }, reason);
    let (first, _) = batch(&mut judge, vec![twice(Reason::NotAuthorized)]);
    assert!(first.held.is_empty());
    let (second, _) = batch(&mut judge, vec![twice(Reason::BadJson)]);
    assert_eq!(second.held, [HeldChange::Hold { client_id: "gw".to_owned(), packet_id: 3, hash: 0 }]);
}

#[test]
fn what_a_connection_sent_before_it_was_taken_over_is_committed_but_holds_nothing() {
    let mut judge = judge();
    judge.sessions.open(open(&client("gw", 1), 60), NOW, &mut Batch::default());
    judge.sessions.open(open(&client("gw", 2), 60), NOW, &mut Batch::default());
    let twice = accepted(Delivery::ExactlyOnce { packet_id: 3, dup: false }, 8, true);
    let (batch, acks) = batch(&mut judge, vec![accepted(qos1(1, false), 7, true), twice]);
    check(&batch, 1, 0, 0);
    assert!(batch.held.is_empty());
    assert_eq!(acks.len(), 1);
}

#[test]
fn a_session_expires_after_its_last_connection_and_not_before() {
    let gw = client("gw", 1);
    let mut sessions = Sessions::default();
    let mut changes = Batch::default();
    assert_eq!(sessions.open(open(&gw, 60), NOW, &mut changes), Opened::New);
    assert!(matches!(changes.sessions[..], [SessionChange::Put(_)]));
    let later = NOW.plus(3_600_000);
    let mut changes = Batch::default();
    sessions.expire(later, &mut changes);
    assert_eq!(changes, Batch::default());
    sessions.close("gw", 1, None, later, &mut changes);
    sessions.expire(later.plus(59_999), &mut changes);
    assert_eq!(changes, Batch::default());
    sessions.expire(later.plus(60_000), &mut changes);
    let removed = SessionChange::Remove { client_id: "gw".to_owned() };
    assert_eq!((changes.sessions, changes.held.len()), (vec![removed], 1));
}

#[test]
fn a_session_without_expiry_ends_with_its_connection_and_is_never_stored() {
    let mut sessions = Sessions::default();
    let mut changes = Batch::default();
    assert_eq!(sessions.open(open(&client("gw", 1), 0), NOW, &mut changes), Opened::New);
    assert_eq!(sessions.open(open(&client("gw", 2), 0), NOW, &mut changes), Opened::New);
    sessions.close("gw", 2, Some(60), NOW, &mut changes);
    assert_eq!(sessions.open(open(&client("gw", 3), 0), NOW, &mut changes), Opened::New);
    assert_eq!(changes, Batch::default());
}

#[test]
fn the_session_that_has_been_gone_longest_makes_room() {
    let stored = (0..SESSIONS_MAX).map(|index| Session {
        client_id: format!("gw-{index:05}"),
        login: None,
        expiry_s: EXPIRY_NEVER,
        subscriptions: Vec::new(),
        last_seen: NOW,
    });
    let mut sessions = Sessions::restore(stored.collect(), Vec::new(), NOW);
    let mut changes = Batch::default();
    let back = client("gw-00000", 1);
    assert_eq!(sessions.open(open(&back, EXPIRY_NEVER), NOW, &mut changes), Opened::Resumed(Vec::new()));
    sessions.close(&back.id, 1, None, NOW.plus(1), &mut changes);
    assert_eq!(sessions.open(open(&client("new", 2), 60), NOW, &mut changes), Opened::New);
    assert_eq!(changes.sessions[0], SessionChange::Remove { client_id: "gw-00001".to_owned() });
}

#[test]
fn the_queue_hands_back_what_does_not_fit_and_takes_it_once_there_is_room() {
    let queue = Queue::default();
    let work = || Work::Messages {
        client: client("gw", 1),
        mailbox: Arc::new(Mailbox::new(1)),
        items: Vec::new(),
        bytes: queue::QUEUE_BYTES_MAX / 2,
        received_at: NOW,
    };
    assert!(queue.push(work()).is_ok());
    assert!(queue.push(work()).is_ok());
    assert!(matches!(queue.push(work()), Err(Push::Full(_))));
    // Larger than a commit may be, it goes alone.
    assert!(matches!(queue.take(Duration::ZERO), Taken::Some(works) if works.len() == 1));
    assert!(queue.push(work()).is_ok());
    queue.close();
    assert!(matches!(queue.push(work()), Err(Push::Closed)));
    assert!(matches!(queue.take(Duration::ZERO), Taken::Some(_)));
    assert!(matches!(queue.take(Duration::ZERO), Taken::Some(_)));
    assert!(matches!(queue.take(Duration::ZERO), Taken::End));
}

#[test]
fn a_ready_made_batch_is_committed_and_numbered() {
    let plant = Plant::new();
    let committer = Committer::start(plant.store()).unwrap();
    let handle = committer.handle();
    let ready = Batch { hashes: vec![7], ..Batch::default() };
    let first = handle.submit_blocking(ready.clone()).unwrap();
    let second = handle.submit_blocking(ready).unwrap();
    assert!(second > first);
    assert_eq!(plant.store().recent_hashes().unwrap().len(), 2);
    assert_eq!((handle.state(), handle.metrics().in_flight(), handle.oldest_waiting_ms(NOW)), (DoorState::Open, 0, 0));
    assert_eq!(handle.metrics().commits(), handle.metrics().commit_buckets().iter().sum::<u64>());
    committer.stop();
    assert!(matches!(handle.submit_blocking(Batch::default()), Err(CommitError::Stopped)));
}

/// Any message, from few enough bytes and ids that they meet.
fn any_message() -> impl Strategy<Value = Prepared> {
    let delivery = (0u8..3, 1u16..4, any::<bool>()).prop_map(|(qos, packet_id, dup)| match qos {
        0 => Delivery::AtMostOnce,
        1 => Delivery::AtLeastOnce { packet_id, dup },
        _ => Delivery::ExactlyOnce { packet_id, dup },
    });
    (delivery, 0u128..6, any::<bool>(), 0usize..24).prop_map(|(delivery, hash, is_timed, kind)| {
        match Reason::ALL.get(kind) {
            Some(reason) => Prepared { hash, ..rejected(delivery, *reason) },
            None => accepted(delivery, hash, is_timed),
        }
    })
}

proptest! {
    #[test]
    fn every_message_is_counted_once_and_answered_once(
        batches in proptest::collection::vec(proptest::collection::vec(any_message(), 0..12), 0..6),
    ) {
        let mut judge = judge();
        judge.sessions.open(open(&client("gw", 1), 60), NOW, &mut Batch::default());
        for messages in batches {
            let n_messages = messages.len() as u64;
            let asking: Vec<Delivery> =
                messages.iter().map(|m| m.delivery).filter(|d| *d != Delivery::AtMostOnce).collect();
            let (batch, acks) = batch(&mut judge, messages);
            let counters = &batch.counters;
            let n_rejected = counters.rejected.iter().sum::<u64>();
            prop_assert_eq!(counters.received, n_messages);
            prop_assert_eq!(counters.received, counters.committed + counters.duplicate + n_rejected);
            prop_assert_eq!(counters.committed, batch.readings.len() as u64);
            prop_assert_eq!(n_rejected, batch.rejections.len() as u64);
            let answered: Vec<u16> =
                acks.iter().filter(|ack| ack.step != Step::Nothing).map(|ack| ack.packet_id).collect();
            let asked: Vec<u16> = asking
                .iter()
                .map(|delivery| match delivery {
                    Delivery::AtMostOnce => 0,
                    Delivery::AtLeastOnce { packet_id, .. } | Delivery::ExactlyOnce { packet_id, .. } => *packet_id,
                })
                .collect();
            prop_assert_eq!(answered, asked);
        }
    }
}
