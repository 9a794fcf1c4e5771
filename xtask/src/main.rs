//! The project's own commands: `cargo xtask`.

mod chaos; // real faults on real processes
mod demo; // builds a node and runs its demo
mod failpoints; // nodes that fail at places in their code
mod fuzz; // looks for inputs that break a decoder
mod model; // searches slices of what the core can do
mod mutants; // deliberate bugs that the tests must catch
mod plugins; // builds the components
mod runs; // runs other programs and says so
mod seed; // where searches of this commit begin
mod sim; // seeds and tapes of the simulator
mod test; // everything there is to test
mod verify; // everything that must be clean
mod workspace; // where things are

use std::process::ExitCode;

use runs::{Failure, say};

const USAGE: &str = "usage: cargo xtask VERB

  demo [--release] [-- ARGS]  three nodes in one process and a shell; ARGS go to `coracle demo`
  test                        everything there is to test
  verify                      format, lints, docs, rules of the house, licences
  fix                         format, and apply what clippy suggests
  plugins                     build the components into plugins/NAME.wasm of cargo's target folder
  sim [--seeds N] [--minutes M] ...
                              fresh seeds and the corpus, optimised; arguments go to `coracle-sim`
  chaos [--minutes M] [--scenario NAME] [--seed S] [--all] [--list] ...
                              real faults on real processes; arguments go to `coracle-chaos`
  failpoints [--all] [--seed S] [--verbose] ...
                              nodes that fail at places in their code; arguments go to `coracle-chaos`
  fuzz [TARGET] [--engine libfuzzer] [--minutes M | --seconds S]
                              look for inputs that break a decoder, optimised; all targets or those
                              whose name holds TARGET, at random or guided by coverage
  model [SLICE ...]           search slices of what the core can do to their end; --list names them
  mutants [--quarter | --mutant NAME] [--seeds N] [-o json] [--list]
                              switch deliberate bugs on, and see whether the tests notice
  bench [ARGS]                run the benchmarks; arguments go to `coracle-bench`
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(ended) = fuzz::coverage::as_rustc(&arguments) {
        return ended;
    }
    let (verb, rest) = match arguments.split_first() {
        Some((verb, rest)) => (verb.as_str(), rest),
        None => ("help", &[][..]),
    };
    match run(verb, rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(why)) => {
            say(&format!("{why}\n\n{USAGE}"));
            ExitCode::from(2)
        }
        Err(refused @ Failure::Refused { .. }) => {
            say(&refused.to_string());
            ExitCode::from(2)
        }
        Err(failure) => {
            say(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

fn run(verb: &str, rest: &[String]) -> Result<(), Failure> {
    match verb {
        "demo" => demo::run(rest),
        "sim" => sim::run(rest),
        "chaos" => chaos::run(rest),
        "failpoints" => failpoints::run(rest),
        "fuzz" => fuzz::run(rest),
        "model" => model::search(rest),
        "mutants" => mutants::run(rest),
        "bench" => test::bench(rest),
        "test" => alone(verb, rest).and_then(|()| test::run()),
        "verify" => alone(verb, rest).and_then(|()| verify::run()),
        "fix" => alone(verb, rest).and_then(|()| verify::fix()),
        "plugins" => alone(verb, rest).and_then(|()| plugins::build().map(drop)),
        "help" | "--help" | "-h" => {
            say(USAGE);
            Ok(())
        }
        _ => Err(Failure::Usage(format!("unknown verb `{verb}`"))),
    }
}

fn alone(verb: &str, rest: &[String]) -> Result<(), Failure> {
    match rest.first() {
        Some(extra) => Err(Failure::Usage(format!(
            "`{verb}` takes no argument, not `{extra}`"
        ))),
        None => Ok(()),
    }
}
