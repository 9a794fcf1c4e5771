//! Pre-vote (thesis §9.6): a replica raises its term only after a quorum said that it would vote for
//! it, or when the leader of the term before told it to.

use std::collections::{BTreeMap, BTreeSet};

use coracle_proto::{Configuration, Envelope, Message, NodeId, ReplicaId, Term, VoteKind};

use super::membership::is_quorum;
use super::{Check, violated};

/// Whether candidates may stand.
#[derive(Debug, Default)]
pub(super) struct PreVote {
    nodes: BTreeMap<NodeId, Support>,
}

/// What a node was told in this life.
#[derive(Debug, Default)]
struct Support {
    /// By the term that would be campaigned in.
    grants: BTreeMap<Term, BTreeSet<ReplicaId>>,
    /// Terms whose leader handed over to it.
    called: BTreeSet<Term>,
}

impl PreVote {
    /// A node receives this, addressed to the replica that it hosts.
    pub(super) fn heard(&mut self, envelope: &Envelope) {
        let Envelope { from, to, term, .. } = envelope;
        let support = self.nodes.entry(to.node).or_default();
        match envelope.message {
            Message::VoteReply {
                kind: VoteKind::Pre,
                granted: true,
            } => {
                support.grants.entry(*term).or_default().insert(*from);
            }
            Message::TimeoutNow => {
                support.called.insert(*term);
            }
            _ => {}
        }
    }

    /// A node stopped, and has forgotten what it was told.
    pub(super) fn crashed(&mut self, at: NodeId) {
        self.nodes.remove(&at);
    }

    /// A replica stands as a candidate in `term`, by this configuration. `free`: it may vote for
    /// itself.
    pub(super) fn stands(
        &mut self,
        own: ReplicaId,
        term: Term,
        configuration: &Configuration,
        free: bool,
    ) -> Check {
        let support = self.nodes.entry(own.node).or_default();
        // What was said of older terms is of no use to anybody.
        support.grants = support.grants.split_off(&term);
        support.called = support.called.split_off(&(term - 1));
        if support.called.contains(&(term - 1)) {
            return Ok(());
        }
        let none = BTreeSet::new();
        let grants = support.grants.get(&term).unwrap_or(&none);
        if is_quorum(configuration, |id| {
            grants.contains(id) || (free && *id == own)
        }) {
            return Ok(());
        }
        let grants: Vec<_> = grants.iter().map(ToString::to_string).collect();
        let grants = grants.join(", ");
        violated(
            "pre-vote",
            format!("{own} campaigns in term {term} with [{grants}] of {configuration}"),
        )
    }
}
