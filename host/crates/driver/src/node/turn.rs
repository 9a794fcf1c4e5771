//! What one turn of a node has at hand.

use std::collections::BTreeSet;

use coracle_proto::{GroupId, Instant, NodeId, PersistId};

use crate::LogReader;
use crate::task::{Answer, NotApplied, Task, Ticket};

use super::random::Jitter;
use super::strangers::Strangers;
use super::{Entropy, NodeConfig, Outbox};

/// The term in the ids of the node's own writes; no core ever gets there.
const OWN: u64 = u64::MAX;

/// What the groups of a node share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) entropy: Box<dyn Entropy>,
    pub(super) jitter: Jitter,
    pub(super) low_space: bool,
    /// Nodes that are reported down.
    pub(super) down: BTreeSet<NodeId>,
    names: u64,
}

impl Shared {
    pub(super) fn new(entropy: Box<dyn Entropy>, seed: u64) -> Self {
        Self {
            entropy,
            jitter: Jitter::new(seed),
            low_space: false,
            down: BTreeSet::new(),
            names: 0,
        }
    }

    /// A name that was not given before.
    pub(super) fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    /// The id of a write of the node itself.
    pub(super) fn own_id(&mut self) -> PersistId {
        PersistId {
            term: OWN,
            sequence: self.name(),
        }
    }
}

/// One turn: time, settings, and where to put what is to be done.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) now: Instant,
    pub(super) wall: u64,
    pub(super) config: &'a mut NodeConfig,
    pub(super) strangers: Strangers,
    pub(super) log: &'a dyn LogReader,
    pub(super) shared: &'a mut Shared,
    pub(super) out: &'a mut Outbox,
    /// Reads of the log that are left in this turn.
    pub(super) log_reads: usize,
    /// Bytes that may still be read in this turn.
    pub(super) log_read_bytes: usize,
}

impl Turn<'_> {
    pub(super) fn task(&mut self, group: GroupId, task: Task) {
        self.out.tasks.push((group, task));
    }

    pub(super) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.out.answers.push((ticket, answer));
    }

    pub(super) fn refuse(&mut self, ticket: Ticket, refusal: NotApplied) {
        self.answer(ticket, Answer::NotApplied(refusal));
    }
}

/// Whether a write is the node's own, not a core's.
pub(super) fn is_own(id: PersistId) -> bool {
    id.term == OWN
}
