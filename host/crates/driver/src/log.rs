//! What the driver asks of the durable log.

use std::collections::BTreeMap;
use std::fmt;

use coracle_proto::{Configuration, Entry, GroupId, HardState, Index, Initial, LogId, PersistId};

/// SHA-256 of something.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Digest(pub [u8; 32]);

/// The snapshot a floor stands on, by what its file must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRef {
    /// Last entry it includes.
    pub last: LogId,
    /// Configuration as of that entry.
    pub configuration: Configuration,
    /// Digest in the trailer of its file.
    pub digest: Digest,
}

/// The lower end of a group's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Floor {
    /// Entries up to here are gone. At or below `snapshot.last`.
    pub last: LogId,
    /// Configuration in force at `last`.
    pub configuration: Configuration,
    /// The snapshot to restart from. `None` only in the floor that hosts a new replica, and in
    /// those of a witness, which has no state.
    pub snapshot: Option<SnapshotRef>,
}

/// What one write does to one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteKind {
    /// A replica starts to exist here; written before it says anything. If another replica of the
    /// group is hosted, this one takes its place and keeps its hard state, and nothing else. `born` and the initial
    /// configuration are in the floor (`last` is zero).
    Host {
        /// The first floor.
        floor: Floor,
        /// This node's replica: index of the configuration entry that added it.
        born: Index,
    },
    /// Entries and hard state, as [`Effect::Persist`](coracle_proto::Effect::Persist).
    Append {
        /// The new term and vote, when they changed.
        hard_state: Option<HardState>,
        /// Consecutive entries; one at an existing index replaces it and all after it.
        entries: Vec<Entry>,
    },
    /// The floor rises: entries up to it may be forgotten. Rides on another write's transaction;
    /// costs no fsync of its own.
    Compact {
        /// The new floor.
        floor: Floor,
    },
    /// The log is replaced by a snapshot, as
    /// [`Effect::InstallSnapshot`](coracle_proto::Effect::InstallSnapshot).
    Install {
        /// The new term and vote, when they changed.
        hard_state: Option<HardState>,
        /// The new floor; `floor.last == floor.snapshot.last`.
        floor: Floor,
        /// Drop entries above the floor as well.
        truncate: bool,
    },
    /// A hint how far this replica has applied; needs no fsync of its own.
    Applied {
        /// Last applied index.
        index: Index,
    },
    /// The replica is gone for good; its files go next.
    Remove,
}

/// One write to one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The group.
    pub group: GroupId,
    /// Given back when it is durable; `None` if nobody waits.
    pub id: Option<PersistId>,
    /// What it does.
    pub kind: WriteKind,
}

/// The writer's side: one owner, one thread.
pub trait Log: Send + fmt::Debug {
    /// Makes all writes durable in one transaction with one fsync, in order. An error is final:
    /// whether the writes survived is unknown, and the node stops.
    fn commit(&mut self, writes: &[Write]) -> Result<(), LogError>;

    /// Called once when the node stops cleanly.
    fn close(&mut self) -> Result<(), LogError>;
}

/// The readers' side: shared between threads; sees what `commit` made durable.
pub trait LogReader: Send + Sync + fmt::Debug {
    /// Entries `from..=through`, at most `max_bytes` of payload but at least one. Checksums are
    /// verified on every read.
    fn entries(
        &self,
        group: GroupId,
        from: Index,
        through: Index,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, LogError>;
}

/// What was found at start, per group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredGroup {
    /// Everything the core needs.
    pub initial: Initial,
    /// This node's replica.
    pub born: Index,
    /// The lower end, naming the snapshot to restart from.
    pub floor: Floor,
    /// The last durable `Applied` hint.
    pub applied: Index,
}

/// What was found at start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Groups hosted here, by id.
    pub groups: BTreeMap<GroupId, RecoveredGroup>,
    /// Groups of which a replica was removed here and whose record still stands, with the highest
    /// `born` of those replicas. A group may be hosted again by one that was born later.
    pub removed: BTreeMap<GroupId, Index>,
}

/// What can go wrong in the log. Everything but `Compacted` stops the node.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk failed.
    #[error("log: {context}: {source}")]
    Io {
        /// What was being done.
        context: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A record, row or file is not what was written.
    #[error("log: group {group} index {index}: {reason}; the node's disk has damaged its data")]
    Damaged {
        /// The group, or zero.
        group: u64,
        /// The index, or zero.
        index: Index,
        /// What does not fit.
        reason: String,
    },
    /// The disk holds an older state than was acknowledged (see the anchor file).
    #[error("log: acknowledged data is missing: {reason}")]
    Lost {
        /// What is missing.
        reason: String,
    },
    /// The entries asked for are below the floor or above the last.
    #[error("log: {group} has no entry {index}")]
    Compacted {
        /// The group.
        group: GroupId,
        /// The index asked for.
        index: Index,
    },
    /// The storage engine refused.
    #[error("log: {context}: {reason}")]
    Engine {
        /// What was being done.
        context: String,
        /// Its answer.
        reason: String,
    },
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
