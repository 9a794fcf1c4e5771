//! Deadlines: data outside the hashed state.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use crate::lease::Lease;
use crate::mutant::mutant;
use crate::{Config, DEFAULT_PRIORITY, Instant, TimeView};

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
    /// When the leader has taken too long to answer a question.
    pub(crate) read: Instant,
    /// What is known of the own lease; of a leader.
    pub(crate) lease: Lease,
    /// When the leader of the term was last heard.
    heard: Instant,
    /// Until then this replica helps to elect nobody: a leader may count on it.
    promised: Option<Instant>,
    /// The least wait: T, and another T for each step that the priority is below the default.
    least: Duration,
    /// What was drawn on top of it last, below T.
    extra: Duration,
}

impl Clock {
    /// `bound`: a promise may have been given before the start and forgotten.
    pub(crate) fn new(config: &Config, now: Instant, jitter: u64, bound: bool) -> Self {
        let mut clock = Self {
            now,
            election: now,
            heartbeat: now,
            transfer: now,
            read: now,
            lease: Lease::default(),
            heard: now,
            promised: bound.then(|| now + config.election_timeout),
            least: config.election_timeout,
            extra: Duration::ZERO,
        };
        clock.draw(config, jitter);
        clock.restart_election();
        clock
    }

    /// Draws the next wait from [T, 2T), or later for a replica of low priority.
    pub(crate) fn draw(&mut self, config: &Config, jitter: u64) {
        let base = u64::try_from(config.election_timeout.as_nanos()).unwrap_or(u64::MAX);
        self.extra = Duration::from_nanos(jitter.checked_rem(base).unwrap_or(0));
        self.tune(config);
    }

    /// Settings changed; in force from the next time the timer is restarted.
    pub(crate) fn tune(&mut self, config: &Config) {
        let steps = u32::from(DEFAULT_PRIORITY.saturating_sub(config.priority));
        self.least = config.election_timeout.saturating_mul(1 + steps);
    }

    /// Never below a promise: whoever campaigns by its timer is free to vote for itself.
    pub(crate) fn restart_election(&mut self) {
        let due = self.now + self.least + self.extra;
        self.election = self.promised.map_or(due, |until| until.max(due));
    }

    /// A leader checks its quorum after T exactly: nobody competes with it for that moment.
    pub(crate) fn restart_quorum_check(&mut self, config: &Config) {
        self.election = self.now + config.election_timeout;
    }

    /// At the next multiple of the interval, so that the heartbeats of all groups of a node fall
    /// together and can share their packets.
    pub(crate) fn restart_heartbeat(&mut self, config: &Config) {
        let interval = u64::try_from(config.heartbeat_interval.as_nanos()).unwrap_or(u64::MAX);
        let since = self.now.0.checked_rem(interval).unwrap_or(0);
        self.heartbeat = Instant(self.now.0 - since) + config.heartbeat_interval;
    }

    pub(crate) fn restart_read(&mut self, config: &Config) {
        self.read = self.now + config.election_timeout;
    }

    /// Helps to elect nobody for so long.
    pub(crate) fn promise(&mut self, hold: Duration) {
        self.promised = Some(self.now + hold).max(self.promised);
    }

    pub(crate) fn release_promise(&mut self) {
        self.promised = None;
    }

    pub(crate) fn is_promised(&self) -> bool {
        self.promised.is_some_and(|until| self.now < until) && !mutant!(PromiseBroken)
    }

    pub(crate) fn restart_transfer(&mut self, config: &Config) {
        self.transfer = self.now + config.election_timeout;
    }

    /// The leader spoke: wait anew before doubting it.
    pub(crate) fn heard_leader(&mut self) {
        self.heard = self.now;
        self.restart_election();
    }

    /// See [`TimeView`].
    pub(crate) fn view(&self, config: &Config, now: Instant) -> TimeView {
        let left = |until: Instant| until.since(now);
        TimeView {
            since_heard: now.since(self.heard).min(config.election_timeout),
            promise_left: self.promised.map_or(Duration::ZERO, left),
            election_left: left(self.election),
            lease: self.lease.view(config, now),
        }
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
