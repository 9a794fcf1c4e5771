//! The Raft protocol as a pure state machine, as quinn-proto is to quinn.
//!
//! Nothing here does I/O, reads a clock, draws a random number or starts a thread. The one
//! entry point is [`Raft::step`]; what it wants done comes back as [`Effect`]s, and an effect is
//! only ever emitted when it is safe to do it now.

mod configuration;
mod effect;
mod entry;
mod ids;
mod input;
mod instant;
mod message;
mod raft;

pub use configuration::Configuration;
pub use effect::{Effect, Effects, HardState, PersistId, RefuseReason, SnapshotMeta};
pub use entry::{Entry, EntryKind};
pub use ids::{GroupId, Index, LogId, NodeId, ProposalId, ReadId, ReplicaId, Term};
pub use input::{Input, TimeoutKind};
pub use instant::Instant;
pub use message::{AppendOutcome, Envelope, Message, VoteKind};
pub use raft::{Config, Initial, PeerStatus, ProgressState, Raft, Role, Status};
