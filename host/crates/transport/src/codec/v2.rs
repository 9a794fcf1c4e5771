//! Version 2 of a batch: what an envelope has in common with the one before it goes unsaid.
//!
//! One byte, the head, holds the tag and says what is left out, so that a heartbeat of the next
//! group is the head, the commit index and the round. What can be left out must be: a batch has one
//! encoding only.

use bytes::{BufMut, BytesMut};
use coracle_proto::{Envelope, GroupId, NodeId, ReplicaId, Term};

use super::reader::Reader;
use super::varint::put;
use super::{CodecError, read, write};
use crate::mutant::mutant;

/// The fewest bytes an envelope can take: its head.
pub(super) const MIN_ENVELOPE: usize = 1;

/// The tag.
const TAG: u8 = 0x1f;
/// The group is the previous one plus one.
const NEXT_GROUP: u8 = 0x20;
/// Both replicas are the previous ones.
const SAME_REPLICAS: u8 = 0x40;
/// The term is the previous one.
const SAME_TERM: u8 = 0x80;

/// What the previous envelope said. Before the first: zeros.
#[derive(Debug, Clone, Copy)]
pub(super) struct Previous {
    group: GroupId,
    from: ReplicaId,
    to: ReplicaId,
    term: Term,
}

impl Previous {
    pub(super) fn none() -> Self {
        let nobody = ReplicaId {
            node: NodeId(0),
            born: 0,
        };
        Self {
            group: GroupId(0),
            from: nobody,
            to: nobody,
            term: 0,
        }
    }

    fn set(&mut self, envelope: &Envelope) {
        *self = Self {
            group: envelope.group,
            from: envelope.from,
            to: envelope.to,
            term: envelope.term,
        };
    }

    fn next_group(&self) -> GroupId {
        GroupId(self.group.0.wrapping_add(1))
    }
}

pub(super) fn put_envelope(out: &mut BytesMut, previous: &mut Previous, envelope: &Envelope) {
    let next = envelope.group == previous.next_group();
    let same_replicas = (envelope.from, envelope.to) == (previous.from, previous.to);
    let same_term = envelope.term == previous.term;
    let mut head = write::tag_of(&envelope.message);
    for (is, bit) in [
        (next, NEXT_GROUP),
        (same_replicas, SAME_REPLICAS),
        (same_term, SAME_TERM),
    ] {
        head |= if is { bit } else { 0 };
    }
    out.put_u8(head);
    if !next {
        put(out, envelope.group.0);
    }
    if !same_replicas {
        write::replica(out, envelope.from);
        write::replica(out, envelope.to);
    }
    if !same_term {
        put(out, envelope.term);
    }
    write::fields(out, &envelope.message);
    previous.set(envelope);
}

pub(super) fn envelope(
    reader: &mut Reader,
    previous: &mut Previous,
) -> Result<Envelope, CodecError> {
    let head = reader.byte("message")?;
    let group = match head & NEXT_GROUP != 0 {
        true => previous.next_group(),
        false => said(
            GroupId(reader.varint("group")?),
            previous.next_group(),
            "group",
        )?,
    };
    let before = (previous.from, previous.to);
    let (from, to) = match head & SAME_REPLICAS != 0 {
        true => before,
        false => {
            let from = read::replica(reader, "sender")?;
            let to = read::replica(reader, "addressee")?;
            said((from, to), before, "sender and addressee")?
        }
    };
    let term = match head & SAME_TERM != 0 {
        true => previous.term,
        false => said(reader.varint("term")?, previous.term, "term")?,
    };
    let envelope = Envelope {
        group,
        from,
        to,
        term,
        message: read::message(reader, head & TAG)?,
    };
    if !mutant!(PreviousNotFollowed) || previous.term == 0 {
        previous.set(&envelope);
    }
    Ok(envelope)
}

/// What was said must have been worth saying.
fn said<T: PartialEq>(value: T, unsaid: T, field: &'static str) -> Result<T, CodecError> {
    match value == unsaid {
        true => Err(CodecError::Redundant { field }),
        false => Ok(value),
    }
}
