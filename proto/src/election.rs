//! Elections: pre-vote, votes, stickiness (thesis §3.4, §4.2.3, §9.6).

use crate::impossible::Impossible;
use crate::leader::Leader;
use crate::quorum::{VoteResult, vote_result};
use crate::role::{Candidate, PreCandidate, State, Votes};
use crate::{HardState, LogId, Message, Raft, ReplicaId, Term, VoteKind};

impl Raft {
    /// The election timer ran out, or somebody wants an election now.
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
            self.ask_votes();
            Ok(())
        }
    }

    /// Would you vote for me? Changes nothing here.
    pub(crate) fn on_pre_vote(&mut self, from: ReplicaId, term: Term, last: LogId) {
        let own = self.core.hard_state;
        let free = term > own.term || (term == own.term && self.is_free_to_vote_for(from));
        let granted = free && last >= self.core.log.last() && !self.trusts_leader();
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
        let granted = self.is_free_to_vote_for(from) && last >= self.core.log.last();
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
            | (State::Candidate(Candidate { votes }), VoteKind::Real | VoteKind::Transfer) => {
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
            State::Candidate(candidate) if self.core.writes.hard_state_is_durable() => {
                candidate.votes.record(own, true);
                self.tally()
            }
            _ => Ok(()),
        }
    }

    /// Whether a leader was heard so lately that a candidate must be a disturbance: votes would
    /// depose a leader that the others are content with.
    pub(crate) fn trusts_leader(&self) -> bool {
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

    fn is_free_to_vote_for(&self, candidate: ReplicaId) -> bool {
        match self.core.hard_state.vote {
            Some(vote) => vote == candidate,
            None => self.leader().is_none(),
        }
    }

    fn ask_pre_votes(&mut self) -> Result<(), Impossible> {
        let mut votes = Votes::default();
        votes.record(self.core.id(), true);
        self.state = State::PreCandidate(PreCandidate { votes });
        let term = self.core.term() + 1;
        self.ask(term, VoteKind::Pre);
        self.tally()
    }

    fn ask_votes(&mut self) {
        let term = self.core.term() + 1;
        let vote = Some(self.core.id());
        self.core.set_hard_state(HardState { term, vote });
        self.state = State::Candidate(Candidate::default());
        self.ask(term, VoteKind::Real);
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
                    VoteResult::Won => self.ask_votes(),
                    VoteResult::Lost => self.become_follower(None),
                    VoteResult::Pending => {}
                }
            }
            State::Candidate(Candidate { votes }) => {
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
        self.state = State::Leader(leader);
        opened
    }
}
