//! The core of one group: dispatch of inputs to the role that handles them.

use crate::clock::Clock;
use crate::core::{Core, Outbox};
use crate::impossible::{Impossible, impossible};
use crate::log::Log;
use crate::role::{Follower, State};
use crate::writes::Writes;
use crate::{
    AppendOutcome, Config, Configuration, Effect, Effects, Entry, Envelope, HardState, Index,
    Initial, Input, Instant, LogId, Message, NodeId, ProposalId, ReadId, RefuseReason, ReplicaId,
    Role, Status, Term, TimeoutKind, VoteKind,
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
    /// Found at start, told at the first step.
    broken: Option<Impossible>,
    halted: bool,
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
        let clock = Clock::new(&config, now, jitter);
        Self {
            core: Core {
                config,
                hard_state,
                log,
                commit: applied,
                announced: applied,
                writes: Writes::default(),
                clock,
                out: Outbox::default(),
            },
            state: State::follower(None),
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
        self.core.announce_commit();
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

    /// When to call `step` with which `Timeout` at the latest; `None`: no timer runs.
    pub fn deadline(&self) -> Option<(Instant, TimeoutKind)> {
        let clock = &self.core.clock;
        let election = (clock.election, TimeoutKind::Election);
        match &self.state {
            _ if self.halted => None,
            State::Follower(follower) if follower.quiet => None,
            State::Leader(leader) if leader.peers.is_empty() => None,
            State::Leader(_) => {
                let heartbeat = (clock.heartbeat, TimeoutKind::Heartbeat);
                Some(if election.0 < heartbeat.0 {
                    election
                } else {
                    heartbeat
                })
            }
            _ => Some(election),
        }
    }

    /// A picture of the state.
    pub fn status(&self) -> Status {
        let peers = match &self.state {
            State::Leader(leader) => leader.peer_status(),
            _ => Vec::new(),
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
            peers,
        }
    }

    /// What this replica is in its term; cheaper than [`status`](Self::status).
    pub fn role(&self) -> Role {
        self.state.role()
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
        match std::mem::replace(&mut self.state, State::follower(leader)) {
            State::Leader(old) => {
                old.resign(&mut self.core, leader);
                self.core.clock.restart_election();
            }
            State::Follower(_) | State::PreCandidate(_) | State::Candidate(_) => {}
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
            Input::Read { id } => {
                self.on_read(id);
                Ok(())
            }
            Input::LogRead { to, entries } => {
                if let State::Leader(leader) = &mut self.state {
                    leader.on_log_read(&mut self.core, to, entries);
                }
                Ok(())
            }
            Input::SnapshotSent { to, delivered } => {
                if let State::Leader(leader) = &mut self.state {
                    leader.on_snapshot_sent(to, delivered);
                }
                Ok(())
            }
            Input::Compacted { floor, snapshot } => self.core.on_compacted(floor, &snapshot),
            Input::PeerDown(node) => {
                self.on_peer_down(node);
                Ok(())
            }
        }
    }

    fn on_received(&mut self, envelope: Envelope) -> Result<(), Impossible> {
        let Envelope {
            group,
            from,
            to,
            term,
            message,
        } = envelope;
        let own = self.core.id();
        if group != self.core.config.group || to != own || from == own {
            return Ok(());
        }
        if !matches!(message, Message::Quiesce { .. }) {
            self.wake();
        }
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
            _ => {}
        }
        if term < self.core.term() {
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
            if real && self.trusts_leader() {
                return Ok(());
            }
            self.adopt(term);
        }
        self.on_message(from, message)
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
            Message::HeartbeatReply { round } => {
                if let State::Leader(leader) = &mut self.state {
                    leader.on_heartbeat_reply(&mut self.core, from, round);
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
            Message::Heartbeat { commit, round } => {
                self.follow(from)?;
                self.core.on_heartbeat(from, commit, round)
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
        }
    }

    /// The sender leads the current term.
    fn follow(&mut self, leader: ReplicaId) -> Result<(), Impossible> {
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
        self.become_follower(None);
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
            Message::Vote { kind, .. } => Message::VoteReply {
                kind: *kind,
                granted: false,
            },
            Message::Append { prev, .. } => rejected(prev.index),
            Message::Snapshot { meta } => rejected(meta.last.index),
            Message::Heartbeat { round, .. } => Message::HeartbeatReply { round: *round },
            Message::Quiesce { .. } => Message::HeartbeatReply { round: 0 },
            Message::VoteReply { .. }
            | Message::AppendReply(_)
            | Message::HeartbeatReply { .. } => return,
        };
        self.core.send(from, reply);
    }

    fn on_persisted(&mut self, id: crate::PersistId) -> Result<(), Impossible> {
        self.core.on_persisted(id)?;
        match &mut self.state {
            State::Leader(leader) => {
                leader.advance_commit(&mut self.core);
                Ok(())
            }
            _ => self.on_vote_durable(),
        }
    }

    fn on_timeout(&mut self, kind: TimeoutKind, jitter: u64) -> Result<(), Impossible> {
        match (&mut self.state, kind) {
            (State::Leader(leader), TimeoutKind::Heartbeat) => {
                leader.on_heartbeat_timeout(&mut self.core);
            }
            (State::Leader(leader), TimeoutKind::Election) => {
                self.core.clock.draw(&self.core.config, jitter);
                if !leader.check_quorum(&mut self.core) {
                    self.become_follower(None);
                }
            }
            (_, TimeoutKind::Heartbeat) => {}
            (_, TimeoutKind::Election) => return self.campaign(jitter),
        }
        Ok(())
    }

    fn on_propose(&mut self, id: ProposalId, payload: bytes::Bytes) -> Result<(), Impossible> {
        self.wake();
        if let State::Leader(leader) = &mut self.state {
            return leader.propose(&mut self.core, id, payload);
        }
        let leader = self.leader();
        let input = Input::Propose { id, payload };
        refuse(input, leader, &mut self.core.out.events);
        Ok(())
    }

    fn on_read(&mut self, id: ReadId) {
        self.wake();
        if let State::Leader(leader) = &mut self.state {
            leader.read(&mut self.core, id);
            return;
        }
        let leader = self.leader();
        refuse(Input::Read { id }, leader, &mut self.core.out.events);
    }

    fn on_peer_down(&mut self, node: NodeId) {
        match &mut self.state {
            State::Leader(leader) => leader.on_peer_down(node),
            State::Follower(Follower {
                leader: Some(leader),
                ..
            }) if leader.node == node => self.wake(),
            _ => {}
        }
    }

    /// The leader falls silent; if this log is not its log, it has to speak again first.
    fn on_quiesce(&mut self, last: LogId, commit: Index) {
        if last != self.core.log.last() || commit > last.index {
            return;
        }
        self.core.follow_commit(commit, last.index);
        if let State::Follower(follower) = &mut self.state {
            follower.quiet = true;
        }
    }

    fn wake(&mut self) {
        if let State::Follower(follower) = &mut self.state
            && follower.quiet
        {
            follower.quiet = false;
            self.core.clock.restart_election();
        }
    }

    /// Nothing that this step wanted is done: its premises are false.
    fn halt(&mut self, reason: String, effects: &mut Effects) {
        self.become_follower(None);
        self.halted = true;
        effects.extend(std::mem::take(&mut self.core.out).into_terminal());
        effects.push(Effect::Fatal { reason });
    }
}

/// Every proposal and read ends in one effect, also where nobody leads.
fn refuse(input: Input, leader: Option<ReplicaId>, effects: &mut Effects) {
    let reason = RefuseReason::NotLeader { leader };
    match input {
        Input::Propose { id, payload } => effects.push(Effect::Refused {
            id,
            reason,
            payload,
        }),
        Input::Read { id } => effects.push(Effect::ReadRefused { id, reason }),
        _ => {}
    }
}
