//! Pre-votes (thesis 9.6): whoever campaigns has asked a quorum whether it would vote.
//!
//! An answer may leave long after the question came, and after other writes of the same turn. So it
//! is judged by everything that its replica was in between: it is right if it was at any time.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::HardState;
use crate::refusal::{Verdict, contradiction, missing};
use crate::spec::Spec;
use crate::{LogId, ReplicaId, Term};

/// What is known of pre-votes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct PreVotes {
    /// Nodes whose replicas ask before they campaign.
    pub(crate) careful: BTreeSet<u64>,
    /// Who asked for a term, and the best last entry it said it had.
    asked: BTreeMap<(Term, ReplicaId), LogId>,
    /// What the replicas that were asked have been since.
    heard: BTreeMap<(ReplicaId, Term, ReplicaId), Heard>,
    /// Who would vote for whom.
    granted: BTreeMap<(Term, ReplicaId), BTreeSet<ReplicaId>>,
    /// Whom a leader told to campaign in the next term.
    handed_over: BTreeSet<(Term, ReplicaId)>,
    /// Terms whose leader has stepped down.
    over: BTreeSet<Term>,
}

/// A replica since it was first asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Heard {
    then: HardState,
    /// The lowest last entry that it had.
    last: LogId,
    /// It led whenever it was asked.
    led: bool,
}

impl PreVotes {
    /// Questions to a replica die with its process, and so does the lead of these terms.
    pub(crate) fn boot(&mut self, node: u64, led: impl Iterator<Item = Term>) {
        self.over.extend(led);
        self.heard.retain(|(voter, _, _), _| voter.node != node);
    }
}

impl Spec {
    /// The question leaves.
    pub fn asks_pre_vote(&mut self, id: ReplicaId, term: Term, last: LogId) -> Verdict {
        let own = self.replica(id)?.asked.hard_state.term;
        if term > own + 1 {
            return contradiction(format!(
                "{id} asks for pre-votes in {term}, and is in {own}"
            ));
        }
        let known = self.pre_votes.asked.entry((term, id)).or_default();
        *known = last.max(*known);
        Ok(())
    }

    /// The question arrives.
    pub fn hears_pre_vote(&mut self, id: ReplicaId, term: Term, by: ReplicaId) -> Verdict {
        let asked = &self.replica(id)?.asked;
        let (then, last) = (asked.hard_state, asked.last());
        let led = self.is_leading(id);
        let first = Heard { then, last, led };
        let heard = self.pre_votes.heard.entry((id, term, by)).or_insert(first);
        heard.last = heard.last.min(last);
        heard.led &= led;
        Ok(())
    }

    /// The log of a replica changes while answers of it may wait.
    pub(crate) fn note_last(&mut self, id: ReplicaId) {
        let last = self.last(id);
        let of = (id, 0, ReplicaId::LEAST)..=(id, Term::MAX, ReplicaId::GREATEST);
        for (_, heard) in self.pre_votes.heard.range_mut(of) {
            heard.last = heard.last.min(last);
        }
    }

    /// The answer leaves: the candidate's log is at least as up to date, its term not an old one
    /// and the vote in it not given away; and a leader trusts itself.
    pub fn grants_pre_vote(&mut self, id: ReplicaId, term: Term, to: ReplicaId) -> Verdict {
        self.replica(id)?;
        let Some(heard) = self.pre_votes.heard.get(&(id, term, to)) else {
            return contradiction(format!("{id} grants {to} a pre-vote it was not asked for"));
        };
        let Heard { then, last, led } = *heard;
        if term < then.term {
            let own = then.term;
            return contradiction(format!(
                "{id} grants {to} a pre-vote in {term}, and is in {own}"
            ));
        }
        if term == then.term && then.vote.is_some_and(|vote| vote != to) {
            return contradiction(format!(
                "{id} grants {to} a pre-vote in {term}, in which it voted for another"
            ));
        }
        if led && self.is_leading(id) {
            return contradiction(format!("{id} leads, and grants {to} a pre-vote in {term}"));
        }
        let Some(theirs) = self.pre_votes.asked.get(&(term, to)) else {
            return missing(format!("{to} asks for pre-votes in {term}"));
        };
        // It may have asked once more, with another log.
        if *theirs < last {
            return missing(format!(
                "{id}, whose log ends with {last}, grants {to}, whose log ends with {theirs}, a \
                 pre-vote"
            ));
        }
        let granted = self.pre_votes.granted.entry((term, to)).or_default();
        granted.insert(id);
        Ok(())
    }

    /// The leader tells `to` to campaign without asking.
    pub fn hands_over(&mut self, id: ReplicaId, term: Term, to: ReplicaId) -> Verdict {
        match self.leaders.get(&term) {
            Some(leader) if leader.id == id => {
                self.pre_votes.handed_over.insert((term, to));
                Ok(())
            }
            _ => contradiction(format!("{id} hands over {term}, which it does not lead")),
        }
    }

    /// The replica leads no more.
    pub fn steps_down(&mut self, id: ReplicaId) -> Verdict {
        let led = self.leaders.iter().rev();
        let mut led = led.filter(|(_, leader)| leader.id == id);
        if let Some((term, _)) = led.next() {
            self.pre_votes.over.insert(*term);
        }
        Ok(())
    }

    /// Whether the replica may campaign: a quorum would vote for it, or the leader told it to.
    pub(crate) fn may_stand(&self, id: ReplicaId, term: Term) -> Verdict {
        let votes = &self.pre_votes;
        if !votes.careful.contains(&id.node) || votes.handed_over.contains(&(term - 1, id)) {
            return Ok(());
        }
        let granted = votes.granted.get(&(term, id));
        let would = |voter| voter == id || granted.is_some_and(|all| all.contains(&voter));
        match self.replicas[&id].asked.configuration().is_quorum(would) {
            true => Ok(()),
            false => missing(format!("a quorum would vote for {id} in term {term}")),
        }
    }

    /// Whether somebody was told to campaign against the leader of this term.
    pub(crate) fn has_let_go(&self, term: Term) -> bool {
        let told = (term, ReplicaId::LEAST)..=(term, ReplicaId::GREATEST);
        self.pre_votes.handed_over.range(told).next().is_some()
    }

    /// Whether the replica leads the term that it is in.
    pub(crate) fn is_leading(&self, id: ReplicaId) -> bool {
        let term = self.hard_state(id).term;
        let leads = self.leaders.get(&term).map(|leader| leader.id) == Some(id);
        leads && !self.pre_votes.over.contains(&term)
    }
}
