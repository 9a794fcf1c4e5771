//! The Raft protocol as a pure state machine, as quinn-proto is to quinn.
//!
//! Nothing here does I/O, reads a clock, draws a random number or starts a thread. The one
//! entry point is [`Raft::step`]; what it wants done comes back as [`Effect`]s, and an effect is
//! only ever emitted when it is safe to do it now.

mod ids;
mod instant;

mod codec;
mod configuration;
mod entry;
mod message;

mod change;
mod config;
mod effect;
mod input;
mod status;

mod raft;

mod clock;
mod core;
mod impossible;
mod incarnation;
mod log;
mod mutant;
mod plausible;
mod role;
mod writes;

mod receive;

mod election;
mod follower;
mod remote_read;
mod snapshot;

mod commit;
mod leader;
mod lease;
mod membership;
mod progress;
mod quiescence;
mod read_index;
mod replication;
mod timers;
mod transfer;

pub mod quorum;

mod display;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod paper;
#[cfg(test)]
mod pitfalls;
#[cfg(test)]
mod testing;

pub use change::{Change, ChangeRefusal, ConfigurationChange, Transition};
pub use codec::{ConfigurationError, MAX_MEMBERS};
pub use config::{Config, DEFAULT_PRIORITY, Initial, Settings};
pub use configuration::Configuration;
pub use effect::{
    Effect, Effects, HardState, PersistId, RefuseReason, SnapshotMeta, TransferOutcome,
};
pub use entry::{Entry, EntryKind};
pub use ids::{GroupId, Index, LogId, NodeId, ProposalId, ReadId, ReplicaId, Term, TransferId};
pub use input::{Input, ReadMode, TimeoutKind};
pub use instant::Instant;
pub use message::{AppendOutcome, Envelope, Message, VoteKind};
pub use raft::Raft;
pub use status::{LeaseView, PeerStatus, ProgressState, Role, Status, TimeView};
