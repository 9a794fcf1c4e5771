//! Handing leadership over (thesis §3.10).
//!
//! Writes stop, the target is brought up to date, then it is told to campaign at once. Both halves
//! are bounded by an election timeout: the leader goes on if the target is not ready or does not
//! win, and one that was deposed says who leads now, if it can.

use crate::core::Core;
use crate::impossible::Impossible;
use crate::leader::Leader;
use crate::mutant::mutant;
use crate::progress::Progress;
use crate::role::State;
use crate::{Effect, NodeId, Raft, ReplicaId, Term, TransferId, TransferOutcome, VoteKind};

/// A transfer under way; of a replica that leads no more, until it is known who does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Transfer {
    id: TransferId,
    /// The term in which it began, which this replica led.
    term: Term,
    pub(crate) to: ReplicaId,
    /// The target was told to campaign, and no heartbeat has been due since.
    told: bool,
}

impl Raft {
    pub(crate) fn on_transfer(&mut self, id: TransferId, to: Option<NodeId>) {
        self.wake();
        match &mut self.state {
            State::Leader(leader) => leader.transfer(&mut self.core, id, to),
            _ => {
                let leader = self.leader();
                self.core.end(id, TransferOutcome::NotLeader { leader });
            }
        }
    }

    /// The leader hands over to this replica.
    pub(crate) fn on_timeout_now(&mut self, from: ReplicaId) -> Result<(), Impossible> {
        if self.leader().is_some_and(|leader| leader != from) {
            return Ok(());
        }
        self.follow(from)?;
        self.core.clock.release_promise();
        if mutant!(TransferAsksFirst) {
            return self.campaign(0);
        }
        if self.core.is_promotable() {
            self.ask_votes(VoteKind::Transfer);
        }
        Ok(())
    }

    /// At the end of every step: the target may be ready now, or no target any more, and who leads
    /// instead may be known.
    pub(crate) fn settle_transfer(&mut self) {
        if let State::Leader(leader) = &mut self.state {
            leader.settle_transfer(&mut self.core);
        }
        let (own, term) = (self.core.id(), self.core.term());
        if let (Some(handover), Some(leader)) = (&self.handover, self.leader())
            && handover.term < term
        {
            let outcome = match leader == own {
                true => TransferOutcome::TimedOut,
                false => TransferOutcome::Done { leader },
            };
            self.core.end(handover.id, outcome);
            self.handover = None;
        }
    }

    pub(crate) fn on_transfer_timeout(&mut self) {
        if let State::Leader(leader) = &mut self.state {
            leader.end_transfer(&mut self.core, TransferOutcome::TimedOut);
        }
        self.give_up_handover();
    }

    /// Nobody was seen to lead.
    pub(crate) fn give_up_handover(&mut self) {
        if let Some(handover) = self.handover.take() {
            self.core.end(handover.id, TransferOutcome::Unknown);
        }
    }
}

impl Leader {
    /// Whether writes are stopped.
    pub(crate) fn is_transferring(&self) -> bool {
        self.transfer.is_some()
    }

    /// A transfer to another target takes the place of one under way, one to this replica calls it
    /// off, and a repeated one neither begins anew nor lasts longer.
    fn transfer(&mut self, core: &mut Core, id: TransferId, to: Option<NodeId>) {
        if to == Some(core.id().node) {
            self.end_transfer(core, TransferOutcome::Busy);
            let leader = core.id();
            core.end(id, TransferOutcome::Done { leader });
            return;
        }
        let target = match to {
            Some(node) => self
                .electable(core)
                .map(|(id, _)| id)
                .find(|id| id.node == node),
            None => self.best(core),
        };
        let Some(target) = target else {
            core.end(id, TransferOutcome::NoTarget);
            return;
        };
        let repeated = |under_way: &Transfer| to.is_none() || under_way.to == target;
        if self.transfer.as_ref().is_some_and(repeated) {
            core.end(id, TransferOutcome::Busy);
            return;
        }
        self.end_transfer(core, TransferOutcome::Busy);
        self.transfer = Some(Transfer {
            id,
            term: core.term(),
            to: target,
            told: false,
        });
        core.clock.restart_transfer(&core.config);
    }

    /// The voter that is best placed: heard from, with most of the log, of the highest priority.
    pub(crate) fn best(&self, core: &Core) -> Option<ReplicaId> {
        let rank = |(id, peer): &(ReplicaId, &Progress)| {
            let active = peer.is_active();
            (active, peer.matched, peer.priority, std::cmp::Reverse(*id))
        };
        self.electable(core).max_by_key(rank).map(|(id, _)| id)
    }

    /// Voters that stay voters, and no witnesses.
    fn electable<'a>(
        &'a self,
        core: &'a Core,
    ) -> impl Iterator<Item = (ReplicaId, &'a Progress)> + 'a {
        let now = core.log.configuration();
        let electable = |id: &ReplicaId| now.voters.contains(id) && !now.is_witness(*id);
        let peers = self.peers.iter().map(|(id, peer)| (*id, peer));
        peers.filter(move |(id, _)| electable(id))
    }

    fn settle_transfer(&mut self, core: &mut Core) {
        let Some(to) = self.transfer.as_ref().map(|transfer| transfer.to) else {
            return;
        };
        let target = self.electable(core).find(|(id, _)| *id == to);
        let Some(matched) = target.map(|(_, peer)| peer.matched) else {
            self.end_transfer(core, TransferOutcome::NoTarget);
            return;
        };
        if let Some(transfer) = &mut self.transfer
            && !transfer.told
            && matched == core.log.last().index
        {
            transfer.told = true;
            self.tell_to_campaign(core, to);
        }
    }

    /// The message may take any time to arrive, and be obeyed then: from here on, no lease of this
    /// term can be relied on (etcd-io/raft#99).
    pub(crate) fn tell_to_campaign(&mut self, core: &mut Core, to: ReplicaId) {
        self.let_go = true;
        core.send(to, crate::Message::TimeoutNow);
    }

    /// What was said may be lost: say it again with the next heartbeat.
    pub(crate) fn repeat_transfer(&mut self) {
        if let Some(transfer) = &mut self.transfer {
            transfer.told = false;
        }
    }

    fn end_transfer(&mut self, core: &mut Core, outcome: TransferOutcome) {
        if let Some(transfer) = self.transfer.take() {
            core.end(transfer.id, outcome);
        }
    }
}

impl Core {
    fn end(&mut self, id: TransferId, outcome: TransferOutcome) {
        self.out.events.push(Effect::TransferEnded { id, outcome });
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{
        append, config, elect, follower, from, heartbeat, heartbeat_reply, id, initial, leader,
        matched, persisted, propose, replica, step, step_at, transfer, vote, vote_reply,
    };
    use crate::{Config, Input, Instant, Message, NodeId, Raft, Role, TimeoutKind, VoteKind};

    const NOTHING: [&str; 0] = [];

    fn timeout(kind: TimeoutKind) -> Input {
        Input::Timeout { kind, jitter: 0 }
    }

    /// The leader of term 2, whose no-op at 2 is committed; node 3 lacks it.
    fn serving() -> Raft {
        let mut raft = leader(&[1]);
        step(&mut raft, persisted(2, 2));
        step(&mut raft, from(2, 2, matched(2)));
        raft
    }

    #[test]
    fn an_up_to_date_voter_is_told_at_once_and_writes_stop() {
        let mut raft = serving();
        assert_eq!(
            step(&mut raft, transfer(1, Some(2))),
            ["send n1.0->n2.0 t2 timeout-now"]
        );
        assert_eq!(raft.status().transferee, Some(replica(2)));
        assert_eq!(
            step(&mut raft, propose("x")),
            ["refused p1: leadership is being handed over"]
        );
    }

    #[test]
    fn a_target_that_is_behind_is_brought_up_to_date_first() {
        let mut raft = serving();
        assert_eq!(step(&mut raft, transfer(1, Some(3))), NOTHING);
        let effects = step(&mut raft, from(3, 2, matched(2)));
        let told = "send n1.0->n3.0 t2 timeout-now".to_owned();
        assert!(effects.contains(&told), "{effects:?}");
    }

    #[test]
    fn a_lost_word_is_said_again_with_the_next_heartbeat() {
        let mut raft = serving();
        step(&mut raft, transfer(1, Some(2)));
        let effects = step(&mut raft, timeout(TimeoutKind::Heartbeat));
        let told = "send n1.0->n2.0 t2 timeout-now".to_owned();
        assert!(effects.contains(&told), "{effects:?}");
    }

    #[test]
    fn a_target_that_does_not_win_in_time_leaves_the_leader_serving() {
        let mut raft = serving();
        step_at(&mut raft, 50, transfer(1, Some(3)));
        step_at(&mut raft, 1000, timeout(TimeoutKind::Election));
        let at = Instant(1_050_000_000);
        for _ in 0..20 {
            let (now, kind) = raft.deadline().expect("timers run");
            if kind == TimeoutKind::Transfer {
                assert_eq!(now, at);
                break;
            }
            step_at(&mut raft, now.0 / 1_000_000, timeout(kind));
        }
        assert_eq!(
            step_at(&mut raft, 1050, timeout(TimeoutKind::Transfer)),
            ["transfer-ended x1: timed out"]
        );
        assert_eq!(raft.status().transferee, None);
        let effects = step(&mut raft, propose("x"));
        assert_eq!(effects.last().map(String::as_str), Some("accepted p1 2/3"));
    }

    #[test]
    fn a_deposed_leader_tells_who_leads_the_later_term() {
        let mut raft = serving();
        step(&mut raft, transfer(1, Some(2)));
        step(&mut raft, from(2, 3, vote(VoteKind::Transfer, id(2, 2))));
        assert_eq!(raft.role(), Role::Follower);
        let effects = step(&mut raft, from(2, 3, append(id(2, 2), &[3], 2)));
        let done = "transfer-ended x1: n2.0 leads".to_owned();
        assert!(effects.contains(&done), "{effects:?}");
        assert_eq!(step(&mut raft, timeout(TimeoutKind::Transfer)), NOTHING);
    }

    #[test]
    fn a_deposed_leader_that_sees_no_successor_does_not_know() {
        let deposed = || {
            let mut raft = serving();
            step(&mut raft, transfer(1, Some(2)));
            step(&mut raft, from(2, 3, vote(VoteKind::Transfer, id(2, 2))));
            raft
        };
        let unknown = "transfer-ended x1: leadership lost, no successor seen";
        assert_eq!(
            step(&mut deposed(), timeout(TimeoutKind::Transfer)),
            [unknown]
        );
        let impossible = persisted(9, 99);
        let effects = step(&mut deposed(), impossible);
        assert_eq!(effects[0], unknown, "the group stops: {effects:?}");
    }

    #[test]
    fn a_deposed_leader_that_is_elected_again_leads_on() {
        let mut raft = serving();
        step(&mut raft, transfer(1, Some(2)));
        step(&mut raft, from(2, 3, vote(VoteKind::Transfer, id(2, 2))));
        step(&mut raft, persisted(3, 3));
        step(&mut raft, Input::Campaign { jitter: 0 });
        step(&mut raft, persisted(4, 4));
        let effects = step(&mut raft, from(3, 4, vote_reply(VoteKind::Real, true)));
        let ended = "transfer-ended x1: timed out".to_owned();
        assert!(effects.contains(&ended), "{effects:?}");
    }

    #[test]
    fn another_target_takes_the_place_and_the_same_one_changes_nothing() {
        let mut raft = serving();
        step_at(&mut raft, 50, transfer(1, Some(3)));
        let before = (raft.clone(), raft.deadline());
        for repeated in [transfer(2, Some(3)), transfer(2, None)] {
            assert_eq!(
                step_at(&mut raft, 90, repeated),
                ["transfer-ended x2: another transfer is under way"]
            );
        }
        assert_eq!((raft.clone(), raft.deadline()), before);
        assert_eq!(
            step(&mut raft, transfer(3, Some(2))),
            [
                "send n1.0->n2.0 t2 timeout-now",
                "transfer-ended x1: another transfer is under way"
            ]
        );
    }

    #[test]
    fn naming_the_leader_calls_a_transfer_off() {
        let mut raft = serving();
        step(&mut raft, transfer(1, Some(3)));
        assert_eq!(
            step(&mut raft, transfer(2, Some(1))),
            [
                "transfer-ended x1: another transfer is under way",
                "transfer-ended x2: n1.0 leads"
            ]
        );
        let effects = step(&mut raft, propose("x"));
        assert_eq!(effects.last().map(String::as_str), Some("accepted p1 2/3"));
    }

    #[test]
    fn learners_witnesses_strangers_and_nobody_are_no_targets() {
        let mut members = initial(&[1]);
        members.configurations[0].learners = [replica(4)].into();
        members.configurations[0].witnesses = [replica(3)].into();
        let mut raft = elect(Raft::new(config(1), members, Instant(0), 0));
        for node in [3, 4, 9] {
            let effects = step(&mut raft, transfer(1, Some(node)));
            assert_eq!(effects, ["transfer-ended x1: nobody to hand over to"]);
        }
        let mut alone = initial(&[]);
        alone.configurations[0].voters = [replica(1)].into();
        let mut raft = Raft::new(config(1), alone, Instant(0), 0);
        step(&mut raft, Input::Campaign { jitter: 0 });
        step(&mut raft, persisted(1, 1));
        let effects = step(&mut raft, transfer(1, None));
        assert_eq!(effects, ["transfer-ended x1: nobody to hand over to"]);
    }

    #[test]
    fn a_follower_hands_nothing_over() {
        let mut raft = follower(&[1]);
        step(&mut raft, from(2, 1, heartbeat(0, 0)));
        assert_eq!(
            step(&mut raft, transfer(1, None)),
            ["transfer-ended x1: not the leader, n2.0 is"]
        );
    }

    fn five() -> Raft {
        let mut five = initial(&[1]);
        five.configurations = vec![crate::Configuration::initial([1, 2, 3, 4, 5].map(NodeId))];
        let mut raft = elect(Raft::new(config(1), five, Instant(0), 0));
        step(&mut raft, from(3, 2, vote_reply(VoteKind::Real, true)));
        raft
    }

    fn best(raft: &mut Raft) -> Option<u64> {
        step(raft, transfer(1, None));
        Some(raft.status().transferee?.node.0)
    }

    #[test]
    fn the_best_is_active_has_most_of_the_log_the_highest_priority_or_the_lowest_id() {
        let mut raft = five();
        for node in [2, 3, 4] {
            step(&mut raft, from(node, 2, matched(2)));
        }
        assert_eq!(best(&mut raft.clone()), Some(2), "the lowest id");
        let preferred = Message::HeartbeatReply {
            round: 0,
            hold: std::time::Duration::ZERO,
            priority: 9,
        };
        step(&mut raft, from(3, 2, preferred));
        assert_eq!(best(&mut raft.clone()), Some(3), "the highest priority");
        step(&mut raft, propose("x"));
        step(&mut raft, from(4, 2, matched(3)));
        assert_eq!(best(&mut raft.clone()), Some(4), "most of the log");
        for _ in 0..2 {
            step(&mut raft, timeout(TimeoutKind::Election));
            step(&mut raft, from(5, 2, heartbeat_reply(0)));
        }
        assert_eq!(best(&mut raft), Some(5), "the only one that was heard");
    }

    #[test]
    fn a_target_campaigns_without_pre_vote_and_past_stickiness() {
        let careful = Config {
            pre_vote: true,
            check_quorum: true,
            ..config(1)
        };
        let mut raft = Raft::new(careful, initial(&[1]), Instant(0), 0);
        step(&mut raft, from(2, 1, heartbeat(0, 0)));
        step(&mut raft, from(2, 1, Message::TimeoutNow));
        assert_eq!(raft.role(), Role::Candidate);
        let effects = step(&mut raft, persisted(2, 1));
        assert_eq!(effects[0], "send n1.0->n2.0 t2 transfer-vote last=1/1");
    }

    #[test]
    fn only_its_leader_hands_over_to_a_voter_and_only_in_its_term() {
        let mut raft = follower(&[1, 2]);
        step(&mut raft, from(2, 2, heartbeat(0, 0)));
        for stray in [
            from(3, 2, Message::TimeoutNow),
            from(2, 1, Message::TimeoutNow),
        ] {
            assert_eq!(step(&mut raft, stray), NOTHING);
            assert_eq!(raft.role(), Role::Follower);
        }
        let mut learning = initial(&[1]);
        learning.configurations[0].voters.remove(&replica(1));
        learning.configurations[0].learners.insert(replica(1));
        let mut raft = Raft::new(config(1), learning, Instant(0), 0);
        step(&mut raft, from(2, 1, Message::TimeoutNow));
        assert_eq!(raft.role(), Role::Follower);
    }
}
