//! What happens on a node, for whoever follows it. Telling never waits: a follower that is too slow
//! misses events, and is told how many.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use coracle_client::{Event, EventFilter, Happening};
use tokio::sync::broadcast;

use crate::metrics::Metrics;

/// Events that are kept for followers who come back.
const KEPT: usize = 4096;

/// Events that may wait for one follower.
const WAITING: usize = 1024;

/// Followers at once.
pub const MAX_SUBSCRIBERS: i64 = 256;

/// Ids begin with the time of the start, so that those of a restarted node are higher.
const IDS_PER_MILLISECOND: u64 = 1000;

/// The events of one node.
pub struct Events {
    node: u64,
    metrics: Arc<Metrics>,
    ring: Mutex<Ring>,
}

struct Ring {
    next: u64,
    kept: VecDeque<Arc<Event>>,
    /// Gone once the node stops.
    live: Option<broadcast::Sender<Arc<Event>>>,
}

/// Follows the events of a node.
pub struct Subscriber {
    filter: EventFilter,
    node: u64,
    /// The last event that was seen or passed over.
    last: u64,
    backlog: VecDeque<Arc<Event>>,
    /// Told before anything else.
    missed: Option<Option<u64>>,
    live: broadcast::Receiver<Arc<Event>>,
    metrics: Arc<Metrics>,
}

/// There are too many followers already, or the node stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_SUBSCRIBERS} clients follow the events already, or the node is stopping")]
pub struct TooMany;

impl Events {
    pub(crate) fn new(node: u64, metrics: Arc<Metrics>) -> Self {
        Self {
            node,
            metrics,
            ring: Mutex::new(Ring {
                next: now_ms().saturating_mul(IDS_PER_MILLISECOND),
                kept: VecDeque::with_capacity(KEPT),
                live: Some(broadcast::Sender::new(WAITING)),
            }),
        }
    }

    /// Something has happened.
    pub(crate) fn tell(&self, group: Option<u64>, fsm: Option<String>, what: Happening) {
        let kind = what.kind().map_or("other", |kind| kind.word());
        self.metrics.events.emitted(kind);
        let mut ring = self.ring();
        let event = Arc::new(Event {
            id: ring.next,
            time_ms: now_ms(),
            node: self.node,
            group,
            fsm,
            what,
        });
        ring.next += 1;
        if ring.kept.len() == KEPT {
            ring.kept.pop_front();
        }
        ring.kept.push_back(Arc::clone(&event));
        if let Some(live) = &ring.live {
            // Nobody may be following.
            let _ = live.send(event);
        }
    }

    /// Follows the events after `from`, or from now on.
    ///
    /// # Errors
    /// If too many do already, or the node is stopping.
    pub fn subscribe(&self, filter: EventFilter, from: Option<u64>) -> Result<Subscriber, TooMany> {
        let ring = self.ring();
        let live = ring.live.as_ref().ok_or(TooMany)?;
        if self.metrics.events.subscribers.get() >= MAX_SUBSCRIBERS {
            return Err(TooMany);
        }
        self.metrics.events.subscribers.inc();
        let mut subscriber = Subscriber {
            filter,
            node: self.node,
            last: from.unwrap_or(ring.next - 1),
            backlog: VecDeque::new(),
            missed: None,
            live: live.subscribe(),
            metrics: Arc::clone(&self.metrics),
        };
        if let Some(from) = from {
            let oldest = ring.kept.front().map_or(ring.next, |event| event.id);
            if from + 1 < oldest {
                subscriber.missed = Some(None);
            }
            let after = ring.kept.iter().filter(|event| event.id > from);
            subscriber.backlog = after.cloned().collect();
        }
        Ok(subscriber)
    }

    /// Ends every stream: the node stops.
    pub(crate) fn close(&self) {
        self.ring().live = None;
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber {
    /// The next event that the filter lets through; `None` once the node stops.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some(missed) = self.missed.take() {
            return Some(self.lagged(missed));
        }
        loop {
            let event = match self.backlog.pop_front() {
                Some(event) => event,
                None => match self.live.recv().await {
                    Ok(event) => event,
                    Err(broadcast::error::RecvError::Lagged(count)) => {
                        self.metrics.events.lagged.inc_by(count);
                        self.last += count;
                        return Some(self.lagged(Some(count)));
                    }
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
            };
            self.last = self.last.max(event.id);
            if self.filter.wants(&event) {
                return Some((*event).clone());
            }
        }
    }

    fn lagged(&self, missed: Option<u64>) -> Event {
        Event {
            id: self.last,
            time_ms: now_ms(),
            node: self.node,
            group: None,
            fsm: None,
            what: Happening::Lagged { missed },
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.metrics.events.subscribers.dec();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events(node {})", self.node)
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("filter", &self.filter)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use coracle_client::EventKind;

    use super::*;

    fn events() -> Events {
        Events::new(1, Arc::new(Metrics::new()))
    }

    fn taken(index: u64) -> Happening {
        Happening::SnapshotTaken { index }
    }

    fn tell(events: &Events, index: u64) {
        events.tell(Some(3), Some("kv".into()), taken(index));
    }

    #[tokio::test]
    async fn a_follower_sees_what_its_filter_lets_through_in_order() {
        let events = events();
        let kinds = BTreeSet::from([EventKind::Snapshot]);
        let filter = EventFilter { kinds, fsm: None };
        let mut follower = events.subscribe(filter, None).unwrap();
        tell(&events, 1);
        events.tell(None, None, Happening::PeerUp { peer: 2 });
        tell(&events, 2);
        events.close();

        let mut seen = Vec::new();
        while let Some(event) = follower.next().await {
            seen.push(event.what);
        }
        assert_eq!(seen, [taken(1), taken(2)]);
    }

    #[tokio::test]
    async fn a_follower_that_comes_back_goes_on_where_it_was() {
        let events = events();
        let mut follower = events.subscribe(EventFilter::default(), None).unwrap();
        tell(&events, 1);
        let last = follower.next().await.unwrap().id;
        drop(follower);
        tell(&events, 2);
        tell(&events, 3);

        let mut back = events
            .subscribe(EventFilter::default(), Some(last))
            .unwrap();
        assert_eq!(back.next().await.unwrap().what, taken(2));
        assert_eq!(back.next().await.unwrap().what, taken(3));
    }

    #[tokio::test]
    async fn one_that_was_away_for_too_long_is_told_that_it_missed_some() {
        let events = events();
        let count = KEPT as u64 + 10;
        (0..count).for_each(|index| tell(&events, index));
        let mut back = events.subscribe(EventFilter::default(), Some(5)).unwrap();

        let first = back.next().await.unwrap().what;
        assert_eq!(first, Happening::Lagged { missed: None });
        assert_eq!(back.next().await.unwrap().what, taken(10));
    }

    #[tokio::test]
    async fn a_slow_follower_is_told_how_many_it_missed_and_holds_up_nobody() {
        let events = events();
        let mut slow = events.subscribe(EventFilter::default(), None).unwrap();
        let count = WAITING as u64 + 7;
        (0..count).for_each(|index| tell(&events, index));

        let first = slow.next().await.unwrap().what;
        assert_eq!(first, Happening::Lagged { missed: Some(7) });
        assert_eq!(slow.next().await.unwrap().what, taken(7));
    }

    #[test]
    fn followers_are_counted_and_bounded() {
        let events = events();
        let all: Vec<_> = (0..MAX_SUBSCRIBERS)
            .map(|_| events.subscribe(EventFilter::default(), None).unwrap())
            .collect();
        let refused = events.subscribe(EventFilter::default(), None);
        assert_eq!(refused.unwrap_err(), TooMany);
        drop(all);
        assert!(events.subscribe(EventFilter::default(), None).is_ok());
    }
}
