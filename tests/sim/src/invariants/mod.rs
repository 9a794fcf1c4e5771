//! What must hold at every moment of every run, one file each. They see what the nodes ask for
//! (writes, messages, tasks) and what became durable, never the nodes' own opinion of it.

mod acknowledged;
mod commit_quorum;
mod election_safety;
mod exactly_once;
mod leader_completeness;
mod log_matching;
mod membership;
mod persist_before_send;
mod recovery;
mod refusal;
mod shadow;
mod state_machine_safety;
#[cfg(test)]
mod tests;
mod vote_once;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use coracle_driver::task::{Command, Outcome};
use coracle_driver::{Digest, RecoveredGroup, Write, WriteKind};
use coracle_history::Logged;
use coracle_proto::{Configuration, Entry, Envelope, GroupId, Index, NodeId, ReplicaId, Term};

use acknowledged::Acknowledged;
use commit_quorum::CommitQuorum;
use election_safety::ElectionSafety;
use exactly_once::ExactlyOnce;
use leader_completeness::LeaderCompleteness;
use log_matching::LogMatching;
use membership::Membership;
pub use refusal::{Harm, Refusal};
use shadow::Shadow;
use state_machine_safety::StateMachineSafety;
use vote_once::VoteOnce;

/// Something that must never happen has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub invariant: &'static str,
    /// With the values.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.detail)
    }
}

/// Whether an invariant holds.
pub type Check = Result<(), Violation>;

/// A violation of this invariant.
pub fn violated(invariant: &'static str, detail: impl Into<String>) -> Check {
    Err(Violation {
        invariant,
        detail: detail.into(),
    })
}

/// The invariants of all groups of one run.
#[derive(Debug, Default)]
pub struct Invariants {
    groups: BTreeMap<GroupId, GroupInvariants>,
}

/// The invariants of one group.
#[derive(Debug, Default)]
struct GroupInvariants {
    membership: Membership,
    shadows: BTreeMap<NodeId, Shadow>,
    election_safety: ElectionSafety,
    vote_once: VoteOnce,
    log_matching: LogMatching,
    leader_completeness: LeaderCompleteness,
    state_machine_safety: StateMachineSafety,
    commit_quorum: CommitQuorum,
    exactly_once: ExactlyOnce,
    acknowledged: Acknowledged,
}

impl Invariants {
    /// Those of a cluster of `nodes` voters and `spares` that may be added.
    pub fn new(nodes: u64, spares: u64, groups: u64) -> Self {
        let group = |id| {
            let shadows = (1..=nodes + spares).map(|node| (NodeId(node), Shadow::default()));
            let invariants = GroupInvariants {
                membership: Membership::new(Configuration::initial((1..=nodes).map(NodeId))),
                shadows: shadows.collect(),
                ..GroupInvariants::default()
            };
            (GroupId(id), invariants)
        };
        Self {
            groups: (1..=groups).map(group).collect(),
        }
    }

    fn of(&mut self, group: GroupId) -> Option<&mut GroupInvariants> {
        self.groups.get_mut(&group)
    }

    /// A node says who leads.
    pub fn leader(
        &mut self,
        group: GroupId,
        at: NodeId,
        term: Term,
        leader: Option<ReplicaId>,
    ) -> Check {
        let (Some(group), Some(leader)) = (self.of(group), leader) else {
            return Ok(());
        };
        group.election_safety.leads(term, leader)?;
        match (leader.node == at, group.shadows.get(&at)) {
            (true, Some(shadow)) => group.leader_completeness.elected(term, at, shadow),
            _ => Ok(()),
        }
    }

    /// A node asks for a write.
    pub fn written(&mut self, at: NodeId, write: &Write) -> Check {
        let Some(group) = self.of(write.group) else {
            return Ok(());
        };
        let Some(shadow) = group.shadows.get_mut(&at) else {
            return Ok(());
        };
        shadow.asked(&write.kind);
        if matches!(write.kind, WriteKind::Remove | WriteKind::Host { .. }) {
            group.state_machine_safety.crashed(at);
        }
        group.log_matching.written(at, shadow, &write.kind)
    }

    /// The oldest so many writes of a node are durable.
    pub fn durable(&mut self, at: NodeId, writes: &[Write]) {
        for write in writes {
            let group = self.groups.get_mut(&write.group);
            if let Some(shadow) = group.and_then(|group| group.shadows.get_mut(&at)) {
                shadow.durable(&write.kind);
            }
        }
    }

    /// A node stopped; these writes may or may not be durable.
    pub fn crashed(&mut self, at: NodeId, writes: &[Write]) {
        for (id, group) in &mut self.groups {
            if let Some(shadow) = group.shadows.get_mut(&at) {
                let own = writes.iter().filter(|write| write.group == *id);
                shadow.crashed(own.map(|write| write.kind.clone()).collect());
            }
            group.state_machine_safety.crashed(at);
        }
    }

    /// A node started again and found this, or nothing, of a group.
    pub fn recovered(
        &mut self,
        group: GroupId,
        at: NodeId,
        found: Option<&RecoveredGroup>,
    ) -> Check {
        match self.of(group).and_then(|group| group.shadows.get_mut(&at)) {
            Some(shadow) => recovery::recovered(at, shadow, found),
            None => Ok(()),
        }
    }

    /// A node stopped or did not start, like this, after its disk had been treated like that.
    pub fn stopped(&self, at: NodeId, harms: &BTreeSet<Harm>, refusal: &Refusal) -> Check {
        refusal::refused(at, harms, refusal)
    }

    /// A node sends a message.
    pub fn sent(&mut self, envelope: &Envelope) -> Check {
        let Some(group) = self.of(envelope.group) else {
            return Ok(());
        };
        if let Some(shadow) = group.shadows.get(&envelope.from.node) {
            membership::sent(envelope, shadow)?;
            persist_before_send::sent(envelope, shadow)?;
        }
        group.vote_once.sent(envelope)
    }

    /// A node says that everything up to `through` is committed and durable there.
    pub fn committed(&mut self, group: GroupId, at: NodeId, term: Term, through: Index) -> Check {
        let Some(group) = self.of(group) else {
            return Ok(());
        };
        group.committed(at, term, through)
    }

    /// A node says that this configuration is committed.
    pub fn configured(
        &mut self,
        group: GroupId,
        at: NodeId,
        configuration: &Configuration,
    ) -> Check {
        match self.of(group) {
            Some(group) => group.membership.committed(at, configuration),
            None => Ok(()),
        }
    }

    /// An administrator was told that the members were changed at `index`.
    pub fn changed(&mut self, group: GroupId, index: Index) -> Check {
        match self.of(group) {
            Some(group) => group.membership.changed(index),
            None => Ok(()),
        }
    }

    /// The last configuration of a group that is known to be committed.
    pub fn configuration(&self, group: GroupId) -> Configuration {
        let group = self.groups.get(&group);
        group.map_or_else(Configuration::default, |group| group.membership.last())
    }

    /// A node continues from a snapshot.
    pub fn installed(&mut self, group: GroupId, at: NodeId, last: Index) -> Check {
        match self.of(group) {
            Some(group) => group.state_machine_safety.installed(at, last),
            None => Ok(()),
        }
    }

    /// A node has applied everything up to `index`, with this outcome chain.
    pub fn applied(&mut self, group: GroupId, at: NodeId, index: Index, chain: Digest) -> Check {
        match self.of(group) {
            Some(group) => group.state_machine_safety.applied(at, index, chain),
            None => Ok(()),
        }
    }

    /// The highest index a client of this group has an answer for.
    pub fn acknowledged_index(&self, group: GroupId) -> Index {
        let group = self.groups.get(&group);
        group.map_or(0, |group| group.acknowledged.highest())
    }

    /// A client was told that its command was applied. `floor`: what
    /// [`acknowledged_index`](Self::acknowledged_index) was when it first asked.
    pub fn acknowledged(
        &mut self,
        group: GroupId,
        command: &Command,
        floor: Index,
        index: Index,
        outcome: &Outcome,
    ) -> Check {
        let Some(group) = self.of(group) else {
            return Ok(());
        };
        group.exactly_once.acknowledged(command, index, outcome)?;
        group.acknowledged.command(floor, index)
    }

    /// A client's read was answered as of `index`.
    pub fn read(&mut self, group: GroupId, floor: Index, index: Index) -> Check {
        match self.of(group) {
            Some(group) => group.acknowledged.read(floor, index),
            None => Ok(()),
        }
    }

    /// A client was told that its command, which no other attempt repeats, was not applied.
    pub fn refused(&mut self, group: GroupId, command: &Command) -> Check {
        match self.of(group) {
            Some(group) => group.exactly_once.refused(command),
            None => Ok(()),
        }
    }

    /// The committed commands of all groups.
    pub fn log(&self) -> Vec<Logged> {
        let groups = self.groups.iter();
        let logs = groups.map(|(id, group)| group.exactly_once.log(*id));
        logs.flatten().collect()
    }

    /// How many entries of a group are known to be committed.
    pub fn committed_entries(&self, group: GroupId) -> Index {
        let group = self.groups.get(&group);
        group.map_or(0, |group| group.state_machine_safety.last())
    }
}

impl GroupInvariants {
    fn committed(&mut self, at: NodeId, term: Term, through: Index) -> Check {
        let Some(shadow) = self.shadows.get(&at) else {
            return Ok(());
        };
        let news = self.state_machine_safety.committed(at, shadow, through)?;
        let news: Vec<Entry> = news.to_vec();
        if let Some(last) = news.last() {
            self.commit_quorum
                .committed(last.id(), &self.membership, &self.shadows)?;
            self.leader_completeness.committed(term, last.id());
        }
        for entry in &news {
            self.exactly_once.committed(entry)?;
        }
        Ok(())
    }
}
