//! Settings that change while nodes run.

use coracle_client::MemberRole;
use coracle_it::{Cluster, eventually};

fn value(cluster: &Cluster, node: u64, key: &str) -> (String, String) {
    let view = cluster.run(cluster.client_of(&[node]).config()).unwrap();
    let found = view.settings.into_iter().find(|setting| setting.key == key);
    let setting = found.unwrap();
    (setting.value.to_string(), setting.origin)
}

#[test]
fn a_change_reaches_every_node_and_outlives_a_restart() {
    let mut cluster = Cluster::start(3);

    cluster.coracle_ok(&["config", "set", "snapshot.entries", "77", "--all-nodes"]);

    for node in cluster.ids() {
        let expected = ("77".to_owned(), "runtime".to_owned());
        assert_eq!(value(&cluster, node, "snapshot.entries"), expected);
    }
    cluster.stop(2);
    cluster.start_node(2);
    eventually("the node to come back with its setting", || {
        let back = cluster.run(cluster.client_of(&[2]).config());
        let view = back.map_err(|error| error.to_string())?;
        let setting = view.settings.iter().find(|s| s.key == "snapshot.entries");
        match setting {
            Some(setting) if setting.value == 77 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    cluster.coracle_ok(&["config", "unset", "snapshot.entries", "--all-nodes"]);
    let (_, origin) = value(&cluster, 1, "snapshot.entries");
    assert_ne!(origin, "runtime");
}

#[test]
fn the_log_shows_more_as_soon_as_it_is_told_to() {
    let cluster = Cluster::start(1);
    assert!(!cluster.log(1).contains("TRACE"));

    cluster.coracle_ok(&["config", "set", "log.level", "trace"]);

    cluster.create_fsm("kv", "kv", &[]);
    eventually("finer lines in the log", || {
        let shown = cluster.log(1).contains("TRACE");
        shown.then_some(()).ok_or_else(|| "nothing yet".to_owned())
    });
}

#[test]
fn what_cannot_change_says_why_and_what_to_do() {
    let cluster = Cluster::start(1);
    for (key, value, code, hint) in [
        ("storage.cache_bytes", "5", 6, "restart the node"),
        (
            "raft.hartbeat_ms",
            "5",
            5,
            "did you mean raft.heartbeat_ms?",
        ),
        ("log.level", "", 1, "it is empty"),
        ("log.level", "loud=quiet=x", 1, "log.level"),
    ] {
        let output = cluster.coracle(&["config", "set", key, value]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(hint), "{said}");
    }
}

#[test]
fn a_change_for_all_nodes_reaches_a_witness_too() {
    let mut cluster = Cluster::start(1);
    let witness = cluster.join(MemberRole::Witness);

    let changed = cluster.run(
        cluster
            .client_of(&[1])
            .set_config([("snapshot.entries".to_owned(), 77.into())].into(), true),
    );

    let nodes = changed.unwrap().nodes;
    assert!(nodes.iter().all(|node| node.ok), "{nodes:?}");
    let nodes: Vec<u64> = nodes.iter().map(|node| node.node).collect();
    assert_eq!(nodes, [1, witness]);
}
