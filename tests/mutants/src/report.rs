//! What came of the mutants, for people and for programs.

use std::fmt;

use coracle_switch::Mutant;
use serde::{Deserialize, Serialize};

/// Of a hundred mutants that are searched, random search must find at least so many. Which ones it
/// finds changes with every change of the code, since the same seeds are other runs then.
const FLOOR_PERCENT: u64 = 66;

/// With fewer mutants the share says nothing.
const FLOOR_MUTANTS: u64 = 8;

/// With fewer seeds for each the search has had no chance.
const FLOOR_SEEDS: u64 = 10;

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

/// What random search found in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Share {
    /// Mutants that it looked for.
    pub mutants: u64,
    /// Seeds that it had for each.
    pub seeds: u64,
    /// Mutants that it found.
    pub found: u64,
    /// How many it must find; nothing if there were too few mutants or seeds to judge it by.
    pub floor: Option<u64>,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Report {
    /// The mutants, in the order of their list.
    pub mutants: Vec<Verdict>,
    /// What random search found of them.
    pub random: Share,
    /// The sound code.
    pub sound: Sound,
    /// Why the run fails; nothing if all is well.
    pub reasons: Vec<String>,
}

/// A mutant, as a list names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name.
    pub mutant: String,
    /// Where it is.
    pub area: String,
    /// What is wrong with it.
    pub what: String,
}

/// One seed that was run with one mutant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// The mutant.
    pub mutant: String,
    /// The seed.
    pub seed: u64,
    /// The rule that was broken, and how; nothing if the seed does not catch it.
    pub caught_by: Option<String>,
}

impl Listed {
    /// This mutant.
    pub fn of(mutant: Mutant) -> Self {
        Self {
            mutant: mutant.name().into(),
            area: format!("{:?}", mutant.area()).to_lowercase(),
            what: mutant.what().into(),
        }
    }
}

impl Verdict {
    /// Whether the tests noticed.
    pub fn is_caught(&self) -> bool {
        self.directed.caught_by.is_some() || self.is_found()
    }

    /// Whether random search noticed.
    fn is_found(&self) -> bool {
        let random = self.random.as_ref();
        random.is_some_and(|random| random.finding.caught_by.is_some())
    }
}

impl Share {
    /// What came of so many seeds for each of these.
    fn of(verdicts: &[Verdict], seeds: u64) -> Self {
        let mutants = verdicts.len() as u64;
        let judged = mutants >= FLOOR_MUTANTS && seeds >= FLOOR_SEEDS;
        Self {
            mutants,
            seeds,
            found: verdicts.iter().filter(|it| it.is_found()).count() as u64,
            floor: judged.then_some(mutants * FLOOR_PERCENT / 100),
        }
    }

    /// Why it is too little.
    fn reason(&self) -> Option<String> {
        let Self {
            mutants,
            seeds,
            found,
            floor,
        } = *self;
        let floor = floor.filter(|floor| found < *floor)?;
        Some(format!(
            "random search found {found} of {mutants} mutants in {seeds} seeds each, and must find {floor} \
             ({FLOOR_PERCENT} %): its faults or its rules have lost their aim; `coracle-sim --marks` says \
             what is no longer reached, `--mutant NAME --seeds 200` looks longer for one"
        ))
    }
}

impl Report {
    /// What came of the mutants with so many seeds for each, and of the sound code.
    pub fn new(mutants: Vec<Verdict>, seeds: u64, sound: Sound) -> Self {
        let random = Share::of(&mutants, seeds);
        let missed = mutants.iter().filter(|it| it.directed.caught_by.is_none());
        let missed = missed.map(|it| format!("the scenario of {} does not catch it", it.mutant));
        let failed = sound.failures.iter();
        let failed = failed.map(|failure| format!("without a mutant: {failure}"));
        Self {
            reasons: missed.chain(random.reason()).chain(failed).collect(),
            mutants,
            random,
            sound,
        }
    }

    /// Whether every mutant was caught by its scenario, enough of them by random search, and
    /// nothing failed without a mutant.
    pub fn is_good(&self) -> bool {
        self.reasons.is_empty()
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
        let missed = self.caught(|verdict| !verdict.is_caught());
        let Share { found, floor, .. } = self.random;
        let floor = floor.map_or(String::new(), |floor| {
            format!(" (at least {floor} must be)")
        });
        writeln!(
            f,
            "{} mutants: {directed} caught by their scenario, {found} by random search{floor}, \
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
        let mut reasons = self.reasons.iter();
        reasons.try_for_each(|reason| write!(f, "\nFAILED {reason}"))
    }
}

/// `vote-twice is caught by seed 3: ...`
impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mutant, seed, .. } = self;
        match &self.caught_by {
            Some(broken) => write!(f, "{mutant} is caught by seed {seed}: {broken}"),
            None => write!(f, "{mutant} is not caught by seed {seed}"),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(caught: bool) -> Finding {
        Finding {
            caught_by: caught.then(|| "election safety".into()),
            millis: 1,
        }
    }

    /// A mutant that its scenario catches, and random search with this budget does or does not.
    fn verdict(found: bool, budget: u64) -> Verdict {
        let Listed { mutant, area, what } = Listed::of(Mutant::VoteTwice);
        let random = Searched {
            search: "simulator".into(),
            finding: finding(found),
            seeds: vec![0],
            budget,
            replay: String::new(),
        };
        Verdict {
            mutant,
            area,
            what,
            directed: finding(true),
            random: Some(random),
        }
    }

    /// So many mutants, of which random search finds so many.
    fn report(mutants: usize, found: usize, seeds: u64) -> Report {
        let verdicts = (0..mutants).map(|at| verdict(at < found, seeds)).collect();
        Report::new(verdicts, seeds, Sound::default())
    }

    #[test]
    fn a_search_that_finds_fewer_than_two_thirds_fails_the_run_and_says_so() {
        assert!(report(16, 10, 10).is_good());
        for found in [0, 9] {
            let report = report(16, found, 10);
            assert!(!report.is_good(), "{found} of 16");
            let text = report.to_string();
            assert!(text.contains("FAILED random search found"), "{text}");
            assert!(text.contains("must find 10"), "{text}");
            let json = serde_json::to_value(&report).unwrap();
            assert_eq!(json["random"]["floor"], 10);
            assert_eq!(json["random"]["found"], found);
            assert!(json["reasons"][0].as_str().unwrap().contains("must find"));
        }
    }

    #[test]
    fn a_search_that_ended_with_its_process_found_nothing() {
        let mut verdicts = vec![verdict(true, 10); 16];
        verdicts.iter_mut().take(7).for_each(|it| it.random = None);
        assert!(!Report::new(verdicts, 10, Sound::default()).is_good());
    }

    #[test]
    fn few_mutants_or_seeds_are_no_measure_of_the_search() {
        for (mutants, seeds) in [(1, 200), (7, 40), (61, 9), (61, 1), (61, 0)] {
            let report = report(mutants, 0, seeds);
            assert!(report.is_good(), "{mutants} mutants, {seeds} seeds");
            assert_eq!(report.random.floor, None);
        }
    }

    #[test]
    fn a_scenario_that_misses_and_sound_code_that_fails_are_reasons() {
        let mut missed = verdict(true, 1);
        missed.directed = finding(false);
        let report = Report::new(vec![missed], 1, Sound::default());
        assert_eq!(
            report.reasons,
            ["the scenario of vote-twice does not catch it"]
        );
        assert!(report.to_string().contains("MISSED"));
        let sound = Sound {
            failures: vec!["seed 3".into()],
            ..Sound::default()
        };
        let report = Report::new(vec![verdict(true, 1)], 1, sound);
        assert_eq!(report.reasons, ["without a mutant: seed 3"]);
    }
}
