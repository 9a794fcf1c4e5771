//! All nodes, the messages between them, and the order in which things happen.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use coracle_proto::{
    ChangeRefusal, Configuration, Effect, EntryKind, Envelope, Index, Input, LogId, Message,
    NodeId, ProposalId, RefuseReason, ReplicaId, VoteKind,
};

use super::invariants::Invariants;
use super::node::{GROUP, Node, Options};

/// Rounds after which a cluster that does not come to rest is an error.
const MAX_ROUNDS: usize = 1000;

/// What somebody wants to have in the log.
#[derive(Debug, Clone)]
pub(crate) enum Proposal {
    Command(Bytes),
    Change(super::change::Change),
}

/// What is on its way from one node to another.
#[derive(Debug, Clone)]
pub(crate) enum Parcel {
    Envelope(Envelope),
    /// A proposal on its way to the leader: the driver's matter, not the core's.
    Forward {
        to: u64,
        proposal: Proposal,
    },
}

impl Parcel {
    fn to(&self) -> u64 {
        match self {
            Self::Envelope(envelope) => envelope.to.node.0,
            Self::Forward { to, .. } => *to,
        }
    }

    /// The name that etcd-raft gives to it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Envelope(envelope) => kind(&envelope.message),
            Self::Forward { .. } => "MsgProp",
        }
    }
}

fn kind(message: &Message) -> &'static str {
    match message {
        Message::Vote {
            kind: VoteKind::Pre,
            ..
        } => "MsgPreVote",
        Message::VoteReply {
            kind: VoteKind::Pre,
            ..
        } => "MsgPreVoteResp",
        Message::Vote { .. } => "MsgVote",
        Message::VoteReply { .. } => "MsgVoteResp",
        Message::Append { .. } => "MsgApp",
        Message::AppendReply(_) => "MsgAppResp",
        Message::Heartbeat { .. } => "MsgHeartbeat",
        Message::HeartbeatReply { .. } => "MsgHeartbeatResp",
        Message::Snapshot { .. } => "MsgSnap",
        Message::Quiesce { .. } => "MsgQuiesce",
        Message::TimeoutNow => "MsgTimeoutNow",
        Message::Wake => "MsgWake",
        Message::ReadIndex { .. } => "MsgReadIndex",
        Message::ReadIndexReply { .. } => "MsgReadIndexResp",
    }
}

/// Nodes by number, and the messages between them.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) nodes: BTreeMap<u64, Node>,
    network: VecDeque<Parcel>,
    /// Proposals of followers, on their way out with the next ready.
    outgoing: BTreeMap<u64, Vec<Parcel>>,
    /// Changes that wait for their leader's first commit.
    deferred: BTreeMap<u64, Vec<super::change::Change>>,
    /// How etcd-raft would print the entries that hold configurations.
    pub(crate) labels: BTreeMap<LogId, String>,
    pub(crate) invariants: Invariants,
    proposals: u64,
}

impl World {
    pub(crate) fn add(
        &mut self,
        count: u64,
        options: &Options,
        last: Index,
        configuration: &Configuration,
        state: &[u8],
    ) {
        for _ in 0..count {
            let node = self.nodes.len() as u64 + 1;
            // Term 0: the first election of a script is then that of term 1.
            let last = LogId {
                term: 0,
                index: last,
            };
            let id = super::born(node, 0);
            let added = Node::new(id, options, last, configuration, state);
            self.nodes.insert(node, added);
        }
    }

    pub(crate) fn node(&mut self, node: u64) -> Result<&mut Node, String> {
        let missing = || format!("there is no node {node}");
        self.nodes.get_mut(&node).ok_or_else(missing)
    }

    /// Feeds one input and looks at the outcome with the invariants' eyes.
    pub(crate) fn step(&mut self, node: u64, input: Input) -> Result<(), String> {
        self.node(node)?.step(input);
        self.invariants.observe(&self.nodes)
    }

    /// Hands out what a node's core asked for: writes, messages, entries to apply.
    pub(crate) fn process_ready(&mut self, node: u64) -> Result<(), String> {
        let effects = std::mem::take(&mut self.node(node)?.ready);
        let mut writes = Vec::new();
        for effect in effects {
            match effect {
                Effect::Persist { .. } | Effect::InstallSnapshot { .. } => {
                    self.invariants.see_write(&effect)?;
                    writes.push(effect);
                }
                other => self.hand_out(node, other)?,
            }
        }
        self.network
            .extend(self.outgoing.remove(&node).unwrap_or_default());
        if self.node(node)?.options.async_writes {
            self.hand_over(node, writes)
        } else {
            self.write(node, writes)?;
            self.hand_over_applies(node)?;
            while self.process_apply_thread(node)? {}
            Ok(())
        }
    }

    fn hand_out(&mut self, node: u64, effect: Effect) -> Result<(), String> {
        match effect {
            Effect::Send(envelope) => self.network.push_back(Parcel::Envelope(envelope)),
            Effect::SendSnapshot { to } => self.send_snapshot(node, to)?,
            Effect::Commit { index } => self.node(node)?.committed = index,
            Effect::Fatal { reason } => return Err(format!("node {node} stopped: {reason}")),
            _ => {}
        }
        Ok(())
    }

    /// With threads: a batch for the one that appends, a range for the one that applies.
    fn hand_over(&mut self, node: u64, writes: Vec<Effect>) -> Result<(), String> {
        let only_hard_state = |effect: &Effect| matches!(effect, Effect::Persist { entries, .. } if entries.is_empty());
        let state = self.node(node)?;
        if state.appends.is_empty() && writes.iter().all(only_hard_state) {
            // A core that says nothing before its term and vote are durable would wait for a
            // thread that the script lets run only after what is to be said.
            self.write(node, writes)?;
        } else if !writes.is_empty() {
            state.appends.push_back(writes);
        }
        self.hand_over_applies(node)
    }

    fn hand_over_applies(&mut self, node: u64) -> Result<(), String> {
        let state = self.node(node)?;
        if let Some(end) = state.next_apply() {
            state.applies.push_back(end);
            state.handed = end;
        }
        Ok(())
    }

    /// Makes writes durable. What a follower or candidate has to say about them goes out with
    /// them, as part of the same ready.
    fn write(&mut self, node: u64, writes: Vec<Effect>) -> Result<(), String> {
        let installs = writes.iter().rev().find_map(|effect| match effect {
            Effect::InstallSnapshot { meta, .. } => Some(meta.clone()),
            _ => None,
        });
        let state = self.node(node)?;
        state.write(writes);
        if let Some(meta) = installs {
            let index = meta.last.index;
            (state.applied, state.handed, state.committed) = (index, index, index);
            state.applies.clear();
            state.snapshot = meta;
            self.invariants.restore(&mut self.nodes, node)?;
        }
        let state = self.node(node)?;
        if !state.leads() {
            let effects = std::mem::take(&mut state.ready);
            let (sends, rest) = effects
                .into_iter()
                .partition(|effect| matches!(effect, Effect::Send(_)));
            state.ready = rest;
            let sends: Vec<Effect> = sends;
            for send in sends {
                self.hand_out(node, send)?;
            }
        }
        self.retry(node)?;
        self.invariants.observe(&self.nodes)
    }

    /// Proposes anew what came before the first commit of the term.
    fn retry(&mut self, node: u64) -> Result<(), String> {
        for change in self.deferred.remove(&node).unwrap_or_default() {
            let _ = self.propose(node, Proposal::Change(change))?;
        }
        Ok(())
    }

    /// One batch of writes; false if there is none.
    pub(crate) fn process_append_thread(&mut self, node: u64) -> Result<bool, String> {
        let Some(batch) = self.node(node)?.appends.pop_front() else {
            return Ok(false);
        };
        self.write(node, batch)?;
        Ok(true)
    }

    /// One range of entries; false if there is none.
    pub(crate) fn process_apply_thread(&mut self, node: u64) -> Result<bool, String> {
        let state = self.nodes.get_mut(&node);
        let state = state.ok_or_else(|| format!("there is no node {node}"))?;
        let Some(end) = state.applies.pop_front() else {
            return Ok(false);
        };
        for index in state.applied + 1..=end {
            let entry = state.disk.entry(index).cloned();
            let entry = entry.ok_or_else(|| format!("node {node} applies {index}: not durable"))?;
            if entry.kind == EntryKind::Normal {
                state.state.extend_from_slice(&entry.payload);
            }
            let configuration = state.raft.configuration_at(index).cloned();
            state.applied = index;
            state.snapshot.last = entry.id();
            state.snapshot.configuration = configuration.unwrap_or_default();
            self.invariants.applied(node, &entry, &state.state)?;
        }
        self.step(node, Input::Applied { index: end })?;
        Ok(true)
    }

    pub(crate) fn send_snapshot(&mut self, node: u64, to: ReplicaId) -> Result<(), String> {
        let state = self.node(node)?;
        let envelope = Envelope {
            group: GROUP,
            from: state.id(),
            to,
            term: state.term(),
            message: Message::Snapshot {
                meta: state.snapshot.clone(),
            },
        };
        self.network.push_back(Parcel::Envelope(envelope));
        Ok(())
    }

    /// Delivers, or loses, what is under way to a node; the number of messages.
    pub(crate) fn deliver(
        &mut self,
        to: u64,
        kind: Option<&str>,
        lose: bool,
    ) -> Result<usize, String> {
        let wanted =
            |parcel: &Parcel| parcel.to() == to && kind.is_none_or(|kind| kind == parcel.kind());
        let (taken, left): (VecDeque<_>, _) = self.network.drain(..).partition(wanted);
        self.network = left;
        let count = taken.len();
        for parcel in taken.into_iter().filter(|_| !lose) {
            match parcel {
                Parcel::Envelope(envelope) => self.receive(envelope)?,
                Parcel::Forward { proposal, .. } => {
                    // Refusals go back to whoever asked, who is not waiting here.
                    let _ = self.propose(to, proposal)?;
                }
            }
        }
        Ok(count)
    }

    /// A replica is born with the first message that is addressed to it, as in a driver.
    fn receive(&mut self, envelope: Envelope) -> Result<(), String> {
        let to = envelope.to;
        let state = self.node(to.node.0)?;
        if to.born > state.id().born {
            let (last, none) = (LogId::default(), Configuration::default());
            *state = Node::new(to, &state.options.clone(), last, &none, &[]);
            self.invariants.forget(to.node.0);
        }
        self.step(to.node.0, Input::Received(envelope))?;
        self.retry(to.node.0)
    }

    /// Proposes at a node, which sends the proposal on to the leader it knows of. The error is
    /// the one that etcd-raft would give.
    pub(crate) fn propose(
        &mut self,
        node: u64,
        proposal: Proposal,
    ) -> Result<Result<(), &'static str>, String> {
        self.proposals += 1;
        let id = ProposalId(self.proposals);
        let input = match &proposal {
            Proposal::Command(payload) => Input::Propose {
                id,
                payload: payload.clone(),
            },
            Proposal::Change(change) => change.input(id),
        };
        self.step(node, input)?;
        let state = self.node(node)?;
        let (ends, rest) = std::mem::take(&mut state.ready).into_iter().partition(
            |effect| matches!(effect, Effect::Accepted { id: of, .. } | Effect::Refused { id: of, .. } if *of == id),
        );
        state.ready = rest;
        let ends: Vec<Effect> = ends;
        match (&ends[..], proposal) {
            ([Effect::Accepted { position, .. }], Proposal::Change(change)) => {
                self.labels.insert(*position, change.label());
                Ok(Ok(()))
            }
            ([Effect::Accepted { .. }], _) => Ok(Ok(())),
            ([Effect::Refused { reason, .. }], proposal) => self.refused(node, *reason, proposal),
            (other, _) => Err(format!("proposal {} ended as {other:?}", id.0)),
        }
    }

    fn refused(
        &mut self,
        node: u64,
        reason: RefuseReason,
        proposal: Proposal,
    ) -> Result<Result<(), &'static str>, String> {
        match (reason, proposal) {
            (RefuseReason::NotLeader { leader: Some(to) }, proposal) if to.node.0 != node => {
                let to = to.node.0;
                let forward = Parcel::Forward { to, proposal };
                self.outgoing.entry(node).or_default().push(forward);
                Ok(Ok(()))
            }
            (RefuseReason::NotLeader { .. } | RefuseReason::Busy, _) => Ok(Err(DROPPED)),
            // There a change may come before the first commit of the term, because it does nothing
            // until it is applied.
            (RefuseReason::Change(ChangeRefusal::NotReady), Proposal::Change(change)) => {
                self.deferred.entry(node).or_default().push(change);
                Ok(Ok(()))
            }
            // There an impossible change becomes an empty entry; here it is refused, and the
            // interpreter appends the empty entry, so that indexes stay the same.
            (_, Proposal::Change(_)) => self.propose(node, Proposal::Command(Bytes::new())),
            (_, Proposal::Command(_)) => Ok(Err(DROPPED)),
        }
    }

    /// Until nothing is left to do for these nodes.
    pub(crate) fn stabilize(&mut self, nodes: &[u64]) -> Result<(), String> {
        for _ in 0..MAX_ROUNDS {
            let mut idle = true;
            for node in nodes {
                if self.has_ready(*node)? {
                    idle = false;
                    self.process_ready(*node)?;
                }
            }
            for node in nodes {
                idle &= self.deliver(*node, None, false)? == 0;
            }
            for node in nodes {
                while self.process_append_thread(*node)? {
                    idle = false;
                }
            }
            for node in nodes {
                while self.process_apply_thread(*node)? {
                    idle = false;
                }
            }
            if idle {
                return Ok(());
            }
        }
        Err(format!("no rest after {MAX_ROUNDS} rounds"))
    }

    fn has_ready(&mut self, node: u64) -> Result<bool, String> {
        let outgoing = self.outgoing.contains_key(&node);
        Ok(self.node(node)?.has_ready() || outgoing)
    }

    pub(crate) fn all(&self) -> Vec<u64> {
        self.nodes.keys().copied().collect()
    }

    /// The replica of a node, as the members of its peers' configurations know it.
    pub(crate) fn replica(&self, by: u64, node: u64) -> ReplicaId {
        let known = self.nodes.get(&by).and_then(|state| {
            let members = state.raft.status().configuration.members();
            members.into_iter().find(|id| id.node == NodeId(node))
        });
        known.unwrap_or(super::born(node, 0))
    }
}

/// What etcd-raft says of a proposal that no leader takes.
pub(crate) const DROPPED: &str = "raft proposal dropped";
