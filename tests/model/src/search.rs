//! A slice as a model for stateright: what can happen next, and what comes of it.

use bytes::Bytes;
use coracle_proto::{
    AppendOutcome, ConfigurationChange, Envelope, Index, Input, Instant, Message, ProposalId,
    ReadId, ReplicaId, TimeoutKind, TransferId, Transition,
};
use stateright::{Expectation, Model, Property};

use crate::action::Action;
use crate::bug::Bug;
use crate::goals::Goal;
use crate::invariants::Invariant;
use crate::replica::member;
use crate::slice::Slice;
use crate::state::State;

/// Messages of the beginning of an established group, at most.
const MAX_PRELUDE: usize = 1000;

/// A slice to be searched, with or without a bug.
#[derive(Debug, Clone)]
pub struct Search {
    /// What can happen.
    pub slice: Slice,
    /// What is broken.
    pub bug: Option<Bug>,
}

impl Model for Search {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State::new(&self.slice);
        if self.slice.established {
            self.establish(&mut state);
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.ghost.broken.is_some() {
            return;
        }
        for flight in state.network.flights() {
            let deliver = |again| Action::Deliver {
                name: flight.name,
                again,
            };
            actions.push(deliver(false));
            if state.left.duplicates > 0 {
                actions.push(deliver(true));
            }
            if state.left.losses > 0 {
                actions.push(Action::Lose(flight.name));
            }
        }
        for (id, _) in &state.replicas {
            self.local_actions(state, *id, actions);
        }
        if state.left.time > 0 {
            actions.push(Action::Pass);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        self.perform(&mut next, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let invariants = Invariant::ALL.iter().map(|invariant| Property {
            expectation: Expectation::Always,
            name: invariant.name(),
            condition: invariant.condition(),
        });
        let goals = self.slice.goals.iter().map(|goal: &Goal| Property {
            expectation: Expectation::Sometimes,
            name: goal.name(),
            condition: goal.condition(),
        });
        invariants.chain(goals).collect()
    }

    fn within_boundary(&self, state: &State) -> bool {
        let mut replicas = state.replicas.iter();
        let inside = state.network.flights().len() <= self.slice.flights
            && replicas.all(|(_, replica)| replica.raft.hard_state().term <= self.slice.terms);
        // What is broken by the step that leaves the slice is broken all the same.
        inside || state.ghost.broken.is_some()
    }
}

impl Search {
    fn local_actions(&self, state: &State, id: ReplicaId, actions: &mut Vec<Action>) {
        let (slice, left) = (&self.slice, &state.left);
        let Some(replica) = state.replica(id) else {
            return;
        };
        let leads = replica.leads();
        if !replica.writes.is_empty() {
            actions.push(Action::Persist(id));
        }
        for to in &replica.offers {
            actions.push(Action::Sent(id, *to));
        }
        if leads {
            if left.heartbeats > 0 {
                actions.push(Action::Timeout(id, TimeoutKind::Heartbeat));
            }
            if left.quorum_checks > 0 {
                actions.push(Action::Timeout(id, TimeoutKind::Election));
            }
            if left.changes > 0 {
                actions.push(Action::Change(id, slice.change.to_vec()));
            }
            if left.transfers > 0 {
                actions.push(Action::Transfer(id, member(slice.successor)));
            }
        } else if left.elections > 0 && slice.campaigners.contains(&id.node.0) {
            let view = replica.raft.time_view(Instant(state.now));
            if !slice.on_time || view.election_left.is_zero() {
                actions.push(Action::Timeout(id, TimeoutKind::Election));
            }
        }
        if slice.served.contains(&id.node.0) {
            if left.proposals > 0 && leads {
                actions.push(Action::Propose(id));
            }
            if left.reads > 0 && (leads || slice.remote_reads) {
                actions.push(Action::Read(id));
            }
        }
        if left.compactions > 0
            && leads
            && replica.raft.commit().min(replica.disk.last().index) > replica.disk.floor.index
        {
            actions.push(Action::Compact(id));
        }
        if left.cuts > 0 && slice.cut.contains(&id.node.0) {
            actions.push(Action::Cut(id));
        }
        if left.crashes > 0 && slice.crashers.contains(&id.node.0) {
            actions.push(Action::Crash(id));
        }
    }

    fn perform(&self, state: &mut State, action: Action) {
        match action {
            Action::Deliver { name, again } => {
                let Some(envelope) = state.network.find(name) else {
                    return;
                };
                match again {
                    true => state.left.duplicates -= 1,
                    false => state.network.remove(name),
                }
                self.deliver(state, (*envelope).clone());
            }
            Action::Lose(name) => {
                state.left.losses -= 1;
                state.network.remove(name);
            }
            Action::Cut(id) => {
                state.left.cuts -= 1;
                state.network.cut(id);
            }
            Action::Persist(id) => state.persist(id, &self.slice, self.bug),
            Action::Timeout(id, kind) => {
                let leads = state.replica(id).is_some_and(|replica| replica.leads());
                match (kind, leads) {
                    (TimeoutKind::Heartbeat, _) => state.left.heartbeats -= 1,
                    (_, true) => state.left.quorum_checks -= 1,
                    (_, false) => state.left.elections -= 1,
                }
                self.step(state, id, Input::Timeout { kind, jitter: 0 });
            }
            Action::Pass => {
                state.left.time -= 1;
                state.now += 1;
            }
            Action::Propose(id) => {
                state.left.proposals -= 1;
                let name = u64::from(state.left.proposals);
                let payload = Bytes::from(vec![state.left.proposals]);
                let id_of = ProposalId(name);
                self.step(state, id, Input::Propose { id: id_of, payload });
            }
            Action::Read(id) => {
                state.left.reads -= 1;
                let read = u64::from(state.left.reads);
                let needed = state.ghost.commit();
                state.ghost.reads.insert(read, (id, needed));
                let (read, mode) = (ReadId(read), self.slice.read_mode);
                let earlier = std::mem::take(&mut state.ghost.seen.read);
                self.step(state, id, Input::Read { id: read, mode });
                state.ghost.seen.read_by_lease |= state.ghost.seen.read;
                state.ghost.seen.read |= earlier;
            }
            Action::Change(id, changes) => {
                state.left.changes -= 1;
                let change = ConfigurationChange {
                    expect: None,
                    changes,
                    transition: Transition::Implicit,
                };
                let name = ProposalId(u64::MAX);
                self.step(state, id, Input::ChangeConfiguration { id: name, change });
            }
            Action::Transfer(id, to) => {
                state.left.transfers -= 1;
                let name = TransferId(u64::from(state.left.transfers));
                let to = Some(to.node);
                self.step(state, id, Input::Transfer { id: name, to });
            }
            Action::Compact(id) => self.compact(state, id),
            Action::Sent(id, to) => self.sent(state, id, to),
            Action::Crash(id) => {
                state.left.crashes -= 1;
                state.ghost.reads.retain(|_, (at, _)| *at != id);
                let now = Instant(state.now);
                if let Some(replica) = state.replica_mut(id) {
                    replica.restart(id, &self.slice, now);
                }
            }
        }
    }

    fn step(&self, state: &mut State, id: ReplicaId, input: Input) {
        state.step(id, input, &self.slice, self.bug);
    }

    fn deliver(&self, state: &mut State, envelope: Envelope) {
        let to = envelope.to;
        state.host(to, &self.slice);
        let envelope = self.break_message(state, envelope);
        self.step(state, to, Input::Received(envelope));
    }

    /// What a bug makes of a message before, or a replica when it arrives.
    fn break_message(&self, state: &mut State, mut envelope: Envelope) -> Envelope {
        let now = Instant(state.now);
        match (self.bug, &mut envelope.message) {
            (Some(Bug::VoteForgotten), Message::Vote { .. }) => {
                let other = |vote: &ReplicaId| *vote != envelope.from && *vote != envelope.to;
                if let Some(replica) = state.replica_mut(envelope.to)
                    && replica.raft.hard_state().vote.as_ref().is_some_and(other)
                {
                    replica.disk.hard_state.vote = None;
                    replica.restart(envelope.to, &self.slice, now);
                }
            }
            (Some(Bug::CandidateBelieved), Message::Vote { last, .. }) => {
                (last.term, last.index) = (self.slice.terms, Index::from(u32::MAX));
            }
            (Some(Bug::LeaseNeverEnds), Message::HeartbeatReply { hold, .. }) => {
                *hold *= 1000;
            }
            (Some(Bug::SnapshotClaimsMore), Message::Snapshot { meta }) => meta.last.index += 1,
            (
                Some(Bug::AcknowledgementCountedTwice),
                Message::AppendReply(AppendOutcome::Matched { .. }),
            ) => {
                let other = state.replicas.iter().map(|(id, _)| *id);
                let mut other = other.filter(|id| *id != envelope.from && *id != envelope.to);
                if let Some(from) = other.next() {
                    let again = envelope.clone();
                    self.step(
                        state,
                        envelope.to,
                        Input::Received(Envelope { from, ..again }),
                    );
                }
            }
            _ => {}
        }
        envelope
    }

    fn compact(&self, state: &mut State, id: ReplicaId) {
        state.left.compactions -= 1;
        let Some(replica) = state.replica_mut(id) else {
            return;
        };
        let index = replica.raft.commit().min(replica.disk.last().index);
        let Some(snapshot) = replica.disk.compact(index) else {
            return;
        };
        let floor = snapshot.last;
        self.step(state, id, Input::Compacted { floor, snapshot });
    }

    fn sent(&self, state: &mut State, id: ReplicaId, to: ReplicaId) {
        let Some(replica) = state.replica_mut(id) else {
            return;
        };
        replica.offers.remove(&to);
        let delivered = replica.disk.snapshot.is_some();
        let term = replica.raft.hard_state().term;
        if let Some(meta) = replica.disk.snapshot.clone().filter(|_| replica.leads()) {
            state.network.send(Envelope {
                group: crate::replica::GROUP,
                from: id,
                to,
                term,
                message: Message::Snapshot { meta },
            });
        }
        self.step(state, id, Input::SnapshotSent { to, delivered });
    }

    /// Node 1 is elected, and everybody who is not absent gets its first entry.
    fn establish(&self, state: &mut State) {
        let kind = TimeoutKind::Election;
        let first = member(1);
        let slow = Self {
            slice: Slice {
                slow_disk: false,
                appends: true,
                ..self.slice.clone()
            },
            bug: None,
        };
        slow.step(state, first, Input::Timeout { kind, jitter: 0 });
        for _ in 0..MAX_PRELUDE {
            let Some(flight) = state.network.flights().first().cloned() else {
                return;
            };
            state.network.remove(flight.name);
            let envelope = (*flight.envelope).clone();
            let absent = self.slice.absent.contains(&envelope.to.node.0);
            if !absent {
                slow.deliver(state, envelope);
            }
        }
    }
}
