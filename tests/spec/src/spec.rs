//! The state of one group: its replicas, and what has been said and done so far.
//!
//! What replicas learn of each other is kept as facts that only ever become more: who asked for
//! votes, who gave one, what a leader's log was, how far somebody has taken it over. A message is
//! nothing but such a fact on its way, and may arrive at any later time, again, or never. So the
//! one state stands for all states of a network that fit the events so far.

use std::collections::BTreeMap;

use crate::event::{Configuration, Entry, HardState};
use crate::log::Log;
use crate::pre_vote::PreVotes;
use crate::reads::Reads;
use crate::refusal::{Verdict, contradiction, missing};
use crate::replica::{Delta, Image, Replica};
use crate::{Index, LogId, ReplicaId, Term};

/// The specification's view of one group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Spec {
    pub(crate) replicas: BTreeMap<ReplicaId, Replica>,
    /// The initial configuration.
    pub(crate) base: Option<Configuration>,
    /// RequestVote: who asked in a term, and the last entry it had. Durable.
    pub(crate) campaigns: BTreeMap<(Term, ReplicaId), LogId>,
    /// What campaigns will be once they are durable.
    pub(crate) candidates: BTreeMap<(Term, ReplicaId), LogId>,
    /// Votes given: by whom, and to whom. Durable.
    pub(crate) votes: BTreeMap<(Term, ReplicaId), ReplicaId>,
    /// Who won a term, and its log since then, which is only appended to.
    pub(crate) leaders: BTreeMap<Term, Leader>,
    /// How far a replica has taken over entries of a term while it was in that term. Durable.
    pub(crate) accepted: BTreeMap<(Term, ReplicaId), Index>,
    /// What is known to be committed, from index 1 on.
    pub(crate) committed: Log,
    pub(crate) pre_votes: PreVotes,
    pub(crate) reads: Reads,
}

/// The leader of a term.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Leader {
    pub(crate) id: ReplicaId,
    pub(crate) base: Configuration,
    pub(crate) log: Log,
    /// Everything committed up to here is known to be in it.
    pub(crate) complete: Index,
}

impl Spec {
    /// The replica, if it exists and its node has found it.
    pub(crate) fn replica(&self, id: ReplicaId) -> Result<&Replica, crate::Refusal> {
        match self.replicas.get(&id) {
            Some(replica) if replica.down => {
                contradiction(format!("{id} was not found when its node started"))
            }
            Some(replica) if replica.asked.hosted => Ok(replica),
            _ => contradiction(format!("{id} does not exist")),
        }
    }

    pub(crate) fn replica_mut(&mut self, id: ReplicaId) -> &mut Replica {
        self.replicas.entry(id).or_default()
    }

    /// The replica of this node that exists.
    pub fn hosted(&self, node: u64) -> Option<ReplicaId> {
        let mut replicas = self.replicas.iter();
        let exists = |replica: &Replica| replica.asked.hosted && !replica.down;
        let here = replicas.find(|(id, replica)| id.node == node && exists(replica));
        here.map(|(id, _)| *id)
    }

    /// A replica begins to exist, in place of an older one of its node. Whom that one voted for is
    /// kept.
    pub fn host(&mut self, id: ReplicaId, write: &str, base: &Configuration) -> Verdict {
        if self.replicas.get(&id).is_some_and(Replica::must_exist) {
            return contradiction(format!("{id} exists already"));
        }
        if id.born == 0 {
            let known = self.base.get_or_insert_with(|| base.clone());
            if known != base {
                return contradiction(format!("{id} begins with another configuration"));
            }
        }
        let older = self.hosted(id.node);
        let hard_state = older.map_or_else(HardState::default, |older| {
            self.replicas[&older].asked.hard_state
        });
        if let Some(older) = older {
            self.replica_mut(older).ask(None, Delta::Remove);
        }
        let replica = self.replica_mut(id);
        *replica = Replica::default();
        replica.ask(Some(write), Delta::Host(base.clone(), hard_state));
        Ok(())
    }

    /// A replica ends.
    pub fn remove(&mut self, id: ReplicaId, write: &str) -> Verdict {
        self.replica(id)?;
        self.replica_mut(id).ask(Some(write), Delta::Remove);
        Ok(())
    }

    /// This write of the replica and all before it are durable; what it says may now be believed.
    pub fn durable(&mut self, id: ReplicaId, write: &str) -> Verdict {
        let Some(replica) = self.replicas.get(&id) else {
            return contradiction(format!("{id} does not exist"));
        };
        let mut pending = replica.pending.iter();
        let Some(at) = pending.position(|pending| pending.id.as_deref() == Some(write)) else {
            return contradiction(format!("{id} was never asked to write {write}"));
        };
        self.persist(id, at + 1);
        Ok(())
    }

    /// The oldest so many writes are durable.
    pub(crate) fn persist(&mut self, id: ReplicaId, writes: usize) {
        for _ in 0..writes {
            let replica = self.replica_mut(id);
            let Some(pending) = replica.pending.pop_front() else {
                return;
            };
            replica.durable.change(&pending.delta);
            self.publish(id, &pending.delta);
        }
    }

    /// What others may learn from a durable write.
    fn publish(&mut self, id: ReplicaId, delta: &Delta) {
        let hard_state = match delta {
            Delta::Append(hard_state, _) | Delta::Install(hard_state, _) => *hard_state,
            Delta::Host(_, hard_state) => Some(*hard_state),
            Delta::Compact(_) | Delta::Remove => None,
        };
        let durable = &self.replicas[&id].durable;
        let term = durable.hard_state.term;
        let through = match delta {
            Delta::Append(_, entries) => entries.last().filter(|last| last.term == term),
            _ => None,
        };
        if let Some(last) = through {
            let known = self.accepted.entry((term, id)).or_default();
            *known = last.index.max(*known);
        }
        let Some(HardState {
            vote: Some(candidate),
            ..
        }) = hard_state
        else {
            return;
        };
        self.votes.insert((term, id), candidate);
        if let Some(last) = self.candidates.remove(&(term, id)) {
            self.campaigns.insert((term, id), last);
        }
    }

    /// A granted vote leaves: it is durable.
    pub fn grants(&self, id: ReplicaId, term: Term, to: ReplicaId) -> Verdict {
        self.replica(id)?;
        match self.votes.get(&(term, id)) {
            Some(candidate) if *candidate == to => Ok(()),
            _ => contradiction(format!(
                "{id} grants {to} a vote in {term} that is not durable"
            )),
        }
    }

    /// An acknowledgement leaves: what it claims is durable, and the leader's.
    pub fn acknowledges(&self, id: ReplicaId, term: Term, index: Index) -> Verdict {
        let durable = &self.replica(id)?.durable;
        if durable.hard_state.term < term || durable.last().index < index {
            let last = durable.last();
            return contradiction(format!(
                "{id} acknowledges {index} in term {term}, but durable is {last} in term {}",
                durable.hard_state.term
            ));
        }
        let Some(leader) = self.leaders.get(&term) else {
            return missing(format!("nobody leads term {term}"));
        };
        // The answer to a leader whose log is shorter claims what is committed.
        let theirs = leader
            .log
            .entry(index)
            .or_else(|| self.committed.entry(index));
        match (theirs, durable.log.entry(index)) {
            (Some(theirs), Some(own)) if !theirs.is(own) => contradiction(format!(
                "{id} acknowledges {}, but the leader of term {term} has {}",
                own.id(),
                theirs.id()
            )),
            (None, Some(own)) => missing(format!("the leader of term {term} appends {}", own.id())),
            _ => Ok(()),
        }
    }

    /// A snapshot covers everything up to here: it is applied, thus committed.
    pub fn compact(&mut self, id: ReplicaId, write: &str, last: LogId) -> Verdict {
        let replica = self.replica(id)?;
        // Or it was fetched from somebody who had applied it.
        if last.index > replica.commit && !self.is_committed(last.index) {
            let commit = replica.commit;
            return missing(format!(
                "{id} forgets its log up to {last}, but took only {commit} for committed"
            ));
        }
        if replica.asked.log.term_at(last.index) != Some(last.term) {
            return contradiction(format!("{id} forgets its log up to {last}, which it lacks"));
        }
        self.replica_mut(id)
            .ask(Some(write), Delta::Compact(last.index));
        Ok(())
    }

    /// The node starts: whatever was not durable may be gone.
    pub fn boot(&mut self, node: u64) {
        for (id, replica) in &mut self.replicas {
            replica.down |= id.node == node;
        }
        let led = self.leaders.iter();
        let led = led.filter(|(_, leader)| leader.id.node == node);
        self.pre_votes.boot(node, led.map(|(term, _)| *term));
        self.reads.boot(node);
    }

    /// The replica as its node found it: everything that was durable, and any of the writes that
    /// were on their way, in their order.
    pub fn start(
        &mut self,
        id: ReplicaId,
        hard_state: HardState,
        floor: Index,
        last: LogId,
    ) -> Verdict {
        let Some(replica) = self.replicas.get(&id) else {
            return contradiction(format!("{id} is found, but was never written"));
        };
        let fits = |image: &Image| {
            image.hosted
                && image.hard_state == hard_state
                && image.floor == floor
                && image.last() == last
        };
        let mut image = replica.durable.clone();
        let mut survived = None;
        for (count, pending) in std::iter::once(None)
            .chain(replica.pending.iter().map(Some))
            .enumerate()
        {
            if let Some(pending) = pending {
                image.change(&pending.delta);
            }
            if fits(&image) {
                survived = Some(count);
            }
        }
        let Some(survived) = survived else {
            let durable = &replica.durable;
            return contradiction(format!(
                "{id} finds term {}, floor {floor} and last {last}, but durable was term {}, \
                 floor {} and last {}",
                hard_state.term,
                durable.hard_state.term,
                durable.floor,
                durable.last()
            ));
        };
        self.persist(id, survived);
        let replica = self.replica_mut(id);
        replica.pending.clear();
        replica.asked = replica.durable.clone();
        replica.commit = floor;
        replica.down = false;
        Ok(())
    }

    /// Which replica of this node was asked for this write.
    pub(crate) fn writer(&self, node: u64, write: &str) -> Option<ReplicaId> {
        let mut replicas = self.replicas.iter();
        let asked = |replica: &Replica| {
            let mut pending = replica.pending.iter();
            pending.any(|pending| pending.id.as_deref() == Some(write))
        };
        let writer = replicas.find(|(id, replica)| id.node == node && asked(replica));
        writer.map(|(id, _)| *id)
    }

    /// The term and vote of a replica, durable or not.
    pub fn hard_state(&self, id: ReplicaId) -> HardState {
        let replica = self.replicas.get(&id);
        replica.map_or_else(HardState::default, |replica| replica.asked.hard_state)
    }

    /// The last entry of a replica, durable or not.
    pub fn last(&self, id: ReplicaId) -> LogId {
        let replica = self.replicas.get(&id);
        replica.map_or_else(LogId::default, |replica| replica.asked.last())
    }

    /// An entry of a replica, durable or not.
    pub fn entry(&self, id: ReplicaId, index: Index) -> Option<&Entry> {
        self.replicas.get(&id)?.asked.log.entry(index)
    }

    /// Up to where a replica has forgotten its log.
    pub fn floor(&self, id: ReplicaId) -> Index {
        self.replicas
            .get(&id)
            .map_or(0, |replica| replica.asked.floor)
    }

    /// How many entries are known to be committed.
    pub fn committed(&self) -> Index {
        self.committed.len()
    }

    /// Terms that somebody led.
    pub fn led(&self) -> usize {
        self.leaders.len()
    }
}
