//! The command line.

use coracle_mutants::Mutant;

pub(crate) const USAGE: &str = "usage: coracle-mutants [--quarter] [--seeds N] [--jobs N] [-o json]
       coracle-mutants --mutant NAME [--seeds N | --seed X] [-o json]
       coracle-mutants --list

Switches deliberate bugs on, one after the other, and says whether the tests notice.

  --quarter      the fixed quarter of the mutants that is always tested
  --mutant NAME  this one only; may be given several times
  --seeds N      seeds of the random search (0: scenarios only); default 40
  --seed X       only this seed
  --jobs N       processes at a time; default 2
  -o json        a report for programs
  --list         the mutants, and what is wrong with each

examples:
  coracle-mutants
  coracle-mutants --mutant vote-twice --seeds 10
  coracle-mutants --mutant vote-twice --seed 3";

/// Seeds of the random search, unless others are wanted.
const SEEDS: u64 = 40;

/// Processes at a time, unless others are wanted.
const JOBS: usize = 2;

/// One mutant in so many is always tested.
const QUARTER: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) mutant: Option<Mutant>,
    more: Vec<Mutant>,
    pub(crate) seed: Option<u64>,
    seeds: Option<u64>,
    jobs: Option<usize>,
    quarter: bool,
    pub(crate) list: bool,
    pub(crate) json: bool,
    pub(crate) child: bool,
    pub(crate) help: bool,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--mutant" => {
                    let name = value()?;
                    let mutant = Mutant::named(&name);
                    let mutant = mutant.ok_or(format!("no mutant `{name}`; see --list"))?;
                    arguments.mutant = Some(mutant);
                    arguments.more.push(mutant);
                }
                "--seed" => arguments.seed = Some(number(&value()?)?),
                "--seeds" => arguments.seeds = Some(number(&value()?)?),
                "--jobs" => arguments.jobs = Some(number(&value()?)? as usize),
                "-o" if value()? == "json" => arguments.json = true,
                "--quarter" => arguments.quarter = true,
                "--list" => arguments.list = true,
                "--child" => arguments.child = true,
                "--help" | "-h" => arguments.help = true,
                _ => return Err(format!("unknown argument `{word}`")),
            }
        }
        Ok(arguments)
    }

    /// Those that are wanted, in the order of their list.
    pub(crate) fn mutants(&self) -> Vec<Mutant> {
        if !self.more.is_empty() {
            return self.more.clone();
        }
        let every = if self.quarter { QUARTER } else { 1 };
        Mutant::ALL.iter().copied().step_by(every).collect()
    }

    /// Seeds of the search for a mutant.
    pub(crate) fn budget(&self) -> u64 {
        self.seeds.unwrap_or(SEEDS)
    }

    pub(crate) fn jobs(&self) -> usize {
        self.jobs.unwrap_or(JOBS).max(1)
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}
