//! Numbers that no honest replica can have reached.

use crate::{AppendOutcome, Entry, LogId, Message, SnapshotMeta, Term};

/// Terms, indexes and rounds from here on are nobody's: at a million a second they are 290 000
/// years away. What is later added to smaller ones does not overflow.
const LIMIT: u64 = 1 << 63;

/// Whether a message can be one that a replica of this code sent; others make no sense.
pub(crate) fn is_plausible(term: Term, message: &Message) -> bool {
    term < LIMIT && numbers(message)
}

fn numbers(message: &Message) -> bool {
    match message {
        Message::Vote { last, .. } => id(*last),
        Message::Append {
            prev,
            entries,
            commit,
        } => id(*prev) && number(*commit) && entries.iter().map(Entry::id).all(id),
        Message::AppendReply(AppendOutcome::Matched { index }) => number(*index),
        Message::AppendReply(AppendOutcome::Rejected { rejected, hint }) => {
            number(*rejected) && id(*hint)
        }
        Message::Heartbeat { commit, round, .. } => number(*commit) && number(*round),
        Message::Snapshot {
            meta: SnapshotMeta { last, .. },
        } => id(*last),
        Message::Quiesce { last, commit } => id(*last) && number(*commit),
        Message::HeartbeatReply { round, .. } => number(*round),
        Message::ReadIndexReply { index, .. } => index.is_none_or(number),
        // Questions begin at any number and are only compared.
        Message::ReadIndex { .. } => true,
        Message::VoteReply { .. } | Message::TimeoutNow | Message::Wake => true,
    }
}

fn id(id: LogId) -> bool {
    number(id.term) && number(id.index)
}

fn number(number: u64) -> bool {
    number < LIMIT
}
