//! What to do after an attempt: the only place that decides whether to ask again.

use crate::{Code, Outcome, Problem};

/// How an attempt has ended without success.
#[derive(Debug)]
pub(crate) enum Failure<'a> {
    /// No connection was made: nothing was sent.
    NotSent,
    /// It was sent; the connection broke or time ran out.
    Lost,
    /// The node has answered with an error.
    Problem(&'a Problem),
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Try the next endpoint at once.
    Elsewhere,
    /// Wait a little, then try the next endpoint.
    Backoff,
    /// Give up and tell the caller.
    GiveUp,
}

/// `repeatable`: doing it twice is the same as doing it once (a read, an upload by digest, an
/// apply with an idempotency key).
pub(crate) fn next(failure: &Failure<'_>, repeatable: bool) -> Next {
    match failure {
        Failure::NotSent => Next::Elsewhere,
        Failure::Lost if repeatable => Next::Elsewhere,
        Failure::Lost => Next::GiveUp,
        Failure::Problem(problem) => after_problem(problem, repeatable),
    }
}

fn after_problem(problem: &Problem, repeatable: bool) -> Next {
    let safe = match problem.outcome {
        Outcome::NotApplied => true,
        Outcome::Unknown => repeatable,
        Outcome::Applied => false,
    };
    if problem.retryable && safe {
        Next::Backoff
    } else {
        Next::GiveUp
    }
}

/// Whether a node's answer settles what became of an earlier attempt that was lost: the guest's
/// own outcome comes from the session table, so it does; "busy" says nothing about it.
pub(crate) fn settles(problem: &Problem) -> bool {
    !problem.retryable
        && !matches!(
            problem.code,
            Code::Suspended | Code::DiskFull | Code::Internal
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(code: Code, repeatable: bool) -> Next {
        next(&Failure::Problem(&Problem::new(code, "")), repeatable)
    }

    #[test]
    fn an_attempt_that_was_never_sent_may_always_go_elsewhere() {
        assert_eq!(next(&Failure::NotSent, false), Next::Elsewhere);
    }

    #[test]
    fn a_lost_attempt_is_repeated_only_if_that_changes_nothing() {
        assert_eq!(next(&Failure::Lost, true), Next::Elsewhere);
        assert_eq!(next(&Failure::Lost, false), Next::GiveUp);
    }

    #[test]
    fn an_explicit_not_applied_is_repeated_without_a_key() {
        assert_eq!(after(Code::Unavailable, false), Next::Backoff);
        assert_eq!(after(Code::Busy, false), Next::Backoff);
    }

    #[test]
    fn an_unknown_outcome_is_repeated_only_with_a_key() {
        assert_eq!(after(Code::Timeout, false), Next::GiveUp);
        assert_eq!(after(Code::Timeout, true), Next::Backoff);
    }

    #[test]
    fn what_the_fsm_said_is_final() {
        for code in [Code::Refused, Code::Trap, Code::KeyReused, Code::NotFound] {
            assert_eq!(after(code, true), Next::GiveUp);
        }
        assert!(settles(&Problem::new(Code::Refused, "")));
        assert!(!settles(&Problem::new(Code::Busy, "")));
    }
}
