//! Bodies of requests and replies, as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

/// SHA-256 of a plugin's bytes, as 64 lower-case hex digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DigestHex(pub [u8; 32]);

/// Not a SHA-256 in hex.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a sha-256: want 64 lower-case hex digits")]
pub struct InvalidDigest {
    text: String,
}

impl fmt::Display for DigestHex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for DigestHex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DigestHex {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        HEXLOWER
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .map(Self)
            .ok_or_else(|| InvalidDigest {
                text: text.chars().take(80).collect(),
            })
    }
}

impl TryFrom<String> for DigestHex {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        text.parse()
    }
}

impl From<DigestHex> for String {
    fn from(digest: DigestHex) -> Self {
        digest.to_string()
    }
}

/// Longest name of an fsm.
const MAX_FSM_NAME: usize = 63;

/// Not a name for an fsm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is not a name for an fsm: want 1 to {MAX_FSM_NAME} of a-z, 0-9, '-', '_', \
     beginning with a letter"
)]
pub struct InvalidName {
    name: String,
}

/// Names go into paths, file names and metrics, so they are kept plain.
pub fn check_fsm_name(name: &str) -> Result<(), InvalidName> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let ok = name.len() <= MAX_FSM_NAME
        && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && name.bytes().all(plain);
    if ok {
        Ok(())
    } else {
        Err(InvalidName {
            name: name.chars().take(80).collect(),
        })
    }
}

/// A plugin the cluster has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginInfo {
    /// SHA-256 of its bytes.
    pub digest: DigestHex,
    /// What it calls itself.
    pub name: String,
    /// What it calls its version.
    pub version: String,
    /// Its size.
    pub bytes: u64,
}

/// `GET /v1/plugins`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginList {
    /// Sorted by digest.
    pub plugins: Vec<PluginInfo>,
}

/// `PUT /v1/fsms/{fsm}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateFsm {
    /// Which plugin runs it; it must have been uploaded.
    pub plugin: DigestHex,
    /// The plugin's settings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// Where its limits differ from the cluster's defaults.
    #[serde(default)]
    pub limits: LimitOverrides,
}

/// Limits of one fsm that differ from the defaults. Units as in the configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitOverrides {
    /// Linear memory, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Elements over all tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_elements: Option<u64>,
    /// Fuel for one command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_fuel: Option<u64>,
    /// Fuel for one query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_fuel: Option<u64>,
    /// Fuel for instantiation, `init` and `describe`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_fuel: Option<u64>,
    /// Fuel for `snapshot` and `restore` per MiB of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_fuel_per_mib: Option<u64>,
    /// Bytes in one command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_bytes: Option<u64>,
    /// Bytes of reply to one command or query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_bytes: Option<u64>,
    /// Bytes of reply to one group of commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_reply_bytes: Option<u64>,
    /// Bytes of one snapshot's state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_bytes: Option<u64>,
    /// Bytes of log output per call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<u64>,
}

/// One fsm, by what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsmInfo {
    /// Its name.
    pub name: String,
    /// Its Raft group.
    pub group: u64,
    /// The plugin that runs it.
    pub plugin: DigestHex,
    /// The plugin's settings.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// How it is on the node that was asked.
    pub state: FsmState,
}

/// `GET /v1/fsms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsmList {
    /// Sorted by name.
    pub fsms: Vec<FsmInfo>,
}

/// `DELETE /v1/fsms/{fsm}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// What is gone.
    pub name: String,
}

/// `POST /v1/fsms/{fsm}/upgrade`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {
    /// The plugin to go on with; it must have been uploaded.
    pub plugin: DigestHex,
}

/// The upgrade is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgraded {
    /// From this log index on.
    pub index: u64,
}

/// A snapshot was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshotted {
    /// Last index it includes.
    pub index: u64,
}

/// How an fsm is on one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FsmState {
    /// Its group exists; its state machine has not started yet.
    Starting,
    /// It serves.
    Running,
    /// It waits here for its plugin's bytes.
    AwaitingPlugin,
    /// Suspended on every node: applies are refused, queries served.
    Suspended,
    /// Stopped on this node by a fault of this host.
    Halted,
    /// Being removed.
    Retired,
    /// It runs on other nodes and not on this one.
    Elsewhere,
}

impl fmt::Display for FsmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::AwaitingPlugin => "awaiting_plugin",
            Self::Suspended => "suspended",
            Self::Halted => "halted",
            Self::Retired => "retired",
            Self::Elsewhere => "elsewhere",
        })
    }
}

/// `GET /v1/status`: how one node sees the cluster. Needs no leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The node that answers.
    pub node: u64,
    /// Leader of group 0, if known.
    pub leader: Option<u64>,
    /// Term of group 0.
    pub term: u64,
    /// Its fsms, sorted by name.
    pub fsms: Vec<FsmStatus>,
    /// Fsyncs of the log since the node started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fsyncs: Option<u64>,
    /// Set if the node's data folder went through `coracle recover`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<RecoveredInfo>,
}

/// What `coracle recover` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveredInfo {
    /// When, in seconds since the Unix epoch.
    pub at: u64,
    /// The only voters from then on.
    pub survivors: Vec<u64>,
    /// The nodes that were removed for ever.
    pub removed: Vec<u64>,
}

/// One fsm as one node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsmStatus {
    /// Its name.
    pub name: String,
    /// Its Raft group.
    pub group: u64,
    /// How it is here.
    pub state: FsmState,
    /// Leader of its group, if known.
    pub leader: Option<u64>,
    /// Term of its group.
    pub term: u64,
    /// Digest of the plugin that runs it, in hex.
    pub plugin: String,
    /// Last index applied here.
    pub applied_index: u64,
    /// First index in the log here.
    pub first_index: u64,
    /// Last index in the newest snapshot here; zero if there is none.
    pub snapshot_index: u64,
    /// Head of the outcome chain at `applied_index`, in hex.
    pub chain: String,
    /// Heads at the last 64 multiples of 256, oldest first, to compare under load.
    pub chains: Vec<ChainHead>,
}

/// Head of the outcome chain at one index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// The index.
    pub index: u64,
    /// The head, in hex.
    pub head: String,
}

/// One thing a probe looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// Whether it is well.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// `GET /livez`, `GET /readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Whether all checks are well.
    pub ok: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_64_lower_case_hex_digits_and_nothing_else() {
        let text = "00ff".repeat(16);
        assert_eq!(
            text.parse::<DigestHex>().map(|d| d.to_string()),
            Ok(text.clone())
        );
        for bad in [
            "",
            "00ff",
            &text[1..],
            &text.to_uppercase(),
            &format!("{text}00"),
        ] {
            assert!(bad.parse::<DigestHex>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_of_fsms_are_plain() {
        for good in ["kv", "a", "kv-2_x"] {
            assert_eq!(check_fsm_name(good), Ok(()), "{good:?}");
        }
        for bad in ["", "KV", "2kv", "-kv", "a/b", "a.b", "a b", &"a".repeat(64)] {
            assert!(check_fsm_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_unknown_leader_is_null_and_unknown_members_are_refused() {
        let status = Status {
            node: 1,
            leader: None,
            term: 0,
            fsms: Vec::new(),
            fsyncs: None,
            recovered: None,
        };
        let json = serde_json::to_string(&status).expect("status is json");
        assert_eq!(json, r#"{"node":1,"leader":null,"term":0,"fsms":[]}"#);
        let digest = "00".repeat(32);
        let unknown = format!(r#"{{"plugin":"{digest}","limits":{{"memory":1}}}}"#);
        let error = serde_json::from_str::<CreateFsm>(&unknown).expect_err("unknown limit");
        assert!(error.to_string().contains("memory"), "{error}");
    }
}
