//! A few real cores and their disks, stepped by hand: what a directed scenario plays on.
//!
//! Nothing happens by itself. Messages travel and disks write in [`settle`](Cluster::settle);
//! links can be cut or held up, disks can hang, processes can crash. The [rules] look at
//! everything that is said and done, so that most stories need no ending of their own.

mod member;
mod rules;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use coracle_proto::{
    Change, Config, Configuration, ConfigurationChange, Effect, Entry, Envelope, GroupId, Index,
    Input, Instant, Message, NodeId, ProposalId, ReadId, ReadMode, ReplicaId, Role, Status, Term,
    TimeoutKind, TransferId, Transition,
};

use member::{Member, Written};
use rules::Rules;

/// The only group there is.
const GROUP: GroupId = GroupId(7);

/// Steps of one `settle`, beyond which nothing settles any more.
const MAX_STEPS: usize = 20_000;

/// Election timeout of every replica.
pub(crate) const ELECTION: Duration = Duration::from_millis(1000);

/// The cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    now: Instant,
    configuration: Configuration,
    configure: fn(&mut Config),
    members: BTreeMap<u64, Member>,
    wire: VecDeque<Envelope>,
    cut: BTreeSet<(u64, u64)>,
    held_up: BTreeSet<(u64, u64)>,
    held: Vec<Envelope>,
    rules: Rules,
    names: u64,
}

pub(crate) fn replica(node: u64) -> ReplicaId {
    born(node, 0)
}

pub(crate) fn born(node: u64, born: Index) -> ReplicaId {
    let node = NodeId(node);
    ReplicaId { node, born }
}

fn settings(id: ReplicaId) -> Config {
    Config {
        group: GROUP,
        id,
        election_timeout: ELECTION,
        heartbeat_interval: ELECTION / 10,
        pre_vote: false,
        check_quorum: true,
        max_append_bytes: 1 << 20,
        max_append_entries: 64,
        max_inflight_appends: 16,
        max_inflight_bytes: 1 << 20,
        max_uncommitted_bytes: 1 << 20,
        cache_bytes: 1 << 20,
        max_pending_reads: 64,
        priority: coracle_proto::DEFAULT_PRIORITY,
        clock_drift: ELECTION / 10,
        quiesce_after: 0,
    }
}

impl Cluster {
    /// Nodes 1 to `nodes`, all voters, none of them leading.
    pub(crate) fn of(nodes: u64) -> Self {
        Self::with(Configuration::initial((1..=nodes).map(NodeId)), |_| {})
    }

    /// The members of a configuration, with settings of their own.
    pub(crate) fn with(configuration: Configuration, configure: fn(&mut Config)) -> Self {
        let mut cluster = Self {
            now: Instant(0),
            members: BTreeMap::new(),
            wire: VecDeque::new(),
            cut: BTreeSet::new(),
            held_up: BTreeSet::new(),
            held: Vec::new(),
            rules: Rules::new(),
            names: 0,
            configuration,
            configure,
        };
        for id in cluster.configuration.members() {
            cluster.host(id);
        }
        // No replica remembers a promise that it cannot have given.
        cluster.pass(2 * ELECTION);
        cluster
    }

    /// Starts a replica with an empty log.
    pub(crate) fn host(&mut self, id: ReplicaId) {
        let mut config = settings(id);
        (self.configure)(&mut config);
        let member = Member::new(config, self.configuration.clone(), self.now);
        self.members.insert(id.node.0, member);
    }

    /// What was broken first, if anything was.
    pub(crate) fn verdict(self) -> Result<(), String> {
        self.rules.verdict()
    }

    pub(crate) fn status(&self, node: u64) -> Status {
        self.members[&node].raft.status()
    }

    /// A rule of the scenario itself.
    pub(crate) fn expect(&mut self, holds: bool, rule: &str) {
        if !holds {
            self.rules.broken(rule.to_owned());
        }
    }

    /// Time passes; no timer fires by itself.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// Fires a timer, due or not.
    pub(crate) fn timeout(&mut self, node: u64, kind: TimeoutKind) {
        self.step(node, Input::Timeout { kind, jitter: 0 });
    }

    /// Fires every timer that is due on this node.
    pub(crate) fn fire_due(&mut self, node: u64) {
        for _ in 0..8 {
            match self.members[&node].raft.deadline() {
                Some((at, kind)) if at <= self.now => self.timeout(node, kind),
                _ => return,
            }
        }
    }

    /// Campaigns; what comes of it shows once messages travel.
    pub(crate) fn campaign(&mut self, node: u64) {
        self.step(node, Input::Campaign { jitter: 0 });
    }

    /// Campaigns, and settles: the node leads unless something is in its way.
    pub(crate) fn elect(&mut self, node: u64) {
        self.pass(2 * ELECTION);
        self.campaign(node);
        self.settle();
    }

    pub(crate) fn leads(&self, node: u64) -> bool {
        self.members[&node].raft.role() == Role::Leader
    }

    pub(crate) fn propose(&mut self, node: u64, text: &'static str) {
        let id = ProposalId(self.name());
        let payload = Bytes::from_static(text.as_bytes());
        self.step(node, Input::Propose { id, payload });
    }

    pub(crate) fn change(&mut self, node: u64, changes: &[Change], transition: Transition) {
        let id = ProposalId(self.name());
        let change = ConfigurationChange {
            expect: None,
            changes: changes.to_vec(),
            transition,
        };
        self.step(node, Input::ChangeConfiguration { id, change });
    }

    pub(crate) fn read(&mut self, node: u64, mode: ReadMode) {
        let id = ReadId(self.name());
        self.rules.read_begins(id);
        self.step(node, Input::Read { id, mode });
    }

    /// Whether a read waits for its answer.
    pub(crate) fn read_waits(&self) -> bool {
        self.rules.read_waits()
    }

    pub(crate) fn transfer(&mut self, node: u64, to: u64) {
        let id = TransferId(self.name());
        let to = Some(NodeId(to));
        self.step(node, Input::Transfer { id, to });
    }

    /// A message that nobody of the cluster sent, or not now.
    pub(crate) fn tell(&mut self, from: ReplicaId, to: ReplicaId, term: Term, message: Message) {
        let envelope = Envelope {
            group: GROUP,
            from,
            to,
            term,
            message,
        };
        self.step(to.node.0, Input::Received(envelope));
    }

    /// Nothing gets from one to the other any more, and what was on its way is lost.
    pub(crate) fn cut(&mut self, one: u64, other: u64) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    /// Nothing gets from `from` to `to`; the other way is open.
    pub(crate) fn cut_one_way(&mut self, from: u64, to: u64) {
        self.cut.insert((from, to));
        let lost = |it: &Envelope| (it.from.node.0, it.to.node.0) == (from, to);
        self.wire.retain(|envelope| !lost(envelope));
    }

    /// Cuts a node off from everybody.
    pub(crate) fn isolate(&mut self, node: u64) {
        for other in self.members.keys().copied().collect::<Vec<_>>() {
            self.cut(node, other);
        }
    }

    /// All links work again.
    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    /// What goes from one to the other is kept until it is [released](Self::release).
    pub(crate) fn hold_up(&mut self, from: u64, to: u64) {
        self.held_up.insert((from, to));
    }

    /// What was held up goes its way.
    pub(crate) fn release(&mut self) {
        self.held_up.clear();
        self.wire.extend(self.held.drain(..));
    }

    /// Whether such a message is on its way.
    pub(crate) fn carries(&self, wanted: impl Fn(&Message) -> bool) -> bool {
        self.wire.iter().any(|envelope| wanted(&envelope.message))
    }

    /// The disk takes its time, from now on or no more.
    pub(crate) fn hang(&mut self, node: u64, hangs: bool) {
        self.member(node).hangs = hangs;
    }

    /// The process dies with everything that its disk had not finished, and starts again.
    pub(crate) fn crash(&mut self, node: u64) {
        let now = self.now;
        self.member(node).crash(now);
    }

    /// The log up to `index` gives way to a snapshot.
    pub(crate) fn compact(&mut self, node: u64, index: Index) {
        if let Some(input) = self.member(node).compact(index) {
            self.step(node, input);
        }
    }

    /// Messages travel and disks write until there is nothing more to do.
    pub(crate) fn settle(&mut self) {
        for _ in 0..MAX_STEPS {
            if !self.write_one() && !self.deliver_one() {
                return;
            }
        }
        self.rules.broken("settles: messages never end".into());
    }

    /// The same, but only until this is so.
    pub(crate) fn settle_until(&mut self, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..MAX_STEPS {
            if is_so(self) || !self.write_one() && !self.deliver_one() {
                return;
            }
        }
    }

    /// An entry of a replica's log, durable or not.
    pub(crate) fn entry(&self, node: u64, index: Index) -> Option<Entry> {
        self.members[&node].asked.entry(index).cloned()
    }

    /// The last entry that a crash would leave.
    pub(crate) fn durable(&self, node: u64) -> Index {
        self.members[&node].durable.last().index
    }

    fn write_one(&mut self) -> bool {
        let ready = |(_, member): &(&u64, &Member)| !member.hangs && member.has_writes();
        let Some(node) = self.members.iter().find(ready).map(|(node, _)| *node) else {
            return false;
        };
        if let Some(Written { id }) = self.member(node).write() {
            self.step(node, Input::Persisted { id });
        }
        true
    }

    fn deliver_one(&mut self) -> bool {
        let Some(envelope) = self.wire.pop_front() else {
            return false;
        };
        let link = (envelope.from.node.0, envelope.to.node.0);
        if self.held_up.contains(&link) {
            self.held.push(envelope);
        } else if !self.cut.contains(&link) && self.members.contains_key(&link.1) {
            self.step(link.1, Input::Received(envelope));
        }
        true
    }

    fn step(&mut self, node: u64, input: Input) {
        let now = self.now;
        let member = self.member(node);
        let mut effects = Vec::new();
        member.raft.step(now, input, &mut effects);
        for effect in effects {
            self.perform(node, effect);
        }
        self.rules.after(&self.members, node);
    }

    fn perform(&mut self, node: u64, effect: Effect) {
        self.rules.effect(&self.members, node, &effect);
        match effect {
            Effect::Send(envelope) => {
                let link = (envelope.from.node.0, envelope.to.node.0);
                if !self.cut.contains(&link) {
                    self.wire.push_back(envelope);
                }
            }
            Effect::SendSnapshot { to } => {
                let meta = self.member(node).snapshot();
                self.expect(
                    meta.last.index > 0,
                    "a snapshot that is sent covers something",
                );
                let (from, term) = (self.status(node).id, self.status(node).hard_state.term);
                self.wire.push_back(Envelope {
                    group: GROUP,
                    from,
                    to,
                    term,
                    message: Message::Snapshot { meta },
                });
                let delivered = true;
                self.step(node, Input::SnapshotSent { to, delivered });
            }
            Effect::ReadLog {
                to, from, through, ..
            } => {
                let entries = self.member(node).entries(from, through);
                self.step(node, Input::LogRead { to, entries });
            }
            effect => self.member(node).take(effect),
        }
    }

    fn member(&mut self, node: u64) -> &mut Member {
        self.members.get_mut(&node).expect("a node of the scenario")
    }

    fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }
}
