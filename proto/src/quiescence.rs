//! A group in which nothing happens falls silent: no timer, no message.
//!
//! The leader says so once every member has everything or is reported down. From then on silence
//! is no sign of death; whoever is disturbed wakes, and a follower asks its leader to speak. So a
//! replica that missed the word and wants to be elected finds a live leader defended. That rests on
//! pre-vote and check-quorum: a group without them stays awake.

use crate::core::Core;
use crate::leader::Leader;
use crate::progress::Progress;
use crate::quorum::{VoteResult, vote_result};
use crate::role::{Follower, State};
use crate::{AppendOutcome, Index, LogId, MAX_MEMBERS, Message, NodeId, Raft, ReplicaId};

impl Raft {
    /// Something happened in a group that may have fallen silent.
    pub(crate) fn wake(&mut self) {
        match &mut self.state {
            State::Leader(leader) => leader.wake(&mut self.core),
            State::Follower(follower) if follower.quiet => {
                follower.quiet = false;
                // It did not have to speak up to now, so it is trusted as of now.
                self.core.clock.heard_leader();
                if let Some(leader) = follower.leader {
                    self.core.send(leader, Message::Wake);
                }
            }
            _ => {}
        }
    }

    /// A message arrived, which wakes a silent group unless it belongs to falling silent.
    pub(crate) fn wake_for(&mut self, from: ReplicaId, message: &Message) {
        self.core.down.remove(&from.node);
        let late = matches!(
            message,
            Message::HeartbeatReply { .. } | Message::AppendReply(AppendOutcome::Matched { .. })
        );
        match (&mut self.state, message) {
            (_, Message::Quiesce { .. }) => {}
            (State::Leader(leader), _) if leader.quiet && late => {}
            (State::Leader(leader), _) if !leader.quiet => {}
            (State::Follower(follower), _) if follower.leader == Some(from) => {
                if std::mem::take(&mut follower.quiet) {
                    self.core.clock.restart_election();
                }
            }
            _ => self.wake(),
        }
    }

    pub(crate) fn on_peer_down(&mut self, node: NodeId) {
        self.core.note_down(node);
        match &mut self.state {
            State::Leader(leader) => {
                leader.on_peer_down(node);
                if leader.quiet && !leader.has_quorum(&self.core) {
                    leader.wake(&mut self.core);
                }
            }
            State::Follower(Follower {
                leader: Some(leader),
                quiet,
                ..
            }) if leader.node == node && *quiet => {
                // There is nobody to ask; whoever times out first is to be elected.
                *quiet = false;
                self.core.clock.restart_election();
            }
            _ => {}
        }
    }

    /// Whoever was down may lack something, or may have started anew and be waiting.
    pub(crate) fn on_peer_up(&mut self, node: NodeId) {
        self.core.down.remove(&node);
        let concerned = match &self.state {
            State::Leader(leader) => leader.peers.keys().any(|id| id.node == node),
            _ => self.leader().is_some_and(|leader| leader.node == node),
        };
        if concerned {
            self.wake();
        }
    }

    /// The leader falls silent; if this log is not its log, it has to speak again first.
    pub(crate) fn on_quiesce(&mut self, last: LogId, commit: Index) {
        if last != self.core.log.last() || commit > last.index {
            return;
        }
        self.core.follow_commit(commit, last.index);
        if let State::Follower(follower) = &mut self.state {
            follower.quiet = true;
        }
    }
}

impl Leader {
    /// Speaks again, and gives everybody an election timeout to answer.
    pub(crate) fn wake(&mut self, core: &mut Core) {
        self.idle = 0;
        if !std::mem::take(&mut self.quiet) {
            return;
        }
        core.clock.restart_heartbeat(&core.config);
        core.clock.restart_quorum_check(&core.config);
        self.peers.values_mut().for_each(Progress::begin_period);
        self.broadcast_heartbeat(core);
    }

    /// In place of a heartbeat: true if the group falls silent now.
    pub(crate) fn fall_silent(&mut self, core: &mut Core) -> bool {
        if !self.is_idle(core) {
            self.idle = 0;
            return false;
        }
        if self.idle < core.config.quiesce_after {
            self.idle += 1;
            return false;
        }
        let (last, commit) = (core.log.last(), core.commit);
        let up = |id: &&ReplicaId| !core.down.contains(&id.node);
        let up: Vec<_> = self.peers.keys().filter(up).copied().collect();
        for id in up {
            core.send(id, Message::Quiesce { last, commit });
        }
        self.quiet = true;
        true
    }

    /// Whether there is nothing to do, and nobody who lacks anything but those who are down.
    fn is_idle(&self, core: &Core) -> bool {
        let (config, log) = (&core.config, &core.log);
        let defended = config.pre_vote && config.check_quorum;
        let done = log.durable() == log.last().index && core.commit == log.last().index;
        let settled = log.configuration().index <= core.commit && !self.departing;
        config.quiesce_after > 0
            && defended
            && done
            && settled
            && self.reads.is_idle()
            && !self.is_transferring()
            && core.writes.oldest().is_none()
            && self.has_quorum(core)
            && self.peers.iter().all(|(id, peer)| {
                core.down.contains(&id.node) || (peer.has_all(core) && peer.is_active())
            })
    }

    /// Whether those who are not reported down could elect and commit.
    fn has_quorum(&self, core: &Core) -> bool {
        let up = |id: &ReplicaId| Some(!core.down.contains(&id.node));
        vote_result(core.log.configuration(), up) == VoteResult::Won
    }
}

impl Progress {
    /// Whether it has the whole log, and knows that all of it is committed.
    fn has_all(&self, core: &Core) -> bool {
        let last = core.log.last().index;
        self.matched == last && self.told_commit >= core.commit.min(last)
    }
}

impl Core {
    /// Remembered whatever the role: whoever leads next has to know.
    fn note_down(&mut self, node: NodeId) {
        if self.down.len() >= MAX_MEMBERS {
            let members = self.log.configuration().members();
            self.down
                .retain(|node| members.iter().any(|id| id.node == *node));
        }
        if self.down.len() < MAX_MEMBERS {
            self.down.insert(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        config, elect, from, heartbeat, heartbeat_reply, id, initial, lease_read, matched,
        persisted, propose, read, step, step_at, transfer, vote,
    };
    use crate::{Config, Input, Instant, ReadId, Role, TimeoutKind, VoteKind};

    const NOTHING: [&str; 0] = [];
    const TO_TWO: &str = "send n1.0->n2.0 t2 quiesce last=2/2 commit=2";
    const TO_THREE: &str = "send n1.0->n3.0 t2 quiesce last=2/2 commit=2";

    fn beat() -> Input {
        let (kind, jitter) = (TimeoutKind::Heartbeat, 0);
        Input::Timeout { kind, jitter }
    }

    fn quiescing(node: u64) -> Config {
        Config {
            pre_vote: true,
            check_quorum: true,
            quiesce_after: 2,
            ..config(node)
        }
    }

    /// The leader of term 2; everybody has its no-op at 2 and knows that it is committed.
    fn settled(config: Config) -> Raft {
        let without = Config {
            pre_vote: false,
            ..config
        };
        let mut raft = elect(Raft::new(without, initial(&[1]), Instant(0), 0));
        raft.core.config = config;
        step(&mut raft, persisted(2, 2));
        for node in [2, 3, 2, 3] {
            step(&mut raft, from(node, 2, matched(2)));
        }
        raft
    }

    fn quiet() -> Raft {
        let mut raft = settled(quiescing(1));
        (0..3).for_each(|_| drop(step(&mut raft, beat())));
        assert!(raft.status().quiet);
        raft
    }

    #[test]
    fn after_some_heartbeats_without_anything_to_do_a_leader_falls_silent() {
        let mut raft = settled(quiescing(1));
        for _ in 0..2 {
            let effects = step(&mut raft, beat());
            assert_eq!(effects[0], "send n1.0->n2.0 t2 heartbeat commit=2 round=0");
        }
        assert_eq!(step(&mut raft, beat()), [TO_TWO, TO_THREE]);
        assert_eq!((raft.status().quiet, raft.deadline()), (true, None));
        for kind in [TimeoutKind::Heartbeat, TimeoutKind::Election] {
            let late = Input::Timeout { kind, jitter: 0 };
            assert_eq!(step(&mut raft, late), NOTHING, "a timer that was stopped");
        }
        assert_eq!(raft.role(), Role::Leader);
    }

    #[test]
    fn a_group_without_the_setting_pre_vote_or_check_quorum_stays_awake() {
        let awake = [
            Config {
                quiesce_after: 0,
                ..quiescing(1)
            },
            Config {
                pre_vote: false,
                ..quiescing(1)
            },
            Config {
                check_quorum: false,
                ..quiescing(1)
            },
        ];
        for config in awake {
            let mut raft = settled(config);
            (0..9).for_each(|_| drop(step(&mut raft, beat())));
            assert!(!raft.status().quiet);
        }
    }

    #[test]
    fn a_member_that_lacks_something_keeps_the_group_awake_unless_it_is_down() {
        let mut raft = settled(quiescing(1));
        step(&mut raft, propose("x"));
        step(&mut raft, persisted(2, 3));
        for _ in 0..2 {
            step(&mut raft, from(2, 2, matched(3)));
        }
        (0..9).for_each(|_| drop(step(&mut raft, beat())));
        assert!(!raft.status().quiet);
        step(&mut raft, Input::PeerDown(NodeId(3)));
        (0..2).for_each(|_| drop(step(&mut raft, beat())));
        assert_eq!(
            step(&mut raft, beat()),
            ["send n1.0->n2.0 t2 quiesce last=2/3 commit=3"]
        );
        // And is brought up to date when it is back.
        let effects = step(&mut raft, Input::PeerUp(NodeId(3)));
        assert_eq!(effects[1], "send n1.0->n3.0 t2 heartbeat commit=2 round=0");
        let effects = step(&mut raft, from(3, 2, heartbeat_reply(0)));
        assert_eq!(
            effects,
            ["send n1.0->n3.0 t2 append prev=2/2 [2/3 \"x\"] commit=3"]
        );
    }

    #[test]
    fn a_leader_that_lost_its_quorum_wakes_and_stays_awake() {
        let mut raft = quiet();
        step(&mut raft, Input::PeerDown(NodeId(3)));
        assert!(raft.status().quiet, "two of three are there");
        step(&mut raft, Input::PeerDown(NodeId(2)));
        assert!(!raft.status().quiet);
        (0..9).for_each(|_| drop(step(&mut raft, beat())));
        assert!(!raft.status().quiet);
        let (kind, jitter) = (TimeoutKind::Election, 0);
        step(&mut raft, Input::Timeout { kind, jitter });
        assert_eq!(raft.role(), Role::Follower, "nobody answered since it woke");
    }

    #[test]
    fn whatever_is_under_way_keeps_a_leader_awake() {
        let under_way = [
            read(1),
            lease_read(1),
            transfer(1, Some(2)),
            propose("x"),
            Input::PeerDown(NodeId(9)),
        ];
        let awake = [true, true, true, true, false];
        for (input, awake) in under_way.into_iter().zip(awake) {
            let mut raft = settled(quiescing(1));
            (0..2).for_each(|_| drop(step(&mut raft, beat())));
            step(&mut raft, input.clone());
            step(&mut raft, beat());
            assert_eq!(raft.status().quiet, !awake, "{input}");
        }
    }

    #[test]
    fn a_silent_leader_that_is_disturbed_wakes_and_shows_that_it_lives() {
        let disturbances = [
            from(3, 3, vote(VoteKind::Pre, id(2, 2))),
            from(3, 3, vote(VoteKind::Real, id(2, 2))),
            from(3, 2, Message::Wake),
            read(1),
            lease_read(1),
            propose("x"),
            Input::PeerUp(NodeId(3)),
        ];
        for input in disturbances {
            let mut raft = quiet();
            let effects = step(&mut raft, input.clone());
            let alive = "send n1.0->n3.0 t2 heartbeat commit=2 round=0".to_owned();
            assert!(effects.contains(&alive), "{input}: {effects:?}");
            assert_eq!(raft.role(), Role::Leader);
            assert_ne!(raft.deadline(), None);
        }
    }

    #[test]
    fn late_answers_do_not_wake_a_leader() {
        let mut raft = quiet();
        step(&mut raft, from(2, 2, heartbeat_reply(0)));
        step(&mut raft, from(2, 2, matched(2)));
        assert!(raft.status().quiet);
    }

    /// Node 1 follows node 2 in term 1, in silence.
    fn silent_follower() -> Raft {
        let mut raft = Raft::new(quiescing(1), initial(&[1, 1]), Instant(0), 0);
        let (last, commit) = (id(1, 2), 2);
        let effects = step(&mut raft, from(2, 1, Message::Quiesce { last, commit }));
        assert_eq!(effects, ["commit 2", "leader t1 n2.0"]);
        assert_eq!((raft.status().quiet, raft.deadline()), (true, None));
        raft
    }

    #[test]
    fn a_silent_follower_runs_no_timer_until_something_happens() {
        let wakers = [
            Input::PeerDown(NodeId(2)),
            Input::PeerUp(NodeId(2)),
            Input::Read {
                id: ReadId(1),
                mode: crate::ReadMode::Index,
            },
            propose("x"),
            from(3, 2, vote(VoteKind::Pre, id(1, 1))),
            from(2, 1, heartbeat(0, 0)),
        ];
        for waker in wakers {
            let mut raft = silent_follower();
            step(&mut raft, waker);
            assert_ne!(raft.deadline(), None);
        }
    }

    #[test]
    fn a_candidate_finds_a_silent_follower_loyal_and_its_leader_is_asked_to_speak() {
        for kind in [VoteKind::Pre, VoteKind::Real] {
            let mut raft = silent_follower();
            let effects = step_at(&mut raft, 60_000, from(3, 2, vote(kind, id(1, 2))));
            assert_eq!(effects[0], "send n1.0->n2.0 t1 wake");
            assert_eq!(raft.status().hard_state.term, 1);
            assert!(
                !effects.iter().any(|e| e.contains("granted")),
                "{effects:?}"
            );
            let due = Instant(61_000_000_000);
            assert_eq!(raft.deadline(), Some((due, TimeoutKind::Election)));
        }
    }

    #[test]
    fn a_follower_whose_leader_is_down_is_free_for_others() {
        let mut raft = silent_follower();
        assert_eq!(
            step_at(&mut raft, 60_000, Input::PeerDown(NodeId(2))),
            NOTHING
        );
        assert_eq!(
            step_at(&mut raft, 60_001, from(3, 2, vote(VoteKind::Pre, id(1, 2)))),
            ["send n1.0->n3.0 t2 pre-vote granted"]
        );
    }

    #[test]
    fn a_follower_that_is_behind_does_not_fall_silent() {
        let mut raft = Raft::new(quiescing(1), initial(&[1]), Instant(0), 0);
        let (last, commit) = (id(1, 2), 2);
        step(&mut raft, from(2, 1, Message::Quiesce { last, commit }));
        assert_ne!(raft.deadline(), None);
        assert_eq!(raft.status().commit, 0);
    }
}
