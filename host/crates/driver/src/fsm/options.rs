//! What a worker is given, and the bounds of everything it holds.

use std::sync::Arc;
use std::time::Duration;

use crate::{LogReader, Machines, Snapshots};

/// Commands with an `Idempotency-Key` that are remembered per fsm. With [`SESSION_BYTES`] this is
/// the window of exactly-once: a retry is recognised while fewer than so many keyed commands came
/// after it. It never depends on time. Part of the semantics: the same on every node.
pub const SESSION_COMMANDS: usize = 16_384;

/// Bytes of remembered outcomes per fsm, 128 per command included; the oldest are
/// forgotten beyond, but never the newest.
pub const SESSION_BYTES: usize = 16 << 20;

/// What one remembered command counts beside the bytes of its outcome.
pub(super) const SESSION_OVERHEAD: usize = 128;

/// Bytes of one remembered command in a snapshot, at most: a reply has 64 KiB less.
pub(super) const MAX_SESSION_RECORD_BYTES: usize = 16 << 20;

/// Commands that may fail between two checkpoints; after that the fsm is suspended, that is, every
/// command is refused until the next checkpoint. Part of the semantics.
pub const MAX_FAILURES: u32 = 64;

/// Bytes of a guest's own error that are replicated; the rest is cut off. Part of the semantics.
pub(super) const MAX_MESSAGE_BYTES: usize = 4 << 10;

/// Bytes of entries read from the log at once.
pub(super) const READ_BYTES: usize = 1 << 20;

/// Bytes read from or written to a snapshot file at once.
pub(super) const CHUNK_BYTES: usize = 64 << 10;

/// Entries and reads that may be waited for at once.
pub(super) const MAX_WAITING: usize = 65_536;

/// Applied entries whose outcomes are kept for tickets that come late.
pub(super) const RECENT_ENTRIES: usize = 64;

/// Bytes of such outcomes.
pub(super) const RECENT_BYTES: usize = 4 << 20;

/// Where a worker and its readers get everything from.
#[derive(Debug, Clone)]
pub struct WorkerContext {
    /// The durable log.
    pub log: Arc<dyn LogReader>,
    /// The snapshot files.
    pub snapshots: Arc<dyn Snapshots>,
    /// Makes instances.
    pub machines: Arc<dyn Machines>,
    /// When checkpoints are due.
    pub options: WorkerOptions,
}

/// When checkpoints are due: as soon as one of these is exceeded since the last attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerOptions {
    /// Entries.
    pub checkpoint_entries: u64,
    /// Bytes of payload.
    pub checkpoint_bytes: u64,
    /// Fuel.
    pub checkpoint_fuel: u64,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            checkpoint_entries: 10_000,
            checkpoint_bytes: 64 << 20,
            checkpoint_fuel: 100_000_000_000,
        }
    }
}

/// How often a reader may make a new twin after it lost one to a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderOptions {
    /// Rebuilds in a row.
    pub rebuild_burst: u32,
    /// Time after which one more is allowed.
    pub rebuild_interval: Duration,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self {
            rebuild_burst: 16,
            rebuild_interval: Duration::from_millis(100),
        }
    }
}
