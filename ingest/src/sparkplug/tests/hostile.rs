//! Floods and noise: bounded, and never a panic.

use proptest::prelude::*;

use super::super::births::{DEVICES_MAX, METRICS_MAX};
use super::*;

#[test]
fn an_alias_flood_is_bounded_and_its_values_flow_all_the_same() {
    let plant = Plant::new();
    plant.send(NBIRTH, &nbirth(T0, 0, 0));
    for device in 0..8u64 {
        let metrics = (0..9_000).map(|metric| {
            aliased(named(&format!("m{metric}"), DOUBLE, Wire::Double(0.0)), device * 9_000 + metric + 10)
        });
        let rows = plant.send(&format!("spBv1.0/g/DBIRTH/e/d{device}"), &payload(T0, device + 1, metrics.collect()));
        assert_eq!(rows.iter().filter(|row| row.is_ok()).count(), 9_000);
    }
    assert!(plant.node().n_metrics <= METRICS_MAX);
    assert!(plant.count(Deviation::TooManyMetrics) > 0);
}

#[test]
fn a_flood_of_devices_is_bounded() {
    let plant = Plant::new();
    let described = payload(T0, 0, vec![named("m", DOUBLE, Wire::Double(0.0))]);
    for device in 0..DEVICES_MAX + 10 {
        let birth = Payload { seq: None, ..described.clone() };
        assert_eq!(plant.send(&format!("spBv1.0/g/DBIRTH/e/d{device}"), &birth).len(), 1);
    }
    assert_eq!((plant.node().devices.len(), plant.count(Deviation::TooManyDevices)), (DEVICES_MAX, 10));
}

#[test]
fn a_payload_that_cannot_be_read_asks_for_a_rebirth_and_moves_nothing() {
    let mut plant = Plant::new();
    plant.born();
    let refused = plant.send_bytes(DDATA, b"\xff\xff").unwrap_err();
    assert_eq!((refused.reason, plant.node().state), (Reason::BadPayload, NodeState::Online));
    assert_eq!(plant.count(Deviation::BadPayload), 1);
    assert_eq!(plant.pass(2_000).commands.len(), 1);
}

fn metrics() -> impl Strategy<Value = Vec<Metric>> {
    let wire = prop_oneof![
        any::<u64>().prop_map(Wire::Long),
        any::<f64>().prop_map(Wire::Double),
        any::<u32>().prop_map(Wire::Int)
    ];
    let metric = (0u64..6, any::<bool>(), 0u32..36, wire).prop_map(|(alias, has_name, datatype, wire)| Metric {
        name: has_name.then(|| format!("m{alias}").into_bytes()),
        alias: Some(alias),
        datatype: (datatype < 20).then_some(datatype),
        timestamp: (datatype % 2 == 0).then_some(u64::MAX - alias),
        wire: Some(wire),
        ..Metric::default()
    });
    proptest::collection::vec(metric, 0..4)
}

proptest! {
    #[test]
    fn messages_in_any_order_never_panic_and_waiting_stays_bounded(
        messages in proptest::collection::vec((0usize..6, proptest::option::of(0u64..300), -9_000i64..9_000, metrics()), 0..200),
    ) {
        let mut plant = Plant::new();
        for (topic, seq, offset, metrics) in messages {
            let topic = [NBIRTH, NDATA, NDEATH, DBIRTH, DDATA, DDEATH][topic];
            let payload = Payload { timestamp: ms(T0 + offset), seq, metrics, ..Payload::default() };
            plant.send(topic, &payload);
            plant.again(topic, &payload);
            plant.pass(300);
            prop_assert!(plant.host.n_due() <= 8);
        }
        plant.pass(20_000);
        prop_assert!(plant.host.nodes().len() <= 1);
    }

    #[test]
    fn bytes_of_any_kind_on_any_topic_never_panic(topic in "spBv1.0/[a-zDNBIRTHEA/+#]{0,30}", bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let plant = Plant::new();
        let _ = plant.send_bytes(&topic, &bytes);
        let _ = plant.send_bytes(DBIRTH, &bytes);
    }
}
