//! How a node may end by itself: always in a way that it has chosen.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use crate::failure::Failure;

/// The exit code of a node that says why it cannot go on.
const FAILED: i32 = 1;

/// The exit code of the failpoint action `exit`.
const FAILPOINT_EXIT: i32 = 86;

/// The signal of a crash.
const SIGKILL: i32 = 9;

/// What a scenario allows a node. A panic (101) or another signal than kill -9 is never among it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It says why it cannot go on.
    Failure,
    /// It was asked to.
    Success,
    /// Somebody else kills it: strace, or the kernel.
    Killed,
    /// A failpoint is armed.
    Failpoint {
        /// Whether its action is `exit`.
        exit: bool,
        /// Whether the node is asked to end, too.
        asked: bool,
    },
}

impl End {
    /// Whether this is such an end.
    pub fn allows(self, status: ExitStatus) -> bool {
        match (self, status.code()) {
            (Self::Killed, _) => is_kill(status),
            (Self::Success, code) => code == Some(0),
            (Self::Failure | Self::Failpoint { .. }, Some(FAILED)) => true,
            (Self::Failpoint { exit, .. }, Some(FAILPOINT_EXIT)) => exit,
            (Self::Failpoint { asked, .. }, Some(0)) => asked,
            (Self::Failure | Self::Failpoint { .. }, _) => false,
        }
    }

    fn named(self) -> &'static str {
        match self {
            Self::Failure => "with exit status 1",
            Self::Success => "with exit status 0",
            Self::Killed => "by kill -9",
            Self::Failpoint { .. } => "as its failpoint says",
        }
    }
}

/// Whether it was killed as a crash does.
pub(crate) fn is_kill(status: ExitStatus) -> bool {
    status.signal() == Some(SIGKILL)
}

/// Whether a node may have ended so. `last` is what it said last.
///
/// # Errors
/// If it may not.
pub(crate) fn judge(
    id: u64,
    status: ExitStatus,
    allowed: Option<End>,
    last: &str,
) -> Result<(), Failure> {
    match allowed {
        Some(end) if end.allows(status) => Ok(()),
        Some(end) => Err(Failure::Violation(format!(
            "n{id} has ended with {status}, it may only end {}: {last}",
            end.named()
        ))),
        None => Err(Failure::Violation(format!(
            "n{id} has ended by itself with {status}: {last}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANIC: i32 = 101;
    const SIGABRT: i32 = 6;

    fn exit(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    fn every() -> Vec<End> {
        let mut ends = vec![End::Failure, End::Success, End::Killed];
        for (exit, asked) in [(false, false), (true, false), (false, true), (true, true)] {
            ends.push(End::Failpoint { exit, asked });
        }
        ends
    }

    #[test]
    fn a_panic_or_an_abort_is_never_allowed() {
        for end in every() {
            for status in [exit(PANIC), ExitStatus::from_raw(SIGABRT)] {
                let judged = judge(2, status, Some(end), "thread panicked");
                let said = judged.unwrap_err().to_string();
                assert!(said.starts_with("n2 has ended with"), "{end:?}: {said}");
                assert!(said.ends_with(": thread panicked"), "{end:?}: {said}");
            }
        }
    }

    #[test]
    fn each_end_is_allowed_for_its_own_reason_only() {
        let killed = ExitStatus::from_raw(SIGKILL);
        let failpoint = End::Failpoint {
            exit: true,
            asked: false,
        };
        let stopped = End::Failpoint {
            exit: false,
            asked: true,
        };
        let statuses = [exit(0), exit(FAILED), exit(FAILPOINT_EXIT), killed];
        for (end, want) in [
            (End::Success, [true, false, false, false]),
            (End::Failure, [false, true, false, false]),
            (failpoint, [false, true, true, false]),
            (stopped, [true, true, false, false]),
            (End::Killed, [false, false, false, true]),
        ] {
            assert_eq!(statuses.map(|status| end.allows(status)), want, "{end:?}");
        }
    }

    #[test]
    fn a_node_that_may_not_end_may_not_even_end_well() {
        assert!(judge(1, exit(0), None, "").is_err());
    }
}
