//! How the directory says no.

use super::members::MAX_NODE_TEXT;
use super::state::MAX_NAME;
use super::token::{MAX_TOKEN_USES, MAX_TOKENS};
use crate::Digest;

/// Why the directory refuses a command. Its text is the guest's reply to the client; what stands
/// before the first colon is its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The name is in use.
    #[error("conflict: there is an fsm {name} already, group {group}")]
    NameTaken {
        /// The name.
        name: String,
        /// Who has it.
        group: u64,
    },
    /// The fsm is being removed.
    #[error("conflict: fsm {name} is being removed, group {group}")]
    Retiring {
        /// The name.
        name: String,
        /// Who has it.
        group: u64,
    },
    /// Two groups in one entry would have the same id.
    #[error("conflict: another fsm was created by the same entry {index}: try again")]
    SameEntry {
        /// The entry.
        index: u64,
    },
    /// `DropFsm` without `RetireFsm`.
    #[error("conflict: group {group} is not being removed")]
    NotRetiring {
        /// The group.
        group: u64,
    },
    /// No such plugin.
    #[error("not found: plugin {plugin} is not registered")]
    UnknownPlugin {
        /// Its digest.
        plugin: Digest,
    },
    /// No such fsm.
    #[error("not found: there is no fsm {name}")]
    UnknownFsm {
        /// Its name.
        name: String,
    },
    /// No such group.
    #[error("not found: there is no group {group}")]
    UnknownGroup {
        /// Its id.
        group: u64,
    },
    /// The name breaks the rules.
    #[error(
        "bad request: fsm name {name:?}: 1 to {MAX_NAME} characters of a-z, 0-9, '-' and '_', \
         beginning with a letter"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// The fsm would run nowhere.
    #[error("bad request: an fsm needs at least one node, each once")]
    BadNodes,
    /// The settings are not sorted, or a key stands there twice.
    #[error("bad request: settings must be sorted by key, each key once")]
    BadConfig,
    /// The bytes are not a command.
    #[error("bad request: malformed directory command: {reason}")]
    Malformed {
        /// What the decoder says.
        reason: String,
    },
    /// Somebody changed the members meanwhile.
    #[error(
        "conflict: the members were last changed at index {actual}, not {expected}: look at \
         `coracle members list` and try again"
    )]
    OtherIndex {
        /// What the command wanted.
        expected: u64,
        /// What it is.
        actual: u64,
    },
    /// No such node.
    #[error("not found: there is no node {node}; see `coracle members list`")]
    UnknownNode {
        /// Its id.
        node: u64,
    },
    /// The node is gone for good.
    #[error(
        "conflict: node {node} was removed, and ids are never used again: let it join as a new \
         node, with an empty data folder and a ticket of `coracle token create join`"
    )]
    RemovedNode {
        /// Its id.
        node: u64,
    },
    /// The node is on its way out.
    #[error("conflict: node {node} is being removed")]
    Leaving {
        /// Its id.
        node: u64,
    },
    /// `DropNode` without `RemoveNode`.
    #[error("conflict: node {node} is not being removed")]
    NotLeaving {
        /// Its id.
        node: u64,
    },
    /// Nobody would be left to vote.
    #[error(
        "would lose quorum: node {node} is the only voter: promote another node first, with \
         `coracle members promote`"
    )]
    LastVoter {
        /// Its id.
        node: u64,
    },
    /// A node cannot take its own place.
    #[error("bad request: node {node} cannot replace itself: name the new node")]
    ReplacesItself {
        /// Its id.
        node: u64,
    },
    /// The limit of voters.
    #[error(
        "conflict: the cluster has {limit} voters, the most it may have: remove or demote one \
         first, or join as a learner"
    )]
    TooManyVoters {
        /// The limit.
        limit: usize,
    },
    /// The limit of nodes.
    #[error("cluster full: it has {limit} nodes, the most it may have: remove one first")]
    ClusterFull {
        /// The limit.
        limit: usize,
    },
    /// The name is in use.
    #[error("name taken: node {node} is called {name}: choose another with --name")]
    NodeNameTaken {
        /// The name.
        name: String,
        /// Who has it.
        node: u64,
    },
    /// The address is in use.
    #[error(
        "address taken: node {node} is at {address}: choose another with --quic, or remove that \
         node first"
    )]
    AddressTaken {
        /// The address.
        address: String,
        /// Who has it.
        node: u64,
    },
    /// A name or an address that is none.
    #[error(
        "bad request: {text:?}: names and addresses have 1 to {MAX_NODE_TEXT} printable characters"
    )]
    BadNodeText {
        /// It.
        text: String,
    },
    /// No such token: revoked, or expired long ago.
    #[error(
        "token unknown: it was revoked, or it is no token of this cluster: make a new one with \
         `coracle token create join`"
    )]
    UnknownToken,
    /// Its time is over.
    #[error("token expired: make a new one with `coracle token create join`")]
    TokenExpired,
    /// It is used up.
    #[error(
        "token used: as many nodes as it was made for have joined with it: make a new one \
             with `coracle token create join`"
    )]
    TokenUsed,
    /// The id is in use.
    #[error("conflict: there is a token with this id: try again")]
    TokenExists,
    /// Not a number of nodes.
    #[error("bad request: a token is for 1 to {MAX_TOKEN_USES} nodes, not {uses}")]
    BadUses {
        /// What was asked for.
        uses: u32,
    },
    /// The limit of tokens.
    #[error(
        "conflict: {MAX_TOKENS} tokens are waiting, the most there may be: revoke some with \
         `coracle token revoke`"
    )]
    TooManyTokens,
    /// Nobody could vote.
    #[error(
        "would lose quorum: none of the nodes that fsm {name} is to run on is a voter: name one \
         more"
    )]
    NoVoterPlaced {
        /// The fsm.
        name: String,
    },
    /// It would run nowhere.
    #[error(
        "would lose quorum: node {node} is the only voter that fsm {name} runs on: place it \
         elsewhere first, with `coracle fsm place`"
    )]
    OnlyPlace {
        /// The fsm.
        name: String,
        /// The node.
        node: u64,
    },
    /// A node of the placement is none, or on its way out.
    #[error("conflict: node {node} is no member that could run an fsm; see `coracle members list`")]
    BadPlacement {
        /// Its id.
        node: u64,
    },
}
