//! The thread that polls the node: consensus for all groups.

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use coracle_driver::{Event, Node, Outbox};

use super::alarm::Alarm;
use super::clock::Clock;
use super::queue::Queue;

/// Events from peers and clients that may wait; more are refused (peers repeat, clients are told).
const MAX_OUTSIDE_EVENTS: usize = 16_384;

/// An event, or a look at the node.
#[expect(clippy::large_enum_variant, reason = "nearly every item is an event")]
enum Item {
    Event(Event),
    Look(Box<dyn FnOnce(&Node) + Send>),
}

/// The way in.
#[derive(Clone)]
pub(super) struct Inbox(Arc<Queue<Item>>);

impl Inbox {
    pub(super) fn new() -> Self {
        Self(Arc::new(Queue::new()))
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
        alarm: Alarm,
        dispatch: impl FnMut(&mut Outbox) + Send + 'static,
    ) -> std::io::Result<Self> {
        let events = inbox.clone();
        let thread = std::thread::Builder::new()
            .name("consensus".to_owned())
            .spawn(move || {
                let _guard = alarm.guard();
                run(node, clock, &events, dispatch);
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

fn run(mut node: Node, clock: Clock, inbox: &Inbox, mut dispatch: impl FnMut(&mut Outbox)) {
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
        for item in items.drain(..) {
            match item {
                Item::Event(event) => events.push(event),
                Item::Look(look) => look(&node),
            }
        }
        node.turn(clock.now(), Clock::wall(), events.drain(..), &mut out);
        dispatch(&mut out);
    }
}
