//! Bounds on what a guest may use.

/// Bounds on one fsm. Part of the replicated state: a verdict depends on every field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Linear memory, all memories together, bytes.
    pub memory_bytes: u64,
    /// Elements over all tables.
    pub table_elements: u64,
    /// Fuel for one command; a group has the sum of its commands'.
    pub command_fuel: u64,
    /// Fuel for one query.
    pub query_fuel: u64,
    /// Fuel for instantiation, `init` and `describe`.
    pub start_fuel: u64,
    /// Fuel for `snapshot` and `restore` per MiB of linear memory (and one MiB more).
    pub state_fuel_per_mib: u64,
    /// Bytes in one command.
    pub command_bytes: u64,
    /// Bytes of reply to one command or query.
    pub reply_bytes: u64,
    /// Bytes of reply to one group.
    pub group_reply_bytes: u64,
    /// Bytes of one snapshot's state.
    pub snapshot_bytes: u64,
    /// Bytes of log output per call; what is beyond is dropped.
    pub log_bytes: u64,
}

/// How much wider the limits of a reader twin are.
const SLACK: u64 = 4;

impl Limits {
    /// The limits of a reader twin: wide enough that it never fails where the live instance did
    /// not. A query keeps its own bounds.
    pub(crate) fn slackened(&self) -> Self {
        Self {
            memory_bytes: self.memory_bytes.saturating_mul(SLACK),
            table_elements: self.table_elements.saturating_mul(SLACK),
            command_fuel: self.command_fuel.saturating_mul(SLACK),
            start_fuel: self.start_fuel.saturating_mul(SLACK),
            state_fuel_per_mib: self.state_fuel_per_mib.saturating_mul(SLACK),
            ..*self
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            table_elements: 100_000,
            command_fuel: 50_000_000,
            query_fuel: 500_000_000,
            start_fuel: 1_000_000_000,
            state_fuel_per_mib: 500_000_000,
            command_bytes: 1 << 20,
            reply_bytes: 1 << 20,
            group_reply_bytes: 4 << 20,
            snapshot_bytes: 1 << 30,
            log_bytes: 64 << 10,
        }
    }
}
