//! Commitment: AdvanceCommitIndex of the thesis' specification, and what is learnt of it.

use crate::event::{Entry, HardState};
use crate::log::Log;
use crate::refusal::{Verdict, contradiction, missing};
use crate::replica::Delta;
use crate::spec::{Leader, Spec};
use crate::{Index, LogId, ReplicaId, Term};

impl Spec {
    /// The replica takes everything up to `index` for committed.
    pub fn commit(&mut self, id: ReplicaId, index: Index) -> Verdict {
        let replica = self.replica(id)?;
        let (commit, durable) = (replica.commit, replica.durable.last().index);
        if index <= commit {
            return contradiction(format!("{id} commits {index} after {commit}"));
        }
        if index > durable {
            return contradiction(format!(
                "{id} commits {index}, but durable is only {durable}"
            ));
        }
        self.learn(index)?;
        let own = self.replicas[&id].durable.log.range(commit + 1, index);
        let theirs = self.committed.range(commit + 1, index);
        if let Some((own, theirs)) = own.iter().zip(theirs).find(|(own, theirs)| !own.is(theirs)) {
            let (own, theirs) = (own.id(), theirs.id());
            return contradiction(format!("{id} commits {own}, but {theirs} is committed"));
        }
        self.replica_mut(id).commit = index;
        self.reads.commits(index);
        Ok(())
    }

    /// The log is replaced by a snapshot: everything it covers is committed, and news.
    pub fn install(
        &mut self,
        id: ReplicaId,
        write: &str,
        hard_state: Option<HardState>,
        last: LogId,
    ) -> Verdict {
        let replica = self.replica(id)?;
        let before = replica.asked.hard_state;
        if last.index <= replica.commit {
            let commit = replica.commit;
            return contradiction(format!("{id} installs {last}, but {commit} was committed"));
        }
        let now = hard_state.unwrap_or(before);
        self.may_move(id, before, now)?;
        if replica.asked.log.term_at(last.index) == Some(last.term) {
            return contradiction(format!("{id} installs {last}, which its log has"));
        }
        match self.leaders.get(&now.term) {
            Some(leader) if leader.id == id => {
                return contradiction(format!("{id} leads, and installs {last}"));
            }
            Some(_) => {}
            None => return missing(format!("somebody leads term {}", now.term)),
        }
        self.learn(last.index)?;
        let covered = self.committed.range(1, last.index).to_vec();
        let theirs = covered.last().map(Entry::id).unwrap_or_default();
        if theirs != last {
            return contradiction(format!("{id} installs {last}, but {theirs} is committed"));
        }
        let replica = self.replica_mut(id);
        replica.ask(Some(write), Delta::Install(hard_state, covered));
        replica.commit = last.index;
        self.reads.commits(last.index);
        Ok(())
    }

    /// Whether it is known, or follows from what is, that everything up to `index` is committed.
    pub(crate) fn is_committed(&self, index: Index) -> bool {
        self.committed.len() >= index || self.chosen(index).is_some()
    }

    /// Whether an entry of this term is committed.
    pub(crate) fn has_committed_own(&self, term: Term) -> bool {
        let first = |leader: &Leader| leader.log.first_of(term, 1);
        let first = self.leaders.get(&term).and_then(first);
        first.is_some_and(|index| self.is_committed(index))
    }

    /// Takes note of what is committed up to `index`, if it is.
    fn learn(&mut self, index: Index) -> Verdict {
        if index <= self.committed.len() {
            return Ok(());
        }
        let Some((term, through)) = self.chosen(index) else {
            return missing(format!("a quorum has entry {index} of a leader"));
        };
        let Self {
            leaders, committed, ..
        } = self;
        let Some(leader) = leaders.get_mut(&term) else {
            return missing(format!("somebody leads term {term}"));
        };
        leader.lacks(term, committed)?;
        committed.put(leader.log.range(committed.len() + 1, through));
        leader.complete = through;
        Ok(())
    }

    /// The first leader that may have committed `index`, and how far: an entry of its own term, at
    /// or above it, is durable at a quorum in its term.
    fn chosen(&self, index: Index) -> Option<(Term, Index)> {
        let mut leaders = self.leaders.iter();
        leaders.find_map(|(term, leader)| {
            let own = leader.log.first_of(*term, index)?;
            self.has_quorum(*term, leader, own).then_some((*term, own))
        })
    }

    /// Under one of the configurations that the leader had in force since it appended the entry.
    fn has_quorum(&self, term: Term, leader: &Leader, index: Index) -> bool {
        let accepted = |id| self.accepted.get(&(term, id));
        let has = |id| accepted(id).is_some_and(|known| *known >= index);
        let mut since = leader.log.configurations_since(index, &leader.base);
        since.any(|configuration| configuration.is_quorum(has))
    }

    /// What must hold if the rules are right: for the search of the specification itself. Leader
    /// completeness is meant for whatever could be committed by now, noticed or not.
    pub fn invariants(&self) -> Verdict {
        for (term, leader) in &self.leaders {
            let own = (1..=leader.log.len()).rev();
            let mut own = own.filter(|index| leader.log.term_at(*index) == Some(*term));
            let Some(through) = own.find(|index| self.has_quorum(*term, leader, *index)) else {
                continue;
            };
            for (later, other) in self.leaders.range(term + 1..) {
                let known = leader.log.range(1, through).iter();
                let mut theirs = other.log.range(1, through).iter();
                for entry in known {
                    if !theirs.next().is_some_and(|own| own.is(entry)) {
                        let entry = entry.id();
                        return contradiction(format!(
                            "the leader of term {later} lacks {entry}, committed in term {term}"
                        ));
                    }
                }
            }
        }
        for (id, replica) in &self.replicas {
            let own = replica.durable.log.range(1, replica.commit).iter();
            let theirs = self.committed.range(1, replica.commit);
            if let Some((own, _)) = own.zip(theirs).find(|(own, known)| !own.is(known)) {
                return contradiction(format!("{id} has committed {}, others not", own.id()));
            }
        }
        Ok(())
    }
}

impl Leader {
    /// Leader completeness: everything that is committed is in the log of one who commits more.
    fn lacks(&self, term: Term, committed: &Log) -> Verdict {
        let known = committed.range(self.complete + 1, Index::MAX).iter();
        let mut own = self.log.range(self.complete + 1, Index::MAX).iter();
        for entry in known {
            if !own.next().is_some_and(|own| own.is(entry)) {
                let entry = entry.id();
                return contradiction(format!(
                    "the leader of term {term} lacks the committed {entry}"
                ));
            }
        }
        Ok(())
    }
}
