//! The fault atlas: which nodes' disks may lose or damage what they promised to keep. It is drawn
//! before the run, so that a quorum of good copies of everything committed exists at all times;
//! the idea is TigerBeetle's.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// So many runs in a thousand have no bound: any disk may be damaged, and the cluster may
/// end up without a quorum. Then nodes must refuse to run, and nothing may be wrong in silence.
const UNBOUNDED_PER_MILLE: u64 = 120;

/// Which disks may be damaged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Atlas {
    /// These nodes'.
    pub nodes: BTreeSet<u64>,
    /// They may be a majority.
    pub unbounded: bool,
}

impl Atlas {
    /// Fewer than half of the voters `1..=nodes`, or now and then all of them.
    pub(crate) fn draw(nodes: u64, random: &mut Random) -> Self {
        let unbounded = random.chance(UNBOUNDED_PER_MILLE);
        let mut candidates: Vec<u64> = (1..=nodes).collect();
        let most = match unbounded {
            true => nodes,
            false => nodes.saturating_sub(1) / 2,
        };
        let mut drawn = BTreeSet::new();
        while (drawn.len() as u64) < most {
            let at = random.below(candidates.len() as u64) as usize;
            drawn.insert(candidates.swap_remove(at));
        }
        Self {
            nodes: drawn,
            unbounded,
        }
    }

    /// All of the voters `1..=nodes`.
    pub(crate) fn all(nodes: u64) -> Self {
        Self {
            nodes: (1..=nodes).collect(),
            unbounded: true,
        }
    }

    /// Whether most of the voters `1..=nodes` keep good disks.
    pub(crate) fn keeps_a_quorum(&self, nodes: u64) -> bool {
        2 * (self.nodes.len() as u64) < nodes
    }

    /// Whether the disk of this node may be damaged.
    pub(crate) fn allows(&self, node: u64) -> bool {
        self.nodes.contains(&node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_of_the_voters_keeps_good_disks_unless_the_atlas_has_no_bound() {
        let mut random = Random::new(1);
        let mut unbounded = 0;
        for nodes in [1, 2, 3, 5, 7].into_iter().cycle().take(1000) {
            let atlas = Atlas::draw(nodes, &mut random);
            let good = (1..=nodes).filter(|node| !atlas.allows(*node)).count() as u64;
            assert!(good > nodes / 2 || atlas.unbounded, "{atlas:?} of {nodes}");
            unbounded += u64::from(atlas.unbounded);
        }
        assert!((80..160).contains(&unbounded), "{unbounded}");
    }
}
