//! The wires between the nodes: every direction of every pair on its own.

use std::collections::BTreeSet;

use coracle_proto::NodeId;

use crate::plan::{MS, Plan};
use crate::random::Random;

/// The simulated network.
#[derive(Debug)]
pub(crate) struct Network {
    random: Random,
    nodes: u64,
    latency: u64,
    drop: u64,
    duplicate: u64,
    delay: u64,
    cut: BTreeSet<(NodeId, NodeId)>,
}

impl Network {
    /// The network of a plan.
    pub(crate) fn new(plan: &Plan, random: Random) -> Self {
        Self {
            random,
            nodes: plan.all_nodes(),
            latency: plan.network_latency,
            drop: plan.faults.drop,
            duplicate: plan.faults.duplicate,
            delay: plan.faults.delay,
            cut: BTreeSet::new(),
        }
    }

    /// After how much time a message arrives: not at all, once, or twice.
    pub(crate) fn route(&mut self, from: NodeId, to: NodeId) -> Vec<u64> {
        if self.is_cut(from, to) || self.random.chance(self.drop) {
            return Vec::new();
        }
        let copies = if self.random.chance(self.duplicate) {
            2
        } else {
            1
        };
        (0..copies).map(|_| self.latency()).collect()
    }

    /// How long a message takes.
    pub(crate) fn latency(&mut self) -> u64 {
        let ordinary = self.random.between(self.latency / 10, self.latency);
        if self.random.chance(self.delay) {
            return ordinary + self.random.below(1500 * MS);
        }
        ordinary
    }

    /// Whether nothing gets from one node to the other.
    pub(crate) fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.cut.contains(&(from, to))
    }

    /// Cuts one direction.
    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId) {
        if from != to {
            self.cut.insert((from, to));
        }
    }

    /// Cuts between `side` and all others: both ways, or only what leaves it, or enters it.
    pub(crate) fn isolate(&mut self, side: &BTreeSet<NodeId>, outwards: bool, inwards: bool) {
        for inside in side {
            for outside in (1..=self.nodes).map(NodeId) {
                if side.contains(&outside) {
                    continue;
                }
                if outwards {
                    self.cut(*inside, outside);
                }
                if inwards {
                    self.cut(outside, *inside);
                }
            }
        }
    }

    /// Mends all cuts.
    pub(crate) fn mend(&mut self) {
        self.cut.clear();
    }

    /// Mends all cuts and is reliable from now on.
    pub(crate) fn heal(&mut self) {
        self.mend();
        (self.drop, self.duplicate, self.delay) = (0, 0, 0);
    }
}
