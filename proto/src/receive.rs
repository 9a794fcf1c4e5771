//! Messages: to whom they are addressed, what their term means, who handles them.

use crate::impossible::{Impossible, impossible};
use crate::mutant::mutant;
use crate::plausible::is_plausible;
use crate::role::State;
use crate::{AppendOutcome, Envelope, HardState, Message, Raft, ReplicaId, Term, VoteKind};

impl Raft {
    pub(crate) fn on_received(&mut self, envelope: Envelope) -> Result<(), Impossible> {
        let Envelope {
            group,
            from,
            to,
            term,
            message,
        } = envelope;
        let own = self.core.id();
        let mine = to == own || mutant!(BornNotChecked) && to.node == own.node;
        if group != self.core.config.group || !mine || from == own {
            return Ok(());
        }
        if !is_plausible(term, &message) {
            return Ok(());
        }
        self.core.note_incarnation(term, &message);
        if self.core.is_removed(from) && self.answer_removed(from, term, &message) {
            return Ok(());
        }
        self.wake_for(from, &message);
        // Pre-votes speak of a term that nobody is in yet.
        match message {
            Message::Vote {
                kind: VoteKind::Pre,
                last,
            } => {
                self.on_pre_vote(from, term, last);
                return Ok(());
            }
            Message::VoteReply {
                kind: VoteKind::Pre,
                granted: true,
            } => return self.on_pre_vote_granted(from, term),
            Message::VoteReply {
                kind: VoteKind::Pre,
                granted: false,
            } if mutant!(RefusalTermIgnored) => return Ok(()),
            _ => {}
        }
        let believed = match message {
            Message::AppendReply(_) => mutant!(StaleAppendReply),
            Message::TimeoutNow => mutant!(TimeoutNowOfOldTerm),
            _ => false,
        };
        if term < self.core.term() && !believed {
            self.answer_stale(from, &message);
            return Ok(());
        }
        if term > self.core.term() {
            let real = matches!(
                message,
                Message::Vote {
                    kind: VoteKind::Real,
                    ..
                }
            );
            if real && self.refuses_candidates() {
                return Ok(());
            }
            if matches!(
                message,
                Message::Vote {
                    kind: VoteKind::Transfer,
                    ..
                }
            ) {
                // Whoever leads gave up its lease before anybody could ask this.
                self.core.clock.release_promise();
            }
            self.adopt(term);
        }
        self.on_message(from, message)
    }

    /// A replica whose removal is committed may not know it and campaign: it gets no vote, and its
    /// term is nobody's business. What it says as the leader that it may still be counts. True if
    /// nothing more is to be done.
    fn answer_removed(&mut self, from: ReplicaId, term: Term, message: &Message) -> bool {
        match message {
            Message::Vote { kind, .. } => {
                let (kind, granted) = (*kind, false);
                self.core.send(from, Message::VoteReply { kind, granted });
                true
            }
            Message::VoteReply { .. }
            | Message::AppendReply(_)
            | Message::HeartbeatReply { .. }
            | Message::ReadIndex { .. } => term > self.core.term(),
            _ => false,
        }
    }

    /// A message of the current term.
    fn on_message(&mut self, from: ReplicaId, message: Message) -> Result<(), Impossible> {
        match message {
            Message::Vote { kind, last } => {
                self.on_vote(from, kind, last);
                Ok(())
            }
            Message::VoteReply { kind, granted } => self.on_vote_reply(from, kind, granted),
            Message::AppendReply(outcome) => match &mut self.state {
                State::Leader(leader) => leader.on_append_reply(&mut self.core, from, outcome),
                _ => Ok(()),
            },
            Message::HeartbeatReply {
                round,
                hold,
                priority,
            } => {
                if let State::Leader(leader) = &mut self.state {
                    leader.on_promise(&mut self.core, from, round, hold);
                    leader.on_heartbeat_reply(&mut self.core, from, round, priority);
                }
                Ok(())
            }
            Message::Append {
                prev,
                entries,
                commit,
            } => {
                self.follow(from)?;
                self.core.on_append(from, prev, entries, commit)
            }
            Message::Heartbeat {
                commit,
                round,
                lease,
            } => {
                self.follow(from)?;
                self.repeat_question();
                self.core.on_heartbeat(from, commit, round, lease)
            }
            Message::Snapshot { meta } => {
                self.follow(from)?;
                self.core.on_snapshot(from, meta)
            }
            Message::Quiesce { last, commit } => {
                self.follow(from)?;
                self.on_quiesce(last, commit);
                Ok(())
            }
            Message::TimeoutNow => self.on_timeout_now(from),
            Message::ReadIndex { round, mode } => {
                self.on_read_index(from, round, mode);
                Ok(())
            }
            Message::ReadIndexReply { round, index } => {
                self.on_read_reply(from, round, index);
                Ok(())
            }
            // Whom it finds silent has woken already.
            Message::Wake => Ok(()),
        }
    }

    /// The sender leads the current term.
    pub(crate) fn follow(&mut self, leader: ReplicaId) -> Result<(), Impossible> {
        let term = self.core.term();
        match self.leader() {
            Some(known) if known != leader => {
                return impossible!("both {known} and {leader} lead term {term}");
            }
            Some(_) => {}
            None => self.become_follower(Some(leader)),
        }
        self.core.clock.heard_leader();
        Ok(())
    }

    /// A higher term was seen: whatever this replica was, it is a follower in that term.
    fn adopt(&mut self, term: Term) {
        self.core.set_hard_state(HardState { term, vote: None });
        if !mutant!(LeadsOnInNextTerm) {
            self.become_follower(None);
        }
    }

    /// Tells a sender that is behind about the current term: otherwise a replica with a higher
    /// term, whom nobody may elect and no leader can reach, would be stuck (etcd#8243).
    fn answer_stale(&mut self, from: ReplicaId, message: &Message) {
        let rejected = |index| {
            let hint = self.core.log.last();
            Message::AppendReply(AppendOutcome::Rejected {
                rejected: index,
                hint,
            })
        };
        let reply = match message {
            _ if mutant!(LowerTermUnanswered) => return,
            Message::Vote { kind, .. } => Message::VoteReply {
                kind: *kind,
                granted: false,
            },
            Message::Append { prev, .. } => rejected(prev.index),
            Message::Snapshot { meta } => rejected(meta.last.index),
            Message::ReadIndex { round, .. } => Message::ReadIndexReply {
                round: *round,
                index: None,
            },
            // Of another term, whose rounds are not those of the term that the answer is of.
            Message::Heartbeat { .. } | Message::Quiesce { .. } | Message::Wake => {
                self.core.heartbeat_reply(0)
            }
            Message::VoteReply { .. }
            | Message::AppendReply(_)
            | Message::HeartbeatReply { .. }
            | Message::TimeoutNow
            | Message::ReadIndexReply { .. } => return,
        };
        self.core.send(from, reply);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        append, follower, from, heartbeat, heartbeat_reply, id, leader, matched, propose, replica,
        step, vote,
    };
    use crate::{GroupId, Input, Role};

    const NOTHING: [&str; 0] = [];

    #[test]
    fn only_what_is_addressed_to_this_replica_is_answered() {
        let mut raft = follower(&[1]);
        let before = raft.clone();
        let envelope = Envelope {
            group: GroupId(7),
            from: replica(2),
            to: replica(1),
            term: 5,
            message: heartbeat(0, 0),
        };
        let reborn = ReplicaId {
            born: 4,
            ..replica(1)
        };
        let strays = [
            Envelope {
                to: reborn,
                ..envelope.clone()
            },
            Envelope {
                group: GroupId(8),
                ..envelope.clone()
            },
            Envelope {
                from: replica(1),
                ..envelope.clone()
            },
        ];
        for stray in strays {
            assert_eq!(step(&mut raft, Input::Received(stray)), NOTHING);
        }
        assert_eq!(raft, before);
        assert_ne!(step(&mut raft, Input::Received(envelope)), NOTHING);
    }

    #[test]
    fn messages_of_an_older_term_are_answered_with_the_current_one() {
        let mut raft = follower(&[1, 3]);
        let stale = |raft: &mut Raft, message| step(raft, from(2, 2, message));
        assert_eq!(
            stale(&mut raft, append(id(1, 1), &[2], 0)),
            ["send n1.0->n2.0 t3 rejected 1 hint=3/2"]
        );
        assert_eq!(
            stale(&mut raft, heartbeat(0, 7)),
            ["send n1.0->n2.0 t3 heartbeat-reply round=0"]
        );
        assert_eq!(
            stale(&mut raft, vote(VoteKind::Real, id(1, 1))),
            ["send n1.0->n2.0 t3 vote refused"]
        );
        assert_eq!(stale(&mut raft, matched(1)), NOTHING);
        assert_eq!(raft.leader(), None);
    }

    #[test]
    fn a_leader_steps_down_for_a_higher_term_in_any_answer() {
        let mut raft = leader(&[1]);
        assert_eq!(
            step(&mut raft, from(2, 9, heartbeat_reply(0))),
            ["persist w9.3 term=9 []", "leader t9 none"]
        );
        assert_eq!(raft.role(), Role::Follower);
        assert_eq!(
            step(&mut raft, propose("x")),
            ["refused p1: no leader is known"]
        );
    }
}
