//! A leader's view of one peer.

use std::collections::VecDeque;

use crate::mutant::mutant;
use crate::{Config, DEFAULT_PRIORITY, Index, LogId, ProgressState};

/// How a peer is being fed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Feed {
    /// It is not known where the logs meet. One message at a time; `paused` while one is out.
    Probe {
        /// Wait for an answer or for a heartbeat's before sending again.
        paused: bool,
    },
    /// The logs meet at `next - 1`: send ahead of the answers.
    Replicate(Inflight),
    /// It needs entries that are gone.
    Snapshot {
        /// What the snapshot under way covers at least.
        last: Index,
    },
}

/// A leader's view of one peer. `matched` is proof, `next` is hope: they are never derived from
/// one another, and `matched < next`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Progress {
    /// Highest index known to be durable there and equal to the leader's log.
    pub(crate) matched: Index,
    /// Next index to send.
    pub(crate) next: Index,
    pub(crate) feed: Feed,
    /// The range asked of the log for this peer starts here.
    pub(crate) reading: Option<Index>,
    /// Heard from since the last quorum check.
    pub(crate) active: bool,
    /// Heard from between the two checks before.
    was_active: bool,
    /// Highest ReadIndex round it has echoed.
    pub(crate) round: u64,
    /// Its election priority, as it said last.
    pub(crate) priority: u8,
    /// The highest commit index it was told.
    pub(crate) told_commit: Index,
    /// It is a witness: payloads and snapshot files are spared it.
    pub(crate) witness: bool,
}

impl Progress {
    /// A peer of which nothing is known; the leader's last entry is where it starts to look.
    pub(crate) fn new(last: Index, witness: bool) -> Self {
        Self {
            matched: 0,
            next: last + 1,
            feed: Feed::Probe { paused: false },
            reading: None,
            active: false,
            was_active: false,
            round: 0,
            priority: DEFAULT_PRIORITY,
            told_commit: 0,
            witness,
        }
    }

    /// A quorum check counted this peer: from here on it has to be heard anew.
    pub(crate) fn begin_period(&mut self) {
        self.was_active = std::mem::take(&mut self.active);
    }

    /// Heard from within the last election timeout, or a little longer ago.
    pub(crate) fn is_active(&self) -> bool {
        self.active || self.was_active
    }

    /// Looks for the place where the logs meet, from the proven match on.
    pub(crate) fn probe(&mut self, paused: bool) {
        self.next = self.matched + 1;
        self.feed = Feed::Probe { paused };
    }

    /// The peer answered that everything up to `index` matches. Says whether that is new.
    pub(crate) fn on_matched(&mut self, index: Index, floor: Index) -> bool {
        let news = index > self.matched;
        self.matched = self.matched.max(index);
        self.next = self.next.max(self.matched + 1);
        match &mut self.feed {
            Feed::Probe { .. } if index == self.matched => self.replicate(),
            Feed::Snapshot { .. } if self.matched >= floor => self.replicate(),
            Feed::Replicate(inflight) => inflight.release(index),
            Feed::Probe { .. } | Feed::Snapshot { .. } => {}
        }
        news
    }

    /// The peer has no entry like the one before `rejected + 1`; `agree` is where the leader's
    /// log says they may meet. False if the answer is a stale one.
    pub(crate) fn on_rejected(&mut self, rejected: Index, agree: LogId) -> bool {
        if rejected <= self.matched {
            return false;
        }
        match self.feed {
            Feed::Snapshot { .. } => false,
            Feed::Replicate(_) => {
                self.probe(false);
                true
            }
            Feed::Probe { .. } if rejected + 1 != self.next => false,
            Feed::Probe { .. } => {
                self.next = rejected.min(agree.index + 1).max(self.matched + 1);
                self.feed = Feed::Probe { paused: false };
                if mutant!(NextAtMatch) {
                    self.next = agree.index;
                }
                if mutant!(ProbeAsMatch) {
                    self.matched = self.next - 1;
                }
                true
            }
        }
    }

    /// Entries up to `last` were sent.
    pub(crate) fn on_sent(&mut self, last: Index, bytes: usize) {
        match &mut self.feed {
            Feed::Probe { paused } => *paused = true,
            Feed::Replicate(inflight) => {
                if last >= self.next {
                    inflight.add(last, bytes);
                    self.next = last + 1;
                }
            }
            Feed::Snapshot { .. } => {}
        }
    }

    /// Whatever was on its way is lost. A snapshot has a connection of its own and reports itself.
    pub(crate) fn on_connection_lost(&mut self) {
        match &mut self.feed {
            // Hope costs one rejection; without it a peer that never answered is offered a
            // snapshot it may not need.
            Feed::Probe { paused } => *paused = true,
            Feed::Replicate(_) => self.probe(true),
            Feed::Snapshot { .. } => {}
        }
    }

    /// The snapshot transfer ended. What the peer has shows in its answer to the next probe, which
    /// begins there even if the transfer failed: a peer that holds all of the snapshot refuses it,
    /// and would be offered it for ever.
    pub(crate) fn on_snapshot_sent(&mut self) {
        if mutant!(SnapshotOfferedOnce) {
            return;
        }
        if let Feed::Snapshot { last } = self.feed {
            self.probe(true);
            self.next = self.next.max(last + 1);
        }
    }

    /// Unanswered appends and the bytes in them.
    pub(crate) fn inflight(&self) -> (usize, usize) {
        match &self.feed {
            Feed::Replicate(inflight) => (inflight.appends.len(), inflight.bytes),
            Feed::Probe { .. } | Feed::Snapshot { .. } => (0, 0),
        }
    }

    pub(crate) fn state(&self) -> ProgressState {
        match self.feed {
            Feed::Probe { .. } => ProgressState::Probe,
            Feed::Replicate(_) => ProgressState::Replicate,
            Feed::Snapshot { .. } => ProgressState::Snapshot,
        }
    }

    fn replicate(&mut self) {
        self.next = self.matched + 1;
        self.feed = Feed::Replicate(Inflight::default());
    }
}

/// Appends that were sent and not answered: last index and payload bytes of each, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Inflight {
    appends: VecDeque<(Index, usize)>,
    bytes: usize,
}

impl Inflight {
    pub(crate) fn is_full(&self, config: &Config) -> bool {
        self.appends.len() >= config.max_inflight_appends.max(1)
            || self.bytes >= config.max_inflight_bytes.max(1)
    }

    fn add(&mut self, last: Index, bytes: usize) {
        self.appends.push_back((last, bytes));
        self.bytes += bytes;
    }

    /// Everything up to `index` was answered.
    fn release(&mut self, index: Index) {
        while let Some((_, bytes)) = self.appends.pop_front_if(|(last, _)| *last <= index) {
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config;

    fn id(index: Index) -> LogId {
        LogId { term: 1, index }
    }

    #[test]
    fn a_match_turns_probing_into_pipelining() {
        let mut peer = Progress::new(10, false);
        assert!(peer.on_rejected(10, id(6)));
        assert_eq!((peer.matched, peer.next), (0, 7));
        assert!(peer.on_matched(6, 0));
        assert_eq!(peer.feed, Feed::Replicate(Inflight::default()));
        assert_eq!((peer.matched, peer.next), (6, 7));
    }

    #[test]
    fn stale_answers_change_nothing() {
        let mut peer = Progress::new(10, false);
        peer.on_matched(8, 0);
        peer.on_sent(12, 30);
        let before = peer.clone();
        assert!(
            !peer.on_rejected(7, id(3)),
            "a rejection at or below the match"
        );
        assert!(!peer.on_matched(5, 0), "an older match");
        assert_eq!(peer, before);

        peer.probe(true);
        assert!(!peer.on_rejected(10, id(3)), "a rejection of another probe");
        assert_eq!((peer.next, &peer.feed), (9, &Feed::Probe { paused: true }));
    }

    #[test]
    fn the_window_closes_by_count_and_by_bytes_and_opens_with_answers() {
        let config = Config {
            max_inflight_appends: 3,
            max_inflight_bytes: 100,
            ..config(1)
        };
        let mut window = Inflight::default();
        for last in 1..=3 {
            assert!(!window.is_full(&config));
            window.add(last, 10);
        }
        assert!(window.is_full(&config), "by count");
        window.release(2);
        assert!(!window.is_full(&config));
        window.add(4, 90);
        assert!(window.is_full(&config), "by bytes");
        window.release(4);
        assert_eq!(window, Inflight::default());
    }

    #[test]
    fn a_rejection_while_pipelining_goes_back_to_the_match() {
        let mut peer = Progress::new(10, false);
        peer.on_matched(10, 0);
        peer.on_sent(14, 1);
        assert!(peer.on_rejected(14, id(12)));
        assert_eq!((peer.matched, peer.next), (10, 11));
        assert_eq!(peer.feed, Feed::Probe { paused: false });
    }

    #[test]
    fn a_snapshot_ends_when_the_match_reaches_the_log() {
        let mut peer = Progress::new(10, false);
        peer.feed = Feed::Snapshot { last: 8 };
        peer.on_matched(3, 5);
        assert_eq!(peer.feed, Feed::Snapshot { last: 8 });
        peer.on_matched(6, 5);
        assert_eq!(peer.feed, Feed::Replicate(Inflight::default()));
        assert_eq!(peer.next, 7);
    }
}
