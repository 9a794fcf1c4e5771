//! Commitment: by counting on a leader, by hearsay on a follower.

use crate::core::Core;
use crate::leader::Leader;
use crate::quorum::committed_index;
use crate::{Index, ReplicaId};

impl Leader {
    /// Counts replicas; true if the commit index moved. Only an entry of the own term is committed
    /// by counting (paper §5.4.2), and the leader counts what is durable at itself.
    pub(crate) fn advance_commit(&mut self, core: &mut Core) -> bool {
        let own = core.id();
        let matched = |id: &ReplicaId| match self.peers.get(id) {
            Some(peer) => Some(peer.matched),
            None => (*id == own).then(|| core.log.durable()),
        };
        let index = committed_index(core.log.configuration(), matched);
        if index <= core.commit || core.log.term_at(index) != Some(core.term()) {
            return false;
        }
        core.commit = index;
        self.uncommitted.release(index);
        self.start_waiting_round(core);
        self.replicate_all(core, true);
        true
    }

    /// Whether an entry of the own term is committed: until then a leader does not know what is
    /// (thesis §6.4).
    pub(crate) fn has_committed_in_term(&self, core: &Core) -> bool {
        core.commit >= self.first
    }
}

impl Core {
    /// The leader says that everything up to `index` is committed; of that, `matched` is known to
    /// be in this log.
    pub(crate) fn follow_commit(&mut self, index: Index, matched: Index) {
        self.commit = self.commit.max(index.min(matched));
    }
}
