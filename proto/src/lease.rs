//! The lease of a leader (thesis §6.4.1), counted from what its peers promised.
//!
//! A round of heartbeats may ask for promises: whoever answers helps to elect nobody else for its
//! election timeout, counted from when it heard the heartbeat. The leader counts from when it sent
//! it, which is earlier, and takes off how far clocks may drift apart. A quorum of promises is a
//! lease: while it lasts, every quorum that could elect somebody has a member that does not help.
//! The exception is a transfer, so a leader that told somebody to campaign has no lease any more.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::core::Core;
use crate::leader::Leader;
use crate::mutant::mutant;
use crate::quorum::committed_index;
use crate::{Config, Configuration, Instant, LeaseView, ReplicaId};

/// Rounds whose beginning is remembered. The answer to an older one promises nothing that counts.
const MAX_ROUNDS: usize = 64;

/// What a leader knows of its lease. All of it is time, and part of the clock.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lease {
    /// The rounds that asked for promises and when they began, oldest first.
    rounds: VecDeque<(u64, Instant)>,
    /// Until when, at least, each peer keeps its promise.
    promises: BTreeMap<ReplicaId, Instant>,
}

impl Lease {
    fn begin(&mut self, round: u64, now: Instant) {
        if self.rounds.len() == MAX_ROUNDS {
            self.rounds.pop_front();
        }
        self.rounds.push_back((round, now));
    }

    fn promise(&mut self, from: ReplicaId, round: u64, hold: Duration) {
        let Ok(at) = self
            .rounds
            .binary_search_by_key(&round, |(round, _)| *round)
        else {
            return;
        };
        let until = self.rounds[at].1 + hold;
        let known = self.promises.entry(from).or_default();
        *known = until.max(*known);
    }

    /// What still can count at `now`: a round that is older than any promise made in it is over.
    pub(crate) fn view(&self, config: &Config, now: Instant) -> LeaseView {
        let ages = self.rounds.iter();
        let ages = ages.map(|(round, began)| (*round, now.since(*began)));
        let left = self.promises.iter();
        let left = left.map(|(id, until)| (*id, until.since(now)));
        LeaseView {
            rounds: ages
                .filter(|(_, age)| *age < config.election_timeout)
                .collect(),
            promises: left.filter(|(_, left)| !left.is_zero()).collect(),
        }
    }

    /// Until when a quorum, `own` included, keeps its promises.
    fn until(&self, configuration: &Configuration, own: ReplicaId) -> Instant {
        let until = |id: &ReplicaId| match *id == own {
            true => Some(u64::MAX),
            false => self.promises.get(id).map(|until| until.0),
        };
        Instant(committed_index(configuration, until))
    }
}

impl Leader {
    /// Whether nobody else can have been elected by now.
    pub(crate) fn has_lease(&self, core: &Core) -> bool {
        let clock = &core.clock;
        let mut now = clock.now;
        if let (true, Some((_, began))) = (mutant!(LeaseOfPausedClock), clock.lease.rounds.back()) {
            now = *began;
        }
        let let_go = self.is_transferring() || self.let_go;
        core.config.check_quorum
            && (!let_go || mutant!(LeaseKeptOnTransfer))
            && self.has_committed_in_term(core)
            && clock.lease.until(core.log.configuration(), core.id())
                > now + core.config.clock_drift
    }

    /// A round begins now; what it asks for is counted from here.
    pub(crate) fn ask_for_promises(&self, core: &mut Core, round: u64) {
        let (now, lease) = (core.clock.now, &mut core.clock.lease);
        lease.promises.retain(|id, _| self.peers.contains_key(id));
        lease.begin(round, now);
    }

    pub(crate) fn on_promise(
        &mut self,
        core: &mut Core,
        from: ReplicaId,
        round: u64,
        hold: Duration,
    ) {
        if self.peers.contains_key(&from) && !hold.is_zero() {
            core.clock.lease.promise(from, round, hold);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{
        config, elect, from, heartbeat_reply, initial, lease_read, matched, persisted, promise,
        propose, read, replica, step, step_at, transfer, vote_reply,
    };
    use crate::{Config, Initial, Input, Instant, Raft, TimeoutKind, VoteKind};

    fn timeout(kind: TimeoutKind) -> Input {
        Input::Timeout { kind, jitter: 0 }
    }

    /// The leader of term 2 with check-quorum, whose no-op at 2 is committed.
    fn serving_in(initial: Initial) -> Raft {
        let checked = Config {
            check_quorum: true,
            ..config(1)
        };
        let mut raft = elect(Raft::new(checked, initial, Instant(0), 0));
        step(&mut raft, persisted(2, 2));
        step(&mut raft, from(2, 2, matched(2)));
        raft
    }

    /// As above, with a lease of T = 1000 ms from time 0, less the drift of 100 ms.
    fn leased() -> Raft {
        let mut raft = serving_in(initial(&[1]));
        step(&mut raft, lease_read(1));
        step_at(&mut raft, 300, from(2, 2, promise(1, 1000)));
        raft
    }

    fn is_granted(raft: &mut Raft, millis: u64) -> bool {
        step_at(raft, millis, lease_read(9)) == ["read-ready r9 index=2"]
    }

    #[test]
    fn without_a_lease_a_lease_read_is_confirmed_by_a_round_that_makes_one() {
        let mut raft = serving_in(initial(&[1]));
        assert_eq!(
            step(&mut raft, lease_read(1)),
            [
                "send n1.0->n2.0 t2 heartbeat commit=2 round=1 lease",
                "send n1.0->n3.0 t2 heartbeat commit=0 round=1 lease"
            ]
        );
        assert_eq!(
            step(&mut raft, from(2, 2, promise(1, 1000))),
            ["read-ready r1 index=2"]
        );
        assert!(is_granted(&mut raft, 1));
    }

    #[test]
    fn a_lease_is_counted_from_when_its_round_was_sent_less_the_drift() {
        assert!(is_granted(&mut leased(), 899));
        assert!(!is_granted(&mut leased(), 900));
    }

    #[test]
    fn a_lease_is_as_long_as_what_was_promised() {
        let mut raft = serving_in(initial(&[1]));
        step(&mut raft, lease_read(1));
        step(&mut raft, from(2, 2, promise(1, 500)));
        assert!(is_granted(&mut raft.clone(), 399));
        assert!(!is_granted(&mut raft, 400));

        let mut raft = serving_in(initial(&[1]));
        step(&mut raft, lease_read(1));
        step(&mut raft, from(2, 2, heartbeat_reply(1)));
        assert!(!is_granted(&mut raft, 1), "an echo is no promise");
    }

    #[test]
    fn a_lease_in_use_is_renewed_by_heartbeats_and_one_that_is_not_is_let_go() {
        let mut raft = leased();
        step_at(&mut raft, 500, lease_read(2));
        let effects = step_at(&mut raft, 600, timeout(TimeoutKind::Heartbeat));
        assert_eq!(
            effects[0],
            "send n1.0->n2.0 t2 heartbeat commit=2 round=2 lease"
        );
        step_at(&mut raft, 610, from(2, 2, promise(2, 1000)));
        assert!(is_granted(&mut raft.clone(), 1499));
        let effects = step_at(&mut raft, 700, timeout(TimeoutKind::Heartbeat));
        assert_eq!(effects[0], "send n1.0->n2.0 t2 heartbeat commit=2 round=2");
    }

    #[test]
    fn both_halves_of_a_joint_configuration_have_to_promise() {
        let mut joint = initial(&[1]);
        joint.configurations[0].outgoing = [1, 4, 5].map(replica).into();
        let checked = Config {
            check_quorum: true,
            ..config(1)
        };
        let mut raft = elect(Raft::new(checked, joint, Instant(0), 0));
        step(&mut raft, from(4, 2, vote_reply(VoteKind::Real, true)));
        step(&mut raft, persisted(2, 2));
        step(&mut raft, from(2, 2, matched(2)));
        step(&mut raft, from(4, 2, matched(2)));
        step(&mut raft, lease_read(1));
        step(&mut raft, from(2, 2, promise(1, 1000)));
        step(&mut raft, from(3, 2, promise(1, 1000)));
        assert!(!is_granted(&mut raft.clone(), 1));
        step(&mut raft, from(5, 2, promise(1, 1000)));
        assert!(is_granted(&mut raft, 1));
    }

    #[test]
    fn a_learner_promises_nothing_that_counts() {
        let mut learning = initial(&[1]);
        learning.configurations[0].learners = [replica(4)].into();
        let mut raft = serving_in(learning);
        step(&mut raft, lease_read(1));
        step(&mut raft, from(4, 2, promise(1, 1000)));
        assert!(!is_granted(&mut raft, 1));
    }

    #[test]
    fn there_is_no_lease_before_the_first_commit_of_the_term_nor_without_check_quorum() {
        let checked = Config {
            check_quorum: true,
            ..config(1)
        };
        let mut raft = elect(Raft::new(checked, initial(&[1]), Instant(0), 0));
        step(&mut raft, lease_read(1));
        for _ in 0..2 {
            step(&mut raft, timeout(TimeoutKind::Heartbeat));
        }
        step(&mut raft, from(2, 2, promise(1, 1000)));
        assert!(!is_granted(&mut raft, 1));

        let mut raft = elect(Raft::new(config(1), initial(&[1]), Instant(0), 0));
        step(&mut raft, persisted(2, 2));
        step(&mut raft, from(2, 2, matched(2)));
        step(&mut raft, lease_read(1));
        step(&mut raft, from(2, 2, promise(1, 1000)));
        assert!(!is_granted(&mut raft, 1));
    }

    #[test]
    fn a_transfer_drops_the_lease_and_one_that_may_still_succeed_keeps_it_dropped() {
        // The target is behind: nobody is told to campaign.
        let mut raft = leased();
        step_at(&mut raft, 301, transfer(1, Some(3)));
        assert!(!is_granted(&mut raft.clone(), 310));
        step_at(&mut raft, 320, timeout(TimeoutKind::Transfer));
        assert!(is_granted(&mut raft, 330), "nobody can have been elected");

        // The target was told, and may obey at any later time.
        let mut raft = leased();
        step_at(&mut raft, 301, transfer(1, Some(2)));
        step_at(&mut raft, 320, timeout(TimeoutKind::Transfer));
        assert!(!is_granted(&mut raft, 330));
        step_at(&mut raft, 331, from(2, 2, promise(2, 1000)));
        assert!(!is_granted(&mut raft, 332), "not in this term");
    }

    #[test]
    fn a_lease_does_not_outlive_leadership() {
        let mut raft = leased();
        step_at(&mut raft, 400, from(3, 5, heartbeat_reply(0)));
        step_at(&mut raft, 400, persisted(5, 3));
        let mut raft = {
            step_at(&mut raft, 400, timeout(TimeoutKind::Election));
            step_at(&mut raft, 400, persisted(6, 4));
            step_at(&mut raft, 400, from(2, 6, vote_reply(VoteKind::Real, true)));
            step_at(&mut raft, 400, persisted(6, 5));
            step_at(&mut raft, 400, from(2, 6, matched(3)));
            raft
        };
        assert_eq!(raft.status().commit, 3);
        let effects = step_at(&mut raft, 401, lease_read(9));
        assert_eq!(effects.len(), 2, "a round has to be asked: {effects:?}");
    }

    #[test]
    fn a_read_by_index_is_never_granted_by_a_lease() {
        let mut raft = leased();
        let effects = step_at(&mut raft, 400, read(2));
        assert_eq!(effects.len(), 2, "{effects:?}");
        step_at(&mut raft, 400, propose("x"));
    }
}
