//! Log entries.

use bytes::Bytes;

use crate::{Index, LogId, Term};

/// What the payload of an entry is to the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// A leader's first entry of its term; empty payload (thesis §6.4).
    Noop = 0,
    /// Opaque to the core; the driver's framing says what is inside.
    Normal = 1,
    /// A [`Configuration`](crate::Configuration) in its encoded form.
    Configuration = 2,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Term in which a leader appended it.
    pub term: Term,
    /// Its position.
    pub index: Index,
    /// What the payload is.
    pub kind: EntryKind,
    /// The payload, immutable and shared between core, log, wire and apply.
    pub payload: Bytes,
}

impl Entry {
    /// Identity of this entry.
    pub fn id(&self) -> LogId {
        LogId {
            term: self.term,
            index: self.index,
        }
    }
}
