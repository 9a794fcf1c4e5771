//! Which replica of a node is the living one.
//!
//! A node that is removed and added again is another replica, born at another index. That index
//! need not be higher: an addition that was never committed may have been overwritten by a shorter
//! log, which then adds the node at a lower index. What is ordered is the term of the entry that
//! adds the replica. A leader changes the configuration only after it has committed an entry of
//! its own term, and only once the configuration before is committed. Hence, once a log that ends
//! in some term has one replica of a node in force, no addition of another one in an earlier term
//! can still be committed, unless its removal is committed as well.

use crate::core::Core;
use crate::{Envelope, Message, Raft, Term};

impl Raft {
    /// Whether this message, addressed to another replica of this node, proves that this one is
    /// dead: what it acknowledged does not count any more, whatever happens. The driver may then
    /// delete this replica's log and start the addressee with an empty one, but with the hard state
    /// of this one: so the node votes once a term also if the same replica comes back. It leaves
    /// no tombstone, for nobody has removed this replica.
    pub fn gives_way_to(&self, envelope: &Envelope) -> bool {
        let (own, to) = (self.core.id(), envelope.to);
        let other = to.node == own.node && to.born != own.born;
        if envelope.group != self.core.config.group || !other {
            return false;
        }
        let known = (self.core.added_in().unwrap_or(self.core.known_in), own.born);
        evidence(envelope.term, &envelope.message).is_some_and(|term| (term, to.born) > known)
    }
}

impl Core {
    /// The term of the entry that added this replica, or, if that is compacted away, a later one;
    /// none if the log has no such entry. Then nothing that was acknowledged has counted.
    fn added_in(&self) -> Option<Term> {
        let at = self.id().born.max(self.log.floor().index);
        let adds = self.log.configuration_at(at)?.is_member(self.id());
        adds.then(|| self.log.term_at(at)).flatten()
    }

    /// A message is addressed to this replica.
    pub(crate) fn note_incarnation(&mut self, term: Term, message: &Message) {
        if let Some(term) = evidence(term, message)
            && self.added_in().is_none()
        {
            self.known_in = self.known_in.max(term);
        }
    }
}

/// The term of the leader in whose log the addressee is (or, in this term, was) in force. A
/// candidate's log is the beginning of that of the leader that wrote its last entry.
fn evidence(term: Term, message: &Message) -> Option<Term> {
    match message {
        Message::Append { .. }
        | Message::Heartbeat { .. }
        | Message::Snapshot { .. }
        | Message::Quiesce { .. }
        | Message::TimeoutNow => Some(term),
        Message::Vote { last, .. } => Some(last.term),
        Message::VoteReply { .. }
        | Message::AppendReply(_)
        | Message::HeartbeatReply { .. }
        | Message::ReadIndex { .. }
        | Message::ReadIndexReply { .. }
        | Message::Wake => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{
        append, config, follower, heartbeat, heartbeat_reply, id, initial, replica, sets, step,
        vote,
    };
    use crate::{
        Change, Config, Configuration, Envelope, GroupId, HardState, Initial, Input, Instant,
        Message, NodeId, Raft, ReplicaId, Term, VoteKind,
    };

    fn one(born: u64) -> ReplicaId {
        ReplicaId { born, ..replica(1) }
    }

    fn to(to: ReplicaId, term: Term, message: Message) -> Envelope {
        Envelope {
            group: GroupId(7),
            from: replica(2),
            to,
            term,
            message,
        }
    }

    /// Node 1 as a replica born at 5, which has heard of its addition in term 3.
    fn added() -> Raft {
        let config = Config {
            id: one(5),
            ..config(1)
        };
        let empty = Initial::default();
        let mut raft = Raft::new(config, empty, Instant(0), 0);
        let before = Configuration::initial([2, 3].map(NodeId));
        let added = before.simple(5, &[Change::Voter(NodeId(1))]);
        let Message::Append {
            prev,
            mut entries,
            commit,
        } = append(id(0, 0), &[1, 1, 1, 3], 0)
        else {
            unreachable!("an append");
        };
        entries.push(sets(3, 5, &added.expect("one voter")));
        let message = Message::Append {
            prev,
            entries,
            commit,
        };
        step(&mut raft, Input::Received(to(one(5), 3, message)));
        raft
    }

    #[test]
    fn a_replica_gives_way_to_one_that_a_later_log_has_whatever_its_index() {
        let raft = added();
        for born in [4, 9] {
            assert!(raft.gives_way_to(&to(one(born), 4, heartbeat(0, 0))));
            assert!(raft.gives_way_to(&to(one(born), 9, vote(VoteKind::Pre, id(4, 9)))));
            assert!(!raft.gives_way_to(&to(one(born), 2, heartbeat(0, 0))));
        }
    }

    #[test]
    fn in_one_term_the_later_born_is_the_living_one() {
        let raft = added();
        assert!(raft.gives_way_to(&to(one(6), 3, heartbeat(0, 0))));
        assert!(!raft.gives_way_to(&to(one(4), 3, heartbeat(0, 0))));
    }

    #[test]
    fn a_candidate_proves_only_what_its_log_says() {
        let raft = added();
        let old = vote(VoteKind::Real, id(2, 9));
        assert!(!raft.gives_way_to(&to(one(4), 9, old)));
        assert!(!raft.gives_way_to(&to(one(9), 9, heartbeat_reply(0))));
    }

    #[test]
    fn only_another_replica_of_this_node_and_group_is_given_way_to() {
        let raft = added();
        assert!(!raft.gives_way_to(&to(one(5), 9, heartbeat(0, 0))));
        assert!(!raft.gives_way_to(&to(replica(4), 9, heartbeat(0, 0))));
        let group = GroupId(8);
        let foreign = to(one(9), 9, heartbeat(0, 0));
        assert!(!raft.gives_way_to(&Envelope { group, ..foreign }));
    }

    /// Else a stale candidate brings a dead replica back, with an empty log, and gets its vote.
    #[test]
    fn a_restarted_replica_with_an_empty_log_gives_way_only_beyond_its_term() {
        let config = Config {
            id: one(5),
            ..config(1)
        };
        let restarted = Initial {
            hard_state: HardState {
                term: 6,
                vote: None,
            },
            ..Initial::default()
        };
        let raft = Raft::new(config, restarted, Instant(0), 0);
        assert!(!raft.gives_way_to(&to(replica(1), 7, vote(VoteKind::Pre, id(5, 25)))));
        assert!(!raft.gives_way_to(&to(replica(1), 6, heartbeat(0, 0))));
        assert!(raft.gives_way_to(&to(one(9), 6, heartbeat(0, 0))));
    }

    #[test]
    fn a_replica_with_an_empty_log_goes_by_the_logs_that_named_it() {
        let config = Config {
            id: one(5),
            ..config(1)
        };
        let mut raft = Raft::new(config, Initial::default(), Instant(0), 0);
        let named = to(one(5), 8, vote(VoteKind::Pre, id(7, 9)));
        step(&mut raft, Input::Received(named));
        assert!(!raft.gives_way_to(&to(one(4), 6, heartbeat(0, 0))));
        assert!(raft.gives_way_to(&to(one(4), 8, heartbeat(0, 0))));
    }

    /// Its own term is no measure: it may have campaigned in vain for long.
    #[test]
    fn a_replica_of_a_high_term_gives_way_as_well() {
        let mut raft = follower(&[1]);
        for _ in 0..9 {
            step(&mut raft, Input::Campaign { jitter: 0 });
        }
        assert!(raft.gives_way_to(&to(one(4), 2, heartbeat(0, 0))));
        let restarted = Initial {
            hard_state: raft.status().hard_state,
            ..initial(&[1])
        };
        let raft = Raft::new(config(1), restarted, Instant(0), 0);
        assert!(raft.gives_way_to(&to(one(4), 2, heartbeat(0, 0))));
    }
}
