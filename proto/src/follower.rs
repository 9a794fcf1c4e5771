//! Answering a leader: appends and heartbeats.

use crate::core::Core;
use crate::impossible::{Impossible, impossible};
use crate::{AppendOutcome, Entry, Index, LogId, Message, ReplicaId, Term};

impl Core {
    /// AppendEntries (thesis §3.5). What is acknowledged is durable first.
    pub(crate) fn on_append(
        &mut self,
        from: ReplicaId,
        prev: LogId,
        entries: Vec<Entry>,
        commit: Index,
    ) -> Result<(), Impossible> {
        if self.writes.is_full() || !is_well_formed(prev, &entries, self.term()) {
            return Ok(());
        }
        let matched = entries.last().map_or(prev.index, |entry| entry.index);
        let floor = self.log.floor();
        if matched < floor.index {
            // All of it is covered by the snapshot, thus committed, thus in the leader's log.
            self.answer_matched(from, floor.index);
            return Ok(());
        }
        if prev.index >= floor.index && !self.log.holds(prev) {
            return self.reject(from, prev);
        }
        self.append_unknown(entries)?;
        self.answer_matched(from, matched);
        self.follow_commit(commit, matched);
        Ok(())
    }

    /// A leader's sign of life. Its commit index is at most what this replica has acknowledged.
    pub(crate) fn on_heartbeat(
        &mut self,
        from: ReplicaId,
        commit: Index,
        round: u64,
    ) -> Result<(), Impossible> {
        let last = self.log.last();
        if commit > last.index {
            return impossible!(
                "{from} says that this replica acknowledged entry {commit}, but its log ends at \
                 {last}: acknowledged data is lost"
            );
        }
        self.follow_commit(commit, last.index);
        self.send(from, Message::HeartbeatReply { round });
        Ok(())
    }

    pub(crate) fn answer_matched(&mut self, to: ReplicaId, index: Index) {
        let outcome = AppendOutcome::Matched { index };
        self.send_durable(to, Message::AppendReply(outcome), index);
    }

    fn reject(&mut self, to: ReplicaId, prev: LogId) -> Result<(), Impossible> {
        if prev.index <= self.commit {
            let own = self.log.term_at(prev.index);
            return impossible!(
                "{to} has {prev}, but here term {own:?} is committed at that index"
            );
        }
        let outcome = AppendOutcome::Rejected {
            rejected: prev.index,
            hint: self.log.at_most(prev),
        };
        self.send(to, Message::AppendReply(outcome));
        Ok(())
    }

    /// Appends what the log does not hold; an entry of another term at an index of its own
    /// takes the place of everything from there on.
    fn append_unknown(&mut self, entries: Vec<Entry>) -> Result<(), Impossible> {
        let floor = self.log.floor().index;
        let unknown = |entry: &Entry| entry.index >= floor && !self.log.holds(entry.id());
        let Some(known) = entries.iter().position(unknown) else {
            return Ok(());
        };
        let first = entries[known].id();
        if first.index <= self.commit {
            let own = self.log.term_at(first.index);
            return impossible!("the leader has {first}, but here term {own:?} is committed");
        }
        if first.index <= self.log.last().index {
            self.truncate(first.index);
        }
        for entry in entries.into_iter().skip(known) {
            self.append(entry)?;
        }
        Ok(())
    }
}

/// Whether the entries follow `prev` without a gap, in terms that a leader of `term` may hold.
fn is_well_formed(prev: LogId, entries: &[Entry], term: Term) -> bool {
    let mut before = prev;
    let follows = entries.iter().all(|entry| {
        let id = entry.id();
        let follows = before.index.checked_add(1) == Some(id.index) && id.term >= before.term;
        before = id;
        follows
    });
    follows && before.term <= term && before.index < Index::MAX
}
