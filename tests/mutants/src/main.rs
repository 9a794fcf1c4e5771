//! `coracle-mutants`: switches deliberate bugs on, and says whether the tests notice. See `USAGE`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal: data on stdout, the rest on stderr"
)]

mod children;

use std::collections::BTreeSet;
use std::process::ExitCode;

use coracle_mutants::arguments::{Command, Judge, USAGE, parse};
use coracle_mutants::report::{Listed, Replayed, Report};
use coracle_mutants::search::Search;
use coracle_mutants::{Mutant, run};
use serde::Serialize;

fn main() -> ExitCode {
    let command = match parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("coracle-mutants: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // A panic is a verdict here; it is told with the mutant that it was caused by.
    std::panic::set_hook(Box::new(|_| {}));
    match perform(&command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(line) => {
            eprintln!("coracle-mutants: {line}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is well.
fn perform(command: &Command) -> Result<bool, String> {
    match command {
        Command::Help => println!("{USAGE}"),
        Command::List { json } => list(*json)?,
        Command::Replay { mutant, seed, json } => replay(*mutant, *seed, *json)?,
        // Everything about one mutant, for the process that started this one.
        Command::Child { mutant, seeds } => {
            let verdict = run::mutant(*mutant, *seeds);
            let text = serde_json::to_string(&verdict).map_err(|error| error.to_string())?;
            println!("{text}");
        }
        Command::Judge(judge) => return judged(judge),
    }
    Ok(true)
}

fn list(json: bool) -> Result<(), String> {
    let listed: Vec<_> = Mutant::ALL.iter().copied().map(Listed::of).collect();
    if json {
        return print(&listed);
    }
    for Listed { mutant, what, .. } in listed {
        println!("{mutant:<30} {what}");
    }
    Ok(())
}

/// One seed with one mutant.
fn replay(mutant: Mutant, seed: u64, json: bool) -> Result<(), String> {
    let replayed = Replayed {
        mutant: mutant.name().into(),
        seed,
        caught_by: run::replay(mutant, seed).err(),
    };
    match json {
        true => print(&replayed)?,
        false => println!("{replayed}"),
    }
    Ok(())
}

/// Every mutant that is asked for, then the sound code under all that they were put to.
fn judged(judge: &Judge) -> Result<bool, String> {
    let mutants = &judge.mutants;
    let verdicts = children::run(judge)?;
    let mut seeds = BTreeSet::new();
    for (mutant, verdict) in mutants.iter().zip(&verdicts) {
        let random = verdict.random.iter().flat_map(|random| &random.seeds);
        seeds.extend(random.map(|seed| (Search::of(*mutant), *seed)));
    }
    eprintln!("mutants: the sound code on {} seeds", seeds.len());
    let sound = run::sound(mutants, &seeds, judge.jobs);
    let report = Report::new(verdicts, judge.seeds, sound);
    match judge.json {
        true => print(&report)?,
        false => println!("{report}"),
    }
    Ok(report.is_good())
}

fn print(what: &impl Serialize) -> Result<(), String> {
    let text = serde_json::to_string_pretty(what).map_err(|error| error.to_string())?;
    println!("{text}");
    Ok(())
}
