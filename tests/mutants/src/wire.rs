//! Frames, sound and damaged, and two nodes on loopback: the random search for bugs of the
//! transport.

mod loopback;

use bytes::{BufMut, Bytes, BytesMut};
use coracle_proto::{
    AppendOutcome, Entry, EntryKind, Envelope, GroupId, LogId, Message, NodeId, ReplicaId,
};
use coracle_transport::codec::{CodecError, decode, encode, encode_packed};
use coracle_transport::{MAX_FRAME_BYTES, MAX_WIRE_VERSION};

pub(crate) use loopback::{foreign_sender, resumed_transfer};

use crate::storage::Random;

/// Set in the version byte of a compressed frame.
const PACKED: u8 = 0x80;

/// Envelopes of a drawn frame, at most.
const MAX_ENVELOPES: u64 = 6;

/// One seed in so many also opens connections.
const LOOPBACK_EVERY: u64 = 4;

/// Runs one seed.
pub(crate) fn run(seed: u64) -> Result<(), String> {
    let mut random = Random::new(seed);
    let batch = draw(&mut random);
    round_trip(&batch)?;
    trailing(&batch, random.below(40) as usize + 1)?;
    claim(MAX_FRAME_BYTES as u64 + 1 + random.below(1 << 20))?;
    if seed % LOOPBACK_EVERY == 1 {
        foreign_sender(3 + random.below(5))?;
        resumed_transfer(100_000, 1 + random.below(99_998))?;
    }
    Ok(())
}

fn draw(random: &mut Random) -> Vec<Envelope> {
    let replica = |random: &mut Random| ReplicaId {
        node: NodeId(1 + random.below(2)),
        born: random.below(2),
    };
    let envelope = |random: &mut Random| Envelope {
        group: GroupId(random.below(3)),
        from: replica(random),
        to: replica(random),
        term: 1 + random.below(2),
        message: message(random),
    };
    let count = 2 + random.below(MAX_ENVELOPES - 1);
    (0..count).map(|_| envelope(random)).collect()
}

fn message(random: &mut Random) -> Message {
    let id = LogId {
        term: 1,
        index: 1 + random.below(300),
    };
    match random.below(3) {
        0 => Message::AppendReply(AppendOutcome::Matched { index: id.index }),
        1 => Message::Heartbeat {
            commit: id.index,
            round: random.below(9),
            lease: false,
        },
        _ => Message::Append {
            prev: id,
            entries: vec![Entry {
                term: 1,
                index: id.index + 1,
                kind: EntryKind::Normal,
                payload: Bytes::from(vec![7; random.below(700) as usize]),
            }],
            commit: 0,
        },
    }
}

/// What was encoded comes out again, in every version.
pub(crate) fn round_trip(batch: &[Envelope]) -> Result<(), String> {
    for version in 1..=MAX_WIRE_VERSION {
        for frame in [encode(version, batch), encode_packed(version, batch)] {
            match decode(frame, version) {
                Ok(found) if found == batch => {}
                found => return Err(format!("round trip: version {version} gives {found:?}")),
            }
        }
    }
    Ok(())
}

/// A frame with bytes behind its end is none.
pub(crate) fn trailing(batch: &[Envelope], bytes: usize) -> Result<(), String> {
    let mut frame = BytesMut::from(&encode(MAX_WIRE_VERSION, batch)[..]);
    frame.extend(std::iter::repeat_n(0, bytes));
    match decode(frame.freeze(), MAX_WIRE_VERSION) {
        Err(CodecError::Trailing { .. }) => Ok(()),
        found => Err(format!("trailing bytes: {found:?}")),
    }
}

/// No room is made for a compressed frame that claims more than a frame may have.
pub(crate) fn claim(claimed: u64) -> Result<(), String> {
    let mut frame = BytesMut::new();
    frame.put_u8(MAX_WIRE_VERSION as u8 | PACKED);
    let mut rest = claimed;
    while rest >= 0x80 {
        frame.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    frame.put_u8(rest as u8);
    frame.put_bytes(0, MAX_FRAME_BYTES / 200);
    match decode(frame.freeze(), MAX_WIRE_VERSION) {
        Err(CodecError::Uncompressed { .. }) => Ok(()),
        found => Err(format!("claimed length: {claimed} bytes give {found:?}")),
    }
}
