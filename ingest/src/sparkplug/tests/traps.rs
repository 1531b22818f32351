//! What makes other hosts lose data without a word, one test each.

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

#[test]
fn a_rebirth_request_names_its_datatype_and_has_no_seq() {
    let mut plant = Plant::new();
    plant.send(DDATA, &ddata(T0, 5));
    let commands = plant.pass(2_000).commands;
    assert_eq!(commands.len(), 1);
    let Command { door, pilot, topic, payload } = &commands[0];
    assert_eq!((&**door, pilot.as_ref(), topic.as_str()), ("listener", Some(&plant.pilot), "spBv1.0/g/NCMD/e"));
    let request = Payload::decode(&payload[..]).unwrap();
    assert_eq!((request.seq, request.metrics.len()), (None, 1));
    let metric = &request.metrics[0];
    assert_eq!(metric.name.as_deref(), Some(&b"Node Control/Rebirth"[..]));
    assert_eq!((metric.datatype, &metric.wire), (Some(11), &Some(Wire::Bool(true))));
    assert!(request.timestamp.is_some() && request.timestamp == metric.timestamp && metric.alias.is_none());
}

#[test]
fn a_birth_whose_bdseq_has_no_time_is_taken() {
    let plant = Plant::new();
    let mut birth = nbirth(T0, 0, 0);
    for metric in &mut birth.metrics {
        metric.timestamp = None;
    }
    assert_eq!(plant.send(NBIRTH, &birth), [value("g/e", "Total", T0, 1.5)]);
    assert_eq!(plant.node().state, NodeState::Online);
    assert_eq!(plant.count(Deviation::MetricWithoutTime), 3);
}

#[test]
fn seq_and_time_of_a_compressed_payload_are_the_inner_ones() {
    let mut plant = Plant::new();
    plant.born();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    std::io::Write::write_all(&mut encoder, &ddata(T0 + 9, 2).encode_to_vec()).unwrap();
    let body = Some(encoder.finish().unwrap());
    let uuid = Some(b"SPBV1.0_COMPRESSED".to_vec());
    let algorithm = named("algorithm", 12, Wire::Text(b"GZIP".to_vec()));
    let outer = Payload { uuid, body, metrics: vec![algorithm], ..Payload::default() };
    assert_eq!(plant.send(DDATA, &outer), [value("g/e/d", "Count", T0 + 7, 2.0)]);
    plant.send(DDATA, &ddata(T0 + 10, 3));
    assert_eq!(plant.pass(10_000), Due::default());
    assert_eq!((plant.node().n_gaps, plant.count(Deviation::Compressed)), (0, 1));
}

#[test]
fn one_unknown_metric_leaves_the_node_online_and_its_neighbours_alone() {
    let plant = Plant::new();
    plant.born();
    let unlisted = Metric { datatype: None, ..named("New", DOUBLE, Wire::Int(3)) };
    let sent = plant.send(NDATA, &payload(T0, 2, vec![unlisted, by_alias(9, 1.0), by_alias(1, 2.0)]));
    assert_eq!(sent, [Err(Reason::UnknownAlias), Err(Reason::UnknownAlias), value("g/e", "Total", T0 + 7, 2.0)]);
    assert_eq!(plant.node().state, NodeState::Online);
    assert_eq!(plant.send(DDATA, &ddata(T0, 3)), [value("g/e/d", "Count", T0 + 7, 3.0)]);
}

#[test]
fn a_birth_may_have_any_seq() {
    for start in [0u64, 1, 200, 255] {
        let mut plant = Plant::new();
        plant.send(NBIRTH, &nbirth(T0, start, 0));
        plant.send(DBIRTH, &dbirth(T0, (start + 1) % 256));
        plant.send(DDATA, &ddata(T0, (start + 2) % 256));
        assert_eq!(plant.pass(10_000), Due::default(), "{start}");
    }
}

#[test]
fn a_birth_older_than_the_last_is_a_birth() {
    let mut plant = Plant::new();
    plant.born();
    let earlier = T0 - 86_400_000;
    plant.send(NBIRTH, &nbirth(earlier, 0, 1));
    plant.send(DBIRTH, &dbirth(earlier, 1));
    assert_eq!(plant.node().bd_seq, Some(1));
    assert_eq!(plant.send(DDATA, &ddata(earlier + 1, 2)), [value("g/e/d", "Count", T0 + 7, 2.0)]);
    assert_eq!(plant.pass(10_000), Due::default());
    assert_eq!(plant.count(Deviation::ClockBack), 1);
}

#[test]
fn an_edge_whose_clock_is_behind_ours_loses_nothing_after_a_death() {
    let mut plant = Plant::new();
    plant.born();
    plant.send(NDEATH, &ndeath(T0, 0));
    assert_eq!(plant.node().state, NodeState::Offline);
    plant.pass(60_000);
    // An hour behind the instant at which the node became stale.
    let behind = T0 - 3_600_000;
    plant.send(NBIRTH, &nbirth(behind, 0, 1));
    plant.send(DBIRTH, &dbirth(behind, 1));
    assert_eq!(plant.node().state, NodeState::Online);
    assert_eq!(plant.send(DDATA, &ddata(behind, 2)), [value("g/e/d", "Count", T0 + 7, 2.0)]);
}

#[test]
fn an_edge_whose_clock_steps_back_after_its_birth_does_not_go_deaf() {
    let mut plant = Plant::new();
    plant.born();
    plant.pass(60_000);
    let behind = T0 - 3_600_000;
    // In order, then after a loss: by alias all the same.
    for seq in [2, 3, 9, 10] {
        let sent = plant.send(DDATA, &ddata(behind, seq));
        assert_eq!(sent, [value("g/e/d", "Count", T0 + 7, f64::from(u32::try_from(seq).unwrap()))]);
    }
}
