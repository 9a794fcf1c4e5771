//! The wires between the nodes: every direction of every pair on its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use coracle_proto::{Envelope, Message, NodeId};

use crate::plan::{MS, Plan};
use crate::random::Random;

/// Old messages of each kind that are kept to be delivered again.
const OLD_MESSAGES: usize = 30;

/// Longest time an old message is held back for.
const MAX_REPLAY_DELAY: u64 = 3000 * MS;

/// A direction between two nodes.
pub(crate) type Wire = (NodeId, NodeId);

/// The simulated network.
#[derive(Debug)]
pub(crate) struct Network {
    random: Random,
    nodes: u64,
    latency: u64,
    drop: u64,
    duplicate: u64,
    delay: u64,
    replay: u64,
    cut: BTreeSet<Wire>,
    /// Nothing arrives before then.
    clogged: BTreeMap<Wire, u64>,
    /// How many times each connection was lost; what was sent before does not arrive.
    losses: BTreeMap<Wire, u64>,
    /// By kind, so that what is seldom said is repeated as often as the rest.
    old: BTreeMap<u8, VecDeque<Envelope>>,
    /// What it did to single messages, for figures.
    pub(crate) harmed: Harmed,
}

/// Messages to which something happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Harmed {
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) late: u64,
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
            replay: plan.faults.replay,
            cut: BTreeSet::new(),
            clogged: BTreeMap::new(),
            losses: BTreeMap::new(),
            old: BTreeMap::new(),
            harmed: Harmed::default(),
        }
    }

    /// After how much time a message arrives: not at all, once, or twice.
    pub(crate) fn route(&mut self, now: u64, from: NodeId, to: NodeId) -> Vec<u64> {
        if self.is_cut(from, to) {
            return Vec::new();
        }
        if self.random.chance(self.drop) {
            self.harmed.lost += 1;
            return Vec::new();
        }
        let doubled = self.random.chance(self.duplicate);
        self.harmed.doubled += u64::from(doubled);
        let copies = if doubled { 2 } else { 1 };
        let clogged = self.clogged.get(&(from, to)).copied().unwrap_or(0);
        let clogged = clogged.saturating_sub(now);
        (0..copies).map(|_| self.latency().max(clogged)).collect()
    }

    /// A message that was sent long ago, and after how much time it arrives once more.
    pub(crate) fn replay(&mut self, envelope: &Envelope) -> Option<(u64, Envelope)> {
        if self.replay == 0 {
            return None;
        }
        let old = self.old.entry(kind(&envelope.message)).or_default();
        if old.len() == OLD_MESSAGES {
            old.pop_front();
        }
        old.push_back(envelope.clone());
        if !self.random.chance(self.replay) {
            return None;
        }
        let at = self.random.below(self.old.len() as u64) as usize;
        let old = self.old.values().nth(at)?;
        let at = self.random.below(old.len() as u64) as usize;
        let time = self.random.below(MAX_REPLAY_DELAY);
        Some((time, old[at].clone()))
    }

    /// How long a message takes.
    pub(crate) fn latency(&mut self) -> u64 {
        let ordinary = self.random.between(self.latency / 10, self.latency);
        if self.random.chance(self.delay) {
            self.harmed.late += 1;
            return ordinary + self.random.below(1500 * MS);
        }
        ordinary
    }

    /// Whether nothing gets from one node to the other.
    pub(crate) fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.cut.contains(&(from, to))
    }

    /// How many times the connection was lost so far: a message arrives if there was no further
    /// loss since it was sent.
    pub(crate) fn losses(&self, from: NodeId, to: NodeId) -> u64 {
        self.losses.get(&(from, to)).copied().unwrap_or(0)
    }

    /// The connection breaks.
    pub(crate) fn reset(&mut self, one: NodeId, other: NodeId) {
        for wire in [(one, other), (other, one)] {
            *self.losses.entry(wire).or_default() += 1;
            self.clogged.remove(&wire);
        }
    }

    /// What is sent from now on arrives at `until` at the earliest.
    pub(crate) fn clog(&mut self, from: NodeId, to: NodeId, until: u64) {
        self.clogged.insert((from, to), until);
    }

    /// Cuts one direction.
    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId) {
        if from != to {
            self.cut.insert((from, to));
        }
    }

    /// Cuts between `side` and all others but `bridge`: both ways, or only what leaves it, or
    /// enters it.
    pub(crate) fn isolate(
        &mut self,
        side: &BTreeSet<u64>,
        bridge: Option<u64>,
        outwards: bool,
        inwards: bool,
    ) {
        for inside in side {
            for outside in 1..=self.nodes {
                if side.contains(&outside) || bridge == Some(outside) {
                    continue;
                }
                if outwards {
                    self.cut(NodeId(*inside), NodeId(outside));
                }
                if inwards {
                    self.cut(NodeId(outside), NodeId(*inside));
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
        self.clogged.clear();
        (self.drop, self.duplicate, self.delay, self.replay) = (0, 0, 0, 0);
    }
}

/// Kinds of message that are repeated alike.
fn kind(message: &Message) -> u8 {
    match message {
        Message::Vote { .. } => 0,
        Message::VoteReply { .. } => 1,
        Message::Append { .. } => 2,
        Message::AppendReply(_) => 3,
        Message::Heartbeat { .. } => 4,
        Message::HeartbeatReply { .. } => 5,
        Message::Snapshot { .. } => 6,
        Message::Quiesce { .. } => 7,
        Message::TimeoutNow => 8,
        Message::ReadIndex { .. } => 9,
        Message::ReadIndexReply { .. } => 10,
        Message::Wake => 11,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Faults;

    const WIRE: Wire = (NodeId(1), NodeId(2));

    /// With these rates, and a latency of one millisecond.
    fn network(faults: Faults) -> Network {
        let plan = Plan {
            nodes: 3,
            network_latency: MS,
            faults,
            ..Plan::of(1)
        };
        Network::new(&plan, Random::new(1))
    }

    fn routed(network: &mut Network) -> Vec<u64> {
        network.route(0, WIRE.0, WIRE.1)
    }

    #[test]
    fn a_sound_wire_carries_each_message_once_in_its_time() {
        let mut network = network(Faults::default());
        for _ in 0..100 {
            assert!(matches!(routed(&mut network)[..], [time] if time <= MS));
        }
        assert_eq!(network.harmed, Harmed::default());
    }

    #[test]
    fn messages_are_lost_doubled_and_late_and_counted() {
        let always = 1000;
        let mut lossy = network(Faults {
            drop: always,
            ..Faults::default()
        });
        assert!(routed(&mut lossy).is_empty());
        assert_eq!(lossy.harmed.lost, 1);
        let mut doubling = network(Faults {
            duplicate: always,
            ..Faults::default()
        });
        assert_eq!(routed(&mut doubling).len(), 2);
        assert_eq!(doubling.harmed.doubled, 1);
        let mut slow = network(Faults {
            delay: always,
            ..Faults::default()
        });
        let latest = (0..20).flat_map(|_| routed(&mut slow)).max();
        assert!(latest > Some(100 * MS), "{latest:?}");
        assert_eq!(slow.harmed.late, 20);
        slow.heal();
        assert!(routed(&mut slow)[0] <= MS);
    }

    #[test]
    fn a_cut_or_clogged_direction_leaves_the_other_alone() {
        let mut network = network(Faults::default());
        network.isolate(&BTreeSet::from([1]), Some(3), true, false);
        assert!(routed(&mut network).is_empty());
        assert_eq!(network.route(0, WIRE.1, WIRE.0).len(), 1);
        assert_eq!(network.route(0, NodeId(1), NodeId(3)).len(), 1, "a bridge");
        network.mend();
        network.clog(WIRE.0, WIRE.1, 50 * MS);
        assert_eq!(routed(&mut network), [50 * MS]);
        assert!(network.route(0, WIRE.1, WIRE.0)[0] <= MS);
        let before = network.losses(WIRE.1, WIRE.0);
        network.reset(WIRE.0, WIRE.1);
        assert_eq!(network.losses(WIRE.1, WIRE.0), before + 1);
        assert!(routed(&mut network)[0] <= MS, "what piled up is gone");
    }
}
