//! What goes wrong next.

use std::collections::BTreeSet;

use coracle_proto::{Change, NodeId, Transition};

use crate::plan::{Faults, MS, Plan};
use crate::random::Random;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Attack {
    /// Cuts between these nodes and the others, for so long.
    Cut {
        /// One side.
        side: BTreeSet<NodeId>,
        /// What leaves it is lost.
        outwards: bool,
        /// What would enter it is lost.
        inwards: bool,
        /// For how long.
        time: u64,
    },
    /// Each node hears only its neighbours in a ring.
    Ring {
        /// For how long.
        time: u64,
    },
    /// Stops a process; it comes back after so long.
    Stop {
        /// Which.
        node: NodeId,
        /// What was not synced is lost.
        power: bool,
        /// For how long.
        time: u64,
    },
    /// Stops all processes at once.
    StopAll {
        /// What was not synced is lost.
        power: bool,
        /// For how long.
        time: u64,
    },
    /// Every new leader is killed as soon as it leads.
    Hunt {
        /// For how long.
        time: u64,
    },
    /// The power goes in the middle of an operation of the disk.
    PowerSoon {
        /// Whose.
        node: NodeId,
        /// After so many more operations.
        operations: u64,
    },
    /// A write or a sync fails.
    DiskError {
        /// Whose.
        node: NodeId,
        /// After so many more operations.
        operations: u64,
        /// A sync, else a write.
        sync: bool,
    },
    /// A process stands still.
    Pause {
        /// Which.
        node: NodeId,
        /// For how long.
        time: u64,
    },
    /// A disk is said to be nearly full.
    LowSpace {
        /// Whose.
        node: NodeId,
        /// For how long.
        time: u64,
    },
    /// A calendar jumps.
    Clock {
        /// Whose.
        node: NodeId,
        /// To so many nanoseconds ahead (or behind).
        skew: i64,
    },
    /// A connection is reported lost although it is not.
    Alarm {
        /// At whom.
        node: NodeId,
        /// To whom.
        peer: NodeId,
    },
    /// An election without need.
    Campaign {
        /// By whom.
        node: NodeId,
    },
    /// A change of members, asked of one node.
    Members {
        /// Of whom it is asked.
        node: NodeId,
        /// What is to change; nothing: leave the joint configuration.
        changes: Vec<Change>,
        /// How.
        transition: Transition,
    },
    /// Leadership is to be handed over.
    Transfer {
        /// Of whom it is asked.
        node: NodeId,
        /// To whom.
        to: Option<NodeId>,
    },
    /// A follower is told to follow nobody.
    ForgetLeader {
        /// Which.
        node: NodeId,
    },
    /// A node gets another priority.
    Priority {
        /// Which.
        node: NodeId,
        /// What.
        priority: u8,
    },
}

/// Draws faults from the kinds that the plan allows.
#[derive(Debug)]
pub(crate) struct Nemesis {
    random: Random,
    faults: Faults,
    nodes: u64,
    interval: u64,
    election: u64,
}

impl Nemesis {
    /// The nemesis of a plan.
    pub(crate) fn new(plan: &Plan, random: Random) -> Self {
        Self {
            random,
            faults: plan.faults.clone(),
            nodes: plan.all_nodes(),
            interval: plan.fault_interval,
            election: plan.node.election_timeout.as_nanos() as u64,
        }
    }

    /// Time until the next fault.
    pub(crate) fn pause(&mut self) -> u64 {
        self.random.between(self.interval / 4, self.interval * 2)
    }

    /// The next fault, if any kind is allowed. `leader`: a node that believes it leads.
    pub(crate) fn next(&mut self, leader: Option<NodeId>) -> Option<Attack> {
        let kinds = self.kinds();
        let kind = *kinds.get(self.random.below(kinds.len() as u64) as usize)?;
        let node = self.victim(leader);
        let time = self.random.between(self.election / 3, self.election * 6);
        Some(match kind {
            0 => self.cut(node, true, true, time),
            1 => {
                let outwards = self.random.chance(500);
                self.cut(node, outwards, !outwards, time)
            }
            2 if self.random.chance(120) => Attack::StopAll { power: false, time },
            2 => Attack::Stop {
                node,
                power: false,
                time,
            },
            3 if self.random.chance(120) => Attack::StopAll { power: true, time },
            3 if self.random.chance(500) => Attack::PowerSoon {
                node,
                operations: self.random.below(60),
            },
            3 => Attack::Stop {
                node,
                power: true,
                time,
            },
            4 => Attack::DiskError {
                node,
                operations: self.random.below(30),
                sync: self.random.chance(500),
            },
            9 => Attack::Hunt {
                time: self.random.between(self.election * 10, self.election * 60),
            },
            5 => Attack::Pause { node, time },
            6 => Attack::LowSpace { node, time },
            7 => Attack::Clock {
                node,
                skew: self.random.between(0, 20_000) as i64 * MS as i64 - 10_000 * MS as i64,
            },
            10 => self.members(leader.unwrap_or(node)),
            11 => self.leadership(node, leader.unwrap_or(node)),
            _ if self.random.chance(500) => Attack::Campaign { node },
            _ => Attack::Alarm {
                node,
                peer: self.any(),
            },
        })
    }

    fn kinds(&self) -> Vec<usize> {
        let faults = &self.faults;
        let several = self.nodes > 1;
        let allowed = [
            faults.partition && several,
            faults.one_way && several,
            faults.kill,
            faults.power,
            faults.disk_error,
            faults.pause,
            faults.low_space,
            faults.clock,
            faults.alarm,
            faults.hunt,
            faults.members,
            faults.leadership && several,
        ];
        let kinds = (0..allowed.len()).filter(|kind| allowed[*kind]);
        // Most changes are refused or change nothing.
        let again = [10; 3].into_iter().filter(|_| faults.members);
        kinds.chain(again).collect()
    }

    /// Leaders are hit more often than others.
    fn victim(&mut self, leader: Option<NodeId>) -> NodeId {
        match leader {
            Some(leader) if self.random.chance(400) => leader,
            _ => self.any(),
        }
    }

    /// Members come rather than go, and one step at a time rather than several.
    fn members(&mut self, node: NodeId) -> Attack {
        let steps = *self.random.pick(&[0, 1, 1, 1, 1, 2, 2, 3]);
        let mut changes: Vec<Change> = Vec::new();
        for _ in 0..steps {
            let member = self.any();
            if changes.iter().all(|change| change.node() != member) {
                changes.push(match self.random.below(8) {
                    0..=2 => Change::Voter(member),
                    3..=4 => Change::Learner(member),
                    5 => Change::Witness(member),
                    _ => Change::Remove(member),
                });
            }
        }
        Attack::Members {
            node,
            changes,
            transition: *self.random.pick(&[
                Transition::Auto,
                Transition::Auto,
                Transition::Implicit,
                Transition::Explicit,
            ]),
        }
    }

    fn leadership(&mut self, node: NodeId, leader: NodeId) -> Attack {
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

    fn any(&mut self) -> NodeId {
        NodeId(self.random.between(1, self.nodes))
    }

    fn cut(&mut self, node: NodeId, outwards: bool, inwards: bool, time: u64) -> Attack {
        if self.nodes > 3 && self.random.chance(150) {
            return Attack::Ring { time };
        }
        let mut side = BTreeSet::from([node]);
        for other in (1..=self.nodes).map(NodeId) {
            if self.random.chance(250) {
                side.insert(other);
            }
        }
        Attack::Cut {
            side,
            outwards,
            inwards,
            time,
        }
    }
}
