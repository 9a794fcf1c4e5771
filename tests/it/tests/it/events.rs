//! What nodes tell those who follow them.

use std::collections::BTreeSet;

use coracle_client::{EventFilter, EventKind, EventStream, Happening};
use coracle_it::Cluster;

fn follow(cluster: &Cluster, kinds: &[EventKind], from: Option<u64>) -> EventStream {
    let filter = EventFilter {
        kinds: kinds.iter().copied().collect::<BTreeSet<_>>(),
        fsm: Some("kv".into()),
    };
    let client = cluster.client_of(&[1]);
    cluster.run(client.events(&filter, from)).unwrap()
}

fn next(cluster: &Cluster, stream: &mut EventStream) -> (u64, Happening) {
    let event = cluster.run(stream.next()).unwrap().unwrap();
    assert_eq!(event.fsm.as_deref(), Some("kv"));
    (event.id, event.what)
}

#[test]
fn the_life_of_an_fsm_is_told_in_order_and_followed_again_after_a_break() {
    let cluster = Cluster::start(1);
    let mut stream = follow(&cluster, &[EventKind::Fsm, EventKind::Snapshot], None);
    cluster.create_fsm("kv", "kv", &[]);
    let mut started = false;
    let mut last = 0;
    while !started {
        let (id, what) = next(&cluster, &mut stream);
        started = matches!(what, Happening::FsmStarted { .. });
        last = id;
    }
    drop(stream);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
    cluster.coracle_ok(&["snapshot", "kv"]);

    let mut stream = follow(&cluster, &[EventKind::Snapshot], Some(last));
    let (_, what) = next(&cluster, &mut stream);
    assert!(matches!(what, Happening::SnapshotTaken { .. }), "{what:?}");
}

#[test]
fn a_new_leader_is_told_to_the_command_line_as_one_object_a_line() {
    let cluster = Cluster::start(1);
    let lines = cluster.coracle_ok(&[
        "events", "-o", "json", "--kinds", "leader", "--from", "1", "--count", "2",
    ]);

    let types: Vec<String> = lines
        .lines()
        .map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["type"].as_str().unwrap().to_owned()
        })
        .collect();
    // Ids of this node begin far above 1: what was before is gone, and that is said.
    assert_eq!(types, ["lagged", "leader_changed"]);
}
