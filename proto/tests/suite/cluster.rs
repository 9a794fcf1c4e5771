//! Replicas in one process: their disks, the messages between them, and what they applied.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use coracle_proto::{
    Change, Config, Configuration, ConfigurationChange, Effect, Entry, EntryKind, Envelope,
    GroupId, HardState, Index, Initial, Input, Instant, LogId, Message, NodeId, PersistId,
    ProposalId, Raft, ReadId, ReadMode, ReplicaId, Role, SnapshotMeta, Term, TransferId,
    Transition,
};

/// Lines of trace that are kept for whoever wants them.
const MAX_TRACE: usize = 10_000;

pub(crate) const T: Duration = Duration::from_millis(1000);

pub(crate) fn replica(node: u64) -> ReplicaId {
    ReplicaId {
        node: NodeId(node),
        born: 0,
    }
}

pub(crate) fn config(node: u64) -> Config {
    Config {
        group: GroupId(1),
        id: replica(node),
        election_timeout: T,
        heartbeat_interval: T / 10,
        pre_vote: true,
        check_quorum: true,
        max_append_bytes: 1 << 20,
        max_append_entries: 100,
        max_inflight_appends: 8,
        max_inflight_bytes: 1 << 20,
        max_uncommitted_bytes: 1 << 20,
        cache_bytes: 1 << 20,
        max_pending_reads: 100,
        priority: coracle_proto::DEFAULT_PRIORITY,
        clock_drift: Duration::from_millis(100),
        quiesce_after: 0,
    }
}

/// What survives a crash.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) floor: LogId,
    pub(crate) snapshot: Option<SnapshotMeta>,
    /// The configuration at the floor.
    pub(crate) configuration: Configuration,
    pub(crate) entries: Vec<Entry>,
}

impl Disk {
    pub(crate) fn last(&self) -> Index {
        self.entries
            .last()
            .map_or(self.floor.index, |entry| entry.index)
    }

    pub(crate) fn entry(&self, index: Index) -> Option<&Entry> {
        let offset = index.checked_sub(self.floor.index + 1)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    pub(crate) fn id_at(&self, index: Index) -> Option<LogId> {
        match index == self.floor.index {
            true => Some(self.floor),
            false => self.entry(index).map(Entry::id),
        }
    }

    pub(crate) fn initial(&self) -> Initial {
        let mut terms: Vec<LogId> = Vec::new();
        let mut configurations = vec![self.configuration.clone()];
        for entry in &self.entries {
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
            floor: self.floor,
            snapshot: self.snapshot.clone(),
            terms,
            last: self.last(),
            configurations,
        }
    }

    pub(crate) fn write(&mut self, effect: &Effect) {
        match effect {
            Effect::Persist {
                hard_state,
                entries,
                ..
            } => {
                self.hard_state = hard_state.unwrap_or(self.hard_state);
                if let Some(first) = entries.first() {
                    assert!(first.index <= self.last() + 1, "a gap before {first}");
                    self.entries.retain(|entry| entry.index < first.index);
                    self.entries.extend(entries.iter().cloned());
                }
            }
            Effect::InstallSnapshot {
                hard_state,
                meta,
                truncate,
                ..
            } => {
                self.hard_state = hard_state.unwrap_or(self.hard_state);
                self.floor = meta.last;
                self.configuration = meta.configuration.clone();
                self.snapshot = Some(meta.clone());
                self.entries
                    .retain(|entry| entry.index > meta.last.index && !truncate);
            }
            other => panic!("not a write: {other}"),
        }
    }
}

/// One replica with its disk.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: ReplicaId,
    pub(crate) raft: Raft,
    pub(crate) disk: Disk,
    /// Writes asked for and not durable, oldest first.
    pub(crate) writes: VecDeque<(PersistId, Effect)>,
    /// Terms of the entries applied, from index 1 on.
    pub(crate) applied: Vec<LogId>,
    /// Effects that were not messages or writes, for the test to look at.
    pub(crate) events: Vec<Effect>,
    pub(crate) down: bool,
}

/// A cluster whose network is an editable queue.
pub(crate) struct Cluster {
    pub(crate) now: Instant,
    pub(crate) nodes: BTreeMap<u64, Node>,
    pub(crate) network: VecDeque<Envelope>,
    pub(crate) leaders: BTreeMap<Term, ReplicaId>,
    /// Entries seen committed, by index.
    pub(crate) committed: BTreeMap<Index, LogId>,
    /// The term of whoever applied it first, at or above the one that committed it.
    committed_in: BTreeMap<Index, Term>,
    /// Pairs (from, to) that lose everything.
    pub(crate) cut: BTreeSet<(u64, u64)>,
    /// Nodes whose disks finish nothing.
    pub(crate) hung: BTreeSet<u64>,
    /// Everybody that any configuration made a witness.
    pub(crate) witnesses: BTreeSet<ReplicaId>,
    /// By how many thousandths the clocks of nodes run fast.
    pub(crate) fast: BTreeMap<u64, i64>,
    configure: Box<dyn Fn(u64) -> Config>,
    /// Every effect as a line, in order.
    pub(crate) trace: Vec<String>,
    /// Reads and proposals that have not ended: where they were put, and what was committed then.
    pub(crate) open_reads: BTreeMap<ReadId, (u64, Index)>,
    pub(crate) open_proposals: BTreeMap<ProposalId, u64>,
    pub(crate) open_transfers: BTreeMap<TransferId, u64>,
    jitter: u64,
    proposals: u64,
}

impl Cluster {
    /// Nodes 1..=size, all voters.
    pub(crate) fn new(size: u64, configure: impl Fn(u64) -> Config + 'static) -> Self {
        let configuration = Configuration::initial((1..=size).map(NodeId));
        Self::of(&configuration, configure)
    }

    /// The members of a configuration.
    pub(crate) fn of(
        configuration: &Configuration,
        configure: impl Fn(u64) -> Config + 'static,
    ) -> Self {
        let mut cluster = Self {
            now: Instant(0),
            nodes: BTreeMap::new(),
            network: VecDeque::new(),
            leaders: BTreeMap::new(),
            committed: BTreeMap::new(),
            committed_in: BTreeMap::new(),
            cut: BTreeSet::new(),
            hung: BTreeSet::new(),
            witnesses: BTreeSet::new(),
            fast: BTreeMap::new(),
            configure: Box::new(configure),
            trace: Vec::new(),
            open_reads: BTreeMap::new(),
            open_proposals: BTreeMap::new(),
            open_transfers: BTreeMap::new(),
            jitter: 1,
            proposals: 0,
        };
        for member in configuration.members() {
            cluster.add(member.node.0, configuration.clone());
        }
        cluster
    }

    pub(crate) fn add(&mut self, node: u64, configuration: Configuration) {
        self.start(replica(node), configuration, HardState::default());
    }

    /// A replica with nothing else on its disk.
    fn start(&mut self, id: ReplicaId, configuration: Configuration, hard_state: HardState) {
        let disk = Disk {
            hard_state,
            configuration,
            ..Disk::default()
        };
        let node = id.node.0;
        let config = Config {
            id,
            ..(self.configure)(node)
        };
        let raft = Raft::new(config, disk.initial(), self.now, self.jitter);
        let node_state = Node {
            id,
            raft,
            disk,
            writes: VecDeque::new(),
            applied: Vec::new(),
            events: Vec::new(),
            down: false,
        };
        self.nodes.insert(node, node_state);
    }

    /// Loses everything that is not durable and starts again.
    pub(crate) fn restart(&mut self, node: u64) {
        let jitter = self.next_jitter();
        let (now, config) = (self.clock(node), (self.configure)(node));
        let id = self.nodes[&node].id;
        let config = Config { id, ..config };
        self.open_reads.retain(|_, (at, _)| *at != node);
        self.open_transfers.retain(|_, at| *at != node);
        let state = self.node(node);
        state.writes.clear();
        state.events.clear();
        state.down = false;
        let snapshot = state.disk.snapshot.as_ref().map_or(0, |m| m.last.index);
        state
            .applied
            .truncate(usize::try_from(snapshot).expect("small"));
        state.raft = Raft::new(config, state.disk.initial(), now, jitter);
    }

    /// Restarts a node with other settings.
    pub(crate) fn restart_as(&mut self, node: u64, config: Config) {
        let (now, jitter) = (self.now, self.next_jitter());
        self.restart(node);
        let state = self.node(node);
        state.raft = Raft::new(config, state.disk.initial(), now, jitter);
    }

    pub(crate) fn node(&mut self, node: u64) -> &mut Node {
        self.nodes.get_mut(&node).expect("a node of the cluster")
    }

    pub(crate) fn next_jitter(&mut self) -> u64 {
        self.jitter = self
            .jitter
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.jitter >> 16
    }

    /// The time that a node's clock shows.
    pub(crate) fn clock(&self, node: u64) -> Instant {
        let fast = self.fast.get(&node).copied().unwrap_or(0);
        let rate = u64::try_from(1000 + fast).expect("clocks run forward");
        Instant(self.now.0 / 1000 * rate + self.now.0 % 1000 * rate / 1000)
    }

    /// When a node's clock shows `local`, or a little later.
    fn when(&self, node: u64, local: Instant) -> Instant {
        let fast = self.fast.get(&node).copied().unwrap_or(0);
        match u64::try_from(1000 + fast).expect("clocks run forward") {
            1000 => local,
            rate => Instant((local.0 / rate + 1) * 1000),
        }
    }

    /// Feeds one input and checks what must hold of every effect.
    pub(crate) fn step(&mut self, node: u64, input: Input) {
        if self.nodes[&node].down {
            return;
        }
        let now = self.clock(node);
        if self.trace.len() > MAX_TRACE {
            self.trace.clear();
        }
        let mut effects = Vec::new();
        let state = self.node(node);
        state.raft.step(now, input, &mut effects);
        for effect in effects {
            self.take(node, effect);
        }
        if self.nodes[&node].raft.role() == Role::Leader {
            self.check_leader(node);
        }
    }

    /// Election safety, and leader completeness: what was committed up to its term is in its log.
    pub(crate) fn check_leader(&mut self, node: u64) {
        let Node { raft, id, .. } = &self.nodes[&node];
        let status = raft.status();
        let (term, floor) = (status.hard_state.term, status.floor.index);
        if let Some(known) = self.leaders.insert(term, *id) {
            assert_eq!(known, *id, "two leaders in term {term}");
        }
        let may_lead = |c: &Configuration| c.is_voter(*id) && !c.is_witness(*id);
        let mut known = (status.commit..=status.last.index).map(|i| raft.configuration_at(i));
        assert!(
            known.any(|c| c.is_some_and(may_lead)),
            "{id} leads {}",
            status.configuration
        );
        let due = self.committed_in.iter().rev();
        for (index, _) in due.filter(|(_, seen)| **seen <= term) {
            if *index < floor {
                break;
            }
            let id = self.committed[index];
            let own = raft.term_at(*index);
            assert_eq!(own, Some(id.term), "n{node} leads term {term} without {id}");
        }
    }

    fn take(&mut self, node: u64, effect: Effect) {
        self.trace.push(match &effect {
            Effect::Send(envelope) => envelope.to_string(),
            other => format!("n{node} {other}"),
        });
        self.note_witnesses(&effect);
        match effect {
            Effect::Persist { id, .. } | Effect::InstallSnapshot { id, .. } => {
                let writes = &mut self.node(node).writes;
                assert!(
                    writes.back().is_none_or(|(last, _)| *last < id),
                    "write ids ascend"
                );
                writes.push_back((id, effect));
            }
            Effect::Send(envelope) => {
                let durable = self.nodes[&node].disk.hard_state.term;
                let pre_vote = matches!(
                    envelope.message,
                    Message::Vote {
                        kind: coracle_proto::VoteKind::Pre,
                        ..
                    } | Message::VoteReply {
                        kind: coracle_proto::VoteKind::Pre,
                        ..
                    }
                );
                assert!(
                    pre_vote || envelope.term <= durable,
                    "said before its term is durable: {envelope}"
                );
                self.network.push_back(envelope);
            }
            Effect::Commit { index } => self.apply(node, index),
            Effect::ReadLog {
                to,
                from,
                through,
                max_bytes,
            } => {
                let entries = self.read(node, from, through, max_bytes);
                self.step(node, Input::LogRead { to, entries });
            }
            Effect::SendSnapshot { to } => self.send_snapshot(node, to),
            Effect::Fatal { reason } => panic!("n{node}: {reason}"),
            other => {
                self.close(node, &other);
                self.node(node).events.push(other);
            }
        }
    }

    fn note_witnesses(&mut self, effect: &Effect) {
        if let Effect::Persist { entries, .. } = effect {
            let sets = entries
                .iter()
                .filter(|e| e.kind == EntryKind::Configuration);
            for entry in sets {
                let set = Configuration::decode(&entry.payload).expect("written by the core");
                self.witnesses.extend(set.witnesses);
            }
        }
    }

    /// Every proposal and read ends once, and a read sees all that was committed before it.
    fn close(&mut self, node: u64, effect: &Effect) {
        match effect {
            Effect::Accepted { id, .. } | Effect::Refused { id, .. } => {
                assert_eq!(self.open_proposals.remove(id), Some(node), "{effect}");
            }
            Effect::TransferEnded { id, .. } => {
                assert_eq!(self.open_transfers.remove(id), Some(node), "{effect}");
            }
            Effect::ReadRefused { id, .. } => {
                let open = self.open_reads.remove(id);
                assert!(open.is_some_and(|(at, _)| at == node), "{effect}");
            }
            Effect::ReadReady { id, index } => {
                let open = self.open_reads.remove(id);
                let fresh = open.is_some_and(|(at, before)| at == node && before <= *index);
                assert!(fresh, "{effect} at n{node}, asked as {open:?}");
            }
            _ => {}
        }
    }

    fn read(&mut self, node: u64, from: Index, through: Index, max: usize) -> Vec<Entry> {
        let disk = &self.nodes[&node].disk;
        let mut bytes = 0;
        let entries = (from..=through).map_while(|index| disk.entry(index));
        entries
            .take_while(|entry| {
                bytes += entry.payload.len();
                entry.index == from || bytes <= max
            })
            .cloned()
            .collect()
    }

    fn send_snapshot(&mut self, node: u64, to: ReplicaId) {
        let state = self.node(node);
        let meta = state.disk.snapshot.clone().expect("a floor has a snapshot");
        let term = state.disk.hard_state.term;
        let from = state.id;
        let reached = self.nodes.get(&to.node.0).is_some_and(|node| !node.down);
        let delivered = reached && !self.cut.contains(&(node, to.node.0));
        if delivered {
            self.network.push_back(Envelope {
                group: GroupId(1),
                from,
                to,
                term,
                message: Message::Snapshot { meta },
            });
        }
        self.step(node, Input::SnapshotSent { to, delivered });
    }

    /// State machine safety: every replica applies the same entry at an index, and only what is
    /// durable at itself.
    fn apply(&mut self, node: u64, index: Index) {
        let from = Index::try_from(self.nodes[&node].applied.len()).expect("small") + 1;
        let term = self.nodes[&node].raft.status().hard_state.term;
        for index in from..=index {
            self.committed_in.entry(index).or_insert(term);
            let disk = &self.nodes[&node].disk;
            let id = disk
                .id_at(index)
                .unwrap_or_else(|| panic!("n{node} is told to apply {index}, not durable"));
            let known = *self.committed.entry(index).or_insert(id);
            assert_eq!(known, id, "n{node} applies another entry at {index}");
            self.node(node).applied.push(id);
        }
        self.step(node, Input::Applied { index });
    }

    /// Makes the oldest write of a node durable.
    pub(crate) fn persist_one(&mut self, node: u64) -> bool {
        if self.hung.contains(&node) {
            return false;
        }
        let state = self.node(node);
        let Some((id, effect)) = state.writes.pop_front() else {
            return false;
        };
        state.disk.write(&effect);
        if let Effect::InstallSnapshot { meta, .. } = &effect {
            let count = usize::try_from(meta.last.index).expect("small");
            let applied: Vec<_> = self.committed.values().copied().take(count).collect();
            assert_eq!(
                applied.len(),
                count,
                "the snapshot covers what was committed"
            );
            let state = self.node(node);
            if state.applied.len() < count {
                state.applied = applied;
            }
        }
        self.step(node, Input::Persisted { id });
        true
    }

    /// Delivers the oldest message.
    pub(crate) fn deliver_one(&mut self) -> bool {
        let Some(envelope) = self.network.pop_front() else {
            return false;
        };
        self.deliver(envelope);
        true
    }

    pub(crate) fn deliver(&mut self, envelope: Envelope) {
        let (from, to) = (envelope.from.node.0, envelope.to.node.0);
        if self.cut.contains(&(from, to)) {
            return;
        }
        let known = self.nodes.get(&to);
        if known.is_none_or(|node| node.raft.gives_way_to(&envelope)) {
            // A replica begins with the first message that is addressed to it.
            let hard_state = known.map(|node| node.disk.hard_state).unwrap_or_default();
            self.open_reads.retain(|_, (at, _)| *at != to);
            self.start(envelope.to, Configuration::default(), hard_state);
        }
        self.step(to, Input::Received(envelope));
    }

    /// Until nothing is under way.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            let nodes: Vec<_> = self.nodes.keys().copied().collect();
            let wrote = nodes.iter().filter(|n| self.persist_one(**n)).count();
            if !self.deliver_one() && wrote == 0 {
                return;
            }
        }
        panic!("the cluster does not settle");
    }

    /// Lets time pass; timers fire in order, and between them everything settles.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.settle();
            let due = self
                .nodes
                .iter()
                .filter(|(_, node)| !node.down)
                .filter_map(|(id, node)| {
                    let (at, kind) = node.raft.deadline()?;
                    Some(((self.when(*id, at), kind), *id))
                })
                .min_by_key(|((at, _), id)| (*at, *id));
            match due {
                Some(((at, kind), id)) if at <= end => {
                    self.now = self.now.max(at);
                    let jitter = self.next_jitter();
                    self.step(id, Input::Timeout { kind, jitter });
                }
                _ => break,
            }
        }
        self.now = end;
    }

    /// The leader of the highest term.
    pub(crate) fn leader(&self) -> Option<u64> {
        let leads = |node: &Node| !node.down && node.raft.role() == Role::Leader;
        let leaders = self.nodes.iter().filter(|(_, node)| leads(node));
        leaders
            .max_by_key(|(_, node)| node.raft.status().hard_state.term)
            .map(|(id, _)| *id)
    }

    /// Makes `node` campaign and win.
    pub(crate) fn elect(&mut self, node: u64) {
        let jitter = self.next_jitter();
        self.step(node, Input::Campaign { jitter });
        self.settle();
        assert_eq!(self.leader(), Some(node), "n{node} is elected");
    }

    pub(crate) fn propose(&mut self, node: u64, payload: &str) -> ProposalId {
        self.proposals += 1;
        let id = ProposalId(self.proposals);
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        self.open_proposals.insert(id, node);
        self.step(node, Input::Propose { id, payload });
        id
    }

    /// Asks for a change of the configuration.
    pub(crate) fn change(&mut self, node: u64, changes: &[Change], transition: Transition) {
        let changes = changes.to_vec();
        self.request(
            node,
            ConfigurationChange {
                expect: None,
                changes,
                transition,
            },
        );
    }

    pub(crate) fn request(&mut self, node: u64, change: ConfigurationChange) {
        self.proposals += 1;
        let id = ProposalId(self.proposals);
        self.open_proposals.insert(id, node);
        self.step(node, Input::ChangeConfiguration { id, change });
    }

    pub(crate) fn transfer(&mut self, node: u64, to: u64) {
        self.proposals += 1;
        self.transfer_as(self.proposals, node, Some(to));
    }

    pub(crate) fn read_at(&mut self, node: u64, id: u64) {
        self.read_by(node, id, ReadMode::Index);
    }

    /// With a name of the transfer; to the best, if no node is named.
    pub(crate) fn transfer_as(&mut self, id: u64, node: u64, to: Option<u64>) {
        let id = TransferId(id);
        self.open_transfers.insert(id, node);
        let to = to.map(NodeId);
        self.step(node, Input::Transfer { id, to });
    }

    pub(crate) fn read_by(&mut self, node: u64, id: u64, mode: ReadMode) {
        let id = ReadId(id);
        let before = self.committed.keys().last().copied().unwrap_or(0);
        self.open_reads.insert(id, (node, before));
        self.step(node, Input::Read { id, mode });
    }

    /// Compacts the log of a node up to `index`, which it has applied.
    pub(crate) fn compact(&mut self, node: u64, index: Index) {
        let state = self.node(node);
        if state.raft.status().floor.index >= index {
            // A snapshot that is being installed goes further.
            return;
        }
        let last = state.disk.id_at(index).expect("in the log");
        let configuration = state
            .raft
            .configuration_at(index)
            .expect("above the floor")
            .clone();
        let snapshot = SnapshotMeta {
            last,
            configuration: configuration.clone(),
        };
        state.disk.entries.retain(|entry| entry.index > index);
        state.disk.floor = last;
        state.disk.configuration = configuration;
        state.disk.snapshot = Some(snapshot.clone());
        self.step(
            node,
            Input::Compacted {
                floor: last,
                snapshot,
            },
        );
    }

    pub(crate) fn isolate(&mut self, node: u64) {
        for other in self.nodes.keys().copied().filter(|other| *other != node) {
            self.cut.insert((node, other));
            self.cut.insert((other, node));
        }
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }
}
