//! What the directory can be asked to change.

use coracle_proto::{GroupId, Index, NodeId};
use serde::{Deserialize, Serialize};

use super::ids;
use super::members::{Founder, NewNode, NodeRole};
use super::refusal::Refusal;
use super::state::{GroupMembers, Placement};
use super::token::JoinToken;
use crate::{Digest, Limits};

/// Version of the encoding of commands.
const VERSION: u8 = 1;

/// A command of group 0. New variants are added at the end only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DirectoryCommand {
    /// A majority has the plugin's bytes. Answered with nothing; repeating it is fine.
    RegisterPlugin {
        /// SHA-256 of its bytes.
        digest: Digest,
        /// What it says of itself.
        name: String,
        /// What it says of itself.
        version: String,
        /// Its size.
        bytes: u64,
    },
    /// Create an fsm. Answered with its group (u64, little-endian): the index of this entry, or
    /// that of the group that was created by the same request before.
    CreateFsm {
        /// Its name.
        name: String,
        /// What it runs.
        plugin: Digest,
        /// The plugin's settings, sorted by key.
        config: Vec<(String, String)>,
        /// Its bounds.
        limits: Limits,
        /// Its first voters. It follows the nodes of the cluster from then on.
        #[serde(with = "ids::nodes")]
        nodes: Vec<NodeId>,
    },
    /// The group runs this plugin now. For the listing; the group's own log is the truth.
    SetFsmPlugin {
        /// Which.
        #[serde(with = "ids::group")]
        group: GroupId,
        /// What it runs.
        plugin: Digest,
    },
    /// The fsm is to go. Repeating it is fine. Its name is free again after `DropFsm`.
    RetireFsm {
        /// Which.
        name: String,
    },
    /// The group is retired in its own log: forget it. Repeating it is fine.
    DropFsm {
        /// Which.
        #[serde(with = "ids::group")]
        group: GroupId,
    },
    /// A node and where it is reached. Nobody proposes it any more; old logs may hold it.
    RegisterNode {
        /// Which.
        #[serde(with = "ids::node")]
        node: NodeId,
        /// Its QUIC address.
        quic: String,
        /// Its HTTP URL.
        http: String,
    },
    /// The first nodes of a cluster. Without effect once there are nodes.
    FoundCluster {
        /// The cluster's name.
        cluster: String,
        /// Its first nodes.
        founders: Vec<Founder>,
    },
    /// A node joins with a token, which is used by that. Answered with its id (u64,
    /// little-endian).
    AddNode(NewNode),
    /// What the node is to be. A learner gets a vote once it has caught up.
    SetNodeRole {
        /// Which.
        #[serde(with = "ids::node")]
        node: NodeId,
        /// What it is to be.
        role: NodeRole,
        /// [`Members::index`](super::Members::index) must be this.
        expected: Option<Index>,
    },
    /// Give `new` the role of `old` once it has caught up; `old` leaves then.
    ReplaceNode {
        /// Who goes.
        #[serde(with = "ids::node")]
        old: NodeId,
        /// Who comes.
        #[serde(with = "ids::node")]
        new: NodeId,
        /// [`Members::index`](super::Members::index) must be this.
        expected: Option<Index>,
    },
    /// The learner has caught up: it becomes what it was to become.
    CompleteStaging {
        /// Which.
        #[serde(with = "ids::node")]
        node: NodeId,
    },
    /// Where a node is reached.
    SetNodeAddress {
        /// Which.
        #[serde(with = "ids::node")]
        node: NodeId,
        /// Its QUIC address.
        quic: String,
        /// Its HTTP URL.
        http: String,
        /// [`Members::index`](super::Members::index) must be this.
        expected: Option<Index>,
    },
    /// Among equals the highest leads.
    SetPriority {
        /// Which.
        #[serde(with = "ids::node")]
        node: NodeId,
        /// Its priority.
        priority: u8,
        /// [`Members::index`](super::Members::index) must be this.
        expected: Option<Index>,
    },
    /// The node is to go. Repeating it is fine. Its id is never used again.
    RemoveNode {
        /// Which.
        #[serde(with = "ids::node")]
        node: NodeId,
        /// [`Members::index`](super::Members::index) must be this.
        expected: Option<Index>,
    },
    /// No fsm's group counts on the leaving node any more: it is gone.
    DropNode {
        /// Which.
        #[serde(with = "ids::node")]
        node: NodeId,
    },
    /// Something to join with.
    CreateToken {
        /// Its id, drawn by the node that was asked.
        id: u64,
        /// What it is good for.
        token: JoinToken,
    },
    /// Nobody may join with it any more. Repeating it is fine.
    RevokeToken {
        /// Its id.
        id: u64,
    },
    /// The group's own log has this configuration. For the listing, and for those who wait.
    ReportMembers {
        /// Which.
        #[serde(with = "ids::group")]
        group: GroupId,
        /// Its members.
        members: GroupMembers,
    },
    /// Where an fsm is to run.
    PlaceFsm {
        /// Which.
        name: String,
        /// Where.
        placement: Placement,
    },
}

impl DirectoryCommand {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![VERSION]).expect("invariant: plain data encodes")
    }

    /// Reads what `encode` wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = |reason: String| Refusal::Malformed { reason };
        match bytes.split_first() {
            Some((&VERSION, rest)) => {
                postcard::from_bytes(rest).map_err(|error| malformed(error.to_string()))
            }
            Some((version, _)) => Err(malformed(format!("version {version}"))),
            None => Err(malformed("it is empty".into())),
        }
    }
}
