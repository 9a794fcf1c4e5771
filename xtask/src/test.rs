//! Everything there is to test.

use std::path::Path;

use crate::{
    demo::build_node,
    plugins,
    runs::{Failure, say, step},
    workspace::cargo,
};

/// How many histories the simulator plays in `test`: always the same ones.
const SEEDS: &str = "200";

pub(crate) fn run() -> Result<(), Failure> {
    let plugins = plugins::build()?;
    build_node(false)?;
    step(
        "testing every crate, the plugins natively, and real processes",
        with(&plugins, cargo("test").arg("--workspace")),
    )?;
    step(
        "building the core for wasm, as a proof that it does no IO",
        cargo("build").args(["-p", "coracle-proto", "--target", "wasm32-wasip2"]),
    )?;
    step(
        &format!("simulating {SEEDS} histories"),
        cargo("run").args(["--quiet", "-p", "coracle-sim", "--", "--seeds", SEEDS]),
    )?;
    say("all tests passed");
    Ok(())
}

/// `sim ARGS`.
pub(crate) fn simulate(arguments: &[String]) -> Result<(), Failure> {
    let mut run = cargo("run");
    run.args(["--release", "-p", "coracle-sim", "--"])
        .args(arguments);
    if arguments.is_empty() {
        run.args(["--seeds", SEEDS]);
    }
    step("running the simulator", &mut run)
}

/// `bench ARGS`.
pub(crate) fn bench(arguments: &[String]) -> Result<(), Failure> {
    let plugins = plugins::build()?;
    let mut run = cargo("run");
    run.args(["--release", "-p", "coracle-bench", "--"])
        .args(arguments);
    step("running the benchmarks", with(&plugins, &mut run))
}

fn with<'a>(
    plugins: &Path,
    command: &'a mut std::process::Command,
) -> &'a mut std::process::Command {
    command.env("CORACLE_PLUGINS", plugins)
}
