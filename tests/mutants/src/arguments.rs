//! What `coracle-mutants` is asked to do.

use coracle_switch::Mutant;

/// How it is called.
pub const USAGE: &str = "usage: coracle-mutants [--quarter] [--seeds N] [--jobs N] [-o json]
       coracle-mutants --mutant NAME ... [--seeds N] [--jobs N] [-o json]
       coracle-mutants --mutant NAME --seed X [-o json]
       coracle-mutants --list [-o json]

Switches deliberate bugs on, one after the other, and says whether the tests notice.

  --quarter      the fixed quarter of the mutants that is always tested
  --mutant NAME  this one only; may be given several times
  --seeds N      seeds of the random search (0: scenarios only); default 40
  --seed X       only this seed, of one mutant
  --jobs N       processes at a time; default 2
  -o json        a report for programs
  --list         the mutants, and what is wrong with each

Exit codes: 0 every mutant is caught by its scenario, and enough of them by random search;
1 something is missed, or fails without a mutant; 2 usage.

examples:
  coracle-mutants
  coracle-mutants --quarter --seeds 10
  coracle-mutants --mutant vote-twice --seeds 10
  coracle-mutants --mutant vote-twice --seed 3";

/// Seeds of the random search, unless others are wanted.
const SEEDS: u64 = 40;

/// Processes at a time, unless others are wanted.
const JOBS: usize = 2;

/// One mutant in so many is always tested.
const QUARTER: usize = 4;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Say how it is called.
    Help,
    /// Name the mutants.
    List {
        /// For programs.
        json: bool,
    },
    /// Run one seed with one mutant.
    Replay {
        /// The mutant.
        mutant: Mutant,
        /// The seed.
        seed: u64,
        /// For programs.
        json: bool,
    },
    /// Judge one mutant, for the process that started this one.
    Child {
        /// The mutant.
        mutant: Mutant,
        /// Seeds of the search.
        seeds: u64,
    },
    /// Judge mutants, then the sound code.
    Judge(Judge),
}

/// The mutants to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judge {
    /// Those that are wanted.
    pub mutants: Vec<Mutant>,
    /// Seeds of the search for each.
    pub seeds: u64,
    /// Processes at a time.
    pub jobs: usize,
    /// For programs.
    pub json: bool,
}

/// Why that cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// Nobody knows this word.
    #[error("unknown argument `{0}`")]
    Unknown(String),
    /// One of the two would be passed over.
    #[error("{0} is given twice: leave one of them out")]
    Repeated(String),
    /// The word stands alone.
    #[error("{0} needs a value")]
    NoValue(String),
    /// There is no such mutant.
    #[error("no mutant `{0}`; --list names them")]
    NoMutant(String),
    /// Not a number, or too small a one.
    #[error("{word} needs a number from {low}, not `{value}`")]
    NoNumber {
        /// What it was said of.
        word: &'static str,
        /// The smallest.
        low: u64,
        /// What was said.
        value: String,
    },
    /// There is only one other format.
    #[error("-o takes json, not `{0}`; without it the report is a text")]
    Format(String),
    /// One of the two would be passed over.
    #[error("{0} and {1} cannot stand together: leave one of them out")]
    Contradiction(&'static str, &'static str),
    /// A seed is another run with every mutant.
    #[error(
        "--seed is one run of one mutant: name it with one --mutant, or take --seeds for more runs \
         (--mutant is given {0} times)"
    )]
    WhoseSeed(usize),
}

/// Words that cannot stand together.
const APART: [(&str, &str); 10] = [
    ("--mutant", "--quarter"),
    ("--seed", "--quarter"),
    ("--seed", "--seeds"),
    ("--seed", "--jobs"),
    ("--list", "--mutant"),
    ("--list", "--quarter"),
    ("--list", "--seed"),
    ("--list", "--seeds"),
    ("--list", "--jobs"),
    ("--list", "--child"),
];

/// What the words say.
#[derive(Debug, Default)]
struct Given {
    words: Vec<String>,
    mutants: Vec<Mutant>,
    seed: Option<u64>,
    seeds: Option<u64>,
    jobs: Option<u64>,
}

/// What the words say.
#[expect(clippy::missing_errors_doc, reason = "the error says why")]
pub fn parse(words: impl Iterator<Item = String>) -> Result<Command, UsageError> {
    let given = Given::read(words)?;
    if given.has("--help") || given.has("-h") {
        return Ok(Command::Help);
    }
    let both = |(one, other): &&(&str, &str)| given.has(one) && given.has(other);
    if let Some((one, other)) = APART.iter().find(both) {
        return Err(UsageError::Contradiction(one, other));
    }
    let json = given.has("-o");
    let seeds = given.seeds.unwrap_or(SEEDS);
    if given.has("--list") {
        return Ok(Command::List { json });
    }
    match (given.seed, given.mutants.as_slice()) {
        (Some(seed), &[mutant]) => Ok(Command::Replay { mutant, seed, json }),
        (Some(_), mutants) => Err(UsageError::WhoseSeed(mutants.len())),
        (None, &[mutant]) if given.has("--child") => Ok(Command::Child { mutant, seeds }),
        (None, _) => Ok(Command::Judge(Judge {
            seeds,
            jobs: given.jobs.map_or(JOBS, |jobs| jobs as usize),
            json,
            mutants: given.wanted(),
        })),
    }
}

impl Given {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, UsageError> {
        let mut given = Self::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(UsageError::NoValue(word.clone()));
            match word.as_str() {
                "--mutant" => given.mutant(value()?)?,
                "--seed" => given.seed = Some(number("--seed", 0, value()?)?),
                "--seeds" => given.seeds = Some(number("--seeds", 0, value()?)?),
                "--jobs" => given.jobs = Some(number("--jobs", 1, value()?)?),
                "-o" => match value()? {
                    format if format == "json" => {}
                    format => return Err(UsageError::Format(format)),
                },
                "--quarter" | "--list" | "--child" | "--help" | "-h" => {}
                _ => return Err(UsageError::Unknown(word)),
            }
            if given.has(&word) && word != "--mutant" {
                return Err(UsageError::Repeated(word));
            }
            given.words.push(word);
        }
        Ok(given)
    }

    fn mutant(&mut self, name: String) -> Result<(), UsageError> {
        match Mutant::named(&name) {
            Some(mutant) if self.mutants.contains(&mutant) => Err(UsageError::Repeated(name)),
            Some(mutant) => {
                self.mutants.push(mutant);
                Ok(())
            }
            None => Err(UsageError::NoMutant(name)),
        }
    }

    fn has(&self, word: &str) -> bool {
        self.words.iter().any(|given| given == word)
    }

    /// Those that are named, or all or a quarter in the order of their list.
    fn wanted(self) -> Vec<Mutant> {
        if !self.mutants.is_empty() {
            return self.mutants;
        }
        let every = if self.has("--quarter") { QUARTER } else { 1 };
        Mutant::ALL.iter().copied().step_by(every).collect()
    }
}

fn number(word: &'static str, low: u64, value: String) -> Result<u64, UsageError> {
    let number = value.parse().ok().filter(|number| *number >= low);
    number.ok_or(UsageError::NoNumber { word, low, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Result<Command, UsageError> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_example_of_the_usage_is_understood() {
        let (_, examples) = USAGE.split_once("examples:\n").unwrap();
        for line in examples.lines() {
            let words = line.trim().strip_prefix("coracle-mutants").unwrap();
            assert!(said(words).is_ok(), "{words}: {:?}", said(words));
        }
    }

    #[test]
    fn a_quarter_is_judged_or_those_that_are_named() {
        let mutants = |line| match said(line) {
            Ok(Command::Judge(judge)) => judge.mutants,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(mutants(""), Mutant::ALL);
        assert_eq!(mutants("--quarter").len(), Mutant::ALL.len().div_ceil(4));
        assert_eq!(
            mutants("--mutant vote-twice --mutant ack-whole-log"),
            [Mutant::VoteTwice, Mutant::AckWholeLog]
        );
    }

    #[test]
    fn a_seed_without_its_one_mutant_is_refused() {
        assert_eq!(said("--seed 3"), Err(UsageError::WhoseSeed(0)));
        assert_eq!(
            said("--mutant vote-twice --seed 3 --mutant ack-whole-log"),
            Err(UsageError::WhoseSeed(2))
        );
        let text = UsageError::WhoseSeed(2).to_string();
        assert!(text.contains("one --mutant"), "{text}");
    }

    #[test]
    fn words_that_cannot_stand_together_are_refused() {
        for line in [
            "--quarter --mutant vote-twice",
            "--mutant vote-twice --seed 3 --seeds 4",
            "--mutant vote-twice --seed 3 --jobs 4",
            "--quarter --seed 3",
            "--list --seeds 3",
            "--list --mutant vote-twice",
        ] {
            let error = said(line).unwrap_err();
            assert!(matches!(error, UsageError::Contradiction(..)), "{line}");
            assert!(error.to_string().contains("leave one of them out"));
        }
    }

    #[test]
    fn what_would_be_passed_over_is_refused() {
        for line in [
            "--seeds 3 --seeds 4",
            "--mutant vote-twice --mutant vote-twice",
            "--jobs 0",
            "--seeds many",
            "--mutant nobody",
            "--mutant",
            "-o yaml",
            "--quartre",
        ] {
            assert!(said(line).is_err(), "{line}: {:?}", said(line));
        }
    }
}
