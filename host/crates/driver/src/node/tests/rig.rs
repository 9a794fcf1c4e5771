//! A node with the real core, and a log that is durable at once or when told.

use bytes::Bytes;
use coracle_proto::{Change, ConfigurationChange, Transition};
use coracle_proto::{Entry, LogId, ReplicaId};

use std::sync::Arc;

use coracle_proto::{Configuration, GroupId, Index, Instant, NodeId};

use crate::node::{Entropy, Event, Node, NodeConfig, Outbox};
use crate::payload::{Body, decode};
use crate::task::{Answer, Command, NotApplied, Report, Ticket};
use crate::{Digest, LogError, LogReader, MachineSpec, Recovered, SnapshotRef, WriteKind};

pub(super) const GROUP: GroupId = GroupId(7);
pub(super) const SECOND: u64 = 1_000_000_000;

/// A node whose clock and disk are in the hands of the test.
pub(super) struct Bench {
    pub(super) node: Node,
    pub(super) now: Instant,
    voters: Vec<NodeId>,
    pub(super) wall: u64,
}

impl Bench {
    pub(super) fn new(voters: &[u64]) -> Self {
        Self {
            node: bare_node(NodeConfig::new(NodeId(1)), 1),
            voters: voters.iter().copied().map(NodeId).collect(),
            now: Instant(0),
            wall: 1_700_000_000 * SECOND,
        }
    }

    /// The only voter of its group, which has applied its first entry.
    pub(super) fn leading() -> Self {
        let mut bench = Self::new(&[1]);
        let mut out = bench.turn([bench.host()]);
        while !out.writes.is_empty() {
            out = bench.persist(&out);
        }
        bench.turn([applied(1)]);
        bench
    }

    /// A replica that was added by entry `born` and knows nothing else.
    pub(super) fn joining(born: Index) -> Self {
        let mut bench = Self::new(&[]);
        let out = bench.turn([bench.host_born(born)]);
        bench.persist(&out);
        bench
    }

    /// Removes the replica that is hosted.
    pub(super) fn end(&mut self) -> Outbox {
        let status = self.node.status(GROUP).unwrap();
        let born = status.raft.id.born;
        self.turn([Event::Remove { group: GROUP, born }])
    }

    pub(super) fn host_born(&self, born: Index) -> Event {
        Event::Host {
            group: GROUP,
            born,
            configuration: Configuration::default(),
            create: None,
        }
    }

    pub(super) fn config(&mut self, change: impl FnOnce(&mut NodeConfig)) {
        change(&mut self.node.config);
    }

    pub(super) fn host(&self) -> Event {
        Event::Host {
            group: GROUP,
            born: 0,
            configuration: Configuration::initial(self.voters.iter().copied()),
            create: Some(spec()),
        }
    }

    pub(super) fn turn(&mut self, events: impl IntoIterator<Item = Event>) -> Outbox {
        let mut out = Outbox::default();
        self.node.turn(self.now, self.wall, events, &mut out);
        out
    }

    /// Makes the writes durable.
    pub(super) fn persist(&mut self, out: &Outbox) -> Outbox {
        let writes = out.writes.iter();
        let durable = writes.filter_map(|write| {
            let group = write.group;
            write.id.map(|id| Event::Persisted { group, id })
        });
        self.turn(durable.collect::<Vec<_>>())
    }
}

/// A node that hosts nothing.
pub(super) fn bare_node(config: NodeConfig, seed: u64) -> Node {
    let log = Arc::new(EmptyLog);
    let none = Recovered::default();
    Node::new(config, &none, log, Box::new(Ones), Instant(0), seed)
}

#[derive(Debug)]
struct Ones;

impl Entropy for Ones {
    fn bytes(&mut self) -> [u8; 32] {
        [1; 32]
    }
}

#[derive(Debug)]
struct EmptyLog;

impl LogReader for EmptyLog {
    fn entries(
        &self,
        group: GroupId,
        index: Index,
        _: Index,
        _: usize,
    ) -> Result<Vec<Entry>, LogError> {
        Err(LogError::Compacted { group, index })
    }
}

pub(super) fn propose(ticket: u64, body: &'static [u8]) -> Event {
    Event::Propose {
        group: GROUP,
        command: Command {
            body: Bytes::from_static(body),
            key: None,
        },
        ticket: Ticket(ticket),
    }
}

pub(super) fn applied(index: Index) -> Event {
    Event::Report(Report::Applied {
        group: GROUP,
        index,
    })
}

pub(super) fn due(urgent: bool) -> Event {
    Event::Report(Report::CheckpointDue {
        group: GROUP,
        urgent,
    })
}

pub(super) fn refused(why: NotApplied) -> Answer {
    Answer::NotApplied(why)
}

pub(super) fn replica(node: u64) -> ReplicaId {
    ReplicaId {
        node: NodeId(node),
        born: 0,
    }
}

pub(super) fn born(node: u64, born: Index) -> ReplicaId {
    ReplicaId {
        node: NodeId(node),
        born,
    }
}

pub(super) fn change(ticket: u64, change: Change) -> Event {
    Event::ChangeMembers {
        group: GROUP,
        change: ConfigurationChange {
            expect: None,
            changes: vec![change],
            transition: Transition::Auto,
        },
        ticket: Ticket(ticket),
    }
}

pub(super) fn transfer(ticket: u64, to: Option<NodeId>) -> Event {
    Event::Transfer {
        group: GROUP,
        to,
        ticket: Ticket(ticket),
    }
}

pub(super) fn snapshot(last: LogId) -> SnapshotRef {
    SnapshotRef {
        last,
        configuration: Configuration::initial([1, 2, 3].map(NodeId)),
        digest: Digest([9; 32]),
    }
}

pub(super) fn spec() -> MachineSpec {
    MachineSpec {
        plugin: Digest([3; 32]),
        config: Vec::new(),
        limits: crate::Limits::default(),
        contract: "0.1.0".into(),
        epoch: 1,
    }
}

pub(super) fn appended(out: &Outbox) -> Vec<Entry> {
    let kinds = out.writes.iter().map(|write| &write.kind);
    let entries = kinds.filter_map(|kind| match kind {
        WriteKind::Append { entries, .. } => Some(entries.clone()),
        _ => None,
    });
    entries.flatten().collect()
}

pub(super) fn bodies(out: &Outbox) -> Vec<Body> {
    let entries = appended(out).into_iter();
    entries
        .map(|entry| decode(&entry.payload).unwrap().body)
        .collect()
}
