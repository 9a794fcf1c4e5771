//! What clients ask of a key, and what a single copy would answer.

use serde::{Deserialize, Serialize};

use crate::Outcome;

/// What a client asks of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Sets the value.
    Put(String),
    /// Adds to the end of the value, which is empty if there is none; answers the new value.
    Append(String),
    /// Adds to the value as a number, which is 0 if there is none; answers the sum.
    Add(i64),
    /// Sets the value if it is `old`.
    Cas {
        /// What it must be.
        old: String,
        /// What it becomes.
        new: String,
    },
    /// Removes the value.
    Delete,
    /// Reads the value by an entry of the log.
    Get,
    /// Reads the value by a query.
    Read(ReadKind),
}

/// What was asked of a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadKind {
    /// Sees everything answered before it began; by a round of the quorum.
    Linearizable,
    /// The same promise, by the leader's lease.
    Lease,
    /// A prefix of the log.
    Stale {
        /// Everything answered so many nanoseconds before it began is in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_staleness: Option<u64>,
        /// At least so long (what the client saw last: its reads never go back).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_index: Option<u64>,
    },
}

/// What an action does to a value, and what it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Results {
    /// The value after it; `None`: no value.
    pub value: Option<String>,
    /// The answer.
    pub outcome: Outcome,
}

impl Action {
    /// Does it on a single copy: `value` is what the key has before.
    pub fn apply(&self, value: Option<&str>) -> Results {
        let set = |value: String, outcome| Results {
            value: Some(value),
            outcome,
        };
        let keep = |outcome| Results {
            value: value.map(str::to_owned),
            outcome,
        };
        match (self, value) {
            (Self::Put(new), _) => set(new.clone(), Outcome::Done),
            (Self::Append(more), _) => {
                let new = format!("{}{more}", value.unwrap_or_default());
                set(new.clone(), Outcome::Value(new))
            }
            (Self::Add(number), _) => match value.unwrap_or("0").parse::<i64>() {
                Ok(old) => {
                    let sum = old.wrapping_add(*number).to_string();
                    set(sum.clone(), Outcome::Value(sum))
                }
                Err(_) => keep(Outcome::NotANumber),
            },
            (Self::Cas { old, new }, Some(value)) if old == value => {
                set(new.clone(), Outcome::Done)
            }
            (Self::Cas { .. }, Some(_)) => keep(Outcome::Mismatch),
            (Self::Delete, Some(_)) => Results {
                value: None,
                outcome: Outcome::Done,
            },
            (Self::Get | Self::Read(_), Some(value)) => keep(Outcome::Value(value.to_owned())),
            (Self::Cas { .. } | Self::Delete | Self::Get | Self::Read(_), None) => {
                keep(Outcome::Missing)
            }
        }
    }

    /// Whether it is a query and so has no entry in the log.
    pub fn is_query(&self) -> bool {
        matches!(self, Self::Read(_))
    }

    /// Whether it may be answered with old state.
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::Read(ReadKind::Stale { .. }))
    }

    /// Whether it never changes the value.
    pub fn only_reads(&self) -> bool {
        matches!(self, Self::Get | Self::Read(_))
    }

    /// As the body of a command or a query: `put KEY VALUE`, `get KEY`.
    pub fn body(&self, key: &str) -> String {
        match self {
            Self::Put(value) => format!("put {key} {value}"),
            Self::Append(value) => format!("append {key} {value}"),
            Self::Add(number) => format!("add {key} {number}"),
            Self::Cas { old, new } => format!("cas {key} {old} {new}"),
            Self::Delete => format!("del {key}"),
            Self::Get | Self::Read(_) => format!("get {key}"),
        }
    }

    /// The command that has this body, and its key. `None`: it is no command of one key.
    pub fn parse(body: &str) -> Option<(&str, Self)> {
        let words: Vec<_> = body.split(' ').collect();
        let action = match words[..] {
            ["put", _, value] => Self::Put(value.into()),
            ["append", _, value] => Self::Append(value.into()),
            ["add", _, number] => Self::Add(number.parse().ok()?),
            ["cas", _, old, new] => Self::Cas {
                old: old.into(),
                new: new.into(),
            },
            ["del", _] => Self::Delete,
            ["get", _] => Self::Get,
            _ => return None,
        };
        Some((words[1], action))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_parsed_as_what_it_was_made_of() {
        for action in [
            Action::Put("v".into()),
            Action::Append("v;".into()),
            Action::Add(-3),
            Action::Cas {
                old: "v".into(),
                new: "w".into(),
            },
            Action::Delete,
            Action::Get,
        ] {
            let body = action.body("k");
            assert_eq!(Action::parse(&body), Some(("k", action)), "{body}");
        }
        assert_eq!(Action::parse("trap"), None);
        assert_eq!(Action::parse("put k two words"), None);
    }

    #[test]
    fn a_missing_value_is_empty_to_append_and_zero_to_add() {
        let value = |text: &str| Outcome::Value(text.into());
        assert_eq!(Action::Append("a".into()).apply(None).outcome, value("a"));
        assert_eq!(Action::Add(2).apply(None).outcome, value("2"));
        assert_eq!(Action::Add(2).apply(Some("x")).outcome, Outcome::NotANumber);
        assert_eq!(Action::Delete.apply(None).outcome, Outcome::Missing);
    }

    #[test]
    fn cas_changes_only_the_value_it_expects() {
        let cas = Action::Cas {
            old: "1".into(),
            new: "2".into(),
        };
        assert_eq!(cas.apply(Some("1")).value.as_deref(), Some("2"));
        assert_eq!(cas.apply(Some("3")).outcome, Outcome::Mismatch);
        assert_eq!(cas.apply(Some("3")).value.as_deref(), Some("3"));
        assert_eq!(cas.apply(None).outcome, Outcome::Missing);
    }
}
