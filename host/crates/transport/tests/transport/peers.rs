//! What is known of a peer, and its end.

use std::time::Duration;

use coracle_transport::{Config, FailureKind, Lane, Limits, PeerFailure};

use crate::cluster::{ONE, TWO, authority, config, heartbeat, pair, start};
use crate::relay::Relay;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_node_is_cut_off_at_once_and_told_why_and_stays_out() {
    let (one, two) = pair().await;

    two.recorder.refuse(ONE);
    two.transport.drop_peer(ONE);

    one.recorder.until("down", |seen| seen.down == [TWO]).await;
    one.until_refused(TWO, &["n1 was removed from this cluster"])
        .await;
    let failure = one.transport.peer_state(TWO).expect("known").last_error;
    let failure = failure.expect("refused");
    assert_eq!(failure.kind(), FailureKind::NotMember);
    assert_eq!(two.transport.peer_state(ONE), None, "not dialled any more");
    assert_eq!(one.recorder.seen().up, [TWO], "never let in again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_with_a_peer_is_counted() {
    let authority = authority("prod");
    let (one, two) = (
        start(config(&authority, ONE)),
        start(config(&authority, TWO)),
    );
    let nowhere = "127.0.0.1:1".parse().expect("address");
    one.transport.set_peer(TWO, nowhere);
    one.until_refused(TWO, &["no answer"]).await;
    one.transport
        .send(TWO, Lane::Append(2), vec![heartbeat(ONE, TWO, 0, 0)])
        .expect_err("not connected");
    one.transport.set_peer(TWO, two.addr());
    one.until_up(TWO).await;
    two.transport.set_peer(ONE, one.addr());
    two.until_up(ONE).await;

    let stats = one.transport.peer_stats(TWO).expect("known");

    assert!(stats.rtt.is_some_and(|rtt| rtt > Duration::ZERO));
    assert!(
        stats.bytes_sent > 1000 && stats.bytes_received > 1000,
        "{stats:?}"
    );
    assert_eq!(stats.envelopes_dropped[&Lane::Append(2)], 1);
    assert_eq!(stats.envelopes_dropped[&Lane::Control], 0);
    assert_eq!((stats.connections_made, stats.reconnects), (1, 0));
    assert!(stats.handshake_failures[&FailureKind::Timeout] >= 1);
    assert!(stats.connections_lost.is_empty());
    assert_eq!(one.transport.peers(), [TWO]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_falls_silent_is_reported_and_comes_back_when_it_speaks() {
    let authority = authority("prod");
    let two = start(config(&authority, TWO));
    let one = start(Config {
        limits: Limits::detecting(Duration::from_secs(1)),
        ..config(&authority, ONE)
    });
    let network = Relay::to(two.addr()).await;
    one.transport.set_peer(TWO, network.addr);
    one.until_up(TWO).await;

    // Nobody sends anything but signs of life; nothing is closed, nothing answers.
    network.cut();

    one.recorder.until("down", |seen| seen.down == [TWO]).await;
    let lost = one
        .transport
        .peer_stats(TWO)
        .expect("known")
        .connections_lost;
    assert_eq!(lost[&FailureKind::Timeout], 1);
    network.mend();
    one.recorder
        .until("up again", |seen| seen.up == [TWO, TWO])
        .await;
    assert_eq!(one.transport.peer_stats(TWO).expect("known").reconnects, 1);
}

#[test]
fn detection_bounds_silence_and_the_signs_of_life_fit_in_several_times() {
    for millis in [1, 500, 2_000, 60_000] {
        let time = Duration::from_millis(millis);
        let limits = Limits::detecting(time);
        let bound = time.max(Duration::from_millis(500));
        assert!(limits.idle_timeout + limits.keep_alive_interval <= bound);
        assert!(limits.keep_alive_interval * 3 < limits.idle_timeout);
    }
}

#[test]
fn failures_say_what_they_are() {
    let failure = PeerFailure::NotMember {
        reason: "n4 was removed from this cluster".to_owned(),
    };
    assert_eq!(failure.to_string(), "n4 was removed from this cluster");
    assert_eq!(failure.kind().as_str(), "not_member");
}
