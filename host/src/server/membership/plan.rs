//! The next step of one group from the members it has to those that are wanted.

use std::collections::BTreeSet;

use coracle_driver::directory::Wanted;
use coracle_proto::{
    Change, Configuration, ConfigurationChange, NodeId, ReplicaId, Status, Transition,
};

/// A learner whose log is at most so many entries behind may be given a vote: it makes up for
/// them while the change is being committed.
pub(super) const MAX_LAG: u64 = 250;

/// What the leader of a group does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: its members are those that are wanted.
    Done,
    /// Nothing now: something is under way, or has to catch up first.
    Wait,
    /// This node is to lose its vote: another has to lead first.
    HandOver(NodeId),
    /// This.
    Change(ConfigurationChange),
}

/// The next step of the group whose leader has this status.
pub(super) fn next_step(status: &Status, wanted: &Wanted) -> Step {
    if wanted.voters.is_empty() {
        return Step::Done;
    }
    let configuration = &status.configuration;
    if !status.configuration_committed || status.transferee.is_some() {
        return Step::Wait;
    }
    if !configuration.outgoing.is_empty() {
        if configuration.auto_leave {
            return Step::Wait;
        }
        return change(configuration, Vec::new());
    }
    let members = Members::of(status);
    let newcomers = members.newcomers(wanted);
    if !newcomers.is_empty() {
        return change(configuration, newcomers);
    }
    let promotions = members.promotions(wanted);
    let departures = members.departures(wanted);
    let own = status.id.node;
    let departs = departures.iter().any(|change| change.node() == own);
    let late = members.late(wanted);
    let changes: Vec<Change> = match (promotions.is_empty(), departures.is_empty()) {
        (true, true) if late => return Step::Wait,
        (true, true) => return Step::Done,
        // The place of one that goes is taken by one that comes: wait for it.
        (_, false) if late => promotions,
        _ if departs && !promotions.is_empty() => promotions,
        _ if departs => match members.successor(wanted, own) {
            Some(successor) => return Step::HandOver(successor),
            None => return Step::Wait,
        },
        _ => promotions.into_iter().chain(departures).collect(),
    };
    if changes.is_empty() || !members.keep_quorum(&changes) {
        return Step::Wait;
    }
    change(configuration, changes)
}

fn change(configuration: &Configuration, changes: Vec<Change>) -> Step {
    Step::Change(ConfigurationChange {
        expect: Some(configuration.index),
        changes,
        transition: Transition::Auto,
    })
}

/// The members of a group as its leader sees them.
struct Members<'a> {
    status: &'a Status,
    voters: BTreeSet<NodeId>,
    witnesses: BTreeSet<NodeId>,
    learners: BTreeSet<NodeId>,
}

impl<'a> Members<'a> {
    fn of(status: &'a Status) -> Self {
        let Configuration {
            voters,
            witnesses,
            learners,
            ..
        } = &status.configuration;
        Self {
            status,
            voters: nodes(voters.difference(witnesses)),
            witnesses: nodes(witnesses),
            learners: nodes(learners),
        }
    }

    fn is_member(&self, node: NodeId) -> bool {
        self.voters.contains(&node)
            || self.learners.contains(&node)
            || self.witnesses.contains(&node)
    }

    /// Those who come. Who is to vote learns first; a witness has nothing to learn.
    fn newcomers(&self, wanted: &Wanted) -> Vec<Change> {
        let full = wanted.voters.iter().chain(&wanted.learners);
        let learners = full
            .filter(|node| !self.is_member(**node))
            .map(|node| Change::Learner(*node));
        let witnesses = wanted
            .witnesses
            .iter()
            .filter(|node| !self.is_member(**node))
            .map(|node| Change::Witness(*node));
        let newcomers: Vec<Change> = learners.collect();
        if newcomers.is_empty() {
            // One at a time: it counts at once, and has to be reached first.
            return witnesses.take(1).filter(|_| self.all_active()).collect();
        }
        newcomers
    }

    fn promotions(&self, wanted: &Wanted) -> Vec<Change> {
        let learners = self.learners.intersection(&wanted.voters);
        learners
            .filter(|node| self.has_caught_up(**node))
            .map(|node| Change::Voter(*node))
            .collect()
    }

    /// Whether a learner that is to vote is alive and has not caught up.
    fn late(&self, wanted: &Wanted) -> bool {
        let mut learners = self.learners.intersection(&wanted.voters);
        learners.any(|node| self.is_active(*node) && !self.has_caught_up(*node))
    }

    /// Those who go or lose their vote. A witness cannot become anything else, nor the other way
    /// round: it goes, and comes back as another replica.
    fn departures(&self, wanted: &Wanted) -> Vec<Change> {
        let demoted = self.voters.intersection(&wanted.learners);
        let demoted = demoted.map(|node| Change::Learner(*node));
        let full = self.voters.union(&self.learners);
        let gone =
            full.filter(|node| !wanted.voters.contains(node) && !wanted.learners.contains(node));
        let witnesses = self.witnesses.difference(&wanted.witnesses);
        demoted
            .chain(gone.chain(witnesses).map(|node| Change::Remove(*node)))
            .collect()
    }

    /// Who leads best once `own` has gone: the voter that stays and has the most of the log.
    fn successor(&self, wanted: &Wanted, own: NodeId) -> Option<NodeId> {
        let stay = self.status.peers.iter().filter(|peer| {
            let node = peer.id.node;
            peer.active && node != own && self.voters.contains(&node)
        });
        let stay = stay.filter(|peer| wanted.voters.contains(&peer.id.node));
        stay.max_by_key(|peer| peer.matched)
            .map(|peer| peer.id.node)
    }

    /// Whether the voters of the configuration that results and can be reached are a majority.
    fn keep_quorum(&self, changes: &[Change]) -> bool {
        let mut voters: BTreeSet<NodeId> = self.voters.union(&self.witnesses).copied().collect();
        for change in changes {
            match change {
                Change::Voter(node) | Change::Witness(node) => voters.insert(*node),
                Change::Learner(node) | Change::Remove(node) => voters.remove(node),
            };
        }
        let active = voters.iter().filter(|node| self.is_active(**node)).count();
        2 * active > voters.len()
    }

    fn has_caught_up(&self, node: NodeId) -> bool {
        let mut peers = self.status.peers.iter();
        peers.any(|peer| {
            peer.id.node == node && peer.active && peer.matched + MAX_LAG >= self.status.last.index
        })
    }

    fn is_active(&self, node: NodeId) -> bool {
        let mut peers = self.status.peers.iter();
        node == self.status.id.node || peers.any(|peer| peer.id.node == node && peer.active)
    }

    fn all_active(&self) -> bool {
        self.voters.iter().all(|node| self.is_active(*node))
    }
}

fn nodes<'a>(ids: impl IntoIterator<Item = &'a ReplicaId>) -> BTreeSet<NodeId> {
    ids.into_iter().map(|id| id.node).collect()
}

#[cfg(test)]
mod tests {
    use coracle_proto::{HardState, LogId, PeerStatus, ProgressState, ReplicaId, Role};

    use super::*;

    const LAST: u64 = 1000;

    fn id(node: u64) -> ReplicaId {
        ReplicaId {
            node: NodeId(node),
            born: 0,
        }
    }

    fn peer(node: u64, matched: u64, active: bool) -> PeerStatus {
        PeerStatus {
            id: id(node),
            matched,
            next: matched + 1,
            state: ProgressState::Replicate,
            active,
            inflight_appends: 0,
            inflight_bytes: 0,
        }
    }

    /// Node 1 leads; all peers are there and up to date.
    fn group(voters: &[u64], learners: &[u64]) -> Status {
        let peers = voters.iter().chain(learners).filter(|node| **node != 1);
        let configuration = Configuration {
            index: 7,
            voters: voters.iter().copied().map(id).collect(),
            learners: learners.iter().copied().map(id).collect(),
            ..Configuration::default()
        };
        Status {
            id: id(1),
            role: Role::Leader,
            hard_state: HardState::default(),
            leader: Some(id(1)),
            commit: LAST,
            last: LogId {
                term: 1,
                index: LAST,
            },
            floor: LogId::default(),
            configuration,
            peers: peers.map(|node| peer(*node, LAST, true)).collect(),
            configuration_committed: true,
            transferee: None,
            uncommitted_bytes: 0,
            quiet: false,
        }
    }

    fn set(status: &mut Status, node: u64, matched: u64, active: bool) {
        let place = status.peers.iter_mut().find(|p| p.id.node.0 == node);
        *place.expect("is a peer") = peer(node, matched, active);
    }

    fn wanted(voters: &[u64]) -> Wanted {
        Wanted {
            voters: voters.iter().copied().map(NodeId).collect(),
            ..Wanted::default()
        }
    }

    fn with(mut wanted: Wanted, learners: &[u64], witnesses: &[u64]) -> Wanted {
        wanted.learners = learners.iter().copied().map(NodeId).collect();
        wanted.witnesses = witnesses.iter().copied().map(NodeId).collect();
        wanted
    }

    fn changes(step: Step) -> Vec<Change> {
        match step {
            Step::Change(change) => {
                assert_eq!(change.expect, Some(7));
                change.changes
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_is_done_when_everything_is_as_wanted_or_nothing_is_known() {
        let status = group(&[1, 2, 3], &[4]);
        assert_eq!(
            next_step(&status, &with(wanted(&[1, 2, 3]), &[4], &[])),
            Step::Done
        );
        assert_eq!(next_step(&status, &Wanted::default()), Step::Done);
    }

    #[test]
    fn one_change_at_a_time() {
        let mut status = group(&[1], &[]);
        status.configuration_committed = false;
        assert_eq!(next_step(&status, &wanted(&[1, 2])), Step::Wait);
    }

    #[test]
    fn who_is_to_vote_learns_first() {
        let step = next_step(&group(&[1], &[]), &wanted(&[1, 2, 3]));
        assert_eq!(
            changes(step),
            [Change::Learner(NodeId(2)), Change::Learner(NodeId(3))]
        );
    }

    #[test]
    fn a_learner_gets_its_vote_once_it_has_caught_up() {
        let mut status = group(&[1], &[2]);
        set(&mut status, 2, LAST - MAX_LAG - 1, true);
        assert_eq!(next_step(&status, &wanted(&[1, 2])), Step::Wait);
        set(&mut status, 2, LAST - MAX_LAG, true);
        let step = next_step(&status, &wanted(&[1, 2]));
        assert_eq!(changes(step), [Change::Voter(NodeId(2))]);
    }

    #[test]
    fn a_replacement_is_one_joint_change_once_the_new_one_has_caught_up() {
        let mut status = group(&[1, 2, 3], &[4]);
        set(&mut status, 4, 10, true);
        assert_eq!(next_step(&status, &wanted(&[1, 2, 4])), Step::Wait);
        set(&mut status, 4, LAST, true);
        let step = next_step(&status, &wanted(&[1, 2, 4]));
        assert_eq!(
            changes(step),
            [Change::Voter(NodeId(4)), Change::Remove(NodeId(3))]
        );
    }

    #[test]
    fn a_learner_that_is_dead_does_not_keep_another_from_going() {
        let mut status = group(&[1, 2, 3], &[4]);
        set(&mut status, 4, 10, false);
        let step = next_step(&status, &wanted(&[1, 2, 4]));
        assert_eq!(changes(step), [Change::Remove(NodeId(3))]);
    }

    #[test]
    fn a_leader_that_is_to_go_hands_over_to_the_best_that_stays() {
        let mut status = group(&[1, 2, 3, 4], &[]);
        set(&mut status, 2, LAST - 5, true);
        set(&mut status, 3, LAST, false);
        set(&mut status, 4, LAST, true);
        let step = next_step(&status, &wanted(&[2, 3]));
        assert_eq!(step, Step::HandOver(NodeId(2)));
    }

    #[test]
    fn a_leader_that_is_to_go_first_gives_the_vote_to_who_comes() {
        let step = next_step(&group(&[1], &[2]), &wanted(&[2]));
        assert_eq!(changes(step), [Change::Voter(NodeId(2))]);
        let step = next_step(&group(&[1, 2], &[]), &wanted(&[2]));
        assert_eq!(step, Step::HandOver(NodeId(2)));
    }

    #[test]
    fn nobody_goes_if_the_others_could_not_go_on_alone() {
        let mut status = group(&[1, 2, 3], &[]);
        set(&mut status, 3, LAST, false);
        assert_eq!(next_step(&status, &wanted(&[1, 3])), Step::Wait);
        let step = next_step(&status, &wanted(&[1, 2]));
        assert_eq!(changes(step), [Change::Remove(NodeId(3))]);
    }

    #[test]
    fn a_voter_becomes_a_witness_by_going_and_coming_back() {
        let want = with(wanted(&[1, 2]), &[], &[3]);
        let step = next_step(&group(&[1, 2, 3], &[]), &want);
        assert_eq!(changes(step), [Change::Remove(NodeId(3))]);
        let step = next_step(&group(&[1, 2], &[]), &want);
        assert_eq!(changes(step), [Change::Witness(NodeId(3))]);
        let mut status = group(&[1, 2, 3], &[]);
        status.configuration.witnesses = [id(3)].into();
        assert_eq!(next_step(&status, &want), Step::Done);
    }

    #[test]
    fn a_joint_configuration_that_does_not_end_by_itself_is_left() {
        let mut status = group(&[1, 2], &[]);
        status.configuration.outgoing = [id(1)].into();
        assert!(changes(next_step(&status, &wanted(&[1, 2]))).is_empty());
        status.configuration.auto_leave = true;
        assert_eq!(next_step(&status, &wanted(&[1, 2])), Step::Wait);
    }
}
