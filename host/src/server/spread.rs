//! Spreads the leaders of fsms over the nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coracle_client::{Moved, NotMoved, Spread};
use coracle_driver::directory::DirectoryState;
use coracle_proto::{DEFAULT_PRIORITY, GroupId, NodeId};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

use super::Shell;
use super::call::{Call, Reply};

/// Transfers under way at once: while one is, its group takes no writes.
const TRANSFERS_AT_ONCE: usize = 4;

/// For a node to say whether it is drained; one that says nothing is taken for not drained.
const DRAINED_PATIENCE: Duration = Duration::from_secs(1);

/// One group to be spread.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Placed {
    fsm: String,
    group: GroupId,
    leader: NodeId,
    /// The voters that may lead it.
    candidates: BTreeSet<NodeId>,
}

impl Shell {
    /// Moves leaderships until no node leads two more groups than another that could lead one of
    /// them.
    pub(super) async fn spread(self: &Arc<Self>, deadline: Instant) -> Spread {
        let directory = self.directory.state();
        let drained = self.drained(deadline).await;
        let mut placed = self.placed(&directory, &drained);
        let moves = plan(&mut placed);
        let mut spread = Spread {
            leaders: BTreeMap::new(),
            moved: Vec::new(),
            failed: Vec::new(),
        };
        for few in moves.chunks(TRANSFERS_AT_ONCE) {
            let mut transfers = JoinSet::new();
            for (group, step) in few.iter().cloned() {
                let shell = Arc::clone(self);
                transfers.spawn(async move {
                    let call = Call::Transfer {
                        group: group.0,
                        to: Some(step.to),
                    };
                    (step, shell.at_leader(call, deadline).await)
                });
            }
            while let Some(Ok((step, result))) = transfers.join_next().await {
                match result {
                    Ok(_) => spread.moved.push(step),
                    Err(failure) => spread.failed.push(NotMoved {
                        fsm: step.fsm,
                        reason: failure.detail,
                    }),
                }
            }
        }
        for placed in self.placed(&directory, &drained) {
            let to = spread.moved.iter().find(|moved| moved.fsm == placed.fsm);
            let leader = to.map_or(placed.leader.0, |moved| moved.to);
            *spread.leaders.entry(leader).or_default() += 1;
        }
        spread
    }

    /// The nodes that say of themselves that they are drained.
    async fn drained(self: &Arc<Self>, deadline: Instant) -> BTreeSet<NodeId> {
        let deadline = deadline.min(Instant::now() + DRAINED_PATIENCE);
        let mut asked = JoinSet::new();
        for node in self.all_nodes() {
            let shell = Arc::clone(self);
            asked.spawn(async move {
                let drained = if node == shell.node {
                    *shell.draining.borrow()
                } else {
                    let answer = shell.ask(node, &Call::Draining, deadline).await;
                    matches!(answer, Ok(Reply::Draining { on: true }))
                };
                (node, drained)
            });
        }
        let mut drained = BTreeSet::new();
        while let Some(answer) = asked.join_next().await {
            if let Ok((node, true)) = answer {
                drained.insert(node);
            }
        }
        drained
    }

    /// The groups whose leader this node knows.
    fn placed(&self, directory: &DirectoryState, drained: &BTreeSet<NodeId>) -> Vec<Placed> {
        let fsms = directory.fsms.iter().filter(|(_, fsm)| !fsm.retiring);
        let placed = fsms.filter_map(|(name, fsm)| {
            let status = self.views.get(fsm.group)?;
            let configuration = &status.configuration;
            let voters = configuration.voters.difference(&configuration.witnesses);
            let voters = voters.map(|replica| replica.node).collect();
            Some(Placed {
                fsm: name.clone(),
                group: fsm.group,
                leader: self.leader(fsm.group)?,
                candidates: preferred(directory, drained, voters),
            })
        });
        placed.collect()
    }
}

/// Those of the voters that stay and have the highest priority among them. A drained one counts
/// only if all are.
fn preferred(
    directory: &DirectoryState,
    drained: &BTreeSet<NodeId>,
    voters: BTreeSet<NodeId>,
) -> BTreeSet<NodeId> {
    let nodes = &directory.members.nodes;
    let priority = |node: &NodeId| nodes.get(node).map_or(DEFAULT_PRIORITY, |n| n.priority);
    let stays = |node: &NodeId| nodes.get(node).is_none_or(|node| !node.leaving);
    let mut staying: BTreeSet<_> = voters.into_iter().filter(stays).collect();
    if staying.iter().any(|node| !drained.contains(node)) {
        staying.retain(|node| !drained.contains(node));
    }
    let highest = staying.iter().map(priority).max();
    let preferred = staying.into_iter();
    preferred
        .filter(|node| Some(priority(node)) == highest)
        .collect()
}

/// The transfers after which the leaders are as even as the groups' voters allow: each makes the
/// fullest node's load one less and that of an emptier one, at least two below, one more.
fn plan(groups: &mut [Placed]) -> Vec<(GroupId, Moved)> {
    let mut load: BTreeMap<NodeId, usize> = BTreeMap::new();
    for group in groups.iter() {
        for node in &group.candidates {
            load.entry(*node).or_default();
        }
        *load.entry(group.leader).or_default() += 1;
    }
    let mut moves = BTreeMap::new();
    while let Some((at, to)) = next(groups, &load) {
        let group = &mut groups[at];
        let from = std::mem::replace(&mut group.leader, to);
        *load.entry(from).or_default() -= 1;
        *load.entry(to).or_default() += 1;
        let step = moves.entry(group.group).or_insert_with(|| Moved {
            fsm: group.fsm.clone(),
            from: from.0,
            to: to.0,
        });
        step.to = to.0;
    }
    moves.into_iter().collect()
}

/// The move that helps most: of a group whose leader should not lead it, or from the fullest node.
fn next(groups: &[Placed], load: &BTreeMap<NodeId, usize>) -> Option<(usize, NodeId)> {
    let of = |node: &NodeId| load.get(node).copied().unwrap_or(0);
    let moves = groups.iter().enumerate().filter_map(|(at, group)| {
        let to = *group.candidates.iter().min_by_key(|node| of(node))?;
        let misplaced = !group.candidates.contains(&group.leader);
        let gain = of(&group.leader).saturating_sub(of(&to));
        (misplaced || gain >= 2).then_some((misplaced, gain, at, to))
    });
    let best =
        moves.max_by_key(|(misplaced, gain, at, _)| (*misplaced, *gain, std::cmp::Reverse(*at)));
    best.map(|(_, _, at, to)| (at, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(id: u64, leader: u64, candidates: &[u64]) -> Placed {
        Placed {
            fsm: format!("f{id}"),
            group: GroupId(id),
            leader: NodeId(leader),
            candidates: candidates.iter().copied().map(NodeId).collect(),
        }
    }

    fn loads(groups: &[Placed]) -> Vec<usize> {
        let led = |node: u64| groups.iter().filter(move |g| g.leader.0 == node).count();
        (1..=3).map(led).collect()
    }

    #[test]
    fn leaders_end_up_even_with_as_few_moves_as_it_takes() {
        let mut groups: Vec<_> = (1..=9).map(|id| group(id, 1, &[1, 2, 3])).collect();
        let moves = plan(&mut groups);
        assert_eq!(loads(&groups), [3, 3, 3]);
        assert_eq!(moves.len(), 6);
        assert!(plan(&mut groups).is_empty());
    }

    #[test]
    fn a_group_only_goes_to_a_node_that_may_lead_it() {
        let mut groups = vec![
            group(1, 1, &[1, 2]),
            group(2, 1, &[1, 2]),
            group(3, 1, &[1]),
        ];
        plan(&mut groups);
        assert_eq!(groups[2].leader, NodeId(1));
        assert_eq!(loads(&groups), [2, 1, 0]);
    }

    #[test]
    fn a_leader_that_others_are_preferred_to_gives_way() {
        let mut groups = vec![group(1, 3, &[1, 2])];
        let moves = plan(&mut groups);
        assert_eq!(moves.len(), 1);
        assert_ne!(groups[0].leader, NodeId(3));
    }
}
