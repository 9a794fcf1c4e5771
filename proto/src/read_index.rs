//! ReadIndex (thesis §6.4): reads share rounds of heartbeats, named by the leader's own counter.

use std::collections::VecDeque;

use crate::core::Core;
use crate::leader::Leader;
use crate::quorum::committed_index;
use crate::{Effect, Index, ReadId, RefuseReason, ReplicaId};

/// Reads that share a round.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Batch {
    round: u64,
    /// The commit index when the round began.
    index: Index,
    reads: Vec<ReadId>,
}

/// Reads of one leader in one term. The counter never leaves the term, so that an echo of another
/// leader's round, or of a client's retry, confirms nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Reads {
    round: u64,
    /// For the next round; until the first commit of the term none begins.
    waiting: Vec<ReadId>,
    batches: VecDeque<Batch>,
}

impl Reads {
    /// The round under way or finished last.
    pub(crate) fn round(&self) -> u64 {
        self.round
    }

    /// Ends all reads.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = ReadId> + use<> {
        let batches = std::mem::take(&mut self.batches);
        let waiting = std::mem::take(&mut self.waiting);
        let batched = batches.into_iter().flat_map(|batch| batch.reads);
        batched.chain(waiting)
    }

    fn len(&self) -> usize {
        let batched: usize = self.batches.iter().map(|batch| batch.reads.len()).sum();
        batched + self.waiting.len()
    }

    fn begin(&mut self, index: Index) {
        self.round += 1;
        self.batches.push_back(Batch {
            round: self.round,
            index,
            reads: std::mem::take(&mut self.waiting),
        });
    }

    /// A quorum has echoed `round`.
    fn finish(&mut self, round: u64, mut ready: impl FnMut(ReadId, Index)) {
        while let Some(batch) = self.batches.pop_front_if(|batch| batch.round <= round) {
            batch
                .reads
                .into_iter()
                .for_each(|id| ready(id, batch.index));
        }
    }
}

impl Leader {
    pub(crate) fn read(&mut self, core: &mut Core, id: ReadId) {
        if self.reads.len() >= core.config.max_pending_reads {
            let reason = RefuseReason::Busy;
            core.out.events.push(Effect::ReadRefused { id, reason });
            return;
        }
        self.reads.waiting.push(id);
        self.start_waiting_round(core);
    }

    /// Begins a round unless one is under way: what comes in the meantime shares the next.
    pub(crate) fn start_waiting_round(&mut self, core: &mut Core) {
        if self.reads.batches.is_empty() {
            self.start_round(core);
        }
    }

    /// Begins a round for the reads that wait; false if there is none to begin. A round that
    /// began later also confirms those before it.
    pub(crate) fn start_round(&mut self, core: &mut Core) -> bool {
        if self.reads.waiting.is_empty() || !self.has_committed_in_term(core) {
            return false;
        }
        self.reads.begin(core.commit);
        self.broadcast_heartbeat(core);
        self.finish_rounds(core);
        true
    }

    /// Grants the reads whose round a quorum has echoed.
    pub(crate) fn finish_rounds(&mut self, core: &mut Core) {
        if self.reads.batches.is_empty() {
            return;
        }
        let (own, round) = (core.id(), self.reads.round());
        let echoed = |id: &ReplicaId| match self.peers.get(id) {
            Some(peer) => Some(peer.round),
            None => (*id == own).then_some(round),
        };
        let confirmed = committed_index(core.log.configuration(), echoed);
        let events = &mut core.out.events;
        self.reads.finish(confirmed, |id, index| {
            events.push(Effect::ReadReady { id, index });
        });
        self.start_waiting_round(core);
    }
}
