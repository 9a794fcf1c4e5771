//! Doing what the nemesis wants.

use std::collections::BTreeSet;

use coracle_driver::Event;
use coracle_proto::{GroupId, NodeId};

use super::{Action, World};
use crate::attack::Attack;
use crate::invariants::Check;
use crate::plan::MS;

impl World {
    /// The next fault: the one on the tape, or one that is drawn.
    pub(super) fn strike(&mut self) -> Check {
        if self.healed {
            return Ok(());
        }
        if let Some(attack) = self.next_attack() {
            let text = || format!("nemesis: {attack:?}");
            self.trace.note(self.now, (11, &attack), text);
            *self.faults.entry(attack.name()).or_default() += 1;
            self.attack(attack)?;
        }
        self.strike_later();
        Ok(())
    }

    fn next_attack(&mut self) -> Option<Attack> {
        if let Some(script) = &mut self.script {
            let (_, attack) = script.pop_front()?;
            return Some(attack);
        }
        let leader = self.leader();
        let attack = self.nemesis.next(leader)?;
        self.taped.push((self.now, attack.clone()));
        Some(attack)
    }

    /// When the next fault comes.
    pub(super) fn strike_later(&mut self) {
        match &self.script {
            None => {
                let pause = self.nemesis.pause();
                self.after(pause, Action::Strike);
            }
            Some(script) => {
                if let Some(&(at, _)) = script.front() {
                    self.at(at.max(self.now), Action::Strike);
                }
            }
        }
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

    fn attack(&mut self, attack: Attack) -> Check {
        match attack {
            Attack::Cut { .. }
            | Attack::Flap { .. }
            | Attack::Ring { .. }
            | Attack::Bridge { .. }
            | Attack::Clog { .. }
            | Attack::Reset { .. } => self.attack_network(attack),
            Attack::DiskError { .. }
            | Attack::PowerSoon { .. }
            | Attack::Full { .. }
            | Attack::Flip { .. }
            | Attack::Lie { .. }
            | Attack::SlowDisk { .. }
            | Attack::HungDisk { .. }
            | Attack::Wipe { .. } => self.attack_disk(attack),
            Attack::Stop { node, power, time } => self.stop(NodeId(node), power, time),
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
            Attack::Pause { .. }
            | Attack::Clock { .. }
            | Attack::Drift { .. }
            | Attack::Jump { .. } => self.attack_clock(&attack),
            Attack::LowSpace { node, time } => {
                let node = NodeId(node);
                self.tell(node, Event::LowSpace(true));
                let event = Event::LowSpace(false);
                self.after(time, Action::Tell { node, event });
            }
            Attack::Alarm { node, peer } => self.alarm(NodeId(node), NodeId(peer)),
            Attack::Members {
                node,
                changes,
                passage,
            } => {
                let changes: Vec<_> = changes.into_iter().map(Into::into).collect();
                for group in self.group_ids() {
                    self.change_members(NodeId(node), group, changes.clone(), passage.into());
                }
            }
            Attack::Transfer { node, to } => self.hand_over(NodeId(node), to.map(NodeId)),
            Attack::ForgetLeader { node } => {
                for group in self.group_ids() {
                    self.tell(NodeId(node), Event::ForgetLeader { group });
                }
            }
            Attack::Priority { node, priority } => {
                self.tell(NodeId(node), Event::SetPriority(priority));
            }
            Attack::Campaign { node } => {
                for group in self.group_ids() {
                    self.tell(NodeId(node), Event::Campaign { group });
                }
            }
            Attack::Upgrade {
                node,
                version,
                fails,
            } => self.upgrade(NodeId(node), version, fails),
            Attack::Export { node, group } => self.export(NodeId(node), GroupId(group)),
            Attack::Restore { node, group, image } => {
                self.restore(NodeId(node), GroupId(group), image);
            }
        }
        Ok(())
    }

    fn attack_network(&mut self, attack: Attack) {
        match attack {
            Attack::Cut {
                side,
                outwards,
                inwards,
                time,
            } => {
                self.network.mend();
                self.network.isolate(&side, None, outwards, inwards);
                self.after(time, Action::Mend);
            }
            Attack::Bridge { node, side, time } => {
                self.network.mend();
                self.network.isolate(&side, Some(node), true, true);
                self.after(time, Action::Mend);
            }
            Attack::Ring { time } => {
                self.ring();
                self.after(time, Action::Mend);
            }
            Attack::Flap {
                side,
                period,
                times,
            } => self.flap(side, period, times),
            Attack::Clog { from, to, time } => {
                self.network.clog(NodeId(from), NodeId(to), self.now + time);
            }
            Attack::Reset { node, peer } => {
                let (node, peer) = (NodeId(node), NodeId(peer));
                self.network.reset(node, peer);
                self.alarm(node, peer);
                self.alarm(peer, node);
            }
            _ => {}
        }
    }

    fn attack_clock(&mut self, attack: &Attack) {
        let now = self.now;
        match *attack {
            Attack::Pause { node, time } => {
                self.mark_pause(NodeId(node), time);
                if let Some(process) = self.processes.get_mut(&NodeId(node)) {
                    process.paused_until = now + time;
                }
            }
            Attack::Clock { node, skew } => {
                if let Some(process) = self.processes.get_mut(&NodeId(node)) {
                    process.skew = skew;
                }
            }
            Attack::Drift { node, drift } => {
                if let Some(process) = self.processes.get_mut(&NodeId(node)) {
                    process.clock.set_drift(now, drift);
                }
            }
            Attack::Jump { node, time } => {
                if let Some(process) = self.processes.get_mut(&NodeId(node)) {
                    process.clock.jump(now, time);
                }
                self.turn_soon(NodeId(node));
            }
            _ => {}
        }
    }

    /// A connection is reported lost, and there again soon.
    fn alarm(&mut self, node: NodeId, peer: NodeId) {
        self.tell(node, Event::PeerDown(peer));
        let event = Event::PeerUp(peer);
        let time = self.random.below(500 * MS);
        self.after(time, Action::Tell { node, event });
    }

    /// A cut that comes and goes.
    pub(super) fn flap(&mut self, side: BTreeSet<u64>, period: u64, times: u64) {
        if times == 0 || self.healed {
            return;
        }
        self.network.mend();
        self.network.isolate(&side, None, true, true);
        self.after(period, Action::Mend);
        let times = times - 1;
        let flap = Action::Flap {
            side,
            period,
            times,
        };
        self.after(2 * period, flap);
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
