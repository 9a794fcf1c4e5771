//! Doing what the nemesis wants.

use coracle_driver::Event;
use coracle_log::Fault;
use coracle_proto::NodeId;

use super::{Action, World};
use crate::invariants::Check;
use crate::nemesis::Attack;
use crate::plan::MS;
use crate::process::Doom;

impl World {
    pub(super) fn strike(&mut self) -> Check {
        if self.healed {
            return Ok(());
        }
        let leader = self.leader();
        if let Some(attack) = self.nemesis.next(leader) {
            let text = || format!("nemesis: {attack:?}");
            self.trace.note(self.now, (11, &attack), text);
            self.attack(attack);
        }
        let pause = self.nemesis.pause();
        self.after(pause, Action::Strike);
        Ok(())
    }

    /// A node that believes it leads a group.
    fn leader(&self) -> Option<NodeId> {
        let leads = |process: &&crate::process::Process| {
            let running = process.running.as_ref();
            let statuses = running.map(|running| running.node.statuses());
            let role = |status: &coracle_driver::GroupStatus| status.raft.role;
            let mut roles = statuses.iter().flatten().map(role);
            roles.any(|role| role == coracle_proto::Role::Leader)
        };
        self.processes
            .values()
            .find(leads)
            .map(|process| process.id)
    }

    fn attack(&mut self, attack: Attack) {
        match attack {
            Attack::Cut {
                side,
                outwards,
                inwards,
                time,
            } => {
                self.count("partitions");
                self.network.mend();
                self.network.isolate(&side, outwards, inwards);
                self.after(time, Action::Mend);
            }
            Attack::Ring { time } => {
                self.count("partitions");
                self.ring();
                self.after(time, Action::Mend);
            }
            Attack::Stop { node, power, time } => self.stop(node, power, time),
            Attack::StopAll { power, time } => {
                for node in self.node_ids() {
                    self.stop(node, power, time);
                }
            }
            Attack::Hunt { time } => {
                self.hunt_until = self.now + time;
                if let Some(leader) = self.leader() {
                    self.hunt(leader);
                }
            }
            Attack::PowerSoon { node, operations } => {
                self.doom(node, operations, Fault::Crash, Doom::Power);
            }
            Attack::DiskError {
                node,
                operations,
                sync,
            } => {
                let fault = if sync { Fault::Sync } else { Fault::Write };
                // So few nodes that the others are a majority without what these may lose.
                if node.0 <= (self.plan.nodes - 1) / 2 {
                    self.doom(node, operations, fault, Doom::DiskError);
                }
            }
            Attack::Pause { node, time } => {
                self.count("pauses");
                let until = self.now + time;
                if let Some(process) = self.processes.get_mut(&node) {
                    process.paused_until = until;
                }
            }
            Attack::LowSpace { node, time } => {
                self.count("low space");
                self.tell(node, Event::LowSpace(true));
                let event = Event::LowSpace(false);
                self.after(time, Action::Tell { node, event });
            }
            Attack::Clock { node, skew } => {
                if let Some(process) = self.processes.get_mut(&node) {
                    process.skew = skew;
                }
            }
            Attack::Alarm { node, peer } => {
                self.tell(node, Event::PeerDown(peer));
                let event = Event::PeerUp(peer);
                let time = self.random.below(500 * MS);
                self.after(time, Action::Tell { node, event });
            }
            Attack::Members {
                node,
                changes,
                transition,
            } => self.change_members(node, changes, transition),
            Attack::Transfer { node, to } => self.hand_over(node, to),
            Attack::ForgetLeader { node } => {
                for group in self.group_ids() {
                    self.tell(node, Event::ForgetLeader { group });
                }
            }
            Attack::Priority { node, priority } => self.tell(node, Event::SetPriority(priority)),
            Attack::Campaign { node } => {
                for group in self.group_ids() {
                    self.tell(node, Event::Campaign { group });
                }
            }
        }
    }

    /// A node has become leader: if leaders are hunted, it will not be for long.
    pub(super) fn hunt(&mut self, node: NodeId) {
        if self.now < self.hunt_until && !self.healed {
            let latency = self.plan.network_latency;
            // Before anybody hears of what it appended, or while it is being replicated.
            let time = match self.random.chance(500) {
                true => self.random.below(latency / 4),
                false => self.random.between(latency, 4 * latency),
            };
            let life = self.life(node);
            self.after(time, Action::Kill { node, life });
        }
    }

    pub(super) fn kill(&mut self, node: NodeId, life: u64) {
        if self.life(node) == life && !self.healed {
            self.count("leaders hunted");
            let time = self.random.below(20 * MS);
            self.stop(node, false, time);
        }
    }

    fn doom(&mut self, node: NodeId, operations: u64, fault: Fault, doom: Doom) {
        let Some(process) = self.processes.get_mut(&node) else {
            return;
        };
        if process.running.is_some() && process.doomed.is_none() {
            process.disk.fail_after(operations, fault);
            process.doomed = Some(doom);
            process.tainted |= doom == Doom::DiskError;
            self.count("disk faults");
        }
    }

    fn ring(&mut self) {
        let nodes = self.plan.all_nodes();
        self.network.mend();
        for from in 1..=nodes {
            for to in 1..=nodes {
                let distance = (from + nodes - to) % nodes;
                if (2..nodes - 1).contains(&distance) {
                    self.network.cut(NodeId(from), NodeId(to));
                }
            }
        }
    }

    pub(super) fn mend(&mut self) {
        self.network.mend();
        self.trace.remark(self.now, || "nemesis: mended".into());
    }
}
