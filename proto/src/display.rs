//! One line for each thing that happens, for traces and scripts.

use std::fmt::{Display, Formatter, Result};

use crate::{
    AppendOutcome, Change, ConfigurationChange, DEFAULT_PRIORITY, Effect, Entry, EntryKind,
    Envelope, HardState, Input, Message, PersistId, ReadMode, RefuseReason, SnapshotMeta,
    TransferOutcome, Transition, VoteKind,
};

impl Display for PersistId {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "w{}.{}", self.term, self.sequence)
    }
}

impl Display for HardState {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "term={}", self.term)?;
        self.vote.map_or(Ok(()), |vote| write!(f, " vote={vote}"))
    }
}

impl Display for Entry {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let id = self.id();
        match self.kind {
            EntryKind::Noop => write!(f, "{id} noop"),
            EntryKind::Normal => write!(f, "{id} \"{}\"", self.payload.escape_ascii()),
            EntryKind::Configuration => write!(f, "{id} configuration"),
        }
    }
}

impl Display for SnapshotMeta {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} {}", self.last, self.configuration)
    }
}

/// `[1/1 noop, 1/2 "x"]`
struct List<'a>(&'a [Entry]);

impl Display for List<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "[")?;
        for (i, entry) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{entry}")?;
        }
        write!(f, "]")
    }
}

impl Display for VoteKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Pre => "pre-vote",
            Self::Real => "vote",
            Self::Transfer => "transfer-vote",
        })
    }
}

impl Display for Message {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Vote { kind, last } => write!(f, "{kind} last={last}"),
            Self::VoteReply { kind, granted } => {
                let answer = if *granted { "granted" } else { "refused" };
                write!(f, "{kind} {answer}")
            }
            Self::Append {
                prev,
                entries,
                commit,
            } => write!(f, "append prev={prev} {} commit={commit}", List(entries)),
            Self::AppendReply(AppendOutcome::Matched { index }) => write!(f, "matched {index}"),
            Self::AppendReply(AppendOutcome::Rejected { rejected, hint }) => {
                write!(f, "rejected {rejected} hint={hint}")
            }
            Self::Heartbeat {
                commit,
                round,
                lease,
            } => {
                let lease = if *lease { " lease" } else { "" };
                write!(f, "heartbeat commit={commit} round={round}{lease}")
            }
            Self::HeartbeatReply {
                round,
                hold,
                priority,
            } => {
                write!(f, "heartbeat-reply round={round}")?;
                if !hold.is_zero() {
                    write!(f, " hold={hold:?}")?;
                }
                if *priority != DEFAULT_PRIORITY {
                    write!(f, " priority={priority}")?;
                }
                Ok(())
            }
            Self::Snapshot { meta } => write!(f, "snapshot {meta}"),
            Self::Quiesce { last, commit } => write!(f, "quiesce last={last} commit={commit}"),
            Self::TimeoutNow => write!(f, "timeout-now"),
            Self::ReadIndex { round, mode } => {
                let lease = match mode {
                    ReadMode::Index => "",
                    ReadMode::Lease => " lease",
                };
                write!(f, "read-index round={round}{lease}")
            }
            Self::Wake => write!(f, "wake"),
            Self::ReadIndexReply {
                round,
                index: Some(index),
            } => write!(f, "read-index-reply round={round} index={index}"),
            Self::ReadIndexReply { round, index: None } => {
                write!(f, "read-index-reply round={round} refused")
            }
        }
    }
}

/// `n1.0->n2.0 t3 append prev=2/7 [3/8 noop] commit=7`
impl Display for Envelope {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self {
            from,
            to,
            term,
            message,
            ..
        } = self;
        write!(f, "{from}->{to} t{term} {message}")
    }
}

impl Display for RefuseReason {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::NotLeader {
                leader: Some(leader),
            } => write!(f, "not the leader, {leader} is"),
            Self::NotLeader { leader: None } => write!(f, "no leader is known"),
            Self::Busy => write!(f, "busy"),
            Self::Uncommitted => write!(f, "too much is uncommitted"),
            Self::Transferring => write!(f, "leadership is being handed over"),
            Self::Change(refusal) => write!(f, "{refusal}"),
        }
    }
}

impl Display for TransferOutcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Done { leader } => write!(f, "{leader} leads"),
            Self::NotLeader { leader } => RefuseReason::NotLeader { leader: *leader }.fmt(f),
            Self::NoTarget => write!(f, "nobody to hand over to"),
            Self::Busy => write!(f, "another transfer is under way"),
            Self::TimedOut => write!(f, "timed out"),
            Self::Unknown => write!(f, "leadership lost, no successor seen"),
        }
    }
}

/// `auto voter n2, remove n1`
impl Display for ConfigurationChange {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self.transition {
            Transition::Auto => "auto",
            Transition::Implicit => "implicit",
            Transition::Explicit => "explicit",
        })?;
        for (i, change) in self.changes.iter().enumerate() {
            let separator = if i == 0 { " " } else { ", " };
            write!(f, "{separator}{change}")?;
        }
        self.expect
            .map_or(Ok(()), |index| write!(f, " if index={index}"))
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Voter(node) => write!(f, "voter {node}"),
            Self::Learner(node) => write!(f, "learner {node}"),
            Self::Witness(node) => write!(f, "witness {node}"),
            Self::Remove(node) => write!(f, "remove {node}"),
        }
    }
}

impl Display for Effect {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Persist {
                id,
                hard_state,
                entries,
            } => {
                write!(f, "persist {id}")?;
                if let Some(hard_state) = hard_state {
                    write!(f, " {hard_state}")?;
                }
                write!(f, " {}", List(entries))
            }
            Self::Send(envelope) => write!(f, "send {envelope}"),
            Self::ReadLog {
                to,
                from,
                through,
                max_bytes,
            } => write!(f, "read-log {from}..={through} max={max_bytes} for {to}"),
            Self::SendSnapshot { to } => write!(f, "send-snapshot {to}"),
            Self::InstallSnapshot {
                id,
                hard_state,
                meta,
                truncate,
            } => {
                write!(f, "install-snapshot {id}")?;
                if let Some(hard_state) = hard_state {
                    write!(f, " {hard_state}")?;
                }
                write!(f, " {meta} truncate={truncate}")
            }
            Self::Commit { index } => write!(f, "commit {index}"),
            Self::Accepted { id, position } => write!(f, "accepted p{} {position}", id.0),
            Self::Refused { id, reason, .. } => write!(f, "refused p{}: {reason}", id.0),
            Self::ReadReady { id, index } => write!(f, "read-ready r{} index={index}", id.0),
            Self::ReadRefused { id, reason } => write!(f, "read-refused r{}: {reason}", id.0),
            Self::TransferEnded { id, outcome } => {
                write!(f, "transfer-ended x{}: {outcome}", id.0)
            }
            Self::ConfigurationCommitted { configuration } => write!(
                f,
                "configuration-committed {} {configuration}",
                configuration.index
            ),
            Self::LeaderChanged {
                term,
                leader: Some(leader),
            } => write!(f, "leader t{term} {leader}"),
            Self::LeaderChanged { term, leader: None } => write!(f, "leader t{term} none"),
            Self::Fatal { reason } => write!(f, "fatal: {reason}"),
        }
    }
}

impl Display for Input {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Received(envelope) => write!(f, "received {envelope}"),
            Self::Persisted { id } => write!(f, "persisted {id}"),
            Self::Applied { index } => write!(f, "applied {index}"),
            Self::Timeout { kind, .. } => write!(f, "timeout {kind:?}"),
            Self::Propose { id, payload } => write!(f, "propose p{} {} bytes", id.0, payload.len()),
            Self::ChangeConfiguration { id, change } => write!(f, "change p{} {change}", id.0),
            Self::Read { id, mode } => write!(f, "read r{} {mode:?}", id.0),
            Self::Transfer { id, to: Some(to) } => write!(f, "transfer x{} to {to}", id.0),
            Self::Transfer { id, to: None } => write!(f, "transfer x{}", id.0),
            Self::ForgetLeader => write!(f, "forget-leader"),
            Self::SetPriority(priority) => write!(f, "set-priority {priority}"),
            Self::LogRead { to, entries } => write!(f, "log-read {} for {to}", List(entries)),
            Self::SnapshotSent { to, delivered } => {
                write!(f, "snapshot-sent {to} delivered={delivered}")
            }
            Self::Compacted { floor, snapshot } => write!(f, "compacted {floor} by {snapshot}"),
            Self::PeerUp(node) => write!(f, "peer-up {node}"),
            Self::Configure(settings) => write!(f, "configure {settings:?}"),
            Self::PeerDown(node) => write!(f, "peer-down {node}"),
            Self::Campaign { .. } => write!(f, "campaign"),
        }
    }
}
