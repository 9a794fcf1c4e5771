//! The thread that polls the node: consensus for all groups.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use coracle_driver::{Event, Node, Outbox};
use coracle_proto::Envelope;
use coracle_transport::codec;

use super::alarm::Alarm;
use super::clock::Clock;
use super::event_trace::EventTrace;
use super::queue::Queue;
use crate::metrics::Metrics;

/// Events from peers and clients that may wait; more are refused (peers repeat, clients are told).
const MAX_OUTSIDE_EVENTS: usize = 16_384;

/// Bytes of messages from peers that may wait; above, more are refused. One batch always fits.
const MAX_WAITING_BYTES: usize = 64 << 20;

/// An event, or a look at the node.
#[expect(clippy::large_enum_variant, reason = "nearly every item is an event")]
enum Item {
    Event(Event),
    /// Messages of a peer, and their size.
    Received(Vec<Envelope>, usize),
    Look(Box<dyn FnOnce(&Node) + Send>),
}

/// The way in.
#[derive(Clone)]
pub(super) struct Inbox(Arc<Queue<Item>>, Arc<Waiting>);

/// Bytes of messages that wait.
#[derive(Debug, Default)]
struct Waiting(AtomicUsize);

impl Waiting {
    /// Counts them, unless that would be too many.
    fn add(&self, bytes: usize) -> bool {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        let fits = before == 0 || before + bytes <= MAX_WAITING_BYTES;
        if !fits {
            self.remove(bytes);
        }
        fits
    }

    fn remove(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self(Arc::new(Queue::new()), Arc::default())
    }

    /// Adds a completion of something the node asked for.
    pub(super) fn push(&self, event: Event) {
        self.0.push(Item::Event(event));
    }

    /// Adds completions of what the node asked for.
    pub(super) fn push_all(&self, events: impl IntoIterator<Item = Event>) {
        self.0.push_all(events.into_iter().map(Item::Event));
    }

    /// Adds an event from outside; false if too many wait.
    pub(super) fn offer(&self, event: Event) -> bool {
        self.0.offer(Item::Event(event), MAX_OUTSIDE_EVENTS).is_ok()
    }

    /// Adds messages of a peer; false if too many, or too many bytes of them, wait.
    pub(super) fn receive(&self, envelopes: Vec<Envelope>) -> bool {
        let bytes = envelopes.iter().map(codec::weight).sum();
        if !self.1.add(bytes) {
            return false;
        }
        let offered = self
            .0
            .offer(Item::Received(envelopes, bytes), MAX_OUTSIDE_EVENTS);
        if offered.is_err() {
            self.1.remove(bytes);
        }
        offered.is_ok()
    }

    /// Looks at the node between two turns; `None` if it stopped or is overloaded.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let item = Item::Look(Box::new(move |node| {
            // The one who asked may have gone.
            let _ = sender.send(look(node));
        }));
        self.0.offer(item, MAX_OUTSIDE_EVENTS).ok()?;
        receiver.await.ok()
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inbox")
    }
}

/// The running thread.
#[derive(Debug)]
pub(super) struct Consensus {
    inbox: Inbox,
    thread: Option<JoinHandle<()>>,
}

impl Consensus {
    /// Starts it. `dispatch` does what a turn wants done; it must not block.
    pub(super) fn start(
        node: Node,
        clock: Clock,
        inbox: Inbox,
        metrics: Arc<Metrics>,
        alarm: Alarm,
        trace: Option<EventTrace>,
        dispatch: impl FnMut(&mut Outbox) + Send + 'static,
    ) -> std::io::Result<Self> {
        let events = inbox.clone();
        let thread = std::thread::Builder::new()
            .name("consensus".to_owned())
            .spawn(move || {
                let _guard = alarm.guard();
                run(node, clock, &events, &metrics, trace, dispatch);
            })?;
        Ok(Self {
            inbox,
            thread: Some(thread),
        })
    }

    /// Ends it before the next turn.
    pub(super) fn stop(&mut self) {
        self.inbox.0.abandon();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn run(
    mut node: Node,
    clock: Clock,
    inbox: &Inbox,
    metrics: &Metrics,
    mut trace: Option<EventTrace>,
    mut dispatch: impl FnMut(&mut Outbox),
) {
    let mut items = Vec::new();
    let mut events = Vec::new();
    let mut out = Outbox::default();
    loop {
        let patience = node
            .deadline()
            .map(|deadline| deadline.since(clock.now()).max(Duration::from_micros(100)));
        if !inbox.0.take(&mut items, Node::MAX_EVENTS, patience) {
            return;
        }
        let began = Instant::now();
        for item in items.drain(..) {
            match item {
                Item::Event(event) => events.push(event),
                Item::Received(envelopes, bytes) => {
                    inbox.1.remove(bytes);
                    events.push(Event::Received(envelopes));
                }
                Item::Look(look) => look(&node),
            }
        }
        if let Some(trace) = &mut trace {
            trace.takes(&events);
        }
        node.turn(clock.now(), Clock::wall(), events.drain(..), &mut out);
        if let Some(trace) = &mut trace {
            trace.turned(&out);
        }
        dispatch(&mut out);
        metrics.raft.consensus_thread().since(began);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use coracle_proto::{Entry, EntryKind, GroupId, LogId, Message, NodeId, ReplicaId};

    use super::*;

    fn append(bytes: usize) -> Envelope {
        let replica = |node| ReplicaId {
            node: NodeId(node),
            born: 0,
        };
        Envelope {
            group: GroupId(1),
            from: replica(1),
            to: replica(2),
            term: 1,
            message: Message::Append {
                prev: LogId { term: 0, index: 0 },
                entries: vec![Entry {
                    term: 1,
                    index: 1,
                    kind: EntryKind::Normal,
                    payload: Bytes::from(vec![0; bytes]),
                }],
                commit: 0,
            },
        }
    }

    #[test]
    fn messages_are_refused_by_their_bytes_long_before_their_number_is_too_large() {
        let inbox = Inbox::new();
        let batch = || vec![append(MAX_WAITING_BYTES / 4)];

        let taken = (0..10).filter(|_| inbox.receive(batch())).count();

        assert_eq!(
            taken, 3,
            "the fourth would be above the limit by its framing"
        );
        let mut items = Vec::new();
        assert!(inbox.0.take(&mut items, 1, None));
        for item in items {
            let Item::Received(_, bytes) = item else {
                panic!("only messages were put in");
            };
            inbox.1.remove(bytes);
        }
        assert!(inbox.receive(batch()), "there is room again");
    }

    #[test]
    fn one_batch_is_taken_however_large() {
        let inbox = Inbox::new();
        assert!(inbox.receive(vec![append(MAX_WAITING_BYTES)]));
        assert!(!inbox.receive(vec![append(1)]));
    }
}
