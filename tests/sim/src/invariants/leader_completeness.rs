//! Leader Completeness (thesis §3.2): what was committed in a term is in the logs of the leaders of
//! all higher terms. (A leader of a lower term may well lack it.)

use std::collections::BTreeMap;

use coracle_proto::{LogId, NodeId, Term};

use super::shadow::Shadow;
use super::{Check, violated};

/// By term, the last entry that was seen to be committed in it or before.
#[derive(Debug, Default)]
pub(super) struct LeaderCompleteness {
    committed: BTreeMap<Term, LogId>,
}

impl LeaderCompleteness {
    /// A node in `term` knows that `last` is committed.
    pub(super) fn committed(&mut self, term: Term, last: LogId) {
        let known = self.committed.entry(term).or_insert(last);
        *known = (*known).max(last);
    }

    /// A node was elected with this log.
    pub(super) fn elected(&self, term: Term, at: NodeId, shadow: &Shadow) -> Check {
        let lower = self.committed.range(..term).map(|(_, last)| *last);
        let Some(last) = lower.max() else {
            return Ok(());
        };
        if shadow.asked.holds(last) {
            return Ok(());
        }
        let own = shadow.asked.last();
        violated(
            "leader completeness",
            format!("{at} leads term {term} with a log up to {own} that lacks {last}"),
        )
    }
}
