//! Who belongs to the group as far as is committed, and what kind of replica this one is.

use coracle_proto::{Configuration, ReplicaId};

use crate::RecoveredGroup;
use crate::task::{NotApplied, Task};

use super::{Group, Turn};

/// What a replica keeps. It never changes: a node that is to be of another kind is removed first
/// and born again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaKind {
    /// Not known yet: it was added later, and its log has not reached the entry that added it.
    Unknown,
    /// Runs the state machine.
    Full,
    /// Votes and keeps the log without payloads; has no worker and no snapshots.
    Witness,
}

impl ReplicaKind {
    /// What `configuration` says about a replica, if it is a member.
    fn of(replica: ReplicaId, configuration: &Configuration) -> Option<Self> {
        if configuration.witnesses.contains(&replica) {
            return Some(Self::Witness);
        }
        configuration.is_member(replica).then_some(Self::Full)
    }

    /// That of a replica that begins.
    pub(super) fn begun(replica: ReplicaId, configuration: &Configuration) -> Self {
        match (Self::of(replica, configuration), replica.born) {
            (Some(kind), _) => kind,
            (None, 0) => Self::Full,
            (None, _) => Self::Unknown,
        }
    }

    /// That of a replica as the log held it.
    pub(super) fn recovered(replica: ReplicaId, found: &RecoveredGroup) -> Self {
        let configurations = found.initial.configurations.iter();
        let known = configurations
            .filter_map(|configuration| Self::of(replica, configuration))
            .next_back();
        match (known, &found.floor.snapshot) {
            (_, Some(_)) => Self::Full,
            (Some(kind), None) => kind,
            // Only a witness forgets entries without a snapshot.
            (None, None) if found.floor.last.index > 0 => Self::Witness,
            (None, None) if replica.born == 0 => Self::Full,
            (None, None) => Self::Unknown,
        }
    }
}

impl RecoveredGroup {
    /// What kind of replica this is at `node`; only a full one has a worker.
    pub fn kind(&self, node: coracle_proto::NodeId) -> ReplicaKind {
        let replica = ReplicaId {
            node,
            born: self.born,
        };
        ReplicaKind::recovered(replica, self)
    }
}

impl Group {
    /// Whether a snapshot may come without a file: leaders send such only to witnesses, and this
    /// replica may not know yet that it is one.
    pub(in super::super) fn takes_bare_snapshots(&self) -> bool {
        self.kind != ReplicaKind::Full
    }

    /// A configuration is committed.
    pub(super) fn configuration_committed(
        &mut self,
        turn: &mut Turn<'_>,
        configuration: Configuration,
    ) {
        self.commit = self.commit.max(configuration.index);
        if configuration.index >= self.committed.index {
            self.committed = configuration.clone();
            if self.is_evicted() {
                turn.out.evicted.push((self.id, self.replica));
            }
        }
        turn.out.configurations.push((self.id, configuration));
        self.settle_changes(turn);
    }

    /// Whether this replica's node is committed to be no member any more. (Configurations from
    /// before its birth do not have it either. If another replica of the node is a member, that
    /// one takes its place when the leader speaks to it.)
    pub(in super::super) fn is_evicted(&self) -> bool {
        let committed = &self.committed;
        let node = self.replica.node;
        committed.index > self.replica.born
            && committed.members().iter().all(|member| member.node != node)
    }

    /// Learns what kind of replica this is, once the log says it.
    pub(super) fn learn_kind(&mut self, turn: &mut Turn<'_>) {
        if self.kind == ReplicaKind::Unknown
            && let Some(configuration) = self.raft.configuration_at(self.last)
            && let Some(kind) = ReplicaKind::of(self.replica, configuration)
        {
            self.set_kind(turn, kind);
        }
    }

    /// This is what this replica is.
    pub(super) fn set_kind(&mut self, turn: &mut Turn<'_>, kind: ReplicaKind) {
        if self.kind != ReplicaKind::Unknown {
            return;
        }
        self.kind = kind;
        if kind == ReplicaKind::Full {
            turn.out.started.push(self.id);
            let through = self.announced;
            if through > 0 {
                self.task(turn, Task::Apply { through });
            }
        }
    }

    /// Something for the worker, if there is one.
    pub(super) fn task(&mut self, turn: &mut Turn<'_>, task: Task) {
        if self.kind == ReplicaKind::Full {
            turn.task(self.id, task);
            return;
        }
        if let Task::Read { ticket, .. } = task {
            let leader = self.leader;
            turn.refuse(ticket, NotApplied::NotLeader { leader });
        }
    }
}
