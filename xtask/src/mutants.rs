//! Deliberate bugs that the tests must catch.

use std::process::Command;

use crate::{
    runs::{Failure, step},
    workspace::{cargo, target_folder},
};

/// What `test` tries: a fixed quarter of the mutants, each in few seeds.
const SHORT: &[&str] = &["--quarter", "--seeds", "10"];

/// `mutants ARGS`.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let mut mutants = build()?;
    step(
        "switching deliberate bugs on, one after the other",
        mutants.args(arguments),
    )
}

/// The fixed quarter.
pub(crate) fn short() -> Result<(), Failure> {
    let mut mutants = build()?;
    step(
        "switching a quarter of the deliberate bugs on, one after the other",
        mutants.args(SHORT),
    )
}

/// The one program that holds the bugs. Built with the whole workspace in view, so that what is not
/// ours is compiled only once.
fn build() -> Result<Command, Failure> {
    let how = "build --workspace --bin coracle-mutants --features coracle-mutants/mutants";
    step(
        "building coracle-mutants (minutes the first time, then seconds)",
        &mut cargo(how),
    )?;
    let programs = target_folder()?.join("debug");
    Ok(Command::new(programs.join("coracle-mutants")))
}
