//! ReadIndex (thesis §6.4): reads share rounds of heartbeats, named by the leader's own counter.

use std::collections::VecDeque;

use crate::core::Core;
use crate::leader::Leader;
use crate::mutant::mutant;
use crate::quorum::committed_index;
use crate::role::State;
use crate::{Effect, Index, Message, Raft, ReadId, ReadMode, RefuseReason, ReplicaId};

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reader {
    /// A caller of this replica.
    Local(ReadId),
    /// A follower or learner, in its own round.
    Peer(ReplicaId, u64),
}

/// Reads that share a round.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Batch {
    round: u64,
    /// The commit index when the round began.
    index: Index,
    reads: Vec<Reader>,
}

/// Reads of one leader in one term. The counter never leaves the term, so that an echo of another
/// leader's round, or of a client's retry, confirms nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Reads {
    round: u64,
    /// For the next round; until the first commit of the term none begins.
    waiting: Vec<Reader>,
    batches: VecDeque<Batch>,
    /// Somebody read by lease since the last heartbeat: the next rounds ask for promises.
    pub(crate) by_lease: bool,
}

impl Reads {
    /// The round under way or finished last.
    pub(crate) fn round(&self) -> u64 {
        self.round
    }

    /// Ends all reads.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Reader> + use<> {
        let batches = std::mem::take(&mut self.batches);
        let waiting = std::mem::take(&mut self.waiting);
        let batched = batches.into_iter().flat_map(|batch| batch.reads);
        batched.chain(waiting)
    }

    fn len(&self) -> usize {
        let batched: usize = self.batches.iter().map(|batch| batch.reads.len()).sum();
        batched + self.waiting.len()
    }

    /// Whether a peer repeats a question.
    fn knows(&self, reader: Reader) -> bool {
        let mut batched = self.batches.iter().flat_map(|batch| &batch.reads);
        matches!(reader, Reader::Peer(..))
            && (self.waiting.contains(&reader) || batched.any(|known| *known == reader))
    }

    /// Whether nothing waits, and nobody read by lease lately.
    pub(crate) fn is_idle(&self) -> bool {
        self.len() == 0 && !self.by_lease
    }

    fn begin(&mut self, index: Index) {
        self.batches.push_back(Batch {
            round: self.round,
            index,
            reads: std::mem::take(&mut self.waiting),
        });
    }

    /// A quorum has echoed `round`.
    fn finish(&mut self, round: u64, mut ready: impl FnMut(Reader, Index)) {
        while let Some(batch) = self.batches.pop_front_if(|batch| batch.round <= round) {
            batch
                .reads
                .into_iter()
                .for_each(|reader| ready(reader, batch.index));
        }
    }
}

impl Leader {
    pub(crate) fn read(&mut self, core: &mut Core, reader: Reader, mode: ReadMode) {
        if mode == ReadMode::Lease && core.config.check_quorum {
            self.reads.by_lease = true;
            if self.has_lease(core) {
                core.grant(reader, core.commit);
                return;
            }
        }
        if mutant!(ReadWithoutRound) && self.has_committed_in_term(core) {
            return core.grant(reader, core.commit);
        }
        if self.reads.knows(reader) {
            return;
        }
        if self.reads.len() >= core.config.max_pending_reads {
            core.refuse_read(reader, RefuseReason::Busy);
            return;
        }
        self.reads.waiting.push(reader);
        self.start_waiting_round(core);
    }

    /// Begins a round unless one is under way: what comes in the meantime shares the next.
    pub(crate) fn start_waiting_round(&mut self, core: &mut Core) {
        if self.reads.batches.is_empty() {
            self.start_round(core);
        }
    }

    /// Begins a round for the reads that wait; false if there is none to begin. A round that
    /// began later also confirms those before it.
    pub(crate) fn start_round(&mut self, core: &mut Core) -> bool {
        let ready = self.has_committed_in_term(core) || mutant!(ReadBeforeOwnCommit);
        if self.reads.waiting.is_empty() || !ready {
            return false;
        }
        self.count_round(core);
        self.reads.begin(core.commit);
        self.broadcast_heartbeat(core);
        self.finish_rounds(core);
        true
    }

    /// Every round that asks for promises has a number of its own, so that an echo tells when it
    /// was sent.
    fn count_round(&mut self, core: &mut Core) {
        self.reads.round += 1;
        if self.reads.by_lease {
            self.ask_for_promises(core, self.reads.round);
        }
    }

    /// Before a heartbeat that no read asks for: a lease that is in use is renewed.
    pub(crate) fn renew_lease(&mut self, core: &mut Core) {
        if self.reads.by_lease {
            self.count_round(core);
        }
    }

    /// Grants the reads whose round a quorum has echoed.
    pub(crate) fn finish_rounds(&mut self, core: &mut Core) {
        if self.reads.batches.is_empty() {
            return;
        }
        let (own, round) = (core.id(), self.reads.round());
        let echoed = |id: &ReplicaId| match self.peers.get(id) {
            Some(peer) => Some(peer.round),
            None => (*id == own).then_some(round),
        };
        let confirmed = committed_index(core.log.configuration(), echoed);
        self.reads
            .finish(confirmed, |reader, index| core.grant(reader, index));
        self.start_waiting_round(core);
    }
}

impl Core {
    fn grant(&mut self, reader: Reader, index: Index) {
        match reader {
            Reader::Local(id) => self.out.events.push(Effect::ReadReady { id, index }),
            Reader::Peer(to, round) => {
                let index = Some(index);
                self.send(to, Message::ReadIndexReply { round, index });
            }
        }
    }

    pub(crate) fn refuse_read(&mut self, reader: Reader, reason: RefuseReason) {
        match reader {
            Reader::Local(_) if mutant!(ReadRefusalDropped) => {}
            Reader::Local(id) => self.out.events.push(Effect::ReadRefused { id, reason }),
            Reader::Peer(to, round) => {
                let index = None;
                self.send(to, Message::ReadIndexReply { round, index });
            }
        }
    }
}

impl Raft {
    /// A peer asks for a read point; only a leader answers, and only its peers.
    pub(crate) fn on_read_index(&mut self, from: ReplicaId, round: u64, mode: ReadMode) {
        let reader = Reader::Peer(from, round);
        match &mut self.state {
            State::Leader(leader) if leader.peers.contains_key(&from) => {
                leader.read(&mut self.core, reader, mode);
            }
            _ => {
                let leader = self.leader();
                self.core
                    .refuse_read(reader, RefuseReason::NotLeader { leader });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{
        elect, follower, from, heartbeat, heartbeat_reply, id, initial, leader, matched, persisted,
        read, replica, step, vote,
    };
    use crate::{Config, Input, Instant, Raft, TimeoutKind, VoteKind};

    const NOTHING: [&str; 0] = [];

    /// The leader of term 2, whose no-op at 2 is committed.
    fn serving() -> Raft {
        let mut raft = leader(&[1]);
        step(&mut raft, persisted(2, 2));
        step(&mut raft, from(2, 2, matched(2)));
        raft
    }

    #[test]
    fn a_read_is_granted_by_a_round_that_began_after_it() {
        let mut raft = serving();
        assert_eq!(
            step(&mut raft, read(1)),
            [
                "send n1.0->n2.0 t2 heartbeat commit=2 round=1",
                "send n1.0->n3.0 t2 heartbeat commit=0 round=1"
            ]
        );
        let effects = step(&mut raft, from(2, 2, heartbeat_reply(0)));
        assert_eq!(effects, NOTHING, "an echo of an older round");
        assert_eq!(
            step(&mut raft, from(2, 2, heartbeat_reply(1))),
            ["read-ready r1 index=2"]
        );
    }

    #[test]
    fn reads_that_come_during_a_round_share_the_next() {
        let mut raft = serving();
        step(&mut raft, read(1));
        assert_eq!(step(&mut raft, read(2)), NOTHING);
        assert_eq!(step(&mut raft, read(3)), NOTHING);
        let effects = step(&mut raft, from(2, 2, heartbeat_reply(1)));
        assert_eq!(
            effects,
            [
                "send n1.0->n2.0 t2 heartbeat commit=2 round=2",
                "send n1.0->n3.0 t2 heartbeat commit=0 round=2",
                "read-ready r1 index=2"
            ]
        );
        assert_eq!(
            step(&mut raft, from(2, 2, heartbeat_reply(2))),
            ["read-ready r2 index=2", "read-ready r3 index=2"]
        );
    }

    #[test]
    fn a_lost_round_is_made_up_for_by_the_next_heartbeat() {
        let mut raft = serving();
        step(&mut raft, read(1));
        step(&mut raft, read(2));
        let (kind, jitter) = (TimeoutKind::Heartbeat, 0);
        let effects = step(&mut raft, Input::Timeout { kind, jitter });
        assert_eq!(effects[0], "send n1.0->n2.0 t2 heartbeat commit=2 round=2");
        assert_eq!(
            step(&mut raft, from(2, 2, heartbeat_reply(2))),
            ["read-ready r1 index=2", "read-ready r2 index=2"]
        );
    }

    #[test]
    fn before_the_first_commit_of_the_term_reads_wait() {
        let mut raft = leader(&[1]);
        assert_eq!(step(&mut raft, read(1)), NOTHING);
        step(&mut raft, persisted(2, 2));
        let effects = step(&mut raft, from(2, 2, matched(2)));
        let began = "send n1.0->n2.0 t2 heartbeat commit=2 round=1".to_owned();
        assert!(effects.contains(&began), "{effects:?}");
        assert_eq!(
            step(&mut raft, from(2, 2, heartbeat_reply(1))),
            ["read-ready r1 index=2"]
        );
    }

    /// Whoever led that term may lead the next one when the answer arrives, and then be in a round
    /// of the same number, which began after the answer was sent.
    #[test]
    fn the_answer_to_a_heartbeat_of_an_older_term_echoes_no_round() {
        let mut raft = follower(&[1]);
        step(&mut raft, from(3, 2, vote(VoteKind::Real, id(1, 1))));
        step(&mut raft, persisted(2, 1));
        assert_eq!(
            step(&mut raft, from(3, 1, heartbeat(0, 17))),
            ["send n1.0->n3.0 t2 heartbeat-reply round=0"]
        );
    }

    #[test]
    fn a_round_that_was_never_begun_confirms_nothing() {
        let mut raft = serving();
        step(&mut raft, read(1));
        assert_eq!(step(&mut raft, from(2, 2, heartbeat_reply(9))), NOTHING);
        step(&mut raft, from(2, 2, heartbeat_reply(1)));
        assert_eq!(step(&mut raft, read(2)).len(), 2, "a round of its own");
    }

    #[test]
    fn a_learner_confirms_nothing() {
        let mut with_learner = initial(&[1]);
        with_learner.configurations[0].learners = [replica(4)].into();
        let raft = Raft::new(crate::testing::config(1), with_learner, Instant(0), 0);
        let mut raft = elect(raft);
        step(&mut raft, persisted(2, 2));
        step(&mut raft, from(2, 2, matched(2)));
        step(&mut raft, read(1));
        let effects = step(&mut raft, from(4, 2, heartbeat_reply(1)));
        assert!(
            !effects.iter().any(|e| e.starts_with("read-")),
            "{effects:?}"
        );
    }

    #[test]
    fn reads_are_refused_when_leadership_ends_and_where_there_is_none() {
        let mut raft = serving();
        step(&mut raft, read(1));
        step(&mut raft, read(2));
        let effects = step(&mut raft, from(3, 3, heartbeat(0, 0)));
        assert_eq!(
            effects[1..],
            [
                "read-refused r1: no leader is known",
                "read-refused r2: no leader is known",
                "leader t3 n3.0"
            ]
        );
        let mut lost = follower(&[1]);
        step(
            &mut lost,
            from(2, 2, vote(VoteKind::Real, crate::LogId::default())),
        );
        assert_eq!(
            step(&mut lost, read(4)),
            ["read-refused r4: no leader is known"]
        );
    }

    #[test]
    fn more_reads_than_the_limit_are_refused_as_busy() {
        let config = Config {
            max_pending_reads: 2,
            ..crate::testing::config(1)
        };
        let mut raft = elect(Raft::new(config, initial(&[1]), Instant(0), 0));
        step(&mut raft, read(1));
        step(&mut raft, read(2));
        assert_eq!(step(&mut raft, read(3)), ["read-refused r3: busy"]);
    }
}
