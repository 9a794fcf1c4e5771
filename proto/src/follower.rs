//! Answering a leader: appends and heartbeats.

use std::time::Duration;

use crate::core::Core;
use crate::impossible::{Impossible, impossible};
use crate::mutant::mutant;
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
        let unchecked = mutant!(PrevNotChecked) && prev.index <= self.log.last().index;
        if prev.index >= floor.index && !self.log.holds(prev) && !unchecked {
            return self.reject(from, prev);
        }
        self.append_unknown(entries)?;
        if mutant!(AckWholeLog) {
            self.answer_matched(from, self.log.last().index);
        }
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
        lease: bool,
    ) -> Result<(), Impossible> {
        let last = self.log.last();
        if commit > last.index {
            return impossible!(
                "{from} says that this replica acknowledged entry {commit}, but its log ends at \
                 {last}: acknowledged data is lost"
            );
        }
        self.follow_commit(commit, last.index);
        let mut hold = Duration::ZERO;
        if lease && self.config.check_quorum {
            hold = self.config.election_timeout;
            self.clock.promise(hold);
            self.clock.restart_election();
        }
        let priority = self.config.priority;
        let reply = Message::HeartbeatReply {
            round,
            hold,
            priority,
        };
        self.send(from, reply);
        Ok(())
    }

    /// An echo without a promise.
    pub(crate) fn heartbeat_reply(&self, round: u64) -> Message {
        Message::HeartbeatReply {
            round,
            hold: Duration::ZERO,
            priority: self.config.priority,
        }
    }

    pub(crate) fn answer_matched(&mut self, to: ReplicaId, index: Index) {
        let outcome = AppendOutcome::Matched { index };
        if mutant!(AckBeforeSync) {
            return self.send(to, Message::AppendReply(outcome));
        }
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
        let repeated = |entry: &Entry| mutant!(TruncateAlways) && entry.index > floor;
        let unknown =
            |entry: &Entry| entry.index >= floor && !self.log.holds(entry.id()) || repeated(entry);
        let Some(known) = entries.iter().position(unknown) else {
            return Ok(());
        };
        let first = entries[known].id();
        if first.index <= self.commit && !mutant!(TruncateAlways) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{append, entry, follower, from, heartbeat, id, persisted, step};

    const NOTHING: [&str; 0] = [];

    #[test]
    fn an_append_is_acknowledged_once_it_is_durable() {
        let mut raft = follower(&[1]);
        assert_eq!(
            step(&mut raft, from(2, 1, append(id(1, 1), &[1, 1], 0))),
            ["persist w1.1 [1/2 \"e2\", 1/3 \"e3\"]", "leader t1 n2.0"]
        );
        assert_eq!(
            step(&mut raft, persisted(1, 1)),
            ["send n1.0->n2.0 t1 matched 3"]
        );
    }

    #[test]
    fn a_higher_term_and_its_entries_are_one_write() {
        let mut raft = follower(&[1]);
        assert_eq!(
            step(&mut raft, from(2, 4, append(id(1, 1), &[4], 0))),
            ["persist w4.1 term=4 [4/2 \"e2\"]", "leader t4 n2.0"]
        );
    }

    #[test]
    fn a_retransmission_waits_for_the_write_under_way() {
        let mut raft = follower(&[1]);
        let message = from(2, 1, append(id(1, 1), &[1], 0));
        step(&mut raft, message.clone());
        assert_eq!(step(&mut raft, message.clone()), NOTHING);
        let ack = "send n1.0->n2.0 t1 matched 2";
        assert_eq!(step(&mut raft, persisted(1, 1)), [ack, ack]);
        assert_eq!(step(&mut raft, message), [ack]);
    }

    #[test]
    fn only_the_durable_part_of_what_is_committed_is_told() {
        let mut raft = follower(&[1]);
        let effects = step(&mut raft, from(2, 1, append(id(1, 1), &[1, 1], 3)));
        assert_eq!(effects[2..], ["leader t1 n2.0"]);
        assert_eq!(effects[1], "commit 1", "before the new entries are durable");
        let effects = step(&mut raft, persisted(1, 1));
        assert_eq!(effects, ["send n1.0->n2.0 t1 matched 3", "commit 3"]);
    }

    #[test]
    fn a_commit_index_counts_only_as_far_as_the_logs_are_known_to_match() {
        let mut raft = follower(&[1, 1, 1]);
        let effects = step(&mut raft, from(2, 2, append(id(1, 1), &[], 3)));
        assert!(effects.contains(&"commit 1".into()), "{effects:?}");
        assert_eq!(raft.status().commit, 1);
    }

    #[test]
    fn entries_of_another_term_replace_the_tail() {
        let mut raft = follower(&[1, 2, 2, 2]);
        assert_eq!(
            step(&mut raft, from(2, 3, append(id(1, 1), &[2, 3], 0))),
            ["persist w3.1 term=3 [3/3 \"e3\"]", "leader t3 n2.0"]
        );
        assert_eq!(raft.status().last, id(3, 3));
        assert_eq!(
            step(&mut raft, persisted(3, 1)),
            ["send n1.0->n2.0 t3 matched 3"]
        );
    }

    #[test]
    fn a_shorter_append_that_matches_truncates_nothing() {
        let mut raft = follower(&[1, 1, 1, 1]);
        step(&mut raft, from(2, 1, append(id(1, 1), &[1], 0)));
        assert_eq!(raft.status().last, id(1, 4));
    }

    #[test]
    fn an_overwritten_write_acknowledges_nothing_of_the_new_term() {
        // Given: entries of term 1 are on their way to the disk.
        let mut raft = follower(&[1]);
        step(&mut raft, from(2, 1, append(id(1, 1), &[1, 1, 1], 0)));
        // When: the leader of term 2 overwrites them before they are durable.
        step(&mut raft, from(3, 2, append(id(1, 1), &[2, 2], 3)));
        // Then: the old write's end neither acknowledges nor commits anything.
        assert_eq!(step(&mut raft, persisted(1, 1)), NOTHING);
        assert_eq!(
            step(&mut raft, persisted(2, 2)),
            ["send n1.0->n3.0 t2 matched 3", "commit 3"]
        );
    }

    #[test]
    fn a_rejection_points_to_where_the_logs_may_agree() {
        let mut raft = follower(&[1, 1, 3, 3]);
        let effects = step(&mut raft, from(2, 4, append(id(2, 9), &[], 0)));
        assert_eq!(effects[0], "persist w4.1 term=4 []");
        assert_eq!(
            step(&mut raft, persisted(4, 1)),
            ["send n1.0->n2.0 t4 rejected 9 hint=1/2"]
        );
        assert_eq!(
            step(&mut raft, from(2, 4, append(id(2, 4), &[], 0))),
            ["send n1.0->n2.0 t4 rejected 4 hint=1/2"]
        );
        assert_eq!(
            step(&mut raft, from(2, 4, append(id(4, 9), &[], 0))),
            ["send n1.0->n2.0 t4 rejected 9 hint=3/4"]
        );
    }

    #[test]
    fn what_contradicts_the_committed_log_stops_the_group() {
        for message in [append(id(9, 2), &[], 0), append(id(1, 1), &[9], 0)] {
            let mut raft = follower(&[1, 1, 1]);
            step(&mut raft, from(2, 9, append(id(1, 3), &[], 3)));
            let effects = step(&mut raft, from(2, 9, message));
            assert!(effects[0].starts_with("fatal: "), "{effects:?}");
            assert_eq!(step(&mut raft, from(2, 9, heartbeat(0, 0))), NOTHING);
            assert_eq!(raft.deadline(), None);
        }
    }

    #[test]
    fn malformed_appends_are_dropped() {
        let gap = Message::Append {
            prev: id(1, 1),
            entries: vec![entry(1, 3)],
            commit: 0,
        };
        let falling = append(id(1, 1), &[2, 1], 0);
        let future = append(id(1, 1), &[5], 0);
        let endless = Message::Append {
            prev: id(1, Index::MAX),
            entries: vec![],
            commit: 0,
        };
        let mut raft = follower(&[1]);
        assert_eq!(step(&mut raft, from(2, 2, endless)), NOTHING);
        assert_eq!(raft.status().hard_state.term, 1);
        for message in [gap, falling, future] {
            let mut raft = follower(&[1]);
            let effects = step(&mut raft, from(2, 2, message));
            assert_eq!(effects, ["persist w2.1 term=2 []", "leader t2 n2.0"]);
            assert_eq!(step(&mut raft, persisted(2, 1)), NOTHING);
            assert_eq!(raft.status().last, id(1, 1));
        }
    }

    #[test]
    fn a_second_leader_of_a_term_stops_the_group() {
        let mut raft = follower(&[1]);
        step(&mut raft, from(2, 1, heartbeat(0, 0)));
        let effects = step(&mut raft, from(3, 1, heartbeat(0, 0)));
        assert_eq!(effects, ["fatal: both n2.0 and n3.0 lead term 1"]);
    }

    #[test]
    fn a_heartbeat_moves_the_commit_index_and_is_answered_with_its_round() {
        let mut raft = follower(&[1, 1]);
        let effects = step(&mut raft, from(2, 1, heartbeat(2, 9)));
        assert_eq!(
            effects,
            [
                "send n1.0->n2.0 t1 heartbeat-reply round=9",
                "commit 2",
                "leader t1 n2.0"
            ]
        );
    }
}
