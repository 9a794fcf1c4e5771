//! A replica votes at most once per term (thesis §3.4), over all its lives.

use std::collections::BTreeMap;

use coracle_proto::{Envelope, Message, ReplicaId, Term, VoteKind};

use super::{Check, violated};

/// Who got whose vote.
#[derive(Debug, Default)]
pub(super) struct VoteOnce {
    votes: BTreeMap<(ReplicaId, Term), ReplicaId>,
}

impl VoteOnce {
    pub(super) fn sent(&mut self, envelope: &Envelope) -> Check {
        let Envelope {
            from,
            to,
            term,
            message,
            ..
        } = envelope;
        let candidate = match message {
            Message::VoteReply {
                kind: VoteKind::Real | VoteKind::Transfer,
                granted: true,
            } => *to,
            Message::Vote {
                kind: VoteKind::Real | VoteKind::Transfer,
                ..
            } => *from,
            _ => return Ok(()),
        };
        let first = *self.votes.entry((*from, *term)).or_insert(candidate);
        if first == candidate {
            return Ok(());
        }
        violated(
            "vote once",
            format!("{from} votes for {first} and for {candidate} in term {term}"),
        )
    }
}
