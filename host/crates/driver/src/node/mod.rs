//! A node: consensus for all groups of one process. Polled by one thread.

mod config;
mod event;
mod group;
mod groups;
mod hosting;
mod outbox;
mod queue;
mod random;
mod status;
mod strangers;
mod tail;
#[cfg(test)]
mod tests;
mod timers;
mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coracle_proto::{GroupId, Instant, NodeId, ReplicaId};

use crate::{LogReader, Recovered};

use group::Group;
use groups::Groups;
use hosting::Hosting;
use strangers::Strangers;
use timers::Timers;
use turn::{Shared, Turn};

pub use config::{NodeConfig, Tuning};
pub use event::Event;
pub use group::ReplicaKind;
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
    /// Replicas that were found at start to be removed, to be told in the first turn.
    evicted: Vec<(GroupId, ReplicaId)>,
}

impl Node {
    /// Events that one turn should be given at most, so that timers are not held up.
    pub const MAX_EVENTS: usize = 1024;

    /// Timers that fire in one turn. The others fire in the next, which is due at once: a lost
    /// node that led thousands of groups must not hold up messages while all of them campaign.
    pub const MAX_TIMERS: usize = 256;

    /// A node with the groups the log held. Their workers are started by the caller, for every
    /// group in `recovered` that is [`ReplicaKind::Full`]; other workers when
    /// [`Outbox::started`] names them.
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
            evicted: Vec::new(),
        };
        let mut nothing = Outbox::default();
        for (id, found) in &recovered.groups {
            let group = Group::recovered(&mut node.begin(now, 0, &mut nothing).1, *id, found);
            node.timers.arm(*id, group.deadline());
            if group.is_evicted() {
                node.evicted.push((*id, group.replica()));
            }
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
        out.evicted.append(&mut self.evicted);
        let (mut groups, mut turn) = self.begin(now, wall, out);
        for event in events {
            groups.take(&mut turn, event);
        }
        for id in groups.timers.due(now, Self::MAX_TIMERS) {
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
        let log_reads = self.config.max_log_reads;
        let log_read_bytes = self.config.max_log_read_bytes;
        let turn = Turn {
            now,
            wall,
            config: &mut self.config,
            strangers: Strangers::default(),
            log: &*self.log,
            shared: &mut self.shared,
            out,
            log_reads,
            log_read_bytes,
        };
        (groups, turn)
    }
}
