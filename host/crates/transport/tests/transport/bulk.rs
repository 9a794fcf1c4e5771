//! Bulk transfers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use coracle_transport::{
    BulkError, BulkSource, BytesSource, Config, Lane, Limits, MIN_BULK_RATE, Versions,
};

use crate::cluster::{
    Node, ONE, Recorder, Sum, TWO, authority, config, heartbeat, pair, pair_with, pattern, start,
    start_with,
};

fn source(bytes: Bytes) -> Box<dyn BulkSource> {
    Box::new(BytesSource::new(bytes))
}

/// Two nodes that speak this version; the second one's gate lets a few chunks through.
async fn pair_of(version: u16) -> (Node, Node) {
    let authority = authority("prod");
    let versions = Versions {
        oldest: 1,
        newest: version,
    };
    let of = |node| Config {
        versions,
        ..config(&authority, node)
    };
    let recorder = Recorder::with_closed_gate();
    recorder.gate.add_permits(4);
    let (one, two) = (start(of(ONE)), start_with(of(TWO), recorder));
    one.transport.set_peer(TWO, two.addr());
    one.until_up(TWO).await;
    (one, two)
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
        Box::new(move |progress| told.store(progress.bytes, Ordering::Relaxed)),
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

    fn seek(&mut self, _: u64) -> io::Result<()> {
        Ok(())
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_broke_off_goes_on_where_it_was() {
    const LENGTH: usize = 16 << 20;
    for version in 1..=2 {
        let (one, two) = pair_of(version).await;
        let data = pattern(LENGTH);
        let send = |progress| {
            let source = source(data.clone());
            one.transport
                .send_bulk(TWO, Bytes::from("resume"), source, progress)
        };
        tokio::select! {
            _ = send(Box::new(|_| {})) => panic!("the receiver has not taken all of it"),
            () = two.recorder.until("some of it", |seen| seen.bulk_begun == 5) => {}
        }
        two.recorder.gate.add_permits(1 << 20);
        two.recorder
            .until("broken off", |seen| seen.bulk_failed.len() == 1)
            .await;
        let had = two.recorder.partial().len() as u64;

        let first = Arc::new(AtomicU64::new(u64::MAX));
        let told = Arc::clone(&first);
        let reply = send(Box::new(move |progress| {
            assert_eq!(progress.total, LENGTH as u64);
            told.fetch_min(progress.bytes, Ordering::Relaxed);
        }));

        assert_eq!(reply.await.expect("delivered"), Sum::of(&data));
        // The checksum does not tell blocks of the pattern apart.
        assert!(two.recorder.partial() == data, "byte for byte");
        assert!(had > 0);
        let first = first.load(Ordering::Relaxed);
        assert!(version == 1 || first > had, "{first} of {had}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_tells_what_is_given_and_goes_on_from_an_offset() {
    for version in 1..=2 {
        let (one, _two) = pair_of(version).await;
        let header = Bytes::from("3000000");
        let mut reader = one.transport.fetch_bulk(TWO, header).await.expect("there");
        let description = if version == 1 { "" } else { "a pattern" };
        assert_eq!(reader.description(), description);

        reader.resume_at(1_000_000).await.expect("within");

        let bytes = reader.read_all(3_000_000).await.expect("arrives");
        assert_eq!(bytes, pattern(3_000_000).slice(1_000_000..));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offset_past_the_end_is_refused() {
    let (one, _two) = pair().await;
    let header = Bytes::from("10");
    let mut reader = one.transport.fetch_bulk(TWO, header).await.expect("there");
    let refused = reader.resume_at(11).await;
    assert!(matches!(refused, Err(BulkError::TooLarge { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_compresses_takes_less_on_the_wire_and_is_counted_per_peer() {
    const LENGTH: u64 = 4 << 20;
    let (one, two) = pair().await;
    let data = Bytes::from(vec![7; LENGTH as usize]);
    let reply = one
        .transport
        .send_bulk(TWO, Bytes::new(), source(data.clone()), Box::new(|_| {}));
    assert_eq!(reply.await.expect("delivered"), Sum::of(&data));

    let sent = one.transport.peer_stats(TWO).expect("known").bulk_sent;
    let received = two.transport.peer_stats(ONE).expect("known").bulk_received;

    assert_eq!((sent.transfers, sent.bytes), (1, LENGTH));
    assert!(sent.wire_bytes < LENGTH / 50, "{sent:?}");
    assert!(sent.time > Duration::ZERO);
    assert_eq!(received.bytes, LENGTH);
    assert_eq!(received.wire_bytes, sent.wire_bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_transfer_waits_until_it_is_let_go() {
    let (one, _two) = pair().await;
    one.transport.set_bulk_rate(MIN_BULK_RATE);
    assert_eq!(one.transport.bulk_rate(), MIN_BULK_RATE);
    // At the lowest rate this takes minutes: longer than any test waits.
    let data = pattern(8 << 20);
    let began = Arc::new(tokio::sync::Notify::new());
    let told = Arc::clone(&began);
    let progress = Box::new(move |_| told.notify_one());
    let header = Bytes::new();
    let transfer = one
        .transport
        .send_bulk(TWO, header, source(data.clone()), progress);
    let release = async {
        began.notified().await;
        assert!(one.transport.stats().bulk_bytes_sent < 1 << 20);
        one.transport.set_bulk_rate(0);
    };

    let (reply, ()) = tokio::join!(transfer, release);

    assert_eq!(reply.expect("delivered"), Sum::of(&data));
}
