//! Situations that a sweep must have seen, see [`crate::marks`].

use coracle_proto::{GroupId, NodeId, Role};

use super::World;
use crate::plan::MS;

impl World {
    /// A node stops.
    pub(super) fn mark_crash(&mut self, node: NodeId) {
        let Some(running) = self.processes.get(&node).and_then(|it| it.running.as_ref()) else {
            return;
        };
        let statuses = running.node.statuses();
        let leads = statuses
            .iter()
            .any(|status| status.raft.role == Role::Leader);
        let writes = !running.writing.is_empty();
        let joint = statuses
            .iter()
            .any(|status| !status.raft.configuration.outgoing.is_empty());
        let alone = self
            .processes
            .values()
            .filter(|it| it.running.is_some())
            .count()
            == 1;
        if leads && writes {
            self.count("crash of a leader with a write in flight");
        }
        if joint {
            self.count("crash of a member of a joint configuration");
        }
        if alone && self.processes.len() > 1 {
            self.count("crash of all nodes at once");
        }
    }

    /// A node has become leader of a group.
    pub(super) fn mark_election(&mut self, node: NodeId, group: GroupId) {
        let now = self.now;
        let (mut rivals, mut hung) = (false, false);
        for (id, process) in &self.processes {
            let status = process
                .running
                .as_ref()
                .and_then(|it| it.node.status(group));
            let leads = status.is_some_and(|status| status.raft.role == Role::Leader);
            rivals |= *id != node && leads;
            hung |= *id != node && process.hung_until > now;
        }
        if rivals {
            self.count("leader elected while another believes it leads");
        }
        if hung {
            self.count("leader with a hung disk followed by another");
        }
    }

    /// A process is about to stand still for so long.
    pub(super) fn mark_pause(&mut self, node: NodeId, time: u64) {
        let running = self.processes.get(&node).and_then(|it| it.running.as_ref());
        let statuses = running.map(|running| running.node.statuses());
        let mut statuses = statuses.iter().flatten();
        let leads = statuses.any(|status| status.raft.role == Role::Leader);
        if leads && time > self.plan.settings.election_timeout * MS {
            self.count("pause of a leader beyond its lease");
        }
    }
}
