//! Fixtures of the unit tests: replicas in a given state, and effects as lines.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    AppendOutcome, Config, Configuration, Effects, Entry, EntryKind, Envelope, GroupId, HardState,
    Index, Initial, Input, Instant, LogId, Message, NodeId, PersistId, Raft, ReplicaId, Term,
    VoteKind,
};

const GROUP: GroupId = GroupId(7);

pub(crate) fn replica(node: u64) -> ReplicaId {
    ReplicaId {
        node: NodeId(node),
        born: 0,
    }
}

pub(crate) fn id(term: Term, index: Index) -> LogId {
    LogId { term, index }
}

/// Pre-vote and check-quorum off: the tests that want them say so.
pub(crate) fn config(node: u64) -> Config {
    Config {
        group: GROUP,
        id: replica(node),
        election_timeout: Duration::from_millis(1000),
        heartbeat_interval: Duration::from_millis(100),
        pre_vote: false,
        check_quorum: false,
        max_append_bytes: 1 << 20,
        max_append_entries: 1000,
        max_inflight_appends: 16,
        max_inflight_bytes: 1 << 20,
        max_uncommitted_bytes: 1 << 20,
        cache_bytes: 1 << 20,
        max_pending_reads: 100,
        priority: crate::DEFAULT_PRIORITY,
        clock_drift: Duration::from_millis(100),
        quiesce_after: 0,
    }
}

pub(crate) fn entry(term: Term, index: Index) -> Entry {
    Entry {
        term,
        index,
        kind: EntryKind::Normal,
        payload: Bytes::from(format!("e{index}")),
    }
}

/// What a log of entries of these terms is at start, in a group of nodes 1..=3.
pub(crate) fn initial(terms: &[Term]) -> Initial {
    let mut runs: Vec<LogId> = Vec::new();
    for (index, term) in (1..).zip(terms) {
        if runs.last().is_none_or(|run| run.term != *term) {
            runs.push(id(*term, index));
        }
    }
    Initial {
        hard_state: HardState {
            term: terms.last().copied().unwrap_or(0),
            vote: None,
        },
        terms: runs,
        last: Index::try_from(terms.len()).expect("small"),
        configurations: vec![Configuration::initial([1, 2, 3].map(NodeId))],
        ..Initial::default()
    }
}

/// Node 1 of three, as a follower with entries of these terms; its term is the last of them.
pub(crate) fn follower(terms: &[Term]) -> Raft {
    Raft::new(config(1), initial(terms), Instant(0), 0)
}

/// Node 1 of three, as the leader of the term after the last of these, elected by node 2; the
/// no-op is written and sent, but not durable: its write has sequence number 2.
pub(crate) fn leader(terms: &[Term]) -> Raft {
    elect(follower(terms))
}

/// Makes a fresh replica without pre-vote the leader.
pub(crate) fn elect(mut raft: Raft) -> Raft {
    let kind = crate::TimeoutKind::Election;
    step(&mut raft, Input::Timeout { kind, jitter: 0 });
    let term = raft.status().hard_state.term;
    step(&mut raft, persisted(term, 1));
    step(&mut raft, from(2, term, vote_reply(VoteKind::Real, true)));
    raft
}

/// Feeds one input at time zero; the effects as lines.
pub(crate) fn step(raft: &mut Raft, input: Input) -> Vec<String> {
    step_at(raft, 0, input)
}

/// Feeds one input at a time in milliseconds.
pub(crate) fn step_at(raft: &mut Raft, millis: u64, input: Input) -> Vec<String> {
    let mut effects = Effects::new();
    let now = Instant(0) + Duration::from_millis(millis);
    raft.step(now, input, &mut effects);
    effects.iter().map(ToString::to_string).collect()
}

/// A message from a node to node 1.
pub(crate) fn from(node: u64, term: Term, message: Message) -> Input {
    Input::Received(Envelope {
        group: GROUP,
        from: replica(node),
        to: replica(1),
        term,
        message,
    })
}

pub(crate) fn persisted(term: Term, sequence: u64) -> Input {
    let id = PersistId { term, sequence };
    Input::Persisted { id }
}

pub(crate) fn vote(kind: VoteKind, last: LogId) -> Message {
    Message::Vote { kind, last }
}

pub(crate) fn vote_reply(kind: VoteKind, granted: bool) -> Message {
    Message::VoteReply { kind, granted }
}

/// Entries of these terms after `prev`.
pub(crate) fn append(prev: LogId, terms: &[Term], commit: Index) -> Message {
    let entries = (prev.index + 1..).zip(terms);
    Message::Append {
        prev,
        entries: entries.map(|(index, term)| entry(*term, index)).collect(),
        commit,
    }
}

pub(crate) fn matched(index: Index) -> Message {
    Message::AppendReply(AppendOutcome::Matched { index })
}

pub(crate) fn rejected(rejected: Index, hint: LogId) -> Message {
    Message::AppendReply(AppendOutcome::Rejected { rejected, hint })
}

pub(crate) fn heartbeat(commit: Index, round: u64) -> Message {
    Message::Heartbeat {
        commit,
        round,
        lease: false,
    }
}

pub(crate) fn heartbeat_reply(round: u64) -> Message {
    Message::HeartbeatReply {
        round,
        hold: Duration::ZERO,
        priority: crate::DEFAULT_PRIORITY,
    }
}

pub(crate) fn propose(payload: &'static str) -> Input {
    Input::Propose {
        id: crate::ProposalId(1),
        payload: Bytes::from_static(payload.as_bytes()),
    }
}

pub(crate) fn read(id: u64) -> Input {
    let id = crate::ReadId(id);
    Input::Read {
        id,
        mode: crate::ReadMode::Index,
    }
}

/// A change of the configuration, in one step if that is safe.
pub(crate) fn change(changes: &[crate::Change]) -> Input {
    Input::ChangeConfiguration {
        id: crate::ProposalId(1),
        change: crate::ConfigurationChange {
            expect: None,
            changes: changes.to_vec(),
            transition: crate::Transition::Auto,
        },
    }
}

/// An entry that sets a configuration.
pub(crate) fn sets(term: Term, index: Index, configuration: &Configuration) -> Entry {
    Entry {
        kind: EntryKind::Configuration,
        payload: configuration.encode(),
        ..entry(term, index)
    }
}

pub(crate) fn transfer(id: u64, to: Option<u64>) -> Input {
    Input::Transfer {
        id: crate::TransferId(id),
        to: to.map(NodeId),
    }
}

/// A heartbeat whose echo the leader counts towards its lease.
pub(crate) fn lease_heartbeat(commit: Index, round: u64) -> Message {
    Message::Heartbeat {
        commit,
        round,
        lease: true,
    }
}

/// The echo of such a heartbeat, with a promise in milliseconds.
pub(crate) fn promise(round: u64, millis: u64) -> Message {
    Message::HeartbeatReply {
        round,
        hold: Duration::from_millis(millis),
        priority: crate::DEFAULT_PRIORITY,
    }
}

pub(crate) fn lease_read(id: u64) -> Input {
    Input::Read {
        id: crate::ReadId(id),
        mode: crate::ReadMode::Lease,
    }
}
