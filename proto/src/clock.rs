//! Deadlines: data outside the hashed state.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use crate::{Config, Instant};

/// When what is due. Two clocks always compare equal and hash to nothing, so that a model checker
/// that merges equal states is not kept apart by time, and exhaustive slices stay finite.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    /// Time of the step under way.
    pub(crate) now: Instant,
    /// When the election timer (check-quorum on a leader) runs out.
    pub(crate) election: Instant,
    /// When a leader owes heartbeats.
    pub(crate) heartbeat: Instant,
    /// When a transfer of leadership has taken too long.
    pub(crate) transfer: Instant,
    /// When the leader of the term was last heard.
    heard: Instant,
    /// The wait drawn last, in [T, 2T).
    wait: Duration,
}

impl Clock {
    pub(crate) fn new(config: &Config, now: Instant, jitter: u64) -> Self {
        let mut clock = Self {
            now,
            election: now,
            heartbeat: now,
            transfer: now,
            heard: now,
            wait: config.election_timeout,
        };
        clock.draw(config, jitter);
        clock.restart_election();
        clock
    }

    /// Draws the next wait from [T, 2T).
    pub(crate) fn draw(&mut self, config: &Config, jitter: u64) {
        let base = u64::try_from(config.election_timeout.as_nanos()).unwrap_or(u64::MAX);
        let extra = jitter.checked_rem(base).unwrap_or(0);
        self.wait = Duration::from_nanos(base.saturating_add(extra));
    }

    pub(crate) fn restart_election(&mut self) {
        self.election = self.now + self.wait;
    }

    /// A leader checks its quorum after T exactly: nobody competes with it for that moment.
    pub(crate) fn restart_quorum_check(&mut self, config: &Config) {
        self.election = self.now + config.election_timeout;
    }

    pub(crate) fn restart_heartbeat(&mut self, config: &Config) {
        self.heartbeat = self.now + config.heartbeat_interval;
    }

    pub(crate) fn restart_transfer(&mut self, config: &Config) {
        self.transfer = self.now + config.election_timeout;
    }

    /// The leader spoke: wait anew before doubting it.
    pub(crate) fn heard_leader(&mut self) {
        self.heard = self.now;
        self.restart_election();
    }

    /// Whether the leader was heard within the minimum election timeout (thesis §4.2.3).
    pub(crate) fn trusts_leader(&self, config: &Config) -> bool {
        self.now.since(self.heard) < config.election_timeout
    }
}

impl PartialEq for Clock {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Clock {}

impl Hash for Clock {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
