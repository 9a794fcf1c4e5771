//! Envelope to bytes.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use coracle_proto::{
    AppendOutcome, Configuration, DEFAULT_PRIORITY, Entry, Envelope, LogId, Message, ReadMode,
    ReplicaId, SnapshotMeta,
};

use super::varint::{self, put};

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

/// Upper bound of the encoded size of an envelope, in bytes. Queues count by it.
pub fn weight(envelope: &Envelope) -> usize {
    // Address and term, then the widest message without a list: one tag and four varints.
    const ADDRESS: usize = 6 * varint::MAX_BYTES;
    const FIXED: usize = 1 + 4 * varint::MAX_BYTES;
    const PER_ENTRY: usize = 3 * varint::MAX_BYTES + 1;
    const PER_REPLICA: usize = 2 * varint::MAX_BYTES;
    const CONFIGURATION: usize = 6 * varint::MAX_BYTES + 1;
    let lists = match &envelope.message {
        Message::Append { entries, .. } => entries
            .iter()
            .map(|entry| entry.payload.len() + PER_ENTRY)
            .sum(),
        Message::Snapshot { meta } => {
            let of = &meta.configuration;
            let replicas =
                of.voters.len() + of.outgoing.len() + of.learners.len() + of.learners_next.len();
            CONFIGURATION + replicas * PER_REPLICA
        }
        _ => 0,
    };
    // An Append has prev, commit and the count of its entries.
    ADDRESS + FIXED + lists
}

pub(super) fn envelope(out: &mut BytesMut, envelope: &Envelope) {
    put(out, envelope.group.0);
    replica(out, envelope.from);
    replica(out, envelope.to);
    put(out, envelope.term);
    message(out, &envelope.message);
}

fn message(out: &mut BytesMut, message: &Message) {
    match message {
        Message::Vote { kind, last } => {
            out.put_slice(&[tag::VOTE, *kind as u8]);
            log_id(out, *last);
        }
        Message::VoteReply { kind, granted } => {
            out.put_slice(&[tag::VOTE_REPLY, *kind as u8, u8::from(*granted)]);
        }
        Message::Append {
            prev,
            entries,
            commit,
        } => {
            out.put_u8(tag::APPEND);
            log_id(out, *prev);
            put(out, *commit);
            put(out, entries.len() as u64);
            for item in entries {
                entry(out, item);
            }
        }
        Message::AppendReply(outcome) => append_outcome(out, *outcome),
        Message::Heartbeat {
            commit,
            round,
            lease,
        } => {
            out.put_u8(match lease {
                false => tag::HEARTBEAT,
                true => tag::LEASE_HEARTBEAT,
            });
            put(out, *commit);
            put(out, *round);
        }
        Message::HeartbeatReply {
            round,
            hold,
            priority,
        } => heartbeat_reply(out, *round, *hold, *priority),
        Message::Snapshot { meta } => {
            out.put_u8(tag::SNAPSHOT);
            snapshot_meta(out, meta);
        }
        Message::Quiesce { last, commit } => {
            out.put_u8(tag::QUIESCE);
            log_id(out, *last);
            put(out, *commit);
        }
        Message::TimeoutNow => out.put_u8(tag::TIMEOUT_NOW),
        Message::ReadIndex { round, mode } => {
            out.put_u8(match mode {
                ReadMode::Index => tag::READ_INDEX,
                ReadMode::Lease => tag::READ_LEASE,
            });
            put(out, *round);
        }
        Message::Wake => out.put_u8(tag::WAKE),
        Message::ReadIndexReply {
            round,
            index: Some(index),
        } => {
            out.put_u8(tag::READ_INDEX_GRANTED);
            put(out, *round);
            put(out, *index);
        }
        Message::ReadIndexReply { round, index: None } => {
            out.put_u8(tag::READ_INDEX_REFUSED);
            put(out, *round);
        }
    }
}

/// The short form is the common one: no promise, no priority of its own.
fn heartbeat_reply(out: &mut BytesMut, round: u64, hold: Duration, priority: u8) {
    if hold.is_zero() && priority == DEFAULT_PRIORITY {
        out.put_u8(tag::HEARTBEAT_REPLY);
        put(out, round);
        return;
    }
    out.put_u8(tag::HEARTBEAT_PROMISE);
    put(out, round);
    put(out, u64::try_from(hold.as_micros()).unwrap_or(u64::MAX));
    out.put_u8(priority);
}

fn append_outcome(out: &mut BytesMut, outcome: AppendOutcome) {
    match outcome {
        AppendOutcome::Matched { index } => {
            out.put_u8(tag::MATCHED);
            put(out, index);
        }
        AppendOutcome::Rejected { rejected, hint } => {
            out.put_u8(tag::REJECTED);
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

fn replica(out: &mut BytesMut, id: ReplicaId) {
    put(out, id.node.0);
    put(out, id.born);
}

fn log_id(out: &mut BytesMut, id: LogId) {
    put(out, id.term);
    put(out, id.index);
}
