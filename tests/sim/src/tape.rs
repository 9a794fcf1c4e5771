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
//! no faults                           instead of the above, if there are none
//! reaches transfers                   a mark, a count or a fault that must still come about
//! ```
//!
//! A tape that names what the plan does not have is refused (`tape/bounds.rs`).
//!
//! Everything smaller (how long a message takes, what a power cut leaves) follows from the plan's
//! seed and from the order in which things happen.

pub(crate) mod bounds;

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use crate::attack::Attack;
use crate::invariants::{Check, violated};
use crate::plan::Plan;
use crate::world::Summary;

/// Faults on one tape, at most.
const MAX_ATTACKS: usize = 100_000;

/// Requests on one tape, at most.
const MAX_REQUESTS: u64 = 10_000_000;

/// What one tape must reach, at most.
const MAX_REACHES: usize = 100;

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
    /// What must still come about when it is played, by the names of [`Summary`].
    pub reaches: BTreeSet<String>,
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
        let mut parts = Parts::default();
        let mut line = 0;
        for (number, text) in text.lines().enumerate() {
            line = number + 1;
            parts
                .read(line, text)
                .map_err(|reason| TapeError { line, reason })?;
        }
        parts.tape(line)
    }

    /// Whether a run of this tape has reached what it is for.
    pub(crate) fn reached(&self, summary: &Summary) -> Check {
        let counted =
            |name: &str| summary.counts.contains_key(name) || summary.faults.contains_key(name);
        match self.reaches.iter().find(|name| !counted(name)) {
            Some(name) => violated(
                "reach",
                format!("the tape does not reach `{name}` any more"),
            ),
            None => Ok(()),
        }
    }
}

/// What was read so far, with the numbers of the lines that are looked at again.
#[derive(Default)]
struct Parts {
    plan: Option<(usize, Plan)>,
    violates: Option<String>,
    requests: Option<BTreeSet<u64>>,
    attacks: Vec<(usize, (u64, Attack))>,
    without: bool,
    reaches: BTreeSet<String>,
}

impl Parts {
    fn read(&mut self, number: usize, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" => {}
            _ if word.starts_with('#') => {}
            "plan" if self.plan.is_none() => self.plan = Some((number, json(rest)?)),
            "violates" => self.violates = Some(rest.to_owned()),
            "requests" => self.requests = Some(ranges(rest)?),
            "no" if rest == "faults" => self.without = true,
            "reaches" if !rest.is_empty() && self.reaches.len() < MAX_REACHES => {
                self.reaches.insert(rest.to_owned());
            }
            "at" if self.attacks.len() < MAX_ATTACKS => {
                self.attacks.push((number, attack(rest)?));
            }
            _ => return Err(format!("unknown or too much: `{word}`")),
        }
        Ok(())
    }

    /// The tape, if its parts belong together.
    fn tape(self, last: usize) -> Result<Tape, TapeError> {
        let failed = |line| move |reason| TapeError { line, reason };
        let (line, plan) = self
            .plan
            .ok_or_else(|| failed(last)("there is no plan".into()))?;
        bounds::plan(&plan).map_err(failed(line))?;
        let mut before = 0;
        for (line, (at, attack)) in &self.attacks {
            bounds::time(*at, before, &plan).map_err(failed(*line))?;
            bounds::attack(attack, &plan).map_err(failed(*line))?;
            before = *at;
        }
        if self.attacks.is_empty() != self.without {
            let reason = "there are lines `at`, or there is one that says `no faults`";
            return Err(failed(last)(reason.into()));
        }
        Ok(Tape {
            plan,
            violates: self.violates,
            requests: self.requests,
            attacks: self.attacks.into_iter().map(|(_, it)| it).collect(),
            reaches: self.reaches,
        })
    }
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
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(format!("`{word}` ends before it begins"));
        }
        all.extend(first..=last);
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
        if self.attacks.is_empty() {
            writeln!(f, "no faults")?;
        }
        for name in &self.reaches {
            writeln!(f, "reaches {name}")?;
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
    fn a_tape_that_asks_for_what_is_not_there_is_refused_with_its_line_and_the_bounds() {
        let sound = |plan: &Plan, rest: &str| {
            let plan = serde_json::to_string(plan).unwrap();
            Tape::parse(&format!("# x\nplan {plan}\n{rest}"))
        };
        let plan = Plan::of(8);
        assert!(sound(&plan, "no faults").is_ok());
        let with = |nodes| Plan {
            nodes,
            ..plan.clone()
        };
        for (plan, rest, reason) in [
            (
                &with(0),
                "no faults",
                "line 2: nodes is 0, which is not 1 to",
            ),
            (&with(30_000_000), "no faults", "line 2: nodes is 30000000,"),
            (&plan, "", "line 2: there are lines `at`, or"),
            (
                &plan,
                "at 1 {\"Wipe\":{\"node\":99}}",
                "line 3: node is 99,",
            ),
            (
                &plan,
                "at 99999999999999 {\"Wipe\":{\"node\":1}}",
                "line 3: 99999999999999 is after",
            ),
            (&plan, "requests 3-2", "line 3: `3-2` ends before"),
        ] {
            let error = sound(plan, rest).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_tape_that_no_longer_reaches_what_it_is_for_is_a_violation() {
        let (_, mut tape) = record(Plan::of(8), false);
        tape.reaches.insert("elections".into());
        assert!(crate::replay(&tape, false).is_ok());
        tape.reaches.insert("miracles".into());
        let violation = crate::replay(&tape, false).unwrap_err();
        assert!(violation.to_string().contains("miracles"), "{violation}");
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
