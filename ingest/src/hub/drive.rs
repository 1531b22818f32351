//! Asks the Sparkplug host what is due and hands it on: commands to their doors, losses to the caller.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::index::CurrentIndex;
use crate::sparkplug::Loss;

/// How often the host is asked: its rate of rebirth requests and its reorder timeout are coarser than this.
const EVERY: Duration = Duration::from_millis(100);

/// A running driver; it ends when dropped.
pub struct Driver {
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts to drive the host of this index; `on_losses` gets the spans that are lost for good, in order, never none.
pub fn drive(index: Arc<CurrentIndex>, mut on_losses: impl FnMut(Vec<Loss>) + Send + 'static) -> Driver {
    let task = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let index = index.get();
            let foreign = index.foreign();
            let due = foreign.sparkplug.due(model::clock::now());
            for command in &due.commands {
                let n_reached = foreign.hub.send(command);
                tracing::debug!(topic = command.topic, door = %command.door, n_reached, "rebirth asked for");
            }
            if !due.losses.is_empty() {
                on_losses(due.losses);
            }
        }
    });
    Driver { task }
}
