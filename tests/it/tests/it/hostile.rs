//! A plugin that misbehaves hurts only itself.

use coracle_client::{Code, Outcome};
use coracle_it::{Cluster, Load, eventually};

/// Every command of the hostile plugin that must fail, with the code that names its class.
const COMMANDS: [(&str, Code); 7] = [
    ("panic", Code::Trap),
    ("spin", Code::Fuel),
    ("alloc", Code::Memory),
    ("recurse", Code::Stack),
    ("recurse-bare", Code::Stack),
    ("giant", Code::BadResult),
    ("miscount", Code::BadResult),
];

#[test]
fn every_hostile_command_fails_in_its_class_and_the_next_one_works() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("h", "hostile", &[]);

    for (command, code) in COMMANDS {
        let error = cluster
            .run(cluster.client().apply("h", command.into()))
            .unwrap_err();
        assert_eq!(error.code(), Some(code), "{command}: {error}");
        assert_eq!(error.outcome(), Outcome::NotApplied, "{command}: {error}");
        cluster.coracle_ok(&["apply", "h", "ok"]);
    }
    cluster.converged_chain("h");
}

#[test]
fn a_hostile_plugin_beside_a_healthy_one_stops_neither_it_nor_the_leader() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.create_fsm("h", "hostile", &[]);
    let leader = cluster.wait_for_fsm_leader("kv");
    let term = cluster.fsm_status(leader, "kv").unwrap().term;
    let load = Load::start(&cluster, "kv");
    load.wait_for(10);

    for (command, _) in COMMANDS {
        cluster.coracle(&["apply", "h", command]);
    }
    load.wait_for(10);

    load.check(&cluster);
    let after = cluster.fsm_status(leader, "kv").unwrap();
    assert_eq!(
        (after.leader, after.term),
        (Some(leader), term),
        "heartbeats were not held up"
    );
    cluster.converged_chain("kv");
    cluster.converged_chain("h");
}

#[test]
fn an_fsm_whose_init_fails_is_refused_with_the_reason() {
    let cluster = Cluster::start(3);
    for (setting, word) in [("init-err=true", "init"), ("start-spin=true", "fuel")] {
        let plugin = coracle_it::plugin("hostile");
        let output = cluster.coracle(&[
            "fsm",
            "create",
            "h",
            "--plugin",
            plugin.to_str().unwrap(),
            "--config",
            setting,
        ]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(9), "{setting}: {message}");
        assert!(message.contains(word), "{setting}: {message}");
    }
    cluster.create_fsm("h", "hostile", &[]);
    cluster.coracle_ok(&["apply", "h", "ok"]);
}

#[test]
fn a_checkpoint_that_fails_changes_nothing() {
    let cluster = Cluster::start(3);
    for (name, setting) in [
        ("trap", "snapshot-trap=true"),
        ("endless", "snapshot-endless=true"),
    ] {
        cluster.create_fsm(name, "hostile", &[setting]);
        cluster.coracle_ok(&["apply", name, "ok"]);

        let output = cluster.coracle(&["snapshot", name]);

        assert_eq!(
            output.status.code(),
            Some(9),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        cluster.coracle_ok(&["apply", name, "ok"]);
        cluster.coracle(&["apply", name, "panic"]);
        cluster.coracle_ok(&["apply", name, "ok"]);
        cluster.converged_chain(name);
    }
}

#[test]
fn a_query_that_fails_is_that_clients_error_only() {
    let cluster = Cluster::start(3);
    for (name, setting, code) in [
        ("t", "query-trap=true", "trap"),
        ("s", "query-spin=true", "fuel"),
    ] {
        cluster.create_fsm(name, "hostile", &[setting]);

        let output = cluster.coracle(&["query", name, "ok"]);

        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(9), "{message}");
        assert!(message.contains(code), "{message}");
        cluster.coracle_ok(&["apply", name, "ok"]);
    }
}

#[test]
fn replicas_agree_after_failures_restarts_and_a_checkpoint() {
    let mut cluster = Cluster::start(3);
    cluster.create_fsm("h", "hostile", &[]);
    for command in ["ok", "panic", "ok", "spin", "ok"] {
        cluster.coracle(&["apply", "h", command]);
    }
    cluster.converged_chain("h");

    cluster.kill(2);
    cluster.coracle(&["apply", "h", "panic"]);
    cluster.coracle_ok(&["snapshot", "h"]);
    cluster.coracle_ok(&["apply", "h", "ok"]);
    cluster.start_node(2);

    eventually("the node to be back", || {
        cluster.fsm_status(2, "h").map(drop)
    });
    cluster.converged_chain("h");
}
