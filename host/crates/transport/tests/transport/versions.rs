//! Nodes of different releases.

use coracle_proto::{Envelope, Message};
use coracle_transport::{Config, FailureKind, Lane, PeerFailure, VersionMismatch, Versions};

use crate::cluster::{ONE, TWO, authority, config, heartbeat, start};

fn only(version: u16) -> Versions {
    Versions {
        oldest: version,
        newest: version,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_speak_the_newest_version_they_share_and_know_each_others_epochs() {
    let authority = authority("prod");
    let one = start(Config {
        epochs: vec![1, 2],
        ..config(&authority, ONE)
    });
    let two = start(Config {
        versions: only(1),
        ..config(&authority, TWO)
    });
    one.transport.set_peer(TWO, two.addr());
    two.transport.set_peer(ONE, one.addr());
    one.until_up(TWO).await;
    two.until_up(ONE).await;

    let (of_two, of_one) = (one.transport.peer_state(TWO), two.transport.peer_state(ONE));

    let (of_two, of_one) = (of_two.expect("known"), of_one.expect("known"));
    assert_eq!((of_two.version, of_one.version), (Some(1), Some(1)));
    assert!(of_two.epochs.is_empty(), "version 1 says nothing of epochs");
    assert_eq!(of_one.epochs, [1, 2]);
    let beat = heartbeat(ONE, TWO, 3, 9);
    one.transport
        .send(TWO, Lane::Control, vec![beat.clone()])
        .expect("fits");
    two.recorder
        .until("a frame of version 1", |seen| {
            seen.received == [(ONE, beat.clone())]
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_common_version_both_ends_name_both_ranges_and_the_remedy() {
    let authority = authority("prod");
    let start_with = |node, version| {
        start(Config {
            versions: only(version),
            ..config(&authority, node)
        })
    };
    let (one, two) = (start_with(ONE, 1), start_with(TWO, 2));

    one.transport.set_peer(TWO, two.addr());
    two.transport.set_peer(ONE, one.addr());

    one.until_refused(
        TWO,
        &["n2 speaks wire version 2, this node 1", "upgrade this node"],
    )
    .await;
    two.until_refused(
        ONE,
        &["n1 speaks wire version 1, this node 2", "upgrade n1"],
    )
    .await;
    let failure = one.transport.peer_state(TWO).expect("known").last_error;
    let failure = failure.expect("refused");
    assert_eq!(failure.kind(), FailureKind::Versions);
    let mismatch = VersionMismatch {
        own: only(1),
        peer: only(2),
        peer_node: TWO,
    };
    assert_eq!(failure, PeerFailure::Versions(mismatch));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_older_peer_does_not_know_is_not_sent_to_it_and_counted() {
    let authority = authority("prod");
    let one = start(config(&authority, ONE));
    let two = start(Config {
        versions: only(1),
        ..config(&authority, TWO)
    });
    one.transport.set_peer(TWO, two.addr());
    one.until_up(TWO).await;
    let beat = heartbeat(ONE, TWO, 3, 9);
    let newer = Envelope {
        message: Message::TimeoutNow,
        ..beat.clone()
    };

    let mixed = vec![newer.clone(), beat.clone(), newer.clone()];
    one.transport.send(TWO, Lane::Control, mixed).expect("fits");

    two.recorder
        .until("the rest", |seen| seen.received == [(ONE, beat.clone())])
        .await;
    assert_eq!(one.transport.stats().envelopes_withheld, 2);
    let stats = one.transport.peer_stats(TWO).expect("known");
    assert_eq!(stats.envelopes_withheld, 2);
}
