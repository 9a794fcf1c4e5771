//! A struct per role, consumed on transition: what only a leader knows exists only in a leader.

use std::collections::BTreeMap;

use crate::leader::Leader;
use crate::remote_read::Asked;
use crate::{ReplicaId, Role};

/// The role of this replica in its term.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum State {
    Follower(Follower),
    PreCandidate(PreCandidate),
    Candidate(Candidate),
    Leader(Box<Leader>),
}

/// Follows a leader, or waits for one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Follower {
    pub(crate) leader: Option<ReplicaId>,
    /// The leader said that it falls silent; no timer runs.
    pub(crate) quiet: bool,
    /// What it asked that leader.
    pub(crate) reads: Asked,
}

/// Asks whether it would be elected (thesis §9.6).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct PreCandidate {
    pub(crate) votes: Votes,
}

/// Asks to be elected. Its own vote is among `votes` once it is durable.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Candidate {
    pub(crate) votes: Votes,
    /// Its own vote is not counted: it promised another leader to help nobody for a while.
    pub(crate) abstains: bool,
}

/// Votes received; the first of each voter counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Votes(BTreeMap<ReplicaId, bool>);

impl Votes {
    pub(crate) fn record(&mut self, from: ReplicaId, granted: bool) {
        self.0.entry(from).or_insert(granted);
    }

    pub(crate) fn of(&self, id: &ReplicaId) -> Option<bool> {
        self.0.get(id).copied()
    }
}

impl State {
    pub(crate) fn follower(leader: Option<ReplicaId>) -> Self {
        Self::Follower(Follower {
            leader,
            quiet: false,
            reads: Asked::default(),
        })
    }

    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Follower(_) => Role::Follower,
            Self::PreCandidate(_) => Role::PreCandidate,
            Self::Candidate(_) => Role::Candidate,
            Self::Leader(_) => Role::Leader,
        }
    }
}
