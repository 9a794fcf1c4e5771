//! Settings of a store.

use coracle_proto::NodeId;

const MIB: usize = 1024 * 1024;

/// Settings of a [`Store`](crate::Store).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The node the store belongs to. Zero, the default, is refused.
    pub node: NodeId,
    /// Random bytes that name a store which is created; ignored when there is one.
    pub store: [u8; 16],
    /// Memory for redb's pages, in bytes.
    pub cache_bytes: usize,
    /// Memory for payloads of recent entries, so that readers need not ask redb, in bytes.
    pub recent_bytes: usize,
    /// Two fsyncs per commit: for tenants who might choose payloads that collide in redb's
    /// checksums. The default is one.
    pub two_phase: bool,
    /// Bytes in a file that is given up when the disk is full, so that votes still find room.
    /// Zero: none.
    pub ballast_bytes: u64,
    /// Free bytes below which [`Reader::low_on_space`](crate::Reader::low_on_space) is true.
    pub low_water_bytes: u64,
    /// Commits after which the anchor is written although no hard state changed.
    pub anchor_commits: u64,
    /// Dead bytes in rows that are put up with; a multiple of it, or as much again as is live,
    /// makes idle groups be written anew.
    pub garbage_bytes: u64,
    /// Open a log although the anchor proves that what was acknowledged is missing from it. Only
    /// for looking at it and for giving up what is lost, by `coracle recover`.
    pub accept_loss: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            node: NodeId(0),
            store: [0; 16],
            cache_bytes: 64 * MIB,
            recent_bytes: 32 * MIB,
            two_phase: false,
            ballast_bytes: 16 * MIB as u64,
            low_water_bytes: 128 * MIB as u64,
            anchor_commits: 256,
            garbage_bytes: 4 * MIB as u64,
            accept_loss: false,
        }
    }
}
