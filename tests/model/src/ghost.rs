//! What an omniscient observer remembers of a history. No replica sees it.

use std::collections::BTreeMap;

use coracle_proto::{Configuration, Index, LogId, ReplicaId, Term};

use crate::invariants::Broken;

/// The memory of the observer; a part of the state, for what is yet to come is judged by it.
#[derive(Debug, Clone, Hash, Default)]
pub(crate) struct Ghost {
    /// Who led which term.
    pub(crate) leaders: BTreeMap<Term, ReplicaId>,
    /// What is committed, from index 1 on.
    pub(crate) committed: Vec<Committed>,
    /// The newest configuration that is committed.
    pub(crate) configuration: Configuration,
    /// Reads under way: where, and what was committed when they began.
    pub(crate) reads: BTreeMap<u64, (ReplicaId, Index)>,
    pub(crate) seen: Seen,
    pub(crate) broken: Option<Broken>,
}

/// An entry that is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Committed {
    /// The entry's term.
    pub(crate) term: Term,
    /// The term of the leader that committed it.
    pub(crate) by: Term,
}

/// What has happened at least once and does not show in the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Seen {
    pub(crate) stepped_down: bool,
    pub(crate) joint_left: bool,
    pub(crate) installed: bool,
    pub(crate) read: bool,
    pub(crate) read_by_lease: bool,
    pub(crate) transferred: bool,
}

impl Ghost {
    pub(crate) fn commit(&self) -> Index {
        self.committed.len() as Index
    }

    /// The committed entry at this index.
    pub(crate) fn at(&self, index: Index) -> Option<LogId> {
        let at = usize::try_from(index.checked_sub(1)?).ok()?;
        let term = self.committed.get(at)?.term;
        Some(LogId { term, index })
    }
}
