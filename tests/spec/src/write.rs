//! Changes of term, vote and log: UpdateTerm, Timeout, HandleRequestVote, ClientRequest and
//! HandleAppendEntries of the thesis' specification, as they show in a write.

use crate::event::{Entry, HardState};
use crate::refusal::{Refusal, Verdict, contradiction, missing};
use crate::replica::{Delta, Replica};
use crate::spec::{Leader, Spec};
use crate::{Index, ReplicaId, Term};

impl Spec {
    /// A write of this replica: each part of it is something the replica may do now.
    pub fn write(
        &mut self,
        id: ReplicaId,
        write: &str,
        hard_state: Option<HardState>,
        entries: &[Entry],
    ) -> Verdict {
        let before = self.replica(id)?.asked.hard_state;
        let now = hard_state.unwrap_or(before);
        self.may_move(id, before, now)?;
        let won = match entries.first() {
            Some(first) => self.may_append(id, now, first, entries)?,
            None => false,
        };
        if won {
            self.win(id, now.term);
        }
        if now.vote == Some(id) && before != now {
            let last = self.replicas[&id].asked.last();
            self.candidates.insert((now.term, id), last);
        }
        if let Some(leader) = self.leaders.get_mut(&now.term)
            && leader.id == id
        {
            leader.log.put(entries);
        }
        let delta = Delta::Append(hard_state, entries.to_vec());
        self.replica_mut(id).ask(Some(write), delta);
        self.note_last(id);
        Ok(())
    }

    /// Terms only grow, one at a time or to one that somebody has asked for votes in; and there is
    /// one vote in each.
    pub(crate) fn may_move(&self, id: ReplicaId, before: HardState, now: HardState) -> Verdict {
        if now.term < before.term {
            let (from, to) = (before.term, now.term);
            return contradiction(format!("{id} goes back from term {from} to {to}"));
        }
        let same = now.term == before.term;
        if same && before.vote.is_some() && now.vote != before.vote {
            let term = now.term;
            return contradiction(format!("{id} changes its vote in term {term}"));
        }
        match now.vote {
            _ if now == before => Ok(()),
            Some(own) if own == id && same => contradiction(format!(
                "{id} campaigns in term {}, in which it was already",
                now.term
            )),
            Some(own) if own == id => self.may_campaign(id, before.term, now.term),
            Some(candidate) => self.may_vote(id, candidate, now.term),
            None => self.may_adopt(id, now.term),
        }
    }

    fn may_campaign(&self, id: ReplicaId, before: Term, term: Term) -> Verdict {
        self.may_stand(id, term)?;
        match term == before + 1 || self.known(term - 1) {
            true => Ok(()),
            false => missing(format!(
                "{id} campaigns in {term}, somebody does so one term before"
            )),
        }
    }

    /// A vote goes to a candidate whose log is at least as up to date.
    fn may_vote(&self, id: ReplicaId, candidate: ReplicaId, term: Term) -> Verdict {
        let Some(last) = self.campaigns.get(&(term, candidate)) else {
            return missing(format!("{candidate} asks for votes in term {term}"));
        };
        let own = self.replicas[&id].asked.last();
        match *last >= own {
            true => Ok(()),
            false => contradiction(format!(
                "{id}, whose log ends with {own}, votes for {candidate}, whose log ends with {last}"
            )),
        }
    }

    fn may_adopt(&self, id: ReplicaId, term: Term) -> Verdict {
        match self.known(term) {
            true => Ok(()),
            false => missing(format!("{id} is in term {term}, somebody campaigns in it")),
        }
    }

    fn known(&self, term: Term) -> bool {
        let all = (term, ReplicaId::LEAST)..=(term, ReplicaId::GREATEST);
        self.campaigns.range(all).next().is_some()
    }

    /// Whether the replica may append these; true if it wins the term by that.
    fn may_append(
        &self,
        id: ReplicaId,
        now: HardState,
        first: &Entry,
        entries: &[Entry],
    ) -> Result<bool, Refusal> {
        let replica = &self.replicas[&id];
        let follow = |(index, entry): (Index, &Entry)| entry.index == index;
        if !(first.index..).zip(entries).all(follow) {
            return contradiction(format!("{id} writes entries that do not follow each other"));
        }
        if first.index > replica.asked.last().index + 1 {
            return contradiction(format!("{id} leaves a gap before entry {}", first.index));
        }
        if first.index <= replica.commit {
            return contradiction(format!(
                "{id} overwrites entry {}, which it took for committed",
                first.index
            ));
        }
        let leads = self.leaders.get(&now.term);
        let own = now.vote == Some(id) && entries.iter().all(|entry| entry.term == now.term);
        match leads {
            Some(leader) if leader.id == id => {
                self.may_lead_on(id, replica, entries).map(|()| false)
            }
            Some(leader) => self
                .may_accept(id, replica, leader, entries)
                .map(|()| false),
            None if own => {
                self.may_win(id, now.term)?;
                self.may_lead_on(id, replica, entries).map(|()| true)
            }
            None => missing(format!("somebody leads term {}", now.term)),
        }
    }

    /// A leader appends, and never overwrites its own log.
    fn may_lead_on(&self, id: ReplicaId, replica: &Replica, entries: &[Entry]) -> Verdict {
        for entry in entries {
            if entry.index <= replica.asked.last().index {
                let at = entry.id();
                return contradiction(format!("{id} leads and overwrites its log with {at}"));
            }
        }
        let mut before = replica.asked.configuration();
        let mut set_at = replica.asked.log.configured_at();
        for entry in entries {
            let Some(next) = &entry.configuration else {
                continue;
            };
            if set_at > 0 && !self.is_committed(set_at) {
                return missing(format!("the configuration of entry {set_at} is committed"));
            }
            if !self.has_committed_own(entry.term) {
                return missing(format!("an entry of term {} is committed", entry.term));
            }
            if !before.overlaps(next) {
                return contradiction(format!(
                    "{id} sets a configuration at {} that shares no member with a quorum before",
                    entry.id()
                ));
            }
            (before, set_at) = (next, entry.index);
        }
        Ok(())
    }

    /// A follower takes over the log of its leader: what it writes, and what is below.
    fn may_accept(
        &self,
        id: ReplicaId,
        replica: &Replica,
        leader: &Leader,
        entries: &[Entry],
    ) -> Verdict {
        let first = entries[0].index;
        let below = first - 1;
        let own = replica.asked.log.term_at(below);
        let theirs = leader.log.term_at(below);
        if own != theirs {
            return contradiction(format!(
                "{id} appends entry {first} of {}, whose entry before is another",
                leader.id
            ));
        }
        for entry in entries {
            match leader.log.entry(entry.index) {
                Some(theirs) if theirs.is(entry) => {}
                Some(theirs) => {
                    return contradiction(format!(
                        "{id} writes {}, where its leader {} has {}",
                        entry.id(),
                        leader.id,
                        theirs.id()
                    ));
                }
                None => return missing(format!("{} appends {}", leader.id, entry.id())),
            }
        }
        Ok(())
    }

    /// The replica leads.
    pub fn leads(&mut self, id: ReplicaId, term: Term) -> Verdict {
        let replica = self.replica(id)?;
        match self.leaders.get(&term) {
            Some(leader) if leader.id == id => Ok(()),
            Some(leader) => contradiction(format!("{id} leads term {term}, as {} does", leader.id)),
            None if replica.asked.hard_state.term < term => {
                contradiction(format!("{id} leads term {term}, in which it is not"))
            }
            None => {
                self.may_win(id, term)?;
                self.win(id, term);
                Ok(())
            }
        }
    }

    /// A quorum of the candidate's own configuration has voted for it.
    pub(crate) fn may_win(&self, id: ReplicaId, term: Term) -> Verdict {
        let configuration = self.replicas[&id].asked.configuration();
        let voted = |voter| self.votes.get(&(term, voter)) == Some(&id);
        match configuration.is_quorum(voted) {
            true => Ok(()),
            false => missing(format!("a quorum votes for {id} in term {term}")),
        }
    }

    pub(crate) fn win(&mut self, id: ReplicaId, term: Term) {
        let asked = &self.replicas[&id].asked;
        let leader = Leader {
            id,
            base: asked.base.clone(),
            log: asked.log.clone(),
            complete: 0,
        };
        self.leaders.insert(term, leader);
    }
}
