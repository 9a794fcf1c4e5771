//! Everything that must be clean.

use std::process::Command;

use crate::{
    plugins,
    runs::{Failure, say, step},
    workspace::{cargo, model, peers, root},
};

pub(crate) fn run() -> Result<(), Failure> {
    plugins::ensure_target()?;
    needs("fmt", "rustfmt")?;
    needs("clippy", "clippy")?;
    step("checking the format", &mut cargo("fmt --all --check"))?;
    step(
        "checking it beside other cores",
        &mut peers("fmt --all --check")?,
    )?;
    step(
        "linting every crate",
        &mut cargo("clippy --workspace --all-targets -- -D warnings"),
    )?;
    let lint = "clippy --workspace --all-targets -- -D warnings";
    step("linting what stands beside other cores", &mut peers(lint)?)?;
    step(
        "checking the format of the model",
        &mut model("fmt --all --check")?,
    )?;
    step("linting the model", &mut model(lint)?)?;
    let mutants = "-p coracle-mutants --all-targets --features coracle-mutants/mutants";
    step(
        "linting what only exists with the deliberate bugs",
        &mut cargo(&format!("clippy {mutants} -- -D warnings")),
    )?;
    let components = "-p coracle-guest -p hostile -p hostile-describe-trap";
    let how = "--target wasm32-wasip2 --profile plugin -- -D warnings";
    step(
        "linting what only exists in a component",
        &mut cargo(&format!("clippy {components} {how}")),
    )?;
    step(
        "building the docs",
        cargo("doc --workspace --no-deps --document-private-items")
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    step(
        "checking the rules of the house",
        &mut cargo("test --quiet -p xtask"),
    )?;
    licences()?;
    say("all clean");
    Ok(())
}

pub(crate) fn fix() -> Result<(), Failure> {
    needs("fmt", "rustfmt")?;
    needs("clippy", "clippy")?;
    step(
        "applying what clippy suggests",
        &mut cargo("clippy --workspace --all-targets --fix --allow-dirty"),
    )?;
    step("formatting", &mut cargo("fmt --all"))
}

/// A part of the toolchain that a minimal one lacks.
fn needs(subcommand: &str, component: &str) -> Result<(), Failure> {
    if answers(cargo(subcommand).arg("--version")) {
        return Ok(());
    }
    Err(Failure::Missing {
        program: format!("cargo {subcommand}"),
        install: format!("rustup component add {component}"),
    })
}

fn licences() -> Result<(), Failure> {
    if !answers(Command::new("cargo-deny").arg("--version")) {
        say("skipped licences and bans: cargo-deny is missing \
             (`cargo install --locked cargo-deny` installs it)");
        return Ok(());
    }
    step(
        "checking licences, bans and sources",
        Command::new("cargo-deny")
            .current_dir(root())
            .args(["check", "licenses", "bans", "sources"]),
    )?;
    advisories()
}

/// The database is fetched over the network; out of its reach there is nothing to check against.
fn advisories() -> Result<(), Failure> {
    let mut check = Command::new("cargo-deny");
    check.current_dir(root()).args(["check", "advisories"]);
    let unreachable = check.output().is_ok_and(|output| {
        !output.status.success()
            && String::from_utf8_lossy(&output.stderr).contains("failed to fetch advisory database")
    });
    if unreachable {
        say("skipped advisories: their database is out of reach");
        return Ok(());
    }
    step("checking advisories", &mut check)
}

fn answers(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
