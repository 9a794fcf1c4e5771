//! Which state answers a query, and how fresh it is.

use std::time::Duration;

use coracle_client::{Code, Consistency, QueryOptions};
use coracle_it::Cluster;

fn options(consistency: Consistency) -> QueryOptions {
    QueryOptions {
        consistency,
        ..QueryOptions::default()
    }
}

#[test]
fn every_node_answers_from_its_own_state_what_was_just_written() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    for number in 0..3 {
        let value = number.to_string();
        cluster.coracle_ok(&["apply", "kv", "put", "a", &value]);
        for consistency in [Consistency::Linearizable, Consistency::Lease] {
            for id in cluster.ids() {
                let client = cluster.client_of(&[id]);
                let query = client.query("kv", "get a".into(), options(consistency));
                let answer = cluster.run(query).unwrap();
                assert_eq!(answer.reply.as_ref(), value.as_bytes());
                assert_eq!(answer.node, Some(id));
                assert_eq!(answer.staleness, Some(Duration::ZERO));
                assert!(answer.term.is_some());
            }
        }
    }
}

#[test]
fn a_node_without_a_leader_answers_stale_queries_only_without_a_bound() {
    let mut cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    let written = cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
    assert!(!written.is_empty());
    let client = cluster.client_of(&[1]);
    cluster.run(client.barrier("kv")).unwrap();
    cluster.kill(2);
    cluster.kill(3);

    let stale = client.query("kv", "get a".into(), options(Consistency::Stale));
    assert_eq!(cluster.run(stale).unwrap().reply.as_ref(), b"1");
    let bounded = QueryOptions {
        max_staleness: Some(Duration::from_millis(1)),
        ..options(Consistency::Stale)
    };
    let refused = cluster.run(client.query("kv", "get a".into(), bounded));
    let error = refused.unwrap_err();
    assert_eq!(error.code(), Some(Code::TooStale), "{error}");
    assert!(error.to_string().contains("ms old"), "{error}");
}

#[test]
fn a_bound_that_can_be_kept_is_kept() {
    let cluster = Cluster::start(3);
    cluster.create_fsm("kv", "kv", &[]);
    cluster.coracle_ok(&["apply", "kv", "put", "a", "1"]);
    let bounded = QueryOptions {
        max_staleness: Some(Duration::from_secs(60)),
        ..options(Consistency::Stale)
    };
    for id in cluster.ids() {
        let client = cluster.client_of(&[id]);
        let answer = cluster.run(client.query("kv", "get a".into(), bounded));
        let answer = answer.unwrap();
        assert_eq!(answer.reply.as_ref(), b"1");
        assert!(answer.staleness.unwrap() <= Duration::from_secs(60));
    }
}
