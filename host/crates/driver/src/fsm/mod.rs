//! The state machine of one group: applies its log, remembers what came out, takes checkpoints,
//! survives traps (DESIGN §7.2, §7.3), and answers queries from a twin.
//!
//! Everything a client, a peer or a guest can observe of it is a function of the log alone. What an
//! instance of the guest has been through, its *history*, is a start (`init` or `restore`) and the
//! calls that succeeded since; a rebuild goes through the same history again.

mod apply;
mod chain;
mod checkpoint;
mod freshness;
#[doc(hidden)]
pub mod fuzzing;
mod group;
mod header;
mod history;
pub mod native_kv;
mod options;
mod outcomes;
mod reader;
mod restore;
mod sessions;
mod shared;
mod state_file;
mod tickets;
mod totals;
mod verdict;
mod worker;

pub use chain::{CHAIN_INTERVAL, CHAIN_KEPT, ChainHead};
pub use freshness::Freshness;
pub use header::{HeaderError, SNAPSHOT_FORMAT, SessionSummary, SnapshotHeader};
pub use options::{
    MAX_FAILURES, ReaderOptions, SESSION_BYTES, SESSION_COMMANDS, WorkerContext, WorkerOptions,
};
pub use outcomes::{MalformedOutcomes, decode_outcomes, encode_outcomes};
pub use reader::{QueryError, Reader, ReaderStatus};
pub use shared::Published;
pub use totals::Totals;
pub use worker::{Worker, WorkerState, WorkerStatus};

#[cfg(test)]
mod tests;
