//! Many fsms on the same nodes, most of which have nothing to do.

use coracle_it::{Cluster, eventually};

/// Groups of the test; each is one fsm.
const FSMS: usize = 12;

/// Falls silent after a second.
const QUICK: &str = "\n[raft]\nquiesce_after = 5\n";

fn name(number: usize) -> String {
    format!("kv-{number}")
}

/// Groups of a node that have fallen silent.
fn quiet(cluster: &Cluster, node: u64) -> Result<usize, String> {
    let metrics = cluster.run(cluster.client_of(&[node]).metrics());
    let text = metrics.map_err(|error| error.to_string())?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("coracle_raft_groups_quiet "));
    let value = line.ok_or("no such metric")?;
    value.parse().map_err(|error| format!("{value}: {error}"))
}

fn wait_for_silence(cluster: &Cluster, nodes: &[u64]) {
    for node in nodes {
        eventually("all groups to fall silent", || {
            match quiet(cluster, *node)? {
                FSMS => Ok(()),
                some => Err(format!("{some} are silent on {node}")),
            }
        });
    }
}

fn silent_cluster() -> Cluster {
    let cluster = Cluster::start_with(3, QUICK);
    for number in 0..FSMS {
        cluster.create_fsm(&name(number), "kv", &[]);
    }
    wait_for_silence(&cluster, &cluster.ids());
    cluster
}

/// Writes to every fsm through the nodes but one; answers which these are.
fn write_without(cluster: &Cluster, victim: u64) -> Vec<u64> {
    let others = cluster.ids().into_iter().filter(|id| *id != victim);
    let others: Vec<u64> = others.collect();
    let client = cluster.client_of(&others);
    for number in 0..FSMS {
        let applied = cluster.run(client.apply_with_key(&name(number), "put a 1".into(), "first"));
        applied.unwrap();
    }
    others
}

/// Every replica of every fsm ends with the same, and falls silent again.
fn all_converge(cluster: &Cluster) {
    for number in 0..FSMS {
        cluster.converged_chain(&name(number));
    }
    wait_for_silence(cluster, &cluster.ids());
}

#[test]
fn silent_groups_find_new_leaders_when_the_node_that_led_them_dies() {
    let mut cluster = silent_cluster();
    let victim = cluster.wait_for_fsm_leader(&name(0));
    cluster.kill(victim);

    let others = write_without(&cluster, victim);
    wait_for_silence(&cluster, &others);
    cluster.start_node(victim);
    all_converge(&cluster);
}

#[test]
fn a_silent_leader_that_stands_still_is_replaced_and_comes_back_as_a_follower() {
    let cluster = silent_cluster();
    let victim = cluster.wait_for_fsm_leader(&name(0));
    cluster.pause(victim);
    write_without(&cluster, victim);
    cluster.resume(victim);

    all_converge(&cluster);
}
