//! How a command fails: an exit code for scripts, words and a remedy for people.

use std::process::ExitCode;

use coracle_client::{ClientError, Code, Outcome, Problem};
use serde_json::{Map, Value};

use super::console;

/// The exit codes (DESIGN section 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    Ok = 0,
    Other = 1,
    Usage = 2,
    NoEndpoint = 3,
    Forbidden = 4,
    NotFound = 5,
    Conflict = 6,
    Unavailable = 7,
    TimedOut = 8,
    Refused = 9,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    fn of(error: &ClientError) -> Self {
        match error {
            ClientError::Request(_) => Self::Usage,
            ClientError::Unreachable(_) => Self::NoEndpoint,
            ClientError::NoAnswer(_) => Self::Unavailable,
            ClientError::Unknown(_) => Self::TimedOut,
            ClientError::Protocol(_) => Self::Other,
            ClientError::Problem(problem) => Self::of_problem(problem),
        }
    }

    fn of_problem(problem: &Problem) -> Self {
        match problem.code {
            Code::Refused
            | Code::Trap
            | Code::Fuel
            | Code::Memory
            | Code::Stack
            | Code::BadResult
            | Code::InitFailed
            | Code::RestoreFailed
            | Code::CheckpointFailed => Self::Refused,
            Code::NotLeader
            | Code::Unavailable
            | Code::Busy
            | Code::Uncommitted
            | Code::Transferring
            | Code::TooStale
            | Code::Suspended
            | Code::DiskFull
            | Code::Timeout
            | Code::OutcomeUnknown => match problem.outcome {
                Outcome::Unknown => Self::TimedOut,
                Outcome::Applied | Outcome::NotApplied => Self::Unavailable,
            },
            Code::KeyReused | Code::Conflict | Code::WouldLoseQuorum => Self::Conflict,
            Code::NotFound => Self::NotFound,
            Code::Forbidden => Self::Forbidden,
            Code::InvalidPlugin
            | Code::TooLarge
            | Code::MethodNotAllowed
            | Code::BadRequest
            | Code::DigestMismatch
            | Code::SlowRequest
            | Code::Internal => Self::Other,
        }
    }
}

/// Why a command has failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    message: String,
    hint: Option<String>,
    error: Option<Box<ClientError>>,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
            error: None,
        }
    }

    pub(super) fn other(message: impl Into<String>) -> Self {
        Self::new(Exit::Other, message)
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Names the next step.
    pub(super) fn hint(mut self, hint: &str) -> Self {
        self.hint = Some(hint.to_owned());
        self
    }

    /// Says where it happened, e.g. the line of a file.
    pub(super) fn at(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Everything a person should read.
    fn text(&self) -> String {
        match &self.hint {
            Some(hint) => format!("error: {}\nhint: {hint}", self.message),
            None => format!("error: {}", self.message),
        }
    }

    fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("message".into(), self.message.clone().into());
        object.insert("exit".into(), (self.exit as u8).into());
        if let Some(hint) = &self.hint {
            object.insert("hint".into(), hint.clone().into());
        }
        if let Some(error) = &self.error {
            let outcome = serde_json::to_value(error.outcome()).unwrap_or_default();
            object.insert("outcome".into(), outcome);
            if let Some(problem) = error.problem() {
                let problem = serde_json::to_value(problem).unwrap_or_default();
                object.insert("problem".into(), problem);
            }
        }
        Value::Object(Map::from_iter([(
            "error".to_owned(),
            Value::Object(object),
        )]))
    }

    /// To stderr, since stdout is data.
    pub(super) fn print(&self, json: bool) {
        console::say(&if json {
            self.json().to_string()
        } else {
            self.text()
        });
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let hint = error
            .problem()
            .and_then(|p| p.hint.clone())
            .or_else(|| remedy(&error));
        Self {
            exit: Exit::of(&error),
            message: error.to_string(),
            hint,
            error: Some(Box::new(error)),
        }
    }
}

/// What to do about it, where the node does not say.
fn remedy(error: &ClientError) -> Option<String> {
    let text = match error {
        ClientError::Unreachable(_) => {
            "start a node with `coracle start`, or name one with --endpoint or CORACLE_ENDPOINTS"
        }
        ClientError::Unknown(_) => {
            "it may have been applied; look before asking again, or ask again with the same --key"
        }
        ClientError::Protocol(_) => "check that --endpoint names the HTTP port of a node",
        ClientError::NoAnswer(_) => "ask again, name more nodes, or raise --timeout",
        ClientError::Problem(problem) => match problem.code {
            // Most details say what to look at.
            _ if problem.detail.contains('`') => return None,
            Code::NotFound => "see `coracle fsm list` and `coracle plugin list`",
            Code::NotLeader | Code::Unavailable => "see `coracle status`",
            Code::Timeout if problem.outcome == Outcome::Unknown => {
                "it may have been applied; look before asking again"
            }
            _ => return None,
        },
        ClientError::Request(_) => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(error: ClientError) -> u8 {
        Failure::from(error).exit as u8
    }

    fn problem(code: Code) -> ClientError {
        ClientError::Problem(Box::new(Problem::new(code, "detail")))
    }

    #[test]
    fn every_code_has_its_exit_code() {
        let table = [
            (
                1,
                &[
                    Code::Internal,
                    Code::BadRequest,
                    Code::TooLarge,
                    Code::InvalidPlugin,
                ][..],
            ),
            (
                1,
                &[
                    Code::DigestMismatch,
                    Code::MethodNotAllowed,
                    Code::SlowRequest,
                ],
            ),
            (4, &[Code::Forbidden]),
            (5, &[Code::NotFound]),
            (6, &[Code::Conflict, Code::KeyReused, Code::WouldLoseQuorum]),
            (
                7,
                &[
                    Code::NotLeader,
                    Code::Unavailable,
                    Code::Busy,
                    Code::Uncommitted,
                    Code::Transferring,
                    Code::TooStale,
                    Code::Suspended,
                    Code::DiskFull,
                ],
            ),
            (8, &[Code::Timeout, Code::OutcomeUnknown]),
            (
                9,
                &[
                    Code::Refused,
                    Code::Trap,
                    Code::Fuel,
                    Code::Memory,
                    Code::Stack,
                ],
            ),
            (
                9,
                &[
                    Code::BadResult,
                    Code::InitFailed,
                    Code::RestoreFailed,
                    Code::CheckpointFailed,
                ],
            ),
        ];
        for (want, codes) in table {
            for &code in codes {
                assert_eq!(exit(problem(code)), want, "{code:?}");
            }
        }
        let listed: usize = table.iter().map(|(_, codes)| codes.len()).sum();
        assert_eq!(listed, Code::ALL.len());
    }

    #[test]
    fn what_never_reached_a_node_has_its_exit_code() {
        assert_eq!(exit(ClientError::Request("bad name".into())), 2);
        assert_eq!(exit(ClientError::Unreachable(Vec::new())), 3);
        assert_eq!(exit(ClientError::NoAnswer(Vec::new())), 7);
        assert_eq!(exit(ClientError::Unknown(Vec::new())), 8);
    }

    #[test]
    fn a_query_that_timed_out_is_unavailable_not_unknown() {
        let mut problem = Problem::new(Code::Timeout, "no answer within 1s");
        problem.outcome = Outcome::NotApplied;
        assert_eq!(exit(ClientError::Problem(Box::new(problem))), 7);
    }

    #[test]
    fn a_refusal_shows_what_the_fsm_said() {
        let problem = Problem::new(Code::Refused, "").with_reply(b"no such key".to_vec());
        let failure = Failure::from(ClientError::Problem(Box::new(problem)));
        assert_eq!(failure.text(), "error: refused by the fsm: no such key");
        let json = failure.json();
        assert_eq!(json["error"]["exit"], 9);
        assert_eq!(json["error"]["outcome"], "applied");
        assert_eq!(json["error"]["problem"]["reply"], "no such key");
    }
}
