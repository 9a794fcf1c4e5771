//! Messages between replicas of one group.

use std::time::Duration;

use crate::{Entry, GroupId, Index, LogId, ReadMode, ReplicaId, SnapshotMeta, Term};

/// A message with its address. Both ends are replica ids: a replica answers only what is
/// addressed to its own `born`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Envelope {
    /// The group.
    pub group: GroupId,
    /// The sender.
    pub from: ReplicaId,
    /// The addressee.
    pub to: ReplicaId,
    /// The sender's term. In a pre-vote request and its grant: the term that would be campaigned in.
    pub term: Term,
    /// What is said.
    pub message: Message,
}

/// Which ballot a vote belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum VoteKind {
    /// Pre-vote (thesis §9.6): would you vote for me? Changes nothing at the voter.
    Pre = 0,
    /// The real vote.
    Real = 1,
    /// A real vote asked for by the leader itself in a transfer: not held off by stickiness.
    Transfer = 2,
}

/// What one replica says to another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// RequestVote (thesis §3.4).
    Vote {
        /// Which ballot.
        kind: VoteKind,
        /// The candidate's last entry.
        last: LogId,
    },
    /// Answer to `Vote`.
    VoteReply {
        /// Which ballot.
        kind: VoteKind,
        /// Whether the vote was given.
        granted: bool,
    },
    /// AppendEntries (thesis §3.5).
    Append {
        /// The entry just before `entries`.
        prev: LogId,
        /// Consecutive entries from `prev.index + 1`; empty as a probe.
        entries: Vec<Entry>,
        /// The leader's commit index.
        commit: Index,
    },
    /// Answer to `Append` and to `Snapshot`; sent once what it claims is durable.
    AppendReply(AppendOutcome),
    /// Keeps leadership and carries a ReadIndex round (thesis §6.4).
    Heartbeat {
        /// The leader's commit index, at most what is known to match at the addressee.
        commit: Index,
        /// The leader's own counter of rounds, echoed by the addressee.
        round: u64,
        /// The leader would count the echo towards its lease: whoever answers with `hold` votes
        /// for nobody else so long.
        lease: bool,
    },
    /// Answer to `Heartbeat`.
    HeartbeatReply {
        /// The round that is answered.
        round: u64,
        /// For how long from the receipt on the sender helps to elect nobody, unless the leader
        /// hands over; zero if it promises nothing. In whole microseconds.
        hold: Duration,
        /// The sender's election priority.
        priority: u8,
    },
    /// InstallSnapshot (thesis §5.3). The data goes over the bulk connection first; the driver
    /// hands this to the core once the file is complete and durable.
    Snapshot {
        /// What the file covers.
        meta: SnapshotMeta,
    },
    /// The leader may fall silent; its addressees stop their timers. Sent only when every member
    /// matches or is reported down.
    Quiesce {
        /// The leader's last entry, which must be the addressee's.
        last: LogId,
        /// The leader's commit index.
        commit: Index,
    },
    /// The leader hands over: campaign at once, without a pre-vote and past stickiness (thesis
    /// §3.10). The addressee's log reached the leader's before this was sent.
    TimeoutNow,
    /// A follower or learner asks its leader for a read point (thesis §6.4).
    ReadIndex {
        /// The asker's own counter, echoed in the answer.
        round: u64,
        /// How the leader may make sure that it still leads.
        mode: ReadMode,
    },
    /// Answer to `ReadIndex`, once a round of heartbeats that began after it was confirmed.
    ReadIndexReply {
        /// The asker's counter.
        round: u64,
        /// The read point; `None`: refused, the asker may try again.
        index: Option<Index>,
    },
    /// A follower that had fallen silent was disturbed, and asks its leader to show that it lives.
    Wake,
}

/// What became of an `Append` or a `Snapshot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AppendOutcome {
    /// Everything up to here is durable at the sender and equal to the leader's log.
    Matched {
        /// Last index that is known to match.
        index: Index,
    },
    /// The log has no such `prev`.
    Rejected {
        /// Index of the `prev` that was rejected.
        rejected: Index,
        /// Where the leader should look next: the highest entry at or below `rejected` whose term
        /// is not above the rejected term.
        hint: LogId,
    },
}
