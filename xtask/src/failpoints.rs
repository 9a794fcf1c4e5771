//! `failpoints ARGS`: nodes that fail at places in their code.

use std::path::Path;
use std::process::Command;

use crate::{
    demo::build_programs,
    plugins,
    runs::{Failure, step},
    seed::fresh_seed,
    workspace::{cargo, target_folder},
};

/// `failpoints ARGS`; the arguments go to `coracle-chaos`.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let plugins = plugins::build()?;
    let programs = build_programs(&["coracle-chaos"], false)?;
    play(&plugins, &programs, arguments)
}

/// A short selection, with a fresh seed.
pub(crate) fn short(plugins: &Path, programs: &Path) -> Result<(), Failure> {
    play(
        plugins,
        programs,
        &["--seed".to_owned(), fresh_seed().to_string()],
    )
}

fn play(plugins: &Path, programs: &Path, arguments: &[String]) -> Result<(), Failure> {
    let binary = build()?;
    let reports = target_folder()?.join("chaos");
    let mut chaos = Command::new(programs.join("coracle-chaos"));
    chaos
        .env("CORACLE_PLUGINS", plugins)
        .arg("--reports")
        .arg(reports)
        .arg("--binary")
        .arg(binary)
        .args(["--scenario", "failpoints"])
        .args(arguments);
    step("letting nodes fail at places in their code", &mut chaos)
}

/// A `coracle` with failpoints, out of the way of the one without.
fn build() -> Result<std::path::PathBuf, Failure> {
    let target = target_folder()?;
    let line = "build --workspace --bin coracle";
    let mut with = cargo(line);
    step(
        "building a coracle with failpoints",
        with.args(["--features", "coracle/failpoints"]),
    )?;
    let kept = target.join("failpoints");
    let copy = kept.join("coracle");
    std::fs::create_dir_all(&kept)
        .and_then(|()| std::fs::copy(target.join("debug/coracle"), &copy))
        .map_err(|error| Failure::io("keep the coracle with failpoints", &error))?;
    step("building the one without again", &mut cargo(line))?;
    Ok(copy)
}
