//! What must never happen, whatever the story.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use coracle_proto::{
    AppendOutcome, Configuration, Effect, Envelope, Index, LogId, Message, ReadId, ReplicaId, Term,
    VoteKind,
};

use super::member::Member;

/// What was seen so far, and the first rule that was broken.
#[derive(Debug)]
pub(super) struct Rules {
    broken: Option<String>,
    leaders: BTreeMap<Term, ReplicaId>,
    votes: BTreeMap<(ReplicaId, Term), ReplicaId>,
    /// How up to date a candidate said that it is.
    candidates: BTreeMap<(ReplicaId, Term), LogId>,
    committed: BTreeMap<Index, (Term, Bytes)>,
    /// Per read that is not answered, what was committed when it began.
    reads: BTreeMap<ReadId, Index>,
    commits: BTreeMap<ReplicaId, Index>,
    /// What each replica counted by when it moved last.
    configurations: BTreeMap<ReplicaId, Configuration>,
}

impl Rules {
    pub(super) fn new() -> Self {
        Self {
            broken: None,
            leaders: BTreeMap::new(),
            votes: BTreeMap::new(),
            candidates: BTreeMap::new(),
            committed: BTreeMap::new(),
            reads: BTreeMap::new(),
            commits: BTreeMap::new(),
            configurations: BTreeMap::new(),
        }
    }

    pub(super) fn verdict(self) -> Result<(), String> {
        self.broken.map_or(Ok(()), Err)
    }

    pub(super) fn broken(&mut self, rule: String) {
        self.broken.get_or_insert(rule);
    }

    pub(super) fn read_begins(&mut self, id: ReadId) {
        let highest = self.committed.keys().next_back().copied().unwrap_or(0);
        self.reads.insert(id, highest);
    }

    /// Whether a read waits for its answer.
    pub(super) fn read_waits(&self) -> bool {
        !self.reads.is_empty()
    }

    pub(super) fn effect(&mut self, members: &BTreeMap<u64, Member>, node: u64, effect: &Effect) {
        match effect {
            Effect::Send(envelope) => self.sent(&members[&node], envelope),
            Effect::Commit { index } => self.applies(&members[&node], node, *index),
            Effect::ReadReady { id, index } => {
                let floor = self.reads.remove(id).unwrap_or(0);
                if *index < floor {
                    self.broken(format!(
                        "linearizable reads: n{node} reads at {index}, but {floor} was committed before"
                    ));
                }
            }
            Effect::ReadRefused { id, .. } => {
                self.reads.remove(id);
            }
            Effect::Fatal { reason } => self.broken(format!("nobody stops: n{node}: {reason}")),
            _ => {}
        }
    }

    fn sent(&mut self, sender: &Member, envelope: &Envelope) {
        let Envelope { from, to, term, .. } = envelope;
        match &envelope.message {
            Message::Vote { kind, last } => {
                self.candidates.insert((*from, *term), *last);
                if *kind != VoteKind::Pre {
                    self.vote(*from, *from, *term);
                }
            }
            Message::VoteReply {
                kind,
                granted: true,
            } => {
                self.grant(sender, envelope);
                if *kind != VoteKind::Pre {
                    let durable = sender.durable.hard_state;
                    if durable.term == *term && durable.vote != Some(*to) || durable.term < *term {
                        self.broken(format!(
                            "persist before send: {from} votes in term {term}, durable is {durable:?}"
                        ));
                    }
                    self.vote(*from, *to, *term);
                }
            }
            Message::AppendReply(AppendOutcome::Matched { index })
                if sender.durable.last().index < *index =>
            {
                let last = sender.durable.last();
                self.broken(format!(
                    "persist before send: {from} acknowledges {index}, durable is {last}"
                ));
            }
            _ => {}
        }
    }

    /// A vote or a pre-vote goes only to who is up to date, and is of this time.
    fn grant(&mut self, voter: &Member, envelope: &Envelope) {
        let Envelope { from, to, term, .. } = envelope;
        let (own, last) = (voter.asked.hard_state.term, voter.asked.last());
        if *term < own {
            self.broken(format!("votes: {from} grants term {term}, it is in {own}"));
        }
        if let Some(theirs) = self.candidates.get(&(*to, *term))
            && *theirs < last
        {
            let text = format!("votes: {from} with {last} helps {to} with {theirs}");
            self.broken(text);
        }
    }

    fn vote(&mut self, from: ReplicaId, to: ReplicaId, term: Term) {
        let first = *self.votes.entry((from, term)).or_insert(to);
        if first != to {
            self.broken(format!(
                "vote once: {from} votes for {first} and {to} in term {term}"
            ));
        }
    }

    /// State machine safety, and nothing is applied that a crash could take.
    fn applies(&mut self, member: &Member, node: u64, through: Index) {
        if member.durable.last().index < through {
            let last = member.durable.last();
            self.broken(format!(
                "applied is durable: n{node} applies {through}, durable is {last}"
            ));
        }
        let entries = member.asked.entries.iter();
        for entry in entries.filter(|entry| entry.index <= through) {
            let found = (entry.term, entry.payload.clone());
            let first = self.committed.entry(entry.index).or_insert(found.clone());
            if *first != found {
                let first = first.0;
                let id = entry.id();
                self.broken(format!(
                    "state machine safety: n{node} applies {id}, another one of term {first}"
                ));
            }
        }
    }

    /// Looks at the replica that has just moved.
    pub(super) fn after(&mut self, members: &BTreeMap<u64, Member>, node: u64) {
        let member = &members[&node];
        let status = member.raft.status();
        let id = status.id;
        if status.last.index < status.commit {
            let (last, commit) = (status.last, status.commit);
            self.broken(format!(
                "what is committed stays: n{node} ends at {last}, below {commit}"
            ));
        }
        if member.raft.leader() == Some(id) {
            self.matches(members, member);
            self.leads(member, id);
            self.commits(members, member, id);
        }
        self.configurations.insert(id, status.configuration);
    }

    fn leads(&mut self, member: &Member, id: ReplicaId) {
        let term = member.raft.status().hard_state.term;
        match self.leaders.insert(term, id) {
            Some(other) if other != id => {
                self.broken(format!(
                    "election safety: {other} and {id} lead term {term}"
                ));
            }
            Some(_) => {}
            None => self.leads_first(member, id, term),
        }
    }

    /// Leader completeness: what was committed in an earlier term is in its log.
    fn leads_first(&mut self, member: &Member, id: ReplicaId, term: Term) {
        let older = self.committed.iter().filter(|(_, (at, _))| *at < term);
        let lacking = older.map(|(index, (term, _))| LogId {
            term: *term,
            index: *index,
        });
        let lacking = lacking
            .into_iter()
            .find(|entry| !member.asked.holds(*entry));
        if let Some(entry) = lacking {
            self.broken(format!(
                "leader completeness: {id} leads term {term} without {entry}"
            ));
        }
    }

    /// What a leader takes for the match of a peer is one.
    fn matches(&mut self, members: &BTreeMap<u64, Member>, leader: &Member) {
        for peer in leader.raft.status().peers {
            let Some(member) = members.get(&peer.id.node.0) else {
                continue;
            };
            let entry = leader.asked.term_at(peer.matched).map(|term| LogId {
                term,
                index: peer.matched,
            });
            if member.raft.status().id == peer.id
                && entry.is_some_and(|entry| !member.durable.holds(entry))
            {
                let (id, index) = (peer.id, peer.matched);
                self.broken(format!(
                    "a match is a proof: {id} is taken to match up to {index}"
                ));
            }
        }
    }

    /// What a leader commits is durable on a majority of both halves of its configuration.
    fn commits(&mut self, members: &BTreeMap<u64, Member>, leader: &Member, id: ReplicaId) {
        let commit = leader.raft.status().commit;
        let before = self.commits.insert(id, commit).unwrap_or(0);
        let Some(term) = leader.asked.term_at(commit).filter(|_| commit > before) else {
            return;
        };
        let entry = LogId {
            term,
            index: commit,
        };
        let holds = |id: &ReplicaId| {
            let member = members.get(&id.node.0);
            member.is_some_and(|it| it.raft.status().id == *id && it.durable.holds(entry))
        };
        // A change counts from its append, that is, from the next step on.
        let now = leader.raft.status().configuration;
        let now = self.configurations.get(&id).cloned().unwrap_or(now);
        let is_quorum = |half: &BTreeSet<ReplicaId>| {
            half.is_empty() || half.iter().filter(|id| holds(id)).count() > half.len() / 2
        };
        if !is_quorum(&now.voters) || !is_quorum(&now.outgoing) {
            self.broken(format!("commit quorum: {id} commits {entry} in {now}"));
        }
        let found = leader.asked.entry(commit);
        if let Some(found) = found {
            let payload = found.payload.clone();
            let first = self.committed.entry(commit).or_insert((term, payload));
            if first.0 != term {
                let first = first.0;
                self.broken(format!(
                    "state machine safety: {id} commits {entry}, another one of term {first}"
                ));
            }
        }
    }
}
