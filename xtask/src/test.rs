//! Everything there is to test.

use std::{path::Path, process::Command};

use crate::{
    chaos,
    demo::build_programs,
    failpoints, model, mutants, plugins,
    runs::{Failure, say, step},
    seed::fresh_seed,
    sim,
    workspace::{cargo, peers},
};

pub(crate) fn run() -> Result<(), Failure> {
    let plugins = plugins::build()?;
    let programs = build_programs(&["coracle", "coracle-chaos", "coracle-sim"], false)?;
    step(
        "testing every crate, the plugins natively, and real processes",
        with(&plugins, &mut cargo("test --workspace"))
            .env("CORACLE_FUZZ_SEED", fresh_seed().to_string()),
    )?;
    step(
        "playing the same schedules on the core and on the raft crate",
        &mut peers("test --quiet -p coracle-differential")?,
    )?;
    model::test()?;
    step(
        "building the core for wasm, as a proof that it does no IO",
        &mut cargo("build -p coracle-proto --target wasm32-wasip2"),
    )?;
    sim::short(|| Command::new(programs.join("coracle-sim")))?;
    mutants::short()?;
    chaos::short(&plugins, &programs)?;
    failpoints::short(&plugins, &programs)?;
    say("all tests passed");
    Ok(())
}

/// `bench ARGS`.
pub(crate) fn bench(arguments: &[String]) -> Result<(), Failure> {
    let plugins = plugins::build()?;
    let programs = build_programs(&["coracle-bench"], true)?;
    let mut bench = Command::new(programs.join("coracle-bench"));
    bench.args(arguments);
    step("running the benchmarks", with(&plugins, &mut bench))
}

fn with<'a>(plugins: &Path, command: &'a mut Command) -> &'a mut Command {
    command.env("CORACLE_PLUGINS", plugins)
}
