//! The encoding of envelopes: pinned bytes, round trips, and hostile input.

use std::time::Duration;

use bytes::Bytes;
use coracle_proto::{
    AppendOutcome, Configuration, DEFAULT_PRIORITY, Entry, EntryKind, Envelope, GroupId, LogId,
    Message, NodeId, ReadMode, ReplicaId, SnapshotMeta, VoteKind,
};
use coracle_transport::codec::{
    COPY_BELOW, CodecError, decode, encode, encode_packed, is_known, weight,
};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

/// One line per message: name, space, bytes in hex; per version.
const GOLDEN: [(u16, &str); 2] = [
    (1, include_str!("../../testdata/envelopes.v1.hex")),
    (2, include_str!("../../testdata/envelopes.v2.hex")),
];

/// The newest version.
const NEWEST: u16 = 2;

fn id(term: u64, index: u64) -> LogId {
    LogId { term, index }
}

fn replica(node: u64, born: u64) -> ReplicaId {
    ReplicaId {
        node: NodeId(node),
        born,
    }
}

fn replicas(ids: &[(u64, u64)]) -> std::collections::BTreeSet<ReplicaId> {
    ids.iter()
        .map(|(node, born)| replica(*node, *born))
        .collect()
}

/// Every variant, with numbers that need one, two and ten bytes.
fn specimens() -> Vec<(&'static str, Message)> {
    let entry = |index, kind, payload: &'static str| Entry {
        term: 300,
        index,
        kind,
        payload: Bytes::from(payload),
    };
    let configuration = Configuration {
        index: 17,
        voters: replicas(&[(1, 0), (2, 0), (300, 12)]),
        outgoing: replicas(&[(1, 0)]),
        learners: replicas(&[(4, 16)]),
        learners_next: replicas(&[(5, 0)]),
        witnesses: replicas(&[]),
        auto_leave: true,
    };
    let with_witness = Configuration {
        witnesses: replicas(&[(2, 0)]),
        ..configuration.clone()
    };
    vec![
        (
            "vote-pre",
            Message::Vote {
                kind: VoteKind::Pre,
                last: id(2, 300),
            },
        ),
        (
            "vote-real",
            Message::Vote {
                kind: VoteKind::Real,
                last: id(0, 0),
            },
        ),
        (
            "vote-transfer",
            Message::Vote {
                kind: VoteKind::Transfer,
                last: id(2, 3),
            },
        ),
        (
            "vote-reply",
            Message::VoteReply {
                kind: VoteKind::Real,
                granted: true,
            },
        ),
        (
            "append-probe",
            Message::Append {
                prev: id(1, 2),
                entries: vec![],
                commit: 1,
            },
        ),
        (
            "append",
            Message::Append {
                prev: id(300, 2),
                entries: vec![
                    entry(3, EntryKind::Noop, ""),
                    entry(4, EntryKind::Normal, "hello"),
                    entry(5, EntryKind::Configuration, "c"),
                ],
                commit: 2,
            },
        ),
        (
            "append-matched",
            Message::AppendReply(AppendOutcome::Matched { index: u64::MAX }),
        ),
        (
            "append-rejected",
            Message::AppendReply(AppendOutcome::Rejected {
                rejected: 9,
                hint: id(3, 7),
            }),
        ),
        (
            "heartbeat",
            Message::Heartbeat {
                commit: 1000,
                round: 5,
                lease: false,
            },
        ),
        (
            "heartbeat-reply",
            Message::HeartbeatReply {
                round: 5,
                hold: Duration::ZERO,
                priority: DEFAULT_PRIORITY,
            },
        ),
        (
            "snapshot",
            Message::Snapshot {
                meta: SnapshotMeta {
                    last: id(6, 700),
                    configuration,
                },
            },
        ),
        (
            "quiesce",
            Message::Quiesce {
                last: id(3, 4),
                commit: 4,
            },
        ),
        ("timeout-now", Message::TimeoutNow),
        (
            "heartbeat-lease",
            Message::Heartbeat {
                commit: 1000,
                round: 5,
                lease: true,
            },
        ),
        (
            "heartbeat-promise",
            Message::HeartbeatReply {
                round: 5,
                hold: Duration::from_millis(900),
                priority: 200,
            },
        ),
        (
            "read-index",
            Message::ReadIndex {
                round: 300,
                mode: ReadMode::Index,
            },
        ),
        (
            "read-lease",
            Message::ReadIndex {
                round: 300,
                mode: ReadMode::Lease,
            },
        ),
        ("wake", Message::Wake),
        (
            "read-index-granted",
            Message::ReadIndexReply {
                round: 300,
                index: Some(70_000),
            },
        ),
        (
            "read-index-refused",
            Message::ReadIndexReply {
                round: 300,
                index: None,
            },
        ),
        (
            "snapshot-witness",
            Message::Snapshot {
                meta: SnapshotMeta {
                    last: id(6, 700),
                    configuration: with_witness,
                },
            },
        ),
    ]
}

fn envelope(message: Message) -> Envelope {
    Envelope {
        group: GroupId(128),
        from: replica(1, 0),
        to: replica(2, 300),
        term: 7,
        message,
    }
}

/// Whether a version can say all of it.
fn is_said_whole(version: u16, envelope: &Envelope) -> bool {
    let promises = match envelope.message {
        Message::Heartbeat { lease, .. } => lease,
        Message::HeartbeatReply { hold, priority, .. } => {
            !hold.is_zero() || priority != DEFAULT_PRIORITY
        }
        _ => false,
    };
    is_known(version, envelope) && (version > 1 || !promises)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_message_has_its_golden_bytes_in_every_version_that_knows_it() {
    for (version, golden) in GOLDEN {
        let known = specimens()
            .into_iter()
            .map(|(name, message)| (name, envelope(message)))
            .filter(|(_, envelope)| is_said_whole(version, envelope));
        let encoded: String = known
            .map(|(name, envelope)| format!("{name} {}\n", hex(&encode(version, &[envelope]))))
            .collect();
        assert_eq!(
            encoded, golden,
            "version {version} is published and never changes"
        );
    }
}

#[test]
fn what_a_version_does_not_know_is_left_out_and_refused() {
    let named = |(_, message): &(&str, Message)| envelope(message.clone());
    let all: Vec<Envelope> = specimens().iter().map(named).collect();

    let of_version_1 = decode(encode(1, &all), 1).expect("decodes");

    let unknown = [
        "timeout-now",
        "read-index",
        "read-lease",
        "read-index-granted",
        "read-index-refused",
        "wake",
        "snapshot-witness",
    ];
    for (name, message) in specimens() {
        let known = !unknown.contains(&name);
        assert_eq!(is_known(1, &envelope(message)), known, "{name}");
    }
    assert_eq!(of_version_1.len(), all.len() - unknown.len());
    // The tag of `timeout now` in a batch of version 1.
    let smuggled = Bytes::from_static(&[1, 1, 3, 1, 0, 2, 0, 5, 10, 0]);
    let refused = CodecError::Tag {
        field: "message",
        found: 10,
    };
    assert_eq!(decode(smuggled, 2), Err(refused));
}

#[test]
fn a_configuration_with_witnesses_is_no_entry_for_a_node_of_version_1() {
    let configuration = |witnesses: &[(u64, u64)]| Configuration {
        voters: replicas(&[(1, 0), (2, 0)]),
        witnesses: replicas(witnesses),
        ..Configuration::default()
    };
    let append = |configuration: Configuration| {
        envelope(Message::Append {
            prev: id(1, 2),
            entries: vec![Entry {
                term: 1,
                index: 3,
                kind: EntryKind::Configuration,
                payload: configuration.encode(),
            }],
            commit: 0,
        })
    };
    assert!(is_known(1, &append(configuration(&[]))));
    assert!(!is_known(1, &append(configuration(&[(2, 0)]))));
}

#[test]
fn a_heartbeat_of_the_next_group_takes_a_few_bytes() {
    let beat = |group| Envelope {
        group: GroupId(group),
        from: replica(1, 0),
        to: replica(2, 0),
        term: 7,
        message: Message::Heartbeat {
            commit: 100_000,
            round: 10_000,
            lease: true,
        },
    };
    let beats: Vec<Envelope> = (1..=1000).map(beat).collect();

    let [first, second] = [1, 2].map(|version| encode(version, &beats).len());
    let packed = encode_packed(2, &beats).len();

    assert!(first > 12 * beats.len(), "{first}");
    assert!(second <= 6 * beats.len() + 8, "{second}");
    assert!(packed < beats.len(), "{packed}");
    assert_eq!(decode(encode_packed(2, &beats), 2), Ok(beats));
}

#[test]
fn version_1_hears_of_a_heartbeat_without_the_lease_and_of_an_answer_without_the_promise() {
    let heartbeat = |lease| {
        envelope(Message::Heartbeat {
            commit: 1000,
            round: 5,
            lease,
        })
    };
    let reply = |millis, priority| {
        envelope(Message::HeartbeatReply {
            round: 5,
            hold: Duration::from_millis(millis),
            priority,
        })
    };
    assert_eq!(
        encode(1, &[heartbeat(true), reply(900, 200)]),
        encode(1, &[heartbeat(false), reply(0, DEFAULT_PRIORITY)])
    );
    let promising = vec![heartbeat(true), reply(900, 200), reply(0, 200)];
    assert_eq!(decode(encode(2, &promising), 2), Ok(promising));
}

#[test]
fn a_batch_cut_short_anywhere_is_refused() {
    let all: Vec<Envelope> = specimens().into_iter().map(|(_, m)| envelope(m)).collect();
    for version in 1..=NEWEST {
        let known = all
            .iter()
            .filter(|envelope| is_said_whole(version, envelope));
        let known: Vec<Envelope> = known.cloned().collect();
        let batch = encode(version, &known);
        assert_eq!(decode(batch.clone(), version).as_ref(), Ok(&known));
        for length in 0..batch.len() {
            assert!(
                decode(batch.slice(..length), version).is_err(),
                "{length} bytes"
            );
        }
    }
}

#[test]
fn counts_are_checked_before_anything_is_allocated() {
    for version in 1..=2u8 {
        // A count of 2^63 envelopes and nothing.
        let bomb = [&[version][..], &[0x80; 9], &[1]].concat();
        assert!(matches!(
            decode(bomb.into(), NEWEST),
            Err(CodecError::Count { count, remaining: 0, .. }) if count == 1 << 63
        ));
    }
    // In version 2 an envelope can be one byte; there are not more than fit a batch.
    let many = [&[2, 0x81, 0x80, 4][..], &[0xea; 65_537]].concat();
    assert!(matches!(
        decode(many.into(), NEWEST),
        Err(CodecError::Count { count: 65_537, .. })
    ));
}

#[test]
fn what_a_compressed_batch_claims_is_checked_before_room_is_made() {
    let claims = |length: &[u8], block: &[u8]| {
        let batch = [&[0x82][..], length, block].concat();
        decode(batch.into(), NEWEST)
    };
    // 16 MiB are allowed, but they are not in this block.
    let damaged = claims(&[0x80, 0x80, 0x80, 8], &[0; 80_000]);
    assert_eq!(damaged, Err(CodecError::Block));
    assert_eq!(
        claims(&[0x81, 0x80, 0x80, 8], &[0; 80_000]),
        Err(CodecError::Uncompressed {
            claimed: (16 << 20) + 1,
            possible: 16 << 20
        })
    );
    assert_eq!(
        claims(&[0x80, 0x80, 4], &[0; 10]),
        Err(CodecError::Uncompressed {
            claimed: 1 << 16,
            possible: 2550
        })
    );
    assert_eq!(claims(&[4], &[0xff; 3]), Err(CodecError::Block));
}

#[test]
fn a_newer_version_than_agreed_on_and_trailing_bytes_are_refused() {
    for (batch, newest) in [(&[2, 0][..], 1), (&[3, 0], 2), (&[0, 0], 2)] {
        let found = batch[0];
        assert_eq!(
            decode(Bytes::from_static(batch), newest),
            Err(CodecError::Version { found, newest })
        );
    }
    let packed = encode_packed(2, &vec![envelope(Message::TimeoutNow); 2000]);
    assert_eq!(packed[0], 0x82);
    let refused = CodecError::Version {
        found: 2,
        newest: 1,
    };
    assert_eq!(decode(packed, 1), Err(refused));
    assert_eq!(
        decode(Bytes::from_static(&[1, 0, 0]), NEWEST),
        Err(CodecError::Trailing { bytes: 1 })
    );
}

#[test]
fn what_goes_without_saying_must_not_be_said() {
    // A second envelope that repeats the group, the replicas or the term, in full.
    let redundant = |second: &[u8]| {
        let first = [0x0a, 3, 1, 0, 2, 0, 5];
        let batch = [&[2, 2][..], &first, second].concat();
        decode(batch.into(), NEWEST)
    };
    let refused = |field| Err(CodecError::Redundant { field });
    assert_eq!(redundant(&[0xca, 4]), refused("group"));
    assert_eq!(
        redundant(&[0xaa, 1, 0, 2, 0]),
        refused("sender and addressee")
    );
    assert_eq!(redundant(&[0x6a, 5]), refused("term"));
    assert_eq!(redundant(&[0xea]).map(|all| all.len()), Ok(2));
}

#[test]
fn large_payloads_are_slices_of_the_frame_and_small_ones_are_not() {
    let with_payload = |bytes: usize| {
        let entry = Entry {
            term: 1,
            index: 1,
            kind: EntryKind::Normal,
            payload: vec![7; bytes].into(),
        };
        let append = Message::Append {
            prev: id(0, 0),
            entries: vec![entry],
            commit: 0,
        };
        encode(NEWEST, &[envelope(append)])
    };
    let is_slice = |frame: Bytes| {
        let decoded = decode(frame.clone(), NEWEST).expect("decodes");
        let Message::Append { entries, .. } = &decoded[0].message else {
            panic!("an append was encoded");
        };
        frame.as_ptr_range().contains(&entries[0].payload.as_ptr())
    };
    assert!(is_slice(with_payload(COPY_BELOW)));
    assert!(!is_slice(with_payload(COPY_BELOW - 1)));
}

fn any_id() -> impl Strategy<Value = LogId> {
    any::<(u64, u64)>().prop_map(|(term, index)| id(term, index))
}

fn any_replica() -> impl Strategy<Value = ReplicaId> {
    any::<(u64, u64)>().prop_map(|(node, born)| replica(node, born))
}

fn any_kind() -> impl Strategy<Value = VoteKind> {
    prop_oneof![
        Just(VoteKind::Pre),
        Just(VoteKind::Real),
        Just(VoteKind::Transfer)
    ]
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![
        Just(EntryKind::Noop),
        Just(EntryKind::Normal),
        Just(EntryKind::Configuration)
    ];
    (any::<(u64, u64)>(), kind, vec(any::<u8>(), 0..600)).prop_map(
        |((term, index), kind, bytes)| Entry {
            term,
            index,
            kind,
            payload: bytes.into(),
        },
    )
}

fn any_configuration() -> impl Strategy<Value = Configuration> {
    let set = || btree_set(any_replica(), 0..5);
    (
        any::<u64>(),
        set(),
        set(),
        set(),
        set(),
        set(),
        any::<bool>(),
    )
        .prop_map(
            |(index, voters, outgoing, learners, learners_next, witnesses, auto_leave)| {
                Configuration {
                    index,
                    voters,
                    outgoing,
                    learners,
                    learners_next,
                    witnesses,
                    auto_leave,
                }
            },
        )
}

fn any_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        (any_kind(), any_id()).prop_map(|(kind, last)| Message::Vote { kind, last }),
        (any_kind(), any::<bool>())
            .prop_map(|(kind, granted)| Message::VoteReply { kind, granted }),
        (any_id(), vec(any_entry(), 0..5), any::<u64>()).prop_map(|(prev, entries, commit)| {
            Message::Append {
                prev,
                entries,
                commit,
            }
        }),
        any::<u64>().prop_map(|index| Message::AppendReply(AppendOutcome::Matched { index })),
        (any::<u64>(), any_id()).prop_map(|(rejected, hint)| Message::AppendReply(
            AppendOutcome::Rejected { rejected, hint }
        )),
        any::<(u64, u64, bool)>().prop_map(|(commit, round, lease)| Message::Heartbeat {
            commit,
            round,
            lease
        }),
        any::<(u64, u32, u8)>().prop_map(|(round, micros, priority)| Message::HeartbeatReply {
            round,
            hold: Duration::from_micros(micros.into()),
            priority,
        }),
        any::<(u64, bool)>().prop_map(|(round, lease)| Message::ReadIndex {
            round,
            mode: if lease {
                ReadMode::Lease
            } else {
                ReadMode::Index
            },
        }),
        Just(Message::Wake),
        (any_id(), any_configuration()).prop_map(|(last, configuration)| Message::Snapshot {
            meta: SnapshotMeta {
                last,
                configuration
            }
        }),
        (any_id(), any::<u64>()).prop_map(|(last, commit)| Message::Quiesce { last, commit }),
        Just(Message::TimeoutNow),
        any::<(u64, Option<u64>)>()
            .prop_map(|(round, index)| Message::ReadIndexReply { round, index }),
    ]
}

fn any_envelope() -> impl Strategy<Value = Envelope> {
    (
        any::<(u64, u64)>(),
        any_replica(),
        any_replica(),
        any_message(),
    )
        .prop_map(|((group, term), from, to, message)| Envelope {
            group: GroupId(group),
            from,
            to,
            term,
            message,
        })
}

/// Few different addresses, so that some follow each other.
fn near_envelope() -> impl Strategy<Value = Envelope> {
    (0..4u64, 0..2u64, 0..2u64, 0..2u64, any_message()).prop_map(
        |(group, born, node, term, message)| Envelope {
            group: GroupId(group),
            from: replica(1, born),
            to: replica(2 + node, 0),
            term,
            message,
        },
    )
}

fn any_batch() -> impl Strategy<Value = Vec<Envelope>> {
    prop_oneof![vec(any_envelope(), 0..8), vec(near_envelope(), 0..8)]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(envelopes in any_batch(), version in 1..=NEWEST) {
        let whole = |envelope: &Envelope| is_said_whole(version, envelope);
        let envelopes: Vec<Envelope> = envelopes
            .into_iter()
            .filter(|envelope| whole(envelope) || !is_known(version, envelope))
            .collect();
        let known: Vec<Envelope> = envelopes.iter().filter(|it| whole(it)).cloned().collect();
        let batch = encode(version, &envelopes);
        prop_assert!(batch.len() <= known.iter().map(weight).sum::<usize>() + 11);
        prop_assert_eq!(decode(batch, version), Ok(known.clone()));
        prop_assert_eq!(decode(encode_packed(version, &envelopes), version), Ok(known));
    }

    #[test]
    fn random_bytes_are_refused_or_are_the_one_encoding(
        mut bytes in vec(any::<u8>(), 0..300),
        version in 1..=NEWEST,
        packed in any::<bool>(),
    ) {
        if let Some(first) = bytes.first_mut() {
            *first = version as u8 | if packed { 0x80 } else { 0 };
        }
        let batch = Bytes::from(bytes);
        if let Ok(envelopes) = decode(batch.clone(), NEWEST) {
            prop_assert!(packed || encode(version, &envelopes) == batch);
        }
    }

    #[test]
    fn a_flipped_byte_is_refused_or_is_another_batch(
        envelopes in any_batch(),
        version in 1..=NEWEST,
        place in any::<prop::sample::Index>(),
        flip in 1..=255u8,
    ) {
        let known = envelopes.into_iter().filter(|envelope| is_said_whole(version, envelope));
        let known: Vec<Envelope> = known.collect();
        let mut bytes = encode(version, &known).to_vec();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        if let Ok(others) = decode(bytes.clone().into(), NEWEST) {
            if bytes[0] & 0x80 == 0 {
                let version = u16::from(bytes[0]);
                prop_assert_eq!(encode(version, &others), Bytes::from(bytes));
            }
            prop_assert!(place == 0 || others != known);
        }
    }

    #[test]
    fn a_flipped_byte_of_a_compressed_batch_does_no_harm(
        envelopes in vec(near_envelope(), 60..100),
        place in any::<prop::sample::Index>(),
        flip in 1..=255u8,
    ) {
        let mut bytes = encode_packed(NEWEST, &envelopes).to_vec();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        // Refused or not, it ends, and within the memory of a frame.
        let _ = decode(bytes.into(), NEWEST);
    }
}
