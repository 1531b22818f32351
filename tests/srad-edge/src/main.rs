//! `srad-edge PORT EDGE`: an edge node for the process tests. It births at 10, publishes what it reads from standard input, a
//! number per line, answers rebirth requests by itself, and says goodbye when the input ends.

use srad::client_rumqtt::{EventLoop, MqttOptions};
use srad::eon::simple_manager::{SimpleMetricBuilder, SimpleMetricManager};
use srad::eon::{EoNBuilder, NoMetricManager};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().and_then(|port| port.parse().ok()).unwrap();
    let edge = arguments.next().unwrap();
    let (eventloop, client) = EventLoop::new(MqttOptions::new(edge.as_str(), "127.0.0.1", port), 0);
    let builder = EoNBuilder::new(eventloop, client).with_group_id("TestPlant").with_node_id(edge);
    let (eon, node) = builder.with_metric_manager(NoMetricManager::new()).build().unwrap();
    let metrics = SimpleMetricManager::new();
    let total = metrics.register_metric(SimpleMetricBuilder::new("Energy/Total_kWh", 10.0f64)).unwrap();
    let device = node.register_device("Mill02", metrics.clone()).unwrap();
    device.enable();
    let running = tokio::spawn(eon.run());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let value: f64 = line.trim().parse().unwrap();
        // Before its births and while it reconnects nothing can be published; the value is then that of the next birth.
        let _ = metrics.publish_metric(total.update(|kept| *kept = value)).await;
    }
    node.cancel().await;
    running.await.unwrap();
}
