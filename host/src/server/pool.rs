//! Threads that run state machines. Each fsm is an actor: its messages are handled in order by
//! one thread at a time, so that one tenant's slow guest holds up one thread, never a queue.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use coracle_proto::GroupId;

use super::alarm::Alarm;
use super::queue::Queue;

/// Something that handles messages one batch at a time.
pub(super) trait Actor: Send + 'static {
    /// What it is told.
    type Message: Send;
    /// Handles some of what is waiting. True: run again even without new messages.
    fn handle(&mut self, messages: &mut VecDeque<Self::Message>) -> bool;
    /// It was taken out of the pool: whoever still waits for it, in a message or elsewhere, is to
    /// be told. It is dropped afterwards.
    fn end(&mut self, messages: VecDeque<Self::Message>);
}

/// A pool of threads over actors, one actor per group.
pub(super) struct Pool<A: Actor> {
    actors: Mutex<BTreeMap<GroupId, Arc<Slot<A>>>>,
    ready: Arc<Queue<Arc<Slot<A>>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Slot<A: Actor> {
    mailbox: Mutex<Mailbox<A::Message>>,
    actor: Mutex<A>,
}

struct Mailbox<M> {
    messages: VecDeque<M>,
    /// In the ready queue or in the hands of a thread.
    scheduled: bool,
    removed: bool,
}

impl<A: Actor> Pool<A> {
    /// Starts `threads` threads of `stack` bytes each.
    pub(super) fn start(
        name: &str,
        threads: usize,
        stack: usize,
        alarm: &Alarm,
    ) -> std::io::Result<Self> {
        let ready: Arc<Queue<Arc<Slot<A>>>> = Arc::new(Queue::new());
        let mut handles = Vec::new();
        for number in 0..threads {
            let ready = Arc::clone(&ready);
            let guard = alarm.guard();
            let thread = std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .stack_size(stack)
                .spawn(move || {
                    let _guard = guard;
                    serve(&ready);
                })?;
            handles.push(thread);
        }
        Ok(Self {
            actors: Mutex::default(),
            ready,
            threads: Mutex::new(handles),
        })
    }

    /// Adds a group's actor and lets it run once.
    pub(super) fn add(&self, group: GroupId, actor: A) {
        let mailbox = Mailbox {
            messages: VecDeque::new(),
            scheduled: true,
            removed: false,
        };
        let slot = Arc::new(Slot {
            mailbox: Mutex::new(mailbox),
            actor: Mutex::new(actor),
        });
        self.actors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(group, Arc::clone(&slot));
        self.ready.push(slot);
    }

    /// Takes a group's actor out. It ends on a thread of the pool, after what it is doing now.
    pub(super) fn remove(&self, group: GroupId) {
        let slot = self
            .actors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&group);
        if let Some(slot) = slot {
            let mut mailbox = slot.mailbox.lock().unwrap_or_else(PoisonError::into_inner);
            mailbox.removed = true;
            if !mailbox.scheduled {
                mailbox.scheduled = true;
                drop(mailbox);
                self.ready.push(slot);
            }
        }
    }

    /// Tells a group's actor something, unless `limit` messages are waiting; gives it back if so,
    /// or if there is no such actor.
    pub(super) fn tell(
        &self,
        group: GroupId,
        message: A::Message,
        limit: usize,
    ) -> Result<(), A::Message> {
        let slot = self
            .actors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&group)
            .cloned();
        let Some(slot) = slot else {
            return Err(message);
        };
        let mut mailbox = slot.mailbox.lock().unwrap_or_else(PoisonError::into_inner);
        if mailbox.removed || mailbox.messages.len() >= limit {
            return Err(message);
        }
        mailbox.messages.push_back(message);
        if !mailbox.scheduled {
            mailbox.scheduled = true;
            drop(mailbox);
            self.ready.push(slot);
        }
        Ok(())
    }

    /// The groups that have an actor here.
    pub(super) fn groups(&self) -> Vec<GroupId> {
        self.actors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .copied()
            .collect()
    }

    /// Stops the threads after what they are doing now.
    pub(super) fn stop(&self) {
        self.ready.abandon();
        let threads: Vec<_> = self
            .threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
            .collect();
        for thread in threads {
            // A panic in a thread was reported when it happened.
            let _ = thread.join();
        }
        self.actors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

impl<A: Actor> fmt::Debug for Pool<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("groups", &self.groups())
            .finish_non_exhaustive()
    }
}

fn serve<A: Actor>(ready: &Queue<Arc<Slot<A>>>) {
    let mut batch = Vec::with_capacity(1);
    while ready.take(&mut batch, 1, None) {
        for slot in batch.drain(..) {
            run_once(ready, slot);
        }
    }
}

fn run_once<A: Actor>(ready: &Queue<Arc<Slot<A>>>, slot: Arc<Slot<A>>) {
    let (mut messages, removed) = {
        let mut mailbox = slot.mailbox.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut mailbox.messages), mailbox.removed)
    };
    let mut actor = slot.actor.lock().unwrap_or_else(PoisonError::into_inner);
    if removed {
        actor.end(messages);
        return;
    }
    let again = actor.handle(&mut messages);
    drop(actor);
    let mut mailbox = slot.mailbox.lock().unwrap_or_else(PoisonError::into_inner);
    // What it left over stays before what came meanwhile.
    for message in messages.into_iter().rev() {
        mailbox.messages.push_front(message);
    }
    if again || mailbox.removed || !mailbox.messages.is_empty() {
        drop(mailbox);
        ready.push(slot);
    } else {
        mailbox.scheduled = false;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::sync::mpsc::RecvTimeoutError::Disconnected;
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    struct Echo(mpsc::Sender<u32>);

    impl Actor for Echo {
        type Message = u32;

        fn handle(&mut self, messages: &mut VecDeque<u32>) -> bool {
            if let Some(message) = messages.pop_front() {
                self.0.send(message).unwrap();
            }
            false
        }

        fn end(&mut self, messages: VecDeque<u32>) {
            for message in messages {
                self.0.send(1000 + message).unwrap();
            }
        }
    }

    #[test]
    fn messages_are_handled_in_order_even_when_an_actor_leaves_some() {
        let pool = Pool::start("test", 2, 1 << 20, &Alarm::new()).unwrap();
        let (sender, receiver) = mpsc::channel();
        pool.add(GroupId(7), Echo(sender));

        for number in 0..100 {
            pool.tell(GroupId(7), number, 1000).unwrap();
        }

        let seen: Vec<u32> = receiver.iter().take(100).collect();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        pool.stop();
    }

    #[test]
    fn a_message_for_a_group_that_is_not_here_is_given_back() {
        let pool: Pool<Echo> = Pool::start("test", 1, 1 << 20, &Alarm::new()).unwrap();
        assert_eq!(pool.tell(GroupId(1), 5, 10), Err(5));
        pool.stop();
    }

    /// Handles what it is told when it is let go.
    struct Held {
        go: mpsc::Receiver<()>,
        seen: mpsc::Sender<(&'static str, Vec<u32>)>,
    }

    impl Actor for Held {
        type Message = u32;

        fn handle(&mut self, messages: &mut VecDeque<u32>) -> bool {
            self.seen
                .send(("handles", messages.drain(..).collect()))
                .unwrap();
            self.go.recv().unwrap();
            false
        }

        fn end(&mut self, messages: VecDeque<u32>) {
            self.seen.send(("ends", messages.into())).unwrap();
        }
    }

    #[test]
    fn an_actor_that_is_removed_while_it_works_ends_with_what_it_missed() {
        for missed in [vec![], vec![1, 2]] {
            let pool = Pool::start("test", 1, 1 << 20, &Alarm::new()).unwrap();
            let ((let_go, go), (seen, saw)) = (mpsc::channel(), mpsc::channel());
            pool.add(GroupId(7), Held { go, seen });
            assert_eq!(saw.recv_timeout(PATIENCE), Ok(("handles", vec![])));

            for message in &missed {
                pool.tell(GroupId(7), *message, 10).unwrap();
            }
            pool.remove(GroupId(7));
            assert_eq!(pool.tell(GroupId(7), 9, 10), Err(9));
            let_go.send(()).unwrap();

            assert_eq!(saw.recv_timeout(PATIENCE), Ok(("ends", missed)));
            assert_eq!(saw.recv_timeout(PATIENCE), Err(Disconnected), "and dropped");
            pool.stop();
        }
    }

    #[test]
    fn an_idle_actor_that_is_removed_ends_as_well() {
        let pool = Pool::start("test", 1, 1 << 20, &Alarm::new()).unwrap();
        let (sender, receiver) = mpsc::channel();
        pool.add(GroupId(7), Echo(sender));

        pool.remove(GroupId(7));

        assert_eq!(
            receiver.recv_timeout(PATIENCE).unwrap_err(),
            Disconnected,
            "it is dropped"
        );
        pool.stop();
    }
}
