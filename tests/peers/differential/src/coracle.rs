//! Coracle's core.

use std::time::Duration;

use bytes::Bytes;
use coracle_proto::{
    Change, Config, Configuration, ConfigurationChange, DEFAULT_PRIORITY, Effect, Effects, Entry,
    EntryKind, Envelope, GroupId, HardState, Index, Initial, Input, Instant, LogId, NodeId,
    PersistId, ProposalId, Raft, ReplicaId, Role, TimeoutKind, TransferId, Transition,
};

use crate::{Members, Replica, Sends};

const GROUP: GroupId = GroupId(1);

/// A replica of Coracle's core, whose writes are durable at once.
#[derive(Debug)]
pub struct Coracle {
    raft: Raft,
    initial: Configuration,
    born: Index,
    hard_state: HardState,
    log: Vec<Entry>,
    commit: Index,
}

fn raft(id: u64, born: Index, initial: Initial) -> Raft {
    let config = Config {
        group: GROUP,
        id: ReplicaId {
            node: NodeId(id),
            born,
        },
        election_timeout: Duration::from_secs(1),
        heartbeat_interval: Duration::from_millis(100),
        // Elections are the schedule's matter.
        pre_vote: false,
        check_quorum: false,
        max_append_bytes: 1 << 20,
        max_append_entries: 1 << 10,
        max_inflight_appends: 256,
        max_inflight_bytes: 1 << 30,
        max_uncommitted_bytes: 1 << 30,
        cache_bytes: 1 << 30,
        max_pending_reads: 16,
        priority: DEFAULT_PRIORITY,
        clock_drift: Duration::ZERO,
        quiesce_after: 0,
    };
    Raft::new(config, initial, Instant(0), 0)
}

impl Coracle {
    fn step(&mut self, input: Input, sends: &mut Sends<Envelope>) {
        let mut effects = Effects::new();
        self.raft.step(Instant(0), input, &mut effects);
        for effect in effects {
            self.perform(effect, sends);
        }
    }

    fn perform(&mut self, effect: Effect, sends: &mut Sends<Envelope>) {
        match effect {
            Effect::Persist {
                id,
                hard_state,
                entries,
            } => self.persist(id, hard_state, entries, sends),
            Effect::Send(envelope) => sends.push((envelope.to.node.0, envelope)),
            Effect::ReadLog {
                to, from, through, ..
            } => {
                let wanted = |entry: &&Entry| (from..=through).contains(&entry.index);
                let entries = self.log.iter().filter(wanted).cloned().collect();
                self.step(Input::LogRead { to, entries }, sends);
            }
            Effect::Commit { index } => self.commit = index,
            Effect::Fatal { reason } => panic!("coracle: {reason}"),
            _ => {}
        }
    }

    fn persist(
        &mut self,
        id: PersistId,
        hard_state: Option<HardState>,
        entries: Vec<Entry>,
        sends: &mut Sends<Envelope>,
    ) {
        self.hard_state = hard_state.unwrap_or(self.hard_state);
        if let Some(first) = entries.first() {
            self.log.retain(|entry| entry.index < first.index);
            self.log.extend(entries);
        }
        self.step(Input::Persisted { id }, sends);
    }

    fn initial(&self) -> Initial {
        let mut terms: Vec<LogId> = Vec::new();
        let mut configurations = vec![self.initial.clone()];
        for entry in &self.log {
            if terms.last().is_none_or(|run| run.term != entry.term) {
                terms.push(entry.id());
            }
            if entry.kind == EntryKind::Configuration {
                let mut set = Configuration::decode(&entry.payload).expect("written by the core");
                set.index = entry.index;
                configurations.push(set);
            }
        }
        Initial {
            hard_state: self.hard_state,
            terms,
            last: self.log.last().map_or(0, |entry| entry.index),
            configurations,
            ..Initial::default()
        }
    }

    fn id(&self) -> u64 {
        self.raft.status().id.node.0
    }
}

impl Replica for Coracle {
    type Message = Envelope;

    fn start(id: u64, voters: &[u64]) -> Self {
        let initial = Configuration::initial(voters.iter().copied().map(NodeId));
        let configurations = vec![initial.clone()];
        let empty = Initial {
            configurations,
            ..Initial::default()
        };
        Self {
            raft: raft(id, 0, empty),
            initial,
            born: 0,
            hard_state: HardState::default(),
            log: Vec::new(),
            commit: 0,
        }
    }

    fn restart(&mut self) {
        // The commit index is not durable; what was seen committed stays so.
        self.raft = raft(self.id(), self.born, self.initial());
    }

    fn campaign(&mut self, sends: &mut Sends<Envelope>) {
        self.step(Input::Campaign { jitter: 0 }, sends);
    }

    fn heartbeat(&mut self, sends: &mut Sends<Envelope>) {
        let kind = TimeoutKind::Heartbeat;
        self.step(Input::Timeout { kind, jitter: 0 }, sends);
    }

    fn propose(&mut self, payload: u64, sends: &mut Sends<Envelope>) {
        let payload = Bytes::copy_from_slice(&payload.to_be_bytes());
        let id = ProposalId(0);
        self.step(Input::Propose { id, payload }, sends);
    }

    fn change(&mut self, members: &Members, sends: &mut Sends<Envelope>) {
        let now = self.members();
        let voters = members.voters.difference(&now.voters);
        let learners = members.learners.difference(&now.learners);
        let wanted = |node: &&u64| members.voters.contains(node) || members.learners.contains(node);
        let gone = now.voters.union(&now.learners).filter(|node| !wanted(node));
        let changes = voters
            .map(|node| Change::Voter(NodeId(*node)))
            .chain(learners.map(|node| Change::Learner(NodeId(*node))))
            .chain(gone.map(|node| Change::Remove(NodeId(*node))))
            .collect();
        let change = ConfigurationChange {
            expect: None,
            changes,
            transition: Transition::Auto,
        };
        let id = ProposalId(0);
        self.step(Input::ChangeConfiguration { id, change }, sends);
    }

    fn transfer(&mut self, to: u64, sends: &mut Sends<Envelope>) {
        let (id, to) = (TransferId(0), Some(NodeId(to)));
        self.step(Input::Transfer { id, to }, sends);
    }

    fn receive(&mut self, _: u64, message: Envelope, sends: &mut Sends<Envelope>) {
        // A node that is added is another replica than before, if it ever was one.
        if message.to.born > self.born {
            self.born = message.to.born;
            self.log.clear();
            (self.hard_state, self.commit) = (HardState::default(), 0);
            self.raft = raft(self.id(), self.born, self.initial());
        }
        self.step(Input::Received(message), sends);
    }

    fn leads(&self) -> bool {
        self.raft.role() == Role::Leader
    }

    fn term(&self) -> u64 {
        self.raft.status().hard_state.term
    }

    fn members(&self) -> Members {
        let configuration = self.raft.status().configuration;
        let nodes = |set: &std::collections::BTreeSet<ReplicaId>| {
            set.iter().map(|replica| replica.node.0).collect()
        };
        Members {
            voters: nodes(&configuration.voters),
            learners: nodes(&configuration.learners),
        }
    }

    fn committed(&self) -> Vec<u64> {
        let normal = |entry: &&Entry| entry.kind == EntryKind::Normal && entry.index <= self.commit;
        let payload = |entry: &Entry| {
            let bytes = entry.payload[..].try_into().expect("proposed here");
            u64::from_be_bytes(bytes)
        };
        self.log.iter().filter(normal).map(payload).collect()
    }
}
