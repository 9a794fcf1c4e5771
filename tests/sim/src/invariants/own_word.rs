//! What a replica says of itself is what its log says, and what a leader says of a peer is what the peer has
//! told it in this term and has on its disk. Operators read it, and all that a leader counts comes
//! from it.

use std::collections::{BTreeMap, BTreeSet};

use coracle_proto::{
    AppendOutcome, Envelope, Index, LogId, Message, NodeId, PeerStatus, ReplicaId, Status, Term,
};

use super::shadow::Shadow;
use super::{Check, violated};

const NAME: &str = "own word";

/// What the nodes were told of their peers' logs, and who should be asked.
#[derive(Debug, Default)]
pub(super) struct OwnWord {
    /// In this turn something changed that the node may tell of.
    stirred: BTreeSet<NodeId>,
    /// The highest match that each peer told of in a term.
    matched: BTreeMap<(NodeId, ReplicaId), (Term, Index)>,
}

impl OwnWord {
    /// A node in `term` receives this, addressed to the replica that it hosts.
    pub(super) fn heard(&mut self, envelope: &Envelope, term: Term) {
        let Message::AppendReply(outcome) = envelope.message else {
            return;
        };
        let at = envelope.to.node;
        self.stirred.insert(at);
        if let AppendOutcome::Matched { index } = outcome
            && envelope.term == term
        {
            let known = self.matched.entry((at, envelope.from)).or_default();
            *known = (term, index).max(*known);
        }
    }

    /// A node asks for a write.
    pub(super) fn written(&mut self, at: NodeId) {
        self.stirred.insert(at);
    }

    /// A node stopped, and has forgotten what it was told.
    pub(super) fn crashed(&mut self, at: NodeId) {
        self.matched.retain(|(node, _), _| *node != at);
    }

    /// Whether a node, whose turn is over, should be asked for its status.
    pub(super) fn is_due(&mut self, at: NodeId) -> bool {
        self.stirred.remove(&at)
    }

    /// A node says this of itself.
    pub(super) fn said(&self, status: &Status, shadows: &BTreeMap<NodeId, Shadow>) -> Check {
        let (own, said) = (status.id, &status.configuration);
        let Some(shadow) = shadows.get(&own.node) else {
            return Ok(());
        };
        let log = &shadow.asked;
        if !log.hosted || log.born != own.born {
            return Ok(());
        }
        let written = log.configuration();
        if written != said {
            return violated(
                NAME,
                format!("{own} says that its members are {said}, its log says {written}"),
            );
        }
        if (status.hard_state, status.last) != (log.hard_state, log.last()) {
            let (last, written) = (status.last, log.last());
            let (voted, asked) = (status.hard_state, log.hard_state);
            return violated(
                NAME,
                format!("{own} says {voted:?} and {last}, its log says {asked:?} and {written}"),
            );
        }
        let mut peers = status.peers.iter();
        peers.try_for_each(|peer| self.counted(own, peer, shadow, shadows))
    }

    /// A leader counts this peer.
    fn counted(
        &self,
        own: ReplicaId,
        peer: &PeerStatus,
        shadow: &Shadow,
        shadows: &BTreeMap<NodeId, Shadow>,
    ) -> Check {
        let PeerStatus {
            id, matched, next, ..
        } = *peer;
        let log = &shadow.asked;
        let term = log.hard_state.term;
        let told = self.matched.get(&(own.node, id));
        let told = told.filter(|told| told.0 == term).map_or(0, |told| told.1);
        if matched > told || next <= matched {
            return violated(
                NAME,
                format!(
                    "{own} counts {id} up to {matched} and sends {next} next, but was told {told} \
                     in term {term}"
                ),
            );
        }
        let Some(theirs) = shadows.get(&id.node).map(|shadow| &shadow.durable) else {
            return Ok(());
        };
        // Whoever is there in its place, or in a later term, may have another log.
        let same = theirs.born == id.born && theirs.hosted && theirs.hard_state.term <= term;
        match log.term_at(matched) {
            Some(term)
                if same
                    && !theirs.holds(LogId {
                        term,
                        index: matched,
                    }) =>
            {
                violated(
                    NAME,
                    format!("{own} counts {id} up to {matched}, which has another log"),
                )
            }
            _ => Ok(()),
        }
    }
}
