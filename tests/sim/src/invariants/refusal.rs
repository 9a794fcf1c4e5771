//! A node that cannot keep its word says so: it stops, or does not start, with a typed error, and
//! only if its disk was given cause. Never does it go on in silence, and never does it panic.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use coracle_driver::{LogError, SnapshotError};
use coracle_proto::NodeId;

use super::{Check, violated};

const NAME: &str = "typed refusal";

/// What was done to a node's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    /// The power went, or is about to go in the middle of an operation.
    Power,
    /// An operation failed.
    Error,
    /// There was no room.
    Full,
    /// A failed sync has dropped what was to be synced.
    Dropped,
    /// A sync did nothing and said it had.
    Lie,
    /// Bits have turned.
    Damage,
}

impl Harm {
    /// Whether it leaves nothing behind once the process has been restarted.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Power | Self::Error | Self::Full)
    }
}

/// How a node refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The disk had no room.
    Full(String),
    /// The disk reported an error.
    Io(String),
    /// What is there is not what was written.
    Damaged(String),
    /// What was acknowledged is missing.
    Lost(String),
    /// Something else of the log or the snapshots: a mistake.
    Other(String),
    /// A state machine stopped, and the error was told only as text.
    Stopped(String),
    /// The core of a group stopped: its state, its disk or a peer did the impossible.
    Impossible(String),
}

impl Refusal {
    /// Whether the node never runs again as what it was.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Lost(_))
    }

    fn explained_by(&self, harm: Harm) -> bool {
        let about_data = matches!(harm, Harm::Dropped | Harm::Lie | Harm::Damage);
        match self {
            Self::Full(_) => harm == Harm::Full,
            Self::Io(_) => matches!(harm, Harm::Power | Harm::Error | Harm::Dropped),
            Self::Damaged(_) | Self::Lost(_) => about_data,
            Self::Other(_) => false,
            // For want of room a state machine waits.
            Self::Stopped(_) => harm != Harm::Full,
            Self::Impossible(_) => about_data,
        }
    }
}

/// A node stopped or did not start, like this.
pub(super) fn refused(at: NodeId, harms: &BTreeSet<Harm>, refusal: &Refusal) -> Check {
    if harms.iter().any(|harm| refusal.explained_by(*harm)) {
        return Ok(());
    }
    violated(NAME, format!("{at} stops by {refusal:?} after {harms:?}"))
}

impl From<&LogError> for Refusal {
    fn from(error: &LogError) -> Self {
        let text = error.to_string();
        match error {
            LogError::Io { source, .. } => io(source.kind(), text),
            LogError::Damaged { .. } => Self::Damaged(text),
            LogError::Lost { .. } => Self::Lost(text),
            LogError::Compacted { .. } | LogError::Engine { .. } => Self::Other(text),
        }
    }
}

impl From<&SnapshotError> for Refusal {
    fn from(error: &SnapshotError) -> Self {
        let text = error.to_string();
        match error {
            SnapshotError::Io { source, .. } => io(source.kind(), text),
            SnapshotError::Damaged { .. } => Self::Damaged(text),
            SnapshotError::Missing { .. } => Self::Other(text),
        }
    }
}

fn io(kind: ErrorKind, text: String) -> Refusal {
    match kind {
        ErrorKind::StorageFull => Refusal::Full(text),
        _ => Refusal::Io(text),
    }
}
