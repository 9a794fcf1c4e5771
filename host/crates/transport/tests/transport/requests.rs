//! Requests, and what is known after one that failed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coracle_proto::NodeId;
use coracle_transport::{Limits, MAX_REQUEST_BYTES, RequestError};
use tokio::task::JoinSet;

use crate::cluster::{ONE, Recorder, TWO, pair, pair_with, pattern};

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_answered_whatever_their_size() {
    let (one, two) = pair().await;
    for size in [0, 1, 70_000, 3 << 20] {
        let body = pattern(size);
        let reply = one.transport.request(TWO, body.clone(), LONG).await;
        assert_eq!(reply, Ok(body));
    }
    let seen = two.recorder.seen();
    assert!(seen.requests.iter().all(|(from, _)| *from == ONE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_cannot_leave_is_certainly_not_sent() {
    let (one, two) = pair().await;
    let request = |to, body| one.transport.request(to, body, SHORT);

    let unknown_peer = request(NodeId(9), Bytes::new()).await;
    let too_large = request(TWO, vec![0; MAX_REQUEST_BYTES + 1].into()).await;
    two.transport.shutdown().await;
    one.recorder.until("down", |seen| seen.down == [TWO]).await;
    let down = request(TWO, Bytes::new()).await;

    for outcome in [unknown_peer, too_large, down] {
        assert!(
            matches!(outcome, Err(RequestError::NotSent { .. })),
            "{outcome:?}"
        );
    }
    assert!(two.recorder.seen().requests.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_lost_connection_the_outcome_is_unknown() {
    let (one, two) = pair_with(Limits::default(), Recorder::with_closed_gate()).await;
    let request = one.transport.request(TWO, Bytes::from("once"), LONG);
    let loss = async {
        two.recorder
            .until("being handled", |seen| seen.requests.len() == 1)
            .await;
        two.transport.shutdown().await;
    };

    let (outcome, ()) = tokio::join!(request, loss);

    assert!(
        matches!(outcome, Err(RequestError::Unknown { .. })),
        "{outcome:?}"
    );
}

/// More requests than a connection has streams, none of which is ever answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_sent_is_never_said_of_a_request_that_was_handled() {
    const REQUESTS: u64 = 400;
    let (one, two) = pair_with(Limits::default(), Recorder::with_closed_gate()).await;
    let transport = Arc::new(one.transport);

    let mut requests = JoinSet::new();
    for i in 0..REQUESTS {
        let transport = Arc::clone(&transport);
        requests.spawn(async move {
            let body = Bytes::from(i.to_string());
            (body.clone(), transport.request(TWO, body, SHORT).await)
        });
    }
    let mut not_sent = BTreeSet::new();
    while let Some(ended) = requests.join_next().await {
        let (body, outcome) = ended.expect("no panic");
        match outcome {
            Err(RequestError::NotSent { .. }) => assert!(not_sent.insert(body)),
            Err(RequestError::Unknown { .. }) => {}
            Ok(reply) => panic!("nobody answered {reply:?}"),
        }
    }
    transport.shutdown().await;

    assert!(!not_sent.is_empty(), "the limit was never reached");
    let handled = two.recorder.seen().requests;
    assert!(!handled.is_empty(), "nothing was handled at all");
    for (_, body) in handled {
        assert!(!not_sent.contains(&body), "{body:?} was handled");
    }
}
