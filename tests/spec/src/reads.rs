//! Linearizable reads (thesis 6.4): a leader whose term has a committed entry grants what it has
//! committed, once a quorum has echoed a round of heartbeats that began after the question; or by
//! its lease. Followers ask their leader.
//!
//! A trace has no clock, so of a lease only this is judged: a quorum has promised something in this
//! term, and the leader has told nobody to campaign.

use std::collections::{BTreeMap, BTreeSet};

use crate::refusal::{Verdict, contradiction, missing};
use crate::spec::{Leader, Spec};
use crate::{Index, ReplicaId, Term};

/// A question, by who asks and its own count.
type Question = (ReplicaId, u64);

/// What is known of reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Reads {
    /// The most that anybody took for committed so far.
    most: Index,
    /// The last round of each leader.
    rounds: BTreeMap<Term, u64>,
    echoes: BTreeMap<(Term, ReplicaId), Echo>,
    /// Reads of clients that were not granted so far, by replica and ticket.
    open: BTreeMap<(ReplicaId, u64), Read>,
    /// How many reads of clients came to each replica.
    came: BTreeMap<ReplicaId, u64>,
    /// Questions that left, and how many reads had come when they first did.
    asked: BTreeMap<Question, u64>,
    /// Questions that arrived, by who was asked.
    heard: BTreeMap<(ReplicaId, Question), Since>,
    /// Answers to questions.
    told: BTreeMap<Question, BTreeSet<Index>>,
}

/// A client's read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Read {
    /// What it must show.
    least: Index,
    /// Which of the reads of its replica it is.
    nth: u64,
    since: Since,
}

/// When a read or question came: what begins later may confirm it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Since {
    term: Term,
    /// The last round that its replica had begun in this term.
    round: u64,
    /// A lease will do.
    lease: bool,
    /// Somebody was told to campaign before.
    let_go: bool,
}

/// What a replica said to the leader of a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Echo {
    round: u64,
    promised: bool,
}

impl Reads {
    /// Whoever waits for the node waits in vain.
    pub(crate) fn boot(&mut self, node: u64) {
        self.open.retain(|(id, _), _| id.node != node);
        self.asked.retain(|(id, _), _| id.node != node);
        self.heard.retain(|(id, _), _| id.node != node);
    }

    pub(crate) fn commits(&mut self, index: Index) {
        self.most = self.most.max(index);
    }
}

impl Spec {
    /// A client asks. What anybody had committed then it must see if the events are in order, else
    /// what this replica had.
    pub fn reads(&mut self, id: ReplicaId, ticket: u64, lease: bool, ordered: bool) -> Verdict {
        let commit = self.replica(id)?.commit;
        let least = match ordered {
            true => commit.max(self.reads.most),
            false => commit,
        };
        let since = self.since(id, lease);
        let nth = self.reads.came.entry(id).or_default();
        *nth += 1;
        let nth = *nth;
        let read = Read { least, nth, since };
        self.reads.open.insert((id, ticket), read);
        Ok(())
    }

    fn since(&self, id: ReplicaId, lease: bool) -> Since {
        let term = self.hard_state(id).term;
        Since {
            term,
            round: self.reads.rounds.get(&term).copied().unwrap_or(0),
            lease,
            let_go: self.has_let_go(term),
        }
    }

    /// The client gets a read point: as leader by a round of its own, else from its leader.
    pub fn read_point(&mut self, id: ReplicaId, ticket: u64, index: Index) -> Verdict {
        let Some(read) = self.reads.open.get(&(id, ticket)).copied() else {
            return contradiction(format!("{id} grants read {ticket}, which nobody asked for"));
        };
        let least = read.least;
        if index < least {
            return contradiction(format!(
                "{id} grants a read at {index}, but {least} was committed when it was asked for"
            ));
        }
        self.may_grant(id, read, index)?;
        self.reads.open.remove(&(id, ticket));
        Ok(())
    }

    /// What was told in answer to the questions that left after the read came.
    fn told(&self, id: ReplicaId, nth: u64) -> impl Iterator<Item = Option<&BTreeSet<Index>>> {
        let asked = self.reads.asked.range((id, 0)..=(id, u64::MAX));
        let after = asked.filter(move |(_, came)| **came >= nth);
        after.map(|(question, _)| self.reads.told.get(question))
    }

    /// A replica that leads grants what it has committed, one that follows what it was told.
    fn may_grant(&self, id: ReplicaId, read: Read, index: Index) -> Verdict {
        let (since, told) = (read.since, |it: &BTreeSet<Index>| it.contains(&index));
        if self.told(id, read.nth).flatten().any(told) {
            return Ok(());
        }
        let mut refused = match self.told(id, read.nth).next() {
            Some(_) => missing(format!("a leader tells {id} to read at {index}")),
            None => contradiction(format!("{id} grants a read, and neither leads nor asked")),
        };
        for (term, leader) in self.leaders.range(since.term..).rev() {
            if leader.id != id {
                continue;
            }
            refused = self.may_grant_in(*term, leader, since, index);
            if refused.is_ok() {
                break;
            }
        }
        refused
    }

    fn may_grant_in(&self, term: Term, leader: &Leader, since: Since, index: Index) -> Verdict {
        let id = leader.id;
        let own = leader.log.first_of(term, 1);
        if own.is_none_or(|own| index < own) {
            return contradiction(format!(
                "{id} grants a read at {index}, before an entry of its term {term} is committed"
            ));
        }
        if !self.is_committed(index) {
            return missing(format!("a quorum has entry {index} of a leader"));
        }
        let same = term == since.term;
        let after = if same { since.round } else { 0 };
        let let_go = same && since.let_go;
        let echo = |voter| self.reads.echoes.get(&(term, voter));
        let echoed = |voter| voter == id || echo(voter).is_some_and(|echo| echo.round > after);
        let promised = |voter| voter == id || echo(voter).is_some_and(|echo| echo.promised);
        let mut confirmed = leader.log.configurations_since(index, &leader.base);
        if confirmed
            .any(|it| it.is_quorum(echoed) || since.lease && !let_go && it.is_quorum(promised))
        {
            return Ok(());
        }
        missing(format!(
            "a quorum echoes a round of {id} in term {term} that began after round {after}"
        ))
    }

    /// A round begins.
    pub fn round(&mut self, id: ReplicaId, term: Term, round: u64) -> Verdict {
        match self.leaders.get(&term) {
            Some(leader) if leader.id == id => {
                let last = self.reads.rounds.entry(term).or_default();
                *last = round.max(*last);
                Ok(())
            }
            _ => contradiction(format!(
                "{id} does not lead {term}, and begins a round in it"
            )),
        }
    }

    /// The echo of a round leaves: it is one that began, and its replica is in the term.
    pub fn echoes(
        &mut self,
        id: ReplicaId,
        term: Term,
        (to, round): (ReplicaId, u64),
        promised: bool,
    ) -> Verdict {
        let own = self.replica(id)?.durable.hard_state.term;
        if own < term {
            return contradiction(format!(
                "{id} echoes a round of term {term}, but durable is {own}"
            ));
        }
        let leads = |leader: &Leader| leader.id == to;
        let began = self
            .reads
            .rounds
            .get(&term)
            .is_some_and(|last| *last >= round);
        if !began || !self.leaders.get(&term).is_some_and(leads) {
            return missing(format!("{to} begins round {round} in term {term}"));
        }
        let echo = self.reads.echoes.entry((term, id)).or_default();
        echo.round = round.max(echo.round);
        echo.promised |= promised;
        Ok(())
    }

    /// A question leaves, again perhaps.
    pub fn asks(&mut self, id: ReplicaId, to: ReplicaId, round: u64) -> Verdict {
        if to == id {
            return contradiction(format!("{id} asks itself for a read point"));
        }
        let came = self.reads.came.get(&id).copied().unwrap_or(0);
        self.reads.asked.entry((id, round)).or_insert(came);
        Ok(())
    }

    /// A question arrives, again perhaps: any of these may be the one that is answered.
    pub fn hears_question(&mut self, id: ReplicaId, question: Question, lease: bool) -> Verdict {
        let since = self.since(id, lease);
        self.reads.heard.entry((id, question)).or_insert(since);
        Ok(())
    }

    /// The answer leaves.
    pub fn tells(
        &mut self,
        id: ReplicaId,
        term: Term,
        question: Question,
        index: Index,
    ) -> Verdict {
        let Some(since) = self.reads.heard.get(&(id, question)).copied() else {
            let (by, round) = question;
            return contradiction(format!(
                "{id} answers question {round} of {by}, which it did not hear"
            ));
        };
        match self.leaders.get(&term) {
            Some(leader) if leader.id == id => {
                self.may_grant_in(term, leader, since, index)?;
            }
            _ => {
                return contradiction(format!(
                    "{id} grants a read in term {term}, which it does not lead"
                ));
            }
        }
        self.reads.told.entry(question).or_default().insert(index);
        Ok(())
    }
}
