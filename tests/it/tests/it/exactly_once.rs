//! A command with an idempotency key is applied once, whatever happens in between.

use coracle_it::{Cluster, eventually};

fn count(cluster: &Cluster) -> String {
    cluster
        .coracle_ok(&["query", "c", "sum"])
        .trim_end()
        .to_owned()
}

#[test]
fn a_retry_is_applied_once_across_leader_change_snapshot_and_restart() {
    let mut cluster = Cluster::start(3);
    cluster.create_fsm("c", "counter", &[]);
    let first = cluster
        .run(cluster.client().apply_with_key("c", "5".into(), "k1"))
        .unwrap();
    assert!(!first.replayed);

    let again = cluster
        .run(cluster.client().apply_with_key("c", "5".into(), "k1"))
        .unwrap();
    assert!(again.replayed);
    assert_eq!(
        (again.index, again.reply),
        (first.index, first.reply.clone())
    );

    let leader = cluster.wait_for_fsm_leader("c");
    cluster.kill(leader);
    let again = eventually("the others to serve", || {
        let others: Vec<u64> = cluster
            .ids()
            .into_iter()
            .filter(|id| *id != leader)
            .collect();
        cluster
            .run(
                cluster
                    .client_of(&others)
                    .apply_with_key("c", "5".into(), "k1"),
            )
            .map_err(|error| error.to_string())
    });
    assert!(again.replayed, "after a leader change");
    cluster.start_node(leader);

    cluster.coracle_ok(&["snapshot", "c"]);
    for id in cluster.ids() {
        cluster.kill(id);
    }
    for id in cluster.ids() {
        cluster.start_node(id);
    }
    cluster.wait_for_leader();
    let again = cluster
        .run(cluster.client().apply_with_key("c", "5".into(), "k1"))
        .unwrap();
    assert!(again.replayed, "after a snapshot and a restart");
    assert_eq!(again.index, first.index);
    assert_eq!(count(&cluster), "5");
}

#[test]
fn a_key_used_again_with_another_body_is_a_conflict() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("c", "counter", &[]);
    cluster.coracle_ok(&["apply", "c", "--key", "k", "1"]);

    let output = cluster.coracle(&["apply", "c", "--key", "k", "2"]);

    assert_eq!(
        output.status.code(),
        Some(6),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(count(&cluster), "1");
}

#[test]
fn a_failed_command_is_remembered_with_its_failure() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("h", "hostile", &[]);
    for _ in 0..2 {
        let output = cluster.coracle(&["apply", "h", "--key", "k", "panic"]);
        assert_eq!(output.status.code(), Some(9));
    }
    cluster.converged_chain("h");
}
