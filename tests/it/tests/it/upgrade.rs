//! A running fsm gets another plugin.

use coracle_it::{Cluster, Load, eventually, plugin};

#[test]
fn an_upgrade_under_load_takes_effect_on_all_replicas_at_one_index() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    let load = Load::start(&cluster, "kv");
    load.wait_for(30);

    let before = cluster.fsm_status(1, "kv").unwrap().plugin;
    cluster.coracle_ok(&["upgrade", "kv", plugin("kv-v2").to_str().unwrap()]);
    load.wait_for(30);

    for id in cluster.ids() {
        eventually("the new plugin to run everywhere", || {
            let status = cluster.fsm_status(id, "kv")?;
            if status.plugin == before {
                Err(format!("node {id} runs the old one"))
            } else {
                Ok(())
            }
        });
    }
    load.check(&cluster);
    cluster.coracle_ok(&["apply", "kv", "put", "late", "1"]);
    cluster.coracle_ok(&["query", "kv", "ver", "late"]);
    cluster.converged_chain("kv");
}

#[test]
fn an_upgrade_whose_restore_fails_leaves_the_old_plugin_running_and_says_why() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);

    // `counter` cannot read the snapshot of `kv`.
    let output = cluster.coracle(&["upgrade", "kv", plugin("counter").to_str().unwrap()]);

    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(9), "{message}");
    assert!(message.contains("restore"), "{message}");
    assert_eq!(
        cluster.coracle_ok(&["query", "kv", "get", "a"]).trim_end(),
        "1"
    );
    cluster.coracle_ok(&["apply", "kv", "put", "b", "2"]);
    cluster.converged_chain("kv");
}

#[test]
fn an_upgrade_whose_restore_traps_leaves_the_old_plugin_running() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("h", "hostile", &["restore-trap=true"]);
    cluster.coracle_ok(&["apply", "h", "ok"]);
    let before = cluster.fsm_status(1, "h").unwrap().plugin;

    let output = cluster.coracle(&["snapshot", "h"]);

    assert_eq!(
        output.status.code(),
        Some(9),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    cluster.coracle_ok(&["apply", "h", "ok"]);
    assert_eq!(cluster.fsm_status(1, "h").unwrap().plugin, before);
    cluster.converged_chain("h");
}

#[test]
fn an_upgrade_survives_the_death_of_every_node() {
    let mut cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
    cluster.coracle_ok(&["upgrade", "kv", plugin("kv-v2").to_str().unwrap()]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "2"]);

    for id in cluster.ids() {
        cluster.kill(id);
    }
    for id in cluster.ids() {
        cluster.start_node(id);
    }
    cluster.wait_for_leader();

    assert_eq!(
        cluster.coracle_ok(&["query", "kv", "get", "a"]).trim_end(),
        "2"
    );
    cluster.coracle_ok(&["query", "kv", "ver", "a"]);
    cluster.converged_chain("kv");
}
