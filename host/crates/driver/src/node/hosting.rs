//! Which groups live here: beginning, and ending for good.

use std::collections::BTreeMap;

use coracle_proto::{Configuration, GroupId, HardState, Index, LogId, PersistId, ReplicaId};

use crate::{Floor, MachineSpec, Write, WriteKind};

use super::group::Group;
use super::turn::Turn;

/// Replicas whose beginning or end is on its way to the disk, and those that have ended.
#[derive(Debug, Default)]
pub(super) struct Hosting {
    beginning: BTreeMap<GroupId, Beginning>,
    ending: BTreeMap<PersistId, GroupId>,
    /// By group, the highest `born` that was removed here.
    removed: BTreeMap<GroupId, Index>,
}

#[derive(Debug)]
struct Beginning {
    id: PersistId,
    born: Index,
    /// That of the replica which it replaces.
    former: Option<HardState>,
    configuration: Configuration,
    create: Option<MachineSpec>,
}

impl Hosting {
    pub(super) fn new(removed: &BTreeMap<GroupId, Index>) -> Self {
        Self {
            removed: removed.clone(),
            ..Self::default()
        }
    }

    /// Whether nobody needs to be told of messages for this replica: it was removed here, or it
    /// is about to begin.
    pub(super) fn knows(&self, group: GroupId, replica: ReplicaId) -> bool {
        self.was_removed(group, replica.born) || self.beginning.contains_key(&group)
    }

    /// Whether a replica was removed here: it never comes back.
    pub(super) fn was_removed(&self, group: GroupId, born: Index) -> bool {
        self.removed.get(&group).is_some_and(|gone| born <= *gone)
    }

    /// Writes the record that must be durable before the replica says anything. A founder of whom
    /// it is not said who the founders are does not begin: no entry says it either.
    pub(super) fn begin(
        &mut self,
        turn: &mut Turn<'_>,
        group: GroupId,
        born: Index,
        configuration: Configuration,
        create: Option<MachineSpec>,
    ) {
        // What is known of the former replica goes before the next one comes.
        let ending = self.ending.values().any(|ending| *ending == group);
        if ending || self.was_removed(group, born) || self.beginning.contains_key(&group) {
            return;
        }
        if born == 0 && configuration.voters.is_empty() {
            return;
        }
        let beginning = Beginning {
            id: write_host(turn, group, born, configuration.clone()),
            born,
            former: None,
            configuration,
            create,
        };
        self.beginning.insert(group, beginning);
    }

    /// Another replica of this node takes the place of one that is dead: with an empty log, but
    /// with its term and vote, since nobody has removed the dead one (see `Raft::gives_way_to`).
    pub(super) fn replace(
        &mut self,
        turn: &mut Turn<'_>,
        group: GroupId,
        born: Index,
        former: HardState,
        create: Option<MachineSpec>,
    ) {
        let configuration = Configuration::default();
        let beginning = Beginning {
            id: write_host(turn, group, born, configuration.clone()),
            born,
            former: Some(former),
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
        let own = ReplicaId {
            node: turn.config.id,
            born: begun.born,
        };
        let first = goes_first(group, own, &begun.configuration);
        let Beginning {
            born,
            former,
            configuration,
            create,
            ..
        } = begun;
        if former.is_some() {
            turn.out.removed.push(group);
        }
        let hard_state = former.unwrap_or_default();
        let mut replica = Group::first(turn, group, born, hard_state, configuration);
        replica.set_create(create);
        if first {
            replica.campaign(turn);
        }
        Some(replica)
    }

    /// The replica of a group that is about to begin.
    pub(super) fn beginning(&self, group: GroupId) -> Option<Index> {
        self.beginning.get(&group).map(|begun| begun.born)
    }

    /// Writes the record of an end.
    pub(super) fn end(&mut self, turn: &mut Turn<'_>, group: GroupId, born: Index) {
        self.beginning.remove(&group);
        let gone = self.removed.entry(group).or_insert(born);
        *gone = born.max(*gone);
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
        turn.out.started.retain(|group| Some(*group) != ended);
        ended.is_some()
    }
}

fn write_host(
    turn: &mut Turn<'_>,
    group: GroupId,
    born: Index,
    configuration: Configuration,
) -> PersistId {
    let id = turn.shared.own_id();
    let floor = Floor {
        last: LogId::default(),
        configuration,
        snapshot: None,
    };
    turn.out.writes.push(Write {
        group,
        id: Some(id),
        kind: WriteKind::Host { floor, born },
    });
    id
}

/// Whether this node campaigns at once in a new group, so that nobody has to wait for a timer: one
/// voter of the initial configuration, by the group's id, so that leaders spread over the nodes.
fn goes_first(group: GroupId, own: ReplicaId, configuration: &Configuration) -> bool {
    let voters = &configuration.voters;
    let turn = group.0.checked_rem(voters.len() as u64).unwrap_or(0);
    let first = voters.iter().nth(turn as usize);
    first == Some(&own)
}
