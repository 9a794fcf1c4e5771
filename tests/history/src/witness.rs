//! The order of the log explains every answer.
//!
//! Per key the operations are done one after the other as the log has them. Where the log is not
//! known, two things are open: the order within an entry, and whether and where operations of
//! unknown fate happened. Then all that the answers allow is followed at once.

use std::collections::{BTreeMap, BTreeSet};

use crate::place::{Place, Places};
use crate::values::{MISSING, State, Values};
use crate::{Fate, History, Operation, Rule, Violation};

/// Steps for one key, beyond which it counts as undecided.
const MAX_STEPS: u64 = 100_000;

/// Operations of unknown fate, or commands of one entry, that are followed for one key.
const MAX_CHOICES: usize = 64;

pub(crate) fn check(history: &History, places: &Places<'_>) -> Result<(), Violation> {
    let mut keys: BTreeMap<(&str, &str), Key<'_>> = BTreeMap::new();
    for (operation, place) in history.operations.iter().zip(places.all()) {
        let key = keys.entry((&operation.group, &operation.key)).or_default();
        match place {
            Some(place) => key.order.entry(*place).or_default().push(operation),
            None if may_have_happened(history, operation) => key.floating.push(operation),
            None => {}
        }
    }
    for ((group, _), key) in &keys {
        key.check(group, places)?;
    }
    Ok(())
}

fn may_have_happened(history: &History, operation: &Operation) -> bool {
    history.log.is_none() && operation.fate() == Fate::Unknown && !operation.action.only_reads()
}

/// The operations of one key.
#[derive(Debug, Default)]
struct Key<'a> {
    /// Those at one place: a command, the commands of an entry in no order, or queries.
    order: BTreeMap<Place, Vec<&'a Operation>>,
    floating: Vec<&'a Operation>,
}

/// A way in which everything so far may have been: the value, and the floating ones that happened.
type Way = (State, u64);

impl Key<'_> {
    fn check(&self, group: &str, places: &Places<'_>) -> Result<(), Violation> {
        if let Some(operation) = self.floating.get(MAX_CHOICES) {
            return Err(undecided(operation, "too many operations of unknown fate"));
        }
        let mut values = Values::default();
        let mut ways = BTreeSet::from([(MISSING, 0)]);
        let mut steps = 0;
        for (place, together) in &self.order {
            let latest = places.answered_from(group, *place).unwrap_or(u64::MAX);
            let allowed = self.allowed(latest);
            let next = self.follow(&ways, together, allowed, &mut values, &mut steps)?;
            if next.is_empty() {
                return Err(unexplained(together, &ways, &values));
            }
            ways = next;
        }
        Ok(())
    }

    /// The floating ones that were asked before something that stands behind was answered.
    fn allowed(&self, latest: u64) -> u64 {
        let early = |operation: &&Operation| operation.invoked <= latest;
        let bits = self.floating.iter().enumerate();
        bits.filter(|(_, operation)| early(operation))
            .fold(0, |all, (bit, _)| all | 1 << bit)
    }

    /// All ways to do these together, with floating ones before and between.
    fn follow(
        &self,
        ways: &BTreeSet<Way>,
        together: &[&Operation],
        allowed: u64,
        values: &mut Values,
        steps: &mut u64,
    ) -> Result<BTreeSet<Way>, Violation> {
        // Queries at one place are one choice, however many: nothing comes between them.
        let choices = match together.first() {
            Some(first) if first.action.is_query() => &together[..1],
            _ => together,
        };
        if choices.len() > MAX_CHOICES {
            return Err(undecided(together[0], "too many operations in one entry"));
        }
        let all = u64::MAX >> (MAX_CHOICES - choices.len());
        let mut next = BTreeSet::new();
        let mut met = BTreeSet::new();
        let mut open: Vec<_> = ways
            .iter()
            .map(|(state, used)| (*state, *used, 0))
            .collect();
        while let Some((state, used, done)) = open.pop() {
            *steps += 1;
            if *steps > MAX_STEPS {
                return Err(undecided(together[0], "too many ways to go on"));
            }
            if done == all {
                next.insert((state, used));
                continue;
            }
            for (bit, operation) in bits(choices, all & !done) {
                let outcome = operation.replies.first().map(|reply| &reply.outcome);
                let query = operation.action.is_query();
                if query && !all_see(together, state, values) {
                    continue;
                }
                let done = done | bit;
                if let Some(state) = values.step(state, &operation.action, outcome)
                    && met.insert((state, used, done))
                {
                    open.push((state, used, done));
                }
            }
            for (bit, operation) in bits(&self.floating, allowed & !used) {
                if let Some(state) = values.step(state, &operation.action, None)
                    && met.insert((state, used | bit, done))
                {
                    open.push((state, used | bit, done));
                }
            }
        }
        Ok(next)
    }
}

fn bits<'a>(
    operations: &'a [&'a Operation],
    wanted: u64,
) -> impl Iterator<Item = (u64, &'a Operation)> {
    let all = operations.iter().enumerate();
    let all = all.map(|(number, operation)| (1 << number, *operation));
    all.filter(move |(bit, _)| wanted & bit != 0)
}

fn all_see(queries: &[&Operation], state: State, values: &mut Values) -> bool {
    queries.iter().all(|query| {
        let outcome = query.replies.first().map(|reply| &reply.outcome);
        values.step(state, &query.action, outcome).is_some()
    })
}

fn undecided(operation: &Operation, why: &str) -> Violation {
    let detail = format!("{operation}: {why}");
    Violation::new(Rule::Undecided, &[operation.id], detail)
}

fn unexplained(together: &[&Operation], ways: &BTreeSet<Way>, values: &Values) -> Violation {
    let ids: Vec<_> = together.iter().map(|operation| operation.id).collect();
    let names: Vec<_> = together
        .iter()
        .map(|operation| operation.to_string())
        .collect();
    let before = values.show(ways.iter().map(|(state, _)| *state));
    Violation::new(
        Rule::Value,
        &ids,
        format!("before it the value is {before}: {}", names.join(", ")),
    )
}
