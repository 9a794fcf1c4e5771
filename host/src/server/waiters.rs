//! Clients that wait for an answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use coracle_driver::task::{Answer, NotApplied, Ticket};
use tokio::sync::oneshot;

/// Clients that may wait at once on one node; more are refused as busy.
const MAX_WAITERS: usize = 65_536;

/// The table from tickets to the clients behind them.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    next: AtomicU64,
    waiting: Mutex<HashMap<Ticket, oneshot::Sender<Answer>>>,
}

/// A client's place in the table; leaves it when dropped.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) ticket: Ticket,
    answer: oneshot::Receiver<Answer>,
    table: Arc<Waiters>,
}

impl Waiters {
    /// Takes a place.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Waiter, NotApplied> {
        let ticket = Ticket(self.next.fetch_add(1, Ordering::Relaxed) + 1);
        let (sender, answer) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MAX_WAITERS {
            return Err(NotApplied::Busy);
        }
        waiting.insert(ticket, sender);
        Ok(Waiter {
            ticket,
            answer,
            table: Arc::clone(self),
        })
    }

    /// Hands an answer over. Nobody may be there any more: a client that timed out has left.
    pub(super) fn answer(&self, ticket: Ticket, answer: Answer) {
        let sender = self
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&ticket);
        if let Some(sender) = sender {
            // The receiver is dropped between its timeout and its leaving the table.
            let _ = sender.send(answer);
        }
    }

    /// Ends every wait: the node stops.
    pub(super) fn abandon(&self) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

impl Waiter {
    /// The answer, or `None` if the node stopped.
    pub(super) async fn wait(mut self) -> Option<Answer> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.table
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_reaches_the_client_that_waits_for_it() {
        let waiters = Arc::new(Waiters::default());
        let first = waiters.enter().unwrap();
        let second = waiters.enter().unwrap();

        waiters.answer(second.ticket, Answer::ReadAt { index: 2 });
        waiters.answer(first.ticket, Answer::ReadAt { index: 1 });

        assert_eq!(first.wait().await, Some(Answer::ReadAt { index: 1 }));
        assert_eq!(second.wait().await, Some(Answer::ReadAt { index: 2 }));
        assert_eq!(waiters.len(), 0);
    }

    #[tokio::test]
    async fn a_client_that_leaves_frees_its_place() {
        let waiters = Arc::new(Waiters::default());
        let ticket = {
            let waiter = waiters.enter().unwrap();
            waiter.ticket
        };

        waiters.answer(ticket, Answer::ReadAt { index: 1 });

        assert_eq!(waiters.len(), 0);
    }

    #[tokio::test]
    async fn a_stopping_node_ends_every_wait() {
        let waiters = Arc::new(Waiters::default());
        let waiter = waiters.enter().unwrap();

        waiters.abandon();

        assert_eq!(waiter.wait().await, None);
    }
}
