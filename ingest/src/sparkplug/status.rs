//! What a page shows of one edge node: its state, its devices, what it sent, and where it strays from the standard.

use std::sync::Arc;

use model::{PilotId, UnixMillis};

/// Where a sender strays from the standard, or from what it said itself. Each is counted per edge node; none costs a value
/// that can be named and typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deviation {
    MetricWithoutTime,
    BirthWithoutTime,
    DeathWithoutTime,
    BirthWithoutBdSeq,
    DeathWithoutBdSeq,
    BdSeqType,
    BdSeqMismatch,
    DataAfterDeath,
    Compressed,
    UnlistedMetric,
    Undescribed,
    DiffersFromBirth,
    UnknownAlias,
    AliasTwice,
    AliasOfAnother,
    NoSeq,
    SeqRepeated,
    ExtraInDeath,
    BeforeBirth,
    NoRebirthControl,
    RetainedBirth,
    ClockBack,
    PreviousRun,
    BadPayload,
    TooManyMetrics,
    TooManyDevices,
}

/// How many deviations there are.
pub(super) const N_DEVIATIONS: usize = 26;

impl Deviation {
    /// Every deviation, in the order of the enum.
    pub const ALL: [Deviation; N_DEVIATIONS] = [
        Deviation::MetricWithoutTime,
        Deviation::BirthWithoutTime,
        Deviation::DeathWithoutTime,
        Deviation::BirthWithoutBdSeq,
        Deviation::DeathWithoutBdSeq,
        Deviation::BdSeqType,
        Deviation::BdSeqMismatch,
        Deviation::DataAfterDeath,
        Deviation::Compressed,
        Deviation::UnlistedMetric,
        Deviation::Undescribed,
        Deviation::DiffersFromBirth,
        Deviation::UnknownAlias,
        Deviation::AliasTwice,
        Deviation::AliasOfAnother,
        Deviation::NoSeq,
        Deviation::SeqRepeated,
        Deviation::ExtraInDeath,
        Deviation::BeforeBirth,
        Deviation::NoRebirthControl,
        Deviation::RetainedBirth,
        Deviation::ClockBack,
        Deviation::PreviousRun,
        Deviation::BadPayload,
        Deviation::TooManyMetrics,
        Deviation::TooManyDevices,
    ];

    /// The word used on every surface.
    pub fn as_str(self) -> &'static str {
        match self {
            Deviation::MetricWithoutTime => "metric_without_time",
            Deviation::BirthWithoutTime => "birth_without_time",
            Deviation::DeathWithoutTime => "death_without_time",
            Deviation::BirthWithoutBdSeq => "birth_without_bdseq",
            Deviation::DeathWithoutBdSeq => "death_without_bdseq",
            Deviation::BdSeqType => "bdseq_type",
            Deviation::BdSeqMismatch => "bdseq_mismatch",
            Deviation::DataAfterDeath => "data_after_death",
            Deviation::Compressed => "compressed",
            Deviation::UnlistedMetric => "unlisted_metric",
            Deviation::Undescribed => "undescribed",
            Deviation::DiffersFromBirth => "differs_from_birth",
            Deviation::UnknownAlias => "unknown_alias",
            Deviation::AliasTwice => "alias_twice",
            Deviation::AliasOfAnother => "alias_of_another",
            Deviation::NoSeq => "no_seq",
            Deviation::SeqRepeated => "seq_repeated",
            Deviation::ExtraInDeath => "extra_in_death",
            Deviation::BeforeBirth => "before_birth",
            Deviation::NoRebirthControl => "no_rebirth_control",
            Deviation::RetainedBirth => "retained_birth",
            Deviation::ClockBack => "clock_back",
            Deviation::PreviousRun => "previous_run",
            Deviation::BadPayload => "bad_payload",
            Deviation::TooManyMetrics => "too_many_metrics",
            Deviation::TooManyDevices => "too_many_devices",
        }
    }
}

/// Counts by deviation.
#[derive(Debug, Clone, Default)]
pub(super) struct Deviations([u64; N_DEVIATIONS]);

impl Deviations {
    pub(super) fn count(&mut self, deviation: Deviation) {
        if let Some(n) = self.0.get_mut(deviation as usize) {
            *n += 1;
        }
    }

    pub(super) fn add(&mut self, other: &Deviations) {
        for (n, more) in self.0.iter_mut().zip(other.0) {
            *n += more;
        }
    }

    pub(super) fn has(&self, deviation: Deviation) -> bool {
        self.0.get(deviation as usize).is_some_and(|n| *n > 0)
    }

    /// Those that occurred.
    pub(super) fn list(&self) -> Vec<(Deviation, u64)> {
        Deviation::ALL.into_iter().zip(self.0).filter(|(_, n)| *n > 0).collect()
    }
}

/// Which clock dates a change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The time of receipt.
    Ours,
    /// The payload's timestamp.
    Edge,
}

/// Whether an edge node lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// No NBIRTH was heard yet.
    Unknown,
    Online,
    /// Messages were lost for good: what it says holds again with its next NBIRTH.
    AwaitingBirth,
    /// It died.
    Offline,
    /// It did not answer whether it lives.
    Silent,
    /// The link to its broker was lost.
    LinkLost,
}

impl NodeState {
    /// Every state.
    pub const ALL: [NodeState; 6] = [
        NodeState::Unknown,
        NodeState::Online,
        NodeState::AwaitingBirth,
        NodeState::Offline,
        NodeState::Silent,
        NodeState::LinkLost,
    ];

    /// The word used on every surface.
    pub fn as_str(self) -> &'static str {
        match self {
            NodeState::Unknown => "unknown",
            NodeState::Online => "online",
            NodeState::AwaitingBirth => "awaiting_birth",
            NodeState::Offline => "offline",
            NodeState::Silent => "silent",
            NodeState::LinkLost => "link_lost",
        }
    }
}

/// Whether a device lives. What is not online is stale: its last values are no current ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceState {
    Online,
    Offline,
    /// Its node was born again, and the device not yet.
    Stale,
}

impl DeviceState {
    /// The word used on every surface.
    pub fn as_str(self) -> &'static str {
        match self {
            DeviceState::Online => "online",
            DeviceState::Offline => "offline",
            DeviceState::Stale => "stale",
        }
    }
}

/// One device of an edge node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceStatus {
    pub device: Arc<str>,
    pub state: DeviceState,
    pub since: UnixMillis,
    pub clock: Clock,
}

/// One edge node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    pub door: Arc<str>,
    pub pilot: PilotId,
    pub group: Box<str>,
    pub edge: Box<str>,
    pub state: NodeState,
    /// None while nothing is known of it.
    pub since: Option<UnixMillis>,
    pub clock: Clock,
    pub bd_seq: Option<u64>,
    /// Sorted by name.
    pub devices: Vec<DeviceStatus>,
    pub n_metrics: usize,
    pub n_messages: u64,
    pub n_gaps: u64,
    pub n_lost: u64,
    /// Those that occurred, in the order of the enum.
    pub deviations: Vec<(Deviation, u64)>,
    pub n_rebirths_asked: u64,
    pub n_rebirths_answered: u64,
    pub last_at: Option<UnixMillis>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_the_order_of_the_enum() {
        for (index, deviation) in Deviation::ALL.into_iter().enumerate() {
            assert_eq!(deviation as usize, index, "{}", deviation.as_str());
        }
    }
}
