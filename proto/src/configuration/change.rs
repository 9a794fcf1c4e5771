//! The configuration after a change: pure functions, as in the thesis §4.2 to §4.3.
//!
//! A change that needs no more than one voter is made in one step; any other goes through a joint
//! configuration, in which both the old and the new voters have to agree. A voter that becomes a
//! learner in a joint configuration goes on voting among the outgoing ones, and is a learner only
//! when the joint configuration is left.

use std::collections::BTreeSet;

use crate::mutant::mutant;
use crate::{
    Change, ChangeRefusal, Configuration, Index, MAX_MEMBERS, NodeId, ReplicaId, Transition,
};

impl Configuration {
    /// The configuration after these changes in one step, to be set by the entry at `index`. More
    /// than one voter may not change.
    pub fn simple(&self, index: Index, changes: &[Change]) -> Result<Self, ChangeRefusal> {
        if self.is_joint() {
            return Err(ChangeRefusal::Joint);
        }
        let next = self.changed(index, changes)?;
        match self.voters.symmetric_difference(&next.voters).nth(1) {
            Some(_) => Err(ChangeRefusal::NeedsJoint),
            None => Ok(next),
        }
    }

    /// The joint configuration of the voters now and those after these changes, to be set by the
    /// entry at `index`. `auto_leave`: the leader leaves it without being asked.
    pub fn enter_joint(
        &self,
        index: Index,
        auto_leave: bool,
        changes: &[Change],
    ) -> Result<Self, ChangeRefusal> {
        if self.is_joint() {
            return Err(ChangeRefusal::Joint);
        }
        if self.voters.is_empty() {
            return Err(ChangeRefusal::NoVoters);
        }
        let joint = Self {
            outgoing: self.voters.clone(),
            auto_leave,
            ..self.clone()
        };
        joint.changed(index, changes)
    }

    /// The configuration of the incoming voters only, to be set by the entry at `index`.
    pub fn leave_joint(&self, index: Index) -> Result<Self, ChangeRefusal> {
        if !self.is_joint() {
            return Err(ChangeRefusal::NotJoint);
        }
        let mut next = self.clone();
        next.index = index;
        next.learners.append(&mut next.learners_next);
        next.outgoing.clear();
        next.auto_leave = false;
        next.forget_former_witnesses();
        Ok(next)
    }

    /// What a change asks for: one of the three above.
    pub fn change(
        &self,
        index: Index,
        changes: &[Change],
        transition: Transition,
    ) -> Result<Self, ChangeRefusal> {
        if changes.is_empty() {
            return self.leave_joint(index);
        }
        match transition {
            Transition::Implicit => self.enter_joint(index, true, changes),
            Transition::Explicit => self.enter_joint(index, false, changes),
            Transition::Auto => match self.simple(index, changes) {
                Err(ChangeRefusal::NeedsJoint) => self.enter_joint(index, true, changes),
                other => other,
            },
        }
    }

    /// Whether two majorities are needed.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether `id` is a witness.
    pub fn is_witness(&self, id: ReplicaId) -> bool {
        self.witnesses.contains(&id)
    }

    /// The replica of a node, if the node is a member.
    pub fn replica_of(&self, node: NodeId) -> Option<ReplicaId> {
        let first = ReplicaId { node, born: 0 };
        let last = ReplicaId {
            node,
            born: Index::MAX,
        };
        let sets = [
            &self.voters,
            &self.outgoing,
            &self.learners,
            &self.learners_next,
        ];
        let mut found = sets.iter().filter_map(|set| set.range(first..=last).next());
        found.next().copied()
    }

    fn changed(&self, index: Index, changes: &[Change]) -> Result<Self, ChangeRefusal> {
        let mut next = self.clone();
        next.index = index;
        for change in changes.iter().filter(|change| change.node() != NodeId(0)) {
            // A node that is a member keeps its replica, also if it is removed and added in one
            // change; one that is not gets a new one.
            let node = change.node();
            let born = if mutant!(BornReused) { 0 } else { index };
            let id = self.replica_of(node).unwrap_or(ReplicaId { node, born });
            self.check_kind(&next, id, change)?;
            match change {
                Change::Voter(_) => next.make_voter(id),
                Change::Learner(_) => next.make_learner(id),
                Change::Witness(_) => {
                    next.make_voter(id);
                    next.witnesses.insert(id);
                }
                Change::Remove(_) => next.remove(id),
            }
        }
        next.forget_former_witnesses();
        next.check()?;
        Ok(next)
    }

    /// A replica is a witness all its life or never: a witness' log lacks the payloads.
    fn check_kind(&self, next: &Self, id: ReplicaId, change: &Change) -> Result<(), ChangeRefusal> {
        let wanted = match change {
            Change::Remove(_) => return Ok(()),
            Change::Witness(_) => true,
            Change::Voter(_) | Change::Learner(_) => false,
        };
        let differs = |known: &Self| known.is_member(id) && known.is_witness(id) != wanted;
        match differs(self) || differs(next) {
            true => Err(ChangeRefusal::Witness { node: id.node }),
            false => Ok(()),
        }
    }

    /// Whether `id` receives the log.
    pub fn is_member(&self, id: ReplicaId) -> bool {
        self.is_voter(id) || self.learners.contains(&id) || self.learners_next.contains(&id)
    }

    fn make_voter(&mut self, id: ReplicaId) {
        self.learners.remove(&id);
        self.learners_next.remove(&id);
        self.voters.insert(id);
    }

    fn make_learner(&mut self, id: ReplicaId) {
        self.voters.remove(&id);
        match self.outgoing.contains(&id) {
            true => self.learners_next.insert(id),
            false => self.learners.insert(id),
        };
    }

    fn remove(&mut self, id: ReplicaId) {
        self.voters.remove(&id);
        self.learners.remove(&id);
        self.learners_next.remove(&id);
        if !self.outgoing.contains(&id) {
            self.witnesses.remove(&id);
        }
    }

    fn forget_former_witnesses(&mut self) {
        let voters: BTreeSet<_> = self.all_voters();
        self.witnesses.retain(|id| voters.contains(id));
    }

    fn check(&self) -> Result<(), ChangeRefusal> {
        if self.voters.is_empty() {
            return Err(ChangeRefusal::NoVoters);
        }
        // Otherwise what they commit may be nowhere with its payload.
        let witnesses = self.voters.intersection(&self.witnesses).count();
        if 2 * witnesses > self.voters.len() {
            return Err(ChangeRefusal::OnlyWitnesses);
        }
        if self.members().len() > MAX_MEMBERS {
            return Err(ChangeRefusal::TooMany);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Change::{Learner, Remove, Voter, Witness};

    fn of(nodes: &[u64]) -> Configuration {
        Configuration::initial(nodes.iter().copied().map(NodeId))
    }

    fn node(node: u64) -> NodeId {
        NodeId(node)
    }

    #[test]
    fn a_new_member_is_born_at_the_entry_that_adds_it_and_again_when_it_comes_back() {
        let added = of(&[1, 2]).simple(7, &[Voter(node(3))]).expect("one voter");
        assert_eq!(added.to_string(), "voters=(n1.0 n2.0 n3.7)");
        let removed = added.simple(8, &[Remove(node(3))]).expect("one voter");
        let again = removed.simple(9, &[Learner(node(3))]).expect("no voter");
        assert_eq!(again.to_string(), "voters=(n1.0 n2.0) learners=(n3.9)");
        assert_eq!(again.index, 9);
    }

    #[test]
    fn a_member_of_either_half_keeps_its_replica() {
        let steps = [Remove(node(1)), Voter(node(1)), Learner(node(2))];
        let joint = of(&[1, 2]).enter_joint(7, true, &steps).expect("joint");
        assert_eq!(
            joint.to_string(),
            "voters=(n1.0)&&(n1.0 n2.0) learners_next=(n2.0) autoleave"
        );
        let left = joint.leave_joint(8).expect("joint");
        assert_eq!(left.to_string(), "voters=(n1.0) learners=(n2.0)");
        let same = of(&[1, 2]).simple(7, &[Remove(node(1)), Voter(node(1))]);
        assert_eq!(same.expect("nothing changes").voters, of(&[1, 2]).voters);
    }

    #[test]
    fn a_change_is_made_in_one_step_if_that_is_safe_and_else_in_two() {
        let auto = |changes: &[Change]| of(&[1, 2, 3]).change(7, changes, Transition::Auto);
        let one = auto(&[Voter(node(4)), Learner(node(5))]).expect("one voter");
        assert!(!one.is_joint());
        let two = auto(&[Voter(node(4)), Remove(node(1))]).expect("two voters");
        assert!(two.is_joint() && two.auto_leave);
        let asked = of(&[1]).change(7, &[Voter(node(2))], Transition::Explicit);
        let asked = asked.expect("joint");
        assert!(asked.is_joint() && !asked.auto_leave);
        assert_eq!(
            asked.change(8, &[Voter(node(3))], Transition::Auto),
            Err(ChangeRefusal::Joint)
        );
        assert!(
            !asked
                .change(8, &[], Transition::Auto)
                .expect("left")
                .is_joint()
        );
        assert_eq!(auto(&[]), Err(ChangeRefusal::NotJoint));
    }

    #[test]
    fn a_witness_votes_and_stays_one_until_it_is_removed() {
        let with = of(&[1, 2]).simple(7, &[Witness(node(3))]).expect("added");
        assert_eq!(with.to_string(), "voters=(n1.0 n2.0 n3.7) witnesses=(n3.7)");
        for change in [Voter(node(3)), Learner(node(3)), Witness(node(1))] {
            let refused = with.enter_joint(8, true, &[Remove(change.node()), change]);
            let node = change.node();
            assert_eq!(refused, Err(ChangeRefusal::Witness { node }), "{change}");
        }
        let leaving = with.enter_joint(8, true, &[Remove(node(3)), Voter(node(4))]);
        let leaving = leaving.expect("joint");
        assert!(
            leaving.is_witness(ReplicaId {
                node: node(3),
                born: 7
            }),
            "it votes still"
        );
        assert!(leaving.leave_joint(9).expect("joint").witnesses.is_empty());
    }

    #[test]
    fn witnesses_alone_are_never_a_majority() {
        let refused = of(&[1, 2]).change(7, &[3, 4, 5].map(|n| Witness(node(n))), Transition::Auto);
        assert_eq!(refused, Err(ChangeRefusal::OnlyWitnesses));
        let half = of(&[1, 2]).change(7, &[3, 4].map(|n| Witness(node(n))), Transition::Auto);
        assert!(half.is_ok());
        let with = of(&[1]).simple(7, &[Witness(node(2))]).expect("added");
        let refused = with.simple(8, &[Remove(node(1))]);
        assert_eq!(refused, Err(ChangeRefusal::OnlyWitnesses));
        let refused = with.simple(8, &[Learner(node(1))]);
        assert_eq!(refused, Err(ChangeRefusal::OnlyWitnesses));
    }

    #[test]
    fn members_are_limited_in_number() {
        let most = u64::try_from(MAX_MEMBERS).expect("small");
        let learners: Vec<_> = (2..=most + 1).map(|n| Learner(node(n))).collect();
        let refused = of(&[1]).simple(7, &learners);
        assert_eq!(refused, Err(ChangeRefusal::TooMany));
        assert!(of(&[1]).simple(7, &learners[1..]).is_ok());
    }
}
