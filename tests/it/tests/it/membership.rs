//! Nodes that come and go under load.

use coracle_client::{ChangeMember, Code, FsmState, MemberChange, MemberRole};
use coracle_it::{Cluster, Load, eventually};

/// Short enough that a test need not wait long for the next leader.
const QUICK: &str = "\n[raft]\nelection_timeout_ms = 500\nheartbeat_ms = 50\n";

#[test]
fn a_cluster_grows_from_one_to_five_and_shrinks_to_one_under_load() {
    let mut cluster = Cluster::start_with(1, QUICK);
    cluster.create_fsm("kv", "kv", &[]);
    let load = Load::start_up_to(&cluster, "kv", 5);
    load.wait_for(20);

    for _ in 2..=5 {
        cluster.join(MemberRole::Voter);
        load.wait_for(20);
    }
    let list = eventually("the list of the leader", || cluster.members());
    assert_eq!((list.members.len(), list.tolerance), (5, Some(2)));
    for id in [1, 3, 5, 4] {
        cluster.remove(id);
        load.wait_for(20);
    }

    load.check(&cluster);
    let list = eventually("the list of the leader", || cluster.members());
    let left: Vec<u64> = list.members.iter().map(|member| member.node).collect();
    assert_eq!(left, [2]);
}

#[test]
fn every_node_is_replaced_one_by_one_under_load() {
    let mut cluster = Cluster::start_with(3, QUICK);
    cluster.create_fsm("kv", "kv", &[]);
    let load = Load::start_up_to(&cluster, "kv", 6);
    load.wait_for(20);

    for old in 1..=3 {
        let new = cluster.join(MemberRole::Learner);
        let (old_name, new_name) = (format!("n{old}"), format!("n{new}"));
        cluster.coracle_ok(&["members", "replace", &old_name, &new_name]);
        cluster.wait_for_exit(old);
        load.wait_for(20);
    }

    load.check(&cluster);
    cluster.converged_chain("kv");
    let list = eventually("the list of the leader", || cluster.members());
    let left: Vec<_> = list.members.iter().map(|m| (m.node, m.role)).collect();
    assert_eq!(left, [4, 5, 6].map(|id| (id, MemberRole::Voter)));
}

#[test]
fn a_removed_node_stops_and_does_not_come_back() {
    let mut cluster = Cluster::start_with(3, QUICK);
    cluster.kill(3);
    cluster.coracle_ok(&["members", "remove", "n3"]);

    cluster.start_node(3);

    let ended = cluster.wait_for_exit(3);
    assert_eq!(ended.code(), Some(1));
    assert!(cluster.log(3).contains("n3 was removed from the cluster"));
    let list = eventually("the list of the leader", || cluster.members());
    assert_eq!(list.members.len(), 2);
    let promoted = cluster.coracle(&["members", "promote", "n3", "--role", "witness"]);
    let said = String::from_utf8_lossy(&promoted.stderr).into_owned();
    assert!(said.contains("node 3 was removed"), "{said}");
}

#[test]
fn what_would_leave_no_majority_is_refused() {
    let mut cluster = Cluster::start_with(3, QUICK);
    cluster.kill(3);
    eventually("the leader to miss node 3", || {
        let member = cluster.member(3)?;
        if member.reachable {
            return Err("it is still reachable".to_owned());
        }
        let change = ChangeMember {
            change: MemberChange::Remove,
            if_index: Some(1),
            force: false,
        };
        let refused = cluster.run(cluster.client().change_member(2, &change));
        let error = refused.err().ok_or("it was taken")?;
        match error.problem().map(|problem| problem.code) {
            Some(Code::WouldLoseQuorum) => Ok(()),
            other => Err(format!("{other:?}: {error}")),
        }
    });
    let output = cluster.coracle(&["members", "remove", "n2"]);
    assert_eq!(output.status.code(), Some(6), "{output:?}");
}

#[test]
fn a_change_for_another_index_is_a_conflict_that_names_both() {
    let cluster = Cluster::start_with(1, QUICK);
    eventually("the founders", || match cluster.members()?.members.len() {
        1 => Ok(()),
        _ => Err("they are not registered".to_owned()),
    });
    let output = cluster.coracle(&["members", "set-priority", "n1", "9", "--if-index", "7777"]);
    assert_eq!(output.status.code(), Some(6));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("not 7777"), "{error}");
}

#[test]
fn a_node_that_moves_is_found_again() {
    let mut cluster = Cluster::start_with(3, QUICK);
    cluster.create_fsm("kv", "kv", &[]);
    eventually("the founders", || cluster.member(2).map(drop));
    cluster.stop(2);
    let (old, _) = cluster.addresses(2);
    let (new, _) = cluster.addresses(7);
    let text = std::fs::read_to_string(cluster.config(2)).unwrap();
    std::fs::write(cluster.config(2), text.replace(&old, &new)).unwrap();

    cluster.start_node(2);

    eventually("the directory to know the new address", || {
        let member = cluster.member(2)?;
        if member.quic == new && member.reachable {
            Ok(())
        } else {
            Err(format!("{member:?}"))
        }
    });
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
    cluster.converged_chain("kv");
}

#[test]
fn an_fsm_moves_to_where_it_is_placed_and_is_served_by_every_node() {
    let mut cluster = Cluster::start_with(3, QUICK);
    cluster.create_fsm("kv", "kv", &[]);
    let load = Load::start(&cluster, "kv");
    load.wait_for(20);
    let leader = cluster.wait_for_fsm_leader("kv");
    let others: Vec<u64> = cluster
        .ids()
        .into_iter()
        .filter(|id| *id != leader)
        .collect();
    let nodes = format!("n{},n{}", others[0], others[1]);

    cluster.coracle_ok(&["fsm", "place", "kv", "--node", &nodes]);

    load.wait_for(20);
    eventually("the node that it left to have no replica", || match cluster
        .fsm_status(leader, "kv")?
        .applied_index
    {
        0 => Ok(()),
        index => Err(format!("it is at {index}")),
    });
    let there = cluster.client_of(&[leader]);
    cluster.run(there.apply("kv", "put a 1".into())).unwrap();
    let at = format!("http://{}", cluster.addresses(leader).1);
    let asked = ["query", "kv", "get", "a", "--endpoint", &at];
    assert_eq!(cluster.coracle_ok(&asked), "1\n");
    let stale = cluster.coracle(&[&asked[..], &["--stale", "--timeout", "1s"]].concat());
    let said = String::from_utf8_lossy(&stale.stderr).into_owned();
    assert!(
        said.contains(&format!("kv does not run on n{leader}")),
        "{said}"
    );
    let shown = cluster.fsm_status(leader, "kv").unwrap();
    assert_eq!(shown.state, FsmState::Elsewhere);
    load.check(&cluster);
    cluster.kill(leader);
    assert_eq!(cluster.coracle_ok(&["query", "kv", "get", "a"]), "1\n");
}

#[test]
fn two_nodes_and_a_witness_survive_the_loss_of_a_node() {
    let mut cluster = Cluster::start_with(2, QUICK);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.join(MemberRole::Witness);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);

    let leader = cluster.wait_for_fsm_leader("kv");
    cluster.kill(leader);

    cluster.coracle_ok(&["apply", "kv", "put", "b", "2"]);
    assert_eq!(cluster.coracle_ok(&["query", "kv", "get", "a"]), "1\n");
}
