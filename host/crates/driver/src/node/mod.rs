//! A node: consensus for all groups of one process. Polled by one thread.

mod config;
mod event;
mod group;
mod hosting;
mod outbox;
mod queue;
mod random;
mod status;
mod tail;
#[cfg(test)]
mod tests;
mod timers;
mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coracle_proto::{
    Configuration, Envelope, GroupId, Index, Input, Instant, Message, NodeId, PersistId,
};

use crate::task::{Command, NotApplied, Report, Ticket};
use crate::{LogReader, MachineSpec, Recovered};

use group::Group;
use hosting::Hosting;
use timers::Timers;
use turn::{Shared, Turn};

pub use config::{NodeConfig, Tuning};
pub use event::Event;
pub use outbox::{LeaderChange, Outbox, SendSnapshot, Stranger};
pub use random::Entropy;
pub use status::GroupStatus;

/// Consensus for all groups of one process.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    log: Arc<dyn LogReader>,
    shared: Shared,
    groups: BTreeMap<GroupId, Group>,
    hosting: Hosting,
    timers: Timers,
    /// Groups in which something waits to be proposed.
    proposing: BTreeSet<GroupId>,
    /// Groups whose peers wait for entries from the log.
    reading: BTreeSet<GroupId>,
}

impl Node {
    /// Events that one turn should be given at most, so that timers are not held up.
    pub const MAX_EVENTS: usize = 1024;

    /// A node with the groups the log held. Their workers are started by the caller, for every
    /// group in `recovered`; those of later groups when [`Outbox::started`] names them.
    /// `seed`: for the jitter of timers.
    pub fn new(
        config: NodeConfig,
        recovered: &Recovered,
        log: Arc<dyn LogReader>,
        entropy: Box<dyn Entropy>,
        now: Instant,
        seed: u64,
    ) -> Self {
        let mut node = Self {
            config,
            log,
            shared: Shared::new(entropy, seed),
            groups: BTreeMap::new(),
            hosting: Hosting::new(&recovered.removed),
            timers: Timers::default(),
            proposing: BTreeSet::new(),
            reading: BTreeSet::new(),
        };
        let mut nothing = Outbox::default();
        for (id, found) in &recovered.groups {
            let group = Group::recovered(&mut node.begin(now, 0, &mut nothing).1, *id, found);
            node.timers.arm(*id, group.deadline());
            node.groups.insert(*id, group);
        }
        node
    }

    /// Takes events, fires the timers that are due, and proposes what waits. `wall`: nanoseconds
    /// since the Unix epoch, for the time stamped into entries. What is to be done is appended to
    /// `out`.
    pub fn turn(
        &mut self,
        now: Instant,
        wall: u64,
        events: impl IntoIterator<Item = Event>,
        out: &mut Outbox,
    ) {
        let (mut groups, mut turn) = self.begin(now, wall, out);
        for event in events {
            groups.take(&mut turn, event);
        }
        for id in groups.timers.due(now) {
            groups.with(&mut turn, id, Group::timeout);
        }
        for id in groups.reading.clone() {
            groups.with(&mut turn, id, Group::read_log);
        }
        for id in groups.proposing.clone() {
            groups.with(&mut turn, id, Group::propose_waiting);
        }
    }

    /// When to call `turn` at the latest, with or without events; `None`: not before an event.
    pub fn deadline(&self) -> Option<Instant> {
        if self.reading.is_empty() {
            self.timers.next()
        } else {
            Some(Instant::default())
        }
    }

    /// A picture of one group; `None` if it is not hosted here.
    pub fn status(&self, group: GroupId) -> Option<GroupStatus> {
        self.groups.get(&group).map(Group::status)
    }

    /// A picture of all groups hosted here, ascending by id.
    pub fn statuses(&self) -> Vec<GroupStatus> {
        self.groups.values().map(Group::status).collect()
    }

    /// Nodes that any group would like to talk to, ascending, without this one.
    pub fn contacts(&self) -> Vec<NodeId> {
        let contacts: BTreeSet<_> = self.groups.values().flat_map(Group::contacts).collect();
        let others = contacts.into_iter().filter(|id| *id != self.config.id);
        others.collect()
    }

    fn begin<'a>(
        &'a mut self,
        now: Instant,
        wall: u64,
        out: &'a mut Outbox,
    ) -> (Groups<'a>, Turn<'a>) {
        let groups = Groups {
            all: &mut self.groups,
            hosting: &mut self.hosting,
            timers: &mut self.timers,
            proposing: &mut self.proposing,
            reading: &mut self.reading,
        };
        let turn = Turn {
            now,
            wall,
            config: &self.config,
            log: &*self.log,
            shared: &mut self.shared,
            out,
            log_reads: self.config.max_log_reads,
        };
        (groups, turn)
    }
}

/// The groups during one turn.
struct Groups<'a> {
    all: &'a mut BTreeMap<GroupId, Group>,
    hosting: &'a mut Hosting,
    timers: &'a mut Timers,
    proposing: &'a mut BTreeSet<GroupId>,
    reading: &'a mut BTreeSet<GroupId>,
}

impl Groups<'_> {
    fn take(&mut self, turn: &mut Turn<'_>, event: Event) {
        match event {
            Event::Received(envelopes) => {
                for envelope in envelopes {
                    self.received(turn, envelope);
                }
            }
            Event::Persisted { group, id } => self.persisted(turn, group, id),
            Event::Propose {
                group,
                command,
                ticket,
            } => self.propose(turn, group, command, ticket),
            Event::ProposeHost {
                group,
                entry,
                ticket,
            } => {
                let found = self.with(turn, group, |replica, turn| {
                    replica.propose_host(turn, &entry, ticket);
                });
                if let (false, Some(ticket)) = (found, ticket) {
                    turn.refuse(ticket, NotApplied::NoGroup);
                }
            }
            Event::ChangeMembers { ticket, .. } | Event::Transfer { ticket, .. } => {
                turn.refuse(ticket, NotApplied::Busy);
            }
            Event::ForgetLeader { .. } | Event::SetPriority(_) | Event::Tune(_) => {}
            Event::Read {
                group,
                mode,
                ticket,
            } => {
                if !self.with(turn, group, |replica, turn| {
                    replica.read(turn, mode, ticket)
                }) {
                    turn.refuse(ticket, NotApplied::NoGroup);
                }
            }
            Event::Report(report) => self.report(turn, report),
            Event::SnapshotOffered {
                offer,
                group,
                to,
                term,
                last,
            } => {
                let replica = self.all.get(&group);
                let wanted = replica.is_some_and(|replica| replica.wants_snapshot(to, term, last));
                turn.out.offers.push((offer, wanted));
            }
            Event::SnapshotArrived {
                group,
                from,
                to,
                term,
                snapshot,
            } => {
                self.with(turn, group, |replica, turn| {
                    replica.snapshot_arrived(turn, from, to, term, snapshot);
                });
            }
            Event::SnapshotSent {
                group,
                to,
                delivered,
            } => {
                self.step(turn, group, Input::SnapshotSent { to, delivered });
            }
            Event::PeerDown(node) => self.peer_down(turn, node),
            Event::PeerUp(node) => {
                turn.shared.down.remove(&node);
            }
            Event::Host {
                group,
                born,
                configuration,
                create,
            } => self.host(turn, group, born, configuration, create),
            Event::Remove { group } => self.remove(turn, group),
            Event::Campaign { group } => {
                self.with(turn, group, Group::campaign);
            }
            Event::LowSpace(low) => self.low_space(turn, low),
        }
    }

    /// Calls into one group and notes what it waits for afterwards. False: it is not here.
    fn with(
        &mut self,
        turn: &mut Turn<'_>,
        id: GroupId,
        call: impl FnOnce(&mut Group, &mut Turn<'_>),
    ) -> bool {
        let Some(group) = self.all.get_mut(&id) else {
            self.timers.arm(id, None);
            self.proposing.remove(&id);
            self.reading.remove(&id);
            return false;
        };
        call(group, turn);
        self.timers.arm(id, group.deadline());
        note(self.proposing, id, group.wants_to_propose());
        note(self.reading, id, group.wants_log());
        true
    }

    fn step(&mut self, turn: &mut Turn<'_>, group: GroupId, input: Input) {
        self.with(turn, group, |replica, turn| replica.step(turn, input));
    }

    fn received(&mut self, turn: &mut Turn<'_>, envelope: Envelope) {
        turn.shared.down.remove(&envelope.from.node);
        // A snapshot counts only once its file is here: see `SnapshotArrived`.
        if !matches!(envelope.message, Message::Snapshot { .. }) {
            self.step(turn, envelope.group, Input::Received(envelope));
        }
    }

    fn persisted(&mut self, turn: &mut Turn<'_>, group: GroupId, id: PersistId) {
        if self.hosting.ended(turn, id) {
            return;
        }
        match self.hosting.begun(turn, group, id) {
            Some(replica) => {
                self.all.insert(group, replica);
                self.with(turn, group, |_, _| {});
            }
            None => {
                self.with(turn, group, |replica, turn| replica.persisted(turn, id));
            }
        }
    }

    fn propose(&mut self, turn: &mut Turn<'_>, group: GroupId, command: Command, ticket: Ticket) {
        let found = self.with(turn, group, |replica, turn| {
            replica.enqueue(turn, command, ticket);
        });
        if !found {
            turn.refuse(ticket, NotApplied::NoGroup);
        }
    }

    fn report(&mut self, turn: &mut Turn<'_>, report: Report) {
        match report {
            Report::Applied { group, index } => {
                self.with(turn, group, |replica, turn| replica.applied(turn, index));
            }
            Report::Checkpointed { group, snapshot } => {
                self.with(turn, group, |replica, turn| {
                    replica.checkpointed(turn, snapshot);
                });
            }
            Report::CheckpointDue { group, urgent } => {
                self.with(turn, group, |replica, _| replica.checkpoint_due(urgent));
            }
            Report::NotCreated { group } => {
                self.with(turn, group, |replica, _| replica.not_created());
            }
            Report::Halted { group, reason } => {
                self.with(turn, group, |replica, turn| replica.halt(turn, reason));
            }
            Report::Answer { .. } | Report::PluginMissing { .. } | Report::LogFailed { .. } => {}
        }
    }

    fn peer_down(&mut self, turn: &mut Turn<'_>, node: NodeId) {
        turn.shared.down.insert(node);
        let ids: Vec<_> = self.all.keys().copied().collect();
        for id in ids {
            self.step(turn, id, Input::PeerDown(node));
        }
    }

    fn host(
        &mut self,
        turn: &mut Turn<'_>,
        group: GroupId,
        born: Index,
        configuration: Configuration,
        create: Option<MachineSpec>,
    ) {
        if self.all.contains_key(&group) {
            self.with(turn, group, |replica, _| replica.set_create(create));
        } else {
            self.hosting.begin(turn, group, born, configuration, create);
        }
    }

    fn remove(&mut self, turn: &mut Turn<'_>, group: GroupId) {
        self.with(turn, group, Group::refuse_waiting);
        self.all.remove(&group);
        self.with(turn, group, |_, _| {});
        self.hosting.end(turn, group);
    }

    fn low_space(&mut self, turn: &mut Turn<'_>, low: bool) {
        turn.shared.low_space = low;
        if low {
            for id in self.proposing.clone() {
                self.with(turn, id, Group::low_space);
            }
        }
    }
}

fn note(set: &mut BTreeSet<GroupId>, id: GroupId, wanted: bool) {
    if wanted {
        set.insert(id);
    } else {
        set.remove(&id);
    }
}
