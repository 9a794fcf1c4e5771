//! One state of the search: replicas, network, and what an observer remembers.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use coracle_proto::{
    Configuration, Effect, Effects, Envelope, Input, Instant, Message, ReadId, ReplicaId, Role,
    TransferOutcome, VoteKind,
};

use crate::bug::Bug;
use crate::disk::{Disk, What, Write};
use crate::ghost::Ghost;
use crate::invariants::Invariant;
use crate::network::{Network, fingerprint};
use crate::replica::{Replica, initial_configuration, member};
use crate::slice::{Budget, Slice};

/// A state. Cloning one is cheap: only the replica that steps is copied.
#[derive(Debug, Clone)]
pub struct State {
    pub(crate) replicas: Vec<(ReplicaId, Arc<Replica>)>,
    pub(crate) network: Network,
    /// In halves of the election timeout.
    pub(crate) now: u64,
    pub(crate) left: Budget,
    pub(crate) ghost: Ghost,
    /// Whether time makes a difference to the replicas.
    timed: bool,
    on_time: bool,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.replicas.hash(hasher);
        self.network.hash(hasher);
        self.left.hash(hasher);
        self.ghost.hash(hasher);
        if !self.timed {
            return;
        }
        for (_, replica) in &self.replicas {
            let view = replica.raft.time_view(Instant(self.now));
            (view.since_heard, view.promise_left, view.lease).hash(hasher);
            if self.on_time {
                view.election_left.hash(hasher);
            }
        }
    }
}

/// As the checker sees it: by what is hashed.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        fingerprint(self) == fingerprint(other)
    }
}

impl State {
    pub(crate) fn new(slice: &Slice) -> Self {
        let configuration = initial_configuration(slice.voters);
        let now = Instant(0);
        let replica = |node| {
            let disk = Disk::new(configuration.clone());
            let id = member(node);
            (id, Arc::new(Replica::new(id, disk, slice, now)))
        };
        Self {
            replicas: (1..=slice.voters).map(replica).collect(),
            network: Network::default(),
            now: 0,
            left: slice.budget,
            ghost: Ghost {
                configuration,
                ..Ghost::default()
            },
            timed: slice.check_quorum,
            on_time: slice.on_time,
        }
    }

    pub(crate) fn replica(&self, id: ReplicaId) -> Option<&Arc<Replica>> {
        let found = self.replicas.iter().find(|(known, _)| *known == id);
        found.map(|(_, replica)| replica)
    }

    pub(crate) fn replica_mut(&mut self, id: ReplicaId) -> Option<&mut Replica> {
        let found = self.replicas.iter_mut().find(|(known, _)| *known == id);
        found.map(|(_, replica)| Arc::make_mut(replica))
    }

    /// Whoever is addressed and does not exist yet begins with nothing.
    pub(crate) fn host(&mut self, id: ReplicaId, slice: &Slice) {
        if self.replica(id).is_none() {
            let disk = Disk::new(Configuration::default());
            let replica = Replica::new(id, disk, slice, Instant(self.now));
            self.replicas.push((id, Arc::new(replica)));
        }
    }

    /// Feeds one input, and whatever follows from it at the same place at once.
    pub(crate) fn step(&mut self, id: ReplicaId, input: Input, slice: &Slice, bug: Option<Bug>) {
        let Some(replica) = self.replica(id) else {
            return;
        };
        let led = replica.leads();
        let before = led.then(|| replica.raft.configuration().clone());
        let mut inputs = VecDeque::from([input]);
        let mut effects = Effects::new();
        while let Some(input) = inputs.pop_front() {
            let checking = matches!(input, Input::Timeout { .. }) && led;
            let now = Instant(self.now);
            let Some(replica) = self.replica_mut(id) else {
                return;
            };
            replica.raft.step(now, input, &mut effects);
            let led_until_now = checking && replica.raft.role() == Role::Follower;
            self.ghost.seen.stepped_down |= led_until_now;
            for effect in effects.drain(..) {
                self.carry_out(id, effect, &mut inputs, slice, bug);
            }
        }
        if let Some(replica) = self.replica_mut(id) {
            replica.rename();
        }
        self.check(id, before.as_ref());
        self.forget_dead_letters(id);
    }

    fn carry_out(
        &mut self,
        id: ReplicaId,
        effect: Effect,
        inputs: &mut VecDeque<Input>,
        slice: &Slice,
        bug: Option<Bug>,
    ) {
        match effect {
            Effect::Send(envelope) => {
                let append = matches!(envelope.message, Message::Append { .. });
                match append && !slice.appends {
                    true => self.check_said(&envelope),
                    false => self.send(envelope, inputs, bug),
                }
            }
            Effect::Persist {
                id: write,
                hard_state,
                entries,
            } => {
                let what = What::Append(entries);
                let write = Write {
                    id: write,
                    hard_state,
                    what,
                };
                self.write(id, write, inputs, slice, bug);
            }
            Effect::InstallSnapshot {
                id: write,
                hard_state,
                meta,
                ..
            } => {
                self.ghost.seen.installed = true;
                let what = What::Install(meta);
                let write = Write {
                    id: write,
                    hard_state,
                    what,
                };
                self.write(id, write, inputs, slice, bug);
            }
            Effect::ReadLog {
                to, from, through, ..
            } => {
                let entries = match self.replica(id) {
                    Some(replica) => {
                        let entries = replica.disk.entries.iter();
                        let wanted = |e: &&_| (from..=through).contains(&index_of(e));
                        entries.filter(wanted).cloned().collect()
                    }
                    None => Vec::new(),
                };
                inputs.push_back(Input::LogRead { to, entries });
            }
            Effect::SendSnapshot { to } => {
                if let Some(replica) = self.replica_mut(id) {
                    replica.offers.insert(to);
                }
            }
            Effect::ReadReady { id: read, index } => self.read_granted(read, index),
            Effect::ReadRefused { id: read, .. } => {
                self.ghost.reads.remove(&read.0);
            }
            Effect::TransferEnded { outcome, .. } => {
                let done = matches!(outcome, TransferOutcome::Done { leader } if leader != id);
                self.ghost.seen.transferred |= done;
            }
            Effect::Fatal { reason } => {
                self.broke(Invariant::NoFatal, format!("{id}: {reason}"));
            }
            Effect::Commit { .. }
            | Effect::Accepted { .. }
            | Effect::Refused { .. }
            | Effect::ConfigurationCommitted { .. }
            | Effect::LeaderChanged { .. } => {}
        }
    }

    fn write(
        &mut self,
        id: ReplicaId,
        write: Write,
        inputs: &mut VecDeque<Input>,
        slice: &Slice,
        bug: Option<Bug>,
    ) {
        let early = bug == Some(Bug::WriteAcknowledgedEarly);
        let Some(replica) = self.replica_mut(id) else {
            return;
        };
        let done = Input::Persisted { id: write.id };
        match slice.slow_disk {
            true => replica.writes.push_back(write),
            false => replica.disk.write(write),
        }
        if early || !slice.slow_disk {
            inputs.push_back(done);
        }
    }

    /// The oldest write of this replica is done.
    pub(crate) fn persist(&mut self, id: ReplicaId, slice: &Slice, bug: Option<Bug>) {
        let Some(replica) = self.replica_mut(id) else {
            return;
        };
        let Some(write) = replica.writes.pop_front() else {
            return;
        };
        let done = Input::Persisted { id: write.id };
        replica.disk.write(write);
        self.step(id, done, slice, bug);
    }

    fn send(&mut self, envelope: Envelope, inputs: &mut VecDeque<Input>, bug: Option<Bug>) {
        self.check_said(&envelope);
        if bug == Some(Bug::EchoInvented)
            && let Message::Heartbeat { round, .. } = envelope.message
        {
            let message = Message::HeartbeatReply {
                round,
                hold: std::time::Duration::ZERO,
                priority: 0,
            };
            let echo = Envelope {
                from: envelope.to,
                to: envelope.from,
                message,
                ..envelope.clone()
            };
            inputs.push_back(Input::Received(echo));
        }
        self.network.send(envelope);
    }

    fn read_granted(&mut self, read: ReadId, index: u64) {
        self.ghost.seen.read = true;
        let Some((at, needed)) = self.ghost.reads.remove(&read.0) else {
            return;
        };
        if index < needed {
            let detail = format!("{at} reads as of {index}, but {needed} was committed before");
            self.broke(Invariant::ReadFreshness, detail);
        }
    }

    /// An answer of a term that its addressee has durably left, or in which it is not and cannot
    /// become what was answered, is ignored now and for ever: as good as lost.
    fn forget_dead_letters(&mut self, id: ReplicaId) {
        let Some(replica) = self.replica(id) else {
            return;
        };
        let (term, role) = (replica.disk.hard_state.term, replica.raft.role());
        let heeded = |envelope: &Envelope| match envelope.message {
            Message::VoteReply {
                kind: VoteKind::Pre,
                granted: true,
            } => envelope.term > term,
            Message::VoteReply {
                kind: VoteKind::Pre,
                ..
            } => envelope.term >= term,
            Message::VoteReply { .. } => {
                envelope.term > term || (envelope.term == term && role == Role::Candidate)
            }
            Message::AppendReply(_) | Message::HeartbeatReply { .. } => {
                envelope.term > term || (envelope.term == term && role == Role::Leader)
            }
            _ => true,
        };
        self.network
            .retain(|envelope| envelope.to != id || heeded(envelope));
    }
}

fn index_of(entry: &coracle_proto::Entry) -> u64 {
    entry.index
}
