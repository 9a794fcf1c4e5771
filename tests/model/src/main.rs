//! `coracle-model`: searches slices of what the core can do.
//!
//! ```text
//! coracle-model [SLICE ...] [--bug NAME] [--states N] [--flights N] [--list]
//! ```

use std::io::Write;
use std::process::ExitCode;

use coracle_model::{Bug, Search, Slice, check, slice, slices};

const USAGE: &str = "\
usage: coracle-model [SLICE ...] [--bug NAME] [--states N] [--flights N]
       coracle-model --list

  SLICE        what is searched, to its end (all of them)
  --bug NAME   with a bug put in: the shortest history that breaks an invariant is shown
  --states N   give up after so many generated states (30000000)
  --flights N  messages on their way at most, instead of what the slice says
  --list       the slices and the bugs

Exit codes: 0 every slice passes, 1 one does not, 2 usage.

examples:
  coracle-model election
  coracle-model election --bug vote-forgotten";

/// States generated per slice, beyond which a search counts as not finished.
const MAX_STATES: usize = 30_000_000;

#[derive(Debug, Default)]
struct Arguments {
    slices: Vec<&'static Slice>,
    bug: Option<Bug>,
    limit: usize,
    flights: Option<usize>,
    list: bool,
    help: bool,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(arguments) if arguments.help => {
            let _ = writeln!(std::io::stdout(), "{USAGE}");
            ExitCode::SUCCESS
        }
        Ok(arguments) if arguments.list => list(),
        Ok(arguments) => run(&arguments),
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "{message}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        limit: MAX_STATES,
        ..Arguments::default()
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--list" => arguments.list = true,
            "--help" | "-h" => arguments.help = true,
            "--bug" => {
                let name = words.next().ok_or("--bug needs a name")?;
                let bug = Bug::ALL.into_iter().find(|bug| bug.name() == name);
                arguments.bug = Some(bug.ok_or(format!("there is no bug `{name}`"))?);
            }
            "--states" => {
                let value = words.next().ok_or("--states needs a number")?;
                let states = value.parse();
                arguments.limit = states.map_err(|_| format!("`{value}` is no number"))?;
            }
            "--flights" => {
                let value = words.next().ok_or("--flights needs a number")?;
                let flights = value.parse();
                arguments.flights = Some(flights.map_err(|_| format!("`{value}` is no number"))?);
            }
            name => {
                let found = slice(name).ok_or(format!("there is no slice `{name}`; see --list"))?;
                arguments.slices.push(found);
            }
        }
    }
    if arguments.slices.is_empty() {
        arguments.slices = slices().iter().collect();
    }
    Ok(arguments)
}

fn list() -> ExitCode {
    let mut out = std::io::stdout().lock();
    for slice in slices() {
        let _ = writeln!(out, "{:12} {}", slice.name, slice.about);
    }
    for bug in Bug::ALL {
        let _ = writeln!(out, "--bug {}", bug.name());
    }
    ExitCode::SUCCESS
}

fn run(arguments: &Arguments) -> ExitCode {
    let mut passed = true;
    for slice in &arguments.slices {
        let search = Search {
            slice: Slice {
                flights: arguments.flights.unwrap_or(slice.flights),
                ..(*slice).clone()
            },
            bug: arguments.bug,
        };
        let outcome = check(&search, arguments.limit);
        passed &= outcome.passed();
        let _ = writeln!(std::io::stdout(), "{:12} {outcome}", slice.name);
    }
    match passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
