//! What the types cannot say.

use std::collections::BTreeSet;
use std::fmt;

use super::Config;
use coracle_transport::MIN_BULK_RATE;

/// Nodes of a cluster.
const MAX_NODES: usize = coracle_driver::directory::MAX_CLUSTER_NODES;
/// What stands around a command in an entry, a frame of the transport or a forwarded call.
const FRAMING_BYTES: u64 = 64 << 10;
/// A larger command could be appended, but never be sent to another node: its group would stand
/// still for good.
pub(super) const MAX_COMMAND_BYTES: u64 = coracle_transport::MAX_FRAME_BYTES as u64 - FRAMING_BYTES;
/// Largest plugin.
const MAX_PLUGIN_BYTES: u64 = 256 << 20;
/// The election timeout must leave room for heartbeats that are lost.
const HEARTBEATS_PER_ELECTION: u64 = 3;
/// A cluster that waits longer for a leader is down for whoever uses it.
const MAX_ELECTION_TIMEOUT_MS: u64 = 600_000;
/// Most that may be under way to a peer, in messages or bytes.
const MAX_FLOW: u64 = 1 << 30;
/// Largest ballast; it is written in full.
const MAX_BALLAST_BYTES: u64 = 1 << 40;

/// One key and what is wrong with its value.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) key: String,
    reason: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.reason)
    }
}

fn wrong(key: impl Into<String>, reason: impl Into<String>) -> Result<(), Wrong> {
    Err(Wrong {
        key: key.into(),
        reason: reason.into(),
    })
}

pub(super) fn check(config: &Config) -> Result<(), Wrong> {
    identity(config)?;
    listen(config)?;
    peers(config)?;
    timing(config)?;
    limits(config)
}

fn identity(config: &Config) -> Result<(), Wrong> {
    if let Err(error) = coracle_transport::identity::ClusterName::new(&config.cluster) {
        return wrong("cluster", error.to_string());
    }
    if config.node == 0 {
        return wrong("node", "ids of nodes begin with 1");
    }
    if config.log.level.trim().is_empty() {
        return wrong("log.level", "it is empty; `off` shows nothing");
    }
    if config.data_dir.as_os_str().is_empty() {
        return wrong("data_dir", "it is empty");
    }
    Ok(())
}

fn listen(config: &Config) -> Result<(), Wrong> {
    let http = config.listen.http;
    if !http.ip().is_loopback() {
        let reason = format!(
            "{http} is not a loopback address, and HTTP without TLS would carry commands in the \
             clear; listen on 127.0.0.1 and put a TLS proxy in front"
        );
        return wrong("listen.http", reason);
    }
    for (key, address) in [("listen.http", http), ("listen.quic", config.listen.quic)] {
        if address.port() == 0 {
            return wrong(key, "peers and clients need a fixed port, not 0");
        }
    }
    Ok(())
}

fn peers(config: &Config) -> Result<(), Wrong> {
    let count = config.peers.len();
    if count > MAX_NODES {
        return wrong("peers", format!("{count} nodes, the limit is {MAX_NODES}"));
    }
    let mut ids = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    for (i, peer) in config.peers.iter().enumerate() {
        if peer.id == 0 || !ids.insert(peer.id) {
            return wrong(
                format!("peers.{i}.id"),
                format!("{} is zero or used twice", peer.id),
            );
        }
        let quic = peer.quic;
        if quic.port() == 0 || quic.ip().is_unspecified() || !addresses.insert(quic) {
            let reason = format!("{quic} cannot be dialled, or is used twice");
            return wrong(format!("peers.{i}.quic"), reason);
        }
    }
    if !ids.contains(&config.node) {
        let reason = format!("this node, {}, is missing: list every node", config.node);
        return wrong("peers", reason);
    }
    Ok(())
}

fn timing(config: &Config) -> Result<(), Wrong> {
    let raft = &config.raft;
    if raft.heartbeat_ms == 0 {
        return wrong("raft.heartbeat_ms", "it is zero");
    }
    if raft.election_timeout_ms > MAX_ELECTION_TIMEOUT_MS {
        let reason = format!(
            "{} ms is more than {MAX_ELECTION_TIMEOUT_MS} ms",
            raft.election_timeout_ms
        );
        return wrong("raft.election_timeout_ms", reason);
    }
    if raft.election_timeout_ms < raft.heartbeat_ms.saturating_mul(HEARTBEATS_PER_ELECTION) {
        let reason = format!(
            "{} ms is less than {HEARTBEATS_PER_ELECTION} heartbeats of {} ms: every lost message \
             would be an election",
            raft.election_timeout_ms, raft.heartbeat_ms
        );
        return wrong("raft.election_timeout_ms", reason);
    }
    let flow = [
        ("raft.max_inflight_appends", raft.max_inflight_appends),
        ("raft.max_inflight_bytes", raft.max_inflight_bytes),
        ("raft.max_uncommitted_bytes", raft.max_uncommitted_bytes),
    ];
    for (key, value) in flow {
        if value == 0 || value > MAX_FLOW {
            return wrong(key, format!("{value} is not between 1 and {MAX_FLOW}"));
        }
    }
    if raft.clock_drift_ms >= raft.election_timeout_ms {
        let reason = "it is not less than the election timeout: no lease could ever hold";
        return wrong("raft.clock_drift_ms", reason);
    }
    Ok(())
}

fn limits(config: &Config) -> Result<(), Wrong> {
    let l = &config.limits;
    let s = &config.snapshot;
    let ranges = [
        ("limits.command_bytes", l.command_bytes, MAX_COMMAND_BYTES),
        ("limits.plugin_bytes", l.plugin_bytes, MAX_PLUGIN_BYTES),
        ("limits.http_requests", l.http_requests, 1 << 20),
        ("limits.http_connections", l.http_connections, 1 << 20),
        ("limits.request_timeout_ms", l.request_timeout_ms, 600_000),
        ("limits.queued_commands", l.queued_commands, 1 << 20),
        ("limits.queued_bytes", l.queued_bytes, 1 << 30),
        ("snapshot.entries", s.entries, u64::MAX),
        ("snapshot.bytes", s.bytes, u64::MAX),
        ("storage.cache_bytes", config.storage.cache_bytes, 1 << 40),
    ];
    for (key, value, max) in ranges {
        if value == 0 || value > max {
            return wrong(key, format!("{value} is not between 1 and {max}"));
        }
    }
    if s.rate_bytes > 0 && s.rate_bytes < MIN_BULK_RATE {
        let rate = s.rate_bytes;
        let reason = format!("{rate} is neither 0 (no limit) nor at least {MIN_BULK_RATE}");
        return wrong("snapshot.rate_bytes", reason);
    }
    if config.storage.ballast_bytes > MAX_BALLAST_BYTES {
        let ballast = config.storage.ballast_bytes;
        return wrong(
            "storage.ballast_bytes",
            format!("{ballast} is more than {MAX_BALLAST_BYTES}"),
        );
    }
    if l.queued_bytes < l.command_bytes {
        return wrong(
            "limits.queued_bytes",
            "it is less than limits.command_bytes",
        );
    }
    Ok(())
}
