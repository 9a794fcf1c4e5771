//! What goes over the wire.

use coracle_proto::{AppendOutcome, Envelope, GroupId, Message, NodeId, ReplicaId};

use super::Outcome;
use crate::wire::{claim, foreign_sender, resumed_transfer, round_trip, trailing};

fn envelope(group: u64, to: u64, term: u64) -> Envelope {
    let id = |node| ReplicaId {
        node: NodeId(node),
        born: 0,
    };
    Envelope {
        group: GroupId(group),
        from: id(1),
        to: id(to),
        term,
        message: Message::AppendReply(AppendOutcome::Matched { index: 5 }),
    }
}

/// A node speaks in the name of another one.
pub(super) fn sender_not_checked() -> Outcome {
    foreign_sender(3)
}

/// A frame with one byte too many.
pub(super) fn trailing_bytes_ignored() -> Outcome {
    trailing(&[envelope(1, 2, 3)], 1)
}

/// A small compressed frame that claims to be 64 MiB.
pub(super) fn unpack_limit_ignored() -> Outcome {
    claim(64 << 20)
}

/// Three messages, of which the third leaves out what it shares with the second.
pub(super) fn previous_not_followed() -> Outcome {
    round_trip(&[envelope(1, 2, 3), envelope(5, 3, 4), envelope(6, 3, 4)])
}

/// A transfer that goes on in the middle.
pub(super) fn bulk_offset_ignored() -> Outcome {
    resumed_transfer(100_000, 60_000)
}
