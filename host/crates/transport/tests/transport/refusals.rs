//! Who is not let in, and what they are told.

use coracle_proto::NodeId;
use coracle_transport::identity::ClusterName;
use coracle_transport::{Config, Lane, TransportError};

use crate::cluster::{
    ONE, Recorder, TWO, authority, config, heartbeat, issue, pair, start, start_with, try_start,
};

const THREE: NodeId = NodeId(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_at_the_peers_address_is_refused() {
    let authority = authority("prod");
    let one = start(config(&authority, ONE));
    let three = start(config(&authority, THREE));

    one.transport.set_peer(TWO, three.addr());

    one.until_refused(TWO, &["coracle://prod/node/3", "expected node n2"])
        .await;
    assert!(one.recorder.seen().up.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_clusters_node_is_refused_naming_both_clusters() {
    let one = start(config(&authority("prod"), ONE));
    let two = start(config(&authority("test"), TWO));

    one.transport.set_peer(TWO, two.addr());

    one.until_refused(TWO, &["cluster test", "cluster prod"])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_authority_is_refused_by_the_dialer() {
    let ours = authority("prod");
    let one = start(config(&ours, ONE));
    // It trusts us, so that only we can refuse it.
    let impostor = start(Config {
        identity: issue(&authority("prod"), TWO),
        ..config(&ours, TWO)
    });

    one.transport.set_peer(TWO, impostor.addr());

    one.until_refused(TWO, &["not from the authority of cluster prod"])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_authority_is_refused_by_the_listener() {
    let ours = authority("prod");
    let two = start(config(&ours, TWO));
    // It trusts us, so that only we can refuse it.
    let intruder = start(Config {
        identity: issue(&authority("prod"), ONE),
        ..config(&ours, ONE)
    });

    intruder.transport.set_peer(TWO, two.addr());

    intruder
        .until_refused(TWO, &["not from the authority of cluster prod"])
        .await;
    two.until_counted("a refused connection", |stats| {
        stats.connections_refused >= 1
    })
    .await;
    assert!(two.recorder.seen().received.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envelope_in_anothers_name_is_refused_and_cuts_the_connection() {
    let (one, two) = pair().await;

    one.transport
        .send(TWO, Lane::Control, vec![heartbeat(THREE, TWO, 0, 1)])
        .expect("the sender does not look");

    one.recorder
        .until("cut", |seen| seen.down.contains(&TWO))
        .await;
    two.until_counted("one refused frame", |stats| stats.frames_refused == 1)
        .await;
    assert!(two.recorder.seen().received.is_empty());
    let state = one.transport.peer_state(TWO).expect("known");
    let error = state.last_error.expect("a reason").to_string();
    assert!(error.contains("envelope is from n3"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_removed_is_refused_though_its_certificate_is_valid() {
    let authority = authority("prod");
    let recorder = Recorder::refusing(ONE);
    let two = start_with(config(&authority, TWO), recorder);
    let one = start(config(&authority, ONE));

    one.transport.set_peer(TWO, two.addr());

    one.until_refused(TWO, &["n1 was removed from this cluster"])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transport_does_not_start_with_anothers_certificate() {
    let authority = authority("prod");
    let refusal = |config: Config| match try_start(config, Recorder::new()) {
        Ok(_) => panic!("started"),
        Err(error) => error,
    };

    let other_node = refusal(Config {
        identity: issue(&authority, TWO),
        ..config(&authority, ONE)
    });
    assert!(matches!(other_node, TransportError::OtherName { .. }));
    let client = refusal(Config {
        identity: authority.issue_client("ops").expect("certificate"),
        ..config(&authority, ONE)
    });
    assert!(matches!(client, TransportError::OtherName { .. }));
    let other_trust = refusal(Config {
        trust: crate::cluster::authority("test").cert_pem().to_owned(),
        ..config(&authority, ONE)
    });
    let TransportError::OtherAuthority { found, expected } = other_trust else {
        panic!("{other_trust}");
    };
    let name = |name| ClusterName::new(name).expect("name");
    assert_eq!((found, expected), (name("test"), name("prod")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_was_forgotten_is_disconnected_both_ways() {
    let (one, two) = pair().await;

    one.transport.remove_peer(TWO);

    assert_eq!(one.transport.peer_state(TWO), None);
    one.recorder.until("down", |seen| seen.down == [TWO]).await;
    two.recorder
        .until("down", |seen| seen.down.first() == Some(&ONE))
        .await;
}
