//! What `coracle-sim` is asked to do.

use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) const USAGE: &str = "\
usage: coracle-sim [--seeds N] [--start S] [--minutes M] [--twice] [--marks] [--keep-going]
                   [--tapes DIR]
       coracle-sim --seed X [--trace] [--twice] [--events FILE]
       coracle-sim --seed X --history FILE
       coracle-sim --minimise X [--corpus DIR]
       coracle-sim --tape FILE [--trace]
       coracle-sim --corpus DIR
       coracle-sim --speed

  --seeds N       so many seeds (200, or as many as fit in --minutes)
  --start S       the first seed (0)
  --minutes M     stop after so many minutes (1 to 1440)
  --twice         run every seed twice and compare the two event by event
  --marks         fail if a situation of src/marks.rs was never reached
  --keep-going    go on after a seed that fails, and name all of them at the end
  --tapes DIR     where the tape of a seed that fails goes (tests/sim/corpus); a sweep that does
                  not keep going makes the run smaller, and shows the tape and its last events
  --seed X        one seed
  --trace         print one line per event
  --history FILE  write what the clients of the seed saw to FILE, for coracle-check
  --events FILE   write what the nodes do, for `coracle-trace --ordered FILE` to judge
  --minimise X    make the failing run of a seed smaller and write it to DIR/seed-X.tape
                  (DIR: tests/sim/corpus)
  --tape FILE     play a tape
  --corpus DIR    play all tapes of a folder
  --speed         messages per second with the log in memory, commits per second with redb

Exit codes: 0 all is well, 1 something is wrong or nothing was run, 2 usage.

examples:
  coracle-sim --seeds 200 --twice
  coracle-sim --start 5000 --minutes 10 --keep-going
  coracle-sim --seed 3 --trace
  coracle-sim --seed 30 --history 30.history.ndjson && coracle-check 30.history.ndjson
  coracle-sim --corpus tests/sim/corpus";

/// Seeds that are run if neither a number nor a time is given.
const SEEDS: u64 = 200;

/// The longest sweep: a day.
const MAX_MINUTES: u64 = 24 * 60;

/// Where tapes are kept.
const CORPUS: &str = "tests/sim/corpus";

/// Words that say what is wanted, with those that may stand beside them; the first one that is
/// given counts. Without any of them it is a sweep.
const VERBS: [(&str, &[&str]); 5] = [
    ("--seed", &["--trace", "--twice", "--events", "--history"]),
    ("--minimise", &["--corpus"]),
    ("--tape", &["--trace"]),
    ("--corpus", &[]),
    ("--speed", &[]),
];

/// What may be said of a sweep.
const SWEEP: [&str; 7] = [
    "--seeds",
    "--start",
    "--minutes",
    "--twice",
    "--marks",
    "--keep-going",
    "--tapes",
];

/// Words that are followed by a value.
const VALUED: [&str; 10] = [
    "--seed",
    "--seeds",
    "--start",
    "--minutes",
    "--history",
    "--events",
    "--minimise",
    "--tape",
    "--corpus",
    "--tapes",
];

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Sweep(Sweep),
    Seed(Seed),
    /// What the clients of a seed saw is written to a file.
    History {
        seed: u64,
        file: String,
    },
    Minimise {
        seed: u64,
        corpus: String,
    },
    Tape {
        file: String,
        trace: bool,
    },
    Corpus(String),
    Speed,
}

/// Many seeds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sweep {
    pub(crate) start: u64,
    /// The first one that is not run.
    pub(crate) end: u64,
    pub(crate) limit: Option<Duration>,
    pub(crate) twice: bool,
    pub(crate) marks: bool,
    pub(crate) keep_going: bool,
    pub(crate) tapes: String,
}

/// One seed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seed {
    pub(crate) seed: u64,
    pub(crate) trace: bool,
    pub(crate) twice: bool,
    pub(crate) events: Option<String>,
}

/// Why that cannot be done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UsageError {
    #[error("unknown argument `{0}`")]
    Unknown(String),
    #[error("{0} is given twice")]
    Repeated(String),
    #[error("{0} needs a value")]
    NoValue(String),
    #[error("{word} needs a number, not `{value}`")]
    NoNumber { word: &'static str, value: String },
    #[error("{word} takes {low} to {high}, not {value}")]
    Range {
        word: &'static str,
        low: u64,
        high: u64,
        value: u64,
    },
    #[error("{0} and {1} cannot stand together")]
    Contradiction(String, String),
}

/// What the words say.
pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Command, UsageError> {
    let words: Vec<String> = words.collect();
    if words.iter().any(|word| word == "--help" || word == "-h") {
        return Ok(Command::Help);
    }
    let given = Given::read(words)?;
    let verb = VERBS.iter().find(|(verb, _)| given.has(verb));
    let Some((verb, beside)) = verb else {
        given.only("a sweep", &SWEEP)?;
        return given.sweep().map(Command::Sweep);
    };
    given.only(verb, beside)?;
    let text = |word| given.text(word).unwrap_or_default();
    Ok(match *verb {
        "--seed" => return given.seed(),
        "--minimise" => Command::Minimise {
            seed: given.number(verb)?.unwrap_or_default(),
            corpus: given.text("--corpus").unwrap_or(CORPUS.into()),
        },
        "--tape" => Command::Tape {
            file: text("--tape"),
            trace: given.has("--trace"),
        },
        "--corpus" => Command::Corpus(text("--corpus")),
        _ => Command::Speed,
    })
}

/// The words, with their values.
struct Given(BTreeMap<String, String>);

impl Given {
    fn read(words: Vec<String>) -> Result<Self, UsageError> {
        let mut given = BTreeMap::new();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let verbs = VERBS.iter().map(|(verb, _)| verb);
            let beside = VERBS.iter().flat_map(|(_, beside)| *beside);
            if !verbs.chain(beside).chain(&SWEEP).any(|it| *it == word) {
                return Err(UsageError::Unknown(word));
            }
            let value = match VALUED.contains(&word.as_str()) {
                true => words.next().ok_or(UsageError::NoValue(word.clone()))?,
                false => String::new(),
            };
            if given.insert(word.clone(), value).is_some() {
                return Err(UsageError::Repeated(word));
            }
        }
        Ok(Self(given))
    }

    fn has(&self, word: &str) -> bool {
        self.0.contains_key(word)
    }

    fn text(&self, word: &str) -> Option<String> {
        self.0.get(word).cloned()
    }

    fn number(&self, word: &'static str) -> Result<Option<u64>, UsageError> {
        let parse = |value: String| match value.parse() {
            Ok(number) => Ok(number),
            Err(_) => Err(UsageError::NoNumber { word, value }),
        };
        self.text(word).map(parse).transpose()
    }

    fn within(&self, word: &'static str, low: u64, high: u64) -> Result<Option<u64>, UsageError> {
        match self.number(word)? {
            Some(value) if !(low..=high).contains(&value) => Err(UsageError::Range {
                word,
                low,
                high,
                value,
            }),
            within => Ok(within),
        }
    }

    /// Nothing stands beside the verb but this.
    fn only(&self, verb: &str, beside: &[&str]) -> Result<(), UsageError> {
        let allowed = |word: &str| word == verb || beside.contains(&word);
        match self.0.keys().find(|word| !allowed(word)) {
            Some(word) => Err(UsageError::Contradiction(verb.into(), word.clone())),
            None => Ok(()),
        }
    }

    fn sweep(&self) -> Result<Sweep, UsageError> {
        let minutes = self.within("--minutes", 1, MAX_MINUTES)?;
        let start = self.within("--start", 0, u64::MAX - 1)?.unwrap_or(0);
        let left = u64::MAX - start;
        let otherwise = match minutes {
            Some(_) => left,
            None => SEEDS.min(left),
        };
        let seeds = self.within("--seeds", 1, left)?.unwrap_or(otherwise);
        Ok(Sweep {
            start,
            end: start + seeds,
            limit: minutes.map(|minutes| Duration::from_secs(60 * minutes)),
            twice: self.has("--twice"),
            marks: self.has("--marks"),
            keep_going: self.has("--keep-going"),
            tapes: self.text("--tapes").unwrap_or(CORPUS.into()),
        })
    }

    fn seed(&self) -> Result<Command, UsageError> {
        let seed = self.number("--seed")?.unwrap_or_default();
        if let Some(file) = self.text("--history") {
            self.only("--history", &["--seed"])?;
            return Ok(Command::History { seed, file });
        }
        Ok(Command::Seed(Seed {
            seed,
            trace: self.has("--trace"),
            twice: self.has("--twice"),
            events: self.text("--events"),
        }))
    }
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
            let line = line.split(" && ").next().unwrap();
            let words = line.trim().strip_prefix("coracle-sim ").unwrap();
            assert!(said(words).is_ok(), "{words}: {:?}", said(words));
        }
        assert_eq!(said("--seed 3 --help"), Ok(Command::Help));
    }

    #[test]
    fn words_that_cannot_stand_together_are_refused() {
        for line in [
            "--seed 3 --seeds 4",
            "--seed 3 --speed",
            "--seed 3 --tape x",
            "--tape x --twice",
            "--seed 3 --history x --events y",
            "--seed 3 --history x --twice",
            "--corpus x --minutes 3",
            "--speed --corpus x",
            "--trace",
        ] {
            let error = said(line).unwrap_err();
            assert!(matches!(error, UsageError::Contradiction(..)), "{line}");
        }
        assert_eq!(
            said("--seed 1 --seed 2"),
            Err(UsageError::Repeated("--seed".into()))
        );
    }

    #[test]
    fn a_sweep_that_would_run_nothing_is_refused() {
        for line in [
            "--seeds 0",
            "--minutes 0",
            "--minutes 1441",
            "--minutes 18446744073709551615",
            "--start 18446744073709551615 --seeds 3",
            "--start 18446744073709551614 --seeds 2",
        ] {
            let error = said(line).unwrap_err();
            assert!(matches!(error, UsageError::Range { .. }), "{line}: {error}");
        }
        let Ok(Command::Sweep(last)) = said("--start 18446744073709551614") else {
            panic!("the last seed can be run");
        };
        assert_eq!(last.end - last.start, 1);
    }
}
