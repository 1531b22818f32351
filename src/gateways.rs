//! What the page "gateways" shows of the doors: the sources that `ingest` counted, with what its Sparkplug host knows of them.

use std::collections::HashMap;
use std::sync::Arc;

use aggregator::publish::gateways::{
    Connection, EdgeDevice, EdgeNode, Heard, LastMessage, LastRefusal, Liveness, RefusedConnection, Source, SourceKind,
    Wants,
};
use ingest::index::CurrentIndex;
use ingest::sources::{Connected, Sender, SourceStatus};
use ingest::sparkplug::{Clock, NodeStatus};
use model::{PilotId, clock};

/// Door, pilot, group and edge node.
type NodeKey = (Arc<str>, PilotId, String, String);

/// What was heard so far.
pub(crate) fn heard(index: &CurrentIndex, wants: Wants<'_>) -> Heard {
    let index = index.get();
    let foreign = index.foreign();
    let nodes = foreign.sparkplug.nodes().into_iter();
    let mut nodes: HashMap<NodeKey, NodeStatus> = nodes.map(|node| (key(&node), node)).collect();
    let sources = foreign.sources.list(clock::now(), wants).into_iter().map(|status| source(status, &mut nodes));
    let refused = foreign.sources.refused_connections().into_iter().map(|refused| RefusedConnection {
        client: refused.client,
        login: refused.login,
        why: refused.why,
        times: refused.times,
        last_at: refused.last_at,
    });
    Heard {
        since: Some(foreign.sources.since()),
        sources: sources.collect(),
        connections: foreign.sources.connections().into_iter().map(connection).collect(),
        refused_connections: refused.collect(),
    }
}

fn key(node: &NodeStatus) -> NodeKey {
    (Arc::clone(&node.door), node.pilot.clone(), node.group.to_string(), node.edge.to_string())
}

fn connection(connected: Connected) -> Connection {
    let Connected { client, login, pilot, since, has_sent } = connected;
    Connection { client: client.to_string(), login, pilot, since, has_sent }
}

fn source(status: SourceStatus, nodes: &mut HashMap<NodeKey, NodeStatus>) -> Source {
    let node = match (&status.sender, &status.pilot) {
        (Sender::EdgeNode { group, edge }, Some(pilot)) => {
            nodes.remove(&(Arc::clone(&status.door), pilot.clone(), group.clone(), edge.clone()))
        }
        (Sender::Gateway(_) | Sender::EdgeNode { .. } | Sender::Topic(_) | Sender::Others, _) => None,
    };
    let (kind, name) = match status.sender {
        Sender::Gateway(name) => (SourceKind::Gateway, name),
        Sender::EdgeNode { group, edge } => (SourceKind::EdgeNode, format!("{group}/{edge}")),
        Sender::Topic(topic) => (SourceKind::Topic, topic),
        Sender::Others => (SourceKind::Others, String::new()),
    };
    let last_refusal = status.last_refusal.map(|last| LastRefusal {
        at: last.at,
        topic: last.topic,
        reason: last.reason.as_str(),
        detail: last.detail,
    });
    Source {
        pilot: status.pilot,
        door: status.door.to_string(),
        kind,
        name,
        client: Some(status.client.to_string()).filter(|client| !client.is_empty()),
        login: status.login,
        connected: status.is_connected,
        first_at: Some(status.first_at),
        last_at: Some(status.last_at),
        per_minute: status.per_minute,
        messages: status.n_messages,
        rejected: status.n_rejected,
        readings: status.n_readings,
        orders: status.n_orders,
        ignored: status.n_ignored,
        gaps: node.as_ref().map_or(0, |node| node.n_gaps),
        missing: node.as_ref().map_or(0, |node| node.n_lost),
        refusals: status.refusals.into_iter().map(|(reason, n)| (reason.as_str(), n)).collect(),
        last_refusal,
        last_message: match status.last {
            ingest::sources::LastMessage::Taken => LastMessage::Taken,
            ingest::sources::LastMessage::Partly => LastMessage::Partly,
            ingest::sources::LastMessage::Refused => LastMessage::Refused,
        },
        liveness: status.alive.map(|(online, at)| Liveness { online, at }),
        edge_node: node.map(edge_node),
    }
}

fn edge_node(node: NodeStatus) -> EdgeNode {
    let device = |device: ingest::sparkplug::DeviceStatus| EdgeDevice {
        name: device.device.to_string(),
        state: device.state.as_str(),
        since: device.since,
    };
    EdgeNode {
        state: node.state.as_str(),
        since: node.since,
        clock: match node.clock {
            Clock::Ours => "host",
            Clock::Edge => "edge",
        },
        bd_seq: node.bd_seq,
        metrics: node.n_metrics,
        devices: node.devices.into_iter().map(device).collect(),
        deviations: node.deviations.into_iter().map(|(deviation, n)| (deviation.as_str(), n)).collect(),
        rebirths_asked: node.n_rebirths_asked,
        rebirths_answered: node.n_rebirths_answered,
    }
}
