//! A node that has lost its disk never comes back: another takes its place under its own id, first
//! as a learner, as `members replace` does it.

use coracle_driver::GroupStatus;
use coracle_proto::{Change, GroupId, NodeId, Role, Transition};

use super::{Action, World};
use crate::plan::MS;

/// Between two tries, nanoseconds.
const PAUSE: u64 = 300 * MS;

/// A node and who takes its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replacement {
    old: NodeId,
    new: NodeId,
}

impl World {
    /// A spare node takes the place of this one.
    pub(super) fn replace(&mut self, old: NodeId) {
        let number = self.replacements.len();
        let new = NodeId(self.plan.nodes + 1 + number as u64);
        if self.processes.contains_key(&new) {
            self.replacements.push(Replacement { old, new });
            self.after(PAUSE, Action::Replace { number });
        }
    }

    /// Asks for the next step of a replacement, until all are done.
    pub(super) fn go_on_replacing(&mut self, number: usize) {
        let replacement = self.replacements[number];
        for group in self.group_ids() {
            let Some(changes) = self.missing(replacement, group) else {
                continue;
            };
            if let Some(leader) = self.leader_of(group) {
                self.change_members(leader, group, changes, Transition::Auto);
            }
        }
        if self.is_replaced(replacement) {
            self.count("nodes replaced");
        } else {
            self.after(PAUSE, Action::Replace { number });
        }
    }

    /// Whether every node that lost its disk has a successor.
    pub(super) fn all_replaced(&self) -> bool {
        self.replacements.iter().all(|it| self.is_replaced(*it))
    }

    fn is_replaced(&self, replacement: Replacement) -> bool {
        let mut groups = self.group_ids();
        groups.all(|group| self.missing(replacement, group).is_none())
    }

    /// What is to be done next in a group, as far as is committed.
    fn missing(&self, replacement: Replacement, group: GroupId) -> Option<Vec<Change>> {
        let Replacement { old, new } = replacement;
        let configuration = self.invariants.configuration(group);
        let members = configuration.members();
        let is_member = |node| members.iter().any(|replica| replica.node == node);
        if !is_member(new) {
            return Some(vec![Change::Learner(new)]);
        }
        is_member(old).then(|| vec![Change::Remove(old), Change::Voter(new)])
    }

    /// The node that leads a group, as the youngest of those who believe it.
    fn leader_of(&self, group: GroupId) -> Option<NodeId> {
        let leads = |status: &GroupStatus| status.raft.role == Role::Leader;
        let statuses = self.processes.iter().filter_map(|(id, process)| {
            let status = process.running.as_ref()?.node.status(group)?;
            leads(&status).then_some((status.raft.hard_state.term, *id))
        });
        statuses.max().map(|(_, id)| id)
    }
}
