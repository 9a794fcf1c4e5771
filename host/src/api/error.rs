//! Errors of the service, on their way to a client.

use std::fmt;

use coracle_client::{Code, Outcome, Problem};

/// Why a request has failed. Rendered as problem details (RFC 9457).
///
/// The bytes with which a guest refuses are in the problem's `reply` if they are UTF-8, else in
/// `reply_base64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    problem: Box<Problem>,
    replayed: bool,
}

impl ApiError {
    /// An error with the status, outcome and retryability of its code.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            problem: Box::new(Problem::new(code, detail)),
            replayed: false,
        }
    }

    /// The guest ran the command and said no.
    pub fn refused(reply: Vec<u8>) -> Self {
        let problem = Problem::new(Code::Refused, "the fsm ran it and refused it");
        Self {
            problem: Box::new(problem.with_reply(reply)),
            replayed: false,
        }
    }

    /// Where the sender knows better than the code's default.
    #[must_use]
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.problem.outcome = outcome;
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.problem.hint = Some(hint.into());
        self
    }

    /// The node that leads.
    #[must_use]
    pub fn with_leader(mut self, leader: Option<u64>) -> Self {
        self.problem.leader = leader;
        self
    }

    /// The log index of the outcome.
    #[must_use]
    pub fn with_index(mut self, index: u64) -> Self {
        self.problem.index = Some(index);
        self
    }

    /// One line each, e.g. offending imports.
    #[must_use]
    pub fn with_details(mut self, details: Vec<String>) -> Self {
        self.problem.details = details;
        self
    }

    /// The guest's own bytes.
    #[must_use]
    pub fn with_reply(mut self, reply: Vec<u8>) -> Self {
        *self.problem = self.problem.with_reply(reply);
        self
    }

    /// Whether this is the outcome of an earlier command with the same key.
    #[must_use]
    pub fn with_replayed(mut self, replayed: bool) -> Self {
        self.replayed = replayed;
        self
    }

    /// The problem as it is sent.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// Whether this is the outcome of an earlier command with the same key.
    pub fn replayed(&self) -> bool {
        self.replayed
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.problem.title, self.problem.detail)
    }
}

impl std::error::Error for ApiError {}
