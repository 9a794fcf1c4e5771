//! Reads at a follower or learner: it asks its leader for a read point (thesis §6.4).
//!
//! One question is out at a time, and what comes meanwhile shares the next. The counter of
//! questions is never reset, and begins at a random number, so that no late answer to another
//! question, asked before a restart even, is taken for the one that is awaited.

use crate::core::Core;
use crate::role::{Follower, State};
use crate::{Effect, Index, Message, Raft, ReadId, ReadMode, RefuseReason, ReplicaId};

/// What a follower asked its leader, and what it will ask next.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Asked {
    /// The reads of the question that is out.
    out: Vec<ReadId>,
    mode: ReadMode,
    /// A heartbeat came since: if another one comes before the answer, the question was lost.
    overdue: bool,
    waiting: Vec<(ReadId, ReadMode)>,
}

impl Asked {
    pub(crate) fn is_out(&self) -> bool {
        !self.out.is_empty()
    }

    pub(crate) fn refuse_all(&mut self, core: &mut Core, leader: Option<ReplicaId>) {
        let out = std::mem::take(&mut self.out);
        let waiting = std::mem::take(&mut self.waiting);
        let reason = RefuseReason::NotLeader { leader };
        for id in out.into_iter().chain(waiting.into_iter().map(|(id, _)| id)) {
            core.out.events.push(Effect::ReadRefused { id, reason });
        }
    }

    fn add(&mut self, core: &mut Core, leader: ReplicaId, id: ReadId, mode: ReadMode) {
        if self.out.len() + self.waiting.len() >= core.config.max_pending_reads {
            let reason = RefuseReason::Busy;
            core.out.events.push(Effect::ReadRefused { id, reason });
            return;
        }
        self.waiting.push((id, mode));
        self.ask_next(core, leader);
    }

    fn ask_next(&mut self, core: &mut Core, leader: ReplicaId) {
        if self.is_out() || self.waiting.is_empty() {
            return;
        }
        let by_lease = self
            .waiting
            .iter()
            .all(|(_, mode)| *mode == ReadMode::Lease);
        self.mode = match by_lease {
            true => ReadMode::Lease,
            false => ReadMode::Index,
        };
        self.out.extend(self.waiting.drain(..).map(|(id, _)| id));
        core.questions = core.questions.wrapping_add(1);
        core.clock.restart_read(&core.config);
        self.ask(core, leader);
    }

    fn ask(&mut self, core: &mut Core, leader: ReplicaId) {
        self.overdue = false;
        let (round, mode) = (core.questions, self.mode);
        core.send(leader, Message::ReadIndex { round, mode });
    }

    fn on_reply(&mut self, core: &mut Core, leader: ReplicaId, index: Option<Index>) {
        let reason = RefuseReason::NotLeader {
            leader: Some(leader),
        };
        for id in self.out.drain(..) {
            core.out.events.push(match index {
                Some(index) => Effect::ReadReady { id, index },
                None => Effect::ReadRefused { id, reason },
            });
        }
        self.ask_next(core, leader);
    }
}

impl Raft {
    /// Asks the leader, if there is one; false if none is known.
    pub(crate) fn read_remotely(&mut self, id: ReadId, mode: ReadMode) -> bool {
        match &mut self.state {
            State::Follower(Follower {
                leader: Some(leader),
                reads,
                ..
            }) => {
                reads.add(&mut self.core, *leader, id, mode);
                true
            }
            _ => false,
        }
    }

    pub(crate) fn on_read_reply(&mut self, from: ReplicaId, round: u64, index: Option<Index>) {
        if let State::Follower(Follower { leader, reads, .. }) = &mut self.state
            && *leader == Some(from)
            && round == self.core.questions
        {
            reads.on_reply(&mut self.core, from, index);
        }
    }

    /// The leader lives: a question that it has not answered by the second heartbeat was lost.
    pub(crate) fn repeat_question(&mut self) {
        if let State::Follower(Follower {
            leader: Some(leader),
            reads,
            ..
        }) = &mut self.state
            && reads.is_out()
        {
            if reads.overdue {
                reads.ask(&mut self.core, *leader);
            } else {
                reads.overdue = true;
            }
        }
    }

    pub(crate) fn on_read_timeout(&mut self) {
        if let State::Follower(Follower { leader, reads, .. }) = &mut self.state {
            reads.refuse_all(&mut self.core, *leader);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{
        config, follower, from, heartbeat, id, initial, leader, lease_read, matched, persisted,
        read, step, step_at, vote,
    };
    use crate::{Config, Input, Instant, Message, Raft, ReadMode, TimeoutKind, VoteKind};

    const NOTHING: [&str; 0] = [];

    /// Follows node 2 in term 1.
    fn following() -> Raft {
        let mut raft = follower(&[1]);
        step(&mut raft, from(2, 1, heartbeat(0, 0)));
        raft
    }

    fn reply(round: u64, index: Option<u64>) -> Message {
        Message::ReadIndexReply { round, index }
    }

    fn question(round: u64) -> Message {
        let mode = ReadMode::Index;
        Message::ReadIndex { round, mode }
    }

    #[test]
    fn a_follower_asks_its_leader_and_what_comes_meanwhile_shares_the_next_question() {
        let mut raft = following();
        assert_eq!(
            step(&mut raft, read(1)),
            ["send n1.0->n2.0 t1 read-index round=1"]
        );
        assert_eq!(step(&mut raft, lease_read(2)), NOTHING);
        assert_eq!(step(&mut raft, read(3)), NOTHING);
        assert_eq!(
            step(&mut raft, from(2, 1, reply(1, Some(7)))),
            [
                "send n1.0->n2.0 t1 read-index round=2",
                "read-ready r1 index=7"
            ]
        );
        assert_eq!(
            step(&mut raft, from(2, 1, reply(2, Some(8)))),
            ["read-ready r2 index=8", "read-ready r3 index=8"]
        );
        assert_eq!(
            step(&mut raft, lease_read(4)),
            ["send n1.0->n2.0 t1 read-index round=3 lease"]
        );
    }

    #[test]
    fn late_answers_and_those_of_others_confirm_nothing() {
        let mut raft = following();
        step(&mut raft, read(1));
        step(&mut raft, from(2, 1, reply(1, None)));
        step(&mut raft, read(2));
        for stray in [from(2, 1, reply(1, Some(1))), from(3, 1, reply(2, Some(1)))] {
            assert_eq!(step(&mut raft, stray), NOTHING);
        }
        // A restart begins to count elsewhere.
        let mut restarted = Raft::new(config(1), initial(&[1]), Instant(0), 1 << 40);
        step(&mut restarted, from(2, 1, heartbeat(0, 0)));
        step(&mut restarted, read(3));
        assert_eq!(step(&mut restarted, from(2, 1, reply(1, Some(1)))), NOTHING);
    }

    #[test]
    fn every_question_ends_by_refusal_silence_or_the_loss_of_the_leader() {
        let refused = ["read-refused r1: not the leader, n2.0 is"];
        let mut raft = following();
        step(&mut raft, read(1));
        assert_eq!(step(&mut raft, from(2, 1, reply(1, None))), refused);

        let mut raft = following();
        step_at(&mut raft, 500, read(1));
        step_at(&mut raft, 900, from(2, 1, heartbeat(0, 0)));
        let at = Instant(1_500_000_000);
        assert_eq!(raft.deadline(), Some((at, TimeoutKind::Read)));
        let (kind, jitter) = (TimeoutKind::Read, 0);
        let silence = Input::Timeout { kind, jitter };
        assert_eq!(step_at(&mut raft, 1500, silence.clone()), refused);
        assert_eq!(step_at(&mut raft, 1500, silence), NOTHING);

        let kind = TimeoutKind::Election;
        let losses = [
            Input::ForgetLeader,
            Input::Timeout { kind, jitter },
            Input::Campaign { jitter },
            from(3, 2, vote(VoteKind::Real, id(1, 1))),
        ];
        for loss in losses {
            let mut raft = following();
            step(&mut raft, read(1));
            let effects = step(&mut raft, loss);
            let ended = "read-refused r1: no leader is known".to_owned();
            assert!(effects.contains(&ended), "{effects:?}");
        }
        let mut lost = follower(&[1]);
        assert_eq!(
            step(&mut lost, read(4)),
            ["read-refused r4: no leader is known"]
        );
    }

    #[test]
    fn a_question_that_two_heartbeats_did_not_answer_is_asked_again() {
        let mut raft = following();
        step(&mut raft, read(1));
        let beat = from(2, 1, heartbeat(0, 0));
        assert_eq!(step(&mut raft, beat.clone()).len(), 1, "the echo only");
        assert_eq!(
            step(&mut raft, beat)[0],
            "send n1.0->n2.0 t1 read-index round=1"
        );
    }

    #[test]
    fn more_reads_than_the_limit_are_refused_as_busy() {
        let config = Config {
            max_pending_reads: 2,
            ..config(1)
        };
        let mut raft = Raft::new(config, initial(&[1]), Instant(0), 0);
        step(&mut raft, from(2, 1, heartbeat(0, 0)));
        step(&mut raft, read(1));
        step(&mut raft, read(2));
        assert_eq!(step(&mut raft, read(3)), ["read-refused r3: busy"]);
    }

    /// The leader of term 2, whose no-op at 2 is committed.
    fn serving() -> Raft {
        let mut raft = leader(&[1]);
        step(&mut raft, persisted(2, 2));
        step(&mut raft, from(2, 2, matched(2)));
        raft
    }

    #[test]
    fn a_leader_answers_once_a_round_that_began_after_the_question_is_confirmed() {
        let mut raft = serving();
        let effects = step(&mut raft, from(3, 2, question(5)));
        assert_eq!(effects[0], "send n1.0->n2.0 t2 heartbeat commit=2 round=1");
        assert_eq!(
            step(&mut raft, from(3, 2, question(5))),
            NOTHING,
            "repeated"
        );
        assert_eq!(
            step(&mut raft, from(2, 2, crate::testing::heartbeat_reply(1))),
            ["send n1.0->n3.0 t2 read-index-reply round=5 index=2"]
        );
    }

    #[test]
    fn a_question_may_have_any_number() {
        for round in [0, 1 << 63, u64::MAX] {
            let mut raft = serving();
            step(&mut raft, from(3, 2, question(round)));
            let answers = step(&mut raft, from(2, 2, crate::testing::heartbeat_reply(1)));
            assert_eq!(
                answers,
                [format!(
                    "send n1.0->n3.0 t2 read-index-reply round={round} index=2"
                )]
            );
            let mut asking = Raft::new(config(1), initial(&[1]), Instant(0), round.wrapping_sub(1));
            step(&mut asking, from(2, 1, heartbeat(0, 0)));
            step(&mut asking, read(1));
            assert_eq!(
                step(&mut asking, from(2, 1, reply(round, Some(7)))),
                ["read-ready r1 index=7"]
            );
        }
    }

    #[test]
    fn who_does_not_lead_and_who_is_asked_by_a_stranger_refuses() {
        let mut raft = follower(&[1, 2]);
        for term in [1, 2] {
            assert_eq!(
                step(&mut raft, from(3, term, question(5))),
                ["send n1.0->n3.0 t2 read-index-reply round=5 refused"]
            );
        }
        assert_eq!(
            step(&mut serving(), from(9, 2, question(5))),
            ["send n1.0->n9.0 t2 read-index-reply round=5 refused"]
        );
        let mut raft = serving();
        step(&mut raft, from(3, 2, question(5)));
        step(&mut raft, from(2, 3, vote(VoteKind::Real, id(2, 2))));
        let effects = step(&mut raft, persisted(3, 3));
        let told = "send n1.0->n3.0 t3 read-index-reply round=5 refused".to_owned();
        assert!(effects.contains(&told), "{effects:?}");
    }
}
