//! Bytes to messages, the same in every version that knows them.

use std::collections::BTreeSet;
use std::time::Duration;

use coracle_proto::{
    AppendOutcome, Configuration, DEFAULT_PRIORITY, Entry, EntryKind, LogId, Message, NodeId,
    ReadMode, ReplicaId, SnapshotMeta, VoteKind,
};

use super::CodecError;
use super::reader::Reader;
use super::write::{flag, tag};

/// The fewest bytes an entry can take: term, index, kind, length.
const MIN_ENTRY: usize = 4;
/// The fewest bytes a replica id can take.
const MIN_REPLICA: usize = 2;

/// Memory of a replica id in a set, whose nodes may be half empty.
pub(super) const REPLICA_BYTES: usize = 3 * size_of::<ReplicaId>();

/// The fields that follow a tag.
pub(super) fn message(reader: &mut Reader, tag: u8) -> Result<Message, CodecError> {
    Ok(match tag {
        tag::VOTE => Message::Vote {
            kind: vote_kind(reader)?,
            last: log_id(reader, "last")?,
        },
        tag::VOTE_REPLY => Message::VoteReply {
            kind: vote_kind(reader)?,
            granted: reader.boolean("granted")?,
        },
        tag::APPEND => append(reader)?,
        tag::MATCHED => Message::AppendReply(AppendOutcome::Matched {
            index: reader.varint("matched index")?,
        }),
        tag::REJECTED => Message::AppendReply(AppendOutcome::Rejected {
            rejected: reader.varint("rejected index")?,
            hint: log_id(reader, "hint")?,
        }),
        tag::HEARTBEAT => Message::Heartbeat {
            commit: reader.varint("commit")?,
            round: reader.varint("round")?,
            lease: false,
        },
        tag::LEASE_HEARTBEAT => Message::Heartbeat {
            commit: reader.varint("commit")?,
            round: reader.varint("round")?,
            lease: true,
        },
        tag::HEARTBEAT_REPLY => Message::HeartbeatReply {
            round: reader.varint("round")?,
            hold: Duration::ZERO,
            priority: DEFAULT_PRIORITY,
        },
        tag::HEARTBEAT_PROMISE => heartbeat_promise(reader)?,
        tag::SNAPSHOT => Message::Snapshot {
            meta: snapshot_meta(reader)?,
        },
        tag::QUIESCE => Message::Quiesce {
            last: log_id(reader, "last")?,
            commit: reader.varint("commit")?,
        },
        tag::TIMEOUT_NOW => Message::TimeoutNow,
        tag::READ_INDEX => Message::ReadIndex {
            round: reader.varint("round")?,
            mode: ReadMode::Index,
        },
        tag::READ_LEASE => Message::ReadIndex {
            round: reader.varint("round")?,
            mode: ReadMode::Lease,
        },
        tag::WAKE => Message::Wake,
        tag::READ_INDEX_GRANTED => Message::ReadIndexReply {
            round: reader.varint("round")?,
            index: Some(reader.varint("read index")?),
        },
        tag::READ_INDEX_REFUSED => Message::ReadIndexReply {
            round: reader.varint("round")?,
            index: None,
        },
        found => {
            return Err(CodecError::Tag {
                field: "message",
                found,
            });
        }
    })
}

/// Every message has one encoding: what fits the short form is refused in this one.
fn heartbeat_promise(reader: &mut Reader) -> Result<Message, CodecError> {
    let round = reader.varint("round")?;
    let hold = Duration::from_micros(reader.varint("hold")?);
    let priority = reader.byte("priority")?;
    if hold.is_zero() && priority == DEFAULT_PRIORITY {
        return Err(CodecError::Tag {
            field: "heartbeat reply",
            found: tag::HEARTBEAT_PROMISE,
        });
    }
    Ok(Message::HeartbeatReply {
        round,
        hold,
        priority,
    })
}

fn append(reader: &mut Reader) -> Result<Message, CodecError> {
    let prev = log_id(reader, "prev")?;
    let commit = reader.varint("commit")?;
    let count = reader.list("entries", MIN_ENTRY, size_of::<Entry>())?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(entry(reader)?);
    }
    Ok(Message::Append {
        prev,
        entries,
        commit,
    })
}

fn entry(reader: &mut Reader) -> Result<Entry, CodecError> {
    Ok(Entry {
        term: reader.varint("entry term")?,
        index: reader.varint("entry index")?,
        kind: entry_kind(reader)?,
        payload: reader.payload("entry payload")?,
    })
}

fn entry_kind(reader: &mut Reader) -> Result<EntryKind, CodecError> {
    match reader.byte("entry kind")? {
        0 => Ok(EntryKind::Noop),
        1 => Ok(EntryKind::Normal),
        2 => Ok(EntryKind::Configuration),
        found => Err(CodecError::Tag {
            field: "entry kind",
            found,
        }),
    }
}

fn vote_kind(reader: &mut Reader) -> Result<VoteKind, CodecError> {
    match reader.byte("vote kind")? {
        0 => Ok(VoteKind::Pre),
        1 => Ok(VoteKind::Real),
        2 => Ok(VoteKind::Transfer),
        found => Err(CodecError::Tag {
            field: "vote kind",
            found,
        }),
    }
}

fn snapshot_meta(reader: &mut Reader) -> Result<SnapshotMeta, CodecError> {
    Ok(SnapshotMeta {
        last: log_id(reader, "snapshot end")?,
        configuration: configuration(reader)?,
    })
}

fn configuration(reader: &mut Reader) -> Result<Configuration, CodecError> {
    let mut configuration = Configuration {
        index: reader.varint("configuration index")?,
        voters: replicas(reader, "voters")?,
        outgoing: replicas(reader, "outgoing voters")?,
        learners: replicas(reader, "learners")?,
        learners_next: replicas(reader, "next learners")?,
        ..Configuration::default()
    };
    let flags = reader.byte("configuration flags")?;
    let witnesses = flags & flag::WITNESSES != 0;
    if witnesses {
        configuration.witnesses = replicas(reader, "witnesses")?;
    }
    let empty = witnesses && configuration.witnesses.is_empty();
    if flags & !(flag::AUTO_LEAVE | flag::WITNESSES) != 0 || empty {
        return Err(CodecError::Tag {
            field: "configuration flags",
            found: flags,
        });
    }
    configuration.auto_leave = flags & flag::AUTO_LEAVE != 0;
    Ok(configuration)
}

fn replicas(reader: &mut Reader, field: &'static str) -> Result<BTreeSet<ReplicaId>, CodecError> {
    let count = reader.list(field, MIN_REPLICA, REPLICA_BYTES)?;
    let mut set = BTreeSet::new();
    for _ in 0..count {
        let id = replica(reader, field)?;
        if set.last().is_some_and(|last| *last >= id) {
            return Err(CodecError::Order { field });
        }
        set.insert(id);
    }
    Ok(set)
}

pub(super) fn replica(reader: &mut Reader, field: &'static str) -> Result<ReplicaId, CodecError> {
    Ok(ReplicaId {
        node: NodeId(reader.varint(field)?),
        born: reader.varint(field)?,
    })
}

fn log_id(reader: &mut Reader, field: &'static str) -> Result<LogId, CodecError> {
    Ok(LogId {
        term: reader.varint(field)?,
        index: reader.varint(field)?,
    })
}
