//! Turns the core's effects into calls. Synchronous, no threads, no clock, no randomness of its
//! own: the shell in `host` and the simulator run the same code.
//!
//! Two kinds of object are polled: a node (consensus for all groups of a process) and, per group,
//! a worker (the state machine with its sessions, outcome chain and checkpoints). What passes
//! between them is in [`task`].

pub mod directory;
mod disk;
pub mod fsm;
mod log;
mod machine;
mod mutant;
mod node;
pub mod payload;
mod snapshot;
pub mod task;
mod trace;

pub use disk::{Disk, File};
pub use log::{
    Digest, Floor, Log, LogError, LogReader, Recovered, RecoveredGroup, SnapshotRef, Write,
    WriteKind,
};
pub use machine::{
    Environment, FailureClass, Fault, Limits, Machine, MachineSpec, Machines, Reply, Sink, Source,
};
pub use node::{
    Entropy, Event, GroupStatus, LeaderChange, Node, NodeConfig, Outbox, ReplicaKind, SendSnapshot,
    Stranger, Tuning,
};
pub use snapshot::{
    Section, SnapshotError, SnapshotReader, SnapshotReceiver, SnapshotWriter, Snapshots,
};
pub use trace::Tracer;
