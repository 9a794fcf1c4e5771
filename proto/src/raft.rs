//! The core of one group: dispatch of inputs to the role that handles them.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::clock::Clock;
use crate::core::{Core, Outbox};
use crate::impossible::{Impossible, impossible};
use crate::log::Log;
use crate::read_index::Reader;
use crate::role::{Follower, State};
use crate::transfer::Transfer;
use crate::writes::Writes;
use crate::{
    Config, Configuration, Effect, Effects, Entry, HardState, Index, Initial, Input, Instant,
    LogId, NodeId, PersistId, ProposalId, ReadId, ReadMode, RefuseReason, ReplicaId, Role,
    Settings, Status, Term, TimeView, TransferOutcome,
};

/// The Raft state machine of one replica of one group.
///
/// - *Input*: [`step`](Self::step) is the only way in; it may be called at any time.
/// - *Output*: effects, in the order in which they are to be begun. None has to wait for another,
///   but writes of one group become durable in the order of their ids.
/// - *Time*: [`deadline`](Self::deadline) says when to call `step` with a timeout at the latest.
/// - *Pictures*: everything else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Raft {
    pub(crate) core: Core,
    pub(crate) state: State,
    /// A transfer of leadership that began here, while who leads now is not known.
    pub(crate) handover: Option<Transfer>,
    /// Found at start, told at the first step.
    broken: Option<Impossible>,
    pub(crate) halted: bool,
}

impl Raft {
    /// A follower with what the log held. `jitter` is a fresh random number. If that cannot be
    /// the log of a replica, the first step says [`Effect::Fatal`].
    pub fn new(config: Config, initial: Initial, now: Instant, jitter: u64) -> Self {
        let hard_state = initial.hard_state;
        let snapshot = initial.snapshot.as_ref().map(|meta| meta.last);
        let applied = snapshot.unwrap_or_default().max(initial.floor).index;
        let log = Log::new(initial, config.cache_bytes).and_then(|log| match log.last().index {
            last if last < applied => impossible!("the log ends at {last}, below {applied}"),
            _ => Ok(log),
        });
        let (log, broken) = match log {
            Ok(log) => (log, None),
            Err(impossible) => (Log::empty(), Some(impossible)),
        };
        // Which leaders it heard is forgotten, and so are the promises it gave them.
        let bound = config.check_quorum && hard_state.term > 0;
        let clock = Clock::new(&config, now, jitter, bound);
        Self {
            core: Core {
                config,
                hard_state,
                log,
                commit: applied,
                announced: applied,
                known_in: hard_state.term,
                configuration_told: 0,
                writes: Writes::default(),
                questions: jitter,
                down: BTreeSet::new(),
                clock,
                out: Outbox::default(),
            },
            state: State::follower(None),
            handover: None,
            broken,
            halted: false,
        }
    }

    /// Feeds one event; what is to be done is appended to `effects`, in order.
    pub fn step(&mut self, now: Instant, input: Input, effects: &mut Effects) {
        if self.halted {
            refuse(input, None, effects);
            return;
        }
        self.core.clock.now = now;
        let before = (self.core.term(), self.leader(), self.state.role());
        let outcome = match self.broken.take() {
            Some(broken) => {
                refuse(input, None, &mut self.core.out.events);
                Err(broken)
            }
            None => self.dispatch(input),
        };
        let outcome = outcome.and_then(|()| self.settle_membership());
        self.settle_transfer();
        self.core.announce_commit();
        self.core.announce_configurations();
        if before != (self.core.term(), self.leader(), self.state.role()) {
            let (term, leader) = (self.core.term(), self.leader());
            let changed = Effect::LeaderChanged { term, leader };
            self.core.out.events.push(changed);
        }
        match outcome {
            Ok(()) => self.core.flush(effects),
            Err(Impossible(reason)) => self.halt(reason, effects),
        }
    }

    /// A picture of the state.
    pub fn status(&self) -> Status {
        let leader = match &self.state {
            State::Leader(leader) => Some(leader),
            _ => None,
        };
        let log = &self.core.log;
        Status {
            id: self.core.id(),
            role: self.state.role(),
            hard_state: self.core.hard_state,
            leader: self.leader(),
            commit: self.core.commit,
            last: log.last(),
            floor: log.floor(),
            configuration: log.configuration().clone(),
            configuration_committed: log.configuration().index <= self.core.commit,
            transferee: leader.and_then(|leader| Some(leader.transfer.as_ref()?.to)),
            uncommitted_bytes: leader.map_or(0, |leader| leader.uncommitted.bytes()),
            quiet: match &self.state {
                State::Follower(follower) => follower.quiet,
                State::Leader(leader) => leader.quiet,
                State::PreCandidate(_) | State::Candidate(_) => false,
            },
            peers: leader.map_or_else(Vec::new, |leader| leader.peer_status()),
        }
    }

    /// What this replica is in its term; cheaper than [`status`](Self::status).
    pub fn role(&self) -> Role {
        self.state.role()
    }

    /// Term and vote, durable or not; cheaper than [`status`](Self::status).
    pub fn hard_state(&self) -> HardState {
        self.core.hard_state
    }

    /// The commit index; cheaper than [`status`](Self::status).
    pub fn commit(&self) -> Index {
        self.core.commit
    }

    /// The configuration in force: the last in the log, committed or not.
    pub fn configuration(&self) -> &Configuration {
        self.core.log.configuration()
    }

    /// What later steps depend on of time, as seen from `now`.
    pub fn time_view(&self, now: Instant) -> TimeView {
        self.core.clock.view(&self.core.config, now)
    }

    /// The known leader of the term.
    pub fn leader(&self) -> Option<ReplicaId> {
        match &self.state {
            State::Follower(follower) => follower.leader,
            State::Leader(_) => Some(self.core.id()),
            State::PreCandidate(_) | State::Candidate(_) => None,
        }
    }

    /// The cached entries `from..=through`, at most `max_bytes` of payload but at least one;
    /// `None` if `from` is not in the cache (read the log instead).
    pub fn cached(&self, from: Index, through: Index, max_bytes: usize) -> Option<Vec<Entry>> {
        self.core.log.cached(from, through, max_bytes, usize::MAX)
    }

    /// Term of the entry at `index`; `None` below the floor or above the last.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.core.log.term_at(index)
    }

    /// The configuration in force at `index` (at or above the floor).
    pub fn configuration_at(&self, index: Index) -> Option<&Configuration> {
        self.core.log.configuration_at(index)
    }

    /// Whether a snapshot with this end would be of use; asked before its data is received.
    pub fn wants_snapshot(&self, term: Term, last: LogId) -> bool {
        !self.halted && self.core.wants_snapshot(term, last)
    }

    /// Nodes this replica would like to talk to: the members as of the last configuration and of
    /// the committed one, and the leader.
    pub fn contacts(&self) -> Vec<NodeId> {
        let log = &self.core.log;
        let mut members = log.configuration().members();
        if let Some(committed) = log.configuration_at(self.core.commit) {
            members.extend(committed.members());
        }
        members.extend(self.leader());
        let own = self.core.id().node;
        let mut nodes: Vec<_> = members.iter().map(|id| id.node).collect();
        nodes.retain(|node| *node != own);
        nodes.dedup();
        nodes
    }

    /// Follows `leader`, or nobody, in the term as it is now.
    pub(crate) fn become_follower(&mut self, leader: Option<ReplicaId>) {
        let led = matches!(self.state, State::Leader(_));
        self.enter(State::follower(leader), leader);
        if led {
            self.core.clock.restart_election();
        }
    }

    /// Leaves the role behind; whoever asked something of it is told who `leader` is.
    pub(crate) fn enter(&mut self, state: State, leader: Option<ReplicaId>) {
        match std::mem::replace(&mut self.state, state) {
            State::Leader(mut old) => {
                self.handover = old.transfer.take().or(self.handover.take());
                self.core.clock.restart_transfer(&self.core.config);
                old.resign(&mut self.core, leader);
            }
            State::Follower(mut old) => old.reads.refuse_all(&mut self.core, leader),
            State::PreCandidate(_) | State::Candidate(_) => {}
        }
    }

    fn dispatch(&mut self, input: Input) -> Result<(), Impossible> {
        match input {
            Input::Received(envelope) => self.on_received(envelope),
            Input::Persisted { id } => self.on_persisted(id),
            // Reads name the index they need, and a state machine's pace is the driver's matter.
            Input::Applied { .. } => Ok(()),
            Input::Timeout { kind, jitter } => self.on_timeout(kind, jitter),
            Input::Campaign { jitter } => match self.state {
                State::Leader(_) => Ok(()),
                _ => self.campaign(jitter),
            },
            Input::Propose { id, payload } => self.on_propose(id, payload),
            Input::ChangeConfiguration { id, change } => self.on_change_configuration(id, change),
            Input::Read { id, mode } => {
                self.on_read(id, mode);
                Ok(())
            }
            Input::Transfer { id, to } => {
                self.on_transfer(id, to);
                Ok(())
            }
            Input::ForgetLeader => {
                self.forget_leader();
                Ok(())
            }
            Input::SetPriority(priority) => {
                self.core.config.priority = priority;
                self.core.clock.tune(&self.core.config);
                Ok(())
            }
            Input::LogRead { to, entries } => {
                if let State::Leader(leader) = &mut self.state {
                    leader.on_log_read(&mut self.core, to, entries);
                }
                Ok(())
            }
            Input::SnapshotSent { to, .. } => {
                if let State::Leader(leader) = &mut self.state {
                    leader.on_snapshot_sent(to);
                }
                Ok(())
            }
            Input::Compacted { floor, snapshot } => self.core.on_compacted(floor, &snapshot),
            Input::PeerDown(node) => {
                self.on_peer_down(node);
                Ok(())
            }
            Input::PeerUp(node) => {
                self.on_peer_up(node);
                Ok(())
            }
            Input::Configure(settings) => {
                self.configure(settings);
                Ok(())
            }
        }
    }

    fn on_persisted(&mut self, id: PersistId) -> Result<(), Impossible> {
        self.core.on_persisted(id)?;
        match &mut self.state {
            State::Leader(leader) => {
                leader.feed_witnesses(&mut self.core);
                leader.advance_commit(&mut self.core);
                Ok(())
            }
            _ => self.on_vote_durable(),
        }
    }

    fn on_propose(&mut self, id: ProposalId, payload: Bytes) -> Result<(), Impossible> {
        self.wake();
        if let State::Leader(leader) = &mut self.state {
            return leader.propose(&mut self.core, id, payload);
        }
        let leader = self.leader();
        let input = Input::Propose { id, payload };
        refuse(input, leader, &mut self.core.out.events);
        Ok(())
    }

    fn on_read(&mut self, id: ReadId, mode: ReadMode) {
        self.wake();
        if let State::Leader(leader) = &mut self.state {
            leader.read(&mut self.core, Reader::Local(id), mode);
            return;
        }
        if self.read_remotely(id, mode) {
            return;
        }
        let leader = self.leader();
        refuse(Input::Read { id, mode }, leader, &mut self.core.out.events);
    }

    /// Deadlines that are set stay; the next ones are set by the new settings.
    fn configure(&mut self, settings: Settings) {
        self.wake();
        let core = &mut self.core;
        core.config.apply(settings);
        core.clock.tune(&core.config);
        if let State::Leader(_) = self.state {
            core.clock.restart_heartbeat(&core.config);
        }
    }

    /// Another failure detector says that the leader is gone. A promise to it is kept all the same:
    /// it may live, and read by its lease.
    fn forget_leader(&mut self) {
        if let State::Follower(Follower {
            leader: Some(_), ..
        }) = &self.state
        {
            self.wake();
            self.become_follower(None);
        }
    }

    /// Nothing that this step wanted is done: its premises are false.
    fn halt(&mut self, reason: String, effects: &mut Effects) {
        self.become_follower(None);
        self.give_up_handover();
        self.halted = true;
        effects.extend(std::mem::take(&mut self.core.out).into_terminal());
        effects.push(Effect::Fatal { reason });
    }
}

/// Every proposal and read ends in one effect, also where nobody leads.
pub(crate) fn refuse(input: Input, leader: Option<ReplicaId>, effects: &mut Effects) {
    let reason = RefuseReason::NotLeader { leader };
    match input {
        Input::Propose { id, payload } => effects.push(Effect::Refused {
            id,
            reason,
            payload,
        }),
        Input::ChangeConfiguration { id, .. } => effects.push(Effect::Refused {
            id,
            reason,
            payload: Bytes::new(),
        }),
        Input::Read { id, .. } => effects.push(Effect::ReadRefused { id, reason }),
        Input::Transfer { id, .. } => effects.push(Effect::TransferEnded {
            id,
            outcome: TransferOutcome::NotLeader { leader },
        }),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        config, elect, follower, from, heartbeat, heartbeat_reply, id, initial, leader, matched,
        persisted, propose, replica, step, step_at, vote,
    };
    use crate::{HardState, SnapshotMeta, TimeoutKind, VoteKind};

    const NOTHING: [&str; 0] = [];

    fn timeout(kind: TimeoutKind) -> Input {
        Input::Timeout { kind, jitter: 0 }
    }

    #[test]
    fn a_leader_that_hears_no_quorum_for_a_timeout_steps_down() {
        let checked = Config {
            check_quorum: true,
            ..config(1)
        };
        let mut raft = elect(Raft::new(checked, initial(&[1]), Instant(0), 0));
        step(&mut raft, persisted(2, 2));
        step(&mut raft, from(2, 2, matched(2)));
        assert_eq!(step(&mut raft, timeout(TimeoutKind::Election)), NOTHING);
        assert_eq!(
            step(&mut raft, timeout(TimeoutKind::Election)),
            ["leader t2 none"]
        );
        assert_eq!(raft.role(), Role::Follower);
    }

    #[test]
    fn a_leader_whose_disk_hangs_for_a_timeout_steps_down_though_its_peers_answer() {
        let checked = Config {
            check_quorum: true,
            ..config(1)
        };
        let mut raft = elect(Raft::new(checked, initial(&[1]), Instant(0), 0));
        step(&mut raft, from(2, 2, heartbeat_reply(0)));
        assert_eq!(step(&mut raft, timeout(TimeoutKind::Election)), NOTHING);
        step(&mut raft, from(2, 2, heartbeat_reply(0)));
        assert_eq!(
            step(&mut raft, timeout(TimeoutKind::Election)),
            ["leader t2 none"]
        );
    }

    #[test]
    fn heartbeats_carry_at_most_what_is_known_to_match() {
        let mut raft = leader(&[1]);
        step(&mut raft, persisted(2, 2));
        step(&mut raft, from(3, 2, matched(2)));
        assert_eq!(
            step_at(&mut raft, 100, timeout(TimeoutKind::Heartbeat)),
            [
                "send n1.0->n2.0 t2 heartbeat commit=0 round=0",
                "send n1.0->n3.0 t2 heartbeat commit=2 round=0"
            ]
        );
        let next = Instant(200_000_000);
        assert_eq!(raft.deadline(), Some((next, TimeoutKind::Heartbeat)));
    }

    #[test]
    fn a_restart_begins_as_a_follower_at_the_snapshot_with_the_vote_kept() {
        let meta = SnapshotMeta {
            last: id(1, 2),
            configuration: Configuration::initial([1, 2, 3].map(NodeId)),
        };
        let restarted = Initial {
            hard_state: HardState {
                term: 4,
                vote: Some(replica(1)),
            },
            snapshot: Some(meta),
            ..initial(&[1, 1, 2])
        };
        let mut raft = Raft::new(config(1), restarted, Instant(0), 0);
        let status = raft.status();
        assert_eq!(
            (status.role, status.leader, status.commit),
            (Role::Follower, None, 2)
        );
        assert_eq!(
            step(&mut raft, from(2, 4, vote(VoteKind::Real, id(2, 3)))),
            ["send n1.0->n2.0 t4 vote refused"]
        );
    }

    #[test]
    fn a_log_that_cannot_be_is_told_at_the_first_step() {
        let impossible = Initial {
            last: 9,
            ..initial(&[])
        };
        let mut raft = Raft::new(config(1), impossible, Instant(0), 0);
        assert_eq!(
            step(&mut raft, propose("x")),
            [
                "refused p1: no leader is known",
                "fatal: the runs of terms do not fit a log from 0/0 to index 9"
            ]
        );
        assert_eq!(
            step(
                &mut raft,
                Input::Read {
                    id: ReadId(1),
                    mode: ReadMode::Index
                }
            ),
            ["read-refused r1: no leader is known"]
        );
    }

    #[test]
    fn the_own_drivers_impossible_claims_stop_the_group() {
        let snapshot = SnapshotMeta {
            last: id(1, 1),
            configuration: Configuration::default(),
        };
        let floor = id(1, 1);
        let claims = [persisted(1, 1), Input::Compacted { floor, snapshot }];
        for claim in claims {
            let effects = step(&mut follower(&[1]), claim);
            assert!(effects[0].starts_with("fatal: "), "{effects:?}");
        }
    }

    #[test]
    fn time_is_no_part_of_the_state() {
        let (mut early, mut late) = (follower(&[1]), follower(&[1]));
        step_at(&mut early, 1, from(2, 1, heartbeat(0, 0)));
        step_at(&mut late, 900, from(2, 1, heartbeat(0, 0)));
        assert_eq!(early, late);
        assert_ne!(early.deadline(), late.deadline());
    }

    #[test]
    fn contacts_are_the_members_and_the_leader() {
        let mut raft = follower(&[1]);
        assert_eq!(raft.contacts(), [NodeId(2), NodeId(3)]);
        step(&mut raft, from(9, 1, heartbeat(0, 0)));
        assert_eq!(raft.contacts(), [NodeId(2), NodeId(3), NodeId(9)]);
    }
}
