//! The queue between two threads of a node.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A queue whose readers take what there is, all at once or a little at a time.
///
/// `push` is for items whose number is bounded by what was asked for (completions, writes that
/// the core's own in-flight limits allow); `offer` is for what comes from outside and is refused
/// above a limit.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                closed: false,
            }),
            filled: Condvar::new(),
        }
    }

    /// Adds an item. After `close` it is dropped.
    pub(super) fn push(&self, item: T) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return;
        }
        state.items.push_back(item);
        if state.items.len() == 1 {
            self.filled.notify_one();
        }
    }

    /// Adds many items, see `push`.
    pub(super) fn push_all(&self, items: impl IntoIterator<Item = T>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return;
        }
        let before = state.items.len();
        state.items.extend(items);
        if before == 0 && !state.items.is_empty() {
            self.filled.notify_one();
        }
    }

    /// Adds an item unless `limit` or more are waiting; gives it back if so.
    pub(super) fn offer(&self, item: T, limit: usize) -> Result<(), T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed || state.items.len() >= limit {
            return Err(item);
        }
        state.items.push_back(item);
        if state.items.len() == 1 {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Waits until something is there, the queue is closed, or `patience` ran out; moves all that
    /// is there (at most `most`) into `into`. Answers false once closed and empty.
    pub(super) fn take(&self, into: &mut Vec<T>, most: usize, patience: Option<Duration>) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |state: &mut State<T>| state.items.is_empty() && !state.closed;
        let mut state = match patience {
            None => self
                .filled
                .wait_while(state, idle)
                .unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                let waited = self.filled.wait_timeout_while(state, patience, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        let count = state.items.len().min(most);
        into.extend(state.items.drain(..count));
        if !state.items.is_empty() {
            // Whoever put them in woke one reader only.
            self.filled.notify_one();
        }
        !(state.closed && into.is_empty() && state.items.is_empty())
    }

    /// No more items are taken in; the reader ends when it has seen the rest.
    pub(super) fn close(&self) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closed = true;
        self.filled.notify_all();
    }

    /// Closes it and forgets what is waiting.
    pub(super) fn abandon(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        state.items.clear();
        self.filled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier, mpsc};
    use std::thread;

    use super::*;

    #[test]
    fn items_come_out_in_order_and_at_most_as_many_as_asked_for() {
        let queue = Queue::new();
        queue.push_all([1, 2, 3]);

        let mut out = Vec::new();
        assert!(queue.take(&mut out, 2, None));
        assert_eq!(out, [1, 2]);
    }

    #[test]
    fn an_offer_above_the_limit_is_given_back() {
        let queue = Queue::new();
        queue.push(1);
        assert_eq!(queue.offer(2, 1), Err(2));
        assert_eq!(queue.offer(2, 2), Ok(()));
    }

    #[test]
    fn a_closed_queue_is_drained_and_then_ends() {
        let queue = Queue::new();
        queue.push(1);
        queue.close();
        queue.push(2);

        let mut out = Vec::new();
        assert!(queue.take(&mut out, 10, None));
        assert_eq!(out, [1]);
        out.clear();
        assert!(!queue.take(&mut out, 10, None));
    }

    #[test]
    fn patience_runs_out_however_often_nothing_is_added() {
        let queue = Arc::new(Queue::<u32>::new());
        let pushing = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                while Arc::strong_count(&queue) > 1 {
                    queue.push_all([]);
                    queue.filled.notify_one();
                }
            })
        };

        let mut out = Vec::new();
        assert!(queue.take(&mut out, 10, Some(Duration::from_millis(20))));

        assert!(out.is_empty());
        drop(queue);
        pushing.join().unwrap();
    }

    #[test]
    fn what_one_reader_leaves_wakes_another() {
        let queue = Arc::new(Queue::new());
        let (took, taken) = mpsc::channel();
        let (begin, done) = (Arc::new(Barrier::new(3)), Arc::new(Barrier::new(3)));
        for _ in 0..2 {
            let (queue, took) = (Arc::clone(&queue), took.clone());
            let (begin, done) = (Arc::clone(&begin), Arc::clone(&done));
            thread::spawn(move || {
                let mut out = Vec::new();
                begin.wait();
                queue.take(&mut out, 1, None);
                took.send(out).unwrap();
                // Like a guest that takes its time: the other must get its item meanwhile.
                done.wait();
            });
        }

        begin.wait();
        // Only readers that wait already can be woken; nothing tells when they do.
        (0..1000).for_each(|_| thread::yield_now());
        queue.push_all([1, 2]);

        let mut seen = [(); 2].map(|()| taken.recv_timeout(Duration::from_secs(20)).unwrap());
        seen.sort();
        assert_eq!(seen, [[1], [2]]);
        done.wait();
    }
}
