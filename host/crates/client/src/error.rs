//! What a caller may get instead of an answer.

use std::fmt;

use crate::{Code, Endpoint, Outcome, Problem};

/// Why one attempt at one endpoint gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptError {
    /// Where.
    pub endpoint: Endpoint,
    /// What happened.
    pub reason: String,
}

impl fmt::Display for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint, self.reason)
    }
}

/// Why a request has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The request itself is impossible; nothing was sent.
    #[error("{0}")]
    Request(String),
    /// No endpoint took a connection; nothing was sent.
    #[error("no endpoint can be reached: {}", list(.0))]
    Unreachable(Vec<AttemptError>),
    /// A node has answered with an error.
    #[error("{}", describe(.0))]
    Problem(Box<Problem>),
    /// It was sent, and there was no answer; it would have changed nothing.
    #[error("no answer: {}", list(.0))]
    NoAnswer(Vec<AttemptError>),
    /// It was sent, and no answer says what became of it.
    #[error("outcome unknown: {}", list(.0))]
    Unknown(Vec<AttemptError>),
    /// Something has answered that does not speak this interface.
    #[error("no coracle node: {0}")]
    Protocol(AttemptError),
}

impl ClientError {
    /// Whether what was asked for has happened.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Request(_) | Self::Unreachable(_) | Self::NoAnswer(_) => Outcome::NotApplied,
            Self::Problem(problem) => problem.outcome,
            Self::Unknown(_) | Self::Protocol(_) => Outcome::Unknown,
        }
    }

    /// The node's code, if a node has answered.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Problem(problem) => Some(problem.code),
            _ => None,
        }
    }

    /// The node's problem, if a node has answered.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }
}

fn list(attempts: &[AttemptError]) -> String {
    let lines: Vec<_> = attempts.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

fn describe(problem: &Problem) -> String {
    let mut text = problem.title.clone();
    if let Some(reply) = &problem.reply {
        text = format!("{text}: {reply}");
    } else if problem.detail.starts_with(&format!("{text}: ")) {
        text.clone_from(&problem.detail);
    } else if !problem.detail.is_empty() {
        text = format!("{text}: {}", problem.detail);
    }
    for line in &problem.details {
        text = format!("{text}\n  {line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_that_begins_with_the_title_is_not_shown_twice() {
        let shown = |detail| ClientError::Problem(Box::new(Problem::new(Code::Conflict, detail)));
        let once = "conflict: there is an fsm kv already";
        assert_eq!(shown(once).to_string(), once);
        assert_eq!(shown("there is an fsm kv already").to_string(), once);
    }
}
