//! A history, and its form in a file: one JSON record a line.

use std::fmt;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::{Operation, Session};

/// Of the format of a file.
const VERSION: u32 = 1;

/// Bytes of a line, beyond which it is no record of ours.
const MAX_LINE: u64 = 16 << 20;

/// What the clients of one run saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Where it comes from, for people: a seed, a scenario.
    pub origin: String,
    /// The operations, in any order.
    pub operations: Vec<Operation>,
    /// The committed commands of all groups, in any order, from the first to beyond all that was
    /// answered. `None`: not known; then unknown operations may or may not have happened, and the
    /// order within an entry is worked out from the answers.
    pub log: Option<Vec<Logged>>,
}

/// A committed command that reached the state machine, or repeated one that did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// In which group.
    pub group: String,
    /// Index of its entry.
    pub index: u64,
    /// Its place within the entry.
    pub ordinal: u32,
    /// Its idempotency key. Only the first with a key takes effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// Its body, as [`Action::body`](crate::Action::body) has it; others touch no key.
    pub body: String,
}

/// A line of a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    History(Header),
    Op(Operation),
    Log(Logged),
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    version: u32,
    origin: String,
    /// Whether the committed log follows.
    log: bool,
}

/// Why a file is no history.
#[derive(Debug)]
pub enum FormatError {
    /// It cannot be read.
    Io(io::Error),
    /// A line is not a record.
    Line {
        /// Which, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// It is a history of no operation: there is nothing to judge.
    Empty,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Line { line, reason } => write!(f, "line {line}: {reason}"),
            Self::Empty => write!(f, "0 operations: there is nothing to judge"),
        }
    }
}

impl std::error::Error for FormatError {}

impl From<io::Error> for FormatError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl History {
    /// Writes it, one record a line.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        line(
            to,
            &Line::History(Header {
                version: VERSION,
                origin: self.origin.clone(),
                log: self.log.is_some(),
            }),
        )?;
        for operation in &self.operations {
            line(to, &Line::Op(operation.clone()))?;
        }
        for logged in self.log.iter().flatten() {
            line(to, &Line::Log(logged.clone()))?;
        }
        to.flush()
    }

    /// Reads what was [written](Self::write).
    pub fn read(from: &mut impl BufRead) -> Result<Self, FormatError> {
        let mut history = None;
        let mut number = 0;
        while let Some(text) = next_line(from)? {
            number += 1;
            let bad = |reason: String| FormatError::Line {
                line: number,
                reason,
            };
            let line = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
            match (line, &mut history) {
                (Line::History(header), None) => {
                    history = Some(begin(header).map_err(bad)?);
                }
                (Line::History(_), Some(_)) => return Err(bad("a second header".into())),
                (_, None) => return Err(bad("a record before the header".into())),
                (Line::Op(operation), Some(history)) => history.operations.push(operation),
                (Line::Log(logged), Some(history)) => match &mut history.log {
                    Some(log) => log.push(logged),
                    None => return Err(bad("the header promises no log".into())),
                },
            }
        }
        history.ok_or_else(|| FormatError::Line {
            line: 1,
            reason: "there is no header".into(),
        })
    }
}

fn begin(header: Header) -> Result<History, String> {
    if header.version != VERSION {
        let found = header.version;
        return Err(format!("format {found} is unknown, this is {VERSION}"));
    }
    Ok(History {
        origin: header.origin,
        operations: Vec::new(),
        log: header.log.then(Vec::new),
    })
}

fn line(to: &mut impl Write, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *to, line)?;
    to.write_all(b"\n")
}

fn next_line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut text = String::new();
    let read = io::Read::take(from, MAX_LINE).read_line(&mut text)?;
    Ok((read > 0).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Outcome, ReadKind, Reply};

    fn history() -> History {
        let session = Some(Session {
            client: 1,
            sequence: 4,
        });
        let put = Operation {
            id: 1,
            client: 1,
            group: "kv".into(),
            key: "a".into(),
            action: Action::Put("v1".into()),
            session,
            invoked: 10,
            replies: vec![Reply {
                at: 20,
                index: 5,
                outcome: Outcome::Done,
            }],
            not_applied: false,
        };
        let read = Operation {
            id: 2,
            client: 2,
            action: Action::Read(ReadKind::Stale {
                max_staleness: Some(500),
                min_index: None,
            }),
            session: None,
            replies: Vec::new(),
            ..put.clone()
        };
        History {
            origin: "a test".into(),
            operations: vec![put, read],
            log: Some(vec![Logged {
                group: "kv".into(),
                index: 5,
                ordinal: 0,
                session,
                body: "put a v1".into(),
            }]),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        history().write(&mut bytes).unwrap();
        assert_eq!(History::read(&mut &bytes[..]).unwrap(), history());
    }

    #[test]
    fn the_form_in_a_file_stays_as_it_is() {
        let mut bytes = Vec::new();
        history().write(&mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                r#"{"history":{"version":1,"origin":"a test","log":true}}"#,
                concat!(
                    r#"{"op":{"id":1,"client":1,"group":"kv","key":"a","action":{"put":"v1"},"#,
                    r#""session":"1.4","invoked":10,"#,
                    r#""replies":[{"at":20,"index":5,"outcome":"done"}]}}"#
                ),
                concat!(
                    r#"{"op":{"id":2,"client":2,"group":"kv","key":"a","#,
                    r#""action":{"read":{"stale":{"max_staleness":500}}},"invoked":10}}"#
                ),
                r#"{"log":{"group":"kv","index":5,"ordinal":0,"session":"1.4","body":"put a v1"}}"#,
            ]
        );
    }

    #[test]
    fn a_file_that_is_none_is_refused_with_the_line() {
        for (text, reason) in [
            ("", "line 1: there is no header"),
            (
                r#"{"history":{"version":9,"origin":"","log":false}}"#,
                "line 1: format 9 is unknown, this is 1",
            ),
            (
                r#"{"log":{"group":"1","index":1,"ordinal":0,"body":""}}"#,
                "line 1: a record before the header",
            ),
        ] {
            let error = History::read(&mut text.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), reason);
        }
        let torn = "{\"history\":{\"version\":1,\"origin\":\"\",\"log\":false}}\n{\"op\":{";
        let error = History::read(&mut torn.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("line 2: "), "{error}");
    }
}
