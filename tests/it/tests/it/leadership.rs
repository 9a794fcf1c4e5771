//! Leadership handed over, taken and spread by an operator.

use coracle_client::{LeaderOrder, MemberRole};
use coracle_it::{Cluster, Load, eventually};

fn order(to: Option<u64>) -> LeaderOrder {
    LeaderOrder {
        fsm: Some("kv".into()),
        to,
    }
}

fn other_than(cluster: &Cluster, leader: u64) -> u64 {
    let mut others = cluster.ids().into_iter().filter(|id| *id != leader);
    others.next().unwrap()
}

#[test]
fn leadership_goes_to_the_node_that_is_named_whoever_is_asked_and_no_write_is_lost() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    let load = Load::start(&cluster, "kv");
    for asked in cluster.ids() {
        load.wait_for(5);
        let leader = cluster.wait_for_fsm_leader("kv");
        let to = other_than(&cluster, leader);
        let client = cluster.client_of(&[asked]);

        let led = cluster.run(client.transfer_leader(&order(Some(to))));

        assert_eq!(led.unwrap().leader, Some(to));
    }
    load.wait_for(5);
    assert_eq!(load.failures(), Vec::<String>::new());
    load.check(&cluster);
    cluster.converged_chain("kv");
}

#[test]
fn a_leader_that_steps_down_is_followed_by_another() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    let before = cluster.wait_for_fsm_leader("kv");

    let led = cluster.run(cluster.client().step_down(&order(None)));

    assert_ne!(led.unwrap().leader, Some(before));
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
}

#[test]
fn one_that_is_no_member_gets_no_leadership_and_the_leader_stays() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.wait_for_fsm_leader("kv");

    let output = cluster.coracle(&["leader", "transfer", "n9", "--fsm", "kv"]);

    assert_eq!(output.status.code(), Some(6));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("n9 has no vote there"), "{said}");
    cluster.coracle_ok(&["leader", "verify", "--fsm", "kv"]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
}

#[test]
fn leaders_are_spread_over_the_nodes() {
    let cluster = Cluster::start(3);
    let names = ["f1", "f2", "f3", "f4", "f5", "f6"];
    for name in names {
        cluster.create_fsm(name, "kv", &[]);
    }
    for name in names {
        let order = LeaderOrder {
            fsm: Some(name.into()),
            to: Some(1),
        };
        let client = cluster.client();
        cluster.run(client.transfer_leader(&order)).unwrap();
    }
    eventually("node 1 to know that it leads them all", || {
        let leaders = cluster.run(cluster.client_of(&[1]).leaders(None));
        let leaders = leaders.map_err(|error| error.to_string())?;
        let led = leaders.groups.iter().filter(|g| g.leader == Some(1));
        let count = led.filter(|group| group.fsm.is_some()).count();
        (count == names.len())
            .then_some(())
            .ok_or(format!("{count}"))
    });

    let spread = cluster
        .run(cluster.client_of(&[1]).spread_leaders())
        .unwrap();

    assert_eq!(spread.failed, Vec::new());
    let counts: Vec<u64> = spread.leaders.values().copied().collect();
    assert_eq!(counts, [2, 2, 2], "{spread:?}");
}

#[test]
fn a_witness_is_told_at_once_that_it_cannot_lead_an_fsm() {
    let mut cluster = Cluster::start(1);
    cluster.create_fsm("kv", "kv", &[]);
    let witness = cluster.join(MemberRole::Witness);

    let refused = cluster.run(cluster.client_of(&[witness]).campaign(&order(None)));

    let error = refused.expect_err("a witness never leads").to_string();
    assert!(error.contains("never leads; n1 can"), "{error}");
}

#[test]
fn a_drained_node_gets_no_leaders_when_they_are_spread() {
    let cluster = Cluster::start(3);
    for name in ["f1", "f2", "f3", "f4"] {
        cluster.create_fsm(name, "kv", &[]);
        cluster.wait_for_fsm_leader(name);
    }
    cluster.run(cluster.client_of(&[1]).drain(true)).unwrap();

    let spread = cluster.run(cluster.client_of(&[2]).spread_leaders());

    let spread = spread.unwrap();
    assert_eq!(spread.leaders.get(&1), None, "{spread:?}");
    assert!(spread.moved.iter().all(|moved| moved.to != 1), "{spread:?}");
}
