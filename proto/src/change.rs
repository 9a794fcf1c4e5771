//! What can be changed in a configuration, and why a change is refused (thesis §4).

use std::fmt;

use crate::{Index, NodeId};

/// One step of a change. A node is named without `born`: the replica it gets, if it is new, is
/// born at the entry that adds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// A voter: added, or promoted from learner.
    Voter(NodeId),
    /// A learner: added, or demoted from voter.
    Learner(NodeId),
    /// A witness: a voter without state machine and payloads. A member of another kind has to be
    /// removed first.
    Witness(NodeId),
    /// No member any more. Nothing if it is none.
    Remove(NodeId),
}

impl Change {
    /// The node it is about.
    pub fn node(&self) -> NodeId {
        match self {
            Self::Voter(node) | Self::Learner(node) | Self::Witness(node) | Self::Remove(node) => {
                *node
            }
        }
    }
}

/// How a change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Transition {
    /// In one step if at most one voter changes, else as `Implicit`.
    #[default]
    Auto,
    /// Through a joint configuration that the leader leaves once it is committed (thesis §4.3).
    Implicit,
    /// Through a joint configuration that stays until it is asked to leave.
    Explicit,
}

/// A change of the configuration; one entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConfigurationChange {
    /// Only if this is still the index of the configuration in force.
    pub expect: Option<Index>,
    /// The steps, all in one; empty: leave the joint configuration.
    pub changes: Vec<Change>,
    /// How.
    pub transition: Transition,
}

/// Why a configuration is not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeRefusal {
    /// The last one is not committed yet: one at a time (thesis §4.1).
    InProgress {
        /// Index of the uncommitted configuration.
        index: Index,
    },
    /// The leader has not committed an entry of its own term yet.
    NotReady,
    /// The configuration is another than the caller expects.
    Changed {
        /// What was expected.
        expected: Index,
        /// The index of the configuration in force.
        actual: Index,
    },
    /// The configuration is joint already.
    Joint,
    /// There is no joint configuration to leave.
    NotJoint,
    /// No voter would be left.
    NoVoters,
    /// Witnesses alone would be a majority of the voters.
    OnlyWitnesses,
    /// More than one voter changes, which needs a joint configuration.
    NeedsJoint,
    /// A witness cannot become another kind of member, nor the other way round: remove it first.
    Witness {
        /// The node.
        node: NodeId,
    },
    /// More than [`MAX_MEMBERS`](crate::MAX_MEMBERS).
    TooMany,
}

impl fmt::Display for ChangeRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InProgress { index } => {
                write!(f, "the configuration of entry {index} is not committed yet")
            }
            Self::NotReady => write!(f, "the leader has not committed an entry of its term yet"),
            Self::Changed { expected, actual } => write!(
                f,
                "the configuration is that of entry {actual}, not of {expected}"
            ),
            Self::Joint => write!(f, "the configuration is joint already"),
            Self::NotJoint => write!(f, "the configuration is not joint"),
            Self::NoVoters => write!(f, "no voter would be left"),
            Self::OnlyWitnesses => write!(f, "witnesses alone would be a majority"),
            Self::NeedsJoint => write!(f, "more than one voter changes"),
            Self::Witness { node } => write!(
                f,
                "{node} cannot turn into or from a witness, it has to be removed first"
            ),
            Self::TooMany => write!(f, "there would be too many members"),
        }
    }
}
