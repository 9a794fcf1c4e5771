//! A run as a text file: everything that was chosen, so that it can be played again, changed by
//! hand, made smaller, and kept when what a seed means has changed.
//!
//! ```text
//! # anything
//! plan {...}                          the plan, as JSON; what is missing is as by default
//! violates liveness                   the invariant that was violated when it was recorded
//! requests 1-20 23                    the clients' requests that arrive before the faults end;
//!                                     without this line all do
//! at 1200000000 {"Wipe":{"node":2}}   a fault, with its time in nanoseconds
//! ```
//!
//! Everything smaller (how long a message takes, what a power cut leaves) follows from the plan's
//! seed and from the order in which things happen.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use crate::attack::Attack;
use crate::plan::Plan;

/// Faults on one tape, at most.
const MAX_ATTACKS: usize = 100_000;

/// Requests on one tape, at most.
const MAX_REQUESTS: u64 = 10_000_000;

/// What was chosen in one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tape {
    /// The plan.
    pub plan: Plan,
    /// The invariant that was violated when it was recorded.
    pub violates: Option<String>,
    /// The requests of clients, by number, that arrive before the faults are over; `None`: all.
    pub requests: Option<BTreeSet<u64>>,
    /// The faults and their times.
    pub attacks: Vec<(u64, Attack)>,
}

/// What is wrong with a tape.
#[derive(Debug, thiserror::Error)]
#[error("tape: line {line}: {reason}")]
pub struct TapeError {
    line: usize,
    reason: String,
}

impl Tape {
    /// Reads a tape.
    pub fn parse(text: &str) -> Result<Self, TapeError> {
        let mut plan = None;
        let mut tape = Parts::default();
        for (number, line) in text.lines().enumerate() {
            let failed = |reason: String| TapeError {
                line: number + 1,
                reason,
            };
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "" => {}
                _ if word.starts_with('#') => {}
                "plan" => plan = Some(json(rest).map_err(failed)?),
                "violates" => tape.violates = Some(rest.to_owned()),
                "requests" => tape.requests = Some(ranges(rest).map_err(failed)?),
                "at" if tape.attacks.len() < MAX_ATTACKS => {
                    tape.attacks.push(attack(rest).map_err(failed)?);
                }
                _ => return Err(failed(format!("unknown or too much: `{word}`"))),
            }
        }
        let plan = plan.ok_or(TapeError {
            line: 0,
            reason: "there is no plan".into(),
        })?;
        Ok(Self {
            plan,
            violates: tape.violates,
            requests: tape.requests,
            attacks: tape.attacks,
        })
    }
}

#[derive(Default)]
struct Parts {
    violates: Option<String>,
    requests: Option<BTreeSet<u64>>,
    attacks: Vec<(u64, Attack)>,
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn attack(text: &str) -> Result<(u64, Attack), String> {
    let (at, attack) = text.split_once(' ').ok_or("a fault needs a time")?;
    let at = at.parse().map_err(|_| format!("`{at}` is no time"))?;
    Ok((at, json(attack)?))
}

fn ranges(text: &str) -> Result<BTreeSet<u64>, String> {
    let number = |text: &str| match text.parse::<u64>() {
        Ok(number) if number <= MAX_REQUESTS => Ok(number),
        _ => Err(format!("`{text}` is no number of a request")),
    };
    let mut all = BTreeSet::new();
    for word in text.split_whitespace() {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        all.extend(number(first)?..=number(last)?);
    }
    Ok(all)
}

impl fmt::Display for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = serde_json::to_string(&self.plan).map_err(|_| fmt::Error)?;
        writeln!(f, "plan {plan}")?;
        if let Some(violates) = &self.violates {
            writeln!(f, "violates {violates}")?;
        }
        if let Some(requests) = &self.requests {
            writeln!(f, "requests{}", show(requests)?)?;
        }
        for (at, attack) in &self.attacks {
            let attack = serde_json::to_string(attack).map_err(|_| fmt::Error)?;
            writeln!(f, "at {at} {attack}")?;
        }
        Ok(())
    }
}

fn show(requests: &BTreeSet<u64>) -> Result<String, fmt::Error> {
    let mut text = String::new();
    let mut rest = requests.iter().copied().peekable();
    while let Some(first) = rest.next() {
        let mut last = first;
        while let Some(next) = rest.next_if_eq(&(last + 1)) {
            last = next;
        }
        match first == last {
            true => write!(text, " {first}")?,
            false => write!(text, " {first}-{last}")?,
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record;

    #[test]
    fn what_was_recorded_reads_back_and_is_the_same_run() {
        for seed in [1, 2, 3, 7] {
            let (outcome, tape) = record(Plan::of(seed), false);
            let text = tape.to_string();
            let read = Tape::parse(&text).unwrap();
            assert_eq!(read, tape);
            assert!(!tape.attacks.is_empty());
            assert_eq!(crate::replay(&read, false), outcome, "seed {seed}");
        }
    }

    #[test]
    fn requests_are_written_as_ranges() {
        let requests = BTreeSet::from([1, 2, 3, 7, 9, 10]);
        let text = show(&requests).unwrap();
        assert_eq!(text, " 1-3 7 9-10");
        assert_eq!(ranges(&text).unwrap(), requests);
        assert!(ranges("1-99999999999").is_err());
    }

    #[test]
    fn a_tape_that_makes_no_sense_is_refused_with_its_line() {
        for (text, line) in [
            ("", "line 0"),
            ("# x\nplan {", "line 2"),
            ("wind 1", "line 1"),
        ] {
            let error = Tape::parse(text).unwrap_err().to_string();
            assert!(error.contains(line), "{error}");
        }
    }
}
