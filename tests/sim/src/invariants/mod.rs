//! What must hold at every moment of every run, one file each. They see what the nodes ask for
//! (writes, messages, tasks) and what became durable, never the nodes' own opinion of it.

mod acknowledged;
#[cfg(test)]
mod answer_tests;
mod answers;
mod check_quorum;
mod commit_quorum;
mod election_safety;
mod exactly_once;
mod fresh_reads;
mod leader_completeness;
mod log_matching;
mod membership;
mod outcome_chain;
mod own_word;
mod persist_before_send;
mod pre_vote;
mod recovery;
mod refusal;
#[cfg(test)]
mod role_tests;
mod shadow;
mod state_machine_safety;
mod stickiness;
#[cfg(test)]
mod tests;
mod vote_once;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use coracle_driver::task::{Command, Outcome, Ticket};
use coracle_driver::{Digest, Event, RecoveredGroup, Write, WriteKind};
use coracle_history::Logged;
use coracle_proto::{
    Configuration, Entry, Envelope, GroupId, Index, Instant, LogId, NodeId, ReplicaId, Status, Term,
};

use acknowledged::Acknowledged;
use answers::Answers;
use check_quorum::CheckQuorum;
use commit_quorum::CommitQuorum;
use election_safety::ElectionSafety;
use exactly_once::ExactlyOnce;
use fresh_reads::FreshReads;
use leader_completeness::LeaderCompleteness;
use log_matching::LogMatching;
use membership::Membership;
use outcome_chain::OutcomeChain;
use own_word::OwnWord;
use pre_vote::PreVote;
pub use refusal::{Harm, Refusal};
use shadow::Shadow;
use state_machine_safety::StateMachineSafety;
use stickiness::Stickiness;
use vote_once::VoteOnce;
use witness::Witness;

use crate::settings::Settings;

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
    /// What users keep of snapshots.
    images: BTreeMap<Digest, exactly_once::State>,
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
    outcome_chain: OutcomeChain,
    acknowledged: Acknowledged,
    stickiness: Stickiness,
    check_quorum: CheckQuorum,
    /// If it is on.
    pre_vote: Option<PreVote>,
    witness: Witness,
    answers: Answers,
    fresh_reads: FreshReads,
    own_word: OwnWord,
    /// Nodes whose configuration changes in their turn: nobody sees by which one they count.
    changing: BTreeSet<NodeId>,
}

impl Invariants {
    /// Those of a cluster of `nodes` voters and `spares` that may be added, with these settings.
    pub fn new(nodes: u64, spares: u64, groups: u64, settings: &Settings) -> Self {
        let election_timeout = Duration::from_millis(settings.election_timeout);
        let group = |id| {
            let shadows = (1..=nodes + spares).map(|node| (NodeId(node), Shadow::default()));
            let invariants = GroupInvariants {
                membership: Membership::new(Configuration::initial((1..=nodes).map(NodeId))),
                shadows: shadows.collect(),
                stickiness: Stickiness::new(election_timeout),
                check_quorum: CheckQuorum::new(election_timeout),
                pre_vote: settings.pre_vote.then(PreVote::default),
                ..GroupInvariants::default()
            };
            (GroupId(id), invariants)
        };
        Self {
            groups: (1..=groups).map(group).collect(),
            images: BTreeMap::new(),
        }
    }

    fn of(&mut self, group: GroupId) -> Option<&mut GroupInvariants> {
        self.groups.get_mut(&group)
    }

    /// A node begins a turn at this time of its clock, with these events.
    pub fn takes(&mut self, at: NodeId, now: Instant, events: &[Event]) {
        for (id, group) in &mut self.groups {
            group.takes(*id, at, now, events);
        }
    }

    /// What a node wanted to write and who leads is said, what it sends is not.
    pub fn turned(&mut self, at: NodeId) -> Check {
        let mut groups = self.groups.values_mut();
        groups.try_for_each(|group| group.turned(at))
    }

    /// A node says who leads.
    pub fn leader(
        &mut self,
        group: GroupId,
        at: NodeId,
        now: Instant,
        term: Term,
        leader: Option<ReplicaId>,
    ) -> Check {
        let Some(group) = self.of(group) else {
            return Ok(());
        };
        group.check_quorum.leads(at, now, term, leader);
        let Some(leader) = leader else { return Ok(()) };
        group.election_safety.leads(term, leader)?;
        match (leader.node == at, group.shadows.get(&at)) {
            (true, Some(shadow)) => {
                group
                    .witness
                    .leads(leader, &shadow.asked, &group.membership)?;
                group.leader_completeness.elected(term, at, shadow)
            }
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
        let before = shadow.asked.hard_state.term;
        shadow.asked(&write.kind);
        group.candidacy(at, before)?;
        let Some(shadow) = group.shadows.get(&at) else {
            return Ok(());
        };
        if let WriteKind::Append { entries, .. } = &write.kind {
            for configuration in entries.iter().filter_map(shadow::configuration) {
                group.witness.written(&configuration);
                group.changing.insert(at);
                group.added(at, shadow, configuration.index)?;
            }
        }
        group.own_word.written(at);
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

    /// Last index of the log that a node asked for.
    pub fn last_index(&self, group: GroupId, at: NodeId) -> Index {
        let group = self.groups.get(&group);
        let shadow = group.and_then(|group| group.shadows.get(&at));
        shadow.map_or(0, |shadow| shadow.asked.last().index)
    }

    /// A node stopped; these writes may or may not be durable.
    pub fn crashed(&mut self, at: NodeId, writes: &[Write]) {
        for (id, group) in &mut self.groups {
            if let Some(shadow) = group.shadows.get_mut(&at) {
                let own = writes.iter().filter(|write| write.group == *id);
                shadow.crashed(own.map(|write| write.kind.clone()).collect());
            }
            group.crashed(at);
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
        group.check_quorum.sent(envelope);
        group.stickiness.sent(envelope)?;
        group.answers.sent(envelope)?;
        let counts = counts(&group.shadows, &group.membership, envelope.from.node);
        let sure = !group.changing.contains(&envelope.from.node);
        group
            .fresh_reads
            .sent(envelope, || counts().filter(|_| sure))?;
        group
            .witness
            .sent(envelope, &group.membership, &group.shadows)?;
        group.vote_once.sent(envelope)
    }

    /// A node says that everything up to `through` is committed and durable there.
    pub fn committed(&mut self, group: GroupId, at: NodeId, term: Term, through: Index) -> Check {
        let Some(group) = self.groups.get_mut(&group) else {
            return Ok(());
        };
        group.committed(at, term, through, &self.images)
    }

    /// A user has a snapshot of this group up to `last`.
    pub fn exported(&mut self, group: GroupId, image: Digest, last: Index) {
        if let Some(group) = self.groups.get(&group) {
            self.images.insert(image, group.exactly_once.at(last));
        }
    }

    /// Whether the state of a group was ever replaced by a user's snapshot.
    pub fn is_restored(&self, group: GroupId) -> bool {
        let group = self.groups.get(&group);
        group.is_some_and(|group| group.exactly_once.is_restored())
    }

    /// A node says that this configuration is committed.
    pub fn configured(
        &mut self,
        group: GroupId,
        at: NodeId,
        configuration: &Configuration,
    ) -> Check {
        match self.of(group) {
            Some(group) => {
                group.witness.committed(at, configuration.index);
                group.membership.committed(at, configuration)
            }
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
            Some(group) => {
                group.state_machine_safety.applied(at, index, chain)?;
                let meaning = &group.exactly_once;
                group.outcome_chain.applied(at, index, chain, meaning)
            }
            None => Ok(()),
        }
    }

    /// A node that has applied everything up to `applied` lets somebody read as of `index`.
    pub fn granted(&self, at: NodeId, index: Index, applied: Index) -> Check {
        Acknowledged::granted(at, index, applied)
    }

    /// A node has a read point for a client that asked it.
    pub fn read_ready(&mut self, group: GroupId, at: NodeId, ticket: Ticket) -> Check {
        match self.of(group) {
            Some(group) => group.read_ready(at, ticket),
            None => Ok(()),
        }
    }

    /// Whether a node, whose turn is over, should be asked what it says of itself.
    pub fn asks(&mut self, group: GroupId, at: NodeId) -> bool {
        self.of(group)
            .is_some_and(|group| group.own_word.is_due(at))
    }

    /// That is what it says.
    pub fn said(&self, group: GroupId, status: &Status) -> Check {
        match self.groups.get(&group) {
            Some(group) => group.own_word.said(status, &group.shadows),
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
    fn committed(
        &mut self,
        at: NodeId,
        term: Term,
        through: Index,
        images: &BTreeMap<Digest, exactly_once::State>,
    ) -> Check {
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
            let fates = self.exactly_once.committed(entry, images)?;
            self.outcome_chain.committed(entry.index, fates);
        }
        Ok(())
    }

    fn takes(&mut self, id: GroupId, at: NodeId, now: Instant, events: &[Event]) {
        let Some(shadow) = self.shadows.get(&at) else {
            return;
        };
        self.changing.remove(&at);
        let log = &shadow.asked;
        self.stickiness.takes(at, now, log);
        self.check_quorum.takes(at, now);
        let term = log.hard_state.term;
        self.fresh_reads.takes(at, now, term);
        for event in events {
            self.stickiness.told(at, id, event);
            self.answers.told(event, id);
            match event {
                Event::Read {
                    group,
                    mode,
                    ticket,
                } if *group == id => self.fresh_reads.told(at, *ticket, *mode),
                _ => {}
            }
            let Event::Received(envelopes) = event else {
                continue;
            };
            for envelope in envelopes.iter().filter(|it| it.group == id) {
                self.answers.heard(envelope);
                if !log.hosted || envelope.to.born != log.born {
                    continue;
                }
                self.stickiness.heard(envelope, log);
                self.check_quorum.heard(envelope);
                self.fresh_reads.heard(envelope);
                self.own_word.heard(envelope, term);
                if let Some(pre_vote) = &mut self.pre_vote {
                    pre_vote.heard(envelope);
                }
            }
        }
    }

    fn turned(&mut self, at: NodeId) -> Check {
        let Some(shadow) = self.shadows.get(&at) else {
            return Ok(());
        };
        let membership = &self.membership;
        let configuration = || in_force(shadow, membership);
        self.check_quorum.turned(at, configuration)
    }

    /// A node has a read point for its client. Only a leader answers for it; a follower has heard it from one.
    fn read_ready(&mut self, at: NodeId, ticket: Ticket) -> Check {
        let Some(shadow) = self.shadows.get(&at) else {
            return Ok(());
        };
        let leader = self.election_safety.leader(shadow.asked.hard_state.term);
        match leader.filter(|leader| leader.node == at) {
            Some(leader) if !self.changing.contains(&at) => {
                let counts = counts(&self.shadows, &self.membership, at);
                self.fresh_reads.granted(leader, ticket, counts)
            }
            _ => Ok(()),
        }
    }

    /// A node adds the configuration at `index` to its log.
    fn added(&self, at: NodeId, shadow: &Shadow, index: Index) -> Check {
        let log = &shadow.asked;
        let term = log.hard_state.term;
        let leader = self.election_safety.leader(term);
        let Some(leader) = leader.filter(|leader| leader.node == at) else {
            return Ok(());
        };
        let mut before = log.configurations().rev().filter(|it| it.index < index);
        let before = before
            .next()
            .or_else(|| self.membership.at(log.floor.index));
        let Some(before) = before else {
            return Ok(());
        };
        let own = log.entries.iter().find(|entry| entry.term == term);
        let own = own.map(Entry::id).filter(|_| log.floor.term < term);
        let last = log.term_at(before.index).map(|term| LogId {
            term,
            index: before.index,
        });
        let known = self.state_machine_safety.last();
        let mut needed = own
            .into_iter()
            .chain(last)
            .filter(|needed| needed.index > known);
        needed
            .try_for_each(|needed| membership::added(leader, index, needed, before, &self.shadows))
    }

    /// A node wants a term written, that was `before`, and perhaps a vote for itself in it.
    fn candidacy(&mut self, at: NodeId, before: Term) -> Check {
        let (Some(pre_vote), Some(shadow)) = (&mut self.pre_vote, self.shadows.get(&at)) else {
            return Ok(());
        };
        let log = &shadow.asked;
        let (term, own) = (log.hard_state.term, log.hard_state.vote);
        let Some(own) = own.filter(|own| own.node == at && term > before) else {
            return Ok(());
        };
        match in_force(shadow, &self.membership) {
            Some(configuration) => {
                let free = self.stickiness.is_free(at);
                pre_vote.stands(own, term, &configuration, free)
            }
            None => Ok(()),
        }
    }

    fn crashed(&mut self, at: NodeId) {
        self.state_machine_safety.crashed(at);
        self.stickiness.crashed(at);
        self.check_quorum.crashed(at);
        self.witness.crashed(at);
        self.answers.crashed(at);
        self.fresh_reads.crashed(at);
        self.own_word.crashed(at);
        if let Some(pre_vote) = &mut self.pre_vote {
            pre_vote.crashed(at);
        }
    }
}

/// Gives the configuration by which a node counts.
fn counts(
    shadows: &BTreeMap<NodeId, Shadow>,
    membership: &Membership,
    at: NodeId,
) -> impl FnOnce() -> Option<Configuration> {
    move || in_force(shadows.get(&at)?, membership)
}

/// The last configuration in the log of a node, committed or not.
fn in_force(shadow: &Shadow, membership: &Membership) -> Option<Configuration> {
    let log = &shadow.asked;
    let committed = || membership.at(log.floor.index).cloned();
    log.configurations().next_back().cloned().or_else(committed)
}
