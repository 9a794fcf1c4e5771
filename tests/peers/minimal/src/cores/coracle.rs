//! Coracle's core.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use coracle_proto::{
    Config, Configuration, DEFAULT_PRIORITY, Effect, Effects, Envelope, GroupId, Index, Initial,
    Input, Instant, LogId, NodeId, ProposalId, Raft, ReplicaId, Role, SnapshotMeta, TimeoutKind,
};

use super::{COMPACT_EVERY, Engine, KEEP, NODES};

pub(super) struct Core {
    raft: Raft,
    begin: std::time::Instant,
    effects: Effects,
    sends: Vec<(u64, Envelope)>,
    /// Last entry that is committed here.
    commit: Index,
    /// Where the proposals went that are not committed, oldest first.
    accepted: VecDeque<Index>,
    floor: Index,
    configuration: Configuration,
}

impl Core {
    fn now(&self) -> Instant {
        let nanos = self.begin.elapsed().as_nanos();
        Instant(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn step(&mut self, input: Input) {
        let now = self.now();
        let mut effects = std::mem::take(&mut self.effects);
        self.raft.step(now, input, &mut effects);
        self.perform(now, &mut effects);
        self.effects = effects;
    }

    /// Writes are durable at once, which may have effects of its own.
    fn perform(&mut self, now: Instant, effects: &mut Effects) {
        let mut next = 0;
        while next < effects.len() {
            let effect = std::mem::replace(&mut effects[next], Effect::Commit { index: 0 });
            next += 1;
            match effect {
                Effect::Persist { id, .. } => {
                    self.raft.step(now, Input::Persisted { id }, effects);
                }
                Effect::Send(envelope) => self.sends.push((envelope.to.node.0, envelope)),
                Effect::Commit { index } => self.commit = self.commit.max(index),
                Effect::ReadLog { to, .. } => {
                    let entries = Vec::new();
                    self.raft.step(now, Input::LogRead { to, entries }, effects);
                }
                Effect::Accepted { position, .. } => self.accepted.push_back(position.index),
                Effect::Fatal { reason } => panic!("coracle: {reason}"),
                _ => {}
            }
        }
        effects.clear();
        self.compact(now, effects);
    }

    fn compact(&mut self, now: Instant, effects: &mut Effects) {
        if self.commit < self.floor + COMPACT_EVERY + KEEP {
            return;
        }
        self.floor = self.commit - KEEP;
        let at = |index| LogId {
            term: self.raft.term_at(index).expect("above the floor"),
            index,
        };
        let (floor, last) = (at(self.floor), at(self.commit));
        let configuration = self.configuration.clone();
        let snapshot = SnapshotMeta {
            last,
            configuration,
        };
        let input = Input::Compacted { floor, snapshot };
        self.raft.step(now, input, effects);
        effects.clear();
    }
}

impl Engine for Core {
    type Message = Envelope;

    fn start(id: u64) -> Self {
        let configuration = Configuration::initial(NODES.map(NodeId));
        let initial = Initial {
            configurations: vec![configuration.clone()],
            ..Initial::default()
        };
        let config = Config {
            group: GroupId(1),
            id: ReplicaId {
                node: NodeId(id),
                born: 0,
            },
            election_timeout: Duration::from_secs(2),
            heartbeat_interval: super::HEARTBEAT,
            pre_vote: true,
            check_quorum: true,
            max_append_bytes: 1 << 20,
            max_append_entries: 1024,
            max_inflight_appends: 64,
            max_inflight_bytes: 8 << 20,
            max_uncommitted_bytes: 32 << 20,
            cache_bytes: 16 << 20,
            max_pending_reads: 1024,
            priority: DEFAULT_PRIORITY,
            clock_drift: Duration::from_millis(100),
            quiesce_after: 0,
        };
        Self {
            raft: Raft::new(config, initial, Instant(0), id),
            begin: std::time::Instant::now(),
            effects: Effects::new(),
            sends: Vec::new(),
            commit: 0,
            accepted: VecDeque::new(),
            floor: 0,
            configuration,
        }
    }

    fn campaign(&mut self) {
        self.step(Input::Campaign { jitter: 0 });
    }

    fn heartbeat(&mut self) {
        let kind = TimeoutKind::Heartbeat;
        self.step(Input::Timeout { kind, jitter: 0 });
    }

    fn receive(&mut self, message: Envelope) {
        self.step(Input::Received(message));
    }

    fn propose(&mut self, count: usize) -> usize {
        let before = self.accepted.len();
        for _ in 0..count {
            let (id, payload) = (ProposalId(0), Bytes::new());
            self.step(Input::Propose { id, payload });
        }
        self.accepted.len() - before
    }

    fn sends(&mut self) -> Vec<(u64, Envelope)> {
        std::mem::take(&mut self.sends)
    }

    fn committed(&mut self) -> usize {
        let committed = self.accepted.partition_point(|index| *index <= self.commit);
        self.accepted.drain(..committed).count()
    }

    fn leads(&self) -> bool {
        self.raft.role() == Role::Leader
    }
}
