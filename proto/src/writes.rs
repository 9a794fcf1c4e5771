//! Writes on their way to the disk, and the messages that wait for them.

use std::collections::VecDeque;

use crate::impossible::{Impossible, impossible};
use crate::mutant::mutant;
use crate::{Envelope, Index, PersistId, Term};

/// Writes on their way, above which appends from a leader are dropped (it sends them again) and
/// proposals are refused as busy.
pub(crate) const MAX_PENDING_WRITES: usize = 4096;

/// One write on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PendingWrite {
    pub(crate) id: PersistId,
    /// The log is durable up to here once it is done, unless truncated since.
    pub(crate) durable: Index,
    /// What may be said once it is done.
    pub(crate) sends: Vec<Envelope>,
}

/// All writes on their way, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Writes {
    sequence: u64,
    queue: VecDeque<PendingWrite>,
    /// The newest write that carries a hard state, while it is not durable.
    hard_state: Option<PersistId>,
}

impl Writes {
    /// A new write. `durable`: the last index of the log as of this write, 0 if it carries none.
    pub(crate) fn issue(&mut self, term: Term, durable: Index, hard_state: bool) -> PersistId {
        self.sequence += 1;
        let id = PersistId {
            term,
            sequence: self.sequence,
        };
        if hard_state {
            self.hard_state = Some(id);
        }
        self.queue.push_back(PendingWrite {
            id,
            durable,
            sends: Vec::new(),
        });
        id
    }

    /// This write and all before it are durable. A completion seen before is nothing new.
    pub(crate) fn complete(&mut self, id: PersistId) -> Result<Vec<PendingWrite>, Impossible> {
        if id.sequence > self.sequence {
            return impossible!("write {id} was completed but never asked for");
        }
        let done = self.queue.partition_point(|write| write.id <= id);
        if self.hard_state.is_some_and(|pending| pending <= id) {
            self.hard_state = None;
        }
        Ok(self.queue.drain(..done).collect())
    }

    /// Entries from here on are overwritten: writes on their way no longer make them durable.
    pub(crate) fn truncate(&mut self, from: Index) {
        for write in &mut self.queue {
            write.durable = write.durable.min(from.saturating_sub(1));
        }
    }

    /// Sends `envelope` once the newest hard state and, if `index` is not yet, the log up to
    /// there are durable; gives it back if nothing needs to be waited for.
    pub(crate) fn hold(
        &mut self,
        envelope: Envelope,
        index: Index,
        durable: Index,
    ) -> Option<Envelope> {
        let log_waits = index > durable;
        if mutant!(VoteBeforeSync) && !log_waits {
            return Some(envelope);
        }
        if !log_waits && self.hard_state.is_none() {
            return Some(envelope);
        }
        let hard_state = self.hard_state;
        let fits = |write: &PendingWrite| {
            hard_state.is_none_or(|id| write.id >= id) && (!log_waits || write.durable >= index)
        };
        // If no write makes it true, the claim will never be, and the message is dropped.
        if let Some(write) = self.queue.iter_mut().find(|write| fits(write)) {
            write.sends.push(envelope);
        }
        None
    }

    pub(crate) fn hard_state_is_durable(&self) -> bool {
        self.hard_state.is_none()
    }

    pub(crate) fn oldest(&self) -> Option<PersistId> {
        self.queue.front().map(|write| write.id)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= MAX_PENDING_WRITES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GroupId;
    use crate::testing::{heartbeat_reply, replica};

    fn envelope() -> Envelope {
        Envelope {
            group: GroupId(7),
            from: replica(1),
            to: replica(2),
            term: 1,
            message: heartbeat_reply(0),
        }
    }

    fn released(writes: &mut Writes, id: PersistId) -> usize {
        let done = writes.complete(id).expect("issued");
        done.iter().map(|write| write.sends.len()).sum()
    }

    #[test]
    fn a_message_waits_for_the_first_write_that_makes_it_true() {
        let mut writes = Writes::default();
        let first = writes.issue(1, 5, false);
        let second = writes.issue(1, 9, false);
        assert_eq!(writes.hold(envelope(), 3, 3), Some(envelope()));
        assert_eq!(writes.hold(envelope(), 5, 3), None);
        assert_eq!(writes.hold(envelope(), 6, 3), None);
        assert_eq!(released(&mut writes, first), 1);
        assert_eq!(released(&mut writes, second), 1);
    }

    #[test]
    fn everything_waits_for_the_hard_state() {
        let mut writes = Writes::default();
        writes.issue(1, 5, false);
        let vote = writes.issue(2, 5, true);
        let later = writes.issue(2, 6, false);
        assert_eq!(writes.hold(envelope(), 5, 3), None);
        assert_eq!(writes.hold(envelope(), 0, 3), None);
        assert_eq!(released(&mut writes, vote), 2);
        assert!(writes.hard_state_is_durable());
        assert_eq!(writes.oldest(), Some(later));
    }

    #[test]
    fn a_truncated_claim_is_never_said() {
        let mut writes = Writes::default();
        let id = writes.issue(1, 5, false);
        writes.truncate(4);
        assert_eq!(writes.hold(envelope(), 5, 3), None);
        assert_eq!(released(&mut writes, id), 0);
    }

    #[test]
    fn completions_are_taken_once_and_only_of_what_was_asked() {
        let mut writes = Writes::default();
        let first = writes.issue(1, 1, false);
        let second = writes.issue(1, 2, false);
        assert_eq!(writes.complete(second).expect("issued").len(), 2);
        assert_eq!(writes.complete(first).expect("issued").len(), 0);
        let unknown = PersistId {
            term: 1,
            sequence: 3,
        };
        assert!(writes.complete(unknown).is_err());
    }
}
