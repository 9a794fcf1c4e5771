//! What became of a command at apply, and what a rebuild must leave out.

use std::collections::BTreeMap;

use coracle_proto::Index;

use crate::task::{Answer, NotApplied, Outcome};

/// What became of one command or host entry: a function of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was executed.
    Applied(Outcome),
    /// It is a retry: this is the outcome of the first time.
    Replayed { index: Index, outcome: Outcome },
    /// Its key was used with another body.
    KeyReused,
    /// Too many commands failed since the last checkpoint.
    Suspended,
    /// It is larger than the fsm's limit.
    TooLarge { bytes: u64, limit: u64 },
    /// There is no state machine: not created, failed to start.
    NotRunning,
    /// The fsm is retired.
    Retired,
}

impl Verdict {
    /// Bytes of outcome it holds.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Applied(outcome) | Self::Replayed { outcome, .. } => outcome_len(outcome),
            _ => 0,
        }
    }

    /// The client's answer.
    pub(super) fn answer(&self, index: Index) -> Answer {
        let unavailable = |reason: &str| {
            Answer::NotApplied(NotApplied::Unavailable {
                reason: reason.into(),
            })
        };
        match self {
            Self::Applied(outcome) => Answer::Applied {
                index,
                outcome: outcome.clone(),
                replayed: false,
            },
            Self::Replayed { index, outcome } => Answer::Applied {
                index: *index,
                outcome: outcome.clone(),
                replayed: true,
            },
            Self::KeyReused => Answer::NotApplied(NotApplied::KeyReused),
            Self::TooLarge { bytes, limit } => Answer::NotApplied(NotApplied::TooLarge {
                bytes: *bytes,
                limit: *limit,
            }),
            Self::Suspended => Answer::NotApplied(NotApplied::Suspended {
                reason: "too many commands failed since the last checkpoint".into(),
            }),
            Self::NotRunning => unavailable("the state machine is not running"),
            Self::Retired => unavailable("the fsm is retired"),
        }
    }
}

/// Bytes an outcome holds.
pub(super) fn outcome_len(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Ok(bytes) | Outcome::Refused(bytes) => bytes.len(),
        Outcome::HostEntryFailed { message, .. } => message.len(),
        Outcome::Failed(_) | Outcome::Done => 0,
    }
}

/// What a rebuild does differently from "one call with the whole frame" at one entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Skipped {
    /// Ordinals that were cut or failed, ascending.
    pub(super) left_out: Vec<usize>,
    /// The others were applied each in a call of its own.
    pub(super) one_by_one: bool,
}

/// The entries since the last checkpoint that a rebuild must treat specially.
pub(super) type SkipList = BTreeMap<Index, Skipped>;
