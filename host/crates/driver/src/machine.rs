//! A state machine as the driver sees it, sandboxed or native.

use std::fmt;

use coracle_proto::Index;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// What a state machine may know about the world. Comes from the entry, so it is the same on every
/// replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Environment {
    /// Index of the entry.
    pub index: Index,
    /// Nanoseconds since the Unix epoch, stamped by the leader, never decreasing.
    pub time: u64,
    /// Random bytes drawn by the leader.
    pub seed: [u8; 32],
}

/// Bounds on one fsm. Part of the replicated state: changed by entries only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// Everything a guest can observe or a verdict depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MachineSpec {
    /// SHA-256 of the plugin's bytes; [`MachineSpec::NATIVE`] for the directory.
    pub plugin: Digest,
    /// The plugin's settings, sorted by key.
    pub config: Vec<(String, String)>,
    /// Its bounds.
    pub limits: Limits,
    /// Version of the contract the plugin was built against, e.g. `0.1.0`.
    pub contract: String,
    /// Engine epoch that runs it.
    pub epoch: u32,
}

impl MachineSpec {
    /// Stands for the directory, which is part of the host.
    pub const NATIVE: Digest = Digest([0; 32]);
}

/// Why a call to the guest failed, as it is replicated: a closed set, no engine text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FailureClass {
    /// It trapped (panic, unreachable, out of bounds, …).
    Trap,
    /// It ran out of fuel.
    Fuel,
    /// It asked for more memory or table space than its limit.
    Memory,
    /// It recursed too deep.
    Stack,
    /// Its reply is malformed, miscounted or too large.
    BadResult,
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trap => "trap",
            Self::Fuel => "fuel",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::BadResult => "bad-result",
        })
    }
}

/// What a guest call may end in.
#[derive(Debug)]
pub enum Fault {
    /// `init`, `restore` or `snapshot` returned an error of the guest's own: its bytes.
    Refused(Vec<u8>),
    /// The call failed, the same on every replica. The instance is poisoned. `detail` is for the
    /// log of this node only.
    Failed {
        /// The replicated class.
        class: FailureClass,
        /// What the engine said.
        detail: String,
    },
    /// This host failed; never replicated, this replica halts the fsm.
    Host(String),
}

/// The guest's answer to one command or query.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reply {
    /// Success.
    Ok(Vec<u8>),
    /// The guest refused it, with a reason of its own.
    Refused(Vec<u8>),
}

/// Where a snapshot goes.
pub trait Sink {
    /// Takes the next bytes. An error is the host's fault and ends the snapshot.
    fn write(&mut self, chunk: &[u8]) -> Result<(), String>;
}

/// Where a restore comes from.
pub trait Source {
    /// At most `max` of the next bytes; empty at the end.
    fn read(&mut self, max: usize) -> Result<Vec<u8>, String>;
}

/// One running instance. After any `Failed` or `Host` fault it is poisoned and only dropped.
pub trait Machine: Send + fmt::Debug {
    /// Applies a frame of commands; answers a frame of outcomes (DESIGN §7.1), checked for count
    /// and size by the caller.
    fn apply(&mut self, environment: &Environment, frame: &[u8]) -> Result<Vec<u8>, Fault>;
    /// Answers a query; must not be called on an instance that applies (DESIGN §7.3).
    fn query(&mut self, environment: &Environment, request: &[u8]) -> Result<Reply, Fault>;
    /// Writes the whole state.
    fn snapshot(&mut self, environment: &Environment, sink: &mut dyn Sink) -> Result<(), Fault>;
    /// Fuel used by successful `apply` calls since the start; the same on every replica.
    fn fuel_used(&self) -> u64;
    /// Bytes of memory it holds; 0 where that is not known.
    fn memory_bytes(&self) -> u64 {
        0
    }
}

/// Makes instances.
pub trait Machines: Send + Sync + fmt::Debug {
    /// Whether this node has the plugin, compiled or ready to be.
    fn has(&self, plugin: &Digest) -> bool;
    /// A fresh instance after `init`, or after `restore` if a source is given. `slack`: a reader
    /// twin, whose limits are wider so that it never fails where the live one did not.
    fn start(
        &self,
        spec: &MachineSpec,
        environment: &Environment,
        source: Option<&mut dyn Source>,
        slack: bool,
    ) -> Result<Box<dyn Machine>, Fault>;
}
