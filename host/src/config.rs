//! The configuration of one node: a TOML file. What is the cluster's (fsms, plugins) is in the
//! replicated directory, not here.

mod check;
mod load;
mod overrides;
mod settings;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use coracle_client::LimitOverrides;
use serde::{Deserialize, Serialize};

pub use load::ConfigError;
pub use overrides::{check_limits, resolve_limits};
pub use settings::{HOT, SettingError, parse_value};

/// One node's settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The cluster's name, as in the certificates.
    pub cluster: String,
    /// This node.
    pub node: u64,
    /// Where everything is stored; relative to the file.
    pub data_dir: PathBuf,
    /// Where this node listens.
    pub listen: Listen,
    /// Who this node is; paths relative to the file.
    pub tls: Tls,
    /// Every node of the initial cluster, this one included; on a node that joined later, where
    /// the others were then. Where they are now is in the replicated directory.
    pub peers: Vec<Peer>,
    /// This node came with a ticket: it waits for the cluster and never begins one of its own.
    #[serde(default)]
    pub joined: bool,
    /// Timing of the consensus.
    #[serde(default)]
    pub raft: Raft,
    /// The log on disk.
    #[serde(default)]
    pub storage: Storage,
    /// When checkpoints are due, and what is kept below them.
    #[serde(default)]
    pub snapshot: Snapshot,
    /// Bounds of this node.
    #[serde(default)]
    pub limits: Limits,
    /// Where the default limits of new fsms differ from the built-in ones.
    #[serde(default)]
    pub fsm: LimitOverrides,
    /// What the log of this process shows.
    #[serde(default)]
    pub log: Log,
    /// What `/metrics` shows.
    #[serde(default)]
    pub metrics: Metrics,
    /// Names of the settings that the file sets.
    #[serde(skip)]
    pub named: BTreeSet<String>,
    /// Where a trace for the specification is written, if one is asked for on the command line.
    #[serde(skip)]
    pub trace_events: Option<PathBuf>,
}

/// Where a node listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// For its peers: QUIC, always with mutual TLS.
    pub quic: SocketAddr,
    /// For its clients: plain HTTP, hence a loopback address.
    pub http: SocketAddr,
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// This node's certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The cluster's authority.
    pub ca: PathBuf,
    /// The authority's key, with which a voter signs the certificates of nodes that join; `ca.key`
    /// beside the certificate if not given.
    #[serde(default)]
    pub ca_key: Option<PathBuf>,
}

/// One node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its id.
    pub id: u64,
    /// Where its peers reach it.
    pub quic: SocketAddr,
    /// Where its clients reach it.
    pub http: SocketAddr,
}

/// Timing of the consensus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Raft {
    /// Without a leader for this long, a node stands for election; the real time is drawn between
    /// this and twice this.
    pub election_timeout_ms: u64,
    /// How often a leader speaks.
    pub heartbeat_ms: u64,
    /// How far clocks may drift apart within an election timeout: a lease is shorter by this.
    pub clock_drift_ms: u64,
    /// Messages with entries that may be unanswered, per peer and group.
    pub max_inflight_appends: u64,
    /// Bytes in them.
    pub max_inflight_bytes: u64,
    /// Bytes of a leader's log that may be uncommitted; beyond, commands are refused as busy.
    pub max_uncommitted_bytes: u64,
    /// Heartbeats without anything to do after which the group of an fsm falls silent: no timer, no
    /// message, until something happens. 0: never.
    pub quiesce_after: u32,
}

/// The log on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// Memory for redb's pages.
    pub cache_bytes: u64,
    /// redb's two-phase commit: slower, and safe against a malicious guest of the disk.
    pub two_phase: bool,
    /// A file that is given back to the disk when it is full, so that the node can still vote.
    pub ballast_bytes: u64,
    /// With less free space than this, commands are refused.
    pub low_water_bytes: u64,
}

/// When checkpoints are due, and what is kept below them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Snapshot {
    /// A checkpoint is due after this many entries.
    pub entries: u64,
    /// A checkpoint is due after this many bytes of commands.
    pub bytes: u64,
    /// Entries kept below the newest snapshot for peers that are a little behind.
    pub retained_entries: u64,
    /// Bytes of payload kept below the newest snapshot.
    pub retained_bytes: u64,
    /// Bytes of snapshots and plugins that leave this node in a second; 0: as fast as it goes.
    pub rate_bytes: u64,
    /// Snapshots kept per fsm, the newest included.
    pub keep: u64,
}

/// Bounds of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of one command or query.
    pub command_bytes: u64,
    /// Bytes of one plugin.
    pub plugin_bytes: u64,
    /// HTTP requests in progress.
    pub http_requests: u64,
    /// Open HTTP connections.
    pub http_connections: u64,
    /// Time for a request that names none.
    pub request_timeout_ms: u64,
    /// Commands that wait to be proposed, per fsm.
    pub queued_commands: u64,
    /// Bytes of commands that wait to be proposed, per fsm.
    pub queued_bytes: u64,
}

/// What the log of this process shows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives; `CORACLE_LOG` goes before it.
    pub level: String,
}

/// What `/metrics` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Fsms with series of their own, the first by name; 0: none but group 0.
    pub max_fsms: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { max_fsms: 100 }
    }
}

impl Default for Raft {
    fn default() -> Self {
        Self {
            election_timeout_ms: 1000,
            heartbeat_ms: 100,
            clock_drift_ms: 100,
            max_inflight_appends: 64,
            max_inflight_bytes: 8 << 20,
            max_uncommitted_bytes: 32 << 20,
            quiesce_after: 50,
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            two_phase: false,
            ballast_bytes: 16 << 20,
            low_water_bytes: 128 << 20,
        }
    }
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            entries: 100_000,
            bytes: 256 << 20,
            retained_entries: 10_000,
            retained_bytes: 16 << 20,
            rate_bytes: 0,
            keep: 2,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_bytes: 1 << 20,
            plugin_bytes: 64 << 20,
            http_requests: 1024,
            http_connections: 2048,
            request_timeout_ms: 5000,
            queued_commands: 8192,
            queued_bytes: 16 << 20,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".into(),
        }
    }
}

impl Config {
    /// Where the key of the cluster's authority is, or would be.
    pub fn authority_key(&self) -> PathBuf {
        match &self.tls.ca_key {
            Some(path) => path.clone(),
            None => self.tls.ca.with_file_name("ca.key"),
        }
    }
}

impl Raft {
    /// [`Raft::election_timeout_ms`].
    pub fn election_timeout(&self) -> Duration {
        Duration::from_millis(self.election_timeout_ms)
    }

    /// [`Raft::heartbeat_ms`].
    pub fn heartbeat_interval(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms)
    }
}

impl Limits {
    /// The bounds of the HTTP interface.
    pub fn http(&self) -> crate::api::http::Limits {
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        crate::api::http::Limits {
            command_bytes: size(self.command_bytes),
            plugin_bytes: size(self.plugin_bytes),
            requests: size(self.http_requests),
            connections: size(self.http_connections),
            timeout: Duration::from_millis(self.request_timeout_ms),
            ..Default::default()
        }
    }
}
