//! What the client library, brokers and the protocol do that loses or doubles messages in silence: one test each, in both
//! versions of the protocol where both have it.

use tokio::io::AsyncWriteExt;

use super::fake::PATIENCE;
use super::*;

const SPARKPLUG_TOPIC: &str = "spBv1.0/g/NDATA/e";
const SHORT: Duration = Duration::from_millis(300);

/// Waits until a condition holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{what}");
}

/// The library's limit is 10 KiB, and what is larger blocks everything behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_message_over_our_limit_is_counted_and_what_follows_comes() {
    for protocol in BOTH {
        let world = World::new(&[]).await;
        let broker = world.start(protocol, |_| {}).await;
        let (mut link, _) = world.fake.welcome(false).await;
        link.publish(&Message { payload: vec![b' '; 3 << 20], ..message(1, 1) }).await;
        link.publish(&message(2, 2)).await;
        assert_eq!((link.acknowledged().await, link.acknowledged().await), (1, 2));
        let counters = world.plant.store().counters();
        assert_eq!(counters.rejected[model::reason::Reason::TooLarge.index()], 1);
        assert_eq!(counters.received, 2);
        broker.stop().await;
    }
}

/// What is announced a broker must drop in silence when it is exceeded; what is not announced has defaults of the broker's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limits_that_mqtt_5_announces_are_the_configured_ones_and_no_packet_exceeds_the_largest() {
    let world = World::new(&[]).await;
    let broker = world.start(MqttVersion::V5, |config| config.receive_maximum = 77).await;
    let (link, _) = world.fake.welcome(false).await;
    let largest = 1 + 4 + 268_435_455; // First byte, four bytes of length, and what four bytes can say.
    assert_eq!(link.connect.packet_bytes_max, Some(largest));
    assert_eq!((link.connect.receive_maximum, link.connect.session_expiry_s), (Some(77), Some(7 * 24 * 3600)));
    assert!(!link.connect.is_clean);
    broker.stop().await;
}

/// The task that polls must not be the one that waits for room for an acknowledgement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_acknowledgements_than_any_channel_holds_leave_in_order_and_nothing_locks_up() {
    for protocol in BOTH {
        let world = World::new(&[]).await;
        let broker = world.start(protocol, |config| config.receive_maximum = u16::MAX).await;
        let (mut link, _) = world.fake.welcome(false).await;
        let n = 5_000;
        for packet_id in 1..=n {
            link.publish(&message(packet_id, u64::from(packet_id))).await;
        }
        for packet_id in 1..=n {
            assert_eq!(link.acknowledged().await, packet_id);
        }
        assert_eq!(world.counts(), (u64::from(n), u64::from(n), 0));
        broker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledgements_leave_in_the_order_of_receipt_also_for_what_is_not_ours() {
    for protocol in BOTH {
        let world = World::new(&[]).await;
        // The Sparkplug connection takes Sparkplug topics; a wide filter brings them here too.
        let broker = world.start(protocol, |config| config.sparkplug = Sparkplug::IfBound).await;
        let (mut link, _) = world.fake.welcome(false).await;
        for packet_id in 1..=90 {
            let mut next = message(packet_id, u64::from(packet_id));
            if packet_id % 3 > 0 {
                next.topic = SPARKPLUG_TOPIC.to_owned();
            }
            link.publish(&next).await;
        }
        for packet_id in 1..=90 {
            assert_eq!(link.acknowledged().await, packet_id);
        }
        assert_eq!(world.counts().0, 30);
        broker.stop().await;
    }
}

/// That a session is gone is a flag in CONNACK and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_the_broker_forgot_is_subscribed_again_and_counted() {
    for protocol in BOTH {
        let world = World::new(&["neuron/gw1/#"]).await;
        let broker = world.start(protocol, |_| {}).await;
        let (link, first) = world.fake.welcome(false).await;
        let paths: Vec<&str> = first.iter().map(|filter| &*filter.path).collect();
        assert_eq!(paths, ["neuron/gw1/#", "pilotline/v1/p-1/+"]);
        assert!(first.iter().all(|filter| filter.qos() == 1 && !filter.wants_only_new()), "{first:?}");
        drop(link);
        let (link, with_session) = world.fake.welcome(true).await;
        assert_eq!((with_session.len(), broker.status().session_lost()), (0, 0));
        drop(link);
        let (_link, again) = world.fake.welcome(false).await;
        assert_eq!(again.iter().map(|filter| &*filter.path).collect::<Vec<_>>(), paths);
        // What is retained was taken before; MQTT 3.1.1 cannot say so.
        assert!(again.iter().all(|filter| filter.wants_only_new() == (protocol == MqttVersion::V5)), "{again:?}");
        assert_eq!((broker.status().session_lost(), broker.status().reconnects()), (1, 2));
        broker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledgements_that_a_broker_lost_are_given_again_and_nothing_counts_twice() {
    for protocol in BOTH {
        let world = World::new(&[]).await;
        let broker = world.start(protocol, |_| {}).await;
        let (mut link, _) = world.fake.welcome(false).await;
        for packet_id in 1..=10 {
            link.publish(&message(packet_id, u64::from(packet_id))).await;
        }
        for packet_id in 1..=10 {
            assert_eq!(link.acknowledged().await, packet_id);
        }
        drop(link); // It has forgotten the acknowledgements.
        let (mut link, _) = world.fake.welcome(true).await;
        for packet_id in 1..=10 {
            link.publish(&again(packet_id, u64::from(packet_id))).await;
        }
        for packet_id in 1..=10 {
            assert_eq!(link.acknowledged().await, packet_id);
        }
        assert_eq!(world.counts(), (20, 10, 10));
        broker.stop().await;
    }
}

/// The library drops acknowledgements that it has queued when a connection ends, not those that are given to it afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_acknowledgement_stays_with_the_connection_that_brought_the_message() {
    for protocol in BOTH {
        let world = World::new(&[]).await;
        let broker = world.start(protocol, |_| {}).await;
        let (mut link, _) = world.fake.welcome(false).await;
        link.publish(&message(7, 1)).await;
        drop(link); // Gone before the commit could be acknowledged.
        let (mut link, _) = world.fake.welcome(true).await;
        assert_eq!(link.read_within(SHORT).await, None, "an acknowledgement nobody asked for");
        link.publish(&again(7, 1)).await;
        assert_eq!(link.acknowledged().await, 7);
        broker.stop().await;
    }
}

/// While connected no broker sends a message again: a lost acknowledgement would take its place for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_stays_unacknowledged_is_asked_for_again_by_a_new_connection() {
    for protocol in BOTH {
        let world = World::new(&[]).await;
        let broker = world.start(protocol, |config| config.pace.watchdog = Duration::ZERO).await;
        let (mut link, _) = world.fake.welcome(false).await;
        // With no patience at all, one of many messages is overdue at some tick.
        let mut packet_id = 1;
        while broker.status().watchdog() == 0 && packet_id < 60_000 {
            let bytes = link.published(&message(packet_id, u64::from(packet_id)));
            if link.stream.write_all(&bytes).await.is_err() {
                break;
            }
            packet_id += 1;
        }
        let (_link, _) = world.fake.welcome(true).await;
        assert!(broker.status().watchdog() >= 1);
        broker.stop().await;
    }
}

/// Neither the id nor DUP says whether a message was taken before: its content does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packet_id_is_used_again_for_another_message_whatever_dup_says() {
    for protocol in BOTH {
        let world = World::new(&[]).await;
        let broker = world.start(protocol, |_| {}).await;
        let (mut link, _) = world.fake.welcome(false).await;
        for next in [message(1, 1), message(1, 2), again(1, 3), message(1, 3)] {
            link.publish(&next).await;
            assert_eq!(link.acknowledged().await, 1);
        }
        drop(link);
        // A forgotten session begins to count again.
        let (mut link, _) = world.fake.welcome(false).await;
        link.publish(&message(1, 4)).await;
        assert_eq!(link.acknowledged().await, 1);
        assert_eq!(world.counts(), (5, 4, 1));
        broker.stop().await;
    }
}

/// The library knows the release of an exactly-once message only on the connection that brought it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exactly_once_message_whose_release_comes_over_a_later_connection_is_finished() {
    for protocol in BOTH {
        let world = World::new(&[]).await;
        let broker = world.start(protocol, |_| {}).await;
        let (mut link, _) = world.fake.welcome(false).await;
        for (packet_id, n) in [(8, 1), (9, 2)] {
            link.publish(&Message { qos: 2, ..message(packet_id, n) }).await;
            assert_eq!(link.read().await, Got::PubRec(packet_id));
        }
        link.pubrel(8).await;
        assert_eq!(link.read().await, Got::PubComp(8));
        drop(link);
        let (mut link, _) = world.fake.welcome(true).await;
        link.pubrel(9).await;
        let answer = link.read_within(PATIENCE).await;
        if answer != Some(Got::PubComp(9)) {
            assert_eq!(answer, None, "it gives the connection up, and knows the id on the next one");
            (link, _) = world.fake.welcome(true).await;
            link.pubrel(9).await;
            assert_eq!(link.read().await, Got::PubComp(9));
        }
        link.publish(&message(1, 3)).await;
        assert_eq!(link.acknowledged().await, 1);
        assert_eq!(world.counts(), (3, 3, 0));
        broker.stop().await;
    }
}

/// The library gives the error before it gives what it had read; at most once would be never.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_before_a_connection_broke_is_taken() {
    for protocol in BOTH {
        let world = World::new(&[]).await;
        let broker = world.start(protocol, |_| {}).await;
        let (mut link, _) = world.fake.welcome(false).await;
        let mut bytes = Vec::new();
        for n in 0..100 {
            bytes.extend(link.published(&Message { qos: 0, ..message(0, n) }));
        }
        link.stream.write_all(&bytes).await.unwrap();
        drop(link);
        until("100 messages at most once", || world.counts() == (100, 100, 0)).await;
        broker.stop().await;
    }
}

/// A door that has no connection, or one without its subscriptions, brings nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_door_is_well_once_its_subscriptions_stand_and_asks_for_refused_ones_again() {
    for protocol in BOTH {
        let world = World::new(&["neuron/gw1/#"]).await;
        let broker = world.start(protocol, |_| {}).await;
        let trouble = || broker.status().trouble().unwrap_or_default();
        assert!(trouble().contains("not connected yet"), "{}", trouble());
        let mut link = world.fake.accept().await;
        link.connack(false).await;
        let Got::Subscribe { packet_id, filters } = link.read().await else { panic!("no SUBSCRIBE") };
        assert!(trouble().contains("not connected yet"), "connected without subscriptions: {}", trouble());
        link.suback(packet_id, &[1, if protocol == MqttVersion::V5 { 0x87 } else { 0x80 }]).await;
        until("the refusal", || trouble().contains("refuses 1 of our subscriptions")).await;
        drop(link);
        // The session has the other one; which it was the answer's order alone can tell.
        let (_link, again) = world.fake.welcome(true).await;
        assert_eq!(again.len(), filters.len());
        until("all is well", || trouble().is_empty()).await;
        broker.stop().await;
    }
}

/// Whoever mended the registry or the broker's access list reloads; the door then finds out, without another connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_subscriptions_are_asked_for_again_after_a_reload() {
    for protocol in BOTH {
        let world = World::new(&["neuron/gw1/#"]).await;
        let broker = world.start(protocol, |_| {}).await;
        let mut link = world.fake.accept().await;
        link.connack(false).await;
        let Got::Subscribe { packet_id, .. } = link.read().await else { panic!("no SUBSCRIBE") };
        link.suback(packet_id, &[1, if protocol == MqttVersion::V5 { 0x87 } else { 0x80 }]).await;
        until("the refusal", || broker.status().trouble().is_some_and(|text| text.contains("refuses"))).await;
        world.index.replace(binding(&world.plant, &["neuron/gw1/#", "neuron/gw2/#"]));
        let Got::Subscribe { packet_id, filters } = link.read().await else { panic!("no SUBSCRIBE") };
        assert_eq!(filters.len(), 3, "{filters:?}");
        link.suback(packet_id, &[1, 1, 1]).await;
        until("all is well", || broker.status().trouble().is_none()).await;
        broker.stop().await;
    }
}

/// The broker kept the session of a connection that broke before it answered the SUBSCRIBE: what stands of it nobody knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_that_were_never_answered_are_asked_for_again() {
    for protocol in BOTH {
        let world = World::new(&["neuron/gw1/#"]).await;
        let broker = world.start(protocol, |_| {}).await;
        let mut link = world.fake.accept().await;
        link.connack(false).await;
        let Got::Subscribe { filters, .. } = link.read().await else { panic!("no SUBSCRIBE") };
        drop(link);
        let (_link, again) = world.fake.welcome(true).await;
        assert_eq!(again.len(), filters.len());
        until("all is well", || broker.status().trouble().is_none()).await;
        broker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_login_is_what_the_door_says() {
    for protocol in BOTH {
        let world = World::new(&[]).await;
        let broker = world.start(protocol, |_| {}).await;
        let mut link = world.fake.accept().await;
        link.connack_with(false, if protocol == MqttVersion::V5 { 0x87 } else { 5 }, &[]).await;
        let trouble = || broker.status().trouble().unwrap_or_default();
        until("the refusal", || trouble().contains("NotAuthorized")).await;
        broker.stop().await;
    }
}

/// Who may subscribe need not be allowed to publish; MQTT 5 says so in PUBACK.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_well_once_its_state_is_taken_and_says_if_it_is_refused() {
    for (code, text) in [(0, ""), (0x87, "refuses publishing on `spBv1.0/STATE/pilotline` (NotAuthorized)")] {
        let world = World::new(&[]).await;
        let broker = world.start(MqttVersion::V5, |config| config.sparkplug = Sparkplug::On).await;
        let trouble = || broker.status().trouble().unwrap_or_default();
        let (mut others, mut link) = (Vec::new(), None);
        while link.is_none() || others.is_empty() {
            let mut next = world.fake.accept().await;
            next.connack(true).await;
            if next.connect.client_id.ends_with("-host") { link = Some(next) } else { others.push(next) }
        }
        let (mut link, mut other) = (link.unwrap(), others.remove(0));
        let (packet_id, filters) = subscribe(&mut other).await;
        other.suback(packet_id, &vec![1; filters.len()]).await;
        for _ in 0..2 {
            let (packet_id, _) = subscribe(&mut link).await;
            link.suback(packet_id, &[1]).await;
        }
        let Got::Publish(birth) = link.read().await else { panic!("no STATE") };
        until("the data connection is well", || !trouble().contains("data")).await;
        assert!(trouble().contains("sparkplug connection since"), "born and not confirmed: {}", trouble());
        let [high, low] = birth.packet_id.to_be_bytes();
        link.write(0x40, &[high, low, code]).await;
        until(text, || if text.is_empty() { trouble().is_empty() } else { trouble().contains(text) }).await;
        drop((link, other));
        broker.stop().await;
    }
}

/// MQTT 5 says why; on 3.1.1 two processes under one id only see their connections closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_under_our_client_id_is_named_as_the_reason() {
    let world = World::new(&[]).await;
    let broker = world.start(MqttVersion::V5, |config| config.pace.backoff_min = Duration::from_secs(5)).await;
    let (mut link, _) = world.fake.welcome(false).await;
    link.write(0xe0, &[0x8e, 0]).await;
    let trouble = || broker.status().trouble().unwrap_or_default();
    until("the reason", || trouble().contains("another process uses our client id")).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_grants_less_than_was_asked_is_warned_about() {
    let world = World::new(&[]).await;
    let broker = world.start(MqttVersion::V5, |config| config.packet_bytes_max = 100_000).await;
    let mut link = world.fake.accept().await;
    // A session of an hour, and packets of 1 MiB from publishers.
    link.connack_with(false, 0, &[0x11, 0, 0, 0x0e, 0x10, 0x27, 0, 0x10, 0, 0]).await;
    link.read().await;
    let warnings = broker.status().warnings();
    assert!(warnings[0].contains("3600 s") && warnings[0].contains("604800 s"), "{warnings:?}");
    assert!(warnings[1].contains("1048576") && warnings[1].contains("max_packet = 100000"), "{warnings:?}");
    drop(link);
    let (_link, _) = world.fake.welcome(true).await;
    assert_eq!(broker.status().warnings(), Vec::<String>::new(), "it grants all of it now");
    broker.stop().await;
}

/// A shared subscription has the group before the filter, and never asks for retained messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_stands_before_every_filter() {
    for protocol in BOTH {
        let world = World::new(&["neuron/gw1/#"]).await;
        let broker = world.start(protocol, |config| config.share = Some("g".to_owned())).await;
        let (_link, filters) = world.fake.welcome(false).await;
        let paths: Vec<&str> = filters.iter().map(|filter| &*filter.path).collect();
        assert_eq!(paths, ["$share/g/neuron/gw1/#", "$share/g/pilotline/v1/p-1/+"]);
        broker.stop().await;
    }
}
