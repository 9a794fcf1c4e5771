//! A snapshot from the leader, whose file is durable already (thesis §5.3).

use crate::core::Core;
use crate::impossible::Impossible;
use crate::mutant::mutant;
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
        if mutant!(SnapshotForMembersOnly) && !meta.configuration.is_member(self.id()) {
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
            self.known_in = self.known_in.max(self.term());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{append, follower, from, heartbeat, id, persisted, replica, step};
    use crate::{Configuration, Message, NodeId};

    fn snapshot(last: LogId) -> Message {
        let mut configuration = Configuration::initial([2, 3, 4].map(NodeId));
        configuration.index = 2.min(last.index);
        Message::Snapshot {
            meta: SnapshotMeta {
                last,
                configuration,
            },
        }
    }

    #[test]
    fn a_snapshot_beyond_the_log_replaces_it_and_is_acknowledged_once_durable() {
        let mut raft = follower(&[1, 1]);
        assert_eq!(
            step(&mut raft, from(2, 3, snapshot(id(2, 9)))),
            [
                "install-snapshot w3.1 term=3 2/9 voters=(n2.0 n3.0 n4.0) truncate=true",
                "configuration-committed 2 voters=(n2.0 n3.0 n4.0)",
                "leader t3 n2.0"
            ]
        );
        let status = raft.status();
        assert_eq!(
            (status.floor, status.last, status.commit),
            (id(2, 9), id(2, 9), 9)
        );
        assert!(!status.configuration.is_voter(replica(1)));
        assert_eq!(
            step(&mut raft, persisted(3, 1)),
            ["send n1.0->n2.0 t3 matched 9"]
        );
    }

    #[test]
    fn a_snapshot_of_the_current_term_is_not_acknowledged_early_either() {
        let mut raft = follower(&[1, 1]);
        let effects = step(&mut raft, from(2, 1, snapshot(id(1, 9))));
        assert_eq!(effects.len(), 3, "{effects:?}");
        assert_eq!(
            step(&mut raft, from(2, 1, append(id(1, 9), &[], 9))),
            [""; 0],
            "nor is a probe at its end"
        );
        let ack = "send n1.0->n2.0 t1 matched 9";
        assert_eq!(step(&mut raft, persisted(1, 1)), [ack, ack]);
    }

    #[test]
    fn a_conflicting_tail_does_not_survive_a_snapshot() {
        let mut raft = follower(&[1, 1, 1, 1, 1]);
        step(&mut raft, from(2, 3, snapshot(id(2, 3))));
        assert_eq!(raft.status().last, id(2, 3));
        assert_eq!(raft.term_at(4), None);
    }

    #[test]
    fn writes_under_way_do_not_make_the_replaced_log_durable() {
        let mut raft = follower(&[1]);
        step(&mut raft, from(2, 1, append(id(1, 1), &[1, 1, 1, 1], 0)));
        step(&mut raft, from(3, 2, snapshot(id(2, 3))));
        step(&mut raft, from(3, 2, append(id(2, 3), &[2], 4)));
        let effects = step(&mut raft, persisted(1, 1));
        assert_eq!(effects, [""; 0], "nothing of the new log is durable");
        assert_eq!(
            step(&mut raft, persisted(2, 2)),
            ["send n1.0->n3.0 t2 matched 3"]
        );
        assert_eq!(
            step(&mut raft, persisted(2, 3)),
            ["send n1.0->n3.0 t2 matched 4", "commit 4"]
        );
    }

    #[test]
    fn a_snapshot_that_the_log_matches_commits_but_truncates_nothing() {
        let mut raft = follower(&[1, 1, 1, 1]);
        assert_eq!(
            step(&mut raft, from(2, 1, snapshot(id(1, 3)))),
            ["send n1.0->n2.0 t1 matched 3", "commit 3", "leader t1 n2.0"]
        );
        assert_eq!(raft.status().last, id(1, 4));
    }

    #[test]
    fn a_stale_snapshot_is_answered_with_what_is_committed() {
        let mut raft = follower(&[1, 1, 1, 1]);
        step(&mut raft, from(2, 1, heartbeat(4, 0)));
        assert_eq!(
            step(&mut raft, from(2, 1, snapshot(id(1, 2)))),
            ["send n1.0->n2.0 t1 matched 4"]
        );
    }

    #[test]
    fn only_a_snapshot_that_would_be_installed_is_wanted() {
        let mut raft = follower(&[1, 1, 1, 1]);
        step(&mut raft, from(2, 2, heartbeat(2, 0)));
        assert!(raft.wants_snapshot(2, id(2, 9)));
        assert!(raft.wants_snapshot(2, id(2, 3)), "it conflicts");
        assert!(!raft.wants_snapshot(2, id(1, 3)), "the log matches");
        assert!(!raft.wants_snapshot(2, id(1, 1)), "committed long ago");
        assert!(!raft.wants_snapshot(1, id(1, 9)), "of a deposed leader");
    }

    #[test]
    fn appends_go_on_above_a_snapshot() {
        let mut raft = follower(&[1]);
        step(&mut raft, from(2, 2, snapshot(id(2, 9))));
        step(&mut raft, persisted(2, 1));
        let effects = step(&mut raft, from(2, 2, append(id(2, 9), &[2], 10)));
        assert_eq!(effects, ["persist w2.2 [2/10 \"e10\"]"]);
        assert_eq!(
            step(&mut raft, persisted(2, 2)),
            ["send n1.0->n2.0 t2 matched 10", "commit 10"]
        );
    }

    #[test]
    fn an_append_that_begins_below_the_floor_is_taken_from_the_floor_on() {
        let mut raft = follower(&[1]);
        step(&mut raft, from(2, 2, snapshot(id(2, 4))));
        step(&mut raft, persisted(2, 1));
        let effects = step(&mut raft, from(2, 2, append(id(1, 2), &[2, 2, 2], 0)));
        assert_eq!(effects, ["persist w2.2 [2/5 \"e5\"]"]);
        assert_eq!(
            step(&mut raft, from(2, 2, append(id(1, 1), &[1], 0))),
            ["send n1.0->n2.0 t2 matched 4"],
            "all of it is covered"
        );
    }
}
