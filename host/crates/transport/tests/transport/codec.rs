//! The encoding of envelopes: pinned bytes, round trips, and hostile input.

use std::time::Duration;

use bytes::Bytes;
use coracle_proto::{
    AppendOutcome, Configuration, DEFAULT_PRIORITY, Entry, EntryKind, Envelope, GroupId, LogId,
    Message, NodeId, ReadMode, ReplicaId, SnapshotMeta, VoteKind,
};
use coracle_transport::codec::{COPY_BELOW, CodecError, decode, encode, weight};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

/// One line per message: name, space, bytes in hex.
const GOLDEN: &str = include_str!("../../testdata/envelopes.v1.hex");

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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_message_has_its_golden_bytes() {
    let encoded: String = specimens()
        .into_iter()
        .map(|(name, message)| format!("{name} {}\n", hex(&encode(&[envelope(message)]))))
        .collect();
    assert_eq!(encoded, GOLDEN, "version 1 is published and never changes");
}

#[test]
fn a_batch_cut_short_anywhere_is_refused() {
    let all: Vec<Envelope> = specimens().into_iter().map(|(_, m)| envelope(m)).collect();
    let batch = encode(&all);
    assert_eq!(decode(batch.clone()).as_ref(), Ok(&all));
    for length in 0..batch.len() {
        assert!(decode(batch.slice(..length)).is_err(), "{length} bytes");
    }
}

#[test]
fn counts_are_checked_before_anything_is_allocated() {
    // Version 1, then a count of 2^63 envelopes and nothing.
    let bomb = [&[1][..], &[0x80; 9], &[1]].concat();
    assert!(matches!(
        decode(bomb.into()),
        Err(CodecError::Count { count, remaining: 0, .. }) if count == 1 << 63
    ));
}

#[test]
fn another_version_and_trailing_bytes_are_refused() {
    assert_eq!(
        decode(Bytes::from_static(&[2, 0])),
        Err(CodecError::Version { found: 2 })
    );
    assert_eq!(
        decode(Bytes::from_static(&[1, 0, 0])),
        Err(CodecError::Trailing { bytes: 1 })
    );
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
        encode(&[envelope(Message::Append {
            prev: id(0, 0),
            entries: vec![entry],
            commit: 0,
        })])
    };
    let is_slice = |frame: Bytes| {
        let decoded = decode(frame.clone()).expect("decodes");
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

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(envelopes in vec(any_envelope(), 0..8)) {
        let batch = encode(&envelopes);
        prop_assert!(batch.len() <= envelopes.iter().map(weight).sum::<usize>() + 11);
        prop_assert_eq!(decode(batch), Ok(envelopes));
    }

    #[test]
    fn random_bytes_are_refused_or_are_the_one_encoding(mut bytes in vec(any::<u8>(), 0..300)) {
        if let Some(first) = bytes.first_mut() {
            *first = 1;
        }
        let batch = Bytes::from(bytes);
        if let Ok(envelopes) = decode(batch.clone()) {
            prop_assert_eq!(encode(&envelopes), batch);
        }
    }

    #[test]
    fn a_flipped_byte_is_refused_or_is_another_batch(
        envelopes in vec(any_envelope(), 1..4),
        place in any::<prop::sample::Index>(),
        flip in 1..=255u8,
    ) {
        let mut bytes = encode(&envelopes).to_vec();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        if let Ok(others) = decode(bytes.clone().into()) {
            prop_assert_ne!(&others, &envelopes);
            prop_assert_eq!(encode(&others), Bytes::from(bytes));
        }
    }
}
