//! The simulator: fresh seeds, and runs that failed once.

use std::process::Command;

use crate::{
    demo::build_programs,
    runs::{Failure, step},
    seed::{fresh_seed, with_commit},
    workspace::root,
};

/// Runs that failed once.
const CORPUS: &str = "tests/sim/corpus";

/// How long `test` looks at fresh seeds.
const MINUTES: &str = "2";

/// Words of `coracle-sim` that ask for something else than a sweep.
const OTHERS: [&str; 8] = [
    "--help",
    "-h",
    "--seed",
    "--minimise",
    "--tape",
    "--corpus",
    "--speed",
    "--start",
];

/// `sim ARGS`.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let programs = build_programs(&["coracle-sim"], true)?;
    let simulator = programs.join("coracle-sim");
    let is_sweep = !arguments.iter().any(|word| OTHERS.contains(&word.as_str()));
    let mut sweep = with_commit(Command::new(&simulator));
    sweep.current_dir(root());
    if is_sweep {
        sweep.args(["--start", &fresh_seed().to_string()]);
    }
    step("running the simulator", sweep.args(arguments))?;
    if is_sweep {
        play_corpus(&mut with_commit(Command::new(&simulator)))?;
    }
    Ok(())
}

/// What `test` does: the corpus, and a few minutes of seeds that nobody has seen, each run twice.
pub(crate) fn short(simulator: impl Fn() -> Command) -> Result<(), Failure> {
    play_corpus(&mut with_commit(simulator()))?;
    step(
        "simulating fresh seeds, each of them twice",
        with_commit(simulator()).args([
            "--minutes",
            MINUTES,
            "--twice",
            "--start",
            &fresh_seed().to_string(),
        ]),
    )?;
    step("measuring the simulator", simulator().arg("--speed"))
}

fn play_corpus(simulator: &mut Command) -> Result<(), Failure> {
    step(
        "playing the runs that failed once",
        simulator.current_dir(root()).args(["--corpus", CORPUS]),
    )
}
