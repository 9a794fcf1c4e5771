//! Bodies of what an operator asks of a running node: leadership, settings, draining.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `POST /v1/leader/{what}`: about whose leadership.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeaderOrder {
    /// The fsm whose group it is; none: group 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fsm: Option<String>,
    /// For a transfer: to whom; none: to the node that is best placed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

/// Who leads a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leadership {
    /// The fsm; none for group 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fsm: Option<String>,
    /// The group.
    pub group: u64,
    /// Its leader, if one is known.
    pub leader: Option<u64>,
    /// The term in which it leads, as far as the node that answers knows.
    pub term: u64,
    /// For `verify`: what was committed when a majority confirmed the leader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
}

/// `GET /v1/leader`: all groups of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaders {
    /// Group 0 first, then by name.
    pub groups: Vec<Leadership>,
}

/// `POST /v1/leader/spread`: what was moved, and how leaders are spread now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// Leaders per node.
    pub leaders: BTreeMap<u64, u64>,
    /// Transfers that were made.
    pub moved: Vec<Moved>,
    /// Transfers that were not, and why.
    pub failed: Vec<NotMoved>,
}

/// One transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The fsm.
    pub fsm: String,
    /// From which node.
    pub from: u64,
    /// To which.
    pub to: u64,
}

/// A transfer that was not made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotMoved {
    /// The fsm.
    pub fsm: String,
    /// Why.
    pub reason: String,
}

/// `POST /v1/node/drain`, `POST /v1/node/undrain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// The node.
    pub node: u64,
    /// Whether it is drained now: it is not ready and takes no leadership.
    pub draining: bool,
    /// Groups whose leadership went to another node.
    pub handed_over: u64,
    /// Groups that it still leads: there was nobody to take over.
    pub still_leads: Vec<u64>,
}

/// `GET /v1/config`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigView {
    /// The node.
    pub node: u64,
    /// By name.
    pub settings: Vec<Setting>,
}

/// One setting of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: serde_json::Value,
    /// Where the value is from: `default`, `file`, `runtime`.
    pub origin: String,
    /// Whether it can change while the node runs.
    pub hot: bool,
}

/// `PATCH /v1/config`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigChange {
    /// New values by name; null takes an earlier change back.
    pub set: BTreeMap<String, serde_json::Value>,
    /// On every node of the cluster, not only on the one that is asked.
    #[serde(default)]
    pub all_nodes: bool,
}

/// What became of a change on each node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChanged {
    /// By id.
    pub nodes: Vec<NodeChanged>,
}

/// What became of a change on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeChanged {
    /// The node.
    pub node: u64,
    /// Whether it is in force there.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// `POST /v1/fsms/{fsm}/barrier`: everything acknowledged before is applied on the node that was
/// asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Barrier {
    /// The node.
    pub node: u64,
    /// Up to this index at least.
    pub index: u64,
}
