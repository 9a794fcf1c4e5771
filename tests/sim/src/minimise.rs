//! Making a failing run smaller while it fails the same way: fewer faults first, then fewer
//! requests, then a smaller cluster (delta debugging: Zeller, Hildebrandt 2002).

use crate::plan::{Faults, Plan};
use crate::replay;
use crate::tape::{Tape, bounds};

/// Runs that are tried for each list that is made shorter.
const MAX_ATTEMPTS: usize = 300;

/// Nodes of the clusters that are tried.
const CLUSTERS: [u64; 3] = [1, 2, 3];

/// A smaller tape that violates the same invariant. `tell` hears of every step; lists are made
/// shorter while `goes_on`.
pub fn minimise(tape: Tape, goes_on: &dyn Fn() -> bool, tell: &mut dyn FnMut(&Tape)) -> Tape {
    let mut tape = tape;
    let total = requests(&tape);
    for _ in 0..2 {
        tape = fewer_attacks(tape, goes_on);
        tell(&tape);
        tape = fewer_kinds(tape);
        tell(&tape);
        tape = fewer_requests(tape, total, goes_on);
        tell(&tape);
        tape = smaller_cluster(tape);
        tell(&tape);
    }
    tape
}

/// Whether a tape still violates what it violated when it was recorded.
pub fn still_fails(tape: &Tape) -> bool {
    let violated = replay(tape, false).err();
    violated.is_some_and(|violation| Some(violation.invariant) == tape.violates.as_deref())
}

fn requests(tape: &Tape) -> u64 {
    match &tape.requests {
        Some(requests) => requests.last().copied().unwrap_or(0),
        None => crate::count_requests(tape),
    }
}

fn fewer_attacks(tape: Tape, goes_on: &dyn Fn() -> bool) -> Tape {
    let attacks = shrink(tape.attacks.clone(), goes_on, &mut |attacks| {
        still_fails(&Tape {
            attacks: attacks.to_vec(),
            ..tape.clone()
        })
    });
    Tape { attacks, ..tape }
}

fn fewer_requests(tape: Tape, total: u64, goes_on: &dyn Fn() -> bool) -> Tape {
    let all = match &tape.requests {
        Some(requests) => requests.iter().copied().collect(),
        None => (1..=total).collect(),
    };
    let with = |requests: &[u64]| Tape {
        requests: Some(requests.iter().copied().collect()),
        ..tape.clone()
    };
    let requests = shrink(all, goes_on, &mut |requests| still_fails(&with(requests)));
    let smaller = with(&requests);
    match still_fails(&smaller) {
        true => smaller,
        false => tape,
    }
}

/// Without what happens to messages, transfers and clocks all the time.
fn fewer_kinds(mut tape: Tape) -> Tape {
    let without: [fn(&mut Faults); 6] = [
        |faults| faults.drop = 0,
        |faults| faults.duplicate = 0,
        |faults| faults.delay = 0,
        |faults| faults.replay = 0,
        |faults| faults.transfer = false,
        |faults| faults.clock = false,
    ];
    for without in without {
        tape = attempt(tape, |plan| without(&mut plan.faults));
    }
    tape = attempt(tape, |plan| plan.traps = 0);
    attempt(tape, |plan| plan.leases = 0)
}

fn smaller_cluster(mut tape: Tape) -> Tape {
    tape = attempt(tape, |plan| plan.groups = 1);
    for clients in [1, 2, 3] {
        let has_more = tape.plan.clients > clients;
        tape = if has_more {
            attempt(tape, |plan| plan.clients = clients)
        } else {
            tape
        };
    }
    tape = attempt(tape, |plan| plan.spares = 0);
    for nodes in CLUSTERS {
        let spares = tape.plan.spares;
        let has_more = tape.plan.nodes > nodes && spares == 0;
        tape = if has_more {
            attempt(tape, |plan| plan.nodes = nodes)
        } else {
            tape
        };
    }
    tape
}

/// The tape with another plan, if it still fails.
fn attempt(tape: Tape, change: impl FnOnce(&mut Plan)) -> Tape {
    let mut changed = tape.clone();
    change(&mut changed.plan);
    // Faults of nodes that are gone go with them.
    let plan = &changed.plan;
    let fits = |(_, attack): &(u64, _)| bounds::attack(attack, plan).is_ok();
    changed.attacks.retain(fits);
    match changed.plan != tape.plan && still_fails(&changed) {
        true => changed,
        false => tape,
    }
}

/// A shorter list that still fails, found by leaving out ever smaller pieces.
fn shrink<T: Clone>(
    items: Vec<T>,
    goes_on: &dyn Fn() -> bool,
    fails: &mut dyn FnMut(&[T]) -> bool,
) -> Vec<T> {
    let mut items = items;
    let mut piece = items.len();
    let mut attempts = 0;
    while piece > 0 && !items.is_empty() {
        let mut at = 0;
        while at < items.len() && attempts < MAX_ATTEMPTS && goes_on() {
            let mut fewer = items.clone();
            fewer.drain(at..items.len().min(at + piece));
            attempts += 1;
            match fails(&fewer) {
                true => items = fewer,
                false => at += piece,
            }
        }
        piece /= 2;
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory_log::planted;
    use crate::record;

    #[test]
    fn a_planted_bug_is_found_and_its_run_made_so_small_that_it_can_be_read() {
        planted::forget_votes(true);
        let runs = (0..50).map(|seed| record(Plan::of(seed), false));
        let found = runs.into_iter().find(|(outcome, _)| outcome.is_err());
        let (_, tape) = found.expect("one of the seeds finds it");
        let small = minimise(tape.clone(), &|| true, &mut |_| {});
        assert!(still_fails(&small), "{small}");
        planted::forget_votes(false);
        assert_eq!(small.violates, tape.violates);
        assert!(small.attacks.len() <= 2, "{small}");
        let requests = small.requests.as_ref().map(std::collections::BTreeSet::len);
        // Of some hundred: it takes a checkpoint, and so as many commands.
        assert!(requests.is_some_and(|requests| requests <= 20), "{small}");
        assert!(!still_fails(&small), "the sound code passes: {small}");
    }

    #[test]
    fn only_what_is_needed_to_fail_is_left() {
        let needed = [17, 40, 41];
        let mut runs = 0;
        let left = shrink((0..100).collect(), &|| true, &mut |items| {
            runs += 1;
            needed.iter().all(|item| items.contains(item))
        });
        assert_eq!(left, needed);
        assert!(runs < MAX_ATTEMPTS);
    }
}
