//! What the pages and metrics ask the doors and the journal: are they open, and how much is in them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aggregator::publish::{BrokerCounts, CommitTimes, Door, EdgeNodeCounts, Health, OpsSnapshot, Site};
use ingest::broker::Status;
use ingest::commit::{COMMIT_MICROS_BOUNDS, CommitterHandle, DoorState};
use ingest::sparkplug::{Deviation, NodeState, NodeStatus};
use model::{Registry, clock};
use store::Store;

use crate::office::Office;

/// What messages come through.
pub(crate) struct Doors {
    pub(crate) listening: Vec<(&'static str, SocketAddr)>,
    /// Name, address and status of each broker.
    pub(crate) brokers: Vec<(String, String, Arc<Status>)>,
}

/// Puts the closures that look at this process into the site.
pub(crate) fn watch(site: &mut Site, office: &Office, doors: Doors, data: &Path) {
    let (doors, committer, index) = (Arc::new(doors), &office.committer, Arc::clone(&office.index));
    let projecting = office.projecting.get().cloned();
    let projections = move || projecting.iter().map(|status| status.report()).collect::<Vec<_>>();
    let (handle, watched, projected) = (committer.clone(), Arc::clone(&doors), projections.clone());
    site.health = Arc::new(move || Health { projections: projected(), ..health(&handle, &watched) });
    let (handle, store, data) = (committer.clone(), Arc::clone(&site.store), data.to_owned());
    let registry = Arc::clone(&site.registry);
    site.ops = Arc::new(move || OpsSnapshot {
        config_hash: registry_hash(&registry.get()),
        oldest_unacked_seconds: handle.oldest_waiting_ms(clock::now()) as f64 / 1_000.0,
        brokers: doors.brokers.iter().map(broker_counts).collect(),
        edge_nodes: edge_node_counts(&index.get().foreign().sparkplug.nodes()),
        projections: projections(),
        ..ops(&handle, &store, &data)
    });
}

fn health(committer: &CommitterHandle, doors: &Doors) -> Health {
    let door = |(name, address): &(&str, SocketAddr)| Door {
        name: (*name).to_owned(),
        address: address.to_string(),
        trouble: None,
        warnings: vec![],
    };
    let broker = |(name, address, status): &(String, String, Arc<Status>)| Door {
        name: format!("broker {name}"),
        address: address.clone(),
        trouble: status.trouble(),
        warnings: status.warnings(),
    };
    let state = committer.state();
    let journal_trouble =
        (state == DoorState::Poisoned).then(|| "a commit failed; nothing more is acknowledged".to_owned());
    Health {
        doors: doors.listening.iter().map(door).chain(doors.brokers.iter().map(broker)).collect(),
        disk_full: state == DoorState::DiskFull,
        journal_trouble,
        projections: Vec::new(),
    }
}

fn ops(committer: &CommitterHandle, store: &Store, data: &Path) -> OpsSnapshot {
    let metrics = committer.metrics();
    // Beside the counters, not among them: what is committed in between would count in both, and a sum of them would fall.
    let in_flight = metrics.in_flight();
    OpsSnapshot {
        counters: store.counters(),
        in_flight,
        commit_times: commit_times(committer),
        fsync_errors: metrics.fsync_errors(),
        journal_bytes: journal_files(data)
            .iter()
            .map(|path| std::fs::metadata(path).map_or(0, |file| file.len()))
            .sum(),
        disk_free_bytes: fs4::available_space(data).unwrap_or(0),
        disk_full: committer.state() == DoorState::DiskFull,
        ..OpsSnapshot::default()
    }
}

fn broker_counts((name, _, status): &(String, String, Arc<Status>)) -> BrokerCounts {
    BrokerCounts {
        name: name.clone(),
        is_connected: status.trouble().is_none(),
        session_lost: status.session_lost(),
        reconnects: status.reconnects(),
        unacknowledged: status.unacknowledged(),
        watchdog: status.watchdog(),
    }
}

fn edge_node_counts(nodes: &[NodeStatus]) -> EdgeNodeCounts {
    let in_state = |state: NodeState| nodes.iter().filter(|node| node.state == state).count() as u64;
    let of_deviation = |deviation: Deviation| -> u64 {
        let counts = nodes.iter().flat_map(|node| &node.deviations);
        counts.filter(|(found, _)| *found == deviation).map(|(_, n)| n).sum()
    };
    EdgeNodeCounts {
        by_state: NodeState::ALL.map(|state| (state.as_str(), in_state(state))).to_vec(),
        deviations: Deviation::ALL.map(|deviation| (deviation.as_str(), of_deviation(deviation))).to_vec(),
        lost_messages: nodes.iter().map(|node| node.n_lost).sum(),
        rebirths_asked: nodes.iter().map(|node| node.n_rebirths_asked).sum(),
        rebirths_answered: nodes.iter().map(|node| node.n_rebirths_answered).sum(),
    }
}

fn journal_files(data: &Path) -> [PathBuf; 2] {
    [data.join("journal.sqlite"), data.join("journal.sqlite-wal")]
}

/// Changes with every change of a registry file: the exclusive or of the files' hashes.
fn registry_hash(registry: &Registry) -> String {
    format!("{:016x}", registry.pilots.values().fold(0, |hash, pilot| hash ^ pilot.content_hash))
}

/// The committer's counts per bucket, as Prometheus wants them: at or below each bound.
fn commit_times(committer: &CommitterHandle) -> CommitTimes {
    let metrics = committer.metrics();
    let counts = metrics.commit_buckets();
    let mut below = 0;
    let bounded = COMMIT_MICROS_BOUNDS.iter().zip(counts).map(|(micros, n)| {
        below += n;
        (*micros as f64 / 1e6, below)
    });
    let buckets = bounded.collect();
    CommitTimes { buckets, count: counts.iter().sum(), sum_seconds: metrics.commit_duration().as_secs_f64() }
}
