//! Which timers run, and what they mean when they run out.

use crate::impossible::Impossible;
use crate::role::State;
use crate::{Instant, Raft, TimeoutKind};

impl Raft {
    /// When to call `step` with which `Timeout` at the latest; `None`: no timer runs.
    pub fn deadline(&self) -> Option<(Instant, TimeoutKind)> {
        let clock = &self.core.clock;
        let (heartbeat, election) = match &self.state {
            _ if self.halted => return None,
            State::Follower(follower) => (false, !follower.quiet),
            State::Leader(leader) => {
                let busy = !leader.peers.is_empty() && !leader.quiet;
                (busy, busy)
            }
            State::PreCandidate(_) | State::Candidate(_) => (false, true),
        };
        let timers = [
            heartbeat.then_some((clock.heartbeat, TimeoutKind::Heartbeat)),
            election.then_some((clock.election, TimeoutKind::Election)),
            self.is_handing_over()
                .then_some((clock.transfer, TimeoutKind::Transfer)),
            self.is_asking().then_some((clock.read, TimeoutKind::Read)),
        ];
        let timers = timers.into_iter().flatten();
        timers.min_by_key(|(at, _)| *at)
    }

    pub(crate) fn on_timeout(&mut self, kind: TimeoutKind, jitter: u64) -> Result<(), Impossible> {
        match (&mut self.state, kind) {
            // A silent group stopped its timers; this one ran out in between.
            (State::Leader(leader), TimeoutKind::Heartbeat | TimeoutKind::Election)
                if leader.quiet => {}
            (State::Follower(follower), TimeoutKind::Election) if follower.quiet => {}
            (_, TimeoutKind::Transfer) => self.on_transfer_timeout(),
            (State::Leader(leader), TimeoutKind::Heartbeat) => {
                leader.on_heartbeat_timeout(&mut self.core);
            }
            (State::Leader(leader), TimeoutKind::Election) => {
                self.core.clock.draw(&self.core.config, jitter);
                if !leader.check_quorum(&mut self.core) {
                    self.become_follower(None);
                }
            }
            (_, TimeoutKind::Heartbeat) => {}
            (_, TimeoutKind::Read) => self.on_read_timeout(),
            (_, TimeoutKind::Election) => {
                // The timer never runs out before a promise.
                self.core.clock.release_promise();
                return self.campaign(jitter);
            }
        }
        Ok(())
    }

    fn is_asking(&self) -> bool {
        matches!(&self.state, State::Follower(follower) if follower.reads.is_out())
    }

    fn is_handing_over(&self) -> bool {
        let leading = match &self.state {
            State::Leader(leader) => leader.is_transferring(),
            _ => false,
        };
        leading || self.handover.is_some()
    }
}
