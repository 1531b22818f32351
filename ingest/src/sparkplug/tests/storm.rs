//! After a restart every edge node needs a rebirth at once.

use super::*;

const NODES: usize = 2_000;
const PER_S: usize = 50;

#[test]
fn two_thousand_nodes_are_asked_within_the_rate_and_memory_stays_flat() {
    let mut plant = Plant::new();
    let topics: Vec<String> = (0..NODES).map(|node| format!("spBv1.0/g/NDATA/e{node}")).collect();
    let births: Vec<String> = (0..NODES).map(|node| format!("spBv1.0/g/NBIRTH/e{node}")).collect();
    let mut asked: Vec<(i64, String)> = Vec::new();
    let mut seq = 0;
    for _second in 0..60 {
        seq += 1;
        for topic in &topics {
            plant.send(topic, &payload(plant.now, seq, vec![by_alias(1, 1.0)]));
        }
        assert!(plant.host.n_due() <= 2 * NODES, "{} wait", plant.host.n_due());
        for _ in 0..10 {
            let due = plant.pass(100);
            asked.extend(due.commands.into_iter().map(|command| (plant.now, command.topic)));
        }
    }
    for window in asked.windows(PER_S + PER_S / 10 + 1) {
        assert!(window[window.len() - 1].0 - window[0].0 >= 1_000, "more than the rate within a second");
    }
    let first: std::collections::BTreeSet<&String> = asked.iter().map(|(_, topic)| topic).collect();
    assert_eq!(first.len(), NODES, "every node had its turn within {NODES} / {PER_S} s and some more");
    for topic in births.iter().cycle().take(3 * NODES) {
        plant.send(topic, &nbirth(plant.now, 0, 0));
    }
    plant.pass(10_000);
    assert_eq!(plant.host.n_due(), 0, "who answered is not asked again");
    assert!(plant.host.nodes().iter().all(|node| node.state == NodeState::Online && node.n_rebirths_answered == 1));
}

#[test]
fn births_over_and_over_leave_no_more_behind_than_one() {
    let plant = Plant::new();
    for round in 0..1_000 {
        let metrics = (0..100)
            .map(|metric| aliased(named(&format!("m{metric}"), DOUBLE, Wire::Double(0.0)), round * 100 + metric));
        plant.send(NBIRTH, &payload(T0, 0, metrics.collect()));
    }
    assert_eq!((plant.node().n_metrics, plant.host.n_due()), (100, 0));
}
