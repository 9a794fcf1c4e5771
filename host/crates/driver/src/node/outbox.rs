//! Everything a node wants done.

use coracle_proto::{Configuration, Envelope, GroupId, ReplicaId, Term};

use crate::task::{Answer, Task, Ticket};
use crate::{SnapshotRef, Write};

/// What one or several turns want done. The parts are independent of one another: everything in
/// it is safe to do now. Within a part the order counts.
#[derive(Debug, Default)]
pub struct Outbox {
    /// For the log. Each with an id is answered by [`Event::Persisted`](super::Event::Persisted).
    pub writes: Vec<Write>,
    /// For the peers. May be lost.
    pub sends: Vec<Envelope>,
    /// For the workers.
    pub tasks: Vec<(GroupId, Task)>,
    /// For clients.
    pub answers: Vec<(Ticket, Answer)>,
    /// Snapshots to send over the bulk connections; each is answered by
    /// [`Event::SnapshotSent`](super::Event::SnapshotSent).
    pub snapshots: Vec<SendSnapshot>,
    /// Answers to [`Event::SnapshotOffered`](super::Event::SnapshotOffered): whether it is wanted.
    pub offers: Vec<(u64, bool)>,
    /// Snapshot files that are still needed, for [`Snapshots::retain`](crate::Snapshots::retain). To
    /// be done before later `offers` are answered: a file that arrives after them is not among
    /// these.
    pub retain: Vec<(GroupId, Vec<SnapshotRef>)>,
    /// Replicas that started to exist (their record is durable) or learned that they are no
    /// witnesses: start their workers, before `tasks` are handed out.
    pub started: Vec<GroupId>,
    /// Replicas whose removal is durable, or that another replica of this node has replaced: their
    /// workers and files go, before those in `started` begin.
    pub removed: Vec<GroupId>,
    /// Messages came for replicas of this node that it does not host: a leader added them. Those
    /// that the directory wants are hosted by [`Event::Host`](super::Event::Host); each is told
    /// again while its leader goes on asking.
    pub strangers: Vec<Stranger>,
    /// Configurations that were committed.
    pub configurations: Vec<(GroupId, Configuration)>,
    /// Replicas of this node that are no members any more, as far as is committed. To be ended by
    /// [`Event::Remove`](super::Event::Remove) once the directory agrees. Told when it is learned
    /// and once after each start.
    pub evicted: Vec<(GroupId, ReplicaId)>,
    /// Changes of role, term or leader.
    pub leadership: Vec<LeaderChange>,
    /// Groups that were stopped because their state, disk or peers did the impossible.
    pub fatal: Vec<(GroupId, String)>,
}

impl Outbox {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
            && self.sends.is_empty()
            && self.tasks.is_empty()
            && self.answers.is_empty()
            && self.snapshots.is_empty()
            && self.offers.is_empty()
            && self.retain.is_empty()
            && self.started.is_empty()
            && self.removed.is_empty()
            && self.strangers.is_empty()
            && self.configurations.is_empty()
            && self.evicted.is_empty()
            && self.leadership.is_empty()
            && self.fatal.is_empty()
    }
}

/// A snapshot on its way out. The receiver's host says
/// [`Event::SnapshotArrived`](super::Event::SnapshotArrived) with these values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendSnapshot {
    /// The group.
    pub group: GroupId,
    /// This node's replica, which leads.
    pub from: ReplicaId,
    /// The addressee.
    pub to: ReplicaId,
    /// The leader's term.
    pub term: Term,
    /// The file.
    pub snapshot: SnapshotRef,
}

/// A replica of this node that a leader speaks to and that is not hosted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stranger {
    /// The group.
    pub group: GroupId,
    /// The replica: this node, and when it was added.
    pub replica: ReplicaId,
    /// Who speaks.
    pub from: ReplicaId,
}

/// A change of role, term or known leader of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderChange {
    /// The group.
    pub group: GroupId,
    /// The term.
    pub term: Term,
    /// The leader, if known.
    pub leader: Option<ReplicaId>,
    /// Whether it is the replica of this node.
    pub leads: bool,
}
