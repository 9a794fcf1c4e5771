//! From nothing to an answer, and a clean end.

use coracle_it::{Cluster, eventually};

#[test]
fn a_cluster_runs_a_state_machine_written_in_wasm() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);

    cluster.coracle_ok(&["apply", "kv", "put", "boat", "coracle"]);

    assert_eq!(
        cluster
            .coracle_ok(&["query", "kv", "get", "boat"])
            .trim_end(),
        "coracle"
    );
    let (index, _) = cluster.converged_chain("kv");
    assert!(index > 0);
}

#[test]
fn every_node_answers_whoever_leads() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);

    for id in cluster.ids() {
        let client = cluster.client_of(&[id]);
        let key = format!("from-{id}");
        cluster
            .run(client.apply("kv", format!("put {key} here").into()))
            .unwrap();
        let answer =
            cluster.run(client.query("kv", format!("get {key}").into(), Default::default()));
        assert_eq!(answer.unwrap().reply.as_ref(), b"here");
    }
}

#[test]
fn sigterm_ends_a_node_cleanly_and_it_comes_back_with_everything() {
    let mut cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);

    for id in cluster.ids() {
        let status = cluster.stop(id);
        assert!(status.success(), "node {id} ended with {status}");
    }
    for id in cluster.ids() {
        cluster.start_node(id);
    }

    cluster.wait_for_leader();
    assert_eq!(
        cluster.coracle_ok(&["query", "kv", "get", "a"]).trim_end(),
        "1"
    );
    cluster.converged_chain("kv");
}

#[test]
fn two_fsms_live_side_by_side_and_one_is_removed() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("one", "kv", &[]);
    cluster.create_fsm("two", "counter", &[]);
    cluster.coracle_ok(&["apply", "one", "put", "a", "1"]);

    assert_eq!(
        cluster.coracle_ok(&["query", "two", "sum"]).trim_end(),
        "0",
        "nothing is shared"
    );
    cluster.coracle_ok(&["fsm", "remove", "two"]);

    for id in cluster.ids() {
        eventually("the fsm to be gone everywhere", || {
            match cluster.fsm_status(id, "two") {
                Err(_) => Ok(()),
                Ok(status) => Err(format!("it is {} on node {id}", status.state)),
            }
        });
    }
    assert_eq!(
        cluster.coracle(&["query", "two", "x"]).status.code(),
        Some(5)
    );
    assert_eq!(
        cluster.coracle_ok(&["query", "one", "get", "a"]).trim_end(),
        "1"
    );
}

#[test]
fn a_single_node_is_a_cluster_too() {
    let cluster = Cluster::start(1);
    cluster.create_fsm("count", "counter", &[]);
    cluster.coracle_ok(&["apply", "count", "2"]);
    assert_eq!(
        cluster.coracle_ok(&["query", "count", "sum"]).trim_end(),
        "2"
    );
}
