//! Builds a node and runs its demo.

use std::{os::unix::process::CommandExt, path::PathBuf, process::Command};

use crate::{
    plugins,
    runs::{Failure, not_started, say, step},
    workspace::{cargo, target_folder},
};

/// `demo [--release] [-- ARGS]`; ends in `coracle demo`, which has the terminal to itself.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let (own, passed) = match arguments.iter().position(|argument| argument == "--") {
        Some(at) => (&arguments[..at], &arguments[at + 1..]),
        None => (arguments, &[][..]),
    };
    let release = match own {
        [] => false,
        [flag] if flag == "--release" => true,
        [other, ..] => {
            return Err(Failure::Usage(format!(
                "`demo` does not know `{other}`; arguments of `coracle demo` come after `--`"
            )));
        }
    };
    let plugins = plugins::build()?;
    let programs = build_programs(&["coracle"], release)?;
    let mut demo = Command::new(programs.join("coracle"));
    demo.arg("demo")
        .arg("--plugin")
        .arg(plugins.join("kv.wasm"))
        .args(passed);
    say("starting three nodes");
    let error = demo.exec();
    Err(not_started(&demo, &error))
}

/// Builds programs of the workspace and answers the folder they are in. With `--workspace`, their
/// dependencies have the same features as in `test`, so that nothing is compiled twice.
pub(crate) fn build_programs(names: &[&str], release: bool) -> Result<PathBuf, Failure> {
    let mut build = cargo("build --workspace");
    for name in names {
        build.args(["--bin", name]);
    }
    if release {
        build.arg("--release");
    }
    let what = format!(
        "building {} (minutes the first time, then seconds)",
        names.join(" and ")
    );
    step(&what, &mut build)?;
    Ok(target_folder()?.join(if release { "release" } else { "debug" }))
}
