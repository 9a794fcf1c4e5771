//! One replica: what it has asked to be written, and what of that is durable.

use std::collections::VecDeque;

use crate::event::{Configuration, Entry, HardState};
use crate::log::Log;
use crate::{Index, LogId};

/// What a replica has. The log is whole: a snapshot is a prefix of it, and only remembered by
/// where the rest begins.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Image {
    pub(crate) hosted: bool,
    pub(crate) hard_state: HardState,
    pub(crate) base: Configuration,
    pub(crate) log: Log,
    pub(crate) floor: Index,
}

/// A replica.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Replica {
    /// As it will be once everything asked for is durable.
    pub(crate) asked: Image,
    pub(crate) durable: Image,
    pub(crate) pending: VecDeque<Pending>,
    /// What it took for committed last, in this life.
    pub(crate) commit: Index,
    /// Its node has started, and did not say yet whether it found this replica.
    pub(crate) down: bool,
}

/// A write on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pending {
    pub(crate) id: Option<String>,
    pub(crate) delta: Delta,
}

/// What a write changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Delta {
    Host(Configuration, HardState),
    Append(Option<HardState>, Vec<Entry>),
    Install(Option<HardState>, Vec<Entry>),
    Compact(Index),
    Remove,
}

impl Image {
    pub(crate) fn last(&self) -> LogId {
        self.log.last()
    }

    /// The last configuration in the log.
    pub(crate) fn configuration(&self) -> &Configuration {
        let set = self.log.entry(self.log.configured_at());
        let set = set.and_then(|entry| entry.configuration.as_ref());
        set.unwrap_or(&self.base)
    }

    pub(crate) fn change(&mut self, delta: &Delta) {
        match delta {
            Delta::Host(base, hard_state) => {
                *self = Self {
                    hosted: true,
                    base: base.clone(),
                    hard_state: *hard_state,
                    ..Self::default()
                };
            }
            Delta::Append(hard_state, entries) => {
                self.hard_state = hard_state.unwrap_or(self.hard_state);
                self.log.put(entries);
            }
            Delta::Install(hard_state, entries) => {
                self.hard_state = hard_state.unwrap_or(self.hard_state);
                self.log.cut(0);
                self.log.put(entries);
                self.floor = self.log.len();
            }
            Delta::Compact(index) => self.floor = self.floor.max(*index),
            Delta::Remove => *self = Self::default(),
        }
    }
}

impl Replica {
    pub(crate) fn ask(&mut self, id: Option<&str>, delta: Delta) {
        self.asked.change(&delta);
        let id = id.map(str::to_owned);
        self.pending.push_back(Pending { id, delta });
    }

    /// Whether it cannot have ended: it exists, or would have been found again.
    pub(crate) fn must_exist(&self) -> bool {
        let mut pending = self.pending.iter();
        match self.down {
            false => self.asked.hosted,
            true => self.durable.hosted && !pending.any(|write| write.delta == Delta::Remove),
        }
    }
}
