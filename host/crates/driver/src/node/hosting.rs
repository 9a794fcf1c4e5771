//! Which groups live here: beginning, and ending for good.

use std::collections::{BTreeMap, BTreeSet};

use coracle_proto::{Configuration, GroupId, Index, LogId, NodeId, PersistId};

use crate::{Floor, MachineSpec, Write, WriteKind};

use super::group::Group;
use super::turn::Turn;

/// Replicas whose beginning or end is on its way to the disk, and those that have ended.
#[derive(Debug, Default)]
pub(super) struct Hosting {
    beginning: BTreeMap<GroupId, Beginning>,
    ending: BTreeMap<PersistId, GroupId>,
    removed: BTreeSet<GroupId>,
}

#[derive(Debug)]
struct Beginning {
    id: PersistId,
    born: Index,
    configuration: Configuration,
    create: Option<MachineSpec>,
}

impl Hosting {
    pub(super) fn new(removed: &[GroupId]) -> Self {
        Self {
            removed: removed.iter().copied().collect(),
            ..Self::default()
        }
    }

    /// Writes the record that must be durable before the replica says anything.
    pub(super) fn begin(
        &mut self,
        turn: &mut Turn<'_>,
        group: GroupId,
        born: Index,
        configuration: Configuration,
        create: Option<MachineSpec>,
    ) {
        if self.removed.contains(&group) || self.beginning.contains_key(&group) {
            return;
        }
        let id = turn.shared.own_id();
        let floor = Floor {
            last: LogId::default(),
            configuration: configuration.clone(),
            snapshot: None,
        };
        turn.out.writes.push(Write {
            group,
            id: Some(id),
            kind: WriteKind::Host { floor, born },
        });
        let beginning = Beginning {
            id,
            born,
            configuration,
            create,
        };
        self.beginning.insert(group, beginning);
    }

    /// The record is durable: the replica, if it still is to begin.
    pub(super) fn begun(
        &mut self,
        turn: &mut Turn<'_>,
        group: GroupId,
        id: PersistId,
    ) -> Option<Group> {
        self.beginning.get(&group).filter(|begun| begun.id == id)?;
        let begun = self.beginning.remove(&group)?;
        turn.out.started.push(group);
        let first = goes_first(group, turn.config.id, &begun.configuration);
        let Beginning {
            born,
            configuration,
            create,
            ..
        } = begun;
        let mut replica = Group::first(turn, group, born, configuration, create);
        if first {
            replica.campaign(turn);
        }
        Some(replica)
    }

    /// Writes the record of an end.
    pub(super) fn end(&mut self, turn: &mut Turn<'_>, group: GroupId) {
        self.beginning.remove(&group);
        if !self.removed.insert(group) {
            return;
        }
        let id = turn.shared.own_id();
        turn.out.writes.push(Write {
            group,
            id: Some(id),
            kind: WriteKind::Remove,
        });
        self.ending.insert(id, group);
    }

    /// Whether this was the record of an end.
    pub(super) fn ended(&mut self, turn: &mut Turn<'_>, id: PersistId) -> bool {
        let ended = self.ending.remove(&id);
        turn.out.removed.extend(ended);
        ended.is_some()
    }
}

/// Whether this node campaigns at once in a new group, so that nobody has to wait for a timer: one
/// voter of the initial configuration, by the group's id, so that leaders spread over the nodes.
fn goes_first(group: GroupId, node: NodeId, configuration: &Configuration) -> bool {
    let voters = &configuration.voters;
    let turn = group.0.checked_rem(voters.len() as u64).unwrap_or(0);
    let first = voters.iter().nth(turn as usize);
    first.is_some_and(|first| first.node == node)
}
