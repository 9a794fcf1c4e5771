//! Commitment: by counting on a leader, by hearsay on a follower.

use crate::core::Core;
use crate::leader::Leader;
use crate::mutant::mutant;
use crate::quorum::committed_index;
use crate::{Index, ReplicaId};

impl Leader {
    /// Counts replicas; true if the commit index moved. Only an entry of the own term is committed
    /// by counting (paper §5.4.2), and the leader counts what is durable at itself.
    pub(crate) fn advance_commit(&mut self, core: &mut Core) -> bool {
        let own = core.id();
        let matched = |id: &ReplicaId| match self.peers.get(id) {
            Some(peer) => Some(peer.matched),
            None if mutant!(CommitUnsyncedLeader) => (*id == own).then(|| core.log.last().index),
            None => (*id == own).then(|| core.log.durable()),
        };
        let index = committed_index(core.log.configuration(), matched);
        let own_term =
            core.log.term_at(index) == Some(core.term()) || mutant!(CommitOldTermByCount);
        if index <= core.commit || !own_term {
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
        if mutant!(CommitBeyondMatch) {
            self.commit = self.commit.max(index.min(self.log.last().index));
        }
        self.commit = self.commit.max(index.min(matched));
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{
        elect, follower, from, heartbeat, id, initial, leader, matched, persisted, propose,
        replica, step,
    };
    use crate::{Configuration, Input, Instant, NodeId, Raft};

    const NOTHING: [&str; 0] = [];

    #[test]
    fn a_majority_of_followers_commits_without_the_leaders_disk_but_is_applied_after_it() {
        let mut raft = leader(&[1]);
        step(&mut raft, from(2, 2, matched(2)));
        assert_eq!(
            raft.status().commit,
            0,
            "one follower is no majority of three"
        );
        step(&mut raft, from(3, 2, matched(2)));
        assert_eq!(raft.status().commit, 2);
        assert_eq!(step(&mut raft, persisted(2, 2)), ["commit 2"]);
    }

    #[test]
    fn the_leader_counts_itself_once_its_own_write_is_durable() {
        let mut raft = leader(&[1]);
        step(&mut raft, from(2, 2, matched(2)));
        assert_eq!(
            step(&mut raft, persisted(2, 2)),
            ["send n1.0->n2.0 t2 append prev=2/2 [] commit=2", "commit 2"]
        );
    }

    #[test]
    fn an_entry_of_an_older_term_is_not_committed_by_counting() {
        // Paper, figure 8: a majority holds the entry of term 1, which may still be overwritten.
        let mut raft = leader(&[1]);
        step(&mut raft, persisted(2, 2));
        assert!(
            step(&mut raft, from(2, 2, matched(1))).len() == 1,
            "only the no-op is sent"
        );
        step(&mut raft, from(3, 2, matched(1)));
        assert_eq!(raft.status().commit, 0);
        step(&mut raft, from(3, 2, matched(2)));
        assert_eq!(raft.status().commit, 2, "with the no-op, all before it");
    }

    #[test]
    fn answers_of_another_term_do_not_count() {
        let mut raft = leader(&[1]);
        step(&mut raft, persisted(2, 2));
        assert_eq!(step(&mut raft, from(2, 1, matched(2))), NOTHING);
        assert_eq!(raft.status().commit, 0);
    }

    #[test]
    fn a_match_beyond_the_leaders_log_stops_the_group() {
        let mut raft = leader(&[1]);
        assert_eq!(
            step(&mut raft, from(2, 2, matched(3))),
            ["fatal: n2.0 matches up to 3, but the log ends at 2/2"]
        );
    }

    #[test]
    fn a_joint_configuration_commits_by_both_majorities() {
        let mut joint = initial(&[1]);
        joint.configurations[0].outgoing = [1, 4, 5].map(replica).into();
        let mut raft = Raft::new(crate::testing::config(1), joint, Instant(0), 0);
        step(&mut raft, Input::Campaign { jitter: 0 });
        step(&mut raft, persisted(2, 1));
        for node in [2, 4] {
            let granted = crate::testing::vote_reply(crate::VoteKind::Real, true);
            step(&mut raft, from(node, 2, granted));
        }
        step(&mut raft, persisted(2, 2));
        step(&mut raft, from(2, 2, matched(2)));
        step(&mut raft, from(3, 2, matched(2)));
        assert_eq!(
            raft.status().commit,
            0,
            "the outgoing half has not answered"
        );
        step(&mut raft, from(5, 2, matched(2)));
        assert_eq!(raft.status().commit, 2);
    }

    #[test]
    fn a_leader_outside_its_configuration_does_not_count_itself() {
        let mut initial = initial(&[1, 1]);
        initial.configurations.push(Configuration {
            index: 2,
            ..Configuration::initial([2, 3].map(NodeId))
        });
        let raft = Raft::new(crate::testing::config(1), initial, Instant(0), 0);
        let mut raft = elect(raft);
        let granted = crate::testing::vote_reply(crate::VoteKind::Real, true);
        step(&mut raft, from(3, 2, granted));
        step(&mut raft, persisted(2, 2));
        step(&mut raft, from(2, 2, matched(3)));
        assert_eq!(raft.status().commit, 0);
        step(&mut raft, from(3, 2, matched(3)));
        assert_eq!(raft.status().commit, 3);
    }

    #[test]
    fn a_heartbeat_beyond_the_log_stops_a_replica_that_lost_its_data() {
        let mut raft = follower(&[1]);
        let effects = step(&mut raft, from(2, 1, heartbeat(2, 0)));
        assert!(effects[0].starts_with("fatal: n2.0 says"), "{effects:?}");
    }

    #[test]
    fn uncommitted_bytes_are_bounded_and_given_back_by_commitment() {
        let config = crate::Config {
            max_uncommitted_bytes: 10,
            ..crate::testing::config(1)
        };
        let raft = Raft::new(config, initial(&[1]), Instant(0), 0);
        let mut raft = elect(raft);
        let large = step(&mut raft, propose("much larger than that"));
        assert_eq!(large.last().map(String::as_str), Some("accepted p1 2/3"));
        assert_eq!(
            step(&mut raft, propose("x")),
            ["refused p1: too much is uncommitted"]
        );
        step(&mut raft, from(2, 2, matched(3)));
        step(&mut raft, from(3, 2, matched(3)));
        let after = step(&mut raft, propose("x"));
        assert_eq!(after.last().map(String::as_str), Some("accepted p1 2/4"));
        assert_eq!(raft.status().last, id(2, 4));
    }
}
