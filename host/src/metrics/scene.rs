//! What is read when somebody asks for the metrics.

use std::time::Duration;

use coracle_driver::GroupStatus;
use coracle_driver::fsm::WorkerStatus;
use coracle_transport::{PeerStats, Stats};

/// The state of a node at one moment.
#[derive(Debug, Default)]
pub(crate) struct Scene {
    /// Groups that are shown, by name.
    pub(crate) groups: Vec<GroupScene>,
    /// All groups hosted here, also those that are not shown.
    pub(crate) hosted: usize,
    /// Those of them that have fallen silent.
    pub(crate) quiet: usize,
    /// Other nodes.
    pub(crate) peers: Vec<PeerScene>,
    /// Counters of the transport.
    pub(crate) transport: Stats,
    /// Certificates, and when they end, in seconds since 1970.
    pub(crate) certificates: Vec<(&'static str, i64)>,
    /// The disk.
    pub(crate) store: StoreScene,
    /// Time since the node started.
    pub(crate) uptime: Duration,
    /// Seconds since 1970 when it started.
    pub(crate) started: f64,
    /// Whether the node has failed and stops.
    pub(crate) failed: bool,
    /// Requests that wait for an answer of the node's core.
    pub(crate) waiting: usize,
}

/// One group.
#[derive(Debug)]
pub(crate) struct GroupScene {
    /// The name of its fsm; `_system` for group 0.
    pub(crate) fsm: String,
    /// Its consensus.
    pub(crate) status: GroupStatus,
    /// Its worker.
    pub(crate) worker: Option<WorkerStatus>,
    /// State of the fsm here, in a word.
    pub(crate) state: String,
    /// Name, version and digest of its plugin.
    pub(crate) plugin: Option<(String, String, String)>,
}

/// Another node.
#[derive(Debug)]
pub(crate) struct PeerScene {
    pub(crate) node: u64,
    pub(crate) connected: bool,
    /// What went over its connections.
    pub(crate) stats: PeerStats,
}

/// Sizes on the disk.
#[derive(Debug, Default)]
pub(crate) struct StoreScene {
    /// Bytes of the log's file.
    pub(crate) log: u64,
    /// Bytes of snapshot files.
    pub(crate) snapshots: u64,
    /// Bytes of plugins.
    pub(crate) plugins: u64,
    /// Free on the disk.
    pub(crate) free: u64,
    /// The disk's size.
    pub(crate) total: u64,
}
