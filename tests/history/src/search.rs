//! Some order of the operations of a key explains every answer: the search of Wing and Gong with
//! Lowe's two improvements ("Testing for linearizability", 2017). An operation is put into the
//! order only when another one that was answered needs it there, and what was tried is remembered.
//!
//! The operations that are open at one time have a bit each; a configuration is a value and the
//! open ones that have happened. Between two events only the configurations matter, so a key may
//! have any number of operations: only what is open at once counts.

use std::collections::{BTreeMap, BTreeSet};

use crate::place::Places;
use crate::values::{MISSING, State, Values};
use crate::{Fate, History, Operation, Outcome, Report, Rule, Violation};

/// Steps for one key, beyond which it counts as undecided. Eight that are open at once, for ever,
/// take about 300 for each that is answered.
const MAX_STEPS: u64 = 200_000;

/// Operations of one key that may be open at once.
const MAX_OPEN: usize = 32;

/// An operation, as far as it matters here.
#[derive(Debug)]
struct Call<'a> {
    operation: &'a Operation,
    from: u64,
    /// Nobody knows until when, if it has no end.
    to: Option<u64>,
}

impl<'a> Call<'a> {
    /// `None`: it has not happened, or promises nothing.
    fn of(
        operation: &'a Operation,
        place: Option<crate::place::Place>,
        places: &Places<'_>,
    ) -> Option<Self> {
        if operation.action.is_stale() {
            return None;
        }
        let to = match (operation.fate(), place) {
            (Fate::Answered(reply), _) => Some(reply.at),
            (Fate::NotApplied, _) => return None,
            // The log has it: by the time that something behind it was answered, it had happened.
            (Fate::Unknown, Some(place)) => {
                let at = places.answered_from(&operation.group, place);
                at.map(|at| at.max(operation.invoked))
            }
            (Fate::Unknown, None) if places.resolved() || operation.action.only_reads() => {
                return None;
            }
            (Fate::Unknown, None) => None,
        };
        Some(Self {
            operation,
            from: operation.invoked,
            to,
        })
    }

    fn answered(&self) -> Option<&'a Outcome> {
        self.operation.replies.first().map(|reply| &reply.outcome)
    }

    /// It changes nothing, wherever it stands.
    fn is_pure(&self) -> bool {
        let refused = [Outcome::Missing, Outcome::Mismatch, Outcome::NotANumber];
        let refused = self
            .answered()
            .is_some_and(|outcome| refused.contains(outcome));
        self.operation.action.only_reads() || refused
    }
}

pub(crate) fn check(
    history: &History,
    places: &Places<'_>,
    report: &mut Report,
) -> Result<(), Violation> {
    let mut keys: BTreeMap<(&str, &str), Vec<Call<'_>>> = BTreeMap::new();
    for (operation, place) in history.operations.iter().zip(places.all()) {
        let calls = keys.entry((&operation.group, &operation.key)).or_default();
        calls.extend(Call::of(operation, *place, places));
    }
    report.keys = keys.len() as u64;
    for calls in keys.values() {
        let mut search = Search::new(calls);
        search.run()?;
        report.steps += search.steps;
        report.open = report.open.max(search.most_open);
    }
    Ok(())
}

/// The value, and which of the open calls have happened.
type Configuration = (State, u32);

#[derive(Debug)]
struct Search<'a> {
    calls: &'a [Call<'a>],
    values: Values,
    configurations: BTreeSet<Configuration>,
    /// The open calls by their bit.
    open: [Option<usize>; MAX_OPEN],
    steps: u64,
    most_open: u64,
}

/// At the same time calls begin before others end: that is no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Begin,
    End,
}

impl<'a> Search<'a> {
    fn new(calls: &'a [Call<'a>]) -> Self {
        Self {
            calls,
            values: Values::default(),
            configurations: BTreeSet::from([(MISSING, 0)]),
            open: [None; MAX_OPEN],
            steps: 0,
            most_open: 0,
        }
    }

    fn run(&mut self) -> Result<(), Violation> {
        let mut events = Vec::new();
        for (number, call) in self.calls.iter().enumerate() {
            events.push((call.from, Event::Begin, number));
            events.extend(call.to.map(|to| (to, Event::End, number)));
        }
        events.sort_unstable();
        for (_, event, number) in events {
            match event {
                Event::Begin => self.begin(number)?,
                Event::End => self.end(number)?,
            }
        }
        Ok(())
    }

    fn begin(&mut self, number: usize) -> Result<(), Violation> {
        let Some(free) = self.open.iter_mut().find(|slot| slot.is_none()) else {
            return Err(self.undecided(number, "more operations are open than the search follows"));
        };
        *free = Some(number);
        let open = self.open.iter().flatten().count() as u64;
        self.most_open = self.most_open.max(open);
        if self.calls[number].is_pure() {
            let before = std::mem::take(&mut self.configurations);
            let after = before.into_iter().map(|it| self.settle(it));
            self.configurations = after.collect();
        }
        Ok(())
    }

    /// The call was answered: only configurations in which it has happened are left.
    fn end(&mut self, number: usize) -> Result<(), Violation> {
        let slot = self.open.iter().position(|slot| *slot == Some(number));
        let slot = slot.expect("invariant: what ends has begun");
        let bit = 1 << slot;
        let mut left = BTreeSet::new();
        let mut met = BTreeSet::new();
        let mut undone: Vec<_> = self.configurations.iter().copied().collect();
        while let Some((state, happened)) = undone.pop() {
            if happened & bit != 0 {
                left.insert((state, happened & !bit));
                continue;
            }
            for next in self.steps_from((state, happened)) {
                self.steps += 1;
                if met.insert(next) {
                    undone.push(next);
                }
            }
            if self.steps > MAX_STEPS {
                return Err(self.undecided(number, "more steps than the search takes"));
            }
        }
        if left.is_empty() {
            return Err(self.no_order(number));
        }
        self.configurations = left;
        self.open[slot] = None;
        Ok(())
    }

    /// One more open call happens.
    fn steps_from(&mut self, (state, happened): Configuration) -> Vec<Configuration> {
        let mut next = Vec::new();
        for slot in 0..MAX_OPEN {
            let Some(number) = self.open[slot].filter(|_| happened & 1 << slot == 0) else {
                continue;
            };
            let call = &self.calls[number];
            let (action, answered) = (&call.operation.action, call.answered());
            if let Some(state) = self.values.step(state, action, answered) {
                let after = self.settle((state, happened | 1 << slot));
                next.push(after);
            }
        }
        next
    }

    /// What changes nothing and can happen now does: nothing that is possible without is lost.
    fn settle(&mut self, (state, mut happened): Configuration) -> Configuration {
        for slot in 0..MAX_OPEN {
            let Some(number) = self.open[slot].filter(|_| happened & 1 << slot == 0) else {
                continue;
            };
            let call = &self.calls[number];
            if call.is_pure() {
                let (action, answered) = (&call.operation.action, call.answered());
                if self.values.step(state, action, answered).is_some() {
                    happened |= 1 << slot;
                }
            }
        }
        (state, happened)
    }

    fn undecided(&self, number: usize, why: &str) -> Violation {
        let operation = self.calls[number].operation;
        let detail = format!("{operation}: {why}, after {} steps", self.steps);
        Violation::new(Rule::Undecided, &[operation.id], detail)
    }

    fn no_order(&self, number: usize) -> Violation {
        let operation = self.calls[number].operation;
        let before = self.configurations.iter().map(|(state, _)| *state);
        let before = self.values.show(before);
        let open = self.open.iter().flatten().filter(|other| **other != number);
        let open: Vec<_> = open.map(|other| self.calls[*other].operation).collect();
        let ids: Vec<_> = std::iter::once(operation.id)
            .chain(open.iter().map(|other| other.id))
            .collect();
        let open: Vec<_> = open.iter().map(|other| other.to_string()).collect();
        let open = match open.is_empty() {
            true => "nothing else is open".into(),
            false => format!("open are {}", open.join(", ")),
        };
        let detail = format!("{operation} has no place: the value was {before}; {open}");
        Violation::new(Rule::NoOrder, &ids, detail)
    }
}
