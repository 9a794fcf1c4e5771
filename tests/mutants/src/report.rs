//! What came of the mutants, for people and for programs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Letters of a broken rule's description that fit the table.
const SHOWN_LETTERS: usize = 60;

/// One way of looking for a mutant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule that was broken, and how; nothing if the mutant was missed.
    pub caught_by: Option<String>,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// The random search for a mutant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Searched {
    /// What was searched.
    pub search: String,
    /// What came of it.
    #[serde(flatten)]
    pub finding: Finding,
    /// The seeds that were run; the last is the one that caught it, if any did.
    pub seeds: Vec<u64>,
    /// How many there might have been.
    pub budget: u64,
    /// The command that runs the last seed again.
    pub replay: String,
}

/// One mutant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Its name.
    pub mutant: String,
    /// Where it is.
    pub area: String,
    /// What is wrong with it.
    pub what: String,
    /// What the directed scenario said.
    pub directed: Finding,
    /// What the random search said; nothing if it was not wanted.
    pub random: Option<Searched>,
}

/// The sound code, under everything that the mutants were put to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sound {
    /// Scenarios that were played.
    pub scenarios: u64,
    /// Seeds that were run.
    pub seeds: u64,
    /// What failed: with a mutant it would be no proof of anything.
    pub failures: Vec<String>,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Report {
    /// The mutants, in the order of their list.
    pub mutants: Vec<Verdict>,
    /// The sound code.
    pub sound: Sound,
}

impl Verdict {
    /// Whether the tests noticed.
    pub fn is_caught(&self) -> bool {
        let random = self.random.as_ref();
        self.directed.caught_by.is_some()
            || random.is_some_and(|random| random.finding.caught_by.is_some())
    }
}

impl Report {
    /// Whether every mutant was caught by its scenario, and nothing else failed.
    pub fn is_good(&self) -> bool {
        let directed = |verdict: &Verdict| verdict.directed.caught_by.is_some();
        self.mutants.iter().all(directed) && self.sound.failures.is_empty()
    }

    fn caught(&self, how: impl Fn(&Verdict) -> bool) -> usize {
        self.mutants.iter().filter(|verdict| how(verdict)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<30} {:<10} {:>8} {:>7} {:>7}  caught by",
            "mutant", "directed", "seeds", "budget", "seconds"
        )?;
        for verdict in &self.mutants {
            writeln!(f, "{verdict}")?;
        }
        let directed = self.caught(|verdict| verdict.directed.caught_by.is_some());
        let random = self.caught(|verdict| {
            let random = verdict.random.as_ref();
            random.is_some_and(|random| random.finding.caught_by.is_some())
        });
        let missed = self.caught(|verdict| !verdict.is_caught());
        writeln!(
            f,
            "{} mutants: {directed} caught by their scenario, {random} by random search, \
             {missed} missed",
            self.mutants.len()
        )?;
        let Sound {
            scenarios,
            seeds,
            failures,
            millis,
        } = &self.sound;
        write!(
            f,
            "without a mutant: {scenarios} scenarios and {seeds} seeds in {:.1} s, {} failed",
            seconds(*millis),
            failures.len()
        )?;
        failures.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directed = match self.directed.caught_by {
            Some(_) => "yes",
            None => "MISSED",
        };
        let mut millis = self.directed.millis;
        let (mut seeds, mut budget) = ("-".to_owned(), "-".to_owned());
        let mut by = self.directed.caught_by.as_deref();
        if let Some(random) = &self.random {
            millis += random.finding.millis;
            budget = random.budget.to_string();
            seeds = match &random.finding.caught_by {
                Some(_) => random.seeds.len().to_string(),
                None => "missed".to_owned(),
            };
            by = random.finding.caught_by.as_deref().or(by);
        }
        let by: String = by
            .unwrap_or("nothing")
            .chars()
            .take(SHOWN_LETTERS)
            .collect();
        let name = &self.mutant;
        let seconds = seconds(millis);
        write!(
            f,
            "{name:<30} {directed:<10} {seeds:>8} {budget:>7} {seconds:>7.1}  {by}"
        )
    }
}

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}
