//! The statements of Sparkplug 3.0.0 about a host application's connection, its STATE and the commands that leave over it, one
//! test an id. What a host does in one life at a broker is recorded once for each version of the protocol; each id asserts
//! what it demands of the record.

use std::sync::LazyLock;

use super::fake::{Connect, Filter, Got, Link};
use super::*;

const NCMD: &str = "spBv1.0/g/NCMD/e";

/// How long nothing may come where nothing is due; a rebirth request waits up to a second of jitter.
const QUIET: Duration = Duration::from_millis(1_500);

/// One life of a host application at a broker, in order.
struct Life {
    connect: Connect,
    /// Our clock before the client was started and after its CONNECT.
    connected: (i64, i64),
    /// Of each SUBSCRIBE.
    subscribes: Vec<Vec<Filter>>,
    /// What came while the second subscription stood out, though data of an unknown node waited for an answer.
    before_birth: Option<Got>,
    /// The first publish.
    birth: Message,
    /// How long after the second subscription stood.
    birth_after: Duration,
    command: Message,
    /// The answer to `online` = true on our topic, and to `online` = false.
    echoes: [Option<Message>; 2],
    /// Our clock when told to stop.
    stopped: i64,
    death: Message,
    /// What came before the death was confirmed, and after.
    before_confirmation: Option<Got>,
    end: Option<Got>,
}

static LIVES: LazyLock<[Life; 2]> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { [live(BOTH[0]).await, live(BOTH[1]).await] })
});

fn said(topic: &str, payload: &[u8]) -> Message {
    Message { topic: topic.to_owned(), payload: payload.to_vec(), ..Message::default() }
}

async fn live(protocol: MqttVersion) -> Life {
    let world = World::new(&["spBv1.0/g/#"]).await;
    let _driver = crate::hub::drive(Arc::clone(&world.index), |_| {});
    let mut others = Vec::new();
    let before = model::clock::now().0;
    let broker = world.start(protocol, |config| config.sparkplug = Sparkplug::IfBound).await;
    let mut link = host_link(&world.fake, &mut others).await;
    let connected = (before, model::clock::now().0);
    link.connack(false).await;
    let (first_id, first) = subscribe(&mut link).await;
    let (second_id, second) = subscribe(&mut link).await;
    link.suback(first_id, &[1]).await;
    // Data with `timestamp` and `seq` of a node without a birth: a rebirth request is due.
    link.publish(&said("spBv1.0/g/NDATA/e", &[0x08, 1, 0x18, 3])).await;
    let before_birth = link.read_within(QUIET).await;
    link.suback(second_id, &[1]).await;
    let waiting = std::time::Instant::now();
    let birth = link.took().await;
    let birth_after = waiting.elapsed();
    let command = link.took().await;
    let mut echoes = [None, None];
    for (echo, payload) in
        echoes.iter_mut().zip([r#"{"online":true,"timestamp":1}"#, r#"{"online":false,"timestamp":1}"#])
    {
        link.publish(&said(STATE, payload.as_bytes())).await;
        if let Some(Got::Publish(message)) = link.read_within(Duration::from_millis(400)).await {
            link.puback(message.packet_id).await;
            *echo = Some(message);
        }
    }
    let stopped = model::clock::now().0;
    let stopping = tokio::spawn(broker.stop());
    let Got::Publish(death) = link.read().await else { panic!("no death") };
    let before_confirmation = link.read_within(Duration::from_millis(200)).await;
    link.puback(death.packet_id).await;
    let end = link.read_within(fake::PATIENCE).await;
    stopping.await.unwrap();
    let (connect, subscribes) = (link.connect, vec![first, second]);
    Life {
        connect,
        connected,
        subscribes,
        before_birth,
        birth,
        birth_after,
        command,
        echoes,
        stopped,
        death,
        before_confirmation,
        end,
    }
}

/// `online` and `timestamp` of a STATE, which is exactly these two.
#[track_caller]
fn state(message: &Message) -> (bool, i64) {
    let text = std::str::from_utf8(&message.payload).expect("UTF-8");
    let state: serde_json::Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(state.as_object().map(serde_json::Map::len), Some(2), "{text}");
    (state["online"].as_bool().expect("a boolean"), state["timestamp"].as_i64().expect("a number"))
}

#[track_caller]
fn will(life: &Life) -> &Message {
    life.connect.will.as_ref().expect("a Will")
}

/// Being there is said by STATE: the birth, the Will of the same connection, the death at a stop.
#[track_caller]
fn check_presence() {
    for life in &*LIVES {
        let said = [&life.birth, will(life), &life.death].map(|message| (&*message.topic, state(message).0));
        assert_eq!(said, [(STATE, true), (STATE, false), (STATE, false)]);
    }
}

#[test]
fn tck_id_conformance_primary_host() {
    check_presence();
}

#[test]
fn tck_id_components_ph_state() {
    check_presence();
}

#[test]
fn tck_id_intro_sparkplug_host_state() {
    check_presence();
}

#[test]
fn tck_id_message_flow_phid_sparkplug_clean_session_311() {
    let connect = &LIVES[0].connect;
    assert_eq!((connect.level, connect.is_clean), (4, true));
}

#[test]
fn tck_id_message_flow_phid_sparkplug_clean_session_50() {
    let connect = &LIVES[1].connect;
    assert_eq!((connect.level, connect.is_clean, connect.session_expiry_s), (5, true, Some(0)));
}

#[track_caller]
fn check_will_is_there() {
    for life in &*LIVES {
        assert_eq!(will(life).topic, STATE);
    }
}

#[test]
fn tck_id_host_topic_phid_death_required() {
    check_will_is_there();
}

#[test]
fn tck_id_operational_behavior_host_application_connect_will() {
    check_will_is_there();
}

#[test]
fn tck_id_payloads_state_will_message() {
    check_will_is_there();
}

#[test]
fn tck_id_host_topic_phid_death_topic() {
    check_will_is_there();
}

#[test]
fn tck_id_operational_behavior_host_application_connect_will_topic() {
    check_will_is_there();
}

/// `online` = false, with the time of this CONNECT.
#[track_caller]
fn check_payload_of_will() {
    for life in &*LIVES {
        let (is_online, at) = state(will(life));
        assert!(!is_online && (life.connected.0..=life.connected.1).contains(&at), "{at} in {:?}", life.connected);
    }
}

#[test]
fn tck_id_host_topic_phid_death_payload() {
    check_payload_of_will();
}

#[test]
fn tck_id_operational_behavior_host_application_connect_will_payload() {
    check_payload_of_will();
}

#[test]
fn tck_id_payloads_state_will_message_payload() {
    check_payload_of_will();
}

#[test]
fn tck_id_host_topic_phid_death_payload_timestamp_connect() {
    check_payload_of_will();
}

#[track_caller]
fn check_qos_of_will() {
    for life in &*LIVES {
        assert_eq!(will(life).qos, 1);
    }
}

#[test]
fn tck_id_host_topic_phid_death_qos() {
    check_qos_of_will();
}

#[test]
fn tck_id_operational_behavior_host_application_connect_will_qos() {
    check_qos_of_will();
}

#[test]
fn tck_id_payloads_state_will_message_qos() {
    check_qos_of_will();
}

#[track_caller]
fn check_will_is_retained() {
    for life in &*LIVES {
        assert!(will(life).flags.retain);
    }
}

#[test]
fn tck_id_host_topic_phid_death_retain() {
    check_will_is_retained();
}

#[test]
fn tck_id_operational_behavior_host_application_connect_will_retained() {
    check_will_is_retained();
}

#[test]
fn tck_id_payloads_state_will_message_retain() {
    check_will_is_retained();
}

/// The own STATE topic spelled out and everything of Sparkplug, before anything is published.
#[track_caller]
fn check_subscriptions() {
    for life in &*LIVES {
        let paths: Vec<&str> = life.subscribes.iter().flatten().map(|filter| &*filter.path).collect();
        assert_eq!(paths, [STATE, "spBv1.0/#"]);
        assert!(life.subscribes.iter().flatten().all(|filter| filter.qos() == 1));
        assert_eq!(life.before_birth, None);
    }
}

#[test]
fn tck_id_host_topic_phid_birth_sub_required() {
    check_subscriptions();
}

#[test]
fn tck_id_payloads_state_subscribe() {
    check_subscriptions();
}

#[test]
fn tck_id_message_flow_phid_sparkplug_subscription() {
    check_subscriptions();
}

/// A command was due before the birth, and came after it.
#[track_caller]
fn check_birth_is_first() {
    for life in &*LIVES {
        assert_eq!((&life.before_birth, &*life.birth.topic, &*life.command.topic), (&None, STATE, NCMD));
    }
}

#[test]
fn tck_id_principles_birth_certificates_order() {
    check_birth_is_first();
}

#[test]
fn tck_id_host_topic_phid_birth_message() {
    check_birth_is_first();
}

#[track_caller]
fn check_birth_follows() {
    for life in &*LIVES {
        assert!(state(&life.birth).0 && life.birth_after < Duration::from_secs(1), "{:?}", life.birth_after);
    }
}

#[test]
fn tck_id_host_topic_phid_birth_required() {
    check_birth_follows();
}

#[test]
fn tck_id_message_flow_phid_sparkplug_state_publish() {
    check_birth_follows();
}

#[test]
fn tck_id_operational_behavior_host_application_connect_birth() {
    check_birth_follows();
}

#[test]
fn tck_id_payloads_state_birth() {
    check_birth_follows();
}

#[track_caller]
fn check_topic_of_birth() {
    for life in &*LIVES {
        assert_eq!(life.birth.topic, STATE);
    }
}

#[test]
fn tck_id_host_topic_phid_birth_topic() {
    check_topic_of_birth();
}

#[test]
fn tck_id_operational_behavior_host_application_connect_birth_topic() {
    check_topic_of_birth();
}

#[track_caller]
fn check_qos_of_birth() {
    for life in &*LIVES {
        assert_eq!(life.birth.qos, 1);
    }
}

#[test]
fn tck_id_host_topic_phid_birth_qos() {
    check_qos_of_birth();
}

#[test]
fn tck_id_operational_behavior_host_application_connect_birth_qos() {
    check_qos_of_birth();
}

#[track_caller]
fn check_birth_is_retained() {
    for life in &*LIVES {
        assert!(life.birth.flags.retain);
    }
}

#[test]
fn tck_id_host_topic_phid_birth_retain() {
    check_birth_is_retained();
}

#[test]
fn tck_id_operational_behavior_host_application_connect_birth_retained() {
    check_birth_is_retained();
}

/// `online` = true, with the time of the Will of the same connection.
#[track_caller]
fn check_payload_of_birth() {
    for life in &*LIVES {
        assert_eq!(state(&life.birth), (true, state(will(life)).1));
    }
}

#[test]
fn tck_id_host_topic_phid_birth_payload() {
    check_payload_of_birth();
}

#[test]
fn tck_id_operational_behavior_host_application_connect_birth_payload() {
    check_payload_of_birth();
}

#[test]
fn tck_id_payloads_state_birth_payload() {
    check_payload_of_birth();
}

#[test]
fn tck_id_message_flow_phid_sparkplug_state_publish_payload() {
    check_payload_of_birth();
}

#[test]
fn tck_id_host_topic_phid_birth_payload_timestamp() {
    check_payload_of_birth();
}

#[test]
fn tck_id_message_flow_phid_sparkplug_state_publish_payload_timestamp() {
    check_payload_of_birth();
}

/// "Online" is not answered, or it would never end; "offline" is, by the birth once more.
#[test]
fn tck_id_message_flow_hid_sparkplug_state_message_delivered() {
    for life in &*LIVES {
        assert_eq!(life.echoes[0], None);
        let echo = life.echoes[1].as_ref().expect("an answer to `online` = false");
        assert_eq!(
            (&echo.topic, &echo.payload, echo.qos, echo.flags),
            (&life.birth.topic, &life.birth.payload, 1, life.birth.flags)
        );
    }
}

#[track_caller]
fn check_death() {
    for life in &*LIVES {
        assert_eq!((&*life.death.topic, state(&life.death).0), (STATE, false));
    }
}

#[test]
fn tck_id_operational_behavior_host_application_termination() {
    check_death();
}

#[test]
fn tck_id_operational_behavior_host_application_death_topic() {
    check_death();
}

#[test]
fn tck_id_operational_behavior_host_application_death_payload() {
    check_death();
}

#[test]
fn tck_id_operational_behavior_host_application_death_qos() {
    for life in &*LIVES {
        assert_eq!(life.death.qos, 1);
    }
}

#[test]
fn tck_id_operational_behavior_host_application_death_retained() {
    for life in &*LIVES {
        assert!(life.death.flags.retain);
    }
}

/// The time of the stop, and confirmed before the connection ends.
#[track_caller]
fn check_time_of_death() {
    for life in &*LIVES {
        let at = state(&life.death).1;
        assert!(at >= life.stopped && at < life.stopped + 5_000, "{at}, stopped at {}", life.stopped);
        assert_eq!(life.before_confirmation, None);
    }
}

#[test]
fn tck_id_host_topic_phid_death_payload_timestamp_disconnect_clean() {
    check_time_of_death();
}

#[test]
fn tck_id_host_topic_phid_death_payload_timestamp_disconnect_with_no_disconnect_packet() {
    check_time_of_death();
}

#[test]
fn tck_id_operational_behavior_host_application_disconnect_intentional() {
    for life in &*LIVES {
        assert_eq!(life.end, Some(Got::Disconnect));
    }
}

#[track_caller]
fn check_command() {
    for life in &*LIVES {
        assert_eq!((&*life.command.topic, life.command.qos, life.command.flags), (NCMD, 0, Flags::default()));
    }
}

#[test]
fn tck_id_topics_ncmd_mqtt() {
    check_command();
}

#[test]
fn tck_id_payloads_ncmd_qos() {
    check_command();
}

#[test]
fn tck_id_payloads_ncmd_retain() {
    check_command();
}

/// A host connection up to its birth: the time of its Will, and the first publish.
async fn birth(link: &mut Link) -> (i64, Message) {
    let at = state(link.connect.will.as_ref().expect("a Will")).1;
    link.connack(false).await;
    for _ in 0..2 {
        let (packet_id, _) = subscribe(link).await;
        link.suback(packet_id, &[1]).await;
    }
    (at, link.took().await)
}

/// Two brokers, a connection to each, and a second one to the first: (time of the Will, first publish) of each.
fn at_two_brokers() -> &'static [(i64, Message)] {
    static BIRTHS: LazyLock<Vec<(i64, Message)>> = LazyLock::new(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new(&[]).await;
            let second = Fake::new().await;
            let (mut births, mut others) = (Vec::new(), Vec::new());
            let host = |config: &mut BrokerConfig| config.sparkplug = Sparkplug::On;
            let broker = world.start(MqttVersion::V5, host).await;
            let mut link = host_link(&world.fake, &mut others).await;
            births.push(birth(&mut link).await);
            while model::clock::now().0 <= births[0].0 {
                tokio::task::yield_now().await; // So that a time of its own can be told from the first one's.
            }
            let named = |config: &mut BrokerConfig| (config.sparkplug, config.name) = (Sparkplug::On, "b".to_owned());
            let other = world.start_at(&second, MqttVersion::V5, named).await;
            let mut other_link = host_link(&second, &mut others).await;
            births.push(birth(&mut other_link).await);
            drop(link);
            let mut link = host_link(&world.fake, &mut others).await;
            births.push(birth(&mut link).await);
            let unasked = other_link.read_within(Duration::from_millis(300)).await;
            assert_eq!(unasked, None, "the other broker has nothing to do with it");
            drop((link, other_link));
            tokio::join!(broker.stop(), other.stop());
            births
        })
    });
    &BIRTHS
}

/// Each connection to each broker has a timestamp of its own, in its Will and its birth.
#[test]
fn tck_id_operational_behavior_host_application_multi_server_timestamp() {
    let mut last = 0;
    for (at, birth) in at_two_brokers() {
        assert!(*at > last, "{at} after {last}");
        assert_eq!(state(birth), (true, *at));
        last = *at;
    }
}

#[test]
fn tck_id_operational_behavior_primary_application_state_with_multiple_servers_state() {
    for (_, first) in at_two_brokers() {
        assert_eq!((&*first.topic, state(first).0), (STATE, true));
    }
}

#[test]
fn tck_id_operational_behavior_primary_application_state_with_multiple_servers_state_subs() {
    let births = at_two_brokers();
    assert!(births.len() == 3 && births.iter().all(|(_, birth)| birth.topic == STATE && birth.flags.retain));
}
