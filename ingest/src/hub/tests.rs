//! Filters, and who hears what.

use std::sync::Arc;

use model::PilotId;

use super::{Hub, is_ours, is_served, matches};
use crate::commit::Mailbox;
use crate::sparkplug::Command;

#[test]
fn only_what_we_publish_ourselves_can_be_subscribed_to() {
    let served = [
        "spBv1.0/g/NCMD/e",
        "spBv1.0/g/NCMD/e/#",
        "spBv1.0/g/NCMD/#",
        "spBv1.0/+/NCMD/+",
        "spBv1.0/g/DCMD/e/#",
        "spBv1.0/g/DCMD/e/d",
        "spBv1.0/g/DCMD/+/+",
        "spBv1.0/g/DCMD/#",
        "spBv1.0/Sparkplug B Devices/NCMD/树莓派",
        "spBv1.0/STATE/pilotline",
        "spBv1.0/STATE/+",
        "spBv1.0/STATE/#",
        "spBv1.0/g/STATE/+",
        "STATE/pilotline",
        "STATE/#",
    ];
    for filter in served {
        assert!(is_served(filter), "{filter}");
    }
    let refused = [
        "",
        "#",
        "+/+/NCMD/e",
        "spBv1.0/#",
        "spBv1.0/+/+/e",
        "spBv1.0/g/#",
        "spBv1.0/g/NDATA/e",
        "spBv1.0/g/NCMD",
        "spBv1.0/g/NCMD/e/d",
        "spBv1.0/g/DCMD/e",
        "spBv1.0/g/DCMD/e/d/x",
        "spBv1.0/g/NCMD/e#",
        "spBv1.0/g/NCMD/#/e",
        "spBv1.0/STATE/a+",
        "spBv1.0/STATE",
        "STATE",
        "$share/x/spBv1.0/STATE/+",
        "pilotline/v1/p-1/gw",
    ];
    for filter in refused {
        assert!(!is_served(filter), "{filter}");
    }
}

#[test]
fn nobody_else_publishes_commands_or_state() {
    for topic in ["spBv1.0/STATE/x", "STATE/x", "spBv1.0/g/STATE/x", "spBv1.0/g/NCMD/e", "spBv1.0/g/DCMD/e/d"] {
        assert!(is_ours(topic), "{topic}");
    }
    for topic in ["spBv1.0/g/NBIRTH/e", "spBv1.0/g/DDATA/e/d", "spBv1.0/g", "state/x", "pilotline/v1/p/NCMD"] {
        assert!(!is_ours(topic), "{topic}");
    }
}

#[test]
fn a_filter_takes_topics_level_by_level() {
    let cases = [
        ("a/b", "a/b", true),
        ("a/b", "a/b/c", false),
        ("a/b/c", "a/b", false),
        ("a/+", "a/b", true),
        ("a/+", "a", false),
        ("a/#", "a", true),
        ("a/#", "a/b/c", true),
        ("+/b", "a/c", false),
    ];
    for (filter, topic, takes) in cases {
        assert_eq!(matches(filter, topic), takes, "{filter} of {topic}");
    }
}

fn request(pilot: &str, topic: &str) -> Command {
    let pilot = Some(PilotId::parse(pilot).unwrap());
    Command { door: "listener".into(), pilot, topic: topic.to_owned(), payload: vec![1] }
}

fn subscribed(hub: &Hub, connection: u64, pilot: Option<&str>, filters: &[&str]) -> Arc<Mailbox> {
    let mailbox = Arc::new(Mailbox::new(connection));
    let pilot = pilot.map(|pilot| PilotId::parse(pilot).unwrap());
    for filter in filters {
        hub.subscribe(&mailbox, pilot.as_ref(), &Arc::from(*filter));
    }
    mailbox
}

fn heard(mailbox: &Mailbox) -> Vec<String> {
    mailbox.take().packets.iter().map(|packet| packet.topic.clone()).collect()
}

#[test]
fn a_request_reaches_connections_of_its_pilot_and_those_without_login() {
    let hub = Hub::default();
    let own = subscribed(&hub, 1, Some("p-1"), &["spBv1.0/g/NCMD/e", "spBv1.0/g/NCMD/e/#"]);
    let wide = subscribed(&hub, 2, Some("p-1"), &["spBv1.0/+/NCMD/#"]);
    let stranger = subscribed(&hub, 3, Some("p-2"), &["spBv1.0/g/NCMD/e", "spBv1.0/+/NCMD/+"]);
    let anonymous = subscribed(&hub, 4, None, &["spBv1.0/g/NCMD/e"]);
    let other_node = subscribed(&hub, 5, None, &["spBv1.0/g/NCMD/f"]);
    assert_eq!(hub.send(&request("p-1", "spBv1.0/g/NCMD/e")), 3);
    for mailbox in [&own, &wide, &anonymous] {
        assert_eq!(heard(mailbox), ["spBv1.0/g/NCMD/e"], "once, however many filters take it");
    }
    for mailbox in [&stranger, &other_node] {
        assert!(heard(mailbox).is_empty());
    }
    hub.unsubscribe(1, "spBv1.0/g/NCMD/e");
    assert_eq!(hub.send(&request("p-1", "spBv1.0/g/NCMD/e")), 3, "the wider filter takes it still");
    hub.unsubscribe(1, "spBv1.0/g/NCMD/e/#");
    hub.gone(4);
    assert_eq!(hub.send(&request("p-1", "spBv1.0/g/NCMD/e")), 1);
}

#[test]
fn what_finds_no_room_is_dropped() {
    let hub = Hub::default();
    let mailbox = subscribed(&hub, 1, None, &["spBv1.0/g/NCMD/e"]);
    let n_sent: usize = (0..100).map(|_| hub.send(&request("p-1", "spBv1.0/g/NCMD/e"))).sum();
    assert_eq!(n_sent, heard(&mailbox).len());
    assert!(n_sent < 100);
    let mut queue = hub.broker_queue("plant");
    let command = Command { door: "plant".into(), ..request("p-1", "spBv1.0/g/NCMD/e") };
    let n_sent: usize = (0..1_000).map(|_| hub.send(&command)).sum();
    assert!(n_sent < 1_000);
    assert_eq!(queue.try_recv().unwrap(), command);
    assert!(heard(&mailbox).is_empty(), "what is for a broker is not said at the listener");
}

#[test]
fn state_is_kept_for_later_and_told_to_who_listens() {
    let hub = Hub::default();
    let early = subscribed(&hub, 1, Some("p-1"), &["spBv1.0/STATE/+"]);
    hub.set_state("spBv1.0/STATE/pilotline", b"on".to_vec());
    let packets = early.take().packets;
    assert_eq!((packets.len(), packets[0].is_retained), (1, false));
    let late = Arc::new(Mailbox::new(2));
    let kept = hub.subscribe(&late, None, &"spBv1.0/STATE/pilotline".into());
    assert_eq!((kept.len(), kept[0].is_retained, &*kept[0].payload), (1, true, &b"on"[..]));
    assert!(hub.subscribe(&late, None, &"spBv1.0/g/STATE/+".into()).is_empty());
    assert!(hub.subscribe(&late, None, &"spBv1.0/STATE/other".into()).is_empty());
}
