//! Subscriptions at the listener: what is granted, who hears it, what outlasts a restart; and that only we say what a host says.

use super::*;
use crate::sparkplug::Command;

const NCMD: &str = "spBv1.0/g/NCMD/e";
const STATE: &str = "spBv1.0/STATE/pilotline";

fn subscribe_v3(id: u8, filters: &[&str]) -> Vec<u8> {
    let entries: Vec<u8> = filters.iter().flat_map(|filter| [text(filter), vec![1]].concat()).collect();
    packet(0x82, &[&[0, id], &entries])
}

fn subscribe_v5(id: u8, filters: &[&str], options: u8) -> Vec<u8> {
    let entries: Vec<u8> = filters.iter().flat_map(|filter| [text(filter), vec![options]].concat()).collect();
    packet(0x82, &[&[0, id, 0], &entries])
}

fn rebirth() -> Command {
    Command { door: "listener".into(), pilot: Some(pilot_id()), topic: NCMD.to_owned(), payload: b"rebirth".to_vec() }
}

fn login(name: &str, pilot: &str) -> Login {
    let pilot = PilotId::parse(pilot).unwrap();
    Login { name: name.to_owned(), pilot, gateway: None, secret: hash_generated("s3cret") }
}

#[tokio::test]
async fn what_we_publish_is_granted_filter_by_filter_and_the_rest_refused() {
    let rig = Rig::new();
    let mut old = rig.connected(&connect_v3("a", 2, &[])).await;
    old.send(&subscribe_v3(1, &[NCMD, "a/#", "spBv1.0/g/DCMD/e/#", "spBv1.0/#"])).await;
    old.expect(&[0x90, 6, 0, 1, 0, 0x80, 0, 0x80]).await;
    let mut new = rig.connected(&connect_v5("b", 2, &[], &[])).await;
    new.send(&subscribe_v5(1, &[NCMD, "a/#"], 1)).await;
    new.expect(&[0x90, 5, 0, 1, 0, 0, 0x83]).await;
    assert_eq!(rig.context.hub.send(&rebirth()), 2);
    old.expect(&packet(0x30, &[&text(NCMD), b"rebirth"])).await;
    new.expect(&packet(0x30, &[&text(NCMD), &[0], b"rebirth"])).await;
    // UNSUBSCRIBE of one that is there and one that is not.
    new.send(&packet(0xa2, &[&[0, 2, 0], &text(NCMD), &text("a/#")])).await;
    new.expect(&[0xb0, 5, 0, 2, 0, 0, 0x11]).await;
    assert_eq!(rig.context.hub.send(&rebirth()), 1);
}

#[tokio::test]
async fn state_is_given_to_new_subscribers_as_retained_and_as_mqtt_5_asks() {
    let rig = Rig::new();
    rig.context.hub.set_state(STATE, b"on".to_vec());
    let mut old = rig.connected(&connect_v3("a", 2, &[])).await;
    old.send(&subscribe_v3(1, &["spBv1.0/STATE/+", "STATE/pilotline"])).await;
    old.expect(&[0x90, 4, 0, 1, 0, 0]).await;
    old.expect(&packet(0x31, &[&text(STATE), b"on"])).await;
    let mut new = rig.connected(&connect_v5("b", 2, &[], &[])).await;
    // Retain handling: 0 always, 1 if the subscription is new, 2 never.
    for (id, options, is_sent) in [(1, 0x20, false), (2, 0x10, false), (3, 0x00, true)] {
        new.send(&subscribe_v5(id, &[STATE], options)).await;
        new.expect(&[0x90, 4, 0, id, 0, 0]).await;
        if is_sent {
            new.expect(&packet(0x31, &[&text(STATE), &[0], b"on"])).await;
        }
    }
    rig.context.hub.set_state(STATE, b"off".to_vec());
    old.expect(&packet(0x30, &[&text(STATE), b"off"])).await;
    new.expect(&packet(0x30, &[&text(STATE), &[0], b"off"])).await;
}

#[tokio::test]
async fn a_stored_session_has_its_subscriptions_again_after_a_restart() {
    let rig = Rig::new();
    let resume = connect_v3("gw", 0, &[]);
    let mut client = rig.connect();
    client.send(&resume).await;
    client.expect(&[0x20, 2, 0, 0]).await;
    client.send(&subscribe_v3(1, &[NCMD, STATE, "spBv1.0/g/DCMD/e/d"])).await;
    client.expect(&[0x90, 5, 0, 1, 0, 0, 0]).await;
    client.send(&packet(0xa2, &[&[0, 2], &text("spBv1.0/g/DCMD/e/d")])).await;
    client.expect(&[0xb0, 2, 0, 2]).await;
    drop(client);
    let rig = rig.restarted().await;
    let stored = rig.store.sessions().unwrap().remove(0).subscriptions;
    assert_eq!(stored, [(NCMD.to_owned(), 0), (STATE.to_owned(), 0)]);
    rig.context.hub.set_state(STATE, b"on".to_vec());
    let mut client = rig.connect();
    client.send(&resume).await;
    client.expect(&[0x20, 2, 1, 0]).await;
    // It does not subscribe again, so that STATE comes as something that has waited for it.
    client.expect(&packet(0x30, &[&text(STATE), b"on"])).await;
    assert_eq!(rig.context.hub.send(&rebirth()), 1);
    client.expect(&packet(0x30, &[&text(NCMD), b"rebirth"])).await;
}

#[tokio::test]
async fn a_session_that_ends_takes_its_subscriptions_along() {
    let rig = Rig::new();
    let mut client = rig.connected(&connect_v3("gw", 2, &[])).await;
    client.send(&subscribe_v3(1, &[NCMD])).await;
    client.expect(&[0x90, 3, 0, 1, 0]).await;
    client.send(&[0xe0, 0]).await;
    client.expect_end().await;
    while rig.context.hub.send(&rebirth()) > 0 {
        tokio::task::yield_now().await;
    }
    let mut client = rig.connected(&connect_v3("gw", 2, &[])).await;
    assert_eq!(rig.context.hub.send(&rebirth()), 0);
    client.send(&[0xc0, 0]).await;
    client.expect(&[0xd0, 0]).await;
}

#[tokio::test]
async fn a_client_hears_only_what_is_said_to_its_pilot() {
    let rig = Rig::with(Anonymous::Refused, vec![login("l", "p-1"), login("m", "p-2")]);
    let mut clients = Vec::new();
    for name in ["l", "m"] {
        let credentials = [text(name), text("s3cret")].concat();
        let mut client = rig.connected(&connect_v3(name, 0xc2, &[&credentials])).await;
        client.send(&subscribe_v3(1, &[NCMD])).await;
        client.expect(&[0x90, 3, 0, 1, 0]).await;
        clients.push(client);
    }
    assert_eq!(rig.context.hub.send(&rebirth()), 1);
    clients[0].expect(&packet(0x30, &[&text(NCMD), b"rebirth"])).await;
    clients[1].send(&[0xc0, 0]).await;
    clients[1].expect(&[0xd0, 0]).await;
}

#[tokio::test]
async fn the_filters_of_a_connection_are_bounded() {
    let rig = Rig::new();
    let mut client = rig.connected(&connect_v5("gw", 2, &[], &[])).await;
    let filters: Vec<String> = (0..300).map(|n| format!("spBv1.0/g/DCMD/e/{n}")).collect();
    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
    client.send(&subscribe_v5(1, &filters, 0)).await;
    let (_, body) = client.packet().await.unwrap();
    let codes = &body[3..];
    assert_eq!((codes.len(), codes.iter().position(|code| *code == 0x97)), (300, Some(256)));
    let mut client = rig.connected(&connect_v5("long", 2, &[], &[])).await;
    let long = format!("spBv1.0/g/NCMD/{}", "e".repeat(20_000));
    client.send(&subscribe_v5(1, &[&long, NCMD], 0)).await;
    client.expect(&[0x90, 5, 0, 1, 0, 0x97, 0]).await;
}

#[tokio::test]
async fn nobody_else_may_say_what_a_host_says() {
    for topic in [STATE, "STATE/pilotline", NCMD, "spBv1.0/g/DCMD/e/d"] {
        let rig = Rig::new();
        let mut new = rig.connected(&connect_v5("b", 2, &[], &[])).await;
        new.send(&publish_v5(topic, 1, 1, "{}")).await;
        let (first, body) = new.packet().await.unwrap();
        assert_eq!((first, &body[..3]), (0x40, &[0, 1, 0x87][..]), "{topic}");
        let mut old = rig.connected(&connect_v3("a", 2, &[])).await;
        old.send(&publish_v3(topic, 1, 1, "{}")).await;
        old.expect_end().await;
        check(&rig.counters(), 2, 0, 0, 2);
        assert_eq!(rig.counters().rejected[Reason::NotAuthorized.index()], 2, "{topic}");
    }
}

#[tokio::test]
async fn a_death_left_as_will_is_published_once_unless_the_client_says_goodbye() {
    // Will QoS 0 and 1; then how the client goes, and whether its death is published.
    let will = [text(TOPIC), text(&message(7))].concat();
    let goodbye: &[u8] = &[0xe0, 0];
    let with_will: &[u8] = &[0xe0, 1, 4];
    let cases = [
        (5, 0x04, goodbye, 0),
        (5, 0x0c, with_will, 1),
        (5, 0x04, &[][..], 1),
        (3, 0x0c, goodbye, 0),
        (3, 0x04, &[], 1),
    ];
    for (version, flags, last_words, n_published) in cases {
        let rig = Rig::new();
        let connect = match version {
            3 => connect_v3("gw", flags | 2, &[&will]),
            _ => connect_v5("gw", flags | 2, &[], &[&[0], &will]),
        };
        let mut client = rig.connected(&connect).await;
        client.send(last_words).await;
        if last_words.is_empty() {
            drop(client);
        } else {
            client.expect_end().await;
        }
        // Whoever takes the same session next comes after the death.
        let mut next = rig.connected(&connect_v3("gw", 2, &[])).await;
        next.send(&publish_v3(TOPIC, 1, 1, &message(1))).await;
        next.expect(&puback(1)).await;
        while rig.counters().received < 1 + n_published {
            tokio::task::yield_now().await;
        }
        check(&rig.counters(), 1 + n_published, 1 + n_published, 0, 0);
    }
}

#[tokio::test]
async fn a_stop_says_that_we_go_before_it_closes() {
    let rig = Rig::new();
    rig.context.say_online();
    let mut client = rig.connected(&connect_v5("gw", 2, &[], &[])).await;
    client.send(&subscribe_v5(1, &[STATE], 0)).await;
    client.expect(&[0x90, 4, 0, 1, 0, 0]).await;
    let (first, body) = client.packet().await.unwrap();
    assert!(first == 0x31 && body.windows(13).any(|window| window == br#""online":true"#), "{body:?}");
    rig.context.say_offline();
    rig.context.shutdown.send_replace(true);
    let (first, body) = client.packet().await.unwrap();
    assert!(first == 0x30 && body.windows(14).any(|window| window == br#""online":false"#), "{body:?}");
    client.expect(&[0xe0, 1, 0x8b]).await;
    client.expect_end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_client_of_either_version_hears_requests_and_the_end() {
    let rig = Rig::new();
    let listener = rig.listen("127.0.0.1:0", None).await.unwrap();
    let port = listener.local_addr().port();
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let old_heard = heard.clone();
    let old = std::thread::spawn(move || {
        let (client, mut connection) = rumqttc::Client::new(rumqttc::MqttOptions::new("old", "127.0.0.1", port), 10);
        client.subscribe(NCMD, rumqttc::QoS::AtLeastOnce).unwrap();
        client.subscribe(STATE, rumqttc::QoS::AtLeastOnce).unwrap();
        for event in connection.iter().map_while(Result::ok) {
            if let rumqttc::Event::Incoming(rumqttc::Packet::Publish(publish)) = event {
                old_heard.send((3, publish.topic, publish.retain, publish.payload.to_vec())).unwrap();
            }
        }
    });
    let new = std::thread::spawn(move || {
        let options = rumqttc::v5::MqttOptions::new("new", "127.0.0.1", port);
        let (client, mut connection) = rumqttc::v5::Client::new(options, 10);
        client.subscribe("spBv1.0/+/NCMD/#", rumqttc::v5::mqttbytes::QoS::AtLeastOnce).unwrap();
        client.subscribe("spBv1.0/STATE/+", rumqttc::v5::mqttbytes::QoS::AtLeastOnce).unwrap();
        for event in connection.iter().map_while(Result::ok) {
            if let rumqttc::v5::Event::Incoming(rumqttc::v5::mqttbytes::v5::Packet::Publish(publish)) = event {
                let topic = String::from_utf8(publish.topic.to_vec()).unwrap();
                heard.send((5, topic, publish.retain, publish.payload.to_vec())).unwrap();
            }
        }
    });
    let mut state = Vec::new();
    for _ in 0..2 {
        let (_, topic, is_retained, payload) = hears.recv().await.unwrap();
        assert_eq!((topic.as_str(), is_retained), (STATE, true));
        let payload = String::from_utf8(payload).unwrap();
        assert!(payload.starts_with(r#"{"online":true,"timestamp":1"#), "{payload}");
        state.push(payload);
    }
    assert_eq!(state[0], state[1], "one time, that of the start");
    assert_eq!(rig.context.hub.send(&rebirth()), 2);
    let mut reached = Vec::new();
    for _ in 0..2 {
        let (version, topic, is_retained, payload) = hears.recv().await.unwrap();
        assert_eq!((topic.as_str(), is_retained, &*payload), (NCMD, false, &b"rebirth"[..]));
        reached.push(version);
    }
    reached.sort_unstable();
    assert_eq!(reached, [3, 5]);
    listener.stop().await;
    old.join().unwrap();
    new.join().unwrap();
    // These clients may drop what they read together with the end; the bytes are another test's.
    while let Some((_, topic, is_retained, payload)) = hears.recv().await {
        assert_eq!((topic.as_str(), is_retained), (STATE, false));
        assert!(payload.starts_with(br#"{"online":false,"timestamp":1"#), "{payload:?}");
    }
}
