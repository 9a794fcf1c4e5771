//! What every role shares: hard state, log, commit index, writes under way, and the outbox.

use std::collections::BTreeSet;

use crate::clock::Clock;
use crate::impossible::{Impossible, impossible};
use crate::log::Log;
use crate::mutant::mutant;
use crate::writes::Writes;
use crate::{
    Config, Configuration, Effect, Effects, Entry, Envelope, HardState, Index, LogId, Message,
    NodeId, PersistId, ReplicaId, SnapshotMeta, Term,
};

/// What one step wants done; empty between steps.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Outbox {
    /// Term or vote changed.
    pub(crate) hard_state: bool,
    pub(crate) entries: Vec<Entry>,
    pub(crate) install: Option<SnapshotMeta>,
    /// Messages, each with the index up to which the log has to be durable first.
    sends: Vec<(Index, Envelope)>,
    /// Effects that wait for nothing.
    pub(crate) events: Effects,
}

impl Outbox {
    /// Only the answers to proposals and reads, which are owed whatever happens.
    pub(crate) fn into_terminal(self) -> impl Iterator<Item = Effect> {
        self.events.into_iter().filter(|effect| {
            matches!(
                effect,
                Effect::Accepted { .. }
                    | Effect::Refused { .. }
                    | Effect::ReadReady { .. }
                    | Effect::ReadRefused { .. }
                    | Effect::TransferEnded { .. }
            )
        })
    }
}

/// What every role shares.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) hard_state: HardState,
    pub(crate) log: Log,
    pub(crate) commit: Index,
    /// The last index told in [`Effect::Commit`], or covered by the snapshot.
    pub(crate) announced: Index,
    /// While the own log does not: highest term of a log that was seen to have this replica in
    /// its configuration, or a term above it.
    pub(crate) known_in: Term,
    /// Index of the last configuration told in [`Effect::ConfigurationCommitted`].
    pub(crate) configuration_told: Index,
    pub(crate) writes: Writes,
    /// Questions about read points asked of leaders so far, from a random number on.
    pub(crate) questions: u64,
    /// Nodes that the transport reported down and that were not heard since.
    pub(crate) down: BTreeSet<NodeId>,
    pub(crate) clock: Clock,
    pub(crate) out: Outbox,
}

impl Core {
    pub(crate) fn id(&self) -> ReplicaId {
        self.config.id
    }

    pub(crate) fn term(&self) -> Term {
        self.hard_state.term
    }

    pub(crate) fn set_hard_state(&mut self, hard_state: HardState) {
        let unwritten = mutant!(VoteNotWritten) && self.hard_state.term == hard_state.term;
        self.out.hard_state |= self.hard_state != hard_state && !unwritten;
        self.hard_state = hard_state;
    }

    /// Whether this replica may campaign: it votes in the configuration in force, or in one below it
    /// that may be the last committed one, so that a change that takes its vote is not committed
    /// (thesis §4.2.2): its log may be the longest. Never a witness, whose log lacks the payloads.
    pub(crate) fn is_promotable(&self) -> bool {
        let id = self.id();
        let electable = |c: &Configuration| c.is_voter(id) && !c.is_witness(id);
        let committed = self.configuration_committed();
        let mut above = self.log.configurations(committed.index, Index::MAX);
        electable(committed) || above.any(electable)
    }

    /// Says something as of the current term, once that term is durable.
    pub(crate) fn send(&mut self, to: ReplicaId, message: Message) {
        self.send_durable(to, message, 0);
    }

    /// Says something once the log up to `index` is durable as well.
    pub(crate) fn send_durable(&mut self, to: ReplicaId, message: Message, index: Index) {
        self.send_in(to, self.term(), message, index);
    }

    /// Says something as of another term: pre-votes.
    pub(crate) fn send_as_of(&mut self, to: ReplicaId, term: Term, message: Message) {
        self.send_in(to, term, message, 0);
    }

    fn send_in(&mut self, to: ReplicaId, term: Term, message: Message, index: Index) {
        let envelope = Envelope {
            group: self.config.group,
            from: self.id(),
            to,
            term,
            message,
        };
        self.out.sends.push((index, envelope));
    }

    /// Appends one entry to the log and to the write of this step.
    pub(crate) fn append(&mut self, entry: Entry) -> Result<(), Impossible> {
        self.log.append(entry.clone())?;
        self.out.entries.push(entry);
        Ok(())
    }

    /// Drops `from` and everything after it, to be overwritten in this step.
    pub(crate) fn truncate(&mut self, from: Index) {
        self.known_in = self.known_in.max(self.term());
        self.log.truncate(from);
        self.writes.truncate(from);
    }

    /// The write with this id is durable, and with it all before: says what waited for them.
    pub(crate) fn on_persisted(&mut self, id: PersistId) -> Result<(), Impossible> {
        for write in self.writes.complete(id)? {
            self.log.persisted(write.durable);
            for envelope in write.sends {
                // Whatever was claimed in an older term is of no use to anybody.
                if envelope.term >= self.hard_state.term {
                    self.out.events.push(Effect::Send(envelope));
                }
            }
        }
        Ok(())
    }

    /// Entries up to `floor` are gone from the log, covered by a snapshot.
    pub(crate) fn on_compacted(
        &mut self,
        floor: LogId,
        snapshot: &SnapshotMeta,
    ) -> Result<(), Impossible> {
        self.log.snapshot_taken(snapshot.last);
        // A snapshot installed in the meantime may have put the floor higher.
        if floor.index <= self.log.floor().index {
            return Ok(());
        }
        if floor.index > self.announced || !self.log.holds(floor) {
            let announced = self.announced;
            return impossible!("the log was compacted to {floor}, announced up to {announced}");
        }
        self.log.compact(floor);
        Ok(())
    }

    /// Announces what is committed and durable here.
    pub(crate) fn announce_commit(&mut self) {
        let mut index = self.commit.min(self.log.durable());
        if mutant!(ApplyUnsynced) {
            index = self.commit;
        }
        if index > self.announced {
            self.announced = index;
            self.out.events.push(Effect::Commit { index });
        }
    }

    /// Turns the outbox into effects: the write, what may be said beside it, and the rest.
    pub(crate) fn flush(&mut self, effects: &mut Effects) {
        let out = std::mem::take(&mut self.out);
        let hard_state = out.hard_state.then_some(self.hard_state);
        if hard_state.is_some() || !out.entries.is_empty() || out.install.is_some() {
            let last = self.log.last().index;
            let id = self.writes.issue(self.term(), last, hard_state.is_some());
            effects.push(match out.install {
                Some(meta) => Effect::InstallSnapshot {
                    id,
                    hard_state,
                    meta,
                    truncate: !mutant!(SnapshotKeepsTail),
                },
                None => Effect::Persist {
                    id,
                    hard_state,
                    entries: out.entries,
                },
            });
        }
        let durable = self.log.durable();
        for (index, envelope) in out.sends {
            if let Some(envelope) = self.writes.hold(envelope, index, durable) {
                effects.push(Effect::Send(envelope));
            }
        }
        effects.extend(out.events);
    }
}
