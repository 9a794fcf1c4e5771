//! Bulk transfers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use coracle_transport::{BulkError, BulkSource, BytesSource, Lane, Limits};

use crate::cluster::{ONE, Recorder, Sum, TWO, heartbeat, pair, pair_with, pattern};

fn source(bytes: Bytes) -> Box<dyn BulkSource> {
    Box::new(BytesSource::new(bytes))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_transfer_arrives_whole_while_control_frames_and_requests_pass() {
    const LENGTH: usize = 64 << 20;
    let (one, two) = pair_with(Limits::default(), Recorder::with_closed_gate()).await;
    let data = pattern(LENGTH);
    let progress = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&progress);
    let transfer = one.transport.send_bulk(
        TWO,
        Bytes::from("snapshot"),
        source(data.clone()),
        Box::new(move |sent| told.store(sent, Ordering::Relaxed)),
    );
    // The receiver stands still after its first chunk until these have passed.
    let meanwhile = async {
        let recorder = &two.recorder;
        recorder
            .until("data arrives", |seen| seen.bulk_begun > 0)
            .await;
        for round in 0..10 {
            one.transport
                .send(TWO, Lane::Control, vec![heartbeat(ONE, TWO, 0, round)])
                .expect("fits");
        }
        recorder
            .until("heartbeats pass", |seen| seen.received.len() == 10)
            .await;
        assert!(progress.load(Ordering::Relaxed) < LENGTH as u64);
        recorder.gate.add_permits(LENGTH);
    };

    let (reply, ()) = tokio::join!(transfer, meanwhile);

    assert_eq!(reply.expect("delivered"), Sum::of(&data));
    assert_eq!(progress.load(Ordering::Relaxed), LENGTH as u64);
    assert_eq!(one.transport.stats().bulk_bytes_sent, LENGTH as u64);
    assert_eq!(two.transport.stats().bulk_bytes_received, LENGTH as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_transfer_is_a_transfer() {
    let (one, _two) = pair().await;
    let reply = one
        .transport
        .send_bulk(TWO, Bytes::new(), source(Bytes::new()), Box::new(|_| {}))
        .await;
    assert_eq!(reply.expect("delivered"), Sum::of(&[]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_comes_back_with_its_reason_before_the_data_has_gone() {
    let (one, _two) = pair().await;
    let data = source(pattern(40 << 20));
    let refused = one
        .transport
        .send_bulk(TWO, Bytes::from("no"), data, Box::new(|_| {}))
        .await;
    let Err(BulkError::Refused { reason }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(reason, "header says no");
    assert!(one.transport.stats().bulk_bytes_sent < 40 << 20);
}

/// Claims a length and breaks half way.
#[derive(Debug)]
struct Broken {
    left: usize,
}

impl BulkSource for Broken {
    fn length(&self) -> u64 {
        8 << 20
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("bad sector"));
        }
        let count = buffer.len().min(self.left);
        self.left -= count;
        Ok(count)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_breaks_is_never_taken_for_the_end() {
    let (one, two) = pair().await;
    let broken = Box::new(Broken { left: 4 << 20 });

    let failed = one
        .transport
        .send_bulk(TWO, Bytes::new(), broken, Box::new(|_| {}))
        .await;

    assert!(matches!(failed, Err(BulkError::Source(_))), "{failed:?}");
    two.recorder
        .until("the receiver noticed", |seen| seen.bulk_failed.len() == 1)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_dies_fails_the_transfer() {
    let (one, two) = pair_with(Limits::default(), Recorder::with_closed_gate()).await;
    let data = source(pattern(64 << 20));
    let transfer = one
        .transport
        .send_bulk(TWO, Bytes::new(), data, Box::new(|_| {}));
    let death = async {
        two.recorder
            .until("data arrives", |seen| seen.bulk_begun > 0)
            .await;
        two.transport.shutdown().await;
    };

    let (outcome, ()) = tokio::join!(transfer, death);

    assert!(
        matches!(outcome, Err(BulkError::Lost { .. })),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_are_fetched_from_a_peer() {
    let (one, _two) = pair().await;
    for length in [0, 1, 5 << 20] {
        let header = Bytes::from(length.to_string());
        let reader = one.transport.fetch_bulk(TWO, header).await.expect("there");
        assert_eq!(reader.length(), length as u64);
        let bytes = reader.read_all(length).await.expect("arrives");
        assert_eq!(bytes, pattern(length));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_is_refused_with_a_reason_and_bounded_by_the_caller() {
    let (one, _two) = pair().await;
    let refused = one.transport.fetch_bulk(TWO, Bytes::from("x")).await;
    assert!(
        matches!(&refused, Err(BulkError::Refused { reason }) if reason == "header is no number"),
        "{refused:?}"
    );
    let header = Bytes::from("1000");
    let reader = one.transport.fetch_bulk(TWO, header).await.expect("there");
    let too_large = reader.read_all(999).await;
    assert!(matches!(too_large, Err(BulkError::TooLarge { .. })));
    let wait = Duration::from_secs(30);
    let still = one.transport.request(TWO, Bytes::new(), wait).await;
    assert!(
        still.is_ok(),
        "the raft connection does not mind: {still:?}"
    );
}
