//! The nodes of the cluster: what each is to be, and where it is reached.

use std::collections::{BTreeMap, BTreeSet};

use coracle_proto::{DEFAULT_PRIORITY, Index, NodeId};
use serde::{Deserialize, Serialize};

use super::ids;
use super::refusal::Refusal;
use super::state::Reply;
use super::token::JoinToken;

/// Nodes of a cluster, learners and witnesses included.
pub const MAX_CLUSTER_NODES: usize = 64;

/// Voters of a cluster: each write waits for a majority of them.
pub const MAX_CLUSTER_VOTERS: usize = 9;

/// Bytes in a node's name, and in each of its addresses.
pub const MAX_NODE_TEXT: usize = 255;

/// The highest id of a node: an integer in every language.
const MAX_NODE_ID: u64 = 1 << 53;

/// What a node is to the groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NodeRole {
    /// It votes, and runs the state machines.
    Voter,
    /// It receives everything and does not vote.
    Learner,
    /// It votes and runs no state machine but that of group 0, where it is a voter.
    Witness,
}

impl NodeRole {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Voter => "voter",
            Self::Learner => "learner",
            Self::Witness => "witness",
        }
    }

    /// Whether it has a vote in group 0.
    pub fn votes(self) -> bool {
        self != Self::Learner
    }
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name, if it was given one. No two nodes have the same.
    pub name: Option<String>,
    /// Its QUIC address.
    pub quic: String,
    /// Its HTTP URL.
    pub http: String,
    /// What it is to be in every group now.
    pub role: NodeRole,
    /// What it becomes once it has caught up.
    pub staged: Option<NodeRole>,
    /// The node that leaves when this one's staging is complete.
    #[serde(with = "ids::maybe_node")]
    pub replaces: Option<NodeId>,
    /// Among equals the highest leads.
    pub priority: u8,
    /// It is to go: first from the groups of the fsms, then from the cluster.
    pub leaving: bool,
    /// SHA-256 of its public key, of a node that came with a ticket: the same request again is
    /// answered with the same id.
    pub key: Option<[u8; 32]>,
}

/// A node of a new cluster, which is a voter from the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founder {
    /// Its id.
    #[serde(with = "ids::node")]
    pub node: NodeId,
    /// Its QUIC address.
    pub quic: String,
    /// Its HTTP URL.
    pub http: String,
}

/// A node that comes with a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewNode {
    /// The token of its ticket.
    pub token: u64,
    /// SHA-256 of its public key.
    pub key: [u8; 32],
    /// Its name, if it wants one.
    pub name: Option<String>,
    /// Its QUIC address.
    pub quic: String,
    /// Its HTTP URL.
    pub http: String,
}

/// The nodes of the cluster, and who may join them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Members {
    /// Index of the entry that last changed a node; changes may name it as a condition.
    pub index: Index,
    /// The cluster's name; empty until its first leader has registered the founders.
    pub cluster: String,
    /// The highest node id that was ever used.
    pub last_node: u64,
    /// The nodes.
    #[serde(with = "ids::node_map")]
    pub nodes: BTreeMap<NodeId, Node>,
    /// What a new node may join with.
    pub tokens: BTreeMap<u64, JoinToken>,
}

impl Members {
    /// Whether this node was a member and is no more. Ids are given out in ascending order and
    /// never twice, so that this needs no list.
    pub fn is_removed(&self, node: NodeId) -> bool {
        node.0 <= self.last_node && !self.nodes.contains_key(&node)
    }

    /// The nodes that stay and have this role.
    pub fn with_role(&self, role: NodeRole) -> BTreeSet<NodeId> {
        let stay = self.nodes.iter().filter(|(_, node)| !node.leaving);
        stay.filter(|(_, node)| node.role == role)
            .map(|(id, _)| *id)
            .collect()
    }

    pub(super) fn found(&mut self, index: Index, cluster: String, founders: Vec<Founder>) -> Reply {
        if !self.nodes.is_empty() {
            return Ok(Vec::new());
        }
        if founders.is_empty() || founders.len() > MAX_CLUSTER_NODES {
            return Err(Refusal::BadNodes);
        }
        for founder in &founders {
            check_text(&founder.quic)?;
            check_text(&founder.http)?;
            if !(1..MAX_NODE_ID).contains(&founder.node.0) {
                return Err(Refusal::BadNodes);
            }
        }
        for founder in founders {
            self.last_node = self.last_node.max(founder.node.0);
            let node = Node::new(None, founder.quic, founder.http, NodeRole::Voter);
            self.nodes.insert(founder.node, node);
        }
        self.cluster = cluster;
        self.index = index;
        Ok(Vec::new())
    }

    /// Registers a node as a learner and takes one use of its token. Answered with its id (u64,
    /// little-endian).
    pub(super) fn add(&mut self, index: Index, time: u64, new: NewNode) -> Reply {
        let known = self.nodes.iter().find(|(_, n)| n.key == Some(new.key));
        if let Some((id, _)) = known {
            return Ok(id.0.to_le_bytes().to_vec());
        }
        let role = JoinToken::check(self.tokens.get(&new.token), time)?;
        self.check_new(&new)?;
        if self.nodes.len() >= MAX_CLUSTER_NODES {
            return Err(Refusal::ClusterFull {
                limit: MAX_CLUSTER_NODES,
            });
        }
        if role.votes() {
            self.check_voters()?;
        }
        if let Some(token) = self.tokens.get_mut(&new.token) {
            token.uses_left -= 1;
        }
        self.last_node += 1;
        self.index = index;
        let node = Node {
            staged: Some(role).filter(|role| role.votes()),
            key: Some(new.key),
            ..Node::new(new.name, new.quic, new.http, NodeRole::Learner)
        };
        self.nodes.insert(NodeId(self.last_node), node);
        Ok(self.last_node.to_le_bytes().to_vec())
    }

    /// A learner is to get a vote once it has caught up; anything else happens now.
    pub(super) fn set_role(
        &mut self,
        index: Index,
        id: NodeId,
        role: NodeRole,
        expected: Option<Index>,
    ) -> Reply {
        let node = self.staying(id)?;
        if node.role == role && node.staged.is_none() || node.staged == Some(role) {
            return Ok(Vec::new());
        }
        self.check_index(expected)?;
        let gains_vote = !node.role.votes() && role.votes();
        if gains_vote && node.staged.is_none() {
            self.check_voters()?;
        }
        if role != NodeRole::Voter {
            self.check_last_voter(id)?;
        }
        let node = self.node_mut(id)?;
        node.replaces = None;
        if gains_vote {
            node.staged = Some(role);
        } else {
            node.role = role;
            node.staged = None;
        }
        self.index = index;
        Ok(Vec::new())
    }

    /// `new` gets the role of `old`, which leaves at that moment.
    pub(super) fn replace(
        &mut self,
        index: Index,
        old: NodeId,
        new: NodeId,
        expected: Option<Index>,
    ) -> Reply {
        let role = self.staying(old)?.role;
        if self.staying(new)?.replaces == Some(old) {
            return Ok(Vec::new());
        }
        self.check_index(expected)?;
        if old == new {
            return Err(Refusal::ReplacesItself { node: old.0 });
        }
        let node = self.node_mut(new)?;
        if node.role == NodeRole::Learner {
            node.staged = Some(role);
            node.replaces = Some(old);
        } else {
            self.check_last_voter(old)?;
            self.node_mut(old)?.leaving = true;
        }
        self.index = index;
        Ok(Vec::new())
    }

    /// The learner has caught up.
    pub(super) fn complete_staging(&mut self, index: Index, id: NodeId) -> Reply {
        let node = self.node_mut(id)?;
        let Some(role) = node.staged.take() else {
            return Ok(Vec::new());
        };
        node.role = role;
        let replaced = node.replaces.take();
        if let Some(old) = replaced.and_then(|old| self.nodes.get_mut(&old)) {
            old.leaving = true;
        }
        self.index = index;
        Ok(Vec::new())
    }

    pub(super) fn set_address(
        &mut self,
        index: Index,
        id: NodeId,
        (quic, http): (String, String),
        expected: Option<Index>,
    ) -> Reply {
        let node = self.staying(id)?;
        if node.quic == quic && node.http == http {
            return Ok(Vec::new());
        }
        self.check_index(expected)?;
        check_text(&quic)?;
        check_text(&http)?;
        self.check_address_free(Some(id), &quic)?;
        let node = self.node_mut(id)?;
        node.quic = quic;
        node.http = http;
        self.index = index;
        Ok(Vec::new())
    }

    pub(super) fn set_priority(
        &mut self,
        index: Index,
        id: NodeId,
        priority: u8,
        expected: Option<Index>,
    ) -> Reply {
        if self.staying(id)?.priority == priority {
            return Ok(Vec::new());
        }
        self.check_index(expected)?;
        self.node_mut(id)?.priority = priority;
        self.index = index;
        Ok(Vec::new())
    }

    pub(super) fn remove(&mut self, index: Index, id: NodeId, expected: Option<Index>) -> Reply {
        if self.is_removed(id) {
            return Ok(Vec::new());
        }
        if self.node_mut(id)?.leaving {
            return Ok(Vec::new());
        }
        self.check_index(expected)?;
        self.check_last_voter(id)?;
        let node = self.node_mut(id)?;
        node.leaving = true;
        node.staged = None;
        node.replaces = None;
        self.index = index;
        Ok(Vec::new())
    }

    /// No group counts on it any more: its id is gone for ever.
    pub(super) fn drop_node(&mut self, index: Index, id: NodeId) -> Reply {
        match self.nodes.get(&id) {
            Some(node) if !node.leaving => Err(Refusal::NotLeaving { node: id.0 }),
            Some(_) => {
                self.nodes.remove(&id);
                self.index = index;
                Ok(Vec::new())
            }
            None if self.is_removed(id) => Ok(Vec::new()),
            None => Err(Refusal::UnknownNode { node: id.0 }),
        }
    }

    /// Whether a node is there to stay, and if not why.
    ///
    /// # Errors
    /// It is on its way out, was removed, or never was.
    pub fn check_staying(&self, id: NodeId) -> Result<(), Refusal> {
        self.staying(id).map(|_| ())
    }

    fn staying(&self, id: NodeId) -> Result<&Node, Refusal> {
        match self.nodes.get(&id) {
            Some(node) if node.leaving => Err(Refusal::Leaving { node: id.0 }),
            Some(node) => Ok(node),
            None if self.is_removed(id) => Err(Refusal::RemovedNode { node: id.0 }),
            None => Err(Refusal::UnknownNode { node: id.0 }),
        }
    }

    fn node_mut(&mut self, id: NodeId) -> Result<&mut Node, Refusal> {
        let unknown = Refusal::UnknownNode { node: id.0 };
        self.nodes.get_mut(&id).ok_or(unknown)
    }

    fn check_index(&self, expected: Option<Index>) -> Result<(), Refusal> {
        match expected {
            Some(expected) if expected != self.index => Err(Refusal::OtherIndex {
                expected,
                actual: self.index,
            }),
            _ => Ok(()),
        }
    }

    /// Whether there may be one voter more.
    fn check_voters(&self) -> Result<(), Refusal> {
        let votes = |node: &&Node| {
            !node.leaving && (node.role.votes() || node.staged.is_some() && node.replaces.is_none())
        };
        if self.nodes.values().filter(votes).count() >= MAX_CLUSTER_VOTERS {
            return Err(Refusal::TooManyVoters {
                limit: MAX_CLUSTER_VOTERS,
            });
        }
        Ok(())
    }

    fn check_last_voter(&self, id: NodeId) -> Result<(), Refusal> {
        let voters = self.with_role(NodeRole::Voter);
        if voters.contains(&id) && voters.len() == 1 {
            return Err(Refusal::LastVoter { node: id.0 });
        }
        Ok(())
    }

    fn check_new(&self, new: &NewNode) -> Result<(), Refusal> {
        check_text(&new.quic)?;
        check_text(&new.http)?;
        if let Some(name) = &new.name {
            check_text(name)?;
            let named = |node: &Node| node.name.as_ref() == Some(name);
            if let Some((id, _)) = self.nodes.iter().find(|(_, node)| named(node)) {
                return Err(Refusal::NodeNameTaken {
                    name: name.clone(),
                    node: id.0,
                });
            }
        }
        self.check_address_free(None, &new.quic)
    }

    fn check_address_free(&self, own: Option<NodeId>, quic: &str) -> Result<(), Refusal> {
        let mut others = self.nodes.iter().filter(|(id, _)| own != Some(**id));
        match others.find(|(_, node)| node.quic == quic) {
            Some((id, _)) => Err(Refusal::AddressTaken {
                address: quic.to_owned(),
                node: id.0,
            }),
            None => Ok(()),
        }
    }
}

impl Node {
    fn new(name: Option<String>, quic: String, http: String, role: NodeRole) -> Self {
        Self {
            name,
            quic,
            http,
            role,
            staged: None,
            replaces: None,
            priority: DEFAULT_PRIORITY,
            leaving: false,
            key: None,
        }
    }
}

fn check_text(text: &str) -> Result<(), Refusal> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || text.len() > MAX_NODE_TEXT || !plain {
        let text = text.chars().take(MAX_NODE_TEXT).collect();
        return Err(Refusal::BadNodeText { text });
    }
    Ok(())
}
