//! Version 1 of a batch: every envelope says everything.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use coracle_proto::{Configuration, DEFAULT_PRIORITY, EntryKind, Envelope, GroupId, Message};

use super::reader::Reader;
use super::varint::put;
use super::write::tag;
use super::{CodecError, read, write};

/// The fewest bytes an envelope can take: group, two replicas, term, tag, one field.
pub(super) const MIN_ENVELOPE: usize = 8;

/// Whether a node of version 1 understands it. It cannot read a configuration with witnesses.
pub(super) fn knows(message: &Message) -> bool {
    match message {
        Message::TimeoutNow
        | Message::ReadIndex { .. }
        | Message::ReadIndexReply { .. }
        | Message::Wake => false,
        Message::Snapshot { meta } => meta.configuration.witnesses.is_empty(),
        Message::Append { entries, .. } => !entries
            .iter()
            .filter(|entry| entry.kind == EntryKind::Configuration)
            .filter_map(|entry| Configuration::decode(&entry.payload).ok())
            .any(|configuration| !configuration.witnesses.is_empty()),
        _ => true,
    }
}

pub(super) fn put_envelope(out: &mut BytesMut, envelope: &Envelope) {
    put(out, envelope.group.0);
    write::replica(out, envelope.from);
    write::replica(out, envelope.to);
    put(out, envelope.term);
    let message = understood(&envelope.message);
    out.put_u8(write::tag_of(&message));
    write::fields(out, &message);
}

/// What version 1 has a simpler word for. Who does not know of leases counts no promise and makes
/// none, and all priorities are the same to it.
fn understood(message: &Message) -> Cow<'_, Message> {
    match *message {
        Message::Heartbeat { commit, round, .. } => Cow::Owned(Message::Heartbeat {
            commit,
            round,
            lease: false,
        }),
        Message::HeartbeatReply { round, .. } => Cow::Owned(Message::HeartbeatReply {
            round,
            hold: Duration::ZERO,
            priority: DEFAULT_PRIORITY,
        }),
        _ => Cow::Borrowed(message),
    }
}

pub(super) fn envelope(reader: &mut Reader) -> Result<Envelope, CodecError> {
    Ok(Envelope {
        group: GroupId(reader.varint("group")?),
        from: read::replica(reader, "sender")?,
        to: read::replica(reader, "addressee")?,
        term: reader.varint("term")?,
        message: message(reader)?,
    })
}

fn message(reader: &mut Reader) -> Result<Message, CodecError> {
    let field = "message";
    let found = reader.byte(field)?;
    if found > tag::QUIESCE {
        return Err(CodecError::Tag { field, found });
    }
    let message = read::message(reader, found)?;
    match knows(&message) {
        true => Ok(message),
        false => Err(CodecError::Tag { field, found }),
    }
}
