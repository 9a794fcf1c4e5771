//! A node that has no certificate yet.

use std::net::SocketAddr;

use bytes::Bytes;
use coracle_transport::identity::CertificateRequest;
use coracle_transport::join::{self, JoinError};
use coracle_transport::{Config, FailureKind, MAX_INBOUND_JOINS, MAX_JOIN_BYTES};

use crate::cluster::{ONE, Recorder, TWO, authority, config, issue, pair, start, start_with};

/// Asks with the exporter's value as the request, so that both ends' can be compared.
async fn ask(addr: SocketAddr, pin: [u8; 32]) -> Result<Bytes, JoinError> {
    join::dial(addr, pin, |exporter| Bytes::copy_from_slice(&exporter)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_with_the_right_pin_is_answered_over_a_channel_both_ends_can_name() {
    let authority = authority("prod");
    let node = start(config(&authority, ONE));
    let pin = authority.spki_pin().expect("pin");

    let first = ask(node.addr(), pin).await.expect("answered");
    let second = ask(node.addr(), pin).await.expect("answered");

    assert_eq!(first, "welcome");
    assert_eq!(second, "welcome");
    let seen = node.recorder.seen().joins;
    for (request, exporter) in &seen {
        assert_eq!(request, &exporter[..], "both ends derive the same");
    }
    assert_ne!(seen[0].1, seen[1].1, "and each connection its own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_to_a_cluster_with_another_authority() {
    let node = start(config(&authority("prod"), ONE));
    let pin = authority("prod").spki_pin().expect("pin");

    let refused = ask(node.addr(), pin).await.expect_err("another key");

    assert!(
        matches!(refused, JoinError::WrongAuthority { .. }),
        "{refused}"
    );
    assert!(node.recorder.seen().joins.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_impostor_that_shows_the_right_authority_is_not_believed() {
    let ours = authority("prod");
    // Its own certificate is from another authority of the same name; it shows ours beside it.
    let impostor = start(Config {
        identity: issue(&authority("prod"), ONE),
        ..config(&ours, ONE)
    });

    let refused = ask(impostor.addr(), ours.spki_pin().expect("pin")).await;

    let refused = refused.expect_err("not signed by it");
    assert!(matches!(refused, JoinError::Untrusted { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_too_large_is_not_sent_and_nobody_answers_at_a_wrong_address() {
    let authority = authority("prod");
    let node = start(config(&authority, ONE));
    let pin = authority.spki_pin().expect("pin");
    let large = Bytes::from(vec![0; MAX_JOIN_BYTES + 1]);

    let refused = join::dial(node.addr(), pin, |_| large).await;
    assert!(matches!(refused, Err(JoinError::TooLarge { .. })));

    let free = std::net::UdpSocket::bind("127.0.0.1:0").expect("socket");
    let silent = free.local_addr().expect("address");
    let refused = ask(silent, pin).await;
    assert!(matches!(refused, Err(JoinError::Unreachable { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_at_once_are_told_to_come_again() {
    let authority = authority("prod");
    let node = start_with(config(&authority, ONE), Recorder::with_closed_gate());
    let (addr, pin) = (node.addr(), authority.spki_pin().expect("pin"));
    let held: Vec<_> = (0..MAX_INBOUND_JOINS)
        .map(|_| tokio::spawn(ask(addr, pin)))
        .collect();
    node.recorder
        .until("all are being answered", |seen| {
            seen.joins.len() == MAX_INBOUND_JOINS
        })
        .await;

    let refused = ask(addr, pin).await.expect_err("no room");

    assert!(matches!(refused, JoinError::Busy { .. }), "{refused}");
    node.recorder.gate.add_permits(MAX_INBOUND_JOINS);
    for asked in held {
        let answer = asked.await.expect("runs");
        assert_eq!(answer.expect("answered"), "welcome");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_where_nobody_can_join_says_so() {
    let authority = authority("prod");
    let node = start_with(config(&authority, ONE), Recorder::refusing(TWO));

    let refused = ask(node.addr(), authority.spki_pin().expect("pin")).await;

    assert!(matches!(refused, Err(JoinError::NotHere { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_for_over_a_join_makes_a_node_of_the_cluster() {
    let authority = authority("prod");
    let one = start(config(&authority, ONE));
    let request = CertificateRequest::generate().expect("key");
    let certificate = authority.sign_csr(TWO, request.csr()).expect("granted");

    let two = start(Config {
        identity: request.complete(&certificate).expect("its own"),
        ..config(&authority, TWO)
    });

    two.transport.set_peer(ONE, one.addr());
    two.until_up(ONE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_shown_on_the_next_connection_and_the_old_one_stands() {
    let (one, two) = pair().await;
    let other = authority("prod");

    // Of another authority, so that the peer tells them apart.
    one.transport
        .set_credentials(&issue(&other, ONE), other.cert_pem())
        .expect("of the same node and cluster");

    assert!(two.transport.peer_state(ONE).expect("known").connected);
    one.transport
        .set_peer(TWO, "127.0.0.1:1".parse().expect("address"));
    one.recorder
        .until("down", |seen| seen.down.contains(&TWO))
        .await;
    one.transport.set_peer(TWO, two.addr());
    one.until_refused(TWO, &["not from the authority"]).await;
    let failure = one.transport.peer_state(TWO).expect("known").last_error;
    assert_eq!(failure.expect("refused").kind(), FailureKind::Identity);
    let refused = one
        .transport
        .set_credentials(&issue(&other, TWO), other.cert_pem());
    assert!(refused.is_err(), "another node's");
}
