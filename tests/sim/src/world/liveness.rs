//! After the faults: everything must be well within a bounded time.

use coracle_driver::Event;
use coracle_driver::fsm::WorkerState;
use coracle_proto::{GroupId, NodeId};

use super::World;
use crate::invariants::{Check, Harm, violated};
use crate::plan::MS;
use crate::process::Process;

/// Operations that every client has to complete after the faults.
const OPERATIONS: u64 = 2;

/// How long a cluster without a quorum is watched, nanoseconds.
const HOPELESS: u64 = 3000 * MS;

/// How often it is looked whether all is well, nanoseconds.
const INTERVAL: u64 = 20 * MS;

impl World {
    /// Faults are over: everybody is up, the network is reliable.
    pub(super) fn heal(&mut self) -> Check {
        self.healed = true;
        self.trace.remark(self.now, || "nemesis: healed".into());
        self.network.heal();
        for node in self.node_ids() {
            if let Some(process) = self.processes.get_mut(&node) {
                process.heal();
                // A fault may be in the middle of happening.
                let power = process.harms.contains(&Harm::Power);
                if process.harms.iter().any(|harm| harm.is_passing()) {
                    self.stop(node, power, 0);
                }
            }
            if let Some(process) = self.processes.get_mut(&node) {
                process.harms.retain(|harm| !harm.is_passing());
            }
            self.start(node)?;
            self.tell(node, Event::LowSpace(false));
            for peer in self.node_ids() {
                self.tell(node, Event::PeerUp(peer));
            }
        }
        Ok(())
    }

    /// Runs until every group has taken a new write and answered a linearizable read, all clients
    /// have got on, and all replicas agree.
    pub(super) fn converge(&mut self) -> Check {
        let goals: Vec<_> = self
            .clients
            .iter()
            .map(|client| client.done + OPERATIONS)
            .collect();
        let end = self.now + self.plan.liveness;
        // Nothing to wait for. That nobody pretends otherwise is what the invariants see.
        if self.quorum_is_lost() {
            if self.plan.atlas.keeps_a_quorum(self.plan.nodes) {
                return violated("atlas", "most of the disks are good, and no quorum is left");
            }
            self.count("quorum lost and refused");
            return self.run_until(self.now + HOPELESS);
        }
        let groups = self.group_ids();
        if let Some(client) = self.clients.first_mut() {
            client.must_prove(groups);
        }
        loop {
            let waits = self.clients.iter().zip(&goals);
            let waits = waits.filter(|(client, goal)| client.done < **goal || client.owes());
            let waits = waits.count();
            // Only when nobody asks for more can all be equal for longer than a moment.
            self.resting |= waits == 0;
            if self.resting && self.agree() && self.all_replaced() {
                return Ok(());
            }
            if self.now > end && self.is_refused() {
                self.count("no quorum of good copies and refused");
                return Ok(());
            }
            if self.now > end {
                return self.stuck(waits);
            }
            self.run_until(self.now + INTERVAL)?;
        }
    }

    /// Whether so many nodes will never run again that no leader can be elected.
    fn quorum_is_lost(&self) -> bool {
        self.group_ids().any(|group| {
            let configuration = self.invariants.configuration(group);
            let voters = configuration.voters.iter();
            let gone = |node| self.processes.get(node).is_none_or(|it| it.lost);
            let lost = voters.filter(|replica| gone(&replica.node)).count();
            2 * lost >= configuration.voters.len()
        })
    }

    /// Whether there may be no quorum of good copies, and a node or a state machine says so: every
    /// copy of a snapshot may be damaged.
    fn is_refused(&self) -> bool {
        let stands_still = |process: &Process| {
            let running = process.running.iter();
            let mut workers = running.flat_map(|running| running.workers.values());
            workers.any(|worker| {
                matches!(
                    worker.status().state,
                    WorkerState::WaitingForSnapshot { .. } | WorkerState::Halted { .. }
                )
            })
        };
        let mut processes = self.processes.values();
        !self.plan.atlas.keeps_a_quorum(self.plan.nodes)
            && self.processes.values().any(Process::is_damaged)
            && processes.any(|process| process.lost || stands_still(process))
    }

    /// Whether every replica has applied everything that is known to be committed.
    fn agree(&self) -> bool {
        let behind = |group: GroupId| {
            let committed = self.invariants.committed_entries(group);
            let members = self.state_machines(group).into_iter();
            let lost = |node: &NodeId| self.processes.get(node).is_none_or(|process| process.lost);
            let mut applied = members
                .filter(|node| !lost(node))
                .map(|node| self.applied(node, group));
            applied.any(|applied| applied != Some(committed))
        };
        !self.group_ids().any(behind)
    }

    /// The nodes that run a state machine, as far as is committed.
    fn state_machines(&self, group: GroupId) -> Vec<NodeId> {
        let configuration = self.invariants.configuration(group);
        let members = configuration.members();
        let full = members.difference(&configuration.witnesses);
        full.map(|replica| replica.node).collect()
    }

    fn applied(&self, node: NodeId, group: GroupId) -> Option<u64> {
        let running = self.processes.get(&node)?.running.as_ref()?;
        Some(running.workers.get(&group)?.status().applied)
    }

    fn stuck(&self, waits: usize) -> Check {
        let mut text = format!("{waits} clients still wait");
        for group in self.group_ids() {
            let committed = self.invariants.committed_entries(group);
            text += &format!("; {group} has committed {committed}, applied");
            for node in self.processes.keys() {
                let applied = self.applied(*node, group);
                text += &format!(" {node}: {applied:?}");
            }
        }
        for (node, process) in &self.processes {
            let Some(running) = &process.running else {
                continue;
            };
            for status in running.node.statuses() {
                let now = self.now;
                self.trace.remark(now, || format!("{node} {status:?}"));
            }
            for worker in running.workers.values() {
                let now = self.now;
                self.trace
                    .remark(now, || format!("{node} {:?}", worker.status()));
            }
        }
        violated("liveness", text)
    }
}
