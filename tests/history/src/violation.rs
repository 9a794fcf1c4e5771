//! What a check says.

use std::fmt;

use serde::Serialize;

/// Which promise is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The history itself makes no sense: a mistake of the harness.
    Malformed,
    /// An operation took effect twice, or its answers differ.
    ExactlyOnce,
    /// An operation was answered, but is not in the log, or at another index.
    Lost,
    /// An operation was called not applied, but is in the log.
    NotApplied,
    /// The log has a command of no operation.
    Unasked,
    /// A command lies in the log before what was answered before it was asked.
    RealTime,
    /// A read saw what was asked only after it was answered.
    Future,
    /// A linearizable or lease read missed what was answered before it was asked.
    StaleRead,
    /// A stale read was older than its bound.
    TooStale,
    /// A read went back behind the index that its client had asked for.
    WentBack,
    /// The order of the log does not explain an answer.
    Value,
    /// No order of the operations of a key explains the answers.
    NoOrder,
    /// The search gave up: more steps or more open operations than its bounds.
    Undecided,
}

/// A history that a single copy could not have shown, or that could not be decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which promise is broken.
    pub rule: Rule,
    /// With the values.
    pub detail: String,
    /// The operations it shows in, by id.
    pub operations: Vec<u64>,
}

impl Violation {
    pub(crate) fn new(rule: Rule, operations: &[u64], detail: impl Into<String>) -> Self {
        Self {
            rule,
            detail: detail.into(),
            operations: operations.to_vec(),
        }
    }
}

impl Rule {
    /// Its name, as in the JSON form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::ExactlyOnce => "exactly_once",
            Self::Lost => "lost",
            Self::NotApplied => "not_applied",
            Self::Unasked => "unasked",
            Self::RealTime => "real_time",
            Self::Future => "future",
            Self::StaleRead => "stale_read",
            Self::TooStale => "too_stale",
            Self::WentBack => "went_back",
            Self::Value => "value",
            Self::NoOrder => "no_order",
            Self::Undecided => "undecided",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.detail)
    }
}

impl std::error::Error for Violation {}

/// What was checked, of a history without a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Operations.
    pub operations: u64,
    /// Of these, answered.
    pub answered: u64,
    /// Of these, commands whose fate their client does not know.
    pub unknown: u64,
    /// Of the unknown, those that the log has.
    pub resolved: u64,
    /// Queries that were answered.
    pub reads: u64,
    /// Answers to what was answered before.
    pub retries: u64,
    /// Pairs of group and key.
    pub keys: u64,
    /// Steps of the search, over all keys.
    pub steps: u64,
    /// Operations of one key that were open at once, at most.
    pub open: u64,
}
