//! Nodes that crash, alone and together, under load.

use std::time::Duration;

use coracle_client::{Client, QueryOptions};
use coracle_it::{Cluster, Load, eventually};

/// Small enough that a node which is away for a moment has missed a checkpoint.
const SMALL_TAIL: &str = "\n[snapshot]\nentries = 200\nretained_entries = 50\n";

#[test]
fn a_killed_leader_loses_nothing_and_is_replaced() {
    let mut cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    let load = Load::start(&cluster, "kv");
    load.wait_for(50);

    let leader = cluster.wait_for_fsm_leader("kv");
    cluster.kill(leader);
    load.wait_for(50);
    cluster.start_node(leader);
    load.wait_for(50);

    load.check(&cluster);
    cluster.converged_chain("kv");
}

#[test]
fn what_was_forwarded_to_a_leader_that_fell_silent_is_asked_of_the_next_one() {
    let cluster = Cluster::start_with(
        3,
        "\n[raft]\nelection_timeout_ms = 300\nheartbeat_ms = 50\n",
    );
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
    let leader = cluster.wait_for_fsm_leader("kv");
    let follower = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    // Less than it takes a connection to notice.
    let client = Client::builder(vec![cluster.http(follower).parse().unwrap()])
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    cluster.pause(leader);

    let answer = cluster.run(client.query("kv", "get a".into(), QueryOptions::default()));
    let applied = cluster.run(client.apply_with_key("kv", "put a 2".into(), "k"));

    assert_eq!(answer.unwrap().reply.as_ref(), b"1");
    assert!(!applied.unwrap().replayed);
    cluster.resume(leader);
    cluster.converged_chain("kv");
}

#[test]
fn all_nodes_killed_at_once_come_back_with_every_acknowledged_command() {
    let mut cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    let load = Load::start(&cluster, "kv");
    for _ in 0..2 {
        load.wait_for(50);
        for id in cluster.ids() {
            cluster.kill(id);
        }
        for id in cluster.ids() {
            cluster.start_node(id);
        }
        cluster.wait_for_leader();
    }
    load.wait_for(20);

    load.check(&cluster);
    cluster.converged_chain("kv");
}

#[test]
fn a_follower_that_was_away_past_compaction_catches_up_by_snapshot() {
    let mut cluster = Cluster::start_with(3, SMALL_TAIL);
    cluster.create_fsm("kv", "kv", &[]);
    let leader = cluster.wait_for_fsm_leader("kv");
    let away = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    let load = Load::start(&cluster, "kv");
    load.wait_for(20);

    cluster.kill(away);
    let before = cluster.fsm_status(leader, "kv").unwrap().applied_index;
    eventually("the leader to drop what the follower has not seen", || {
        let status = cluster.fsm_status(leader, "kv")?;
        if status.first_index > before + 1 {
            Ok(())
        } else {
            Err(format!("first index {} after {before}", status.first_index))
        }
    });
    cluster.start_node(away);

    eventually("the follower to have installed a snapshot", || {
        let status = cluster.fsm_status(away, "kv")?;
        if status.snapshot_index > before {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    });
    load.check(&cluster);
    cluster.converged_chain("kv");
}

#[test]
fn a_paused_leader_is_replaced_and_follows_when_it_wakes() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    let load = Load::start(&cluster, "kv");
    load.wait_for(20);

    let leader = cluster.wait_for_fsm_leader("kv");
    cluster.pause(leader);
    let others: Vec<u64> = cluster
        .ids()
        .into_iter()
        .filter(|id| *id != leader)
        .collect();
    eventually("another leader", || {
        others
            .iter()
            .find_map(|id| {
                cluster
                    .fsm_status(*id, "kv")
                    .ok()?
                    .leader
                    .filter(|new| *new != leader)
            })
            .ok_or_else(|| "none yet".to_owned())
    });
    cluster.resume(leader);
    load.wait_for(20);

    load.check(&cluster);
    cluster.converged_chain("kv");
}

#[test]
fn without_a_majority_nothing_is_applied_and_the_client_is_told_so() {
    let mut cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    let leader = cluster.wait_for_fsm_leader("kv");
    let others: Vec<u64> = cluster
        .ids()
        .into_iter()
        .filter(|id| *id != leader)
        .collect();
    for id in &others {
        cluster.kill(*id);
    }

    let output = cluster.coracle(&[
        "--endpoint",
        cluster.http(leader),
        "--timeout",
        "3s",
        "query",
        "kv",
        "get",
        "a",
    ]);
    assert_eq!(
        output.status.code(),
        Some(7),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    cluster.start_node(others[0]);
    eventually("a majority to serve again", || {
        let output = cluster.coracle(&["apply", "kv", "put", "a", "1"]);
        if output.status.success() {
            Ok(())
        } else {
            Err(format!("{:?}", output.status))
        }
    });
}
