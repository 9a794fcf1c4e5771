//! What happens, in an order that both implementations go through.

use std::collections::BTreeSet;

use crate::{Cluster, Members, Replica};

/// One step of a schedule. Nodes are numbered from 1.
///
/// After whatever loses messages the network comes to rest: how soon a leader sends again what was
/// lost is its own matter, and an entry that is not committed when its leader is deposed may
/// survive in one implementation and not in the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// This node campaigns.
    Campaign(u64),
    /// The network comes to rest; then nodes campaign in turn until one leads.
    Elect,
    /// Whoever leads the highest term is given so many proposals.
    Propose(u8),
    /// Everybody who believes to lead is given a proposal.
    ProposeEverywhere,
    /// So many rounds of the network.
    Rounds(u8),
    /// Rounds until it is at rest.
    Settle,
    /// Everything under way is lost.
    Lose,
    /// These nodes on one side, the rest on the other.
    Partition(BTreeSet<u64>),
    /// One network again.
    Heal,
    /// This process ends.
    Crash(u64),
    /// It is started again.
    Restart(u64),
    /// Whoever leads the highest term hands over to this node, if it can be reached, with the
    /// network at rest before and after.
    Transfer(u64),
    /// Whoever leads the highest term changes the members to these and itself. The network comes
    /// to rest before and after: the two make a configuration effective at different moments (at
    /// append, at apply), and only one of them has a removed leader step down.
    Change(Members),
}

/// Plays a schedule; payloads are numbered in the order of their proposal.
pub fn play<R: Replica>(cluster: &mut Cluster<R>, schedule: &[Act]) {
    let mut payload = 0;
    for act in schedule {
        step(cluster, act, &mut payload);
    }
}

fn step<R: Replica>(cluster: &mut Cluster<R>, act: &Act, payload: &mut u64) {
    match act {
        Act::Campaign(node) => cluster.on(*node, |replica, sends| replica.campaign(sends)),
        Act::Elect => elect(cluster),
        Act::Propose(count) => {
            for _ in 0..*count {
                *payload += 1;
                let leader = cluster.leaders().last().copied().unwrap_or_default();
                cluster.on(leader, |replica, sends| replica.propose(*payload, sends));
            }
        }
        Act::ProposeEverywhere => {
            for leader in cluster.leaders() {
                *payload += 1;
                cluster.on(leader, |replica, sends| replica.propose(*payload, sends));
            }
        }
        Act::Rounds(rounds) => (0..*rounds).for_each(|_| cluster.round()),
        Act::Settle => cluster.settle(),
        Act::Lose => {
            cluster.lose();
            cluster.settle();
        }
        Act::Partition(side) => {
            cluster.partition(side);
            cluster.settle();
        }
        Act::Heal => cluster.heal(),
        Act::Crash(node) => {
            cluster.crash(*node);
            cluster.settle();
        }
        Act::Restart(node) => cluster.restart(*node),
        Act::Transfer(to) => {
            cluster.settle();
            let leader = cluster.leaders().last().copied().unwrap_or_default();
            if cluster.passes(leader, *to) {
                cluster.on(leader, |replica, sends| replica.transfer(*to, sends));
                cluster.settle();
            }
        }
        Act::Change(members) => {
            cluster.settle();
            let leader = cluster.leaders().last().copied().unwrap_or_default();
            let mut members = members.clone();
            members.learners.remove(&leader);
            members.voters.insert(leader);
            cluster.on(leader, |replica, sends| replica.change(&members, sends));
            cluster.settle();
        }
    }
}

/// Twice around is enough: the first round may be lost to terms that are behind.
fn elect<R: Replica>(cluster: &mut Cluster<R>) {
    cluster.settle();
    let nodes: Vec<u64> = cluster.view().into_keys().collect();
    for node in nodes.iter().chain(&nodes) {
        if !cluster.leaders().is_empty() {
            return;
        }
        cluster.on(*node, |replica, sends| replica.campaign(sends));
        cluster.settle();
    }
}
