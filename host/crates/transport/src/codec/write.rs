//! Messages to bytes, the same in every version that knows them.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use coracle_proto::{
    AppendOutcome, Configuration, DEFAULT_PRIORITY, Entry, Envelope, LogId, Message, ReadMode,
    ReplicaId, SnapshotMeta,
};

use super::read::REPLICA_BYTES;
use super::reader::COPY_OVERHEAD;
use super::varint::{self, put};
use crate::limits::MEMORY_PER_WEIGHT;

pub(super) mod tag {
    pub(crate) const VOTE: u8 = 1;
    pub(crate) const VOTE_REPLY: u8 = 2;
    pub(crate) const APPEND: u8 = 3;
    pub(crate) const MATCHED: u8 = 4;
    pub(crate) const REJECTED: u8 = 5;
    pub(crate) const HEARTBEAT: u8 = 6;
    pub(crate) const HEARTBEAT_REPLY: u8 = 7;
    pub(crate) const SNAPSHOT: u8 = 8;
    pub(crate) const QUIESCE: u8 = 9;
    pub(crate) const TIMEOUT_NOW: u8 = 10;
    pub(crate) const READ_INDEX: u8 = 11;
    pub(crate) const READ_INDEX_GRANTED: u8 = 12;
    pub(crate) const READ_INDEX_REFUSED: u8 = 13;
    pub(crate) const LEASE_HEARTBEAT: u8 = 14;
    pub(crate) const HEARTBEAT_PROMISE: u8 = 15;
    pub(crate) const READ_LEASE: u8 = 16;
    pub(crate) const WAKE: u8 = 17;
}

/// Bits of the byte that ends the fixed sets of a configuration.
pub(super) mod flag {
    pub(crate) const AUTO_LEAVE: u8 = 1;
    pub(crate) const WITNESSES: u8 = 2;
}

/// Address and term of an envelope, in bytes.
const ADDRESS: usize = 6 * varint::MAX_BYTES;
/// The widest message without a list: one tag and four varints.
const FIXED: usize = 1 + 4 * varint::MAX_BYTES;
/// An entry without its payload.
const PER_ENTRY: usize = 3 * varint::MAX_BYTES + 1;
/// A replica id.
const PER_REPLICA: usize = 2 * varint::MAX_BYTES;
/// A configuration without its members.
const CONFIGURATION: usize = 6 * varint::MAX_BYTES + 1;

/// What a frame may weigh is never refused for its memory: an element weighs as much as its bytes on
/// the wire, which stay in memory, and these and the element itself are what it may take.
const _: () = {
    let room = MEMORY_PER_WEIGHT - 1;
    assert!(size_of::<Envelope>() <= room * (ADDRESS + FIXED));
    assert!(size_of::<Entry>() + COPY_OVERHEAD <= room * PER_ENTRY);
    assert!(REPLICA_BYTES <= room * PER_REPLICA);
};

/// Upper bound of the encoded size of an envelope, in bytes. Queues count by it.
pub fn weight(envelope: &Envelope) -> usize {
    let lists = match &envelope.message {
        Message::Append { entries, .. } => entries
            .iter()
            .map(|entry| entry.payload.len() + PER_ENTRY)
            .sum(),
        Message::Snapshot { meta } => {
            let of = &meta.configuration;
            let sets = [
                &of.voters,
                &of.outgoing,
                &of.learners,
                &of.learners_next,
                &of.witnesses,
            ];
            let replicas: usize = sets.iter().map(|set| set.len()).sum();
            CONFIGURATION + replicas * PER_REPLICA
        }
        _ => 0,
    };
    // An Append has prev, commit and the count of its entries.
    ADDRESS + FIXED + lists
}

/// The tag that says which fields follow.
pub(super) fn tag_of(message: &Message) -> u8 {
    match message {
        Message::Vote { .. } => tag::VOTE,
        Message::VoteReply { .. } => tag::VOTE_REPLY,
        Message::Append { .. } => tag::APPEND,
        Message::AppendReply(AppendOutcome::Matched { .. }) => tag::MATCHED,
        Message::AppendReply(AppendOutcome::Rejected { .. }) => tag::REJECTED,
        Message::Heartbeat { lease: false, .. } => tag::HEARTBEAT,
        Message::Heartbeat { lease: true, .. } => tag::LEASE_HEARTBEAT,
        Message::HeartbeatReply { hold, priority, .. } => match is_plain(*hold, *priority) {
            true => tag::HEARTBEAT_REPLY,
            false => tag::HEARTBEAT_PROMISE,
        },
        Message::Snapshot { .. } => tag::SNAPSHOT,
        Message::Quiesce { .. } => tag::QUIESCE,
        Message::TimeoutNow => tag::TIMEOUT_NOW,
        Message::ReadIndex { mode, .. } => match mode {
            ReadMode::Index => tag::READ_INDEX,
            ReadMode::Lease => tag::READ_LEASE,
        },
        Message::Wake => tag::WAKE,
        Message::ReadIndexReply { index: Some(_), .. } => tag::READ_INDEX_GRANTED,
        Message::ReadIndexReply { index: None, .. } => tag::READ_INDEX_REFUSED,
    }
}

/// What follows the tag.
pub(super) fn fields(out: &mut BytesMut, message: &Message) {
    match message {
        Message::Vote { kind, last } => {
            out.put_u8(*kind as u8);
            log_id(out, *last);
        }
        Message::VoteReply { kind, granted } => {
            out.put_slice(&[*kind as u8, u8::from(*granted)]);
        }
        Message::Append {
            prev,
            entries,
            commit,
        } => {
            log_id(out, *prev);
            put(out, *commit);
            put(out, entries.len() as u64);
            for item in entries {
                entry(out, item);
            }
        }
        Message::AppendReply(outcome) => append_outcome(out, *outcome),
        Message::Heartbeat { commit, round, .. } => {
            put(out, *commit);
            put(out, *round);
        }
        Message::HeartbeatReply {
            round,
            hold,
            priority,
        } => {
            put(out, *round);
            if !is_plain(*hold, *priority) {
                put(out, u64::try_from(hold.as_micros()).unwrap_or(u64::MAX));
                out.put_u8(*priority);
            }
        }
        Message::Snapshot { meta } => snapshot_meta(out, meta),
        Message::Quiesce { last, commit } => {
            log_id(out, *last);
            put(out, *commit);
        }
        Message::TimeoutNow | Message::Wake => {}
        Message::ReadIndex { round, .. } => put(out, *round),
        Message::ReadIndexReply { round, index } => {
            put(out, *round);
            if let Some(index) = index {
                put(out, *index);
            }
        }
    }
}

/// The common reply to a heartbeat: no promise, no priority of its own.
fn is_plain(hold: Duration, priority: u8) -> bool {
    hold.is_zero() && priority == DEFAULT_PRIORITY
}

fn append_outcome(out: &mut BytesMut, outcome: AppendOutcome) {
    match outcome {
        AppendOutcome::Matched { index } => put(out, index),
        AppendOutcome::Rejected { rejected, hint } => {
            put(out, rejected);
            log_id(out, hint);
        }
    }
}

fn entry(out: &mut BytesMut, entry: &Entry) {
    put(out, entry.term);
    put(out, entry.index);
    out.put_u8(entry.kind as u8);
    put(out, entry.payload.len() as u64);
    out.put_slice(&entry.payload);
}

fn snapshot_meta(out: &mut BytesMut, meta: &SnapshotMeta) {
    log_id(out, meta.last);
    configuration(out, &meta.configuration);
}

fn configuration(out: &mut BytesMut, configuration: &Configuration) {
    put(out, configuration.index);
    replicas(out, &configuration.voters);
    replicas(out, &configuration.outgoing);
    replicas(out, &configuration.learners);
    replicas(out, &configuration.learners_next);
    let witnesses = !configuration.witnesses.is_empty();
    let auto_leave = if configuration.auto_leave {
        flag::AUTO_LEAVE
    } else {
        0
    };
    out.put_u8(auto_leave | if witnesses { flag::WITNESSES } else { 0 });
    if witnesses {
        replicas(out, &configuration.witnesses);
    }
}

fn replicas(out: &mut BytesMut, set: &BTreeSet<ReplicaId>) {
    put(out, set.len() as u64);
    for id in set {
        replica(out, *id);
    }
}

pub(super) fn replica(out: &mut BytesMut, id: ReplicaId) {
    put(out, id.node.0);
    put(out, id.born);
}

fn log_id(out: &mut BytesMut, id: LogId) {
    put(out, id.term);
    put(out, id.index);
}
