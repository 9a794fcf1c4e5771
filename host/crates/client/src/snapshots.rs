//! Snapshots in the words of the interface.

use serde::{Deserialize, Serialize};

use crate::DigestHex;

/// Bytes of a snapshot that travel in one request.
pub const SNAPSHOT_PART_BYTES: usize = 4 << 20;

/// A snapshot of an fsm on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// Last index it includes.
    pub index: u64,
    /// Term of that entry.
    pub term: u64,
    /// Time of that entry, nanoseconds since the Unix epoch.
    pub time: u64,
    /// Its group.
    pub group: u64,
    /// The plugin that wrote it.
    pub plugin: DigestHex,
    /// Bytes of the file.
    pub bytes: u64,
    /// The digest in its trailer.
    pub digest: DigestHex,
}

/// The snapshots of an fsm on one node, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotList {
    /// The node.
    pub node: u64,
    /// Its snapshots.
    pub snapshots: Vec<SnapshotInfo>,
}

/// Bytes of an image that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageReceived {
    /// How many.
    pub received: u64,
}

/// What to restore from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// An image that was uploaded.
    pub image: DigestHex,
    /// Only if no command was applied yet.
    #[serde(default)]
    pub fresh: bool,
}

/// An fsm was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The entry that did it.
    pub index: u64,
}
