//! What goes wrong next.

use std::collections::BTreeSet;

use coracle_proto::NodeId;

use crate::attack::{Attack, DiskOperation, Failure, FileKind, Passage, Step};
use crate::plan::{Faults, MS, Plan};
use crate::random::Random;

/// Versions of the state machine.
pub(crate) const VERSIONS: u64 = 3;

/// Draws faults from the kinds that the plan allows.
#[derive(Debug)]
pub(crate) struct Nemesis {
    random: Random,
    faults: Faults,
    nodes: u64,
    groups: u64,
    /// Nodes whose disks may be damaged.
    damageable: Vec<u64>,
    /// Nodes that may yet lose their disk as a whole.
    wipeable: Vec<u64>,
    interval: u64,
    election: u64,
    latency: u64,
    /// What follows the last fault while that is still going on, and after how long.
    sequel: Option<(u64, Attack)>,
    /// Clocks may jump: nobody trusts them.
    jumps: bool,
    seed: u64,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Cut,
    CutOneWay,
    Flap,
    Clog,
    Reset,
    Kill,
    Power,
    DiskError,
    Full,
    Flip,
    Lie,
    Slow,
    Wipe,
    Pause,
    LowSpace,
    Clock,
    Alarm,
    Hunt,
    Members,
    Leadership,
    Upgrade,
    Import,
}

impl Nemesis {
    /// The nemesis of a plan.
    pub(crate) fn new(plan: &Plan, random: Random) -> Self {
        Self {
            random,
            faults: plan.faults.clone(),
            nodes: plan.all_nodes(),
            groups: plan.groups,
            damageable: plan.atlas.nodes.iter().copied().collect(),
            wipeable: plan.atlas.nodes.iter().copied().collect(),
            interval: plan.fault_interval,
            election: plan.settings.election_timeout * MS,
            latency: plan.network_latency,
            sequel: None,
            jumps: plan.leases == 0,
            seed: plan.seed & 1,
        }
    }

    /// Time until the next fault.
    pub(crate) fn pause(&mut self) -> u64 {
        match self.sequel {
            Some((after, _)) => after,
            None => self.random.between(self.interval / 4, self.interval * 2),
        }
    }

    /// The next fault, if any kind is allowed. `leader`: a node that believes it leads.
    pub(crate) fn next(&mut self, leader: Option<NodeId>) -> Option<Attack> {
        if let Some((_, attack)) = self.sequel.take() {
            return Some(attack);
        }
        let attack = self.draw(leader)?;
        if self.faults.sequels && self.random.chance(600) {
            self.sequel = self.sequel(&attack);
        }
        Some(attack)
    }

    fn draw(&mut self, leader: Option<NodeId>) -> Option<Attack> {
        let kinds = self.kinds();
        let kind = *kinds.get(self.random.below(kinds.len() as u64) as usize)?;
        let leader = leader.map(|leader| leader.0);
        let node = self.victim(leader);
        let time = self.random.between(self.election / 3, self.election * 6);
        Some(match kind {
            Kind::Cut => self.cut(node, time),
            Kind::CutOneWay => {
                let outwards = self.random.chance(500);
                Attack::Cut {
                    side: self.side(node),
                    outwards,
                    inwards: !outwards,
                    time,
                }
            }
            Kind::Flap => Attack::Flap {
                side: self.side(node),
                period: self.random.between(self.election / 5, self.election * 2),
                times: self.random.between(2, 6),
            },
            Kind::Clog => Attack::Clog {
                from: node,
                to: self.other(node),
                time,
            },
            Kind::Reset => Attack::Reset {
                node,
                peer: self.other(node),
            },
            Kind::Kill => self.stop(node, false, time),
            Kind::Power => self.power(node, time),
            Kind::Full => Attack::Full {
                node,
                slack: match self.random.chance(500) {
                    true => 0,
                    false => self.random.below(64 << 10),
                },
                time: time * 2,
            },
            Kind::DiskError | Kind::Flip | Kind::Lie => self.damage(kind, time)?,
            Kind::Wipe => self.wipe()?,
            Kind::Slow if self.random.chance(500) => Attack::HungDisk { node, time },
            Kind::Slow => Attack::SlowDisk {
                node,
                factor: self.random.between(5, 50),
                time,
            },
            Kind::Pause if self.random.chance(250) => Attack::Pause {
                node,
                time: time * 3,
            },
            Kind::Pause => Attack::Pause { node, time },
            Kind::LowSpace => Attack::LowSpace { node, time },
            Kind::Clock => self.clock(node, time),
            Kind::Hunt => Attack::Hunt {
                time: self.random.between(self.election * 10, self.election * 60),
            },
            Kind::Members => self.members(leader.unwrap_or(node)),
            Kind::Leadership => self.leadership(node, leader.unwrap_or(node)),
            Kind::Upgrade => self.upgrade(leader.unwrap_or(node)),
            Kind::Import => self.import(node, leader.unwrap_or(node)),
            Kind::Alarm if self.random.chance(500) => Attack::Campaign { node },
            Kind::Alarm => Attack::Alarm {
                node,
                peer: self.any(),
            },
        })
    }

    fn kinds(&self) -> Vec<Kind> {
        let faults = &self.faults;
        let several = self.nodes > 1;
        let allowed = [
            (Kind::Cut, faults.partition && several),
            (Kind::CutOneWay, faults.one_way && several),
            (Kind::Flap, faults.flap && several),
            (Kind::Clog, faults.clog && several),
            (Kind::Reset, faults.reset && several),
            (Kind::Kill, faults.kill),
            (Kind::Power, faults.power),
            (Kind::DiskError, faults.disk_error),
            (Kind::Full, faults.full),
            // Many find that the log needs no more room just now.
            (Kind::Full, faults.full),
            (Kind::Flip, faults.flip),
            (Kind::Lie, faults.lie),
            (Kind::Slow, faults.slow),
            (Kind::Wipe, faults.wipe && !self.wipeable.is_empty()),
            (Kind::Pause, faults.pause),
            (Kind::LowSpace, faults.low_space),
            (Kind::Clock, faults.clock),
            (Kind::Alarm, faults.alarm),
            (Kind::Hunt, faults.hunt),
            // Most changes are refused or change nothing.
            (Kind::Members, faults.members),
            (Kind::Members, faults.members),
            (Kind::Members, faults.members),
            (Kind::Members, faults.members),
            (Kind::Leadership, faults.leadership && several),
            (Kind::Upgrade, faults.upgrade),
            (Kind::Import, faults.import),
        ];
        let allowed = allowed.into_iter().filter(|(_, allowed)| *allowed);
        allowed.map(|(kind, _)| kind).collect()
    }

    /// Leaders are hit more often than others.
    fn victim(&mut self, leader: Option<u64>) -> u64 {
        match leader {
            Some(leader) if self.random.chance(400) => leader,
            _ => self.any(),
        }
    }

    fn any(&mut self) -> u64 {
        self.random.between(1, self.nodes)
    }

    /// Any node but this one, if there is another.
    fn other(&mut self, node: u64) -> u64 {
        let step = self.random.between(1, self.nodes.max(2) - 1);
        (node + step - 1) % self.nodes + 1
    }

    fn side(&mut self, node: u64) -> BTreeSet<u64> {
        let mut side = BTreeSet::from([node]);
        for other in 1..=self.nodes {
            if self.random.chance(250) {
                side.insert(other);
            }
        }
        side
    }

    fn cut(&mut self, node: u64, time: u64) -> Attack {
        if self.nodes > 3 && self.random.chance(150) {
            return Attack::Ring { time };
        }
        if self.nodes > 2 && self.random.chance(200) {
            let other = self.other(node);
            let mut side = self.side(other);
            side.remove(&node);
            return Attack::Bridge { node, side, time };
        }
        Attack::Cut {
            side: self.side(node),
            outwards: true,
            inwards: true,
            time,
        }
    }

    fn stop(&mut self, node: u64, power: bool, time: u64) -> Attack {
        match self.random.chance(120) {
            true => Attack::StopAll { power, time },
            false => Attack::Stop { node, power, time },
        }
    }

    fn power(&mut self, node: u64, time: u64) -> Attack {
        match self.random.chance(450) {
            true => Attack::PowerSoon {
                node,
                operations: self.random.below(60),
            },
            false => self.stop(node, true, time),
        }
    }

    fn damage(&mut self, kind: Kind, time: u64) -> Option<Attack> {
        if self.damageable.is_empty() {
            return None;
        }
        let node = *self.random.pick(&self.damageable);
        let operations = self.random.below(30);
        // The log and the anchor are each other's witnesses: a disk that lies to one and harms the
        // other can make them agree.
        let witness = match (node + self.seed).is_multiple_of(2) {
            true => FileKind::Log,
            false => FileKind::Anchor,
        };
        let rotten = match self.faults.lie {
            true => witness,
            false => *self.random.pick(&[FileKind::Log, FileKind::Anchor]),
        };
        Some(match kind {
            Kind::DiskError => Attack::DiskError {
                node,
                operations,
                // Few writes that go astray are ever read again.
                kind: *self.random.pick(&[
                    DiskOperation::Read,
                    DiskOperation::Write,
                    DiskOperation::MisdirectedWrite,
                    DiskOperation::MisdirectedWrite,
                    DiskOperation::MisdirectedWrite,
                    DiskOperation::MisdirectedWrite,
                    DiskOperation::MisdirectedWrite,
                    DiskOperation::Sync,
                    DiskOperation::Sync,
                ]),
            },
            Kind::Lie => Attack::Lie {
                node,
                file: *self.random.pick(&[witness, FileKind::Snapshot]),
                time,
            },
            _ if self.random.chance(250) => Attack::DiskError {
                node,
                operations,
                kind: DiskOperation::FlippedRead,
            },
            _ => Attack::Flip {
                node,
                file: *self.random.pick(&[rotten, FileKind::Snapshot]),
                position: self.random.next() >> 1,
                dense: self.random.chance(700),
                kill: self.random.chance(500),
            },
        })
    }

    fn wipe(&mut self) -> Option<Attack> {
        let node = self.wipeable.pop()?;
        Some(Attack::Wipe { node })
    }

    fn clock(&mut self, node: u64, time: u64) -> Attack {
        match self.random.below(3) {
            0 => Attack::Drift {
                node,
                drift: self.random.between(0, 100_000) as i64 - 50_000,
            },
            1 if self.jumps => Attack::Jump { node, time },
            _ => Attack::Clock {
                node,
                skew: self.random.between(0, 20_000) as i64 * MS as i64 - 10_000 * MS as i64,
            },
        }
    }

    /// Members come rather than go, and one step at a time rather than several.
    fn members(&mut self, node: u64) -> Attack {
        let steps = *self.random.pick(&[0, 1, 1, 1, 1, 2, 2, 3]);
        let mut changes: Vec<Step> = Vec::new();
        for _ in 0..steps {
            let member = self.any();
            if changes.iter().all(|change| change.node() != member) {
                changes.push(match self.random.below(8) {
                    0..=2 => Step::Voter(member),
                    3..=4 => Step::Learner(member),
                    5 => Step::Witness(member),
                    _ => Step::Remove(member),
                });
            }
        }
        Attack::Members {
            node,
            changes,
            passage: *self.random.pick(&[
                Passage::Auto,
                Passage::Auto,
                Passage::Implicit,
                Passage::Explicit,
            ]),
        }
    }

    fn leadership(&mut self, node: u64, leader: u64) -> Attack {
        match self.random.below(6) {
            0 => Attack::ForgetLeader { node },
            1 => Attack::Priority {
                node,
                priority: self.random.below(8) as u8,
            },
            2 => Attack::Transfer {
                node: leader,
                to: None,
            },
            _ => Attack::Transfer {
                node: leader,
                to: Some(self.any()),
            },
        }
    }

    /// What makes the most of a change of leader or members while it is under way, if that is what it is:
    /// who gave leadership up hears nobody, so that it leads on unawares, or who gets it is asked
    /// for other members at once; who changes members is asked for more, or cut off, or killed.
    fn sequel(&mut self, attack: &Attack) -> Option<(u64, Attack)> {
        let latency = self.latency;
        let time = self.random.between(self.election / 3, self.election * 4);
        let members = self.faults.members;
        Some(match *attack {
            Attack::Transfer { to: Some(to), .. } if members && self.random.chance(500) => {
                (self.random.between(latency, 6 * latency), self.members(to))
            }
            Attack::Transfer { node, .. } => (
                self.random.below(2 * latency),
                Attack::Cut {
                    side: BTreeSet::from([node]),
                    outwards: false,
                    inwards: true,
                    time,
                },
            ),
            Attack::Campaign { node } if members => (
                self.random.between(latency, 6 * latency),
                self.members(node),
            ),
            Attack::Members { node, .. } => {
                let after = self.random.below(2 * latency);
                let (side, outwards) = (BTreeSet::from([node]), true);
                let attack = match self.random.below(4) {
                    0 => Attack::Stop {
                        node,
                        power: false,
                        time,
                    },
                    1 => Attack::Cut {
                        side,
                        outwards,
                        inwards: true,
                        time,
                    },
                    _ => self.members(node),
                };
                (after, attack)
            }
            _ => return None,
        })
    }

    /// Snapshots are taken away, and what was taken comes back.
    fn import(&mut self, node: u64, leader: u64) -> Attack {
        let group = self.random.between(1, self.groups);
        match self.random.chance(500) {
            true => Attack::Export { node, group },
            false => Attack::Restore {
                node: leader,
                group,
                image: self.random.below(16),
            },
        }
    }

    fn upgrade(&mut self, node: u64) -> Attack {
        Attack::Upgrade {
            node,
            version: self.random.between(1, VERSIONS),
            fails: *self.random.pick(&[
                None,
                None,
                None,
                Some(Failure::Refuses),
                Some(Failure::Traps),
            ]),
        }
    }
}
