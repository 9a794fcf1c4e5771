//! A snapshot from the leader, whose file is durable already (thesis §5.3).

use crate::core::Core;
use crate::impossible::Impossible;
use crate::{LogId, ReplicaId, SnapshotMeta, Term};

impl Core {
    /// Replaces the log, unless this replica needs nothing of the snapshot: then the answer says
    /// how far it matches, and the log stays as it is.
    pub(crate) fn on_snapshot(
        &mut self,
        from: ReplicaId,
        meta: SnapshotMeta,
    ) -> Result<(), Impossible> {
        let last = meta.last;
        if last.term > self.term() || meta.configuration.index > last.index {
            return Ok(());
        }
        if last.index <= self.commit {
            self.answer_matched(from, self.commit);
        } else if self.log.holds(last) {
            // The log agrees up to there, and what a snapshot covers is committed.
            self.answer_matched(from, last.index);
            self.follow_commit(last.index, last.index);
        } else {
            self.writes.truncate(self.commit + 1);
            self.log.install(&meta, self.commit);
            self.commit = last.index;
            self.announced = last.index;
            self.out.install = Some(meta);
            self.answer_matched(from, last.index);
        }
        Ok(())
    }

    /// Whether a snapshot that ends with `last`, from a leader of `term`, would be installed.
    pub(crate) fn wants_snapshot(&self, term: Term, last: LogId) -> bool {
        term >= self.term() && last.index > self.commit && !self.log.holds(last)
    }
}
