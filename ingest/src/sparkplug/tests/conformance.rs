//! The statements of Sparkplug 3.0.0 about a host that no tool can see from outside, one test an id. The ids of the connection
//! and of STATE are tested where the connection is.

use super::*;

/// NDEATH of the present connection: node and device offline and stale, as of our clock.
#[track_caller]
fn check_node_death() -> NodeStatus {
    let mut plant = Plant::new();
    plant.born();
    plant.pass(1_000);
    // The Will was written at CONNECT: its time says nothing.
    plant.send(NDEATH, &ndeath(T0 - 99_000, 0));
    let node = plant.node();
    assert_eq!((node.since, node.clock), (Some(UnixMillis(plant.now)), Clock::Ours));
    let device = &node.devices[0];
    assert_eq!((device.since, device.clock), (UnixMillis(plant.now), Clock::Ours));
    plant.now += 500;
    plant.send(NDEATH, &ndeath(T0, 0));
    assert_eq!(plant.node().since, node.since, "a second death of the same connection changes nothing");
    assert_eq!(plant.pass(20_000).commands, [], "and nobody is asked");
    node
}

#[test]
fn tck_id_operational_behavior_edge_node_termination_host_action_ndeath_node_offline() {
    assert_eq!(check_node_death().state, NodeState::Offline);
}

/// A metric is stale when what owns it is not online: there is no other mark.
#[test]
fn tck_id_operational_behavior_edge_node_termination_host_action_ndeath_node_tags_stale() {
    assert_ne!(check_node_death().state, NodeState::Online);
}

#[test]
fn tck_id_operational_behavior_edge_node_termination_host_action_ndeath_devices_offline() {
    assert_eq!(check_node_death().devices[0].state, DeviceState::Offline);
}

#[test]
fn tck_id_operational_behavior_edge_node_termination_host_action_ndeath_devices_tags_stale() {
    assert_ne!(check_node_death().devices[0].state, DeviceState::Online);
}

/// DDEATH: that device offline, as of the payload's time; its node and the other device live.
#[track_caller]
fn check_device_death() -> DeviceStatus {
    let mut plant = Plant::new();
    plant.born();
    let other = payload(T0, 2, vec![named("x", DOUBLE, Wire::Double(0.0))]);
    plant.send("spBv1.0/g/DBIRTH/e/f", &other);
    plant.now += 700;
    plant.send(DDEATH, &payload(T0 + 600, 3, Vec::new()));
    let node = plant.node();
    assert_eq!((node.state, node.devices[1].state), (NodeState::Online, DeviceState::Online));
    assert_eq!((node.devices[0].since, node.devices[0].clock), (UnixMillis(T0 + 600), Clock::Edge));
    node.devices[0].clone()
}

#[test]
fn tck_id_operational_behavior_edge_node_termination_host_action_ddeath_devices_offline() {
    assert_eq!(check_device_death().state, DeviceState::Offline);
}

#[test]
fn tck_id_operational_behavior_edge_node_termination_host_action_ddeath_devices_tags_stale() {
    assert_ne!(check_device_death().state, DeviceState::Online);
}

/// Leaves out one seq, sends the next, and perhaps the missing one after `late_ms`; what was due in `for_ms`.
#[track_caller]
fn leave_out(timeout: i64, late_ms: Option<i64>, for_ms: i64) -> (Plant, Due) {
    let mut plant = Plant::with(Settings { reorder_timeout_ms: timeout, ..Settings::default() });
    plant.born();
    assert_eq!(plant.send(DDATA, &ddata(T0 + 40, 3)), [value("g/e/d", "Count", T0 + 7, 3.0)], "values do not wait");
    let mut due = Due::default();
    let mut rest = for_ms;
    if let Some(late_ms) = late_ms {
        due = plant.pass(late_ms);
        plant.send(DDATA, &ddata(T0 + 20, 2));
        rest -= late_ms;
    }
    let after = plant.pass(rest);
    due.commands.extend(after.commands);
    due.losses.extend(after.losses);
    (plant, due)
}

#[test]
fn tck_id_operational_behavior_host_reordering_param() {
    for timeout in [1_000, 3_000, 20_000] {
        let (_, before) = leave_out(timeout, None, timeout - 100);
        assert_eq!(before, Due::default(), "{timeout} ms are not over");
        let (_, after) = leave_out(timeout, None, timeout + 2_000);
        assert_eq!(after.commands.len(), 1, "{timeout}");
    }
}

#[test]
fn tck_id_operational_behavior_host_reordering_start() {
    let (mut plant, before) = leave_out(4_000, None, 3_900);
    assert_eq!((before, plant.node().state, plant.node().n_gaps), (Due::default(), NodeState::Online, 1));
    assert_eq!(plant.pass(200).losses.len(), 1);
    assert_eq!(plant.node().state, NodeState::AwaitingBirth);
}

#[test]
fn tck_id_operational_behavior_host_reordering_success() {
    let (plant, due) = leave_out(4_000, Some(2_000), 8_000);
    assert_eq!((due, plant.node().state, plant.node().n_lost), (Due::default(), NodeState::Online, 0));
}

#[test]
fn tck_id_operational_behavior_host_reordering_rebirth() {
    let (mut plant, due) = leave_out(4_000, None, 6_000);
    assert_eq!(due.commands.len(), 1);
    let (from, to) = (UnixMillis(T0), UnixMillis(T0 + 40));
    assert_eq!(due.losses, [Loss { pilot: plant.pilot.clone(), asset: "g/e".to_owned(), from, to, n_lost: 1 }]);
    assert_eq!(plant.node().n_lost, 1);
    plant.born();
    let node = plant.node();
    assert_eq!((node.state, node.n_rebirths_asked, node.n_rebirths_answered), (NodeState::Online, 1, 1));
    assert_eq!(plant.pass(20_000), Due::default());
}

#[test]
fn a_birth_that_is_overtaken_by_what_follows_it_is_no_gap() {
    let mut plant = Plant::new();
    plant.born();
    plant.send(DDATA, &ddata(T0 + 1, 2));
    plant.now += 1_000;
    // A new run whose messages arrive as DBIRTH, DDATA, NBIRTH; then the rest of the run before it.
    plant.send(DBIRTH, &dbirth(T0 + 1_000, 1));
    plant.send(DDATA, &ddata(T0 + 1_000, 2));
    plant.send(NBIRTH, &nbirth(T0 + 1_000, 0, 1));
    assert_eq!(plant.send(DDATA, &ddata(T0 + 500, 9)), [Err(Reason::UnknownAlias)], "of the run before");
    assert_eq!(plant.send(DDATA, &ddata(T0 + 1_001, 3)), [value("g/e/d", "Count", T0 + 7, 3.0)]);
    assert_eq!(plant.node().devices[0].state, DeviceState::Online);
    assert_eq!(plant.pass(20_000), Due::default());
    assert_eq!((plant.node().state, plant.count(Deviation::PreviousRun)), (NodeState::Online, 1));
}

#[test]
fn without_a_timeout_a_missing_seq_is_lost_at_once() {
    let (_, due) = leave_out(0, None, 100);
    assert_eq!(due.losses.len(), 1);
}

/// The one command that we send, as it leaves.
#[track_caller]
fn check_command() -> (Command, Payload, i64) {
    let (plant, due) = leave_out(1_000, None, 3_000);
    let command = due.commands[0].clone();
    let request = Payload::decode(&command.payload[..]).unwrap();
    assert_eq!(request.metrics.len(), 1);
    (command, request, plant.now)
}

#[track_caller]
fn check_topic() {
    assert_eq!(check_command().0.topic, "spBv1.0/g/NCMD/e");
}

#[test]
fn tck_id_topics_ncmd_topic() {
    check_topic();
}

#[test]
fn tck_id_operational_behavior_data_commands_ncmd_verb() {
    check_topic();
}

#[test]
fn tck_id_operational_behavior_data_commands_ncmd_rebirth_verb() {
    check_topic();
}

#[track_caller]
fn check_timestamp() {
    let (_, request, now) = check_command();
    let at = i64::try_from(request.timestamp.unwrap()).unwrap();
    assert!(at > T0 && at <= now);
}

#[test]
fn tck_id_topics_ncmd_timestamp() {
    check_timestamp();
}

#[test]
fn tck_id_payloads_ncmd_timestamp() {
    check_timestamp();
}

#[test]
fn tck_id_payloads_timestamp_in_utc() {
    check_timestamp();
}

#[test]
fn tck_id_payloads_ncmd_seq() {
    assert_eq!(check_command().1.seq, None);
}

#[track_caller]
fn check_metric() {
    let (_, request, _) = check_command();
    let metric = &request.metrics[0];
    assert_eq!(metric.name.as_deref(), Some(&b"Node Control/Rebirth"[..]));
    assert_eq!((metric.datatype, &metric.wire, metric.alias), (Some(11), &Some(Wire::Bool(true)), None));
}

#[test]
fn tck_id_topics_ncmd_payload() {
    check_metric();
}

#[test]
fn tck_id_operational_behavior_data_commands_ncmd_metric_name() {
    check_metric();
}

#[test]
fn tck_id_operational_behavior_data_commands_ncmd_metric_value() {
    check_metric();
}

#[test]
fn tck_id_operational_behavior_data_commands_ncmd_rebirth_name() {
    check_metric();
}

#[test]
fn tck_id_operational_behavior_data_commands_ncmd_rebirth_value() {
    check_metric();
}

#[test]
fn tck_id_payloads_name_cmd_requirement() {
    let (_, request, _) = check_command();
    assert_eq!(request.metrics[0].timestamp, request.timestamp);
}
