//! Changes of the configuration.

use coracle_proto::{Change, EntryKind, NodeId, Role, Transition};

use super::{beat, campaign, commit, committed, isolate, plain, role, with_check_quorum};
use crate::cluster::{Cluster, T};

fn voter(node: u64) -> Change {
    Change::Voter(NodeId(node))
}

fn learner(node: u64) -> Change {
    Change::Learner(NodeId(node))
}

fn remove(node: u64) -> Change {
    Change::Remove(NodeId(node))
}

fn auto(cluster: &mut Cluster, node: u64, changes: &[Change]) {
    cluster.change(node, changes, Transition::Auto);
}

/// The nodes that vote, by the configuration in force at this node.
fn voters(cluster: &Cluster, node: u64) -> Vec<u64> {
    let configuration = cluster.nodes[&node].raft.status().configuration;
    configuration.voters.iter().map(|id| id.node.0).collect()
}

#[test]
fn step_config() {
    let mut cluster = Cluster::new(2, plain);
    cluster.elect(1);
    let last = cluster.nodes[&1].raft.status().last.index;
    auto(&mut cluster, 1, &[voter(3)]);
    let status = cluster.nodes[&1].raft.status();
    assert_eq!(status.last.index, last + 1);
    assert_eq!(
        status.configuration.index,
        last + 1,
        "in force from its append"
    );
    assert!(!status.configuration_committed);
}

/// One at a time: the second is refused, and nothing is appended in its place.
#[test]
fn step_ignore_config() {
    let mut cluster = Cluster::new(2, plain);
    cluster.elect(1);
    auto(&mut cluster, 1, &[voter(3)]);
    let last = cluster.nodes[&1].raft.status().last;
    cluster.trace.clear();
    auto(&mut cluster, 1, &[voter(4)]);
    assert!(
        cluster.trace[0].ends_with("the configuration of entry 2 is not committed yet"),
        "{:?}",
        cluster.trace
    );
    assert_eq!(cluster.nodes[&1].raft.status().last, last);
}

/// A new leader with an uncommitted change in its log allows no other until that is committed.
#[test]
fn new_leader_pending_config() {
    let mut cluster = Cluster::new(3, plain);
    cluster.elect(1);
    auto(&mut cluster, 1, &[learner(4)]);
    // It reaches node 2 only; node 1 is gone.
    cluster.cut.insert((1, 3));
    while cluster.persist_one(1) {}
    cluster.cut.extend([(2, 1), (1, 4), (4, 1)]);
    cluster.settle();
    isolate(&mut cluster, 1);
    super::campaign_only(&mut cluster, 2);
    while role(&cluster, 2) != Role::Leader {
        assert!(cluster.persist_one(2) | cluster.persist_one(3) | cluster.deliver_one());
    }
    cluster.trace.clear();
    auto(&mut cluster, 2, &[learner(5)]);
    let refused = "the configuration of entry 2 is not committed yet";
    let last = cluster.trace.last().map(String::as_str).unwrap_or_default();
    assert!(last.ends_with(refused), "{:?}", cluster.trace);
    cluster.settle();
    auto(&mut cluster, 2, &[learner(5)]);
    cluster.settle();
    let members = cluster.nodes[&2].raft.status().configuration.members();
    assert_eq!(members.len(), 5);
}

#[test]
fn add_node() {
    let mut cluster = Cluster::new(1, plain);
    cluster.elect(1);
    auto(&mut cluster, 1, &[voter(2)]);
    cluster.run(T / 2);
    assert_eq!(voters(&cluster, 1), [1, 2]);
    assert_eq!(commit(&cluster, 2), commit(&cluster, 1));
}

/// A new voter that has not answered yet does not cost the leader its quorum check at once.
#[test]
fn add_node_check_quorum() {
    let mut cluster = Cluster::new(1, with_check_quorum);
    cluster.elect(1);
    auto(&mut cluster, 1, &[voter(2)]);
    cluster.cut.extend([(1, 2), (2, 1)]);
    cluster.run(T / 2);
    assert_eq!(role(&cluster, 1), Role::Leader);
    cluster.run(T * 3);
    assert_eq!(role(&cluster, 1), Role::Follower, "it never answered");
}

#[test]
fn add_learner() {
    let mut cluster = Cluster::new(1, plain);
    cluster.elect(1);
    auto(&mut cluster, 1, &[learner(2)]);
    cluster.run(T / 2);
    let configuration = cluster.nodes[&1].raft.status().configuration;
    assert_eq!(configuration.learners.len(), 1);
    assert_eq!(committed(&cluster, 2), committed(&cluster, 1));
    auto(&mut cluster, 1, &[voter(2)]);
    cluster.settle();
    assert_eq!(voters(&cluster, 1), [1, 2], "promoted");
}

#[test]
fn learner_promotion() {
    let mut cluster = Cluster::new(1, plain);
    cluster.elect(1);
    auto(&mut cluster, 1, &[learner(2)]);
    cluster.run(T / 2);
    assert_eq!(role(&cluster, 2), Role::Follower);
    auto(&mut cluster, 1, &[voter(2)]);
    cluster.settle();
    campaign(&mut cluster, 2);
    assert_eq!(
        (role(&cluster, 1), role(&cluster, 2)),
        (Role::Follower, Role::Leader)
    );
}

#[test]
fn remove_node() {
    let mut cluster = Cluster::new(2, plain);
    cluster.elect(1);
    auto(&mut cluster, 1, &[remove(2)]);
    cluster.settle();
    assert_eq!(voters(&cluster, 1), [1]);
    cluster.trace.clear();
    auto(&mut cluster, 1, &[remove(1)]);
    assert!(cluster.trace[0].ends_with("no voter would be left"));
}

#[test]
fn remove_learner() {
    let mut cluster = Cluster::new(1, plain);
    cluster.elect(1);
    auto(&mut cluster, 1, &[learner(2)]);
    cluster.run(T / 2);
    auto(&mut cluster, 1, &[remove(2)]);
    cluster.settle();
    let members = cluster.nodes[&1].raft.status().configuration.members();
    assert_eq!(members.len(), 1);
}

/// What waits for a node that is being removed is committed without it.
#[test]
fn commit_after_remove_node() {
    let mut cluster = Cluster::new(2, plain);
    cluster.elect(1);
    isolate(&mut cluster, 2);
    cluster.propose(1, "x");
    auto(&mut cluster, 1, &[remove(2)]);
    cluster.propose(1, "y");
    cluster.settle();
    // The removal is in force from its append, but is committed by those that stay.
    assert_eq!(commit(&cluster, 1), 4);
    let payloads: Vec<_> = committed(&cluster, 1).into_values().collect();
    assert_eq!(payloads, ["x", "y"]);
}

/// There a node with a committed but unapplied change must not campaign, because it would count
/// by the wrong voters. Here a change counts from its append, so that it may, and counts by the
/// new ones.
fn campaigns_by_the_new_configuration(transition: Transition) {
    let mut cluster = Cluster::new(3, plain);
    cluster.elect(1);
    cluster.change(1, &[remove(3)], transition);
    cluster.settle();
    cluster.settle();
    assert_eq!(voters(&cluster, 2), [1, 2]);
    isolate(&mut cluster, 3);
    let term = super::term(&cluster, 2);
    campaign(&mut cluster, 2);
    assert_eq!(
        (role(&cluster, 2), super::term(&cluster, 2)),
        (Role::Leader, term + 1)
    );
    let configurations = cluster.nodes[&2].disk.entries.iter();
    let configurations = configurations.filter(|e| e.kind == EntryKind::Configuration);
    let expected = match transition {
        Transition::Auto => 1,
        _ => 2,
    };
    assert_eq!(configurations.count(), expected);
}

#[test]
fn conf_change_check_before_campaign() {
    campaigns_by_the_new_configuration(Transition::Auto);
}

#[test]
fn conf_change_v2_check_before_campaign() {
    campaigns_by_the_new_configuration(Transition::Implicit);
}

/// Removed from outside its sight, a node that comes back is told, and troubles nobody.
#[test]
fn a_removed_node_that_comes_back_disturbs_nobody() {
    let mut cluster = Cluster::new(3, crate::cluster::config);
    cluster.elect(1);
    isolate(&mut cluster, 3);
    auto(&mut cluster, 1, &[remove(3)]);
    cluster.run(T * 3);
    cluster.heal();
    cluster.run(T * 5);
    beat(&mut cluster, 1);
    assert_eq!(
        (role(&cluster, 1), super::term(&cluster, 1)),
        (Role::Leader, 1)
    );
}
