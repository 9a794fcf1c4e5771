//! Election Safety (thesis §3.2): at most one leader per term.

use std::collections::BTreeMap;

use coracle_proto::{ReplicaId, Term};

use super::{Check, violated};

/// Who led which term.
#[derive(Debug, Default)]
pub(super) struct ElectionSafety {
    leaders: BTreeMap<Term, ReplicaId>,
}

impl ElectionSafety {
    /// Who leads this term, if nobody was seen to lead a higher one.
    pub(super) fn leader(&self, term: Term) -> Option<ReplicaId> {
        let (last, leader) = self.leaders.last_key_value()?;
        (*last == term).then_some(*leader)
    }

    pub(super) fn leads(&mut self, term: Term, leader: ReplicaId) -> Check {
        let first = *self.leaders.entry(term).or_insert(leader);
        if first == leader {
            return Ok(());
        }
        violated(
            "election safety",
            format!("both {first} and {leader} lead term {term}"),
        )
    }
}
