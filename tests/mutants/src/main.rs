//! `coracle-mutants`: switches deliberate bugs on, and says whether the tests notice.
//!
//! ```text
//! coracle-mutants [--quarter] [--seeds N] [--jobs N] [-o json]
//! coracle-mutants --mutant NAME [--seeds N | --seed X] [-o json]
//! coracle-mutants --list
//! ```

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal: data on stdout, the rest on stderr"
)]

mod arguments;
mod children;

use std::collections::BTreeSet;
use std::process::ExitCode;

use arguments::{Arguments, USAGE};
use coracle_mutants::report::Report;
use coracle_mutants::search::Search;
use coracle_mutants::{Mutant, run};

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if arguments.help {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    if arguments.list {
        for mutant in Mutant::ALL {
            println!("{:<30} {}", mutant.name(), mutant.what());
        }
        return ExitCode::SUCCESS;
    }
    // A panic is a verdict here; it is told with the mutant that it was caused by.
    std::panic::set_hook(Box::new(|_| {}));
    match (arguments.mutant, arguments.seed) {
        (Some(mutant), Some(seed)) => replay(mutant, seed),
        (Some(mutant), None) if arguments.child => child(mutant, &arguments),
        _ => all(&arguments),
    }
}

/// One seed with one mutant.
fn replay(mutant: Mutant, seed: u64) -> ExitCode {
    match run::replay(mutant, seed) {
        Ok(()) => println!("{} is not caught by seed {seed}", mutant.name()),
        Err(broken) => println!("{} is caught by seed {seed}: {broken}", mutant.name()),
    }
    ExitCode::SUCCESS
}

/// Everything about one mutant, for the process that started this one.
fn child(mutant: Mutant, arguments: &Arguments) -> ExitCode {
    let verdict = run::mutant(mutant, arguments.budget());
    match serde_json::to_string(&verdict) {
        Ok(text) => println!("{text}"),
        Err(error) => return fail(&error.to_string()),
    }
    ExitCode::SUCCESS
}

/// Every mutant that is asked for, then the sound code under all that they were put to.
fn all(arguments: &Arguments) -> ExitCode {
    let mutants = arguments.mutants();
    let verdicts = match children::run(&mutants, arguments) {
        Ok(verdicts) => verdicts,
        Err(error) => return fail(&error),
    };
    let mut seeds = BTreeSet::new();
    for (mutant, verdict) in mutants.iter().zip(&verdicts) {
        let random = verdict.random.iter().flat_map(|random| &random.seeds);
        seeds.extend(random.map(|seed| (Search::of(*mutant), *seed)));
    }
    eprintln!("mutants: the sound code on {} seeds", seeds.len());
    let report = Report {
        mutants: verdicts,
        sound: run::sound(&mutants, &seeds, arguments.jobs()),
    };
    if arguments.json {
        match serde_json::to_string_pretty(&report) {
            Ok(text) => println!("{text}"),
            Err(error) => return fail(&error.to_string()),
        }
    } else {
        println!("{report}");
    }
    match report.is_good() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn fail(line: &str) -> ExitCode {
    eprintln!("coracle-mutants: {line}");
    ExitCode::FAILURE
}
