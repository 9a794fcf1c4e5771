use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{Digest, Limits};

fn command(body: &[u8], key: Option<[u8; 16]>) -> Command {
    Command {
        body: Bytes::copy_from_slice(body),
        key,
    }
}

fn spec() -> MachineSpec {
    MachineSpec {
        plugin: Digest([7; 32]),
        config: vec![("a".into(), "b".into())],
        limits: Limits::default(),
        contract: "0.1.0".into(),
        epoch: 1,
    }
}

fn decoded_group(payload: &Bytes) -> Group {
    match decode(payload).expect("decodes").body {
        Body::Commands(group) => group,
        other => panic!("not a group: {other:?}"),
    }
}

#[test]
fn a_group_has_these_golden_bytes() {
    let payload = encode_commands(
        0x0102,
        [9; 32],
        &[command(b"ab", None), command(b"", Some([5; 16]))],
    );

    let mut golden = vec![1, 1, 2, 1, 0, 0, 0, 0, 0, 0];
    golden.extend([9; 32]);
    golden.extend([2, 0, 0, 0, 0, 1]);
    golden.extend([5; 16]);
    golden.extend([2, 0, 0, 0, 2, 0, 0, 0, b'a', b'b', 0, 0, 0, 0]);
    assert_eq!(payload, golden);
}

#[test]
fn host_entries_have_these_golden_heads_and_round_trip() {
    for (kind, entry, body) in [
        (2, HostEntry::Create(spec()), Body::Create(spec())),
        (3, HostEntry::Activate(spec()), Body::Activate(spec())),
        (4, HostEntry::Checkpoint, Body::Checkpoint),
        (5, HostEntry::Retire, Body::Retire),
    ] {
        let payload = encode_host(7, [3; 32], &entry);

        assert_eq!(payload[..3], [kind, 1, 7]);
        assert_eq!(time_of(&payload), Ok(7));
        let decoded = decode(&payload).expect("decodes");
        assert_eq!((decoded.time, decoded.seed), (7, [3; 32]));
        assert_eq!(decoded.body, body);
    }
}

#[test]
fn the_frame_is_the_entrys_own_bytes() {
    let payload = encode_commands(1, [0; 32], &[command(b"x", None), command(b"yz", None)]);

    let group = decoded_group(&payload);

    let at = payload.len() - group.frame().len();
    assert_eq!(group.frame().as_ptr(), payload[at..].as_ptr());
    assert_eq!(group.frame_of(&[0, 1]), *group.frame());
    assert_eq!(
        group.frame_of(&[1]),
        &[1, 0, 0, 0, 2, 0, 0, 0, b'y', b'z'][..]
    );
}

#[test]
fn a_principal_is_read_where_its_flag_is_set() {
    let mut raw = encode_commands(1, [0; 32], &[command(b"x", None)]).to_vec();
    raw[HEAD + 4] = HAS_PRINCIPAL;
    raw.splice(HEAD + 5..HEAD + 5, 42u64.to_le_bytes());

    let group = decoded_group(&Bytes::from(raw));

    assert_eq!(group.headers()[0].principal, 42);
}

#[test]
fn what_does_not_fit_is_named() {
    let good = encode_commands(1, [0; 32], &[command(b"x", None)]);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut raw = good.to_vec();
        change(&mut raw);
        decode(&Bytes::from(raw)).expect_err("is refused")
    };

    assert!(matches!(
        with(&|raw| raw[0] = 9),
        PayloadError::Kind { kind: 9 }
    ));
    assert!(matches!(
        with(&|raw| raw[1] = 2),
        PayloadError::Version { version: 2 }
    ));
    assert!(matches!(
        with(&|raw| raw[HEAD + 4] = 4),
        PayloadError::Flags { flags: 4, .. }
    ));
    assert!(matches!(
        with(&|raw| raw[HEAD + 5] = 2),
        PayloadError::Count { .. }
    ));
    assert!(matches!(
        with(&|raw| raw.push(0)),
        PayloadError::Trailing { extra: 1 }
    ));
    let empty = encode_commands(1, [0; 32], &[]);
    assert!(matches!(decode(&empty), Err(PayloadError::Count { .. })));
}

proptest! {
    #[test]
    fn groups_round_trip(
        time: u64,
        seed: [u8; 32],
        commands in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..40), prop::option::of(any::<[u8; 16]>())),
            1..20,
        ),
    ) {
        let commands: Vec<_> = commands.iter().map(|(body, key)| command(body, *key)).collect();

        let payload = encode_commands(time, seed, &commands);

        let group = decoded_group(&payload);
        prop_assert_eq!(time_of(&payload), Ok(time));
        prop_assert_eq!(group.len(), commands.len());
        for (ordinal, command) in commands.iter().enumerate() {
            prop_assert_eq!(group.headers()[ordinal].key, command.key);
            prop_assert_eq!(group.body(ordinal), &command.body[..]);
        }
    }

    #[test]
    fn a_shortened_payload_is_refused(cut in 0usize..80) {
        let payload = encode_commands(1, [1; 32], &[command(b"hello", Some([1; 16]))]);
        prop_assume!(cut < payload.len());
        prop_assert!(decode(&payload.slice(..cut)).is_err());
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..300), kind in 0u8..7) {
        let mut raw = vec![kind, PAYLOAD_VERSION];
        raw.extend(noise);
        let _ = decode(&Bytes::from(raw));
    }
}
