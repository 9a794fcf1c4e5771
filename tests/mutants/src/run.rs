//! Looking for one mutant, and for faults of the sound code.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use coracle_switch::{Mutant, set};

use crate::catch::caught;
use crate::report::{Finding, Listed, Searched, Sound, Verdict};
use crate::scenario;
use crate::search::Search;

/// Plays the scenario of a mutant and searches for it in at most `budget` seeds.
pub fn mutant(mutant: Mutant, budget: u64) -> Verdict {
    set(Some(mutant));
    let directed = timed(|| caught(|| scenario::play(mutant)));
    let random = (budget > 0).then(|| search(mutant, budget));
    set(None);
    let Listed { mutant, area, what } = Listed::of(mutant);
    Verdict {
        mutant,
        area,
        what,
        directed,
        random,
    }
}

fn search(mutant: Mutant, budget: u64) -> Searched {
    let search = Search::of(mutant);
    let mut seeds = Vec::new();
    let finding = timed(|| {
        for seed in search.seeds().take(budget as usize) {
            seeds.push(seed);
            caught(|| search.run(seed))?;
        }
        Ok(())
    });
    let last = seeds.last().copied().unwrap_or(0);
    Searched {
        search: search.to_string(),
        finding,
        seeds,
        budget,
        replay: search.replay(mutant, last),
    }
}

/// Runs one seed of a mutant's search again; the error says which rule was broken.
#[expect(clippy::missing_errors_doc, reason = "the line above is about it")]
pub fn replay(mutant: Mutant, seed: u64) -> Result<(), String> {
    set(Some(mutant));
    let outcome = caught(|| Search::of(mutant).run(seed));
    set(None);
    outcome
}

/// Puts the sound code to the same: all scenarios of these mutants, and these seeds, on so many
/// threads.
pub fn sound(mutants: &[Mutant], seeds: &BTreeSet<(Search, u64)>, threads: usize) -> Sound {
    set(None);
    let begun = Instant::now();
    let mut work: Vec<Work> = mutants
        .iter()
        .map(|mutant| Work::Scenario(*mutant))
        .collect();
    work.extend(
        seeds
            .iter()
            .map(|(search, seed)| Work::Seed(*search, *seed)),
    );
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(work) = work.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Err(failure) = work.run() {
                        let failures = failures.lock();
                        failures
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(failure);
                    }
                }
            });
        }
    });
    Sound {
        scenarios: mutants.len() as u64,
        seeds: seeds.len() as u64,
        failures: failures
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner),
        millis: begun.elapsed().as_millis() as u64,
    }
}

/// Something that the sound code must pass.
#[derive(Debug, Clone, Copy)]
enum Work {
    Scenario(Mutant),
    Seed(Search, u64),
}

impl Work {
    fn run(self) -> Result<(), String> {
        match self {
            Self::Scenario(mutant) => caught(|| scenario::play(mutant))
                .map_err(|broken| format!("scenario {}: {broken}", mutant.name())),
            Self::Seed(search, seed) => caught(|| search.run(seed))
                .map_err(|broken| format!("{search}, seed {seed}: {broken}")),
        }
    }
}

fn timed(work: impl FnOnce() -> Result<(), String>) -> Finding {
    let begun = Instant::now();
    let caught_by = work().err();
    Finding {
        caught_by,
        millis: begun.elapsed().as_millis() as u64,
    }
}
