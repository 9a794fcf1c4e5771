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
