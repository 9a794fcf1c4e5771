//! Looking for one mutant, and for faults of the sound code.

use std::collections::BTreeSet;
use std::time::Instant;

use coracle_switch::{Mutant, set};

use crate::catch::caught;
use crate::report::{Finding, Searched, Sound, Verdict};
use crate::scenario;
use crate::search::Search;

/// Plays the scenario of a mutant and searches for it in at most `budget` seeds.
pub fn mutant(mutant: Mutant, budget: u64) -> Verdict {
    set(Some(mutant));
    let directed = timed(|| caught(|| scenario::play(mutant)));
    let random = (budget > 0).then(|| search(mutant, budget));
    set(None);
    Verdict {
        mutant: mutant.name().into(),
        area: format!("{:?}", mutant.area()).to_lowercase(),
        what: mutant.what().into(),
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

/// Puts the sound code to the same: all scenarios of these mutants, and these seeds.
pub fn sound(mutants: &[Mutant], seeds: &BTreeSet<(Search, u64)>) -> Sound {
    set(None);
    let begun = Instant::now();
    let mut sound = Sound::default();
    let mut note = |what: String, outcome: Result<(), String>| {
        if let Err(broken) = outcome {
            sound.failures.push(format!("{what}: {broken}"));
        }
    };
    for mutant in mutants {
        let outcome = caught(|| scenario::play(*mutant));
        note(format!("scenario {}", mutant.name()), outcome);
    }
    for (search, seed) in seeds {
        let outcome = caught(|| search.run(*seed));
        note(format!("{search}, seed {seed}"), outcome);
    }
    Sound {
        scenarios: mutants.len() as u64,
        seeds: seeds.len() as u64,
        millis: begun.elapsed().as_millis() as u64,
        ..sound
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
