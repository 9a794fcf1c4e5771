//! Runs a search to its end and says what came of it.

use std::fmt;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model, Path};

use crate::action::Action;
use crate::search::Search;
use crate::state::State;

/// What came of one search.
#[derive(Debug)]
pub struct Outcome {
    /// States generated, most of them more than once.
    pub generated: usize,
    /// Different states.
    pub unique: usize,
    /// Steps of the longest history.
    pub depth: usize,
    /// How long it took.
    pub time: Duration,
    /// The whole slice was searched.
    pub complete: bool,
    /// The invariant that is broken, and how it came to that.
    pub broken: Option<(&'static str, Vec<String>)>,
    /// Goals that were not reached.
    pub missed: Vec<&'static str>,
}

/// Searches until everything is seen, something is broken, or so many states were generated.
pub fn check(search: &Search, limit: usize) -> Outcome {
    let begun = Instant::now();
    let builder = search.clone().checker().threads(1);
    let builder = builder.finish_when(HasDiscoveries::AnyFailures);
    let checker = builder.target_state_count(limit).spawn_bfs().join();
    let mut discoveries = checker.discoveries();
    let invariants = crate::Invariant::ALL.iter();
    let broken = invariants
        .filter_map(|invariant| discoveries.remove_entry(invariant.name()))
        .map(|(name, path)| (name, story(search, path)))
        .next();
    let goals = search.slice.goals.iter().map(|goal| goal.name());
    Outcome {
        generated: checker.state_count(),
        unique: checker.unique_state_count(),
        depth: checker.max_depth(),
        time: begun.elapsed(),
        complete: checker.state_count() < limit,
        missed: goals
            .filter(|goal| !discoveries.contains_key(goal))
            .collect(),
        broken,
    }
}

/// The steps to a state, and what the observer said there.
fn story(search: &Search, path: Path<State, Action>) -> Vec<String> {
    let last = path.last_state().ghost.broken.clone();
    let steps = path.into_vec().into_iter();
    let mut lines: Vec<String> = steps
        .filter_map(|(state, action)| Some(describe(search, &state, &action?)))
        .collect();
    lines.extend(last.map(|broken| broken.detail));
    lines
}

fn describe(_: &Search, state: &State, action: &Action) -> String {
    match action {
        Action::Deliver { name, .. } | Action::Lose(name) => match state.network.find(*name) {
            Some(envelope) => format!("{action}: {envelope}"),
            None => action.to_string(),
        },
        _ => action.to_string(),
    }
}

impl Outcome {
    /// Everything was seen, nothing broken, every goal reached.
    pub fn passed(&self) -> bool {
        self.complete && self.broken.is_none() && self.missed.is_empty()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            generated,
            unique,
            depth,
            ..
        } = self;
        let seconds = self.time.as_secs_f64();
        write!(
            f,
            "{generated} states, {unique} of them different, depth {depth}, {seconds:.1} s"
        )?;
        if !self.complete {
            write!(f, ", not searched to the end")?;
        }
        if !self.missed.is_empty() {
            write!(f, ", never reached: {}", self.missed.join("; "))?;
        }
        if let Some((name, story)) = &self.broken {
            write!(f, "\n  broken: {name}")?;
            for line in story {
                write!(f, "\n    {line}")?;
            }
        }
        Ok(())
    }
}
