//! Whether a broker is connected, and what its client counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use model::UnixMillis;

/// Why a door is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Since when.
    pub since: UnixMillis,
    pub text: String,
}

/// See the module's comment. Shared between the connections and the health report.
pub struct Status {
    /// By connection (`data`, `sparkplug`): nothing while all is well.
    troubles: Mutex<BTreeMap<&'static str, Trouble>>,
    /// What the broker granted less of than was asked.
    warnings: Mutex<Vec<String>>,
    session_lost: AtomicU64,
    reconnects: AtomicU64,
    unacknowledged: AtomicU64,
    watchdog: AtomicU64,
}

impl Status {
    /// Of these connections none has been made yet.
    pub(super) fn new(connections: &[&'static str], now: UnixMillis) -> Status {
        let trouble = Trouble { since: now, text: "not connected yet".to_owned() };
        let troubles = connections.iter().map(|connection| (*connection, trouble.clone())).collect();
        Status {
            troubles: Mutex::new(troubles),
            warnings: Mutex::default(),
            session_lost: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
            unacknowledged: AtomicU64::new(0),
            watchdog: AtomicU64::new(0),
        }
    }

    /// What is wrong, if anything is: `lost since …`, or a subscription that was refused.
    pub fn trouble(&self) -> Option<String> {
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |(connection, trouble): (&&str, &Trouble)| {
            format!("{connection} connection since {}: {}", trouble.since, trouble.text)
        };
        let texts: Vec<String> = troubles.iter().map(text).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    /// What the broker granted less of than was asked, on the connection that stands: messages come, but fewer may be kept.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often the broker had forgotten our session, and with it what it held for us.
    pub fn session_lost(&self) -> u64 {
        self.session_lost.load(Ordering::Relaxed)
    }

    /// Connections after the first.
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }

    /// Messages that wait for their acknowledgement now.
    pub fn unacknowledged(&self) -> u64 {
        self.unacknowledged.load(Ordering::Relaxed)
    }

    /// How often a connection was given up because an acknowledgement did not leave.
    pub fn watchdog(&self) -> u64 {
        self.watchdog.load(Ordering::Relaxed)
    }

    pub(super) fn well(&self, connection: &'static str) {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).remove(connection);
    }

    /// Keeps the time of the first of several troubles in a row.
    pub(super) fn ill(&self, connection: &'static str, now: UnixMillis, text: &str) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let trouble = troubles.entry(connection).or_insert_with(|| Trouble { since: now, text: String::new() });
        text.clone_into(&mut trouble.text);
    }

    pub(super) fn set_warnings(&self, warnings: Vec<String>) {
        *self.warnings.lock().unwrap_or_else(PoisonError::into_inner) = warnings;
    }

    pub(super) fn count_session_lost(&self) {
        self.session_lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_reconnect(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_watchdog(&self) {
        self.watchdog.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_unacknowledged(&self, n: usize) {
        self.unacknowledged.store(n as u64, Ordering::Relaxed);
    }
}
