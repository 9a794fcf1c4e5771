//! Envelopes on lanes: order, coalescing, bounds, reconnection.

use std::time::Duration;

use bytes::Bytes;
use coracle_proto::{Entry, EntryKind, Envelope, GroupId, LogId, Message, NodeId};
use coracle_transport::{Config, DropReason, HELD_CONTROL_BYTES, Lane, Limits, MAX_FRAME_BYTES};

use crate::cluster::{
    self, ONE, Recorder, TWO, authority, config, heartbeat, pair, pair_with, replica, start,
};

fn append(group: u64, index: u64, bytes: usize) -> Envelope {
    Envelope {
        group: GroupId(group),
        from: replica(ONE),
        to: replica(TWO),
        term: 1,
        message: Message::Append {
            prev: LogId { term: 1, index },
            entries: vec![Entry {
                term: 1,
                index: index + 1,
                kind: EntryKind::Normal,
                payload: Bytes::from(vec![group as u8; bytes]),
            }],
            commit: 0,
        },
    }
}

/// Position of an envelope in its lane, as the tests number them.
fn number(envelope: &Envelope) -> u64 {
    match &envelope.message {
        Message::Heartbeat { round, .. } => *round,
        Message::Append { prev, .. } => prev.index,
        other => panic!("not sent: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envelopes_arrive_complete_and_in_order_on_every_lane() {
    const EACH: u64 = 500;
    let (one, two) = pair().await;

    for i in 0..EACH {
        for group in 0..4 {
            let envelope = append(group, i, 700);
            let lane = Lane::of(&envelope);
            one.transport.send(TWO, lane, vec![envelope]).expect("fits");
        }
        let beat = heartbeat(ONE, TWO, 9, i);
        one.transport
            .send(TWO, Lane::of(&beat), vec![beat])
            .expect("fits");
    }

    let recorder = &two.recorder;
    recorder
        .until("all arrived", |seen| seen.received.len() as u64 == 5 * EACH)
        .await;
    let received = recorder.seen().received;
    assert!(received.iter().all(|(from, _)| *from == ONE));
    for group in [0, 1, 2, 3, 9] {
        let of_group = received.iter().map(|(_, envelope)| envelope);
        let numbers: Vec<u64> = of_group
            .filter(|envelope| envelope.group == GroupId(group))
            .map(number)
            .collect();
        assert_eq!(numbers, (0..EACH).collect::<Vec<_>>(), "group {group}");
    }
    let (sent, got) = (one.transport.stats(), two.transport.stats());
    assert_eq!(sent.envelopes_sent, 5 * EACH);
    assert_eq!(got.envelopes_received, 5 * EACH);
    assert_eq!(sent.frames_sent, got.frames_received);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_the_control_lane_leaves_as_one_frame() {
    let authority = authority("prod");
    let two = start(config(&authority, TWO));
    let one = start(config(&authority, ONE));
    let nowhere = "127.0.0.1:1".parse().expect("address");
    one.transport.set_peer(TWO, nowhere);

    for group in 0..50 {
        let beat = heartbeat(ONE, TWO, group, 1);
        one.transport
            .send(TWO, Lane::Control, vec![beat])
            .expect("held until connected");
    }
    one.transport.set_peer(TWO, two.addr());

    two.recorder
        .until("all arrived", |seen| seen.received.len() == 50)
        .await;
    assert_eq!(two.transport.stats().frames_received, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_lane_drops_reports_and_recovers() {
    let limits = Limits {
        append_queue_bytes: 64 << 10,
        ..Limits::default()
    };
    let (one, two) = pair_with(limits, Recorder::new()).await;
    let many: Vec<Envelope> = (0..1000).map(|i| append(0, i, 1024)).collect();

    let overflow = one
        .transport
        .send(TWO, Lane::Append(0), many)
        .expect_err("1 MiB does not fit in 64 KiB");

    assert_eq!(overflow.reason, DropReason::Full { limit: 64 << 10 });
    assert_eq!(
        one.transport.stats().envelopes_dropped,
        overflow.dropped as u64
    );
    let queued = 1000 - overflow.dropped;
    assert!(queued > 40, "only {queued} were queued");
    two.recorder
        .until("the queued ones arrived", |seen| {
            seen.received.len() == queued
        })
        .await;
    one.transport
        .send(TWO, Lane::Append(0), vec![append(0, 1000, 1024)])
        .expect("there is room again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_sent_is_reported_with_its_reason() {
    let (one, _two) = pair().await;
    let stranger = NodeId(9);
    let reason = |to, lane, envelope| {
        let sent = one.transport.send(to, lane, vec![envelope]);
        sent.expect_err("not sent").reason
    };

    let unknown = reason(stranger, Lane::Control, heartbeat(ONE, stranger, 0, 0));
    assert_eq!(unknown, DropReason::UnknownPeer);
    let large = reason(TWO, Lane::Append(0), append(0, 0, MAX_FRAME_BYTES));
    assert!(matches!(large, DropReason::TooLarge { .. }));
    let nowhere = "127.0.0.1:1".parse().expect("address");
    one.transport.set_peer(stranger, nowhere);
    let down = reason(stranger, Lane::Append(0), append(0, 0, 10));
    assert_eq!(down, DropReason::Down);
    let old = vec![heartbeat(ONE, stranger, 0, 0); HELD_CONTROL_BYTES];
    let pushed_out = one.transport.send(stranger, Lane::Control, old);
    assert_eq!(pushed_out.expect_err("bounded").reason, DropReason::Down);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_flushes_what_is_queued_and_tells_the_peer() {
    let (one, two) = pair().await;
    // Far more than leaves before the first acknowledgement.
    let entries = (0..100).map(|i| append(0, i, 50_000)).collect();
    one.transport
        .send(TWO, Lane::Append(0), entries)
        .expect("fits");

    one.transport.shutdown().await;

    two.recorder
        .until("all arrived and the peer is down", |seen| {
            seen.received.len() == 100 && seen.down == [ONE]
        })
        .await;
    assert_eq!(one.recorder.seen().down, [TWO], "reported here as well");
    let after = one
        .transport
        .send(TWO, Lane::Append(0), vec![append(0, 0, 1)]);
    assert!(after.is_err(), "nothing is sent after shutdown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_was_stopped_and_started_is_reconnected() {
    let authority = authority("prod");
    let one = start(config(&authority, ONE));
    let two = start(config(&authority, TWO));
    let addr = two.addr();
    one.transport.set_peer(TWO, addr);
    one.until_up(TWO).await;

    two.transport.shutdown().await;
    drop(two);
    one.recorder.until("down", |seen| seen.down == [TWO]).await;
    let two = start(Config {
        listen: addr,
        ..config(&authority, TWO)
    });

    one.recorder
        .until("up again", |seen| seen.up == [TWO, TWO])
        .await;
    one.transport
        .send(TWO, Lane::Control, vec![heartbeat(ONE, TWO, 0, 7)])
        .expect("fits");
    two.recorder
        .until("arrived", |seen| seen.received.len() == 1)
        .await;
    assert_eq!(one.transport.stats().reconnects, 1);
}

/// The killed peer says no goodbye, and the idle timeout is far away: only the hello of its next
/// life can tell.
#[test]
fn a_peer_that_was_killed_is_reconnected_when_it_says_hello() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("runtime")
    };
    let (ours, theirs) = (runtime(), runtime());
    let authority = authority("prod");
    // The lower of both ends' timeouts counts.
    let patient = |node| Config {
        limits: Limits {
            idle_timeout: Duration::from_secs(600),
            ..Limits::default()
        },
        ..config(&authority, node)
    };
    let one = ours.block_on(async { start(patient(ONE)) });
    let two = theirs.block_on(async { start(patient(TWO)) });
    let addr = two.addr();
    let dial = |from: &cluster::Node, to, addr| from.transport.set_peer(to, addr);
    ours.block_on(async {
        dial(&one, TWO, addr);
        one.until_up(TWO).await;
    });

    // Without its runtime the endpoint cannot send a close.
    theirs.shutdown_timeout(Duration::from_secs(10));
    drop(two);
    let reborn = runtime();
    let two = reborn.block_on(async {
        let two = start(Config {
            listen: addr,
            ..config(&authority, TWO)
        });
        dial(&two, ONE, one.addr());
        two
    });

    ours.block_on(async {
        one.recorder
            .until("up again", |seen| {
                seen.up == [TWO, TWO] && seen.down == [TWO]
            })
            .await;
    });
    drop(two);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turns_heartbeats_of_a_thousand_groups_are_one_small_frame() {
    let (one, two) = pair().await;
    let beats: Vec<Envelope> = (1..=1000).map(|g| heartbeat(ONE, TWO, g, 70_000)).collect();

    one.transport
        .send(TWO, Lane::Control, beats.clone())
        .expect("fits");

    two.recorder
        .until("all arrived", |seen| seen.received.len() == beats.len())
        .await;
    let received = two.recorder.seen().received;
    assert!(received.into_iter().map(|(_, beat)| beat).eq(beats));
    let stats = one.transport.stats();
    assert_eq!(stats.frames_sent, 1);
    assert!(stats.bytes_sent < 1000, "{} bytes", stats.bytes_sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_compressed_if_that_saves_something_and_if_it_is_wanted() {
    let sent = async |compress| {
        let limits = Limits {
            compress,
            ..Limits::default()
        };
        let (one, two) = pair_with(limits, Recorder::new()).await;
        let entries = append(0, 1, 200_000);
        one.transport
            .send(TWO, Lane::Append(0), vec![entries.clone()])
            .expect("fits");
        two.recorder
            .until("arrived", |seen| seen.received == [(ONE, entries.clone())])
            .await;
        one.transport.stats()
    };

    let (plain, packed) = (sent(false).await, sent(true).await);

    assert!(plain.bytes_sent > 200_000 && plain.bytes_saved == 0);
    assert!(packed.bytes_sent < 2_000, "{}", packed.bytes_sent);
    assert_eq!(packed.bytes_sent + packed.bytes_saved, plain.bytes_sent);
}
