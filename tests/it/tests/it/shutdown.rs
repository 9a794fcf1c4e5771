//! Nodes that are stopped on purpose hand over what they lead.

use coracle_it::{Cluster, Load, eventually};

#[test]
fn a_rolling_restart_under_load_loses_nothing_and_fails_no_write() {
    let mut cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    let load = Load::start(&cluster, "kv");

    for id in cluster.ids() {
        load.wait_for(10);
        let status = cluster.stop(id);
        assert!(status.success(), "node {id} ended with {status}");
        load.wait_for(10);
        cluster.start_node(id);
        eventually("the node to be ready", || {
            let probe = cluster.run(cluster.client_of(&[id]).ready());
            let probe = probe.map_err(|error| error.to_string())?;
            probe.ok.then_some(()).ok_or(format!("{probe:?}"))
        });
    }

    load.wait_for(10);
    assert_eq!(load.failures(), Vec::<String>::new());
    load.check(&cluster);
    cluster.converged_chain("kv");
}

#[test]
fn a_drained_node_leads_nothing_is_not_ready_and_comes_back() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    let leader = cluster.wait_for_fsm_leader("kv");
    let client = cluster.client_of(&[leader]);

    let drained = cluster.run(client.drain(true)).unwrap();

    assert_eq!(drained.still_leads, Vec::<u64>::new());
    assert!(!cluster.run(client.ready()).unwrap().ok);
    assert_ne!(cluster.wait_for_fsm_leader("kv"), leader);
    cluster.run(client.apply("kv", "put a 1".into())).unwrap();
    cluster.run(client.drain(false)).unwrap();
    assert!(cluster.run(client.ready()).unwrap().ok);
}
