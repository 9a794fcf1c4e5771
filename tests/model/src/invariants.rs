//! What must hold in every state.

use std::collections::BTreeSet;

use coracle_proto::{
    AppendOutcome, Configuration, Envelope, Index, LogId, Message, ReplicaId, VoteKind,
};

use crate::disk::Disk;
use crate::ghost::Committed;
use crate::search::Search;
use crate::state::State;

/// Something that must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Invariant {
    /// At most one leader in a term.
    ElectionSafety,
    /// Two logs that hold the same entry are equal up to it.
    LogMatching,
    /// Who leads a later term has every entry that was committed in an earlier one.
    LeaderCompleteness,
    /// What one replica commits at an index all commit.
    StateMachineSafety,
    /// What is committed is durable at a quorum, of both halves of a joint configuration.
    CommitOnQuorum,
    /// A vote or an acknowledgement is durable before it is said.
    DurableFirst,
    /// A read sees everything that was committed when it began.
    ReadFreshness,
    /// Quorums of the newest leader and of the committed configuration have a member in common.
    ConfigurationOverlap,
    /// No core finds its state impossible.
    NoFatal,
}

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Broken {
    pub(crate) invariant: Invariant,
    pub(crate) detail: String,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::ElectionSafety,
        Self::LogMatching,
        Self::LeaderCompleteness,
        Self::StateMachineSafety,
        Self::CommitOnQuorum,
        Self::DurableFirst,
        Self::ReadFreshness,
        Self::ConfigurationOverlap,
        Self::NoFatal,
    ];

    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::ElectionSafety => "election safety",
            Self::LogMatching => "log matching",
            Self::LeaderCompleteness => "leader completeness",
            Self::StateMachineSafety => "state machine safety",
            Self::CommitOnQuorum => "commit on a durable quorum",
            Self::DurableFirst => "durable before said",
            Self::ReadFreshness => "read freshness",
            Self::ConfigurationOverlap => "configurations overlap",
            Self::NoFatal => "no core gives up",
        }
    }

    /// The condition, as the checker wants it.
    pub(crate) fn condition(self) -> fn(&Search, &State) -> bool {
        match self {
            Self::ElectionSafety => |_, state| state.keeps(Self::ElectionSafety),
            Self::LogMatching => |_, state| state.keeps(Self::LogMatching),
            Self::LeaderCompleteness => |_, state| state.keeps(Self::LeaderCompleteness),
            Self::StateMachineSafety => |_, state| state.keeps(Self::StateMachineSafety),
            Self::CommitOnQuorum => |_, state| state.keeps(Self::CommitOnQuorum),
            Self::DurableFirst => |_, state| state.keeps(Self::DurableFirst),
            Self::ReadFreshness => |_, state| state.keeps(Self::ReadFreshness),
            Self::ConfigurationOverlap => |_, state| state.keeps(Self::ConfigurationOverlap),
            Self::NoFatal => |_, state| state.keeps(Self::NoFatal),
        }
    }
}

impl State {
    fn keeps(&self, invariant: Invariant) -> bool {
        let broken = self.ghost.broken.as_ref();
        broken.is_none_or(|broken| broken.invariant != invariant)
    }

    pub(crate) fn broke(&mut self, invariant: Invariant, detail: String) {
        let broken = Broken { invariant, detail };
        self.ghost.broken.get_or_insert(broken);
    }

    /// After a step of `id`, which had `before` in force.
    pub(crate) fn check(&mut self, id: ReplicaId, before: Option<&Configuration>) {
        self.check_leader(id);
        self.check_commit(id, before);
        self.check_completeness();
        self.check_overlap(id);
        self.check_matching(id);
    }

    fn check_leader(&mut self, id: ReplicaId) {
        let Some(replica) = self.replica(id).filter(|replica| replica.leads()) else {
            return;
        };
        let term = replica.raft.hard_state().term;
        let known = *self.ghost.leaders.entry(term).or_insert(id);
        if known != id {
            let detail = format!("{known} and {id} lead term {term}");
            self.broke(Invariant::ElectionSafety, detail);
        }
    }

    fn check_commit(&mut self, id: ReplicaId, before: Option<&Configuration>) {
        let Some(replica) = self.replica(id) else {
            return;
        };
        let (leads, commit) = (replica.leads(), replica.raft.commit());
        let by = replica.raft.hard_state().term;
        for index in 1..=commit {
            let Some(replica) = self.replica(id) else {
                return;
            };
            let own = replica.raft.term_at(index);
            match (self.ghost.at(index), own) {
                // Below the floor; what the snapshot covers was checked when it was committed.
                (Some(_), None) => {}
                (Some(known), Some(term)) if known.term == term => {}
                (Some(known), Some(term)) => {
                    let detail = format!("{id} commits {term}/{index}, others {known}");
                    self.broke(Invariant::StateMachineSafety, detail);
                }
                (None, Some(term)) if leads => {
                    self.check_quorum(
                        id,
                        LogId {
                            term,
                            index: commit,
                        },
                        before,
                    );
                    self.ghost.committed.push(Committed { term, by });
                    self.learn_configuration(id, index);
                }
                (None, _) => {
                    let detail = format!("{id} commits {index}, which no leader has committed");
                    self.broke(Invariant::CommitOnQuorum, detail);
                    return;
                }
            }
        }
    }

    fn learn_configuration(&mut self, id: ReplicaId, index: Index) {
        let Some(replica) = self.replica(id) else {
            return;
        };
        let Some(now) = replica.raft.configuration_at(index).cloned() else {
            return;
        };
        let known = &mut self.ghost.configuration;
        if now.index == index {
            self.ghost.seen.joint_left |= !known.outgoing.is_empty() && now.outgoing.is_empty();
            *known = now;
        }
    }

    /// In one step a leader may commit a configuration and append the next.
    fn check_quorum(&mut self, id: ReplicaId, last: LogId, before: Option<&Configuration>) {
        let Some(replica) = self.replica(id) else {
            return;
        };
        let term = replica.raft.term_at(last.index).unwrap_or(last.term);
        let last = LogId { term, ..last };
        let durable = |id: &ReplicaId| self.replica(*id).is_some_and(|r| r.disk.holds(last));
        let then = before.is_some_and(|before| quorum(before, durable));
        if !then && !quorum(replica.raft.configuration(), durable) {
            let detail = format!("{id} commits {last}, which no quorum has");
            self.broke(Invariant::CommitOnQuorum, detail);
        }
    }

    fn check_completeness(&mut self) {
        let mut lacking = None;
        for (id, replica) in self.replicas.iter().filter(|(_, replica)| replica.leads()) {
            let term = replica.raft.hard_state().term;
            for (index, entry) in (1..).zip(&self.ghost.committed) {
                let own = replica.raft.term_at(index);
                let covered = own.is_none() && index <= replica.raft.commit();
                if entry.by < term && own != Some(entry.term) && !covered {
                    lacking = Some((*id, term, index));
                }
            }
        }
        if let Some((id, term, index)) = lacking {
            let detail = format!("{id} leads term {term} without the committed entry {index}");
            self.broke(Invariant::LeaderCompleteness, detail);
        }
    }

    /// Only the newest leader counts: an old one may not know the changes after it.
    fn check_overlap(&mut self, id: ReplicaId) {
        let newest = self.ghost.leaders.last_key_value();
        let Some((term, _)) = newest.filter(|(_, leader)| **leader == id) else {
            return;
        };
        let Some(replica) = self.replica(id) else {
            return;
        };
        if replica.raft.hard_state().term != *term || !replica.leads() {
            return;
        }
        let now = replica.raft.configuration();
        if !overlap(now, &self.ghost.configuration) {
            let detail = format!(
                "{id} leads with {now}, committed is {}",
                self.ghost.configuration
            );
            self.broke(Invariant::ConfigurationOverlap, detail);
        }
    }

    fn check_matching(&mut self, id: ReplicaId) {
        let Some(own) = self.replica(id) else {
            return;
        };
        let others = self.replicas.iter().filter(|(other, _)| *other != id);
        let differs = |(other, replica): &(ReplicaId, _)| {
            let replica: &std::sync::Arc<crate::replica::Replica> = replica;
            match_up_to(&own.disk, &replica.disk)
                .err()
                .map(|index| (*other, index))
        };
        let differing: Option<(ReplicaId, Index)> = others.filter_map(differs).next();
        if let Some((other, index)) = differing {
            let detail = format!("{id} and {other} differ at {index}, below an entry they share");
            self.broke(Invariant::LogMatching, detail);
        }
    }

    /// `envelope` leaves its sender.
    pub(crate) fn check_said(&mut self, envelope: &Envelope) {
        let Some(sender) = self.replica(envelope.from) else {
            return;
        };
        let durable = sender.disk.hard_state;
        let fine = match &envelope.message {
            Message::VoteReply {
                kind: VoteKind::Pre,
                ..
            }
            | Message::Vote {
                kind: VoteKind::Pre,
                ..
            } => true,
            Message::VoteReply { granted: true, .. } => {
                let voted = durable.vote == Some(envelope.to);
                durable.term > envelope.term || (durable.term == envelope.term && voted)
            }
            Message::Vote { .. } => durable.vote == Some(envelope.from),
            Message::AppendReply(AppendOutcome::Matched { index }) => {
                sender.disk.last().index >= *index && durable.term >= envelope.term
            }
            _ => durable.term >= envelope.term,
        };
        if !fine {
            let detail = format!(
                "{envelope}, but durable is {durable}, {}",
                sender.disk.last()
            );
            self.broke(Invariant::DurableFirst, detail);
        }
    }
}

/// The index at which two logs differ below an entry that both hold.
fn match_up_to(one: &Disk, other: &Disk) -> Result<(), Index> {
    let both = one.entries.iter().rev();
    let Some(shared) = both
        .map(|e| e.id())
        .find(|id| other.term_at(id.index) == Some(id.term))
    else {
        return Ok(());
    };
    for entry in one.entries.iter().filter(|e| e.index <= shared.index) {
        match other.entry(entry.index) {
            Some(theirs) if theirs != entry => return Err(entry.index),
            _ => {}
        }
    }
    Ok(())
}

/// Whether these are a majority of both halves.
pub(crate) fn quorum(configuration: &Configuration, has: impl Fn(&ReplicaId) -> bool) -> bool {
    let majority = |half: &BTreeSet<ReplicaId>| {
        half.is_empty() || 2 * half.iter().filter(|id| has(id)).count() > half.len()
    };
    majority(&configuration.voters) && majority(&configuration.outgoing)
}

/// Whether any quorum of the one and any of the other have a member in common: tried with every
/// set of voters, of which the complement must not be a quorum of the other.
pub(crate) fn overlap(one: &Configuration, other: &Configuration) -> bool {
    let voters: BTreeSet<_> = one
        .all_voters()
        .union(&other.all_voters())
        .copied()
        .collect();
    let voters: Vec<_> = voters.into_iter().collect();
    (0_u32..1 << voters.len()).all(|set| {
        let within = |id: &ReplicaId| {
            let at = voters.iter().position(|voter| voter == id);
            at.is_some_and(|at| set & (1 << at) != 0)
        };
        !(quorum(one, within) && quorum(other, |id| !within(id)))
    })
}
