//! Elections: pre-vote, votes, stickiness (thesis §3.4, §4.2.3, §9.6).

use crate::impossible::Impossible;
use crate::leader::Leader;
use crate::mutant::mutant;
use crate::quorum::{VoteResult, vote_result};
use crate::role::{Candidate, PreCandidate, State, Votes};
use crate::{HardState, LogId, Message, Raft, ReplicaId, Term, VoteKind};

impl Raft {
    /// The election timer ran out, or somebody wants an election now. As long as a promise binds
    /// this replica, its own vote does not count.
    pub(crate) fn campaign(&mut self, jitter: u64) -> Result<(), Impossible> {
        self.core.clock.draw(&self.core.config, jitter);
        self.core.clock.restart_election();
        if !self.core.is_promotable() {
            self.become_follower(None);
            return Ok(());
        }
        if self.core.config.pre_vote {
            self.ask_pre_votes()
        } else {
            self.ask_votes(VoteKind::Real);
            Ok(())
        }
    }

    /// Would you vote for me? Changes nothing here.
    pub(crate) fn on_pre_vote(&mut self, from: ReplicaId, term: Term, last: LogId) {
        let own = self.core.hard_state;
        let free = term > own.term || (term == own.term && self.is_free_to_vote_for(from));
        let free = free || mutant!(PreVoteOfOldTerm);
        let behind = last < self.core.log.last() && !mutant!(PreVoteForLowerLog);
        let granted = free && !behind && !self.refuses_candidates();
        let kind = VoteKind::Pre;
        let reply = Message::VoteReply { kind, granted };
        if granted {
            self.core.send_as_of(from, term, reply);
        } else {
            // As of the own term, from which a candidate that is behind learns it.
            self.core.send(from, reply);
        }
    }

    /// A real vote in the current term. A learner votes as well: that it was promoted may be news
    /// to it.
    pub(crate) fn on_vote(&mut self, from: ReplicaId, kind: VoteKind, last: LogId) {
        let promised = kind != VoteKind::Transfer && self.core.clock.is_promised();
        let free = self.is_free_to_vote_for(from) && !promised;
        let behind = last < self.core.log.last() && !mutant!(VoteForLowerLog);
        let now = self.core.log.configuration();
        let learner = mutant!(LearnerGivesNoVote) && !now.is_voter(self.core.id());
        let granted = free && !behind && !learner;
        if granted {
            self.core.set_hard_state(HardState {
                vote: Some(from),
                ..self.core.hard_state
            });
            self.core.clock.restart_election();
        }
        self.core.send(from, Message::VoteReply { kind, granted });
    }

    /// A pre-vote was granted for `term`.
    pub(crate) fn on_pre_vote_granted(
        &mut self,
        from: ReplicaId,
        term: Term,
    ) -> Result<(), Impossible> {
        if term == self.core.term() + 1 {
            self.on_vote_reply(from, VoteKind::Pre, true)?;
        }
        Ok(())
    }

    pub(crate) fn on_vote_reply(
        &mut self,
        from: ReplicaId,
        kind: VoteKind,
        granted: bool,
    ) -> Result<(), Impossible> {
        match (&mut self.state, kind) {
            (State::PreCandidate(PreCandidate { votes }), VoteKind::Pre)
            | (State::Candidate(Candidate { votes, .. }), VoteKind::Real | VoteKind::Transfer) => {
                votes.record(from, granted);
                self.tally()
            }
            _ => Ok(()),
        }
    }

    /// The own vote counts once it is durable.
    pub(crate) fn on_vote_durable(&mut self) -> Result<(), Impossible> {
        let own = self.core.id();
        match &mut self.state {
            State::Candidate(candidate)
                if !candidate.abstains && self.core.writes.hard_state_is_durable() =>
            {
                candidate.votes.record(own, true);
                self.tally()
            }
            _ => Ok(()),
        }
    }

    /// Whether a leader was heard so lately that a candidate must be a disturbance: votes would
    /// depose a leader that the others are content with.
    fn trusts_leader(&self) -> bool {
        let core = &self.core;
        core.config.check_quorum
            && match &self.state {
                State::Leader(_) => true,
                State::Follower(follower) => {
                    follower.leader.is_some() && core.clock.trusts_leader(&core.config)
                }
                State::PreCandidate(_) | State::Candidate(_) => false,
            }
    }

    /// Whether candidates are held off: by trust in a leader, or by a promise to one, which holds
    /// even when that leader is forgotten.
    pub(crate) fn refuses_candidates(&self) -> bool {
        !mutant!(PromiseBroken) && (self.trusts_leader() || self.core.clock.is_promised())
    }

    fn is_free_to_vote_for(&self, candidate: ReplicaId) -> bool {
        if mutant!(VoteTwice) {
            return true;
        }
        match self.core.hard_state.vote {
            Some(vote) => vote == candidate,
            None => self.leader().is_none(),
        }
    }

    fn ask_pre_votes(&mut self) -> Result<(), Impossible> {
        let mut votes = Votes::default();
        if !self.core.clock.is_promised() {
            votes.record(self.core.id(), true);
        }
        self.enter(State::PreCandidate(PreCandidate { votes }), None);
        let term = self.core.term() + 1;
        self.ask(term, VoteKind::Pre);
        self.tally()
    }

    /// A new term, in which this replica has its own vote once that is durable.
    pub(crate) fn ask_votes(&mut self, kind: VoteKind) {
        let term = self.core.term() + 1;
        let vote = Some(self.core.id());
        self.core.set_hard_state(HardState { term, vote });
        let candidate = Candidate {
            votes: Votes::default(),
            abstains: self.core.clock.is_promised(),
        };
        self.enter(State::Candidate(candidate), None);
        self.ask(term, kind);
    }

    fn ask(&mut self, term: Term, kind: VoteKind) {
        let (own, last) = (self.core.id(), self.core.log.last());
        for voter in self.core.log.configuration().all_voters() {
            if voter != own {
                let message = Message::Vote { kind, last };
                self.core.send_as_of(voter, term, message);
            }
        }
    }

    fn tally(&mut self) -> Result<(), Impossible> {
        let configuration = self.core.log.configuration();
        match &self.state {
            State::PreCandidate(PreCandidate { votes }) => {
                match vote_result(configuration, |id| votes.of(id)) {
                    VoteResult::Won => self.ask_votes(VoteKind::Real),
                    VoteResult::Lost => self.become_follower(None),
                    VoteResult::Pending => {}
                }
            }
            State::Candidate(Candidate { votes, .. }) => {
                match vote_result(configuration, |id| votes.of(id)) {
                    VoteResult::Won => return self.become_leader(),
                    VoteResult::Lost => self.become_follower(None),
                    VoteResult::Pending => {}
                }
            }
            State::Follower(_) | State::Leader(_) => {}
        }
        Ok(())
    }

    fn become_leader(&mut self) -> Result<(), Impossible> {
        let mut leader = Box::new(Leader::new(&self.core));
        let opened = leader.open_term(&mut self.core);
        self.enter(State::Leader(leader), Some(self.core.id()));
        opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        append, config, follower, from, heartbeat, id, initial, lease_heartbeat, persisted,
        replica, step, step_at, vote, vote_reply,
    };
    use crate::{Config, Initial, Input, Instant, NodeId, Role, TimeoutKind};

    const NOTHING: [&str; 0] = [];

    fn timeout() -> Input {
        let (kind, jitter) = (TimeoutKind::Election, 0);
        Input::Timeout { kind, jitter }
    }

    /// Pre-vote and check-quorum on.
    fn careful(initial: Initial) -> Raft {
        let config = Config {
            pre_vote: true,
            check_quorum: true,
            ..config(1)
        };
        Raft::new(config, initial, Instant(0), 0)
    }

    #[test]
    fn a_candidate_asks_only_once_its_own_vote_is_durable() {
        let mut raft = follower(&[1]);
        assert_eq!(
            step(&mut raft, timeout()),
            ["persist w2.1 term=2 vote=n1.0 []", "leader t2 none"]
        );
        assert_eq!(
            step(&mut raft, persisted(2, 1)),
            [
                "send n1.0->n2.0 t2 vote last=1/1",
                "send n1.0->n3.0 t2 vote last=1/1"
            ]
        );
        assert_eq!(raft.role(), Role::Candidate);
    }

    #[test]
    fn a_majority_makes_a_leader_that_opens_its_term() {
        let mut raft = follower(&[1]);
        step(&mut raft, timeout());
        step(&mut raft, persisted(2, 1));
        let effects = step(&mut raft, from(3, 2, vote_reply(VoteKind::Real, true)));
        assert_eq!(
            effects,
            [
                "persist w2.2 [2/2 noop]",
                "send n1.0->n2.0 t2 append prev=1/1 [2/2 noop] commit=0",
                "send n1.0->n3.0 t2 append prev=1/1 [2/2 noop] commit=0",
                "leader t2 n1.0"
            ]
        );
    }

    #[test]
    fn a_candidate_that_cannot_win_follows() {
        let mut raft = follower(&[1]);
        step(&mut raft, timeout());
        step(&mut raft, persisted(2, 1));
        step(&mut raft, from(3, 2, vote_reply(VoteKind::Real, false)));
        let effects = step(&mut raft, from(2, 2, vote_reply(VoteKind::Real, false)));
        assert_eq!(effects, ["leader t2 none"]);
        assert_eq!(raft.role(), Role::Follower);
    }

    #[test]
    fn a_vote_is_said_once_it_is_durable() {
        let mut raft = follower(&[1]);
        let ask = from(2, 2, vote(VoteKind::Real, id(1, 1)));
        assert_eq!(
            step(&mut raft, ask),
            ["persist w2.1 term=2 vote=n2.0 []", "leader t2 none"]
        );
        assert_eq!(
            step(&mut raft, persisted(2, 1)),
            ["send n1.0->n2.0 t2 vote granted"]
        );
    }

    #[test]
    fn one_vote_a_term_and_the_same_again_to_the_same_candidate() {
        let mut raft = follower(&[1]);
        step(&mut raft, from(2, 2, vote(VoteKind::Real, id(1, 1))));
        step(&mut raft, persisted(2, 1));
        assert_eq!(
            step(&mut raft, from(3, 2, vote(VoteKind::Real, id(1, 9)))),
            ["send n1.0->n3.0 t2 vote refused"]
        );
        assert_eq!(
            step(&mut raft, from(2, 2, vote(VoteKind::Real, id(1, 1)))),
            ["send n1.0->n2.0 t2 vote granted"]
        );
    }

    #[test]
    fn a_log_that_is_behind_gets_no_vote_but_its_term_is_taken() {
        for behind in [id(1, 9), id(2, 1)] {
            let mut raft = follower(&[1, 2]);
            step(&mut raft, from(2, 5, vote(VoteKind::Real, behind)));
            assert_eq!(
                step(&mut raft, persisted(5, 1)),
                ["send n1.0->n2.0 t5 vote refused"]
            );
            assert_eq!(raft.status().hard_state.vote, None);
        }
    }

    #[test]
    fn a_pre_vote_changes_nothing_at_the_voter() {
        let mut raft = careful(initial(&[1]));
        let before = raft.clone();
        assert_eq!(
            step_at(&mut raft, 1000, from(2, 5, vote(VoteKind::Pre, id(1, 1)))),
            ["send n1.0->n2.0 t5 pre-vote granted"]
        );
        assert_eq!(
            step_at(&mut raft, 1000, from(2, 5, vote(VoteKind::Pre, id(1, 0)))),
            ["send n1.0->n2.0 t1 pre-vote refused"]
        );
        assert_eq!(raft, before);
    }

    #[test]
    fn a_won_pre_vote_leads_to_the_real_one() {
        let mut raft = careful(initial(&[1]));
        assert_eq!(
            step(&mut raft, timeout()),
            [
                "send n1.0->n2.0 t2 pre-vote last=1/1",
                "send n1.0->n3.0 t2 pre-vote last=1/1",
                "leader t1 none"
            ]
        );
        let stale = from(2, 1, vote_reply(VoteKind::Pre, true));
        assert_eq!(step(&mut raft, stale), NOTHING, "a grant for another term");
        let granted = from(2, 2, vote_reply(VoteKind::Pre, true));
        assert_eq!(
            step(&mut raft, granted),
            ["persist w2.1 term=2 vote=n1.0 []", "leader t2 none"]
        );
        assert_eq!(raft.role(), Role::Candidate);
    }

    #[test]
    fn a_voter_that_hears_its_leader_ignores_candidates_for_one_timeout() {
        let mut raft = careful(initial(&[1]));
        step(&mut raft, from(2, 1, heartbeat(0, 0)));
        assert_eq!(
            step_at(&mut raft, 999, from(3, 2, vote(VoteKind::Pre, id(1, 1)))),
            ["send n1.0->n3.0 t1 pre-vote refused"]
        );
        let disturbance = from(3, 7, vote(VoteKind::Real, id(1, 1)));
        assert_eq!(step_at(&mut raft, 999, disturbance.clone()), NOTHING);
        assert_eq!(raft.status().hard_state.term, 1);

        let effects = step_at(&mut raft, 1000, disturbance);
        assert_eq!(effects[0], "persist w7.1 term=7 vote=n3.0 []");
    }

    #[test]
    fn a_transfer_is_not_held_off() {
        let mut raft = careful(initial(&[1]));
        step(&mut raft, from(2, 1, heartbeat(0, 0)));
        step(&mut raft, from(3, 2, vote(VoteKind::Transfer, id(1, 1))));
        assert_eq!(
            step(&mut raft, persisted(2, 1)),
            ["send n1.0->n3.0 t2 transfer-vote granted"]
        );
    }

    #[test]
    fn a_restarted_replica_holds_off_candidates_for_one_timeout() {
        // It may have promised that to a leader that reads by its lease.
        for (kind, since) in [(VoteKind::Pre, 999), (VoteKind::Real, 999)] {
            let mut raft = careful(initial(&[1]));
            step_at(&mut raft, since, from(2, 2, vote(kind, id(1, 1))));
            assert_eq!(raft.status().hard_state.vote, None);
            let granted = step_at(&mut raft, 1000, from(2, 2, vote(kind, id(1, 1))));
            assert_ne!(granted, ["send n1.0->n2.0 t1 pre-vote refused"]);
            assert_ne!(granted, NOTHING);
        }
        let mut raft = careful(initial(&[1]));
        step(&mut raft, from(2, 2, vote(VoteKind::Transfer, id(1, 1))));
        assert_eq!(raft.status().hard_state.vote, Some(replica(2)));
        let mut fresh = careful(initial(&[]));
        step(&mut fresh, from(2, 1, vote(VoteKind::Real, id(0, 0))));
        let vote = fresh.status().hard_state.vote;
        assert_eq!(vote, Some(replica(2)), "it never heard a leader");
    }

    #[test]
    fn a_promise_to_a_leader_outlives_its_being_forgotten() {
        let promised = || {
            let mut raft = careful(initial(&[]));
            assert_eq!(
                step(&mut raft, from(2, 1, lease_heartbeat(0, 1)))[1..],
                ["leader t1 n2.0"]
            );
            assert_eq!(
                step(&mut raft, persisted(1, 1)),
                ["send n1.0->n2.0 t1 heartbeat-reply round=1 hold=1s"]
            );
            step(&mut raft, Input::ForgetLeader);
            assert_eq!(raft.leader(), None);
            raft
        };
        let ask = |term| from(3, term, vote(VoteKind::Real, id(0, 0)));
        for term in [1, 2] {
            let mut raft = promised();
            step_at(&mut raft, 999, from(3, 2, vote(VoteKind::Pre, id(0, 0))));
            step_at(&mut raft, 999, ask(term));
            let hard_state = raft.status().hard_state;
            assert_eq!(
                (hard_state.term, hard_state.vote),
                (1, None),
                "in term {term}"
            );
            step_at(&mut raft, 1000, ask(term));
            assert_eq!(raft.status().hard_state.vote, Some(replica(3)));
        }
        let mut raft = promised();
        step(&mut raft, from(3, 2, vote(VoteKind::Transfer, id(0, 0))));
        let vote = raft.status().hard_state.vote;
        assert_eq!(
            vote,
            Some(replica(3)),
            "the leader lets go of its lease first"
        );
    }

    #[test]
    fn without_a_promise_a_forgotten_leader_holds_off_nobody() {
        let mut raft = careful(initial(&[]));
        step(&mut raft, from(2, 1, heartbeat(0, 1)));
        step(&mut raft, Input::ForgetLeader);
        step(&mut raft, from(3, 2, vote(VoteKind::Real, id(0, 0))));
        assert_eq!(raft.status().hard_state.vote, Some(replica(3)));
        // And it is followed again when it speaks.
        let mut raft = careful(initial(&[]));
        step(&mut raft, from(2, 1, heartbeat(0, 1)));
        step(&mut raft, Input::ForgetLeader);
        step(&mut raft, from(2, 1, heartbeat(0, 1)));
        assert_eq!(raft.leader(), Some(replica(2)));
    }

    #[test]
    fn who_campaigns_against_its_promise_does_not_count_its_own_vote() {
        let mut raft = careful(initial(&[]));
        step(&mut raft, from(2, 1, lease_heartbeat(0, 1)));
        step(&mut raft, persisted(1, 1));
        step(&mut raft, Input::Campaign { jitter: 0 });
        step(&mut raft, from(3, 2, vote_reply(VoteKind::Pre, true)));
        assert_eq!(raft.role(), Role::PreCandidate, "one of three");
        step(&mut raft, from(2, 2, vote_reply(VoteKind::Pre, true)));
        step(&mut raft, persisted(2, 2));
        step(&mut raft, from(3, 2, vote_reply(VoteKind::Real, true)));
        assert_eq!(raft.role(), Role::Candidate, "one of three");
        step(&mut raft, from(2, 2, vote_reply(VoteKind::Real, true)));
        assert_eq!(raft.role(), Role::Leader, "both others are free");
    }

    #[test]
    fn a_low_priority_waits_a_timeout_longer_per_step() {
        for (priority, wait) in [(4, 1000), (9, 1000), (3, 2000), (0, 5000)] {
            let config = Config {
                priority,
                ..config(1)
            };
            let raft = Raft::new(config, initial(&[]), Instant(0), 0);
            let (at, _) = raft.deadline().expect("a timer runs");
            assert_eq!(at.0 / 1_000_000, wait, "priority {priority}");
        }
        let mut raft = follower(&[1]);
        step(&mut raft, Input::SetPriority(2));
        step(&mut raft, from(2, 1, heartbeat(0, 0)));
        let (at, _) = raft.deadline().expect("a timer runs");
        assert_eq!(at.0 / 1_000_000, 3000);
    }

    #[test]
    fn a_learner_votes_but_does_not_campaign() {
        let mut initial = initial(&[1]);
        let configuration = &mut initial.configurations[0];
        configuration.voters.remove(&replica(1));
        configuration.learners.insert(replica(1));
        let mut raft = careful(initial);
        assert_eq!(step(&mut raft, timeout()), NOTHING);
        assert_eq!(
            step(&mut raft, from(2, 2, vote(VoteKind::Pre, id(1, 1)))),
            ["send n1.0->n2.0 t2 pre-vote granted"]
        );
    }

    #[test]
    fn a_replica_whose_removal_is_not_committed_campaigns_without_counting_itself() {
        let mut initial = initial(&[1, 1]);
        let without = crate::Configuration {
            index: 2,
            ..crate::Configuration::initial([2, 3].map(NodeId))
        };
        initial.configurations.push(without);
        let mut raft = Raft::new(config(1), initial, Instant(0), 0);
        step(&mut raft, timeout());
        step(&mut raft, persisted(2, 1));
        step(&mut raft, from(2, 2, vote_reply(VoteKind::Real, true)));
        assert_eq!(raft.role(), Role::Candidate, "one of two is no majority");
        step(&mut raft, from(3, 2, vote_reply(VoteKind::Real, true)));
        assert_eq!(raft.role(), Role::Leader);
    }

    #[test]
    fn a_candidate_steps_back_for_the_leader_of_its_term() {
        let mut raft = follower(&[1]);
        step(&mut raft, timeout());
        step(&mut raft, persisted(2, 1));
        let effects = step(&mut raft, from(3, 2, append(id(1, 1), &[2], 0)));
        assert_eq!(effects, ["persist w2.2 [2/2 \"e2\"]", "leader t2 n3.0"]);
        assert_eq!(raft.role(), Role::Follower);
    }

    #[test]
    fn waits_are_drawn_from_one_to_two_timeouts() {
        for (jitter, wait) in [(0, 1000), (999_999_999, 1999), (1_000_000_000, 1000)] {
            let raft = Raft::new(config(1), initial(&[]), Instant(0), jitter);
            let (at, kind) = raft.deadline().expect("a timer runs");
            assert_eq!((at.0 / 1_000_000, kind), (wait, TimeoutKind::Election));
        }
    }

    #[test]
    fn a_sole_voter_leads_and_commits_only_by_its_own_disk() {
        let mut alone = initial(&[]);
        alone.configurations[0].voters = [replica(1)].into();
        let mut raft = careful(alone);
        assert_eq!(
            step(&mut raft, timeout()),
            ["persist w1.1 term=1 vote=n1.0 []", "leader t1 none"]
        );
        assert_eq!(
            step(&mut raft, persisted(1, 1)),
            ["persist w1.2 [1/1 noop]", "leader t1 n1.0"]
        );
        assert_eq!(step(&mut raft, persisted(1, 2)), ["commit 1"]);
        assert_eq!(raft.deadline(), None, "nobody to talk to");
    }

    #[test]
    fn the_end_of_an_older_write_is_not_that_of_the_vote() {
        let mut alone = initial(&[]);
        alone.configurations[0].voters = [replica(1)].into();
        let mut raft = Raft::new(config(1), alone, Instant(0), 0);
        step(&mut raft, timeout());
        step(&mut raft, timeout());
        assert_eq!(step(&mut raft, persisted(1, 1)), NOTHING);
        assert_eq!(raft.role(), Role::Candidate);
        step(&mut raft, persisted(2, 2));
        assert_eq!(raft.role(), Role::Leader);
    }
}
